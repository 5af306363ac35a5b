//! How much memory the process may take. Near that, sources wait: state grows only by what is read.
//!
//! What was read and is on its way is taken in all the same, commits write views anew, and the merge of stored state holds all of it once more: that took
//! half as much again as the process had before, so sources wait from [`WAITS_FROM`] of the budget on. They read on when the process has been well below
//! that for some seconds: between two commits it may be so for a moment only.

use crate::memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The share of the budget at which sources wait.
const WAITS_FROM: f64 = 0.65;
/// The share of what sources wait from, below which they read on, and for how long.
const GOES_ON: f64 = 0.95;
const GOES_ON_AFTER: Duration = Duration::from_secs(10);
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

    /// The least budget that leaves room for rows beside the program itself.
    pub const LEAST_BYTES: u64 = 256 << 20;

    /// Whether sources have to wait.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// What is taken of it now; none without a limit.
    pub fn memory(&self) -> Option<Memory> {
        let max = self.max_bytes?;
        let waits_from = (max as f64 * WAITS_FROM) as u64;
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
            let mut last_above = Instant::now();
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                look.tick().await;
                let Some(budget) = budget.upgrade() else {
                    return;
                };
                if let Some(memory) = budget.memory() {
                    budget.note(memory, Instant::now(), &mut last_above);
                }
            }
        })
    }

    /// `last_above` is when the process last took too much to read on.
    fn note(&self, memory: Memory, now: Instant, last_above: &mut Instant) {
        if memory.goes_on_below <= memory.used {
            *last_above = now;
        }
        let is_full = match memory.is_full {
            true => now.duration_since(*last_above) < GOES_ON_AFTER,
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
    fn sources_wait_near_the_budget_and_read_on_when_it_has_been_well_below() {
        let budget = Budget::of(Some(1000 << 20));
        let start = Instant::now();
        let mut last_above = start;
        let mut at = |seconds: u64, mib: u64| {
            let memory = budget.memory().expect("a limit");
            let memory = Memory {
                used: mib << 20,
                ..memory
            };
            budget.note(
                memory,
                start + Duration::from_secs(seconds),
                &mut last_above,
            );
            budget.is_full()
        };
        assert!(!at(0, 649));
        assert!(at(1, 650));
        assert!(at(2, 640));
        assert!(at(3, 600));
        // Not for long enough.
        assert!(at(11, 600));
        assert!(at(12, 630));
        assert!(at(21, 600));
        assert!(!at(22, 600));
        assert!(!at(23, 649));
    }

    #[test]
    fn without_a_budget_there_is_nothing_to_look_at() {
        assert_eq!(Budget::of(None).memory(), None);
        assert!(Budget::watch(&Arc::new(Budget::of(None))).is_none());
    }
}
