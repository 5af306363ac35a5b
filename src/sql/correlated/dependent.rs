//! A sub-query computed for every row of its domain at once: its rows, each with the outer columns it was computed for.

use super::outer::{Renamed, as_own, free, free_of_expr, renamed};
use super::{Unnesting, joined, lateral, not_understood, of_sets, projected};
use crate::sql::definite::ties;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, JoinType, Result};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, FetchType, Filter, Join, Limit, LogicalPlan,
    LogicalPlanBuilder, Projection, SkipType, SubqueryAlias, Union, Unnest, Window, lit,
};
use std::sync::Arc;

/// The distinct values that a sub-query has of outer rows.
pub struct Domain {
    /// The columns of the outer rows.
    pub outer: Vec<Column>,
    /// A row for each combination of values, in the order of these columns.
    pub rows: LogicalPlan,
}

/// Rows of a sub-query: its columns, and behind them those of the domain.
pub struct Dependent {
    pub plan: LogicalPlan,
    /// The columns of the domain.
    pub keys: Vec<Column>,
}

impl Dependent {
    /// A plan whose last columns are those of the domain.
    pub fn of(plan: LogicalPlan, domain: &Domain) -> Self {
        let columns = plan.schema().columns();
        let keys = columns[columns.len() - domain.outer.len()..].to_vec();
        Dependent { plan, keys }
    }
}

impl Unnesting<'_> {
    /// The rows of a plan for each row of a domain.
    pub fn dependent(&mut self, plan: &LogicalPlan, domain: &Domain) -> Result<Dependent> {
        let outer = free(plan)?;
        if !outer.iter().any(|it| domain.outer.contains(it)) {
            return self.for_each(plan, domain);
        }
        let plan = match plan {
            LogicalPlan::Filter(it) => {
                let below = self.dependent(&it.input, domain)?;
                let names = names(domain, &below.keys);
                let predicate = as_own(it.predicate.clone(), plan, &names)?;
                LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(below.plan))?)
            }
            LogicalPlan::Projection(it) => {
                let below = self.dependent(&it.input, domain)?;
                let mut exprs = own(&it.expr, plan, domain, &below.keys)?;
                exprs.extend(below.keys.into_iter().map(Expr::Column));
                let projection = Projection::try_new(exprs, Arc::new(below.plan))?;
                LogicalPlan::Projection(projection)
            }
            LogicalPlan::SubqueryAlias(it) => {
                let below = Arc::new(self.dependent(&it.input, domain)?.plan);
                LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(below, it.alias.clone())?)
            }
            // The order of rows has no meaning but below a LIMIT.
            LogicalPlan::Sort(it) if it.fetch.is_none() => {
                return self.dependent(&it.input, domain);
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let below = self.dependent(input, domain)?;
                LogicalPlan::Distinct(Distinct::All(Arc::new(below.plan)))
            }
            LogicalPlan::Aggregate(it) if of_sets::has_sets(it) => {
                return self.of_sets(it, domain);
            }
            LogicalPlan::Aggregate(it) => self.aggregate(it, plan, domain)?,
            LogicalPlan::Window(it) => self.window(it, plan, domain)?,
            LogicalPlan::Limit(it) => self.limit(it, domain)?,
            LogicalPlan::Join(it) => self.dependent_join(it, plan, domain)?,
            LogicalPlan::Union(it) => {
                let inputs = it.inputs.iter();
                let inputs = inputs.map(|it| Ok(Arc::new(self.dependent(it, domain)?.plan)));
                let inputs = inputs.collect::<Result<Vec<_>>>()?;
                LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)
            }
            LogicalPlan::Unnest(it) => {
                let below = Arc::new(self.dependent(&it.input, domain)?.plan);
                let unnest = Unnest::try_new(below, it.exec_columns.clone(), it.options.clone())?;
                LogicalPlan::Unnest(unnest)
            }
            _ => return not_understood(),
        };
        Ok(Dependent::of(plan, domain))
    }

    /// The rows of a plan that has nothing of outer rows, once for each row of the domain.
    fn for_each(&mut self, plan: &LogicalPlan, domain: &Domain) -> Result<Dependent> {
        let rows = self.instance(domain)?.plan;
        let plan = match plan {
            LogicalPlan::EmptyRelation(it) if it.produce_one_row => rows,
            other => LogicalPlanBuilder::from(other.clone())
                .cross_join(rows)?
                .build()?,
        };
        Ok(Dependent::of(plan, domain))
    }

    /// The domain, with names of its own.
    fn instance(&mut self, domain: &Domain) -> Result<Dependent> {
        let columns = domain.rows.schema().columns();
        let (exprs, keys) = self.renamed(&columns, "outer");
        let plan = projected(domain.rows.clone(), exprs)?;
        Ok(Dependent { plan, keys })
    }

    /// An aggregate of one set of keys.
    pub fn aggregate(
        &mut self,
        node: &Aggregate,
        plan: &LogicalPlan,
        domain: &Domain,
    ) -> Result<LogicalPlan> {
        let below = self.dependent(&node.input, domain)?;
        let mut groups = own(&node.group_expr, plan, domain, &below.keys)?;
        let mut aggregates = own(&node.aggr_expr, plan, domain, &below.keys)?;
        let mut rows = below.plan;
        let mut keys = below.keys;
        if groups.is_empty() {
            // An aggregate of no rows is a row, too: every row of the domain has one, whose aggregates leave out what is only there for that.
            let there = self.name("there");
            let mut columns: Vec<Expr> = rows
                .schema()
                .columns()
                .into_iter()
                .map(Expr::Column)
                .collect();
            columns.push(lit(true).alias(&there));
            let marked = projected(rows, columns)?;
            let every = self.instance(domain)?;
            let is_there = Expr::Column(Column::new_unqualified(there)).is_not_null();
            let all = Arc::new(every.plan);
            rows = joined(&all, marked, &every.keys, &keys, None, JoinType::Left)?;
            let renamed = names_of(&keys, &every.keys);
            keys = every.keys;
            for it in &mut aggregates {
                let name = NamePreserver::new_for_projection().save(it);
                *it = name.restore(of_rows_there(it.clone(), &is_there, &renamed)?);
            }
        }
        let count = groups.len();
        groups.extend(keys.into_iter().map(Expr::Column));
        let grouped = Aggregate::try_new(Arc::new(rows), groups, aggregates)?;
        let columns = grouped.schema.columns();
        let of_domain = count..count + domain.outer.len();
        let (keys, own): (Vec<_>, Vec<_>) = columns
            .into_iter()
            .enumerate()
            .partition(|(at, _)| of_domain.contains(at));
        let columns = own.into_iter().chain(keys).map(|it| Expr::Column(it.1));
        projected(LogicalPlan::Aggregate(grouped), columns.collect())
    }

    fn window(
        &mut self,
        node: &Window,
        plan: &LogicalPlan,
        domain: &Domain,
    ) -> Result<LogicalPlan> {
        let below = self.dependent(&node.input, domain)?;
        let exprs = own(&node.window_expr, plan, domain, &below.keys)?;
        let within = exprs.into_iter().map(|it| {
            let name = NamePreserver::new_for_projection().save(&it);
            let changed = it.transform_up(|it| match it {
                Expr::WindowFunction(mut call) => {
                    let keys = below.keys.iter().cloned().map(Expr::Column);
                    call.params.partition_by.extend(keys);
                    Ok(Transformed::yes(Expr::WindowFunction(call)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(name.restore(changed.data))
        });
        let within = within.collect::<Result<Vec<_>>>()?;
        let windows = Window::try_new(within, Arc::new(below.plan))?;
        keys_last(LogicalPlan::Window(windows), &below.keys)
    }

    /// The first rows for each row of the domain, by their number.
    fn limit(&mut self, node: &Limit, domain: &Domain) -> Result<LogicalPlan> {
        let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) =
            (node.get_skip_type(), node.get_fetch_type())
        else {
            return not_understood();
        };
        let moved = |input: &Arc<LogicalPlan>| {
            Arc::new(LogicalPlan::Limit(Limit {
                input: Arc::clone(input),
                ..node.clone()
            }))
        };
        let (input, mut order) = match node.input.as_ref() {
            LogicalPlan::Projection(it) => {
                let exprs = it.expr.clone();
                let projection = Projection::try_new(exprs, moved(&it.input))?;
                let plan = LogicalPlan::Projection(projection);
                return Ok(self.dependent(&plan, domain)?.plan);
            }
            LogicalPlan::SubqueryAlias(it) => {
                let alias = SubqueryAlias::try_new(moved(&it.input), it.alias.clone())?;
                let plan = LogicalPlan::SubqueryAlias(alias);
                return Ok(self.dependent(&plan, domain)?.plan);
            }
            LogicalPlan::Sort(it) if it.fetch.is_none() => (&it.input, it.expr.clone()),
            _ => (&node.input, Vec::new()),
        };
        // Rows that are equal in the order are told apart by all their columns.
        for it in ties(input, self.dataflow) {
            if !order.iter().any(|known: &Sort| known.expr == it) {
                order.push(it.sort(true, true));
            }
        }
        let below = self.dependent(input, domain)?;
        let names = names(domain, &below.keys);
        for it in &mut order {
            it.expr = as_own(it.expr.clone(), &node.input, &names)?;
        }
        let mut columns = below.plan.schema().columns();
        let name = self.name("number");
        let number = row_number()
            .partition_by(below.keys.iter().cloned().map(Expr::Column).collect())
            .order_by(order)
            .build()?
            .alias(&name);
        let numbered = Window::try_new(vec![number], Arc::new(below.plan))?;
        let number = || Expr::Column(Column::new_unqualified(name.as_str()));
        let bound = |it: usize| lit(i64::try_from(it).unwrap_or(i64::MAX));
        let mut taken = number().gt(bound(skip));
        if let Some(fetch) = fetch {
            taken = taken.and(number().lt_eq(bound(skip.saturating_add(fetch))));
        }
        let taken = Filter::try_new(taken, Arc::new(LogicalPlan::Window(numbered)))?;
        let columns = columns.drain(..).map(Expr::Column).collect();
        projected(LogicalPlan::Filter(taken), columns)
    }

    fn dependent_join(
        &mut self,
        node: &Join,
        plan: &LogicalPlan,
        domain: &Domain,
    ) -> Result<LogicalPlan> {
        let depends = |outer: Vec<Column>| outer.iter().any(|it| domain.outer.contains(it));
        let of_left = depends(free(&node.left)?);
        let of_right = depends(free(&node.right)?);
        let on = node.on.iter().flat_map(|it| [&it.0, &it.1]);
        let mut of_condition = false;
        for it in on.chain(&node.filter) {
            of_condition |= depends(free_of_expr(it, plan)?);
        }
        let is_lateral = lateral(&node.right)?.is_some();
        // Sides that have the columns of the domain: whose rows are all in the result, or that have something of outer rows.
        let (left, right) = match node.join_type {
            JoinType::Inner if !is_lateral => (of_left || (of_condition && !of_right), of_right),
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => {
                (true, of_right && !is_lateral)
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => (of_left, true),
            JoinType::Full => (true, true),
            JoinType::LeftMark | JoinType::RightMark => return not_understood(),
        };
        let mut side = |depends: bool, it: &Arc<LogicalPlan>| {
            let rows = depends.then(|| self.dependent(it, domain)).transpose()?;
            Ok::<_, DataFusionError>(match rows {
                Some(it) => (Arc::new(it.plan), it.keys),
                None => (Arc::clone(it), Vec::new()),
            })
        };
        let (left, left_keys) = side(left, &node.left)?;
        let (mut right, right_keys) = side(right, &node.right)?;
        let of_result = match node.join_type {
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => &right_keys,
            _ if left_keys.is_empty() => &right_keys,
            _ => &left_keys,
        };
        if is_lateral {
            // It stays one, of a left side with the columns of the domain.
            let names = names(domain, of_result);
            right = Arc::new(renamed(Arc::unwrap_or_clone(right), &names)?);
        }
        let names = names(domain, of_result);
        let on = node.on.iter();
        let equal = on.map(|(left, right)| left.clone().eq(right.clone()));
        let conditions = equal.chain(node.filter.clone());
        let conditions = conditions.map(|it| as_own(it, plan, &names));
        let filter = conjunction(conditions.collect::<Result<Vec<_>>>()?);
        let keys: (&[Column], &[Column]) = match left_keys.is_empty() || right_keys.is_empty() {
            true => (&[], &[]),
            false => (&left_keys, &right_keys),
        };
        let right = Arc::unwrap_or_clone(right);
        let rows = joined(&left, right, keys.0, keys.1, filter, node.join_type)?;
        let mut columns: Vec<Expr> = node
            .schema
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        match node.join_type {
            // Either side's, whichever is there.
            JoinType::Full => {
                columns.extend(left_keys.iter().zip(&right_keys).map(|(left, right)| {
                    let either = [left, right].map(|it| Expr::Column(it.clone()));
                    coalesce(either.into()).alias(self.name("outer"))
                }))
            }
            _ => columns.extend(of_result.iter().cloned().map(Expr::Column)),
        }
        projected(rows, columns)
    }
}

fn names(domain: &Domain, keys: &[Column]) -> Renamed {
    names_of(&domain.outer, keys)
}

fn names_of(from: &[Column], to: &[Column]) -> Renamed {
    from.iter().cloned().zip(to.iter().cloned()).collect()
}

/// Expressions of a node whose columns keep their names, over an input that has the columns of the domain.
fn own(exprs: &[Expr], node: &LogicalPlan, domain: &Domain, keys: &[Column]) -> Result<Vec<Expr>> {
    let names = names(domain, keys);
    let own = exprs.iter().map(|it| {
        let name = NamePreserver::new_for_projection().save(it);
        Ok(name.restore(as_own(it.clone(), node, &names)?))
    });
    own.collect()
}

/// An aggregate of the rows that are there, over columns of the domain under other names.
fn of_rows_there(expr: Expr, is_there: &Expr, renamed: &Renamed) -> Result<Expr> {
    let changed = expr.transform_up(|it| match it {
        Expr::Column(it) if renamed.contains_key(&it) => {
            Ok(Transformed::yes(Expr::Column(renamed[&it].clone())))
        }
        Expr::AggregateFunction(mut call) => {
            let own = call.params.filter.take().map(|it| *it);
            let filter = match own {
                None => is_there.clone(),
                Some(own) => is_there.clone().and(own),
            };
            call.params.filter = Some(Box::new(filter));
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(changed.data)
}

/// A plan with the columns of the domain behind all others.
fn keys_last(plan: LogicalPlan, keys: &[Column]) -> Result<LogicalPlan> {
    let mut columns = plan.schema().columns();
    columns.retain(|it| !keys.contains(it));
    columns.extend(keys.iter().cloned());
    projected(plan, columns.into_iter().map(Expr::Column).collect())
}
