//! What went wrong, as `application/problem+json` (RFC 9457) with a code for programs and a hint for people.

use crate::sql::query::QueryError;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};

/// One refused or failed request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    pub status: StatusCode,
    /// Stays the same between versions.
    pub code: &'static str,
    pub detail: String,
    /// Something one can do about it; empty if there is nothing.
    pub hint: String,
    /// Further members, such as `line` and `column`.
    pub more: Map<String, Json>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code,
            detail: detail.into(),
            hint: String::new(),
            more: Map::new(),
        }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, code, detail)
    }

    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = text.into();
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let (status, code) = match &error {
            QueryError::Rejected { .. } => (StatusCode::BAD_REQUEST, "query_rejected"),
            QueryError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "query_timed_out"),
            QueryError::TooMuchMemory { .. }
            | QueryError::TooMuchDisk { .. }
            | QueryError::RowTooLarge { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "query_too_large")
            }
            QueryError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queries_busy"),
            QueryError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            QueryError::Cancelled => (StatusCode::CONFLICT, "query_cancelled"),
            QueryError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "query_failed"),
        };
        let mut problem =
            Problem::new(status, code, error.to_string()).hint(error.hint().unwrap_or_default());
        if let QueryError::Rejected { line, column, .. } = error {
            for (name, at) in [("line", line), ("column", column)] {
                if let Some(at) = at {
                    problem = problem.with(name, at);
                }
            }
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:tidelake:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
        });
        if let Some(members) = body.as_object_mut() {
            members.extend(self.more);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
