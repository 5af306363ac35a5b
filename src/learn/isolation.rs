//! Isolation forests: points that few cuts set apart (Liu, Ting and Zhou, ICDM 2008, "Isolation forest").
//!
//! The score of a point is `2^(-mean path / c(sample))`, where a path that ends among n points goes on by
//! `c(n) = 2 (ln(n - 1) + gamma) - 2 (n - 1) / n`: near one where a point is set apart at once, one half or less where it is like all others. It is
//! the negative of scikit-learn's `score_samples`. The weight of a leaf is the whole length of its path.

use super::trees::{Node, Rule, Trees};
use crate::detect::math::{ln, pow};
use crate::model::Random;
use serde::{Deserialize, Serialize};

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
/// Three times as many as the paper: another seed changes fewer verdicts.
const TREES: u32 = 300;
/// As the paper and scikit-learn have it.
const SAMPLE: usize = 256;

/// Trees whose leaves weigh as much as their paths are long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forest {
    /// Points that each tree was grown from.
    pub(super) sample: u32,
    pub(super) trees: Trees,
}

impl Forest {
    /// A forest from so many points, of which `point` gives the features: each tree from a sample without repetition, cut at random until points are alone or the tree
    /// is as deep as log2 of the sample. Needs two points.
    pub fn grow<'a>(points: usize, point: impl Fn(usize) -> &'a [f64], seed: u64) -> Forest {
        let sample = SAMPLE.min(points).max(2);
        let depth = (sample - 1).ilog2() + 1;
        let mut random = Random::new(seed);
        let mut trees = Trees::default();
        let mut order: Vec<usize> = (0..points).collect();
        for _ in 0..TREES {
            for at in 0..sample {
                let other = at + random.below_u64((points - at) as u64) as usize;
                order.swap(at, other);
            }
            let chosen = order[..sample].iter();
            let mut inside: Vec<Vec<f64>> = chosen
                .map(|it| point(*it).iter().copied().map(single).collect())
                .collect();
            let mut nodes = Vec::new();
            cut(&mut inside, 0, depth, &mut nodes, &mut random);
            let added = trees.add(&nodes, 0);
            debug_assert_eq!(added, Ok(()), "what was grown is a tree");
        }
        Forest {
            sample: sample as u32,
            trees: trees.compact(),
        }
    }

    /// # Errors
    /// If it cannot score points of so many features.
    pub(super) fn check(&self, features: usize) -> Result<(), String> {
        if self.sample < 2 {
            return Err("a tree is grown from two points or more".to_owned());
        }
        self.trees.check(features, 1)
    }

    /// The score of a point, in 0..=1. Features are compared as f32, which is what trees are grown from, here and in scikit-learn.
    pub fn score(&self, point: &[f64]) -> f64 {
        let point: Vec<f64> = point.iter().copied().map(single).collect();
        let mut paths = 0.0;
        self.trees.each_weight(&point, |_, path| paths += path);
        pow(
            2.0,
            -paths / (self.trees.len() as f64 * further(self.sample)),
        )
    }
}

fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// c(n): the mean depth of a search tree of n points.
fn further(size: u32) -> f64 {
    let n = f64::from(size);
    match size {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * (ln(n - 1.0) + EULER_GAMMA) - 2.0 * (n - 1.0) / n,
    }
}

/// Adds the tree of these points, which are at this depth.
fn cut(
    points: &mut [Vec<f64>],
    depth: u32,
    depth_max: u32,
    nodes: &mut Vec<Node>,
    random: &mut Random,
) {
    let at = nodes.len();
    let path = f64::from(depth) + further(points.len() as u32);
    nodes.push(Node::Leaf(vec![(0, path)]));
    let ends = |feature: usize| {
        let values = points.iter().map(|it| it[feature]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |ends, it| {
            (ends.0.min(it), ends.1.max(it))
        })
    };
    // Features in which these points differ.
    let open: Vec<usize> = (0..points[0].len())
        .filter(|it| ends(*it).0 < ends(*it).1)
        .collect();
    if depth == depth_max || points.len() < 2 || open.is_empty() {
        return;
    }
    let feature = open[random.below_u64(open.len() as u64) as usize];
    let (low, high) = ends(feature);
    let drawn = low + random.unit() * (high - low);
    // Rounded up to the highest, it would set nothing apart.
    let threshold = if drawn < high { drawn } else { low };
    let is_left = |it: &Vec<f64>| it[feature] <= threshold;
    points.sort_by_key(|it| !is_left(it));
    let (left, right) = points.split_at_mut(points.partition_point(is_left));
    let yes = nodes.len();
    cut(left, depth + 1, depth_max, nodes, random);
    let no = nodes.len();
    cut(right, depth + 1, depth_max, nodes, random);
    nodes[at] = Node::Branch {
        feature: feature as u32,
        rule: Rule::AtMost,
        threshold,
        missing_holds: false,
        yes,
        no,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of scikit-learn, with its nodes in their order.
    #[derive(Deserialize)]
    struct Golden {
        forest: GoldenForest,
        points: Vec<Vec<f64>>,
        scores: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct GoldenForest {
        sample: u32,
        trees: Vec<Vec<GoldenNode>>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum GoldenNode {
        Cut {
            feature: u32,
            threshold: f64,
            left: usize,
            right: usize,
        },
        Leaf {
            size: u32,
        },
    }

    fn forest_of(golden: &GoldenForest) -> Forest {
        let mut trees = Trees::default();
        for tree in &golden.trees {
            let mut depths = vec![0_u32; tree.len()];
            let mut nodes = Vec::new();
            for (at, node) in tree.iter().enumerate() {
                nodes.push(match node {
                    GoldenNode::Leaf { size } => {
                        Node::Leaf(vec![(0, f64::from(depths[at]) + further(*size))])
                    }
                    GoldenNode::Cut {
                        feature,
                        threshold,
                        left,
                        right,
                    } => {
                        depths[*left] = depths[at] + 1;
                        depths[*right] = depths[at] + 1;
                        Node::Branch {
                            feature: *feature,
                            rule: Rule::AtMost,
                            threshold: *threshold,
                            missing_holds: false,
                            yes: *left,
                            no: *right,
                        }
                    }
                });
            }
            trees.add(&nodes, 0).unwrap();
        }
        Forest {
            sample: golden.sample,
            trees: trees.compact(),
        }
    }

    /// `-score_samples` of scikit-learn 1.9, over the same trees.
    #[test]
    fn scores_are_those_of_scikit_learn() {
        let golden: Golden = serde_json::from_str(include_str!("golden.json")).unwrap();
        let forest = forest_of(&golden.forest);
        assert_eq!(forest.check(3), Ok(()));
        assert!(forest.check(2).is_err());
        for (point, expected) in golden.points.iter().zip(&golden.scores) {
            let found = forest.score(point);
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }

    #[test]
    fn what_is_apart_scores_higher_and_a_seed_grows_one_forest() {
        let mut random = Random::new(4);
        let mut point = || (0..3).map(|_| random.unit()).collect::<Vec<f64>>();
        let points: Vec<Vec<f64>> = (0..300).map(|_| point()).collect();
        let grow = |seed| Forest::grow(points.len(), |it| &points[it], seed);
        let forest = grow(7);
        assert_eq!(forest.check(3), Ok(()));
        assert_eq!(grow(7), forest);
        assert_ne!(grow(8), forest);
        let usual = points.iter().map(|it| forest.score(it)).fold(0.0, f64::max);
        assert!(usual < forest.score(&[3.0, -2.0, 4.0]), "{usual}");
    }

    #[test]
    fn points_that_cannot_be_told_apart_are_one_leaf() {
        let same = [1.0, 1.0 + 1e-12];
        let forest = Forest::grow(5, |it| &same[it % 2..=it % 2], 1);
        assert_eq!(forest.score(&[1.0]), forest.score(&[9.0]));
    }
}
