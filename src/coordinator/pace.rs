//! How many files the commits of the last hour have written and taken out, and how many that makes a day: a lake of many small files is slow to read, and
//! its operator should know before it is one.

use crate::lake::{Manifest, TableState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What is said is about so long; a day's worth of less is a guess.
const SPAN_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// Files of a table, and how their number goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFiles {
    /// Files of less than 8 MiB that may be put together later.
    pub small: u64,
    /// Files that the next commits replace.
    pub open: u64,
    /// Files that the commits of a day write, at the pace of the last hour; none before an hour has passed.
    pub written_per_day: Option<u64>,
    /// By how many a day's commits change the number of files that readers see.
    pub growth_per_day: Option<i64>,
}

/// What one commit did to a table.
#[derive(Clone, Copy)]
struct Step {
    at_ms: u64,
    added: u64,
    removed: u64,
}

#[derive(Default)]
pub(super) struct Pace {
    began_ms: Option<u64>,
    steps: BTreeMap<String, VecDeque<Step>>,
}

impl Pace {
    /// Takes in a commit.
    pub fn note(&mut self, manifest: &Manifest) {
        let at_ms = manifest.written_ms;
        self.began_ms.get_or_insert(at_ms);
        for (table, entry) in &manifest.tables {
            let steps = self.steps.entry(table.clone()).or_default();
            if entry.commit == manifest.number {
                let count = |kind: &str| {
                    let of_kind = entry.actions.iter().filter(|it| it.get(kind).is_some());
                    of_kind.count() as u64
                };
                steps.push_back(Step {
                    at_ms,
                    added: count("add"),
                    removed: count("remove"),
                });
            }
            while steps
                .pop_front_if(|it| it.at_ms + SPAN_MS < at_ms)
                .is_some()
            {}
        }
    }

    /// What there is to say at a time.
    pub fn told(
        &self,
        tables: &BTreeMap<String, TableState>,
        now_ms: u64,
    ) -> BTreeMap<String, TableFiles> {
        let began_ms = self.began_ms.unwrap_or(now_ms);
        let is_told = SPAN_MS <= now_ms.saturating_sub(began_ms);
        let told = |(name, state): (&String, &TableState)| {
            let steps = self.steps.get(name).into_iter().flatten();
            let (added, removed) =
                steps.fold((0, 0), |sum, it| (sum.0 + it.added, sum.1 + it.removed));
            let per_day = |it: u64| it.saturating_mul(DAY_MS / SPAN_MS);
            let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
            let files = TableFiles {
                small: state.small_files.len() as u64,
                open: state.open_files.len() as u64,
                written_per_day: is_told.then(|| per_day(added)),
                growth_per_day: is_told.then(|| signed(per_day(added)) - signed(per_day(removed))),
            };
            (name.clone(), files)
        };
        tables.iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::TableEntry;
    use serde_json::json;

    #[test]
    fn a_day_is_told_from_the_last_hour() {
        let mut pace = Pace::default();
        let tables = BTreeMap::from([("t".to_owned(), TableState::made_at(0))]);
        let commit = |pace: &mut Pace, number: u64, at_ms| {
            let actions = vec![
                json!({"add": {}}),
                json!({"add": {}}),
                json!({"remove": {}}),
            ];
            let entry = TableEntry {
                commit: number,
                actions,
                ..TableEntry::default()
            };
            pace.note(&Manifest {
                number,
                written_ms: at_ms,
                tables: BTreeMap::from([("t".to_owned(), entry)]),
                ..Manifest::empty("d")
            });
        };
        commit(&mut pace, 1, 1_000_000);
        let told = |pace: &Pace, now_ms| pace.told(&tables, now_ms)["t"].clone();
        commit(&mut pace, 2, 1_060_000);
        let files = told(&pace, 1_000_000 + SPAN_MS - 1);
        assert_eq!(
            (files.written_per_day, files.growth_per_day),
            (None, None),
            "too early"
        );
        let files = told(&pace, 1_000_000 + SPAN_MS);
        assert_eq!(
            (files.written_per_day, files.growth_per_day),
            (Some(96), Some(48))
        );
        // What is older than an hour says nothing of now.
        commit(&mut pace, 3, 1_000_000 + 2 * SPAN_MS);
        assert_eq!(
            told(&pace, 1_000_000 + 2 * SPAN_MS).written_per_day,
            Some(48)
        );
    }
}
