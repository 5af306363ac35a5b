//! Changed dataflows on real lakes: what takes effect at the next start, what stays for readers of the tables, what is refused.
//! Each lake is proved after each change.

use super::lakes::{
    NAME, Place, SECOND_US, START_US, committed, has_read, lines, runtime, start_on,
};
use super::oracle::Random;
use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};
use std::sync::Arc;
use tidelake::coordinator::{self, Error};
use tidelake::lake::{Manifest, Store};
use tidelake::model::rows_of_batch;
use tidelake::plan::Dataflow;
use tidelake::source::place::{Input, Inputs};
use tidelake::sql;
use tidelake::verify::{Options, Report, verify};

const BEFORE: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw WITH (partition_by = 'k') AS SELECT *, x * 2 AS twice FROM s;
CREATE MATERIALIZED VIEW per_10s AS
  SELECT window_start, k, count(*) AS records, max(n) AS n_max FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records, sum(x) AS x_sum FROM raw GROUP BY k;
CREATE MATERIALIZED VIEW busiest AS SELECT k, records FROM per_k ORDER BY records DESC, k LIMIT 2;
CREATE MATERIALIZED VIEW kept_windows AS SELECT k, n_max FROM per_10s;
CREATE MATERIALIZED VIEW newest AS SELECT at, k, n FROM raw ORDER BY at DESC, n LIMIT 3;
CREATE MATERIALIZED VIEW alike AS SELECT a.window_start, a.k, b.k AS other FROM per_10s a JOIN per_10s b ON a.window_start = b.window_start AND a.records = b.records;
CREATE MATERIALIZED VIEW large AS SELECT at, k, n, x FROM raw WHERE n > 5;
CREATE MATERIALIZED VIEW last_of_k AS SELECT k, n FROM raw QUALIFY row_number() OVER (PARTITION BY k ORDER BY at DESC) = 1;
CREATE MATERIALIZED VIEW with_k AS SELECT l.at, l.n, p.records FROM large l LEFT JOIN per_k p ON l.k = p.k;
";

/// The dataflow after it was changed in every way that takes effect.
fn after() -> String {
    let text = BEFORE
        .replace("n BIGINT, x DOUBLE", "n BIGINT, j INT, x DOUBLE")
        .replace(
            "x * 2 AS twice",
            "x * 2 AS twice, coalesce(k, '-') || 'x' AS kx",
        )
        .replace(
            "sum(x) AS x_sum",
            "sum(x) AS x_sum, count(DISTINCT n) AS ns",
        );
    format!(
        "{text}
CREATE MATERIALIZED VIEW per_j AS SELECT j, count(*) AS records, count(kx) AS kxs FROM raw GROUP BY j;
CREATE MATERIALIZED VIEW windows_per_k AS SELECT k, count(*) AS windows, min(n_max) AS n_max_min FROM per_10s GROUP BY k;
CREATE MATERIALIZED VIEW per_minute AS
  SELECT window_end, count(*) AS records FROM TUMBLE(raw, at, INTERVAL '1' MINUTE) GROUP BY window_end;
CREATE MATERIALIZED VIEW itself AS SELECT k, count(n) AS ns FROM s GROUP BY k;
"
    )
}

pub(super) async fn dataflow(text: &str) -> Dataflow {
    sql::plan_text(NAME, text, |_| None).await.unwrap()
}

pub(super) async fn proved(place: &Place, text: &str) -> Report {
    let options = Options {
        lake: place.lake().display().to_string(),
        inputs: place.input().into(),
    };
    let report = verify(&dataflow(text).await, &options).await.unwrap();
    assert!(report.is_proven(), "{report}");
    report
}

/// Runs until everything is read and committed.
pub(super) async fn run(place: &Place, text: &str, workers: usize) -> Vec<String> {
    run_until(place, text, workers, |_| true).await
}

/// The same, until something holds of the newest commit.
pub(super) async fn run_until(
    place: &Place,
    text: &str,
    workers: usize,
    holds: impl Fn(&Manifest) -> bool,
) -> Vec<String> {
    let pipeline = start_on(place, workers, dataflow(text).await, place.input().into()).await;
    let bytes = place.input_bytes();
    committed(&pipeline, |it| has_read(it, bytes) && holds(it)).await;
    let grown = pipeline.grown.clone();
    pipeline.stop().await.unwrap();
    grown
}

/// Windows of the first records are closed by these.
pub(super) fn more(place: &Place, random: &mut Random, seconds: i64) {
    for partition in 0..3 {
        let around = START_US + seconds * SECOND_US;
        place.append(partition, &lines(random, around, 120));
    }
}

/// Why a start with this dataflow is refused.
async fn refusal(place: &Place, text: &str) -> String {
    let options = coordinator::Options {
        lake: place.lake().display().to_string(),
        inputs: place.input().into(),
        ..coordinator::Options::default()
    };
    match coordinator::start(dataflow(text).await, &options).await {
        Err(error @ Error::Refused { .. }) => error.to_string(),
        Err(other) => panic!("refused in other words: {other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub(super) async fn column(place: &Place, table: &str, name: &str) -> Vec<Value> {
    let store = Store::open(&place.lake().display().to_string()).unwrap();
    let delta = store.open_delta(table).await.unwrap();
    let provider = sql::delta_provider(&delta).await.unwrap();
    let schema: SchemaRef = provider.schema();
    let wanted = schema.project(&[schema.index_of(name).unwrap()]).unwrap();
    let rows = sql::table_rows(&delta, &Arc::new(wanted)).await.unwrap();
    let rows = rows.iter().flat_map(rows_of_batch);
    rows.map(|it| it.0[0].to_json()).collect()
}

#[test]
fn everything_that_can_change_takes_effect_at_the_next_start() {
    let place = Place::new();
    let mut random = Random(3);
    runtime().block_on(async {
        more(&place, &mut random, 0);
        assert_eq!(run(&place, BEFORE, 2).await, Vec::<String>::new());
        // A second start closes windows, so that some rows are in sealed files.
        more(&place, &mut random, 60);
        run(&place, BEFORE, 1).await;
        proved(&place, BEFORE).await;

        more(&place, &mut random, 90);
        let grown = run(&place, &after(), 3).await;
        assert_eq!(
            grown,
            [
                "source s: new columns j; records read before do not have them",
                "table raw: new columns j, kx, null in the rows that are there",
                "view busiest reads per_k: filled again",
                "view itself is new: filled from the archive",
                "view late reads per_minute: filled again",
                "view per_j is new: filled from the archive",
                "view per_k has changed: filled again from the archive",
                "view per_minute is new: filled from the archive",
                "view windows_per_k is new: filled from the archive",
                "view with_k reads per_k: filled again",
            ]
        );
        proved(&place, &after()).await;
        let j = column(&place, "raw", "j").await;
        let nulls = j.iter().filter(|it| it.is_null()).count();
        assert!(500 < nulls && nulls < j.len(), "{nulls} of {}", j.len());

        // The same again is nothing new.
        more(&place, &mut random, 120);
        assert_eq!(run(&place, &after(), 1).await, Vec::<String>::new());
        proved(&place, &after()).await;

        // A view goes, and comes back in another form: its table is the new one, whole.
        let without = after().replace(
            "CREATE MATERIALIZED VIEW itself AS SELECT k, count(n) AS ns FROM s GROUP BY k;",
            "",
        );
        let grown = run(&place, &without, 2).await;
        assert_eq!(
            grown,
            ["view itself is gone: its state is dropped, its table stays as it is"]
        );
        proved(&place, &without).await;
        more(&place, &mut random, 150);
        let back = after().replace(
            "count(n) AS ns FROM s",
            "count(n) AS ns, max(n) AS n_max FROM s",
        );
        let grown = run(&place, &back, 2).await;
        assert_eq!(grown, ["view itself is new: filled from the archive"]);
        proved(&place, &back).await;
    });
}

/// Both sources read the same files.
fn inputs(place: &Place) -> Inputs {
    let input = |source: &str| {
        let text = format!("{source}={}", place.input().display());
        text.parse::<Input>().unwrap()
    };
    vec![input("s"), input("t")].into()
}

#[test]
fn a_source_comes_with_its_table_and_views() {
    let place = Place::new();
    let mut random = Random(6);
    let source = &BEFORE[..BEFORE.find("CREATE TABLE").unwrap()];
    let text = format!(
        "{BEFORE}{}
CREATE TABLE raw_t AS SELECT * FROM t;
CREATE MATERIALIZED VIEW t_per_k AS SELECT k, count(*) AS records FROM raw_t GROUP BY k;
CREATE MATERIALIZED VIEW t_itself AS SELECT count(*) AS records FROM t;
CREATE MATERIALIZED VIEW both AS SELECT k, records FROM per_k UNION ALL SELECT k, records FROM t_per_k;",
        source.replace("SOURCE s", "SOURCE t")
    );
    runtime().block_on(async {
        more(&place, &mut random, 0);
        run(&place, BEFORE, 2).await;
        // The new source reads the same files, from their beginning.
        let pipeline = start_on(&place, 2, dataflow(&text).await, inputs(&place)).await;
        assert!(
            pipeline.grown.contains(&"table raw_t is new".to_owned()),
            "{:?}",
            pipeline.grown
        );
        committed(&pipeline, |it| it.offsets.get("t") == it.offsets.get("s")).await;
        pipeline.stop().await.unwrap();
        let options = Options {
            lake: place.lake().display().to_string(),
            inputs: inputs(&place),
        };
        let report = verify(&dataflow(&text).await, &options).await.unwrap();
        assert!(report.is_proven(), "{report}");
    });
}

#[test]
fn small_files_of_before_and_after_a_new_column_are_merged() {
    let place = Place::new();
    let mut random = Random(4);
    let one_k = BEFORE.replace(" WITH (partition_by = 'k')", "");
    let grown = one_k.replace("n BIGINT, x DOUBLE", "n BIGINT, j INT, x DOUBLE");
    runtime().block_on(async {
        for (round, text) in [&one_k, &grown].into_iter().enumerate() {
            let pipeline = start_on(&place, 1, dataflow(text).await, place.input().into()).await;
            for step in 0..8 {
                more(&place, &mut random, (round * 8 + step) as i64 * 5);
                let bytes = place.input_bytes();
                committed(&pipeline, |it| has_read(it, bytes)).await;
            }
            pipeline.stop().await.unwrap();
        }
        let pipeline = start_on(&place, 1, dataflow(&grown).await, place.input().into()).await;
        for step in 16.. {
            more(&place, &mut random, step * 5);
            let bytes = place.input_bytes();
            committed(&pipeline, |it| has_read(it, bytes)).await;
            let newest = pipeline.store.newest_manifest(NAME).await.unwrap();
            if newest.is_some_and(|it| it.tables["raw"].small_files.len() < 6) {
                break;
            }
            assert!(step < 40, "files are merged some time");
        }
        pipeline.stop().await.unwrap();
        proved(&place, &grown).await;
    });
}

#[test]
fn what_a_lake_cannot_follow_is_refused_and_changes_nothing() {
    let place = Place::new();
    let mut random = Random(5);
    runtime().block_on(async {
        more(&place, &mut random, 0);
        run(&place, BEFORE, 1).await;
        let manifests = place.manifests().len();
        let reason = refusal(&place, &BEFORE.replace("k TEXT, n BIGINT", "k TEXT, n INT")).await;
        assert!(reason.contains("line 2: source s: column n was BIGINT and is now INT"), "{reason}");
        let reason = refusal(&place, &BEFORE.replace("x * 2", "x * 3")).await;
        assert!(reason.contains("line 4: table raw: column twice was computed by `(x * 2)`"), "{reason}");
        assert_eq!(place.manifests().len(), manifests);

        // A view may not take over a table that somebody else has made.
        std::fs::create_dir_all(place.table("theirs/_delta_log")).unwrap();
        let log = place.table("per_k/_delta_log/00000000000000000000.json");
        std::fs::copy(log, place.table("theirs/_delta_log/00000000000000000000.json")).unwrap();
        let row = json!({"add": {"path": "a.parquet", "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": true}});
        std::fs::write(place.table("theirs/_delta_log/00000000000000000001.json"), row.to_string()).unwrap();
        let text = format!("{BEFORE} CREATE MATERIALIZED VIEW theirs AS SELECT k, count(*) AS records, sum(x) AS x_sum FROM raw GROUP BY k;");
        let options = coordinator::Options {
            lake: place.lake().display().to_string(),
            inputs: place.input().into(),
            ..coordinator::Options::default()
        };
        let error = coordinator::start(dataflow(&text).await, &options).await.err().unwrap();
        assert!(error.to_string().contains("is none of this dataflow"), "{error}");
        run(&place, BEFORE, 2).await;
        proved(&place, BEFORE).await;

        // A lake of a version that noted no definitions, and sealed nothing.
        for path in place.manifests() {
            let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            for later in ["definitions", "follows", "seal", "holder"] {
                manifest.as_object_mut().unwrap().remove(later);
            }
            manifest["fingerprint"] = Value::from("0123");
            std::fs::write(&path, manifest.to_string()).unwrap();
        }
        let reason = refusal(&place, BEFORE).await;
        assert!(reason.contains("start a new lake with --lake"), "{reason}");
    });
}
