//! `TUMBLE((SELECT …), time, size)` and the other functions of windows over a sub-query: a query of the outermost WITH under a name of its own, of
//! which it is known which records came too late.

use crate::sql::{syntax, walk, windows};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, TableFactor, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Names such sub-queries.
///
/// # Errors
/// If one reads a name of a WITH that is not the outermost one.
pub fn named(query: &mut Query) -> Result<(), String> {
    let mut naming = Naming::default();
    let mut ctes = Vec::new();
    let with = query.with.take();
    for cte in with.iter().flat_map(|it| &it.cte_tables) {
        let mut cte = cte.clone();
        ctes.extend(naming.taken_out(&mut cte.query)?);
        ctes.push(cte.to_string());
    }
    ctes.extend(naming.taken_out(query)?);
    query.with = match (with, naming.made) {
        (with, 0) => with,
        (with, _) => {
            let recursive = with.is_some_and(|it| it.recursive);
            let recursive = if recursive { "RECURSIVE " } else { "" };
            let text = format!("WITH {recursive}{} SELECT 1", ctes.join(", "));
            syntax::parse_query(&text)?.with
        }
    };
    Ok(())
}

#[derive(Default)]
struct Naming {
    /// How many names were made up so far.
    made: usize,
    /// Queries with their names, as SQL.
    taken: Vec<String>,
    /// Names of WITH that are known in a part of the query alone.
    inner: BTreeSet<String>,
}

impl Naming {
    /// The sub-queries of a query, each behind those that it reads.
    fn taken_out(&mut self, query: &mut Query) -> Result<Vec<String>, String> {
        self.inner.clear();
        walk::query(query, self)?;
        Ok(std::mem::take(&mut self.taken))
    }
}

impl VisitorMut for Naming {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let inner = query.with.iter().flat_map(|it| &it.cte_tables);
        self.inner
            .extend(inner.map(|it| syntax::known_as(&it.alias.name)));
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        let Some((_, function, args, _)) = windows::called(factor) else {
            return ControlFlow::Continue(());
        };
        let function = function.to_string().to_uppercase();
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = args.first_mut() else {
            return ControlFlow::Continue(());
        };
        let Expr::Subquery(query) = &*of else {
            return ControlFlow::Continue(());
        };
        let mut read = Read::default();
        if let Err(reason) = walk::query(&mut query.as_ref().clone(), &mut read) {
            return ControlFlow::Break(reason);
        }
        if let Some(name) = read.0.intersection(&self.inner).next() {
            return ControlFlow::Break(format!(
                "{function} over a sub-query that reads `{name}` of a WITH within the query; write that WITH at the beginning of the statement"
            ));
        }
        self.made += 1;
        let name = format!("__windowed{}", self.made);
        self.taken.push(format!("{name} AS ({query})"));
        *of = Expr::Identifier(Ident::new(name));
        ControlFlow::Continue(())
    }
}

/// Names of relations that a query reads.
#[derive(Default)]
struct Read(BTreeSet<String>);

impl VisitorMut for Read {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        if let TableFactor::Table {
            name, args: None, ..
        } = &*factor
        {
            let name = name.0.last().and_then(|it| it.as_ident());
            self.0.extend(name.map(syntax::known_as));
        }
        if let Some((_, _, args, _)) = windows::called(factor)
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of)))) =
                args.first()
        {
            self.0.insert(syntax::known_as(of));
        }
        ControlFlow::Continue(())
    }
}
