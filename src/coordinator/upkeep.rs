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

mod alone;
mod asked;
mod old;
mod vacuum;

pub use alone::optimize;
pub use asked::{ask, is_held, request_id};
pub use vacuum::vacuum;

use super::outputs;
use crate::engine;
use crate::lake::{
    self, Compaction, LastUpkeep, Manifest, OptimizeRequest, Optimized, Store, TableLayout,
    TableState,
};
use crate::model::{Epoch, iso_of_micros, wall_ms};
use crate::plan::{Dataflow, OFFSET_COLUMN};
use crate::supervise;
use crate::trace::Span;
use old::{OldFiles, cut_of, old_files};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Requests are looked for so often, at most: each time is a question to the lake.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
            let span = Span::root("optimize");
            let work = rewrite_all(&store, &states, &request, epoch, &news, &is_withdrawn);
            let done = supervise::caught("writing files anew", work).await;
            let problem = match done {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(died) => Some(died.to_string()),
            };
            if let Some(problem) = &problem {
                span.fail("upkeep_failed", || problem.clone());
            }
            drop(span);
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
                let _span = super::commit::span_of_upkeep("retention", &table.name);
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
