//! Times beside something else. A DATE and an INTERVAL: DataFusion's sum is a DATE, which has no place for hours, and would pass over them. And
//! times that are compared with a text with blanks around it, and parts of times.

use super::functions;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

const DAY_NS: i64 = 86_400_000_000_000;

/// Plans EXTRACT as `date_part` of ours. DataFusion's own planner takes its own, whatever a session has by that name, so this one comes before it.
#[derive(Debug)]
pub struct Parts;

impl ExprPlanner for Parts {
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let call = ScalarFunction::new_udf(functions::date_part(), args);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

/// Plans a sum with hours and less as that of the day's first instant: a TIMESTAMP.
#[derive(Debug)]
pub struct Dates;

impl ExprPlanner for Dates {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let operator = match expr.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => {
                return Ok(PlannerResult::Original(without_blanks(expr, schema)));
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let is_date = |it: &DataType| matches!(it, DataType::Date32 | DataType::Date64);
        let is_interval =
            |it: &DataType| matches!(it, DataType::Interval(_) | DataType::Duration(_));
        // What has no type yet is for the planner to refuse.
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        let interval = match (is_date(&left), is_date(&right)) {
            (true, false) if is_interval(&right) => &expr.right,
            (false, true) if is_interval(&left) => &expr.left,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let has_parts = match [&left, &right].map(|it| matches!(it, DataType::Duration(_))) {
            [false, false] => has_parts_of_days(interval),
            _ => Some(true),
        };
        match has_parts {
            Some(false) => Ok(PlannerResult::Original(expr)),
            Some(true) => {
                let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                let (left, right) = match is_date(&left) {
                    true => (cast(expr.left, instant), expr.right),
                    false => (expr.left, cast(expr.right, instant)),
                };
                Ok(PlannerResult::Planned(binary_expr(left, operator, right)))
            }
            None => plan_err!(
                "a DATE and an INTERVAL that is computed may be a DATE or a TIMESTAMP; write CAST(… AS TIMESTAMP) around the date"
            ),
        }
    }
}

/// A comparison of a time with a text without the blanks around it.
fn without_blanks(mut expr: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    let is_time = |it: &Expr| {
        let data_type = it.get_type(schema);
        data_type.is_ok_and(|it| {
            matches!(
                it,
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
            )
        })
    };
    let trimmed = |it: &Expr| match it {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.trim() != text => {
            Some(lit(text.trim()))
        }
        _ => None,
    };
    if let Some(text) = trimmed(&expr.right).filter(|_| is_time(&expr.left)) {
        expr.right = text;
    } else if let Some(text) = trimmed(&expr.left).filter(|_| is_time(&expr.right)) {
        expr.left = text;
    }
    expr
}

/// Whether an interval is not of whole days, if it is a constant.
fn has_parts_of_days(interval: &Expr) -> Option<bool> {
    match interval {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(it)), _) => {
            Some(it.nanoseconds % DAY_NS != 0)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(it)), _) => {
            Some(i64::from(it.milliseconds) * 1_000_000 % DAY_NS != 0)
        }
        Expr::Literal(
            ScalarValue::IntervalYearMonth(_)
            | ScalarValue::IntervalMonthDayNano(None)
            | ScalarValue::IntervalDayTime(None),
            _,
        ) => Some(false),
        Expr::Negative(it) => has_parts_of_days(it),
        Expr::Alias(it) => has_parts_of_days(&it.expr),
        _ => None,
    }
}
