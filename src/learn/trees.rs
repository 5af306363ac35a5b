//! Ensembles of decision trees as one table of branches and leaves: what isolation forests, boosting and imported ensembles all are.
//!
//! Branches stand in the order in which a walk from the roots meets them, so a child always stands behind its parent and every path ends. A child is the
//! number of a branch or, below zero, of a leaf: `-1 - number`. A leaf has weights for one or several outputs. What is done with them is the business of the model that has the
//! trees.

use serde::{Deserialize, Serialize};

/// How a branch compares a feature with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = "<")]
    Below,
    #[serde(rename = "==")]
    Equal,
}

/// A node of one tree that is put into an ensemble. Children are numbers of nodes of the same tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Branch {
        feature: u32,
        rule: Rule,
        threshold: f64,
        /// Whether a missing value goes where the rule holds.
        missing_holds: bool,
        /// Where the rule holds.
        yes: usize,
        no: usize,
    },
    /// Outputs and what is added to each of them.
    Leaf(Vec<(u32, f64)>),
}

/// Trees, each by its root.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trees {
    roots: Vec<i32>,
    features: Vec<u32>,
    /// One for each branch, or a single one that all have.
    rules: Vec<Rule>,
    thresholds: Vec<f64>,
    /// 1 where a missing value goes the way of yes; nothing if none does.
    missing_holds: Vec<u8>,
    yes: Vec<i32>,
    no: Vec<i32>,
    /// Of each leaf, where its weights end.
    leaf_ends: Vec<u32>,
    /// The output of each weight; nothing if all are of output 0.
    outputs: Vec<u32>,
    weights: Vec<f64>,
}

/// Where the number of a child is written once it is known.
enum Slot {
    Root,
    Yes(usize),
    No(usize),
}

impl Trees {
    /// Adds a tree whose root is node `root`.
    ///
    /// # Errors
    /// If a child is no node of the tree, or a node is reached twice.
    pub fn add(&mut self, nodes: &[Node], root: usize) -> Result<(), String> {
        let mut waiting = vec![(root, Slot::Root)];
        let mut met = 0;
        while let Some((node, slot)) = waiting.pop() {
            met += 1;
            if nodes.len() < met {
                return Err("a node has two parents, so it is not a tree".to_owned());
            }
            let node = nodes
                .get(node)
                .ok_or_else(|| format!("a branch leads to node {node}, which is not there"))?;
            let number = match node {
                Node::Leaf(weights) => self.add_leaf(weights)?,
                Node::Branch {
                    feature,
                    rule,
                    threshold,
                    missing_holds,
                    yes,
                    no,
                } => {
                    let at = self.features.len();
                    self.features.push(*feature);
                    self.rules.push(*rule);
                    self.thresholds.push(*threshold);
                    self.missing_holds.push(u8::from(*missing_holds));
                    self.yes.push(0);
                    self.no.push(0);
                    waiting.push((*no, Slot::No(at)));
                    waiting.push((*yes, Slot::Yes(at)));
                    i32::try_from(at).map_err(|_| "it has too many branches".to_owned())?
                }
            };
            match slot {
                Slot::Root => self.roots.push(number),
                Slot::Yes(at) => self.yes[at] = number,
                Slot::No(at) => self.no[at] = number,
            }
        }
        Ok(())
    }

    fn add_leaf(&mut self, weights: &[(u32, f64)]) -> Result<i32, String> {
        let number = i32::try_from(self.leaf_ends.len());
        self.outputs.extend(weights.iter().map(|it| it.0));
        self.weights.extend(weights.iter().map(|it| it.1));
        let end = u32::try_from(self.weights.len());
        let (Ok(number), Ok(end)) = (number, end) else {
            return Err("it has too many leaves".to_owned());
        };
        self.leaf_ends.push(end);
        Ok(-1 - number)
    }

    /// The same trees without what goes without saying. To be called when all are added.
    #[must_use]
    pub fn compact(mut self) -> Trees {
        if let Some(first) = self.rules.first().copied()
            && self.rules.iter().all(|it| *it == first)
        {
            self.rules = vec![first];
        }
        if self.missing_holds.iter().all(|it| *it == 0) {
            self.missing_holds.clear();
        }
        if self.outputs.iter().all(|it| *it == 0) {
            self.outputs.clear();
        }
        self
    }

    /// Checks trees from elsewhere, so that every path in them ends in a leaf and whatever a leaf adds has its place.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, features: usize, outputs: usize) -> Result<(), String> {
        let branches = self.features.len();
        let leaves = self.leaf_ends.len();
        let per_branch = [self.thresholds.len(), self.yes.len(), self.no.len()];
        let rules = self.rules.len();
        let missing = self.missing_holds.len();
        if per_branch.iter().any(|it| *it != branches)
            || (rules != branches && rules != 1)
            || (missing != branches && missing != 0)
            || (!self.outputs.is_empty() && self.outputs.len() != self.weights.len())
        {
            return Err("the lists of its trees are not equally long".to_owned());
        }
        if self.roots.is_empty() {
            return Err("it has no tree".to_owned());
        }
        let is_there = |child: i32, first: usize| match usize::try_from(child) {
            Ok(branch) => (first..branches).contains(&branch),
            Err(_) => leaf_number(child) < leaves,
        };
        if !self.roots.iter().all(|it| is_there(*it, 0)) {
            return Err("a tree has no root".to_owned());
        }
        for at in 0..branches {
            if !is_there(self.yes[at], at + 1) || !is_there(self.no[at], at + 1) {
                return Err(format!("branch {at} leads back, or nowhere"));
            }
        }
        if let Some(feature) = self.features.iter().find(|it| features <= **it as usize) {
            return Err(format!(
                "a branch asks for feature {feature}, counted from 0, and there are {features}"
            ));
        }
        let ends_rise = self.leaf_ends.is_sorted();
        let last = self.leaf_ends.last().copied().unwrap_or_default();
        if !ends_rise || last as usize != self.weights.len() {
            return Err("its leaves do not fit their weights".to_owned());
        }
        if self.outputs.iter().any(|it| outputs <= *it as usize) {
            return Err("a leaf adds to an output that is not there".to_owned());
        }
        if !self
            .thresholds
            .iter()
            .chain(&self.weights)
            .all(|it| it.is_finite())
        {
            return Err("a threshold or weight is not finite".to_owned());
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Has all trees say, in their order, what they add to which output for this point; NaN is a missing value.
    pub fn each_weight(&self, point: &[f64], mut add: impl FnMut(usize, f64)) {
        for root in &self.roots {
            let leaf = self.leaf(*root, point);
            let first = match leaf {
                0 => 0,
                _ => self.leaf_ends[leaf - 1],
            };
            for at in first as usize..self.leaf_ends[leaf] as usize {
                let output = self.outputs.get(at).map_or(0, |it| *it as usize);
                add(output, self.weights[at]);
            }
        }
    }

    fn leaf(&self, root: i32, point: &[f64]) -> usize {
        let mut at = root;
        while let Ok(branch) = usize::try_from(at) {
            let value = point[self.features[branch] as usize];
            let threshold = self.thresholds[branch];
            let rule = self.rules.get(branch).unwrap_or(&self.rules[0]);
            let holds = match rule {
                _ if value.is_nan() => self.missing_holds.get(branch) == Some(&1),
                Rule::AtMost => value <= threshold,
                Rule::Below => value < threshold,
                Rule::Equal => value == threshold,
            };
            at = if holds {
                self.yes[branch]
            } else {
                self.no[branch]
            };
        }
        leaf_number(at)
    }
}

fn leaf_number(child: i32) -> usize {
    // Below zero, so it cannot overflow.
    (-1 - child) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(feature: u32, yes: usize, no: usize) -> Node {
        Node::Branch {
            feature,
            rule: Rule::AtMost,
            threshold: 1.5,
            missing_holds: true,
            yes,
            no,
        }
    }

    fn two() -> Trees {
        let mut trees = Trees::default();
        let nodes = [
            Node::Leaf(vec![(0, 1.0)]),
            branch(0, 0, 2),
            Node::Leaf(vec![(0, 2.0), (1, 5.0)]),
        ];
        trees.add(&nodes, 1).unwrap();
        trees.add(&[Node::Leaf(vec![(0, 10.0)])], 0).unwrap();
        trees.compact()
    }

    fn sums(trees: &Trees, value: f64) -> [f64; 2] {
        let mut sums = [0.0; 2];
        trees.each_weight(&[value], |output, weight| sums[output] += weight);
        sums
    }

    #[test]
    fn all_trees_add_what_their_leaves_say() {
        let trees = two();
        assert_eq!(trees.check(1, 2), Ok(()));
        assert_eq!(sums(&trees, 1.5), [11.0, 0.0]);
        assert_eq!(sums(&trees, 1.6), [12.0, 5.0]);
        assert_eq!(sums(&trees, f64::NAN), [11.0, 0.0]);
        let text = serde_json::to_string(&trees).unwrap();
        assert_eq!(serde_json::from_str::<Trees>(&text).unwrap(), trees);
    }

    #[test]
    fn what_has_no_end_or_no_place_is_refused() {
        let trees = two();
        assert!(trees.check(0, 2).is_err(), "a feature too many");
        assert!(trees.check(1, 1).is_err(), "an output too many");
        let wrong = |change: fn(&mut Trees)| {
            let mut trees = two();
            change(&mut trees);
            trees.check(1, 2)
        };
        assert!(wrong(|it| it.yes[0] = 0).is_err(), "a path without end");
        assert!(wrong(|it| it.no[0] = -9).is_err(), "no such leaf");
        assert!(wrong(|it| it.roots[0] = i32::MIN).is_err(), "no such root");
        assert!(wrong(|it| it.roots.clear()).is_err(), "no tree");
        assert!(
            wrong(|it| it.thresholds.clear()).is_err(),
            "a list too short"
        );
        assert!(wrong(|it| it.leaf_ends[0] = 9).is_err(), "no such weights");
        assert!(wrong(|it| it.weights[0] = f64::NAN).is_err(), "no number");
        let mut trees = Trees::default();
        assert!(trees.add(&[branch(0, 0, 0)], 0).is_err(), "a circle");
        assert!(trees.add(&[branch(0, 7, 7)], 0).is_err(), "no such node");
    }
}
