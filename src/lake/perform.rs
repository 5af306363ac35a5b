//! Carries out what the commit protocol asks for.

use super::manifest::{folder, path_of};
use super::protocol::{Action, Seen};
use super::{Error, Store, log};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;

impl Store {
    /// Does one request of a commit, and tells what was seen. What was created or found is durable then.
    ///
    /// # Errors
    /// If the lake does not answer, which leaves open whether it was done; or if what is there cannot be understood.
    pub async fn perform(&self, dataflow: &str, action: &Action<'_>) -> Result<Seen, Error> {
        match action {
            Action::CreateManifest(manifest) => {
                let path = path_of(dataflow, manifest.number);
                self.create_or_see(&path, manifest.to_file()).await
            }
            Action::ReadManifest(number) => {
                let found = self.manifest(dataflow, *number).await?;
                if found.is_some() {
                    self.make_durable(&path_of(dataflow, *number))?;
                }
                Ok(Seen::Manifest(found.map(Box::new)))
            }
            Action::FindNewer(number) => {
                let newer: Vec<Path> = self
                    .objects
                    .list_with_offset(Some(&folder(dataflow)), &path_of(dataflow, *number))
                    .map_ok(|it| it.location)
                    .try_collect()
                    .await
                    .map_err(|source| Error::Store {
                        path: folder(dataflow).to_string(),
                        source,
                    })?;
                let number_of = |it: &Path| it.filename()?.strip_suffix(".json")?.parse().ok();
                Ok(Seen::Newer(newer.iter().filter_map(number_of).max()))
            }
            Action::CreateEntry {
                table,
                version,
                actions,
            } => {
                let path = Path::from(format!("{table}/{}", log::entry_path(*version)));
                self.create_or_see(&path, log::entry_bytes(actions)).await
            }
            Action::ReadEntry { table, version } => {
                let path = Path::from(format!("{table}/{}", log::entry_path(*version)));
                let Some(bytes) = self.get(&path).await? else {
                    return Ok(Seen::Entry(None));
                };
                self.make_durable(&path)?;
                let damaged = |reason| Error::Damaged {
                    path: path.to_string(),
                    reason,
                };
                log::entry_actions(&bytes)
                    .map(|it| Seen::Entry(Some(it)))
                    .map_err(damaged)
            }
            Action::DeleteManifest(number) => {
                self.delete(&path_of(dataflow, *number)).await?;
                Ok(Seen::Done)
            }
        }
    }

    async fn create_or_see(&self, path: &Path, bytes: Vec<u8>) -> Result<Seen, Error> {
        Ok(match self.create(path, Bytes::from(bytes)).await? {
            true => Seen::Done,
            false => Seen::Taken,
        })
    }
}
