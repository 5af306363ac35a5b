//! Learning a model and saying how good it is.
//!
//! Learned from are four fifths of the rows; on the last fifth the model is judged, and what is stored is the model that was judged. The
//! threshold comes from the rows that were learned from. A model that learns without labels is judged by whether its verdicts hold: of five models that differ only in their seed,
//! how much do the rows that each flags have in common?

use super::boosting::{Boosted, Says};
use super::clusters::Clusters;
use super::isolation::Forest;
use super::measure;
use super::rows::{Labels, Rows, Split};
use super::{Body, Content, Error, FORMAT, Kind, Model, Trained};
use serde::{Deserialize, Serialize};

/// Of rows that are learned from without labels, this share is flagged.
const FLAGGED_SHARE: f64 = 0.02;
/// Models whose verdicts are compared.
const SEEDS: u64 = 5;
/// Rows that boosting learns from, k-means clusters, and verdicts are compared on; the first ones in the order of their hashes.
const BOOSTED_MAX: usize = 200_000;
const CLUSTERED_MAX: usize = 5_000;
const COMPARED_MAX: usize = 50_000;

/// What is to be learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The model's.
    pub name: String,
    pub kind: Kind,
    pub seed: u64,
    /// Of k-means.
    pub clusters: usize,
    /// Whether a feature may give the label away.
    pub allow_leak: bool,
}

/// How good a model is on the rows that were held out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    pub rows_learned: u64,
    pub rows_held_out: u64,
    /// A row whose score is at least this is positive, or an anomaly. None where scores are numbers.
    pub threshold: Option<f64>,
    /// How the threshold was chosen.
    pub threshold_rule: Option<String>,
    /// If there is a label of 0 and 1.
    pub classes: Option<OfClasses>,
    /// If the label is a number.
    pub numbers: Option<OfNumbers>,
    /// Share of held-out rows that are flagged.
    pub flagged: Option<f64>,
    /// If it learned without labels.
    pub stability: Option<Stability>,
}

/// Of held-out rows with a label of 0 or 1. What cannot be said is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfClasses {
    /// Rows whose label is 1.
    pub positives: u64,
    pub roc_auc: Option<f64>,
    pub average_precision: Option<f64>,
    /// At the threshold.
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    /// Share of positive rows: the precision, and the average precision, of guessing.
    pub baseline: f64,
}

/// Of held-out rows whose label is a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfNumbers {
    /// Root of the mean square, and mean of the absolute error.
    pub rmse: f64,
    pub mae: f64,
    /// The root of the mean square error of always saying the mean of the rows that were learned from.
    pub baseline_rmse: f64,
}

/// What the flagged rows of models have in common that differ only in their seed: shared rows over rows of either (Jaccard), by pairs of
/// models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    pub seeds: u64,
    /// Rows that were scored by all models.
    pub rows: u64,
    pub jaccard_mean: f64,
    pub jaccard_least: f64,
    /// Share of all rows that a pair judges the same, flagged or not, of the pair with the least.
    pub agreement_least: f64,
}

/// Learns a model from rows. `progress` is told what comes next, and which of how many steps that is.
///
/// # Errors
/// Says why nothing, or too much, can be learned from these rows.
pub fn train(
    rows: &Rows,
    settings: &Settings,
    source: Trained,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Model, Error> {
    super::check_name(&settings.name).map_err(Error::Rows)?;
    super::check_features(&rows.features).map_err(Error::Rows)?;
    let learns_labels = settings.kind == Kind::GradientBoosting;
    if learns_labels && rows.label.is_none() {
        return Err(Error::Rows(
            "gradient boosting learns a label: say which column it is with --label".to_owned(),
        ));
    }
    let steps = if learns_labels { 3 } else { 2 + SEEDS };
    progress("looking at the rows", 0, steps);
    let split = rows.split(!learns_labels)?;
    split.check(learns_labels, settings.allow_leak)?;
    progress("learning", 1, steps);
    let body = learn(&split, settings, settings.seed)?;
    let mut evaluation = Evaluation {
        rows_learned: match learns_labels {
            true => split.learned.min(BOOSTED_MAX),
            false => split.learned,
        } as u64,
        rows_held_out: (split.rows.len() - split.learned) as u64,
        ..Evaluation::default()
    };
    if learns_labels {
        progress("judging", 2, steps);
        evaluate_labels(&body, &split, &mut evaluation);
    } else {
        let mut step = 2;
        evaluate_verdicts(&body, &split, settings, &mut evaluation, &mut || {
            progress("comparing seeds", step, steps);
            step += 1;
        })?;
    }
    progress("judged", steps, steps);
    let left_out = split.left_out.features + split.left_out.labels;
    Model::new(Content {
        format: FORMAT,
        name: settings.name.clone(),
        kind: settings.kind,
        features: rows.features.clone(),
        label: rows.label.clone(),
        trained: Trained {
            tidelake: env!("CARGO_PKG_VERSION").to_owned(),
            seed: Some(settings.seed),
            rows: rows.len() as u64,
            left_out: left_out as u64,
            ..source
        },
        evaluation: Some(evaluation),
        body,
    })
}

fn learn(split: &Split, settings: &Settings, seed: u64) -> Result<Body, Error> {
    let rows = &split.rows;
    let first = |count: usize| -> Vec<&[f64]> { (0..count).map(|it| rows.row(it)).collect() };
    match settings.kind {
        Kind::IsolationForest => Ok(Body::Forest(Forest::grow(
            split.learned,
            |it| rows.row(it),
            seed,
        ))),
        Kind::KMeans => Clusters::learn(
            &first(split.learned),
            CLUSTERED_MAX,
            settings.clusters,
            seed,
        )
        .map(Body::Clusters)
        .map_err(Error::Rows),
        Kind::GradientBoosting => {
            let count = split.learned.min(BOOSTED_MAX);
            let says = match rows.labels() {
                Labels::Classes => Says::Odds,
                Labels::Numbers => Says::Number,
            };
            Boosted::learn(&first(count), &rows.labels[..count], says, seed)
                .map(Body::Boosted)
                .map_err(|it| Error::Rows(format!("nothing could be learned: {it}")))
        }
        Kind::Onnx => Err(Error::Rows(
            "ONNX models are learned elsewhere and imported".to_owned(),
        )),
    }
}

/// Scores of some rows; they have one each, since the model was learned from such rows.
fn scores(body: &Body, rows: &Rows, range: std::ops::Range<usize>) -> Vec<f64> {
    range
        .map(|it| body.score(rows.row(it)).unwrap_or_default())
        .collect()
}

fn evaluate_labels(body: &Body, split: &Split, evaluation: &mut Evaluation) {
    let rows = &split.rows;
    let held_out = scores(body, rows, split.learned..rows.len());
    let (learned_labels, labels) = rows.labels.split_at(split.learned);
    if rows.labels() == Labels::Numbers {
        let mean = learned_labels.iter().sum::<f64>() / learned_labels.len() as f64;
        let found = measure::distance(held_out.into_iter(), labels);
        let guessed = measure::distance(std::iter::repeat(mean), labels);
        evaluation.numbers = Some(OfNumbers {
            rmse: found.rmse,
            mae: found.mae,
            baseline_rmse: guessed.rmse,
        });
        return;
    }
    let is_one = |it: &[f64]| it.iter().map(|it| *it == 1.0).collect::<Vec<bool>>();
    let learned = scores(body, rows, 0..split.learned);
    let threshold = measure::best_threshold(&learned, &is_one(learned_labels));
    evaluation.threshold = threshold;
    evaluation.threshold_rule = Some("the highest F1 on the rows it learned from".to_owned());
    let labels = is_one(labels);
    evaluation.flagged = threshold.map(|it| share_flagged(&held_out, it));
    evaluation.classes = threshold.map(|it| of_classes(&held_out, &labels, it));
}

fn of_classes(scores: &[f64], labels: &[bool], threshold: f64) -> OfClasses {
    let positives = labels.iter().filter(|it| **it).count();
    let at = measure::at_threshold(scores, labels, threshold);
    OfClasses {
        positives: positives as u64,
        roc_auc: measure::roc_auc(scores, labels),
        average_precision: measure::average_precision(scores, labels),
        precision: at.precision,
        recall: at.recall,
        f1: at.f1,
        baseline: positives as f64 / labels.len() as f64,
    }
}

fn share_flagged(scores: &[f64], threshold: f64) -> f64 {
    scores.iter().filter(|it| threshold <= **it).count() as f64 / scores.len() as f64
}

fn evaluate_verdicts(
    body: &Body,
    split: &Split,
    settings: &Settings,
    evaluation: &mut Evaluation,
    next: &mut dyn FnMut(),
) -> Result<(), Error> {
    let rows = &split.rows;
    let threshold = threshold_of(body, split);
    let held_out = scores(body, rows, split.learned..rows.len());
    evaluation.threshold = Some(threshold);
    evaluation.threshold_rule = Some(format!(
        "reached by {} % of the rows it learned from",
        FLAGGED_SHARE * 100.0
    ));
    evaluation.flagged = Some(share_flagged(&held_out, threshold));
    if rows.label.is_some() {
        let labels: Vec<bool> = rows.labels[split.learned..]
            .iter()
            .map(|it| *it == 1.0)
            .collect();
        evaluation.classes = Some(of_classes(&held_out, &labels, threshold));
    }
    let compared = rows.len().min(COMPARED_MAX);
    let flags = |body: &Body, threshold: f64| -> Vec<bool> {
        let scores = scores(body, rows, 0..compared);
        scores.iter().map(|it| threshold <= *it).collect()
    };
    next();
    let mut verdicts = vec![flags(body, threshold)];
    for number in 1..SEEDS {
        next();
        let other = learn(split, settings, settings.seed.wrapping_add(number))?;
        verdicts.push(flags(&other, threshold_of(&other, split)));
    }
    let pairs = verdicts.iter().enumerate().flat_map(|(at, a)| {
        let others = verdicts[at + 1..].iter();
        others.map(move |b| (measure::jaccard(a, b), measure::agreement(a, b)))
    });
    let (all, agreements): (Vec<f64>, Vec<f64>) = pairs.unzip();
    evaluation.stability = Some(Stability {
        seeds: SEEDS,
        rows: compared as u64,
        jaccard_mean: all.iter().sum::<f64>() / all.len() as f64,
        jaccard_least: all.iter().copied().fold(1.0, f64::min),
        agreement_least: agreements.iter().copied().fold(1.0, f64::min),
    });
    Ok(())
}

fn threshold_of(body: &Body, split: &Split) -> f64 {
    let learned = split.learned.min(COMPARED_MAX);
    measure::threshold_of_share(&scores(body, &split.rows, 0..learned), FLAGGED_SHARE)
}
