//! One text, two readings: over a live row, and as SQL.

use super::Filter;
use crate::model::{Row, Value};
use arrow::datatypes::{DataType, Field, Schema};

fn filter(text: &str) -> Result<Filter, String> {
    let schema = Schema::new(vec![
        Field::new("status", DataType::Int64, true),
        Field::new("endpoint", DataType::Utf8, true),
        Field::new("agent", DataType::Utf8, true),
    ]);
    Filter::parse(text, &schema)
}

fn row(status: i64, endpoint: &str, agent: Option<&str>) -> Row {
    let agent = agent.map_or(Value::Null, |it| Value::Text(it.into()));
    Row(
        vec![Value::Int(status), Value::Text(endpoint.into()), agent]
            .into_iter()
            .collect(),
    )
}

fn check(text: &str, matches: bool, sql: &str) {
    let filter = filter(text).expect("the filter is well formed");
    assert_eq!(
        filter.matches(&row(503, "/api/100%", Some("Googlebot/2"))),
        matches,
        "{text}"
    );
    assert_eq!(filter.to_sql(), sql);
}

#[test]
fn means_the_same_live_and_in_sql() {
    check("status >= 500", true, "\"status\" >= 500");
    check("agent ~ 'BOT'", true, "\"agent\" ILIKE '%bot%'");
    check("agent !~ 'bot'", false, "\"agent\" NOT ILIKE '%bot%'");
    check("endpoint ~ '100%'", true, r#""endpoint" ILIKE '%100\%%'"#);
    check(
        "* ~ 'google' AND status < 600",
        true,
        "(coalesce(\"endpoint\" ILIKE '%google%', false) OR coalesce(\"agent\" ILIKE '%google%', false)) AND \"status\" < 600",
    );
}

#[test]
fn a_null_never_matches_a_column_and_hides_no_row_from_any() {
    let null = row(200, "/", None);
    let holds = |text: &str| filter(text).expect("well formed").matches(&null);
    assert!(!holds("agent ~ 'x'"));
    assert!(!holds("agent !~ 'x'"));
    assert!(holds("* !~ 'x'"));
}

#[test]
fn refuses_what_it_does_not_know() {
    assert!(filter("status ~ '5'").is_err());
    assert!(filter("agent ~ bot").is_err());
    assert!(filter("nothing = 1").is_err());
    assert!(filter("status = 1 OR status = 2").is_err());
}
