//! A line editor: keys become a text, with completion, history and hints. What keys do is decided without a terminal, in [`Editor`].

mod history;
mod keys;
mod line;
mod paint;
pub mod terminal;
#[cfg(test)]
mod tests;

pub use history::History;
pub use paint::Style;

use line::Line;
use paint::{DIM, Frame, Painter, REVERSE, Scene, padded};
use std::io;
use std::ops::Range;
use std::time::Duration;
use terminal::{Decoder, Key, Raw};
use unicode_width::UnicodeWidthStr;

/// Candidates that are seen at a time.
const MENU_LINES: usize = 8;
/// Whoever types nothing for so long still waits.
const LONG: Duration = Duration::from_secs(3_600);
/// Of a terminal that does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

/// What an editor is told of the language that is typed.
pub trait Aid {
    /// What may stand in the place of the word before the cursor.
    fn candidates(&self, text: &str, cursor: usize) -> Candidates;
    /// Whether Enter ends the input; otherwise it goes on in the next line.
    fn is_complete(&self, text: &str) -> bool;
    /// How parts of the text look, in their order.
    fn styles(&self, text: &str) -> Vec<(Range<usize>, Style)>;
}

/// What may be put in the place of the text from a byte to the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    pub from: usize,
    pub all: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub text: String,
    /// A few words of what it is.
    pub about: String,
}

/// How input ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Text(String),
    /// With Ctrl+C.
    Cancelled,
    /// With Ctrl+D.
    Ended,
}

/// Reads one input from the terminal. What is typed ahead of its end is for the next one.
///
/// # Errors
/// If there is no terminal, or it is gone.
pub fn read(
    prompt: &str,
    prompt_more: &str,
    begun: &str,
    history: &History,
    aid: &dyn Aid,
    colors: bool,
    typed_ahead: &mut Decoder,
) -> io::Result<Input> {
    let mut raw = Raw::enter(std::mem::take(typed_ahead))?;
    let mut editor = Editor::new(history, aid, begun);
    let mut painter = Painter::default();
    loop {
        let (columns, height) = terminal_size::terminal_size()
            .map(|(columns, lines)| (usize::from(columns.0), usize::from(lines.0)))
            .filter(|it| 0 < it.0 && 0 < it.1)
            .unwrap_or(SIZE);
        let scene = editor.scene(prompt, prompt_more, colors);
        painter.draw(&Frame::of(&scene, columns), height)?;
        let Some(key) = raw.key(LONG)? else {
            continue;
        };
        match editor.press(key) {
            Pressed::More => {}
            Pressed::Clear => painter.clear()?,
            Pressed::End(input) => {
                let scene = editor.scene(prompt, prompt_more, colors);
                painter.draw(&Frame::of(&scene, columns), height)?;
                painter.leave()?;
                *typed_ahead = raw.leave();
                return Ok(input);
            }
        }
    }
}

/// What a key has done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pressed {
    More,
    /// The terminal is to be wiped.
    Clear,
    End(Input),
}

/// A text that is edited, and what helps with it.
struct Editor<'a> {
    line: Line,
    history: &'a History,
    aid: &'a dyn Aid,
    /// The entry of the history that is seen, and what was typed before it was.
    recalled: Option<(usize, Line)>,
    menu: Option<Menu>,
    search: Option<Search>,
    /// Nothing is typed any more: neither hints nor candidates are seen.
    is_over: bool,
}

/// Candidates that are seen.
struct Menu {
    candidates: Candidates,
    chosen: Option<usize>,
}

/// A search in the history.
struct Search {
    term: String,
    found: Option<usize>,
    before: Line,
}

impl<'a> Editor<'a> {
    fn new(history: &'a History, aid: &'a dyn Aid, begun: &str) -> Self {
        Editor {
            line: Line::of(begun),
            history,
            aid,
            recalled: None,
            menu: None,
            search: None,
            is_over: false,
        }
    }

    fn press(&mut self, key: Key) -> Pressed {
        if self.search.is_some() && self.press_in_search(&key) {
            return Pressed::More;
        }
        if let Some(menu) = self.menu.take()
            && self.press_in_menu(menu, &key)
        {
            return Pressed::More;
        }
        let is_at_end = self.line.cursor() == self.line.text().len();
        match key {
            Key::Char(it) => self.change(|line| line.insert(it.encode_utf8(&mut [0; 4]))),
            Key::Paste(text) => self.change(|line| line.insert(&text)),
            Key::Enter if self.aid.is_complete(self.line.text()) => {
                return self.end(Input::Text(self.line.text().to_owned()));
            }
            Key::Enter | Key::NewLine => self.change(|line| line.insert("\n")),
            Key::Tab => self.complete(),
            Key::BackTab | Key::Escape => {}
            Key::Backspace => self.change(Line::backspace),
            Key::Delete => self.change(Line::delete),
            Key::DeleteWord => self.change(Line::delete_word),
            Key::DeleteToStart => self.change(Line::delete_to_line_start),
            Key::DeleteToEnd => self.change(Line::delete_to_line_end),
            Key::Right | Key::End | Key::WordRight if is_at_end => self.take_hint(),
            Key::Left => self.line.left(),
            Key::Right => self.line.right(),
            Key::Home => self.line.home(),
            Key::End => self.line.end(),
            Key::WordLeft => self.line.word_left(),
            Key::WordRight => self.line.word_right(),
            Key::Up => {
                if !self.line.up() {
                    self.older();
                }
            }
            Key::Down => {
                if !self.line.down() {
                    self.newer();
                }
            }
            Key::Search => {
                self.search = Some(Search {
                    term: String::new(),
                    found: None,
                    before: self.line.clone(),
                });
            }
            Key::Clear => return Pressed::Clear,
            Key::Cancel => return self.end(Input::Cancelled),
            Key::EndOfInput if self.line.text().is_empty() => return self.end(Input::Ended),
            Key::EndOfInput => self.change(Line::delete),
        }
        Pressed::More
    }

    fn end(&mut self, input: Input) -> Pressed {
        self.is_over = true;
        Pressed::End(input)
    }

    /// Changes the text, which is one's own from then on.
    fn change(&mut self, change: impl FnOnce(&mut Line)) {
        self.recalled = None;
        change(&mut self.line);
    }

    fn hint(&self) -> &str {
        let is_at_end = self.line.cursor() == self.line.text().len();
        let is_free = !self.is_over && self.menu.is_none() && self.search.is_none();
        match is_at_end && is_free && self.recalled.is_none() {
            true => self.history.hint(self.line.text()).unwrap_or_default(),
            false => "",
        }
    }

    fn take_hint(&mut self) {
        let hint = self.hint().to_owned();
        if !hint.is_empty() {
            self.change(|line| line.insert(&hint));
        }
    }

    fn older(&mut self) {
        let (at, typed) = match self.recalled.take() {
            Some(it) => it,
            None => (self.history.entries().len(), self.line.clone()),
        };
        let at = at.saturating_sub(1);
        if let Some(entry) = self.history.entries().get(at) {
            self.line = Line::of(entry.as_str());
            self.recalled = Some((at, typed));
        }
    }

    fn newer(&mut self) {
        let Some((at, typed)) = self.recalled.take() else {
            return;
        };
        match self.history.entries().get(at + 1) {
            Some(entry) => {
                self.line = Line::of(entry.as_str());
                self.recalled = Some((at + 1, typed));
            }
            None => self.line = typed,
        }
    }

    /// Puts in what all candidates begin with, and shows them if there are several.
    fn complete(&mut self) {
        let candidates = self.aid.candidates(self.line.text(), self.line.cursor());
        let from = candidates.from;
        match &candidates.all[..] {
            [] => {}
            [one] => {
                let text = one.text.clone();
                self.change(|line| line.replace_from(from, &text));
            }
            several => {
                let common = common_beginning(several);
                if self.line.cursor() - from < common.len() {
                    self.change(|line| line.replace_from(from, &common));
                }
                self.menu = Some(Menu {
                    candidates,
                    chosen: None,
                });
            }
        }
    }

    /// Whether the key is one of the menu.
    fn press_in_menu(&mut self, mut menu: Menu, key: &Key) -> bool {
        let count = menu.candidates.all.len();
        let chosen = match (key, menu.chosen) {
            (Key::Tab | Key::Down, None) => 0,
            (Key::Tab | Key::Down, Some(it)) => (it + 1) % count,
            (Key::BackTab | Key::Up, it) => (it.unwrap_or(0) + count - 1) % count,
            (Key::Enter, Some(_)) | (Key::Escape, _) => return true,
            _ => return false,
        };
        menu.chosen = Some(chosen);
        let text = menu.candidates.all[chosen].text.clone();
        let from = menu.candidates.from;
        self.change(|line| line.replace_from(from, &text));
        self.menu = Some(menu);
        true
    }

    /// Whether the key is one of the search; any other one goes on with what was found.
    fn press_in_search(&mut self, key: &Key) -> bool {
        let Some(mut search) = self.search.take() else {
            return false;
        };
        let newest = self.history.entries().len();
        match key {
            Key::Char(it) => search.term.push(*it),
            Key::Backspace => {
                search.term.pop();
            }
            Key::Search => {}
            Key::Cancel | Key::Escape => {
                self.line = search.before;
                return true;
            }
            Key::Enter => return true,
            _ => return false,
        }
        let before = match key {
            Key::Search => search.found.unwrap_or(newest),
            _ => newest,
        };
        if let Some(at) = self.history.find(&search.term, before) {
            search.found = Some(at);
            if !search.term.is_empty() {
                self.line = Line::of(self.history.entries()[at].as_str());
            }
        }
        self.search = Some(search);
        true
    }

    fn scene<'b>(&'b self, prompt: &'b str, prompt_more: &'b str, colors: bool) -> Scene<'b> {
        let mut below = Vec::new();
        if let (Some(menu), false) = (&self.menu, self.is_over) {
            below = menu.lines();
        }
        if let (Some(search), false) = (&self.search, self.is_over) {
            let text = format!(
                "search: {} (Enter takes it, Ctrl+R finds an older one)",
                search.term
            );
            below = vec![(text, Some(DIM))];
        }
        Scene {
            prompt,
            prompt_more,
            text: self.line.text(),
            cursor: match self.is_over {
                true => self.line.text().len(),
                false => self.line.cursor(),
            },
            styles: self.aid.styles(self.line.text()),
            hint: self.hint(),
            below,
            colors,
        }
    }
}

impl Menu {
    /// Some of the candidates, the chosen one among them.
    fn lines(&self) -> Vec<(String, Option<Style>)> {
        let all = &self.candidates.all;
        let first = self.chosen.unwrap_or(0).saturating_sub(MENU_LINES - 1);
        let last = all.len().min(first + MENU_LINES);
        let widths = all[first..last].iter().map(|it| it.text.width());
        let width = widths.max().unwrap_or(0);
        let lines = all[first..last].iter().enumerate().map(|(at, it)| {
            let style = match self.chosen == Some(first + at) {
                true => Some(REVERSE),
                false => None,
            };
            (
                format!("  {}  {} ", padded(&it.text, width), it.about),
                style,
            )
        });
        let mut lines: Vec<_> = lines.collect();
        if lines.len() < all.len() {
            lines.push((format!("  {} of {}", last - first, all.len()), Some(DIM)));
        }
        lines
    }
}

/// What all begin with, in the spelling of the first.
fn common_beginning(all: &[Candidate]) -> String {
    let first = &all[0].text;
    let common = all[1..].iter().fold(first.len(), |common, it| {
        let both = first.char_indices().zip(it.text.chars());
        let mut differing = both.skip_while(|((_, one), other)| one.eq_ignore_ascii_case(other));
        let end = differing.next().map(|it| it.0.0);
        common.min(end.unwrap_or(first.len().min(it.text.len())))
    });
    first[..common].to_owned()
}
