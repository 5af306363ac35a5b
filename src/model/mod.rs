//! Plain values every layer speaks of: epochs, partitions, offsets, rows.
//!
//! Nothing here does anything: no I/O, no threads, no clocks. A number of the field has a type of
//! its own, so that an epoch is never added to an offset and a signature needs no comment.

mod bins;
mod causes;
pub mod csv;
mod decimal;
mod exact;
pub mod held;
mod histogram;
pub mod in_force;
mod left_out;
mod random;
mod readers;
pub mod secret;
mod stamps;
pub mod stated;
mod value;

pub use bins::{Bins, bin_of, merge_counts, sum_counts, sum_row_counts};
pub use causes::with_causes;
pub use decimal::Decimal;
pub use exact::{FloatSum, IntSum, Moments, Pairs};
pub use held::Held;
pub use histogram::{Histogram, Observed};
pub use left_out::{ERRORS, Failure, LISTED, LeftOut, errors_rows, errors_schema};
pub use random::{Random, mixed};
pub use readers::Readers;
pub use stamps::Stamps;
pub use value::{
    ArrowError, Float, Interval, Order, Row, Value, array_of_values, batch_of_rows, late_marks,
    rows_of_batch, time_text, value_at,
};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A closed slice of input and the engine's timestamp: wall-clock milliseconds since 1970, rounded
/// up to the tick. Visible whole or not at all.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The number of a partition within its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// The offset of the next record to read. Never "the last one read": that off-by-one costs a
/// duplicate. In a file it is a byte position.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub i64);

/// What a source's clock shows at an epoch, in microseconds of event time; the smallest number before the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimes {
    /// Windows that end at or before it are closed.
    pub watermark_us: i64,
    /// What `now()` means in sliding ranges.
    pub now_us: i64,
}

impl EventTimes {
    /// Before the first record.
    pub const NEVER: Self = EventTimes {
        watermark_us: i64::MIN,
        now_us: i64::MIN,
    };
}

/// How far a partition has been read, and what the source needs to find that place again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The next record to read.
    pub offset: Offset,
    /// The source's own note: which file it is in, or the topic's id. The same for all positions there.
    #[serde(default)]
    pub origin: String,
    /// What lies before the position, by which a file is told from another one that was put in its place. Empty in manifests of older
    /// versions, and for topics.
    #[serde(default)]
    pub mark: String,
}

/// How far each partition of one source has been read. Invariant: an offset never moves backwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offsets(BTreeMap<Partition, Position>);

impl Offsets {
    /// Moves one partition forward.
    ///
    /// # Panics
    /// If the offset would move backwards: that would read records twice.
    pub fn advance(&mut self, partition: Partition, next: Position) {
        let current = self.0.entry(partition).or_insert_with(|| next.clone());
        assert!(
            current.offset <= next.offset,
            "offset of partition {} moved back from {} to {}",
            partition.0,
            current.offset.0,
            next.offset.0
        );
        *current = next;
    }

    /// Where to go on in a partition; nothing if it was never read.
    pub fn get(&self, partition: Partition) -> Option<&Position> {
        self.0.get(&partition)
    }

    /// All partitions in order.
    pub fn iter(&self) -> impl Iterator<Item = (Partition, &Position)> {
        self.0
            .iter()
            .map(|(partition, position)| (*partition, position))
    }
}

/// Records of a partition whose event time is too far ahead to be believed: they wait in their windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionAhead {
    pub partition: i32,
    /// The epoch of the newest such records, and how far ahead the furthest of them was.
    pub epoch: u64,
    pub by_us: i64,
    /// How many there were since the first record of the partition.
    pub records: u64,
}

impl Epoch {
    /// The first epoch at or after a wall-clock instant.
    pub fn at_or_after(wall_ms: u64, tick_ms: u64) -> Epoch {
        Epoch(wall_ms.div_ceil(tick_ms) * tick_ms)
    }

    /// The instant as ISO 8601 in UTC, for people and JSON.
    pub fn iso(self) -> String {
        iso_of_micros(ms_to_us(self.0))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds in microseconds; the largest whole number of milliseconds where they have no place.
pub fn ms_to_us(ms: u64) -> i64 {
    i64::try_from(ms)
        .unwrap_or(i64::MAX / 1000)
        .saturating_mul(1000)
}

/// The least time of some sources; none without sources, or if one of them has none.
pub fn least_of(sources: &BTreeSet<String>, time: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    let times: Option<Vec<i64>> = sources.iter().map(|it| time(it)).collect();
    times?.into_iter().min()
}

/// Microseconds since 1970 as ISO 8601 in UTC, with as many fraction digits as it has (3 or 6).
pub fn iso_of_micros(micros: i64) -> String {
    use chrono::{DateTime, SecondsFormat};
    match DateTime::from_timestamp_micros(micros) {
        Some(time) if micros % 1000 != 0 => time.to_rfc3339_opts(SecondsFormat::Micros, true),
        Some(time) if micros % 1_000_000 != 0 => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        None => format!("{micros} µs"),
    }
}

/// Milliseconds of the wall clock since 1970.
pub fn wall_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, whole_ms)
}

/// Whole milliseconds of a duration. Half a billion years and more count as the largest number.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
