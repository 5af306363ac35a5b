//! Saved queries: one `.sql` file each in a folder, so that they can be edited, copied and kept under version control.
//!
//! A name becomes a file name, so only harmless characters are taken. A file is replaced as a whole: it is written beside
//! and then renamed. Number and size are bounded, and one request writes at a time.

use super::App;
use super::problem::Problem;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const NAME_CHARACTERS_MAX: usize = 80;
/// File systems take 255 bytes, the endings included.
const NAME_BYTES_MAX: usize = 240;
const QUERIES_MAX: usize = 500;
const QUERY_BYTES_MAX: usize = 64 << 10;
const ENDING: &str = "sql";

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

#[derive(Debug, Serialize, JsonSchema)]
pub struct SkippedFile {
    pub file: String,
    pub reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryToSave {
    pub query: String,
}

/// The folder of saved queries.
#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    /// Held by whoever writes, so that two requests cannot both take the last place.
    writing: Arc<Mutex<()>>,
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<SavedQueries>, Problem> {
    let folder = folder(&app)?;
    app.workers
        .apart(move || folder.list())
        .await?
        .map(JsonBody)
}

pub async fn save(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    let body: QueryToSave = serde_json::from_slice(&body).map_err(|it| {
        Problem::bad_request(
            "bad_body",
            format!("the request body could not be read: {it}"),
        )
        .hint("send {\"query\": \"SELECT …\"}")
    })?;
    app.workers
        .apart(move || folder.save(&name, &body.query))
        .await?
        .map(|()| StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let folder = folder(&app)?;
    app.workers
        .apart(move || folder.remove(&name))
        .await?
        .map(|()| StatusCode::NO_CONTENT)
}

fn folder(app: &App) -> Result<Folder, Problem> {
    app.saved_queries.clone().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_folder",
            "this server has no folder for saved queries",
        )
        .hint("start it with --saved-queries DIR")
    })
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Folder {
            path,
            writing: Arc::default(),
        }
    }

    fn list(&self) -> Result<SavedQueries, Problem> {
        let mut found = SavedQueries {
            queries: Vec::new(),
            skipped: Vec::new(),
            folder: self.path.display().to_string(),
        };
        for path in self.files()? {
            let name = path.file_stem().and_then(|it| it.to_str());
            let query = name.ok_or_else(|| "its name is not UTF-8".to_owned());
            match query.and_then(|name| Ok((name, read(&path)?))) {
                Ok((name, query)) if found.queries.len() < QUERIES_MAX => {
                    found.queries.push(SavedQuery {
                        name: name.to_owned(),
                        query,
                    });
                }
                Ok(_) => found.skip(&path, format!("there are more than {QUERIES_MAX}")),
                Err(reason) => found.skip(&path, reason),
            }
        }
        Ok(found)
    }

    /// All files with the right ending, by name; none if there is no folder yet.
    fn files(&self) -> Result<Vec<PathBuf>, Problem> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.path, &error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|it| failed("read", &self.path, &it))?.path();
            if path.extension().is_some_and(|it| it == ENDING) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn save(&self, name: &str, query: &str) -> Result<(), Problem> {
        let path = path_of(&self.path, name)?;
        if query.trim().is_empty() {
            return Err(Problem::bad_request(
                "bad_body",
                "there is no query to save",
            ));
        }
        if QUERY_BYTES_MAX < query.len() {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "query_too_long",
                format!("the query has {} bytes", query.len()),
            )
            .hint(format!("a saved query has at most {QUERY_BYTES_MAX}")));
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.exists() && QUERIES_MAX <= self.files()?.len() {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "too_many_saved_queries",
                format!("there are {QUERIES_MAX} saved queries already"),
            )
            .hint("remove one that is no longer needed"));
        }
        std::fs::create_dir_all(&self.path).map_err(|it| failed("create", &self.path, &it))?;
        let beside = path.with_extension(format!("{ENDING}.new"));
        std::fs::write(&beside, query).map_err(|it| failed("write", &beside, &it))?;
        std::fs::rename(&beside, &path).map_err(|it| failed("write", &path, &it))
    }

    fn remove(&self, name: &str) -> Result<(), Problem> {
        let path = path_of(&self.path, name)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Problem::not_found(
                "unknown_saved_query",
                format!("there is no saved query `{name}`"),
            )),
            Err(error) => Err(failed("remove", &path, &error)),
        }
    }
}

impl SavedQueries {
    fn skip(&mut self, path: &FilePath, reason: String) {
        self.skipped.push(SkippedFile {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            reason,
        });
    }
}

/// A file that people may have put there: of bounded size, and text.
fn read(path: &FilePath) -> Result<String, String> {
    if !path.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|it| it.to_string())?;
    file.take(QUERY_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|it| it.to_string())?;
    if QUERY_BYTES_MAX < bytes.len() {
        return Err(format!("it is longer than {QUERY_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn path_of(folder: &FilePath, name: &str) -> Result<PathBuf, Problem> {
    let harmless = |it: char| it.is_alphanumeric() || " -_".contains(it);
    let good = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARACTERS_MAX
        && name.len() <= NAME_BYTES_MAX
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
            &"\u{20000}".repeat(80),
        ] {
            assert!(path_of(folder, name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn number_and_size_are_bounded_and_what_is_there_can_be_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path().join("made at the first query"));
        let code = |it: Result<(), Problem>| it.err().map_or("", |it| it.code);
        for number in 0..QUERIES_MAX {
            assert_eq!(code(folder.save(&format!("q{number}"), "SELECT 1")), "");
        }
        assert_eq!(
            code(folder.save("one more", "SELECT 1")),
            "too_many_saved_queries"
        );
        assert_eq!(code(folder.save("q7", "SELECT 7")), "");
        assert_eq!(code(folder.remove("q8")), "");
        let long = "x".repeat(QUERY_BYTES_MAX);
        assert_eq!(code(folder.save("one more", &long)), "");
        assert_eq!(
            code(folder.save("q7", &format!("{long}x"))),
            "query_too_long"
        );
        let all = folder.list().expect("it can be read").queries;
        assert_eq!(all.len(), QUERIES_MAX);
        assert!(
            all.iter()
                .any(|it| it.name == "q7" && it.query == "SELECT 7")
        );
    }

    #[test]
    fn a_file_that_is_no_query_hides_none_of_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path().to_owned());
        folder.save("good", "SELECT 1").expect("it is taken");
        std::fs::write(dir.path().join("binary.sql"), [0xff, 0xfe]).expect("a file");
        std::fs::create_dir(dir.path().join("folder.sql")).expect("a folder");
        let found = folder.list().expect("it can be read");
        let names: Vec<&str> = found.queries.iter().map(|it| it.name.as_str()).collect();
        let skipped: Vec<&str> = found.skipped.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(
            (names, skipped),
            (vec!["good"], vec!["binary.sql", "folder.sql"])
        );
    }
}
