//! How far a command is, on standard error: a line that is drawn over itself on a terminal, and lines of text elsewhere.
//!
//! What else is written there meanwhile, the log above all, goes [`aside`]: the line is wiped away for it and drawn anew below.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle, WeakProgressBar};
use std::sync::{Mutex, PoisonError};

/// Times a second that a line is drawn.
const FRAMES: u8 = 5;

/// The line that is drawn at the moment; the newest, if there are several.
static DRAWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// A line of this template, which may have a bar of all that is to be done. It is wiped away when it is dropped, so that a report or an error
/// stands alone, and hidden where there is no terminal.
pub fn line(template: &str, all: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("templates are ours, and tested");
    let target = ProgressDrawTarget::stderr_with_hz(FRAMES);
    let bar = ProgressBar::with_draw_target(all, target)
        .with_style(style.progress_chars("█░"))
        .with_finish(ProgressFinish::AndClear);
    if !bar.is_hidden() {
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        *drawn = Some(bar.downgrade());
    }
    bar
}

/// Writes to standard error while no line is drawn there. What is written ends with a line end.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let bar = drawn.as_ref().and_then(WeakProgressBar::upgrade);
    // Another line may begin meanwhile.
    drop(drawn);
    beside(bar.as_ref(), write)
}

fn beside<T>(bar: Option<&ProgressBar>, write: impl FnOnce() -> T) -> T {
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Tells what is done, and how much of all of it; without a terminal by a line for each step.
pub fn steps() -> impl FnMut(&str, u64, u64) {
    let bar = line("{bar:24} {wide_msg}", Some(1));
    let mut last = String::new();
    move |what: &str, done: u64, all: u64| {
        if !bar.is_hidden() {
            bar.set_length(all.max(1));
            bar.set_position(done);
            bar.set_message(what.to_owned());
            return;
        }
        let begin = what.split(',').next().unwrap_or_default();
        if begin != last {
            eprintln!("{begin}");
            begin.clone_into(&mut last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io;
    use std::sync::Arc;

    /// A terminal that notes what it is sent.
    #[derive(Clone, Debug, Default)]
    struct Noting(Arc<Mutex<Vec<String>>>);

    impl Noting {
        fn note(&self, what: &str) -> io::Result<()> {
            self.0
                .lock()
                .expect("nobody panicked")
                .push(what.trim_end().to_owned());
            Ok(())
        }

        /// What it was sent since it was asked last; what moves the cursor alone is left out.
        fn noted(&self) -> Vec<String> {
            let mut noted = self.0.lock().expect("nobody panicked");
            noted.drain(..).filter(|it| !it.is_empty()).collect()
        }
    }

    impl TermLike for Noting {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }

        fn clear_line(&self) -> io::Result<()> {
            self.note("<cleared>")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_aside_comes_between_two_drawings() {
        let terminal = Noting::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a template"));
        bar.set_message("100 events/s");
        assert_eq!(terminal.noted(), ["100 events/s"]);
        let written = beside(Some(&bar), || terminal.write_line("a line of the log"));
        assert!(written.is_ok());
        let expected = ["<cleared>", "a line of the log", "100 events/s"];
        assert_eq!(terminal.noted(), expected);
        assert_eq!(beside(None, || 7), 7);
    }

    #[test]
    fn steps_may_have_no_end_or_be_beyond_it() {
        let mut told = steps();
        for (done, all) in [(0, 0), (1, 3), (3, 3), (4, 3)] {
            told("reading, 3 rows", done, all);
        }
    }
}
