//! Joins of a query, lowered: sides may be turned round, keys that are computed become columns, and what a joined row has more than the query
//! asks for is left out above.

use super::intervals::{Interval, Side, Until};
use super::lower::{Lowered, Lowering, column, fused, identity, is_identity};
use super::{types, words};
use crate::plan::{Admitted, Join, JoinKind, JoinWindow, Plan, RowEnd};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::{Expr, Join as LogicalJoin, when};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;

/// How often a view reads the left and the right side of `NOT IN (SELECT …)`.
pub(super) const NOT_IN_READS: [usize; 2] = [2, 3];

impl Lowering<'_> {
    /// The rows of a join, with the columns that the query knows.
    pub(super) fn join(&mut self, node: &LogicalJoin) -> Result<Lowered, String> {
        let (left, right) = (self.rows(&node.left)?, self.rows(&node.right)?);
        if node.null_aware {
            return self.not_in(node, left, right);
        }
        let (of_left, of_right) = (left.schema().fields().len(), right.schema().fields().len());
        let (kind, is_turned) = match node.join_type {
            JoinType::Inner => (JoinKind::Inner, false),
            JoinType::Left => (JoinKind::Left, false),
            JoinType::Right => (JoinKind::Left, true),
            JoinType::Full => (JoinKind::Full, false),
            JoinType::LeftSemi => (JoinKind::Semi, false),
            JoinType::RightSemi => (JoinKind::Semi, true),
            JoinType::LeftAnti => (JoinKind::Anti, false),
            JoinType::RightAnti => (JoinKind::Anti, true),
            JoinType::LeftMark => (JoinKind::Mark, false),
            JoinType::RightMark => (JoinKind::Mark, true),
        };
        let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let (left, left_keys) = self.with_keys(left, &left_keys, node.left.schema())?;
        let (right, right_keys) = self.with_keys(right, &right_keys, node.right.schema())?;
        let interval = Interval::of(node, self.dataflow);
        let side = |of: fn(&Interval) -> &Side| {
            let after_us = interval.as_ref().map(Interval::let_go_after_us);
            interval.as_ref().map(of).zip(after_us)
        };
        let (left, left_end) = self.with_end(left, side(|it| &it.left), node.left.schema())?;
        let (right, right_end) = self.with_end(right, side(|it| &it.right), node.right.schema())?;
        let keys_of_left = left.schema().fields().len();
        let keys_of_right = right.schema().fields().len();
        // Where each column of the left and then of the right side is in a joined row.
        let place = |at: usize| match (at < of_left, is_turned) {
            (true, false) => at,
            (false, false) => keys_of_left + at - of_left,
            (true, true) => keys_of_right + at,
            (false, true) => at - of_left,
        };
        let filter = match &node.filter {
            None => None,
            Some(filter) => {
                let both = node.left.schema().join(node.right.schema());
                let both = both.map_err(|it| words::planner(&it))?;
                Some(moved(self.expression(filter, &both)?, place)?)
            }
        };
        let on: Vec<(usize, usize)> = left_keys.into_iter().zip(right_keys).collect();
        let (left, right, on) = match is_turned {
            false => (left, right, on),
            true => (right, left, on.into_iter().map(|(l, r)| (r, l)).collect()),
        };
        let bounded = left_end.zip(right_end).map(|(left, right)| {
            let (left, right) = match is_turned {
                false => (left, right),
                true => (right, left),
            };
            JoinWindow {
                left,
                right,
                is_shared: false,
            }
        });
        let (known_left, known_right) = (self.properties(&left), self.properties(&right));
        let shared = |(l, r): &(usize, usize)| {
            let add_us = known_left.window_ends[*l]?;
            let end = |column: usize| RowEnd { column, add_us };
            let window = JoinWindow {
                left: end(*l),
                right: end(*r),
                is_shared: true,
            };
            (known_right.window_ends[*r] == Some(add_us)).then_some(window)
        };
        let window = match kind {
            _ if !self.closes => None,
            JoinKind::Full => None,
            JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Mark => {
                on.iter().find_map(shared).or(bounded)
            }
        };
        let clocks = known_left.clocks.union(&known_right.clocks).cloned();
        let join = Join {
            id: format!("{}.join{}", self.name, self.joins),
            kind,
            on,
            nulls_match: node.null_equality == NullEquality::NullEqualsNull,
            filter,
            window,
            clocks: clocks.collect(),
        };
        self.joins += 1;
        // What a joined row has, and which of it the query wants.
        let (left_schema, right_schema) = (left.schema(), right.schema());
        let mut fields: Vec<FieldRef> = left_schema.fields().iter().cloned().collect();
        let wanted: Vec<usize> = match kind {
            JoinKind::Inner | JoinKind::Left | JoinKind::Full => {
                fields.extend(right_schema.fields().iter().cloned());
                (0..of_left + of_right).map(place).collect()
            }
            JoinKind::Semi | JoinKind::Anti => {
                (0..if is_turned { of_right } else { of_left }).collect()
            }
            JoinKind::Mark => {
                let mark = Field::new("mark", DataType::Boolean, true);
                fields.push(Arc::new(mark));
                let own = 0..if is_turned { of_right } else { of_left };
                own.chain([fields.len() - 1]).collect()
            }
        };
        let joined = Arc::new(Schema::new(fields));
        let columns = wanted
            .iter()
            .map(|it| column(joined.field(*it).name(), *it));
        let columns: Vec<Arc<dyn PhysicalExpr>> = columns.collect();
        let plan = Plan::Join {
            left: Box::new(left),
            right: Box::new(right),
            join: Arc::new(join),
            schema: Arc::clone(&joined),
        };
        let schema = types::carried_schema(&node.schema);
        let plan = match is_identity(&columns, joined.fields().len()) && schema == joined {
            true => plan,
            false => fused(plan, None, columns, schema),
        };
        Ok(Lowered { plan, last: None })
    }

    /// A side of an interval join, without late records if it has single ones, and what tells when its rows are let go: so long after their last match.
    fn with_end(
        &self,
        plan: Plan,
        side: Option<(&Side, i64)>,
        schema: &DFSchema,
    ) -> Result<(Plan, Option<RowEnd>), String> {
        let Some((side, after_us)) = side else {
            return Ok((plan, None));
        };
        let Side { time, until, .. } = side;
        let column = schema
            .index_of_column(time)
            .map_err(|it| words::planner(&it))?;
        let clocks = self.properties(&plan).clocks;
        let plan = match side.has_windows {
            true => plan,
            false => Plan::Admit {
                input: Box::new(plan),
                window: Admitted::on_time(column),
                clocks,
            },
        };
        let (plan, end) = match until {
            Until::After(add_us) => {
                let add_us = add_us.saturating_add(after_us);
                (plan, RowEnd { column, add_us })
            }
            Until::At(value) => {
                let time = Expr::Column(time.clone());
                let end = when(value.clone().gt(time.clone()), value.clone()).otherwise(time);
                let end = end
                    .map(|it| it.alias("last_match"))
                    .map_err(|it| words::planner(&it))?;
                let (plan, numbers) = self.with_keys(plan, &[end], schema)?;
                let column = numbers[0];
                let add_us = after_us;
                (plan, RowEnd { column, add_us })
            }
        };
        Ok((plan, Some(end)))
    }

    /// `x NOT IN (SELECT y …)`: nothing as soon as there is a `y` that is NULL; of rows whose `x` is NULL nothing as soon as there is any `y`; and
    /// of the others those whose `x` is no `y`.
    fn not_in(&mut self, node: &LogicalJoin, left: Plan, right: Plan) -> Result<Lowered, String> {
        let ([(key, other)], None) = (node.on.as_slice(), &node.filter) else {
            return Err("NOT IN (SELECT …) with a condition on the outer row is not maintained; write NOT EXISTS (SELECT 1 FROM … WHERE …)".to_owned());
        };
        // As often as `NOT_IN_READS` says; what a side keeps has names of its own each time.
        let left_again = self.rows(&node.left)?;
        let right_again = [(); 2].map(|()| self.rows(&node.right));
        let [others, any] = right_again;
        let (others, any) = (others?, any?);
        let schema = left.schema();
        let null = |key: &Expr, schema: &DFSchema| self.expression(&key.clone().is_null(), schema);
        let some =
            |key: &Expr, schema: &DFSchema| self.expression(&key.clone().is_not_null(), schema);
        let filtered = |plan: Plan, filter| {
            let schema = plan.schema();
            fused(plan, Some(filter), identity(&schema), schema)
        };
        let (of_left, of_right) = (node.left.schema(), node.right.schema());
        let keyed = filtered(left, some(key, of_left)?);
        let unkeyed = filtered(left_again, null(key, of_left)?);
        let nulls = filtered(right, null(other, of_right)?);
        let on = |plan, key: &Expr, of: &DFSchema| {
            let (plan, numbers) = self.with_keys(plan, std::slice::from_ref(key), of)?;
            Ok::<_, String>((plan, numbers[0]))
        };
        let (keyed, key_at) = on(keyed, key, of_left)?;
        let (others, other_at) = on(others, other, of_right)?;
        let unmatched = self.anti(keyed, others, vec![(key_at, other_at)]);
        let sides = [
            self.anti(unmatched, nulls, Vec::new()),
            self.anti(unkeyed, any, Vec::new()),
        ];
        let sides = sides.map(|it| self.first_columns(it, Arc::clone(&schema)).plan);
        let plan = Plan::Union {
            inputs: sides.into(),
            schema,
        };
        Ok(Lowered { plan, last: None })
    }

    /// Left rows without a match.
    fn anti(&mut self, left: Plan, right: Plan, on: Vec<(usize, usize)>) -> Plan {
        let (of_left, of_right) = (self.properties(&left), self.properties(&right));
        let join = Join {
            id: format!("{}.join{}", self.name, self.joins),
            kind: JoinKind::Anti,
            on,
            nulls_match: false,
            filter: None,
            window: None,
            clocks: of_left.clocks.union(&of_right.clocks).cloned().collect(),
        };
        self.joins += 1;
        let schema = left.schema();
        Plan::Join {
            left: Box::new(left),
            right: Box::new(right),
            join: Arc::new(join),
            schema,
        }
    }
}

/// An expression over columns that are elsewhere.
fn moved(
    expr: Arc<dyn PhysicalExpr>,
    place: impl Fn(usize) -> usize,
) -> Result<Arc<dyn PhysicalExpr>, String> {
    let moved = expr.transform_up(|it| {
        let Some(known) = it.downcast_ref::<PhysicalColumn>() else {
            return Ok(Transformed::no(it));
        };
        Ok(Transformed::yes(column(known.name(), place(known.index()))))
    });
    moved.map(|it| it.data).map_err(|it| words::planner(&it))
}
