//! Reads the text of a filter: words, then conditions by descent. What is wrong is said with what to write instead, since it
//! is read by a person who has just typed it.

use super::{Column, Comparison, Condition, Literal, Pattern, Test, quoted, time_of};
use crate::model::{Decimal, Float};
use crate::sql::sql_type_name;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema};
use std::iter::Peekable;
use std::vec::IntoIter;

/// Longest text taken.
const TEXT_BYTES_MAX: usize = 2_000;
/// Parentheses and NOTs within each other.
const DEPTH_MAX: usize = 24;
/// So many columns are named when one is not there.
const NAMED_MAX: usize = 12;
const FORM: &str = "a filter is a condition such as status >= 500 AND (endpoint = '/api/users' OR user_agent ~ 'bot')";
const KEYWORDS: [&str; 9] = [
    "and", "or", "not", "in", "like", "ilike", "between", "is", "null",
];

/// # Errors
/// Says what is wrong with the text.
pub fn condition(text: &str, schema: &Schema) -> Result<Condition, String> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(format!("the filter is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut parser = Parser {
        words: words_of(text)?.into_iter().peekable(),
        schema,
        depth: 0,
    };
    let condition = parser.any()?;
    match parser.words.next() {
        None => Ok(condition),
        Some(Word::Close) => Err("there is a `)` without its `(`".to_owned()),
        Some(it) => Err(format!(
            "`{}` cannot follow a whole condition; conditions are joined by AND or OR",
            it.text()
        )),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Plain(String),
    /// In single quotes: a text.
    Text(String),
    /// In double quotes: a column.
    Name(String),
    Compare(Comparison),
    /// Whether it is `~`, else `!~`.
    Contains(bool),
    Open,
    Close,
    Comma,
}

impl Word {
    fn text(&self) -> String {
        match self {
            Word::Plain(it) => it.clone(),
            Word::Text(it) => quoted(it),
            Word::Name(it) => format!("\"{it}\""),
            Word::Compare(it) => it.sql().to_owned(),
            Word::Contains(true) => "~".to_owned(),
            Word::Contains(false) => "!~".to_owned(),
            Word::Open => "(".to_owned(),
            Word::Close => ")".to_owned(),
            Word::Comma => ",".to_owned(),
        }
    }

    fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Plain(it) if it.eq_ignore_ascii_case(keyword))
    }
}

struct Parser<'a> {
    words: Peekable<IntoIter<Word>>,
    schema: &'a Schema,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.takes("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.takes("and") {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(format!(
                "the filter has more than {DEPTH_MAX} parentheses or NOTs within each other"
            ));
        }
        let condition = if self.takes("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.words.next_if_eq(&Word::Open).is_some() {
            let inner = self.any()?;
            if self.words.next_if_eq(&Word::Close).is_none() {
                return Err("a `(` has no `)`".to_owned());
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    /// A condition on one column.
    fn test(&mut self) -> Result<Condition, String> {
        let name = match self.words.next() {
            Some(Word::Plain(it)) if it == "*" => return self.any_text(),
            Some(Word::Plain(it)) if !KEYWORDS.contains(&it.to_lowercase().as_str()) => it,
            Some(Word::Name(it)) => it,
            Some(it) => {
                return Err(format!(
                    "`{}` stands where a column is expected; {FORM}",
                    it.text()
                ));
            }
            None => return Err(format!("the filter ends too early; {FORM}")),
        };
        let (column, field) = self.column(&name)?;
        let negated = self.takes("not");
        let test = if self.takes("in") {
            Test::In(self.list(field)?)
        } else if self.takes("between") {
            let low = self.literal(field)?;
            if !self.takes("and") {
                return Err(format!(
                    "BETWEEN has two bounds: {name} BETWEEN {0} AND {0}",
                    example(field)
                ));
            }
            Test::Between(low, self.literal(field)?)
        } else if self.takes("like") {
            Test::Like(Pattern::new(&self.text(field, "LIKE")?, false))
        } else if self.takes("ilike") {
            Test::Like(Pattern::new(&self.text(field, "ILIKE")?, true))
        } else if negated {
            return Err(format!(
                "after {name} NOT comes IN, LIKE, ILIKE or BETWEEN; or write NOT {name} = {}",
                example(field)
            ));
        } else {
            return self.compared(column, field);
        };
        let condition = Condition::Column(column, test);
        Ok(match negated {
            true => Condition::Not(Box::new(condition)),
            false => condition,
        })
    }

    /// What follows a column without NOT, IN, BETWEEN and LIKE.
    fn compared(&mut self, column: Column, field: &Field) -> Result<Condition, String> {
        if self.takes("is") {
            let negated = self.takes("not");
            if !self.takes("null") {
                return Err(format!(
                    "after IS comes NULL or NOT NULL: {} IS NULL",
                    column.name
                ));
            }
            let condition = Condition::Column(column, Test::IsNull);
            return Ok(match negated {
                true => Condition::Not(Box::new(condition)),
                false => condition,
            });
        }
        let operator = self
            .words
            .next_if(|it| matches!(it, Word::Compare(_) | Word::Contains(_)));
        match operator {
            Some(Word::Compare(it)) => {
                let literal = self.literal(field)?;
                Ok(Condition::Column(column, Test::Compare(it, literal)))
            }
            Some(Word::Contains(is)) => {
                let part = self.text(field, "~")?.to_lowercase();
                let condition = Condition::Column(column, Test::Contains(part));
                Ok(match is {
                    true => condition,
                    false => Condition::Not(Box::new(condition)),
                })
            }
            _ if *field.data_type() == DataType::Boolean => {
                Ok(Condition::Column(column, Test::IsTrue))
            }
            _ => Err(format!(
                "`{0}` is a column; compare it with something: {0} = {1}",
                column.name,
                example(field)
            )),
        }
    }

    /// After the column `*`.
    fn any_text(&mut self) -> Result<Condition, String> {
        let form = "`*` stands for any text column: * ~ 'words', or * !~ 'words'";
        let Some(Word::Contains(is)) = self.words.next() else {
            return Err(form.to_owned());
        };
        let Some(Word::Text(part)) = self.words.next() else {
            return Err(form.to_owned());
        };
        let texts = self.schema.fields().iter().enumerate();
        let texts = texts.filter(|it| *it.1.data_type() == DataType::Utf8);
        let columns = texts.map(|(at, field)| Column {
            at,
            name: field.name().clone(),
        });
        let condition = Condition::AnyText(columns.collect(), part.to_lowercase());
        Ok(match is {
            true => condition,
            false => Condition::Not(Box::new(condition)),
        })
    }

    fn list(&mut self, field: &Field) -> Result<Vec<Literal>, String> {
        let form = || format!("write {0} IN ({1}, {1})", field.name(), example(field));
        if self.words.next_if_eq(&Word::Open).is_none() {
            return Err(form());
        }
        let mut literals = vec![self.literal(field)?];
        while self.words.next_if_eq(&Word::Comma).is_some() {
            literals.push(self.literal(field)?);
        }
        match self.words.next_if_eq(&Word::Close) {
            Some(_) => Ok(literals),
            None => Err(form()),
        }
    }

    /// A text for a text column.
    fn text(&mut self, field: &Field, word: &str) -> Result<String, String> {
        if *field.data_type() != DataType::Utf8 {
            return Err(format!(
                "column `{0}` is no text, and {word} looks into text; write {0} = {1}",
                field.name(),
                example(field)
            ));
        }
        match self.words.next() {
            Some(Word::Text(it)) => Ok(it),
            Some(Word::Plain(it)) => Err(format!(
                "text stands in single quotes: {} {word} {}",
                field.name(),
                quoted(&it)
            )),
            _ => Err(format!("{word} is followed by text in single quotes")),
        }
    }

    fn literal(&mut self, field: &Field) -> Result<Literal, String> {
        match self.words.next() {
            Some(Word::Plain(it)) if it.eq_ignore_ascii_case("null") => Err(format!(
                "nothing is equal to NULL; write {} IS NULL",
                field.name()
            )),
            Some(it @ (Word::Plain(_) | Word::Text(_))) => literal_of(&it, field),
            _ => Err(format!(
                "column `{0}` is compared with a value: {0} = {1}",
                field.name(),
                example(field)
            )),
        }
    }

    fn column(&self, name: &str) -> Result<(Column, &'a Field), String> {
        let schema = self.schema;
        let found = schema.fields().find(name);
        if let Some((at, field)) = found {
            let name = name.to_owned();
            return Ok((Column { at, name }, field.as_ref()));
        }
        // As other log tools write it.
        if let Some((column, value)) = name.split_once(':')
            && let Some((_, field)) = schema.fields().find(column)
        {
            let value = match field.data_type() {
                DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) => quoted(value),
                _ => value.to_owned(),
            };
            return Err(format!("write {column} = {value}"));
        }
        let names = schema.fields().iter().map(|it| it.name().as_str());
        let mut near: Vec<(usize, &str)> = names.map(|it| (distance(name, it), it)).collect();
        near.sort_unstable();
        let likely: Vec<&str> = near
            .iter()
            .filter(|(distance, it)| *distance <= 2 || it.contains(&name.to_lowercase()))
            .map(|it| it.1)
            .take(3)
            .collect();
        let told = match likely.is_empty() {
            false => format!("did you mean {}?", likely.join(" or ")),
            true => {
                let names = schema.fields().iter().map(|it| it.name().as_str());
                let named: Vec<&str> = names.take(NAMED_MAX).collect();
                let more = schema.fields().len().saturating_sub(NAMED_MAX);
                match more {
                    0 => format!("there are: {}", named.join(", ")),
                    _ => format!("there are: {} and {more} more", named.join(", ")),
                }
            }
        };
        Err(format!("there is no column `{name}`; {told}"))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        self.words.next_if(|it| it.is(keyword)).is_some()
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

/// What a column is compared with, as an example.
fn example(field: &Field) -> &'static str {
    match field.data_type() {
        DataType::Utf8 => "'text'",
        DataType::Boolean => "true",
        DataType::Date32 => "'2026-01-31'",
        DataType::Timestamp(..) => "'2026-01-31T12:00:00Z'",
        DataType::Decimal128(..) => "12.50",
        _ => "500",
    }
}

fn literal_of(word: &Word, field: &Field) -> Result<Literal, String> {
    let (text, is_quoted) = match word {
        Word::Text(it) => (it.as_str(), true),
        other => (&*other.text(), false),
    };
    let name = field.name();
    let no = |kind: &str| {
        Err(format!(
            "column `{name}` is compared with {kind}, and {} is none: {name} = {}",
            word.text(),
            example(field)
        ))
    };
    match field.data_type() {
        DataType::Utf8 if is_quoted => Ok(Literal::Text(text.to_owned())),
        DataType::Utf8 => Err(format!(
            "text stands in single quotes: {name} = {}",
            quoted(text)
        )),
        DataType::Boolean if text.eq_ignore_ascii_case("true") => Ok(Literal::Bool(true)),
        DataType::Boolean if text.eq_ignore_ascii_case("false") => Ok(Literal::Bool(false)),
        DataType::Boolean => no("true or false"),
        DataType::Date32 => match text.parse::<chrono::NaiveDate>() {
            Ok(it) => match i32::try_from((it - chrono::NaiveDate::default()).num_days()) {
                Ok(days) => Ok(Literal::Date(days)),
                Err(_) => no("a day"),
            },
            Err(_) => no("a day"),
        },
        DataType::Timestamp(..) => match time_of(text) {
            Some(it) => Ok(Literal::Time(it)),
            None => no("a time"),
        },
        DataType::Decimal128(_, scale) => {
            // Neither rounded, nor compared at a finer scale, at which the largest values of the column have no place.
            let digits = text.split_once('.').map_or(0, |it| it.1.len());
            let fits = digits <= usize::from(scale.unsigned_abs()) && !text.contains(['e', 'E']);
            let unscaled = Decimal::parse(text, DECIMAL128_MAX_PRECISION, *scale);
            match unscaled.filter(|_| fits) {
                Some(it) => Ok(Literal::Decimal(Decimal::new(it, *scale))),
                None => no(&format!("a number with {scale} digits behind the point")),
            }
        }
        DataType::Binary | DataType::List(_) | DataType::Struct(_) => Err(format!(
            "column `{name}` is of type {}, which is compared with nothing here; write {name} IS NULL, or ask in SQL",
            sql_type_name(field.data_type())
        )),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(it), _) => Ok(Literal::Int(it)),
            // As values are: there is one zero.
            (Err(_), Ok(it)) if it.is_finite() => Ok(Literal::Float(Float::new(it).get())),
            (Err(_), _) => no("a number"),
        },
    }
}

/// How many characters have to be put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(!x.eq_ignore_ascii_case(y));
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

fn words_of(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' | '"' => {
                let (inner, end) = within_quotes(rest, first)?;
                words.push(match first {
                    '"' => Word::Name(inner),
                    _ => Word::Text(inner),
                });
                end
            }
            '(' => push(&mut words, Word::Open, 1),
            ')' => push(&mut words, Word::Close, 1),
            ',' => push(&mut words, Word::Comma, 1),
            '=' | '!' | '<' | '>' | '~' => {
                let (word, length) = operator_of(rest)?;
                push(&mut words, word, length)
            }
            _ => {
                let end = rest
                    .find(|it: char| it.is_whitespace() || "=!<>~'\"(),".contains(it))
                    .unwrap_or(rest.len());
                push(&mut words, Word::Plain(rest[..end].to_owned()), end)
            }
        };
        rest = rest[taken..].trim_start();
    }
    Ok(words)
}

fn push(words: &mut Vec<Word>, word: Word, length: usize) -> usize {
    words.push(word);
    length
}

fn operator_of(rest: &str) -> Result<(Word, usize), String> {
    let known = [
        ("!=", Word::Compare(Comparison::NotEqual)),
        ("<>", Word::Compare(Comparison::NotEqual)),
        ("!~", Word::Contains(false)),
        ("~", Word::Contains(true)),
        ("<=", Word::Compare(Comparison::LessOrEqual)),
        (">=", Word::Compare(Comparison::GreaterOrEqual)),
        ("==", Word::Compare(Comparison::Equal)),
        ("<", Word::Compare(Comparison::Less)),
        (">", Word::Compare(Comparison::Greater)),
        ("=", Word::Compare(Comparison::Equal)),
    ];
    known
        .into_iter()
        .find(|(sign, _)| rest.starts_with(sign))
        .map(|(sign, word)| (word, sign.len()))
        .ok_or_else(|| "`!` must be followed by `=` or `~`".to_owned())
}

/// What stands in quotes at the start of a text, and where it ends; a quote within is doubled.
fn within_quotes(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut inner = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, it)) = characters.next() {
        if it != quote {
            inner.push(it);
        } else if characters.next_if(|next| next.1 == quote).is_some() {
            inner.push(quote);
        } else {
            return Ok((inner, at + 1));
        }
    }
    Err(format!("a text is not closed by {quote}"))
}
