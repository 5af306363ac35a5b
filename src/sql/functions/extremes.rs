//! `min` and `max` of floats, as maintained views compute them: in the total order, in which NaN is the largest.
//!
//! DataFusion begins each group at the largest and smallest finite number, so that the least of nothing but infinities is a number that is
//! not there, and what it gives beside a NaN depends on the order of rows. All other types are left to its own functions.

use crate::model::Float;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::min_max;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use std::sync::Arc;

/// Both of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    let of = |native, largest| Arc::new(AggregateUDF::from(Extreme { native, largest }));
    vec![
        of(min_max::min_udaf(), false),
        of(min_max::max_udaf(), true),
    ]
}

/// The function of that name, and ours in its place for many groups of floats.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    native: Arc<AggregateUDF>,
    largest: bool,
}

impl AggregateUDFImpl for Extreme {
    known_as_native!();

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.native.state_fields(args)
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.native.accumulator(args)
    }
    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.native.create_sliding_accumulator(args)
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.native.groups_accumulator_supported(args)
    }
    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type();
        match data_type.is_floating() {
            true => Ok(Box::new(Groups {
                largest: self.largest,
                data_type: data_type.clone(),
                best: Vec::new(),
            })),
            false => self.native.create_groups_accumulator(args),
        }
    }
    fn is_descending(&self) -> Option<bool> {
        self.native.is_descending()
    }
    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.native.value_from_stats(args)
    }
    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.native.inner().set_monotonicity(data_type)
    }
}

/// Many groups of floats.
struct Groups {
    largest: bool,
    data_type: DataType,
    best: Vec<Option<Float>>,
}

impl Groups {
    fn result(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let best = emit.take_needed(&mut self.best);
        let best = best.into_iter().map(|it| it.map(Float::get));
        Ok(cast(&Float64Array::from_iter(best), &self.data_type)?)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.best.resize(groups, None);
        let values = cast(&values[0], &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if values.is_null(row) || filter.is_some_and(|it| it.is_null(row) || !it.value(row)) {
                continue;
            }
            let new = Float::new(values.value(row));
            let best = &mut self.best[*group];
            let is_better = best.is_none_or(|it| match self.largest {
                true => it < new,
                false => new < it,
            });
            if is_better {
                *best = Some(new);
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.result(emit)
    }
    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.result(emit)?])
    }
    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, groups)
    }
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let state = match filter {
            None => Arc::clone(&values[0]),
            Some(filter) => {
                let left_out = arrow::compute::not(&arrow::compute::prep_null_mask_filter(filter))?;
                arrow::compute::nullif(&values[0], &left_out)?
            }
        };
        Ok(vec![state])
    }
    fn size(&self) -> usize {
        self.best.capacity() * size_of::<Option<Float>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::context::SessionContext;

    #[tokio::test]
    async fn extremes_are_values_that_are_there() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let rows = [
            (1, Some(inf)),
            (2, Some(-inf)),
            (3, Some(nan)),
            (3, Some(2.0)),
            (3, Some(1.0)),
            (4, None),
            (5, Some(3.5)),
            (5, None),
            (5, Some(-1.5)),
        ];
        let k = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
        let x = Float64Array::from_iter(rows.iter().map(|it| it.1));
        let columns: [(&str, ArrayRef); 2] = [("k", Arc::new(k)), ("x", Arc::new(x))];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let context = SessionContext::new();
        for it in all() {
            context.register_udaf(it.as_ref().clone());
        }
        context.register_batch("t", batch).expect("a table");
        for x in ["x", "CAST(x AS REAL)"] {
            let query = format!(
                "SELECT k, min({x}) AS a, max({x}) AS b, max({x}) FILTER (WHERE x < 3) AS c FROM t GROUP BY k ORDER BY k"
            );
            let frame = context.sql(&query).await.expect("a plan");
            let answer = frame.collect().await.expect("an answer");
            let text = pretty_format_batches(&answer).expect("a text").to_string();
            let cells: Vec<Vec<&str>> = text
                .lines()
                .filter(|it| it.starts_with('|'))
                .skip(1)
                .map(|it| it.trim_matches('|').split('|').map(str::trim).collect())
                .collect();
            assert_eq!(
                cells,
                [
                    ["1", "inf", "inf", ""],
                    ["2", "-inf", "-inf", "-inf"],
                    ["3", "1.0", "NaN", "2.0"],
                    ["4", "", "", ""],
                    ["5", "-1.5", "3.5", "-1.5"],
                ],
                "{x}"
            );
        }
    }
}
