//! How long operators run, and how many rows they hand on, from timely's own log.

use super::OfWorker;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::logging::{
    ChannelsEvent, MessagesEvent, ScheduleEvent, StartStop, TimelyEvent, TimelyEventBuilder,
};
use timely::worker::Worker;

/// What the log of one worker adds up to.
#[derive(Clone, Default)]
pub(in crate::engine) struct Busy(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    /// Whose each operator and channel is, by its number.
    owners: Vec<Option<usize>>,
    numbers: Option<Arc<OfWorker>>,
    running: Vec<Running>,
    /// The numbers of operators, by where they are.
    operators: HashMap<Vec<usize>, usize>,
    /// Channels by number, until it is known what is counted of them.
    channels: HashMap<usize, ChannelsEvent>,
    /// Of which owner the records of each channel are counted, by the channel's number.
    counted: HashMap<usize, Option<usize>>,
    /// Ports of operators of which a channel is counted: what goes to several is handed on once.
    outputs: HashSet<(usize, usize)>,
}

/// An operator that runs.
struct Running {
    since: Duration,
    /// How long others ran that it scheduled: a dataflow is an operator itself.
    of_others: Duration,
}

/// Reads the worker's log from now on. Operators that are made before do not log.
pub(in crate::engine) fn measure_busy(worker: &Worker) -> Busy {
    let busy = Busy::default();
    let inner = Rc::clone(&busy.0);
    if let Some(mut log) = worker.log_register() {
        log.insert::<TimelyEventBuilder, _>("timely", move |_, events| {
            if let Some(events) = events {
                let mut inner = inner.borrow_mut();
                for (at, event) in events.drain(..) {
                    inner.take(at, event);
                }
            }
        });
    }
    busy
}

impl Busy {
    pub(super) fn begin(&self, owners: Vec<Option<usize>>, numbers: Arc<OfWorker>) {
        let mut inner = self.0.borrow_mut();
        inner.owners = owners;
        inner.numbers = Some(numbers);
    }
}

impl Inner {
    fn take(&mut self, at: Duration, event: TimelyEvent) {
        match event {
            TimelyEvent::Schedule(schedule) => self.scheduled(at, &schedule),
            TimelyEvent::Messages(messages) if messages.is_send => self.sent(&messages),
            TimelyEvent::Operates(it) => {
                self.operators.insert(it.addr, it.id);
            }
            TimelyEvent::Channels(it) => {
                self.channels.insert(it.id, it);
            }
            _ => {}
        }
    }

    fn sent(&mut self, messages: &MessagesEvent) {
        let known = self.counted.get(&messages.channel).copied();
        let owner = known.unwrap_or_else(|| self.counted_of(messages.channel));
        let (Some(owner), Some(numbers)) = (owner, &self.numbers) else {
            return;
        };
        let emitted = &numbers.owners[owner].1.emitted;
        let sum = emitted.load(Ordering::Relaxed) + messages.record_count.max(0) as u64;
        // Only this worker writes it.
        emitted.store(sum, Ordering::Relaxed);
    }

    /// Whose the operator before a channel is, if the one behind it is another's and no other channel of the same output is counted.
    fn counted_of(&mut self, channel: usize) -> Option<usize> {
        // Whose operators are is told when all are made.
        self.numbers.as_ref()?;
        let owner = self.channels.remove(&channel).and_then(|it| {
            let operator = |index: usize| {
                let place = it.scope_addr.iter().copied().chain([index]);
                self.operators.get(&place.collect::<Vec<usize>>()).copied()
            };
            let owner = |operator: usize| self.owners.get(operator).copied().flatten();
            let (source, target) = (operator(it.source.0)?, operator(it.target.0)?);
            let (from, to) = (owner(source)?, owner(target)?);
            (from != to && self.outputs.insert((source, it.source.1))).then_some(from)
        });
        self.counted.insert(channel, owner);
        owner
    }

    fn scheduled(&mut self, at: Duration, schedule: &ScheduleEvent) {
        match schedule.start_stop {
            StartStop::Start => self.running.push(Running {
                since: at,
                of_others: Duration::ZERO,
            }),
            StartStop::Stop => {
                let Some(ran) = self.running.pop() else {
                    return;
                };
                let whole = at.saturating_sub(ran.since);
                if let Some(above) = self.running.last_mut() {
                    above.of_others += whole;
                }
                let owner = self.owners.get(schedule.id).copied().flatten();
                if let (Some(owner), Some(numbers)) = (owner, &self.numbers) {
                    let own = whole.saturating_sub(ran.of_others).as_nanos() as u64;
                    // Only this worker writes it.
                    let busy_ns = &numbers.owners[owner].1.busy_ns;
                    let sum = busy_ns.load(Ordering::Relaxed) + own;
                    busy_ns.store(sum, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Costs, Owners};
    use super::*;
    use timely::logging::OperatesEvent;

    #[test]
    fn what_an_operator_schedules_is_not_its_own_time() {
        let costs = Costs::default();
        let mut owners = Owners::default();
        owners.turn_to(&["a".to_owned()], None, 0);
        owners.turn_to(&["b".to_owned()], None, 3);
        let numbers = costs.add(0, owners.all.clone());
        let busy = Busy::default();
        busy.begin(owners.by_operator(4), numbers);
        let events = [
            (10, ScheduleEvent::start(0)),
            (20, ScheduleEvent::start(1)),
            (25, ScheduleEvent::stop(1)),
            (26, ScheduleEvent::start(3)),
            (96, ScheduleEvent::stop(3)),
            (99, ScheduleEvent::stop(0)),
            (100, ScheduleEvent::start(2)),
            (101, ScheduleEvent::stop(2)),
        ];
        for (ns, event) in events {
            busy.0
                .borrow_mut()
                .take(Duration::from_nanos(ns), event.into());
        }
        let told = costs.now();
        let told: Vec<(&str, u64)> = told
            .iter()
            .map(|it| (it.relations[0].as_str(), it.busy_ns))
            .collect();
        // The outermost one ran for 89 ns, 75 of them for others.
        assert_eq!(told, [("a", 14 + 6), ("b", 70)]);
    }

    /// Operators 1 and 2 are a's, 5 is b's, 8 is nobody's; what 2 hands on goes to 5 twice and to 8.
    #[test]
    fn what_goes_to_several_is_handed_on_once_and_within_a_node_not_at_all() {
        let costs = Costs::default();
        let mut owners = Owners::default();
        let before = owners.turn_to(&["a".to_owned()], None, 1);
        owners.turn_back(before, 4);
        let before = owners.turn_to(&["b".to_owned()], None, 4);
        owners.turn_back(before, 8);
        let numbers = costs.add(0, owners.all.clone());
        let busy = Busy::default();
        let operates = |id: usize, index: usize| -> TimelyEvent {
            OperatesEvent {
                id,
                addr: vec![0, index],
                name: String::new(),
            }
            .into()
        };
        let channel = |id: usize, source: usize, target: usize| -> TimelyEvent {
            ChannelsEvent {
                id,
                scope_addr: vec![0],
                source: (source, 0),
                target: (target, 0),
                typ: String::new(),
            }
            .into()
        };
        let sent = |channel: usize, record_count: i64, is_send: bool| -> TimelyEvent {
            MessagesEvent {
                is_send,
                channel,
                source: 0,
                target: 0,
                seq_no: 0,
                record_count,
            }
            .into()
        };
        let take = |event: TimelyEvent| busy.0.borrow_mut().take(Duration::ZERO, event);
        // As timely tells of them: channels while they are made, operators when all are.
        [
            channel(3, 1, 2),
            channel(4, 2, 3),
            channel(6, 2, 3),
            channel(9, 2, 4),
        ]
        .into_iter()
        .for_each(take);
        [
            operates(1, 1),
            operates(2, 2),
            operates(5, 3),
            operates(8, 4),
        ]
        .into_iter()
        .for_each(take);
        busy.begin(owners.by_operator(10), numbers);
        for (channel, records, is_send) in [
            (3, 100, true),
            (4, 7, true),
            (4, 7, false),
            (6, 7, true),
            (9, 7, true),
            (4, 2, true),
        ] {
            take(sent(channel, records, is_send));
        }
        let told: Vec<u64> = costs.now().iter().map(|it| it.emitted).collect();
        assert_eq!(told, [9, 0]);
    }
}
