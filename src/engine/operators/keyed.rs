//! Rows by key: what operators take in that keep rows whole, such as joins.
//!
//! Keys and rows are bytes ([`Encoder`]), and are handed on by the worker that their key falls to, in pieces if that is another one ([`sent`]): operators
//! behind need not exchange them again. What comes in is journalled, and put in again after a restart. Where rows belong to windows, those of a closed
//! one are taken back: what that changes is final, so it ends at the edge of the operator ([`while_open`]).

mod sent;

use super::{ChangeStream, ClockStream, RunEpochs, Shared};
use crate::engine::PackedRow;
use crate::engine::changes::Changes;
use crate::engine::costs::Keeps;
use crate::engine::encoded::{Bytes, Encoder, hash};
use crate::engine::gate::Gate;
use crate::model::Held;
use crate::model::held::{allocated, of_tree};
use crate::plan::{GroupWindow, Order, RowEnd, nullable};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use differential_dataflow::{AsCollection, VecCollection};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sent::{Sending, Sent};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{Operator, OutputBuilder};
use timely::dataflow::operators::{Capability, Concat};
use timely::progress::frontier::MutableAntichain;

pub(super) use sent::worker_of;

/// The bytes of a row, which operators of one worker share.
pub(in crate::engine) type RowBytes = Rc<[u8]>;
/// What [`RowBytes`] take beside the row: their counts.
const COUNTS_BYTES: usize = 2 * size_of::<usize>();

/// What a row takes of memory.
pub(in crate::engine) fn bytes_of(row: &RowBytes) -> usize {
    allocated(COUNTS_BYTES + row.len())
}

/// A row with its key, which is none if a part of it is NULL and NULL matches nothing.
type KeyAndRow = (Option<Bytes>, RowBytes);

/// Rows with their keys, at the workers that these fall to.
pub(super) type Keyed<'s> = VecCollection<'s, u64, KeyAndRow, isize>;

/// What an operator takes in.
pub(in crate::engine) struct Input<'s> {
    pub rows: ChangeStream<'s>,
    pub schema: SchemaRef,
    /// What it had taken in before this run.
    pub restored: Vec<PackedRow>,
}

/// What rows become.
pub(super) struct Form {
    pub key: Vec<usize>,
    /// Whether rows with a NULL in their key have one.
    pub nulls_match: bool,
    /// If rows are to be sorted by more than their columns: [`in_order`].
    pub order: Option<Vec<Order>>,
    /// Whether what comes in becomes part of the stored state here.
    pub is_stored: bool,
}

/// Writes a row behind the bytes that it is sorted by. Behind both stands where it begins; as each part tells its own end, these bytes sort as the two.
pub(super) fn in_order(order: &[u8], row: &[u8], bytes: &mut Bytes) {
    let at = u32::try_from(order.len()).expect("a row has less than 4 GB");
    bytes.clear();
    for part in [order, row, &at.to_le_bytes()] {
        bytes.extend_from_slice(part);
    }
}

/// The parts of [`in_order`].
pub(super) fn order_and_row(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (parts, at) = bytes
        .split_last_chunk()
        .expect("where the row begins is the end");
    parts.split_at(u32::from_le_bytes(*at) as usize)
}

/// When rows are let go.
pub(super) struct Closing<'s> {
    pub end: RowEnd,
    pub gate: Gate,
    pub ticks: ClockStream<'s>,
}

impl<'s> Closing<'s> {
    /// That of a group that lies in one window.
    pub fn of(window: Option<GroupWindow>, gate: Option<&(Gate, ClockStream<'s>)>) -> Option<Self> {
        let (gate, ticks) = gate?;
        let (column, add_us) = match window? {
            GroupWindow::OfKey { input, add_us, .. } => (input, add_us),
            // Its end is not told by a row alone.
            GroupWindow::OfSession { .. } => return None,
        };
        Some(Closing {
            end: RowEnd { column, add_us },
            gate: gate.clone(),
            ticks: ticks.clone(),
        })
    }
}

/// Rows are let go together with all whose end lies in the same span: in interval joins each has an end of its own, and a map for each costs more than
/// the rows do.
const SPAN_US: i64 = 1_000_000;

/// The end of the span that an end lies in.
pub(super) fn span_end(end: i64) -> i64 {
    end.saturating_add((-end).rem_euclid(SPAN_US))
}

/// What was taken in and may be let go, by the end of the span that its own end lies in.
#[derive(Default)]
struct Spans(BTreeMap<i64, Span>);

/// What was taken in, with how often, and what the bytes of it take.
#[derive(Default)]
struct Span {
    rows: HashMap<KeyAndRow, isize, FixedState>,
    bytes: usize,
}

impl Spans {
    fn add(&mut self, end: i64, row: &KeyAndRow, diff: isize) {
        let span = self.0.entry(span_end(end)).or_default();
        match span.rows.get_mut(row) {
            Some(count) => *count += diff,
            None => {
                let (key, bytes) = row;
                let of_key = key.as_ref().map_or(0, |it| allocated(it.len()));
                span.bytes += of_key + bytes_of(bytes);
                span.rows.insert(row.clone(), diff);
            }
        }
    }

    /// Everything of spans that end by then.
    fn closed(&mut self, watermark: i64) -> Vec<(KeyAndRow, isize)> {
        let mut closed = Vec::new();
        while let Some(entry) = self.0.first_entry()
            && *entry.key() <= watermark
        {
            closed.extend(entry.remove().rows);
        }
        closed
    }
}

impl Keeps for Spans {
    fn held(&mut self) -> Held {
        let of_span = |it: &Span| Held {
            rows: it.rows.len(),
            bytes: it.bytes + allocated(it.rows.allocation_size()),
        };
        let tree = of_tree::<i64, Span>(self.0.len());
        self.0.values().map(of_span).sum::<Held>() + Held::bytes(tree)
    }
}

/// Rows with their keys, from what was restored on; news becomes part of the stored state. Rows are let go by `closing`.
pub(super) fn keyed<'s>(
    input: Input<'s>,
    form: Form,
    operator: String,
    closing: Option<Closing<'s>>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> Keyed<'s> {
    let row = |it: &TakenIn<'_>| (it.key.map(<[u8]>::to_vec), RowBytes::from(it.row));
    match closing {
        Some(closing) => {
            let make = move |it: TakenIn<'_>| Some(((row(&it), it.end_us), it.epoch, it.diff));
            let end = Some(closing.end);
            let rows = taken_in(input, form, operator.clone(), end, epochs, shared, make);
            let_go(rows, closing, operator, epochs.boot, shared)
        }
        None => {
            let make = move |it: TakenIn<'_>| Some((row(&it), it.epoch, it.diff));
            taken_in(input, form, operator, None, epochs, shared, make).as_collection()
        }
    }
}

/// A row with its key, and when it is let go, if ever.
type Ending = (KeyAndRow, Option<i64>);

/// A row as it was taken in.
pub(super) struct TakenIn<'a> {
    /// None if a part of it is NULL and NULL matches nothing.
    pub key: Option<&'a [u8]>,
    /// Of the key, or of the row if it has none.
    pub hash: u64,
    pub row: &'a [u8],
    /// When it is let go, if ever.
    pub end_us: Option<i64>,
    pub epoch: u64,
    pub diff: isize,
}

/// What `make` makes of each row at the worker of its key; at first of what was restored. News becomes part of the stored state.
pub(super) fn taken_in<'s, T: 'static>(
    input: Input<'s>,
    form: Form,
    operator: String,
    end: Option<RowEnd>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
    make: impl Fn(TakenIn<'_>) -> Option<T> + 'static,
) -> StreamVec<'s, u64, T> {
    let schema = nullable(&input.schema);
    let Form {
        key,
        nulls_match,
        order,
        is_stored,
    } = form;
    let key_schema = Arc::new(schema.project(&key).expect("the key is of the side"));
    let (of_key, of_row) = (Encoder::new(&key_schema), Encoder::new(&schema));
    let restored = {
        let rows = of_row.batch(input.restored.iter().map(|it| it.bytes.as_slice()));
        let diffs: Vec<i64> = input.restored.iter().map(|it| it.diff).collect();
        Changes::signed(rows, diffs)
    };
    let of_order = order.map(|order| {
        let encoder = Encoder::in_order(&schema, &order);
        (order, encoder)
    });
    let boot = epochs.boot;
    let shared = Rc::clone(shared);
    let operator: Arc<str> = operator.into();
    let store = move |epoch: u64, row: &[u8], end_us: Option<i64>, diff: isize| {
        if !is_stored || epoch <= boot {
            return;
        }
        let mut shared = shared.borrow_mut();
        shared.capture_packed(epoch, &operator, row, end_us, diff as i64);
    };
    let scope = input.rows.scope();
    let (peers, here) = (scope.peers(), scope.index());
    type Give<'a, T> = &'a mut dyn FnMut(T);
    let (make, make_there) = {
        let make = Rc::new(make);
        (Rc::clone(&make), make)
    };
    let take = move |epoch: u64, changes: &Changes, stays: Give<'_, T>, leaves: Give<'_, Sent>| {
        let Some(batch) = changes.batch() else { return };
        let ends = ends(batch, end);
        let columns: Vec<ArrayRef> = key.iter().map(|it| batch.column(*it).clone()).collect();
        let keys = of_key.encoded(&columns);
        let rows = of_row.encoded(batch.columns());
        let orders = of_order.as_ref().map(|(order, encoder)| {
            let columns = order.iter().map(|it| batch.column(it.column).clone());
            encoder.encoded(&columns.collect::<Vec<_>>())
        });
        let mut ordered = Bytes::new();
        let mut sending = Sending::new(peers, epoch, batch.num_rows());
        for (at, end_us) in ends.into_iter().enumerate() {
            let has_null = !nulls_match && columns.iter().any(|it| it.is_null(at));
            let diff = changes.diffs().map_or(1, |it| it[at] as isize);
            store(epoch, rows.row(at), end_us, diff);
            let row = match &orders {
                None => rows.row(at),
                Some(orders) => {
                    in_order(orders.row(at), rows.row(at), &mut ordered);
                    &ordered
                }
            };
            let key = (!has_null).then(|| keys.row(at));
            let row = TakenIn {
                key,
                hash: hash(key.unwrap_or(row)),
                row,
                end_us,
                epoch,
                diff,
            };
            match worker_of(row.hash, peers) {
                worker if worker == here => make(row).into_iter().for_each(&mut *stays),
                worker => sending.add(worker, &row, leaves),
            }
        }
        sending.end(leaves);
    };
    type Builder<T> = CapacityContainerBuilder<Vec<T>>;
    let mut builder = OperatorBuilder::new("Keyed".to_owned(), scope);
    let mut rows = builder.new_input(input.rows, Pipeline);
    let (stays, staying) = builder.new_output::<Vec<T>>();
    let (leaves, leaving) = builder.new_output::<Vec<Sent>>();
    let mut stays = OutputBuilder::<_, Builder<T>>::from(stays);
    let mut leaves = OutputBuilder::<_, Builder<Sent>>::from(leaves);
    builder.build(move |capabilities| {
        let at = |epoch: u64| move |it: &Capability<u64>| it.delayed(&epoch);
        let at_boot: Vec<Capability<u64>> = capabilities.iter().map(at(boot)).collect();
        let mut initial = Some((at_boot, restored));
        move |_frontiers| {
            let (mut stays, mut leaves) = (stays.activate(), leaves.activate());
            if let Some((capabilities, restored)) = initial.take() {
                let mut stays = stays.session(&capabilities[0]);
                let mut leaves = leaves.session(&capabilities[1]);
                let (stays, leaves) = (&mut |it| stays.give(it), &mut |it| leaves.give(it));
                take(boot, &restored, stays, leaves);
            }
            rows.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let epoch = capability.least().copied().filter(|it| boot < *it);
                if let Some(epoch) = epoch {
                    let of = [0, 1].map(|it| capability.delayed(&epoch, it));
                    let mut stays = stays.session(&of[0]);
                    let mut leaves = leaves.session(&of[1]);
                    let (stays, leaves) = (&mut |it| stays.give(it), &mut |it| leaves.give(it));
                    take(epoch, &changes, stays, leaves);
                }
            });
        }
    });
    let to_worker = Exchange::new(Sent::worker);
    let come = leaving.unary::<Builder<T>, _, _, _>(to_worker, "TakenIn", move |_, _| {
        move |input, output| {
            input.for_each(|capability, sent| {
                let mut output = output.session(&capability);
                for sent in sent.drain(..) {
                    let made = sent.rows().filter_map(|it| make_there(it));
                    made.for_each(|it| output.give(it));
                }
            });
        }
    });
    staying.concat(come)
}

/// When each row of a batch is let go.
fn ends(batch: &RecordBatch, end: Option<RowEnd>) -> Vec<Option<i64>> {
    let Some(RowEnd { column, add_us }) = end else {
        return vec![None; batch.num_rows()];
    };
    let times = batch
        .column(column)
        .as_primitive::<TimestampMicrosecondType>();
    let ends = times.iter().map(|it| Some(it?.saturating_add(add_us)));
    ends.collect()
}

/// The first epoch that is not known yet to be complete, of an input.
pub(super) fn first_open(frontier: &MutableAntichain<u64>) -> u64 {
    frontier.frontier().first().copied().unwrap_or(u64::MAX)
}

/// Rows that are taken back when the watermark has passed their end; those that come behind it do not.
fn let_go<'s>(
    rows: StreamVec<'s, u64, (Ending, u64, isize)>,
    closing: Closing<'s>,
    operator: String,
    boot: u64,
    shared: &Rc<RefCell<Shared>>,
) -> Keyed<'s> {
    type Update = (KeyAndRow, u64, isize);
    type Builder = CapacityContainerBuilder<Vec<Update>>;
    let Closing { gate, ticks, .. } = closing;
    let windows = shared.borrow_mut().owners.keep(Spans::default());
    let shared = Rc::clone(shared);
    let rows = rows.binary_frontier::<_, Builder, _, _, _, _>(
        ticks,
        Pipeline,
        Pipeline,
        "LetGo",
        move |capability, _| {
            let mut held = Some(capability);
            let mut open: BTreeMap<u64, Vec<(Ending, isize)>> = BTreeMap::new();
            move |(input, frontier), (ticks, known), output| {
                let mut windows = windows.borrow_mut();
                ticks.for_each(|_, _| {});
                input.for_each(|_, rows| {
                    for (row, epoch, diff) in rows.drain(..) {
                        open.entry(epoch).or_default().push((row, diff));
                    }
                });
                let Some(capability) = held.as_mut() else {
                    return;
                };
                let upto = first_open(frontier).min(first_open(known));
                while let Some(entry) = open.first_entry() {
                    let epoch = *entry.key();
                    if upto <= epoch {
                        break;
                    }
                    let closed_us = closed_at(&gate, epoch, boot);
                    let rows = entry.remove().into_iter();
                    let rows = rows.filter_map(|((row, end), diff)| {
                        if let Some(end) = end {
                            if end <= closed_us {
                                return None;
                            }
                            windows.add(end, &row, diff);
                        }
                        Some((row, epoch, diff))
                    });
                    output
                        .session(&capability.delayed(&epoch))
                        .give_iterator(rows);
                }
                // Nothing is released at shutdown.
                if upto == u64::MAX {
                    held = None;
                    return;
                }
                if *capability.time() < upto {
                    capability.downgrade(&upto);
                    shared.borrow_mut().let_go(&operator, &gate, upto);
                    let closed = windows.closed(gate.watermark(upto));
                    output.session(&capability).give_iterator(
                        closed
                            .into_iter()
                            .filter(|it| it.1 != 0)
                            .map(|(row, count)| (row, upto, -count)),
                    );
                }
            }
        },
    );
    rows.as_collection()
}

/// What is closed when the rows of an epoch come. Stored state, which comes first, may hold rows of windows that are closed.
pub(super) fn closed_at(gate: &Gate, epoch: u64, boot: u64) -> i64 {
    gate.watermark(epoch.max(boot + 1))
}

/// Changes of rows whose window is open. Rows of an epoch are there only when its watermark is known.
pub(super) fn while_open<'s>(
    rows: ChangeStream<'s>,
    column: usize,
    add_us: i64,
    gate: Gate,
) -> ChangeStream<'s> {
    rows.unary::<CapacityContainerBuilder<Changes>, _, _, _>(Pipeline, "WhileOpen", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let open = capability
                    .least()
                    .and_then(|epoch| still_open(&changes, column, add_us, gate.watermark(*epoch)));
                if let Some(mut open) = open {
                    output.session(&capability).give_container(&mut open);
                }
            });
        }
    })
}

fn still_open(changes: &Changes, column: usize, add_us: i64, watermark: i64) -> Option<Changes> {
    let batch = changes.batch()?;
    let times = batch
        .column(column)
        .as_primitive::<TimestampMicrosecondType>();
    let open: BooleanArray = times
        .iter()
        .map(|it| Some(it.is_none_or(|it| watermark < it.saturating_add(add_us))))
        .collect();
    changes.filtered(&open)
}

#[cfg(test)]
mod tests;
