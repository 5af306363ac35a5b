//! Which versions of stored tables belong together: those of one commit, the newest or an earlier one.

use crate::lake::{Error, Manifest, Store};
use crate::model::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// The commit that tables are read at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// Of the newest of them, if a dataflow has written the lake.
    pub epoch: Option<Epoch>,
    pub versions: BTreeMap<String, u64>,
    /// Tables that were not there then.
    pub later: BTreeSet<String>,
}

/// Why there is no such commit.
#[derive(Debug, thiserror::Error)]
pub enum NotPinned {
    #[error(
        "the lake does not know what dataflow {dataflow} was as of then: its commits begin later, or that one is no longer kept"
    )]
    Unknown { dataflow: String },
    #[error(transparent)]
    Lake(#[from] Error),
}

impl Pinned {
    /// Of each dataflow of a lake the newest commit of which these tables can be read.
    ///
    /// # Errors
    /// If the lake cannot be read, or no longer knows the commit.
    pub async fn newest(store: &Store, tables: &BTreeSet<&str>) -> Result<Pinned, NotPinned> {
        let mut pinned = Pinned::default();
        for newest in store.newest_manifests().await? {
            if let Some(manifest) = readable(store, newest, tables).await? {
                pinned.epoch = pinned.epoch.max(Some(manifest.epoch));
                pinned.take(&manifest);
            }
        }
        Ok(pinned)
    }

    /// The versions of the tables of a commit.
    fn take(&mut self, manifest: &Manifest) {
        let tables = manifest.tables.iter();
        let versions = tables.map(|(name, it)| (name.clone(), it.version));
        self.versions.extend(versions);
    }

    /// Of each dataflow of a lake the newest commit, or the newest that is not behind an epoch.
    ///
    /// # Errors
    /// If the lake cannot be read, or no longer knows the commit.
    pub async fn of(store: &Store, as_of: Option<Epoch>) -> Result<Pinned, NotPinned> {
        let mut pinned = Pinned::default();
        for newest in store.newest_manifests().await? {
            let dataflow = newest.dataflow.clone();
            let now: BTreeSet<String> = newest.tables.keys().cloned().collect();
            let found = match as_of {
                None => Some(newest),
                Some(epoch) => at_or_before(store, newest, epoch)
                    .await?
                    // A claim of an empty lake has committed nothing.
                    .filter(|it| !it.tables.is_empty()),
            };
            let manifest = found.ok_or(NotPinned::Unknown { dataflow })?;
            pinned.epoch = pinned.epoch.max(Some(manifest.epoch));
            let later = now
                .into_iter()
                .filter(|it| !manifest.tables.contains_key(it));
            pinned.later.extend(later);
            pinned.take(&manifest);
        }
        Ok(pinned)
    }
}

/// The newest commit of one dataflow, or the newest that is not behind an epoch, of which these tables can be read: the logs of the
/// tables follow a manifest within moments. Nothing if the dataflow has committed nothing.
///
/// # Errors
/// If the lake cannot be read, or no longer knows the commit.
pub async fn commit_of(
    store: &Store,
    dataflow: &str,
    as_of: Option<Epoch>,
    tables: &BTreeSet<&str>,
) -> Result<Option<Manifest>, NotPinned> {
    let Some(newest) = store.newest_manifest(dataflow).await? else {
        return Ok(None);
    };
    let unknown = || NotPinned::Unknown {
        dataflow: dataflow.to_owned(),
    };
    let manifest = match as_of {
        None => newest,
        Some(epoch) => {
            let found = at_or_before(store, newest, epoch).await?;
            found.ok_or_else(unknown)?
        }
    };
    readable(store, manifest, tables).await
}

/// A commit, or the newest before it of which these tables can be read. Nothing if that has no tables.
async fn readable(
    store: &Store,
    mut manifest: Manifest,
    tables: &BTreeSet<&str>,
) -> Result<Option<Manifest>, NotPinned> {
    while !is_told(store, &manifest, tables).await? {
        let Some(number) = manifest.number.checked_sub(1) else {
            return Ok(None);
        };
        let before = store.manifest(&manifest.dataflow, number).await?;
        manifest = before.ok_or(NotPinned::Unknown {
            dataflow: manifest.dataflow,
        })?;
    }
    Ok(Some(manifest).filter(|it| !it.tables.is_empty()))
}

/// Whether the logs of these tables have what a commit writes.
async fn is_told(
    store: &Store,
    manifest: &Manifest,
    tables: &BTreeSet<&str>,
) -> Result<bool, Error> {
    for (name, entry) in &manifest.tables {
        let is_written = tables.contains(name.as_str()) && !entry.actions.is_empty();
        if is_written && store.log_entry(name, entry.version).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Manifests have numbers without gaps, but the oldest are gone.
async fn at_or_before(
    store: &Store,
    newest: Manifest,
    epoch: Epoch,
) -> Result<Option<Manifest>, Error> {
    if newest.epoch <= epoch {
        return Ok(Some(newest));
    }
    let (mut low, mut high, mut found) = (0, newest.number, None);
    while low < high {
        let middle = low + (high - low) / 2;
        match store.manifest(&newest.dataflow, middle).await? {
            Some(it) if epoch < it.epoch => high = middle,
            Some(it) => {
                found = Some(it);
                low = middle + 1;
            }
            // Older than what is kept.
            None => low = middle + 1,
        }
    }
    Ok(found)
}
