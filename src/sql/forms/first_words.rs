//! `FROM t SELECT a` and `FROM t`, as DuckDB has them, and `ORDER BY ALL`.

use datafusion::sql::sqlparser::ast::{
    Expr, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr,
    Value, WildcardAdditionalOptions,
};

/// A SELECT whose FROM came first is one whose SELECT does; without a SELECT it has all columns.
pub fn select_before_from(select: &mut Select) {
    match std::mem::replace(&mut select.flavor, SelectFlavor::Standard) {
        SelectFlavor::Standard | SelectFlavor::FromFirst => {}
        SelectFlavor::FromFirstNoSelect => {
            let all = WildcardAdditionalOptions::default();
            select.projection = vec![SelectItem::Wildcard(all)];
        }
    }
}

/// `ORDER BY ALL` is by the columns of a query, from the first on.
///
/// # Errors
/// If the columns of the query cannot be told by looking at it.
pub fn order_by_all(query: &mut Query) -> Result<(), String> {
    let Some(OrderBy { kind, .. }) = &mut query.order_by else {
        return Ok(());
    };
    let OrderByKind::All(options) = kind else {
        return Ok(());
    };
    let is_star = |it: &SelectItem| {
        matches!(
            it,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    };
    let items = first_select(&query.body).map_or(&[][..], |it| &it.projection);
    if items.is_empty() || items.iter().any(is_star) {
        return Err("ORDER BY ALL stands behind a SELECT that names its columns".to_owned());
    }
    let all = (1..=items.len()).map(|it| OrderByExpr {
        expr: Expr::value(Value::Number(it.to_string(), false)),
        options: *options,
        with_fill: None,
    });
    *kind = OrderByKind::Expressions(all.collect());
    Ok(())
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(it) => Some(it),
        SetExpr::SetOperation { left, .. } => first_select(left),
        SetExpr::Query(it) => first_select(&it.body),
        _ => None,
    }
}
