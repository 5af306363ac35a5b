//! Plain views over archived records, with the mark of late ones.
//!
//! Whether a record was on time for a window is told by its mark, a column of the archive. A plain view that names its columns leaves that
//! one out, and a window over it could not tell any more. So in sessions over the archive each plain view is known a second time, with
//! the mark behind its columns, under a name of its own; windows read that one, and everything else the view as it is written.

use super::{syntax, walk, windows};
use crate::plan::{Dataflow, LATE_COLUMN};
use arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// The name of a plain view with the mark.
fn marked_name(view: &str) -> String {
    format!("{LATE_COLUMN}_of_{view}")
}

/// What windows over a relation read, as SQL, and its columns: the relation, or a plain view with the mark.
pub fn read_by_windows(session: &SessionContext, relation: &str) -> (String, Vec<String>) {
    let name = known_name(relation);
    let marked = marked_name(&name);
    match columns(session, &marked) {
        Some(columns) => (Ident::with_quote('"', marked).to_string(), columns),
        // What is not known yet is a view over views, which have no late rows.
        None => (
            relation.to_owned(),
            columns(session, &name).unwrap_or_default(),
        ),
    }
}

/// What a relation that is written so is known as.
pub fn known_name(relation: &str) -> String {
    match relation.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').to_owned(),
        None => relation.to_lowercase(),
    }
}

/// Under which names a session over the archive knows a plain view, and by which queries: as it is written, and with the mark behind its
/// columns, unless its rows are no single records that have one.
pub fn forms(session: &SessionContext, name: &str, query: Query) -> Vec<(String, Query)> {
    let mut marked = query.clone();
    let mut forms = vec![(name.to_owned(), query)];
    if mark(session, &mut marked) {
        forms.push((marked_name(name), marked));
    }
    forms
}

/// Puts the queries of plain views over windows in the place of their names, also those that are read through others. As they are known to a session,
/// their windows have the records that were on time.
///
/// # Errors
/// If the text of one cannot be parsed.
pub fn put_windows_in(query: &mut Query, dataflow: &Dataflow) -> Result<(), String> {
    struct PutIn<'a>(&'a Dataflow);
    impl VisitorMut for PutIn<'_> {
        type Break = String;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let TableFactor::Table {
                name,
                args: None,
                alias,
                ..
            } = factor
            else {
                return ControlFlow::Continue(());
            };
            let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
                return ControlFlow::Continue(());
            };
            match windows_of(self.0, &syntax::known_as(name)) {
                Ok(Some(query)) => *factor = syntax::in_place_of(name, alias.as_ref(), query),
                Ok(None) => {}
                Err(reason) => return ControlFlow::Break(reason),
            }
            ControlFlow::Continue(())
        }
    }
    walk::query(query, &mut PutIn(dataflow))
}

/// The query of a plain view, if it is over windows.
fn windows_of(dataflow: &Dataflow, name: &str) -> Result<Option<Query>, String> {
    let Some((_, text)) = dataflow.aliases.iter().find(|it| it.0 == name) else {
        return Ok(None);
    };
    let written = syntax::parse_query(text)?;
    let mut query = written.clone();
    let mut is_over_windows = false;
    windows::rewrite(&mut query, |relation, until| {
        is_over_windows = true;
        windows::all_records(relation, until)
    })?;
    let below = syntax::relations(&query);
    for name in below {
        is_over_windows |= windows_of(dataflow, &name)?.is_some();
    }
    Ok(is_over_windows.then_some(written))
}

fn mark(session: &SessionContext, query: &mut Query) -> bool {
    query.with.is_none()
        && match query.body.as_mut() {
            SetExpr::Select(select) => mark_select(session, select),
            SetExpr::Query(inner) => mark(session, inner),
            // Event time does not come through these unchanged, so no window is over them.
            _ => false,
        }
}

fn mark_select(session: &SessionContext, select: &mut Select) -> bool {
    let is_grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    let [from] = select.from.as_mut_slice() else {
        return false;
    };
    if is_grouped || select.distinct.is_some() || !from.joins.is_empty() {
        return false;
    }
    let has_mark = match &mut from.relation {
        TableFactor::Table {
            name,
            args: None,
            alias,
            ..
        } => {
            let [ObjectNamePart::Identifier(name)] = name.0.as_mut_slice() else {
                return false;
            };
            let known_as = syntax::known_as(name);
            let marked = marked_name(&known_as);
            if columns(session, &marked).is_some() {
                alias.get_or_insert_with(|| TableAlias {
                    explicit: true,
                    name: name.clone(),
                    columns: Vec::new(),
                    at: None,
                });
                *name = Ident::with_quote('"', marked);
                true
            } else {
                let known = columns(session, &known_as).unwrap_or_default();
                known.iter().any(|it| it == LATE_COLUMN)
            }
        }
        TableFactor::Derived { subquery, .. } => mark(session, subquery),
        _ => false,
    };
    let takes_all = |it: &SelectItem| matches!(it, SelectItem::Wildcard(_));
    if has_mark && !select.projection.iter().any(takes_all) {
        let mark = Expr::Identifier(Ident::new(LATE_COLUMN));
        select.projection.push(SelectItem::UnnamedExpr(mark));
    }
    has_mark
}

/// The columns of a relation the session knows.
pub fn columns(session: &SessionContext, relation: &str) -> Option<Vec<String>> {
    let schema = schema(session, relation)?;
    Some(schema.fields().iter().map(|it| it.name().clone()).collect())
}

/// The schema of a relation that a session knows.
pub fn schema(session: &SessionContext, relation: &str) -> Option<SchemaRef> {
    let providers = session
        .catalog("datafusion")
        .and_then(|it| it.schema("public"))?;
    let provider = futures::FutureExt::now_or_never(providers.table(relation))?.ok()??;
    Some(provider.schema())
}
