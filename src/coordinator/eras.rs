//! What a source and its tables looked like when a record was read: columns come, and records from before do not have them.
//!
//! The offsets at which columns came cut a partition into eras. Within one, every record is decoded with the same columns.

use super::Error;
use super::feed::decoder;
use crate::model::Partition;
use crate::plan::{
    ColumnDefinition, ColumnSpec, DELETED_COLUMN, Definitions, EventTime, PrimaryKey, SourceSpec,
    TableSpec,
};
use crate::source::decode::{Decoded, Decoder, RawRecords};
use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};

/// All eras of one partition, oldest first.
pub(crate) struct Eras(Vec<Era>);

/// Offsets within which nothing was added.
pub(crate) struct Era {
    /// The first offset behind it.
    end: i64,
    decoder: Decoder,
    /// What its records are widened to.
    schema: SchemaRef,
    /// Columns of each table that it does not have.
    absent: BTreeMap<String, BTreeSet<String>>,
}

impl Eras {
    pub fn new(
        spec: &SourceSpec,
        definitions: &Definitions,
        partition: Partition,
    ) -> Result<Self, Error> {
        let began = |it: &ColumnDefinition| {
            let since = it.since.as_ref()?;
            since.get(partition).map(|it| it.offset.0)
        };
        let source = definitions.sources.get(&spec.name);
        let columns = source.map_or(&[][..], |it| &it.columns);
        let tables = || {
            let tables = definitions.tables.iter();
            tables.filter(|it| it.1.source == spec.name)
        };
        let mut ends: BTreeSet<i64> = columns.iter().filter_map(began).collect();
        ends.extend(tables().flat_map(|it| &it.1.columns).filter_map(began));
        ends.insert(i64::MAX);
        let schema = decoder(spec)?.schema();
        let mut start = i64::MIN;
        let mut eras = Vec::new();
        for end in ends {
            let is_absent = |it: &&ColumnDefinition| began(it).is_some_and(|began| start < began);
            let absent: BTreeSet<&str> = columns
                .iter()
                .filter(is_absent)
                .map(|it| it.name.as_str())
                .collect();
            let of_tables = tables().map(|(name, table)| {
                let names = table.columns.iter().filter(is_absent);
                (name.clone(), names.map(|it| it.name.clone()).collect())
            });
            eras.push(Era {
                end,
                decoder: decoder(&without(spec, &absent))?,
                schema: schema.clone(),
                absent: of_tables.collect(),
            });
            start = end;
        }
        Ok(Eras(eras))
    }

    /// Records by era.
    pub fn of(&mut self, raw: RawRecords) -> Vec<(RawRecords, &mut Era)> {
        let mut parts = Vec::new();
        let mut first = 0;
        for era in &mut self.0 {
            let until = raw.offsets.partition_point(|it| *it < era.end);
            if first < until {
                parts.push((part(&raw, first, until), era));
                first = until;
            }
        }
        parts
    }
}

/// Some of the records.
fn part(raw: &RawRecords, first: usize, until: usize) -> RawRecords {
    let start = match first {
        0 => 0,
        more => raw.ends[more - 1],
    };
    let end = raw.ends[until - 1];
    RawRecords {
        partition: raw.partition,
        data: raw.data[start as usize..end as usize].to_vec(),
        ends: raw.ends[first..until].iter().map(|it| it - start).collect(),
        offsets: raw.offsets[first..until].to_vec(),
        header: raw.header.clone(),
    }
}

impl Era {
    /// Decodes records as they were then; columns that came later are null.
    pub fn decode(&mut self, raw: &RawRecords) -> Decoded {
        let mut decoded = self.decoder.decode(raw);
        let batch = &decoded.batch;
        if batch.num_columns() < self.schema.fields().len() {
            let columns = self.schema.fields().iter().map(|field| {
                let column = batch.column_by_name(field.name()).cloned();
                column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
            });
            decoded.batch = RecordBatch::try_new(self.schema.clone(), columns.collect())
                .expect("a column that came later may be null");
        }
        decoded
    }

    /// Which columns of a table its records do not have.
    pub fn absent_in(&self, table: &TableSpec) -> Vec<usize> {
        let Some(absent) = self.absent.get(&table.name) else {
            return Vec::new();
        };
        let schema = table.plan.schema();
        absent
            .iter()
            .filter_map(|it| schema.index_of(it).ok())
            .collect()
    }
}

/// The source as it was before some columns came.
fn without(spec: &SourceSpec, absent: &BTreeSet<&str>) -> SourceSpec {
    let is_there = |it: &&ColumnSpec| !absent.contains(it.name.as_str());
    let columns: Vec<ColumnSpec> = spec.columns.iter().filter(is_there).cloned().collect();
    let event_time = spec.event_time.and_then(|it| {
        let name = &spec.columns[it.column].name;
        let column = columns.iter().position(|it| it.name == *name)?;
        Some(EventTime { column, ..it })
    });
    // Before it had a key, its records said of no row that it is gone.
    let had_key = columns.iter().any(|it| it.name == DELETED_COLUMN);
    let place = |it: usize| {
        columns
            .iter()
            .position(|to| to.name == spec.columns[it].name)
    };
    let key = spec.key.as_ref().filter(|_| had_key).and_then(|it| {
        Some(PrimaryKey {
            columns: it
                .columns
                .iter()
                .map(|it| place(*it))
                .collect::<Option<_>>()?,
            version: it.version.and_then(place),
            delete_when: it.delete_when.clone(),
        })
    });
    SourceSpec {
        columns,
        event_time,
        key,
        ..spec.clone()
    }
}
