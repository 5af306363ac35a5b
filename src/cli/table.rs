//! Rows for people: columns under their names, numbers to the right, and no line wider than the terminal. The one printer of tables.
//!
//! On a terminal a row is one line. Where its columns do not fit beside each other, long texts are cut with `…`, and if that is not enough, columns
//! of the middle are left out; all of a row can be had as a block, with a line for each column. Into a pipe or a file every row is
//! one line, however long, and nothing is cut.

mod fit;
mod numbers;
mod sheet;
#[cfg(test)]
mod tests;

use super::print::Cell;
use clap::ValueEnum;
pub use fit::cut;
use fit::{Slot, cut_name};
pub use sheet::aligned;
use sheet::{Sheet, Style, WIDTH_MAX, styled};
use std::io::IsTerminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where a terminal does not say how wide it is.
const TERMINAL_COLUMNS: usize = 80;
/// Between columns.
const GAP: u16 = 2;
/// Stands where columns are left out.
const LEFT_OUT: &str = "…";
/// Longest line between the blocks of rows.
const RULE_COLUMNS: usize = 40;

/// What a column's values are, as far as it matters to how they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Never cut.
    Time,
    /// To the right, digit for digit.
    Number,
    /// To the right, with as many digits as one reads.
    Double,
}

impl Kind {
    /// Of a type, as SQL names it.
    pub fn of(type_name: &str) -> Kind {
        match type_name {
            "int" | "bigint" => Kind::Number,
            "double" => Kind::Double,
            "timestamp" | "date" | "time" => Kind::Time,
            it if it.starts_with("decimal") => Kind::Number,
            _ => Kind::Text,
        }
    }

    fn is_right(self) -> bool {
        matches!(self, Kind::Number | Kind::Double)
    }
}

/// Whether each row is a block with a line for each column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Expanded {
    /// Rows are lines; columns that do not fit are left out.
    #[default]
    Off,
    /// Rows are blocks.
    On,
    /// Rows are blocks where they are wider than the terminal.
    Auto,
}

/// How tables are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How wide lines may be; without end if not said.
    pub columns: Option<usize>,
    pub expanded: Expanded,
    pub colors: bool,
}

impl Look {
    /// For standard output: as wide as `COLUMNS` says or the terminal is; colours on a terminal, unless `NO_COLOR` is set.
    pub fn of_output(expanded: Expanded) -> Look {
        let is_terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let is_dumb = set("TERM").is_some_and(|it| it == "dumb");
        Look {
            columns: columns_of_terminal(is_terminal),
            expanded,
            colors: is_terminal && set("NO_COLOR").is_none() && !is_dumb,
        }
    }
}

fn columns_of_terminal(is_terminal: bool) -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok();
    if let Some(columns) = stated.and_then(|it| it.parse().ok()).filter(|it| 0 < *it) {
        return Some(columns);
    }
    if !is_terminal {
        return None;
    }
    let size = terminal_size::terminal_size().map(|it| usize::from(it.0.0));
    Some(size.filter(|it| 0 < *it).unwrap_or(TERMINAL_COLUMNS))
}

/// A table's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    pub text: String,
    /// How many columns it shows; fewer than there are where they do not fit.
    pub columns: usize,
    /// A name or a value was cut.
    pub is_cut: bool,
}

/// Names and cells.
#[derive(Clone, Debug, Default)]
pub struct Table {
    names: Vec<String>,
    kinds: Vec<Kind>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Of columns, by name and kind, and rows with a cell for each of them.
    pub fn new(columns: impl IntoIterator<Item = (String, Kind)>, rows: Vec<Vec<Cell>>) -> Self {
        let (names, kinds): (Vec<String>, Vec<Kind>) = columns.into_iter().unzip();
        let mut table = Table { names, kinds, rows };
        for (at, kind) in table.kinds.iter().enumerate() {
            let cells = table.rows.iter_mut().map(|it| &mut it[at]);
            match kind {
                Kind::Double => numbers::shorten(&mut cells.collect::<Vec<_>>()),
                Kind::Time => cells.for_each(numbers::shorten_time),
                Kind::Text | Kind::Number => {}
            }
        }
        table
    }

    /// How many columns it has.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// How many rows it has.
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// The text of a plan, if that is what it is: of many lines, which are none of a cell.
    pub fn plan(&self) -> Option<String> {
        if self.names != ["plan_type", "plan"] {
            return None;
        }
        let texts = self.rows.iter().map(|it| {
            let plan = it[1].text.replace("\\n", "\n");
            format!("{}\n{}\n", it[0].text, plan.trim_end())
        });
        Some(texts.collect::<Vec<_>>().join("\n"))
    }

    /// Only the first rows.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    /// Its text.
    pub fn laid(&self, look: Look) -> Laid {
        let whole: Vec<usize> = (0..self.names.len()).map(|it| self.natural(it)).collect();
        let is_wide = |columns: usize| columns < fit::total(&whole);
        match (look.expanded, look.columns) {
            (Expanded::On, columns) => self.blocks(columns.unwrap_or(usize::MAX), look.colors),
            (Expanded::Auto, Some(columns)) if is_wide(columns) => {
                self.blocks(columns, look.colors)
            }
            (_, Some(columns)) => {
                let least: Vec<usize> = (0..self.names.len()).map(|it| self.least(it)).collect();
                self.lines(&fit::slots(&whole, &least, columns), look.colors)
            }
            (_, None) => {
                let slots = whole.iter().enumerate();
                let slots: Vec<Slot> = slots
                    .map(|(at, width)| Slot::Column { at, width: *width })
                    .collect();
                self.lines(&slots, look.colors)
            }
        }
    }

    /// As wide as its widest cell, or its name; one at least.
    fn natural(&self, column: usize) -> usize {
        let name = self.names[column].width().max(1);
        self.widest_cell(column).max(name)
    }

    fn widest_cell(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|it| it[column].text.width());
        cells.max().unwrap_or(0)
    }

    /// What it cannot do without: of texts a beginning, of all else the values.
    fn least(&self, column: usize) -> usize {
        let name = self.names[column].width().min(fit::NAME_LEAST);
        match self.kinds[column] {
            Kind::Text => self.natural(column).min(fit::TEXT_LEAST),
            Kind::Time | Kind::Number | Kind::Double => self.widest_cell(column).max(name),
        }
    }

    /// A line for each row.
    fn lines(&self, slots: &[Slot], colors: bool) -> Laid {
        if slots.is_empty() {
            return Laid::default();
        }
        let mut sheet = Sheet::new(colors);
        let mut is_cut = false;
        let mut add = |gap: &str, of: &dyn Fn(usize, usize) -> (String, Style)| {
            sheet.add(slots.iter().map(|it| match it {
                Slot::Gap => (gap.to_owned(), Style::Plain),
                Slot::Column { at, width } => of(*at, *width),
            }));
        };
        add(LEFT_OUT, &|at, width| {
            (cut_name(&self.names[at], width), Style::Bold)
        });
        add("─", &|_, width| {
            ("─".repeat(width.min(WIDTH_MAX)), Style::Dim)
        });
        for row in &self.rows {
            add(LEFT_OUT, &|at, width| {
                let style = if row[at].is_null {
                    Style::Dim
                } else {
                    Style::Plain
                };
                (cut(&row[at].text, width), style)
            });
        }
        for slot in slots {
            if let Slot::Column { at, width } = slot {
                is_cut |= *width < self.natural(*at);
            }
        }
        let is_right = |slot: usize| match slots[slot] {
            Slot::Column { at, .. } => self.kinds[at].is_right(),
            Slot::Gap => false,
        };
        Laid {
            text: sheet.text(is_right),
            columns: slots.iter().filter(|it| **it != Slot::Gap).count(),
            is_cut,
        }
    }

    /// A block for each row, in which nothing is cut: long values go on under their beginning.
    fn blocks(&self, columns: usize, colors: bool) -> Laid {
        let names = self.names.iter().map(|it| it.width()).max().unwrap_or(0);
        let names = names.min(columns / 2).max(1);
        let values = columns.saturating_sub(names + usize::from(GAP)).max(1);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let head = format!("─ row {} ", number + 1);
            let rule = columns.min(RULE_COLUMNS).saturating_sub(head.width());
            let head = format!("{head}{}", "─".repeat(rule));
            text += &match colors {
                true => styled(head.trim_end(), Style::Dim),
                false => head.trim_end().to_owned(),
            };
            text.push('\n');
            let mut sheet = Sheet::new(colors);
            for (name, cell) in self.names.iter().zip(row) {
                let style = if cell.is_null {
                    Style::Dim
                } else {
                    Style::Plain
                };
                sheet.add([
                    (wrapped(name, names).join("\n"), Style::Dim),
                    (wrapped(&cell.text, values).join("\n"), style),
                ]);
            }
            text += &sheet.text(|_| false);
        }
        Laid {
            text,
            columns: self.names.len(),
            is_cut: false,
        }
    }
}

/// A text in lines of at most this width: one line at least, and one character in each.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        if width < used + wide && start < at {
            lines.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    lines.push(&text[start..]);
    lines
}
