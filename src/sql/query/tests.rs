//! The sample queries people bring along, what is refused, and that a late query really stops.

use super::*;
use crate::model::{Epoch, Value, rows_of_batch, wall_ms};
use crate::view::{Part, ViewInfo};
use arrow::array::{AsArray, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

struct Memory(Vec<(String, Arc<dyn TableProvider>)>);

impl LakeTables for Memory {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|it| it.0.clone()).collect()
    }
    fn provider<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TableProvider>, String>> {
        let found = self.0.iter().find(|it| it.0 == name).map(|it| it.1.clone());
        Box::pin(async move { found.ok_or_else(|| format!("no table {name}")) })
    }
    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<TableDetails, String>> {
        Box::pin(async move { Err(format!("{name} lies in memory only")) })
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Three records of now, one of two days ago.
fn logs() -> Arc<dyn TableProvider> {
    let now = i64::try_from(wall_ms()).unwrap() * 1000;
    let fields = vec![
        Field::new("timestamp", utc(), false),
        Field::new("status", DataType::Int32, true),
        Field::new("level", DataType::Utf8, true),
        Field::new("source", DataType::Utf8, true),
        Field::new("endpoint", DataType::Utf8, true),
        Field::new("response_time", DataType::Float64, true),
        Field::new("user_id", DataType::Utf8, true),
        Field::new("session_id", DataType::Utf8, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let times = TimestampMicrosecondArray::from(vec![now, now, now, now - 172_800_000_000])
        .with_timezone("UTC");
    let texts = |all: [&str; 4]| Arc::new(StringArray::from(all.to_vec()));
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(times),
        Arc::new(Int32Array::from(vec![200, 500, 404, 500])),
        texts(["INFO", "ERROR", "WARN", "ERROR"]),
        texts(["web", "web", "api", "web"]),
        texts(["/a", "/b", "/b", "/b"]),
        Arc::new(Float64Array::from(vec![10.0, 1500.0, 20.0, 9000.0])),
        texts(["u1", "u1", "u2", "u2"]),
        texts(["s1", "s2", "s3", "s4"]),
    ];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())
}

fn numbers(count: i32) -> Arc<dyn TableProvider> {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![Arc::new(Int32Array::from_iter_values(0..count))],
    )
    .unwrap();
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())
}

fn queries(limits: Limits) -> Queries {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "requests",
        DataType::Int64,
        false,
    )]));
    let info = ViewInfo {
        name: "totals".to_owned(),
        schema,
        sql: String::new(),
        window: None,
    };
    let hub = Hub::new(vec![info], 1, Vec::new(), 1, Epoch(0));
    let row = Row([Value::Int(7)].into());
    let changes = vec![(0, Epoch(100), row, 1)];
    hub.publish(Part {
        through: Epoch(100),
        changes,
        ..Part::default()
    });
    let dataflow = Dataflow {
        name: "test".to_owned(),
        aliases: vec![(
            "errors".to_owned(),
            "SELECT * FROM logs WHERE status >= 400".to_owned(),
        )],
        ..Dataflow::default()
    };
    let tables = Memory(vec![
        ("logs".to_owned(), logs()),
        ("numbers".to_owned(), numbers(200_000)),
        ("totals".to_owned(), numbers(3)),
    ]);
    Queries::new(hub, Arc::new(dataflow), Arc::new(tables), limits).unwrap()
}

fn json(answer: &Answer) -> Vec<Vec<String>> {
    let rows = answer.batches.iter().flat_map(rows_of_batch);
    rows.map(|row| {
        row.0
            .iter()
            .map(|it| it.to_json().to_string().replace('"', ""))
            .collect()
    })
    .collect()
}

async fn ask(queries: &Queries, sql: &str) -> Vec<Vec<String>> {
    let answer = queries
        .run(sql, None)
        .await
        .unwrap_or_else(|it| panic!("{sql}\n  said: {it} {:?}", it.hint()));
    json(&answer)
}

#[tokio::test]
async fn the_sample_queries_run_unchanged() {
    let queries = queries(Limits::default());
    let errors = "SELECT endpoint, count(*) as error_count,
       avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE status >= 400 AND timestamp >= current_timestamp() - interval 1 hour
GROUP BY endpoint
ORDER BY error_count DESC
LIMIT 5";
    assert_eq!(ask(&queries, errors).await, [["/b", "2", "760.0"]]);
    let users = "SELECT
  user_id,
  count(distinct session_id) as sessions,
  count(*) as page_views,
  sum(response_time) / count(*) as avg_session_time
FROM delta_lake.logs
WHERE timestamp >= current_date()
GROUP BY user_id
ORDER BY page_views DESC
LIMIT 10";
    assert_eq!(
        ask(&queries, users).await,
        [["u1", "2", "2", "755.0"], ["u2", "1", "1", "20.0"]]
    );
    let anomalies = "SELECT
  endpoint, source, level,
  count(*) as anomaly_count,
  max(response_time) as max_response_time
FROM delta_lake.logs
WHERE (level = 'ERROR' OR response_time > 1000)
  AND timestamp >= current_timestamp() - interval 30 minutes
GROUP BY endpoint, source, level
ORDER BY anomaly_count DESC";
    assert_eq!(
        ask(&queries, anomalies).await,
        [["/b", "web", "ERROR", "1", "1500.0"]]
    );
    let minutes = "SELECT date_trunc('minute', timestamp) as minute, count(*) as total_requests,
       sum(case when status >= 400 then 1 else 0 end) as errors, avg(response_time) as avg_response_time
FROM delta_lake.logs
WHERE timestamp >= current_timestamp() - interval 1 day
GROUP BY date_trunc('minute', timestamp)
ORDER BY minute DESC
LIMIT 10";
    let rows = ask(&queries, minutes).await;
    assert_eq!(
        (rows.len(), &rows[0][1..]),
        (1, &["3".to_owned(), "2".to_owned(), "510.0".to_owned()][..])
    );
}

#[tokio::test]
async fn names_windows_and_explain() {
    let queries = queries(Limits::default());
    assert_eq!(
        ask(&queries, "SELECT requests FROM totals").await,
        [["7"]],
        "the live view comes first"
    );
    assert_eq!(
        ask(&queries, "SELECT count(*) FROM lake.totals").await,
        [["3"]],
        "the stored table by its schema"
    );
    assert_eq!(
        ask(&queries, "SELECT count(*) FROM errors").await,
        [["3"]],
        "a plain view"
    );
    let join =
        "WITH t AS (SELECT * FROM totals) SELECT t.requests, count(*) FROM t, lake.logs GROUP BY 1";
    assert_eq!(ask(&queries, join).await, [["7", "4"]]);
    let windows = "SELECT count(DISTINCT window_start) AS windows, sum(c) FROM (
        SELECT window_start, count(*) AS c FROM TUMBLE(logs, timestamp, INTERVAL '1' DAY) GROUP BY window_start)";
    assert_eq!(ask(&queries, windows).await, [["2", "4"]]);
    assert!(
        !ask(&queries, "EXPLAIN SELECT requests FROM totals")
            .await
            .is_empty()
    );
    assert!(
        !ask(&queries, "EXPLAIN ANALYZE SELECT requests FROM totals")
            .await
            .is_empty()
    );
    let answer = queries
        .run("SELECT n FROM numbers", Some(10))
        .await
        .unwrap();
    assert_eq!((answer.truncated, json(&answer).len()), (true, 10));
    assert_eq!(
        (answer.epoch, answer.tables),
        (Epoch(100), vec!["numbers".to_owned()])
    );
}

#[tokio::test]
async fn long_chains_of_operators_are_answered_or_refused() {
    let queries = queries(Limits::default());
    let chain = |count: usize, term: &str, joined: &str| vec![term; count].join(joined);
    let sum = format!("SELECT {} AS n", chain(2_000, "1", " + "));
    let either = format!(
        "SELECT count(*) AS n FROM logs WHERE {}",
        chain(1_000, "endpoint = 'nowhere'", " OR ")
    );
    for (sql, wanted) in [(sum, 2_000), (either, 0)] {
        let answer = queries
            .run(&sql, None)
            .await
            .unwrap_or_else(|it| panic!("{it}"));
        let column = answer.batches[0].column(0);
        assert_eq!(column.as_primitive::<Int64Type>().value(0), wanted);
    }
    for joined in [" + ", " OR ", " = ", " UNION SELECT "] {
        let sql = format!("SELECT {}", chain(2_002, "true", joined));
        let refused = queries.run(&sql, None).await.err().map(|it| it.to_string());
        assert!(
            refused
                .as_ref()
                .is_some_and(|it| it.contains("more than 2000 operators")),
            "{joined}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_read_is_refused() {
    let queries = queries(Limits::default());
    let cases = [
        ("DROP TABLE logs", "DROP is not possible here"),
        ("INSERT INTO logs VALUES (1)", "INSERT is not possible here"),
        (
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            "CREATE is not possible here",
        ),
        ("COPY logs TO '/tmp/x'", "COPY is not possible here"),
        (
            "SET datafusion.execution.batch_size = 1",
            "SET is not possible here",
        ),
        ("EXPLAIN DELETE FROM logs", "DELETE is not possible here"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT * FROM '/etc/passwd'", "no view or table"),
        ("SELECT * FROM generate_series(1, 10)", "generate_series"),
        ("SELECT nope FROM logs", "nope"),
        (" ", "empty"),
    ];
    for (sql, expected) in cases {
        match queries.run(sql, None).await {
            Err(QueryError::Rejected { message, .. }) => {
                assert!(message.contains(expected), "{sql}\n  said: {message}")
            }
            other => panic!("{sql}\n  gave {other:?}"),
        }
    }
    let Err(QueryError::Rejected { line, column, .. }) =
        queries.run("SELECT *\nFROM logs WHERE )", None).await
    else {
        panic!()
    };
    assert_eq!((line, column), (Some(2), Some(17)));
    let Err(error) = queries.run("SELECT * FROM lgs", None).await else {
        panic!()
    };
    assert!(
        error.hint().is_some_and(|it| it.contains("lake.logs")),
        "{error}"
    );
}

#[tokio::test]
async fn a_late_query_stops_and_leaves_room_for_others() {
    let limits = Limits {
        time: Duration::from_millis(300),
        concurrent: 1,
        ..Limits::default()
    };
    let queries = queries(limits);
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    let error = queries.run(cross, None).await.unwrap_err();
    assert!(matches!(error, QueryError::TimedOut { .. }), "{error}");
    // One thread: an answer proves that the cross join no longer runs.
    let deadline = Instant::now() + Duration::from_secs(20);
    while queries
        .run("SELECT requests FROM totals", None)
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the cross join still runs");
    }
}

/// Cancels a query some time after it began; its answer.
async fn cancelled(queries: &Queries, sql: &'static str, after: Duration) -> Answer {
    let other = queries.clone();
    let task = tokio::spawn(async move { other.run_as("q", sql, None).await });
    tokio::time::sleep(after).await;
    while !queries.cancel("q") {
        tokio::task::yield_now().await;
    }
    let answer = task.await.unwrap().unwrap();
    assert!(!queries.cancel("q"));
    answer
}

#[tokio::test]
async fn a_cancelled_query_answers_with_the_rows_it_has_so_far() {
    let queries = queries(Limits::default());
    let sql = "SELECT CAST(n AS BIGINT) AS n FROM lake.totals
        UNION ALL SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    // How soon the first rows are there is for the machine to say.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut after = Duration::from_millis(1);
    loop {
        let answer = cancelled(&queries, sql, after).await;
        assert_eq!(
            (answer.partial, answer.truncated),
            (Some(Cut::Cancelled), false)
        );
        let rows = json(&answer);
        if !rows.is_empty() {
            assert_eq!(rows, [["0"], ["1"], ["2"]]);
            assert_eq!(answer.schema.field(0).name(), "n");
            assert!(after <= answer.elapsed);
            break;
        }
        assert!(Instant::now() < deadline, "no rows after {after:?}");
        after *= 2;
    }
}

#[tokio::test]
async fn a_query_whose_time_is_up_answers_with_its_rows_only_to_someone_who_reads() {
    let sql = "SELECT CAST(n AS BIGINT) AS n FROM lake.totals
        UNION ALL SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    // How soon the first rows are there is for the machine to say.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut time = Duration::from_millis(1);
    loop {
        let queries = queries(Limits {
            time,
            ..Limits::default()
        });
        let export = queries.export_as("e", sql, None).await;
        assert!(matches!(export, Err(QueryError::TimedOut { .. })));
        match queries.run_as("q", sql, None).await {
            Ok(answer) => {
                assert_eq!(answer.partial, Some(Cut::TimedOut));
                assert_eq!(json(&answer), [["0"], ["1"], ["2"]]);
                break;
            }
            Err(error) => assert!(matches!(error, QueryError::TimedOut { .. }), "{error}"),
        }
        assert!(Instant::now() < deadline, "no rows within {time:?}");
        time *= 2;
    }
}

#[tokio::test]
async fn a_cancelled_query_that_has_no_row_yet_answers_with_none() {
    let queries = queries(Limits::default());
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    for after in [0, 50] {
        let began = Instant::now();
        let answer = cancelled(&queries, cross, Duration::from_millis(after)).await;
        assert!(answer.partial == Some(Cut::Cancelled) && json(&answer).is_empty());
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let whole = queries
        .run("SELECT requests FROM totals", None)
        .await
        .unwrap();
    assert_eq!(whole.partial, None);
}
