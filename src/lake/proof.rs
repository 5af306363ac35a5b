//! The newest result of a proof that a server has run, kept beside the commits: `_tidelake/<dataflow>/verification/newest.json`. It is no part of a
//! commit, and nothing depends on it: one that is lost can be made again.

use super::{Error, Store};
use bytes::Bytes;
use object_store::path::Path;

fn path(dataflow: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/verification/newest.json"))
}

impl Store {
    /// The newest kept result; nothing before the first.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn verification(&self, dataflow: &str) -> Result<Option<Bytes>, Error> {
        self.get(&path(dataflow)).await
    }

    /// Keeps a result in place of the one before.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn put_verification(&self, dataflow: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.put(&path(dataflow), Bytes::from(bytes)).await
    }
}
