//! `lag` and `lead`, computed over whole partitions where they pass over NULLs.
//!
//! Row by row DataFusion counts how far the values ahead are from one another, and with `lead(a, 2) IGNORE NULLS` loses count where two of
//! them follow each other behind a NULL: `lead` of the row before is NULL though there are two more values. Of a whole partition it finds
//! them as it should. It also takes no more rows for a LIMIT than the distance, of which some may have no value.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

pub(super) fn all() -> Vec<Arc<WindowUDF>> {
    let of = |it| Arc::new(WindowUDF::from(Shift(it)));
    vec![of(lag_udwf()), of(lead_udwf())]
}

/// DataFusion's function, but for how it passes over NULLs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift(Arc<WindowUDF>);

impl WindowUDFImpl for Shift {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn signature(&self) -> &Signature {
        self.0.signature()
    }
    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.0.expressions(args)
    }
    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let ignores_nulls = args.ignore_nulls();
        let evaluator = self.0.partition_evaluator_factory(args)?;
        Ok(match ignores_nulls {
            true => Box::new(OfPartition(evaluator)),
            false => evaluator,
        })
    }
    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.0.field(args)
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }
    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::Reversed(Arc::new(WindowUDF::from(Shift(Arc::clone(&self.0)))))
    }
    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }
    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

/// Computes whole partitions only.
#[derive(Debug)]
struct OfPartition(Box<dyn PartitionEvaluator>);

impl PartitionEvaluator for OfPartition {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self.0.evaluate_all(values, rows)
    }
}
