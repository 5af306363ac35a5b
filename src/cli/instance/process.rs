//! Signals to processes that are known by their start as well as by their number.

use crate::coordinator::started;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process that is the one it was taken for, also if its number goes to another one meanwhile.
pub struct Identified {
    pid: libc::pid_t,
    started: u64,
    /// The system's own handle of it; nothing where the system has none.
    handle: Option<OwnedFd>,
}

/// The process with this number, if it was started then.
pub fn identify(pid: u32, begun: u64) -> Option<Identified> {
    let number = libc::pid_t::try_from(pid).ok().filter(|it| 0 < *it)?;
    // SAFETY: takes two numbers, and gives a descriptor of ours or an error.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
    let handle = i32::try_from(opened).ok().filter(|it| 0 <= *it);
    // SAFETY: the descriptor was just made, and nobody else has it.
    let handle = handle.map(|it| unsafe { OwnedFd::from_raw_fd(it) });
    // Compared after it was opened: from here on the handle means the process that was compared.
    (started(pid) == Some(begun)).then_some(Identified {
        pid: number,
        started: begun,
        handle,
    })
}

impl Identified {
    /// Sends it a signal. A process that has ended meanwhile needs none.
    ///
    /// # Errors
    /// If it may not be signalled.
    pub fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        let sent = match &self.handle {
            // SAFETY: takes a descriptor that is open, two numbers, and no further details of the signal.
            Some(handle) => unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    handle.as_raw_fd(),
                    signal,
                    std::ptr::null::<libc::siginfo_t>(),
                    0,
                )
            },
            None if !self.lives() => 0,
            // SAFETY: takes two numbers.
            None => libc::c_long::from(unsafe { libc::kill(self.pid, signal) }),
        };
        let error = io::Error::last_os_error();
        match sent {
            0 => Ok(()),
            _ if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            _ => Err(error),
        }
    }

    pub fn lives(&self) -> bool {
        u32::try_from(self.pid).is_ok_and(|it| started(it) == Some(self.started))
    }
}
