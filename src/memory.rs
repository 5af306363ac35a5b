//! The allocator of the process, and how much memory it holds.
//!
//! glibc gives each thread an arena and rarely returns what was freed in it: with a dozen threads that pass batches to each other,
//! resident memory grew for hours while the heap in use did not. jemalloc returns freed pages after a second, from a thread of its own.
//! It also serves the C libraries of the process (librdkafka, zstd, OpenSSL).

use tikv_jemalloc_ctl::{background_thread, epoch, opt, raw, stats};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long freed pages stay with the process, in case they are needed again.
const DECAY_MS: isize = 1_000;
/// What the allocator has handed out, and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Bytes in use by the program.
    pub allocated_bytes: usize,
    /// Bytes of physical memory behind them, with what was freed and not yet returned.
    pub resident_bytes: usize,
}

/// Has freed pages returned to the system within about a second. Called once, before the process starts any thread.
///
/// # Panics
/// If the allocator refuses a setting that it documents.
pub fn return_freed_pages_early() {
    background_thread::write(true).expect("jemalloc can run its background thread");
    for kind in ["dirty", "muzzy"] {
        let of_new_arenas = format!("arenas.{kind}_decay_ms\0");
        let of_arenas = (0..arenas()).map(|it| format!("arena.{it}.{kind}_decay_ms\0"));
        for setting in [of_new_arenas].into_iter().chain(of_arenas) {
            // SAFETY: both settings are of type `ssize_t`, and the names end in a zero byte.
            unsafe { raw::write(setting.as_bytes(), DECAY_MS) }
                .expect("jemalloc takes a decay time");
        }
    }
}

/// How many arenas of threads are in use. They are numbered as they come into use; behind them is one for huge allocations, whose pages are
/// returned at once.
fn arenas() -> usize {
    let is_in_use = |number: &usize| {
        let name = format!("arena.{number}.initialized\0");
        // SAFETY: the value is of type `bool`, and the name ends in a zero byte.
        unsafe { raw::read::<bool>(name.as_bytes()) }.is_ok_and(|it| it)
    };
    let arenas_max = opt::narenas::read().expect("jemalloc knows how many arenas it may have");
    (0..arenas_max as usize).take_while(is_in_use).count()
}

/// What the allocator holds now.
///
/// # Panics
/// If the allocator was built without statistics.
pub fn heap() -> Heap {
    let message = "jemalloc keeps statistics";
    epoch::advance().expect(message);
    Heap {
        allocated_bytes: stats::allocated::read().expect(message),
        resident_bytes: stats::resident::read().expect(message),
    }
}

/// Physical memory of the process: what the allocator holds, code and stacks. Where the system does not tell it, what the allocator holds.
///
/// # Panics
/// If the system does not tell, and the allocator was built without statistics.
pub fn resident_bytes() -> u64 {
    of_process().unwrap_or_else(|| heap().resident_bytes as u64)
}

fn of_process() -> Option<u64> {
    // Sizes in pages: of the address space, and of what is resident.
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: `sysconf` only reads a constant of the system.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_of_rust_and_of_c_are_counted() {
        const BYTES: usize = 64 << 20;
        let before = heap().allocated_bytes;
        let rust = std::hint::black_box(vec![1u8; BYTES]);
        assert!(
            before + BYTES / 2 < heap().allocated_bytes,
            "a Vec is counted"
        );
        drop(rust);
        let before = heap().allocated_bytes;
        // SAFETY: what `malloc` gave is given to `free` once and not used.
        unsafe {
            let c = std::hint::black_box(libc::malloc(BYTES));
            assert!(
                before + BYTES / 2 < heap().allocated_bytes,
                "malloc is counted"
            );
            libc::free(c);
        }
    }

    #[test]
    fn pages_are_returned_after_a_second() {
        return_freed_pages_early();
        // SAFETY: the setting is of type `ssize_t`.
        let decay: isize = unsafe { raw::read(b"arenas.dirty_decay_ms\0") }.expect("a setting");
        assert_eq!(decay, DECAY_MS);
        assert!(background_thread::read().expect("a setting"));
    }
}
