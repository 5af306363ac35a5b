//! What is printed of answers.

use super::*;
use serde_json::json;

fn printed(output: Output, parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    let mut printed = Printed::new(output, &mut bytes);
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
            let text = printed(Output::Json, &parts);
            let rows: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(rows, json!([{"n": 1}, {"n": 2}, {"n": 3}]), "{text}");
        }
    }
    assert_eq!(printed(Output::Json, &[]), "[]\n");
    assert_eq!(printed(Output::Jsonl, &[whole]), whole);
}

#[test]
fn a_null_is_neither_an_empty_text_nor_its_own_name() {
    let cells = [json!(null), json!(""), json!("NULL"), json!("null")].map(|it| cell(&it));
    assert_eq!(cells, ["NULL", "", "\"NULL\"", "null"]);
}

#[test]
fn a_text_cannot_steer_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[31m\rx\n\u{9b}2J\u{202e}\u{7f}";
    assert_eq!(
        cell(&json!(hostile)),
        "\\u{1b}]0;owned\\u{7}\\u{1b}[31m\\rx\\n\\u{9b}2J\\u{202e}\\u{7f}"
    );
    assert_eq!(cell(&json!("Zürich ✓ 東京")), "Zürich ✓ 東京");
    let json = printable_json(&json!({"text": hostile}));
    assert!(!json.contains(is_steering), "{json}");
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        json!({"text": hostile})
    );
    let refused = json!({"detail": "no column \u{1b}[2J", "hint": "there are: a"}).to_string();
    assert_eq!(problem(&refused), "no column \\u{1b}[2J; there are: a");
}

#[test]
fn missing_rows_are_a_failure_that_is_told() {
    assert!(complete(3, false, None).is_ok());
    for (truncated, partial, word) in [
        (true, None, "more rows than these 3"),
        (false, Some("timed_out"), "time"),
        (false, Some("cancelled"), "cancelled"),
    ] {
        let error = complete(3, truncated, partial).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
