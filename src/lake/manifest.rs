//! Manifests: one small JSON file per commit, numbered without gaps, created once and never changed.
//!
//! Each ends with a seal, a hash of all that is before it, and names the seal of the one it follows. So a file that was changed is refused by
//! its readers, and a proof can follow the chain.

use super::{Error, Store};
use crate::model::in_force::Schedule;
use crate::model::{Epoch, Offset, Offsets, Partition, Position};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Offsets per source.
pub type SourceOffsets = BTreeMap<String, Offsets>;

/// Something per source and partition.
pub type BySource<T> = BTreeMap<String, BTreeMap<Partition, T>>;

/// Where dataflows keep what is not a table.
const ROOT: &str = "_tidelake";

/// Rises when manifests say something that earlier versions would not understand; these refuse the lake then. The first that said it was 2: rows that a
/// table has let go.
pub const FORMAT: u32 = 2;

fn first_format() -> u32 {
    1
}

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
    #[serde(default = "first_format")]
    pub format: u32,
    pub number: u64,
    /// Rises with every process that takes over.
    pub generation: u64,
    /// Who wrote it: tells our own manifest from another's after an unclear answer.
    pub writer: String,
    pub written_ms: u64,
    /// The process that claimed the lake; nothing in lakes of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    pub dataflow: String,
    /// What sources, tables and views were defined as: kept here, understood elsewhere. Nothing in lakes of early versions.
    #[serde(default)]
    pub definitions: serde_json::Value,
    /// By which models tables have scored records, up to the epoch.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub models: Schedule,
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
    /// Rows that tables no longer have, since they are older than the table keeps them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub let_go: BTreeMap<String, LetGo>,
    /// When small files of all tables were last put together on schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimized_ms: Option<u64>,
    /// The seal of the manifest that it was made from; none at the beginning, and behind one of a version that did not seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// A hash of its file without its last member, which is this. What was read or is about to be written has one, unless an earlier version wrote it.
    #[serde(skip)]
    pub seal: Option<String>,
}

/// A process that holds a lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Within which process numbers mean one process.
    pub machine: String,
    /// Its name, for people.
    pub host: String,
    pub pid: u32,
    /// When the process was started, by its machine's own count: numbers are used again.
    pub started: u64,
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
    /// Files of open rows, each with its bucket, which a commit replaces when its rows change. Files of earlier versions have none.
    pub open_files: Vec<serde_json::Value>,
    /// Small files that may be merged later.
    #[serde(default)]
    pub small_files: Vec<serde_json::Value>,
}

/// Rows that a table no longer has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    /// The column that tells how old a row is: a date, or the event time.
    pub column: String,
    /// Only rows of before were let go, in microseconds since 1970. Not all need be: some come later.
    pub until_us: i64,
    /// The newest event time of them, if the table has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_us: Option<i64>,
    /// How many rows, by partition of the source.
    pub rows: BTreeMap<Partition, u64>,
    pub files: u64,
}

impl LetGo {
    /// All rows.
    pub fn count(&self) -> u64 {
        self.rows.values().sum()
    }
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
    /// The newest manifest of every dataflow that has claimed this lake.
    ///
    /// # Errors
    /// If the lake cannot be read or one of them is damaged.
    pub async fn newest_manifests(&self) -> Result<Vec<Manifest>, Error> {
        let failed = |source| Error::Store {
            path: ROOT.to_owned(),
            source,
        };
        let root = Path::from(ROOT);
        let listed = self.objects.list_with_delimiter(Some(&root)).await;
        let mut newest = Vec::new();
        for folder in listed.map_err(failed)?.common_prefixes {
            newest.extend(self.newest_in(&folder.join("manifests")).await?);
        }
        Ok(newest)
    }

    /// The newest manifest of a dataflow.
    ///
    /// # Errors
    /// If the lake cannot be read or the manifest is damaged.
    pub async fn newest_manifest(&self, dataflow: &str) -> Result<Option<Manifest>, Error> {
        self.newest_in(&folder(dataflow)).await
    }

    async fn newest_in(&self, folder: &Path) -> Result<Option<Manifest>, Error> {
        let paths = self.list(folder).await?;
        let mut paths = paths
            .iter()
            .rev()
            .filter(|it| it.as_ref().ends_with(".json"));
        let Some(path) = paths.next() else {
            return Ok(None);
        };
        let newest = self.manifest_at(path).await?;
        if let (Some(newest), Some(before)) = (&newest, paths.next())
            && newest.seal.is_none()
            && self
                .manifest_at(before)
                .await?
                .is_some_and(|it| it.seal.is_some())
        {
            return Err(damaged(path, "it has no seal, and the one before it has"));
        }
        Ok(newest)
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
        if let Some(format) = format_of(&bytes).filter(|it| FORMAT < *it) {
            return Err(Error::Newer {
                path: path.to_string(),
                format,
                known: FORMAT,
            });
        }
        Manifest::from_file(&bytes)
            .map(Some)
            .map_err(|reason| damaged(path, &reason))
    }

    /// Every manifest of a dataflow that is there, by the number in its file's name, or why it cannot be read.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn all_manifests(
        &self,
        dataflow: &str,
    ) -> Result<BTreeMap<u64, Result<Manifest, Error>>, Error> {
        let mut all = BTreeMap::new();
        for path in self.list(&folder(dataflow)).await? {
            let number = path
                .filename()
                .and_then(|it| it.strip_suffix(".json")?.parse().ok());
            let Some(number) = number else { continue };
            match self.manifest_at(&path).await {
                // Deleted for its age while we look.
                Ok(None) => {}
                Ok(Some(manifest)) => {
                    all.insert(number, Ok(manifest));
                }
                Err(error @ Error::Damaged { .. }) => {
                    all.insert(number, Err(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The last sign of life of the process that holds a dataflow.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn sign_of_life(&self, dataflow: &str) -> Result<Option<Bytes>, Error> {
        self.get(&sign_of_life_path(dataflow)).await
    }

    /// Gives a sign of life. It need not be durable.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn give_sign_of_life(&self, dataflow: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let path = sign_of_life_path(dataflow);
        let put = self.objects.put(&path, bytes.into()).await;
        put.map(drop).map_err(|source| Error::Store {
            path: path.to_string(),
            source,
        })
    }

    /// Leaves a request to the process that runs the dataflow next.
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

/// What ends a sealed file: the name of its last member, and what is around it.
const SEAL: (&str, &str) = (",\"seal\":\"", "\"}");

impl Manifest {
    /// The next one, with the same content until it is changed.
    pub fn after(&self) -> Self {
        Manifest {
            format: FORMAT,
            number: self.number + 1,
            follows: self.seal.clone(),
            seal: None,
            ..self.clone()
        }
    }

    /// Seals what is about to be written; nothing of it may change any more.
    pub fn sealed(mut self) -> Self {
        let content = self.content();
        self.seal = Some(seal_of(&content));
        self
    }

    /// Its file, which ends with its seal: a file that was changed is not taken for one of ours.
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = self.content();
        let seal = seal_of(&bytes);
        for part in [SEAL.0, &seal, SEAL.1] {
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    fn content(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec(self).expect("a manifest is plain values with texts for keys");
        bytes.pop();
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not as it was written.
    pub fn from_file(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Sealed {
            seal: Option<String>,
        }
        let text = |it: serde_json::Error| it.to_string();
        let mut manifest: Manifest = serde_json::from_slice(bytes).map_err(text)?;
        let Sealed { seal } = serde_json::from_slice(bytes).map_err(text)?;
        let Some(seal) = seal else {
            return Ok(manifest);
        };
        let end = [SEAL.0, &seal, SEAL.1].concat();
        let content = bytes.strip_suffix(end.as_bytes());
        if content.is_none_or(|it| seal_of(it) != seal) {
            return Err("its seal does not fit: it was changed after it was written".to_owned());
        }
        manifest.seal = Some(seal);
        Ok(manifest)
    }

    /// Where it lies in the lake.
    pub fn path(&self) -> String {
        path_of(&self.dataflow, self.number).to_string()
    }

    /// What the first claim of a lake begins with.
    pub fn empty(dataflow: &str) -> Self {
        Manifest {
            format: FORMAT,
            number: 0,
            generation: 0,
            writer: String::new(),
            written_ms: 0,
            holder: None,
            dataflow: dataflow.to_owned(),
            definitions: serde_json::Value::Null,
            models: Schedule::new(),
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
            let_go: BTreeMap::new(),
            optimized_ms: None,
            follows: None,
            seal: None,
        }
    }
}

/// The format that a file says it has; what else it says may be in another form. One that does not say is of the first.
fn format_of(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Said {
        format: Option<u32>,
    }
    serde_json::from_slice::<Said>(bytes).ok()?.format
}

fn seal_of(content: &[u8]) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(content))
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::Damaged {
        path: path.to_string(),
        reason: format!(
            "{reason}; bring the file back from a copy, or start a new lake with --lake"
        ),
    }
}

pub(super) fn sign_of_life_path(dataflow: &str) -> Path {
    Path::from(format!("{ROOT}/{dataflow}/alive.json"))
}

fn request_path(dataflow: &str, id: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/requests/{id}.json"))
}

pub(super) fn state_folder(dataflow: &str) -> Path {
    Path::from(format!("{ROOT}/{dataflow}/state"))
}

pub(super) fn folder(dataflow: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/manifests"))
}

pub(super) fn path_of(dataflow: &str, number: u64) -> Path {
    Path::from(format!("_tidelake/{dataflow}/manifests/{number:020}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lake_of_a_newer_version_is_refused_and_one_of_an_older_is_read() {
        let store = Store::open("memory:///lake").expect("a lake");
        let manifest = Manifest {
            number: 1,
            ..Manifest::empty("d")
        };
        let mut file: serde_json::Value =
            serde_json::from_slice(&manifest.sealed().to_file()).expect("JSON");
        let put = async |number: u64, file: &serde_json::Value| {
            let bytes = serde_json::to_vec(file).expect("JSON");
            let put = store.put(&path_of("d", number), bytes.into()).await;
            put.expect("it can be written");
        };
        // As the first versions wrote it.
        let fields = file.as_object_mut().expect("an object");
        assert_eq!(fields.remove("format"), Some(FORMAT.into()));
        fields.remove("seal");
        put(1, &file).await;
        let read = store.newest_manifest("d").await.expect("it is read");
        let read = read.expect("it is there");
        assert_eq!((read.format, read.after().format), (1, FORMAT));
        // Nothing else of it need be as we know it.
        put(2, &serde_json::json!({"format": FORMAT + 1, "number": {}})).await;
        let refused = store.newest_manifest("d").await.expect_err("it is newer");
        assert!(matches!(refused, Error::Newer { format, .. } if format == FORMAT + 1));
        let text = refused.to_string();
        assert!(
            text.contains("newer version") && text.contains("nothing was changed"),
            "{text}"
        );
        assert!(store.newest_manifests().await.is_err());
    }
}
