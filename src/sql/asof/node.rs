//! The ASOF join of a maintained view as one node of its plan, which no rule of the optimiser looks into.

use super::AS_OF;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::logical_plan::builder::build_join_schema;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Extension, LogicalPlan, Operator, Projection,
    UserDefinedLogicalNodeCore, Window,
};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Left rows, each with the right row of its key whose time is nearest.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct AsOfNode {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    /// Left time and right time, compared.
    pub times: Expr,
    /// Equal keys.
    pub keys: Vec<Expr>,
    /// Columns of the right side: of rows of equal times the last one by these holds.
    pub ties: Vec<Expr>,
    /// Whether left rows without a match are there, too.
    pub is_left: bool,
    schema: DFSchemaRef,
}

impl AsOfNode {
    fn new(
        left: LogicalPlan,
        right: LogicalPlan,
        mut exprs: Vec<Expr>,
        keys: usize,
        is_left: bool,
    ) -> Result<Self> {
        let kind = match is_left {
            true => JoinType::Left,
            false => JoinType::Inner,
        };
        let schema = build_join_schema(left.schema(), right.schema(), &kind)?;
        // The optimiser keeps the names of what it changes.
        exprs = exprs
            .into_iter()
            .map(|it| it.unalias_nested().data)
            .collect();
        let ties = exprs.split_off(1 + keys);
        let times = exprs.remove(0);
        Ok(AsOfNode {
            left,
            right,
            times,
            keys: exprs,
            ties,
            is_left,
            schema: Arc::new(schema),
        })
    }
}

impl AsOfNode {
    pub fn join_schema(&self) -> &DFSchemaRef {
        &self.schema
    }
}

impl PartialOrd for AsOfNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for AsOfNode {
    fn name(&self) -> &str {
        "AsOfJoin"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        let times = std::iter::once(&self.times);
        times.chain(&self.keys).chain(&self.ties).cloned().collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsOfJoin: {}", self.times)
    }
    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return plan_err!("an ASOF JOIN has two sides");
        };
        AsOfNode::new(left, right, exprs, self.keys.len(), self.is_left)
    }
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let of_left = self.left.schema().fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) =
            output_columns.iter().partition(|it| **it < of_left);
        Some(vec![left, right.iter().map(|it| it - of_left).collect()])
    }
}

/// A plan with each ASOF join as one node. The plan must be as it was written: the optimiser would move conditions to where they are not found.
///
/// # Errors
/// If a node cannot be made anew.
pub fn as_nodes(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => {
            let parts = join
                .filter
                .iter()
                .cloned()
                .flat_map(split_conjunction_owned);
            let (marks, mut parts): (Vec<Expr>, Vec<Expr>) = parts.partition(is_marked);
            if marks.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
            let equal = join.on.iter().cloned();
            parts.extend(equal.map(|(l, r)| {
                Expr::BinaryExpr(BinaryExpr::new(Box::new(l), Operator::Eq, Box::new(r)))
            }));
            let is_equal = |it: &Expr| match it {
                Expr::BinaryExpr(it) => it.op == Operator::Eq,
                _ => false,
            };
            let (keys, mut exprs): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(is_equal);
            let of_keys = keys.len();
            exprs.extend(keys);
            let (right, order) = without_window(Arc::unwrap_or_clone(join.right))?;
            exprs.extend(ties(&order, &right)?);
            let left = Arc::unwrap_or_clone(join.left);
            let is_left = join.join_type == JoinType::Left;
            let node = AsOfNode::new(left, right, exprs, of_keys, is_left)?;
            Ok(Transformed::yes(LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(changed.data)
}

fn is_marked(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(it) if it.func.name() == AS_OF)
}

/// What the right rows are ordered by, over the columns below.
struct Ordered {
    by: Vec<Sort>,
    below: DFSchemaRef,
}

/// The right side without the window function that says until when a row holds: nothing stands in its column.
fn without_window(right: LogicalPlan) -> Result<(LogicalPlan, Ordered)> {
    let mut order = None;
    let changed = right.transform_down(|node| {
        let LogicalPlan::Window(Window {
            input,
            window_expr,
            schema,
        }) = &node
        else {
            return Ok(Transformed::no(node));
        };
        let of_input = input.schema().fields().len();
        let mut columns: Vec<Expr> = input
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        for (at, expr) in window_expr.iter().enumerate() {
            if let Expr::WindowFunction(it) = expr.clone().unalias_nested().data {
                order = Some(Ordered {
                    by: it.params.order_by.clone(),
                    below: Arc::clone(input.schema()),
                });
            }
            let nothing = ScalarValue::try_from(&expr.get_type(input.schema())?)?;
            let field = schema.field(of_input + at);
            columns.push(Expr::Literal(nothing, None).alias(field.name()));
        }
        let projected = Projection::try_new(columns, Arc::clone(input))?;
        Ok(Transformed::new(
            LogicalPlan::Projection(projected),
            true,
            TreeNodeRecursion::Stop,
        ))
    })?;
    match order {
        Some(order) => Ok((changed.data, order)),
        None => plan_err!("the right side of an ASOF JOIN has no order"),
    }
}

/// The columns of the right side that tell apart rows of equal times.
fn ties(order: &Ordered, right: &LogicalPlan) -> Result<Vec<Expr>> {
    let columns = order.by.iter().skip(1).map(|it| match &it.expr {
        Expr::Column(column) => {
            // The side has the columns below in their order, under its own name.
            let at = order.below.index_of_column(column)?;
            Ok(Expr::Column(Column::from(
                right.schema().qualified_field(at),
            )))
        }
        other => plan_err!("an ASOF JOIN orders rows by columns, not by {other}"),
    });
    columns.collect()
}
