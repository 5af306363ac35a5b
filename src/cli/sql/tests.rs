//! What is printed of answers, and said of those that are not whole.

use super::asked::Lack;
use super::output::{Kept, Printed};
use super::*;
use crate::cli::server::Refusal;
use serde_json::{Value, json};

fn printed(kept: Kept, parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    let mut printed = Printed::new(kept, &mut bytes);
    for part in parts {
        printed.add(part.as_bytes()).unwrap();
    }
    printed.end().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_lines_become_one_array_however_they_are_cut() {
    let whole = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
    for first in 0..whole.len() {
        for second in first..whole.len() {
            let parts = [&whole[..first], &whole[first..second], &whole[second..]];
            let text = printed(Kept::Json, &parts);
            let rows: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(rows, json!([{"n": 1}, {"n": 2}, {"n": 3}]), "{text}");
        }
    }
    assert_eq!(printed(Kept::Json, &[]), "[]\n");
    assert_eq!(printed(Kept::Jsonl, &[whole]), whole);
}

#[test]
fn missing_rows_are_a_failure_that_is_told() {
    for (lack, word, code) in [
        (Lack::TooMany, "more than 3 rows", 1),
        (Lack::TimedOut, "time", 1),
        (Lack::Cancelled, "cancelled", 130),
    ] {
        let error = lack.failure(3).in_script(None);
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(exit::code(&error), code);
    }
}

#[test]
fn a_refusal_says_where_in_the_script_it_is_about() {
    let script = Some((2, 5));
    for (place, in_script, said) in [
        (None, None, "wrong"),
        (Some((1, 9)), None, "wrong (column 9)"),
        (Some((3, 9)), None, "wrong (line 3, column 9)"),
        (None, script, "statement 2 (line 5): wrong"),
        (
            Some((2, 7)),
            script,
            "statement 2 (line 5): wrong (line 6, column 7)",
        ),
    ] {
        let refusal = Refusal {
            text: "wrong".to_owned(),
            place,
            code: exit::REFUSED,
        };
        let error = Failure::Refused(refusal).in_script(in_script);
        assert_eq!(
            (error.to_string().as_str(), exit::code(&error)),
            (said, exit::REFUSED)
        );
    }
}

#[test]
fn a_file_says_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, kept) in [
        ("a.csv", Kept::Csv),
        ("a.JSON", Kept::Json),
        ("a.ndjson", Kept::Jsonl),
        ("a.parquet", Kept::Parquet),
        ("a.arrow", Kept::Arrow),
    ] {
        assert_eq!(Kept::of_file(&path(name)).unwrap(), kept, "{name}");
    }
    let error = Kept::of_file(&path("a.txt")).unwrap_err().to_string();
    assert!(error.contains("end it with .csv, .json"), "{error}");

    // Lines go on, and other formats hold one answer.
    use std::io::Write;
    let mut lines = Sink::new(&path("a.csv")).unwrap();
    for text in ["one\n", "two\n"] {
        lines.open().unwrap().write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path("a.csv")).unwrap(),
        "one\ntwo\n"
    );
    let mut whole = Sink::new(&path("a.parquet")).unwrap();
    whole.open().unwrap();
    let error = whole.open().unwrap_err().to_string();
    assert!(error.contains("\\o alone"), "{error}");
}
