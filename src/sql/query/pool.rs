//! The query processes of a server: spare ones that wait, busy ones that are ended when nobody wants their answer.
//!
//! A process belongs to one query at a time. Dropping it kills it; a thread waits for its end, takes its temporary files away and
//! only then gives its turn to the next query, so that no more processes hold memory than queries may run.

use super::QueryError;
use super::process::{ProcessLimits, is_about_memory};
use super::protocol::{Frame, FromProcess};
use crate::supervise;
use serde::Serialize;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

/// The program that runs, also when the file it was started from has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Processes that have answered are kept for the next query, but no more than these.
const WAITING_MAX: usize = 3;
/// Of what a process wrote before its end, so much is looked at.
const LAST_WORDS_BYTES_MAX: u64 = 64 << 10;

const FOLDER: &str = "tidelake-query-";

/// Temporary files of a query process.
pub fn folder_of(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{FOLDER}{process}"))
}

pub struct Pool {
    limits: ProcessLimits,
    waiting: Arc<Mutex<Vec<Waiting>>>,
    jobs: Sender<Job>,
}

/// A process nobody asks at the moment.
struct Waiting {
    child: Child,
    socket: StdUnixStream,
}

enum Job {
    /// There should be a process that waits.
    Spare,
    /// This one was killed or has ended.
    Bury(Child, Option<OwnedSemaphorePermit>),
    /// Nobody speaks to this one any more, so it ends by itself.
    AwaitEnd(Child),
}

impl Pool {
    /// # Errors
    /// If there can be no thread.
    pub fn new(limits: ProcessLimits, spares: usize) -> io::Result<Pool> {
        let waiting = Arc::new(Mutex::default());
        let (jobs, to_do) = channel();
        let spare = Arc::clone(&waiting);
        supervise::thread("queries", move || keep(&to_do, &spare, limits, spares))?;
        let pool = Pool {
            limits,
            waiting,
            jobs,
        };
        let _ = pool.jobs.send(Job::Spare);
        Ok(pool)
    }

    /// A process for one query.
    ///
    /// # Errors
    /// If none could be started.
    pub fn take(&self, turn: OwnedSemaphorePermit) -> io::Result<Process> {
        let Waiting { child, socket } = match self.waiting_one() {
            Some(it) => it,
            None => start(self.limits)?,
        };
        let _ = self.jobs.send(Job::Spare);
        let child = Some(Dying {
            child: Some(child),
            turn: Some(turn),
            jobs: self.jobs.clone(),
        });
        Ok(Process {
            socket: UnixStream::from_std(socket)?,
            child,
            limits: self.limits,
        })
    }

    /// Numbers of the processes that wait.
    #[cfg(test)]
    pub fn waiting_processes(&self) -> Vec<u32> {
        let waiting = locked(&self.waiting);
        waiting.iter().map(|it| it.child.id()).collect()
    }

    /// One that is still alive.
    fn waiting_one(&self) -> Option<Waiting> {
        loop {
            let mut one = locked(&self.waiting).pop()?;
            match one.child.try_wait() {
                Ok(None) => return Some(one),
                _ => drop(self.jobs.send(Job::Bury(one.child, None))),
            }
        }
    }

    /// Takes back a process that has answered and is as it was before; its turn is over.
    pub fn give_back(&self, process: Process) {
        let Process {
            socket, mut child, ..
        } = process;
        let Some(child) = child.as_mut().and_then(|it| it.child.take()) else {
            return;
        };
        let mut waiting = locked(&self.waiting);
        match socket.into_std() {
            Ok(socket) if waiting.len() < WAITING_MAX => waiting.push(Waiting { child, socket }),
            _ => drop(self.jobs.send(Job::Bury(child, None))),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for Waiting { child, socket } in locked(&self.waiting).drain(..) {
            drop(socket);
            let _ = self.jobs.send(Job::AwaitEnd(child));
        }
    }
}

fn locked(waiting: &Mutex<Vec<Waiting>>) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts spare processes and waits for the end of others, until there is no pool any more.
fn keep(jobs: &Receiver<Job>, waiting: &Mutex<Vec<Waiting>>, limits: ProcessLimits, spares: usize) {
    sweep();
    while let Ok(job) = jobs.recv() {
        match job {
            Job::AwaitEnd(mut child) => drop(child.wait()),
            Job::Bury(child, turn) => {
                bury(child);
                drop(turn);
            }
            Job::Spare => {
                while locked(waiting).len() < spares {
                    match start(limits) {
                        Ok(it) => locked(waiting).push(it),
                        Err(error) => {
                            tracing::warn!(%error, "could not start a spare query process");
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// Takes away what processes left behind that were killed together with their server.
fn sweep() {
    let entries = std::fs::read_dir(std::env::temp_dir());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|it| it.strip_prefix(FOLDER));
        let process = process.and_then(|it| it.parse::<u32>().ok());
        if process.is_some_and(|it| !Path::new(&format!("/proc/{it}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn bury(mut child: Child) {
    let folder = folder_of(child.id());
    let _ = child.kill();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(folder);
}

fn start(limits: ProcessLimits) -> io::Result<Waiting> {
    let (socket, theirs) = StdUnixStream::pair()?;
    let program = match Path::new(THIS_PROGRAM).exists() {
        true => PathBuf::from(THIS_PROGRAM),
        false => std::env::current_exe()?,
    };
    let mut command = Command::new(program);
    arguments(&mut command, limits);
    let child = command
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl+C is for the server, which then says what becomes of its queries.
        .process_group(0)
        .spawn()?;
    socket.set_nonblocking(true)?;
    Ok(Waiting { child, socket })
}

#[cfg(not(test))]
fn arguments(command: &mut Command, limits: ProcessLimits) {
    command.arg0("tidelake").args(limits.arguments());
}

/// The program is the test binary then: one of its tests is the query process.
#[cfg(test)]
fn arguments(command: &mut Command, limits: ProcessLimits) {
    let test = "sql::query::tests::a_query_process_of_the_tests";
    command
        .args([
            test,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(TEST_PROCESS, limits.arguments().join(" "));
}

/// Holds the arguments of a query process in tests.
#[cfg(test)]
pub const TEST_PROCESS: &str = "TIDELAKE_TEST_QUERY_PROCESS";

/// A child that is killed when it is dropped.
struct Dying {
    child: Option<Child>,
    turn: Option<OwnedSemaphorePermit>,
    jobs: Sender<Job>,
}

impl Drop for Dying {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let _ = child.kill();
        if let Err(unsent) = self.jobs.send(Job::Bury(child, self.turn.take()))
            && let Job::Bury(child, _) = unsent.0
        {
            bury(child);
        }
    }
}

/// A process that works on one query.
pub struct Process {
    socket: UnixStream,
    child: Option<Dying>,
    limits: ProcessLimits,
}

impl Process {
    pub async fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.send(&Frame::message(message)?).await
    }

    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        frame.send(&mut self.socket).await
    }

    pub async fn receive(&mut self) -> io::Result<Frame> {
        Frame::receive(&mut self.socket).await
    }

    pub async fn hear(&mut self) -> io::Result<FromProcess> {
        self.receive().await?.read_message()
    }

    /// Why it no longer speaks.
    pub async fn why(mut self, error: io::Error) -> QueryError {
        let Some(mut dying) = self.child.take() else {
            return QueryError::failed(error);
        };
        let limits = self.limits;
        let looked = supervise::blocking("looking after its process", move || {
            let Some(mut child) = dying.child.take() else {
                return QueryError::failed(error);
            };
            // If it is alive, what it said was wrong.
            let _ = child.kill();
            let status = child.wait();
            let mut words = Vec::new();
            if let Some(pipe) = child.stderr.take() {
                let _ = pipe.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut words);
            }
            let _ = std::fs::remove_dir_all(folder_of(child.id()));
            let words = String::from_utf8_lossy(&words).into_owned();
            drop(dying);
            error_of_end(
                &words,
                status.ok().and_then(|it| it.signal()),
                &error,
                limits,
            )
        });
        looked.await.unwrap_or_else(QueryError::failed)
    }
}

fn error_of_end(
    words: &str,
    signal: Option<i32>,
    error: &io::Error,
    limits: ProcessLimits,
) -> QueryError {
    if is_about_memory(words) {
        return QueryError::TooMuchMemory {
            limit_bytes: limits.memory_bytes,
        };
    }
    if words.contains("has overflowed its stack") {
        return QueryError::rejected("the query is nested too deeply")
            .with_hint("write parts of it as WITH name AS (…)");
    }
    let last = words.lines().rev().find(|it| !it.trim().is_empty());
    QueryError::failed(match (last, signal) {
        (Some(words), _) => format!("its process ended: {words}"),
        (None, Some(signal)) => format!("its process was ended by signal {signal}"),
        (None, None) => format!("its process could not be heard: {error}"),
    })
}
