//! D7: points that lie where few others do, by counts in fixed random halvings of space.
//!
//! Half-space trees (Tan, Ting and Liu, IJCAI 2011): a tree halves a box around [0, 1]^d again and again, at the middle of a dimension drawn for each node. Nothing of that depends on data, so a tree is a
//! function of its seed, a point is a leaf number per tree, and what there is to maintain are counts by (tree, leaf): they add up and can be taken back, in any order. The node above a leaf is its number shifted right.
//!
//! A point is scored by the first node on its way that few points are in, as the mean over trees of -ln(share of points there * 2^depth): zero where points are spread evenly, more where it is emptier.
//! Features come as ranks in [0, 1], which is up to the caller.

use super::math::ln;
use crate::model::mixed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node with fewer points is not looked into further.
const POINTS_MIN: u64 = 10;

/// The halvings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HalfSpaces {
    pub seed: u64,
    pub trees: u32,
    /// At most 30.
    pub depth: u32,
}

impl Default for HalfSpaces {
    fn default() -> Self {
        HalfSpaces {
            seed: 1,
            trees: 25,
            depth: 15,
        }
    }
}

/// Points by tree and leaf.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    points: i64,
    leaves: BTreeMap<(u32, u32), i64>,
}

impl HalfSpaces {
    /// The leaf of a point in a tree: one bit for each halving, the first one highest.
    pub fn leaf(&self, tree: u32, point: &[f64]) -> u32 {
        if point.is_empty() {
            return 0;
        }
        let draw = |of: u64| mixed(self.seed ^ mixed(u64::from(tree) << 32 | of));
        let unit = |bits: u64| (bits >> 11) as f64 / (1_u64 << 53) as f64;
        // Each tree has a box of its own around the unit cube, as in the paper.
        let bounds = |dimension: usize| {
            let middle = unit(draw(1 << 31 | dimension as u64));
            let half = 2.0 * middle.max(1.0 - middle);
            (middle - half, middle + half)
        };
        let mut box_of: Vec<(f64, f64)> = (0..point.len()).map(bounds).collect();
        let mut node = 1_u32;
        for _ in 0..self.depth {
            let dimension = (draw(node.into()) % point.len() as u64) as usize;
            let (low, high) = &mut box_of[dimension];
            let middle = f64::midpoint(*low, *high);
            let is_above = middle <= point[dimension];
            *(if is_above { low } else { high }) = middle;
            node = node << 1 | u32::from(is_above);
        }
        node - (1 << self.depth)
    }

    /// Adds a point so many times, or takes it back.
    pub fn add(&self, counts: &mut Counts, point: &[f64], times: i64) {
        counts.points += times;
        for tree in 0..self.trees {
            let leaf = (tree, self.leaf(tree, point));
            let count = counts.leaves.entry(leaf).or_default();
            *count += times;
            if *count == 0 {
                counts.leaves.remove(&leaf);
            }
        }
    }

    /// How empty it is around a point; none without points to compare with.
    pub fn score(&self, counts: &Counts, point: &[f64]) -> Option<f64> {
        let all = u64::try_from(counts.points).ok().filter(|it| 0 < *it)?;
        let of_tree = |tree: u32| {
            let leaf = self.leaf(tree, point);
            let mut depth = 0;
            let mut inside = all;
            while depth < self.depth && POINTS_MIN <= inside {
                depth += 1;
                let below = self.depth - depth;
                let first = leaf >> below << below;
                let last = first + ((1 << below) - 1);
                let leaves = counts.leaves.range((tree, first)..=(tree, last));
                // Below zero while points are taken back that have not come yet.
                inside = leaves.map(|it| *it.1).sum::<i64>().max(0) as u64;
            }
            let share = (inside as f64 + 1.0) / (all as f64 + 1.0);
            -ln(share) - f64::from(depth) * std::f64::consts::LN_2
        };
        let sum: f64 = (0..self.trees).map(of_tree).sum();
        Some(sum / f64::from(self.trees.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;
    use proptest::prelude::*;

    #[test]
    fn a_point_apart_from_a_cluster_scores_above_all_of_it() {
        let forest = HalfSpaces::default();
        let mut random = Random::new(9);
        let mut near = || [(); 3].map(|()| 0.4 + 0.2 * random.unit());
        let mut counts = Counts::default();
        assert_eq!(forest.score(&counts, &near()), None);
        for _ in 0..500 {
            forest.add(&mut counts, &near(), 1);
        }
        let score = |it: &[f64]| forest.score(&counts, it).unwrap();
        let usual = (0..50).map(|_| score(&near())).fold(f64::MIN, f64::max);
        assert!(usual < score(&[0.95, 0.05, 0.9]), "{usual}");
        assert!(usual < score(&[0.5, 0.5, 1.0]), "{usual}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn counts_do_not_depend_on_order_and_can_be_taken_back(
            points in proptest::collection::vec(proptest::array::uniform4(0.0..1.0), 1..20),
            extra in proptest::collection::vec(proptest::array::uniform4(0.0..1.0), 0..10),
        ) {
            let forest = HalfSpaces { depth: 8, ..HalfSpaces::default() };
            let mut forth = Counts::default();
            points.iter().chain(&extra).for_each(|it| forest.add(&mut forth, it, 1));
            extra.iter().for_each(|it| forest.add(&mut forth, it, -1));
            let mut back = Counts::default();
            points.iter().rev().for_each(|it| forest.add(&mut back, it, 1));
            prop_assert_eq!(forth, back);
        }
    }
}
