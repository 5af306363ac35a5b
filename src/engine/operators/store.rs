//! Where results leave the dataflow: rows of append-only tables, rows of views for readers and for tables, the live tail.
//!
//! Each operator holds its epochs until it has handed them to the worker's loop, so the probe behind it
//! says what has been handed over.

use super::{ChangeStream, ClockStream, Shared};
use crate::engine::changes::Changes;
use crate::engine::gate::SharedClock;
use crate::engine::view_store::ViewStore;
use crate::engine::worker::Place;
use crate::model::Row;
use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;

type Nothing = CapacityContainerBuilder<Vec<()>>;

/// Records for an append-only table, handed over at once. With a clock and an event time, late ones among them are marked, which needs
/// the clock as of their epoch: the watermark follows when it is known. Late ones of the archive of a source are counted for it.
pub(in crate::engine) fn append<'s>(
    input: ChangeStream<'s>,
    table: usize,
    event_time: Option<usize>,
    archive_of: Option<String>,
    clock: Option<(SharedClock, ClockStream<'s>)>,
    shared: &Rc<RefCell<Shared>>,
) -> StreamVec<'s, u64, ()> {
    let shared = Rc::clone(shared);
    let Some(((clock, ticks), column)) = clock.zip(event_time) else {
        return input.unary::<Nothing, _, _, _>(Pipeline, "Append", move |_, _| {
            move |input, _output| {
                input.for_each(|capability, changes| {
                    if let Some(time) = capability.least().copied() {
                        hand_over(&shared, table, time, changes);
                    }
                });
            }
        });
    };
    input.binary_frontier::<_, Nothing, _, _, _, _>(
        ticks,
        Pipeline,
        Pipeline,
        "Append",
        move |_, _| {
            let mut unmarked: BTreeMap<u64, (Capability<u64>, Vec<ArrayRef>)> = BTreeMap::new();
            move |(input, _), (ticks, _), _output| {
                ticks.for_each(|_, _| {});
                input.for_each(|capability, changes| {
                    if let Some(time) = capability.least().copied() {
                        let rows = hand_over(&shared, table, time, changes);
                        let (_, times) = unmarked
                            .entry(time)
                            .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()));
                        times.extend(rows.map(|it| Arc::clone(it.column(column))));
                    }
                });
                let clock = clock.borrow();
                while let Some(entry) = unmarked.first_entry()
                    && clock.knows(*entry.key())
                {
                    let (time, (_, times)) = entry.remove_entry();
                    let watermark = clock.watermark(time);
                    let mut shared = shared.borrow_mut();
                    shared.marks.push((table, time, watermark));
                    if let Some(source) = &archive_of {
                        let late: usize = times.iter().map(|it| behind(it, watermark)).sum();
                        if 0 < late {
                            *shared.late.entry(source.clone()).or_insert(0) += late as u64;
                        }
                    }
                }
            }
        },
    )
}

fn hand_over(
    shared: &Rc<RefCell<Shared>>,
    table: usize,
    time: u64,
    changes: &mut Changes,
) -> Option<RecordBatch> {
    let batch = std::mem::take(changes).batch()?.clone();
    shared
        .borrow_mut()
        .appended
        .push((table, time, batch.clone()));
    Some(batch)
}

/// How many of these times are before the watermark.
fn behind(times: &ArrayRef, watermark: i64) -> usize {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    times.iter().flatten().filter(|it| *it < watermark).count()
}

/// The newest rows of an append-only table, for the live tail of every process: at most `rows` per epoch and worker, the rest only counted.
pub(in crate::engine) fn tail<'s>(
    input: ChangeStream<'s>,
    table: usize,
    rows: usize,
    place: Place,
    shared: &Rc<RefCell<Shared>>,
) -> StreamVec<'s, u64, ()> {
    let own = Rc::clone(shared);
    let sampled = input.unary::<CapacityContainerBuilder<Vec<(u64, Sample)>>, _, _, _>(
        Pipeline,
        "Tail",
        move |_, _| {
            let (mut epoch, mut left) = (0, rows);
            move |input, output| {
                input.for_each(|capability, changes| {
                    let Some(time) = capability.least().copied() else {
                        return;
                    };
                    if epoch != time {
                        (epoch, left) = (time, rows);
                    }
                    let changes = std::mem::take(changes);
                    let Some(batch) = changes.batch() else { return };
                    let taken = left.min(batch.num_rows());
                    left -= taken;
                    let rows = newest(batch, taken);
                    let matched = batch.num_rows() as u64;
                    if place.is_cluster() {
                        let sample = Sample {
                            rows: encoded(&rows),
                            matched,
                        };
                        let copies = place.one_per_process(table);
                        output
                            .session(&capability)
                            .give_iterator(copies.map(|it| (it, sample.clone())));
                    } else {
                        own.borrow_mut().add_tail(table, rows, matched);
                    }
                });
            }
        },
    );
    if !place.is_cluster() {
        return sampled.unary::<Nothing, _, _, _>(Pipeline, "NoSamples", move |_, _| {
            move |input, _output| input.for_each(|_, _| {})
        });
    }
    let shared = Rc::clone(shared);
    sampled.unary::<Nothing, _, _, _>(
        Exchange::new(|it: &(u64, Sample)| it.0),
        "Samples",
        move |_, _| {
            move |input, _output| {
                input.for_each(|_, data| {
                    for (_, sample) in data.drain(..) {
                        if let Some(rows) = decoded(&sample.rows) {
                            shared.borrow_mut().add_tail(table, rows, sample.matched);
                        }
                    }
                });
            }
        },
    )
}

/// The last rows of a batch, copied: they are kept for long, and a slice would keep the whole batch.
fn newest(batch: &RecordBatch, rows: usize) -> RecordBatch {
    let first = batch.num_rows() - rows;
    let numbers = UInt64Array::from_iter_values(first as u64..batch.num_rows() as u64);
    take_record_batch(batch, &numbers).expect("the rows are there")
}

/// Some rows of one epoch on their way to another process, as an Arrow IPC stream, and how many there were.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sample {
    rows: Vec<u8>,
    matched: u64,
}

fn encoded(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = StreamWriter::try_new(&mut bytes, rows.schema_ref())
        .and_then(|mut it| it.write(rows).and_then(|()| it.finish()));
    written.expect("a batch in memory can be encoded");
    bytes
}

fn decoded(bytes: &[u8]) -> Option<RecordBatch> {
    let mut reader =
        StreamReader::try_new(bytes, None).expect("processes of one cluster are of one build");
    reader
        .next()
        .map(|it| it.expect("processes of one cluster are of one build"))
}

/// Changes of a view as rows.
pub(in crate::engine) fn view_rows<'s>(
    input: ChangeStream<'s>,
) -> StreamVec<'s, u64, (u64, Row, i64)> {
    input.unary::<CapacityContainerBuilder<Vec<(u64, Row, i64)>>, _, _, _>(
        Pipeline,
        "Rows",
        move |_, _| {
            move |input, output| {
                input.for_each(|capability, changes| {
                    let Some(time) = capability.least().copied() else {
                        return;
                    };
                    let changes = std::mem::take(changes);
                    let sent = changes.rows().map(|(row, diff)| (time, row, diff));
                    output.session(&capability).give_iterator(sent);
                });
            }
        },
    )
}

/// Leaves rows of a view for the readers of every process.
pub(in crate::engine) fn publish<'s>(
    rows: StreamVec<'s, u64, (u64, Row, i64)>,
    view: usize,
    place: Place,
    shared: &Rc<RefCell<Shared>>,
) -> StreamVec<'s, u64, ()> {
    let shared = Rc::clone(shared);
    let take = move |changes: &mut dyn Iterator<Item = (u64, Row, i64)>| {
        let mut shared = shared.borrow_mut();
        for (time, row, diff) in changes {
            let published = shared.changes.entry(time).or_default();
            published.push((view, row, diff));
        }
    };
    if !place.is_cluster() {
        return rows.unary::<Nothing, _, _, _>(Pipeline, "Publish", move |_, _| {
            move |input, _output| input.for_each(|_, data| take(&mut data.drain(..)))
        });
    }
    rows.flat_map(move |it| place.one_per_process(view).map(move |to| (to, it.clone())))
        .unary::<Nothing, _, _, _>(
            Exchange::new(|it: &(u64, (u64, Row, i64))| it.0),
            "Publish",
            move |_, _| {
                move |input, _output| {
                    input.for_each(|_, data| take(&mut data.drain(..).map(|it| it.1)))
                }
            },
        )
}

/// The rows of a view on the workers that keep them for its table: where they are if they are final, else by their key.
pub(in crate::engine) fn store_view<'s>(
    rows: StreamVec<'s, u64, (u64, Row, i64)>,
    store: Rc<RefCell<ViewStore>>,
) -> StreamVec<'s, u64, ()> {
    let (is_final, key) = (store.borrow().is_final, store.borrow().key());
    let take = move |data: &mut Vec<(u64, Row, i64)>| {
        let mut store = store.borrow_mut();
        for (time, row, diff) in data.drain(..) {
            store.add(time, row, diff);
        }
    };
    if is_final {
        return rows.unary::<Nothing, _, _, _>(Pipeline, "Store", move |_, _| {
            move |input, _output| input.for_each(|_, data| take(data))
        });
    }
    let exchange = Exchange::new(move |it: &(u64, Row, i64)| key.hash_of(&it.1));
    rows.unary::<Nothing, _, _, _>(exchange, "Store", move |_, _| {
        move |input, _output| input.for_each(|_, data| take(data))
    })
}
