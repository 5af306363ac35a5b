//! Where the log goes: to standard error, without any password.

use crate::model::secret;
use std::io::{self, Write};

/// Standard error; each line passes through [`secret::redact`].
pub struct Redacted;

impl Write for Redacted {
    /// The subscriber hands over whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(secret::redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
