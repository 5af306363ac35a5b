//! Which processes there are and how they agree: who is connected to whom, of which generation, and whether all still live.
//!
//! ```text
//! process 0 claims the lake, then listens; every other process j:
//!   j ── hello (who, how many, which dataflow) ──► 0      j ◄── welcome (generation, what to go on from) ── 0      (both prove the secret: `handshake`)
//!   j ── hello (generation) ──► every lower i, once for control and once for data
//! then  data sockets go to the engine, control sockets carry messages and a sign of life
//! ```
//!
//! There is no partial recovery: a process that loses another says so and ends, their supervisor starts all
//! again, and the generation keeps survivors of an earlier start out. What messages mean is not known here.

mod handshake;
mod join;
mod links;
#[cfg(test)]
mod tests;

pub use join::{Joined, Welcome, join};
pub use links::{Event, Links, Sender};

use crate::auth::Secret;
use std::path::Path;
use std::time::Duration;

/// One process of a cluster and how to reach the others.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number, from 0.
    pub process: usize,
    /// `host:port` of every process, by number.
    pub hosts: Vec<String>,
    /// Workers of each process.
    pub workers: usize,
    /// Equal in processes that run the same dataflow in the same version.
    pub fingerprint: String,
    /// What all processes of the cluster have in common and nobody else has, if they do.
    pub secret: Option<Secret>,
    pub timings: Timings,
}

/// How patient processes are with each other.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Until all have found each other.
    pub join: Duration,
    /// Between two signs of life.
    pub beat: Duration,
    /// Without a sign of life, after which a process counts as lost.
    pub silence: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            join: Duration::from_secs(60),
            beat: Duration::from_millis(500),
            silence: Duration::from_millis(3500),
        }
    }
}

/// Why a cluster did not come about, or fell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("hosts file {path:?} cannot be used: {reason}")]
    Hosts { path: String, reason: String },
    #[error("could not listen on {address} for the other processes of the cluster")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error("process {process} cannot join the cluster: {reason}")]
    Refused { process: usize, reason: String },
    #[error("the cluster did not come together within {} s: {waiting_for}", .limit.as_secs())]
    Deadline {
        limit: Duration,
        waiting_for: String,
    },
    #[error("process {process} is lost: {reason}")]
    Lost { process: usize, reason: String },
    #[error("what process 0 must do before the others may join failed: {0}")]
    Prepare(String),
}

/// The addresses of a hosts file: one `host:port` per line, by process number; empty lines and `#` comments are left out.
///
/// # Errors
/// If the file cannot be read or a line is no address.
pub fn read_hosts(path: &Path) -> Result<Vec<String>, Error> {
    let wrong = |reason: String| Error::Hosts {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|it| wrong(it.to_string()))?;
    let hosts: Vec<String> = text
        .lines()
        .map(|it| it.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|it| !it.is_empty())
        .collect();
    let port = |it: &str| it.rsplit_once(':').and_then(|it| it.1.parse::<u16>().ok());
    match hosts.iter().find(|it| port(it).is_none()) {
        Some(line) => Err(wrong(format!("{line:?} is not of the form host:port"))),
        None if hosts.is_empty() => Err(wrong("it names no process".to_owned())),
        None => Ok(hosts),
    }
}
