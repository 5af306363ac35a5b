//! Every route against every role, cookies, and what a change of the users ends.

use super::*;
use crate::auth::{SessionKey, Source, Token};
use crate::http::Settings;
use crate::http::roles;
use crate::http::testing::{Reply, Server, app_for};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Users {
    _folder: tempfile::TempDir,
    path: PathBuf,
    auth: Arc<Auth>,
    tokens: Vec<(Role, Token)>,
}

impl Users {
    /// One of each role, named like it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let roles = [Role::Metrics, Role::Read, Role::Admin];
        let tokens = roles.map(|it| (it, Token::random().unwrap()));
        let lines = tokens.iter().map(|(role, token)| line(*role, token));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let key = SessionKey::random().unwrap();
        let auth = Auth::open(Source::File(path.clone()), key).unwrap();
        Users {
            _folder: folder,
            path,
            auth,
            tokens: tokens.into(),
        }
    }

    fn token(&self, role: Role) -> &str {
        let found = self.tokens.iter().find(|it| it.0 == role);
        found.unwrap().1.as_str()
    }

    /// Leaves only these.
    fn keep(&self, role: Role) {
        let kept = self.tokens.iter().filter(|it| it.0 == role);
        let lines = kept.map(|(role, token)| line(*role, token));
        std::fs::write(&self.path, lines.collect::<String>()).unwrap();
        self.auth.reload();
    }

    async fn server(&self) -> Server {
        let settings = Settings {
            auth: Some(Arc::clone(&self.auth)),
            ..Settings::default()
        };
        Server::start(app_for(settings)).await
    }
}

fn line(role: Role, token: &Token) -> String {
    let hash = token.hash();
    format!("[[users]]\nname = \"{role}\"\nrole = \"{role}\"\ntoken = \"{hash}\"\n")
}

async fn ask(server: &Server, method: &str, path: &str, token: Option<&str>) -> Reply {
    let head = match token {
        Some(token) => format!("{method} {path} HTTP/1.1\nauthorization: Bearer {token}"),
        None => format!("{method} {path} HTTP/1.1"),
    };
    let body = match method {
        "POST" | "PUT" => "{}",
        _ => "",
    };
    server.ask(&head, body).await
}

/// The matrix as it is answered: who is let in gets something else than a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_the_matrix_says() {
    let users = Users::new();
    let server = users.server().await;
    let mut refused = 0;
    for (method, route, needs) in roles::described() {
        // A name for each parameter; that there is nothing of this name is an answer.
        let parts = route.split('/').map(|it| match it.starts_with('{') {
            true => "1",
            false => it,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let callers = [
            None,
            Some(Role::Metrics),
            Some(Role::Read),
            Some(Role::Admin),
        ];
        for caller in callers {
            let token = caller.map(|it| users.token(it));
            let reply = ask(&server, method, &path, token).await;
            let expect = match (needs.parse::<Role>(), caller) {
                (Err(_), _) => None,
                (Ok(_), None) => Some((401, "not_signed_in")),
                (Ok(needed), Some(role)) if role < needed => Some((403, "role_too_low")),
                (Ok(_), Some(_)) => None,
            };
            let told = (reply.status, reply.code());
            match expect {
                Some((status, code)) => {
                    refused += 1;
                    assert_eq!(
                        told,
                        (status, code.to_owned()),
                        "{method} {path} as {caller:?}"
                    );
                }
                None => assert!(
                    !["not_signed_in", "role_too_low"].contains(&told.1.as_str()),
                    "{method} {path} as {caller:?}: {told:?}"
                ),
            }
        }
    }
    assert!(80 < refused, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_with_what_to_do() {
    let users = Users::new();
    let server = users.server().await;
    let reply = ask(&server, "GET", "/api/v1/views", Some("tl_nobody")).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (401, "unknown_token")
    );
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer realm=\"tidelake\""
    );
    let head = "GET /api/v1/views HTTP/1.1\nauthorization: Basic YTpi";
    assert_eq!(server.ask(head, "").await.status, 401);
    // In an address a token is a parameter that nobody knows, before anybody looks at it.
    let path = format!("/api/v1/views?token={}", users.token(Role::Read));
    assert_eq!(server.get(&path).await.status, 401);
    // The page holds no data.
    assert_eq!(server.get("/").await.status, 200);
    assert_eq!(server.get("/healthz").await.status, 200);
}

async fn sign_in(server: &Server, token: &str, more: &str) -> Reply {
    let head = format!("POST /api/v1/session HTTP/1.1\ncontent-type: application/json{more}");
    server
        .ask(&head, &format!("{{\"token\": \"{token}\"}}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_a_session_until_it_signs_out() {
    let users = Users::new();
    let server = users.server().await;
    let reply = server.get("/api/v1/session").await.json();
    assert_eq!(reply, serde_json::json!({"required": true, "user": null}));
    let reply = sign_in(&server, "tl_nobody", "").await;
    assert_eq!((reply.status, reply.header("set-cookie")), (401, ""));

    let reply = sign_in(&server, users.token(Role::Read), "").await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    let cookie = reply.header("set-cookie").to_owned();
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/",
        "; Max-Age=604800",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(users.token(Role::Read)));
    let secure = sign_in(
        &server,
        users.token(Role::Read),
        "\nx-forwarded-proto: https",
    )
    .await;
    assert!(secure.header("set-cookie").ends_with("; Secure"));

    let pair = cookie.split(';').next().unwrap();
    let with = |path: &str, pair: &str| format!("GET {path} HTTP/1.1\ncookie: other=1; {pair}");
    let reply = server.ask(&with("/api/v1/session", pair), "").await.json();
    assert_eq!(
        reply["user"],
        serde_json::json!({"name": "read", "role": "read"})
    );
    assert_eq!(
        server.ask(&with("/api/v1/views", pair), "").await.status,
        200
    );
    let forged = pair.replace("=read.", "=admin.");
    assert_eq!(
        server.ask(&with("/api/v1/views", &forged), "").await.status,
        401
    );
    // A wrong token is no occasion to look for a cookie.
    let both = format!(
        "{}\nauthorization: Bearer tl_x",
        with("/api/v1/views", pair)
    );
    assert_eq!(server.ask(&both, "").await.status, 401);
    // Another site cannot make the browser act with it.
    let foreign =
        format!("POST /api/v1/sql HTTP/1.1\ncookie: {pair}\norigin: https://evil.example");
    assert_eq!(server.ask(&foreign, "{}").await.code(), "foreign_page");

    let head = format!("DELETE /api/v1/session HTTP/1.1\ncookie: {pair}");
    let reply = server.ask(&head, "").await;
    assert!(
        reply.header("set-cookie").contains("; Max-Age=0"),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_nobody_signs_in() {
    let settings = Settings {
        ..Settings::default()
    };
    let server = Server::start(app_for(settings)).await;
    let reply = server.get("/api/v1/session").await.json();
    assert_eq!(reply, serde_json::json!({"required": false, "user": null}));
    assert_eq!(sign_in(&server, "tl_x", "").await.code(), "no_users");
    assert_eq!(server.get("/api/v1/views").await.status, 200);
}

/// Reads until the connection ends or a text has come.
async fn read_until(stream: &mut TcpStream, text: &str) -> bool {
    let mut all = Vec::new();
    loop {
        match stream.read_buf(&mut all).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if String::from_utf8_lossy(&all).contains(text) => return true,
            Ok(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_user() {
    let users = Users::new();
    let server = users.server().await;
    let mut streams = Vec::new();
    for role in [Role::Read, Role::Admin] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /api/v1/stream?topics=pipeline HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            server.address,
            users.token(role)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, "retry:").await);
        streams.push(stream);
    }
    users.keep(Role::Admin);
    let wait = std::time::Duration::from_secs(10);
    let end = tokio::time::timeout(wait, read_until(&mut streams[0], "0\r\n\r\n")).await;
    assert_eq!(end, Ok(true), "its answer is over");
    let heartbeat = tokio::time::timeout(wait, read_until(&mut streams[1], ":")).await;
    assert_eq!(heartbeat, Ok(true), "it goes on");
}

/// A stream of rows that goes on for ever, as an export of a large table does.
fn endless() -> Response {
    let piece = Ok::<_, std::io::Error>(Bytes::from_static(b"a,1\n"));
    Body::from_stream(futures::stream::repeat_with(move || {
        piece
            .as_ref()
            .map(Bytes::clone)
            .map_err(|it| std::io::Error::other(it.to_string()))
    }))
    .into_response()
}

#[tokio::test]
async fn an_export_breaks_off_with_its_user() {
    let users = Users::new();
    let reader = users.auth.by_token(users.token(Role::Read)).unwrap();
    let admin = users.auth.by_token(users.token(Role::Admin)).unwrap();
    let mut of_reader = until_revoked(endless(), &users.auth, &reader)
        .into_body()
        .into_data_stream();
    let mut of_admin = until_revoked(endless(), &users.auth, &admin)
        .into_body()
        .into_data_stream();
    assert!(of_reader.next().await.unwrap().is_ok());
    users.keep(Role::Admin);
    assert!(
        of_reader.next().await.unwrap().is_err(),
        "not the end of a whole file"
    );
    assert!(of_reader.next().await.is_none());
    assert!(of_admin.next().await.unwrap().is_ok());
    // What is whole already is sent.
    let whole = until_revoked("text".into_response(), &users.auth, &reader);
    assert_eq!(
        axum::body::to_bytes(whole.into_body(), 9).await.unwrap(),
        "text"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_learns_a_code_and_a_user_the_reason() {
    let users = Users::new();
    let server = users.server().await;
    let reply = server.get("/readyz").await;
    assert_eq!(
        (reply.status, reply.json()),
        (503, serde_json::json!({"status": "starting"}))
    );
    let reply = ask(&server, "GET", "/readyz", Some(users.token(Role::Metrics))).await;
    assert_eq!(reply.status, 503);
    assert!(reply.json()["components"].is_array());
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// What has no reader is not waited for, and what anyone may send is short.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_send_no_long_bodies() {
    let users = Users::new();
    let server = users.server().await;
    let long = format!("{{\"token\": \"{}\"}}", "a".repeat(5_000));
    let head = "POST /api/v1/session HTTP/1.1\ncontent-type: application/json";
    assert_eq!(server.ask(head, &long).await.status, 413);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /nothing HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        server.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let wait = std::time::Duration::from_secs(3);
    let answered = tokio::time::timeout(wait, read_until(&mut stream, "404 Not Found")).await;
    assert_eq!(answered, Ok(true), "its body is not waited for");
}
