//! The `where` of a stream or of the stored log: a condition over columns, as SQL writes it. Parsed once, before the first
//! frame, and the same text means the same over live records and as SQL over the lake.
//!
//! `status >= 500 AND (endpoint IN ('/a', '/b') OR NOT user_agent ~ 'bot')`. There are comparisons, IN, LIKE, ILIKE, BETWEEN,
//! IS NULL, AND, OR, NOT and parentheses. `~` is "contains", whatever the case, and `!~` its opposite; the column `*` is any
//! text column. A comparison with a null is unknown, as in SQL, so neither it nor its opposite keeps the record.

mod parse;
#[cfg(test)]
mod tests;

use super::problem::Problem;
use crate::model::{Decimal, Row, Value, iso_of_micros};
use arrow::datatypes::Schema;
use std::cmp::Ordering;
use std::ops::{Range, RangeInclusive};

/// Times that a request may name, from 1700 to 2262: sums and differences of them, and nanoseconds made of them, do not overflow.
pub const TIMES_US: RangeInclusive<i64> = -8_520_336_000_000_000..=9_214_646_400_000_000;

#[derive(Clone, Debug)]
pub struct Filter {
    /// As the client wrote it; echoed in every frame.
    pub text: String,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// What one column holds.
    Column(Column, Test),
    /// Some text column contains it; in lower case. Never unknown.
    AnyText(Vec<Column>, String),
}

/// Its place and name.
#[derive(Clone, Debug)]
struct Column {
    at: usize,
    name: String,
}

#[derive(Clone, Debug)]
enum Test {
    IsNull,
    IsTrue,
    Compare(Comparison, Literal),
    In(Vec<Literal>),
    Between(Literal, Literal),
    /// In lower case.
    Contains(String),
    Like(Pattern),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
    /// Of the scale of its column.
    Decimal(Decimal),
    /// Microseconds since 1970.
    Time(i64),
    /// Days since 1970.
    Date(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A pattern of LIKE: `%` is any text, `_` one character, and a backslash takes the next character as it is.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    parts: Vec<PatternPart>,
    /// Then pattern and value are compared in lower case.
    ignores_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternPart {
    One(char),
    AnyOne,
    AnyText,
}

/// What is wrong with the text of a filter, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FilterError {
    pub text: String,
    /// Where in the text of the filter, in characters.
    pub place: Option<Range<usize>>,
    /// The whole filter as it was probably meant.
    pub fix: Option<String>,
}

impl FilterError {
    fn new(text: impl Into<String>) -> Self {
        FilterError {
            text: text.into(),
            place: None,
            fix: None,
        }
    }

    fn fix(self, fix: Option<String>) -> Self {
        FilterError { fix, ..self }
    }
}

impl From<FilterError> for Problem {
    /// With the place as `from` and `to`, and the `fix`.
    fn from(error: FilterError) -> Self {
        let mut problem = Problem::bad_request("bad_filter", error.text);
        if let Some(place) = error.place {
            problem = problem.with("from", place.start).with("to", place.end);
        }
        match error.fix {
            Some(fix) => problem.with("fix", fix),
            None => problem,
        }
    }
}

impl Filter {
    /// # Errors
    /// Says what is wrong with the text, and what to write instead.
    pub fn parse(text: &str, schema: &Schema) -> Result<Filter, FilterError> {
        Ok(Filter {
            text: text.to_owned(),
            condition: parse::condition(text, schema)?,
        })
    }

    pub fn matches(&self, row: &Row) -> bool {
        self.condition.holds(row) == Some(true)
    }

    /// The same condition in SQL, over columns of the same names. It can stand beside others without parentheses.
    pub fn to_sql(&self) -> String {
        self.condition.to_sql(false)
    }
}

/// A text as an SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column or table name as SQL takes any.
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Condition {
    /// True, false or unknown, by SQL's rules.
    fn holds(&self, row: &Row) -> Option<bool> {
        match self {
            Condition::All(parts) => decided(parts, row, false),
            Condition::Any(parts) => decided(parts, row, true),
            Condition::Not(part) => part.holds(row).map(|it| !it),
            Condition::Column(column, test) => test.holds(row.0.get(column.at)?),
            Condition::AnyText(columns, part) => Some(columns.iter().any(|it| {
                let value = row.0.get(it.at);
                matches!(value, Some(Value::Text(it)) if it.to_lowercase().contains(part.as_str()))
            })),
        }
    }

    /// Negations stand at the tests alone. Where there are only AND and OR above them, unknown and false are alike to a filter, as the
    /// query engine takes them to be when it simplifies: it makes `a IN (1) AND a NOT IN (1)` false, also for a null.
    fn to_sql(&self, negated: bool) -> String {
        let joined = |parts: &[Condition], word: &str| {
            let parts: Vec<String> = parts.iter().map(|it| it.to_sql(negated)).collect();
            format!("({})", parts.join(word))
        };
        let test = match (self, negated) {
            (Condition::All(parts), false) | (Condition::Any(parts), true) => {
                return joined(parts, " AND ");
            }
            (Condition::Any(parts), false) | (Condition::All(parts), true) => {
                return joined(parts, " OR ");
            }
            (Condition::Not(part), _) => return part.to_sql(!negated),
            (Condition::Column(column, test), _) => test.to_sql(&quoted_name(&column.name)),
            (Condition::AnyText(columns, part), _) => {
                let tests = columns.iter().map(|it| {
                    let test = contains_sql(&quoted_name(&it.name), part);
                    format!("coalesce({test}, false)")
                });
                let tests: Vec<String> = tests.collect();
                match tests.is_empty() {
                    true => "false".to_owned(),
                    false => format!("({})", tests.join(" OR ")),
                }
            }
        };
        match negated {
            true => format!("(NOT {test})"),
            false => test,
        }
    }
}

/// AND is decided by the first false part, OR by the first true one; else one that is unknown makes all of it so.
fn decided(parts: &[Condition], row: &Row, decides: bool) -> Option<bool> {
    let mut is_known = true;
    for part in parts {
        match part.holds(row) {
            Some(it) if it == decides => return Some(decides),
            Some(_) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(!decides)
}

impl Test {
    fn holds(&self, value: &Value) -> Option<bool> {
        match self {
            Test::IsNull => Some(*value == Value::Null),
            Test::IsTrue => match value {
                Value::Bool(it) => Some(*it),
                _ => None,
            },
            Test::Compare(comparison, literal) => {
                literal.order(value).map(|order| comparison.takes(order))
            }
            Test::In(literals) => {
                let mut orders = literals.iter().map(|it| it.order(value));
                let first = orders.next()??;
                Some(first == Ordering::Equal || orders.any(|it| it == Some(Ordering::Equal)))
            }
            Test::Between(low, high) => {
                let (low, high) = (low.order(value)?, high.order(value)?);
                Some(low != Ordering::Less && high != Ordering::Greater)
            }
            Test::Contains(part) => match value {
                Value::Text(it) => Some(it.to_lowercase().contains(part.as_str())),
                _ => None,
            },
            Test::Like(pattern) => match value {
                Value::Text(it) => Some(pattern.takes(it)),
                _ => None,
            },
        }
    }

    fn to_sql(&self, column: &str) -> String {
        match self {
            Test::IsNull => format!("{column} IS NULL"),
            Test::IsTrue => column.to_owned(),
            Test::Compare(comparison, literal) => {
                format!("{column} {} {}", comparison.sql(), literal.to_sql())
            }
            Test::In(literals) => {
                let literals: Vec<String> = literals.iter().map(Literal::to_sql).collect();
                format!("{column} IN ({})", literals.join(", "))
            }
            Test::Between(low, high) => {
                format!("({column} BETWEEN {} AND {})", low.to_sql(), high.to_sql())
            }
            Test::Contains(part) => contains_sql(column, part),
            Test::Like(pattern) => match pattern.ignores_case {
                true => format!(
                    "lower({column}) LIKE {}",
                    quoted(&pattern.text.to_lowercase())
                ),
                false => format!("{column} LIKE {}", quoted(&pattern.text)),
            },
        }
    }
}

/// Lower case on both sides, and not ILIKE, which folds some characters in another way than the live evaluation.
fn contains_sql(column: &str, part: &str) -> String {
    format!("contains(lower({column}), {})", quoted(part))
}

impl Literal {
    /// How a value compares with it; unknown for a null. Floats are in their total order, as in the query engine.
    fn order(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Literal::Int(literal), Value::Int(it)) => Some(it.cmp(literal)),
            (Literal::Int(literal), Value::Float(it)) => {
                Some(it.get().total_cmp(&(*literal as f64)))
            }
            (Literal::Float(literal), Value::Int(_) | Value::Float(_)) => {
                Some(value.as_f64()?.total_cmp(literal))
            }
            (Literal::Decimal(literal), Value::Decimal(it)) => Some(it.as_ref().cmp(literal)),
            (Literal::Bool(literal), Value::Bool(it)) => Some(it.cmp(literal)),
            (Literal::Text(literal), Value::Text(it)) => Some(it.as_str().cmp(literal.as_str())),
            (Literal::Time(literal), Value::Timestamp(it)) => Some(it.cmp(literal)),
            (Literal::Date(literal), Value::Date(it)) => Some(it.cmp(literal)),
            _ => None,
        }
    }

    fn to_sql(&self) -> String {
        match self {
            Literal::Int(it) => it.to_string(),
            // Else a large one would be written with all its digits and read as a whole number.
            Literal::Float(it) => format!("{it:e}"),
            Literal::Decimal(it) => format!("CAST('{it}' AS DECIMAL(38, {}))", it.scale()),
            Literal::Text(it) => quoted(it),
            Literal::Bool(it) => it.to_string(),
            Literal::Time(it) => quoted(&iso_of_micros(*it)),
            Literal::Date(it) => match Value::Date(*it).to_json() {
                serde_json::Value::String(it) => format!("DATE {}", quoted(&it)),
                other => other.to_string(),
            },
        }
    }
}

impl Comparison {
    fn sql(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// With its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Comparison::Equal | Comparison::NotEqual => self,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }

    fn takes(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::NotEqual => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

impl Pattern {
    fn new(text: &str, ignores_case: bool) -> Pattern {
        let compared = match ignores_case {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        let mut parts = Vec::new();
        let mut characters = compared.chars();
        while let Some(it) = characters.next() {
            parts.push(match it {
                '%' => PatternPart::AnyText,
                '_' => PatternPart::AnyOne,
                '\\' => PatternPart::One(characters.next().unwrap_or('\\')),
                it => PatternPart::One(it),
            });
        }
        Pattern {
            text: text.to_owned(),
            parts,
            ignores_case,
        }
    }

    /// Goes back to the last `%` alone, so it takes no more steps than characters times parts.
    fn takes(&self, value: &str) -> bool {
        let lower;
        let value = match self.ignores_case {
            true => {
                lower = value.to_lowercase();
                lower.as_str()
            }
            false => value,
        };
        let characters: Vec<char> = value.chars().collect();
        let (mut at, mut part) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part) {
                Some(PatternPart::AnyText) => {
                    back = Some((at, part + 1));
                    part += 1;
                    continue;
                }
                Some(PatternPart::AnyOne) if at < characters.len() => {
                    (at, part) = (at + 1, part + 1);
                    continue;
                }
                Some(PatternPart::One(it)) if characters.get(at) == Some(it) => {
                    (at, part) = (at + 1, part + 1);
                    continue;
                }
                None if at == characters.len() => return true,
                Some(PatternPart::AnyOne | PatternPart::One(_)) | None => {}
            }
            match back {
                Some((begin, after)) if begin < characters.len() => {
                    back = Some((begin + 1, after));
                    (at, part) = (begin + 1, after);
                }
                Some(_) | None => return false,
            }
        }
    }
}

/// A time as ISO 8601 or milliseconds since 1970, in microseconds.
pub fn time_of(text: &str) -> Option<i64> {
    let time = if let Ok(millis) = text.parse::<i64>() {
        millis.checked_mul(1000)
    } else if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        Some(time.timestamp_micros())
    } else {
        chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .map(|it| it.and_utc().timestamp_micros())
    };
    time.filter(|it| TIMES_US.contains(it))
}
