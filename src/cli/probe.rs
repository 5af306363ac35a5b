//! `health`: whether a server is ready, as an exit code.
//!
//! For what restarts containers and waits for services. A server that is degraded does its work and is ready, unless --strict says otherwise. Of
//! the own machine any certificate is taken: it names others, and a token goes to none that does not prove its name.

use super::exit;
use super::instance;
use super::print::printable;
use super::server::{Refusal, ServerArguments, with_hint};
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

#[derive(Args)]
pub struct Arguments {
    /// Name of an instance on this machine, to be asked instead of --server.
    name: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Only whether the process answers at all.
    #[arg(long, conflicts_with = "strict")]
    live: bool,
    /// Take a server that is degraded for one that is not ready.
    #[arg(long)]
    strict: bool,
    /// Seconds for which it may take to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = super::ranges::within(super::ranges::TIMEOUT), allow_negative_numbers = true)]
    timeout: f64,
    /// Print nothing: the exit code says it.
    #[arg(long, short)]
    quiet: bool,
}

/// What a server says of whether it can do its work.
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// With its state, and what is not well if it says so.
    Ready { status: String, unwell: Vec<String> },
    /// With what stands in the way.
    NotReady(String),
    /// It does not answer, or not as one of ours.
    Silent(String),
}

/// Asks a server, and turns what it says into an exit code.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { server, live, .. } = arguments;
    let url = match arguments.name.as_deref() {
        None => server.address.clone(),
        Some(name) => {
            let found = instance::choose(instance::all(), Some(name))?;
            let record = found.and_then(|it| it.record.ok());
            let process = record.and_then(|it| it.processes.into_iter().next());
            let process = process
                .ok_or_else(|| exit::coded(exit::UNREACHABLE, instance::none_found(Some(name))))?;
            process.url
        }
    };
    let is_unproved = url.starts_with("https:") && !server.credentials.has_certificates();
    let client = match is_unproved && is_of_this_machine(&url) {
        true => tolerant_client()?,
        false => server.credentials.client(&url)?,
    };
    let within = Duration::from_secs_f64(arguments.timeout);
    let said = match live {
        true => liveness(&client, &url, within).await,
        false => readiness(&client, &url, within).await,
    };
    let url = url.trim_end_matches('/');
    match said {
        Readiness::Silent(why) => Err(exit::coded(exit::UNREACHABLE, format!("{url}: {why}"))),
        Readiness::NotReady(why) => Err(exit::coded(1, format!("{url} is not ready: {why}"))),
        Readiness::Ready { status, unwell } if arguments.strict && status != "ok" => Err(
            exit::coded(1, format!("{url} is {status}{}", told(&unwell))),
        ),
        Readiness::Ready { status, unwell } => {
            if !arguments.quiet {
                println!("{url} is {status}{}", told(&unwell));
            }
            Ok(())
        }
    }
}

fn told(unwell: &[String]) -> String {
    match unwell {
        [] => String::new(),
        some => format!(": {}", some.join("; ")),
    }
}

/// Whether an address is one of this machine alone.
fn is_of_this_machine(url: &str) -> bool {
    let url = url::Url::parse(url);
    url.is_ok_and(|it| match it.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(it)) => it.is_loopback(),
        Some(url::Host::Ipv6(it)) => it.is_loopback(),
        None => false,
    })
}

/// A client for servers of this machine, which says nothing about itself and takes any certificate.
///
/// # Errors
/// If it cannot be set up.
pub fn tolerant_client() -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    Ok(builder.no_proxy().build()?)
}

/// Whether a process answers.
pub async fn liveness(client: &reqwest::Client, url: &str, within: Duration) -> Readiness {
    let address = format!("{}/healthz", url.trim_end_matches('/'));
    match client.get(address).timeout(within).send().await {
        Ok(answer) if answer.status().is_success() => Readiness::Ready {
            status: "alive".to_owned(),
            unwell: Vec::new(),
        },
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            Readiness::Silent(format!("it answers {}", Refusal::of(status, &text).text))
        }
        Err(error) => Readiness::Silent(silence(&error)),
    }
}

/// Whether a server can do its work.
pub async fn readiness(client: &reqwest::Client, url: &str, within: Duration) -> Readiness {
    let address = format!("{}/readyz", url.trim_end_matches('/'));
    let answer = match client.get(address).timeout(within).send().await {
        Ok(it) => it,
        Err(error) => return Readiness::Silent(silence(&error)),
    };
    let code = answer.status();
    match answer.text().await {
        Ok(text) => of_answer(code, &text),
        Err(error) => Readiness::Silent(silence(&error)),
    }
}

fn of_answer(code: reqwest::StatusCode, text: &str) -> Readiness {
    let said = serde_json::from_str::<Value>(text).ok();
    let status = said.as_ref().and_then(|it| it["status"].as_str());
    let (Some(said), Some(status)) = (&said, status) else {
        let text = Refusal::of(code, text).text;
        return Readiness::Silent(format!("it answers {text}"));
    };
    let texts = |of: &Value| -> Vec<String> {
        let texts = of.as_array().into_iter().flatten();
        texts.filter_map(|it| it.as_str()).map(printable).collect()
    };
    let components = said["components"].as_array().into_iter().flatten();
    let unwell = components.filter(|it| it["status"] != "ok").map(|it| {
        let part = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        printable(&format!("{}: {}", part("name"), part("detail")))
    });
    let unwell: Vec<String> = unwell.collect();
    if code.is_success() {
        return Readiness::Ready {
            status: printable(status),
            unwell,
        };
    }
    let mut why = texts(&said["not_ready"]);
    if why.is_empty() {
        why = unwell;
    }
    Readiness::NotReady(match why.is_empty() {
        // Where there are users the reasons are for them.
        true => printable(status),
        false => why.join("; "),
    })
}

/// Why there is no answer.
fn silence(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return with_hint(
            "it does not answer in time",
            "it is still starting, or something is in its way",
        );
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    printable(&format!("it cannot be reached ({cause})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    #[test]
    fn an_answer_says_whether_it_is_ready() {
        let ready = r#"{"status": "degraded", "not_ready": [], "components": [{"name": "lake", "status": "ok", "detail": "commit 3"}, {"name": "source logs", "status": "degraded", "detail": "5 % late"}]}"#;
        let expect = Readiness::Ready {
            status: "degraded".to_owned(),
            unwell: vec!["source logs: 5 % late".to_owned()],
        };
        assert_eq!(of_answer(StatusCode::OK, ready), expect);
        let not = r#"{"status": "degraded", "not_ready": ["the lake is down: full"]}"#;
        assert_eq!(
            of_answer(StatusCode::SERVICE_UNAVAILABLE, not),
            Readiness::NotReady("the lake is down: full".to_owned())
        );
        let concealed = r#"{"status": "starting"}"#;
        assert_eq!(
            of_answer(StatusCode::SERVICE_UNAVAILABLE, concealed),
            Readiness::NotReady("starting".to_owned())
        );
        let other = of_answer(StatusCode::OK, "<html>another server");
        assert!(matches!(other, Readiness::Silent(_)), "{other:?}");
    }

    #[test]
    fn only_of_this_machine_any_certificate_is_taken() {
        for (url, expect) in [
            ("https://127.0.0.1:4000/", true),
            ("https://[::1]:4000", true),
            ("http://localhost", true),
            ("https://10.0.0.1:4000", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_of_this_machine(url), expect, "{url}");
        }
    }
}
