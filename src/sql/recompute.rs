//! Views computed again in batch: DataFusion over archived records, with no engine in between.
//!
//! This is the oracle of every incremental result, and what `verify` holds the view tables against. It starts
//! from the text of the views. Only what a batch cannot know is put in: a record that came after the watermark
//! takes part in a window only if the window was still open then (`_late_watermark` says so), `now()` is the
//! clock of the source whose records are filtered by it, the first rows of an order are made definite by the whole row, and a row
//! for which an expression fails is left out.

use super::bounds;
use super::definite::{OwnOrder, definite};
use super::functions::{NOW_BEFORE, WITHIN_LAST, is_of_now, of_now_at};
use super::generated;
use super::stars::Stars;
use super::syntax;
use super::windows::{self, Taken, Until};
use super::{
    casts, detectors, intervals, late, latest, physical, plain, planning_state, register_functions,
    tolerant, words,
};
use crate::model::{EventTimes, Row, batch_of_rows, rows_of_batch};
use crate::plan::{
    DEAD_LETTER_RELATION, Dataflow, LATE_COLUMN, LATE_RELATION, Plan, RowEnd, ViewSpec,
    dead_letter_schema, late_schema, nullable,
};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, TableReference, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What views are computed from.
#[derive(Default)]
pub struct Records {
    /// Sources, append-only tables and `_dead_letters`, as far as views read them. An append-only table may have
    /// the column `_late_watermark`.
    pub relations: BTreeMap<String, Arc<dyn TableProvider>>,
    /// What the clock of each source shows.
    pub times: BTreeMap<String, EventTimes>,
}

/// The rows of every view of a dataflow, by name, in the columns of the view.
///
/// # Errors
/// If a view cannot be computed: it says which, and why.
pub async fn recompute(
    dataflow: &Dataflow,
    records: &Records,
) -> Result<BTreeMap<String, Vec<RecordBatch>>, String> {
    bounds::with_room(rows_of_views(dataflow, records)).await
}

async fn rows_of_views(
    dataflow: &Dataflow,
    records: &Records,
) -> Result<BTreeMap<String, Vec<RecordBatch>>, String> {
    let mut known = records.relations.clone();
    let empty =
        MemTable::try_new(dead_letter_schema(), vec![vec![]]).map_err(|it| it.strip_backtrace())?;
    known
        .entry(DEAD_LETTER_RELATION.to_owned())
        .or_insert_with(|| Arc::new(empty));
    let mut views = BTreeMap::new();
    let mut late = Vec::new();
    let with_late = dataflow.views_with_late().len();
    for (number, view) in dataflow.views.iter().enumerate() {
        known.insert(
            LATE_RELATION.to_owned(),
            table(late_schema(), late.clone())?,
        );
        let session = session(dataflow, &known).await?;
        let named = |it: String| format!("view {:?}: {it}", view.name);
        let rows = rows(&session, dataflow, view, &records.times).await;
        let rows = rows.map_err(named)?;
        if number < with_late {
            late.extend(
                late_of_view(&session, dataflow, view)
                    .await
                    .map_err(named)?,
            );
        }
        known.insert(
            view.name.clone(),
            table(nullable(&view.plan.schema()), rows.clone())?,
        );
        views.insert(view.name.clone(), rows);
    }
    Ok(views)
}

/// The records that came too late for windows of these views, in the columns of the relation `_late`.
///
/// # Errors
/// If they cannot be counted: it says for which view, and why.
pub async fn late_records(
    dataflow: &Dataflow,
    views: &[&ViewSpec],
    records: &Records,
) -> Result<Vec<RecordBatch>, String> {
    bounds::with_room(late_of_views(dataflow, views, records)).await
}

async fn late_of_views(
    dataflow: &Dataflow,
    views: &[&ViewSpec],
    records: &Records,
) -> Result<Vec<RecordBatch>, String> {
    // What is not there has no late records, as rows of views never are.
    let mut relations = records.relations.clone();
    let views_known = dataflow.views.iter();
    let views_known = views_known.map(|it| (it.name.clone(), nullable(&it.plan.schema())));
    let sources = dataflow.sources.iter();
    let sources = sources.map(|it| (it.name.clone(), nullable(&it.schema())));
    let tables = dataflow.tables.iter();
    let tables = tables.map(|it| (it.name.clone(), nullable(&it.stored_schema())));
    let own = [
        (LATE_RELATION.to_owned(), late_schema()),
        (DEAD_LETTER_RELATION.to_owned(), dead_letter_schema()),
    ];
    for (name, schema) in views_known.chain(sources).chain(tables).chain(own) {
        if relations.contains_key(&name) {
            continue;
        }
        relations.insert(name, table(schema, Vec::new())?);
    }
    let session = session(dataflow, &relations).await?;
    let mut late = Vec::new();
    for view in views {
        let of_view = late_of_view(&session, dataflow, view).await;
        late.extend(of_view.map_err(|it| format!("view {:?}: {it}", view.name))?);
    }
    Ok(late)
}

async fn session(
    dataflow: &Dataflow,
    relations: &BTreeMap<String, Arc<dyn TableProvider>>,
) -> Result<SessionContext, String> {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_analyzer_rules(super::side_by_side::rules())
        .with_optimizer_rules(super::null_equality::rules())
        .with_physical_optimizer_rules(physical::rules())
        .build();
    register_functions(&mut state);
    let context = SessionContext::new_with_state(state);
    for (name, provider) in relations {
        context
            .register_table(TableReference::bare(name.as_str()), Arc::clone(provider))
            .map_err(|it| it.strip_backtrace())?;
    }
    for (name, text) in &dataflow.aliases {
        for (name, query) in plain::forms(&context, name, windows(&context, dataflow, text)?) {
            // A plain view over views that come later is not needed yet.
            if let Ok(plan) = logical(&context, dataflow, query).await {
                context
                    .register_table(
                        TableReference::bare(name),
                        Arc::new(ViewTable::new(plan, None)),
                    )
                    .map_err(|it| it.strip_backtrace())?;
            }
        }
    }
    Ok(context)
}

async fn rows(
    session: &SessionContext,
    dataflow: &Dataflow,
    view: &ViewSpec,
    times: &BTreeMap<String, EventTimes>,
) -> Result<Vec<RecordBatch>, String> {
    let mut query = windows_of_view(session, dataflow, &view.sql)?;
    syntax::rewrite_now(&mut query);
    let schema = nullable(&detectors::queried(view));
    syntax::order_wholly(&mut query, schema.fields().len());
    let plan = logical(session, dataflow, query).await?;
    let plan = intervals::settled(plan, dataflow).map_err(|it| words::planner(&it))?;
    let plan = as_of(plan, dataflow, times).map_err(|it| words::planner(&it))?;
    let batches = collect(session, plan).await?;
    let rows = batches.iter().map(|it| typed(it, &schema));
    let closed = |clocks: &BTreeSet<String>| times_of(clocks, times, |it| it.watermark_us);
    match &view.plan {
        Plan::Detect {
            detection, schema, ..
        } => {
            let rows = rows_of(rows)?;
            return batch_of(schema, &detection.batch(&rows, closed(&detection.clocks)));
        }
        Plan::Incidents {
            incidents, schema, ..
        } => {
            let rows = rows_of(rows)?;
            return batch_of(schema, &incidents.batch(&rows, closed(&incidents.clocks)));
        }
        _ => {}
    }
    match view.emitted {
        None => rows.collect(),
        Some(end) => {
            let closed = closed(&view.clocks);
            rows.map(|it| closed_rows(&it?, end, closed)).collect()
        }
    }
}

fn rows_of(batches: impl Iterator<Item = Result<RecordBatch, String>>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(rows_of_batch(&batch?));
    }
    Ok(rows)
}

fn batch_of(schema: &SchemaRef, rows: &[Row]) -> Result<Vec<RecordBatch>, String> {
    let batch = batch_of_rows(&nullable(schema), rows.iter());
    Ok(vec![batch.map_err(|it| it.to_string())?])
}

/// The least of the times that the clocks of these sources show.
fn times_of(
    sources: &BTreeSet<String>,
    times: &BTreeMap<String, EventTimes>,
    which: impl Fn(&EventTimes) -> i64,
) -> i64 {
    let times = sources
        .iter()
        .map(|it| times.get(it).map_or(i64::MIN, &which));
    times.min().unwrap_or(i64::MIN)
}

/// Rows of windows that are closed by a time.
fn closed_rows(rows: &RecordBatch, end: RowEnd, closed_us: i64) -> Result<RecordBatch, String> {
    let ends = rows
        .column(end.column)
        .as_primitive::<TimestampMicrosecondType>();
    let is_closed = |it: i64| it.saturating_add(end.add_us) <= closed_us;
    let are_closed: BooleanArray = ends
        .iter()
        .map(|it| Some(it.is_some_and(is_closed)))
        .collect();
    filter_record_batch(rows, &are_closed).map_err(|it| it.to_string())
}

/// The plan with comparisons with `now()` as of the time that is now there, of each source.
fn as_of(
    plan: LogicalPlan,
    dataflow: &Dataflow,
    times: &BTreeMap<String, EventTimes>,
) -> Result<LogicalPlan, DataFusionError> {
    let is_of_now = |it: &Expr| matches!(it, Expr::ScalarFunction(it) if is_of_now(it.func.name()));
    let mut compares = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|it| {
            compares |= it.exists(|it| Ok(is_of_now(it)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if !compares {
        return Ok(plan);
    }
    // Conditions stand over the source whose records they filter, as in the view.
    let plan = planning_state().optimize(&plan)?;
    let changed = plan.transform_up_with_subqueries(|node| {
        let below = node.clone();
        node.map_expressions(|expr| {
            expr.transform_up(|it| match it {
                Expr::ScalarFunction(call) if super::functions::is_of_now(call.func.name()) => {
                    let (now_us, by_arrival) = now_of(&below, dataflow, times)?;
                    let name = match call.func.name() {
                        // Nothing is ahead of a clock that no record moves.
                        WITHIN_LAST if by_arrival => NOW_BEFORE,
                        name => name,
                    };
                    let function = of_now_at(name, now_us);
                    let function = function.map_or(call.func, Arc::new);
                    let call = ScalarFunction::new_udf(function, call.args);
                    Ok(Transformed::yes(Expr::ScalarFunction(call)))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })?;
    Ok(changed.data)
}

/// What `now()` means for the rows of a plan: the time of the one source they come from, the beginning of time before its first record; and whether it is
/// the time at which records arrive, since they have no other.
fn now_of(
    plan: &LogicalPlan,
    dataflow: &Dataflow,
    times: &BTreeMap<String, EventTimes>,
) -> Result<(i64, bool), DataFusionError> {
    let (mut clocks, mut arrivals) = (BTreeSet::new(), BTreeSet::new());
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let known = dataflow.properties(scan.table_name.table());
            clocks.extend(known.clocks);
            arrivals.extend(known.arrivals);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut names = clocks.iter();
    match (names.next(), names.next()) {
        (Some(_), None) => Ok((times_of(&clocks, times, |it| it.now_us), false)),
        (None, _) if !arrivals.is_empty() => Ok((times_of(&arrivals, times, |it| it.now_us), true)),
        (None, _) | (Some(_), Some(_)) => plan_err!(
            "now() is told by the clock of one source, and this range has the clocks {clocks:?}"
        ),
    }
}

/// Records that came too late for the view: one row per window and epoch, for each place of the query that leaves records out.
async fn late_of_view(
    session: &SessionContext,
    dataflow: &Dataflow,
    view: &ViewSpec,
) -> Result<Vec<RecordBatch>, String> {
    if !view.plan.counts_late() {
        return Ok(Vec::new());
    }
    let mut query = syntax::parse_query(&view.sql)?;
    plain::put_windows_in(&mut query, dataflow)?;
    Stars::of(&query, session, dataflow)?.name_columns(&mut query)?;
    windows::rewrite(&mut query, |relation, until| {
        let (read, columns) = plain::read_by_windows(session, relation);
        let is_marked = is_marked(&columns, relation, until, dataflow);
        Taken {
            relation: read,
            columns: "*".to_owned(),
            condition: Some(match is_marked {
                true => format!("{LATE_COLUMN} >= {} AND {}", until.end, until.marker()),
                false => "false".to_owned(),
            }),
        }
    })?;
    latest::rewrite(&mut query, dataflow)?;
    syntax::rewrite_now(&mut query);
    let plan = logical(session, dataflow, query).await?;
    // Conditions on the rows of groups are below these then, and sub-queries are joins, as in the view.
    let counts = planning_state()
        .optimize(&plan)
        .and_then(|it| late::counts(&it, view, dataflow))
        .map_err(|it| words::planner(&it))?;
    let mut late = Vec::new();
    for plan in counts {
        for batch in collect(session, plan).await? {
            late.push(typed(&batch, &late_schema())?);
        }
    }
    Ok(late)
}

/// The query of a plain view with its windows as plain SQL, each over the records that were on time for it.
pub(super) fn windows(
    session: &SessionContext,
    dataflow: &Dataflow,
    text: &str,
) -> Result<Query, String> {
    let mut query = syntax::parse_query(text)?;
    on_time(session, dataflow, &mut query, |_, _| false)?;
    latest::rewrite(&mut query, dataflow)?;
    Ok(query)
}

/// The same for the query of a view, in which `*` is what a relation declares.
pub(super) fn windows_of_view(
    session: &SessionContext,
    dataflow: &Dataflow,
    text: &str,
) -> Result<Query, String> {
    let mut query = syntax::parse_query(text)?;
    let stars = Stars::of(&query, session, dataflow)?;
    stars.name_columns(&mut query)?;
    on_time(session, dataflow, &mut query, |relation, column| {
        stars.hides(relation, column)
    })?;
    latest::rewrite(&mut query, dataflow)?;
    Ok(query)
}

/// Whether records of a relation with these columns carry a mark that tells which of them were late for a window. None are for one over the time at
/// which they were read.
fn is_marked(columns: &[String], relation: &str, until: &Until, dataflow: &Dataflow) -> bool {
    let is_read_time = until.is_read_time() || {
        let column = until.time_column();
        column
            .is_some_and(|it| generated::is_read_time(&plain::known_name(relation), &it, dataflow))
    };
    columns.iter().any(|it| it == LATE_COLUMN) && !is_read_time
}

fn on_time(
    session: &SessionContext,
    dataflow: &Dataflow,
    query: &mut Query,
    hides: impl Fn(&str, &str) -> bool,
) -> Result<(), String> {
    windows::rewrite(query, |relation, until| {
        let (read, columns) = plain::read_by_windows(session, relation);
        let is_marked = is_marked(&columns, relation, until, dataflow);
        let own: Vec<String> = columns
            .iter()
            .filter(|it| *it != LATE_COLUMN && !hides(relation, it))
            .map(|it| format!("\"{}\"", it.replace('"', "\"\"")))
            .collect();
        let on_time = windows::records_on_time(relation, until);
        if own.len() == columns.len() {
            return on_time;
        }
        let was_on_time = match is_marked {
            true => format!(
                "({LATE_COLUMN} IS NULL OR {LATE_COLUMN} < {}) AND ",
                until.end
            ),
            false => String::new(),
        };
        Taken {
            relation: read,
            columns: own.join(", "),
            condition: on_time.condition.map(|it| was_on_time + &it),
        }
    })
}

async fn logical(
    session: &SessionContext,
    dataflow: &Dataflow,
    query: Query,
) -> Result<datafusion::logical_expr::LogicalPlan, String> {
    let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query))));
    let plan = casts::planned(&session.state(), statement).await;
    plan.and_then(super::types::as_stored)
        .and_then(|it| definite(it, OwnOrder::Completed, dataflow, &session.state()))
        .and_then(|it| super::correlated::unnested(it, dataflow))
        .map_err(|it| words::planner(&it))
}

async fn collect(
    session: &SessionContext,
    plan: datafusion::logical_expr::LogicalPlan,
) -> Result<Vec<RecordBatch>, String> {
    let frame = session.execute_logical_plan(plan.clone()).await;
    let frame = frame.map_err(|it| it.strip_backtrace())?;
    match frame.collect().await {
        Ok(rows) => Ok(rows),
        // An expression failed for some row, or the whole query did: that shows when such rows are left out.
        Err(error) => {
            let rows = tolerant::collect(session, &plan).await;
            rows.map_err(|_| error.strip_backtrace())
        }
    }
}

pub(super) fn table(
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Arc<dyn TableProvider>, String> {
    let table = MemTable::try_new(schema, vec![batches]).map_err(|it| it.strip_backtrace())?;
    Ok(Arc::new(table))
}

fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<Result<Vec<ArrayRef>, _>>()
        .map_err(|it| it.to_string())?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|it| it.to_string())
}
