//! `/api/v1/lake/tables/{table}`: what a stored table is made of, for people who look into the lake.

use super::App;
use super::problem::Problem;
use crate::model::iso_of_micros;
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The largest files are listed, up to so many.
const FILES_MAX: usize = 200;

#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeTable {
    pub name: String,
    pub location: String,
    pub version: u64,
    pub file_count: usize,
    pub bytes: u64,
    /// Null if a file does not say.
    pub rows: Option<u64>,
    pub files: Vec<LakeFile>,
    pub versions: Vec<LakeVersion>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeFile {
    pub path: String,
    pub bytes: u64,
    pub rows: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeVersion {
    pub version: u64,
    pub written: Option<String>,
    pub operation: String,
}

pub async fn table(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<JsonBody<LakeTable>, Problem> {
    let names = app.queries.lake().names();
    if !names.contains(&name) {
        return Err(
            Problem::not_found("unknown_table", format!("the lake has no table `{name}`"))
                .hint(format!("there are: {}", names.join(", "))),
        );
    }
    let details = app.queries.lake().details(&name).await.map_err(|it| {
        Problem::new(
            axum::http::StatusCode::BAD_GATEWAY,
            "lake_failed",
            format!("table `{name}` could not be read: {it}"),
        )
    })?;
    let mut files = details.files;
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    Ok(JsonBody(LakeTable {
        name,
        location: details.location,
        version: details.version,
        file_count: files.len(),
        bytes: files.iter().map(|it| it.bytes).sum(),
        rows: files.iter().map(|it| it.rows).sum(),
        files: files
            .into_iter()
            .take(FILES_MAX)
            .map(|it| LakeFile {
                path: it.path,
                bytes: it.bytes,
                rows: it.rows,
            })
            .collect(),
        versions: details
            .versions
            .into_iter()
            .map(|it| LakeVersion {
                version: it.version,
                written: it
                    .written_ms
                    .map(|ms| iso_of_micros(ms.saturating_mul(1000))),
                operation: it.operation,
            })
            .collect(),
    }))
}
