//! The `where` of a stream or of the stored log: comparisons of columns with literals, all of which must hold. Parsed once,
//! before the first frame, and the same text means the same over live records and as SQL over the lake.
//!
//! `status >= 500 AND endpoint = '/api/users' AND user_agent ~ 'bot'`. `~` is "contains", whatever the case, and `!~` its
//! opposite; the column `*` is any text column. A null never matches. For anything more there is SQL.

use crate::model::{Row, Value};
use arrow::datatypes::{DataType, Field, Schema};
use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Longest text taken.
const TEXT_BYTES_MAX: usize = 2_000;
/// Times that a request may name, from 1700 to 2262: sums and differences of them, and nanoseconds made of them, do not overflow.
pub const TIMES_US: RangeInclusive<i64> = -8_520_336_000_000_000..=9_214_646_400_000_000;

#[derive(Clone, Debug)]
pub struct Filter {
    /// As the client wrote it; echoed in every frame.
    pub text: String,
    tests: Vec<Test>,
    /// Names of the text columns, for tests on any of them.
    texts: Vec<String>,
}

#[derive(Clone, Debug)]
struct Test {
    /// Its number and name; any text column if there is none.
    column: Option<(usize, String)>,
    operator: Operator,
    literal: Literal,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Text(String),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    ContainsNot,
}

impl Operator {
    fn sql(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Contains => "ILIKE",
            Operator::ContainsNot => "NOT ILIKE",
        }
    }

    fn is_contains(self) -> bool {
        matches!(self, Operator::Contains | Operator::ContainsNot)
    }
}

impl Filter {
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str, schema: &Schema) -> Result<Filter, String> {
        if TEXT_BYTES_MAX < text.len() {
            return Err(format!("the filter is longer than {TEXT_BYTES_MAX} bytes"));
        }
        let form = "a filter has the form: column = 'text' AND other >= 10";
        let mut words = split(text)?.into_iter();
        let mut tests = Vec::new();
        loop {
            let (Some(Word::Plain(column)), Some(Word::Operator(operator)), Some(literal)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(form.to_owned());
            };
            tests.push(test_of(&column, operator, literal, schema)?);
            match words.next() {
                None => {
                    return Ok(Filter {
                        text: text.to_owned(),
                        tests,
                        texts: schema
                            .fields()
                            .iter()
                            .filter(|it| *it.data_type() == DataType::Utf8)
                            .map(|it| it.name().clone())
                            .collect(),
                    });
                }
                Some(Word::Plain(and)) if and.eq_ignore_ascii_case("and") => {}
                Some(_) => return Err(form.to_owned()),
            }
        }
    }

    pub fn matches(&self, row: &Row) -> bool {
        self.tests.iter().all(|test| match &test.column {
            Some((at, _)) => row.0.get(*at).is_some_and(|value| test.holds(value)),
            None => {
                let any = row
                    .0
                    .iter()
                    .any(|value| test.contained_in(value) == Some(true));
                any == (test.operator == Operator::Contains)
            }
        })
    }

    /// The same condition in SQL, over columns of the same names.
    pub fn to_sql(&self) -> String {
        let tests: Vec<String> = self.tests.iter().map(|it| it.to_sql(&self.texts)).collect();
        tests.join(" AND ")
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

fn test_of(
    column: &str,
    operator: Operator,
    literal: Word,
    schema: &Schema,
) -> Result<Test, String> {
    if operator.is_contains() {
        let Word::Quoted(text) = literal else {
            return Err("`~` is followed by text in single quotes".to_owned());
        };
        let literal = Literal::Text(text.to_lowercase());
        if column == "*" {
            return Ok(Test {
                column: None,
                operator,
                literal,
            });
        }
        let (at, field) = column_of(column, schema)?;
        if *field.data_type() != DataType::Utf8 {
            return Err(format!(
                "column `{column}` is no text, and `~` looks into text"
            ));
        }
        return Ok(Test {
            column: Some((at, column.to_owned())),
            operator,
            literal,
        });
    }
    let (at, field) = column_of(column, schema)?;
    Ok(Test {
        column: Some((at, column.to_owned())),
        operator,
        literal: literal_of(literal, field.data_type(), column)?,
    })
}

fn column_of<'a>(column: &str, schema: &'a Schema) -> Result<(usize, &'a Field), String> {
    let found = schema.fields().find(column);
    found
        .map(|(at, field)| (at, field.as_ref()))
        .ok_or_else(|| {
            let names: Vec<&str> = schema
                .fields()
                .iter()
                .map(|it| it.name().as_str())
                .collect();
            format!(
                "there is no column `{column}`; there are: {}",
                names.join(", ")
            )
        })
}

impl Test {
    /// Whether a text contains the literal, whatever the case; nothing for values that are no text.
    fn contained_in(&self, value: &Value) -> Option<bool> {
        match (&self.literal, value) {
            (Literal::Text(literal), Value::Text(it)) => {
                Some(it.to_lowercase().contains(literal.as_str()))
            }
            _ => None,
        }
    }

    fn to_sql(&self, texts: &[String]) -> String {
        let literal = match &self.literal {
            Literal::Number(it) => it.to_string(),
            Literal::Bool(it) => it.to_string(),
            Literal::Text(it) if self.operator.is_contains() => {
                let escaped = it
                    .replace('\\', "\\\\")
                    .replace('%', "\\%")
                    .replace('_', "\\_");
                quoted(&format!("%{escaped}%"))
            }
            Literal::Text(it) => quoted(it),
        };
        let operator = self.operator.sql();
        let Some((_, column)) = &self.column else {
            let any: Vec<String> = texts
                .iter()
                .map(|it| format!("coalesce({} ILIKE {literal}, false)", quoted_name(it)))
                .collect();
            let any = if any.is_empty() {
                "false".to_owned()
            } else {
                any.join(" OR ")
            };
            let not = if self.operator == Operator::ContainsNot {
                "NOT "
            } else {
                ""
            };
            return format!("{not}({any})");
        };
        format!("{} {operator} {literal}", quoted_name(column))
    }

    fn holds(&self, value: &Value) -> bool {
        if self.operator.is_contains() {
            return self.contained_in(value) == Some(self.operator == Operator::Contains);
        }
        let order = match (&self.literal, value) {
            (Literal::Number(literal), value) => {
                value.as_f64().and_then(|it| it.partial_cmp(literal))
            }
            (Literal::Bool(literal), Value::Bool(it)) => Some(it.cmp(literal)),
            (Literal::Text(literal), Value::Text(it)) => Some(it.as_ref().cmp(literal.as_str())),
            // Times compare as the ISO texts in which they are shown; those of one precision sort like the times.
            (Literal::Text(literal), Value::Timestamp(it)) => {
                time_of(literal).map(|time| it.cmp(&time))
            }
            (Literal::Text(literal), Value::Date(_)) => match value.to_json() {
                serde_json::Value::String(it) => Some(it.as_str().cmp(literal)),
                _ => None,
            },
            _ => None,
        };
        let Some(order) = order else { return false };
        match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::Contains | Operator::ContainsNot => false,
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

fn literal_of(word: Word, data_type: &DataType, column: &str) -> Result<Literal, String> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| !it.is_nan());
    match (data_type, word) {
        (DataType::Boolean, Word::Plain(it)) if it.eq_ignore_ascii_case("true") => {
            Ok(Literal::Bool(true))
        }
        (DataType::Boolean, Word::Plain(it)) if it.eq_ignore_ascii_case("false") => {
            Ok(Literal::Bool(false))
        }
        (DataType::Boolean, _) => Err(format!("column `{column}` is compared with true or false")),
        (DataType::Utf8 | DataType::Date32, Word::Quoted(it)) => Ok(Literal::Text(it)),
        (DataType::Timestamp(..), Word::Quoted(it)) if time_of(&it).is_some() => {
            Ok(Literal::Text(it))
        }
        (DataType::Timestamp(..), _) => Err(format!(
            "column `{column}` is compared with a time such as '2026-01-31T12:00:00Z'"
        )),
        (DataType::Utf8 | DataType::Date32, _) => Err(format!(
            "column `{column}` is compared with text in single quotes"
        )),
        (_, Word::Plain(it)) if number(&it).is_some() => {
            Ok(Literal::Number(number(&it).unwrap_or_default()))
        }
        _ => Err(format!("column `{column}` is compared with a number")),
    }
}

#[derive(Debug)]
enum Word {
    Plain(String),
    Quoted(String),
    Operator(Operator),
}

fn split(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => {
                let mut quoted = String::new();
                let mut chars = rest.char_indices().skip(1).peekable();
                let end = loop {
                    match chars.next() {
                        Some((_, '\'')) if chars.peek().is_some_and(|it| it.1 == '\'') => {
                            chars.next();
                            quoted.push('\'');
                        }
                        Some((at, '\'')) => break at + 1,
                        Some((_, it)) => quoted.push(it),
                        None => return Err("a text is not closed by '".to_owned()),
                    }
                };
                words.push(Word::Quoted(quoted));
                end
            }
            '=' | '!' | '<' | '>' | '~' => {
                let (operator, length) = match rest {
                    it if it.starts_with("!=") || it.starts_with("<>") => (Operator::NotEqual, 2),
                    it if it.starts_with("!~") => (Operator::ContainsNot, 2),
                    it if it.starts_with('~') => (Operator::Contains, 1),
                    it if it.starts_with("<=") => (Operator::LessOrEqual, 2),
                    it if it.starts_with(">=") => (Operator::GreaterOrEqual, 2),
                    it if it.starts_with('<') => (Operator::Less, 1),
                    it if it.starts_with('>') => (Operator::Greater, 1),
                    it if it.starts_with('=') => (Operator::Equal, 1),
                    _ => return Err("`!` must be followed by `=` or `~`".to_owned()),
                };
                words.push(Word::Operator(operator));
                length
            }
            _ => {
                let end = rest
                    .find(|it: char| it.is_whitespace() || "=!<>~'".contains(it))
                    .unwrap_or(rest.len());
                words.push(Word::Plain(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[taken..].trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests;
