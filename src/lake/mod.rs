//! The lake: epochs become Delta tables, each exactly once.
//!
//! ```text
//! staged files ──► manifest n (put-if-absent: THE commit point) ──► log entry of each table ──► log checkpoints, compaction
//! ```
//!
//! A manifest names everything that belongs to one commit: files of all tables, offsets, clocks, state. Who
//! creates number *n* has committed; everyone later finds it and finishes what it says. A starting process claims
//! the next number with a higher generation, so an older one finds its number taken and stops.
//!
//! Not here: what the rows mean, and where they come from.

mod backup;
mod history;
mod inspect;
mod last_upkeep;
mod log;
mod manifest;
mod models;
mod newest;
mod parquet_file;
mod perform;
mod pool;
mod probe;
mod proof;
mod protocol;
mod rewrite;
mod stage;
mod table;
mod told;
mod upkeep;
mod vacuum;

pub use backup::{AsOf, Point, Taken};
pub use history::{CommitFacts, FileEntry, VersionFacts};
pub use inspect::FileFacts;
pub use last_upkeep::{LastUpkeep, Upkeep};
pub use log::{bytes_of_file, commit_info, owner, remove_of, txn};
pub use manifest::{
    BySource, Counts, FORMAT, Holder, LetGo, Manifest, PartitionRead, SourceOffsets, StateFile,
    TableEntry,
};
pub use models::{ModelVersion, Models, check_model_name};
pub use protocol::{Action, Commit, Next, Seen, app_id};
pub use rewrite::{ORDER_COLUMNS_MAX, Wanted};
pub use stage::{Staged, Stager, TableLayout, Told, Uploads};
pub use table::{Change, Compaction, Replaced, TableState, folder_of};
pub use upkeep::{OptimizeRequest, Optimized, Rewritten};
pub use vacuum::{Waste, Why, needed_by};

use crate::model::secret;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A lake that did not answer is asked again after this time; in tests sooner.
const RETRY_AFTER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// What can go wrong with a lake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("lake address {uri:?} is not usable: {reason}")]
    Address { uri: String, reason: String },
    #[error("could not reach {path:?} in the lake")]
    Store {
        path: String,
        source: object_store::Error,
    },
    #[error("{path:?} in the lake is damaged: {reason}")]
    Damaged { path: String, reason: String },
    #[error(
        "the object store of {lake} cannot hold a lake: {reason}. Two processes could both win a commit there; use a store that \
         honours If-None-Match on PUT (AWS S3, Google Cloud Storage, Azure, MinIO), or a disk"
    )]
    Careless { lake: String, reason: String },
    #[error("could not write Parquet for table {table:?}")]
    Parquet {
        table: String,
        source: parquet::errors::ParquetError,
    },
    #[error("table {table:?} cannot be used: {reason}")]
    Table { table: String, reason: String },
    #[error("there is no {what}; `tidelake model list` shows what there is")]
    NoModel { what: String },
    #[error(
        "{path:?} in the lake was written by a newer version of tidelake: it has format {format}, and this one knows up to {known}; nothing was changed; use the version that wrote it, or a newer one"
    )]
    Newer {
        path: String,
        format: u32,
        known: u32,
    },
    #[error("there is no commit of dataflow {dataflow:?} in {lake}")]
    Nothing { dataflow: String, lake: String },
    #[error("{place} cannot be used: {reason}")]
    Backup { place: String, reason: String },
    #[error(
        "generation {newer} has taken over this lake; this process, of generation {ours}, must stop"
    )]
    Fenced { ours: u64, newer: u64 },
}

/// The version that an opened table is at.
fn version_of(delta: &deltalake::DeltaTable, table: &str) -> Result<u64, Error> {
    delta.version().ok_or_else(|| Error::Table {
        table: table.to_owned(),
        reason: "its log has no version".to_owned(),
    })
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    RetryAfter(Duration),
    GiveUp,
}

impl Error {
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Store { .. } if !self.is_cancelled() => Remedy::RetryAfter(RETRY_AFTER),
            _ => Remedy::GiveUp,
        }
    }

    /// What to say while the lake is tried again: why, and what one can do about it.
    pub fn trouble(&self) -> String {
        let mut texts = Vec::new();
        for cause in self.causes() {
            if let Some(known) = cause.downcast_ref().and_then(known_trouble) {
                return format!(
                    "{known}, and all goes on by itself; nothing is lost, reading waits"
                );
            }
            texts.push(cause.to_string());
        }
        texts.join(": ")
    }

    /// Whether the lake was not even asked, since the runtime that would do so is ending with its process.
    pub fn is_cancelled(&self) -> bool {
        self.causes().any(|it| {
            it.downcast_ref::<tokio::task::JoinError>()
                .is_some_and(tokio::task::JoinError::is_cancelled)
        })
    }

    /// This error and what led to it, outermost first.
    fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(self as &dyn std::error::Error), |it| it.source())
    }
}

/// What people can mend.
fn known_trouble(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull => Some("the lake's disk is full: free some space"),
        ErrorKind::QuotaExceeded => Some("the lake's disk quota is used up: free some space"),
        ErrorKind::ReadOnlyFilesystem => Some("the lake's disk is read-only: make it writable"),
        ErrorKind::PermissionDenied => {
            Some("the lake may not be written: give this user the right to")
        }
        _ => None,
    }
}

/// Where a lake lies, opened.
#[derive(Clone, Debug)]
pub struct Store {
    pub objects: Arc<dyn ObjectStore>,
    /// The whole disk or bucket, as the Delta library wants it.
    root: Arc<dyn ObjectStore>,
    /// The root of the lake, with a slash at its end.
    pub url: Url,
    /// Set for a lake on this machine's disk.
    pub folder: Option<std::path::PathBuf>,
}

/// Schemes of the object stores that can hold a lake; `memory` is for tests.
const SCHEMES: [&str; 9] = [
    "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "memory",
];
/// What variables of the environment that say how to reach an object store begin with.
const VARIABLES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Lets the Delta library read logs under another scheme than the ones it knows by itself. It is given the store to read
/// from, and commits are not its to make, so its plain log store will do.
fn read_logs_at(scheme: &str) {
    let logs = deltalake::logstore::logstore_factories();
    let key = |it: &str| Url::parse(&format!("{it}://")).ok();
    let plain = key("memory").and_then(|it| logs.get(&it).map(|it| Arc::clone(it.value())));
    if let (Some(key), Some(plain)) = (key(scheme), plain) {
        logs.entry(key).or_insert(plain);
    }
}

impl Store {
    /// Opens a folder (`./lake`, `file:///lake`) or a bucket: `s3://bucket/lake`, `gs://bucket/lake`, `az://container/lake` or
    /// `abfss://container@account.dfs.core.windows.net/lake`, with settings from `AWS_…`, `GOOGLE_…` and `AZURE_…` variables.
    ///
    /// # Errors
    /// If the address has no known form or the folder cannot be made.
    pub fn open(uri: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Address {
            uri: secret::redact(uri).into_owned(),
            reason: secret::redact(&reason).into_owned(),
        };
        let remote = Url::parse(uri)
            .ok()
            .filter(|it| it.scheme() != "file" && 1 < it.scheme().len());
        if let Some(mut url) = remote {
            if !SCHEMES.contains(&url.scheme()) {
                return Err(wrong(format!(
                    "{}:// is none of a lake's; use a folder, s3://, gs://, az:// or abfss://",
                    url.scheme()
                )));
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            if let Some(password) = url.password() {
                secret::conceal(password);
            }
            let options = std::env::vars()
                .filter(|(key, _)| VARIABLES.iter().any(|it| key.starts_with(it)))
                .inspect(|(key, value)| secret::conceal_if_secret(key, value))
                .map(|(key, value)| (key.to_lowercase(), value));
            read_logs_at(url.scheme());
            let (objects, prefix) =
                object_store::parse_url_opts(&url, options).map_err(|it| wrong(it.to_string()))?;
            // From here on the address names the place; who may go there is known to the store.
            let mut bare = url.set_password(None);
            // In these the container stands before the account.
            if !url.scheme().starts_with("abfs") {
                bare = bare.and_then(|()| url.set_username(""));
            }
            debug_assert!(bare.is_ok() || url.host().is_none());
            let root: Arc<dyn ObjectStore> = Arc::from(objects);
            let objects: Arc<dyn ObjectStore> = Arc::new(object_store::prefix::PrefixStore::new(
                Arc::clone(&root),
                prefix,
            ));
            return Ok(Store {
                objects,
                root,
                url,
                folder: None,
            });
        }
        let folder = match uri.split_once("://") {
            None => uri,
            Some(("file", folder)) => folder,
            Some(_) => return Err(wrong("its host or bucket is missing or wrong".to_owned())),
        };
        std::fs::create_dir_all(folder).map_err(|it| wrong(it.to_string()))?;
        let folder = std::fs::canonicalize(folder).map_err(|it| wrong(it.to_string()))?;
        let objects =
            LocalFileSystem::new_with_prefix(&folder).map_err(|it| wrong(it.to_string()))?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| wrong("not an absolute folder".to_owned()))?;
        Ok(Store {
            objects: Arc::new(objects),
            root: Arc::new(LocalFileSystem::new()),
            url,
            folder: Some(folder),
        })
    }

    /// The address of a table, as other readers want it.
    pub fn table_url(&self, table: &str) -> Url {
        self.url
            .join(&format!("{table}/"))
            .unwrap_or_else(|_| self.url.clone())
    }

    /// Names of all tables there are.
    ///
    /// # Errors
    /// If the lake cannot be listed.
    pub async fn tables(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::Store {
            path: self.url.to_string(),
            source,
        };
        let folders = self
            .objects
            .list_with_delimiter(None)
            .await
            .map_err(failed)?
            .common_prefixes;
        let mut names = Vec::new();
        for folder in folders {
            let first = folder.clone().join("_delta_log").join(log::entry_name(0));
            let is_table = self.get(&first).await?.is_some();
            names.extend(folder.filename().filter(|_| is_table).map(str::to_owned));
        }
        Ok(names)
    }

    /// A table as it is now, through the Delta library: for queries and log checkpoints, never for commits.
    ///
    /// # Errors
    /// If there is no such table or its log cannot be read.
    pub async fn open_delta(&self, table: &str) -> Result<deltalake::DeltaTable, Error> {
        self.load_delta(table, |it| it).await
    }

    async fn load_delta(
        &self,
        table: &str,
        configure: impl FnOnce(deltalake::DeltaTableBuilder) -> deltalake::DeltaTableBuilder,
    ) -> Result<deltalake::DeltaTable, Error> {
        let failed = |it: deltalake::DeltaTableError| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        };
        let url = self.table_url(table);
        let builder = deltalake::DeltaTableBuilder::from_url(url.clone()).map_err(failed)?;
        configure(builder)
            .with_storage_backend(Arc::clone(&self.root), url)
            .load()
            .await
            .map_err(failed)
    }

    async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        let failed = |source| Error::Store {
            path: path.to_string(),
            source,
        };
        match self.objects.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        self.objects
            .put(path, bytes.into())
            .await
            .map_err(|source| Error::Store {
                path: path.to_string(),
                source,
            })?;
        self.make_durable(path)
    }

    /// Creates an object that must not exist. False if it did: nothing was written then.
    async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, Error> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self.objects.put_opts(path, bytes.into(), options).await {
            Ok(_) => {
                self.make_durable(path)?;
                Ok(true)
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(Error::Store {
                path: path.to_string(),
                source,
            }),
        }
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store {
                path: path.to_string(),
                source,
            }),
        }
    }

    async fn list(&self, prefix: &Path) -> Result<Vec<Path>, Error> {
        let mut paths: Vec<Path> = self
            .objects
            .list(Some(prefix))
            .map_ok(|it| it.location)
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                path: prefix.to_string(),
                source,
            })?;
        paths.sort();
        Ok(paths)
    }

    /// On a local disk: file and folder are on the platter before we go on. `object_store` itself never syncs.
    fn make_durable(&self, path: &Path) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let file = folder.join(path.as_ref());
        let sync = |it: &std::path::Path| std::fs::File::open(it)?.sync_all();
        [Some(file.as_path()), file.parent()]
            .into_iter()
            .flatten()
            .try_for_each(sync)
            .map_err(|error| Error::Store {
                path: path.to_string(),
                source: object_store::Error::Generic {
                    store: "sync to disk",
                    source: Box::new(error),
                },
            })
    }
}
