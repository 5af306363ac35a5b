//! What a manifest keeps for the coordinator, with its types. The lake knows it as JSON alone.
//!
//! Nothing here is guessed: a manifest of a lake that has read something has all of it, for every source. One that does not is damaged, and going on
//! without would close other windows or count from nothing.

use super::Error;
use crate::engine::{ClockState, EventTimes};
use crate::lake::{self, Manifest};
use crate::model::Epoch;
use crate::view::Totals;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// The engine's clocks, by source.
///
/// # Errors
/// If they are not all there, or are no clocks.
pub(super) fn clocks(manifest: &Manifest) -> Result<BTreeMap<String, ClockState>, Error> {
    by_source(manifest, "clocks", &manifest.clocks)
}

/// Watermark and `now()` that the views of the commit were computed with, by source.
///
/// # Errors
/// If they are not all there, or are none.
pub fn event_times(manifest: &Manifest) -> Result<BTreeMap<String, EventTimes>, Error> {
    by_source(manifest, "event_times", &manifest.event_times)
}

/// What was ever read, by source.
///
/// # Errors
/// If they are not all there, or are none.
pub fn totals(manifest: &Manifest) -> Result<BTreeMap<String, Totals>, Error> {
    by_source(manifest, "totals", &manifest.totals)
}

/// Checks all of it.
///
/// # Errors
/// If something is missing or is not what it should be.
pub fn check(manifest: &Manifest) -> Result<(), Error> {
    clocks(manifest)?;
    event_times(manifest)?;
    totals(manifest)?;
    Ok(())
}

fn by_source<T: DeserializeOwned>(
    manifest: &Manifest,
    name: &str,
    stored: &Value,
) -> Result<BTreeMap<String, T>, Error> {
    let damaged = |reason: String| {
        Error::Lake(lake::Error::Damaged {
            path: manifest.path(),
            reason: format!(
                "its {name} cannot be used ({reason}); bring the file back from a copy, or start a new lake with --lake"
            ),
        })
    };
    // A lake that was only claimed has nothing yet.
    if manifest.epoch == Epoch(0) && stored.is_null() {
        return Ok(BTreeMap::new());
    }
    let all: BTreeMap<String, T> =
        serde_json::from_value(stored.clone()).map_err(|it| damaged(it.to_string()))?;
    let missing = manifest.offsets.keys().find(|it| !all.contains_key(*it));
    match missing {
        None => Ok(all),
        Some(source) => Err(damaged(format!("source {source} is missing"))),
    }
}
