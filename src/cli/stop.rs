//! `stop`: ends instances in order, from any shell.
//!
//! Only processes that are known by number and start are signalled. SIGTERM goes to the one that keeps the instance up, which passes it on and waits for
//! the last commit; where that one was killed, to those that it left behind.
//!
//! Exit codes: 0 nothing of what was named runs any more, and all of it was committed; 5 it ended without its last commit; 1 it still runs, or
//! ended otherwise. What was not running was not in the way: 0.

use super::exit;
use super::instance::{self, Found, Identified, Life, Record, State, identify};
use super::print::took;
use anyhow::{Context, Result};
use clap::Args;
use std::path::Path;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What was killed is gone after this.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Arguments {
    /// Name of the instance. [default: the only one that runs in the background]
    name: Option<String>,
    /// Stop all instances of this machine.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Seconds to wait for the last commit.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = super::ranges::within(super::ranges::TIMEOUT), allow_negative_numbers = true)]
    timeout: f64,
    /// Kill what has not ended by then. Nothing is lost: the next start reads again what no commit has.
    #[arg(long)]
    force: bool,
}

/// Stops what is named, one after the other, and says what it did.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let there: Vec<Found> = instance::all().into_iter().filter(runs).collect();
    let name = instance::named(arguments.name.as_deref()).filter(|_| !arguments.all);
    let chosen = match (arguments.all, &name) {
        (true, _) => there,
        (false, Some(_)) => instance::choose(there, name.as_deref())?
            .into_iter()
            .collect(),
        (false, None) => only_one(there)?.into_iter().collect(),
    };
    if chosen.is_empty() {
        println!("nothing to stop: {}", not_running(name.as_deref()));
        return Ok(());
    }
    let mut failures: Vec<anyhow::Error> = Vec::new();
    for found in chosen {
        match stop(&found, arguments).await {
            Ok(said) => println!("{said}"),
            Err(error) => failures.push(error),
        }
    }
    let last = failures.pop();
    for error in failures {
        eprintln!("error: {error:#}");
    }
    last.map_or(Ok(()), Err)
}

/// The only one in the background. Somebody may sit before one in the foreground, so it has to be named.
fn only_one(there: Vec<Found>) -> Result<Option<Found>> {
    let in_background = |it: &Found| it.record.as_ref().is_ok_and(|it| it.log.is_some());
    let (background, foreground): (Vec<_>, Vec<_>) = there.into_iter().partition(in_background);
    if let (true, false) = (background.is_empty(), foreground.is_empty()) {
        let names: Vec<&str> = foreground.iter().map(|it| it.name.as_str()).collect();
        return Err(exit::coded(
            exit::USAGE,
            format!(
                "nothing runs in the background; name what is to be stopped in the foreground: {}",
                names.join(", ")
            ),
        ));
    }
    instance::choose(background, None)
}

fn not_running(name: Option<&str>) -> String {
    let known = name.is_some_and(|name| instance::all().iter().any(|it| it.name == name));
    match (name, known) {
        (Some(name), true) => format!("{name} is not running"),
        (name, _) => instance::none_found(name),
    }
}

/// Whether there is something of it to stop, or it is elsewhere.
fn runs(found: &Found) -> bool {
    let of_record = |it: &Record| it.life() == Life::Lives || !it.living().is_empty();
    found.record.as_ref().is_ok_and(|it| {
        let is_elsewhere = it.life() == Life::Elsewhere && it.ended.is_none();
        of_record(it) || is_elsewhere
    })
}

async fn stop(found: &Found, arguments: &Arguments) -> Result<String> {
    let name = &found.name;
    let record = found
        .record
        .as_ref()
        .map_err(|it| anyhow::anyhow!("{it}"))?;
    if record.life() == Life::Elsewhere {
        let (host, pid) = (&record.holder.host, record.holder.pid);
        return Err(exit::coded(
            1,
            format!(
                "{name} was started in another container or on another machine ({host}, process {pid}); stop it there"
            ),
        ));
    }
    let began = Instant::now();
    let holder = identify(record.holder.pid, record.holder.started);
    let pid = record.holder.pid;
    let signalled = match &holder {
        Some(it) => it.signal(libc::SIGTERM),
        // They were told when the one that started them went; once more would end them without a commit.
        None => Ok(()),
    };
    signalled.with_context(|| format!("could not stop {name} (process {pid})"))?;
    let timeout = Duration::from_secs_f64(arguments.timeout);
    if wait_for_end(&found.folder, record, timeout).await {
        let took = took(began.elapsed());
        return ending(found, record, holder.is_some(), &took);
    }
    if !arguments.force {
        return Err(exit::coded(
            1,
            format!(
                "{name} (process {pid}) still runs after {}; it goes on ending. `tidelake logs {name}` says what it does, and --force kills it",
                took(timeout)
            ),
        ));
    }
    // The supervisor first, or it would start again what is killed.
    let processes = living(&found.folder, record);
    let number = processes.len() + usize::from(holder.is_some());
    let all = holder.into_iter().chain(processes);
    for process in all {
        process
            .signal(libc::SIGKILL)
            .with_context(|| format!("could not kill {name}"))?;
    }
    let gone = wait_for_end(&found.folder, record, KILLED_WITHIN).await;
    let gone = if gone {
        "killed"
    } else {
        "killed, and not yet gone"
    };
    Err(exit::coded(
        exit::UNCOMMITTED,
        format!(
            "{name} was {gone} after {} ({number} processes): what no commit has is read again at the next start",
            took(began.elapsed())
        ),
    ))
}

/// What is said of an end, by what the instance has noted of it.
fn ending(found: &Found, before: &Record, had_holder: bool, took: &str) -> Result<String> {
    let name = &found.name;
    let pid = before.holder.pid;
    let now = Found::at(found.folder.clone()).record.ok();
    // One in the foreground takes its folder with it when it ends in order.
    let ended = match &now {
        None => return Ok(stopped(name, pid, took)),
        Some(it) if it.holder != before.holder => return Ok(stopped(name, pid, took)),
        Some(it) => it.ended.as_ref(),
    };
    match ended {
        Some(it) if it.code == 0 => Ok(stopped(name, pid, took)),
        Some(it) => Err(exit::coded(
            it.code,
            format!("{name} (process {pid}) ended after {took}: {}", it.reason),
        )),
        None if !had_holder => Ok(format!(
            "the processes that {name} had left behind have ended after {took}"
        )),
        None if now.as_ref().is_some_and(|it| it.state == State::Restarting) => Ok(format!(
            "stopped {name} (process {pid}) after {took}, while it restarted; the next start goes on from its last commit"
        )),
        None if now.as_ref().is_some_and(|it| it.state == State::Starting) => Ok(format!(
            "stopped {name} (process {pid}) after {took}, before it had begun"
        )),
        None => Err(exit::coded(
            1,
            format!(
                "{name} (process {pid}) ended after {took} without saying how; what no commit has is read again at the next start"
            ),
        )),
    }
}

fn stopped(name: &str, pid: u32, took: &str) -> String {
    format!("stopped {name} (process {pid}) after {took}; all it had read is committed")
}

/// The processes of an instance that are there, also those that were started since its record was read.
fn living(folder: &Path, record: &Record) -> Vec<Identified> {
    let now = Found::at(folder.to_owned()).record.ok();
    let now = now.filter(|it| it.holder == record.holder);
    let processes = now.as_ref().unwrap_or(record).living();
    let identified = processes.iter().filter(|it| it.pid != record.holder.pid);
    identified
        .filter_map(|it| identify(it.pid, it.started))
        .collect()
}

async fn wait_for_end(folder: &Path, record: &Record, within: Duration) -> bool {
    let began = Instant::now();
    loop {
        if record.life() != Life::Lives && living(folder, record).is_empty() {
            return true;
        }
        if within < began.elapsed() {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
