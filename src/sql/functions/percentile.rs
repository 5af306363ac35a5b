//! `approx_percentile_cont(value, rank)`, from the same bins as in a maintained view.

use crate::model::{Bins, bin_of};
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use std::sync::Arc;

/// Name of the percentile aggregate.
pub const PERCENTILE: &str = "approx_percentile_cont";

/// The percentile aggregate, under the name DataFusion gives its own approximate one.
pub(super) fn percentile() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Percentile {
        signature: Signature::one_of(
            vec![TypeSignature::Exact(vec![
                DataType::Float64,
                DataType::Float64,
            ])],
            Volatility::Immutable,
        ),
    }))
}

/// `approx_percentile_cont(value, rank)` from bins with a relative error of at most 1/256.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    signature: Signature,
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &str {
        PERCENTILE
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let rank = args
            .exprs
            .get(1)
            .and_then(|it| it.downcast_ref::<Literal>())
            .map(|it| it.value().clone());
        match rank {
            Some(ScalarValue::Float64(Some(rank))) if (0.0..=1.0).contains(&rank) => {
                Ok(Box::new(BinAccumulator {
                    rank,
                    bins: Bins::default(),
                }))
            }
            _ => plan_err!(
                "{PERCENTILE}: the rank must be a constant between 0 and 1, for example 0.95"
            ),
        }
    }
    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str| {
            let item = Arc::new(Field::new_list_field(DataType::Int64, true));
            Arc::new(Field::new(name, DataType::List(item), true))
        };
        Ok(vec![list("bins"), list("counts")])
    }
}

#[derive(Debug)]
struct BinAccumulator {
    rank: f64,
    bins: Bins,
}

impl Accumulator for BinAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Float64Type>();
        let more: Bins = values.iter().flatten().map(|it| (bin_of(it), 1)).collect();
        self.bins.merge(&more);
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.bins.percentile(self.rank)))
    }
    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.bins.entries())
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let column = |of: fn(&(i32, i64)) -> i64| {
            let values: Vec<ScalarValue> = self
                .bins
                .entries()
                .iter()
                .map(|it| ScalarValue::Int64(Some(of(it))))
                .collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Int64))
        };
        Ok(vec![column(|it| it.0.into()), column(|it| it.1)])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (bins, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (bins, counts) in bins.iter().zip(counts.iter()) {
            let (Some(bins), Some(counts)) = (bins, counts) else {
                continue;
            };
            let int = |it: &ArrayRef| -> Int64Array { it.as_primitive::<Int64Type>().clone() };
            let more: Bins = int(&bins)
                .values()
                .iter()
                .zip(int(&counts).values())
                .map(|(bin, count)| (*bin as i32, *count))
                .collect();
            self.bins.merge(&more);
        }
        Ok(())
    }
}
