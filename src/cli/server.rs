//! A running server, as the commands that ask one meet it: what it refuses, and that it cannot be reached.

use super::exit;
use super::print::printable;
use serde::Deserialize;

/// What a server says is wrong, where in the text that was sent, and what that means to the shell.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub text: String,
    /// Line and column, from 1.
    pub place: Option<(u64, u64)>,
    pub code: u8,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    hint: String,
    line: Option<u64>,
    column: Option<u64>,
}

impl Refusal {
    /// Of an answer that is none, from its status and its text.
    pub fn of(status: reqwest::StatusCode, text: &str) -> Self {
        // What the request is at fault for will not go better the next time.
        let code = match status.is_client_error() {
            true => exit::REFUSED,
            false => 1,
        };
        match serde_json::from_str::<Problem>(text) {
            Ok(it) => Refusal {
                text: with_hint(&it.detail, &it.hint),
                place: it.line.zip(it.column),
                code,
            },
            Err(_) => Refusal {
                text: printable(&format!("{status}: {}", text.trim())),
                place: None,
                code,
            },
        }
    }
}

/// What is wrong and what can be done, as one line.
pub fn with_hint(detail: &str, hint: &str) -> String {
    match hint.is_empty() {
        true => printable(detail),
        false => printable(&format!("{detail}; {hint}")),
    }
}

impl From<Refusal> for anyhow::Error {
    fn from(it: Refusal) -> Self {
        exit::coded(it.code, it.text)
    }
}

/// A server that could not be asked, with what is behind it: a wrong name is not a server that is down.
pub fn unreachable(server: &str, error: &reqwest::Error) -> anyhow::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    exit::coded(
        exit::UNREACHABLE,
        format!("could not reach {server}; is it running? ({cause})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    #[test]
    fn a_problem_is_told_in_one_line_with_its_place() {
        let text =
            r#"{"detail": "no column \u001b[2J", "hint": "there are: a", "line": 2, "column": 7}"#;
        let refusal = Refusal::of(StatusCode::BAD_REQUEST, text);
        let expect = Refusal {
            text: "no column \\u{1b}[2J; there are: a".to_owned(),
            place: Some((2, 7)),
            code: exit::REFUSED,
        };
        assert_eq!(refusal, expect);
        let refusal = Refusal::of(StatusCode::BAD_GATEWAY, "<html>no\n");
        assert_eq!(
            (refusal.text.as_str(), refusal.code),
            ("502 Bad Gateway: <html>no", 1)
        );
    }
}
