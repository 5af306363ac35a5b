//! Correlated sub-queries that the planner has no rule for, as joins.
//!
//! The planner's own rules pull conditions with columns of the outer row out of a sub-query, as long as these stand in its WHERE. What is left
//! (outer columns two queries up, below a join's ON, an aggregate, a LIMIT or a UNION, `NOT IN` with a condition) is unnested here, after Neumann and
//! Kemper, "Unnesting arbitrary queries": the sub-query is computed for every distinct combination of the outer columns it has, its *domain*
//! ([`dependent`]), and joined with the outer rows by these. The live view and its batch are planned from the same result, so both read it the same
//! way; views whose sub-queries the planner understands keep the plans they had.

mod dependent;
mod of_sets;
mod one_row;
mod outer;
#[cfg(test)]
mod tests;

use super::{planning_state, side_by_side};
use crate::plan::Dataflow;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DataFusionError, ExprSchema, JoinType, NullEquality, Result, ScalarValue, Spans,
    plan_err,
};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, Exists, InSubquery, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, JoinConstraint, LogicalPlan, Operator,
    Projection, SubqueryAlias, lit, when,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use dependent::Domain;
use outer::{free, is_correlated};
use std::sync::Arc;

/// The same query without sub-queries that only this module understands.
///
/// # Errors
/// If one stands for a single value and may have several rows, or a text is compared with a number: what to write instead.
pub fn unnested(plan: LogicalPlan, dataflow: &Dataflow) -> Result<LogicalPlan> {
    if !has_subqueries(&plan) {
        return Ok(plan);
    }
    side_by_side::refuse_incomparable(&plan)?;
    if is_planned(&plan) {
        return Ok(plan);
    }
    let mut unnesting = Unnesting { dataflow, made: 0 };
    match unnesting.whole(plan.clone()) {
        // It is refused where it cannot be planned.
        Err(DataFusionError::NotImplemented(_)) => Ok(plan),
        other => other,
    }
}

fn has_subqueries(plan: &LogicalPlan) -> bool {
    let mut found = is_correlated(plan);
    // It never fails.
    let _ = plan.apply(|node| {
        node.apply_expressions(|it| {
            found |= has_subquery(it);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// Whether the planner's own rules make joins of all sub-queries, and the right ones.
fn is_planned(plan: &LogicalPlan) -> bool {
    let mut is_understood = true;
    // It never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(it) = node {
            let mut conditions = split_conjunction(&it.predicate).into_iter();
            is_understood &= !conditions.any(loses_null);
            is_understood &= !(it.predicate.contains_outer() && is_of_all_rows(&it.input));
        }
        // The planner pulls a condition of the outer row above window functions, which then have the rows of all outer rows.
        if let LogicalPlan::Window(it) = node {
            is_understood &= free(&it.input).is_ok_and(|it| it.is_empty());
        }
        // Of the rows of no outer row there is still the one of an empty set.
        if let LogicalPlan::Aggregate(it) = node {
            is_understood &=
                !of_sets::has_sets(it) || free(&it.input).is_ok_and(|it| it.is_empty());
        }
        if let LogicalPlan::Join(it) = node {
            is_understood &= !loses_unmatched(it);
            is_understood &= !(outer::left_of_lateral(node, 1).is_some() && mixes_up(&it.right));
        }
        node.apply_expressions(|it| {
            is_understood &= !it.exists(|it| Ok(is_of_no_rows(it) || is_constant(it)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    is_understood && is_joined(plan)
}

/// Whether rows are an aggregate without GROUP BY: the planner takes a condition of the outer row on it for one on the aggregated rows.
fn is_of_all_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(it) => it.group_expr.is_empty(),
        LogicalPlan::Projection(it) => is_of_all_rows(&it.input),
        LogicalPlan::SubqueryAlias(it) => is_of_all_rows(&it.input),
        LogicalPlan::Filter(it) => is_of_all_rows(&it.input),
        _ => false,
    }
}

/// Whether a sub-query has a row even of no rows, and the planner, which joins, finds none.
fn is_of_no_rows(expr: &Expr) -> bool {
    match expr {
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => {
            is_of_all_rows(&subquery.subquery) && is_correlated(&subquery.subquery)
        }
        _ => false,
    }
}

/// Whether a sub-query is one value even of no rows, which nothing aggregated tells: the planner, which joins, finds NULL then.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarSubquery(it) => {
            is_correlated(&it.subquery) && has_constant_of_all_rows(&it.subquery)
        }
        _ => false,
    }
}

fn has_constant_of_all_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(it) => {
            let depends = |expr: &Expr| {
                let schema = SimplifyContext::builder().with_schema(Arc::clone(it.input.schema()));
                let simplified = ExprSimplifier::new(schema.build()).simplify(expr.clone());
                simplified.is_ok_and(|it| !it.column_refs().is_empty())
            };
            (is_of_all_rows(&it.input) && !it.expr.iter().all(depends))
                || has_constant_of_all_rows(&it.input)
        }
        LogicalPlan::SubqueryAlias(it) => has_constant_of_all_rows(&it.input),
        LogicalPlan::Filter(it) => has_constant_of_all_rows(&it.input),
        _ => false,
    }
}

/// Whether rows without a match would be lost: the planner takes conditions of the outer row out of an outer join as out of any other.
fn loses_unmatched(join: &Join) -> bool {
    let depends = |side: &LogicalPlan| {
        let outer = free(side);
        !outer.is_ok_and(|it| it.iter().all(|it| join.left.schema().has_column(it)))
    };
    let of_condition = join.filter.as_ref().is_some_and(Expr::contains_outer);
    match join.join_type {
        JoinType::Inner => false,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            of_condition || depends(&join.right)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            of_condition || depends(&join.left)
        }
        JoinType::Full => of_condition || depends(&join.left) || depends(&join.right),
    }
}

/// Whether a condition of the outer row has two columns of one name: of a LATERAL sub-query the planner takes both for the first.
fn mixes_up(lateral: &LogicalPlan) -> bool {
    let mut found = false;
    // It never fails.
    let _ = lateral.apply(|node| {
        if let LogicalPlan::Filter(it) = node {
            let conditions = split_conjunction(&it.predicate).into_iter();
            let outer = conditions.filter(|it| it.contains_outer());
            let mut columns: Vec<&Column> = outer.flat_map(Expr::column_refs).collect();
            columns.sort();
            columns.dedup();
            let mut names: Vec<&str> = columns.iter().map(|it| it.name()).collect();
            names.sort_unstable();
            found |= names.windows(2).any(|it| it[0] == it[1]);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Whether it matters in a condition that the planner knows no NULL of an IN that stands below something else.
fn loses_null(condition: &Expr) -> bool {
    let has_in = |it: &Expr| {
        let found = it.exists(|it| Ok(matches!(it, Expr::InSubquery(_))));
        found.unwrap_or(true)
    };
    fn inside(condition: &Expr, has_in: &dyn Fn(&Expr) -> bool) -> bool {
        match condition {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And | Operator::Or,
                right,
            }) => inside(left, has_in) || inside(right, has_in),
            Expr::InSubquery(it) => it.negated || has_in(&it.expr),
            other => has_in(other),
        }
    }
    match condition {
        Expr::InSubquery(it) => has_in(&it.expr),
        Expr::Not(it) => match it.as_ref() {
            Expr::InSubquery(it) => has_in(&it.expr),
            other => has_in(other),
        },
        other => inside(other, &has_in),
    }
}

fn is_joined(plan: &LogicalPlan) -> bool {
    let Ok(plan) = planning_state().optimize(plan) else {
        return false;
    };
    let mut is_left = false;
    // It never fails.
    let _ = plan.apply_with_subqueries(|node| {
        is_left |= match node {
            LogicalPlan::Subquery(_) => true,
            // NOT IN with a condition of its own.
            LogicalPlan::Join(it) => it.null_aware && (it.on.len() != 1 || it.filter.is_some()),
            _ => false,
        };
        is_left |= has_strange_columns(node)?;
        Ok(match is_left {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    !is_left && !is_correlated(&plan)
}

/// Whether a node has columns of none of its inputs: of a query further out, where a rule moved them without looking.
fn has_strange_columns(node: &LogicalPlan) -> Result<bool> {
    let inputs = node.inputs();
    if inputs.is_empty() {
        return Ok(false);
    }
    let is_known = |it: &Column| inputs.iter().any(|input| input.schema().has_column(it));
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.column_refs().into_iter().any(|it| !is_known(it));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// What this module cannot unnest.
fn not_understood<T>() -> Result<T> {
    Err(DataFusionError::NotImplemented(
        "a sub-query of this form".to_owned(),
    ))
}

struct Unnesting<'a> {
    dataflow: &'a Dataflow,
    /// How many names were made up so far.
    made: usize,
}

impl Unnesting<'_> {
    fn name(&mut self, of: &str) -> String {
        self.made += 1;
        format!("__{of}{}", self.made)
    }

    /// From the outermost query inwards: what an inner one has of outer rows is then a column of the query around it.
    fn whole(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let plan = self.node(plan)?;
        let plan = plan.map_children(|it| self.whole(it).map(Transformed::yes))?;
        let plan = plan.data.map_subqueries(|it| match it {
            LogicalPlan::Subquery(of) => {
                let subquery = self.whole(Arc::unwrap_or_clone(of.subquery))?;
                let subquery = outer::subquery(subquery, of.spans);
                Ok(Transformed::yes(LogicalPlan::Subquery(subquery)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        plan.data.recompute_schema()
    }

    /// A node without correlated sub-queries of its own.
    fn node(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if let LogicalPlan::Join(join) = plan {
            return self.join(join);
        }
        let is_filter = matches!(plan, LogicalPlan::Filter(_));
        let mut has_own = false;
        plan.apply_expressions(|it| {
            has_own |= match is_filter {
                true => split_conjunction(it).into_iter().any(is_own),
                false => has_correlated(it) || has_truth(it),
            };
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !has_own {
            return Ok(plan);
        }
        let columns = plan.schema().columns();
        let plan = match plan {
            LogicalPlan::Filter(it) => return self.filter(it),
            LogicalPlan::Projection(it) => {
                let (input, expr) = self.values_in(it.input, it.expr)?;
                return Ok(LogicalPlan::Projection(Projection::try_new(expr, input)?));
            }
            LogicalPlan::Aggregate(it) => {
                let (input, groups) = self.values_in(it.input, it.group_expr)?;
                let (input, aggregates) = self.values_in(input, it.aggr_expr)?;
                let aggregate = Aggregate::try_new(input, groups, aggregates)?;
                return Ok(LogicalPlan::Aggregate(aggregate));
            }
            LogicalPlan::Window(it) => {
                let (input, exprs) = self.values_in(it.input, it.window_expr)?;
                let window = datafusion::logical_expr::Window::try_new(exprs, input)?;
                LogicalPlan::Window(window)
            }
            LogicalPlan::Sort(mut it) => {
                let exprs = it.expr.iter().map(|it| it.expr.clone()).collect();
                let (input, exprs) = self.values_in(it.input, exprs)?;
                it.input = input;
                for (sort, expr) in it.expr.iter_mut().zip(exprs) {
                    sort.expr = expr.unalias();
                }
                LogicalPlan::Sort(it)
            }
            _ => return not_understood(),
        };
        // What was joined is left out again.
        projected(plan, columns.into_iter().map(Expr::Column).collect())
    }

    fn filter(&mut self, filter: Filter) -> Result<LogicalPlan> {
        let columns = filter.input.schema().columns();
        let (correlated, plain): (Vec<_>, Vec<_>) = split_conjunction_owned(filter.predicate)
            .into_iter()
            .partition(is_own);
        let mut input = filter.input;
        if let Some(plain) = conjunction(plain) {
            input = Arc::new(LogicalPlan::Filter(Filter::try_new(plain, input)?));
        }
        let mut rest = Vec::new();
        for condition in correlated {
            match Membership::of(&condition, &input)? {
                Some(of) => input = self.semi_join(input, of)?,
                None => {
                    let (joined, condition) = self.values(input, condition)?;
                    input = joined;
                    rest.push(condition);
                }
            }
        }
        let plan = match conjunction(rest) {
            None => return Ok(Arc::unwrap_or_clone(input)),
            Some(it) => LogicalPlan::Filter(Filter::try_new(it, input)?),
        };
        projected(plan, columns.into_iter().map(Expr::Column).collect())
    }

    /// Rows for which a sub-query has rows, or those for which it has none.
    fn semi_join(&mut self, input: Arc<LogicalPlan>, of: Membership) -> Result<Arc<LogicalPlan>> {
        let Membership { subquery, negated } = of;
        let domain = self.domain(&input, &subquery)?;
        let rows = self.dependent(&subquery, &domain)?;
        let (keys, names) = self.renamed(&rows.keys, "key");
        let right = projected(rows.plan, keys)?;
        let kind = match negated {
            false => JoinType::LeftSemi,
            true => JoinType::LeftAnti,
        };
        joined(&input, right, &domain.outer, &names, None, kind).map(Arc::new)
    }

    fn values_in(
        &mut self,
        mut input: Arc<LogicalPlan>,
        exprs: Vec<Expr>,
    ) -> Result<(Arc<LogicalPlan>, Vec<Expr>)> {
        let mut changed = Vec::new();
        for expr in exprs {
            let name = NamePreserver::new_for_projection().save(&expr);
            let (joined, expr) = self.values(input, expr)?;
            input = joined;
            changed.push(name.restore(expr));
        }
        Ok((input, changed))
    }

    /// An expression with columns in the place of its correlated sub-queries, and what has these columns.
    fn values(&mut self, input: Arc<LogicalPlan>, expr: Expr) -> Result<(Arc<LogicalPlan>, Expr)> {
        let mut input = input;
        let expr = expr.transform_up(|it| {
            let one = match it {
                Expr::ScalarSubquery(it) => it.subquery,
                Expr::Exists(Exists { subquery, negated })
                    if free(&subquery.subquery)?.is_empty() =>
                {
                    Arc::new(self.has_rows(&subquery.subquery, negated)?)
                }
                Expr::Exists(Exists { subquery, negated }) => {
                    let marked = self.marked(&input, &subquery.subquery)?;
                    input = marked.0;
                    return Ok(Transformed::yes(match negated {
                        false => marked.1.is_not_null(),
                        true => marked.1.is_null(),
                    }));
                }
                Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                }) => {
                    let rows = &subquery.subquery;
                    let is_in = self.any_of(rows, &expr, Operator::Eq, &input)?;
                    Arc::new(match negated {
                        false => is_in,
                        true => negated_value(is_in)?,
                    })
                }
                Expr::SetComparison(it) => {
                    let rows = &it.subquery.subquery;
                    Arc::new(match (it.quantifier, it.op.negate()) {
                        (SetQuantifier::Any, _) => self.any_of(rows, &it.expr, it.op, &input)?,
                        (SetQuantifier::All, Some(op)) => {
                            negated_value(self.any_of(rows, &it.expr, op, &input)?)?
                        }
                        (SetQuantifier::All, None) => return not_understood(),
                    })
                }
                // What is in it was replaced.
                other => return Ok(Transformed::no(other)),
            };
            let (joined, value) = self.value(&input, &one)?;
            input = joined;
            Ok(Transformed::yes(value))
        })?;
        Ok((input, expr.data))
    }

    /// The value of a sub-query of one row, as a column behind those of the outer rows.
    fn value(
        &mut self,
        input: &Arc<LogicalPlan>,
        subquery: &LogicalPlan,
    ) -> Result<(Arc<LogicalPlan>, Expr)> {
        if free(subquery)?.is_empty() {
            let subquery = outer::subquery(subquery.clone(), Spans::new());
            return Ok((Arc::clone(input), Expr::ScalarSubquery(subquery)));
        }
        if !one_row::at_most(subquery, self.dataflow) {
            return plan_err!(
                "a sub-query that stands for one value may have several rows for an outer row; take one of them: write max(…) of the value, or ORDER BY … LIMIT 1"
            );
        }
        let domain = self.domain(input, subquery)?;
        let of = subquery.schema().columns();
        let rows = self.dependent(subquery, &domain)?;
        let (mut exprs, names) = self.renamed(&rows.keys, "key");
        let name = self.name("value");
        exprs.push(Expr::Column(of[0].clone()).alias(&name));
        let right = projected(rows.plan, exprs)?;
        let plan = joined(input, right, &domain.outer, &names, None, JoinType::Left)?;
        Ok((Arc::new(plan), Expr::Column(Column::new_unqualified(name))))
    }

    /// A column behind those of the outer rows that is NULL where a sub-query has no row.
    fn marked(
        &mut self,
        input: &Arc<LogicalPlan>,
        subquery: &LogicalPlan,
    ) -> Result<(Arc<LogicalPlan>, Expr)> {
        let domain = self.domain(input, subquery)?;
        let rows = self.dependent(subquery, &domain)?;
        let (keys, names) = self.renamed(&rows.keys, "key");
        let distinct = Distinct::All(Arc::new(projected(rows.plan, keys)?));
        let distinct = LogicalPlan::Distinct(distinct);
        let name = self.name("there");
        let mut exprs: Vec<Expr> = distinct
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        exprs.push(lit(true).alias(&name));
        let right = projected(distinct, exprs)?;
        let plan = joined(input, right, &domain.outer, &names, None, JoinType::Left)?;
        Ok((Arc::new(plan), Expr::Column(Column::new_unqualified(name))))
    }

    /// Whether a value of the outer row compares with any row of a sub-query, in three-valued logic, as a sub-query of one row.
    fn any_of(
        &mut self,
        subquery: &Arc<LogicalPlan>,
        value: &Expr,
        op: Operator,
        input: &LogicalPlan,
    ) -> Result<LogicalPlan> {
        let compares = compared(subquery, value, op, input)?;
        let (some, unknown) = (self.name("some"), self.name("unknown"));
        let counts = vec![
            count(Some(compares.clone())).alias(&some),
            count(Some(compares.is_null())).alias(&unknown),
        ];
        let counted = Aggregate::try_new(Arc::clone(subquery), Vec::new(), counts)?;
        let is_there = |it: String| Expr::Column(Column::new_unqualified(it)).gt(lit(0_i64));
        let value = when(is_there(some), lit(true))
            .when(is_there(unknown), lit(ScalarValue::Boolean(None)))
            .otherwise(lit(false))?;
        projected(
            LogicalPlan::Aggregate(counted),
            vec![value.alias(self.name("any"))],
        )
    }

    /// Whether a sub-query has rows, as a sub-query of one row.
    fn has_rows(&mut self, subquery: &Arc<LogicalPlan>, negated: bool) -> Result<LogicalPlan> {
        let rows = self.name("rows");
        let counts = vec![count(None).alias(&rows)];
        let counted = Aggregate::try_new(Arc::clone(subquery), Vec::new(), counts)?;
        let rows = Expr::Column(Column::new_unqualified(rows));
        let value = match negated {
            false => rows.gt(lit(0_i64)),
            true => rows.eq(lit(0_i64)),
        };
        projected(
            LogicalPlan::Aggregate(counted),
            vec![value.alias(self.name("any"))],
        )
    }

    /// A join whose right side, or a condition of it, is a correlated sub-query.
    fn join(&mut self, join: Join) -> Result<LogicalPlan> {
        if join.filter.as_ref().is_some_and(has_correlated) {
            if join.join_type != JoinType::Inner {
                return not_understood();
            }
            let (correlated, plain): (Vec<_>, Vec<_>) = join
                .filter
                .into_iter()
                .flat_map(split_conjunction_owned)
                .partition(has_correlated);
            let filter = conjunction(plain);
            let rows = LogicalPlan::Join(Join { filter, ..join });
            let Some(condition) = conjunction(correlated) else {
                return Ok(rows);
            };
            return self.filter(Filter::try_new(condition, Arc::new(rows))?);
        }
        let Some(subquery) = lateral(&join.right)? else {
            return Ok(LogicalPlan::Join(join));
        };
        let is_followed = matches!(join.join_type, JoinType::Inner | JoinType::Left);
        if !is_followed {
            return not_understood();
        }
        let columns = join.schema.columns();
        let plan = if free(&subquery)?.is_empty() {
            LogicalPlan::Join(Join {
                right: Arc::new(subquery),
                ..join
            })
        } else {
            let domain = self.domain(&join.left, &subquery)?;
            let rows = self.dependent(&subquery, &domain)?;
            let conditions = join.on.into_iter().map(|(left, right)| left.eq(right));
            let filter = conjunction(conditions.chain(join.filter));
            let (left, keys) = (&join.left, &rows.keys);
            joined(left, rows.plan, &domain.outer, keys, filter, join.join_type)?
        };
        projected(plan, columns.into_iter().map(Expr::Column).collect())
    }

    fn domain(&mut self, input: &Arc<LogicalPlan>, subquery: &LogicalPlan) -> Result<Domain> {
        let outer = free(subquery)?;
        if !outer.iter().all(|it| input.schema().has_column(it)) {
            return not_understood();
        }
        let columns: Vec<Expr> = outer.iter().cloned().map(Expr::Column).collect();
        let rows = LogicalPlan::Distinct(Distinct::All(Arc::new(projected(
            Arc::unwrap_or_clone(Arc::clone(input)),
            columns,
        )?)));
        Ok(Domain { outer, rows })
    }

    /// Columns under new names, which nothing qualifies.
    fn renamed(&mut self, columns: &[Column], of: &str) -> (Vec<Expr>, Vec<Column>) {
        let renamed = columns.iter().map(|it| {
            let name = self.name(of);
            let expr = Expr::Column(it.clone()).alias(&name);
            (expr, Column::new_unqualified(name))
        });
        renamed.unzip()
    }
}

/// A condition that a sub-query has a row, or has none.
struct Membership {
    subquery: Arc<LogicalPlan>,
    negated: bool,
}

impl Membership {
    /// A condition of a WHERE, where NULL is as good as false.
    fn of(condition: &Expr, input: &LogicalPlan) -> Result<Option<Self>> {
        let (value, rows, op, negated) = match condition {
            Expr::Not(inner) => match inner.as_ref() {
                Expr::Exists(it) => {
                    let mut it = it.clone();
                    it.negated = !it.negated;
                    return Self::of(&Expr::Exists(it), input);
                }
                Expr::InSubquery(it) => {
                    let mut it = it.clone();
                    it.negated = !it.negated;
                    return Self::of(&Expr::InSubquery(it), input);
                }
                _ => return Ok(None),
            },
            Expr::Exists(Exists { subquery, negated }) => {
                return Ok(Some(Membership {
                    subquery: Arc::clone(&subquery.subquery),
                    negated: *negated,
                }));
            }
            Expr::InSubquery(it) => (&it.expr, &it.subquery, Operator::Eq, it.negated),
            Expr::SetComparison(it) => match (&it.quantifier, it.op.negate()) {
                (SetQuantifier::Any, _) => (&it.expr, &it.subquery, it.op, false),
                (SetQuantifier::All, Some(op)) => (&it.expr, &it.subquery, op, true),
                (SetQuantifier::All, None) => return Ok(None),
            },
            _ => return Ok(None),
        };
        if has_subquery(value) {
            return Ok(None);
        }
        let compares = compared(&rows.subquery, value, op, input)?;
        // Of a negated one no row compares, and none might.
        let condition = match negated {
            false => compares,
            true => compares.is_not_false(),
        };
        let rows = Filter::try_new(condition, Arc::clone(&rows.subquery))?;
        Ok(Some(Membership {
            subquery: Arc::new(LogicalPlan::Filter(rows)),
            negated,
        }))
    }
}

/// How a value of the outer row compares with the value of a row of a sub-query.
fn compared(
    subquery: &LogicalPlan,
    value: &Expr,
    op: Operator,
    input: &LogicalPlan,
) -> Result<Expr> {
    let value = value.clone().transform_up(|it| match it {
        Expr::Column(it) => {
            let field = Arc::clone(input.schema().field_from_column(&it)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, it)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let Some(column) = subquery.schema().columns().into_iter().next() else {
        return not_understood();
    };
    Ok(Expr::BinaryExpr(BinaryExpr::new(
        Box::new(value.data),
        op,
        Box::new(Expr::Column(column)),
    )))
}

/// A sub-query of one truth value, which is turned round.
fn negated_value(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let values = columns.into_iter().map(|it| {
        let name = format!("not_{}", it.name);
        Expr::Not(Box::new(Expr::Column(it))).alias(name)
    });
    let values = values.collect();
    projected(plan, values)
}

fn projected(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    let is_same = plan.schema().fields().len() == exprs.len()
        && plan
            .schema()
            .columns()
            .iter()
            .zip(&exprs)
            .all(|(column, expr)| matches!(expr, Expr::Column(it) if it == column));
    match is_same {
        true => Ok(plan),
        false => Ok(LogicalPlan::Projection(Projection::try_new(
            exprs,
            Arc::new(plan),
        )?)),
    }
}

/// A join by columns of which NULL equals NULL. Each that can be NULL is two keys: whether it is, and its value. Not the planner's own joins in
/// which NULL equals NULL: its rules move other equalities into these, which then hold for NULL, too.
fn joined(
    left: &Arc<LogicalPlan>,
    right: LogicalPlan,
    left_keys: &[Column],
    right_keys: &[Column],
    filter: Option<Expr>,
    kind: JoinType,
) -> Result<LogicalPlan> {
    let mut on = Vec::new();
    for (of_left, of_right) in left_keys.iter().zip(right_keys) {
        let field = left.schema().field_from_column(of_left)?;
        let can_be_null =
            field.is_nullable() || right.schema().field_from_column(of_right)?.is_nullable();
        let instead = lit(ScalarValue::new_default(field.data_type())?);
        let (of_left, of_right) = (
            Expr::Column(of_left.clone()),
            Expr::Column(of_right.clone()),
        );
        match can_be_null {
            false => on.push((of_left, of_right)),
            true => {
                on.push((of_left.clone().is_null(), of_right.clone().is_null()));
                let value = |it: Expr| coalesce(vec![it, instead.clone()]);
                on.push((value(of_left), value(of_right)));
            }
        }
    }
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::clone(left),
        Arc::new(right),
        on,
        filter,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?))
}

/// The sub-query on the right of a join, if it is one that may have columns of the left.
fn lateral(right: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(match right {
        LogicalPlan::Subquery(it) => Some(it.subquery.as_ref().clone()),
        LogicalPlan::SubqueryAlias(it) => match it.input.as_ref() {
            LogicalPlan::Subquery(of) => {
                let input = Arc::clone(&of.subquery);
                let alias = SubqueryAlias::try_new(input, it.alias.clone())?;
                Some(LogicalPlan::SubqueryAlias(alias))
            }
            _ => None,
        },
        _ => None,
    })
}

/// A number of rows, of those for which a condition holds.
fn count(condition: Option<Expr>) -> Expr {
    let filter = condition.map(Box::new);
    let rows = vec![lit(1_i64)];
    let count = AggregateFunction::new_udf(count_udaf(), rows, false, filter, Vec::new(), None);
    Expr::AggregateFunction(count)
}

/// Whether a condition of a WHERE is left to this module.
fn is_own(condition: &Expr) -> bool {
    has_correlated(condition) || loses_null(condition)
}

/// Whether the truth of a sub-query is a value.
fn has_truth(expr: &Expr) -> bool {
    let found = expr.exists(|it| {
        let is_value = matches!(it, Expr::ScalarSubquery(_));
        Ok(outer::of_expr(it).is_some() && !is_value)
    });
    found.unwrap_or(false)
}

fn has_correlated(expr: &Expr) -> bool {
    let found = expr.exists(|it| {
        Ok(match outer::of_expr(it) {
            Some(it) => !free(&it.subquery)?.is_empty(),
            None => false,
        })
    });
    found.unwrap_or(false)
}

fn has_subquery(expr: &Expr) -> bool {
    let found = expr.exists(|it| Ok(outer::of_expr(it).is_some()));
    found.unwrap_or(false)
}
