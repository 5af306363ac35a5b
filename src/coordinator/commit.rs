//! The committer: one commit after another, each from the reports of all workers.

pub mod counts;

use super::pace::{Pace, TableFiles};
use super::part::{Part, Writing};
use super::peers::Message;
use super::together::Together;
use super::upkeep::{After, Ready, Upkeep};
use super::{Error, outputs, state, stored};
use crate::cluster;
use crate::engine::{self, ClockState, StateContent, StateRecord};
use crate::lake::{
    self, Action, BySource, Change, Commit, Compaction, Counts, Manifest, Next, PartitionRead,
    Remedy, Seen, SourceOffsets, StateFile, Store, TableState, Told, app_id,
};
use crate::model::{Epoch, Offsets, least_of, wall_ms};
use crate::plan::{Dataflow, GroupWindow, Plan, Window};
use crate::supervise;
use crate::trace::Span;
use crate::view::Totals;
use bytes::Bytes;
use counts::{CommitCounts, CommitStage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
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
    /// What was taken in up to here is committed: later than `epoch` while there is nothing to commit.
    pub through: Epoch,
    pub written_ms: u64,
    pub duration_ms: u64,
    pub versions: BTreeMap<String, u64>,
    /// Files of each table, and how their number goes on; nothing before the first commit of this run.
    pub files: BTreeMap<String, TableFiles>,
    /// Where each source goes on after a restart.
    pub offsets: SourceOffsets,
    /// Records that were ever read and are committed, decodable or not.
    pub read: u64,
    /// Why the lake cannot be written, while it cannot.
    pub problem: Option<String>,
}

impl Committed {
    pub(super) fn at(manifest: &Manifest, totals: &BTreeMap<String, Totals>) -> Self {
        Committed {
            number: manifest.number,
            generation: manifest.generation,
            epoch: manifest.epoch,
            through: manifest.epoch,
            written_ms: manifest.written_ms,
            duration_ms: 0,
            versions: manifest
                .tables
                .iter()
                .map(|(name, it)| (name.clone(), it.version))
                .collect(),
            files: BTreeMap::new(),
            offsets: manifest.offsets.clone(),
            read: totals.values().map(|it| it.records + it.undecoded).sum(),
            problem: None,
        }
    }
}

/// Whom those who commit tell how it goes: the health, and whoever counts.
#[derive(Clone)]
pub(super) struct Teller {
    pub committed: watch::Sender<Committed>,
    pub counts: Arc<CommitCounts>,
}

/// No commit for two intervals and this long is worth a word.
const STALL_MIN: Duration = Duration::from_secs(5);
const STALLED: &str = "no commit could be finished";

/// Says in the health when commits wait and none has been settled for long. An object store is asked for minutes until it is known not to
/// answer; by then people should know. Before workers have handed one over, as while they take in stored state, the lake is not to blame.
async fn tell_stalls(
    settled: Arc<Mutex<Instant>>,
    unsettled: Arc<AtomicUsize>,
    limit: Duration,
    committed: watch::Sender<Committed>,
) -> Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let since = {
            let mut settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
            if unsettled.load(Ordering::Acquire) == 0 {
                *settled = Instant::now();
            }
            settled.elapsed()
        };
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

pub(super) struct Committer {
    store: Store,
    dataflow: Arc<Dataflow>,
    /// The newest manifest; the next one is made from it.
    last: Manifest,
    tables: BTreeMap<String, TableState>,
    totals: BTreeMap<String, Totals>,
    workers: usize,
    told: Teller,
    unsettled: Arc<AtomicUsize>,
    /// The other processes of the cluster, if there are any.
    peers: Option<cluster::Sender>,
    settings: engine::Settings,
    version_retention: Duration,
    merging: BTreeSet<String>,
    merged: Vec<Compaction>,
    merges: (
        UnboundedSender<Result<Vec<Compaction>, (String, lake::Error)>>,
        UnboundedReceiver<Result<Vec<Compaction>, (String, lake::Error)>>,
    ),
    obsolete: Vec<StateFile>,
    together: Together,
    upkeep: Upkeep,
    pace: Pace,
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
        told: Teller,
        unsettled: Arc<AtomicUsize>,
        peers: Option<cluster::Sender>,
        settings: engine::Settings,
        version_retention: Duration,
        optimize_every: Option<Duration>,
        obsolete: Vec<StateFile>,
        together: Together,
    ) -> Self {
        Committer {
            store,
            dataflow,
            last,
            tables,
            totals,
            workers,
            told,
            unsettled,
            peers,
            settings,
            version_retention,
            merging: BTreeSet::new(),
            merged: Vec::new(),
            merges: unbounded_channel(),
            obsolete,
            together,
            upkeep: Upkeep::new(optimize_every),
            pace: Pace::default(),
        }
    }

    /// Commits until the last epoch of all workers is in.
    pub async fn run(self, parts: UnboundedReceiver<Part>) -> Result<(), Error> {
        let settled = Arc::new(Mutex::new(Instant::now()));
        let limit = Duration::from_millis(2 * self.settings.commit_interval_ms) + STALL_MIN;
        let stalls = tell_stalls(
            Arc::clone(&settled),
            Arc::clone(&self.unsettled),
            limit,
            self.told.committed.clone(),
        );
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
            let committed = match waiting.range(..epoch).next() {
                None => self.commit(epoch, parts).await,
                Some((older, parts)) => Err(Error::Engine(format!(
                    "the parts of commit {} are complete, those of {} before it are not ({} of {}); nothing of them is committed",
                    epoch.0,
                    older.0,
                    parts.len(),
                    self.workers
                ))),
            };
            if let Err(error) = committed {
                if let Some(peers) = &self.peers {
                    peers.send_all(&Message::Failed(error.to_string()).bytes());
                }
                return Err(error);
            }
            self.unsettled.fetch_sub(1, Ordering::AcqRel);
            *settled.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if let Some(peers) = &self.peers {
                let committed = self.told.committed.borrow().clone();
                peers.send_all(&Message::Settled { epoch, committed }.bytes());
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, epoch: Epoch, parts: Vec<Part>) -> Result<(), Error> {
        let mut span = Span::default();
        let result = self.commit_traced(epoch, parts, &mut span).await;
        if let Err(error) = &result {
            span.fail("commit_failed", || error.to_string());
        }
        result
    }

    async fn commit_traced(
        &mut self,
        epoch: Epoch,
        mut parts: Vec<Part>,
        span: &mut Span,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let now_ms = wall_ms();
        while let Ok(merge) = self.merges.1.try_recv() {
            match merge {
                Ok(merged) => self.merged.extend(merged),
                Err((table, error)) => {
                    self.merging.remove(&table);
                    tracing::warn!(table, %error, "small files could not be merged; trying again later");
                }
            }
        }
        let ready = self.upkeep.ready();
        let mut next = self.last.after();
        next.epoch = epoch;
        next.written_ms = now_ms;
        next.models = self.dataflow.live_models.in_force.through(epoch);
        let mut taken_in = Vec::new();
        let mut counts: BySource<Counts> = BTreeMap::new();
        let mut read = 0;
        let written: Vec<Written> = parts.iter().map(Written::of).collect();
        if let Some(reason) = parts.iter_mut().find_map(|it| it.failed.take()) {
            self.told.counts.failed(CommitStage::Files);
            return Err(Error::Staging(reason));
        }
        let together = self.together.write(epoch, &mut parts).await;
        let together = together.inspect_err(|_| self.told.counts.failed(CommitStage::Files))?;
        let (mut adds, mut replaced) = (together.adds, together.replaced);
        for part in parts {
            for file in part.files {
                let add =
                    serde_json::from_str(&file.add).map_err(|it| Error::State(it.to_string()))?;
                adds.entry(file.table).or_default().push((add, file.bucket));
            }
            taken_in.push(part.report.state);
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
        let clocks = stored::clocks(&next)?;
        let over = over(&self.dataflow, &self.settings, &clocks, epoch);
        let mut sum = state::Sum::default();
        // Of windows that are closed nothing is needed any more.
        let living = taken_in.into_iter().flatten();
        let living = living.filter(|it| is_open(it, &over));
        living.for_each(|it| sum.add(it));
        let records = sum.records(false);
        if adds.is_empty()
            && replaced.is_empty()
            && records.is_empty()
            && read == 0
            && next.offsets == self.last.offsets
            && ready.is_empty()
        {
            self.told.committed.send_modify(|it| {
                it.problem = None;
                it.through = epoch;
            });
            self.keep_up(&ready).await;
            return Ok(());
        }
        crash_point("parts");
        *span = span_of(epoch, &written);
        next.totals =
            serde_json::to_value(&self.totals).map_err(|it| Error::State(it.to_string()))?;
        next.counts = Some(counts);
        span.set("tidelake.commit.number", next.number as i64);
        span.set("tidelake.records", read as i64);
        let step = span.child("state");
        step.set("tidelake.state.records", records.len() as i64);
        let obsolete = step
            .around(self.store_state(&mut next, records, &over))
            .await?;
        drop(step);
        crash_point("state");
        let merged = std::mem::take(&mut self.merged);
        self.upkeep.note(&ready, &mut next);
        for (name, state) in &self.tables {
            let merged = merged.iter().filter(|it| it.table == *name);
            let change = Change {
                adds: adds.remove(name).unwrap_or_default(),
                replaced: replaced.remove(name).unwrap_or_default(),
                merged: merged.chain(ready.of(name)).collect(),
                let_go: ready.old_of(name),
            };
            let app = app_id(&self.dataflow.name, name);
            let entry = state.entry(&next, &app, change, self.read(name, &app, &next));
            next.tables.insert(name.clone(), entry);
        }
        span.around(self.persist(Commit::new(next))).await?;
        for merge in &merged {
            self.merging.remove(&merge.table);
        }
        self.pace.note(&self.last);
        let took = began.elapsed();
        self.told.counts.seconds.observe(took);
        let committed = Committed {
            duration_ms: crate::model::whole_ms(took),
            files: self.pace.told(&self.tables, self.last.written_ms),
            ..Committed::at(&self.last, &self.totals)
        };
        tracing::debug!(
            epoch = epoch.0,
            number = self.last.number,
            records = read,
            "committed epoch {epoch}"
        );
        self.told.committed.send_replace(committed);
        crash_point("tables");
        let step = span.child("housekeeping");
        self.keep_up(&ready).await;
        self.after(obsolete).await;
        drop(step);
        crash_point("after");
        Ok(())
    }

    /// Carries a commit through. A store that does not answer is asked again until it does.
    async fn persist(&mut self, mut commit: Commit) -> Result<(), Error> {
        let told = Some(&self.told);
        let settled = carry_through(&self.store, &mut commit, "manifest", told).await?;
        assert!(settled, "only a claim looks again");
        let (manifest, versions) = commit.into_parts();
        for (name, entry) in &manifest.tables {
            let state = self.tables.entry(name.clone()).or_default();
            state.follow(entry, versions[name]);
        }
        self.last = manifest;
        Ok(())
    }

    /// How far the partitions of a table are read, each with its application id.
    fn read(&self, table: &str, app: &str, next: &Manifest) -> Vec<(String, u64)> {
        let Some(table) = self.dataflow.tables.iter().find(|it| it.name == table) else {
            return Vec::new();
        };
        let of_table = |it: &(&String, &Offsets)| table.source.is_empty() || *it.0 == table.source;
        let sources = next.offsets.iter().filter(of_table);
        let partitions = sources.flat_map(|(source, offsets)| {
            offsets.iter().map(move |(partition, position)| {
                let offset = u64::try_from(position.offset.0);
                let offset = offset.expect("no record has an offset below 0");
                (format!("{app}@{source}/{}", partition.0), offset)
            })
        });
        partitions.collect()
    }

    /// Writes the difference, or all state when differences have piled up. Returns files no longer needed.
    async fn store_state(
        &mut self,
        next: &mut Manifest,
        records: Vec<engine::StateRecord>,
        over: &HashMap<String, Over>,
    ) -> Result<Vec<StateFile>, Error> {
        let name = |kind: &str| format!("{:020}-{}-{kind}", next.number, &next.writer[..8]);
        if next.state_differences.len() < DIFFERENCES_MAX {
            if !records.is_empty() {
                let name = name("difference");
                let file = self.put_state(&name, state::encode(&records)?).await?;
                next.state_differences.push(file);
            }
            return Ok(Vec::new());
        }
        let mut sum = state::Sum::default();
        let stored = self.load_state(next).await?;
        let living = stored.into_iter().filter(|it| is_open(it, over));
        living.chain(records).for_each(|it| sum.add(it));
        let name = name("full");
        let file = self
            .put_state(&name, state::encode(&sum.records(true))?)
            .await?;
        let mut obsolete: Vec<StateFile> = next.state_full.replace(file).into_iter().collect();
        obsolete.append(&mut next.state_differences);
        Ok(obsolete)
    }

    async fn load_state(&self, manifest: &Manifest) -> Result<Vec<StateRecord>, Error> {
        loop {
            match state::load_records(&self.store, manifest).await {
                Err(Error::Lake(error)) => wait(error, CommitStage::State, &self.told).await?,
                result => return result,
            }
        }
    }

    async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<StateFile, Error> {
        let (dataflow, bytes) = (&self.dataflow.name, Bytes::from(bytes));
        loop {
            match self.store.put_state(dataflow, name, bytes.clone()).await {
                Ok(file) => return Ok(file),
                Err(error) => wait(error, CommitStage::State, &self.told).await?,
            }
        }
    }

    /// Goes on with what was asked for, and with what is too old. What fails is tried again after the next commit.
    async fn keep_up(&mut self, done: &Ready) {
        let after = After {
            store: &self.store,
            dataflow: &self.dataflow,
            settings: &self.settings,
            last: &self.last,
            tables: &self.tables,
            busy: &self.merging,
        };
        if let Err(error) = self.upkeep.go_on(after, done).await {
            tracing::warn!(%error, "upkeep of the lake waits for the next commit");
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
                let retention = self.version_retention;
                supervise::task("housekeeping", async move {
                    let part = format!("log checkpoint of table {name}");
                    let span = span_of_upkeep("checkpoint", &name);
                    let work = store.maintain(&name, settled, retention);
                    let done = supervise::caught(&part, work).await;
                    if let Err(error) = done.unwrap_or_else(|died| Err(lost(&name, &died))) {
                        span.fail("upkeep_failed", || error.to_string());
                        tracing::warn!(table = name, %error, "log checkpoint failed; trying again later");
                    }
                });
            }
            if self.merging.contains(name) || self.upkeep.is_at(name) {
                continue;
            }
            let layout = layouts.iter().find(|it| it.name == *name);
            let folders = state.to_merge();
            if let (false, Some(layout)) = (folders.is_empty(), layout.cloned()) {
                self.merging.insert(name.clone());
                let (store, name, done) = (self.store.clone(), name.clone(), self.merges.0.clone());
                let epoch = self.last.epoch.0;
                supervise::task("housekeeping", async move {
                    let part = format!("merge of small files of table {name}");
                    let span = span_of_upkeep("merge", &name);
                    let mut merged = Vec::new();
                    for small in folders {
                        let label = format!("m{epoch:016}-{}", uuid::Uuid::new_v4());
                        let work = store.merge(&layout, small, &label);
                        let one = supervise::caught(&part, work).await;
                        match one.unwrap_or_else(|died| Err(lost(&name, &died))) {
                            Ok(it) => merged.push(it),
                            Err(error) => {
                                span.fail("upkeep_failed", || error.to_string());
                                let _ = done.send(Err((name, error)));
                                return;
                            }
                        }
                    }
                    let _ = done.send(Ok(merged));
                });
            }
        }
    }
}

/// Housekeeping that panicked; it is tried again like any that failed.
pub(super) fn lost(table: &str, died: &supervise::Died) -> lake::Error {
    lake::Error::Table {
        table: table.to_owned(),
        reason: died.to_string(),
    }
}

/// Tells in the health that files cannot be written. The word goes with the next commit, which waits for them.
pub(super) fn tell_of_uploads(told: Teller) -> Told {
    Arc::new(move |error| {
        told.counts.failed(CommitStage::Files);
        let trouble = error.trouble();
        let is_new = told.committed.send_if_modified(|it| {
            let is_new = it.problem.as_ref() != Some(&trouble);
            it.problem = Some(trouble.clone());
            is_new
        });
        if is_new {
            tracing::error!("a file did not reach the lake and is tried again: {trouble}");
        }
    })
}

/// Tells in the health that the lake cannot be written, and waits until it may be asked again.
///
/// # Errors
/// If asking again is no use.
async fn wait(error: lake::Error, stage: CommitStage, told: &Teller) -> Result<(), Error> {
    told.counts.failed(stage);
    Span::current().note("retry", || error.trouble());
    match error.remedy() {
        Remedy::GiveUp => Err(error.into()),
        Remedy::RetryAfter(delay) => {
            let trouble = error.trouble();
            tracing::error!("the commit did not reach the lake and is tried again: {trouble}");
            told.committed.send_modify(|it| it.problem = Some(trouble));
            tokio::time::sleep(delay).await;
            Ok(())
        }
    }
}

/// Does what the protocol asks for until a commit is settled; false for a claim that another process was faster than. A lake that
/// does not answer is asked again if someone can be `told`. `manifest_step` names the crash point behind the manifest.
///
/// # Errors
/// If another process holds the lake, or the lake cannot be used.
pub(super) async fn carry_through(
    store: &Store,
    commit: &mut Commit,
    manifest_step: &str,
    told: Option<&Teller>,
) -> Result<bool, Error> {
    loop {
        let action = match commit.next() {
            Next::Do(action) => action,
            Next::Settled => return Ok(true),
            Next::LookAgain => return Ok(false),
            Next::Fenced { newer } => {
                let ours = commit.manifest().generation;
                if let Some(told) = told {
                    told.counts.failed(CommitStage::Manifest);
                }
                return Err(lake::Error::Fenced { ours, newer }.into());
            }
        };
        let span = span_of_action(&action);
        let seen = match span
            .around(store.perform(&commit.manifest().dataflow, &action))
            .await
        {
            Ok(seen) => seen,
            Err(error) => match told {
                Some(told) => {
                    wait(error, stage_of(&action), told).await?;
                    Seen::Unclear
                }
                None => return Err(error.into()),
            },
        };
        match (&action, &seen) {
            (Action::CreateManifest(_), Seen::Done) => crash_point(manifest_step),
            (Action::CreateEntry { .. }, Seen::Done) => crash_point("table"),
            _ => {}
        }
        commit.observe(seen);
    }
}

/// What a trace tells of a worker's files in a commit.
struct Written {
    worker: usize,
    files: usize,
    writing: Writing,
}

impl Written {
    fn of(part: &Part) -> Self {
        Written {
            worker: part.report.worker,
            files: part.files.len(),
            writing: part.writing,
        }
    }
}

/// The trace of a commit; it began when the first worker had no more rows for it.
fn span_of(epoch: Epoch, written: &[Written]) -> Span {
    let from = written.iter().map(|it| it.writing.from).min();
    let span = Span::root_since("commit", from.unwrap_or_else(SystemTime::now));
    span.set("tidelake.epoch", epoch.0 as i64);
    for it in written {
        let files = span.past("files", it.writing.from, it.writing.until);
        files.span.set("tidelake.worker", it.worker as i64);
        files.span.set("tidelake.files", it.files as i64);
    }
    span
}

/// The trace of work beside commits.
pub(super) fn span_of_upkeep(name: &'static str, table: &str) -> Span {
    let span = Span::root(name);
    span.set("tidelake.table", table.to_owned());
    span
}

/// A request to the lake that is part of a commit.
fn span_of_action(action: &Action<'_>) -> Span {
    let span = Span::current().child(stage_of(action).name());
    if let Action::CreateEntry { table, .. } | Action::ReadEntry { table, .. } = action {
        span.set("tidelake.table", (*table).to_owned());
    }
    span
}

/// The step of a commit that a request to the lake is part of.
fn stage_of(action: &Action<'_>) -> CommitStage {
    match action {
        Action::CreateManifest(_)
        | Action::ReadManifest(_)
        | Action::FindNewer(_)
        | Action::DeleteManifest(_) => CommitStage::Manifest,
        Action::CreateEntry { .. } | Action::ReadEntry { .. } => CommitStage::TableLog,
    }
}

/// Up to where stored state of an operator is over.
pub(super) struct Over {
    upto_us: i64,
}

/// What is over of each operator that lets state go.
pub(super) fn over(
    dataflow: &Dataflow,
    settings: &engine::Settings,
    clocks: &BTreeMap<String, ClockState>,
    epoch: Epoch,
) -> HashMap<String, Over> {
    let watermark = |sources: &BTreeSet<String>| {
        engine::stored_watermark(sources, clocks, &settings.clocks, epoch.0 + 1)
    };
    let mut over = HashMap::new();
    let mut note = |operator: String, upto_us: Option<i64>| {
        over.extend(upto_us.map(|upto_us| (operator, Over { upto_us })));
    };
    for view in &dataflow.views {
        view.plan.walk(&mut |node| match node {
            Plan::Aggregate { aggregation, .. } => {
                let sources = &aggregation.clocks;
                let upto_us = match aggregation.window {
                    Window::None => None,
                    Window::Tumble { .. } => watermark(sources),
                    Window::Last { .. } => least_of(sources, |it| {
                        let known = settings.clocks.get(it)?;
                        Some(clocks.get(it)?.now(known, epoch.0 + 1))
                    }),
                };
                note(aggregation.id.clone(), upto_us);
                let of_windows = aggregation.windows_id().into_iter();
                of_windows.for_each(|it| note(it, upto_us));
            }
            Plan::Join { join, .. } => {
                if join.window.is_some() {
                    let upto_us = watermark(&join.clocks);
                    for side in engine::state_names(&join.id) {
                        note(side, upto_us);
                    }
                }
            }
            Plan::PerGroup { group, .. } => {
                match group.window {
                    Some(GroupWindow::OfKey { .. }) => {
                        note(group.id.clone(), watermark(&group.clocks));
                    }
                    // Rows of a session are taken out one by one.
                    Some(GroupWindow::OfSession { .. }) | None => {}
                }
            }
            Plan::Relation { .. }
            | Plan::Constant { .. }
            | Plan::Unnest { .. }
            | Plan::Map { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Temporal { .. }
            // They take out themselves what they need no more.
            | Plan::Detect { .. }
            | Plan::Incidents { .. }
            | Plan::AsOf { .. }
            | Plan::Admit { .. } => {}
        });
    }
    over
}

/// Whether the bucket or window of a record is still open.
pub(super) fn is_open(record: &StateRecord, over: &HashMap<String, Over>) -> bool {
    let Some(over) = over.get(&*record.operator) else {
        return true;
    };
    match &record.content {
        StateContent::Group(it) => over.upto_us < it.bucket,
        StateContent::Packed(row) => row.end_us.is_none_or(|end_us| over.upto_us < end_us),
        StateContent::Row(..) => true,
    }
}

/// For recovery tests: ends the process at a named step when `TIDELAKE_CRASH_AT` says `<step>:<n-th time>`.
///
/// The steps in order: `claim` (a manifest of this generation is there), `rolled` (every table is at it), for a changed dataflow `filled` (its
/// views are computed) and the first steps of a commit, for `lake optimize` without an engine `rewritten` (once per group of files), then per commit `parts`
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

#[cfg(test)]
mod tests;
