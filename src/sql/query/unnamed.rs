//! Names of the columns that a query gives none: each is called what is written, such as `count(*)` or `a + 1`. The planner would call a 1 `Int64(1)`,
//! and functions of other systems what they stand for.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, SelectItem, SetExpr, Statement};
use std::sync::Arc;

/// What the SELECT of a query says of its columns.
#[derive(Debug, Default)]
pub struct Written {
    /// What is written for those before the first `*` that have no name.
    front: Vec<Option<String>>,
    /// The same for those behind the last `*`, if there is one.
    back: Option<Vec<Option<String>>>,
}

impl Written {
    pub fn of(statement: &DfStatement) -> Self {
        let DfStatement::Statement(statement) = statement else {
            return Written::default();
        };
        let Statement::Query(query) = statement.as_ref() else {
            return Written::default();
        };
        let items = items(query);
        let is_star = |it: &SelectItem| match it {
            SelectItem::Wildcard(_)
            | SelectItem::QualifiedWildcard(..)
            | SelectItem::ExprWithAliases { .. } => true,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => false,
        };
        // A repeated one has a name of its own already.
        let mut seen = Vec::new();
        let mut new = |item: &SelectItem| {
            let text = written(item).filter(|it| !seen.contains(it))?;
            seen.push(text.clone());
            Some(text)
        };
        let mut of = |items: &[SelectItem]| items.iter().map(&mut new).collect();
        let first = items.iter().position(is_star);
        let last = items.iter().rposition(is_star);
        Written {
            front: of(&items[..first.unwrap_or(items.len())]),
            back: last.map(|it| of(&items[it + 1..])),
        }
    }

    /// The plan with these names, but for those that another column has already.
    ///
    /// # Errors
    /// If a node cannot be made anew.
    pub fn named(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let known = self.front.len() + self.back.as_ref().map_or(0, Vec::len);
        let stars = match schema.fields().len().checked_sub(known) {
            Some(0) if self.back.is_none() => 0,
            Some(stars) if self.back.is_some() => stars,
            // A column is several.
            Some(_) | None => return Ok(plan),
        };
        let back = self.back.iter().flatten();
        let unknown = std::iter::repeat_n(&None, stars);
        let written = self.front.iter().chain(unknown).chain(back);
        let written: Vec<Option<&str>> = written.map(Option::as_deref).collect();
        let planned = || schema.fields().iter().map(|it| it.name().as_str());
        let others = planned().zip(&written);
        let taken: Vec<&str> = others.map(|(planned, it)| it.unwrap_or(planned)).collect();
        let is_single = |name: &str| taken.iter().filter(|it| **it == name).count() == 1;
        let mut is_changed = false;
        let columns = schema.iter().zip(&written);
        let columns = columns.map(|((relation, field), written)| {
            let column = Expr::Column((relation, field).into());
            match written {
                Some(it) if it != field.name() && is_single(it) => {
                    is_changed = true;
                    column.alias(*it)
                }
                Some(_) | None => column,
            }
        });
        let columns: Vec<Expr> = columns.collect();
        match is_changed {
            true => Projection::try_new(columns, Arc::new(plan)).map(LogicalPlan::Projection),
            false => Ok(plan),
        }
    }
}

/// What the columns of a query are named after: the first SELECT of several.
fn items(query: &Query) -> &[SelectItem] {
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Select(it) => return &it.projection,
            SetExpr::SetOperation { left, .. } => left,
            SetExpr::Query(it) => &it.body,
            _ => return &[],
        };
    }
}

fn written(item: &SelectItem) -> Option<String> {
    let SelectItem::UnnamedExpr(expr) = item else {
        return None;
    };
    let mut inner = expr;
    while let SqlExpr::Nested(it) = inner {
        inner = it;
    }
    match inner {
        SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) => None,
        _ => Some(expr.to_string()),
    }
}
