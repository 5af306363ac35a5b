//! `lake history` and `lake files`: what became of a lake, and what a table is made of.

use super::{Of, epoch_text, listed, of_lake, print_json, print_table, time};
use crate::cli::exit;
use crate::cli::print::{Out, printable};
use crate::cli::size;
use crate::cli::table::Kind;
use crate::cli::terminal::{count, number};
use crate::lake::{CommitFacts, FileEntry, Store, VersionFacts};
use anyhow::Result;
use serde::Serialize;
use std::io::Write;

pub async fn history(table: Option<&str>, limit: usize, of: &Of) -> Result<()> {
    let (store, dataflow) = of.open().await?;
    let Some(table) = table else {
        let commits = of_lake(store.commits(&dataflow, limit).await)?;
        if of.json {
            return print_json(&commits);
        }
        let row = |it: CommitFacts| {
            let tables: Vec<String> = it
                .versions
                .iter()
                .map(|(name, version)| format!("{} {version}", printable(name)))
                .collect();
            [
                it.number.to_string(),
                it.generation.to_string(),
                time(it.written_ms),
                epoch_text(it.epoch),
                it.operation,
                number(it.records),
                format!("+{} -{}", it.files_added, it.files_removed),
                size::shown(it.bytes_added),
                tables.join(", "),
            ]
        };
        return print_table(
            [
                ("commit", Kind::Number),
                ("generation", Kind::Number),
                ("written", Kind::Time),
                ("epoch", Kind::Time),
                ("operation", Kind::Text),
                ("records", Kind::Number),
                ("files", Kind::Number),
                ("bytes", Kind::Number),
                ("versions", Kind::Text),
            ],
            commits.into_iter().map(row).collect(),
        );
    };
    known_table(&store, table).await?;
    let versions = of_lake(store.versions(table, limit).await)?;
    if of.json {
        return print_json(&versions);
    }
    let row = |it: VersionFacts| {
        let text = |it: Option<u64>| it.map_or(String::new(), |it| it.to_string());
        [
            it.version.to_string(),
            it.written_ms.map_or(String::new(), time),
            it.epoch.map_or(String::new(), epoch_text),
            text(it.commit),
            printable(&it.operation),
            it.rows_added.map_or("?".to_owned(), number),
            format!("+{} -{}", it.files_added, it.files_removed),
            size::shown(it.bytes_added),
            printable(&it.engine.unwrap_or_default()),
        ]
    };
    print_table(
        [
            ("version", Kind::Number),
            ("written", Kind::Time),
            ("epoch", Kind::Time),
            ("commit", Kind::Number),
            ("operation", Kind::Text),
            ("rows added", Kind::Number),
            ("files", Kind::Number),
            ("bytes added", Kind::Number),
            ("by", Kind::Text),
        ],
        versions.into_iter().map(row).collect(),
    )
}

async fn known_table(store: &Store, table: &str) -> Result<()> {
    let tables = of_lake(store.tables().await)?;
    if tables.iter().any(|it| it == table) {
        return Ok(());
    }
    let text = format!(
        "the lake has no table {:?}; it has {}",
        printable(table),
        listed(&tables)
    );
    Err(exit::coded(exit::USAGE, text))
}

#[derive(Serialize)]
struct Files<'a> {
    table: &'a str,
    version: u64,
    files: Vec<FileEntry>,
}

pub async fn files(table: &str, version: Option<u64>, of: &Of) -> Result<()> {
    let (store, _) = of.open().await?;
    known_table(&store, table).await?;
    let (version, files) = of_lake(store.files_of(table, version).await)?;
    if of.json {
        return print_json(&Files {
            table,
            version,
            files,
        });
    }
    let bytes: u64 = files.iter().map(|it| it.bytes).sum();
    let rows: Option<u64> = files.iter().map(|it| it.rows).sum();
    let many = files.len() as u64;
    let row = |it: FileEntry| {
        [
            printable(&it.path),
            it.rows.map_or("?".to_owned(), number),
            size::shown(it.bytes),
        ]
    };
    print_table(
        [
            ("file", Kind::Text),
            ("rows", Kind::Number),
            ("bytes", Kind::Number),
        ],
        files.into_iter().map(row).collect(),
    )?;
    let rows = rows.map_or(String::new(), |it| format!(", {}", count(it, "row")));
    Ok(writeln!(
        Out::new(),
        "version {version} of {table}: {}{rows}, {}",
        count(many, "file"),
        size::shown(bytes)
    )?)
}
