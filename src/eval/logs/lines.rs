//! The lines of an access log as values to draw from: which endpoint, method, status, client and agent a request had, as small numbers.

use std::collections::HashMap;

/// Columns by which anomalies are explained, in their order.
pub const COLUMNS: [&str; 5] = ["endpoint", "method", "status", "client", "agent"];
pub const ENDPOINT: usize = 0;
pub const METHOD: usize = 1;
pub const STATUS: usize = 2;
pub const CLIENT: usize = 3;
pub const AGENT: usize = 4;

/// The response times of a log are used if so many of its lines have one.
const TIMES_SHARE: f64 = 0.9;
const MICROS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: f64 = 1_440.0;

/// One line that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Microseconds since 1970.
    pub time_us: i64,
    pub endpoint: Option<String>,
    pub method: Option<String>,
    pub status: u16,
    pub client: Option<String>,
    pub agent: Option<String>,
    /// The response time in milliseconds, if the log has them.
    pub milliseconds: Option<f64>,
}

/// A request: the numbers of its values, and its response time in milliseconds (not a number if it has none).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    pub values: [u32; 5],
    pub milliseconds: f32,
}

impl Request {
    pub fn status(&self) -> u32 {
        self.values[STATUS]
    }
}

/// All lines of a log, and the names of their values.
#[derive(Clone, Debug)]
pub struct Log {
    pub requests: Vec<Request>,
    /// The minute since 1970 of each request, in the order of `requests`.
    pub minutes: Vec<i64>,
    /// Whether response times are those of the log.
    pub has_times: bool,
    /// By column and number; a status is its own number and has no name here.
    names: [Vec<Option<String>>; 5],
}

impl Log {
    /// Lines in any order.
    pub fn of(lines: Vec<Line>) -> Log {
        let timed = lines.iter().filter(|it| it.milliseconds.is_some()).count();
        let has_times = !lines.is_empty() && TIMES_SHARE * lines.len() as f64 <= timed as f64;
        let mut log = Log {
            requests: Vec::with_capacity(lines.len()),
            minutes: Vec::with_capacity(lines.len()),
            has_times,
            names: Default::default(),
        };
        let mut known: [HashMap<Option<String>, u32>; 5] = Default::default();
        for line in lines {
            let mut number = |column: usize, value: Option<String>| {
                let names = &mut log.names[column];
                *known[column].entry(value.clone()).or_insert_with(|| {
                    names.push(value);
                    names.len() as u32 - 1
                })
            };
            let values = [
                number(ENDPOINT, line.endpoint),
                number(METHOD, line.method),
                u32::from(line.status),
                number(CLIENT, line.client),
                number(AGENT, line.agent),
            ];
            log.minutes.push(line.time_us.div_euclid(MICROS_PER_MINUTE));
            log.requests.push(Request {
                values,
                milliseconds: line.milliseconds.map_or(f32::NAN, |it| it as f32),
            });
        }
        log
    }

    /// The number of a value that no line has.
    pub fn add(&mut self, column: usize, name: &str) -> u32 {
        self.names[column].push(Some(name.to_owned()));
        self.names[column].len() as u32 - 1
    }

    /// A value as it is written; `-` if there is none.
    pub fn name(&self, column: usize, value: u32) -> String {
        if column == STATUS {
            return value.to_string();
        }
        let name = self.names[column].get(value as usize);
        name.and_then(Clone::clone).unwrap_or("-".to_owned())
    }

    /// How many values a column has.
    pub fn width(&self, column: usize) -> usize {
        self.names[column].len()
    }

    /// The values of a column that at least such a share of all requests has, with their counts, the most frequent first.
    pub fn frequent(&self, column: usize, share: f64) -> Vec<(u32, usize)> {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for request in &self.requests {
            *counts.entry(request.values[column]).or_default() += 1;
        }
        let least = share * self.requests.len() as f64;
        let mut frequent: Vec<(u32, usize)> = counts.into_iter().collect();
        frequent.retain(|it| least <= it.1 as f64);
        frequent.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        frequent
    }

    /// The first minute and how many there are until the last one.
    pub fn span(&self) -> Option<(i64, usize)> {
        let first = *self.minutes.iter().min()?;
        let last = *self.minutes.iter().max()?;
        Some((first, usize::try_from(last - first + 1).ok()?))
    }

    /// Days from the first line to the last.
    pub fn days(&self) -> f64 {
        self.span().map_or(0.0, |it| it.1 as f64 / MINUTES_PER_DAY)
    }

    /// How many minutes have a line.
    pub fn minutes_with_lines(&self) -> usize {
        let minutes: std::collections::HashSet<i64> = self.minutes.iter().copied().collect();
        minutes.len()
    }
}
