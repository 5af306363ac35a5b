//! Plans into a dataflow: every relation becomes a stream once, every view is built over them in order. A source may stand for any
//! relation: that is how views are filled from the archive.
//!
//! All workers render the same dataflow in the same order; timely's channels depend on that.

use super::clock::{Clock, NEVER, Report};
use super::costs::{self, Before, NodePlace};
use super::gate::{Gate, SharedClock};
use super::operators::{
    self, ChangeStream, ClockStream, PartialStream, Refusal, RunEpochs, Shared,
};
use super::view_store::{Key, ViewStore};
use super::worker::Place;
use super::{Feed, Job, StateShare, StoredGroups};
use crate::model::{Epoch, least_of};
use crate::plan::{
    CountsLate, DEAD_LETTER_RELATION, LATE_RELATION, Pass, Plan, ViewKind, ViewSpec, Window, passes,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concatenate, Probe};
use timely::dataflow::{ProbeHandle, Scope, StreamVec};

/// The dataflow of one worker, being built.
struct Render<'a, 's> {
    scope: Scope<'s, u64>,
    job: &'a Job,
    place: Place,
    share: StateShare,
    epochs: RunEpochs,
    shared: Rc<RefCell<Shared>>,
    relations: HashMap<String, ChangeStream<'s>>,
    clocks: HashMap<String, (SharedClock, ClockStream<'s>)>,
    late: Vec<ChangeStream<'s>>,
    /// Those of the nodes that may be in a view several times, by id.
    late_of: HashMap<String, Vec<ChangeStream<'s>>>,
    dead: Vec<ChangeStream<'s>>,
    /// Passes over rows that no view has asked for yet.
    passes: Vec<Pass>,
    /// The relations that read a node or an aggregation, by its id.
    sharers: BTreeMap<String, BTreeSet<String>>,
    /// Partial groups by aggregation.
    partials: HashMap<String, PartialStream<'s>>,
    /// The rows of stateful nodes by id: the same node may be in a view several times.
    rendered: HashMap<String, ChangeStream<'s>>,
    /// Of the view being rendered, so far: stored state is named by it.
    top_ks: usize,
    /// How many nodes of the plan being rendered come before the next one.
    nodes: usize,
    /// Whether what is rendered is that plan: a pass over rows may read them otherwise than the plans of its aggregations.
    is_as_planned: bool,
}

/// Builds everything; the probe passes an epoch when all of it has been handed over on all workers.
pub(super) fn render(
    scope: Scope<'_, u64>,
    job: &Job,
    place: Place,
    feeds: Vec<Box<dyn Feed>>,
    share: StateShare,
    shared: &Rc<RefCell<Shared>>,
) -> (ProbeHandle<u64>, BTreeMap<String, SharedClock>) {
    let boot = if job.restored.epoch.0 == 0 {
        job.start.0 - 1
    } else {
        job.restored.epoch.0
    };
    let mut render = Render {
        scope,
        job,
        place,
        share,
        epochs: RunEpochs {
            boot,
            start: job.start.0,
            is_first_run: job.restored.epoch == Epoch(0),
            tick_ms: job.settings.tick_ms,
            control: Arc::clone(&job.control),
        },
        shared: Rc::clone(shared),
        relations: HashMap::new(),
        clocks: HashMap::new(),
        late: Vec::new(),
        late_of: HashMap::new(),
        dead: Vec::new(),
        passes: passes(&job.dataflow.views),
        sharers: costs::sharers(&job.dataflow),
        partials: HashMap::new(),
        rendered: HashMap::new(),
        top_ks: 0,
        nodes: 0,
        is_as_planned: true,
    };
    let mut ends: Vec<StreamVec<'_, u64, ()>> = Vec::new();
    let mut ended = Vec::new();
    assert_eq!(
        feeds.len(),
        job.dataflow.sources.len(),
        "each source of the dataflow needs a feed"
    );
    for (number, (spec, feed)) in job.dataflow.sources.iter().zip(feeds).enumerate() {
        let before = render.turn_to(std::slice::from_ref(&spec.name));
        let streams = operators::source(scope, number, spec, feed, job, Rc::clone(shared));
        render.relations.insert(spec.name.clone(), streams.records);
        render.dead.push(streams.undecoded);
        render.clock(&spec.name, streams.reports);
        render.turn_back(before);
        ended.push(streams.ended);
    }
    render.end(scope.concatenate(ended));
    for (number, table) in job.dataflow.tables.iter().enumerate() {
        if table.source.is_empty() {
            // The last one: tables of sources have added to the dead letters.
            render.dead_letters(scope);
        }
        let before = render.turn_to(std::slice::from_ref(&table.name));
        let refusal = render.refusal(number);
        render.nodes = 0;
        let rows = render.plan(&table.plan, &table.name, &refusal);
        let clock = render.clocks.get(&table.source).cloned();
        let archive_of = match refusal {
            Refusal::DeadLetter(..) => Some(table.source.clone()),
            Refusal::LeftOut(_) => None,
        };
        ends.push(operators::append(
            rows.clone(),
            number,
            table.event_time,
            archive_of,
            clock,
            shared,
        ));
        if !table.source.is_empty() {
            ends.push(operators::tail(
                rows.clone(),
                number,
                job.settings.tail_rows,
                place,
                shared,
            ));
        }
        render.relations.insert(table.name.clone(), rows);
        render.turn_back(before);
    }
    render.dead_letters(scope);
    for (number, view) in job.dataflow.views.iter().enumerate() {
        let counts_late = view.plan.relations().iter().any(|it| it == LATE_RELATION);
        if counts_late && !render.relations.contains_key(LATE_RELATION) {
            // All views that do not read it come first, and have added to it.
            let late = scope.concatenate(std::mem::take(&mut render.late));
            render.relations.insert(LATE_RELATION.to_owned(), late);
        }
        let before = render.turn_to(std::slice::from_ref(&view.name));
        let refusal = Refusal::LeftOut(view.name.clone());
        (render.top_ks, render.nodes) = (0, 0);
        let mut rows = render.plan(&view.plan, &view.name, &refusal);
        if job.restored.epoch != Epoch(0) && job.dataflow.outlives_its_windows(view) {
            let stored = render.share.rows.remove(&operators::operator(&view.name));
            let schema = view.plan.schema();
            rows = operators::with_stored(rows, &schema, boot, stored.unwrap_or_default());
        }
        if view.kind == ViewKind::Records {
            // The table has what came before.
            rows = operators::news(rows, boot);
        }
        render.relations.insert(view.name.clone(), rows.clone());
        let rows = operators::view_rows(rows);
        ends.push(operators::publish(rows.clone(), number, place, shared));
        let store = render.store(number, view);
        let store = shared.borrow_mut().owners.keep(store);
        shared.borrow_mut().stores.push(Rc::clone(&store));
        ends.push(operators::store_view(rows, store));
        render.turn_back(before);
    }
    for (_, ticks) in render.clocks.values() {
        ends.push(ticks.clone());
    }
    let (probe, _) = scope.concatenate(ends).probe();
    (
        probe,
        render
            .clocks
            .into_iter()
            .map(|(name, (clock, _))| (name, clock))
            .collect(),
    )
}

impl<'s> Render<'_, 's> {
    /// What is made from now on belongs to these relations.
    fn turn_to(&self, relations: &[String]) -> Before {
        let next = self.scope.worker().peek_identifier();
        self.shared
            .borrow_mut()
            .owners
            .turn_to(relations, None, next)
    }

    /// What is made from now on belongs to whom it belonged before.
    fn turn_back(&self, before: Before) {
        let next = self.scope.worker().peek_identifier();
        self.shared.borrow_mut().owners.turn_back(before, next);
    }

    /// The relations that read a node, of which there are several if it is shared.
    fn sharers(&self, node: &str, view: &str) -> Vec<String> {
        let sharers = self.sharers.get(node).into_iter().flatten().cloned();
        let sharers: Vec<String> = sharers.collect();
        match sharers.is_empty() {
            // It is part of a plan that is made while rendering.
            true => vec![view.to_owned()],
            false => sharers,
        }
    }

    /// Makes a relation of the dead letters there have been so far, unless it is a source of its own.
    fn dead_letters(&mut self, scope: Scope<'s, u64>) {
        let dead = scope.concatenate(std::mem::take(&mut self.dead));
        self.relations
            .entry(DEAD_LETTER_RELATION.to_owned())
            .or_insert(dead);
    }

    /// What becomes of records for which an expression of this table fails: of the first table of a source, its archive,
    /// dead letters, so that each record is in one or the other.
    fn refusal(&self, number: usize) -> Refusal {
        let (tables, sources) = (&self.job.dataflow.tables, &self.job.dataflow.sources);
        let table = &tables[number];
        let is_archive = !tables[..number].iter().any(|it| it.source == table.source);
        match sources.iter().position(|it| it.name == table.source) {
            Some(source) if is_archive => Refusal::DeadLetter(source, table.source.clone()),
            _ => Refusal::LeftOut(table.name.clone()),
        }
    }

    fn plan(&mut self, plan: &Plan, view: &str, refusal: &Refusal) -> ChangeStream<'s> {
        let number = self.nodes;
        self.nodes += 1;
        let rows = self.owned(plan, number, view, refusal);
        // Those below a node that was there are rendered before, and those below an aggregation may be.
        self.nodes = number + plan.size();
        rows
    }

    /// The rows of a node, whose operators are its own.
    fn owned(
        &mut self,
        plan: &Plan,
        number: usize,
        view: &str,
        refusal: &Refusal,
    ) -> ChangeStream<'s> {
        let place = self.is_as_planned.then(|| NodePlace {
            relation: view.to_owned(),
            number,
        });
        let next = self.scope.worker().peek_identifier();
        let Some(id) = plan.id() else {
            let before = self.shared.borrow_mut().owners.turn_to_node(place, next);
            let rows = self.node(plan, view, refusal);
            self.turn_back(before);
            return rows;
        };
        if let Some(rows) = self.rendered.get(id).cloned() {
            // Late records are counted for each place of a query that leaves them out, whether or not it is shared.
            let late = self.late_of.get(id).cloned();
            self.late.extend(late.into_iter().flatten());
            return rows;
        }
        let sharers = self.sharers(id, view);
        let mut shared = self.shared.borrow_mut();
        let before = shared.owners.turn_to(&sharers, place, next);
        drop(shared);
        let of_others = self.late.len();
        let rows = self.node(plan, view, refusal);
        self.turn_back(before);
        let late = self.late[of_others..].to_vec();
        self.late_of.insert(id.to_owned(), late);
        self.rendered.insert(id.to_owned(), rows.clone());
        rows
    }

    fn node(&mut self, plan: &Plan, view: &str, refusal: &Refusal) -> ChangeStream<'s> {
        match plan {
            Plan::Relation {
                name,
                columns,
                schema: _,
            } => {
                let stream = self
                    .relations
                    .get(name)
                    .unwrap_or_else(|| panic!("relation {name} is defined before its use"))
                    .clone();
                operators::project(stream, columns.clone())
            }
            Plan::Constant { rows, schema: _ } => {
                operators::constant(self.scope, rows, &self.epochs, self.place)
            }
            Plan::Map {
                input,
                filter,
                columns,
                schema,
            } => {
                let input = self.plan(input, view, refusal);
                let (rows, refused) = operators::map(
                    input,
                    filter.clone(),
                    columns.clone(),
                    schema.clone(),
                    refusal.clone(),
                    Rc::clone(&self.shared),
                );
                if let Refusal::DeadLetter(..) = refusal {
                    self.dead.push(refused);
                }
                rows
            }
            Plan::Unnest {
                input,
                unnest,
                schema,
            } => {
                let input = self.plan(input, view, refusal);
                let shared = Rc::clone(&self.shared);
                operators::unnest(input, unnest, schema, refusal.clone(), shared).0
            }
            Plan::Aggregate {
                input,
                aggregation,
                schema,
            } => {
                let partials = self.partials(input, &aggregation.id, view, refusal);
                let gate = match aggregation.window {
                    Window::None => None,
                    Window::Tumble { .. } | Window::Last { .. } => self.gate(&aggregation.clocks),
                };
                let mut stored = |id: &str| self.share.groups.remove(id).unwrap_or_default();
                let restored = operators::RestoredGroups {
                    groups: stored(&aggregation.id),
                    of_windows: aggregation
                        .windows_id()
                        .map_or_else(StoredGroups::default, |it| stored(&it)),
                };
                let (rows, late) = operators::aggregate(
                    partials,
                    restored,
                    aggregation,
                    schema,
                    view,
                    gate,
                    &self.epochs,
                    &self.shared,
                );
                self.late.push(late);
                rows
            }
            Plan::TopK {
                input,
                order,
                skip,
                limit,
                append_only,
            } => {
                let mut below = self.plan(input, view, refusal);
                let operator = format!("{view}.top{}", self.top_ks);
                self.top_ks += 1;
                let restored = self.share.rows.remove(&operator).unwrap_or_default();
                if *append_only {
                    below = operators::candidates(
                        below,
                        &plan.schema(),
                        order,
                        skip + limit,
                        self.epochs.boot,
                        &restored,
                        &self.shared,
                    );
                }
                operators::top_k(
                    below,
                    &plan.schema(),
                    order,
                    *skip,
                    *limit,
                    operator.into(),
                    self.epochs.boot,
                    restored,
                    &self.shared,
                )
            }
            Plan::Union { inputs, schema } => {
                let streams: Vec<_> = inputs
                    .iter()
                    .map(|it| operators::relabel(self.plan(it, view, refusal), schema.clone()))
                    .collect();
                streams[0].scope().concatenate(streams)
            }
            Plan::Join {
                left, right, join, ..
            } => {
                let [of_left, of_right] = operators::state_names(&join.id);
                let mut side = |plan: &Plan, state: &str| operators::Input {
                    rows: self.plan(plan, view, refusal),
                    schema: plan.schema(),
                    restored: self.share.packed.remove(state).unwrap_or_default(),
                };
                let (left, right) = (side(left, &of_left), side(right, &of_right));
                let gate = join.window.and_then(|_| self.gate(&join.clocks));
                operators::join(left, right, join, gate, &self.epochs, refusal, &self.shared)
            }
            Plan::AsOf {
                left, right, as_of, ..
            } => {
                let [of_left, of_right] = operators::state_names(&as_of.id);
                let mut side = |plan: &Plan, state: &str| operators::Input {
                    rows: self.plan(plan, view, refusal),
                    schema: plan.schema(),
                    restored: self.share.packed.remove(state).unwrap_or_default(),
                };
                let (left, right) = (side(left, &of_left), side(right, &of_right));
                operators::as_of(left, right, as_of, &self.epochs, &self.shared)
            }
            Plan::PerGroup { input, group, .. } => {
                let rows = operators::Input {
                    rows: self.plan(input, view, refusal),
                    schema: input.schema(),
                    restored: self.share.packed.remove(&group.id).unwrap_or_default(),
                };
                let gate = group.window.and_then(|_| self.gate(&group.clocks));
                if let Some(ranking) = &group.ranking {
                    return operators::ranked(
                        rows,
                        group,
                        ranking,
                        &plan.schema(),
                        gate,
                        &self.epochs,
                        &self.shared,
                    );
                }
                operators::per_group(
                    rows,
                    group,
                    &plan.schema(),
                    gate,
                    &self.epochs,
                    self.place,
                    view,
                    &self.shared,
                )
            }
            Plan::Temporal { input, temporal } => {
                let [there, waiting] = operators::temporal_state_names(temporal);
                let mut restored =
                    |state: &str| self.share.packed.remove(state).unwrap_or_default();
                let restored = [restored(&there), restored(&waiting)];
                let rows = self.plan(input, view, refusal);
                let gate = self.gate(&temporal.clocks);
                let gate = gate.expect("a temporal filter has a clock");
                let schema = input.schema();
                operators::temporal(
                    rows,
                    &schema,
                    temporal,
                    restored,
                    gate,
                    &self.epochs,
                    &self.shared,
                )
            }
            Plan::Detect {
                input,
                detection,
                schema,
            } => {
                let closed_us = self.closed_at_commit(&detection.clocks);
                let restored =
                    operators::RestoredDetector::of(detection, &mut self.share.rows, closed_us);
                let input = operators::Input {
                    rows: self.plan(input, view, refusal),
                    schema: input.schema(),
                    restored: Vec::new(),
                };
                let gate = self.gate(&detection.clocks);
                let gate = gate.expect("a detector has a clock");
                operators::detect(
                    input,
                    restored,
                    detection,
                    schema,
                    gate,
                    &self.epochs,
                    &self.shared,
                )
            }
            Plan::Incidents {
                input,
                incidents,
                schema,
            } => {
                let closed_us = self.closed_at_commit(&incidents.clocks);
                let restored = self.share.rows.remove(&incidents.id).unwrap_or_default();
                let rows = self.plan(input, view, refusal);
                let gate = self.gate(&incidents.clocks);
                let gate = gate.expect("incidents have a clock");
                operators::incidents(
                    rows,
                    (restored, closed_us),
                    incidents,
                    schema,
                    gate,
                    &self.epochs,
                    &self.shared,
                )
            }
            Plan::Admit {
                input,
                window,
                clocks,
            } => {
                let rows = self.plan(input, view, refusal);
                let Some(gate) = self.gate(clocks) else {
                    return rows;
                };
                let (rows, late) = operators::admit(rows, *window, view, gate);
                if window.counts != CountsLate::Not {
                    self.late.push(late);
                }
                rows
            }
        }
    }

    /// Up to when windows of these sources were closed at the commit that is restored.
    fn closed_at_commit(&self, sources: &BTreeSet<String>) -> i64 {
        let times = &self.job.restored.event_times;
        least_of(sources, |it| Some(times.get(it)?.watermark_us)).unwrap_or(NEVER)
    }

    /// The partial groups of an aggregation over this input; those of all others of its pass are there from then on too.
    fn partials(
        &mut self,
        planned: &Plan,
        id: &str,
        view: &str,
        refusal: &Refusal,
    ) -> PartialStream<'s> {
        let has = |it: &Pass| it.aggregations.iter().any(|it| it.id == id);
        if let Some(at) = self.passes.iter().position(has) {
            let pass = self.passes.swap_remove(at);
            let before = self.turn_to(&costs::sharers_of_pass(&pass, &self.sharers));
            let is_as_planned = self.is_as_planned && is_alike(planned, &pass.input);
            let outside = std::mem::replace(&mut self.is_as_planned, is_as_planned);
            let input = self.plan(&pass.input, view, refusal);
            self.is_as_planned = outside;
            let has_first_row = self.epochs.is_first_run && self.place.index == 0;
            let initial = pass.aggregations.iter();
            let initial = initial.map(|it| operators::initial(it, has_first_row));
            let initial = initial.collect();
            let streams = operators::partials(input, &pass, &self.epochs, initial);
            let ids = pass.aggregations.iter().map(|it| it.id.clone());
            self.partials.extend(ids.zip(streams));
            self.turn_back(before);
        }
        let partials = self.partials.remove(id);
        partials.expect("every aggregation is in one pass, and rendered once")
    }

    /// A copy of a source's clock on every worker, fed by the reports of all.
    fn clock(&mut self, source: &str, reports: StreamVec<'s, u64, Report>) {
        let settings = self.job.settings.clocks[source];
        let stored = self
            .job
            .restored
            .clocks
            .get(source)
            .cloned()
            .unwrap_or_default();
        let clock = Rc::new(RefCell::new(Clock::new(
            settings,
            stored,
            self.epochs.boot + 1,
        )));
        let workers = self.place.peers as u64;
        let everywhere =
            reports.flat_map(move |report| (0..workers).map(move |to| (to, report.clone())));
        let shared = Rc::clone(&clock);
        let exchange = Exchange::new(|it: &(u64, Report)| it.0);
        let ticks = everywhere.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            exchange,
            "Clock",
            move |_, _| {
                move |(input, frontier), _output| {
                    let mut clock = shared.borrow_mut();
                    input.for_each(|_, data| {
                        data.drain(..).for_each(|(_, report)| clock.report(report))
                    });
                    clock.complete_below(frontier.frontier().first().copied().unwrap_or(u64::MAX));
                }
            },
        );
        // A second operator, so that what waits for the clock is scheduled after it.
        let ticks =
            ticks.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "Ticks", |_, _| {
                move |input, _output| input.for_each(|_, _| {})
            });
        self.clocks.insert(source.to_owned(), (clock, ticks));
    }

    /// The gate of these sources, and the stream whose frontier says up to where it is known.
    fn gate(&self, sources: &BTreeSet<String>) -> Option<(Gate, ClockStream<'s>)> {
        let clocks = sources.iter().filter_map(|it| self.clocks.get(it).cloned());
        let (clocks, ticks): (Vec<SharedClock>, Vec<ClockStream<'s>>) = clocks.unzip();
        let known = match ticks.as_slice() {
            [one] => one.clone(),
            several => several.first()?.scope().concatenate(ticks.clone()),
        };
        Some((Gate::of(clocks)?, known))
    }

    /// When every source on every worker has ended, each worker knows the last epoch.
    fn end(&self, ended: StreamVec<'s, u64, u64>) {
        let workers = self.place.peers as u64;
        let mut running = self.job.dataflow.sources.len() * self.place.peers;
        let mut last = 0;
        let control = Arc::clone(&self.job.control);
        let everywhere = ended.flat_map(move |epoch| (0..workers).map(move |to| (to, epoch)));
        let exchange = Exchange::new(|it: &(u64, u64)| it.0);
        everywhere.sink(exchange, "End", move |(input, _)| {
            input.for_each(|_, data| {
                for (_, epoch) in data.drain(..) {
                    last = last.max(epoch);
                    running -= 1;
                    if running == 0 {
                        control.end(Epoch(last));
                    }
                }
            });
        });
    }

    fn store(&self, number: usize, view: &ViewSpec) -> ViewStore {
        let gate = || self.gate(&view.clocks).map(|it| it.0);
        let window_end = match view.kind {
            ViewKind::Windowed { column, add_us } => gate().map(|it| (column, add_us, it)),
            ViewKind::Records | ViewKind::Open => None,
        };
        ViewStore::new(
            number,
            &view.name,
            self.place,
            view.kind == ViewKind::Records,
            window_end,
            Key::new(view.properties(&self.job.dataflow).key),
            self.job.settings.bucketing,
        )
    }
}

/// Whether both have nodes of the same kinds at the same places.
fn is_alike(one: &Plan, other: &Plan) -> bool {
    let kinds = |plan: &Plan| {
        let mut kinds = Vec::new();
        plan.walk(&mut |node| kinds.push(std::mem::discriminant(node)));
        kinds
    };
    kinds(one) == kinds(other)
}
