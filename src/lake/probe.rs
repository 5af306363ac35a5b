//! Whether an object store refuses to create what is there already.
//!
//! A commit is an object that is created once (`If-None-Match: *`, or `x-goog-if-generation-match: 0`). Some stores take such a request and
//! write all the same: two processes would both believe that the number is theirs, and one commit would be lost. So each start asks first.

use super::{Error, Store};
use object_store::path::Path;

/// What is created twice.
const PROBE: &str = "_tidelake/probe";
const CONTENT: &str = "Written by every start, to see whether this store refuses to create what is there. Not read.\n";

impl Store {
    /// Writes an object and then creates it, which has to be refused. A disk is not asked: it creates by hard links.
    ///
    /// # Errors
    /// If the second request is carried out or not understood, or the store cannot be written.
    pub async fn check_creates_once(&self) -> Result<(), Error> {
        if self.folder.is_some() {
            return Ok(());
        }
        let path = Path::from(PROBE);
        self.put(&path, CONTENT.into()).await?;
        let careless = |reason: &str| Error::Careless {
            lake: self.url.to_string(),
            reason: reason.to_owned(),
        };
        match self.create(&path, CONTENT.into()).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(careless(
                "it overwrote an object that it was told to create only",
            )),
            Err(Error::Store {
                source:
                    object_store::Error::NotImplemented { .. }
                    | object_store::Error::NotSupported { .. },
                ..
            }) => Err(careless(
                "requests that create an object only if it is not there are turned off or unknown",
            )),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    };
    use std::sync::Arc;

    /// A store that takes conditions and does not look at them, or says that it knows none.
    #[derive(Debug)]
    struct Careless {
        objects: InMemory,
        says_so: bool,
    }

    impl std::fmt::Display for Careless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("careless")
        }
    }

    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(
            &self,
            at: &Path,
            bytes: PutPayload,
            how: PutOptions,
        ) -> Result<PutResult> {
            if self.says_so && how.mode == PutMode::Create {
                return Err(object_store::Error::NotImplemented {
                    operation: "put_opts".to_owned(),
                    implementer: self.to_string(),
                });
            }
            self.objects
                .put_opts(at, bytes, PutOptions::default())
                .await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            how: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.objects.put_multipart_opts(at, how).await
        }

        async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
            self.objects.get_opts(at, how).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, Result<Path>>,
        ) -> BoxStream<'static, Result<Path>> {
            self.objects.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.objects.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.objects.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
            self.objects.copy_opts(from, to, how).await
        }
    }

    #[tokio::test]
    async fn a_store_that_creates_twice_is_refused() {
        let store = Store::open("memory:///lake").expect("a lake");
        for _ in 0..2 {
            store
                .check_creates_once()
                .await
                .expect("it refuses the second one");
        }
        for says_so in [false, true] {
            let careless = Store {
                objects: Arc::new(Careless {
                    objects: InMemory::new(),
                    says_so,
                }),
                ..store.clone()
            };
            let refused = careless.check_creates_once().await;
            assert!(
                matches!(refused, Err(Error::Careless { .. })),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn addresses_of_each_kind_of_store_are_known() {
        for uri in [
            "https://account.blob.core.windows.net/c/lake",
            "ftp://host/lake",
            "s3:///lake",
        ] {
            let refused = Store::open(uri);
            assert!(
                matches!(refused, Err(Error::Address { .. })),
                "{uri}: {refused:?}"
            );
        }
        // The container stands where others have a user.
        let abfss = Store::open("abfss://container@account.dfs.core.windows.net/lake");
        let url = abfss.expect("a lake").url.to_string();
        assert_eq!(url, "abfss://container@account.dfs.core.windows.net/lake/");
    }
}
