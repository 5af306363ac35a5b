//! Where records come from: partition files and Kafka, and how their bytes become columns.
//!
//! Per worker and source one thread reads raw bytes of the partitions that worker owns and hands them over through a
//! bounded channel; when nobody takes them it waits, and that is the backpressure. Decoding happens on the worker.

pub mod decode;
pub mod file;
pub mod kafka;

use crate::model::{Partition, Position};
use decode::RawRecords;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Chunks a reader may be ahead of its worker.
pub const CHUNKS_AHEAD: usize = 4;

/// Raw records of one partition, or the news that it was read to its end.
#[derive(Debug)]
pub struct Chunk {
    pub records: RawRecords,
    pub next: Position,
    pub at_end: bool,
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("input folder {path:?} cannot be read")]
    Folder {
        path: String,
        source: std::io::Error,
    },
    #[error("source {name:?} has a wrong option: {reason}")]
    Option { name: String, reason: String },
    #[error("the Kafka client of source {name:?} failed")]
    Client {
        name: String,
        source: rdkafka::error::KafkaError,
    },
    #[error("partition {partition} of source {name:?} was silent for {seconds} s")]
    Silent {
        name: String,
        partition: i32,
        seconds: u64,
    },
}

/// How a source is doing, as its readers tell it and health shows it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// False while the broker or folder cannot be reached.
    pub connected: bool,
    /// What is wrong, or nothing.
    pub problem: Option<String>,
    pub partitions: BTreeMap<i32, PartitionStatus>,
    /// Records that were gone before they could be read.
    pub lost_records: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PartitionStatus {
    pub name: String,
    /// Next to read.
    pub offset: i64,
    /// One past the last there is; nothing while unknown.
    pub end_offset: Option<i64>,
}

/// A status shared between readers and whoever asks.
#[derive(Clone, Debug, Default)]
pub struct SharedStatus(Arc<Mutex<Status>>);

impl SharedStatus {
    pub fn get(&self) -> Status {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes how far a partition has been read.
    pub fn advance(&self, partition: Partition, offset: i64, end_offset: Option<i64>) {
        self.update(|it| {
            let status = it.partitions.entry(partition.0).or_default();
            status.offset = offset;
            status.end_offset = end_offset.or(status.end_offset);
        });
    }
}
