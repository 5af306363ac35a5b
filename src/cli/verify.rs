//! `verify`: the proof of the newest commit, as a report for people or as JSON.

use super::settings::Settings;
use crate::verify::{Options, verify};
use anyhow::Result;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Where the demo keeps its data, and where lakes are unless told otherwise.
const DATA_DEFAULT: &str = "./tidelake-data";

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql; the demo's if left out.
    dataflow: Option<PathBuf>,
    /// What `tidelake demo --data DIR` wrote: DIR/input and DIR/lake.
    #[arg(long, conflicts_with_all = ["input", "lake"])]
    data: Option<PathBuf>,
    /// Folder of partition files, if the sources were read from one and not from Kafka.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Folder or s3://bucket/path of the lake. [default: $DELTA_LAKE_PATH, or ./tidelake-data/lake]
    #[arg(long)]
    lake: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Whether the commit is proven.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<bool> {
    let dataflow = match &arguments.dataflow {
        Some(folder) => super::command::load(folder, settings).await?,
        None => super::command::demo_dataflow(settings).await?,
    };
    let report = verify(&dataflow, &options(arguments)).await?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => report.to_string(),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(report.is_proven())
}

fn options(arguments: &Arguments) -> Options {
    let environment = |it: &str| std::env::var(it).ok().filter(|it| !it.is_empty());
    let none =
        arguments.dataflow.is_none() && arguments.input.is_none() && arguments.lake.is_none();
    let data = match &arguments.data {
        Some(data) => Some(data.clone()),
        None => none.then(|| {
            environment("TIDELAKE_DATA")
                .unwrap_or(DATA_DEFAULT.to_owned())
                .into()
        }),
    };
    if let Some(data) = data {
        return Options {
            lake: data.join("lake").display().to_string(),
            input: Some(data.join("input")),
        };
    }
    let lake = arguments
        .lake
        .clone()
        .or_else(|| environment("DELTA_LAKE_PATH"));
    let input = arguments.input.clone();
    Options {
        lake: lake.unwrap_or_else(|| format!("{DATA_DEFAULT}/lake")),
        input: input.or_else(|| environment("TIDELAKE_INPUT").map(PathBuf::from)),
    }
}
