//! The supervisor: starts the processes of an instance on this machine and keeps them up. It is `up`, and what `--detach` leaves in the background.
//!
//! The unit of failure is the whole cluster: when one process ends, the others end by themselves, and all are started again
//! from the last commit, later each time it happens soon again. A process that says that its settings or its
//! dataflow are wrong is not started again. What runs and how often it was started again is noted in the folder of the instance.

use super::detach::{PART_PROCESS, PART_VARIABLE};
use super::exit;
use super::instance::{self, LastEnd, LogFiles, Registered, State};
use crate::auth::Token;
use crate::model::{Epoch, wall_ms};
use crate::supervise;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// First pause before a restart; doubled each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A cluster that was up so long starts with the first pause again.
const GOOD_AFTER: Duration = Duration::from_secs(60);
/// The others end by themselves within this time when one is lost; then they are killed.
const END_WITHIN: Duration = Duration::from_secs(6);
/// After a request to stop, a last commit may take so long.
const STOP_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Tells a process how often all were started again, and why the last time.
pub const RESTARTS_VARIABLE: &str = "TIDELAKE_RESTARTS";
pub const LAST_END_VARIABLE: &str = "TIDELAKE_LAST_END";

/// What to start.
pub struct Cluster {
    pub processes: usize,
    /// Whether they are processes of a cluster, each started as the `run` of one; otherwise the only one is started as it stands.
    pub is_cluster: bool,
    /// Address of process 0; each further one has the next port.
    pub listen: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The secret by which the processes know each other; each start makes one of its own if there is none.
    pub secret_file: Option<PathBuf>,
    /// The command line of each process, without what differs between them.
    pub arguments: Vec<OsString>,
    /// Whether the first start of a cluster takes the lake from its holder.
    pub take_over: bool,
}

/// A stop after which not all was as it should be.
#[derive(Debug, thiserror::Error)]
#[error("not all processes stopped cleanly: {}", .processes.join("; "))]
pub struct Unclean {
    processes: Vec<String>,
    /// For the shell: that of a process that could not make its last commit, if there is one.
    pub code: u8,
}

struct Process {
    number: usize,
    child: Child,
}

/// Runs until told to stop, or until a restart would be in vain. In the background somebody waits for the first start, so that one that fails ends
/// all.
pub async fn up(cluster: &Cluster, registered: Option<&Registered>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let kept = |files| Kept {
        cluster,
        files,
        registered,
        log: registered
            .and_then(Registered::log)
            .map(|it| Arc::new(LogFiles::of_stderr(it))),
    };
    if !cluster.is_cluster {
        return keep_up(&kept(None), &mut interrupt, &mut terminate).await;
    }
    // A name that nobody can have taken, also not a process with this number that was killed.
    let name = Token::random().context("the system has no randomness to give")?;
    let folder = std::env::temp_dir().join(format!("tidelake-up-{}", &name.as_str()[3..19]));
    // The secret lies in it.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    let result = match secret(cluster, &folder) {
        Ok(secret) => {
            let files = Files {
                hosts: folder.join("hosts"),
                secret,
            };
            keep_up(&kept(Some(files)), &mut interrupt, &mut terminate).await
        }
        Err(error) => Err(error),
    };
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// What the processes of a cluster find each other by.
struct Files {
    hosts: PathBuf,
    secret: PathBuf,
}

/// What is kept up, and what it needs beside its command lines.
struct Kept<'a> {
    cluster: &'a Cluster,
    /// Of a cluster.
    files: Option<Files>,
    /// Where other shells are told of it.
    registered: Option<&'a Registered>,
    /// The log that standard error goes into, in the background.
    log: Option<Arc<LogFiles>>,
}

impl Kept<'_> {
    fn note(&self, change: impl FnOnce(&mut instance::Record)) {
        if let Some(it) = self.registered {
            it.update(change);
        }
    }
}

/// The file with the cluster's secret: the one that was named, or one that is made.
fn secret(cluster: &Cluster, folder: &Path) -> Result<PathBuf> {
    if let Some(path) = &cluster.secret_file {
        return Ok(path.clone());
    }
    let path = folder.join("secret");
    let secret = Token::random().context("the system has no randomness to give")?;
    std::fs::write(&path, secret.as_str())
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

async fn keep_up(kept: &Kept<'_>, interrupt: &mut Signal, terminate: &mut Signal) -> Result<()> {
    let cluster = kept.cluster;
    let mut restarts = 0u32;
    let mut last_end: Option<LastEnd> = None;
    let mut pause = PAUSE;
    let mut was_ever_ready = false;
    loop {
        let started = Instant::now();
        let mut processes = start_all(kept, restarts, last_end.as_ref())?;
        let told = processes.iter().map(|it| {
            let url = instance::url_of(cluster.scheme, address(cluster, it.number)?);
            Ok(instance::child(it.number, it.child.id(), url))
        });
        let told: Vec<instance::Process> = told.collect::<Result<_>>()?;
        kept.note(|it| {
            it.processes = told;
            it.state = State::Starting;
            it.restarts = restarts;
            it.last_end.clone_from(&last_end);
        });
        tracing::info!(
            processes = cluster.processes,
            restarts,
            "cluster started; process 0 will serve {}://{}/",
            cluster.scheme,
            cluster.listen
        );
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut ready = false;
        let (number, status) = loop {
            tokio::select! {
                _ = interrupt.recv() => return stop_all(kept, &mut processes).await,
                _ = terminate.recv() => return stop_all(kept, &mut processes).await,
                _ = look.tick() => {}
            }
            if let Some(ended) = first_ended(&mut processes)? {
                break ended;
            }
            if !ready && all_ready(cluster).await {
                ready = true;
                was_ever_ready = true;
                tracing::info!(
                    seconds = started.elapsed().as_secs_f64(),
                    "all processes are ready"
                );
                kept.note(|it| it.state = State::Running);
            }
        };
        let code = status.code().and_then(|it| u8::try_from(it).ok());
        if let Some(code) = code.filter(|it| exit::HOPELESS.contains(it)) {
            end_all(&mut processes).await?;
            return Err(exit::coded(
                code,
                format!(
                    "process {number} cannot run ({status}), and would not run the next time; what it said is above"
                ),
            ));
        }
        if kept.log.is_some() && !was_ever_ready {
            end_all(&mut processes).await?;
            return Err(exit::coded(
                code.filter(|it| *it != 0).unwrap_or(1),
                format!(
                    "process {number} ended before it was ready for the first time ({status}); what it said is above"
                ),
            ));
        }
        tracing::error!(process = number, %status, "a process ended; all will be started again");
        last_end = Some(LastEnd {
            process: number,
            at_ms: wall_ms(),
            how: status.to_string(),
        });
        kept.note(|it| {
            it.state = State::Restarting;
            it.last_end.clone_from(&last_end);
        });
        end_all(&mut processes).await?;
        if GOOD_AFTER < started.elapsed() {
            pause = PAUSE;
        }
        restarts += 1;
        tracing::info!(restarts, pause_ms = pause.as_millis() as u64, "restarting");
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn start_all(kept: &Kept<'_>, restarts: u32, last_end: Option<&LastEnd>) -> Result<Vec<Process>> {
    let cluster = kept.cluster;
    if let Some(Files { hosts, .. }) = &kept.files {
        std::fs::write(hosts, free_addresses(cluster.processes)?.join("\n"))
            .with_context(|| format!("could not write {}", hosts.display()))?;
    }
    let program = super::restart::program();
    (0..cluster.processes)
        .map(|number| {
            let mut command = Command::new(&program);
            command.args(&cluster.arguments);
            if let Some(Files { hosts, secret }) = &kept.files {
                command
                    .args(["--process", &number.to_string()])
                    .arg("--hosts")
                    .arg(hosts)
                    .arg("--cluster-secret-file")
                    .arg(secret)
                    .args(["--listen", &address(cluster, number)?.to_string()])
                    .args((cluster.take_over && restarts == 0).then_some("--take-over"));
            }
            command
                .env(PART_VARIABLE, PART_PROCESS)
                .env(RESTARTS_VARIABLE, restarts.to_string())
                .env(
                    LAST_END_VARIABLE,
                    last_end.map(in_words).unwrap_or_default(),
                )
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                // Signals from the terminal come through us, in order.
                .process_group(0);
            // SAFETY: prctl is async-signal-safe and touches nothing of ours; it makes the child end when we are killed.
            unsafe {
                command.pre_exec(
                    || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    },
                );
            }
            let mut child = command
                .spawn()
                .with_context(|| format!("could not start process {number}"))?;
            if let Some(said) = child.stderr.take() {
                let prefix = match cluster.is_cluster {
                    true => format!("[{number}] "),
                    false => String::new(),
                };
                let log = kept.log.clone();
                // A line that is not text, or a log that nobody reads any more, must not keep the process from writing on.
                supervise::thread(format!("log-{number}"), move || {
                    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
                        let line = format!("{prefix}{}\n", String::from_utf8_lossy(&line));
                        let _ = std::io::stderr().write_all(line.as_bytes());
                        if let Some(log) = &log {
                            log.turn_if_long();
                        }
                    }
                })?;
            }
            Ok(Process { number, child })
        })
        .collect()
}

fn in_words(it: &LastEnd) -> String {
    let at = Epoch(it.at_ms).iso();
    format!("process {} ended at {at} ({})", it.process, it.how)
}

fn address(cluster: &Cluster, number: usize) -> Result<SocketAddr> {
    let port = usize::from(cluster.listen.port()) + number;
    let port = u16::try_from(port).context("there are not so many ports after that of --listen")?;
    Ok(SocketAddr::new(cluster.listen.ip(), port))
}

/// Loopback addresses that were free a moment ago.
fn free_addresses(count: usize) -> Result<Vec<String>> {
    let listeners = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<Vec<_>>>()?;
    listeners
        .iter()
        .map(|it| Ok(it.local_addr()?.to_string()))
        .collect()
}

fn first_ended(processes: &mut [Process]) -> Result<Option<(usize, ExitStatus)>> {
    for process in processes {
        if let Some(status) = process.child.try_wait()? {
            return Ok(Some((process.number, status)));
        }
    }
    Ok(None)
}

async fn all_ready(cluster: &Cluster) -> bool {
    // Our own processes, asked by address and told nothing: their certificate names others.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    let Ok(client) = client.build() else {
        return false;
    };
    for number in 0..cluster.processes {
        let Ok(address) = address(cluster, number) else {
            return false;
        };
        let asked = client
            .get(format!("{}://{address}/readyz", cluster.scheme))
            .timeout(Duration::from_secs(1))
            .send();
        if !asked.await.is_ok_and(|it| it.status().is_success()) {
            return false;
        }
    }
    true
}

/// Waits until all have ended by themselves, and kills what has not after a while.
async fn end_all(processes: &mut [Process]) -> Result<()> {
    let deadline = Instant::now() + END_WITHIN;
    for process in processes.iter_mut() {
        while process.child.try_wait()?.is_none() {
            if deadline < Instant::now() {
                tracing::warn!(process = process.number, "killed: it did not end by itself");
                process.child.kill()?;
                process.child.wait()?;
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Asks all to stop, and waits for their last commit.
async fn stop_all(kept: &Kept<'_>, processes: &mut [Process]) -> Result<()> {
    tracing::info!("stopping all processes");
    kept.note(|it| it.state = State::Stopping);
    for process in processes.iter() {
        let pid = libc::pid_t::try_from(process.child.id()).context("a process id")?;
        // SAFETY: a signal to a child of ours that was not waited for yet.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
    let deadline = Instant::now() + STOP_WITHIN;
    let (mut unclean, mut code) = (Vec::new(), 1);
    for process in processes.iter_mut() {
        loop {
            match process.child.try_wait()? {
                Some(status) if status.success() => break,
                // It was still starting, and listens for the signal only then: what it may have read, the next start reads again.
                Some(status) if status.signal() == Some(libc::SIGTERM) => break,
                Some(status) => {
                    if status.code() == Some(exit::UNCOMMITTED.into()) {
                        code = exit::UNCOMMITTED;
                    }
                    unclean.push(format!("process {}: {status}", process.number));
                    break;
                }
                None if deadline < Instant::now() => {
                    process.child.kill()?;
                    process.child.wait()?;
                    unclean.push(format!("process {} did not stop in time", process.number));
                    break;
                }
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
    if !unclean.is_empty() {
        return Err(Unclean {
            processes: unclean,
            code,
        }
        .into());
    }
    tracing::info!("all processes stopped; the next start goes on from here");
    Ok(())
}
