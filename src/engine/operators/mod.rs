//! The operators that are ours, one file each. Everything else is differential's.

mod aggregate;
mod source;
mod stateless;
mod store;
mod top_k;

pub(super) use aggregate::{PartialStream, aggregate, initial, partials};
pub(super) use source::source;
pub(super) use stateless::{Refusal, map, project, relabel};
pub(super) use store::{append, publish, store_view, tail, view_rows};
pub(super) use top_k::top_k;

use super::clock::Clock;
use super::{Control, SourceProgress, StateContent, StateRecord};
use crate::engine::changes::Changes;
use crate::model::{Epoch, Partition, Row, sum_counts};
use arrow::array::RecordBatch;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::dataflow::{Stream, StreamVec};

pub(super) type ChangeStream<'s> = Stream<'s, u64, Changes>;
/// Its frontier says up to where a clock is known.
pub(super) type ClockStream<'s> = StreamVec<'s, u64, ()>;
pub(super) type SharedClock = Rc<RefCell<Clock>>;

/// The epochs of a run.
#[derive(Clone)]
pub(super) struct RunEpochs {
    /// Restored state is fed in at this epoch; what is computed at or before it, the lake already has.
    pub boot: u64,
    /// The first epoch of the run.
    pub start: u64,
    pub tick_ms: u64,
    pub control: Arc<Control>,
}

/// What the operators of one worker leave for its loop to take away.
#[derive(Default)]
pub(super) struct Shared {
    /// All epochs below are complete everywhere.
    pub frontier: u64,
    /// Whether sources have to wait.
    pub wait: bool,
    /// Changes of views by epoch: view, row, diff.
    pub changes: BTreeMap<u64, Vec<(usize, Row, i64)>>,
    /// Samples of append-only tables: table, rows, out of how many.
    pub tails: Vec<(usize, RecordBatch, u64)>,
    /// Read since it was last taken, by epoch.
    pub progress: BTreeMap<u64, Vec<SourceProgress>>,
    /// Rows of append-only tables: table, epoch, rows.
    pub appended: Vec<(usize, u64, RecordBatch)>,
    /// Watermarks that tell which of the rows appended before are late: table, epoch, watermark.
    pub marks: Vec<(usize, u64, i64)>,
    /// What stateful operators took in, by epoch.
    pub captured: BTreeMap<u64, Vec<StateRecord>>,
    pub stores: Vec<Rc<RefCell<ViewStore>>>,
    /// Records that became dead letters because an expression failed, by epoch, source and partition.
    pub refused: BTreeMap<u64, BTreeMap<(usize, Partition), u64>>,
    /// What a view lacks because it could not be computed: how much, and what was wrong with the last of it.
    pub left_out: BTreeMap<String, (u64, String)>,
}

/// The rows of one view as its table has them, on the worker that writes it.
pub(super) struct ViewStore {
    pub view: usize,
    pub name: String,
    pub clock: Option<SharedClock>,
    /// Column and constant that tell the end of a row's window.
    pub window_end: Option<(usize, i64)>,
    /// Changes not yet in `open`, by epoch.
    pub pending: BTreeMap<u64, Vec<(Row, i64)>>,
    pub open: BTreeMap<Row, i64>,
    pub changed: bool,
}

impl Shared {
    /// Adds to the samples. Without rows it is only a number, and that joins the one before.
    fn add_tail(&mut self, table: usize, rows: RecordBatch, matched: u64) {
        match self.tails.last_mut() {
            Some(last) if last.0 == table && rows.num_rows() == 0 => last.2 += matched,
            _ => self.tails.push((table, rows, matched)),
        }
    }

    fn note_left_out(&mut self, relation: &str, count: u64, reason: String) {
        let known = self.left_out.entry(relation.to_owned()).or_default();
        *known = (known.0 + count, reason);
    }

    fn capture(&mut self, epoch: u64, operator: &str, content: StateContent) {
        let record = StateRecord {
            operator: operator.to_owned(),
            content,
        };
        self.captured.entry(epoch).or_default().push(record);
    }
}

impl ViewStore {
    /// Takes in everything up to the commit; returns newly closed rows, and all open rows if they changed.
    pub fn commit(&mut self, commit: Epoch) -> (Vec<Row>, Option<Vec<Row>>) {
        let later = self.pending.split_off(&(commit.0 + 1));
        let due = std::mem::replace(&mut self.pending, later);
        let mut changes: Vec<(Row, i64)> = due.into_values().flatten().collect();
        self.changed |= !changes.is_empty();
        sum_counts(&mut changes);
        if self.open.is_empty() {
            self.open = changes.into_iter().collect();
        } else {
            for (row, diff) in changes {
                *self.open.entry(row).or_insert(0) += diff;
            }
            self.open.retain(|_, count| *count != 0);
        }
        let mut sealed = Vec::new();
        if let (Some((column, add_us)), Some(clock)) = (self.window_end, &self.clock) {
            let watermark = clock.borrow().watermark(commit.0 + 1);
            let closed = |row: &Row| {
                row.0[column]
                    .as_i64()
                    .is_some_and(|it| it + add_us <= watermark)
            };
            let rows: Vec<Row> = self
                .open
                .keys()
                .filter(|row| closed(row))
                .cloned()
                .collect();
            for row in rows {
                let count = self.open.remove(&row).map_or(0, |it| self.times(&row, it));
                sealed.extend(std::iter::repeat_n(row, count));
                self.changed = true;
            }
        }
        let open = std::mem::take(&mut self.changed).then(|| {
            let rows = self.open.iter();
            rows.flat_map(|(row, count)| std::iter::repeat_n(row.clone(), self.times(row, *count)))
                .collect()
        });
        (sealed, open)
    }

    /// How often a row is there.
    ///
    /// # Panics
    /// If it was taken away more often than it came: what the lake would then hold is wrong, and nobody could say since when.
    fn times(&self, row: &Row, count: i64) -> usize {
        usize::try_from(count)
            .unwrap_or_else(|_| panic!("view {}: {row:?} is there {count} times", self.name))
    }
}
