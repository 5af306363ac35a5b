//! From the messages of an ONNX file to a graph: only what the wanted output needs, with every attribute looked at.

use super::super::{Body, Content, Error, FORMAT, Kind, Model, Trained};
use super::attributes::{Attributes, constant_of, tensor_of, type_of};
use super::graph::{Graph, Input, Output, Place, Step};
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, element};
use super::reading::operator_of;
use super::tensor::{Tensor, Type};
use prost::Message;
use std::collections::HashMap;

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
        let sum = |sum: usize, it: &Input| sum.checked_add(it.columns);
        match inputs.iter().try_fold(0, sum) {
            Some(columns) if columns == features => Ok(inputs),
            Some(columns) => Err(format!(
                "it takes {columns} features, and --features names {features}"
            )),
            None => Err("it takes more features than can be counted".to_owned()),
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
