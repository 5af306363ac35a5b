//! Which values are said to carry an incident.

use super::*;
use crate::model::Float;

/// A cell of one column, or of both, before and in the incident.
fn rows(cells: &[(&[Option<&str>; 2], bool, f64, f64)]) -> Vec<Row> {
    let row = |(values, is_now, a, b): &(&[Option<&str>; 2], bool, f64, f64)| {
        let mut row = Vec::new();
        for value in *values {
            row.push(value.map_or(Value::Null, |it| Value::Text(it.into())));
            row.push(Value::Int(i64::from(value.is_none())));
        }
        let number = |it: f64| Value::Float(Float::new(it));
        row.extend([Value::Bool(*is_now), Value::Int(60), number(*a), number(*b)]);
        Row(row.into())
    };
    cells.iter().map(row).collect()
}

const NAMES: [&str; 2] = ["status", "path"];

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

#[test]
fn the_value_that_grew_carries_the_rate() {
    let rows = rows(&[
        (&[Some("200"), None], false, 6000.0, 6000.0),
        (&[Some("500"), None], false, 60.0, 60.0),
        (&[None, Some("/a")], false, 3000.0, 3000.0),
        (&[None, Some("/b")], false, 3060.0, 3060.0),
        (&[Some("200"), None], true, 100.0, 100.0),
        (&[Some("500"), None], true, 101.0, 101.0),
        (&[None, Some("/a")], true, 52.0, 52.0),
        (&[None, Some("/b")], true, 149.0, 149.0),
        (&[Some("500"), Some("/b")], false, 30.0, 30.0),
        (&[Some("500"), Some("/b")], true, 98.0, 98.0),
        (&[Some("200"), Some("/b")], false, 3030.0, 3030.0),
        (&[Some("200"), Some("/b")], true, 51.0, 51.0),
        (&[Some("200"), Some("/a")], false, 2970.0, 2970.0),
        (&[Some("200"), Some("/a")], true, 49.0, 49.0),
        (&[Some("500"), Some("/a")], false, 30.0, 30.0),
        (&[Some("500"), Some("/a")], true, 3.0, 3.0),
    ]);
    let found = explained(&rows, Kind::Rate, &names(), 1);
    let told = of_names(&found, &sets(2), &names());
    assert_eq!(told[0].columns, ["status"]);
    let first = &found[0].values[0];
    assert_eq!(
        (first.value.as_slice(), first.observed, first.expected),
        (&[Some("500".to_owned())][..], 101.0, 1.0)
    );
    assert_eq!(first.share_of_change, 1.0);
    assert_eq!(
        sentence(&found, &sets(2), &names()),
        "status 500 accounts for 100 % of the change, status 500 with path /b for 98 %"
    );
    let pair =
        [("status", "500"), ("path", "/b")].map(|it| (it.0.to_owned(), Some(it.1.to_owned())));
    assert_eq!(
        carrier(&found, &sets(2), &names()),
        pair,
        "examples are of the pair"
    );
}

#[test]
fn what_grows_alike_is_carried_by_nothing() {
    let rows = rows(&[
        (&[Some("200"), None], false, 3000.0, 3000.0),
        (&[Some("500"), None], false, 3000.0, 3000.0),
        (&[Some("200"), None], true, 100.0, 100.0),
        (&[Some("500"), None], true, 101.0, 101.0),
    ]);
    let found = explained(&rows, Kind::Rate, &names(), 1);
    assert_eq!(
        sentence(&found, &sets(2), &names()),
        "no single value of status, path accounts for the change"
    );
    assert_eq!(carrier(&found, &sets(2), &names()), []);
}

#[test]
fn shares_and_means_are_compared_for_as_many_records() {
    // /b has twice the records and the same share as before; /a fails more. What /b has beyond its half of the records is expected to fail as all did, at
    // 5.5 %, and fails at 10 %.
    let cells = [
        (&[None, Some("/a")], false, 10.0, 1000.0),
        (&[None, Some("/b")], false, 100.0, 1000.0),
        (&[None, Some("/a")], true, 21.0, 100.0),
        (&[None, Some("/b")], true, 20.0, 200.0),
    ];
    for kind in [Kind::Ratio, Kind::Latency] {
        let found = explained(&rows(&cells), kind, &names(), 1);
        let first = &found[0].values[0];
        assert_eq!(first.value, [Some("/a".to_owned())]);
        let observed = if kind == Kind::Ratio { 21.0 } else { 0.21 };
        assert_eq!(first.observed, observed);
        let part = if kind == Kind::Ratio { 90 } else { 100 };
        let said = sentence(&found, &sets(2), &names());
        assert!(
            said.starts_with(&format!("path /a accounts for {part} %")),
            "{said}"
        );
        assert_eq!(
            carrier(&found, &sets(2), &names()),
            [("path".to_owned(), Some("/a".to_owned()))]
        );
    }
}

#[test]
fn failures_where_there_were_none_are_carried_by_those_that_fail() {
    let rows = rows(&[
        (&[None, Some("/a")], false, 0.0, 3000.0),
        (&[None, Some("/b")], false, 0.0, 3000.0),
        (&[None, Some("/a")], true, 30.0, 100.0),
        (&[None, Some("/b")], true, 0.0, 300.0),
    ]);
    let found = explained(&rows, Kind::Ratio, &names(), 1);
    assert_eq!(
        sentence(&found, &sets(2), &names()),
        "path /a accounts for 100 % of the change"
    );
    assert_eq!(found[0].values[0].share_of_expected, 0.25);
}
