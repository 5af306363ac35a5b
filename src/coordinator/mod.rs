//! Brings the parts together: sources, engine, views, lake. Recovers, runs, commits, stops.
//!
//! ```text
//! start:  (find the other processes) ─ claim the lake ─ roll tables forward ─ (follow a changed dataflow) ─ load state ─ seek sources ─ start workers
//! run:    workers report a commit epoch ─ files durable ─ manifest ─ tables ─ (merge, log checkpoint, sweep)
//! stop:   last epoch ─ workers end ─ last commit ─ done
//! ```

mod budget;
mod commit;
pub mod costs;
pub(crate) mod eras;
pub(crate) mod feed;
mod grow;
pub mod growth;
pub mod identity;
mod lease;
pub(crate) mod models;
mod outputs;
mod pace;
mod part;
mod peers;
mod refill;
pub mod replay;
pub(crate) mod state;
pub mod stored;
mod together;
pub mod upkeep;

use crate::cluster::{self, Joined};
use crate::engine::{
    self, Bucketing, ClockSettings, Control, Costs, Feed, Job, Outputs, Panes, Restored, Sharing,
    StateShare,
};
use crate::lake::{self, Commit, Manifest, StateFile, Store, TableLayout, TableState};
use crate::model::in_force::Schedule;
use crate::model::{Epoch, Row, rows_of_batch, wall_ms};
use crate::plan::{Dataflow, SourceSpec, ViewKind};
use crate::source::place::{Inputs, Place};
use crate::source::push::Inbox;
use crate::source::{self, SharedStatus};
use crate::supervise;
use crate::trace::Span;
use crate::view::{Hub, RECORDS_MAX, ViewInfo, WindowInfo};
use lease::Lease;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use budget::{Budget, Memory};
pub use commit::Committed;
pub use commit::counts::{CommitCounts, CommitStage};
pub use feed::decoder;
pub use growth::Growth;
pub use lease::{Hold, hold, started, this_process};
pub use outputs::layouts;
pub use pace::TableFiles;
pub use peers::Ending;
pub use refill::{Filled, fill};

/// Length of an epoch.
pub const TICK_MS: u64 = 100;
/// At most so many records of a source and worker are in an epoch: with epochs of [`TICK_MS`], more than anything can be decoded in that time.
pub const EPOCH_RECORDS_MAX: usize = 1 << 18;

/// How long versions of tables can be read unless told otherwise.
pub const VERSION_RETENTION: Duration = Duration::from_secs(168 * 3600);

/// Files of open rows of one view that commits should replace within the time for which versions can be read: log checkpoints name them all.
const FILES_REPLACED_MAX: u64 = 1_000_000;

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    pub lake: String,
    /// Where sources are read from if not where they say.
    pub inputs: Inputs,
    /// Of each process.
    pub workers: usize,
    /// This process among others; none if it is alone.
    pub cluster: Option<cluster::Member>,
    pub commit_interval_ms: u64,
    pub idle_ms: u64,
    pub close_idle_ms: u64,
    /// How long versions of tables can be read after newer ones came.
    pub version_retention: Duration,
    /// Whether a lake that another process holds is taken from it.
    pub take_over: bool,
    /// Near so many bytes of memory sources wait; none if there is no such limit.
    pub memory_max: Option<u64>,
    /// How often small files of all tables are put together; none for never.
    pub optimize_every: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lake: "./tidelake-data/lake".to_owned(),
            inputs: Inputs::default(),
            workers: 2,
            cluster: None,
            commit_interval_ms: 10_000,
            idle_ms: 5_000,
            close_idle_ms: 30_000,
            version_retention: VERSION_RETENTION,
            take_over: false,
            memory_max: None,
            optimize_every: None,
        }
    }
}

/// What keeps a pipeline from starting or going on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Lake(#[from] lake::Error),
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error("stored state is damaged: {0}")]
    State(String),
    #[error(
        "the lake cannot follow what dataflow {dataflow:?} has become since commit {number}:\n  {}",
        .reasons.join("\n  ")
    )]
    Refused {
        dataflow: String,
        number: u64,
        reasons: Vec<String>,
    },
    #[error("dataflow {dataflow:?} cannot use {lake}:\n  {}", .reasons.join("\n  "))]
    Unfit {
        dataflow: String,
        lake: String,
        reasons: Vec<String>,
    },
    #[error(
        "{lake} has several dataflows, {}; let dataflow.sql say which one it is: SET dataflow = 'name'",
        .names.join(", ")
    )]
    Unnamed { lake: String, names: Vec<String> },
    #[error(
        "dataflow {dataflow:?} in {lake} is run by {by}; end that one, or start this one with --take-over, which ends it"
    )]
    Held {
        lake: String,
        dataflow: String,
        by: String,
    },
    #[error(
        "stopped without the last commit: {records} records read {since} are not in the lake{}; nothing is lost, the next start reads them again",
        .problem.as_ref().map(|it| format!(" ({it})")).unwrap_or_default()
    )]
    Uncommitted {
        records: u64,
        /// Since when: the epoch of the newest commit, as people read it.
        since: String,
        problem: Option<String>,
    },
    #[error("dead letters could not be replayed: {0}")]
    Replay(String),
    #[error("views could not be filled from the archive: {0}")]
    Refill(String),
    #[error("the engine failed: {0}")]
    Engine(String),
    #[error("a worker could not write its part of a commit: {0}")]
    Staging(String),
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error(
        "{ending}; process {process} ends too, and the next start goes on from the last commit"
    )]
    Ended { process: usize, ending: Ending },
}

/// A running pipeline.
pub struct Pipeline {
    pub dataflow: Arc<Dataflow>,
    pub hub: Arc<Hub>,
    pub store: Store,
    pub sources: Vec<(String, SharedStatus)>,
    /// Where each source is read from.
    pub places: BTreeMap<String, Place>,
    /// Sources that clients push into, by name.
    pub inboxes: BTreeMap<String, Inbox>,
    /// The newest commit, and what keeps the lake from being written, if anything.
    pub committed: watch::Receiver<Committed>,
    /// How the commits of this process went.
    pub commits: Arc<CommitCounts>,
    /// Workers of this process.
    pub workers: usize,
    /// What was done at this start because the dataflow has changed, a sentence each. In process 0.
    pub grown: Vec<String>,
    /// This process' number, and how many there are.
    pub process: usize,
    pub processes: usize,
    /// Commits handed over and not yet durable, of this process.
    pub unsettled: Arc<AtomicUsize>,
    /// What each relation costs the workers of this process.
    costs: Arc<Costs>,
    /// How much memory the process may take, if that is limited.
    pub budget: Arc<Budget>,
    peers: Option<cluster::Sender>,
    ending: watch::Receiver<Option<Ending>>,
    settled: watch::Receiver<Epoch>,
    control: Arc<Control>,
    again: Arc<AtomicBool>,
    stop_readers: Arc<AtomicBool>,
    engine: engine::Running,
    settling: JoinHandle<()>,
    /// In process 0.
    committer: Option<JoinHandle<Result<(), Error>>>,
    /// In process 0.
    lease: Option<Lease>,
}

/// A lake taken over: what to go on from.
struct Claimed {
    manifest: Manifest,
    tables: BTreeMap<String, TableState>,
    /// State that the newest manifest no longer names.
    obsolete: Vec<StateFile>,
    grown: Vec<String>,
    /// In process 0.
    lease: Option<Lease>,
}

/// What process 0 tells the others to go on from.
#[derive(Serialize, Deserialize)]
struct Beginning {
    /// The name that the dataflow has in the lake.
    dataflow: String,
    manifest: u64,
    /// Part of the names of staged files.
    writer: String,
    start: Epoch,
    /// By what records are scored, from the first epoch on.
    models: Schedule,
}

/// Starts everything; returns when the first records can be read.
///
/// # Errors
/// If the cluster does not come together, the lake cannot be claimed, its state not be read, or a source not be opened.
pub async fn start(mut dataflow: Dataflow, options: &Options) -> Result<Pipeline, Error> {
    let places = options.inputs.places(dataflow.source_options())?;
    // Before the lake is claimed: a mistyped path leaves nothing behind.
    places.values().try_for_each(Place::check)?;
    let store = Store::open(&options.lake)?;
    let settings = settings(&dataflow, options);
    let span = Span::root("start");
    let step = span.child("claim");
    let (claimed, beginning, joined) = begin(&dataflow, options, &store, &settings).await?;
    drop(step);
    dataflow.name.clone_from(&claimed.manifest.dataflow);
    let dataflow = Arc::new(dataflow);
    let layouts: Arc<Vec<TableLayout>> = Arc::new(outputs::layouts(&dataflow));
    let Claimed {
        manifest: claim,
        tables,
        obsolete,
        grown,
        lease,
    } = claimed;
    let (process, processes) = match &options.cluster {
        Some(member) => (member.process, member.hosts.len()),
        None => (0, 1),
    };
    let own = process * options.workers..(process + 1) * options.workers;
    let all_workers = processes * options.workers;

    let step = span.child("state");
    let sharing = Sharing::new(own.clone(), all_workers, Panes::of(&dataflow));
    let state = state::load(&store, &claim, &sharing).await?;
    let state_records: usize = state.iter().map(StateShare::len).sum();
    step.set("tidelake.state.records", state_records as i64);
    drop(step);
    span.set("tidelake.generation", claim.generation as i64);
    span.set("tidelake.epoch", claim.epoch.0 as i64);
    let clocks = stored::clocks(&claim)?;
    let totals = stored::totals(&claim)?;
    if claim.epoch != Epoch(0) {
        tracing::info!(
            epoch = claim.epoch.0,
            generation = claim.generation,
            state_records,
            "going on after commit {} of {}",
            claim.number - 1,
            claim.epoch.iso()
        );
    }

    let infos = dataflow.views.iter().map(view_info).collect();
    let per_source = dataflow
        .sources
        .iter()
        .map(|it| totals.get(&it.name).copied().unwrap_or_default())
        .collect();
    let (generation, start) = (claim.generation, beginning.start);
    let hub = Hub::new(infos, options.workers, per_source, generation, start);
    let mut restored = Restored {
        epoch: claim.epoch,
        clocks,
        event_times: stored::event_times(&claim)?,
        state,
    };
    let step = span.child("views");
    if claim.epoch != Epoch(0) {
        for (number, view) in dataflow.views.iter().enumerate() {
            if view.kind == ViewKind::Records {
                let since = Epoch(restored.epoch.0.saturating_sub(retention_ms(view)));
                let newest = store.newest_rows(&view.name, since, RECORDS_MAX).await?;
                let newest = newest.iter().rev();
                hub.seed_records(number, newest.map(|it| (it.0, rows_of_batch(&it.1))));
                continue;
            }
            let outlives = dataflow.outlives_its_windows(view);
            let rows = stored_rows(&store, view, outlives, &restored, &settings).await?;
            hub.seed(number, rows.closed);
            if outlives {
                restored.add_rows_of_view(&view.name, rows.open, &sharing);
            }
        }
    }

    drop(step);

    let stop_readers = Arc::new(AtomicBool::new(false));
    let mut sources = Vec::new();
    let mut folders = Vec::new();
    let mut inboxes = BTreeMap::new();
    let mut feeds: Vec<Vec<Box<dyn Feed>>> = own.clone().map(|_| Vec::new()).collect();
    for spec in &dataflow.sources {
        let status = SharedStatus::default();
        let stored = claim.offsets.get(&spec.name).cloned().unwrap_or_default();
        let share = feed::Share {
            own: own.clone(),
            all: all_workers,
        };
        let origin = feed::origin(spec, &places[&spec.name], &claim, &status)?;
        let opened = feed::open(
            spec,
            share,
            &origin,
            &stored,
            &status,
            &hub.readers(),
            &stop_readers,
        )?;
        for (worker, feed) in opened.into_iter().enumerate() {
            feeds[worker].push(feed);
        }
        if let Some(inbox) = origin.inbox() {
            inboxes.insert(spec.name.clone(), inbox);
        }
        let folder = origin.folder();
        if let Some(folder) = folder.as_ref().filter(|_| process != 0) {
            folder.follow(Vec::new());
        }
        folders.push(folder);
        sources.push((spec.name.clone(), status));
    }

    let (committed_to, committed) = watch::channel(Committed::at(&claim, &totals));
    let commits = Arc::new(CommitCounts::default());
    let told_of_commits = commit::Teller {
        committed: committed_to.clone(),
        counts: Arc::clone(&commits),
    };
    let told = commit::tell_of_uploads(told_of_commits.clone());
    let (to_settle, from_workers) = mpsc::unbounded_channel();
    let uploads = Arc::new(lake::Uploads::default());
    let unsettled = Arc::new(AtomicUsize::new(0));
    let commits_waiting = Arc::clone(&unsettled);
    let budget = Arc::new(Budget::of(options.memory_max));
    if let Some(watch) = Budget::watch(&budget) {
        supervise::task("memory", watch);
    }
    let parts = feeds
        .into_iter()
        .zip(own.clone())
        .map(|(feeds, worker)| {
            let outputs: Box<dyn Outputs> = Box::new(outputs::WorkerOutputs::new(
                worker,
                own.start,
                &store,
                &beginning.writer,
                Arc::clone(&dataflow),
                Arc::clone(&layouts),
                Arc::clone(&hub),
                to_settle.clone(),
                Arc::clone(&uploads),
                Arc::clone(&unsettled),
                Arc::clone(&budget),
                Arc::clone(&told),
            ));
            (feeds, outputs)
        })
        .collect();
    drop(to_settle);
    let control = Arc::new(Control::new(hub.readers()));
    let again = Arc::new(AtomicBool::new(false));
    // A start counts as a reader, so that the first results appear quickly.
    hub.note_reader(Duration::ZERO);
    let (settled_to, settled) = watch::channel(Epoch(0));
    let (ending_to, ending) = watch::channel(None);
    let (links, mesh) = match joined {
        Some(joined) => {
            let mesh = engine::Mesh {
                process,
                sockets: joined.data,
            };
            (Some(joined.links), mesh)
        }
        None => (None, engine::Mesh::default()),
    };
    let peers = links.as_ref().map(cluster::Links::sender);
    let (to_committer, for_committer) = mpsc::unbounded_channel();
    let committer = if process == 0 {
        let label = format!("c-{}", &beginning.writer[..8]);
        let runtime = tokio::runtime::Handle::current();
        let of_commit = (store.clone(), uploads);
        let stager = move || {
            let (store, uploads) = of_commit.clone();
            lake::Stager::new(store, runtime.clone(), label.clone(), uploads)
                .telling(Arc::clone(&told))
        };
        let together = together::Together::new(stager, Arc::clone(&layouts));
        let committer = commit::Committer::new(
            store.clone(),
            Arc::clone(&dataflow),
            claim.clone(),
            tables,
            totals,
            all_workers,
            told_of_commits,
            Arc::clone(&unsettled),
            peers.clone(),
            settings.clone(),
            options.version_retention,
            options.optimize_every,
            obsolete,
            together,
        );
        Some(supervise::task("committer", committer.run(for_committer)))
    } else {
        None
    };
    let (loaded_to, loaded) = mpsc::unbounded_channel();
    if process == 0 {
        let watch = models::Watch {
            dataflow: Arc::clone(&dataflow),
            store: store.clone(),
            control: Arc::clone(&control),
            peers: peers.clone().map(|it| (it, processes - 1)),
            loaded,
        };
        supervise::task("models", watch.run());
    }
    let destination = match &peers {
        Some(peers) if process != 0 => part::Destination::ProcessZero(peers.clone()),
        _ => part::Destination::Committer(to_committer.clone()),
    };
    let settling = supervise::task("settle", part::settle(from_workers, destination));
    if let (Some(links), Some(peers)) = (links, &peers) {
        let shared: Vec<SharedStatus> = sources.iter().map(|it| it.1.clone()).collect();
        let listening = peers::Peers {
            links,
            control: Arc::clone(&control),
            again: Arc::clone(&again),
            hub: Arc::clone(&hub),
            parts: (process == 0).then(|| to_committer.clone()),
            committed: committed_to,
            unsettled,
            sources: shared.clone(),
            folders: folders.clone(),
            ending: ending_to,
            store: store.clone(),
            live_models: dataflow.live_models.clone(),
            loaded: loaded_to,
            settled: settled_to,
        };
        supervise::task("peers", listening.run());
        supervise::task(
            "tell-sources",
            peers::tell_sources(
                peers.clone(),
                shared,
                own,
                all_workers,
                Arc::clone(&hub),
                folders,
                Arc::clone(&control),
            ),
        );
        supervise::task(
            "tell-readers",
            peers::tell_readers(peers.clone(), hub.readers()),
        );
    }
    supervise::task(
        "tell-committed",
        tell_committed(committed.clone(), sources.clone()),
    );
    let costs: Arc<Costs> = Arc::default();
    let job = Job {
        dataflow: Arc::clone(&dataflow),
        settings,
        start: beginning.start,
        restored,
        control: Arc::clone(&control),
        costs: Arc::clone(&costs),
        wall: engine::Wall::system(),
    };
    let engine = engine::start(job, mesh, parts).map_err(Error::Engine)?;
    Ok(Pipeline {
        dataflow,
        hub,
        store,
        sources,
        places,
        inboxes,
        committed,
        commits,
        workers: options.workers,
        grown,
        process,
        processes,
        unsettled: commits_waiting,
        peers,
        ending,
        settled,
        costs,
        budget,
        control,
        again,
        stop_readers,
        engine,
        settling,
        committer,
        lease,
    })
}

/// Tells the sources what the lake has, until the pipeline has ended.
async fn tell_committed(
    mut committed: watch::Receiver<Committed>,
    sources: Vec<(String, SharedStatus)>,
) {
    while committed.changed().await.is_ok() {
        let offsets = committed.borrow_and_update().offsets.clone();
        for (name, status) in &sources {
            if let Some(offsets) = offsets.get(name) {
                status.commit(offsets);
            }
        }
    }
}

/// Takes the lake over, alone or as process 0 of a cluster, or learns from process 0 what to go on from.
async fn begin(
    dataflow: &Dataflow,
    options: &Options,
    store: &Store,
    settings: &engine::Settings,
) -> Result<(Claimed, Beginning, Option<Joined>), Error> {
    let beginning = async |claimed: &Claimed| {
        let start = Epoch::at_or_after(wall_ms(), TICK_MS);
        let start = start.max(Epoch(claimed.manifest.epoch.0 + TICK_MS));
        models::at_start(dataflow, store, start).await;
        Beginning {
            dataflow: claimed.manifest.dataflow.clone(),
            manifest: claimed.manifest.number,
            writer: claimed.manifest.writer.clone(),
            start,
            models: dataflow.live_models.in_force.through(Epoch(u64::MAX)),
        }
    };
    let Some(member) = &options.cluster else {
        let claimed = claim(dataflow, options, store, settings).await?;
        let beginning = beginning(&claimed).await;
        return Ok((claimed, beginning, None));
    };
    let (mut own, mut failed) = (None, None);
    let prepare = async {
        let claimed = match claim(dataflow, options, store, settings).await {
            Ok(claimed) => claimed,
            Err(error) => {
                let text = error.to_string();
                failed = Some(error);
                return Err(text);
            }
        };
        let beginning = beginning(&claimed).await;
        let welcome = cluster::Welcome {
            generation: claimed.manifest.generation,
            content: postcard::to_stdvec(&beginning).map_err(|it| it.to_string())?,
        };
        own = Some((claimed, beginning));
        Ok(welcome)
    };
    let joined = cluster::join(member, prepare).await;
    if let Some(error) = failed {
        return Err(error);
    }
    let joined = joined?;
    tracing::info!(
        process = member.process,
        processes = member.hosts.len(),
        generation = joined.welcome.generation,
        "the cluster has come together"
    );
    if let Some((claimed, beginning)) = own {
        return Ok((claimed, beginning, Some(joined)));
    }
    let beginning: Beginning =
        postcard::from_bytes(&joined.welcome.content).map_err(|it| Error::State(it.to_string()))?;
    models::go_on(dataflow, store, beginning.models.clone()).await?;
    let manifest = store
        .manifest(&beginning.dataflow, beginning.manifest)
        .await?
        .ok_or_else(|| {
            Error::State(format!(
                "commit {}, which process 0 goes on from, is not in {}; give all processes the same lake",
                beginning.manifest, store.url
            ))
        })?;
    let claimed = Claimed {
        manifest,
        tables: BTreeMap::new(),
        obsolete: Vec::new(),
        grown: Vec::new(),
        lease: None,
    };
    Ok((claimed, beginning, Some(joined)))
}

/// Claims the next commit, brings every table up to it, and makes the lake follow the dataflow if that has changed.
async fn claim(
    dataflow: &Dataflow,
    options: &Options,
    store: &Store,
    settings: &engine::Settings,
) -> Result<Claimed, Error> {
    store.check_creates_once().await?;
    let dataflow = &identity::identified(dataflow, store).await?;
    let writer = uuid::Uuid::new_v4().to_string();
    let definitions =
        serde_json::to_value(&dataflow.definitions).map_err(|it| Error::State(it.to_string()))?;
    let (claim, growth) = loop {
        let newest = store.newest_manifest(&dataflow.name).await?;
        if let Err(unfit) = identity::check(dataflow, store, newest.as_ref()).await {
            // A commit of a process that still ran may have come between.
            let since = store.newest_manifest(&dataflow.name).await?;
            if since.map(|it| it.number) != newest.map(|it| it.number) {
                continue;
            }
            return Err(unfit);
        }
        if let Some(newest) = &newest {
            stored::check(newest)?;
            if !options.take_over {
                lease::wait_for(store, newest).await?;
            }
        }
        let mut after = newest.unwrap_or_else(|| Manifest::empty(&dataflow.name));
        let growth = match after.tables.is_empty() {
            // A lake without a commit has nothing that a changed dataflow could not go on from.
            true => {
                after.definitions = definitions.clone();
                None
            }
            false => Some(growth::since(&after, dataflow)?),
        };
        after.holder = Some(lease::this_process());
        let mut claim = Commit::claim(after, &writer, wall_ms());
        if finish(store, &mut claim, "claim").await? {
            break (claim, growth);
        }
    };
    commit::crash_point("rolled");
    let (manifest, tables) = as_settled(claim);
    let lease = Lease::of(store, &manifest);
    let claimed = Claimed {
        manifest,
        tables,
        obsolete: Vec::new(),
        grown: Vec::new(),
        lease: Some(lease),
    };
    models::go_on(dataflow, store, claimed.manifest.models.clone()).await?;
    let mut claimed = match growth {
        Some(growth) => grow::follow(dataflow, store, settings, claimed, growth).await?,
        None => claimed,
    };
    for layout in outputs::layouts(dataflow) {
        if claimed.tables.contains_key(&layout.name) {
            continue;
        }
        let made = store.create_table(&layout, &dataflow.name, wall_ms());
        let made = TableState::made_at(made.await?);
        claimed.tables.insert(layout.name, made);
    }
    Ok(claimed)
}

/// Carries a commit through before anything runs. A lake that does not answer ends the start: nobody is served yet.
async fn finish(store: &Store, commit: &mut Commit, manifest_step: &str) -> Result<bool, Error> {
    commit::carry_through(store, commit, manifest_step, None).await
}

/// A settled manifest, and the tables as they are with it.
fn as_settled(commit: Commit) -> (Manifest, BTreeMap<String, TableState>) {
    let (manifest, versions) = commit.into_parts();
    let tables = manifest.tables.iter().map(|(name, entry)| {
        let state = TableState::from_entry(entry, versions[name]);
        (name.clone(), state)
    });
    let tables = tables.collect();
    (manifest, tables)
}

impl Pipeline {
    /// What each relation costs this process.
    pub fn costs_of_relations(&self) -> costs::CostsOfRelations {
        costs::CostsOfRelations::new(Arc::clone(&self.costs), Arc::clone(&self.hub))
    }

    /// Why the pipeline cannot go on, if it cannot: its committer has failed, and `stop` tells how, or another process of
    /// the cluster is gone.
    pub fn ending(&self) -> Option<Ending> {
        let failed = self.committer.as_ref().is_some_and(|it| it.is_finished())
            && !self.control.is_stopping();
        self.ending.borrow().clone().or_else(|| {
            failed.then(|| Ending::Failed {
                process: self.process,
                reason: "its commits have ended".to_owned(),
            })
        })
    }

    /// Whether another process of the cluster was told to stop, and so all do.
    pub fn is_stopping(&self) -> bool {
        self.control.is_stopping()
    }

    /// Whether that stop is one after which all processes start again.
    pub fn starts_again(&self) -> bool {
        self.again.load(Ordering::Acquire)
    }

    /// Has all processes start again after the stop that follows. Who ends a process then has to begin it anew.
    pub fn start_again(&self) {
        self.again.store(true, Ordering::Release);
    }

    /// The other processes of the cluster, if there are any.
    pub fn peers(&self) -> Option<cluster::Sender> {
        self.peers.clone()
    }

    /// Stops like `stop`, but no longer than until `enough`: a lake that cannot be written must not hold a process for ever. What still runs
    /// then ends with the process.
    ///
    /// # Errors
    /// If the last commit did not succeed, or not in time: then with what it lacks.
    pub async fn stop_until(self, enough: impl Future<Output = ()>) -> Result<(), Error> {
        let (hub, committed) = (Arc::clone(&self.hub), self.committed.clone());
        tokio::select! {
            biased;
            result = self.stop() => result,
            () = enough => {
                let read = hub.totals().iter().map(|it| it.records + it.undecoded).sum::<u64>();
                let committed = committed.borrow();
                Err(Error::Uncommitted {
                    records: read.saturating_sub(committed.read),
                    since: match committed.epoch {
                        Epoch(0) => "since the start".to_owned(),
                        epoch => format!("after {}", epoch.iso()),
                    },
                    problem: committed.problem.clone(),
                })
            }
        }
    }

    /// Stops reading, commits what was read, and ends the workers: of all processes, if there are several.
    ///
    /// # Errors
    /// If the last commit did not succeed; the next start goes on from the one before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop_readers.store(true, Ordering::Release);
        if let (true, Some(peers)) = (self.control.stop(), &self.peers) {
            let again = self.starts_again();
            peers.send_all(&peers::Message::Stop { again }.bytes());
        }
        if let Some(committer) = self.committer.take_if(|it| it.is_finished()) {
            // It has failed; the workers end all the same, and what they still hand over goes nowhere.
            return committer
                .await
                .map_err(|it| Error::Engine(it.to_string()))?;
        }
        let mut ending = self.ending.clone();
        let ended = async {
            let found = ending.wait_for(Option::is_some).await;
            found.ok().and_then(|it| it.clone())
        };
        tokio::pin!(ended);
        let process = self.process;
        let finished = async {
            let engine = self.engine;
            supervise::blocking("the engine", move || engine.join())
                .await
                .map_err(|it| Error::Engine(it.to_string()))?
                .map_err(Error::Engine)?;
            let _ = self.settling.await;
            match self.committer {
                Some(committer) => committer
                    .await
                    .map_err(|it| Error::Engine(it.to_string()))??,
                None => {
                    let last = self.control.last();
                    let _ = self.settled.wait_for(|it| last <= Some(*it)).await;
                }
            }
            if let Some(peers) = &self.peers {
                peers.bye().await;
            }
            if let Some(lease) = self.lease {
                lease.release().await;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            result = finished => result,
            Some(ending) = &mut ended => Err(Error::Ended { process, ending }),
        }
    }
}

fn settings(dataflow: &Dataflow, options: &Options) -> engine::Settings {
    let clock = |source: &SourceSpec| ClockSettings {
        delay_us: source.event_time.map_or(0, |it| it.delay_us),
        idle_ms: options.idle_ms,
        close_idle_ms: options.close_idle_ms,
        lead_us: source.event_time.map_or(0, |it| it.lead_us),
        by_arrival: source.event_time.is_none(),
    };
    engine::Settings {
        workers: options.workers,
        tick_ms: TICK_MS,
        quiet_tick_ms: 1_000,
        commit_interval_ms: options.commit_interval_ms,
        first_commit_ms: options.commit_interval_ms.min(1500),
        lag_max_ms: 1000,
        epoch_records_max: EPOCH_RECORDS_MAX,
        idle_sleep_ms_max: TICK_MS,
        clocks: dataflow
            .sources
            .iter()
            .map(|it| (it.name.clone(), clock(it)))
            .collect(),
        tail_rows: 64,
        bucketing: bucketing(options),
    }
}

/// How finely large views are cut, so that what is kept for readers of older versions stays within bounds.
fn bucketing(options: &Options) -> Bucketing {
    let retention_ms = crate::model::whole_ms(options.version_retention);
    let commits = (retention_ms / options.commit_interval_ms.max(1)).max(1);
    Bucketing {
        rows_min: 1024,
        file_rows: 256,
        files_max: (FILES_REPLACED_MAX / commits).max(1) as usize,
    }
}

fn retention_ms(view: &crate::plan::ViewSpec) -> u64 {
    u64::try_from(view.retention_us / 1000).expect("a retention is positive")
}

fn view_info(view: &crate::plan::ViewSpec) -> ViewInfo {
    let window = match view.kind {
        ViewKind::Windowed { column, add_us } => Some(WindowInfo {
            column,
            add_us,
            retention_us: view.retention_us,
            clocks: view.clocks.clone(),
        }),
        ViewKind::Records | ViewKind::Open => None,
    };
    ViewInfo {
        name: view.name.clone(),
        schema: view.plan.schema(),
        sql: view.sql.clone(),
        window,
        records_ms: match view.kind {
            ViewKind::Records => Some(retention_ms(view)),
            ViewKind::Windowed { .. } | ViewKind::Open => None,
        },
        order: view.order.clone(),
    }
}

/// Rows of a view's table.
#[derive(Default)]
struct StoredRows {
    /// Of windows that were closed before this run, within the retention.
    closed: Vec<Row>,
    open: Vec<Row>,
}

/// The rows that the lake has of a view; open ones only if they are wanted.
async fn stored_rows(
    store: &Store,
    view: &crate::plan::ViewSpec,
    wants_open: bool,
    restored: &Restored,
    settings: &engine::Settings,
) -> Result<StoredRows, Error> {
    let closing = match view.kind {
        ViewKind::Records | ViewKind::Open => None,
        ViewKind::Windowed { column, add_us } => engine::stored_watermark(
            &view.clocks,
            &restored.clocks,
            &settings.clocks,
            restored.epoch.0 + 1,
        )
        .map(|watermark| (column, watermark.saturating_sub(add_us))),
    };
    let mut rows = StoredRows::default();
    if closing.is_none() && !wants_open {
        return Ok(rows);
    }
    let delta = store.open_delta(&view.name).await?;
    let failed = |reason: String| lake::Error::Table {
        table: view.name.clone(),
        reason,
    };
    let batches = crate::sql::table_rows(&delta, &view.plan.schema())
        .await
        .map_err(failed)?;
    for row in batches.iter().flat_map(rows_of_batch) {
        let closed = closing.and_then(|(column, closed)| {
            let time = row.0[column].as_i64()?;
            (time <= closed).then_some(closed.saturating_sub(view.retention_us) < time)
        });
        match closed {
            Some(true) => rows.closed.push(row),
            Some(false) => {}
            None if wants_open => rows.open.push(row),
            None => {}
        }
    }
    Ok(rows)
}
