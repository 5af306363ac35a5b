//! A running server, as the commands that ask one meet it: what it refuses, and that it cannot be reached.

use super::exit;
use super::print::printable;
use crate::model::secret;
use anyhow::{Context, Result};
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use std::path::PathBuf;

/// Holds a token, for those that have no file for it.
pub const TOKEN_VARIABLE: &str = "TIDELAKE_TOKEN";

/// Which server is asked, and as whom.
#[derive(Args, Clone, Debug)]
pub struct ServerArguments {
    /// Address of the server: host:port, http://… or https://…
    #[arg(id = "server", long = "server", env = "TIDELAKE_SERVER", default_value = "http://127.0.0.1:4000", value_parser = super::addresses::server)]
    pub address: String,
    #[command(flatten)]
    pub credentials: Credentials,
}

/// As whom a server is asked, and how it is known.
#[derive(Args, Clone, Debug)]
pub struct Credentials {
    /// File with the token of a user, where the server has users. [default: the token in $TIDELAKE_TOKEN]
    #[arg(long, env = "TIDELAKE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust besides those of the system, in PEM: the server's own, or its authority's.
    #[arg(long, env = "TIDELAKE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ServerArguments {
    /// What asks the server, with the token on every request.
    ///
    /// # Errors
    /// If a file cannot be read or is not understood.
    pub fn client(&self) -> Result<reqwest::Client> {
        self.credentials.client(&self.address)
    }
}

impl Credentials {
    /// Whether there is a certificate to know the server by.
    pub fn has_certificates(&self) -> bool {
        self.ca_file.is_some()
    }

    /// What asks a server at this address, with the token on every request.
    ///
    /// # Errors
    /// If a file cannot be read or is not understood.
    pub fn client(&self, address: &str) -> Result<reqwest::Client> {
        let client = match self.builder()?.build() {
            // A machine without certificates of authorities, such as a small container, still speaks plain HTTP.
            Err(_) if address.starts_with("http://") => self.builder()?.tls_certs_only([]).build(),
            it => it,
        };
        if self.token()?.is_some() && is_overheard(address) {
            eprintln!("warning: the token goes to {address} unencrypted; use https://");
        }
        client.context("a client could not be set up")
    }

    fn builder(&self) -> Result<reqwest::ClientBuilder> {
        let wrong = |text: String| exit::coded(exit::USAGE, text);
        let mut builder = reqwest::Client::builder();
        if let Some(token) = self.token()? {
            secret::conceal(&token);
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value
                .map_err(|_| wrong("the token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        if let Some(path) = &self.ca_file {
            let text = std::fs::read(path).map_err(|it| {
                wrong(format!(
                    "could not read certificates from {}: {it}",
                    path.display()
                ))
            })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&text).map_err(|it| {
                wrong(format!(
                    "certificates in {} are not understood: {it}",
                    path.display()
                ))
            })?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(builder)
    }

    fn token(&self) -> Result<Option<String>> {
        let text = match &self.token_file {
            Some(path) => std::fs::read_to_string(path).map_err(|it| {
                let text = format!("could not read a token from {}: {it}", path.display());
                exit::coded(exit::USAGE, text)
            })?,
            None => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
        };
        // `tidelake token new` may have been sent into the file whole.
        let token = text.lines().next().unwrap_or_default().trim();
        Ok(Some(token.to_owned()).filter(|it| !it.is_empty()))
    }
}

/// Whether what is sent leaves this machine unencrypted.
fn is_overheard(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    };
    url.scheme() == "http" && !is_here
}

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
    let cause = cause.to_string();
    // What rustls says of certificates helps those who know rustls.
    let told = if cause.contains("CaUsedAsEndEntity") {
        "its certificate is one of an authority, which no server may use; make a self-signed one with `-addext basicConstraints=critical,CA:FALSE`".to_owned()
    } else if cause.contains("UnknownIssuer") {
        "its certificate is signed by nobody this machine trusts; name it, or its authority's, with --ca-file".to_owned()
    } else {
        format!("is it running? ({cause})")
    };
    exit::coded(
        exit::UNREACHABLE,
        format!("could not reach {server}; {told}"),
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
