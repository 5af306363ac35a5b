//! `replay`: asks for records that could not be decoded to be decoded once more.

use super::settings::Settings;
use crate::coordinator::replay::{Preview, Request, ask};
use crate::lake::Store;
use crate::model::wall_ms;
use crate::sql::models::Models;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum What {
    /// Dead letters: after the definition of a source was mended, or with a newer version of Tidelake.
    ///
    /// The request lies in the lake until the pipeline starts the next time, or restarts in its place (POST /api/v1/restart). Then letters that
    /// decode become rows of the archive, with their old partition and offset, leave the table of dead letters, and all views count them: one
    /// commit, exactly once.
    #[command(
        after_help = "Examples:\n  tidelake replay dead-letters dataflows/web_logs --lake ./lake\n  tidelake replay dead-letters dataflows/web_logs --source web_logs --reason 'is missing or null'"
    )]
    DeadLetters(Arguments),
}

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql, as it will be started.
    dataflow: PathBuf,
    /// Only of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only letters whose reason holds this text.
    #[arg(long)]
    reason: Option<String>,
    /// Folder or s3://bucket/path of the lake.
    #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
    lake: String,
}

/// Leaves the request and says what it will do.
pub async fn run(what: &What, settings: &Settings) -> Result<()> {
    let What::DeadLetters(arguments) = what;
    let models = Models::Current(arguments.lake.clone());
    let dataflow = super::command::load(&arguments.dataflow, settings, &models).await?;
    let store = Store::open_existing(&arguments.lake)?;
    let request = Request {
        source: arguments.source.clone(),
        reason: arguments.reason.clone(),
        kind: None,
        asked_ms: wall_ms(),
    };
    let Preview { letters, decodable } = ask(&dataflow, &store, &request).await?;
    match (letters, decodable) {
        (0, _) => bail!("no dead letter of {} is asked for", arguments.lake),
        (_, 0) => bail!(
            "{letters} dead letters are asked for, and none of them decodes with this dataflow; mend the definition of the source first"
        ),
        _ => println!(
            "{letters} dead letters are asked for; {decodable} of them decode now and will be records when the pipeline starts the next time: one that runs can restart in its place (POST /api/v1/restart, or Pipeline, Dead letters on the page)"
        ),
    }
    Ok(())
}
