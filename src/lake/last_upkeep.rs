//! When a lake was last looked after: a small file for each kind of upkeep, in `_tidelake/<dataflow>/last-upkeep/`. It is no part of a commit, and nothing
//! depends on it: whoever has done it writes it, and one that cannot be written or read is as good as none.

use super::{Error, Store};
use crate::model::wall_ms;
use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

/// What is done to a lake now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    Optimize,
    Vacuum,
    Backup,
}

/// The last time it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUpkeep {
    pub at_ms: u64,
    /// Files written anew, deleted or copied, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// Where a backup is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl LastUpkeep {
    pub fn now(files: u64, bytes: u64) -> Self {
        LastUpkeep {
            at_ms: wall_ms(),
            files,
            bytes,
            place: None,
        }
    }
}

fn path(dataflow: &str, upkeep: Upkeep) -> Path {
    let name = match upkeep {
        Upkeep::Optimize => "optimize",
        Upkeep::Vacuum => "vacuum",
        Upkeep::Backup => "backup",
    };
    Path::from(format!("_tidelake/{dataflow}/last-upkeep/{name}.json"))
}

impl Store {
    /// When it was last done; nothing if it never was, or nobody can tell.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn last_upkeep(
        &self,
        dataflow: &str,
        upkeep: Upkeep,
    ) -> Result<Option<LastUpkeep>, Error> {
        let bytes = self.get(&path(dataflow, upkeep)).await?;
        Ok(bytes.and_then(|it| serde_json::from_slice(&it).ok()))
    }

    /// Notes that it was done. What was done stays done if that fails, as with a lake that may only be read.
    pub async fn note_upkeep(&self, dataflow: &str, upkeep: Upkeep, done: &LastUpkeep) {
        let bytes = serde_json::to_vec(done).expect("plain values can be written");
        if let Err(error) = self.put(&path(dataflow, upkeep), Bytes::from(bytes)).await {
            tracing::warn!(%error, "when the lake was last looked after could not be noted");
        }
    }
}
