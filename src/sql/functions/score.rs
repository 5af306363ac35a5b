//! `score('NAME@<id>', a, b, …)`: what a model says of the features of a row.
//!
//! The first argument names a model by the hash of its content, so the function is of its arguments alone. Texts of users name a model as they like; `sql::models`
//! writes the id into them, and loads the model, before anything is planned.

use crate::learn::{Model, kept};
use arrow::array::{Array, AsArray, Float64Array, Float64Builder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::Arc;

/// Name of the function.
pub const SCORE: &str = "score";

pub fn score() -> ScalarUDF {
    ScalarUDF::from(Score {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Score {
    signature: Signature,
}

/// The model that a first argument names by its id, if it was loaded.
fn model_of(argument: Option<&ScalarValue>) -> Option<Arc<Model>> {
    let (name, id) = argument?.try_as_str()??.split_once('@')?;
    kept(id).filter(|it| it.name() == name)
}

/// Whether a value of this type can be a feature.
pub(super) fn is_feature(kind: &DataType) -> bool {
    kind.is_numeric() || matches!(kind, DataType::Boolean | DataType::Null)
}

/// The types that features are computed in. Those that can be none stay as they are: what is said of them is said with the model.
pub(super) fn features_of(types: &[DataType]) -> impl Iterator<Item = DataType> {
    types.iter().map(|it| match is_feature(it) {
        true => DataType::Float64,
        false => it.clone(),
    })
}

/// What is said of a feature that can be none.
pub(super) fn feature_error(feature: &str, model: &str, given: &Field) -> String {
    format!(
        "feature {feature} of model {model} is a number or a boolean, and {SCORE} gives it {}",
        crate::sql::sql_type_name(given.data_type())
    )
}

/// Features row by row, NaN where one is missing.
pub(super) struct Points {
    columns: Vec<Float64Array>,
    point: Vec<f64>,
    row: usize,
    rows: usize,
}

/// The features of so many rows.
///
/// # Errors
/// If one is no number.
pub(super) fn points(features: &[ColumnarValue], rows: usize) -> Result<Points> {
    let columns = features.iter().map(|it| {
        let numbers = cast(&it.to_array(rows)?, &DataType::Float64)?;
        Ok(numbers.as_primitive::<Float64Type>().clone())
    });
    let columns: Vec<Float64Array> = columns.collect::<Result<_>>()?;
    Ok(Points {
        point: vec![f64::NAN; columns.len()],
        columns,
        row: 0,
        rows,
    })
}

impl Points {
    /// The features of the next row.
    pub(super) fn next(&mut self) -> Option<&mut [f64]> {
        let row = self.row;
        if self.rows <= row {
            return None;
        }
        self.row += 1;
        for (value, column) in self.point.iter_mut().zip(&self.columns) {
            *value = match column.is_valid(row) {
                true => column.value(row),
                false => f64::NAN,
            };
        }
        Some(&mut self.point)
    }
}

impl ScalarUDFImpl for Score {
    fn name(&self) -> &str {
        SCORE
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((name, features)) = types.split_first() else {
            return plan_err!("{SCORE} needs arguments: {SCORE}('NAME', feature, …)");
        };
        let name = std::iter::once(name.clone());
        Ok(name.chain(features_of(features)).collect())
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(model) = model_of(args.scalar_arguments.first().copied().flatten()) else {
            return plan_err!(
                "{SCORE} cannot stand here; compute the score in a view, and read its column"
            );
        };
        if args.arg_fields.len() != model.features().len() + 1 {
            return plan_err!("{}", wants(&model, args.arg_fields.len().saturating_sub(1)));
        }
        for (field, name) in args.arg_fields.iter().skip(1).zip(model.features()) {
            if !is_feature(field.data_type()) {
                return plan_err!("{}", feature_error(name, model.name(), field));
            }
        }
        Ok(Arc::new(Field::new(SCORE, DataType::Float64, true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((ColumnarValue::Scalar(name), features)) = args.args.split_first() else {
            return exec_err!("{SCORE} needs the name of a model");
        };
        let Some(model) = model_of(Some(name)) else {
            return exec_err!("{SCORE}: model {name} is not loaded");
        };
        let mut points = points(features, args.number_rows)?;
        let mut scores = Float64Builder::with_capacity(args.number_rows);
        while let Some(point) = points.next() {
            scores.append_option(model.score_point(point));
        }
        Ok(ColumnarValue::Array(Arc::new(scores.finish())))
    }
}

/// What a model wants that was given so many features.
pub fn wants(model: &Model, given: usize) -> String {
    let features = model.features();
    let plural = if features.len() == 1 { "" } else { "s" };
    format!(
        "model {} takes {} feature{plural} ({}), and {SCORE} gives it {given}",
        model.name(),
        features.len(),
        features.join(", ")
    )
}
