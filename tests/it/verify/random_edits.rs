//! Random edits of random parts of a lake: the proof finds every one, or it is harmless by definition.
//!
//! Harmless is what no reader and no start would notice: a file that neither the newest version of its table nor the newest manifest names, the last sign
//! of life, when and by whom a table was made, a newest manifest that changed no table (without it the lake is as it was one commit before).
//! A log checkpoint is a copy of log entries, and the proof reads through it like any reader.

use super::damage::files;
use crate::lakes::{NAME, Place, dataflow, original, runtime, sorted};
use crate::oracle::Random;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tidelake::verify::{Options, verify};

const EDITS: u64 = 60;

#[test]
fn every_edit_is_found_or_harmless() {
    let mut found = 0;
    for seed in 1..=EDITS {
        let place = original().copy();
        let mut random = Random(seed);
        let (path, edit) = loop {
            let all = all_files(&place.lake());
            let path = all[random.below(all.len() as u64) as usize].clone();
            if let Some(edit) = change(&place, &path, &mut random) {
                break (path, edit);
            }
        };
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
        };
        let proof = runtime().block_on(async { verify(&dataflow().await, &options).await });
        if proof.as_ref().map_or(true, |it| !it.is_proven()) {
            found += 1;
            continue;
        }
        let inside = path.strip_prefix(place.lake()).unwrap();
        assert!(
            is_harmless(&place, inside, edit),
            "seed {seed}: {edit:?} of {} is not found\n{}",
            inside.display(),
            proof.unwrap()
        );
    }
    assert!(EDITS / 3 < found, "most edits should matter: {found}");
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in sorted(folder) {
        match path.is_dir() {
            true => all.extend(all_files(&path)),
            false => all.push(path),
        }
    }
    all
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    /// One bit of the file is another.
    Bit,
    CutShort,
    Gone,
    /// It has the bytes of another file of its folder.
    Exchanged,
    /// A JSON value somewhere in it is another.
    Value,
    /// A line is there twice, or not at all.
    Line,
}

/// Changes a file in some way that suits it; nothing if the one chosen would not change it.
fn change(place: &Place, path: &Path, random: &mut Random) -> Option<Edit> {
    let before = std::fs::read(path).unwrap();
    let kinds = [
        Edit::Bit,
        Edit::CutShort,
        Edit::Gone,
        Edit::Exchanged,
        Edit::Value,
        Edit::Line,
    ];
    let edit = kinds[random.below(6) as usize];
    let mut after = before.clone();
    match edit {
        Edit::Bit => {
            let at = random.below(after.len().max(1) as u64) as usize;
            *after.get_mut(at)? ^= 1 << random.below(8);
        }
        Edit::CutShort => after.truncate(random.below(before.len().max(1) as u64) as usize),
        Edit::Gone => {
            std::fs::remove_file(path).unwrap();
            return Some(edit);
        }
        Edit::Exchanged => {
            let others = sorted(path.parent()?);
            let other = &others[random.below(others.len() as u64) as usize];
            after = std::fs::read(other).ok()?;
        }
        Edit::Value | Edit::Line if path.extension().is_none_or(|it| it != "json") => return None,
        Edit::Value => {
            let text = String::from_utf8(before.clone()).ok()?;
            let mut lines: Vec<Value> = text
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()
                .ok()?;
            let at = random.below(lines.len() as u64) as usize;
            another_value(&mut lines[at], random);
            let texts: Vec<String> = lines.iter().map(|it| it.to_string() + "\n").collect();
            after = texts.concat().into_bytes();
        }
        Edit::Line => {
            let text = String::from_utf8(before.clone()).ok()?;
            let mut lines: Vec<&str> = text.lines().collect();
            let at = random.below(lines.len() as u64) as usize;
            match random.below(2) {
                0 => lines.insert(at, lines[at]),
                _ => drop(lines.remove(at)),
            }
            after = (lines.join("\n") + "\n").into_bytes();
        }
    }
    // A manifest that says the same in other bytes is another one; a log entry is not.
    let is_beside = path.starts_with(place.lake().join("_tidelake"));
    let same = |a: &[u8], b: &[u8]| {
        a == b || !is_beside && values(a).is_some_and(|it| values(b) == Some(it))
    };
    if same(&before, &after) {
        return None;
    }
    std::fs::write(path, after).unwrap();
    Some(edit)
}

fn values(bytes: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines()
        .map(|it| serde_json::from_str(it).ok())
        .collect()
}

/// Makes one value somewhere within another.
fn another_value(value: &mut Value, random: &mut Random) {
    let below = |random: &mut Random, it: usize| random.below(it as u64) as usize;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let at = below(random, fields.len());
            another_value(fields.values_mut().nth(at).unwrap(), random);
        }
        Value::Array(items) if !items.is_empty() => {
            let at = below(random, items.len());
            another_value(&mut items[at], random);
        }
        Value::Bool(it) => *it = !*it,
        Value::Number(it) => *value = (it.as_f64().unwrap() as i64 + 1).into(),
        Value::String(it) => it.push('0'),
        Value::Null | Value::Object(_) | Value::Array(_) => *value = Value::from(1),
    }
}

/// Whether nobody would notice. The edit was made already.
fn is_harmless(place: &Place, path: &Path, edit: Edit) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let table = path.iter().next().unwrap().to_str().unwrap();
    let original = original();
    let newest = original.manifest();
    if path.starts_with("_tidelake") {
        let manifests = path.parent().is_some_and(|it| it.ends_with("manifests"));
        if manifests {
            let was_newest = original
                .manifests()
                .last()
                .is_some_and(|it| it.ends_with(path));
            let changed = newest.tables.values().any(|it| it.commit == newest.number);
            return matches!(edit, Edit::Gone) && was_newest && !changed;
        }
        let mut state = newest.state_full.iter().chain(&newest.state_differences);
        return name == "alive.json" || state.all(|it| !path.ends_with(&it.path));
    }
    if path.parent().is_some_and(|it| it.ends_with("_delta_log")) {
        let is_copy = !name.ends_with(".json");
        let is_creation = name.starts_with("00000000000000000000.") && {
            let told = |place: &Place| {
                let actions = values(&std::fs::read(place.lake().join(path)).ok()?)?;
                let metadata = actions.iter().find_map(|it| it.get("metaData"))?;
                let protocol = actions.iter().find_map(|it| it.get("protocol"))?;
                let parts = [
                    "schemaString",
                    "partitionColumns",
                    "configuration",
                    "format",
                ];
                Some((protocol.clone(), parts.map(|it| metadata[it].clone())))
            };
            told(original) == told(place)
        };
        // The newest manifest still says what the entry was: the next start writes it again, and until then the commit before it is proved.
        let version: Option<u64> = name.strip_suffix(".json").and_then(|it| it.parse().ok());
        let is_written_again = matches!(edit, Edit::Gone)
            && newest
                .tables
                .get(table)
                .is_some_and(|it| it.commit == newest.number && Some(it.version) == version);
        return is_copy || is_creation || is_written_again;
    }
    let inside = path
        .strip_prefix(table)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(NAME, newest.dataflow);
    !files(original, table).contains_key(&inside)
}
