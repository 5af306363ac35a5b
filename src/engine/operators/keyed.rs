//! Rows by key: what operators take in that keep rows whole, such as joins.
//!
//! Keys and rows are bytes ([`Encoder`]). What comes in is journalled, and put in again after a restart. Where rows belong to windows, those of a
//! closed one are taken back: what that changes is final, so it ends at the edge of the operator ([`while_open`]).

use super::{ChangeStream, ClockStream, RunEpochs, Shared};
use crate::engine::changes::Changes;
use crate::engine::encoded::{Bytes, Encoder};
use crate::engine::gate::Gate;
use crate::engine::{PackedRow, StateContent};
use crate::plan::{GroupWindow, Order, nullable};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use differential_dataflow::{AsCollection, VecCollection};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

/// Rows with their key, which is none if a part of it is NULL and NULL matches nothing.
pub(super) type Keyed<'s> = VecCollection<'s, u64, (Option<Bytes>, Bytes), isize>;

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

/// A row behind the bytes that it is sorted by. Behind both stands where it begins; as each part tells its own end, these bytes sort as the two.
pub(super) fn in_order(mut order: Bytes, row: &[u8]) -> Bytes {
    let at = u32::try_from(order.len()).expect("a row has less than 4 GB");
    order.extend_from_slice(row);
    order.extend_from_slice(&at.to_le_bytes());
    order
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
    /// With `add_us` it tells the end of a row's window.
    pub column: usize,
    pub add_us: i64,
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
            column,
            add_us,
            gate: gate.clone(),
            ticks: ticks.clone(),
        })
    }
}

/// Rows are let go together with all whose end lies in the same span: in interval joins each has an end of its own, and a map for each costs more than
/// the rows do.
const SPAN_US: i64 = 1_000_000;

/// What was taken in and may be let go, by the end of the span that its own end lies in.
#[derive(Default)]
struct Held(BTreeMap<i64, HashMap<(Option<Bytes>, Bytes), isize, FixedState>>);

impl Held {
    fn add(&mut self, end: i64, row: &(Option<Bytes>, Bytes), diff: isize) {
        let span_end = end.saturating_add((-end).rem_euclid(SPAN_US));
        let span = self.0.entry(span_end).or_default();
        *span.entry(row.clone()).or_default() += diff;
    }

    /// Everything of spans that end by then.
    fn closed(&mut self, watermark: i64) -> Vec<((Option<Bytes>, Bytes), isize)> {
        let mut closed = Vec::new();
        while let Some(entry) = self.0.first_entry()
            && *entry.key() <= watermark
        {
            closed.extend(entry.remove());
        }
        closed
    }
}

/// Rows with their keys, from what was restored on; news becomes part of the stored state.
pub(super) fn keyed<'s>(
    input: Input<'s>,
    form: Form,
    operator: String,
    closing: Option<Closing<'s>>,
    epochs: &RunEpochs,
    shared: &Rc<RefCell<Shared>>,
) -> Keyed<'s> {
    type Update = ((Option<Bytes>, Bytes), u64, isize);
    type Builder = CapacityContainerBuilder<Vec<Update>>;
    let schema = nullable(&input.schema);
    let Form {
        key,
        nulls_match,
        order,
        is_stored,
    } = form;
    let is_ordered = order.is_some();
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
    let encode = move |batch: &RecordBatch| -> Vec<(Option<Bytes>, Bytes)> {
        let columns: Vec<ArrayRef> = key.iter().map(|it| batch.column(*it).clone()).collect();
        let keys = of_key.encode(&columns, batch.num_rows());
        let mut rows = of_row.encode(batch.columns(), batch.num_rows());
        if let Some((order, encoder)) = &of_order {
            let columns = order.iter().map(|it| batch.column(it.column).clone());
            let orders = encoder.encode(&columns.collect::<Vec<_>>(), batch.num_rows());
            for (row, order) in rows.iter_mut().zip(orders) {
                *row = in_order(order, row);
            }
        }
        let has_null = |row: usize| !nulls_match && columns.iter().any(|it| it.is_null(row));
        let keyed = keys.into_iter().zip(rows).enumerate();
        let keyed = keyed.map(|(at, (key, row))| ((!has_null(at)).then_some(key), row));
        keyed.collect()
    };
    let boot = epochs.boot;
    let shared = Rc::clone(shared);
    let store = move |epoch: u64, row: &[u8], end_us: Option<i64>, diff: isize| {
        if !is_stored || epoch <= boot {
            return;
        }
        let bytes = match is_ordered {
            true => order_and_row(row).1.to_vec(),
            false => row.to_vec(),
        };
        let row = PackedRow {
            bytes,
            end_us,
            diff: diff as i64,
        };
        let content = StateContent::Packed(row);
        shared.borrow_mut().capture(epoch, &operator, content);
    };
    let Some(Closing {
        column,
        add_us,
        gate,
        ticks,
    }) = closing
    else {
        return input
            .rows
            .unary::<Builder, _, _, _>(Pipeline, "Keyed", move |capability, _| {
                let mut initial = Some((capability.delayed(&boot), restored));
                move |input, output| {
                    let mut give = |at: Capability<u64>, epoch: u64, changes: &Changes| {
                        let Some(batch) = changes.batch() else { return };
                        let rows = encode(batch).into_iter().enumerate();
                        let diff = |at: usize| changes.diffs().map_or(1, |it| it[at] as isize);
                        output.session(&at).give_iterator(rows.map(|(at, row)| {
                            store(epoch, &row.1, None, diff(at));
                            (row, epoch, diff(at))
                        }));
                    };
                    if let Some((capability, restored)) = initial.take() {
                        give(capability, boot, &restored);
                    }
                    input.for_each(|capability, changes| {
                        let changes = std::mem::take(changes);
                        let epoch = capability.least().copied().filter(|it| boot < *it);
                        if let Some(epoch) = epoch {
                            give(capability.delayed(&epoch, 0), epoch, &changes);
                        }
                    });
                }
            })
            .as_collection();
    };
    let ends = move |batch: &RecordBatch| -> Vec<Option<i64>> {
        let times = batch
            .column(column)
            .as_primitive::<TimestampMicrosecondType>();
        times
            .iter()
            .map(|it| Some(it?.saturating_add(add_us)))
            .collect()
    };
    let rows = input.rows.binary_frontier::<_, Builder, _, _, _, _>(
        ticks,
        Pipeline,
        Pipeline,
        "KeyedInWindows",
        move |capability, _| {
            let mut held = Some(capability);
            let mut initial = Some(restored);
            let mut windows = Held::default();
            let mut open: BTreeMap<u64, Vec<Changes>> = BTreeMap::new();
            move |(input, frontier), (ticks, known), output| {
                ticks.for_each(|_, _| {});
                input.for_each(|capability, changes| {
                    let changes = std::mem::take(changes);
                    if let Some(epoch) = capability.least().copied().filter(|it| boot < *it) {
                        open.entry(epoch).or_default().push(changes);
                    }
                });
                let Some(capability) = held.as_mut() else {
                    return;
                };
                let mut take = |epoch: u64, changes: &Changes, closed_us: i64| {
                    let Some(batch) = changes.batch() else {
                        return Vec::new();
                    };
                    let rows = encode(batch).into_iter().zip(ends(batch)).enumerate();
                    let taken = rows.filter_map(|(at, (row, end))| {
                        let diff = changes.diffs().map_or(1, |it| it[at] as isize);
                        store(epoch, &row.1, end, diff);
                        if let Some(end) = end {
                            if end <= closed_us {
                                return None;
                            }
                            windows.add(end, &row, diff);
                        }
                        Some((row, epoch, diff))
                    });
                    taken.collect::<Vec<_>>()
                };
                if let Some(restored) = initial.take() {
                    // Stored state may hold rows of windows that are closed.
                    let taken = take(boot, &restored, gate.watermark(boot + 1));
                    output
                        .session(&capability.delayed(&boot))
                        .give_iterator(taken.into_iter());
                }
                let first = |it: &timely::progress::frontier::MutableAntichain<u64>| {
                    it.frontier().first().copied().unwrap_or(u64::MAX)
                };
                let upto = first(frontier).min(first(known));
                while let Some(entry) = open.first_entry() {
                    let epoch = *entry.key();
                    if upto <= epoch {
                        break;
                    }
                    for changes in entry.remove() {
                        let taken = take(epoch, &changes, gate.watermark(epoch));
                        output
                            .session(&capability.delayed(&epoch))
                            .give_iterator(taken.into_iter());
                    }
                }
                // Nothing is released at shutdown.
                if upto == u64::MAX {
                    held = None;
                    return;
                }
                if *capability.time() < upto {
                    capability.downgrade(&upto);
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
