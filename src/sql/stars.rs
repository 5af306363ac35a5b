//! `*` in views: the columns that a source or table declares, without those that the engine adds (`_partition`, `_offset`, `_epoch`, and in an
//! archive the mark of late records).
//!
//! The planner would take all. So where a view's query has a `*`, sources, tables and plain views over them stand as sub-queries of their
//! declared columns, in the live view and in every reading of it.

use super::{plain, syntax, walk};
use crate::plan::{
    DELETED_COLUMN, Dataflow, EPOCH_COLUMN, LATE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN,
};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Values,
    VisitorMut,
};
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

pub const ADDED: [&str; 5] = [
    PARTITION_COLUMN,
    OFFSET_COLUMN,
    EPOCH_COLUMN,
    LATE_COLUMN,
    DELETED_COLUMN,
];

/// The declared columns of relations, where a query has a `*`.
pub struct Stars<'a> {
    session: &'a SessionContext,
    dataflow: &'a Dataflow,
    /// Whether the query has one.
    is_there: bool,
    /// Whether it names columns that the engine adds, in a SELECT without a `*`.
    names_added: bool,
}

impl<'a> Stars<'a> {
    /// # Errors
    /// If a SELECT has a `*` and names a column that the engine adds: nobody could say whether `*` stands for that one, too.
    pub fn of(
        query: &Query,
        session: &'a SessionContext,
        dataflow: &'a Dataflow,
    ) -> Result<Self, String> {
        struct Find {
            is_there: bool,
            named: Option<&'static str>,
        }
        impl VisitorMut for Find {
            type Break = String;
            fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
                if has_star(select) {
                    self.is_there = true;
                    self.named = self.named.or_else(|| named_by(select));
                }
                ControlFlow::Continue(())
            }
        }
        let mut find = Find {
            is_there: false,
            named: None,
        };
        walk::query(&mut query.clone(), &mut find)?;
        if let Some(named) = find.named {
            return Err(format!(
                "`*` leaves out the columns that the engine adds, and the query names {named}; name all columns instead of *"
            ));
        }
        let text = query.to_string();
        Ok(Stars {
            session,
            dataflow,
            is_there: find.is_there,
            names_added: ADDED.iter().any(|it| text.contains(it)),
        })
    }

    /// The columns that `*` stands for in a relation, as SQL; none if these are all it has.
    pub fn columns(&self, relation: &str) -> Option<String> {
        let name = match relation.strip_prefix('"') {
            Some(quoted) => quoted.trim_end_matches('"').to_owned(),
            None => relation.to_lowercase(),
        };
        let has_records = self.dataflow.source(&name).is_some()
            || self.dataflow.tables.iter().any(|it| it.name == name)
            || self.dataflow.aliases.iter().any(|it| it.0 == name);
        let all = plain::columns(self.session, &name)?;
        let own: Vec<String> = all
            .iter()
            .filter(|it| !ADDED.contains(&it.as_str()))
            .map(|it| Ident::with_quote('"', it.as_str()).to_string())
            .collect();
        let hides = self.is_there && has_records && own.len() < all.len() && !own.is_empty();
        hides.then(|| own.join(", "))
    }

    /// Whether a column is one that `*` leaves out.
    pub fn hides(&self, relation: &str, column: &str) -> bool {
        ADDED.contains(&column) && self.columns(relation).is_some()
    }

    /// Puts sub-queries of declared columns in the place of relations.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn name_columns(&self, query: &mut Query) -> Result<(), String> {
        /// A query that is walked through.
        struct Within {
            /// Names of WITH that hide relations in it.
            hidden: BTreeSet<String>,
            /// Its own ones that are still to be visited, each of which hides nothing in itself and before.
            waiting: VecDeque<String>,
        }
        struct Rewrite<'a, 'b> {
            stars: &'b Stars<'a>,
            within: Vec<Within>,
        }
        impl Rewrite<'_, '_> {
            fn name(&self, factor: &mut TableFactor) -> ControlFlow<String> {
                let TableFactor::Table {
                    name,
                    args: None,
                    alias,
                    ..
                } = factor
                else {
                    return ControlFlow::Continue(());
                };
                let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
                    return ControlFlow::Continue(());
                };
                let is_hidden = |it: &Within| it.hidden.contains(&syntax::known_as(ident));
                if self.within.last().is_some_and(is_hidden) {
                    return ControlFlow::Continue(());
                }
                let Some(columns) = self.stars.columns(&ident.to_string()) else {
                    return ControlFlow::Continue(());
                };
                match syntax::parse_query(&format!("SELECT {columns} FROM {ident}")) {
                    Ok(subquery) => {
                        *factor = syntax::in_place_of(ident, alias.as_ref(), subquery);
                        ControlFlow::Continue(())
                    }
                    Err(error) => ControlFlow::Break(error),
                }
            }
        }
        impl VisitorMut for Rewrite<'_, '_> {
            type Break = String;
            fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
                let around = self.within.last();
                let hidden = around.map_or_else(BTreeSet::new, |it| it.hidden.clone());
                let own = query.with.iter().flat_map(|it| &it.cte_tables);
                let waiting = own.map(|it| syntax::known_as(&it.alias.name)).collect();
                self.within.push(Within { hidden, waiting });
                ControlFlow::Continue(())
            }
            fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
                self.within.pop();
                if let Some(around) = self.within.last_mut() {
                    around.hidden.extend(around.waiting.pop_front());
                }
                ControlFlow::Continue(())
            }
            fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
                match self.stars.names_added {
                    true => ControlFlow::Continue(()),
                    false => self.name(factor),
                }
            }
            fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
                if !self.stars.names_added || !has_star(select) {
                    return ControlFlow::Continue(());
                }
                let mut factors: Vec<&mut TableFactor> =
                    select.from.iter_mut().flat_map(factors).collect();
                factors.iter_mut().try_for_each(|it| self.name(it))
            }
        }
        match self.is_there {
            true => {
                let within = Vec::new();
                walk::query(
                    query,
                    &mut Rewrite {
                        stars: self,
                        within,
                    },
                )
            }
            false => Ok(()),
        }
    }
}

/// Whether a SELECT has a `*`, or names for the columns that one would stand for.
fn has_star(select: &Select) -> bool {
    let is_renamed = |it: &TableFactor| match it {
        TableFactor::Table {
            alias: Some(alias),
            args: None,
            ..
        } => !alias.columns.is_empty(),
        _ => false,
    };
    let is_star = |it: &SelectItem| {
        matches!(
            it,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    };
    let mut from = select.from.clone();
    select.projection.iter().any(is_star)
        || from.iter_mut().flat_map(factors).any(|it| is_renamed(it))
}

/// The relations of an item of FROM, also those in parentheses.
fn factors(from: &mut TableWithJoins) -> Vec<&mut TableFactor> {
    let joined = from.joins.iter_mut().map(|it| &mut it.relation);
    let all = std::iter::once(&mut from.relation).chain(joined);
    all.flat_map(|it| match it {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => factors(table_with_joins),
        other => vec![other],
    })
    .collect()
}

/// The first column that the engine adds which a SELECT names itself, outside the sub-queries of its FROM.
fn named_by(select: &Select) -> Option<&'static str> {
    let mut own = select.clone();
    for factor in own.from.iter_mut().flat_map(factors) {
        if let TableFactor::Derived { subquery, .. } = factor {
            *subquery.body = SetExpr::Values(Values {
                explicit_row: false,
                value_keyword: false,
                rows: Vec::new(),
            });
        }
    }
    let text = own.to_string();
    ADDED.into_iter().find(|it| text.contains(it))
}
