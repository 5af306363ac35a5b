//! Why a query has no answer. The same value travels from the process that found out to the client that asked.

use super::answer;
use crate::sql::{slips, words};
use datafusion::common::{DataFusionError, SchemaError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum QueryError {
    /// The statement is at fault; it will never run as it is.
    #[error("{message}")]
    Rejected {
        message: String,
        line: Option<u64>,
        column: Option<u64>,
        hint: Option<String>,
        /// The name in the statement that is not there, if that is what is wrong.
        misnamed: Option<Misnamed>,
    },
    #[error("the query did not finish within {} seconds", .limit.as_secs_f64())]
    TimedOut { limit: Duration },
    #[error("the query needed more than the {} MiB of memory that a query may use", .limit_bytes >> 20)]
    TooMuchMemory { limit_bytes: u64 },
    #[error("the query needed more than the {} MiB of temporary files that a query may use", .limit_bytes >> 20)]
    TooMuchDisk { limit_bytes: u64 },
    #[error("a row of the answer has more than {} MiB", .limit_bytes >> 20)]
    RowTooLarge { limit_bytes: u64 },
    #[error("{waiting} queries are waiting already")]
    Busy { waiting: usize },
    #[error("the query was cancelled")]
    Cancelled,
    #[error("the server is stopping, and the query was ended")]
    Stopping,
    #[error("the query failed: {message}")]
    Failed { message: String },
}

/// A name that is not there, as it is written, and up to three that may be meant, each as SQL takes it in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misnamed {
    pub written: String,
    pub candidates: Vec<String>,
}

impl QueryError {
    pub(super) fn rejected(message: impl Into<String>) -> Self {
        QueryError::Rejected {
            message: message.into(),
            line: None,
            column: None,
            hint: None,
            misnamed: None,
        }
    }

    /// The same, because a name is not there.
    pub(super) fn with_misnamed(mut self, (written, candidates): words::Misnamed) -> Self {
        if let QueryError::Rejected { misnamed, .. } = &mut self {
            *misnamed = Some(Misnamed {
                written,
                candidates,
            });
        }
        self
    }

    pub(super) fn failed(message: impl ToString) -> Self {
        QueryError::Failed {
            message: message.to_string(),
        }
    }

    pub(super) fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let QueryError::Rejected { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// The word by which programs tell errors from each other, in answers and in traces.
    pub fn code(&self) -> &'static str {
        match self {
            QueryError::Rejected { .. } => "query_rejected",
            QueryError::TimedOut { .. } => "query_timed_out",
            QueryError::TooMuchMemory { .. }
            | QueryError::TooMuchDisk { .. }
            | QueryError::RowTooLarge { .. } => "query_too_large",
            QueryError::Busy { .. } => "queries_busy",
            QueryError::Stopping => "stopping",
            QueryError::Cancelled => "query_cancelled",
            QueryError::Failed { .. } => "query_failed",
        }
    }

    /// Something one can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            QueryError::Rejected { hint, .. } => return hint.clone(),
            QueryError::TimedOut { .. } => {
                "narrow the time range, ask a live view instead of the lake, or raise --query-time-limit"
            }
            QueryError::TooMuchMemory { .. } => {
                "group by fewer columns, filter before joining, or raise --query-memory"
            }
            QueryError::TooMuchDisk { .. } => {
                "sort or group fewer rows: filter first, or add a LIMIT"
            }
            QueryError::RowTooLarge { .. } => "take a part of the text, for example with left(…)",
            QueryError::Busy { .. } => "ask again in a few seconds, or raise --query-concurrency",
            QueryError::Stopping => "ask again when it is running again",
            QueryError::Cancelled | QueryError::Failed { .. } => return None,
        };
        Some(text.to_owned())
    }

    /// The same with the place in the text that it is about, from 1.
    pub(super) fn at(mut self, at_line: u64, at_column: u64) -> Self {
        if let QueryError::Rejected { line, column, .. } = &mut self {
            (*line, *column) = (Some(at_line), Some(at_column));
        }
        self
    }

    /// The same; or that a keyword is written wrong, if that is why this text was not parsed.
    pub(super) fn or_slip_of(self, sql: &str) -> Self {
        let QueryError::Rejected {
            message,
            line: Some(line),
            column: Some(column),
            ..
        } = &self
        else {
            return self;
        };
        match slips::before(sql, *line, *column) {
            Some(slip) if words::is_expectation(message) => QueryError::rejected(slip.to_string())
                .at(slip.line, slip.column)
                .with_misnamed((slip.written, vec![slip.meant.to_owned()])),
            _ => self,
        }
    }

    /// Of a statement that cannot be parsed or planned.
    pub(super) fn planning(error: &DataFusionError) -> Self {
        let meant = misnamed(error);
        let text = match &meant {
            Some((text, _)) => text.clone(),
            None => words::planner(error),
        };
        let span = error.diagnostic().and_then(|it| it.span);
        let (message, place) = match (words::place_at_end(&text), span) {
            (Some((message, line, column)), _) => (message.to_owned(), Some((line, column))),
            (None, Some(span)) => (text, Some((span.start.line, span.start.column))),
            (None, None) => (text, None),
        };
        let mut rejected = QueryError::rejected(message);
        if let Some((line, column)) = place {
            rejected = rejected.at(line, column);
        }
        match meant {
            Some((_, misnamed)) => rejected.with_misnamed(misnamed),
            None => rejected,
        }
    }
}

/// What is wrong, and what may be meant, if it is that a name is not there.
fn misnamed(error: &DataFusionError) -> Option<(String, words::Misnamed)> {
    match error.find_root() {
        DataFusionError::SchemaError(it, _) => match it.as_ref() {
            SchemaError::FieldNotFound {
                field,
                valid_fields,
            } => Some(words::no_column(field, valid_fields)),
            SchemaError::AmbiguousReference { .. }
            | SchemaError::DuplicateQualifiedField { .. }
            | SchemaError::DuplicateUnqualifiedField { .. } => None,
        },
        DataFusionError::Plan(text) if text.starts_with("Invalid function") => {
            words::no_function(text, &answer::functions())
        }
        DataFusionError::SQL(error, _) => words::no_statement(&words::parser(error)),
        _ => None,
    }
}
