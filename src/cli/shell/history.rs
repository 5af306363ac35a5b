//! What was typed before, in a file of reedline that only its owner reads. A file of the former format is taken over.

use super::editor::drawable;
use anyhow::Result;
use reedline::{FileBackedHistory, History, HistoryItem};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Entries that are kept.
const ENTRIES_MAX: usize = 2_000;
const FILE: &str = "sql-history";
/// One entry a line, with `\n` for line ends and `\\` for backslashes.
const OLD_FILE: &str = "history";

/// What was typed before, of a folder; it is made if it is not there.
///
/// # Errors
/// If the file can be neither read nor made.
pub fn of_folder(folder: &Path) -> Result<FileBackedHistory> {
    fs::create_dir_all(folder)?;
    let (file, old) = (folder.join(FILE), folder.join(OLD_FILE));
    if !file.exists() && old.exists() {
        take_over(&old, &file)?;
    }
    private(&file)?;
    Ok(FileBackedHistory::with_file(ENTRIES_MAX, file)?)
}

/// Writes the entries of an old file to a new one, and removes it. If that is disturbed one of them is whole, and the next start tries again.
fn take_over(old: &Path, new: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(old)?).into_owned();
    let beside = new.with_extension("new");
    private(&beside)?.set_len(0)?;
    let mut history = FileBackedHistory::with_file(ENTRIES_MAX, beside.clone())?;
    for line in text.lines() {
        history.save(HistoryItem::from_command_line(drawable(&unescaped(line))))?;
    }
    history.sync()?;
    drop(history);
    fs::rename(&beside, new)?;
    Ok(fs::remove_file(old)?)
}

/// Opens a file, or makes one that only its owner reads.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path)
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(it) = characters.next() {
        match it {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            it => text.push(it),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use reedline::{SearchDirection, SearchQuery};

    fn entries(history: &FileBackedHistory) -> Vec<String> {
        let query = SearchQuery::everything(SearchDirection::Forward, None);
        let found = history.search(query).expect("what was typed");
        found.into_iter().map(|it| it.command_line).collect()
    }

    fn typed(history: &mut FileBackedHistory, text: &str) {
        let entry = HistoryItem::from_command_line(text);
        history.save(entry).expect("it is kept");
    }

    #[test]
    fn what_was_typed_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep");
        let mut history = of_folder(&folder).unwrap();
        for entry in ["SELECT 1;", "SELECT 1;", "SELECT\n '\\n';", "\\d x"] {
            typed(&mut history, entry);
        }
        history.sync().unwrap();
        let kept = ["SELECT 1;", "SELECT\n '\\n';", "\\d x"];
        assert_eq!(entries(&of_folder(&folder).unwrap()), kept);
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_old_file_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join(OLD_FILE);
        let text = "SELECT 1;\nSELECT 'a\\nb',\\n'\\\\n' -- \u{1b}[2J;\n\\\\d x\n";
        fs::write(&old, text).unwrap();
        let mut history = of_folder(folder.path()).unwrap();
        let expect = [
            "SELECT 1;",
            "SELECT 'a\nb',\n'\\n' -- \u{fffd}[2J;",
            "\\d x",
        ];
        assert_eq!(entries(&history), expect);
        assert!(!old.exists());
        typed(&mut history, "newer;");
        history.sync().unwrap();
        // What appears in its place is somebody else's.
        fs::write(&old, "older;\n").unwrap();
        let again = entries(&of_folder(folder.path()).unwrap());
        assert_eq!(again.len(), 4, "{again:?}");
        assert_eq!(again[3], "newer;");
        use std::os::unix::fs::PermissionsExt;
        let file = folder.path().join(FILE).metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..ENTRIES_MAX + 100)
            .map(|it| format!("{it};\n"))
            .collect();
        fs::write(folder.path().join(FILE), lines).unwrap();
        let all = entries(&of_folder(folder.path()).unwrap());
        assert_eq!(all.len(), ENTRIES_MAX);
        assert_eq!(all[ENTRIES_MAX - 1], format!("{};", ENTRIES_MAX + 99));
    }
}
