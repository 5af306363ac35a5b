//! `init`: the shipped dataflows, out of the binary into a folder.
//!
//! They come with the program: a wheel, an archive or `cargo install` leaves no folder `dataflows` behind. They are written, never run
//! from inside, since a dataflow is there to be changed. A file that is there already is never written over.

use super::print::Out;
use super::table::aligned;
use anyhow::{Context, Result, ensure};
use clap::Args;
use rust_embed::RustEmbed;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file that makes a folder a dataflow.
const DEFINITION: &str = "dataflow.sql";

#[derive(RustEmbed)]
#[folder = "dataflows"]
struct Shipped;

#[derive(Args)]
pub struct Arguments {
    /// A shipped dataflow; without one they are listed.
    name: Option<String>,
    /// Folder to write, which need not be there. [default: one of the dataflow's name]
    #[arg(requires = "name")]
    folder: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut out = Out::new();
    let Some(name) = &arguments.name else {
        for line in aligned(names().into_iter().map(|it| {
            let about = about(&it);
            [it, about]
        })) {
            writeln!(out, "{line}")?;
        }
        return Ok(());
    };
    let known = names();
    if !known.contains(name) {
        let known: Vec<String> = known.into_iter().collect();
        return Err(super::exit::coded(
            super::exit::USAGE,
            format!(
                "there is no shipped dataflow `{name}`: there are {}",
                known.join(", ")
            ),
        ));
    }
    let folder = arguments
        .folder
        .clone()
        .unwrap_or_else(|| PathBuf::from(name));
    for file in write(name, &folder)? {
        writeln!(out, "{}", file.display())?;
    }
    writeln!(
        out,
        "\ntidelake check {0}\ntidelake run {0}",
        quoted(&folder)
    )?;
    Ok(())
}

/// Writes the files of a dataflow, all of them or, if one is there already, none; and says where they are.
fn write(name: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let files: Vec<(PathBuf, Vec<u8>)> = Shipped::iter()
        .filter_map(|it| {
            let inside = it.strip_prefix(name)?.strip_prefix('/')?;
            Some((folder.join(inside), Shipped::get(&it)?.data.into_owned()))
        })
        .collect();
    if let Some((there, _)) = files.iter().find(|it| it.0.exists()) {
        return Err(super::exit::coded(
            super::exit::USAGE,
            format!(
                "{} is there already and is not written over: name another folder behind `{name}`",
                there.display()
            ),
        ));
    }
    for (path, content) in &files {
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .with_context(|| format!("could not make the folder {}", parent.display()))?;
        std::fs::write(path, content)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    ensure!(!files.is_empty(), "the dataflow {name} has no files");
    Ok(files.into_iter().map(|it| it.0).collect())
}

/// The command that makes a folder which is not there, if a shipped dataflow has its name.
pub fn instead_of(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?;
    if folder.exists() || !names().contains(name) {
        return None;
    }
    let is_plain = folder == Path::new(name);
    let behind = match is_plain {
        true => String::new(),
        false => format!(" {}", quoted(folder)),
    };
    Some(format!("tidelake init {name}{behind}"))
}

fn names() -> BTreeSet<String> {
    Shipped::iter()
        .filter_map(|it| Some(it.strip_suffix(DEFINITION)?.strip_suffix('/')?.to_owned()))
        .collect()
}

/// What the first line of a definition says of it.
fn about(name: &str) -> String {
    let text = Shipped::get(&format!("{name}/{DEFINITION}")).map(|it| it.data.into_owned());
    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let sentence = first.trim_start_matches("--").trim();
    match sentence.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => sentence.trim_end_matches([':', '.']).to_owned(),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-+:@,".contains(it);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_with_a_definition_is_shipped_as_it_is() {
        let dataflows = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows");
        let folders = std::fs::read_dir(&dataflows).unwrap();
        let folders: BTreeSet<String> = folders
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names(), folders);
        for name in folders {
            let to = tempfile::tempdir().unwrap();
            let written = write(&name, to.path()).unwrap();
            let source = dataflows.join(&name);
            assert_eq!(written.len(), std::fs::read_dir(&source).unwrap().count());
            for path in written {
                let of_source = source.join(path.strip_prefix(to.path()).unwrap());
                assert_eq!(
                    std::fs::read(&path).unwrap(),
                    std::fs::read(&of_source).unwrap(),
                    "{}",
                    of_source.display()
                );
            }
            assert!(10 < about(&name).len(), "{name}: {:?}", about(&name));
        }
    }

    #[test]
    fn nothing_is_written_over_and_nothing_written_by_halves() {
        let to = tempfile::tempdir().unwrap();
        std::fs::write(to.path().join("README.md"), "mine").unwrap();
        let error = write("web_logs", to.path()).unwrap_err().to_string();
        assert!(error.contains("README.md is there already"), "{error}");
        assert!(!to.path().join(DEFINITION).exists());
        assert_eq!(
            std::fs::read_to_string(to.path().join("README.md")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_made_by_name() {
        let here = tempfile::tempdir().unwrap();
        let missing = here.path().join("web_logs");
        let command = instead_of(&missing).unwrap();
        assert_eq!(
            command,
            format!("tidelake init web_logs {}", missing.display())
        );
        assert_eq!(
            instead_of(Path::new("nexmark")).unwrap(),
            "tidelake init nexmark"
        );
        std::fs::create_dir(&missing).unwrap();
        assert_eq!(instead_of(&missing), None, "it is there, whatever is in it");
        assert_eq!(instead_of(&here.path().join("shop")), None);
        assert_eq!(quoted(Path::new("it's here")), r"'it'\''s here'");
    }
}
