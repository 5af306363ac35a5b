//! How well scores order points, over all thresholds: the area under the curve of precision and recall.
//!
//! - `average_precision`: the sum over thresholds of (R_k - R_k-1) P_k, points by themselves (scikit-learn's `average_precision_score`).
//! - `volume_pr` (VUS-PR): the mean, over buffers of 0 to `buffer` points around events, of that area with labels that fade out in the buffer, and with recall that counts
//!   how many events were touched (Paparrizos et al., "Volume Under the Surface", PVLDB 15(11), 2022; slopes symmetric and not added up, as in Wenig et al., TimeEval,
//!   PVLDB 15(12), 2022).
//!
//! Points without a score count as the least of all scores.

use std::cmp::Ordering;
use std::ops::Range;

/// The area under precision over recall, point by point; none without anomalous points.
pub fn average_precision(scores: &[Option<f64>], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|it| **it).count();
    if positives == 0 {
        return None;
    }
    let (mut hits, mut taken, mut area, mut recall) = (0, 0, 0.0, 0.0);
    for group in groups(scores) {
        hits += group.iter().filter(|it| labels[**it]).count();
        taken += group.len();
        let next = hits as f64 / positives as f64;
        area += (next - recall) * hits as f64 / taken as f64;
        recall = next;
    }
    Some(area)
}

/// VUS-PR with buffers up to so many points; none without anomalous points.
pub fn volume_pr(scores: &[Option<f64>], events: &[Range<usize>], buffer: usize) -> Option<f64> {
    if events.is_empty() {
        return None;
    }
    let groups = groups(scores);
    let areas = (0..=buffer).map(|it| range_area(&groups, scores.len(), events, it));
    Some(areas.sum::<f64>() / (buffer + 1) as f64)
}

fn range_area(groups: &[Vec<usize>], length: usize, events: &[Range<usize>], buffer: usize) -> f64 {
    let weights = weights(length, events, buffer);
    let half = buffer / 2;
    let inside: f64 = events.iter().map(|it| it.len() as f64).sum();
    let mut is_event = vec![false; length];
    for event in events {
        is_event[event.clone()].fill(true);
    }
    // By point, the events whose buffer it is in: at most the neighbours, found by search.
    let touched_by = |point: usize| {
        let first = events.partition_point(|it| it.end + half <= point);
        let near = events[first..].iter().enumerate();
        near.take_while(move |(_, it)| it.start <= point + half)
            .map(move |(at, _)| first + at)
    };
    let mut is_touched = vec![false; events.len()];
    let (mut touched, mut weight, mut around, mut taken) = (0, 0.0, 0.0, 0);
    let (mut area, mut recall) = (0.0, 0.0);
    for group in groups {
        for point in group {
            weight += weights[*point];
            if !is_event[*point] {
                around += weights[*point];
            }
            for event in touched_by(*point) {
                touched += usize::from(!std::mem::replace(&mut is_touched[event], true));
            }
        }
        taken += group.len();
        // Half way between the event alone and the event with what was found of its buffer.
        let positives = inside + around / 2.0;
        let existence = touched as f64 / events.len() as f64;
        let next = (weight / positives).min(1.0) * existence;
        area += (next - recall) * weight / taken as f64;
        recall = next;
    }
    area
}

/// 1 in events, fading by sqrt(1 - distance / buffer) over half a buffer on either side.
fn weights(length: usize, events: &[Range<usize>], buffer: usize) -> Vec<f64> {
    let mut weights = vec![0.0_f64; length];
    for event in events {
        weights[event.clone()].fill(1.0);
        for distance in 1..=buffer / 2 {
            let weight = (1.0 - distance as f64 / buffer as f64).sqrt();
            let before = event.start.checked_sub(distance);
            let after = Some(event.end - 1 + distance).filter(|it| *it < length);
            for point in before.into_iter().chain(after) {
                weights[point] = weights[point].max(weight);
            }
        }
    }
    weights
}

/// Points by score, the highest first; those of one score together.
fn groups(scores: &[Option<f64>]) -> Vec<Vec<usize>> {
    let order = |a: &usize, b: &usize| match (scores[*a], scores[*b]) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    let mut points: Vec<usize> = (0..scores.len()).collect();
    points.sort_by(order);
    let same = |a: &usize, b: &usize| order(a, b) == Ordering::Equal;
    points.chunk_by(same).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sklearn.metrics.average_precision_score([0,0,1,1,0,1], [.1,.4,.35,.8,.8,.2])`
    #[test]
    fn average_precision_is_that_of_scikit_learn() {
        let labels = [false, false, true, true, false, true];
        let scores = [0.1, 0.4, 0.35, 0.8, 0.8, 0.2].map(Some);
        let area = average_precision(&scores, &labels).unwrap();
        assert!((area - 0.533_333_333_333_333_3).abs() < 1e-12, "{area}");
        assert_eq!(average_precision(&scores, &[false; 6]), None);
    }

    #[test]
    fn without_a_buffer_the_range_area_of_single_points_is_not_above_the_plain_one() {
        let labels = [false, true, false, false, true, false, false, false];
        let events = [1..2, 4..5];
        let scores = [0.1, 0.9, 0.3, 0.2, 0.25, 0.6, 0.0, 0.05].map(Some);
        let plain = average_precision(&scores, &labels).unwrap();
        let range = volume_pr(&scores, &events, 0).unwrap();
        assert!(range <= plain + 1e-12, "{range} {plain}");
    }

    #[test]
    fn a_perfect_order_has_the_whole_volume_and_near_misses_have_some() {
        let event = vec![40..50; 1];
        let exact: Vec<_> = (0..100)
            .map(|it| Some(f64::from(u8::from((40..50).contains(&it)))))
            .collect();
        let near: Vec<_> = (0..100)
            .map(|it| Some(f64::from(u8::from((50..55).contains(&it)))))
            .collect();
        let far: Vec<_> = (0..100)
            .map(|it| Some(f64::from(u8::from((80..90).contains(&it)))))
            .collect();
        let volume = |it: &[Option<f64>]| volume_pr(it, &event, 20).unwrap();
        assert!((volume_pr(&exact, &event, 0).unwrap() - 1.0).abs() < 1e-12);
        assert!(0.9 < volume(&exact), "{}", volume(&exact));
        assert!(volume(&far) < volume(&near) && volume(&near) < volume(&exact));
    }
}
