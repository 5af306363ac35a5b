//! One worker: steps its dataflow, publishes complete epochs, hands over commits, ends cleanly.
//!
//! A worker that panics takes the process with it: timely's other workers would wait for it for ever.

use super::clock::NEVER;
use super::costs::{Meter, measure_busy};
use super::gate::SharedClock;
use super::operators::Shared;
use super::render::render;
use super::{CommitReport, Feed, Job, Outputs, Published, SourceProgress, StateShare};
use crate::model::{Epoch, Stamps};
use crate::supervise;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::dataflow::ProbeHandle;
use timely::{CommunicationConfig, WorkerConfig};

/// Longest sleep of a worker with nothing to do: sources and other workers wake it when there is.
const PARK: Duration = Duration::from_millis(200);

/// A running engine. Dropping it waits for its workers.
pub struct Running {
    guards: Option<timely::communication::WorkerGuards<()>>,
}

impl Running {
    /// Waits until all workers have ended, after `Control::stop`.
    ///
    /// # Errors
    /// What a worker that panicked said.
    pub fn join(mut self) -> Result<(), String> {
        match self.guards.take() {
            Some(guards) => guards
                .join()
                .into_iter()
                .collect::<Result<Vec<()>, String>>()
                .map(|_| ()),
            None => Ok(()),
        }
    }
}

/// The processes an engine runs in.
#[derive(Debug, Default)]
pub struct Mesh {
    pub process: usize,
    /// A connection to every other process, by number, and none to itself. Empty if there is only one process.
    pub sockets: Vec<Option<TcpStream>>,
}

impl Mesh {
    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.sockets.len().max(1)
    }
}

/// Where a worker is among all workers of all processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number.
    pub index: usize,
    /// How many there are.
    pub peers: usize,
    /// How many there are in each process.
    pub local: usize,
}

impl Place {
    /// Whether it is the first of its process.
    pub fn is_first_of_process(self) -> bool {
        self.index.is_multiple_of(self.local)
    }

    /// One worker of each process, the same for equal `key`.
    pub fn one_per_process(self, key: usize) -> impl Iterator<Item = u64> {
        (0..self.peers / self.local).map(move |it| (it * self.local + key % self.local) as u64)
    }

    pub fn is_cluster(self) -> bool {
        self.local < self.peers
    }
}

/// Starts the workers of this process. `parts` gives each its feeds, in the order of the sources, and its outputs.
///
/// # Errors
/// If threads cannot be started.
pub fn start(
    mut job: Job,
    mesh: Mesh,
    parts: Vec<(Vec<Box<dyn Feed>>, Box<dyn Outputs>)>,
) -> Result<Running, String> {
    let local = parts.len();
    let first = mesh.process * local;
    let mut config = WorkerConfig::default();
    differential_dataflow::configure(
        &mut config,
        &differential_dataflow::Config::default().idle_merge_effort(Some(1000)),
    );
    let (builders, guard) = allocators(mesh, local)?;
    let mut shares = std::mem::take(&mut job.restored.state);
    assert!(
        shares.is_empty() || shares.len() == local,
        "{} shares of stored state for {local} workers",
        shares.len()
    );
    shares.resize_with(local, StateShare::default);
    let parts: Mutex<Vec<Option<_>>> =
        Mutex::new(parts.into_iter().zip(shares).map(Some).collect());
    job.wall.begin(job.start.0);
    let job = Arc::new(job);
    let guards = timely::execute::execute_from(builders, guard, config, move |worker| {
        let place = Place {
            index: worker.index(),
            peers: worker.peers(),
            local,
        };
        let ((feeds, outputs), share) = parts
            .lock()
            .ok()
            .and_then(|mut it| it[place.index - first].take())
            .expect("each worker takes its own part once");
        let name = format!("worker {}", place.index);
        supervise::run(&name, || {
            let last_words = LastWords(place);
            run(worker, place, &job, feeds, outputs, share);
            std::mem::forget(last_words);
        });
    })?;
    Ok(Running {
        guards: Some(guards),
    })
}

fn allocators(
    mesh: Mesh,
    local: usize,
) -> Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>), String> {
    if mesh.processes() == 1 {
        return match local {
            1 => CommunicationConfig::Thread,
            _ => CommunicationConfig::Process(local),
        }
        .try_build();
    }
    let hooks = Hooks::default();
    let threads =
        ProcessBuilder::new_typed_vector(local, hooks.refill.clone(), hooks.spill.clone());
    let (builders, guard) =
        initialize_networking_from_sockets(threads, mesh.sockets, mesh.process, local, hooks)
            .map_err(|it| it.to_string())?;
    Ok((
        builders.into_iter().map(AllocatorBuilder::Tcp).collect(),
        Box::new(guard),
    ))
}

/// Holds a worker that unwinds back for a while: in a cluster a worker fails when another process is gone; who that was is found
/// out elsewhere, and said within this time.
struct LastWords(Place);

const LAST_WORDS: Duration = Duration::from_millis(4500);

impl Drop for LastWords {
    fn drop(&mut self) {
        if self.0.is_cluster() {
            std::thread::sleep(LAST_WORDS);
        }
    }
}

fn run(
    worker: &mut timely::worker::Worker,
    place: Place,
    job: &Job,
    feeds: Vec<Box<dyn Feed>>,
    outputs: Box<dyn Outputs>,
    share: StateShare,
) {
    let shared = Rc::new(RefCell::new(Shared {
        next_commit: job.settings.commit_of(job.start.0, job.start.0),
        ..Shared::default()
    }));
    let busy = measure_busy(worker);
    let (probe, clocks) = worker.dataflow_named("tidelake", |scope| {
        render(scope, job, place, feeds, share, &shared)
    });
    let owners = std::mem::take(&mut shared.borrow_mut().owners);
    let operators = worker.peek_identifier();
    let meter = Meter::new(owners, place.index, operators, &job.costs, &busy);
    let mut exit = Exit {
        place,
        meter,
        job,
        shared,
        clocks,
        outputs,
        published: 0,
        unpublished: BTreeMap::new(),
        uncommitted: BTreeMap::new(),
    };
    loop {
        worker.step_or_park(Some(PARK));
        if exit.take(&probe) {
            return;
        }
    }
}

/// What stands between a worker's dataflow and the outside.
struct Exit<'a> {
    place: Place,
    meter: Meter,
    job: &'a Job,
    shared: Rc<RefCell<Shared>>,
    clocks: BTreeMap<String, SharedClock>,
    outputs: Box<dyn Outputs>,
    /// All epochs below are published.
    published: u64,
    /// What sources read, by epoch: for readers and for the next commit.
    unpublished: BTreeMap<u64, Vec<SourceProgress>>,
    uncommitted: BTreeMap<u64, Vec<SourceProgress>>,
}

impl Exit<'_> {
    /// Hands over whatever has become complete. True when all is done.
    fn take(&mut self, probe: &ProbeHandle<u64>) -> bool {
        let frontier = probe.with_frontier(|it| it.first().copied());
        self.append();
        self.note_progress();
        self.meter.tell();
        let Some(upto) = frontier else {
            let last = self.job.control.last().unwrap_or(self.job.start);
            self.publish(last.0 + 1);
            // Other workers may have seen the frontier pass these epochs one by one.
            self.commit_below(last);
            self.commit(last, true);
            return true;
        };
        if self.published < upto {
            self.shared.borrow_mut().frontier = upto;
            // Readers first: a commit may have much to encode, and takes its own epochs alone.
            self.publish(upto);
            self.commit_below(Epoch(upto));
        }
        self.shared.borrow_mut().wait = self.outputs.is_behind();
        false
    }

    /// Every worker makes the same commits, in whatever steps it sees the frontier move.
    fn commit_below(&mut self, upto: Epoch) {
        loop {
            let next = self.shared.borrow().next_commit;
            if upto.0 <= next {
                return;
            }
            self.commit(Epoch(next), false);
            let settings = &self.job.settings;
            self.shared.borrow_mut().next_commit = settings.commit_of(next + 1, self.job.start.0);
        }
    }

    fn append(&mut self) {
        let mut shared = self.shared.borrow_mut();
        let appended = std::mem::take(&mut shared.appended);
        let marks = std::mem::take(&mut shared.marks);
        drop(shared);
        for (table, epoch, rows) in appended {
            let commit = self.job.settings.commit_of(epoch, self.job.start.0);
            self.outputs
                .append(table, Epoch(epoch), Epoch(commit), rows);
        }
        for (table, epoch, watermark) in marks {
            self.outputs.mark(table, Epoch(epoch), watermark);
        }
    }

    fn note_progress(&mut self) {
        for (epoch, list) in std::mem::take(&mut self.shared.borrow_mut().progress) {
            self.unpublished
                .entry(epoch)
                .or_default()
                .extend(list.iter().cloned());
            self.uncommitted.entry(epoch).or_default().extend(list);
        }
    }

    /// Records that an expression failed for were not taken in after all.
    fn without_refused(&self, by_epoch: BTreeMap<u64, Vec<SourceProgress>>) -> Vec<SourceProgress> {
        let shared = self.shared.borrow();
        let mut all = Vec::new();
        for (epoch, list) in by_epoch {
            let refused = shared.refused.get(&epoch);
            all.extend(list.into_iter().map(|mut it| {
                let refused = refused.and_then(|all| all.get(&(it.source, it.partition)));
                let count = refused.copied().unwrap_or(0);
                it.records -= count;
                it.undecoded += count;
                it
            }));
        }
        all
    }

    fn publish(&mut self, upto: u64) {
        self.published = upto;
        let mut shared = self.shared.borrow_mut();
        let later = shared.changes.split_off(&upto);
        let changes = std::mem::replace(&mut shared.changes, later);
        let mut published = Published {
            worker: self.place.index,
            through: Epoch(upto),
            ..Published::default()
        };
        published.tails = std::mem::take(&mut shared.tails);
        published.left_out = std::mem::take(&mut shared.left_out);
        published.late = std::mem::take(&mut shared.late).into_iter().collect();
        drop(shared);
        for (epoch, rows) in changes {
            published.changes.extend(
                rows.into_iter()
                    .map(|(view, row, diff)| (view, Epoch(epoch), row, diff)),
            );
        }
        let later = self.unpublished.split_off(&upto);
        let complete = std::mem::replace(&mut self.unpublished, later);
        published.stamps = stamps_of(&complete);
        published.progress = self.without_refused(complete);
        // An epoch is published and committed, in either order; then its refusals are accounted for.
        let oldest = self.uncommitted.keys().next().copied();
        let mut shared = self.shared.borrow_mut();
        shared.refused = shared.refused.split_off(&oldest.unwrap_or(upto).min(upto));
        drop(shared);
        if self.place.is_first_of_process() {
            let watermark = |clock: &SharedClock| {
                Some(clock.borrow().watermark(upto)).filter(|it| *it != NEVER)
            };
            published.watermarks = self
                .clocks
                .iter()
                .filter_map(|(name, it)| Some((name.clone(), watermark(it)?)))
                .collect();
            let through = upto.saturating_sub(self.job.settings.tick_ms);
            let now = |it: &SharedClock| Some(it.borrow().now(through)).filter(|it| *it != NEVER);
            published.nows = self
                .clocks
                .iter()
                .filter_map(|(name, it)| Some((name.clone(), now(it)?)))
                .collect();
            let ahead = |it: &SharedClock| it.borrow().state_before(upto).ahead().collect();
            published.ahead = self
                .clocks
                .iter()
                .map(|(name, it)| (name.clone(), ahead(it)))
                .collect();
        }
        let next_commit = self.shared.borrow().next_commit;
        for clock in self.clocks.values() {
            clock.borrow_mut().forget_before(
                next_commit
                    .min(upto)
                    .saturating_sub(2 * self.job.settings.commit_interval_ms),
            );
        }
        self.outputs.publish(published);
    }

    fn commit(&mut self, commit: Epoch, last: bool) {
        let mut report = CommitReport {
            worker: self.place.index,
            commit,
            last,
            ..CommitReport::default()
        };
        let stores = self.shared.borrow().stores.clone();
        for store in stores {
            let mut store = store.borrow_mut();
            let (sealed, open) = store.commit(commit);
            if !sealed.is_empty() || open.is_some() {
                self.outputs.replace(store.view, commit, sealed, open);
            }
        }
        let later = self.uncommitted.split_off(&(commit.0 + 1));
        let due = std::mem::replace(&mut self.uncommitted, later);
        report.progress = self.without_refused(due);
        let mut shared = self.shared.borrow_mut();
        let later = shared.captured.split_off(&(commit.0 + 1));
        let captured = std::mem::replace(&mut shared.captured, later);
        drop(shared);
        captured
            .into_values()
            .for_each(|it| report.state.append(it));
        if self.place.index == 0 {
            let state = |it: &SharedClock| it.borrow().state_before(commit.0 + 1).clone();
            report.clocks = self
                .clocks
                .iter()
                .map(|(name, it)| (name.clone(), state(it)))
                .collect();
            report.event_times = self
                .clocks
                .iter()
                .map(|(name, it)| (name.clone(), it.borrow().event_times(commit.0)))
                .collect();
        }
        self.outputs.commit(report);
    }
}

/// The times of what was read, by epoch, source and partition.
fn stamps_of(read: &BTreeMap<u64, Vec<SourceProgress>>) -> Vec<(Epoch, usize, Stamps)> {
    let of_all = read.iter().flat_map(|(epoch, list)| {
        list.iter()
            .filter_map(move |it| Some((Epoch(*epoch), it.source, it.stamps?)))
    });
    of_all.collect()
}
