//! A graph of checked steps, evaluated for one row.
//!
//! Each step makes one tensor, out of inputs, constants and what steps before it made; so evaluation ends. Shapes do not depend on values, and whether they fit
//! is tried once when a graph is checked; at every step it is looked at again, and what does not fit is an error, never a panic.

use super::operator::Operator;
use super::tensor::{Data, Tensor, Type};
use serde::{Deserialize, Serialize};

/// Steps of a graph; an isolation forest of a thousand trees has about thirty for each.
const STEPS_MAX: usize = 100_000;

/// Where a tensor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Input(usize),
    Constant(usize),
    Step(usize),
    /// An optional input that is left out.
    Nothing,
}

/// An input takes the next features, one for each of its columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub data_type: Type,
    pub columns: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub operator: Operator,
    pub inputs: Vec<Place>,
}

/// What of the outputs is the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub name: String,
    pub place: Place,
    /// Of how many columns it has, from 0.
    pub column: usize,
    /// The class whose column that is, if it is known.
    pub class: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    pub inputs: Vec<Input>,
    pub constants: Vec<Tensor>,
    pub steps: Vec<Step>,
    pub output: Output,
}

impl Graph {
    /// # Errors
    /// If it cannot score points of so many features.
    pub fn check(&self, features: usize) -> Result<(), String> {
        let columns: usize = self
            .inputs
            .iter()
            .try_fold(0_usize, |sum, it| sum.checked_add(it.columns))
            .ok_or("it has too many columns")?;
        if columns != features {
            return Err(format!(
                "it takes {columns} features, and there are {features}"
            ));
        }
        if STEPS_MAX < self.steps.len() {
            return Err(format!("it has more than {STEPS_MAX} steps"));
        }
        for constant in &self.constants {
            constant.check()?;
            if !constant.data.is_finite() {
                return Err("a constant is not finite".to_owned());
            }
        }
        for (number, step) in self.steps.iter().enumerate() {
            if !step.inputs.iter().all(|it| self.is_there(*it, number)) {
                return Err(format!("step {number} needs what is not there"));
            }
            step.operator.check()?;
            let shape_is_constant = !step.operator.has_shape_input()
                || matches!(step.inputs.get(1), Some(Place::Constant(_)));
            if !shape_is_constant {
                return Err(format!("step {number} makes a shape out of values"));
            }
        }
        if !self.is_there(self.output.place, self.steps.len()) {
            return Err("its output is not there".to_owned());
        }
        let width = self.outputs(&vec![0.5; features])?.data.len();
        match self.output.column < width {
            true => Ok(()),
            false => Err(format!("its output has {width} columns")),
        }
    }

    fn is_there(&self, place: Place, step: usize) -> bool {
        match place {
            Place::Input(it) => it < self.inputs.len(),
            Place::Constant(it) => it < self.constants.len(),
            Place::Step(it) => it < step,
            Place::Nothing => true,
        }
    }

    /// The whole output for one row.
    ///
    /// # Errors
    /// If something does not fit.
    pub fn outputs(&self, point: &[f64]) -> Result<Tensor, String> {
        let mut first = 0;
        let mut inputs = Vec::new();
        for input in &self.inputs {
            let values = point
                .get(first..first + input.columns)
                .ok_or("there are too few features")?;
            first += input.columns;
            let data = Data::Double(values.to_vec()).cast(input.data_type);
            inputs.push(Tensor::new(vec![1, input.columns], data)?);
        }
        let mut made: Vec<Tensor> = Vec::with_capacity(self.steps.len());
        for (number, step) in self.steps.iter().enumerate() {
            let of = |place: &Place| match *place {
                Place::Input(it) => Some(&inputs[it]),
                Place::Constant(it) => Some(&self.constants[it]),
                Place::Step(it) => Some(&made[it]),
                Place::Nothing => None,
            };
            let given: Vec<Option<&Tensor>> = step.inputs.iter().map(of).collect();
            let tensor = step.operator.apply(&given);
            made.push(
                tensor.map_err(|it| format!("step {number}, {}: {it}", step.operator.name()))?,
            );
        }
        let output = match self.output.place {
            Place::Input(it) => inputs.get(it),
            Place::Constant(it) => self.constants.get(it),
            Place::Step(it) => made.get(it),
            Place::Nothing => None,
        };
        output.cloned().ok_or_else(|| "it has no output".to_owned())
    }

    /// The score of a point, whose missing values are NaN; none if there is no finite one.
    pub fn score(&self, point: &[f64]) -> Option<f64> {
        let whole = |it: &Input| it.data_type == Type::Int;
        if self.inputs.iter().any(whole) && point.iter().any(|it| it.is_nan()) {
            return None;
        }
        let output = self.outputs(point).ok()?;
        match output.data.cast(Type::Double) {
            Data::Double(it) => it
                .get(self.output.column)
                .copied()
                .filter(|it| it.is_finite()),
            _ => None,
        }
    }

    pub fn score_says(&self) -> String {
        let Output {
            name,
            column,
            class,
            ..
        } = &self.output;
        match class {
            Some(class) => format!("output {name:?} of the imported model, for class {class}"),
            None => format!("output {name:?} of the imported model, column {column}"),
        }
    }
}
