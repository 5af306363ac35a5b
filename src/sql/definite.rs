//! Orders that leave nothing open: the first of equal rows is the same one in every run, live and in a batch.
//!
//! Where a result depends on which of two rows comes first, and the query's order does not say it, the rows' own columns do: they stand behind
//! what the query orders by, of records as they are read only those that say where each was read. Ranks, and frames of rows that are equal in the
//! order, are the same without.

use crate::plan::{
    Dataflow, LATE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, SESSION_END, SESSION_START,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, LogicalPlan, Sort as SortedRows, TableScan, Window,
    WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::sql::sqlparser::ast::Query;
use std::sync::Arc;

/// Aggregates whose result depends on the order of rows.
const ORDERED: [&str; 5] = [
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
    "array_agg",
];

/// What becomes of an ORDER BY of the query itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnOrder {
    /// It is completed like all others.
    Completed,
    /// It stays as it is written, for whoever tells rows that are equal in it apart by the rows of the result.
    AsWritten,
}

impl OwnOrder {
    /// Of a view's query, whose rows the engine tells apart.
    pub fn of_view(query: &Query) -> Self {
        match query.order_by {
            Some(_) => OwnOrder::AsWritten,
            None => OwnOrder::Completed,
        }
    }
}

/// The same query with definite orders.
///
/// # Errors
/// If a node cannot be made anew.
pub fn definite(
    plan: LogicalPlan,
    own: OwnOrder,
    dataflow: &Dataflow,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let mut plan = with_nested_extremes(with_first_rows_of_groups(plan, state)?)?;
    let written = match own {
        OwnOrder::Completed => None,
        OwnOrder::AsWritten => first_sort(&mut plan).map(|it| it.expr.clone()),
    };
    let below = |plan: &LogicalPlan| ties(plan, dataflow);
    let changed = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Window(it) => Transformed::yes(window(it, below)?),
            LogicalPlan::Aggregate(it) => aggregate(it, below)?,
            // The first rows by all their columns, where nothing says which.
            LogicalPlan::Limit(mut it) if !is_ordered(&it.input) => {
                let mut order = Vec::new();
                add_columns(&mut order, &below(&it.input));
                it.input = Arc::new(LogicalPlan::Sort(SortedRows {
                    expr: order,
                    input: it.input,
                    fetch: None,
                }));
                Transformed::yes(LogicalPlan::Limit(it))
            }
            LogicalPlan::Sort(mut it) => {
                add_columns(&mut it.expr, &below(&it.input));
                Transformed::yes(LogicalPlan::Sort(it))
            }
            other => Transformed::no(other),
        })
    })?;
    let mut plan = changed.data;
    if let (Some(written), Some(it)) = (written, first_sort(&mut plan)) {
        it.expr = written;
    }
    Ok(plan)
}

/// An ad-hoc query with the orders that a view has, wherever an order of its own decides about its rows. Rows that it gives whole come in
/// the order that it states, and a LIMIT without one takes any rows: it need not read a whole table.
///
/// # Errors
/// If a node cannot be made anew.
pub fn as_in_views(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let plan = with_nested_extremes(with_first_rows_of_groups(plan, state)?)?;
    let changed = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Window(it) => Transformed::yes(window(it, ties_of_rows)?),
            LogicalPlan::Aggregate(it) => aggregate(it, ties_of_rows)?,
            LogicalPlan::Limit(it) => {
                let mut node = LogicalPlan::Limit(it);
                if let Some(it) = limited_sort(&mut node) {
                    add_columns(&mut it.expr, &ties_of_rows(&it.input));
                }
                Transformed::yes(node)
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(changed.data)
}

/// The same query with `DISTINCT ON` as the aggregate that it is in the end: the first row of each group.
fn with_first_rows_of_groups(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Distinct(Distinct::On(_)) => {
            ReplaceDistinctWithAggregate::new().rewrite(node, state)
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The same query with `max` and `min` of lists and structs as the first of their values in descending and in ascending order. In both a NULL
/// within a value is above all others, as Postgres and DuckDB have it.
fn with_nested_extremes(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(it) = node else {
            return Ok(Transformed::no(node));
        };
        let schema = it.input.schema();
        let exprs = it.aggr_expr.iter();
        let exprs = exprs.map(|expr| named(expr, |it| nested_extreme(it, schema)));
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        if exprs == it.aggr_expr {
            return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
        }
        let aggregate = Aggregate::try_new(it.input, it.group_expr, exprs)?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
    })?;
    Ok(plan.data)
}

fn nested_extreme(expr: Expr, schema: &DFSchema) -> Expr {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else {
        return expr;
    };
    let is_max = func.name() == "max";
    let nested = match params.args.as_slice() {
        [value] if is_max || func.name() == "min" => {
            let is_nested = value.get_type(schema).is_ok_and(|it| it.is_nested());
            is_nested.then(|| value.clone())
        }
        _ => None,
    };
    let Some(value) = nested else {
        return Expr::AggregateFunction(AggregateFunction { func, params });
    };
    params.order_by = vec![value.clone().sort(!is_max, is_max)];
    let is_given = Box::new(value.is_not_null());
    params.filter = Some(match params.filter.take() {
        Some(also) => Box::new(is_given.and(*also)),
        None => is_given,
    });
    params.distinct = false;
    let func = first_value_udaf();
    Expr::AggregateFunction(AggregateFunction { func, params })
}

fn window(it: Window, ties: impl Fn(&LogicalPlan) -> Vec<Expr>) -> Result<LogicalPlan> {
    let below = ties(&it.input);
    let exprs = it
        .window_expr
        .iter()
        .map(|it| named(it, |it| of_window(it, &below)));
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    // Functions of one node share an order: those that got a longer one have a node of their own.
    let pairs = it.window_expr.iter().zip(exprs);
    let (same, longer): (Vec<_>, Vec<_>) = pairs.partition(|(old, new)| *old == new);
    let mut input = it.input;
    for group in [longer, same] {
        let group: Vec<Expr> = group.into_iter().map(|it| it.1).collect();
        if !group.is_empty() {
            input = Arc::new(LogicalPlan::Window(Window::try_new(group, input)?));
        }
    }
    Ok(Arc::unwrap_or_clone(input))
}

fn aggregate(
    it: Aggregate,
    ties: impl Fn(&LogicalPlan) -> Vec<Expr>,
) -> Result<Transformed<LogicalPlan>> {
    let is_ordered = |it: &Expr| match it.clone().unalias_nested().data {
        Expr::AggregateFunction(it) => ORDERED.contains(&it.func.name()),
        _ => false,
    };
    if !it.aggr_expr.iter().any(is_ordered) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
    }
    let below = ties(&it.input);
    let exprs = it
        .aggr_expr
        .iter()
        .map(|it| named(it, |it| of_aggregate(it, &below)));
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let aggregate = Aggregate::try_new(it.input, it.group_expr, exprs)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// The order that a LIMIT takes the first rows of, if there is one.
fn limited_sort(plan: &mut LogicalPlan) -> Option<&mut SortedRows> {
    match plan {
        LogicalPlan::Sort(it) => Some(it),
        LogicalPlan::Limit(it) => limited_sort(Arc::make_mut(&mut it.input)),
        LogicalPlan::Projection(it) => limited_sort(Arc::make_mut(&mut it.input)),
        LogicalPlan::SubqueryAlias(it) => limited_sort(Arc::make_mut(&mut it.input)),
        _ => None,
    }
}

/// The order of a query that states one.
fn first_sort(plan: &mut LogicalPlan) -> Option<&mut SortedRows> {
    match plan {
        LogicalPlan::Sort(it) => Some(it),
        LogicalPlan::Limit(it) => first_sort(Arc::make_mut(&mut it.input)),
        LogicalPlan::Projection(it) => first_sort(Arc::make_mut(&mut it.input)),
        _ => None,
    }
}

/// Whether the rows of a plan are in an order that was asked for.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(it) => is_ordered(&it.input),
        LogicalPlan::SubqueryAlias(it) => is_ordered(&it.input),
        _ => false,
    }
}

/// An expression changed inside, under the name it had.
fn named(expr: &Expr, change: impl Fn(Expr) -> Expr) -> Result<Expr> {
    let name = NamePreserver::new_for_projection().save(expr);
    let changed = expr.clone().transform_down(|it| {
        let is_call = matches!(it, Expr::WindowFunction(_) | Expr::AggregateFunction(_));
        Ok(match is_call {
            true => Transformed::yes(change(it)),
            false => Transformed::no(it),
        })
    })?;
    Ok(name.restore(changed.data))
}

fn of_window(expr: Expr, below: &[Expr]) -> Expr {
    let Expr::WindowFunction(mut call) = expr else {
        return expr;
    };
    if depends_on_ties(&call) {
        add_columns(&mut call.params.order_by, below);
    }
    Expr::WindowFunction(call)
}

fn depends_on_ties(call: &WindowFunction) -> bool {
    match &call.fun {
        WindowFunctionDefinition::WindowUDF(it) => !matches!(
            it.name(),
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" | SESSION_START | SESSION_END
        ),
        WindowFunctionDefinition::AggregateUDF(it) => {
            call.params.window_frame.units == WindowFrameUnits::Rows || ORDERED.contains(&it.name())
        }
    }
}

fn of_aggregate(expr: Expr, below: &[Expr]) -> Expr {
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, mut params })
            if ORDERED.contains(&func.name()) =>
        {
            // Of distinct values only their own order can be told.
            match params.distinct {
                true => params
                    .order_by
                    .extend(params.args.first().map(|it| it.clone().sort(true, true))),
                false => {
                    if params.order_by.is_empty() && func.name().ends_with("_agg") {
                        let by_value = params.args.first().map(|it| it.clone().sort(true, true));
                        params.order_by.extend(by_value);
                    }
                    add_columns(&mut params.order_by, below);
                }
            }
            let mut known = Vec::new();
            params.order_by.retain(|it: &Sort| {
                let is_new = !known.contains(&it.expr);
                known.push(it.expr.clone());
                is_new
            });
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        other => other,
    }
}

fn add_columns(order: &mut Vec<Sort>, below: &[Expr]) {
    for column in below {
        if !order.iter().any(|it| it.expr == *column) {
            order.push(column.clone().sort(true, true));
        }
    }
}

/// The columns that tell rows of a plan apart.
pub fn ties(plan: &LogicalPlan, dataflow: &Dataflow) -> Vec<Expr> {
    let mut columns = columns_of(plan);
    let is_known = |it: &TableScan| {
        let name = it.table_name.table();
        dataflow.source(name).is_some() || dataflow.tables.iter().any(|it| it.name == name)
    };
    if is_of_records(plan, &is_known) && has_place(&columns) {
        columns.retain(is_place);
    }
    columns.into_iter().map(Expr::Column).collect()
}

/// The same for rows of which no dataflow tells what they are: those that say where they were read are taken for records.
fn ties_of_rows(plan: &LogicalPlan) -> Vec<Expr> {
    let mut columns = columns_of(plan);
    if is_of_records(plan, &|_| true) && has_place(&columns) {
        columns.sort_by_key(|it| !is_place(it));
    }
    columns.into_iter().map(Expr::Column).collect()
}

fn columns_of(plan: &LogicalPlan) -> Vec<Column> {
    let mut columns = plan.schema().columns();
    // A batch knows the mark of late records, the live view does not.
    columns.retain(|it| it.name != LATE_COLUMN);
    columns
}

fn is_place(column: &Column) -> bool {
    [PARTITION_COLUMN, OFFSET_COLUMN].contains(&column.name.as_str())
}

fn has_place(columns: &[Column]) -> bool {
    let has = |name: &str| columns.iter().any(|it| it.name == name);
    has(PARTITION_COLUMN) && has(OFFSET_COLUMN)
}

/// Whether rows of a plan are records of one source or table.
fn is_of_records(plan: &LogicalPlan, is_known: &dyn Fn(&TableScan) -> bool) -> bool {
    match plan {
        LogicalPlan::TableScan(it) => is_known(it),
        LogicalPlan::Filter(it) => is_of_records(&it.input, is_known),
        LogicalPlan::SubqueryAlias(it) => is_of_records(&it.input, is_known),
        LogicalPlan::Projection(it) => is_of_records(&it.input, is_known),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::as_in_views;
    use crate::plan::nullable;
    use crate::sql::plan_text;
    use crate::sql::recompute::{Records, recompute, table};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    /// Records of `k` and `n`, in this order, in the columns of a schema.
    fn batch(schema: SchemaRef, records: &[(i64, i64)]) -> RecordBatch {
        let columns = schema.fields().iter().map(|it| -> ArrayRef {
            match it.name().as_str() {
                "k" => Arc::new(Int64Array::from_iter_values(records.iter().map(|it| it.0))),
                "n" => Arc::new(Int64Array::from_iter_values(records.iter().map(|it| it.1))),
                _ => new_null_array(it.data_type(), records.len()),
            }
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).unwrap()
    }

    fn first_value(rows: &[RecordBatch]) -> String {
        let rows = rows.iter().find(|it| 0 < it.num_rows());
        array_value_to_string(rows.unwrap().column(0), 0).unwrap()
    }

    /// The value of a view with one row.
    fn value(query: &str, records: &[(i64, i64)]) -> String {
        let text = format!(
            "CREATE SOURCE s (k BIGINT, n BIGINT) FORMAT JSON; CREATE MATERIALIZED VIEW v AS {query};"
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dataflow = runtime.block_on(plan_text("t", &text, |_| None)).unwrap();
        let schema = nullable(&dataflow.source("s").unwrap().schema());
        let rows = table(Arc::clone(&schema), vec![batch(schema, records)]).unwrap();
        let mut given = Records::default();
        given.relations.insert("s".to_owned(), rows);
        let views = runtime.block_on(recompute(&dataflow, &given)).unwrap();
        first_value(&views["v"])
    }

    /// The same of a query.
    fn asked(query: &str, records: &[(i64, i64)]) -> String {
        let columns = ["k", "n"].map(|it| Field::new(it, DataType::Int64, true));
        let schema = Arc::new(Schema::new(columns.to_vec()));
        let context = SessionContext::new();
        context.register_batch("s", batch(schema, records)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let rows = runtime.block_on(async {
            let plan = context.state().create_logical_plan(query).await?;
            let plan = as_in_views(plan, &context.state())?;
            context.execute_logical_plan(plan).await?.collect().await
        });
        first_value(&rows.unwrap())
    }

    /// Also where another column than those that are read further up tells them apart.
    #[test]
    fn the_first_of_equal_rows_of_a_sub_query_are_the_same_in_every_order_of_records() {
        let in_order = [(1, 4), (1, 3), (1, 2), (1, 1), (0, 9)];
        let mut reversed = in_order;
        reversed.reverse();
        for (query, expected) in [
            (
                "SELECT sum(n) FROM (SELECT k, n FROM s ORDER BY k LIMIT 3) q",
                "12",
            ),
            (
                "SELECT sum(n) FROM (SELECT n, k FROM s ORDER BY k DESC LIMIT 3 OFFSET 1) q",
                "9",
            ),
            (
                "WITH q AS (SELECT k, n FROM s ORDER BY k DESC LIMIT 2) SELECT max(n) FROM q",
                "2",
            ),
            ("SELECT n FROM s ORDER BY k DESC LIMIT 1", "1"),
            (
                "SELECT sum(n) FROM (SELECT n, row_number() OVER (ORDER BY k) AS r FROM (SELECT k, n FROM s) p) q WHERE r <= 2",
                "10",
            ),
            (
                "SELECT max(n) FROM (SELECT DISTINCT ON (k) k, n FROM (SELECT k, n FROM s) p ORDER BY k DESC) q WHERE k = 1",
                "1",
            ),
        ] {
            assert_eq!(value(query, &in_order), expected, "{query}");
            assert_eq!(value(query, &reversed), expected, "{query}");
            assert_eq!(asked(query, &in_order), expected, "{query}");
            assert_eq!(asked(query, &reversed), expected, "{query}");
        }
    }

    #[test]
    fn windows_over_groups_need_no_name_to_be_computed_again() {
        let records = [(1, 4), (1, 3), (0, 9)];
        for query in [
            "SELECT sum(sum(n)) OVER (PARTITION BY k) FROM s GROUP BY k ORDER BY k DESC",
            "SELECT sum(sum(n)) OVER (PARTITION BY k), k FROM s GROUP BY k ORDER BY k DESC LIMIT 1",
        ] {
            assert_eq!(value(query, &records), "7", "{query}");
        }
    }
}
