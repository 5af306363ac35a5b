//! What is computed from all rows of a group: window functions, and aggregates that cannot be kept up to date by sums.
//!
//! The node of the query becomes a physical plan of its own, over rows as they are carried and yielding rows as they are carried.

use super::lower::{Lowered, Lowering, plain_name};
use super::{tolerant, types, words};
use crate::plan::{
    Admitted, GroupRows, GroupWindow, Order, PerGroup, Plan, Program, Properties, Rank, RankLimit,
    Ranking, SESSION_END, SESSION_START, carried_or_same, check_rows,
};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::utils::find_window_exprs;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Window, cast, ident,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column as PhysicalColumn};
use std::sync::Arc;

/// Rows that a program is tried with before anything runs.
const TRIED_ROWS: usize = 2;

impl Lowering<'_> {
    /// Window functions: per group of what all of them are partitioned by.
    pub(super) fn window(&mut self, node: &Window) -> Result<Lowered, String> {
        let exprs = find_window_exprs(&node.window_expr);
        let mut partitions = exprs.iter().map(|it| match it {
            Expr::WindowFunction(it) => it.params.partition_by.clone(),
            _ => Vec::new(),
        });
        let mut keys = partitions.next().unwrap_or_default();
        for of_next in partitions {
            keys.retain(|it| of_next.contains(it));
        }
        let ranks = ranks(node, &exprs, &keys);
        let texts: Result<Vec<String>, String> = node.window_expr.iter().map(plain_name).collect();
        self.per_group(
            LogicalPlan::Window(node.clone()),
            &node.input,
            &keys,
            texts?.join(", "),
            ranks,
            sessions(&exprs),
        )
    }

    /// Aggregates that need all rows of their group.
    pub(super) fn whole_groups(&mut self, node: &Aggregate) -> Result<Lowered, String> {
        let texts: Result<Vec<String>, String> = node.aggr_expr.iter().map(plain_name).collect();
        self.per_group(
            LogicalPlan::Aggregate(node.clone()),
            &node.input,
            &node.group_expr,
            texts?.join(", "),
            None,
            None,
        )
    }

    fn per_group(
        &mut self,
        node: LogicalPlan,
        below: &LogicalPlan,
        keys: &[Expr],
        text: String,
        ranks: Option<Ranks>,
        sessions: Option<Bounds>,
    ) -> Result<Lowered, String> {
        let input = self.rows(below)?;
        let own = below.schema().fields().len();
        let order = ranks
            .iter()
            .flat_map(|it| it.order.iter().map(|it| &it.expr));
        let columns: Vec<Expr> = keys.iter().chain(order).cloned().collect();
        let (input, mut columns) = self.with_keys(input, &columns, below.schema())?;
        let order = columns.split_off(keys.len());
        let keys = columns;
        let known = self.properties(&input);
        let is_window = matches!(node, LogicalPlan::Window(_));
        let carried = types::carried_schema(node.schema());
        let (plan, schema) =
            fragment(node, below, &input.schema(), is_window).map_err(|it| words::planner(&it))?;
        check_rows(&input.schema())?;
        check_rows(&schema)?;
        let keys_out: Vec<usize> = match is_window {
            // The keys that are computed stand behind all else.
            true => {
                let moved = carried.fields().len() - own;
                let place = |it: &usize| if *it < own { *it } else { *it + moved };
                keys.iter().map(place).collect()
            }
            false => (0..keys.len()).collect(),
        };
        let program = futures::executor::block_on(self.state.create_physical_plan(&plan))
            .and_then(|it| Program::new(Arc::clone(&it), tolerant::tolerant(it)?, text))
            .map_err(|it| words::planner(&it))?;
        attempt(&program, &input.schema())?;
        let of_key = || {
            let mut keys = keys.iter().zip(&keys_out);
            keys.find_map(|(input, output)| {
                Some(GroupWindow::OfKey {
                    input: *input,
                    output: *output,
                    add_us: known.window_ends[*input]?,
                })
            })
        };
        let window = sessions
            .and_then(|it| it.window(below.schema(), &known))
            .or_else(of_key)
            .filter(|_| self.closes);
        let group = PerGroup {
            id: format!("{}.group{}", self.name, self.groups),
            is_one: keys.is_empty() && !is_window,
            key: match is_window {
                true => known.key.filter(|it| it.iter().all(|it| *it < own)),
                false => Some(keys_out.clone()),
            },
            keys,
            keys_out,
            ranking: ranks.map(|it| it.over(&order, own)),
            program,
            window,
            clocks: known.clocks,
        };
        self.groups += 1;
        let plan = Plan::PerGroup {
            input: Box::new(input),
            group: Arc::new(group),
            schema,
        };
        Ok(self.first_columns(plan, carried))
    }
}

/// Bounds of sessions, as a query has them.
struct Bounds {
    time: Column,
    gap_us: i64,
    /// Which of the functions is the end.
    end: Option<usize>,
}

/// What functions of a node compute, if it is nothing but bounds of the same sessions.
fn sessions(exprs: &[Expr]) -> Option<Bounds> {
    let mut bounds: Option<Bounds> = None;
    for (at, expr) in exprs.iter().enumerate() {
        let Expr::WindowFunction(it) = expr else {
            return None;
        };
        let [
            Expr::Column(time),
            Expr::Literal(ScalarValue::Int64(Some(gap_us)), _),
        ] = it.params.args.as_slice()
        else {
            return None;
        };
        let end = match it.fun.name() {
            SESSION_START => None,
            SESSION_END => Some(at),
            _ => return None,
        };
        match &mut bounds {
            None => {
                bounds = Some(Bounds {
                    time: time.clone(),
                    gap_us: *gap_us,
                    end,
                });
            }
            Some(known) if (&known.time, known.gap_us) == (time, *gap_us) => {
                known.end = known.end.or(end);
            }
            Some(_) => return None,
        }
    }
    bounds
}

impl Bounds {
    /// When rows below are let go: if they are records that came on time, with their session.
    fn window(self, below: &DFSchema, known: &Properties) -> Option<GroupWindow> {
        let time = below.index_of_column(&self.time).ok()?;
        let on_time = Admitted::on_time(time);
        let never_changes = known.append_only && known.admitted == Some(on_time);
        never_changes.then_some(GroupWindow::OfSession {
            time,
            gap_us: self.gap_us,
            end: self.end.map(|it| below.fields().len() + it),
        })
    }
}

/// Ranks by one order, as a query has them.
struct Ranks {
    order: Vec<Sort>,
    ranks: Vec<Rank>,
}

/// What a node computes, if it is nothing but ranks of all rows of a group, by one order.
fn ranks(node: &Window, exprs: &[Expr], keys: &[Expr]) -> Option<Ranks> {
    let mut ranks: Option<Ranks> = None;
    // An expression may be more than the function.
    if exprs.len() != node.window_expr.len() {
        return None;
    }
    for expr in &node.window_expr {
        let Expr::WindowFunction(it) = expr.clone().unalias_nested().data else {
            return None;
        };
        let rank = match it.fun.name() {
            "row_number" => Rank::RowNumber,
            "rank" => Rank::Rank,
            "dense_rank" => Rank::DenseRank,
            _ => return None,
        };
        let params = it.params;
        if params.partition_by.len() != keys.len() || params.filter.is_some() {
            return None;
        }
        match &mut ranks {
            None => {
                ranks = Some(Ranks {
                    order: params.order_by,
                    ranks: vec![rank],
                });
            }
            Some(known) if known.order == params.order_by => known.ranks.push(rank),
            Some(_) => return None,
        }
    }
    ranks
}

impl Ranks {
    /// As the operator ranks rows whose first `own` columns are those of the node below.
    fn over(self, columns: &[usize], own: usize) -> Ranking {
        let order = self.order.iter().zip(columns).map(|(it, column)| Order {
            column: *column,
            descending: !it.asc,
            nulls_first: it.nulls_first,
        });
        let mut order: Vec<Order> = order.collect();
        if self.ranks.iter().all(|it| *it == Rank::RowNumber) {
            without_ties(&mut order, own);
        }
        Ranking {
            order,
            ranks: self.ranks,
            first: own,
            limit: None,
        }
    }
}

/// Takes from the end of an order what equal rows are ordered by in any case: all columns, one after the other.
fn without_ties(order: &mut Vec<Order>, own: usize) {
    if !(0..own).all(|column| order.iter().any(|it| it.column == column)) {
        return;
    }
    let mut after = usize::MAX;
    while let Some(it) = order.last()
        && !it.descending
        && it.nulls_first
        && it.column < after
    {
        after = it.column;
        order.pop();
    }
}

/// A plan in which rows beyond a rank are not kept, where a condition reads no others: `rank <= 3`, `row_number = 1`.
pub(super) fn limited(
    plan: Plan,
    condition: &Expr,
    place: impl Fn(&Column) -> Option<usize>,
    append_only: &impl Fn(&Plan) -> bool,
) -> Plan {
    match greatest(condition).and_then(|(column, greatest)| Some((place(column)?, greatest))) {
        Some((column, greatest)) => limited_at(plan, column, greatest, append_only),
        None => plan,
    }
}

/// The column that a condition compares, and the greatest value it lets through.
fn greatest(condition: &Expr) -> Option<(&Column, i64)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else {
        return None;
    };
    let (column, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
        _ => return None,
    };
    let value = match value {
        ScalarValue::UInt64(Some(it)) => i64::try_from(*it).ok()?,
        ScalarValue::Int64(Some(it)) => *it,
        _ => return None,
    };
    match op {
        Operator::LtEq | Operator::Eq => Some((column, value)),
        Operator::Lt => Some((column, value.saturating_sub(1))),
        _ => None,
    }
}

/// The column that an expression is, whatever type of number it is carried as.
fn column_of(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => column_of(cast.expr()),
        None => expr
            .downcast_ref::<PhysicalColumn>()
            .map(PhysicalColumn::index),
    }
}

fn limited_at(
    plan: Plan,
    column: usize,
    greatest: i64,
    append_only: &impl Fn(&Plan) -> bool,
) -> Plan {
    match plan {
        Plan::Map {
            input,
            filter: None,
            columns,
            schema,
        } => {
            let below = column_of(&columns[column]);
            let input = match below {
                Some(column) => Box::new(limited_at(*input, column, greatest, append_only)),
                None => input,
            };
            Plan::Map {
                input,
                filter: None,
                columns,
                schema,
            }
        }
        Plan::PerGroup {
            input,
            mut group,
            schema,
        } if group.ranking.as_ref().is_some_and(|it| it.has_rank(column)) => {
            let it = Arc::make_mut(&mut group);
            // Rows of a window go with it.
            let drops = it.window.is_none() && append_only(&input);
            if let Some(ranking) = &mut it.ranking {
                let rank = column - ranking.first;
                ranking.limit = Some(RankLimit {
                    rank,
                    greatest,
                    drops,
                });
            }
            Plan::PerGroup {
                input,
                group,
                schema,
            }
        }
        other => other,
    }
}

/// The node over rows as they are carried, and the columns that it yields, as they are carried.
fn fragment(
    node: LogicalPlan,
    below: &LogicalPlan,
    input: &SchemaRef,
    is_window: bool,
) -> Result<(LogicalPlan, SchemaRef)> {
    let name = |at: usize| format!("c{at}");
    let fields = input.fields().iter().enumerate();
    let fields: Vec<Field> = fields
        .map(|(at, it)| Field::new(name(at), it.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = StreamingTable::try_new(Arc::clone(&schema), vec![Arc::new(GroupRows(schema))])?;
    let scan = LogicalPlanBuilder::scan("rows", provider_as_source(Arc::new(rows)), None)?;
    // Each column as the node knows it; behind them keys that are computed.
    let planned = below.schema();
    let own = planned.iter().enumerate().map(|(at, (relation, field))| {
        let column = match carried_or_same(field.data_type()) == *field.data_type() {
            true => ident(name(at)),
            false => cast(ident(name(at)), field.data_type().clone()),
        };
        column.alias_qualified(relation.cloned(), field.name())
    });
    let own_len = planned.fields().len();
    let computed =
        (own_len..input.fields().len()).map(|at| ident(name(at)).alias(format!("__key{at}")));
    let rows = scan.project(own.chain(computed))?.build()?;
    let node = node.with_new_exprs(node.expressions(), vec![rows])?;
    let yielded = node.schema().as_ref().clone();
    let all = yielded.fields().len();
    let order: Vec<usize> = match is_window {
        true => {
            let (own, keys) = (0..own_len, own_len..input.fields().len());
            own.chain(input.fields().len()..all).chain(keys).collect()
        }
        false => (0..all).collect(),
    };
    let columns = order
        .iter()
        .map(|at| Expr::Column(Column::from(yielded.qualified_field(*at))));
    let columns: Vec<Expr> = columns
        .map(|it| types::leaving(&it, &yielded))
        .collect::<Result<_>>()?;
    let fields = order.iter().map(|at| {
        let field = yielded.field(*at);
        Field::new(field.name(), carried_or_same(field.data_type()), true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let named = columns.into_iter().enumerate();
    let named = named.map(|(at, it)| it.unalias().alias(format!("o{at}")));
    let plan = LogicalPlanBuilder::from(node).project(named)?.build()?;
    Ok((plan, schema))
}

/// Refuses a program that fails whatever the rows are.
fn attempt(program: &Program, input: &SchemaRef) -> Result<(), String> {
    let fields = input.fields().iter().enumerate();
    let fields = fields.map(|(at, it)| Field::new(format!("c{at}"), it.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = schema.fields().iter();
    let columns: Vec<ArrayRef> = columns
        .map(|it| new_null_array(it.data_type(), TRIED_ROWS))
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(TRIED_ROWS));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options);
    let rows = rows.map_err(|it| it.to_string())?;
    program
        .run(rows)
        .map(|_| ())
        .map_err(|it| words::planner(&it))
}
