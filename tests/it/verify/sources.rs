//! Sources read again: as they were, changed afterwards, rotated, gone.

use super::damage::{assert_fails, text};
use crate::lakes::{
    NAME, Place, START_US, committed, dataflow_on, has_read, lines, original, runtime, sorted,
    start, start_on,
};
use crate::oracle::Random;
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use deltalake::DeltaTable;
use parquet::arrow::ArrowWriter;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tidelake::source::place::Inputs;
use tidelake::sql;
use tidelake::verify::{Options, verify};

#[test]
fn a_source_that_was_changed_afterwards_is_found() {
    // In its first bytes, by which the file is known, and far behind them.
    for change in [0, 100] {
        let place = original().copy();
        let path = place.input().join("part-2.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.match_indices("2026-").nth(change).unwrap().0;
        let changed = format!("{}2025-{}", &text[..at], &text[at + 5..]);
        assert_eq!(text.len(), changed.len());
        std::fs::write(&path, changed).unwrap();
        assert_fails(&place.verify(), "source s");
    }
}

#[test]
fn a_log_that_was_begun_anew_is_neither_proof_nor_failure() {
    let place = original().copy();
    let path = place.input().join("part-2.jsonl");
    std::fs::write(&path, "{\"at\":1769860800000}\n").unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "source gone", "s").contains("partition 2: offsets 0 to"),
        "{report}"
    );
}

#[test]
fn what_the_source_no_longer_has_is_neither_proof_nor_failure() {
    let place = original().copy();
    std::fs::remove_file(place.input().join("part-1.jsonl")).unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "source gone", "s").contains("partition 1: offsets 0 to"),
        "{report}"
    );
}

#[test]
fn a_rotated_log_is_read_again_from_all_its_files() {
    let place = Place::new();
    let mut random = Random(8);
    let log = place.input().join("part-0.jsonl");
    let packed = place.input().join("part-0.jsonl.1.gz");
    let pipe_until = |bytes: u64| {
        runtime().block_on(async {
            let pipeline = start(&place, 1).await;
            committed(&pipeline, |it| has_read(it, bytes as i64)).await;
            pipeline.stop().await.unwrap();
        });
    };
    place.append(0, &lines(&mut random, START_US, 40));
    pipe_until(std::fs::metadata(&log).unwrap().len());
    place.append(0, &lines(&mut random, START_US, 10));
    let first = std::fs::read(&log).unwrap();
    let file = std::fs::File::create(&packed).unwrap();
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packer.write_all(&first).unwrap();
    packer.finish().unwrap();
    std::fs::remove_file(&log).unwrap();
    place.append(0, &lines(&mut random, START_US, 30));
    pipe_until(first.len() as u64 + std::fs::metadata(&log).unwrap().len());

    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    let source = text(&report, "source", "s");
    assert!(
        source.starts_with("1 partition read again: 80 records"),
        "{report}"
    );
    std::fs::remove_file(&packed).unwrap();
    let report = place.verify();
    assert!(report.is_proven(), "{report}");
    let gone = format!("partition 0: offsets 0 to {}", first.len());
    assert!(
        text(&report, "source gone", "s").contains(&gone),
        "{report}"
    );
}

/// A stream of JSON beside files of CSV, each with a header, one of them compressed, with broken records; read in two runs and replaced by newer files.
#[test]
fn files_of_csv_are_read_again_with_their_headers() {
    let place = Place::new();
    let folder = place.input();
    let sql = format!(
        "CREATE SOURCE s (at TIMESTAMP NOT NULL, id INT, n BIGINT) WITH (connector = 'files', path = '{folder}/part-*') FORMAT JSON;
        CREATE SOURCE names (id INT, name TEXT NOT NULL, PRIMARY KEY (id)) WITH (connector = 'files', path = '{folder}/names*', delimiter = ';') FORMAT CSV;
        CREATE TABLE raw AS SELECT * FROM s;
        CREATE TABLE versions AS SELECT * FROM names;
        CREATE MATERIALIZED VIEW totals AS SELECT name, count(*) AS c, sum(n) AS n FROM raw LEFT JOIN names ON raw.id = names.id GROUP BY name;",
        folder = folder.display()
    );
    let records: Vec<String> = (0..60)
        .map(|it| {
            format!(
                "{{\"at\":{},\"id\":{},\"n\":{it}}}",
                START_US / 1000 + it,
                it % 5
            )
        })
        .collect();
    let names = folder.join("names.csv");
    let run_until = |rows: u64, letters: u64| {
        runtime().block_on(async {
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            let pipeline = start_on(&place, 2, flow, Inputs::default()).await;
            let bytes = std::fs::metadata(folder.join("part-0.jsonl"))
                .unwrap()
                .len() as i64;
            committed(&pipeline, |it| {
                let read = it.read.as_ref().and_then(|it| it.get("names"));
                let counts = read
                    .into_iter()
                    .flat_map(|it| it.values())
                    .map(|it| &it.counts);
                let sum = counts.fold((0, 0), |sum, it| (sum.0 + it.records, sum.1 + it.undecoded));
                has_read(it, bytes) && sum == (rows, letters)
            })
            .await;
            pipeline.stop().await.unwrap();
        });
    };
    place.append(0, &records[..30]);
    std::fs::write(&names, "id;name\n1;Anna\n2;\"two\nlines\"\n3\n4;\n").unwrap();
    run_until(2, 2);
    place.append(0, &records[30..]);
    std::fs::rename(&names, folder.join("names.csv.1")).unwrap();
    std::fs::write(&names, "name;since;id\nBerta;2026;1\nCilla;;3\n").unwrap();
    let file = std::fs::File::create(folder.join("names-more.csv.gz")).unwrap();
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packer.write_all(b"id;name\n4;Dora").unwrap();
    packer.finish().unwrap();
    run_until(5, 2);
    let proven = || {
        runtime().block_on(async {
            let options = Options {
                lake: place.lake().display().to_string(),
                inputs: Inputs::default(),
            };
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            verify(&flow, &options).await.unwrap()
        })
    };
    let report = proven();
    assert!(report.is_proven(), "{report}");
    let source = text(&report, "source", "names");
    assert!(
        source.starts_with("2 partitions read again: 7 records"),
        "{report}"
    );
    assert!(
        text(&report, "view", "totals").starts_with("5 rows"),
        "{report}"
    );
    // A header that has changed gives other rows.
    std::fs::write(&names, "name;since;xd\nBerta;2026;1\nCilla;;3\n").unwrap();
    assert_fails(&proven(), "source names");
}

/// A Parquet file of ids and prices.
fn parquet(path: &std::path::Path, rows: &[(i64, i128)]) {
    let ids = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
    let prices = Decimal128Array::from_iter_values(rows.iter().map(|it| it.1));
    let prices = prices.with_precision_and_scale(30, 2).unwrap();
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("price", Arc::new(prices))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Parquet files beside envelopes of Debezium: each relation is what its files say, after two runs, and is proven; a file with other rows is not.
#[test]
fn rows_of_parquet_and_envelopes_are_read_again() {
    let place = Place::new();
    let folder = place.input();
    let sql = format!(
        "CREATE SOURCE s (id BIGINT, name TEXT, PRIMARY KEY (id)) WITH (connector = 'files', path = '{folder}/part-*') FORMAT DEBEZIUM ENCODE JSON;
        CREATE SOURCE prices (id BIGINT, price DECIMAL(30, 2), PRIMARY KEY (id)) WITH (connector = 'files', path = '{folder}/*.parquet') FORMAT PARQUET;
        CREATE TABLE changes AS SELECT * FROM s;
        CREATE TABLE versions AS SELECT * FROM prices;
        CREATE MATERIALIZED VIEW priced AS SELECT s.id, s.name, p.price FROM s JOIN prices p ON s.id = p.id;",
        folder = folder.display()
    );
    let run_until = |prices: u64| {
        runtime().block_on(async {
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            let pipeline = start_on(&place, 2, flow, Inputs::default()).await;
            let bytes = std::fs::metadata(folder.join("part-0.jsonl"))
                .unwrap()
                .len() as i64;
            committed(&pipeline, |it| {
                let read = it.read.as_ref().and_then(|it| it.get("prices"));
                let records = read
                    .into_iter()
                    .flat_map(|it| it.values())
                    .map(|it| it.counts.records);
                has_read(it, bytes) && records.sum::<u64>() == prices
            })
            .await;
            pipeline.stop().await.unwrap();
        });
    };
    let of = |op: &str, row: &str, id: i64| {
        format!("{{\"op\":\"{op}\",\"{row}\":{{\"id\":{id},\"name\":\"n{id}\"}}}}")
    };
    place.append(
        0,
        &[
            of("c", "after", 1),
            of("c", "after", 2),
            of("t", "before", 0),
            of("c", "after", 3),
        ],
    );
    let big = 12_345_678_901_234_567_890_123_i128;
    parquet(&folder.join("a.parquet"), &[(1, 150), (2, big), (4, 1)]);
    run_until(3);
    place.append(0, &[of("d", "before", 1)]);
    parquet(&folder.join("b.parquet"), &[(3, -5)]);
    run_until(4);
    let proven = || {
        runtime().block_on(async {
            let options = Options {
                lake: place.lake().display().to_string(),
                inputs: Inputs::default(),
            };
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            verify(&flow, &options).await.unwrap()
        })
    };
    let report = proven();
    assert!(report.is_proven(), "{report}");
    assert!(
        text(&report, "source", "prices").starts_with("2 partitions read again: 4 records"),
        "{report}"
    );
    assert!(
        text(&report, "source", "s").starts_with("1 partition read again: 5 records"),
        "{report}"
    );
    assert!(
        text(&report, "view", "priced").starts_with("2 rows"),
        "{report}"
    );
    parquet(&folder.join("a.parquet"), &[(1, 151), (2, big), (4, 1)]);
    assert_fails(&proven(), "source prices");
}

/// A stream joined with a Delta table that is appended to, deleted from and put together: in two runs, and proven; also once a file is vacuumed, as far as it can be.
#[test]
fn versions_of_a_delta_table_are_read_again() {
    let place = Place::new();
    let folder = place.input();
    let names = place.path().join("names");
    let sql = format!(
        "CREATE SOURCE s (at TIMESTAMP NOT NULL, id BIGINT, n BIGINT) WITH (connector = 'files', path = '{folder}') FORMAT JSON;
        CREATE SOURCE names (id BIGINT, name TEXT, PRIMARY KEY (id)) WITH (connector = 'delta', path = '{names}');
        CREATE TABLE raw AS SELECT * FROM s;
        CREATE TABLE versions AS SELECT * FROM names;
        CREATE MATERIALIZED VIEW totals AS SELECT name, count(*) AS c, sum(n) AS n FROM raw JOIN names ON raw.id = names.id GROUP BY name;",
        folder = folder.display(),
        names = names.display(),
    );
    std::fs::create_dir(&names).unwrap();
    let url = url::Url::from_directory_path(&names).unwrap();
    let rows = |rows: &[(i64, &str)]| {
        let ids = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
        let texts = StringArray::from_iter_values(rows.iter().map(|it| it.1));
        let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("name", Arc::new(texts))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|it| (it.0, it.1, true))).unwrap()
    };
    let table = || async { DeltaTable::try_from_url(url.clone()).await.unwrap() };
    let run_until = |records: u64| {
        runtime().block_on(async {
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            let pipeline = start_on(&place, 2, flow, Inputs::default()).await;
            let bytes = place.input_bytes();
            committed(&pipeline, |it| {
                let read = it.read.as_ref().and_then(|it| it.get("names"));
                let counts = read.into_iter().flat_map(|it| it.values());
                has_read(it, bytes) && counts.map(|it| it.counts.records).sum::<u64>() == records
            })
            .await;
            pipeline.stop().await.unwrap();
        });
    };
    let records: Vec<String> = (0..40)
        .map(|it| {
            format!(
                "{{\"at\":{},\"id\":{},\"n\":{it}}}",
                START_US / 1000 + it,
                it % 5
            )
        })
        .collect();
    place.append(0, &records[..20]);
    runtime().block_on(async {
        table()
            .await
            .write([rows(&[(1, "Anna"), (2, "Bo")])])
            .await
            .unwrap();
        table().await.write([rows(&[(3, "Cilla")])]).await.unwrap();
    });
    run_until(3);
    place.append(0, &records[20..]);
    runtime().block_on(async {
        table()
            .await
            .delete()
            .with_predicate("id = 1")
            .await
            .unwrap();
        table().await.write([rows(&[(4, "Dora")])]).await.unwrap();
        table().await.optimize().await.unwrap();
    });
    run_until(5);
    let proven = || {
        runtime().block_on(async {
            let options = Options {
                lake: place.lake().display().to_string(),
                inputs: Inputs::default(),
            };
            let flow = sql::plan_text(NAME, &sql, |_| None).await.unwrap();
            verify(&flow, &options).await.unwrap()
        })
    };
    let report = proven();
    assert!(report.is_proven(), "{report}");
    let source = text(&report, "source", "names");
    assert!(
        source.starts_with("1 partition read again: 5 records"),
        "{report}"
    );
    assert!(
        text(&report, "view", "totals").starts_with("3 rows"),
        "{report}"
    );

    for file in sorted(&names) {
        if file.extension().is_some_and(|it| it == "parquet") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let report = proven();
    assert!(
        text(&report, "source gone", "names").starts_with("5 offsets"),
        "{report}"
    );
}

#[test]
fn a_source_that_has_nothing_is_no_proof() {
    let place = original().copy();
    for file in sorted(&place.input()) {
        std::fs::remove_file(file).unwrap();
    }
    assert_fails(&place.verify(), "source s");
}

/// A topic in memory that speaks Kafka's protocol.
fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("s", 3, 1).unwrap();
    cluster
}

fn produce(cluster: &MockCluster<'static, DefaultProducerContext>, lines: &[String]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for (at, line) in lines.iter().enumerate() {
        let record = BaseRecord::<(), String>::to("s").partition(at as i32 % 3);
        producer.send(record.payload(line)).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_topic_is_read_again_up_to_the_committed_offsets() {
    let place = Place::new();
    let (topic, anew) = (cluster(), cluster());
    let mut random = Random(3);
    produce(&topic, &lines(&mut random, START_US, 120));
    runtime().block_on(async {
        let dataflow = dataflow_on(&topic.bootstrap_servers()).await;
        let pipeline = start_on(&place, 2, dataflow.clone(), Inputs::default()).await;
        committed(&pipeline, |it| has_read(it, 120)).await;
        pipeline.stop().await.unwrap();
        produce(&topic, &lines(&mut random, START_US, 30));
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: Inputs::default(),
        };
        let report = verify(&dataflow, &options).await.unwrap();
        assert!(report.is_proven(), "{report}");
        let source = text(&report, "source", "s");
        assert!(
            source.starts_with("3 partitions read again: 120 records"),
            "{report}"
        );
        // The same topic, made anew: its records at these offsets are others, if there are any.
        produce(&anew, &lines(&mut random, START_US, 30));
        let elsewhere = dataflow_on(&anew.bootstrap_servers()).await;
        assert_fails(&verify(&elsewhere, &options).await.unwrap(), "source s");
        // As many records, but others.
        produce(&anew, &lines(&mut random, START_US, 120));
        let report = verify(&elsewhere, &options).await.unwrap();
        assert_fails(&report, "source s");
        assert!(
            text(&report, "source", "s").contains("checksum"),
            "{report}"
        );
    });
}
