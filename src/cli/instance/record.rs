//! What is written down of an instance, for other shells.

use crate::coordinator::{started, this_process};
use crate::lake::Holder;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The form of the record that this version writes and reads.
pub const FORMAT: u32 = 1;

/// An instance, as its folder tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    pub name: String,
    /// `run`, `up` or `demo`.
    pub command: String,
    /// The whole command line, without secrets, and where it was typed.
    pub command_line: Vec<String>,
    pub folder: PathBuf,
    pub version: String,
    pub dataflow: String,
    /// Address of the lake, without credentials.
    pub lake: String,
    /// The process that keeps the instance up: a supervisor, or the only process.
    pub holder: Holder,
    pub began_ms: u64,
    /// Its log, if it runs in the background.
    pub log: Option<PathBuf>,
    pub state: State,
    /// How often its processes were started again.
    pub restarts: u32,
    /// Why they were started again the last time.
    pub last_end: Option<LastEnd>,
    pub processes: Vec<Process>,
    /// How it ended, if it said so.
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not ready since its processes were started.
    Starting,
    Running,
    /// A process ended, and all wait to be started again.
    Restarting,
    Stopping,
    Ended,
}

/// A process that does the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub number: usize,
    pub pid: u32,
    /// When it was started, by the machine's own count: numbers of processes are used again.
    pub started: u64,
    pub since_ms: u64,
    /// Where this machine reaches its API.
    pub url: String,
}

/// The end of a process after which all were started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEnd {
    pub process: usize,
    pub at_ms: u64,
    pub how: String,
}

/// The end of an instance, with its exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub at_ms: u64,
    pub code: u8,
    pub reason: String,
}

/// Whether a process is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    Lives,
    Gone,
    /// It belongs to another machine, container or boot, where nothing can be seen of it.
    Elsewhere,
}

impl Record {
    /// Whether the process that keeps it up is there. One that has got its number since is another one.
    pub fn life(&self) -> Life {
        let here = this_process();
        let boot = |it: &str| it.split(' ').next().map(str::to_owned);
        if self.holder.machine == here.machine {
            return match started(self.holder.pid) == Some(self.holder.started) {
                true => Life::Lives,
                false => Life::Gone,
            };
        }
        // Nothing outlives a boot of its machine.
        let same_host = self.holder.host == here.host;
        match same_host && boot(&self.holder.machine) != boot(&here.machine) {
            true => Life::Gone,
            false => Life::Elsewhere,
        }
    }

    /// Those of its processes that are there.
    pub fn living(&self) -> Vec<Process> {
        if self.holder.machine != this_process().machine {
            return Vec::new();
        }
        let lives = |it: &&Process| started(it.pid) == Some(it.started);
        self.processes.iter().filter(lives).cloned().collect()
    }
}
