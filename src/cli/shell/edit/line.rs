//! The text that is typed, and where in it one is. It may have several lines.

use unicode_width::UnicodeWidthChar;

/// A text with a place in it, which is never within a character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    cursor: usize,
}

impl Line {
    /// A text with its end as the place.
    pub fn of(text: impl Into<String>) -> Line {
        let text = text.into();
        let cursor = text.len();
        Line { text, cursor }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// In bytes.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Puts a text in the place of what stands between a byte and the cursor.
    pub fn replace_from(&mut self, from: usize, text: &str) {
        self.text.replace_range(from..self.cursor, text);
        self.cursor = from + text.len();
    }

    pub fn left(&mut self) {
        self.cursor = self.before(self.cursor);
    }

    pub fn right(&mut self) {
        self.cursor = self.behind(self.cursor);
    }

    /// Where the character before a place begins, with the marks that stand on it.
    fn before(&self, at: usize) -> usize {
        let characters = self.text[..at].char_indices().rev();
        let mut whole = characters.skip_while(|it| it.1.width() == Some(0));
        whole.next().map_or(0, |it| it.0)
    }

    /// Where the next character begins.
    fn behind(&self, at: usize) -> usize {
        let characters = self.text[at..].char_indices().skip(1);
        let mut whole = characters.skip_while(|it| it.1.width() == Some(0));
        whole.next().map_or(self.text.len(), |it| at + it.0)
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |it| it + 1)
    }

    fn line_end(&self) -> usize {
        let end = self.text[self.cursor..].find('\n');
        end.map_or(self.text.len(), |it| self.cursor + it)
    }

    pub fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// One line up, in the same column; whether there is one.
    pub fn up(&mut self) -> bool {
        let start = self.line_start();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.cursor].chars().count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |it| it + 1);
        self.cursor = column_of(&self.text, above, column);
        true
    }

    /// One line down, in the same column; whether there is one.
    pub fn down(&mut self) -> bool {
        let end = self.line_end();
        if end == self.text.len() {
            return false;
        }
        let column = self.text[self.line_start()..self.cursor].chars().count();
        self.cursor = column_of(&self.text, end + 1, column);
        true
    }

    pub fn word_left(&mut self) {
        let before = self.text[..self.cursor].trim_end_matches(|it: char| !is_of_word(it));
        self.cursor = before.trim_end_matches(is_of_word).len();
    }

    pub fn word_right(&mut self) {
        let behind = self.text[self.cursor..].trim_start_matches(|it: char| !is_of_word(it));
        self.cursor = self.text.len() - behind.trim_start_matches(is_of_word).len();
    }

    pub fn backspace(&mut self) {
        let from = self.before(self.cursor);
        self.replace_from(from, "");
    }

    pub fn delete(&mut self) {
        let to = self.behind(self.cursor);
        self.text.replace_range(self.cursor..to, "");
    }

    /// Back to the last blank, as terminals do it.
    pub fn delete_word(&mut self) {
        let before = self.text[..self.cursor].trim_end();
        let from = before
            .trim_end_matches(|it: char| !it.is_whitespace())
            .len();
        self.replace_from(from, "");
    }

    pub fn delete_to_line_start(&mut self) {
        self.replace_from(self.line_start(), "");
    }

    pub fn delete_to_line_end(&mut self) {
        let end = self.line_end();
        self.text.replace_range(self.cursor..end, "");
    }
}

fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

/// The place of a column in the line that begins here, or the end of that line.
fn column_of(text: &str, start: usize, column: usize) -> usize {
    let line = text[start..].split('\n').next().unwrap_or_default();
    let at = line.char_indices().nth(column);
    start + at.map_or(line.len(), |it| it.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text with `|` at its cursor, after a move.
    fn after(text: &str, change: impl FnOnce(&mut Line)) -> String {
        let cursor = text.find('|').expect("a cursor");
        let mut line = Line {
            text: text.replace('|', ""),
            cursor,
        };
        change(&mut line);
        let (before, behind) = line.text.split_at(line.cursor);
        format!("{before}|{behind}")
    }

    #[test]
    fn one_moves_by_characters_words_and_lines() {
        assert_eq!(after("aü|b", Line::left), "a|üb");
        assert_eq!(after("|", Line::left), "|");
        assert_eq!(after("a|e\u{301}b", Line::right), "ae\u{301}|b");
        assert_eq!(after("ae\u{301}|b", Line::left), "a|e\u{301}b");
        assert_eq!(after("a b_c(|", Line::word_left), "a |b_c(");
        assert_eq!(after("a| b_c(", Line::word_right), "a b_c|(");
        assert_eq!(after("ab\ncd|e", Line::home), "ab\n|cde");
        assert_eq!(after("a|b\ncd", Line::end), "ab|\ncd");
        assert_eq!(after("abc\nd\nef|g", |it| assert!(it.up())), "abc\nd|\nefg");
        assert_eq!(
            after("ab|c\nd\nefg", |it| assert!(it.down())),
            "abc\nd|\nefg"
        );
        assert_eq!(after("ab|c", |it| assert!(!it.up() && !it.down())), "ab|c");
    }

    #[test]
    fn one_deletes_what_is_before_or_behind() {
        assert_eq!(after("aü|b", Line::backspace), "a|b");
        assert_eq!(after("a|üb", Line::delete), "a|b");
        assert_eq!(after("|", Line::backspace), "|");
        assert_eq!(after("a|", Line::delete), "a|");
        assert_eq!(after("SELECT a.b |c", Line::delete_word), "SELECT |c");
        assert_eq!(after("a\nbc|d", Line::delete_to_line_start), "a\n|d");
        assert_eq!(after("a|b\ncd", Line::delete_to_line_end), "a|\ncd");
        assert_eq!(
            after("SEL|x", |it| it.replace_from(0, "SELECT ")),
            "SELECT |x"
        );
    }
}
