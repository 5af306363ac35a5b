//! `array_agg` and `string_agg`, each of which puts its own rows in the order that it asks for.
//!
//! DataFusion sorts the rows of a SELECT once, in an order that all of its aggregates have to share, and turns around an aggregate whose order is
//! the reverse. Of distinct values such an aggregate then gave a list in the reverse order. Its accumulators sort in any case.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::{array_agg, string_agg};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    Signature,
};
use std::sync::Arc;

/// Both of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    let of = |native| Arc::new(AggregateUDF::from(Ordered { native }));
    vec![
        of(array_agg::array_agg_udaf()),
        of(string_agg::string_agg_udaf()),
    ]
}

/// The function of that name, which asks for no order of the rows that it is given.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    native: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.native.name()
    }
    fn aliases(&self) -> &[String] {
        self.native.aliases()
    }
    fn signature(&self) -> &Signature {
        self.native.signature()
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.native.return_type(types)
    }
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
        self.native.create_groups_accumulator(args)
    }
    /// Insensitive ones are not given what they order by.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Beneficial
    }
    /// Rows that are in order already are sorted at once.
    fn with_beneficial_ordering(
        self: Arc<Self>,
        _is_in_order: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }
    fn supports_null_handling_clause(&self) -> bool {
        self.native.supports_null_handling_clause()
    }
    fn documentation(&self) -> Option<&Documentation> {
        self.native.documentation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::context::SessionContext;

    #[tokio::test]
    async fn each_has_an_order_of_its_own() {
        let rows = [(1, 3), (2, 1), (3, 3), (4, 2)];
        let id = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
        let n = Int64Array::from_iter_values(rows.iter().map(|it| it.1));
        let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(id)), ("n", Arc::new(n))];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let context = SessionContext::new();
        for it in all() {
            context.register_udaf(it.as_ref().clone());
        }
        context.register_batch("t", batch).expect("a table");
        let aggregates = [
            ("array_agg(DISTINCT n ORDER BY n)", "[1, 2, 3]"),
            ("array_agg(n ORDER BY n DESC, id)", "[3, 3, 2, 1]"),
            ("array_agg(id ORDER BY n, id DESC)", "[2, 4, 3, 1]"),
            (
                "string_agg(DISTINCT CAST(n AS TEXT), '-' ORDER BY CAST(n AS TEXT))",
                "1-2-3",
            ),
            (
                "string_agg(CAST(id AS TEXT), '-' ORDER BY id DESC)",
                "4-3-2-1",
            ),
            (
                "string_agg(CAST(id AS TEXT), '-' ORDER BY n, id)",
                "2-4-1-3",
            ),
            ("last_value(id ORDER BY n, id)", "3"),
        ];
        let exprs: Vec<&str> = aggregates.iter().map(|it| it.0).collect();
        let expected: Vec<&str> = aggregates.iter().map(|it| it.1).collect();
        for group in ["", " GROUP BY id > 0"] {
            let query = format!("SELECT {} FROM t{group}", exprs.join(", "));
            let frame = context.sql(&query).await.expect("a plan");
            let answer = frame.collect().await.expect("an answer");
            let text = pretty_format_batches(&answer).expect("a text").to_string();
            let row = text.lines().nth(3).expect("a row");
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells, expected, "{query}");
        }
    }
}
