//! What is staged comes out once, in the file of its folder, with its mark, whatever the order in which rows come.

use super::*;
use arrow::array::{ArrayRef, Int32Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

const HOUR_US: i64 = 3_600_000_000;
const AT: usize = 0;

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Records by day and hour.
fn layout() -> TableLayout {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    TableLayout {
        name: "logs".to_owned(),
        schema: Arc::new(Schema::new(vec![
            field("at", time()),
            field("number", DataType::Int64),
            field("date", DataType::Date32),
            field("hour", DataType::Int32),
            field("late_watermark", time()),
        ])),
        partition_by: vec!["date".to_owned(), "hour".to_owned()],
    }
}

/// Records of these times, numbered from `first`, without their mark.
fn rows(first: i64, times: &[i64]) -> RecordBatch {
    let dates = times.iter().map(|it| (it.div_euclid(24 * HOUR_US)) as i32);
    let hours = times.iter().map(|it| (it / HOUR_US % 24) as i32);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(times.iter().copied()).with_timezone("UTC"),
        ),
        Arc::new(Int64Array::from_iter_values(
            first..first + times.len() as i64,
        )),
        Arc::new(arrow::array::Date32Array::from_iter_values(dates)),
        Arc::new(Int32Array::from_iter_values(hours)),
    ];
    let schema = layout().schema.project(&[0, 1, 2, 3]).expect("columns");
    RecordBatch::try_new(Arc::new(schema), columns).expect("rows")
}

/// A record as it was sent, or as it was found: number, time, mark of late rows.
type Record = (i64, i64, Option<i64>);

/// The records in a file, which says what folder it is of.
async fn read(store: &Store, add: &Value) -> Vec<Record> {
    let path = add["add"]["path"].as_str().expect("a path");
    let bytes = store.get(&Path::from(format!("logs/{path}"))).await;
    let bytes = bytes.expect("the lake can be read").expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|it| it.build());
    let mut records = Vec::new();
    for batch in reader.expect("a Parquet file") {
        let batch = batch.expect("rows");
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let numbers = batch.column(1).as_primitive::<Int64Type>();
        let marks = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for at in 0..batch.num_rows() {
            let (number, time) = (numbers.value(at), times.value(at));
            let folder = format!(
                "date={}/hour={}/",
                chrono::DateTime::from_timestamp_micros(time)
                    .expect("a time")
                    .date_naive(),
                time / HOUR_US % 24
            );
            assert!(path.starts_with(&folder), "{path} holds a row of {folder}");
            records.push((number, time, marks.iter().nth(at).flatten()));
        }
    }
    records
}

/// Stages batches, an epoch each, under a watermark; returns how many files were open at most and all that came out, by file.
async fn stage(batches: &[Vec<i64>], watermark: i64) -> (usize, Vec<Vec<Record>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().to_str().expect("a path")).expect("a lake");
    let uploads = Arc::new(Uploads::default());
    let mut stager = Stager::new(
        store.clone(),
        Handle::current(),
        "w0".to_owned(),
        Arc::clone(&uploads),
    );
    let (layout, commit) = (layout(), Epoch(1_000_000));
    let (mut open, mut number) = (0, 0);
    for (epoch, times) in (1..).zip(batches) {
        stager
            .append_unmarked(&layout, AT, Epoch(epoch), commit, &rows(number, times))
            .expect("rows can be staged");
        number += times.len() as i64;
        open = open.max(stager.open.len());
        // The mark of an epoch is known a while after its rows.
        if let Some(known) = epoch.checked_sub(2) {
            stager
                .mark("logs", Epoch(known), watermark)
                .expect("rows can be marked");
        }
    }
    let last = Epoch(batches.len() as u64);
    stager
        .mark("logs", last, watermark)
        .expect("the last marks");
    let mut files = Vec::new();
    for staged in stager.finish(commit, false).expect("all files") {
        let (_, add, rows, _) = staged.durable().await.expect("the file is in the lake");
        let records = read(&store, &add).await;
        assert_eq!(records.len() as u64, rows);
        files.push(records);
    }
    assert_eq!(uploads.bytes(), 0, "all uploads have ended");
    (open, files)
}

fn sent(batches: &[Vec<i64>], watermark: i64) -> Vec<Record> {
    let times = batches.iter().flatten();
    let mark = |at: i64| (at < watermark).then_some(watermark);
    (0..)
        .zip(times)
        .map(|(number, at)| (number, *at, mark(*at)))
        .collect()
}

fn sorted(files: Vec<Vec<Record>>) -> Vec<Record> {
    let mut all: Vec<Record> = files.into_iter().flatten().collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_backfill_of_weeks_keeps_few_files_open() {
    // Nine records an hour, in order of time, 4,000 to a batch.
    let hours = 50 * 24;
    let times: Vec<i64> = (0..9 * hours).map(|it| it * HOUR_US / 9).collect();
    let batches: Vec<Vec<i64>> = times.chunks(4_000).map(<[i64]>::to_vec).collect();
    let (open, files) = stage(&batches, 0).await;
    assert!(open <= OPEN_FILES_MAX, "{open} files were open");
    assert!(
        files.len() <= hours as usize + batches.len() * OPEN_FILES_MAX,
        "{} files for {hours} hours",
        files.len()
    );
    assert_eq!(sorted(files), sent(&batches, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn rows_come_out_once_in_their_folder(
        batches in prop::collection::vec(prop::collection::vec(0..40 * HOUR_US, 1..60), 0..40),
        watermark in 0..40 * HOUR_US,
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (open, files) = runtime.block_on(stage(&batches, watermark));
        prop_assert!(open <= OPEN_FILES_MAX);
        prop_assert_eq!(sorted(files), sent(&batches, watermark));
    }
}

#[tokio::test]
async fn rows_without_their_mark_are_not_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().to_str().expect("a path")).expect("a lake");
    let mut stager = Stager::new(store, Handle::current(), "w0".to_owned(), Arc::default());
    let hours: Vec<i64> = (0..2 * OPEN_FILES_MAX as i64)
        .map(|it| it * HOUR_US)
        .collect();
    let (layout, commit) = (layout(), Epoch(1_000));
    stager
        .append_unmarked(&layout, AT, Epoch(1), commit, &rows(0, &hours))
        .expect("rows can be staged");
    // Rows in open files are complete, those that wait are not.
    stager.open.clear();
    let error = stager
        .finish(commit, false)
        .expect_err("rows lack their mark");
    assert!(error.to_string().contains("not yet marked"), "{error}");
}

#[tokio::test]
async fn rows_of_views_are_encoded_beside_the_worker() {
    const ROWS: i64 = 5_000;
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().to_str().expect("a path")).expect("a lake");
    let uploads = Arc::new(Uploads::default());
    let label = "w0".to_owned();
    let mut stager = Stager::new(
        store.clone(),
        Handle::current(),
        label,
        Arc::clone(&uploads),
    );
    let field = Field::new("number", DataType::Int64, false);
    let layout = TableLayout {
        name: "view".to_owned(),
        schema: Arc::new(Schema::new(vec![field])),
        partition_by: Vec::new(),
    };
    let numbers = (0..ROWS).map(|it| Row([crate::model::Value::Int(it)].into()));
    stager.write(&layout, Epoch(1), numbers.collect(), Some(3));
    let staged = stager.finish(Epoch(1), false).expect("nothing is encoded");
    // This thread has not let any other work run: the writer has nothing to wait for.
    assert_eq!(uploads.bytes(), 0);
    for staged in staged {
        let (table, add, rows, bucket) = staged.durable().await.expect("it is in the lake");
        assert_eq!((table.as_str(), rows, bucket), ("view", 5_000, Some(3)));
        let path = add["add"]["path"].as_str().expect("a path");
        let bytes = store.get(&Path::from(format!("view/{path}"))).await;
        let bytes = bytes.expect("the lake can be read").expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|it| it.build());
        let batches = reader.expect("a Parquet file").map(|it| it.expect("rows"));
        let numbers = batches.flat_map(|it| {
            let column = it.column(0).as_primitive::<Int64Type>();
            column.values().to_vec()
        });
        assert!(numbers.eq(0..ROWS));
    }
    assert_eq!(uploads.bytes(), 0, "all uploads have ended");
}

#[test]
fn an_upload_that_a_stop_cancels_is_not_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().to_str().expect("a path")).expect("a lake");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _ending = handle.enter();
    let told: super::Told = Arc::new(|error| panic!("told of {error}"));
    let bytes = bytes::Bytes::from_static(b"rows");
    let path = Path::from("view/file");
    let result = futures::executor::block_on(super::upload(&store, &path, bytes, Some(&told)));
    assert!(result.expect_err("nothing can be written").is_cancelled());
}
