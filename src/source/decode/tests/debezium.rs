//! Envelopes of Debezium, and the rows they bring or take away.

use super::super::{Decoder, Format, Versions};
use super::{declared, outcomes, raw};

fn check(columns: &str, records: &[(&str, &str)]) {
    let (columns, mut options) = declared(&format!("{columns}, _deleted boolean"));
    options.versions = Some(Versions {
        key: vec![0],
        always: vec![0],
        deleted: columns.len() - 1,
    });
    let mut decoder = Decoder::new(Format::Debezium, &columns, options).unwrap();
    let (records, expected): (Vec<&str>, Vec<&str>) = records.iter().copied().unzip();
    let records: Vec<&[u8]> = records.iter().map(|it| it.as_bytes()).collect();
    assert_eq!(outcomes(&decoder.decode(&raw(&records))), expected);
}

#[test]
fn an_envelope_brings_a_row_or_takes_one_away() {
    check(
        "id int64 not null, name text not null",
        &[
            (
                r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c","source":{"db":"x"}}"#,
                "1 | a | null",
            ),
            (r#"{"after":{"id":1,"name":"a"},"op":"r"}"#, "1 | a | null"),
            (
                r#"{"schema":{"op":"x"},"payload":{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u"}}"#,
                "1 | b | null",
            ),
            (
                r#"{"before":{"id":null,"name":null},"after":{"id":1,"name":"c"},"op":"u"}"#,
                "1 | c | null",
            ),
            (
                r#"{"before":{"id":1,"name":null},"after":null,"op":"d"}"#,
                "1 | null | true",
            ),
            ("\0tombstone\0{\"id\":1}", "1 | null | true"),
            (
                "\0tombstone\0{\"schema\":{},\"payload\":{\"id\":2}}",
                "2 | null | true",
            ),
        ],
    );
}

#[test]
fn what_says_nothing_of_one_row_is_a_dead_letter() {
    check(
        "id int64 not null, name text",
        &[
            (
                r#"{"before":{"id":1},"after":{"id":2},"op":"u"}"#,
                "dead: the update changes id, which is of the primary key, from 1 to 2: that is a row that goes and one that comes, which Debezium tells as a delete and a create",
            ),
            (
                r#"{"before":null,"after":null,"op":"d"}"#,
                "dead: the row was deleted, and the envelope does not say which: `before` is null; give the table a REPLICA IDENTITY",
            ),
            (
                r#"{"before":null,"after":null,"op":"t"}"#,
                "dead: the table was truncated, which no record of one row can say: the rows that are known stay",
            ),
            (
                r#"{"op":"m","message":{}}"#,
                "dead: op \"m\" says nothing of a row",
            ),
            (
                r#"{"payload":{"databaseName":"x","ddl":"CREATE TABLE t (id INT)"}}"#,
                "dead: the record is a change of the schema, not of a row",
            ),
            (
                r#"{"id":1}"#,
                "dead: the record is no envelope of Debezium: it has no `op`",
            ),
            (
                r#"{"after":null,"op":"c"}"#,
                "dead: the envelope has no row in `after`",
            ),
            (
                r#"{"after":{"id":"x"},"op":"c"}"#,
                "dead: field \"id\" is not a 64-bit integer: \"x\"",
            ),
            (
                "{",
                "dead: the record is no envelope of Debezium: EOF while parsing an object at line 1 column 1",
            ),
            (
                r#"{"before":{},"op":"d"}"#,
                "dead: field \"id\" is missing or null, but is of the primary key",
            ),
        ],
    );
}

#[test]
fn numbers_in_dates_and_times_are_days_and_fractions_of_seconds() {
    check(
        "id int64 not null, day date, at timestamp",
        &[
            (
                r#"{"after":{"id":1,"day":20000,"at":1769860800250},"op":"c"}"#,
                "1 | 2024-10-04 | 2026-01-31T12:00:00.250Z | null",
            ),
            (
                r#"{"after":{"id":1,"day":-1,"at":1769860800250001},"op":"c"}"#,
                "1 | 1969-12-31 | 2026-01-31T12:00:00.250001Z | null",
            ),
            (
                r#"{"after":{"id":1,"day":"2024-10-04","at":1769860800250001999},"op":"c"}"#,
                "1 | 2024-10-04 | 2026-01-31T12:00:00.250001Z | null",
            ),
            (
                r#"{"after":{"id":1,"at":"2026-01-31T13:00:00+01:00"},"op":"c"}"#,
                "1 | null | 2026-01-31T12:00:00Z | null",
            ),
            (
                r#"{"after":{"id":1,"day":4294967296},"op":"c"}"#,
                "dead: field \"day\" is out of range for a date: 4294967296",
            ),
        ],
    );
}
