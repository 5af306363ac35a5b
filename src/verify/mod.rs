//! The proof: sources and lake are read again, without the engine, and held against the newest commit.
//!
//! ```text
//! manifest n ─┬─ manifests before it: sealed, and each what follows from the one before
//!             ├─ stored state: there, unchanged
//!             ├─ log of each table: each version is what its manifest says; nobody else changed rows
//!             ├─ files of each version: there, to the last bit, with the statistics the log tells
//!             ├─ source ── read again, decoded again ──┬─ counts and checksums = those of the commits
//!             │                                         ├─ every offset once: a row of the archive, or a dead letter
//!             │                                         └─ the row has the values the table's expressions give
//!             └─ views ── DataFusion in batch over the archive = the view's table
//! ```
//!
//! Only what was committed when the proof began is looked at, so a pipeline may go on meanwhile. Tables are read at the
//! versions that belong to the commit. What the source no longer has cannot be read again: that is said, and is neither proof nor failure.
//!
//! Nothing is written. The engine is not used; decoding is, since a record means what its decoder reads.

mod commit;
mod manifests;
mod records;
mod report;
mod rows;
mod tables;
mod views;

pub use report::{Check, Outcome, Progress, Report};
pub use views::{Difference, difference};

use crate::coordinator::{self, identity};
use crate::lake::{self, Store};
use crate::model::Epoch;
use crate::plan::Dataflow;
use crate::source;
use crate::source::place::Inputs;

/// How often the proof begins again because maintenance of a running pipeline has deleted what it was reading.
const ATTEMPTS_MAX: usize = 3;

/// What is to be proved.
#[derive(Clone, Debug)]
pub struct Options {
    pub lake: String,
    /// Where sources are read from if not where they say.
    pub inputs: Inputs,
}

/// What keeps a proof from being tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no commit of dataflow {dataflow:?} in {lake}")]
    Nothing { dataflow: String, lake: String },
    #[error(
        "commit {number} in {lake} was written with another definition of dataflow {dataflow:?}; verify it with that one, or start the pipeline once with this one. What differs: {changes}"
    )]
    Changed {
        dataflow: String,
        lake: String,
        number: u64,
        changes: String,
    },
    #[error(transparent)]
    Lake(#[from] lake::Error),
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Decoder(#[from] coordinator::Error),
    #[error("the proof was interrupted: {0}")]
    Interrupted(String),
}

impl Error {
    /// Whether something else should have been asked for, rather than something being wrong.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::Nothing { .. }
                | Error::Changed { .. }
                | Error::Decoder(coordinator::Error::Unnamed { .. })
                | Error::Lake(lake::Error::Address { .. })
                | Error::Source(source::Error::Option { .. })
        )
    }
}

/// Proves the newest commit, or finds what is wrong with it.
///
/// # Errors
/// If there is nothing to prove, or source or lake cannot be reached.
pub async fn verify(dataflow: &Dataflow, options: &Options) -> Result<Report, Error> {
    verify_telling(dataflow, options, Progress::default()).await
}

/// The same, for someone who follows: each check is told when it is made. A proof that begins again tells its checks again.
///
/// # Errors
/// As [`verify`].
pub async fn verify_telling(
    dataflow: &Dataflow,
    options: &Options,
    progress: Progress,
) -> Result<Report, Error> {
    let store = Store::open_existing(&options.lake)?;
    let dataflow = &match identity::identified(dataflow, &store).await {
        Ok(dataflow) => dataflow,
        Err(coordinator::Error::Lake(error @ lake::Error::Damaged { .. })) => {
            let mut report = Report::new(&dataflow.name, store.url.as_str(), progress);
            report.add(commit::unreadable(&dataflow.name, &error));
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    let mut attempt = 1;
    loop {
        let report = once(dataflow, options, &store, progress.clone()).await?;
        if report.is_proven() || attempt == ATTEMPTS_MAX {
            return Ok(report);
        }
        let newest = match store.newest_manifest(&dataflow.name).await {
            Ok(Some(newest)) => newest.number,
            _ => return Ok(report),
        };
        if newest <= report.newest {
            return Ok(report);
        }
        attempt += 1;
    }
}

async fn once(
    dataflow: &Dataflow,
    options: &Options,
    store: &Store,
    progress: Progress,
) -> Result<Report, Error> {
    let mut report = Report::new(&dataflow.name, store.url.as_str(), progress);
    let Some(chosen) = commit::choose(dataflow, store, &mut report).await? else {
        return Ok(report);
    };
    let in_force = &chosen.manifest.models;
    coordinator::models::load_all(store, in_force).await?;
    dataflow.live_models.in_force.begin(in_force.clone());
    let opened = tables::check(dataflow, store, &chosen, &mut report).await?;
    if chosen.manifest.epoch == Epoch(0) {
        report.add(Check::note(
            "records",
            "",
            "none are committed yet: the lake has only been claimed",
        ));
        return Ok(report);
    }
    let known = records::check(dataflow, options, &chosen.manifest, &opened, &mut report).await?;
    views::check(dataflow, &chosen.manifest, &opened, known, &mut report).await;
    Ok(report)
}
