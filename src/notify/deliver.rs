//! Messages on their way: posted, repeated until they are taken, and what was told kept in the lake.

use super::decide::{self, Due, Incident, Memory};
use super::messages;
use crate::coordinator::Committed;
use crate::lake::Store;
use crate::model::{Epoch, ms_to_us, wall_ms, with_causes};
use crate::plan::Webhook;
use crate::sql::incidents::INCIDENTS;
use crate::supervise;
use crate::view::Hub;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A receiver that has not answered by then has not taken it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A message that was not taken is told again after so long, and then ever more rarely.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Mutes end without a commit.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Of what a receiver says when it refuses.
const SAID_CHARACTERS_MAX: usize = 200;

/// How a webhook is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Messages that were taken since the start.
    pub messages: u64,
    pub last_ms: Option<u64>,
    /// Messages that were not taken yet, and since when.
    pub waiting: usize,
    pub waiting_since_ms: Option<u64>,
    /// Why not.
    pub problem: Option<String>,
}

/// The webhooks of a running pipeline.
pub struct Webhooks {
    told: Vec<(String, Arc<Mutex<Told>>)>,
    tasks: Vec<JoinHandle<()>>,
}

/// What webhooks tell of.
#[derive(Clone)]
pub struct Pipeline {
    pub dataflow: String,
    pub hub: Arc<Hub>,
    pub store: Store,
    pub committed: watch::Receiver<Committed>,
}

impl Webhooks {
    /// Starts to tell. One process of a cluster does.
    pub fn start(webhooks: &[Webhook], pipeline: &Pipeline) -> Webhooks {
        let mut all = Webhooks {
            told: Vec::new(),
            tasks: Vec::new(),
        };
        for webhook in webhooks {
            let told = Arc::default();
            all.told.push((webhook.name.clone(), Arc::clone(&told)));
            let telling = Telling {
                webhook: webhook.clone(),
                pipeline: pipeline.clone(),
                told,
                client: client(),
                begun: pipeline.committed.borrow().through,
            };
            all.tasks.push(supervise::task("webhook", telling.run()));
        }
        all
    }

    /// How each is doing, by its name; each call tells anew.
    pub fn told(&self) -> Vec<(String, impl Fn() -> Told + Send + Sync + 'static)> {
        let all = self.told.iter().map(|(name, told)| {
            let told = Arc::clone(told);
            let now = move || told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (name.clone(), now)
        });
        all.collect()
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn client() -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder()
        .timeout(ANSWER_WITHIN)
        // A message is for the address that was stated.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tidelake/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|it| it.to_string())
}

/// A message that was not taken.
#[derive(Debug, PartialEq, Eq)]
struct NotTaken {
    reason: String,
    /// Whether the receiver would refuse this one again, and may take others.
    is_refused: bool,
}

struct Telling {
    webhook: Webhook,
    pipeline: Pipeline,
    told: Arc<Mutex<Told>>,
    client: Result<reqwest::Client, String>,
    /// Up to where all was committed when it began.
    begun: Epoch,
}

impl Telling {
    async fn run(mut self) {
        // What was restored is in the view when this run has committed, or had nothing to commit.
        let begun = self.begun;
        let first = self.pipeline.committed.wait_for(|it| begun < it.through);
        if first.await.map(drop).is_err() {
            return;
        }
        let mut memory = None;
        let mut pause = RETRY_FIRST;
        loop {
            let is_done = match self.round(&mut memory).await {
                Ok(()) => true,
                Err(reason) => {
                    self.note(|it| it.problem = Some(reason));
                    false
                }
            };
            if is_done {
                pause = RETRY_FIRST;
                tokio::select! {
                    changed = self.pipeline.committed.changed() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            } else {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(RETRY_MAX);
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells all that is due. What was told before is read from the lake the first time.
    async fn round(&self, memory: &mut Option<Memory>) -> Result<(), String> {
        let Some(incidents) = self.incidents() else {
            return Ok(());
        };
        let mut known = match memory.take() {
            Some(known) => known,
            None => match self.stored().await? {
                Some(known) => known,
                None => {
                    let known = decide::beginning(&incidents);
                    self.store(&known).await?;
                    known
                }
            },
        };
        let told = self.tell(&mut known, &incidents).await;
        *memory = Some(known);
        told
    }

    async fn tell(&self, memory: &mut Memory, incidents: &[Incident]) -> Result<(), String> {
        let mut refused: Vec<String> = Vec::new();
        loop {
            let now_us = ms_to_us(wall_ms());
            let (due, kept) = decide::next(&self.webhook, memory, incidents, now_us);
            let changed = *memory != kept;
            *memory = kept;
            let due: Vec<Due> = due
                .into_iter()
                .filter(|it| !refused.contains(&it.incident.incident))
                .collect();
            self.note(|it| {
                it.waiting = due.len() + refused.len();
                it.waiting_since_ms = match it.waiting {
                    0 => None,
                    _ => it.waiting_since_ms.or(Some(wall_ms())),
                };
                if it.waiting == 0 {
                    it.problem = None;
                }
            });
            if due.is_empty() {
                if changed {
                    self.store(memory).await?;
                }
                let problem = |it: &Told| it.problem.clone().unwrap_or_default();
                return match refused.is_empty() {
                    true => Ok(()),
                    false => Err(problem(
                        &self.told.lock().unwrap_or_else(PoisonError::into_inner),
                    )),
                };
            }
            for it in due {
                match self.post(&it, now_us).await {
                    Ok(()) => {
                        decide::taken(memory, &it);
                        self.note(|told| {
                            told.messages += 1;
                            told.last_ms = Some(wall_ms());
                        });
                        self.store(memory).await?;
                    }
                    Err(NotTaken { reason, is_refused }) => {
                        let name = &self.webhook.name;
                        tracing::warn!(webhook = %name, incident = %it.incident.incident, "a message was not taken: {reason}");
                        self.note(|told| told.problem = Some(reason.clone()));
                        if !is_refused {
                            return Err(reason);
                        }
                        refused.push(it.incident.incident);
                    }
                }
            }
        }
    }

    /// Incidents as they are committed; none if that is no longer known, as after a pause of the process.
    fn incidents(&self) -> Option<Vec<Incident>> {
        let hub = &self.pipeline.hub;
        let epoch = self.pipeline.committed.borrow().through;
        let schema = hub.view(INCIDENTS)?.schema;
        let snapshot = hub.as_of(INCIDENTS, epoch)?.ok()?;
        let rows = snapshot.rows.iter();
        Some(rows.map(|it| Incident::of_row(&schema, it.0)).collect())
    }

    async fn stored(&self) -> Result<Option<Memory>, String> {
        let (dataflow, name) = (&self.pipeline.dataflow, &self.webhook.name);
        let stored = self.pipeline.store.told(dataflow, name).await;
        let Some(bytes) = stored.map_err(|it| it.to_string())? else {
            return Ok(None);
        };
        let memory = serde_json::from_slice(&bytes).map_err(|it| {
            format!("the record of sent messages could not be read: {it}; delete _tidelake/{dataflow}/webhooks/{name}.json to start over")
        })?;
        Ok(Some(memory))
    }

    async fn store(&self, memory: &Memory) -> Result<(), String> {
        let bytes = serde_json::to_vec(memory).map_err(|it| it.to_string())?;
        let (dataflow, name) = (&self.pipeline.dataflow, &self.webhook.name);
        let stored = self.pipeline.store.put_told(dataflow, name, bytes).await;
        stored.map_err(|it| format!("the record of sent messages could not be stored: {it}"))
    }

    async fn post(&self, due: &Due, now_us: i64) -> Result<(), NotTaken> {
        let away = |reason: String| NotTaken {
            reason,
            is_refused: false,
        };
        let client = self.client.as_ref().map_err(|it| away(it.clone()))?;
        let dataflow = &self.pipeline.dataflow;
        let body = messages::body(&self.webhook, dataflow, due, now_us).to_string();
        let mut request = client
            .post(&self.webhook.url)
            .header("content-type", "application/json")
            .header("idempotency-key", key(dataflow, &self.webhook.name, due));
        if let Some(secret) = &self.webhook.secret {
            let signed = signature(secret, wall_ms() / 1_000, &body);
            request = request.header("tidelake-signature", signed);
        }
        let answer = request.body(body).send().await;
        // Its address may be a secret: knowing it is enough to post.
        let answer = answer.map_err(|it| away(with_causes(&it.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = answer.text().await.unwrap_or_default();
        let said: String = said.chars().take(SAID_CHARACTERS_MAX).collect();
        let comes_later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        Err(NotTaken {
            reason: format!("the receiver answered {status}: {}", said.trim()),
            is_refused: status.is_client_error() && !comes_later.contains(&status),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, it| {
        let _ = write!(text, "{it:02x}");
        text
    })
}

/// Names a message: the same each time it is told.
fn key(dataflow: &str, webhook: &str, due: &Due) -> String {
    let (name, number) = (&due.incident.incident, due.number);
    let text = format!("{dataflow}/{webhook}/{name}/{number}/{:?}", due.event);
    hex(&Sha256::digest(text)[..16])
}

/// Lets a receiver check who sent a message, and when: `t=<seconds since 1970>,v1=<hex of HMAC-SHA256 (RFC 2104) of "<t>.<body>">`.
fn signature(secret: &str, seconds: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("a key of HMAC may have any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests;
