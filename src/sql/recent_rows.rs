//! Aggregates of the rows that a comparison with `now()` holds for, beside others: `count(*) FILTER (WHERE at > now() - INTERVAL '1' HOUR)`, and
//! `sum(CASE WHEN at > now() - … THEN n ELSE 0 END)`.
//!
//! A view keeps such comparisons in its WHERE alone. So the groups of all rows are joined, by their keys, with the groups of those rows:
//!
//! ```text
//! SELECT k, count(*), count(*) FILTER (WHERE recent) FROM t GROUP BY k
//!   =  SELECT g.k, g.count, coalesce(r.count, 0)
//!      FROM (SELECT k, count(*) … FROM t GROUP BY k) g LEFT JOIN (SELECT k, count(*) … FROM t WHERE recent GROUP BY k) r
//!        ON g.k IS NOT DISTINCT FROM r.k
//! ```
//!
//! Groups without such a row stay. A query that is asked once has one `now()`, and needs nothing of this.

use super::inside_aggregates::is_aggregate;
use super::using::{Known, Names};
use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableWithJoins, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites the SELECTs of a query that have such aggregates. What is of another form stays, and is refused where it is lowered.
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
        fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            let Query { body, order_by, .. } = query;
            match in_set(body, order_by.as_mut(), &self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

fn in_set(body: &mut SetExpr, order: Option<&mut OrderBy>, names: &Names) -> Result<(), String> {
    match body {
        SetExpr::Select(select) => {
            if let Some(joined) = joined(select, order, names)? {
                *body = joined;
            }
            Ok(())
        }
        SetExpr::SetOperation { left, right, .. } => {
            in_set(left, None, names)?;
            in_set(right, None, names)
        }
        _ => Ok(()),
    }
}

/// The join that a SELECT is, if it has such aggregates.
fn joined(
    select: &Select,
    order: Option<&mut OrderBy>,
    names: &Names,
) -> Result<Option<SetExpr>, String> {
    let is_plain = select.qualify.is_none()
        && select.named_window.is_empty()
        && !matches!(select.distinct, Some(Distinct::On(_)));
    let has_now = |it: &SelectItem| mentions_now(&it.to_string());
    let in_having = select.having.as_ref();
    let in_having = in_having.is_some_and(|it| mentions_now(&it.to_string()));
    if !is_plain || !(in_having || select.projection.iter().any(has_now)) {
        return Ok(None);
    }
    let Some(keys) = keys(select, names) else {
        return Ok(None);
    };
    let mut groups = Groups {
        keys,
        is_of_one: matches!(select.from.as_slice(), [one] if one.joins.is_empty()),
        ..Groups::default()
    };
    let mut items = Vec::new();
    for item in &select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            _ => return Ok(None),
        };
        let alias = alias.unwrap_or_else(|| match expr {
            Expr::Identifier(it) => it.clone(),
            Expr::CompoundIdentifier(parts) => parts.last().cloned().unwrap_or(Ident::new("")),
            other => Ident::with_quote('"', other.to_string().replace('"', "")),
        });
        items.push(format!("{} AS {alias}", groups.over(expr)?));
    }
    let having = select.having.as_ref();
    let having = having.map(|it| groups.over(it)).transpose()?;
    let mut ordered = Vec::new();
    if let Some(order) = &order
        && let OrderByKind::Expressions(exprs) = &order.kind
    {
        for it in exprs {
            ordered.push(groups.over(&it.expr)?);
        }
    }
    if groups.is_other || groups.recent.is_empty() {
        return Ok(None);
    }
    if let Some(order) = order
        && let OrderByKind::Expressions(exprs) = &mut order.kind
    {
        for (it, expr) in exprs.iter_mut().zip(ordered) {
            it.expr = expr;
        }
    }
    let distinct = select.distinct.as_ref();
    let distinct = distinct.map_or(String::new(), |it| format!("{it} "));
    let condition = having.map_or(String::new(), |it| format!(" WHERE {it}"));
    let text = format!(
        "SELECT {distinct}{} FROM {}{condition}",
        items.join(", "),
        groups.joined(&select.from, select.selection.as_ref())
    );
    Ok(Some(*syntax::parse_query(&text)?.body))
}

/// What a SELECT groups by; none if that cannot be told, or there are several groupings.
fn keys(select: &Select, names: &Names) -> Option<Vec<Expr>> {
    let GroupByExpr::Expressions(exprs, modifiers) = &select.group_by else {
        return None;
    };
    if !modifiers.is_empty() {
        return None;
    }
    let item = |at: usize| match select.projection.get(at)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            Some(expr.clone())
        }
        _ => None,
    };
    let key = |it: &Expr| match it {
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => None,
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => item(number.parse::<usize>().ok()?.checked_sub(1)?),
            _ => None,
        },
        Expr::Identifier(name) => {
            let is_it = |it: &SelectItem| match it {
                SelectItem::ExprWithAlias { alias, .. } => {
                    syntax::known_as(alias) == syntax::known_as(name)
                }
                _ => false,
            };
            let of_select = select.projection.iter().position(is_it);
            match of_select.filter(|_| !names.has_column(select, &syntax::known_as(name))) {
                Some(at) => item(at),
                None => Some(it.clone()),
            }
        }
        other => Some(other.clone()),
    };
    exprs.iter().map(key).collect()
}

/// The groups of all rows, and those of rows that conditions hold for.
#[derive(Default)]
struct Groups {
    keys: Vec<Expr>,
    /// Whether there is one relation, whose columns need not be qualified.
    is_of_one: bool,
    /// Aggregates of all rows.
    all: Vec<String>,
    /// Each condition, and the aggregates of the rows it holds for.
    recent: Vec<(String, Vec<String>)>,
    queries: usize,
    /// Whether something is of a form that is not understood.
    is_other: bool,
}

impl Groups {
    /// An expression over the groups.
    fn over(&mut self, expr: &Expr) -> Result<Expr, String> {
        let mut over = expr.clone();
        walk::expression(&mut over, self)?;
        Ok(over)
    }

    fn is_key(&self, expr: &Expr) -> Option<usize> {
        let name = |it: &Expr| match it {
            Expr::Identifier(it) => Some(syntax::known_as(it)),
            Expr::CompoundIdentifier(parts) => parts.last().map(syntax::known_as),
            _ => None,
        };
        let same = |key: &Expr| match (name(key), name(expr)) {
            (Some(key), Some(name)) if self.is_of_one => key == name,
            _ => key == expr,
        };
        self.keys.iter().position(same)
    }

    fn aggregate(&mut self, call: &Function) -> Option<String> {
        let text = call.to_string();
        if !mentions_now(&text) {
            return Some(format!("__g.__a{}", place(&mut self.all, text)));
        }
        let Recent {
            condition,
            aggregate,
            otherwise,
        } = Recent::of(call)?;
        let known = self.recent.iter().position(|it| it.0 == condition);
        let at = known.unwrap_or_else(|| {
            self.recent.push((condition, Vec::new()));
            self.recent.len() - 1
        });
        let relation = format!("__r{}", at + 1);
        let aggregates = &mut self.recent.get_mut(at)?.1;
        let value = format!("{relation}.__a{}", place(aggregates, aggregate));
        Some(match otherwise {
            Otherwise::Null => value,
            Otherwise::Zero => format!("coalesce({value}, 0)"),
            Otherwise::ZeroOfOthers => format!(
                "CASE WHEN {value} IS NULL AND coalesce({relation}.__n, 0) < __g.__n THEN 0 ELSE {value} END"
            ),
        })
    }

    /// The FROM that all is selected from.
    fn joined(&self, from: &[TableWithJoins], condition: Option<&Expr>) -> String {
        let from: Vec<String> = from.iter().map(TableWithJoins::to_string).collect();
        let from = from.join(", ");
        let keys: Vec<String> = self.keys.iter().map(Expr::to_string).collect();
        let by = match keys.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", keys.join(", ")),
        };
        let grouped = |aggregates: &[String], condition: Option<String>| {
            let keys = keys.iter().enumerate();
            let keys = keys.map(|(at, it)| format!("{it} AS __k{}", at + 1));
            let aggregates = aggregates.iter().enumerate();
            let aggregates = aggregates.map(|(at, it)| format!("{it} AS __a{}", at + 1));
            let items: Vec<String> = keys.chain(aggregates).collect();
            let items: String = items.iter().map(|it| format!("{it}, ")).collect();
            let condition = condition.map_or(String::new(), |it| format!(" WHERE {it}"));
            format!("(SELECT {items}count(*) AS __n FROM {from}{condition}{by})")
        };
        let mut text = format!(
            "{} AS __g",
            grouped(&self.all, condition.map(Expr::to_string))
        );
        for (at, (recent, aggregates)) in self.recent.iter().enumerate() {
            let relation = format!("__r{}", at + 1);
            let both = match condition {
                None => recent.clone(),
                Some(it) => format!("({it}) AND ({recent})"),
            };
            let grouped = grouped(aggregates, Some(both));
            let same = (1..=self.keys.len())
                .map(|it| format!("__g.__k{it} IS NOT DISTINCT FROM {relation}.__k{it}"));
            let same: Vec<String> = same.collect();
            text += &match same.is_empty() {
                true => format!(" CROSS JOIN {grouped} AS {relation}"),
                false => format!(
                    " LEFT JOIN {grouped} AS {relation} ON {}",
                    same.join(" AND ")
                ),
            };
        }
        text
    }
}

/// The number of a text in a list, from 1 on.
fn place(all: &mut Vec<String>, text: String) -> usize {
    let known = all.iter().position(|it| *it == text);
    let at = known.unwrap_or_else(|| {
        all.push(text);
        all.len() - 1
    });
    at + 1
}

impl VisitorMut for Groups {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.queries += 1;
        self.is_other = true;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if 0 < self.queries {
            return ControlFlow::Continue(());
        }
        let instead = match &*expr {
            key if let Some(at) = self.is_key(key) => Some(format!("__g.__k{}", at + 1)),
            Expr::Function(call) if is_aggregate(expr) => self.aggregate(call),
            Expr::Function(call) if call.over.is_some() => None,
            _ => return ControlFlow::Continue(()),
        };
        let Some(text) = instead else {
            self.is_other = true;
            return ControlFlow::Continue(());
        };
        match syntax::parse_expression(&text) {
            Ok(over) => {
                *expr = Expr::Nested(Box::new(over));
                ControlFlow::Continue(())
            }
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

/// What a group has that no row of it is of.
enum Otherwise {
    Null,
    Zero,
    /// 0 for each row that the condition does not hold for, if there is one.
    ZeroOfOthers,
}

/// An aggregate of rows that a condition holds for.
struct Recent {
    condition: String,
    aggregate: String,
    otherwise: Otherwise,
}

impl Recent {
    fn of(call: &Function) -> Option<Self> {
        const COUNTS: [&str; 3] = ["count", "approx_distinct", "regr_count"];
        let name = call.name.to_string().to_lowercase();
        let otherwise = match COUNTS.contains(&name.as_str()) {
            true => Otherwise::Zero,
            false => Otherwise::Null,
        };
        let mut plain = call.clone();
        if let Some(condition) = call.filter.as_ref()
            && mentions_now(&condition.to_string())
        {
            plain.filter = None;
            let aggregate = plain.to_string();
            return (!mentions_now(&aggregate)).then(|| Recent {
                condition: condition.to_string(),
                aggregate,
                otherwise,
            });
        }
        let FunctionArguments::List(list) = &mut plain.args else {
            return None;
        };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_mut_slice()
        else {
            return None;
        };
        let Expr::Case {
            operand: None,
            conditions,
            else_result,
            ..
        } = argument.clone()
        else {
            return None;
        };
        let [when] = conditions.as_slice() else {
            return None;
        };
        let others = else_result.map_or_else(|| "NULL".to_owned(), |it| it.to_string());
        let otherwise = match others.as_str() {
            it if it.eq_ignore_ascii_case("NULL") => otherwise,
            "0" if name == "sum" && call.filter.is_none() => Otherwise::ZeroOfOthers,
            _ => return None,
        };
        *argument = when.result.clone();
        let aggregate = plain.to_string();
        (!mentions_now(&aggregate)).then(|| Recent {
            condition: when.condition.to_string(),
            aggregate,
            otherwise,
        })
    }
}

fn mentions_now(text: &str) -> bool {
    const NAMES: [&str; 5] = [
        "now()",
        "current_timestamp",
        "localtimestamp",
        "proctime()",
        "current_date",
    ];
    let text = text.to_lowercase();
    NAMES.iter().any(|it| text.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns = ["k", "n", "at"].map(str::to_owned);
            (name == "t").then(|| columns.into())
        };
        let mut query = syntax::parse_query(text)?;
        rewrite(&mut query, &known)?;
        Ok(query.to_string())
    }

    #[test]
    fn groups_are_joined_with_those_of_recent_rows() {
        const RECENT: &str = "at > now() - INTERVAL '1' HOUR";
        for (text, expected) in [
            (
                format!(
                    "SELECT t.k, max(n), count(*) FILTER (WHERE {RECENT}) AS c FROM t WHERE n > 0 GROUP BY k HAVING max(n) > 1 ORDER BY count(*) FILTER (WHERE {RECENT}), k"
                ),
                format!(
                    r#"SELECT (__g.__k1) AS k, (__g.__a1) AS "max(n)", (coalesce(__r1.__a1, 0)) AS c FROM (SELECT k AS __k1, max(n) AS __a1, count(*) AS __n FROM t WHERE n > 0 GROUP BY k) AS __g LEFT JOIN (SELECT k AS __k1, count(*) AS __a1, count(*) AS __n FROM t WHERE (n > 0) AND ({RECENT}) GROUP BY k) AS __r1 ON __g.__k1 IS NOT DISTINCT FROM __r1.__k1 WHERE (__g.__a1) > 1 ORDER BY (coalesce(__r1.__a1, 0)), (__g.__k1)"#
                ),
            ),
            (
                format!(
                    "SELECT sum(CASE WHEN {RECENT} THEN n ELSE 0 END) AS s, avg(CASE WHEN {RECENT} THEN n END) AS a FROM t"
                ),
                format!(
                    "SELECT (CASE WHEN __r1.__a1 IS NULL AND coalesce(__r1.__n, 0) < __g.__n THEN 0 ELSE __r1.__a1 END) AS s, (__r1.__a2) AS a FROM (SELECT count(*) AS __n FROM t) AS __g CROSS JOIN (SELECT sum(n) AS __a1, avg(n) AS __a2, count(*) AS __n FROM t WHERE {RECENT}) AS __r1"
                ),
            ),
            (
                format!(
                    "SELECT n % 2 AS odd, count(*) FILTER (WHERE {RECENT}) + 1 AS c FROM t GROUP BY odd"
                ),
                format!(
                    "SELECT (__g.__k1) AS odd, (coalesce(__r1.__a1, 0)) + 1 AS c FROM (SELECT n % 2 AS __k1, count(*) AS __n FROM t GROUP BY n % 2) AS __g LEFT JOIN (SELECT n % 2 AS __k1, count(*) AS __a1, count(*) AS __n FROM t WHERE {RECENT} GROUP BY n % 2) AS __r1 ON __g.__k1 IS NOT DISTINCT FROM __r1.__k1"
                ),
            ),
        ] {
            assert_eq!(written_out(&text), Ok(expected), "{text}");
        }
        // What is not one of rows that a condition holds for stays as it is written.
        for text in [
            "SELECT k, count(*) FROM t WHERE at > now() - INTERVAL '1' HOUR GROUP BY k".to_owned(),
            "SELECT max(now() - at) FROM t".to_owned(),
            format!("SELECT sum(CASE WHEN {RECENT} THEN n ELSE 1 END) FROM t"),
            format!("SELECT k, count(*) FILTER (WHERE {RECENT}) FROM t GROUP BY ROLLUP (k)"),
        ] {
            assert_eq!(written_out(&text), Ok(text.clone()), "{text}");
        }
    }
}
