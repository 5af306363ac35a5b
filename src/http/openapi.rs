//! `/api/v1/openapi.json`: the API as an OpenAPI 3.1 document. Bodies come from the very types that are sent; the page's
//! types are generated from it.

use super::actions::ActionBody;
use super::boards::{Board, Boards};
use super::catalog::CatalogColumn;
use super::dead_letters::{self, DeadLetterPage, DeadLetters, Retry, RetryBody};
use super::explanation::IncidentExplanation;
use super::extent::Extent;
use super::filters::{FilterToSave, SavedFilters};
use super::history::History;
use super::identity::{Session, SignIn};
use super::incidents::{DetectorBody, Incidents};
use super::jobs::{Job, JobList};
use super::lake::{LakeState, LakeTable, OptimizeBody, VacuumBody};
use super::logs::{LogColumns, LogPage, LogSummary, NewestRecords, Patterns, Record, Values};
use super::page::Page;
use super::parameters::{Kind, Parameter, Parameters};
use super::pipeline::{Pipeline, ViewPlan};
use super::problem::{FAILURES, Problem};
use super::push::PushedRecords;
use super::receipt::Receipt;
use super::reports::{self, Reports};
use super::restart::Restarting;
use super::roles::{self, Need};
use super::saved::{QueryToSave, SavedQueries};
use super::sql::SqlRequest;
use super::training::TrainBody;
use super::verification::Verification;
use super::{incidents, logs, seed, views};
use crate::report::Report;
use axum::http::Method;
use axum::response::Json as JsonBody;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

/// A refused or failed request (RFC 9457).
#[derive(Serialize, JsonSchema)]
struct ProblemBody {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Stays the same between versions.
    code: String,
    /// Something one can do about it; may be empty.
    hint: String,
    /// Place in the statement, of a query that was refused.
    line: Option<u64>,
    column: Option<u64>,
    /// Place in a filter that was refused, in characters.
    from: Option<u64>,
    to: Option<u64>,
    /// The whole filter as it was probably meant.
    fix: Option<String>,
    /// The name in the statement that is not there.
    written: Option<String>,
    /// Up to three names that may be meant, each as SQL takes it in its place.
    candidates: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
struct SqlAnswer {
    columns: Vec<AnswerColumn>,
    rows: Vec<Map<String, Json>>,
    epoch: u64,
    elapsed_ms: f64,
    /// There are more rows than the limit.
    truncated: bool,
    /// It ended before it had all its rows, so these are not all.
    partial: bool,
    /// Why it is partial: `cancelled`, or `timed_out`.
    partial_reason: Option<String>,
    query_id: String,
}

#[derive(Serialize, JsonSchema)]
struct AnswerColumn {
    name: String,
    r#type: String,
    /// As that of a column of a table; left out of an export, as the others are.
    role: Option<String>,
    unit: Option<String>,
    statistic: Option<String>,
    adds_up: Option<bool>,
    comment: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ColumnBody {
    name: String,
    r#type: String,
}

#[derive(Serialize, JsonSchema)]
struct Tables {
    tables: Vec<TableBody>,
    functions: Vec<String>,
    /// Queries to begin with.
    samples: Vec<SampleBody>,
}

#[derive(Serialize, JsonSchema)]
struct SampleBody {
    name: String,
    query: String,
}

#[derive(Serialize, JsonSchema)]
struct TableBody {
    name: String,
    kind: String,
    columns: Vec<CatalogColumn>,
    rows: Option<u64>,
    /// What the text of the dataflow says of it.
    comment: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Views {
    epoch: u64,
    views: Vec<ViewBody>,
}

#[derive(Serialize, JsonSchema)]
struct ViewBody {
    name: String,
    rows: u64,
    columns: Vec<CatalogColumn>,
    /// What the text of the dataflow says of it.
    comment: Option<String>,
    sql: String,
    /// In which order its rows are; empty if in none of its own.
    order: Vec<OrderBody>,
    window_column: Option<String>,
    retention_seconds: Option<i64>,
    clocks: Vec<String>,
    stored: Option<bool>,
    /// Its columns that the records of the log have too, by which those behind a row can be found.
    record_columns: Option<Vec<String>>,
    /// What it is for a detector, if it is one's.
    detector: Option<DetectorBody>,
}

#[derive(Serialize, JsonSchema)]
struct OrderBody {
    column: Option<String>,
    descending: bool,
    nulls_first: bool,
}

#[derive(Serialize, JsonSchema)]
struct ViewRows {
    view: String,
    epoch: u64,
    as_of: String,
    columns: Vec<ColumnBody>,
    rows: Vec<Map<String, Json>>,
    total_rows: i64,
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Version {
    name: String,
    version: String,
    dataflow: String,
    fingerprint: String,
}

/// One address of the API.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Option<fn(&mut SchemaGenerator) -> Schema>,
    answer: Answer,
}

enum Answer {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// The same as a page, where that is asked for.
    JsonOrPage(fn(&mut SchemaGenerator) -> Schema),
    Text(&'static str),
    /// It is done soon.
    Accepted(fn(&mut SchemaGenerator) -> Schema),
    Nothing,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn parameter(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

const fn count(name: &'static str, least: usize, most: usize, about: &'static str) -> Parameter {
    parameter(name, Kind::Count { least, most }, about)
}

const FROM: Parameter = parameter(
    "from",
    Kind::Time,
    "start, ISO 8601 or milliseconds since 1970",
);
const TO: Parameter = parameter("to", Kind::Time, "end, not included; now if left out");
const WHERE: Parameter = parameter(
    "where",
    Kind::Text,
    "an SQL condition: status >= 500 AND (endpoint IN ('/a', '/b') OR NOT * ~ 'any text')",
);
const SINCE: Parameter = parameter(
    "since",
    Kind::Heard,
    "id of the last frame, or its <generation>.<epoch>, to go on from",
);
const ROWS: &[Parameter] = &[
    parameter("as_of", Kind::Epoch, "an earlier epoch"),
    count("limit", 0, views::ROWS_MAX, "most rows"),
];
const CHANGES: &[Parameter] = &[
    parameter("where", Kind::Text, "only rows for which it holds"),
    parameter("hz", Kind::Rate, "frames a second"),
    SINCE,
];
const STREAM: &[Parameter] = &[
    parameter(
        "topics",
        Kind::Text,
        "metrics, health, pipeline, tail, tail.<label>, view:<name>; separated by commas",
    ),
    parameter("hz", Kind::Rate, "frames of a view a second"),
    parameter(
        "where",
        Kind::Text,
        "filter of the topic tail; where.<topic> that of any other",
    ),
    parameter("where.", Kind::Text, "filter of a topic"),
    parameter(
        "columns",
        Kind::Text,
        "columns of each record of the topic tail, separated by commas; columns.<topic> those of any other tail",
    ),
    parameter("columns.", Kind::Text, "columns of a tail"),
    parameter(
        "since",
        Kind::Heard,
        "id of the last frame, or its <generation>.<epoch>, to go on from; since.<view> for one of several",
    ),
    parameter("since.", Kind::Heard, "where to go on with a view"),
];
const INCIDENTS: &[Parameter] = &[
    parameter(
        "state",
        Kind::Choice(incidents::STATES),
        "only incidents of this state",
    ),
    parameter("detector", Kind::Text, "only those of this detector"),
    count("limit", 1, incidents::LISTED_MAX, "most incidents"),
];
const HISTORY: &[Parameter] = &[FROM, TO, count("step", 1, 86_400, "seconds")];
const REPORT: &[Parameter] = &[
    FROM,
    TO,
    parameter(
        "range",
        Kind::Text,
        "24h, yesterday, 2024-05-12..20, last week, all; instead of from and to",
    ),
    parameter("as_of", Kind::Epoch, "the newest commit up to this epoch"),
    parameter(
        "format",
        Kind::Choice(reports::FORMATS),
        "html is one file that needs nothing else; also by Accept",
    ),
];
const PAGE: &[Parameter] = &[
    FROM,
    TO,
    WHERE,
    count("limit", 1, logs::ROWS_MAX, "most rows"),
    parameter("cursor", Kind::Text, "next_cursor of the page before"),
    COLUMNS,
    parameter("order", Kind::Choice(logs::ORDERS), "which come first"),
];
const COLUMNS: Parameter = parameter(
    "columns",
    Kind::Text,
    "columns of each record, separated by commas; all if left out",
);
const NEWEST: &[Parameter] = &[
    WHERE,
    count("limit", 1, logs::ROWS_MAX, "most rows"),
    COLUMNS,
];
const PATTERNS: &[Parameter] = &[
    FROM,
    TO,
    WHERE,
    parameter(
        "column",
        Kind::Text,
        "whose texts are grouped; the first with prose if left out",
    ),
    count("limit", 1, logs::PATTERNS_MAX, "most patterns"),
];
const LETTERS: &[Parameter] = &[
    parameter("source", Kind::Text, "only of this source"),
    parameter("kind", Kind::Text, "only of this kind of reason"),
    count("limit", 1, dead_letters::LETTERS_MAX, "most letters"),
    parameter("cursor", Kind::Text, "next_cursor of the page before"),
];
const SUMMARY: &[Parameter] = &[
    FROM,
    TO,
    WHERE,
    count("buckets", 1, logs::BUCKETS_MAX, "steps of time"),
];

/// The endpoints of older pages: they are not described, and what they take is read leniently.
const OLDER: &[(&str, &[Parameter])] = &[
    (
        "/api/logs",
        &[
            count("limit", 0, seed::LOGS_MAX, "most entries"),
            parameter("level", Kind::Text, "only this level"),
            parameter("source", Kind::Text, "only this source"),
            parameter("endpoint", Kind::Text, "only this endpoint"),
        ],
    ),
    (
        "/api/anomalies",
        &[
            count("limit", 0, seed::ANOMALIES_MAX, "most anomalies"),
            parameter("since", Kind::Time, "only those that began at or after it"),
            parameter("type", Kind::Text, "only this type"),
            parameter("endpoint", Kind::Text, "only this endpoint"),
        ],
    ),
];

/// The parameters of a request as its route declares them.
///
/// # Errors
/// Says which one is wrong. What no route takes is not looked at.
pub fn read_parameters(method: &Method, path: &str, query: &str) -> Result<Parameters, Problem> {
    static DECLARED: LazyLock<Vec<Route>> = LazyLock::new(routes);
    if let Some((_, declared)) = OLDER.iter().find(|it| it.0 == path) {
        return Parameters::read(declared, query, true);
    }
    let method = match method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    DECLARED
        .iter()
        .find(|it| it.path == path && it.method.eq_ignore_ascii_case(method))
        .map_or_else(
            || Ok(Parameters::default()),
            |it| Parameters::read(it.parameters, query, false),
        )
}

fn routes() -> Vec<Route> {
    let route = |method, path, summary, answer| Route {
        method,
        path,
        summary,
        parameters: &[],
        body: None,
        answer,
    };
    use Answer::{Accepted, Json, JsonOrPage, Nothing, Text};
    vec![
        route(
            "get",
            "/api/v1/session",
            "Who asks, and whether the server has users at all",
            Json(of::<Session>),
        ),
        Route {
            body: Some(of::<SignIn>),
            ..route(
                "post",
                "/api/v1/session",
                "Signs in: sets the session cookie of a token's user",
                Nothing,
            )
        },
        route(
            "delete",
            "/api/v1/session",
            "Signs out: removes the session cookie",
            Nothing,
        ),
        route("get", "/api/v1/views", "The live views", Json(of::<Views>)),
        Route {
            parameters: ROWS,
            ..route(
                "get",
                "/api/v1/views/{view}",
                "Rows of a live view",
                Json(of::<ViewRows>),
            )
        },
        route(
            "get",
            "/api/v1/views/{view}/plan",
            "The plan of a live view as it runs, with what each node hands on, how busy it is, and what it keeps",
            Json(of::<ViewPlan>),
        ),
        Route {
            parameters: CHANGES,
            ..route(
                "get",
                "/api/v1/views/{view}/changes",
                "A view as a stream: snapshot, then changes",
                Text("text/event-stream"),
            )
        },
        Route {
            parameters: STREAM,
            ..route(
                "get",
                "/api/v1/stream",
                "Several topics on one stream",
                Text("text/event-stream"),
            )
        },
        Route {
            parameters: INCIDENTS,
            ..route(
                "get",
                "/api/v1/incidents",
                "What detectors found: open and provisional incidents by severity, then closed ones, newest first",
                Json(of::<Incidents>),
            )
        },
        Route {
            body: Some(of::<ActionBody>),
            ..route(
                "post",
                "/api/v1/incidents/{incident}/actions",
                "Acknowledges, mutes or dismisses an incident, or takes that back; answers when a commit has it",
                Json(of::<PushedRecords>),
            )
        },
        Route {
            body: Some(of::<Vec<Map<String, serde_json::Value>>>),
            ..route(
                "post",
                "/api/v1/sources/{source}/records",
                "Takes records of a source with connector = 'http', an array or a record per line; answers when a commit has them",
                Json(of::<PushedRecords>),
            )
        },
        Route {
            body: Some(of::<SqlRequest>),
            ..route(
                "post",
                "/api/v1/sql",
                "Answers a query; Accept chooses JSON with a limit of rows, or all rows as JSON lines, CSV, Arrow or Parquet; X-Query-Id names it",
                Json(of::<SqlAnswer>),
            )
        },
        route(
            "delete",
            "/api/v1/queries/{id}",
            "Cancels a running query, which then answers with the rows it has so far",
            Nothing,
        ),
        route(
            "get",
            "/api/v1/tables",
            "All that can be queried, and the functions",
            Json(of::<Tables>),
        ),
        route(
            "get",
            "/api/v1/saved-queries",
            "Saved queries",
            Json(of::<SavedQueries>),
        ),
        Route {
            body: Some(of::<QueryToSave>),
            ..route(
                "put",
                "/api/v1/saved-queries/{name}",
                "Saves a query",
                Nothing,
            )
        },
        route(
            "delete",
            "/api/v1/saved-queries/{name}",
            "Removes a saved query",
            Nothing,
        ),
        route(
            "get",
            "/api/v1/filters",
            "Saved filters of the log",
            Json(of::<SavedFilters>),
        ),
        Route {
            body: Some(of::<FilterToSave>),
            ..route("put", "/api/v1/filters/{name}", "Saves a filter", Nothing)
        },
        route(
            "delete",
            "/api/v1/filters/{name}",
            "Removes a saved filter",
            Nothing,
        ),
        route(
            "get",
            "/api/v1/boards",
            "Boards of the dataflow: panels, each a query and how it is shown",
            Json(of::<Boards>),
        ),
        Route {
            body: Some(of::<Board>),
            ..route(
                "put",
                "/api/v1/boards/{board}",
                "Makes or replaces a board",
                Nothing,
            )
        },
        route(
            "delete",
            "/api/v1/boards/{board}",
            "Removes a board",
            Nothing,
        ),
        route(
            "get",
            "/api/v1/page",
            "What Overview shows of this dataflow, by what its columns are",
            Json(of::<Page>),
        ),
        Route {
            parameters: HISTORY,
            ..route(
                "get",
                "/api/v1/history",
                "What the dataflow counts over time, with expected bands",
                Json(of::<History>),
            )
        },
        route(
            "get",
            "/api/v1/reports",
            "The reports there are, with their sections",
            Json(of::<Reports>),
        ),
        Route {
            parameters: REPORT,
            ..route(
                "get",
                "/api/v1/reports/{name}",
                "A report over a range of time, of one commit of the lake: every table with the query behind it",
                JsonOrPage(of::<Report>),
            )
        },
        Route {
            parameters: PAGE,
            ..route(
                "get",
                "/api/v1/logs",
                "Stored records, newest first",
                Json(of::<LogPage>),
            )
        },
        Route {
            parameters: SUMMARY,
            ..route(
                "get",
                "/api/v1/logs/summary",
                "Counts by time and level, and frequent values",
                Json(of::<LogSummary>),
            )
        },
        Route {
            parameters: NEWEST,
            ..route(
                "get",
                "/api/v1/logs/newest",
                "The newest records, live and stored, newest first",
                Json(of::<NewestRecords>),
            )
        },
        route(
            "get",
            "/api/v1/logs/columns",
            "Columns of the log, and which are shown first",
            Json(of::<LogColumns>),
        ),
        Route {
            parameters: PATTERNS,
            ..route(
                "get",
                "/api/v1/logs/patterns",
                "Records grouped by their text without its variable parts",
                Json(of::<Patterns>),
            )
        },
        route(
            "get",
            "/api/v1/logs/extent",
            "Times of the oldest and the newest record",
            Json(of::<Extent>),
        ),
        route(
            "get",
            "/api/v1/records/{partition}/{offset}",
            "One record with all its fields",
            Json(of::<Record>),
        ),
        route(
            "get",
            "/api/v1/values/{column}",
            "Frequent values among the newest records",
            Json(of::<Values>),
        ),
        route(
            "get",
            "/api/v1/receipts/{view}",
            "Where the numbers of a view come from",
            Json(of::<Receipt>),
        ),
        route(
            "get",
            "/api/v1/incidents/{incident}/explanation",
            "Which values of which columns carry an incident",
            Json(of::<IncidentExplanation>),
        ),
        route(
            "get",
            "/api/v1/pipeline",
            "Health, lag, threads and the graph of the dataflow",
            Json(of::<Pipeline>),
        ),
        route(
            "get",
            "/api/v1/dead-letters",
            "Records that could not be decoded, by reason, and the replays that the next start does",
            Json(of::<DeadLetters>),
        ),
        Route {
            parameters: LETTERS,
            ..route(
                "get",
                "/api/v1/dead-letters/records",
                "Records that could not be decoded, newest first",
                Json(of::<DeadLetterPage>),
            )
        },
        route(
            "delete",
            "/api/v1/dead-letters/requests/{request}",
            "Takes back a replay that no start has done yet",
            Nothing,
        ),
        Route {
            body: Some(of::<RetryBody>),
            ..route(
                "post",
                "/api/v1/sources/{source}/dead-letters/retry",
                "Decodes dead letters by the present definition; unless it is a dry run, the next start makes records of those that decode",
                Json(of::<Retry>),
            )
        },
        route(
            "get",
            "/api/v1/verification",
            "The newest proof of a commit, and the one that runs",
            Json(of::<Verification>),
        ),
        route(
            "post",
            "/api/v1/verification",
            "Starts a proof of the newest commit; one runs at a time",
            Json(of::<Verification>),
        ),
        route(
            "delete",
            "/api/v1/verification",
            "Ends the proof that runs",
            Nothing,
        ),
        route(
            "post",
            "/api/v1/restart",
            "Restarts the pipeline in its place, in all processes, behind its last commit; refused while it could not start",
            Accepted(of::<Restarting>),
        ),
        route(
            "get",
            "/api/v1/lake",
            "What the lake is made of, and when it was looked after",
            Json(of::<LakeState>),
        ),
        route(
            "get",
            "/api/v1/lake/tables/{table}",
            "Files and versions of a stored table",
            Json(of::<LakeTable>),
        ),
        Route {
            body: Some(of::<OptimizeBody>),
            ..route(
                "post",
                "/api/v1/lake/optimize",
                "Starts a job: files of tables are written anew, small ones together or rows in Z-order; no row changes",
                Json(of::<Job>),
            )
        },
        Route {
            body: Some(of::<VacuumBody>),
            ..route(
                "post",
                "/api/v1/lake/vacuum",
                "Starts a job: tells what no version within the retention needs and, unless it is a dry run, deletes it",
                Json(of::<Job>),
            )
        },
        Route {
            body: Some(of::<TrainBody>),
            ..route(
                "post",
                "/api/v1/models/{model}/train",
                "Starts a job: a model learns from the rows of a query, and its new version is put into the lake",
                Json(of::<Job>),
            )
        },
        route(
            "get",
            "/api/v1/jobs",
            "Long actions of this server: those that run and the newest that ended",
            Json(of::<JobList>),
        ),
        route(
            "get",
            "/api/v1/jobs/{job}",
            "How a job is doing, and what it came to",
            Json(of::<Job>),
        ),
        route(
            "delete",
            "/api/v1/jobs/{job}",
            "Cancels a job that runs; what it has done stays",
            Nothing,
        ),
        route(
            "get",
            "/api/v1/status",
            "How the process is doing",
            Text("application/json"),
        ),
        route(
            "get",
            "/api/v1/version",
            "Which build and dataflow this is",
            Json(of::<Version>),
        ),
        route(
            "get",
            "/api/v1/openapi.json",
            "This document",
            Text("application/json"),
        ),
    ]
}

pub async fn openapi() -> JsonBody<Json> {
    JsonBody(document())
}

/// The whole document.
pub fn document() -> Json {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|it| it.definitions_path = "/components/schemas".into())
        .into_generator();
    let problem = generator.subschema_for::<ProblemBody>();
    let mut paths = Map::new();
    for route in routes() {
        let operation = operation(&route, &problem, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Tidelake", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of a server with users: `tidelake token new`. `x-role` tells which role an operation needs; admin may what read may, and read what metrics may."},
                "session": {"type": "apiKey", "in": "cookie", "name": "tidelake_session", "description": "What the page has after `POST /api/v1/session`. Behind the name come digits that tell the servers of one host apart."},
            },
        },
    })
}

fn operation(route: &Route, problem: &Schema, generator: &mut SchemaGenerator) -> Json {
    let in_path = route
        .path
        .split('{')
        .skip(1)
        .filter_map(|it| it.split('}').next());
    let text = json!({"type": "string"});
    let parameters: Vec<Json> = in_path
        .map(|it| json!({"name": it, "in": "path", "required": true, "schema": text}))
        .chain(route.parameters.iter().filter_map(Parameter::describe))
        .collect();
    let content = match &route.answer {
        Answer::Json(schema) | Answer::Accepted(schema) => {
            json!({"application/json": {"schema": schema(generator)}})
        }
        Answer::JsonOrPage(schema) => json!({
            "application/json": {"schema": schema(generator)},
            "text/html": {"schema": text},
        }),
        Answer::Text(kind @ "application/json") => {
            json!({*kind: {"schema": {"type": "object", "additionalProperties": true}}})
        }
        Answer::Text(kind) => json!({*kind: {"schema": text}}),
        Answer::Nothing => json!({}),
    };
    let (code, done) = match route.answer {
        Answer::Nothing => ("204", json!({"description": "done"})),
        Answer::Accepted(_) => (
            "202",
            json!({"description": "it is done soon", "content": content}),
        ),
        _ => (
            "200",
            json!({"description": "the answer", "content": content}),
        ),
    };
    let went_wrong = format!(
        "what went wrong; a status of 500 or more that is no bug has one of the codes {}",
        FAILURES.join(", ")
    );
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            code: done,
            "default": {"description": went_wrong, "content": {"application/problem+json": {"schema": problem}}},
        },
    });
    let method = route
        .method
        .to_ascii_uppercase()
        .parse()
        .unwrap_or_default();
    operation["security"] = match roles::need(&method, Some(route.path)) {
        Some(Need::Role(role)) => {
            operation["x-role"] = json!(role);
            json!([{"token": []}, {"session": []}])
        }
        Some(Need::Anyone) | None => json!([]),
    };
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": body(generator)}}});
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The routes as `mod.rs` declares them are those of the document.
    #[test]
    fn describes_every_route_of_the_api() {
        let declared: Vec<&str> = include_str!("mod.rs")
            .split(".route(")
            .skip(1)
            .filter_map(|it| it.split('"').nth(1))
            .filter(|it| it.starts_with("/api/v1/"))
            .collect();
        let document = document();
        let described: Vec<&String> = document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .collect();
        assert!(10 < declared.len());
        for path in &declared {
            assert!(
                described.iter().any(|it| it == path),
                "{path} is not described"
            );
        }
        for path in described {
            assert!(declared.contains(&path.as_str()), "{path} does not exist");
        }
    }

    #[test]
    fn refers_only_to_what_it_defines() {
        let document = document();
        let text = document.to_string();
        for reference in text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|it| it.split('"').next())
        {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    /// Columns of an answer are sent by another type than the one that describes them.
    #[test]
    fn columns_of_an_answer_are_described_as_they_are_sent() {
        use arrow::datatypes::{DataType, Field, Schema};
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let dataflow = crate::plan::Dataflow::default();
        let sent = super::super::catalog::of_answer(&dataflow, &[], &["n".to_owned()], &schema);
        let sent = json!(sent);
        let sent: Vec<&String> = sent[0].as_object().expect("a column").keys().collect();
        let document = document();
        let described = document["components"]["schemas"]["AnswerColumn"]["properties"]
            .as_object()
            .expect("properties");
        assert_eq!(described.keys().collect::<Vec<_>>(), sent);
    }

    /// `ui/src/api/openapi.json` is what the page's types are made from.
    #[test]
    fn the_page_was_made_from_this_document() {
        let kept: Json =
            serde_json::from_str(include_str!("../../ui/openapi.json")).expect("a document");
        assert!(
            kept == document(),
            "ui/openapi.json is older than the API: tidelake openapi > ui/openapi.json && npm run api in ui/"
        );
    }
}
