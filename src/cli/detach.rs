//! `--detach`: a pipeline in the background.
//!
//! ```text
//! the shell ─ starter ─ registers the instance, waits until it is ready, says how to reach it, ends
//!                └─ supervisor (the same command line; lock and log of the instance) ─ restarts with back-off, turns the log
//!                      └─ process (the same command line; for `up` one `run` each)
//! ```
//!
//! All three are started with what was typed, in the same folder and environment; a variable says which part a process has. So nothing has to be
//! written anew as arguments, and what is valid in the foreground is in the background.

use super::command::Serving;
use super::exit;
use super::instance::{self, Found, Registered, State, Wanted};
use super::print::printable;
use super::probe::{Readiness, readiness, tolerant_client};
use super::up::{Cluster, up};
use crate::lake::Store;
use crate::plan::Dataflow;
use anyhow::{Context, Result};
use clap::Args;
use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Tells a process which part it has.
pub const PART_VARIABLE: &str = "TIDELAKE_PART";
pub const PART_PROCESS: &str = "process";
const PART_SUPERVISOR: &str = "supervisor";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a log is asked for to say why a start failed.
const LINES_MAX: usize = 12;
const READ_BYTES_MAX: u64 = 256 << 10;

#[derive(Args)]
pub struct InstanceArguments {
    /// Name by which status, logs and stop know it. [default: the name of the dataflow, or demo]
    #[arg(long, env = instance::NAME_VARIABLE, value_name = "NAME")]
    name: Option<String>,
    /// Run in the background, started again if a process is lost. Returns when it is ready.
    #[arg(short, long)]
    detach: bool,
    /// Seconds for which --detach waits until it is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = super::ranges::within(super::ranges::TIMEOUT), allow_negative_numbers = true)]
    ready_timeout: f64,
}

/// What this process has to do of a command that runs a pipeline.
pub enum Part {
    /// All of it, for the person who typed it.
    Foreground,
    /// Start it in the background.
    Starter,
    /// Keep it up in the background.
    Supervisor(Box<Registered>),
    /// The work, for a supervisor.
    Process,
}

impl InstanceArguments {
    /// The part of this process.
    ///
    /// # Errors
    /// If it is that of a supervisor and the instance is not there.
    pub fn part(&self) -> Result<Part> {
        let told = std::env::var_os(PART_VARIABLE).unwrap_or_default();
        if told == PART_PROCESS {
            return Ok(Part::Process);
        }
        let inherited = told
            .as_bytes()
            .strip_prefix(PART_SUPERVISOR.as_bytes())
            .and_then(|it| it.strip_prefix(b":"));
        if let Some(inherited) = inherited {
            let mut parts = inherited.splitn(2, |it| *it == b':');
            let number = parts
                .next()
                .and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
            let folder = parts.next().map(|it| OsString::from_vec(it.to_vec()));
            let (number, folder) = number.zip(folder).with_context(|| {
                format!("{PART_VARIABLE} is not understood; it is not to be set by hand")
            })?;
            let registered = Registered::inherited(number, PathBuf::from(folder))?;
            return Ok(Part::Supervisor(Box::new(registered)));
        }
        Ok(match self.detach {
            true => Part::Starter,
            false => Part::Foreground,
        })
    }

    /// The instance that a command is to be.
    ///
    /// # Errors
    /// If the lake has no address.
    pub fn wanted(
        &self,
        command: &'static str,
        dataflow: &Dataflow,
        lake: &str,
        shares_lake: bool,
    ) -> Result<Wanted> {
        Ok(Wanted {
            name: self.name.clone(),
            base: dataflow.name.clone(),
            command,
            dataflow: dataflow.name.clone(),
            is_named: dataflow.is_named,
            lake: address_of(lake)?,
            shares_lake,
            has_log: self.detach,
        })
    }
}

/// The address by which a lake is known, however it is named. Makes nothing: what runs may still be refused.
fn address_of(lake: &str) -> Result<String> {
    let folder = lake.strip_prefix("file://").unwrap_or(lake);
    if folder.contains("://") {
        return Ok(Store::open(lake)?.url.to_string());
    }
    let folder =
        std::path::absolute(folder).with_context(|| format!("{lake:?} is no folder for a lake"))?;
    // Of a folder that is not there yet those above it count.
    let there = folder
        .ancestors()
        .find_map(|it| Some((it, it.canonicalize().ok()?)));
    let folder = match &there {
        Some((above, canonical)) => {
            canonical.join(folder.strip_prefix(above).unwrap_or(Path::new("")))
        }
        None => folder.clone(),
    };
    let url = url::Url::from_directory_path(&folder);
    Ok(url.map_or_else(|()| folder.display().to_string(), |it| it.to_string()))
}

/// This program, as it can be typed again.
pub fn program() -> String {
    let program = std::env::args_os().next();
    program.map_or_else(
        || "tidelake".to_owned(),
        |it| it.to_string_lossy().into_owned(),
    )
}

/// Registers an instance in the foreground. Where there is no place for its folder it runs all the same, and only other shells do not know of it.
///
/// # Errors
/// If it runs already, or its name is taken.
pub fn registered(wanted: &Wanted) -> Result<Option<Registered>> {
    match instance::register(wanted) {
        Ok(it) => Ok(Some(it)),
        Err(error) if exit::code(&error) == 1 => {
            tracing::warn!("`tidelake status` and `stop` will not know of this process: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Runs what keeps an instance up, and notes its end.
///
/// # Errors
/// As [`up`].
pub async fn supervise(cluster: &Cluster, registered: Registered) -> Result<()> {
    let result = up(cluster, Some(&registered)).await;
    registered.ended(&result);
    result
}

/// The only process of an instance, as a supervisor starts it: by the command line that this process has.
pub fn this_command(serving: &Serving) -> Cluster {
    Cluster {
        processes: 1,
        is_cluster: false,
        listen: serving.address(),
        scheme: serving.access.scheme(),
        secret_file: None,
        arguments: std::env::args_os().skip(1).collect(),
        // As typed; a process that was started again does not.
        take_over: false,
    }
}

/// Starts an instance in the background and waits until it is ready. `more` are further lines of what can be done with it.
///
/// # Errors
/// With the exit code of what has failed, if it ends before it is ready; it is not there any more then. If it is not ready in time it is, and goes on.
pub async fn start(wanted: &Wanted, serving: &Serving, more: &[(&str, String)]) -> Result<()> {
    let (address, scheme) = (serving.address(), serving.access.scheme());
    if address.port() == 0 {
        return Err(exit::coded(
            exit::USAGE,
            "--detach needs a port that stays the same after a restart: give one with --listen",
        ));
    }
    let registered = instance::register(wanted)?;
    let path = registered.log().context("an instance without a log")?;
    // What its first process would say a moment later.
    let begun = match super::serve::listen(&address).await {
        Ok(free) => {
            drop(free);
            begin(&registered, &path)
        }
        Err(error) => Err(error),
    };
    let (mut child, log_from) = match begun {
        Ok(it) => it,
        Err(error) => {
            let result = Err(error);
            registered.ended(&result);
            return result;
        }
    };
    let name = registered.name();
    let folder = registered.folder().to_owned();
    // From here on the supervisor has the lock, and writes what there is to tell.
    drop(registered);
    let read = || Found::at(folder.clone()).record.ok();
    let within = Duration::from_secs_f64(serving.instance.ready_timeout);
    let program = program();
    let began = Instant::now();
    let url = instance::url_of(scheme, address);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(status) = child.try_wait()? {
            let said = why(&path, log_from)?;
            return Err(exit::coded(
                code_of(status),
                format!(
                    "{name} did not start:\n{said}\nits log is {}",
                    path.display()
                ),
            ));
        }
        if read().is_some_and(|it| it.state == State::Running && it.holder.pid == child.id()) {
            break;
        }
        if within < began.elapsed() {
            let why = match readiness(&tolerant_client()?, &url, LOOK_EVERY * 20).await {
                Readiness::Ready { .. } => "its last process is starting".to_owned(),
                Readiness::NotReady(why) | Readiness::Silent(why) => why,
            };
            return Err(exit::coded(
                1,
                format!(
                    "{name} (process {}) is not ready after {:.0} s, and goes on in the background: {why}\n  log     {program} logs {name} -f\n  stop    {program} stop {name}",
                    child.id(),
                    within.as_secs_f64()
                ),
            ));
        }
    }
    println!(
        "{name} runs in the background: process {}, {url}",
        child.id()
    );
    let lake = (!more.iter().any(|it| it.0 == "lake")).then(|| ("lake", wanted.lake.clone()));
    let own = [
        ("status", format!("{program} status {name}")),
        ("log", format!("{program} logs {name} -f")),
        ("stop", format!("{program} stop {name}")),
    ];
    for (what, how) in lake.iter().chain(more).chain(&own) {
        println!("  {what:<9} {how}");
    }
    Ok(())
}

/// Starts the supervisor of an instance, in a session of its own, with the log as all that it can write to. Tells where in the log it begins.
fn begin(registered: &Registered, path: &Path) -> Result<(std::process::Child, u64)> {
    let log = instance::open_log(path)
        .with_context(|| format!("could not open the log {}", path.display()))?;
    let log_from = log.metadata()?.len();
    let descriptor = registered.descriptor();
    let mut part = OsString::from(format!("{PART_SUPERVISOR}:{descriptor}:"));
    part.push(registered.folder());
    let program = std::env::current_exe().context("could not find the own program")?;
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env(PART_VARIABLE, part)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // SAFETY: both calls are async-signal-safe and touch nothing of ours: the child leaves the terminal, and keeps the lock when it becomes the
    // program.
    unsafe {
        command.pre_exec(move || {
            let done = libc::setsid() != -1 && libc::fcntl(descriptor, libc::F_SETFD, 0) != -1;
            match done {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let child = command
        .spawn()
        .context("could not start the process in the background")?;
    Ok((child, log_from))
}

/// As a shell tells it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|it| 128 + it));
    // An end in order before it was ready is none that was asked for here.
    let code = code.and_then(|it| u8::try_from(it).ok());
    code.filter(|it| *it != 0).unwrap_or(1)
}

/// What a log says since some place of why a start failed: the error of the process, or else its last lines.
fn why(path: &Path, from: u64) -> Result<String> {
    let mut file = std::fs::File::open(path)
        .with_context(|| format!("could not read the log {}", path.display()))?;
    let end = file.seek(SeekFrom::End(0))?;
    let from = if from <= end { from } else { 0 };
    file.seek(SeekFrom::Start(
        from.max(end.saturating_sub(READ_BYTES_MAX)),
    ))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(error_in(&String::from_utf8_lossy(&bytes)))
}

fn error_in(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The supervisor's own error comes last, and only points at that of a process.
    let without_prefix = |it: &str| match it.strip_prefix('[').and_then(|it| it.split_once("] ")) {
        Some((number, rest)) if number.parse::<u16>().is_ok() => rest.to_owned(),
        Some(_) | None => it.to_owned(),
    };
    let lines: Vec<String> = lines.into_iter().map(without_prefix).collect();
    let is_log = |it: &str| {
        it.split_once('T')
            .is_some_and(|it| it.0.len() == 10 && it.0.starts_with(|it: char| it.is_ascii_digit()))
    };
    let is_ours = |it: &String| it.starts_with("error: process ");
    let begin = lines
        .iter()
        .position(|it| it.starts_with("error: ") && !is_ours(it));
    let said = match begin {
        Some(begin) => {
            let behind = lines[begin + 1..].iter();
            let length = behind
                .take_while(|it| !is_log(it) && !it.starts_with("error: "))
                .count();
            &lines[begin..=begin + length]
        }
        None => {
            let end = lines.iter().position(is_ours).unwrap_or(lines.len());
            &lines[end.saturating_sub(LINES_MAX)..end]
        }
    };
    let said = said.iter().take(LINES_MAX);
    let said = said.map(|it| format!("  {}", printable(it.strip_prefix("error: ").unwrap_or(it))));
    said.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_the_process_is_told() {
        let log = "2026-11-29T21:00:00.1Z  INFO cluster started\n[0] 2026-11-29T21:00:01Z  INFO starting\n[0] error: could not listen on 127.0.0.1:80\n[0]   it is in use\n2026-11-29T21:00:02Z ERROR a process ended\nerror: process 0 cannot run\n";
        assert_eq!(
            error_in(log),
            "  could not listen on 127.0.0.1:80\n    it is in use"
        );
        assert_eq!(
            error_in("error: only this\n\u{1b}[2J\n"),
            "  only this\n  \\u{1b}[2J"
        );
        let lines: String = (0..30).map(|it| format!("line {it}\n")).collect();
        let told = error_in(&lines);
        assert_eq!(told.lines().count(), LINES_MAX);
        assert!(told.ends_with("  line 29"), "{told}");
        assert_eq!(error_in(""), "");
        let panic = "2026-11-29T21:00:00.1Z ERROR committer failed: odd\nerror: process 0 ended before it was ready\n";
        assert_eq!(
            error_in(panic),
            "  2026-11-29T21:00:00.1Z ERROR committer failed: odd"
        );
    }

    #[test]
    fn a_lake_has_one_address() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("data/lake");
        let text = lake.display().to_string();
        let address = address_of(&text).unwrap();
        assert!(!lake.exists(), "nothing is made");
        assert_eq!(address_of(&format!("file://{text}")).unwrap(), address);
        assert_eq!(address_of(&format!("{text}/")).unwrap(), address);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let through = link.join("data/lake").display().to_string();
        assert_eq!(address_of(&through).unwrap(), address);
        assert_eq!(Store::open(&text).unwrap().url.to_string(), address);
        assert_eq!(address_of(&text).unwrap(), address, "now it is there");
    }

    #[test]
    fn an_end_by_a_signal_is_a_code() {
        for (raw, expect) in [(3 << 8, 3), (9, 137), (0, 1)] {
            assert_eq!(code_of(ExitStatus::from_raw(raw)), expect);
        }
    }
}
