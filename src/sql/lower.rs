//! DataFusion's optimised logical plan, lowered to ours.
//!
//! Only what the engine can maintain exactly is lowered; everything else is refused with what to
//! write instead. A column that `time > now() - INTERVAL …` needs travels behind the declared
//! columns of each node until the aggregate above takes it.

use super::functions::{PERCENTILE, WITHIN_LAST, last_step_us};
use crate::plan::{
    AGGREGATES_MAX, Aggregate, Aggregation, EventTime, Function, KEYS_MAX, Order, Plan, SourceSpec,
    TUMBLE_END, TUMBLE_START, TableSpec, ViewKind, ViewSpec, Window,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;

/// What is already defined when a statement is lowered.
pub(super) struct Lowering<'a> {
    pub state: &'a SessionState,
    pub sources: &'a [SourceSpec],
    pub tables: &'a [TableSpec],
    pub views: &'a [ViewSpec],
    /// Name of the statement being lowered: aggregations are named after it.
    pub name: &'a str,
    pub aggregations: usize,
}

/// A lowered node, and the hidden time column behind its own ones, if one is still to be used.
struct Lowered {
    plan: Plan,
    last: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
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
    .map_err(|it| it.strip_backtrace())?;
    match found {
        None => Ok(()),
        Some(name) => Err(format!(
            "{name}() changes by itself, so a view cannot keep its result exact; for a sliding range write WHERE time > now() - INTERVAL '60' SECOND, with the source's event time"
        )),
    }
}

impl Lowering<'_> {
    /// The whole query of a statement.
    pub fn query(&mut self, plan: &LogicalPlan) -> Result<Plan, String> {
        let lowered = self.node(plan, None)?;
        match lowered.last {
            None => Ok(lowered.plan),
            Some(_) => Err("`time > now() - INTERVAL …` needs an aggregate above it: rows of records themselves cannot leave a view by the clock".to_owned()),
        }
    }

    fn node(
        &mut self,
        plan: &LogicalPlan,
        limit: Option<(usize, usize)>,
    ) -> Result<Lowered, String> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table().to_owned();
                let all = scan.source.schema().fields().len();
                let columns = scan.projection.clone().unwrap_or_else(|| (0..all).collect());
                let schema = arrow_schema(&scan.projected_schema);
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
                let columns = self.expressions(&it.expr, it.input.schema())?;
                Ok(mapped(input, None, columns, arrow_schema(&it.schema)))
            }
            LogicalPlan::Aggregate(it) => self.aggregate(it),
            LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => {
                let below = self.node(input, None)?;
                let schema = below.plan.schema();
                self.group(below, (0..input.schema().fields().len()).collect(), Vec::new(), schema, input)
            }
            LogicalPlan::Union(it) => {
                let inputs = it.inputs.iter().map(|input| self.node(input, None)).collect::<Result<Vec<_>, _>>()?;
                if inputs.iter().any(|it| it.last.is_some()) {
                    return Err("aggregate each side before UNION ALL when it has `now() - INTERVAL`".to_owned());
                }
                let schema = arrow_schema(&it.schema);
                Ok(Lowered { plan: Plan::Union { inputs: inputs.into_iter().map(|it| it.plan).collect(), schema }, last: None })
            }
            LogicalPlan::Limit(it) => {
                let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(Some(fetch)))) = (it.get_skip_type(), it.get_fetch_type())
                else {
                    return Err("LIMIT must be a constant number".to_owned());
                };
                self.node(&it.input, Some((skip, fetch)))
            }
            LogicalPlan::Sort(it) => self.sort(it, limit),
            LogicalPlan::Join(_) => Err("joins are not maintained yet; join in an ad-hoc query over the views, or bring the columns together in one source".to_owned()),
            LogicalPlan::Window(_) => Err("window functions (OVER) are not maintained; use GROUP BY with TUMBLE, or ORDER BY … LIMIT for the top".to_owned()),
            other => Err(format!("`{}` is not maintained; a view is made of SELECT, WHERE, GROUP BY, HAVING, UNION ALL, DISTINCT and ORDER BY … LIMIT", first_line(other))),
        }
        .and_then(|lowered| match (plan, limit) {
            (LogicalPlan::Sort(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Limit(_), _) | (_, None) => Ok(lowered),
            (_, Some(_)) => Err("LIMIT without ORDER BY has no definite result; add ORDER BY".to_owned()),
        })
    }

    fn filtered(
        &mut self,
        mut input: Lowered,
        predicate: Expr,
        schema: &DFSchema,
    ) -> Result<Lowered, String> {
        let mut plain = Vec::new();
        for part in split_conjunction_owned(predicate) {
            match &part {
                Expr::ScalarFunction(it) if it.func.name() == WITHIN_LAST => {
                    let [
                        Expr::Column(time),
                        Expr::Literal(ScalarValue::Int64(Some(size_us)), _),
                    ] = it.args.as_slice()
                    else {
                        return Err(
                            "`time > now() - INTERVAL …` takes the event-time column itself"
                                .to_owned(),
                        );
                    };
                    let column = schema
                        .index_of_column(time)
                        .map_err(|it| it.strip_backtrace())?;
                    if input.last.is_some() {
                        return Err(
                            "only one `time > now() - INTERVAL …` is possible per query".to_owned()
                        );
                    }
                    input = with_hidden(input, column, *size_us);
                }
                _ => plain.push(part),
            }
        }
        let Some(predicate) = conjunction(plain) else {
            return Ok(input);
        };
        let filter = self.expression(&predicate, schema)?;
        let schema = input.plan.schema();
        let columns = identity(&schema);
        let last = input.last;
        Ok(Lowered {
            plan: fused(input.plan, Some(filter), columns, schema),
            last,
        })
    }

    fn aggregate(&mut self, node: &datafusion::logical_expr::Aggregate) -> Result<Lowered, String> {
        let input = self.node(&node.input, None)?;
        let below = node.input.schema();
        let mut exprs: Vec<Expr> = node.group_expr.clone();
        if exprs.iter().any(|it| matches!(it, Expr::GroupingSet(_))) {
            return Err(
                "GROUPING SETS, ROLLUP and CUBE are not maintained; write one view per grouping"
                    .to_owned(),
            );
        }
        let keys: Vec<usize> = (0..exprs.len()).collect();
        let mut aggregates = Vec::new();
        for (expr, field) in node
            .aggr_expr
            .iter()
            .zip(node.schema.fields().iter().skip(keys.len()))
        {
            aggregates.push(aggregate(expr, field, &mut exprs)?);
        }
        let columns = self.expressions(&exprs, below)?;
        let input_schema = input.plan.schema();
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(at, it)| {
                let named = it
                    .return_field(&input_schema)
                    .map_err(|it| it.strip_backtrace())?;
                let name = exprs[at].schema_name().to_string();
                Ok(Field::new(
                    name.rsplit('.').next().unwrap_or_default(),
                    named.data_type().clone(),
                    true,
                ))
            })
            .collect::<Result<_, String>>()?;
        for aggregate in &mut aggregates {
            if let Some(argument) = aggregate.argument {
                aggregate.argument_type = fields[argument].data_type().clone();
            }
        }
        let group: Vec<Expr> = node.group_expr.clone();
        let window = self.window_of(&group, &node.input)?;
        let mapped = mapped(input, None, columns, Arc::new(Schema::new(fields)));
        self.grouped(mapped, keys, aggregates, arrow_schema(&node.schema), window)
    }

    fn group(
        &mut self,
        input: Lowered,
        keys: Vec<usize>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
        below: &LogicalPlan,
    ) -> Result<Lowered, String> {
        let exprs: Vec<Expr> = below
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let window = self.window_of(&exprs, below)?;
        self.grouped(input, keys, aggregates, schema, window)
    }

    fn grouped(
        &mut self,
        input: Lowered,
        keys: Vec<usize>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
        window: Option<Window>,
    ) -> Result<Lowered, String> {
        if KEYS_MAX < keys.len() || AGGREGATES_MAX < aggregates.len() {
            return Err(format!(
                "a view groups by at most {KEYS_MAX} columns and has at most {AGGREGATES_MAX} aggregates; write several views"
            ));
        }
        let names = input.plan.relations();
        let clock = names.iter().find_map(|it| self.clock_of(it));
        let window = match (window, input.last) {
            (Some(_), Some(_)) => {
                return Err("use either TUMBLE or `now() - INTERVAL`, not both".to_owned());
            }
            (Some(window), None) => window,
            (None, Some(last)) => Window::Last {
                time: last.column,
                size_us: last.size_us,
                step_us: last_step_us(last.size_us),
            },
            (None, None) => Window::None,
        };
        if window != Window::None && clock.is_none() {
            return Err("windows need a source with a WATERMARK".to_owned());
        }
        let append_only = !any_aggregate(&input.plan)
            && !names
                .iter()
                .any(|name| self.views.iter().any(|it| it.name == *name));
        let id = format!("{}.{}", self.name, self.aggregations);
        self.aggregations += 1;
        let aggregation = Arc::new(Aggregation {
            id,
            keys,
            window,
            clock,
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
        let order = node
            .expr
            .iter()
            .map(|it| match &it.expr {
                Expr::Column(column) => Ok(Order {
                    column: node.input.schema().index_of_column(column).map_err(|it| it.strip_backtrace())?,
                    descending: !it.asc,
                    nulls_first: it.nulls_first,
                }),
                other => Err(format!("ORDER BY {other}: order by a column of the result; give the expression a name with AS")),
            })
            .collect::<Result<Vec<_>, String>>()?;
        if !has_aggregate(&input.plan, self.views) {
            return Err(
                "ORDER BY … LIMIT over single records is not maintained; aggregate first"
                    .to_owned(),
            );
        }
        Ok(Lowered {
            plan: Plan::TopK {
                input: Box::new(input.plan),
                order,
                skip,
                limit,
            },
            last: None,
        })
    }

    /// Which group expression is the bound of a window, and how far its end is from it.
    fn window_of(&self, group: &[Expr], input: &LogicalPlan) -> Result<Option<Window>, String> {
        for (key, expr) in group.iter().enumerate() {
            match origin(expr, input) {
                Some((Expr::ScalarFunction(it), below))
                    if [TUMBLE_START, TUMBLE_END].contains(&it.func.name()) =>
                {
                    let [time, Expr::Literal(ScalarValue::Int64(Some(size)), _)] =
                        it.args.as_slice()
                    else {
                        continue;
                    };
                    self.check_event_time(time, below)?;
                    let is_start = it.func.name() == TUMBLE_START;
                    return Ok(Some(Window::Tumble {
                        key,
                        add_us: if is_start { *size } else { 0 },
                        size_us: *size,
                    }));
                }
                Some((Expr::Column(column), LogicalPlan::TableScan(scan))) => {
                    let view = self
                        .views
                        .iter()
                        .find(|it| it.name == scan.table_name.table());
                    let index = scan.source.schema().index_of(&column.name).ok();
                    if let (
                        Some(ViewSpec {
                            kind: ViewKind::Windowed { column, add_us },
                            ..
                        }),
                        Some(index),
                    ) = (view, index)
                        && *column == index
                    {
                        // Rows of a view are never late: its windows are closed by the same clock.
                        return Ok(Some(Window::Tumble {
                            key,
                            add_us: *add_us,
                            size_us: *add_us,
                        }));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn check_event_time(&self, time: &Expr, below: &LogicalPlan) -> Result<(), String> {
        let Some((Expr::Column(column), LogicalPlan::TableScan(scan))) = origin(time, below) else {
            return Err("TUMBLE works on the event-time column of a source, unchanged".to_owned());
        };
        let name = scan.table_name.table();
        let wanted = self.event_time_name(name);
        match wanted {
            Some(wanted) if wanted == column.name => Ok(()),
            Some(wanted) => Err(format!(
                "TUMBLE works on the event time of {name}, which is `{wanted}`, not `{}`",
                column.name
            )),
            None => Err(format!(
                "TUMBLE needs an event time: declare WATERMARK FOR {} AS {} - INTERVAL '10' SECOND in the source of {name}",
                column.name, column.name
            )),
        }
    }

    fn event_time_name(&self, relation: &str) -> Option<String> {
        if let Some(source) = self.sources.iter().find(|it| it.name == relation) {
            return source
                .event_time
                .map(|EventTime { column, .. }| source.columns[column].name.clone());
        }
        let table = self.tables.iter().find(|it| it.name == relation)?;
        table
            .event_time
            .map(|it| table.plan.schema().field(it).name().clone())
    }

    fn clock_of(&self, relation: &str) -> Option<String> {
        if let Some(source) = self.sources.iter().find(|it| it.name == relation) {
            return source.event_time.map(|_| source.name.clone());
        }
        if let Some(table) = self.tables.iter().find(|it| it.name == relation) {
            return self.clock_of(&table.source);
        }
        self.views
            .iter()
            .find(|it| it.name == relation)
            .and_then(|it| it.clock.clone())
    }

    fn expression(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, String> {
        super::functions::with_short_casts(expr.clone(), schema)
            .and_then(|it| self.state.create_physical_expr(it, schema))
            .and_then(super::choice::with_choices)
            .map_err(|it| it.strip_backtrace())
    }

    fn expressions(
        &self,
        exprs: &[Expr],
        schema: &DFSchema,
    ) -> Result<Vec<Arc<dyn PhysicalExpr>>, String> {
        exprs.iter().map(|it| self.expression(it, schema)).collect()
    }
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
    let result_type = field.data_type().clone();
    Ok(Aggregate {
        function,
        argument,
        filter,
        argument_type: DataType::Null,
        result_type,
    })
}

/// Follows a column down to what computes it: an expression, or a column of a scanned relation.
fn origin<'a>(expr: &Expr, plan: &'a LogicalPlan) -> Option<(Expr, &'a LogicalPlan)> {
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

/// Whether and where the rows of a plan say which window they belong to.
pub(super) fn kind_of(plan: &Plan, views: &[ViewSpec]) -> Result<ViewKind, String> {
    let columns = plan.schema().fields().len();
    for column in 0..columns {
        if let Some(add_us) = window_end(plan, column, views) {
            return Ok(ViewKind::Windowed { column, add_us });
        }
    }
    let mut windowed = false;
    plan.walk(&mut |node| {
        windowed |= matches!(node, Plan::Aggregate { aggregation, .. } if matches!(aggregation.window, Window::Tumble { .. }));
    });
    match windowed {
        true => Err("a windowed view must keep window_start or window_end in its SELECT, so that its rows can be closed".to_owned()),
        false => Ok(ViewKind::Open),
    }
}

fn window_end(plan: &Plan, column: usize, views: &[ViewSpec]) -> Option<i64> {
    match plan {
        Plan::Relation { name, columns, .. } => {
            match views.iter().find(|it| it.name == *name)?.kind {
                ViewKind::Windowed {
                    column: end,
                    add_us,
                } if columns[column] == end => Some(add_us),
                _ => None,
            }
        }
        Plan::Map { input, columns, .. } => {
            let below = columns[column].downcast_ref::<PhysicalColumn>()?;
            window_end(input, below.index(), views)
        }
        Plan::Aggregate { aggregation, .. } => match aggregation.window {
            Window::Tumble { key, add_us, .. } if key == column => Some(add_us),
            _ => None,
        },
        Plan::TopK { .. } => None,
        Plan::Union { inputs, .. } => {
            let ends: Vec<_> = inputs
                .iter()
                .map(|it| window_end(it, column, views))
                .collect::<Option<_>>()?;
            ends.windows(2)
                .all(|pair| pair[0] == pair[1])
                .then(|| ends[0])
        }
    }
}

/// The column of a plan over one relation that is that relation's column, unchanged.
pub(super) fn unchanged(plan: &Plan, wanted: usize) -> Option<usize> {
    fn source_column(plan: &Plan, column: usize) -> Option<usize> {
        match plan {
            Plan::Relation { columns, .. } => columns.get(column).copied(),
            Plan::Map { input, columns, .. } => source_column(
                input,
                columns[column].downcast_ref::<PhysicalColumn>()?.index(),
            ),
            _ => None,
        }
    }
    (0..plan.schema().fields().len()).find(|it| source_column(plan, *it) == Some(wanted))
}

fn any_aggregate(plan: &Plan) -> bool {
    let mut found = false;
    plan.walk(&mut |node| found |= matches!(node, Plan::Aggregate { .. } | Plan::TopK { .. }));
    found
}

/// Whether rows of the plan are aggregates, directly or through a view.
pub(super) fn has_aggregate(plan: &Plan, views: &[ViewSpec]) -> bool {
    match plan {
        Plan::Relation { name, .. } => views.iter().any(|it| it.name == *name),
        Plan::Aggregate { .. } => true,
        _ => plan.inputs().into_iter().all(|it| has_aggregate(it, views)),
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
fn fused(
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

fn identity(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| Arc::new(PhysicalColumn::new(field.name(), at)) as Arc<dyn PhysicalExpr>)
        .collect()
}

fn is_identity(columns: &[Arc<dyn PhysicalExpr>], below: usize) -> bool {
    columns.len() == below
        && columns.iter().enumerate().all(|(at, it)| {
            it.downcast_ref::<PhysicalColumn>()
                .is_some_and(|it| it.index() == at)
        })
}

fn arrow_schema(schema: &DFSchema) -> SchemaRef {
    Arc::new(schema.as_arrow().clone())
}

fn first_line(plan: &LogicalPlan) -> String {
    plan.display()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
