//! Why a query has no answer. The same value travels from the process that found out to the client that asked.

use datafusion::common::DataFusionError;
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

impl QueryError {
    pub(super) fn rejected(message: impl Into<String>) -> Self {
        QueryError::Rejected {
            message: message.into(),
            line: None,
            column: None,
            hint: None,
        }
    }

    pub(super) fn failed(message: impl ToString) -> Self {
        QueryError::Failed {
            message: message.to_string(),
        }
    }

    pub(super) fn with_hint(self, text: impl Into<String>) -> Self {
        match self {
            QueryError::Rejected {
                message,
                line,
                column,
                ..
            } => QueryError::Rejected {
                message,
                line,
                column,
                hint: Some(text.into()),
            },
            other => other,
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

    pub(super) fn planning(error: &DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|it| it.span);
        let message = error.strip_backtrace();
        let place = span
            .map(|it| (it.start.line, it.start.column))
            .or_else(|| place_in(&message));
        QueryError::Rejected {
            message,
            line: place.map(|it| it.0),
            column: place.map(|it| it.1),
            hint: None,
        }
    }
}

/// `… at Line: 1, Column: 5` as the parser puts it.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    let (_, after) = message.split_once("Line: ")?;
    let (_, column) = after.split_once("Column: ")?;
    Some((number(after)?, number(column)?))
}
