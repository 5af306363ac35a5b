//! HTTP: the API, the event streams, the seed's endpoints, metrics, and the page.
//!
//! Handlers only read: live views from the hub, stored tables through ad-hoc SQL, health from whoever knows. Everything long runs elsewhere, so that
//! health and metrics answer while a heavy query runs.

mod assets;
mod entry;
mod extent;
mod filter;
mod guard;
mod history;
mod lake;
mod logs;
mod metrics;
mod openapi;
mod pipeline;
mod problem;
mod receipt;
mod saved;
mod seed;
mod sql;
pub mod status;
mod stream;
#[cfg(test)]
mod testing;
mod topics;
mod views;
mod wire;

pub use guard::{Access, HostPattern};
pub use openapi::document as openapi_document;
pub use sql::{AnswerEnding, AnswerFormat, AnswerWriter};
pub use status::{
    CommitInfo, Component, Health, PartitionStatus, SourceStatus, Status, StatusSource,
};

use crate::plan::Dataflow;
use crate::sql::query::Queries;
use crate::supervise;
use crate::view::Hub;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use problem::Problem;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Tells the epoch of an answer.
const EPOCH_HEADER: &str = "tidelake-epoch";
/// Tells whether an export was cut off.
const TRUNCATED_HEADER: &str = "tidelake-truncated";
/// Tells whether a query was cancelled before it had all its rows.
const PARTIAL_HEADER: &str = "tidelake-partial";
const BODY_BYTES_MAX: usize = 1 << 20;
/// Open connections get this long after streams have said goodbye.
const DRAIN: Duration = Duration::from_secs(1);

/// What handlers share.
pub struct App {
    pub hub: Arc<Hub>,
    pub queries: Queries,
    pub dataflow: Arc<Dataflow>,
    pub status: Arc<dyn StatusSource>,
    pub started: Instant,
    access: Access,
    /// Folder of saved queries, if there is one.
    saved_queries: Option<saved::Folder>,
    samples: pipeline::Samples,
    clients: Arc<Semaphore>,
    ending: watch::Sender<bool>,
    requests: metrics::Requests,
}

impl App {
    pub fn new(
        hub: Arc<Hub>,
        queries: Queries,
        dataflow: Arc<Dataflow>,
        status: Arc<dyn StatusSource>,
        access: Access,
        saved_queries: Option<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(App {
            hub,
            queries,
            dataflow,
            status,
            started: Instant::now(),
            access,
            saved_queries: saved_queries.map(saved::Folder::new),
            samples: pipeline::Samples::default(),
            clients: Arc::new(Semaphore::new(stream::CLIENTS_MAX)),
            ending: watch::Sender::new(false),
            requests: metrics::Requests::default(),
        })
    }

    /// Open event streams.
    pub fn stream_clients(&self) -> usize {
        stream::CLIENTS_MAX - self.clients.available_permits()
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v1/views", get(views::list))
        .route("/api/v1/views/{view}", get(views::rows))
        .route("/api/v1/views/{view}/changes", get(views::changes))
        .route("/api/v1/stream", get(views::stream))
        .route("/api/v1/sql", post(sql::run))
        .route("/api/v1/queries/{id}", delete(sql::cancel))
        .route("/api/v1/tables", get(sql::tables))
        .route("/api/v1/saved-queries", get(saved::list))
        .route(
            "/api/v1/saved-queries/{name}",
            put(saved::save).delete(saved::remove),
        )
        .route("/api/v1/history", get(history::history))
        .route("/api/v1/logs", get(logs::page))
        .route("/api/v1/logs/summary", get(logs::summary))
        .route("/api/v1/logs/extent", get(extent::extent))
        .route("/api/v1/records/{partition}/{offset}", get(logs::record))
        .route("/api/v1/values/{column}", get(logs::values))
        .route("/api/v1/receipts/{view}", get(receipt::receipt))
        .route("/api/v1/pipeline", get(pipeline::pipeline))
        .route("/api/v1/lake/tables/{table}", get(lake::table))
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
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

/// Serves until told to stop; then streams say goodbye and the rest is drained.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: Arc<App>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let ending = app.ending.clone();
    let queries = app.queries.clone();
    supervise::task("sampler", pipeline::sample(Arc::clone(&app)));
    let (told, mut drained) = watch::channel(false);
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        let _ = shutdown.wait_for(|it| *it).await;
        ending.send_replace(true);
        queries.close();
        told.send_replace(true);
    });
    let deadline = async {
        let _ = drained.wait_for(|it| *it).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        result = server.into_future() => result,
        () = deadline => Ok(()),
    }
}

/// Refuses who may not ask, counts, and tells browsers what they may do with the answer.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<axum::extract::MatchedPath>();
    let route = matched.map_or_else(|| "page".to_owned(), |it| it.as_str().to_owned());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|it| app.access.allows_origin(it));
    let checked = app
        .access
        .check(&method, request.uri(), request.headers(), matched.is_none());
    let mut response = match checked {
        Err(problem) => problem.into_response(),
        Ok(()) if method == Method::OPTIONS && allowed.is_some() => {
            axum::http::StatusCode::NO_CONTENT.into_response()
        }
        Ok(()) => next.run(request).await,
    };
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
            HeaderValue::from_static("content-type, last-event-id, x-query-id"),
        );
    }
    response
}

/// A number among the query's parameters, at most `max`.
fn number(
    query: &HashMap<String, String>,
    name: &str,
    default: usize,
    max: usize,
) -> Result<usize, Problem> {
    match query.get(name).filter(|it| !it.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map(|it| it.min(max)).map_err(|_| {
            Problem::bad_request(
                "bad_parameter",
                format!("{name}={text} is not a whole number"),
            )
            .hint(format!("between 0 and {max}"))
        }),
    }
}

/// A time among the query's parameters, in microseconds.
fn time_parameter(query: &HashMap<String, String>, name: &str) -> Result<Option<i64>, Problem> {
    match query.get(name).filter(|it| !it.is_empty()) {
        None => Ok(None),
        Some(text) => filter::time_of(text).map(Some).ok_or_else(|| {
            Problem::bad_request("bad_parameter", format!("{name}={text} is not a time"))
                .hint("write it as 2026-01-31T12:00:00Z or as milliseconds since 1970; between 1700 and 2262")
        }),
    }
}

/// The times `from` and `to` of a request, in microseconds: up to now if nothing is said, and so long before it.
fn time_range(query: &HashMap<String, String>, length_us: i64) -> Result<(i64, i64), Problem> {
    let now = i64::try_from(crate::model::wall_ms() * 1000).map_err(|_| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "bad_clock",
            "the clock of this machine is wrong",
        )
    })?;
    let to = time_parameter(query, "to")?.unwrap_or(now);
    let from = time_parameter(query, "from")?.unwrap_or(to - length_us);
    match from < to {
        true => Ok((from, to)),
        false => Err(Problem::bad_request(
            "bad_parameter",
            "`from` must be before `to`",
        )),
    }
}
