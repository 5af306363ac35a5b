//! What became of a lake, for people who look into it: its commits by their manifests, versions of a table by its log, files of a version.

use super::manifest::folder;
use super::{Error, Manifest, Store, log, version_of};
use crate::model::Epoch;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects read at once.
const READS_AT_ONCE: usize = 16;

/// One commit, as its manifest tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitFacts {
    pub number: u64,
    pub generation: u64,
    pub epoch: Epoch,
    pub written_ms: u64,
    /// What it was for: the operations of the tables that it changed, or `CLAIM` if a process only took the lake over.
    pub operation: String,
    /// Records that it read, decodable or not.
    pub records: u64,
    /// Versions of the tables that it changed.
    pub versions: BTreeMap<String, u64>,
    pub files_added: u64,
    pub files_removed: u64,
    pub bytes_added: u64,
}

/// One version of a table, as its log tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionFacts {
    pub version: u64,
    pub written_ms: Option<u64>,
    pub operation: String,
    /// Of whom wrote it: the program and its version.
    pub engine: Option<String>,
    pub commit: Option<u64>,
    pub epoch: Option<Epoch>,
    pub files_added: u64,
    pub files_removed: u64,
    /// Of the files that it added; none if one does not say.
    pub rows_added: Option<u64>,
    pub bytes_added: u64,
    pub bytes_removed: u64,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    pub path: String,
    pub bytes: u64,
    /// None if the log does not say.
    pub rows: Option<u64>,
}

impl Store {
    /// The newest commits of a dataflow, newest first. Manifests of the newest thousand are kept.
    ///
    /// # Errors
    /// If they cannot be read, or one is damaged.
    pub async fn commits(&self, dataflow: &str, limit: usize) -> Result<Vec<CommitFacts>, Error> {
        let listed = self.list(&folder(dataflow)).await?;
        let numbers = listed
            .iter()
            .rev()
            .filter_map(|it| it.filename()?.strip_suffix(".json")?.parse::<u64>().ok());
        futures::stream::iter(numbers.take(limit))
            .map(|number| async move {
                // One may be deleted for its age while we look.
                let manifest = self.manifest(dataflow, number).await?;
                Ok(manifest.as_ref().map(facts_of_commit))
            })
            .buffered(READS_AT_ONCE)
            .try_filter_map(|it| std::future::ready(Ok(it)))
            .try_collect()
            .await
    }

    /// The newest versions of a table, newest first.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub async fn versions(&self, table: &str, limit: usize) -> Result<Vec<VersionFacts>, Error> {
        let versions = self.log_versions(table, None).await?;
        futures::stream::iter(versions.into_iter().rev().take(limit))
            .map(|version| async move {
                let actions = self.log_entry(table, version).await?;
                Ok(actions.map(|it| facts_of_version(version, &it)))
            })
            .buffered(READS_AT_ONCE)
            .try_filter_map(|it| std::future::ready(Ok(it)))
            .try_collect()
            .await
    }

    /// The files of a table, at a version or at the newest one, which is returned too.
    ///
    /// # Errors
    /// If there is no such table or version, or its log cannot be read.
    pub async fn files_of(
        &self,
        table: &str,
        version: Option<u64>,
    ) -> Result<(u64, Vec<FileEntry>), Error> {
        let delta = match version {
            Some(version) => self.open_delta_at(table, version).await?,
            None => self.open_delta(table).await?,
        };
        let snapshot = delta.snapshot().map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })?;
        let entry = |it: deltalake::kernel::LogicalFileView| FileEntry {
            path: it.path().into_owned(),
            bytes: it.size().max(0).unsigned_abs(),
            rows: it.stats().and_then(|it| rows_of(&it)),
        };
        let mut files: Vec<FileEntry> = snapshot.log_data().iter().map(entry).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((version_of(&delta, table)?, files))
    }
}

/// What statistics of a file say of its rows.
pub(super) fn rows_of(statistics: &str) -> Option<u64> {
    let statistics: Value = serde_json::from_str(statistics).ok()?;
    statistics["numRecords"].as_u64()
}

fn operation_of(actions: &[Value]) -> Option<&str> {
    let info = actions.iter().find_map(|it| it.get("commitInfo"))?;
    info["operation"].as_str()
}

fn facts_of_commit(manifest: &Manifest) -> CommitFacts {
    let changed: Vec<_> = manifest
        .tables
        .iter()
        .filter(|it| it.1.commit == manifest.number && !it.1.actions.is_empty())
        .collect();
    let mut operations: Vec<&str> = Vec::new();
    let mut facts = CommitFacts {
        number: manifest.number,
        generation: manifest.generation,
        epoch: manifest.epoch,
        written_ms: manifest.written_ms,
        operation: String::new(),
        records: 0,
        versions: BTreeMap::new(),
        files_added: 0,
        files_removed: 0,
        bytes_added: 0,
    };
    for (name, entry) in changed {
        facts.versions.insert(name.clone(), entry.version);
        if let Some(operation) = operation_of(&entry.actions).filter(|it| !operations.contains(it))
        {
            operations.push(operation);
        }
        for action in &entry.actions {
            if let Some(add) = action.get("add") {
                facts.files_added += 1;
                facts.bytes_added += log::bytes_of(add);
            }
            facts.files_removed += u64::from(action.get("remove").is_some());
        }
    }
    facts.operation = match (operations.is_empty(), &manifest.counts) {
        (true, None) => "CLAIM".to_owned(),
        (true, Some(_)) => "PROGRESS".to_owned(),
        (false, _) => operations.join(", "),
    };
    let counts = manifest.counts.iter().flat_map(BTreeMap::values);
    let counts = counts.flat_map(BTreeMap::values);
    facts.records = counts.map(|it| it.records + it.undecoded).sum();
    facts
}

fn facts_of_version(version: u64, actions: &[Value]) -> VersionFacts {
    let none = Value::Null;
    let info = actions.iter().find_map(|it| it.get("commitInfo"));
    let info = info.unwrap_or(&none);
    let parameter = |name: &str| info["operationParameters"][name].as_str()?.parse().ok();
    let mut facts = VersionFacts {
        version,
        written_ms: info["timestamp"].as_u64(),
        operation: info["operation"].as_str().unwrap_or("?").to_owned(),
        engine: info["engineInfo"].as_str().map(str::to_owned),
        commit: parameter("commit"),
        epoch: parameter("epoch").map(Epoch),
        files_added: 0,
        files_removed: 0,
        rows_added: Some(0),
        bytes_added: 0,
        bytes_removed: 0,
    };
    for action in actions {
        if let Some(add) = action.get("add") {
            facts.files_added += 1;
            facts.bytes_added += log::bytes_of(add);
            let rows = add["stats"].as_str().and_then(rows_of);
            facts.rows_added = facts.rows_added.zip(rows).map(|(sum, it)| sum + it);
        }
        if let Some(remove) = action.get("remove") {
            facts.files_removed += 1;
            facts.bytes_removed += log::bytes_of(remove);
        }
    }
    facts
}
