//! Saved filters of the log: one `.filter` file each, beside the saved queries of the dataflow whose columns they name.

use super::App;
use super::folder::{Folder, Kind, SkippedFile};
use super::problem::Problem;
use super::saved;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the files are.
pub const FILTERS: Kind = Kind {
    word: "saved filter",
    ending: "filter",
    files_max: 500,
    bytes_max: 16 << 10,
    unknown: "unknown_filter",
    too_many: "too_many_filters",
    too_long: "filter_too_long",
    failed: "filters_failed",
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedFilters {
    pub filters: Vec<SavedFilter>,
    /// Files that are no filters, and why.
    pub skipped: Vec<SkippedFile>,
    /// Where the files are.
    pub folder: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedFilter {
    pub name: String,
    /// The condition, as `where` of `/api/v1/logs` takes it.
    pub r#where: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterToSave {
    pub r#where: String,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<SavedFilters>, Problem> {
    let folder = folder(&app)?;
    let listed = app.workers.apart(move || folder.list()).await??;
    let filters = listed.files.into_iter();
    Ok(JsonBody(SavedFilters {
        filters: filters
            .map(|(name, text)| SavedFilter {
                name,
                r#where: text.trim().to_owned(),
            })
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
    let folder = folder(&app)?;
    let body = read(&body)?;
    let work = move || folder.save(&name, &body.r#where);
    app.workers.apart(work).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    app.workers.apart(move || folder.remove(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

fn folder(app: &App) -> Result<Folder, Problem> {
    saved::folder(app.filters.as_ref(), "saved filters")
}

fn read(body: &[u8]) -> Result<FilterToSave, Problem> {
    let refused = |why: String| {
        Problem::bad_request("bad_body", why).hint("send {\"where\": \"status >= 500\"}")
    };
    let body: FilterToSave = serde_json::from_slice(body)
        .map_err(|it| refused(format!("the body is no filter: {it}")))?;
    if body.r#where.trim().is_empty() {
        return Err(refused("there is no condition to save".to_owned()));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_condition_and_nothing_else() {
        let read = |text: &str| read(text.as_bytes()).map(|it| it.r#where);
        let found = read(r#"{"where": "status >= 500"}"#);
        assert_eq!(found.expect("a filter"), "status >= 500");
        for (text, said) in [
            (r#"{"where": " "}"#, "no condition"),
            (r#"{"query": "SELECT 1"}"#, "unknown field `query`"),
            ("status >= 500", "the body is no filter"),
        ] {
            let refused = read(text).expect_err(said);
            assert!(refused.detail.contains(said), "{refused}");
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        }
    }
}
