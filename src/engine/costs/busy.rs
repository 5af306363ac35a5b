//! How long operators run, from timely's own log.

use super::OfWorker;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

/// What the log of one worker adds up to.
#[derive(Clone, Default)]
pub(in crate::engine) struct Busy(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    /// Whose each operator is, by its number.
    owners: Vec<Option<usize>>,
    numbers: Option<Arc<OfWorker>>,
    running: Vec<Running>,
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
        let TimelyEvent::Schedule(schedule) = event else {
            return;
        };
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
    use timely::logging::ScheduleEvent;

    #[test]
    fn what_an_operator_schedules_is_not_its_own_time() {
        let costs = Costs::default();
        let mut owners = Owners::default();
        owners.turn_to(&["a".to_owned()], 0);
        owners.turn_to(&["b".to_owned()], 3);
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
}
