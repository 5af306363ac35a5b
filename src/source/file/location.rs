//! Which files a source is made of.

use crate::source::Error;
use glob::Pattern;
use std::fmt;
use std::path::{Path, PathBuf};

/// The files of a folder: all of them, or those whose names match a pattern.
///
/// A pattern has to match the names that a rotated log is given, too, or what was not yet read of it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    folder: PathBuf,
    names: Option<Pattern>,
    /// Whether its files are Parquet, or text.
    is_of_parquet: bool,
}

impl Location {
    /// All files of a folder.
    pub fn all_of(folder: PathBuf) -> Self {
        Location {
            folder,
            names: None,
            is_of_parquet: false,
        }
    }

    /// The same files, which are Parquet, or text.
    pub fn of_parquet(self, is_of_parquet: bool) -> Self {
        Location {
            is_of_parquet,
            ..self
        }
    }

    pub(super) fn is_of_parquet(&self) -> bool {
        self.is_of_parquet
    }

    /// From `FOLDER`, `FILE`, if there is one, or `FOLDER/PATTERN`, in which `*`, `?` and `[…]` stand for what they do in a shell.
    ///
    /// # Errors
    /// If the pattern is wrong, or there are wildcards before the last `/`.
    pub fn parse(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err("is empty; it names a folder".to_owned());
        }
        let is_pattern = |it: &str| it.contains(['*', '?', '[']);
        let is_file = Path::new(path).is_file();
        if !is_file && (!is_pattern(path) || Path::new(path).is_dir()) {
            return Ok(Location::all_of(path.into()));
        }
        let (folder, names) = path.rsplit_once('/').unwrap_or((".", path));
        if is_pattern(folder) && !is_file {
            return Err(format!(
                "{path:?}: only names of files can have wildcards, folders cannot"
            ));
        }
        let names = match is_file {
            true => Pattern::new(&Pattern::escape(names)),
            false => Pattern::new(names),
        };
        let names = names.map_err(|it| format!("{path:?}: {}", it.msg))?;
        let folder = if folder.is_empty() { "/" } else { folder };
        Ok(Location {
            folder: folder.into(),
            names: Some(names),
            is_of_parquet: false,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Checks that the files can be listed; there need not be any.
    ///
    /// # Errors
    /// If the folder is not there or cannot be read.
    pub fn check(&self) -> Result<(), Error> {
        let Err(source) = std::fs::read_dir(&self.folder) else {
            return Ok(());
        };
        let path = self.folder.display().to_string();
        match (source.kind(), std::path::absolute(&self.folder)) {
            (std::io::ErrorKind::NotFound, Ok(absolute)) => Err(Error::NoFolder { path, absolute }),
            _ => Err(Error::Folder { path, source }),
        }
    }

    /// How many files there are now.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn count(&self) -> std::io::Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|it| it.is_file());
            count += usize::from(is_file && self.has(&entry.file_name().to_string_lossy()));
        }
        Ok(count)
    }

    /// Whether a file of the folder is one of these.
    pub(super) fn has(&self, name: &str) -> bool {
        let hidden = name.starts_with(['.', '_']);
        !hidden && self.names.as_ref().is_none_or(|it| it.matches(name))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            Some(names) => write!(f, "{}", self.folder.join(names.as_str()).display()),
            None => write!(f, "{}", self.folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_says_which_names_of_its_folder_count() {
        let of = |path: &str| Location::parse(path).unwrap();
        let rotated = of("logs/app.log*");
        assert_eq!(rotated.folder(), Path::new("logs"));
        for (name, counts) in [
            ("app.log", true),
            ("app.log.1.gz", true),
            ("other.log", false),
            (".app.log", false),
        ] {
            assert_eq!(rotated.has(name), counts, "{name}");
        }
        assert_eq!(of("*.log").folder(), Path::new("."));
        assert_eq!(of("/*.log").folder(), Path::new("/"));
        let all = of("logs/");
        assert!(all.has("anything") && !all.has("_other") && !all.has(".hidden"));
    }

    #[test]
    fn a_file_is_one_of_its_folder_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let of = |name: &str| place.path().join(name);
        for name in ["a.log", "a.log.1", "b[1].log"] {
            std::fs::write(of(name), "").unwrap();
        }
        for (name, other) in [("a.log", "a.log.1"), ("b[1].log", "b1.log")] {
            let location = Location::parse(of(name).to_str().unwrap()).unwrap();
            assert_eq!(location.folder(), place.path());
            assert!(location.has(name) && !location.has(other), "{name}");
            assert_eq!(location.count().unwrap(), 1);
        }
    }

    #[test]
    fn a_folder_may_have_the_signs_of_a_pattern_in_its_name() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("[2026]");
        std::fs::create_dir(&folder).unwrap();
        let location = Location::parse(folder.to_str().unwrap()).unwrap();
        assert_eq!(location, Location::all_of(folder));
    }
}
