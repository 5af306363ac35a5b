//! Models in the lake: files named by the hash of their content, and which of them is current.
//!
//! ```text
//! _tidelake/models/NAME/<SHA-256>.json               a model; never changed
//! _tidelake/models/NAME/versions/<number>.json       which model is version `number`; created if absent, so of two who train one takes the next
//! ```
//!
//! The highest number is current. A version is created after its model is durable, so a crash leaves at most a model that no version names, and the same training
//! writes it again. Nothing here is ever deleted.

use super::{Error, Store};
use crate::learn::{self, Model};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const ROOT: &str = "_tidelake/models";
/// How often a number may be taken by someone else.
const TRIES_MAX: u64 = 100;

/// Whether a model can have this name.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_model_name(name: &str) -> Result<(), String> {
    learn::check_name(name)
}

/// Which model a version is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// From 1.
    pub number: u64,
    /// SHA-256 of the model's file, in lower-case hex.
    pub id: String,
    /// Milliseconds since 1970.
    pub published_ms: u64,
}

/// The models of a lake.
#[derive(Clone, Debug)]
pub struct Models<'a>(&'a Store);

impl Store {
    pub fn models(&self) -> Models<'_> {
        Models(self)
    }
}

impl Models<'_> {
    /// Names of the models that have a version, in their order.
    ///
    /// # Errors
    /// If the lake cannot be listed.
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        let listed = self
            .0
            .objects
            .list_with_delimiter(Some(&Path::from(ROOT)))
            .await;
        let folders = listed.map_err(|source| Error::Store {
            path: ROOT.to_owned(),
            source,
        })?;
        let mut names = Vec::new();
        for folder in folders.common_prefixes {
            let name = folder.filename().unwrap_or_default();
            if learn::check_name(name).is_ok() && !self.numbers(name).await?.is_empty() {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Versions of a model, the newest first; none if there is no such model.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn versions(&self, name: &str) -> Result<Vec<ModelVersion>, Error> {
        let mut versions = Vec::new();
        for number in self.numbers(name).await?.into_iter().rev() {
            versions.push(self.version(name, number).await?);
        }
        Ok(versions)
    }

    /// The newest version of a model, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn current(&self, name: &str) -> Result<Option<ModelVersion>, Error> {
        match self.numbers(name).await?.last() {
            Some(number) => self.version(name, *number).await.map(Some),
            None => Ok(None),
        }
    }

    /// A model by its id.
    ///
    /// # Errors
    /// If it is not there, or its content is not what its name says.
    pub async fn load(&self, name: &str, id: &str) -> Result<Model, Error> {
        let missing = || Error::NoModel {
            what: format!("model {name:?} with id {id:?} in the lake"),
        };
        check(name)?;
        let is_id = id.len() == 64 && id.bytes().all(|it| it.is_ascii_hexdigit());
        if !is_id {
            return Err(missing());
        }
        let path = file_of(name, id);
        let bytes = self.0.get(&path).await?.ok_or_else(missing)?;
        let damaged = |reason: String| Error::Damaged {
            path: path.to_string(),
            reason,
        };
        if learn::sha256(&bytes) != id {
            return Err(damaged(
                "its content does not have the hash that it is named by".to_owned(),
            ));
        }
        let model = Model::parse(&bytes).map_err(|it| damaged(it.to_string()))?;
        match model.name() == name {
            true => Ok(model),
            false => Err(damaged(format!("it is model {:?}", model.name()))),
        }
    }

    /// The same, from the models that this process has loaded if it is one of these.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub async fn kept(&self, name: &str, id: &str) -> Result<Arc<Model>, Error> {
        match learn::kept(id).filter(|it| it.name() == name) {
            Some(model) => Ok(model),
            None => Ok(learn::keep(self.load(name, id).await?)),
        }
    }

    /// Makes a model the current version of its name. If it is that already, nothing changes.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub async fn publish(&self, model: &Model) -> Result<ModelVersion, Error> {
        let name = model.name();
        if let Some(current) = self.current(name).await?
            && current.id == model.id()
        {
            return Ok(current);
        }
        let path = file_of(name, model.id());
        // One that is there already has the same content, or is found to be damaged when it is read.
        self.0.create(&path, Bytes::from(model.to_bytes())).await?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let next = self.numbers(name).await?.last().map_or(1, |it| it + 1);
        for number in next..next + TRIES_MAX {
            let version = ModelVersion {
                number,
                id: model.id().to_owned(),
                published_ms: now.as_millis() as u64,
            };
            let bytes = serde_json::to_vec(&version).map_err(|it| Error::Damaged {
                path: path.to_string(),
                reason: it.to_string(),
            })?;
            if self
                .0
                .create(&version_path(name, number), Bytes::from(bytes))
                .await?
            {
                return Ok(version);
            }
        }
        Err(Error::Damaged {
            path: version_path(name, next).to_string(),
            reason: format!(
                "{TRIES_MAX} versions behind it were taken while this one was published"
            ),
        })
    }

    /// Numbers of the versions, in their order.
    async fn numbers(&self, name: &str) -> Result<Vec<u64>, Error> {
        check(name)?;
        let folder = versions_of(name);
        let found: Vec<Path> = self
            .0
            .objects
            .list(Some(&folder))
            .map_ok(|it| it.location)
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                path: folder.to_string(),
                source,
            })?;
        let number = |it: &Path| it.filename()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = found.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn version(&self, name: &str, number: u64) -> Result<ModelVersion, Error> {
        let path = version_path(name, number);
        let damaged = |reason: String| Error::Damaged {
            path: path.to_string(),
            reason,
        };
        let bytes = self.0.get(&path).await?;
        let bytes = bytes.ok_or_else(|| damaged("it went away while it was read".to_owned()))?;
        let version: ModelVersion =
            serde_json::from_slice(&bytes).map_err(|it| damaged(it.to_string()))?;
        match version.number == number {
            true => Ok(version),
            false => Err(damaged(format!("it is of version {}", version.number))),
        }
    }
}

/// A name that is none is no path either.
fn check(name: &str) -> Result<(), Error> {
    learn::check_name(name).map_err(|_| Error::NoModel {
        what: format!("model {name:?} in the lake"),
    })
}

fn file_of(name: &str, id: &str) -> Path {
    Path::from(format!("{ROOT}/{name}/{id}.json"))
}

fn versions_of(name: &str) -> Path {
    Path::from(format!("{ROOT}/{name}/versions"))
}

fn version_path(name: &str, number: u64) -> Path {
    Path::from(format!("{ROOT}/{name}/versions/{number:06}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::forest;

    #[tokio::test]
    async fn the_newest_version_is_current_and_its_file_is_what_it_is_named_by() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().display().to_string()).unwrap();
        let models = store.models();
        assert_eq!(models.current("odd").await.unwrap(), None);
        assert_eq!(models.list().await.unwrap(), Vec::<String>::new());
        let (first, second) = (forest("odd", 1), forest("odd", 2));
        assert_eq!(models.publish(&first).await.unwrap().number, 1);
        assert_eq!(
            models.publish(&first).await.unwrap().number,
            1,
            "nothing new"
        );
        assert_eq!(models.publish(&second).await.unwrap().number, 2);
        assert_eq!(
            models.publish(&first).await.unwrap().number,
            3,
            "back again"
        );
        models.publish(&forest("other", 1)).await.unwrap();
        assert_eq!(models.list().await.unwrap(), ["odd", "other"]);
        let ids: Vec<String> = models
            .versions("odd")
            .await
            .unwrap()
            .into_iter()
            .map(|it| it.id)
            .collect();
        assert_eq!(ids, [first.id(), second.id(), first.id()]);
        assert_eq!(models.load("odd", second.id()).await.unwrap(), second);
        assert_eq!(
            store.newest_manifests().await.unwrap().len(),
            0,
            "it is no dataflow"
        );
        assert!(models.load("other", second.id()).await.is_err());
        assert!(models.load("odd", "../other").await.is_err());
        assert!(models.load("../odd", second.id()).await.is_err());
        let file = folder.path().join(file_of("odd", second.id()).as_ref());
        let text = std::fs::read_to_string(&file)
            .unwrap()
            .replace("odd", "oda");
        std::fs::write(&file, text).unwrap();
        let damaged = models.load("odd", second.id()).await.unwrap_err();
        assert!(
            damaged.to_string().contains("does not have the hash"),
            "{damaged}"
        );
    }

    #[tokio::test]
    async fn of_two_who_publish_at_once_each_has_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().display().to_string()).unwrap();
        let all: Vec<Model> = (1..=8).map(|it| forest("odd", it)).collect();
        let published = all.iter().map(|it| async {
            let models = store.models();
            models.publish(it).await
        });
        let versions = futures::future::try_join_all(published).await.unwrap();
        let mut numbers: Vec<u64> = versions.iter().map(|it| it.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).collect::<Vec<u64>>());
    }
}
