//! Records that decode, and for which an expression fails: dead letters if their table cannot have them, counted if a view cannot.

use super::lakes::{NAME, Place, START_US, committed, has_read, runtime, sorted, start_on};
use arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::Path;
use tidelake::model::{errors_rows, wall_ms};
use tidelake::plan::Dataflow;
use tidelake::sql;
use tidelake::verify::{Options, verify};

const SOURCE: &str =
    "CREATE SOURCE s (at TIMESTAMP NOT NULL, n TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE numbers AS SELECT at, CAST(n AS BIGINT) AS n FROM s;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS records, sum(n) AS total FROM numbers;";

async fn dataflow(views: &str) -> Dataflow {
    let text = format!("{SOURCE}\n{views}");
    sql::plan_text(NAME, &text, |_| None).await.unwrap()
}

/// A hundred records in two partitions, of which every tenth has no number and some are zero.
fn fill(place: &Place) {
    for at in 0..100 {
        let n = match at % 20 {
            3 | 13 => "many".to_owned(),
            7 => "0".to_owned(),
            _ => at.to_string(),
        };
        let time_us = START_US + at * 10_000;
        let line = format!("{{\"at\": {}, \"n\": \"{n}\"}}", time_us / 1000);
        place.append((at % 2) as i32, &[line]);
    }
}

/// Bytes and reason of every dead letter; nothing has been taken out of so young a table.
fn letters(folder: &Path) -> Vec<(String, String)> {
    let mut letters = Vec::new();
    for path in sorted(folder) {
        if path.is_dir() && !path.ends_with("_delta_log") {
            letters.extend(self::letters(&path));
        }
        if path.extension().is_none_or(|it| it != "parquet") {
            continue;
        }
        let file = std::fs::File::open(&path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>();
            let reason = batch.column_by_name("reason").unwrap().as_string::<i32>();
            letters.extend((0..batch.num_rows()).map(|at| {
                let raw = String::from_utf8_lossy(raw.value(at)).into_owned();
                (raw, reason.value(at).to_owned())
            }));
        }
    }
    letters
}

#[test]
fn a_record_its_table_cannot_have_is_a_dead_letter_with_the_reason() {
    let place = Place::new();
    fill(&place);
    runtime().block_on(async {
        let bytes = place.input_bytes();
        let pipeline = start_on(&place, 2, dataflow("").await, place.input().into()).await;
        committed(&pipeline, |it| has_read(it, bytes)).await;
        let totals = pipeline.hub.totals();
        let rows = pipeline.hub.snapshot("total").unwrap().rows;
        pipeline.stop().await.unwrap();
        assert_eq!((totals[0].records, totals[0].undecoded), (90, 10));
        let first = rows.iter().next().map(|it| it.0.0[0].clone());
        assert_eq!(first.and_then(|it| it.as_i64()), Some(90), "{rows:?}");
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
        };
        let report = verify(&dataflow("").await, &options).await.unwrap();
        assert!(report.proven, "{report}");
        let letters = letters(&place.table("dead_letters"));
        assert_eq!(letters.len(), 10);
        for (raw, reason) in letters {
            assert!(raw.contains("\"n\":\"many\""), "{raw}");
            assert!(reason.contains("many"), "{reason}");
        }
    });
}

#[test]
fn a_row_its_view_cannot_have_is_counted() {
    let place = Place::new();
    fill(&place);
    runtime().block_on(async {
        let bytes = place.input_bytes();
        let view = "CREATE MATERIALIZED VIEW shares AS SELECT 1000 / n AS share, count(*) AS records FROM numbers GROUP BY 1000 / n;";
        let pipeline = start_on(&place, 2, dataflow(view).await, place.input().into()).await;
        committed(&pipeline, |it| has_read(it, bytes)).await;
        let left_out = pipeline.hub.left_out();
        let rows = pipeline.hub.snapshot("shares").unwrap().rows;
        pipeline.stop().await.unwrap();
        let of_shares = &left_out["shares"];
        assert_eq!((left_out.len(), of_shares.count()), (1, 6), "{left_out:?}");
        let reason = of_shares.last();
        assert_eq!(errors_rows(&left_out).len(), 6);
        assert!(reason.to_lowercase().contains("divide by zero"), "{reason}");
        let counted: i64 = rows.iter().filter_map(|it| it.0.0[1].as_i64()).sum();
        assert_eq!(counted, 84, "the other rows are there");
    });
}

/// A clock of a producer that is an hour ahead, where such records are not wanted.
#[test]
fn a_record_too_far_ahead_of_the_wall_clock_is_a_dead_letter_where_that_is_set() {
    let text = SOURCE.replace(
        "topic = 's'",
        "topic = 's', on_event_time_ahead = 'dead_letter'",
    );
    let plan = || sql::plan_text(NAME, &text, |_| None);
    let place = Place::new();
    let now_ms = i64::try_from(wall_ms()).unwrap();
    for at in 0..40 {
        let ahead_ms = if at % 8 == 5 { 3_600_000 } else { -at * 100 };
        let line = format!("{{\"at\": {}, \"n\": \"{at}\"}}", now_ms + ahead_ms);
        place.append((at % 2) as i32, &[line]);
    }
    runtime().block_on(async {
        let bytes = place.input_bytes();
        let pipeline = start_on(&place, 2, plan().await.unwrap(), place.input().into()).await;
        committed(&pipeline, |it| has_read(it, bytes)).await;
        let totals = pipeline.hub.totals();
        pipeline.stop().await.unwrap();
        assert_eq!((totals[0].records, totals[0].undecoded), (35, 5));
        let letters = letters(&place.table("dead_letters"));
        assert_eq!(letters.len(), 5, "{letters:?}");
        for (raw, reason) in letters {
            assert!(raw.starts_with("{\"at\": "), "{raw}");
            let told = "is more than 5 s ahead of the wall clock";
            assert!(reason.contains(told), "{reason}");
        }
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
        };
        let report = verify(&plan().await.unwrap(), &options).await.unwrap();
        assert!(report.proven, "{report}");
    });
}
