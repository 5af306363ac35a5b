//! `window_time`, as Flink has it beside `window_start` and `window_end`: the last millisecond of a window, also of relations that pass these two on.
//! A `*` has it not.

use super::syntax::{self, known_as};
use super::using::{Known, Names};
use super::{walk, windows};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

const WINDOW_TIME: &str = "window_time";

/// Writes it out in each SELECT over windows, or what passes their bounds on, where no relation has a column of that name.
///
/// # Errors
/// If a part of the query cannot be read again.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a>(Names<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match written_out(select, &self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

fn written_out(select: &mut Select, names: &Names) -> Result<(), String> {
    let mut windows: Vec<Option<String>> = Vec::new();
    for from in &mut select.from {
        let joined = from.joins.iter_mut().map(|it| &mut it.relation);
        for factor in std::iter::once(&mut from.relation).chain(joined) {
            windows.extend(name_of_windows(factor));
        }
    }
    windows.extend(names.relations_with(select, &["window_start", "window_end"]));
    if windows.is_empty() || names.has_column(select, WINDOW_TIME) {
        return Ok(());
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && is_window_time(expr)
        {
            let (expr, alias) = (expr.clone(), Ident::new(WINDOW_TIME));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    let from = std::mem::take(&mut select.from);
    let mut rest = syntax::parse_query("SELECT 1")?;
    *rest.body = SetExpr::Select(Box::new(select.clone()));
    let mut write = Write { windows, depth: 0 };
    walk::query(&mut rest, &mut write)?;
    if let SetExpr::Select(rest) = *rest.body {
        *select = *rest;
    }
    select.from = from;
    Ok(())
}

/// By which name the columns of windows in a FROM are qualified, if it is windows.
fn name_of_windows(factor: &mut TableFactor) -> Option<Option<String>> {
    let (_, _, args, alias) = windows::called(factor)?;
    let own = || args.first().map(|it| it.to_string().to_lowercase());
    Some(match alias {
        Some(it) => Some(known_as(&it.name)),
        None => own(),
    })
}

fn is_window_time(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(it) => known_as(it) == WINDOW_TIME,
        Expr::CompoundIdentifier(parts) => {
            parts.last().is_some_and(|it| known_as(it) == WINDOW_TIME)
        }
        _ => false,
    }
}

/// Puts the time in the place of its name, but not in sub-queries.
struct Write {
    windows: Vec<Option<String>>,
    depth: usize,
}

impl VisitorMut for Write {
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
        if self.depth != 1 || !is_window_time(expr) {
            return ControlFlow::Continue(());
        }
        let of = match &*expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, _] if self.windows.contains(&Some(known_as(of))) => format!("{of}."),
                _ => return ControlFlow::Continue(()),
            },
            _ => String::new(),
        };
        match syntax::parse_expression(&format!("({of}window_end - INTERVAL '1 millisecond')")) {
            Ok(time) => {
                *expr = time;
                ControlFlow::Continue(())
            }
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_millisecond_of_a_window_has_a_name() {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns: &[&str] = match name {
                "t" => &["a", "at"],
                "w" => &["a", "window_time"],
                _ => return None,
            };
            Some(columns.iter().map(|it| (*it).to_owned()).collect())
        };
        const TIME: &str = "window_end - INTERVAL '1 millisecond')";
        for (text, expected) in [
            (
                "SELECT window_time, count(*) FROM TUMBLE(t, at, INTERVAL '1' HOUR) WHERE a IN (SELECT window_time FROM w) GROUP BY window_start, window_end, window_time",
                format!("SELECT ({TIME} AS window_time, count(*) FROM TUMBLE(t, at, INTERVAL '1' HOUR) WHERE a IN (SELECT window_time FROM w) GROUP BY window_start, window_end, ({TIME}"),
            ),
            (
                "SELECT x.window_time AS s, y.window_time FROM TUMBLE(t, at, INTERVAL '1' HOUR) AS x, w AS y",
                "SELECT x.window_time AS s, y.window_time FROM TUMBLE(t, at, INTERVAL '1' HOUR) AS x, w AS y".to_owned(),
            ),
            (
                "SELECT x.window_time AS s FROM TUMBLE(t, at, INTERVAL '1' HOUR) AS x",
                format!("SELECT (x.{TIME} AS s FROM TUMBLE(t, at, INTERVAL '1' HOUR) AS x"),
            ),
            // Of what passes the bounds on.
            (
                "SELECT x.window_time AS s, n FROM (SELECT *, count(*) OVER () AS n FROM TUMBLE(t, at, INTERVAL '1' HOUR)) AS x JOIN t ON t.a = x.a",
                format!("SELECT (x.{TIME} AS s, n FROM (SELECT *, count(*) OVER () AS n FROM TUMBLE(t, at, INTERVAL '1' HOUR)) AS x JOIN t ON t.a = x.a"),
            ),
            (
                "WITH x AS (SELECT * FROM TUMBLE(t, at, INTERVAL '1' HOUR)) SELECT count(*) FROM (SELECT * FROM x UNION ALL SELECT * FROM x) GROUP BY window_time",
                format!("WITH x AS (SELECT * FROM TUMBLE(t, at, INTERVAL '1' HOUR)) SELECT count(*) FROM (SELECT * FROM x UNION ALL SELECT * FROM x) GROUP BY ({TIME}"),
            ),
            // One of the two is not enough.
            (
                "SELECT window_time FROM (SELECT a, window_end FROM TUMBLE(t, at, INTERVAL '1' HOUR)) AS x",
                "SELECT window_time FROM (SELECT a, window_end FROM TUMBLE(t, at, INTERVAL '1' HOUR)) AS x".to_owned(),
            ),
            // A column of that name, which other windows may be over.
            (
                "SELECT window_time FROM TUMBLE(w, window_time, INTERVAL '1' HOUR)",
                "SELECT window_time FROM TUMBLE(w, window_time, INTERVAL '1' HOUR)".to_owned(),
            ),
        ] {
            let mut query = syntax::parse_query(text).unwrap();
            rewrite(&mut query, &known).unwrap();
            assert_eq!(query.to_string(), expected, "{text}");
        }
    }
}
