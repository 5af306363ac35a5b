//! Rows of the lake in a form that can be held against a source: few bytes each, found by offset.

use super::report::{FINDINGS_MAX, Findings};
use crate::lake::LetGo;
use crate::model::{iso_of_micros, value_at};
use crate::plan::{
    EPOCH_COLUMN, LATE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, TableSpec, dead_letter_schema,
    evaluate, nullable, typed, with_epochs,
};
use crate::source::decode::DeadLetter;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{
    DataType, Date32Type, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use arrow_row::{RowConverter, SortField};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use deltalake::DeltaTable;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// No mark.
const ON_TIME: i64 = i64::MIN;

/// One row of an append-only table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archived {
    pub offset: i64,
    pub epoch: i64,
    late: i64,
    hash: u64,
}

impl Archived {
    /// The watermark it came after.
    pub fn late(&self) -> Option<i64> {
        (self.late != ON_TIME).then_some(self.late)
    }
}

/// Rows by partition, ordered by offset.
#[derive(Default)]
pub(super) struct ArchivedRows(pub BTreeMap<i32, Vec<Archived>>);

/// The first row of an offset.
pub(super) fn find(rows: &[Archived], offset: i64) -> Option<&Archived> {
    let at = rows.partition_point(|it| it.offset < offset);
    rows.get(at).filter(|it| it.offset == offset)
}

/// Where the records of a batch were read.
pub(super) fn offsets(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name(OFFSET_COLUMN);
    column.map_or_else(Vec::new, |it| {
        it.as_primitive::<Int64Type>().values().to_vec()
    })
}

/// What a pass reads of the tables: its partitions; the first one also what is of no known partition.
pub(super) fn condition(passes: &[Vec<crate::model::Partition>], at: usize) -> Option<Expr> {
    let listed = |passes: &[Vec<crate::model::Partition>]| -> Vec<Expr> {
        passes.iter().flatten().map(|it| lit(it.0)).collect()
    };
    match (passes.len(), at) {
        (1, _) => None,
        (_, 0) => Some(ident(PARTITION_COLUMN).in_list(listed(&passes[1..]), true)),
        _ => Some(ident(PARTITION_COLUMN).in_list(listed(&passes[at..=at]), false)),
    }
}

/// All rows of an append-only table.
pub(super) async fn archived(
    delta: &DeltaTable,
    table: &TableSpec,
    condition: Option<Expr>,
    marks: &mut Marks,
) -> Result<ArchivedRows, String> {
    let plain = table.plan.schema();
    let mut fields: Vec<Field> = plain
        .fields()
        .iter()
        .map(|it| it.as_ref().clone())
        .collect();
    if table.event_time.is_some() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.push(Field::new(LATE_COLUMN, time, true));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut hasher = Hasher::new(&plain)?;
    let mut rows = ArchivedRows::default();
    let mut stream = crate::sql::table_stream(delta, &schema, condition).await?;
    while let Some(batch) = stream.next().await {
        let batch = typed(&batch.map_err(|it| it.strip_backtrace())?, &schema)?;
        let hashes = hasher.hashes(&batch.columns()[..plain.fields().len()])?;
        let partitions = column(&batch, PARTITION_COLUMN)?.as_primitive::<Int32Type>();
        let offsets = column(&batch, OFFSET_COLUMN)?.as_primitive::<Int64Type>();
        let epochs = column(&batch, EPOCH_COLUMN)?.as_primitive::<Int64Type>();
        let late = batch
            .column_by_name(LATE_COLUMN)
            .map(|it| it.as_primitive::<TimestampMicrosecondType>());
        let times = table
            .event_time
            .map(|it| batch.column(it).as_primitive::<TimestampMicrosecondType>());
        for (at, hash) in hashes.into_iter().enumerate() {
            let mark = late.filter(|it| it.is_valid(at)).map(|it| it.value(at));
            if let Some(times) = times.filter(|it| it.is_valid(at)) {
                marks.note(epochs.value(at), times.value(at), mark);
            }
            rows.0
                .entry(partitions.value(at))
                .or_default()
                .push(Archived {
                    offset: offsets.value(at),
                    epoch: epochs.value(at),
                    late: mark.unwrap_or(ON_TIME),
                    hash,
                });
        }
    }
    for rows in rows.0.values_mut() {
        rows.sort_unstable_by_key(|it| it.offset);
    }
    Ok(rows)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch
        .column_by_name(name)
        .ok_or_else(|| format!("there is no column {name}"))
}

/// One number for all values of a row.
struct Hasher(RowConverter);

impl Hasher {
    fn new(schema: &SchemaRef) -> Result<Self, String> {
        let fields = schema
            .fields()
            .iter()
            .map(|it| SortField::new(it.data_type().clone()))
            .collect();
        let converter = RowConverter::new(fields).map_err(|it| it.to_string())?;
        Ok(Hasher(converter))
    }

    fn hashes(&mut self, columns: &[ArrayRef]) -> Result<Vec<u64>, String> {
        let rows = self
            .0
            .convert_columns(columns)
            .map_err(|it| it.to_string())?;
        Ok(rows
            .iter()
            .map(|it| XxHash3_64::oneshot(it.as_ref()))
            .collect())
    }
}

/// What an epoch has of rows that came after the watermark, and of others.
#[derive(Clone, Copy)]
struct EpochMarks {
    /// The smallest and the largest watermark its late rows carry.
    lowest: i64,
    highest: i64,
    newest_late: i64,
    oldest_on_time: i64,
    late: u64,
}

/// Marks of late rows. The watermark is one number per epoch and never goes back; a row is marked if it is older than that.
#[derive(Default)]
pub(super) struct Marks(BTreeMap<i64, EpochMarks>);

impl Marks {
    fn note(&mut self, epoch: i64, time: i64, mark: Option<i64>) {
        let it = self.0.entry(epoch).or_insert(EpochMarks {
            lowest: i64::MAX,
            highest: i64::MIN,
            newest_late: i64::MIN,
            oldest_on_time: i64::MAX,
            late: 0,
        });
        match mark {
            None => it.oldest_on_time = it.oldest_on_time.min(time),
            Some(mark) => {
                it.lowest = it.lowest.min(mark);
                it.highest = it.highest.max(mark);
                it.newest_late = it.newest_late.max(time);
                it.late += 1;
            }
        }
    }

    pub fn late(&self) -> u64 {
        self.0.values().map(|it| it.late).sum()
    }

    pub fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        let mut watermark = i64::MIN;
        for (epoch, it) in &self.0 {
            if it.late != 0 {
                if it.lowest != it.highest {
                    findings.add(|| {
                        format!(
                            "epoch {epoch} has marks of two watermarks, {} and {}",
                            iso_of_micros(it.lowest),
                            iso_of_micros(it.highest)
                        )
                    });
                }
                if it.lowest <= it.newest_late {
                    findings.add(|| {
                        format!(
                            "epoch {epoch} marks a row of {}, which is not before the watermark {}",
                            iso_of_micros(it.newest_late),
                            iso_of_micros(it.lowest)
                        )
                    });
                }
                if it.lowest < watermark {
                    findings.add(|| {
                        format!(
                            "epoch {epoch} has the watermark {}, an earlier epoch already {}",
                            iso_of_micros(it.lowest),
                            iso_of_micros(watermark)
                        )
                    });
                }
                watermark = watermark.max(it.highest);
            }
            if it.oldest_on_time < watermark {
                findings.add(|| format!("epoch {epoch} has a row of {} that is not marked, and the watermark was {}", iso_of_micros(it.oldest_on_time), iso_of_micros(watermark)));
            }
        }
        findings
    }
}

/// What a partition may hold.
pub(super) struct Limits<'a> {
    pub partition: i32,
    pub range: Range<i64>,
    pub gone: &'a [Range<i64>],
    pub epoch: i64,
}

impl Limits<'_> {
    /// What is wrong with a row that no record was found for; nothing if the source no longer has it.
    fn why(&self, kind: &str, offset: i64, epoch: i64) -> Option<String> {
        let partition = self.partition;
        if self.range.end <= offset {
            return Some(format!(
                "partition {partition}, offset {offset}: {kind} beyond the committed offset {}",
                self.range.end
            ));
        }
        if self.epoch < epoch {
            return Some(format!(
                "partition {partition}, offset {offset}: {kind} of epoch {epoch}, after the committed one"
            ));
        }
        if self.gone.iter().any(|it| it.contains(&offset)) {
            return None;
        }
        Some(format!(
            "partition {partition}, offset {offset}: {kind} for which the source has no such record"
        ))
    }
}

/// Records that a table rightly lacks, since one of its expressions fails for them, and what is wrong with the first.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    pub count: u64,
    pub first: Option<String>,
}

impl LeftOut {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(first);
    }

    pub fn merge(&mut self, more: LeftOut) {
        self.count += more.count;
        self.first = self.first.take().or(more.first);
    }
}

/// The rows of one table and partition, while records are held against them.
pub(super) struct Matching<'a> {
    table: &'a TableSpec,
    /// Columns of its source that are the time of reading.
    read_times: Vec<usize>,
    /// Records for which the archive's expressions fail are dead letters instead; further tables leave them out.
    is_archive: bool,
    pub left_out: LeftOut,
    /// The column that tells how old a row is, and up to which time the table has let rows go, if it has.
    let_go: Option<(usize, i64)>,
    /// Records without a row that are as old as that.
    pub gone: u64,
    archived: &'a [Archived],
    seen: Vec<bool>,
    hasher: Hasher,
}

impl<'a> Matching<'a> {
    pub fn new(
        table: &'a TableSpec,
        read_times: Vec<usize>,
        is_archive: bool,
        archived: &'a [Archived],
        let_go: Option<&LetGo>,
    ) -> Result<Self, String> {
        let column = |it: &LetGo| {
            let at = table.plan.schema().index_of(&it.column);
            let at = at.map_err(|_| format!("there is no column {}", it.column))?;
            Ok::<_, String>((at, it.until_us))
        };
        Ok(Matching {
            table,
            read_times,
            is_archive,
            left_out: LeftOut::default(),
            let_go: let_go.map(column).transpose()?,
            gone: 0,
            archived,
            seen: vec![false; archived.len()],
            hasher: Hasher::new(&table.plan.schema())?,
        })
    }

    pub fn table(&self) -> &'a TableSpec {
        self.table
    }

    /// Holds records, as they were decoded, against the table. Columns that it did not have then are null.
    pub fn expect(
        &mut self,
        records: &RecordBatch,
        absent: &[usize],
        partition: i32,
        findings: &mut Findings,
    ) {
        let epochs = offsets(records)
            .into_iter()
            .map(|it| find(self.archived, it).map_or(0, |it| it.epoch));
        let epochs = Int64Array::from_iter_values(epochs);
        let expected = with_epochs(records, epochs, &self.read_times)
            .and_then(|it| evaluate(&self.table.plan, &it))
            .and_then(|it| with_nulls(&it, absent))
            .and_then(|it| {
                let hashes = self.hasher.hashes(it.columns())?;
                Ok((it, hashes))
            });
        match expected {
            Ok((rows, hashes)) => self.compare(&rows, &hashes, partition, findings),
            // An expression fails for a record of the batch: one by one, to say for which.
            Err(_) if 1 < records.num_rows() => {
                for at in 0..records.num_rows() {
                    self.expect(&records.slice(at, 1), absent, partition, findings);
                }
            }
            Err(error) => {
                let offset = offsets(records).first().copied().unwrap_or(0);
                let text = || format!("partition {partition}, offset {offset}: {error}");
                match self.is_archive {
                    true => findings.add(|| format!("{}; it should be a dead letter", text())),
                    false => self.left_out.add(text),
                }
            }
        }
    }

    fn compare(
        &mut self,
        rows: &RecordBatch,
        hashes: &[u64],
        partition: i32,
        findings: &mut Findings,
    ) {
        for (row, (offset, hash)) in offsets(rows).into_iter().zip(hashes).enumerate() {
            let from = self.archived.partition_point(|it| it.offset < offset);
            let count = self.archived[from..]
                .iter()
                .take_while(|it| it.offset == offset)
                .count();
            self.seen[from..from + count].fill(true);
            match count {
                0 if self.let_go.is_some_and(|it| is_before(rows, row, it)) => self.gone += 1,
                0 => findings.add(|| format!("partition {partition}, offset {offset}: missing")),
                1 if self.archived[from].hash == *hash => {}
                1 => findings.add(|| {
                    format!(
                        "partition {partition}, offset {offset}: changed; its record gives {}",
                        text(rows, row)
                    )
                }),
                more => findings
                    .add(|| format!("partition {partition}, offset {offset}: there {more} times")),
            }
        }
    }

    /// Rows that no record was found for.
    pub fn rest(&self, limits: &Limits<'_>, findings: &mut Findings) {
        for (row, seen) in self.archived.iter().zip(&self.seen) {
            let why = (!seen)
                .then(|| limits.why("a row", row.offset, row.epoch))
                .flatten();
            if let Some(why) = why {
                findings.add(|| why);
            }
        }
    }
}

/// Whether a row is of before a time, by a column that is a date or a time.
fn is_before(rows: &RecordBatch, at: usize, (column, until_us): (usize, i64)) -> bool {
    const DAY_US: i64 = 86_400_000_000;
    let column = rows.column(column);
    let time_us = match column.data_type() {
        DataType::Date32 => column
            .as_primitive_opt::<Date32Type>()
            .map(|it| i64::from(it.value(at)) * DAY_US),
        _ => column
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map(|it| it.value(at)),
    };
    !column.is_null(at) && time_us.is_some_and(|it| it < until_us)
}

/// A row for people, its longest values cut.
fn text(rows: &RecordBatch, at: usize) -> String {
    let schema = rows.schema();
    let values = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .take(3 * FINDINGS_MAX);
    let texts: Vec<String> = values
        .map(|(field, column)| {
            let value = value_at(column.as_ref(), at).to_json().to_string();
            let short: String = value.chars().take(40).collect();
            format!("{} = {short}", field.name())
        })
        .collect();
    texts.join(", ")
}

/// The rows with null in some columns.
fn with_nulls(rows: &RecordBatch, absent: &[usize]) -> Result<RecordBatch, String> {
    if absent.is_empty() {
        return Ok(rows.clone());
    }
    let mut columns = rows.columns().to_vec();
    for at in absent {
        columns[*at] = new_null_array(columns[*at].data_type(), rows.num_rows());
    }
    RecordBatch::try_new(nullable(&rows.schema()), columns).map_err(|it| it.to_string())
}

/// One dead letter of the lake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    pub offset: i64,
    epoch: i64,
    /// Of its bytes.
    hash: u64,
}

/// Dead letters of one partition, ordered by offset.
#[derive(Default)]
pub(super) struct Letters(pub Vec<Letter>);

/// All dead letters of a source, by partition.
pub(super) async fn letters(
    delta: &DeltaTable,
    source: &str,
) -> Result<BTreeMap<i32, Letters>, String> {
    let schema = dead_letter_schema();
    let of_source = ident("source").eq(lit(source));
    let mut stream = crate::sql::table_stream(delta, &schema, Some(of_source)).await?;
    let mut letters: BTreeMap<i32, Letters> = BTreeMap::new();
    while let Some(batch) = stream.next().await {
        let batch = typed(&batch.map_err(|it| it.strip_backtrace())?, &schema)?;
        let partitions = column(&batch, PARTITION_COLUMN)?.as_primitive::<Int32Type>();
        let offsets = column(&batch, OFFSET_COLUMN)?.as_primitive::<Int64Type>();
        let epochs = column(&batch, EPOCH_COLUMN)?.as_primitive::<Int64Type>();
        let raw = column(&batch, "raw")?.as_binary::<i32>();
        for at in 0..batch.num_rows() {
            letters
                .entry(partitions.value(at))
                .or_default()
                .0
                .push(Letter {
                    offset: offsets.value(at),
                    epoch: epochs.value(at),
                    hash: XxHash3_64::oneshot(raw.value(at)),
                });
        }
    }
    for letters in letters.values_mut() {
        letters.0.sort_unstable_by_key(|it| it.offset);
    }
    Ok(letters)
}

/// Dead letters of one partition, while records that do not decode are held against them.
pub(super) struct MatchingLetters<'a> {
    letters: &'a [Letter],
    seen: Vec<bool>,
}

impl<'a> MatchingLetters<'a> {
    pub fn new(letters: &'a Letters) -> Self {
        MatchingLetters {
            letters: &letters.0,
            seen: vec![false; letters.0.len()],
        }
    }

    fn range(&self, offset: i64) -> Range<usize> {
        let from = self.letters.partition_point(|it| it.offset < offset);
        let count = self.letters[from..]
            .iter()
            .take_while(|it| it.offset == offset)
            .count();
        from..from + count
    }

    pub fn has(&self, offset: i64) -> bool {
        !self.range(offset).is_empty()
    }

    /// A letter whose record decodes now was none the less right when it was written.
    pub fn excuse(&mut self, offset: i64) {
        let range = self.range(offset);
        self.seen[range].fill(true);
    }

    pub fn expect(&mut self, letter: &DeadLetter, findings: &mut Findings) {
        let (partition, offset) = (letter.partition.0, letter.offset);
        let range = self.range(offset);
        self.seen[range.clone()].fill(true);
        match &self.letters[range] {
            [] => findings.add(|| {
                format!("partition {partition}, offset {offset}: missing, and the record does not decode ({})", letter.reason)
            }),
            [one] if one.hash == XxHash3_64::oneshot(&letter.raw) => {}
            [_] => findings.add(|| {
                format!("partition {partition}, offset {offset}: its bytes are not those of the record")
            }),
            more => findings.add(|| {
                format!("partition {partition}, offset {offset}: there {} times", more.len())
            }),
        }
    }

    /// Letters that no record was found for.
    pub fn rest(&self, limits: &Limits<'_>, findings: &mut Findings) {
        for (letter, seen) in self.letters.iter().zip(&self.seen) {
            let why = (!seen)
                .then(|| limits.why("a dead letter", letter.offset, letter.epoch))
                .flatten();
            if let Some(why) = why {
                findings.add(|| why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use arrow::array::{Date32Array, Int32Array};

    const DAY_US: i64 = 86_400_000_000;

    /// Records of the first five days of 1970, one of each and one without a date.
    fn records() -> RecordBatch {
        let dates: Date32Array = vec![Some(0), Some(1), Some(2), Some(3), Some(4), None].into();
        let partitions: Int32Array = vec![0; 6].into();
        let offsets: Int64Array = (0..6).collect::<Vec<i64>>().into();
        let fields = vec![
            Field::new("date", DataType::Date32, true),
            Field::new(PARTITION_COLUMN, DataType::Int32, false),
            Field::new(OFFSET_COLUMN, DataType::Int64, false),
        ];
        let columns: Vec<ArrayRef> = vec![Arc::new(dates), Arc::new(partitions), Arc::new(offsets)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("records")
    }

    /// How many records count as let go, and how many findings there are, if the table has rows of these offsets.
    fn held_against(there: &[i64], let_go: Option<&LetGo>) -> (u64, u64) {
        let records = records();
        let expected = with_epochs(&records, Int64Array::from_value(7, 6), &[]).expect("epochs");
        let schema = expected.schema();
        let table = TableSpec {
            name: "t".to_owned(),
            source: "s".to_owned(),
            plan: Plan::Relation {
                name: "s".to_owned(),
                columns: (0..schema.fields().len()).collect(),
                schema: schema.clone(),
            },
            columns_sql: Vec::new(),
            selection: String::new(),
            partition_by: vec!["date".to_owned()],
            event_time: None,
            retention: None,
        };
        let hashes = Hasher::new(&schema).and_then(|mut it| it.hashes(expected.columns()));
        let hashes = hashes.expect("hashes");
        let archived: Vec<Archived> = there
            .iter()
            .map(|offset| Archived {
                offset: *offset,
                epoch: 7,
                late: ON_TIME,
                hash: hashes[*offset as usize],
            })
            .collect();
        let mut findings = Findings::default();
        let matching = Matching::new(&table, Vec::new(), true, &archived, let_go);
        let mut matching = matching.expect("the table has the columns");
        matching.expect(&records, &[], 0, &mut findings);
        (matching.gone, findings.count)
    }

    #[test]
    fn only_what_is_old_enough_was_let_go() {
        let let_go = LetGo {
            column: "date".to_owned(),
            until_us: 2 * DAY_US,
            ..LetGo::default()
        };
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(held_against(&all, None), (0, 0));
        assert_eq!(held_against(&all[2..], Some(&let_go)), (2, 0));
        // One that came after its day had gone may be there.
        assert_eq!(held_against(&[1, 2, 3, 4, 5], Some(&let_go)), (1, 0));
        // A younger one, and one of which nothing tells how old it is, were lost.
        assert_eq!(held_against(&[3, 4], Some(&let_go)), (2, 2));
        assert_eq!(held_against(&all[2..], None), (0, 2));
    }
}
