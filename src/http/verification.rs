//! `/api/v1/verification`: the proof of the newest commit, started from the page while the pipeline runs, and its newest result.
//!
//! ```text
//! POST ─► tidelake verify --json-lines, a process of its own ─┬─ a line per check ─► progress
//!                                                             └─ the report ─► kept in the lake, answered by GET
//! ```
//!
//! A process of its own ([`super::apart`]), which can be ended at any time, since a proof changes nothing. One runs at a time, and it ends with the
//! server. Who may start it will need the role `admin` once there is
//! authentication: a proof reads all of the lake and of the sources.

use super::App;
use super::apart::{Program, begin, last_words, locked, reason_in, wait};
use super::problem::Problem;
use crate::lake::Store;
use crate::model::{Epoch, wall_ms};
use crate::supervise;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard};

/// The proofs of one server.
pub struct Verifier {
    prover: Option<Program>,
    state: Arc<Mutex<Proofs>>,
}

#[derive(Default)]
struct Proofs {
    running: Option<Running>,
    newest: Option<VerificationResult>,
    /// Why the last one that was started has no result.
    problem: Option<String>,
    /// Whether the lake was asked for the newest result of an earlier run.
    is_loaded: bool,
}

struct Running {
    started_ms: u64,
    child: Arc<Mutex<Child>>,
    /// Name and subject of each check that was made.
    checks: BTreeSet<(String, String)>,
    failed: BTreeSet<(String, String)>,
    last: Option<String>,
    is_cancelled: bool,
}

/// What is known of proofs of this lake.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verification {
    /// Whether this server can start one.
    pub available: bool,
    /// The command that does the same in a shell.
    pub command: String,
    pub running: Option<RunningVerification>,
    /// The newest one that came to a result.
    pub newest: Option<VerificationResult>,
    /// Why the last one that was started came to none.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunningVerification {
    pub started: String,
    pub elapsed_seconds: f64,
    /// Checks made so far.
    pub checks: usize,
    /// How many the newest result has; null if there is none.
    pub expected_checks: Option<usize>,
    pub failed: usize,
    /// The last check that was made.
    pub last: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Proven,
    /// Nothing contradicts the commit, and not everything could be read again.
    Partly,
    Failed,
}

/// A proof that came to an end.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerificationResult {
    pub verdict: Verdict,
    pub started: String,
    pub ended: String,
    pub elapsed_seconds: f64,
    /// The commit that was looked at, and up to when its records are.
    pub commit: u64,
    pub epoch: u64,
    pub as_of: String,
    pub checks: Vec<VerificationCheck>,
}

/// One thing that was compared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerificationCheck {
    pub name: String,
    /// The table, view or source it is about.
    pub subject: String,
    pub outcome: CheckOutcome,
    /// What was compared, with counts.
    pub compared: String,
    /// What was found, the first few of it.
    pub findings: Vec<String>,
    /// What it means, if it fails or is not known.
    pub meaning: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    Holds,
    Fails,
    /// Neither proof nor failure: what would tell is gone.
    Unknown,
    /// Harmless, and good to know.
    Note,
}

/// A line that the program prints.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Check(VerificationCheck),
    Report(Report),
}

#[derive(Deserialize)]
struct Report {
    commit: u64,
    epoch: u64,
    proven: bool,
    checks: Vec<VerificationCheck>,
}

pub async fn newest(State(app): State<Arc<App>>) -> JsonBody<Verification> {
    app.verifier.load(&app).await;
    JsonBody(app.verifier.told())
}

pub async fn start(State(app): State<Arc<App>>) -> Result<JsonBody<Verification>, Problem> {
    app.verifier.load(&app).await;
    let store = app.queries.lake().store().cloned();
    let kept = store.map(|it| (it, app.dataflow.name.clone()));
    app.verifier.start(kept)?;
    Ok(JsonBody(app.verifier.told()))
}

pub async fn cancel(State(app): State<Arc<App>>) -> Result<StatusCode, Problem> {
    match app.verifier.cancel() {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(
            Problem::not_found("not_running", "no verification is running")
                .hint("GET /api/v1/verification has the newest result"),
        ),
    }
}

impl Verifier {
    pub fn new(prover: Option<Program>) -> Self {
        Verifier {
            prover,
            state: Arc::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Proofs> {
        locked(&self.state)
    }

    /// Asks the lake once for the result of an earlier run. One that cannot be read is as good as none: a new proof takes its place.
    async fn load(&self, app: &App) {
        if std::mem::replace(&mut self.locked().is_loaded, true) {
            return;
        }
        let Some(store) = app.queries.lake().store() else {
            return;
        };
        let kept = match store.verification(&app.dataflow.name).await {
            Ok(kept) => kept,
            Err(error) => {
                // Perhaps next time.
                self.locked().is_loaded = false;
                tracing::warn!("the newest result of a proof could not be read: {error}");
                return;
            }
        };
        let kept = kept.and_then(|it| serde_json::from_slice(&it).ok());
        let mut state = self.locked();
        state.newest = state.newest.take().or(kept);
    }

    fn told(&self) -> Verification {
        let state = self.locked();
        let expected_checks = state.newest.as_ref().map(|it| it.checks.len());
        let running = state.running.as_ref().map(|it| RunningVerification {
            started: Epoch(it.started_ms).iso(),
            elapsed_seconds: wall_ms().saturating_sub(it.started_ms) as f64 / 1000.0,
            checks: it.checks.len(),
            expected_checks,
            failed: it.failed.len(),
            last: it.last.clone(),
        });
        let command = self.prover.as_ref().map(|it| it.command.clone());
        Verification {
            available: self.prover.is_some(),
            command: command.unwrap_or_else(|| "tidelake verify".to_owned()),
            running,
            newest: state.newest.clone(),
            problem: state.problem.clone(),
        }
    }

    /// Starts a proof whose result is kept there.
    fn start(&self, kept: Option<(Store, String)>) -> Result<(), Problem> {
        let prover = self.prover.clone().ok_or_else(|| {
            let text = "this server cannot start a verification";
            Problem::new(StatusCode::NOT_IMPLEMENTED, "no_verifier", text)
                .hint("run `tidelake verify` in a shell")
        })?;
        let mut state = self.locked();
        if state.running.is_some() {
            let text = "a verification is running already";
            return Err(
                Problem::new(StatusCode::CONFLICT, "verification_running", text)
                    .hint("wait for its result, or end it with DELETE /api/v1/verification"),
            );
        }
        let failed = |error: io::Error| {
            let text = format!("the verification could not be started: {error}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_verifier", text)
                .hint(format!("run `{}` in a shell", prover.command))
        };
        let (told, hears) = std::sync::mpsc::channel();
        let proofs = Arc::clone(&self.state);
        let runtime = tokio::runtime::Handle::current();
        let started = prover.clone();
        // It lives as long as the process that it starts, which ends with it.
        supervise::thread("verification", move || {
            let child = begin(&started);
            let parts = child.map(|mut it| {
                let (out, words) = (it.stdout.take(), it.stderr.take());
                (Arc::new(Mutex::new(it)), out, words)
            });
            let (child, out, words) = match parts {
                Ok(it) => it,
                Err(error) => return drop(told.send(Err(error))),
            };
            let started_ms = wall_ms();
            let _ = told.send(Ok(Running {
                started_ms,
                child: Arc::clone(&child),
                checks: BTreeSet::new(),
                failed: BTreeSet::new(),
                last: None,
                is_cancelled: false,
            }));
            // The request that started it holds the state until it is in there.
            let words =
                words.map(|it| supervise::thread("verification-log", move || last_words(it)));
            let report = out.and_then(|it| follow(it, &proofs));
            wait(&child);
            let words = words.and_then(|it| it.ok()?.join().ok());
            let result = report.map(|it| result_of(it, started_ms));
            if let (Some(result), Some((store, dataflow))) = (&result, &kept) {
                let bytes = serde_json::to_vec(result).unwrap_or_default();
                let stored = runtime.block_on(store.put_verification(dataflow, bytes));
                if let Err(error) = stored {
                    tracing::warn!("the result of a proof could not be kept: {error}");
                }
            }
            end(&proofs, result, words.as_deref().unwrap_or_default());
        })
        .map_err(failed)?;
        let running = hears.recv().unwrap_or_else(|it| Err(io::Error::other(it)));
        state.running = Some(running.map_err(failed)?);
        state.problem = None;
        Ok(())
    }

    /// Ends the proof that runs; whether there was one.
    fn cancel(&self) -> bool {
        let mut state = self.locked();
        let Some(running) = &mut state.running else {
            return false;
        };
        running.is_cancelled = true;
        let _ = locked(&running.child).kill();
        true
    }
}

/// Notes each check, until there is no more to read; the report, if one came.
fn follow(out: impl Read, proofs: &Mutex<Proofs>) -> Option<Report> {
    let mut report = None;
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Check(check)) => {
                let mut state = locked(proofs);
                let Some(running) = &mut state.running else {
                    continue;
                };
                running.last = Some(format!("{} {}", check.name, check.subject));
                let key = (check.name, check.subject);
                // A proof may begin again, and check the same once more.
                match check.outcome {
                    CheckOutcome::Fails => running.failed.insert(key.clone()),
                    _ => running.failed.remove(&key),
                };
                running.checks.insert(key);
            }
            Ok(Line::Report(it)) => report = Some(it),
            Err(_) => {}
        }
    }
    report
}

fn result_of(report: Report, started_ms: u64) -> VerificationResult {
    let ended_ms = wall_ms();
    let unknown = report
        .checks
        .iter()
        .any(|it| it.outcome == CheckOutcome::Unknown);
    VerificationResult {
        verdict: match (report.proven, unknown) {
            (false, _) => Verdict::Failed,
            (true, true) => Verdict::Partly,
            (true, false) => Verdict::Proven,
        },
        started: Epoch(started_ms).iso(),
        ended: Epoch(ended_ms).iso(),
        elapsed_seconds: ended_ms.saturating_sub(started_ms) as f64 / 1000.0,
        commit: report.commit,
        epoch: report.epoch,
        as_of: Epoch(report.epoch).iso(),
        checks: report.checks,
    }
}

fn end(proofs: &Mutex<Proofs>, result: Option<VerificationResult>, words: &str) {
    let mut state = locked(proofs);
    let cancelled = state.running.take().is_some_and(|it| it.is_cancelled);
    match result {
        Some(result) => {
            let (checks, verdict) = (result.checks.len(), result.verdict);
            tracing::info!(checks, ?verdict, "a verification has ended");
            state.newest = Some(result);
        }
        None if cancelled => state.problem = Some("it was cancelled".to_owned()),
        None => state.problem = Some(reason_in(words)),
    }
}

#[cfg(test)]
mod tests;
