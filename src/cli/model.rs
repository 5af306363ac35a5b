//! `model`: what models a lake has, one of them as a report, scores of rows, and models from Python.

use super::exit;
use super::model_report::{object_of, print_model, published};
use super::print::{Cell, Out, printable};
use super::table::{Expanded, Kind, Look, Table};
use crate::lake::{ModelVersion, Store};
use crate::learn::{self, Imported, Model};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::io::{BufRead, BufWriter, Write};
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
        /// The model's name.
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
        /// The model's name.
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
        let features = model.features().iter().map(|it| printable(it));
        let cells = [
            name.clone(),
            model.kind().name().to_owned(),
            features.collect::<Vec<_>>().join(", "),
            current.number.to_string(),
            current.id[..12].to_owned(),
            published(current),
        ];
        rows.push(cells.map(Cell::text).to_vec());
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
    let columns = [
        ("name", Kind::Text),
        ("kind", Kind::Text),
        ("features", Kind::Text),
        ("version", Kind::Number),
        ("id", Kind::Text),
        ("published", Kind::Time),
    ];
    let table = Table::new(columns.map(|(name, kind)| (name.to_owned(), kind)), rows);
    let laid = table.laid(Look::of_output(Expanded::Off));
    Ok(write!(Out::new(), "{}", laid.text)?)
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
