//! Keys that were not there: a new endpoint that comes with real traffic, where new ones bring a few records.
//!
//! The fold of one key cannot tell a new key from the first day of the detector. So this is a fold over the windows of *all* keys:
//!
//! ```text
//! key                   first ├───── its first hour ─────┤                      a day old
//! records               3  9  4 …           total = 812  │ no newcomer any more │ an old key
//! compared with         the totals that other keys had in their first hour, which began within the past day
//! ```
//!
//! - **Where all keys are new it is silent**, as among addresses of clients: unless old keys brought half of the past day's records.
//! - **How rare a total is** is what is so expected in a window: the newcomers of a day times the share of them with such a total. Their totals are counted in bins, four to a doubling; beyond the largest one the tail is exponential in the square
//!   root of a total, with the mean of those that were there and of a few that were not (`PRIOR`). That fitted totals of first hours of endpoints, agents and clients best.
//! - **What comes back is not new**: a key that was forgotten and is loud again within eight days, as a job that runs once a day.
//! - **Reported keys are not learned**, for the first two of a day: a second release on one day is reported as well. After them many new keys are usual.
//!
//! The parts of a window add up and can be taken back, so it does not matter which worker counts which key, nor in which order records come.

use super::Scored;
use super::math::{LN_10, ln};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewer records in its first hour are no news of any key.
pub const LOUD_MIN: u32 = 20;
/// And less than such a share of an hour's records, in the mean of the past day.
const LOUD_SHARE: f64 = 0.001;
/// Old keys have to have such a share of the records of the past day.
const OLD_SHARE: f64 = 0.5;
const DAY_US: i64 = 86_400_000_000;
/// As if there had been so many more newcomers, of so much each in units of `stretched`: one record or two.
const PRIOR: (f64, f64) = (5.0, 0.5);
/// Such a share of the accepted false alerts is for newcomers.
const BUDGET_SHARE: f64 = 0.1;
/// So many reported keys of a day are left out of what is learned.
const UNLEARNED_MAX: u32 = 2;
/// A key that was loud when it came is no newcomer for so many days.
const REMEMBERED_DAYS: i64 = 8;
/// Loud keys that are remembered: the latest ones.
const REMEMBERED_MAX: usize = 1_000;

/// When a key was there: from its first window to its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    pub first: i64,
    pub last: i64,
    /// The records of its first hour.
    total: u32,
}

impl Presence {
    pub fn new(first: i64) -> Self {
        Presence {
            first,
            last: first,
            total: 0,
        }
    }

    /// A window with records, behind those before; `hour` is an hour in windows.
    pub fn came(&mut self, window: i64, records: f64, hour: i64) -> Came {
        let age = window - self.first;
        // Halves of a record are none, and what is not a number is nothing.
        let records = records as u32;
        self.last = window;
        if age < hour {
            self.total = self.total.saturating_add(records);
        }
        Came {
            age: u32::try_from(age).unwrap_or(u32::MAX),
            records,
            total: self.total,
        }
    }
}

/// What a key brought in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Came {
    /// In windows since its first one; it stops at the greatest number, which is older than any day.
    pub age: u32,
    pub records: u32,
    /// The records of its first hour, up to this window.
    pub total: u32,
}

/// What makes a newcomer remarkable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// An hour and a day, in windows.
    hour: i64,
    day: i64,
    /// The least severity of an anomaly.
    pub least: f64,
}

impl Rule {
    /// Of windows of this length. A season that is shorter than a day stands for one. `false_share` is the share of windows that may be called anomalous although nothing is.
    pub fn new(window_us: i64, season_us: Option<i64>, false_share: f64) -> Self {
        let day_us = season_us.map_or(DAY_US, |it| it.min(DAY_US));
        let day = (day_us / window_us.max(1)).max(1);
        Rule {
            hour: (day / 24).max(1),
            day,
            least: -ln(BUDGET_SHARE * false_share) / LN_10,
        }
    }

    /// In windows.
    pub fn hour(&self) -> i64 {
        self.hour
    }

    fn hours_of_day(&self) -> i64 {
        self.day / self.hour
    }
}

/// What all keys brought in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrivals<K: Ord> {
    /// Records of keys that are a day old, and of all.
    old: i64,
    all: i64,
    /// Keys in their first hour by the hour in which it began and the bin of their total: how many more of them there are than a window before.
    bins: BTreeMap<(i64, u8), i64>,
    /// Those with `LOUD_MIN` records, one each.
    loud: BTreeMap<(K, Came), i64>,
}

impl<K: Ord> Default for Arrivals<K> {
    fn default() -> Self {
        Arrivals {
            old: 0,
            all: 0,
            bins: BTreeMap::new(),
            loud: BTreeMap::new(),
        }
    }
}

impl<K: Ord> Arrivals<K> {
    /// A key that brought something in a window, or (below zero) what was said of it and is not so.
    pub fn add(
        &mut self,
        rule: &Rule,
        window: i64,
        key: impl FnOnce() -> K,
        came: Came,
        diff: i64,
    ) {
        let records = diff * i64::from(came.records);
        self.all += records;
        let age = i64::from(came.age);
        if rule.day <= age {
            self.old += records;
        }
        if rule.hour <= age {
            return;
        }
        let hour = (window - age).div_euclid(rule.hour);
        let before = came.total - came.records.min(came.total);
        for (total, diff) in [(before, -diff), (came.total, diff)] {
            if 0 < total {
                count(&mut self.bins, (hour, bin(total)), diff);
            }
        }
        if LOUD_MIN <= came.total {
            count(&mut self.loud, (key(), came), diff);
        }
    }

    /// Adds what others have counted of the same window.
    pub fn merge(&mut self, other: Arrivals<K>) {
        self.old += other.old;
        self.all += other.all;
        for (at, diff) in other.bins {
            count(&mut self.bins, at, diff);
        }
        for (at, diff) in other.loud {
            count(&mut self.loud, at, diff);
        }
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.all == 0 && self.bins.is_empty() && self.loud.is_empty()
    }
}

fn count<T: Ord>(counts: &mut BTreeMap<T, i64>, at: T, diff: i64) {
    use std::collections::btree_map::Entry;
    match counts.entry(at) {
        Entry::Vacant(it) => {
            it.insert(diff);
        }
        Entry::Occupied(mut it) => {
            *it.get_mut() += diff;
            if *it.get() == 0 {
                it.remove();
            }
        }
    }
}

/// What is known behind a window: the past day by hours, and loud keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Newcomers<K: Ord> {
    hours: BTreeMap<i64, Hour>,
    loud: BTreeMap<K, Loud>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hour {
    old: i64,
    all: i64,
    /// Of keys that came in it: how many have a total of which bin.
    bins: BTreeMap<u8, i64>,
    /// How many more were reported, and are left out of the bins.
    unlearned: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Loud {
    first: i64,
    last: i64,
    /// Whether it had been there before.
    is_back: bool,
    /// Whether it is left out of its hour.
    is_unlearned: bool,
}

impl<K: Ord> Default for Newcomers<K> {
    fn default() -> Self {
        Newcomers {
            hours: BTreeMap::new(),
            loud: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Newcomers<K> {
    /// Takes a window in; those newcomers that are loud, in the order of their keys. Windows come in order; those in which nothing came may be left out.
    pub fn step(&mut self, rule: &Rule, window: i64, arrivals: &Arrivals<K>) -> Vec<(K, Scored)> {
        let now = window.div_euclid(rule.hour);
        self.forget(rule, window);
        let hour = self.hours.entry(now).or_default();
        hour.old += arrivals.old;
        hour.all += arrivals.all;
        for ((hour, bin), diff) in &arrivals.bins {
            count(&mut self.hours.entry(*hour).or_default().bins, *bin, *diff);
        }
        let day = self.hours.values();
        let (old, all) = day.fold((0, 0), |sum, it| (sum.0 + it.old, sum.1 + it.all));
        let is_silent = (old as f64) < OLD_SHARE * all as f64 || old == 0;
        let least = LOUD_SHARE * all as f64 / rule.hours_of_day() as f64;
        let least = least.max(f64::from(LOUD_MIN));
        let mut told = Vec::new();
        for (key, came) in arrivals.loud.keys() {
            let first = window - i64::from(came.age);
            let loud = self.meet(key, first, window);
            if loud.is_unlearned {
                self.leave_out(rule, first, came);
            }
            if is_silent || loud.is_back || f64::from(came.total) < least {
                continue;
            }
            let others = self.others(rule, first, came, loud.is_unlearned);
            let scored = scored(rule, &others, came, least);
            let unlearned = self.hours.values().map(|it| it.unlearned).sum::<u32>();
            if rule.least <= scored.severity && !loud.is_unlearned && unlearned < UNLEARNED_MAX {
                let hour = self.hours.entry(first.div_euclid(rule.hour)).or_default();
                hour.unlearned += 1;
                count(&mut hour.bins, bin(came.total), -1);
                if let Some(it) = self.loud.get_mut(key) {
                    it.is_unlearned = true;
                }
            }
            told.push((key.clone(), scored));
        }
        told
    }

    /// Lets go what is older than a day, and loud keys that have not been there for long.
    fn forget(&mut self, rule: &Rule, window: i64) {
        let since = window.div_euclid(rule.hour) - rule.hours_of_day() + 1;
        self.hours = self.hours.split_off(&since);
        let since = window - REMEMBERED_DAYS * rule.day;
        self.loud.retain(|_, it| since <= it.last);
        while REMEMBERED_MAX < self.loud.len() {
            let oldest = self.loud.iter().min_by_key(|it| it.1.last);
            let Some(oldest) = oldest.map(|it| it.0.clone()) else {
                return;
            };
            self.loud.remove(&oldest);
        }
    }

    /// A loud key, as it is remembered from now on.
    fn meet(&mut self, key: &K, first: i64, window: i64) -> Loud {
        let before = self.loud.get(key);
        let loud = match before {
            Some(it) if it.first == first => Loud {
                last: window,
                ..*it
            },
            _ => Loud {
                first,
                last: window,
                is_back: before.is_some(),
                is_unlearned: false,
            },
        };
        self.loud.insert(key.clone(), loud);
        loud
    }

    /// Takes what a window has counted of a key that is not learned back.
    fn leave_out(&mut self, rule: &Rule, first: i64, came: &Came) {
        let Some(hour) = self.hours.get_mut(&first.div_euclid(rule.hour)) else {
            return;
        };
        let before = came.total - came.records.min(came.total);
        for (total, diff) in [(before, 1), (came.total, -1)] {
            if 0 < total {
                count(&mut hour.bins, bin(total), diff);
            }
        }
    }

    /// The totals of the other newcomers of the past day: how many keys have one in each bin.
    fn others(
        &self,
        rule: &Rule,
        first: i64,
        came: &Came,
        is_unlearned: bool,
    ) -> BTreeMap<u8, i64> {
        let mut others = BTreeMap::new();
        for hour in self.hours.values() {
            for (bin, keys) in &hour.bins {
                count(&mut others, *bin, *keys);
            }
        }
        if !is_unlearned && self.hours.contains_key(&first.div_euclid(rule.hour)) {
            count(&mut others, bin(came.total), -1);
        }
        others
    }
}

/// A newcomer compared with the others. With less than `least` records none is remarkable.
fn scored(rule: &Rule, others: &BTreeMap<u8, i64>, came: &Came, least: f64) -> Scored {
    let as_loud: i64 = others.range(bin(came.total)..).map(|it| *it.1).sum();
    let n = others.values().sum::<i64>() as f64;
    let of_bin = |it: (&u8, &i64)| *it.1 as f64 * stretched(least_of(*it.0));
    let sum: f64 = others.iter().map(of_bin).sum();
    let mean = (sum + PRIOR.0 * PRIOR.1) / (n + PRIOR.0);
    let total = stretched(came.total) / mean;
    // -ln of how many newcomers of a day are expected to be as loud.
    let in_day = match as_loud {
        0 => total - ln(n + 1.0),
        keys => (total - ln(n + 1.0)).min(-ln(keys as f64)),
    };
    let windows = ln(rule.day as f64);
    let high = mean * (rule.least * LN_10 - windows + ln(n + 1.0));
    let of_stretched = |it: f64| (it.max(0.0) + LESS) * (it.max(0.0) + LESS);
    Scored {
        observed: f64::from(came.total),
        expected: of_stretched(mean),
        low: 0.0,
        high: of_stretched(high).max(least),
        residual: total,
        severity: ((in_day + windows) / LN_10).max(0.0),
    }
}

/// What is taken off the root of a total: so a total of one is almost nothing.
const LESS: f64 = 0.9;

/// A total in the units in which totals have an exponential tail.
fn stretched(total: u32) -> f64 {
    (f64::from(total).sqrt() - LESS).max(0.0)
}

/// Four bins to a doubling, from eight on.
fn bin(total: u32) -> u8 {
    if total < 8 {
        return total as u8;
    }
    let power = total.ilog2();
    (8 + 4 * (power - 3) + (total >> (power - 2) & 3)) as u8
}

/// The least total of a bin.
fn least_of(bin: u8) -> u32 {
    if bin < 8 {
        return bin.into();
    }
    let (power, quarter) = ((u32::from(bin) - 8) / 4 + 3, (u32::from(bin) - 8) % 4);
    (4 + quarter) << (power - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;
    use proptest::prelude::*;

    const HOUR: i64 = 60;
    const DAY: i64 = 1_440;

    fn rule() -> Rule {
        Rule::new(60_000_000, None, 1.0 / 1_440.0)
    }

    /// Keys by number, and what each brings in a window.
    #[derive(Clone)]
    struct Traffic {
        /// The first window of each key, for how long it stays, and how much it brings in each.
        keys: Vec<(u32, std::ops::Range<i64>, u32)>,
    }

    impl Traffic {
        /// Ten keys that stay, from window 0 on.
        fn steady() -> Self {
            let keys = (0..10).map(|it| (it, 0..100 * DAY, 100));
            Traffic {
                keys: keys.collect(),
            }
        }

        fn and(mut self, key: u32, windows: std::ops::Range<i64>, records: u32) -> Self {
            self.keys.push((key, windows, records));
            self
        }

        /// One after the other, a record each: so many a day.
        fn and_clients(mut self, a_day: i64, records: u32) -> Self {
            for number in 0..4 * a_day {
                let at = number * DAY / a_day;
                self.keys
                    .push((1_000_000 + number as u32, at..at + 1, records));
            }
            self
        }

        fn arrivals(&self, windows: std::ops::Range<i64>) -> Vec<(i64, Arrivals<u32>)> {
            let mut all: BTreeMap<i64, Arrivals<u32>> = BTreeMap::new();
            for (key, stay, records) in &self.keys {
                let mut presence = Presence::new(stay.start);
                for window in stay.start..stay.end.min(windows.end) {
                    let came = presence.came(window, f64::from(*records), HOUR);
                    all.entry(window)
                        .or_default()
                        .add(&rule(), window, || *key, came, 1);
                }
            }
            all.into_iter().collect()
        }

        /// What is an anomaly: window, key, total.
        fn told(&self, until: i64) -> Vec<(i64, u32, Scored)> {
            let mut newcomers = Newcomers::default();
            let mut found = Vec::new();
            for (window, arrivals) in self.arrivals(0..until) {
                let told = newcomers.step(&rule(), window, &arrivals);
                let told = told.into_iter().filter(|it| rule().least <= it.1.severity);
                found.extend(told.map(|it| (window, it.0, it.1)));
            }
            found
        }
    }

    fn keys(told: &[(i64, u32, Scored)]) -> Vec<u32> {
        let mut keys: Vec<u32> = told.iter().map(|it| it.1).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    #[test]
    fn a_new_key_with_real_traffic_is_told_for_an_hour() {
        let from = 2 * DAY + 7;
        let told = Traffic::steady()
            .and(77, from..from + DAY, 10)
            .told(4 * DAY);
        assert_eq!(keys(&told), [77]);
        let windows: Vec<i64> = told.iter().map(|it| it.0).collect();
        assert_eq!(windows, (from + 5..from + HOUR).collect::<Vec<_>>());
        let last = told[told.len() - 1].2;
        assert_eq!(last.observed, 600.0);
        // A thousandth of an hour's records.
        assert!((55.0..61.0).contains(&last.high), "{last:?}");
    }

    #[test]
    fn a_key_with_few_records_is_no_news() {
        let from = 2 * DAY + 7;
        let traffic = Traffic::steady().and(77, from..from + DAY, 1);
        assert_eq!(
            traffic
                .told(4 * DAY)
                .iter()
                .filter(|it| it.0 < from + 45)
                .count(),
            0
        );
        let one = Traffic::steady().and(77, from..from + 19, 1);
        assert_eq!(one.told(4 * DAY), []);
    }

    /// Two busy keys stay, and yet most records are of keys that come and go.
    #[test]
    fn where_keys_are_new_all_the_time_it_is_silent() {
        let mut traffic = Traffic {
            keys: vec![(1, 0..9 * DAY, 20)],
        }
        .and_clients(DAY, 30);
        traffic.keys.push((77, 2 * DAY..2 * DAY + 90, 500));
        assert_eq!(traffic.told(4 * DAY), []);
    }

    /// On the first day no key is old.
    #[test]
    fn nothing_is_said_on_the_first_day() {
        let traffic = Traffic::steady().and(77, 600..2 * DAY, 2_000);
        assert_eq!(traffic.told(2 * DAY), []);
    }

    #[test]
    fn where_new_keys_are_loud_it_takes_more() {
        let from = 3 * DAY + 7;
        let quiet = Traffic::steady().and(77, from..from + 60, 5);
        assert_eq!(keys(&quiet.told(4 * DAY)), [77]);
        let loud = quiet.and_clients(60, 200);
        assert!(!keys(&loud.told(4 * DAY)).contains(&77));
        let louder = loud.and(78, from..from + 60, 400);
        assert!(keys(&louder.told(4 * DAY)).contains(&78));
    }

    #[test]
    fn what_comes_daily_is_new_once() {
        let mut traffic = Traffic::steady();
        for day in 2..6 {
            traffic = traffic.and(77, day * DAY + 30..day * DAY + 40, 50);
        }
        let told = traffic.told(6 * DAY);
        assert_eq!(keys(&told), [77]);
        assert!(told.iter().all(|it| it.0 < 3 * DAY), "{told:?}");
    }

    /// Two on one day are reported, each as if the other were not there; the fourth of as many is usual.
    #[test]
    fn many_on_one_day_become_usual() {
        let mut traffic = Traffic::steady();
        for number in 0..4 {
            let from = 2 * DAY + 70 * i64::from(number);
            traffic = traffic.and(50 + number, from..from + 60, 10);
        }
        assert_eq!(keys(&traffic.told(3 * DAY)), [50, 51, 52]);
    }

    #[test]
    fn bins_are_four_to_a_doubling() {
        let mut last = 0;
        for total in (0..5_000).chain([u32::MAX / 2, u32::MAX]) {
            let bin = bin(total);
            assert!(last <= bin);
            last = bin;
            let least = least_of(bin);
            assert!(
                least <= total && u64::from(total) * 4 <= u64::from(least) * 5 + 3,
                "{total}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whichever worker counts which key, in any order, with retractions, and wherever the fold is stored and restored.
        #[test]
        fn parts_in_any_order_are_the_whole(seed in 0..1_000_u64, stop in DAY..4 * DAY) {
            let mut random = Random::new(seed);
            let mut traffic = Traffic::steady();
            for key in 20..60 {
                let from = i64::from(random.below(4 * DAY as u32));
                traffic = traffic.and(key, from..from + 1 + i64::from(random.below(90)), random.below(40));
            }
            let whole = traffic.arrivals(0..4 * DAY);
            let mut parts: Vec<BTreeMap<i64, Arrivals<u32>>> = vec![BTreeMap::new(); 3];
            let mut keys = traffic.keys.clone();
            for at in (1..keys.len()).rev() {
                keys.swap(at, random.below(at as u32 + 1) as usize);
            }
            for (key, stay, records) in keys {
                let mut presence = Presence::new(stay.start);
                for window in stay.start..stay.end.min(4 * DAY) {
                    let came = presence.came(window, f64::from(records), HOUR);
                    let other = Came { total: came.total + 50, ..came };
                    for (came, diff) in [(other, 1), (came, 1), (other, -1)] {
                        let part = &mut parts[random.below(3) as usize];
                        part.entry(window).or_default().add(&rule(), window, || key, came, diff);
                    }
                }
            }
            let mut merged: BTreeMap<i64, Arrivals<u32>> = BTreeMap::new();
            for (window, part) in parts.into_iter().flatten() {
                merged.entry(window).or_default().merge(part);
            }
            prop_assert_eq!(&merged.into_iter().collect::<Vec<_>>(), &whole);
            let (mut one, mut other) = (Newcomers::default(), Newcomers::default());
            for (window, arrivals) in &whole {
                if *window == stop {
                    let bytes = postcard::to_stdvec(&other).expect("it can be written");
                    other = postcard::from_bytes(&bytes).expect("it can be read");
                }
                prop_assert_eq!(one.step(&rule(), *window, arrivals), other.step(&rule(), *window, arrivals));
            }
            prop_assert_eq!(one, other);
        }
    }
}
