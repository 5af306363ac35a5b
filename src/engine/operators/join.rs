//! Joins: both sides arranged by their key, matched by differential, and turned into columns again.
//!
//! ```text
//! left  ──► keyed rows ──► arrangement ─┐
//!                                       ├─► pairs ──► condition ──► inner rows ──────────────┐
//! right ──► keyed rows ──► arrangement ─┘      └─► who has a match ──► left rows without one ─┴─► changes
//! ```
//!
//! Keys and rows are bytes ([`Encoder`]). A key with a NULL matches nothing, so such rows are in no arrangement; they are among those
//! without a match. Where rows of both sides share a window, or bound each other's event time, they are let go when the watermark has passed what could
//! still match: what that would take back is final, so the retraction ends at the edge of the join.

use super::bounded_join::{Given, bounded_pairs};
use super::keyed::{Closing, Form, Input, Keyed, RowBytes, TakenIn, keyed, taken_in, while_open};
use super::{ChangeStream, ClockStream, Refusal, RunEpochs, Shared, map};
use crate::engine::changes::Changes;
use crate::engine::costs::{Watched, watched};
use crate::engine::encoded::{Bytes, Encoder};
use crate::engine::gate::Gate;
use crate::plan::{Join, JoinKind, RowEnd, nullable};
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::operators::ThresholdTotal;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::implementations::{KeyBatcher, KeySpine, ValBatcher, ValSpine};
use differential_dataflow::{AsCollection, VecCollection};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Capability, Concatenate};

type Rows<'s> = VecCollection<'s, u64, RowBytes, isize>;
type Pairs<'s> = VecCollection<'s, u64, (RowBytes, RowBytes), isize>;
type Builder = CapacityContainerBuilder<Changes>;

/// Rows that leave at a time.
const ROWS_AT_ONCE: usize = 8192;

/// The name under which state of the left and of the right side is stored.
pub fn state_names(join: &str) -> [String; 2] {
    ["left", "right"].map(|side| format!("{join}-{side}"))
}

/// The rows of a join as changes, with the columns of the sides it yields.
pub(in crate::engine) fn join<'s>(
    left: Input<'s>,
    right: Input<'s>,
    join: &Arc<Join>,
    gate: Option<(Gate, ClockStream<'s>)>,
    epochs: &RunEpochs,
    refusal: &Refusal,
    shared: &Rc<RefCell<Shared>>,
) -> ChangeStream<'s> {
    let [of_left, of_right] = state_names(&join.id);
    let shape = Shape::new(&left.schema, &right.schema);
    let (left_keys, right_keys) = join.on.iter().copied().unzip();
    let filtered = |pairs: ChangeStream<'s>| match &join.filter {
        None => pairs,
        Some(filter) => {
            let schema = shape.schema(Yields::Both);
            let columns = identity(&schema);
            let (filter, shared) = (Some(Arc::clone(filter)), Rc::clone(shared));
            map(pairs, filter, columns, schema, refusal.clone(), shared).0
        }
    };
    if let (JoinKind::Inner, Some(window), Some(gate)) = (join.kind, join.window, &gate) {
        let (left_form, right_form) = (form(join, left_keys), form(join, right_keys));
        let (left_end, right_end) = (Some(window.left), Some(window.right));
        let of = |is_left: bool| move |it: TakenIn<'_>| Given::new(&it, is_left);
        let stored = [of_left.clone(), of_right.clone()];
        let left = taken_in(left, left_form, of_left, left_end, epochs, shared, of(true));
        let right = taken_in(
            right,
            right_form,
            of_right,
            right_end,
            epochs,
            shared,
            of(false),
        );
        let pairs = bounded_pairs(
            left,
            right,
            &shape,
            stored,
            gate.clone(),
            epochs.boot,
            shared,
        );
        return filtered(pairs);
    }
    let side = |input: Input<'s>, keys: Vec<usize>, state: String, end: Option<RowEnd>| {
        let closing = end.and_then(|end| {
            let (gate, ticks) = gate.clone()?;
            Some(Closing { end, gate, ticks })
        });
        keyed(input, form(join, keys), state, closing, epochs, shared)
    };
    let left = side(left, left_keys, of_left, join.window.map(|it| it.left));
    let right = side(right, right_keys, of_right, join.window.map(|it| it.right));
    let arranged = |side: &Keyed<'s>, name: &str| {
        let rows = side.clone().flat_map(|(key, row)| Some((key?, row)));
        by_key(rows, name, shared)
    };
    let by_key_left = arranged(&left, "JoinLeft");
    let needs_pairs = match join.kind {
        JoinKind::Inner | JoinKind::Left | JoinKind::Full => true,
        JoinKind::Semi | JoinKind::Anti | JoinKind::Mark => join.filter.is_some(),
    };
    let by_key_right = needs_pairs.then(|| arranged(&right, "JoinRight"));
    let mut inner = None;
    let matched_keys = |rows: &Keyed<'s>| {
        let keys = rows.clone().flat_map(|(key, _)| key);
        distinct(keys, shared)
    };
    if let Some(by_key_right) = &by_key_right {
        let pairs = by_key_left
            .clone()
            .join_core(by_key_right.clone(), |_, l, r| Some((l.clone(), r.clone())));
        let pairs = as_changes(pairs, shape.both(), false);
        inner = Some(filtered(pairs));
    }
    // Left rows that have a match, and those that have none.
    let apart = |from_left: bool| -> (Rows<'s>, Rows<'s>) {
        let (side, other) = match from_left {
            true => (&left, &right),
            false => (&right, &left),
        };
        let all = side.clone().map(|(_, row)| row);
        let with_match: Rows<'s> = match (&join.filter, &inner) {
            (Some(_), Some(inner)) => {
                let matched = rows_of_side(inner.clone(), &shape, from_left);
                let matched = by_self(distinct(matched, shared), "JoinMatched", shared);
                let rows = all.clone().map(|row| row.to_vec());
                let rows = by_self(rows, "JoinRows", shared);
                rows.join_core(matched, |row, (), ()| Some(RowBytes::from(&**row)))
            }
            (Some(_), None) | (None, _) => {
                let keys = by_self(matched_keys(other), "JoinKeys", shared);
                let by_key = match (from_left, &by_key_right) {
                    (false, Some(by_key_right)) => by_key_right.clone(),
                    (true, _) | (false, None) => by_key_left.clone(),
                };
                by_key.join_core(keys, |_, row, ()| Some(row.clone()))
            }
        };
        let without = all.concat(with_match.clone().negate());
        (with_match, without)
    };
    let padded = |rows: Rows<'s>, is_left: bool| {
        let nothing = RowBytes::from(shape.nothing(!is_left));
        rows.map(move |row| match is_left {
            true => (row, nothing.clone()),
            false => (nothing.clone(), row),
        })
    };
    let alone = |rows: Rows<'s>| {
        let nothing = RowBytes::from([]);
        rows.map(move |row| (row, nothing.clone()))
    };
    let parts: Vec<ChangeStream<'s>> = match (join.kind, inner.clone()) {
        (JoinKind::Inner, Some(inner)) => vec![inner],
        (JoinKind::Left, Some(inner)) => {
            let without = padded(apart(true).1, true);
            vec![inner, as_changes(without, shape.both(), true)]
        }
        (JoinKind::Full, Some(inner)) => {
            let without_right = padded(apart(true).1, true);
            let without_left = padded(apart(false).1, false);
            let without = without_right.concat(without_left);
            vec![inner, as_changes(without, shape.both(), true)]
        }
        (JoinKind::Semi, _) => vec![as_changes(alone(apart(true).0), shape.left(None), true)],
        (JoinKind::Anti, _) => vec![as_changes(alone(apart(true).1), shape.left(None), true)],
        (JoinKind::Mark, _) => {
            let (with, without) = apart(true);
            let marked =
                |rows: Rows<'s>, mark: bool| as_changes(alone(rows), shape.left(Some(mark)), true);
            vec![marked(with, true), marked(without, false)]
        }
        (JoinKind::Inner | JoinKind::Left | JoinKind::Full, None) => {
            unreachable!("these need pairs")
        }
    };
    let scope = parts[0].scope();
    let rows = scope.concatenate(parts);
    match (join.window, gate) {
        (Some(window), Some((gate, _))) => {
            let RowEnd { column, add_us } = window.left;
            let rows = while_open(rows, column, add_us, gate.clone());
            let has_right = join.kind == JoinKind::Left;
            match has_right && !window.is_shared {
                true => {
                    let RowEnd { column, add_us } = window.right;
                    while_open(rows, shape.left.fields().len() + column, add_us, gate)
                }
                false => rows,
            }
        }
        (Some(_), None) | (None, _) => rows,
    }
}

/// Each key or row once.
fn distinct<'s>(
    rows: VecCollection<'s, u64, Bytes, isize>,
    shared: &Rc<RefCell<Shared>>,
) -> VecCollection<'s, u64, Bytes, isize> {
    by_self(rows, "JoinDistinct", shared).distinct_total()
}

/// An arrangement of rows that are at the worker of their key already.
fn by_key<'s>(
    rows: VecCollection<'s, u64, (Bytes, RowBytes), isize>,
    name: &str,
    shared: &Rc<RefCell<Shared>>,
) -> Arranged<'s, Watched<TraceAgent<ValSpine<Bytes, RowBytes, u64, isize>>>> {
    let batcher = ValBatcher::<Bytes, RowBytes, u64, isize>::new;
    let arranged =
        arrange_core::<_, _, _, ValSpine<_, _, _, _>>(rows.inner, Pipeline, name, batcher);
    watched(arranged, &mut shared.borrow_mut().owners)
}

/// The same of keys, or of rows, by themselves.
fn by_self<'s>(
    rows: VecCollection<'s, u64, Bytes, isize>,
    name: &str,
    shared: &Rc<RefCell<Shared>>,
) -> Arranged<'s, Watched<TraceAgent<KeySpine<Bytes, u64, isize>>>> {
    let batcher = KeyBatcher::<Bytes, u64, isize>::new;
    let rows = rows.map(|it| (it, ())).inner;
    let arranged = arrange_core::<_, _, _, KeySpine<_, _, _>>(rows, Pipeline, name, batcher);
    watched(arranged, &mut shared.borrow_mut().owners)
}

fn form(join: &Join, key: Vec<usize>) -> Form {
    Form {
        key,
        nulls_match: join.nulls_match,
        order: None,
        is_stored: true,
    }
}

/// Which columns joined rows have.
#[derive(Clone, Copy)]
pub(super) enum Yields {
    Both,
    Left,
    /// The left ones and a mark.
    Marked(bool),
}

/// The columns of both sides.
pub(super) struct Shape {
    left: SchemaRef,
    right: SchemaRef,
}

impl Shape {
    pub(super) fn new(left: &SchemaRef, right: &SchemaRef) -> Self {
        Shape {
            left: nullable(left),
            right: nullable(right),
        }
    }

    fn schema(&self, yields: Yields) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = self.left.fields().iter().cloned().collect();
        match yields {
            Yields::Both => fields.extend(self.right.fields().iter().cloned()),
            Yields::Left => {}
            Yields::Marked(_) => fields.push(Arc::new(Field::new(
                "mark",
                arrow::datatypes::DataType::Boolean,
                true,
            ))),
        }
        Arc::new(Schema::new(fields))
    }

    fn decoder(&self, yields: Yields) -> Decoder {
        Decoder {
            left: Encoder::new(&self.left),
            right: Encoder::new(&self.right),
            yields,
            schema: self.schema(yields),
        }
    }

    pub(super) fn both(&self) -> Decoder {
        self.decoder(Yields::Both)
    }

    fn left(&self, mark: Option<bool>) -> Decoder {
        self.decoder(mark.map_or(Yields::Left, Yields::Marked))
    }

    /// The bytes of a side's row that is not there.
    pub(super) fn nothing(&self, is_left: bool) -> Bytes {
        let side = if is_left { &self.left } else { &self.right };
        Encoder::new(side).nothing()
    }
}

/// Makes columns of joined bytes.
pub(super) struct Decoder {
    left: Encoder,
    right: Encoder,
    yields: Yields,
    schema: SchemaRef,
}

impl Decoder {
    pub(super) fn batch(&self, rows: &[(&[u8], &[u8])]) -> RecordBatch {
        let mut columns = self.left.decode(rows.iter().map(|it| it.0));
        match self.yields {
            Yields::Both => columns.extend(self.right.decode(rows.iter().map(|it| it.1))),
            Yields::Left => {}
            Yields::Marked(mark) => {
                columns.push(Arc::new(BooleanArray::from(vec![mark; rows.len()])))
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("columns are of the schema")
    }
}

/// Joined rows as changes; on demand without those that cancel out within an epoch.
fn as_changes<'s>(rows: Pairs<'s>, decoder: Decoder, cancels: bool) -> ChangeStream<'s> {
    rows.inner
        .unary_frontier::<Builder, _, _, _>(Pipeline, "Joined", move |_, _| {
            type Open = (Capability<u64>, Vec<((RowBytes, RowBytes), isize)>);
            let mut open: BTreeMap<u64, Open> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    for (row, epoch, diff) in data.drain(..) {
                        open.entry(epoch)
                            .or_insert_with(|| (capability.delayed(&epoch, 0), Vec::new()))
                            .1
                            .push((row, diff));
                    }
                });
                while let Some(entry) = open.first_entry() {
                    if cancels && frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (capability, mut rows) = entry.remove();
                    if cancels {
                        consolidate(&mut rows);
                    }
                    for rows in rows.chunks(ROWS_AT_ONCE) {
                        let pairs = rows.iter().map(|it| (&it.0.0[..], &it.0.1[..]));
                        let batch = decoder.batch(&pairs.collect::<Vec<_>>());
                        let diffs: Vec<i64> = rows.iter().map(|it| it.1 as i64).collect();
                        let mut changes = Changes::signed(batch, diffs);
                        output.session(&capability).give_container(&mut changes);
                    }
                }
            }
        })
}

/// The rows of one side among pairs, as often as they have a match.
fn rows_of_side<'s>(
    pairs: ChangeStream<'s>,
    shape: &Shape,
    from_left: bool,
) -> VecCollection<'s, u64, Bytes, isize> {
    let of_left = shape.left.fields().len();
    let of_right = shape.right.fields().len();
    let (columns, schema) = match from_left {
        true => (0..of_left, &shape.left),
        false => (of_left..of_left + of_right, &shape.right),
    };
    let encoder = Encoder::new(schema);
    type Builder = CapacityContainerBuilder<Vec<(Bytes, u64, isize)>>;
    let rows: StreamVec<'s, u64, (Bytes, u64, isize)> =
        pairs.unary::<Builder, _, _, _>(Pipeline, "JoinMatches", move |_, _| {
            move |input, output| {
                input.for_each(|capability, changes| {
                    let changes = std::mem::take(changes);
                    let (Some(epoch), Some(batch)) = (capability.least().copied(), changes.batch())
                    else {
                        return;
                    };
                    let side = &batch.columns()[columns.clone()];
                    let rows = encoder.encoded(side);
                    let diff = |at: usize| changes.diffs().map_or(1, |it| it[at] as isize);
                    let row = |at: usize| (rows.row(at).to_vec(), epoch, diff(at));
                    let rows = (0..batch.num_rows()).map(row);
                    output.session(&capability).give_iterator(rows);
                });
            }
        });
    rows.as_collection()
}

fn identity(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    let fields = schema.fields().iter().enumerate();
    fields
        .map(|(at, it)| Arc::new(Column::new(it.name(), at)) as Arc<dyn PhysicalExpr>)
        .collect()
}
