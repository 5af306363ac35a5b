//! `POST /api/v1/restart`: the pipeline ends in order, with its last commit, and its process begins again in the same place.
//!
//! ```text
//! asked ─► could it start as its files are now? ─► 202 ─► stop in order ─► the same command line once more
//!                    └─ no: 409, and the pipeline goes on as it was
//! ```
//!
//! What a start does takes effect: a changed dataflow, and dead letters that wait to be replayed. How the process begins again is up to who runs the server.

use super::apart::{Program, output_of};
use super::problem::Problem;
use super::{App, Health};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The look whether it could start takes no longer, or tells nothing.
const CHECK_WITHIN: Duration = Duration::from_secs(60);

/// The way to whoever restarts the process.
pub struct Restarter {
    asked: watch::Sender<bool>,
    /// Fails if a start would.
    check: Program,
}

impl Restarter {
    pub fn new(check: Program) -> Self {
        let asked = watch::Sender::new(false);
        Restarter { asked, check }
    }

    /// Becomes true when a client has asked.
    pub fn asked(&self) -> watch::Receiver<bool> {
        self.asked.subscribe()
    }
}

/// What is about to restart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Restarting {
    /// Number of the process, which stays the same.
    pub process: u32,
    /// Of the run that ends; ids of events of the next one begin with a higher number.
    pub generation: u64,
}

pub async fn restart(
    State(app): State<Arc<App>>,
) -> Result<(StatusCode, JsonBody<Restarting>), Problem> {
    let restarter = app.restarter.as_ref().ok_or_else(|| {
        let text = "this server cannot restart its pipeline";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no_restart", text)
            .hint("stop and start it where it was started")
    })?;
    let refused = |code: &'static str, text: String| Problem::new(StatusCode::CONFLICT, code, text);
    let status = app.status.status();
    let is_lake = |it: &&super::Component| it.name == "lake" && it.status == Health::Down;
    if let Some(lake) = status.components.iter().find(is_lake) {
        let text = format!("the lake is down, and a start would fail: {}", lake.detail);
        return Err(refused("lake_down", text).hint("restart when /api/v1/status says it is ok"));
    }
    let checking = output_of("restart-check", restarter.check.clone());
    let checked = tokio::time::timeout(CHECK_WITHIN, checking).await;
    let checked = checked.unwrap_or_else(|_| {
        let seconds = CHECK_WITHIN.as_secs();
        Err(format!("it did not say within {seconds} s whether it can"))
    });
    if let Err(reason) = checked {
        let text = format!("the pipeline goes on as it was, since it could not start: {reason}");
        let hint = format!(
            "`{}` says more; mend it, and ask again",
            restarter.check.command
        );
        return Err(refused("would_not_start", text).hint(hint));
    }
    let restarting = Restarting {
        process: std::process::id(),
        generation: app.hub.generation(),
    };
    restarter.asked.send_replace(true);
    Ok((StatusCode::ACCEPTED, JsonBody(restarting)))
}

#[cfg(test)]
mod tests;
