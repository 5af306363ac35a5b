//! Restart in place: a process whose pipeline has ended in order becomes a new one of the same command line.
//!
//! ```text
//! asked ─ stop in order, last commit, lake let go of ─ exec: program, arguments, environment as before ─ a start like any other
//!                                                        └─ keeps number, parent, terminal, log, and the socket that listens
//! ```
//!
//! The shell, supervisor or container that started the process sees no change. The lock of an instance and all other descriptors close with
//! the old program; the record of the instance says `restarting`, by which the new one gets its name again ([`instance`]). The listening socket stays open, so no
//! other process takes its port, and a client that connects meanwhile waits. In a cluster each process does this by itself: the word to stop says that all start again.
//!
//! It is no restart of a supervisor: what that counts, and why it last did it, stays as it was.

use super::instance::Registered;
use anyhow::{Context, Result};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells a process that it was restarted in place: its number, and the descriptor that listens.
pub const VARIABLE: &str = "TIDELAKE_RESTARTED";
/// What the system puts behind the path of a program whose file was replaced or removed.
const REPLACED: &[u8] = b" (deleted)";

/// What a command has come to.
pub enum Done {
    /// An end, with what it is for the shell.
    Code(ExitCode),
    /// All has ended, to begin once more.
    Again(Box<Restart>),
}

/// How a pipeline ended that could do so in order.
pub enum Served {
    Stopped,
    /// To be started again, with the socket that it listened at.
    Restarts(OwnedFd),
}

/// A process that is about to begin again.
pub struct Restart {
    listener: OwnedFd,
    registered: Option<Registered>,
}

/// Notes how a pipeline ended in the record of its instance. One that restarts keeps its record, and its lock until the last moment.
///
/// # Errors
/// If it did not end in order.
pub fn ended(registered: Option<Registered>, result: Result<Served>) -> Result<Done> {
    let result = match result {
        Ok(Served::Restarts(listener)) => {
            let restart = Restart {
                listener,
                registered,
            };
            return Ok(Done::Again(Box::new(restart)));
        }
        Ok(Served::Stopped) => Ok(()),
        Err(error) => Err(error),
    };
    if let Some(it) = registered {
        it.ended(&result);
    }
    result.map(|()| Done::Code(ExitCode::SUCCESS))
}

impl Restart {
    /// Replaces this process, and returns only if that was not possible.
    ///
    /// # Errors
    /// Always, with the reason, which is noted as the end of the instance.
    pub fn begin(self) -> Result<()> {
        let failed = Err(self.replace());
        if let Some(it) = self.registered {
            it.ended(&failed);
        }
        failed
    }

    fn replace(&self) -> anyhow::Error {
        let descriptor = self.listener.as_raw_fd();
        if let Err(error) = close_on_exec(descriptor, false) {
            return anyhow::Error::new(error).context("could not keep the listening socket open");
        }
        let program = program();
        let mut command = Command::new(&program);
        let mut arguments = std::env::args_os();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command
            .args(arguments)
            .env(VARIABLE, format!("{}:{descriptor}", std::process::id()));
        let error = command.exec();
        anyhow::Error::new(error).context(format!(
            "the pipeline has stopped in order, and {} could not be started in its place; start it again by hand",
            program.display()
        ))
    }
}

/// The file that this program was started by. After an upgrade the new one lies there.
pub fn program() -> PathBuf {
    let typed = std::env::args_os().next().unwrap_or_default();
    let typed = Path::new(&typed);
    let found = match typed.as_os_str().as_bytes().contains(&b'/') {
        true => Some(typed.to_owned()),
        // As the shell found it.
        false => std::env::var_os("PATH").and_then(|it| {
            let mut places = std::env::split_paths(&it).map(|it| it.join(typed));
            places.find(|it| it.is_file())
        }),
    };
    found.filter(|it| it.is_file()).unwrap_or_else(own_file)
}

/// Where the file of this process lies, or lay.
fn own_file() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|_| "tidelake".into());
    without_mark(&own)
}

fn without_mark(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Whether this process was restarted in place.
pub fn was_restarted() -> bool {
    left_descriptor().is_some()
}

/// The socket that the process listened at which this one was, if it is one for this address. To be asked before this process starts others.
///
/// # Errors
/// If the socket cannot be used.
pub fn left_listener(address: &SocketAddr) -> Result<Option<TcpListener>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let Some(descriptor) = left_descriptor() else {
        return Ok(None);
    };
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(None);
    }
    bury_children();
    close_on_exec(descriptor, true).context("the listening socket was not left open")?;
    // SAFETY: the program that this process ran before has left the descriptor open for it, no other code here owns it, and this is done once.
    let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    listener.set_nonblocking(true)?;
    let own = listener.local_addr()?;
    let is_same = own == *address || address.port() == 0 && own.ip() == address.ip();
    // One that settings have moved since goes, and with it who waits there.
    Ok(is_same.then_some(listener))
}

/// The descriptor that was left to this very process, and not to another one that has started it.
fn left_descriptor() -> Option<RawFd> {
    let told = std::env::var(VARIABLE).ok()?;
    descriptor_for(&told, std::process::id())
}

fn descriptor_for(told: &str, process: u32) -> Option<RawFd> {
    let (number, descriptor) = told.split_once(':')?;
    let descriptor = descriptor.parse().ok().filter(|it| 2 < *it)?;
    (number.parse() == Ok(process)).then_some(descriptor)
}

fn close_on_exec(descriptor: RawFd, closes: bool) -> std::io::Result<()> {
    let flags = if closes { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: sets a flag of a descriptor; one that is not open is an error.
    match unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Takes note of the end of processes that the program before had started: query processes that saw it go.
fn bury_children() {
    // SAFETY: takes numbers and no place for a status; this process has no children of its own yet that somebody would wait for.
    while 0 < unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_left_to_one_process() {
        for (told, expect) in [
            ("71:12", Some(12)),
            // Of the process that started this one.
            ("70:12", None),
            // These three everybody has.
            ("71:2", None),
            ("71:", None),
            ("71", None),
            ("", None),
        ] {
            assert_eq!(descriptor_for(told, 71), expect, "{told:?}");
        }
        assert!(!was_restarted());
    }

    #[test]
    fn the_program_is_the_file_that_it_was_started_by() {
        assert!(program().is_file(), "{}", program().display());
        for (told, expect) in [
            ("/usr/bin/tidelake (deleted)", "/usr/bin/tidelake"),
            ("/usr/bin/tidelake", "/usr/bin/tidelake"),
        ] {
            assert_eq!(without_mark(Path::new(told)), Path::new(expect));
        }
    }

    #[test]
    fn a_socket_is_kept_open_when_that_is_asked_for() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let closes = || {
            // SAFETY: asks for flags of an open descriptor.
            unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFD) & libc::FD_CLOEXEC != 0 }
        };
        assert!(closes());
        close_on_exec(socket.as_raw_fd(), false).expect("it is open");
        assert!(!closes());
        close_on_exec(socket.as_raw_fd(), true).expect("it is open");
        assert!(closes());
        assert!(close_on_exec(-1, true).is_err());
    }
}
