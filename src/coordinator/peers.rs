//! What the processes of a cluster tell each other while they run, and what follows from it.
//!
//! ```text
//! every process ── parts of commits, how its sources are ──► process 0 (and all, for health)
//! process 0 ── what is committed, where files belong ──► all
//! ```
//!
//! Process 0 commits for all. When a process is lost, or one fails, all end: [`Ending`] says why.

use super::commit::Committed;
use super::part::Part;
use crate::cluster;
use crate::engine::Control;
use crate::lake::Store;
use crate::model::in_force::Entry;
use crate::model::{Epoch, Readers, wall_ms};
use crate::plan::LiveModels;
use crate::source::{self, SharedStatus, file::Folder};
use crate::supervise;
use crate::view::Hub;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// How often a process tells the others how its sources are.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Why a pipeline ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Another process is gone; a restart of all goes on from the last commit.
    Lost { process: usize, reason: String },
    /// Another process could not go on.
    Failed { process: usize, reason: String },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Lost { process, reason } => {
                write!(f, "process {process} of the cluster is lost: {reason}")
            }
            Ending::Failed { process, reason } => {
                write!(f, "process {process} of the cluster failed: {reason}")
            }
        }
    }
}

/// One word between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// To process 0: one worker's part of a commit, its files durable.
    Part(Part),
    /// From process 0: this epoch is settled, with a commit or without need for one.
    Settled { epoch: Epoch, committed: Committed },
    /// Someone asked the sender to stop, so all do; and all start again if that was asked for.
    Stop { again: bool },
    /// How the sender's sources are, and what they read since the last word: records, undecodable ones, bytes.
    Sources(Vec<(source::Status, (u64, u64, u64))>),
    /// Live results are being read at the sender, by a reader that wants changes within this time.
    Readers { every_ms: u64 },
    /// From process 0: of each source, the partition numbers of its files.
    Files(Vec<Vec<(String, i32)>>),
    /// From process 0: a model that is to come in force.
    LoadModel { name: String, id: String },
    /// To process 0: the sender has loaded a model.
    ModelLoaded { id: String },
    /// From process 0: what records are scored by from an epoch on.
    ModelInForce { name: String, entry: Entry },
    /// The sender cannot go on.
    Failed(String),
}

impl Message {
    pub fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("messages are plain values")
    }
}

/// What words change in this process.
pub(super) struct Peers {
    pub links: cluster::Links,
    pub control: Arc<Control>,
    /// Whether all start again after a stop.
    pub again: Arc<AtomicBool>,
    pub hub: Arc<Hub>,
    /// In process 0, the way to the committer; elsewhere none.
    pub parts: Option<UnboundedSender<Part>>,
    pub committed: watch::Sender<Committed>,
    /// Commits handed over and not settled, of this process.
    pub unsettled: Arc<AtomicUsize>,
    pub sources: Vec<SharedStatus>,
    /// The folder of each source; none of a topic.
    pub folders: Vec<Option<Arc<Folder>>>,
    pub ending: watch::Sender<Option<Ending>>,
    pub store: Store,
    pub live_models: LiveModels,
    /// In process 0, where it is heard who has loaded a model.
    pub loaded: UnboundedSender<(usize, String)>,
    /// The last epoch, once it is settled.
    pub settled: watch::Sender<Epoch>,
}

impl Peers {
    /// Listens until all others have left in order, or one is lost.
    pub async fn run(mut self) {
        while let Some(event) = self.links.next().await {
            match event {
                cluster::Event::Lost { from, reason } => {
                    return self.end(Ending::Lost {
                        process: from,
                        reason,
                    });
                }
                cluster::Event::Message { from, bytes } => match postcard::from_bytes(&bytes) {
                    Ok(message) => self.take(from, message),
                    Err(error) => {
                        return self.end(Ending::Failed {
                            process: from,
                            reason: format!("it said something not understandable: {error}"),
                        });
                    }
                },
            }
        }
    }

    fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|it| {
            let first = it.is_none();
            if first {
                *it = Some(ending);
            }
            first
        });
    }

    fn take(&self, from: usize, message: Message) {
        match message {
            Message::Part(part) => {
                if let Some(parts) = &self.parts {
                    let _ = parts.send(part);
                }
            }
            Message::Settled { epoch, committed } => {
                self.unsettled.fetch_sub(1, Ordering::AcqRel);
                self.committed.send_replace(committed);
                self.settled.send_replace(epoch);
            }
            Message::Stop { again } => {
                // Before the stop, so that who sees that knows what follows.
                self.again.fetch_or(again, Ordering::AcqRel);
                self.control.stop();
            }
            Message::Sources(sources) => {
                for (number, (status, read)) in sources.into_iter().enumerate() {
                    if let Some(folder) = &self.folders[number] {
                        for (partition, it) in &status.partitions {
                            folder.note(*partition, &it.position());
                        }
                    }
                    self.sources[number].update(|it| it.partitions.extend(status.partitions));
                    self.hub.note_read(number, read.0, read.1, read.2);
                }
            }
            Message::Readers { every_ms } => {
                self.hub.readers().note_elsewhere(wall_ms(), every_ms);
            }
            Message::Files(numbers) => {
                for (folder, numbers) in self.folders.iter().zip(numbers) {
                    if let Some(folder) = folder {
                        folder.follow(numbers);
                    }
                }
            }
            Message::LoadModel { name, id } => {
                let (store, peers) = (self.store.clone(), self.links.sender());
                let load = async move {
                    match store.models().kept(&name, &id).await {
                        Ok(_) => peers.send(from, Message::ModelLoaded { id }.bytes()),
                        Err(error) => tracing::warn!("model {name} could not be loaded: {error}"),
                    }
                };
                supervise::task("load-model", load);
            }
            Message::ModelLoaded { id } => {
                let _ = self.loaded.send((from, id));
            }
            Message::ModelInForce { name, entry } => {
                if let Err(late) = self.live_models.in_force.put(&name, entry) {
                    let reason = format!("it was not told in time: {late}");
                    self.links
                        .sender()
                        .send_all(&Message::Failed(reason.clone()).bytes());
                    self.end(Ending::Failed {
                        process: from,
                        reason,
                    });
                }
            }
            Message::Failed(reason) => self.end(Ending::Failed {
                process: from,
                reason,
            }),
        }
        let skew = self.links.sender().skews_ms();
        let largest = skew.iter().map(|it| it.unsigned_abs()).max().unwrap_or(0);
        self.control.skew_ms.store(largest, Ordering::Release);
    }
}

/// Tells the other processes about readers of live results in this one.
pub(super) async fn tell_readers(peers: cluster::Sender, readers: Arc<Readers>) {
    loop {
        let every_ms = readers.to_tell(wall_ms).await;
        peers.send_all(&Message::Readers { every_ms }.bytes());
    }
}

/// Tells the others how this process' own partitions are, until the engine stops.
pub(super) async fn tell_sources(
    peers: cluster::Sender,
    sources: Vec<SharedStatus>,
    own: std::ops::Range<usize>,
    workers: usize,
    hub: Arc<Hub>,
    folders: Vec<Option<Arc<Folder>>>,
    control: Arc<Control>,
) {
    let mut told = vec![(0, 0, 0); sources.len()];
    let mut every = tokio::time::interval(TELL_EVERY);
    while !control.is_stopping() {
        every.tick().await;
        let read = hub.own_reads();
        let statuses = sources.iter().enumerate().map(|(number, shared)| {
            let mut status = shared.get();
            let ours = |partition: &i32| {
                usize::try_from(*partition).is_ok_and(|it| own.contains(&(it % workers)))
            };
            status.partitions.retain(|it, _| ours(it));
            let (now, before) = (read[number], told[number]);
            (
                status,
                (now.0 - before.0, now.1 - before.1, now.2 - before.2),
            )
        });
        peers.send_all(&Message::Sources(statuses.collect()).bytes());
        told = read;
        if own.start == 0 && folders.iter().any(Option::is_some) {
            let numbers = folders
                .iter()
                .map(|it| it.as_ref().map_or_else(Vec::new, |it| it.numbers()));
            peers.send_all(&Message::Files(numbers.collect()).bytes());
        }
    }
}
