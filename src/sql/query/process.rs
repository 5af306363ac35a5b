//! A process that answers queries: the same program under a hidden command, with limits of its own.
//!
//! What a user wrote is parsed, planned and run here and nowhere else, so that the worst it can do is to end this process. It is
//! niced, it may have so much memory and no more, the system takes it first when memory is short, and it leaves no core file. The
//! server ends it with SIGKILL when nobody wants the answer any more: nothing in here has to be polite to be stopped.
//!
//! It reads its socket on a thread of its own. When the other end is gone, so is the process, whatever it computes.
//! After an answer it is asked again only if it is as it was before: no task left over, no memory kept.

use super::answer::{self, Answering};
use super::protocol::{Frame, FromProcess};
use super::{QueryError, pool};
use crate::supervise;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use futures::FutureExt;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// The first argument of such a process.
pub const COMMAND: &str = "query-process";

/// Chains of operators are as deep as they are long, and some walks over them take several KiB of stack for each level.
const STACK_BYTES: usize = 64 << 20;
/// Of its memory, a process may give so much to sorts, groups and joins: they spill when they have it. The rest is for what
/// they do not count: rows on their way, texts that functions make, live views.
const POOLED_SHARE: (u64, u64) = (3, 4);
/// A process that keeps this much more memory than at its start is not asked again.
const KEPT_BYTES_MAX: u64 = 96 << 20;
/// A process is asked so often at most.
const QUERIES_MAX: usize = 500;
/// Tasks of a query that has ended may need so many turns to notice.
const TURNS_TO_END: usize = 100;
/// After so many turns of its tasks a query looks whether there are rows to send.
const TASKS_PER_LOOK: u32 = 4;
/// A third of the share of a thread of the engine; in tests, whose machine may be busy, no less than others.
const NICE: i32 = if cfg!(test) { 0 } else { 5 };
const BLOCKING_THREADS: usize = 4;

/// What one process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// On top of what the program itself takes.
    pub memory_bytes: u64,
    /// Temporary files.
    pub spill_bytes: u64,
}

impl ProcessLimits {
    pub fn arguments(self) -> [String; 3] {
        [
            COMMAND.to_owned(),
            self.memory_bytes.to_string(),
            self.spill_bytes.to_string(),
        ]
    }

    /// The limits, if the arguments of a program are those of a query process.
    fn of(mut arguments: impl Iterator<Item = OsString>) -> Option<ProcessLimits> {
        arguments.next().filter(|it| it == COMMAND)?;
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        Some(ProcessLimits {
            memory_bytes: number()?,
            spill_bytes: number()?,
        })
    }
}

/// Answers queries until nobody asks any more, if that is what the arguments (without the program's name) say.
pub fn answer_queries(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let limits = ProcessLimits::of(arguments)?;
    Some(match serve(limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("a query process failed: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(limits: ProcessLimits) -> io::Result<()> {
    restrict()?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut heard = socket.try_clone()?;
    let (frames_in, frames) = sync_channel(2);
    supervise::thread("listen", move || {
        while let Ok(frame) = Frame::read(&mut heard) {
            if frames_in.send(frame).is_err() {
                break;
            }
        }
        let _ = std::fs::remove_dir_all(pool::folder_of(std::process::id()));
        // SAFETY: ends the process at once. Nothing is to be tidied up that its end does not.
        unsafe { libc::_exit(0) };
    })?;
    let answering = supervise::thread_with_stack("query", STACK_BYTES, move || {
        answer_all(limits, &frames, &mut socket)
    })?;
    answering
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread of queries ended")))
}

/// Last in line for processor time, first to go when the system has no memory, no core file.
fn restrict() -> io::Result<()> {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls with values of their own.
    let failed = unsafe {
        libc::nice(NICE);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) != 0
            || libc::prctl(libc::PR_SET_NAME, c"tidelake-query".as_ptr()) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    // Not there in every container; the limit below holds without it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// A field of `/proc/self/status`.
fn status_bytes(field: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|it| it.strip_prefix(field));
    line.and_then(|it| it.trim_start_matches(':').split_whitespace().next())
        .and_then(|it| it.parse::<u64>().ok())
        .map(|it| it << 10)
        .ok_or_else(|| io::Error::other(format!("/proc/self/status has no {field}")))
}

/// From now on the process may have so much memory more. Counted is what is mapped to be written to: heap and stacks, not the program
/// itself, nor what an allocator has only reserved.
fn allow_memory(bytes: u64) -> io::Result<()> {
    let limit = status_bytes("VmData")?.saturating_add(bytes);
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: a plain system call with a value of its own.
    match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts all blocking threads in advance. Once the memory limit is reached the allocator has no arena for a new thread and crashes with SIGSEGV,
/// which says nothing about memory.
fn start_threads(runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    let all_run = Arc::new(Barrier::new(BLOCKING_THREADS));
    let all = runtime.block_on(async {
        let threads = (0..BLOCKING_THREADS).map(|_| {
            let all_run = Arc::clone(&all_run);
            supervise::blocking("a thread of queries", move || {
                all_run.wait();
            })
        });
        futures::future::try_join_all(threads).await
    });
    all.map(drop).map_err(io::Error::other)
}

fn environment_of(limits: ProcessLimits) -> io::Result<Arc<RuntimeEnv>> {
    let (part, whole) = POOLED_SHARE;
    let pooled = usize::try_from(limits.memory_bytes / whole * part).unwrap_or(usize::MAX);
    let folder = pool::folder_of(std::process::id());
    // Left over by a process of the same number that was killed together with its server.
    let _ = std::fs::remove_dir_all(&folder);
    let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(pooled)));
    let builder = match private(folder) {
        Ok(folder) => builder
            .with_temp_file_path(folder)
            .with_max_temp_directory_size(limits.spill_bytes),
        // Without a place for temporary files, queries have their memory alone.
        Err(_) => builder.with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        ),
    };
    builder.build_arc().map_err(io::Error::other)
}

/// Makes a folder that nobody else can look into.
fn private(folder: PathBuf) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

fn answer_all(
    limits: ProcessLimits,
    frames: &Receiver<Frame>,
    socket: &mut UnixStream,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::MAX)
        .event_interval(TASKS_PER_LOOK)
        .build()?;
    let environment = environment_of(limits)?;
    start_threads(&runtime)?;
    allow_memory(limits.memory_bytes)?;
    let resident_bytes = status_bytes("RssAnon")?;
    for number in 1.. {
        // Made before anybody waits for it.
        let context = answer::session(&environment);
        let Ok(question) = frames.recv() else {
            return Ok(());
        };
        let work = Answering {
            context,
            limits,
            frames,
            socket: &mut *socket,
        }
        .answer(&question);
        let result = runtime.block_on(AssertUnwindSafe(work).catch_unwind());
        let panicked = result.is_err();
        let result = result.unwrap_or_else(|panic| Err(error_of_panic(panic.as_ref(), limits)));
        let kept_bytes = status_bytes("RssAnon")?.saturating_sub(resident_bytes);
        let reusable = !panicked
            && number < QUERIES_MAX
            && kept_bytes <= KEPT_BYTES_MAX
            && runtime.block_on(tasks_have_ended());
        let last = match result {
            Ok(truncated) => FromProcess::Done {
                truncated,
                reusable,
            },
            Err(error) => FromProcess::Failed { error, reusable },
        };
        Frame::message(&last)?.write(socket)?;
        if !reusable {
            // The server ends this process; to end earlier could cut off what was just said.
            while frames.recv().is_ok() {}
            return Ok(());
        }
    }
    Ok(())
}

async fn tasks_have_ended() -> bool {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..TURNS_TO_END {
        if metrics.num_alive_tasks() == 0 {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// A panic is a fault of the program, unless the system refused it memory for a stack or a thread.
fn error_of_panic(panic: &(dyn std::any::Any + Send), limits: ProcessLimits) -> QueryError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked");
    match is_about_memory(text) {
        true => QueryError::TooMuchMemory {
            limit_bytes: limits.memory_bytes,
        },
        false => QueryError::failed(text),
    }
}

/// Whether a process that wrote this had come to the limit of its memory.
pub fn is_about_memory(text: &str) -> bool {
    let signs = [
        "memory allocation",
        "Cannot allocate memory",
        "can't spawn worker thread",
        "failed to allocate",
        "capacity overflow",
    ];
    signs.iter().any(|it| text.contains(it))
}
