//! Who asks: a bearer token of a program, or the session cookie of the page; and whether that user may.
//!
//! Tokens stand in a header, never in an address, which proxies and browsers write down. A stream that is open ends when its
//! user is no longer there.

use super::problem::Problem;
use super::roles::{Need, need};
use super::{App, stream};
use crate::auth::{Auth, Caller, Role};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a person stays signed in.
const SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// What a client is told to send.
const CHALLENGE: &str = "Bearer realm=\"tidelake\"";

/// Users of a server, and what has come of asking them.
pub struct Identity {
    pub auth: Option<Arc<Auth>>,
    /// The name of the cookie: of another server on the same host it is another one, since cookies know no ports.
    cookie: String,
    /// Whether the server itself speaks TLS.
    is_encrypted: bool,
    pub counts: Counts,
}

/// Requests since the start that were not let in.
#[derive(Debug, Default)]
pub struct Counts {
    /// Without a token, or with one that nobody has.
    pub unknown: AtomicU64,
    /// Of a user whose role is too low.
    pub forbidden: AtomicU64,
}

impl Identity {
    pub fn new(auth: Option<Arc<Auth>>, is_encrypted: bool) -> Self {
        let path = auth.as_ref().map(|it| {
            let path = it.source().path();
            std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
        });
        let path = path.map(|it| it.into_os_string().into_encoded_bytes());
        let hash = Sha256::digest(path.unwrap_or_default());
        let digits: String = hash.iter().take(4).map(|it| format!("{it:02x}")).collect();
        Identity {
            auth,
            cookie: format!("tidelake_session_{digits}"),
            is_encrypted,
            counts: Counts::default(),
        }
    }

    /// Who asks, if that is a user who may; nobody where there are no users.
    ///
    /// # Errors
    /// If nobody is known by what was sent, or their role is too low.
    pub fn admit(
        &self,
        method: &Method,
        route: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Problem> {
        let Some(auth) = &self.auth else {
            return Ok(None);
        };
        let caller = self.caller(auth, headers);
        let role = match need(method, route) {
            Some(Need::Anyone) => return Ok(caller.unwrap_or(None)),
            Some(Need::Role(role)) => role,
            // Closed, but for administrators, who learn from the router that it is none.
            None => Role::Admin,
        };
        match caller {
            Ok(Some(caller)) if role <= caller.role => Ok(Some(caller)),
            Ok(Some(caller)) => {
                self.counts.forbidden.fetch_add(1, Ordering::Relaxed);
                Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "role_too_low",
                    format!(
                        "`{}` has the role {}, and this needs {role}",
                        caller.name, caller.role
                    ),
                )
                .hint(format!("use the token of a user with the role {role}")))
            }
            Ok(None) => {
                self.counts.unknown.fetch_add(1, Ordering::Relaxed);
                Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "not_signed_in",
                    "this server has users",
                )
                .hint("send `Authorization: Bearer TOKEN`, or sign in on the page"))
            }
            Err(problem) => {
                self.counts.unknown.fetch_add(1, Ordering::Relaxed);
                Err(problem)
            }
        }
    }

    /// The user of a request. A token that is wrong is an error, and no cookie makes up for it; a session that is over is nobody's.
    fn caller(&self, auth: &Auth, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            let token = match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
                _ => {
                    return Err(unknown("the authorization header has no bearer token")
                        .hint("send `Authorization: Bearer TOKEN`"));
                }
            };
            return match auth.by_token(token) {
                Some(caller) => Ok(Some(caller)),
                None => Err(unknown("nobody has this token")
                    .hint("`tidelake token new` makes one, and the line for the file with users")),
            };
        }
        let now_s = crate::model::wall_ms() / 1000;
        let session = self
            .cookies(headers)
            .find_map(|it| auth.by_session(it, now_s));
        Ok(session)
    }

    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let all = headers.get_all(header::COOKIE).iter();
        let all = all.filter_map(|it| it.to_str().ok());
        all.flat_map(|it| it.split(';')).filter_map(|it| {
            let (name, value) = it.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })
    }

    /// The header that keeps a session in the browser for so long; an empty one for no time removes it.
    fn set_cookie(&self, session: &str, age: Duration, headers: &HeaderMap) -> String {
        // A proxy in front may speak TLS for us: to say so where it is not true keeps the cookie from being sent at all.
        let by_proxy = headers
            .get("x-forwarded-proto")
            .and_then(|it| it.to_str().ok()?.split(',').next())
            .is_some_and(|it| it.trim().eq_ignore_ascii_case("https"));
        let secure = match self.is_encrypted || by_proxy {
            true => "; Secure",
            false => "",
        };
        format!(
            "{}={session}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
            self.cookie,
            age.as_secs()
        )
    }
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unknown_token", detail)
}

/// Tells a client how to be known, in an answer that says it is not.
pub fn challenge(response: &mut Response) {
    if response.status() == StatusCode::UNAUTHORIZED {
        let value = HeaderValue::from_static(CHALLENGE);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
}

/// An answer that ends when its user is no longer there, unless it is whole already. A stream of events ends in order; an export breaks off, so that
/// nobody takes it for all rows.
pub fn until_revoked(response: Response, auth: &Arc<Auth>, caller: &Caller) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().starts_with(stream::EVENT_STREAM.as_bytes()));
    let (auth, caller) = (Arc::clone(auth), caller.clone());
    let revoked = async move {
        let mut changed = auth.changed();
        while auth.is_still(&caller) {
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let revoked = Box::pin(revoked);
    response.map(|body| {
        let rest = (body.into_data_stream(), revoked);
        let frames = futures::stream::unfold(Some(rest), move |rest| async move {
            let (mut frames, mut revoked) = rest?;
            tokio::select! {
                biased;
                () = &mut revoked => {
                    let broken = std::io::Error::other("its user is no longer there");
                    (!is_stream).then(|| (Err(axum::Error::new(broken)), None))
                }
                frame = frames.next() => frame.map(|it| (it, Some((frames, revoked)))),
            }
        });
        Body::from_stream(frames)
    })
}

/// Answers to users are for them alone.
pub fn keep_private(response: &mut Response) {
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// What a person signs in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub token: String,
}

/// Who is signed in.
#[derive(Serialize, JsonSchema)]
pub struct Session {
    /// Whether the server has users, so that a request must be of one of them.
    required: bool,
    user: Option<SignedIn>,
}

#[derive(Serialize, JsonSchema)]
struct SignedIn {
    name: String,
    /// `metrics`, `read` or `admin`; each may all that the ones before it may.
    #[schemars(with = "String")]
    role: Role,
}

/// Who asks, to the page.
pub async fn session(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Caller>>,
) -> JsonBody<Session> {
    JsonBody(Session {
        required: app.identity.auth.is_some(),
        user: caller.map(|Extension(it)| SignedIn {
            name: it.name,
            role: it.role,
        }),
    })
}

/// Makes a session of a token.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let Some(auth) = &app.identity.auth else {
        return Err(
            Problem::not_found("no_users", "this server has no users, so nobody signs in")
                .hint("start it with --auth-file to have some"),
        );
    };
    let sent: SignIn = serde_json::from_slice(&body).map_err(|_| {
        // What serde says may quote the token.
        Problem::bad_request("bad_sign_in", "the body is not {\"token\": \"…\"}")
    })?;
    let Some(caller) = auth.by_token(sent.token.trim()) else {
        app.identity.counts.unknown.fetch_add(1, Ordering::Relaxed);
        return Err(unknown("nobody has this token").hint("check that it was copied whole"));
    };
    let expires_s = crate::model::wall_ms() / 1000 + SESSION.as_secs();
    let session = auth.session(&caller, expires_s);
    let cookie = app.identity.set_cookie(&session, SESSION, &headers);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Ends the session of the page.
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let cookie = app.identity.set_cookie("", Duration::ZERO, &headers);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

#[cfg(test)]
mod tests;
