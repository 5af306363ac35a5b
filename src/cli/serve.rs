//! `run` and `demo`: a pipeline, its API and its page, until told to stop or to restart.

use super::detach::{PART_PROCESS, PART_VARIABLE};
use super::health::{self, Arrivals, EngineFacts, LakeFacts, SourceFacts};
use super::instance::{self, Registered, State};
use super::restart::{self, Served};
use super::up::{LAST_END_VARIABLE, RESTARTS_VARIABLE};
use crate::cluster;
use crate::coordinator::costs::{CostsOfRelations, NodeCosts, RelationCost};
use crate::coordinator::{self, Budget, CommitCounts, Committed, Ending, Memory, Pipeline};
use crate::http::{
    self, App, CommitInfo, CommittedFiles, Component, Health, IntakeStatus, PartitionStatus,
    SourceStatus, Status, StatusSource, serve,
};
use crate::lake::Store;
use crate::model::{Partition, wall_ms};
use crate::notify::{self, Webhooks};
use crate::plan::Dataflow;
use crate::source::SharedStatus;
use crate::source::place::Place;
use crate::sql::query::{Lake, Limits, Queries};
use crate::supervise;
use crate::view::Hub;
use anyhow::Result;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A stop takes no longer, whatever the lake does; supervisors wait for ten seconds, as a rule.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// Before a restart nobody waits to kill the process, and a last commit may take its time.
const STOP_TO_RESTART_WITHIN: Duration = Duration::from_secs(60);
/// Signals that come so close together are one: `timeout` of GNU sends its own to the process and to its group.
const ONE_SIGNAL_WITHIN: Duration = Duration::from_millis(100);
/// A signal that was sent is heard of within this.
const SIGNALLED_WITHIN: Duration = Duration::from_millis(50);
/// How often the lake is looked at: one table after another, each as a query would open it.
const LOOK_AT_LAKE_EVERY: Duration = Duration::from_secs(5);
const LOOK_TWICE_AFTER: Duration = Duration::from_millis(500);

/// A part of the process beside the pipeline, and how it is doing.
pub type Companion = Arc<dyn Fn() -> Component + Send + Sync>;

/// Listens, before anything is made that would be in vain. After a restart in place the socket is the one from before.
pub async fn listen(address: &SocketAddr) -> Result<TcpListener> {
    if let Some(left) = restart::left_listener(address)? {
        return Ok(TcpListener::from_std(left)?);
    }
    TcpListener::bind(address).await.map_err(|it| {
        let in_use = it.kind() == std::io::ErrorKind::AddrInUse;
        let other = in_use.then(|| instance::serving_at(*address)).flatten();
        let other = other.map(|it| {
            let (name, pid) = (it.name, it.holder.pid);
            format!(" by instance {name} (process {pid}; `tidelake stop {name}` ends it)")
        });
        let other = other.unwrap_or_default();
        super::exit::coded(
            super::exit::CONFIGURATION,
            format!(
                "could not listen on {address}: {it}{other}; choose another address with --listen"
            ),
        )
    })
}

/// Runs a dataflow and serves it, and says whether it is to start again; tells its instance when it can be stopped in order.
pub async fn run(
    dataflow: Dataflow,
    options: coordinator::Options,
    listener: TcpListener,
    settings: http::Settings,
    limits: Limits,
    companions: Vec<Companion>,
    registered: Option<&Registered>,
) -> Result<Served> {
    let address = listener.local_addr()?;
    let kept = listener.as_fd().try_clone_to_owned()?;
    let mut asked = settings.restarter.as_ref().map(http::Restarter::asked);
    let mut signals = Apart::from(Signals::listen()?);
    let pipeline = tokio::select! {
        started = coordinator::start(dataflow, &options) => started?,
        () = signals.next() => {
            tracing::info!("stopped before it began; nothing was read");
            return Ok(Served::Stopped);
        }
    };
    let tables = pipeline.dataflow.tables.iter().map(|it| it.name.clone());
    let views = pipeline.dataflow.views.iter().map(|it| it.name.clone());
    let names: Vec<String> = tables.chain(views).collect();
    let queries = Queries::new(
        Arc::clone(&pipeline.hub),
        Arc::clone(&pipeline.dataflow),
        Lake::new(pipeline.store.clone(), names.clone()),
        limits,
    )?;
    let (unreadable_to, unreadable) = watch::channel(None);
    let webhooks = webhooks_of(&pipeline);
    let mut companions = companions;
    companions.extend(webhooks.iter().flat_map(components_of));
    companions.extend(components_of_models(&pipeline));
    let status = Arc::new(PipelineStatus::of(&pipeline, unreadable, companions));
    let looking = look_at_lake(pipeline.store.clone(), names, unreadable_to);
    let looking = supervise::task("look-at-lake", looking);
    let app = App::new(
        Arc::clone(&pipeline.hub),
        queries,
        Arc::clone(&pipeline.dataflow),
        status,
        pipeline.inboxes.clone(),
        settings,
    );
    let (stop, stopping) = watch::channel(false);
    let server = supervise::task("http server", async move {
        if let Err(error) = serve(listener, app, stopping).await {
            supervise::end("http server", &error.to_string());
        }
    });
    tracing::info!(
        dataflow = %pipeline.dataflow.name,
        workers = pipeline.workers,
        lake = %pipeline.store.url,
        "serving http://{address}/"
    );
    let note = |state: State| {
        if let Some(it) = registered {
            it.update(|it| it.state = state);
        }
    };
    note(State::Running);
    let told = until_told_or_ended(&pipeline, &mut signals, asked.as_mut()).await;
    looking.abort();
    drop(webhooks);
    if let Told::Ended(ending) = told {
        let process = pipeline.process;
        if pipeline.processes == 1 {
            pipeline.stop().await?;
        } else {
            // Its workers wait for others that are gone.
            std::mem::forget(pipeline);
        }
        return Err(coordinator::Error::Ended { process, ending }.into());
    }
    let restarts = Cell::new(matches!(told, Told::Restart));
    // Who connects while it stops for good is refused instead of waiting.
    let kept = restarts.get().then_some(kept);
    if restarts.get() {
        tracing::info!("restarting: reading ends, the last epoch is committed; a signal stops it");
        note(State::Restarting);
        pipeline.start_again();
    } else {
        tracing::info!(
            "stopping: reading ends, the last epoch is committed; once more ends at once"
        );
        note(State::Stopping);
    }
    stop.send_replace(true);
    {
        let was_signalled = matches!(told, Told::Signal);
        let mut enough = std::pin::pin!(enough(&mut signals, &restarts, was_signalled));
        pipeline.stop_until(enough.as_mut()).await?;
        tokio::select! {
            _ = server => {}
            () = enough => tracing::warn!("some requests did not end in time"),
        }
    }
    if let Some(kept) = kept.filter(|_| restarts.get())
        && !signals.heard.let_go().await
    {
        tracing::info!("stopped, and about to start again");
        return Ok(Served::Restarts(kept));
    }
    tracing::info!("stopped; the next start goes on from here");
    Ok(Served::Stopped)
}

/// When an end in order is waited for no longer. A signal makes a plain stop of a restart, and a further one ends the process at once. Of a stop that another
/// process has told of, the first signal says the same once more: who stops a cluster sends one to each process, one after the other.
async fn enough(signals: &mut impl Signalled, restarts: &Cell<bool>, was_signalled: bool) {
    if restarts.get() {
        tokio::select! {
            () = signals.next() => tracing::info!("stopping instead; once more ends at once"),
            () = tokio::time::sleep(STOP_TO_RESTART_WITHIN) => return,
        }
        restarts.set(false);
    } else if !was_signalled {
        tokio::select! {
            () = signals.next() => {}
            () = tokio::time::sleep(STOP_WITHIN) => return,
        }
    }
    tokio::select! {
        () = signals.next() => {}
        () = tokio::time::sleep(STOP_WITHIN) => {}
    }
}

/// What has started this process again, if something has.
fn supervisor() -> Option<Component> {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    if told(PART_VARIABLE) != PART_PROCESS {
        return None;
    }
    let restarts = told(RESTARTS_VARIABLE).parse().unwrap_or(0);
    let (status, detail) = health::of_supervisor(restarts, &told(LAST_END_VARIABLE))?;
    Some(Component {
        restarts: Some(restarts),
        ..Component::new("supervisor", status, detail)
    })
}

/// Those who are told of incidents, by the first process of a cluster.
fn webhooks_of(pipeline: &Pipeline) -> Option<Webhooks> {
    let told_of = notify::Pipeline {
        dataflow: pipeline.dataflow.name.clone(),
        hub: Arc::clone(&pipeline.hub),
        store: pipeline.store.clone(),
        committed: pipeline.committed.clone(),
    };
    (pipeline.process == 0).then(|| Webhooks::start(&pipeline.dataflow.webhooks, &told_of))
}

fn components_of(webhooks: &Webhooks) -> Vec<Companion> {
    let all = webhooks.told().into_iter().map(|(name, told)| {
        component(format!("webhook {name}"), move || {
            health::of_webhook(&told())
        })
    });
    all.collect()
}

fn components_of_models(pipeline: &Pipeline) -> Vec<Companion> {
    let live = &pipeline.dataflow.live_models;
    let all = live.features.keys().cloned().map(|name| {
        let in_force = Arc::clone(&live.in_force);
        component(format!("model {name}"), move || {
            health::of_model(&name, &in_force)
        })
    });
    all.collect()
}

fn component(name: String, of: impl Fn() -> (Health, String) + Send + Sync + 'static) -> Companion {
    Arc::new(move || {
        let (status, detail) = of();
        Component::new(name.as_str(), status, detail)
    })
}

/// What a terminal or a supervisor says to end the process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// From here on a signal ends the process as the system does it, since all is committed: the program that takes the place of this one would not
    /// hear of one that was caught here. Whether one was.
    async fn let_go(mut self) -> bool {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: gives a signal back its usual meaning.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        tokio::time::timeout(SIGNALLED_WITHIN, self.next())
            .await
            .is_ok()
    }
}

/// Whoever tells of signals, one after the other.
trait Signalled {
    async fn next(&mut self);
}

impl Signalled for Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Those of the signals that are no echo of the one before.
struct Apart<S> {
    heard: S,
    last: Option<Instant>,
}

impl<S> From<S> for Apart<S> {
    fn from(signals: S) -> Self {
        Apart {
            heard: signals,
            last: None,
        }
    }
}

impl<S: Signalled> Signalled for Apart<S> {
    async fn next(&mut self) {
        loop {
            self.heard.next().await;
            let now = Instant::now();
            let before = self.last.replace(now);
            if before.is_none_or(|it| ONE_SIGNAL_WITHIN < now - it) {
                return;
            }
        }
    }
}

/// Why a pipeline is not to go on.
enum Told {
    Signal,
    /// Another process of the cluster stops, so all do.
    Stop,
    Restart,
    Ended(Ending),
}

/// Waits until the pipeline is asked to stop or to restart, or cannot go on.
async fn until_told_or_ended(
    pipeline: &Pipeline,
    signals: &mut impl Signalled,
    asked: Option<&mut watch::Receiver<bool>>,
) -> Told {
    let mut asked = std::pin::pin!(async {
        let Some(asked) = asked else {
            return std::future::pending().await;
        };
        if asked.wait_for(|it| *it).await.is_err() {
            std::future::pending().await
        }
    });
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            () = signals.next() => return Told::Signal,
            () = asked.as_mut() => return Told::Restart,
            _ = look.tick() => match pipeline.ending() {
                Some(ending) => return Told::Ended(ending),
                None if pipeline.is_stopping() && pipeline.starts_again() => return Told::Restart,
                None if pipeline.is_stopping() => return Told::Stop,
                None => {}
            },
        }
    }
}

/// Tells whether the tables of the lake can be read: all at the start, then one after another, and one that cannot until it can.
async fn look_at_lake(store: Store, names: Vec<String>, tell: watch::Sender<Option<String>>) {
    let mut at = 0;
    while let Some(name) = names.get(at % names.len().max(1)) {
        let mut found = store.open_delta(name).await.err();
        if found.is_some() {
            // Old log entries are deleted while a table is opened now and then; a second look tells that from damage.
            tokio::time::sleep(LOOK_TWICE_AFTER).await;
            found = store.open_delta(name).await.err();
        }
        let readable = found.is_none();
        let found = found.map(|it| it.to_string());
        tell.send_if_modified(|it| {
            let changed = *it != found;
            if let (true, Some(problem)) = (changed, &found) {
                tracing::error!(table = %name, "a table of the lake cannot be read: {problem}");
            }
            *it = found;
            changed
        });
        let first_round = readable && at < names.len();
        at += usize::from(readable);
        if !first_round {
            tokio::time::sleep(LOOK_AT_LAKE_EVERY).await;
        }
    }
}

/// Collects the facts that health is made of.
struct PipelineStatus {
    hub: Arc<Hub>,
    sources: Vec<(String, SharedStatus)>,
    committed: watch::Receiver<Committed>,
    workers: usize,
    process: usize,
    processes: usize,
    peers: Option<cluster::Sender>,
    /// What was done at the start because the dataflow had changed.
    grown: Vec<String>,
    /// Where each source is read from.
    places: BTreeMap<String, Place>,
    unsettled: Arc<AtomicUsize>,
    commits: Arc<CommitCounts>,
    costs: CostsOfRelations,
    budget: Arc<Budget>,
    unreadable: watch::Receiver<Option<String>>,
    started: Instant,
    arrivals: Mutex<Vec<Arrivals>>,
    companions: Vec<Companion>,
}

impl PipelineStatus {
    fn of(
        pipeline: &Pipeline,
        unreadable: watch::Receiver<Option<String>>,
        companions: Vec<Companion>,
    ) -> Self {
        PipelineStatus {
            places: pipeline.places.clone(),
            unsettled: Arc::clone(&pipeline.unsettled),
            commits: Arc::clone(&pipeline.commits),
            costs: pipeline.costs_of_relations(),
            budget: Arc::clone(&pipeline.budget),
            unreadable,
            started: Instant::now(),
            arrivals: Mutex::new(
                pipeline
                    .sources
                    .iter()
                    .map(|_| Arrivals::default())
                    .collect(),
            ),
            hub: Arc::clone(&pipeline.hub),
            sources: pipeline.sources.clone(),
            committed: pipeline.committed.clone(),
            workers: pipeline.workers,
            process: pipeline.process,
            processes: pipeline.processes,
            peers: pipeline.peers(),
            grown: pipeline.grown.clone(),
            companions,
        }
    }
}

impl StatusSource for PipelineStatus {
    fn costs(&self) -> Vec<RelationCost> {
        self.costs.now()
    }

    fn costs_of_nodes(&self) -> NodeCosts {
        self.costs.of_nodes()
    }

    fn commits(&self) -> Arc<CommitCounts> {
        Arc::clone(&self.commits)
    }

    fn memory(&self) -> Option<Memory> {
        self.budget.memory()
    }

    fn status(&self) -> Status {
        let mut components: Vec<Component> = self.companions.iter().map(|it| it()).collect();
        let mut sources = Vec::new();
        let mut not_ready = Vec::new();
        let totals = self.hub.totals();
        let intakes = self.hub.intakes();
        let own_reads = self.hub.own_reads();
        let epoch = self.hub.epoch();
        not_ready.extend(health::not_begun(epoch));
        let committed = self.committed.borrow().clone();
        let second = self.started.elapsed().as_secs();
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, (name, shared)) in self.sources.iter().enumerate() {
            let (status, pace) = (shared.get(), shared.pace());
            let (totals, intake) = (totals[at], &intakes[at]);
            let place = &self.places[name];
            let ends = status
                .partitions
                .iter()
                .filter_map(|(number, it)| Some((*number, it.end_offset?)));
            arrivals[at].note(second, ends);
            let facts = SourceFacts {
                status: &status,
                pace,
                intake,
                from_files: place.is_files(),
                epoch,
                steady: arrivals[at].are_steady(),
                records: own_reads[at].0,
                undecoded: own_reads[at].1,
            };
            let (health, detail) = health::of_source(&facts);
            not_ready.extend(health::never_reached(name, &status));
            components.push(Component {
                headline: health::headline_of_source(&facts),
                ..Component::new(format!("source {name}"), health, detail)
            });
            let partitions = status
                .partitions
                .iter()
                .map(|(partition, it)| PartitionStatus {
                    partition: *partition,
                    offset: it.offset,
                    end_offset: it.end_offset,
                    lag: it.lag(),
                    problem: it.problem.clone(),
                    committed: committed
                        .offsets
                        .get(name)
                        .and_then(|it| it.get(Partition(*partition)))
                        .map(|it| it.offset.0),
                });
            sources.push(SourceStatus {
                name: name.clone(),
                connected: status.connected,
                unit: if place.is_files() { "bytes" } else { "records" }.to_owned(),
                partitions: partitions.collect(),
                files: status.file_notes().into_iter().cloned().collect(),
                topic: place.topic().map(str::to_owned),
                pace,
                gaps: status.gaps,
                records: totals.records,
                undecoded: totals.undecoded,
                bytes: totals.bytes,
                intake: IntakeStatus::from(intake),
            });
        }
        drop(arrivals);
        let wall_ms = wall_ms();
        let (status, detail) = health::of_engine(&EngineFacts {
            workers: self.workers,
            epoch,
            wall_ms,
            still_ms: self.hub.still_ms(),
        });
        components.push(Component::new("engine", status, detail));
        if let Some(memory) = self.budget.memory() {
            let (status, detail) = health::of_memory(&memory, &self.costs.now());
            components.push(Component::new("memory", status, detail));
        }
        for (relation, left_out) in self.hub.left_out() {
            let (status, detail) = health::of_left_out(&left_out);
            let count = left_out.count();
            components.push(Component {
                headline: format!("Degraded: {relation} lacks {count} rows"),
                ..Component::new(format!("relation {relation}"), status, detail)
            });
        }
        if let Some(peers) = &self.peers {
            let skews_ms = peers.skews_ms().into_iter().map(i64::abs);
            let restarts = std::env::var(RESTARTS_VARIABLE).unwrap_or_default();
            let (status, detail) = health::of_cluster(
                self.process,
                self.processes,
                skews_ms.max().unwrap_or(0),
                &restarts,
            );
            components.push(Component::new("cluster", status, detail));
        }
        components.extend(supervisor());
        if !self.grown.is_empty() {
            let detail = format!("changed at this start: {}", self.grown.join("; "));
            components.push(Component::new("dataflow", Health::Ok, detail));
        }
        let age_ms = wall_ms.saturating_sub(committed.written_ms);
        let waiting = self.unsettled.load(Ordering::Acquire);
        let unreadable = self.unreadable.borrow().clone();
        let (status, detail) = health::of_lake(&LakeFacts {
            number: committed.number,
            age_ms,
            waiting,
            unwritable: committed.problem.as_deref(),
            unreadable: unreadable.as_deref(),
        });
        if status == Health::Down {
            not_ready.push(format!("the lake is down: {detail}"));
        }
        components.push(Component::new("lake", status, detail));
        let worst = components
            .iter()
            .map(|it| it.status)
            .max()
            .unwrap_or_default();
        let overall = if worst == Health::Down {
            Health::Degraded
        } else {
            worst
        };
        Status {
            overall,
            components,
            not_ready,
            commit: Some(CommitInfo {
                number: committed.number,
                epoch: committed.epoch,
                age_seconds: age_ms as f64 / 1000.0,
                duration_ms: committed.duration_ms as f64,
                versions: committed
                    .versions
                    .iter()
                    .map(|(name, it)| (name.clone(), *it as i64))
                    .collect(),
                files: committed.files.into_iter().map(committed_files).collect(),
            }),
            sources,
            workers: self.workers,
            epochs_open: wall_ms.saturating_sub(epoch.0) / coordinator::TICK_MS,
            commits_open: waiting as u64,
        }
    }
}

fn committed_files((name, it): (String, coordinator::TableFiles)) -> (String, CommittedFiles) {
    let files = CommittedFiles {
        small: it.small,
        open: it.open,
        written_per_day: it.written_per_day,
        growth_per_day: it.growth_per_day,
    };
    (name, files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    impl Signalled for mpsc::UnboundedReceiver<()> {
        async fn next(&mut self) {
            if self.recv().await.is_none() {
                std::future::pending().await
            }
        }
    }

    /// Whether so many signals end a process at once that stops, or is about to restart.
    async fn ends_at_once(signals: usize, restarts: bool, was_signalled: bool) -> bool {
        let (send, mut receive) = mpsc::unbounded_channel();
        (0..signals).for_each(|_| send.send(()).expect("somebody listens"));
        let restarts = Cell::new(restarts);
        let ended = enough(&mut receive, &restarts, was_signalled);
        tokio::time::timeout(Duration::from_millis(50), ended)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn signals_at_once_are_one() {
        let (send, receive) = mpsc::unbounded_channel();
        let mut signals = Apart::from(receive);
        let soon = Duration::from_millis(20);
        (0..3).for_each(|_| send.send(()).expect("somebody listens"));
        signals.next().await;
        assert!(tokio::time::timeout(soon, signals.next()).await.is_err());
        tokio::time::sleep(2 * ONE_SIGNAL_WITHIN).await;
        send.send(()).expect("somebody listens");
        signals.next().await;
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once_and_the_first_behind_the_word_of_another_does_not() {
        assert!(!ends_at_once(0, false, true).await);
        assert!(ends_at_once(1, false, true).await, "the second one");
        // Each process of a cluster gets one.
        assert!(!ends_at_once(1, false, false).await);
        assert!(ends_at_once(2, false, false).await);
        // One makes a stop of a restart.
        assert!(!ends_at_once(1, true, false).await);
        assert!(ends_at_once(2, true, false).await);
    }
}
