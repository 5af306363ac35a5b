//! `POST /api/v1/models/{model}/train`: learns a model from rows of the lake, as `tidelake train` does: in a process of its own, which holds the rows in memory and
//! comes last for processor time. The new version is in the lake when the job is done; a running dataflow takes it as it takes every new version.

use super::App;
use super::apart::{output_of, quoted};
use super::jobs::{Job, JobKind, New, Outcome};
use super::lake::body_of;
use super::problem::Problem;
use crate::auth::Caller;
use crate::lake::check_model_name;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const QUERY_BYTES_MAX: usize = 64 << 10;
const CLUSTERS: std::ops::RangeInclusive<u16> = 2..=64;
const FORM: &str = "send {\"from\": \"SELECT …\"}; kind, label, seed, clusters, as_of and allow_leak are possible, too";

/// What is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// How easily a row is set apart from others; learns without labels.
    #[default]
    IsolationForest,
    /// The probability of a label of 0 and 1, or a number.
    GradientBoosting,
    /// How far a row is from what is usual; learns without labels.
    KMeans,
}

impl ModelKind {
    fn name(self) -> &'static str {
        match self {
            ModelKind::IsolationForest => "isolation-forest",
            ModelKind::GradientBoosting => "gradient-boosting",
            ModelKind::KMeans => "k-means",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainBody {
    /// The query whose rows are learned from; each column but the label is a feature.
    from: String,
    #[serde(default)]
    kind: ModelKind,
    /// The column to be learned. Kinds that learn without labels are only tested with it.
    #[serde(default)]
    label: Option<String>,
    /// The same rows and seed give the same model; 1 if left out.
    #[serde(default)]
    seed: Option<u64>,
    /// Clusters of k-means, 2 to 64; 8 if left out.
    #[serde(default)]
    clusters: Option<u16>,
    /// Read the tables as of this time (RFC 3339) or epoch; the newest commit if left out.
    #[serde(default)]
    as_of: Option<String>,
    /// Learn although a feature alone tells the label.
    #[serde(default)]
    allow_leak: bool,
}

impl TrainBody {
    /// The arguments of `tidelake train` that say the same.
    fn arguments(&self, model: &str) -> Vec<String> {
        let mut arguments = vec![
            format!("--from={}", self.from),
            format!("--kind={}", self.kind.name()),
        ];
        let mut option = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|it| format!("--{name}={it}")));
        };
        option("label", self.label.clone());
        option("seed", self.seed.map(|it| it.to_string()));
        option("clusters", self.clusters.map(|it| it.to_string()));
        option("as-of", self.as_of.clone());
        if self.allow_leak {
            arguments.push("--allow-leak".to_owned());
        }
        arguments.push(model.to_owned());
        arguments
    }
}

pub async fn train(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<JsonBody<Job>, Problem> {
    check_model_name(&model).map_err(|it| Problem::bad_request("bad_model_name", it))?;
    let body: TrainBody = body_of(&body, FORM)?;
    let wrong = |text: String| Problem::bad_request("bad_body", text).hint(FORM);
    if body.from.trim().is_empty() || QUERY_BYTES_MAX < body.from.len() {
        let text = format!("`from` must be a query of at most {QUERY_BYTES_MAX} bytes");
        return Err(wrong(text));
    }
    if body.clusters.is_some_and(|it| !CLUSTERS.contains(&it)) {
        let (least, most) = (CLUSTERS.start(), CLUSTERS.end());
        return Err(wrong(format!("`clusters` must be from {least} to {most}")));
    }
    let mut program = app.trainer.clone().ok_or_else(|| {
        let text = "this server cannot train models";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no_trainer", text)
            .hint("run `tidelake train` in a shell")
    })?;
    for argument in body.arguments(&model) {
        program.command.push(' ');
        program.command.push_str(&quoted(&argument));
        program.arguments.push(argument.into());
    }
    program.arguments.push("--json".into());
    let new = New::of(JobKind::Train, program.command.clone(), caller);
    let work = |step: super::jobs::Step| async move {
        step.at("learning from the rows of the query");
        let printed = output_of("training", program).await?;
        let trained = serde_json::from_slice(&printed);
        let trained = trained.map_err(|it| format!("the model's report is not complete: {it}"))?;
        Ok(Outcome {
            trained: Some(trained),
            ..Outcome::default()
        })
    };
    app.jobs
        .start(new, work, std::future::ready(()))
        .map(JsonBody)
}
