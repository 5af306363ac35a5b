//! `FROM (SELECT *, PROCTIME() AS p FROM t) AS b`, as Flink has processing time in a query: `t` itself, with `PROCTIME()` in the place of `p`. Windows and
//! temporal joins take that for the time at which a record was read.

use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites a SELECT whose first relation is such a sub-query, unless it takes all of its columns.
///
/// # Errors
/// If it cannot be walked through.
pub fn of_records(select: &mut Select) -> Result<(), String> {
    let takes_all = select.projection.iter().any(|it| {
        matches!(
            it,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    let Some(from) = select.from.first_mut().filter(|_| !takes_all) else {
        return Ok(());
    };
    let Some((records, name)) = with_processing_time(&from.relation) else {
        return Ok(());
    };
    let TableFactor::Table { alias, .. } = &records else {
        return Ok(());
    };
    let relation = alias.as_ref().map(|it| syntax::known_as(&it.name));
    from.relation = records;
    let mut put = PutIn {
        relation,
        name,
        depth: 0,
    };
    let mut query = syntax::parse_query("SELECT 1")?;
    *query.body = SetExpr::Select(Box::new(select.clone()));
    walk::query(&mut query, &mut put)?;
    if let SetExpr::Select(changed) = *query.body {
        *select = *changed;
    }
    Ok(())
}

/// The relation of a sub-query that adds nothing but the processing time to its columns, under the name of the sub-query, and the name of that time.
fn with_processing_time(factor: &TableFactor) -> Option<(TableFactor, String)> {
    let TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias),
        ..
    } = factor
    else {
        return None;
    };
    let SetExpr::Select(inner) = subquery.body.as_ref() else {
        return None;
    };
    let [
        SelectItem::Wildcard(_),
        SelectItem::ExprWithAlias { expr, alias: name },
    ] = inner.projection.as_slice()
    else {
        return None;
    };
    let [from] = inner.from.as_slice() else {
        return None;
    };
    let TableFactor::Table { name: records, .. } = &from.relation else {
        return None;
    };
    let written = format!("SELECT *, {expr} AS {name} FROM {records}");
    let is_plain = subquery.to_string() == written && alias.columns.is_empty();
    (is_plain && is_processing_time(expr)).then(|| {
        let mut records = from.relation.clone();
        if let TableFactor::Table { alias: own, .. } = &mut records {
            *own = Some(TableAlias {
                explicit: true,
                ..alias.clone()
            });
        }
        (records, syntax::known_as(name))
    })
}

/// Whether an expression is `PROCTIME()`.
pub fn is_processing_time(expr: &Expr) -> bool {
    expr.to_string().eq_ignore_ascii_case("proctime()")
}

struct PutIn {
    /// The name of the relation.
    relation: Option<String>,
    name: String,
    depth: usize,
}

impl PutIn {
    fn is_it(&self, name: &Ident) -> bool {
        syntax::known_as(name) == self.name
    }
}

impl VisitorMut for PutIn {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let is_it = match &*expr {
            Expr::Identifier(it) => self.is_it(it),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, it] => Some(syntax::known_as(of)) == self.relation && self.is_it(it),
                _ => false,
            },
            _ => false,
        };
        // A name within a sub-query may be another one.
        if is_it && self.depth == 1 {
            match syntax::parse_expression("PROCTIME()") {
                Ok(time) => *expr = time,
                Err(reason) => return ControlFlow::Break(reason),
            }
        }
        ControlFlow::Continue(())
    }
}
