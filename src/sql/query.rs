//! Ad-hoc queries: read-only SQL over live views and tables of the lake, each in a process of its own, within limits.
//!
//! What a user wrote is only looked at by query processes (`process`). The server hands them the text, what can be named in it, and
//! the rows of the live views they ask for, all of one epoch; it takes the rows of the answer as they come. Memory, planning and
//! running are theirs: a query that passes its limits ends its process and nothing else, and one that is cancelled, late or no
//! longer wanted is killed at once, whatever it is in the midst of.
//!
//! ```text
//! handler ◄─ rows ─ Running ◄─ conversation (a task) ◄─ socket ─ query process
//! ```
//!
//! Rows are kept as they come. So a query that is cancelled answers with those it had given until then; they are marked as partial and never
//! taken for all of them. People's queries, exports, and the page's own charts and lists take turns separately, so that none
//! of them can starve the others.

mod answer;
mod conversation;
mod error;
mod lake;
mod pinned;
mod pool;
mod process;
mod protocol;
mod question;
mod samples;
mod sanitized;
#[cfg(test)]
mod tests;
mod unnamed;

pub use error::{Misnamed, QueryError};
pub use lake::{FileDetails, Lake, TableDetails};
pub use pinned::{NotPinned, Pinned, commit_of};
pub use process::answer_queries;
pub(crate) use question::{Question, may_describe, may_explain};
pub use samples::{SAMPLES, SAMPLES_TABLE, Sample};

use crate::model::{Epoch, errors_rows};
use crate::plan::{Dataflow, Meaning};
use crate::supervise;
use crate::trace::Span;
use crate::view::Hub;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use conversation::Asked;
use datafusion::execution::SessionState;
use pool::Pool;
use process::ProcessLimits;
use protocol::{Catalog, ColumnMeaning, Meanings, ToProcess};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};

/// The functions that a statement may use, in a session without relations.
pub fn functions_session() -> SessionState {
    answer::session(&Arc::default()).state()
}

/// An answer that is read as one is cut off when it has this many bytes, whatever its number of rows.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Rows of one answer to the page's charts and lists.
const PAGE_ROWS_MAX: usize = 1_000_000;
/// Queries of the page at a time: its charts must not wait for what people ask.
const PAGE_TURNS: usize = 2;
/// Queries that may wait for their turn, of each kind.
const QUEUE_MAX: usize = 64;
/// An export may take so long in all; between two pieces of it, no longer than any other query.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(3_600);
/// Queries whose live views are copied at a time: a large view is held in memory so often, beside itself.
const COPIES_MAX: usize = 2;
/// Threads of the server that talk to query processes and write answers.
const THREADS: usize = 2;
/// Pieces of an answer that wait to be taken.
const PIECES_MAX: usize = 2;

/// What ad-hoc queries may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Per query, waiting for its turn included.
    pub time: Duration,
    /// Rows per answer; an export has none.
    pub rows: usize,
    /// Per query.
    pub memory_bytes: u64,
    /// Temporary files, per query.
    pub spill_bytes: u64,
    /// People's queries at a time; others wait.
    pub concurrent: usize,
    /// Processes that wait for a query.
    pub spares: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(30),
            rows: 10_000,
            memory_bytes: 512 << 20,
            spill_bytes: 2 << 30,
            concurrent: 4,
            spares: 1,
        }
    }
}

/// Rows of a query and what they were computed from.
#[derive(Clone, Debug)]
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than allowed.
    pub truncated: bool,
    /// Why it does not have all its rows; without columns if it was not even planned yet.
    pub partial: Option<Cut>,
    pub elapsed: Duration,
    /// The epoch of all live views in it.
    pub epoch: Epoch,
    /// Relations it read, as named.
    pub tables: Vec<String>,
}

/// What ended a query before it had all its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Cancelled,
    TimedOut,
}

impl Cut {
    /// As the API says it.
    pub fn word(self) -> &'static str {
        match self {
            Cut::Cancelled => "cancelled",
            Cut::TimedOut => "timed_out",
        }
    }
}

/// What comes of a query, one after the other.
#[derive(Debug)]
pub enum Piece {
    /// First of all.
    Planned {
        schema: SchemaRef,
        epoch: Epoch,
        tables: Vec<String>,
    },
    Rows {
        batch: RecordBatch,
        /// It holds so much memory.
        bytes: usize,
    },
    /// All rows, or all that were wanted, are there.
    Done { truncated: bool },
}

/// Runs queries; clones share processes and limits.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    dataflow: Arc<Dataflow>,
    lake: Lake,
    limits: Limits,
    pool: Pool,
    asked: Turns,
    exports: Turns,
    page: Turns,
    /// Copies of live views on their way to a query process.
    copies: Semaphore,
    running: Mutex<HashMap<String, watch::Sender<bool>>>,
    closing: watch::Sender<bool>,
    costs: OnceLock<TellsCosts>,
    /// Always there until dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

/// What live views cost, in words.
type TellsCosts = Box<dyn Fn() -> BTreeMap<String, String> + Send + Sync>;

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Who may run, and how many wait for it.
struct Turns {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Turns {
    fn new(count: usize) -> Self {
        Turns {
            free: Arc::new(Semaphore::new(count.max(1))),
            waiting: Arc::default(),
        }
    }

    /// A place in the queue.
    fn place(&self) -> Result<Place, QueryError> {
        let place = Place(Arc::clone(&self.waiting), Arc::clone(&self.free));
        match self.waiting.fetch_add(1, Ordering::Relaxed) {
            waiting if QUEUE_MAX <= waiting => Err(QueryError::Busy { waiting }),
            _ => Ok(place),
        }
    }
}

struct Place(Arc<AtomicUsize>, Arc<Semaphore>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A time that is asked about.
#[derive(Debug)]
struct Then {
    epoch: Epoch,
    lake: Pinned,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Asked,
    Export,
    Page,
}

impl Queries {
    /// Starts the threads and a first process.
    ///
    /// # Errors
    /// If threads cannot be had.
    pub fn new(
        hub: Arc<Hub>,
        dataflow: Arc<Dataflow>,
        lake: Lake,
        limits: Limits,
    ) -> io::Result<Queries> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("query")
            .enable_all()
            .build()?;
        let process = ProcessLimits {
            memory_bytes: limits.memory_bytes,
            spill_bytes: limits.spill_bytes,
        };
        Ok(Queries(Arc::new(Inner {
            hub,
            dataflow,
            lake,
            pool: Pool::new(process, limits.spares)?,
            asked: Turns::new(limits.concurrent),
            exports: Turns::new(limits.concurrent.div_ceil(2)),
            page: Turns::new(PAGE_TURNS),
            copies: Semaphore::new(COPIES_MAX),
            limits,
            running: Mutex::default(),
            closing: watch::Sender::new(false),
            costs: OnceLock::new(),
            runtime: Some(runtime),
        })))
    }

    /// EXPLAIN of a query that reads live views says what each of them costs from now on: in words, by its name.
    pub fn tell_costs(&self, costs: impl Fn() -> BTreeMap<String, String> + Send + Sync + 'static) {
        // It is told by one server.
        let _ = self.0.costs.set(Box::new(costs));
    }

    /// Answers one statement.
    ///
    /// # Errors
    /// Says whether the statement, a limit or the machine is at fault.
    pub async fn run(&self, sql: &str, max_rows: Option<usize>) -> Result<Answer, QueryError> {
        let rows = max_rows.unwrap_or(usize::MAX).min(self.0.limits.rows);
        let running = self.start(&unnamed(), sql, Some(rows), Kind::Asked, None)?;
        running.collect(false).await
    }

    /// Like [`Queries::run`], for someone who waits and reads: under a name by which it can be cancelled. If it is, or its time is
    /// up, it answers with the rows it has so far.
    ///
    /// # Errors
    /// As [`Queries::run`], and if a query of that name runs.
    pub async fn run_as(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
    ) -> Result<Answer, QueryError> {
        self.run_at(id, sql, max_rows, None).await
    }

    /// Like [`Queries::run_as`], of what there was as of an epoch. A live view is as it was then as long as its changes are known; of
    /// an earlier epoch it is what the lake had stored of it then, as all stored tables are: those of the newest commit that is not
    /// behind the epoch.
    ///
    /// # Errors
    /// As [`Queries::run_as`], and if neither knows that epoch.
    pub async fn run_at(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
        as_of: Option<Epoch>,
    ) -> Result<Answer, QueryError> {
        let rows = max_rows.unwrap_or(usize::MAX).min(self.0.limits.rows);
        let then = self.then(as_of).await?;
        let running = self.start(id, sql, Some(rows), Kind::Asked, then)?;
        running.collect(true).await
    }

    /// What a chart or a list of the page needs. Its text is ours, but for a filter.
    ///
    /// # Errors
    /// As [`Queries::run`].
    pub async fn page(&self, sql: &str) -> Result<Answer, QueryError> {
        let running = self.start(&unnamed(), sql, Some(PAGE_ROWS_MAX), Kind::Page, None)?;
        running.collect(false).await
    }

    /// All rows of a query over stored tables alone, at the versions of a commit. It takes its turn among exports.
    ///
    /// # Errors
    /// As [`Queries::run`].
    pub async fn of_commit(&self, sql: &str, commit: Pinned) -> Result<Answer, QueryError> {
        let then = Then {
            epoch: commit.epoch.unwrap_or_default(),
            lake: commit,
        };
        let running = self.start(&unnamed(), sql, None, Kind::Export, Some(then))?;
        running.collect(false).await
    }

    /// For answers that are kept and not read: all rows, as they come. By its name it can be cancelled.
    ///
    /// # Errors
    /// If a query of that name runs, or too many wait.
    pub fn export_as(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
    ) -> Result<Running, QueryError> {
        self.start(id, sql, max_rows, Kind::Export, None)
    }

    /// Like [`Queries::export_as`], as of an epoch, as [`Queries::run_at`] has it.
    ///
    /// # Errors
    /// As [`Queries::export_as`], and if that epoch is not known.
    pub async fn export_at(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
        as_of: Option<Epoch>,
    ) -> Result<Running, QueryError> {
        let then = self.then(as_of).await?;
        self.start(id, sql, max_rows, Kind::Export, then)
    }

    /// What there was as of an epoch, if one is wanted.
    async fn then(&self, as_of: Option<Epoch>) -> Result<Option<Then>, QueryError> {
        let Some(epoch) = as_of else {
            return Ok(None);
        };
        let newest = self.0.hub.epoch();
        if newest < epoch && newest != Epoch(0) {
            let text = format!("epoch {epoch} is not complete yet; the newest is {newest}");
            return Err(QueryError::rejected(text));
        }
        let lake = self.0.lake.pinned(epoch).await;
        let lake = lake.map_err(QueryError::rejected)?;
        Ok(Some(Then { epoch, lake }))
    }

    fn start(
        &self,
        id: &str,
        sql: &str,
        rows: Option<usize>,
        kind: Kind,
        then: Option<Then>,
    ) -> Result<Running, QueryError> {
        let inner = &self.0;
        let turns = match kind {
            Kind::Asked => &inner.asked,
            Kind::Export => &inner.exports,
            Kind::Page => &inner.page,
        };
        let place = turns.place()?;
        let stop = watch::Sender::new(false);
        let stopped = stop.subscribe();
        {
            let mut running = inner.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.contains_key(id) {
                return Err(QueryError::rejected(format!(
                    "a query with the id {id:?} is already running"
                )));
            }
            running.insert(id.to_owned(), stop);
        }
        let span = span_of(sql, kind);
        let (out, pieces) = mpsc::channel(PIECES_MAX);
        let running = Running {
            inner: Arc::clone(inner),
            id: id.to_owned(),
            pieces,
            stopped,
            closing: inner.closing.subscribe(),
            started: Instant::now(),
            kind,
        };
        let question = ToProcess::Ask {
            sql: sql.to_owned(),
            rows: rows.map(|it| it as u64),
            catalog: Box::new(inner.catalog(sql, then.as_ref())),
        };
        let as_of = then.map(|it| it.epoch);
        // The task holds the runtime's owner only weakly: its end must not be what drops the runtime.
        let weak = Arc::downgrade(inner);
        if let Some(runtime) = &inner.runtime {
            let conversation = supervise::awaited(runtime.handle(), "the query", async move {
                let asking = async {
                    let queue = span.child("queue");
                    let turn = Arc::clone(&place.1).acquire_owned().await.ok()?;
                    drop(place);
                    drop(queue);
                    let inner = weak.upgrade()?;
                    let last = match inner.pool.take(turn) {
                        Ok(process) => {
                            let asked = Asked {
                                question: &question,
                                as_of,
                                span: &span,
                            };
                            inner.converse(process, &asked, &out).await?
                        }
                        Err(error) => Err(QueryError::failed(format!(
                            "no process could be started for it: {error}"
                        ))),
                    };
                    if let Err(error) = &last {
                        // Its words may have values of the statement in them.
                        span.fail(error.code(), String::new);
                    }
                    Some(last)
                };
                let last = tokio::select! {
                    last = asking => last,
                    // Nobody waits any more: the process, if there is one, is dropped and so killed.
                    () = out.closed() => {
                        span.set("tidelake.query.ended_early", true);
                        None
                    }
                };
                // Told before the answer is complete: it is a part of the request that waits for it.
                drop(span);
                if let Some(last) = last {
                    let _ = out.send(last).await;
                }
            });
            // Its outcome is what comes through the channel, or that nothing does any more.
            drop(conversation);
        }
        Ok(running)
    }

    /// Does work aside that would keep other requests waiting.
    ///
    /// # Errors
    /// If it panics.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let done = supervise::blocking("writing the answer", work).await;
        done.map_err(QueryError::failed)
    }

    /// The columns of plain views, as queries over these tables of the lake have them; as the dataflow knows them where no query can read one.
    pub async fn plain_views(
        &self,
        stored: BTreeMap<String, SchemaRef>,
    ) -> Vec<(String, SchemaRef)> {
        if self.0.dataflow.aliases.is_empty() {
            return Vec::new();
        }
        let inner = Arc::clone(&self.0);
        let work = async move {
            let live = inner.hub.views().into_iter();
            let live = live.map(|(info, _)| (info.name, info.schema));
            let (plain, lake) = (&inner.dataflow.aliases, inner.lake.address());
            answer::columns_of_plain_views(plain, live.collect(), stored, lake.as_deref()).await
        };
        let found = match &self.0.runtime {
            Some(it) => supervise::awaited(it.handle(), "plain views", work).await,
            None => Ok(BTreeMap::new()),
        };
        let mut found = found.unwrap_or_default();
        let dataflow = &self.0.dataflow;
        let names = dataflow.aliases.iter().map(|it| it.0.clone());
        let columns = names.map(|name| {
            let known = || Some(Arc::clone(&dataflow.plain.get(&name)?.schema));
            let schema = found.remove(&name).or_else(known);
            (name, schema.unwrap_or_else(|| Arc::new(Schema::empty())))
        });
        columns.collect()
    }

    /// Has work done on the threads of the queries. A caller that waits for its result notices when there will be none.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0.runtime {
            drop(supervise::awaited(runtime.handle(), "an export", work));
        }
    }

    /// Ends a running query, which then answers with the rows it has so far; whether there was one.
    pub fn cancel(&self, id: &str) -> bool {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.get(id).map(|it| it.send_replace(true)).is_some()
    }

    /// Ends all queries, those that come as well: the server is about to stop.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Names of all functions a statement may use, in order.
    pub fn functions(&self) -> Vec<String> {
        answer::functions()
    }

    /// The stored tables.
    pub fn lake(&self) -> &Lake {
        &self.0.lake
    }
}

/// What a trace tells of a query, by OpenTelemetry's conventions for databases.
fn span_of(sql: &str, kind: Kind) -> Span {
    let span = Span::here("query");
    if span.is_recorded() {
        span.set("db.system.name", "tidelake");
        let kind = match kind {
            Kind::Asked => "asked",
            Kind::Export => "export",
            Kind::Page => "page",
        };
        span.set("tidelake.query.kind", kind);
        if let Some(text) = sanitized::without_values(sql) {
            span.set("db.query.text", text);
        }
    }
    span
}

fn unnamed() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A query that runs. Dropped, it ends.
pub struct Running {
    inner: Arc<Inner>,
    id: String,
    pieces: mpsc::Receiver<Result<Piece, QueryError>>,
    stopped: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
    started: Instant,
    kind: Kind,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self
            .inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.id);
    }
}

impl Running {
    /// What comes next. After [`Piece::Done`] or an error nothing does.
    ///
    /// # Errors
    /// Says whether the statement, a limit or the machine is at fault, or that it was cancelled.
    pub async fn next(&mut self) -> Result<Piece, QueryError> {
        let limit = self.inner.limits.time;
        let (deadline, limit) = match self.kind {
            Kind::Asked | Kind::Page => (self.started + limit, limit),
            Kind::Export => {
                let (soon, last) = (Instant::now() + limit, self.started + EXPORT_TIME_MAX);
                match soon <= last {
                    true => (soon, limit),
                    false => (last, EXPORT_TIME_MAX),
                }
            }
        };
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|it| *it) => Err(QueryError::Stopping),
            _ = self.stopped.wait_for(|it| *it) => match self.pieces.try_recv() {
                // What has come already counts.
                Ok(piece) => piece,
                Err(_) => Err(QueryError::Cancelled),
            },
            piece = tokio::time::timeout_at(deadline.into(), self.pieces.recv()) => match piece {
                Ok(piece) => piece.unwrap_or_else(|| Err(QueryError::failed("nothing came of it"))),
                Err(_) => Err(QueryError::TimedOut { limit }),
            },
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The epoch now.
    pub fn epoch_now(&self) -> Epoch {
        self.inner.hub.epoch()
    }

    /// All of it as one answer. Cancelled, it answers with the rows it has so far; when its time is up only if it
    /// `keeps` them.
    async fn collect(mut self, keeps: bool) -> Result<Answer, QueryError> {
        let mut answer = Answer {
            schema: Arc::new(Schema::empty()),
            batches: Vec::new(),
            truncated: false,
            partial: None,
            elapsed: Duration::ZERO,
            epoch: self.epoch_now(),
            tables: Vec::new(),
        };
        let mut held_bytes = 0;
        loop {
            match self.next().await {
                Ok(Piece::Planned {
                    schema,
                    epoch,
                    tables,
                }) => {
                    answer = Answer {
                        schema,
                        epoch,
                        tables,
                        ..answer
                    };
                }
                Ok(Piece::Rows { batch, bytes }) => {
                    held_bytes += bytes;
                    answer.batches.push(batch);
                    if ANSWER_BYTES_MAX < held_bytes {
                        answer.truncated = true;
                        break;
                    }
                }
                Ok(Piece::Done { truncated }) => {
                    answer.truncated = truncated;
                    break;
                }
                Err(QueryError::Cancelled) => {
                    answer.partial = Some(Cut::Cancelled);
                    break;
                }
                Err(QueryError::TimedOut { .. })
                    if keeps && answer.batches.iter().any(|it| 0 < it.num_rows()) =>
                {
                    answer.partial = Some(Cut::TimedOut);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        answer.elapsed = self.elapsed();
        Ok(answer)
    }
}

impl Inner {
    /// What can be named, now or then.
    fn catalog(&self, sql: &str, then: Option<&Then>) -> Catalog {
        let live = self.hub.views().into_iter();
        let live = live.map(|(info, rows)| (info.name, rows as u64));
        let (live, gone): (BTreeMap<String, u64>, BTreeMap<String, u64>) = live.partition(|it| {
            let then = then.map(|it| it.epoch);
            then.is_none_or(|epoch| self.hub.keeps(&it.0, epoch))
        });
        let mut stored: BTreeSet<String> = self.lake.names().iter().cloned().collect();
        let mut versions = self.lake.versions().clone();
        if let Some(then) = then {
            stored.retain(|it| !then.lake.later.contains(it));
            versions.clone_from(&then.lake.versions);
        }
        Catalog {
            meanings: match question::may_describe(sql) {
                true => self.meanings(),
                false => Meanings::default(),
            },
            live,
            errors: then.is_none().then(|| {
                let listed = errors_rows(&self.hub.left_out()).len();
                listed as u64
            }),
            gone: gone.into_keys().collect(),
            plain: self.dataflow.aliases.clone(),
            stored,
            sources: self
                .dataflow
                .sources
                .iter()
                .map(|it| it.name.clone())
                .collect(),
            json: self.dataflow.json_columns(),
            lake: self.lake.address(),
            versions,
            costs: match (question::may_explain(sql), self.costs.get()) {
                (true, Some(costs)) => costs(),
                (true | false, _) => BTreeMap::new(),
            },
        }
    }

    fn meanings(&self) -> Meanings {
        let views = self.hub.views().into_iter().map(|it| it.0.name);
        let plain = self.dataflow.plain.keys().cloned();
        let names: BTreeSet<String> = views
            .chain(self.lake.names().iter().cloned())
            .chain(plain)
            .collect();
        let column = |(name, it): (String, Meaning)| {
            let told = ColumnMeaning {
                role: it.role.name().to_owned(),
                unit: it.unit,
                comment: it.comment,
            };
            (name, told)
        };
        let relations = self.dataflow.comments.iter();
        Meanings {
            relations: relations
                .filter(|it| it.0.1.is_none())
                .filter_map(|((name, _), it)| Some((name.clone(), it.text.clone()?)))
                .collect(),
            columns: names
                .into_iter()
                .map(|it| {
                    let known = self.dataflow.named_meanings(&it);
                    (it, known.into_iter().map(column).collect())
                })
                .collect(),
        }
    }
}
