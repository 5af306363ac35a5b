//! Which model a dataflow's tables score with in which epoch.
//!
//! A record is scored once, when it comes, by the model that is in force then. So what a table says of a record is a function of the record and its epoch, given this schedule,
//! and the schedule is part of every commit: computing the table again finds the same model for each row, however many came since.
//!
//! ```text
//! epochs    │ … 4100 │ 4200 … 9000 │ 9100 …
//! model     │ none   │ version 1   │ version 2        an entry holds from its first epoch until that of the next one
//! ```
//!
//! An entry is put in before anything of its first epoch was scored, on every process, or it is refused: no row can have been scored by what was in force before.

use super::Epoch;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// A version of a model, and since when it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The first epoch that is scored by it.
    pub from: Epoch,
    /// The number of the version.
    pub version: u64,
    /// SHA-256 of the model's file.
    pub id: String,
}

/// Entries by the name of the model, each in the order of their epochs.
pub type Schedule = BTreeMap<String, Vec<Entry>>;

/// The schedule of a dataflow while it runs.
#[derive(Debug, Default)]
pub struct InForce {
    schedule: RwLock<Schedule>,
    /// The newest epoch of which something was scored.
    scored: AtomicU64,
    /// Why the newest version of a model is not in force, by its name.
    problems: RwLock<BTreeMap<String, String>>,
}

/// An entry came when records of its first epoch had been scored already.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "version {version} of model {name} was to be in force from epoch {}, and epoch {} was scored already",
    .from.0, .scored.0
)]
pub struct TooLate {
    pub name: String,
    pub version: u64,
    pub from: Epoch,
    pub scored: Epoch,
}

impl InForce {
    /// Takes over what was in force in earlier runs.
    pub fn begin(&self, schedule: Schedule) {
        *self
            .schedule
            .write()
            .unwrap_or_else(PoisonError::into_inner) = schedule;
    }

    /// Adds an entry behind those of its model.
    ///
    /// # Errors
    /// If something of its first epoch was scored already, or it does not follow the last entry.
    pub fn put(&self, name: &str, entry: Entry) -> Result<(), TooLate> {
        let mut schedule = self
            .schedule
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let entries = schedule.entry(name.to_owned()).or_default();
        let last = entries.last().map_or(Epoch(0), |it| it.from);
        let scored = Epoch(self.scored.load(Ordering::Acquire)).max(last);
        if entry.from <= scored {
            return Err(TooLate {
                name: name.to_owned(),
                version: entry.version,
                from: entry.from,
                scored,
            });
        }
        entries.push(entry);
        Ok(())
    }

    /// What records of an epoch are scored by, if there is a model.
    pub fn at(&self, name: &str, epoch: Epoch) -> Option<Entry> {
        let schedule = self.schedule.read().unwrap_or_else(PoisonError::into_inner);
        // While the lock is held, so that an entry comes before or behind.
        self.scored.fetch_max(epoch.0, Ordering::AcqRel);
        let entries = schedule.get(name)?;
        let behind = entries.partition_point(|it| it.from <= epoch);
        entries[..behind].last().cloned()
    }

    /// The newest entry of a model.
    pub fn newest(&self, name: &str) -> Option<Entry> {
        let schedule = self.schedule.read().unwrap_or_else(PoisonError::into_inner);
        schedule.get(name)?.last().cloned()
    }

    /// All entries that hold from an epoch, or before.
    pub fn through(&self, epoch: Epoch) -> Schedule {
        let schedule = self.schedule.read().unwrap_or_else(PoisonError::into_inner);
        let known = schedule.iter().map(|(name, entries)| {
            let entries = entries.iter().filter(|it| it.from <= epoch);
            (name.clone(), entries.cloned().collect::<Vec<_>>())
        });
        known.filter(|it| !it.1.is_empty()).collect()
    }

    /// Says why the newest version of a model is not in force; nothing if it is.
    pub fn note_problem(&self, name: &str, problem: Option<String>) {
        let mut problems = self
            .problems
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(name.to_owned(), problem),
            None => problems.remove(name),
        };
    }

    /// Why the newest version of a model is not in force, if something keeps it from that.
    pub fn problem(&self, name: &str) -> Option<String> {
        let problems = self.problems.read().unwrap_or_else(PoisonError::into_inner);
        problems.get(name).cloned()
    }
}

/// The models that a schedule names, each with its ids.
pub fn named(schedule: &Schedule) -> BTreeSet<(String, String)> {
    let of_name = |(name, entries): (&String, &Vec<Entry>)| {
        let ids = entries.iter().map(|it| (name.clone(), it.id.clone()));
        ids.collect::<Vec<_>>()
    };
    schedule.iter().flat_map(of_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: u64, version: u64) -> Entry {
        Entry {
            from: Epoch(from),
            version,
            id: format!("id of {version}"),
        }
    }

    fn version_at(known: &InForce, epoch: u64) -> Option<u64> {
        known.at("odd", Epoch(epoch)).map(|it| it.version)
    }

    #[test]
    fn a_record_is_scored_by_what_holds_in_its_epoch() {
        let known = InForce::default();
        known.put("odd", entry(100, 1)).unwrap();
        known.put("odd", entry(500, 2)).unwrap();
        let versions = [99, 100, 499, 500, 9_000].map(|it| version_at(&known, it));
        assert_eq!(versions, [None, Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(known.at("even", Epoch(100)), None);
        assert_eq!(
            known.through(Epoch(499)),
            Schedule::from([("odd".to_owned(), vec![entry(100, 1)])])
        );
        assert_eq!(known.through(Epoch(99)), Schedule::new());
    }

    #[test]
    fn nothing_changes_for_what_was_scored() {
        let known = InForce::default();
        assert_eq!(version_at(&known, 700), None);
        let late = known.put("odd", entry(700, 1)).expect_err("it is late");
        assert_eq!((late.from, late.scored), (Epoch(700), Epoch(700)));
        known.put("odd", entry(701, 1)).unwrap();
        assert_eq!(version_at(&known, 700), None);
        assert!(known.put("odd", entry(701, 2)).is_err());
    }
}
