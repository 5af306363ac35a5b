//! `corr`, `covar_samp`, `covar_pop` and `regr_…` of pairs of numbers: from exact sums, rounded once, at the end, so that the order of rows
//! cannot be seen. A pair with a NULL is none.

use crate::model::Pairs;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility,
};
use std::sync::Arc;

/// What is told of pairs, of which SQL writes y before x.
const ALL: [(&str, What); 12] = [
    ("corr", What::Float(Pairs::correlation)),
    ("covar_samp", What::Float(|it| it.covariance(true))),
    ("covar_pop", What::Float(|it| it.covariance(false))),
    ("regr_slope", What::Float(Pairs::slope)),
    ("regr_intercept", What::Float(Pairs::intercept)),
    ("regr_r2", What::Float(Pairs::determination)),
    ("regr_avgx", What::Float(Pairs::mean_x)),
    ("regr_avgy", What::Float(Pairs::mean_y)),
    ("regr_sxx", What::Float(Pairs::scatter_x)),
    ("regr_syy", What::Float(Pairs::scatter_y)),
    ("regr_sxy", What::Float(Pairs::scatter)),
    ("regr_count", What::Count),
];

/// All of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    let of = |(name, _): &(&'static str, What)| {
        Arc::new(AggregateUDF::from(OfPairs {
            name,
            aliases: match *name {
                "covar_samp" => vec!["covar".to_owned()],
                _ => Vec::new(),
            },
            signature: Signature::exact(
                vec![DataType::Float64, DataType::Float64],
                Volatility::Immutable,
            ),
        }))
    };
    ALL.iter().map(of).collect()
}

#[derive(Clone, Copy, Debug)]
enum What {
    Count,
    Float(fn(&Pairs) -> Option<f64>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfPairs {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl OfPairs {
    fn what(&self) -> What {
        let known = ALL.iter().find(|it| it.0 == self.name);
        known.map_or(What::Count, |it| it.1)
    }
}

impl AggregateUDFImpl for OfPairs {
    fn name(&self) -> &str {
        self.name
    }
    fn aliases(&self) -> &[String] {
        &self.aliases
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.what() {
            What::Count => DataType::Int64,
            What::Float(_) => DataType::Float64,
        })
    }
    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(result(self.what(), &Pairs::default()))
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!(
                "{} of distinct pairs is not supported; write SELECT DISTINCT in a sub-query",
                self.name
            );
        }
        Ok(Box::new(Adding {
            what: self.what(),
            pairs: Pairs::default(),
        }))
    }
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let state = Field::new(args.name, DataType::Binary, false);
        Ok(vec![Arc::new(state)])
    }
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn result(what: What, pairs: &Pairs) -> ScalarValue {
    match what {
        What::Count => ScalarValue::Int64(Some(pairs.count())),
        What::Float(of) => ScalarValue::Float64(of(pairs)),
    }
}

#[derive(Debug)]
struct Adding {
    what: What,
    pairs: Pairs,
}

impl Adding {
    fn add(&mut self, values: &[ArrayRef], diff: i64) {
        let [y, x] = [0, 1].map(|it| values[it].as_primitive::<Float64Type>());
        for row in 0..y.len() {
            if y.is_valid(row) && x.is_valid(row) {
                self.pairs.add(x.value(row), y.value(row), diff);
            }
        }
    }
}

impl Accumulator for Adding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, 1);
        Ok(())
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, -1);
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(result(self.what, &self.pairs))
    }
    fn size(&self) -> usize {
        size_of_val(self)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = postcard::to_stdvec(&self.pairs);
        let bytes = bytes.map_err(|it| DataFusionError::External(it.into()))?;
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            let more: Pairs =
                postcard::from_bytes(bytes).map_err(|it| DataFusionError::External(it.into()))?;
            self.pairs.merge(&more);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, RecordBatch};
    use datafusion::execution::context::SessionContext;

    async fn answer(context: &SessionContext, query: &str) -> Vec<Vec<f64>> {
        let frame = context.sql(query).await.expect(query);
        let batches = frame.collect().await.expect(query);
        let row = |batch: &RecordBatch, row: usize| {
            let columns = batch.columns().iter();
            columns
                .map(|it| arrow::compute::cast(it, &DataType::Float64).expect("a number"))
                .map(|it| it.as_primitive::<Float64Type>().clone())
                .map(|it| {
                    if it.is_null(row) {
                        -77.0
                    } else {
                        it.value(row)
                    }
                })
                .collect::<Vec<f64>>()
        };
        let rows = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at)));
        rows.collect()
    }

    /// They are what DataFusion computes of plain numbers, up to its rounding; in several partitions and over frames, too.
    #[tokio::test]
    async fn pairs_are_what_datafusion_computes() {
        let k = Int64Array::from_iter_values((0..500).map(|it| it % 7));
        let x = Float64Array::from_iter(
            (0..500).map(|it| (it % 11 != 0).then_some(f64::from(it % 37) * 0.37 - 5.0)),
        );
        let y = Float64Array::from_iter(
            (0..500).map(|it| (it % 13 != 0).then_some(f64::from(it % 29) * -1.7 + 40.0)),
        );
        let columns: [(&str, ArrayRef); 3] =
            [("k", Arc::new(k)), ("x", Arc::new(x)), ("y", Arc::new(y))];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let (ours, theirs) = (SessionContext::new(), SessionContext::new());
        all()
            .iter()
            .for_each(|it| ours.register_udaf(it.as_ref().clone()));
        for context in [&ours, &theirs] {
            context.register_batch("t", batch.clone()).expect("a table");
        }
        let calls: Vec<String> = ALL.iter().map(|it| format!("{}(y, x)", it.0)).collect();
        let calls = calls.join(", ");
        for query in [
            format!("SELECT {calls} FROM t"),
            format!("SELECT {calls} FROM t WHERE k = 3 AND y > 20"),
            format!("SELECT k, {calls} FROM t GROUP BY k ORDER BY k"),
        ] {
            let (ours, theirs) = (answer(&ours, &query).await, answer(&theirs, &query).await);
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{query}: {a} {b}");
            }
        }
        let nothing = format!("SELECT {calls} FROM t WHERE false");
        let nothing = answer(&ours, &nothing).await;
        assert_eq!(nothing[0][..11], [-77.0; 11]);
        assert_eq!(nothing[0][11], 0.0);
        let frames = "SELECT corr(y, x) OVER (ORDER BY k, x, y ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS r FROM t";
        assert_eq!(answer(&ours, frames).await.len(), 500);
    }
}
