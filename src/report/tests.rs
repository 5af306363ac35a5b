//! Reports over lakes of their own, recounted record by record, and what a reader of them sees.

use super::*;
use crate::lake::{Manifest, Store, TableEntry};
use crate::model::{Epoch, Random, Row, Value, iso_of_micros, rows_of_batch};
use crate::plan::Dataflow;
use crate::sql::plan_text;
use crate::sql::query::{Lake, Limits, Queries};
use crate::view::Hub;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// No column has the name of one of the shipped dataflows: what they are is told by comments, or follows from where they come from.
const DATAFLOW: &str = "
SET dataflow = 'shop';
CREATE SOURCE visits (at TIMESTAMP NOT NULL, page TEXT, code INT, took DOUBLE, visitor TEXT, device TEXT, fraud_score DOUBLE,
                      WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'files', path = '/nowhere') FORMAT JSON;
COMMENT ON COLUMN visits.code IS '[role = status]';
COMMENT ON COLUMN visits.took IS '[role = duration, unit = ms]';
COMMENT ON COLUMN visits.visitor IS '[role = id]';
COMMENT ON COLUMN visits.device IS '[role = id]';
CREATE TABLE seen AS SELECT at, page, code, took, visitor, device, fraud_score,
  fraud_score > 0.8 AS is_fraud,
  CASE WHEN fraud_score > 0.8 THEN 'STOLEN' ELSE 'NONE' END AS fraud_type,
  CASE WHEN fraud_score > 0.9 THEN 'high' ELSE 'low' END AS confidence
FROM visits;
CREATE MATERIALIZED VIEW per_minute AS SELECT window_start, page, count(*) AS visits
FROM TUMBLE(seen, at, INTERVAL '1' MINUTE) GROUP BY window_start, page;
CREATE MATERIALIZED VIEW alerts AS SELECT window_start, page, 'SLOW' AS kind, avg(took) AS took_mean, count(*) AS visits
FROM TUMBLE(seen, at, INTERVAL '1' MINUTE) WHERE took > 100 GROUP BY window_start, page;
";

/// A page that would be markup, a script and the end of an attribute if it could.
const NASTY: &str = "/<script>alert('x')</script>\"&\u{1b}[2J\u{202e}";
const HOUR_US: i64 = 3_600_000_000;
/// 2026-01-31T12:00:00Z.
const BEGIN: i64 = 1_769_860_800_000_000;

#[derive(Clone)]
struct Visit {
    at: i64,
    page: Option<&'static str>,
    code: i32,
    /// In quarters, so that sums of doubles are exact here as well.
    took: f64,
    visitor: Option<String>,
    device: String,
    score: Option<f64>,
}

impl Visit {
    fn is_fraud(&self) -> Option<bool> {
        self.score.map(|it| it > 0.8)
    }

    fn class(&self) -> &'static str {
        match self.is_fraud() {
            Some(true) => "STOLEN",
            _ => "NONE",
        }
    }
}

fn visits(count: usize) -> Vec<Visit> {
    let mut random = Random::new(7);
    let mut below = |most: u64| random.bits() % most;
    (0..count)
        .map(|_| Visit {
            at: BEGIN + i64::try_from(below(50 * 3_600)).unwrap() * 1_000_000 - HOUR_US,
            page: [Some("/a"), Some("/b"), Some("/b"), Some(NASTY), None]
                [usize::try_from(below(5)).unwrap()],
            code: [200, 200, 200, 404, 500][usize::try_from(below(5)).unwrap()],
            took: below(2_000) as f64 / 4.0,
            visitor: (0 < below(3)).then(|| format!("v{}", below(50))),
            device: format!("d{}", below(90)),
            score: (0 < below(9)).then(|| below(64) as f64 / 64.0),
        })
        .collect()
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn batch_of(visits: &[Visit]) -> RecordBatch {
    let fields = [
        ("at", utc()),
        ("page", DataType::Utf8),
        ("code", DataType::Int32),
        ("took", DataType::Float64),
        ("visitor", DataType::Utf8),
        ("device", DataType::Utf8),
        ("fraud_score", DataType::Float64),
        ("is_fraud", DataType::Boolean),
        ("fraud_type", DataType::Utf8),
        ("confidence", DataType::Utf8),
    ];
    let texts = |of: &dyn Fn(&Visit) -> Option<String>| -> ArrayRef {
        Arc::new(visits.iter().map(of).collect::<StringArray>())
    };
    let times = visits.iter().map(|it| it.at);
    let times: TimestampMicrosecondArray = times.collect::<Vec<i64>>().into();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        texts(&|it| it.page.map(str::to_owned)),
        Arc::new(
            visits
                .iter()
                .map(|it| it.code)
                .collect::<Vec<i32>>()
                .into_iter()
                .collect::<Int32Array>(),
        ),
        Arc::new(
            visits
                .iter()
                .map(|it| Some(it.took))
                .collect::<Float64Array>(),
        ),
        texts(&|it| it.visitor.clone()),
        texts(&|it| Some(it.device.clone())),
        Arc::new(visits.iter().map(|it| it.score).collect::<Float64Array>()),
        Arc::new(visits.iter().map(Visit::is_fraud).collect::<BooleanArray>()),
        texts(&|it| Some(it.class().to_owned())),
        texts(&|it| {
            Some(
                if it.score.is_some_and(|it| it > 0.9) {
                    "high"
                } else {
                    "low"
                }
                .to_owned(),
            )
        }),
    ];
    let fields: Vec<Field> = fields
        .into_iter()
        .map(|(name, of)| Field::new(name, of, true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Windows of the view of rules: when, where, how slow and how many.
fn alerts(all: &[(i64, &str, f64, i64)]) -> RecordBatch {
    let fields = vec![
        Field::new("window_start", utc(), true),
        Field::new("page", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("took_mean", DataType::Float64, true),
        Field::new("visits", DataType::Int64, true),
    ];
    let times: TimestampMicrosecondArray = all.iter().map(|it| it.0).collect::<Vec<i64>>().into();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        Arc::new(all.iter().map(|it| Some(it.1)).collect::<StringArray>()),
        Arc::new(all.iter().map(|_| Some("SLOW")).collect::<StringArray>()),
        Arc::new(all.iter().map(|it| Some(it.2)).collect::<Float64Array>()),
        Arc::new(all.iter().map(|it| Some(it.3)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A lake with one commit of `shop`.
struct Place {
    folder: TempDir,
    queries: Queries,
    dataflow: Dataflow,
}

async fn write(folder: &TempDir, table: &str, rows: RecordBatch) {
    let path = folder.path().join(table);
    std::fs::create_dir_all(&path).unwrap();
    let url = url::Url::from_directory_path(path).unwrap();
    let table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
    table.write([rows]).await.unwrap();
}

async fn place(visits: &[Visit], tables: &[&str]) -> Place {
    let folder = TempDir::new().unwrap();
    write(&folder, "seen", batch_of(visits)).await;
    let rows = alerts(&[
        (BEGIN, "/a", 150.0, 3),
        (BEGIN + HOUR_US, "/a", 250.0, 1),
        (BEGIN + HOUR_US, "/b", 110.0, 9),
    ]);
    write(&folder, "alerts", rows).await;
    let dataflow = plan_text("shop", DATAFLOW, |_| None).await.unwrap();
    let manifest = Manifest {
        number: 4,
        epoch: Epoch(1_770_000_000_000),
        tables: tables
            .iter()
            .map(|it| ((*it).to_owned(), TableEntry::default()))
            .collect(),
        definitions: serde_json::to_value(&dataflow.definitions).unwrap(),
        ..Manifest::empty("shop")
    };
    let path = folder.path().join(manifest.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, manifest.to_file()).unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let names = vec!["seen".to_owned(), "alerts".to_owned()];
    let limits = Limits {
        time: Duration::from_secs(240),
        spares: 0,
        ..Limits::default()
    };
    let hub = Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0));
    let queries = Queries::new(hub, Arc::default(), Lake::new(store, names), limits).unwrap();
    Place {
        folder,
        queries,
        dataflow,
    }
}

impl Place {
    async fn report(&self, name: &str, range: &TimeRange) -> Result<Report, Error> {
        let subject = Subject::of_dataflow(&self.dataflow);
        let reporter = Reporter {
            queries: &self.queries,
            subject: &subject,
            as_of: None,
        };
        reporter.report(name, range).await
    }
}

fn days(from: i64, to: i64) -> TimeRange {
    TimeRange::of_times(Some(from), Some(to), 0).unwrap()
}

fn section<'a>(report: &'a Report, id: &str) -> &'a Section {
    let mut all = report.parts.iter().flat_map(|it| &it.sections);
    all.find(|it| it.id == id).unwrap_or_else(|| {
        let all = report.parts.iter().flat_map(|it| &it.sections);
        let ids: Vec<&str> = all.map(|it| it.id.as_str()).collect();
        panic!("there is no section {id}; there are: {ids:?}")
    })
}

/// Some columns of all rows, as JSON.
fn rows(section: &Section, columns: &[&str]) -> Vec<Json> {
    let row = |row: &Map<String, Json>| {
        columns
            .iter()
            .map(|it| {
                row.get(*it)
                    .unwrap_or_else(|| panic!("{it} of {row:?}"))
                    .clone()
            })
            .collect()
    };
    section.rows.iter().map(row).collect()
}

/// What is said of a group of visits.
fn figures(all: &[&Visit]) -> (usize, usize, f64, f64) {
    let errors = all.iter().filter(|it| it.code >= 400).count();
    let sum: f64 = all.iter().map(|it| it.took).sum();
    let largest = all.iter().map(|it| it.took).fold(f64::MIN, f64::max);
    (all.len(), errors, sum / all.len() as f64, largest)
}

/// Groups, the largest first, and those that are alike by their key, null last.
fn by<K: Ord + Clone>(
    visits: &[Visit],
    key: impl Fn(&Visit) -> Option<K>,
) -> Vec<(Option<K>, Vec<&Visit>)> {
    let mut groups: BTreeMap<Option<K>, Vec<&Visit>> = BTreeMap::new();
    for it in visits {
        groups.entry(key(it)).or_default().push(it);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| {
        let null_last = |it: &Option<K>| it.is_none();
        (b.1.len().cmp(&a.1.len()))
            .then_with(|| null_last(&a.0).cmp(&null_last(&b.0)))
            .then_with(|| a.0.cmp(&b.0))
    });
    groups
}

#[tokio::test]
async fn every_number_is_that_of_a_recount() {
    let mut visits = visits(3_000);
    // From the second hour on, and not to the end.
    let (from, to) = (BEGIN, BEGIN + 40 * HOUR_US);
    // The first instant is in it, and the last one is not.
    for (number, at) in [from - 1, from, to - 1, to].into_iter().enumerate() {
        visits[number].at = at;
    }
    let place = place(&visits, &["seen", "alerts"]).await;
    let report = place.report("all", &days(from, to)).await.unwrap();
    let mut inside = visits.clone();
    inside.retain(|it| (from..to).contains(&it.at));
    assert!(2_000 < inside.len() && inside.len() < visits.len());

    let all: Vec<&Visit> = inside.iter().collect();
    let (count, errors, mean, largest) = figures(&all);
    let visitors = |all: &[&Visit]| {
        let all = all.iter().filter_map(|it| it.visitor.as_ref());
        all.collect::<BTreeSet<_>>().len()
    };
    let devices = |all: &[&Visit]| {
        all.iter()
            .map(|it| &it.device)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let first = all.iter().map(|it| it.at).min().unwrap();
    let totals = section(&report, "totals");
    assert_eq!(
        rows(
            totals,
            &[
                "visits",
                "errors",
                "error_share",
                "took_mean",
                "took_max",
                "distinct_visitor",
                "distinct_device",
                "first_time"
            ]
        ),
        [json!([
            count,
            errors,
            errors as f64 / count as f64,
            mean,
            largest,
            visitors(&all),
            devices(&all),
            iso_of_micros(first)
        ])]
    );

    let expected: Vec<Json> = by(&inside, |it| it.page)
        .into_iter()
        .map(|(page, all)| {
            let (n, errors, mean, largest) = figures(&all);
            json!([page, n, n as f64 / count as f64, errors, mean, largest])
        })
        .collect();
    let columns = ["page", "visits", "share", "errors", "took_mean", "took_max"];
    assert_eq!(rows(section(&report, "by_page"), &columns), expected);

    let mut expected: Vec<(i64, Json)> = by(&inside, |it| Some(it.at.div_euclid(HOUR_US)))
        .into_iter()
        .map(|(hour, all)| {
            let hour = hour.unwrap() * HOUR_US;
            let (n, errors, mean, _) = figures(&all);
            (hour, json!([iso_of_micros(hour), n, errors, mean]))
        })
        .collect();
    expected.sort_by_key(|it| -it.0);
    let expected: Vec<Json> = expected.into_iter().map(|it| it.1).collect();
    let columns = ["hour", "visits", "errors", "took_mean"];
    assert_eq!(rows(section(&report, "over_time"), &columns), expected);

    let known: Vec<&Visit> = inside.iter().filter(|it| it.visitor.is_some()).collect();
    assert_eq!(
        rows(
            section(&report, "distinct"),
            &["of", "visits", "distinct_visitor", "distinct_device"]
        ),
        [
            json!(["all visits", count, visitors(&all), devices(&all)]),
            json!([
                "with visitor",
                known.len(),
                visitors(&known),
                devices(&known)
            ]),
            json!(["with device", count, visitors(&all), devices(&all)]),
        ]
    );

    let scored = |all: &[&Visit]| -> Json {
        let scores: Vec<f64> = all.iter().filter_map(|it| it.score).collect();
        match scores.is_empty() {
            true => Json::Null,
            false => json!(scores.iter().sum::<f64>() / scores.len() as f64),
        }
    };
    let frauds = |all: &[&Visit]| all.iter().filter(|it| it.is_fraud() == Some(true)).count();
    let pages = |all: &[&Visit]| {
        all.iter()
            .filter_map(|it| it.page)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let judged = |all: Vec<(Option<&'static str>, Vec<&Visit>)>| -> Vec<Json> {
        let one = |(class, all): (Option<&str>, Vec<&Visit>)| {
            json!([class, all.len(), scored(&all), frauds(&all), pages(&all)])
        };
        all.into_iter().map(one).collect()
    };
    let verdicts = by(&inside, |it| {
        Some(match (it.is_fraud(), it.code) {
            (Some(true), _) => "anomaly",
            (_, 400..) => "error",
            _ => "normal",
        })
    });
    for (id, column, expected) in [
        ("seen_by_verdict", "verdict", judged(verdicts)),
        (
            "seen_by_class",
            "fraud_type",
            judged(by(&inside, |it| Some(it.class()))),
        ),
    ] {
        let columns = [
            column,
            "visits",
            "fraud_score_mean",
            "anomalies",
            "distinct_page",
        ];
        assert_eq!(rows(section(&report, id), &columns), expected, "{id}");
    }
    assert_eq!(section(&report, "seen_by_confidence").rows.len(), 2);

    let columns = ["kind", "occurrences", "took_mean_mean", "visits_mean"];
    let by_rule = rows(section(&report, "alerts_by_rule"), &columns);
    assert_eq!(by_rule, [json!(["SLOW", 3, 170.0, 13.0 / 3.0])]);
    let top = rows(
        section(&report, "alerts_top"),
        &["page", "kind", "occurrences"],
    );
    assert_eq!(top, [json!(["/a", "SLOW", 2]), json!(["/b", "SLOW", 1])]);
}

#[tokio::test]
async fn a_report_is_of_one_commit_and_of_the_range_that_its_records_have() {
    let all = visits(200);
    let place = place(&all, &["seen"]).await;
    let before = place
        .report("all", &TimeRange::parse("all", 0).unwrap())
        .await
        .unwrap();
    let first = all.iter().map(|it| it.at).min().unwrap();
    assert_eq!(before.from, Some(iso_of_micros(first)));
    assert_eq!(section(&before, "totals").rows[0]["visits"], json!(200));
    // The view came with a later commit.
    assert!(before.parts[1].missing.is_some());
    assert_eq!(
        before.commit.versions,
        BTreeMap::from([("seen".to_owned(), 0)])
    );
    write(&place.folder, "seen", batch_of(&visits(50))).await;
    let after = place
        .report("all", &TimeRange::parse("all", 0).unwrap())
        .await
        .unwrap();
    assert_eq!(before.parts, after.parts);
    assert_eq!(
        (after.commit.number, after.commit.epoch),
        (4, 1_770_000_000_000)
    );
    let nothing = place.report("all", &days(0, 1)).await.unwrap();
    assert_eq!(section(&nothing, "totals").rows[0]["visits"], json!(0));
    assert!(html(&nothing).contains("Nothing in this range"));
    assert!(text(&nothing, 80).contains("no rows"));
    assert_eq!(before.notes, Vec::<String>::new());
    let said = format!(
        "no records in this range: the first is of {}, ",
        iso_of_micros(first)
    );
    assert!(nothing.notes[0].starts_with(&said), "{:?}", nothing.notes);
}

/// A commit writes the logs of its tables one after the other.
#[tokio::test]
async fn stored_tables_of_one_query_are_of_one_commit() {
    let place = place(&visits(200), &["seen", "alerts"]).await;
    write(&place.folder, "seen", batch_of(&visits(50))).await;
    let asked = async |sql: &str| {
        let answer = place.queries.run(sql, None).await.unwrap();
        let rows: Vec<Row> = answer.batches.iter().flat_map(rows_of_batch).collect();
        rows[0].0.iter().map(Value::as_i64).collect::<Vec<_>>()
    };
    let newest = asked("SELECT count(*) FROM lake.seen").await;
    assert_eq!(newest, [Some(250)]);
    let together = asked(
        "SELECT (SELECT count(*) FROM lake.seen) AS a, (SELECT count(*) FROM lake.alerts) AS b, (SELECT count(*) FROM seen) AS c",
    );
    assert_eq!(together.await, [Some(200), Some(3), Some(200)]);
}

#[tokio::test]
async fn a_lake_alone_tells_what_its_columns_are_called() {
    let place = place(&visits(100), &["seen", "alerts"]).await;
    let mut schemas = BTreeMap::new();
    for name in ["seen", "alerts"] {
        let schema = place.queries.lake().schema(name).await.unwrap();
        schemas.insert(name.to_owned(), schema);
    }
    let subject = Subject::of_lake("shop", &place.dataflow.definitions, &schemas);
    let reporter = Reporter {
        queries: &place.queries,
        subject: &subject,
        as_of: None,
    };
    let range = TimeRange::parse("all", 0).unwrap();
    let report = reporter.report("all", &range).await.unwrap();
    assert_eq!(section(&report, "totals").rows[0]["records"], json!(100));
    assert_eq!(section(&report, "alerts_by_rule").rows.len(), 1);
    assert_eq!(section(&report, "seen_by_class").rows.len(), 2);
    assert!(report.notes[0].contains("guessed"), "{:?}", report.notes);
}

#[tokio::test]
async fn what_records_hold_is_never_markup_and_steers_no_terminal() {
    let place = place(&visits(400), &["seen", "alerts"]).await;
    let range = days(BEGIN, BEGIN + 40 * HOUR_US);
    let mut report = place.report("all", &range).await.unwrap();
    report.dataflow = NASTY.to_owned();
    report.range = NASTY.to_owned();
    let page = html(&report);
    assert!(
        page.contains("&lt;script&gt;alert(&#39;x&#39;)"),
        "the page is there"
    );
    for forbidden in [
        "<script",
        "javascript:",
        "http:",
        "https:",
        "//",
        "src=",
        "href=",
        "@import",
        "url(",
        "\u{1b}",
        "\u{202e}",
        " onl",
    ] {
        assert!(!page.contains(forbidden), "{forbidden} is in it");
    }
    // Each tag that is opened is one of ours.
    let tags: BTreeSet<&str> = page
        .split('<')
        .skip(1)
        .filter_map(|it| it.split([' ', '>', '\n']).next())
        .map(|it| it.trim_start_matches('/'))
        .collect();
    let ours = [
        "!DOCTYPE",
        "b",
        "body",
        "circle",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "g",
        "h1",
        "h2",
        "h3",
        "head",
        "html",
        "line",
        "meta",
        "p",
        "path",
        "pre",
        "rect",
        "section",
        "span",
        "style",
        "summary",
        "svg",
        "table",
        "tbody",
        "td",
        "text",
        "th",
        "thead",
        "title",
        "tr",
    ];
    for tag in tags {
        assert!(ours.contains(&tag), "<{tag}> is in it");
    }
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    let sections = report
        .parts
        .iter()
        .map(|it| it.sections.len())
        .sum::<usize>();
    assert_eq!(page.matches("<summary>SQL</summary>").count(), sections);

    let printed = text(&report, 80);
    for line in printed.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
        assert!(
            line.chars().all(|it| !it.is_control() && it != '\u{202e}'),
            "{line:?}"
        );
    }
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
}

#[tokio::test]
async fn the_shipped_dataflows_have_what_they_can_be_asked() {
    for (folder, expect) in [
        (
            "web_logs",
            "totals by_endpoint by_ip_class by_method by_status by_user_agent over_time distinct \
             anomalies_by_rule anomalies_top anomalies_over_time incidents_by_detector incidents_worst \
             logs_by_verdict logs_by_class logs_by_confidence logs_by_model logs_over_time",
        ),
        (
            "orders",
            "totals by_country by_product over_time incidents_by_detector incidents_worst",
        ),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows");
        let text = std::fs::read_to_string(path.join(folder).join("dataflow.sql")).unwrap();
        let dataflow = plan_text(folder, &text, |_| None).await.unwrap();
        let subject = Subject::of_dataflow(&dataflow);
        let parts = subject.parts("all", &days(0, HOUR_US));
        let ids = parts.iter().flat_map(|it| &it.sections);
        let ids: Vec<&str> = ids.map(|it| it.id.as_str()).collect();
        assert_eq!(ids.join(" "), expect, "{folder}");
        // Of the class of an address and the type of an anomaly, the type says which rule it was.
        let mut by_rule = parts.iter().flat_map(|it| &it.sections);
        if let Some(it) = by_rule.find(|it| it.id == "anomalies_by_rule") {
            assert_eq!(it.columns[0].name, "anomaly_type");
        }
    }
}
