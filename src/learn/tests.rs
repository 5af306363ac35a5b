//! Models as a whole: their bytes, their scores, and what of them is refused.

use super::testing::{forest, rows, settings};
use super::*;

const KINDS: [Kind; 3] = [Kind::IsolationForest, Kind::GradientBoosting, Kind::KMeans];

fn learned(rows: &Rows, kind: Kind, seed: u64) -> Model {
    let settings = settings("m", kind, seed);
    train(rows, &settings, Trained::default(), &mut |_, _, _| {}).unwrap()
}

#[test]
fn a_model_is_its_bytes() {
    let rows = rows(600);
    for kind in KINDS {
        let model = learned(&rows, kind, 3);
        let bytes = model.to_bytes();
        let again = Model::parse(&bytes).unwrap();
        assert_eq!(again, model, "{kind:?}");
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.id(), sha256(&bytes));
        for at in 0..rows.len() {
            let point: Vec<Option<f64>> = rows.row(at).iter().copied().map(Some).collect();
            let score = model.score(&point).unwrap();
            assert_eq!(again.score(&point).unwrap().to_bits(), score.to_bits());
            assert!((0.0..=1.0).contains(&score), "{kind:?} {score}");
        }
    }
}

#[test]
fn the_same_rows_in_any_order_and_the_same_seed_give_the_same_model() {
    let rows = rows(600);
    let mut turned = rows.clone();
    turned.values = (0..600)
        .rev()
        .flat_map(|it| rows.row(it).to_vec())
        .collect();
    turned.labels.reverse();
    for kind in KINDS {
        let model = learned(&rows, kind, 3);
        assert_eq!(learned(&turned, kind, 3).id(), model.id(), "{kind:?}");
    }
    let other = learned(&rows, Kind::IsolationForest, 4);
    assert_ne!(other.id(), learned(&rows, Kind::IsolationForest, 3).id());
}

#[test]
fn the_evaluation_says_how_well_rows_are_told_apart() {
    let rows = rows(2000);
    for kind in KINDS {
        let model = learned(&rows, kind, 1);
        let evaluation = model.evaluation().unwrap();
        assert_eq!(evaluation.rows_learned + evaluation.rows_held_out, 2000);
        let classes = evaluation.classes.as_ref().unwrap();
        // A tenth of all rows that lie close together are a cluster of their own, and so not far from everything usual.
        let least = if kind == Kind::KMeans { 0.55 } else { 0.9 };
        assert!(least < classes.roc_auc.unwrap(), "{kind:?} {classes:?}");
        assert!((0.05..0.15).contains(&classes.baseline), "{classes:?}");
        match (&evaluation.stability, kind) {
            (None, Kind::GradientBoosting) => assert!(0.9 < classes.f1.unwrap(), "{classes:?}"),
            (Some(it), _) => {
                assert!(
                    0.6 < it.jaccard_mean && 0.98 < it.agreement_least,
                    "{kind:?} {it:?}"
                );
            }
            (None, _) => panic!("{kind:?} has no stability"),
        }
    }
}

#[test]
fn a_number_is_learned_as_a_number() {
    let mut rows = rows(1000);
    for at in 0..1000 {
        rows.labels[at] = 3.0 * rows.values[2 * at] + 7.0;
    }
    let model = learned(&rows, Kind::GradientBoosting, 1);
    let evaluation = model.evaluation().unwrap();
    let numbers = evaluation.numbers.as_ref().unwrap();
    assert!(numbers.rmse < 0.2 * numbers.baseline_rmse, "{numbers:?}");
    assert_eq!((model.threshold(), &evaluation.classes), (None, &None));
    assert_eq!(model.score_says(), "the expected odd");
}

#[test]
fn a_missing_value_is_scored_only_by_what_can_do_without() {
    let rows = rows(600);
    for kind in KINDS {
        let model = learned(&rows, kind, 1);
        let can = kind == Kind::GradientBoosting;
        assert_eq!(model.score(&[None, Some(1.0)]).is_some(), can, "{kind:?}");
        assert_eq!(model.score(&[Some(f64::NAN), Some(1.0)]).is_some(), can);
        assert_eq!(model.score(&[Some(1.0)]), None, "a feature is not there");
    }
}

#[test]
fn boosting_without_a_label_is_refused() {
    let mut rows = rows(100);
    rows.label = None;
    rows.labels.clear();
    let settings = settings("m", Kind::GradientBoosting, 1);
    let refused = train(&rows, &settings, Trained::default(), &mut |_, _, _| {}).unwrap_err();
    assert!(refused.to_string().contains("--label"), "{refused}");
}

#[test]
fn what_is_no_model_is_refused() {
    let bytes = forest("m", 1).to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let wrong = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Model::parse(text.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(wrong("\"format\":1", "\"format\":2").contains("format 2"));
    assert!(wrong("\"name\":\"m\"", "\"name\":\"../m\"").contains("no name of a model"));
    assert!(wrong("\"features\":[\"a\",\"b\"]", "\"features\":[\"a\"]").contains("feature 1"));
    assert!(
        wrong("\"features\":[\"a\",\"b\"]", "\"features\":[\"a\",\"a\"]").contains("two features")
    );
    assert!(wrong("isolation-forest", "k-means").contains("kind"));
    assert!(wrong("\"sample\"", "\"x\":1,\"sample\"").contains("unknown field"));
    for end in [0, 1, 100, text.len() - 1] {
        assert!(Model::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
}
