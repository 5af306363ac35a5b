//! Operators that work element by element, or with one parameter for each column.

use super::ensemble::{Number, logistic};
use super::operator::{Binary, Unary};
use super::tensor::{Data, Tensor, Type, common_shape};

/// A number that may be multiplied.
pub trait TimesSome {
    fn times_some(self, factor: Option<f32>) -> Result<f32, String>;
}

impl TimesSome for f32 {
    fn times_some(self, factor: Option<f32>) -> Result<f32, String> {
        Ok(factor.map_or(self, |it| self * it))
    }
}

/// Of a list with one value for all columns, or one for each.
pub fn one_of(list: &[f32], column: usize) -> Result<Option<f32>, String> {
    match list.len() {
        0 => Ok(None),
        1 => Ok(Some(list[0])),
        _ => match list.get(column) {
            Some(it) => Ok(Some(*it)),
            None => Err(format!("it has {} values for more columns", list.len())),
        },
    }
}

pub fn by_column(
    tensor: &Tensor,
    of: impl Fn(f32, usize) -> Result<f32, String>,
) -> Result<Tensor, String> {
    let columns = tensor.rows_and_columns()?.1.max(1);
    let values = tensor.floats()?;
    let made = values.iter().enumerate();
    let made: Result<Vec<f32>, String> = made.map(|(at, it)| of(*it, at % columns)).collect();
    Tensor::new(tensor.shape.clone(), Data::Float(made?))
}

pub fn unary(operator: Unary, tensor: &Tensor) -> Result<Tensor, String> {
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

pub fn binary(operator: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
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
pub trait Float: Number + std::ops::Sub<Output = Self> {
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

pub fn numbers<N: Float>(operator: Binary, a: &[N], b: &[N], pow: fn(N, N) -> N) -> Option<Data> {
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

pub fn ints(operator: Binary, a: &[i64], b: &[i64]) -> Option<Data> {
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

pub fn choose(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
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
