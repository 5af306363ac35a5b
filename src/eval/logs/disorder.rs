//! Lines that come late: what is said of a window when its minute is over, and what stands when the last of its lines can have come.
//!
//! ```text
//! minute t is over ──► windows t-59 … t are judged with what has come        provisional: any of them may be an alert
//!                      window  t-60     is closed                            final: its alert stands, or was withdrawn
//! ```
//! A window that is closed has all of its lines, so what is final does not depend on their order; that is counted here, not assumed.

use super::replay::Replay;
use super::scores::{OF_ALL, Seen, engine, observed};
use crate::detect::discoveries::least_discovered;
use crate::detect::metric::Evidence;
use crate::detect::windows::Fold;
use crate::model::Random;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

/// So long after its minute a window is closed.
const ALLOWED_MINUTES: usize = 60;
/// Such a share of lines comes late, by so many minutes.
const LATE_SHARE: f64 = 0.01;
const LATE_MINUTES: (u32, u32) = (5, 50);
/// So often a shard with such a share of the lines stalls, for so long.
const STALLS: usize = 12;
const STALLED_SHARE: f64 = 0.25;
const STALLED_MINUTES: usize = 20;
/// The rule of the alerts: `false_alerts_per_day`.
const ALERTS_PER_DAY: f64 = 1.0;
/// Days that are judged, at most.
const DAYS_MAX: usize = 14;

/// What disorder did. An alert is a window of a metric of all traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Disorder {
    pub windows: usize,
    pub lines_late: usize,
    pub stalls: usize,
    /// Alerts that were there at some time before their window was closed.
    pub provisional: usize,
    /// Of these, how many were not there any more when it was closed.
    pub withdrawn: usize,
    /// Alerts of closed windows, and of the same lines in order.
    pub alerts: usize,
    pub alerts_in_order: usize,
    /// Alerts of closed windows that are none in order. It has to be 0.
    pub false_by_disorder: usize,
    /// Whether all that is known behind the last closed window is what it is in order, to the bit. It has to be.
    pub same_as_in_order: bool,
}

/// What is said of each window: the severity of each metric that has one.
type Said = BTreeMap<i64, Vec<(usize, f64)>>;

/// Judges traffic without faults, in disorder and in order, behind so many minutes of learning.
pub fn run(replay: &Replay<'_>, first: i64, skip: usize, seed: u64) -> Disorder {
    let end = replay
        .minutes()
        .min(skip + DAYS_MAX * super::scores::MINUTES_PER_DAY);
    let mut disorder = Disorder::default();
    let mut random = Random::new(seed ^ 0x6c61_7465);
    let stalls = stalls(skip, end, &mut random);
    disorder.stalls = stalls.len();
    let detector = engine(&OF_ALL);
    let mut requests = Vec::new();
    let mut learned = Fold::default();
    for minute in 0..skip.min(end) {
        replay.minute(minute, &mut requests);
        let seen = observed(&Seen::of(requests.iter()), &OF_ALL);
        let number = first + minute as i64;
        let window = seen.iter().map(|it| (number, it.as_slice()));
        detector.fold(&mut learned, window, number, |_| {});
    }
    let mut in_order = learned.clone();
    let mut closed = learned;
    // Windows that are not closed: their lines with when they come, and what they are taken for.
    let mut open: VecDeque<(Vec<(usize, super::lines::Request)>, Option<Vec<Evidence>>)> =
        VecDeque::new();
    let mut ever = BTreeSet::new();
    let mut anomalies = BTreeSet::new();
    for minute in skip..end + ALLOWED_MINUTES {
        if minute < end {
            replay.minute(minute, &mut requests);
            let whole = observed(&Seen::of(requests.iter()), &OF_ALL);
            let said = fold(&detector, &mut in_order, [(first + minute as i64, &whole)]);
            anomalies.extend(alerts(&said));
            let come = requests.iter().map(|it| {
                let at = arrival(minute, &stalls, &mut random);
                disorder.lines_late += usize::from(minute < at);
                (at, *it)
            });
            open.push_back((come.collect(), None));
            disorder.windows += 1;
        }
        let oldest = (minute + 1).min(end) - open.len();
        for (window, (lines, evidence)) in (oldest..).zip(&mut open) {
            if window == minute || lines.iter().any(|it| it.0 == minute) {
                let come = lines.iter().filter(|it| it.0 <= minute);
                *evidence = observed(&Seen::of(come.map(|it| &it.1)), &OF_ALL);
            }
        }
        let windows = (first + oldest as i64..).zip(open.iter().map(|it| &it.1));
        let said = fold(&detector, &mut closed.clone(), windows);
        ever.extend(alerts(&said));
        if oldest + ALLOWED_MINUTES <= minute
            && let Some((_, evidence)) = open.pop_front()
        {
            let number = first + oldest as i64;
            let last = fold(&detector, &mut closed, [(number, &evidence)]);
            for alert in alerts(&last) {
                disorder.alerts += 1;
                disorder.false_by_disorder += usize::from(!anomalies.contains(&alert));
            }
            let of_window: BTreeSet<(i64, usize)> = alerts(&last).collect();
            let told = ever.iter().filter(|it| it.0 == number);
            disorder.withdrawn += told.filter(|it| !of_window.contains(it)).count();
        }
    }
    disorder.provisional = ever.len();
    disorder.alerts_in_order = anomalies.len();
    disorder.same_as_in_order = bytes(&closed) == bytes(&in_order);
    disorder
}

/// As bytes, since what is not a number is not equal to itself.
fn bytes(fold: &Fold) -> Vec<u8> {
    postcard::to_stdvec(fold).expect("a fold can be written")
}

fn stalls(skip: usize, end: usize, random: &mut Random) -> Vec<Range<usize>> {
    let room = end.saturating_sub(skip + STALLED_MINUTES) / STALLS;
    if room < 2 * STALLED_MINUTES {
        return Vec::new();
    }
    let stall = |number: usize| {
        let within = random.below_u64((room - STALLED_MINUTES) as u64) as usize;
        let start = skip + number * room + within;
        start..start + STALLED_MINUTES
    };
    (0..STALLS).map(stall).collect()
}

/// When a line of a minute comes.
fn arrival(minute: usize, stalls: &[Range<usize>], random: &mut Random) -> usize {
    let stalled = stalls.iter().find(|it| it.contains(&minute));
    let draw = random.unit();
    let by = random.between(LATE_MINUTES.0, LATE_MINUTES.1) as usize;
    match stalled {
        Some(stall) if draw < STALLED_SHARE => stall.end,
        _ if 1.0 - LATE_SHARE <= draw => minute + by,
        _ => minute,
    }
}

fn fold<'a>(
    detector: &crate::detect::windows::Windows,
    fold: &mut Fold,
    windows: impl IntoIterator<Item = (i64, &'a Option<Vec<Evidence>>)>,
) -> Said {
    let mut said = Said::new();
    for (number, evidence) in windows {
        let window = evidence.iter().map(|it| (number, it.as_slice()));
        detector.fold(fold, window, number, |it| {
            if let Some(scored) = it.scored {
                let of_window = said.entry(it.window).or_default();
                of_window.push((it.metric, scored.severity));
            }
        });
    }
    said
}

/// Windows and metrics that the engine calls anomalies.
fn alerts(said: &Said) -> impl Iterator<Item = (i64, usize)> {
    let q = ALERTS_PER_DAY / super::scores::MINUTES_PER_DAY as f64;
    said.iter().flat_map(move |(window, of_window)| {
        let severities: Vec<f64> = of_window.iter().map(|it| it.1).collect();
        let least = least_discovered(&severities, q).unwrap_or(f64::INFINITY);
        let alerts = of_window.iter().filter(move |it| least <= it.1);
        alerts.map(move |it| (*window, it.0))
    })
}
