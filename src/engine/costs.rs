//! What each relation, and each node of its plan, costs the workers of this process: the time that its operators run, the rows that they hand on,
//! and the state that they keep.
//!
//! Timely logs when it schedules an operator and when that returns, and how many records pass a channel. Operators and channels are numbered as they are
//! made, so noting the next number before and after rendering a node tells whose they are (`Owners`). What several relations share, such as one pass over
//! the same records, is told apart from them, with all their names.
//!
//! Workers write numbers of their own without locks, and once a second what their operators keep; others read them whenever they like.

mod arrangements;
mod busy;

pub(super) use arrangements::{PointsAt, Watched, watch, watched};
pub(super) use busy::measure_busy;

use crate::model::Held;
use crate::plan::{Dataflow, Pass, Plan};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Relations that share what is measured, in the order of their names; mostly it is one.
pub type Sharers = Vec<String>;

/// A node of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePlace {
    /// The relation whose plan was being rendered.
    pub relation: String,
    /// How many nodes of that plan come before it, each before those that it reads.
    pub number: usize,
}

/// Whom operators are for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    relations: Sharers,
    /// None if they are for all of the relation: its source, its table, its readers.
    node: Option<NodePlace>,
}

/// What the workers of this process have told.
#[derive(Debug, Default)]
pub struct Costs {
    workers: Mutex<BTreeMap<usize, Arc<OfWorker>>>,
}

/// What relations cost one worker.
#[derive(Debug)]
struct OfWorker {
    owners: Vec<(Owner, Numbers)>,
}

#[derive(Debug, Default)]
struct Numbers {
    busy_ns: AtomicU64,
    emitted: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

/// What a node of a relation, or of several together, costs one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub worker: usize,
    pub relations: Sharers,
    /// None of what is for all of the relation.
    pub node: Option<NodePlace>,
    /// Changes of rows that its operators have handed on to others, since the start of the worker.
    pub emitted: u64,
    /// How long its operators have run since the start of the worker, in nanoseconds of its clock.
    pub busy_ns: u64,
    /// Rows, groups and members of sets that its operators keep.
    pub rows: u64,
    /// The memory they take ([`crate::model::held`]). What is on its way, in a commit or in an epoch that is not complete, is not among it.
    pub bytes: u64,
}

impl Costs {
    /// What was told last, by worker and in the order in which relations are rendered. Of what costs nothing too.
    pub fn now(&self) -> Vec<Cost> {
        let workers = self.workers.lock();
        let workers = workers.unwrap_or_else(PoisonError::into_inner);
        let of_worker = |(worker, all): (&usize, &Arc<OfWorker>)| {
            let cost = |(owner, it): &(Owner, Numbers)| Cost {
                worker: *worker,
                relations: owner.relations.clone(),
                node: owner.node.clone(),
                emitted: it.emitted.load(Ordering::Relaxed),
                busy_ns: it.busy_ns.load(Ordering::Relaxed),
                rows: it.rows.load(Ordering::Relaxed),
                bytes: it.bytes.load(Ordering::Relaxed),
            };
            all.owners.iter().map(cost).collect::<Vec<_>>()
        };
        workers.iter().flat_map(of_worker).collect()
    }

    fn add(&self, worker: usize, owners: Vec<Owner>) -> Arc<OfWorker> {
        let owners = owners.into_iter().map(|it| (it, Numbers::default()));
        let added = Arc::new(OfWorker {
            owners: owners.collect(),
        });
        let workers = self.workers.lock();
        let mut workers = workers.unwrap_or_else(PoisonError::into_inner);
        workers.insert(worker, Arc::clone(&added));
        added
    }
}

/// What an operator keeps.
pub(super) trait Keeps {
    /// What it keeps now. It is asked once a second, so it must not walk through all of it.
    fn held(&mut self) -> Held;
}

/// Whose operators are made, while they are made.
#[derive(Default)]
pub(super) struct Owners {
    all: Vec<Owner>,
    /// None for what is there for all of the dataflow.
    now: Option<usize>,
    /// The first operator from which on another owner's were made.
    from: Vec<(usize, Option<usize>)>,
    keepers: Vec<Keeper>,
}

/// What an operator keeps, and whose that is.
struct Keeper {
    owner: usize,
    state: Rc<RefCell<dyn Keeps>>,
}

/// Whose operators were made before.
pub(super) struct Before(Option<usize>);

impl Owners {
    /// Operators from the number `next` on belong to these relations, or to a node of theirs.
    pub fn turn_to(
        &mut self,
        relations: &[String],
        node: Option<NodePlace>,
        next: usize,
    ) -> Before {
        let is_known = |it: &Owner| it.relations == relations && it.node == node;
        let known = self.all.iter().position(is_known);
        let owner = known.unwrap_or_else(|| {
            let relations = relations.to_vec();
            self.all.push(Owner { relations, node });
            self.all.len() - 1
        });
        self.from.push((next, Some(owner)));
        Before(self.now.replace(owner))
    }

    /// Operators from the number `next` on belong to a node of the same relations, or to none of their nodes.
    pub fn turn_to_node(&mut self, node: Option<NodePlace>, next: usize) -> Before {
        let now = self.now.map(|it| self.all[it].relations.clone());
        self.turn_to(&now.unwrap_or_default(), node, next)
    }

    /// Operators from the number `next` on belong to whom they belonged before.
    pub fn turn_back(&mut self, before: Before, next: usize) {
        self.now = before.0;
        self.from.push((next, self.now));
    }

    /// From now on it is asked what this keeps.
    pub fn keep<K: Keeps + 'static>(&mut self, state: K) -> Rc<RefCell<K>> {
        let state = Rc::new(RefCell::new(state));
        self.keepers.extend(self.now.map(|owner| Keeper {
            owner,
            state: Rc::clone(&state) as Rc<RefCell<dyn Keeps>>,
        }));
        state
    }

    /// Whose each operator is, by its number; those that are there for all of the dataflow are nobody's.
    fn by_operator(&self, end: usize) -> Vec<Option<usize>> {
        let mut owners = vec![None; end];
        for (at, (first, owner)) in self.from.iter().enumerate() {
            let last = self.from.get(at + 1).map_or(end, |it| it.0);
            owners[*first..last].fill(*owner);
        }
        owners
    }
}

/// How often it is asked what operators keep.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What one worker tells of its relations.
pub(super) struct Meter {
    numbers: Arc<OfWorker>,
    keepers: Vec<Keeper>,
    asked: Option<Instant>,
}

impl Meter {
    /// All operators are made; the next one would have this number.
    pub fn new(
        owners: Owners,
        worker: usize,
        end: usize,
        costs: &Costs,
        busy: &busy::Busy,
    ) -> Self {
        let by_operator = owners.by_operator(end);
        let Owners { all, keepers, .. } = owners;
        let numbers = costs.add(worker, all);
        busy.begin(by_operator, Arc::clone(&numbers));
        Meter {
            numbers,
            keepers,
            asked: None,
        }
    }

    /// Tells what operators keep, if it was not told within the last second.
    pub fn tell(&mut self) {
        let now = Instant::now();
        if self
            .asked
            .is_some_and(|it| now.duration_since(it) < ASK_EVERY)
        {
            return;
        }
        self.asked = Some(now);
        let mut held = vec![Held::default(); self.numbers.owners.len()];
        for keeper in &self.keepers {
            held[keeper.owner] += keeper.state.borrow_mut().held();
        }
        for (held, (_, numbers)) in held.into_iter().zip(&self.numbers.owners) {
            numbers.rows.store(held.rows as u64, Ordering::Relaxed);
            numbers.bytes.store(held.bytes as u64, Ordering::Relaxed);
        }
    }
}

/// Which relations read each node and aggregation that may be shared, by its id.
pub(super) fn sharers(dataflow: &Dataflow) -> BTreeMap<String, BTreeSet<String>> {
    let mut sharers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tables = dataflow.tables.iter().map(|it| (&it.name, &it.plan));
    let views = dataflow.views.iter().map(|it| (&it.name, &it.plan));
    for (relation, plan) in tables.chain(views) {
        plan.walk(&mut |node: &Plan| {
            if let Some(id) = node.id() {
                let of_node = sharers.entry(id.to_owned()).or_default();
                of_node.insert(relation.clone());
            }
        });
    }
    sharers
}

/// The relations that read one of a pass' aggregations.
pub(super) fn sharers_of_pass(
    pass: &Pass,
    sharers: &BTreeMap<String, BTreeSet<String>>,
) -> Sharers {
    let ids = pass
        .aggregations
        .iter()
        .filter_map(|it| sharers.get(&it.id));
    let all: BTreeSet<&String> = ids.flatten().collect();
    all.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
