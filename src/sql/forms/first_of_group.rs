//! Sub-queries that take the first rows for each outer row, `LATERAL (SELECT … WHERE b.k = a.k ORDER BY … LIMIT n)` and scalar ones: joins with
//! the first rows of each group. And `EXISTS` and `IN` whose result is a value.

use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    Join, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableFactor, TableWithJoins, Value, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Rewrites such sub-queries of a SELECT. Those of other forms stay as they are, and are refused where they cannot be planned.
///
/// # Errors
/// If what takes their place cannot be made.
pub fn rewrite(select: &mut Select, made: &mut usize) -> Result<(), String> {
    let has_star = select
        .projection
        .iter()
        .any(|it| matches!(it, SelectItem::Wildcard(_)));
    if !has_star {
        laterals(select, made)?;
    }
    let mut projection = std::mem::take(&mut select.projection);
    for item in &mut projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            value(expr, select, has_star, made)?;
        }
    }
    select.projection = projection;
    Ok(())
}

fn laterals(select: &mut Select, made: &mut usize) -> Result<(), String> {
    // Those behind a comma become joins of what stands before them.
    let mut from: Vec<TableWithJoins> = Vec::new();
    for mut item in std::mem::take(&mut select.from) {
        let outer: BTreeSet<String> = from.last().map(names_of).unwrap_or_default();
        let first = match from.last_mut() {
            Some(before) => first_rows(&item.relation, &outer, made)?.map(|it| (before, it)),
            None => None,
        };
        match first {
            Some((before, (relation, condition))) => {
                before.joins.push(Join {
                    relation,
                    global: false,
                    join_operator: JoinOperator::Inner(JoinConstraint::On(condition)),
                });
                before.joins.append(&mut item.joins);
            }
            None => from.push(item),
        }
    }
    for item in &mut from {
        let mut outer: BTreeSet<String> = name_of(&item.relation).into_iter().collect();
        for join in &mut item.joins {
            let made_of = first_rows(&join.relation, &outer, made)?;
            if let Some((relation, condition)) = made_of
                && let Some(operator) = with_condition(&join.join_operator, condition)
            {
                join.relation = relation;
                join.join_operator = operator;
            }
            outer.extend(name_of(&join.relation));
        }
    }
    select.from = from;
    Ok(())
}

fn with_condition(operator: &JoinOperator, condition: Expr) -> Option<JoinOperator> {
    let both = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::None => Some(JoinConstraint::On(condition.clone())),
        JoinConstraint::On(it) => Some(JoinConstraint::On(and(
            Expr::Nested(Box::new(it.clone())),
            condition.clone(),
        ))),
        JoinConstraint::Using(_) | JoinConstraint::Natural => None,
    };
    match operator {
        JoinOperator::CrossJoin(it) | JoinOperator::Join(it) | JoinOperator::Inner(it) => {
            both(it).map(JoinOperator::Inner)
        }
        JoinOperator::Left(it) | JoinOperator::LeftOuter(it) => both(it).map(JoinOperator::Left),
        _ => None,
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    }
}

fn names_of(item: &TableWithJoins) -> BTreeSet<String> {
    let relations = std::iter::once(&item.relation).chain(item.joins.iter().map(|it| &it.relation));
    relations.filter_map(name_of).collect()
}

fn name_of(factor: &TableFactor) -> Option<String> {
    let folded = |it: &Ident| match it.quote_style {
        None => it.value.to_lowercase(),
        Some(_) => it.value.clone(),
    };
    match factor {
        TableFactor::Table {
            alias: Some(it), ..
        }
        | TableFactor::Derived {
            alias: Some(it), ..
        } => Some(folded(&it.name)),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().map(folded),
        _ => None,
    }
}

/// A relation of the first rows of each group, and what it is joined by, in the place of a lateral sub-query.
fn first_rows(
    factor: &TableFactor,
    outer: &BTreeSet<String>,
    made: &mut usize,
) -> Result<Option<(TableFactor, Expr)>, String> {
    let TableFactor::Derived {
        lateral: true,
        subquery,
        alias: Some(alias),
        sample: None,
    } = factor
    else {
        return Ok(None);
    };
    if !alias.columns.is_empty() {
        return Ok(None);
    }
    let Some((query, condition)) = grouped(subquery, outer, &alias.name, made) else {
        return Ok(None);
    };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(syntax::parse_query(&query)?),
        alias: Some(alias.clone()),
        sample: None,
    };
    Ok(Some((relation, syntax::parse_expression(&condition)?)))
}

/// The query of the first rows of each group, and the condition that joins them, as SQL; none if the sub-query is of another form.
fn grouped(
    query: &Query,
    outer: &BTreeSet<String>,
    alias: &Ident,
    made: &mut usize,
) -> Option<(String, String)> {
    let Query {
        with: None,
        body,
        order_by,
        limit_clause:
            Some(LimitClause::LimitOffset {
                limit: Some(limit),
                offset,
                limit_by,
            }),
        fetch: None,
        ..
    } = query
    else {
        return None;
    };
    let SetExpr::Select(select) = body.as_ref() else {
        return None;
    };
    let is_grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    if !limit_by.is_empty()
        || is_grouped
        || select.distinct.is_some()
        || select.having.is_some()
        || select.qualify.is_some()
    {
        return None;
    }
    let first: u64 = match offset {
        None => 0,
        Some(it) => it.value.to_string().parse().ok()?,
    };
    let limit: u64 = limit.to_string().parse().ok()?;
    let inner: BTreeSet<String> = select.from.iter().flat_map(names_of).collect();
    let is_outer = |name: &str| outer.contains(name) && !inner.contains(name);
    let (mut keys, mut kept) = (Vec::new(), Vec::new());
    for part in conjuncts(select.selection.as_ref()?) {
        let used = Used::of(part, &is_outer);
        if !used.outer {
            kept.push(part.to_string());
            continue;
        }
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = part
        else {
            return None;
        };
        let (of_left, of_right) = (Used::of(left, &is_outer), Used::of(right, &is_outer));
        match (of_left.outer, of_right.outer) {
            (false, true) if !of_right.inner => keys.push((left, right)),
            (true, false) if !of_left.inner => keys.push((right, left)),
            _ => return None,
        }
    }
    if keys.is_empty() {
        return None;
    }
    let order = match order_by {
        None => String::new(),
        Some(it) => match &it.kind {
            OrderByKind::Expressions(all) => {
                let all = all.iter().map(|it| {
                    let mut it = it.clone();
                    it.expr = ordered_by(&it.expr, &select.projection)?;
                    Some(it.to_string())
                });
                format!(" ORDER BY {}", all.collect::<Option<Vec<_>>>()?.join(", "))
            }
            OrderByKind::All(_) => return None,
        },
    };
    let items: Vec<String> = select
        .projection
        .iter()
        .map(SelectItem::to_string)
        .collect();
    // What else the sub-query may have of the outer row cannot be moved.
    let whole = format!("SELECT {} FROM t{order}", items.join(", "));
    let mut whole = syntax::parse_query(&whole).ok()?;
    if Used::of_query(&mut whole, &is_outer).outer {
        return None;
    }
    let from: Vec<String> = select.from.iter().map(TableWithJoins::to_string).collect();
    let by: Vec<String> = keys.iter().map(|it| it.0.to_string()).collect();
    let mut named = Vec::new();
    let mut conditions = Vec::new();
    for (inner, outer) in &keys {
        *made += 1;
        named.push(format!("{inner} AS __key{made}"));
        conditions.push(format!("{alias}.__key{made} = ({outer})"));
    }
    let filter = match kept.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", kept.join(" AND ")),
    };
    let rank = format!("row_number() OVER (PARTITION BY {}{order})", by.join(", "));
    let ranks = match first {
        0 => format!("{rank} <= {limit}"),
        _ => format!(
            "{rank} BETWEEN {} AND {}",
            first + 1,
            first.checked_add(limit)?
        ),
    };
    let query = format!(
        "SELECT {}, {} FROM {}{filter} QUALIFY {ranks}",
        items.join(", "),
        named.join(", "),
        from.join(", ")
    );
    Some((query, conditions.join(" AND ")))
}

/// What rows are ordered by, where it may be a column of the result.
fn ordered_by(expr: &Expr, projection: &[SelectItem]) -> Option<Expr> {
    match expr {
        Expr::Value(_) => None,
        Expr::Identifier(name) => {
            let computed = projection.iter().find_map(|it| match it {
                SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => {
                    Some(expr.clone())
                }
                _ => None,
            });
            Some(computed.unwrap_or_else(|| expr.clone()))
        }
        other => Some(other.clone()),
    }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        Expr::Nested(it) => conjuncts(it),
        other => vec![other],
    }
}

/// Whose columns an expression has. One without a qualifier is looked for inside first.
struct Used<'a> {
    is_outer: &'a dyn Fn(&str) -> bool,
    outer: bool,
    inner: bool,
}

impl<'a> Used<'a> {
    fn of(expr: &Expr, is_outer: &'a dyn Fn(&str) -> bool) -> Self {
        match syntax::parse_query(&format!("SELECT {expr}")) {
            Ok(mut query) => Used::of_query(&mut query, is_outer),
            Err(_) => Used {
                is_outer,
                outer: true,
                inner: true,
            },
        }
    }

    fn of_query(query: &mut Query, is_outer: &'a dyn Fn(&str) -> bool) -> Self {
        let mut used = Used {
            is_outer,
            outer: false,
            inner: false,
        };
        // It never breaks off.
        let _ = crate::sql::walk::query(query, &mut used);
        used
    }
}

impl VisitorMut for Used<'_> {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::Identifier(_) => self.inner = true,
            Expr::CompoundIdentifier(parts) => {
                let of = parts
                    .first()
                    .map_or(String::new(), |it| match it.quote_style {
                        None => it.value.to_lowercase(),
                        Some(_) => it.value.clone(),
                    });
                match (self.is_outer)(&of) {
                    true => self.outer = true,
                    false => self.inner = true,
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Sub-queries in an expression that a SELECT yields.
fn value(
    expr: &mut Expr,
    select: &mut Select,
    has_star: bool,
    made: &mut usize,
) -> Result<(), String> {
    match expr {
        Expr::Subquery(query) => {
            if let ([item], false) = (select.from.as_mut_slice(), has_star) {
                let outer = names_of(item);
                let alias = Ident::new(format!("__first{}", *made + 1));
                let mut named = query.clone();
                if let SetExpr::Select(it) = named.body.as_mut()
                    && let [
                        SelectItem::UnnamedExpr(of) | SelectItem::ExprWithAlias { expr: of, .. },
                    ] = it.projection.as_slice()
                    && let Some(LimitClause::LimitOffset {
                        limit: Some(Expr::Value(one)),
                        ..
                    }) = &query.limit_clause
                    && one.value == Value::Number("1".to_owned(), false)
                {
                    let of = of.clone();
                    // An order by the name of the value is one by the value.
                    if let [SelectItem::UnnamedExpr(_)] = it.projection.as_slice() {
                        it.projection = vec![SelectItem::ExprWithAlias {
                            expr: of,
                            alias: Ident::new("__value"),
                        }];
                    }
                    let name = match it.projection.as_slice() {
                        [SelectItem::ExprWithAlias { alias, .. }] => alias.clone(),
                        _ => return Ok(()),
                    };
                    if let Some((text, condition)) = grouped(&named, &outer, &alias, made) {
                        let text =
                            format!("SELECT 1 FROM a LEFT JOIN ({text}) AS {alias} ON {condition}");
                        if let SetExpr::Select(it) = *syntax::parse_query(&text)?.body
                            && let Some(from) = it.from.into_iter().next()
                        {
                            item.joins.extend(from.joins);
                            *expr = Expr::CompoundIdentifier(vec![alias, name]);
                        }
                    }
                }
            }
        }
        Expr::Exists { subquery, negated } => {
            if let Some(count) = counted(subquery) {
                let op = if *negated { "= 0" } else { "> 0" };
                *expr = syntax::parse_expression(&format!("(({count}) {op})"))?;
            }
        }
        Expr::InSubquery {
            expr: of,
            subquery,
            negated,
        } if !matches!(of.as_ref(), Expr::Tuple(_)) => {
            let rows = |condition: &str| {
                format!("(SELECT count(*) FROM ({subquery}) AS __in(__of){condition})")
            };
            let (yes, no) = match negated {
                false => ("true", "false"),
                true => ("false", "true"),
            };
            let text = format!(
                "CASE WHEN {} > 0 THEN {yes} WHEN ({of}) IS NULL AND {} > 0 THEN NULL WHEN {} > 0 THEN NULL ELSE {no} END",
                rows(&format!(" WHERE __in.__of = ({of})")),
                rows(""),
                rows(" WHERE __in.__of IS NULL"),
            );
            *expr = syntax::parse_expression(&text)?;
        }
        Expr::Nested(it) | Expr::Cast { expr: it, .. } | Expr::UnaryOp { expr: it, .. } => {
            value(it, select, has_star, made)?;
        }
        Expr::BinaryOp { left, right, .. } => {
            value(left, select, has_star, made)?;
            value(right, select, has_star, made)?;
        }
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            for it in conditions {
                value(&mut it.condition, select, has_star, made)?;
                value(&mut it.result, select, has_star, made)?;
            }
            if let Some(it) = else_result {
                value(it, select, has_star, made)?;
            }
        }
        Expr::Function(call) => {
            if let FunctionArguments::List(list) = &mut call.args {
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) = arg {
                        value(it, select, has_star, made)?;
                    }
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// How many rows a sub-query has, as SQL, if its rows are those of its relations.
fn counted(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let is_grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    let is_aggregate = |it: &SelectItem| match it {
        SelectItem::UnnamedExpr(it) | SelectItem::ExprWithAlias { expr: it, .. } => !matches!(
            it,
            Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)
        ),
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        SelectItem::ExprWithAliases { .. } => true,
    };
    if query.with.is_some()
        || query.limit_clause.is_some()
        || is_grouped
        || select.having.is_some()
        || select.qualify.is_some()
        || select.from.is_empty()
        || select.projection.iter().any(is_aggregate)
    {
        return None;
    }
    let from: Vec<String> = select.from.iter().map(TableWithJoins::to_string).collect();
    let filter = match &select.selection {
        None => String::new(),
        Some(it) => format!(" WHERE {it}"),
    };
    Some(format!("SELECT count(*) FROM {}{filter}", from.join(", ")))
}
