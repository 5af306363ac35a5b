//! The commit protocol, decided: what was seen of the lake goes in, what to do next comes out.
//!
//! ```text
//! create manifest n ─► is a newer one there? ─► each table in turn: create its log entry ─► delete manifest n - 1000 ─► settled
//!    │ taken, or no answer  │ yes                 │ taken, or no answer
//!    └► who has it?         └► fenced             └► of this commit? ─ no ─► the next version
//!         └ another ─► fenced; a claim: look for the newest again
//! ```
//!
//! - Everything is created if absent, so each step is safe to repeat, and it does not matter who does it: a process that starts
//!   finishes, with its claim, what the newest manifest decided.
//! - No answer is no failure: what is there is read before anything is decided.
//! - Old manifests are deleted, and so a number that is free need not be the next one. After creating a manifest a process looks for newer ones before it
//!   acts on it: a process that slept through all the commits that were kept would go on in the gap.
//! - Of two processes that claim, the one whose claim is newer goes on; so each other's claims cannot keep both from it.
//!
//! Nothing here touches the lake: `Store::perform` does, and the tests have a lake of their own.

use super::{Manifest, TableEntry};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Manifests kept for reading as of earlier epochs.
const KEPT: u64 = 1000;

/// What to do next.
#[derive(Debug)]
pub enum Next<'a> {
    Do(Action<'a>),
    /// The manifest is the newest, and every table is at it or beyond.
    Settled,
    /// A process of this generation holds the lake; this one must stop.
    Fenced {
        newer: u64,
    },
    /// Another process was faster to claim this number: the newest manifest is to be looked at again.
    LookAgain,
}

/// One request to the lake.
#[derive(Debug)]
pub enum Action<'a> {
    /// If its number is free.
    CreateManifest(&'a Manifest),
    ReadManifest(u64),
    /// The highest number there is, if it is above this one.
    FindNewer(u64),
    /// If the version is free.
    CreateEntry {
        table: &'a str,
        version: u64,
        actions: &'a [Value],
    },
    ReadEntry {
        table: &'a str,
        version: u64,
    },
    DeleteManifest(u64),
}

/// How a request was answered.
#[derive(Debug)]
pub enum Seen {
    /// It was done.
    Done,
    /// The number or version was taken; nothing was written.
    Taken,
    /// No answer came. It may have been done, and may still be.
    Unclear,
    Manifest(Option<Box<Manifest>>),
    Newer(Option<u64>),
    Entry(Option<Vec<Value>>),
}

/// A manifest on its way into the lake, and what it decides into the tables.
#[derive(Clone, Debug)]
pub struct Commit {
    manifest: Manifest,
    is_claim: bool,
    step: Step,
    /// Tables whose entries are still to be created, in this order.
    waiting: VecDeque<String>,
    versions: BTreeMap<String, u64>,
    kept: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Create,
    WhoHasIt,
    LookAhead,
    WhoIsAhead(u64),
    /// The first waiting table, at this version.
    Enter(u64),
    WhoseEntry(u64),
    Forget(u64),
    Settled,
    Fenced {
        newer: u64,
    },
    LookAgain,
}

impl Commit {
    /// The next commit of the process that holds the lake.
    pub fn new(manifest: Manifest) -> Self {
        let manifest = manifest.sealed();
        let waiting = manifest
            .tables
            .iter()
            .filter(|(_, entry)| !entry.actions.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        let versions = manifest
            .tables
            .iter()
            .map(|(name, entry)| (name.clone(), entry.version))
            .collect();
        Commit {
            manifest,
            is_claim: false,
            step: Step::Create,
            waiting,
            versions,
            kept: KEPT,
        }
    }

    /// Takes a dataflow over after its newest manifest: the next number, a higher generation, the same content. What that manifest
    /// decided for the tables is finished on the way.
    pub fn claim(newest: Manifest, writer: &str, now_ms: u64) -> Self {
        let manifest = Manifest {
            generation: newest.generation + 1,
            writer: writer.to_owned(),
            written_ms: now_ms,
            counts: None,
            ..newest.after()
        };
        Commit {
            is_claim: true,
            ..Commit::new(manifest)
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest, and the version of each table that belongs to it.
    pub fn into_parts(self) -> (Manifest, BTreeMap<String, u64>) {
        (self.manifest, self.versions)
    }

    pub fn next(&self) -> Next<'_> {
        Next::Do(match &self.step {
            Step::Create => Action::CreateManifest(&self.manifest),
            Step::WhoHasIt => Action::ReadManifest(self.manifest.number),
            Step::LookAhead => Action::FindNewer(self.manifest.number),
            Step::WhoIsAhead(number) => Action::ReadManifest(*number),
            Step::Enter(version) => {
                let (table, entry) = self.table();
                Action::CreateEntry {
                    table,
                    version: *version,
                    actions: &entry.actions,
                }
            }
            Step::WhoseEntry(version) => Action::ReadEntry {
                table: self.table().0,
                version: *version,
            },
            Step::Forget(number) => Action::DeleteManifest(*number),
            Step::Settled => return Next::Settled,
            Step::Fenced { newer } => return Next::Fenced { newer: *newer },
            Step::LookAgain => return Next::LookAgain,
        })
    }

    /// Takes in how the request that `next` named was answered.
    pub fn observe(&mut self, seen: Seen) {
        self.step = match (self.step.clone(), seen) {
            (Step::Create, Seen::Done) => Step::LookAhead,
            (Step::Create, Seen::Taken | Seen::Unclear) => Step::WhoHasIt,
            (Step::WhoHasIt, Seen::Manifest(None)) => Step::Create,
            (Step::WhoHasIt, Seen::Manifest(Some(there))) => match self.is_ours(&there) {
                true => Step::LookAhead,
                false if self.is_claim => Step::LookAgain,
                false => Step::Fenced {
                    newer: there.generation,
                },
            },
            (Step::LookAhead, Seen::Newer(None)) => self.next_table(),
            (Step::LookAhead, Seen::Newer(Some(number))) => Step::WhoIsAhead(number),
            // What this claim was made from was the newest long ago; nobody has claimed after it.
            (Step::WhoIsAhead(_), Seen::Manifest(Some(there)))
                if there.generation <= self.manifest.generation && self.is_claim =>
            {
                Step::LookAgain
            }
            (Step::WhoIsAhead(_), Seen::Manifest(Some(there))) => Step::Fenced {
                newer: there.generation,
            },
            // It was deleted meanwhile, so there is one that is newer still.
            (Step::WhoIsAhead(_), Seen::Manifest(None)) => Step::LookAhead,
            (Step::Enter(version), Seen::Done) => self.entered(version),
            (Step::Enter(version), Seen::Taken | Seen::Unclear) => Step::WhoseEntry(version),
            (Step::WhoseEntry(version), Seen::Entry(None)) => Step::Enter(version),
            (Step::WhoseEntry(version), Seen::Entry(Some(there))) => {
                let (table, entry) = self.table();
                match has_commit(
                    &there,
                    &app_id(&self.manifest.dataflow, table),
                    entry.commit,
                ) {
                    true => self.entered(version),
                    false => Step::Enter(version + 1),
                }
            }
            // Housekeeping: one that stays does no harm.
            (Step::Forget(_), Seen::Done | Seen::Unclear) => Step::Settled,
            // A question without an answer is asked again.
            (step, Seen::Unclear) => step,
            (step, seen) => panic!("{seen:?} is no answer in step {step:?}"),
        };
    }

    /// The table whose turn it is.
    fn table(&self) -> (&str, &TableEntry) {
        let name = &self.waiting[0];
        (name, &self.manifest.tables[name])
    }

    fn entered(&mut self, version: u64) -> Step {
        let name = self.waiting.pop_front().expect("a table has its turn");
        self.versions.insert(name, version);
        self.next_table()
    }

    fn next_table(&self) -> Step {
        match (
            self.waiting.front(),
            self.manifest.number.checked_sub(self.kept),
        ) {
            (Some(name), _) => Step::Enter(self.manifest.tables[name].version),
            (None, Some(old)) => Step::Forget(old),
            (None, None) => Step::Settled,
        }
    }

    /// Whether this manifest is there, so that an earlier answer was lost.
    fn is_ours(&self, there: &Manifest) -> bool {
        there.writer == self.manifest.writer && there.epoch == self.manifest.epoch
    }
}

/// The application id of a table's `txn` actions.
pub fn app_id(dataflow: &str, table: &str) -> String {
    format!("tidelake/{dataflow}/{table}")
}

/// Whether a log entry is of this commit, or of a later one.
fn has_commit(actions: &[Value], app_id: &str, commit: u64) -> bool {
    actions.iter().any(|it| {
        it["txn"]["appId"] == app_id && it["txn"]["version"].as_u64().is_some_and(|it| commit <= it)
    })
}

#[cfg(test)]
mod tests;
