//! Where one worker's results go: rows into staged files, changes to the hub, reports to the committer.

use super::TICK_MS;
use super::budget::Budget;
use super::together::{self, FewRows};
use crate::engine::{CommitReport, OpenRows, Outputs, Published};
use crate::lake::{Error, Staged, Stager, Store, TableLayout, Told, Uploads};
use crate::model::{Epoch, Row};
use crate::plan::Dataflow;
use crate::view::{Hub, Part};
use arrow::array::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use tokio::sync::mpsc::UnboundedSender;

/// Encoded bytes not yet uploaded, above which sources wait.
const UPLOADS_BYTES_MAX: usize = 512 << 20;
/// Commits handed over and not yet durable, above which sources wait.
const UNSETTLED_MAX: usize = 3;

/// One worker's part of a commit.
pub(super) struct WorkerCommit {
    pub report: CommitReport,
    pub staged: Vec<Staged>,
    /// Buckets of open rows that this commit replaces, by table, even if by no rows.
    pub replaced: BTreeMap<String, BTreeSet<u32>>,
    /// Rows that are not worth a file of this worker's own.
    pub few: Vec<FewRows>,
    /// Set if files could not be written; the commit must not happen.
    pub failed: Option<Error>,
    pub handed_over: SystemTime,
}

/// All tables of a dataflow as the lake has them: append-only ones first, then one per view, numbered like them.
pub fn layouts(dataflow: &Dataflow) -> Vec<TableLayout> {
    let tables = dataflow.tables.iter().map(|it| TableLayout {
        name: it.name.clone(),
        schema: it.stored_schema(),
        partition_by: it.partition_by.clone(),
    });
    let views = dataflow.views.iter().map(|it| TableLayout {
        name: it.name.clone(),
        schema: it.plan.schema(),
        partition_by: Vec::new(),
    });
    tables.chain(views).collect()
}

pub(super) struct WorkerOutputs {
    worker: usize,
    /// Number of the first worker of this process.
    first: usize,
    dataflow: Arc<Dataflow>,
    layouts: Arc<Vec<TableLayout>>,
    hub: Arc<Hub>,
    stager: Stager,
    replaced: BTreeMap<String, BTreeSet<u32>>,
    few: Vec<FewRows>,
    failed: Option<Error>,
    to_committer: UnboundedSender<WorkerCommit>,
    uploads: Arc<Uploads>,
    unsettled: Arc<AtomicUsize>,
    budget: Arc<Budget>,
}

impl WorkerOutputs {
    #[expect(
        clippy::too_many_arguments,
        reason = "it is made once, from everything it connects"
    )]
    pub fn new(
        worker: usize,
        first: usize,
        store: &Store,
        writer: &str,
        dataflow: Arc<Dataflow>,
        layouts: Arc<Vec<TableLayout>>,
        hub: Arc<Hub>,
        to_committer: UnboundedSender<WorkerCommit>,
        uploads: Arc<Uploads>,
        unsettled: Arc<AtomicUsize>,
        budget: Arc<Budget>,
        told: Told,
    ) -> Self {
        let label = format!("w{worker}-{}", &writer[..8]);
        let stager = Stager::new(
            store.clone(),
            tokio::runtime::Handle::current(),
            label,
            Arc::clone(&uploads),
        )
        .telling(told);
        WorkerOutputs {
            worker,
            first,
            dataflow,
            layouts,
            hub,
            stager,
            replaced: BTreeMap::new(),
            few: Vec::new(),
            failed: None,
            to_committer,
            uploads,
            unsettled,
            budget,
        }
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            tracing::error!(%error, "rows could not be staged; the commit they belong to will not happen");
            self.failed.get_or_insert(error);
        }
    }
}

impl Outputs for WorkerOutputs {
    fn append(&mut self, table: usize, epoch: Epoch, commit: Epoch, rows: RecordBatch) {
        let layout = &self.layouts[table];
        let result = match self.dataflow.tables[table].event_time {
            Some(column) => self
                .stager
                .append_unmarked(layout, column, epoch, commit, &rows),
            None => self.stager.append(layout, commit, &rows),
        };
        self.note(result);
    }

    fn mark(&mut self, table: usize, epoch: Epoch, watermark: i64) {
        let result = self
            .stager
            .mark(&self.layouts[table].name, epoch, watermark);
        self.note(result);
    }

    fn replace(&mut self, view: usize, commit: Epoch, sealed: Vec<Row>, open: Option<OpenRows>) {
        let layouts = Arc::clone(&self.layouts);
        let layout = &layouts[self.dataflow.tables.len() + view];
        let mut few = FewRows::of(&layout.name);
        let mut files = Vec::new();
        match together::are_few(&sealed) {
            true => few.closed = sealed,
            false => files.push((None, sealed)),
        }
        if let Some(OpenRows(buckets)) = open {
            let replaced = buckets.keys().copied().collect();
            self.replaced.insert(layout.name.clone(), replaced);
            for (bucket, rows) in buckets.into_iter().filter(|it| !it.1.is_empty()) {
                match together::are_few(&rows) {
                    true => few.open.push((bucket, rows)),
                    false => files.push((Some(bucket), rows)),
                }
            }
        }
        for (bucket, rows) in files {
            self.stager.write(layout, commit, rows, bucket);
        }
        if !few.is_empty() {
            self.few.push(few);
        }
    }

    fn commit(&mut self, report: CommitReport) {
        let staged = match self.stager.finish(report.commit, report.last) {
            Ok(staged) => staged,
            Err(error) => {
                self.note(Err(error));
                Vec::new()
            }
        };
        if self.worker == self.first {
            self.unsettled.fetch_add(1, Ordering::AcqRel);
        }
        let replaced = std::mem::take(&mut self.replaced);
        let few = std::mem::take(&mut self.few);
        let failed = self.failed.take();
        // Nobody listens any more when the committer has failed; it has said why.
        let _ = self.to_committer.send(WorkerCommit {
            report,
            staged,
            replaced,
            few,
            failed,
            handed_over: SystemTime::now(),
        });
    }

    fn publish(&mut self, published: Published) {
        let Published {
            worker,
            through,
            changes,
            tails,
            progress,
            stamps,
            watermarks,
            nows,
            ahead,
            late,
            left_out,
        } = published;
        let number = |name: &str| self.dataflow.sources.iter().position(|it| it.name == name);
        let late = late
            .into_iter()
            .filter_map(|(name, records)| Some((number(&name)?, records)));
        let ahead = ahead
            .into_iter()
            .filter_map(|(name, partitions)| Some((number(&name)?, partitions)));
        let read = progress
            .iter()
            .map(|it| (it.source, it.records, it.undecoded, it.bytes))
            .collect();
        // The epoch before the frontier is the newest complete one.
        let through = Epoch(through.0.saturating_sub(1) / TICK_MS * TICK_MS);
        self.hub.publish(Part {
            worker: worker - self.first,
            through,
            changes,
            tails,
            read,
            stamps,
            late: late.collect(),
            ahead: ahead.collect(),
            watermarks,
            nows,
            left_out,
        });
    }

    fn is_behind(&self) -> bool {
        UPLOADS_BYTES_MAX < self.uploads.bytes()
            || UNSETTLED_MAX < self.unsettled.load(Ordering::Acquire)
            || self.budget.is_full()
    }
}
