//! How commits of this process went, for who watches them.

use crate::model::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of the histogram of commits, in seconds: from a small one on a disk to one that an object store keeps waiting.
const COMMIT_SECONDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// A step of a commit that may fail, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStage {
    /// Files of rows are written into the lake.
    Files,
    /// State is written, and read when it is folded.
    State,
    /// The manifest is created, which is the commit.
    Manifest,
    /// Entries of the tables' logs are written.
    TableLog,
}

impl CommitStage {
    pub const ALL: [CommitStage; 4] = [
        CommitStage::Files,
        CommitStage::State,
        CommitStage::Manifest,
        CommitStage::TableLog,
    ];

    pub fn name(self) -> &'static str {
        match self {
            CommitStage::Files => "files",
            CommitStage::State => "state",
            CommitStage::Manifest => "manifest",
            CommitStage::TableLog => "table_log",
        }
    }
}

/// What is counted of commits since the process started.
#[derive(Debug)]
pub struct CommitCounts {
    /// How long commits took; nothing where another process makes them.
    pub seconds: Histogram,
    /// By stage, how often it failed.
    failures: [AtomicU64; CommitStage::ALL.len()],
}

impl Default for CommitCounts {
    fn default() -> Self {
        CommitCounts {
            seconds: Histogram::new(&COMMIT_SECONDS),
            failures: Default::default(),
        }
    }
}

impl CommitCounts {
    /// A try of a stage has failed.
    pub fn failed(&self, stage: CommitStage) {
        self.failures[stage as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often tries of each stage failed.
    pub fn failures(&self) -> impl Iterator<Item = (CommitStage, u64)> {
        let count = |it: CommitStage| self.failures[it as usize].load(Ordering::Relaxed);
        CommitStage::ALL.into_iter().map(move |it| (it, count(it)))
    }
}
