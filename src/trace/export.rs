//! Where spans go: in batches to a collector, by [OTLP] over HTTP, each text without secrets.
//!
//! The environment says how, by the variables that [OpenTelemetry] has for it; those whose value cannot be done are an error, and none is passed over
//! in silence. A collector that does not answer costs spans and nothing else: they are counted, and the log says so once.
//!
//! [OTLP]: https://opentelemetry.io/docs/specs/otlp/
//! [OpenTelemetry]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

use crate::model::{secret, with_causes};
use crate::supervise;
use async_trait::async_trait;
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The end of a process waits no longer for spans that are left.
const END_WITHIN: Duration = Duration::from_secs(1);
/// How messages name what settings or environment say of the collector.
const STATED: &str = "--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT)";
/// Of a collector on this machine: what OpenTelemetry has for a default.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318/v1/traces";
/// An answer of a collector is a few bytes; more of it is not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Spans of this process, by what came of them.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    /// The collector did not take them.
    pub lost: AtomicU64,
}

/// Traces are exported until this is dropped; what is left then is sent.
pub struct Exporting {
    provider: SdkTracerProvider,
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_WITHIN) {
            tracing::warn!("the last spans may not have reached the collector: {error}");
        }
    }
}

/// Counts of the one exporter of a process.
static COUNTS: OnceLock<Arc<Counts>> = OnceLock::new();

/// What came of spans, if they are exported.
pub fn counts() -> Option<&'static Counts> {
    COUNTS.get().map(AsRef::as_ref)
}

/// What a variable of the environment says, if it says something.
fn said(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|it| !it.is_empty())
}

/// The same, of any environment.
type Said<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where spans go, if anywhere. The more special variable of OpenTelemetry comes first, then what the settings say.
fn endpoint(stated: Option<&str>, said: Said<'_>) -> Result<Option<String>, String> {
    if said("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let exporter = said("OTEL_TRACES_EXPORTER");
    match exporter.as_deref() {
        Some("none") => return Ok(None),
        Some("otlp") | None => {}
        Some(other) => {
            return Err(format!(
                "OTEL_TRACES_EXPORTER is {other:?}; possible are otlp and none"
            ));
        }
    }
    let (name, address) = match (said(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), stated) {
        (Some(it), _) => (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, it),
        (None, Some(it)) => {
            let address = format!("{}/v1/traces", it.trim().trim_end_matches('/'));
            (STATED, address)
        }
        (None, None) if exporter.is_some() => (STATED, DEFAULT_ENDPOINT.to_owned()),
        (None, None) => return Ok(None),
    };
    match url::Url::parse(&address) {
        Ok(it) if !it.username().is_empty() || it.password().is_some() => Err(format!(
            "{name} has a user or a password in it; give what the collector asks for in {OTEL_EXPORTER_OTLP_HEADERS}"
        )),
        Ok(it) if it.has_host() && ["http", "https"].contains(&it.scheme()) => Ok(Some(address)),
        Ok(_) | Err(_) => Err(format!(
            "{address} is no address of a collector: write it like http://collector:4318 in {name}"
        )),
    }
}

/// Refuses what the environment asks for and this program cannot do.
fn refuse_others(said: Said<'_>) -> Result<(), String> {
    for name in [
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
        OTEL_EXPORTER_OTLP_PROTOCOL,
    ] {
        match said(name).as_deref() {
            None | Some("http/protobuf") => {}
            Some(other) => {
                return Err(format!(
                    "{name} is {other:?}, and traces are sent by http/protobuf alone: every collector takes it, at port 4318 as a rule"
                ));
            }
        }
    }
    let sampler = said("OTEL_TRACES_SAMPLER");
    let is_ratio = match sampler.as_deref() {
        None
        | Some("always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off") => {
            false
        }
        Some("traceidratio" | "parentbased_traceidratio") => true,
        Some(other) => {
            return Err(format!(
                "OTEL_TRACES_SAMPLER is {other:?}; possible are always_on, always_off, traceidratio, and these behind parentbased_"
            ));
        }
    };
    let ratio = said("OTEL_TRACES_SAMPLER_ARG").map(|it| it.parse::<f64>());
    match ratio {
        Some(Ok(it)) if (0.0..=1.0).contains(&it) => Ok(()),
        _ if !is_ratio => Ok(()),
        Some(_) | None => Err(
            "OTEL_TRACES_SAMPLER takes a share of traces, from 0 to 1, in OTEL_TRACES_SAMPLER_ARG"
                .to_owned(),
        ),
    }
}

/// The time after which a try to send has failed, in milliseconds as OpenTelemetry has it.
fn time_limit(said: Said<'_>) -> Result<Duration, String> {
    for name in [
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
        OTEL_EXPORTER_OTLP_TIMEOUT,
    ] {
        if let Some(value) = said(name) {
            let millis = value.parse().ok().filter(|it| 0 < *it);
            let millis = millis.ok_or_else(|| {
                format!("{name} is {value:?}, and takes a number of milliseconds above 0")
            })?;
            return Ok(Duration::from_millis(millis));
        }
    }
    Ok(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT)
}

/// Begins to trace, if settings or environment name a collector. `about` describes this process besides what the environment says of it.
///
/// # Errors
/// If a setting cannot be done.
pub fn begin(
    stated: Option<&str>,
    about: impl IntoIterator<Item = (&'static str, String)>,
    runtime: &Handle,
) -> Result<Option<Exporting>, String> {
    let Some(endpoint) = endpoint(stated, &said)? else {
        return Ok(None);
    };
    refuse_others(&said)?;
    for name in [
        OTEL_EXPORTER_OTLP_TRACES_HEADERS,
        OTEL_EXPORTER_OTLP_HEADERS,
    ] {
        // A header is where collectors that ask for one take a key.
        let headers = said(name).unwrap_or_default();
        let values = headers.split(',').filter_map(|it| it.split_once('='));
        values.for_each(|it| secret::conceal(it.1.trim()));
    }
    let limit = time_limit(&said)?;
    let client = reqwest::Client::builder()
        .timeout(limit)
        // Spans are for the address that was stated.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tidelake/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|it| it.to_string())?;
    let trouble = Arc::new(Mutex::new(None));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .with_timeout(limit)
        .with_http_client(Client {
            client,
            runtime: runtime.clone(),
            trouble: Arc::clone(&trouble),
        })
        .build()
        .map_err(|it| it.to_string())?;
    let counts = Arc::new(Counts::default());
    let exporter = WithoutSecrets {
        inner: exporter,
        endpoint: endpoint.clone(),
        trouble,
        is_failing: AtomicBool::new(false),
        counts: Arc::clone(&counts),
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(about))
        .with_batch_exporter(exporter)
        .build();
    let _ = COUNTS.set(counts);
    super::trace_with(&provider);
    tracing::info!("traces go to {endpoint}");
    Ok(Some(Exporting { provider }))
}

/// What this process is: as the environment says, over what is known of it.
fn resource(about: impl IntoIterator<Item = (&'static str, String)>) -> Resource {
    let stated = Resource::builder().build();
    let known = [
        ("service.name", "tidelake".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ("process.pid", std::process::id().to_string()),
    ];
    let known = known.into_iter().chain(about);
    let is_stated = |name: &'static str| {
        let value = stated.get(&name.into());
        // The default of the library, which names the program's file.
        value.is_some_and(|it| !it.as_str().starts_with("unknown_service"))
    };
    let ours = known
        .filter(|(name, _)| !is_stated(name))
        .map(|(name, value)| KeyValue::new(name, value))
        .collect::<Vec<_>>();
    Resource::builder().with_attributes(ours).build()
}

/// The client of HTTP that is in the program anyhow. The exporter asks it on a thread of its own, without a runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
    /// Why the last try failed, which the exporter's own error does not say.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Client {
    fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request: reqwest::Request = request.try_into()?;
        let sent = supervise::awaited(
            &self.runtime,
            "sending traces",
            sent(self.client.clone(), request),
        );
        match sent.await {
            Ok(Ok(answer)) => {
                let status = answer.status();
                let said = || String::from_utf8_lossy(answer.body()).trim().to_owned();
                self.note(
                    (!status.is_success()).then(|| format!("it answered {status}: {}", said())),
                );
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.note(Some(with_causes(&error)));
                Err(error.into())
            }
            Err(died) => {
                self.note(Some(died.to_string()));
                Err(died.into())
            }
        }
    }
}

async fn sent(
    client: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, reqwest::Error> {
    let mut answer = client.execute(request).await?;
    let mut built = Response::new(Bytes::new());
    *built.status_mut() = answer.status();
    *built.headers_mut() = std::mem::take(answer.headers_mut());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    *built.body_mut() = body.into();
    Ok(built)
}

/// Takes secrets out of all texts, counts, and says when spans are lost.
#[derive(Debug)]
struct WithoutSecrets<E> {
    inner: E,
    endpoint: String,
    trouble: Arc<Mutex<Option<String>>>,
    is_failing: AtomicBool,
    counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for WithoutSecrets<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(redact);
        let count = batch.len() as u64;
        let result = self.inner.export(batch).await;
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(()) => {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                if was_failing {
                    let lost = self.counts.lost.load(Ordering::Relaxed);
                    tracing::info!(
                        "traces reach {} again; {lost} spans were lost since the start",
                        self.endpoint
                    );
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                if !was_failing {
                    let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                    let trouble = trouble.clone().unwrap_or_else(|| error.to_string());
                    tracing::warn!(
                        "traces do not reach {}, and spans are lost until they do; nothing else is: {trouble}",
                        self.endpoint
                    );
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

fn redact(span: &mut SpanData) {
    span.attributes.iter_mut().for_each(redact_value);
    for event in &mut span.events.events {
        event.attributes.iter_mut().for_each(redact_value);
    }
    if let opentelemetry::trace::Status::Error { description } = &mut span.status {
        *description = secret::redact(description).into_owned().into();
    }
}

fn redact_value(it: &mut KeyValue) {
    match &mut it.value {
        Value::String(text) => *text = secret::redact(text.as_str()).into_owned().into(),
        Value::Array(Array::String(texts)) => {
            for text in texts {
                *text = secret::redact(text.as_str()).into_owned().into();
            }
        }
        // Neither numbers nor booleans are secrets, and there is no other kind of ours.
        _ => {}
    }
}

#[cfg(test)]
mod tests;
