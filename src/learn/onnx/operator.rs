//! The operators that models consist of, each as ONNX defines it.

use super::ensemble::{Ensemble, Number, Transform, logistic, transformed};
use super::tensor::{Data, Tensor, Type, common_shape, size};
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
    /// Values by keys; keys of text lead nowhere, as no text comes in.
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
                keys.len() == values.len()
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

/// A number that may be multiplied.
trait TimesSome {
    fn times_some(self, factor: Option<f32>) -> Result<f32, String>;
}

impl TimesSome for f32 {
    fn times_some(self, factor: Option<f32>) -> Result<f32, String> {
        Ok(factor.map_or(self, |it| self * it))
    }
}

/// Of a list with one value for all columns, or one for each.
fn one_of(list: &[f32], column: usize) -> Result<Option<f32>, String> {
    match list.len() {
        0 => Ok(None),
        1 => Ok(Some(list[0])),
        _ => match list.get(column) {
            Some(it) => Ok(Some(*it)),
            None => Err(format!("it has {} values for more columns", list.len())),
        },
    }
}

fn by_column(
    tensor: &Tensor,
    of: impl Fn(f32, usize) -> Result<f32, String>,
) -> Result<Tensor, String> {
    let columns = tensor.rows_and_columns()?.1.max(1);
    let values = tensor.floats()?;
    let made = values.iter().enumerate();
    let made: Result<Vec<f32>, String> = made.map(|(at, it)| of(*it, at % columns)).collect();
    Tensor::new(tensor.shape.clone(), Data::Float(made?))
}

fn unary(operator: Unary, tensor: &Tensor) -> Result<Tensor, String> {
    let single = |it: f32| match operator {
        Unary::Neg => -it,
        Unary::Abs => it.abs(),
        Unary::Exp => libm::expf(it),
        Unary::Log => libm::logf(it),
        Unary::Sqrt => it.sqrt(),
        Unary::Sigmoid => logistic(it),
        Unary::Tanh => libm::tanhf(it),
        Unary::Reciprocal => 1.0 / it,
        Unary::Floor => it.floor(),
        Unary::Ceil => it.ceil(),
        Unary::IsNaN | Unary::Not => f32::NAN,
    };
    let double = |it: f64| match operator {
        Unary::Neg => -it,
        Unary::Abs => it.abs(),
        Unary::Exp => libm::exp(it),
        Unary::Log => libm::log(it),
        Unary::Sqrt => it.sqrt(),
        Unary::Sigmoid => logistic(it),
        Unary::Tanh => libm::tanh(it),
        Unary::Reciprocal => 1.0 / it,
        Unary::Floor => it.floor(),
        Unary::Ceil => it.ceil(),
        Unary::IsNaN | Unary::Not => f64::NAN,
    };
    let data = match (&tensor.data, operator) {
        (Data::Float(it), Unary::IsNaN) => Data::Bool(it.iter().map(|it| it.is_nan()).collect()),
        (Data::Double(it), Unary::IsNaN) => Data::Bool(it.iter().map(|it| it.is_nan()).collect()),
        (Data::Bool(it), Unary::Not) => Data::Bool(it.iter().map(|it| !it).collect()),
        (Data::Int(it), Unary::Neg) => Data::Int(it.iter().map(|it| it.wrapping_neg()).collect()),
        (Data::Int(it), Unary::Abs) => Data::Int(it.iter().map(|it| it.wrapping_abs()).collect()),
        (_, Unary::IsNaN | Unary::Not) | (Data::Int(_) | Data::Bool(_), _) => {
            return Err("the type of its input does not fit".to_owned());
        }
        (Data::Float(it), _) => Data::Float(it.iter().copied().map(single).collect()),
        (Data::Double(it), _) => Data::Double(it.iter().copied().map(double).collect()),
    };
    Tensor::new(tensor.shape.clone(), data)
}

fn binary(operator: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let shape = common_shape(&a.shape, &b.shape)?;
    let of_types = || "the types of its inputs do not fit".to_owned();
    let data = match (a.stretched(&shape)?, b.stretched(&shape)?) {
        // The exponent may have another type than the base.
        (Data::Float(a), b) if operator == Binary::Pow => match b.cast(Type::Float) {
            Data::Float(b) => numbers(operator, &a, &b, libm::powf).ok_or_else(of_types)?,
            _ => return Err(of_types()),
        },
        (Data::Double(a), b) if operator == Binary::Pow => match b.cast(Type::Double) {
            Data::Double(b) => numbers(operator, &a, &b, libm::pow).ok_or_else(of_types)?,
            _ => return Err(of_types()),
        },
        (Data::Float(a), Data::Float(b)) => {
            numbers(operator, &a, &b, libm::powf).ok_or_else(of_types)?
        }
        (Data::Double(a), Data::Double(b)) => {
            numbers(operator, &a, &b, libm::pow).ok_or_else(of_types)?
        }
        (Data::Int(a), Data::Int(b)) => ints(operator, &a, &b).ok_or_else(of_types)?,
        (Data::Bool(a), Data::Bool(b)) => {
            let of = |a: bool, b: bool| match operator {
                Binary::And => Some(a && b),
                Binary::Or => Some(a || b),
                Binary::Equal => Some(a == b),
                _ => None,
            };
            let made: Option<Vec<bool>> = a.iter().zip(&b).map(|(a, b)| of(*a, *b)).collect();
            Data::Bool(made.ok_or_else(of_types)?)
        }
        _ => return Err(of_types()),
    };
    Tensor::new(shape, data)
}

/// Floating-point numbers of either width, as tensors hold them.
trait Float: Number + std::ops::Sub<Output = Self> {
    fn data(all: Vec<Self>) -> Data;
    fn is_nan(self) -> bool;
}

impl Float for f32 {
    fn data(all: Vec<f32>) -> Data {
        Data::Float(all)
    }
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
}

impl Float for f64 {
    fn data(all: Vec<f64>) -> Data {
        Data::Double(all)
    }
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
}

fn numbers<N: Float>(operator: Binary, a: &[N], b: &[N], pow: fn(N, N) -> N) -> Option<Data> {
    let pairs = || a.iter().copied().zip(b.iter().copied());
    let compare = |of: fn(N, N) -> bool| Some(Data::Bool(pairs().map(|(a, b)| of(a, b)).collect()));
    let compute = |of: &dyn Fn(N, N) -> N| Some(N::data(pairs().map(|(a, b)| of(a, b)).collect()));
    // NaN is both the least and the greatest.
    let unless_nan = |a: N, b: N, or: N| match () {
        () if a.is_nan() => a,
        () if b.is_nan() => b,
        () => or,
    };
    match operator {
        Binary::Add => compute(&N::plus),
        Binary::Sub => compute(&|a, b| a - b),
        Binary::Mul => compute(&N::times),
        Binary::Div => compute(&N::over),
        Binary::Pow => compute(&pow),
        Binary::Min => compute(&|a, b| unless_nan(a, b, if b < a { b } else { a })),
        Binary::Max => compute(&|a, b| unless_nan(a, b, if a < b { b } else { a })),
        Binary::Equal => compare(|a, b| a == b),
        Binary::Greater => compare(|a, b| a > b),
        Binary::GreaterOrEqual => compare(|a, b| a >= b),
        Binary::Less => compare(|a, b| a < b),
        Binary::LessOrEqual => compare(|a, b| a <= b),
        Binary::And | Binary::Or => None,
    }
}

fn ints(operator: Binary, a: &[i64], b: &[i64]) -> Option<Data> {
    let pairs = || a.iter().copied().zip(b.iter().copied());
    let compare =
        |of: fn(i64, i64) -> bool| Some(Data::Bool(pairs().map(|(a, b)| of(a, b)).collect()));
    let compute =
        |of: fn(i64, i64) -> i64| Some(Data::Int(pairs().map(|(a, b)| of(a, b)).collect()));
    match operator {
        Binary::Add => compute(i64::wrapping_add),
        Binary::Sub => compute(i64::wrapping_sub),
        Binary::Mul => compute(i64::wrapping_mul),
        Binary::Min => compute(i64::min),
        Binary::Max => compute(i64::max),
        Binary::Equal => compare(|a, b| a == b),
        Binary::Greater => compare(|a, b| a > b),
        Binary::GreaterOrEqual => compare(|a, b| a >= b),
        Binary::Less => compare(|a, b| a < b),
        Binary::LessOrEqual => compare(|a, b| a <= b),
        Binary::Div | Binary::Pow | Binary::And | Binary::Or => None,
    }
}

fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let shape = common_shape(&common_shape(&condition.shape, &a.shape)?, &b.shape)?;
    let (a, b) = (a.stretched(&shape)?, b.stretched(&shape)?);
    let Data::Bool(condition) = condition.stretched(&shape)? else {
        return Err("its condition is no truth".to_owned());
    };
    fn of<T: Copy>(condition: &[bool], a: &[T], b: &[T]) -> Vec<T> {
        let both = condition.iter().zip(a.iter().zip(b));
        both.map(|(it, (a, b))| if *it { *a } else { *b }).collect()
    }
    let data = match (&a, &b) {
        (Data::Float(a), Data::Float(b)) => Data::Float(of(&condition, a, b)),
        (Data::Double(a), Data::Double(b)) => Data::Double(of(&condition, a, b)),
        (Data::Int(a), Data::Int(b)) => Data::Int(of(&condition, a, b)),
        (Data::Bool(a), Data::Bool(b)) => Data::Bool(of(&condition, a, b)),
        _ => return Err("the types of its inputs do not fit".to_owned()),
    };
    Tensor::new(shape, data)
}

/// -1 is whatever is left, 0 the dimension as it was.
fn reshape(tensor: &Tensor, to: &[i64]) -> Result<Tensor, String> {
    let all = tensor.data.len();
    let mut shape = Vec::new();
    let mut open = None;
    for (at, wanted) in to.iter().enumerate() {
        shape.push(match *wanted {
            0 => *tensor.shape.get(at).ok_or("there is no such dimension")?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            it => usize::try_from(it).map_err(|_| "a dimension is negative".to_owned())?,
        });
    }
    if let Some(at) = open {
        shape[at] = all / size(&shape)?.max(1);
    }
    Tensor::new(shape, tensor.data.clone())
}

/// An axis of so many, counted from the end if it is negative.
fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let axis = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(axis)
        .ok()
        .filter(|it| *it < rank)
        .ok_or_else(|| "there is no such axis".to_owned())
}

fn squeeze(tensor: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    let axes: Vec<usize> = match axes {
        [] => (0..rank).filter(|it| tensor.shape[*it] == 1).collect(),
        _ => axes
            .iter()
            .map(|it| axis_of(*it, rank))
            .collect::<Result<_, _>>()?,
    };
    let kept = tensor
        .shape
        .iter()
        .enumerate()
        .filter(|it| !axes.contains(&it.0));
    Tensor::new(kept.map(|it| *it.1).collect(), tensor.data.clone())
}

fn unsqueeze(tensor: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = tensor.shape.len() + axes.len();
    let axes: Vec<usize> = axes
        .iter()
        .map(|it| axis_of(*it, rank))
        .collect::<Result<_, _>>()?;
    let mut own = tensor.shape.iter();
    let shape = (0..rank).map(|it| match axes.contains(&it) {
        true => Some(1),
        false => own.next().copied(),
    });
    let shape: Option<Vec<usize>> = shape.collect();
    Tensor::new(shape.ok_or("an axis is there twice")?, tensor.data.clone())
}

/// Elements before, along and behind an axis.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |it: &[usize]| it.iter().product::<usize>();
    (
        product(&shape[..axis]),
        shape[axis],
        product(&shape[axis + 1..]),
    )
}

fn concat(all: &[&Tensor], axis: i64) -> Result<Tensor, String> {
    let first = all.first().ok_or("there is nothing to put together")?;
    let axis = axis_of(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for tensor in all {
        let mut same = tensor.shape.clone();
        let along = same
            .get_mut(axis)
            .map(std::mem::take)
            .ok_or("the shapes do not fit")?;
        let mut without = shape.clone();
        without[axis] = 0;
        if same != without || tensor.data.data_type() != first.data.data_type() {
            return Err("the shapes or types of its inputs do not fit".to_owned());
        }
        shape[axis] += along;
    }
    size(&shape)?;
    let (outer, _, inner) = around(&shape, axis);
    fn joined<T: Copy>(parts: &[(&[T], usize)], outer: usize) -> Vec<T> {
        let mut made = Vec::new();
        for row in 0..outer {
            for (part, length) in parts {
                made.extend_from_slice(&part[row * length..(row + 1) * length]);
            }
        }
        made
    }
    let lengths = all.iter().map(|it| it.shape[axis] * inner);
    macro_rules! of {
        ($kind:ident) => {{
            let parts = all
                .iter()
                .zip(lengths)
                .filter_map(|(it, length)| match &it.data {
                    Data::$kind(it) => Some((it.as_slice(), length)),
                    _ => None,
                });
            Data::$kind(joined(&parts.collect::<Vec<_>>(), outer))
        }};
    }
    let data = match first.data {
        Data::Float(_) => of!(Float),
        Data::Double(_) => of!(Double),
        Data::Int(_) => of!(Int),
        Data::Bool(_) => of!(Bool),
    };
    Tensor::new(shape, data)
}

fn gather(tensor: &Tensor, places: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = axis_of(axis, tensor.shape.len())?;
    let (outer, along, inner) = around(&tensor.shape, axis);
    let wanted: Result<Vec<usize>, String> = places
        .ints()?
        .iter()
        .map(|it| axis_of(*it, along))
        .collect();
    let wanted = wanted?;
    let mut shape = tensor.shape[..axis].to_vec();
    shape.extend(&places.shape);
    shape.extend(&tensor.shape[axis + 1..]);
    size(&shape)?;
    let rows = (0..outer).flat_map(|row| wanted.iter().map(move |it| (row * along + it) * inner));
    let picked: Vec<usize> = rows.flat_map(|it| it..it + inner).collect();
    Tensor::new(shape, tensor.data.pick(&picked))
}

/// Of two tables.
fn product(a: &Tensor, b: &Tensor, turn_a: bool, turn_b: bool) -> Result<Tensor, String> {
    let turned = |(rows, columns): (usize, usize), turn: bool| match turn {
        true => (columns, rows),
        false => (rows, columns),
    };
    let own = (a.rows_and_columns()?, b.rows_and_columns()?);
    let (rows, inner) = turned(own.0, turn_a);
    let (others, columns) = match b.shape.len() {
        // A single dimension on the right is a column.
        1 => (b.data.len(), 1),
        _ => turned(own.1, turn_b),
    };
    if inner != others {
        return Err(format!(
            "{:?} and {:?} cannot be multiplied",
            a.shape, b.shape
        ));
    }
    size(&[rows, columns, inner])?;
    let place = |turn: bool, width: usize, row: usize, column: usize| match turn {
        true => column * width + row,
        false => row * width + column,
    };
    let width_b = if b.shape.len() == 1 { 1 } else { own.1.1 };
    fn of<N: Number>(
        a: &[N],
        b: &[N],
        (rows, columns, inner): (usize, usize, usize),
        at_a: impl Fn(usize, usize) -> usize,
        at_b: impl Fn(usize, usize) -> usize,
    ) -> Vec<N> {
        let cell = |row: usize, column: usize| {
            (0..inner).fold(N::of(0.0), |sum, it| {
                sum.plus(a[at_a(row, it)].times(b[at_b(it, column)]))
            })
        };
        let cell = &cell;
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| cell(row, column)))
            .collect()
    }
    let extent = (rows, columns, inner);
    let at_a = |row, column| place(turn_a, own.0.1, row, column);
    let at_b = |row, column| place(turn_b && b.shape.len() != 1, width_b, row, column);
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => Data::Float(of(a, b, extent, at_a, at_b)),
        (Data::Double(a), Data::Double(b)) => Data::Double(of(a, b, extent, at_a, at_b)),
        _ => return Err("the types of its inputs do not fit".to_owned()),
    };
    Tensor::new(vec![rows, columns], data)
}

fn softmax(tensor: &Tensor, axis: i64) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    if axis_of(axis, rank)? + 1 != rank {
        return Err("only the last axis is known".to_owned());
    }
    let width = tensor.shape[rank - 1].max(1);
    let mut data = tensor.data.clone();
    match &mut data {
        Data::Float(it) => it
            .chunks_mut(width)
            .for_each(|it| transformed(it, Transform::Softmax)),
        Data::Double(it) => it
            .chunks_mut(width)
            .for_each(|it| transformed(it, Transform::Softmax)),
        Data::Int(_) | Data::Bool(_) => return Err("the type of its input does not fit".to_owned()),
    }
    Tensor::new(tensor.shape.clone(), data)
}

fn reduce(by: Reduction, tensor: &Tensor, axes: &[i64], keep: bool) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    let mut axes: Vec<usize> = match axes {
        [] => (0..rank).collect(),
        _ => axes
            .iter()
            .map(|it| axis_of(*it, rank))
            .collect::<Result<_, _>>()?,
    };
    axes.sort_unstable();
    axes.dedup();
    // Axes that lie beside each other are one.
    let beside = axes.windows(2).all(|it| it[0] + 1 == it[1]);
    let (Some(first), Some(last), true) = (axes.first(), axes.last(), beside) else {
        return Ok(tensor.clone());
    };
    let product = |it: &[usize]| it.iter().product::<usize>();
    let outer = product(&tensor.shape[..*first]);
    let along = product(&tensor.shape[*first..=*last]);
    let inner = product(&tensor.shape[last + 1..]);
    if along == 0 {
        return Err("there is nothing to reduce".to_owned());
    }
    let shape: Vec<usize> = tensor
        .shape
        .iter()
        .enumerate()
        .filter(|it| keep || !axes.contains(&it.0))
        .map(|(at, it)| if axes.contains(&at) { 1 } else { *it })
        .collect();
    let groups =
        (0..outer).flat_map(|row| (0..inner).map(move |column| row * along * inner + column));
    let groups = groups.map(|first| (0..along).map(move |it| first + it * inner));
    let data = match &tensor.data {
        Data::Float(it) => reduced(by, it, groups),
        Data::Double(it) => reduced(by, it, groups),
        Data::Int(_) | Data::Bool(_) => return Err("the type of its input does not fit".to_owned()),
    };
    Tensor::new(shape, data)
}

fn reduced<N: Float>(
    by: Reduction,
    all: &[N],
    groups: impl Iterator<Item = impl Iterator<Item = usize>>,
) -> Data {
    let zero = N::of(0.0);
    let absolute = |it: N| if it < zero { it.negative() } else { it };
    let mut values = Vec::new();
    let mut places = Vec::new();
    for group in groups {
        let group: Vec<N> = group.map(|it| all[it]).collect();
        let sum = |of: &dyn Fn(N) -> N| group.iter().fold(zero, |sum, it| sum.plus(of(*it)));
        let best = |is_better: &dyn Fn(N, N) -> bool| {
            (1..group.len()).fold(0, |best, it| {
                if is_better(group[it], group[best]) {
                    it
                } else {
                    best
                }
            })
        };
        let (least, greatest) = (best(&|a, b| a < b), best(&|a, b| b < a));
        places.push(if by == Reduction::ArgMin {
            least
        } else {
            greatest
        } as i64);
        values.push(match by {
            Reduction::Sum => sum(&|it| it),
            Reduction::SumSquare => sum(&|it| it.times(it)),
            Reduction::Mean => sum(&|it| it).over(N::of(group.len() as f64)),
            Reduction::L1 => sum(&absolute),
            Reduction::L2 => sum(&|it| it.times(it)).root(),
            Reduction::Min | Reduction::ArgMin => group[least],
            Reduction::Max | Reduction::ArgMax => group[greatest],
        });
    }
    match by {
        Reduction::ArgMax | Reduction::ArgMin => Data::Int(places),
        _ => N::data(values),
    }
}

/// Rows divided by their norm; one whose norm is zero stays as it is.
fn normalize(tensor: &Tensor, norm: Norm) -> Result<Tensor, String> {
    let columns = tensor.rows_and_columns()?.1.max(1);
    let mut values = tensor.floats()?;
    for row in values.chunks_mut(columns) {
        let length = match norm {
            Norm::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            Norm::L1 => row.iter().fold(0.0, |sum: f32, it| sum + it.abs()),
            Norm::L2 => row.iter().fold(0.0, |sum: f32, it| sum + it * it),
        };
        if length == 0.0 {
            continue;
        }
        for value in row {
            *value = match norm {
                Norm::Max | Norm::L1 => *value / length,
                // Its sign, and the root of its share.
                Norm::L2 if *value < 0.0 => -(*value * *value / length).sqrt(),
                Norm::L2 => (*value * *value / length).sqrt(),
            };
        }
    }
    Tensor::new(tensor.shape.clone(), Data::Float(values))
}

fn encode(tensor: &Tensor, keys: &Data, values: &Data, default: &Data) -> Result<Tensor, String> {
    let place = |found: Option<usize>| found.map_or(keys.len(), |it| it);
    let places: Vec<usize> = match (&tensor.data, keys) {
        (Data::Int(all), Data::Int(keys)) => all
            .iter()
            .map(|it| place(keys.iter().position(|key| key == it)))
            .collect(),
        (Data::Float(all), Data::Float(keys)) => all
            .iter()
            .map(|it| place(keys.iter().position(|key| key == it)))
            .collect(),
        _ => return Err("the type of its input does not fit".to_owned()),
    };
    let joined = |mut all: Vec<f64>, last: Vec<f64>| {
        all.extend(last);
        Data::Double(all)
    };
    let extended = match (values.cast(Type::Double), default.cast(Type::Double)) {
        (Data::Double(all), Data::Double(last)) => joined(all, last),
        _ => return Err("its values are no numbers".to_owned()),
    };
    Tensor::new(
        tensor.shape.clone(),
        extended.pick(&places).cast(values.data_type()),
    )
}

fn linear(
    tensor: &Tensor,
    coefficients: &[f32],
    intercepts: &[f32],
    outputs: usize,
    second: bool,
    transform: Transform,
) -> Result<Tensor, String> {
    let (rows, columns) = tensor.rows_and_columns()?;
    if columns * outputs != coefficients.len() {
        return Err(format!(
            "it has {} coefficients for {columns} columns",
            coefficients.len()
        ));
    }
    let values = tensor.floats()?;
    let mut all = Vec::new();
    for row in values.chunks(columns.max(1)) {
        let output = |number: usize| {
            let own = &coefficients[number * columns..(number + 1) * columns];
            let sum = row.iter().zip(own).fold(0.0_f32, |sum, (a, b)| sum + a * b);
            sum + intercepts.get(number).copied().unwrap_or_default()
        };
        let mut scores: Vec<f32> = (0..outputs).map(output).collect();
        match (second, transform) {
            (false, _) => transformed(&mut scores, transform),
            (true, Transform::Logistic) => scores = vec![logistic(-scores[0]), logistic(scores[0])],
            (true, _) => scores = vec![1.0 - scores[0], scores[0]],
        }
        all.extend(scores);
    }
    Tensor::new(
        vec![rows, if second { 2 } else { outputs }],
        Data::Float(all),
    )
}
