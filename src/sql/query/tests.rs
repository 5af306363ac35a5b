//! The sample queries people bring along, what is refused, that a late query really stops, and that one which passes its limits ends
//! alone.

use super::*;
use crate::lake::Store;
use crate::model::{Epoch, Row, Value, rows_of_batch, wall_ms};
use crate::plan::{Comment, PlainView};
use crate::view::{Part, ViewInfo};
use arrow::array::{AsArray, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use std::ops::Deref;
use tempfile::TempDir;

/// Not a test: what query processes run while the tests do.
#[test]
#[ignore = "started by the other tests"]
fn a_query_process_of_the_tests() {
    let arguments = std::env::var(pool::TEST_PROCESS).expect("it is started by a test");
    answer_queries(arguments.split(' ').map(Into::into));
}

/// Nothing takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(240);

/// Queries over a lake of their own.
struct Fixture {
    queries: Queries,
    _folder: TempDir,
}

impl Deref for Fixture {
    type Target = Queries;
    fn deref(&self) -> &Queries {
        &self.queries
    }
}

async fn store_table(folder: &TempDir, name: &str, rows: RecordBatch) {
    let path = folder.path().join(name);
    std::fs::create_dir(&path).unwrap();
    let url = url::Url::from_directory_path(path).unwrap();
    let table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
    table.write([rows]).await.unwrap();
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Three records of now, one of two days ago.
fn logs() -> RecordBatch {
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
    RecordBatch::try_new(schema, columns).unwrap()
}

fn numbers(count: i32) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
    let column = Int32Array::from_iter_values(0..count);
    RecordBatch::try_new(schema, vec![Arc::new(column)]).unwrap()
}

fn limits() -> Limits {
    Limits {
        time: PATIENCE,
        spares: 0,
        ..Limits::default()
    }
}

async fn queries(limits: Limits) -> Fixture {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "requests",
        DataType::Int64,
        false,
    )]));
    let info = ViewInfo {
        name: "totals".to_owned(),
        schema,
        sql: String::new(),
        records_ms: None,
        window: None,
        order: Vec::new(),
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
        plain: BTreeMap::from([(
            "errors".to_owned(),
            PlainView {
                schema: logs().schema(),
                plan: None,
            },
        )]),
        comments: BTreeMap::from([(
            ("errors".to_owned(), Some("status".to_owned())),
            Comment::parse("What was answered").expect("a comment"),
        )]),
        ..Dataflow::default()
    };
    let folder = TempDir::new().unwrap();
    let tables = [
        ("logs", logs()),
        ("numbers", numbers(200_000)),
        ("totals", numbers(3)),
    ];
    let names = tables.iter().map(|it| it.0.to_owned()).collect();
    for (name, rows) in tables {
        store_table(&folder, name, rows).await;
    }
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let lake = Lake::new(store, names);
    Fixture {
        queries: Queries::new(hub, Arc::new(dataflow), lake, limits).unwrap(),
        _folder: folder,
    }
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
    let queries = queries(limits()).await;
    let [minutes, errors, users, anomalies] = SAMPLES.map(|it| it.query);
    assert_eq!(ask(&queries, errors).await, [["/b", "2", "760.0"]]);
    assert_eq!(
        ask(&queries, users).await,
        [["u1", "2", "2", "755.0"], ["u2", "1", "1", "20.0"]]
    );
    assert_eq!(
        ask(&queries, anomalies).await,
        [["/b", "web", "ERROR", "1", "1500.0"]]
    );
    let rows = ask(&queries, minutes).await;
    assert_eq!(
        (rows.len(), &rows[0][1..]),
        (1, &["3".to_owned(), "2".to_owned(), "510.0".to_owned()][..])
    );
}

#[tokio::test]
async fn names_windows_and_explain() {
    let queries = queries(limits()).await;
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
    queries.tell_costs(|| BTreeMap::from([("totals".to_owned(), "state 7 rows".to_owned())]));
    for (sql, wanted) in [
        ("EXPLAIN SELECT requests FROM totals", true),
        ("EXPLAIN ANALYZE SELECT requests FROM totals", true),
        ("EXPLAIN SELECT count(*) FROM lake.totals", false),
        ("SELECT * FROM totals", false),
    ] {
        let rows = ask(&queries, sql).await;
        let told = rows
            .last()
            .is_some_and(|it| *it == ["live view totals", "state 7 rows"]);
        assert_eq!(told, wanted, "{sql}: {rows:?}");
    }
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
    let queries = queries(limits()).await;
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
    let queries = queries(limits()).await;
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
        (
            "SELECT n FROM numbers UNION CORRESPONDING SELECT n FROM numbers",
            "write UNION BY NAME",
        ),
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
    for (sql, written, candidates) in [
        ("SELECT * FROM lgs", "lgs", vec!["lake.logs"]),
        ("SELECT k.stats FROM logs k", "k.stats", vec!["k.status"]),
        ("SELECT cuont(*) FROM logs", "cuont", vec!["count"]),
        ("SELECT * FROM nowhere", "nowhere", vec![]),
    ] {
        let Err(QueryError::Rejected { misnamed, .. }) = queries.run(sql, None).await else {
            panic!("{sql}")
        };
        let misnamed = misnamed.map(|it| (it.written, it.candidates));
        let expected = candidates.into_iter().map(str::to_owned).collect();
        assert_eq!(misnamed, Some((written.to_owned(), expected)), "{sql}");
    }
}

/// What there is, as rows like any other.
#[tokio::test]
async fn views_and_tables_are_listed_and_described() {
    let queries = queries(limits()).await;
    assert_eq!(
        ask(&queries, "show tables").await,
        [
            ["totals", "live view", "1", "null"],
            ["errors", "plain view", "null", "null"],
            ["lake.logs", "lake table", "null", "null"],
            ["lake.numbers", "lake table", "null", "null"],
            ["lake.totals", "lake table", "null", "null"]
        ]
    );
    for sql in ["\\d", " \\d+ ;\n"] {
        assert_eq!(ask(&queries, sql).await, ask(&queries, "SHOW TABLES").await);
    }
    for sql in [
        "DESCRIBE totals",
        "desc totals",
        "SHOW COLUMNS FROM totals",
        "DESCRIBE SELECT * FROM totals",
        "\\d totals",
        "\\d  totals;",
    ] {
        assert_eq!(
            ask(&queries, sql).await,
            [["requests", "bigint", "count", "null", "null"]],
            "{sql}"
        );
    }
    assert_eq!(
        ask(&queries, "DESCRIBE lake.totals").await,
        [["n", "int", "measure", "null", "null"]]
    );
    let of_plain_view = ask(&queries, "-- what has it?\nDESCRIBE errors").await;
    assert_eq!(
        of_plain_view[..2],
        [
            ["timestamp", "timestamp", "time", "null", "null"],
            ["status", "int", "status", "null", "What was answered"]
        ]
    );
    let answer = queries.run("SHOW TABLES", Some(2)).await.unwrap();
    assert_eq!((answer.truncated, json(&answer).len()), (true, 2));
}

/// What a statement names itself comes before what a plain view reads, so that a column is the view's where both have one of its name.
#[tokio::test]
async fn relations_of_a_plain_view_come_behind_it() {
    let queries = queries(limits()).await;
    let answer = queries
        .run("SELECT count(*) FROM lake.numbers, errors", None)
        .await
        .unwrap();
    assert_eq!(answer.tables, ["errors", "lake.numbers", "logs"]);
    let stored = BTreeMap::from([("logs".to_owned(), logs().schema())]);
    let [(name, schema)] = &queries.plain_views(stored).await[..] else {
        panic!("there is one plain view")
    };
    assert_eq!((name.as_str(), schema), ("errors", &logs().schema()));
}

/// Whatever is wrong with a query is said in our words.
#[tokio::test]
async fn what_is_wrong_is_said_in_our_words() {
    let queries = queries(limits()).await;
    let mut said = String::new();
    for sql in [
        "SELECT foo(status) FROM logs",
        "SELECT cuont(status) FROM logs",
        "SELECT status FROM logs WHERE )",
        "SELECT status FORM logs",
        "SELECT status FROM logs WHERE level = \"Info\"",
        "SELECT 'open",
        "SELECT nope FROM lake.logs",
        "SELECT sum(level) FROM logs",
        "SELECT level + INTERVAL '1' MINUTE FROM logs",
        "SELECT date_trunc('fortnight', timestamp) FROM logs",
        "SELECT status / (status - status) FROM logs",
        "SELECT CAST(level AS INT) FROM logs",
        "SELECT * FROM logs WHERE level ~ '['",
        "SELECT status, level FROM logs GROUP BY status",
        "SELECT (SELECT status FROM logs) FROM logs",
        "SELECT * FROM logs JOIN lake.numbers ON logs.status = numbers.m",
        "SELECT stats, level FROM logs",
        "SELECT logs.leve FROM logs",
        "SELECT l.status FROM logs k",
        "SELECT status FROM logs WHERE status = '5xx'",
        "SELECT p95(response_time) FROM logs",
        "selec 1",
        "DESCRIBE lgs",
        "SELECT * FROM nowhere",
        "\\d lgs",
        "\\d totals WHERE true",
        "\\x",
        "SHOW TABLES LIKE 'l%'",
        "SHOW COLUMNS",
        "SHOW VIEWS",
        "EXPLAIN totals;",
        "DELETE FROM logs",
        "CREATE MATERIALIZED VIEW v AS SELECT 1",
        "DROP VIEW totals",
        "ALTER SYSTEM SET a = 1",
        "SUBSCRIBE totals",
        "SHOW CREATE MATERIALIZED VIEW totals",
        "DESCRIBE HISTORY lake.logs",
        "SELECT * FROM lake.logs VERSION AS OF 3",
        "SELECT * FROM lake.logs TIMESTAMP AS OF '2026-01-01'",
    ] {
        let error = queries.run(sql, None).await.expect_err(sql);
        let place = match &error {
            QueryError::Rejected {
                line: Some(line),
                column: Some(column),
                ..
            } => format!(" [{line}:{column}]"),
            _ => String::new(),
        };
        said += &format!("{sql}\n  {error}{place}\n");
    }
    insta::assert_snapshot!(said);
}

/// As a view stores them.
#[tokio::test]
async fn times_of_day_have_the_digits_that_they_need() {
    let queries = queries(limits()).await;
    let sql = "SELECT CAST(t AS TIME) AS t FROM (VALUES (TIMESTAMP '2026-01-05 05:06:07.5'), (TIMESTAMP '2026-01-05 05:06:07')) AS v(t) ORDER BY 1";
    let answer = queries.run(sql, None).await.expect("an answer");
    assert_eq!(*answer.schema.field(0).data_type(), DataType::Utf8);
    assert_eq!(json(&answer), [["05:06:07"], ["05:06:07.5"]]);
}

#[tokio::test]
async fn a_series_is_rows_of_its_own() {
    let queries = queries(limits()).await;
    for (sql, expected) in [
        ("SELECT * FROM generate_series(1, 3)", "1,2,3"),
        ("SELECT g FROM generate_series(5, 1, -2) AS g", "5,3,1"),
        ("SELECT i FROM range(3) AS r(i) ORDER BY i DESC", "2,1,0"),
        (
            "SELECT i + n FROM generate_series(10, 20, 10) AS s(i) JOIN lake.numbers ON n < 2 ORDER BY 1",
            "10,11,20,21",
        ),
    ] {
        assert_eq!(
            ask(&queries, sql).await.concat().join(","),
            expected,
            "{sql}"
        );
    }
    let answer = queries.run("SELECT * FROM range(2)", None).await;
    assert!(answer.expect("an answer").tables.is_empty());
    let unknown = queries.run("SELECT * FROM generate_series", None).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn a_series_without_an_end_in_sight_stops() {
    let limits = Limits {
        time: Duration::from_secs(2),
        ..limits()
    };
    let queries = queries(limits).await;
    let sql = "SELECT sum(i % 7) FROM generate_series(1, 9223372036854775806) AS s(i)";
    let error = queries.run(sql, None).await.unwrap_err();
    assert!(matches!(error, QueryError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_column_without_a_name_is_called_what_is_written() {
    let queries = queries(limits()).await;
    for (sql, names) in [
        (
            "SELECT 1, 'a', 1 + 1, (n), n AS m, l.n = 1 FROM lake.numbers AS l",
            vec!["1", "'a'", "1 + 1", "n", "m", "l.n = 1"],
        ),
        (
            "SELECT count(*), max(n), max(n), split_index('a', '-', 0) FROM lake.numbers",
            vec!["count(*)", "max(n)", "max(n)_1", "split_index('a', '-', 0)"],
        ),
        (
            "SELECT *, 2 ^ 2, n::TEXT FROM lake.numbers UNION ALL SELECT 1, 2, '3'",
            vec!["n", "2 ^ 2", "n::TEXT"],
        ),
    ] {
        let answer = queries.run(sql, None).await.expect(sql);
        let fields = answer.schema.fields().iter();
        let named: Vec<&str> = fields.map(|it| it.name().as_str()).collect();
        assert_eq!(named, names, "{sql}");
    }
}

#[tokio::test]
async fn seconds_beyond_all_instants_are_none() {
    let queries = queries(limits()).await;
    for seconds in [
        "1e12",
        "-1e12",
        "CAST('NaN' AS DOUBLE)",
        "max(response_time) * 1e9",
    ] {
        let sql = format!("SELECT to_timestamp({seconds}) FROM logs");
        let refused = queries.run(&sql, None).await.expect_err(&sql).to_string();
        assert!(refused.contains("1678 to 2261"), "{sql}: {refused}");
    }
    let sql = "SELECT CAST(to_timestamp(9e9) AS DATE)::TEXT, to_timestamp(NULL::DOUBLE) IS NULL";
    assert_eq!(ask(&queries, sql).await, [["2255-03-14", "true"]]);
}

/// DataFusion passes over the pattern.
#[tokio::test]
async fn the_length_of_a_time_has_no_pattern() {
    let queries = queries(limits()).await;
    let length = "max(timestamp) - min(timestamp)";
    let sql = format!("SELECT to_char({length}, 'HH24:MI') FROM logs");
    let refused = queries.run(&sql, None).await.expect_err(&sql).to_string();
    assert!(refused.contains("the length of one"), "{refused}");
    let sql =
        format!("SELECT to_char(TIMESTAMP '1970-01-01' + ({length}), 'DD HH24:MI') FROM logs");
    assert_eq!(ask(&queries, &sql).await, [["03 00:00"]]);
}

#[tokio::test]
async fn a_record_without_a_time_is_in_no_window_of_a_query() {
    let queries = queries(limits()).await;
    for (windows, expected) in [
        ("TUMBLE(t, at, INTERVAL '1' MINUTE)", "1"),
        ("HOP(t, at, INTERVAL '1' MINUTE, INTERVAL '3' MINUTE)", "3"),
    ] {
        let sql = format!(
            "WITH t AS (SELECT CASE WHEN n = 0 THEN TIMESTAMP '2026-01-05 09:00:00' END AS at FROM lake.numbers) SELECT count(*) FROM {windows}"
        );
        assert_eq!(ask(&queries, &sql).await, [[expected]], "{sql}");
    }
}

/// As in views, whose values are compared with those of a batch elsewhere: here they are compared with what the words say.
#[tokio::test]
async fn what_is_written_means_what_it_says() {
    let queries = queries(limits()).await;
    for (expression, expected) in [
        ("'abc' SIMILAR TO 'a'", "false"),
        ("'abc' SIMILAR TO '(a|b)%'", "true"),
        ("'abc' SIMILAR TO '%b%'", "true"),
        ("'a.c' SIMILAR TO 'a.c'", "true"),
        ("'abc' SIMILAR TO 'a.c'", "false"),
        ("'abc' NOT SIMILAR TO '[a-c]{3}'", "false"),
        ("'50%' SIMILAR TO '_0!%' ESCAPE '!'", "true"),
        (
            "to_timestamp('2022/12/25 10:24:33', 'YYYY/MM/DD HH12:MI:SS')::TEXT",
            "2022-12-25T10:24:33Z",
        ),
        (
            "to_timestamp('2022/12/25 12:24', 'YYYY/MM/DD HH12:MI')::TEXT",
            "2022-12-25T00:24:00Z",
        ),
        (
            "to_timestamp('2022/12/25 03 PM', 'YYYY/MM/DD HH12 PM')::TEXT",
            "2022-12-25T15:00:00Z",
        ),
        (
            "to_timestamp('2022/12/25 15', 'YYYY/MM/DD HH24')::TEXT",
            "2022-12-25T15:00:00Z",
        ),
        (
            "to_timestamp('2022-12', 'yyyy-mm')::TEXT",
            "2022-12-01T00:00:00Z",
        ),
        ("to_date('2022-W07', 'IYYY-\"W\"IW')", "2022-02-14"),
        ("2 ^ 3", "8.0"),
        ("5 # 3", "6"),
        ("|/ 16.0", "4.0"),
        ("@ -7", "7"),
        (
            "(DATE '2024-03-01' + INTERVAL '1 hour')::TEXT",
            "2024-03-01T01:00:00Z",
        ),
        (
            "(DATE '2024-03-01' - INTERVAL '36' HOUR)::TEXT",
            "2024-02-28T12:00:00Z",
        ),
        ("DATE '2024-03-01' + INTERVAL 1 DAY", "2024-03-02"),
        (
            "timestampadd(HOUR, 1 + 1, DATE '2024-03-01')::TEXT",
            "2024-03-01T02:00:00Z",
        ),
        (
            "date_trunc('decade', TIMESTAMP '2027-05-06 01:02:03')::TEXT",
            "2020-01-01T00:00:00",
        ),
        (
            "date_trunc('century', TIMESTAMP '2000-05-06')::TEXT",
            "1901-01-01T00:00:00",
        ),
        (
            "date_trunc('millennium', DATE '2001-05-06')::TEXT",
            "2001-01-01T00:00:00",
        ),
        (
            "to_char(TIMESTAMP '2024-03-04 15:06:07', 'yyyy-mm-dd hh24:mi:ss')",
            "2024-03-04 15:06:07",
        ),
        (
            "trim(BOTH 'x' FROM 'xax') || trim(LEADING FROM ' b') || trim('y' FROM 'yc')",
            "abc",
        ),
        ("TIMESTAMP ' 2024-03-04 ' = ' 2024-03-04'", "true"),
        ("(named_struct('a', 1)).a", "1"),
        (
            "(SELECT l[cardinality(l)] FROM (SELECT [7, 8] AS l) AS t)",
            "8",
        ),
        (
            r#"jsonb_extract_path_text('{"a": [1, {"0": 2}]}', 'a', '1', '0')"#,
            "2",
        ),
        (r#"json_extract_path('[5, [6]]', '-1')"#, "[6]"),
        (
            r"regexp_replace('abcd abed', 'b(.)', '[\&$1\1]')",
            "a[bc$1c]d abed",
        ),
        (
            r"(SELECT regexp_replace('abcd abed', 'b(.)', r, 'g') FROM (VALUES ('\12\\1')) AS t(r))",
            r"ac2\\1d ae2\\1d",
        ),
    ] {
        let rows = ask(&queries, &format!("SELECT {expression} AS v")).await;
        assert_eq!(rows, [[expected]], "{expression}");
    }
    for json in [
        r#"jsonb_build_object('a', 1, 'b', NULL, 'c', json_build_array('x', 1.5, true)) = '{"a": 1, "b": null, "c": ["x", 1.5, true]}'"#,
        r#"jsonb_build_object('a', '[1]', 'b', '[1]'::jsonb) = '{"a": "[1]", "b": [1]}'"#,
        r#"to_json(named_struct('a', TIMESTAMP '2024-03-04 05:06:07', 'b', 1.50)) = '{"a": "2024-03-04T05:06:07Z", "b": 1.5}'"#,
        r#"('{"a": {"b": [7, "x"]}}' #>> '{a,b,1}') = 'x'"#,
        r#"('{"a": {"b": [7, "x"]}}' #> '{a,b}') = '[7, "x"]'"#,
        r#"json_extract('{"a": [{"b": 2}]}', '$.a[0]') = '{"b": 2}'"#,
        r#"'{"a": 1.0, "b": [1, 2]}' @> '{"a": 1, "b": [2]}' AND NOT '{"a": 1}'::jsonb @> '{"b": 1}'"#,
        r#"'{"a": null}' ? 'a' AND NOT '{"a": null}' ? 'b'"#,
        r#"jsonb_array_length('[1, [2, 3]]') = 2 AND jsonb_typeof('-1e3') = 'number'"#,
        r#"TRY_CAST('nothing' AS JSONB) IS NULL AND ('{"a": 3}'::jsonb -> 'a')::INT = 3"#,
        r#"json_get_int('{"a": 3}', 'a') + 1 = 4 AND ARRAY[1, 2] @> ARRAY[2]"#,
    ] {
        let rows = ask(&queries, &format!("SELECT {json} AS v")).await;
        assert_eq!(rows, [["true"]], "{json}");
    }
    let groups = r#"SELECT jsonb_agg(a ORDER BY a) = '[1, 2, null]' AND json_agg(b ORDER BY a) FILTER (WHERE b = 'q') IS NULL
        AND jsonb_object_agg(b, a ORDER BY a) = '{"x": 1, "yy": null}' AND json_object_agg(b, a ORDER BY a) = '{"x": 1, "yy": 2, "yy": null}'
        FROM (VALUES (2, 'yy'), (1, 'x'), (NULL, 'yy')) AS t(a, b)"#;
    assert_eq!(ask(&queries, groups).await, [["true"]]);
    let values = "(VALUES (1, 'a', 2), (1, 'b', 1), (2, 'a', NULL)) AS t(a, b, c)";
    for (query, expected) in [
        (
            format!("SELECT DISTINCT ON (2) a, b FROM {values} ORDER BY 2, a DESC"),
            vec![vec!["2", "a"], vec!["1", "b"]],
        ),
        (
            format!("SELECT DISTINCT ON (a, b) a, b FROM {values} ORDER BY b, a"),
            vec![vec!["1", "a"], vec!["2", "a"], vec!["1", "b"]],
        ),
        (
            format!("SELECT generate_series(a, 2) AS i, b FROM {values} WHERE a = 1 ORDER BY b, i"),
            vec![
                vec!["1", "a"],
                vec!["2", "a"],
                vec!["1", "b"],
                vec!["2", "b"],
            ],
        ),
        (
            format!(
                "SELECT a, x FROM (SELECT * FROM {values}) AS t, jsonb_array_elements_text(jsonb_build_array(b, c)) AS e(x) WHERE a = 1 AND b = 'b' ORDER BY x"
            ),
            vec![vec!["1", "1"], vec!["1", "b"]],
        ),
        (
            format!("SELECT count(a, c), count(*), count(a, c) FROM {values}"),
            vec![vec!["2", "3", "2"]],
        ),
        (
            format!("SELECT * EXCEPT (b) FROM {values} WHERE c = 2"),
            vec![vec!["1", "2"]],
        ),
        (
            format!("SELECT a, count(*) FROM {values} GROUP BY (a, b) HAVING b = 'b'"),
            vec![vec!["1", "1"]],
        ),
    ] {
        assert_eq!(ask(&queries, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn an_unsigned_number_keeps_its_digits() {
    let queries = queries(limits()).await;
    let sql = "SELECT CAST(18446744073709551615 AS BIGINT UNSIGNED) AS a, CAST(7 AS BIGINT UNSIGNED) AS b";
    assert_eq!(ask(&queries, sql).await, [["18446744073709551615", "7"]]);
}

#[tokio::test]
async fn integers_do_not_wrap_around() {
    let queries = queries(limits()).await;
    for sql in [
        "SELECT status + 9223372036854775807 FROM logs",
        "SELECT count(*) FROM logs WHERE status * 9223372036854775807 > 0",
        "SELECT sum(status - 9223372036854775807 - 1000) FROM logs",
        "SELECT l.status FROM logs l JOIN logs r ON l.status * 9223372036854775807 = r.status",
        "SELECT 9223372036854775807 + 1",
        "SELECT status FROM logs WHERE status = 5000000000 * 5000000000",
    ] {
        let refused = queries.run(sql, None).await.err().map(|it| it.to_string());
        let refused = refused.unwrap_or_default();
        assert!(
            refused.contains("verflow") || refused.contains("BIGINT holds"),
            "{sql}: {refused}"
        );
    }
    let sql = "SELECT 9223372036854775806 + 1, -9223372036854775807 - 1, 3037000499 * 3037000499";
    let values = [
        "9223372036854775807",
        "-9223372036854775808",
        "9223372030926249001",
    ];
    assert_eq!(ask(&queries, sql).await, [values]);
}

#[tokio::test]
async fn a_column_of_a_join_is_that_of_the_side_that_is_there() {
    let queries = queries(limits()).await;
    let sides =
        "(VALUES (1, 'a'), (2, 'b')) AS l (x, y) FULL JOIN (VALUES (2, 'c'), (3, 'd')) AS r (x, z)";
    let sql =
        format!("SELECT x, coalesce(y, '-') || coalesce(z, '-') FROM {sides} USING (x) ORDER BY x");
    assert_eq!(
        ask(&queries, &sql).await,
        [["1", "a-"], ["2", "bc"], ["3", "-d"]]
    );
    let sql = "SELECT count(*) FROM logs NATURAL JOIN lake.logs AS l";
    assert_eq!(ask(&queries, sql).await, [["4"]]);
    let sql = "SELECT count(*) FROM logs JOIN lake.logs ON logs.status = lake.logs.status";
    let refused = queries.run(sql, None).await.err().map(|it| it.to_string());
    assert!(refused.is_some_and(|it| it.contains("have the same name")));
}

/// Whether a value is among others is not known if one of these is not.
#[tokio::test]
async fn what_is_not_known_of_a_sub_query_is_not_true() {
    let queries = queries(limits()).await;
    let values = "(VALUES (1), (3), (CAST(NULL AS INT))) AS t (x)";
    let others = "(SELECT y FROM (VALUES (1), (CAST(NULL AS INT))) AS u (y))";
    for (condition, expected) in [
        (format!("x NOT IN {others} OR x < 0"), "0"),
        (format!("NOT (x IN {others}) OR x < 0"), "0"),
        (format!("(x IN {others}) IS NULL"), "2"),
        (
            "x NOT IN (SELECT y FROM (VALUES (1, 1), (3, 3)) AS u (y, z) WHERE z < x)".to_owned(),
            "3",
        ),
    ] {
        let sql = format!("SELECT count(*) FROM {values} WHERE {condition}");
        assert_eq!(ask(&queries, &sql).await, [[expected]], "{condition}");
    }
}

#[tokio::test]
async fn two_casts_of_one_column_are_two_columns() {
    let queries = queries(limits()).await;
    let sql =
        "SELECT CAST(status AS TEXT) AS a, CAST(status AS DOUBLE) + 0.5 AS b, count(*) FROM logs
        GROUP BY CAST(status AS TEXT), CAST(status AS DOUBLE) ORDER BY 1";
    let rows = [
        ["200", "200.5", "1"],
        ["404", "404.5", "1"],
        ["500", "500.5", "2"],
    ];
    assert_eq!(ask(&queries, sql).await, rows);
    let answer = queries
        .run(
            "SELECT CAST(requests AS TEXT), CAST(requests AS DOUBLE), requests::int FROM totals",
            None,
        )
        .await;
    let answer = answer.unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(json(&answer), [["7", "7.0", "7"]]);
}

#[tokio::test]
async fn a_late_query_stops_and_leaves_room_for_others() {
    let limits = Limits {
        time: Duration::from_secs(2),
        concurrent: 1,
        ..limits()
    };
    let queries = queries(limits).await;
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    let error = queries.run(cross, None).await.unwrap_err();
    assert!(matches!(error, QueryError::TimedOut { .. }), "{error}");
    // Its turn ends with its process.
    let deadline = Instant::now() + PATIENCE;
    while queries.0.asked.free.available_permits() == 0 {
        assert!(Instant::now() < deadline, "the cross join still runs");
        tokio::task::yield_now().await;
    }
}

/// Number of rows of an export, and whether it was cut off.
async fn all_of(mut running: Running) -> Result<(usize, bool), QueryError> {
    let mut rows = 0;
    loop {
        match running.next().await? {
            Piece::Planned { .. } => {}
            Piece::Rows { batch, .. } => rows += batch.num_rows(),
            Piece::Done { truncated } => return Ok((rows, truncated)),
        }
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
    let queries = queries(limits()).await;
    let sql = "SELECT CAST(n AS BIGINT) AS n FROM lake.totals
        UNION ALL SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    // How soon the first rows are there is for the machine to say.
    let deadline = Instant::now() + PATIENCE;
    let mut after = Duration::from_millis(50);
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
    let deadline = Instant::now() + PATIENCE;
    let mut time = Duration::from_millis(50);
    loop {
        let queries = queries(Limits { time, ..limits() }).await;
        let export = all_of(queries.export_as("e", sql, None).unwrap()).await;
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
    let queries = queries(limits()).await;
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    for after in [0, 50] {
        let began = Instant::now();
        let answer = cancelled(&queries, cross, Duration::from_millis(after)).await;
        assert!(answer.partial == Some(Cut::Cancelled) && json(&answer).is_empty());
        assert!(began.elapsed() < PATIENCE);
    }
    let whole = queries
        .run("SELECT requests FROM totals", None)
        .await
        .unwrap();
    assert_eq!(whole.partial, None);
}

#[tokio::test]
async fn an_export_has_all_rows_whatever_the_limit_of_answers() {
    let queries = queries(limits()).await;
    let sql = "SELECT a.n, b.n AS m FROM numbers a CROSS JOIN lake.totals b";
    let running = queries.export_as("e", sql, None).unwrap();
    assert_eq!(all_of(running).await, Ok((600_000, false)));
    let running = queries.export_as("e", sql, Some(70_000)).unwrap();
    assert_eq!(all_of(running).await, Ok((70_000, true)));
    let answer = queries.run(sql, None).await.unwrap();
    assert!(answer.truncated && json(&answer).len() == Limits::default().rows);
}

#[tokio::test]
async fn what_passes_its_memory_ends_alone() {
    let queries = queries(Limits {
        memory_bytes: 128 << 20,
        ..limits()
    })
    .await;
    let hostile = [
        "SELECT sum(length(repeat('x', 16000000 + CAST(n % 2 AS INT)))) FROM (SELECT n FROM numbers LIMIT 50)",
        "SELECT array_agg(repeat('x', 100000)) FROM numbers",
        "SELECT lpad('x', 2000000000, 'y')",
    ];
    for sql in hostile {
        assert!(queries.run(sql, None).await.is_err(), "{sql}");
        assert_eq!(ask(&queries, "SELECT requests FROM totals").await, [["7"]]);
    }
    let error = queries.run(hostile[0], None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the query needed more than the 128 MiB of memory that a query may use"
    );
    assert!(error.hint().unwrap().contains("--query-memory"));
}

#[tokio::test]
async fn one_process_answers_many_queries_and_is_replaced_when_it_is_killed() {
    let queries = queries(limits()).await;
    let process = "SELECT requests FROM totals";
    for _ in 0..3 {
        assert_eq!(ask(&queries, process).await, [["7"]]);
        let waiting = queries.0.pool.waiting_processes();
        assert_eq!(waiting.len(), 1, "it is kept");
    }
    let before = queries.0.pool.waiting_processes();
    assert!(queries.run("SELECT nope FROM totals", None).await.is_err());
    assert_eq!(
        queries.0.pool.waiting_processes(),
        before,
        "a mistake costs no process"
    );
    let id = libc::pid_t::try_from(before[0]).unwrap();
    // SAFETY: ends the process that this test started.
    assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
    // It may be taken before its end is seen; then that query fails and says so, and the next one does not.
    let killed = queries.run(process, None).await;
    assert!(killed.is_ok() || killed.is_err_and(|it| it.to_string().contains("signal 9")));
    assert_eq!(ask(&queries, process).await, [["7"]]);
}

#[tokio::test]
async fn a_server_that_stops_tells_its_queries() {
    let queries = queries(limits()).await;
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    let other = queries.clone();
    let task = tokio::spawn(async move { other.run_as("q", cross, None).await });
    while !queries.0.running.lock().unwrap().contains_key("q") {
        tokio::task::yield_now().await;
    }
    queries.close();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error, QueryError::Stopping);
    assert_eq!(
        queries.run("SELECT 1", None).await.unwrap_err(),
        QueryError::Stopping
    );
}

#[tokio::test]
async fn a_queue_has_an_end() {
    let queries = queries(Limits {
        concurrent: 1,
        ..limits()
    })
    .await;
    let cross = "SELECT sum(a.n * b.n % 7) FROM numbers a, numbers b WHERE a.n + b.n % 3 <> 5";
    let start = |name: String| queries.start(&name, cross, Some(1), Kind::Asked, None);
    let first = start("first".to_owned()).unwrap();
    while queries.0.asked.waiting.load(Ordering::Relaxed) != 0 {
        tokio::task::yield_now().await;
    }
    let waiting: Vec<Running> = (0..QUEUE_MAX)
        .map(|it| start(it.to_string()).unwrap())
        .collect();
    let error = start("one more".to_owned()).err();
    assert_eq!(error, Some(QueryError::Busy { waiting: QUEUE_MAX }));
    // Those of the page do not wait for them.
    assert!(queries.page("SELECT requests FROM totals").await.is_ok());
    drop((first, waiting));
    while queries.0.asked.waiting.load(Ordering::Relaxed) != 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&queries, "SELECT requests FROM totals").await, [["7"]]);
}

#[tokio::test]
async fn bytes_are_shown_as_the_text_they_are() {
    let queries = queries(limits()).await;
    let sql = "SELECT CAST('Zürich' AS BYTEA) AS a, X'00c328' AS b, X'' AS c";
    assert_eq!(ask(&queries, sql).await, [["Zürich", "\\\\x00c328", ""]]);
}
