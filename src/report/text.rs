//! A report as text, for a terminal or a mail: as wide as it is told, and nothing in it steers a terminal.
//!
//! A table that is wider is cut between its columns and goes on below, with what tells its rows apart repeated.

use super::numbers::{shown, time};
use super::{Column, Report, Section, Shape};
use crate::plan::Role;

/// Rows of a table that are printed.
const ROWS_MAX: usize = 50;
/// Characters of a column: of a key, and of prose.
const CELL_MAX: usize = 32;
const TEXT_MAX: usize = 60;
const CELL_LEAST: usize = 12;
const HEADING_LEAST: usize = 8;
const GAP: &str = "  ";

/// The report in lines of at most so many characters.
pub fn text(report: &Report, width: usize) -> String {
    let title = format!("{}: {}", safe(&report.dataflow), report.name);
    let mut lines = wrapped(&title, width);
    let end = |it: &Option<String>| it.as_deref().map_or_else(|| "no records".to_owned(), time);
    let range = format!(
        "{} .. {}, {} ({})",
        end(&report.from),
        end(&report.to),
        report.zone,
        safe(&report.range)
    );
    lines.extend(wrapped(&range, width));
    let commit = format!(
        "commit {} of the lake, as of {} (epoch {})",
        report.commit.number,
        time(&report.commit.as_of),
        report.commit.epoch
    );
    lines.extend(wrapped(&commit, width));
    let versions = report.commit.versions.iter();
    let versions: Vec<String> = versions
        .map(|(table, version)| format!("{} {version}", safe(table)))
        .collect();
    lines.extend(wrapped(
        &format!("versions: {}", versions.join(", ")),
        width,
    ));
    for note in &report.notes {
        lines.extend(wrapped(&format!("Note: {}", safe(note)), width));
    }
    for part in &report.parts {
        lines.push(String::new());
        lines.push(format!("== {} ==", part.title));
        if let Some(missing) = &part.missing {
            lines.extend(wrapped(&safe(missing), width));
        }
        for section in &part.sections {
            lines.push(String::new());
            lines.extend(wrapped(&safe(&section.title), width));
            lines.extend(match section.shape {
                Shape::Values => values(section),
                Shape::Table => table(section, width),
            });
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Text from elsewhere: what would steer a terminal, break a line or turn its order is written out.
fn safe(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for it in text.chars() {
        let steers = it.is_control()
            || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        match steers {
            true => all.extend(it.escape_default()),
            false => all.push(it),
        }
    }
    all
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one");
        if last.is_empty() {
            last.push_str(word);
        } else if length(last) + 1 + length(word) <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: String, width: usize) -> String {
    match length(&text) <= width {
        true => text,
        false => text.chars().take(width.max(1) - 1).chain(['…']).collect(),
    }
}

/// A line for each figure of the one row.
fn values(section: &Section) -> Vec<String> {
    let Some(row) = section.rows.first() else {
        return vec!["no rows".to_owned()];
    };
    let widest = section.columns.iter().map(|it| length(&it.heading())).max();
    let widest = widest.unwrap_or_default();
    let line = |column: &Column| {
        let value = row.get(&column.name).unwrap_or(&serde_json::Value::Null);
        format!(
            "{:<widest$}{GAP}{}",
            safe(&column.heading()),
            safe(&shown(column, value))
        )
    };
    section.columns.iter().map(line).collect()
}

fn table(section: &Section, width: usize) -> Vec<String> {
    if section.rows.is_empty() {
        return vec!["no rows".to_owned()];
    }
    let cells: Vec<Sheet> = section
        .columns
        .iter()
        .map(|it| sheet(it, section))
        .collect();
    let mut lines = Vec::new();
    let blocks = blocks(&cells, width);
    for (number, block) in blocks.iter().enumerate() {
        if 0 < number {
            lines.push(String::new());
        }
        let used: usize = block.iter().map(|it| cells[*it].width + GAP.len()).sum();
        // A text that is too long for a line is cut.
        let over = used.saturating_sub(GAP.len() + width);
        let line = |cell_of: &dyn Fn(&Sheet) -> String| {
            let one = |at: &usize| {
                let sheet = &cells[*at];
                let is_widest = block.iter().all(|it| cells[*it].width <= sheet.width);
                let width = match is_widest && 0 < over {
                    true => sheet.width.saturating_sub(over).max(CELL_LEAST),
                    false => sheet.width,
                };
                let cell = cut(cell_of(sheet), width);
                match sheet.is_figure {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                }
            };
            let line: Vec<String> = block.iter().map(one).collect();
            line.join(GAP).trim_end().to_owned()
        };
        // Headings end where the rows begin.
        let height = block.iter().map(|it| cells[*it].heading.len()).max();
        for left in (1..=height.unwrap_or_default()).rev() {
            lines.push(line(&|it| {
                let at = it.heading.len().checked_sub(left);
                at.map(|at| it.heading[at].clone()).unwrap_or_default()
            }));
        }
        for row in 0..section.rows.len().min(ROWS_MAX) {
            lines.push(line(&|it| it.cells[row].clone()));
        }
    }
    if let more @ 1.. = section.rows.len().saturating_sub(ROWS_MAX) {
        lines.push(format!("… {more} more rows: -o json and -o html have all"));
    }
    lines
}

/// A column with its heading, in lines, and its cells.
struct Sheet {
    heading: Vec<String>,
    cells: Vec<String>,
    width: usize,
    is_figure: bool,
}

fn sheet(column: &Column, section: &Section) -> Sheet {
    let null = serde_json::Value::Null;
    let is_text = column.is(Role::Text);
    let most = if is_text { TEXT_MAX } else { CELL_MAX };
    let rows = section.rows.iter().take(ROWS_MAX);
    let values = rows.map(|it| shown(column, it.get(&column.name).unwrap_or(&null)));
    let cells: Vec<String> = values.map(|it| cut(safe(&it), most)).collect();
    let widest = |all: &[String]| all.iter().map(|it| length(it)).max().unwrap_or_default();
    let room = widest(&cells).max(HEADING_LEAST);
    let mut heading = vec![String::new()];
    for word in safe(&column.heading()).split(' ') {
        let last = heading.last_mut().expect("there is one");
        match last.is_empty() {
            true => last.push_str(word),
            false if length(last) + 1 + length(word) <= room => {
                last.push(' ');
                last.push_str(word);
            }
            false => heading.push(word.to_owned()),
        }
    }
    Sheet {
        width: widest(&cells).max(widest(&heading)),
        heading,
        cells,
        is_figure: column.is_figure(),
    }
}

/// Columns that stand side by side. What stands before the first figure is repeated in each block.
fn blocks(sheets: &[Sheet], width: usize) -> Vec<Vec<usize>> {
    let space = |all: &[usize]| -> usize {
        let widths = all.iter().map(|it| sheets[*it].width + GAP.len());
        widths.sum::<usize>().saturating_sub(GAP.len())
    };
    let keys = sheets.iter().take_while(|it| !it.is_figure).count();
    let mut repeated: Vec<usize> = (0..keys).collect();
    if width / 2 < space(&repeated) {
        repeated.truncate(1);
    }
    let mut blocks = Vec::new();
    let mut block = repeated.clone();
    for at in repeated.len()..sheets.len() {
        block.push(at);
        if width < space(&block) && repeated.len() + 1 < block.len() {
            block.pop();
            blocks.push(std::mem::replace(&mut block, repeated.clone()));
            block.push(at);
        }
    }
    blocks.push(block);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    #[test]
    fn columns_stand_side_by_side_as_far_as_there_is_room() {
        for (columns, width) in (1..40).flat_map(|it| [40, 80].map(|width| (it, width))) {
            let names: Vec<String> = (0..columns).map(|it| format!("c{it}")).collect();
            let row = names.iter().map(|it| (it.clone(), json!(1_234)));
            let section = Section {
                id: String::new(),
                title: String::new(),
                shape: Shape::Table,
                columns: names
                    .iter()
                    .map(|it| Column::new(it, "some count", Role::Count))
                    .collect(),
                rows: vec![row.collect::<Map<_, _>>()],
                charts: Vec::new(),
                sql: String::new(),
            };
            let lines = table(&section, width);
            let told = lines
                .iter()
                .map(|it| it.matches("1,234").count())
                .sum::<usize>();
            assert!(columns <= told, "{lines:?}");
            for line in &lines {
                assert!(length(line) <= width, "{line:?}");
            }
        }
    }
}
