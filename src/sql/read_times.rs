//! `PROCTIME()` of records, as Flink has it: `PROCTIME() AS p` in a SELECT, and `ORDER BY PROCTIME()` of a window function. It is when each record was
//! read, and so stands for that in a SELECT over one source or table. In conditions it is `now()`.

use super::forms::is_processing_time;
use super::using::{Known, Names};
use super::windows::READ_TIME;
use super::{syntax, walk};
use crate::plan::Dataflow;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, ObjectNamePart, Query, Select, SelectItem, TableFactor, VisitorMut,
    WindowType,
};
use std::ops::ControlFlow;

const RECORDS: &str = "PROCTIME() as a value is when a record was read, so it stands in a SELECT over one source without PRIMARY KEY or one table, without GROUP BY";

/// Puts the time at which records were read in its place.
///
/// # Errors
/// If it is the value of something else than records.
pub fn rewrite(query: &mut Query, dataflow: &Dataflow, known: &Known) -> Result<(), String> {
    struct Rewrite<'a> {
        dataflow: &'a Dataflow,
        names: Names<'a>,
    }
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.names.note(query);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match in_select(select, self.dataflow, &self.names) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let names = Names::new(known);
    walk::query(query, &mut Rewrite { dataflow, names })
}

fn in_select(select: &mut Select, dataflow: &Dataflow, names: &Names) -> Result<(), String> {
    let mut put = PutIn {
        time: syntax::parse_expression(READ_TIME)?,
        is_there: false,
    };
    let mut changed = select.clone();
    for item in &mut changed.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            put.in_value(expr)?;
        }
    }
    if let Some(condition) = &mut changed.qualify {
        walk::own_expressions(condition, &mut |it| put.in_order(it))?;
    }
    if !put.is_there {
        return Ok(());
    }
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    if is_grouped || !is_of_records(select, dataflow) {
        return Err(RECORDS.to_owned());
    }
    // The epoch is no column that a `*` stands for.
    if let Some(items) = names.items(&changed)? {
        changed.projection = items;
    }
    *select = changed;
    Ok(())
}

/// Whether a SELECT is over one source or table whose rows do not replace each other.
fn is_of_records(select: &Select, dataflow: &Dataflow) -> bool {
    let [from] = select.from.as_slice() else {
        return false;
    };
    let TableFactor::Table {
        name, args: None, ..
    } = &from.relation
    else {
        return false;
    };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
        return false;
    };
    let name = syntax::known_as(name);
    let is_source = dataflow.source(&name).is_some_and(|it| it.key.is_none());
    from.joins.is_empty() && (is_source || dataflow.tables.iter().any(|it| it.name == name))
}

struct PutIn {
    time: Expr,
    is_there: bool,
}

impl PutIn {
    /// In a value of a SELECT, if it is this, or has window functions in this order.
    fn in_value(&mut self, expr: &mut Expr) -> Result<(), String> {
        if is_processing_time(expr) {
            *expr = self.time.clone();
            self.is_there = true;
        }
        walk::own_expressions(expr, &mut |it| self.in_order(it))
    }

    /// In the order of a window function.
    fn in_order(&mut self, expr: &mut Expr) -> Result<(), String> {
        if let Expr::Function(call) = expr
            && let Some(WindowType::WindowSpec(over)) = &mut call.over
        {
            let order = over.order_by.iter_mut();
            for it in order.filter(|it| is_processing_time(&it.expr)) {
                it.expr = self.time.clone();
                self.is_there = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::tests::planned;

    fn of(query: &str) -> Result<String, String> {
        let text = format!(
            "CREATE SOURCE o (k TEXT, n INT, at TIMESTAMP, p AS PROCTIME(), WATERMARK FOR at) WITH (connector = 'files', path = 'o') FORMAT JSON;
             CREATE SOURCE r (k TEXT, n INT, PRIMARY KEY (k)) WITH (connector = 'files', path = 'r') FORMAT JSON;
             CREATE MATERIALIZED VIEW v AS {query}"
        );
        let planned = planned(&text).map_err(|it| it.to_string())?;
        let schema = planned.views[0].plan.schema();
        let names = schema.fields().iter().map(|it| it.name().clone());
        Ok(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn it_is_when_records_were_read() {
        for (query, columns) in [
            ("SELECT k, PROCTIME() AS t FROM o", "k t"),
            ("SELECT *, proctime() AS t FROM o WHERE n > 1", "k n at p t"),
            (
                "SELECT k, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY PROCTIME() DESC) AS i FROM o) AS t WHERE i = 1",
                "k n",
            ),
            (
                "SELECT k, sum(n) OVER (PARTITION BY k ORDER BY proctime() ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS s FROM o",
                "k s",
            ),
            (
                "SELECT k FROM o WHERE at > PROCTIME() - INTERVAL '1' MINUTE",
                "k",
            ),
        ] {
            assert_eq!(of(query).as_deref(), Ok(columns), "{query}");
        }
    }

    #[test]
    fn of_other_rows_it_is_refused() {
        for query in [
            "SELECT k, PROCTIME() AS t FROM r",
            "SELECT o.k, PROCTIME() AS t FROM o JOIN r ON o.k = r.k",
            "SELECT k, count(*) AS c, PROCTIME() AS t FROM o GROUP BY k",
        ] {
            let error = of(query).expect_err(query);
            assert!(
                error.contains("PROCTIME() as a value"),
                "{query}\n  {error}"
            );
        }
    }
}
