//! Threads and tasks, started so that none can die unnoticed.
//!
//! ```text
//! thread, task      the process cannot do without it: a panic is logged with its name, and the process ends with EXIT_CODE
//! awaited, blocking somebody waits for the outcome: a panic is an error of that work alone
//! caught            the same for a future that is not spawned
//! ```
//!
//! Ending is safe at any time: everything that counts is in the lake's commits, and the next start goes on from the last one. A pipeline
//! that went on with a dead reader would show numbers that are wrong and say nothing. `tests/it/layers.rs` refuses any other way to spawn.

use futures::FutureExt;
use std::any::Any;
use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle as ThreadHandle;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What the shell sees when a thread or task has failed: `EX_SOFTWARE`. A supervisor may start the process again.
pub const EXIT_CODE: i32 = 70;

/// Awaited work that panicked, or was cancelled with its runtime.
#[derive(Debug, thiserror::Error)]
#[error("{name} failed: {reason}")]
pub struct Died {
    pub name: String,
    pub reason: String,
}

/// Starts a thread that the process cannot do without.
///
/// # Errors
/// If the system gives no more threads.
pub fn thread<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<ThreadHandle<T>> {
    let name = name.into();
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || run(&name, work))
}

/// The same with a stack of so many bytes.
///
/// # Errors
/// As [`thread`].
pub fn thread_with_stack<T: Send + 'static>(
    name: &'static str,
    stack_bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<ThreadHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_bytes)
        .spawn(move || run(name, work))
}

/// Does the work here, on a thread that somebody else has started.
pub fn run<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let guarded = || {
        panic_point(name);
        work()
    };
    catch_unwind(AssertUnwindSafe(guarded)).unwrap_or_else(|panic| end(name, &said(&*panic)))
}

/// Starts a task that the process cannot do without, on the runtime of the caller.
pub fn task<T: Send + 'static>(
    name: impl Into<String>,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    task_on(&Handle::current(), name, work)
}

/// The same on a given runtime.
pub fn task_on<T: Send + 'static>(
    runtime: &Handle,
    name: impl Into<String>,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let name = name.into();
    runtime.spawn(async move {
        match caught(&name, work).await {
            Ok(done) => done,
            Err(Died { name, reason }) => end(&name, &reason),
        }
    })
}

/// Starts work whose outcome somebody waits for.
pub fn awaited<T: Send + 'static>(
    runtime: &Handle,
    name: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Awaited<T> {
    Awaited {
        name: name.to_owned(),
        handle: runtime.spawn(work),
    }
}

/// The same for work that computes or blocks.
pub fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Awaited<T> {
    Awaited {
        name: name.to_owned(),
        handle: tokio::task::spawn_blocking(work),
    }
}

/// Does the work here; a panic becomes an error.
///
/// # Errors
/// If it panicked.
pub async fn caught<T>(name: &str, work: impl Future<Output = T>) -> Result<T, Died> {
    let guarded = async {
        panic_point(name);
        work.await
    };
    AssertUnwindSafe(guarded)
        .catch_unwind()
        .await
        .map_err(|panic| Died {
            name: name.to_owned(),
            reason: said(&*panic),
        })
}

/// Work in progress; dropping this lets it go on, without anyone to hear of its end.
#[must_use = "its panic is an error for its awaiter, and for nobody else"]
#[derive(Debug)]
pub struct Awaited<T> {
    name: String,
    handle: JoinHandle<T>,
}

impl<T> Future for Awaited<T> {
    type Output = Result<T, Died>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.handle.poll_unpin(context).map_err(|error| Died {
            name: self.name.clone(),
            reason: match error.try_into_panic() {
                Ok(panic) => said(&*panic),
                Err(cancelled) => cancelled.to_string(),
            },
        })
    }
}

/// Ends the process because a part of it cannot go on.
pub fn end(name: &str, reason: &str) -> ! {
    let said = format!(
        "{name} failed: {reason}; the process ends with code {EXIT_CODE} and can be started again from its last commit"
    );
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(part = name, "{said}");
    } else {
        // Without a log, as in tests: past what captures their output, which ends with the process.
        let _ = writeln!(std::io::stderr(), "{said}");
    }
    // SAFETY: ends the process at once. `exit` would run handlers of C libraries beside threads that still use them.
    unsafe { libc::_exit(EXIT_CODE) }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a word")
        .to_owned()
}

/// For tests: a part whose name begins with what `TIDELAKE_PANIC_IN` says fails as soon as it starts.
fn panic_point(name: &str) {
    if let Ok(wanted) = std::env::var("TIDELAKE_PANIC_IN")
        && !wanted.is_empty()
        && name.starts_with(&wanted)
    {
        panic!("TIDELAKE_PANIC_IN asks {name} to fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_awaited_work_is_its_error() {
        let died = awaited(&Handle::current(), "sums", async { panic!("odd") })
            .await
            .map(|(): ()| ())
            .expect_err("it panicked");
        assert_eq!(died.to_string(), "sums failed: odd");
        let died = blocking("files", || panic!("{} missing", 3))
            .await
            .map(|(): ()| ())
            .expect_err("it panicked");
        assert_eq!(died.to_string(), "files failed: 3 missing");
        assert_eq!(caught("sums", async { 7 }).await.ok(), Some(7));
    }
}
