//! Where the records of a file begin and end. A place is decided by the bytes behind the record's first one alone, so records are the same
//! ones whenever, and from wherever, a file is read.

use crate::model::csv::{Csv, Ended};

/// A line longer than this is cut into pieces of this size, which become dead letters: the same ones whenever it is read.
pub const LINE_MAX: usize = 16 << 20;
/// A record of CSV that goes over several lines has to end within so many bytes. One that does not, or that goes on behind a closing quote, has a quote too
/// many: it is cut at its first line end, and reading goes on behind that.
pub const LINES_MAX: usize = 1 << 20;

/// How records lie in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Lines,
    /// A line of JSON for each row of a Parquet file.
    Rows,
    /// A line, or more where a quoted field has line ends.
    Csv(Csv),
}

impl Framing {
    /// Whether the first record of a file names the fields of all others.
    pub fn has_header(&self) -> bool {
        matches!(self, Framing::Csv(Csv { header: true, .. }))
    }

    /// Where the records of a block end that begins with one. What comes after the last end waits, unless the file ends there.
    pub fn ends(&self, data: &[u8], is_all: bool) -> Vec<u32> {
        match self {
            Framing::Lines | Framing::Rows => line_ends(data, is_all),
            Framing::Csv(_) if memchr::memchr(b'"', data).is_none() => line_ends(data, is_all),
            Framing::Csv(csv) => csv_ends(csv, data, is_all),
        }
    }
}

fn line_ends(data: &[u8], is_all: bool) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut start = 0;
    let mut cut = |start: &mut usize, end: usize, is_line: bool| {
        while LINE_MAX < end - *start {
            *start += LINE_MAX;
            ends.push(*start as u32);
        }
        if is_line && *start < end {
            *start = end;
            ends.push(end as u32);
        }
    };
    for newline in memchr::memchr_iter(b'\n', data) {
        cut(&mut start, newline + 1, true);
    }
    cut(&mut start, data.len(), is_all);
    ends
}

fn csv_ends(csv: &Csv, data: &[u8], is_all: bool) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut start = 0;
    while start < data.len() {
        let rest = &data[start..];
        let within = &rest[..rest.len().min(LINES_MAX)];
        let length = match csv.end_of_first(within) {
            Ended::At(length) => length,
            Ended::No if is_all && within.len() == rest.len() => rest.len(),
            Ended::No | Ended::InQuotes if !is_all && within.len() < LINES_MAX => break,
            // A quote that is never closed or none, or one long line.
            Ended::No | Ended::InQuotes | Ended::Broken => match memchr::memchr(b'\n', rest) {
                Some(end) if end < LINE_MAX => end + 1,
                Some(_) => LINE_MAX,
                None if LINE_MAX < rest.len() => LINE_MAX,
                None if is_all => rest.len(),
                None => break,
            },
        };
        start += length;
        ends.push(start as u32);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(framing: &Framing, data: &[u8], block: usize) -> Vec<u32> {
        let (mut pieces, mut pending, mut at) = (Vec::new(), Vec::new(), 0);
        let mut blocks = data.chunks(block).peekable();
        while let Some(part) = blocks.next() {
            pending.extend_from_slice(part);
            let ends = framing.ends(&pending, blocks.peek().is_none());
            pieces.extend(ends.iter().map(|it| at + it));
            let taken = ends.last().copied().unwrap_or(0);
            at += taken;
            pending.drain(..taken as usize);
        }
        pieces
    }

    #[test]
    fn a_line_without_end_is_cut_at_the_same_places_however_it_is_read() {
        let mut line = vec![b'x'; 2 * LINE_MAX + 10];
        line.push(b'\n');
        let data = [b"a\n", line.as_slice(), b"b\n"].concat();
        let quoted = [b"\"a\"\n", line.as_slice(), b"b\n"].concat();
        for (framing, data) in [
            (Framing::Lines, &data),
            (Framing::Csv(Csv::default()), &quoted),
        ] {
            let whole = framing.ends(data, false);
            let lengths: Vec<u32> = std::iter::once(whole[0])
                .chain(whole.windows(2).map(|it| it[1] - it[0]))
                .collect();
            assert_eq!(lengths[1..], [LINE_MAX as u32, LINE_MAX as u32, 11, 2]);
            for block in [LINE_MAX / 2 + 1, LINE_MAX + 7, data.len()] {
                assert_eq!(
                    pieces(&framing, data, block),
                    whole,
                    "in blocks of {block} bytes"
                );
            }
        }
    }

    #[test]
    fn a_quoted_field_has_line_ends_and_one_that_is_never_closed_is_cut_at_its_line() {
        let csv = Framing::Csv(Csv::default());
        let of = |data: &str| {
            let ends = csv.ends(data.as_bytes(), true);
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let parts = starts.zip(&ends);
            parts
                .map(|(from, to)| data[from as usize..*to as usize].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("1,\"a\nb\",2\n3,5\" pipe,4\n\"x\"\"\n\",\n5"),
            ["1,\"a\nb\",2\n", "3,5\" pipe,4\n", "\"x\"\"\n\",\n", "5"]
        );
        assert_eq!(
            of("1,\"a\n2,b\n3,\"c\nd\"\n"),
            ["1,\"a\n", "2,b\n", "3,\"c\nd\"\n"]
        );
        assert_eq!(csv.ends(b"1,\"a\nb", false), [] as [u32; 0]);
    }

    /// However a file is read, and from whichever record on, its records are the same ones.
    #[test]
    fn records_of_csv_are_the_same_from_wherever_they_are_read() {
        let csv = Framing::Csv(Csv::default());
        let mut data = Vec::new();
        for at in 0..40_000 {
            data.extend_from_slice(format!("{at},\"a \"\"{at}\"\"\nb\",x\n").as_bytes());
            if at == 20_000 {
                data.extend_from_slice(b"lost,\"never closed\n");
                data.extend(vec![b'y'; LINES_MAX + 3]);
                data.extend_from_slice(b"\n");
            }
        }
        data.extend_from_slice(b"last,\"line\nwithout end\"");
        let whole = csv.ends(&data, true);
        assert!(whole.len() > 40_000);
        for block in [4_099, LINES_MAX - 1, LINES_MAX + 1] {
            assert_eq!(pieces(&csv, &data, block), whole, "in blocks of {block}");
        }
        for at in (0..whole.len()).step_by(5_003).chain([20_001, 20_002]) {
            let from = whole[at] as usize;
            let rest = csv.ends(&data[from..], true);
            assert_eq!(
                rest.iter().map(|it| it + whole[at]).collect::<Vec<_>>(),
                whole[at + 1..]
            );
            assert_eq!(csv.ends(&data[..from], true), whole[..=at]);
        }
    }
}
