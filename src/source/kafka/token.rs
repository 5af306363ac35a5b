//! Tokens for SASL OAUTHBEARER: asked of an issuer with the id and secret of a client (client credentials, RFC 6749 section 4.4), and
//! renewed as long as a client of Kafka lives.
//!
//! ```text
//! settings ── taken out ──► Issuer: endpoint, id, secret, scope, extensions, authorities
//!          ── the rest ───► librdkafka, which is built without an HTTP client and knows none of them
//!
//! Keeper, a thread of each client:  ask ──► hand over the token ──► wait for 80 % of its life ──► ask …
//!                                    └── away or refused: told as the cause, asked again after 1, 2, 4, 8, 10, 10 … s
//! ```
//!
//! librdkafka has a callback for this, which it calls where somebody polls its main queue. It is not used: the first thing that most
//! clients do is to ask for metadata, which waits for a connection without polling; an issuer that is slow would hold up reading; and the
//! Rust wrapper passes no extensions. Tokens may be handed over from any thread at any time.
//!
//! Invariants: the keeper of a client ends before the client does; neither secret nor token is part of a text. Deliberately absent: other
//! grants (assertions, metadata of Azure), which are refused by name.

#[cfg(test)]
mod tests;

use super::cause::Cause;
use crate::model::wall_ms;
use crate::supervise;
use crossbeam_channel::{Receiver, Sender};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::bindings as c;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaConfRes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, StatusCode};
use serde_json::Value;
use std::ffi::{CString, c_char};
use std::ops::Deref;
use std::path::Path;
use std::ptr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;
use url::Url;

const METHOD: &str = "sasl.oauthbearer.method";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const CLIENT_ID: [&str; 2] = [
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.id",
];
const CLIENT_SECRET: [&str; 2] = [
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
];
const SCOPE: &str = "sasl.oauthbearer.scope";
const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
const CA_LOCATION: &str = "https.ca.location";
const CA_PEM: &str = "https.ca.pem";
/// Other ways to a token, each with the one value of it that is no other way.
const OTHER_WAYS: [(&str, &str); 2] = [
    ("sasl.oauthbearer.grant.type", "client_credentials"),
    ("sasl.oauthbearer.metadata.authentication.type", "none"),
];
/// What the names of settings of one more way begin with.
const ASSERTION: &str = "sasl.oauthbearer.assertion.";
/// What else belongs to `method=oidc`, and is of no use without.
const OF_OIDC: [&str; 9] = [
    ENDPOINT,
    CLIENT_ID[0],
    CLIENT_ID[1],
    CLIENT_SECRET[0],
    CLIENT_SECRET[1],
    SCOPE,
    EXTENSIONS,
    CA_LOCATION,
    CA_PEM,
];

/// An issuer that says nothing for so long is away. As long as librdkafka itself would wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A token has some thousand bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What an issuer says of a refusal is shown up to here.
const SAID_CHARS_MAX: usize = 200;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Part of its life after which a token is replaced, in percent; a connection asks for a new one at 90 %.
const RENEW_PERCENT: u32 = 80;
/// However short tokens live, they are not asked for more often.
const RENEW_AFTER_MIN: Duration = Duration::from_secs(1);
/// Of a token without an end; librdkafka counts microseconds.
const LIFE_MS_MAX: i64 = 100 * 365 * 24 * 3_600_000;
/// A clock that was set, or a machine that slept, is noticed after so long.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_secs(5);

/// A client of Kafka with a token that is renewed as long as it lives, if its settings ask for one.
pub struct WithToken<T> {
    /// Before the client, so that it ends first.
    keeper: Option<Keeper>,
    client: T,
}

/// Starts a client; it connects by itself, now or when it can. Why there is no token is told to `cause`.
///
/// # Errors
/// If a setting is wrong.
pub fn start<C, T>(
    config: &ClientConfig,
    context: C,
    cause: &Cause,
) -> Result<WithToken<T>, KafkaError>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C> + Native,
{
    let mut config = config.clone();
    let issuer = Issuer::take_from(&mut config)?;
    let client: T = config.create_with_context(context)?;
    let keeper = issuer
        .map(|it| Keeper::start(it, Handle(client.native()), cause.clone()))
        .transpose()
        .map_err(|it| KafkaError::ClientCreation(it.to_string()))?;
    Ok(WithToken { keeper, client })
}

impl<T> WithToken<T> {
    /// Waits until the issuer was asked once, if there is one.
    pub fn wait_for_token(&self, within: Duration) {
        if let Some(keeper) = &self.keeper {
            // What came of it is in the cause.
            let _ = keeper.asked.recv_timeout(within);
        }
    }
}

impl<T> Deref for WithToken<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.client
    }
}

/// What is a client of librdkafka.
pub trait Native {
    fn native(&self) -> *mut c::rd_kafka_t;
}

impl<C: ConsumerContext> Native for BaseConsumer<C> {
    fn native(&self) -> *mut c::rd_kafka_t {
        self.client().native_ptr()
    }
}

impl<C: ProducerContext> Native for BaseProducer<C> {
    fn native(&self) -> *mut c::rd_kafka_t {
        self.client().native_ptr()
    }
}

impl<C: ClientContext> Native for AdminClient<C> {
    fn native(&self) -> *mut c::rd_kafka_t {
        self.inner().native_ptr()
    }
}

/// Who gives tokens, and by what it knows us.
pub struct Issuer {
    endpoint: Url,
    client_id: String,
    client_secret: String,
    scope: String,
    extensions: Vec<(String, String)>,
    /// Authorities to trust instead of those of the machine.
    authorities: Option<Vec<Certificate>>,
}

impl Issuer {
    /// Takes all that is about tokens out of the settings of a client; nothing if it needs none.
    ///
    /// # Errors
    /// If one is missing, wrong, or of a way to a token that there is not.
    pub fn take_from(config: &mut ClientConfig) -> Result<Option<Self>, KafkaError> {
        let is_bearer = setting(config, &["sasl.mechanisms", "sasl.mechanism"])
            .is_some_and(|it| it.eq_ignore_ascii_case("OAUTHBEARER"));
        let method = take(config, &[METHOD]).unwrap_or_else(|| "default".to_owned());
        let is_oidc = match method.to_ascii_lowercase().as_str() {
            "oidc" => true,
            "default" => false,
            _ => return Err(wrong(METHOD, "there are default and oidc")),
        };
        let names: Vec<String> = config.config_map().keys().map(|it| (*it).into()).collect();
        if !is_oidc {
            let is_of_oidc = |it: &str| {
                OF_OIDC.contains(&it)
                    || OTHER_WAYS.iter().any(|way| way.0 == it)
                    || it.starts_with(ASSERTION)
            };
            if let Some(name) = names.iter().find(|it| is_of_oidc(it)) {
                return Err(wrong(name, format!("it is only used with {METHOD}=oidc")));
            }
            let unsigned = config.get("enable.sasl.oauthbearer.unsecure.jwt");
            if is_bearer && !unsigned.is_some_and(|it| it.eq_ignore_ascii_case("true")) {
                let text = format!(
                    "OAUTHBEARER needs a token: set {METHOD}=oidc, {ENDPOINT}, {} and {}",
                    CLIENT_ID[0], CLIENT_SECRET[0]
                );
                return Err(wrong(METHOD, text));
            }
            return Ok(None);
        }
        for (name, usual) in OTHER_WAYS {
            if take(config, &[name]).is_some_and(|it| it != usual) {
                let text = format!("there is only '{usual}'");
                return Err(wrong(name, text));
            }
        }
        if let Some(name) = names.iter().find(|it| it.starts_with(ASSERTION)) {
            let text =
                "assertions are not supported; a token is asked for with the secret of a client";
            return Err(wrong(name, text));
        }
        if !is_bearer {
            let text = format!("it needs OAUTHBEARER, since {METHOD} is oidc");
            return Err(wrong("sasl.mechanism", text));
        }
        let protocol = config.get("security.protocol").unwrap_or("plaintext");
        if !["sasl_ssl", "sasl_plaintext"].contains(&protocol.to_ascii_lowercase().as_str()) {
            let text = "OAUTHBEARER needs SASL_SSL or SASL_PLAINTEXT";
            return Err(wrong("security.protocol", text));
        }
        let needed = |config: &mut ClientConfig, names: &[&str]| {
            let text = || format!("it is missing, and needed with {METHOD}=oidc");
            take(config, names).ok_or_else(|| wrong(names[0], text()))
        };
        let issuer = Issuer {
            endpoint: endpoint(&needed(config, &[ENDPOINT])?)?,
            client_id: needed(config, &CLIENT_ID)?,
            client_secret: needed(config, &CLIENT_SECRET)?,
            scope: take(config, &[SCOPE]).unwrap_or_default(),
            extensions: extensions(&take(config, &[EXTENSIONS]).unwrap_or_default())?,
            authorities: authorities(take(config, &[CA_LOCATION]), take(config, &[CA_PEM]))?,
        };
        Ok(Some(issuer))
    }

    fn http(&self) -> Result<reqwest::Client, String> {
        let builder = |authorities: Option<&[Certificate]>| {
            let builder = reqwest::Client::builder()
                .connect_timeout(CONNECT_WITHIN)
                .timeout(ANSWER_WITHIN)
                // The secret is for the address that was stated.
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .user_agent(concat!("tidelake/", env!("CARGO_PKG_VERSION")));
            match authorities {
                Some(only) => builder.tls_certs_only(only.iter().cloned()),
                None => builder,
            }
        };
        let client = match builder(self.authorities.as_deref()).build() {
            // A machine without certificates of authorities, such as a small container, still speaks plain HTTP.
            Err(_) if self.endpoint.scheme() == "http" => builder(Some(&[])).build(),
            it => it,
        };
        client.map_err(|it| deepest(&it))
    }

    /// What is asked.
    fn form(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        form.finish()
    }

    async fn token(&self, http: &reqwest::Client) -> Result<Token, String> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json = HeaderValue::from_static("application/json");
        let mut answer = http
            .post(self.endpoint.clone())
            .basic_auth(&self.client_id, Some(&self.client_secret))
            .header(CONTENT_TYPE, form)
            .header(ACCEPT, json)
            .body(self.form())
            .send()
            .await
            .map_err(|it| silence(&it))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|it| silence(&it))? {
            if ANSWER_BYTES_MAX < body.len() + part.len() {
                return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&part);
        }
        Token::read(status, &body, &self.client_id, now_ms())
    }
}

/// The value of the first of these names that is set to something.
fn setting(config: &ClientConfig, names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|it| config.get(it));
    values.map(str::to_owned).find(|it| !it.trim().is_empty())
}

/// The same, and none of them is set any more.
fn take(config: &mut ClientConfig, names: &[&str]) -> Option<String> {
    let value = setting(config, names);
    for name in names {
        config.remove(name);
    }
    value
}

/// A setting that cannot be; its value is not shown.
fn wrong(name: &str, reason: impl Into<String>) -> KafkaError {
    let invalid = RDKafkaConfRes::RD_KAFKA_CONF_INVALID;
    KafkaError::ClientConfig(invalid, reason.into(), name.to_owned(), String::new())
}

fn endpoint(text: &str) -> Result<Url, KafkaError> {
    let url = Url::parse(text).map_err(|it| wrong(ENDPOINT, format!("it is no address: {it}")))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(wrong(ENDPOINT, "it has to begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let text = format!(
            "it has a user in it; say that by {} and {}",
            CLIENT_ID[0], CLIENT_SECRET[0]
        );
        return Err(wrong(ENDPOINT, text));
    }
    Ok(url)
}

/// `name=value,name=value`, as RFC 7628 has them in section 3.1.
fn extensions(text: &str) -> Result<Vec<(String, String)>, KafkaError> {
    let pairs = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let pair = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(wrong(EXTENSIONS, format!("'{pair}' is not NAME=VALUE")));
        };
        let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphabetic());
        if !is_name || name == "auth" {
            let text = format!("'{name}' is no name of an extension: letters only, and not auth");
            return Err(wrong(EXTENSIONS, text));
        }
        if !value.chars().all(|it| (' '..='~').contains(&it)) {
            let text = format!("the value of '{name}' has characters other than those of ASCII");
            return Err(wrong(EXTENSIONS, text));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.map(pair).collect()
}

/// Certificates of the authorities by which an endpoint is known: from a file, all files of a folder, or a text; nothing for those of the machine.
fn authorities(
    location: Option<String>,
    pem: Option<String>,
) -> Result<Option<Vec<Certificate>>, KafkaError> {
    let found = match (location, pem) {
        (None, None) => return Ok(None),
        (Some(it), None) if it == "probe" => return Ok(None),
        (Some(_), Some(_)) => {
            let text = format!("there is {CA_PEM}, too; one of them is enough");
            return Err(wrong(CA_LOCATION, text));
        }
        (None, Some(text)) => Certificate::from_pem_bundle(text.as_bytes())
            .map_err(|it| wrong(CA_PEM, format!("it is not understood: {}", deepest(&it))))?,
        (Some(location), None) => {
            let path = Path::new(&location);
            let unread =
                |it: std::io::Error| wrong(CA_LOCATION, format!("{location} cannot be read: {it}"));
            let mut found = Vec::new();
            if path.is_dir() {
                // What else lies there, such as lists of revocations, is none of ours.
                for entry in path.read_dir().map_err(unread)? {
                    let path = entry.map_err(unread)?.path();
                    let bytes = path.is_file().then(|| std::fs::read(&path).ok()).flatten();
                    let bundle = bytes.and_then(|it| Certificate::from_pem_bundle(&it).ok());
                    found.extend(bundle.unwrap_or_default());
                }
            } else {
                let bytes = std::fs::read(path).map_err(unread)?;
                found = Certificate::from_pem_bundle(&bytes).map_err(|it| {
                    let text = format!("{location} is not understood: {}", deepest(&it));
                    wrong(CA_LOCATION, text)
                })?;
            }
            found
        }
    };
    if found.is_empty() {
        return Err(wrong(CA_LOCATION, "there is no certificate in it"));
    }
    Ok(Some(found))
}

/// What stands at the end of a chain of errors, which is what happened.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why no answer came.
fn silence(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let seconds = ANSWER_WITHIN.as_secs();
        return format!("it did not answer within {seconds} s");
    }
    let cause = deepest(error);
    if cause.contains("UnknownIssuer") {
        return format!(
            "its certificate is signed by nobody this machine trusts; name its authority's with {CA_LOCATION}"
        );
    }
    format!("it could not be reached ({cause})")
}

/// A token, and how long it is one.
#[derive(PartialEq, Eq)]
struct Token {
    value: String,
    /// Whom it names.
    principal: String,
    expires_ms: i64,
}

impl Token {
    /// From what an issuer answers (RFC 6749, sections 5.1 and 5.2).
    fn read(status: StatusCode, body: &[u8], client_id: &str, now_ms: i64) -> Result<Self, String> {
        // What is no JSON, such as the page of a proxy, has no token; its status says why.
        let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        if let Some(code) = text("error") {
            let more = match text("error_description") {
                Some(it) => format!(" ({})", shown(it)),
                None => String::new(),
            };
            return Err(format!(
                "it refuses client '{client_id}': {}{more}",
                shown(code)
            ));
        }
        if status.is_redirection() {
            return Err(format!(
                "it answered {status}; {ENDPOINT} has to be where tokens are given"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answered {status}"));
        }
        let Some(value) = text("access_token") else {
            return Err("it answered without an access_token".to_owned());
        };
        if value.is_empty() || !value.bytes().all(|it| it.is_ascii_graphic()) {
            return Err("its token has characters that no token has".to_owned());
        }
        let claims = claims(value);
        let at_claim = claims.get("exp").and_then(Value::as_f64);
        let for_seconds = answer.get("expires_in").and_then(seconds);
        let expires_ms = match (at_claim, for_seconds) {
            (Some(at), _) => (at * 1e3) as i64,
            (None, Some(seconds)) => now_ms.saturating_add((seconds * 1e3) as i64),
            (None, None) => {
                let text = "its token does not say how long it is one: it has no claim exp, and the answer no expires_in";
                return Err(text.to_owned());
            }
        };
        if expires_ms <= now_ms {
            let ago = (now_ms - expires_ms) / 1000;
            return Err(format!(
                "its token has expired {ago} s ago; are the clocks right?"
            ));
        }
        let expires_ms = expires_ms.min(now_ms.saturating_add(LIFE_MS_MAX));
        let subject = claims.get("sub").and_then(Value::as_str);
        Ok(Token {
            value: value.to_owned(),
            principal: subject.unwrap_or(client_id).to_owned(),
            expires_ms,
        })
    }
}

/// What somebody else wrote, as it may stand in a line of ours.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|it| !it.is_control()).collect();
    match text.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A number, or one in a text, which some issuers write.
fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

/// The claims of a token that is a JWT; none of another. Whether its signature is right is for the broker to say.
fn claims(token: &str) -> Value {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Value::Null;
    };
    base64url(claims)
        .and_then(|it| serde_json::from_slice(&it).ok())
        .unwrap_or_default()
}

/// The bytes of a text in base64url (RFC 4648 section 5), with or without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left is padding: less than a letter, and zero.
    (count < 6 && bits == 0).then_some(bytes)
}

fn now_ms() -> i64 {
    i64::try_from(wall_ms()).unwrap_or(i64::MAX)
}

/// A client that lives as long as its keeper.
struct Handle(*mut c::rd_kafka_t);

// SAFETY: librdkafka may be called from any thread.
unsafe impl Send for Handle {}

impl Handle {
    /// Hands over a token; connections that wait for one go on.
    fn set(&self, token: &Token, extensions: &[(String, String)]) -> Result<(), String> {
        let text = |it: &str| CString::new(it).map_err(|_| "a zero byte in its token".to_owned());
        let (value, principal) = (text(&token.value)?, text(&token.principal)?);
        let parts = extensions.iter().flat_map(|(name, value)| [name, value]);
        let parts: Vec<CString> = parts.map(|it| text(it)).collect::<Result<_, _>>()?;
        let mut parts: Vec<*const c_char> = parts.iter().map(|it| it.as_ptr()).collect();
        // SAFETY: the client lives, since its keeper ends first; all texts live until the call is over, which copies them. What the library
        // would say of an error is not asked for: it may have the token in it.
        let code = unsafe {
            c::rd_kafka_oauthbearer_set_token(
                self.0,
                value.as_ptr(),
                token.expires_ms,
                principal.as_ptr(),
                parts.as_mut_ptr(),
                parts.len(),
                ptr::null_mut(),
                0,
            )
        };
        match code {
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(format!(
                "the Kafka client does not take its token: {}",
                RDKafkaErrorCode::from(code)
            )),
        }
    }
}

/// The thread that keeps the token of a client fresh; dropping this ends it, whatever it waits for.
struct Keeper {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The issuer was asked.
    asked: Receiver<()>,
}

impl Keeper {
    fn start(issuer: Issuer, client: Handle, cause: Cause) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (told, asked) = crossbeam_channel::bounded(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = supervise::thread("kafka-token", move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = keep(&issuer, &client, &cause, &told) => {}
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Keeper {
            stop: Some(stop),
            thread: Some(thread),
            asked,
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It does not panic: `supervise` would have ended the process.
            let _ = thread.join();
        }
    }
}

/// Asks for tokens, and never ends.
async fn keep(issuer: &Issuer, client: &Handle, cause: &Cause, asked: &Sender<()>) {
    let mut retry_after = RETRY_AFTER;
    // When the token ends that the client has.
    let mut expires_ms = 0;
    let mut is_told = false;
    loop {
        let token = match issuer.http() {
            Ok(http) => issuer.token(&http).await,
            Err(reason) => Err(format!("it cannot be asked: {reason}")),
        };
        let set = token.and_then(|it| client.set(&it, &issuer.extensions).map(|()| it.expires_ms));
        let again = match set {
            Ok(until) => {
                (expires_ms, retry_after, is_told) = (until, RETRY_AFTER, false);
                cause.has_token();
                let left = Duration::from_millis((until - now_ms()).max(0).unsigned_abs());
                tracing::debug!(client_id = %issuer.client_id, "a token for {} s", left.as_secs());
                (left / 100 * RENEW_PERCENT).max(RENEW_AFTER_MIN)
            }
            Err(reason) => {
                let text = format!("no token from {}: {reason}", issuer.endpoint);
                let left_ms = expires_ms - now_ms();
                if left_ms <= 0 {
                    // Said by whoever waits for the brokers.
                    cause.no_token(&text);
                } else if !is_told {
                    is_told = true;
                    let left = left_ms / 1000;
                    tracing::warn!("{text}; trying again while the last one lasts, for {left} s");
                }
                let after = retry_after;
                retry_after = (2 * retry_after).min(RETRY_AFTER_MAX);
                after
            }
        };
        // Nobody may be waiting for it, or have waited.
        let _ = asked.try_send(());
        wait(again).await;
    }
}

/// Waits, by the clock by which tokens expire, and not longer if that is set back.
async fn wait(time: Duration) {
    let (began, until) = (Instant::now(), SystemTime::now() + time);
    loop {
        let by_clock = until.duration_since(SystemTime::now()).unwrap_or_default();
        let left = by_clock.min(time.saturating_sub(began.elapsed()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_AT_CLOCK_EVERY)).await;
    }
}
