//! `lake`: what a lake is made of and became of it, and its upkeep: what is not needed, files written anew, copies.
//!
//! Nothing here needs the dataflow's text: a lake says of itself whose it is, and of each table what it looks like.

use super::exit;
use super::model::LakeArgument;
use super::print::{Cell, Out, printable};
use super::shell::as_of::AsOf;
use super::table::{Expanded, Kind, Look, Table};
use super::terminal::{count, number};
use crate::coordinator::{self, upkeep};
use crate::lake::{
    self, CommitFacts, FileEntry, OptimizeRequest, Optimized, Point, Store, VersionFacts, Wanted,
    Waste, Why, needed_by,
};
use crate::model::{Epoch, iso_of_micros, wall_ms};
use anyhow::Result;
use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// How often it is looked whether a request is done, and whether who was asked still lives.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const ASK_AFTER: u32 = 10;

#[derive(Subcommand)]
pub enum What {
    /// Lists the newest commits of a lake, or the versions of one table.
    #[command(
        after_help = "Examples:\n  tidelake lake history\n  tidelake lake history logs --limit 100\n\nA lake keeps the manifests of its newest thousand commits, and each table the versions of the retention (168 hours unless told otherwise)."
    )]
    History {
        /// A table; without it the commits of the whole lake.
        table: Option<String>,
        /// So many, the newest first.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        of: Of,
    },
    /// Lists the files of a table.
    Files {
        /// The table.
        table: String,
        /// Of this version. [default: the newest]
        #[arg(long)]
        version: Option<u64>,
        #[command(flatten)]
        of: Of,
    },
    /// Deletes what no version within the retention needs.
    ///
    /// Safe beside a running engine, which does the same by itself now and then. What the newest commit needs stays in any case.
    #[command(
        after_help = "Examples:\n  tidelake lake vacuum --dry-run\n  tidelake lake vacuum --retention 24"
    )]
    Vacuum {
        /// Hours for which versions of tables stay readable; at most a week.
        #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u16).range(1..=168))]
        retention: u16,
        /// Only says what would be deleted.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Writes files of tables anew: small ones together, or rows in Z-order.
    ///
    /// A running engine is asked to do it, with its next commits; without one this process does it. No row changes.
    #[command(
        after_help = "Examples:\n  tidelake lake optimize\n  tidelake lake optimize logs --zorder endpoint,status_code\n  tidelake lake optimize logs --zorder user_id --where date=2026-01-31"
    )]
    Optimize {
        /// Tables; all of them if none is named.
        tables: Vec<String>,
        /// Columns by which rows that are alike in all of them lie together, so that queries that filter by some skip files.
        #[arg(long, value_delimiter = ',')]
        zorder: Vec<String>,
        /// Only folders with this value of a partition column; once for each column.
        #[arg(long = "where", value_name = "COLUMN=VALUE")]
        only: Vec<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Copies the newest commit with its state to another place.
    ///
    /// Beside a running engine. Files that the place has from earlier backups are not copied again.
    #[command(
        after_help = "Examples:\n  tidelake lake backup /mnt/backup/lake\n  tidelake lake backup s3://backups/lake --keep 14"
    )]
    Backup {
        /// Folder or s3://bucket/path for the backups of this lake.
        place: String,
        /// Forget all but so many backups, the newest ones.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        keep: Option<u16>,
        #[command(flatten)]
        of: Of,
    },
    /// Lists the backups in a place.
    Backups {
        /// Where the backups are.
        place: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Makes a new lake of a backup, from which the pipeline goes on.
    #[command(
        group = ArgGroup::new("which"),
        after_help = "Examples:\n  tidelake lake restore /mnt/backup/lake ./lake\n  tidelake lake restore /mnt/backup/lake ./lake-then --time 2026-01-31T12:00:00Z\n\nThen: tidelake run DATAFLOW --lake ./lake"
    )]
    Restore {
        /// Where the backups are.
        place: String,
        /// Where the new lake is to be: an empty place.
        lake: String,
        /// The backup of this commit. [default: the newest backup]
        #[arg(long, group = "which", alias = "version")]
        commit: Option<u64>,
        /// The newest backup that has nothing behind this epoch.
        #[arg(long, group = "which")]
        epoch: Option<u64>,
        /// The same by a time, such as 2026-01-31T12:00:00Z or -2d.
        #[arg(long, group = "which", allow_hyphen_values = true)]
        time: Option<String>,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub struct Of {
    #[command(flatten)]
    lake: LakeArgument,
    /// Name of the dataflow, in a lake that has several.
    #[arg(long)]
    dataflow: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

impl Of {
    /// The lake, and the name of its dataflow.
    async fn open(&self) -> Result<(Store, String)> {
        let store = self.lake.open()?;
        let claimed = store.newest_manifests().await;
        let claimed = claimed.map_err(coordinator::Error::from)?;
        let with_tables = claimed.iter().filter(|it| !it.tables.is_empty());
        let mut names: Vec<String> = with_tables.map(|it| it.dataflow.clone()).collect();
        let wrong = |text: String| Err(exit::coded(exit::USAGE, text));
        if let Some(name) = &self.dataflow {
            return match names.contains(name) {
                true => Ok((store, name.clone())),
                false => wrong(format!(
                    "{} has no dataflow {name:?}; it has {}",
                    self.lake.address(),
                    listed(&names)
                )),
            };
        }
        match (names.pop(), names.is_empty()) {
            (Some(one), true) => Ok((store, one)),
            (None, _) => wrong(format!(
                "there is no commit in {}; name the lake with --lake",
                self.lake.address()
            )),
            (Some(last), false) => {
                names.push(last);
                wrong(format!(
                    "{} has several dataflows, {}; say which one with --dataflow",
                    self.lake.address(),
                    listed(&names)
                ))
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        some => some.join(", "),
    }
}

pub async fn run(what: &What) -> Result<()> {
    match what {
        What::History { table, limit, of } => history(table.as_deref(), *limit, of).await,
        What::Files { table, version, of } => files(table, *version, of).await,
        What::Vacuum {
            retention,
            dry_run,
            of,
        } => vacuum(*retention, *dry_run, of).await,
        What::Optimize {
            tables,
            zorder,
            only,
            of,
        } => optimize(tables, zorder, only, of).await,
        What::Backup { place, keep, of } => backup(place, *keep, of).await,
        What::Backups { place, json } => backups(place, *json).await,
        What::Restore {
            place,
            lake,
            commit,
            epoch,
            time,
            json,
        } => {
            let which = match (commit, epoch, time) {
                (Some(number), _, _) => lake::AsOf::Commit(*number),
                (_, Some(epoch), _) => lake::AsOf::Epoch(Epoch(*epoch)),
                (_, _, Some(text)) => lake::AsOf::Epoch(epoch_of(text)?),
                (None, None, None) => lake::AsOf::Newest,
            };
            restore(place, lake, which, *json).await
        }
    }
}

/// A time as `\asof` and `--as-of` take it.
fn epoch_of(text: &str) -> Result<Epoch> {
    let usage = |text: String| exit::coded(exit::USAGE, text);
    match AsOf::parse(text).map_err(usage)? {
        Some(it) => Ok(it.epoch),
        None => Err(usage(format!("--time {text}: it must be a time"))),
    }
}

/// Errors of a lake with their exit codes.
fn of_lake<T>(result: Result<T, lake::Error>) -> Result<T> {
    Ok(result.map_err(coordinator::Error::from)?)
}

fn print_json(it: &impl Serialize) -> Result<()> {
    Ok(writeln!(
        Out::new(),
        "{}",
        serde_json::to_string_pretty(it)?
    )?)
}

fn print_table<const N: usize>(columns: [(&str, Kind); N], rows: Vec<[String; N]>) -> Result<()> {
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind));
    let rows = rows.into_iter().map(|it| it.map(Cell::text).to_vec());
    let laid = Table::new(columns, rows.collect()).laid(Look::of_output(Expanded::Off));
    Ok(write!(Out::new(), "{}", laid.text)?)
}

fn time(ms: u64) -> String {
    iso_of_micros(i64::try_from(ms).unwrap_or(0).saturating_mul(1000))
}

fn epoch_text(epoch: Epoch) -> String {
    match epoch {
        Epoch(0) => String::new(),
        epoch => epoch.iso(),
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        unit if value < 10.0 => format!("{value:.1} {unit}"),
        unit => format!("{value:.0} {unit}"),
    }
}

async fn history(table: Option<&str>, limit: usize, of: &Of) -> Result<()> {
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
                size(it.bytes_added),
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
            size(it.bytes_added),
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

async fn files(table: &str, version: Option<u64>, of: &Of) -> Result<()> {
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
            size(it.bytes),
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
        size(bytes)
    )?)
}

#[derive(Serialize)]
struct Vacuumed {
    dry_run: bool,
    retention_hours: u16,
    deleted: BTreeMap<String, Vec<Waste>>,
}

async fn vacuum(retention: u16, dry_run: bool, of: &Of) -> Result<()> {
    let (store, dataflow) = of.open().await?;
    let nothing = || lake::Error::Nothing {
        dataflow: dataflow.clone(),
        lake: store.url.to_string(),
    };
    // Before the tables are looked at: what comes later is not settled.
    let newest = of_lake(store.newest_manifest(&dataflow).await)?;
    let newest = of_lake(newest.ok_or_else(nothing))?;
    let keep = Duration::from_secs(3600 * u64::from(retention));
    let mut deleted: BTreeMap<String, Vec<Waste>> = BTreeMap::new();
    for table in of_lake(store.tables().await)? {
        let owner = match of_lake(store.stated_owner(&table).await)? {
            None => of_lake(store.owner(&table).await)?,
            stated => stated,
        };
        if owner.is_none_or(|it| it != dataflow) {
            continue;
        }
        if !dry_run {
            of_lake(store.write_log_checkpoint(&table).await)?;
        }
        let needed = needed_by(&newest, &table);
        let waste = of_lake(store.waste_of(&table, newest.epoch, keep, &needed).await)?;
        deleted.insert(table, waste);
    }
    let of_commits = of_lake(store.waste_of_commits(&newest).await)?;
    deleted.insert("_tidelake".to_owned(), of_commits);
    deleted.retain(|_, it| !it.is_empty());
    if !dry_run {
        for waste in deleted.values() {
            of_lake(store.take_away(waste).await)?;
        }
    }
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
            size(bytes),
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
        size(total.1),
        count(retention.into(), "hour")
    )?)
}

async fn optimize(tables: &[String], zorder: &[String], only: &[String], of: &Of) -> Result<()> {
    let usage = |text: String| exit::coded(exit::USAGE, text);
    let pair = |it: &String| match it.split_once('=') {
        Some((column, value)) => Ok((column.trim().to_owned(), value.trim().to_owned())),
        None => Err(usage(format!(
            "--where {it}: it must be a partition column and its value, such as date=2026-01-31"
        ))),
    };
    let request = OptimizeRequest {
        tables: tables.to_vec(),
        wanted: Wanted {
            order: zorder.to_vec(),
            only: only.iter().map(pair).collect::<Result<_>>()?,
        },
        asked_ms: wall_ms(),
    };
    let (store, dataflow) = of.open().await?;
    let told = |done: &Optimized| {
        let files = done.tables.values().map(|it| it.files_before).sum();
        eprintln!("{} written anew so far", count(files, "file"));
    };
    let outcome = loop {
        match upkeep::optimize(&store, &dataflow, &request, told).await {
            Ok(Ok(outcome)) => break outcome,
            Ok(Err(reason)) => return Err(usage(reason)),
            Err(coordinator::Error::Held { by, .. }) => {
                eprintln!(
                    "the lake is held by {by}, which is asked to do it with its next commits"
                );
                if let Some(outcome) = ask(&store, &dataflow, &request).await? {
                    break outcome;
                }
                eprintln!("it has ended; this process goes on");
            }
            Err(error) => return Err(error.into()),
        }
    };
    if of.json {
        print_json(&outcome)?;
    } else {
        print_outcome(&outcome)?;
    }
    match outcome.problem {
        None => Ok(()),
        Some(problem) => Err(exit::coded(exit::REFUSED, printable(&problem))),
    }
}

fn print_outcome(outcome: &Optimized) -> Result<()> {
    if outcome.tables.is_empty() {
        return match &outcome.problem {
            Some(_) => Ok(()),
            None => Ok(writeln!(
                Out::new(),
                "nothing to do: files are as large, and in the order, that was asked for"
            )?),
        };
    }
    let rows = outcome.tables.iter().map(|(table, it)| {
        [
            printable(table),
            number(it.files_before),
            number(it.files_after),
            size(it.bytes_before),
            size(it.bytes_after),
        ]
    });
    print_table(
        [
            ("table", Kind::Text),
            ("files before", Kind::Number),
            ("after", Kind::Number),
            ("bytes before", Kind::Number),
            ("after", Kind::Number),
        ],
        rows.collect(),
    )
}

/// Leaves the request to whoever holds the lake, and waits; nothing if that one has ended before it was done.
async fn ask(
    store: &Store,
    dataflow: &str,
    request: &OptimizeRequest,
) -> Result<Option<Optimized>> {
    let id = format!("{:020}-{}", request.asked_ms, uuid::Uuid::new_v4());
    of_lake(store.ask_upkeep(dataflow, &id, request).await)?;
    for look in 1.. {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(done) = of_lake(store.upkeep_done(dataflow, &id).await)? {
            return Ok(Some(done));
        }
        if look % ASK_AFTER == 0 && upkeep::is_held(store, dataflow).await?.is_none() {
            of_lake(store.take_back_upkeep(dataflow, &id).await)?;
            // It may have been done in the meantime.
            return of_lake(store.upkeep_done(dataflow, &id).await);
        }
    }
    Ok(None)
}

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

async fn backup(place: &str, keep: Option<u16>, of: &Of) -> Result<()> {
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
        size(point.bytes()),
        number(taken.copied),
        size(taken.copied_bytes),
    )?)
}

async fn backups(place: &str, json: bool) -> Result<()> {
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
            size(it.bytes()),
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

async fn restore(place: &str, lake: &str, which: lake::AsOf, json: bool) -> Result<()> {
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
        size(point.bytes()),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_that_fits() {
        let texts = [0, 1023, 1024, 10 << 10, 5 << 20, 3 << 40, 5 << 50];
        let texts = texts.map(size);
        assert_eq!(
            texts,
            [
                "0 B", "1023 B", "1.0 KiB", "10 KiB", "5.0 MiB", "3.0 TiB", "5120 TiB"
            ]
        );
    }
}
