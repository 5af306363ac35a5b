//! How well scores tell rows apart, where to draw the line, and how much two verdicts have in common.

use crate::eval::curves;

/// The value at a share of sorted values, between two of them in proportion (numpy's default). Needs a value.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    // Such a sum cannot leave the two, as their difference times a share could.
    let part = place - below as f64;
    match below == above || sorted[below] == sorted[above] {
        true => sorted[below],
        false => sorted[below] * (1.0 - part) + sorted[above] * part,
    }
}

/// The area under the curve of true over false positives: how often a positive row scores higher than a negative one, a tie being half of that. None without both.
pub fn roc_auc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|it| **it).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut higher = 0.0;
    let mut below = 0.0;
    for group in groups(scores) {
        let inside = group.iter().filter(|it| labels[**it]).count() as f64;
        let others = group.len() as f64 - inside;
        higher += inside * (below + others / 2.0);
        below += others;
    }
    Some(higher / (positives * negatives))
}

/// The area under precision over recall; none without positive rows.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let scores: Vec<Option<f64>> = scores.iter().copied().map(Some).collect();
    curves::average_precision(&scores, labels)
}

/// Precision, recall and their harmonic mean of the rows whose score is at least a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtThreshold {
    /// None if no row is flagged.
    pub precision: Option<f64>,
    /// None without positive rows.
    pub recall: Option<f64>,
    pub f1: Option<f64>,
}

pub fn at_threshold(scores: &[f64], labels: &[bool], threshold: f64) -> AtThreshold {
    let flagged = scores.iter().map(|it| threshold <= *it);
    let (mut hits, mut flags) = (0.0, 0.0);
    for (flag, label) in flagged.zip(labels) {
        flags += f64::from(u8::from(flag));
        hits += f64::from(u8::from(flag && *label));
    }
    let positives = labels.iter().filter(|it| **it).count() as f64;
    let share = |of: f64| (0.0 < of).then(|| hits / of);
    AtThreshold {
        precision: share(flags),
        recall: share(positives),
        f1: (0.0 < flags + positives).then(|| 2.0 * hits / (flags + positives)),
    }
}

/// The threshold of the highest F1; of several, the highest. None without positive rows.
pub fn best_threshold(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|it| **it).count() as f64;
    let (mut hits, mut flags, mut best) = (0.0, 0.0, None);
    for group in groups(scores).iter().rev() {
        hits += group.iter().filter(|it| labels[**it]).count() as f64;
        flags += group.len() as f64;
        let f1 = 2.0 * hits / (flags + positives);
        if 0.0 < hits && best.is_none_or(|(highest, _)| highest < f1) {
            best = Some((f1, scores[group[0]]));
        }
    }
    best.map(|it| it.1)
}

/// The lowest score that at most this share of scores reaches; the highest if even that one is more common. Needs a score.
pub fn threshold_of_share(scores: &[f64], share: f64) -> f64 {
    let allowed = share * scores.len() as f64;
    let groups = groups(scores);
    let mut taken = 0.0;
    let mut threshold = None;
    for group in groups.iter().rev() {
        taken += group.len() as f64;
        if allowed < taken && threshold.is_some() {
            break;
        }
        threshold = Some(scores[group[0]]);
        if allowed < taken {
            break;
        }
    }
    threshold.unwrap_or_default()
}

/// What two sets of rows have in common, as a share of what is in either; two empty ones are the same.
pub fn jaccard(a: &[bool], b: &[bool]) -> f64 {
    let pairs = || a.iter().zip(b);
    let both = pairs().filter(|it| *it.0 && *it.1).count() as f64;
    let either = pairs().filter(|it| *it.0 || *it.1).count() as f64;
    if either == 0.0 { 1.0 } else { both / either }
}

/// The share of rows that two verdicts are the same about. Needs a row.
pub fn agreement(a: &[bool], b: &[bool]) -> f64 {
    a.iter().zip(b).filter(|it| it.0 == it.1).count() as f64 / a.len() as f64
}

/// How far predicted numbers are from those that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// The root of the mean of squares, and the mean of absolutes.
    pub rmse: f64,
    pub mae: f64,
}

/// Needs a number.
pub fn distance(predicted: impl Iterator<Item = f64>, actual: &[f64]) -> Distance {
    let (mut squares, mut absolutes) = (0.0, 0.0);
    for (predicted, actual) in predicted.zip(actual) {
        squares += (predicted - actual) * (predicted - actual);
        absolutes += (predicted - actual).abs();
    }
    let count = actual.len() as f64;
    Distance {
        rmse: (squares / count).sqrt(),
        mae: absolutes / count,
    }
}

/// Numbers of rows by score, the lowest first; those of one score together.
fn groups(scores: &[f64]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let same = |a: &usize, b: &usize| scores[*a] == scores[*b];
    order.chunk_by(same).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [bool; 6] = [false, false, true, true, false, true];
    const SCORES: [f64; 6] = [0.1, 0.4, 0.35, 0.8, 0.8, 0.2];

    /// scikit-learn 1.9: `roc_auc_score`, `average_precision_score`.
    #[test]
    fn areas_are_those_of_scikit_learn() {
        let area = roc_auc(&SCORES, &LABELS).unwrap();
        assert!((area - 0.5).abs() < 1e-12, "{area}");
        let area = average_precision(&SCORES, &LABELS).unwrap();
        assert!((area - 0.533_333_333_333_333_3).abs() < 1e-12, "{area}");
        assert_eq!(roc_auc(&SCORES, &[true; 6]), None);
        assert_eq!(average_precision(&SCORES, &[false; 6]), None);
    }

    #[test]
    fn the_best_threshold_is_the_one_of_the_highest_f1() {
        let threshold = best_threshold(&SCORES, &LABELS).unwrap();
        let all: Vec<f64> = SCORES
            .iter()
            .filter_map(|it| at_threshold(&SCORES, &LABELS, *it).f1)
            .collect();
        let highest = all.iter().copied().fold(0.0, f64::max);
        assert_eq!(at_threshold(&SCORES, &LABELS, threshold).f1, Some(highest));
        assert_eq!(threshold, 0.2);
        assert_eq!(best_threshold(&SCORES, &[false; 6]), None);
        let none = at_threshold(&SCORES, &LABELS, 2.0);
        assert_eq!((none.precision, none.recall), (None, Some(0.0)));
    }

    #[test]
    fn at_most_the_share_is_flagged_unless_all_of_the_highest_are_more() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(threshold_of_share(&scores, 0.02), 98.0);
        let tied: Vec<f64> = (0..100).map(|it| f64::from(it / 4)).collect();
        assert_eq!(threshold_of_share(&tied, 0.05), 24.0);
        assert_eq!(threshold_of_share(&tied, 0.02), 24.0);
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.3), 5.0);
        assert_eq!(quantile(&[-1e308, 1e308], 0.5), 0.0);
    }

    #[test]
    fn sets_are_compared_by_what_they_share() {
        assert_eq!(
            jaccard(&[true, true, false], &[false, true, true]),
            1.0 / 3.0
        );
        assert_eq!(jaccard(&[false], &[false]), 1.0);
        assert_eq!(
            agreement(&[true, true, false], &[false, true, true]),
            1.0 / 3.0
        );
        let far = distance([1.0, 2.0].into_iter(), &[1.0, 4.0]);
        assert_eq!((far.rmse, far.mae), (2.0_f64.sqrt(), 1.0));
    }
}
