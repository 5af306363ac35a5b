//! DataFusion's optimised logical plan, lowered to ours.
//!
//! Only what the engine can maintain exactly is lowered; everything else is refused with what to
//! write instead. A column that `time > now() - INTERVAL …` needs travels behind the declared
//! columns of each node until the aggregate above takes it.

use super::asof::AsOfNode;
use super::functions::{NOW_BEFORE, NOW_REACHED, PERCENTILE, is_of_now, last_step_us};
use super::grouping_sets::sets;
use super::{generated, types, words};
use crate::plan::{
    ADMITTED, AGGREGATES_MAX, Admitted, Aggregate, Aggregation, BoundKind, CountsLate, Dataflow,
    EPOCH_COLUMN, EventTime, Function, Hops, KEYS_MAX, Order, Plan, Properties, TUMBLE_END,
    TUMBLE_START, Temporal, TemporalBound, Timescale, Window, carried_or_same, check_types,
    one_side, properties, with_repeats_shared,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, FetchType, LogicalPlan, SkipType, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is already defined when a statement is lowered.
pub(super) struct Lowering<'a> {
    pub state: &'a SessionState,
    pub dataflow: &'a Dataflow,
    /// Name of the statement being lowered: aggregations are named after it.
    pub name: &'a str,
    /// Whether state is freed when its window closes. Not where the rows of the statement do not tell their window: what is freed would leave them
    /// behind.
    pub closes: bool,
    pub aggregations: usize,
    pub joins: usize,
    pub groups: usize,
    pub temporals: usize,
}

/// A lowered node, and the hidden time column behind its own ones, if one is still to be used.
pub(super) struct Lowered {
    pub plan: Plan,
    pub last: Option<Last>,
}

#[derive(Clone, Copy)]
pub(super) struct Last {
    column: usize,
    size_us: i64,
}

/// Refuses functions whose value changes by themselves: a maintained view could not follow them.
pub(super) fn refuse_volatile(plan: &LogicalPlan) -> Result<(), String> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(it) = part
                    && it.func.signature().volatility != Volatility::Immutable
                {
                    found = Some(it.func.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(|it| words::planner(&it))?;
    match found {
        None => Ok(()),
        Some(name) => Err(format!(
            "{name}() changes by itself, so a view cannot keep its result exact; compare a time with now(), as in WHERE at > now() - INTERVAL '60' SECOND or WHERE valid_until > now()"
        )),
    }
}

const NO_CLOCK: &str =
    "now() is told by the sources that rows come from, and these rows come from none";
const NOT_THE_TIME: &str =
    "TUMBLE, HOP, CUMULATE and SESSION work on the event-time column of a source, unchanged";

const BOTH_CLOCKS: &str = "windows and comparisons with `now()` end by two clocks; group by the window in one view, and compare with `now()` in another that reads it";

const NOT_OF_NOW: &str = "in a view `now()` is compared with a time, in conditions joined by AND: WHERE at > now() - INTERVAL '1' HOUR, or WHERE valid_from <= now() AND now() < valid_until";

impl Lowering<'_> {
    /// The whole query of a statement.
    pub fn query(&mut self, plan: &LogicalPlan) -> Result<Plan, String> {
        let plan = with_repeats_shared(self.rows(plan)?);
        check_types(&plan)?;
        Ok(plan)
    }

    /// The rows of a node, for all that takes them one by one.
    pub(super) fn rows(&mut self, plan: &LogicalPlan) -> Result<Plan, String> {
        let lowered = self.node(plan, None)?;
        self.settled(lowered)
    }

    /// Rows of a sliding range as they are, each until its time is up.
    fn settled(&mut self, input: Lowered) -> Result<Plan, String> {
        let Some(Last { column, size_us }) = input.last else {
            return Ok(input.plan);
        };
        let fields = input.plan.schema();
        let fields = fields.fields().iter().take(column).cloned();
        let own = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let step_us = last_step_us(size_us);
        let bound = TemporalBound {
            time: column,
            kind: BoundKind::Last { size_us, step_us },
        };
        let plan = self.temporal(input.plan, vec![bound])?;
        Ok(self.first_columns(plan, own).plan)
    }

    fn temporal(&mut self, input: Plan, bounds: Vec<TemporalBound>) -> Result<Plan, String> {
        let known = self.properties(&input);
        let clocks = clocks_of_now(&known)?;
        let append_only = known.append_only;
        let ends = |it: &TemporalBound| it.kind.ends();
        let temporal = Temporal {
            id: format!("{}.temporal{}", self.name, self.temporals),
            keeps: !append_only || bounds.iter().any(ends),
            bounds,
            clocks,
            time: Timescale::Now,
        };
        self.temporals += 1;
        Ok(Plan::Temporal {
            input: Box::new(input),
            temporal: Arc::new(temporal),
        })
    }

    pub(super) fn node(
        &mut self,
        plan: &LogicalPlan,
        limit: Option<(usize, usize)>,
    ) -> Result<Lowered, String> {
        if self.is_constant(plan) {
            let plan = self.constant(plan)?;
            return Ok(Lowered { plan, last: None });
        }
        match plan {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table().to_owned();
                let all = scan.source.schema().fields().len();
                let columns = scan.projection.clone().unwrap_or_else(|| (0..all).collect());
                let schema = types::carried_schema(&scan.projected_schema);
                let relation = Plan::Relation { name, columns, schema };
                match conjunction(scan.filters.clone()) {
                    None => Ok(Lowered { plan: relation, last: None }),
                    Some(filter) => self.filtered(Lowered { plan: relation, last: None }, filter, &scan.projected_schema),
                }
            }
            LogicalPlan::SubqueryAlias(it) => self.node(&it.input, limit),
            LogicalPlan::Filter(it) => {
                let input = self.node(&it.input, None)?;
                self.filtered(input, it.predicate.clone(), it.input.schema())
            }
            LogicalPlan::Projection(it) => {
                let input = self.node(&it.input, limit)?;
                let columns = self.leaving(&it.expr, it.input.schema())?;
                Ok(mapped(input, None, columns, types::carried_schema(&it.schema)))
            }
            LogicalPlan::Aggregate(it) => self.aggregate(it),
            LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => {
                let below = self.node(input, None)?;
                self.distinct(below, input)
            }
            LogicalPlan::Union(it) => {
                let inputs = it.inputs.iter().map(|input| self.rows(input)).collect::<Result<Vec<_>, _>>()?;
                let schema = types::carried_schema(&it.schema);
                Ok(Lowered { plan: Plan::Union { inputs, schema }, last: None })
            }
            LogicalPlan::Limit(it) => {
                let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) = (it.get_skip_type(), it.get_fetch_type())
                else {
                    return Err("LIMIT and OFFSET must be constant numbers".to_owned());
                };
                // The engine counts rows up to this one; without a LIMIT all that come after the OFFSET are taken.
                let last = usize::MAX >> 1;
                let fetch = fetch.unwrap_or(last).min(last.saturating_sub(skip));
                self.node(&it.input, Some((skip, fetch)))
            }
            LogicalPlan::Sort(it) => self.sort(it, limit),
            LogicalPlan::Join(it) => self.join(it),
            LogicalPlan::Window(it) => self.window(it),
            LogicalPlan::Extension(it) if let Some(it) = it.node.as_any().downcast_ref::<AsOfNode>() => self.as_of(it),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Err("a view is made from a source, a table or another view, and this SELECT has none in its FROM".to_owned()),
            LogicalPlan::Subquery(_) => Err("a sub-query that depends on the outer row in this way (by ORDER BY … LIMIT, or below an aggregate) is not maintained; write it as a join, or with ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)".to_owned()),
            LogicalPlan::Unnest(it) => self.unnest(it),
            other => Err(format!("`{}` is not maintained; a view is made of SELECT, joins, WHERE, GROUP BY, HAVING, OVER, UNION, INTERSECT, EXCEPT, DISTINCT and ORDER BY … LIMIT", first_line(other))),
        }
        .and_then(|lowered| match (plan, limit) {
            (LogicalPlan::Sort(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Limit(_), _) | (_, None) => Ok(lowered),
            (_, Some(_)) => Err("this LIMIT has no definite result; add ORDER BY".to_owned()),
        })
    }

    fn filtered(
        &mut self,
        mut input: Lowered,
        predicate: Expr,
        schema: &DFSchema,
    ) -> Result<Lowered, String> {
        let (mut plain, mut windows) = (Vec::new(), Vec::new());
        // What `now()` is compared with.
        let (mut times, mut kinds) = (Vec::new(), Vec::new());
        for part in split_conjunction_owned(predicate) {
            match &part {
                Expr::ScalarFunction(it) if is_of_now(it.func.name()) => {
                    let [time, Expr::Literal(ScalarValue::Int64(Some(us)), _)] = it.args.as_slice()
                    else {
                        return Err(NOT_OF_NOW.to_owned());
                    };
                    times.push(time.clone());
                    kinds.push(match it.func.name() {
                        NOW_REACHED => BoundKind::From { add_us: *us },
                        NOW_BEFORE => BoundKind::Until { add_us: *us },
                        _ => BoundKind::Last {
                            size_us: *us,
                            step_us: last_step_us(*us),
                        },
                    });
                }
                Expr::ScalarFunction(it) if it.func.name() == ADMITTED => {
                    windows.push(window_of_marker(it, schema)?);
                }
                _ => plain.push(part),
            }
        }
        for part in &plain {
            let place = |it: &Column| schema.index_of_column(it).ok();
            let append_only = |it: &Plan| self.properties(it).append_only;
            input.plan = super::per_group::limited(input.plan, part, place, &append_only);
        }
        if let Some(predicate) = conjunction(plain) {
            let filter = self.expression(&predicate, schema)?;
            let own = input.plan.schema();
            let columns = identity(&own);
            input.plan = fused(input.plan, Some(filter), columns, own);
        }
        // What the view has no use for is not late for it.
        for window in windows {
            let clocks = self.properties(&input.plan).clocks;
            input.plan = Plan::Admit {
                input: Box::new(without_counts(input.plan)),
                window,
                clocks,
            };
        }
        self.compared_with_now(input, &times, kinds, schema)
    }

    /// Rows whose times compare with `now()` in these ways. An aggregate above takes a sliding range alone; everything else needs rows that come
    /// and go.
    fn compared_with_now(
        &mut self,
        input: Lowered,
        times: &[Expr],
        kinds: Vec<BoundKind>,
        schema: &DFSchema,
    ) -> Result<Lowered, String> {
        if kinds.is_empty() {
            return Ok(input);
        }
        if let ([BoundKind::Last { size_us, .. }], [Expr::Column(time)], None) =
            (kinds.as_slice(), times, input.last)
            && !self.properties(&input.plan).clocks.is_empty()
        {
            let column = schema.index_of_column(time);
            let column = column.map_err(|it| words::planner(&it))?;
            return Ok(with_hidden(input, column, *size_us));
        }
        let rows = self.settled(input)?;
        let has_clock = !self.properties(&rows).clocks.is_empty();
        let own = rows.schema();
        let (rows, columns) = self.with_keys(rows, times, schema)?;
        let kinds = kinds.into_iter().map(|it| match it {
            // Nothing is ahead of a clock that no record moves.
            BoundKind::Last { size_us, .. } if !has_clock => BoundKind::Until { add_us: size_us },
            kind => kind,
        });
        let bounds = columns.into_iter().zip(kinds);
        let bounds = bounds.map(|(time, kind)| TemporalBound { time, kind });
        let plan = self.temporal(rows, bounds.collect())?;
        Ok(self.first_columns(plan, own))
    }

    pub(super) fn aggregate(
        &mut self,
        node: &datafusion::logical_expr::Aggregate,
    ) -> Result<Lowered, String> {
        if let Some(sets) = sets(&node.group_expr)? {
            return self.grouping_sets(node, sets);
        }
        if node.aggr_expr.iter().any(needs_whole_groups) {
            return self.whole_groups(node);
        }
        let input = self.node(&node.input, None)?;
        let below = node.input.schema();
        let mut exprs: Vec<Expr> = node.group_expr.clone();
        let keys: Vec<usize> = (0..exprs.len()).collect();
        let mut aggregates = Vec::new();
        for (expr, field) in node
            .aggr_expr
            .iter()
            .zip(node.schema.fields().iter().skip(keys.len()))
        {
            aggregates.push(aggregate(expr, field, &mut exprs)?);
        }
        let columns = self.leaving(&exprs, below)?;
        let fields: Vec<Field> = exprs
            .iter()
            .map(|it| {
                let data_type = it.get_type(below).map_err(|it| words::planner(&it))?;
                Ok(Field::new(
                    plain_name(it)?,
                    carried_or_same(&data_type),
                    true,
                ))
            })
            .collect::<Result<_, String>>()?;
        for aggregate in &mut aggregates {
            if let Some(argument) = aggregate.argument {
                aggregate.argument_type = fields[argument].data_type().clone();
            }
        }
        let mut mapped = mapped(input, None, columns, Arc::new(Schema::new(fields)));
        let windows = self.windows_of(&node.group_expr, &mut mapped, &node.input)?;
        let schema = types::carried_schema(&node.schema);
        self.grouped(mapped, keys, aggregates, schema, windows)
    }

    fn distinct(&mut self, mut input: Lowered, below: &LogicalPlan) -> Result<Lowered, String> {
        let exprs: Vec<Expr> = below
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let windows = self.windows_of(&exprs, &mut input, below)?;
        let keys: Vec<usize> = (0..exprs.len()).collect();
        // Behind the columns of the query there may be the time by which rows leave.
        let schema = input
            .plan
            .schema()
            .project(&keys)
            .map_err(|it| it.to_string())?;
        self.grouped(input, keys, Vec::new(), Arc::new(schema), windows)
    }

    fn grouped(
        &mut self,
        mut input: Lowered,
        keys: Vec<usize>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
        windows: Vec<Option<KeyOfWindow>>,
    ) -> Result<Lowered, String> {
        if KEYS_MAX < keys.len() || AGGREGATES_MAX < aggregates.len() {
            return Err(format!(
                "a view groups by at most {KEYS_MAX} columns and has at most {AGGREGATES_MAX} aggregates; write several views"
            ));
        }
        let hops = hops(&mut input, &keys, &aggregates, &windows);
        let Properties {
            append_only,
            clocks,
            ..
        } = self.properties(&input.plan);
        let mut bounds = windows.iter().enumerate();
        let window = bounds.find_map(|(key, it)| {
            let KeyOfWindow { add_us, size_us } = (*it)?;
            Some(Window::Tumble {
                key,
                add_us,
                size_us,
            })
        });
        let window = match (window, input.last) {
            (Some(_), Some(_)) => return Err(BOTH_CLOCKS.to_owned()),
            (Some(window), None) => window,
            (None, Some(last)) => Window::Last {
                time: last.column,
                size_us: last.size_us,
                step_us: last_step_us(last.size_us),
            },
            (None, None) => Window::None,
        };
        match window {
            Window::None => {}
            Window::Tumble { .. } => has_clock(&clocks)?,
            Window::Last { .. } => has_one_clock(&clocks)?,
        }
        let id = format!("{}.{}", self.name, self.aggregations);
        self.aggregations += 1;
        let aggregation = Arc::new(Aggregation {
            id,
            keys,
            window,
            hops,
            window_ends: windows.iter().map(|it| Some((*it)?.add_us)).collect(),
            clocks,
            append_only,
            aggregates,
        });
        Ok(Lowered {
            plan: Plan::Aggregate {
                input: Box::new(input.plan),
                aggregation,
                schema,
            },
            last: None,
        })
    }

    fn sort(
        &mut self,
        node: &datafusion::logical_expr::Sort,
        limit: Option<(usize, usize)>,
    ) -> Result<Lowered, String> {
        let input = self.node(&node.input, None)?;
        // The optimiser may have moved the LIMIT into the sort.
        let Some((skip, limit)) = limit.or(node.fetch.map(|it| (0, it))) else {
            return Ok(input);
        }; // the order of a view's rows has no meaning
        let input = self.settled(input)?;
        let exprs: Vec<Expr> = node.expr.iter().map(|it| it.expr.clone()).collect();
        let schema = input.schema();
        // What is computed to be ordered by stands behind the columns, and is left out above.
        let (input, numbers) = self.with_keys(input, &exprs, node.input.schema())?;
        let order = node.expr.iter().zip(numbers);
        let order = order.map(|(it, column)| Order {
            column,
            descending: !it.asc,
            nulls_first: it.nulls_first,
        });
        let append_only = self.properties(&input).append_only;
        let plan = Plan::TopK {
            order: order.collect(),
            input: Box::new(input),
            skip,
            limit,
            append_only,
        };
        Ok(self.first_columns(plan, schema))
    }

    pub(super) fn properties(&self, plan: &Plan) -> Properties {
        properties(plan, &|it: &str| self.dataflow.properties(it))
    }

    /// Which of the keys of a group tell its window. `input` has the keys as its first columns. Groups of records by their window decide
    /// themselves which of these are late, so `input` has all of them then.
    fn windows_of(
        &self,
        keys: &[Expr],
        input: &mut Lowered,
        below: &LogicalPlan,
    ) -> Result<Vec<Option<KeyOfWindow>>, String> {
        let of_window = |it: &Expr| match origin(it, below) {
            Some((Expr::ScalarFunction(it), _)) => bound_of_window(&it).is_some(),
            Some(_) | None => false,
        };
        let by_now = input.last.is_some() || input.plan.has_temporal();
        if by_now && keys.iter().any(of_window) {
            return Err(BOTH_CLOCKS.to_owned());
        }
        if !self.closes {
            return Ok(vec![None; keys.len()]);
        }
        let known = self.properties(&input.plan).window_ends;
        let of_records: Vec<Option<KeyOfWindow>> = keys
            .iter()
            .zip(&known)
            .map(|(expr, known)| match origin(expr, below) {
                Some((Expr::ScalarFunction(it), _)) if known.is_some() => bound_of_window(&it),
                Some(_) | None => None,
            })
            .collect();
        if of_records.iter().any(Option::is_some) {
            // Windows of a plain view that is read leave out what is late for them, whichever window is above.
            if admissions(&input.plan) <= 1 {
                let schema = input.plan.schema();
                let plan = std::mem::replace(&mut input.plan, empty(schema));
                input.plan = with_all_records(plan);
            }
            return Ok(of_records);
        }
        let of_rows = known.iter().take(keys.len()).map(|it| {
            let add_us = (*it)?;
            // Rows of windows are never late for others: the same clock closes both.
            let size_us = add_us;
            Some(KeyOfWindow { add_us, size_us })
        });
        Ok(of_rows.collect())
    }

    /// A plan whose first columns are these.
    pub(super) fn first_columns(&self, plan: Plan, schema: SchemaRef) -> Lowered {
        let below = plan.schema();
        let plan = match below.fields().len() == schema.fields().len() && below == schema {
            true => plan,
            false => {
                let columns = 0..schema.fields().len();
                let columns = columns
                    .map(|it| column(below.field(it).name(), it))
                    .collect();
                fused(plan, None, columns, schema)
            }
        };
        Lowered { plan, last: None }
    }

    /// A side of a join with its keys as columns: those that are computed come behind its own ones.
    pub(super) fn with_keys(
        &self,
        side: Plan,
        keys: &[Expr],
        schema: &DFSchema,
    ) -> Result<(Plan, Vec<usize>), String> {
        let own = side.schema();
        let mut fields: Vec<FieldRef> = own.fields().iter().cloned().collect();
        let mut columns = identity(&own);
        let mut numbers = Vec::new();
        for (expr, physical) in keys.iter().zip(self.leaving(keys, schema)?) {
            if let Some(it) = physical.downcast_ref::<PhysicalColumn>() {
                numbers.push(it.index());
                continue;
            }
            let data_type = expr.get_type(schema).map_err(|it| words::planner(&it))?;
            let field = Field::new(plain_name(expr)?, carried_or_same(&data_type), true);
            numbers.push(fields.len());
            fields.push(Arc::new(field));
            columns.push(physical);
        }
        let side = match fields.len() == own.fields().len() {
            true => side,
            false => fused(side, None, columns, Arc::new(Schema::new(fields))),
        };
        Ok((side, numbers))
    }

    /// An expression over the columns of a node.
    pub(super) fn expression(
        &self,
        expr: &Expr,
        schema: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>, String> {
        let is_compared =
            |it: &Expr| matches!(it, Expr::ScalarFunction(it) if is_of_now(it.func.name()));
        let misplaced = expr.exists(|it| Ok(is_compared(it)));
        if misplaced.map_err(|it| words::planner(&it))? {
            return Err(NOT_OF_NOW.to_owned());
        }
        let physical = || {
            let (expr, schema) = types::over_carried(expr.clone(), schema)?;
            let expr = super::functions::with_short_casts(expr, &schema)?;
            let expr = self.state.create_physical_expr(expr, &schema)?;
            super::choice::with_choices(super::physical::checked(&expr)?)
        };
        physical().map_err(|it: DataFusionError| words::planner(&it))
    }

    /// Expressions whose values leave a node: in the types that rows carry.
    fn leaving(
        &self,
        exprs: &[Expr],
        schema: &DFSchema,
    ) -> Result<Vec<Arc<dyn PhysicalExpr>>, String> {
        let leaving = exprs.iter().map(|it| {
            let it = types::leaving(it, schema).map_err(|it| words::planner(&it))?;
            self.expression(&it, schema)
        });
        leaving.collect()
    }
}

/// Keeps the marker of admitted records only where there is an event time. Windows over relations without one (a source without a WATERMARK, a
/// view, a sub-query whose rows are made of several records) accept every row that has a time, and never close. Expects the plan before optimisation: pushed-down filters would no longer stand over their relation.
///
/// # Errors
/// If windows are over another column than the event time that their relation has.
pub(super) fn settle_windows(
    plan: LogicalPlan,
    dataflow: &Dataflow,
) -> Result<LogicalPlan, String> {
    let mut refused = None;
    let settled = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(mut filter) = node else {
            return Ok(Transformed::no(node));
        };
        let below = Arc::clone(&filter.input);
        let predicate = filter.predicate.transform_up(|part| {
            if let Expr::ScalarFunction(call) = &part
                && call.func.name() == ADMITTED
                && let Some(Expr::ScalarFunction(end)) = call.args.first()
                && let Some(time) = end.args.first()
            {
                match is_event_time(time, &below, dataflow) {
                    Ok(true) => {}
                    Ok(false) => return Ok(Transformed::yes(time.clone().is_not_null())),
                    Err(reason) => refused = Some(reason),
                }
            }
            Ok(Transformed::no(part))
        })?;
        filter.predicate = predicate.data;
        let filter = LogicalPlan::Filter(filter);
        Ok(Transformed::new_transformed(filter, predicate.transformed))
    });
    let settled = settled.map_err(|it| words::planner(&it))?;
    refused.map_or(Ok(settled.data), Err)
}

/// Whether windows of this time are of an event time; not if the relation has none.
fn is_event_time(time: &Expr, below: &LogicalPlan, dataflow: &Dataflow) -> Result<bool, String> {
    let mut event_times = Vec::new();
    below
        .apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let name = scan.table_name.table();
                event_times.extend(event_time_name(name, dataflow).map(|it| (name.to_owned(), it)));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|it| words::planner(&it))?;
    let Some((relation, wanted)) = event_times.first() else {
        return Ok(false);
    };
    match origin(time, below) {
        Some((Expr::Column(column), LogicalPlan::TableScan(_))) if column.name == *wanted => {
            Ok(true)
        }
        Some((Expr::Column(column), LogicalPlan::TableScan(scan)))
            if generated::is_read_time(scan.table_name.table(), &column.name, dataflow) =>
        {
            Ok(false)
        }
        Some((Expr::Column(column), LogicalPlan::TableScan(_))) => Err(format!(
            "TUMBLE, HOP, CUMULATE and SESSION work on the event time of {relation}, which is `{wanted}`, not `{}`",
            column.name
        )),
        Some((computed, plan)) if is_of_epoch(&computed, plan) => Ok(false),
        _ if is_of_groups(below) => Ok(false),
        _ => Err(NOT_THE_TIME.to_owned()),
    }
}

/// Whether an expression depends on nothing but the epoch in which a record was read.
fn is_of_epoch(computed: &Expr, plan: &LogicalPlan) -> bool {
    let columns = computed.column_refs();
    let is_epoch = |column: &&Column| {
        let column = Expr::Column((*column).clone());
        match origin(&column, plan) {
            Some((Expr::Column(it), LogicalPlan::TableScan(_))) => it.name == EPOCH_COLUMN,
            _ => false,
        }
    };
    !columns.is_empty() && columns.iter().all(is_epoch)
}

/// Whether rows are those of groups, or of a union: no single records, which could come too late. Those of joins are not told from records beside
/// a sub-query's value, so they are none here.
fn is_of_groups(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(it) => is_of_groups(&it.input),
        LogicalPlan::SubqueryAlias(it) => is_of_groups(&it.input),
        LogicalPlan::Filter(it) => is_of_groups(&it.input),
        LogicalPlan::Aggregate(it) => !it.group_expr.is_empty(),
        LogicalPlan::Distinct(_) | LogicalPlan::Union(_) => true,
        _ => false,
    }
}

pub(super) fn event_time_name(relation: &str, dataflow: &Dataflow) -> Option<String> {
    if let Some(source) = dataflow.source(relation) {
        return source
            .event_time
            .map(|EventTime { column, .. }| source.columns[column].name.clone());
    }
    let table = dataflow.tables.iter().find(|it| it.name == relation)?;
    table
        .event_time
        .map(|it| table.plan.schema().field(it).name().clone())
}

/// Which bound of a window a function yields, if it does.
pub(super) fn bound_of_window(function: &ScalarFunction) -> Option<KeyOfWindow> {
    let is_start = function.func.name() == TUMBLE_START;
    if !is_start && function.func.name() != TUMBLE_END {
        return None;
    }
    let [_, Expr::Literal(ScalarValue::Int64(Some(size)), _)] = function.args.as_slice() else {
        return None;
    };
    Some(KeyOfWindow {
        add_us: if is_start { *size } else { 0 },
        size_us: *size,
    })
}

/// The window that a marker of admitted records is about.
pub(super) fn window_of_marker(
    marker: &ScalarFunction,
    schema: &DFSchema,
) -> Result<Admitted, String> {
    let not_the_time = || NOT_THE_TIME.to_owned();
    let (end, counts) = match marker.args.as_slice() {
        // Of a session its records know no more than their own time.
        [Expr::ScalarFunction(end)] => (end, CountsLate::Together),
        [
            Expr::ScalarFunction(end),
            Expr::Literal(ScalarValue::Int64(Some(size_us)), _),
        ] => (end, CountsLate::ByWindow { size_us: *size_us }),
        _ => return Err(not_the_time()),
    };
    let Some((Expr::Column(time), numbers)) = end.args.split_first() else {
        return Err(not_the_time());
    };
    let numbers = numbers.iter().map(|it| match it {
        Expr::Literal(ScalarValue::Int64(it), _) => *it,
        _ => None,
    });
    let numbers: Option<Vec<i64>> = numbers.collect();
    let (step_us, end_us, offset_us) = match numbers.ok_or_else(not_the_time)?.as_slice() {
        [step_us] => (*step_us, *step_us, 0),
        [step_us, end_us] => (*step_us, *end_us, 0),
        [step_us, end_us, offset_us] => (*step_us, *end_us, *offset_us),
        _ => return Err(not_the_time()),
    };
    let time = schema
        .index_of_column(time)
        .map_err(|it| words::planner(&it))?;
    let window = Admitted {
        time,
        step_us,
        end_us,
        offset_us,
        counts,
    };
    Ok(match counts {
        CountsLate::Together => Admitted::on_time(time),
        CountsLate::ByWindow { .. } | CountsLate::Not => window,
    })
}

/// A plan in which no record is left out for coming late: what reads records as they are, or decides about them itself, takes all.
pub(super) fn with_all_records(plan: Plan) -> Plan {
    match plan {
        Plan::Admit { input, .. } => with_all_records(*input),
        Plan::Map {
            input,
            filter,
            columns,
            schema,
        } => fused(with_all_records(*input), filter, columns, schema),
        other => other,
    }
}

/// For how many windows, one over the other, records are left out one by one right below.
fn admissions(plan: &Plan) -> usize {
    match plan {
        Plan::Admit { input, .. } => 1 + admissions(input),
        Plan::Map { input, .. } => admissions(input),
        _ => 0,
    }
}

/// The same plan, in which records that are left out right below are not counted: those of a view are counted at the window that it reads itself,
/// not at windows of plain views below.
fn without_counts(plan: Plan) -> Plan {
    match plan {
        Plan::Admit {
            input,
            window,
            clocks,
        } => Plan::Admit {
            input: Box::new(without_counts(*input)),
            window: Admitted {
                counts: CountsLate::Not,
                ..window
            },
            clocks,
        },
        Plan::Map {
            input,
            filter,
            columns,
            schema,
        } => Plan::Map {
            input: Box::new(without_counts(*input)),
            filter,
            columns,
            schema,
        },
        other => other,
    }
}

/// The windows that each record of a group is in, if it is in several: `input` has each record once then, and all of them.
fn hops(
    input: &mut Lowered,
    keys: &[usize],
    aggregates: &[Aggregate],
    windows: &[Option<KeyOfWindow>],
) -> Option<Hops> {
    let side = one_side(&input.plan).filter(|_| input.last.is_none())?;
    let mut computed = aggregates
        .iter()
        .flat_map(|it| it.argument.into_iter().chain(it.filter));
    if computed.any(|it| side.bounds.contains(&it)) {
        return None;
    }
    let bounds = keys.iter().enumerate();
    let bounds = bounds.filter(|it| side.bounds.contains(it.1));
    let bounds: Vec<usize> = bounds.map(|it| it.0).collect();
    // Admission is the group's to decide then, so its keys have to tell the window.
    let tells_window = bounds.iter().any(|it| windows[*it].is_some());
    let is_nested = 1 < admissions(&side.plan);
    if bounds.is_empty() || side.is_admitted && !tells_window || is_nested {
        return None;
    }
    input.plan = with_all_records(side.plan);
    Some(Hops {
        size_us: side.size_us,
        keys: bounds,
        offsets_us: side.offsets_us,
    })
}

/// No rows; it stands in the place of a plan that is being changed.
fn empty(schema: SchemaRef) -> Plan {
    Plan::Union {
        inputs: Vec::new(),
        schema,
    }
}

pub(super) fn column(name: &str, at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(PhysicalColumn::new(name, at))
}

/// A key that tells the window of its group: what to add to it to have the window's end, and how long the window is.
#[derive(Clone, Copy)]
pub(super) struct KeyOfWindow {
    /// What is between the bound and the end of its window.
    pub add_us: i64,
    size_us: i64,
}

/// Windows close by some clock.
pub(super) fn has_clock(clocks: &BTreeSet<String>) -> Result<(), String> {
    match clocks.is_empty() {
        true => Err(NO_CLOCK.to_owned()),
        false => Ok(()),
    }
}

/// The sources that tell `now()`: the one whose clock it is, or without a clock all whose records arrive.
fn clocks_of_now(known: &Properties) -> Result<BTreeSet<String>, String> {
    if known.clocks.is_empty() && !known.arrivals.is_empty() {
        return Ok(known.arrivals.clone());
    }
    has_one_clock(&known.clocks)?;
    Ok(known.clocks.clone())
}

/// Sliding ranges end by one clock.
fn has_one_clock(clocks: &BTreeSet<String>) -> Result<(), String> {
    has_clock(clocks)?;
    match clocks.len() {
        1 => Ok(()),
        _ => {
            let names: Vec<&str> = clocks.iter().map(String::as_str).collect();
            Err(format!(
                "`now()` would be told by the clocks of several sources ({}); aggregate each source in a view of its own, and bring them together in another",
                names.join(", ")
            ))
        }
    }
}

/// The text of an expression for people, with columns by their own names alone.
pub(super) fn plain_name(expr: &Expr) -> Result<String, String> {
    let plain = expr.clone().unalias_nested().data.transform_up(|it| {
        Ok(match it {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
            other => Transformed::no(other),
        })
    });
    let plain = plain.map_err(|it| words::planner(&it))?.data;
    Ok(plain.human_display().to_string())
}

/// Aggregates that are computed from all rows of a group, since sums do not tell them.
const OF_WHOLE_GROUPS: [&str; 26] = [
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
    "array_agg",
    "median",
    "percentile_cont",
    "approx_distinct",
    "mode",
    "corr",
    "covar_samp",
    "covar_pop",
    "regr_slope",
    "regr_intercept",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "regr_count",
];

/// Whether an aggregate is computed from all rows of its group.
pub(super) fn needs_whole_groups(expr: &Expr) -> bool {
    let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
        return false;
    };
    let name = call.func.name();
    // Counts of distinct values are kept; all else is computed.
    let is_distinct = call.params.distinct && name != "count";
    OF_WHOLE_GROUPS.contains(&name) || is_distinct
}

fn aggregate(expr: &Expr, field: &Field, exprs: &mut Vec<Expr>) -> Result<Aggregate, String> {
    let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
        return Err(format!("{expr} is no aggregate that can be maintained"));
    };
    let name = call.func.name();
    let params = &call.params;
    if !params.order_by.is_empty() {
        return Err(format!(
            "{name}(… ORDER BY …) depends on the order of records and is not maintained"
        ));
    }
    let function = match (name, params.distinct) {
        ("count", false) => Function::Count,
        ("count", true) => Function::CountDistinct,
        (_, true) => {
            return Err(format!(
                "{name}(DISTINCT …) is not maintained; only count(DISTINCT …) is"
            ));
        }
        ("sum" | "avg", _) if !field.data_type().is_numeric() => {
            return Err(format!(
                "{name} of intervals is not maintained; take {name}(extract(epoch FROM …)), which is in seconds"
            ));
        }
        ("sum", _) => Function::Sum,
        ("avg", _) => Function::Avg,
        ("min", _) => Function::Min,
        ("max", _) => Function::Max,
        ("stddev", _) => Function::Stddev { sample: true },
        ("stddev_pop", _) => Function::Stddev { sample: false },
        ("var", _) => Function::Variance { sample: true },
        ("var_pop", _) => Function::Variance { sample: false },
        (PERCENTILE, _) => match params.args.get(1) {
            Some(Expr::Literal(ScalarValue::Float64(Some(rank)), _))
                if (0.0..=1.0).contains(rank) =>
            {
                Function::Percentile(*rank)
            }
            _ => {
                return Err(format!(
                    "{PERCENTILE}(value, rank): the rank must be a constant between 0 and 1, for example 0.95"
                ));
            }
        },
        ("approx_distinct", _) => {
            return Err("write count(DISTINCT …): it is exact here and costs little".to_owned());
        }
        ("median" | "percentile_cont" | "approx_median", _) => {
            return Err(format!(
                "{name} is not maintained; write {PERCENTILE}(value, 0.5), whose relative error is at most 0.4 %"
            ));
        }
        _ => {
            return Err(format!(
                "{name} is not maintained; possible are count, count(DISTINCT), sum, avg, min, max, stddev, stddev_pop, var, var_pop and {PERCENTILE}"
            ));
        }
    };
    let mut column = |expr: &Expr| {
        exprs.push(expr.clone());
        exprs.len() - 1
    };
    if params.args.len() > 1 && !matches!(function, Function::Percentile(_)) {
        return Err(format!("{name} takes one argument"));
    }
    let argument = match params.args.first() {
        Some(Expr::Literal(value, _)) if function == Function::Count && !value.is_null() => None,
        Some(expr) => Some(column(expr)),
        None => None,
    };
    let filter = params.filter.as_ref().map(|it| column(it));
    let result_type = carried_or_same(field.data_type());
    Ok(Aggregate {
        function,
        argument,
        filter,
        argument_type: DataType::Null,
        result_type,
    })
}

/// Follows a column down to what computes it: an expression, or a column of a scanned relation.
pub(super) fn origin<'a>(expr: &Expr, plan: &'a LogicalPlan) -> Option<(Expr, &'a LogicalPlan)> {
    let column = match expr.clone().unalias_nested().data {
        Expr::Column(column) => column,
        other => return Some((other, plan)),
    };
    let index = plan.schema().index_of_column(&column).ok()?;
    let same_place = |input: &'a LogicalPlan| {
        origin(
            &Expr::Column(Column::from(input.schema().qualified_field(index))),
            input,
        )
    };
    match plan {
        LogicalPlan::TableScan(_) => Some((Expr::Column(column), plan)),
        LogicalPlan::Projection(it) => origin(&it.expr[index], &it.input),
        LogicalPlan::SubqueryAlias(it) => same_place(&it.input),
        LogicalPlan::Filter(it) => same_place(&it.input),
        _ => None,
    }
}

fn with_hidden(input: Lowered, column: usize, size_us: i64) -> Lowered {
    let schema = input.plan.schema();
    let mut fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|it| it.as_ref().clone())
        .collect();
    fields.push(schema.field(column).clone());
    let mut columns = identity(&schema);
    columns.push(Arc::new(PhysicalColumn::new(
        schema.field(column).name(),
        column,
    )));
    let last = Some(Last {
        column: fields.len() - 1,
        size_us,
    });
    Lowered {
        plan: fused(input.plan, None, columns, Arc::new(Schema::new(fields))),
        last,
    }
}

/// A map over an input, with the hidden column carried behind the others.
fn mapped(
    input: Lowered,
    filter: Option<Arc<dyn PhysicalExpr>>,
    mut columns: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
) -> Lowered {
    let Some(last) = input.last else {
        return Lowered {
            plan: fused(input.plan, filter, columns, schema),
            last: None,
        };
    };
    let field = input.plan.schema().field(last.column).clone();
    columns.push(Arc::new(PhysicalColumn::new(field.name(), last.column)));
    let mut fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|it| it.as_ref().clone())
        .collect();
    fields.push(field);
    let last = Some(Last {
        column: fields.len() - 1,
        ..last
    });
    Lowered {
        plan: fused(input.plan, filter, columns, Arc::new(Schema::new(fields))),
        last,
    }
}

/// One map where two would stand: the lower one only filters.
pub(super) fn fused(
    input: Plan,
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
) -> Plan {
    match input {
        Plan::Map {
            input: below,
            filter: inner,
            columns: inner_columns,
            ..
        } if filter.is_none() && is_identity(&inner_columns, below.schema().fields().len()) => {
            Plan::Map {
                input: below,
                filter: inner,
                columns,
                schema,
            }
        }
        input => Plan::Map {
            input: Box::new(input),
            filter,
            columns,
            schema,
        },
    }
}

pub(super) fn identity(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| Arc::new(PhysicalColumn::new(field.name(), at)) as Arc<dyn PhysicalExpr>)
        .collect()
}

pub(super) fn is_identity(columns: &[Arc<dyn PhysicalExpr>], below: usize) -> bool {
    columns.len() == below
        && columns.iter().enumerate().all(|(at, it)| {
            it.downcast_ref::<PhysicalColumn>()
                .is_some_and(|it| it.index() == at)
        })
}

fn first_line(plan: &LogicalPlan) -> String {
    plan.display()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
