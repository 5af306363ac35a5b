//! Models by which tables score records as they come: what is in force at a start, and newer versions while the pipeline runs.
//!
//! ```text
//! process 0   looks for newer versions ── asks all to load one ──► each loads it, and says so
//!             when all have it ── in force from an epoch soon ──► each puts it into its schedule
//! ```
//!
//! A process that hears of it too late ends, and all start again from the last commit: a row is never scored by what was no longer in force (`model::in_force`). What is in force is in
//! every commit.

use super::Error;
use super::peers::Message;
use crate::cluster;
use crate::engine::Control;
use crate::lake::{self, Store};
use crate::learn;
use crate::model::in_force::{Entry, Schedule, named};
use crate::model::{Epoch, wall_ms};
use crate::plan::{Dataflow, LiveModels};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// How often somebody looks for newer versions.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How far ahead of the clock the first epoch of a new version is, in milliseconds: alone, and where others have to hear of it.
const AHEAD_ALONE_MS: u64 = 1_000;
const AHEAD_MS: u64 = 5_000;
/// How long the others may take to load a model.
const LOADED_WITHIN: Duration = Duration::from_secs(60);

/// Goes on with what was in force in a commit, and loads the models that tables still ask for.
///
/// # Errors
/// If a model cannot be loaded.
pub(super) async fn go_on(
    dataflow: &Dataflow,
    store: &Store,
    schedule: Schedule,
) -> Result<(), Error> {
    let live = &dataflow.live_models;
    for (name, entries) in &schedule {
        if let Some(last) = entries.last().filter(|_| live.features.contains_key(name)) {
            store.models().kept(name, &last.id).await?;
        }
    }
    // All of it, for what a table no longer asks for still tells of its older rows.
    live.in_force.begin(schedule);
    Ok(())
}

/// Loads every model that was in force at some time, from its file: who proves a commit wants to know that it is there.
///
/// # Errors
/// With the first that cannot be loaded.
pub(crate) async fn load_all(store: &Store, schedule: &Schedule) -> Result<(), lake::Error> {
    for (name, id) in named(schedule) {
        learn::keep(store.models().load(&name, &id).await?);
    }
    Ok(())
}

/// Puts the newest versions in force from the first epoch of a run.
pub(super) async fn at_start(dataflow: &Dataflow, store: &Store, start: Epoch) {
    let live = &dataflow.live_models;
    for name in live.features.keys() {
        let newer = match newer(live, store, name).await {
            Ok(newer) => newer,
            Err(problem) => {
                tracing::warn!("model {name}: {problem}");
                live.in_force.note_problem(name, Some(problem));
                continue;
            }
        };
        if let Some(version) = newer
            && let Err(late) = put(live, name, &version, start)
        {
            tracing::warn!("{late}");
        }
    }
}

fn put(
    live: &LiveModels,
    name: &str,
    version: &lake::ModelVersion,
    from: Epoch,
) -> Result<Entry, crate::model::in_force::TooLate> {
    let entry = Entry {
        from,
        version: version.number,
        id: version.id.clone(),
    };
    live.in_force.put(name, entry.clone())?;
    tracing::info!(
        "version {} of model {name} ({:.8}) is in force from {}",
        entry.version,
        entry.id,
        from.iso()
    );
    Ok(entry)
}

/// A version that is newer than what is in force, loaded and fit for what it is asked; nothing if there is none.
async fn newer(
    live: &LiveModels,
    store: &Store,
    name: &str,
) -> Result<Option<lake::ModelVersion>, String> {
    let current = store.models().current(name).await;
    let Some(current) = current.map_err(|it| it.to_string())? else {
        return Ok(None);
    };
    let of_now = live.in_force.newest(name);
    let kept = match &of_now {
        Some(it) => format!("version {} stays in force", it.version),
        None => "records are not scored".to_owned(),
    };
    if of_now.is_some_and(|it| it.id == current.id) {
        return Ok(None);
    }
    let model = store.models().kept(name, &current.id).await;
    let model = model.map_err(|it| format!("version {}: {it}; {kept}", current.number))?;
    let given: &BTreeSet<usize> = &live.features[name];
    match given.iter().find(|it| model.features().len() != **it) {
        Some(given) => Err(format!(
            "version {}: {}; {kept}",
            current.number,
            crate::sql::wants(&model, *given)
        )),
        None => Ok(Some(current)),
    }
}

/// In process 0: puts newer versions in force while the pipeline runs.
pub(super) struct Watch {
    pub dataflow: Arc<Dataflow>,
    pub store: Store,
    pub control: Arc<Control>,
    /// The other processes, and their word that they have loaded a model.
    pub peers: Option<(cluster::Sender, usize)>,
    pub loaded: UnboundedReceiver<(usize, String)>,
}

impl Watch {
    pub async fn run(mut self) {
        let dataflow = Arc::clone(&self.dataflow);
        let live = &dataflow.live_models;
        if live.features.is_empty() {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for name in live.features.keys() {
                let problem = self.look(live, name).await.err();
                if let Some(problem) = &problem
                    && live.in_force.problem(name).as_ref() != Some(problem)
                {
                    tracing::warn!("model {name}: {problem}");
                }
                live.in_force.note_problem(name, problem);
            }
        }
    }

    async fn look(&mut self, live: &LiveModels, name: &str) -> Result<(), String> {
        let Some(version) = newer(live, &self.store, name).await? else {
            return Ok(());
        };
        let ahead_ms = match &self.peers {
            None => AHEAD_ALONE_MS,
            Some((peers, others)) => {
                let others = *others;
                let (name, id) = (name.to_owned(), version.id.clone());
                peers.send_all(&Message::LoadModel { name, id }.bytes());
                let all = self.all_have(&version.id, others);
                let waited = tokio::time::timeout(LOADED_WITHIN, all).await;
                waited.map_err(|_| {
                    format!(
                        "version {}: other processes have not loaded it within {} s; trying again",
                        version.number,
                        LOADED_WITHIN.as_secs()
                    )
                })?;
                // Epochs of a process are of its own clock.
                AHEAD_MS + self.control.skew_ms.load(Ordering::Acquire)
            }
        };
        // A clock that was set meanwhile makes it too late, and nothing has happened.
        let from = Epoch::at_or_after(wall_ms() + ahead_ms, super::TICK_MS);
        let entry = put(live, name, &version, from).map_err(|it| format!("{it}; trying again"))?;
        if let Some((peers, _)) = &self.peers {
            let name = name.to_owned();
            peers.send_all(&Message::ModelInForce { name, entry }.bytes());
        }
        Ok(())
    }

    /// Waits until so many processes have loaded a model.
    async fn all_have(&mut self, id: &str, others: usize) {
        let mut have = BTreeSet::new();
        while have.len() < others {
            match self.loaded.recv().await {
                Some((from, loaded)) if loaded == id => {
                    have.insert(from);
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}
