//! `run` and `demo`: a pipeline, its API and its page, until told to stop.

use crate::cluster;
use crate::coordinator::{self, Committed, Ending, Pipeline};
use crate::http::{
    self, App, CommitInfo, Component, Health, PartitionStatus, SourceStatus, Status, StatusSource,
    serve,
};
use crate::model::{Epoch, Partition, wall_ms};
use crate::plan::Dataflow;
use crate::source::{self, SharedStatus};
use crate::sql::query::{Lake, Limits, Queries};
use crate::supervise;
use crate::view::Hub;
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A stop takes no longer, whatever the lake does; supervisors wait for ten seconds, as a rule.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// Files that the health of a source names.
const FILES_TOLD_MAX: usize = 3;
/// Clocks of a cluster that are further apart than this are worth a word.
const SKEW_MS_MAX: i64 = 500;

/// A part of the process beside the pipeline, and how it is doing.
pub type Companion = Arc<dyn Fn() -> Component + Send + Sync>;

/// Listens, before anything is made that would be in vain.
pub async fn listen(address: &SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|it| {
        super::exit::coded(
            super::exit::CONFIGURATION,
            format!("could not listen on {address}: {it}; choose another address with --listen"),
        )
    })
}

/// Runs a dataflow and serves it.
pub async fn run(
    dataflow: Dataflow,
    options: coordinator::Options,
    listener: TcpListener,
    settings: http::Settings,
    limits: Limits,
    companions: Vec<Companion>,
) -> Result<()> {
    let address = listener.local_addr()?;
    let pipeline = coordinator::start(dataflow, &options).await?;
    let tables = pipeline.dataflow.tables.iter().map(|it| it.name.clone());
    let views = pipeline.dataflow.views.iter().map(|it| it.name.clone());
    let queries = Queries::new(
        Arc::clone(&pipeline.hub),
        Arc::clone(&pipeline.dataflow),
        Lake::new(pipeline.store.clone(), tables.chain(views).collect()),
        limits,
    )?;
    let status = Arc::new(PipelineStatus::of(
        &pipeline,
        options.input.is_some(),
        companions,
    ));
    let app = App::new(
        Arc::clone(&pipeline.hub),
        queries,
        Arc::clone(&pipeline.dataflow),
        status,
        settings,
    );
    let (stop, mut stopping) = watch::channel(false);
    let mut moved = pipeline.hub.subscribe();
    let server = supervise::task("http server", async move {
        // Whoever asks before waits: views without what was restored would be wrong.
        tokio::select! {
            _ = moved.wait_for(|it| Epoch(0) < *it) => {}
            _ = stopping.wait_for(|it| *it) => {}
        }
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
    let mut signals = Signals::listen()?;
    if let Some(ending) = until_told_or_ended(&pipeline, &mut signals).await {
        let process = pipeline.process;
        if pipeline.processes == 1 {
            pipeline.stop().await?;
        } else {
            // Its workers wait for others that are gone.
            std::mem::forget(pipeline);
        }
        return Err(coordinator::Error::Ended { process, ending }.into());
    }
    tracing::info!("stopping: reading ends, the last epoch is committed; once more ends at once");
    stop.send_replace(true);
    let mut enough = std::pin::pin!(async {
        tokio::select! {
            () = signals.next() => {}
            () = tokio::time::sleep(STOP_WITHIN) => {}
        }
    });
    pipeline.stop_until(enough.as_mut()).await?;
    tokio::select! {
        _ = server => {}
        () = enough => tracing::warn!("some requests did not end in time"),
    }
    tracing::info!("stopped; the next start goes on from here");
    Ok(())
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

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Why the pipeline cannot go on; nothing if it was asked to stop, here or in another process.
async fn until_told_or_ended(pipeline: &Pipeline, signals: &mut Signals) -> Option<Ending> {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            () = signals.next() => return None,
            _ = look.tick() => match pipeline.ending() {
                Some(ending) => return Some(ending),
                None if pipeline.is_stopping() => return None,
                None => {}
            },
        }
    }
}

/// Health, from what readers and the committer tell.
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
    /// Sources are files, whose offsets are bytes.
    from_files: bool,
    companions: Vec<Companion>,
}

impl PipelineStatus {
    fn of(pipeline: &Pipeline, from_files: bool, companions: Vec<Companion>) -> Self {
        PipelineStatus {
            hub: Arc::clone(&pipeline.hub),
            sources: pipeline.sources.clone(),
            committed: pipeline.committed.clone(),
            workers: pipeline.workers,
            process: pipeline.process,
            processes: pipeline.processes,
            peers: pipeline.peers(),
            grown: pipeline.grown.clone(),
            from_files,
            companions,
        }
    }
}

/// How the processes are doing together: clocks far apart delay the newest epoch.
fn cluster_health(process: usize, processes: usize, peers: &cluster::Sender) -> (Health, String) {
    let skew_ms = peers
        .skews_ms()
        .into_iter()
        .map(i64::abs)
        .max()
        .unwrap_or(0);
    let restarts = std::env::var("TIDELAKE_RESTARTS").unwrap_or_default();
    let restarts = match restarts.as_str() {
        "" | "0" => String::new(),
        many => format!(", restarted {many} times"),
    };
    let detail = format!("process {process} of {processes}, clocks within {skew_ms} ms{restarts}");
    if skew_ms < SKEW_MS_MAX {
        return (Health::Ok, detail);
    }
    (
        Health::Degraded,
        format!("{detail}: newest rows are late by that; set the clocks of the hosts"),
    )
}

/// Input files that are not read as they should be: how many, and the first of them.
fn told_files(notes: &[&source::FileNote]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let first = notes.iter().take(FILES_TOLD_MAX);
    let first: Vec<String> = first
        .map(|it| format!("{}: {}", it.name, it.text))
        .collect();
    let more = match notes.len().saturating_sub(FILES_TOLD_MAX) {
        0 => String::new(),
        more => format!("; and {more} more, see /api/v1/status"),
    };
    let count = match notes.len() {
        1 => "1 file is".to_owned(),
        many => format!("{many} files are"),
    };
    format!(
        "; {count} not read as it should be: {}{more}",
        first.join("; ")
    )
}

/// How a source is doing, in a word and in a sentence: the worst first.
fn source_health(status: &source::Status, unit: &str) -> (Health, String) {
    let stopped = status.partitions.values().find_map(|it| {
        let problem = it.problem.as_ref()?;
        Some(format!("partition {} is stopped: {problem}", it.name))
    });
    if let (true, Some(text)) = (status.connected, stopped) {
        return (Health::Down, text);
    }
    let lost = match status.lost_records {
        0 => String::new(),
        lost => format!("; {lost} {unit} were gone before they could be read"),
    };
    let files = told_files(&status.file_notes());
    let mut behind = format!(
        "{} partitions, {} {unit} behind",
        status.partitions.len(),
        status.lag()
    );
    let ends = status.partitions.values().map(|it| it.end_offset);
    let unknown = ends.filter(Option::is_none).count();
    if 0 < unknown {
        behind.push_str(&format!("; the end of {unknown} is not known yet"));
    }
    match (status.connected, status.problem()) {
        (false, None) => (Health::Starting, "not reached yet".to_owned()),
        (false, Some(problem)) => (Health::Down, problem.clone()),
        (true, Some(problem)) => (Health::Degraded, format!("{problem}{lost}{files}")),
        (true, None) if !lost.is_empty() || !files.is_empty() => {
            (Health::Degraded, format!("{behind}{lost}{files}"))
        }
        (true, None) => (Health::Ok, behind),
    }
}

impl StatusSource for PipelineStatus {
    fn status(&self) -> Status {
        let mut components: Vec<Component> = self.companions.iter().map(|it| it()).collect();
        let mut sources = Vec::new();
        let totals = self.hub.totals();
        let committed = self.committed.borrow().clone();
        for ((name, shared), totals) in self.sources.iter().zip(totals) {
            let status = shared.get();
            let unit = if self.from_files { "bytes" } else { "records" };
            let (health, detail) = source_health(&status, unit);
            components.push(Component {
                name: format!("source {name}"),
                status: health,
                detail,
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
                unit: unit.to_owned(),
                partitions: partitions.collect(),
                pace: shared.pace(),
                files: status.file_notes().into_iter().cloned().collect(),
                gaps: status.gaps,
                records: totals.records,
                undecoded: totals.undecoded,
                bytes: totals.bytes,
            });
        }
        let epoch = self.hub.epoch();
        let behind_ms = wall_ms().saturating_sub(epoch.0);
        let engine = match (epoch.0, behind_ms) {
            (0, _) => (Health::Starting, "no epoch complete yet".to_owned()),
            (1.., 0..5000) => (
                Health::Ok,
                format!("{} workers, newest epoch {behind_ms} ms old", self.workers),
            ),
            (1.., 5000..) => (
                Health::Degraded,
                format!("newest epoch is {} s old", behind_ms / 1000),
            ),
        };
        components.push(Component {
            name: "engine".to_owned(),
            status: engine.0,
            detail: engine.1,
        });
        for (relation, (count, reason)) in self.hub.left_out() {
            components.push(Component {
                name: format!("relation {relation}"),
                status: Health::Degraded,
                detail: format!("{count} since the start: {reason}"),
            });
        }
        if let Some(peers) = &self.peers {
            let (status, detail) = cluster_health(self.process, self.processes, peers);
            components.push(Component {
                name: "cluster".to_owned(),
                status,
                detail,
            });
        }
        if !self.grown.is_empty() {
            components.push(Component {
                name: "dataflow".to_owned(),
                status: Health::Ok,
                detail: format!("changed at this start: {}", self.grown.join("; ")),
            });
        }
        let age_ms = wall_ms().saturating_sub(committed.written_ms);
        let lake = match &committed.problem {
            Some(problem) => (Health::Down, problem.clone()),
            None => (
                Health::Ok,
                format!("commit {} {} s ago", committed.number, age_ms / 1000),
            ),
        };
        components.push(Component {
            name: "lake".to_owned(),
            status: lake.0,
            detail: lake.1,
        });
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
            }),
            sources,
            workers: self.workers,
            epochs_open: behind_ms / 100,
            commits_open: 0,
        }
    }
}
