//! What holds of the rows of a plan: one function, bottom-up, with every kind of node spelled out.
//!
//! Whether rows are taken back, when they are final, and by whose clock, is asked here. A node that is added to `Plan`
//! does not compile until all of it is answered.

use super::sharing::bound_of;
use super::{
    Admitted, Dataflow, EventTime, GroupWindow, Join, JoinKind, JoinWindow, Order, Plan,
    SourceSpec, TableSpec, TemporalBound, Timescale, ViewKind, ViewSpec, Window, late_schema,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What holds of the rows a node yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Whether rows are only ever added, never taken back.
    pub append_only: bool,
    /// Whether rows are groups of an aggregate or the first of an order, here or in a view below; otherwise they are records, one by one and
    /// without end.
    pub aggregated: bool,
    /// Whether each row belongs to a window, and is final when that is closed.
    pub windowed: bool,
    /// The sources by whose clocks event time passes in these rows.
    pub clocks: BTreeSet<String>,
    /// The sources without an event time that rows come from. Where there is no clock, `now()` is the time at which their records arrive.
    pub arrivals: BTreeSet<String>,
    /// For each column, what has to be added to it to have the end of the row's window, if it tells that.
    pub window_ends: Vec<Option<i64>>,
    /// For each column, which column of the one relation below it is, unchanged.
    pub unchanged: Vec<Option<usize>>,
    /// The order in which a reader expects the rows; empty if none.
    pub order: Vec<Order>,
    /// Columns by which each row is told from all others; none if rows may be alike.
    pub key: Option<Vec<usize>>,
    /// The window for which late rows are left out.
    pub admitted: Option<Admitted>,
}

/// What holds of the rows of a plan. `relation` tells it of the relations it reads, with all their columns.
pub fn properties(plan: &Plan, relation: &impl Fn(&str) -> Properties) -> Properties {
    let columns = plan.schema().fields().len();
    match plan {
        Plan::Relation { name, columns, .. } => {
            let all = relation(name);
            let end = |it: &usize| all.window_ends.get(*it).copied().flatten();
            Properties {
                window_ends: columns.iter().map(end).collect(),
                unchanged: columns.iter().map(|it| Some(*it)).collect(),
                order: Vec::new(),
                admitted: None,
                key: passed_key(all.key.as_deref(), |it| {
                    columns.iter().position(|to| *to == it)
                }),
                ..all
            }
        }
        // Like groups they are there as a whole, and unlike records they stay.
        Plan::Constant { .. } => Properties {
            append_only: true,
            aggregated: true,
            window_ends: vec![None; columns],
            unchanged: vec![None; columns],
            ..Properties::default()
        },
        Plan::Map { input, columns, .. } => {
            let below = properties(input, relation);
            let passed: Vec<Option<usize>> = columns
                .iter()
                .map(|it| it.downcast_ref::<Column>().map(Column::index))
                .collect();
            // A bound of the windows that rows were admitted to.
            let bound = |it: &Arc<dyn PhysicalExpr>| {
                let bound = bound_of(it)?;
                let window = below.admitted?;
                let own = (window.time, window.step_us, window.offset_us);
                let is_of_it = own == (bound.time, bound.size_us, bound.offset_us);
                is_of_it.then_some(window.end_us - bound.add_us)
            };
            let ends = columns
                .iter()
                .zip(&passed)
                .map(|(it, passed)| match passed {
                    Some(at) => below.window_ends[*at],
                    None => bound(it),
                });
            let admitted = below.admitted.and_then(|window| {
                let time = passed.iter().position(|to| *to == Some(window.time))?;
                Some(Admitted { time, ..window })
            });
            // An order by columns that are gone is no order for the reader, and neither is what it leaves to ties.
            let order = below.order.iter().map_while(|it| {
                let column = passed.iter().position(|to| *to == Some(it.column))?;
                Some(Order { column, ..*it })
            });
            Properties {
                window_ends: ends.collect(),
                admitted,
                unchanged: passed.iter().map(|it| below.unchanged[(*it)?]).collect(),
                order: order.collect(),
                key: passed_key(below.key.as_deref(), |it| {
                    passed.iter().position(|to| *to == Some(it))
                }),
                ..below
            }
        }
        Plan::Unnest { input, unnest, .. } => {
            let below = properties(input, relation);
            let passed = unnest.columns.iter().zip(&unnest.is_list);
            let passed: Vec<Option<usize>> = passed
                .map(|(it, is_list)| match is_list {
                    true => None,
                    false => it.downcast_ref::<Column>().map(Column::index),
                })
                .collect();
            Properties {
                window_ends: passed.iter().map(|it| below.window_ends[(*it)?]).collect(),
                // A record is several rows.
                unchanged: vec![None; columns],
                order: Vec::new(),
                key: None,
                admitted: None,
                ..below
            }
        }
        Plan::Aggregate {
            input, aggregation, ..
        } => {
            let below = properties(input, relation);
            let mut window_ends = aggregation.window_ends.clone();
            window_ends.resize(columns, None);
            Properties {
                append_only: false,
                aggregated: true,
                windowed: match aggregation.window {
                    Window::Tumble { .. } => true,
                    Window::None | Window::Last { .. } => false,
                },
                clocks: below.clocks,
                arrivals: below.arrivals,
                window_ends,
                unchanged: vec![None; columns],
                order: Vec::new(),
                key: Some((0..aggregation.keys.len()).collect()),
                admitted: None,
            }
        }
        // Rows of closed windows compete with all others, so none is ever final.
        Plan::TopK { input, order, .. } => {
            let below = properties(input, relation);
            Properties {
                append_only: false,
                aggregated: true,
                windowed: false,
                clocks: below.clocks,
                arrivals: below.arrivals,
                window_ends: vec![None; columns],
                unchanged: vec![None; columns],
                order: order.clone(),
                key: below.key,
                admitted: None,
            }
        }
        Plan::Union { inputs, .. } => {
            let sides: Vec<Properties> = inputs.iter().map(|it| properties(it, relation)).collect();
            let end = |column: usize| {
                let mut ends = sides.iter().map(|it| it.window_ends[column]);
                let first = ends.next()??;
                ends.all(|it| it == Some(first)).then_some(first)
            };
            Properties {
                append_only: sides.iter().all(|it| it.append_only),
                aggregated: sides.iter().all(|it| it.aggregated),
                windowed: sides.iter().any(|it| it.windowed),
                clocks: sides
                    .iter()
                    .flat_map(|it| it.clocks.iter().cloned())
                    .collect(),
                arrivals: sides
                    .iter()
                    .flat_map(|it| it.arrivals.iter().cloned())
                    .collect(),
                window_ends: (0..columns).map(end).collect(),
                unchanged: vec![None; columns],
                order: Vec::new(),
                key: None,
                admitted: None,
            }
        }
        Plan::PerGroup { input, group, .. } => {
            let below = properties(input, relation);
            let mut window_ends = vec![None; columns];
            match group.window {
                Some(GroupWindow::OfKey { output, add_us, .. }) => {
                    window_ends[output] = Some(add_us);
                }
                Some(GroupWindow::OfSession { end: Some(end), .. }) => {
                    window_ends[end] = Some(0);
                }
                Some(GroupWindow::OfSession { end: None, .. }) | None => {}
            }
            Properties {
                append_only: false,
                aggregated: true,
                // Who leaves the window out keeps its rows for ever.
                windowed: false,
                clocks: below.clocks,
                arrivals: below.arrivals,
                window_ends,
                unchanged: vec![None; columns],
                order: Vec::new(),
                key: group.key.clone(),
                admitted: None,
            }
        }
        // Rows come and go by the clock, whatever window they are of.
        Plan::Temporal { input, temporal } => {
            let below = properties(input, relation);
            let ends = |it: &TemporalBound| it.kind.ends();
            let are_final = temporal.time == Timescale::Watermark;
            Properties {
                append_only: are_final || below.append_only && !temporal.bounds.iter().any(ends),
                aggregated: below.aggregated && !are_final,
                windowed: false,
                window_ends: vec![None; columns],
                unchanged: vec![None; columns],
                order: Vec::new(),
                admitted: None,
                ..below
            }
        }
        Plan::Detect {
            input, detection, ..
        } => {
            let below = properties(input, relation);
            // Behind the key: the metric, then the start of the window and its end.
            let metric = detection.keys.len();
            let mut window_ends = vec![None; columns];
            window_ends[metric + 1] = Some(detection.grid.size_us);
            window_ends[metric + 2] = Some(0);
            Properties {
                append_only: false,
                aggregated: true,
                windowed: false,
                clocks: below.clocks,
                arrivals: below.arrivals,
                window_ends,
                unchanged: vec![None; columns],
                order: Vec::new(),
                key: Some((0..=metric + 1).collect()),
                admitted: None,
            }
        }
        Plan::Incidents {
            input, incidents, ..
        } => {
            let below = properties(input, relation);
            let mut window_ends = vec![None; columns];
            window_ends[incidents.closed_at()] = Some(0);
            Properties {
                append_only: false,
                aggregated: true,
                windowed: false,
                clocks: incidents.clocks.clone(),
                arrivals: below.arrivals,
                window_ends,
                unchanged: vec![None; columns],
                order: Vec::new(),
                // Key, metric, and the name of the incident.
                key: Some((0..=incidents.keys + 1).collect()),
                admitted: None,
            }
        }
        Plan::Admit { input, window, .. } => Properties {
            admitted: Some(*window),
            ..properties(input, relation)
        },
        Plan::AsOf { left, right, .. } => {
            let (left, right) = (properties(left, relation), properties(right, relation));
            Properties {
                // A nearer row may come for one that has a match.
                append_only: false,
                aggregated: left.aggregated && right.aggregated,
                windowed: false,
                clocks: left.clocks.union(&right.clocks).cloned().collect(),
                arrivals: left.arrivals.union(&right.arrivals).cloned().collect(),
                window_ends: vec![None; columns],
                unchanged: vec![None; columns],
                order: Vec::new(),
                // Each left row is there at most once.
                key: left.key,
                admitted: None,
            }
        }
        Plan::Join {
            left, right, join, ..
        } => {
            let (left, right) = (properties(left, relation), properties(right, relation));
            joined(&left, &right, join, columns)
        }
    }
}

/// What holds of joined rows.
fn joined(left: &Properties, right: &Properties, join: &Join, columns: usize) -> Properties {
    let both = left.append_only && right.append_only;
    let of_left = left.unchanged.len();
    // A match may come for a row without one, and go again.
    let append_only = match join.kind {
        JoinKind::Inner | JoinKind::Semi => both,
        JoinKind::Left | JoinKind::Full | JoinKind::Anti | JoinKind::Mark => false,
    };
    // Only where each side is given do its columns tell the window.
    let (tells_left, tells_right) = match join.kind {
        JoinKind::Inner => (true, true),
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Mark => (true, false),
        JoinKind::Full => (false, false),
    };
    let mut window_ends = vec![None; columns];
    if let Some(JoinWindow { left, right, .. }) = join.window {
        if tells_left {
            window_ends[left.column] = Some(left.add_us);
        }
        if tells_right {
            window_ends[of_left + right.column] = Some(right.add_us);
        }
    }
    // Rows of one side each have at most one of the other if the key of that one is matched.
    let is_single = |key: &Option<Vec<usize>>, matched: Vec<usize>| {
        key.as_ref()
            .is_some_and(|key| key.iter().all(|it| matched.contains(it)))
    };
    let single_right = is_single(&right.key, join.on.iter().map(|it| it.1).collect());
    let single_left = is_single(&left.key, join.on.iter().map(|it| it.0).collect());
    let moved = |key: &Vec<usize>| key.iter().map(|it| it + of_left).collect::<Vec<usize>>();
    let key = match join.kind {
        JoinKind::Semi | JoinKind::Anti | JoinKind::Mark => left.key.clone(),
        JoinKind::Left if single_right => left.key.clone(),
        JoinKind::Inner if single_right => left.key.clone(),
        JoinKind::Inner if single_left => right.key.as_ref().map(moved),
        JoinKind::Inner => match (&left.key, &right.key) {
            (Some(left), Some(right)) => Some(left.iter().copied().chain(moved(right)).collect()),
            (None, _) | (_, None) => None,
        },
        JoinKind::Left | JoinKind::Full => None,
    };
    Properties {
        append_only,
        aggregated: left.aggregated && right.aggregated,
        // Who leaves the window out keeps its rows for ever.
        windowed: false,
        clocks: left.clocks.union(&right.clocks).cloned().collect(),
        arrivals: left.arrivals.union(&right.arrivals).cloned().collect(),
        window_ends,
        unchanged: vec![None; columns],
        order: Vec::new(),
        key,
        // Rows of the other side come to windows that are closed.
        admitted: None,
    }
}

/// A key above a node that takes its columns from below. One that loses a column tells rows apart no longer.
fn passed_key(key: Option<&[usize]>, place: impl Fn(usize) -> Option<usize>) -> Option<Vec<usize>> {
    key?.iter().map(|it| place(*it)).collect()
}

impl Properties {
    /// Of records of a source, or of what the engine counts: they come one by one and stay.
    fn of_records(columns: usize) -> Self {
        Properties {
            append_only: true,
            window_ends: vec![None; columns],
            unchanged: (0..columns).map(Some).collect(),
            ..Properties::default()
        }
    }

    /// Whether and where rows of a view tell when they are final.
    ///
    /// None if they belong to windows and do not tell to which: what frees state with its window would leave rows behind.
    pub fn kind(&self) -> Option<ViewKind> {
        if self.append_only && !self.aggregated {
            return Some(ViewKind::Records);
        }
        let ends = self.window_ends.iter().enumerate();
        let first = ends.into_iter().find_map(|(at, it)| Some((at, (*it)?)));
        match first {
            Some((column, add_us)) => Some(ViewKind::Windowed { column, add_us }),
            None if self.windowed => None,
            None => Some(ViewKind::Open),
        }
    }
}

impl SourceSpec {
    fn properties(&self) -> Properties {
        let name = BTreeSet::from([self.name.clone()]);
        let (clocks, arrivals) = match self.event_time {
            Some(EventTime { .. }) => (name, BTreeSet::new()),
            None => (BTreeSet::new(), name),
        };
        Properties {
            clocks,
            arrivals,
            ..Properties::of_records(self.schema().fields().len())
        }
    }
}

impl TableSpec {
    fn properties(&self, dataflow: &Dataflow) -> Properties {
        let source = dataflow.source(&self.source);
        let Properties {
            clocks, arrivals, ..
        } = source.map(SourceSpec::properties).unwrap_or_default();
        Properties {
            clocks,
            arrivals,
            ..Properties::of_records(self.plan.schema().fields().len())
        }
    }
}

impl ViewSpec {
    /// What holds of the rows of a view of this dataflow.
    pub fn properties(&self, dataflow: &Dataflow) -> Properties {
        properties(&self.plan, &|it: &str| dataflow.properties(it))
    }
}

impl Dataflow {
    /// Whether a view keeps rows of windows that are closed, and their state freed, where they are computed. After a restart nothing yields
    /// these; the view's table has them.
    pub fn outlives_its_windows(&self, view: &ViewSpec) -> bool {
        self.has_closed_before(&view.plan, view)
    }

    fn has_closed_before(&self, plan: &Plan, view: &ViewSpec) -> bool {
        let closes_later = |clocks: &BTreeSet<String>| match view.kind {
            ViewKind::Open => true,
            ViewKind::Windowed { .. } => *clocks != view.clocks,
            // It has handed its rows over when they came.
            ViewKind::Records => false,
        };
        // Single records come once.
        let keeps_records = match view.kind {
            ViewKind::Open | ViewKind::Windowed { .. } => true,
            ViewKind::Records => false,
        };
        match plan {
            Plan::Relation { name, .. } => match self.view(name).map(|it| (it, it.kind)) {
                Some((it, ViewKind::Windowed { .. })) => closes_later(&it.clocks),
                // It has all its rows itself.
                Some((_, ViewKind::Open)) => false,
                Some((_, ViewKind::Records)) | None => keeps_records,
            },
            Plan::Map { input, .. } | Plan::Unnest { input, .. } | Plan::Admit { input, .. } => {
                self.has_closed_before(input, view)
            }
            Plan::Union { inputs, .. } => inputs.iter().any(|it| self.has_closed_before(it, view)),
            Plan::Aggregate { aggregation, .. } => match aggregation.window {
                Window::Tumble { .. } => closes_later(&aggregation.clocks),
                Window::None | Window::Last { .. } => false,
            },
            // They keep their input.
            Plan::TopK { .. } | Plan::AsOf { .. } => false,
            // Their rows are closed with the windows that they are about.
            Plan::Detect { .. } | Plan::Incidents { .. } => false,
            Plan::Temporal { temporal, .. } => !temporal.keeps && keeps_records,
            // They are there in every run.
            Plan::Constant { .. } => false,
            Plan::Join { join, .. } => join.window.is_some_and(|it| {
                // A joined row may be kept until the later of two ends, and what it is of until the earlier.
                let ends_differ = !it.is_shared && keeps_records;
                ends_differ || closes_later(&join.clocks)
            }),
            Plan::PerGroup { group, .. } => group.window.is_some() && closes_later(&group.clocks),
        }
    }

    /// What holds of the rows of a relation, as others read it: a source, table or view, or what the engine counts.
    pub fn properties(&self, relation: &str) -> Properties {
        if let Some(source) = self.source(relation) {
            return source.properties();
        }
        if let Some(table) = self.tables.iter().find(|it| it.name == relation) {
            return table.properties(self);
        }
        if let Some(view) = self.view(relation) {
            let is_of_records = view.kind == ViewKind::Records;
            let known = view.properties(self);
            let columns = known.window_ends.len();
            return Properties {
                append_only: is_of_records,
                aggregated: !is_of_records,
                // Who reads a view's rows without their window reads them for ever.
                windowed: false,
                window_ends: match view.plan {
                    // Some of their rows come when their window is closed: an operator that lets rows of closed windows go would never see them.
                    Plan::Detect { .. } | Plan::Incidents { .. } => vec![None; columns],
                    _ => known.window_ends,
                },
                ..known
            };
        }
        let columns = match relation {
            super::LATE_RELATION => late_schema(),
            super::DEAD_LETTER_RELATION => super::dead_letter_schema(),
            other => panic!("relation {other} is not in dataflow {}", self.name),
        };
        Properties::of_records(columns.fields().len())
    }
}
