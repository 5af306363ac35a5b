//! What the explanation of an incident says of replayed traffic: the same sums that the engine asks its archive for, made from the requests, and the same rules.

use super::lines::{COLUMNS, ENDPOINT, Request};
use super::replay::Replay;
use super::scores::{Asked, is_error, is_server_error, percentile};
use crate::detect::attribution::{self, Carriers, Cell, Sums, WINDOWS};
use crate::detect::metric::Kind;
use std::collections::BTreeMap;
use std::ops::Range;

/// The values of a set of columns; the second one is 0 if it is one column.
type Values = [u32; 2];

/// All sets of one column, or of two.
pub fn sets_of(size: usize) -> Vec<Vec<usize>> {
    let mut sets = attribution::sets(COLUMNS.len());
    sets.retain(|it| it.len() == size);
    sets
}

/// A value of a column.
pub type Of = (usize, u32);

/// What is said of an incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub one: Option<Of>,
    pub pair: Option<[Of; 2]>,
}

/// What carries an incident of a metric in these minutes: of all traffic, or of one endpoint, whose incidents name it themselves.
pub fn told(
    replay: &Replay<'_>,
    asked: Asked,
    endpoint: Option<u32>,
    minutes: Range<usize>,
) -> Told {
    let columns: Vec<usize> = match endpoint {
        None => (0..COLUMNS.len()).collect(),
        Some(_) => (0..COLUMNS.len()).filter(|it| *it != ENDPOINT).collect(),
    };
    let sets: Vec<Vec<usize>> = attribution::sets(columns.len());
    let end = minutes.end.min(minutes.start + WINDOWS as usize);
    let before = minutes.start.saturating_sub(WINDOWS as usize)..minutes.start;
    let mut cells: Vec<BTreeMap<Values, Cell>> = vec![BTreeMap::new(); sets.len()];
    let mut requests = Vec::new();
    // Windows before without a record are no rows of the archive.
    let mut baseline = 0;
    for minute in before.start..end {
        replay.minute(minute, &mut requests);
        if let Some(endpoint) = endpoint {
            requests.retain(|it| it.values[ENDPOINT] == endpoint);
        }
        let is_now = minutes.start <= minute;
        baseline += usize::from(!is_now && !requests.is_empty());
        for (set, cells) in sets.iter().zip(&mut cells) {
            let key = |it: &Request| {
                let value = |at: usize| set.get(at).map_or(0, |it_| it.values[columns[*it_]]);
                [value(0), value(1)]
            };
            add(&requests, asked, key, is_now, cells);
        }
    }
    let scale = (end - minutes.start) as f64 / baseline.max(1) as f64;
    let explained = attribution::explained(&cells, &sets, asked.kind(), scale);
    let Carriers { one, pair } = attribution::carriers(&explained, &sets);
    let of = |set: usize, at: usize, value: Values| (columns[sets[set][at]], value[at]);
    let one = one.map(|it| of(it.set, 0, it.value));
    let pair = pair.map(|it| [of(it.set, 0, it.value), of(it.set, 1, it.value)]);
    match endpoint {
        None => Told { one, pair },
        // A value within an endpoint makes a pair with it.
        Some(endpoint) => Told {
            one: Some((ENDPOINT, endpoint)),
            pair: one.map(|it| [(ENDPOINT, endpoint), it]),
        },
    }
}

/// Adds the requests of one window to its cells.
fn add(
    requests: &[Request],
    asked: Asked,
    key: impl Fn(&Request) -> Values,
    is_now: bool,
    cells: &mut BTreeMap<Values, Cell>,
) {
    let mut of_window: BTreeMap<Values, (Sums, Vec<f32>)> = BTreeMap::new();
    for request in requests {
        let (sums, times) = of_window.entry(key(request)).or_default();
        sums.b += 1.0;
        let is_one = match asked {
            Asked::Requests => true,
            Asked::Errors => is_error(request),
            Asked::ServerErrors => is_server_error(request),
            Asked::ResponseTime => {
                times.push(request.milliseconds);
                false
            }
        };
        sums.a += f64::from(u8::from(is_one));
    }
    for (values, (mut sums, mut times)) in of_window {
        if asked.kind() == Kind::Latency {
            sums.a = sums.b * percentile(&mut times);
        }
        let cell = cells.entry(values).or_default();
        let into = if is_now {
            &mut cell.now
        } else {
            &mut cell.before
        };
        into.a += sums.a;
        into.b += sums.b;
    }
}
