//! `CASE WHEN … THEN constant …`, without cutting the batch apart.
//!
//! DataFusion evaluates each condition on the rows that no earlier one took, and then puts the pieces together. When every result
//! is a constant, all that is wanted of a row is the number of its result. So conditions run over the whole batch,
//! masks say which rows each one takes, and one gather makes the column. A condition that fails on rows it should never have
//! seen sends the batch back to DataFusion's own way.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CaseExpr, Literal};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The same expression, with every such CASE in it evaluated the quick way.
///
/// # Errors
/// If the expression cannot be rebuilt.
pub fn with_choices(expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let changed = expression.transform_up(|it| {
        Ok(match Choice::of(&it) {
            Some(choice) => Transformed::yes(Arc::new(choice) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(it),
        })
    });
    changed.map(|it| it.data)
}

/// A CASE with constant results.
#[derive(Debug)]
struct Choice {
    case: Arc<dyn PhysicalExpr>,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// One result per condition, then that of ELSE.
    results: ArrayRef,
}

impl Choice {
    fn of(expression: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let case = expression.downcast_ref::<CaseExpr>()?;
        if case.expr().is_some() {
            return None;
        }
        let constant =
            |it: &Arc<dyn PhysicalExpr>| it.downcast_ref::<Literal>().map(|it| it.value().clone());
        let mut results: Vec<ScalarValue> = case
            .when_then_expr()
            .iter()
            .map(|it| constant(&it.1))
            .collect::<Option<_>>()?;
        results.push(match case.else_expr() {
            Some(it) => constant(it)?,
            None => ScalarValue::try_new_null(&results.first()?.data_type()).ok()?,
        });
        Some(Choice {
            case: Arc::clone(expression),
            conditions: case
                .when_then_expr()
                .iter()
                .map(|it| Arc::clone(&it.0))
                .collect(),
            results: ScalarValue::iter_to_array(results).ok()?,
        })
    }

    /// The number of the result of every row; nothing if a condition cannot be evaluated over all rows.
    fn numbers(&self, batch: &RecordBatch) -> Option<UInt32Array> {
        let rows = batch.num_rows();
        let mut numbers = vec![self.conditions.len() as u32; rows];
        let mut open = BooleanBuffer::new_set(rows);
        for (number, condition) in self.conditions.iter().enumerate() {
            let holds = match condition.evaluate(batch).ok()? {
                ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))) => open.clone(),
                ColumnarValue::Scalar(_) => continue,
                ColumnarValue::Array(holds) => &open & &true_bits(holds.as_boolean_opt()?),
            };
            for row in holds.set_indices() {
                numbers[row] = number as u32;
            }
            open = &open & &!&holds;
            if open.count_set_bits() == 0 {
                break;
            }
        }
        Some(numbers.into())
    }
}

/// Where a condition is true; null is not.
fn true_bits(holds: &BooleanArray) -> BooleanBuffer {
    match holds.nulls() {
        Some(valid) => holds.values() & valid.inner(),
        None => holds.values().clone(),
    }
}

impl PhysicalExpr for Choice {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let Some(numbers) = self.numbers(batch) else {
            return self.case.evaluate(batch);
        };
        let chosen = take(&self.results, &numbers, None)?;
        let wanted = self.case.data_type(batch.schema_ref())?;
        Ok(ColumnarValue::Array(if chosen.data_type() == &wanted {
            chosen
        } else {
            cast(&chosen, &wanted)?
        }))
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.case.return_field(input)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.case.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let case = Arc::clone(&self.case).with_new_children(children)?;
        Ok(match Choice::of(&case) {
            Some(choice) => Arc::new(choice),
            None => case,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.case.fmt_sql(f)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.case.fmt(f)
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        self.case.eq(&other.case)
    }
}

impl Eq for Choice {}

impl Hash for Choice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.case.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, case, col, lit};

    type Expression = Arc<dyn PhysicalExpr>;

    /// The same batch through a CASE and through what becomes of it.
    fn check(build: impl Fn(&Schema) -> Expression, becomes_choice: bool) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let numbers = Int64Array::from(vec![Some(0), Some(5), None, Some(50), Some(-3), Some(5)]);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(numbers)]).expect("a batch");
        let original = build(&schema);
        let quick = with_choices(Arc::clone(&original)).expect("it can be rebuilt");
        assert_eq!(quick.downcast_ref::<Choice>().is_some(), becomes_choice);
        assert_eq!(quick.to_string(), original.to_string());
        for batch in [batch.clone(), batch.slice(2, 3), batch.slice(0, 0)] {
            let column = |it: &Expression| {
                let value = it.evaluate(&batch).expect("it can be evaluated");
                value.into_array(batch.num_rows()).expect("a column")
            };
            assert_eq!(&column(&quick), &column(&original));
        }
    }

    fn below(schema: &Schema, limit: i64) -> Expression {
        let n = col("n", schema).expect("the column");
        binary(n, Operator::Lt, lit(limit), schema).expect("a comparison")
    }

    #[test]
    fn the_first_condition_that_is_true_decides_and_null_is_not_true() {
        for otherwise in [None, Some(lit("many"))] {
            check(
                |schema| {
                    let whens = vec![
                        (below(schema, 1), lit("few")),
                        (below(schema, 10), lit("some")),
                        (below(schema, 5), lit("never")),
                    ];
                    case(None, whens, otherwise.clone()).expect("a CASE")
                },
                true,
            );
        }
    }

    #[test]
    fn a_condition_that_must_not_see_every_row_still_does_not() {
        check(
            |schema| {
                let n = || col("n", schema).expect("the column");
                let quotient =
                    binary(lit(100i64), Operator::Divide, n(), schema).expect("a quotient");
                let large =
                    binary(quotient, Operator::Gt, lit(10i64), schema).expect("a comparison");
                let zero = binary(n(), Operator::Eq, lit(0i64), schema).expect("a comparison");
                let whens = vec![(zero, lit(1.5)), (large, lit(2.5))];
                case(None, whens, Some(lit(3.5))).expect("a CASE")
            },
            true,
        );
    }

    #[test]
    fn results_that_are_no_constants_stay_as_they_are() {
        check(
            |schema| {
                let whens = vec![(below(schema, 1), col("n", schema).expect("the column"))];
                case(None, whens, Some(lit(7i64))).expect("a CASE")
            },
            false,
        );
    }
}
