//! How far a command is, on standard error: a line that is drawn over itself on a terminal, and lines of text elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Times a second that a line is drawn.
const FRAMES: u8 = 5;

/// A line of this template, which may have a bar of all that is to be done. It is wiped away when it is dropped, so that a report or an error
/// stands alone, and hidden where there is no terminal.
pub fn line(template: &str, all: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("templates are ours, and tested");
    let target = ProgressDrawTarget::stderr_with_hz(FRAMES);
    ProgressBar::with_draw_target(all, target)
        .with_style(style.progress_chars("█░"))
        .with_finish(ProgressFinish::AndClear)
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

    #[test]
    fn steps_may_have_no_end_or_be_beyond_it() {
        let mut told = steps();
        for (done, all) in [(0, 0), (1, 3), (3, 3), (4, 3)] {
            told("reading, 3 rows", done, all);
        }
    }
}
