//! Saved queries: one `.sql` file each in a folder, so that they can be edited, copied and kept under version control.
//!
//! A name becomes a file name, so only harmless characters are taken. A file is replaced as a whole: it is written beside
//! and then renamed.

use super::App;
use super::problem::Problem;
use axum::Json as JsonBody;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

const NAME_CHARACTERS_MAX: usize = 80;
const QUERIES_MAX: usize = 500;
const ENDING: &str = "sql";

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedQueries {
    pub queries: Vec<SavedQuery>,
    /// Where the files are.
    pub folder: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedQuery {
    pub name: String,
    pub query: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct QueryToSave {
    pub query: String,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<SavedQueries>, Problem> {
    let folder = folder(&app)?;
    let mut queries = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(JsonBody(SavedQueries {
                queries,
                folder: folder.display().to_string(),
            }));
        }
        Err(error) => return Err(failed("read", folder, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|it| failed("read", folder, &it))?.path();
        if path.extension().is_none_or(|it| it != ENDING) {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|it| it.to_str()) else {
            continue;
        };
        let query = std::fs::read_to_string(&path).map_err(|it| failed("read", &path, &it))?;
        queries.push(SavedQuery {
            name: name.to_owned(),
            query,
        });
        if QUERIES_MAX <= queries.len() {
            break;
        }
    }
    queries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(JsonBody(SavedQueries {
        queries,
        folder: folder.display().to_string(),
    }))
}

pub async fn save(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<QueryToSave>,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    let path = path_of(folder, &name)?;
    if body.query.trim().is_empty() {
        return Err(Problem::bad_request(
            "bad_body",
            "there is no query to save",
        ));
    }
    std::fs::create_dir_all(folder).map_err(|it| failed("create", folder, &it))?;
    let beside = path.with_extension(format!("{ENDING}.new"));
    std::fs::write(&beside, body.query).map_err(|it| failed("write", &beside, &it))?;
    std::fs::rename(&beside, &path).map_err(|it| failed("write", &path, &it))?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let path = path_of(folder(&app)?, &name)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Problem::not_found(
            "unknown_saved_query",
            format!("there is no saved query `{name}`"),
        )),
        Err(error) => Err(failed("remove", &path, &error)),
    }
}

fn folder(app: &App) -> Result<&PathBuf, Problem> {
    app.saved_queries.as_ref().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_folder",
            "this server has no folder for saved queries",
        )
        .hint("start it with --saved-queries DIR")
    })
}

fn path_of(folder: &FilePath, name: &str) -> Result<PathBuf, Problem> {
    let harmless = |it: char| it.is_alphanumeric() || " -_".contains(it);
    let good = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARACTERS_MAX
        && name.trim() == name
        && name.chars().all(harmless);
    match good {
        true => Ok(folder.join(format!("{name}.{ENDING}"))),
        false => Err(Problem::bad_request(
            "bad_name",
            format!("`{name}` cannot be the name of a saved query"),
        )
        .hint(format!(
            "take letters, digits, spaces, - and _, at most {NAME_CHARACTERS_MAX}"
        ))),
    }
}

fn failed(what: &str, path: &FilePath, error: &std::io::Error) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "saved_queries_failed",
        format!("could not {what} {}: {error}", path.display()),
    )
    .hint("look at the folder's owner and permissions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_the_folder() {
        let folder = FilePath::new("/saved");
        assert!(path_of(folder, "slow endpoints-2").is_ok());
        for name in [
            "",
            " ",
            "../x",
            "a/b",
            "a.b",
            "a\0b",
            " padded ",
            &"x".repeat(81),
        ] {
            assert!(path_of(folder, name).is_err(), "{name:?}");
        }
    }
}
