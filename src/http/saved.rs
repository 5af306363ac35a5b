//! Saved queries: one `.sql` file each, in a folder of the dataflow whose relations they name.

use super::App;
use super::folder::{Folder, Kind, SkippedFile};
use super::problem::Problem;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the files are.
pub const QUERIES: Kind = Kind {
    word: "saved query",
    ending: "sql",
    files_max: 500,
    bytes_max: 64 << 10,
    unknown: "unknown_saved_query",
    too_many: "too_many_saved_queries",
    too_long: "query_too_long",
    failed: "saved_queries_failed",
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedQueries {
    pub queries: Vec<SavedQuery>,
    /// Files that are no saved queries, and why.
    pub skipped: Vec<SkippedFile>,
    /// Where the files are.
    pub folder: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedQuery {
    pub name: String,
    pub query: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryToSave {
    pub query: String,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<SavedQueries>, Problem> {
    let folder = folder(app.saved_queries.as_ref(), "saved queries")?;
    let listed = app.workers.apart(move || folder.list()).await??;
    let queries = listed.files.into_iter();
    Ok(JsonBody(SavedQueries {
        queries: queries
            .map(|(name, query)| SavedQuery { name, query })
            .collect(),
        skipped: listed.skipped,
        folder: listed.folder,
    }))
}

pub async fn save(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let folder = folder(app.saved_queries.as_ref(), "saved queries")?;
    let body: QueryToSave = serde_json::from_slice(&body).map_err(|it| {
        Problem::bad_request(
            "bad_body",
            format!("the request body could not be read: {it}"),
        )
        .hint("send {\"query\": \"SELECT …\"}")
    })?;
    if body.query.trim().is_empty() {
        return Err(Problem::bad_request(
            "bad_body",
            "there is no query to save",
        ));
    }
    let work = move || folder.save(&name, &body.query);
    app.workers.apart(work).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let folder = folder(app.saved_queries.as_ref(), "saved queries")?;
    app.workers.apart(move || folder.remove(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// A folder, if the server has one.
///
/// # Errors
/// Says how to start a server that has.
pub fn folder(folder: Option<&Folder>, of: &str) -> Result<Folder, Problem> {
    folder.cloned().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_folder",
            format!("this server has no folder for {of}"),
        )
        .hint("start it with --saved-queries DIR")
    })
}
