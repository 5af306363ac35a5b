//! Functions whose result is as long as an argument says: `lpad(text, n)`, `repeat`, `array_repeat`, `generate_series` and their like.
//!
//! DataFusion makes room for all of it at once. One record that says billions takes the memory of the machine, or more than there can be, and its
//! process with it, at each start anew. So such a row fails, as one does that divides by zero.

use super::rowwise::RESULT_BYTES_MAX;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    TimeUnit, TimestampNanosecondType,
};
use datafusion::common::{Result, exec_err};
use datafusion::functions::{string, unicode};
use datafusion::functions_nested::{range, repeat, resize};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// Bytes of a text, or elements of a list, that one of these functions makes at most.
const LENGTH_MAX: u128 = RESULT_BYTES_MAX as u128;
/// The same of all rows of a batch: an array of texts holds little more. Fewer rows are tried where a batch fails.
const LENGTH_OF_BATCH_MAX: u128 = 64 * LENGTH_MAX;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let of = |native, length| Arc::new(ScalarUDF::from(Bounded(native, length)));
    vec![
        of(unicode::lpad(), Length::Said),
        of(unicode::rpad(), Length::Said),
        of(string::repeat(), Length::Times),
        of(repeat::array_repeat_udf(), Length::Said),
        of(resize::array_resize_udf(), Length::Said),
        of(range::range_udf(), Length::Steps),
        of(range::gen_series_udf(), Length::Steps),
    ]
}

/// How the arguments say what length the result has.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
enum Length {
    /// It is the second one.
    Said,
    /// As many times the first one as the second one says.
    Times,
    /// As many steps as lie between a beginning and an end.
    Steps,
}

/// DataFusion's function, for results of up to [`LENGTH_MAX`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded(Arc<ScalarUDF>, Length);

impl ScalarUDFImpl for Bounded {
    scalar_as_native!();
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Constants are one row.
        let is_constant = args
            .args
            .iter()
            .all(|it| matches!(it, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|it| it.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let telling = &arrays[..arrays.len().min(self.1.arguments())];
        let mut of_batch = 0;
        for row in (0..rows).filter(|row| telling.iter().all(|it| it.is_valid(*row))) {
            let length = self.1.of(&arrays, row);
            of_batch += length;
            if LENGTH_MAX < length || (1 < rows && LENGTH_OF_BATCH_MAX < of_batch) {
                return exec_err!(
                    "{} makes at most {LENGTH_MAX} bytes or elements",
                    self.name()
                );
            }
        }
        self.0.invoke_with_args(args)
    }
}

impl Length {
    /// How many arguments tell it.
    fn arguments(self) -> usize {
        match self {
            Length::Said | Length::Times => 2,
            Length::Steps => 3,
        }
    }

    /// The length of the result for a row without NULLs. What a function does not take is for itself to refuse.
    fn of(self, arguments: &[ArrayRef], row: usize) -> u128 {
        let integer = |at: usize| match arguments.get(at).map(|it| it.data_type()) {
            Some(DataType::Int64) => Some(arguments[at].as_primitive::<Int64Type>().value(row)),
            _ => None,
        };
        let said = || {
            integer(1)
                .and_then(|it| u128::try_from(it).ok())
                .unwrap_or(0)
        };
        match self {
            Length::Said => said(),
            Length::Times => said() * bytes_of(&arguments[0], row),
            Length::Steps => match (integer(0), integer(1), integer(2)) {
                (Some(end), None, _) => steps(0, end.into(), 1),
                (Some(start), Some(end), step) => {
                    steps(start.into(), end.into(), step.unwrap_or(1).into())
                }
                (None, ..) => steps_of_time(arguments, row),
            },
        }
    }
}

/// The bytes of a text.
fn bytes_of(texts: &ArrayRef, row: usize) -> u128 {
    let bytes = match texts.data_type() {
        DataType::Utf8 => texts.as_string::<i32>().value(row).len(),
        DataType::LargeUtf8 => texts.as_string::<i64>().value(row).len(),
        DataType::Utf8View => texts.as_string_view().value(row).len(),
        _ => 1,
    };
    bytes as u128
}

/// How many values there are from a start to an end, both of them included.
fn steps(start: i128, end: i128, step: i128) -> u128 {
    let is_empty = step == 0 || (0 < step && end < start) || (step < 0 && start < end);
    match is_empty {
        true => 0,
        false => start.abs_diff(end) / step.unsigned_abs() + 1,
    }
}

/// The same of times, with months of 28 days.
fn steps_of_time(arguments: &[ArrayRef], row: usize) -> u128 {
    const DAY_NS: i128 = 86_400_000_000_000;
    let ns = |at: usize| -> Option<i128> {
        let array = arguments.get(at)?;
        match array.data_type() {
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().value(row);
                Some(i128::from(days) * DAY_NS)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let ns = array.as_primitive::<TimestampNanosecondType>().value(row);
                Some(ns.into())
            }
            DataType::Interval(_) => {
                let step = array.as_primitive_opt::<IntervalMonthDayNanoType>()?;
                let IntervalMonthDayNano {
                    months,
                    days,
                    nanoseconds,
                } = step.value(row);
                let days = i128::from(months) * 28 + i128::from(days);
                Some(days * DAY_NS + i128::from(nanoseconds))
            }
            _ => None,
        }
    };
    match (ns(0), ns(1), ns(2)) {
        (Some(start), Some(end), Some(step)) => steps(start, end, step),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::query;
    use datafusion::prelude::SessionContext;

    /// What the rows of a query are: their number, or why there are none.
    async fn made(expression: &str) -> Result<usize, String> {
        let context = SessionContext::new_with_state(query::functions_session());
        let sql = format!(
            "SELECT {expression} AS made FROM (VALUES (CAST(9223372036854775807 AS BIGINT)), (3000000000), (-1), (3), (NULL)) AS v(n)"
        );
        let frame = context.sql(&sql).await.map_err(|it| it.to_string())?;
        let batches = frame.collect().await.map_err(|it| it.to_string())?;
        Ok(batches.iter().map(|it| it.num_rows()).sum())
    }

    #[tokio::test]
    async fn a_row_that_wants_billions_fails() {
        for (call, function) in [
            ("lpad('ab', {n}, 'x')", "lpad"),
            ("rpad('ab', {n})", "rpad"),
            ("repeat('ab', {n})", "repeat"),
            ("array_repeat(1, {n})", "array_repeat"),
            ("list_repeat(1, {n})", "array_repeat"),
            ("array_resize([1], abs({n}))", "array_resize"),
            ("array_resize([1], abs({n}), NULL)", "array_resize"),
            ("generate_series(1, {n})", "generate_series"),
            ("generate_series({n}, 5, -1)", "generate_series"),
            ("range({n})", "range"),
            ("range(0, {n}, 2)", "range"),
        ] {
            let error = made(&call.replace("{n}", "n")).await.unwrap_err();
            let reason = format!("{function} makes at most 16777216 bytes or elements");
            assert!(error.contains(&reason), "{call}: {error}");
            let short = call.replace("{n}", "nullif(least(n, 100), -1)");
            assert_eq!(made(&short).await, Ok(5), "{short}");
        }
    }

    #[test]
    fn steps_are_counted() {
        assert_eq!(steps(1, 3, 1), 3);
        assert_eq!(steps(3, 1, -2), 2);
        assert_eq!((steps(3, 1, 1), steps(1, 3, -1), steps(1, 3, 0)), (0, 0, 0));
        let (least, greatest) = (i128::from(i64::MIN), i128::from(i64::MAX));
        assert_eq!(steps(least, greatest, 1), 1 << 64);
    }
}
