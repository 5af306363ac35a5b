//! Which commit is proved, and whether it can be gone on from.
//!
//! A commit is decided with its manifest; the tables' logs follow within moments, or at the next start if the process died in
//! between. So a commit whose log entries are not all there is no damage: the one before it, which every reader sees, is proved instead.

use super::report::{Check, Findings, Report, count};
use super::tables::{Entries, txn_of};
use super::{Error, manifests};
use crate::coordinator::{self, growth, identity};
use crate::lake::{self, Manifest, Store, TableEntry, app_id};
use crate::plan::Dataflow;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a running pipeline may take from its manifest to the last table.
const WAIT_FOR_TABLES: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The commit to prove.
pub(super) struct Chosen {
    pub manifest: Manifest,
    /// Log entries of every table.
    pub logs: BTreeMap<String, Entries>,
    /// All manifests there are, by number.
    pub manifests: BTreeMap<u64, Manifest>,
    /// Files of each table that a decided commit will show.
    pub pending: BTreeMap<String, Vec<Path>>,
    /// The version of every table that belongs to the commit. A table that was not made yet has none.
    pub versions: BTreeMap<String, u64>,
}

/// Finds the newest commit that readers see; nothing if its manifest is damaged.
pub(super) async fn choose(
    dataflow: &Dataflow,
    store: &Store,
    report: &mut Report,
) -> Result<Option<Chosen>, Error> {
    let Some(newest) = newest(dataflow, store, report).await? else {
        return Ok(None);
    };
    check_definition(dataflow, store, &newest)?;
    report.newest = newest.number;
    manifests::check_state(store, &newest, report).await?;
    let manifests = manifests::check(store, &newest, report).await?;
    let mut logs = read_logs(dataflow, store).await?;
    let began = Instant::now();
    while !behind(dataflow, &newest, &logs).is_empty() && began.elapsed() < WAIT_FOR_TABLES {
        tokio::time::sleep(LOOK_EVERY).await;
        logs = read_logs(dataflow, store).await?;
    }
    let decided = newest.number;
    let waiting = behind(dataflow, &newest, &logs);
    let mut manifest = newest;
    let pending = pending(&manifest, &waiting);
    if !waiting.is_empty() {
        check_pending(store, &manifest, &pending, report).await?;
    }
    while !behind(dataflow, &manifest, &logs).is_empty() {
        let before = match manifest.number.checked_sub(1) {
            Some(number) => store.manifest(&dataflow.name, number).await?,
            None => None,
        };
        let Some(before) = before else {
            report.add(Check::of(
                "commit",
                "",
                format!("commit {decided} and none before it that the tables have"),
                Findings::one(format!("tables without it: {}", waiting.join(", "))),
                "log entries of these tables are missing; readers see less than was committed.",
            ));
            return Ok(None);
        };
        // The newest one may be where the dataflow changed.
        check_definition(dataflow, store, &before)?;
        manifest = before;
    }
    if waiting.is_empty() {
        report.add(Check::of(
            "commit",
            dataflow.name.as_str(),
            format!(
                "number {}, in the logs of {}",
                manifest.number,
                count(logs.len() as u64, "table")
            ),
            Findings::default(),
            "",
        ));
    }
    report.commit = manifest.number;
    report.generation = manifest.generation;
    report.epoch = manifest.epoch;
    report.written_ms = manifest.written_ms;
    let versions = names(dataflow)
        .filter_map(|name| {
            let version = version_of(dataflow, name, &manifest, &logs)?;
            Some((name.to_owned(), version))
        })
        .collect();
    Ok(Some(Chosen {
        manifest,
        manifests,
        logs,
        pending,
        versions,
    }))
}

/// The newest manifest, if it can be read and no table is ahead of it or another dataflow's.
async fn newest(
    dataflow: &Dataflow,
    store: &Store,
    report: &mut Report,
) -> Result<Option<Manifest>, Error> {
    loop {
        let newest = match store.newest_manifest(&dataflow.name).await {
            Ok(newest) => newest,
            Err(error @ lake::Error::Damaged { .. }) => {
                report.add(unreadable(&dataflow.name, &error));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let reasons = match identity::check(dataflow, store, newest.as_ref()).await {
            Ok(()) => {
                return newest.map(Some).ok_or_else(|| Error::Nothing {
                    dataflow: dataflow.name.clone(),
                    lake: store.url.to_string(),
                });
            }
            Err(coordinator::Error::Unfit { reasons, .. }) => reasons,
            Err(error) => return Err(error.into()),
        };
        // A commit of a running pipeline may have come between.
        let looked_at = newest.map_or(0, |it| it.number);
        let since = store.newest_manifest(&dataflow.name).await?;
        if since.map_or(0, |it| it.number) != looked_at {
            continue;
        }
        let mut findings = Findings::default();
        for reason in reasons {
            findings.add(|| reason);
        }
        report.add(Check::of(
            "commit",
            dataflow.name.as_str(),
            format!("number {looked_at}, the newest there is"),
            findings,
            "the tables are not what this commit left; a pipeline refuses to go on with them.",
        ));
        return Ok(None);
    }
}

/// What is said of a newest manifest that cannot be read.
pub(super) fn unreadable(dataflow: &str, error: &lake::Error) -> Check {
    Check::of(
        "commit",
        dataflow,
        "the newest manifest cannot be read",
        Findings::one(error.to_string()),
        "the pipeline cannot go on from its newest commit.",
    )
}

/// A commit can only be proved with the definitions it was written with.
fn check_definition(dataflow: &Dataflow, store: &Store, manifest: &Manifest) -> Result<(), Error> {
    let changed = |changes: String| Error::Changed {
        dataflow: dataflow.name.clone(),
        lake: store.url.to_string(),
        number: manifest.number,
        changes,
    };
    match growth::since(manifest, dataflow) {
        Ok(growth) if growth.is_nothing(manifest) => Ok(()),
        Ok(growth) => Err(changed(growth.sentences().join("; "))),
        Err(coordinator::Error::Refused { reasons, .. }) => Err(changed(reasons.join("; "))),
        Err(error) => Err(error.into()),
    }
}

/// All tables of a dataflow: append-only ones, then one per view.
pub(super) fn names(dataflow: &Dataflow) -> impl Iterator<Item = &str> {
    let tables = dataflow.tables.iter().map(|it| it.name.as_str());
    tables.chain(dataflow.views.iter().map(|it| it.name.as_str()))
}

async fn read_logs(dataflow: &Dataflow, store: &Store) -> Result<BTreeMap<String, Entries>, Error> {
    let mut logs = BTreeMap::new();
    for name in names(dataflow) {
        logs.insert(name.to_owned(), store.log_entries(name).await?);
    }
    Ok(logs)
}

/// Tables whose log does not have the commit yet.
fn behind(
    dataflow: &Dataflow,
    manifest: &Manifest,
    logs: &BTreeMap<String, Entries>,
) -> Vec<String> {
    let entry = |name: &str| manifest.tables.get(name).is_some_and(|it| it.commit != 0);
    names(dataflow)
        .filter(|it| entry(it) && version_of(dataflow, it, manifest, logs).is_none())
        .map(str::to_owned)
        .collect()
}

/// The version of a table that a commit belongs to. Another tool may have taken the number meant for it, then it is a later one.
fn version_of(
    dataflow: &Dataflow,
    name: &str,
    manifest: &Manifest,
    logs: &BTreeMap<String, Entries>,
) -> Option<u64> {
    let TableEntry {
        version, commit, ..
    } = manifest.tables.get(name).cloned().unwrap_or_default();
    let app = app_id(&dataflow.name, name);
    let mut entries = logs.get(name)?.range(version..);
    if commit == 0 {
        return entries.next().map(|it| *it.0).filter(|it| *it == version);
    }
    entries
        .find(|(_, actions)| txn_of(actions, &app) == Some(commit))
        .map(|it| *it.0)
}

/// Files that a commit will show when the log entries of these tables are written.
fn pending(manifest: &Manifest, waiting: &[String]) -> BTreeMap<String, Vec<Path>> {
    let files = |name: &String| {
        let actions = manifest.tables.get(name).map_or(&[][..], |it| &it.actions);
        let paths = actions.iter().filter_map(|it| it["add"]["path"].as_str());
        (name.clone(), paths.map(Path::from).collect())
    };
    waiting.iter().map(files).collect()
}

/// A commit that waits for its log entries can be finished: it says what they are, and all files they will show are there.
async fn check_pending(
    store: &Store,
    manifest: &Manifest,
    pending: &BTreeMap<String, Vec<Path>>,
    report: &mut Report,
) -> Result<(), Error> {
    let mut findings = Findings::default();
    let mut files = 0;
    for (name, paths) in pending {
        files += paths.len() as u64;
        // A commit is made when the one before is in all logs, so what it leaves alone must be there.
        if let Some(entry) = manifest.tables.get(name).filter(|it| it.actions.is_empty()) {
            findings.add(|| {
                format!(
                    "the log of {name} lacks the version of commit {}, and nothing will write it again",
                    entry.commit
                )
            });
        }
        for (path, facts) in store.file_facts(name, paths.clone()).await? {
            if facts.is_none() {
                findings.add(|| format!("{name}: {path} is to be shown and is missing"));
            }
        }
    }
    let names: Vec<&str> = pending.keys().map(String::as_str).collect();
    let compared = format!("decided, not yet in the logs of {}", names.join(", "));
    let subject = format!("number {}", manifest.number);
    report.add(match findings.count {
        0 => Check::note(
            "next commit",
            subject,
            format!(
                "{compared}; the next start writes them, and its {} there. Proved is what readers see now",
                match files {
                    1 => "1 file is".to_owned(),
                    more => format!("{} are", count(more, "file")),
                }
            ),
        ),
        _ => Check::of(
            "next commit",
            subject,
            compared,
            findings,
            "the next start cannot finish this commit; readers go on seeing less than was committed.",
        ),
    });
    Ok(())
}
