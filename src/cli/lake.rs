//! `lake`: what a lake is made of and became of it, and its upkeep: what is not needed, files written anew, copies.
//!
//! Nothing here needs the dataflow's text: a lake says of itself whose it is, and of each table what it looks like.

mod backup;
mod history;
mod optimize;
mod vacuum;

use super::exit;
use super::model::LakeArgument;
use super::print::{Cell, Out};
use super::shell::as_of::AsOf;
use super::table::{Expanded, Kind, Look, Table};
use crate::coordinator;
use crate::lake::{self, Store};
use crate::model::{Epoch, iso_of_micros, ms_to_us};
use anyhow::Result;
use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use std::io::Write;

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
        What::History { table, limit, of } => history::history(table.as_deref(), *limit, of).await,
        What::Files { table, version, of } => history::files(table, *version, of).await,
        What::Vacuum {
            retention,
            dry_run,
            of,
        } => vacuum::vacuum(*retention, *dry_run, of).await,
        What::Optimize {
            tables,
            zorder,
            only,
            of,
        } => optimize::optimize(tables, zorder, only, of).await,
        What::Backup { place, keep, of } => backup::backup(place, *keep, of).await,
        What::Backups { place, json } => backup::backups(place, *json).await,
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
            backup::restore(place, lake, which, *json).await
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
    iso_of_micros(ms_to_us(ms))
}

fn epoch_text(epoch: Epoch) -> String {
    match epoch {
        Epoch(0) => String::new(),
        epoch => epoch.iso(),
    }
}
