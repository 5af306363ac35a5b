//! Where the log goes: to standard error, without any password, and beside a line that is drawn there.

use super::progress::aside;
use crate::model::secret;
use std::io::{self, Write};

/// Standard error; each line passes through [`secret::redact`].
pub struct Redacted;

impl Write for Redacted {
    /// The subscriber hands over whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = secret::redact(&text);
        aside(|| io::stderr().write_all(text.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
