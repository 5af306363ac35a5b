//! Models for tests, here and in other modules.

use super::{Kind, Model, Rows, Settings, Trained, train};
use crate::model::Random;

/// So many rows of two features; those with a label of 1 are a tenth, and lie apart.
pub fn rows(count: usize) -> Rows {
    let mut random = Random::new(6);
    let mut rows = Rows {
        features: vec!["a".to_owned(), "b".to_owned()],
        label: Some("odd".to_owned()),
        ..Rows::default()
    };
    for _ in 0..count {
        let is_odd = random.percent() < 10;
        let shift = if is_odd { 2.0 } else { 0.0 };
        rows.values.push(random.unit() + random.unit() + shift);
        rows.values
            .push((random.unit() + random.unit() - shift) * 100.0);
        rows.labels.push(f64::from(u8::from(is_odd)));
    }
    rows
}

pub fn settings(name: &str, kind: Kind, seed: u64) -> Settings {
    Settings {
        name: name.to_owned(),
        kind,
        seed,
        clusters: 4,
        allow_leak: true,
    }
}

/// An isolation forest of this name.
pub fn forest(name: &str, seed: u64) -> Model {
    let settings = settings(name, Kind::IsolationForest, seed);
    train(&rows(200), &settings, Trained::default(), &mut |_, _, _| {})
        .expect("these rows can be learned from")
}
