//! How much memory the process may take. Near that, sources wait: state grows only by what is read.
//!
//! What was read and is on its way is taken in all the same, commits are made, and queries are answered, so there has to be room for them: sources wait from
//! nine tenths on, and no less than [`ROOM_BYTES_MIN`] below the budget. They read on when the process is below [`GOES_ON`] of that.

use crate::memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The share of the budget at which sources wait.
const WAITS_FROM: f64 = 0.9;
/// Room that is left of any budget.
const ROOM_BYTES_MIN: u64 = 96 << 20;
/// The share of what sources wait from, below which they read on.
const GOES_ON: f64 = 0.95;
/// How often it is looked at how much memory the process takes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The budget of a process.
#[derive(Debug)]
pub struct Budget {
    max_bytes: Option<u64>,
    is_full: AtomicBool,
}

/// A budget and what is taken of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub used: u64,
    pub max: u64,
    /// What sources wait from.
    pub waits_from: u64,
    /// What they read on below.
    pub goes_on_below: u64,
    /// Whether they wait.
    pub is_full: bool,
}

impl Budget {
    /// So many bytes, or no limit.
    pub fn of(max_bytes: Option<u64>) -> Self {
        Budget {
            max_bytes,
            is_full: AtomicBool::new(false),
        }
    }

    /// The least budget that leaves any room for rows.
    pub const LEAST_BYTES: u64 = 2 * ROOM_BYTES_MIN;

    /// Whether sources have to wait.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// What is taken of it now; none without a limit.
    pub fn memory(&self) -> Option<Memory> {
        let max = self.max_bytes?;
        let waits_from = ((max as f64 * WAITS_FROM) as u64).min(max.saturating_sub(ROOM_BYTES_MIN));
        Some(Memory {
            used: memory::resident_bytes(),
            max,
            waits_from,
            goes_on_below: (waits_from as f64 * GOES_ON) as u64,
            is_full: self.is_full(),
        })
    }

    /// Looks again and again at how much memory the process takes, for as long as anybody has the budget; none without a limit.
    pub fn watch(budget: &Arc<Budget>) -> Option<impl Future<Output = ()> + use<>> {
        budget.max_bytes?;
        let budget = Arc::downgrade(budget);
        Some(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                look.tick().await;
                let Some(budget) = budget.upgrade() else {
                    return;
                };
                if let Some(memory) = budget.memory() {
                    budget.note(memory);
                }
            }
        })
    }

    fn note(&self, memory: Memory) {
        let is_full = match memory.is_full {
            true => memory.goes_on_below <= memory.used,
            false => memory.waits_from <= memory.used,
        };
        if is_full == memory.is_full {
            return;
        }
        self.is_full.store(is_full, Ordering::Release);
        let (used, max) = (memory.used >> 20, memory.max >> 20);
        match is_full {
            true => tracing::warn!("{used} MiB of {max} MiB of memory are taken: sources wait"),
            false => tracing::info!("{used} MiB of {max} MiB of memory are taken: sources read on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_wait_near_the_budget_and_read_on_well_below() {
        let budget = Budget::of(Some(10 << 30));
        let at = |used: u64| {
            let memory = budget.memory().expect("a limit");
            budget.note(Memory { used, ..memory });
            budget.is_full()
        };
        let tenth = 1 << 30;
        assert!(!at(9 * tenth - 1));
        assert!(at(9 * tenth));
        assert!(at(9 * tenth - (9 * tenth) / 25));
        assert!(!at(9 * tenth - (9 * tenth) / 15));
        assert!(!at(9 * tenth - 1));
    }

    #[test]
    fn a_small_budget_keeps_room_and_none_has_no_end() {
        let memory = Budget::of(Some(Budget::LEAST_BYTES)).memory();
        assert_eq!(memory.map(|it| it.waits_from), Some(ROOM_BYTES_MIN));
        assert_eq!(Budget::of(None).memory(), None);
        assert!(Budget::watch(&Arc::new(Budget::of(None))).is_none());
    }
}
