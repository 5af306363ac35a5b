//! Sources read again, and every record looked for in the lake: once, with the values it should have.
//!
//! The lake is read first: of every archived row its partition, offset, epoch, mark and a hash of its values. Then each
//! partition is read and decoded again, the tables' expressions are applied, and what comes out is held against that. An archived row
//! takes 32 bytes of memory; large archives are gone through in several passes, some partitions at a time.
//! Records from before a column was added are decoded as they were then, and have null in it.

mod again;
mod told;

use super::report::{Findings, Report, count, number};
use super::rows::{self, ArchivedRows, Letters};
use super::{Error, Options};
use crate::lake::{Counts, LetGo, Manifest, PartitionRead};
use crate::model::{Offsets, Partition};
use crate::plan::{Dataflow, Definitions, SourceSpec, TableSpec};
use crate::source::place::Place;
use crate::sql::{kept_columns, table_rows};
use crate::supervise;
use again::{Job, Outcome, kept_schema};
use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use deltalake::DeltaTable;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use told::{compare_counts, unreadable};

/// Archived rows held in memory at once, if no single partition has more.
const PASS_ROWS_MAX: u64 = 8_000_000;

/// Sources that views read themselves, as they were read again.
#[derive(Default)]
pub(super) struct Known {
    pub relations: BTreeMap<String, Arc<dyn TableProvider>>,
    /// Sources of which not everything is known that their views were computed from.
    pub incomplete: BTreeSet<String>,
}

/// Checks all sources; returns those that views read directly.
pub(super) async fn check(
    dataflow: &Dataflow,
    options: &Options,
    manifest: &Manifest,
    opened: &BTreeMap<String, DeltaTable>,
    report: &mut Report,
) -> Result<Known, Error> {
    let mut known = Known::default();
    let dead = dataflow
        .tables
        .iter()
        .find(|it| it.source.is_empty())
        .and_then(|it| opened.get(&it.name));
    let definitions: Definitions = serde_json::from_value(manifest.definitions.clone())
        .map_err(|it| Error::Interrupted(it.to_string()))?;
    let mut places = options.inputs.places(dataflow.source_options())?;
    for spec in &dataflow.sources {
        let Some(place) = places.remove(&spec.name) else {
            continue;
        };
        let letters = match dead {
            Some(dead) => rows::letters(dead, &spec.name).await,
            None => Ok(BTreeMap::new()),
        };
        let letters = match letters {
            Ok(letters) => letters,
            Err(reason) => {
                report.add(unreadable("dead letters", &spec.name, reason));
                continue;
            }
        };
        let one = Source {
            spec,
            place,
            tables: dataflow
                .tables
                .iter()
                .filter(|it| it.source == spec.name)
                .collect(),
            offsets: manifest
                .offsets
                .get(&spec.name)
                .cloned()
                .unwrap_or_default(),
            read: manifest
                .read
                .as_ref()
                .map(|it| it.get(&spec.name).cloned().unwrap_or_default()),
            keep: dataflow
                .views
                .iter()
                .any(|it| it.plan.relations().contains(&spec.name)),
            epoch: i64::try_from(manifest.epoch.0).unwrap_or(i64::MAX),
            definitions: &definitions,
            let_go: &manifest.let_go,
        };
        one.check(letters, opened, &mut known, report).await?;
    }
    Ok(known)
}

struct Source<'a> {
    spec: &'a SourceSpec,
    place: Place,
    tables: Vec<&'a TableSpec>,
    offsets: Offsets,
    /// What the commits counted, if they did from the beginning.
    read: Option<BTreeMap<Partition, PartitionRead>>,
    keep: bool,
    epoch: i64,
    definitions: &'a Definitions,
    /// What tables have let go.
    let_go: &'a BTreeMap<String, LetGo>,
}

/// Everything the passes have shown, put together.
#[derive(Default)]
struct Sum {
    counts: Counts,
    source: Findings,
    /// How many rows each has, what is wrong with them, and what it rightly lacks.
    tables: Vec<(u64, Findings, rows::LeftOut)>,
    marks: Vec<rows::Marks>,
    letters: Findings,
    letter_rows: u64,
    mendable: u64,
    gone: Findings,
    gone_offsets: u64,
    read_partitions: usize,
    kept: Vec<RecordBatch>,
}

impl Source<'_> {
    async fn check(
        &self,
        mut letters: BTreeMap<i32, Letters>,
        opened: &BTreeMap<String, DeltaTable>,
        known: &mut Known,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut sum = Sum {
            tables: self.tables.iter().map(|_| Default::default()).collect(),
            marks: self.tables.iter().map(|_| Default::default()).collect(),
            letter_rows: letters.values().map(|it| it.0.len() as u64).sum(),
            ..Sum::default()
        };
        let mut unread = BTreeSet::new();
        let passes = self.passes();
        for at in 0..passes.len() {
            let mut archived = Vec::new();
            for (table, marks) in self.tables.iter().zip(&mut sum.marks) {
                let scanned = match opened.get(&table.name) {
                    Some(delta) => {
                        rows::archived(delta, table, rows::condition(&passes, at), marks).await
                    }
                    None => Err("its version cannot be opened".to_owned()),
                };
                archived.push(match scanned {
                    Ok(rows) => rows,
                    Err(reason) => {
                        if unread.insert(table.name.clone()) {
                            report.add(unreadable("archive", &table.name, reason));
                        }
                        ArchivedRows::default()
                    }
                });
            }
            self.pass(&passes[at], archived, &mut letters, &unread, &mut sum)
                .await?;
        }
        for (partition, letters) in letters {
            for letter in letters.0 {
                sum.letters.add(|| {
                    format!(
                        "partition {partition} was never read, and has a dead letter at offset {}",
                        letter.offset
                    )
                });
            }
        }
        self.tell(&unread, &mut sum, report);
        if self.keep {
            let pushed = match self.place {
                // What clients pushed is nowhere else.
                Place::Http => self.archived(opened).await,
                Place::Topic(_) | Place::Files(_) | Place::Delta(_) => None,
            };
            self.hand_on(&sum, pushed, known);
        }
        Ok(())
    }

    /// Partitions to go through together.
    fn passes(&self) -> Vec<Vec<Partition>> {
        let mut passes = vec![Vec::new()];
        let mut rows = 0;
        for (partition, _) in self.offsets.iter() {
            let read = self.read.as_ref().and_then(|it| it.get(&partition));
            let more = read.map_or(0, |it| it.counts.records) * self.tables.len() as u64;
            if PASS_ROWS_MAX < rows + more && 0 < rows {
                passes.push(Vec::new());
                rows = 0;
            }
            rows += more;
            if let Some(last) = passes.last_mut() {
                last.push(partition);
            }
        }
        passes
    }

    async fn pass(
        &self,
        partitions: &[Partition],
        mut archived: Vec<ArchivedRows>,
        letters: &mut BTreeMap<i32, Letters>,
        unread: &BTreeSet<String>,
        sum: &mut Sum,
    ) -> Result<(), Error> {
        for partition in partitions {
            let Some(position) = self.offsets.get(*partition) else {
                continue;
            };
            let counted = self.read.as_ref().and_then(|it| it.get(partition));
            if self.read.is_some() && counted.is_none() {
                sum.source.add(|| {
                    format!(
                        "partition {}: the commits have no counts of it",
                        partition.0
                    )
                });
            }
            let read = counted.cloned().unwrap_or_else(|| PartitionRead {
                origins: vec![position.origin.clone()],
                ..PartitionRead::default()
            });
            let job = Job {
                spec: self.spec.clone(),
                place: self.place.clone(),
                partition: *partition,
                until: position.offset,
                tables: self
                    .tables
                    .iter()
                    .zip(&mut archived)
                    .filter(|it| !unread.contains(&it.0.name))
                    .map(|(table, rows)| {
                        (
                            (*table).clone(),
                            rows.0.remove(&partition.0).unwrap_or_default(),
                        )
                    })
                    .collect(),
                let_go: self.let_go.clone(),
                archive: self.tables.first().map(|it| it.name.clone()),
                letters: letters.remove(&partition.0).unwrap_or_default(),
                keep: self.keep,
                epoch: self.epoch,
                definitions: self.definitions.clone(),
                read,
            };
            self.check_commits(&job, counted, sum);
            let whole = counted.cloned();
            let (partition, range) = (job.partition, job.read.from.0..job.until.0);
            let outcome = supervise::blocking("reading a partition again", move || job.run())
                .await
                .map_err(|it| Error::Interrupted(it.to_string()))??;
            self.add(partition, &range, whole.as_ref(), outcome, unread, sum);
        }
        // What is left is of partitions that the commit does not know.
        for ((table, rows), (_, findings, _)) in
            self.tables.iter().zip(archived).zip(&mut sum.tables)
        {
            if unread.contains(&table.name) {
                continue;
            }
            for (partition, rows) in rows.0 {
                for row in rows {
                    findings.add(|| {
                        format!(
                            "partition {partition} was never read, and has a row at offset {}",
                            row.offset
                        )
                    });
                }
            }
        }
        Ok(())
    }

    /// What the commits counted is in the lake, whether the source still has it or not.
    fn check_commits(&self, job: &Job, counted: Option<&PartitionRead>, sum: &mut Sum) {
        let mut at = 0;
        let Some(counted) = counted else { return };
        let partition = job.partition.0;
        let archive = self.tables.first().map(|it| it.name.as_str());
        for (table, (rows_sum, findings, _)) in self.tables.iter().zip(&mut sum.tables) {
            let Some((_, rows)) = job.tables.get(at).filter(|it| it.0.name == table.name) else {
                continue;
            };
            at += 1;
            *rows_sum += rows.len() as u64;
            let gone = self.gone_of(table, job.partition);
            let records = (counted.counts.records + counted.counts.replayed).saturating_sub(gone);
            // Further tables may lack records that an expression of theirs fails for.
            let fits = match archive == Some(table.name.as_str()) {
                true => rows.len() as u64 == records,
                false => rows.len() as u64 <= records,
            };
            if table.keeps_all() && !fits {
                findings.add(|| {
                    format!(
                        "partition {partition} has {}, the commits counted {}{}",
                        count(rows.len() as u64, "row"),
                        number(records),
                        match gone {
                            0 => String::new(),
                            some => format!(" besides {} that were let go", number(some)),
                        }
                    )
                });
            }
        }
        let found = job.letters.0.len() as u64;
        let letters = counted
            .counts
            .undecoded
            .saturating_sub(counted.counts.replayed);
        if found != letters {
            sum.letters.add(|| {
                format!(
                    "partition {partition} has {}, the commits counted {}",
                    count(found, "dead letter"),
                    number(letters)
                )
            });
        }
    }

    /// How many rows of a partition a table has let go.
    fn gone_of(&self, table: &TableSpec, partition: Partition) -> u64 {
        let let_go = self.let_go.get(&table.name);
        let_go.map_or(0, |it| it.rows.get(&partition).copied().unwrap_or(0))
    }

    fn add(
        &self,
        partition: Partition,
        range: &Range<i64>,
        counted: Option<&PartitionRead>,
        outcome: Outcome,
        unread: &BTreeSet<String>,
        sum: &mut Sum,
    ) {
        let (of, partition) = (partition, partition.0);
        let missing = outcome.missing.iter();
        let gone: i64 = missing.map(|it| it.offsets.end - it.offsets.start).sum();
        for it in &outcome.missing {
            let (from, until) = (it.offsets.start, it.offsets.end);
            match &it.changed {
                None => sum
                    .gone
                    .add(|| format!("partition {partition}: offsets {from} to {until}")),
                Some(path) if matches!(self.place, Place::Delta(_)) => sum.source.add(|| {
                    format!("partition {partition}: {path} is not there, or not the table that offsets {from} to {until} were read from")
                }),
                Some(name) => sum.source.add(|| {
                    format!(
                        "partition {partition}: {name} is not the file that offsets {from} to {until} were read from; its first bytes are others"
                    )
                }),
            }
        }
        sum.gone_offsets += u64::try_from(gone).unwrap_or(0);
        if gone < range.end - range.start {
            sum.read_partitions += 1;
        }
        if let Some(counted) = counted.filter(|_| gone == 0) {
            compare_counts(partition, &counted.counts, &outcome, &mut sum.source);
        }
        sum.counts.add(&outcome.counts);
        let mut found = outcome.tables.into_iter();
        for (table, (_, findings, left_out)) in self.tables.iter().zip(&mut sum.tables) {
            if let Some((more, lacks, let_go)) = (!unread.contains(&table.name))
                .then(|| found.next())
                .flatten()
            {
                let noted = self.gone_of(table, of);
                if gone == 0 && let_go != noted {
                    findings.add(|| {
                        format!(
                            "partition {partition} lacks {} of before what was let go, and the commits let {} go",
                            count(let_go, "row"),
                            number(noted)
                        )
                    });
                }
                findings.merge(more);
                left_out.merge(lacks);
            }
        }
        sum.letters.merge(outcome.letters);
        sum.mendable += outcome.mendable;
        sum.kept.extend(outcome.kept);
    }

    /// The source as a relation, for views that read it itself.
    fn hand_on(&self, sum: &Sum, pushed: Option<Vec<RecordBatch>>, known: &mut Known) {
        let schema = kept_schema(self.spec);
        let marks = self.marking().is_some();
        let is_whole = pushed.is_some() || sum.gone_offsets == 0;
        // Of what was let go nothing tells when it came, and pushed records are nowhere else.
        let lets_go = self
            .tables
            .iter()
            .any(|it| self.let_go.contains_key(&it.name));
        let kept = pushed.unwrap_or_else(|| sum.kept.clone());
        if !kept.iter().all(|it| it.schema() == schema) || !is_whole || !marks || lets_go {
            known.incomplete.insert(self.spec.name.clone());
        }
        if let Ok(table) = MemTable::try_new(schema, vec![kept]) {
            known
                .relations
                .insert(self.spec.name.clone(), Arc::new(table));
        }
    }

    /// The records of the source as its archive has them; none if no table has all of them, with all columns as they came.
    async fn archived(&self, opened: &BTreeMap<String, DeltaTable>) -> Option<Vec<RecordBatch>> {
        let table = self.marking()?;
        let columns = kept_columns(self.spec, table);
        let columns = columns.into_iter().collect::<Option<Vec<usize>>>()?;
        let (stored, kept) = (table.plan.schema(), kept_schema(self.spec));
        let mut fields: Vec<Field> = columns.iter().map(|it| stored.field(*it).clone()).collect();
        let late = kept.fields().last()?;
        let has_marks = table.event_time.is_some();
        if has_marks {
            fields.push(late.as_ref().clone());
        }
        let delta = opened.get(&table.name)?;
        let rows = table_rows(delta, &Arc::new(Schema::new(fields)))
            .await
            .ok()?;
        let batch = |it: &RecordBatch| {
            let mut columns = it.columns().to_vec();
            if !has_marks {
                columns.push(new_null_array(late.data_type(), it.num_rows()));
            }
            RecordBatch::try_new(Arc::clone(&kept), columns).ok()
        };
        rows.iter().map(batch).collect()
    }

    /// The table that tells epoch and mark of every record, if there is one.
    fn marking(&self) -> Option<&TableSpec> {
        self.tables
            .iter()
            .find(|it| again::tells_arrivals(self.spec, it))
            .copied()
    }
}
