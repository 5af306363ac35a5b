//! What each relation costs this process: what its workers tell of it, and its live rows.

pub use crate::engine::NodePlace;
use crate::engine::{Cost, Costs};
use crate::view::Hub;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a relation costs, or several that share operators do together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelationCost {
    /// Mostly one; in the order of their names.
    pub relations: Vec<String>,
    /// What operators keep, and live rows with their recent changes.
    pub rows: u64,
    pub bytes: u64,
    /// Of each worker of this process, by number: how long operators have run, in nanoseconds, and the bytes that they keep.
    pub workers: Vec<(usize, u64, u64)>,
}

impl RelationCost {
    /// The relation's name, or all of them.
    pub fn name(&self) -> String {
        self.relations.join(", ")
    }
}

/// What a node of a plan costs all workers of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCost {
    /// What its operators keep.
    pub rows: u64,
    pub bytes: u64,
    /// How long they have run, in nanoseconds, and the changes of rows they have handed on.
    pub busy_ns: u64,
    pub emitted: u64,
}

/// By place; a node that several relations share has the place where it is rendered.
pub type NodeCosts = BTreeMap<NodePlace, NodeCost>;

/// Where it is told.
#[derive(Clone)]
pub struct CostsOfRelations {
    costs: Arc<Costs>,
    hub: Arc<Hub>,
}

impl CostsOfRelations {
    pub fn new(costs: Arc<Costs>, hub: Arc<Hub>) -> Self {
        CostsOfRelations { costs, hub }
    }

    /// What was told last, in the order in which relations are rendered: sources, tables, views.
    pub fn now(&self) -> Vec<RelationCost> {
        let mut all: Vec<RelationCost> = Vec::new();
        for cost in self.costs.now() {
            let Cost {
                worker,
                relations,
                busy_ns,
                rows,
                bytes,
                node: _,
                emitted: _,
            } = cost;
            let of_relations = of(&mut all, relations);
            of_relations.rows += rows;
            of_relations.bytes += bytes;
            let workers = &mut of_relations.workers;
            match workers.iter_mut().find(|it| it.0 == worker) {
                Some(it) => *it = (worker, it.1 + busy_ns, it.2 + bytes),
                None => workers.push((worker, busy_ns, bytes)),
            }
        }
        for (view, held) in self.hub.held() {
            let of_view = of(&mut all, vec![view]);
            of_view.rows += held.rows as u64;
            of_view.bytes += held.bytes as u64;
        }
        all
    }

    /// The same of each node of their plans.
    pub fn of_nodes(&self) -> NodeCosts {
        let mut all = NodeCosts::new();
        for cost in self.costs.now() {
            let Some(place) = cost.node else { continue };
            let node = all.entry(place).or_default();
            node.rows += cost.rows;
            node.bytes += cost.bytes;
            node.busy_ns += cost.busy_ns;
            node.emitted += cost.emitted;
        }
        all
    }
}

fn of(all: &mut Vec<RelationCost>, relations: Vec<String>) -> &mut RelationCost {
    let known = all.iter().position(|it| it.relations == relations);
    let at = known.unwrap_or_else(|| {
        all.push(RelationCost {
            relations,
            ..RelationCost::default()
        });
        all.len() - 1
    });
    &mut all[at]
}
