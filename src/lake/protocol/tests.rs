//! The protocol in a lake that fails in every way it can, with processes that die, sleep, and come back.
//!
//! The processes run what the product runs: `Commit` decides, `TableState::entry` makes the log entries. The lake is simulated: each request
//! can be answered, refused, done without an answer, or given up by its sender and still be done at any later time; another
//! writer takes versions of tables, and old manifests and log entries are deleted, sooner than in the product. Every request is checked as
//! it comes, and the whole history at the end.
//!
//! What they were seen to catch, each put into `protocol.rs` for a moment:
//! - no answer counts as done: for a manifest, or for an entry; or a manifest or entry that is not there counts as done after it;
//! - a number that is taken is ours although another has it, or if only the epoch is the same;
//! - a taken version is ours without its `txn`; or never, so that changes come twice; or is not read but tried again for ever;
//! - a claim does not finish what the newest manifest decided, or keeps its generation;
//! - nothing looks ahead, so a process that slept until its next number was deleted goes on (so it was before there were these tests);
//! - a claim that finds a newer one claims again, so that two starting processes can keep each other from starting (endless, so the stack overflows).

use super::*;
use crate::lake::{Change, Compaction, Replaced, SourceOffsets, TableState};
use crate::model::{Epoch, Offset, Partition, Position};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

const DATAFLOW: &str = "d";
/// An append-only table whose files hold records, and one whose open file is replaced and says how many there were.
const TABLES: [&str; 2] = ["records", "totals"];
/// Small, so that sleepers find their numbers deleted.
const KEPT: u64 = 3;
const LOG_KEPT: usize = 2;
/// Small files so many are merged.
const MERGED: usize = 3;
/// With answers to all requests, a start and a commit take no more.
const STEPS_MAX: usize = 60;

/// How the lake answers one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Clear,
    Refused,
    /// Done, and the answer is lost.
    Lost,
    /// Given up by the sender and done later.
    Late,
}

#[derive(Clone, Debug)]
enum Write {
    Manifest(Box<Manifest>),
    Entry(String, u64, Vec<Value>),
    Delete(u64),
}

#[derive(Clone, Debug, Default)]
struct Lake {
    manifests: BTreeMap<u64, Manifest>,
    entries: BTreeMap<(String, u64), Vec<Value>>,
    late: Vec<Write>,
    /// Every manifest that was the newest when it came.
    chain: Vec<Manifest>,
    /// Every version a table has had. Readers do not look below those that were kept.
    logs: BTreeMap<String, Vec<Vec<Value>>>,
}

impl Lake {
    /// A lake with empty tables and no manifest.
    fn new() -> Self {
        let mut lake = Lake::default();
        for table in TABLES {
            lake.write(Write::Entry(table.to_owned(), 0, Vec::new()));
        }
        lake
    }

    fn perform(&mut self, action: &Action<'_>, answer: Answer) -> Seen {
        let write = match action {
            Action::CreateManifest(it) => Write::Manifest(Box::new((*it).clone())),
            Action::CreateEntry {
                table,
                version,
                actions,
            } => Write::Entry((*table).to_owned(), *version, actions.to_vec()),
            Action::DeleteManifest(number) => Write::Delete(*number),
            _ if answer != Answer::Clear => return Seen::Unclear,
            Action::ReadManifest(number) => {
                return Seen::Manifest(self.manifests.get(number).cloned().map(Box::new));
            }
            Action::FindNewer(number) => {
                let newest = self.manifests.last_key_value();
                return Seen::Newer(newest.map(|it| *it.0).filter(|it| number < it));
            }
            Action::ReadEntry { table, version } => {
                let key = ((*table).to_owned(), *version);
                return Seen::Entry(self.entries.get(&key).cloned());
            }
        };
        match answer {
            Answer::Clear => match self.write(write) {
                true => Seen::Done,
                false => Seen::Taken,
            },
            Answer::Refused => Seen::Unclear,
            Answer::Lost => {
                self.write(write);
                Seen::Unclear
            }
            Answer::Late => {
                self.late.push(write);
                Seen::Unclear
            }
        }
    }

    /// Whether it was written: nothing that is there is replaced.
    fn write(&mut self, write: Write) -> bool {
        match write {
            Write::Manifest(it) if self.manifests.contains_key(&it.number) => false,
            Write::Manifest(it) => {
                let newest = self.chain.len() as u64;
                assert!(it.number <= newest + 1, "a number was skipped");
                if it.number == newest + 1 {
                    self.chain.push((*it).clone());
                }
                self.manifests.insert(it.number, *it);
                true
            }
            Write::Entry(table, version, actions) => {
                if self.entries.contains_key(&(table.clone(), version)) {
                    return false;
                }
                let log = self.logs.entry(table.clone()).or_default();
                assert!(version as usize <= log.len(), "a version was skipped");
                if version as usize == log.len() {
                    log.push(actions.clone());
                }
                self.entries.insert((table, version), actions);
                true
            }
            Write::Delete(number) => {
                self.manifests.remove(&number);
                true
            }
        }
    }

    /// Another writer commits something that changes no rows.
    fn write_of_another(&mut self, table: &str) {
        let version = self.logs[table].len() as u64;
        self.write(Write::Entry(table.to_owned(), version, Vec::new()));
    }

    /// Deletes old log entries. Those of the newest manifest are never old: a thousand versions of another writer do not come between.
    fn maintain(&mut self, table: &str) {
        let Some(newest) = self.chain.last().and_then(|it| it.tables.get(table)) else {
            return;
        };
        let kept = self.logs[table].len().saturating_sub(LOG_KEPT) as u64;
        let oldest = kept.min(newest.version);
        let is_old = |name: &str, version| name == table && version < oldest;
        self.entries.retain(|it, _| !is_old(&it.0, it.1));
    }

    /// Which version of a table is of a commit.
    fn version_of(&self, table: &str, commit: u64) -> Option<u64> {
        let of_commit = |it: &Vec<Value>| txn_of(it, table) == Some(commit);
        self.logs[table]
            .iter()
            .position(of_commit)
            .map(|it| it as u64)
    }

    /// A commit was reported as settled: from now on it must be there.
    fn check_settled(&self, manifest: &Manifest, versions: &BTreeMap<String, u64>) {
        let number = manifest.number as usize;
        let there = &self.chain[number - 1];
        assert_eq!(
            there.writer, manifest.writer,
            "commit {number} is another's"
        );
        for (table, entry) in &there.tables {
            if entry.actions.is_empty() {
                continue;
            }
            let version = self.version_of(table, entry.commit);
            assert!(version.is_some(), "commit {number} is not in {table}");
            // A process that slept may fill a version that was deleted; nobody reads it, and its next commit is none.
            let is_newest = number == self.chain.len();
            assert!(!is_newest || version == Some(versions[table]));
        }
    }

    /// Everything is in exactly one commit, and every table has every commit once, up to the newest.
    fn check(&self) {
        let mut before = Manifest::empty(DATAFLOW);
        for it in &self.chain {
            assert_eq!(it.number, before.number + 1);
            if it.generation == before.generation {
                assert_eq!(it.writer, before.writer);
                assert!(before.epoch < it.epoch && read(&before) < read(it));
            } else {
                assert_eq!(it.generation, before.generation + 1);
                assert_eq!((it.epoch, read(it)), (before.epoch, read(&before)));
                assert!(it.writer != before.writer && it.counts.is_none());
            }
            before = it.clone();
        }
        for table in TABLES {
            let committed: Vec<u64> = self.logs[table]
                .iter()
                .filter_map(|it| txn_of(it, table))
                .collect();
            let decided = self.chain.iter().filter_map(|it| {
                let entry = it.tables.get(table)?;
                (entry.commit == it.number).then_some(it.number)
            });
            assert_eq!(committed, decided.collect::<Vec<_>>(), "{table}");
        }
        assert_eq!(ranges(&self.files("records")), read(&before));
        let totals = self.files("totals");
        let committed = self
            .chain
            .iter()
            .rev()
            .find(|it| replaces(it.number) && it.counts.is_some());
        let expected = committed.map(|it| (0, read(it)));
        assert_eq!(
            totals.into_iter().collect::<Vec<_>>(),
            Vec::from_iter(expected)
        );
    }

    /// Files that a reader of the newest version sees.
    fn files(&self, table: &str) -> BTreeSet<(i64, i64)> {
        let mut files = BTreeSet::new();
        for action in self.logs[table].iter().flatten() {
            if let Some(path) = action["add"]["path"].as_str() {
                assert!(files.insert(path), "{path} was added twice");
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                assert!(files.remove(path), "{path} was removed and not there");
            }
        }
        files.iter().map(|it| range_of(it)).collect()
    }
}

/// The records of a file are in its name.
fn file(of: &str, from: i64, to: i64, writer: &str) -> Value {
    let path = format!("{from}-{to}-{of}-{writer}");
    json!({"add": {"path": path, "partitionValues": {}, "size": 1}})
}

fn range_of(path: &str) -> (i64, i64) {
    let mut parts = path.split('-').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(from)), Some(Ok(to))) => (from, to),
        _ => panic!("{path} is no file of ours"),
    }
}

/// Where files that follow each other without gap or overlap end.
fn ranges(files: &BTreeSet<(i64, i64)>) -> i64 {
    files.iter().fold(0, |end, (from, to)| {
        assert_eq!(end, *from, "records twice or not at all: {files:?}");
        *to
    })
}

fn txn_of(actions: &[Value], table: &str) -> Option<u64> {
    let app = app_id(DATAFLOW, table);
    let mut txns = actions.iter().filter(|it| it["txn"]["appId"] == app);
    txns.next()?["txn"]["version"].as_u64()
}

/// How many records a manifest has behind it.
fn read(manifest: &Manifest) -> i64 {
    let offsets = manifest.offsets.get("s");
    offsets
        .and_then(|it| it.get(Partition(0)))
        .map_or(0, |it| it.offset.0)
}

/// Whether a commit has something for the second table.
fn replaces(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// A process, which looks for the newest manifest, claims, and commits for as long as it is left to.
#[derive(Clone, Debug, Default)]
struct Process {
    name: String,
    starts: u64,
    settled: u64,
    doing: Doing,
}

#[derive(Clone, Debug, Default)]
enum Doing {
    #[default]
    Off,
    Looking,
    Committing(Box<Commit>, BTreeMap<String, TableState>),
    /// Until it has more to commit.
    Resting(Box<Manifest>, BTreeMap<String, TableState>),
}

impl Process {
    fn named(name: &str) -> Self {
        Process {
            name: name.to_owned(),
            ..Process::default()
        }
    }

    fn start(&mut self) {
        self.starts += 1;
        self.doing = Doing::Looking;
    }

    fn is_off(&self) -> bool {
        matches!(self.doing, Doing::Off)
    }

    /// Does one request.
    fn step(&mut self, lake: &mut Lake, answer: Answer) {
        let writer = format!("{}.{}", self.name, self.starts);
        self.doing = match std::mem::take(&mut self.doing) {
            Doing::Off => Doing::Off,
            Doing::Looking if answer != Answer::Clear => Doing::Looking,
            Doing::Looking => {
                let newest = lake.manifests.last_key_value().map(|it| it.1.clone());
                let newest = newest.unwrap_or_else(|| Manifest::empty(DATAFLOW));
                let claim = soon(Commit::claim(newest, &writer, 0));
                Doing::Committing(claim, BTreeMap::new())
            }
            Doing::Committing(commit, tables) => self.request(commit, tables, lake, answer),
            Doing::Resting(last, tables) => {
                let commit = soon(Commit::new(next(&last, &tables)));
                self.request(commit, tables, lake, answer)
            }
        }
    }

    fn request(
        &mut self,
        mut commit: Box<Commit>,
        mut tables: BTreeMap<String, TableState>,
        lake: &mut Lake,
        answer: Answer,
    ) -> Doing {
        let Next::Do(action) = commit.next() else {
            panic!("it is over");
        };
        let seen = lake.perform(&action, answer);
        commit.observe(seen);
        match commit.next() {
            Next::Do(_) => Doing::Committing(commit, tables),
            Next::LookAgain => Doing::Looking,
            Next::Fenced { newer } => {
                let ours = commit.manifest().generation;
                assert!(ours < newer, "{newer} is not newer than {ours}");
                Doing::Off
            }
            Next::Settled => {
                let (manifest, versions) = commit.into_parts();
                lake.check_settled(&manifest, &versions);
                self.settled += u64::from(manifest.counts.is_some());
                for (name, entry) in &manifest.tables {
                    let state = tables.entry(name.clone()).or_default();
                    state.follow(entry, versions[name]);
                }
                for table in TABLES {
                    tables.entry(table.to_owned()).or_default();
                }
                Doing::Resting(Box::new(manifest), tables)
            }
        }
    }

    /// Goes on, with answers to all requests, until there is nothing to do but to begin something new.
    fn run(&mut self, lake: &mut Lake) {
        for _ in 0..STEPS_MAX {
            self.step(lake, Answer::Clear);
            if matches!(self.doing, Doing::Off | Doing::Resting(..)) {
                return;
            }
        }
        panic!("no progress: {:?}", self.doing);
    }
}

/// With old manifests deleted sooner.
fn soon(commit: Commit) -> Box<Commit> {
    Box::new(Commit {
        kept: KEPT,
        ..commit
    })
}

/// A commit of a few more records.
fn next(last: &Manifest, tables: &BTreeMap<String, TableState>) -> Manifest {
    let mut next = last.clone();
    next.number += 1;
    next.epoch = Epoch(last.epoch.0 + 1);
    next.counts = Some(BTreeMap::new());
    let (from, to) = (read(last), read(last) + 1 + last.number as i64 % 3);
    let position = Position {
        offset: Offset(to),
        ..Position::default()
    };
    let mut offsets = SourceOffsets::default();
    offsets
        .entry("s".to_owned())
        .or_default()
        .advance(Partition(0), position);
    next.offsets = offsets;
    let (number, writer) = (next.number, next.writer.clone());
    let small = &tables["records"].small_files;
    let starts = small
        .iter()
        .map(|it| range_of(it["add"]["path"].as_str().expect("a path")).0);
    let first = starts.min().filter(|_| MERGED <= small.len());
    let merged = first.map(|first| Compaction {
        table: "records".to_owned(),
        small: small.clone(),
        merged: vec![file("merged", first, from, &writer)],
    });
    for (table, state) in tables {
        let change = match table.as_str() {
            "records" => Change {
                adds: vec![(file("e", from, to, &writer), None)],
                replaced: Replaced::Nothing,
                merged: merged.iter().collect(),
                ..Change::default()
            },
            _ if replaces(number) => Change {
                adds: vec![(file("e", 0, to, &writer), Some(0))],
                replaced: Replaced::All,
                ..Change::default()
            },
            _ => Change::default(),
        };
        let entry = state.entry(&next, &app_id(DATAFLOW, table), change, None);
        next.tables.insert(table.clone(), entry);
    }
    next
}

/// After the last fault: a process that still runs goes on or stops, and a new process takes over and commits.
fn check_recovers(mut lake: Lake, processes: &[Process]) {
    for process in processes {
        process.clone().run(&mut lake);
    }
    for write in std::mem::take(&mut lake.late) {
        lake.write(write);
    }
    let mut last = Process::named("last");
    last.start();
    last.run(&mut lake);
    lake.check();
    last.run(&mut lake);
    assert_eq!(last.settled, 1, "nothing was committed");
    lake.check();
}

#[derive(Clone, Debug)]
enum Event {
    /// One request of a process.
    Step(usize, Answer),
    /// A process does what it is at, and a whole commit more if it is at none.
    Run(usize),
    Start(usize),
    Crash(usize),
    /// One of the late requests is done.
    Arrive(usize),
    Another(usize),
    Maintain(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let process = 0..3usize;
    let answer = prop_oneof![
        6 => Just(Answer::Clear),
        1 => Just(Answer::Refused),
        1 => Just(Answer::Lost),
        1 => Just(Answer::Late),
    ];
    prop_oneof![
        16 => (process.clone(), answer).prop_map(|it| Event::Step(it.0, it.1)),
        4 => process.clone().prop_map(Event::Run),
        2 => process.clone().prop_map(Event::Start),
        1 => process.prop_map(Event::Crash),
        2 => any::<usize>().prop_map(Event::Arrive),
        1 => (0..TABLES.len()).prop_map(Event::Another),
        1 => (0..TABLES.len()).prop_map(Event::Maintain),
    ]
}

/// Returns how many commits there were.
fn play(events: &[Event]) -> u64 {
    let mut lake = Lake::new();
    let mut processes = ["a", "b", "c"].map(Process::named);
    for event in events {
        match event {
            Event::Step(it, answer) => processes[*it].step(&mut lake, *answer),
            Event::Run(it) => processes[*it].run(&mut lake),
            Event::Start(it) if processes[*it].is_off() => processes[*it].start(),
            Event::Start(_) => {}
            Event::Crash(it) => processes[*it].doing = Doing::Off,
            Event::Arrive(_) if lake.late.is_empty() => {}
            Event::Arrive(it) => {
                let write = lake.late.swap_remove(it % lake.late.len());
                lake.write(write);
            }
            Event::Another(it) => lake.write_of_another(TABLES[*it]),
            Event::Maintain(it) => lake.maintain(TABLES[*it]),
        }
    }
    let settled = processes.iter().map(|it| it.settled).sum();
    check_recovers(lake, &processes);
    settled
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_is_exactly_once_and_goes_on(events in prop::collection::vec(event(), 0..150)) {
        play(&events);
    }
}

/// A process sleeps between two commits while another one does so many that the number it would take is free again.
#[test]
fn a_process_that_slept_through_all_kept_commits_is_fenced() {
    let mut lake = Lake::new();
    let (mut sleeper, mut other) = (Process::named("a"), Process::named("b"));
    for process in [&mut sleeper, &mut other] {
        process.start();
        process.run(&mut lake);
        process.run(&mut lake);
        if process.name == "b" {
            (0..2 * KEPT).for_each(|_| process.run(&mut lake));
        }
    }
    assert!(!lake.manifests.contains_key(&3), "its next number is free");
    sleeper.run(&mut lake);
    assert!(sleeper.is_off());
    check_recovers(lake, &[]);
}

/// Faults and crashes that are left to happen.
#[derive(Clone, Copy, Debug, Hash)]
struct Left {
    faults: usize,
    crashes: usize,
}

/// All ways in which two processes can go on from here, each until it has settled as many commits as it is to.
fn explore(
    lake: &Lake,
    processes: &[Process; 2],
    left: Left,
    goals: [u64; 2],
    seen: &mut HashSet<u64>,
) {
    let mut hasher = DefaultHasher::new();
    format!("{lake:?} {processes:?} {left:?}").hash(&mut hasher);
    if !seen.insert(hasher.finish()) {
        return;
    }
    check_recovers(lake.clone(), processes);
    for at in 0..2 {
        let is_over =
            processes[at].settled == goals[at] && matches!(processes[at].doing, Doing::Resting(..));
        if processes[at].is_off() || is_over {
            continue;
        }
        for answer in [Answer::Clear, Answer::Refused, Answer::Lost, Answer::Late] {
            let fault = usize::from(answer != Answer::Clear);
            if left.faults < fault {
                continue;
            }
            let (mut lake, mut processes) = (lake.clone(), processes.clone());
            processes[at].step(&mut lake, answer);
            let left = Left {
                faults: left.faults - fault,
                ..left
            };
            explore(&lake, &processes, left, goals, seen);
        }
        if 0 < left.crashes {
            let mut processes = processes.clone();
            processes[at].start();
            let left = Left {
                crashes: left.crashes - 1,
                ..left
            };
            explore(lake, &processes, left, goals, seen);
        }
    }
    for at in 0..lake.late.len() {
        let mut lake = lake.clone();
        let write = lake.late.swap_remove(at);
        lake.write(write);
        explore(&lake, processes, left, goals, seen);
    }
}

/// One process commits while another takes the lake over and commits too: every interleaving of their requests, with a recovery from each
/// point.
fn check_every_interleaving(left: Left) {
    let mut lake = Lake::new();
    let mut first = Process::named("a");
    first.start();
    first.run(&mut lake);
    first.run(&mut lake);
    let mut second = Process::named("b");
    second.start();
    let mut seen = HashSet::new();
    explore(&lake, &[first, second], left, [2, 1], &mut seen);
    println!("{left:?}: {} states", seen.len());
    assert!(1000 < seen.len(), "they were not explored");
}

#[test]
fn every_interleaving_with_two_faults_is_exactly_once_and_goes_on() {
    check_every_interleaving(Left {
        faults: 2,
        crashes: 0,
    });
}

#[test]
fn every_interleaving_with_a_restart_and_a_fault_is_exactly_once_and_goes_on() {
    check_every_interleaving(Left {
        faults: 1,
        crashes: 1,
    });
}
