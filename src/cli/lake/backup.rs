//! `lake backup`, `backups` and `restore`: copies of a lake, and lakes made of them.

use super::{Of, epoch_text, of_lake, print_json, print_table, time};
use crate::cli::exit;
use crate::cli::print::{Out, printable};
use crate::cli::size;
use crate::cli::table::Kind;
use crate::cli::terminal::{count, number};
use crate::lake::{self, Point, Store};
use crate::model::Epoch;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// A backup for machines, without its many files.
#[derive(Serialize)]
struct Told {
    commit: u64,
    epoch: Epoch,
    written_ms: u64,
    taken_ms: u64,
    dataflow: String,
    files: u64,
    bytes: u64,
    versions: BTreeMap<String, u64>,
}

impl Told {
    fn of(point: &Point) -> Self {
        Told {
            commit: point.number,
            epoch: point.epoch,
            written_ms: point.written_ms,
            taken_ms: point.taken_ms,
            dataflow: point.dataflow.clone(),
            files: point.files.len() as u64,
            bytes: point.bytes(),
            versions: point.versions.clone(),
        }
    }
}

pub async fn backup(place: &str, keep: Option<u16>, of: &Of) -> Result<()> {
    let (store, dataflow) = of.open().await?;
    let place = of_lake(Store::open(place))?;
    if place.url.as_str().starts_with(store.url.as_str()) {
        return Err(exit::coded(
            exit::USAGE,
            format!(
                "{} is inside the lake; name a place outside of it",
                place.url
            ),
        ));
    }
    let keep = keep.map(usize::from);
    let taken = of_lake(store.back_up(&dataflow, &place, keep).await)?;
    if of.json {
        return print_json(&Told::of(&taken.point));
    }
    let forgotten = match taken.deleted {
        0 => String::new(),
        some => format!("; {} of forgotten backups deleted", count(some, "file")),
    };
    let point = &taken.point;
    Ok(writeln!(
        Out::new(),
        "commit {} of {} is in {}: {}, {}, of which {} ({}) were new{forgotten}",
        point.number,
        epoch_text(point.epoch),
        place.url,
        count(point.files.len() as u64, "file"),
        size::shown(point.bytes()),
        number(taken.copied),
        size::shown(taken.copied_bytes),
    )?)
}

pub async fn backups(place: &str, json: bool) -> Result<()> {
    let store = Store::open_existing(place);
    let store = store.map_err(|it| exit::coded(exit::USAGE, it.to_string()))?;
    let points = of_lake(store.backups().await)?;
    if json {
        return print_json(&points.iter().map(Told::of).collect::<Vec<_>>());
    }
    if points.is_empty() {
        return Ok(writeln!(Out::new(), "there is no backup in {}", store.url)?);
    }
    let row = |it: &Point| {
        [
            it.number.to_string(),
            epoch_text(it.epoch),
            time(it.taken_ms),
            printable(&it.dataflow),
            number(it.files.len() as u64),
            size::shown(it.bytes()),
        ]
    };
    print_table(
        [
            ("commit", Kind::Number),
            ("epoch", Kind::Time),
            ("taken", Kind::Time),
            ("dataflow", Kind::Text),
            ("files", Kind::Number),
            ("bytes", Kind::Number),
        ],
        points.iter().rev().map(row).collect(),
    )
}

pub async fn restore(place: &str, lake: &str, which: lake::AsOf, json: bool) -> Result<()> {
    let from = Store::open_existing(place);
    let from = from.map_err(|it| exit::coded(exit::USAGE, it.to_string()))?;
    let to = of_lake(Store::open(lake))?;
    let point = of_lake(from.restore(which, &to).await)?;
    if json {
        return print_json(&Told::of(&point));
    }
    Ok(writeln!(
        Out::new(),
        "{} is commit {} of {}, up to {}: {}, {}; the pipeline goes on from it with `tidelake run DATAFLOW --lake {lake}`",
        to.url,
        point.number,
        point.dataflow,
        epoch_text(point.epoch),
        count(point.files.len() as u64, "file"),
        size::shown(point.bytes()),
    )?)
}
