//! What dataflow texts become, and what is refused with which words.

use super::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

const SOURCE: &str = "CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n INT, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;\n";

fn planned(statement: &str) -> Result<Dataflow, Error> {
    block_on(plan_text("test", &format!("{SOURCE}{statement}"), |_| None))
}

#[test]
fn shipped_dataflows_can_be_planned() {
    for name in ["web_logs", "access_log"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("dataflows")
            .join(name);
        let dataflow = block_on(load(&folder, |_| None)).unwrap_or_else(|it| panic!("{it}"));
        println!("{dataflow}");
    }
}

#[test]
fn what_cannot_be_kept_exact_is_refused_with_advice() {
    let cases = [
        (
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM s",
            "without an aggregate",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, random() AS r FROM s GROUP BY k",
            "random() changes by itself",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, median(x) AS m FROM s GROUP BY k",
            "approx_percentile_cont",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY k, window_start",
            "window_start",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT a.k, count(*) AS c FROM s a JOIN s b ON a.k = b.k GROUP BY a.k",
            "joins are not maintained yet",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM HOP(s, at, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE) GROUP BY k",
            "windows are not supported yet",
        ),
        ("DROP TABLE s", "does not belong in a dataflow"),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT nope FROM s GROUP BY nope",
            "nope",
        ),
        (
            "CREATE TABLE t AS SELECT k, count(*), max(_partition) AS _partition, max(_offset) AS _offset, max(_epoch) AS _epoch FROM s GROUP BY k",
            "one by one",
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
