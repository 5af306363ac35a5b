//! Synthetic events: web-log traffic with anomalies whose truth is known, and the auctions of Nexmark (`nexmark`).
//!
//! A generator is a pure function of its settings: the same seed gives the same bytes, whatever the machine or
//! the pace at which they are asked for. Event time is its only time, and it is also the schedule: `pace`
//! says when an event is due by comparing event time with time elapsed.
//!
//! With anomalies on, one web-log event in twenty is injected: 20 % traffic spikes, 30 % error surges, 40 % slow
//! responses, 10 % suspicious addresses. What was injected is told beside the event and never inside it, so
//! that detectors can be scored without reading the answer.
//!
//! A traffic spike multiplies the rate. The others change one event; a spike changes many, so most of its
//! events are not told: seven in a hundred are, which makes a fifth of all that is injected, since a
//! seventh of all events lie in spikes. The first event of each spike is told.
//!
//! Four in five events belong to sessions that can be followed (`visitors`). Traffic of a demonstration has a day and a night,
//! and an outage instead of injected anomalies (`scenario`).
//!
//! Nothing is sent, written or waited for here.

mod event;
pub mod nexmark;
pub mod pace;
mod scenario;
#[cfg(test)]
mod tests;
mod visitors;

pub use scenario::{OUTAGE_CLIENT, OUTAGE_ENDPOINT, Scenario};

use crate::model::Random;
use event::Address;
use scenario::MINUTE_US;
use twox_hash::XxHash3_64;
use visitors::Visitors;

/// The share of events that are injected as another kind than a spike.
const SINGLE_PERCENT: u32 = 4;
/// The share of a spike's events that are told: 1 % of all events, as a seventh of them lies in spikes.
const SPIKE_TOLD_PERCENT: u64 = 7;
/// By how much a traffic spike multiplies the rate.
pub const SPIKE_FACTOR: f64 = 5.0;
/// Time without a spike per spike, in event time: five minutes, and at higher rates than 100 per second what
/// `CALM_EVENTS` take, so that any long run has its share of spikes.
pub const CALM_US: f64 = 300_000_000.0;
const CALM_EVENTS: f64 = 30_000.0;
/// Calm time is so much longer than a spike.
const CALM_PER_SPIKE: f64 = 30.0;

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
    scenario: Option<Scenario>,
    random: Random,
    visitors: Visitors,
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
        let mut random = Random::new(seed);
        let visitors = Visitors::new(rate, &mut random);
        // A generator of its own: events are the same whenever spikes come.
        let spikes = anomalies.then(|| Random::new(!seed));
        Self {
            anomalies,
            scenario: None,
            random,
            visitors,
            schedule: Schedule::new(rate, start_us, spikes),
            clock: event::Clock::default(),
            address: Address::default(),
            events: 0,
        }
    }

    /// The same traffic for a demonstration: of a mean rate, and with the outage of the scenario.
    pub fn with_scenario(settings: Settings, scenario: Scenario) -> Self {
        let minutes = Minutes {
            // A generator of its own, as for spikes.
            random: Random::new(settings.seed.rotate_left(32)),
            factor: 1.0,
            until_us: 0.0,
        };
        let mut generator = Self::new(settings);
        generator.scenario = Some(scenario);
        generator.schedule.minutes = Some(minutes);
        generator.schedule.begin_minute(0.0);
        generator
    }

    /// Appends the next event to `out`, as one JSON object without a line end.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Generated {
        let time_us = self.schedule.next_us;
        let kind = self.draw_kind();
        let visitor = self.visitors.next(&mut self.random);
        let endpoint = event::write(
            out,
            &mut self.random,
            &mut self.clock,
            time_us,
            event::Origin {
                kind,
                scenario: self.scenario,
                visitor,
            },
            &mut self.address,
        );
        let truth = kind.map(|kind| {
            let (start_us, end_us) = match kind {
                Kind::TrafficSpike => self.schedule.spike_us(),
                Kind::ErrorSurge | Kind::SlowResponse | Kind::SuspiciousIp => (time_us, time_us),
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
        if !self.anomalies {
            return None;
        }
        let single = self.random.percent() < SINGLE_PERCENT;
        if self.schedule.is_told() {
            return Some(Kind::TrafficSpike);
        }
        single.then(|| match self.random.below(80) {
            0..30 => Kind::ErrorSurge,
            30..70 => Kind::SlowResponse,
            _ => Kind::SuspiciousIp,
        })
    }
}

/// When events happen: evenly spaced, and closer together while a spike is on.
///
/// Times here are microseconds after the start. Events are counted from the last change of rate, so that their
/// times are exact and no error adds up.
struct Schedule {
    rate: f64,
    start_us: i64,
    /// When the rate last changed, and how much of an interval had then passed.
    changed_us: f64,
    passed: f64,
    /// Events since then.
    events: u64,
    /// The event time of the next event.
    next_us: i64,
    /// The next spike, or the one that is on; none without anomalies.
    spike: Option<Spike>,
    /// How much traffic there is from minute to minute; the same at all times without a scenario.
    minutes: Option<Minutes>,
}

/// The minute that is on.
struct Minutes {
    random: Random,
    factor: f64,
    until_us: f64,
}

/// A spike, somewhere in the middle half of its share of time.
struct Spike {
    random: Random,
    on: bool,
    begin_us: f64,
    end_us: f64,
    /// When the time begins in which the spike after this one lies.
    next_from_us: f64,
    /// Events of it so far.
    events: u64,
}

impl Spike {
    fn plan(mut random: Random, rate: f64, from_us: f64) -> Self {
        let calm_us = CALM_US.min(CALM_EVENTS * 1e6 / rate);
        let length_us = calm_us / CALM_PER_SPIKE;
        let begin_us = from_us + calm_us * (0.25 + f64::from(random.below(1_000)) / 2_000.0);
        Self {
            random,
            on: false,
            begin_us,
            end_us: begin_us + length_us,
            next_from_us: from_us + calm_us + length_us,
            events: 0,
        }
    }
}

impl Schedule {
    fn new(rate: f64, start_us: i64, spikes: Option<Random>) -> Self {
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
            spike: spikes.map(|it| Spike::plan(it, rate, 0.0)),
            minutes: None,
        }
    }

    /// Enters the minute of a time.
    fn begin_minute(&mut self, now_us: f64) {
        let Some(minutes) = self.minutes.as_mut() else {
            return;
        };
        let minute_us = (self.start_us + now_us as i64).div_euclid(MINUTE_US) * MINUTE_US;
        minutes.factor = scenario::factor(minute_us, &mut minutes.random);
        minutes.until_us = (minute_us + MINUTE_US - self.start_us) as f64;
    }

    /// Whether the next event is one of a spike, and told as such.
    fn is_told(&self) -> bool {
        self.spike
            .as_ref()
            .is_some_and(|it| it.on && it.events * SPIKE_TOLD_PERCENT % 100 < SPIKE_TOLD_PERCENT)
    }

    /// The event times of the spike that is on, from and to.
    fn spike_us(&self) -> (i64, i64) {
        let spike = self.spike.as_ref().expect("a told spike is on");
        let time_us = |it: f64| self.start_us + it as i64;
        (time_us(spike.begin_us), time_us(spike.end_us))
    }

    fn advance(&mut self) {
        self.events += 1;
        if let Some(spike) = self.spike.as_mut().filter(|it| it.on) {
            spike.events += 1;
        }
        let mut next_us = self.exact_us();
        while let Some(changes_us) = self.rate_changes_us().filter(|it| *it <= next_us) {
            let missing = (next_us - changes_us) * self.rate_now() / 1e6;
            self.change_rate(changes_us);
            self.changed_us = changes_us;
            self.passed = 1.0 - missing;
            self.events = 1;
            next_us = self.exact_us();
        }
        self.next_us = self.start_us + next_us as i64;
    }

    /// When the rate changes next, if ever.
    fn rate_changes_us(&self) -> Option<f64> {
        let minute = self.minutes.as_ref().map(|it| it.until_us);
        let spike = self.spike.as_ref().map(|it| match it.on {
            true => it.end_us,
            false => it.begin_us,
        });
        minute.into_iter().chain(spike).reduce(f64::min)
    }

    fn change_rate(&mut self, now_us: f64) {
        if self
            .minutes
            .as_ref()
            .is_some_and(|it| it.until_us <= now_us)
        {
            self.begin_minute(now_us);
        }
        self.spike = self.spike.take().map(|spike| match spike.on {
            true if spike.end_us <= now_us => {
                Spike::plan(spike.random, self.rate, spike.next_from_us)
            }
            false if spike.begin_us <= now_us => Spike { on: true, ..spike },
            _ => spike,
        });
    }

    fn rate_now(&self) -> f64 {
        let rate = self
            .minutes
            .as_ref()
            .map_or(self.rate, |it| self.rate * it.factor);
        match &self.spike {
            Some(spike) if spike.on => rate * SPIKE_FACTOR,
            Some(_) | None => rate,
        }
    }

    /// The next event's time. Divides last: a whole number of seconds stays whole.
    fn exact_us(&self) -> f64 {
        self.changed_us + (self.events as f64 - self.passed) * 1e6 / self.rate_now()
    }
}
