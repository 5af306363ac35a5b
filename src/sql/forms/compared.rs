//! `value < ANY (SELECT …)` and `value >= ALL (SELECT …)` over rows of another name than those around them.
//!
//! The planner compares the value with the column by their names: in a comparison with rows of the same relation both are `t.v`, and what it
//! compares is the column with itself.

use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, SetExpr, TableFactor};

/// What the rows are called, with a number.
const NAME: &str = "__compared";

/// Gives the rows that a value is compared with a name of their own.
///
/// # Errors
/// If the sub-query cannot be read again.
pub fn with_rows(expr: &mut Expr, made: &mut usize) -> Result<(), String> {
    let (Expr::AnyOp {
        left,
        compare_op,
        right,
        ..
    }
    | Expr::AllOp {
        left,
        compare_op,
        right,
    }) = &*expr
    else {
        return Ok(());
    };
    let Expr::Subquery(query) = right.as_ref() else {
        return Ok(());
    };
    // These are IN and NOT IN.
    let is_in = match expr {
        Expr::AnyOp { .. } => *compare_op == BinaryOperator::Eq,
        _ => *compare_op == BinaryOperator::NotEq,
    };
    if is_in || super::row(left).is_some() || is_named(query) {
        return Ok(());
    }
    *made += 1;
    let name = format!("{NAME}{made}");
    let named = syntax::parse_query(&format!("SELECT {name}.v FROM ({query}) AS {name}(v)"))?;
    if let Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } = expr {
        **right = Expr::Subquery(Box::new(named));
    }
    Ok(())
}

fn is_named(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return false;
    };
    let [from] = select.from.as_slice() else {
        return false;
    };
    match &from.relation {
        TableFactor::Derived {
            alias: Some(alias), ..
        } => alias.name.value.starts_with(NAME),
        _ => false,
    }
}
