//! What a view does, for people: by what it groups, what it keeps in memory and for how long, and what of that grows without bound.
//!
//! `explain` shows the operators; here is only what an author decides by. Columns are named as the view names them.

use super::explain::{false_alerts, readable, span};
use super::{
    BoundKind, Dataflow, GroupWindow, JoinKind, Plan, Ranking, Timescale, ViewKind, ViewSpec,
    Window, properties,
};
use datafusion::physical_expr::expressions::Column;
use std::collections::BTreeSet;

/// What a view does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// What it reads.
    pub from: Vec<String>,
    /// Columns that it groups by; none if it does not group, `all rows` of one group.
    pub by: Option<Vec<String>>,
    /// How rows are brought together: joins, the first of an order, what is detected.
    pub how: Vec<String>,
    /// What it keeps in memory, and until when.
    pub keeps: Vec<String>,
    /// What of it grows without bound, and what to do about that.
    pub grows: Vec<String>,
    /// When its rows are final, and how long they are live.
    pub rows: String,
}

impl Dataflow {
    /// What a view does.
    pub fn description(&self, view: &ViewSpec) -> Description {
        let mut description = Description {
            from: from(&view.plan),
            rows: rows(view),
            ..Description::default()
        };
        let schema = view.plan.schema();
        let names = schema.fields().iter().map(|it| Some(it.name().clone()));
        let mut walk = Walk {
            description: &mut description,
            seen: BTreeSet::new(),
        };
        walk.node(&view.plan, &names.collect::<Vec<_>>());
        let records = self.records_kept_for_ever(view).into_iter();
        description
            .grows
            .extend(records.map(|it| format!("with {it}")));
        for list in [
            &mut description.how,
            &mut description.keeps,
            &mut description.grows,
        ] {
            let mut known = BTreeSet::new();
            list.retain(|it| known.insert(it.clone()));
        }
        description
    }

    /// Which single records a view keeps for ever.
    pub(super) fn records_kept_for_ever(&self, view: &ViewSpec) -> Vec<String> {
        let is_of_records =
            |plan: &Plan| !properties(plan, &|it: &str| self.properties(it)).aggregated;
        let names = |plan: &Plan| plan.relations().join(", ");
        let mut growing = Vec::new();
        view.plan.walk(&mut |node| match node {
            Plan::Join {
                left, right, join, ..
            } if join.window.is_none() => {
                for side in [left, right].into_iter().filter(|it| is_of_records(it)) {
                    growing.push(format!(
                        "the records of {} for its join; group them first, join the bounds of windows, or accept it",
                        names(side)
                    ));
                }
            }
            Plan::AsOf { left, right, .. } => {
                for side in [left, right].into_iter().filter(|it| is_of_records(it)) {
                    growing.push(format!("the records of {} for its ASOF join", names(side)));
                }
            }
            Plan::PerGroup { input, group, .. }
                if group.window.is_none()
                    && group.ranking.as_ref().and_then(Ranking::kept_up_to).is_none()
                    && is_of_records(input) =>
            {
                let anew = match group.ranking {
                    Some(_) => "",
                    None => ", and computes a group anew when it changes",
                };
                growing.push(format!(
                    "the records of {} for {}{anew}",
                    names(input),
                    readable(&group.program.text)
                ));
            }
            Plan::Relation { .. }
            | Plan::Constant { .. }
            | Plan::Unnest { .. }
            | Plan::Map { .. }
            | Plan::Aggregate { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Join { .. }
            | Plan::PerGroup { .. }
            | Plan::Temporal { .. }
            | Plan::Detect { .. }
            | Plan::Incidents { .. }
            | Plan::Admit { .. } => {}
        });
        // A self join is listed once.
        growing.dedup();
        growing
    }
}

fn from(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in plan.relations() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn rows(view: &ViewSpec) -> String {
    let live = span(view.retention_us);
    let stored = match view.stored {
        true => "in the lake for ever",
        false => "not in the lake",
    };
    match (view.kind, &view.emitted) {
        (_, Some(_)) => format!("come when their window closes; live for {live}, {stored}"),
        (ViewKind::Windowed { .. }, None) => {
            format!("final when their window closes; live for {live}, {stored}")
        }
        (ViewKind::Records, None) => format!("final when they come; live for {live}, {stored}"),
        (ViewKind::Open, None) => "may change at any time".to_owned(),
    }
}

/// Goes down a plan, with the names that the view has for the columns of the node.
struct Walk<'a> {
    description: &'a mut Description,
    seen: BTreeSet<String>,
}

type Names = [Option<String>];

impl Walk<'_> {
    fn node(&mut self, plan: &Plan, names: &Names) {
        if plan.id().is_some_and(|it| !self.seen.insert(it.to_owned())) {
            return;
        }
        let below = below(plan, names);
        self.tell(plan, names, &below);
        for input in plan.inputs() {
            let own = input.schema();
            // Beside each other, or under names that nobody sees.
            match below.len() == own.fields().len() {
                true => self.node(input, &below),
                false => self.node(input, &vec![None; own.fields().len()]),
            }
        }
    }

    fn tell(&mut self, plan: &Plan, names: &Names, below: &Names) {
        let description = &mut *self.description;
        match plan {
            Plan::Aggregate { aggregation, .. } => {
                let schema = plan.schema();
                let keys =
                    (0..aggregation.keys.len()).map(|it| named(names, it, schema.field(it).name()));
                let keys: Vec<String> = keys.collect();
                let by = keys.join(", ");
                match aggregation.window {
                    Window::Tumble { size_us, .. } => {
                        let several = aggregation.hops.as_ref().map_or(String::new(), |it| {
                            format!(", of which a record is in {}", it.offsets_us.len())
                        });
                        description.keeps.push(format!(
                            "groups of open windows of {}{several}",
                            span(size_us)
                        ));
                    }
                    Window::Last {
                        size_us, step_us, ..
                    } => description.keeps.push(format!(
                        "the last {}, in steps of {}",
                        span(size_us),
                        span(step_us)
                    )),
                    Window::None if keys.is_empty() => {
                        description.keeps.push("one row, for ever".to_owned());
                    }
                    Window::None => {
                        description
                            .keeps
                            .push(format!("one row for each ({by}), for ever"));
                        description.grows.push(format!(
                            "with each new ({by}); group by a window, or accept it"
                        ));
                    }
                }
                description.by.get_or_insert(keys);
            }
            Plan::TopK {
                input,
                order,
                skip,
                limit,
                append_only,
            } => {
                let schema = input.schema();
                let order = order.iter().map(|it| {
                    let name = named(names, it.column, schema.field(it.column).name());
                    match it.descending {
                        true => format!("{name}, descending"),
                        false => name,
                    }
                });
                let order = order.collect::<Vec<_>>().join(", ");
                let after = match skip {
                    0 => String::new(),
                    _ => format!(" after {skip}"),
                };
                description
                    .how
                    .push(format!("the first {limit}{after} by {order}"));
                description.keeps.push(match append_only {
                    true => format!("{} rows per worker", skip + limit),
                    false => format!("the rows of {}", from(input).join(", ")),
                });
            }
            Plan::Join {
                left, right, join, ..
            } => {
                let (l, r) = (left.schema(), right.schema());
                let on =
                    join.on
                        .iter()
                        .map(|(a, b)| match (l.field(*a).name(), r.field(*b).name()) {
                            (a, b) if a == b => readable(a),
                            (a, b) => format!("{} = {}", readable(a), readable(b)),
                        });
                let on = on.collect::<Vec<_>>().join(", ");
                let sides = (from(left).join(", "), from(right).join(", "));
                let word = match join.kind {
                    JoinKind::Inner => "join",
                    JoinKind::Left => "left join",
                    JoinKind::Full => "full join",
                    JoinKind::Semi => "rows with a match: join",
                    JoinKind::Anti => "rows without a match: join",
                    JoinKind::Mark => "whether there is a match: join",
                };
                description.how.push(match on.is_empty() {
                    true => format!("{word} of {} with {}, every pair", sides.0, sides.1),
                    false => format!("{word} of {} with {} on {on}", sides.0, sides.1),
                });
                description.keeps.push(match join.window {
                    Some(_) => "both sides of the join until their window is over".to_owned(),
                    None => "both sides of the join, for ever".to_owned(),
                });
            }
            Plan::AsOf { left, right, .. } => {
                description.how.push(format!(
                    "each row of {} with the nearest in time of {}",
                    from(left).join(", "),
                    from(right).join(", ")
                ));
                description
                    .keeps
                    .push("both sides in the order of time, for ever".to_owned());
            }
            Plan::PerGroup { input, group, .. } => {
                let schema = input.schema();
                let keys = group
                    .keys
                    .iter()
                    .map(|it| readable(schema.field(*it).name()));
                let keys = keys.collect::<Vec<_>>().join(", ");
                let text = readable(&group.program.text);
                let (of, each) = match keys.is_empty() {
                    true => ("over all rows".to_owned(), "all rows".to_owned()),
                    false => (
                        format!("for each ({keys})"),
                        format!("the rows of each ({keys})"),
                    ),
                };
                description.how.push(format!("{of}: {text}"));
                let kept = group.ranking.as_ref().and_then(Ranking::kept_up_to);
                let until = match (group.window, kept) {
                    (Some(GroupWindow::OfKey { .. }), _) => "until their window is over".to_owned(),
                    (Some(GroupWindow::OfSession { .. }), _) => {
                        "until their session is over".to_owned()
                    }
                    (None, Some(limit)) => format!("up to rank {}", limit.greatest),
                    (None, None) => "for ever".to_owned(),
                };
                description.keeps.push(format!("{each}, {until}"));
            }
            Plan::Temporal { temporal, .. } => {
                let ends = temporal.bounds.iter().any(|it| it.kind.ends());
                let last = temporal.bounds.iter().find_map(|it| match it.kind {
                    BoundKind::Last { size_us, .. } => Some(span(size_us)),
                    BoundKind::From { .. } | BoundKind::Until { .. } => None,
                });
                description.keeps.push(match (temporal.time, last) {
                    (Timescale::Watermark, _) => "rows until their window is over".to_owned(),
                    (Timescale::Now, Some(last)) => format!("rows of the last {last}"),
                    (Timescale::Now, None) => match (temporal.keeps, ends) {
                        (true, true) => "rows until their time is up".to_owned(),
                        (true, false) => "its input, for ever".to_owned(),
                        (false, _) => "rows that wait for their time".to_owned(),
                    },
                });
            }
            Plan::Detect { detection, .. } => {
                let metrics = detection.metrics.iter();
                let metrics = metrics.map(|it| format!("{} {}", it.kind.name(), it.name));
                let keys = detection.keys.iter().map(|it| named(below, *it, "key"));
                let keys: Vec<String> = keys.collect();
                let season = match detection.season_us {
                    Some(it) => format!("season of {}", span(it)),
                    None => "no season".to_owned(),
                };
                description.how.push(format!(
                    "anomalies in {}; {season}, {}",
                    metrics.collect::<Vec<_>>().join(", "),
                    false_alerts(detection.alerts_per_day)
                ));
                let of = match keys.is_empty() {
                    true => String::new(),
                    false => format!(" for each ({})", keys.join(", ")),
                };
                description.keeps.push(format!(
                    "what is usual{of}, and some 64 windows of {}",
                    span(detection.grid.size_us)
                ));
                if !keys.is_empty() {
                    description.by.get_or_insert(keys);
                }
            }
            Plan::Incidents { incidents, .. } => {
                description.how.push(format!(
                    "anomalies of one key and metric together, over after {} quiet windows",
                    incidents.rule.cool_down_windows
                ));
                description.keeps.push("open incidents".to_owned());
            }
            Plan::Unnest { .. } => {
                description
                    .how
                    .push("one row for each element of a list".to_owned());
            }
            Plan::Relation { .. }
            | Plan::Constant { .. }
            | Plan::Map { .. }
            | Plan::Union { .. }
            | Plan::Admit { .. } => {}
        }
    }
}

/// The view's name of a column, or its own.
fn named(names: &Names, column: usize, own: &str) -> String {
    let name = names.get(column).cloned().flatten();
    name.unwrap_or_else(|| readable(own))
}

/// The view's names of the columns below a node.
fn below(plan: &Plan, names: &Names) -> Vec<Option<String>> {
    match plan {
        Plan::Map { input, columns, .. } => {
            let mut below = vec![None; input.schema().fields().len()];
            for (column, name) in columns.iter().zip(names) {
                if let Some(column) = column.downcast_ref::<Column>() {
                    below[column.index()].get_or_insert_with(|| name.clone().unwrap_or_default());
                }
            }
            below
                .into_iter()
                .map(|it| it.filter(|it: &String| !it.is_empty()))
                .collect()
        }
        Plan::Union { .. } | Plan::TopK { .. } | Plan::Temporal { .. } | Plan::Admit { .. } => {
            names.to_vec()
        }
        Plan::Detect {
            input, detection, ..
        } => {
            // Keys come first in the rows of a detector.
            let mut below = vec![None; input.schema().fields().len()];
            for (at, key) in detection.keys.iter().enumerate() {
                below[*key] = names.get(at).cloned().flatten();
            }
            below
        }
        Plan::Aggregate {
            input, aggregation, ..
        } => {
            let mut below = vec![None; input.schema().fields().len()];
            for (at, key) in aggregation.keys.iter().enumerate() {
                below[*key] = names.get(at).cloned().flatten();
            }
            below
        }
        Plan::Relation { .. }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Join { .. }
        | Plan::AsOf { .. }
        | Plan::PerGroup { .. }
        | Plan::Incidents { .. } => Vec::new(),
    }
}
