//! Settings of an issuer, what it may answer, and a client that is kept in tokens by a server of this test.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const SECRET: &str = "s3cret-of-a-client";

/// Settings that are right, changed by these; an empty value takes one away.
fn config(changes: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "OAUTHBEARER")
        .set(METHOD, "OIDC")
        .set(ENDPOINT, "http://127.0.0.1:1/token")
        .set(CLIENT_ID[0], "tide")
        .set(CLIENT_SECRET[0], SECRET);
    for (name, value) in changes {
        match value.is_empty() {
            true => config.remove(name),
            false => config.set(*name, *value),
        };
    }
    config
}

#[test]
fn settings_of_an_issuer_are_taken_and_the_rest_is_what_the_library_knows() {
    let mut right = config(&[
        (SCOPE, "read write"),
        (EXTENSIONS, "logicalCluster=lkc-1, poolId=a=b,"),
        ("sasl.oauthbearer.grant.type", "client_credentials"),
        ("debug", "security"),
    ]);
    let issuer = Issuer::take_from(&mut right).expect("right").expect("one");
    assert_eq!(issuer.endpoint.as_str(), "http://127.0.0.1:1/token");
    assert_eq!(
        (&*issuer.client_id, &*issuer.client_secret),
        ("tide", SECRET)
    );
    assert_eq!(
        issuer.form(),
        "grant_type=client_credentials&scope=read+write"
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [pair("logicalCluster", "lkc-1"), pair("poolId", "a=b")];
    assert_eq!(issuer.extensions, expected);
    right.create_native_config().expect("the library knows it");
    assert_eq!(right.get("debug"), Some("security"));

    let mut aliases = config(&[
        (CLIENT_ID[0], ""),
        (CLIENT_ID[1], "other"),
        (CLIENT_SECRET[0], ""),
        (CLIENT_SECRET[1], "x"),
        ("sasl.mechanism", ""),
        ("sasl.mechanisms", "OAuthBearer"),
        (CA_LOCATION, "probe"),
    ]);
    let issuer = Issuer::take_from(&mut aliases).expect("right");
    assert_eq!(issuer.expect("one").client_id, "other");
    aliases
        .create_native_config()
        .expect("the library knows it");

    let mut plain = ClientConfig::new();
    plain
        .set("sasl.mechanism", "PLAIN")
        .set(METHOD, "default")
        .set("client.id", "c");
    assert!(Issuer::take_from(&mut plain).expect("right").is_none());
    plain.create_native_config().expect("the library knows it");
    let mut unsigned = config(&[
        (METHOD, ""),
        (ENDPOINT, ""),
        (CLIENT_ID[0], ""),
        (CLIENT_SECRET[0], ""),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
    ]);
    assert!(Issuer::take_from(&mut unsigned).expect("right").is_none());
}

#[test]
fn wrong_settings_are_told_by_their_names_and_never_with_their_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let empty = empty.display().to_string();
    for (name, value, told) in [
        (METHOD, "odic", "there are default and oidc"),
        (METHOD, "default", "it is only used with"),
        (CLIENT_ID[0], "", "it is missing"),
        (CLIENT_SECRET[0], "", "it is missing"),
        (ENDPOINT, "", "it is missing"),
        (ENDPOINT, "issuer/token", "it is no address"),
        (ENDPOINT, "ftp://issuer/", "it has to begin with https://"),
        (ENDPOINT, "https://me:pw@issuer/", "it has a user in it"),
        ("security.protocol", "", "OAUTHBEARER needs SASL_SSL"),
        ("sasl.mechanism", "PLAIN", "it needs OAUTHBEARER"),
        (EXTENSIONS, "a", "'a' is not NAME=VALUE"),
        (EXTENSIONS, "auth=1", "'auth' is no name of an extension"),
        (EXTENSIONS, "a-b=1", "'a-b' is no name of an extension"),
        (EXTENSIONS, "a=ä", "the value of 'a' has characters"),
        (CA_LOCATION, "/nowhere/ca.pem", "cannot be read"),
        (CA_LOCATION, &empty, "there is no certificate in it"),
        (
            "sasl.oauthbearer.grant.type",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "there is only 'client_credentials'",
        ),
        (
            "sasl.oauthbearer.metadata.authentication.type",
            "azure_imds",
            "there is only 'none'",
        ),
        (
            "sasl.oauthbearer.assertion.file",
            "/a",
            "assertions are not supported",
        ),
    ] {
        let error = match Issuer::take_from(&mut config(&[(name, value)])) {
            Err(it) => it,
            Ok(_) => panic!("{name}={value} is taken"),
        };
        let KafkaError::ClientConfig(_, reason, _, shown) = &error else {
            panic!("{name}={value}: {error}");
        };
        assert!(reason.contains(told), "{name}={value}: {reason}");
        assert!(shown.is_empty() && !error.to_string().contains(SECRET));
    }
    let without_method = Issuer::take_from(&mut config(&[
        (METHOD, ""),
        (ENDPOINT, ""),
        (CLIENT_ID[0], ""),
        (CLIENT_SECRET[0], ""),
    ]));
    let error = without_method.err().expect("no way to a token").to_string();
    assert!(error.contains("OAUTHBEARER needs a token"), "{error}");
}

/// A token with these claims, as an issuer would sign it.
fn jwt(claims: &str) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encoded = claims.as_bytes().chunks(3).flat_map(|three| {
        let bits = three
            .iter()
            .fold(0u32, |bits, it| bits << 8 | u32::from(*it));
        let bits = bits << (8 * (3 - three.len()));
        (0..=three.len()).map(move |it| letters[(bits >> (18 - 6 * it)) as usize & 63] as char)
    });
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", encoded.collect::<String>())
}

#[test]
fn what_an_issuer_answers_is_a_token_with_its_end_or_told() {
    let now_ms = 1_700_000_000_000;
    let read = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).expect("a status");
        Token::read(status, body.as_bytes(), "tide", now_ms)
            .map(|it| (it.value, it.principal, it.expires_ms - now_ms))
    };
    let signed = jwt(r#"{"sub":"User é?>","exp":1700000060.5,"iat":1700000000}"#);
    assert_eq!(
        read(
            200,
            &format!(r#"{{"access_token":"{signed}","expires_in":9}}"#)
        ),
        Ok((signed, "User é?>".to_owned(), 60_500))
    );
    let no_end = jwt(r#"{"sub":"u"}"#);
    let answer = format!(r#"{{"access_token":"{no_end}","expires_in":"30"}}"#);
    assert_eq!(read(200, &answer), Ok((no_end, "u".to_owned(), 30_000)));
    let opaque = r#"{"access_token":"ya29.opaque","token_type":"Bearer","expires_in":3599}"#;
    let expected = ("ya29.opaque".to_owned(), "tide".to_owned(), 3_599_000);
    assert_eq!(read(200, opaque), Ok(expected));
    let (_, _, left) = read(200, r#"{"access_token":"x","expires_in":1e300}"#).expect("for ever");
    assert_eq!(left, LIFE_MS_MAX);

    let expired = format!(
        r#"{{"access_token":"{}"}}"#,
        jwt(r#"{"exp":1699999990,"sub":"u"}"#)
    );
    let long = "ä".repeat(2 * SAID_CHARS_MAX);
    let many = format!(r#"{{"error":"e\u0007","error_description":"{long}"}}"#);
    for (status, body, told) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"Invalid client secret"}"#,
            "it refuses client 'tide': invalid_client (Invalid client secret)",
        ),
        (
            200,
            r#"{"error":"invalid_scope"}"#,
            "it refuses client 'tide': invalid_scope",
        ),
        (401, "<html>", "it answered 401 Unauthorized"),
        (503, "", "it answered 503 Service Unavailable"),
        (
            302,
            "",
            "it answered 302 Found; sasl.oauthbearer.token.endpoint.url has to be where tokens are given",
        ),
        (200, "<html>", "it answered without an access_token"),
        (200, "[1]", "it answered without an access_token"),
        (
            200,
            r#"{"access_token":7}"#,
            "it answered without an access_token",
        ),
        (
            200,
            r#"{"access_token":"a b","expires_in":9}"#,
            "its token has characters that no token has",
        ),
        (
            200,
            r#"{"access_token":"a.b!.c"}"#,
            "its token does not say how long it is one: it has no claim exp, and the answer no expires_in",
        ),
        (
            200,
            &expired,
            "its token has expired 10 s ago; are the clocks right?",
        ),
        (
            200,
            r#"{"access_token":"a","expires_in":-5}"#,
            "its token has expired 5 s ago; are the clocks right?",
        ),
        (
            400,
            &many,
            &format!(
                "it refuses client 'tide': e ({}…)",
                "ä".repeat(SAID_CHARS_MAX)
            ),
        ),
    ] {
        assert_eq!(read(status, body), Err(told.to_owned()), "{status} {body}");
    }
}

#[test]
fn bytes_come_out_of_base64url_as_they_went_in() {
    for (text, bytes) in [
        ("", &b""[..]),
        ("Zg", b"f"),
        ("Zg==", b"f"),
        ("Zm9vYg", b"foob"),
        ("Zm9vYmFy", b"foobar"),
        ("-_8", b"\xfb\xff"),
    ] {
        assert_eq!(base64url(text).as_deref(), Some(bytes), "{text}");
    }
    for text in ["Z", "Zh", "Zm9v!", "Zm9vZ"] {
        assert_eq!(base64url(text), None, "{text}");
    }
}

/// An issuer that answers in this order, and the last one again and again; what it was asked is kept. Nothing is an answer that does not come.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: &[Option<(u16, String)>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/token", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (kept, answers) = (Arc::clone(&asked), answers.to_vec());
        std::thread::spawn(move || {
            let mut unanswered = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.expect("a connection");
                let request = request(&mut stream);
                kept.lock().expect("no panic").push(request);
                match &answers[number.min(answers.len() - 1)] {
                    Some((status, body)) => write!(
                        stream,
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    )
                    .expect("answered"),
                    None => unanswered.push(stream),
                }
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// A request whole, as text.
fn request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        text += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    text + &String::from_utf8(body).expect("text")
}

fn started(server: &Server, cause: &Cause) -> WithToken<BaseProducer> {
    let config = config(&[(ENDPOINT, &server.address), (EXTENSIONS, "a=b")]);
    let context = rdkafka::producer::DefaultProducerContext;
    start(&config, context, cause).expect("a client")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_is_kept_in_tokens_and_told_why_there_is_none() {
    let refusal = r#"{"error":"invalid_client"}"#.to_owned();
    let token = r#"{"access_token":"opaque-token","expires_in":2}"#.to_owned();
    let server = Server::start(&[Some((401, refusal)), Some((200, token))]);
    let cause = Cause::default();
    let client = started(&server, &cause);
    client.wait_for_token(Duration::from_secs(20));
    let told = cause.explain_token("b:1").expect("there is no token");
    let expected = format!(
        "there is no way in to brokers b:1: no token from {}: it refuses client 'tide': invalid_client",
        server.address
    );
    assert_eq!(told, expected);
    wait_until("a token", || cause.explain_token("b:1").is_none());
    // It lasts for two seconds, and is replaced before.
    wait_until("a second token", || 4 <= server.asked().len());
    assert_eq!(cause.explain_token("b:1"), None);
    let request = server.asked().remove(0);
    let lower = request.to_ascii_lowercase();
    assert!(lower.starts_with("post /token http/1.1"), "{request}");
    assert!(
        lower.contains("content-type: application/x-www-form-urlencoded"),
        "{request}"
    );
    // tide:s3cret-of-a-client
    let credentials = "Basic dGlkZTpzM2NyZXQtb2YtYS1jbGllbnQ=";
    assert!(request.contains(credentials), "{request}");
    assert!(
        request.ends_with("\r\n\r\ngrant_type=client_credentials"),
        "{request}"
    );
    drop(client);
    let asked = server.asked().len();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(
        server.asked().len(),
        asked,
        "nobody asks when the client is gone"
    );
}

#[test]
fn a_client_ends_while_its_issuer_does_not_answer() {
    let server = Server::start(&[None]);
    let cause = Cause::default();
    let client = started(&server, &cause);
    wait_until("the question", || !server.asked().is_empty());
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    let away = Server {
        address: "http://127.0.0.1:1/".to_owned(),
        asked: Arc::default(),
    };
    let client = started(&away, &cause);
    client.wait_for_token(Duration::from_secs(20));
    let told = cause.explain_token("b:1").expect("there is no token");
    assert!(
        told.contains("no token from http://127.0.0.1:1/: it could not be reached ("),
        "{told}"
    );
}
