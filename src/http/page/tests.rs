//! What a page shows of the shipped dataflows, of one with other names, and of one that lacks views.

use super::page_of;
use crate::plan::PageSettings;
use crate::sql::plan_text;
use serde_json::{Value as Json, json};

fn page(text: &str, settings: &str) -> Json {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let planned = runtime
        .expect("a runtime can be built")
        .block_on(plan_text("t", text, |_| None));
    let mut dataflow = planned.unwrap_or_else(|it| panic!("{it}"));
    dataflow.page = PageSettings::parse(settings).expect("they are understood");
    serde_json::to_value(page_of(&dataflow)).expect("it is JSON")
}

fn shipped(name: &str) -> Json {
    let path = format!(
        "{}/dataflows/{name}/dataflow.sql",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).expect("it is there");

    page(&text, "")
}

/// Of each panel of a page, its view and kind.
fn panels(page: &Json) -> Vec<(String, String)> {
    let all = page["panels"].as_array().expect("a list").iter();
    let text = |it: &Json| it.as_str().expect("a text").to_owned();
    all.map(|it| (text(&it["view"]), text(&it["kind"])))
        .collect()
}

const ORDERS: &str = "
    CREATE SOURCE sales (placed TIMESTAMP NOT NULL, land TEXT, product TEXT, paid DOUBLE, customer_id TEXT, WATERMARK FOR placed AS placed - INTERVAL '1' SECOND) FORMAT JSON;
    CREATE TABLE bought AS SELECT placed, land, product, paid, customer_id FROM sales;
";

#[test]
fn web_logs_have_all_there_is() {
    let page = shipped("web_logs");
    let main = &page["main"];
    assert_eq!(main["view"], "overall_1m");
    assert_eq!(
        (&main["count"], &main["failed"], &main["grave"]),
        (
            &json!("requests"),
            &json!("errors"),
            &json!("server_errors")
        )
    );
    assert_eq!(page["now"]["view"], "last_minute");
    assert_eq!(page["now"]["window_seconds"], 60);
    assert_eq!(page["total"]["view"], "totals");
    assert_eq!(page["classes"]["view"], "status_1m");
    assert_eq!(page["spread"]["view"], "latency_1m");
    assert_eq!(page["keys"][0]["view"], "traffic_1m");
    assert_eq!(page["keys"][0]["duration"]["name"], "response_time_p95");
    assert_eq!(page["keys"][0]["filters"], true);
    assert_eq!(page["suggestions"], json!([]));
}

#[test]
fn access_logs_have_no_durations_and_nothing_of_now() {
    let page = shipped("access_log");
    assert_eq!(page["main"]["view"], "traffic_1h");
    assert_eq!(page["main"]["failed"], "errors");
    assert_eq!(page["spread"], Json::Null);
    // It counts clients, not requests.
    let view = ("busiest_client_5m".to_owned(), "lines".to_owned());
    assert!(panels(&page).contains(&view));
    let suggested = page["suggestions"].as_array().expect("a list");
    assert!(
        suggested
            .iter()
            .all(|it| it["title"] != "Count records per minute"),
        "{suggested:?}"
    );
}

#[test]
fn a_dataflow_of_other_names_has_what_its_columns_are() {
    let views = "
        CREATE MATERIALIZED VIEW per_minute AS SELECT window_start AS at, count(*) AS orders, sum(paid) AS turnover FROM TUMBLE(bought, placed, INTERVAL '1' MINUTE) GROUP BY window_start;
        CREATE MATERIALIZED VIEW by_land AS SELECT window_start AS at, land, count(*) AS orders, sum(paid) AS turnover FROM TUMBLE(bought, placed, INTERVAL '1' MINUTE) GROUP BY window_start, land;
        CREATE MATERIALIZED VIEW products AS SELECT product, count(*) AS orders FROM bought GROUP BY product ORDER BY orders DESC LIMIT 5;
        CREATE MATERIALIZED VIEW mean AS SELECT avg(paid) AS basket FROM bought;
    ";
    let text = format!("{ORDERS}{views}");
    let found = page(&text, "");
    assert_eq!(found["main"]["view"], "per_minute");
    assert_eq!(
        (&found["main"]["noun"], &found["main"]["time"]),
        (&json!("orders"), &json!("at"))
    );
    assert_eq!(found["main"]["failed"], Json::Null);
    assert_eq!(found["main"]["figures"][0]["role"], "money");
    assert_eq!(
        (&found["keys"][0]["view"], &found["keys"][0]["key"]["name"]),
        (&json!("by_land"), &json!("land"))
    );
    let expected = [("products", "table"), ("mean", "values")];
    let expected = expected.map(|(view, kind)| (view.to_owned(), kind.to_owned()));
    assert_eq!(panels(&found), expected);
    let settings = "
        title = 'Shop'
        [[panel]]
        view = 'mean'
        title = 'Mean basket'
        [[panel]]
        view = 'by_land'
        [[panel]]
        view = 'products'
        hidden = true
    ";
    let found = page(&text, settings);
    assert_eq!(found["title"], "Shop");
    let expected = [("mean", "values"), ("by_land", "lines")];
    let expected = expected.map(|(view, kind)| (view.to_owned(), kind.to_owned()));
    assert_eq!(panels(&found), expected);
    assert_eq!(found["panels"][0]["title"], "Mean basket");
}

/// What is suggested can be added as it is written, and then it is shown.
#[test]
fn suggestions_can_be_followed() {
    let found = page(ORDERS, "");
    assert_eq!(found["main"], Json::Null);
    let suggested = found["suggestions"].as_array().expect("a list");
    let titles: Vec<&str> = suggested
        .iter()
        .filter_map(|it| it["title"].as_str())
        .collect();
    assert_eq!(
        titles,
        [
            "Count records per minute",
            "Follow the last minute",
            "Compare by land"
        ]
    );
    let added: Vec<&str> = suggested
        .iter()
        .filter_map(|it| it["sql"].as_str())
        .collect();
    let found = page(&format!("{ORDERS}{}", added.join("\n")), "");
    assert_eq!(found["suggestions"], json!([]));
    assert_eq!(found["now"]["window_seconds"], 60);
    assert_eq!(found["main"]["figures"][0]["name"], "paid");
}
