//! Sources with a primary key, as relations of their latest rows.
//!
//! Records of such a source are versions of rows. A query that reads it reads a sub-query in its place: of each key the record that was taken
//! in last, unless that one removes the row. As this is plain SQL over the records, the live view, its filling from the archive and
//! its batch are the same query; tables of the lake keep all records.

use super::{canonical, syntax, walk, windows};
use crate::plan::{
    DELETED_COLUMN, Dataflow, EPOCH_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, PrimaryKey, SourceSpec,
};
use datafusion::sql::sqlparser::ast::{Ident, ObjectNamePart, Query, TableFactor, VisitorMut};
use std::ops::ControlFlow;

/// The number of a record within its key; 1 is the latest.
const VERSION_NUMBER: &str = "_version_number";

fn quoted(name: &str) -> String {
    Ident::with_quote('"', name).to_string()
}

/// The latest rows of a source, in the columns it declares.
fn latest(source: &SourceSpec, key: &PrimaryKey) -> String {
    let name = |it: usize| quoted(&source.columns[it].name);
    let declared = source.columns.iter().map(|it| it.name.as_str());
    let declared = declared.filter(|it| *it != DELETED_COLUMN).map(quoted);
    let declared: Vec<String> = declared.collect();
    let columns = declared.join(", ");
    let by: Vec<String> = key.columns.iter().map(|it| name(*it)).collect();
    let version = key.version.map(|it| format!("{} DESC, ", name(it)));
    let condition = key.delete_when.as_ref();
    let condition = condition.map(|it| format!(" AND ({it}) IS NOT TRUE"));
    format!(
        "SELECT {columns} FROM (SELECT {columns}, {DELETED_COLUMN}, row_number() OVER (PARTITION BY {} \
         ORDER BY {}{EPOCH_COLUMN} DESC, {PARTITION_COLUMN} DESC, {OFFSET_COLUMN} DESC) AS {VERSION_NUMBER} FROM {}) \
         WHERE {VERSION_NUMBER} = 1 AND {DELETED_COLUMN} IS NOT TRUE{}",
        by.join(", "),
        version.unwrap_or_default(),
        quoted(&source.name),
        condition.unwrap_or_default(),
    )
}

/// What reading a source means beyond its records, in canonical form; none without a primary key.
///
/// # Errors
/// If the condition of removed rows is no SQL.
pub fn meaning(source: &SourceSpec) -> Result<Option<String>, String> {
    let Some(key) = &source.key else {
        return Ok(None);
    };
    canonical::query(&syntax::parse_query(&latest(source, key))?).map(Some)
}

/// Refuses windows over sources with a primary key: their rows are replaced, so none is of one window.
///
/// # Errors
/// If there is one: what to read instead.
pub fn refuse_windows(query: &mut Query, dataflow: &Dataflow) -> Result<(), String> {
    windows::refuse_over(query, |window, of| {
        with_key(dataflow, of).map(|_| {
            format!(
                "the rows of source {of} replace each other, so {window} has no records of its own in it; let it read a table of all versions: CREATE TABLE {of}_log AS SELECT * FROM {of}"
            )
        })
    })
}

/// The source of this name, if it has a primary key.
fn with_key<'a>(dataflow: &'a Dataflow, name: &Ident) -> Option<(&'a SourceSpec, &'a PrimaryKey)> {
    let source = dataflow.source(&syntax::known_as(name))?;
    Some((source, source.key.as_ref()?))
}

/// Puts the latest rows of sources with a primary key in the place of these sources.
///
/// # Errors
/// If a name of WITH hides such a source.
pub fn rewrite(query: &mut Query, dataflow: &Dataflow) -> Result<(), String> {
    struct Rewrite<'a>(&'a Dataflow);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            let names = query.with.iter().flat_map(|it| &it.cte_tables);
            let mut names = names.map(|it| &it.alias.name);
            match names.find(|it| with_key(self.0, it).is_some()) {
                None => ControlFlow::Continue(()),
                Some(name) => ControlFlow::Break(format!(
                    "`{name}` in WITH has the name of a source; give it another name"
                )),
            }
        }
        fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let TableFactor::Table {
                name,
                args: None,
                alias,
                version,
                ..
            } = factor
            else {
                return ControlFlow::Continue(());
            };
            if version.take().is_some() {
                // A temporal join reads all versions.
                return ControlFlow::Continue(());
            }
            let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
                return ControlFlow::Continue(());
            };
            let Some((source, key)) = with_key(self.0, ident) else {
                return ControlFlow::Continue(());
            };
            match syntax::parse_query(&latest(source, key)) {
                Ok(subquery) => {
                    *factor = syntax::in_place_of(ident, alias.as_ref(), subquery);
                    ControlFlow::Continue(())
                }
                Err(reason) => ControlFlow::Break(format!(
                    "delete_when of source {} cannot be read: {reason}",
                    source.name
                )),
            }
        }
    }
    walk::query(query, &mut Rewrite(dataflow))
}
