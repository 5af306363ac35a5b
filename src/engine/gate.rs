//! Event time of rows that come from several sources: windows close when the last of their clocks says so.
//!
//! Whether a record is late is decided by the clock of its own source; when its window is closed, by all clocks of the rows it is
//! computed with. A window that is still open for one source stays open for all.

use super::clock::{Clock, ClockSettings, ClockState};
use crate::model::least_of;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// One worker's copy of a source's clock.
pub(super) type SharedClock = Rc<RefCell<Clock>>;

/// The clocks that some rows depend on; at least one.
#[derive(Clone, Debug)]
pub(super) struct Gate(Vec<SharedClock>);

impl Gate {
    /// The gate of these clocks; none without any.
    pub fn of(clocks: Vec<SharedClock>) -> Option<Self> {
        (!clocks.is_empty()).then_some(Gate(clocks))
    }

    /// The watermark from all epochs before this one: that of the source that is furthest behind.
    pub fn watermark(&self, epoch: u64) -> i64 {
        self.least(|it| it.watermark(epoch))
    }

    /// The sliding clock from all epochs before this one, in the same way.
    pub fn now(&self, epoch: u64) -> i64 {
        self.least(|it| it.now(epoch))
    }

    /// Up to which time windows are closed, as far as rows that come with that are concerned.
    pub fn closed(&self, epoch: u64) -> i64 {
        self.least(|it| it.closed(epoch))
    }

    fn least(&self, of: impl Fn(&Clock) -> i64) -> i64 {
        let times = self.0.iter().map(|it| of(&it.borrow()));
        times.min().expect("a gate has a clock")
    }
}

/// The watermark of rows that depend on the clocks of these sources, as stored clocks have it before an epoch. None without sources, or
/// if one of them has no stored clock: nothing is closed then.
pub fn stored_watermark(
    sources: &BTreeSet<String>,
    stored: &BTreeMap<String, ClockState>,
    settings: &BTreeMap<String, ClockSettings>,
    epoch: u64,
) -> Option<i64> {
    least_of(sources, |it| {
        Some(stored.get(it)?.watermark(settings.get(it)?, epoch))
    })
}
