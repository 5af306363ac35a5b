//! Models: what was learned from rows, as a value that scores, is stored as bytes, and is named by them.
//!
//! ```text
//! rows ─► split by hash ─► learn ─► evaluate on what was held out ─► Model ─► bytes ─► SHA-256: its id
//!                                               ONNX file ─► import ──┘
//! ```
//!
//! Learning is deterministic: the same rows, in whatever order, and the same seed give the same bytes. Scoring is a function of a model's bytes and the features alone: it
//! is done here for every kind of model, with functions of `libm`, so that it depends neither on the version of a library nor on the machine.
//!
//! Absent on purpose: where rows come from, and where models are kept.

mod boosting;
mod clusters;
mod isolation;
mod kept;
mod measure;
mod onnx;
mod rows;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod train;
mod trees;

pub use kept::{keep, kept};
pub use onnx::{Imported, import};
pub use rows::Rows;
pub use train::{Evaluation, OfClasses, OfNumbers, Settings, Stability, train};

use boosting::Boosted;
use clusters::Clusters;
use isolation::Forest;
use onnx::Graph;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The form of the bytes.
const FORMAT: u32 = 1;
/// Larger models are refused.
const BYTES_MAX: usize = 256 << 20;
/// Features of a model.
pub const FEATURES_MAX: usize = 256;
/// Letters of a name.
const NAME_LENGTH_MAX: usize = 64;
/// Folders that a dataflow named `models` has in a lake.
const TAKEN_NAMES: [&str; 3] = ["manifests", "requests", "state"];
const FEATURE_NAME_BYTES_MAX: usize = 1000;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing can be learned from these rows.
    #[error("{0}")]
    Rows(String),
    #[error("the model cannot be used: {0}")]
    Model(String),
    #[error("the ONNX model cannot be imported: {0}")]
    Onnx(String),
}

/// What a model is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    IsolationForest,
    GradientBoosting,
    KMeans,
    /// Learned elsewhere.
    Onnx,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::IsolationForest => "isolation-forest",
            Kind::GradientBoosting => "gradient-boosting",
            Kind::KMeans => "k-means",
            Kind::Onnx => "onnx",
        }
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The version of Tidelake.
    pub tidelake: String,
    /// What the rows were asked by; nothing if it was learned elsewhere.
    pub query: Option<String>,
    /// What the lake was to be read as of, as it was asked for.
    pub as_of: Option<String>,
    /// Newest epoch of the commits that were read.
    pub epoch: Option<u64>,
    /// The tables that were there, by name, and the version that was read of each.
    pub tables: std::collections::BTreeMap<String, u64>,
    pub seed: Option<u64>,
    /// Rows of the query, and those of them that were left out for a NULL.
    pub rows: u64,
    pub left_out: u64,
    /// SHA-256 of the ONNX file that was imported.
    pub imported: Option<String>,
    /// What that says it was made by.
    pub producer: Option<String>,
}

/// A model, which does not change.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    content: Content,
    id: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    name: String,
    kind: Kind,
    features: Vec<String>,
    label: Option<String>,
    trained: Trained,
    evaluation: Option<Evaluation>,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Body {
    Forest(Forest),
    Boosted(Boosted),
    Clusters(Clusters),
    Graph(Graph),
}

/// Checks the name of a model: it is a folder in the lake, and a text in SQL.
///
/// # Errors
/// Says what it may be.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "_-".contains(it);
    let begins = name.starts_with(|it: char| it.is_ascii_lowercase());
    if !begins || !name.chars().all(is_plain) || NAME_LENGTH_MAX < name.len() {
        return Err(format!(
            "{name:?} is no name of a model: that is lower-case letters, digits, _ and -, begins with a letter, and has at most {NAME_LENGTH_MAX} of them"
        ));
    }
    match TAKEN_NAMES.contains(&name) {
        true => Err(format!(
            "{name:?} is taken for something else in a lake; choose another name"
        )),
        false => Ok(()),
    }
}

impl Model {
    fn new(content: Content) -> Result<Model, Error> {
        content.check()?;
        let bytes = bytes_of(&content)?;
        // What JSON cannot say would be lost only when it is needed.
        let model = Model::parse(&bytes)?;
        match model.content == content {
            true => Ok(model),
            false => Err(Error::Model("it cannot be written down".to_owned())),
        }
    }

    /// The model of these bytes. Whatever they are, scoring with it ends and does not panic.
    ///
    /// # Errors
    /// If they are no model.
    pub fn parse(bytes: &[u8]) -> Result<Model, Error> {
        let wrong = |it: String| Error::Model(it);
        if BYTES_MAX < bytes.len() {
            return Err(wrong(format!("it is larger than {BYTES_MAX} bytes")));
        }
        #[derive(Deserialize)]
        struct Begin {
            format: u32,
        }
        let begin: Begin = serde_json::from_slice(bytes).map_err(|it| wrong(it.to_string()))?;
        if begin.format != FORMAT {
            return Err(wrong(format!(
                "it has format {}, and this version of Tidelake knows {FORMAT}",
                begin.format
            )));
        }
        let content: Content = serde_json::from_slice(bytes).map_err(|it| wrong(it.to_string()))?;
        content.check()?;
        let id = sha256(bytes);
        Ok(Model { content, id })
    }

    /// Always the same for the same model.
    ///
    /// # Panics
    /// Never: what has been checked can be written.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(&self.content).unwrap_or_else(|it| panic!("{it}"))
    }

    /// SHA-256 of its bytes, in lower-case hex.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn name(&self) -> &str {
        &self.content.name
    }

    pub fn kind(&self) -> Kind {
        self.content.kind
    }

    /// Names of the features, in the order in which they are scored.
    pub fn features(&self) -> &[String] {
        &self.content.features
    }

    pub fn label(&self) -> Option<&str> {
        self.content.label.as_deref()
    }

    pub fn trained(&self) -> &Trained {
        &self.content.trained
    }

    /// How good it is; nothing if it was learned elsewhere.
    pub fn evaluation(&self) -> Option<&Evaluation> {
        self.content.evaluation.as_ref()
    }

    /// The score from which on a row counts as positive, or as an anomaly.
    pub fn threshold(&self) -> Option<f64> {
        self.evaluation()?.threshold
    }

    /// What a score means, for people.
    pub fn score_says(&self) -> String {
        match &self.content.body {
            Body::Forest(_) => {
                "how easily a row is set apart from others, 0 to 1; about 0.5 is usual".to_owned()
            }
            Body::Boosted(_) if self.evaluation().is_some_and(|it| it.numbers.is_some()) => {
                format!("the expected {}", self.label().unwrap_or("label"))
            }
            Body::Boosted(_) => format!(
                "the probability that {} is 1",
                self.label().unwrap_or("the label")
            ),
            Body::Clusters(_) => {
                "the rank of a row's distance from what is usual, 0 to 1".to_owned()
            }
            Body::Graph(it) => it.score_says(),
        }
    }

    /// The score of a row, whose features are in the order of [`Model::features`]; the same bits on every machine. None if there are not as many, if one is missing or not finite
    /// and the model cannot do without it, or if there is no finite score.
    pub fn score(&self, features: &[Option<f64>]) -> Option<f64> {
        if features.len() != self.content.features.len() {
            return None;
        }
        let mut point: Vec<f64> = features.iter().map(|it| it.unwrap_or(f64::NAN)).collect();
        self.score_point(&mut point)
    }

    /// The same for as many features as the model has, where NaN is a missing one. What is not finite becomes NaN, too.
    pub fn score_point(&self, point: &mut [f64]) -> Option<f64> {
        for value in point.iter_mut().filter(|it| !it.is_finite()) {
            *value = f64::NAN;
        }
        match point.len() == self.content.features.len() {
            true => self.content.body.score(point),
            false => None,
        }
    }
}

impl Body {
    /// NaN is a missing value.
    fn score(&self, point: &[f64]) -> Option<f64> {
        let is_whole = || point.iter().all(|it| !it.is_nan());
        let score = match self {
            Body::Forest(it) => is_whole().then(|| it.score(point)),
            Body::Clusters(it) => is_whole().then(|| it.score(point)),
            Body::Boosted(it) => Some(it.score(point)),
            Body::Graph(it) => it.score(point),
        };
        score.filter(|it| it.is_finite())
    }

    fn check(&self, features: usize) -> Result<(), String> {
        match self {
            Body::Forest(it) => it.check(features),
            Body::Boosted(it) => it.check(features),
            Body::Clusters(it) => it.check(features),
            Body::Graph(it) => it.check(features),
        }
    }
}

impl Content {
    fn check(&self) -> Result<(), Error> {
        let features = self.features.len();
        let is_kind = matches!(
            (self.kind, &self.body),
            (Kind::IsolationForest, Body::Forest(_))
                | (Kind::GradientBoosting, Body::Boosted(_))
                | (Kind::KMeans, Body::Clusters(_))
                | (Kind::Onnx, Body::Graph(_))
        );
        let checked = match () {
            () if self.format != FORMAT => Err("it has another format".to_owned()),
            () if !is_kind => Err("its kind is not that of its body".to_owned()),
            () => check_name(&self.name)
                .and_then(|()| check_features(&self.features))
                .and_then(|()| self.body.check(features)),
        };
        checked.map_err(Error::Model)
    }
}

/// Checks the names of a model's features.
///
/// # Errors
/// Says what is wrong.
pub fn check_features(features: &[String]) -> Result<(), String> {
    if features.is_empty() || FEATURES_MAX < features.len() {
        return Err(format!(
            "a model has 1 to {FEATURES_MAX} features, not {}",
            features.len()
        ));
    }
    for (at, name) in features.iter().enumerate() {
        if name.is_empty() || FEATURE_NAME_BYTES_MAX < name.len() {
            return Err("the name of a feature is empty or too long".to_owned());
        }
        if features[..at].contains(name) {
            return Err(format!("two features have the name {name:?}"));
        }
    }
    Ok(())
}

fn bytes_of(content: &Content) -> Result<Vec<u8>, Error> {
    let bytes = serde_json::to_vec(content).map_err(|it| Error::Model(it.to_string()))?;
    match bytes.len() <= BYTES_MAX {
        true => Ok(bytes),
        false => Err(Error::Model(format!(
            "it is larger than {BYTES_MAX} bytes; learn from fewer rows or features"
        ))),
    }
}

/// In lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // To a text nothing fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
