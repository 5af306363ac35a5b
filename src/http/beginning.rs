//! Before the first epoch is complete: only probes are answered.
//!
//! A view without what the last commit has of it would be wrong, so whoever asks for one waits. Whoever asks whether the process lives, or whether it is ready,
//! is told at once: taking in a large state may take longer than a probe waits.

use super::App;
use super::problem::Problem;
use crate::model::Epoch;
use axum::http::StatusCode;

/// Routes that are always answered.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Waits until a request for a route can be answered.
///
/// # Errors
/// If the server stops before.
pub(super) async fn begun(app: &App, route: &str) -> Result<(), Problem> {
    if PROBES.contains(&route) {
        return Ok(());
    }
    let (mut moved, mut ending) = (app.hub.subscribe(), app.ending.subscribe());
    tokio::select! {
        biased;
        _ = moved.wait_for(|it| Epoch(0) < *it) => Ok(()),
        _ = ending.wait_for(|it| *it) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the server stops before its first epoch was complete",
        )),
    }
}

#[cfg(test)]
mod tests;
