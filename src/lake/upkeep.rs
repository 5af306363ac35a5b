//! Requests to write files of a lake anew, left to the process that holds it: it alone writes the tables' logs. They lie beside the commits, in
//! `_tidelake/<dataflow>/upkeep/`, and so does what became of each, until the asker has read it.

use super::{Error, Store, Wanted, bytes_of_file};
use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptimizeRequest {
    /// Tables that are meant; all if there are none.
    pub tables: Vec<String>,
    pub wanted: Wanted,
    pub asked_ms: u64,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Optimized {
    /// By table, of those that had something to write anew.
    pub tables: BTreeMap<String, Rewritten>,
    /// Why it could not be done, or not in full.
    pub problem: Option<String>,
}

/// Files that were written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    pub files_before: u64,
    pub files_after: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

impl Optimized {
    /// Notes what a commit has put in the place of other files.
    pub fn note(&mut self, done: &super::Compaction) {
        let it = self.tables.entry(done.table.clone()).or_default();
        it.files_before += done.small.len() as u64;
        it.files_after += done.merged.len() as u64;
        it.bytes_before += done.small.iter().map(bytes_of_file).sum::<u64>();
        it.bytes_after += done.merged.iter().map(bytes_of_file).sum::<u64>();
    }
}

const DONE: &str = ".done";

fn folder(dataflow: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/upkeep"))
}

fn path(dataflow: &str, id: &str) -> Path {
    folder(dataflow).join(format!("{id}.json"))
}

fn done_path(dataflow: &str, id: &str) -> Path {
    folder(dataflow).join(format!("{id}{DONE}.json"))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, bytes: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|it| Error::Damaged {
        path: path.to_string(),
        reason: format!("{it}; delete the file and ask again"),
    })
}

fn written<T: Serialize>(it: &T) -> Bytes {
    let bytes = serde_json::to_vec(it);
    Bytes::from(bytes.expect("requests are plain values with texts for keys"))
}

impl Store {
    /// Leaves a request.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn ask_upkeep(
        &self,
        dataflow: &str,
        id: &str,
        request: &OptimizeRequest,
    ) -> Result<(), Error> {
        self.put(&path(dataflow, id), written(request)).await
    }

    /// The requests there are, in the order of their ids. One that cannot be understood is told as such.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn upkeep_asked(
        &self,
        dataflow: &str,
    ) -> Result<Vec<(String, Result<OptimizeRequest, Error>)>, Error> {
        let mut asked = Vec::new();
        for path in self.list(&folder(dataflow)).await? {
            let id = path.filename().and_then(|it| it.strip_suffix(".json"));
            let Some(id) = id.filter(|it| !it.ends_with(DONE)).map(str::to_owned) else {
                continue;
            };
            if let Some(bytes) = self.get(&path).await? {
                asked.push((id, read(&path, &bytes)));
            }
        }
        Ok(asked)
    }

    /// Whether a request is there: nobody has told what became of it, and whoever left it has not taken it back.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn is_upkeep_asked(&self, dataflow: &str, id: &str) -> Result<bool, Error> {
        Ok(self.get(&path(dataflow, id)).await?.is_some())
    }

    /// Tells what became of a request, and takes it away.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn tell_upkeep(
        &self,
        dataflow: &str,
        id: &str,
        done: &Optimized,
    ) -> Result<(), Error> {
        self.put(&done_path(dataflow, id), written(done)).await?;
        self.take_back_upkeep(dataflow, id).await
    }

    /// Takes a request back.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn take_back_upkeep(&self, dataflow: &str, id: &str) -> Result<(), Error> {
        self.delete(&path(dataflow, id)).await
    }

    /// What became of a request, once it is told; it is told once.
    ///
    /// # Errors
    /// If the lake cannot be reached.
    pub async fn upkeep_done(&self, dataflow: &str, id: &str) -> Result<Option<Optimized>, Error> {
        let path = done_path(dataflow, id);
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let done = read(&path, &bytes)?;
        self.delete(&path).await?;
        Ok(Some(done))
    }
}
