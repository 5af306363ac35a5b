//! Definitions of lakes that older versions have written.
//!
//! The first form had the text that the parser printed. For tables of records that text is read again and put into the canonical form, so that a lake goes
//! on as it is. For views only a hash of it was noted; they are filled again, once.
//!
//! The second form had, with the selection of a table over a source with a primary key, what the latest rows of that source are. A table keeps
//! all of them, so that is left out.

use super::{apart_text, expression, name, query};
use crate::plan::{DEFINITIONS_FORM, Definitions};
use crate::sql::syntax;

/// Definitions in the form that this version compares.
///
/// # Errors
/// If they cannot be read: says of which table.
pub fn in_this_form(mut definitions: Definitions) -> Result<Definitions, String> {
    if DEFINITIONS_FORM < definitions.form {
        return Err(format!(
            "its definitions are of form {}, and this version knows {DEFINITIONS_FORM}; use the version that wrote them, or a newer one",
            definitions.form
        ));
    }
    if definitions.form == 1 {
        in_canonical_form(&mut definitions)?;
    }
    if definitions.form <= 2 {
        for table in definitions.tables.values_mut() {
            table.selection = without(&table.selection, &table.source);
        }
    }
    definitions.form = DEFINITIONS_FORM;
    Ok(definitions)
}

/// A selection without what it says of a relation that it reads.
fn without(selection: &str, relation: &str) -> String {
    let begins = |it: &str| it.split_once(": ").is_some_and(|it| is_name(it.0));
    let own = format!("{relation}: ");
    let mut is_left_out = false;
    let lines = selection.split('\n').filter(|line| {
        if begins(line) {
            is_left_out = line.starts_with(&own);
        }
        !is_left_out
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_name(text: &str) -> bool {
    text.chars().all(|it| it.is_alphanumeric() || it == '_')
}

fn in_canonical_form(definitions: &mut Definitions) -> Result<(), String> {
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
    Ok(())
}

/// A query without its columns, and behind it, each on a line, the plain views it reads.
fn selection(text: &str) -> Result<String, String> {
    let mut parts: Vec<(Option<&str>, String)> = vec![(None, String::new())];
    for line in text.split('\n') {
        let named = line.split_once(": ").filter(|(name, query)| {
            is_name(name) && (query.starts_with("SELECT") || query.starts_with("WITH"))
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
