//! Programs that do long work apart from the server: they come last for processor time, go first when memory is short, can be ended at any time,
//! and end with the server, however that ends.

use crate::model::secret;
use crate::supervise;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Of what a program writes to standard error, the end of so much is kept: it says why it failed.
const LAST_WORDS_BYTES: usize = 4 << 10;
/// How often the end of a process is looked for that has closed its output.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Below everything else.
const NICE: i32 = 19;
/// What a program prints is read up to this.
const OUTPUT_BYTES_MAX: u64 = 4 << 20;

/// A program, and what it is told.
#[derive(Clone, Debug)]
pub struct Program {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// The same, as a person types it.
    pub command: String,
}

/// An argument as a shell takes it.
pub fn quoted(argument: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=@%+,".contains(it);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

pub fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts it. It ends with the thread that calls this.
///
/// # Errors
/// If the system does not.
pub fn begin(program: &Program) -> io::Result<Child> {
    let mut command = Command::new(&program.program);
    command
        .args(&program.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl+C is for the server.
        .process_group(0);
    // SAFETY: plain system calls with values of their own, which may be made between `fork` and `exec`.
    unsafe {
        command.pre_exec(|| {
            libc::nice(NICE);
            // It is not to outlive the server, however that ends.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let child = command.spawn()?;
    // Not there in every container: then it has its share of the memory like others.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "1000");
    Ok(child)
}

/// Waits for the end of a process whose output is read to its end; it can be ended meanwhile. Nothing if the system does not tell.
pub fn wait(child: &Mutex<Child>) -> Option<ExitStatus> {
    loop {
        match locked(child).try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The end of what a process says.
pub fn last_words(mut from: impl Read) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut read = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut read) {
        kept.extend_from_slice(&read[..count]);
        kept.drain(..kept.len().saturating_sub(LAST_WORDS_BYTES));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// Why a program failed, by its last words: what follows its last `error:`, else its last line.
pub fn reason_in(words: &str) -> String {
    let said = match words.rsplit_once("error: ") {
        Some((_, reason)) => reason.trim(),
        None => words.lines().last().unwrap_or_default().trim(),
    };
    let said = match said.is_empty() {
        true => "its process ended without a word",
        false => said,
    };
    secret::redact(said).to_string()
}

/// Ends a process that nobody waits for any more.
struct EndedWhenDropped(Arc<Mutex<Child>>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        let _ = locked(&self.0).kill();
    }
}

/// Runs a program to its end; what it printed, or why it failed. It is ended when nobody waits for it any more.
///
/// # Errors
/// Says why there is nothing.
pub async fn output_of(name: &'static str, program: Program) -> Result<Vec<u8>, String> {
    let not_started = |it: &dyn std::fmt::Display| format!("it could not be started: {it}");
    let (began, begins) = oneshot::channel();
    let (ended, ends) = oneshot::channel();
    // It lives as long as the process that it starts, which ends with it.
    supervise::thread(name, move || {
        let mut child = match begin(&program) {
            Ok(child) => child,
            Err(error) => return drop(began.send(Err(error))),
        };
        let (out, words) = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let waits = began.send(Ok(Arc::clone(&child)));
        if waits.is_err() {
            let _ = locked(&child).kill();
        }
        let words = words.map(|it| supervise::thread(name, move || last_words(it)));
        let mut printed = Vec::new();
        let read = out.map(|it| it.take(OUTPUT_BYTES_MAX).read_to_end(&mut printed));
        let is_read = matches!(read, Some(Ok(_)));
        let status = wait(&child);
        let words = words.and_then(|it| it.ok()?.join().ok());
        let _ = ended.send(match status.is_some_and(|it| it.success()) && is_read {
            true => Ok(printed),
            false => Err(reason_in(words.as_deref().unwrap_or_default())),
        });
    })
    .map_err(|it| not_started(&it))?;
    let child = begins.await.map_err(|it| not_started(&it))?;
    let _child = EndedWhenDropped(child.map_err(|it| not_started(&it))?);
    ends.await.unwrap_or_else(|it| Err(it.to_string()))
}

#[cfg(test)]
mod tests;
