//! The operators that are ours, one file each. Everything else is differential's.

mod admit;
mod aggregate;
mod as_of;
mod bounded_join;
mod by_clock;
mod constant;
mod detect;
mod in_flight;
mod incidents;
mod join;
mod keyed;
mod late;
mod newcomers;
mod partials;
mod per_group;
mod ranked;
mod restored;
mod source;
mod stateless;
mod store;
mod temporal;
mod top_k;
mod unnest;

pub(super) use admit::admit;
pub(super) use aggregate::{RestoredGroups, aggregate};
pub(super) use as_of::as_of;
pub(super) use constant::constant;
pub(super) use detect::{RestoredDetector, detect};
pub(super) use incidents::incidents;
pub(super) use join::join;
pub use join::state_names;
pub(super) use keyed::{Input, RowBytes, bytes_of};
pub(super) use partials::{PartialStream, initial, partials};
pub(super) use per_group::per_group;
pub(super) use ranked::ranked;
pub(super) use restored::{as_state, operator, with_stored};
pub(super) use source::source;
pub(super) use stateless::{Refusal, map, news, project, relabel};
pub(super) use store::{append, publish, store_view, tail, view_rows};
pub(super) use temporal::temporal;
pub use temporal::temporal_state_names;
pub(super) use top_k::{candidates, top_k};
pub(super) use unnest::unnest;

use super::{Control, SourceProgress, StateContent, StateLog, StateRecord};
use crate::engine::changes::Changes;
use crate::engine::costs::Owners;
use crate::engine::gate::Gate;
use crate::engine::view_store::ViewStore;
use crate::model::{LeftOut, Partition, Row};
use arrow::array::RecordBatch;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::dataflow::{Stream, StreamVec};

pub(super) type ChangeStream<'s> = Stream<'s, u64, Changes>;
/// Its frontier says up to where a clock is known.
pub(super) type ClockStream<'s> = StreamVec<'s, u64, ()>;

/// Hands on what came in, apart by what it belongs to, in the pieces that it came in. One list of all would be copied again and again as it grows.
fn in_pieces<T, K: PartialEq>(
    came: &mut Vec<T>,
    belongs_to: impl Fn(&T) -> K,
    mut take: impl FnMut(K, Vec<T>),
) {
    while let Some(first) = came.first() {
        let key = belongs_to(first);
        let others = came.iter().position(|it| belongs_to(it) != key);
        let behind = others.map_or(Vec::new(), |it| came.split_off(it));
        take(key, std::mem::replace(came, behind));
    }
}

/// The epochs of a run.
#[derive(Clone)]
pub(super) struct RunEpochs {
    /// Restored state is fed in at this epoch; what is computed at or before it, the lake already has.
    pub boot: u64,
    /// The first epoch of the run.
    pub start: u64,
    /// Whether nothing was restored.
    pub is_first_run: bool,
    pub tick_ms: u64,
    pub control: Arc<Control>,
}

impl RunEpochs {
    /// The epoch of what is there before any record: of restored state that of its commit, without any the first one, as news.
    pub fn first(&self) -> u64 {
        match self.is_first_run {
            true => self.start,
            false => self.boot,
        }
    }
}

/// The epochs at which something is due that a clock tells.
pub(super) struct Due {
    /// The first epoch that has not been looked at.
    next: u64,
    tick_ms: u64,
}

impl Due {
    pub fn new(epochs: &RunEpochs) -> Self {
        Due {
            next: epochs.start,
            tick_ms: epochs.tick_ms,
        }
    }

    /// The first epoch up to and including `last` at which the clock, which only rises, has reached a time; none if that comes later. So
    /// what happens at an epoch does not depend on which epochs a worker happened to see.
    pub fn by(
        &mut self,
        last: u64,
        time_us: Option<i64>,
        clock: impl Fn(u64) -> i64,
    ) -> Option<u64> {
        if last < self.next {
            return None;
        }
        let (tick_ms, first) = (self.tick_ms, self.next);
        let ticks = (last - first) / tick_ms;
        let epoch = |tick: u64| first + tick * tick_ms;
        let Some(time_us) = time_us.filter(|it| *it <= clock(epoch(ticks))) else {
            self.next = epoch(ticks + 1);
            return None;
        };
        let (mut low, mut high) = (0, ticks);
        while low < high {
            let middle = (low + high) / 2;
            if time_us <= clock(epoch(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        self.next = epoch(low);
        Some(self.next)
    }
}

/// What the operators of one worker leave for its loop to take away.
#[derive(Default)]
pub(super) struct Shared {
    /// Whose operators are made, until all are.
    pub owners: Owners,
    /// All epochs below are complete everywhere.
    pub frontier: u64,
    /// The first commit that was not made yet.
    pub next_commit: u64,
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
    /// Records behind the watermark since it was last taken, by source.
    pub late: BTreeMap<String, u64>,
    /// What stateful operators took in, by epoch.
    pub captured: BTreeMap<u64, StateLog>,
    pub stores: Vec<Rc<RefCell<ViewStore>>>,
    /// Records that became dead letters because an expression failed, by epoch, source and partition.
    pub refused: BTreeMap<u64, BTreeMap<(usize, Partition), u64>>,
    /// What relations lack because it could not be computed.
    pub left_out: BTreeMap<String, LeftOut>,
}

impl Shared {
    /// Adds to the samples. Without rows it is only a number, and that joins the one before.
    fn add_tail(&mut self, table: usize, rows: RecordBatch, matched: u64) {
        match self.tails.last_mut() {
            Some(last) if last.0 == table && rows.num_rows() == 0 => last.2 += matched,
            _ => self.tails.push((table, rows, matched)),
        }
    }

    /// What a relation lacks so far.
    fn left_out(&mut self, relation: &str) -> &mut LeftOut {
        self.left_out.entry(relation.to_owned()).or_default()
    }

    fn capture(&mut self, epoch: u64, operator: &Arc<str>, content: StateContent) {
        let record = StateRecord {
            operator: Arc::clone(operator),
            content,
        };
        self.captured.entry(epoch).or_default().push(record);
    }

    fn capture_packed(
        &mut self,
        epoch: u64,
        operator: &Arc<str>,
        bytes: &[u8],
        end_us: Option<i64>,
        diff: i64,
    ) {
        let log = self.captured.entry(epoch).or_default();
        log.push_packed(operator, bytes, end_us, diff);
    }

    /// Of rows that an operator took in and that wait for a commit: lets those go that the gate, which is known before `upto`, closes by the next one.
    /// They would be left out of its state.
    fn let_go(&mut self, operator: &str, gate: &Gate, upto: u64) {
        let watermark = gate.watermark(upto.min(self.next_commit + 1));
        let logs = self.captured.values_mut();
        logs.for_each(|it| it.let_go(operator, watermark));
    }
}
