//! `OVER (w ROWS …)` and `WINDOW v AS (w ORDER BY …)`: a window that is another one and more, as one window of its own.

use crate::sql::syntax::known_as;
use crate::sql::walk;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderBy, OrderByKind, Query, Select,
    SetExpr, WindowSpec, WindowType,
};

/// The windows that a SELECT names, by name.
pub type Named = Vec<(String, WindowSpec)>;

/// Writes out the windows of a WINDOW clause that are made from earlier ones.
///
/// # Errors
/// If one is made from a window that is not defined before it, or cannot be more than it.
pub fn defined(select: &mut Select) -> Result<Named, String> {
    let mut named: Named = Vec::new();
    for NamedWindowDefinition(name, window) in &mut select.named_window {
        let spec = match window {
            NamedWindowExpr::NamedWindow(of) => of_name(&named, of)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => {
                extend(spec, &named)?;
                spec.clone()
            }
        };
        *window = NamedWindowExpr::WindowSpec(spec.clone());
        named.push((known_as(name), spec));
    }
    Ok(named)
}

/// Writes out the window of a function that is made from a named one.
///
/// # Errors
/// If there is no window of that name, or it cannot be extended in that way.
pub fn write_out(expr: &mut Expr, named: &[(String, WindowSpec)]) -> Result<(), String> {
    match expr {
        Expr::Function(call) => match &mut call.over {
            Some(WindowType::WindowSpec(spec)) => extend(spec, named),
            Some(WindowType::NamedWindow(_)) | None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Writes out `OVER w` in QUALIFY and in ORDER BY: the planner looks for named windows in the columns alone.
///
/// # Errors
/// If there is no window of that name.
pub fn beside_columns(query: &mut Query, named: &[(String, WindowSpec)]) -> Result<(), String> {
    // Those of sub-queries are their own.
    let mut by_what_it_is = |expr: &mut Expr| {
        if let Expr::Function(call) = expr
            && let Some(WindowType::NamedWindow(name)) = &call.over
        {
            call.over = Some(WindowType::WindowSpec(of_name(named, name)?.clone()));
        }
        Ok(())
    };
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(it) = &mut select.qualify
    {
        walk::own_expressions(it, &mut by_what_it_is)?;
    }
    if let Some(OrderBy {
        kind: OrderByKind::Expressions(all),
        ..
    }) = &mut query.order_by
    {
        for it in all {
            walk::own_expressions(&mut it.expr, &mut by_what_it_is)?;
        }
    }
    Ok(())
}

fn extend(spec: &mut WindowSpec, named: &[(String, WindowSpec)]) -> Result<(), String> {
    let Some(name) = spec.window_name.take() else {
        return Ok(());
    };
    let of = of_name(named, &name)?;
    if !spec.partition_by.is_empty() {
        return Err(format!(
            "a window that is made from `{name}` has the PARTITION BY of `{name}`, and cannot have another one; write the whole window in OVER (…)"
        ));
    }
    if !spec.order_by.is_empty() && !of.order_by.is_empty() {
        return Err(format!(
            "the window `{name}` has an ORDER BY already; write the whole window in OVER (…)"
        ));
    }
    if of.window_frame.is_some() {
        return Err(format!(
            "the window `{name}` has a frame, and nothing can be made from it; write OVER {name}, or the whole window in OVER (…)"
        ));
    }
    spec.partition_by.clone_from(&of.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&of.order_by);
    }
    Ok(())
}

fn of_name<'a>(named: &'a [(String, WindowSpec)], name: &Ident) -> Result<&'a WindowSpec, String> {
    let wanted = known_as(name);
    let known = named.iter().find(|it| it.0 == wanted);
    known.map(|it| &it.1).ok_or_else(|| {
        format!("there is no window `{name}`; define it in the WINDOW clause, above those that are made from it")
    })
}
