//! Traffic minute by minute: lines of a log, either at their own times or drawn at the rate of given counts, with faults in them.
//!
//! A minute is a function of the seed and its number, so none has to be kept: to look at one again is to make it again. The draws of faults are others than those of the traffic, so that the same requests come
//! with a fault and without.
//!
//! Drawn requests are whole lines: endpoint, method, status, client and agent of one request belong together as in the log. They are drawn independently of each other, so bursts of one client are not in them.

use super::faults::{Change, Fault, Strangers};
use super::lines::{AGENT, CLIENT, ENDPOINT, Log, METHOD, Request, STATUS};
use crate::detect::math::{exp, ln, pow};
use crate::model::{Random, mixed};
use std::collections::BTreeSet;

/// Where requests come from.
#[derive(Clone, Debug)]
pub enum Pace {
    /// So many are drawn for each minute.
    Counts(Vec<u32>),
    /// Those of each minute, by their places in the log.
    Own(Vec<Vec<u32>>),
}

impl Pace {
    /// Each line at its own minute.
    pub fn own(log: &Log) -> Pace {
        let (first, length) = log.span().unwrap_or((0, 0));
        let mut minutes = vec![Vec::new(); length];
        for (place, minute) in log.minutes.iter().enumerate() {
            minutes[(minute - first) as usize].push(place as u32);
        }
        Pace::Own(minutes)
    }

    /// Counts whose mean is `per_minute`.
    pub fn of_counts(counts: &[f64], per_minute: f64, seed: u64) -> Pace {
        let mean = counts.iter().sum::<f64>() / counts.len().max(1) as f64;
        let factor = if 0.0 < mean { per_minute / mean } else { 0.0 };
        let mut random = Random::new(seed);
        let counts = counts.iter().map(|it| it * factor + random.unit());
        Pace::Counts(counts.map(|it| it as u32).collect())
    }

    pub fn minutes(&self) -> usize {
        match self {
            Pace::Counts(it) => it.len(),
            Pace::Own(it) => it.len(),
        }
    }

    /// Requests of a minute without faults.
    pub fn count(&self, minute: usize) -> usize {
        match self {
            Pace::Counts(it) => it[minute] as usize,
            Pace::Own(it) => it[minute].len(),
        }
    }
}

/// Response times that are made: log-normal by endpoint, with a Pareto tail, longer under load.
#[derive(Clone, Debug)]
pub struct Times {
    /// The median of each endpoint in milliseconds, and which table it draws from.
    endpoints: Vec<(f32, u8)>,
    /// Factors by which times differ from the median.
    tables: Vec<Vec<f32>>,
    /// Requests a minute at which the load is half of what can be served.
    half_load: f64,
}

impl Times {
    pub fn made(log: &Log, pace: &Pace, seed: u64) -> Self {
        const MEDIANS_MS: (f64, f64) = (20.0, 400.0);
        const SIGMAS: [f64; 3] = [0.4, 0.6, 0.8];
        const FACTORS: usize = 1 << 14;
        let mut random = Random::new(seed ^ 0x7469_6d65);
        let (low, high) = (ln(MEDIANS_MS.0), ln(MEDIANS_MS.1));
        let endpoints = (0..log.width(ENDPOINT)).map(|_| {
            let median = exp(low + (high - low) * random.unit()) as f32;
            (median, random.below(SIGMAS.len() as u32) as u8)
        });
        let endpoints = endpoints.collect();
        let tables = SIGMAS.map(|sigma| (0..FACTORS).map(|_| factor(sigma, &mut random)).collect());
        let most = (0..pace.minutes()).map(|it| pace.count(it)).max();
        Times {
            endpoints,
            tables: tables.into(),
            half_load: most.unwrap_or(1).max(1) as f64,
        }
    }

    fn draw(&self, endpoint: u32, random: &mut Random) -> f32 {
        let (median, table) = self.endpoints[endpoint as usize];
        let table = &self.tables[usize::from(table)];
        median * table[random.below(table.len() as u32) as usize]
    }

    /// By how much times are longer with so many requests: 1 + rho / (1 - rho), of a queue with one server.
    fn load(&self, requests: usize) -> f32 {
        const LOAD_MAX: f64 = 0.9;
        let load = (0.5 * requests as f64 / self.half_load).min(LOAD_MAX);
        (1.0 / (1.0 - load)) as f32
    }
}

fn factor(sigma: f64, random: &mut Random) -> f32 {
    const TAIL_SHARE: f64 = 0.01;
    const TAIL_FROM: f64 = 4.0;
    const TAIL_EXPONENT: f64 = 2.0;
    if random.unit() < TAIL_SHARE {
        return (TAIL_FROM * pow(1.0 - random.unit(), -1.0 / TAIL_EXPONENT)) as f32;
    }
    // Box and Muller (1958).
    let radius = (-2.0 * ln(1.0 - random.unit())).sqrt();
    exp(sigma * radius * libm::cos(std::f64::consts::TAU * random.unit())) as f32
}

/// Traffic with faults.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    pub log: &'a Log,
    pub pace: Pace,
    /// Made times; none if the log has its own.
    pub times: Option<Times>,
    pub faults: Vec<Fault>,
    pub strangers: Strangers,
    pub seed: u64,
    /// A place in the log of each endpoint: a crawler reads them all alike.
    pages: Vec<u32>,
}

impl<'a> Replay<'a> {
    pub fn new(
        log: &'a Log,
        pace: Pace,
        faults: Vec<Fault>,
        strangers: Strangers,
        seed: u64,
    ) -> Self {
        let times = (!log.has_times).then(|| Times::made(log, &pace, seed));
        let mut seen = BTreeSet::new();
        let places = log.requests.iter().enumerate();
        let pages = places.filter(|it| seen.insert(it.1.values[ENDPOINT]));
        Replay {
            pages: pages.map(|it| it.0 as u32).collect(),
            log,
            pace,
            times,
            faults,
            strangers,
            seed,
        }
    }

    pub fn minutes(&self) -> usize {
        self.pace.minutes()
    }

    /// The same traffic with nothing in it.
    pub fn without_faults(self) -> Self {
        Replay {
            faults: Vec::new(),
            ..self
        }
    }

    /// The requests of a minute, in any order; what was in the buffer is gone.
    pub fn minute(&self, minute: usize, into: &mut Vec<Request>) {
        into.clear();
        let mut random = Random::new(mixed(self.seed) ^ mixed(minute as u64));
        let mut by_fault = Random::new(mixed(self.seed ^ 1) ^ mixed(minute as u64));
        for at in 0..self.pace.count(minute) {
            let place = match &self.pace {
                Pace::Counts(_) => random.below(self.log.requests.len() as u32),
                Pace::Own(minutes) => minutes[minute][at],
            };
            let mut request = self.log.requests[place as usize];
            if let Some(times) = &self.times {
                request.milliseconds = times.draw(request.values[ENDPOINT], &mut random);
            }
            into.push(request);
        }
        let is_on = |it: &&Fault| it.minutes.contains(&minute);
        for fault in self.faults.iter().filter(is_on) {
            self.change(fault, minute, into, &mut by_fault);
        }
        let slower = self.slower(minute, into.len());
        for request in into.iter_mut() {
            request.milliseconds *= slower;
        }
    }

    /// By how much times of a minute with so many requests are longer than drawn: by load, and by deploys.
    pub fn slower(&self, minute: usize, requests: usize) -> f32 {
        let load = self.times.as_ref().map_or(1.0, |it| it.load(requests));
        self.deployed(minute) * load
    }

    /// What all deploys until a minute did to response times.
    pub fn deployed(&self, minute: usize) -> f32 {
        let before = self.faults.iter().filter(|it| it.minutes.start <= minute);
        let factors = before.map(|it| match it.change {
            Change::Deploy(factor) => factor,
            _ => 1.0,
        });
        factors.product::<f64>() as f32
    }

    fn change(
        &self,
        fault: &Fault,
        minute: usize,
        requests: &mut Vec<Request>,
        random: &mut Random,
    ) {
        let since = (minute - fault.minutes.start) as f64;
        let is_struck = |it: &Request| {
            fault
                .of
                .iter()
                .all(|(column, value)| it.values[*column] == *value)
        };
        let struck = requests.iter_mut().filter(|it| is_struck(it));
        match fault.change {
            Change::Slower(factor) => struck.for_each(|it| it.milliseconds *= factor as f32),
            Change::SlowerSlowly => {
                let factor = 1.0 + 0.01 * (since / 10.0);
                struck.for_each(|it| it.milliseconds *= factor as f32);
            }
            Change::Fail { share, status } => {
                struck.for_each(|it| fail(it, share, status, random));
            }
            Change::FailSlowly => {
                struck.for_each(|it| fail(it, 0.001 * (since / 30.0), 500, random));
            }
            Change::Keep(share) => requests.retain(|it| !is_struck(it) || random.unit() < share),
            Change::Flood {
                share,
                clients,
                is_scanner,
            } => {
                let more = whole(share * requests.len() as f64, random);
                requests.extend((0..more).map(|_| self.stranger(clients, is_scanner, random)));
            }
            Change::NewEndpoint { endpoint } => {
                let more = whole(0.01 * requests.len() as f64, random);
                for _ in 0..more {
                    let mut request =
                        self.drawn(random.below(self.log.requests.len() as u32), random);
                    request.values[ENDPOINT] = endpoint;
                    request.values[STATUS] = 200;
                    requests.push(request);
                }
            }
            // It has its effect with all others.
            Change::Deploy(_) => {}
        }
    }

    fn drawn(&self, place: u32, random: &mut Random) -> Request {
        let mut request = self.log.requests[place as usize];
        if let Some(times) = &self.times {
            request.milliseconds = times.draw(request.values[ENDPOINT], random);
        }
        request
    }

    fn stranger(&self, clients: u32, is_scanner: bool, random: &mut Random) -> Request {
        let place = random.pick(&self.pages);
        let mut request = self.drawn(place, random);
        request.values[AGENT] = self.strangers.crawler;
        request.values[CLIENT] = self.strangers.clients[random.below(clients) as usize];
        if is_scanner {
            request.values[AGENT] = self.strangers.scanner;
            request.values[ENDPOINT] = random.pick(&self.strangers.probes);
            request.values[METHOD] = self.log.requests[0].values[METHOD];
            request.values[STATUS] = 404;
        }
        request
    }
}

fn fail(request: &mut Request, share: f64, status: u32, random: &mut Random) {
    if random.unit() < share {
        request.values[STATUS] = status;
    }
}

/// A whole number whose expectation is exact.
fn whole(number: f64, random: &mut Random) -> usize {
    (number + random.unit()) as usize
}
