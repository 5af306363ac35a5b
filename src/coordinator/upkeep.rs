//! Upkeep of a lake: files written anew on request or on schedule, and old rows let go.
//!
//! ```text
//! tidelake lake optimize ─► does an engine hold the lake? ─ yes ─► request in the lake ─► its committer: files, then one more commit ─► told
//!                                                        └ no ──► claims the lake, commits, releases it
//! ```
//!
//! Only who holds the lake writes the logs of its tables, so two never do at once. What is written anew are files that no other commit takes out: those of
//! open rows are left to the commits, and a table in which small files are being merged waits. So files can be written while commits go on, and what was written is
//! part of the next one.
//!
//! Rows that are older than their table keeps them go file by file: a folder of dates as a whole, or a file all of whose rows are older. How old is told by the
//! wall clock and the source's watermark, whichever is earlier: a clock that was set far ahead deletes nothing, and neither does a backfill. A commit notes how many
//! rows of each partition went, and up to which time, so that a proof can tell what was let go from what was lost.

use super::commit::crash_point;
use super::lease::{self, Lease};
use super::{Error, as_settled, finish, outputs, stored};
use crate::engine;
use crate::lake::{
    self, Change, Commit, Compaction, LastUpkeep, LetGo, Manifest, OptimizeRequest, Optimized,
    Store, TableLayout, TableState, Waste, app_id, needed_by,
};
use crate::model::{Epoch, Partition, iso_of_micros, wall_ms};
use crate::plan::{Dataflow, OFFSET_COLUMN, PARTITION_COLUMN, Retention, TableSpec};
use crate::supervise;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Requests are looked for so often, at most: each time is a question to the lake.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often whoever asked looks whether it is done, and after how many looks whether who was asked still lives.
const DONE_EVERY: Duration = Duration::from_millis(500);
const ALIVE_AFTER: u32 = 10;
/// Without an engine a commit is made whenever files of so many bytes were written anew.
const ROUND_BYTES: u64 = 256 << 20;
/// Files of one table that go with one commit for their age; the manifest names each.
const LET_GO_AT_ONCE: usize = 1_000;
const DAY_US: i64 = 86_400_000_000;

/// Files of a table whose rows are older than it keeps them.
#[derive(Debug)]
pub(super) struct OldFiles {
    pub table: String,
    pub files: Vec<Value>,
    pub noted: LetGo,
    /// Whether there are more.
    is_cut: bool,
}

/// What work beside the commits has to say.
enum News {
    Rewritten(Compaction),
    /// The request is done, as far as files go.
    Done(Option<String>),
    LetGo(Box<OldFiles>),
    /// Rows of this table could not be let go.
    Kept {
        table: String,
        error: lake::Error,
    },
}

/// A request that is being done.
struct Job {
    /// As it lies in the lake; none if it is on schedule.
    id: Option<String>,
    tables: BTreeSet<String>,
    outcome: Optimized,
    is_done: bool,
    /// Whoever asked has taken it back: no more files are written anew.
    is_withdrawn: Arc<AtomicBool>,
}

/// Upkeep in the process that commits.
pub(super) struct Upkeep {
    /// How often small files of all tables are put together.
    every: Option<Duration>,
    looked: Option<Instant>,
    job: Option<Job>,
    news: (UnboundedSender<News>, UnboundedReceiver<News>),
    rewritten: Vec<Compaction>,
    old: Vec<OldFiles>,
    /// Tables of which old files are being looked for.
    looking: BTreeSet<String>,
    /// Up to where each table was looked through.
    cuts: BTreeMap<String, i64>,
    /// When the newest work on schedule was done.
    optimized_ms: Option<u64>,
}

/// What a commit has left behind, for upkeep to go on from.
#[derive(Clone, Copy)]
pub(super) struct After<'a> {
    pub store: &'a Store,
    pub dataflow: &'a Dataflow,
    pub settings: &'a engine::Settings,
    pub last: &'a Manifest,
    pub tables: &'a BTreeMap<String, TableState>,
    /// Tables that others work on, and that are left alone.
    pub busy: &'a BTreeSet<String>,
}

/// What goes into the next commit.
#[derive(Default)]
pub(super) struct Ready {
    pub rewritten: Vec<Compaction>,
    pub old: Vec<OldFiles>,
}

impl Ready {
    pub fn is_empty(&self) -> bool {
        self.rewritten.is_empty() && self.old.is_empty()
    }

    pub fn of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Compaction> {
        self.rewritten.iter().filter(move |it| it.table == table)
    }

    pub fn old_of(&self, table: &str) -> &[Value] {
        let of_table = self.old.iter().find(|it| it.table == table);
        of_table.map_or(&[][..], |it| it.files.as_slice())
    }
}

impl Upkeep {
    pub fn new(every: Option<Duration>) -> Self {
        Upkeep {
            every,
            looked: None,
            job: None,
            news: unbounded_channel(),
            rewritten: Vec::new(),
            old: Vec::new(),
            looking: BTreeSet::new(),
            cuts: BTreeMap::new(),
            optimized_ms: None,
        }
    }

    /// Whether files of this table are being written anew or looked through, so that nobody else may take them out.
    pub fn is_at(&self, table: &str) -> bool {
        let in_job = self
            .job
            .as_ref()
            .is_some_and(|it| it.tables.contains(table));
        in_job || self.looking.contains(table)
    }

    /// Takes in what has been done since the last commit; returns what the next one has to do.
    pub fn ready(&mut self) -> Ready {
        while let Ok(news) = self.news.1.try_recv() {
            match news {
                News::Rewritten(done) => self.rewritten.push(done),
                News::Done(problem) => {
                    if let Some(job) = &mut self.job {
                        job.is_done = true;
                        job.outcome.problem = problem;
                    }
                }
                News::LetGo(old) => {
                    self.looking.remove(&old.table);
                    if !old.files.is_empty() {
                        self.old.push(*old);
                    }
                }
                News::Kept { table, error } => {
                    self.looking.remove(&table);
                    self.cuts.remove(&table);
                    tracing::warn!(table, %error, "old rows could not be let go; trying again later");
                }
            }
        }
        Ready {
            rewritten: std::mem::take(&mut self.rewritten),
            old: std::mem::take(&mut self.old),
        }
    }

    /// Notes in a manifest what the commit takes out for its age, and when work on schedule was done.
    pub fn note(&self, ready: &Ready, next: &mut Manifest) {
        for old in &ready.old {
            let noted = next.let_go.entry(old.table.clone()).or_default();
            noted.column.clone_from(&old.noted.column);
            noted.until_us = noted.until_us.max(old.noted.until_us);
            noted.files += old.noted.files;
            noted.newest_us = noted.newest_us.max(old.noted.newest_us);
            for (partition, rows) in &old.noted.rows {
                *noted.rows.entry(*partition).or_default() += rows;
            }
        }
        next.optimized_ms = match self.every {
            None => next.optimized_ms,
            // The first time is a whole interval after the lake's beginning.
            Some(_) => Some(
                self.optimized_ms
                    .max(next.optimized_ms)
                    .unwrap_or(next.written_ms),
            ),
        };
    }

    /// Goes on after a commit that had `done`: tells who asked, and begins what comes next.
    pub async fn go_on(&mut self, after: After<'_>, done: &Ready) -> Result<(), lake::Error> {
        let After {
            store, dataflow, ..
        } = after;
        for old in &done.old {
            if old.is_cut {
                self.cuts.remove(&old.table);
            }
            let rows = old.noted.count();
            let until = iso_of_micros(old.noted.until_us);
            tracing::info!(
                table = old.table,
                rows,
                files = old.files.len(),
                "table {} has let {rows} rows go that are older than {until}",
                old.table
            );
        }
        if let Some(job) = &mut self.job {
            done.rewritten.iter().for_each(|it| job.outcome.note(it));
            // What was told after the commit began is part of the next one.
            let name = &dataflow.name;
            if job.is_done && self.rewritten.is_empty() && self.news.1.is_empty() {
                tell(&job.outcome);
                match &job.id {
                    // Nobody would read what became of one that was taken back.
                    Some(id) if store.is_upkeep_asked(name, id).await? => {
                        store.tell_upkeep(name, id, &job.outcome).await?;
                    }
                    Some(_) => {}
                    None => self.optimized_ms = Some(wall_ms()),
                }
                note_optimized(store, name, &job.outcome).await;
                self.job = None;
            } else if let Some(id) = &job.id
                && self.looked.is_none_or(|it| LOOK_EVERY <= it.elapsed())
            {
                self.looked = Some(Instant::now());
                if !store.is_upkeep_asked(name, id).await? {
                    job.is_withdrawn.store(true, Ordering::Relaxed);
                }
            }
        }
        if self.job.is_none() {
            self.begin(after).await?;
        }
        self.let_go(after);
        Ok(())
    }

    /// Begins what is asked for, or due.
    async fn begin(&mut self, after: After<'_>) -> Result<(), lake::Error> {
        let After {
            store,
            dataflow,
            last,
            tables,
            busy,
            ..
        } = after;
        if self.looked.is_some_and(|it| it.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let asked = store.upkeep_asked(&dataflow.name).await?.into_iter().next();
        let (id, request) = match asked {
            Some((id, Ok(request))) => (Some(id), request),
            Some((id, Err(error))) => {
                let outcome = Optimized {
                    problem: Some(error.to_string()),
                    ..Optimized::default()
                };
                return store.tell_upkeep(&dataflow.name, &id, &outcome).await;
            }
            None if self.is_due(last) => (None, OptimizeRequest::default()),
            None => return Ok(()),
        };
        let layouts = outputs::layouts(dataflow);
        let layouts = chosen(&request, layouts, &last.dataflow);
        let layouts = match layouts {
            Ok(layouts) => layouts,
            Err(reason) => {
                let outcome = Optimized {
                    problem: Some(reason),
                    ..Optimized::default()
                };
                let Some(id) = id else { return Ok(()) };
                return store.tell_upkeep(&dataflow.name, &id, &outcome).await;
            }
        };
        let names: BTreeSet<String> = layouts.iter().map(|it| it.name.clone()).collect();
        if names
            .iter()
            .any(|it| busy.contains(it) || self.looking.contains(it))
        {
            // Their work is part of the next commit.
            self.looked = None;
            return Ok(());
        }
        let states: Vec<(TableLayout, TableState)> = layouts
            .into_iter()
            .filter_map(|it| Some((it.clone(), tables.get(&it.name)?.clone())))
            .collect();
        let is_withdrawn = Arc::new(AtomicBool::new(false));
        self.job = Some(Job {
            id,
            tables: names,
            outcome: Optimized::default(),
            is_done: false,
            is_withdrawn: Arc::clone(&is_withdrawn),
        });
        let (store, news, epoch) = (store.clone(), self.news.0.clone(), last.epoch);
        supervise::task("housekeeping", async move {
            let work = rewrite_all(&store, &states, &request, epoch, &news, &is_withdrawn);
            let done = supervise::caught("writing files anew", work).await;
            let problem = match done {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(died) => Some(died.to_string()),
            };
            let _ = news.send(News::Done(problem));
        });
        Ok(())
    }

    fn is_due(&self, last: &Manifest) -> bool {
        let done = self.optimized_ms.max(last.optimized_ms);
        self.every.zip(done).is_some_and(|(every, done)| {
            done.saturating_add(crate::model::whole_ms(every)) <= wall_ms()
        })
    }

    /// Looks for rows that are older than their tables keep them.
    fn let_go(&mut self, after: After<'_>) {
        let After {
            store,
            dataflow,
            tables,
            busy,
            ..
        } = after;
        for table in &dataflow.tables {
            let (Some(retention), Some(state)) = (&table.retention, tables.get(&table.name)) else {
                continue;
            };
            let waits = busy.contains(&table.name) || self.is_at(&table.name);
            let Some(cut_us) = cut_of(after, table, retention) else {
                continue;
            };
            if waits || self.cuts.get(&table.name).is_some_and(|it| cut_us <= *it) {
                continue;
            }
            self.cuts.insert(table.name.clone(), cut_us);
            self.looking.insert(table.name.clone());
            let (store, news) = (store.clone(), self.news.0.clone());
            let (table, state) = (table.clone(), state.clone());
            supervise::task("housekeeping", async move {
                let work = old_files(&store, &table, &state, cut_us);
                let found = supervise::caught("looking for old rows", work).await;
                let found =
                    found.unwrap_or_else(|died| Err(super::commit::lost(&table.name, &died)));
                let _ = news.send(match found {
                    Ok(old) => News::LetGo(Box::new(old)),
                    Err(error) => News::Kept {
                        table: table.name,
                        error,
                    },
                });
            });
        }
    }
}

fn tell(outcome: &Optimized) {
    for (table, it) in &outcome.tables {
        tracing::info!(
            table,
            "{} files of table {table} were written anew as {}",
            it.files_before,
            it.files_after
        );
    }
    if let Some(problem) = &outcome.problem {
        tracing::warn!("files could not all be written anew: {problem}");
    }
}

/// Notes when files were last written anew, unless that failed.
async fn note_optimized(store: &Store, dataflow: &str, outcome: &Optimized) {
    if outcome.problem.is_some() {
        return;
    }
    let tables = outcome.tables.values();
    let (files, bytes) = tables.fold((0, 0), |sum, it| {
        (sum.0 + it.files_before, sum.1 + it.bytes_before)
    });
    let done = LastUpkeep::now(files, bytes);
    store
        .note_upkeep(dataflow, lake::Upkeep::Optimize, &done)
        .await;
}

/// Why a request cannot be done for this dataflow, if it cannot.
pub fn refusal(request: &OptimizeRequest, dataflow: &Dataflow) -> Option<String> {
    chosen(request, outputs::layouts(dataflow), &dataflow.name).err()
}

/// The tables that a request means.
fn chosen(
    request: &OptimizeRequest,
    layouts: Vec<TableLayout>,
    dataflow: &str,
) -> Result<Vec<TableLayout>, String> {
    let known: BTreeSet<&str> = layouts.iter().map(|it| it.name.as_str()).collect();
    if let Some(unknown) = request
        .tables
        .iter()
        .find(|it| !known.contains(it.as_str()))
    {
        let known: Vec<&str> = known.into_iter().collect();
        return Err(format!(
            "dataflow {dataflow} has no table {unknown} in the lake; it has {}",
            known.join(", ")
        ));
    }
    let is_meant =
        |it: &TableLayout| request.tables.is_empty() || request.tables.contains(&it.name);
    let meant: Vec<TableLayout> = layouts.into_iter().filter(is_meant).collect();
    // Of all tables, those without the columns are passed over.
    let objections = meant.iter().map(|it| request.wanted.objection(it));
    let objections: Vec<Option<String>> = objections.collect();
    let first = objections.iter().flatten().next().cloned();
    let fits: Vec<TableLayout> = meant
        .into_iter()
        .zip(&objections)
        .filter_map(|(it, objection)| objection.is_none().then_some(it))
        .collect();
    match first {
        Some(first) if !request.tables.is_empty() || fits.is_empty() => Err(first),
        _ => Ok(fits),
    }
}

/// Up to which commit files of a table are written anew. A start shows the newest rows of a view of single records, and knows them by the commit in their files'
/// names; so files of views stay as they are for a day.
fn until(layout: &TableLayout, epoch: Epoch) -> Option<Epoch> {
    const DAY_MS: u64 = 86_400_000;
    let is_of_records = layout.schema.index_of(OFFSET_COLUMN).is_ok();
    (!is_of_records).then(|| Epoch(epoch.0.saturating_sub(DAY_MS)))
}

/// Writes all groups of files anew, one after the other.
async fn rewrite_all(
    store: &Store,
    states: &[(TableLayout, TableState)],
    request: &OptimizeRequest,
    epoch: Epoch,
    news: &UnboundedSender<News>,
    is_withdrawn: &AtomicBool,
) -> Result<(), lake::Error> {
    for (layout, state) in states {
        let wanted = &request.wanted;
        let groups = store.groups_to_rewrite(&layout.name, state, wanted, until(layout, epoch));
        for group in groups.await? {
            if is_withdrawn.load(Ordering::Relaxed) {
                return Ok(());
            }
            let done = store.rewrite(layout, group, wanted).await?;
            if news.send(News::Rewritten(done)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Rows of before this time are older than a table keeps them; nothing if no clock tells.
fn cut_of(after: After<'_>, table: &TableSpec, retention: &Retention) -> Option<i64> {
    let After {
        dataflow,
        settings,
        last,
        ..
    } = after;
    let clocks = stored::clocks(last).ok()?;
    let sources = BTreeSet::from([table.source.clone()]);
    let has_event_time = dataflow.source(&table.source)?.event_time.is_some();
    let watermark = has_event_time
        .then(|| engine::stored_watermark(&sources, &clocks, &settings.clocks, last.epoch.0 + 1));
    let wall_us = i64::try_from(wall_ms()).ok()?.checked_mul(1000)?;
    let now_us = match watermark {
        None => wall_us,
        Some(watermark) => watermark?.min(wall_us),
    };
    let cut_us = now_us.checked_sub(retention.keep_us)?;
    Some(cut_us.div_euclid(DAY_US) * DAY_US)
}

/// Files all of whose rows are of before a time, and how many rows of each partition they have.
async fn old_files(
    store: &Store,
    table: &TableSpec,
    state: &TableState,
    cut_us: i64,
) -> Result<OldFiles, lake::Error> {
    let name = table.name.as_str();
    let schema = table.plan.schema();
    let retention = table.retention.as_ref().expect("it has one");
    let column = schema.field(retention.column).name().clone();
    let time = table.event_time.map(|it| schema.field(it).name().clone());
    let wrong = |reason: &str| lake::Error::Table {
        table: name.to_owned(),
        reason: reason.to_owned(),
    };
    let mut old = OldFiles {
        table: name.to_owned(),
        files: Vec::new(),
        noted: LetGo {
            column: column.clone(),
            until_us: cut_us,
            ..LetGo::default()
        },
        is_cut: false,
    };
    for file in store.files_with_statistics(name, state.version).await? {
        let may_be_old = match retention.is_date {
            true => date_us(&file["add"]["partitionValues"][&column]),
            false => newest_us(&file, &column),
        };
        if may_be_old.is_none_or(|it| cut_us <= it) {
            continue;
        }
        if LET_GO_AT_ONCE <= old.files.len() {
            old.is_cut = true;
            break;
        }
        let mut columns = vec![PARTITION_COLUMN];
        columns.extend(time.as_deref());
        let path = file["add"]["path"].as_str().unwrap_or_default();
        let mut rows: BTreeMap<Partition, u64> = BTreeMap::new();
        let (mut is_old, mut newest) = (true, None);
        for batch in store.columns_of(name, path, &columns).await? {
            let partitions = batch.column_by_name(PARTITION_COLUMN);
            let partitions = partitions.ok_or_else(|| wrong("a file has no _partition"))?;
            for partition in partitions.as_primitive::<Int32Type>().values() {
                *rows.entry(Partition(*partition)).or_default() += 1;
            }
            let Some(time) = &time else { continue };
            let times = batch.column_by_name(time);
            let times = times.ok_or_else(|| wrong("a file has no event time"))?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            newest = newest.max(times.iter().flatten().max());
            is_old &= retention.is_date
                || times.null_count() == 0 && times.values().iter().all(|it| *it < cut_us);
        }
        if is_old {
            for (partition, count) in rows {
                *old.noted.rows.entry(partition).or_default() += count;
            }
            old.noted.files += 1;
            old.noted.newest_us = old.noted.newest_us.max(newest);
            old.files.push(file);
        }
    }
    Ok(old)
}

/// The beginning of the day that a folder is of.
fn date_us(value: &Value) -> Option<i64> {
    let date: chrono::NaiveDate = value.as_str()?.parse().ok()?;
    Some(
        date.and_time(chrono::NaiveTime::MIN)
            .and_utc()
            .timestamp_micros(),
    )
}

/// The newest time that the statistics of a file tell.
fn newest_us(file: &Value, column: &str) -> Option<i64> {
    let statistics = file["add"]["stats"].as_str()?;
    let statistics: Value = serde_json::from_str(statistics).ok()?;
    let newest = statistics["maxValues"][column].as_str()?;
    let newest = chrono::DateTime::parse_from_rfc3339(newest).ok()?;
    Some(newest.timestamp_micros())
}

/// Writes files of a lake anew that no engine holds, in commits of its own. Each round is told.
///
/// # Errors
/// If an engine holds the lake, the request fits no table, or the lake cannot be used; what was committed before stays.
pub async fn optimize(
    store: &Store,
    dataflow: &str,
    request: &OptimizeRequest,
    mut told: impl FnMut(&Optimized),
) -> Result<Result<Optimized, String>, Error> {
    let writer = uuid::Uuid::new_v4().to_string();
    let nothing = || lake::Error::Nothing {
        dataflow: dataflow.to_owned(),
        lake: store.url.to_string(),
    };
    let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
    lease::wait_for(store, &newest).await?;
    // What is wrong is said before anything is written.
    let mut layouts = Vec::new();
    for name in newest.tables.keys() {
        let behind = newest.tables[name].version;
        let ahead = store.newest_commit(dataflow, name, Some(behind)).await?;
        if let Some(ahead) = ahead.filter(|it| newest.number < *it) {
            return Err(lake::Error::Table {
                table: name.clone(),
                reason: format!("it has rows of commit {ahead}, and _tidelake has only those up to {}; bring the files back", newest.number),
            }
            .into());
        }
        let version = store.log_versions(name, None).await?.last().copied();
        layouts.push(store.layout_of(name, version.unwrap_or(behind)).await?);
    }
    let layouts = match chosen(request, layouts, dataflow) {
        Ok(layouts) => layouts,
        Err(reason) => return Ok(Err(reason)),
    };
    let (mut last, mut tables) = loop {
        let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
        lease::wait_for(store, &newest).await?;
        let mut after = newest;
        after.holder = Some(lease::this_process());
        let mut claim = Commit::claim(after, &writer, wall_ms());
        if finish(store, &mut claim, "claim").await? {
            break as_settled(claim);
        }
    };
    let lease = Lease::of(store, &last);
    let mut outcome = Optimized::default();
    let mut round: Vec<Compaction> = Vec::new();
    let mut bytes = 0;
    for layout in &layouts {
        let state = tables[&layout.name].clone();
        let until = until(layout, last.epoch);
        let groups = store.groups_to_rewrite(&layout.name, &state, &request.wanted, until);
        for group in groups.await? {
            bytes += group.iter().map(lake::bytes_of_file).sum::<u64>();
            round.push(store.rewrite(layout, group, &request.wanted).await?);
            crash_point("rewritten");
            if ROUND_BYTES <= bytes {
                (last, tables) = commit(store, &last, tables, &mut round, &mut outcome).await?;
                bytes = 0;
                told(&outcome);
            }
        }
    }
    if !round.is_empty() {
        commit(store, &last, tables, &mut round, &mut outcome).await?;
        told(&outcome);
    }
    note_optimized(store, dataflow, &outcome).await;
    lease.release().await;
    Ok(Ok(outcome))
}

/// A new id for a request; requests are done in the order of their ids.
pub fn request_id(request: &OptimizeRequest) -> String {
    format!("{:020}-{}", request.asked_ms, uuid::Uuid::new_v4())
}

/// Leaves a request to whoever holds the lake, and waits; nothing if that one has ended before it was done. Whoever stops waiting takes the request back.
///
/// # Errors
/// If the lake cannot be used; the request may be done all the same.
pub async fn ask(
    store: &Store,
    dataflow: &str,
    id: &str,
    request: &OptimizeRequest,
) -> Result<Option<Optimized>, Error> {
    store.ask_upkeep(dataflow, id, request).await?;
    for look in 1.. {
        tokio::time::sleep(DONE_EVERY).await;
        if let Some(done) = store.upkeep_done(dataflow, id).await? {
            return Ok(Some(done));
        }
        if look % ALIVE_AFTER == 0 && is_held(store, dataflow).await?.is_none() {
            store.take_back_upkeep(dataflow, id).await?;
            // It may have been done in the meantime.
            return Ok(store.upkeep_done(dataflow, id).await?);
        }
    }
    Ok(None)
}

/// What a dataflow's tables and its commits do not need, by table and `_tidelake`, and takes it away unless only that is asked. Needs no claim.
///
/// # Errors
/// If there is no commit, or the lake cannot be used; what was not deleted yet stays.
pub async fn vacuum(
    store: &Store,
    dataflow: &str,
    keep: Duration,
    dry_run: bool,
) -> Result<BTreeMap<String, Vec<Waste>>, Error> {
    let nothing = || lake::Error::Nothing {
        dataflow: dataflow.to_owned(),
        lake: store.url.to_string(),
    };
    // Before the tables are looked at: what comes later is not settled.
    let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
    let mut deleted: BTreeMap<String, Vec<Waste>> = BTreeMap::new();
    for table in store.tables().await? {
        let owner = match store.stated_owner(&table).await? {
            None => store.owner(&table).await?,
            stated => stated,
        };
        if owner.is_none_or(|it| it != dataflow) {
            continue;
        }
        if !dry_run {
            store.write_log_checkpoint(&table).await?;
        }
        let needed = needed_by(&newest, &table);
        let waste = store.waste_of(&table, newest.epoch, keep, &needed).await?;
        deleted.insert(table, waste);
    }
    let of_commits = store.waste_of_commits(&newest).await?;
    deleted.insert("_tidelake".to_owned(), of_commits);
    deleted.retain(|_, it| !it.is_empty());
    if !dry_run {
        for waste in deleted.values() {
            store.take_away(waste).await?;
        }
        let all = deleted.values().flatten();
        let (files, bytes) = all.fold((0, 0), |sum, it| (sum.0 + 1, sum.1 + it.bytes));
        let done = LastUpkeep::now(files, bytes);
        store
            .note_upkeep(dataflow, lake::Upkeep::Vacuum, &done)
            .await;
    }
    Ok(deleted)
}

/// One commit of files that were written anew, and of nothing else.
async fn commit(
    store: &Store,
    last: &Manifest,
    tables: BTreeMap<String, TableState>,
    round: &mut Vec<Compaction>,
    outcome: &mut Optimized,
) -> Result<(Manifest, BTreeMap<String, TableState>), Error> {
    let mut next = last.after();
    next.written_ms = wall_ms();
    next.counts = Some(BTreeMap::new());
    for (name, state) in &tables {
        let change = Change {
            merged: round.iter().filter(|it| it.table == *name).collect(),
            ..Change::default()
        };
        let app = app_id(&last.dataflow, name);
        let entry = state.entry(&next, &app, change, None);
        next.tables.insert(name.clone(), entry);
    }
    let mut commit = Commit::new(next);
    finish(store, &mut commit, "manifest").await?;
    for done in round.drain(..) {
        outcome.note(&done);
    }
    let (manifest, tables) = as_settled(commit);
    Ok((manifest, tables))
}

/// Whether a process holds a dataflow of this lake.
///
/// # Errors
/// If the lake cannot be read.
pub async fn is_held(store: &Store, dataflow: &str) -> Result<Option<String>, Error> {
    let Some(newest) = store.newest_manifest(dataflow).await? else {
        return Ok(None);
    };
    match lease::wait_for(store, &newest).await {
        Ok(()) => Ok(None),
        Err(Error::Held { by, .. }) => Ok(Some(by)),
        Err(error) => Err(error),
    }
}
