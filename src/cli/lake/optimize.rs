//! `lake optimize`: files written anew, by the engine that holds the lake or, without one, here.

use super::{Of, print_json, print_table};
use crate::cli::exit;
use crate::cli::print::{Out, printable};
use crate::cli::size;
use crate::cli::table::Kind;
use crate::cli::terminal::{count, number};
use crate::coordinator::{self, upkeep};
use crate::lake::{OptimizeRequest, Optimized, Wanted};
use crate::model::wall_ms;
use anyhow::Result;
use std::io::Write;

pub async fn optimize(
    tables: &[String],
    zorder: &[String],
    only: &[String],
    of: &Of,
) -> Result<()> {
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
                let id = upkeep::request_id(&request);
                if let Some(outcome) = upkeep::ask(&store, &dataflow, &id, &request).await? {
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
            size::shown(it.bytes_before),
            size::shown(it.bytes_after),
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
