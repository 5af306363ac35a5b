//! Windows over a name of WITH: the named query becomes a plain view of the statement's own, of which it is known which records came too late.

use super::{forms, syntax, walk, windows};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectNamePart, Query, TableAlias, TableFactor,
    VisitorMut,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A plain view that a statement brings with it.
pub struct OfStatement {
    pub name: String,
    pub query: Box<Query>,
}

/// Takes the queries of the outermost WITH that windows are over out of a statement, under names of their own; what reads them otherwise stays as it is.
pub fn taken_out(query: &mut Query, statement: &str) -> Result<Vec<OfStatement>, String> {
    let Some(with) = query.with.as_ref().filter(|it| !it.recursive) else {
        return Ok(Vec::new());
    };
    let names = with.cte_tables.iter().map(|it| {
        let name = syntax::known_as(&it.alias.name);
        let own = format!("{statement}${name}");
        (name, own)
    });
    let mut renamed = Renamed {
        names: names.collect(),
        found: BTreeSet::new(),
    };
    walk::query(query, &mut renamed)?;
    let Renamed { names, mut found } = renamed;
    let ctes = query.with.iter().flat_map(|it| &it.cte_tables);
    let mut taken = Vec::new();
    for (at, cte) in ctes
        .clone()
        .enumerate()
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let name = syntax::known_as(&cte.alias.name);
        let Some(own) = names.get(&name).filter(|_| found.contains(&name)) else {
            continue;
        };
        // What it reads of the names before it comes along.
        let before = ctes.clone().take(at);
        let before: BTreeSet<String> = before.map(|it| syntax::known_as(&it.alias.name)).collect();
        let known = names.iter().filter(|it| before.contains(it.0));
        let mut read = Renamed {
            names: known.map(|it| (it.0.clone(), it.1.clone())).collect(),
            found: BTreeSet::new(),
        };
        let mut body = cte.query.clone();
        walk::query(&mut body, &mut Read(&mut read))?;
        found.append(&mut read.found);
        let columns = cte.alias.columns.iter().map(|it| it.name.clone());
        let columns: Vec<Ident> = columns.collect();
        if !columns.is_empty() {
            forms::name_columns(&mut body, &columns).map_err(|_| {
                format!("windows are over `{name}`, so each of its columns is named with AS inside its SELECT")
            })?;
        }
        taken.push(OfStatement {
            name: own.clone(),
            query: body,
        });
    }
    taken.reverse();
    Ok(taken)
}

/// Windows over these names are over others.
struct Renamed {
    names: BTreeMap<String, String>,
    found: BTreeSet<String>,
}

impl VisitorMut for Renamed {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        let Some((_, _, args, alias)) = windows::called(factor) else {
            return ControlFlow::Continue(());
        };
        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of)))) =
            args.first_mut()
        {
            self.rename(of, alias);
        }
        ControlFlow::Continue(())
    }
}

impl Renamed {
    fn rename(&mut self, of: &mut Ident, alias: &mut Option<TableAlias>) {
        let known = syntax::known_as(of);
        if let Some(own) = self.names.get(&known) {
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: of.clone(),
                columns: Vec::new(),
                at: None,
            });
            *of = Ident::with_quote('"', own);
            self.found.insert(known);
        }
    }
}

/// These names are others wherever they are read.
struct Read<'a>(&'a mut Renamed);

impl VisitorMut for Read<'_> {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        if let TableFactor::Table {
            name,
            args: None,
            alias,
            ..
        } = factor
            && let [ObjectNamePart::Identifier(of)] = name.0.as_mut_slice()
        {
            self.0.rename(of, alias);
        }
        ControlFlow::Continue(())
    }
}
