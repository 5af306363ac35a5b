//! `lake vacuum`: deletes what no version within the retention needs.

use super::{Of, print_json, print_table};
use crate::cli::print::{Out, printable};
use crate::cli::size;
use crate::cli::table::Kind;
use crate::cli::terminal::{count, number};
use crate::coordinator::upkeep;
use crate::lake::{Waste, Why};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

#[derive(Serialize)]
struct Vacuumed {
    dry_run: bool,
    retention_hours: u16,
    deleted: BTreeMap<String, Vec<Waste>>,
}

pub async fn vacuum(retention: u16, dry_run: bool, of: &Of) -> Result<()> {
    let (store, dataflow) = of.open().await?;
    let keep = Duration::from_secs(3600 * u64::from(retention));
    let deleted = upkeep::vacuum(&store, &dataflow, keep, dry_run).await?;
    if of.json {
        return print_json(&Vacuumed {
            dry_run,
            retention_hours: retention,
            deleted,
        });
    }
    let mut sums: BTreeMap<(String, Why), (u64, u64)> = BTreeMap::new();
    for (table, waste) in &deleted {
        for it in waste {
            let sum = sums.entry((table.clone(), it.why)).or_default();
            *sum = (sum.0 + 1, sum.1 + it.bytes);
        }
    }
    let total = sums.values().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let row = |((table, why), (files, bytes)): ((String, Why), (u64, u64))| {
        [
            printable(&table),
            number(files),
            size::shown(bytes),
            why.text().to_owned(),
        ]
    };
    if !sums.is_empty() {
        print_table(
            [
                ("of", Kind::Text),
                ("files", Kind::Number),
                ("bytes", Kind::Number),
                ("what", Kind::Text),
            ],
            sums.into_iter().map(row).collect(),
        )?;
    }
    let would = match dry_run {
        true => "would be deleted; nothing was (--dry-run)",
        false => "deleted",
    };
    Ok(writeln!(
        Out::new(),
        "{}, {} {would}; versions of the last {} stay readable",
        count(total.0, "file"),
        size::shown(total.1),
        count(retention.into(), "hour")
    )?)
}
