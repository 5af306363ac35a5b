//! What a lake no longer needs, and taking it away: versions behind the retention, files that only they name, and what crashes left behind.
//!
//! A file goes if its commit is settled, no version that is kept names it, and the newest manifest does not: that one may have been decided by a
//! process that died before it wrote the tables' logs. So vacuuming needs no claim, and is possible beside an engine that streams into the lake:
//! what an engine is about to commit belongs to epochs that are not settled, or is younger than an hour.

use super::manifest::{folder, path_of, state_folder};
use super::parquet_file::SUFFIX;
use super::{Error, Manifest, Store, version_of};
use crate::model::Epoch;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Files that no version ever named go after this time.
const LEFTOVER_KEPT_SECONDS: i64 = 3600;
/// Files of a changed dataflow that no version ever named: their names do not tell a commit, and filling views may take long.
const FILLED_KEPT_SECONDS: i64 = 24 * 3600;
/// Manifests that the protocol keeps, and some more that it may be about to delete.
const MANIFESTS_KEPT: u64 = 1010;

/// Something that a lake does not need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waste {
    /// Within the lake.
    pub path: String,
    pub bytes: u64,
    pub why: Why,
}

/// Why something is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The log of versions that are older than the retention.
    OldVersion,
    /// A data file that only versions older than the retention name.
    Replaced,
    /// A data file that no version ever named: unfinished work of a crash.
    Leftover,
    /// Stored state that no start would read.
    State,
    /// A manifest behind those that are kept.
    Manifest,
}

impl Why {
    /// What it is, for people.
    pub fn text(self) -> &'static str {
        match self {
            Why::OldVersion => "log of versions older than the retention",
            Why::Replaced => "data files that only such versions name",
            Why::Leftover => "data files that no version names: unfinished work of a crash",
            Why::State => "stored state that no start would read",
            Why::Manifest => "manifests behind the newest thousand",
        }
    }
}

/// The oldest version of a table that is still to be read.
struct OldestKept {
    version: u64,
    written_ms: i64,
}

/// The version that a file of a log belongs to.
fn number_of(path: &Path) -> Option<u64> {
    path.filename()?.get(..20)?.parse().ok()
}

/// The epoch in the name of one of our files, which start with `e` or, if made from others, `m`.
fn staged_for(name: &str) -> Option<Epoch> {
    let number = name
        .strip_suffix(SUFFIX)?
        .strip_prefix(['e', 'm'])?
        .get(..16)?;
    number.parse().ok().map(Epoch)
}

/// Whether a file has rows of a view that was filled.
fn is_filled(name: &str) -> bool {
    name.starts_with("g-") && name.ends_with(SUFFIX)
}

impl Store {
    /// Writes a log checkpoint, and deletes versions that are older than the retention with the files that only they name, and what crashes left
    /// behind. Every version that the log still lists can be read. `settled` is the epoch of the newest commit, which is in the logs.
    ///
    /// # Errors
    /// If the table cannot be read or the checkpoint not be written.
    pub async fn maintain(
        &self,
        table: &str,
        settled: Epoch,
        retention: Duration,
    ) -> Result<(), Error> {
        self.write_log_checkpoint(table).await?;
        let needed = HashSet::new();
        let waste = self.waste_of(table, settled, retention, &needed).await?;
        self.take_away(&waste).await
    }

    /// A log checkpoint at the newest version of a table.
    ///
    /// # Errors
    /// If the table cannot be read or the checkpoint not be written.
    pub async fn write_log_checkpoint(&self, table: &str) -> Result<(), Error> {
        let delta = self.open_delta(table).await?;
        let made = deltalake::protocol::checkpoints::create_checkpoint(&delta, None).await;
        made.map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })
    }

    /// Deletes in this order: a version that is listed has its files.
    ///
    /// # Errors
    /// If the lake cannot be reached; what was not deleted yet stays.
    pub async fn take_away(&self, waste: &[Waste]) -> Result<(), Error> {
        for it in waste {
            self.delete(&Path::from(it.path.as_str())).await?;
        }
        Ok(())
    }

    /// What a table does not need once it has a log checkpoint at its newest version, in the order in which it is to be deleted. `needed` names data
    /// files that stay in any case, by their paths within the table.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn waste_of(
        &self,
        table: &str,
        settled: Epoch,
        retention: Duration,
        needed: &HashSet<String>,
    ) -> Result<Vec<Waste>, Error> {
        let delta = self.open_delta(table).await?;
        let log = Path::from(format!("{table}/_delta_log"));
        let log = self.objects_in(&log).await?;
        let newest = version_of(&delta, table)?;
        let oldest = self.oldest_kept(table, &log, newest, retention).await?;
        let mut waste: Vec<Waste> = Vec::new();
        if let Some(oldest) = &oldest {
            let is_old = |it: &u64| *it != 0 && *it < oldest.version;
            let old = log
                .iter()
                .filter(|it| number_of(&it.location).is_some_and(|it| is_old(&it)));
            waste.extend(old.map(|it| wasted(it, Why::OldVersion)));
        }
        let until_ms = oldest.map_or(i64::MIN, |it| it.written_ms);
        let files = self.unneeded_files(table, &delta, settled, until_ms, needed);
        waste.extend(files.await?);
        Ok(waste)
    }

    /// The newest version with a log checkpoint that was already there when the retention began: it and all later ones are kept. The newest one is about
    /// to get a checkpoint. Nothing if everything is kept.
    async fn oldest_kept(
        &self,
        table: &str,
        log: &[ObjectMeta],
        newest: u64,
        retention: Duration,
    ) -> Result<Option<OldestKept>, Error> {
        let began_ms = crate::model::wall_ms().saturating_sub(crate::model::whole_ms(retention));
        let is_checkpoint = |it: &&ObjectMeta| it.location.as_ref().ends_with(".parquet");
        let with_checkpoint = log.iter().filter(is_checkpoint);
        let mut versions: BTreeSet<u64> = with_checkpoint
            .filter_map(|it| number_of(&it.location))
            .collect();
        versions.insert(newest);
        for version in versions.into_iter().rev() {
            // Without its entry nothing says when it was written.
            let Some(actions) = self.log_entry(table, version).await? else {
                continue;
            };
            let mut written = actions.iter().map(|it| &it["commitInfo"]["timestamp"]);
            let written_ms = written.find_map(Value::as_i64);
            if let Some(written_ms) = written_ms.filter(|it| *it <= began_ms as i64) {
                return Ok(Some(OldestKept {
                    version,
                    written_ms,
                }));
            }
        }
        Ok(None)
    }

    /// Files that were taken out by a version up to a time, and what crashes left behind.
    ///
    /// A file that was taken out goes by when it was taken out. One that no version ever named is a leftover only if
    /// the commit it was staged for is settled: after a long outage, files wait for commits to come.
    async fn unneeded_files(
        &self,
        table: &str,
        delta: &deltalake::DeltaTable,
        settled: Epoch,
        removed_until_ms: i64,
        needed: &HashSet<String>,
    ) -> Result<Vec<Waste>, Error> {
        let failed = |it: deltalake::DeltaTableError| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        };
        let name_of = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let mut kept: HashSet<String> = delta
            .get_file_uris()
            .map_err(failed)?
            .map(|it| name_of(&it))
            .collect();
        kept.extend(needed.iter().map(|it| name_of(it)));
        let state = delta.snapshot().map_err(failed)?;
        let log = delta.log_store();
        let removed: Vec<_> = state
            .all_tombstones(log.as_ref())
            .try_collect()
            .await
            .map_err(failed)?;
        let mut gone: HashSet<String> = HashSet::new();
        for tombstone in &removed {
            let name = name_of(&tombstone.path());
            match tombstone.deletion_timestamp() {
                Some(at) if at <= removed_until_ms => gone.insert(name),
                Some(_) | None => kept.insert(name),
            };
        }
        let now = chrono::Utc::now();
        let before = |seconds| now - chrono::Duration::seconds(seconds);
        let (leftovers, filled) = (before(LEFTOVER_KEPT_SECONDS), before(FILLED_KEPT_SECONDS));
        let mut waste = Vec::new();
        for file in self.objects_in(&Path::from(table)).await? {
            let Some(name) = file.location.filename() else {
                continue;
            };
            let is_settled = staged_for(name).is_some_and(|it| it <= settled);
            let why = match gone.contains(name) {
                true => Why::Replaced,
                false => Why::Leftover,
            };
            let is_old = match why {
                _ if is_filled(name) => gone.contains(name) || file.last_modified < filled,
                Why::Replaced => is_settled,
                _ => is_settled && file.last_modified < leftovers,
            };
            if is_old && !kept.contains(name) {
                waste.push(wasted(&file, why));
            }
        }
        Ok(waste)
    }

    /// What a dataflow does not need beside its tables: state that no start would read, and manifests behind those that are kept.
    ///
    /// # Errors
    /// If the lake cannot be read.
    pub async fn waste_of_commits(&self, newest: &Manifest) -> Result<Vec<Waste>, Error> {
        // A process that commits right now may still need what the one before names.
        let before = match newest.number.checked_sub(1) {
            Some(number) => self.manifest(&newest.dataflow, number).await?,
            None => None,
        };
        let named: HashSet<&str> = before
            .iter()
            .chain([newest])
            .flat_map(|it| it.state_full.iter().chain(&it.state_differences))
            .map(|it| it.path.as_str())
            .collect();
        let leftovers = chrono::Utc::now() - chrono::Duration::seconds(LEFTOVER_KEPT_SECONDS);
        let mut waste = Vec::new();
        for file in self.objects_in(&state_folder(&newest.dataflow)).await? {
            let number = number_of(&file.location);
            let is_old = number.is_some_and(|it| it <= newest.number);
            if is_old && file.last_modified < leftovers && !named.contains(file.location.as_ref()) {
                waste.push(wasted(&file, Why::State));
            }
        }
        let behind = newest.number.saturating_sub(MANIFESTS_KEPT);
        let upto = path_of(&newest.dataflow, behind);
        for file in self.objects_in(&folder(&newest.dataflow)).await? {
            if 0 < behind && file.location <= upto {
                waste.push(wasted(&file, Why::Manifest));
            }
        }
        Ok(waste)
    }

    /// Everything below a folder, in the order of paths.
    pub(super) async fn objects_in(&self, folder: &Path) -> Result<Vec<ObjectMeta>, Error> {
        let listed = self.objects.list(Some(folder)).try_collect();
        let mut listed: Vec<ObjectMeta> = listed.await.map_err(|source| Error::Store {
            path: folder.to_string(),
            source,
        })?;
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(listed)
    }
}

fn wasted(file: &ObjectMeta, why: Why) -> Waste {
    Waste {
        path: file.location.to_string(),
        bytes: file.size,
        why,
    }
}

/// Data files that the newest manifest will show, or counts on, by table.
pub fn needed_by(manifest: &Manifest, table: &str) -> HashSet<String> {
    let Some(entry) = manifest.tables.get(table) else {
        return HashSet::new();
    };
    let named = entry.actions.iter().chain(&entry.open_files);
    let paths = named.chain(&entry.small_files);
    let paths = paths.filter_map(|it| it.pointer("/add/path")?.as_str());
    paths.map(str::to_owned).collect()
}
