//! Named files of one kind in a folder, as people may edit, copy and keep them under version control.
//!
//! A name becomes a file name, so only harmless characters are taken. A file is replaced as a whole: it is written beside
//! and then renamed. Number and size are bounded, and one request writes at a time.

use super::problem::Problem;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const NAME_CHARACTERS_MAX: usize = 80;
/// File systems take 255 bytes, the endings included.
const NAME_BYTES_MAX: usize = 240;

/// What the files of a folder are, and the codes of what can be wrong with one.
#[derive(Debug)]
pub struct Kind {
    /// As it is called in a sentence.
    pub word: &'static str,
    /// Of its files, without a dot.
    pub ending: &'static str,
    pub files_max: usize,
    pub bytes_max: usize,
    pub unknown: &'static str,
    pub too_many: &'static str,
    pub too_long: &'static str,
    pub failed: &'static str,
}

/// A file that is none of this kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SkippedFile {
    pub file: String,
    pub reason: String,
}

/// A folder with files of one kind; there need be none yet.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    kind: &'static Kind,
    /// Held by a request that writes, so that two requests cannot both take the last place.
    writing: Arc<Mutex<()>>,
}

/// Names and texts, by name.
pub struct Listed {
    pub files: Vec<(String, String)>,
    pub skipped: Vec<SkippedFile>,
    pub folder: String,
}

impl Folder {
    pub fn new(path: PathBuf, kind: &'static Kind) -> Self {
        Folder {
            path,
            kind,
            writing: Arc::default(),
        }
    }

    /// All files that can be read, and why the others cannot.
    ///
    /// # Errors
    /// If there is a folder that cannot be read.
    pub fn list(&self) -> Result<Listed, Problem> {
        let mut listed = Listed {
            files: Vec::new(),
            skipped: Vec::new(),
            folder: self.path.display().to_string(),
        };
        for path in self.files()? {
            let name = path.file_stem().and_then(|it| it.to_str());
            let text = name.ok_or_else(|| "its name is not UTF-8".to_owned());
            match text.and_then(|name| Ok((name, self.read(&path)?))) {
                Ok((name, text)) if listed.files.len() < self.kind.files_max => {
                    listed.files.push((name.to_owned(), text));
                }
                Ok(_) => {
                    let reason = format!("there are more than {}", self.kind.files_max);
                    listed.skipped.push(skipped(&path, reason));
                }
                Err(reason) => listed.skipped.push(skipped(&path, reason)),
            }
        }
        Ok(listed)
    }

    /// All files with the right ending, by name; none if there is no folder yet.
    fn files(&self) -> Result<Vec<PathBuf>, Problem> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("read", &self.path, &error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|it| self.failed("read", &self.path, &it))?
                .path();
            if path.extension().is_some_and(|it| it == self.kind.ending) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Makes or replaces a file.
    ///
    /// # Errors
    /// If the name or the size is refused, there are too many, or it cannot be written.
    pub fn save(&self, name: &str, text: &str) -> Result<(), Problem> {
        let path = self.path_of(name)?;
        let Kind {
            word,
            ending,
            files_max,
            bytes_max,
            ..
        } = self.kind;
        if *bytes_max < text.len() {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                self.kind.too_long,
                format!("the {word} has {} bytes", text.len()),
            )
            .hint(format!("it may have at most {bytes_max}")));
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.exists() && *files_max <= self.files()?.len() {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                self.kind.too_many,
                format!("there is no room for another {word}: there are {files_max} already"),
            )
            .hint("remove one that is no longer needed"));
        }
        std::fs::create_dir_all(&self.path).map_err(|it| self.failed("create", &self.path, &it))?;
        let beside = path.with_extension(format!("{ending}.new"));
        std::fs::write(&beside, text).map_err(|it| self.failed("write", &beside, &it))?;
        std::fs::rename(&beside, &path).map_err(|it| self.failed("write", &path, &it))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Problem> {
        let path = self.path_of(name)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Problem::not_found(
                self.kind.unknown,
                format!("there is no {} `{name}`", self.kind.word),
            )),
            Err(error) => Err(self.failed("remove", &path, &error)),
        }
    }

    /// A file that people may have put there: of bounded size, and text.
    fn read(&self, path: &Path) -> Result<String, String> {
        if !path.is_file() {
            return Err("it is no file".to_owned());
        }
        let bytes_max = self.kind.bytes_max;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|it| it.to_string())?;
        file.take(bytes_max as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|it| it.to_string())?;
        if bytes_max < bytes.len() {
            return Err(format!("it is longer than {bytes_max} bytes"));
        }
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }

    fn path_of(&self, name: &str) -> Result<PathBuf, Problem> {
        let harmless = |it: char| it.is_alphanumeric() || " -_".contains(it);
        let good = !name.trim().is_empty()
            && name.chars().count() <= NAME_CHARACTERS_MAX
            && name.len() <= NAME_BYTES_MAX
            && name.trim() == name
            && name.chars().all(harmless);
        match good {
            true => Ok(self.path.join(format!("{name}.{}", self.kind.ending))),
            false => Err(Problem::bad_request(
                "bad_name",
                format!("`{name}` cannot be the name of a {}", self.kind.word),
            )
            .hint(format!(
                "take letters, digits, spaces, - and _, at most {NAME_CHARACTERS_MAX}"
            ))),
        }
    }

    fn failed(&self, what: &str, path: &Path, error: &std::io::Error) -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            self.kind.failed,
            format!("could not {what} {}: {error}", path.display()),
        )
        .hint("look at the folder's owner and permissions")
    }
}

fn skipped(path: &Path, reason: String) -> SkippedFile {
    SkippedFile {
        file: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: Kind = Kind {
        word: "note",
        ending: "txt",
        files_max: 5,
        bytes_max: 100,
        unknown: "unknown_note",
        too_many: "too_many_notes",
        too_long: "note_too_long",
        failed: "notes_failed",
    };

    #[test]
    fn a_name_never_leaves_the_folder() {
        let folder = Folder::new(PathBuf::from("/saved"), &NOTES);
        assert!(folder.path_of("slow endpoints-2").is_ok());
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
            assert!(folder.path_of(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn number_and_size_are_bounded_and_what_is_there_can_be_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path().join("made at the first"), &NOTES);
        let code = |it: Result<(), Problem>| it.err().map_or("", |it| it.code);
        for number in 0..NOTES.files_max {
            assert_eq!(code(folder.save(&format!("n{number}"), "one")), "");
        }
        assert_eq!(code(folder.save("one more", "one")), "too_many_notes");
        assert_eq!(code(folder.save("n3", "three")), "");
        assert_eq!(code(folder.remove("n4")), "");
        assert_eq!(code(folder.remove("n4")), "unknown_note");
        let long = "x".repeat(NOTES.bytes_max);
        assert_eq!(code(folder.save("one more", &long)), "");
        assert_eq!(
            code(folder.save("n3", &format!("{long}x"))),
            "note_too_long"
        );
        let all = folder.list().expect("it can be read").files;
        assert_eq!(all.len(), NOTES.files_max);
        assert!(all.contains(&("n3".to_owned(), "three".to_owned())));
    }

    #[test]
    fn a_file_of_another_kind_hides_none_of_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path().to_owned(), &NOTES);
        folder.save("good", "one").expect("it is taken");
        std::fs::write(dir.path().join("binary.txt"), [0xff, 0xfe]).expect("a file");
        std::fs::create_dir(dir.path().join("folder.txt")).expect("a folder");
        let listed = folder.list().expect("it can be read");
        let names: Vec<&str> = listed.files.iter().map(|it| it.0.as_str()).collect();
        let skipped: Vec<&str> = listed.skipped.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(
            (names, skipped),
            (vec!["good"], vec!["binary.txt", "folder.txt"])
        );
    }
}
