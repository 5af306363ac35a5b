//! Texts in columns, laid out by comfy-table, which measures, fills and aligns them: no borders, a gap between columns, and no blanks at the end of
//! a line.
//!
//! Styles are set with characters that have no width and that no text from elsewhere holds, since [`printable`](crate::cli::print::printable) takes
//! them out. What the library measures is what is seen, therefore; they become sequences for the terminal afterwards.

use super::GAP;
use comfy_table::{Cell, CellAlignment, Table, presets};
use unicode_width::UnicodeWidthStr;

/// The library counts columns in 16 bits. Texts that are wider than this are put in when all else is laid out.
pub const WIDTH_MAX: usize = 10_000;

const BOLD: char = '\u{2061}';
const DIM: char = '\u{2062}';
const PLAIN: char = '\u{2063}';
/// Stands for a text that is put in later.
const WIDE: char = '\u{2064}';

/// How a text looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
}

/// Rows of texts.
pub struct Sheet {
    table: Table,
    colors: bool,
    wide: Vec<String>,
}

impl Sheet {
    /// Without colours styles are not seen.
    pub fn new(colors: bool) -> Sheet {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        Sheet {
            table,
            colors,
            wide: Vec::new(),
        }
    }

    /// Adds a row. A text of several lines makes it as high.
    pub fn add(&mut self, texts: impl IntoIterator<Item = (String, Style)>) {
        let mut cells = Vec::new();
        for (text, style) in texts {
            let lines: Vec<String> = text.split('\n').map(|it| self.line(it, style)).collect();
            cells.push(Cell::new(lines.join("\n")));
        }
        self.table.add_row(cells);
    }

    fn line(&mut self, text: &str, style: Style) -> String {
        let mut line = text.to_owned();
        if WIDTH_MAX < text.width() {
            self.wide
                .push(std::mem::replace(&mut line, WIDE.to_string()));
        }
        match self.colors {
            true => marked(&line, style),
            false => line,
        }
    }

    /// Its lines, each with its end. Columns stand at the left, but for those that `is_right` says.
    pub fn text(mut self, is_right: impl Fn(usize) -> bool) -> String {
        if self.table.is_empty() {
            return String::new();
        }
        let columns = self.table.column_count();
        for (at, column) in self.table.column_iter_mut().enumerate() {
            let gap = if at + 1 < columns { GAP } else { 0 };
            column.set_padding((0, gap));
            if is_right(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let laid = self.table.trim_fmt();
        let mut parts = laid.split(WIDE);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (wide, part) in self.wide.iter().zip(parts) {
            text += wide;
            text += part;
        }
        text.push('\n');
        match self.colors {
            true => colored(&text),
            false => text,
        }
    }
}

/// A text in a style of the terminal.
pub fn styled(text: &str, style: Style) -> String {
    colored(&marked(text, style))
}

fn marked(text: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        _ if text.is_empty() => String::new(),
        Style::Bold => format!("{BOLD}{text}{PLAIN}"),
        Style::Dim => format!("{DIM}{text}{PLAIN}"),
    }
}

fn colored(text: &str) -> String {
    text.replace(BOLD, "\u{1b}[1m")
        .replace(DIM, "\u{1b}[2m")
        .replace(PLAIN, "\u{1b}[0m")
}

/// A line for each row of texts, in columns; line ends within texts become blanks.
pub fn aligned<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Vec<String> {
    let mut sheet = Sheet::new(false);
    for row in rows {
        sheet.add(row.map(|it| (it.replace('\n', " "), Style::Plain)));
    }
    let text = sheet.text(|_| false);
    text.lines().map(str::to_owned).collect()
}
