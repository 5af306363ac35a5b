//! Definitions of lakes that were written before there was a canonical form: they hold the text that the parser printed then.
//!
//! For tables of records that text is read again and put into the canonical form, so that a lake goes on as it is. For views only a hash of
//! it was noted; they are filled again, once.

use super::{apart_text, expression, name, query};
use crate::plan::{DEFINITIONS_FORM, Definitions};
use crate::sql::syntax;

/// Definitions in the form that this version compares.
///
/// # Errors
/// If they cannot be read: says of which table.
pub fn in_this_form(mut definitions: Definitions) -> Result<Definitions, String> {
    match definitions.form {
        DEFINITIONS_FORM => return Ok(definitions),
        1 => {}
        newer => {
            return Err(format!(
                "its definitions are of form {newer}, and this version knows {DEFINITIONS_FORM}; use the version that wrote them, or a newer one"
            ));
        }
    }
    for (table_name, table) in &mut definitions.tables {
        let wrong = |it: String| {
            format!(
                "table {table_name} was noted in a form that cannot be read any more ({it}); start a new lake with --lake"
            )
        };
        for column in &mut table.columns {
            column.sql = match column.sql.as_str() {
                "" => String::new(),
                // What `*` stood for.
                sql if sql == column.name => name(sql),
                sql => syntax::parse_expression(sql)
                    .and_then(|it| expression(&it))
                    .map_err(wrong)?,
            };
        }
        table.selection = selection(&table.selection).map_err(wrong)?;
    }
    definitions.form = DEFINITIONS_FORM;
    Ok(definitions)
}

/// A query without its columns, and behind it, each on a line, the plain views it reads.
fn selection(text: &str) -> Result<String, String> {
    let mut parts: Vec<(Option<&str>, String)> = vec![(None, String::new())];
    for line in text.split('\n') {
        let named = line.split_once(": ").filter(|(name, query)| {
            name.chars().all(|it| it.is_alphanumeric() || it == '_')
                && (query.starts_with("SELECT") || query.starts_with("WITH"))
        });
        let begun = parts.iter().any(|it| !it.1.is_empty());
        match (named, parts.last_mut()) {
            (Some((name, query)), _) if begun => {
                parts.push((Some(name), query.to_owned()));
            }
            (_, Some((_, so_far))) if so_far.is_empty() => line.clone_into(so_far),
            (_, Some((_, so_far))) => *so_far = format!("{so_far}\n{line}"),
            (_, None) => {}
        }
    }
    let parts = parts.into_iter().map(|(name, text)| match name {
        None if text.is_empty() => Ok(String::new()),
        None => apart_text(&syntax::parse_query(&text)?),
        Some(name) => Ok(format!(
            "\n{name}: {}",
            query(&syntax::parse_query(&text)?)?
        )),
    });
    parts.collect()
}
