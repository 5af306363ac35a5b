//! Records of CSV.
//!
//! ```text
//! id,name,since          a header: fields are those of its columns by name, and may be more than are declared
//! 1,"Müller, Anna",      a quoted field has delimiters, line ends and doubled quotes; an empty one without quotes is null
//! 2,"",2026-01-01        an empty one in quotes is an empty text
//! ```
//! Names of a header match columns as members of JSON do. Numbers, booleans and times may have spaces around them, text is as it is written.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::columns::{self, Kind, Rows, Slot, Target, recycle};
use super::json::Names;
use super::timestamp::Zone;
use super::{Column, Versions};
use crate::model::csv::{Csv, Ended, end_of_quoted};

pub(super) struct Reader {
    csv: Csv,
    names: Names,
    versions: Option<Versions>,
    /// The header that was read last, and what it says.
    header: Option<(Arc<[u8]>, Result<Arc<Layout>, String>)>,
    /// Without a header all declared columns are there, in order.
    by_position: Arc<Layout>,
    fields: Vec<Field>,
    /// Texts of quoted fields in which quotes were doubled.
    undoubled: String,
    slots: Vec<Slot<'static>>,
}

/// Which field each column is.
struct Layout {
    columns: Vec<Option<usize>>,
    fields: usize,
}

struct Field {
    text: Range<usize>,
    quoted: bool,
    /// Its text is that of the record without the doubled quotes.
    doubled: bool,
}

impl Field {
    fn text<'a>(&self, record: &'a str, undoubled: &'a str) -> &'a str {
        match self.doubled {
            true => &undoubled[self.text.clone()],
            false => &record[self.text.clone()],
        }
    }
}

impl Reader {
    pub(super) fn new(csv: &Csv, columns: &[Column], versions: Option<&Versions>) -> Self {
        let deleted = versions.map(|it| it.deleted);
        let mut by_position = vec![None; columns.len()];
        let declared = (0..columns.len()).filter(|it| Some(*it) != deleted);
        for (field, column) in declared.enumerate() {
            by_position[column] = Some(field);
        }
        Self {
            csv: csv.clone(),
            names: Names::new(columns),
            versions: versions.cloned(),
            header: None,
            by_position: Arc::new(Layout {
                fields: by_position.iter().flatten().count(),
                columns: by_position,
            }),
            fields: Vec::new(),
            undoubled: String::new(),
            slots: Vec::with_capacity(columns.len()),
        }
    }

    /// Appends the record as a row, or says why it is none. What has a header, and does not come with it, begins with it: a dead letter that is decoded
    /// again.
    pub(super) fn read(
        &mut self,
        header: Option<&Arc<[u8]>>,
        raw: &[u8],
        targets: &[Target],
        zone: Zone,
        rows: &mut Rows,
    ) -> Result<(), String> {
        let own = match (self.csv.header, header) {
            (false, _) | (true, Some(_)) => None,
            (true, None) => match self.csv.end_of_first(raw) {
                Ended::At(end) => Some((Arc::from(&raw[..end]), &raw[end..])),
                Ended::InQuotes | Ended::Broken | Ended::No => {
                    return Err("the record has no header".to_owned());
                }
            },
        };
        let (header, raw) = match &own {
            Some((header, raw)) => (Some(header), *raw),
            None => (header, raw),
        };
        let layout = match header.filter(|_| self.csv.header) {
            Some(header) => self.layout(header)?,
            None => Arc::clone(&self.by_position),
        };
        let text = str::from_utf8(raw).map_err(|_| "the record is not valid UTF-8".to_owned())?;
        self.split(text)?;
        if self.fields.len() != layout.fields {
            let fields = match self.fields.len() {
                1 => "1 field".to_owned(),
                more => format!("{more} fields"),
            };
            return Err(match header {
                Some(_) => format!("the record has {fields}, the header has {}", layout.fields),
                None => format!(
                    "the record has {fields}, and {} columns are declared",
                    layout.fields
                ),
            });
        }
        let mut slots = recycle(mem::take(&mut self.slots));
        let outcome = self.values(text, &layout, targets, zone, &mut slots);
        if outcome.is_ok() {
            rows.append(&slots, &mut []);
        }
        self.slots = recycle(slots);
        outcome
    }

    fn split(&mut self, record: &str) -> Result<(), String> {
        self.undoubled.clear();
        let (fields, undoubled) = (&mut self.fields, &mut self.undoubled);
        split(record, self.csv.delimiter, fields, undoubled)
    }

    fn values<'a>(
        &'a self,
        record: &'a str,
        layout: &Layout,
        targets: &'a [Target],
        zone: Zone,
        slots: &mut Vec<Slot<'a>>,
    ) -> Result<(), String> {
        let text = |column: usize| {
            let field = &self.fields[layout.columns[column]?];
            let text = field.text(record, &self.undoubled);
            let is_null = text.is_empty() || self.csv.null.as_deref() == Some(text);
            (field.quoted || !is_null).then_some((text, field.quoted))
        };
        let removes = self.versions.as_ref().filter(|it| {
            let value = text(it.deleted);
            value.is_some_and(|it| it.0.trim() == "true")
        });
        for (column, target) in targets.iter().enumerate() {
            let slot = match text(column) {
                None if removes.is_some_and(|it| !it.always.contains(&column)) => Slot::Null,
                None if layout.columns[column].is_none() => target.missing(zone)?,
                None => target.null()?,
                Some((text, quoted)) => {
                    let is_text = matches!(target.kind, Kind::Text | Kind::Json | Kind::Bytes);
                    let text = match quoted || is_text {
                        true => text,
                        false => text.trim(),
                    };
                    columns::text(target.kind, text, zone)
                        .map_err(|why| target.refuse(format!("{text:?}"), why))?
                }
            };
            slots.push(slot);
        }
        Ok(())
    }

    fn layout(&mut self, header: &Arc<[u8]>) -> Result<Arc<Layout>, String> {
        match &self.header {
            Some((known, layout)) if known == header => layout.clone(),
            _ => {
                let layout = self.by_name(header).map(Arc::new);
                self.header = Some((Arc::clone(header), layout.clone()));
                layout
            }
        }
    }

    fn by_name(&mut self, header: &[u8]) -> Result<Layout, String> {
        let text = str::from_utf8(super::without_line_end(header))
            .map_err(|_| "the header is not valid UTF-8".to_owned())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.split(text)
            .map_err(|it| format!("of the header: {it}"))?;
        let mut columns = vec![None; self.by_position.columns.len()];
        for (at, field) in self.fields.iter().enumerate() {
            let name = field.text(text, &self.undoubled);
            let Some(column) = self.names.column(name.trim()) else {
                continue;
            };
            if columns[column].replace(at).is_some() {
                return Err(format!("the header has {:?} twice", name.trim()));
            }
        }
        if columns.iter().all(Option::is_none) {
            let shown: String = text.chars().take(80).collect();
            return Err(format!(
                "the header names none of the declared columns: {shown:?}; write header = 'false' if the files have none"
            ));
        }
        Ok(Layout {
            columns,
            fields: self.fields.len(),
        })
    }
}

/// Cuts a record into its fields.
fn split(
    record: &str,
    delimiter: u8,
    fields: &mut Vec<Field>,
    undoubled: &mut String,
) -> Result<(), String> {
    fields.clear();
    let bytes = record.as_bytes();
    let mut at = 0;
    loop {
        let number = fields.len() + 1;
        if bytes.get(at) == Some(&b'"') {
            let length = end_of_quoted(&bytes[at..])
                .ok_or_else(|| format!("the quote of field {number} is never closed"))?;
            let text = at + 1..at + length - 1;
            let doubled = memchr::memchr(b'"', &bytes[text.clone()]).is_some();
            let text = match doubled {
                true => {
                    let from = undoubled.len();
                    undoubled.push_str(&record[text].replace("\"\"", "\""));
                    from..undoubled.len()
                }
                false => text,
            };
            fields.push(Field {
                text,
                quoted: true,
                doubled,
            });
            at += length;
            if at < bytes.len() && bytes[at] != delimiter {
                return Err(format!(
                    "field {number} goes on behind its closing quote; a quote within is doubled"
                ));
            }
        } else {
            let length = memchr::memchr2(delimiter, b'\n', &bytes[at..]);
            let length = length.unwrap_or(bytes.len() - at);
            if bytes.get(at + length) == Some(&b'\n') {
                return Err(format!(
                    "the record ends in field {number}, and there is more behind its line end; a field with line ends is in quotes"
                ));
            }
            fields.push(Field {
                text: at..at + length,
                quoted: false,
                doubled: false,
            });
            at += length;
        }
        if at == bytes.len() {
            return Ok(());
        }
        at += 1;
    }
}
