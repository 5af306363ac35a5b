//! From the messages of an ONNX file to a graph: only what the wanted output needs, with every attribute looked at.

use super::super::trees::{Node, Rule, Trees};
use super::super::{Body, Content, Error, FORMAT, Kind, Model, Trained};
use super::ensemble::{Aggregate, Ensemble, Purpose, Transform};
use super::graph::{Graph, Input, Output, Place, Step};
use super::operator::{Binary, Norm, Operator, Reduction, Unary};
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, element};
use super::tensor::{Data, Tensor, Type};
use prost::Message;
use std::collections::{BTreeMap, HashMap};

/// Larger files are refused.
const FILE_BYTES_MAX: usize = 256 << 20;
/// The newest operator sets that are known: newer ones may have changed what an operator means.
const OPSET_MAX: i64 = 25;
const ML_OPSET_MAX: i64 = 5;

/// What is wanted of an ONNX file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The model's name here.
    pub name: String,
    /// Names of its inputs' columns, in their order.
    pub features: Vec<String>,
    /// The output that is the score, if it is not the only one with numbers.
    pub output: Option<String>,
    /// Of a classifier, the class whose score is wanted, if it is not the second of two.
    pub class: Option<String>,
}

/// Makes a model of an ONNX file.
///
/// # Errors
/// If it is none, or does something that is not known here.
pub fn import(bytes: &[u8], wanted: &Imported) -> Result<Model, Error> {
    if FILE_BYTES_MAX < bytes.len() {
        return Err(Error::Onnx(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    super::super::check_name(&wanted.name).map_err(Error::Onnx)?;
    super::super::check_features(&wanted.features).map_err(Error::Onnx)?;
    let model = ModelProto::decode(bytes)
        .map_err(|it| Error::Onnx(format!("it is no ONNX file ({it})")))?;
    let graph = graph_of(&model, wanted).map_err(Error::Onnx)?;
    graph.check(wanted.features.len()).map_err(Error::Onnx)?;
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    Model::new(Content {
        format: FORMAT,
        name: wanted.name.clone(),
        kind: Kind::Onnx,
        features: wanted.features.clone(),
        label: None,
        trained: Trained {
            tidelake: env!("CARGO_PKG_VERSION").to_owned(),
            imported: Some(super::super::sha256(bytes)),
            producer: Some(producer.trim().to_owned()),
            ..Trained::default()
        },
        evaluation: None,
        body: Body::Graph(graph),
    })
}

/// A graph that is being made.
struct Importer<'a> {
    /// By the name of what it makes: a node, and which of its outputs that is.
    makers: HashMap<&'a str, (usize, usize)>,
    nodes: &'a [NodeProto],
    places: HashMap<String, Place>,
    constants: Vec<Tensor>,
    steps: Vec<Step>,
    initializers: HashMap<&'a str, &'a TensorProto>,
}

fn graph_of(model: &ModelProto, wanted: &Imported) -> Result<Graph, String> {
    for set in &model.opset_import {
        let (known, name) = match set.domain.as_str() {
            "" | "ai.onnx" => (OPSET_MAX, "ai.onnx"),
            "ai.onnx.ml" => (ML_OPSET_MAX, "ai.onnx.ml"),
            _ => continue,
        };
        if known < set.version {
            return Err(format!(
                "it needs version {} of {name}, and {known} is the newest known here; export it with an older target_opset",
                set.version
            ));
        }
    }
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    let initializers: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .map(|it| (it.name.as_str(), it))
        .collect();
    let mut importer = Importer {
        makers: HashMap::new(),
        nodes: &graph.node,
        places: HashMap::new(),
        constants: Vec::new(),
        steps: Vec::new(),
        initializers,
    };
    for (number, node) in graph.node.iter().enumerate() {
        for (output, name) in node.output.iter().enumerate() {
            importer.makers.insert(name, (number, output));
        }
    }
    let inputs = importer.inputs(graph, wanted.features.len())?;
    let output = importer.wanted_output(graph, wanted)?;
    let place = importer.place(&output)?;
    let mut made = Graph {
        inputs,
        constants: importer.constants,
        steps: importer.steps,
        output: Output {
            name: output.clone(),
            place,
            column: 0,
            class: None,
        },
    };
    let width = made.outputs(&vec![0.5; wanted.features.len()])?.data.len();
    let classes = classes_of(&graph.node);
    let (column, class) = column_of(width, &classes, wanted.class.as_deref())?;
    made.output.column = column;
    made.output.class = class;
    Ok(made)
}

/// Names of the classes, if there is a classifier.
fn classes_of(nodes: &[NodeProto]) -> Vec<String> {
    let text = |it: &Vec<u8>| String::from_utf8_lossy(it).into_owned();
    for node in nodes {
        let attributes = Attributes(&node.attribute);
        for name in [
            "classlabels_strings",
            "classlabels_int64s",
            "classlabels_ints",
        ] {
            if let Some(it) = attributes.find(name) {
                let ints = it.ints.iter().map(i64::to_string);
                return it.strings.iter().map(text).chain(ints).collect();
            }
        }
    }
    Vec::new()
}

fn column_of(
    width: usize,
    classes: &[String],
    wanted: Option<&str>,
) -> Result<(usize, Option<String>), String> {
    let names = || classes.join(", ");
    if let Some(wanted) = wanted {
        let found = classes.iter().position(|it| it == wanted);
        return match found.filter(|_| classes.len() == width) {
            Some(at) => Ok((at, Some(wanted.to_owned()))),
            None if classes.len() == width => {
                Err(format!("it has no class {wanted:?}; there are {}", names()))
            }
            None => Err(format!(
                "its output has {width} columns, which are not its classes"
            )),
        };
    }
    let class = |at: usize| classes.get(at).filter(|_| classes.len() == width).cloned();
    match width {
        1 => Ok((0, None)),
        2 => Ok((1, class(1))),
        _ if classes.len() == width => Err(format!(
            "it has {width} classes, so say with --class which of them is the score: {}",
            names()
        )),
        _ => Err(format!(
            "its output has {width} columns, and a score is one number"
        )),
    }
}

impl Importer<'_> {
    fn inputs(&mut self, graph: &GraphProto, features: usize) -> Result<Vec<Input>, String> {
        let real = graph
            .input
            .iter()
            .filter(|it| !self.initializers.contains_key(it.name.as_str()));
        let real: Vec<_> = real.collect();
        let mut inputs = Vec::new();
        for info in &real {
            let name = &info.name;
            let tensor = info.r#type.as_ref().and_then(|it| it.tensor_type.as_ref());
            let tensor = tensor.ok_or_else(|| format!("input {name:?} is no tensor"))?;
            let data_type = type_of(tensor.elem_type).filter(|it| *it != Type::Bool);
            let data_type = data_type.ok_or_else(|| {
                format!("input {name:?} is not of numbers; encode texts before, in SQL with CASE")
            })?;
            let dims = tensor.shape.as_ref().map(|it| it.dim.as_slice());
            let stated = match dims {
                Some([_, columns]) => columns.dim_value,
                Some([_]) => Some(1),
                Some([]) | None => None,
                Some(_) => return Err(format!("input {name:?} is no table")),
            };
            let columns = match stated.and_then(|it| usize::try_from(it).ok()) {
                Some(columns) if 0 < columns => columns,
                _ if real.len() == 1 => features,
                _ => {
                    return Err(format!(
                        "input {name:?} does not say how many columns it has"
                    ));
                }
            };
            self.places.insert(name.clone(), Place::Input(inputs.len()));
            inputs.push(Input { data_type, columns });
        }
        let columns: usize = inputs.iter().map(|it| it.columns).sum();
        match columns == features {
            true => Ok(inputs),
            false => Err(format!(
                "it takes {columns} features, and --features names {features}"
            )),
        }
    }

    /// The output that is the score: the one that is named or, of those that are not labels, the only one.
    fn wanted_output(&self, graph: &GraphProto, wanted: &Imported) -> Result<String, String> {
        let names: Vec<&str> = graph.output.iter().map(|it| it.name.as_str()).collect();
        if let Some(wanted) = &wanted.output {
            return match names.contains(&wanted.as_str()) {
                true => Ok(wanted.clone()),
                false => Err(format!(
                    "it has no output {wanted:?}; there are {}",
                    names.join(", ")
                )),
            };
        }
        let is_number = |at: &usize| {
            let Some(kind) = &graph.output[*at].r#type else {
                return true;
            };
            let number = [element::FLOAT, element::DOUBLE];
            let tensor = kind.tensor_type.as_ref();
            kind.sequence_type.is_some() || tensor.is_some_and(|it| number.contains(&it.elem_type))
        };
        let numbers: Vec<usize> = (0..names.len()).filter(is_number).collect();
        match numbers.as_slice() {
            [one] => Ok(names[*one].to_owned()),
            [] => Err(format!(
                "none of its outputs is of floating-point numbers: {}",
                names.join(", ")
            )),
            _ => Err(format!(
                "it has several outputs, so say with --output which of them is the score: {}",
                names.join(", ")
            )),
        }
    }

    /// Where a tensor comes from; what it needs is imported before. Graphs are deep, so this does not call itself.
    fn place(&mut self, name: &str) -> Result<Place, String> {
        let mut waiting = vec![name.to_owned()];
        let mut begun = vec![false; self.nodes.len()];
        while let Some(next) = waiting.last().cloned() {
            if self.places.contains_key(&next) || next.is_empty() {
                waiting.pop();
                continue;
            }
            if let Some(constant) = self.initializers.get(next.as_str()).copied() {
                let tensor =
                    tensor_of(constant).map_err(|it| format!("constant {next:?}: {it}"))?;
                self.add_constant(&next, tensor);
                continue;
            }
            let Some((number, output)) = self.makers.get(next.as_str()).copied() else {
                return Err(format!("nothing makes {next:?}"));
            };
            let node = &self.nodes[number];
            let missing = node
                .input
                .iter()
                .filter(|it| !it.is_empty() && !self.places.contains_key(*it));
            let missing: Vec<String> = missing.cloned().collect();
            if !missing.is_empty() {
                if std::mem::replace(&mut begun[number], true) {
                    return Err("it has a circle".to_owned());
                }
                waiting.extend(missing);
                continue;
            }
            self.add_node(node, output, &next)
                .map_err(|it| format!("operator {}: {it}", node.op_type))?;
        }
        self.places
            .get(name)
            .copied()
            .ok_or_else(|| format!("nothing makes {name:?}"))
    }

    fn add_constant(&mut self, name: &str, tensor: Tensor) {
        self.places
            .insert(name.to_owned(), Place::Constant(self.constants.len()));
        self.constants.push(tensor);
    }

    fn add_node(&mut self, node: &NodeProto, output: usize, name: &str) -> Result<(), String> {
        let attributes = Attributes(&node.attribute);
        let kind = node.op_type.as_str();
        if kind == "Constant" {
            let tensor = constant_of(&attributes)?;
            self.add_constant(name, tensor);
            return Ok(());
        }
        let is_classifier = matches!(kind, "TreeEnsembleClassifier" | "LinearClassifier");
        if is_classifier && output == 0 {
            return Err(
                "the name of a class is no score; take the output of its probabilities".to_owned(),
            );
        }
        let inputs: Vec<Place> = node
            .input
            .iter()
            .map(|it| self.places.get(it).copied().unwrap_or(Place::Nothing))
            .collect();
        // Axes are an attribute in older operator sets and an input in newer ones.
        let second = inputs.get(1).and_then(|it| match it {
            Place::Constant(it) => self.constants[*it].ints().ok().map(<[i64]>::to_vec),
            _ => None,
        });
        let (operator, taken) = operator_of(kind, &node.domain, &attributes, second, inputs.len())?;
        if !is_classifier && output != 0 {
            return Err("it has only one output that is known here".to_owned());
        }
        let inputs = inputs.into_iter().take(taken).collect();
        self.places
            .insert(name.to_owned(), Place::Step(self.steps.len()));
        self.steps.push(Step { operator, inputs });
        Ok(())
    }
}

/// The operator, and how many of its inputs it takes.
fn operator_of(
    kind: &str,
    domain: &str,
    attributes: &Attributes,
    second: Option<Vec<i64>>,
    inputs: usize,
) -> Result<(Operator, usize), String> {
    let unary = |it| Ok((Operator::Unary(it), 1));
    let binary = |it| Ok((Operator::Binary(it), 2));
    let fold = |it| Ok((Operator::Fold(it), inputs));
    let axes = || second.clone().unwrap_or_else(|| attributes.ints("axes"));
    let reduce = |by| {
        let keep = attributes.int("keepdims", 1)? == 1;
        let axes = axes();
        if axes.is_empty() && attributes.int("noop_with_empty_axes", 0)? == 1 {
            return Ok((Operator::Identity, 1));
        }
        Ok((Operator::Reduce { by, axes, keep }, 1))
    };
    let best = |by| {
        if attributes.int("select_last_index", 0)? != 0 {
            return Err("select_last_index is not known".to_owned());
        }
        let (axes, keep) = (
            vec![attributes.int("axis", 0)?],
            attributes.int("keepdims", 1)? == 1,
        );
        Ok((Operator::Reduce { by, axes, keep }, 1))
    };
    match (domain, kind) {
        ("" | "ai.onnx", _) => match kind {
            "Identity" => Ok((Operator::Identity, 1)),
            "Cast" => {
                let to = i32::try_from(attributes.int("to", 0)?)
                    .ok()
                    .and_then(type_of);
                let to = to.ok_or("it casts to a type that is not known")?;
                Ok((Operator::Cast(to), 1))
            }
            "Neg" => unary(Unary::Neg),
            "Abs" => unary(Unary::Abs),
            "Exp" => unary(Unary::Exp),
            "Log" => unary(Unary::Log),
            "Sqrt" => unary(Unary::Sqrt),
            "Sigmoid" => unary(Unary::Sigmoid),
            "Tanh" => unary(Unary::Tanh),
            "Reciprocal" => unary(Unary::Reciprocal),
            "Floor" => unary(Unary::Floor),
            "Ceil" => unary(Unary::Ceil),
            "IsNaN" => unary(Unary::IsNaN),
            "Not" => unary(Unary::Not),
            "Add" => binary(Binary::Add),
            "Sub" => binary(Binary::Sub),
            "Mul" => binary(Binary::Mul),
            "Div" => binary(Binary::Div),
            "Pow" => binary(Binary::Pow),
            "Equal" => binary(Binary::Equal),
            "Greater" => binary(Binary::Greater),
            "GreaterOrEqual" => binary(Binary::GreaterOrEqual),
            "Less" => binary(Binary::Less),
            "LessOrEqual" => binary(Binary::LessOrEqual),
            "And" => binary(Binary::And),
            "Or" => binary(Binary::Or),
            "Sum" => fold(Binary::Add),
            "Min" => fold(Binary::Min),
            "Max" => fold(Binary::Max),
            "Where" => Ok((Operator::Where, 3)),
            "Reshape" => match attributes.int("allowzero", 0)? {
                0 => Ok((Operator::Reshape, 2)),
                _ => Err("allowzero is not known".to_owned()),
            },
            "Flatten" => match attributes.int("axis", 1)? {
                1 => Ok((Operator::Flatten, 1)),
                _ => Err("only axis 1 is known".to_owned()),
            },
            "Squeeze" => Ok((Operator::Squeeze { axes: axes() }, 1)),
            "Unsqueeze" => Ok((Operator::Unsqueeze { axes: axes() }, 1)),
            "Concat" => Ok((
                Operator::Concat {
                    axis: attributes.int("axis", 1)?,
                },
                inputs,
            )),
            "Gather" => Ok((
                Operator::Gather {
                    axis: attributes.int("axis", 0)?,
                },
                2,
            )),
            "MatMul" => Ok((Operator::MatMul, 2)),
            "Gemm" => Ok((
                Operator::Gemm {
                    alpha: attributes.float("alpha", 1.0)?,
                    beta: attributes.float("beta", 1.0)?,
                    transpose_a: attributes.int("transA", 0)? != 0,
                    transpose_b: attributes.int("transB", 0)? != 0,
                },
                inputs,
            )),
            "Softmax" => Ok((
                Operator::Softmax {
                    axis: attributes.int("axis", -1)?,
                },
                1,
            )),
            "ReduceSum" => reduce(Reduction::Sum),
            "ReduceSumSquare" => reduce(Reduction::SumSquare),
            "ReduceMean" => reduce(Reduction::Mean),
            "ReduceMin" => reduce(Reduction::Min),
            "ReduceMax" => reduce(Reduction::Max),
            "ReduceL1" => reduce(Reduction::L1),
            "ReduceL2" => reduce(Reduction::L2),
            "ArgMax" => best(Reduction::ArgMax),
            "ArgMin" => best(Reduction::ArgMin),
            "Clip" if attributes.find("min").is_none() && attributes.find("max").is_none() => {
                Ok((Operator::Clip, inputs))
            }
            _ => Err("it is not known here".to_owned()),
        },
        ("ai.onnx.ml", _) => match kind {
            // A map from classes to their scores, which stay where they are.
            "ZipMap" => Ok((Operator::Identity, 1)),
            "ArrayFeatureExtractor" => Ok((Operator::Columns, 2)),
            "FeatureVectorizer" => Ok((Operator::Concat { axis: 1 }, inputs)),
            "Scaler" => Ok((
                Operator::Scaler {
                    offset: attributes.floats("offset"),
                    scale: attributes.floats("scale"),
                },
                1,
            )),
            "Normalizer" => {
                let norm = match attributes.text("norm", "MAX")?.as_str() {
                    "MAX" => Norm::Max,
                    "L1" => Norm::L1,
                    "L2" => Norm::L2,
                    other => return Err(format!("norm {other} is not known")),
                };
                Ok((Operator::Normalizer(norm), 1))
            }
            "Imputer" => {
                let values = attributes.floats("imputed_value_floats");
                if values.is_empty() {
                    return Err("only values that are floats are known".to_owned());
                }
                let replaced = attributes.float("replaced_value_float", 0.0)?;
                let replaced = (!replaced.is_nan()).then_some(replaced);
                Ok((Operator::Imputer { values, replaced }, 1))
            }
            "Binarizer" => Ok((
                Operator::Binarizer {
                    threshold: attributes.float("threshold", 0.0)?,
                },
                1,
            )),
            "LabelEncoder" => Ok((label_encoder(attributes)?, 1)),
            "LinearRegressor" => {
                let outputs = attributes.int("targets", 1)?;
                Ok((linear(attributes, outputs, false)?, 1))
            }
            "LinearClassifier" => {
                let labels = attributes.ints("classlabels_ints").len()
                    + attributes.strings("classlabels_strings")?.len();
                let outputs = attributes.floats("intercepts").len();
                Ok((
                    linear(attributes, outputs as i64, outputs == 1 && labels == 2)?,
                    1,
                ))
            }
            "TreeEnsembleRegressor" => Ok((
                Operator::Trees(Box::new(older_trees(attributes, false)?)),
                1,
            )),
            "TreeEnsembleClassifier" => {
                Ok((Operator::Trees(Box::new(older_trees(attributes, true)?)), 1))
            }
            "TreeEnsemble" => Ok((Operator::Trees(Box::new(newer_trees(attributes)?)), 1)),
            _ => Err("it is not known here".to_owned()),
        },
        _ => Err(format!("operators of {domain:?} are not known here")),
    }
}

fn transform(name: &str) -> Result<Transform, String> {
    match name {
        "NONE" => Ok(Transform::None),
        "LOGISTIC" => Ok(Transform::Logistic),
        "SOFTMAX" => Ok(Transform::Softmax),
        "SOFTMAX_ZERO" => Ok(Transform::SoftmaxZero),
        other => Err(format!("post_transform {other} is not known")),
    }
}

fn linear(attributes: &Attributes, outputs: i64, second: bool) -> Result<Operator, String> {
    let operator = Operator::Linear {
        coefficients: attributes.floats("coefficients"),
        intercepts: attributes.floats("intercepts"),
        outputs: usize::try_from(outputs).map_err(|it| it.to_string())?,
        second,
        transform: transform(&attributes.text("post_transform", "NONE")?)?,
    };
    operator.check()?;
    Ok(operator)
}

fn label_encoder(attributes: &Attributes) -> Result<Operator, String> {
    let list = |name: &str| {
        let (ints, floats) = (
            attributes.ints(&format!("{name}_int64s")),
            attributes.floats(&format!("{name}_floats")),
        );
        match (
            attributes.find(&format!("{name}_tensor")),
            ints.is_empty(),
            floats.is_empty(),
        ) {
            (Some(it), _, _) => Ok(tensor_of(it.t.as_ref().ok_or("a tensor is missing")?)?.data),
            (None, false, _) => Ok(Data::Int(ints)),
            (None, true, false) => Ok(Data::Float(floats)),
            (None, true, true) => Err("it is about texts, which no score is made of".to_owned()),
        }
    };
    let values = list("values")?;
    let default = match attributes.find("default_tensor") {
        Some(it) => tensor_of(it.t.as_ref().ok_or("a tensor is missing")?)?.data,
        None => match values.data_type() {
            Type::Int => Data::Int(vec![attributes.int("default_int64", -1)?]),
            _ => Data::Float(vec![attributes.float("default_float", -0.0)?]),
        },
    };
    let operator = Operator::LabelEncoder {
        keys: list("keys")?,
        default: default.cast(values.data_type()),
        values,
    };
    operator.check()?;
    Ok(operator)
}

/// How a branch is made: whether yes and no change places, by which a rule becomes one of ours.
fn rule(mode: &str) -> Result<(Rule, bool), String> {
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

fn branch(
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

fn columns_needed(features: &[i64]) -> usize {
    let highest = features.iter().copied().max().unwrap_or(0);
    usize::try_from(highest).map_or(0, |it| it.saturating_add(1))
}

/// TreeEnsembleRegressor and TreeEnsembleClassifier.
fn older_trees(attributes: &Attributes, classifies: bool) -> Result<Ensemble, String> {
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
fn newer_trees(attributes: &Attributes) -> Result<Ensemble, String> {
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

/// Attributes of a node, by name.
struct Attributes<'a>(&'a [AttributeProto]);

impl Attributes<'_> {
    fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|it| it.name == name)
    }

    fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.find(name).map_or(default, |it| it.i))
    }

    fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        Ok(self.find(name).map_or(default, |it| it.f))
    }

    fn text(&self, name: &str, default: &str) -> Result<String, String> {
        let Some(found) = self.find(name) else {
            return Ok(default.to_owned());
        };
        String::from_utf8(found.s.clone()).map_err(|_| format!("{name} is no text"))
    }

    fn ints(&self, name: &str) -> Vec<i64> {
        self.find(name)
            .map(|it| it.ints.clone())
            .unwrap_or_default()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.find(name)
            .map(|it| it.floats.clone())
            .unwrap_or_default()
    }

    fn strings(&self, name: &str) -> Result<Vec<String>, String> {
        let all = self
            .find(name)
            .map(|it| it.strings.as_slice())
            .unwrap_or_default();
        let texts = all.iter().map(|it| String::from_utf8(it.clone()));
        texts
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{name} has what is no text"))
    }

    /// Floats or, with `_as_tensor` behind the name, doubles.
    fn numbers(&self, name: &str) -> Result<Vec<f64>, String> {
        match self.find(&format!("{name}_as_tensor")) {
            Some(_) => self.doubles(&format!("{name}_as_tensor")),
            None => Ok(self.floats(name).into_iter().map(f64::from).collect()),
        }
    }

    /// A tensor, or nothing.
    fn doubles(&self, name: &str) -> Result<Vec<f64>, String> {
        let Some(tensor) = self.find(name).and_then(|it| it.t.as_ref()) else {
            return Ok(Vec::new());
        };
        match tensor_of(tensor)?.data.cast(Type::Double) {
            Data::Double(it) => Ok(it),
            _ => Err(format!("{name} is of no numbers")),
        }
    }
}

fn constant_of(attributes: &Attributes) -> Result<Tensor, String> {
    if let Some(tensor) = attributes.find("value").and_then(|it| it.t.as_ref()) {
        return tensor_of(tensor);
    }
    let list = |data: Data| Tensor::new(vec![data.len()], data);
    match () {
        () if attributes.find("value_float").is_some() => Ok(Tensor::scalar(Data::Float(vec![
            attributes.float("value_float", 0.0)?,
        ]))),
        () if attributes.find("value_int").is_some() => Ok(Tensor::scalar(Data::Int(vec![
            attributes.int("value_int", 0)?,
        ]))),
        () if attributes.find("value_floats").is_some() => {
            list(Data::Float(attributes.floats("value_floats")))
        }
        () if attributes.find("value_ints").is_some() => {
            list(Data::Int(attributes.ints("value_ints")))
        }
        () => Err("it is not of numbers".to_owned()),
    }
}

fn type_of(element_type: i32) -> Option<Type> {
    match element_type {
        element::FLOAT => Some(Type::Float),
        element::DOUBLE => Some(Type::Double),
        element::INT32 | element::INT64 => Some(Type::Int),
        element::BOOL => Some(Type::Bool),
        _ => None,
    }
}

fn tensor_of(proto: &TensorProto) -> Result<Tensor, String> {
    if proto.data_location != 0 {
        return Err("its data are in another file".to_owned());
    }
    let shape: Result<Vec<usize>, _> = proto.dims.iter().map(|it| usize::try_from(*it)).collect();
    let shape = shape.map_err(|it| it.to_string())?;
    let raw = proto.raw_data.as_slice();
    fn each<const N: usize, T>(raw: &[u8], of: fn([u8; N]) -> T) -> Vec<T> {
        let chunks = raw.chunks_exact(N);
        chunks.filter_map(|it| it.try_into().ok()).map(of).collect()
    }
    let small = || {
        proto
            .int32_data
            .iter()
            .map(|it| i64::from(*it))
            .collect::<Vec<i64>>()
    };
    let data = match (proto.data_type, raw.is_empty()) {
        (element::FLOAT, true) => Data::Float(proto.float_data.clone()),
        (element::FLOAT, false) => Data::Float(each(raw, f32::from_le_bytes)),
        (element::DOUBLE, true) => Data::Double(proto.double_data.clone()),
        (element::DOUBLE, false) => Data::Double(each(raw, f64::from_le_bytes)),
        (element::INT64, true) => Data::Int(proto.int64_data.clone()),
        (element::INT64, false) => Data::Int(each(raw, i64::from_le_bytes)),
        (element::INT32 | element::UINT8, true) => Data::Int(small()),
        (element::INT32, false) => Data::Int(
            each(raw, i32::from_le_bytes)
                .into_iter()
                .map(i64::from)
                .collect(),
        ),
        (element::UINT8, false) => Data::Int(raw.iter().map(|it| i64::from(*it)).collect()),
        (element::BOOL, true) => Data::Bool(small().iter().map(|it| *it != 0).collect()),
        (element::BOOL, false) => Data::Bool(raw.iter().map(|it| *it != 0).collect()),
        (other, _) => return Err(format!("elements of type {other} are not known")),
    };
    Tensor::new(shape, data)
}
