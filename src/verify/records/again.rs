//! One partition read again: decoded, put through the tables' expressions, and held against what the lake has of it.

use super::super::Error;
use super::super::report::Findings;
use super::super::rows::{self, Archived, Letters};
use crate::coordinator::eras::{Era, Eras};
use crate::coordinator::feed::{delta_table, framing};
use crate::lake::{Counts, LetGo, PartitionRead};
use crate::model::{Offset, Partition};
use crate::plan::{
    Definitions, EPOCH_COLUMN, SourceSpec, TableSpec, marked, nullable, put_read_times,
};
use crate::source::decode::RawRecords;
use crate::source::place::Place;
use crate::source::{delta, file, kafka};
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One partition to be read again.
pub struct Job {
    pub spec: SourceSpec,
    pub place: Place,
    pub partition: Partition,
    pub read: PartitionRead,
    pub until: Offset,
    /// Of each table: what it has of this partition.
    pub tables: Vec<(TableSpec, Vec<Archived>)>,
    /// What tables have let go.
    pub let_go: BTreeMap<String, LetGo>,
    /// Name of the first table of the source.
    pub archive: Option<String>,
    pub letters: Letters,
    /// Whether the decoded records are wanted too.
    pub keep: bool,
    pub epoch: i64,
    pub definitions: Definitions,
}

/// What reading a partition again has shown.
#[derive(Default)]
pub struct Outcome {
    pub counts: Counts,
    pub missing: Vec<file::Missing>,
    /// Of each table: what is wrong, what it rightly lacks, and how many records it has let go.
    pub tables: Vec<(Findings, rows::LeftOut, u64)>,
    pub letters: Findings,
    /// Dead letters that would decode now.
    pub mendable: u64,
    pub kept: Vec<RecordBatch>,
}

/// The columns of records that are kept: with the mark of late ones.
pub fn kept_schema(spec: &SourceSpec) -> SchemaRef {
    marked(&nullable(&spec.schema()))
}

/// Whether a table has the epoch of each record of its source, and its mark. Without an event time no record is late.
pub fn tells_arrivals(source: &SourceSpec, table: &TableSpec) -> bool {
    table.keeps_all() && (table.event_time.is_some() || source.event_time.is_none())
}

fn late_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Job {
    /// Reads, decodes and compares; blocks.
    pub fn run(self) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            tables: self.tables.iter().map(|_| Default::default()).collect(),
            ..Outcome::default()
        };
        let mut eras = Eras::new(&self.spec, &self.definitions, self.partition)?;
        let mut tables = Vec::new();
        for (table, archived) in &self.tables {
            let is_archive = self.archive.as_ref() == Some(&table.name);
            let let_go = self.let_go.get(&table.name);
            let matching =
                rows::Matching::new(table, self.spec.read_times(), is_archive, archived, let_go);
            tables.push(matching.map_err(Error::Interrupted)?);
        }
        let mut letters = rows::MatchingLetters::new(&self.letters);
        let mut take_of_era = |raw: &RawRecords, era: &mut Era| {
            let decoded = era.decode(raw);
            outcome.counts.add(&Counts {
                records: decoded.batch.num_rows() as u64,
                undecoded: decoded.dead_letters.len() as u64,
                replayed: 0,
                bytes: raw.data.len() as u64,
                checksum: raw.checksum(),
            });
            for letter in &decoded.dead_letters {
                letters.expect(letter, &mut outcome.letters);
            }
            let offsets = rows::offsets(&decoded.batch);
            let dead: Vec<bool> = offsets.iter().map(|it| letters.has(*it)).collect();
            let batch = match dead.contains(&true) {
                false => decoded.batch,
                true => {
                    // Dead letters that decode now: they were left out of the tables, and rightly so.
                    outcome.mendable += dead.iter().filter(|it| **it).count() as u64;
                    offsets.iter().for_each(|it| letters.excuse(*it));
                    let alive: BooleanArray = dead.iter().map(|it| Some(!it)).collect();
                    match filter_record_batch(&decoded.batch, &alive) {
                        Ok(batch) => batch,
                        Err(_) => return,
                    }
                }
            };
            for (matching, (findings, _, _)) in tables.iter_mut().zip(&mut outcome.tables) {
                let absent = era.absent_in(matching.table());
                matching.expect(&batch, &absent, self.partition.0, findings);
            }
            if self.keep {
                outcome.kept.extend(self.kept(&batch));
            }
        };
        let mut take = |raw: RawRecords| {
            for (part, era) in eras.of(raw) {
                take_of_era(&part, era);
            }
        };
        let range = self.read.from.0..self.until.0;
        outcome.missing = match &self.place {
            Place::Files(location) => file::read_again(location.folder(), &self.span(), &mut take)?,
            Place::Delta(path) => {
                let table = delta_table(&self.spec, path);
                delta::read_again(&table, &self.span(), &mut take)?
            }
            // The lake is its log.
            Place::Http => vec![file::Missing::gone(range.clone())],
            Place::Topic(topic) => {
                match kafka::read_again(topic, self.partition, range.clone(), &mut take)? {
                    kafka::ReadAgain::From(from) if range.start < from => {
                        vec![file::Missing::gone(range.start..from.min(range.end))]
                    }
                    kafka::ReadAgain::From(_) => Vec::new(),
                    kafka::ReadAgain::Gone => vec![file::Missing::gone(range.clone())],
                }
            }
        };
        let gone: Vec<Range<i64>> = outcome
            .missing
            .iter()
            .map(|it| it.offsets.clone())
            .collect();
        let limits = rows::Limits {
            partition: self.partition.0,
            range: range.clone(),
            gone: &gone,
            epoch: self.epoch,
        };
        for (matching, (findings, left_out, gone)) in tables.iter_mut().zip(&mut outcome.tables) {
            *gone = matching.gone;
            matching.rest(&limits, findings);
            *left_out = std::mem::take(&mut matching.left_out);
        }
        letters.rest(&limits, &mut outcome.letters);
        Ok(outcome)
    }

    /// All that was read of the partition.
    fn span(&self) -> file::Span {
        file::Span {
            partition: self.partition,
            from: self.read.from,
            until: self.until,
            origins: self.read.origins.clone(),
            framing: framing(&self.spec),
        }
    }

    /// The records with the epoch and mark that the archive tells of them.
    fn kept(&self, batch: &RecordBatch) -> Option<RecordBatch> {
        let whole = |it: &&(TableSpec, Vec<Archived>)| tells_arrivals(&self.spec, &it.0);
        let offsets = rows::offsets(batch);
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        match self.tables.iter().find(whole) {
            Some((_, archived)) => {
                let found: Vec<Option<&Archived>> =
                    offsets.iter().map(|it| rows::find(archived, *it)).collect();
                let epochs = found.iter().map(|it| it.map_or(0, |it| it.epoch));
                let epochs = Int64Array::from_iter_values(epochs);
                put_read_times(&mut columns, &self.spec.read_times(), &epochs);
                columns.push(Arc::new(epochs));
                let late: TimestampMicrosecondArray =
                    found.iter().map(|it| it.and_then(|it| it.late())).collect();
                columns.push(Arc::new(late.with_timezone("UTC")));
            }
            None => {
                columns.push(Arc::new(Int64Array::from_value(0, batch.num_rows())));
                columns.push(new_null_array(&late_type(), batch.num_rows()));
            }
        }
        debug_assert_eq!(
            self.spec
                .schema()
                .fields()
                .last()
                .map(|it| it.name().as_str()),
            Some(EPOCH_COLUMN)
        );
        RecordBatch::try_new(kept_schema(&self.spec), columns).ok()
    }
}
