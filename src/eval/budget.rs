//! What a detector finds when it may be wrong so often: the threshold follows from a budget of false alerts.
//!
//! Alerts are counted as people get them: windows above the threshold that are less than `join` apart are one incident. An event is found by
//! a window above the threshold inside of it, and by nothing else: no point-adjust, one hit among many misses is worth as much as one alone.
//! An incident that goes on is counted again after every `again` windows: else one that never ends would be the cheapest of all, and find everything.
//! What follows right behind an event (`grace`) is neither right nor wrong, since its end is a change, too.

use std::collections::BTreeSet;
use std::ops::Range;

/// What is judged: windows in their order, some with a score, and which of them are events.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    pub scores: &'a [Option<f64>],
    /// Of windows, in order and apart from each other.
    pub events: &'a [Range<usize>],
    pub windows_per_day: f64,
    /// Alerts within so many windows are one.
    pub join: usize,
    /// So many windows behind an event are not judged.
    pub grace: usize,
    /// Windows of false alerts that count as one more, however they are joined.
    pub again: usize,
}

/// What is found at a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct AtBudget {
    /// The lowest score that is an alert; none if the budget allows of no alert at all.
    pub threshold: Option<f64>,
    pub false_alerts: usize,
    /// Of each event the windows from its beginning to the first alert in it; none if it was missed.
    pub delays: Vec<Option<usize>>,
}

impl AtBudget {
    pub fn found(&self) -> usize {
        self.delays.iter().flatten().count()
    }

    /// Found events over all events.
    pub fn recall(&self) -> f64 {
        ratio(self.found(), self.delays.len())
    }

    /// Found events over these and the false alerts; none without alerts.
    pub fn precision(&self) -> Option<f64> {
        let alerts = self.found() + self.false_alerts;
        (0 < alerts).then(|| ratio(self.found(), alerts))
    }

    /// The median delay of what was found, in windows; the lower one of two in the middle.
    pub fn median_delay(&self) -> Option<usize> {
        let mut delays: Vec<usize> = self.delays.iter().flatten().copied().collect();
        delays.sort_unstable();
        delays.get(delays.len().saturating_sub(1) / 2).copied()
    }
}

pub fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

impl Judged<'_> {
    /// Windows that have a score, in days.
    pub fn days(&self) -> f64 {
        self.scores.iter().flatten().count() as f64 / self.windows_per_day
    }

    /// At the lowest threshold whose false alerts, and those of every higher one, stay within so many a day.
    pub fn at_budget(&self, per_day: f64) -> AtBudget {
        let allowed = per_day * self.days();
        let mut by_score: Vec<(f64, usize)> = self.false_candidates().collect();
        by_score.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut incidents = Incidents::new(self.join);
        // What is allowed is above the first score that is not.
        let mut above = f64::NEG_INFINITY;
        let mut false_alerts = 0;
        let mut at = 0;
        while at < by_score.len() {
            let score = by_score[at].0;
            while at < by_score.len() && by_score[at].0 == score {
                incidents.add(by_score[at].1);
                at += 1;
            }
            let count = incidents.count + at / self.again.max(1);
            if allowed < count as f64 {
                above = score;
                break;
            }
            false_alerts = count;
        }
        let alerts = |it: &f64| above < *it;
        let threshold = self.scores.iter().flatten().copied().filter(alerts);
        let threshold = threshold.min_by(f64::total_cmp);
        let delays = self.events.iter().map(|event| {
            let inside = self.scores[event.clone()].iter();
            let mut inside = inside.map(|it| it.as_ref().is_some_and(alerts));
            inside.position(|it| it)
        });
        AtBudget {
            threshold,
            false_alerts,
            delays: delays.collect(),
        }
    }

    /// Scores outside of events and of what follows them.
    fn false_candidates(&self) -> impl Iterator<Item = (f64, usize)> {
        let mut apart = vec![false; self.scores.len()];
        for event in self.events {
            let end = (event.end + self.grace).min(apart.len());
            apart[event.start..end].fill(true);
        }
        let scores = self.scores.iter().zip(apart).enumerate();
        scores.filter_map(|(at, (score, apart))| score.filter(|_| !apart).map(|it| (it, at)))
    }
}

/// Windows that are alerts, and how many incidents they are.
struct Incidents {
    windows: BTreeSet<usize>,
    join: usize,
    count: usize,
}

impl Incidents {
    fn new(join: usize) -> Self {
        Incidents {
            windows: BTreeSet::new(),
            join,
            count: 0,
        }
    }

    fn add(&mut self, window: usize) {
        let before = self.windows.range(..window).next_back().copied();
        let after = self.windows.range(window + 1..).next().copied();
        self.windows.insert(window);
        let near =
            |a: Option<usize>, b: Option<usize>| a.zip(b).is_some_and(|(a, b)| b - a <= self.join);
        let was_one = near(before, after);
        let neighbours =
            usize::from(near(before, Some(window))) + usize::from(near(Some(window), after));
        // A window alone is a new incident, one beside another is part of it, one between two makes them one.
        self.count = self.count + 1 + usize::from(was_one) - neighbours;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged<'a>(scores: &'a [Option<f64>], events: &'a [Range<usize>]) -> Judged<'a> {
        Judged {
            scores,
            events,
            windows_per_day: 10.0,
            join: 2,
            grace: 1,
            again: 10,
        }
    }

    #[test]
    fn near_alerts_are_one_and_what_follows_an_event_is_not_judged() {
        let mut scores = [Some(0.0); 20];
        for (at, score) in [
            (2, 5.0),
            (4, 4.0),
            (8, 3.0),
            (11, 4.5),
            (12, 9.0),
            (17, 3.5),
        ] {
            scores[at] = Some(score);
        }
        let events = vec![10..12; 1];
        let judged = judged(&scores, &events);
        // Two days: one false alert at half a day each. 2 and 4 are one incident, 12 is behind the event.
        let found = judged.at_budget(0.5);
        assert_eq!(found.threshold, Some(4.0));
        assert_eq!((found.false_alerts, found.delays), (1, vec![Some(1)]));
        let none = judged.at_budget(0.1);
        assert_eq!((none.threshold, none.recall()), (Some(9.0), 0.0));
    }

    #[test]
    fn an_alert_without_end_is_not_one_alert() {
        let events = vec![5..6; 1];
        let found = judged(&[Some(1.0); 100], &events).at_budget(0.5);
        assert_eq!((found.threshold, found.recall()), (None, 0.0));
    }

    #[test]
    fn without_scores_nothing_is_found() {
        let events = vec![1..2; 1];
        let found = judged(&[None; 5], &events).at_budget(1.0);
        assert_eq!((found.threshold, found.recall()), (None, 0.0));
        assert_eq!(found.precision(), None);
    }
}
