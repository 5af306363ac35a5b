//! `/api/v1/views/{view}/plan`, and what EXPLAIN says of a live view: the plan that runs, and what each of its nodes does and keeps now.
//!
//! A node that several views share is told in each of them, with the numbers of the one that it is.

use super::super::App;
use super::super::problem::Problem;
use super::super::views;
use super::costs::memory;
use super::samples::window;
use crate::coordinator::costs::{NodeCost, NodeCosts, NodePlace};
use crate::plan::{Dataflow, Plan, ViewSpec, lines};
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The plan of a live view, as it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ViewPlan {
    view: String,
    epoch: u64,
    /// Until when its rows change and are live.
    lifetime: String,
    /// Each before those that it reads.
    nodes: Vec<PlanNode>,
}

/// One node, and what it costs this process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
struct PlanNode {
    /// How many nodes of the plan come before it: what it is told apart by.
    number: usize,
    /// How many nodes it is below the result.
    depth: usize,
    /// What it does, what it keeps, and until when.
    text: String,
    /// The relations that share it, if several do.
    shared_by: Vec<String>,
    /// It was told above, with what it reads.
    repeated: bool,
    /// Changes of rows that it handed on in a second, over the last ones. Null at first, and where its work is done in one pass with that of others.
    changes_per_second: Option<f64>,
    /// Share of a worker's second in which it ran, summed over all workers: 2 is two of them. Null as above.
    busy_share: Option<f64>,
    /// Rows, groups and members of sets that it keeps.
    state_rows: Option<u64>,
    /// The memory they take.
    state_bytes: Option<u64>,
}

pub async fn plan(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<JsonBody<ViewPlan>, Problem> {
    views::find(&app, &name)?;
    let view = app.dataflow.view(&name);
    let nodes = view.map(|it| Told::now(&app).nodes(&it.name, &it.plan));
    Ok(JsonBody(ViewPlan {
        epoch: app.hub.epoch().0,
        lifetime: view.map(ViewSpec::lifetime).unwrap_or_default(),
        nodes: nodes.unwrap_or_default(),
        view: name,
    }))
}

/// The plans of all live views in words, by name.
pub(super) fn in_words(app: &App) -> BTreeMap<String, String> {
    let told = Told::now(app);
    let views = app.dataflow.views.iter();
    let words = |nodes: Vec<PlanNode>| {
        let lines: Vec<String> = nodes.iter().map(PlanNode::words).collect();
        lines.join("\n")
    };
    views
        .map(|it| (it.name.clone(), words(told.nodes(&it.name, &it.plan))))
        .collect()
}

/// What is known of all nodes.
struct Told {
    now: NodeCosts,
    /// What they cost some seconds ago, and how many.
    before: Option<(NodeCosts, f64)>,
    /// Where nodes of a name are rendered, and which relations have them.
    shared: BTreeMap<String, (NodePlace, BTreeSet<String>)>,
}

impl Told {
    fn now(app: &App) -> Told {
        let window = app.samples.with(|samples| {
            let (first, last) = window(samples)?;
            let seconds = last.at.duration_since(first.at).as_secs_f64();
            Some((first.nodes.clone(), last.nodes.clone(), seconds))
        });
        let (before, now) = match window {
            Some((first, last, seconds)) => (Some((first, seconds)), last),
            None => (None, app.status.costs_of_nodes()),
        };
        Told {
            now,
            before,
            shared: shared(&app.dataflow),
        }
    }

    fn nodes(&self, relation: &str, plan: &Plan) -> Vec<PlanNode> {
        let all = lines(plan);
        let mut nodes = Vec::with_capacity(all.len());
        // A node that is rendered elsewhere, with what is below it.
        let mut elsewhere: Option<(NodePlace, usize, usize)> = None;
        for line in all {
            let shared = line.node.id().and_then(|it| self.shared.get(it));
            if let Some((place, _)) = shared {
                elsewhere = Some((place.clone(), line.number, line.number + line.node.size()));
            }
            let place = match &elsewhere {
                Some((place, from, to)) if (*from..*to).contains(&line.number) => NodePlace {
                    relation: place.relation.clone(),
                    number: place.number + line.number - from,
                },
                Some(_) | None => NodePlace {
                    relation: relation.to_owned(),
                    number: line.number,
                },
            };
            let cost = self.now.get(&place);
            let rates = self.rates(&place);
            let sharers = shared.map(|it| &it.1).filter(|it| 1 < it.len());
            nodes.push(PlanNode {
                number: line.number,
                depth: line.depth,
                text: line.node.to_string(),
                shared_by: sharers.into_iter().flatten().cloned().collect(),
                repeated: line.is_repeated,
                changes_per_second: rates.map(|it| it.0),
                busy_share: rates.map(|it| it.1),
                state_rows: cost.map(|it| it.rows),
                state_bytes: cost.map(|it| it.bytes),
            });
        }
        nodes
    }

    /// Changes per second, and seconds of workers per second.
    fn rates(&self, place: &NodePlace) -> Option<(f64, f64)> {
        let (before, seconds) = self.before.as_ref()?;
        let now = self.now.get(place)?;
        let before = before.get(place)?;
        let rose = |of: fn(&NodeCost) -> u64| of(now).saturating_sub(of(before)) as f64 / seconds;
        Some((rose(|it| it.emitted), rose(|it| it.busy_ns) / 1e9))
    }
}

/// Where the engine renders nodes that have a name, which is where they come first, and whose they are.
fn shared(dataflow: &Dataflow) -> BTreeMap<String, (NodePlace, BTreeSet<String>)> {
    let mut shared = BTreeMap::new();
    let tables = dataflow.tables.iter().map(|it| (&it.name, &it.plan));
    let views = dataflow.views.iter().map(|it| (&it.name, &it.plan));
    for (relation, plan) in tables.chain(views) {
        let mut number = 0;
        plan.walk(&mut |node| {
            if let Some(id) = node.id() {
                let relation = relation.clone();
                let place = NodePlace { relation, number };
                let known = shared.entry(id.to_owned());
                let known = known.or_insert_with(|| (place.clone(), BTreeSet::new()));
                known.1.insert(place.relation);
            }
            number += 1;
        });
    }
    shared
}

impl PlanNode {
    fn words(&self) -> String {
        let mut facts = Vec::new();
        if let (Some(changes), Some(busy)) = (self.changes_per_second, self.busy_share) {
            facts.push(format!("{changes:.1} changes/s"));
            facts.push(format!("busy {:.1} %", busy * 100.0));
        }
        if let (Some(rows), Some(bytes)) = (self.state_rows, self.state_bytes)
            && 0 < rows
        {
            let noun = if rows == 1 { "row" } else { "rows" };
            facts.push(format!("keeps {rows} {noun}, {}", memory(bytes)));
        }
        let facts = match facts.is_empty() {
            true => String::new(),
            false => format!("  [{}]", facts.join("; ")),
        };
        let indent = "  ".repeat(self.depth);
        let text = &self.text;
        match (self.repeated, self.shared_by.is_empty()) {
            (true, _) => format!("{indent}{text}; the same as above"),
            (false, true) => format!("{indent}{text}{facts}"),
            (false, false) => {
                format!(
                    "{indent}{text}; shared by {}{facts}",
                    self.shared_by.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    async fn planned() -> Dataflow {
        let text = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW a AS SELECT l.k, l.n, r.n AS m FROM raw l JOIN raw r ON l.k = r.k WHERE l.n > 1;
CREATE MATERIALIZED VIEW b AS SELECT k, count(*) AS c FROM raw GROUP BY k;
";
        sql::plan_text("test", text, |_| None).await.unwrap()
    }

    /// Each node has numbers of its own: here its place among all.
    #[tokio::test]
    async fn nodes_have_the_numbers_of_where_they_are_rendered() {
        let dataflow = planned().await;
        let cost = |rows: usize| NodeCost {
            rows: rows as u64,
            bytes: 10 << 20,
            busy_ns: rows as u64 * 1_000_000_000,
            emitted: 100 * rows as u64,
        };
        let of_view = |it: &ViewSpec| {
            let relation = it.name.clone();
            (0..it.plan.size()).map(move |number| {
                let relation = relation.clone();
                (NodePlace { relation, number }, cost(number))
            })
        };
        let told = Told {
            now: dataflow.views.iter().flat_map(of_view).collect(),
            before: None,
            shared: shared(&dataflow),
        };
        for view in &dataflow.views {
            let nodes = told.nodes(&view.name, &view.plan);
            let numbers: Vec<Option<u64>> = nodes.iter().map(|it| it.state_rows).collect();
            let expected: Vec<Option<u64>> = (0..nodes.len() as u64).map(Some).collect();
            assert_eq!(numbers, expected, "{}", view.name);
            assert!(nodes.iter().all(|it| it.busy_share.is_none()));
        }
        let later = Told {
            before: Some((
                NodeCosts::from_iter(told.now.keys().map(|it| (it.clone(), NodeCost::default()))),
                10.0,
            )),
            ..told
        };
        let b = dataflow.view("b").unwrap();
        let nodes = later.nodes("b", &b.plan);
        let last = nodes.last().unwrap();
        let number = (nodes.len() - 1) as f64;
        assert_eq!(last.changes_per_second, Some(10.0 * number));
        assert_eq!(last.busy_share, Some(number / 10.0));
        let words = last.words();
        let noun = if number == 1.0 { "row" } else { "rows" };
        let expected = format!(
            "  [{:.1} changes/s; busy {:.1} %; keeps {number} {noun}, 10.0 MiB]",
            10.0 * number,
            10.0 * number
        );
        assert!(words.ends_with(&expected), "{words}");
        let second = nodes[1].words();
        assert!(second.ends_with("keeps 1 row, 10.0 MiB]"), "{second}");
    }
}
