//! Keys, from the bytes that terminals send for them (those of xterm, which all others speak).

/// A key that was pressed, by what it means to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    /// A text that was pasted, line ends and all.
    Paste(String),
    Enter,
    /// Alt+Enter: a line more, whatever is there.
    NewLine,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    Clear,
    Search,
    Escape,
    /// Ctrl+C
    Cancel,
    /// Ctrl+D
    EndOfInput,
}

const ESCAPE: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Bytes in, keys out. Bytes that mean nothing to a line are left out.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

/// What bytes begin with.
enum First {
    /// A key, or something that means nothing here, of so many bytes.
    Key(Option<Key>, usize),
    /// More bytes are needed to know.
    Open,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next whole key.
    pub fn next(&mut self) -> Option<Key> {
        loop {
            match first(&self.bytes) {
                First::Open => return None,
                First::Key(key, length) => {
                    self.bytes.drain(..length);
                    if key.is_some() {
                        return key;
                    }
                }
            }
        }
    }

    /// Whether a key has begun and not ended.
    pub fn is_within_key(&self) -> bool {
        !self.bytes.is_empty() && !self.bytes.starts_with(PASTE_BEGIN)
    }

    /// Takes what is there as it is: nothing more comes.
    pub fn give_up(&mut self) {
        let is_escape = self.bytes == [ESCAPE];
        self.bytes.clear();
        if is_escape {
            // An escape that nothing follows is the key of that name; written as two, it says so.
            self.bytes.extend([ESCAPE, ESCAPE]);
        }
    }
}

fn first(bytes: &[u8]) -> First {
    let key = |it: Key| First::Key(Some(it), 1);
    let Some(begin) = bytes.first() else {
        return First::Open;
    };
    match begin {
        0x01 => key(Key::Home),
        0x02 => key(Key::Left),
        0x03 => key(Key::Cancel),
        0x04 => key(Key::EndOfInput),
        0x05 => key(Key::End),
        0x06 => key(Key::Right),
        0x08 | 0x7f => key(Key::Backspace),
        b'\t' => key(Key::Tab),
        b'\r' | b'\n' => key(Key::Enter),
        0x0b => key(Key::DeleteToEnd),
        0x0c => key(Key::Clear),
        0x0e => key(Key::Down),
        0x10 => key(Key::Up),
        0x12 => key(Key::Search),
        0x15 => key(Key::DeleteToStart),
        0x17 => key(Key::DeleteWord),
        &ESCAPE => escaped(bytes),
        0x00..0x20 => First::Key(None, 1),
        _ => character(bytes),
    }
}

/// A character of UTF-8, which has up to four bytes.
fn character(bytes: &[u8]) -> First {
    let length = match bytes[0] {
        0x00..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return First::Key(None, 1),
    };
    if bytes.len() < length {
        return First::Open;
    }
    match std::str::from_utf8(&bytes[..length]) {
        Ok(text) => First::Key(text.chars().next().map(Key::Char), length),
        Err(_) => First::Key(None, 1),
    }
}

fn escaped(bytes: &[u8]) -> First {
    if bytes.starts_with(PASTE_BEGIN) {
        let inside = &bytes[PASTE_BEGIN.len()..];
        let end = inside
            .windows(PASTE_END.len())
            .position(|it| it == PASTE_END);
        return match end {
            None => First::Open,
            Some(end) => {
                let text = String::from_utf8_lossy(&inside[..end]);
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                let length = PASTE_BEGIN.len() + end + PASTE_END.len();
                First::Key(Some(Key::Paste(text)), length)
            }
        };
    }
    match bytes.get(1) {
        None => First::Open,
        Some(&ESCAPE) => First::Key(Some(Key::Escape), 2),
        Some(b'\r' | b'\n') => First::Key(Some(Key::NewLine), 2),
        Some(0x7f | 0x08) => First::Key(Some(Key::DeleteWord), 2),
        Some(b'b') => First::Key(Some(Key::WordLeft), 2),
        Some(b'f') => First::Key(Some(Key::WordRight), 2),
        Some(b'[' | b'O') => {
            // Numbers with semicolons, and the sign that ends them.
            let end = bytes[2..].iter().position(|it| (0x40..0x7f).contains(it));
            let Some(end) = end.map(|it| it + 2) else {
                return First::Open;
            };
            let numbers = std::str::from_utf8(&bytes[2..end]).unwrap_or_default();
            let by_word = numbers.ends_with(";5") || numbers.ends_with(";3");
            let key = match (bytes[end], numbers) {
                (b'A', _) => Some(Key::Up),
                (b'B', _) => Some(Key::Down),
                (b'C', _) if by_word => Some(Key::WordRight),
                (b'D', _) if by_word => Some(Key::WordLeft),
                (b'C', _) => Some(Key::Right),
                (b'D', _) => Some(Key::Left),
                (b'H', _) | (b'~', "1" | "7") => Some(Key::Home),
                (b'F', _) | (b'~', "4" | "8") => Some(Key::End),
                (b'Z', _) => Some(Key::BackTab),
                (b'~', "3") => Some(Key::Delete),
                _ => None,
            };
            First::Key(key, end + 1)
        }
        Some(_) => First::Key(None, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        std::iter::from_fn(|| decoder.next()).collect()
    }

    #[test]
    fn bytes_become_keys() {
        for (bytes, expect) in [
            (
                "aü東😀",
                vec![
                    Key::Char('a'),
                    Key::Char('ü'),
                    Key::Char('東'),
                    Key::Char('😀'),
                ],
            ),
            ("\r\t\u{7f}", vec![Key::Enter, Key::Tab, Key::Backspace]),
            (
                "\u{1b}[A\u{1b}OB\u{1b}[1;5C\u{1b}[3~",
                vec![Key::Up, Key::Down, Key::WordRight, Key::Delete],
            ),
            (
                "\u{1b}[H\u{1b}[4~\u{1b}[Z",
                vec![Key::Home, Key::End, Key::BackTab],
            ),
            (
                "\u{1b}\r\u{1b}b\u{1b}\u{7f}",
                vec![Key::NewLine, Key::WordLeft, Key::DeleteWord],
            ),
            (
                "\u{3}\u{4}\u{12}\u{c}",
                vec![Key::Cancel, Key::EndOfInput, Key::Search, Key::Clear],
            ),
            (
                "\u{1b}[200~SELECT\r\n 1;\t\u{1b}[201~x",
                vec![Key::Paste("SELECT\n 1;\t".to_owned()), Key::Char('x')],
            ),
            ("\u{1b}[15~\u{1}", vec![Key::Home]),
        ] {
            assert_eq!(keys(bytes.as_bytes()), expect, "{bytes:?}");
        }
        assert_eq!(keys(b"\xff\xfea"), [Key::Char('a')]);
    }

    #[test]
    fn a_key_may_come_in_parts() {
        let whole = "\u{1b}[200~a\u{1b}[201~東\u{1b}[1;3D";
        let expect = [Key::Paste("a".to_owned()), Key::Char('東'), Key::WordLeft];
        for cut in 0..whole.len() {
            let mut decoder = Decoder::default();
            let mut all = Vec::new();
            for part in [&whole.as_bytes()[..cut], &whole.as_bytes()[cut..]] {
                decoder.push(part);
                all.extend(std::iter::from_fn(|| decoder.next()));
            }
            assert_eq!(all, expect, "cut at {cut}");
        }
    }

    #[test]
    fn an_escape_alone_is_a_key() {
        let mut decoder = Decoder::default();
        decoder.push(b"\x1b");
        assert_eq!(decoder.next(), None);
        assert!(decoder.is_within_key());
        decoder.give_up();
        assert_eq!(decoder.next(), Some(Key::Escape));
        assert!(!decoder.is_within_key());
    }
}
