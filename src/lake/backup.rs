//! Copies of a lake with its state, each consistent at one commit, in a place of their own; and lakes made of them.
//!
//! ```text
//! PLACE/files/<path within the lake>     files of all backups, each once: what is in a lake never changes under its name
//! PLACE/points/<commit>.json             one backup: which files it is made of. Written last, so a backup that was interrupted is none
//! ```
//!
//! A backup has one manifest and everything that it names: state, the files of each table at its version, the part of the log that tells them, and the manifests
//! before it, by which a proof counts. It is taken beside a running engine, without asking it. State is read first, since the commit after the next
//! deletes it; data files and log entries stay for the retention.
//!
//! A lake that is made of a backup has one version of each table, with a log checkpoint, and goes on from the commit as after a stop.
//! Its newest manifest is written last, so nothing starts from half a lake.

use super::manifest::{folder, path_of, sign_of_life_path, state_folder};
use super::parquet_file::is_as_named;
use super::protocol::app_id;
use super::{Error, LastUpkeep, Manifest, Store, Upkeep};
use crate::model::{Epoch, wall_ms};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Rises when backups are kept in another form.
const FORMAT: u32 = 1;
/// Files copied at once; each is in memory.
const COPIES_AT_ONCE: usize = 4;
/// How long a running engine may take from its manifest to the last table.
const WAIT_FOR_TABLES: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a backup begins again because the engine went on and deleted state that it was reading.
const ATTEMPTS_MAX: usize = 5;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    format: u32,
    pub dataflow: String,
    /// The commit.
    pub number: u64,
    pub epoch: Epoch,
    pub written_ms: u64,
    pub taken_ms: u64,
    /// The version of each table.
    pub versions: BTreeMap<String, u64>,
    /// Sizes by path within the lake.
    pub files: BTreeMap<String, u64>,
    /// What lies beside the commits and changes, as text: what webhooks have told, requests.
    beside: BTreeMap<String, String>,
    /// Who wrote the manifest: a start from a copy need not ask whether that process still lives.
    writer: String,
}

impl Point {
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }
}

/// What a backup has done.
#[derive(Clone, Debug)]
pub struct Taken {
    pub point: Point,
    /// Files that the place did not have yet.
    pub copied: u64,
    pub copied_bytes: u64,
    /// Files of older backups that were deleted.
    pub deleted: u64,
}

/// Which backup is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    Newest,
    /// That of this commit.
    Commit(u64),
    /// The newest one that holds nothing behind this epoch.
    Epoch(Epoch),
}

impl AsOf {
    fn means(self, point: &Point) -> bool {
        match self {
            AsOf::Newest => true,
            AsOf::Commit(number) => point.number == number,
            AsOf::Epoch(epoch) => point.epoch <= epoch,
        }
    }
}

fn point_path(number: u64) -> Path {
    Path::from(format!("points/{number:020}.json"))
}

fn kept_path(path: &str) -> Path {
    Path::from(format!("files/{path}"))
}

fn wrong(place: &Store, reason: impl Into<String>) -> Error {
    Error::Backup {
        place: place.url.to_string(),
        reason: reason.into(),
    }
}

/// What to copy, and what to hold its bytes against.
struct File {
    path: String,
    bytes: u64,
}

impl Store {
    /// The backups in this place, oldest first.
    ///
    /// # Errors
    /// If it cannot be read, or one was made by a newer version.
    pub async fn backups(&self) -> Result<Vec<Point>, Error> {
        let mut points = Vec::new();
        for path in self.list(&Path::from("points")).await? {
            let Some(bytes) = self.get(&path).await? else {
                continue;
            };
            points.push(self.point_of(&path, &bytes)?);
        }
        Ok(points)
    }

    fn point_of(&self, path: &Path, bytes: &Bytes) -> Result<Point, Error> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let unreadable = |it: serde_json::Error| wrong(self, format!("{path}: {it}"));
        let Form { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if FORMAT < format {
            return Err(wrong(
                self,
                format!(
                    "{path} has format {format}, and this version of tidelake knows up to {FORMAT}; use the version that made it, or a newer one"
                ),
            ));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// Copies what the newest commit of a dataflow is made of to another place, and forgets all but so many of the backups there.
    ///
    /// # Errors
    /// If there is no commit, the place has backups of another lake, or something cannot be read or written; there is no new backup then.
    pub async fn back_up(
        &self,
        dataflow: &str,
        place: &Store,
        keep: Option<usize>,
    ) -> Result<Taken, Error> {
        let mut attempt = 1;
        let mut taken = loop {
            match self.back_up_once(dataflow, place).await {
                // Deleted while we read it: the engine has gone on, and there is a newer commit.
                Err(Error::Damaged { .. }) if attempt < ATTEMPTS_MAX => attempt += 1,
                result => break result?,
            }
        };
        if let Some(keep) = keep {
            taken.deleted = place.forget_all_but(keep).await?;
        }
        let done = LastUpkeep {
            place: Some(place.url.to_string()),
            ..LastUpkeep::now(taken.copied, taken.copied_bytes)
        };
        self.note_upkeep(dataflow, Upkeep::Backup, &done).await;
        Ok(taken)
    }

    async fn back_up_once(&self, dataflow: &str, place: &Store) -> Result<Taken, Error> {
        let (manifest, versions) = self.newest_in_logs(dataflow).await?;
        self.check_same_lake(&manifest, place).await?;
        let there: BTreeMap<String, u64> = place
            .objects_in(&Path::from("files"))
            .await?
            .into_iter()
            .filter_map(|it| {
                let path = it.location.as_ref().strip_prefix("files/")?.to_owned();
                Some((path, it.size))
            })
            .collect();
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        let mut copied = (0, 0);
        let state = manifest
            .state_full
            .iter()
            .chain(&manifest.state_differences);
        let state = state.map(|it| (it.path.clone(), it.bytes)).collect();
        // State goes first, everything else stays for longer.
        for files in [state, self.files_of_commit(&manifest, &versions).await?] {
            let new = files.iter().filter(|it| there.get(it.0) != Some(it.1));
            let new: Vec<File> = new
                .map(|(path, bytes)| File {
                    path: path.clone(),
                    bytes: *bytes,
                })
                .collect();
            if let Some(changed) = new.iter().find(|it| there.contains_key(&it.path)) {
                return Err(wrong(
                    place,
                    format!(
                        "it has another {} than the lake: it holds backups of another lake, or of one that went on differently; use an empty place",
                        changed.path
                    ),
                ));
            }
            copied.0 += new.len() as u64;
            copied.1 += new.iter().map(|it| it.bytes).sum::<u64>();
            futures::stream::iter(new)
                .map(|file| self.copy_to(place, file, &manifest))
                .buffer_unordered(COPIES_AT_ONCE)
                .try_collect::<Vec<()>>()
                .await?;
            all.extend(files);
        }
        let point = Point {
            format: FORMAT,
            dataflow: dataflow.to_owned(),
            number: manifest.number,
            epoch: manifest.epoch,
            written_ms: manifest.written_ms,
            taken_ms: wall_ms(),
            versions,
            files: all,
            beside: self.beside(dataflow).await?,
            writer: manifest.writer.clone(),
        };
        let bytes = serde_json::to_vec(&point);
        let bytes = bytes.expect("a backup is plain values with texts for keys");
        place
            .put(&point_path(point.number), Bytes::from(bytes))
            .await?;
        Ok(Taken {
            point,
            copied: copied.0,
            copied_bytes: copied.1,
            deleted: 0,
        })
    }

    /// The newest commit that all logs have, and the version of each table that belongs to it.
    async fn newest_in_logs(
        &self,
        dataflow: &str,
    ) -> Result<(Manifest, BTreeMap<String, u64>), Error> {
        let nothing = || Error::Nothing {
            dataflow: dataflow.to_owned(),
            lake: self.url.to_string(),
        };
        let newest = self.newest_manifest(dataflow).await?;
        let newest = newest.ok_or_else(nothing)?;
        let began = Instant::now();
        loop {
            if let Some(versions) = self.versions_of(&newest).await? {
                return Ok((newest, versions));
            }
            if WAIT_FOR_TABLES < began.elapsed() {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // The process that decided it died before the tables' logs had it: the next start finishes it, and readers see the one before.
        let before = match newest.number.checked_sub(1) {
            Some(number) => self.manifest(dataflow, number).await?,
            None => None,
        };
        let before = before.ok_or_else(nothing)?;
        match self.versions_of(&before).await? {
            Some(versions) => Ok((before, versions)),
            None => Err(Error::Damaged {
                path: before.path(),
                reason: "tables lack the versions of this commit; start the pipeline once, which finishes it, or ask `tidelake verify` what is wrong".to_owned(),
            }),
        }
    }

    /// The version of each table that belongs to a commit; nothing if a log lacks it.
    async fn versions_of(
        &self,
        manifest: &Manifest,
    ) -> Result<Option<BTreeMap<String, u64>>, Error> {
        let mut versions = BTreeMap::new();
        for (table, entry) in &manifest.tables {
            let app = app_id(&manifest.dataflow, table);
            let mut found = None;
            let behind = entry.version.checked_sub(1);
            for version in self.log_versions(table, behind).await? {
                if version < entry.version {
                    continue;
                }
                let actions = self.log_entry(table, version).await?.unwrap_or_default();
                let is_of_commit = |it: &serde_json::Value| {
                    it["txn"]["appId"] == app.as_str()
                        && it["txn"]["version"].as_u64() == Some(entry.commit)
                };
                if entry.commit == 0 || actions.iter().any(is_of_commit) {
                    found = Some(version);
                    break;
                }
            }
            match found {
                Some(version) => versions.insert(table.clone(), version),
                None => return Ok(None),
            };
        }
        Ok(Some(versions))
    }

    /// Everything but state that a commit is made of, with sizes.
    async fn files_of_commit(
        &self,
        manifest: &Manifest,
        versions: &BTreeMap<String, u64>,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let mut files = BTreeMap::new();
        let mut note = |it: &ObjectMeta| files.insert(it.location.to_string(), it.size);
        let dataflow = &manifest.dataflow;
        let upto = path_of(dataflow, manifest.number);
        let manifests = self.objects_in(&folder(dataflow)).await?;
        manifests
            .iter()
            .filter(|it| it.location <= upto)
            .for_each(|it| {
                note(it);
            });
        let models = self.objects_in(&Path::from("_tidelake/models")).await?;
        models.iter().for_each(|it| {
            note(it);
        });
        for (table, version) in versions {
            let log = Path::from(format!("{table}/_delta_log"));
            let log = self.objects_in(&log).await?;
            let number = |it: &ObjectMeta| -> Option<u64> {
                it.location.filename()?.get(..20)?.parse().ok()
            };
            let is_checkpoint = |it: &&ObjectMeta| it.location.as_ref().ends_with(".parquet");
            let checkpoints = log.iter().filter(is_checkpoint).filter_map(number);
            let checkpoint = checkpoints.filter(|it| it <= version).max();
            for it in &log {
                let Some(number) = number(it) else { continue };
                let wanted = match is_checkpoint(&it) {
                    true => checkpoint == Some(number),
                    false => {
                        let is_behind = checkpoint.is_none_or(|it| it < number);
                        number == 0 || number == *version || is_behind && number < *version
                    }
                };
                if wanted {
                    note(it);
                }
            }
        }
        for (table, version) in versions {
            for file in self.files_at(table, *version).await? {
                let path = file["add"]["path"].as_str().unwrap_or_default();
                let size = file["add"]["size"].as_u64().ok_or_else(|| Error::Table {
                    table: table.clone(),
                    reason: format!("its log does not say how large {path} is"),
                })?;
                files.insert(format!("{table}/{path}"), size);
            }
        }
        Ok(files)
    }

    /// What lies beside the commits and changes.
    async fn beside(&self, dataflow: &str) -> Result<BTreeMap<String, String>, Error> {
        let mut beside = BTreeMap::new();
        for kind in ["webhooks", "requests"] {
            let folder = Path::from(format!("_tidelake/{dataflow}/{kind}"));
            for path in self.list(&folder).await? {
                let Some(bytes) = self.get(&path).await? else {
                    continue;
                };
                let text = String::from_utf8_lossy(&bytes).into_owned();
                beside.insert(path.to_string(), text);
            }
        }
        Ok(beside)
    }

    /// Copies a file, if its bytes are what they should be.
    async fn copy_to(&self, place: &Store, file: File, manifest: &Manifest) -> Result<(), Error> {
        let path = Path::from(file.path.as_str());
        let damaged = |reason: &str| Error::Damaged {
            path: file.path.clone(),
            reason: format!("{reason}; `tidelake verify` tells what is wrong"),
        };
        let bytes = self.get(&path).await?;
        let bytes = bytes.ok_or_else(|| damaged("it is named and missing"))?;
        if bytes.len() as u64 != file.bytes {
            return Err(damaged("it has another size than is said of it"));
        }
        let is_state = path.prefix_matches(&state_folder(&manifest.dataflow));
        if is_state {
            let state = manifest
                .state_full
                .iter()
                .chain(&manifest.state_differences);
            let said = state.clone().find(|it| it.path == file.path);
            if said.is_some_and(|it| twox_hash::XxHash3_64::oneshot(&bytes) != it.checksum) {
                return Err(damaged("its checksum differs"));
            }
        }
        if !is_as_named(path.filename().unwrap_or_default(), &bytes) {
            return Err(damaged("it has other bytes than those that were written"));
        }
        place.put(&kept_path(&file.path), bytes).await
    }

    /// Whether a place has backups of this lake, if it has any.
    async fn check_same_lake(&self, manifest: &Manifest, place: &Store) -> Result<(), Error> {
        let other = |what: &str| {
            wrong(
                place,
                format!(
                    "its backups are of another lake, or of one that went on differently ({what}); use an empty place"
                ),
            )
        };
        // The first entry of a table has an id of its own, and is kept for ever.
        for table in manifest.tables.keys() {
            let first = format!("{table}/{}", super::log::entry_path(0));
            let kept = place.get(&kept_path(&first)).await?;
            let is = self.get(&Path::from(first.as_str())).await?;
            if kept.is_some() && kept != is {
                return Err(other(&first));
            }
        }
        // Each manifest names the one before, so one that is the same tells of all before it.
        let manifests = folder(&manifest.dataflow);
        let kept = place.list(&kept_path(manifests.as_ref())).await?;
        for path in kept.iter().rev() {
            let Some(inside) = path.as_ref().strip_prefix("files/") else {
                continue;
            };
            let Some(is) = self.get(&Path::from(inside)).await? else {
                continue;
            };
            if place.get(path).await?.is_some_and(|it| it != is) {
                return Err(other(inside));
            }
            break;
        }
        Ok(())
    }

    /// Deletes all but the newest backups, and the files that only those had. Returns how many files.
    async fn forget_all_but(&self, keep: usize) -> Result<u64, Error> {
        let mut points = self.backups().await?;
        points.sort_by_key(|it| it.number);
        let old = points.len().saturating_sub(keep.max(1));
        let kept: BTreeSet<&String> = points[old..]
            .iter()
            .flat_map(|it| it.files.keys())
            .collect();
        for point in &points[..old] {
            self.delete(&point_path(point.number)).await?;
        }
        let mut deleted = 0;
        for file in self.list(&Path::from("files")).await? {
            let inside = file.as_ref().strip_prefix("files/").map(str::to_owned);
            if inside.is_some_and(|it| !kept.contains(&it)) {
                self.delete(&file).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// Makes a lake of a backup in this place. One that was interrupted is gone on with.
    ///
    /// # Errors
    /// If there is no such backup, the new lake's place is not empty, or something cannot be read or written.
    pub async fn restore(&self, which: AsOf, lake: &Store) -> Result<Point, Error> {
        let points = self.backups().await?;
        let Some(point) = points
            .iter()
            .filter(|it| which.means(it))
            .max_by_key(|it| it.number)
        else {
            let known = points.iter().map(|it| {
                let (number, epoch) = (it.number, it.epoch.iso());
                format!("{number} of {epoch}")
            });
            let known: Vec<String> = known.collect();
            return Err(wrong(
                self,
                match known.is_empty() {
                    true => "there is no backup in it".to_owned(),
                    false => format!(
                        "it has no such backup; there are those of commits {}",
                        known.join(", ")
                    ),
                },
            ));
        };
        let newest = path_of(&point.dataflow, point.number);
        let mut there = BTreeMap::new();
        for it in lake.objects_in(&Path::default()).await? {
            let path = it.location.to_string();
            let is_ours = point.files.get(&path) == Some(&it.size)
                || point.beside.contains_key(&path)
                || it.location == sign_of_life_path(&point.dataflow)
                || point
                    .versions
                    .keys()
                    .any(|table| path.starts_with(&format!("{table}/_delta_log/")));
            if it.location == newest || !is_ours {
                return Err(Error::Backup {
                    place: lake.url.to_string(),
                    reason: format!(
                        "a lake is made of a backup in an empty place, and there is {path}; name another place"
                    ),
                });
            }
            there.insert(path, it.size);
        }
        let last = newest.to_string();
        let wanted = point
            .files
            .keys()
            .filter(|it| **it != last && there.get(*it) != point.files.get(*it));
        futures::stream::iter(wanted.cloned().collect::<Vec<String>>())
            .map(|path| async move { self.bring_back(&path, lake).await })
            .buffer_unordered(COPIES_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        for (table, version) in &point.versions {
            lake.keep_one_version(table, *version).await?;
        }
        for (path, text) in &point.beside {
            let bytes = Bytes::from(text.clone());
            lake.put(&Path::from(path.as_str()), bytes).await?;
        }
        // The writer of the manifest holds another lake.
        let released = json!({"writer": point.writer, "beat": 0, "released": true});
        let released = released.to_string().into_bytes();
        lake.give_sign_of_life(&point.dataflow, released).await?;
        self.bring_back(&last, lake).await?;
        Ok(point.clone())
    }

    async fn bring_back(&self, path: &str, lake: &Store) -> Result<(), Error> {
        let bytes = self.get(&kept_path(path)).await?;
        let bytes = bytes.ok_or_else(|| wrong(self, format!("{path} is missing in it")))?;
        let path = Path::from(path);
        if !is_as_named(path.filename().unwrap_or_default(), &bytes) {
            return Err(wrong(
                self,
                format!("{path} has other bytes than those that were written"),
            ));
        }
        lake.put(&path, bytes).await
    }

    /// Leaves a table with one version beside the first, and a log checkpoint of it: the files of others are not there.
    async fn keep_one_version(&self, table: &str, version: u64) -> Result<(), Error> {
        if version == 0 {
            return Ok(());
        }
        let delta = self.open_delta_at(table, version).await?;
        let made = deltalake::protocol::checkpoints::create_checkpoint(&delta, None).await;
        made.map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })?;
        for it in self
            .objects_in(&Path::from(format!("{table}/_delta_log")))
            .await?
        {
            let path = it.location;
            let number = path.filename().and_then(|it| it.get(..20)?.parse().ok());
            if number.is_some_and(|it: u64| it != 0 && it < version) {
                self.delete(&path).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
