//! What dataflow texts become, and what is refused with which words.

use super::*;
use crate::plan::{ViewSpec, passes};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

const SOURCE: &str = "CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n INT, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;\n";

pub(super) fn planned(statement: &str) -> Result<Dataflow, Error> {
    block_on(plan_text("test", &format!("{SOURCE}{statement}"), |_| None))
}

/// What a shipped dataflow, and the one that has every kind of query, are planned as, and what their stored rows mean.
#[test]
fn dataflows_are_planned_as_ever() {
    for (folder, name) in [
        ("dataflows/access_log", "access_log"),
        ("dataflows/nexmark", "nexmark"),
        ("dataflows/orders", "orders"),
        ("dataflows/web_logs", "web_logs"),
        ("tests/dataflows/everything", "everything"),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let dataflow =
            block_on(load(&folder, |_| None, &Models::Unknown)).unwrap_or_else(|it| panic!("{it}"));
        insta::assert_snapshot!(format!("{name}_plan"), dataflow);
        let definitions = serde_json::to_string_pretty(&dataflow.definitions);
        let definitions = definitions.expect("definitions are JSON");
        insta::assert_snapshot!(format!("{name}_definitions"), definitions);
    }
}

/// Names without quotes are of small letters, wherever they stand; a record's member has the name that is written.
#[test]
fn names_without_quotes_are_of_small_letters() {
    let text = r#"
CREATE SOURCE Clicks (UserId TEXT NOT NULL, "Path" TEXT, At TIMESTAMP, PRIMARY KEY (userid), WATERMARK FOR at AS AT - INTERVAL '1' SECOND) WITH (delete_when = 'USERID IS NULL') FORMAT JSON;
CREATE TABLE Raw AS SELECT * FROM CLICKS;
CREATE VIEW Plain AS SELECT USERID, "Path" AS P FROM raw;
CREATE MATERIALIZED VIEW Counted AS SELECT P, count(*) AS C FROM plain GROUP BY p;
CREATE MATERIALIZED VIEW latest AS SELECT UserID FROM Clicks;"#;
    let dataflow = block_on(plan_text("test", text, |_| None)).unwrap_or_else(|it| panic!("{it}"));
    let source = &dataflow.sources[0];
    let columns = source.columns.iter();
    let names: Vec<_> = columns
        .map(|it| (it.name.as_str(), it.written.as_str()))
        .collect();
    assert_eq!(
        names[..3],
        [("userid", "UserId"), ("Path", "Path"), ("at", "At")]
    );
    let names = dataflow.views.iter().map(|it| it.name.as_str());
    let names: Vec<&str> = names.take(2).collect();
    assert_eq!(
        (source.name.as_str(), names),
        ("clicks", vec!["counted", "latest"])
    );
}

/// Whatever is wrong with a statement is said in our words, with its line.
#[test]
fn what_is_refused_is_said_in_our_words() {
    let group =
        |select: &str| format!("CREATE MATERIALIZED VIEW v AS SELECT {select} FROM s GROUP BY k");
    let statements = [
        group("k, foo(x) AS y"),
        group("k, sum(k) AS y"),
        group("k, n AS y"),
        group("k, max(nope) AS y"),
        group("k, max(x + k) AS y"),
        group("k, max(n) AS y, min(n) AS y"),
        group("k, max(to_char(at, 'YYYY-QQ')) AS y"),
        group("k, array_agg(NULL) AS y"),
        group("k, sum(n ORDER BY n) AS y"),
        group("k, count(*) OVER () AS y"),
        group("k, max(date_trunc('fortnight', at)) AS y"),
        group("k, max(to_char(at, 'HH:mm')) AS y"),
        group("k, max(date_part('fortnight', at)) AS y"),
        group("k, max(date_bin(INTERVAL '0 minutes', at)) AS y"),
        group("k, count(*) FILTER (WHERE k ~ '[') AS y"),
        group("k, max(regexp_replace(k, '(', '')) AS y"),
        group("k, cuont(*) AS y"),
        group("k, max(CAST(x AS TEXT)) AS y, max(CAST(x AS INT)) AS y"),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM nowhere GROUP BY k".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM s WHERE k IN (SELECT k FROM s) GROUP BY k".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, (SELECT max(n) FROM s) AS m, count(*) AS c FROM s GROUP BY k".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM s GROUP BY k EXCEPT SELECT k FROM s".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM s GROUP BY k LIMIT 3".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM TUMBLE(s, x, INTERVAL '1' MINUTE) GROUP BY window_start, k".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM SESSION(s PARTITION BY k, x, INTERVAL '1' MINUTE) GROUP BY window_end, k".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT window_end, count(*) AS c FROM SESSION(s PARTITION BY k, INTERVAL '1' MINUTE) GROUP BY window_end".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS c FROM SESSION(s PARTITION BY k, at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) FROM s GROUP BY".to_owned(),
        "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM s GROUP BY k".to_owned(),
        "CREATE TABLE t PARTITION BY k AS SELECT * FROM s".to_owned(),
        "CREATE TABLE t AS SELECT k, CAST(x AS DECIMAL(60,2)) AS price FROM s".to_owned(),
        "CREATE VIEW p AS SELECT k, n FROM s; CREATE TABLE t AS SELECT k FROM p".to_owned(),
        "CREATE VIEW p AS SELECT a.k FROM s a JOIN s b ON a.k = b.k; CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM p GROUP BY k".to_owned(),
        "CREATE SOURCE o (a DECIMAL(10,12)) FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a TIME) FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'postgres') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', brokers = 'b', topic = 't', start = 'bogus') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', broker = 'b', topic = 't') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', topic = 't') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', brokers = 'b', topic = 't', \"kafka.bogus\" = '1') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '999999999' SECOND) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a TEXT PRIMARY KEY, b INT) APPEND ONLY FORMAT JSON".to_owned(),
        "CREATE TABLE o (a TIMESTAMP LATENESS INTERVAL 1 HOUR, b TIMESTAMP LATENESS INTERVAL '5' MINUTE) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a TIMESTAMP LATENESS 5) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, b INT GENERATED ALWAYS AS (c + 1)) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, b AS sum(a)) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, b AS (SELECT max(n) FROM s)) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a TIMESTAMP, b AS a > now()) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, b AS _epoch + a) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, b AS a + 1 PRIMARY KEY) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT, p AS PROCTIME(), WATERMARK FOR p) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT DEFAULT 'x') FORMAT JSON".to_owned(),
        "CREATE TABLE o (a TIMESTAMP DEFAULT now()) FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT DEFAULT 3) WITH (connector = 'files', path = 'in') FORMAT PARQUET".to_owned(),
        "CREATE TABLE o (a TIMESTAMP, w TIMESTAMP AS a) WITH (connector = 'files', path = 'in', format = 'json', watermark_field = 'w')".to_owned(),
        "CREATE TABLE o (a INT, CONSTRAINT c CHECK (a > 1)) FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT, b TEXT)".to_owned(),
        "CREATE TABLE o (a INT) WITH (connector = 'kafka', topic = 't', brokers = 'b', properties.bootstrap.servers = 'c') FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT) WITH (connector = 'kafka', topic = 't', brokers = 'b', scan.startup.mode = 'group-offsets') FORMAT JSON".to_owned(),
        "CREATE TABLE o (a INT PRIMARY KEY) WITH ('append_only' = 'true')".to_owned(),
        "CREATE STREAM o (a INT) WITH (kafka_topic = 't', value_format = 'json')".to_owned(),
        "CREATE TABLE o (a INT) FORMAT UPSERT ENCODE JSON".to_owned(),
        "CREATE TABLE o (a INT) FORMAT UPSERT ENCODE CSV (without_header = 'true')".to_owned(),
        "CREATE SOURCE o (a INT) FORMAT AVRO".to_owned(),
        "CREATE SOURCE o (a INT) FORMAT DEBEZIUM ENCODE JSON".to_owned(),
        "CREATE SOURCE o (a INT PRIMARY KEY) FORMAT DEBEZIUM".to_owned(),
        "CREATE SOURCE o (a INT PRIMARY KEY) FORMAT DEBEZIUM ENCODE AVRO".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', brokers = 'b', topic = 't') FORMAT PARQUET".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'files', path = 'in', header = 'false') FORMAT PARQUET".to_owned(),
        "CREATE SOURCE o (a INT) WITH (delimiter = ';') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (ip TEXT) WITH (header = 'true') FORMAT ACCESS_LOG".to_owned(),
        "CREATE SOURCE o (a INT) FORMAT CSV (delimiter = '||')".to_owned(),
        "CREATE SOURCE o (a INT) FORMAT CSV (header = 'yes')".to_owned(),
        "CREATE SOURCE o (a INT) FORMAT CSV (header = 'true', without_header = 'true')".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'files', path = 'in') FORMAT CSV (quote = '|')".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', brokers = 'b', topic = 't') FORMAT CSV (header = 'true')".to_owned(),
        "CREATE SOURCE o (a INT, b TEXT[]) FORMAT CSV".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'delta')".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'delta', path = 'd') FORMAT JSON".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'files', path = 'd') FORMAT DELTA".to_owned(),
        "CREATE SOURCE o (a INT) WITH (connector = 'delta', path = 'd', header = 'false')".to_owned(),
        "CREATE SOURCE o (a INT PRIMARY KEY, v INT) WITH (connector = 'delta', path = 'd', version = 'v')".to_owned(),
        "SET ttl = '1 hour'".to_owned(),
        "CREATE SINK o FROM s WITH (connector = 'kafka')".to_owned(),
        "CREATE UNIQUE INDEX i ON s (k)".to_owned(),
        "CREATE INDEX i ON nowhere (k)".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM s; DROP MATERIALIZED VIEW IF EXISTS v".to_owned(),
        "CREATE TYPE e AS ENUM ('a', 'b')".to_owned(),
        "CREATE TYPE p AS (a INT NOT NULL)".to_owned(),
        "INSERT INTO o SELECT k FROM s".to_owned(),
        "SELECT k FROM s".to_owned(),
        "CREATE RECURSIVE VIEW v (a) AS SELECT 1".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM s\nEMIT ON WINDOW CLOSE".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM s\nMATCH_RECOGNIZE (PARTITION BY k)".to_owned(),
        "CREATE MATERIALIZED VIEW v AS WITH RECURSIVE w AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM w) SELECT a FROM w".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM s\nWHERE k = = 'a'".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT (k).* FROM s".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a, now() > TIMESTAMP '2024-03-04 05:06:07' AS b".to_owned(),
        group("k, arg_max(n, x) OVER (ORDER BY k) AS y"),
        group("k, max(at + INTERVAL n DAY) AS y"),
        group("k, max(CAST(at AS DATE) + CAST(k AS INTERVAL)) AS y"),
        group("sum(n), sum(n)"),
        group("k, session(at, INTERVAL '1' MINUTE) AS y"),
        group("k, count(*) FILTER (WHERE ARRAY[n] = k) AS y"),
        "CREATE MATERIALIZED VIEW v AS SELECT at + n * INTERVAL '1' HOUR AS a FROM s".to_owned(),
        "CREATE MATERIALIZED VIEW v AS SELECT (k).a AS a FROM s".to_owned(),
    ];
    let said: Vec<String> = statements
        .iter()
        .map(|it| {
            let error = planned(it).map_or_else(|it| it.to_string(), |_| "let through".to_owned());
            format!("{it}\n  {error}")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_was_refused_wrongly_is_planned() {
    for statement in [
        "CREATE MATERIALIZED VIEW v AS SELECT window_end, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end",
        "CREATE MATERIALIZED VIEW v AS SELECT window_start, max(c) AS c FROM (SELECT window_start, k, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, k) AS i GROUP BY window_start",
        "CREATE MATERIALIZED VIEW v AS SELECT k, max(c) AS c FROM (SELECT window_start, k, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, k) AS i GROUP BY k",
        "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY k, window_start",
        "CREATE VIEW p AS SELECT * FROM s WHERE n > 0; CREATE TABLE t AS SELECT k, at FROM p",
        "CREATE TABLE t AS SELECT * FROM TUMBLE(s, at, INTERVAL '1' MINUTE)",
        "CREATE TABLE t AS SELECT CAST(n AS TEXT) AS a, CAST(n AS DOUBLE) AS b FROM s",
        "CREATE VIEW p AS SELECT *, CAST(n AS TEXT) AS a, CAST(n AS DOUBLE) AS b FROM s; CREATE TABLE t AS SELECT a, b, _partition, _offset, _epoch FROM p",
        "CREATE MATERIALIZED VIEW v AS SELECT CAST(n AS TEXT) AS a, CAST(n AS DOUBLE) AS b, count(*) AS c FROM s GROUP BY CAST(n AS TEXT), CAST(n AS DOUBLE)",
        "CREATE MATERIALIZED VIEW v AS SELECT n, CAST(n AS TEXT) AS a, sum(CAST(x AS INT)) AS b, sum(x) AS c FROM s GROUP BY 1, 2",
        "CREATE MATERIALIZED VIEW v AS SELECT k, max(date_trunc('week', at)) AS a, max(date_trunc('MINUTE', at)) AS b, max(date_part('epoch', at)) AS c, max(date_bin(INTERVAL '15 minutes', at)) AS d FROM s WHERE k ~ '^[a-z]' AND regexp_like(k, 'b+') AND lpad(k, 3, 'x') <> split_part(k, '/', 2) GROUP BY k",
        "CREATE MATERIALIZED VIEW v AS SELECT k, trim_array(string_to_array(k, ','), n) AS a, num_nulls(k, n) AS c, array_fill(n, ARRAY[3]) AS f FROM s",
        "CREATE MATERIALIZED VIEW v AS SELECT '{1,2}'::INT[] AS a, convert_from(convert_to(k, 'UTF8'), 'utf-8') AS c FROM s WHERE at > now() - INTERVAL '30'",
        "CREATE SOURCE p (post STRUCT(at TIMESTAMP, text TEXT)) FORMAT JSON; CREATE MATERIALIZED VIEW v AS WITH w AS (SELECT unnest(regexp_matches((post).text, '#\\w+', 'g')) AS tag, (post).at AS at FROM p) SELECT tag, count(*) AS c, window_start FROM TUMBLE(w, at, INTERVAL '5' MINUTE) GROUP BY tag, window_start",
    ] {
        planned(statement).unwrap_or_else(|it| panic!("{statement}\n  {it}"));
    }
}

/// What others write for a source is the same source.
#[test]
fn a_table_with_columns_is_a_source() {
    let of = |text: &str| {
        let planned = planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
        let sources = planned.sources;
        format!("{:?}", sources.last().expect("a source"))
    };
    for (ours, others) in [
        (
            "CREATE SOURCE o (metadata TEXT, check INT, at TIMESTAMP, WATERMARK FOR at AS at) WITH (connector = 'files', path = 'in') FORMAT JSON",
            "CREATE TABLE IF NOT EXISTS o (metadata TEXT, check INT, at TIMESTAMP, WATERMARK FOR at) APPEND ONLY WITH (connector = 'files', path = 'in', format = 'json')",
        ),
        (
            "CREATE SOURCE o (a TEXT, b INT, at TIMESTAMP NOT NULL, PRIMARY KEY (a), WATERMARK FOR at AS at - INTERVAL '1' HOUR) FORMAT JSON",
            "CREATE TABLE o (a TEXT PRIMARY KEY, b INT, at TIMESTAMP NOT NULL LATENESS INTERVAL 1 HOUR) FORMAT PLAIN ENCODE JSON",
        ),
        (
            "CREATE SOURCE o (a STRUCT(x INT, y STRUCT(z TEXT[])), b INT[], c STRUCT(x INT)[]) FORMAT JSON",
            "CREATE TABLE o (a STRUCT<x INT, y STRUCT<z TEXT[]>>, b INT ARRAY, c ARRAY<STRUCT<x INT>>) FORMAT JSON",
        ),
        (
            "CREATE SOURCE o (a TEXT) WITH (connector = 'files', path = 'in', delimiter = '\\t', header = 'false') FORMAT CSV",
            "CREATE TABLE o (a TEXT) WITH (connector = 'files', path = 'in') FORMAT PLAIN ENCODE CSV (without_header = true, delimiter = E'\\t')",
        ),
        (
            "CREATE SOURCE o (a TEXT) WITH (connector = 'kafka', brokers = 'b', topic = 't') FORMAT CSV (without_header = 'true')",
            "CREATE TABLE o (a TEXT) WITH (connector = 'kafka', brokers = 'b', topic = 't', format = 'csv')",
        ),
        (
            "CREATE SOURCE o (a TEXT PRIMARY KEY) FORMAT DEBEZIUM ENCODE JSON",
            "CREATE TABLE o (a TEXT, PRIMARY KEY (a)) WITH (format = 'debezium_json')",
        ),
        (
            "CREATE SOURCE o (a TEXT PRIMARY KEY, b INT) WITH (connector = 'http') FORMAT JSON",
            "CREATE TABLE o (a CHAR(3), b INT, CONSTRAINT pk PRIMARY KEY (a) NOT ENFORCED,)",
        ),
        (
            "CREATE SOURCE o (a TEXT, b INT) WITH (connector = 'http') FORMAT JSON",
            "CREATE TABLE o (a TEXT, b INT) WITH ('materialized' = 'true', 'append_only' = 'true', 'connectors' = '[]')",
        ),
        (
            "CREATE SOURCE o (a TEXT, b INT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '1' HOUR) FORMAT JSON",
            "CREATE TABLE o (a CHARACTER VARYING(8) REFERENCES s (k), b INT FOREIGN KEY REFERENCES s, `at` TIMESTAMP(3), CONSTRAINT c FOREIGN KEY (a, b) REFERENCES s (k, n) NOT ENFORCED, WATERMARK FOR at AS (at - INTERVAL '1' HOUR)) FORMAT JSON",
        ),
        (
            "CREATE SOURCE o (a TEXT) WITH (connector = 'kafka', brokers = 'b', topic = 't', \"group\" = 'g', start = 'latest', \"kafka.client.id\" = 'c') FORMAT JSON",
            "CREATE TABLE o (a TEXT) WITH ('connector' = 'kafka', properties.bootstrap.servers = 'b', topic = 't', 'properties.group.id' = 'g', scan.startup.mode = 'latest-offset', properties.client.id = 'c', value.format = 'json')",
        ),
    ] {
        assert_eq!(of(others), of(ours));
    }
}

/// `TABLE t` is a query wherever one stands, and ends where its statement does.
#[test]
fn a_table_alone_is_a_query() {
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    for (ours, others) in [
        ("SELECT * FROM s", "TABLE s"),
        (
            "SELECT * FROM s UNION ALL SELECT * FROM s",
            "TABLE s UNION ALL TABLE s",
        ),
        (
            "SELECT k FROM (SELECT * FROM s) AS t",
            "SELECT k FROM (TABLE s) AS t",
        ),
        (
            "WITH t AS (SELECT * FROM s) SELECT * FROM t",
            "WITH t AS (TABLE s) TABLE t",
        ),
    ] {
        let definitions = |query: &str| {
            of(&format!(
                "CREATE MATERIALIZED VIEW v AS {query};\nCREATE MATERIALIZED VIEW w AS SELECT k FROM v;"
            ))
            .definitions
        };
        assert_eq!(definitions(others), definitions(ours));
    }
    assert!(
        of("CREATE MATERIALIZED VIEW v AS TABLE s")
            .view("v")
            .is_some()
    );
}

/// Words that say where and for how long something is kept elsewhere, and other signs around names and texts, change nothing.
#[test]
fn words_and_signs_of_others_change_nothing() {
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    for (ours, others) in [
        (
            "CREATE VIEW p AS SELECT k FROM s; CREATE MATERIALIZED VIEW v AS SELECT * FROM p",
            "CREATE OR REPLACE TEMPORARY VIEW p AS SELECT k FROM s; CREATE MATERIALIZED VIEW v IN CLUSTER quickstart AS SELECT * FROM p",
        ),
        (
            r#"CREATE MATERIALIZED VIEW v AS SELECT a."k" AS "K", n FROM s AS a WHERE n=n AND k = 'it''s'"#,
            r"CREATE MATERIALIZED VIEW v AS SELECT a.`k` AS `K`, n FROM `s` AS a WHERE n=`n` AND k = E'it\'s'",
        ),
    ] {
        let (ours, theirs) = (of(ours), of(others));
        assert_eq!(theirs.to_string(), ours.to_string());
        assert_eq!(theirs.definitions, ours.definitions);
    }
}

/// What goes nowhere elsewhere is a view here; what is wanted in another place is refused.
#[test]
fn sinks_that_go_nowhere_are_views() {
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    for (ours, others) in [
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k AS a, count(*) AS c FROM s GROUP BY k",
            "CREATE TABLE o (a TEXT, c BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'print'); INSERT INTO o SELECT k, count(*) AS n FROM s GROUP BY k",
        ),
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k AS a FROM s UNION ALL SELECT k FROM s",
            "CREATE TABLE o (a TEXT) WITH (connector = 'blackhole'); INSERT INTO o (a) SELECT k FROM s UNION ALL SELECT k FROM s",
        ),
        (
            "CREATE VIEW p AS SELECT k, n FROM s; CREATE MATERIALIZED VIEW o AS SELECT * FROM (SELECT * FROM p) AS o (a, b)",
            "CREATE TABLE o (a TEXT, b INT) WITH (connector = 'stdout'); CREATE VIEW p AS SELECT k, n FROM s; INSERT INTO o SELECT * FROM p",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM s; CREATE MATERIALIZED VIEW o AS SELECT * FROM v",
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM s; CREATE SINK o FROM v WITH (connector = 'blackhole', type = 'append-only')",
        ),
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k FROM s",
            "CREATE SINK IF NOT EXISTS o AS SELECT k FROM s WITH (connector = 'blackhole')",
        ),
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k AS a FROM s",
            "CREATE TABLE o (a TEXT) WITH (connector = 'single_file', path = './o', format = 'json', type = 'sink'); INSERT INTO o SELECT k FROM s",
        ),
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k AS a FROM s; CREATE MATERIALIZED VIEW v AS SELECT a FROM o",
            "CREATE TABLE o (a TEXT); INSERT INTO o SELECT k FROM s; CREATE MATERIALIZED VIEW v AS SELECT a FROM o",
        ),
        (
            "CREATE MATERIALIZED VIEW o AS SELECT k AS a FROM s WHERE n = 1 UNION ALL SELECT k AS a FROM s WHERE n = 2",
            "CREATE TABLE o (a TEXT) WITH (connector = 'print'); INSERT INTO o SELECT k FROM s WHERE n = 1; INSERT INTO o (a) SELECT k FROM s WHERE n = 2",
        ),
    ] {
        let (ours, theirs) = (of(ours), of(others));
        assert_eq!(theirs.to_string(), ours.to_string());
        assert_eq!(theirs.definitions, ours.definitions);
    }
    let sink = "CREATE TABLE o (a TEXT) WITH (connector = 'blackhole');";
    for (statements, reason) in [
        (
            format!("{sink} INSERT INTO o SELECT k, n FROM s"),
            "names 1 columns",
        ),
        (
            format!("{sink} INSERT INTO o (b) SELECT k FROM s"),
            "in their order",
        ),
        (
            "CREATE TABLE o (a TEXT); INSERT INTO o VALUES ('k')".to_owned(),
            "a dataflow has no INSERT",
        ),
        (
            "CREATE TABLE o (a TEXT) WITH (connector = 'kafka', type = 'sink'); INSERT INTO o SELECT k FROM s".to_owned(),
            "a source, which ends with its format",
        ),
        (
            "CREATE SINK o FROM s WITH (connector = 'kafka')".to_owned(),
            "a dataflow has no CREATE SINK",
        ),
    ] {
        let refused = planned(&statements).map_or_else(|it| it.to_string(), |_| String::new());
        assert!(refused.contains(reason), "{statements}\n  {refused}");
    }
}

/// What changes no result is read over, and what makes a result of several records is a view.
#[test]
fn statements_that_change_no_result_are_read_over() {
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    for (ours, others) in [
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM s",
            "SET rw_implicit_flush TO true; SET streaming_parallelism = 1; SET 'execution.checkpointing.interval' = '3 s'; SET table.exec.mini-batch.enabled = true;
             DROP MATERIALIZED VIEW IF EXISTS v CASCADE; CREATE MATERIALIZED VIEW v AS SELECT k FROM s; CREATE INDEX i ON v (k); CREATE DEFAULT INDEX ON v; FLUSH",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM s GROUP BY k",
            "CREATE TABLE v AS SELECT k, count(*) AS c FROM s GROUP BY k",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT max(n) + 1 AS m FROM s",
            "CREATE TABLE v AS SELECT max(n) + 1 AS m FROM s",
        ),
        (
            "CREATE SOURCE o (a STRUCT(x INT, y STRUCT(z TEXT)[])) WITH (connector = 'files', path = 'in') FORMAT JSON; CREATE VIEW v AS SELECT (a).x FROM o",
            "CREATE TYPE inner_type AS (z TEXT); CREATE TYPE t AS (x INT, y inner_type ARRAY); CREATE TEMPORARY TABLE o (a t) WITH (connector = 'filesystem', path = 'in', format = 'json'); CREATE VIEW v AS SELECT (a).x FROM o",
        ),
        (
            "CREATE SOURCE o (a JSON, at TIMESTAMP, b BYTEA, WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH (connector = 'files', path = 'in') FORMAT JSON",
            "CREATE TABLE o (a VARIANT, at TIMESTAMP_LTZ(3), b BYTES) WITH (connector = 'single_file', path = 'in', format = 'json', type = 'source', event_time_field = 'at')",
        ),
    ] {
        let (ours, theirs) = (of(ours), of(others));
        assert_eq!(theirs.to_string(), ours.to_string());
        assert_eq!(theirs.definitions, ours.definitions);
    }
    let counts = of("CREATE TABLE v AS (SELECT count(*) FROM s)");
    assert!(counts.view("v").is_some());
}

/// Views of ksqlDB.
#[test]
fn windows_between_from_and_group_by_are_windows_of_the_group() {
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    for (ours, others) in [
        (
            "CREATE MATERIALIZED VIEW v AS SELECT window_start AS windowstart, window_end AS windowend, k, count(*) AS n FROM TUMBLE(s, at, INTERVAL '30 seconds') GROUP BY window_start, window_end, k",
            "CREATE TABLE v AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 30 SECONDS) GROUP BY k EMIT CHANGES",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT window_end AS windowend, k, window_start AS w, count(*) AS n FROM HOP(s, at, INTERVAL '10 seconds', INTERVAL '1 minutes') WHERE n > 1 GROUP BY window_start, window_end, k",
            "CREATE TABLE v AS SELECT k, WINDOWSTART AS w, COUNT(*) AS n FROM s WINDOW HOPPING (SIZE 1 MINUTES, ADVANCE BY 10 SECONDS, RETENTION 7 DAYS) WHERE n > 1 GROUP BY k EMIT CHANGES",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT window_start AS windowstart, k, window_end - INTERVAL '30 seconds' AS e, count(*) AS n FROM SESSION(s PARTITION BY k, at, INTERVAL '30 seconds') GROUP BY window_start, window_end, k",
            "CREATE TABLE v AS SELECT k, WINDOWEND AS e, COUNT(*) AS n FROM s WINDOW SESSION (30 SECONDS, RETENTION 1 DAYS) GROUP BY k EMIT CHANGES",
        ),
        (
            "CREATE VIEW v AS SELECT k FROM s WHERE n > 1; CREATE MATERIALIZED VIEW w AS SELECT k FROM v",
            "CREATE STREAM v AS SELECT k FROM s WHERE n > 1 EMIT CHANGES; CREATE MATERIALIZED VIEW w AS SELECT k FROM v",
        ),
    ] {
        let (ours, theirs) = (of(ours), of(others));
        let columns = |it: &Dataflow| {
            it.views
                .iter()
                .map(|it| it.plan.schema())
                .collect::<Vec<_>>()
        };
        assert_eq!(columns(&theirs), columns(&ours), "{others}");
        assert_eq!(theirs.to_string(), ours.to_string());
    }
    for (window, reason) in [
        ("TUMBLING (SIZE 30)", "a window is WINDOW TUMBLING"),
        (
            "TUMBLING (SIZE 30 SECONDS, GRACE PERIOD 1 HOURS)",
            "leave GRACE PERIOD out",
        ),
        ("SESSION (SIZE 60 SECONDS)", "WINDOW SESSION (30 SECONDS)"),
    ] {
        let text =
            format!("CREATE TABLE v AS SELECT k, count(*) AS n FROM s WINDOW {window} GROUP BY k");
        let refused = planned(&text).map_or_else(|it| it.to_string(), |_| String::new());
        assert!(refused.contains(reason), "{text}\n  {refused}");
    }
}

#[test]
fn what_others_write_is_refused_with_what_to_write() {
    for (text, words) in [
        (
            "CREATE STREAM v AS SELECT s.k FROM s JOIN o WITHIN 10 MINUTES ON s.k = o.k",
            "AND b.time BETWEEN a.time",
        ),
        (
            "CREATE SOURCE m (a MAP<TEXT, INT>) FORMAT JSON",
            "no type MAP; declare it as JSON",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT MAP['a', upper(k), 'b', k] AS m FROM s",
            "jsonb_build_object",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT MAP {'a': k} AS m FROM s",
            "jsonb_build_object",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k::TEXT[] AS a FROM s",
            "write string_to_array(text, ',')",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT array_has(ARRAY[n], ARRAY[x]) AS a FROM s",
            "does not take INT[], DOUBLE[]; CAST",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS\n  SELECT count( FROM s",
            "this `(` is not closed; write `)` where it ends (column 15)",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM s WHERE n IN (1, 2; CREATE VIEW w AS SELECT (k) FROM s",
            "this `(` is not closed",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k FROM (SELECT k FROM s",
            "this `(` is not closed",
        ),
    ] {
        let refused = planned(text).map_or_else(|it| it.to_string(), |_| String::new());
        assert!(refused.contains(words), "{text}\n  {refused}");
    }
}

/// A column that is when its record was read is a time to join as of, also where a table keeps it.
#[test]
fn a_join_as_of_a_column_of_reading_is_one_as_of_proctime() {
    let of = |time: &str| {
        let text = format!(
            "CREATE SOURCE rates (k TEXT, r INT, at TIMESTAMP, PRIMARY KEY (k), WATERMARK FOR at) WITH (connector = 'files', path = 'rates') FORMAT JSON;
             CREATE SOURCE o (k TEXT, p AS PROCTIME()) WITH (connector = 'files', path = 'o') FORMAT JSON;
             CREATE TABLE log AS SELECT k, p AS read_at FROM o;
             CREATE MATERIALIZED VIEW v AS SELECT l.k, r.r FROM log l JOIN rates FOR SYSTEM_TIME AS OF {time} AS r ON l.k = r.k"
        );
        planned(&text).unwrap_or_else(|it| panic!("{text}\n  {it}"))
    };
    let (ours, theirs) = (of("PROCTIME()"), of("l.read_at"));
    assert_eq!(theirs.to_string(), ours.to_string());
    assert_eq!(theirs.definitions, ours.definitions);
}

/// That a field of a STRUCT may be null is what it is anyway, and may be said; that it may not is refused.
#[test]
fn fields_of_structs_may_be_null() {
    let of = |column: &str| {
        planned(&format!(
            "CREATE SOURCE f (k INT, r {column}) WITH (connector = 'files', path = 'f') FORMAT JSON;
             CREATE MATERIALIZED VIEW v AS SELECT k, f.r.a FROM f"
        ))
    };
    let plain = of("STRUCT<a INT, b STRUCT<c TEXT>>").expect("a plan");
    let told = of("ROW(a INT NULL, b STRUCT<c TEXT NULL> NULL)").expect("a plan");
    assert_eq!(told.definitions, plain.definitions);
    let refused = of("ROW(a INT NOT NULL)").unwrap_err().to_string();
    assert!(refused.contains("leave NOT NULL out"), "{refused}");
}

/// What stands before a temporal join may be computed: its versions are looked up by that.
#[test]
fn versions_are_looked_up_by_computed_keys() {
    let of = |from: &str| {
        let text = format!(
            "CREATE SOURCE side (key BIGINT PRIMARY KEY, value TEXT) WITH (connector = 'files', path = 'side') FORMAT JSON;
             CREATE SOURCE bid (auction BIGINT, price BIGINT) WITH (connector = 'files', path = 'bid') FORMAT JSON;
             CREATE MATERIALIZED VIEW v AS SELECT b.auction, x.value FROM {from}"
        );
        planned(&text)
    };
    for from in [
        "bid b JOIN side FOR SYSTEM_TIME AS OF PROCTIME() AS x ON mod(b.auction, 10) = x.key",
        "bid b LEFT JOIN side FOR SYSTEM_TIME AS OF PROCTIME() AS x ON x.key = auction + price * 2",
    ] {
        let planned = of(from);
        assert!(planned.is_ok(), "{from}\n  {}", planned.unwrap_err());
    }
    for from in [
        "bid b JOIN side FOR SYSTEM_TIME AS OF PROCTIME() AS x ON b.auction = x.key + 1",
        "bid b LEFT JOIN side FOR SYSTEM_TIME AS OF PROCTIME() AS x ON 7 = x.key",
        "bid b JOIN side FOR SYSTEM_TIME AS OF PROCTIME() AS x ON b.auction + x.key = x.key",
    ] {
        assert!(of(from).is_err(), "{from}");
    }
}

/// A `*` beside a temporal join is what the relations declare, and so is one around it; the columns may stand in a sub-query of records, too.
#[test]
fn a_star_beside_a_temporal_join_is_written_out() {
    let of = |query: &str| {
        let text = format!(
            "CREATE SOURCE rates (k TEXT, r INT, PRIMARY KEY (k)) WITH (connector = 'files', path = 'rates') FORMAT JSON;
             CREATE SOURCE o (k TEXT, n INT, p AS PROCTIME()) WITH (connector = 'files', path = 'o') FORMAT JSON;
             CREATE MATERIALIZED VIEW v AS {query}"
        );
        let planned = planned(&text);
        planned.map(|it| it.views[0].plan.schema())
    };
    let columns = |query: &str| {
        let schema = of(query).unwrap_or_else(|it| panic!("{query}\n  {it}"));
        let names = schema.fields().iter().map(|it| it.name().clone());
        names.collect::<Vec<_>>().join(" ")
    };
    let join = "JOIN rates FOR SYSTEM_TIME AS OF o.p AS d ON o.k = d.k";
    for (query, expected) in [
        (format!("SELECT * FROM o {join}"), "k n p k_1 r"),
        (format!("SELECT d.*, n FROM o LEFT {join}"), "k r n"),
        (
            format!("SELECT * FROM (SELECT o.*, d.r FROM o {join}) AS j WHERE r > 1"),
            "k n p r",
        ),
        (
            format!(
                "SELECT j.*, t.n AS m FROM (SELECT o.k, d.r FROM o {join}) AS j JOIN o AS t ON t.k = j.k"
            ),
            "k r m",
        ),
        (
            format!("SELECT * FROM (SELECT k, p FROM o WHERE n > 1) AS o {join}"),
            "k p k_1 r",
        ),
        (
            format!(
                "SELECT * FROM (SELECT n, k FROM o) AS o {}",
                join.replace("o.p", "PROCTIME()")
            ),
            "n k k_1 r",
        ),
    ] {
        assert_eq!(columns(&query), expected, "{query}");
    }
    for (query, reason) in [
        ("SELECT *, _epoch FROM o", "and the query names _epoch"),
        (
            "SELECT a.r, d.r FROM rates a JOIN rates FOR SYSTEM_TIME AS OF PROCTIME() AS d ON a.k = d.k",
            "AS OF PROCTIME() is about records",
        ),
        (
            "SELECT a.k, d.r FROM (SELECT DISTINCT k FROM o) a JOIN rates FOR SYSTEM_TIME AS OF PROCTIME() AS d ON a.k = d.k",
            "AS OF PROCTIME() is about records",
        ),
    ] {
        let error = of(query).expect_err(query).to_string();
        assert!(error.contains(reason), "{query}\n  {error}");
    }
}

/// A name of WITH hides the source of that name behind it, also from `*`.
#[test]
fn a_star_over_a_name_of_with_has_the_columns_of_its_query() {
    for (query, columns) in [
        (
            "WITH s AS (SELECT n, k, n + 1 AS m FROM s) SELECT * FROM s",
            "n k m",
        ),
        (
            "WITH s (a, b) AS (SELECT k, n FROM s) SELECT * FROM s",
            "a b",
        ),
        (
            "WITH q AS (SELECT * FROM s), s AS (SELECT k, n FROM q) SELECT * FROM s",
            "k n",
        ),
    ] {
        let planned = planned(&format!("CREATE MATERIALIZED VIEW v AS {query}"));
        let planned = planned.unwrap_or_else(|it| panic!("{query}\n  {it}"));
        let schema = planned.views[0].plan.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|it| it.name().as_str())
            .collect();
        assert_eq!(names.join(" "), columns, "{query}");
    }
}

/// A list of structs is unnested into a column for each of their values, if all of these are named.
#[test]
fn values_of_structs_in_lists_become_columns() {
    let of = |query: &str| {
        let text = format!(
            "CREATE SOURCE l (a INT, b ARRAY<STRUCT<p INT, q TEXT>>, c ARRAY<INT>) WITH (connector = 'files', path = 'l') FORMAT JSON;
             CREATE MATERIALIZED VIEW v AS {query}"
        );
        let planned = planned(&text).map_err(|it| it.to_string())?;
        let schema = planned.views[0].plan.schema();
        let columns = schema.fields().iter();
        let columns = columns.map(|it| format!("{} {}", it.name(), sql_type_name(it.data_type())));
        Ok::<String, String>(columns.collect::<Vec<_>>().join(", "))
    };
    for (query, columns) in [
        (
            "SELECT a, s, t FROM l, UNNEST(l.b) AS e(s, t) WHERE s > 13",
            "a int, s int, t text",
        ),
        (
            "SELECT e.t, n FROM l LEFT JOIN UNNEST(b) WITH ORDINALITY AS e(s, t, n) ON true",
            "t text, n bigint",
        ),
        (
            "SELECT a, (s).q AS t FROM l, UNNEST(l.b) AS e(s)",
            "a int, t text",
        ),
    ] {
        assert_eq!(of(query).as_deref(), Ok(columns), "{query}");
    }
    for (query, reason) in [
        (
            "SELECT s, t FROM l, UNNEST(l.c) AS e(s, t)",
            "are no structs and have one name",
        ),
        (
            "SELECT s, t, u FROM l, UNNEST(l.b) AS e(s, t, u)",
            "structs of 2 values, and 3 are named",
        ),
    ] {
        let error = of(query).expect_err(query);
        assert!(error.contains(reason), "{query}\n  {error}");
    }
}

/// Windows of HOP whose size is no multiple of their step, and those with gaps between them: a record is in those that begin before it and end after it.
#[test]
fn windows_of_every_step_and_size() {
    let sides = |step: u32, size: u32| {
        let mut query = syntax::parse_query(&format!(
            "SELECT * FROM HOP(s, at, INTERVAL '{step}' SECOND, INTERVAL '{size}' SECOND)"
        ))
        .expect("a query");
        windows::rewrite(&mut query, windows::records_on_time).expect("windows");
        let text = query.to_string();
        let sides = text.split(" UNION ALL ").map(|it| {
            let condition = it.find("at < ").map(|from| {
                it[from..]
                    .trim_end_matches(" AS s")
                    .trim_end_matches(')')
                    .to_owned()
            });
            condition.unwrap_or_default()
        });
        sides.collect::<Vec<String>>()
    };
    let cut = |step: i64, end: i64| {
        format!(
            "at < window_bound(at, {}, {}",
            step * 1_000_000,
            end * 1_000_000
        )
    };
    assert_eq!(sides(5, 10), ["", ""]);
    assert_eq!(sides(5, 6), [String::new(), cut(5, 1)]);
    assert_eq!(sides(2, 5), [String::new(), String::new(), cut(2, 1)]);
    assert_eq!(sides(15, 1), [cut(15, 1)]);
}

/// Windows over when records were read close with no clock of event time, and none of their records is late, also where a table and a plain view pass
/// the time on.
#[test]
fn windows_over_when_records_were_read_leave_no_record_out() {
    let counts_late = |query: &str| {
        let text = format!(
            "CREATE SOURCE s2 (k INT, at TIMESTAMP, p AS PROCTIME(), WATERMARK FOR at AS at - INTERVAL '5' SECOND) WITH (connector = 'files', path = 's2') FORMAT JSON;
             CREATE TABLE log AS SELECT k, at, p FROM s2;
             CREATE VIEW recent AS SELECT p, k FROM log WHERE k > 1;
             CREATE MATERIALIZED VIEW v AS {query}"
        );
        let plan = planned(&text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
        plan.view("v").expect("the view").plan.counts_late()
    };
    for relation in ["s2", "log", "recent"] {
        let over = |time: &str| {
            counts_late(&format!(
                "SELECT k, window_start, count(*) AS c FROM TUMBLE({relation}, {time}, INTERVAL '10' SECOND) GROUP BY k, window_start"
            ))
        };
        assert!(!over("p"), "{relation}");
        assert!(relation == "recent" || over("at"), "{relation}");
    }
    assert!(!counts_late(
        "SELECT b.k, count(*) AS c, TUMBLE_START(b.now, INTERVAL '10' SECOND) AS s FROM (SELECT *, PROCTIME() AS now FROM log) AS b GROUP BY b.k, TUMBLE(b.now, INTERVAL '10' SECOND)"
    ));
}

/// When rows are emitted is said at the end of a view, or before its AS; that they change is what they do anyway.
#[test]
fn when_rows_are_emitted_is_said_before_or_behind_a_query() {
    let query = "SELECT window_start, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start";
    let other = "CREATE MATERIALIZED VIEW w AS SELECT k FROM s";
    let of = |text: &str| planned(text).unwrap_or_else(|it| panic!("{text}\n  {it}"));
    let behind = of(&format!(
        "CREATE MATERIALIZED VIEW v AS {query} EMIT ON WINDOW CLOSE; {other}"
    ));
    let before = of(&format!(
        "CREATE MATERIALIZED VIEW v\nEMIT ON WINDOW CLOSE AS {query};\n{other};"
    ));
    assert_eq!(before.to_string(), behind.to_string());
    assert_eq!(before.definitions, behind.definitions);
    let changing = of(&format!("CREATE MATERIALIZED VIEW v AS {query}; {other}"));
    assert_ne!(changing.to_string(), behind.to_string());
    let said = of(&format!(
        "CREATE MATERIALIZED VIEW v AS {query} EMIT CHANGES; {other}\nEMIT CHANGES"
    ));
    assert_eq!(said.to_string(), changing.to_string());
    for (statement, reason) in [
        (
            format!("CREATE MATERIALIZED VIEW v AS {query} EMIT CHANGES LIMIT 3"),
            "rows of a view are there with their first record",
        ),
        (
            format!("CREATE VIEW v EMIT ON WINDOW CLOSE AS {query}"),
            "EMIT ON WINDOW CLOSE ends a CREATE MATERIALIZED VIEW",
        ),
    ] {
        let refused = planned(&statement).map_or_else(|it| it.to_string(), |_| String::new());
        assert!(refused.contains(reason), "{statement}\n  {refused}");
    }
}

#[test]
fn windows_of_several_sources_close_by_the_clocks_of_all() {
    let sides = "CREATE SOURCE o (at TIMESTAMP NOT NULL, k TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE MATERIALIZED VIEW a AS SELECT window_start, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start;
CREATE MATERIALIZED VIEW b AS SELECT window_start, count(*) AS c FROM TUMBLE(o, at, INTERVAL '1' MINUTE) GROUP BY window_start;
";
    let both = "SELECT window_start, c FROM a UNION ALL SELECT window_start, c FROM b";
    for query in [
        both.to_owned(),
        format!("SELECT window_start, sum(c) AS c FROM ({both}) AS u GROUP BY window_start"),
    ] {
        let statement = format!("{sides}CREATE MATERIALIZED VIEW u AS {query}");
        let planned = planned(&statement).unwrap_or_else(|it| panic!("{it}"));
        let view = planned.view("u").expect("the view");
        assert!(matches!(view.kind, ViewKind::Windowed { .. }), "{query}");
        let clocks: Vec<&str> = view.clocks.iter().map(String::as_str).collect();
        assert_eq!(clocks, ["o", "s"]);
    }
}

#[test]
fn an_asof_join_is_one_operator_and_its_ties_are_definite() {
    let view = "CREATE MATERIALIZED VIEW v AS SELECT a.k, a.n, b.n AS m FROM s a ASOF LEFT JOIN s b ON a.k = b.k AND a.at >= b.at WHERE a.n > 2";
    let plan = planned(view).unwrap_or_else(|it| panic!("{it}"));
    let text = plan.to_string();
    let node =
        "ASOF left join on k = k and at >= at; keeps both sides in the order of time, for ever";
    assert!(text.contains(node), "{text}");
    // The place of a record in its source decides between equal times.
    assert!(text.contains("Map: _partition, _offset"), "{text}");
    assert!(
        text.contains("view v keeps the records of s for its ASOF join"),
        "{text}"
    );
}

#[test]
fn views_that_are_too_wide_are_refused() {
    let list = |count: usize, of: fn(usize) -> String| {
        let all: Vec<String> = (0..count).map(of).collect();
        all.join(", ")
    };
    let keys = |count| list(count, |it| format!("n + {it}"));
    let counts = |count| {
        list(count, |it| {
            format!("count(*) FILTER (WHERE n > {it}) AS c{it}")
        })
    };
    let view = |keys: String, counts: String| {
        format!("CREATE MATERIALIZED VIEW v AS SELECT {counts} FROM s GROUP BY {keys}")
    };
    for statement in [view(keys(65), counts(1)), view(keys(1), counts(257))] {
        let refused = planned(&statement).err().map(|it| it.to_string());
        assert!(refused.is_some_and(|it| it.contains("at most 64 columns")));
    }
    assert!(planned(&view(keys(64), counts(256))).is_ok());
}

#[test]
fn views_that_take_columns_as_they_are_share_a_pass() {
    let views = "
        CREATE MATERIALIZED VIEW a AS SELECT window_start, k, count(*) AS c, sum(x) AS s FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, k;
        CREATE MATERIALIZED VIEW b AS SELECT window_end, count(DISTINCT k) AS c FROM TUMBLE(s, at, INTERVAL '1' HOUR) GROUP BY window_end;
        CREATE MATERIALIZED VIEW c AS SELECT k, max(x) AS m FROM s WHERE n > 1 GROUP BY k;
        CREATE MATERIALIZED VIEW d AS SELECT n / 2 AS half, count(*) AS c FROM s GROUP BY n / 2;
        CREATE MATERIALIZED VIEW e AS SELECT count(*) FILTER (WHERE n > 1) AS c FROM s;
        CREATE MATERIALIZED VIEW f AS SELECT k, sum(c) AS c FROM a GROUP BY k;
        CREATE MATERIALIZED VIEW g AS SELECT count(*) AS c FROM s WHERE at > now() - INTERVAL '60' SECOND";
    let dataflow = planned(views).unwrap_or_else(|it| panic!("{it}"));
    let own = |it: &&ViewSpec| it.name.len() == 1; // not those that every dataflow has
    let views: Vec<ViewSpec> = dataflow.views.iter().filter(own).cloned().collect();
    let mut passes: Vec<Vec<String>> = passes(&views)
        .iter()
        .map(|it| it.aggregations.iter().map(|it| it.id.clone()).collect())
        .collect();
    passes.sort();
    let wanted: [&[&str]; 5] = [
        &["a.0", "b.0", "g.0"],
        &["c.0"],
        &["d.0"],
        &["e.0"],
        &["f.0"],
    ];
    assert_eq!(passes, wanted);
    let text = dataflow.to_string();
    assert!(
        text.contains("one pass over s groups for a.0, b.0, g.0"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_kept_exact_is_refused_with_advice() {
    let cases = [
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, random() AS r FROM s GROUP BY k",
            "random() changes by itself",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, sum(at - TIMESTAMP '2026-01-01 00:00:00') AS t FROM s GROUP BY k",
            "take sum(extract(epoch FROM …))",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, approx_percentile_cont_with_weight(x, n, 0.5) AS m FROM s GROUP BY k",
            "approx_percentile_cont",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, (SELECT i.n FROM s i WHERE i.k = s.k) AS n FROM s",
            "write max(…) of the value, or ORDER BY … LIMIT 1",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM CUMULATE(s, at, INTERVAL '2' MINUTE, INTERVAL '3' MINUTE) GROUP BY k",
            "must be a multiple",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM (WITH f AS (SELECT at, k FROM s WHERE n > 1) SELECT window_start, count(*) AS c FROM TUMBLE(F, at, INTERVAL '1' MINUTE) GROUP BY window_start) AS i",
            "write it as CREATE VIEW F",
        ),
        (
            "CREATE TABLE t AS SELECT *, unnest(make_array(n, 1)) AS element FROM s",
            "one by one",
        ),
        ("DROP TABLE s", "does not belong in a dataflow"),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT nope FROM s GROUP BY nope",
            "nope",
        ),
    ];
    for (statement, expected) in cases {
        let error = planned(statement).expect_err(statement).to_string();
        assert!(
            error.contains(expected),
            "{statement}\n  said: {error}\n  not: {expected}"
        );
        assert!(
            error.contains("line 2"),
            "{statement}\n  said no position: {error}"
        );
    }
}

#[test]
fn stored_times_are_of_one_kind() {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let dataflow = planned(
        "CREATE TABLE t AS SELECT at, k, n, x, to_timestamp_millis(_epoch) AS seen FROM s;
         CREATE MATERIALIZED VIEW v AS SELECT k, max(to_timestamp_seconds(n)) AS newest FROM s GROUP BY k",
    )
    .unwrap_or_else(|it| panic!("{it}"));
    for (schema, column) in [
        (dataflow.tables[0].plan.schema(), "seen"),
        (dataflow.views[0].plan.schema(), "newest"),
    ] {
        let field = schema.field_with_name(column).expect("the column is there");
        assert_eq!(*field.data_type(), time, "{column}");
    }
}

#[test]
fn values_of_variables_are_of_the_form_of_their_defaults() {
    let text = "\n\nSELECT ${N:-1000}, '${T:-10}', ${E:-0.2}, '${NAME:-any}'";
    let fill = |value: &str| {
        syntax::fill_in(text, |it| {
            (it != "NAME" || value == "x y").then(|| value.to_owned())
        })
    };
    assert_eq!(fill("7").unwrap(), "\n\nSELECT 7, '7', 7, 'any'");
    for (value, said) in [
        ("abc", "must be a number"),
        ("-5", "must not be negative"),
        ("", "must be a number"),
        ("inf", "must be a number"),
    ] {
        let error = fill(value).expect_err(value).to_string();
        assert!(
            error.contains("line 3: variable N is") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn variables_are_filled_in() {
    let filled =
        syntax::fill_in("a ${X} ${Y:-7}", |it| (it == "X").then(|| "1".to_owned())).unwrap();
    assert_eq!(filled, "a 1 7");
    let error = syntax::fill_in("\n${MISSING}", |_| None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2") && error.contains("MISSING"),
        "{error}"
    );
}

#[test]
fn a_plan_says_what_it_keeps_and_what_grows() {
    let plan = |query: &str| {
        let statement = format!("CREATE MATERIALIZED VIEW v AS {query}");
        let dataflow = planned(&statement).expect(query);
        dataflow.to_string()
    };
    for (query, said) in [
        (
            "SELECT a.k, c.n FROM s a LEFT JOIN s c ON a.k = c.k AND a.n < c.n",
            "Left join on k = k where left.n < right.n; keeps both sides, for ever",
        ),
        (
            "SELECT a.k, c.n FROM s a JOIN s c ON a.k = c.k",
            "view v keeps the records of s for its join",
        ),
        (
            "SELECT a.window_start, a.c FROM (SELECT window_start, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start) a JOIN (SELECT window_start, max(x) AS x FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start) b ON a.window_start = b.window_start",
            "keeps both sides until the watermark passes their window",
        ),
        (
            "SELECT a.k, b.n FROM s a JOIN (SELECT max(n) AS n, window_end AS e FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_end) b ON a.n = b.n WHERE a.at BETWEEN b.e - INTERVAL '1' MINUTE AND b.e",
            "keeps both sides until the watermark passes the last time that can match",
        ),
        (
            "WITH w AS (SELECT k, count(*) AS c, window_start AS e FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY k, window_start) SELECT a.k, a.c, b.c AS before FROM w a LEFT JOIN w b ON a.k = b.k AND a.e = b.e + INTERVAL '1' MINUTE",
            "keeps both sides until the watermark passes the last time that can match",
        ),
        (
            "SELECT a.k, b.n FROM s a JOIN (SELECT max(n) AS n, window_end AS e FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_end) b ON a.n = b.n WHERE a.at > b.e",
            "keeps both sides, for ever",
        ),
        (
            "SELECT k, n FROM s QUALIFY row_number() OVER (PARTITION BY k ORDER BY at) <= 3",
            "keeps its rows up to rank 3",
        ),
        (
            "SELECT k, lag(n) OVER (PARTITION BY k ORDER BY at) AS n FROM s",
            "and computes a group anew when it changes",
        ),
        (
            "SELECT window_start, median(x) AS x FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start",
            "keeps its rows until the watermark passes their window",
        ),
        (
            "SELECT window_end, sum(n) AS n FROM HOP(s, at, INTERVAL '1' MINUTE, INTERVAL '3' MINUTE) WHERE n > 1 GROUP BY window_end",
            "counts each record in 3 windows",
        ),
        (
            "SELECT window_start, max(window_end) AS e FROM HOP(s, at, INTERVAL '1' MINUTE, INTERVAL '3' MINUTE) GROUP BY window_start",
            "Union of 3",
        ),
        (
            "SELECT k, n FROM s",
            "single records, each final when it comes",
        ),
        (
            "SELECT k FROM s WHERE n IN (SELECT n FROM s)",
            "Semi join on n = n",
        ),
    ] {
        let text = plan(query);
        assert!(text.contains(said), "{query}\n{text}");
    }
    let bounded = plan("SELECT k, count(*) AS c FROM s GROUP BY k");
    assert!(!bounded.contains("memory grows"), "{bounded}");
}

#[test]
fn a_star_stands_for_what_a_relation_declares() {
    let columns = |query: &str| {
        let statement =
            format!("CREATE VIEW p AS SELECT * FROM s; CREATE MATERIALIZED VIEW v AS {query}");
        let dataflow = planned(&statement).expect(query);
        let schema = dataflow.view("v").expect("it is there").plan.schema();
        let names: Vec<String> = schema.fields().iter().map(|it| it.name().clone()).collect();
        names.join(" ")
    };
    assert_eq!(columns("SELECT * FROM s"), "at k n x");
    assert_eq!(columns("SELECT * FROM p WHERE n > 1"), "at k n x");
    assert_eq!(
        columns("SELECT b.*, a.k AS c FROM s a JOIN p b ON a.n = b.n"),
        "at k n x c"
    );
    let windows = "SELECT * FROM TUMBLE(s, at, INTERVAL '1' MINUTE)";
    assert_eq!(columns(windows), "at k n x window_start window_end");
    assert_eq!(columns("SELECT k, _offset FROM s"), "k _offset");
    let refused = planned("CREATE MATERIALIZED VIEW v AS SELECT * FROM s WHERE _offset > 1");
    let refused = refused.expect_err("it is not clear").to_string();
    assert!(
        refused.contains("name all columns instead of *"),
        "{refused}"
    );
}

#[test]
fn fields_of_a_struct_are_columns_by_their_names() {
    const EVENTS: &str = "CREATE SOURCE nx (kind INT, bid STRUCT(auction BIGINT, price BIGINT), date_time TIMESTAMP, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) FORMAT JSON; CREATE VIEW bid AS SELECT (bid).auction, (bid).price, date_time FROM nx WHERE kind = 2;";
    let columns = |query: &str| {
        let statement = format!("{EVENTS} CREATE MATERIALIZED VIEW v AS {query}");
        let dataflow = planned(&statement).expect(query);
        let schema = dataflow.view("v").expect("it is there").plan.schema();
        let names: Vec<String> = schema.fields().iter().map(|it| it.name().clone()).collect();
        names.join(" ")
    };
    for (query, expected) in [
        (
            "SELECT bid.auction, n.bid.price, (n.bid).price AS p FROM nx AS n",
            "auction price p",
        ),
        ("SELECT (bid).*, kind FROM nx", "auction price kind"),
        (
            "SELECT n.bid.*, kind FROM nx AS n WHERE bid IS NOT NULL",
            "auction price kind",
        ),
        ("SELECT (n . bid) . * FROM nx AS n", "auction price"),
        ("SELECT (bid).* FROM bid", "auction price date_time"),
        (
            "WITH b AS (SELECT bid.* FROM nx) SELECT auction, max(price) AS most FROM b GROUP BY auction",
            "auction most",
        ),
        (
            "SELECT auction, count(*) AS c FROM TUMBLE(bid, date_time, INTERVAL '1' MINUTE) GROUP BY auction, window_start, window_end",
            "auction c",
        ),
    ] {
        assert_eq!(columns(query), expected, "{query}");
    }
}

#[test]
fn windows_are_over_sub_queries_and_rows_of_windows() {
    let plan = |query: &str| planned(&format!("CREATE MATERIALIZED VIEW v AS {query}"));
    const PER_MINUTE: &str = "SELECT window_time, k, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end, window_time, k";
    for query in [
        "SELECT window_start, count(*) AS c FROM TUMBLE((SELECT at, k FROM s WHERE n > 1), at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end".to_owned(),
        "SELECT b.k, TUMBLE_START(b.p, INTERVAL '1' MINUTE) AS s, count(*) AS c FROM (SELECT *, at AS p FROM s) AS b GROUP BY b.k, TUMBLE(b.p, INTERVAL '1' MINUTE)".to_owned(),
        PER_MINUTE.replace("window_time, k, count", "window_start, window_time, k, count"),
        format!("WITH m AS ({PER_MINUTE}) SELECT window_start, window_end, sum(c) AS c FROM TUMBLE(m, window_time, INTERVAL '1' HOUR) GROUP BY window_start, window_end"),
        format!("SELECT TUMBLE_START(window_time, INTERVAL '1' HOUR) AS s, sum(c) AS c FROM ({PER_MINUTE}) AS m GROUP BY TUMBLE(window_time, INTERVAL '1' HOUR)"),
        "WITH q (t, g) AS (SELECT at, k FROM s) SELECT g, window_start, count(*) AS c FROM TUMBLE(q, t, INTERVAL '1' MINUTE) GROUP BY g, window_start, window_end".to_owned(),
        "SELECT window_start, count(*) AS c FROM TUMBLE((SELECT at FROM s UNION ALL SELECT at FROM s), at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end".to_owned(),
    ] {
        plan(&query).expect(&query);
    }
    // Records, of which it would not be known whether they come too late.
    for query in [
        "SELECT window_start, count(*) AS c FROM TUMBLE((SELECT at + INTERVAL '1' HOUR AS later FROM s), later, INTERVAL '1' MINUTE) GROUP BY window_start, window_end",
        "SELECT window_start, count(*) AS c FROM TUMBLE((SELECT a.at FROM s AS a JOIN s AS b ON a.k = b.k), at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end",
    ] {
        let refused = plan(query).expect_err(query).to_string();
        assert!(
            refused.contains("the event-time column of a source"),
            "{query}: {refused}"
        );
    }
}

#[test]
fn times_are_compared_with_now_in_any_direction() {
    let plan = |condition: &str| {
        let query = format!("CREATE MATERIALIZED VIEW v AS SELECT k, at FROM s WHERE {condition}");
        planned(&query).map(|it| it.view("v").expect("it is there").to_string())
    };
    for (condition, said) in [
        (
            "at > now() - INTERVAL '1' MINUTE",
            "at is of the last 1 min in steps of 100 ms",
        ),
        (
            "now() - INTERVAL '1' MINUTE < at",
            "at is of the last 1 min",
        ),
        (
            "now() - at < INTERVAL '1' MINUTE",
            "at is of the last 1 min",
        ),
        (
            "at < now() - INTERVAL '1' MINUTE",
            "at + 60000001 µs <= now()",
        ),
        (
            "at + INTERVAL '1' MINUTE <= current_timestamp",
            "<= now(); keeps rows that wait",
        ),
        (
            "at > now()",
            "now() < at; keeps rows until their time is up",
        ),
        (
            "at BETWEEN now() - INTERVAL '2' SECOND AND now()",
            "at is of the last 2000001 µs in steps of 100 ms and at <= now()",
        ),
        (
            "now() BETWEEN at AND at + INTERVAL '1' HOUR",
            "at <= now() and now() < ",
        ),
        (
            "at > now() - INTERVAL '1' MINUTE OR k = 'a'",
            "+ 1 min; keeps rows until their time is up",
        ),
        (
            "at > mz_now() - INTERVAL '1' SECOND * 60",
            "at is of the last 1 min",
        ),
        ("at <= localtimestamp", "at <= now()"),
        (
            "date_trunc('day', at) >= date_trunc('day', now())",
            "now() < ",
        ),
        (
            "at::date BETWEEN current_date - INTERVAL '7' DAY AND current_date",
            "now() < ",
        ),
        ("at < now()::date", "<= now()"),
        ("NOT (at > now() - INTERVAL '1' MINUTE)", "<= now()"),
    ] {
        let text = plan(condition).unwrap_or_else(|it| panic!("{condition}: {it}"));
        assert!(text.contains(said), "{condition}\n{text}");
    }
    for (condition, said) in [
        (
            "at > now() - INTERVAL '1' MINUTE OR at <= now() - INTERVAL '2' MINUTE",
            "joined by AND",
        ),
        ("at > now() - INTERVAL '1' MONTH", "now() changes by itself"),
        ("extract(hour from now()) = 3", "now() changes by itself"),
    ] {
        let refused = plan(condition).err().map(|it| it.to_string());
        let refused = refused.unwrap_or_default();
        assert!(refused.contains(said), "{condition}: {refused}");
    }
    let windows = "CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) WHERE at < now() GROUP BY window_start";
    let refused = planned(windows).err().map(|it| it.to_string());
    assert!(refused.is_some_and(|it| it.contains("two clocks")));
}

#[test]
fn a_source_with_a_key_is_read_as_its_latest_rows() {
    let of = |declared: &str, with: &str, rest: &str| {
        let text = format!(
            "CREATE SOURCE u (id INT, name TEXT, at TIMESTAMP NOT NULL{declared}) {with} FORMAT JSON;\n{rest}"
        );
        planned(&text)
    };
    let view = "CREATE TABLE log AS SELECT id, name FROM u; CREATE MATERIALIZED VIEW v AS SELECT * FROM u WHERE name <> ''";
    let dataflow = of(", PRIMARY KEY (id)", "", view).expect("it has a key");
    let columns = |name: &str| {
        let table = dataflow.tables.iter().find(|it| it.name == name);
        let plan = table.map_or_else(|| &dataflow.view(name).expect(name).plan, |it| &it.plan);
        let names = plan.schema();
        let names = names.fields().iter().map(|it| it.name().clone());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(columns("v"), "id name at");
    assert_eq!(columns("log"), "id name _partition _offset _epoch _deleted");
    let meaning = |dataflow: &Dataflow| dataflow.definitions.views["v"].meaning.clone();
    let others = [
        of(", PRIMARY KEY (id, name)", "", view),
        of(", PRIMARY KEY (id)", "WITH (version = 'at')", view),
        of(
            ", PRIMARY KEY (id)",
            "WITH (delete_when = 'name IS NULL')",
            view,
        ),
    ];
    for other in others {
        assert_ne!(meaning(&other.expect("it has a key")), meaning(&dataflow));
    }
    let same = of(", PRIMARY KEY (id) NOT ENFORCED", "", view).expect("it has a key");
    assert_eq!(meaning(&same), meaning(&dataflow));
    for (declared, with, rest, said) in [
        (", PRIMARY KEY (nope)", "", view, "no such column"),
        (", PRIMARY KEY (id, id)", "", view, "twice"),
        (
            ", PRIMARY KEY (id), PRIMARY KEY (name)",
            "",
            view,
            "one PRIMARY KEY",
        ),
        (
            ", PRIMARY KEY (id)",
            "WITH (version = 'nope')",
            view,
            "no such column",
        ),
        (
            ", PRIMARY KEY (id)",
            "WITH (delete_when = 'nope')",
            view,
            "delete_when",
        ),
        (
            ", PRIMARY KEY (id)",
            "WITH (delete_when = 'id')",
            view,
            "delete_when",
        ),
        ("", "WITH (version = 'at')", view, "PRIMARY KEY"),
        (
            ", PRIMARY KEY (id)",
            "",
            "CREATE MATERIALIZED VIEW v AS WITH u AS (SELECT 1 AS k) SELECT * FROM u",
            "another name",
        ),
        (
            ", PRIMARY KEY (id), WATERMARK FOR at AS at",
            "",
            "CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS c FROM TUMBLE(u, at, INTERVAL '1' MINUTE) GROUP BY window_start",
            "CREATE TABLE u_log AS",
        ),
    ] {
        let refused = of(declared, with, rest).err().map(|it| it.to_string());
        let refused = refused.unwrap_or_default();
        assert!(
            refused.contains(said),
            "{declared} {with} {rest}: {refused}"
        );
    }
}

#[test]
fn rows_of_sessions_are_let_go() {
    let view = |from: &str| {
        let text = format!(
            "CREATE MATERIALIZED VIEW v AS SELECT k, window_end, max(x) AS x FROM {from} GROUP BY k, window_start, window_end"
        );
        planned(&text)
            .map(|it| it.to_string())
            .expect("it is planned")
    };
    let plan = view("SESSION(s PARTITION BY k, at, INTERVAL '1' MINUTE)");
    let said = "keeps its rows until the watermark passes their session";
    assert!(plan.contains(said), "{plan}");
    // Records that come late could change any session.
    let plan = view(
        "(SELECT k, x, session_start(at, 60000000) OVER (PARTITION BY k) AS window_start, session_end(at, 60000000) OVER (PARTITION BY k) AS window_end FROM s) AS w",
    );
    assert!(plan.contains("keeps its rows, for ever"), "{plan}");
}

/// What columns of views mean follows from what they are made of, and from comments.
#[test]
fn meanings_follow_the_query() {
    let text = "
        CREATE SOURCE orders (placed TIMESTAMP NOT NULL, shop TEXT, total DOUBLE, took_ms DOUBLE, state INT,
          WATERMARK FOR placed AS placed - INTERVAL '1' SECOND) FORMAT JSON;
        COMMENT ON COLUMN orders.total IS '[role = money, unit = EUR] What was paid';
        COMMENT ON TABLE orders IS 'What was bought';
        CREATE TABLE bought AS SELECT placed, shop, total, took_ms, state, total > 100 AS is_large FROM orders;
        CREATE MATERIALIZED VIEW sales AS
          SELECT window_start AS at, shop, count(*) AS n, count(*) FILTER (WHERE is_large) AS large, sum(total) AS turnover, avg(total) AS mean,
            approx_percentile_cont(took_ms, 0.95) AS slow, count(DISTINCT state) AS states,
            100.0 * CAST(count(*) FILTER (WHERE is_large) AS DOUBLE) / CAST(count(*) AS DOUBLE) AS part
          FROM TUMBLE(bought, placed, INTERVAL '1' MINUTE) GROUP BY window_start, shop;
        CREATE MATERIALIZED VIEW best AS SELECT shop, sum(turnover) AS turnover FROM sales GROUP BY shop ORDER BY turnover DESC LIMIT 3;
    ";
    let dataflow = block_on(plan_text("t", text, |_| None)).expect("it can be planned");
    let told = |relation: &str| -> Vec<String> {
        let meanings = dataflow.meanings(relation).into_iter();
        let told = meanings.map(|it| {
            let statistic = it.statistic.map(|it| format!(" {}", it.name()));
            let unit = it.unit.map(|it| format!(" {it}"));
            format!(
                "{}{}{}",
                it.role.name(),
                unit.unwrap_or_default(),
                statistic.unwrap_or_default()
            )
        });
        told.collect()
    };
    assert_eq!(
        told("sales"),
        [
            "time",
            "key",
            "count count",
            "count count_if",
            "money EUR sum",
            "money EUR mean",
            "duration ms p95",
            "count distinct",
            "share %"
        ]
    );
    assert_eq!(told("best"), ["key", "money EUR sum"]);
    let meanings = dataflow.named_meanings("orders");
    assert_eq!(meanings["total"].comment.as_deref(), Some("What was paid"));
    assert_eq!(dataflow.named_meanings("sales")["turnover"].comment, None);
}

/// What is only passed on keeps role, unit and comment, through whatever passes it on; what is computed keeps what follows from the query.
#[test]
fn what_a_query_passes_on_means_what_it_meant() {
    let text = "
        CREATE SOURCE orders (id BIGINT, at TIMESTAMP NOT NULL, shop TEXT, total DOUBLE, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
        COMMENT ON COLUMN orders.total IS '[role = money, unit = EUR] What was paid';
        COMMENT ON COLUMN orders.shop IS 'Where';
        CREATE TABLE bought AS SELECT id, at, shop, total FROM orders;
        CREATE VIEW large AS SELECT shop AS place, total, total + 1 AS more, upper(shop) AS shop FROM bought WHERE total > 100;
        COMMENT ON COLUMN large.place IS 'In which shop';
        COMMENT ON COLUMN large.total IS '[unit = USD]';
        CREATE VIEW sums AS SELECT shop, count(*) AS n, avg(total) AS mean FROM bought GROUP BY shop;
        CREATE MATERIALIZED VIEW places AS SELECT place, count(*) AS n, max(total) AS most FROM large GROUP BY place;
        CREATE MATERIALIZED VIEW sides AS SELECT shop, total FROM bought WHERE total < 1 UNION ALL SELECT shop, total FROM bought WHERE total > 5;
        CREATE MATERIALIZED VIEW mixed AS SELECT shop AS k FROM bought UNION ALL SELECT CAST(id AS TEXT) AS k FROM bought;
        CREATE MATERIALIZED VIEW ranked AS SELECT b.shop, b.total AS paid, row_number() OVER (PARTITION BY b.shop ORDER BY b.total DESC) AS n FROM bought b;
        CREATE MATERIALIZED VIEW minutes AS
          SELECT window_start, shop, count(*) AS n FROM TUMBLE(bought, at, INTERVAL '1' MINUTE) GROUP BY window_start, shop;
    ";
    let dataflow = block_on(plan_text("t", text, |_| None)).expect("it can be planned");
    let told = |relation: &str| -> Vec<String> {
        let named = dataflow.named_meanings(relation).into_iter();
        let told = named.map(|(name, it)| {
            let unit = it.unit.map(|it| format!(" {it}")).unwrap_or_default();
            let comment = it.comment.map(|it| format!(": {it}")).unwrap_or_default();
            format!("{name} {}{unit}{comment}", it.role.name())
        });
        told.collect()
    };
    assert_eq!(
        told("large"),
        [
            "more money EUR",
            "place key: In which shop",
            "shop key",
            "total money USD: What was paid"
        ]
    );
    assert_eq!(
        told("sums"),
        ["mean money EUR", "n count", "shop key: Where"]
    );
    assert_eq!(
        told("places"),
        ["most money EUR", "n count", "place key: In which shop"]
    );
    let sides = ["shop key: Where", "total money EUR: What was paid"];
    assert_eq!(told("sides"), sides);
    assert_eq!(told("mixed"), ["k key"]);
    let ranked = [
        "n measure",
        "paid money EUR: What was paid",
        "shop key: Where",
    ];
    assert_eq!(told("ranked"), ranked);
    let minutes = ["n count", "shop key: Where", "window_start time"];
    assert_eq!(told("minutes"), minutes);
}

/// What is said of columns of plain views is told of answers that read them.
#[test]
fn comments_on_plain_views_are_told_of_answers() {
    let text = "
        CREATE SOURCE s (at TIMESTAMP NOT NULL, n INT, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
        CREATE TABLE t AS SELECT at, n FROM s;
        CREATE VIEW v AS SELECT n AS paid, n AS other FROM t;
        COMMENT ON COLUMN v.paid IS '[role = money, unit = EUR] What was paid';
    ";
    let dataflow = block_on(plan_text("t", text, |_| None)).expect("it can be planned");
    let field = |name| Field::new(name, DataType::Int32, true);
    let fields = Fields::from(vec![field("paid"), field("other")]);
    let told = |relations: &[&str]| -> Vec<_> {
        let all = dataflow.meanings_of_answer(relations, &fields).into_iter();
        all.map(|it| (it.role.name(), it.unit, it.comment))
            .collect()
    };
    let paid = (
        "money",
        Some("EUR".to_owned()),
        Some("What was paid".to_owned()),
    );
    assert_eq!(told(&["v"])[0], paid);
    assert_eq!(told(&["v"])[1].2, None);
    assert_ne!(told(&["t"])[0], paid);
}

#[test]
fn comments_are_on_what_is_there() {
    let source = "CREATE SOURCE s (at TIMESTAMP NOT NULL, n INT, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;\n";
    for (comment, said) in [
        (
            "COMMENT ON COLUMN s.m IS 'x'",
            "has no column `m`; it has: at, n",
        ),
        ("COMMENT ON COLUMN t.n IS 'x'", "there is no relation `t`"),
        ("COMMENT ON COLUMN n IS 'x'", "is named with its relation"),
        ("COMMENT ON TABLE s IS '[role = time]'", "are of columns"),
        ("COMMENT ON ROLE s IS 'x'", "not on ROLE"),
        ("COMMENT ON COLUMN s.n IS NULL", "a comment is a text"),
    ] {
        let refused =
            block_on(plan_text("t", &format!("{source}{comment};"), |_| None)).expect_err(comment);
        let refused = refused.to_string();
        assert!(
            refused.contains(said) && refused.contains("line 2"),
            "{comment}: {refused}"
        );
    }
}

/// What of a view is tried out while it is planned takes of no task's share, of which a runtime gives it no more until it yields.
#[test]
fn any_number_of_views_is_planned_by_one_task() {
    let views = (0..150).map(|it| {
        format!("CREATE MATERIALIZED VIEW v{it} AS SELECT n, sum(n) OVER (PARTITION BY k) AS of_k FROM s WHERE n > {it};\n")
    });
    let dataflow = planned(&views.collect::<String>()).unwrap_or_else(|it| panic!("{it}"));
    assert!((0..150).all(|it| dataflow.view(&format!("v{it}")).is_some()));
}

/// Columns such as an hour of the day tell records of two times apart, whatever happened.
#[test]
fn what_follows_from_the_event_time_is_known() {
    let text = "
CREATE SOURCE events (at TIMESTAMP NOT NULL, seen TIMESTAMP, n BIGINT, WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH (connector = 'kafka', brokers = 'none', topic = 'none') FORMAT JSON;
CREATE TABLE records AS SELECT at, n, date_part('hour', at) AS hour,
  CASE WHEN date_part('hour', at) < 9 THEN 'night' ELSE 'day' END AS part,
  date_part('hour', seen) AS hour_seen, date_part('hour', at) + n AS mixed, 7 AS constant FROM events;";
    let dataflow = block_on(plan_text("test", text, |_| None)).unwrap_or_else(|it| panic!("{it}"));
    let table = dataflow.tables.iter().find(|it| it.name == "records");
    let table = table.expect("it is declared");
    let schema = table.plan.schema();
    let names = schema.fields().iter().enumerate();
    let following = names.filter(|it| table.follows_time(it.0));
    let following: Vec<&str> = following.map(|it| it.1.name().as_str()).collect();
    assert_eq!(following, ["hour", "part"]);
}
