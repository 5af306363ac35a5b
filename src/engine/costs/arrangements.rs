//! What differential's arrangements keep.
//!
//! An arrangement is a few batches that never change, merged in the background. The memory of their tables is what these have reserved. What rows in them
//! point at is estimated from [`LOOKED_AT`] of them, evenly spaced. While two batches are merged, the half-made third one is not among it.

use super::{Keeps, Owners};
use crate::engine::encoded::Bytes;
use crate::engine::operators::{RowBytes, bytes_of};
use crate::model::Held;
use crate::model::held::{allocated, of_vec};
use differential_dataflow::Data;
use differential_dataflow::operators::arrange::Arranged;
use differential_dataflow::trace::implementations::OffsetList;
use differential_dataflow::trace::implementations::Vector;
use differential_dataflow::trace::implementations::ord_neu::{OrdKeyBatch, OrdValBatch};
use differential_dataflow::trace::{Span, TraceReader};
use std::rc::{Rc, Weak};
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;

/// Rows of a batch of which it is looked at what they point at.
const LOOKED_AT: usize = 256;

/// A key or value of an arrangement.
pub(in crate::engine) trait PointsAt {
    /// The bytes that it points at.
    fn points_at(&self) -> usize;
}

impl PointsAt for Bytes {
    fn points_at(&self) -> usize {
        allocated(self.capacity())
    }
}

impl PointsAt for RowBytes {
    fn points_at(&self) -> usize {
        bytes_of(self)
    }
}

impl PointsAt for u64 {
    fn points_at(&self) -> usize {
        0
    }
}

impl PointsAt for () {
    fn points_at(&self) -> usize {
        0
    }
}

/// A batch of an arrangement.
pub(in crate::engine) trait Batch {
    fn held(&self) -> Held;
}

impl<K: Data + PointsAt, V: Data + PointsAt> Batch for OrdValBatch<Vector<((K, V), u64, isize)>> {
    fn held(&self) -> Held {
        let (keys, vals) = (&self.storage.keys, &self.storage.vals);
        let upds = &self.storage.upds;
        Held {
            rows: vals.vals.len(),
            bytes: of_list(keys)
                + of_list(&vals.vals)
                + of_offsets(&vals.offs)
                + of_offsets(&upds.offs)
                + of_vec::<u64>(upds.times.capacity())
                + of_vec::<isize>(upds.diffs.capacity()),
        }
    }
}

impl<K: Data + PointsAt> Batch for OrdKeyBatch<Vector<((K, ()), u64, isize)>> {
    fn held(&self) -> Held {
        let (keys, upds) = (&self.storage.keys, &self.storage.upds);
        Held {
            rows: keys.len(),
            bytes: of_list(keys)
                + of_offsets(&upds.offs)
                + of_vec::<u64>(upds.times.capacity())
                + of_vec::<isize>(upds.diffs.capacity()),
        }
    }
}

/// A list of keys or values.
fn of_list<V: PointsAt>(list: &Vec<V>) -> usize {
    let step = list.len().div_ceil(LOOKED_AT).max(1);
    let (mut bytes, mut seen) = (0, 0);
    for it in list.iter().step_by(step) {
        bytes += it.points_at();
        seen += 1;
    }
    let all = (bytes * list.len()).checked_div(seen);
    of_vec::<V>(list.capacity()) + all.unwrap_or(0)
}

fn of_offsets(it: &OffsetList) -> usize {
    of_vec::<u32>(it.smol.capacity()) + of_vec::<u64>(it.chonk.capacity())
}

/// A trace, and a token that lives as long as somebody reads it.
#[derive(Clone)]
pub(in crate::engine) struct Watched<Tr> {
    trace: Tr,
    _token: Rc<()>,
}

impl<Tr: TraceReader> TraceReader for Watched<Tr> {
    type Time = Tr::Time;
    type Batch = Tr::Batch;

    fn spans_through(
        &mut self,
        upper: AntichainRef<Self::Time>,
    ) -> Option<Vec<Span<Self::Time, Self::Batch>>> {
        self.trace.spans_through(upper)
    }

    fn set_logical_compaction(&mut self, frontier: AntichainRef<Self::Time>) {
        self.trace.set_logical_compaction(frontier);
    }

    fn get_logical_compaction(&mut self) -> AntichainRef<'_, Self::Time> {
        self.trace.get_logical_compaction()
    }

    fn set_physical_compaction(&mut self, frontier: AntichainRef<'_, Self::Time>) {
        self.trace.set_physical_compaction(frontier);
    }

    fn get_physical_compaction(&mut self) -> AntichainRef<'_, Self::Time> {
        self.trace.get_physical_compaction()
    }

    fn map_spans<F: FnMut(&Span<Self::Time, Self::Batch>)>(&self, f: F) {
        self.trace.map_spans(f);
    }
}

/// Looks at a trace for as long as somebody else reads it.
struct Watcher<Tr> {
    trace: Option<Tr>,
    /// None if its maker reads it too.
    token: Option<Weak<()>>,
}

impl<Tr, B> Keeps for Watcher<Tr>
where
    Tr: TraceReader<Batch = Rc<B>>,
    B: Batch + 'static,
{
    fn held(&mut self) -> Held {
        // A join stops to read one side when the other has ended: nothing of it is kept from then on.
        if self.token.as_ref().is_some_and(|it| it.strong_count() == 0) {
            self.trace = None;
        }
        let mut held = Held::default();
        if let Some(trace) = &self.trace {
            trace.map_spans(|span| {
                held += span.inner.as_ref().map_or(Held::default(), |it| it.held());
            });
        }
        held
    }
}

impl<Tr: TraceReader<Time = u64> + Clone> Watcher<Tr> {
    /// It holds nothing back that the trace would merge or forget.
    fn new(trace: &Tr, token: Option<Weak<()>>) -> Self {
        let mut own = trace.clone();
        own.set_logical_compaction(Antichain::new().borrow());
        own.set_physical_compaction(Antichain::new().borrow());
        Watcher {
            trace: Some(own),
            token,
        }
    }
}

/// The same arrangement; from now on it is asked what it keeps, for as long as it is read.
pub(in crate::engine) fn watched<'s, Tr, B>(
    arranged: Arranged<'s, Tr>,
    owners: &mut Owners,
) -> Arranged<'s, Watched<Tr>>
where
    Tr: TraceReader<Time = u64, Batch = Rc<B>> + Clone + 'static,
    B: Batch + 'static,
{
    let token = Rc::new(());
    owners.keep(Watcher::new(&arranged.trace, Some(Rc::downgrade(&token))));
    Arranged {
        stream: arranged.stream,
        trace: Watched {
            trace: arranged.trace,
            _token: token,
        },
    }
}

/// From now on it is asked what the results of a reduction keep, which the operator that makes them reads itself.
pub(in crate::engine) fn watch<Tr, B>(results: &Arranged<'_, Tr>, owners: &mut Owners)
where
    Tr: TraceReader<Time = u64, Batch = Rc<B>> + Clone + 'static,
    B: Batch + 'static,
{
    owners.keep(Watcher::new(&results.trace, None));
}
