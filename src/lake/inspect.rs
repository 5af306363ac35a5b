//! A lake as an outsider finds it: log entries, files and versions, read without changing anything.

use super::parquet_file::{is_as_named, read_again};
use super::{Error, Store, log};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects read at once.
const READS_AT_ONCE: usize = 16;
/// Log entries read of one table; there may be a week of them.
const ENTRIES_READ_MAX: usize = 1100;
/// Data files read at once: each is in memory.
const FILES_AT_ONCE: usize = 4;

/// A data file as it lies in the lake.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFacts {
    pub size: u64,
    /// Whether its bytes have the hash that its name promises, if it promises one.
    pub is_as_named: bool,
    /// Its rows, and the statistics of them as the log should tell them; or why it cannot be read.
    pub content: Result<(u64, Value), String>,
}

impl Store {
    /// Opens a lake that must be there.
    ///
    /// # Errors
    /// If the address has no known form or there is no such folder.
    pub fn open_existing(uri: &str) -> Result<Self, Error> {
        let folder = uri.strip_prefix("file://").unwrap_or(uri);
        if !uri.contains("://") || uri.starts_with("file://") {
            let there = std::path::Path::new(folder).is_dir();
            there.then_some(()).ok_or_else(|| Error::Address {
                uri: uri.to_owned(),
                reason: "there is no such folder".to_owned(),
            })?;
        }
        Store::open(uri)
    }

    /// A table as it was at a version, through the Delta library.
    ///
    /// # Errors
    /// If there is no such table or version, or its log cannot be read.
    pub async fn open_delta_at(
        &self,
        table: &str,
        version: u64,
    ) -> Result<deltalake::DeltaTable, Error> {
        self.load_delta(table, |it| it.with_version(version)).await
    }

    /// The log entries of a table that are still there, by version: the first one and the newest ones, more than manifests are kept of.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn log_entries(&self, table: &str) -> Result<BTreeMap<u64, Vec<Value>>, Error> {
        let mut versions = self.log_versions(table, None).await?;
        let newest = versions.len().saturating_sub(ENTRIES_READ_MAX);
        versions.drain(1.min(newest)..newest);
        futures::stream::iter(versions)
            .map(|version| async move {
                // An entry may be deleted while we look: maintenance keeps the newest thousand.
                let actions = self.log_entry(table, version).await?;
                Ok(actions.map(|it| (version, it)))
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_filter_map(|it| std::future::ready(Ok(it)))
            .try_collect()
            .await
    }

    /// Versions of a table whose log entries are there, in order; behind one of them, if it is given.
    ///
    /// # Errors
    /// If the log cannot be listed.
    pub async fn log_versions(&self, table: &str, behind: Option<u64>) -> Result<Vec<u64>, Error> {
        let folder = Path::from(format!("{table}/_delta_log"));
        let found: Vec<ObjectMeta> = match behind {
            None => self.objects.list(Some(&folder)),
            Some(version) => {
                let at = Path::from(format!("{table}/{}", log::entry_path(version)));
                self.objects.list_with_offset(Some(&folder), &at)
            }
        }
        .try_collect()
        .await
        .map_err(|source| Error::Store {
            path: folder.to_string(),
            source,
        })?;
        let version = |it: &ObjectMeta| it.location.filename()?.strip_suffix(".json")?.parse().ok();
        let mut versions: Vec<u64> = found.iter().filter_map(version).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The actions of one log entry, if it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn log_entry(&self, table: &str, version: u64) -> Result<Option<Vec<Value>>, Error> {
        let path = Path::from(format!("{table}/{}", log::entry_path(version)));
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let actions = log::entry_actions(&bytes).map_err(|reason| Error::Damaged {
            path: path.to_string(),
            reason,
        })?;
        Ok(Some(actions))
    }

    /// Data files below a table, whether a version names them or not: path within the table, and size.
    ///
    /// # Errors
    /// If the lake cannot be listed.
    pub async fn data_files(&self, table: &str) -> Result<BTreeMap<String, u64>, Error> {
        let prefix = Path::from(table);
        let listed: Vec<ObjectMeta> = self
            .objects
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                path: table.to_owned(),
                source,
            })?;
        let inside = |it: &ObjectMeta| {
            let path = it
                .location
                .as_ref()
                .strip_prefix(table)?
                .strip_prefix('/')?;
            (!path.starts_with("_delta_log/")).then(|| (path.to_owned(), it.size))
        };
        Ok(listed.iter().filter_map(inside).collect())
    }

    /// Data files of a table, read from beginning to end, by path; nothing for one that is missing.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn file_facts(
        &self,
        table: &str,
        paths: Vec<Path>,
    ) -> Result<BTreeMap<Path, Option<FileFacts>>, Error> {
        futures::stream::iter(paths)
            .map(|path| async move {
                let full = Path::from_iter(Path::from(table).parts().chain(path.parts()));
                let facts = self.facts_of(&full).await?;
                Ok((path, facts))
            })
            .buffer_unordered(FILES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn facts_of(&self, path: &Path) -> Result<Option<FileFacts>, Error> {
        let Some(bytes) = self.get(path).await? else {
            return Ok(None);
        };
        let name = path.filename().unwrap_or_default().to_owned();
        let looked = move || FileFacts {
            size: bytes.len() as u64,
            is_as_named: is_as_named(&name, &bytes),
            content: read_again(bytes).map_err(|it| it.to_string()),
        };
        let facts = crate::supervise::blocking("reading a file again", looked).await;
        facts.map(Some).map_err(|error| Error::Damaged {
            path: path.to_string(),
            reason: error.to_string(),
        })
    }
}
