//! `model`: what models a lake has, one of them as a report, scores of rows, and models from Python.

use super::exit;
use super::model_report::{object_of, print_model, published};
use super::print::{Cell, Out, printable};
use super::table::{Expanded, Kind, Look, Table, aligned};
use crate::lake::{ModelVersion, Store};
use crate::learn::{self, Imported, Model};
use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use clap::{Args, Subcommand};
use std::io::{BufRead, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

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
    let lines = versions.iter().enumerate().map(|(at, it)| {
        let current = if at == 0 { "current" } else { "" };
        [
            it.number.to_string(),
            it.id.clone(),
            published(it),
            current.to_owned(),
        ]
    });
    for line in aligned(lines) {
        text += &format!("  {line}\n");
    }
    Ok(Out::new().write_all(text.as_bytes())?)
}

async fn score(store: &Store, name: &str, id: Option<&str>) -> Result<()> {
    let (model, _) = find(store, name, id).await?;
    let mut out = BufWriter::new(Out::new());
    let input = std::io::stdin().lock();
    score_rows(model.features(), |it| model.score(it), input, &mut out)?;
    Ok(out.flush()?)
}

/// Reads rows as CSV with a header (RFC 4180), and writes the score of each; an empty line for one that has none.
fn score_rows(
    features: &[String],
    score: impl Fn(&[Option<f64>]) -> Option<f64>,
    mut input: impl BufRead,
    out: &mut impl Write,
) -> Result<()> {
    let wrong = |it: String| exit::coded(exit::USAGE, it);
    let mut header = String::new();
    input.read_line(&mut header)?;
    let format = Format::default().with_header(true);
    let (named, _) = format
        .infer_schema(header.as_bytes(), Some(0))
        .map_err(|it| wrong(format!("the header is not understood: {it}")))?;
    let names: Vec<&str> = named.fields().iter().map(|it| it.name().trim()).collect();
    let mut places = Vec::new();
    for feature in features {
        let place = names.iter().position(|it| it == feature);
        places.push(place.ok_or_else(|| {
            wrong(format!(
                "the header has no column {feature:?}: it is {}",
                printable(header.trim_end())
            ))
        })?);
    }
    let texts = names.iter().map(|it| Field::new(*it, DataType::Utf8, true));
    let rows = ReaderBuilder::new(Arc::new(Schema::new(texts.collect::<Vec<_>>())))
        .with_header(true)
        .build_buffered(header.as_bytes().chain(input))?;
    writeln!(out, "score")?;
    let mut number = 0;
    for batch in rows {
        let batch = batch.map_err(|it| wrong(printable(&it.to_string())))?;
        let columns = places.iter().map(|it| batch.column(*it).as_string::<i32>());
        let columns: Vec<&StringArray> = columns.collect();
        for row in 0..batch.num_rows() {
            number += 1;
            let values = columns.iter().map(|it| match it.is_null(row) {
                true => Ok(None),
                false => value_of(it.value(row).trim()),
            });
            let point: Result<Vec<_>, String> = values.collect();
            let point = point.map_err(|it| wrong(format!("row {number}: {it}")))?;
            match score(&point) {
                Some(score) => writeln!(out, "{score}")?,
                None => writeln!(out)?,
            }
        }
    }
    Ok(())
}

fn value_of(text: &str) -> Result<Option<f64>, String> {
    match text {
        "" | "NULL" => Ok(None),
        text => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{:?} is no number", printable(text))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of all values, of rows that have them.
    fn scores(features: &[&str], input: &str) -> Result<String> {
        let features: Vec<String> = features.iter().map(|it| (*it).to_owned()).collect();
        let mut out = Vec::new();
        let sum = |point: &[Option<f64>]| point.iter().copied().sum();
        score_rows(&features, sum, input.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn rows_are_read_as_csv() {
        let input =
            "\"note, of it\", b ,a\r\n\"x, \"\"y\"\"\n z\",1,2\r\n\r\n,NULL,2\r\n-, 0.5,\"4\"";
        let sums = scores(&["a", "b"], input).unwrap();
        assert_eq!(sums, "score\n3\n\n4.5\n");
        assert_eq!(scores(&["a"], "a\n").unwrap(), "score\n");
    }

    #[test]
    fn what_is_no_row_of_the_model_is_said() {
        for (input, said) in [
            ("", "the header has no column \"a\""),
            ("b,c\n1,2\n", "the header has no column \"a\": it is b,c"),
            ("a,b\n1,2\n3\n", "line 3"),
            ("a,b\n1,2\nx,2\n", "row 2: \"x\" is no number"),
        ] {
            let error = scores(&["a"], input).unwrap_err();
            assert_eq!(exit::code(&error), exit::USAGE);
            assert!(error.to_string().contains(said), "{error:#}");
        }
    }
}
