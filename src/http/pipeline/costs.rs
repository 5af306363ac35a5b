//! What each relation costs this process: the share of its workers' time, how unevenly they have it, and the state that is kept.
//!
//! Workers count how long operators run; a share is what that rose by over the last seconds. It is of this process alone: others of a cluster tell theirs.

use super::BUSY_LIMIT;
use super::samples::{Sample, window};
use crate::coordinator::costs::RelationCost;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// State below this is no reason to point at a relation.
const LARGE_BYTES: u64 = 64 << 20;
/// The share of all state from which on one relation is what makes it large.
const LARGE_SHARE: f64 = 0.5;

/// What a relation, or several that share operators, cost this process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Cost {
    /// Mostly one; what several share is told once, with all their names.
    pub relations: Vec<String>,
    /// Share of a worker's second in which its operators ran or waited for a core, over the last seconds: the mean over all workers, 0 to 1. Null at first.
    pub busy_share: Option<f64>,
    /// The same of the worker that had most of it.
    pub busy_share_max_worker: Option<f64>,
    /// The share of that worker as a multiple of the mean: 1 if all workers have the same. Null with one worker, or while it costs nothing.
    pub busy_skew: Option<f64>,
    /// Rows, groups and members of sets that operators keep, and live rows.
    pub state_rows: u64,
    /// The memory they take. docs/architecture.md says what of it is estimated.
    pub state_bytes: u64,
    /// `time` if a worker is at its limit and has most of its work here, `memory` if most of a large state is here; null otherwise.
    pub limits: Option<Limit>,
}

/// What a relation has most of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Time,
    Memory,
}

/// Nanoseconds of each worker, by the relations they were for.
pub(super) type BusyNs = BTreeMap<Vec<String>, BTreeMap<usize, u64>>;

pub(super) fn busy_ns(costs: &[RelationCost]) -> BusyNs {
    let of_workers = |it: &RelationCost| {
        let workers = it.workers.iter();
        workers
            .map(|(worker, busy_ns, _)| (*worker, *busy_ns))
            .collect()
    };
    costs
        .iter()
        .map(|it| (it.relations.clone(), of_workers(it)))
        .collect()
}

/// What each costs, in the order of `costs`. State counts as large from a share of all memory that may be used, if that is limited.
pub(super) fn costs(
    costs: &[RelationCost],
    samples: &VecDeque<Sample>,
    memory_max: Option<u64>,
) -> Vec<Cost> {
    let span = window(samples).map(|(first, last)| {
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        (&first.busy_ns, &last.busy_ns, seconds)
    });
    let shares = |relations: &[String]| -> Option<BTreeMap<usize, f64>> {
        let (first, last, seconds) = span?;
        let (first, last) = (first.get(relations)?, last.get(relations)?);
        let share = |(worker, now): (&usize, &u64)| {
            let before = first.get(worker).copied().unwrap_or(0);
            let ns = now.saturating_sub(before);
            (*worker, ns as f64 / 1e9 / seconds)
        };
        Some(last.iter().map(share).collect())
    };
    let shares: Vec<Option<BTreeMap<usize, f64>>> =
        costs.iter().map(|it| shares(&it.relations)).collect();
    let busiest = busiest(&shares);
    let largest = largest(costs, memory_max);
    let told = costs.iter().zip(&shares).enumerate();
    let told = told.map(|(at, (cost, shares))| {
        let shares = shares.as_ref().filter(|it| !it.is_empty());
        let most = shares.and_then(|it| it.values().copied().reduce(f64::max));
        let mean = shares.map(|it| it.values().sum::<f64>() / it.len() as f64);
        let has_several = shares.is_some_and(|it| 1 < it.len());
        Cost {
            relations: cost.relations.clone(),
            busy_share: mean,
            busy_share_max_worker: most,
            busy_skew: most
                .zip(mean)
                .filter(|it| has_several && 0.0 < it.1)
                .map(|(most, mean)| most / mean),
            state_rows: cost.rows,
            state_bytes: cost.bytes,
            limits: match at {
                at if Some(at) == busiest => Some(Limit::Time),
                at if Some(at) == largest => Some(Limit::Memory),
                _ => None,
            },
        }
    });
    told.collect()
}

/// What a view costs, and what it shares with others.
pub(super) fn in_words(view: &str, costs: &[Cost]) -> String {
    let mut lines = Vec::new();
    for cost in costs {
        let others: Vec<&str> = cost.relations.iter().map(String::as_str).collect();
        match others.iter().position(|it| *it == view) {
            Some(_) if others.len() == 1 => lines.push(cost.words()),
            Some(_) => {
                let others: Vec<&str> = others.into_iter().filter(|it| *it != view).collect();
                lines.push(format!(
                    "shared with {}: {}",
                    others.join(", "),
                    cost.words()
                ));
            }
            None => {}
        }
    }
    lines.join("\n")
}

/// Memory in words.
pub(super) fn memory(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    match bytes as f64 / KIB {
        kib if kib < KIB => format!("{kib:.1} KiB"),
        kib => format!("{:.1} MiB", kib / KIB),
    }
}

impl Cost {
    fn words(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let state = format!(
            "state {} rows, {}",
            self.state_rows,
            memory(self.state_bytes)
        );
        let busy = self.busy_share.map(|it| match self.busy_share_max_worker {
            Some(most) if self.busy_skew.is_some() => format!(
                "; busy {} of a worker's time, {} of the busiest one's",
                percent(it),
                percent(most)
            ),
            Some(_) | None => format!("; busy {} of a worker's time", percent(it)),
        });
        state + &busy.unwrap_or_default()
    }
}

/// What has most of the time of the busiest worker, if that is at its limit.
fn busiest(shares: &[Option<BTreeMap<usize, f64>>]) -> Option<usize> {
    let mut of_workers: BTreeMap<usize, f64> = BTreeMap::new();
    for (worker, share) in shares.iter().flatten().flatten() {
        *of_workers.entry(*worker).or_default() += share;
    }
    let (worker, share) = of_workers.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    let own = |it: &Option<BTreeMap<usize, f64>>| it.as_ref()?.get(worker).copied();
    let most = shares
        .iter()
        .enumerate()
        .filter_map(|(at, it)| Some((at, own(it)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    (BUSY_LIMIT <= *share).then_some(most.0)
}

/// What has most of the state, if that is large.
fn largest(costs: &[RelationCost], memory_max: Option<u64>) -> Option<usize> {
    let all: u64 = costs.iter().map(|it| it.bytes).sum();
    let (at, most) = costs.iter().enumerate().max_by_key(|it| it.1.bytes)?;
    let is_most = LARGE_SHARE * all as f64 <= most.bytes as f64;
    let large = memory_max.map_or(LARGE_BYTES, |it| LARGE_BYTES.min(it / 4));
    (is_most && large <= most.bytes).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    fn cost(relation: &str, bytes: u64, busy_ns: &[u64]) -> RelationCost {
        let workers = busy_ns.iter().enumerate();
        RelationCost {
            relations: vec![relation.to_owned()],
            rows: bytes / 100,
            bytes,
            workers: workers.map(|(worker, ns)| (worker, *ns, 0)).collect(),
        }
    }

    fn told(
        before: &[RelationCost],
        now: &[RelationCost],
        seconds: u64,
        memory_max: Option<u64>,
    ) -> Vec<Cost> {
        let start = Instant::now();
        let sample = |costs: &[RelationCost], at: Instant| Sample {
            at,
            places: HashMap::new(),
            totals: HashMap::new(),
            threads: HashMap::new(),
            rows: HashMap::new(),
            busy_ns: busy_ns(costs),
            nodes: Default::default(),
        };
        let samples = [
            sample(before, start),
            sample(now, start + Duration::from_secs(seconds)),
        ];
        costs(now, &samples.into(), memory_max)
    }

    #[test]
    fn shares_are_what_counters_rose_by() {
        let second = 1_000_000_000;
        let before = [cost("a", 0, &[5 * second, 2 * second])];
        let now = [cost("a", 500, &[8 * second, 3 * second])];
        let told = told(&before, &now, 10, None);
        let close = |it: Option<f64>, wanted: f64| it.is_some_and(|it| (it - wanted).abs() < 1e-6);
        assert!(close(told[0].busy_share, 0.2), "{told:?}");
        assert!(close(told[0].busy_share_max_worker, 0.3), "{told:?}");
        assert!(close(told[0].busy_skew, 1.5), "{told:?}");
        assert_eq!((told[0].state_rows, told[0].state_bytes), (5, 500));
        assert_eq!(told[0].limits, None);
    }

    #[test]
    fn a_worker_at_its_limit_points_at_what_it_does_most() {
        let before = [cost("a", 0, &[0, 0]), cost("b", 0, &[0, 0])];
        let now = |of_b: u64| [cost("a", 0, &[900, 100]), cost("b", 0, &[100, of_b])];
        let limits = |of_b: u64| -> Vec<Option<Limit>> {
            let now = now(of_b).map(|it| RelationCost {
                workers: it
                    .workers
                    .iter()
                    .map(|it| (it.0, it.1 * 1_000_000, 0))
                    .collect(),
                ..it
            });
            let told = told(&before, &now, 1, None);
            told.into_iter().map(|it| it.limits).collect()
        };
        assert_eq!(limits(0), [Some(Limit::Time), None]);
        // The second worker is the busier one, and has its work elsewhere.
        assert_eq!(limits(920), [None, Some(Limit::Time)]);
    }

    #[test]
    fn words_tell_what_is_shared() {
        let shared = RelationCost {
            relations: vec!["a".to_owned(), "b".to_owned()],
            ..cost("", 3 << 20, &[5])
        };
        let now = [cost("a", 1 << 20, &[0]), shared, cost("b", 9 << 20, &[0])];
        let told = told(&now, &now, 1, None);
        let busy = "; busy 0.0 % of a worker's time";
        assert_eq!(
            in_words("a", &told),
            format!(
                "state 10485 rows, 1.0 MiB{busy}\nshared with b: state 31457 rows, 3.0 MiB{busy}"
            )
        );
    }

    #[test]
    fn a_large_state_is_pointed_at() {
        let limits = |bytes: &[u64], memory_max: Option<u64>| -> Vec<Option<Limit>> {
            let now = bytes.iter().zip(["a", "b", "c"]);
            let now: Vec<RelationCost> = now.map(|(bytes, it)| cost(it, *bytes, &[])).collect();
            let told = told(&[], &now, 1, memory_max);
            told.into_iter().map(|it| it.limits).collect()
        };
        assert_eq!(
            limits(&[3 << 20, 100 << 20], None),
            [None, Some(Limit::Memory)]
        );
        assert_eq!(limits(&[3 << 20, 30 << 20], None), [None, None]);
        assert_eq!(
            limits(&[3 << 20, 30 << 20], Some(100 << 20)),
            [None, Some(Limit::Memory)]
        );
        assert_eq!(
            limits(&[90 << 20, 100 << 20, 80 << 20], None),
            [None, None, None]
        );
    }
}
