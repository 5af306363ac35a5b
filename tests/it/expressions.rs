//! Whatever expression stands in a key or an argument: either the dataflow is refused in one sentence, or it runs, and
//! its views are what DataFusion computes over the archived records.
//!
//! Expressions are made at random, of all types that SQL has here, also of those that rows cannot carry. They are made so
//! that none fails for a record; what becomes of records for which one does is held in `refused`.

use super::oracle::{Scenario, Subject, check, runtime, small_record};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use tidelake::plan::Dataflow;
use tidelake::sql;

const SOURCE: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, j INT, n BIGINT, x DOUBLE, b BOOLEAN, d DATE,
                 WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
";

/// Cases of which less than this share is let through would prove little.
const TAKEN_MIN_PERCENT: u32 = 40;

type Sql = BoxedStrategy<String>;

fn fixed(all: &'static [&'static str]) -> Sql {
    prop::sample::select(all).prop_map(str::to_owned).boxed()
}

/// Expressions of each kind, up to a depth.
struct Kinds {
    integer: Sql,
    double: Sql,
    text: Sql,
    flag: Sql,
    time: Sql,
    date: Sql,
}

impl Kinds {
    fn leaves() -> Self {
        Kinds {
            integer: fixed(&["n", "j", "1", "-7", "_partition", "length(k)"]),
            double: fixed(&["x", "0.5", "-3e2"]),
            text: fixed(&["k", "'é'", "''"]),
            flag: fixed(&["b", "true", "k IS NULL"]),
            time: fixed(&["at", "TIMESTAMP '2026-01-31T12:00:00Z'"]),
            date: fixed(&["d", "DATE '2026-02-01'"]),
        }
    }

    fn of(depth: usize) -> Self {
        if depth == 0 {
            return Kinds::leaves();
        }
        let below = Kinds::of(depth - 1);
        let leaves = Kinds::leaves();
        let one = |of: &Sql, form: &'static str| {
            of.clone()
                .prop_map(move |a| form.replace("{a}", &a))
                .boxed()
        };
        let two = |a: &Sql, b: &Sql, form: &'static str| {
            (a.clone(), b.clone())
                .prop_map(move |(a, b)| form.replace("{a}", &a).replace("{b}", &b))
                .boxed()
        };
        let (int, double, text) = (&below.integer, &below.double, &below.text);
        let (flag, time, date) = (&below.flag, &below.time, &below.date);
        let any = |of: Vec<Sql>| prop::strategy::Union::new(of).boxed();
        Kinds {
            integer: any(vec![
                leaves.integer,
                two(int, int, "({a} + {b})"),
                two(int, int, "coalesce({a}, {b})"),
                two(flag, int, "CASE WHEN {a} THEN {b} ELSE 3 END"),
                one(int, "({a} % 7)"),
                one(int, "CAST(({a} % 1000) AS SMALLINT)"),
                one(int, "CAST(({a} % 100) AS INT)"),
                one(int, "arrow_cast(abs({a} % 100), 'UInt8')"),
                one(int, "arrow_cast(abs({a} % 100), 'UInt64')"),
                one(text, "length({a})"),
                one(time, "date_part('minute', {a})"),
                one(time, "CAST(date_part('hour', {a}) AS BIGINT)"),
            ]),
            double: any(vec![
                leaves.double,
                two(double, double, "({a} * {b})"),
                one(double, "CAST({a} AS REAL)"),
                one(double, "round({a})"),
                one(int, "CAST(({a} % 100) AS DOUBLE)"),
                one(int, "(({a} % 100) / 2.5)"),
                one(time, "date_part('epoch', {a})"),
            ]),
            text: any(vec![
                leaves.text,
                one(text, "upper({a})"),
                two(text, int, "concat({a}, '/', {b})"),
                one(int, "CAST({a} AS TEXT)"),
                one(time, "CAST({a} AS TEXT)"),
                one(text, "arrow_cast({a}, 'LargeUtf8')"),
                one(text, "arrow_cast({a}, 'Utf8View')"),
                one(text, "arrow_cast({a}, 'Dictionary(Int32, Utf8)')"),
            ]),
            flag: any(vec![
                leaves.flag,
                two(int, int, "({a} > {b})"),
                two(text, text, "({a} = {b})"),
                two(time, time, "({a} < {b})"),
                one(flag, "(NOT {a})"),
                one(int, "({a} IN (1, 2, -3))"),
            ]),
            time: any(vec![
                leaves.time,
                one(time, "date_bin(INTERVAL '15 minutes', {a})"),
                one(time, "date_trunc('second', {a})"),
                one(time, "CAST({a} AS TIMESTAMP)"),
                one(
                    time,
                    "(CAST({a} AS TIMESTAMP) AT TIME ZONE 'Europe/Berlin')",
                ),
                one(time, "({a} + INTERVAL '90 seconds')"),
                one(int, "to_timestamp({a} % 100000)"),
                one(int, "to_timestamp_seconds({a} % 100000)"),
                one(int, "to_timestamp_nanos({a} % 100000)"),
                one(date, "CAST({a} AS TIMESTAMP)"),
            ]),
            date: any(vec![
                leaves.date,
                one(time, "CAST({a} AS DATE)"),
                one(date, "arrow_cast({a}, 'Date64')"),
            ]),
        }
    }

    /// Of a type that rows carry, or can be made to.
    fn any(&self) -> Sql {
        let all = [
            &self.integer,
            &self.double,
            &self.text,
            &self.flag,
            &self.time,
            &self.date,
        ];
        prop::strategy::Union::new(all.map(Clone::clone)).boxed()
    }

    /// Of a type that is rare, or none by itself.
    fn other(&self) -> Sql {
        let of = |of: &Sql, form: &'static str| {
            of.clone()
                .prop_map(move |a| form.replace("{a}", &a))
                .boxed()
        };
        let all = vec![
            of(&self.integer, "CAST(({a} % 100) AS DECIMAL(10, 2))"),
            of(&self.time, "({a} - at)"),
            of(&self.time, "CAST({a} AS TIME)"),
            of(&self.text, "CAST({a} AS BYTEA)"),
            of(&self.integer, "make_array({a})"),
            of(&self.text, "named_struct('t', {a})"),
            fixed(&["INTERVAL '1 day'", "NULL"]),
        ];
        prop::strategy::Union::new(all).boxed()
    }
}

/// A view with random expressions in keys, arguments and conditions, some of them through a query within.
fn view() -> Sql {
    let kinds = Kinds::of(3);
    let any = prop_oneof![30 => kinds.any(), 1 => kinds.other()];
    let number = prop::strategy::Union::new([kinds.integer.clone(), kinds.double.clone()]);
    let flat = (any.clone(), any.clone(), any.clone(), any.clone(), number.clone(), kinds.flag.clone())
        .prop_map(|(key, other, a, b, number, flag)| {
            format!(
                "SELECT {key} AS k0, {other} AS k1, count({a}) AS c, min({a}) AS lo, max({b}) AS hi, count(DISTINCT {b}) AS ds, \
                 sum({number}) AS s, avg({number}) FILTER (WHERE {flag}) AS m FROM raw GROUP BY 1, 2"
            )
        });
    let nested = (any.clone(), any.clone(), any, kinds.flag).prop_map(|(key, other, a, flag)| {
        format!(
            "SELECT k0, count(*) AS c, max(hi) AS hi, min(k1) AS lo, count(DISTINCT hi) AS ds FROM \
             (SELECT {key} AS k0, {other} AS k1, max({a}) AS hi FROM raw WHERE {flag} GROUP BY 1, 2) AS i \
             WHERE k1 IS NOT NULL GROUP BY k0 HAVING count(*) > 0"
        )
    });
    prop_oneof![2 => flat, 1 => nested].boxed()
}

fn planned(view: &str) -> Result<Dataflow, String> {
    let text = format!("{SOURCE}CREATE MATERIALIZED VIEW v AS {view};");
    runtime()
        .block_on(sql::plan_text("expressions", &text, |_| None))
        .map_err(|it| it.to_string())
}

#[test]
fn what_is_let_through_runs_and_is_right() {
    let config = ProptestConfig {
        cases: 120,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (taken, refused) = (std::cell::Cell::new(0u32), std::cell::Cell::new(0u32));
    let cases = (view(), any::<u64>());
    let outcome = TestRunner::new(config).run(&cases, |(view, seed)| {
        match planned(&view) {
            Ok(dataflow) => {
                taken.set(taken.get() + 1);
                let subject = Subject {
                    dataflow: Arc::new(dataflow),
                    record: small_record,
                };
                let scenario = Scenario {
                    seed,
                    records: 60,
                    partitions: 2,
                    runs: vec![(1, 1), (1, 2)],
                };
                check(&subject, &scenario);
            }
            Err(reason) => {
                refused.set(refused.get() + 1);
                for foreign in ["Internal", "bug", "ParserError", "DataFusion", "coercion"] {
                    prop_assert!(!reason.contains(foreign), "{view}\n  said: {reason}");
                }
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (taken, refused) = (taken.get(), refused.get());
    println!("{taken} let through, {refused} refused");
    assert!(TAKEN_MIN_PERCENT * (taken + refused) <= 100 * taken);
}

/// Each of these ended the process at its first record.
const PROBES: &[&str] = &[
    "SELECT date_bin(INTERVAL '15 minutes', at) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT to_timestamp(n % 1000) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT CAST(at AS TIMESTAMP) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT (at AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Berlin' AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT CAST(j AS SMALLINT) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT CAST(x AS REAL) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT arrow_cast(abs(j), 'UInt32') AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT k, max(h) AS h FROM (SELECT k, j, date_bin(INTERVAL '1 hour', max(at)) AS h FROM raw GROUP BY 1, 2) AS i GROUP BY k",
    "SELECT k, count(DISTINCT q) AS c FROM (SELECT k, CAST(j AS SMALLINT) AS q, count(*) AS c FROM raw GROUP BY 1, 2) AS i GROUP BY k",
    "SELECT DISTINCT date_bin(INTERVAL '15 minutes', at) AS q, CAST(j AS SMALLINT) AS s FROM raw",
    "SELECT k, min(CAST(x AS REAL)) AS lo, max(CAST(j AS SMALLINT)) AS hi FROM raw GROUP BY k",
    "SELECT CAST(j AS DECIMAL(10, 2)) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT CAST(to_timestamp_nanos(n) AS TIME) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT make_array(to_timestamp_nanos(n)) AS q, count(*) AS c FROM raw GROUP BY 1",
    "SELECT k, max(q) AS m FROM (SELECT DISTINCT k, at - TIMESTAMP '2026-01-01T00:00:00Z' AS q FROM raw) AS i GROUP BY k",
    "SELECT k, count(*) AS m FROM (SELECT DISTINCT k, named_struct('k', k, 't', to_timestamp_nanos(n)) AS q FROM raw) AS i GROUP BY k",
    "SELECT k, count(DISTINCT make_array(j)) AS m, count(DISTINCT CAST(k AS BYTEA)) AS b FROM raw GROUP BY k",
];

#[test]
fn types_that_fit_are_carried() {
    for view in PROBES {
        let dataflow = planned(view).unwrap_or_else(|it| panic!("{view}\n  {it}"));
        let subject = Subject {
            dataflow: Arc::new(dataflow),
            record: small_record,
        };
        let scenario = Scenario {
            seed: 11,
            records: 80,
            partitions: 2,
            runs: vec![(1, 2), (1, 1)],
        };
        check(&subject, &scenario);
    }
}

#[test]
fn types_that_do_not_fit_are_refused_with_advice() {
    for (expression, advice) in [
        ("CAST(j AS DECIMAL(50, 2))", "CAST it to DECIMAL(38, 10)"),
        ("CAST(n AS DECIMAL(76, 0))", "38 digits"),
    ] {
        for view in [
            format!("SELECT {expression} AS q, count(*) AS c FROM raw GROUP BY 1"),
            format!(
                "SELECT k, max(q) AS m FROM (SELECT DISTINCT k, {expression} AS q FROM raw) AS i GROUP BY k"
            ),
            format!("SELECT k, count(DISTINCT {expression}) AS m FROM raw GROUP BY k"),
        ] {
            let error = planned(&view)
                .err()
                .unwrap_or_else(|| panic!("{view} was let through"));
            assert!(
                error.starts_with("line 5: ") && error.contains(advice),
                "{view}\n  said: {error}"
            );
        }
    }
}
