//! What a lake keeps: manifests, state, models, and the ONNX files that models are imported from.

use crate::coordinator::{state, stored};
use crate::lake::Manifest;
use crate::learn::{Imported, Model, import};
use crate::model::Random;

/// Points that a model is asked about.
const POINTS: usize = 8;

/// A manifest is what its file says, and one that was changed is not taken for one of ours.
pub(super) fn manifest(data: &[u8]) -> bool {
    let Ok(manifest) = Manifest::from_file(data) else {
        return false;
    };
    // Damaged or not, it is told.
    let _ = stored::check(&manifest);
    let file = manifest.to_file();
    let again = Manifest::from_file(&file).expect("what was written can be read");
    assert_eq!(
        String::from_utf8_lossy(&again.to_file()),
        String::from_utf8_lossy(&file),
        "it says the same"
    );
    if let Some(seal) = &manifest.seal {
        assert!(
            data.ends_with(format!("\"{seal}\"}}").as_bytes()),
            "a seal ends its file"
        );
    }
    true
}

/// A file of state, and the records in one.
pub(super) fn state(data: &[u8]) -> bool {
    let of_file = state::decode(data);
    let of_records = state::decode(&state::packed(data));
    for records in [&of_file, &of_records].into_iter().flatten() {
        let file = state::encode(records).expect("what was read can be written");
        let again = state::decode(&file).expect("what was written can be read");
        // NaN is not equal to itself.
        assert_eq!(format!("{again:?}"), format!("{records:?}"));
    }
    of_file.is_ok() || of_records.is_ok()
}

/// Whatever a model is made of, scoring ends.
pub(super) fn model(data: &[u8]) -> bool {
    match Model::parse(data) {
        Ok(model) => check_model(&model),
        Err(_) => false,
    }
}

/// Whatever a file from elsewhere does, it is imported to a model that scores, or refused.
pub(super) fn onnx(data: &[u8]) -> bool {
    let imported = [1_usize, 2, 4].map(|features| {
        let wanted = Imported {
            name: "imported".to_owned(),
            features: (0..features).map(|it| format!("f{it}")).collect(),
            output: None,
            class: None,
        };
        import(data, &wanted).is_ok_and(|it| check_model(&it))
    });
    imported.contains(&true)
}

fn check_model(model: &Model) -> bool {
    let bytes = model.to_bytes();
    let again = Model::parse(&bytes).expect("what was written can be read");
    assert_eq!(again.to_bytes(), bytes, "it is the same model");
    let mut random = Random::new(1);
    for _ in 0..POINTS {
        let point = model.features().iter().map(|_| match random.below(5) {
            0 => None,
            1 => Some(f64::INFINITY),
            2 => Some(-1e300),
            _ => Some(random.unit() * 100.0),
        });
        let point: Vec<Option<f64>> = point.collect();
        let score = model.score(&point);
        assert!(score.is_none_or(f64::is_finite), "a score is a number");
        assert_eq!(
            again.score(&point).map(f64::to_bits),
            score.map(f64::to_bits),
            "the same bits"
        );
    }
    true
}
