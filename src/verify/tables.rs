//! Tables against the commit: what their logs say, and whether the files they name are there.

use super::Error;
use super::commit::{Chosen, names};
use super::report::{Check, Findings, Report, count, number};
use crate::coordinator;
use crate::lake::{Manifest, Store, TableEntry, app_id, owner};
use crate::plan::Dataflow;
use deltalake::DeltaTable;
use object_store::path::Path;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Log entries by version.
pub(super) type Entries = BTreeMap<u64, Vec<Value>>;

/// What a table's version says of its files.
struct Named {
    size: i64,
    statistics: Option<String>,
}

/// The number an application has noted in a log entry.
pub(super) fn txn_of(actions: &[Value], app: &str) -> Option<u64> {
    let txn = actions.iter().find(|it| it["txn"]["appId"] == app)?;
    txn["txn"]["version"].as_u64()
}

/// Checks logs and files of all tables; returns those that can be read, at the versions of the commit.
pub(super) async fn check(
    dataflow: &Dataflow,
    store: &Store,
    chosen: &Chosen,
    report: &mut Report,
) -> Result<BTreeMap<String, DeltaTable>, Error> {
    let mut opened = BTreeMap::new();
    let mut leftovers = Leftovers::default();
    for name in names(dataflow) {
        let Some(version) = chosen.versions.get(name).copied() else {
            continue;
        };
        let entries = &chosen.logs[name];
        report.add(check_log(dataflow, chosen, name, version, entries));
        let version = seen_at(&app_id(&dataflow.name, name), version, entries);
        let table = match store.open_delta_at(name, version).await {
            Ok(table) => table,
            Err(error) => {
                report.add(Check::of(
                    "files",
                    name,
                    format!("version {version} cannot be read"),
                    Findings::one(error.to_string()),
                    "readers of this version get an error.",
                ));
                continue;
            }
        };
        let named = check_files(store, name, version, &table, entries, report).await?;
        leftovers.look(store, chosen, name, &named).await?;
        opened.insert(name.to_owned(), table);
    }
    leftovers.tell(report);
    Ok(opened)
}

/// The version at which readers see what a commit left: other tools may have rewritten files since, which must leave all rows as they are.
fn seen_at(app: &str, version: u64, entries: &Entries) -> u64 {
    let later = entries.range(version + 1..);
    let of_others = later.take_while(|it| txn_of(it.1, app).is_none());
    of_others.last().map_or(version, |it| *it.0)
}

/// The log: one entry per commit that changed the table, in order, each what its manifest says, and no rows by anyone else.
fn check_log(
    dataflow: &Dataflow,
    chosen: &Chosen,
    name: &str,
    version: u64,
    entries: &Entries,
) -> Check {
    let manifest = &chosen.manifest;
    let mut findings = Findings::default();
    let app = app_id(&dataflow.name, name);
    let generation_app = format!("{app}#generation");
    let (mut before, mut commit, mut generation) = (None, 0, 0);
    let mut seen = BTreeSet::new();
    for (at, actions) in entries {
        // Old entries are deleted, all but the first.
        if let Some(before) = before.filter(|it| *it != 0 && it + 1 != *at) {
            findings.add(|| format!("after version {before} comes version {at}"));
        }
        before = Some(*at);
        match txn_of(actions, &app) {
            Some(number) => {
                if number <= commit {
                    findings.add(|| {
                        format!("version {at} is of commit {number}, after one of commit {commit}")
                    });
                }
                if version < *at && number <= manifest.number {
                    findings.add(|| {
                        format!(
                            "version {at} is of commit {number}, which ends at version {version}"
                        )
                    });
                }
                let found = txn_of(actions, &generation_app).unwrap_or(0);
                if found < generation {
                    findings.add(|| format!("version {at} is of generation {found}, after one of generation {generation}"));
                }
                // Manifests are kept for the newest thousand commits.
                if let Some(made_by) = chosen.manifests.get(&number) {
                    compare_entry(made_by, name, actions, &mut findings);
                }
                (commit, generation) = (number, found.max(generation));
                seen.insert(number);
            }
            None if *at != 0 && changes_rows(actions) => findings.add(|| {
                let by = actions
                    .iter()
                    .find_map(|it| it["commitInfo"]["engineInfo"].as_str());
                format!(
                    "version {at} changes rows and is of no commit; it was written by {}",
                    by.unwrap_or("somebody else")
                )
            }),
            // An entry tells when it was written, so of two that are equal one is a copy.
            None => {
                if let Some((earlier, _)) = entries.range(..at).find(|it| it.1 == actions) {
                    findings.add(|| format!("version {at} is a copy of version {earlier}"));
                }
            }
        }
    }
    let kept = entries.keys().find(|it| **it != 0).copied().unwrap_or(0);
    for (number, made_by) in chosen.manifests.range(..=manifest.number) {
        let is_there = |it: &&TableEntry| it.commit == *number && kept <= it.version;
        if made_by.tables.get(name).filter(is_there).is_some() && !seen.contains(number) {
            findings.add(|| format!("the log lacks the version of commit {number}"));
        }
    }
    if let Some(wrong) = wrong_metadata(dataflow, name, entries) {
        findings.add(|| wrong);
    }
    if owner(name, entries.values().map(Vec::as_slice)).is_some_and(|it| it != dataflow.name) {
        findings.add(|| {
            format!(
                "the table says that it is not of dataflow {}",
                dataflow.name
            )
        });
    }
    let entry = manifest.tables.get(name).cloned().unwrap_or_default();
    if entry.commit != 0 {
        let actions = &entries[&version];
        compare_offsets(manifest, &app, &entry, actions, &mut findings);
        let found = txn_of(actions, &generation_app);
        if found.is_none_or(|it| manifest.generation < it) {
            findings.add(|| {
                format!(
                    "version {version} is of generation {found:?}, the commit of {}",
                    manifest.generation
                )
            });
        }
    }
    Check::of(
        "log",
        name,
        format!(
            "version {version}, {}",
            match entries.len() {
                1 => "1 log entry".to_owned(),
                more => format!("{} log entries", number(more as u64)),
            }
        ),
        findings,
        "the table holds something that no commit put there, or lacks something that one did.",
    )
}

/// What the log gets wrong about the table itself: how to read it, its columns, folders and properties. Entries before the oldest log
/// checkpoint may be gone, and metadata with them.
fn wrong_metadata(dataflow: &Dataflow, name: &str, entries: &Entries) -> Option<String> {
    let layouts = coordinator::layouts(dataflow);
    let layout = layouts.iter().find(|it| it.name == name)?;
    let creation = match layout.creation(&dataflow.name, 0) {
        Ok(creation) => creation,
        Err(error) => return Some(error.to_string()),
    };
    let newest = |kind: &str| {
        let mut actions = entries.values().rev().flatten();
        actions.find_map(|it| it.get(kind)).cloned()
    };
    let ours = |kind: &str| creation.iter().find_map(|it| it.get(kind));
    if let Some(first) = entries.get(&0) {
        let lacks = |kind: &&str| !first.iter().any(|it| it.get(*kind).is_some());
        if let Some(kind) = ["protocol", "metaData"].into_iter().find(lacks) {
            return Some(format!("version 0 has no {kind}"));
        }
    }
    if let (Some(said), Some(is)) = (newest("metaData"), ours("metaData")) {
        let Some(properties) = said["configuration"].as_object() else {
            return Some("metaData has no configuration".to_owned());
        };
        // An earlier version may have set fewer.
        let other = |it: &(&String, &Value)| is["configuration"].get(it.0) != Some(it.1);
        if let Some((property, value)) = properties.iter().find(other) {
            return Some(format!(
                "the table property {property} = {value} is not ours"
            ));
        }
    }
    let parts = [
        ("protocol", "minReaderVersion"),
        ("protocol", "minWriterVersion"),
        ("metaData", "schemaString"),
        ("metaData", "partitionColumns"),
        ("metaData", "format"),
    ];
    parts.into_iter().find_map(|(kind, part)| {
        let (said, is) = (newest(kind)?, ours(kind)?);
        (said[part] != is[part]).then(|| format!("{part} is {}, not {}", said[part], is[part]))
    })
}

fn changes_rows(actions: &[Value]) -> bool {
    actions.iter().any(|action| {
        ["add", "remove"].iter().any(|kind| {
            action
                .get(kind)
                .is_some_and(|it| it["dataChange"] != Value::Bool(false))
        })
    })
}

/// The entry is what its commit decided, word for word.
fn compare_entry(made_by: &Manifest, name: &str, actions: &[Value], findings: &mut Findings) {
    let decided = made_by
        .tables
        .get(name)
        .map_or(&[][..], |it| it.actions.as_slice());
    if decided == actions {
        return;
    }
    for action in actions.iter().filter(|it| !decided.contains(it)) {
        findings.add(|| {
            format!(
                "the log says what commit {} does not: {}",
                made_by.number,
                short(action)
            )
        });
    }
    if decided.iter().all(|it| actions.contains(it)) && actions.len() != decided.len() {
        findings.add(|| format!("the log says something of commit {} twice", made_by.number));
    }
    for action in decided.iter().filter(|it| !actions.contains(it)) {
        findings.add(|| {
            format!(
                "the log lacks what commit {} says: {}",
                made_by.number,
                short(action)
            )
        });
    }
}

fn short(action: &Value) -> String {
    let kind = action.as_object().and_then(|it| it.iter().next());
    match kind {
        Some((kind, content)) => match content["path"].as_str().or(content["appId"].as_str()) {
            Some(name) => format!("{kind} {name} {}", content["version"]),
            None => kind.clone(),
        },
        None => action.to_string(),
    }
}

/// Offsets noted in the table are those of the commit; a table left alone since may be behind.
fn compare_offsets(
    manifest: &Manifest,
    app: &str,
    entry: &TableEntry,
    actions: &[Value],
    findings: &mut Findings,
) {
    for (source, offsets) in &manifest.offsets {
        for (partition, position) in offsets.iter() {
            let Some(noted) = txn_of(actions, &format!("{app}@{source}/{}", partition.0)) else {
                continue;
            };
            let committed = position.offset.0;
            let agrees = match u64::try_from(committed) {
                Ok(committed) if entry.commit == manifest.number => noted == committed,
                Ok(committed) => noted <= committed,
                Err(_) => false,
            };
            if !agrees {
                findings.add(|| {
                    format!(
                        "partition {} of {source} is noted up to {noted}, committed up to {committed}",
                        partition.0
                    )
                });
            }
        }
    }
}

/// Every file of the version is there, is what was written to the last bit, and is what the log says of it. Returns them.
async fn check_files(
    store: &Store,
    name: &str,
    version: u64,
    table: &DeltaTable,
    entries: &Entries,
    report: &mut Report,
) -> Result<BTreeMap<Path, Named>, Error> {
    let mut named: BTreeMap<Path, Named> = BTreeMap::new();
    let snapshot = table.snapshot().map_err(|it| crate::lake::Error::Table {
        table: name.to_owned(),
        reason: it.to_string(),
    })?;
    for file in snapshot.log_data() {
        named.insert(
            file.object_store_path(),
            Named {
                size: file.size(),
                statistics: file.stats(),
            },
        );
    }
    // As the log has them; a log checkpoint may have them in another form.
    for actions in entries.range(..=version).map(|it| it.1) {
        for add in actions.iter().filter_map(|it| it.get("add")) {
            let path = add["path"].as_str().map(Path::from);
            if let Some(said) = path.and_then(|it| named.get_mut(&it)) {
                said.statistics = add["stats"].as_str().map(str::to_owned);
            }
        }
    }
    let facts = store
        .file_facts(name, named.keys().cloned().collect())
        .await?;
    let mut findings = Findings::default();
    let mut rows = 0;
    for (path, said) in &named {
        let Some(facts) = facts.get(path).and_then(Option::as_ref) else {
            findings.add(|| format!("{path} is named and missing"));
            continue;
        };
        if i64::try_from(facts.size) != Ok(said.size) {
            findings.add(|| {
                format!(
                    "{path} has {} bytes, the log says {}",
                    facts.size, said.size
                )
            });
        }
        if !facts.is_as_named {
            findings.add(|| format!("{path} has other bytes than those that were written"));
        }
        match &facts.content {
            Err(reason) => {
                findings.add(|| format!("{path} is no Parquet file that can be read: {reason}"));
            }
            Ok((found, told)) => {
                rows += found;
                if let Some(wrong) = wrong_statistics(said.statistics.as_deref(), told) {
                    findings.add(|| format!("{path}: {wrong}"));
                }
            }
        }
    }
    report.add(Check::of(
        "files",
        name,
        format!(
            "version {version}: {}, {}, with the statistics that the log tells",
            count(named.len() as u64, "file"),
            count(rows, "row")
        ),
        findings,
        "readers of the table get an error or wrong rows.",
    ));
    Ok(named)
}

/// What the log says wrongly of a file's rows. What it leaves out makes readers slower, not wrong.
fn wrong_statistics(said: Option<&str>, told: &Value) -> Option<String> {
    let Some(said) = said else {
        return Some("the log does not say how many rows it has".to_owned());
    };
    let said: Value = match serde_json::from_str(said) {
        Ok(said) => said,
        Err(error) => return Some(format!("the log's statistics cannot be read: {error}")),
    };
    if said["numRecords"] != told["numRecords"] {
        return Some(format!(
            "it has {} rows, the log says {}",
            told["numRecords"], said["numRecords"]
        ));
    }
    for kind in ["minValues", "maxValues", "nullCount"] {
        for (column, said) in said[kind].as_object().into_iter().flatten() {
            let is = &told[kind][column];
            if !said.is_null() && !same_bound(said, is) {
                return Some(format!("{kind} of {column} is {is}, the log says {said}"));
            }
        }
    }
    None
}

/// Whether two bounds are the same; times may be written in several ways.
fn same_bound(a: &Value, b: &Value) -> bool {
    let time = |it: &Value| {
        let time = chrono::DateTime::parse_from_rfc3339(it.as_str()?);
        time.ok().map(|it| it.timestamp_micros())
    };
    a == b
        || time(a).is_some_and(|it| time(b) == Some(it))
        || a.as_f64()
            .is_some_and(|it| b.as_f64() == Some(it) && (a.is_f64() || b.is_f64()))
}

/// Files that the versions of the commit do not name: of other versions, or of none.
#[derive(Default)]
struct Leftovers {
    of_other_versions: u64,
    of_none: u64,
    bytes: u64,
    tables: Vec<String>,
}

impl Leftovers {
    async fn look(
        &mut self,
        store: &Store,
        chosen: &Chosen,
        name: &str,
        named: &BTreeMap<Path, Named>,
    ) -> Result<(), Error> {
        let told: BTreeSet<Path> = chosen.logs[name]
            .values()
            .flatten()
            .filter_map(|it| it["add"]["path"].as_str())
            .map(Path::from)
            .chain(chosen.pending.get(name).into_iter().flatten().cloned())
            .collect();
        let before = self.of_none;
        for (path, size) in store.data_files(name).await? {
            let path = Path::from(path);
            if named.contains_key(&path) {
                continue;
            }
            if told.contains(&path) {
                self.of_other_versions += 1;
                continue;
            }
            self.of_none += 1;
            self.bytes += size;
        }
        if before < self.of_none {
            self.tables
                .push(format!("{name} {}", number(self.of_none - before)));
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        let other = match self.of_other_versions {
            0 => String::new(),
            some => format!(
                "{} of other versions, kept for their readers",
                count(some, "file")
            ),
        };
        let none = match self.of_none {
            0 => String::new(),
            some => format!(
                "{} ({}) that no version names: unfinished work of a crash or of right now, seen by no reader, deleted by age ({})",
                count(some, "file"),
                count(self.bytes, "byte"),
                self.tables.join(", ")
            ),
        };
        let texts: Vec<String> = [none, other]
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect();
        if !texts.is_empty() {
            report.add(Check::note("leftovers", "", texts.join("; ")));
        }
    }
}
