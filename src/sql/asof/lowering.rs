//! ASOF joins of a query, lowered.

use super::super::lower::{Lowered, Lowering, column, fused};
use super::super::{types, words};
use super::AsOfNode;
use crate::plan::{AsOf, Plan};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

impl Lowering<'_> {
    /// The rows of an ASOF join, with the columns that the query knows.
    pub(in crate::sql) fn as_of(&mut self, node: &AsOfNode) -> Result<Lowered, String> {
        let mut side = |it| {
            let lowered = self.node(it, None)?;
            match lowered.last {
                None => Ok(lowered.plan),
                Some(_) => Err(
                    "aggregate a side before joining it when it has `now() - INTERVAL`".to_owned(),
                ),
            }
        };
        let (left, right) = (side(&node.left)?, side(&node.right)?);
        let (of_left, of_right) = (node.left.schema(), node.right.schema());
        let (time, of_right_time, op) = pair(&node.times, of_left, of_right)?;
        let (is_before, takes_equal) = match op {
            Operator::GtEq => (true, true),
            Operator::Gt => (true, false),
            Operator::LtEq => (false, true),
            Operator::Lt => (false, false),
            _ => return Err(super::FORM.to_owned()),
        };
        let keys = node.keys.iter().map(|it| pair(it, of_left, of_right));
        let keys = keys.collect::<Result<Vec<_>, String>>()?;
        let (mut left_keys, mut right_keys): (Vec<Expr>, Vec<Expr>) =
            keys.into_iter().map(|(l, r, _)| (l, r)).unzip();
        left_keys.push(time);
        right_keys.push(of_right_time);
        let own = [&left, &right].map(|it| it.schema().fields().len());
        let (left, left_keys) = self.with_keys(left, &left_keys, of_left)?;
        right_keys.extend(node.ties.iter().cloned());
        let (right, mut right_keys) = self.with_keys(right, &right_keys, of_right)?;
        let ties = right_keys.split_off(left_keys.len());
        let (right, place) = in_front(right, &ties);
        for at in &mut right_keys {
            *at = place[*at];
        }
        let mut keys: Vec<(usize, usize)> = left_keys.into_iter().zip(right_keys).collect();
        let (left_schema, right_schema) = (left.schema(), right.schema());
        let is_alike = |(l, r): &(usize, usize)| {
            left_schema.field(*l).data_type() == right_schema.field(*r).data_type()
        };
        if !keys.iter().all(is_alike) {
            return Err("an ASOF JOIN compares values of one type: CAST one side".to_owned());
        }
        let times = keys.pop().ok_or(super::FORM)?;
        let as_of = AsOf {
            id: format!("{}.join{}", self.name, self.joins),
            keys,
            times,
            is_before,
            takes_equal,
            keeps_unmatched: node.is_left,
        };
        self.joins += 1;
        let fields = left_schema.fields().iter().chain(right_schema.fields());
        let fields: Vec<FieldRef> = fields.cloned().collect();
        let joined = Arc::new(Schema::new(fields));
        let behind = left_schema.fields().len();
        let of_right = (0..own[1]).map(|it| behind + place[it]);
        let wanted = (0..own[0]).chain(of_right);
        let columns = wanted.map(|it| column(joined.field(it).name(), it));
        let columns: Vec<Arc<dyn PhysicalExpr>> = columns.collect();
        let plan = Plan::AsOf {
            left: Box::new(left),
            right: Box::new(right),
            as_of: Arc::new(as_of),
            schema: joined,
        };
        let schema = types::carried_schema(node.join_schema());
        let plan = fused(plan, None, columns, schema);
        Ok(Lowered { plan, last: None })
    }
}

/// The two sides of a comparison, the left one first.
fn pair(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Result<(Expr, Expr, Operator), String> {
    let Expr::BinaryExpr(BinaryExpr {
        left: first,
        op,
        right: second,
    }) = expr
    else {
        return Err(super::FORM.to_owned());
    };
    let is_of = |it: &Expr, schema: &DFSchema| {
        let columns = it.column_refs();
        columns.into_iter().all(|it| schema.has_column(it))
    };
    let (first, second) = (first.as_ref().clone(), second.as_ref().clone());
    if is_of(&first, left) && is_of(&second, right) {
        return Ok((first, second, *op));
    }
    let turned = op
        .swap()
        .filter(|_| is_of(&second, left) && is_of(&first, right));
    turned
        .map(|op| (second, first, op))
        .ok_or_else(|| words::planner(&datafusion::common::plan_datafusion_err!("{expr}")))
}

/// The rows with these columns first, and where each column is then: rows of equal times are in the order of their bytes.
fn in_front(side: Plan, columns: &[usize]) -> (Plan, Vec<usize>) {
    let schema = side.schema();
    let all = 0..schema.fields().len();
    let mut order: Vec<usize> = columns.to_vec();
    order.extend(all.clone().filter(|it| !columns.contains(it)));
    let mut place = vec![0; order.len()];
    for (at, column) in order.iter().enumerate() {
        place[*column] = at;
    }
    if all.eq(order.iter().copied()) {
        return (side, place);
    }
    let fields: Vec<FieldRef> = order
        .iter()
        .map(|it| Arc::clone(&schema.fields()[*it]))
        .collect();
    let exprs = order.iter().map(|it| column(schema.field(*it).name(), *it));
    let exprs = exprs.collect();
    let side = fused(side, None, exprs, Arc::new(Schema::new(fields)));
    (side, place)
}
