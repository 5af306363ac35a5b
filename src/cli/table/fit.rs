//! Which columns a line has room for, and how much each of them gets.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const GAP: usize = super::GAP as usize;

/// A column of texts is not made narrower than this.
pub const TEXT_LEAST: usize = 12;
/// Nor that of a name.
pub const NAME_LEAST: usize = 8;

/// What stands in a line: a column, or a sign that some are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Column { at: usize, width: usize },
    Gap,
}

/// How wide a line with columns of these widths is.
pub fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// The columns that fit, by how wide they are as a whole and at least. The widest ones give way first; where that is not enough, those of the
/// middle are left out. One is always there, cut to the line.
pub fn slots(whole: &[usize], least: &[usize], columns: usize) -> Vec<Slot> {
    let all: Vec<usize> = (0..whole.len()).collect();
    if let Some(widths) = widths(&all, whole, least, columns) {
        return placed(&all, &widths);
    }
    let mut kept: Vec<usize> = Vec::new();
    let (mut left, mut right) = (0, whole.len());
    // From both ends in turn, as long as there is room for the sign between them.
    let room = columns.saturating_sub(GAP + 1);
    while left < right {
        let at = match kept.len() % 2 {
            0 => left,
            _ => right - 1,
        };
        let with: Vec<usize> = kept.iter().chain([&at]).map(|it| least[*it]).collect();
        if room < total(&with) {
            break;
        }
        match kept.len() % 2 {
            0 => left += 1,
            _ => right -= 1,
        }
        kept.push(at);
    }
    kept.sort_unstable();
    if kept.is_empty() {
        let one = Slot::Column {
            at: 0,
            width: whole[0].min(room.max(1)),
        };
        return match GAP + 1 < columns && 1 < whole.len() {
            true => vec![one, Slot::Gap],
            false => vec![Slot::Column {
                at: 0,
                width: whole[0].min(columns),
            }],
        };
    }
    let widths = widths(&kept, whole, least, room).unwrap_or_default();
    let mut slots = placed(&kept, &widths);
    slots.insert(left, Slot::Gap);
    slots
}

fn placed(at: &[usize], widths: &[usize]) -> Vec<Slot> {
    let both = at.iter().zip(widths);
    both.map(|(at, width)| Slot::Column {
        at: *at,
        width: *width,
    })
    .collect()
}

/// How wide each of some columns is, so that all of them fit: as it is, or cut down to a common width, but never below its least one.
fn widths(some: &[usize], whole: &[usize], least: &[usize], columns: usize) -> Option<Vec<usize>> {
    let narrowed = |most: usize| -> Vec<usize> {
        let widths = some.iter().map(|it| whole[*it].min(most.max(least[*it])));
        widths.collect()
    };
    let widest = some.iter().map(|it| whole[*it]).max().unwrap_or(0);
    if total(&narrowed(widest)) <= columns {
        return Some(narrowed(widest));
    }
    let fitting = (1..=widest.min(columns)).rev().map(narrowed);
    fitting.into_iter().find(|it| total(it) <= columns)
}

/// A text in at most so many columns; what is cut off is told by `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    format!("{}…", beginning(text, width.saturating_sub(1)))
}

/// A name in at most so many columns. Its end stays: names of one family begin alike.
pub fn cut_name(name: &str, width: usize) -> String {
    if name.width() <= width {
        return name.to_owned();
    }
    let end = width.saturating_sub(1).div_ceil(2).min(4);
    let reversed: String = name.chars().rev().collect();
    let end: String = beginning(&reversed, end).chars().rev().collect();
    let begin = beginning(name, width.saturating_sub(1 + end.width()));
    format!("{begin}…{end}")
}

fn beginning(text: &str, width: usize) -> &str {
    let mut used = 0;
    let over = text.char_indices().find(|it| {
        used += it.1.width().unwrap_or(0);
        width < used
    });
    over.map_or(text, |it| &text[..it.0])
}
