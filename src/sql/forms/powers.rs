//! Powers with a minus, as PostgreSQL reads them: the minus belongs to the number behind it, and powers are computed from left to right. `-2 ^ 2` is
//! 4, and `2 ^ -3 ^ 2` is `(2 ^ (-3)) ^ 2`. The parser takes a minus for one of the whole power behind it.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

/// Binds a minus that stands before a power, or before the second number of one.
pub fn bind_minus(expr: &mut Expr) {
    if is_minus(expr) {
        bind_first(expr);
    }
    while let Expr::BinaryOp {
        left,
        op: BinaryOperator::PGExp,
        right,
    } = expr
        && is_minus(right)
    {
        bind_first(right);
        if !is_power(right) {
            return;
        }
        let (first, mut power) = (taken(left), taken(right));
        let second = base_of(&mut power);
        *second = Expr::BinaryOp {
            left: Box::new(first),
            op: BinaryOperator::PGExp,
            right: Box::new(taken(second)),
        };
        *expr = power;
    }
}

/// `-(a ^ b)` as `(-a) ^ b`.
fn bind_first(expr: &mut Expr) {
    let Expr::UnaryOp { expr: of, .. } = expr else {
        return;
    };
    if is_minus(of) {
        bind_first(of);
    }
    let mut power = taken(of);
    let base = base_of(&mut power);
    let inner = match taken(base) {
        // Two of them side by side begin a comment.
        it if is_minus(&it) => Expr::Nested(Box::new(it)),
        it => it,
    };
    *base = Expr::UnaryOp {
        op: UnaryOperator::Minus,
        expr: Box::new(inner),
    };
    *expr = power;
}

fn is_minus(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            ..
        }
    )
}

fn is_power(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryOp {
            op: BinaryOperator::PGExp,
            ..
        }
    )
}

/// The first number of a power of powers, or what is none.
fn base_of(power: &mut Expr) -> &mut Expr {
    let mut base = power;
    while let Expr::BinaryOp {
        left,
        op: BinaryOperator::PGExp,
        ..
    } = base
    {
        base = left.as_mut();
    }
    base
}

fn taken(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}
