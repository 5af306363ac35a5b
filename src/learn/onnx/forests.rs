//! Trees of a node, in either of the two forms that ONNX has for them.

use super::super::trees::{Node, Rule, Trees};
use super::attributes::Attributes;
use super::ensemble::{Aggregate, Ensemble, Purpose, Transform};
use super::reading::transform;
use std::collections::{BTreeMap, HashMap};

/// How a branch is made: whether yes and no change places, by which a rule becomes one of ours.
pub fn rule(mode: &str) -> Result<(Rule, bool), String> {
    Ok(match mode {
        "BRANCH_LEQ" => (Rule::AtMost, false),
        "BRANCH_LT" => (Rule::Below, false),
        "BRANCH_EQ" => (Rule::Equal, false),
        "BRANCH_GT" => (Rule::AtMost, true),
        "BRANCH_GTE" => (Rule::Below, true),
        "BRANCH_NEQ" => (Rule::Equal, true),
        other => return Err(format!("a branch of mode {other} is not known")),
    })
}

pub fn branch(
    mode: &str,
    feature: i64,
    threshold: f64,
    missing_is_true: bool,
    (yes, no): (usize, usize),
) -> Result<Node, String> {
    let (rule, turned) = rule(mode)?;
    let (yes, no) = if turned { (no, yes) } else { (yes, no) };
    // A comparison with NaN is false, but that it is not equal to anything; onnxruntime has it so, too.
    let holds_for_nan = missing_is_true || mode == "BRANCH_NEQ";
    Ok(Node::Branch {
        feature: u32::try_from(feature).map_err(|_| "a feature is below zero".to_owned())?,
        rule,
        // scikit-learn sets missing values apart at an infinite threshold. JSON has none, and no feature lies beyond this one.
        threshold: threshold.clamp(f64::MIN, f64::MAX),
        missing_holds: holds_for_nan != turned,
        yes,
        no,
    })
}

pub fn columns_needed(features: &[i64]) -> usize {
    let highest = features.iter().copied().max().unwrap_or(0);
    usize::try_from(highest).map_or(0, |it| it.saturating_add(1))
}

/// TreeEnsembleRegressor and TreeEnsembleClassifier.
pub fn older_trees(attributes: &Attributes, classifies: bool) -> Result<Ensemble, String> {
    let ints = |name: &str| attributes.ints(name);
    let (tree_ids, node_ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let (features, yes, no) = (
        ints("nodes_featureids"),
        ints("nodes_truenodeids"),
        ints("nodes_falsenodeids"),
    );
    let missing = ints("nodes_missing_value_tracks_true");
    let modes = attributes.strings("nodes_modes")?;
    let thresholds = attributes.numbers("nodes_values")?;
    let count = node_ids.len();
    let lengths = [
        tree_ids.len(),
        features.len(),
        yes.len(),
        no.len(),
        modes.len(),
        thresholds.len(),
    ];
    if lengths.iter().any(|it| *it != count) {
        return Err("its lists of nodes are not equally long".to_owned());
    }
    let prefix = if classifies { "class" } else { "target" };
    let weights = attributes.numbers(&format!("{prefix}_weights"))?;
    let outputs_of = ints(&format!("{prefix}_ids"));
    let (of_trees, of_nodes) = (
        ints(&format!("{prefix}_treeids")),
        ints(&format!("{prefix}_nodeids")),
    );
    let lengths = [outputs_of.len(), of_trees.len(), of_nodes.len()];
    if lengths.iter().any(|it| *it != weights.len()) {
        return Err("its lists of weights are not equally long".to_owned());
    }
    // By tree, in the order in which they begin, where each node is among those of its tree.
    let mut order = Vec::new();
    let mut places: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    let mut of_tree: HashMap<i64, Vec<usize>> = HashMap::new();
    for at in 0..count {
        let own = of_tree.entry(tree_ids[at]).or_insert_with(|| {
            order.push(tree_ids[at]);
            Vec::new()
        });
        if places
            .insert((tree_ids[at], node_ids[at]), own.len())
            .is_some()
        {
            return Err(format!(
                "node {} of tree {} is there twice",
                node_ids[at], tree_ids[at]
            ));
        }
        own.push(at);
    }
    let mut leaves: HashMap<(i64, i64), Vec<(u32, f64)>> = HashMap::new();
    for (at, weight) in weights.iter().enumerate() {
        let output =
            u32::try_from(outputs_of[at]).map_err(|_| "an output is below zero".to_owned())?;
        leaves
            .entry((of_trees[at], of_nodes[at]))
            .or_default()
            .push((output, *weight));
    }
    let mut trees = Trees::default();
    for tree in order {
        let child = |node: i64| {
            let place = places.get(&(tree, node)).copied();
            place.ok_or_else(|| format!("tree {tree} has no node {node}"))
        };
        let nodes: Result<Vec<Node>, String> = of_tree[&tree]
            .iter()
            .map(|at| match modes[*at].as_str() {
                "LEAF" => {
                    let weights = leaves.get(&(tree, node_ids[*at]));
                    Ok(Node::Leaf(weights.cloned().unwrap_or_default()))
                }
                mode => branch(
                    mode,
                    features[*at],
                    thresholds[*at],
                    missing.get(*at) == Some(&1),
                    (child(yes[*at])?, child(no[*at])?),
                ),
            })
            .collect();
        trees.add(&nodes?, 0)?;
    }
    let labels =
        ints("classlabels_int64s").len() + attributes.strings("classlabels_strings")?.len();
    let targets = usize::try_from(attributes.int("n_targets", 1)?).unwrap_or_default();
    let first = outputs_of.first();
    let ensemble = Ensemble {
        columns: columns_needed(&features),
        trees: trees.compact(),
        outputs: if classifies { labels } else { targets },
        base: attributes.numbers("base_values")?,
        aggregate: match attributes.text("aggregate_function", "SUM")?.as_str() {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => return Err(format!("aggregate_function {other} is not known")),
        },
        transform: transform(&attributes.text("post_transform", "NONE")?)?,
        purpose: match classifies {
            false => Purpose::Numbers,
            true => Purpose::Classes {
                one_of_two: labels == 2 && outputs_of.iter().all(|it| Some(it) == first),
                all_positive: weights.iter().all(|it| 0.0 <= *it),
            },
        },
    };
    ensemble.check()?;
    Ok(ensemble)
}

/// TreeEnsemble of ai.onnx.ml 5.
pub fn newer_trees(attributes: &Attributes) -> Result<Ensemble, String> {
    const MODES: [&str; 6] = [
        "BRANCH_LEQ",
        "BRANCH_LT",
        "BRANCH_GTE",
        "BRANCH_GT",
        "BRANCH_EQ",
        "BRANCH_NEQ",
    ];
    let ints = |name: &str| attributes.ints(name);
    let (features, yes, no) = (
        ints("nodes_featureids"),
        ints("nodes_truenodeids"),
        ints("nodes_falsenodeids"),
    );
    let (yes_leaf, no_leaf) = (ints("nodes_trueleafs"), ints("nodes_falseleafs"));
    let missing = ints("nodes_missing_value_tracks_true");
    let thresholds = attributes.doubles("nodes_splits")?;
    let modes: Vec<i64> = attributes
        .doubles("nodes_modes")?
        .iter()
        .map(|it| *it as i64)
        .collect();
    let (targets, weights) = (ints("leaf_targetids"), attributes.doubles("leaf_weights")?);
    let branches = features.len();
    let lengths = [
        yes.len(),
        no.len(),
        yes_leaf.len(),
        no_leaf.len(),
        thresholds.len(),
        modes.len(),
    ];
    if lengths.iter().any(|it| *it != branches) || targets.len() != weights.len() {
        return Err("its lists are not equally long".to_owned());
    }
    let outputs = usize::try_from(attributes.int("n_targets", 1)?).unwrap_or_default();
    // All nodes of all trees: branches, and then leaves.
    let mut nodes = Vec::new();
    for at in 0..branches {
        let child = |number: i64, is_leaf: i64| {
            let number = usize::try_from(number).map_err(|_| "a node is below zero".to_owned())?;
            Ok::<usize, String>(if is_leaf == 0 {
                number
            } else {
                branches.saturating_add(number)
            })
        };
        let mode = usize::try_from(modes[at]).ok().and_then(|it| MODES.get(it));
        let mode = mode.ok_or_else(|| format!("a branch of mode {} is not known", modes[at]))?;
        let children = (child(yes[at], yes_leaf[at])?, child(no[at], no_leaf[at])?);
        nodes.push(branch(
            mode,
            features[at],
            thresholds[at],
            missing.get(at) == Some(&1),
            children,
        )?);
    }
    for (target, weight) in targets.iter().zip(&weights) {
        let target = u32::try_from(*target).map_err(|_| "a target is below zero".to_owned())?;
        nodes.push(Node::Leaf(vec![(target, *weight)]));
    }
    let mut trees = Trees::default();
    for root in ints("tree_roots") {
        let root = usize::try_from(root).map_err(|_| "a root is below zero".to_owned())?;
        // A tree that is a leaf alone is a branch whose sides are the same.
        match (nodes.get(root), yes.get(root) == no.get(root)) {
            (Some(Node::Branch { yes, no, .. }), true) if yes == no => trees.add(&nodes, *yes)?,
            _ => trees.add(&nodes, root)?,
        }
    }
    let ensemble = Ensemble {
        columns: columns_needed(&features),
        trees: trees.compact(),
        outputs,
        base: Vec::new(),
        aggregate: match attributes.int("aggregate_function", 1)? {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => return Err(format!("aggregate_function {other} is not known")),
        },
        transform: match attributes.int("post_transform", 0)? {
            0 => Transform::None,
            1 => Transform::Softmax,
            2 => Transform::Logistic,
            3 => Transform::SoftmaxZero,
            other => return Err(format!("post_transform {other} is not known")),
        },
        purpose: Purpose::Numbers,
    };
    ensemble.check()?;
    Ok(ensemble)
}
