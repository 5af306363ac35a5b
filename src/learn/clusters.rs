//! k-means: how far a point is from everything that is usual.
//!
//! Features are standardised. Lloyd's algorithm from one random beginning finds one of many local optima, so a model is an ensemble of several clusterings, and
//! the distance of a point is the mean over them of the distance to the nearest centroid. The score is the rank of that distance among those of the rows
//! it learned from, in 0..=1. No cluster has a meaning or a number outside of this file: another seed gives nearly the same scores.

use serde::{Deserialize, Serialize};
use smartcore::cluster::kmeans::{KMeans, KMeansParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Clusterings of an ensemble.
const CLUSTERINGS: u64 = 20;
/// Rounds of one clustering.
const ROUNDS_MAX: usize = 100;
/// Steps of the table of distances.
const RANKS: usize = 1000;

/// Centroids of several clusterings, and how far the rows they were learned from are from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clusters {
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// By clustering, centroids of standardised features.
    clusterings: Vec<Vec<Vec<f64>>>,
    /// Distances at equally spaced ranks, from the least to the greatest.
    distances: Vec<f64>,
}

impl Clusters {
    /// Learns from these rows, none of whose features is constant. The first `clustered` of them are clustered; all are ranked.
    ///
    /// # Errors
    /// If they have fewer different values than there are to be clusters.
    pub fn learn(
        rows: &[&[f64]],
        clustered: usize,
        clusters: usize,
        seed: u64,
    ) -> Result<Clusters, String> {
        let width = rows.first().map_or(0, |it| it.len());
        let count = rows.len() as f64;
        let column = |at: usize| rows.iter().map(move |it| it[at]);
        let means: Vec<f64> = (0..width)
            .map(|it| column(it).sum::<f64>() / count)
            .collect();
        let deviation = |at: usize| {
            let squares = column(at).map(|it| (it - means[at]) * (it - means[at]));
            (squares.sum::<f64>() / count).sqrt()
        };
        let deviations: Vec<f64> = (0..width).map(deviation).collect();
        let mut learned = Clusters {
            means,
            deviations,
            clusterings: Vec::new(),
            distances: Vec::new(),
        };
        let points: Vec<Vec<f64>> = rows[..clustered.min(rows.len())]
            .iter()
            .map(|it| learned.standardised(it))
            .collect();
        let mut different: Vec<Vec<u64>> = points
            .iter()
            .map(|it| it.iter().map(|it| it.to_bits()).collect())
            .collect();
        different.sort_unstable();
        different.dedup();
        if different.len() < 2 * clusters {
            return Err(format!(
                "the rows have {} different values, too few for {clusters} clusters; take fewer --clusters, or another --kind",
                different.len()
            ));
        }
        let matrix = DenseMatrix::from_2d_vec(&points).map_err(|it| it.to_string())?;
        for number in 0..CLUSTERINGS {
            let parameters = KMeansParameters {
                k: clusters,
                max_iter: ROUNDS_MAX,
                seed: Some(crate::model::mixed(
                    seed.wrapping_mul(CLUSTERINGS).wrapping_add(number),
                )),
            };
            let found = KMeans::<f64, i32, DenseMatrix<f64>, Vec<i32>>::fit(&matrix, parameters)
                .and_then(|it| it.predict(&matrix))
                .map_err(|it| it.to_string())?;
            learned
                .clusterings
                .push(centroids(&points, &found, clusters));
        }
        let mut all: Vec<f64> = rows.iter().map(|it| learned.distance(it)).collect();
        all.sort_unstable_by(f64::total_cmp);
        let at = |rank: usize| super::measure::quantile(&all, rank as f64 / RANKS as f64);
        learned.distances = (0..=RANKS).map(at).collect();
        Ok(learned)
    }

    /// # Errors
    /// If it cannot score points of so many features.
    pub(super) fn check(&self, features: usize) -> Result<(), String> {
        let fits = |it: &Vec<f64>| it.len() == features && it.iter().all(|it| it.is_finite());
        let clusterings = self.clusterings.iter();
        if !fits(&self.means)
            || !fits(&self.deviations)
            || self.deviations.iter().any(|it| *it <= 0.0)
            || self.clusterings.is_empty()
            || !clusterings.flatten().all(fits)
            || self.clusterings.iter().any(Vec::is_empty)
        {
            return Err("its centroids do not fit its features".to_owned());
        }
        if self.distances.len() < 2
            || !self.distances.is_sorted()
            || !self.distances.iter().all(|it| it.is_finite())
        {
            return Err("its table of distances does not rise".to_owned());
        }
        Ok(())
    }

    fn standardised(&self, point: &[f64]) -> Vec<f64> {
        let scales = self.means.iter().zip(&self.deviations);
        let scaled = point.iter().zip(scales);
        scaled
            .map(|(it, (mean, deviation))| (it - mean) / deviation)
            .collect()
    }

    /// In standard deviations.
    fn distance(&self, point: &[f64]) -> f64 {
        let point = self.standardised(point);
        let nearest = |centroids: &Vec<Vec<f64>>| {
            let squares = centroids.iter().map(|it| square(it, &point));
            squares.fold(f64::INFINITY, f64::min).sqrt()
        };
        self.clusterings.iter().map(nearest).sum::<f64>() / self.clusterings.len() as f64
    }

    /// The rank of a point's distance, in 0..=1; beyond the farthest row it is 1.
    pub fn score(&self, point: &[f64]) -> f64 {
        let distance = self.distance(point);
        let steps = (self.distances.len() - 1) as f64;
        let above = self.distances.partition_point(|it| *it <= distance);
        if above == self.distances.len() {
            return 1.0;
        }
        let Some(below) = above.checked_sub(1) else {
            return 0.0;
        };
        let (low, high) = (self.distances[below], self.distances[above]);
        (below as f64 + (distance - low) / (high - low)) / steps
    }
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The means of the points of each cluster; of one without points there is none.
fn centroids(points: &[Vec<f64>], cluster_of: &[i32], clusters: usize) -> Vec<Vec<f64>> {
    let width = points[0].len();
    let mut sums = vec![vec![0.0; width]; clusters];
    let mut counts = vec![0_u32; clusters];
    for (point, cluster) in points.iter().zip(cluster_of) {
        let cluster = usize::try_from(*cluster).unwrap_or_default();
        counts[cluster] += 1;
        for (sum, value) in sums[cluster].iter_mut().zip(point) {
            *sum += value;
        }
    }
    let inhabited = sums.into_iter().zip(counts).filter(|it| it.1 != 0);
    inhabited
        .map(|(sum, count)| sum.iter().map(|it| it / f64::from(count)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    fn blobs() -> Vec<Vec<f64>> {
        let mut random = Random::new(3);
        let mut near = |centre: f64| centre + random.unit() - 0.5;
        (0..400)
            .map(|it| {
                let centre = f64::from(it % 3) * 10.0;
                vec![near(centre), near(-centre) * 100.0]
            })
            .collect()
    }

    #[test]
    fn the_score_is_the_rank_of_the_distance() {
        let rows = blobs();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let learned = Clusters::learn(&rows, 300, 3, 1).unwrap();
        assert_eq!(learned.check(2), Ok(()));
        assert!(learned.check(3).is_err());
        assert_eq!(Clusters::learn(&rows, 300, 3, 1).unwrap(), learned);
        let mut scores: Vec<f64> = rows.iter().map(|it| learned.score(it)).collect();
        scores.sort_unstable_by(f64::total_cmp);
        for share in [0.1, 0.5, 0.9] {
            let score = scores[(share * 400.0) as usize];
            assert!((score - share).abs() < 0.01, "{score} at {share}");
        }
        assert_eq!(learned.score(&[5.0, 900.0]), 1.0, "between all blobs");
    }

    #[test]
    fn rows_that_are_all_alike_have_no_clusters() {
        let rows = [[1.0], [2.0], [1.0], [2.0]];
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 1]>::as_slice).collect();
        let refused = Clusters::learn(&rows, 4, 2, 1).unwrap_err();
        assert!(refused.contains("2 different values"), "{refused}");
    }
}
