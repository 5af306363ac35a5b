//! What webhooks have told, kept beside the commits: `_tidelake/<dataflow>/webhooks/<name>.json`. It is no part of a commit; one that is lost or old has messages told
//! again, under the keys they had.

use super::{Error, Store};
use bytes::Bytes;
use object_store::path::Path;

fn path(dataflow: &str, webhook: &str) -> Path {
    Path::from(format!("_tidelake/{dataflow}/webhooks/{webhook}.json"))
}

impl Store {
    /// What a webhook has told.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn told(&self, dataflow: &str, webhook: &str) -> Result<Option<Bytes>, Error> {
        self.get(&path(dataflow, webhook)).await
    }

    /// Keeps what a webhook has told.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn put_told(
        &self,
        dataflow: &str,
        webhook: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        self.put(&path(dataflow, webhook), Bytes::from(bytes)).await
    }
}
