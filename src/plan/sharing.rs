//! Which aggregations read the same rows, so that one pass over them serves all.
//!
//! Views over one relation mostly differ in how finely they group it. Aggregations that take columns of a relation as they are, or
//! the windows these lie in, share a pass; those that filter or compute first have one of their own, since an expression that
//! fails concerns only the view it is in.

use super::{Aggregation, Plan, TUMBLE_END, TUMBLE_START, ViewSpec, WINDOW_BOUND, Window};
use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows, and the aggregations that group them.
#[derive(Clone, Debug)]
pub struct Pass {
    pub input: Plan,
    /// Over the columns of `input`.
    pub aggregations: Vec<Arc<Aggregation>>,
    /// For each column of `input` which bound of a window it is, if it is one.
    pub bounds: Vec<Option<Bound>>,
}

/// The bound of a window that a time lies in: `time - time mod size + add`, of which hopping windows have their step as size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Column of the relation that is read.
    pub time: usize,
    pub size_us: i64,
    pub add_us: i64,
    /// Multiples of the size are counted from so long after the beginning of 1970.
    pub offset_us: i64,
}

/// Passes for all aggregations of these views, each aggregation in one of them.
pub fn passes(views: &[ViewSpec]) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut shared: Vec<Shared> = Vec::new();
    let mut ids = BTreeSet::new();
    for view in views {
        view.plan.walk(&mut |node| {
            let Plan::Aggregate {
                input, aggregation, ..
            } = node
            else {
                return;
            };
            if !ids.insert(aggregation.id.clone()) {
                return;
            }
            match (relation(input), columns_read(input, aggregation)) {
                (Some(name), Some(columns)) => {
                    let known = shared.iter_mut().find(|it| it.relation == name);
                    match known {
                        Some(shared) => shared.add(aggregation, columns),
                        None => {
                            let mut first = Shared::new(name);
                            first.add(aggregation, columns);
                            shared.push(first);
                        }
                    }
                }
                (None, _) | (_, None) => passes.push(Pass {
                    input: input.as_ref().clone(),
                    aggregations: vec![Arc::clone(aggregation)],
                    bounds: vec![None; input.schema().fields().len()],
                }),
            }
        });
    }
    passes.extend(shared.into_iter().map(Shared::into_pass));
    passes
}

/// The one relation below projections that change no row. What these compute besides and nothing reads has been left out by the
/// optimiser, so passing over them forgets no failure.
fn relation(plan: &Plan) -> Option<&str> {
    match plan {
        Plan::Relation { name, .. } => Some(name),
        Plan::Map {
            input,
            filter: None,
            ..
        } => relation(input),
        Plan::Map {
            filter: Some(_), ..
        }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Aggregate { .. }
        | Plan::TopK { .. }
        | Plan::Union { .. }
        | Plan::Join { .. }
        | Plan::AsOf { .. }
        | Plan::PerGroup { .. }
        | Plan::Temporal { .. }
        | Plan::Detect { .. }
        | Plan::Incidents { .. }
        | Plan::Admit { .. } => None,
    }
}

/// What a column of a plan is in terms of the relation below.
#[derive(Clone)]
struct Origin {
    /// Column of the relation.
    column: usize,
    field: FieldRef,
    /// Its window's bound instead of itself, and the function that computes it.
    bound: Option<(Bound, Arc<dyn PhysicalExpr>)>,
}

impl Origin {
    fn is_same(&self, other: &Origin) -> bool {
        let bound = |it: &Origin| it.bound.as_ref().map(|it| it.0);
        self.column == other.column && bound(self) == bound(other)
    }

    fn of(plan: &Plan, column: usize) -> Option<Origin> {
        match plan {
            Plan::Relation {
                columns, schema, ..
            } => Some(Origin {
                column: columns[column],
                field: Arc::clone(&schema.fields()[column]),
                bound: None,
            }),
            Plan::Map {
                input,
                filter: None,
                columns,
                ..
            } => {
                let expr = &columns[column];
                match expr.downcast_ref::<Column>() {
                    Some(below) => Origin::of(input, below.index()),
                    None => {
                        let bound = bound_of(expr)?;
                        let time = Origin::of(input, bound.time)?;
                        if time.bound.is_some() {
                            return None;
                        }
                        let bound = Bound {
                            time: time.column,
                            ..bound
                        };
                        Some(Origin {
                            bound: Some((bound, Arc::clone(expr))),
                            ..time
                        })
                    }
                }
            }
            Plan::Map {
                filter: Some(_), ..
            }
            | Plan::Constant { .. }
            | Plan::Unnest { .. }
            | Plan::Aggregate { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Join { .. }
            | Plan::AsOf { .. }
            | Plan::PerGroup { .. }
            | Plan::Temporal { .. }
            | Plan::Detect { .. }
            | Plan::Incidents { .. }
            | Plan::Admit { .. } => None,
        }
    }
}

/// The bound of a window, of any kind, that an expression is, if it is one.
pub(super) fn bound_of(expr: &Arc<dyn PhysicalExpr>) -> Option<Bound> {
    let function = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let (time, numbers) = function.args().split_first()?;
    let time = time.downcast_ref::<Column>()?.index();
    let numbers = numbers
        .iter()
        .map(|it| match *it.downcast_ref::<Literal>()?.value() {
            ScalarValue::Int64(Some(it)) => Some(it),
            _ => None,
        });
    let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
    let (size_us, add_us, offset_us) = match (function.name(), numbers.as_slice()) {
        (TUMBLE_START, [size]) => (*size, 0, 0),
        (TUMBLE_END, [size]) => (*size, *size, 0),
        (WINDOW_BOUND, [step, add]) => (*step, *add, 0),
        (WINDOW_BOUND, [step, add, offset]) => (*step, *add, *offset),
        _ => return None,
    };
    (0 < size_us).then_some(Bound {
        time,
        size_us,
        add_us,
        offset_us,
    })
}

/// The columns of its input that an aggregation reads, in the order of `numbers`; none if one of them is computed.
fn columns_read(input: &Plan, aggregation: &Aggregation) -> Option<Vec<Origin>> {
    numbers(aggregation)
        .into_iter()
        .map(|it| Origin::of(input, it))
        .collect()
}

/// Numbers of the columns an aggregation reads: keys, then argument and filter of each aggregate, then the time.
fn numbers(aggregation: &Aggregation) -> Vec<usize> {
    let aggregates = aggregation.aggregates.iter();
    let inputs = aggregates.flat_map(|it| it.argument.into_iter().chain(it.filter));
    let time = match aggregation.window {
        Window::Last { time, .. } => Some(time),
        Window::None | Window::Tumble { .. } => None,
    };
    let keys = aggregation.keys.iter().copied();
    keys.chain(inputs).chain(time).collect()
}

/// The same aggregation with other numbers for the columns it reads, in the order of `numbers`.
fn renumbered(aggregation: &Aggregation, numbers: Vec<usize>) -> Aggregation {
    let mut numbers = numbers.into_iter();
    let mut next = || numbers.next().expect("a number for each column");
    let mut aggregation = aggregation.clone();
    aggregation.keys.iter_mut().for_each(|it| *it = next());
    for it in &mut aggregation.aggregates {
        it.argument = it.argument.map(|_| next());
        it.filter = it.filter.map(|_| next());
    }
    if let Window::Last { time, .. } = &mut aggregation.window {
        *time = next();
    }
    aggregation
}

/// A pass over a relation, as it grows.
struct Shared {
    relation: String,
    columns: Vec<Origin>,
    aggregations: Vec<Arc<Aggregation>>,
}

impl Shared {
    fn new(relation: &str) -> Self {
        Shared {
            relation: relation.to_owned(),
            columns: Vec::new(),
            aggregations: Vec::new(),
        }
    }

    fn add(&mut self, aggregation: &Aggregation, columns: Vec<Origin>) {
        let numbers = columns.into_iter().map(|column| self.number(column));
        let numbers = numbers.collect();
        self.aggregations
            .push(Arc::new(renumbered(aggregation, numbers)));
    }

    fn number(&mut self, column: Origin) -> usize {
        let known = self.columns.iter().position(|it| it.is_same(&column));
        known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        })
    }

    fn into_pass(self) -> Pass {
        // Of the relation each column once, in its order.
        let mut read: Vec<(usize, FieldRef)> = self
            .columns
            .iter()
            .map(|it| (it.column, Arc::clone(&it.field)))
            .collect();
        read.sort_by_key(|it| it.0);
        read.dedup_by_key(|it| it.0);
        let fields: Vec<FieldRef> = read.iter().map(|it| Arc::clone(&it.1)).collect();
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        let mut mapped: Vec<Field> = Vec::new();
        for origin in &self.columns {
            let at = read
                .binary_search_by_key(&origin.column, |it| it.0)
                .expect("all columns are read");
            let field = &read[at].1;
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let name = field.name();
            match &origin.bound {
                None => {
                    exprs.push(column);
                    mapped.push(field.as_ref().clone());
                }
                Some((bound, function)) => {
                    let rest = function.children().into_iter().skip(1).cloned();
                    let arguments = std::iter::once(column).chain(rest).collect();
                    let moved = Arc::clone(function).with_new_children(arguments);
                    exprs.push(moved.expect("a function takes as many arguments as before"));
                    let name = format!(
                        "{name}/{}+{}/{}",
                        bound.size_us, bound.add_us, bound.offset_us
                    );
                    mapped.push(Field::new(name, field.data_type().clone(), true));
                }
            }
        }
        let bounds = self.columns.iter();
        let bounds = bounds.map(|it| it.bound.as_ref().map(|it| it.0)).collect();
        Pass {
            input: Plan::Map {
                input: Box::new(Plan::Relation {
                    name: self.relation,
                    columns: read.iter().map(|it| it.0).collect(),
                    schema: Arc::new(Schema::new(fields)),
                }),
                filter: None,
                columns: exprs,
                schema: Arc::new(Schema::new(mapped)),
            },
            aggregations: self.aggregations,
            bounds,
        }
    }
}
