//! HTTP: the API, the event streams, the seed's endpoints, metrics, and the page.
//!
//! Handlers only read: live views from the hub, stored tables through ad-hoc SQL, health from those who know. They run on threads of their own, and
//! everything long runs elsewhere, so that health and metrics answer while a heavy query runs.
//!
//! ```text
//! connection ──► may it ask (guard) ──► are its parameters right ──► handler ──► what browsers may do with the answer
//! ```

mod actions;
mod apart;
mod assets;
mod beginning;
mod boards;
mod catalog;
mod connections;
mod dead_letters;
mod docs;
mod entry;
mod explanation;
mod extent;
pub(crate) mod filter;
mod filters;
mod folder;
mod guard;
mod history;
mod identity;
mod incidents;
mod jobs;
mod lake;
mod logs;
mod metrics;
mod openapi;
mod page;
mod parameters;
mod pipeline;
mod problem;
mod push;
mod receipt;
mod reports;
mod restart;
mod roles;
mod saved;
mod seed;
mod shared;
mod sql;
pub mod status;
mod stream;
#[cfg(test)]
mod testing;
mod tls;
mod topics;
mod training;
mod verification;
mod views;
mod wire;
mod work;

pub use apart::{Program, quoted};
pub use connections::{Limits, raise_descriptors};
pub use guard::{Access, HostPattern};
pub use openapi::document as openapi_document;
pub use restart::Restarter;
pub use roles::described as described_roles;
pub use sql::{AnswerEnding, AnswerFormat, AnswerWriter};
pub use status::{
    CommitInfo, CommittedFiles, Component, Health, IntakeStatus, PartitionStatus, SourceStatus,
    Status, StatusSource,
};
pub use tls::{Error as TlsError, Files as TlsFiles, Tls};
pub(crate) use topics::event_place;

use crate::auth::{Auth, Caller};
use crate::plan::Dataflow;
use crate::report::Subject;
use crate::source::push::Inbox;
use crate::sql::query::Queries;
use crate::supervise;
use crate::trace::Span;
use crate::view::Hub;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use connections::Connections;
use futures::FutureExt;
use problem::Problem;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Tells the epoch of an answer.
const EPOCH_HEADER: &str = "tidelake-epoch";
/// Tells whether an export was cut off.
const TRUNCATED_HEADER: &str = "tidelake-truncated";
/// Tells whether a query was cancelled before it had all its rows.
const PARTIAL_HEADER: &str = "tidelake-partial";
const BODY_BYTES_MAX: usize = 1 << 20;
/// A body must be there by then.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// The same of a sign-in.
const SIGN_IN_BYTES_MAX: usize = 4 << 10;
const SIGN_IN_WITHIN: Duration = Duration::from_secs(5);
/// What requests for files of the page are counted as.
const PAGE_ROUTE: &str = "page";
/// Threads that serve connections.
const THREADS: usize = 2;
/// Threads for work apart, and for files of the lake.
const BLOCKING_THREADS_MAX: usize = 16;
/// Open connections get this long after streams have said goodbye.
const DRAIN: Duration = Duration::from_secs(1);

/// What handlers share.
pub struct App {
    pub hub: Arc<Hub>,
    pub queries: Queries,
    pub dataflow: Arc<Dataflow>,
    /// What Overview shows of the dataflow.
    page: page::Page,
    /// What of it can be reported on.
    reported: Subject,
    pub status: Arc<dyn StatusSource>,
    pub started: Instant,
    access: Access,
    identity: identity::Identity,
    tls: Option<Arc<Tls>>,
    /// Saved queries of the dataflow, if there is a folder for them.
    saved_queries: Option<folder::Folder>,
    /// The same with its boards.
    boards: Option<folder::Folder>,
    /// The same with its saved filters.
    filters: Option<folder::Folder>,
    /// Sources that clients push into, by name.
    inboxes: BTreeMap<String, Inbox>,
    samples: pipeline::Samples,
    verifier: verification::Verifier,
    trainer: Option<Program>,
    restarter: Option<Restarter>,
    keeping: Keeping,
    jobs: jobs::Jobs,
    clients: Arc<Semaphore>,
    ending: watch::Sender<bool>,
    requests: metrics::Requests,
    connections: Arc<Connections>,
    workers: work::Workers,
    shared: shared::Shared,
}

/// What the engine keeps of a lake, and does for it, by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keeping {
    /// For how long versions of tables stay readable, if that is known.
    pub versions_for: Option<Duration>,
    /// How often small files are put together, if they are.
    pub optimizes_every: Option<Duration>,
}

/// How a server is set up.
#[derive(Default)]
pub struct Settings {
    pub access: Access,
    /// Users, if requests must be of one of them.
    pub auth: Option<Arc<Auth>>,
    /// The server's certificate, if it speaks HTTPS.
    pub tls: Option<Arc<Tls>>,
    /// In which each dataflow has a folder of saved queries, filters and boards, if there is one.
    pub saved_queries: Option<PathBuf>,
    pub limits: Limits,
    /// What proves commits when a client asks for it, if anything does.
    pub prover: Option<Program>,
    /// What trains models when a client asks for it, if anything does: it is told the model's name and what it learns from.
    pub trainer: Option<Program>,
    /// The way to whoever restarts the process, if anybody does.
    pub restarter: Option<Restarter>,
    pub keeping: Keeping,
}

impl App {
    pub fn new(
        hub: Arc<Hub>,
        queries: Queries,
        dataflow: Arc<Dataflow>,
        status: Arc<dyn StatusSource>,
        inboxes: BTreeMap<String, Inbox>,
        settings: Settings,
    ) -> Arc<Self> {
        let saved = settings.saved_queries.map(|it| it.join(&dataflow.name));
        let page = page::page_of(&dataflow);
        let reported = Subject::of_dataflow(&dataflow);
        let app = Arc::new(App {
            hub,
            queries,
            dataflow,
            page,
            reported,
            status,
            started: Instant::now(),
            access: settings.access,
            identity: identity::Identity::new(settings.auth, settings.tls.is_some()),
            tls: settings.tls,
            boards: saved
                .as_ref()
                .map(|it| folder::Folder::new(it.join("boards"), &boards::BOARDS)),
            filters: saved
                .as_ref()
                .map(|it| folder::Folder::new(it.join("filters"), &filters::FILTERS)),
            saved_queries: saved.map(|it| folder::Folder::new(it, &saved::QUERIES)),
            inboxes,
            samples: pipeline::Samples::default(),
            verifier: verification::Verifier::new(settings.prover),
            trainer: settings.trainer,
            restarter: settings.restarter,
            keeping: settings.keeping,
            jobs: jobs::Jobs::default(),
            clients: Arc::new(Semaphore::new(stream::CLIENTS_MAX)),
            ending: watch::Sender::new(false),
            requests: metrics::Requests::default(),
            connections: Connections::new(settings.limits),
            workers: work::Workers::default(),
            shared: shared::Shared::default(),
        });
        let asked = Arc::downgrade(&app);
        app.queries.tell_costs(move || {
            let app = asked.upgrade();
            app.map(|it| pipeline::costs_in_words(&it))
                .unwrap_or_default()
        });
        app
    }

    /// Open event streams.
    pub fn stream_clients(&self) -> usize {
        stream::CLIENTS_MAX - self.clients.available_permits()
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(
            "/api/v1/session",
            get(identity::session)
                .post(identity::sign_in)
                .delete(identity::sign_out),
        )
        .route("/api/v1/views", get(views::list))
        .route("/api/v1/views/{view}", get(views::rows))
        .route("/api/v1/views/{view}/plan", get(pipeline::plan))
        .route("/api/v1/views/{view}/changes", get(views::changes))
        .route("/api/v1/stream", get(views::stream))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{incident}/actions", post(actions::act))
        .route("/api/v1/sources/{source}/records", post(push::records))
        .route("/api/v1/sql", post(sql::run))
        .route("/api/v1/queries/{id}", delete(sql::cancel))
        .route("/api/v1/tables", get(sql::tables))
        .route("/api/v1/saved-queries", get(saved::list))
        .route(
            "/api/v1/saved-queries/{name}",
            put(saved::save).delete(saved::remove),
        )
        .route("/api/v1/filters", get(filters::list))
        .route(
            "/api/v1/filters/{name}",
            put(filters::save).delete(filters::remove),
        )
        .route("/api/v1/boards", get(boards::list))
        .route(
            "/api/v1/boards/{board}",
            put(boards::save).delete(boards::remove),
        )
        .route("/api/v1/page", get(page::page))
        .route("/api/v1/history", get(history::history))
        .route("/api/v1/reports", get(reports::list))
        .route("/api/v1/reports/{name}", get(reports::report))
        .route("/api/v1/logs", get(logs::page))
        .route("/api/v1/logs/summary", get(logs::summary))
        .route("/api/v1/logs/newest", get(logs::newest))
        .route("/api/v1/logs/columns", get(logs::columns))
        .route("/api/v1/logs/patterns", get(logs::patterns))
        .route("/api/v1/logs/extent", get(extent::extent))
        .route("/api/v1/records/{partition}/{offset}", get(logs::record))
        .route("/api/v1/values/{column}", get(logs::values))
        .route("/api/v1/receipts/{view}", get(receipt::receipt))
        .route(
            "/api/v1/incidents/{incident}/explanation",
            get(explanation::explanation),
        )
        .route("/api/v1/pipeline", get(pipeline::pipeline))
        .route("/api/v1/dead-letters", get(dead_letters::list))
        .route("/api/v1/dead-letters/records", get(dead_letters::records))
        .route(
            "/api/v1/dead-letters/requests/{request}",
            delete(dead_letters::withdraw),
        )
        .route(
            "/api/v1/sources/{source}/dead-letters/retry",
            post(dead_letters::retry),
        )
        .route(
            "/api/v1/verification",
            get(verification::newest)
                .post(verification::start)
                .delete(verification::cancel),
        )
        .route("/api/v1/restart", post(restart::restart))
        .route("/api/v1/lake", get(lake::state))
        .route("/api/v1/lake/tables/{table}", get(lake::table))
        .route("/api/v1/lake/optimize", post(lake::optimize))
        .route("/api/v1/lake/vacuum", post(lake::vacuum))
        .route("/api/v1/models/{model}/train", post(training::train))
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{job}", get(jobs::one).delete(jobs::cancel))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/version", get(status::version))
        .route("/healthz", get(status::alive))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(metrics::prometheus))
        .route("/health", get(seed::health))
        .route("/api/metrics", get(seed::metrics))
        .route("/api/logs", get(seed::logs))
        .route("/api/anomalies", get(seed::anomalies))
        .route("/api/query", post(seed::query))
        .route("/events", get(seed::events))
        .fallback(assets::serve)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

/// The threads that serve, which go away with their owner wherever that is.
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves until told to stop; then streams say goodbye and the rest is drained.
///
/// # Errors
/// If there are no threads to be had, or the listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: Arc<App>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("http")
        .enable_all()
        .build()?;
    let listener = listener.into_std()?;
    let ending = app.ending.clone();
    let queries = app.queries.clone();
    let work = async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        supervise::task("sampler", pipeline::sample(Arc::clone(&app)));
        if let Some(auth) = &app.identity.auth {
            supervise::task("users", Arc::clone(auth).follow());
        }
        if let Some(tls) = &app.tls {
            supervise::task("certificate", Arc::clone(tls).follow());
        }
        let ending = app.ending.subscribe();
        let routes = router(Arc::clone(&app));
        connections::serve(listener, app, routes, ending).await;
        Ok(())
    };
    let mut serving = supervise::task_on(runtime.handle(), "http", work);
    let _threads = Threads(Some(runtime));
    let ended = |it: Result<std::io::Result<()>, tokio::task::JoinError>| match it {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)),
    };
    tokio::select! {
        result = &mut serving => return ended(result),
        _ = shutdown.wait_for(|it| *it) => {}
    }
    ending.send_replace(true);
    queries.close();
    match tokio::time::timeout(DRAIN, serving).await {
        Ok(result) => ended(result),
        Err(_) => Ok(()),
    }
}

/// Refuses who may not ask, counts, and tells browsers what they may do with the answer.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| PAGE_ROUTE.to_owned(), |it| it.as_str().to_owned());
    let span = span_of(&method, &route, &request);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|it| app.access.allows_origin(it));
    let checked = app
        .access
        .check(&method, request.uri(), request.headers(), matched.is_none());
    let mut response = match checked {
        Err(problem) => problem.into_response(),
        Ok(()) if method == Method::OPTIONS && allowed.is_some() => {
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(()) => {
            let matched = matched.map(MatchedPath::as_str);
            match app.identity.admit(&method, matched, request.headers()) {
                Err(problem) => problem.into_response(),
                Ok(caller) => {
                    let answer = answer_to(&app, caller, &route, request, next);
                    span.around(answer).await
                }
            }
        }
    };
    identity::challenge(&mut response);
    end_of(&span, response.status());
    app.requests
        .note(&method, &route, response.status(), began.elapsed());
    let headers = response.headers_mut();
    guard::secure(headers, allowed.is_some());
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, last-event-id, x-query-id"),
        );
    }
    response
}

/// Routes that are asked every few seconds by machines, and say the same: traces of them would be all that one sees.
const UNTRACED: [&str; 5] = ["/healthz", "/readyz", "/health", "/metrics", PAGE_ROUTE];

/// The span of a request, by OpenTelemetry's conventions for servers of HTTP.
fn span_of(method: &Method, route: &str, request: &Request) -> Span {
    if UNTRACED.contains(&route) {
        return Span::default();
    }
    // As in metrics: a client may invent methods.
    let known = metrics::known_method(method);
    let span = Span::of_request(|| format!("{known} {route}"), request.headers());
    if span.is_recorded() {
        span.set("http.request.method", known);
        span.set("http.route", route.to_owned());
        span.set("url.path", request.uri().path().to_owned());
        let client = request.headers().get(header::USER_AGENT);
        if let Some(client) = client.and_then(|it| it.to_str().ok()) {
            span.set("user_agent.original", client.to_owned());
        }
    }
    span
}

fn end_of(span: &Span, status: StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    // What a client did wrong is no failure of the server.
    if status.is_server_error() {
        span.fail(status.as_u16().to_string(), String::new);
    }
}

/// The answer of a handler that knows who asks, for as long as that is a user.
async fn answer_to(
    app: &App,
    caller: Option<Caller>,
    route: &str,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    let response = answer(app, route, request, next).await;
    match (&app.identity.auth, &caller) {
        (Some(auth), Some(caller)) => {
            let mut response = identity::until_revoked(response, auth, caller);
            identity::keep_private(&mut response);
            response
        }
        _ => response,
    }
}

/// The answer of a handler, or the problem that there is none: a wrong parameter, a body that does not come, a bug.
async fn answer(app: &App, route: &str, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    if let Err(problem) = beginning::begun(app, route).await {
        return problem.into_response();
    }
    let request = match prepared(route, request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    match caught(next.run(request)).await {
        Ok(response) => problem::uniform(response).await,
        Err(panic) => {
            let id = uuid::Uuid::new_v4().to_string();
            app.connections
                .counts()
                .panics
                .fetch_add(1, Ordering::Relaxed);
            tracing::error!(%id, %method, route, "a request ended with a panic, which is a bug: {panic}");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the server failed to handle the request, which is a bug",
            )
            .hint(format!("look for {id} in the server's log"))
            .with("id", id)
            .into_response()
        }
    }
}

/// A request with its parameters read and its body here.
async fn prepared(route: &str, request: Request) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let parameters = openapi::read_parameters(&parts.method, route, query)?;
    parts.extensions.insert(parameters);
    let is_known = parts.extensions.get::<Caller>().is_some();
    let (bytes_max, within) = match route {
        // What no handler reads keeps nobody waiting.
        PAGE_ROUTE => (0, Duration::ZERO),
        // Anyone may send one, and it holds a token.
        "/api/v1/session" if !is_known => (SIGN_IN_BYTES_MAX, SIGN_IN_WITHIN),
        _ => (BODY_BYTES_MAX, BODY_WITHIN),
    };
    let body = match bytes_max {
        0 => Bytes::new(),
        _ => whole_body(body, bytes_max, within).await?,
    };
    Ok(Request::from_parts(parts, Body::from(body)))
}

async fn whole_body(body: Body, bytes_max: usize, within: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, to_bytes(body, bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let is_long = std::error::Error::source(&error)
                .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
            Err(match is_long {
                true => Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    format!("the body is longer than {bytes_max} bytes"),
                ),
                false => Problem::bad_request("bad_body", "the request body ended early"),
            })
        }
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!(
                "the request body was not complete after {} s",
                within.as_secs()
            ),
        )),
    }
}

/// What a future gives, or the words of its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let words = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast_ref::<&str>() {
            Some(text) => (*text).to_owned(),
            None => "it says nothing".to_owned(),
        },
    };
    AssertUnwindSafe(future).catch_unwind().await.map_err(words)
}

#[cfg(test)]
mod tests;
