//! Scores of models in views: they are those of a batch, stay those of one model until a start finds a newer one, and are proved with the model that they were made by.

use super::grown_lakes::{column, more};
use super::lakes::{NAME, Place, committed, has_read, runtime, start_on};
use super::oracle::{Random, S_AND_O, Subject, check_cases, small_record};
use super::program::run;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelake::coordinator;
use tidelake::lake::Store;
use tidelake::learn::{self, Kind, Model, Rows, Settings, Trained};
use tidelake::plan::Dataflow;
use tidelake::sql;
use tidelake::sql::models::Models;
use tidelake::verify::{Error, Options, Report, verify};

const TEXT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, x DOUBLE, b BOOLEAN, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW scored AS SELECT at, k, n, x, b, score('odd', n, x, b) AS says FROM raw WHERE n IS NOT NULL;
CREATE MATERIALIZED VIEW by_score AS SELECT score('odd', n, x, b) > 0.5 AS odd, count(*) AS records FROM raw GROUP BY score('odd', n, x, b) > 0.5;
CREATE MATERIALIZED VIEW of_k AS SELECT k, score('odd', count(*), avg(x), bool_or(b)) AS says FROM raw GROUP BY k;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records FROM raw GROUP BY k;
";

/// A model of three features, `n`, `x` and `b`.
fn model(name: &str, seed: u64) -> Model {
    let mut random = Random(11);
    let mut rows = Rows {
        features: ["n", "x", "b"].map(str::to_owned).to_vec(),
        ..Rows::default()
    };
    for _ in 0..200 {
        rows.values.push(random.below(40) as f64 - 20.0);
        rows.values.push(random.below(100_000) as f64 / 1000.0);
        rows.values.push(random.below(2) as f64);
    }
    let settings = Settings {
        name: name.to_owned(),
        kind: Kind::IsolationForest,
        seed,
        clusters: 4,
        allow_leak: false,
    };
    learn::train(&rows, &settings, Trained::default(), &mut |_, _, _| {}).unwrap()
}

fn lake(place: &Place) -> String {
    place.lake().display().to_string()
}

async fn publish(place: &Place, seed: u64) -> Model {
    let model = model("odd", seed);
    let store = Store::open(&lake(place)).unwrap();
    store.models().publish(&model).await.unwrap();
    model
}

async fn planned(text: &str, models: Models) -> Result<Dataflow, String> {
    let planned = sql::plan_text_with(NAME, text, |_| None, &models).await;
    planned.map_err(|it| match std::error::Error::source(&it) {
        Some(source) => format!("{it}: {source}"),
        None => it.to_string(),
    })
}

async fn current(place: &Place, text: &str) -> Dataflow {
    planned(text, Models::Current(lake(place))).await.unwrap()
}

async fn report(place: &Place, dataflow: &Dataflow) -> Result<Report, Error> {
    let options = Options {
        lake: lake(place),
        inputs: place.input().into(),
    };
    verify(dataflow, &options).await
}

/// Proves the newest commit, as `tidelake verify` does.
async fn proved(place: &Place) {
    let dataflow = planned(TEXT, Models::Committed(lake(place))).await.unwrap();
    let report = report(place, &dataflow).await.unwrap();
    assert!(report.is_proven(), "{report}");
}

/// Runs with the current models until all is read; what was done because the dataflow had changed.
async fn run_all(place: &Place, workers: usize) -> Vec<String> {
    let dataflow = current(place, TEXT).await;
    let pipeline = start_on(place, workers, dataflow, place.input().into()).await;
    let bytes = place.input_bytes();
    committed(&pipeline, |it| has_read(it, bytes)).await;
    let grown = pipeline.grown.clone();
    pipeline.stop().await.unwrap();
    grown
}

/// Every stored score is what the model says of the row it stands in, and the counts are of these.
async fn scores_are_of(place: &Place, model: &Model) {
    let n = column(place, "scored", "n").await;
    let x = column(place, "scored", "x").await;
    let b = column(place, "scored", "b").await;
    let says = column(place, "scored", "says").await;
    let mut scored = 0;
    for (((n, x), b), says) in n.iter().zip(&x).zip(&b).zip(&says) {
        // In JSON a large integer is a text.
        let n = n.as_str().and_then(|it| it.parse().ok()).or(n.as_f64());
        let b = b.as_bool().map(|it| f64::from(u8::from(it)));
        let expected = model.score(&[n, x.as_f64(), b]);
        assert_eq!(says.as_f64(), expected, "{n:?} {x:?} {b:?}");
        scored += usize::from(expected.is_some());
    }
    assert!(100 < scored && scored < says.len(), "{scored}");
}

#[test]
fn a_view_is_scored_by_one_model_until_a_start_finds_a_newer_one() {
    let place = Place::new();
    let mut random = Random(5);
    runtime().block_on(async {
        let first = publish(&place, 1).await;
        more(&place, &mut random, 0);
        assert_eq!(run_all(&place, 2).await, Vec::<String>::new());
        scores_are_of(&place, &first).await;
        proved(&place).await;

        more(&place, &mut random, 60);
        assert_eq!(run_all(&place, 1).await, Vec::<String>::new());
        proved(&place).await;

        // Published, and not yet scored with.
        let second = publish(&place, 2).await;
        proved(&place).await;
        let newer = current(&place, TEXT).await;
        let changed = report(&place, &newer).await.unwrap_err();
        assert!(matches!(changed, Error::Changed { .. }), "{changed}");

        more(&place, &mut random, 90);
        assert_eq!(
            run_all(&place, 3).await,
            [
                "view by_score has changed: filled again from the archive",
                "view of_k has changed: filled again from the archive",
                "view scored has changed: filled again from the archive",
            ]
        );
        scores_are_of(&place, &second).await;
        proved(&place).await;
        assert_eq!(run_all(&place, 1).await, Vec::<String>::new());
        proved(&place).await;

        asked(&place, &first, &second).await;

        // A model that is gone is said, whatever else could be proved.
        let file = format!("_tidelake/models/odd/{}.json", second.id());
        let file = place.lake().join(file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let refused = planned(TEXT, Models::Committed(lake(&place)))
            .await
            .unwrap_err();
        assert!(
            refused.contains("there is no model \"odd\" with id"),
            "{refused}"
        );
        std::fs::write(&file, [bytes.as_slice(), b" "].concat()).unwrap();
        let refused = planned(TEXT, Models::Committed(lake(&place)))
            .await
            .unwrap_err();
        assert!(refused.contains("does not have the hash"), "{refused}");
    });
}

/// Queries score with the current model, or the one that they name, as the views do.
async fn asked(place: &Place, first: &Model, second: &Model) {
    let lake = lake(place);
    let sql = |query: &str| run(&["sql", "--lake", &lake, "-o", "csv", query]);
    let differ = "SELECT count(*) AS c FROM scored WHERE says IS DISTINCT FROM ";
    let ended = sql(&format!("{differ} score('odd', n, x, b)"));
    assert_eq!(
        (ended.code, ended.printed.as_str()),
        (Some(0), "c\r\n0\r\n"),
        "{ended:?}"
    );
    let pinned = format!("{differ} score('odd@{}', n, x, b)", &second.id()[..12]);
    assert_eq!(sql(&pinned).printed, "c\r\n0\r\n");
    let older = format!("{differ} score('odd@{}', n, x, b)", &first.id()[..12]);
    assert_ne!(sql(&older).printed, "c\r\n0\r\n");
    sql("SELECT score('old', n) FROM scored")
        .expect(65, "there is no model old in the lake; there are odd");
    sql("SELECT score('odd', n) FROM scored").expect(
        65,
        "model odd takes 3 features (n, x, b), and score gives it 1",
    );
}

const SCORED_AS_THEY_COME: &str = "
CREATE TABLE raw AS SELECT *, score('odd', n, x, b) AS says, model('odd') AS id, model_version('odd') AS version, threshold('odd') AS threshold FROM s;
CREATE MATERIALIZED VIEW by_version AS SELECT version, threshold, count(*) AS records, count(*) FILTER (WHERE says >= threshold) AS odd FROM raw GROUP BY version, threshold;
";

fn scoring_table() -> String {
    TEXT.split("CREATE TABLE").next().unwrap().to_owned() + SCORED_AS_THEY_COME
}

async fn proven(place: &Place, text: &str) {
    let committed = planned(text, Models::Committed(lake(place))).await.unwrap();
    let report = report(place, &committed).await.unwrap();
    assert!(report.is_proven(), "{report}");
}

/// Waits until the version is in force, and its first epoch has begun.
async fn in_force(pipeline: &coordinator::Pipeline, version: u64) {
    loop {
        let newest = pipeline.dataflow.live_models.in_force.newest("odd");
        let now = tidelake::model::wall_ms();
        if newest.is_some_and(|it| it.version == version && it.from.0 < now) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// How many records each version has scored; each score is what that model says of the row.
async fn scored_by(place: &Place, models: &[&Model]) -> BTreeMap<u64, usize> {
    let n = column(place, "raw", "n").await;
    let x = column(place, "raw", "x").await;
    let b = column(place, "raw", "b").await;
    let says = column(place, "raw", "says").await;
    let ids = column(place, "raw", "id").await;
    let versions = column(place, "raw", "version").await;
    let thresholds = column(place, "raw", "threshold").await;
    let mut records = BTreeMap::new();
    for at in 0..n.len() {
        let version = versions[at].as_str().and_then(|it| it.parse().ok());
        let version = version.or(versions[at].as_u64()).unwrap_or(0);
        *records.entry(version).or_default() += 1;
        let model = version.checked_sub(1).map(|it| models[it as usize]);
        assert_eq!(ids[at].as_str(), model.map(Model::id));
        assert_eq!(thresholds[at].as_f64(), model.and_then(Model::threshold));
        let n = n[at]
            .as_str()
            .and_then(|it| it.parse().ok())
            .or(n[at].as_f64());
        let b = b[at].as_bool().map(|it| f64::from(u8::from(it)));
        let expected = model.and_then(|it| it.score(&[n, x[at].as_f64(), b]));
        assert_eq!(says[at].as_f64(), expected, "{version} {n:?}");
    }
    records
}

#[test]
fn a_table_scores_each_record_by_what_is_in_force_when_it_comes() {
    let place = Place::new();
    let mut random = Random(6);
    let text = scoring_table();
    runtime().block_on(async {
        more(&place, &mut random, 0);
        let dataflow = current(&place, &text).await;
        let pipeline = start_on(&place, 2, dataflow, place.input().into()).await;
        let read = async || {
            let bytes = place.input_bytes();
            committed(&pipeline, |it| has_read(it, bytes)).await;
        };
        read().await;
        let first = publish(&place, 1).await;
        in_force(&pipeline, 1).await;
        more(&place, &mut random, 60);
        read().await;
        let second = publish(&place, 2).await;
        in_force(&pipeline, 2).await;
        more(&place, &mut random, 90);
        read().await;
        // A model that takes other features is said, and changes nothing.
        let store = Store::open(&lake(&place)).unwrap();
        store.models().publish(&narrow()).await.unwrap();
        let live = &pipeline.dataflow.live_models.in_force;
        let problem = loop {
            match live.problem("odd") {
                Some(problem) => break problem,
                None => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        assert!(
            problem.contains("version 3: model odd takes 1 feature (n), and score gives it 3; version 2 stays in force"),
            "{problem}"
        );
        pipeline.stop().await.unwrap();
        let records = scored_by(&place, &[&first, &second]).await;
        assert!(
            records.keys().eq(&[0, 1, 2]) && records.values().all(|it| 30 < *it),
            "{records:?}"
        );
        proven(&place, &text).await;

        // The next start goes on with what was in force, and takes a newer one at once.
        let third = publish(&place, 4).await;
        more(&place, &mut random, 120);
        let dataflow = current(&place, &text).await;
        let pipeline = start_on(&place, 1, dataflow, place.input().into()).await;
        assert_eq!(pipeline.grown, Vec::<String>::new());
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
        let none = model("odd", 99);
        let after = scored_by(&place, &[&first, &second, &none, &third]).await;
        assert!(after.keys().eq(&[0, 1, 2, 4]), "{after:?}");
        assert!(records.iter().all(|it| after[it.0] == *it.1), "{after:?}");
        proven(&place, &text).await;

    });
}

/// A model of the same name, of another number of features.
fn narrow() -> Model {
    let values: Vec<f64> = (0..200).map(f64::from).collect();
    let rows = Rows {
        features: vec!["n".to_owned()],
        values,
        ..Rows::default()
    };
    let settings = Settings {
        name: "odd".to_owned(),
        kind: Kind::IsolationForest,
        seed: 1,
        clusters: 4,
        allow_leak: false,
    };
    learn::train(&rows, &settings, Trained::default(), &mut |_, _, _| {}).unwrap()
}

#[test]
fn a_column_that_names_a_model_by_its_id_keeps_it() {
    let place = Place::new();
    let mut random = Random(6);
    runtime().block_on(async {
        let first = publish(&place, 1).await;
        let second = publish(&place, 2).await;
        let pinned = |model: &Model| {
            scoring_table().replace("'odd'", &format!("'odd@{}'", &model.id()[..8]))
        };
        more(&place, &mut random, 0);
        let dataflow = current(&place, &pinned(&first)).await;
        assert!(dataflow.live_models.features.is_empty());
        let pipeline = start_on(&place, 1, dataflow, place.input().into()).await;
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
        assert!(scored_by(&place, &[&first]).await.keys().eq(&[1]));
        proven(&place, &pinned(&first)).await;
        let options = coordinator::Options {
            lake: lake(&place),
            inputs: place.input().into(),
            ..coordinator::Options::default()
        };
        let started = coordinator::start(current(&place, &pinned(&second)).await, &options).await;
        let refused = started.err().expect("the column has another meaning");
        assert!(refused.to_string().contains("says"), "{refused}");
    });
}

#[test]
fn scores_equal_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().display().to_string();
    let text = S_AND_O.to_owned()
        + "
CREATE MATERIALIZED VIEW scored AS SELECT k, n, x, score('odd', n, x, b) AS says FROM raw_s;
CREATE MATERIALIZED VIEW by_score AS SELECT score('odd', n, x, b) > 0.5 AS odd, count(*) AS c FROM raw_s GROUP BY score('odd', n, x, b) > 0.5;
CREATE MATERIALIZED VIEW of_groups AS SELECT k, score('odd', count(*), avg(x), bool_or(b)) AS says FROM raw_s GROUP BY k;
CREATE MATERIALIZED VIEW of_windows AS SELECT window_start, max(score('odd', n, x, b)) AS says FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) GROUP BY window_start;
CREATE MATERIALIZED VIEW above AS SELECT s.k, o.n FROM raw_s s JOIN raw_o o ON s.k = o.k AND s.n = o.n WHERE score('odd', s.n, o.x, s.b) > 0.5;
";
    let dataflow = runtime().block_on(async {
        let store = Store::open(&lake).unwrap();
        store.models().publish(&model("odd", 3)).await.unwrap();
        planned(&text, Models::Current(lake)).await.unwrap()
    });
    let names: BTreeMap<String, String> = dataflow.models.clone();
    assert_eq!(names.keys().collect::<Vec<_>>(), ["odd"]);
    let subject = Subject {
        dataflow: Arc::new(dataflow),
        record: small_record,
    };
    check_cases(&subject, 8, 300);
}
