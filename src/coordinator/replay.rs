//! Dead letters decoded once more: asked for by a command, done at the next start, in one commit.
//!
//! ```text
//! tidelake replay ─► _tidelake/<dataflow>/requests/<id>.json ─► next start: decode again ─► rows into the archive, letters out of
//!                                                                `dead_letters`, counts moved, views filled again: see `grow`
//! ```
//!
//! A letter decodes now and did not then because the definition or the program has changed, and either takes effect with a start; a
//! running pipeline could only fail again. A replayed record keeps its partition and offset. It comes after the watermark of
//! the commit like any record that is so late: windows that were closed then stay as they are, and it is counted in `late`. Records from before a
//! column came are decoded without it. Letters that still do not decode stay.

use super::eras::Eras;
use super::{Claimed, Error};
use crate::lake::{BySource, Counts, Manifest, Store};
use crate::model::{Epoch, Partition};
use crate::plan::{
    DEAD_LETTER_RELATION, Dataflow, Definitions, OFFSET_COLUMN, PARTITION_COLUMN, TableSpec,
    dead_letter_schema, evaluate, marked, nullable, with_epochs,
};
use crate::source::decode::RawRecords;
use crate::sql;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use datafusion::prelude::{ident, lit};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which dead letters are to be decoded again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Of this source; of all if there is none.
    pub source: Option<String>,
    /// Whose reason holds this text.
    pub reason: Option<String>,
    /// Whose reason is of this kind, as [`kind_of_reason`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub asked_ms: u64,
}

impl Request {
    /// Whether it is about a letter of this source and reason.
    fn is_about(&self, source: &str, reason: &str) -> bool {
        self.source.as_ref().is_none_or(|it| it == source)
            && self.reason.as_ref().is_none_or(|it| reason.contains(it))
            && self
                .kind
                .as_ref()
                .is_none_or(|it| *it == kind_of_reason(reason))
    }
}

/// A reason without the value that it quotes, and with `#` for numbers: what letters of one cause have in common.
/// [`KIND_OF_REASON_SQL`] is the same in SQL.
pub fn kind_of_reason(reason: &str) -> String {
    let said = reason.split(": ").next().unwrap_or_default();
    let mut kind = String::with_capacity(said.len());
    for character in said.chars() {
        match character.is_ascii_digit() {
            false => kind.push(character),
            true if kind.ends_with('#') => {}
            true => kind.push('#'),
        }
    }
    kind
}

/// [`kind_of_reason`] of the column `reason`, for queries over stored letters.
pub const KIND_OF_REASON_SQL: &str =
    "regexp_replace(split_part(reason, ': ', 1), '#?[0-9]+', '#', 'g')";

/// How many letters a request is about, and how many of them would be records now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    pub letters: u64,
    pub decodable: u64,
}

/// What a replay does to a lake.
#[derive(Default)]
pub(super) struct Replay {
    /// Requests that are done with it.
    pub requests: Vec<String>,
    /// New rows of tables of archived records, as they are stored.
    pub rows: BTreeMap<String, Vec<RecordBatch>>,
    /// Replayed records by source and partition.
    pub counts: BySource<Counts>,
    /// All letters that stay.
    pub letters: Vec<RecordBatch>,
    /// Folders of the table of dead letters that have other rows now.
    pub folders: BTreeSet<String>,
    pub replayed: u64,
    /// Letters that were asked for and still do not decode.
    pub failed: u64,
}

/// Leaves a request in the lake.
///
/// # Errors
/// If there is nothing to replay in, the source is unknown, or the lake cannot be read or written.
pub async fn ask(dataflow: &Dataflow, store: &Store, request: &Request) -> Result<Preview, Error> {
    let dataflow = &super::identity::identified(dataflow, store).await?;
    let preview = preview(dataflow, store, request).await?;
    if preview.decodable != 0 {
        put(dataflow, store, request).await?;
    }
    Ok(preview)
}

/// Leaves a request in the lake, whatever it would do, and returns its id. One that waits and asks for the same stands for it.
///
/// # Errors
/// If the lake cannot be read or written.
pub async fn leave(dataflow: &Dataflow, store: &Store, request: &Request) -> Result<String, Error> {
    let dataflow = &super::identity::identified(dataflow, store).await?;
    let asks_the_same = |it: &Request| {
        Request {
            asked_ms: request.asked_ms,
            ..it.clone()
        } == *request
    };
    let waiting = waiting(store, &dataflow.name).await?;
    match waiting.into_iter().find(|it| asks_the_same(&it.1)) {
        Some((id, _)) => Ok(id),
        None => put(dataflow, store, request).await,
    }
}

async fn put(dataflow: &Dataflow, store: &Store, request: &Request) -> Result<String, Error> {
    let id = format!("{:013}-{}", request.asked_ms, uuid::Uuid::new_v4());
    let text = serde_json::to_vec(request).map_err(|it| Error::Replay(it.to_string()))?;
    store.put_request(&dataflow.name, &id, text).await?;
    Ok(id)
}

/// What a request would do with this dataflow; nothing is changed. Letters are read and decoded some thousand at a time.
///
/// # Errors
/// If there is nothing to replay in, the source is unknown, or the lake cannot be read.
pub async fn preview(
    dataflow: &Dataflow,
    store: &Store,
    request: &Request,
) -> Result<Preview, Error> {
    let dataflow = &super::identity::identified(dataflow, store).await?;
    if let Some(source) = request
        .source
        .as_ref()
        .filter(|it| dataflow.source(it).is_none())
    {
        let names: Vec<&str> = dataflow.sources.iter().map(|it| it.name.as_str()).collect();
        return Err(Error::Replay(format!(
            "there is no source {source}; the sources are {}",
            names.join(", ")
        )));
    }
    let newest = store.newest_manifest(&dataflow.name).await?;
    let Some(manifest) = newest.filter(|it| !it.tables.is_empty()) else {
        return Err(Error::Replay(format!(
            "dataflow {} has no commit in {}",
            dataflow.name, store.url
        )));
    };
    let growth = super::growth::since(&manifest, dataflow)?;
    let table = dead_letters(dataflow)?;
    let version = manifest.tables.get(&table.name).map_or(0, |it| it.version);
    let delta = store.open_delta_at(&table.name, version).await?;
    let of_source = request.source.as_ref();
    let wanted = of_source.map(|it| ident("source").eq(lit(it.as_str())));
    let schema = dead_letter_schema();
    let stream = sql::table_stream(&delta, &schema, wanted).await;
    let mut stream = stream.map_err(failed)?;
    let mut preview = Preview::default();
    while let Some(batch) = stream.next().await {
        let letters = as_letters(&batch.map_err(failed)?)?;
        let asked = select(&[letters], std::slice::from_ref(request));
        let decoded = decode(dataflow, &growth.definitions, &asked, manifest.epoch)?;
        preview.letters += asked.iter().map(|it| it.num_rows() as u64).sum::<u64>();
        preview.decodable += decoded
            .iter()
            .map(|it| it.batch.num_rows() as u64)
            .sum::<u64>();
    }
    Ok(preview)
}

/// The requests that wait for the next start, by id, oldest first.
///
/// # Errors
/// If the lake cannot be read.
pub async fn waiting(store: &Store, dataflow: &str) -> Result<BTreeMap<String, Request>, Error> {
    let requests = store.requests(dataflow).await?;
    if requests.is_empty() {
        return Ok(BTreeMap::new());
    }
    let newest = store.newest_manifest(dataflow).await?;
    let is_done = |id: &String| {
        newest
            .as_ref()
            .is_some_and(|it| it.requests_done.contains(id))
    };
    let waiting = requests.into_iter().filter(|it| !is_done(&it.0));
    waiting
        .map(|(id, bytes)| Ok((id.clone(), read_request(&id, &bytes)?)))
        .collect()
}

fn read_request(id: &str, bytes: &[u8]) -> Result<Request, Error> {
    serde_json::from_slice(bytes)
        .map_err(|it| Error::Replay(format!("request {id} cannot be read: {it}")))
}

/// The requests in a lake that no commit has done yet; those that are done are deleted.
pub(super) async fn pending(
    store: &Store,
    manifest: &Manifest,
) -> Result<BTreeMap<String, Request>, Error> {
    let mut pending = BTreeMap::new();
    for (id, bytes) in store.requests(&manifest.dataflow).await? {
        if manifest.requests_done.contains(&id) {
            store.delete_request(&manifest.dataflow, &id).await?;
            continue;
        }
        let request = read_request(&id, &bytes)?;
        pending.insert(id, request);
    }
    Ok(pending)
}

/// What requests do to a lake; the definitions are those it is going to have.
pub(super) async fn prepare(
    dataflow: &Dataflow,
    store: &Store,
    claimed: &Claimed,
    definitions: &Definitions,
    requests: BTreeMap<String, Request>,
) -> Result<Replay, Error> {
    let mut replay = Replay::default();
    if requests.is_empty() {
        return Ok(replay);
    }
    let table = dead_letters(dataflow)?;
    let version = claimed.tables.get(&table.name).map_or(0, |it| it.version);
    let letters = all_letters(store, table, version).await?;
    let wanted: Vec<Request> = requests.values().cloned().collect();
    replay.requests = requests.into_keys().collect();
    let asked = select(&letters, &wanted);
    let event_times = super::stored::event_times(&claimed.manifest)?;
    let mut gone: BTreeSet<(String, i32, i64)> = BTreeSet::new();
    let epoch = claimed.manifest.epoch;
    for decoded in decode(dataflow, definitions, &asked, epoch)? {
        let name = &decoded.source;
        let count = decoded.batch.num_rows() as u64;
        let offsets = column::<Int64Type>(&decoded.batch, OFFSET_COLUMN);
        gone.extend(offsets.map(|it| (name.clone(), decoded.partition.0, it)));
        replay.replayed += count;
        replay
            .counts
            .entry(name.clone())
            .or_default()
            .entry(decoded.partition)
            .or_default()
            .replayed += count;
        let watermark = event_times.get(name).map(|it| it.watermark_us);
        for table in dataflow.tables.iter().filter(|it| it.source == *name) {
            let absent = decoded.absent.get(&table.name).cloned().unwrap_or_default();
            let new = without_stored(dataflow, store, claimed, table, &decoded).await?;
            let rows = archived(table, &new, &absent, watermark)?;
            if 0 < rows.num_rows() {
                replay
                    .rows
                    .entry(table.name.clone())
                    .or_default()
                    .push(rows);
            }
        }
    }
    let asked: u64 = asked.iter().map(|it| it.num_rows() as u64).sum();
    replay.failed = asked - replay.replayed;
    for batch in &letters {
        let stays: BooleanArray = keys(batch).map(|it| Some(!gone.contains(&it))).collect();
        for at in (0..batch.num_rows()).filter(|it| !stays.value(*it)) {
            replay.folders.insert(folder_of(batch, at));
        }
        replay
            .letters
            .push(filter_record_batch(batch, &stays).map_err(failed)?);
    }
    Ok(replay)
}

impl Replay {
    /// The letters that stay in folders that have other rows now.
    pub fn rewritten(&self) -> Result<Vec<RecordBatch>, Error> {
        let mut rewritten = Vec::new();
        for batch in &self.letters {
            let inside: BooleanArray = (0..batch.num_rows())
                .map(|it| Some(self.folders.contains(&folder_of(batch, it))))
                .collect();
            rewritten.push(filter_record_batch(batch, &inside).map_err(failed)?);
        }
        Ok(rewritten)
    }

    /// Relations that have other rows with it: sources, tables and dead letters.
    pub fn relations(&self, dataflow: &Dataflow) -> BTreeSet<String> {
        if self.replayed == 0 {
            return BTreeSet::new();
        }
        let sources = self.counts.keys();
        let tables = dataflow.tables.iter();
        let tables = tables.filter(|it| self.counts.contains_key(&it.source));
        sources
            .cloned()
            .chain(tables.map(|it| it.name.clone()))
            .chain([DEAD_LETTER_RELATION.to_owned()])
            .collect()
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Replay(error.to_string())
}

fn dead_letters(dataflow: &Dataflow) -> Result<&TableSpec, Error> {
    let table = dataflow.tables.iter().find(|it| it.source.is_empty());
    table.ok_or_else(|| Error::Replay("the dataflow keeps no dead letters".to_owned()))
}

async fn all_letters(
    store: &Store,
    table: &TableSpec,
    version: u64,
) -> Result<Vec<RecordBatch>, Error> {
    let schema = dead_letter_schema();
    let delta = store.open_delta_at(&table.name, version).await?;
    let rows = sql::table_rows(&delta, &schema).await.map_err(failed)?;
    rows.iter().map(as_letters).collect()
}

/// Stored rows in the types that letters have.
fn as_letters(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let schema = dead_letter_schema();
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<Result<Vec<ArrayRef>, _>>()
        .map_err(failed)?;
    RecordBatch::try_new(schema, columns).map_err(failed)
}

/// The letters that one of the requests is about.
fn select(letters: &[RecordBatch], requests: &[Request]) -> Vec<RecordBatch> {
    let of = |batch: &RecordBatch| {
        let (sources, reasons) = (text(batch, "source"), text(batch, "reason"));
        let wanted: BooleanArray = (0..batch.num_rows())
            .map(|at| {
                let meets = |it: &Request| it.is_about(sources.value(at), reasons.value(at));
                Some(requests.iter().any(meets))
            })
            .collect();
        filter_record_batch(batch, &wanted).expect("one flag per row")
    };
    letters.iter().map(of).collect()
}

/// Letters of one partition and era that are records now, in all columns of their source.
struct DecodedLetters {
    source: String,
    partition: Partition,
    batch: RecordBatch,
    /// Columns of each table that they do not have.
    absent: BTreeMap<String, Vec<usize>>,
}

fn decode(
    dataflow: &Dataflow,
    definitions: &Definitions,
    letters: &[RecordBatch],
    epoch: Epoch,
) -> Result<Vec<DecodedLetters>, Error> {
    let mut by_partition: BTreeMap<(String, i32), BTreeMap<i64, Vec<u8>>> = BTreeMap::new();
    for batch in letters {
        let raw = batch.column_by_name("raw").expect("letters have bytes");
        let raw = raw.as_binary::<i32>();
        for (at, (source, partition, offset)) in keys(batch).enumerate() {
            by_partition
                .entry((source, partition))
                .or_default()
                .insert(offset, raw.value(at).to_vec());
        }
    }
    let mut all = Vec::new();
    for ((source, partition), records) in by_partition {
        let Some(spec) = dataflow.source(&source) else {
            continue;
        };
        let partition = Partition(partition);
        let mut raw = RawRecords {
            partition,
            data: Vec::new(),
            ends: Vec::new(),
            offsets: Vec::new(),
            header: None,
        };
        for (offset, bytes) in records {
            raw.data.extend_from_slice(&bytes);
            raw.ends
                .push(u32::try_from(raw.data.len()).map_err(failed)?);
            raw.offsets.push(offset);
        }
        let mut eras = Eras::new(spec, definitions, partition)?;
        for (part, era) in eras.of(raw) {
            let tables = dataflow.tables.iter().filter(|it| it.source == source);
            let absent = tables
                .map(|it| (it.name.clone(), era.absent_in(it)))
                .collect();
            let batch = era.decode(&part).batch;
            let epochs = Int64Array::from_value(epoch.0 as i64, batch.num_rows());
            let stamped = with_epochs(&batch, epochs, &spec.read_times()).map_err(failed)?;
            all.push(DecodedLetters {
                source: source.clone(),
                partition,
                absent,
                batch: computable(dataflow, &source, &stamped)?,
            });
        }
    }
    Ok(all)
}

/// The records that no expression of a table of their source fails for: the others are dead letters still.
fn computable(
    dataflow: &Dataflow,
    source: &str,
    records: &RecordBatch,
) -> Result<RecordBatch, Error> {
    let fails = |records: &RecordBatch| {
        let mut tables = dataflow.tables.iter().filter(|it| it.source == source);
        tables.any(|it| evaluate(&it.plan, records).is_err())
    };
    if !fails(records) {
        return Ok(records.clone());
    }
    let fine: BooleanArray = (0..records.num_rows())
        .map(|it| Some(!fails(&records.slice(it, 1))))
        .collect();
    filter_record_batch(records, &fine).map_err(failed)
}

/// The records that a table does not have. It may have them if another table of the source could not.
async fn without_stored(
    dataflow: &Dataflow,
    store: &Store,
    claimed: &Claimed,
    table: &TableSpec,
    decoded: &DecodedLetters,
) -> Result<RecordBatch, Error> {
    let tables = dataflow
        .tables
        .iter()
        .filter(|it| it.source == table.source);
    let state = claimed.tables.get(&table.name);
    let Some(state) = state.filter(|_| 1 < tables.count()) else {
        return Ok(decoded.batch.clone());
    };
    let offsets: Vec<i64> = column::<Int64Type>(&decoded.batch, OFFSET_COLUMN).collect();
    let wanted = ident(PARTITION_COLUMN)
        .eq(lit(decoded.partition.0))
        .and(ident(OFFSET_COLUMN).in_list(offsets.iter().map(|it| lit(*it)).collect(), false));
    let schema = Schema::new(vec![Field::new(OFFSET_COLUMN, DataType::Int64, false)]);
    let delta = store.open_delta_at(&table.name, state.version).await?;
    let stored = sql::table_stream(&delta, &Arc::new(schema), Some(wanted))
        .await
        .map_err(failed)?;
    let stored = datafusion::physical_plan::common::collect(stored)
        .await
        .map_err(failed)?;
    let stored: BTreeSet<i64> = stored
        .iter()
        .flat_map(|it| column::<Int64Type>(it, OFFSET_COLUMN))
        .collect();
    let new: BooleanArray = offsets
        .iter()
        .map(|it| Some(!stored.contains(it)))
        .collect();
    filter_record_batch(&decoded.batch, &new).map_err(failed)
}

/// What a table keeps of records, late by a watermark.
fn archived(
    table: &TableSpec,
    records: &RecordBatch,
    absent: &[usize],
    watermark: Option<i64>,
) -> Result<RecordBatch, Error> {
    let rows = evaluate(&table.plan, records).map_err(failed)?;
    let mut columns = rows.columns().to_vec();
    for at in absent {
        columns[*at] = new_null_array(columns[*at].data_type(), rows.num_rows());
    }
    let mut schema = nullable(&table.plan.schema());
    if let Some(column) = table.event_time {
        let times = columns[column].as_primitive::<TimestampMicrosecondType>();
        let mark = |time: Option<i64>| watermark.filter(|it| time.is_some_and(|time| time < *it));
        let marks: TimestampMicrosecondArray = times.iter().map(mark).collect();
        columns.push(Arc::new(marks.with_timezone("UTC")));
        schema = marked(&schema);
    }
    RecordBatch::try_new(schema, columns).map_err(failed)
}

/// Source, partition and offset of each letter.
fn keys(batch: &RecordBatch) -> impl Iterator<Item = (String, i32, i64)> + '_ {
    let sources = text(batch, "source");
    let partitions = column::<Int32Type>(batch, PARTITION_COLUMN);
    let offsets = column::<Int64Type>(batch, OFFSET_COLUMN);
    let sources = sources.iter().map(|it| it.unwrap_or_default().to_owned());
    sources
        .zip(partitions)
        .zip(offsets)
        .map(|((source, partition), offset)| (source, partition, offset))
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> &'a arrow::array::StringArray {
    let column = batch
        .column_by_name(name)
        .expect("letters have their own schema");
    column.as_string::<i32>()
}

fn column<'a, T: arrow::datatypes::ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> impl Iterator<Item = T::Native> + use<'a, T> {
    let column = batch
        .column_by_name(name)
        .expect("the engine's columns are there");
    column.as_primitive::<T>().values().iter().copied()
}

/// The folder of the table of dead letters that a letter is in.
fn folder_of(batch: &RecordBatch, at: usize) -> String {
    let date = batch
        .column_by_name("date")
        .expect("letters have their own schema");
    let date = date
        .as_primitive::<arrow::datatypes::Date32Type>()
        .value(at);
    let date = chrono::DateTime::from_timestamp(i64::from(date) * 86_400, 0).unwrap_or_default();
    let hour = batch
        .column_by_name("hour")
        .expect("letters have their own schema");
    let hour = hour.as_primitive::<Int32Type>().value(at);
    format!("date={}/hour={hour}", date.format("%Y-%m-%d"))
}

#[cfg(test)]
mod tests;
