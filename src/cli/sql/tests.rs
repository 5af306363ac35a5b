//! What is printed of answers, and said of those that are not whole.

use super::*;
use serde_json::{Value, json};

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
fn missing_rows_are_a_failure_that_is_told() {
    assert!(complete(3, false, None).is_ok());
    for (truncated, partial, word) in [
        (true, None, "more than 3 rows"),
        (false, Some("timed_out"), "time"),
        (false, Some("cancelled"), "cancelled"),
    ] {
        match complete(3, truncated, partial) {
            Err(Failure::Incomplete(text)) => assert!(text.contains(word), "{text}"),
            Ok(()) | Err(Failure::Refused(_) | Failure::Other(_)) => panic!("{word} is not told"),
        }
    }
}

#[test]
fn a_refusal_says_where_in_the_script_it_is_about() {
    let refusal = |place| Refusal {
        text: "wrong".to_owned(),
        place,
        code: exit::REFUSED,
    };
    let statement = ScriptStatement {
        text: "SELECT",
        line: 5,
    };
    let place = Some((2, &statement));
    for (place_in_statement, in_script, said) in [
        (None, None, "wrong"),
        (Some((1, 9)), None, "wrong (column 9)"),
        (Some((3, 9)), None, "wrong (line 3, column 9)"),
        (None, place, "statement 2 (line 5): wrong"),
        (
            Some((2, 7)),
            place,
            "statement 2 (line 5): wrong (line 6, column 7)",
        ),
    ] {
        let error = refusal(place_in_statement).of_script(in_script);
        assert_eq!(
            (error.to_string().as_str(), exit::code(&error)),
            (said, exit::REFUSED)
        );
    }
}
