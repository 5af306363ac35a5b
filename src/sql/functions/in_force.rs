//! `score`, `model`, `model_version` and `threshold` in tables of records: what the model says that is in force in the epoch of a record.
//!
//! `sql::models` writes them as `score_in_force('NAME', _epoch, a, b, …)` and so on. They are functions of their arguments, given the schedule of the dataflow, which every
//! instance carries. While no model is in force all of them are NULL.

use super::score::{feature_error, features_of, is_feature, points};
use crate::learn::kept;
use crate::model::Epoch;
use crate::model::in_force::{Entry, InForce};
use arrow::array::{ArrayRef, AsArray, Float64Builder, Int64Builder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What is asked of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Score,
    Id,
    Version,
    Threshold,
}

const ALL: [(Asked, &str); 4] = [
    (Asked::Score, "score_in_force"),
    (Asked::Id, "model_in_force"),
    (Asked::Version, "model_version_in_force"),
    (Asked::Threshold, "threshold_in_force"),
];

/// The functions over one schedule.
pub fn all(schedule: &Arc<InForce>) -> Vec<ScalarUDF> {
    let functions = ALL.iter().map(|(asked, name)| {
        ScalarUDF::from(OfInForce {
            name,
            asked: *asked,
            schedule: Arc::clone(schedule),
            signature: Signature::user_defined(Volatility::Immutable),
        })
    });
    functions.collect()
}

#[derive(Debug)]
struct OfInForce {
    name: &'static str,
    asked: Asked,
    schedule: Arc<InForce>,
    signature: Signature,
}

impl PartialEq for OfInForce {
    fn eq(&self, other: &Self) -> bool {
        self.asked == other.asked && Arc::ptr_eq(&self.schedule, &other.schedule)
    }
}

impl Eq for OfInForce {}

impl Hash for OfInForce {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.asked.hash(state);
    }
}

impl OfInForce {
    fn returned(&self) -> DataType {
        match self.asked {
            Asked::Score | Asked::Threshold => DataType::Float64,
            Asked::Id => DataType::Utf8,
            Asked::Version => DataType::Int64,
        }
    }

    /// What is in force in each epoch, one entry for each run of rows: its length and the entry.
    fn runs(&self, name: &str, epochs: &ArrayRef) -> Result<Vec<(usize, Option<Entry>)>> {
        let epochs = cast(epochs, &DataType::Int64)?;
        let epochs = epochs.as_primitive::<Int64Type>();
        let mut runs: Vec<(i64, usize)> = Vec::new();
        for epoch in epochs.values() {
            match runs.last_mut() {
                Some((last, rows)) if last == epoch => *rows += 1,
                _ => runs.push((*epoch, 1)),
            }
        }
        let runs = runs.into_iter();
        Ok(runs
            .map(|(epoch, rows)| {
                (
                    rows,
                    self.schedule.at(name, Epoch(epoch.max(0).unsigned_abs())),
                )
            })
            .collect())
    }
}

impl ScalarUDFImpl for OfInForce {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some(([name, _], features)) = types.split_first_chunk::<2>() else {
            return plan_err!("{} needs a name and an epoch", self.name);
        };
        let known = [name.clone(), DataType::Int64];
        Ok(known.into_iter().chain(features_of(features)).collect())
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.returned())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let name = args.scalar_arguments.first().copied().flatten();
        let name = name.and_then(|it| it.try_as_str().flatten());
        for (number, field) in args.arg_fields.iter().skip(2).enumerate() {
            if !is_feature(field.data_type()) {
                let of = name.unwrap_or("?");
                return plan_err!("{}", feature_error(&(number + 1).to_string(), of, field));
            }
        }
        Ok(Arc::new(Field::new(self.name, self.returned(), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(([ColumnarValue::Scalar(name), epochs], features)) =
            args.args.split_first_chunk::<2>()
        else {
            return exec_err!("{} needs the name of a model", self.name);
        };
        let Some(name) = name.try_as_str().flatten() else {
            return exec_err!("{} needs the name of a model", self.name);
        };
        let runs = self.runs(name, &epochs.to_array(args.number_rows)?)?;
        let model_of = |entry: &Entry| match kept(&entry.id) {
            Some(model) => Ok(model),
            None => exec_err!(
                "version {} of model {name} is not loaded, and was in force",
                entry.version
            ),
        };
        let found: ArrayRef = match self.asked {
            Asked::Id => {
                let mut ids = StringBuilder::new();
                for (rows, entry) in runs {
                    let id = entry.as_ref().map(|it| it.id.as_str());
                    (0..rows).for_each(|_| ids.append_option(id));
                }
                Arc::new(ids.finish())
            }
            Asked::Version => {
                let mut versions = Int64Builder::with_capacity(args.number_rows);
                for (rows, entry) in runs {
                    let version = entry.and_then(|it| i64::try_from(it.version).ok());
                    (0..rows).for_each(|_| versions.append_option(version));
                }
                Arc::new(versions.finish())
            }
            Asked::Threshold => {
                let mut thresholds = Float64Builder::with_capacity(args.number_rows);
                for (rows, entry) in runs {
                    let threshold = match entry {
                        Some(entry) => model_of(&entry)?.threshold(),
                        None => None,
                    };
                    (0..rows).for_each(|_| thresholds.append_option(threshold));
                }
                Arc::new(thresholds.finish())
            }
            Asked::Score => {
                let mut scores = Float64Builder::with_capacity(args.number_rows);
                let mut points = points(features, args.number_rows)?;
                for (rows, entry) in runs {
                    let model = match entry {
                        Some(entry) => Some(model_of(&entry)?),
                        None => None,
                    };
                    for _ in 0..rows {
                        let point = points.next();
                        let score = match (&model, point) {
                            (Some(model), Some(point)) => model.score_point(point),
                            _ => None,
                        };
                        scores.append_option(score);
                    }
                }
                Arc::new(scores.finish())
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}
