//! How CSV is written: the delimiter, whether a header names the fields, and what stands for null.

/// A dialect of CSV. Fields are quoted with `"`, a quote within is doubled; a line ends with a line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    pub delimiter: u8,
    /// Whether the first record of a file names the fields. Without it they are the declared columns in order.
    pub header: bool,
    /// An unquoted field of this text is null, as an empty one is.
    pub null: Option<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Csv {
            delimiter: b',',
            header: true,
            null: None,
        }
    }
}

/// How far a beginning of records was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The first record has so many bytes, with its line end.
    At(usize),
    /// The data end within a quoted field.
    InQuotes,
    /// A closing quote is followed by something other than a delimiter or a line end, so the quoting is invalid.
    Broken,
    /// The data end before the record does.
    No,
}

impl Csv {
    /// Where the first record ends.
    pub fn end_of_first(&self, data: &[u8]) -> Ended {
        let mut at = 0;
        loop {
            if data.get(at) == Some(&b'"') {
                match end_of_quoted(&data[at..]) {
                    Some(length) => at += length,
                    None => return Ended::InQuotes,
                }
                match data.get(at) {
                    Some(it) if ![self.delimiter, b'\n', b'\r'].contains(it) => {
                        return Ended::Broken;
                    }
                    Some(_) | None => {}
                }
            }
            match memchr::memchr2(self.delimiter, b'\n', &data[at..]) {
                Some(more) if data[at + more] == b'\n' => return Ended::At(at + more + 1),
                Some(more) => at += more + 1,
                None => return Ended::No,
            }
        }
    }
}

/// Bytes of a quoted field with both of its quotes, if it is closed.
pub fn end_of_quoted(field: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', field.get(at..)?)? + 1;
        match field.get(at) {
            Some(b'"') => at += 1,
            _ => return Some(at),
        }
    }
}
