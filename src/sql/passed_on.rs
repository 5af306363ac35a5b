//! Columns that a query only passes on: each is a column of a relation that it reads, unchanged, under its own name or another one.
//!
//! What is said of such a column holds wherever it turns up. It is followed down to the next relation that has a name, a plain view included,
//! through everything that keeps values as they are: conditions, joins, groups by it, windows, orders, unions whose sides agree.

use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// A relation, and a column of it.
pub type Origin = (String, String);

/// Of each column of a plan, which one it is, if it is passed on. `is_plain` tells whether an inner plan of this name is a plain view.
pub fn origins(
    plan: &LogicalPlan,
    is_plain: &dyn Fn(&str, &LogicalPlan) -> bool,
) -> Vec<Option<Origin>> {
    let below = |it: &LogicalPlan| origins(it, is_plain);
    let named = |relation: &str, schema: &DFSchema| -> Vec<Option<Origin>> {
        let fields = schema.fields().iter();
        let origin = |name: &str| Some((relation.to_owned(), name.to_owned()));
        fields.map(|it| origin(it.name())).collect()
    };
    let count = plan.schema().fields().len();
    let mut found = match plan {
        LogicalPlan::TableScan(it) => named(it.table_name.table(), &it.projected_schema),
        LogicalPlan::SubqueryAlias(it) if is_plain(it.alias.table(), &it.input) => {
            named(it.alias.table(), it.input.schema())
        }
        LogicalPlan::SubqueryAlias(it) => below(&it.input),
        LogicalPlan::Filter(it) => below(&it.input),
        LogicalPlan::Sort(it) => below(&it.input),
        LogicalPlan::Limit(it) => below(&it.input),
        LogicalPlan::Distinct(Distinct::All(it)) => below(it),
        LogicalPlan::Distinct(Distinct::On(it)) => {
            of_all(&it.select_expr, it.input.schema(), &below(&it.input))
        }
        LogicalPlan::Projection(it) => of_all(&it.expr, it.input.schema(), &below(&it.input)),
        LogicalPlan::Aggregate(it) => of_all(&it.group_expr, it.input.schema(), &below(&it.input)),
        LogicalPlan::Window(it) => below(&it.input),
        LogicalPlan::Join(it) => match it.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let mut both = below(&it.left);
                both.extend(below(&it.right));
                both
            }
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => below(&it.left),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => below(&it.right),
        },
        LogicalPlan::Union(it) => {
            let mut sides = it.inputs.iter().map(|it| below(it));
            let mut agreed = sides.next().unwrap_or_default();
            for side in sides {
                for (one, other) in agreed.iter_mut().zip(&side) {
                    *one = one.take().filter(|it| Some(it) == other.as_ref());
                }
            }
            agreed
        }
        _ => Vec::new(),
    };
    // What a node adds stands behind what it passes on.
    found.resize(count, None);
    found
}

fn of_all(exprs: &[Expr], schema: &DFSchema, below: &[Option<Origin>]) -> Vec<Option<Origin>> {
    let of = |column: &Column| below.get(schema.maybe_index_of_column(column)?)?.clone();
    let one = |mut expr: &Expr| {
        while let Expr::Alias(it) = expr {
            expr = &it.expr;
        }
        match expr {
            Expr::Column(column) => of(column),
            _ => None,
        }
    };
    let sets = exprs.iter().any(|it| matches!(it, Expr::GroupingSet(_)));
    match sets {
        // One expression for several columns.
        true => Vec::new(),
        false => exprs.iter().map(one).collect(),
    }
}
