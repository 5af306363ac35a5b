//! Endpoints that are new, of all there are: not only the busiest ones, which are keys of the other metrics.

use super::lines::ENDPOINT;
use super::replay::Replay;
use super::scores::MINUTES_PER_DAY;
use crate::detect::newcomers::{Arrivals, Came, Newcomers, Presence, Rule};
use crate::detect::windows::missed_until;
use std::collections::HashMap;

/// In windows.
pub const HOUR: i64 = 60;
const MINUTE_US: i64 = 60_000_000;
const DAY: u32 = MINUTES_PER_DAY as u32;

/// An endpoint that is new, and loud for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    pub endpoint: u32,
    pub minute: usize,
    pub severity: f64,
}

/// What `CREATE DETECTOR` says of new endpoints with so many false alerts a day, behind `skip` minutes of learning.
pub fn arrivals(replay: &Replay<'_>, skip: usize, false_alerts_per_day: f64) -> Vec<Arrival> {
    let share = (false_alerts_per_day / MINUTES_PER_DAY as f64).min(0.5);
    let rule = Rule::new(MINUTE_US, None, share);
    let mut known: HashMap<u32, Presence> = HashMap::new();
    let mut newcomers = Newcomers::default();
    let mut counts: HashMap<u32, u32> = HashMap::new();
    let (mut requests, mut found) = (Vec::new(), Vec::new());
    for minute in 0..replay.minutes() {
        replay.minute(minute, &mut requests);
        counts.clear();
        for request in &requests {
            *counts.entry(request.values[ENDPOINT]).or_default() += 1;
        }
        let window = minute as i64;
        let mut arrivals = Arrivals::default();
        for (endpoint, requests) in &counts {
            let came = came(&mut known, *endpoint, window, f64::from(*requests));
            arrivals.add(&rule, window, || *endpoint, came, 1);
        }
        let told = newcomers.step(&rule, window, &arrivals);
        let told = told
            .into_iter()
            .filter(|it| rule.least <= it.1.severity && skip <= minute);
        found.extend(told.map(|(endpoint, it)| Arrival {
            endpoint,
            minute,
            severity: it.severity,
        }));
    }
    found
}

/// What an endpoint brings, which is new if it has been forgotten.
fn came(known: &mut HashMap<u32, Presence>, endpoint: u32, window: i64, requests: f64) -> Came {
    let presence = known.entry(endpoint).or_insert(Presence::new(window));
    if missed_until(presence, Some(DAY)) < window {
        *presence = Presence::new(window);
    }
    presence.came(window, requests, HOUR)
}
