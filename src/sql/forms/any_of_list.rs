//! `value = ANY(list)` where the list may have NULLs.
//!
//! The planner knows three values for ALL, and two for ANY: without a match it is false, also where an element is NULL, so that
//! `NOT (2 = ANY(ARRAY[1, NULL]))` would hold. ANY is what ALL says of the opposite comparison, the other way round.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

/// What the comparison is written as instead; nothing for one that has no opposite.
pub fn by_all(value: &Expr, compared: &BinaryOperator, list: &Expr) -> Option<String> {
    let opposite = match compared {
        BinaryOperator::Eq => "<>",
        BinaryOperator::NotEq => "=",
        BinaryOperator::Lt => ">=",
        BinaryOperator::LtEq => ">",
        BinaryOperator::Gt => "<=",
        BinaryOperator::GtEq => "<",
        _ => return None,
    };
    Some(format!("(NOT ({value}) {opposite} ALL({list}))"))
}

/// Whether it is a list that may have NULLs. Lists of constants have none, and those that a client sends are not known yet.
pub fn may_have_nulls(list: &Expr) -> bool {
    match list {
        Expr::Nested(it) | Expr::Cast { expr: it, .. } => may_have_nulls(it),
        Expr::Array(it) => !it.elem.iter().all(is_constant),
        Expr::Subquery(_) | Expr::Value(_) => false,
        _ => true,
    }
}

fn is_constant(element: &Expr) -> bool {
    matches!(element, Expr::Value(it) if it.value != Value::Null)
}
