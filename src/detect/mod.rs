//! Anomaly detection as pure folds: the windows of one key go in, in the order of event time, and each gets a score.
//!
//! A detector is its settings. Its state is a small value that can be stored, compared and resumed from: `step` takes one window
//! and changes nothing else, reads no clock and draws no random numbers, so the same windows give the same bytes on every machine.
//! Transcendental functions are those of `libm`, never those of the platform.
//!
//! ```text
//! windows of a key   │ 0 … 63 │ 64 … 127 │ 128 …          a block is folded from the carry of the one before it
//!                    └───┬────┴────┬─────┴────            a late record changes one window: its block is folded again,
//!                      carry ──► carry ──► …              and the blocks behind it until a carry is what it was
//! ```
//!
//! The law: any cut of the windows into blocks gives the same scores and the same last carry, bit for bit (`tests.rs`).
//!
//! Absent on purpose: where windows come from, what is done with a score, and any notion of "now".

pub mod any_series;
pub mod attribution;
pub mod calibration;
pub mod discoveries;
pub mod drift;
pub mod explain;
pub mod forecast;
pub mod half_spaces;
pub mod incident;
pub mod load;
pub mod math;
pub mod metric;
pub mod newcomers;
pub mod novelty;
pub mod outlier;
pub mod peaks;
pub mod pooled;
pub mod ratio;
pub mod season;
pub mod shape;
pub mod tails;
#[cfg(test)]
mod tests;
pub mod unknown_season;
pub mod windows;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A window of one key: its number (start over size, counted from 1970) and what was observed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window<E> {
    pub number: i64,
    pub evidence: E,
}

/// What a detector says of one window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Score {
    Scored(Scored),
    Unscored(Unscored),
}

/// A window compared with what was expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    pub observed: f64,
    pub expected: f64,
    /// The band of the usual, `low..=high`.
    pub low: f64,
    pub high: f64,
    /// How far beside the expected it is, in standard deviations of the usual; below zero if too low.
    pub residual: f64,
    /// -log10 of the probability of something at least as unusual. Never 1-p, which cannot tell 1e-17 from 1e-300.
    pub severity: f64,
}

/// Why a window has no score. That is null in a table, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unscored {
    /// So many of the windows (or events) that it takes to know the usual were there.
    WarmingUp { seen: u64, needed: u64 },
    /// Nothing was observed that could be compared.
    NoEvidence,
}

impl Score {
    pub fn scored(&self) -> Option<&Scored> {
        match self {
            Score::Scored(it) => Some(it),
            Score::Unscored(_) => None,
        }
    }
}

/// A fold over the windows of one key. Its settings are the implementing type.
pub trait Detector {
    /// What is observed in a window.
    type Evidence;
    /// What is known of the key after some of its windows.
    type State: Clone + PartialEq + Serialize + DeserializeOwned;

    /// The state before the first window.
    fn start(&self) -> Self::State;

    /// Scores a window and learns from it. Windows come in the order of their numbers, each at most once; numbers that are left out
    /// are windows without a record, and each detector says what that means for it.
    fn step(&self, state: &mut Self::State, window: &Window<Self::Evidence>) -> Score;
}

/// Folds one block of windows: their scores, and the carry for the next block.
pub fn fold_block<D: Detector>(
    detector: &D,
    carry: &D::State,
    windows: &[Window<D::Evidence>],
) -> (Vec<Score>, D::State) {
    let mut state = carry.clone();
    let scores = windows
        .iter()
        .map(|it| detector.step(&mut state, it))
        .collect();
    (scores, state)
}
