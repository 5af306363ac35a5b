//! One worker's part of a commit, on its way to the committer: first with files still being written, then durable.

use super::outputs::WorkerCommit;
use super::peers::Message;
use super::together::FewRows;
use crate::cluster;
use crate::engine::CommitReport;
use crate::model::with_causes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// A part whose files are in the lake, invisible until the commit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub report: CommitReport,
    pub files: Vec<File>,
    /// Buckets of open rows that this commit replaces, by table, even if by no rows.
    pub replaced: BTreeMap<String, BTreeSet<u32>>,
    /// Rows that are not in these files: the committer writes those of all workers together.
    pub few: Vec<FewRows>,
    /// Why the commit must not happen, if something could not be written.
    pub failed: Option<String>,
    pub writing: Writing,
}

/// When the last files of a part were written, by the clock of its process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Writing {
    pub from: SystemTime,
    pub until: SystemTime,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct File {
    pub table: String,
    /// The log action that will show it, as JSON.
    pub add: String,
    /// The bucket of open rows that it holds, until a commit replaces it; none if its rows stay.
    pub bucket: Option<u32>,
}

/// Where parts go: to the committer of this process, or to process 0.
pub(super) enum Destination {
    Committer(UnboundedSender<Part>),
    ProcessZero(cluster::Sender),
}

/// Hands parts on in order, each when its files are durable, until the workers have ended.
pub(super) async fn settle(mut from: UnboundedReceiver<WorkerCommit>, to: Destination) {
    while let Some(commit) = from.recv().await {
        let part = durable(commit).await;
        match &to {
            // A committer that is gone has failed and said why.
            Destination::Committer(to) => {
                let _ = to.send(part);
            }
            Destination::ProcessZero(to) => to.send(0, Message::Part(part).bytes()),
        }
    }
}

async fn durable(commit: WorkerCommit) -> Part {
    let mut failed = commit.failed.map(|it| with_causes(&it));
    let mut files = Vec::new();
    for staged in commit.staged {
        match staged.durable().await {
            Ok((table, add, _rows, bucket)) => files.push(File {
                table,
                add: add.to_string(),
                bucket,
            }),
            Err(error) => failed = failed.or_else(|| Some(with_causes(&error))),
        }
    }
    Part {
        report: commit.report,
        files,
        replaced: commit.replaced,
        few: commit.few,
        failed,
        writing: Writing {
            from: commit.handed_over,
            until: SystemTime::now(),
        },
    }
}
