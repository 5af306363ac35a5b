//! Windows of one minute, of all traffic and of its busiest endpoints, through each detector: the metrics are those that `web_logs` watches.

use super::arrivals::HOUR;
use super::lines::{ENDPOINT, Request};
use super::replay::Replay;
use crate::detect::Window;
use crate::detect::forecast::Scale;
use crate::detect::metric::{Evidence, Kind, Metric};
use crate::detect::ratio::Share;
use crate::detect::windows::{Fold, Windows};
use crate::eval::named::{Named, Season, Subject};

pub const MINUTES_PER_DAY: usize = 1_440;
/// What is judged of all traffic, and of an endpoint.
pub const OF_ALL: [Asked; 4] = [
    Asked::Requests,
    Asked::ServerErrors,
    Asked::Errors,
    Asked::ResponseTime,
];
pub const OF_ENDPOINT: [Asked; 3] = [Asked::Requests, Asked::Errors, Asked::ResponseTime];
const PERCENTILE: f64 = 0.95;

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asked {
    Requests,
    /// The share of status 500 and above.
    ServerErrors,
    /// The share of status 400 and above.
    Errors,
    /// The 95th percentile of response times.
    ResponseTime,
}

impl Asked {
    pub fn name(self) -> &'static str {
        match self {
            Asked::Requests => "requests",
            Asked::ServerErrors => "server_error_share",
            Asked::Errors => "error_share",
            Asked::ResponseTime => "response_time_p95",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Asked::Requests => Kind::Rate,
            Asked::ServerErrors | Asked::Errors => Kind::Ratio,
            Asked::ResponseTime => Kind::Latency,
        }
    }
}

pub fn is_error(request: &Request) -> bool {
    400 <= request.status()
}

pub fn is_server_error(request: &Request) -> bool {
    500 <= request.status()
}

/// The nearest rank; not a number if there are no times. They are put into another order.
pub fn percentile(times: &mut [f32]) -> f64 {
    if times.is_empty() {
        return f64::NAN;
    }
    let rank = (PERCENTILE * times.len() as f64).ceil() as usize;
    let (_, value, _) = times.select_nth_unstable_by(rank - 1, f32::total_cmp);
    f64::from(*value)
}

/// What was seen of a key in one minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub requests: u32,
    pub errors: u32,
    pub server_errors: u32,
    pub response_time: f32,
}

impl Seen {
    /// Of the requests of a minute.
    pub fn of<'a>(requests: impl Iterator<Item = &'a Request>) -> Seen {
        let mut open = Open::default();
        requests.for_each(|it| open.add(it));
        open.close()
    }

    fn evidence(&self, asked: Asked) -> Evidence {
        let share = |failures: u32| {
            Evidence::Share(Share {
                failures: u64::from(failures),
                all: u64::from(self.requests),
            })
        };
        match asked {
            Asked::Requests => Evidence::Number(f64::from(self.requests)),
            Asked::ServerErrors => share(self.server_errors),
            Asked::Errors => share(self.errors),
            Asked::ResponseTime => Evidence::Number(f64::from(self.response_time)),
        }
    }

    fn number(&self, asked: Asked) -> f64 {
        self.evidence(asked).number().unwrap_or(f64::NAN)
    }
}

/// A minute that is being counted.
#[derive(Default)]
struct Open {
    requests: u32,
    errors: u32,
    server_errors: u32,
    times: Vec<f32>,
}

impl Open {
    fn add(&mut self, request: &Request) {
        self.requests += 1;
        self.errors += u32::from(is_error(request));
        self.server_errors += u32::from(is_server_error(request));
        self.times.push(request.milliseconds);
    }

    /// What was seen, and begins anew.
    fn close(&mut self) -> Seen {
        let seen = Seen {
            requests: self.requests,
            errors: self.errors,
            server_errors: self.server_errors,
            response_time: percentile(&mut self.times) as f32,
        };
        self.times.clear();
        (self.requests, self.errors, self.server_errors) = (0, 0, 0);
        seen
    }
}

/// The minutes of one key: none of all traffic, else an endpoint.
#[derive(Clone, Debug)]
pub struct Key {
    pub endpoint: Option<u32>,
    pub minutes: Vec<Seen>,
}

impl Key {
    pub fn asked(&self) -> &'static [Asked] {
        match self.endpoint {
            None => &OF_ALL,
            Some(_) => &OF_ENDPOINT,
        }
    }
}

/// All traffic, then these endpoints.
pub fn keys(replay: &Replay<'_>, endpoints: &[u32]) -> Vec<Key> {
    let all = [None].into_iter();
    let names = all.chain(endpoints.iter().map(|it| Some(*it)));
    let mut keys: Vec<Key> = names
        .map(|endpoint| Key {
            endpoint,
            minutes: Vec::with_capacity(replay.minutes()),
        })
        .collect();
    let mut places = std::collections::HashMap::new();
    for (place, endpoint) in endpoints.iter().enumerate() {
        places.insert(*endpoint, place + 1);
    }
    let mut open: Vec<Open> = keys.iter().map(|_| Open::default()).collect();
    let mut requests = Vec::new();
    for minute in 0..replay.minutes() {
        replay.minute(minute, &mut requests);
        for request in &requests {
            open[0].add(request);
            if let Some(place) = places.get(&request.values[ENDPOINT]) {
                open[*place].add(request);
            }
        }
        for (key, open) in keys.iter_mut().zip(&mut open) {
            key.minutes.push(open.close());
        }
    }
    keys
}

/// The severities of each metric of a key, by minute; none where a detector says nothing.
pub type Severities = Vec<Vec<Option<f64>>>;

/// The test of the engine: what `CREATE DETECTOR` makes of these metrics, over windows numbered from `first`.
pub fn engine(asked: &[Asked]) -> Windows {
    let season = Some(MINUTES_PER_DAY as u32);
    let metric = |it: &Asked| Metric::new(it.kind(), 60, season);
    Windows {
        metrics: asked.iter().map(metric).collect(),
        hour: HOUR,
    }
}

/// A window as the engine sees it; none without a record.
pub fn observed(seen: &Seen, asked: &[Asked]) -> Option<Vec<Evidence>> {
    (0 < seen.requests).then(|| asked.iter().map(|it| seen.evidence(*it)).collect())
}

/// What the engine's detector says of a key.
pub fn of_engine(key: &Key, first: i64) -> Severities {
    let asked = key.asked();
    let mut severities = vec![vec![None; key.minutes.len()]; asked.len()];
    let observed: Vec<(i64, Vec<Evidence>)> = (first..)
        .zip(&key.minutes)
        .filter_map(|(number, seen)| Some((number, observed(seen, asked)?)))
        .collect();
    let windows = observed.iter().map(|it| (it.0, it.1.as_slice()));
    let through = first + key.minutes.len() as i64 - 1;
    engine(asked).fold(&mut Fold::default(), windows, through, |it| {
        let at = (it.window - first) as usize;
        severities[it.metric][at] = it.scored.map(|it| it.severity);
    });
    severities
}

/// What one of the simple rules says of a key, each metric as a series of its own.
pub fn of_named(named: Named, key: &Key, first: i64) -> Severities {
    let of_metric = |asked: &Asked| {
        let subject = Subject {
            scale: match asked.kind() {
                Kind::Rate => Scale::Counts,
                Kind::Latency => Scale::Positive,
                _ => Scale::Values,
            },
            season: Season::Windows(MINUTES_PER_DAY as u32),
        };
        let windows: Vec<Window<f64>> = (first..)
            .zip(&key.minutes)
            .map(|(number, seen)| Window {
                number,
                evidence: seen.number(*asked),
            })
            .collect();
        let scores = named.run(subject, &windows);
        let severity = scores.iter().map(|it| it.scored().map(|it| it.severity));
        severity.collect()
    };
    key.asked().iter().map(of_metric).collect()
}
