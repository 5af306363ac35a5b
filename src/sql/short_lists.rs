//! Lists of names with fewer names than there are columns, `WITH t (a) AS (SELECT x, y …)`: the others keep those they have.

use super::using::{Known, Names};
use super::walk;
use datafusion::sql::sqlparser::ast::{
    Ident, Query, TableAlias, TableAliasColumnDef, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// Adds the names that are left out.
///
/// # Errors
/// None, but where the walk itself ends.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a>(Names<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            for it in query.with.iter_mut().flat_map(|it| &mut it.cte_tables) {
                let columns = self.0.columns_of_query(&it.query);
                complete(&mut it.alias, columns);
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let columns = self.0.columns_of(factor);
            if let TableFactor::Table {
                alias: Some(alias), ..
            }
            | TableFactor::Derived {
                alias: Some(alias), ..
            } = factor
            {
                complete(alias, columns);
            }
            ControlFlow::Continue(())
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

/// A list that names some columns names all.
fn complete(alias: &mut TableAlias, columns: Option<Vec<String>>) {
    let named = alias.columns.len();
    let Some(columns) = columns.filter(|it| 0 < named && named < it.len()) else {
        return;
    };
    if columns.iter().any(String::is_empty) {
        return;
    }
    let rest = columns.into_iter().skip(named);
    alias.columns.extend(rest.map(|it| TableAliasColumnDef {
        name: Ident::with_quote('"', it),
        data_type: None,
    }));
}
