//! The committer: one commit after another, each from the reports of all workers.

use super::part::Part;
use super::peers::Message;
use super::{Error, outputs, state};
use crate::cluster;
use crate::engine::{self, ClockState, StateContent, StateRecord};
use crate::lake::{
    self, BySource, Compaction, Counts, Manifest, PartitionRead, Remedy, SourceOffsets, StateFile,
    Store, TableEntry, TableState, commit_info, remove_of, txn,
};
use crate::model::{Epoch, wall_ms};
use crate::plan::{Dataflow, Plan, Window};
use crate::view::Totals;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// State differences are folded into a full state when there are so many.
const DIFFERENCES_MAX: usize = 30;

/// The newest commit, for health and metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Committed {
    pub number: u64,
    pub generation: u64,
    pub epoch: Epoch,
    pub written_ms: u64,
    pub duration_ms: u64,
    pub versions: BTreeMap<String, u64>,
    /// Where each source goes on after a restart.
    pub offsets: SourceOffsets,
    /// Why the lake cannot be written, while it cannot.
    pub problem: Option<String>,
}

impl Committed {
    pub(super) fn at(manifest: &Manifest) -> Self {
        Committed {
            number: manifest.number,
            generation: manifest.generation,
            epoch: manifest.epoch,
            written_ms: manifest.written_ms,
            duration_ms: 0,
            versions: manifest
                .tables
                .iter()
                .map(|(name, it)| (name.clone(), it.version))
                .collect(),
            offsets: manifest.offsets.clone(),
            problem: None,
        }
    }
}

/// No commit for two intervals and this long is worth a word.
const STALL_MIN: Duration = Duration::from_secs(5);
const STALLED: &str = "no commit could be finished";

/// Says in the health when no commit has been settled for long. An object store is asked for minutes until it is known not to
/// answer; by then people should know.
async fn tell_stalls(
    settled: Arc<Mutex<Instant>>,
    limit: Duration,
    committed: watch::Sender<Committed>,
) -> Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let since = settled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed();
        committed.send_if_modified(|it| {
            let others = it.problem.as_ref().is_some_and(|it| !it.starts_with(STALLED));
            if others || since < limit {
                return false;
            }
            let seconds = since.as_secs();
            it.problem = Some(format!(
                "{STALLED} for {seconds} s: the lake does not answer, or is slow; nothing is lost, reading waits when three commits do"
            ));
            true
        });
    }
}

/// The application id of a table's `txn` actions.
pub fn app_id(dataflow: &str, table: &str) -> String {
    format!("tidelake/{dataflow}/{table}")
}

pub(super) struct Committer {
    store: Store,
    dataflow: Arc<Dataflow>,
    /// The newest manifest; the next one is made from it.
    last: Manifest,
    tables: BTreeMap<String, TableState>,
    totals: BTreeMap<String, Totals>,
    workers: usize,
    committed: watch::Sender<Committed>,
    unsettled: Arc<AtomicUsize>,
    /// The other processes of the cluster, if there are any.
    peers: Option<cluster::Sender>,
    settings: engine::Settings,
    merging: BTreeSet<String>,
    merged: Vec<Compaction>,
    merges: (
        UnboundedSender<Result<Compaction, (String, lake::Error)>>,
        UnboundedReceiver<Result<Compaction, (String, lake::Error)>>,
    ),
    obsolete: Vec<StateFile>,
}

impl Committer {
    #[expect(
        clippy::too_many_arguments,
        reason = "it is made once, from everything it connects"
    )]
    pub fn new(
        store: Store,
        dataflow: Arc<Dataflow>,
        last: Manifest,
        tables: BTreeMap<String, TableState>,
        totals: BTreeMap<String, Totals>,
        workers: usize,
        committed: watch::Sender<Committed>,
        unsettled: Arc<AtomicUsize>,
        peers: Option<cluster::Sender>,
        settings: engine::Settings,
        obsolete: Vec<StateFile>,
    ) -> Self {
        Committer {
            store,
            dataflow,
            last,
            tables,
            totals,
            workers,
            committed,
            unsettled,
            peers,
            settings,
            merging: BTreeSet::new(),
            merged: Vec::new(),
            merges: unbounded_channel(),
            obsolete,
        }
    }

    /// Commits until the last epoch of all workers is in.
    pub async fn run(self, parts: UnboundedReceiver<Part>) -> Result<(), Error> {
        let settled = Arc::new(Mutex::new(Instant::now()));
        let limit = Duration::from_millis(2 * self.settings.commit_interval_ms) + STALL_MIN;
        let stalls = tell_stalls(Arc::clone(&settled), limit, self.committed.clone());
        tokio::select! {
            result = self.commit_all(parts, &settled) => result,
            never = stalls => match never {},
        }
    }

    async fn commit_all(
        mut self,
        mut parts: UnboundedReceiver<Part>,
        settled: &Mutex<Instant>,
    ) -> Result<(), Error> {
        let mut waiting: BTreeMap<Epoch, Vec<Part>> = BTreeMap::new();
        while let Some(part) = parts.recv().await {
            let epoch = part.report.commit;
            let parts = waiting.entry(epoch).or_default();
            parts.push(part);
            if parts.len() < self.workers {
                continue;
            }
            let parts = waiting.remove(&epoch).unwrap_or_default();
            let last = parts.iter().all(|it| it.report.last);
            if let Err(error) = self.commit(epoch, parts).await {
                if let Some(peers) = &self.peers {
                    peers.send_all(&Message::Failed(error.to_string()).bytes());
                }
                return Err(error);
            }
            self.unsettled.fetch_sub(1, Ordering::AcqRel);
            *settled.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if let Some(peers) = &self.peers {
                let committed = self.committed.borrow().clone();
                peers.send_all(&Message::Settled { epoch, committed }.bytes());
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, epoch: Epoch, parts: Vec<Part>) -> Result<(), Error> {
        let began = Instant::now();
        let now_ms = wall_ms();
        while let Ok(merge) = self.merges.1.try_recv() {
            match merge {
                Ok(merge) => self.merged.push(merge),
                Err((table, error)) => {
                    self.merging.remove(&table);
                    tracing::warn!(table, %error, "small files could not be merged; trying again later");
                }
            }
        }
        let mut next = self.last.clone();
        next.number += 1;
        next.epoch = epoch;
        next.written_ms = now_ms;
        let mut adds: BTreeMap<String, Vec<(Value, bool)>> = BTreeMap::new();
        let mut replaced = BTreeSet::new();
        let mut sum = state::Sum::default();
        let mut counts: BySource<Counts> = BTreeMap::new();
        let mut read = 0;
        for part in parts {
            if let Some(reason) = part.failed {
                return Err(Error::Staging(reason));
            }
            replaced.extend(part.replaced);
            for file in part.files {
                let add =
                    serde_json::from_str(&file.add).map_err(|it| Error::State(it.to_string()))?;
                adds.entry(file.table).or_default().push((add, file.open));
            }
            part.report.state.into_iter().for_each(|it| sum.add(it));
            if !part.report.clocks.is_empty() {
                next.clocks = serde_json::to_value(&part.report.clocks)
                    .map_err(|it| Error::State(it.to_string()))?;
                next.event_times = serde_json::to_value(&part.report.event_times)
                    .map_err(|it| Error::State(it.to_string()))?;
            }
            for progress in part.report.progress {
                let source = &self.dataflow.sources[progress.source].name;
                next.offsets
                    .entry(source.clone())
                    .or_default()
                    .advance(progress.partition, progress.next.clone());
                let totals = self.totals.entry(source.clone()).or_default();
                totals.records += progress.records;
                totals.undecoded += progress.undecoded;
                totals.bytes += progress.bytes;
                read += progress.records + progress.undecoded;
                let counted = Counts {
                    records: progress.records,
                    undecoded: progress.undecoded,
                    replayed: 0,
                    bytes: progress.bytes,
                    checksum: progress.checksum,
                };
                counts
                    .entry(source.clone())
                    .or_default()
                    .entry(progress.partition)
                    .or_default()
                    .add(&counted);
                if let Some(all) = &mut next.read {
                    all.entry(source.clone())
                        .or_default()
                        .entry(progress.partition)
                        .or_insert_with(|| PartitionRead {
                            from: progress.from,
                            ..PartitionRead::default()
                        })
                        .add(&counted, &progress.next);
                }
            }
        }
        let records = sum.records(false);
        if adds.is_empty()
            && replaced.is_empty()
            && records.is_empty()
            && read == 0
            && next.offsets == self.last.offsets
        {
            self.committed.send_modify(|it| it.problem = None);
            return Ok(());
        }
        crash_point("parts");
        next.totals =
            serde_json::to_value(&self.totals).map_err(|it| Error::State(it.to_string()))?;
        next.counts = Some(counts);
        let obsolete = self.store_state(&mut next, records).await?;
        crash_point("state");
        let merged = std::mem::take(&mut self.merged);
        let names: Vec<String> = self.tables.keys().cloned().collect();
        for name in names {
            let adds = adds.remove(&name).unwrap_or_default();
            let entry = self.entry(
                &name,
                &next,
                adds,
                replaced.contains(&name),
                &merged,
                now_ms,
            );
            next.tables.insert(name, entry);
        }
        self.persist(&next).await?;
        for merge in &merged {
            self.merging.remove(&merge.table);
        }
        self.last = next;
        let committed = Committed {
            duration_ms: began.elapsed().as_millis() as u64,
            ..Committed::at(&self.last)
        };
        tracing::debug!(
            epoch = epoch.0,
            number = self.last.number,
            records = read,
            "committed epoch {epoch}"
        );
        self.committed.send_replace(committed);
        crash_point("tables");
        self.after(obsolete).await;
        crash_point("after");
        Ok(())
    }

    /// Manifest, then tables. A store that does not answer is asked again until it does.
    async fn persist(&mut self, next: &Manifest) -> Result<(), Error> {
        loop {
            match self.try_persist(next).await {
                Ok(()) => return Ok(()),
                Err(error) => match error.remedy() {
                    Remedy::GiveUp => return Err(error.into()),
                    Remedy::RetryAfter(delay) => {
                        tracing::error!(%error, number = next.number, "the commit did not reach the lake; trying again");
                        self.committed
                            .send_modify(|it| it.problem = Some(error.to_string()));
                        tokio::time::sleep(delay).await;
                    }
                },
            }
        }
    }

    async fn try_persist(&mut self, next: &Manifest) -> Result<(), lake::Error> {
        self.store.commit_manifest(next).await?;
        crash_point("manifest");
        for (name, entry) in &next.tables {
            if entry.commit != next.number {
                continue;
            }
            let version = self
                .store
                .commit_table(name, entry, &app_id(&self.dataflow.name, name))
                .await?;
            crash_point("table");
            let state = self.tables.entry(name.clone()).or_default();
            state.version = version;
            state.commit = entry.commit;
            state.open_files.clone_from(&entry.open_files);
            state.small_files.clone_from(&entry.small_files);
        }
        Ok(())
    }

    /// What a commit does to one table.
    fn entry(
        &self,
        name: &str,
        next: &Manifest,
        adds: Vec<(Value, bool)>,
        replaced: bool,
        merged: &[Compaction],
        now_ms: u64,
    ) -> TableEntry {
        let state = &self.tables[name];
        let mut after = state.clone();
        let mut actions = Vec::new();
        if replaced {
            actions.extend(
                state
                    .open_files
                    .iter()
                    .map(|it| remove_of(it, true, now_ms)),
            );
            after.open_files.clear();
        }
        for (add, open) in adds {
            if open {
                after.open_files.push(add.clone());
            } else {
                after.note(&add);
            }
            actions.push(add);
        }
        for merge in merged.iter().filter(|it| it.table == name) {
            actions.extend(merge.small.iter().map(|it| remove_of(it, false, now_ms)));
            actions.push(merge.merged.clone());
            after.small_files.retain(|it| !merge.small.contains(it));
            after.note(&merge.merged);
        }
        if actions.is_empty() {
            return TableEntry {
                version: state.version,
                commit: state.commit,
                actions,
                open_files: after.open_files,
                small_files: after.small_files,
            };
        }
        let blind = !actions.iter().any(|it| it.get("remove").is_some());
        let app = app_id(&self.dataflow.name, name);
        let mut all = vec![
            commit_info("STREAMING UPDATE", next.epoch.0, next.number, blind, now_ms),
            txn(&app, next.number, now_ms),
            txn(&format!("{app}#generation"), next.generation, now_ms),
        ];
        if let Some(table) = self.dataflow.tables.iter().find(|it| it.name == name) {
            for (source, offsets) in next
                .offsets
                .iter()
                .filter(|it| table.source.is_empty() || *it.0 == table.source)
            {
                all.extend(offsets.iter().map(|(partition, position)| {
                    txn(
                        &format!("{app}@{source}/{}", partition.0),
                        u64::try_from(position.offset.0).unwrap_or(0),
                        now_ms,
                    )
                }));
            }
        }
        all.extend(actions);
        TableEntry {
            version: state.version + 1,
            commit: next.number,
            actions: all,
            open_files: after.open_files,
            small_files: after.small_files,
        }
    }

    /// Writes the difference, or all state when differences have piled up. Returns files no longer needed.
    async fn store_state(
        &mut self,
        next: &mut Manifest,
        records: Vec<engine::StateRecord>,
    ) -> Result<Vec<StateFile>, Error> {
        let name = |kind: &str| format!("{:020}-{}-{kind}", next.number, &next.writer[..8]);
        let clocks: BTreeMap<String, ClockState> =
            serde_json::from_value(next.clocks.clone()).unwrap_or_default();
        let over = over(&self.dataflow, &self.settings, &clocks, next.epoch);
        // Of windows that are closed nothing is needed any more.
        let lives = |it: &engine::StateRecord| is_open(it, &over);
        if next.state_differences.len() < DIFFERENCES_MAX {
            let living: Vec<_> = records.into_iter().filter(lives).collect();
            if !living.is_empty() {
                let name = name("difference");
                let file = self.put_state(&name, state::encode(&living)?).await?;
                next.state_differences.push(file);
            }
            return Ok(Vec::new());
        }
        let mut sum = state::Sum::default();
        let stored = state::load(&self.store, next).await?;
        let all = stored.into_iter().chain(records);
        all.filter(lives).for_each(|it| sum.add(it));
        let name = name("full");
        let file = self
            .put_state(&name, state::encode(&sum.records(true))?)
            .await?;
        let mut obsolete: Vec<StateFile> = next.state_full.replace(file).into_iter().collect();
        obsolete.append(&mut next.state_differences);
        Ok(obsolete)
    }

    async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<StateFile, Error> {
        loop {
            match self
                .store
                .put_state(&self.dataflow.name, name, bytes.clone())
                .await
            {
                Ok(file) => return Ok(file),
                Err(error) => match error.remedy() {
                    Remedy::GiveUp => return Err(error.into()),
                    Remedy::RetryAfter(delay) => {
                        tracing::error!(%error, "state could not be stored; trying again");
                        self.committed
                            .send_modify(|it| it.problem = Some(error.to_string()));
                        tokio::time::sleep(delay).await;
                    }
                },
            }
        }
    }

    /// Housekeeping, away from the next commit.
    async fn after(&mut self, obsolete: Vec<StateFile>) {
        // One commit later: the newest manifest no longer names them.
        let gone = std::mem::replace(&mut self.obsolete, obsolete);
        let layouts = outputs::layouts(&self.dataflow);
        if let Err(error) = self.store.delete_state(&gone).await {
            tracing::warn!(%error, "old state could not be deleted");
        }
        for (name, state) in &mut self.tables {
            if state.wants_checkpoint() {
                let (store, name, settled) = (self.store.clone(), name.clone(), self.last.epoch);
                tokio::spawn(async move {
                    if let Err(error) = store.maintain(&name, settled).await {
                        tracing::warn!(table = name, %error, "log checkpoint failed; trying again later");
                    }
                });
            }
            if self.merging.contains(name) {
                continue;
            }
            let layout = layouts.iter().find(|it| it.name == *name);
            if let (Some(small), Some(layout)) = (state.to_merge(), layout.cloned()) {
                self.merging.insert(name.clone());
                let (store, name, done) = (self.store.clone(), name.clone(), self.merges.0.clone());
                let file = format!(
                    "m{:016}-{}.zstd.parquet",
                    self.last.epoch.0,
                    uuid::Uuid::new_v4()
                );
                tokio::spawn(async move {
                    let merged = store
                        .merge(&layout, small, &file)
                        .await
                        .map_err(|it| (name, it));
                    let _ = done.send(merged);
                });
            }
        }
    }
}

/// Per aggregation, up to where buckets are over.
pub(super) fn over(
    dataflow: &Dataflow,
    settings: &engine::Settings,
    clocks: &BTreeMap<String, ClockState>,
    epoch: Epoch,
) -> HashMap<String, i64> {
    let mut over = HashMap::new();
    for view in &dataflow.views {
        view.plan.walk(&mut |node| {
            let Plan::Aggregate { aggregation, .. } = node else {
                return;
            };
            let Some(source) = &aggregation.clock else {
                return;
            };
            let Some(clock) = clocks.get(source) else {
                return;
            };
            match aggregation.window {
                Window::None => {}
                Window::Tumble { .. } => {
                    over.insert(
                        aggregation.id.clone(),
                        clock.watermark(&settings.clocks[source], epoch.0 + 1),
                    );
                }
                Window::Last { size_us, .. } => {
                    over.insert(
                        aggregation.id.clone(),
                        clock.now(epoch.0 + 1).saturating_sub(size_us),
                    );
                }
            }
        });
    }
    over
}

/// Whether the bucket of a record is still open.
pub(super) fn is_open(record: &StateRecord, over: &HashMap<String, i64>) -> bool {
    match &record.content {
        StateContent::Group(it) => over
            .get(&record.operator)
            .is_none_or(|over| *over < it.bucket),
        StateContent::Row(..) => true,
    }
}

/// For recovery tests: ends the process at a named step when `TIDELAKE_CRASH_AT` says `<step>:<n-th time>`.
///
/// The steps in order: `claim` (a manifest of this generation is there), `rolled` (every table is at it), for a changed dataflow `filled` (its
/// views are computed) and the first steps of a commit, then per commit `parts`
/// (all files are in the lake), `state`, `manifest`, `table` (once per table), `tables`, `after` (old state is deleted).
pub(super) fn crash_point(step: &str) {
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let Ok(wanted) = std::env::var("TIDELAKE_CRASH_AT") else {
        return;
    };
    let Some((name, times)) = wanted.split_once(':') else {
        return;
    };
    if name == step && times.parse() == Ok(PASSED.fetch_add(1, Ordering::AcqRel) + 1) {
        std::process::abort();
    }
}
