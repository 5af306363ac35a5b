//! Constant texts that are read as arrays, as Postgres writes them: `'{1,2,NULL}'::INT[]`, `'{{1,2},{3,4}}'`, `'{"a b",c}'`.
//!
//! The planner would make an array of one element of such a text.

use super::quoted;
use datafusion::sql::sqlparser::ast::DataType;
use std::iter::Peekable;
use std::str::Chars;

/// How deep arrays may lie within each other, as in Postgres.
const DIMENSIONS_MAX: usize = 6;

/// The array that a text is, with texts as elements; nothing if it is cast to another type.
///
/// # Errors
/// If it is no array.
pub(super) fn of_cast(text: &str, data_type: &DataType) -> Result<Option<String>, String> {
    if !matches!(data_type, DataType::Array(_)) {
        return Ok(None);
    }
    let wrong = || {
        format!(
            "the text {} is no array; write '{{a,b}}' or ARRAY['a', 'b']",
            quoted(text)
        )
    };
    let mut rest = text.trim().chars().peekable();
    let list = list(&mut rest, DIMENSIONS_MAX).ok_or_else(wrong)?;
    match rest.next() {
        None => Ok(Some(list)),
        Some(_) => Err(wrong()),
    }
}

/// What braces enclose.
fn list(text: &mut Peekable<Chars>, dimensions: usize) -> Option<String> {
    if text.next()? != '{' || dimensions == 0 {
        return None;
    }
    let mut elements = Vec::new();
    skip_blanks(text);
    if text.next_if_eq(&'}').is_some() {
        return Some("make_array()".to_owned());
    }
    loop {
        skip_blanks(text);
        elements.push(match *text.peek()? {
            '{' => list(text, dimensions - 1)?,
            '"' => quoted(&in_quotes(text)?),
            _ => plain(text)?,
        });
        skip_blanks(text);
        match text.next()? {
            ',' => {}
            '}' => return Some(format!("ARRAY[{}]", elements.join(", "))),
            _ => return None,
        }
    }
}

fn skip_blanks(text: &mut Peekable<Chars>) {
    while text.next_if(|it| it.is_whitespace()).is_some() {}
}

fn in_quotes(text: &mut Peekable<Chars>) -> Option<String> {
    text.next_if_eq(&'"')?;
    let mut element = String::new();
    loop {
        match text.next()? {
            '"' => return Some(element),
            '\\' => element.push(text.next()?),
            other => element.push(other),
        }
    }
}

/// An element without quotes; without letters it is none.
fn plain(text: &mut Peekable<Chars>) -> Option<String> {
    let mut element = String::new();
    let mut is_escaped = false;
    while let Some(next) = text.next_if(|it| !matches!(it, ',' | '{' | '}' | '"')) {
        match next {
            '\\' => {
                is_escaped = true;
                element.push(text.next()?);
            }
            other => element.push(other),
        }
    }
    let element = element.trim_end();
    if element.is_empty() {
        return None;
    }
    match !is_escaped && element.eq_ignore_ascii_case("null") {
        true => Some("NULL".to_owned()),
        false => Some(quoted(element)),
    }
}
