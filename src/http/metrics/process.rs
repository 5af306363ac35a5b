//! What every process tells, under the names that all exporters use.

use super::Families;
use std::path::Path;

/// Adds what the system says of this process; what it does not tell is left out.
pub(super) fn tell(all: &mut Families, started_s: f64) {
    let cpu_s = cpu_seconds().map(|it| (Vec::new(), it));
    all.counter(
        "process_cpu_seconds_total",
        "User and system CPU time.",
        &[],
        cpu_s,
    );
    let pages = pages().unwrap_or_default();
    all.one("process_virtual_memory_bytes", "Virtual memory.", pages[0]);
    all.one(
        "process_resident_memory_bytes",
        "Resident memory.",
        pages[1],
    );
    let heap = crate::memory::heap();
    all.one(
        "tidelake_allocated_bytes",
        "Memory in use by the program; what the process holds beyond it was freed and is not returned yet, or is code and stacks.",
        Some(heap.allocated_bytes as f64),
    );
    all.one(
        "process_open_fds",
        "Open file descriptors.",
        entries(Path::new("/proc/self/fd")),
    );
    all.one(
        "process_max_fds",
        "File descriptors that may be open.",
        descriptors_max(),
    );
    all.one(
        "process_threads",
        "Threads.",
        entries(Path::new("/proc/self/task")),
    );
    all.one(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
        Some(started_s),
    );
}

fn cpu_seconds() -> Option<f64> {
    // SAFETY: all zeros is a value of this struct, and the call writes no other memory.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) == 0).then_some(usage)
    }?;
    let seconds = |it: libc::timeval| it.tv_sec as f64 + it.tv_usec as f64 / 1e6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Virtual and resident memory, in bytes.
fn pages() -> Option<[Option<f64>; 2]> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    // SAFETY: it only asks.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64;
    let mut counts = text.split_whitespace();
    let mut bytes = || Some(counts.next()?.parse::<f64>().ok()? * page_bytes);
    Some([bytes(), bytes()])
}

fn entries(folder: &Path) -> Option<f64> {
    Some(std::fs::read_dir(folder).ok()?.count() as f64)
}

fn descriptors_max() -> Option<f64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call only writes the struct it is given.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 };
    told.then_some(limit.rlim_cur as f64)
}
