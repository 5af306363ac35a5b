//! What DataFusion computes from a batch of rows: a physical plan over them, run as often as it is asked.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, common::collect};
use datafusion::prelude::SessionConfig;
use std::sync::Arc;

/// A physical plan over [`GroupRows`].
#[derive(Clone, Debug)]
pub struct Program {
    plan: Arc<dyn ExecutionPlan>,
    /// The same without the rows that an expression fails for.
    tolerant: Arc<dyn ExecutionPlan>,
    /// What it computes, for people.
    pub text: String,
}

impl Program {
    /// A plan, and the same plan without the rows that an expression fails for.
    ///
    /// # Errors
    /// If they have other columns.
    pub fn new(
        plan: Arc<dyn ExecutionPlan>,
        tolerant: Arc<dyn ExecutionPlan>,
        text: String,
    ) -> Result<Self> {
        let names = |it: &Arc<dyn ExecutionPlan>| {
            let schema = it.schema();
            let fields = schema.fields().iter();
            let fields = fields.map(|it| (it.name().clone(), it.data_type().clone()));
            fields.collect::<Vec<_>>()
        };
        match names(&plan) == names(&tolerant) {
            true => Ok(Program {
                plan,
                tolerant,
                text,
            }),
            false => internal_err!("{text}: a plan without failing rows has other columns"),
        }
    }

    /// The columns it yields.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// What comes of these rows, without those that an expression fails for, and what it failed with, if there are any.
    ///
    /// # Errors
    /// If it fails for another reason.
    pub fn run(&self, rows: RecordBatch) -> Result<(RecordBatch, Option<DataFusionError>)> {
        match self.run_plan(&self.plan, rows.clone()) {
            Ok(all) => Ok((all, None)),
            Err(error) => match self.run_plan(&self.tolerant, rows) {
                Ok(rest) => Ok((rest, Some(error))),
                Err(_) => Err(error),
            },
        }
    }

    fn run_plan(&self, plan: &Arc<dyn ExecutionPlan>, rows: RecordBatch) -> Result<RecordBatch> {
        // A plan is made to run once: it counts what it does.
        let plan = reset_plan_states(Arc::clone(plan))?;
        let config = SessionConfig::new().with_target_partitions(1);
        let config = config.with_extension(Arc::new(Given(rows)));
        let context = Arc::new(TaskContext::default().with_session_config(config));
        let batches = collect(plan.execute(0, context)?);
        // Who waits here is not a task that could yield: in one whose share is used up, waiting would never end.
        let batches = futures::executor::block_on(tokio::task::unconstrained(batches))?;
        Ok(concat_batches(&plan.schema(), &batches)?)
    }
}

/// The rows of this run.
struct Given(RecordBatch);

/// The leaf of a program: the rows it is given, under names of its own.
#[derive(Debug)]
pub struct GroupRows(pub SchemaRef);

impl PartitionStream for GroupRows {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let stream = || {
            let given = context.session_config().get_extension::<Given>();
            let given = given.ok_or_else(|| {
                DataFusionError::Internal("a program runs without rows".to_owned())
            })?;
            let options = RecordBatchOptions::new().with_row_count(Some(given.0.num_rows()));
            let columns = given.0.columns().to_vec();
            let schema = Arc::clone(&self.0);
            let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
            MemoryStream::try_new(vec![rows], Arc::clone(&self.0), None)
        };
        match stream() {
            Ok(stream) => Box::pin(stream),
            Err(error) => Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.0),
                futures::stream::once(std::future::ready(Err(error))),
            )),
        }
    }
}
