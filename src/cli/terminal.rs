//! What a terminal takes: how wide lines may be, whether they may be coloured, and text laid out for both.

use std::io::IsTerminal;

/// Where nothing is known about the width.
const COLUMNS: usize = 80;
/// Lines that are read, not compared, are no longer than this.
const COLUMNS_MAX: usize = 120;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub columns: usize,
    pub colours: bool,
}

/// Colours of what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
    Place,
}

impl Layout {
    /// Of standard output.
    pub fn of_stdout() -> Self {
        Layout::of(std::io::stdout().is_terminal())
    }

    /// Of standard error.
    pub fn of_stderr() -> Self {
        Layout::of(std::io::stderr().is_terminal())
    }

    /// As wide as `COLUMNS` says, or as the terminal. Colours are for terminals, and for those who do not refuse them (no-color.org).
    fn of(is_terminal: bool) -> Self {
        let stated = std::env::var("COLUMNS").ok();
        let stated = stated.and_then(|it| it.parse::<usize>().ok());
        let size = || terminal_size::terminal_size().map(|it| usize::from(it.0.0));
        let columns = stated.or_else(|| is_terminal.then(size).flatten());
        let columns = columns.filter(|it| 0 < *it).unwrap_or(COLUMNS);
        let refused = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Layout {
            columns: columns.min(COLUMNS_MAX),
            colours: is_terminal && !refused,
        }
    }

    /// The same for what is no terminal.
    pub fn without_colours(self) -> Self {
        Layout {
            colours: false,
            ..self
        }
    }

    /// The text in a tone.
    pub fn toned(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "1;31",
            Tone::Place => "1;34",
        };
        match self.colours && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// A text in lines that fit behind an indent; only a word that is longer by itself stands out.
    pub fn folded(self, text: &str, indent: usize) -> Vec<String> {
        let most = self.columns.saturating_sub(indent).max(20);
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                    line.push(' ');
                    line.push_str(word);
                }
                Some(_) | None => lines.push(word.to_owned()),
            }
        }
        lines
    }
}

/// A number with its thousands apart.
pub fn number(it: u64) -> String {
    let digits = it.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun.
pub fn count(it: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(it), if it == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_its_lines() {
        let layout = Layout {
            columns: 30,
            colours: false,
        };
        let text = "one two three four five six seven eight";
        assert_eq!(
            layout.folded(text, 10),
            ["one two three four", "five six seven eight"]
        );
        assert_eq!(layout.folded("", 10), Vec::<String>::new());
        assert_eq!(layout.toned(Tone::Bad, "x"), "x");
        let coloured = Layout {
            colours: true,
            ..layout
        };
        assert_eq!(coloured.toned(Tone::Bad, "x"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(count(1, "view"), "1 view");
        assert_eq!(count(1_234_567, "event"), "1,234,567 events");
    }
}
