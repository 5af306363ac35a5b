//! Why brokers cannot be reached, in the words of the client: a wrong password or certificate is told as such, not only that nobody answers.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The client tries again and says so each time; a cause that was not said for so long is none any more.
const TOLD: Duration = Duration::from_secs(30);

/// What is in the text of a failure for which somebody has to change a setting.
const REFUSALS: [&str; 5] = [
    "SASL",
    "SSL handshake",
    "certificate",
    "uthentication",
    "security.protocol",
];

/// What a client said last of its connections. Clones share it.
#[derive(Clone, Default)]
pub struct Cause(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    /// There is no token to get in with, so all else follows from that.
    no_token: Option<(String, Instant)>,
    /// The broker turned the client away, or the client the broker.
    refused: Option<(String, Instant)>,
    /// A connection failed or ended.
    failed: Option<(String, Instant)>,
}

impl Cause {
    /// Takes in an error that the client tells by itself, with its text.
    pub fn note(&self, error: &KafkaError, text: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            // It follows from the others, and says nothing of why.
            Some(Code::AllBrokersDown) | None => {}
            Some(Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed) => {
                self.keep(text, true);
            }
            Some(_) => self.keep(text, false),
        }
    }

    /// Takes in a line of the client's log, if it tells of a connection that failed.
    pub fn note_line(&self, facility: &str, text: &str) {
        if ["ERROR", "FAIL"].contains(&facility) {
            self.keep(text, false);
        }
    }

    /// The issuer of tokens gives none.
    pub fn no_token(&self, text: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.no_token = Some((text.to_owned(), Instant::now()));
    }

    /// It gives them again.
    pub fn has_token(&self) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.no_token = None;
    }

    fn keep(&self, text: &str, is_refusal: bool) {
        let text = plain(text);
        let is_refusal = is_refusal || REFUSALS.iter().any(|it| text.contains(it));
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match is_refusal {
            true => &mut said.refused,
            false => &mut said.failed,
        };
        *place = Some((text, Instant::now()));
    }

    /// Of brokers that do not answer: what they are, and why.
    pub fn explain(&self, brokers: &str, error: &KafkaError) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = lately(&said.no_token).or_else(|| lately(&said.refused));
        match (refused, lately(&said.failed)) {
            (Some(reason), _) => no_way_in(brokers, reason),
            (None, Some(reason)) => format!("brokers {brokers} do not answer ({reason})"),
            (None, None) => format!("brokers {brokers} do not answer ({error})"),
        }
    }

    /// If there is no token: what follows from it, and why.
    pub fn explain_token(&self, brokers: &str) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately(&said.no_token).map(|it| no_way_in(brokers, it))
    }

    /// They answered.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Said::default();
    }
}

fn lately(said: &Option<(String, Instant)>) -> Option<&str> {
    let (text, at) = said.as_ref()?;
    (at.elapsed() < TOLD).then_some(text)
}

fn no_way_in(brokers: &str, reason: &str) -> String {
    format!("there is no way in to brokers {brokers}: {reason}")
}

/// A text of the client without its own name, and without what changes each time it is said, such as
/// `(after 12ms in state CONNECT, 3 identical error(s) suppressed)`.
fn plain(text: &str) -> String {
    let mut text = text;
    if let Some((thread, rest)) = text.split_once("]: ")
        && thread.starts_with("[thrd:")
    {
        text = rest;
    }
    if let Some((name, rest)) = text.split_once(": ")
        && name.starts_with("tidelake")
        && name.contains('#')
    {
        text = rest;
    }
    match text.rsplit_once(" (after ") {
        Some((text, times)) if times.contains(" in state ") => text.to_owned(),
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MessageConsumption(code)
    }

    #[test]
    fn being_refused_is_told_before_what_follows_from_it() {
        let cause = Cause::default();
        let down = error(RDKafkaErrorCode::AllBrokersDown);
        let explained = || cause.explain("b:1", &down);
        assert!(
            explained().starts_with("brokers b:1 do not answer (Message consumption error"),
            "{}",
            explained()
        );
        let connect = "plaintext://b:1/bootstrap: Connect to ipv4#b:1 failed: Connection refused (after 3ms in state CONNECT, 2 identical error(s) suppressed)";
        cause.note(&error(RDKafkaErrorCode::BrokerTransportFailure), connect);
        let expected = "brokers b:1 do not answer (plaintext://b:1/bootstrap: Connect to ipv4#b:1 failed: Connection refused)";
        assert_eq!(explained(), expected);
        cause.note(
            &error(RDKafkaErrorCode::Authentication),
            "sasl_ssl://b:1: Authentication failed (after 9ms in state AUTH_REQ)",
        );
        cause.note(&error(RDKafkaErrorCode::BrokerTransportFailure), connect);
        cause.note(&down, "1/1 brokers are down");
        assert_eq!(
            explained(),
            "there is no way in to brokers b:1: sasl_ssl://b:1: Authentication failed"
        );
        cause.forget();
        let line = "[thrd:app]: tidelake#consumer-1: 127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)";
        cause.note_line("TOPIC", "New local topic: t");
        cause.note_line("ERROR", line);
        assert_eq!(
            explained(),
            "brokers b:1 do not answer (127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused)"
        );
        cause.note_line("FAIL", "[thrd:ssl://b:1]: ssl://b:1: SSL handshake failed: certificate verify failed (after 3ms in state SSL_HANDSHAKE)");
        assert_eq!(
            explained(),
            "there is no way in to brokers b:1: ssl://b:1: SSL handshake failed: certificate verify failed"
        );
        cause.forget();
        assert!(explained().contains("Message consumption error"));
        assert_eq!(cause.explain_token("b:1"), None);
        cause.no_token("no token from http://i/: it refuses client 'c': invalid_client");
        cause.note_line("FAIL", "SASL authentication error: no token available");
        let expected = "there is no way in to brokers b:1: no token from http://i/: it refuses client 'c': invalid_client";
        assert_eq!(explained(), expected);
        assert_eq!(cause.explain_token("b:1").as_deref(), Some(expected));
        cause.has_token();
        assert!(
            explained().ends_with("no token available"),
            "{}",
            explained()
        );
    }
}
