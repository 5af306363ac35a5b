//! What there is to be asked: relations with their columns, and functions.

use crate::cli::sql::Asked;
use crate::sql::sql_type_name;
use anyhow::Result;
use serde::Deserialize;

/// Relations and functions, as a server or a lake has them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Catalog {
    #[serde(rename = "tables")]
    pub relations: Vec<Relation>,
    pub functions: Vec<String>,
}

/// A live view, a plain view, or a table of the lake.
#[derive(Clone, Debug, Deserialize)]
pub struct Relation {
    pub name: String,
    pub kind: String,
    pub columns: Vec<Column>,
    pub rows: Option<u64>,
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub role: Option<String>,
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// Of relations without a server.
pub const LAKE_TABLE: &str = "lake table";
pub const LIVE_VIEW: &str = "live view";

impl Catalog {
    /// What can be asked now.
    ///
    /// # Errors
    /// If the server or the lake does not say.
    pub async fn of(asked: &Asked) -> Result<Catalog> {
        let lake = match asked {
            Asked::Server(server) => return server.get(&["api", "v1", "tables"]).await,
            Asked::Lake(it) => it.queries.lake(),
        };
        let mut relations = Vec::new();
        for name in lake.names() {
            let schema = lake.schema(name).await.map_err(anyhow::Error::msg)?;
            let columns = schema.fields().iter().map(|it| Column {
                name: it.name().clone(),
                kind: sql_type_name(it.data_type()),
                role: None,
                unit: None,
                comment: None,
            });
            relations.push(Relation {
                name: format!("lake.{name}"),
                kind: LAKE_TABLE.to_owned(),
                columns: columns.collect(),
                rows: None,
                comment: None,
            });
        }
        let functions = match asked {
            Asked::Lake(it) => it.queries.functions(),
            Asked::Server(_) => Vec::new(),
        };
        Ok(Catalog {
            relations,
            functions,
        })
    }

    /// The relation of a name, as queries find it: a bare name is a live view, else a plain one, else a table of the lake.
    pub fn find(&self, name: &str) -> Option<&Relation> {
        let named = |wanted: &str| {
            let mut all = self.relations.iter();
            all.find(|it| it.name.eq_ignore_ascii_case(wanted))
        };
        let stored = name.strip_prefix("delta_lake.").unwrap_or(name);
        named(name).or_else(|| named(&format!("lake.{stored}")))
    }

    /// How many relations are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.relations.iter().filter(|it| it.kind == kind).count()
    }
}
