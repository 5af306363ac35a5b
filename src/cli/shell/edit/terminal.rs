//! The terminal while keys are read one by one: it neither echoes nor waits for the end of a line, and is put back when this is dropped.
//!
//! A line editor from elsewhere would bring a terminal library that changes how half of what we depend on is built; this needs three calls of
//! the system.

pub use super::keys::{Decoder, Key};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Keys of a terminal come with this between the bytes of one at most.
const ESCAPE_WAIT: Duration = Duration::from_millis(40);
/// What is pasted comes between marks, so that its line ends are not taken for Enter.
const PASTE_ON: &str = "\u{1b}[?2004h";
const PASTE_OFF: &str = "\u{1b}[?2004l";

/// Standard input as keys.
#[derive(Debug)]
pub struct Raw {
    before: libc::termios,
    decoder: Decoder,
}

impl Raw {
    /// Goes on with what was typed ahead.
    ///
    /// # Errors
    /// If standard input is no terminal.
    pub fn enter(decoder: Decoder) -> io::Result<Raw> {
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the pointer is to a place of that type, which is written if the call succeeds.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded.
        let before = unsafe { before.assume_init() };
        let mut raw = before;
        raw.c_iflag &= !(libc::ICRNL | libc::INLCR | libc::IGNCR | libc::IXON | libc::ISTRIP);
        raw.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN);
        raw.c_cc[libc::VMIN] = 1;
        raw.c_cc[libc::VTIME] = 0;
        set(&raw)?;
        tell(PASTE_ON);
        Ok(Raw { before, decoder })
    }

    /// Puts the terminal back, and keeps what was typed ahead.
    pub fn leave(mut self) -> Decoder {
        std::mem::take(&mut self.decoder)
    }

    /// The next key, if there is one before the time is up.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        let until = Instant::now() + wait;
        loop {
            if let Some(key) = self.decoder.next() {
                return Ok(Some(key));
            }
            let left = until.saturating_duration_since(Instant::now());
            let left = match self.decoder.is_within_key() {
                true => ESCAPE_WAIT,
                false => left,
            };
            match read(left)? {
                Some(bytes) => self.decoder.push(&bytes),
                // Nothing follows: what has come is a key of its own.
                None if self.decoder.is_within_key() => self.decoder.give_up(),
                None => return Ok(None),
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        tell(PASTE_OFF);
        // A terminal that is gone needs nothing.
        let _ = set(&self.before);
    }
}

fn set(to: &libc::termios) -> io::Result<()> {
    // SAFETY: the pointer is to a whole value.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, to) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn tell(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Bytes that have come, or come before the time is up.
fn read(wait: Duration) -> io::Result<Option<Vec<u8>>> {
    let mut input = libc::pollfd {
        fd: libc::STDIN_FILENO,
        events: libc::POLLIN,
        revents: 0,
    };
    let wait_ms = libc::c_int::try_from(wait.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is to one value.
    match unsafe { libc::poll(&raw mut input, 1, wait_ms) } {
        0 => return Ok(None),
        ready if 0 < ready => {}
        _ => {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
    }
    let mut bytes = [0_u8; 4096];
    // SAFETY: the pointer is to that many bytes.
    let length = unsafe { libc::read(libc::STDIN_FILENO, bytes.as_mut_ptr().cast(), bytes.len()) };
    match usize::try_from(length) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => Ok(Some(bytes[..length].to_vec())),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
