//! Ad-hoc queries: read-only SQL over live views and tables of the lake, within limits, on threads of their own.
//!
//! Only the relations a statement names are resolved. All live views it names are read at one epoch. Every node of its plan
//! looks at a flag, so a query that is cancelled, late or no longer wanted stops burning processor time.
//!
//! Rows are gathered outside of the task that makes them. So whoever cancels a query gets those it had given until then, at
//! once, even while its plan is in the midst of a long step; they are marked as partial and never taken for all of them.
//!
//! Names: a bare name is the live view, else a plain view of the dataflow, else a table of the lake;
//! `lake.name` (or `delta_lake.name`) is what the lake stores under that name.

mod cancel;
#[cfg(test)]
mod tests;

use super::{register_functions, syntax};
use crate::model::{Epoch, Row, batch_of_rows};
use crate::plan::Dataflow;
use crate::supervise;
use crate::view::Hub;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use cancel::Stop;
use datafusion::catalog::{MemTable, MemorySchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, coalesce_partitions::CoalescePartitionsExec,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use futures::StreamExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Schemas under which the stored tables are found.
const LAKE_SCHEMAS: [&str; 2] = ["lake", "delta_lake"];
/// Rows per batch: small, so that a stop is noticed soon even inside a join.
const BATCH_ROWS: usize = 1024;
/// An answer larger than this is cut off, whatever its number of rows.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest statement taken.
const TEXT_BYTES_MAX: usize = 100_000;
/// A chain of operators is as deep in the parser's tree, and some walks over that tree take several KiB of stack for each level.
const OPERATORS_MAX: usize = 2_000;
const QUERY_STACK_BYTES: usize = 64 << 20;

/// What ad-hoc queries may use, all of them together unless said otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Per query, waiting for its turn included.
    pub time: Duration,
    /// Rows per answer.
    pub rows: usize,
    /// Rows per export, which is made to be kept and not to be read.
    pub export_rows: usize,
    pub memory_bytes: usize,
    /// Temporary files.
    pub spill_bytes: u64,
    pub threads: usize,
    /// Queries at a time; others wait.
    pub concurrent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(30),
            rows: 10_000,
            export_rows: 1_000_000,
            memory_bytes: 512 << 20,
            spill_bytes: 2 << 30,
            threads: 1,
            concurrent: 4,
        }
    }
}

/// The stored tables, as the lake gives them.
pub trait LakeTables: Send + Sync {
    /// Names of all tables: append-only ones, and those of stored views.
    fn names(&self) -> Vec<String>;
    /// A table at its newest version.
    fn provider<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TableProvider>, String>>;
    /// What a table's newest version is made of.
    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<TableDetails, String>>;
    /// Called with each query's session before anything is planned: the place to register an object store.
    fn prepare(&self, _session: &SessionContext) {}
}

/// A stored table as it lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDetails {
    pub version: u64,
    pub location: String,
    pub files: Vec<FileDetails>,
    /// The newest versions, newest first.
    pub versions: Vec<VersionDetails>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDetails {
    pub path: String,
    pub bytes: u64,
    pub rows: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionDetails {
    pub version: u64,
    pub written_ms: Option<i64>,
    pub operation: String,
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

impl Answer {
    /// That of a query which was cancelled before it was planned.
    fn not_begun(epoch: Epoch) -> Answer {
        Answer {
            schema: Arc::new(Schema::empty()),
            batches: Vec::new(),
            truncated: false,
            partial: Some(Cut::Cancelled),
            elapsed: Duration::ZERO,
            epoch,
            tables: Vec::new(),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement is at fault; it will never run as it is.
    #[error("{message}")]
    Rejected {
        message: String,
        line: Option<u64>,
        column: Option<u64>,
        hint: Option<String>,
    },
    #[error("the query did not finish within {} seconds", .limit.as_secs_f64())]
    TimedOut { limit: Duration },
    #[error("the query needed more than the {} MB of memory that queries may use", .limit_bytes >> 20)]
    TooMuchMemory { limit_bytes: usize },
    #[error("the query was cancelled")]
    Cancelled,
    #[error("the query failed: {message}")]
    Failed { message: String },
}

impl QueryError {
    fn rejected(message: impl Into<String>) -> Self {
        QueryError::Rejected {
            message: message.into(),
            line: None,
            column: None,
            hint: None,
        }
    }

    fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            QueryError::Rejected {
                message,
                line,
                column,
                ..
            } => QueryError::Rejected {
                message,
                line,
                column,
                hint: Some(text.into()),
            },
            other => other,
        }
    }

    /// Something one can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            QueryError::Rejected { hint, .. } => hint.clone(),
            QueryError::TimedOut { .. } => {
                Some("narrow the time range, ask a live view instead of the lake, or raise the limit in the settings".to_owned())
            }
            QueryError::TooMuchMemory { .. } => {
                Some("group by fewer columns, filter before joining, or raise the limit in the settings".to_owned())
            }
            QueryError::Cancelled | QueryError::Failed { .. } => None,
        }
    }

    fn planning(error: &DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|it| it.span);
        let message = error.strip_backtrace();
        let place = span
            .map(|it| (it.start.line, it.start.column))
            .or_else(|| place_in(&message));
        QueryError::Rejected {
            message,
            line: place.map(|it| it.0),
            column: place.map(|it| it.1),
            hint: None,
        }
    }
}

/// `… at Line: 1, Column: 5` as the parser puts it.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    let (_, after) = message.split_once("Line: ")?;
    let (_, column) = after.split_once("Column: ")?;
    Some((number(after)?, number(column)?))
}

/// Runs queries; clones share threads and limits.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    dataflow: Arc<Dataflow>,
    tables: Arc<dyn LakeTables>,
    limits: Limits,
    environment: Arc<RuntimeEnv>,
    turns: Semaphore,
    running: Mutex<HashMap<String, Arc<Stop>>>,
    /// Always there until dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An answer as far as it has come: partial until its last row, nothing before it is planned or after it was taken.
type SoFar = Arc<Mutex<Option<Answer>>>;

/// Stops a query when its caller no longer waits for it.
struct Wanted<'a> {
    inner: &'a Inner,
    id: &'a str,
    stop: Arc<Stop>,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.stop.stop();
        self.inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(self.id);
    }
}

impl Queries {
    /// Starts the threads.
    ///
    /// # Errors
    /// If threads or the folder for temporary files cannot be had.
    pub fn new(
        hub: Arc<Hub>,
        dataflow: Arc<Dataflow>,
        tables: Arc<dyn LakeTables>,
        limits: Limits,
    ) -> std::io::Result<Queries> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("query")
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_all()
            .build()?;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
            .with_max_temp_directory_size(limits.spill_bytes)
            .build_arc()
            .map_err(std::io::Error::other)?;
        let turns = Semaphore::new(limits.concurrent.max(1));
        let running = Mutex::default();
        Ok(Queries(Arc::new(Inner {
            hub,
            dataflow,
            tables,
            limits,
            environment,
            turns,
            running,
            runtime: Some(runtime),
        })))
    }

    /// Answers one statement.
    ///
    /// # Errors
    /// Says whether the statement, a limit or the machine is at fault.
    pub async fn run(&self, sql: &str, max_rows: Option<usize>) -> Result<Answer, QueryError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.run_within(&id, sql, max_rows, self.0.limits.rows, false)
            .await
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
        self.run_within(id, sql, max_rows, self.0.limits.rows, true)
            .await
    }

    /// For answers that go into a file or a chart: within the limit of exports, and by its name it can be cancelled. One whose time is up
    /// has no answer.
    ///
    /// # Errors
    /// As [`Queries::run_as`].
    pub async fn export_as(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
    ) -> Result<Answer, QueryError> {
        self.run_within(id, sql, max_rows, self.0.limits.export_rows, false)
            .await
    }

    /// At most `most` rows, whatever is asked for. Cancelled, it answers with the rows it has so far; when its time is up only if it
    /// `keeps` them.
    async fn run_within(
        &self,
        id: &str,
        sql: &str,
        max_rows: Option<usize>,
        most: usize,
        keeps: bool,
    ) -> Result<Answer, QueryError> {
        let rows = max_rows.unwrap_or(most).min(most);
        let started = Instant::now();
        let limits = &self.0.limits;
        let statement = parse(sql)?;
        let stop = Arc::new(Stop::default());
        {
            let mut running = self
                .0
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if running.contains_key(id) {
                return Err(QueryError::rejected(format!(
                    "a query with the id {id:?} is already running"
                )));
            }
            running.insert(id.to_owned(), stop.clone());
        }
        let wanted = Wanted {
            inner: &self.0,
            id,
            stop: stop.clone(),
        };
        let so_far = SoFar::default();
        let work = async {
            let _turn = self.0.turns.acquire().await;
            let inner = self.0.clone();
            let (task_stop, task_so_far) = (stop.clone(), so_far.clone());
            let Some(runtime) = &self.0.runtime else {
                return Err(QueryError::Cancelled);
            };
            // The task holds the runtime's owner only weakly: its end must not be what drops the runtime.
            let weak = Arc::downgrade(&inner);
            drop(inner);
            let task = supervise::awaited(runtime.handle(), "the query", async move {
                let Some(inner) = weak.upgrade() else {
                    return Err(QueryError::Cancelled);
                };
                inner
                    .answer(statement, rows, &task_stop, &task_so_far)
                    .await
            });
            task.await.unwrap_or_else(|it| {
                Err(QueryError::Failed {
                    message: it.to_string(),
                })
            })
        };
        let result = tokio::select! {
            result = tokio::time::timeout(limits.time, work) => match result {
                Ok(result) => result,
                Err(_) => Err(QueryError::TimedOut { limit: limits.time }),
            },
            () = stop.stopped() => Err(QueryError::Cancelled),
        };
        let result = match result {
            Err(QueryError::Cancelled) if stop.is_stopped() => {
                Ok(taken(&so_far).unwrap_or_else(|| Answer::not_begun(self.0.hub.epoch())))
            }
            Err(QueryError::TimedOut { limit }) if keeps => taken(&so_far)
                .filter(|it| it.batches.iter().any(|it| 0 < it.num_rows()))
                .map(|answer| Answer {
                    partial: Some(Cut::TimedOut),
                    ..answer
                })
                .ok_or(QueryError::TimedOut { limit }),
            other => other,
        };
        drop(wanted);
        result.map(|answer| Answer {
            elapsed: started.elapsed(),
            ..answer
        })
    }

    /// Ends a running query, which then answers with the rows it has so far; whether there was one.
    pub fn cancel(&self, id: &str) -> bool {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.get(id).map(|it| it.stop()).is_some()
    }

    /// Names of all functions a statement may use, in order.
    pub fn functions(&self) -> Vec<String> {
        let state = self.0.context().state();
        let names = state
            .scalar_functions()
            .keys()
            .chain(state.aggregate_functions().keys())
            .chain(state.window_functions().keys());
        let all: BTreeSet<String> = names.cloned().collect();
        all.into_iter().collect()
    }

    /// Files and versions of a stored table.
    ///
    /// # Errors
    /// As the lake says.
    pub async fn lake_details(&self, name: &str) -> Result<TableDetails, String> {
        self.0.tables.details(name).await
    }

    /// Names of the stored tables.
    pub fn lake_tables(&self) -> Vec<String> {
        self.0.tables.names()
    }

    /// Columns of a stored table.
    ///
    /// # Errors
    /// As the lake says.
    pub async fn lake_schema(&self, name: &str) -> Result<SchemaRef, String> {
        self.0.tables.provider(name).await.map(|it| it.schema())
    }
}

fn locked(so_far: &SoFar) -> MutexGuard<'_, Option<Answer>> {
    so_far.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer as it is; its task finds it gone.
fn taken(so_far: &SoFar) -> Option<Answer> {
    locked(so_far).take()
}

/// One statement that only reads, with `TUMBLE` already rewritten.
fn parse(sql: &str) -> Result<DfStatement, QueryError> {
    if sql.trim().is_empty() {
        return Err(QueryError::rejected("the query is empty")
            .with_hint("for example: SELECT * FROM totals"));
    }
    if TEXT_BYTES_MAX < sql.len() {
        return Err(QueryError::rejected(format!(
            "the query is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    if OPERATORS_MAX < operators(sql) {
        return Err(QueryError::rejected(format!(
            "the query has more than {OPERATORS_MAX} operators"
        ))
        .with_hint("write x IN (…) instead of x = … OR x = …"));
    }
    let mut statement = parse_one(sql, &GenericDialect {})?;
    prepare(&mut statement)?;
    Ok(statement)
}

/// How many operators and joining words a text has: at least as many as the longest chain of them is deep. A text that is no SQL has
/// none; the parser says what is wrong with it.
fn operators(sql: &str) -> usize {
    const JOINING: [Keyword; 12] = [
        Keyword::AND,
        Keyword::OR,
        Keyword::NOT,
        Keyword::IS,
        Keyword::LIKE,
        Keyword::ILIKE,
        Keyword::BETWEEN,
        Keyword::UNION,
        Keyword::INTERSECT,
        Keyword::EXCEPT,
        Keyword::JOIN,
        Keyword::AT,
    ];
    let is_operator = |token: &Token| match token {
        Token::Word(word) => JOINING.contains(&word.keyword),
        Token::Number(..) | Token::Whitespace(_) | Token::Comma | Token::Period => false,
        Token::LParen | Token::RParen | Token::SemiColon | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
        _ => true,
    };
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    tokens.map_or(0, |it| it.iter().filter(|it| is_operator(it)).count())
}

fn parse_one(sql: &str, dialect: &dyn Dialect) -> Result<DfStatement, QueryError> {
    let parsed = DFParserBuilder::new(sql)
        .with_dialect(dialect)
        .build()
        .and_then(|mut it| it.parse_statements());
    let mut statements = parsed.map_err(|it| QueryError::planning(&it))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(QueryError::rejected("the query is empty")),
        (Some(_), false) => Err(QueryError::rejected("send one statement at a time")),
    }
}

fn prepare(statement: &mut DfStatement) -> Result<(), QueryError> {
    match statement {
        DfStatement::Explain(explain) => prepare(&mut explain.statement),
        DfStatement::Statement(inner) if matches!(inner.as_ref(), Statement::Query(_)) => {
            syntax::rewrite_windows(inner, syntax::all_records).map_err(QueryError::rejected)
        }
        other => {
            let text = other.to_string();
            let word = text
                .split_whitespace()
                .next()
                .unwrap_or("this")
                .to_ascii_uppercase();
            Err(QueryError::rejected(format!("{word} is not possible here: queries only read"))
                .with_hint("use SELECT, WITH … SELECT or EXPLAIN; GET /api/v1/tables lists what can be read"))
        }
    }
}

/// Where the relations of a statement come from.
#[derive(Default)]
struct Needed {
    live: BTreeSet<String>,
    /// Plain views by their place in the dataflow, which is their order of use.
    aliases: BTreeMap<usize, DfStatement>,
    /// Schema and table; a bare name has no schema.
    stored: BTreeSet<(Option<String>, String)>,
}

impl Inner {
    async fn answer(
        &self,
        statement: DfStatement,
        rows: usize,
        stop: &Arc<Stop>,
        so_far: &SoFar,
    ) -> Result<Answer, QueryError> {
        let mut needed = Needed::default();
        let mut tables = BTreeSet::new();
        self.resolve(&statement, &mut needed, &mut tables)?;
        let context = self.context();
        self.tables.prepare(&context);
        let epoch = self.register(&context, &needed).await?;
        let state = context.state();
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(|it| QueryError::planning(&it))?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only
            .verify_plan(&plan)
            .map_err(|it| QueryError::planning(&it))?;
        let plan = match plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => plan,
            other => LogicalPlanBuilder::from(other)
                .limit(0, Some(rows + 1))
                .and_then(LogicalPlanBuilder::build)
                .map_err(|it| QueryError::planning(&it))?,
        };
        let physical = state
            .create_physical_plan(&plan)
            .await
            .map_err(|it| QueryError::planning(&it))?;
        *locked(so_far) = Some(Answer {
            schema: physical.schema(),
            batches: Vec::new(),
            truncated: false,
            partial: Some(Cut::Cancelled),
            elapsed: Duration::ZERO,
            epoch,
            tables: tables.into_iter().collect(),
        });
        let truncated = self.collect(physical, &context, rows, stop, so_far).await?;
        let whole = taken(so_far).ok_or(QueryError::Cancelled)?;
        Ok(Answer {
            truncated,
            partial: None,
            ..whole
        })
    }

    /// Adds rows to an answer, up to a limit; whether there were more.
    async fn collect(
        &self,
        physical: Arc<dyn ExecutionPlan>,
        context: &SessionContext,
        rows_max: usize,
        stop: &Arc<Stop>,
        so_far: &SoFar,
    ) -> Result<bool, QueryError> {
        let failed = |error: DataFusionError| match error.find_root() {
            _ if stop.is_stopped() => QueryError::Cancelled,
            DataFusionError::ResourcesExhausted(_) => QueryError::TooMuchMemory {
                limit_bytes: self.limits.memory_bytes,
            },
            other => QueryError::Failed {
                message: other.strip_backtrace(),
            },
        };
        let single: Arc<dyn ExecutionPlan> = match physical.output_partitioning().partition_count()
        {
            1 => physical,
            _ => Arc::new(CoalescePartitionsExec::new(physical)),
        };
        let plan = cancel::watched(single, stop).map_err(failed)?;
        let mut stream = plan.execute(0, context.task_ctx()).map_err(failed)?;
        let add = |batch| match locked(so_far).as_mut() {
            Some(answer) => {
                answer.batches.push(batch);
                Ok(())
            }
            None => Err(QueryError::Cancelled),
        };
        let (mut rows, mut bytes) = (0, 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(failed)?;
            bytes += batch.get_array_memory_size();
            if rows_max < rows + batch.num_rows() {
                add(batch.slice(0, rows_max - rows))?;
                return Ok(true);
            }
            rows += batch.num_rows();
            add(batch)?;
            if ANSWER_BYTES_MAX < bytes {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn context(&self) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.limits.threads.max(1))
            .with_batch_size(BATCH_ROWS)
            .with_default_catalog_and_schema("tidelake", "live");
        let options = config.options_mut();
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.collect_spans = true;
        options.execution.time_zone = Some("UTC".to_owned());
        options.execution.parquet.schema_force_view_types = false;
        // Subqueries as plan nodes, so that they look at the flag too.
        options
            .optimizer
            .enable_physical_uncorrelated_scalar_subquery = false;
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(self.environment.clone())
            .with_default_features()
            .build();
        register_functions(&mut state);
        let context = SessionContext::new_with_state(state);
        for name in ["generate_series", "range"] {
            context.deregister_udtf(name);
        }
        context
    }

    /// Finds out where each relation comes from, those behind plain views included.
    fn resolve(
        &self,
        statement: &DfStatement,
        needed: &mut Needed,
        tables: &mut BTreeSet<String>,
    ) -> Result<(), QueryError> {
        let (relations, _) =
            resolve_table_references(statement, true).map_err(|it| QueryError::planning(&it))?;
        for relation in relations {
            let name = relation.table().to_owned();
            tables.insert(relation.to_string());
            match &relation {
                TableReference::Bare { .. } => {
                    let alias = self.dataflow.aliases.iter().position(|it| it.0 == name);
                    if self.hub.view(&name).is_some() {
                        needed.live.insert(name);
                    } else if let Some(at) = alias {
                        if !needed.aliases.contains_key(&at) {
                            let mut inner =
                                parse_one(&self.dataflow.aliases[at].1, &PostgreSqlDialect {})?;
                            prepare(&mut inner)?;
                            self.resolve(&inner, needed, tables)?;
                            needed.aliases.insert(at, inner);
                        }
                    } else if self.tables.names().contains(&name) {
                        needed.stored.insert((None, name));
                    } else {
                        return Err(self.unknown(&relation));
                    }
                }
                TableReference::Partial { schema, .. }
                    if LAKE_SCHEMAS.contains(&schema.as_ref()) =>
                {
                    if !self.tables.names().contains(&name) {
                        return Err(self.unknown(&relation));
                    }
                    needed.stored.insert((Some(schema.to_string()), name));
                }
                _ => return Err(self.unknown(&relation)),
            }
        }
        Ok(())
    }

    fn unknown(&self, relation: &TableReference) -> QueryError {
        let live = self.hub.views().into_iter().map(|it| it.0.name);
        let aliases = self.dataflow.aliases.iter().map(|it| it.0.clone());
        let stored = self
            .tables
            .names()
            .into_iter()
            .map(|it| format!("{}.{it}", LAKE_SCHEMAS[0]));
        let known: Vec<String> = live.chain(aliases).chain(stored).collect();
        let message = match self.dataflow.source(relation.table()) {
            Some(_) => format!(
                "`{relation}` is a source; its records can be read from the tables made of it"
            ),
            None => format!("there is no view or table `{relation}`"),
        };
        QueryError::rejected(message).with_hint(format!("there are: {}", known.join(", ")))
    }

    /// Makes the relations known to a session and tells the epoch of its live views.
    async fn register(
        &self,
        context: &SessionContext,
        needed: &Needed,
    ) -> Result<Epoch, QueryError> {
        let failed = |error: DataFusionError| QueryError::Failed {
            message: error.strip_backtrace(),
        };
        let names: Vec<String> = needed.live.iter().cloned().collect();
        let (epoch, snapshots) = self.hub.snapshots(&names);
        for (name, rows) in names.iter().zip(snapshots) {
            let (Some(rows), Some(info)) = (rows, self.hub.view(name)) else {
                continue;
            };
            let table = live_table(&info.schema, &rows).map_err(failed)?;
            context
                .register_table(name.as_str(), Arc::new(table))
                .map_err(failed)?;
        }
        if let Some(catalog) = context.catalog("tidelake") {
            for schema in LAKE_SCHEMAS {
                catalog
                    .register_schema(schema, Arc::new(MemorySchemaProvider::new()))
                    .map_err(failed)?;
            }
        }
        for (schema, name) in &needed.stored {
            let provider = self
                .tables
                .provider(name)
                .await
                .map_err(|it| QueryError::Failed { message: it })?;
            let reference = match schema {
                Some(schema) => TableReference::partial(schema.as_str(), name.as_str()),
                None => TableReference::bare(name.as_str()),
            };
            context
                .register_table(reference, provider)
                .map_err(failed)?;
        }
        for (at, statement) in &needed.aliases {
            let plan = context
                .state()
                .statement_to_plan(statement.clone())
                .await
                .map_err(failed)?;
            let name = self.dataflow.aliases[*at].0.as_str();
            context
                .register_table(name, Arc::new(ViewTable::new(plan, None)))
                .map_err(failed)?;
        }
        Ok(epoch)
    }
}

/// Rows of a live view as a table. Any column may be null: what the plan promised is not needed here.
fn live_table(schema: &SchemaRef, rows: &[Row]) -> Result<MemTable, DataFusionError> {
    let fields = schema
        .fields()
        .iter()
        .map(|it| Field::new(it.name(), it.data_type().clone(), true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches = rows
        .chunks(BATCH_ROWS)
        .map(|it| batch_of_rows(&schema, it.iter()))
        .collect::<Result<Vec<_>, _>>()?;
    MemTable::try_new(schema, vec![batches])
}
