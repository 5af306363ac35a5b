//! Before the first epoch is complete: only probes are answered.
//!
//! Without the restored state a view would be wrong, so all other requests wait. Liveness and readiness probes are answered at once: restoring a large state
//! may take longer than the timeout of a probe.

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
