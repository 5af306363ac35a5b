//! The dataflow as a graph: its parts with what is known of each, and who reads whom.

use super::super::App;
use super::super::status::{Health, Status};
use super::costs::{Cost, Limit};
use super::{PartitionReport, SourceReport, ThreadReport};
use crate::plan::{DEAD_LETTER_RELATION, Dataflow, LATE_RELATION};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// A part of the dataflow.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Node {
    pub id: String,
    /// `source`, `table`, `dead letters`, `view` or `lake`.
    pub kind: String,
    pub name: String,
    /// Records that were ever read of a source, live rows of a view.
    pub rows: Option<u64>,
    /// By how many rows an hour a view grows, over some minutes.
    pub rows_per_hour: Option<f64>,
    /// Decoded records a second of a source or a table with all of them, undecoded ones of the table of dead letters, changes a second of a view.
    pub per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Of a source: share of a core that its busiest reader thread used.
    pub busy: Option<f64>,
    /// Of a source: how much more the partition that is read most gets than the mean one; null with one partition, or while none is read.
    pub skew: Option<f64>,
    /// Share of a worker's second in which its operators ran or waited for a core, over the last seconds: the mean over the workers of this process. What it shares
    /// with others is told apart. Null for what no worker computes, and at first.
    pub busy_share: Option<f64>,
    /// The same of the worker that had most of it.
    pub busy_share_max_worker: Option<f64>,
    /// The share of that worker as a multiple of the mean; null with one worker, or while it costs nothing.
    pub busy_skew: Option<f64>,
    /// Rows, groups and members of sets that its operators keep in this process, and live rows; and the memory they take.
    pub state_rows: Option<u64>,
    pub state_bytes: Option<u64>,
    /// `time` if a worker is at its limit and has most of its work here, `memory` if most of a large state is here.
    pub limits: Option<Limit>,
    /// How a source or the lake is, in a few words.
    pub headline: Option<String>,
    pub sql: Option<String>,
    /// How a table is computed; of a view `/api/v1/views/{view}/plan` tells that.
    pub plan: Option<String>,
    pub retention_seconds: Option<i64>,
    pub version: Option<i64>,
    pub health: Health,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// Records or changes a second that leave `from`, all of which `to` reads.
    pub per_second: Option<f64>,
}

/// All parts, and who reads whom.
pub(super) fn graph(
    app: &App,
    status: &Status,
    sources: &[SourceReport],
    threads: &[ThreadReport],
    growth: &HashMap<String, f64>,
    costs: &[Cost],
) -> (Vec<Node>, Vec<Edge>) {
    let dataflow = &app.dataflow;
    let component = |name: &str| status.components.iter().find(|it| it.name == name);
    let health = |name: &str| component(name).map_or(Health::Ok, |it| it.status);
    let version = |name: &str| status.commit.as_ref()?.versions.get(name).copied();
    let report = |name: &str| sources.iter().find(|it| it.name == name);
    let node = |kind: &str, name: &str| Node {
        id: format!("{kind}:{name}"),
        kind: kind.to_owned(),
        name: name.to_owned(),
        health: Health::Ok,
        ..Node::default()
    };
    let names: Vec<&str> = dataflow.sources.iter().map(|it| it.name.as_str()).collect();
    let mut nodes = Vec::new();
    for source in &dataflow.sources {
        let report = report(&source.name);
        nodes.push(Node {
            rows: report.map(|it| it.records),
            per_second: report.and_then(|it| it.records_per_second),
            bytes_per_second: report.and_then(|it| it.bytes_per_second),
            busy: busy(&source.name, &names, threads),
            skew: report.and_then(|it| skew(&it.partitions)),
            headline: report.map(|it| it.headline.clone()),
            health: health(&format!("source {}", source.name)),
            ..node("source", &source.name)
        });
    }
    for table in &dataflow.tables {
        let is_of_letters = table.source.is_empty();
        let undecoded = sources.iter().filter_map(|it| it.undecoded_per_second);
        nodes.push(Node {
            per_second: match is_of_letters {
                true => undecoded.reduce(|sum, it| sum + it),
                false if table.keeps_all() => {
                    report(&table.source).and_then(|it| it.records_per_second)
                }
                false => None,
            },
            plan: Some(table.plan.to_string()),
            version: version(&table.name),
            kind: if is_of_letters {
                "dead letters"
            } else {
                "table"
            }
            .to_owned(),
            ..node("table", &table.name)
        });
    }
    let rates = app.hub.change_rates(10);
    let rows: HashMap<String, usize> = app
        .hub
        .views()
        .into_iter()
        .map(|(it, rows)| (it.name, rows))
        .collect();
    for view in &dataflow.views {
        let lacks_rows = component(&format!("relation {}", view.name));
        nodes.push(Node {
            rows: rows.get(&view.name).map(|it| *it as u64),
            rows_per_hour: growth.get(&view.name).copied(),
            per_second: rates.get(&view.name).copied(),
            sql: Some(view.sql.clone()),
            retention_seconds: Some(view.retention_us / 1_000_000),
            version: version(&view.name),
            headline: lacks_rows.map(|it| it.headline.clone()),
            health: lacks_rows.map_or_else(|| health("engine"), |it| it.status),
            ..node("view", &view.name)
        });
    }
    nodes.push(Node {
        id: "lake".to_owned(),
        version: status
            .commit
            .as_ref()
            .and_then(|it| i64::try_from(it.number).ok()),
        headline: component("lake").map(|it| it.headline.clone()),
        health: health("lake"),
        ..node("lake", "lake")
    });
    for node in &mut nodes {
        let is_own = |it: &&Cost| *it.relations == [node.name.as_str()];
        if let Some(cost) = costs.iter().find(is_own) {
            node.busy_share = cost.busy_share;
            node.busy_share_max_worker = cost.busy_share_max_worker;
            node.busy_skew = cost.busy_skew;
            node.state_rows = Some(cost.state_rows);
            node.state_bytes = Some(cost.state_bytes);
            node.limits = cost.limits;
        }
    }
    let mut edges = edges(dataflow);
    for edge in &mut edges {
        let from = nodes.iter().find(|it| it.id == edge.from);
        edge.per_second = from.and_then(|it| it.per_second);
    }
    (nodes, edges)
}

/// Linux keeps so many bytes of a thread's name.
const THREAD_NAME_BYTES: usize = 15;

/// What the busiest reader of a source uses. Names of threads are cut, so those of two sources may look the same: then it is not known.
fn busy(source: &str, all: &[&str], threads: &[ThreadReport]) -> Option<f64> {
    let cut = |name: &str| {
        let name = format!("read-{name}-").into_bytes();
        name[..name.len().min(THREAD_NAME_BYTES)].to_vec()
    };
    let own = cut(source);
    let looks_alike = |other: &str| {
        let other = cut(other);
        other.starts_with(&own) || own.starts_with(&other)
    };
    let mut others = all.iter().filter(|it| **it != source);
    if others.any(|it| looks_alike(it)) {
        return None;
    }
    let readers = threads
        .iter()
        .filter(|it| it.name.as_bytes().starts_with(&own));
    readers.map(|it| it.busy).reduce(f64::max)
}

/// By how much the partition that is read most exceeds the mean.
fn skew(partitions: &[PartitionReport]) -> Option<f64> {
    let rates: Vec<f64> = partitions
        .iter()
        .filter_map(|it| it.read_per_second)
        .collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let most = rates.iter().copied().reduce(f64::max)?;
    (1 < rates.len() && 0.0 < mean).then(|| most / mean)
}

/// Who reads whom; tables and stored views end in the lake.
fn edges(dataflow: &Dataflow) -> Vec<Edge> {
    let id = |name: &str| {
        if dataflow.sources.iter().any(|it| it.name == name) {
            Some(format!("source:{name}"))
        } else if dataflow.tables.iter().any(|it| it.name == name) {
            Some(format!("table:{name}"))
        } else if dataflow.view(name).is_some() {
            Some(format!("view:{name}"))
        } else {
            None
        }
    };
    let mut edges: Vec<Edge> = Vec::new();
    let mut add = |from: String, to: &str| {
        let edge = Edge {
            from,
            to: to.to_owned(),
            per_second: None,
        };
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    };
    let named = |relations: Vec<String>, to: &str, add: &mut dyn FnMut(String, &str)| {
        for relation in relations {
            // What cannot be decoded or comes too late is counted where records are read.
            if relation == DEAD_LETTER_RELATION || relation == LATE_RELATION {
                for source in &dataflow.sources {
                    add(format!("source:{}", source.name), to);
                }
            } else if let Some(from) = id(&relation) {
                add(from, to);
            }
        }
    };
    for table in &dataflow.tables {
        let to = format!("table:{}", table.name);
        named(table.plan.relations(), &to, &mut add);
        add(to.clone(), "lake");
    }
    for view in &dataflow.views {
        let to = format!("view:{}", view.name);
        named(view.plan.relations(), &to, &mut add);
        if view.stored {
            add(to.clone(), "lake");
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(name: &str, busy: f64) -> ThreadReport {
        ThreadReport {
            name: name.to_owned(),
            role: "reader".to_owned(),
            busy,
        }
    }

    #[test]
    fn a_source_is_as_busy_as_its_busiest_reader() {
        let threads = [
            thread("read-web_logs-0", 0.2),
            thread("read-web_logs-1", 0.7),
            thread("read-a-0", 0.9),
        ];
        let alone = ["web_logs", "a"];
        assert_eq!(busy("web_logs", &alone, &threads), Some(0.7));
        assert_eq!(busy("a", &alone, &threads), Some(0.9));
        // Cut to fifteen bytes, threads of these are called the same.
        let alike = ["payments_in_euro", "payments_in_pounds"];
        let threads = [thread("read-payments_i", 0.5)];
        assert_eq!(busy("payments_in_euro", &alike, &threads), None);
        let single = ["payments_in_euro"];
        assert_eq!(busy("payments_in_euro", &single, &threads), Some(0.5));
    }
}
