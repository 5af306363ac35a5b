//! `to_timestamp` of numbers of seconds with a fraction: DataFusion gives the last instant that it has for all that are beyond, and 1970 for NaN.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// As many seconds before and after 1970 as an `i64` has nanoseconds for.
const SECONDS_MAX: f64 = (i64::MAX / 1_000_000_000) as f64;

/// A session's own function, which knows its time zone, with these bounds.
pub fn within_bounds(to_timestamp: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ToTimestamp(to_timestamp)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp(Arc<ScalarUDF>);

impl ScalarUDFImpl for ToTimestamp {
    scalar_as_native!();
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [seconds] = args.args.as_slice()
            && seconds.data_type().is_floating()
        {
            let seconds = seconds.to_array(args.number_rows)?;
            let seconds = arrow::compute::cast(&seconds, &DataType::Float64)?;
            let mut seconds = seconds.as_primitive::<Float64Type>().iter().flatten();
            if let Some(it) = seconds.find(|it| it.is_nan() || SECONDS_MAX < it.abs()) {
                return exec_err!("to_timestamp({it}): instants are of the years 1678 to 2261");
            }
        }
        self.0.invoke_with_args(args)
    }
}
