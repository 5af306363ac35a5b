//! What was typed before, kept in a file: one entry a line, with `\n` for line ends and `\\` for backslashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Entries that are kept. The file is cut to them when it has twice as many.
const ENTRIES_MAX: usize = 2_000;

/// What was typed before, oldest first.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// What a file has; it is made if it is not there, for its owner alone.
    ///
    /// # Errors
    /// If it can be neither read nor made.
    pub fn of_file(path: &Path) -> io::Result<History> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        private(OpenOptions::new().append(true), path)?;
        let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
        let mut entries: Vec<String> = text.lines().map(unescaped).collect();
        if 2 * ENTRIES_MAX < entries.len() {
            entries.drain(..entries.len() - ENTRIES_MAX);
            let kept: String = entries.iter().map(|it| escaped(it)).collect();
            // Whoever is disturbed finds the old file or the new one.
            let beside = path.with_extension("new");
            private(OpenOptions::new().write(true).truncate(true), &beside)?
                .write_all(kept.as_bytes())?;
            fs::rename(&beside, path)?;
        }
        Ok(History {
            entries,
            file: Some(path.to_owned()),
        })
    }

    /// Keeps an entry, unless it is the same as the one before or begins with a blank.
    ///
    /// # Errors
    /// If the file cannot be written; the entry is kept until the end of the shell.
    pub fn add(&mut self, entry: &str) -> io::Result<()> {
        let entry = entry.trim_end();
        let is_same = self.entries.last().is_some_and(|it| it == entry);
        if entry.is_empty() || entry.starts_with(' ') || is_same {
            return Ok(());
        }
        self.entries.push(entry.to_owned());
        match &self.file {
            None => Ok(()),
            Some(path) => {
                private(OpenOptions::new().append(true), path)?.write_all(escaped(entry).as_bytes())
            }
        }
    }

    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The newest entry before a place that has a text in it.
    pub fn find(&self, text: &str, before: usize) -> Option<usize> {
        let older = &self.entries[..before.min(self.entries.len())];
        older.iter().rposition(|it| it.contains(text))
    }

    /// How the newest entry goes on that begins with a text.
    pub fn hint(&self, text: &str) -> Option<&str> {
        let mut newest = self.entries.iter().rev();
        let begun = newest.find_map(|it| it.strip_prefix(text).filter(|it| !it.is_empty()));
        begun.filter(|_| !text.is_empty())
    }
}

/// Opens a file, or makes one that only its owner reads.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    options.create(true).mode(0o600).open(path)
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n") + "\n"
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(it) = characters.next() {
        match (it, it == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (it, false) => text.push(it),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/history");
        let mut history = History::of_file(&path).unwrap();
        for entry in [
            "SELECT 1;",
            "SELECT 1;",
            " secret;",
            "SELECT\n '\\n';",
            "\\d x\n",
            "",
        ] {
            history.add(entry).unwrap();
        }
        let kept = ["SELECT 1;", "SELECT\n '\\n';", "\\d x"];
        assert_eq!(history.entries(), kept);
        let again = History::of_file(&path).unwrap();
        assert_eq!(again.entries(), kept);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let lines: String = (0..=2 * ENTRIES_MAX).map(|it| format!("{it};\n")).collect();
        fs::write(&path, lines).unwrap();
        let history = History::of_file(&path).unwrap();
        assert_eq!(history.entries().len(), ENTRIES_MAX);
        let again = History::of_file(&path).unwrap();
        assert_eq!(
            again.entries().last().unwrap(),
            &format!("{};", 2 * ENTRIES_MAX)
        );
        assert_eq!(again.entries().len(), ENTRIES_MAX);
    }

    #[test]
    fn the_newest_entry_is_found_first() {
        let mut history = History::default();
        for entry in ["SELECT a;", "SELECT b;", "\\d"] {
            history.add(entry).unwrap();
        }
        assert_eq!(history.hint("SELECT "), Some("b;"));
        assert_eq!((history.hint(""), history.hint("\\d")), (None, None));
        assert_eq!(history.find("SELECT", 3), Some(1));
        assert_eq!(history.find("SELECT", 1), Some(0));
        assert_eq!(history.find("nope", 3), None);
    }
}
