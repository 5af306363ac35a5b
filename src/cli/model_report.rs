//! A model for people and for machines: what it learned from, and how good it is.

use super::print::{count, printable};
use super::table::aligned;
use crate::lake::ModelVersion;
use crate::learn::{Evaluation, Model};
use crate::model::iso_of_micros;

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
    let lines = lines.into_iter().map(|it| [it.0.to_owned(), it.1]);
    aligned(lines).join("\n") + "\n"
}

/// A model and what is known of it, as JSON.
pub fn object_of(model: &Model, version: &ModelVersion) -> serde_json::Value {
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

/// When a version was published.
pub fn published(version: &ModelVersion) -> String {
    let micros = i64::try_from(version.published_ms)
        .unwrap_or_default()
        .saturating_mul(1000);
    iso_of_micros(micros)
}
