//! What went wrong, as `application/problem+json` (RFC 9457) with a code for programs and a hint for people.

use crate::model::secret;
use crate::sql::query::QueryError;
use axum::body::{Body, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};

/// Codes of a status of 500 or more, other than that of a bug.
pub const FAILURES: [&str; 17] = [
    "query_failed",
    "query_timed_out",
    "queries_busy",
    "lake_failed",
    "export_failed",
    "no_folder",
    "no_verifier",
    "no_trainer",
    "no_restart",
    "no_lake",
    "saved_queries_failed",
    "boards_failed",
    "filters_failed",
    "too_many_streams",
    "too_many_requests_wait",
    "not_committed",
    "stopping",
];

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
        let status = match &error {
            QueryError::Rejected { .. } => StatusCode::BAD_REQUEST,
            QueryError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            QueryError::TooMuchMemory { .. }
            | QueryError::TooMuchDisk { .. }
            | QueryError::RowTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            QueryError::Busy { .. } | QueryError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            QueryError::Cancelled => StatusCode::CONFLICT,
            QueryError::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Problem::new(status, error.code(), error.to_string())
            .hint(error.hint().unwrap_or_default());
        if let QueryError::Rejected {
            line,
            column,
            misnamed,
            ..
        } = error
        {
            if let Some(it) = misnamed {
                problem = problem
                    .with("written", it.written)
                    .with("candidates", it.candidates);
            }
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
            "detail": secret::redact(&self.detail),
            "code": self.code,
            "hint": secret::redact(&self.hint),
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

/// What the framework refuses by itself, in a few words, said like everything else.
pub async fn uniform(response: Response) -> Response {
    const TEXT_BYTES_MAX: usize = 10_000;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|it| it.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let (code, otherwise) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "this address does not support that method",
        ),
        StatusCode::NOT_FOUND => ("unknown_path", "there is nothing at this address"),
        _ if status.is_client_error() => ("bad_request", "the request could not be understood"),
        _ => ("internal_error", "the request failed"),
    };
    let detail = if text.is_empty() {
        otherwise.to_owned()
    } else {
        text
    };
    let mut answer = Problem::new(status, code, detail).into_response();
    if let Some(methods) = parts.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, methods.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::query::Misnamed;

    async fn written(problem: Problem) -> String {
        let response = problem.into_response();
        let kind = response.headers()[header::CONTENT_TYPE].clone();
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let body: Json = serde_json::from_slice(&body).expect("it is JSON");
        format!("{status} {kind:?}\n{body:#}")
    }

    #[tokio::test]
    async fn a_problem_says_what_happened_and_what_can_be_done() {
        let problem = Problem::not_found("unknown_view", "there is no live view `x`")
            .hint("there are: a, b")
            .with("oldest_epoch", 100);
        insta::assert_snapshot!(written(problem).await, @r#"
        404 Not Found "application/problem+json"
        {
          "type": "urn:tidelake:problem:unknown_view",
          "title": "Not Found",
          "status": 404,
          "detail": "there is no live view `x`",
          "code": "unknown_view",
          "hint": "there are: a, b",
          "oldest_epoch": 100
        }
        "#);
    }

    #[tokio::test]
    async fn a_refused_statement_has_its_place() {
        let refused = QueryError::Rejected {
            message: "table 'x' not found".to_owned(),
            line: Some(2),
            column: Some(7),
            hint: None,
            misnamed: Some(Misnamed {
                written: "x".to_owned(),
                candidates: vec!["xs".to_owned()],
            }),
        };
        insta::assert_snapshot!(written(refused.into()).await, @r#"
        400 Bad Request "application/problem+json"
        {
          "type": "urn:tidelake:problem:query_rejected",
          "title": "Bad Request",
          "status": 400,
          "detail": "table 'x' not found",
          "code": "query_rejected",
          "hint": "",
          "written": "x",
          "candidates": [
            "xs"
          ],
          "line": 2,
          "column": 7
        }
        "#);
    }

    #[tokio::test]
    async fn a_problem_has_no_password() {
        let problem = Problem::bad_request("x", "could not reach s3://key:hidden@host/lake");
        let text = written(problem).await;
        assert!(text.contains("s3://key:***@host/lake"), "{text}");
    }
}
