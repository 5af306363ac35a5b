//! Which records an example query asks for, by the metric and the view.

use super::*;

const VIEW: &str = "SELECT window_start AS w, upper(shop) AS shop, count(*) AS orders, count(*) FILTER (WHERE failed OR lost) AS failures, \
    avg(took) FILTER (WHERE NOT lost) AS mean, approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS p95, sum(bytes) AS bytes, count(DISTINCT ip) AS visitors, max(took) - min(took) AS spread \
    FROM TUMBLE(o, at, INTERVAL '1' MINUTE) AS t WHERE paid OR free GROUP BY 1, 2";

fn watched(view_sql: &str, argument: &str) -> Watched {
    Watched {
        view: "per_minute".to_owned(),
        view_sql: view_sql.to_owned(),
        input_sql: format!(
            "SELECT \"shop\", \"w\", CAST({argument} AS DOUBLE) AS \"_0\" FROM \"per_minute\""
        ),
        bound: "w".to_owned(),
        table: "Orders".to_owned(),
        reads_table: true,
        plain_views: vec!["paid".to_owned()],
    }
}

fn asked(argument: &str, by_value: Option<Extreme>) -> ExampleQuery {
    let wanted = Examples {
        key: &[("shop".to_owned(), Some("O'HARE".to_owned()))],
        carrier: &[
            ("country".to_owned(), Some("PT".to_owned())),
            ("card".to_owned(), None),
        ],
        argument: 0,
        by_value,
        range_us: (0, 120_000_000),
        peak_us: (60_000_000, 120_000_000),
        columns: &[
            "_partition".to_owned(),
            "_offset".to_owned(),
            "my\"card".to_owned(),
        ],
        limit: 5,
    };
    query(&watched(VIEW, argument), &wanted).expect("it is of the form")
}

#[test]
fn the_records_of_a_row_are_asked_for_the_peak_first() {
    let ExampleQuery {
        sql,
        counted,
        by_value,
    } = asked("failures", None);
    assert_eq!(
        sql,
        "SELECT \"_partition\", \"_offset\", \"my\"\"card\" FROM TUMBLE(lake.\"Orders\", at, INTERVAL '1' MINUTE) AS t \
         WHERE (paid OR free) AND at >= CAST('1970-01-01T00:00:00Z' AS TIMESTAMP) AND at < CAST('1970-01-01T00:02:00Z' AS TIMESTAMP) \
         AND CAST((upper(shop)) AS TEXT) = 'O''HARE' AND CAST(\"country\" AS TEXT) = 'PT' AND \"card\" IS NULL AND (failed OR lost) \
         ORDER BY CASE WHEN at >= CAST('1970-01-01T00:01:00Z' AS TIMESTAMP) AND at < CAST('1970-01-01T00:02:00Z' AS TIMESTAMP) THEN 0 ELSE 1 END, \
         \"_partition\", \"_offset\" LIMIT 5"
    );
    assert_eq!(
        (counted.as_deref(), by_value),
        (Some("failed OR lost"), None)
    );
}

#[test]
fn what_a_metric_counts_is_read_from_the_view() {
    for (argument, counted) in [
        ("orders", None),
        ("bytes", Some("(bytes) <> 0")),
        ("visitors", Some("(ip) IS NOT NULL")),
        // Of several columns, or of an expression, nothing is known.
        ("orders - failures", None),
        ("spread", None),
        ("absent", None),
    ] {
        assert_eq!(
            asked(argument, None).counted.as_deref(),
            counted,
            "{argument}"
        );
    }
}

#[test]
fn the_slowest_records_come_first_where_a_value_is_aggregated() {
    for (argument, extreme, order) in [
        ("mean", Extreme::Largest, "END, took DESC, \"_partition\""),
        ("p95", Extreme::Smallest, "END, took ASC, \"_partition\""),
        ("orders", Extreme::Largest, "END, \"_partition\""),
        ("spread", Extreme::Largest, "END, \"_partition\""),
    ] {
        let ExampleQuery { sql, .. } = asked(argument, Some(extreme));
        assert!(sql.contains(order), "{argument}: {sql}");
    }
    let ExampleQuery {
        sql,
        counted,
        by_value,
    } = asked("mean", Some(Extreme::Largest));
    assert!(
        sql.contains("(NOT lost) AND (took) IS NOT NULL ORDER BY"),
        "{sql}"
    );
    assert_eq!(
        (counted.as_deref(), by_value.as_deref()),
        (Some("NOT lost"), Some("took"))
    );
}

#[test]
fn a_view_of_another_form_is_refused() {
    let wanted = Examples {
        key: &[("shop".to_owned(), None)],
        carrier: &[],
        argument: 0,
        by_value: None,
        range_us: (0, 1),
        peak_us: (0, 1),
        columns: &[],
        limit: 5,
    };
    for (view, why) in [
        (
            "SELECT window_start, shop FROM per_second GROUP BY window_start, shop",
            "is another",
        ),
        (
            "SELECT window_start, count(*) FROM TUMBLE(o, at, INTERVAL '1' MINUTE) GROUP BY window_start",
            "`shop`",
        ),
        (
            "SELECT window_start, shop FROM TUMBLE(paid, at, INTERVAL '1' MINUTE) GROUP BY window_start, shop",
            "`per_minute` reads the plain view `paid`",
        ),
    ] {
        let refused = query(&watched(view, "orders"), &wanted).expect_err(view);
        assert!(refused.contains(why), "{refused}");
    }
}
