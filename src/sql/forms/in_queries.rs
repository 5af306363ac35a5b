//! `EXISTS` and `IN` over sub-queries with an order, a LIMIT or a UNION, as those without: none of it says anything about whether there is a row.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, LimitClause, Query, SetExpr, SetOperator, UnaryOperator, Value,
};

/// Rewrites them in a condition.
pub fn plainly(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: inner,
        } => plainly(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => {
            plainly(left);
            plainly(right);
        }
        Expr::Exists { subquery, negated } => {
            if takes_some(subquery) {
                subquery.order_by = None;
                subquery.limit_clause = None;
            }
            let negated = *negated;
            let sides = sides(subquery);
            if 1 < sides.len() {
                let exists = sides.into_iter().map(|it| Expr::Exists {
                    subquery: Box::new(it),
                    negated,
                });
                if let Some(any) = exists.reduce(|left, right| joined(left, right, negated)) {
                    *condition = Expr::Nested(Box::new(any));
                    plainly(condition);
                }
            }
        }
        Expr::InSubquery {
            subquery,
            negated: false,
            ..
        } if subquery.limit_clause.is_none() => subquery.order_by = None,
        _ => {}
    }
}

fn joined(left: Expr, right: Expr, negated: bool) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: match negated {
            true => BinaryOperator::And,
            false => BinaryOperator::Or,
        },
        right: Box::new(right),
    }
}

/// Whether of rows that are there some are taken.
fn takes_some(query: &Query) -> bool {
    query.limit_clause.is_none() || limit(query).is_some_and(|it| 0 < it)
}

/// A LIMIT that is a number and stands without an OFFSET.
fn limit(query: &Query) -> Option<u64> {
    let Some(LimitClause::LimitOffset {
        limit: Some(Expr::Value(limit)),
        offset: None,
        limit_by,
    }) = &query.limit_clause
    else {
        return None;
    };
    match &limit.value {
        Value::Number(limit, _) if limit_by.is_empty() => limit.parse().ok(),
        _ => None,
    }
}

/// The sides of a UNION, each as a query; the query itself if it is none.
fn sides(query: &Query) -> Vec<Query> {
    let SetExpr::SetOperation {
        op: SetOperator::Union,
        left,
        right,
        ..
    } = query.body.as_ref()
    else {
        return vec![query.clone()];
    };
    if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() {
        return vec![query.clone()];
    }
    let sides = [left, right].into_iter().flat_map(|side| {
        let side = match side.as_ref() {
            SetExpr::Query(inner) => inner.as_ref().clone(),
            other => Query {
                body: Box::new(other.clone()),
                ..query.clone()
            },
        };
        self::sides(&side)
    });
    sides.collect()
}
