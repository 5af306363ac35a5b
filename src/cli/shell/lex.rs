//! Tokens of what is typed, as far as a shell must know them: where statements end, what is a word and what is not, and what is still open.
//!
//! The rules are Postgres's: `''` within texts, `E'\''`, `"names"`, `$tag$ … $tag$`, `-- …`, and `/* /* */ */`. A backslash outside of all of these is no
//! SQL: it begins a command of the shell, which reaches to the end of its line.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Space,
    Comment,
    /// A text between quotes or dollar tags.
    Text,
    /// A name between double quotes.
    Name,
    /// A keyword, or a name as it stands.
    Word,
    Number,
    Semicolon,
    /// A command of the shell, from its backslash to the end of the line.
    Command,
    /// An operator, a comma or a bracket: one character.
    Symbol,
}

/// A piece of the text; all of them together are the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
    /// It has its end: its closing quote, for example.
    pub is_closed: bool,
}

/// All tokens of a text.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, length, is_closed) = first(&text[at..]);
        all.push(Token {
            kind,
            range: at..at + length,
            is_closed,
        });
        at += length;
    }
    all
}

/// Kind and length of the first token of a text that is not empty, and whether it has its end.
fn first(rest: &str) -> (Kind, usize, bool) {
    let mut characters = rest.chars();
    let next = characters.next().unwrap_or_default();
    let second = characters.next();
    let while_it = |is: fn(char) -> bool| rest.find(|it| !is(it)).unwrap_or(rest.len());
    let line = || rest.find('\n').unwrap_or(rest.len());
    match (next, second) {
        (';', _) => (Kind::Semicolon, 1, true),
        ('\\', _) => (Kind::Command, line(), true),
        ('-', Some('-')) => (Kind::Comment, line(), true),
        ('/', Some('*')) => closed(Kind::Comment, rest, end_of_block(rest)),
        ('\'', _) => closed(Kind::Text, rest, end_of_quoted(rest, 1, '\'', false)),
        ('"', _) => closed(Kind::Name, rest, end_of_quoted(rest, 1, '"', false)),
        ('e' | 'E', Some('\'')) => closed(Kind::Text, rest, end_of_quoted(rest, 2, '\'', true)),
        ('$', _) => match dollar_tag(rest) {
            Some(tag) => {
                let end = rest[tag.len()..].find(tag);
                closed(Kind::Text, rest, end.map(|it| it + 2 * tag.len()))
            }
            None => (Kind::Symbol, 1, true),
        },
        _ if next.is_whitespace() => (Kind::Space, while_it(char::is_whitespace), true),
        _ if next.is_ascii_digit() => (Kind::Number, while_it(is_of_number), true),
        _ if is_of_word(next) => (Kind::Word, while_it(is_of_word), true),
        _ => (Kind::Symbol, next.len_utf8(), true),
    }
}

fn closed(kind: Kind, rest: &str, end: Option<usize>) -> (Kind, usize, bool) {
    (kind, end.unwrap_or(rest.len()), end.is_some())
}

fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_' || it == '$'
}

fn is_of_number(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '.' || it == '_'
}

/// Where the text behind its opening quote ends, its closing one included. A doubled quote is one of the text.
fn end_of_quoted(rest: &str, from: usize, quote: char, has_escapes: bool) -> Option<usize> {
    let mut characters = rest[from..].char_indices().peekable();
    while let Some((at, it)) = characters.next() {
        match it {
            '\\' if has_escapes => {
                characters.next();
            }
            _ if it != quote => {}
            _ if characters.peek().is_some_and(|it| it.1 == quote) => {
                characters.next();
            }
            _ => return Some(from + at + 1),
        }
    }
    None
}

/// Where a comment ends that may hold others.
fn end_of_block(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = rest.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

/// `$$` or `$tag$`; `$1` is a parameter.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = 1 + rest[1..].find('$')?;
    let name = &rest[1..end];
    let is_name = name.chars().all(|it| it.is_alphanumeric() || it == '_');
    let begins = name.chars().next();
    let begins_well = begins.is_none_or(|it| !it.is_ascii_digit());
    (is_name && begins_well).then(|| &rest[..=end])
}
