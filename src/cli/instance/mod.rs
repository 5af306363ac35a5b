//! Instances: pipelines that run on this machine, and how other shells know of them.
//!
//! ```text
//! STATE/tidelake/instances/NAME/lock          held by the process that keeps the instance up
//!                              /record.json   what runs: processes, lake, address, restarts
//!                              /log, log.1 …  what it says, if it runs in the background
//! ```
//!
//! STATE is `$XDG_STATE_HOME` or `~/.local/state`; where neither can be written, as in many containers, a folder of the user below the one for temporary
//! files. `$TIDELAKE_STATE_DIR` takes the place of STATE/tidelake.
//!
//! The lock decides who may have a name, and the system lets go of it when its holder ends, however that happens. Whether an
//! instance lives is decided by its process: number, start and boot. So nobody has to clean up after a crash, and a number that was given to
//! another process is not mistaken. None of this keeps a lake whole; manifests do.
//!
//! An instance in the foreground takes its folder with it when it ends in order. One in the background leaves log and record.

mod log_files;
mod process;
mod record;
#[cfg(test)]
mod tests;

pub use log_files::{Follower, LogFiles, last_lines, open as open_log};
pub use process::{Identified, identify};
pub use record::{Ended, LastEnd, Life, Process, Record, State};

use super::exit;
use crate::coordinator::{self, started, this_process};
use crate::model::{secret, wall_ms};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Takes the place of the folder in which instances, and nothing else, are looked for.
pub const STATE_VARIABLE: &str = "TIDELAKE_STATE_DIR";
/// The name of the instance that a command is about, if none is given.
pub const NAME_VARIABLE: &str = "TIDELAKE_INSTANCE";
const RECORD: &str = "record.json";
const LOCK: &str = "lock";
const LOG: &str = "log";
const NAME_CHARACTERS_MAX: usize = 64;
/// Instances of one dataflow that get a name of their own without being given one.
const NUMBERED_MAX: usize = 100;
/// An instance that ended so long ago is forgotten when the next one begins.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(14 * 86_400);
/// How often a folder is made anew that another process is just removing.
const TRIES: usize = 10;

/// What is about to run.
pub struct Wanted {
    /// The name it was given.
    pub name: Option<String>,
    /// The one it has otherwise, if it is free: with a number behind it if not.
    pub base: String,
    /// `run`, `up` or `demo`.
    pub command: &'static str,
    pub dataflow: String,
    /// Whether the dataflow says itself what it is called in a lake; otherwise it is the lake's only one.
    pub is_named: bool,
    pub lake: String,
    /// Whether others may hold the lake: it is taken from them, or they are processes of the same cluster.
    pub shares_lake: bool,
    /// Whether it runs in the background and needs a log.
    pub has_log: bool,
}

/// The instance that this process keeps up.
pub struct Registered {
    folder: PathBuf,
    /// Held until the process ends.
    lock: File,
    record: Mutex<Record>,
}

/// An instance as it is found.
#[derive(Debug)]
pub struct Found {
    pub folder: PathBuf,
    pub name: String,
    /// What it says of itself, or why that is not understood.
    pub record: Result<Record, String>,
}

/// Registers an instance before it runs.
///
/// # Errors
/// With the exit code of a lake that is held, if it runs already, or its name is taken; with that of a wrong usage, if it cannot have the name.
/// With another one if there is no place for its folder.
pub fn register(wanted: &Wanted) -> Result<Registered> {
    register_in(&roots(), wanted)
}

fn register_in(roots: &[PathBuf], wanted: &Wanted) -> Result<Registered> {
    if let Some(name) = &wanted.name {
        check_name(name).map_err(|it| exit::coded(exit::USAGE, it))?;
    }
    let root = roots.iter().find(|it| private_folder(it).is_ok());
    let root = root.with_context(|| {
        let places = roots.iter().map(|it| it.display().to_string());
        let places: Vec<String> = places.collect();
        format!(
            "there is no folder for instances: {} cannot be written; name one in ${STATE_VARIABLE}",
            places.join(", ")
        )
    })?;
    if let Some(registered) = resumed(roots, wanted)? {
        return Ok(registered);
    }
    forget_old(root);
    if !wanted.shares_lake
        && let Some(other) = all_in(roots).into_iter().find(|it| it.runs(wanted))
    {
        return Err(already_runs(&other, wanted));
    }
    let names = match &wanted.name {
        Some(name) => vec![name.clone()],
        None => {
            let base = name_of(&wanted.base);
            let numbered = (2..=NUMBERED_MAX).map(|it| format!("{base}-{it}"));
            std::iter::once(base.clone()).chain(numbered).collect()
        }
    };
    for name in &names {
        let folder = root.join(name);
        let lock = hold(&folder)
            .with_context(|| format!("could not make the instance folder {}", folder.display()))?;
        // A process that restarts in place has let go of its lock for a moment, and not of its name.
        if let Some(lock) = lock.filter(|_| !Found::at(folder.clone()).restarts()) {
            let record = wanted.record(name, &folder);
            let registered = Registered {
                folder,
                lock,
                record: Mutex::new(record),
            };
            registered.write()?;
            return Ok(registered);
        }
    }
    Err(name_is_taken(root, &names[0]))
}

/// The instance that this process was before it restarted in place, if it did: with its name, and what was noted of it since it began.
fn resumed(roots: &[PathBuf], wanted: &Wanted) -> Result<Option<Registered>> {
    let is_ours = |it: &Found| {
        let record = it.record.as_ref();
        it.restarts() && record.is_ok_and(|it| it.holder == this_process())
    };
    let Some(found) = all_in(roots).into_iter().find(is_ours) else {
        return Ok(None);
    };
    let lock = hold(&found.folder)
        .with_context(|| format!("could not go on in {}", found.folder.display()))?;
    let (Some(lock), Ok(before)) = (lock, found.record) else {
        return Ok(None);
    };
    let record = Record {
        began_ms: before.began_ms,
        ..wanted.record(&found.name, &found.folder)
    };
    let registered = Registered {
        folder: found.folder,
        lock,
        record: Mutex::new(record),
    };
    registered.write()?;
    Ok(Some(registered))
}

impl Wanted {
    fn record(&self, name: &str, folder: &Path) -> Record {
        let shown = |it: std::ffi::OsString| secret::redact(&it.to_string_lossy()).into_owned();
        Record {
            format: record::FORMAT,
            name: name.to_owned(),
            command: self.command.to_owned(),
            command_line: std::env::args_os().map(shown).collect(),
            folder: std::env::current_dir().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dataflow: self.dataflow.clone(),
            lake: secret::redact(&self.lake).into_owned(),
            holder: this_process(),
            began_ms: wall_ms(),
            log: self.has_log.then(|| folder.join(LOG)),
            state: State::Starting,
            restarts: 0,
            last_end: None,
            processes: Vec::new(),
            ended: None,
        }
    }
}

/// The lake and the dataflow are held by an instance; in the words of a lake that is held.
fn already_runs(other: &Found, wanted: &Wanted) -> anyhow::Error {
    let name = &other.name;
    let pid = other.record.as_ref().map_or(0, |it| it.holder.pid);
    let held = coordinator::Error::Held {
        lake: secret::redact(&wanted.lake).into_owned(),
        dataflow: wanted.dataflow.clone(),
        by: format!("process {pid} of this machine, instance {name} (`tidelake stop {name}`)"),
    };
    held.into()
}

fn name_is_taken(root: &Path, name: &str) -> anyhow::Error {
    let what = match Found::at(root.join(name)).record {
        Ok(it) => format!(
            "process {} of dataflow {:?} on {}",
            it.holder.pid, it.dataflow, it.lake
        ),
        Err(_) => "a process that is just starting".to_owned(),
    };
    exit::coded(
        exit::HELD,
        format!(
            "instance {name} runs already: {what}; stop it (`tidelake stop {name}`), or give this one another --name"
        ),
    )
}

impl Registered {
    pub fn name(&self) -> String {
        self.record().name.clone()
    }

    pub fn log(&self) -> Option<PathBuf> {
        self.record().log.clone()
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what has changed. That it could not be written is told, and changes nothing else.
    pub fn update(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record());
        if let Err(error) = self.write() {
            tracing::warn!(
                "other shells are not told how this instance is: {error:#}; its folder is {}",
                self.folder.display()
            );
        }
    }

    /// Written beside and moved, so that a reader finds one of them whole.
    fn write(&self) -> Result<()> {
        let record = self.record();
        let path = self.folder.join(RECORD);
        let beside = self.folder.join("record.new");
        let text = serde_json::to_vec_pretty(&*record)?;
        let written = private_file(&beside).and_then(|mut it| it.write_all(&text));
        let moved = written.and_then(|()| std::fs::rename(&beside, &path));
        moved.with_context(|| format!("could not write {}", path.display()))
    }

    /// Notes the end of all that ran, with what it is for the shell.
    pub fn ended(self, result: &Result<()>) {
        let (code, reason) = match result {
            Ok(()) => (0, String::new()),
            Err(error) => (
                exit::code(error),
                secret::redact(&format!("{error:#}")).into_owned(),
            ),
        };
        let leaves_nothing = {
            let record = self.record();
            let says_nothing = record.log.as_ref().is_none_or(|it| !it.exists());
            // One that never ran has said why where it was started.
            says_nothing && (code == 0 || record.processes.is_empty())
        };
        self.update(|it| {
            it.state = State::Ended;
            it.ended = Some(Ended {
                at_ms: wall_ms(),
                code,
                reason,
            });
        });
        if leaves_nothing {
            remove(&self.folder);
        }
    }

    /// The descriptor of the lock, for a process that is to keep the instance up in the place of this one.
    pub fn descriptor(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    /// The folder, by which that process finds it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes over an instance from the process that has registered it and started this one.
    ///
    /// # Errors
    /// If its record is not there.
    pub fn inherited(descriptor: RawFd, folder: PathBuf) -> Result<Self> {
        // SAFETY: who has started this process has left the descriptor open for it, and nobody else here knows its number.
        let lock = unsafe { File::from_raw_fd(descriptor) };
        // SAFETY: a descriptor of ours; processes that are started from here have no part in the lock.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        let record = Found::at(folder.clone()).record;
        let record = record.map_err(|it| anyhow::anyhow!("{}: {it}", folder.display()))?;
        let registered = Registered {
            folder,
            lock,
            record: Mutex::new(record),
        };
        registered.update(|it| it.holder = this_process());
        Ok(registered)
    }
}

impl Found {
    /// What there is in an instance folder.
    pub fn at(folder: PathBuf) -> Self {
        let name = folder.file_name().map(|it| it.to_string_lossy());
        Found {
            name: name.map(Into::into).unwrap_or_default(),
            record: read(&folder.join(RECORD)),
            folder,
        }
    }

    /// Whether it is there as far as this machine can tell.
    pub fn lives(&self) -> bool {
        self.record
            .as_ref()
            .is_ok_and(|it| it.life() == Life::Lives)
    }

    /// Whether its process is about to become a new one in its place.
    fn restarts(&self) -> bool {
        self.lives()
            && self.record.as_ref().is_ok_and(|it| {
                it.state == State::Restarting
                    && it.processes.iter().any(|of| of.pid == it.holder.pid)
            })
    }

    /// How long ago it last noted something, if that is known.
    pub fn age(&self) -> Option<Duration> {
        let written = std::fs::metadata(self.folder.join(RECORD)).and_then(|it| it.modified());
        SystemTime::now().duration_since(written.ok()?).ok()
    }

    /// Whether it runs what is wanted: no second process may.
    fn runs(&self, wanted: &Wanted) -> bool {
        self.lives()
            && self.record.as_ref().is_ok_and(|it| {
                it.lake == secret::redact(&wanted.lake)
                    && (it.dataflow == wanted.dataflow || !wanted.is_named)
            })
    }
}

fn read(path: &Path) -> Result<Record, String> {
    let text = std::fs::read_to_string(path).map_err(|it| it.to_string())?;
    let format = serde_json::from_str::<serde_json::Value>(&text).map_err(|it| it.to_string())?;
    let format = format["format"].as_u64();
    if format != Some(record::FORMAT.into()) {
        return Err(
            "it was written by another version of tidelake, with which it can be asked".to_owned(),
        );
    }
    serde_json::from_str(&text).map_err(|it| it.to_string())
}

/// All instances that there are traces of, by name.
pub fn all() -> Vec<Found> {
    all_in(&roots())
}

fn all_in(roots: &[PathBuf]) -> Vec<Found> {
    let folders = roots.iter().filter(|it| is_ours(it)).flat_map(|root| {
        let entries = std::fs::read_dir(root).into_iter().flatten();
        entries.filter_map(|it| Some(it.ok()?.path()))
    });
    let mut by_name: BTreeMap<String, Found> = BTreeMap::new();
    for folder in folders.filter(|it| it.join(LOCK).exists()) {
        let found = Found::at(folder);
        // Of one name in two places the one that lives counts.
        match by_name.get(&found.name) {
            Some(other) if other.lives() || !found.lives() => {}
            Some(_) | None => drop(by_name.insert(found.name.clone(), found)),
        }
    }
    by_name.into_values().collect()
}

/// The name that a command was given, by its argument or by the environment.
pub fn named(argument: Option<&str>) -> Option<String> {
    let stated = std::env::var(NAME_VARIABLE).ok();
    let stated = stated.filter(|it| !it.is_empty());
    argument.map(str::to_owned).or(stated)
}

/// The instance that is named or, if none is, the only one that runs, or else the only one that has left something.
///
/// # Errors
/// If there are several.
pub fn choose(all: Vec<Found>, name: Option<&str>) -> Result<Option<Found>> {
    if let Some(name) = name {
        return Ok(all.into_iter().find(|it| it.name == name));
    }
    // One that has ended is meant only where none runs.
    let (mut living, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(Found::lives);
    let candidates = match living.is_empty() {
        true => &mut others,
        false => &mut living,
    };
    match candidates.len() {
        0 | 1 => Ok(candidates.pop()),
        _ => {
            let names: Vec<&str> = candidates.iter().map(|it| it.name.as_str()).collect();
            Err(exit::coded(
                exit::USAGE,
                format!("which instance? There are {}", names.join(", ")),
            ))
        }
    }
}

/// What is said where there is no instance of a name, or none at all.
pub fn none_found(name: Option<&str>) -> String {
    let running = all().into_iter().filter(Found::lives);
    let running: Vec<String> = running.map(|it| it.name).collect();
    let there_are = match running.is_empty() {
        true => "none runs on this machine".to_owned(),
        false => format!("running are {}", running.join(", ")),
    };
    match name {
        Some(name) => format!("there is no instance {name}; {there_are}"),
        None => "no instance runs on this machine".to_owned(),
    }
}

/// The instance of this machine that serves at an address, if one does.
pub fn serving_at(address: SocketAddr) -> Option<Record> {
    let port = format!(":{}/", address.port());
    let records = all().into_iter().filter_map(|it| it.record.ok());
    records
        .filter(|it| it.life() == Life::Lives)
        .find(|it| it.processes.iter().any(|of| of.url.ends_with(&port)))
}

/// Where this machine reaches what listens at an address.
pub fn url_of(scheme: &str, address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(it) if it.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(it) if it.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        other => other,
    };
    format!("{scheme}://{}/", SocketAddr::new(host, address.port()))
}

/// Tells where this process serves, which does the work itself.
///
/// # Errors
/// If the listener has no address.
pub fn tell(
    registered: Option<&Registered>,
    scheme: &str,
    listener: &tokio::net::TcpListener,
) -> io::Result<()> {
    let url = url_of(scheme, listener.local_addr()?);
    if let Some(registered) = registered {
        let own = child(0, std::process::id(), url);
        registered.update(|it| it.processes = vec![own]);
    }
    Ok(())
}

/// A process that does the work, and was just started.
pub fn child(number: usize, pid: u32, url: String) -> Process {
    Process {
        number,
        pid,
        // One that has ended already gets a start that no process has.
        started: started(pid).unwrap_or(u64::MAX),
        since_ms: wall_ms(),
        url,
    }
}

/// Folders in which instances may lie: the first that can be written is used, all are looked through.
fn roots() -> Vec<PathBuf> {
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|it| !it.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(stated) = set(STATE_VARIABLE) {
        let absolute = std::path::absolute(&stated).unwrap_or(stated);
        return vec![absolute.join("instances")];
    }
    let state = set("XDG_STATE_HOME").filter(|it| it.is_absolute());
    let state = state.or_else(|| set("HOME").map(|it| it.join(".local/state")));
    // SAFETY: asks for a number and cannot fail.
    let user = unsafe { libc::geteuid() };
    let temporary = std::env::temp_dir().join(format!("tidelake-{user}"));
    let state = state.map(|it| it.join("tidelake"));
    let both = state.into_iter().chain([temporary]);
    both.map(|it| it.join("instances")).collect()
}

/// Makes a folder that is ours alone, with those above it.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)?;
    if !is_ours(path) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // A folder may be there and not be writable.
    probe_in(path)
}

fn probe_in(path: &Path) -> io::Result<()> {
    let probe = path.join(format!(".{}", uuid::Uuid::new_v4()));
    private_file(&probe)?;
    std::fs::remove_file(&probe)
}

/// Whether nobody else can write in a folder: below the one for temporary files somebody may have made it before us.
fn is_ours(path: &Path) -> bool {
    // SAFETY: asks for a number and cannot fail.
    let user = unsafe { libc::geteuid() };
    let ours = |it: &Path| {
        std::fs::symlink_metadata(it)
            .is_ok_and(|it| it.is_dir() && it.uid() == user && it.mode() & 0o002 == 0)
    };
    // Beside other people's files the folder above is one that they could have made, and could move.
    let is_beside_others = |it: &Path| it.parent() == Some(std::env::temp_dir().as_path());
    let above = path.parent();
    ours(path) && above.is_none_or(|it| ours(it) || !is_beside_others(it))
}

/// Opens a file of our own, empty.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    options.open(path)
}

/// Takes the lock of an instance folder; nothing if another process has it.
fn hold(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    for _ in 0..TRIES {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = match options.open(&path) {
            // Its owner is just removing the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The same: then this is the lock of a file that nobody else will ever find.
        let here = std::fs::metadata(&path).map(|it| it.ino());
        if here.is_ok_and(|it| lock.metadata().is_ok_and(|own| own.ino() == it)) {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Removes what is left of instances that ended long ago.
fn forget_old(root: &Path) {
    let entries = std::fs::read_dir(root).into_iter().flatten();
    for folder in entries.filter_map(|it| Some(it.ok()?.path())) {
        let age = Found::at(folder.clone()).age();
        if age.is_none_or(|it| it < FORGOTTEN_AFTER) {
            continue;
        }
        // Held while it is removed; what cannot be removed is tried again the next time.
        if let Ok(Some(_lock)) = hold(&folder) {
            remove(&folder);
        }
    }
}

/// Removes an instance folder whose lock is held here. The lock goes last, since until then nobody else begins in it; what cannot be removed is
/// forgotten another time.
fn remove(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let files = entries.filter_map(|it| Some(it.ok()?.path()));
    for file in files.filter(|it| !it.ends_with(LOCK)) {
        let _ = std::fs::remove_file(file);
    }
    let _ = std::fs::remove_file(folder.join(LOCK));
    let _ = std::fs::remove_dir(folder);
}

/// Whether an instance can have this name.
///
/// # Errors
/// With what is possible.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_usual = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
    let begins = name.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_');
    match begins && name.chars().all(is_usual) && name.len() <= NAME_CHARACTERS_MAX {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is no name of an instance: up to {NAME_CHARACTERS_MAX} letters, digits, and . _ - are possible, of which it begins with one of the former or _"
        )),
    }
}

/// A name made of that of a dataflow.
fn name_of(dataflow: &str) -> String {
    let usual = |it: char| match it.is_ascii_alphanumeric() || "._-".contains(it) {
        true => it,
        false => '_',
    };
    let name: String = dataflow
        .chars()
        .map(usual)
        // Room for a number.
        .take(NAME_CHARACTERS_MAX - 4)
        .collect();
    match check_name(&name) {
        Ok(()) => name,
        Err(_) => format!("_{name}"),
    }
}
