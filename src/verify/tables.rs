//! Tables against the commit: what their logs say, and whether the files they name are there.

use super::Error;
use super::commit::{Chosen, names};
use super::report::{Check, Findings, Report, count, number};
use crate::lake::{FileFacts, Manifest, Store, TableEntry, app_id};
use crate::plan::Dataflow;
use deltalake::DeltaTable;
use object_store::path::Path;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Log entries by version.
pub(super) type Entries = BTreeMap<u64, Vec<Value>>;

/// What a table's version says of its files.
struct Named {
    size: u64,
    rows: Option<u64>,
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
        report.add(check_log(dataflow, store, &chosen.manifest, name, version, entries).await?);
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
        let named = check_files(store, name, version, &table, report).await?;
        leftovers.look(store, chosen, name, &named).await?;
        opened.insert(name.to_owned(), table);
    }
    leftovers.tell(report);
    Ok(opened)
}

/// The log: one entry per commit that changed the table, in order, each what its manifest says, and no rows by anyone else.
async fn check_log(
    dataflow: &Dataflow,
    store: &Store,
    manifest: &Manifest,
    name: &str,
    version: u64,
    entries: &Entries,
) -> Result<Check, Error> {
    let mut findings = Findings::default();
    let app = app_id(&dataflow.name, name);
    let generation_app = format!("{app}#generation");
    let (mut before, mut commit, mut generation) = (None, 0, 0);
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
                (commit, generation) = (number, found.max(generation));
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
            None => {}
        }
    }
    let entry = manifest.tables.get(name).cloned().unwrap_or_default();
    if entry.commit != 0 {
        let actions = &entries[&version];
        compare_entry(
            dataflow,
            store,
            manifest,
            name,
            &entry,
            actions,
            &mut findings,
        )
        .await?;
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
    Ok(Check::of(
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
    ))
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
async fn compare_entry(
    dataflow: &Dataflow,
    store: &Store,
    manifest: &Manifest,
    name: &str,
    entry: &TableEntry,
    actions: &[Value],
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut decided = entry.actions.clone();
    if decided.is_empty() && entry.commit != manifest.number {
        let made_by = store.manifest(&dataflow.name, entry.commit).await?;
        // Manifests are kept for the newest thousand commits.
        let Some(made_by) = made_by else {
            return Ok(());
        };
        decided = made_by
            .tables
            .get(name)
            .map_or(Vec::new(), |it| it.actions.clone());
    }
    if decided == actions {
        return Ok(());
    }
    for action in actions.iter().filter(|it| !decided.contains(it)) {
        findings.add(|| {
            format!(
                "the log says what commit {} does not: {}",
                entry.commit,
                short(action)
            )
        });
    }
    for action in decided.iter().filter(|it| !actions.contains(it)) {
        findings.add(|| {
            format!(
                "the log lacks what commit {} says: {}",
                entry.commit,
                short(action)
            )
        });
    }
    Ok(())
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
            let committed = u64::try_from(position.offset.0).unwrap_or(0);
            let agrees = if entry.commit == manifest.number {
                noted == committed
            } else {
                noted <= committed
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

/// Every file of the version is there, as long and with as many rows as the log says. Returns them.
async fn check_files(
    store: &Store,
    name: &str,
    version: u64,
    table: &DeltaTable,
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
                size: u64::try_from(file.size()).unwrap_or(0),
                rows: file.num_records().map(|it| it as u64),
            },
        );
    }
    let facts = store
        .file_facts(name, named.keys().cloned().collect())
        .await?;
    let mut findings = Findings::default();
    let mut rows = 0;
    for (path, said) in &named {
        match facts.get(path).copied().flatten() {
            None => findings.add(|| format!("{path} is named and missing")),
            Some(FileFacts { size, .. }) if size != said.size => {
                findings.add(|| format!("{path} has {size} bytes, the log says {}", said.size));
            }
            Some(FileFacts { rows: None, .. }) => {
                findings.add(|| format!("{path} is no Parquet file that can be read"));
            }
            Some(FileFacts {
                rows: Some(found), ..
            }) => {
                rows += found;
                if said.rows != Some(found) {
                    findings
                        .add(|| format!("{path} has {found} rows, the log says {:?}", said.rows));
                }
            }
        }
    }
    report.add(Check::of(
        "files",
        name,
        format!(
            "version {version}: {}, {}",
            count(named.len() as u64, "file"),
            count(rows, "row")
        ),
        findings,
        "readers of the table get an error or wrong rows.",
    ));
    Ok(named)
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
