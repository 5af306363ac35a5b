//! Faults put into replayed traffic, with what carries each: which value of a column, or which pair of values, so that explanations can be judged.
//!
//! Kinds, sizes and lengths are fixed before anything is scored; where a fault lies and what it strikes is drawn from a seed. A value that no formula could tell from the one that was struck, since nearly
//! the same requests have both (a client with an agent of its own), is as right an answer.

use super::lines::{AGENT, CLIENT, COLUMNS, ENDPOINT, Log};
use crate::model::Random;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

pub const KINDS: [&str; 10] = [
    "latency",
    "errors",
    "errors of pair",
    "errors of client",
    "outage",
    "drop of endpoint",
    "flood",
    "leak",
    "new endpoint",
    "deploy",
];
/// The kind that grows slowly; all others have their size at once.
pub const LEAK: usize = 7;
/// Faults of each kind, if there is room.
const EACH_KIND: usize = 12;
/// Between two faults there are so many minutes at least: the hour that an explanation compares with is not that of another fault.
const APART_MINUTES: usize = 120;
/// Values are struck that at least such a share of requests has.
const STRUCK_SHARE: f64 = 0.01;
/// And pairs.
const PAIR_SHARE: f64 = 0.002;
/// A pair is one only if it is no more than so much of each of its values.
const PAIR_OF_VALUE_MAX: f64 = 0.7;
/// Values are the same to any formula if they have so many of their requests in common.
const SAME_SHARE: f64 = 0.9;
/// What a deploy does to response times.
const DEPLOY_FACTOR: f64 = 1.2;

/// What is done to the traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Response times times a factor.
    Slower(f64),
    /// Such a share more of requests fail, with this status.
    Fail { share: f64, status: u32 },
    /// Such a share of requests is kept.
    Keep(f64),
    /// So many times the traffic is added: a crawler reads everything, a scanner looks for what is not there.
    Flood {
        share: f64,
        clients: u32,
        is_scanner: bool,
    },
    /// Response times grow by 1 % every ten minutes.
    SlowerSlowly,
    /// 0.1 % more of requests fail every half an hour.
    FailSlowly,
    /// One request in a hundred is for an endpoint that was not there.
    NewEndpoint { endpoint: u32 },
    /// Response times times a factor, for good.
    Deploy(f64),
}

/// A fault: what, when, where, and what carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// By number, in `KINDS`.
    pub kind: usize,
    pub change: Change,
    /// The minutes in which it is to be found, counted from the first of the replay. A deploy has its effect beyond.
    pub minutes: Range<usize>,
    /// Values that a request has to have to be struck, by column; all requests if there are none.
    pub of: Vec<(usize, u32)>,
    /// Values that carry it; none if nothing carries it alone.
    pub carriers: Vec<(usize, u32)>,
    /// Pairs that carry it, of the lower column first; empty unless it takes two values to say it.
    pub pairs: Vec<[(usize, u32); 2]>,
}

impl Fault {
    /// The endpoint it strikes, if it is one.
    pub fn endpoint(&self) -> Option<u32> {
        self.of.iter().find(|it| it.0 == ENDPOINT).map(|it| it.1)
    }

    /// In words.
    pub fn told(&self, log: &Log) -> String {
        let of = self.of.iter();
        let of: Vec<String> = of
            .map(|it| format!("{} {}", COLUMNS[it.0], log.name(it.0, it.1)))
            .collect();
        format!("{} {:?} [{}]", KINDS[self.kind], self.change, of.join(", "))
    }
}

/// Who floods: names that no line of the log has.
#[derive(Clone, Debug)]
pub struct Strangers {
    pub crawler: u32,
    pub scanner: u32,
    /// Of a flood from many clients; the first one floods alone.
    pub clients: Vec<u32>,
    /// What a scanner looks for.
    pub probes: Vec<u32>,
    endpoints: Vec<u32>,
}

impl Strangers {
    /// Adds them to the names of a log.
    pub fn of(log: &mut Log) -> Self {
        const PROBES: [&str; 8] = [
            "/.env.production",
            "/wp-login.php",
            "/xmlrpc.php",
            "/phpmyadmin/index.php",
            "/.git/config",
            "/cgi-bin/luci",
            "/actuator/health",
            "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
        ];
        let crawler = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)";
        let clients = (0..200).map(|it| log.add(CLIENT, &format!("203.0.113.{it}")));
        let clients = clients.collect();
        Strangers {
            crawler: log.add(AGENT, crawler),
            scanner: log.add(AGENT, "Mozilla/5.0 zgrab/0.x"),
            clients,
            probes: PROBES.map(|it| log.add(ENDPOINT, it)).into(),
            endpoints: (0..EACH_KIND)
                .map(|it| log.add(ENDPOINT, &format!("/released/{it}")))
                .collect(),
        }
    }
}

/// Faults in a replay of so many minutes, behind `skip` of them, in order; as many of each kind as find room.
pub fn place(
    log: &Log,
    strangers: &Strangers,
    seed: u64,
    skip: usize,
    minutes: usize,
) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let mut faults: Vec<Fault> = (0..EACH_KIND)
        .flat_map(|number| (0..KINDS.len()).map(move |kind| (kind, number)))
        .filter_map(|(kind, number)| fault(log, strangers, kind, number, &mut random))
        .collect();
    for at in (1..faults.len()).rev() {
        faults.swap(at, random.below_u64(at as u64 + 1) as usize);
    }
    let room = minutes.saturating_sub(skip);
    let needed = |it: &Fault| it.minutes.len() + APART_MINUTES;
    let mut used = 0;
    faults.retain(|it| {
        let fits = used + needed(it) <= room;
        used += if fits { needed(it) } else { 0 };
        fits
    });
    // The room that no fault needs is shared out at random.
    let spare = (room - used) as u64;
    let mut cuts: Vec<usize> = faults
        .iter()
        .map(|_| random.below_u64(spare + 1) as usize)
        .collect();
    cuts.sort_unstable();
    let mut start = skip;
    for (fault, cut) in faults.iter_mut().zip(cuts) {
        let length = fault.minutes.len();
        // What lies before a fault is the hour, and more, that it is compared with.
        let from = start + cut + APART_MINUTES;
        fault.minutes = from..from + length;
        start += length + APART_MINUTES;
    }
    deploys_take_turns(&mut faults);
    faults
}

/// Times get longer with one deploy and back with the next, so that many do not add up.
fn deploys_take_turns(faults: &mut [Fault]) {
    let deploys = faults
        .iter_mut()
        .filter(|it| matches!(it.change, Change::Deploy(_)));
    for (number, fault) in deploys.enumerate() {
        let factor = if number % 2 == 0 {
            DEPLOY_FACTOR
        } else {
            1.0 / DEPLOY_FACTOR
        };
        fault.change = Change::Deploy(factor);
    }
}

/// The fault of a kind with this number; none if the log has nothing that it could strike.
fn fault(
    log: &Log,
    strangers: &Strangers,
    kind: usize,
    number: usize,
    random: &mut Random,
) -> Option<Fault> {
    let turn = |of: &[f64]| of[number % of.len()];
    let long = number / 3 % 2 == 1;
    let fail = |share: f64| Change::Fail { share, status: 503 };
    let (change, minutes) = match KINDS[kind] {
        "latency" => (
            Change::Slower(turn(&[1.5, 2.0, 5.0])),
            if long { 120 } else { 15 },
        ),
        "errors" => (fail(turn(&[0.02, 0.1, 0.5])), if long { 60 } else { 15 }),
        "errors of pair" => (fail(turn(&[0.1, 0.5])), if long { 60 } else { 15 }),
        "errors of client" => {
            let (share, status) = (turn(&[0.1, 0.5]), 403);
            (Change::Fail { share, status }, if long { 60 } else { 15 })
        }
        "outage" => (
            Change::Keep(turn(&[0.5, 0.2, 0.0])),
            if long { 30 } else { 10 },
        ),
        "drop of endpoint" => (Change::Keep(turn(&[0.2, 0.0])), 30),
        "flood" => {
            let clients = if (number / 2).is_multiple_of(2) {
                1
            } else {
                200
            };
            let (share, is_scanner) = (turn(&[0.3, 3.0]), number / 4 % 2 == 1);
            let flood = Change::Flood {
                share,
                clients,
                is_scanner,
            };
            (flood, 30)
        }
        "leak" if number.is_multiple_of(2) => (Change::SlowerSlowly, 360),
        "leak" => (Change::FailSlowly, 360),
        "new endpoint" => {
            let endpoint = strangers.endpoints[number];
            (Change::NewEndpoint { endpoint }, 60)
        }
        _ => (Change::Deploy(DEPLOY_FACTOR), 60),
    };
    let of = match KINDS[kind] {
        "latency" | "errors" | "drop of endpoint" => {
            vec![(ENDPOINT, value(log, ENDPOINT, random)?)]
        }
        "errors of client" => vec![(CLIENT, value(log, CLIENT, random)?)],
        "errors of pair" => pair(log, random)?.into(),
        _ => Vec::new(),
    };
    let carriers = match change {
        Change::NewEndpoint { endpoint } => vec![(ENDPOINT, endpoint)],
        Change::Flood {
            clients,
            is_scanner,
            ..
        } => {
            let agent = match is_scanner {
                true => strangers.scanner,
                false => strangers.crawler,
            };
            let mut carriers = vec![(AGENT, agent)];
            if clients == 1 {
                carriers.push((CLIENT, strangers.clients[0]));
            }
            carriers
        }
        _ if of.len() == 1 => same(log, &of).into_iter().map(|it| it[0]).collect(),
        _ => Vec::new(),
    };
    let pairs = match &of[..] {
        [_, _] => same(log, &of)
            .into_iter()
            .map(|it| [it[0], it[1]])
            .collect(),
        _ => Vec::new(),
    };
    Some(Fault {
        kind,
        change,
        minutes: 0..minutes,
        of,
        carriers,
        pairs,
    })
}

/// One of the frequent values of a column, any of them as likely.
fn value(log: &Log, column: usize, random: &mut Random) -> Option<u32> {
    let frequent = log.frequent(column, STRUCK_SHARE);
    let at = random.below_u64(frequent.len().max(1) as u64) as usize;
    frequent.get(at).map(|it| it.0)
}

/// A frequent pair of an endpoint and an agent that is much less than either.
fn pair(log: &Log, random: &mut Random) -> Option<[(usize, u32); 2]> {
    let counts = |column: usize| log.frequent(column, 0.0).into_iter().collect();
    let (endpoints, agents): (HashMap<u32, usize>, HashMap<u32, usize>) =
        (counts(ENDPOINT), counts(AGENT));
    let mut together: HashMap<(u32, u32), usize> = HashMap::new();
    for request in &log.requests {
        let pair = (request.values[ENDPOINT], request.values[AGENT]);
        *together.entry(pair).or_default() += 1;
    }
    let least = PAIR_SHARE * log.requests.len() as f64;
    let is_pair = |((endpoint, agent), count): &((u32, u32), usize)| {
        let most = PAIR_OF_VALUE_MAX * endpoints[endpoint].min(agents[agent]) as f64;
        least <= *count as f64 && *count as f64 <= most
    };
    let mut pairs: Vec<((u32, u32), usize)> = together.into_iter().filter(is_pair).collect();
    pairs.sort_unstable();
    let at = random.below_u64(pairs.len().max(1) as u64) as usize;
    let ((endpoint, agent), _) = *pairs.get(at)?;
    Some([(ENDPOINT, endpoint), (AGENT, agent)])
}

/// Sets of as many values that nearly the same requests have, the given one among them.
fn same(log: &Log, of: &[(usize, u32)]) -> Vec<Vec<(usize, u32)>> {
    let has = |it: &[u32; 5], set: &[(usize, u32)]| set.iter().all(|of| it[of.0] == of.1);
    let mut sets = Vec::new();
    for columns in super::attribution::sets_of(of.len()) {
        let mut counts: HashMap<Vec<(usize, u32)>, (usize, usize)> = HashMap::new();
        let key = |it: &[u32; 5]| columns.iter().map(|of| (*of, it[*of])).collect();
        let mut struck = 0;
        for request in &log.requests {
            let is_struck = has(&request.values, of);
            struck += usize::from(is_struck);
            let (all, both) = counts.entry(key(&request.values)).or_default();
            *all += 1;
            *both += usize::from(is_struck);
        }
        let is_same =
            |(all, both): (usize, usize)| SAME_SHARE * (all + struck - both) as f64 <= both as f64;
        let found = counts.into_iter().filter(|it| is_same(it.1));
        sets.extend(found.map(|it| it.0));
    }
    sets.sort_unstable();
    sets
}

/// Kinds, shares and sizes of a fault, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfKind {
    pub kind: &'static str,
    pub faults: usize,
}

/// How many there are of each kind.
pub fn by_kind(faults: &[Fault]) -> Vec<OfKind> {
    let count = |kind: usize| faults.iter().filter(|it| it.kind == kind).count();
    let kinds = KINDS.iter().enumerate();
    kinds
        .map(|(number, kind)| OfKind {
            kind,
            faults: count(number),
        })
        .collect()
}
