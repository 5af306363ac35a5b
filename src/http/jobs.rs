//! `/api/v1/jobs`: long actions that a client starts, watches and cancels.
//!
//! ```text
//! POST of an action ─► a job, at once ─► GET /api/v1/jobs/{job} ─► running · done, with its result · failed · cancelled
//!                                    └─► DELETE /api/v1/jobs/{job}: no more is done; what was done stays
//! ```
//!
//! One job of a kind runs at a time. They belong to the server that was asked, which keeps the newest of them until it ends; what its jobs have done is in the lake.

use super::App;
use super::apart::locked;
use super::problem::Problem;
use crate::auth::Caller;
use crate::model::{Epoch, secret, wall_ms};
use crate::supervise;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Jobs that ended are kept up to so many.
const KEPT_MAX: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Files of the lake are written anew.
    Optimize,
    /// What no version of a table needs is deleted.
    Vacuum,
    /// A model is learned.
    Train,
}

impl JobKind {
    fn name(self) -> &'static str {
        match self {
            JobKind::Optimize => "optimize",
            JobKind::Vacuum => "vacuum",
            JobKind::Train => "train",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// A long action.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Job {
    pub id: String,
    pub kind: JobKind,
    pub state: JobState,
    /// The command that does the same in a shell.
    pub command: String,
    /// Who started it; null on a server without users.
    pub by: Option<String>,
    pub started: String,
    /// Null while it runs.
    pub ended: Option<String>,
    pub elapsed_seconds: f64,
    /// What it is at; null when it has ended.
    pub step: Option<String>,
    /// Why it failed, or was not done in full.
    pub problem: Option<String>,
    /// Of `optimize`: tables that had files to write anew.
    pub optimized: Option<Vec<OptimizedTable>>,
    pub vacuumed: Option<Vacuumed>,
    /// Of `train`: the model, as `tidelake model show --json` prints it.
    pub trained: Option<Map<String, Json>>,
}

/// Files of a table that were written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OptimizedTable {
    pub table: String,
    pub files_before: u64,
    pub files_after: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// What a lake did not need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Vacuumed {
    /// Whether it was only looked for, and is still there.
    pub dry_run: bool,
    /// Versions of so many hours stay readable.
    pub retention_hours: u16,
    pub files: u64,
    pub bytes: u64,
    pub waste: Vec<WasteOfTable>,
}

/// Files of a table that are not needed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WasteOfTable {
    /// `_tidelake` for what belongs to the commits.
    pub table: String,
    /// `old_version`, `replaced`, `leftover`, `state` or `manifest`.
    pub why: String,
    /// The same in words.
    pub what: String,
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobList {
    /// Newest first.
    pub jobs: Vec<Job>,
}

/// What a job came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub problem: Option<String>,
    pub optimized: Option<Vec<OptimizedTable>>,
    pub vacuumed: Option<Vacuumed>,
    pub trained: Option<Map<String, Json>>,
}

/// What is to be started.
pub struct New {
    pub kind: JobKind,
    pub command: String,
    pub by: Option<String>,
}

impl New {
    pub fn of(kind: JobKind, command: String, caller: Option<Extension<Caller>>) -> Self {
        New {
            kind,
            command,
            by: caller.map(|Extension(it)| it.name),
        }
    }
}

struct Entry {
    job: Job,
    started_ms: u64,
    cancel: watch::Sender<bool>,
}

impl Entry {
    fn told(&self) -> Job {
        let mut job = self.job.clone();
        if job.state == JobState::Running {
            job.elapsed_seconds = seconds_since(self.started_ms);
        }
        job
    }
}

/// The jobs of one server, oldest first.
#[derive(Clone, Default)]
pub struct Jobs(Arc<Mutex<Vec<Entry>>>);

/// Tells what a job is at.
pub struct Step {
    jobs: Jobs,
    id: String,
}

impl Step {
    pub fn at(&self, text: impl Into<String>) {
        self.jobs
            .change(&self.id, |it| it.job.step = Some(text.into()));
    }
}

fn seconds_since(ms: u64) -> f64 {
    wall_ms().saturating_sub(ms) as f64 / 1000.0
}

impl Jobs {
    fn change(&self, id: &str, how: impl FnOnce(&mut Entry)) {
        if let Some(entry) = locked(&self.0).iter_mut().find(|it| it.job.id == id) {
            how(entry);
        }
    }

    /// Starts a job, and tells what there is to tell of it at once. If it is cancelled, the work is dropped wherever it waits, and then `withdraw` is done.
    ///
    /// # Errors
    /// If one of its kind is running.
    pub fn start<Work, Withdraw>(
        &self,
        new: New,
        work: impl FnOnce(Step) -> Work,
        withdraw: Withdraw,
    ) -> Result<Job, Problem>
    where
        Work: Future<Output = Result<Outcome, String>> + Send + 'static,
        Withdraw: Future<Output = ()> + Send + 'static,
    {
        let New { kind, command, by } = new;
        let mut jobs = locked(&self.0);
        let is_running = |it: &&Entry| it.job.state == JobState::Running;
        if let Some(running) = jobs
            .iter()
            .filter(is_running)
            .find(|it| it.job.kind == kind)
        {
            let (name, id) = (kind.name(), running.job.id.clone());
            let text = format!("a job of the kind {name} is running already");
            return Err(Problem::new(StatusCode::CONFLICT, "job_running", text)
                .hint(format!(
                    "wait for it, or cancel it with DELETE /api/v1/jobs/{id}"
                ))
                .with("job", id));
        }
        let ended = jobs.len() - jobs.iter().filter(is_running).count();
        if KEPT_MAX <= ended
            && let Some(oldest) = jobs.iter().position(|it| !is_running(&it))
        {
            jobs.remove(oldest);
        }
        let started_ms = wall_ms();
        let (cancel, mut cancelled) = watch::channel(false);
        let id = uuid::Uuid::new_v4().to_string();
        let entry = Entry {
            job: Job {
                id: id.clone(),
                kind,
                state: JobState::Running,
                command,
                by,
                started: Epoch(started_ms).iso(),
                ended: None,
                elapsed_seconds: 0.0,
                step: None,
                problem: None,
                optimized: None,
                vacuumed: None,
                trained: None,
            },
            started_ms,
            cancel,
        };
        let told = entry.told();
        jobs.push(entry);
        drop(jobs);
        let step = Step {
            jobs: self.clone(),
            id: id.clone(),
        };
        let (jobs, work) = (self.clone(), work(step));
        supervise::task("job", async move {
            let done = tokio::select! {
                done = supervise::caught(kind.name(), work) => Some(done.unwrap_or_else(|died| Err(died.to_string()))),
                _ = cancelled.wait_for(|it| *it) => None,
            };
            if done.is_none() {
                withdraw.await;
            }
            jobs.end(&id, done);
        });
        Ok(told)
    }

    /// Notes how a job has ended; nothing says that it was cancelled.
    fn end(&self, id: &str, done: Option<Result<Outcome, String>>) {
        self.change(id, |entry| {
            let job = &mut entry.job;
            job.ended = Some(Epoch(wall_ms()).iso());
            job.elapsed_seconds = seconds_since(entry.started_ms);
            job.step = None;
            job.state = match done {
                None => JobState::Cancelled,
                Some(Err(problem)) => {
                    job.problem = Some(secret::redact(&problem).to_string());
                    JobState::Failed
                }
                Some(Ok(outcome)) => {
                    let problem = outcome.problem.map(|it| secret::redact(&it).to_string());
                    job.problem = problem;
                    job.optimized = outcome.optimized;
                    job.vacuumed = outcome.vacuumed;
                    job.trained = outcome.trained;
                    match job.problem {
                        None => JobState::Done,
                        Some(_) => JobState::Failed,
                    }
                }
            };
            let (kind, state, problem) = (job.kind.name(), job.state, job.problem.as_deref());
            tracing::info!(job = id, kind, ?state, problem, "a job has ended: {kind}");
        });
    }

    fn list(&self) -> Vec<Job> {
        locked(&self.0).iter().rev().map(Entry::told).collect()
    }

    fn one(&self, id: &str) -> Option<Job> {
        let jobs = locked(&self.0);
        jobs.iter().find(|it| it.job.id == id).map(Entry::told)
    }

    /// Whether there was one to cancel.
    fn cancel(&self, id: &str) -> bool {
        let jobs = locked(&self.0);
        let running = |it: &&Entry| it.job.id == id && it.job.state == JobState::Running;
        match jobs.iter().find(running) {
            Some(it) => {
                it.cancel.send_replace(true);
                true
            }
            None => false,
        }
    }
}

pub async fn list(State(app): State<Arc<App>>) -> JsonBody<JobList> {
    JsonBody(JobList {
        jobs: app.jobs.list(),
    })
}

pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<JsonBody<Job>, Problem> {
    app.jobs
        .one(&id)
        .map(JsonBody)
        .ok_or_else(|| unknown(&id, "there is no job"))
}

pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match app.jobs.cancel(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(&id, "no job is running that has the id")),
    }
}

fn unknown(id: &str, text: &str) -> Problem {
    Problem::not_found("unknown_job", format!("{text} `{id}`"))
        .hint("GET /api/v1/jobs lists those that this server has started")
}

#[cfg(test)]
mod tests;
