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
            let tables = manifest.tables.iter();
            pinned
                .versions
                .extend(tables.map(|(name, it)| (name.clone(), it.version)));
        }
        Ok(pinned)
    }
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
