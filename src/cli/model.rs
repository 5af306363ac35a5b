//! `model`: what models a lake has, one of them as a report, scores of rows, and models from Python.

use super::exit;
use super::print::{Cell, Out, count, printable};
use super::table::{Table, columns_of_terminal};
use crate::lake::{ModelVersion, Store};
use crate::learn::{self, Evaluation, Imported, Model};
use crate::model::iso_of_micros;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::io::{BufRead, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

#[derive(Args)]
pub struct LakeArgument {
    /// Folder or s3://bucket/path of the lake.
    #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
    lake: String,
}

impl LakeArgument {
    /// # Errors
    /// If there is none.
    pub fn open(&self) -> Result<Store> {
        Store::open_existing(&self.lake)
            .map_err(|it| exit::coded(exit::CONFIGURATION, it.to_string()))
    }

    pub fn address(&self) -> &str {
        &self.lake
    }
}

#[derive(Subcommand)]
pub enum What {
    /// Lists the models of a lake.
    List {
        #[command(flatten)]
        lake: LakeArgument,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Shows a model: what it learned from, how good it is, and its versions.
    Show {
        name: String,
        #[command(flatten)]
        lake: LakeArgument,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Puts a model from Python into the lake: an ONNX file of scikit-learn, for example.
    #[command(
        after_help = "Example:\n  tidelake model import fraud.onnx fraud --features amount,hour,country_risk\n\nKnown are trees and forests, gradient boosting, isolation forests, linear and logistic models, and the scalers before them."
    )]
    Import {
        /// The ONNX file.
        file: PathBuf,
        /// The model's name: lower-case letters, digits, _ and -.
        name: String,
        /// Names of its features, in the order in which it takes them.
        #[arg(long, value_delimiter = ',', required = true)]
        features: Vec<String>,
        /// The output that is the score. [default: the only one of floating-point numbers]
        #[arg(long)]
        output: Option<String>,
        /// Of a classifier, the class whose probability is the score. [default: the second of two]
        #[arg(long)]
        class: Option<String>,
        #[command(flatten)]
        lake: LakeArgument,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Reads rows as CSV with a header from standard input, and prints the score of each.
    #[command(
        after_help = "Example:\n  echo 'a,b\n1,2' | tidelake model score odd\n\nThe header names the features, in any order; other columns are passed over. A row without a score is an empty line."
    )]
    Score {
        name: String,
        /// Id of a version that is not the current one.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        lake: LakeArgument,
    },
}

pub async fn run(what: &What) -> Result<()> {
    match what {
        What::List { lake, json } => list(&lake.open()?, *json).await,
        What::Show { name, lake, json } => show(&lake.open()?, name, *json).await,
        What::Import {
            file,
            name,
            features,
            output,
            class,
            lake,
            json,
        } => {
            let wanted = Imported {
                name: name.clone(),
                features: features.clone(),
                output: output.clone(),
                class: class.clone(),
            };
            let bytes =
                std::fs::read(file).with_context(|| format!("could not read {}", file.display()));
            let bytes = bytes.map_err(|it| exit::coded(exit::USAGE, format!("{it:#}")))?;
            let model = learn::import(&bytes, &wanted)
                .map_err(|it| exit::coded(exit::REFUSED, printable(&it.to_string())))?;
            let version = lake.open()?.models().publish(&model).await?;
            let text = print_model(&model, &version, *json);
            Ok(Out::new().write_all(text.as_bytes())?)
        }
        What::Score { name, id, lake } => score(&lake.open()?, name, id.as_deref()).await,
    }
}

async fn list(store: &Store, json: bool) -> Result<()> {
    let models = store.models();
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    for name in models.list().await? {
        let versions = models.versions(&name).await?;
        let Some(current) = versions.first() else {
            continue;
        };
        let model = models.load(&name, &current.id).await?;
        let cell = |text: String| Cell {
            text,
            is_number: false,
        };
        let number = |text: String| Cell {
            text,
            is_number: true,
        };
        rows.push(vec![
            cell(name.clone()),
            cell(model.kind().name().to_owned()),
            cell(
                model
                    .features()
                    .iter()
                    .map(|it| printable(it))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            number(current.number.to_string()),
            cell(current.id[..12].to_owned()),
            cell(published(current)),
        ]);
        objects.push(serde_json::json!({
            "name": name, "kind": model.kind().name(), "features": model.features(),
            "version": current.number, "id": current.id, "published": published(current),
        }));
    }
    if json {
        return Ok(writeln!(
            Out::new(),
            "{:#}",
            serde_json::Value::from(objects)
        )?);
    }
    if rows.is_empty() {
        return Ok(writeln!(
            Out::new(),
            "no models; make one with `tidelake train` or `tidelake model import`"
        )?);
    }
    let names = ["name", "kind", "features", "version", "id", "published"];
    let columns = names.iter().map(|it| ((*it).to_owned(), *it == "version"));
    let table = Table::new(columns, rows);
    Ok(write!(Out::new(), "{}", table.text(columns_of_terminal()))?)
}

fn published(version: &ModelVersion) -> String {
    let micros = i64::try_from(version.published_ms)
        .unwrap_or_default()
        .saturating_mul(1000);
    iso_of_micros(micros)
}

/// The current version, or that of an id.
async fn find(store: &Store, name: &str, id: Option<&str>) -> Result<(Model, ModelVersion)> {
    let models = store.models();
    let versions = models.versions(name).await?;
    let found = match id {
        None => versions.into_iter().next(),
        Some(id) => versions.into_iter().find(|it| it.id.starts_with(id)),
    };
    let Some(version) = found else {
        let with = id.map_or(String::new(), |it| format!(" with id {it}"));
        let known = models.list().await?.join(", ");
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known
        };
        return Err(exit::coded(
            exit::REFUSED,
            format!("there is no model {name:?}{with} in the lake; there is: {known}"),
        ));
    };
    Ok((models.load(name, &version.id).await?, version))
}

async fn show(store: &Store, name: &str, json: bool) -> Result<()> {
    let (model, version) = find(store, name, None).await?;
    let versions = store.models().versions(name).await?;
    if json {
        let mut object = object_of(&model, &version);
        object["versions"] = versions
            .iter()
            .map(|it| serde_json::json!({"version": it.number, "id": it.id, "published": published(it)}))
            .collect();
        return Ok(writeln!(Out::new(), "{object:#}")?);
    }
    let mut text = print_model(&model, &version, false);
    text += "\nversions\n";
    for (at, it) in versions.iter().enumerate() {
        let current = if at == 0 { "  current" } else { "" };
        text += &format!(
            "  {:>4}  {}  {}{current}\n",
            it.number,
            it.id,
            published(it)
        );
    }
    Ok(Out::new().write_all(text.as_bytes())?)
}

async fn score(store: &Store, name: &str, id: Option<&str>) -> Result<()> {
    let (model, _) = find(store, name, id).await?;
    let wrong = |it: String| exit::coded(exit::USAGE, it);
    let mut lines = std::io::stdin().lock().lines();
    let header = lines.next().transpose()?.unwrap_or_default();
    let names: Vec<&str> = header
        .trim_end()
        .split(',')
        .map(|it| it.trim().trim_matches('"'))
        .collect();
    let mut places = Vec::new();
    for feature in model.features() {
        let place = names.iter().position(|it| it == feature);
        places.push(place.ok_or_else(|| {
            wrong(format!(
                "the header has no column {feature:?}: it is {}",
                printable(&header)
            ))
        })?);
    }
    let mut out = BufWriter::new(Out::new());
    writeln!(out, "score")?;
    for (number, line) in lines.enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.trim_end().split(',').map(str::trim).collect();
        if fields.len() != names.len() {
            return Err(wrong(format!(
                "line {} has {} fields, and the header {}",
                number + 2,
                fields.len(),
                names.len()
            )));
        }
        let mut point = Vec::new();
        for place in &places {
            point.push(match fields[*place] {
                "" | "NULL" => None,
                text => Some(text.parse::<f64>().map_err(|_| {
                    wrong(format!(
                        "line {}: {:?} is no number",
                        number + 2,
                        printable(text)
                    ))
                })?),
            });
        }
        match model.score(&point) {
            Some(score) => writeln!(out, "{score}")?,
            None => writeln!(out)?,
        }
    }
    Ok(out.flush()?)
}

/// A model for people or as JSON.
pub fn print_model(model: &Model, version: &ModelVersion, json: bool) -> String {
    if json {
        return format!("{:#}\n", object_of(model, version));
    }
    let trained = model.trained();
    let features: Vec<String> = model.features().iter().map(|it| printable(it)).collect();
    let mut lines = vec![
        (
            "model",
            format!(
                "{}, {}, version {}",
                model.name(),
                model.kind().name(),
                version.number
            ),
        ),
        ("id", model.id().to_owned()),
        ("score", printable(&model.score_says())),
        ("features", features.join(", ")),
    ];
    if let Some(label) = model.label() {
        lines.push(("label", printable(label)));
    }
    if let Some(query) = &trained.query {
        lines.push(("learned from", printable(query)));
    }
    if let Some(epoch) = trained.epoch {
        let tables: Vec<String> = trained
            .tables
            .iter()
            .map(|it| format!("{} version {}", it.0, it.1))
            .collect();
        lines.push(("as of", format!("epoch {epoch}, {}", tables.join(", "))));
    }
    if let Some(hash) = &trained.imported {
        let producer = trained.producer.as_deref().unwrap_or_default();
        lines.push((
            "imported from",
            printable(&format!("{producer}, SHA-256 {hash}")),
        ));
    }
    if let Some(seed) = trained.seed {
        lines.push(("seed", seed.to_string()));
    }
    if let Some(evaluation) = model.evaluation() {
        if trained.left_out != 0 {
            lines.push((
                "left out",
                format!("{} with NULLs", count(trained.left_out as usize, "row")),
            ));
        }
        lines.extend(evaluation_lines(evaluation));
    }
    let width = lines.iter().map(|it| it.0.len()).max().unwrap_or_default();
    let text = lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}\n"));
    text.collect()
}

fn object_of(model: &Model, version: &ModelVersion) -> serde_json::Value {
    serde_json::json!({
        "name": model.name(), "kind": model.kind().name(), "version": version.number, "id": model.id(),
        "published": published(version), "features": model.features(), "label": model.label(),
        "score": model.score_says(), "trained": model.trained(), "evaluation": model.evaluation(),
    })
}

fn evaluation_lines(evaluation: &Evaluation) -> Vec<(&'static str, String)> {
    let told = |it: Option<f64>| it.map_or("-".to_owned(), |it| format!("{it:.3}"));
    let mut lines = vec![(
        "rows",
        format!(
            "{} learned from, {} held out to test with",
            evaluation.rows_learned, evaluation.rows_held_out
        ),
    )];
    if let (Some(threshold), Some(rule)) = (evaluation.threshold, &evaluation.threshold_rule) {
        lines.push(("threshold", format!("{threshold:.6}: {rule}")));
    }
    if let Some(flagged) = evaluation.flagged {
        lines.push((
            "flagged",
            format!("{:.2} % of the held-out rows", flagged * 100.0),
        ));
    }
    if let Some(it) = &evaluation.classes {
        lines.push((
            "positive",
            format!(
                "{} held-out rows, {:.2} %",
                it.positives,
                it.baseline * 100.0
            ),
        ));
        lines.push((
            "order",
            format!(
                "ROC AUC {}, average precision {} (guessing: {:.3})",
                told(it.roc_auc),
                told(it.average_precision),
                it.baseline
            ),
        ));
        lines.push((
            "verdicts",
            format!(
                "precision {}, recall {}, F1 {}",
                told(it.precision),
                told(it.recall),
                told(it.f1)
            ),
        ));
    }
    if let Some(it) = &evaluation.numbers {
        lines.push((
            "error",
            format!(
                "RMSE {:.4}, mean {:.4} (always the mean: RMSE {:.4})",
                it.rmse, it.mae, it.baseline_rmse
            ),
        ));
    }
    if let Some(it) = &evaluation.stability {
        lines.push((
            "stability",
            format!("{} seeds judge {:.2} % of rows the same or more; of the rows that either flags, both flag {:.0} %, at least {:.0} %", it.seeds, it.agreement_least * 100.0, it.jaccard_mean * 100.0, it.jaccard_least * 100.0),
        ));
    }
    lines
}

/// Tells on standard error how far something is: as a bar that is drawn over itself on a terminal, else as a line for each step.
pub fn progress() -> impl FnMut(&str, u64, u64) {
    const WIDTH: usize = 24;
    let is_terminal = std::io::stderr().is_terminal();
    let mut last = String::new();
    let mut drawn = Drawn(false);
    move |what: &str, done: u64, all: u64| {
        let mut err = std::io::stderr().lock();
        if is_terminal {
            let full = WIDTH * done as usize / all.max(1) as usize;
            let bar = format!(
                "{}{}",
                "█".repeat(full),
                "░".repeat(WIDTH - full.min(WIDTH))
            );
            // Whoever cannot see it misses nothing.
            let _ = write!(err, "\r\u{1b}[K{bar} {what}");
            let _ = err.flush();
            drawn.mark();
        } else {
            let begin = what.split(',').next().unwrap_or_default();
            if begin != last {
                let _ = writeln!(err, "{begin}");
                begin.clone_into(&mut last);
            }
        }
    }
}

/// A bar is wiped away when it is dropped, so that a report or an error stands alone.
struct Drawn(bool);

impl Drawn {
    fn mark(&mut self) {
        self.0 = true;
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
