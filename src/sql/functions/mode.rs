//! `mode(value)`: the most frequent value; the least one of those that are equally frequent. NULLs are none.

use crate::model::Float;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility,
};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn mode() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Mode(Signature::any(
        1,
        Volatility::Immutable,
    ))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mode(Signature);

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        "mode"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match &types[0] {
            it if it.is_nested() => {
                plan_err!("mode is of single values, not of arrays or structs")
            }
            it => Ok(it.clone()),
        }
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("mode(DISTINCT …) has no meaning: every value would be there once");
        }
        Ok(Box::new(Counting {
            data_type: args.return_field.data_type().clone(),
            counts: HashMap::new(),
        }))
    }
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, of: DataType| {
            let item = Arc::new(Field::new_list_field(of, true));
            Arc::new(Field::new(
                format!("{}[{name}]", args.name),
                DataType::List(item),
                true,
            ))
        };
        let values = args.return_field.data_type().clone();
        Ok(vec![
            list("values", values),
            list("counts", DataType::Int64),
        ])
    }
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

#[derive(Debug)]
struct Counting {
    data_type: DataType,
    counts: HashMap<ScalarValue, i64>,
}

impl Counting {
    fn add(&mut self, values: &dyn Array, row: usize, count: i64) -> Result<()> {
        if values.is_null(row) {
            return Ok(());
        }
        let value = match ScalarValue::try_from_array(values, row)? {
            // One zero, and one NaN.
            ScalarValue::Float64(Some(it)) => ScalarValue::Float64(Some(Float::new(it).get())),
            ScalarValue::Float32(Some(it)) => {
                ScalarValue::Float32(Some(Float::new(it.into()).get() as f32))
            }
            other => other,
        };
        *self.counts.entry(value).or_default() += count;
        Ok(())
    }

    fn add_all(&mut self, values: &ArrayRef, count: i64) -> Result<()> {
        (0..values.len()).try_for_each(|row| self.add(values.as_ref(), row, count))
    }
}

impl Accumulator for Counting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], 1)
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(&values[0], -1)?;
        self.counts.retain(|_, count| *count != 0);
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let best = self.counts.iter().reduce(|best, it| {
            let is_better = match it.1.cmp(best.1) {
                std::cmp::Ordering::Equal => it.0 < best.0,
                order => order.is_gt(),
            };
            if is_better { it } else { best }
        });
        match best {
            Some((value, _)) => Ok(value.clone()),
            None => ScalarValue::try_from(&self.data_type),
        }
    }
    fn size(&self) -> usize {
        let entries = self.counts.iter();
        size_of_val(self)
            + entries
                .map(|it| it.0.size() + size_of::<i64>())
                .sum::<usize>()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts): (Vec<ScalarValue>, Vec<ScalarValue>) = self
            .counts
            .drain()
            .map(|(value, count)| (value, ScalarValue::Int64(Some(count))))
            .unzip();
        let values = ScalarValue::new_list_nullable(&values, &self.data_type);
        let counts = ScalarValue::new_list_nullable(&counts, &DataType::Int64);
        Ok(vec![ScalarValue::List(values), ScalarValue::List(counts)])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (values, counts) in values.iter().zip(counts.iter()) {
            let (Some(values), Some(counts)) = (values, counts) else {
                continue;
            };
            let counts = counts.as_primitive::<Int64Type>();
            for row in 0..values.len() {
                self.add(values.as_ref(), row, counts.value(row))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::context::SessionContext;

    #[tokio::test]
    async fn the_most_frequent_value_is_found_and_the_least_of_several() {
        let context = SessionContext::new();
        context.register_udaf(mode().as_ref().clone());
        for (values, expected) in [
            ("(1), (2), (2), (NULL), (NULL), (NULL)", "2"),
            ("('b'), ('a'), ('a'), ('b')", "a"),
            ("(0.0), (-0.0), (1.5)", "0"),
            ("(DATE '2026-01-02'), (DATE '2026-01-01')", "2026-01-01"),
            ("(true), (false), (true)", "true"),
            ("(CAST(NULL AS INT))", "NULL"),
        ] {
            let query = format!("SELECT mode(v) FROM (VALUES {values}) AS t(v)");
            let frame = context.sql(&query).await.expect(&query);
            let answer = frame.collect().await.expect(&query);
            let value = ScalarValue::try_from_array(answer[0].column(0), 0).expect("a value");
            assert_eq!(value.to_string(), expected, "{query}");
        }
    }
}
