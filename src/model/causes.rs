//! Errors as people read them: with what they come from.

use std::error::Error;

/// An error with its causes, each behind a colon. One that the text has already is not said twice.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        let more = it.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = it.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn causes_follow_and_are_said_once() {
        let refused = Said("connection refused", None);
        let sent = Said("not sent: connection refused", Some(Box::new(refused)));
        let outer = Said("no answer", Some(Box::new(sent)));
        let text = with_causes(&outer);
        assert_eq!(text, "no answer: not sent: connection refused");
    }
}
