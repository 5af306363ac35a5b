//! Text to rows, inside a query process.
//!
//! Only the relations a statement names are resolved. The rows of live views come from the server, all of one epoch; a stored table is
//! read from the lake at its newest version, several at those of one commit.
//!
//! Names: a bare name is the live view, else a plain view of the dataflow, else a table of the lake;
//! `lake.name` (or `delta_lake.name`) is what the lake stores under that name.

use super::error::QueryError;
use super::lake::Lake;
use super::pinned::Pinned;
use super::process::{ProcessLimits, is_about_memory};
use super::protocol::{
    Catalog, ColumnMeaning, Frame, FromProcess, JsonColumns, RowsIn, RowsOut, ToProcess,
};
use super::question::{Question, of_plain_view};
use crate::lake::{self, Store};
use crate::model::ERRORS;
use crate::plan::{Dataflow, with_plain_literals, with_sql_types};
use crate::sql::constant_rows::ROW_FUNCTIONS;
use crate::sql::models::{Binder, Models, Unbound};
use crate::sql::near::{as_sql, did_you_mean, nearest};
use crate::sql::{
    by_name, casts, column_types, constants, correlated, definite, inside_aggregates, json_columns,
    multisets, physical, pivot, register_functions, scopes, side_by_side, sql_type_name,
    struct_stars, types, using, words,
};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{MemTable, MemorySchemaProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::Statement;
use futures::{FutureExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// Schemas under which the stored tables are found.
const LAKE_SCHEMAS: [&str; 2] = ["lake", "delta_lake"];
/// Rows per batch: small, so that a client that gives up early has what there was until then.
const BATCH_ROWS: usize = 1024;
/// Rows leave in pieces of about this size.
const PIECE_BYTES: usize = 4 << 20;
/// A row of an answer has at most so many bytes.
const ROW_BYTES_MAX: usize = 64 << 20;

/// A session without relations.
pub fn session(environment: &Arc<RuntimeEnv>) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_default_catalog_and_schema("tidelake", "live");
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.schema_force_view_types = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(environment))
        .with_default_features()
        .with_analyzer_rules(side_by_side::rules())
        .with_optimizer_rules(crate::sql::null_equality::rules())
        .with_physical_optimizer_rules(physical::rules())
        .build();
    register_functions(&mut state);
    SessionContext::new_with_state(state)
}

/// Names of all functions a statement may use, in order.
pub fn functions() -> Vec<String> {
    words::functions_of(&session(&Arc::default()).state())
}

/// One question and the way back to its asker.
pub struct Answering<'a> {
    pub context: SessionContext,
    pub limits: ProcessLimits,
    pub frames: &'a Receiver<Frame>,
    pub socket: &'a mut UnixStream,
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

/// Binds a statement to the models of the lake.
async fn bind(lake: Option<&str>, statement: &mut DfStatement) -> Result<(), QueryError> {
    let models = match lake {
        Some(lake) => Models::Current(lake.to_owned()),
        None => Models::Unknown,
    };
    let mut binder = Binder::new(&models, None);
    let bound = Box::pin(binder.asked(statement)).await;
    bound.map_err(|it| match it {
        Unbound::Refused(text) => QueryError::rejected(text),
        Unbound::Lake(error @ lake::Error::NoModel { .. }) => {
            QueryError::rejected(error.to_string())
        }
        Unbound::Lake(error) => QueryError::failed(error),
    })
}

/// Makes a plain view known to a session that knows what it reads; its columns.
async fn add_plain_view(
    context: &SessionContext,
    name: &str,
    statement: DfStatement,
) -> Result<SchemaRef, DataFusionError> {
    let plan = casts::planned(&context.state(), statement).await?;
    let schema = Arc::clone(plan.schema().inner());
    let view = Arc::new(ViewTable::new(plan, None));
    context.register_table(TableReference::bare(name), view)?;
    Ok(schema)
}

/// The columns of plain views as queries have them, over relations of these columns. Those that no query can read are left out.
pub async fn columns_of_plain_views(
    plain: &[(String, String)],
    live: BTreeMap<String, SchemaRef>,
    stored: BTreeMap<String, SchemaRef>,
    lake: Option<&str>,
) -> BTreeMap<String, SchemaRef> {
    let context = session(&Arc::default());
    if let Some(known) = context.catalog("tidelake") {
        for schema in LAKE_SCHEMAS {
            let _ = known.register_schema(schema, Arc::new(MemorySchemaProvider::new()));
        }
    }
    let add = |reference: TableReference, schema: &SchemaRef| {
        let empty = Arc::new(EmptyTable::new(Arc::clone(schema)));
        // What is missing makes a view that reads it one that no query can.
        let _ = context.register_table(reference, empty);
    };
    for (name, schema) in &live {
        add(TableReference::bare(name.as_str()), schema);
    }
    for (name, columns) in &stored {
        for schema in LAKE_SCHEMAS {
            add(TableReference::partial(schema, name.as_str()), columns);
        }
        if !live.contains_key(name) {
            add(TableReference::bare(name.as_str()), columns);
        }
    }
    let mut found = BTreeMap::new();
    for (name, text) in plain {
        let Ok(mut statement) = of_plain_view(text) else {
            continue;
        };
        if bind(lake, &mut statement).await.is_ok()
            && let Ok(schema) = add_plain_view(&context, name, statement).await
        {
            found.insert(name.clone(), schema);
        }
    }
    found
}

impl Answering<'_> {
    /// Sends the rows; whether there were more than wanted.
    ///
    /// # Errors
    /// Says whether the statement, a limit or the machine is at fault.
    pub async fn answer(mut self, question: &Frame) -> Result<bool, QueryError> {
        let message = question.read_message().map_err(QueryError::failed)?;
        let ToProcess::Ask { sql, rows, catalog } = message else {
            return Err(QueryError::failed("it was asked nothing"));
        };
        let mut question = Question::parse(&sql)?;
        if let Some(statement) = question.query_mut() {
            bind(catalog.lake.as_deref(), statement).await?;
        }
        let mut needed = Needed::default();
        let mut named = Vec::new();
        if let Some(statement) = question.query() {
            resolve(&catalog, statement, &mut needed, &mut named)?;
        }
        self.say(&FromProcess::Wants {
            views: needed.live.iter().cloned().collect(),
            tables: named.clone(),
        })?;
        self.take_views()?;
        self.register(&catalog, &needed).await?;
        let plan = match question {
            Question::Query(statement, written) => {
                let plan = self.logical(statement, &catalog.json).await?;
                written
                    .named(plan)
                    .and_then(types::with_times_as_stored)
                    .map_err(|it| self.planning(&it))?
            }
            Question::Columns(statement) => {
                let plan = self.logical(statement, &catalog.json).await?;
                self.described(&catalog, &plan, &named)?
            }
            Question::Relations => self.listed(&catalog)?,
        };
        let explained = match &plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => {
                let known = needed.live.iter();
                let known = known.filter_map(|it| Some((it.clone(), catalog.costs.get(it)?)));
                let costs = known.map(|(view, it)| (format!("live view {view}"), it.clone()));
                Some(costs.collect())
            }
            _ => None,
        };
        let physical = self.physical(plan, rows).await?;
        self.say(&FromProcess::Planned)?;
        self.run(physical, rows, explained).await
    }

    fn say(&mut self, message: &FromProcess) -> Result<(), QueryError> {
        self.send(&Frame::message(message).map_err(QueryError::failed)?)
    }

    fn send(&mut self, frame: &Frame) -> Result<(), QueryError> {
        frame.write(self.socket).map_err(QueryError::failed)
    }

    fn execution(&self, error: &DataFusionError) -> QueryError {
        let root = error.find_root();
        let text = root.strip_backtrace();
        if text.contains("max_temp_directory_size") {
            return QueryError::TooMuchDisk {
                limit_bytes: self.limits.spill_bytes,
            };
        }
        match root {
            DataFusionError::ResourcesExhausted(_) => {}
            _ if is_about_memory(&text) => {}
            _ => return QueryError::failed(words::execution(error)),
        }
        QueryError::TooMuchMemory {
            limit_bytes: self.limits.memory_bytes,
        }
    }

    /// Takes the live views in. Whatever goes wrong with one, all are read: what follows is the next question.
    fn take_views(&mut self) -> Result<(), QueryError> {
        let mut current: Option<(String, Option<RowsIn>, Vec<RecordBatch>)> = None;
        let mut failure = None;
        loop {
            let frame = self.frames.recv().map_err(QueryError::failed)?;
            let taken = match (frame, &mut current) {
                (Frame::Rows(bytes), Some((_, reader @ None, _))) => RowsIn::new(bytes)
                    .map(|it| *reader = Some(it))
                    .map_err(QueryError::failed),
                (Frame::Rows(bytes), Some((_, Some(reader), batches))) => reader
                    .frame(bytes)
                    .map(|it| batches.extend(it))
                    .map_err(QueryError::failed),
                (Frame::Rows(_), None) => Err(QueryError::failed("rows of no view")),
                (message @ Frame::Message(_), _) => {
                    let whole = current.take();
                    match message.read_message().map_err(QueryError::failed)? {
                        ToProcess::View { name } => current = Some((name, None, Vec::new())),
                        ToProcess::Go => {
                            let last = self.register_view(whole);
                            return failure.map_or(last, Err);
                        }
                        ToProcess::Ask { .. } => {
                            return Err(QueryError::failed("it was asked twice"));
                        }
                    }
                    self.register_view(whole)
                }
            };
            failure = failure.or(taken.err());
        }
    }

    fn register_view(
        &self,
        view: Option<(String, Option<RowsIn>, Vec<RecordBatch>)>,
    ) -> Result<(), QueryError> {
        let Some((name, Some(reader), batches)) = view else {
            return Ok(());
        };
        MemTable::try_new(reader.schema, vec![batches])
            .and_then(|it| {
                self.context
                    .register_table(TableReference::bare(name), Arc::new(it))
            })
            .map(drop)
            .map_err(|it| self.execution(&it))
    }

    /// Makes stored tables and plain views known to the session.
    async fn register(&self, catalog: &Catalog, needed: &Needed) -> Result<(), QueryError> {
        let failed = |error: DataFusionError| self.execution(&error);
        if let Some(known) = self.context.catalog("tidelake") {
            for schema in LAKE_SCHEMAS {
                known
                    .register_schema(schema, Arc::new(MemorySchemaProvider::new()))
                    .map_err(failed)?;
            }
        }
        if !needed.stored.is_empty() {
            let address = catalog.lake.as_deref().unwrap_or_default();
            let store = Store::open_existing(address).map_err(QueryError::failed)?;
            let mut versions = catalog.versions.clone();
            let names = needed.stored.iter().map(|it| it.1.as_str());
            let names: BTreeSet<&str> = names.filter(|it| !versions.contains_key(*it)).collect();
            // Tables that are read together are of one commit, and so is one that is read under two names.
            if 1 < needed.stored.len() && !names.is_empty() {
                let newest = Pinned::newest(&store, &names).await;
                let newest = newest.map_err(QueryError::failed)?;
                let wanted = newest.versions.into_iter();
                versions.extend(wanted.filter(|it| !catalog.versions.contains_key(&it.0)));
            }
            let lake = Lake::new(store, Vec::new()).at(versions);
            for (schema, name) in &needed.stored {
                let provider = lake.provider(name).await.map_err(QueryError::failed)?;
                let reference = match schema {
                    Some(schema) => TableReference::partial(schema.as_str(), name.as_str()),
                    None => TableReference::bare(name.as_str()),
                };
                self.context
                    .register_table(reference, provider)
                    .map_err(failed)?;
            }
        }
        for (at, statement) in &needed.aliases {
            let mut statement = statement.clone();
            bind(catalog.lake.as_deref(), &mut statement).await?;
            let name = catalog.plain[*at].0.as_str();
            let added = add_plain_view(&self.context, name, statement).await;
            added.map_err(failed)?;
        }
        Ok(())
    }

    fn planning(&self, error: &DataFusionError) -> QueryError {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => self.execution(error),
            _ => QueryError::planning(error),
        }
    }

    /// The columns of a relation that the session knows: `name`, or `schema.name`.
    fn columns(&self, name: &str) -> Option<Vec<String>> {
        let schema = self.schema(name)?;
        Some(schema.fields().iter().map(|it| it.name().clone()).collect())
    }

    fn schema(&self, name: &str) -> Option<SchemaRef> {
        let reference = match name.split_once('.') {
            Some((schema, name)) => TableReference::partial(schema, name),
            None => TableReference::bare(name),
        };
        // All that a question needs is there by now.
        let provider = self.context.table_provider(reference).now_or_never()?;
        Some(provider.ok()?.schema())
    }

    async fn logical(
        &self,
        mut statement: DfStatement,
        json: &JsonColumns,
    ) -> Result<LogicalPlan, QueryError> {
        if let DfStatement::Statement(statement) = &mut statement
            && let Statement::Query(query) = statement.as_mut()
        {
            let known = |name: &str| self.columns(name);
            let relations = column_types::Known {
                schema: &|name| self.schema(name),
                is_json: &|relation, column| {
                    let name = relation.rsplit('.').next().unwrap_or(relation);
                    json.get(name).is_some_and(|it| it.contains(column))
                },
            };
            struct_stars::rewrite(query, relations)
                .and_then(|()| json_columns::rewrite(query, relations))
                .and_then(|()| inside_aggregates::rewrite(query, &known))
                .and_then(|()| scopes::rewrite(query, &known))
                .and_then(|()| using::rewrite(query, &known))
                .and_then(|()| pivot::rewrite(query, &known))
                .and_then(|()| by_name::rewrite(query, &known))
                .and_then(|()| multisets::rewrite(query, &known))
                .map_err(QueryError::rejected)?;
        }
        let plan = casts::planned(&self.context.state(), statement).await;
        let plan = plan.map_err(|it| self.planning(&it))?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let checked = read_only.verify_plan(&plan);
        checked.map_err(|it| self.planning(&it))?;
        // What a dataflow knows beside the query are keys of its relations, which this one does without.
        definite::as_in_views(plan, &self.context.state())
            .and_then(|it| correlated::unnested(it, &Dataflow::default()))
            .map_err(|it| self.planning(&it))
    }

    /// The columns a query has, with what they mean in one of the relations it names.
    fn described(
        &self,
        catalog: &Catalog,
        plan: &LogicalPlan,
        named: &[String],
    ) -> Result<LogicalPlan, QueryError> {
        let columns = plan.schema().fields();
        let relations: Vec<&str> = named
            .iter()
            .filter_map(|it| it.rsplit('.').next())
            .collect();
        let guesses = Dataflow::default().meanings_of_answer(&[], columns);
        let known = columns.iter().zip(guesses).map(|(column, guess)| {
            let of = |it: &&str| {
                catalog
                    .meanings
                    .columns
                    .get(*it)?
                    .get(column.name())
                    .cloned()
            };
            relations
                .iter()
                .find_map(of)
                .unwrap_or_else(|| ColumnMeaning {
                    role: guess.role.name().to_owned(),
                    unit: guess.unit,
                    comment: None,
                })
        });
        let known: Vec<ColumnMeaning> = known.collect();
        let each = |of: &dyn Fn(&ColumnMeaning) -> Option<String>| texts(known.iter().map(of));
        self.listing(vec![
            (
                "name",
                texts(columns.iter().map(|it| Some(it.name().clone()))),
            ),
            (
                "type",
                texts(columns.iter().map(|it| Some(sql_type_name(it.data_type())))),
            ),
            ("role", each(&|it| Some(it.role.clone()))),
            ("unit", each(&|it| it.unit.clone())),
            ("comment", each(&|it| it.comment.clone())),
        ])
    }

    /// Everything that can be named.
    fn listed(&self, catalog: &Catalog) -> Result<LogicalPlan, QueryError> {
        let all: Vec<Relation> = relations(catalog).collect();
        let comment = |it: &Relation| {
            let name = it.name.rsplit('.').next()?;
            catalog.meanings.relations.get(name).cloned()
        };
        let rows: Int64Array = all.iter().map(|it| it.rows).collect();
        self.listing(vec![
            ("name", texts(all.iter().map(|it| Some(it.name.clone())))),
            ("kind", texts(all.iter().map(|it| Some(it.kind.to_owned())))),
            ("rows", Arc::new(rows)),
            ("comment", texts(all.iter().map(comment))),
        ])
    }

    /// Columns that are known already.
    fn listing(&self, columns: Vec<(&str, ArrayRef)>) -> Result<LogicalPlan, QueryError> {
        let batch = RecordBatch::try_from_iter(columns);
        let batch = batch.map_err(QueryError::failed)?;
        let frame = self.context.read_batch(batch);
        frame
            .map(|it| it.into_unoptimized_plan())
            .map_err(|it| self.planning(&it))
    }

    async fn physical(
        &self,
        plan: LogicalPlan,
        rows: Option<u64>,
    ) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        // One row more than wanted tells whether there are more.
        let limit = rows.map(|it| usize::try_from(it).unwrap_or(usize::MAX).saturating_add(1));
        let plan = match (plan, limit) {
            (plan @ (LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)), _) | (plan, None) => plan,
            (plan, Some(limit)) => LogicalPlanBuilder::from(plan)
                .limit(0, Some(limit))
                .and_then(LogicalPlanBuilder::build)
                .map_err(|it| self.planning(&it))?,
        };
        let state = self.context.state();
        let optimized = state.optimize(&plan).map_err(|it| self.planning(&it))?;
        constants::refuse_impossible(&optimized, &state).map_err(QueryError::rejected)?;
        let planner = state.query_planner();
        let physical = planner.create_physical_plan(&optimized, &state).await;
        physical.map_err(|it| self.planning(&it))
    }

    async fn run(
        mut self,
        physical: Arc<dyn ExecutionPlan>,
        rows_max: Option<u64>,
        explained: Option<Vec<(String, String)>>,
    ) -> Result<bool, QueryError> {
        let stream =
            giving_way(physical).and_then(|it| execute_stream(it, self.context.task_ctx()));
        let mut stream = stream.map_err(|it| self.execution(&it))?;
        let (mut out, head) = RowsOut::new(&stream.schema()).map_err(QueryError::failed)?;
        self.send(&head)?;
        let mut left = rows_max.unwrap_or(u64::MAX);
        let mut truncated = false;
        while let Some(batch) = stream.next().await {
            let mut batch = batch.map_err(|it| self.execution(&it))?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            if wanted < batch.num_rows() {
                batch = batch.slice(0, wanted);
                truncated = true;
            }
            left -= batch.num_rows() as u64;
            if explained.is_some() {
                batch = in_words_of_sql(&batch)?;
            }
            for piece in pieces(&batch)? {
                self.send(&out.batch(&piece).map_err(QueryError::failed)?)?;
            }
            if truncated {
                break;
            }
        }
        if let Some(costs) = explained.filter(|it| !it.is_empty() && !truncated) {
            let batch = behind_plans(&stream.schema(), costs)?;
            self.send(&out.batch(&batch).map_err(QueryError::failed)?)?;
        }
        self.send(&out.end().map_err(QueryError::failed)?)?;
        Ok(truncated)
    }
}

/// Rows of EXPLAIN with literals and types as they are written in SQL.
fn in_words_of_sql(rows: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let columns = rows.columns().iter().map(|it| -> ArrayRef {
        match it.as_string_opt::<i32>() {
            Some(plans) => texts(
                plans
                    .iter()
                    .map(|it| it.map(|it| with_sql_types(&with_plain_literals(it)))),
            ),
            None => Arc::clone(it),
        }
    });
    RecordBatch::try_new(rows.schema(), columns.collect()).map_err(QueryError::failed)
}

/// Rows behind those of EXPLAIN, whose columns are a kind of plan and its text.
fn behind_plans(
    schema: &SchemaRef,
    rows: Vec<(String, String)>,
) -> Result<RecordBatch, QueryError> {
    let (kinds, plans): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = [kinds, plans]
        .into_iter()
        .map(|it| Arc::new(StringArray::from(it)) as ArrayRef)
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(QueryError::failed)
}

/// The same plan with every node giving way now and then: rows that one part of it has are sent while another computes.
fn giving_way(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    // What EXPLAIN ANALYZE prints is the plan as it would be without.
    if plan.name() == "AnalyzeExec" {
        return Ok(plan);
    }
    let wrapped = plan.transform_up(|node| {
        let node: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(node));
        Ok(Transformed::yes(node))
    });
    wrapped.map(|it| it.data)
}

/// A batch in pieces that are neither large nor hold on to bytes they do not show.
fn pieces(batch: &RecordBatch) -> Result<Vec<RecordBatch>, QueryError> {
    let bytes_of = |batch: &RecordBatch| -> Result<usize, QueryError> {
        let columns = batch.columns().iter();
        columns
            .map(|it| it.to_data().get_slice_memory_size())
            .sum::<Result<usize, _>>()
            .map_err(QueryError::failed)
    };
    let rows = batch.num_rows();
    let rows_each = rows
        .saturating_mul(PIECE_BYTES)
        .checked_div(bytes_of(batch)?)
        .unwrap_or(rows)
        .clamp(1, rows.max(1));
    let mut pieces = Vec::new();
    for first in (0..rows).step_by(rows_each) {
        let piece = compact(batch.slice(first, rows_each.min(rows - first)))?;
        // Where rows differ much in size.
        if ROW_BYTES_MAX < bytes_of(&piece)? {
            if piece.num_rows() == 1 {
                return Err(QueryError::RowTooLarge {
                    limit_bytes: ROW_BYTES_MAX as u64,
                });
            }
            let half = piece.num_rows() / 2;
            for part in [
                piece.slice(0, half),
                piece.slice(half, piece.num_rows() - half),
            ] {
                pieces.extend(self::pieces(&part)?);
            }
            continue;
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Columns of views hold all bytes of what they were cut from; copies hold their own.
fn compact(batch: RecordBatch) -> Result<RecordBatch, QueryError> {
    let column = |it: &ArrayRef| -> ArrayRef {
        match it.data_type() {
            DataType::Utf8View => Arc::new(it.as_string_view().gc()),
            DataType::BinaryView => Arc::new(it.as_binary_view().gc()),
            _ => Arc::clone(it),
        }
    };
    let columns = batch.columns().iter().map(column).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(QueryError::failed)
}

/// Finds out where each relation comes from, those behind plain views included: they stand behind all that the statement names itself.
fn resolve(
    catalog: &Catalog,
    statement: &DfStatement,
    needed: &mut Needed,
    named: &mut Vec<String>,
) -> Result<(), QueryError> {
    let (mut relations, _) =
        resolve_table_references(statement, true).map_err(|it| QueryError::planning(&it))?;
    relations.retain(|it| !is_function(catalog, it));
    for relation in relations.iter().map(ToString::to_string) {
        if !named.contains(&relation) {
            named.push(relation);
        }
    }
    for relation in relations {
        let name = relation.table().to_owned();
        match &relation {
            TableReference::Bare { .. } => {
                let plain = catalog.plain.iter().position(|it| it.0 == name);
                if catalog.live.contains_key(&name) {
                    needed.live.insert(name);
                } else if let Some(at) = plain {
                    if !needed.aliases.contains_key(&at) {
                        let inner = of_plain_view(&catalog.plain[at].1)?;
                        resolve(catalog, &inner, needed, named)?;
                        needed.aliases.insert(at, inner);
                    }
                } else if catalog.stored.contains(&name) {
                    needed.stored.insert((None, name));
                } else if name == ERRORS && catalog.errors.is_some() {
                    needed.live.insert(name);
                } else {
                    return Err(unknown(catalog, &relation));
                }
            }
            TableReference::Partial { schema, .. } if LAKE_SCHEMAS.contains(&schema.as_ref()) => {
                if !catalog.stored.contains(&name) {
                    return Err(unknown(catalog, &relation));
                }
                needed.stored.insert((Some(schema.to_string()), name));
            }
            TableReference::Partial { .. } | TableReference::Full { .. } => {
                return Err(unknown(catalog, &relation));
            }
        }
    }
    Ok(())
}

/// Whether a name in FROM is that of a function whose rows are its own.
fn is_function(catalog: &Catalog, relation: &TableReference) -> bool {
    let is_relation = |name: &str| {
        let mut plain = catalog.plain.iter();
        catalog.live.contains_key(name)
            || catalog.stored.contains(name)
            || plain.any(|it| it.0 == name)
    };
    match relation {
        TableReference::Bare { table } => {
            ROW_FUNCTIONS.contains(&table.as_ref()) && !is_relation(table)
        }
        TableReference::Partial { .. } | TableReference::Full { .. } => false,
    }
}

/// Something that can be named.
struct Relation {
    name: String,
    kind: &'static str,
    /// Of what is live. What others have is only known when they are read.
    rows: Option<i64>,
}

/// Everything that can be named: first what is live, then plain views, what is stored, and the rows that failed if there are any.
fn relations(catalog: &Catalog) -> impl Iterator<Item = Relation> {
    let of = |name: String, kind, rows| Relation { name, kind, rows };
    let live = catalog.live.iter();
    let live =
        live.map(move |(name, rows)| of(name.clone(), "live view", i64::try_from(*rows).ok()));
    let plain = catalog.plain.iter();
    let plain = plain.map(move |it| of(it.0.clone(), "plain view", None));
    let stored = catalog.stored.iter();
    let stored = stored.map(move |it| of(format!("{}.{it}", LAKE_SCHEMAS[0]), "lake table", None));
    let is_own = |rows: &u64| 0 < *rows && !catalog.live.contains_key(ERRORS);
    let errors = catalog.errors.filter(is_own);
    let errors = errors.map(|rows| {
        let rows = i64::try_from(rows).ok();
        of(ERRORS.to_owned(), "system view", rows)
    });
    live.chain(plain).chain(stored).chain(errors)
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn unknown(catalog: &Catalog, relation: &TableReference) -> QueryError {
    if catalog.gone.contains(relation.table()) {
        let text = format!(
            "live view `{relation}` is no longer known as of then, and the lake had no table of it"
        );
        return QueryError::rejected(text)
            .with_hint("changes of live views are kept for about a minute; ask for a later time");
    }
    const HINT: &str = "SHOW TABLES lists what can be read";
    let written = relation.to_string();
    if catalog.sources.contains(relation.table()) {
        let message =
            format!("`{relation}` is a source; its records can be read from the tables made of it");
        return QueryError::rejected(message).with_hint(HINT);
    }
    let known: Vec<String> = relations(catalog).map(|it| it.name).collect();
    // A missing schema may have been forgotten.
    let part = |name: &'_ str| match written.contains('.') {
        true => name.to_owned(),
        false => name.rsplit('.').next().unwrap_or(name).to_owned(),
    };
    let parts: Vec<String> = known.iter().map(|it| part(it)).collect();
    let near = nearest(&written, parts.iter().map(String::as_str));
    let candidates: Vec<String> = near
        .iter()
        .filter_map(|it| parts.iter().position(|part| part == it))
        .map(|at| {
            known[at]
                .split('.')
                .map(as_sql)
                .collect::<Vec<_>>()
                .join(".")
        })
        .collect();
    let rejected = match did_you_mean(&candidates) {
        Some(meant) => {
            QueryError::rejected(format!("there is no view or table `{written}`; {meant}"))
        }
        None => {
            QueryError::rejected(format!("there is no view or table `{written}`")).with_hint(HINT)
        }
    };
    rejected.with_misnamed((written, candidates))
}
