//! A line that is edited, as lines of a terminal.

use std::io::{self, Write};
use std::ops::Range;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What switches a style of the terminal on.
pub type Style = &'static str;
pub const BOLD: Style = "\u{1b}[1m";
pub const DIM: Style = "\u{1b}[2m";
pub const REVERSE: Style = "\u{1b}[7m";
const PLAIN: &str = "\u{1b}[0m";

/// What is to be seen.
#[derive(Debug, Default)]
pub struct Scene<'a> {
    /// Before the first line, and before all others.
    pub prompt: &'a str,
    pub prompt_more: &'a str,
    pub text: &'a str,
    /// In bytes of the text.
    pub cursor: usize,
    /// Styles of parts of the text, in their order.
    pub styles: Vec<(Range<usize>, Style)>,
    /// How the text may go on.
    pub hint: &'a str,
    /// Lines below, each in its style.
    pub below: Vec<(String, Option<Style>)>,
    pub colors: bool,
}

/// Lines of a terminal, and where the cursor stands in them.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub lines: Vec<String>,
    /// Line and column, from 0.
    pub cursor: (usize, usize),
}

impl Frame {
    /// The scene in lines of so many columns, the last of which stays free: terminals differ in what comes behind it.
    pub fn of(scene: &Scene<'_>, columns: usize) -> Frame {
        let columns = columns.saturating_sub(1).max(2);
        let mut sheet = Sheet {
            columns,
            colors: scene.colors,
            lines: vec![String::new()],
            used: 0,
            style: None,
        };
        for it in scene.prompt.chars() {
            sheet.put(it, Some(BOLD));
        }
        let mut cursor = None;
        let mut styles = scene.styles.iter().peekable();
        for (at, it) in scene.text.char_indices() {
            while styles.peek().is_some_and(|style| style.0.end <= at) {
                styles.next();
            }
            if at == scene.cursor {
                cursor = Some(sheet.place(it));
            }
            let style = styles.peek().filter(|style| style.0.contains(&at));
            sheet.put_text(it, style.map(|it| it.1), scene.prompt_more);
        }
        let end = sheet.place(' ');
        for it in scene.hint.chars() {
            sheet.put_text(it, Some(DIM), scene.prompt_more);
        }
        for (line, style) in &scene.below {
            sheet.new_line();
            for it in line.chars() {
                if sheet.used + it.width().unwrap_or(0) <= columns {
                    sheet.put(it, *style);
                }
            }
        }
        sheet.switch(None);
        Frame {
            lines: sheet.lines,
            cursor: cursor.unwrap_or(end),
        }
    }
}

/// Lines that are filled one after the other.
struct Sheet {
    columns: usize,
    colors: bool,
    lines: Vec<String>,
    /// Columns of the last line.
    used: usize,
    style: Option<Style>,
}

impl Sheet {
    fn last(&mut self) -> &mut String {
        self.lines.last_mut().expect("there is a first line")
    }

    fn switch(&mut self, style: Option<Style>) {
        if style == self.style || !self.colors {
            return;
        }
        let off = self.style.map_or("", |_| PLAIN);
        let on = style.unwrap_or_default();
        let line = self.last();
        line.push_str(off);
        line.push_str(on);
        self.style = style;
    }

    fn new_line(&mut self) {
        self.switch(None);
        self.lines.push(String::new());
        self.used = 0;
    }

    /// Where the next character stands.
    fn place(&mut self, next: char) -> (usize, usize) {
        if self.columns < self.used + next.width().unwrap_or(0) {
            self.new_line();
        }
        (self.lines.len() - 1, self.used)
    }

    fn put(&mut self, it: char, style: Option<Style>) {
        self.place(it);
        self.switch(style);
        self.used += it.width().unwrap_or(0);
        self.last().push(it);
    }

    fn put_text(&mut self, it: char, style: Option<Style>, prompt_more: &str) {
        match it {
            '\n' => {
                self.new_line();
                for it in prompt_more.chars() {
                    self.put(it, Some(DIM));
                }
            }
            '\t' => (0..4).for_each(|_| self.put(' ', style)),
            // Nothing that is pasted steers the terminal.
            it if it.is_control() => self.put('·', style),
            it => self.put(it, style),
        }
    }
}

/// Draws frames over each other.
#[derive(Debug, Default)]
pub struct Painter {
    /// In which line of the last frame the cursor stands.
    line: usize,
}

impl Painter {
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, frame: &Frame, height: usize) -> io::Result<()> {
        let mut text = self.back();
        // Of a frame that is higher than the terminal the part with the cursor.
        let height = height.max(1);
        let end = frame.lines.len().min((frame.cursor.0 + 1).max(height));
        let begin = end.saturating_sub(height);
        let lines = &frame.lines[begin..end];
        text += &lines.join("\r\n");
        let line = frame.cursor.0 - begin;
        let below = lines.len() - 1 - line;
        if 0 < below {
            text += &format!("\u{1b}[{below}A");
        }
        text += &format!("\r\u{1b}[{}G", frame.cursor.1 + 1);
        self.line = line;
        put(&text)
    }

    /// To the beginning of what was drawn last, and everything from there on wiped away.
    fn back(&self) -> String {
        match self.line {
            0 => "\r\u{1b}[J".to_owned(),
            up => format!("\u{1b}[{up}A\r\u{1b}[J"),
        }
    }

    /// Wipes the terminal; the next frame stands at its top.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        self.line = 0;
        put("\u{1b}[H\u{1b}[2J")
    }

    /// Leaves the last frame as it is, and goes to the line below.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn leave(&mut self) -> io::Result<()> {
        self.line = 0;
        put("\r\n")
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A text with blanks up to a width.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_and_the_cursor_is_where_it_is() {
        let scene = |text, cursor| Scene {
            prompt: "> ",
            prompt_more: ". ",
            text,
            cursor,
            ..Scene::default()
        };
        let frame = Frame::of(&scene("abcdef\n東京x", 3), 7);
        assert_eq!(frame.lines, ["> abcd", "ef", ". 東京", "x"]);
        assert_eq!(frame.cursor, (0, 5));
        let end = "abcdef\n東京x".len();
        assert_eq!(Frame::of(&scene("abcdef\n東京x", end), 7).cursor, (3, 1));
        assert_eq!(Frame::of(&scene("abcd", 4), 7).cursor, (1, 0));
        assert_eq!(Frame::of(&scene("a\u{1b}[2J", 1), 20).lines, ["> a·[2J"]);
    }

    #[test]
    fn styles_begin_and_end_with_their_part() {
        let scene = Scene {
            prompt: "",
            text: "ab c",
            cursor: 4,
            styles: vec![(0..2, BOLD)],
            hint: "d",
            below: vec![("long line".to_owned(), Some(REVERSE))],
            colors: true,
            ..Scene::default()
        };
        let frame = Frame::of(&scene, 6);
        let expect = [
            "\u{1b}[1mab\u{1b}[0m c\u{1b}[2md\u{1b}[0m",
            "\u{1b}[7mlong \u{1b}[0m",
        ];
        assert_eq!(frame.lines, expect);
        let plain = Frame::of(
            &Scene {
                colors: false,
                ..scene
            },
            6,
        );
        assert_eq!(plain.lines, ["ab cd", "long "]);
    }
}
