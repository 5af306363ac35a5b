//! The operators that models consist of, each as ONNX defines it.

use super::elementwise::{TimesSome, binary, by_column, choose, one_of, unary};
use super::ensemble::{Ensemble, Transform};
use super::shapes::{concat, gather, reshape, squeeze, unsqueeze};
use super::tables::{encode, linear, normalize, product, reduce, softmax};
use super::tensor::{Data, Tensor, Type};
use serde::{Deserialize, Serialize};

/// Of one tensor, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unary {
    Neg,
    Abs,
    Exp,
    Log,
    Sqrt,
    Sigmoid,
    Tanh,
    Reciprocal,
    Floor,
    Ceil,
    IsNaN,
    Not,
}

/// Of two tensors, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
}

/// Of a row of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    Sum,
    SumSquare,
    Mean,
    Min,
    Max,
    L1,
    L2,
    /// The place of the greatest or least element.
    ArgMax,
    ArgMin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    Max,
    L1,
    L2,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operator {
    Identity,
    Cast(Type),
    Unary(Unary),
    Binary(Binary),
    /// Of any number of tensors, from the left.
    Fold(Binary),
    Where,
    /// To the shape that the second input is.
    Reshape,
    Flatten,
    /// To two dimensions less or more: what has one row is a row either way.
    Squeeze {
        axes: Vec<i64>,
    },
    Unsqueeze {
        axes: Vec<i64>,
    },
    Concat {
        axis: i64,
    },
    Gather {
        axis: i64,
    },
    /// Columns by their places.
    Columns,
    MatMul,
    Gemm {
        alpha: f32,
        beta: f32,
        transpose_a: bool,
        transpose_b: bool,
    },
    Softmax {
        axis: i64,
    },
    Reduce {
        by: Reduction,
        axes: Vec<i64>,
        keep: bool,
    },
    Clip,
    Scaler {
        offset: Vec<f32>,
        scale: Vec<f32>,
    },
    Normalizer(Norm),
    /// Puts values where one is; where NaN is if none is given.
    Imputer {
        values: Vec<f32>,
        replaced: Option<f32>,
    },
    Binarizer {
        threshold: f32,
    },
    /// Values by keys, which are in their order.
    LabelEncoder {
        keys: Data,
        values: Data,
        default: Data,
    },
    Linear {
        coefficients: Vec<f32>,
        intercepts: Vec<f32>,
        outputs: usize,
        second: bool,
        transform: Transform,
    },
    Trees(Box<Ensemble>),
}

type Given<'a> = [Option<&'a Tensor>];

impl Operator {
    /// As it is said in errors.
    pub fn name(&self) -> String {
        let text = format!("{self:?}");
        let end = text.find(|it: char| !it.is_alphanumeric());
        text[..end.unwrap_or(text.len())].to_owned()
    }

    /// Whether its second input is the shape of what it makes.
    pub fn has_shape_input(&self) -> bool {
        matches!(self, Operator::Reshape)
    }

    /// # Errors
    /// If it cannot be applied to anything.
    pub fn check(&self) -> Result<(), String> {
        let finite = |lists: &[&[f32]]| lists.iter().all(|it| it.iter().all(|it| it.is_finite()));
        let fits = match self {
            Operator::Trees(it) => return it.check(),
            Operator::Gemm { alpha, beta, .. } => alpha.is_finite() && beta.is_finite(),
            Operator::Scaler { offset, scale } => finite(&[offset, scale]),
            Operator::Imputer { values, replaced } => {
                finite(&[values]) && replaced.is_none_or(f32::is_finite)
            }
            Operator::Binarizer { threshold } => threshold.is_finite(),
            Operator::LabelEncoder {
                keys,
                values,
                default,
            } => {
                keys.rises()
                    && [keys, values, default].iter().all(|it| it.is_finite())
                    && keys.len() == values.len()
                    && default.len() == 1
                    && default.data_type() == values.data_type()
            }
            Operator::Linear {
                coefficients,
                intercepts,
                outputs,
                second,
                ..
            } => {
                finite(&[coefficients, intercepts])
                    && *outputs != 0
                    && coefficients.len() % outputs == 0
                    && (intercepts.is_empty() || intercepts.len() == *outputs)
                    && (!second || *outputs == 1)
            }
            _ => true,
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "{} has attributes that do not fit each other",
                self.name()
            )),
        }
    }

    /// What it makes of its inputs.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn apply(&self, given: &Given) -> Result<Tensor, String> {
        let at = |place: usize| {
            let tensor = given.get(place).copied().flatten();
            tensor.ok_or_else(|| format!("input {place} is missing"))
        };
        match self {
            Operator::Identity => at(0).cloned(),
            Operator::Cast(to) => Tensor::new(at(0)?.shape.clone(), at(0)?.data.cast(*to)),
            Operator::Unary(it) => unary(*it, at(0)?),
            Operator::Binary(it) => binary(*it, at(0)?, at(1)?),
            Operator::Fold(it) => {
                let mut result = at(0)?.clone();
                for place in 1..given.len() {
                    result = binary(*it, &result, at(place)?)?;
                }
                Ok(result)
            }
            Operator::Where => choose(at(0)?, at(1)?, at(2)?),
            Operator::Reshape => reshape(at(0)?, at(1)?.ints()?),
            Operator::Flatten => {
                let rows = at(0)?.shape.first().copied().unwrap_or(1);
                let columns = at(0)?.data.len() / rows.max(1);
                Tensor::new(vec![rows, columns], at(0)?.data.clone())
            }
            Operator::Squeeze { axes } => squeeze(at(0)?, axes),
            Operator::Unsqueeze { axes } => unsqueeze(at(0)?, axes),
            Operator::Concat { axis } => {
                let all: Result<Vec<&Tensor>, String> = (0..given.len()).map(at).collect();
                concat(&all?, *axis)
            }
            Operator::Gather { axis } => gather(at(0)?, at(1)?, *axis),
            Operator::Columns => {
                let last = Tensor::new(vec![at(1)?.data.len()], at(1)?.data.clone())?;
                let table = match at(0)?.shape.len() {
                    1 => Tensor::new(vec![1, at(0)?.data.len()], at(0)?.data.clone())?,
                    _ => at(0)?.clone(),
                };
                gather(&table, &last, -1)
            }
            Operator::MatMul => product(at(0)?, at(1)?, false, false),
            Operator::Gemm {
                alpha,
                beta,
                transpose_a,
                transpose_b,
            } => {
                let factor = |it: f32, like: &Tensor| {
                    Tensor::scalar(Data::Float(vec![it]).cast(like.data.data_type()))
                };
                let result = product(at(0)?, at(1)?, *transpose_a, *transpose_b)?;
                let result = binary(Binary::Mul, &result, &factor(*alpha, &result))?;
                match given.get(2).copied().flatten() {
                    None => Ok(result),
                    Some(it) => {
                        let added = binary(Binary::Mul, it, &factor(*beta, it))?;
                        binary(Binary::Add, &result, &added)
                    }
                }
            }
            Operator::Softmax { axis } => softmax(at(0)?, *axis),
            Operator::Reduce { by, axes, keep } => reduce(*by, at(0)?, axes, *keep),
            Operator::Clip => {
                let mut result = at(0)?.clone();
                for (place, bound) in [(1, Binary::Max), (2, Binary::Min)] {
                    if let Some(limit) = given.get(place).copied().flatten() {
                        result = binary(bound, &result, limit)?;
                    }
                }
                Ok(result)
            }
            Operator::Scaler { offset, scale } => by_column(at(0)?, |value, column| {
                (value - one_of(offset, column)?.unwrap_or(0.0)).times_some(one_of(scale, column)?)
            }),
            Operator::Normalizer(norm) => normalize(at(0)?, *norm),
            Operator::Imputer { values, replaced } => by_column(at(0)?, |value, column| {
                let is_replaced = match replaced {
                    None => value.is_nan(),
                    Some(it) => value == *it,
                };
                match is_replaced {
                    true => one_of(values, column)?.ok_or_else(|| "it has no values".to_owned()),
                    false => Ok(value),
                }
            }),
            Operator::Binarizer { threshold } => by_column(at(0)?, |value, _| {
                Ok(f32::from(u8::from(*threshold < value)))
            }),
            Operator::LabelEncoder {
                keys,
                values,
                default,
            } => encode(at(0)?, keys, values, default),
            Operator::Linear {
                coefficients,
                intercepts,
                outputs,
                second,
                transform,
            } => linear(
                at(0)?,
                coefficients,
                intercepts,
                *outputs,
                *second,
                *transform,
            ),
            Operator::Trees(it) => it.evaluate(at(0)?),
        }
    }
}
