//! `/api/v1/reports`: the reports of the dataflow, as JSON for programs and as one file of HTML for people.
//!
//! Both have the same content. A browser that is led to the address shows the file, which needs nothing else and may be kept or mailed.

use super::parameters::Parameters;
use super::problem::Problem;
use super::{App, EPOCH_HEADER};
use crate::model::wall_ms;
use crate::report::{DEFAULT_RANGE, Error, REPORTS, Report, Reporter, TimeRange, html};
use crate::sql::query::NotPinned;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json as JsonBody, Response};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

pub const FORMATS: &[&str] = &["json", "html"];
/// The file has a style of its own, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The reports there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reports {
    dataflow: String,
    reports: Vec<ReportListed>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportListed {
    name: String,
    /// What is in it.
    about: String,
    /// The sections that it has of this dataflow.
    sections: Vec<SectionListed>,
    /// Why it has none, if it has none.
    missing: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SectionListed {
    id: String,
    title: String,
}

fn now_us() -> i64 {
    i64::try_from(wall_ms()).map_or(i64::MAX, |it| it.saturating_mul(1_000))
}

pub async fn list(State(app): State<Arc<App>>) -> Result<JsonBody<Reports>, Problem> {
    let range = TimeRange::parse(DEFAULT_RANGE, now_us()).map_err(bad_range)?;
    let reports = REPORTS.iter().map(|(name, about)| {
        let parts = app.reported.parts(name, &range);
        let missing: Vec<String> = parts.iter().filter_map(|it| it.missing.clone()).collect();
        let sections = parts.iter().flat_map(|it| &it.sections);
        let sections: Vec<SectionListed> = sections
            .map(|it| SectionListed {
                id: it.id.clone(),
                title: it.title.clone(),
            })
            .collect();
        ReportListed {
            name: (*name).to_owned(),
            about: (*about).to_owned(),
            missing: sections.is_empty().then(|| missing.join(" ")),
            sections,
        }
    });
    Ok(JsonBody(Reports {
        dataflow: app.dataflow.name.clone(),
        reports: reports.collect(),
    }))
}

pub async fn report(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    crate::report::known(&name).map_err(|it| Problem::not_found("unknown_report", it))?;
    let range = range_of(&query)?;
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let is_html = match query.text("format") {
        Some(format) => format == "html",
        None => accepted.is_some_and(prefers_html),
    };
    let reporter = Reporter {
        queries: &app.queries,
        subject: &app.reported,
        as_of: query.epoch("as_of"),
    };
    let report: Report = reporter.report(&name, &range).await.map_err(problem)?;
    let epoch = report.commit.epoch.to_string();
    if !is_html {
        return Ok(([(EPOCH_HEADER, epoch)], JsonBody(report)).into_response());
    }
    let page = app.queries.aside(move || html(&report)).await?;
    let mut response = ([(EPOCH_HEADER, epoch)], page).into_response();
    let own = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::VARY, "accept"),
    ] {
        own.insert(name, header::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Whether HTML stands before JSON in what is accepted, as browsers have it.
fn prefers_html(accept: &str) -> bool {
    let mut kinds = accept
        .split(',')
        .map(|it| it.split(';').next().unwrap_or_default().trim());
    let first = kinds.find(|it| ["text/html", "application/json"].contains(it));
    first == Some("text/html")
}

/// `range` in words, or `from` and `to`.
fn range_of(query: &Parameters) -> Result<TimeRange, Problem> {
    let (from, to) = (query.time("from"), query.time("to"));
    let range = match (query.text("range"), from.or(to)) {
        (Some(_), Some(_)) => Err("`range` and `from` or `to` exclude each other".to_owned()),
        (Some(text), None) => TimeRange::parse(text, now_us()),
        (None, Some(_)) => TimeRange::of_times(from, to, now_us()),
        (None, None) => TimeRange::parse(DEFAULT_RANGE, now_us()),
    };
    range.map_err(bad_range)
}

fn bad_range(text: String) -> Problem {
    Problem::bad_request("bad_parameter", text).with("parameter", "range")
}

fn problem(error: Error) -> Problem {
    let (text, hint) = (error.to_string(), error.hint());
    match error {
        Error::Refused(_) => Problem::not_found("unknown_report", text),
        Error::NothingCommitted { .. } => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_committed", text).hint(hint)
        }
        Error::NotPinned(NotPinned::Unknown { .. }) => {
            Problem::bad_request("unknown_commit", text).hint(hint)
        }
        Error::NotPinned(NotPinned::Lake(_)) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "lake_failed", text)
        }
        Error::Query { source, .. } => Problem {
            detail: text,
            hint,
            ..Problem::from(source)
        },
        Error::TooLong { .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_large", text).hint(hint)
        }
    }
}

#[cfg(test)]
mod tests;
