//! A lake as an outsider finds it: log entries, files and versions, read without changing anything. For `verify`.

use super::{Error, Store, log};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::file::metadata::ParquetMetaDataReader;
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects read at once.
const READS_AT_ONCE: usize = 16;
/// Length of what ends every Parquet file: the length of its metadata and a magic word.
const PARQUET_TAIL: u64 = 8;

/// A data file as it lies in the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    pub size: u64,
    /// Rows by the file's own metadata; nothing if that cannot be read.
    pub rows: Option<u64>,
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

    /// The log entries of a table that are still there, by version.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn log_entries(&self, table: &str) -> Result<BTreeMap<u64, Vec<Value>>, Error> {
        let paths = self
            .list(&Path::from(format!("{table}/_delta_log")))
            .await?;
        let entries = paths.into_iter().filter_map(|path| {
            let version = path
                .filename()?
                .strip_suffix(".json")?
                .parse::<u64>()
                .ok()?;
            Some((version, path))
        });
        futures::stream::iter(entries)
            .map(|(version, path)| async move {
                // An entry may be deleted while we look: maintenance keeps the newest thousand.
                let Some(bytes) = self.get(&path).await? else {
                    return Ok(None);
                };
                let actions = log::entry_actions(&bytes).map_err(|reason| Error::Damaged {
                    path: path.to_string(),
                    reason,
                })?;
                Ok(Some((version, actions)))
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_filter_map(|it| std::future::ready(Ok(it)))
            .try_collect()
            .await
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

    /// Size and rows of data files of a table, by path; nothing for one that is missing.
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
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn facts_of(&self, path: &Path) -> Result<Option<FileFacts>, Error> {
        let failed = |source| Error::Store {
            path: path.to_string(),
            source,
        };
        let size = match self.objects.head(path).await {
            Ok(meta) => meta.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let range =
            |from: u64, to: u64| async move { self.objects.get_range(path, from..to).await };
        let Some(start) = size.checked_sub(PARQUET_TAIL) else {
            return Ok(Some(FileFacts { size, rows: None }));
        };
        let tail = range(start, size).await.map_err(failed)?;
        let length = tail
            .first_chunk::<4>()
            .map_or(0, |it| u64::from(u32::from_le_bytes(*it)));
        let rows = match start.checked_sub(length) {
            Some(from) if tail.ends_with(b"PAR1") => {
                rows_of(&range(from, start).await.map_err(failed)?)
            }
            _ => None,
        };
        Ok(Some(FileFacts { size, rows }))
    }
}

fn rows_of(metadata: &Bytes) -> Option<u64> {
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).ok()?;
    u64::try_from(metadata.file_metadata().num_rows()).ok()
}
