//! The law of all detectors: blocks do not show.

use super::any_series::AnySeries;
use super::forecast::Forecast;
use super::metric::{Evidence, Kind, Metric};
use super::outlier::Point;
use super::ratio::{Ratio, Share};
use super::unknown_season::UnknownSeason;
use super::*;
use proptest::prelude::*;
use std::fmt::Debug;

/// Windows with gaps, and what was observed in each.
fn windows<E: Clone + Debug>(
    evidence: impl Strategy<Value = E>,
    length: usize,
) -> impl Strategy<Value = Vec<Window<E>>> {
    let step = prop_oneof![9 => Just(1_i64), 1 => 2..40_i64];
    proptest::collection::vec((step, evidence), 0..length).prop_map(|steps| {
        let mut number = 400_000;
        let window = |(step, evidence)| {
            number += step;
            Window { number, evidence }
        };
        steps.into_iter().map(window).collect()
    })
}

/// Bits, so that 0 and -0 differ and what is not a number equals itself.
fn bytes(of: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(of).expect("scores and states can be written")
}

/// Scores and carry are the same whatever the blocks, also when each carry was stored in between.
fn cuts_do_not_show<D: Detector>(detector: &D, windows: &[Window<D::Evidence>], cuts: &[usize]) {
    let (whole, last) = fold_block(detector, &detector.start(), windows);
    let mut scores = Vec::new();
    let mut carry = detector.start();
    let mut rest = windows;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (block, behind) = rest.split_at(cut.min(rest.len()));
        let (of_block, next) = fold_block(detector, &carry, block);
        scores.extend(of_block);
        carry = postcard::from_bytes(&bytes(&next)).expect("a state can be read");
        rest = behind;
    }
    assert_eq!(bytes(&whole), bytes(&scores));
    assert_eq!(bytes(&last), bytes(&carry));
}

fn counts() -> impl Strategy<Value = f64> {
    prop_oneof![3 => 0..30_u32, 3 => 900..1100_u32, 1 => 0..100_000_u32].prop_map(f64::from)
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -10.0..10.0,
        1 => Just(3.5),
        1 => -1e12..1e12,
        1 => Just(f64::NAN),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_shares(
        shares in windows((0..300_u64, 0..300_u64), 200),
        cuts in proptest::collection::vec(0..64_usize, 0..8),
    ) {
        let share = |it: &Window<(u64, u64)>| Window {
            number: it.number,
            evidence: Share { failures: it.evidence.0, all: it.evidence.1 },
        };
        let shares: Vec<_> = shares.iter().map(share).collect();
        cuts_do_not_show(&Ratio { window_seconds: 60 }, &shares, &cuts);
    }

    #[test]
    fn of_forecasts(
        counts in windows(counts(), 300),
        values in windows(values(), 300),
        cuts in proptest::collection::vec(0..64_usize, 0..8),
    ) {
        let day = Forecast { season: Some(24), week: true, ..Forecast::of_counts(3_600) };
        cuts_do_not_show(&day, &counts, &cuts);
        cuts_do_not_show(&Forecast::of_counts(300), &counts, &cuts);
        cuts_do_not_show(&Forecast::of_values(Some(12)), &values, &cuts);
        cuts_do_not_show(&UnknownSeason::default(), &values, &cuts);
        cuts_do_not_show(&AnySeries::default(), &values, &cuts);
        let observed = |it: &Window<f64>| Window {
            number: it.number,
            evidence: Evidence::Number(it.evidence),
        };
        let observed: Vec<_> = values.iter().map(observed).collect();
        for kind in [Kind::Value, Kind::Drift, Kind::Novelty, Kind::Series] {
            cuts_do_not_show(&Metric::new(kind, 60, Some(12)), &observed, &cuts);
        }
    }

    #[test]
    fn of_several_values(
        points in windows(proptest::collection::vec(values(), 2..4), 400),
        cuts in proptest::collection::vec(0..64_usize, 0..8),
    ) {
        let point = |it: &Window<Vec<f64>>| Window {
            number: it.number,
            evidence: Evidence::Point(Point::of(it.evidence.iter().copied())),
        };
        let points: Vec<_> = points.iter().map(point).collect();
        cuts_do_not_show(&Metric::new(Kind::Outlier, 60, None), &points, &cuts);
    }
}
