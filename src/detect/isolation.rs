//! Isolation forests: points that few cuts set apart (Liu, Ting and Zhou, ICDM 2008, "Isolation forest").
//!
//! A forest is a table of trees, grown here from a seed or trained in scikit-learn and written as JSON. The score of a point is `2^(-mean path / c(sample))`, where a path that ends among n points goes on by
//! `c(n) = 2 (ln(n - 1) + gamma) - 2 (n - 1) / n`: near one where a point is set apart at once, one half or less where it is like all others.

use super::math::{ln, pow};
use crate::model::Random;
use serde::{Deserialize, Serialize};

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// Trees, each with its root first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// Points that each tree was grown from.
    sample: u32,
    trees: Vec<Vec<Node>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Node {
    /// Points whose feature is at most the threshold go left.
    Cut {
        feature: u32,
        threshold: f64,
        left: u32,
        right: u32,
    },
    /// So many points ended here.
    Leaf { size: u32 },
}

/// Why a forest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a forest needs a tree and a sample of two points or more")]
    Empty,
    #[error(
        "tree {tree} has a node whose children do not stand behind it in the tree; export the nodes in the order of their numbers"
    )]
    Order { tree: usize },
    #[error("tree {tree} cuts feature {feature}, and there are {features}")]
    Feature {
        tree: usize,
        feature: u32,
        features: usize,
    },
}

impl Forest {
    /// Checks a forest from elsewhere, so that every path in it ends.
    ///
    /// # Errors
    /// If a tree is not one, or cuts a feature that is not there.
    pub fn check(&self, features: usize) -> Result<(), Error> {
        if self.trees.is_empty() || self.sample < 2 || self.trees.iter().any(Vec::is_empty) {
            return Err(Error::Empty);
        }
        for (tree, nodes) in self.trees.iter().enumerate() {
            for (at, node) in nodes.iter().enumerate() {
                let Node::Cut {
                    feature,
                    left,
                    right,
                    ..
                } = *node
                else {
                    continue;
                };
                let is_behind = |it: u32| at < it as usize && (it as usize) < nodes.len();
                if !is_behind(left) || !is_behind(right) {
                    return Err(Error::Order { tree });
                }
                if features <= feature as usize {
                    return Err(Error::Feature {
                        tree,
                        feature,
                        features,
                    });
                }
            }
        }
        Ok(())
    }

    /// A forest from points: each tree from a sample without repetition, cut at random until points are alone or the tree is as deep as log2 of the sample. Points have as many features as the first one; none without two points.
    pub fn grow(points: &[Vec<f32>], trees: u32, sample: u32, seed: u64) -> Option<Forest> {
        let sample = (sample as usize).min(points.len());
        if sample < 2 || trees == 0 {
            return None;
        }
        let mut random = Random::new(seed);
        let depth = (sample - 1).ilog2() + 1;
        let tree = |_| {
            let mut order: Vec<usize> = (0..points.len()).collect();
            for at in 0..sample {
                let other = at + random.below_u64((order.len() - at) as u64) as usize;
                order.swap(at, other);
            }
            let mut nodes = Vec::new();
            cut(points, &mut order[..sample], depth, &mut nodes, &mut random);
            nodes
        };
        Some(Forest {
            sample: sample as u32,
            trees: (0..trees).map(tree).collect(),
        })
    }

    /// The score of a point, in 0..=1. Features are compared as f32, which is what trees are trained on.
    pub fn score(&self, point: &[f32]) -> f64 {
        let paths: f64 = self.trees.iter().map(|it| path(it, point)).sum();
        pow(
            2.0,
            -paths / (self.trees.len() as f64 * further(self.sample)),
        )
    }
}

fn path(nodes: &[Node], point: &[f32]) -> f64 {
    let mut at = 0;
    let mut depth = 0.0;
    loop {
        match nodes[at] {
            Node::Leaf { size } => return depth + further(size),
            Node::Cut {
                feature,
                threshold,
                left,
                right,
            } => {
                let is_left = f64::from(point[feature as usize]) <= threshold;
                at = if is_left { left } else { right } as usize;
                depth += 1.0;
            }
        }
    }
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

fn cut(
    points: &[Vec<f32>],
    inside: &mut [usize],
    depth: u32,
    nodes: &mut Vec<Node>,
    random: &mut Random,
) {
    let at = nodes.len();
    nodes.push(Node::Leaf {
        size: inside.len() as u32,
    });
    let ends = |feature: usize| {
        let values = inside.iter().map(|it| points[*it][feature]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |ends, it| {
            (ends.0.min(it), ends.1.max(it))
        })
    };
    // Features in which these points differ.
    let open: Vec<usize> = (0..points[inside[0]].len())
        .filter(|it| ends(*it).0 < ends(*it).1)
        .collect();
    if depth == 0 || inside.len() < 2 || open.is_empty() {
        return;
    }
    let feature = open[random.below_u64(open.len() as u64) as usize];
    let (low, high) = ends(feature);
    let threshold = f64::from(low) + random.unit() * (f64::from(high) - f64::from(low));
    let is_left = |it: &usize| f64::from(points[*it][feature]) <= threshold;
    inside.sort_by_key(|it| !is_left(it));
    let (left, right) = inside.split_at_mut(inside.partition_point(is_left));
    let left_at = nodes.len() as u32;
    cut(points, left, depth - 1, nodes, random);
    let right_at = nodes.len() as u32;
    cut(points, right, depth - 1, nodes, random);
    nodes[at] = Node::Cut {
        feature: feature as u32,
        threshold,
        left: left_at,
        right: right_at,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        forest: Forest,
        points: Vec<Vec<f32>>,
        scores: Vec<f64>,
    }

    /// `-score_samples` of scikit-learn 1.9, over the same trees.
    #[test]
    fn scores_are_those_of_scikit_learn() {
        let golden: Golden = serde_json::from_str(include_str!("isolation/golden.json")).unwrap();
        assert_eq!(golden.forest.check(3), Ok(()));
        for (point, expected) in golden.points.iter().zip(&golden.scores) {
            let found = golden.forest.score(point);
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }

    #[test]
    fn what_is_apart_scores_higher_and_a_seed_grows_one_forest() {
        let mut random = Random::new(4);
        let mut point = || (0..3).map(|_| random.unit() as f32).collect::<Vec<_>>();
        let points: Vec<Vec<f32>> = (0..300).map(|_| point()).collect();
        let forest = Forest::grow(&points, 50, 64, 7).unwrap();
        assert_eq!(forest.check(3), Ok(()));
        assert_eq!(Forest::grow(&points, 50, 64, 7).as_ref(), Some(&forest));
        let usual = points.iter().map(|it| forest.score(it)).fold(0.0, f64::max);
        assert!(usual < forest.score(&[3.0, -2.0, 4.0]), "{usual}");
        assert_eq!(Forest::grow(&points[..1], 50, 64, 7), None);
        let same = vec![vec![1.0_f32; 2]; 5];
        assert_eq!(Forest::grow(&same, 3, 8, 1).unwrap().trees[0].len(), 1);
    }

    #[test]
    fn a_forest_that_has_no_end_is_refused() {
        let cut = |left, feature| Node::Cut {
            feature,
            threshold: 0.0,
            left,
            right: 1,
        };
        let forest = |node| Forest {
            sample: 8,
            trees: vec![vec![node, Node::Leaf { size: 1 }]],
        };
        assert_eq!(forest(cut(0, 0)).check(1), Err(Error::Order { tree: 0 }));
        let feature = Error::Feature {
            tree: 0,
            feature: 4,
            features: 1,
        };
        assert_eq!(forest(cut(1, 4)).check(1), Err(feature));
        let empty = Forest {
            sample: 8,
            trees: Vec::new(),
        };
        assert_eq!(empty.check(1), Err(Error::Empty));
    }
}
