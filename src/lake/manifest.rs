//! Manifests: one small JSON file per commit, numbered without gaps, created once and never changed.

use super::{Error, Store};
use crate::model::{Epoch, Offset, Offsets, Partition, Position};
use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Offsets per source.
pub type SourceOffsets = BTreeMap<String, Offsets>;

/// Something per source and partition.
pub type BySource<T> = BTreeMap<String, BTreeMap<Partition, T>>;

/// Files a partition is known to have been read from; older ones are forgotten.
const ORIGINS_MAX: usize = 1000;

/// Records of a partition, counted and summed up in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub records: u64,
    /// Records that could not be decoded.
    pub undecoded: u64,
    /// How many of those became records later, when they were decoded again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replayed: u64,
    pub bytes: u64,
    /// Sum over the raw records of a hash of offset and bytes.
    #[serde(with = "as_text")]
    pub checksum: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.undecoded += other.undecoded;
        self.replayed += other.replayed;
        self.bytes += other.bytes;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

/// Everything that was ever read of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRead {
    /// The first record.
    pub from: Offset,
    #[serde(flatten)]
    pub counts: Counts,
    /// What the source noted about where the records were, oldest first: the files of a rotated log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

impl PartitionRead {
    /// Adds what a commit read, up to a position.
    pub fn add(&mut self, counts: &Counts, next: &Position) {
        self.counts.add(counts);
        if next.origin.is_empty() || self.origins.last() == Some(&next.origin) {
            return;
        }
        self.origins.push(next.origin.clone());
        if ORIGINS_MAX < self.origins.len() {
            self.origins.remove(0);
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Numbers that not every reader of JSON can hold, as text.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// One commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub number: u64,
    /// Rises with every process that takes over.
    pub generation: u64,
    /// Who wrote it: tells our own manifest from another's after an unclear answer.
    pub writer: String,
    pub written_ms: u64,
    pub dataflow: String,
    /// What sources, tables and views were defined as: kept here, understood elsewhere. Nothing in lakes of early versions.
    #[serde(default)]
    pub definitions: serde_json::Value,
    /// Everything up to and including this epoch is in.
    pub epoch: Epoch,
    pub offsets: SourceOffsets,
    /// The engine's clocks and all-time counts: kept here, understood elsewhere.
    pub clocks: serde_json::Value,
    /// Per source, watermark and `now()` that the views of this commit were computed with, in microseconds.
    #[serde(default)]
    pub event_times: serde_json::Value,
    pub totals: serde_json::Value,
    /// What was read of each partition in this commit alone; nothing in a claim, which reads nothing.
    pub counts: Option<BySource<Counts>>,
    /// What was read of each partition since its first record; nothing in a lake whose beginning was not counted.
    #[serde(default)]
    pub read: Option<BySource<PartitionRead>>,
    pub tables: BTreeMap<String, TableEntry>,
    /// Requests that a commit up to this one has done; they may still lie in the lake.
    #[serde(default)]
    pub requests_done: Vec<String>,
    pub state_full: Option<StateFile>,
    pub state_differences: Vec<StateFile>,
}

/// What a commit does to one table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TableEntry {
    /// The table's version that belongs to this commit.
    pub version: u64,
    /// The commit that made this version: its `txn` version. Older than the manifest when the commit left the table alone.
    pub commit: u64,
    /// Its log actions, one JSON object each; empty when the table is left alone.
    pub actions: Vec<serde_json::Value>,
    /// Files that hold open rows and are replaced by the next commit.
    pub open_files: Vec<serde_json::Value>,
    /// Small files that may be merged later.
    #[serde(default)]
    pub small_files: Vec<serde_json::Value>,
}

/// Stored state, by path within the lake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateFile {
    pub path: String,
    pub bytes: u64,
    /// xxHash3 (64 bits) of its bytes.
    pub checksum: u64,
}

impl Store {
    /// The newest manifest of a dataflow.
    ///
    /// # Errors
    /// If the lake cannot be read or the manifest is damaged.
    pub async fn newest_manifest(&self, dataflow: &str) -> Result<Option<Manifest>, Error> {
        let paths = self.list(&folder(dataflow)).await?;
        match paths.iter().rev().find(|it| it.as_ref().ends_with(".json")) {
            Some(path) => self.manifest_at(path).await,
            None => Ok(None),
        }
    }

    /// The manifest of a number, if there is one.
    ///
    /// # Errors
    /// If the lake cannot be read or the manifest is damaged.
    pub async fn manifest(&self, dataflow: &str, number: u64) -> Result<Option<Manifest>, Error> {
        self.manifest_at(&path_of(dataflow, number)).await
    }

    async fn manifest_at(&self, path: &Path) -> Result<Option<Manifest>, Error> {
        let Some(bytes) = self.get(path).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|it| Error::Damaged {
                path: path.to_string(),
                reason: it.to_string(),
            })
    }

    /// Leaves a request to whoever runs the dataflow next.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn put_request(&self, dataflow: &str, id: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.put(&request_path(dataflow, id), Bytes::from(bytes))
            .await
    }

    /// All requests in the lake, oldest first.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn requests(&self, dataflow: &str) -> Result<Vec<(String, Bytes)>, Error> {
        let folder = Path::from(format!("_tidelake/{dataflow}/requests"));
        let mut requests = Vec::new();
        for path in self.list(&folder).await? {
            let id = path.filename().and_then(|it| it.strip_suffix(".json"));
            let Some(id) = id.map(str::to_owned) else {
                continue;
            };
            if let Some(bytes) = self.get(&path).await? {
                requests.push((id, bytes));
            }
        }
        Ok(requests)
    }

    /// Takes a request away that is done.
    ///
    /// # Errors
    /// If the lake cannot be reached.
    pub async fn delete_request(&self, dataflow: &str, id: &str) -> Result<(), Error> {
        self.delete(&request_path(dataflow, id)).await
    }

    /// Writes a piece of state.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn put_state(
        &self,
        dataflow: &str,
        name: &str,
        bytes: Bytes,
    ) -> Result<StateFile, Error> {
        let path = Path::from(format!("_tidelake/{dataflow}/state/{name}"));
        let file = StateFile {
            path: path.to_string(),
            bytes: bytes.len() as u64,
            checksum: twox_hash::XxHash3_64::oneshot(&bytes),
        };
        self.put(&path, bytes).await?;
        Ok(file)
    }

    /// Reads a piece of state back.
    ///
    /// # Errors
    /// If it is missing or its bytes have changed.
    pub async fn get_state(&self, file: &StateFile) -> Result<Bytes, Error> {
        let damaged = |reason: &str| Error::Damaged {
            path: file.path.clone(),
            reason: reason.to_owned(),
        };
        let bytes = self
            .get(&Path::from(file.path.as_str()))
            .await?
            .ok_or_else(|| damaged("it is missing"))?;
        match twox_hash::XxHash3_64::oneshot(&bytes) == file.checksum {
            true => Ok(bytes),
            false => Err(damaged("its checksum differs")),
        }
    }

    /// Deletes state no manifest that could still be read for recovery names.
    ///
    /// # Errors
    /// If the lake cannot be reached.
    pub async fn delete_state(&self, files: &[StateFile]) -> Result<(), Error> {
        for file in files {
            self.delete(&Path::from(file.path.as_str())).await?;
        }
        Ok(())
    }
}

impl Manifest {
    /// What the first claim of a lake begins with.
    pub fn empty(dataflow: &str) -> Self {
        Manifest {
            number: 0,
            generation: 0,
            writer: String::new(),
            written_ms: 0,
            dataflow: dataflow.to_owned(),
            definitions: serde_json::Value::Null,
            epoch: Epoch(0),
            offsets: BTreeMap::new(),
            clocks: serde_json::Value::Null,
            event_times: serde_json::Value::Null,
            totals: serde_json::Value::Null,
            counts: None,
            read: Some(BTreeMap::new()),
            tables: BTreeMap::new(),
            requests_done: Vec::new(),
            state_full: None,
            state_differences: Vec::new(),
        }
    }
}

fn request_path(dataflow: &str, id: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/requests/{id}.json"))
}

pub(super) fn folder(dataflow: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/manifests"))
}

pub(super) fn path_of(dataflow: &str, number: u64) -> Path {
    Path::from(format!("_tidelake/{dataflow}/manifests/{number:020}.json"))
}
