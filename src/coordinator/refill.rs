//! Views filled from the archive: their rows and their state at a commit's epoch, computed by the engine itself.
//!
//! ```text
//! archived tables, tables of other views, late counts ──► an engine of its own, with these views alone ──► rows, state
//! ```
//!
//! It runs before the pipeline does and ends with the last archived row. Its clock stands still: no window closes, so that rows of
//! windows long closed are computed too, and whether a record was on time for a window is told by the record's mark. `now()` is what
//! the commit's views were computed with. What it hands over is what the views would have at the commit, had they always been there.
//! All windows are in memory meanwhile; rows to read are not.

use super::{EPOCH_RECORDS_MAX, Error, TICK_MS, state};
use crate::engine::{
    self, Bucketing, ClockSettings, ClockState, CommitReport, Control, EventTimes, Feed, Input,
    Job, Mesh, OpenRows, Outputs, Published, Restored, StateRecord, Wall,
};
use crate::model::{Epoch, Offset, Partition, Position, Row, wall_ms};
use crate::plan::{
    DEAD_LETTER_RELATION, Dataflow, Format, LATE_COLUMN, LATE_RELATION, Plan, SourceSpec, ViewSpec,
    dead_letter_schema, late_schema, marked, nullable,
};
use crate::sql::{self, Records};
use crate::supervise;
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::prelude::{SessionContext, ident};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Batches of one relation that wait for the workers.
const BATCHES_AHEAD: usize = 16;
/// How long a reader waits when they have enough.
const WAIT: Duration = Duration::from_millis(2);
/// Between two words about how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// State and rows are gathered so often, so that differences between do not pile up.
const GATHER_MS: u64 = 10_000;

/// What views have at an epoch.
#[derive(Default)]
pub struct Filled {
    pub rows: BTreeMap<String, Vec<Row>>,
    pub state: Vec<StateRecord>,
    /// Archived rows that were read for it.
    pub read: u64,
}

/// Fills views of a dataflow. `records` has, as far as they read them, sources, tables of archived records with their marks, `_dead_letters`, and those
/// views that are not filled.
///
/// # Errors
/// If records cannot be read, or a view cannot be computed from them.
pub async fn fill(
    dataflow: &Dataflow,
    views: &BTreeSet<String>,
    records: &Records,
    workers: usize,
) -> Result<Filled, Error> {
    let mut records = Records {
        relations: records.relations.clone(),
        times: records.times.clone(),
    };
    let schemas = schemas(dataflow, &records);
    let views = sql::over_archive(dataflow, views, &schemas)
        .await
        .map_err(Error::Refill)?;
    let counts_late = |it: &ViewSpec| it.plan.relations().contains(&LATE_RELATION.to_owned());
    if views.iter().any(counts_late) {
        let late = late_records(dataflow, &records).await?;
        records.relations.insert(LATE_RELATION.to_owned(), late);
    }
    let filled: BTreeSet<&String> = views.iter().map(|it| &it.name).collect();
    let read: BTreeSet<String> = views
        .iter()
        .flat_map(|it| it.plan.relations())
        .filter(|it| !filled.contains(it))
        .collect();
    let (mut sources, mut channels, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    let left = Arc::new(AtomicUsize::new(read.len() * workers));
    let rows = Arc::new(AtomicUsize::new(0));
    // The dataflow's own sources come too, for their clocks.
    let silent = dataflow
        .sources
        .iter()
        .filter(|it| !read.contains(&it.name));
    for source in silent {
        sources.push(source.clone());
        channels.push((engine::Records::Archived, None));
    }
    for name in read {
        let missing = || {
            Error::Refill(format!(
                "the lake has no copy of {name}, which a view reads; let the view read a table of its records"
            ))
        };
        let provider = records.relations.get(&name).ok_or_else(missing)?;
        let schema = schemas.get(&name).cloned().unwrap_or_else(late_schema);
        let (to, from) = crossbeam_channel::bounded(BATCHES_AHEAD);
        readers.push(supervise::awaited(
            &tokio::runtime::Handle::current(),
            "reading the archive",
            read_all(
                Arc::clone(provider),
                nullable(&schema),
                to,
                Arc::clone(&rows),
            ),
        ));
        let kind = match dataflow.view(&name) {
            Some(_) => engine::Records::OfView,
            None => engine::Records::Archived,
        };
        channels.push((kind, Some(from)));
        sources.push(match dataflow.source(&name) {
            Some(source) => source.clone(),
            None => stand_in(name),
        });
    }
    let names: Vec<String> = views.iter().map(|it| it.name.clone()).collect();
    let of_windows = stored_by_window(dataflow, &views);
    let gathered = Arc::new(Mutex::new(Gathered::default()));
    let control = Arc::new(Control::default());
    let job = job(dataflow, sources, views, &records, &control, workers);
    let parts = (0..workers)
        .map(|worker| {
            let feeds = channels.iter().map(|it| {
                let (kind, batches) = it.clone();
                let feed: Box<dyn Feed> = Box::new(ArchiveFeed {
                    kind,
                    batches,
                    left: Arc::clone(&left),
                    worker,
                });
                feed
            });
            let outputs: Box<dyn Outputs> = Box::new(Gather(Arc::clone(&gathered)));
            (feeds.collect(), outputs)
        })
        .collect();
    drop(channels);
    let engine = engine::start(job, Mesh::default(), parts).map_err(Error::Engine)?;
    let telling = supervise::task("tell-filling", tell(Arc::clone(&rows)));
    let mut failed = None;
    for reader in readers {
        let result = reader.await.map_err(|it| it.to_string());
        if let Err(reason) = result.and_then(|it| it) {
            failed.get_or_insert(reason);
        }
    }
    // A reader that has ended, even by an error, has let go of its channel, so every feed ends.
    while left.load(Ordering::Acquire) != 0 {
        tokio::time::sleep(WAIT).await;
    }
    control.stop();
    supervise::blocking("the engine", move || engine.join())
        .await
        .map_err(|it| Error::Engine(it.to_string()))?
        .map_err(Error::Engine)?;
    telling.abort();
    if let Some(reason) = failed {
        return Err(Error::Refill(reason));
    }
    let mut gathered =
        std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner));
    let mut filled = Filled {
        state: gathered
            .state
            .records(true)
            .into_iter()
            .map(|it| match of_windows.get(&*it.operator) {
                Some(operator) => StateRecord {
                    operator: Arc::clone(operator),
                    ..it
                },
                None => it,
            })
            .collect(),
        read: rows.load(Ordering::Acquire) as u64,
        ..Filled::default()
    };
    for (number, name) in names.into_iter().enumerate() {
        // A view that never had a row was never handed over.
        let rows = gathered.rows.remove(&number).unwrap_or_default();
        filled
            .rows
            .insert(name, rows.into_values().flatten().collect());
    }
    Ok(filled)
}

/// Under which names groups are stored that the pipeline takes in by pane, and that are computed by window from the archive.
fn stored_by_window(dataflow: &Dataflow, filled: &[ViewSpec]) -> BTreeMap<String, Arc<str>> {
    let panes = |it: &ViewSpec| {
        let mut panes = BTreeMap::new();
        it.plan.walk(&mut |node| {
            if let Plan::Aggregate { aggregation, .. } = node {
                panes.insert(aggregation.id.clone(), aggregation.windows_id());
            }
        });
        panes
    };
    let own = dataflow.views.iter().flat_map(panes);
    let filled: BTreeMap<String, Option<String>> = filled.iter().flat_map(panes).collect();
    own.filter_map(|(id, of_windows)| {
        let is_by_window = filled.get(&id).is_some_and(Option::is_none);
        Some((id, of_windows.filter(|_| is_by_window)?.into()))
    })
    .collect()
}

/// Says now and then how far it is.
async fn tell(rows: Arc<AtomicUsize>) {
    let mut every = tokio::time::interval(TELL_EVERY);
    every.tick().await;
    loop {
        every.tick().await;
        let rows = rows.load(Ordering::Acquire);
        tracing::info!(
            rows,
            "filling views from the archive: {rows} stored rows read"
        );
    }
}

/// The columns of every relation that a view can read.
fn schemas(dataflow: &Dataflow, records: &Records) -> BTreeMap<String, SchemaRef> {
    let has_mark = |name: &str| {
        let provider = records.relations.get(name);
        provider.is_some_and(|it| it.schema().field_with_name(LATE_COLUMN).is_ok())
    };
    let with_mark = |name: &str, schema: SchemaRef| match has_mark(name) {
        true => marked(&schema),
        false => schema,
    };
    let sources = dataflow.sources.iter();
    let sources = sources.map(|it| (it.name.clone(), with_mark(&it.name, it.schema())));
    let tables = dataflow.tables.iter().filter(|it| !it.source.is_empty());
    let tables = tables.map(|it| (it.name.clone(), with_mark(&it.name, it.plan.schema())));
    let views = dataflow.views.iter();
    let views = views.map(|it| (it.name.clone(), it.plan.schema()));
    let dead = (DEAD_LETTER_RELATION.to_owned(), dead_letter_schema());
    sources.chain(tables).chain(views).chain([dead]).collect()
}

/// The late records of all views: those that are not filled keep theirs.
async fn late_records(
    dataflow: &Dataflow,
    records: &Records,
) -> Result<Arc<dyn TableProvider>, Error> {
    let views: Vec<&ViewSpec> = dataflow.views_with_late().iter().collect();
    let late = sql::late_records(dataflow, &views, records)
        .await
        .map_err(Error::Refill)?;
    let table = MemTable::try_new(late_schema(), vec![late])
        .map_err(|it| Error::Refill(it.strip_backtrace()))?;
    Ok(Arc::new(table))
}

/// A relation in the place of a source: nothing of it is decoded.
fn stand_in(name: String) -> SourceSpec {
    SourceSpec {
        name,
        columns: Vec::new(),
        event_time: None,
        key: None,
        format: Format::Json,
        options: Vec::new(),
    }
}

fn job(
    dataflow: &Dataflow,
    sources: Vec<SourceSpec>,
    views: Vec<ViewSpec>,
    records: &Records,
    control: &Arc<Control>,
    workers: usize,
) -> Job {
    let standing = ClockSettings {
        delay_us: 0,
        idle_ms: u64::MAX / 4,
        close_idle_ms: u64::MAX / 4,
        lead_us: 0,
        by_arrival: false,
    };
    let times = |name: &str| {
        let known = records.times.get(name).copied();
        known.unwrap_or(EventTimes::NEVER)
    };
    let names = || sources.iter().map(|it| it.name.clone());
    let settings = engine::Settings {
        workers,
        tick_ms: TICK_MS,
        quiet_tick_ms: TICK_MS,
        commit_interval_ms: GATHER_MS,
        first_commit_ms: GATHER_MS,
        lag_max_ms: 1000,
        epoch_records_max: EPOCH_RECORDS_MAX,
        idle_sleep_ms_max: 2,
        clocks: names().map(|it| (it, standing)).collect(),
        tail_rows: 0,
        bucketing: Bucketing::ONE,
    };
    let clocks = names().map(|it| {
        let clock = ClockState::standing(times(&it));
        (it, clock)
    });
    let restored = Restored {
        clocks: clocks.collect(),
        ..Restored::default()
    };
    Job {
        settings,
        restored,
        dataflow: Arc::new(Dataflow {
            name: dataflow.name.clone(),
            sources,
            views,
            ..Dataflow::default()
        }),
        start: Epoch::at_or_after(wall_ms(), TICK_MS),
        control: Arc::clone(control),
        wall: Wall::system(),
        costs: Arc::default(),
    }
}

/// Hands all rows of a relation to `take`, in the columns that the plan knows.
async fn read_all(
    provider: Arc<dyn TableProvider>,
    schema: SchemaRef,
    to: Sender<RecordBatch>,
    rows: Arc<AtomicUsize>,
) -> Result<(), String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    let columns: Vec<_> = schema.fields().iter().map(|it| ident(it.name())).collect();
    let frame = SessionContext::new().read_table(provider).map_err(text)?;
    let frame = frame.select(columns).map_err(text)?;
    let mut stream = frame.execute_stream().await.map_err(text)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(text)?;
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| cast(column, field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|it| it.to_string())?;
        let mut batch =
            RecordBatch::try_new(schema.clone(), columns).map_err(|it| it.to_string())?;
        rows.fetch_add(batch.num_rows(), Ordering::AcqRel);
        while let Err(error) = to.try_send(batch) {
            match error {
                TrySendError::Full(again) => batch = again,
                TrySendError::Disconnected(_) => return Err("the engine has ended".to_owned()),
            }
            tokio::time::sleep(WAIT).await;
        }
    }
    Ok(())
}

/// One worker's end of a relation; every worker takes what it has time for.
struct ArchiveFeed {
    kind: engine::Records,
    /// Nothing for a source that is there for its clock alone, and after the end.
    batches: Option<Receiver<RecordBatch>>,
    /// Feeds that have not seen the end of their relation.
    left: Arc<AtomicUsize>,
    worker: usize,
}

impl Feed for ArchiveFeed {
    fn next(&mut self) -> Option<Input> {
        match self.batches.as_ref()?.try_recv() {
            Ok(records) => Some(Input {
                partition: Partition(self.worker as i32),
                records,
                kind: self.kind,
                newest_us: None,
                undecoded: Vec::new(),
                from: Offset::default(),
                next: Position::default(),
                bytes: 0,
                checksum: 0,
                stamps: None,
                at_end: false,
            }),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.batches = None;
                self.left.fetch_sub(1, Ordering::AcqRel);
                None
            }
        }
    }

    /// Nothing is added to an archive while views are filled from it, and their clocks stand still.
    fn look_again(&mut self) {}
}

#[derive(Default)]
struct Gathered {
    /// By view and bucket.
    rows: BTreeMap<usize, BTreeMap<u32, Vec<Row>>>,
    state: state::Sum,
}

/// Keeps what the engine hands over, added up.
struct Gather(Arc<Mutex<Gathered>>);

impl Outputs for Gather {
    fn append(&mut self, _table: usize, _epoch: Epoch, _commit: Epoch, _rows: RecordBatch) {}

    fn mark(&mut self, _table: usize, _epoch: Epoch, _watermark: i64) {}

    /// A standing clock closes no window, so rows that are handed over for good are single records.
    fn replace(&mut self, view: usize, _commit: Epoch, sealed: Vec<Row>, open: Option<OpenRows>) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = gathered.rows.entry(view).or_default();
        rows.extend(open.into_iter().flat_map(|it| it.0));
        rows.entry(0).or_default().extend(sealed);
    }

    fn commit(&mut self, report: CommitReport) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records = report.state.into_iter();
        records.for_each(|it| gathered.state.add(it));
    }

    fn publish(&mut self, _published: Published) {}

    fn is_behind(&self) -> bool {
        false
    }
}
