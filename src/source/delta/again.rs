//! Versions read once more, for proofs.

use super::table::{Fault, Table};
use super::{Numbered, PARTITION, Part};
use crate::source::Error;
use crate::source::decode::RawRecords;
use crate::source::file::{Missing, Span};

/// Bytes of lines that are handed over at once.
const PART_BYTES: usize = 16 << 20;

/// Reads rows that were read before, from whatever versions are there now. Returns what is missing.
///
/// # Errors
/// If nothing can be read at all.
pub fn read_again(
    table: &Table,
    span: &Span,
    take: &mut dyn FnMut(RawRecords),
) -> Result<Vec<Missing>, Error> {
    let failed = |source| Error::Folder {
        path: table.path.clone(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let anchors: Vec<(&str, Part)> = span
        .origins
        .iter()
        .filter_map(|it| {
            let (id, anchor) = it.split_once('|')?;
            Some((id, Part::parse(anchor)?))
        })
        .collect();
    let mut missing = Vec::new();
    let mut at = span.from.0;
    for (number, (id, anchor)) in anchors.iter().enumerate() {
        let next = anchors.get(number + 1);
        let end = next.map_or(span.until.0, |it| it.1.begin.min(span.until.0));
        if at < anchor.begin.min(span.until.0) {
            missing.push(Missing::gone(at..anchor.begin));
            at = anchor.begin;
        }
        if end <= at {
            continue;
        }
        match runtime.block_on(walk(table, id, *anchor, at..end, take)) {
            Some(reached) if reached < end => missing.push(Missing::gone(reached..end)),
            Some(_) => {}
            None => missing.push(Missing {
                offsets: at..end,
                changed: Some(table.path.clone()),
            }),
        }
        at = end;
    }
    if at < span.until.0 {
        missing.push(Missing::gone(at..span.until.0));
    }
    Ok(missing)
}

/// Hands over the rows from a part on, as far as versions can be read; says up to which offset. Nothing if the table is not there, or another one is.
async fn walk(
    table: &Table,
    id: &str,
    mut part: Part,
    range: std::ops::Range<i64>,
    take: &mut dyn FnMut(RawRecords),
) -> Option<i64> {
    let newest = table.at(None).await.ok()?;
    if Table::id(&newest).as_deref() != Ok(id) {
        return None;
    }
    let mut rows = Numbered::new(part.begin, range.start, range.end);
    loop {
        let begin = rows.at;
        let read = match part.is_all {
            true => match table.at(Some(part.version)).await {
                Ok(version) => {
                    let mut add = |lines: Vec<u8>| {
                        rows.add(&lines);
                        if PART_BYTES <= rows.raw.data.len() {
                            take(rows.take());
                        }
                        true
                    };
                    table.all(&version, &mut add).await
                }
                Err(fault) => Err(fault),
            },
            false => match table.changes(&newest, id, part.version).await {
                Ok(Some(lines)) => {
                    rows.add(&lines);
                    Ok(())
                }
                Ok(None) => Err(Fault::Gone("it is not in the log".to_owned())),
                Err(fault) => Err(fault),
            },
        };
        if !rows.raw.offsets.is_empty() {
            debug_assert_eq!(rows.raw.partition, PARTITION);
            take(rows.take());
        }
        if let Err(fault) = read {
            tracing::debug!("version {} cannot be read again: {fault:?}", part.version);
            return Some(rows.at.max(range.start).max(begin).min(range.end));
        }
        if range.end <= rows.at {
            return Some(range.end);
        }
        part = Part {
            version: part.version + 1,
            is_all: false,
            begin: rows.at,
        };
    }
}
