//! The stored tables, as ad-hoc queries and the API know them.

use super::pinned::Pinned;
use crate::lake::Store;
use crate::model::Epoch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A lake and the tables of it that can be asked.
#[derive(Clone, Debug, Default)]
pub struct Lake {
    store: Option<Store>,
    names: Vec<String>,
    /// Versions that tables are read at; others are read at their newest.
    versions: BTreeMap<String, u64>,
}

/// A stored table as it lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDetails {
    pub version: u64,
    pub location: String,
    pub files: Vec<FileDetails>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDetails {
    pub path: String,
    pub bytes: u64,
    pub rows: Option<u64>,
}

impl Lake {
    /// The tables of these names.
    pub fn new(store: Store, names: Vec<String>) -> Self {
        Lake {
            store: Some(store),
            names,
            versions: BTreeMap::new(),
        }
    }

    /// The same lake, with these tables at these versions in every query.
    #[must_use]
    pub fn at(self, versions: BTreeMap<String, u64>) -> Self {
        Lake { versions, ..self }
    }

    /// Versions that tables are read at.
    pub fn versions(&self) -> &BTreeMap<String, u64> {
        &self.versions
    }

    /// Names of all tables: append-only ones, and those of stored views.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The commit that was the newest as of an epoch.
    ///
    /// # Errors
    /// Says why there is none.
    pub async fn pinned(&self, epoch: Epoch) -> Result<Pinned, String> {
        let Some(store) = &self.store else {
            return Ok(Pinned::default());
        };
        let pinned = Pinned::of(store, Some(epoch)).await;
        pinned.map_err(|it| it.to_string())
    }

    /// The lake itself, if there is one.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Where it lies, as [`Store::open_existing`] takes it.
    pub fn address(&self) -> Option<String> {
        let store = self.store.as_ref()?;
        Some(match &store.folder {
            Some(folder) => folder.display().to_string(),
            None => store.url.to_string(),
        })
    }

    async fn open(&self, name: &str) -> Result<deltalake::DeltaTable, String> {
        let store = self.store.as_ref().ok_or("there is no lake")?;
        let opened = match self.versions.get(name) {
            Some(version) => store.open_delta_at(name, *version).await,
            None => store.open_delta(name).await,
        };
        opened.map_err(|it| it.to_string())
    }

    /// A table at its newest version, or the one it is to be read at.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn provider(&self, name: &str) -> Result<Arc<dyn TableProvider>, String> {
        crate::sql::delta_provider(&self.open(name).await?).await
    }

    /// Columns of a table.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn schema(&self, name: &str) -> Result<SchemaRef, String> {
        self.provider(name).await.map(|it| it.schema())
    }

    /// What a table's newest version is made of.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn details(&self, name: &str) -> Result<TableDetails, String> {
        let delta = self.open(name).await?;
        let snapshot = delta.snapshot().map_err(|it| it.to_string())?;
        let log = snapshot.log_data();
        let files = log.iter().map(|it| FileDetails {
            path: it.path().into_owned(),
            bytes: u64::try_from(it.size()).unwrap_or_default(),
            rows: it.num_records().map(|it| it as u64),
        });
        let files = files.collect();
        Ok(TableDetails {
            version: snapshot.version(),
            location: delta.table_url().to_string(),
            files,
        })
    }
}
