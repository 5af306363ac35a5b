//! What a detector is, and what is refused with which words.

use super::super::plan_text;
use crate::model::{Row, Value};
use crate::plan::{Dataflow, Detection, Grid, Plan, ViewKind};
use std::sync::Arc;

const SOURCES: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, shop TEXT, total DOUBLE, ok BOOLEAN, WATERMARK FOR at AS at - INTERVAL '30' SECOND)
  WITH (connector = 'files', path = 'x') FORMAT JSON;
CREATE TABLE orders AS SELECT * FROM s;
CREATE MATERIALIZED VIEW minutes AS
  SELECT window_start, shop, count(*) AS orders, count(*) FILTER (WHERE ok) AS paid, sum(total) AS total FROM TUMBLE(orders, at, INTERVAL '1' MINUTE) GROUP BY window_start, shop;
CREATE MATERIALIZED VIEW hops AS
  SELECT window_end, count(*) AS orders FROM HOP(orders, at, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) GROUP BY window_end;
CREATE MATERIALIZED VIEW days AS
  SELECT window_end, count(*) AS orders FROM TUMBLE(orders, at, INTERVAL '1' DAY, INTERVAL '6' HOUR) GROUP BY window_end;
CREATE MATERIALIZED VIEW shops AS SELECT shop, count(*) AS orders FROM orders GROUP BY shop;
CREATE MATERIALIZED VIEW nameless AS
  SELECT window_start, orders FROM minutes;
";

fn planned(detector: &str) -> Result<Dataflow, String> {
    let text = format!("{SOURCES}{detector};");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime");
    let planned = runtime.block_on(plan_text("shop", &text, |_| None));
    planned.map_err(|it| it.to_string())
}

fn detection(detector: &str) -> Arc<Detection> {
    let dataflow = planned(detector).unwrap_or_else(|it| panic!("{detector}: {it}"));
    match &dataflow.view("d").expect("it is a view").plan {
        Plan::Detect { detection, .. } => Arc::clone(detection),
        other => panic!("{other}"),
    }
}

#[test]
fn a_detector_is_two_views() {
    let dataflow = planned("CREATE DETECTOR d ON minutes METRICS (rate(orders), ratio(paid, orders) AS \"Paid\", latency(total / orders) AS basket)").unwrap();
    let columns = |view: &str| {
        let schema = dataflow.view(view).unwrap().plan.schema();
        let fields = schema.fields().iter();
        fields
            .map(|it| it.name().clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        columns("d"),
        "shop metric window_start window_end observed expected low high severity is_anomaly"
    );
    assert_eq!(
        columns("d_incidents"),
        "shop metric incident state since until closed_at windows severity peak_start observed expected low high summary"
    );
    let kind = |view: &str| dataflow.view(view).unwrap().kind;
    assert_eq!(
        kind("d"),
        ViewKind::Windowed {
            column: 2,
            add_us: 60_000_000
        }
    );
    assert_eq!(
        kind("d_incidents"),
        ViewKind::Windowed {
            column: 6,
            add_us: 0
        }
    );
}

#[test]
fn what_is_not_stated_follows_from_the_view() {
    let it = detection(
        "CREATE DETECTOR d ON minutes METRICS (rate(orders), ratio(paid, orders) AS \"Paid\", latency(total / orders) AS basket)",
    );
    let names: Vec<&str> = it.metrics.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["orders", "Paid", "basket"]);
    assert_eq!(
        it.grid,
        Grid {
            size_us: 60_000_000,
            offset_us: 0
        }
    );
    assert_eq!(
        (it.season_us, it.early_us),
        (Some(86_400_000_000), 30_000_000)
    );
    assert_eq!(it.keys, [0]);
    let it =
        detection("CREATE DETECTOR d ON days METRICS (rate(orders)) WITH (early = '5 seconds')");
    assert_eq!(
        it.grid,
        Grid {
            size_us: 86_400_000_000,
            offset_us: 21_600_000_000
        }
    );
    assert_eq!((it.season_us, it.early_us), (None, 5_000_000));
    let of_two = detection("CREATE DETECTOR d ON minutes METRICS (ratio(paid, orders)) KEY (shop)");
    assert_eq!(of_two.metrics[0].name, "paid / orders");
}

#[test]
fn refusals_say_what_to_write() {
    let refused = [
        (
            "CREATE DETECTOR d ON orders METRICS (rate(total))",
            "`orders` is no materialized view; a detector watches one that groups by windows",
        ),
        (
            "CREATE DETECTOR d ON shops METRICS (rate(orders))",
            "the rows of `shops` are not of windows that lie one behind the other",
        ),
        (
            "CREATE DETECTOR d ON hops METRICS (rate(orders))",
            "the rows of `hops` are not of windows that lie one behind the other",
        ),
        (
            "CREATE DETECTOR d ON nameless METRICS (rate(orders))",
            "which rows of a window of `nameless` are which is not known",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) KEY (town)",
            "KEY: `minutes` has no column `town`",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) KEY ()",
            "KEY lacks `shop`, by which `minutes` has several rows per window",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) KEY (shop, window_start)",
            "`window_start` is the window itself",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (sum(orders))",
            "`sum(orders)` is no metric; a metric is rate(count), ratio(failures, all), latency(time), value(number), drift(number), novelty(number), series(number) or outlier(number, number, …)",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (ratio(paid))",
            "`ratio(paid)` is no metric",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders), value(orders))",
            "two metrics are called orders; rename one with AS",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders) AS \"new\")",
            "`new` is the metric of keys that are new",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(nothing))",
            "no column `nothing`",
        ),
        (
            "CREATE DETECTOR d ON minutes (rate(orders))",
            "a detector has the form: CREATE DETECTOR name ON view METRICS",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (season = '90 seconds')",
            "season '90 seconds' must be 2 to 10080 whole windows of 1 min",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (early = '1 minute')",
            "early '1 minute' is longer than the WATERMARK waits, 30 s",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (false_alerts_per_day = '0')",
            "must be a number above zero",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (window = '1 day')",
            "unknown option `window`; a detector takes season",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (explain_by = 'shop, town')",
            "explain_by: table `orders` has no column `town`",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)) WITH (explain_by = 'total')",
            "explain_by: column `total` is no text, integer, date or flag",
        ),
        (
            "CREATE DETECTOR d ON minutes METRICS (rate(orders)); CREATE MATERIALIZED VIEW d_incidents AS SELECT 1 AS x FROM shops",
            "the name `d_incidents` is already taken",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT window_start, shop AS metric, count(*) AS c FROM TUMBLE(orders, at, INTERVAL '1' MINUTE) GROUP BY window_start, shop; CREATE DETECTOR d ON v METRICS (rate(c))",
            "the key has a column `metric`, and so has every detector; rename it in the view",
        ),
    ];
    for (text, expected) in refused {
        let found = planned(text).map(|_| String::new()).unwrap_or_else(|it| it);
        assert!(
            found.contains(expected),
            "{text}\n  {found}\n  lacks {expected}"
        );
    }
}

/// Ten shops for two days and a half, and one that comes then: with ten orders a minute, or one in ten minutes.
#[test]
fn a_new_key_is_an_incident_that_says_so() {
    const MINUTE_US: i64 = 60_000_000;
    const NEW_AT: i64 = 3_600;
    let dataflow = planned("CREATE DETECTOR d ON minutes METRICS (rate(orders))").unwrap();
    let plan = |view: &str| &dataflow.view(view).expect("it is a view").plan;
    let (Plan::Detect { detection, .. }, Plan::Incidents { incidents, .. }) =
        (plan("d"), plan("d_incidents"))
    else {
        panic!("they are a detector and its incidents");
    };
    let row = |shop: &str, minute: i64, orders: i64| {
        let start = Value::Timestamp(minute * MINUTE_US);
        Row([Value::Text(shop.into()), start, Value::Int(orders)].into())
    };
    for (orders, every, expected) in [(10, 1, 1), (1, 10, 0)] {
        let mut rows = Vec::new();
        for minute in 0..NEW_AT + 90 {
            rows.extend((0..10).map(|it| row(&format!("shop {it}"), minute, 100)));
            if NEW_AT <= minute && minute % every == 0 {
                rows.push(row("Lima", minute, orders));
            }
        }
        let closed_us = (NEW_AT + 90) * MINUTE_US;
        let judged = detection.batch(&rows, closed_us);
        let told = incidents.batch(&judged, closed_us);
        let summaries = told.iter().filter_map(|it| match it.0.last() {
            Some(Value::Text(it)) => Some(it.to_string()),
            _ => None,
        });
        let of_new: Vec<String> = summaries.filter(|it| it.contains("is new")).collect();
        assert_eq!(of_new.len(), expected, "{of_new:?}");
        for it in of_new {
            let begins = "Lima is new: 600 in its first hour, where new ones bring ";
            assert!(it.starts_with(begins) && it.ends_with(" at most"), "{it}");
        }
    }
}
