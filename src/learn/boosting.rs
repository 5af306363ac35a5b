//! Gradient boosting: trees that each mend what those before them got wrong, learned by the crate `perpetual`.
//!
//! Only learning is the crate's. Its trees are taken out of it and scored here, so that a model scores the same whatever version of the crate there is, and
//! on every machine: sums are in the order of the trees, and the logistic function is that of `libm`. The probability is that of the crate's `predict`, not the mean over its folds that
//! `predict_proba` makes.

use super::trees::{Node, Rule, Trees};
use crate::detect::math::exp;
use perpetual::objective::Objective;
use perpetual::{Matrix, PerpetualBooster};
use serde::{Deserialize, Serialize};

/// Trees of a model at most.
const TREES_MAX: usize = 300;
/// GB that learning may take. A stated limit keeps the course of learning from the memory that happens to be free.
const MEMORY_GB: f32 = 8.0;

/// What the sum of all trees says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// The logarithm of odds: the score is a probability.
    Odds,
    /// A number: the score is that.
    Number,
}

/// Trees whose weights add up to what is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boosted {
    says: Says,
    base: f64,
    trees: Trees,
    /// What is added to a number besides.
    linear: Option<Linear>,
}

/// A straight line through what the trees of numbers left over, which lets them go on beyond what they have seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    means: Vec<f64>,
    scales: Vec<f64>,
    coefficients: Vec<f64>,
    intercept: f64,
    /// How much of it is added.
    share: f64,
}

impl Linear {
    fn lists(&self) -> [&[f64]; 3] {
        [&self.means, &self.scales, &self.coefficients]
    }

    /// A missing value counts as the mean.
    fn at(&self, point: &[f64]) -> f64 {
        let mut sum = self.intercept;
        for (at, value) in point.iter().enumerate() {
            let standardised = match value.is_nan() {
                true => 0.0,
                false => (value - self.means[at]) / self.scales[at],
            };
            sum += self.coefficients[at] * standardised;
        }
        self.share * sum
    }
}

impl Boosted {
    /// Learns labels from rows. A NaN in a row is a missing value.
    ///
    /// # Errors
    /// If the crate cannot.
    pub fn learn(
        rows: &[&[f64]],
        labels: &[f64],
        says: Says,
        seed: u64,
    ) -> Result<Boosted, String> {
        let values = columns(rows);
        let width = rows.first().map_or(0, |it| it.len());
        let matrix = Matrix::new(&values, rows.len(), width);
        let mut booster = booster(says, seed);
        booster
            .fit(&matrix, labels, None, None)
            .map_err(|it| it.to_string())?;
        Boosted::of(&booster, says)
    }

    fn of(booster: &PerpetualBooster, says: Says) -> Result<Boosted, String> {
        let mut trees = Trees::default();
        for tree in booster.get_prediction_trees() {
            let node = |number: usize| {
                let node = tree.nodes.get(&number);
                let node = node.ok_or_else(|| format!("a tree has no node {number}"))?;
                if node.is_leaf {
                    return Ok(Node::Leaf(vec![(0, f64::from(node.weight_value))]));
                }
                if node.left_cats.is_some() || node.has_missing_branch() {
                    return Err("a tree has a branch of an unknown kind".to_owned());
                }
                Ok(Node::Branch {
                    feature: u32::try_from(node.split_feature).map_err(|it| it.to_string())?,
                    rule: Rule::Below,
                    threshold: node.split_value,
                    missing_holds: node.missing_node == node.left_child,
                    yes: node.left_child,
                    no: node.right_child,
                })
            };
            // Nodes that were cut off again leave gaps in the numbers, which nothing leads to.
            let last = tree.nodes.keys().max().copied().unwrap_or_default();
            let of_gap = |_| Node::Leaf(Vec::new());
            let nodes: Vec<Node> = (0..=last)
                .map(|it| match tree.nodes.contains_key(&it) {
                    true => node(it),
                    false => Ok(of_gap(it)),
                })
                .collect::<Result<_, String>>()?;
            trees.add(&nodes, 0)?;
        }
        Ok(Boosted {
            says,
            base: booster.base_score,
            trees: trees.compact(),
            linear: booster.regression_head.as_ref().map(|it| Linear {
                means: it.feature_means.clone(),
                scales: it.feature_scales.clone(),
                coefficients: it.coefficients.clone(),
                intercept: it.intercept,
                share: it.blend_weight,
            }),
        })
    }

    /// # Errors
    /// If it cannot score points of so many features.
    pub(super) fn check(&self, features: usize) -> Result<(), String> {
        if !self.base.is_finite() {
            return Err("its base is not finite".to_owned());
        }
        if let Some(linear) = &self.linear {
            let numbers = linear.lists().into_iter().flatten();
            let mut numbers = numbers.chain([&linear.intercept, &linear.share]);
            if linear.lists().iter().any(|it| it.len() != features)
                || linear.scales.contains(&0.0)
                || !numbers.all(|it| it.is_finite())
            {
                return Err("its linear part does not fit its features".to_owned());
            }
        }
        self.trees.check(features, 1)
    }

    /// A probability or a number, for a point whose missing values are NaN.
    pub fn score(&self, point: &[f64]) -> f64 {
        let mut sum = self.base;
        self.trees.each_weight(point, |_, weight| sum += weight);
        if let Some(linear) = &self.linear {
            sum += linear.at(point);
        }
        match self.says {
            Says::Odds => 1.0 / (1.0 + exp(-sum)),
            Says::Number => sum,
        }
    }
}

fn booster(says: Says, seed: u64) -> PerpetualBooster {
    let objective = match says {
        Says::Odds => Objective::LogLoss,
        Says::Number => Objective::SquaredLoss,
    };
    // Sums of several threads come in no certain order.
    PerpetualBooster::default()
        .set_objective(objective)
        .set_num_threads(Some(1))
        .set_create_missing_branch(false)
        .set_iteration_limit(Some(TREES_MAX))
        .set_memory_limit(Some(MEMORY_GB))
        .set_seed(seed)
}

/// Column after column, as the crate wants it.
fn columns(rows: &[&[f64]]) -> Vec<f64> {
    let width = rows.first().map_or(0, |it| it.len());
    (0..width)
        .flat_map(|column| rows.iter().map(move |it| it[column]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    fn rows() -> Vec<Vec<f64>> {
        let mut random = Random::new(9);
        let mut value = |missing: bool| match missing && random.percent() < 10 {
            true => f64::NAN,
            false => random.unit() * 10.0,
        };
        (0..600)
            .map(|_| vec![value(true), value(false), value(true)])
            .collect()
    }

    fn label(row: &[f64]) -> f64 {
        f64::from(u8::from(row[0].is_nan() || 7.0 < row[0] + row[1] * 0.2))
    }

    #[test]
    fn trees_that_were_taken_out_predict_what_the_crate_predicts() {
        let rows = rows();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        for says in [Says::Odds, Says::Number] {
            let labels: Vec<f64> = match says {
                Says::Odds => rows.iter().map(|it| label(it)).collect(),
                Says::Number => rows.iter().map(|it| it[1] * 3.0 + label(it)).collect(),
            };
            let values = columns(&rows);
            let matrix = Matrix::new(&values, rows.len(), 3);
            let mut booster = booster(says, 5);
            booster.fit(&matrix, &labels, None, None).unwrap();
            let ours = Boosted::of(&booster, says).unwrap();
            assert_eq!(ours.check(3), Ok(()));
            assert!(1 < ours.trees.len(), "there is something to compare");
            let predicted = booster.predict(&matrix, false);
            let theirs = predicted.into_iter().map(|it| match says {
                Says::Odds => 1.0 / (1.0 + (-it).exp()),
                Says::Number => it,
            });
            for (row, expected) in rows.iter().zip(theirs) {
                let found = ours.score(row);
                assert!(
                    (found - expected).abs() <= 1e-15 * expected.abs().max(1.0),
                    "{found} is not {expected}"
                );
            }
            let again = Boosted::learn(&rows, &labels, says, 5).unwrap();
            assert_eq!(again, ours, "the same rows and seed give the same trees");
        }
    }
}
