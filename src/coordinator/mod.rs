//! Brings the parts together: sources, engine, views, lake. Recovers, runs, commits, stops.
//!
//! ```text
//! start:  claim the lake ─ roll tables forward ─ load state ─ seek sources ─ start workers
//! run:    workers report a commit epoch ─ files durable ─ manifest ─ tables ─ (merge, log checkpoint, sweep)
//! stop:   last epoch ─ workers end ─ last commit ─ done
//! ```

mod commit;
mod feed;
mod outputs;
mod state;

use crate::engine::{self, ClockSettings, ClockState, Control, Feed, Job, Outputs, Restored};
use crate::lake::{self, Store, TableLayout, TableState};
use crate::model::{Epoch, Row, rows_of_batch, wall_ms};
use crate::plan::{Dataflow, ViewKind};
use crate::source::{self, SharedStatus};
use crate::view::{Hub, Totals, ViewInfo, WindowInfo};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{mpsc, watch};

pub use commit::Committed;
pub use feed::decoder;

/// How a pipeline runs; see `config` for names and defaults.
#[derive(Clone, Debug)]
pub struct Options {
    pub lake: String,
    /// Partition files instead of Kafka, for every source.
    pub input: Option<PathBuf>,
    pub workers: usize,
    pub tick_ms: u64,
    pub commit_interval_ms: u64,
    pub idle_ms: u64,
    pub close_idle_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lake: "./tidelake-data/lake".to_owned(),
            input: None,
            workers: 2,
            tick_ms: 100,
            commit_interval_ms: 10_000,
            idle_ms: 5_000,
            close_idle_ms: 30_000,
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
    #[error("the engine failed: {0}")]
    Engine(String),
}

/// A running pipeline.
pub struct Pipeline {
    pub dataflow: Arc<Dataflow>,
    pub hub: Arc<Hub>,
    pub store: Store,
    pub sources: Vec<(String, SharedStatus)>,
    /// The newest commit, and what keeps the lake from being written, if anything.
    pub committed: watch::Receiver<Committed>,
    pub workers: usize,
    control: Arc<Control>,
    stop_readers: Arc<AtomicBool>,
    tick_ms: u64,
    engine: engine::Running,
    committer: tokio::task::JoinHandle<Result<(), Error>>,
}

/// Starts everything; returns when the first records can be read.
///
/// # Errors
/// If the lake cannot be claimed, its state not be read, or a source not be opened.
pub async fn start(dataflow: Dataflow, options: &Options) -> Result<Pipeline, Error> {
    let dataflow = Arc::new(dataflow);
    let store = Store::open(&options.lake)?;
    let writer = uuid::Uuid::new_v4().to_string();
    let claim = store
        .claim(&dataflow.name, &dataflow.fingerprint, &writer, wall_ms())
        .await?;
    let layouts = outputs::layouts(&dataflow);
    let mut tables: BTreeMap<String, TableState> = BTreeMap::new();
    for layout in &layouts {
        store.create_table(layout, wall_ms()).await?;
        let entry = claim.tables.get(&layout.name).cloned().unwrap_or_default();
        let mut state = TableState::from_entry(&entry);
        state.version = store
            .commit_table(
                &layout.name,
                &entry,
                &commit::app_id(&dataflow.name, &layout.name),
            )
            .await?;
        tables.insert(layout.name.clone(), state);
    }
    let records = state::load(&store, &claim).await?;
    let clocks: BTreeMap<String, ClockState> =
        serde_json::from_value(claim.clocks.clone()).unwrap_or_default();
    let totals: BTreeMap<String, Totals> =
        serde_json::from_value(claim.totals.clone()).unwrap_or_default();
    if claim.epoch != Epoch(0) {
        tracing::info!(
            epoch = claim.epoch.0,
            generation = claim.generation,
            state_records = records.len(),
            "going on after commit {} of {}",
            claim.number - 1,
            claim.epoch.iso()
        );
    }

    let settings = settings(&dataflow, options);
    let infos = dataflow.views.iter().map(view_info).collect();
    let per_source = dataflow
        .sources
        .iter()
        .map(|it| totals.get(&it.name).copied().unwrap_or_default())
        .collect();
    let hub = Hub::new(infos, options.workers, per_source);
    for (number, view) in dataflow.views.iter().enumerate() {
        hub.seed(
            number,
            closed_rows(&store, view, &clocks, &settings, claim.epoch).await?,
        );
    }

    let stop_readers = Arc::new(AtomicBool::new(false));
    let mut sources = Vec::new();
    let mut feeds: Vec<Vec<Box<dyn Feed>>> = (0..options.workers).map(|_| Vec::new()).collect();
    for spec in &dataflow.sources {
        let status = SharedStatus::default();
        let stored = claim.offsets.get(&spec.name).cloned().unwrap_or_default();
        let opened = feed::open(spec, options, &stored, &status, &stop_readers)?;
        for (worker, feed) in opened.into_iter().enumerate() {
            feeds[worker].push(feed);
        }
        sources.push((spec.name.clone(), status));
    }

    let (to_committer, reports) = mpsc::unbounded_channel();
    let in_flight = Arc::new(AtomicUsize::new(0));
    let unsettled = Arc::new(AtomicUsize::new(0));
    let layouts: Arc<Vec<TableLayout>> = Arc::new(layouts);
    let parts = feeds
        .into_iter()
        .enumerate()
        .map(|(worker, feeds)| {
            let outputs: Box<dyn Outputs> = Box::new(outputs::WorkerOutputs::new(
                worker,
                &store,
                &writer,
                Arc::clone(&dataflow),
                Arc::clone(&layouts),
                Arc::clone(&hub),
                to_committer.clone(),
                Arc::clone(&in_flight),
                Arc::clone(&unsettled),
                options.tick_ms,
            ));
            (feeds, outputs)
        })
        .collect();
    drop(to_committer);
    let start =
        Epoch::at_or_after(wall_ms(), options.tick_ms).max(Epoch(claim.epoch.0 + options.tick_ms));
    let start = Epoch(start.0.div_ceil(options.tick_ms) * options.tick_ms);
    let control = Arc::new(Control::default());
    let (committed_to, committed) = watch::channel(Committed::at(&claim));
    let committer = commit::Committer::new(
        store.clone(),
        Arc::clone(&dataflow),
        claim.clone(),
        tables,
        totals,
        options.workers,
        committed_to,
        unsettled,
        settings.clone(),
    );
    let committer = tokio::spawn(committer.run(reports));
    let restored = Restored {
        epoch: claim.epoch,
        clocks,
        state: records,
    };
    let job = Job {
        dataflow: Arc::clone(&dataflow),
        settings,
        start,
        restored,
        control: Arc::clone(&control),
        wall: engine::Wall::system(),
    };
    let engine = engine::start(job, engine::Mesh::default(), parts).map_err(Error::Engine)?;
    Ok(Pipeline {
        dataflow,
        hub,
        store,
        sources,
        committed,
        workers: options.workers,
        control,
        stop_readers,
        tick_ms: options.tick_ms,
        engine,
        committer,
    })
}

impl Pipeline {
    /// Whether the committer has ended by itself: it has failed, and `stop` tells why.
    pub fn has_failed(&self) -> bool {
        self.committer.is_finished()
    }

    /// Stops reading, commits what was read, and ends the workers.
    ///
    /// # Errors
    /// If the last commit did not succeed; the next start goes on from the one before.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop_readers.store(true, Ordering::Release);
        if self.committer.is_finished() {
            return match self.committer.await {
                Ok(result) => result,
                Err(error) => Err(Error::Engine(error.to_string())),
            };
        }
        let last = Epoch::at_or_after(wall_ms() + 2 * self.tick_ms, self.tick_ms);
        self.control.stop_at.store(last.0, Ordering::Release);
        let engine = self.engine;
        tokio::task::spawn_blocking(move || engine.join())
            .await
            .map_err(|it| Error::Engine(it.to_string()))?
            .map_err(Error::Engine)?;
        self.committer
            .await
            .map_err(|it| Error::Engine(it.to_string()))?
    }
}

fn settings(dataflow: &Dataflow, options: &Options) -> engine::Settings {
    let clock = |delay_us| ClockSettings {
        delay_us,
        idle_ms: options.idle_ms,
        close_idle_ms: options.close_idle_ms,
        ahead_max_us: 3_600_000_000,
    };
    engine::Settings {
        workers: options.workers,
        tick_ms: options.tick_ms,
        commit_interval_ms: options.commit_interval_ms,
        first_commit_ms: options.commit_interval_ms.min(1500),
        lag_max_ms: 1000,
        clocks: dataflow
            .sources
            .iter()
            .map(|it| {
                (
                    it.name.clone(),
                    clock(it.event_time.map_or(0, |it| it.delay_us)),
                )
            })
            .collect(),
        tail_rows: 64,
    }
}

fn view_info(view: &crate::plan::ViewSpec) -> ViewInfo {
    let window = match (view.kind, &view.clock) {
        (ViewKind::Windowed { column, add_us }, Some(clock)) => Some(WindowInfo {
            column,
            add_us,
            retention_us: view.retention_us,
            clock: clock.clone(),
        }),
        _ => None,
    };
    ViewInfo {
        name: view.name.clone(),
        schema: view.plan.schema(),
        sql: view.sql.clone(),
        window,
    }
}

/// Rows of a windowed view that were closed before this run and are still within their retention.
async fn closed_rows(
    store: &Store,
    view: &crate::plan::ViewSpec,
    clocks: &BTreeMap<String, ClockState>,
    settings: &engine::Settings,
    epoch: Epoch,
) -> Result<Vec<Row>, Error> {
    let (ViewKind::Windowed { column, add_us }, Some(clock)) = (view.kind, &view.clock) else {
        return Ok(Vec::new());
    };
    let Some(state) = clocks.get(clock).filter(|_| epoch != Epoch(0)) else {
        return Ok(Vec::new());
    };
    let watermark = state.watermark(&settings.clocks[clock], epoch.0 + 1);
    let oldest = watermark.saturating_sub(view.retention_us);
    let delta = store.open_delta(&view.name).await?;
    let failed = |reason: String| lake::Error::Table {
        table: view.name.clone(),
        reason,
    };
    let batches = crate::sql::table_rows(&delta, &view.plan.schema())
        .await
        .map_err(failed)?;
    Ok(batches
        .iter()
        .flat_map(rows_of_batch)
        .filter(|row| {
            row.0[column]
                .as_i64()
                .is_some_and(|it| it + add_us <= watermark && oldest < it + add_us)
        })
        .collect())
}
