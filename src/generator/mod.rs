//! Synthetic web-log traffic with anomalies whose truth is known.
//!
//! A generator is a pure function of its settings: the same seed gives the same bytes, whatever the machine or
//! the pace at which they are asked for. Event time is its only time, and it is also the schedule: `pace`
//! says when an event is due by comparing event time with time elapsed.
//!
//! With anomalies on, one event in twenty is drawn to be anomalous. What was injected is told beside the event
//! and never inside it, so that detectors can be scored without reading the answer.
//!
//! A traffic spike multiplies the rate for two seconds of event time; before the first and after each there is
//! half a minute without one, so that the long-run rate stays near the one asked for.
//!
//! Nothing is sent, written or waited for here.

mod event;
pub mod pace;
mod random;
#[cfg(test)]
mod tests;

use event::Address;
use random::Random;
use twox_hash::XxHash3_64;

/// The share of events that are drawn to be anomalous.
pub const INJECTED_PERCENT: u32 = 5;
/// By how much a traffic spike multiplies the rate.
pub const SPIKE_FACTOR: f64 = 5.0;
/// How long a traffic spike lasts, in event time.
pub const SPIKE_US: i64 = 2_000_000;

/// Quiet time before the first spike and after each, in event time. Without it, a high rate would draw one spike after another.
pub const SPIKE_REST_US: i64 = 30_000_000;

/// What the traffic is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Events per second of event time, outside traffic spikes.
    pub rate: f64,
    pub anomalies: bool,
    /// The event time of the first event, in microseconds since the epoch.
    pub start_us: i64,
}

/// What is known about the event just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// The xxh3 hash of the address, the same on every machine: `key_hash % partitions` keeps one address in
    /// one partition.
    pub key_hash: u64,
    pub time_us: i64,
    /// What makes this event anomalous; none for ordinary traffic.
    pub truth: Option<Injected>,
}

/// One injected anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    pub kind: Kind,
    /// The number of the event in the run, from 0.
    pub event: u64,
    pub time_us: i64,
    pub endpoint: &'static str,
    /// From when to when the traffic is changed: the whole spike, also for an event drawn while it ran, and
    /// the instant of the event itself for the other kinds.
    pub start_us: i64,
    pub end_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    TrafficSpike,
    ErrorSurge,
    SlowResponse,
    SuspiciousIp,
}

impl Kind {
    /// The name that truth files and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrafficSpike => "traffic_spike",
            Self::ErrorSurge => "error_surge",
            Self::SlowResponse => "slow_response",
            Self::SuspiciousIp => "suspicious_ip",
        }
    }
}

/// Makes one event after another.
pub struct Generator {
    anomalies: bool,
    random: Random,
    schedule: Schedule,
    clock: event::Clock,
    address: Address,
    events: u64,
}

impl Generator {
    pub fn new(settings: Settings) -> Self {
        let Settings {
            seed,
            rate,
            anomalies,
            start_us,
        } = settings;
        Self {
            anomalies,
            random: Random::new(seed),
            schedule: Schedule::new(rate, start_us),
            clock: event::Clock::default(),
            address: Address::default(),
            events: 0,
        }
    }

    /// Appends the next event to `out`, as one JSON object without a line end.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Generated {
        let time_us = self.schedule.next_us;
        let kind = self.draw_kind();
        if kind == Some(Kind::TrafficSpike) {
            self.schedule.begin_spike();
        }
        let endpoint = event::write(
            out,
            &mut self.random,
            &mut self.clock,
            time_us,
            kind,
            &mut self.address,
        );
        let truth = kind.map(|kind| {
            let (start_us, end_us) = match kind {
                Kind::TrafficSpike => self.schedule.spike.expect("a drawn spike is on"),
                _ => (time_us, time_us),
            };
            Injected {
                kind,
                event: self.events,
                time_us,
                endpoint,
                start_us,
                end_us,
            }
        });
        self.events += 1;
        self.schedule.advance();
        Generated {
            key_hash: XxHash3_64::oneshot(self.address.text().as_bytes()),
            time_us,
            truth,
        }
    }

    /// The event time of the event that `next_into` makes next.
    pub fn next_time_us(&self) -> i64 {
        self.schedule.next_us
    }

    /// The key of the event made last, its address; empty before the first.
    pub fn key(&self) -> &str {
        self.address.text()
    }

    fn draw_kind(&mut self) -> Option<Kind> {
        if !self.anomalies || self.random.percent() >= INJECTED_PERCENT {
            return None;
        }
        Some(match self.random.percent() {
            0..20 if self.schedule.may_spike() => Kind::TrafficSpike,
            0..20 => return None,
            20..50 => Kind::ErrorSurge,
            50..90 => Kind::SlowResponse,
            _ => Kind::SuspiciousIp,
        })
    }
}

/// When events happen: evenly spaced, and closer together while a spike is on.
///
/// Events are counted from the last change of rate, so that their times are exact and no error adds up.
struct Schedule {
    rate: f64,
    start_us: i64,
    /// When the rate last changed, in microseconds after the start, and how much of an interval had then passed.
    changed_us: f64,
    passed: f64,
    /// Events since then.
    events: u64,
    next_us: i64,
    /// The spike that is on, as event times from and to.
    spike: Option<(i64, i64)>,
    /// No spike begins before this event time.
    rest_until_us: i64,
}

impl Schedule {
    fn new(rate: f64, start_us: i64) -> Self {
        assert!(
            rate.is_finite() && 0.0 < rate,
            "a rate of {rate} events per second makes no schedule"
        );
        Self {
            rate,
            start_us,
            changed_us: 0.0,
            passed: 0.0,
            events: 0,
            next_us: start_us,
            spike: None,
            rest_until_us: start_us + SPIKE_REST_US,
        }
    }

    /// Whether a spike is on, or may begin now.
    fn may_spike(&self) -> bool {
        self.spike.is_some() || self.rest_until_us <= self.next_us
    }

    /// Starts a spike at the next event, unless one is on.
    fn begin_spike(&mut self) {
        if self.spike.is_none() {
            self.spike = Some((self.next_us, self.next_us + SPIKE_US));
            self.change((self.next_us - self.start_us) as f64, 0.0);
        }
    }

    fn advance(&mut self) {
        self.events += 1;
        let mut next_us = self.exact_us(self.rate_now());
        if let Some((_, end_us)) = self.spike {
            let end_us = (end_us - self.start_us) as f64;
            if end_us <= next_us {
                let missing = (next_us - end_us) * self.rate_now() / 1e6;
                self.spike = None;
                self.rest_until_us = self.start_us + end_us as i64 + SPIKE_REST_US;
                self.change(end_us, 1.0 - missing);
                self.events = 1;
                next_us = self.exact_us(self.rate);
            }
        }
        self.next_us = self.start_us + next_us as i64;
    }

    fn change(&mut self, changed_us: f64, passed: f64) {
        self.changed_us = changed_us;
        self.passed = passed;
        self.events = 0;
    }

    fn rate_now(&self) -> f64 {
        match self.spike {
            Some(_) => self.rate * SPIKE_FACTOR,
            None => self.rate,
        }
    }

    /// The next event's time in microseconds after the start. Divides last: a whole number of seconds stays whole.
    fn exact_us(&self, rate: f64) -> f64 {
        self.changed_us + (self.events as f64 - self.passed) * 1e6 / rate
    }
}
