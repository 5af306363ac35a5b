//! What people and their programs write: dataflows, queries, filters, ids of events, ranges of time, settings.

use crate::auth::Users;
use crate::http;
use crate::http::filter::Filter;
use crate::model::{Row, Value};
use crate::plan::{Definitions, PageSettings};
use crate::report::TimeRange;
use crate::sql;
use crate::view::Heard;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

/// 2026-01-31T12:00:00Z
const NOW_US: i64 = 1_769_860_800_000_000;

/// A dataflow is planned or refused, always to the same definitions, and these can be kept.
pub(super) fn dataflow(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without threads or sockets");
    let plan = || runtime.block_on(sql::plan_text("fuzz", text, |_| None));
    let planned = match plan() {
        Ok(planned) => planned,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "it is said what is wrong");
            return false;
        }
    };
    assert!(!planned.to_string().is_empty(), "a plan can be printed");
    let kept = serde_json::to_string(&planned.definitions).expect("definitions are plain values");
    let read: Definitions = serde_json::from_str(&kept).expect("what was kept can be read");
    assert_eq!(read, planned.definitions);
    let again = plan().expect("what could be planned can be planned again");
    assert_eq!(again.definitions, planned.definitions);
    assert_eq!(again.fingerprint, planned.fingerprint);
    true
}

/// A query is taken apart by the server before a process of its own plans it.
pub(super) fn query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let _ = (
        sql::query::may_describe(text),
        sql::query::may_explain(text),
    );
    match sql::query::Question::parse(text) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "it is said what is wrong");
            false
        }
    }
}

/// A filter is taken, decides about every row and is SQL; or it is said what is wrong, and where.
pub(super) fn filter(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let schema = Schema::new(columns());
    let filter = match Filter::parse(text, &schema) {
        Ok(filter) => filter,
        Err(error) => {
            let characters = text.chars().count();
            if let Some(place) = &error.place {
                assert!(
                    place.start <= place.end && place.end <= characters,
                    "{place:?} is no place in {text:?}"
                );
            }
            return false;
        }
    };
    for row in rows() {
        let _ = filter.matches(&row);
    }
    let sql = format!("SELECT * FROM r WHERE true AND {}", filter.to_sql());
    if let Err(error) = sql::query::Question::parse(&sql) {
        let error = error.to_string();
        // `*` looks into every text column.
        assert!(
            error.contains("operators") || error.contains("longer than"),
            "{text:?} is {sql}: {error}"
        );
    }
    true
}

fn columns() -> Vec<Field> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Field::new("status", DataType::Int64, true),
        Field::new("took", DataType::Float64, true),
        Field::new("endpoint", DataType::Utf8, true),
        Field::new("user_agent", DataType::Utf8, true),
        Field::new("is_slow", DataType::Boolean, true),
        Field::new("at", time, true),
        Field::new("day", DataType::Date32, true),
        Field::new("price", DataType::Decimal128(38, 2), true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        Field::new("Order", DataType::Utf8, true),
    ]
}

fn rows() -> [Row; 2] {
    let text = |it: &str| Value::Text(it.into());
    let full = [
        Value::Int(503),
        Value::Float(crate::model::Float::new(0.5)),
        text("/api/100%"),
        text("Straße\\bot"),
        Value::Bool(true),
        Value::Timestamp(NOW_US),
        Value::Date(20_484),
        Value::Decimal(Box::new(crate::model::Decimal::new(250, 2))),
        Value::List([text("a")].into()),
        text(""),
    ];
    let empty = full.each_ref().map(|_| Value::Null);
    [full, empty].map(|it| Row(it.into_iter().collect()))
}

/// The id that a client was told last says the same when it comes back.
pub(super) fn event_id(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if let Some(place) = http::event_place(text) {
        assert_eq!(http::event_place(&place).as_ref(), Some(&place));
    }
    let Ok(heard) = text.parse::<Heard>() else {
        return false;
    };
    assert_eq!(heard.to_string().parse::<Heard>(), Ok(heard));
    true
}

/// A range has a beginning before its end.
pub(super) fn time_range(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let ends = text.split_once('|');
    let ranges = [
        TimeRange::parse(text, NOW_US),
        TimeRange::of_ends(ends.map(|it| it.0), ends.map(|it| it.1), NOW_US),
    ];
    let mut was_taken = false;
    for range in ranges.into_iter().flatten() {
        if let (Some(from), Some(to)) = (range.from, range.to) {
            assert!(from < to, "{range:?}");
        }
        let _ = range.length_us();
        was_taken = true;
    }
    was_taken
}

/// Files of TOML: how a page shows a dataflow, and who may ask.
pub(super) fn settings(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let page = PageSettings::parse(text).is_ok();
    let users = Users::parse(text).is_ok();
    page || users
}
