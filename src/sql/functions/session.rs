//! `session_start(time, gap in µs)` and `session_end(…)`: the bounds of the session that a row is in, among the rows of its partition.

use super::utc_micros;
use crate::plan::{SESSION_END, SESSION_START, Sessions};
use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

pub(super) fn all() -> Vec<Arc<WindowUDF>> {
    let of = |name: &'static str, is_end: bool| {
        let signature =
            Signature::exact(vec![utc_micros(), DataType::Int64], Volatility::Immutable);
        Arc::new(WindowUDF::from(SessionBound {
            name,
            is_end,
            signature,
        }))
    };
    vec![of(SESSION_START, false), of(SESSION_END, true)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionBound {
    name: &'static str,
    is_end: bool,
    signature: Signature,
}

impl WindowUDFImpl for SessionBound {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), utc_micros(), true)))
    }
    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let (name, is_end) = (self.name, self.is_end);
        Ok(Box::new(OfPartition { name, is_end }))
    }
    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
struct OfPartition {
    name: &'static str,
    is_end: bool,
}

impl PartitionEvaluator for OfPartition {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [times, gap] = values else {
            return exec_err!("{} takes a time and a constant gap", self.name);
        };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let gap = gap.as_primitive::<Int64Type>();
        let gap_us = gap.iter().next().flatten().unwrap_or(1);
        if gap_us <= 0 || gap.iter().any(|it| it != Some(gap_us)) {
            return exec_err!(
                "{}: the gap must be a constant longer than nothing",
                self.name
            );
        }
        // In whichever order the rows are.
        let with_places = times.iter().enumerate();
        let mut in_order: Vec<(i64, usize)> =
            with_places.filter_map(|(at, it)| Some((it?, at))).collect();
        in_order.sort_unstable();
        let sorted: Vec<i64> = in_order.iter().map(|it| it.0).collect();
        let mut bounds: Vec<Option<i64>> = vec![None; rows];
        let mut places = in_order.iter().map(|it| it.1);
        let sessions = Sessions { gap_us };
        for session in sessions.of(&sorted) {
            let bound = match self.is_end {
                true => session.last().map(|it| sessions.end(*it)),
                false => session.first().copied(),
            };
            for at in places.by_ref().take(session.len()) {
                bounds[at] = bound;
            }
        }
        let bounds = TimestampMicrosecondArray::from(bounds);
        Ok(Arc::new(bounds.with_timezone("UTC")))
    }
}
