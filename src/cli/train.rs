//! `train`: learns a model from rows of the lake and puts it there, with how good it is.
//!
//! The tables are read at the versions of one commit, whether a server is running or not, and the model says which: the newest, or the newest that is not behind `--as-of`.
//! Nothing is written before all is known, so what fails leaves the lake as it was.

use super::exit;
use super::model::LakeArgument;
use super::model_report::print_model;
use super::print::{Out, count, printable};
use super::progress::steps;
use super::query_limits::QueryLimits;
use super::server::with_hint;
use super::settings::Settings;
use crate::http::Program;
use crate::lake::Store;
use crate::learn::{self, Kind, Rows, Trained};
use crate::model::Epoch;
use crate::sql::query::{Lake, NotPinned, Piece, Pinned, Queries, QueryError};
use crate::sql::{duration_us, sql_type_name};
use crate::view::Hub;
use anyhow::Result;
use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Numbers that are held in memory: a row has one for each feature.
const NUMBERS_MAX: usize = 64 << 20;
const EVERY_MIN_US: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindGiven {
    /// How easily a row is set apart from others; learns without labels.
    IsolationForest,
    /// The probability of a label of 0 and 1, or a number.
    GradientBoosting,
    /// How far a row is from what is usual; learns without labels.
    KMeans,
}

#[derive(Args)]
pub struct Arguments {
    /// The model's name: lower-case letters, digits, _ and -.
    name: String,
    /// The query whose rows are learned from; each column but the label is a feature.
    #[arg(long, value_name = "QUERY")]
    from: String,
    /// Read the tables as of this time (RFC 3339) or epoch. [default: the newest commit]
    #[arg(long, value_name = "TIME|EPOCH")]
    as_of: Option<AsOf>,
    /// Learn again at this interval, such as '1 day', until it is ended. A later time that fails is said, and changes nothing.
    #[arg(long, value_name = "INTERVAL", conflicts_with = "as_of")]
    every: Option<Every>,
    /// What is learned.
    #[arg(long, value_enum, default_value = "isolation-forest")]
    kind: KindGiven,
    /// The column to be learned. Kinds that learn without labels are only tested with it.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The same rows and seed give the same model.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clusters of k-means.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    clusters: u16,
    /// Learn although a feature alone tells the label.
    #[arg(long)]
    allow_leak: bool,
    #[command(flatten)]
    lake: LakeArgument,
    /// For machines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: QueryLimits,
}

/// What the lake is read as of.
#[derive(Clone, Debug)]
struct AsOf {
    text: String,
    epoch: Epoch,
}

impl std::str::FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = || {
            chrono::DateTime::parse_from_rfc3339(text)
                .ok()?
                .timestamp_millis()
                .try_into()
                .ok()
        };
        let epoch = text.parse().ok().or_else(time);
        epoch
            .map(|epoch| AsOf {
                text: text.to_owned(),
                epoch: Epoch(epoch),
            })
            .ok_or_else(|| "write a time like 2026-01-31T12:00:00Z, or an epoch".to_owned())
    }
}

/// How often something is done.
#[derive(Clone, Copy, Debug)]
struct Every(Duration);

impl std::str::FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let us = duration_us(text).and_then(|it| u64::try_from(it).ok());
        let us = us.filter(|it| EVERY_MIN_US <= *it);
        us.map(|it| Every(Duration::from_micros(it)))
            .ok_or_else(|| "write an interval of at least a second, such as '1 day'".to_owned())
    }
}

/// The program by which a server trains models from its lake: this one, with the same lake and settings.
pub fn trainer(settings: &Settings, lake: &str) -> Program {
    super::verify::this_program("train", settings, vec!["--lake".into(), lake.into()])
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    // What fails the first time is asked wrongly.
    once(arguments).await?;
    let Some(Every(every)) = arguments.every else {
        return Ok(());
    };
    let mut due = tokio::time::interval_at(Instant::now() + every, every);
    // A time that took longer than the interval is not made up for.
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if let Err(error) = once(arguments).await {
            tracing::error!(
                "model {} stays as it is, and the next attempt is in {}: {error:#}",
                arguments.name,
                crate::plan::span(i64::try_from(every.as_micros()).unwrap_or(i64::MAX))
            );
        }
    }
}

async fn once(arguments: &Arguments) -> Result<()> {
    let usage = |it: String| exit::coded(exit::USAGE, it);
    learn::check_name(&arguments.name).map_err(usage)?;
    let store = arguments.lake.open()?;
    let mut progress = steps();
    progress("finding the commit", 0, 1);
    let pinned = pinned(&store, arguments.as_of.as_ref()).await?;
    let mut tables = store.tables().await?;
    tables.retain(|it| !pinned.later.contains(it));
    if tables.is_empty() {
        let text = format!("there are no tables in {}", arguments.lake.address());
        return Err(exit::coded(exit::CONFIGURATION, text));
    }
    let mut limits = arguments.limits.limits();
    limits.spares = 0;
    let hub = Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0));
    let lake = Lake::new(store.clone(), tables).at(pinned.versions.clone());
    let queries = Queries::new(hub, Arc::default(), lake, limits)?;
    let (rows, read) = rows(&queries, arguments, &mut progress).await?;
    let versions = pinned.versions.iter().filter(|it| read.contains(it.0));
    let source = Trained {
        query: Some(arguments.from.clone()),
        as_of: arguments.as_of.as_ref().map(|it| it.text.clone()),
        epoch: pinned.epoch.map(|it| it.0),
        tables: versions.map(|(name, it)| (name.clone(), *it)).collect(),
        ..Trained::default()
    };
    let settings = learn::Settings {
        name: arguments.name.clone(),
        kind: match arguments.kind {
            KindGiven::IsolationForest => Kind::IsolationForest,
            KindGiven::GradientBoosting => Kind::GradientBoosting,
            KindGiven::KMeans => Kind::KMeans,
        },
        seed: arguments.seed,
        clusters: arguments.clusters.into(),
        allow_leak: arguments.allow_leak,
    };
    let model = learn::train(&rows, &settings, source, &mut progress).map_err(|it| {
        exit::coded(
            exit::REFUSED,
            format!("no model was made: {}", printable(&it.to_string())),
        )
    })?;
    let version = store.models().publish(&model).await?;
    drop(progress);
    Ok(Out::new().write_all(print_model(&model, &version, arguments.json).as_bytes())?)
}

/// The commit that is read.
async fn pinned(store: &Store, as_of: Option<&AsOf>) -> Result<Pinned> {
    let pinned = Pinned::of(store, as_of.map(|it| it.epoch)).await;
    let pinned = pinned.map_err(|it| match it {
        NotPinned::Lake(error) => error.into(),
        NotPinned::Unknown { dataflow } => {
            let text = as_of.map_or("", |it| it.text.as_str());
            exit::coded(
                exit::REFUSED,
                format!(
                    "the lake does not know what dataflow {dataflow} was as of {text}: its commits begin later, or that one is no longer kept"
                ),
            )
        }
    })?;
    if as_of.is_some() && pinned.epoch.is_none() {
        return Err(exit::coded(
            exit::REFUSED,
            "--as-of needs a lake that Tidelake wrote; this one has no commits of a dataflow",
        ));
    }
    Ok(pinned)
}

/// The rows of the query as numbers, and the tables they are of.
async fn rows(
    queries: &Queries,
    arguments: &Arguments,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<(Rows, Vec<String>)> {
    let refused = |it: QueryError| {
        let hint = it.hint().unwrap_or_default();
        exit::coded(exit::REFUSED, with_hint(&it.to_string(), &hint))
    };
    let mut rows = Rows::default();
    let mut label = None;
    let mut read = Vec::new();
    let mut running = queries
        .export_as("train", &arguments.from, None)
        .map_err(refused)?;
    loop {
        match running.next().await.map_err(refused)? {
            Piece::Planned { schema, tables, .. } => {
                label = label_of(&schema, arguments.label.as_deref())?;
                let features = schema.fields().iter().enumerate();
                let features = features.filter(|it| Some(it.0) != label);
                rows.features = features.map(|it| it.1.name().clone()).collect();
                rows.label = label.map(|it| schema.field(it).name().clone());
                learn::check_features(&rows.features)
                    .map_err(|it| exit::coded(exit::REFUSED, it))?;
                read = tables
                    .iter()
                    .filter_map(|it| it.rsplit('.').next())
                    .map(str::to_owned)
                    .collect();
            }
            Piece::Rows { batch, .. } => {
                add(&mut rows, &batch, label)?;
                progress(
                    &format!("reading, {} so far", count(rows.len(), "row")),
                    0,
                    1,
                );
                if NUMBERS_MAX < rows.values.len() {
                    return Err(exit::coded(
                        exit::REFUSED,
                        format!(
                            "the query has more than {} rows of {}, too many to hold; narrow it with WHERE, or add a LIMIT",
                            rows.len(),
                            count(rows.features.len(), "feature")
                        ),
                    ));
                }
            }
            Piece::Done { .. } => return Ok((rows, read)),
        }
    }
}

/// Where the label is, all columns being numbers.
fn label_of(schema: &Schema, label: Option<&str>) -> Result<Option<usize>> {
    for field in schema.fields() {
        let kind = field.data_type();
        if kind.is_numeric() || *kind == DataType::Boolean {
            continue;
        }
        let how = match kind {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
                "make numbers of it with CASE WHEN … THEN 1 ELSE 0 END, or leave it out"
            }
            DataType::Timestamp(..) | DataType::Date32 => {
                "take a part of it, like extract(hour FROM …), or leave it out"
            }
            _ => "make a number of it, or leave it out",
        };
        let text = format!(
            "column {:?} is of type {}, and models take numbers: {how}",
            printable(field.name()),
            sql_type_name(kind)
        );
        return Err(exit::coded(exit::REFUSED, text));
    }
    let Some(label) = label else {
        return Ok(None);
    };
    let found = schema.fields().iter().position(|it| it.name() == label);
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|it| printable(it.name()))
        .collect();
    found.map(Some).ok_or_else(|| {
        let text = format!(
            "the query has no column {label:?} for --label; it has {}",
            names.join(", ")
        );
        exit::coded(exit::REFUSED, text)
    })
}

fn add(rows: &mut Rows, batch: &RecordBatch, label: Option<usize>) -> Result<()> {
    let mut columns = Vec::new();
    for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
        let cast = arrow::compute::cast(column, &DataType::Float64)?;
        let numbers = cast.as_any().downcast_ref::<Float64Array>().cloned();
        let numbers =
            numbers.ok_or_else(|| anyhow::anyhow!("column {:?} has no numbers", field.name()))?;
        if numbers.iter().flatten().any(f64::is_nan) {
            let text = format!(
                "column {:?} is NaN in a row; leave such rows out with WHERE, or make NULL of it with CASE",
                printable(field.name())
            );
            return Err(exit::coded(exit::REFUSED, text));
        }
        columns.push(numbers);
    }
    for row in 0..batch.num_rows() {
        for (at, column) in columns.iter().enumerate() {
            let value = if column.is_null(row) {
                f64::NAN
            } else {
                column.value(row)
            };
            match Some(at) == label {
                true => rows.labels.push(value),
                false => rows.values.push(value),
            }
        }
    }
    Ok(())
}
