//! How far a command is, on standard error.

use std::io::{IsTerminal, Write};

/// Tells on standard error how far something is: as a bar that is drawn over itself on a terminal, else as a line for each step.
pub fn progress() -> impl FnMut(&str, u64, u64) {
    const WIDTH: usize = 24;
    let is_terminal = std::io::stderr().is_terminal();
    let mut last = String::new();
    let mut drawn = Drawn(false);
    move |what: &str, done: u64, all: u64| {
        let mut err = std::io::stderr().lock();
        if is_terminal {
            let full = WIDTH * done as usize / all.max(1) as usize;
            let bar = format!(
                "{}{}",
                "█".repeat(full),
                "░".repeat(WIDTH - full.min(WIDTH))
            );
            // Whoever cannot see it misses nothing.
            let _ = write!(err, "\r\u{1b}[K{bar} {what}");
            let _ = err.flush();
            drawn.mark();
        } else {
            let begin = what.split(',').next().unwrap_or_default();
            if begin != last {
                let _ = writeln!(err, "{begin}");
                begin.clone_into(&mut last);
            }
        }
    }
}

/// A bar is wiped away when it is dropped, so that a report or an error stands alone.
struct Drawn(bool);

impl Drawn {
    fn mark(&mut self) {
        self.0 = true;
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
