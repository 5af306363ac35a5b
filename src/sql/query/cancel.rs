//! A plan that can be stopped: every node's stream looks at one flag before each batch.
//!
//! Aborting a task is not enough, because a join may compute for minutes between two points at which it could be aborted.
//! A stream also gives way now and then, so that one long query leaves the others of its thread some air.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// A stream gives way after so many polls.
const POLLS_PER_TURN: u32 = 32;

/// The flag of one query. Once stopped it stays stopped.
#[derive(Debug, Default)]
pub struct Stop {
    flag: AtomicBool,
    notify: Notify,
}

impl Stop {
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }

    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Waits until it is stopped; for one waiter.
    pub async fn stopped(&self) {
        while !self.is_stopped() {
            self.notify.notified().await;
        }
    }
}

/// The same plan with every node watching the flag.
///
/// # Errors
/// If a node refuses its new children.
pub fn watched(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrap = |input: Arc<dyn ExecutionPlan>| {
        let node: Arc<dyn ExecutionPlan> = Arc::new(CancelExec {
            input,
            stop: stop.clone(),
        });
        Ok(Transformed::yes(node))
    };
    plan.transform_up(wrap).map(|it| it.data)
}

#[derive(Debug)]
struct CancelExec {
    input: Arc<dyn ExecutionPlan>,
    stop: Arc<Stop>,
}

impl DisplayAs for CancelExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelExec")
    }
}

impl ExecutionPlan for CancelExec {
    fn name(&self) -> &str {
        "CancelExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }
    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(CancelExec {
                input,
                stop: self.stop.clone(),
            })),
            None => Ok(self),
        }
    }
    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(CancelStream {
            input,
            stop: self.stop.clone(),
            polls: 0,
        }))
    }
}

struct CancelStream {
    input: SendableRecordBatchStream,
    stop: Arc<Stop>,
    polls: u32,
}

impl Stream for CancelStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stop.is_stopped() {
            return Poll::Ready(Some(Err(DataFusionError::Execution(
                "the query was cancelled".to_owned(),
            ))));
        }
        self.polls += 1;
        if self.polls.is_multiple_of(POLLS_PER_TURN) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.input.as_mut().poll_next(context)
    }
}

impl RecordBatchStream for CancelStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
