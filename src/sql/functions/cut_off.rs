//! `date_trunc_of(time, unit)`: a time cut off to a unit, and a date that stays one. It stands for `date_trunc(date, MONTH)` as Feldera and BigQuery
//! write it; of Postgres' `date_trunc('month', date)` a timestamp comes.

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Its name.
pub const DATE_TRUNC_OF: &str = "date_trunc_of";

/// The function, around the one that computes it.
pub(super) fn date_trunc_of(date_trunc: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DateTruncOf {
        date_trunc,
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTruncOf {
    date_trunc: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for DateTruncOf {
    fn name(&self) -> &str {
        DATE_TRUNC_OF
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [it @ (DataType::Date32 | DataType::Timestamp(..)), _] => Ok(it.clone()),
            _ => plan_err!("date_trunc takes a time and a unit: date_trunc(time, MONTH)"),
        }
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [time, unit] = args.args.as_slice() else {
            return exec_err!("date_trunc takes a time and a unit");
        };
        let given = time.data_type();
        let with_time = match given {
            DataType::Date32 => DataType::Timestamp(TimeUnit::Microsecond, None),
            ref other => other.clone(),
        };
        let time = cast(&time.to_array(rows)?, &with_time)?;
        args.args = vec![unit.clone(), ColumnarValue::Array(time)];
        args.arg_fields.swap(0, 1);
        args.arg_fields[1] = Arc::new(Field::new("time", with_time.clone(), true));
        args.return_field = Arc::new(Field::new("time", with_time, true));
        let cut_off = self.date_trunc.invoke_with_args(args)?.to_array(rows)?;
        Ok(ColumnarValue::Array(cast(&cut_off, &given)?))
    }
}
