//! Rows of views of which a worker has few: they travel with its part of a commit, and the committer writes those of all workers as one file.
//!
//! Each file has its price: in the log, for readers, and on disk for as long as versions are kept. With a file of each worker a small view would cost
//! as many times as much as there are workers.

use super::part::Part;
use crate::lake::{Error, Replaced, Stager, TableLayout};
use crate::model::{Epoch, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many rows are worth a file.
const FILE_ROWS_MIN: usize = 1024;
/// The bucket of the rows that are written together.
const TOGETHER: u32 = u32::MAX;

/// Whether these rows are not worth a file of their own.
pub(super) fn are_few(rows: &[Row]) -> bool {
    rows.len() < FILE_ROWS_MIN
}

/// The rows of one worker that are not worth files of their own, of one commit and table.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FewRows {
    table: String,
    pub closed: Vec<Row>,
    /// With their buckets; none is empty.
    pub open: Vec<(u32, Vec<Row>)>,
}

impl FewRows {
    pub fn of(table: &str) -> Self {
        FewRows {
            table: table.to_owned(),
            ..FewRows::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_empty()
    }
}

/// What the parts of a commit come to for the tables of views.
#[derive(Debug, Default)]
pub(super) struct OfViews {
    /// Log actions of files with few rows, by table, with the bucket of open rows that each holds.
    pub adds: BTreeMap<String, Vec<(Value, Option<u32>)>>,
    pub replaced: BTreeMap<String, Replaced>,
}

/// Writes what is few, for the committer.
pub(super) struct Together {
    /// One for each commit.
    stager: Box<dyn Fn() -> Stager + Send + Sync>,
    layouts: Arc<Vec<TableLayout>>,
    /// Open rows as of the last commit, by table and bucket.
    open: BTreeMap<String, BTreeMap<u32, Vec<Row>>>,
    /// Tables that have none of the open rows any more that they had before this run.
    replaced: BTreeSet<String>,
}

impl Together {
    pub fn new(
        stager: impl Fn() -> Stager + Send + Sync + 'static,
        layouts: Arc<Vec<TableLayout>>,
    ) -> Self {
        Together {
            stager: Box::new(stager),
            layouts,
            open: BTreeMap::new(),
            replaced: BTreeSet::new(),
        }
    }

    /// Writes what the parts of a commit have few of, and says which open rows go for what they bring.
    ///
    /// # Errors
    /// If a file cannot be written; the commit must not happen then.
    pub async fn write(&mut self, commit: Epoch, parts: &mut [Part]) -> Result<OfViews, Error> {
        let mut written = OfViews::default();
        let mut stager = (self.stager)();
        for (table, bucket, rows) in self.take(parts, &mut written.replaced) {
            let layout = self.layouts.iter().find(|it| it.name == table);
            let layout = layout.expect("rows come for tables that there are");
            stager.write(layout, commit, rows, bucket);
        }
        for staged in stager.finish(commit, true)? {
            let (table, add, _rows, bucket) = staged.durable().await?;
            let of_table = written.adds.entry(table).or_default();
            of_table.push((add, bucket));
        }
        Ok(written)
    }

    /// The rows of each file to write, with its table and bucket.
    fn take(
        &mut self,
        parts: &mut [Part],
        replaced: &mut BTreeMap<String, Replaced>,
    ) -> Vec<(String, Option<u32>, Vec<Row>)> {
        let mut gone: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let mut closed: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut changed = BTreeSet::new();
        for part in parts {
            for (table, buckets) in std::mem::take(&mut part.replaced) {
                let open = self.open.entry(table.clone()).or_default();
                if 0 < open.extract_if(.., |it, _| buckets.contains(it)).count() {
                    changed.insert(table.clone());
                }
                gone.entry(table).or_default().extend(buckets);
            }
            for few in std::mem::take(&mut part.few) {
                if !few.open.is_empty() {
                    let open = self.open.entry(few.table.clone()).or_default();
                    open.extend(few.open);
                    changed.insert(few.table.clone());
                }
                if !few.closed.is_empty() {
                    closed.entry(few.table).or_default().extend(few.closed);
                }
            }
        }
        for (table, mut buckets) in gone {
            let is_first = self.replaced.insert(table.clone());
            if changed.contains(&table) {
                buckets.insert(TOGETHER);
            }
            let of_table = match is_first {
                true => Replaced::All,
                false => Replaced::Buckets(buckets),
            };
            replaced.insert(table, of_table);
        }
        let open = changed.into_iter().filter_map(|table| {
            let rows: Vec<Row> = self.open[&table].values().flatten().cloned().collect();
            (!rows.is_empty()).then_some((table, Some(TOGETHER), rows))
        });
        let closed = closed.into_iter().map(|(table, rows)| (table, None, rows));
        open.chain(closed).collect()
    }
}

#[cfg(test)]
mod tests;
