//! Settings of ad-hoc queries: what each of them may use.

use crate::sql::query::Limits;
use clap::{Args, value_parser};
use std::time::Duration;

#[derive(Args, Clone, Debug)]
pub struct QueryLimits {
    /// Seconds a query may take; an export, between two pieces of its answer.
    #[arg(long, env = "TIDELAKE_QUERY_TIME_LIMIT", default_value_t = 30, value_parser = value_parser!(u64).range(1..=86_400))]
    query_time_limit: u64,
    /// Rows of an answer in JSON or as a table; exports have no such limit.
    #[arg(long, env = "TIDELAKE_QUERY_ROWS", default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=1_000_000))]
    query_rows: u64,
    /// MiB of memory a query may use. It ends when it needs more.
    #[arg(long, env = "TIDELAKE_QUERY_MEMORY", default_value_t = 512, value_parser = value_parser!(u64).range(32..=1_048_576))]
    query_memory: u64,
    /// Queries at a time, exports at half as many; others wait.
    #[arg(long, env = "TIDELAKE_QUERY_CONCURRENCY", default_value_t = 4, value_parser = value_parser!(u16).range(1..=64))]
    query_concurrency: u16,
}

impl QueryLimits {
    pub fn limits(&self) -> Limits {
        Limits {
            time: Duration::from_secs(self.query_time_limit),
            rows: usize::try_from(self.query_rows).unwrap_or(usize::MAX),
            memory_bytes: self.query_memory << 20,
            concurrent: self.query_concurrency.into(),
            ..Limits::default()
        }
    }

    /// The same settings for another process.
    pub fn arguments(&self) -> impl Iterator<Item = String> {
        let all = [
            ("--query-time-limit", self.query_time_limit),
            ("--query-rows", self.query_rows),
            ("--query-memory", self.query_memory),
            ("--query-concurrency", self.query_concurrency.into()),
        ];
        all.into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value.to_string()])
    }
}
