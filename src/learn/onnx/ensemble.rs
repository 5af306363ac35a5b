//! Tree ensembles as ONNX has them: what the trees say is added up in float32, and becomes scores.
//!
//! Where ONNX is silent, of two classes for example whose trees only speak of one, this does as onnxruntime 1.32 does.

use super::super::trees::Trees;
use super::tensor::{Data, Tensor};
use serde::{Deserialize, Serialize};

/// How what trees say becomes one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// What scores go through in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

/// What an ensemble is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Numbers,
    Classes {
        /// Of two classes, trees only speak of one.
        one_of_two: bool,
        all_positive: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// Columns that the trees may ask for.
    pub columns: usize,
    pub trees: Trees,
    pub outputs: usize,
    /// Added to the outputs, or nothing.
    pub base: Vec<f64>,
    pub aggregate: Aggregate,
    pub transform: Transform,
    pub purpose: Purpose,
}

impl Ensemble {
    /// # Errors
    /// If it cannot be evaluated.
    pub fn check(&self) -> Result<(), String> {
        if self.outputs == 0
            || !self.base.iter().all(|it| it.is_finite())
            || self.outputs < self.base.len()
        {
            return Err("the outputs of its trees do not fit".to_owned());
        }
        if matches!(self.purpose, Purpose::Classes { .. })
            && (self.outputs < 2 || self.aggregate != Aggregate::Sum)
        {
            return Err("a classifier has two classes or more, and adds up".to_owned());
        }
        self.trees.check(self.columns, self.outputs)
    }

    /// One row of scores for each row.
    ///
    /// # Errors
    /// If the input has too few columns, or the trees say nothing.
    pub fn evaluate(&self, input: &Tensor) -> Result<Tensor, String> {
        let (rows, columns) = input.rows_and_columns()?;
        if columns < self.columns {
            return Err(format!(
                "its trees ask for {} columns, and there are {columns}",
                self.columns
            ));
        }
        let points: Vec<f64> = match &input.data {
            Data::Double(it) => it.clone(),
            _ => input.floats()?.into_iter().map(f64::from).collect(),
        };
        // As thresholds are.
        let points: Vec<f64> = points
            .iter()
            .map(|it| it.clamp(f64::MIN, f64::MAX))
            .collect();
        let wide = matches!(input.data, Data::Double(_));
        let mut all = Vec::new();
        for row in 0..rows {
            let point = &points[row * columns..(row + 1) * columns];
            match wide {
                true => all.extend(self.scores::<f64>(point)?),
                false => all.extend(self.scores::<f32>(point)?.into_iter().map(f64::from)),
            }
        }
        let data = match wide && self.purpose == Purpose::Numbers {
            true => Data::Double(all),
            false => Data::Float(all.into_iter().map(|it| it as f32).collect()),
        };
        Tensor::new(vec![rows, self.outputs], data)
    }

    fn scores<N: Number>(&self, point: &[f64]) -> Result<Vec<N>, String> {
        let mut scores = vec![N::of(0.0); self.outputs];
        let mut has_score = vec![false; self.outputs];
        self.trees.each_weight(point, |output, weight| {
            let weight = N::of(weight);
            let score = &mut scores[output];
            *score = match self.aggregate {
                Aggregate::Sum | Aggregate::Average => score.plus(weight),
                Aggregate::Min if has_score[output] && *score <= weight => *score,
                Aggregate::Max if has_score[output] && weight <= *score => *score,
                Aggregate::Min | Aggregate::Max => weight,
            };
            has_score[output] = true;
        });
        match self.purpose {
            Purpose::Numbers => Ok(self.numbers(scores)),
            Purpose::Classes { .. } => self.classes(scores, &has_score),
        }
    }

    fn numbers<N: Number>(&self, mut scores: Vec<N>) -> Vec<N> {
        let trees = N::of(self.trees.len() as f64);
        for (output, score) in scores.iter_mut().enumerate() {
            if self.aggregate == Aggregate::Average {
                *score = score.over(trees);
            }
            if self.base.len() == self.outputs {
                *score = score.plus(N::of(self.base[output]));
            }
        }
        // Of a single number no transform is made.
        if 1 < self.outputs {
            transformed(&mut scores, self.transform);
        }
        scores
    }

    fn classes<N: Number>(&self, mut scores: Vec<N>, has_score: &[bool]) -> Result<Vec<N>, String> {
        let base: Vec<N> = self.base.iter().map(|it| N::of(*it)).collect();
        let Purpose::Classes {
            one_of_two,
            all_positive,
        } = self.purpose
        else {
            return Err("it has no classes".to_owned());
        };
        if 2 < self.outputs {
            for (score, base) in scores.iter_mut().zip(&base) {
                *score = score.plus(*base);
            }
            transformed(&mut scores, self.transform);
            return Ok(scores);
        }
        match base.as_slice() {
            [_, second] if has_score[1] => {
                scores[1] = scores[0].plus(*second);
                scores[0] = scores[1].negative();
            }
            [first, second] => {
                scores[1] = scores[1].plus(*second);
                scores[0] = scores[0].plus(*first);
            }
            [first] => scores[0] = scores[0].plus(*first),
            _ => {}
        }
        if has_score[1] || base.len() == 2 {
            transformed(&mut scores, self.transform);
            return Ok(scores);
        }
        let score = scores[0];
        if !one_of_two {
            return Err("its trees say nothing of the second class".to_owned());
        }
        Ok(match (all_positive, self.transform) {
            (true, _) => vec![N::of(1.0).plus(score.negative()), score],
            (false, Transform::Logistic) => vec![logistic(score.negative()), logistic(score)],
            (false, _) => vec![score.negative(), score],
        })
    }
}

/// f32 or f64: each operation is rounded to that.
pub trait Number: Copy + PartialOrd {
    fn of(value: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    fn negative(self) -> Self;
    fn exp(self) -> Self;
    fn root(self) -> Self;
}

impl Number for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn plus(self, other: f32) -> f32 {
        self + other
    }
    fn times(self, other: f32) -> f32 {
        self * other
    }
    fn over(self, other: f32) -> f32 {
        self / other
    }
    fn negative(self) -> f32 {
        -self
    }
    fn exp(self) -> f32 {
        libm::expf(self)
    }
    fn root(self) -> f32 {
        self.sqrt()
    }
}

impl Number for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn plus(self, other: f64) -> f64 {
        self + other
    }
    fn times(self, other: f64) -> f64 {
        self * other
    }
    fn over(self, other: f64) -> f64 {
        self / other
    }
    fn negative(self) -> f64 {
        -self
    }
    fn exp(self) -> f64 {
        libm::exp(self)
    }
    fn root(self) -> f64 {
        self.sqrt()
    }
}

/// 1 / (1 + e^-x), without an overflow on either side.
pub fn logistic<N: Number>(value: N) -> N {
    let one = N::of(1.0);
    let is_negative = value < N::of(0.0);
    let magnitude = if is_negative { value.negative() } else { value };
    let upper = one.over(one.plus(magnitude.negative().exp()));
    if is_negative {
        one.plus(upper.negative())
    } else {
        upper
    }
}

pub fn transformed<N: Number>(scores: &mut [N], transform: Transform) {
    let zero = N::of(0.0);
    match transform {
        Transform::None => {}
        Transform::Logistic => scores.iter_mut().for_each(|it| *it = logistic(*it)),
        Transform::Softmax | Transform::SoftmaxZero => {
            let highest = scores
                .iter()
                .copied()
                .reduce(|a, b| if a < b { b } else { a })
                .unwrap_or(zero);
            let mut sum = zero;
            for score in scores.iter_mut() {
                let is_zero = !(N::of(1e-7) < *score || *score < N::of(-1e-7));
                if transform == Transform::SoftmaxZero && is_zero {
                    *score = score.times(highest.negative().exp());
                } else {
                    *score = score.plus(highest.negative()).exp();
                    sum = sum.plus(*score);
                }
            }
            for score in scores.iter_mut() {
                *score = score.over(sum);
            }
        }
    }
}
