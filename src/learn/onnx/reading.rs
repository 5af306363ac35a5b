//! What operator a node is, by its name and its attributes.

use super::attributes::{Attributes, tensor_of, type_of};
use super::ensemble::Transform;
use super::forests::{newer_trees, older_trees};
use super::operator::{Binary, Norm, Operator, Reduction, Unary};
use super::tensor::{Data, Type};

/// The operator, and how many of its inputs it takes.
pub fn operator_of(
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

pub fn transform(name: &str) -> Result<Transform, String> {
    match name {
        "NONE" => Ok(Transform::None),
        "LOGISTIC" => Ok(Transform::Logistic),
        "SOFTMAX" => Ok(Transform::Softmax),
        "SOFTMAX_ZERO" => Ok(Transform::SoftmaxZero),
        other => Err(format!("post_transform {other} is not known")),
    }
}

pub fn linear(attributes: &Attributes, outputs: i64, second: bool) -> Result<Operator, String> {
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

pub fn label_encoder(attributes: &Attributes) -> Result<Operator, String> {
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
    let (keys, values) = in_order(&list("keys")?, &values)?;
    let operator = Operator::LabelEncoder {
        keys,
        default: default.cast(values.data_type()),
        values,
    };
    operator.check()?;
    Ok(operator)
}

/// Keys in their order, with their values. Of a key that is there twice, the first one counts.
fn in_order(keys: &Data, values: &Data) -> Result<(Data, Data), String> {
    if keys.len() != values.len() {
        return Err("it has not as many keys as values".to_owned());
    }
    let Data::Double(numbers) = keys.cast(Type::Double) else {
        return Err("its keys are no numbers".to_owned());
    };
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    places.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    places.dedup_by(|a, b| numbers[*a] == numbers[*b]);
    Ok((keys.pick(&places), values.pick(&places)))
}
