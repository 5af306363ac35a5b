//! The functions that exist both in maintained views and in ad-hoc queries, with one meaning.
//!
//! Windows are plain functions of the event time once `TUMBLE(…)` has been rewritten. Sums, means, deviations and percentiles add up
//! in the engine's own numbers, so a query over the lake gives what the live view gives, to the last bit.

/// What an aggregate that takes the place of a `native` one has of it: name, arguments and result. The order of rows makes no difference to
/// ours.
macro_rules! known_as_native {
    () => {
        fn name(&self) -> &str {
            self.native.name()
        }
        fn aliases(&self) -> &[String] {
            self.native.aliases()
        }
        fn signature(&self) -> &Signature {
            self.native.signature()
        }
        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
            self.native.coerce_types(types)
        }
        fn return_type(&self, types: &[DataType]) -> Result<DataType> {
            self.native.return_type(types)
        }
        fn order_sensitivity(&self) -> AggregateOrderSensitivity {
            AggregateOrderSensitivity::Insensitive
        }
        fn reverse_expr(&self) -> ReversedUDAF {
            ReversedUDAF::Identical
        }
    };
}

/// What a scalar function around a native one, its first member, has of it.
macro_rules! scalar_as_native {
    () => {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn aliases(&self) -> &[String] {
            self.0.aliases()
        }
        fn signature(&self) -> &Signature {
            self.0.signature()
        }
        fn return_type(&self, types: &[DataType]) -> Result<DataType> {
            self.0.return_type(types)
        }
        fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
            self.0.return_field_from_args(args)
        }
    };
}

mod cut_off;
mod extremes;
mod familiar;
pub mod in_force;
pub mod instants;
mod json;
mod json_edited;
mod json_made;
mod lengths;
mod mode;
mod number_text;
mod numbers;
mod of_bytes;
mod ordered;
mod pairs;
mod percentile;
mod reduce;
mod replacements;
mod rowwise;
mod score;
mod session;
mod shifts;
mod struct_values;
mod sums;
mod texts;
mod to_char;
mod urls;
mod zones;

pub use cut_off::DATE_TRUNC_OF;
pub use number_text::{NUMBER_TEXT, NumberPattern};
pub use percentile::PERCENTILE;
pub use score::{SCORE, wants};
pub use struct_values::VALUE_OF;
pub use to_char::{Pattern, left_out};
pub use zones::{INSTANT_OF, LOCAL_TIME};

use super::asof::AS_OF;
use super::casts::NamedCast;
use crate::plan::{ADMITTED, EARLY_US, TUMBLE_END, TUMBLE_START, WINDOW_BOUND};
use arrow::array::{
    Array, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, FieldRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, Expr, ExprSchemable, HigherOrderUDF, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, WindowUDF,
};
use std::cell::Cell;
use std::sync::Arc;

/// Name of the marker for "the last so many microseconds of the view's clock".
pub const WITHIN_LAST: &str = "within_last";

/// Names of the markers of comparisons with `now()`: `time + add µs <= now()`, and `now() < time + add µs`.
pub const NOW_REACHED: &str = "now_reached";
pub const NOW_BEFORE: &str = "now_before";

/// Whether a function stands for a comparison with `now()`.
pub fn is_of_now(name: &str) -> bool {
    [WITHIN_LAST, NOW_REACHED, NOW_BEFORE].contains(&name)
}

/// The function of a comparison with `now()`, as of a time.
pub(super) fn of_now_at(name: &str, now_us: i64) -> Option<ScalarUDF> {
    match name {
        WITHIN_LAST => Some(ScalarUDF::from(WithinLast::at(now_us))),
        NOW_REACHED => Some(ScalarUDF::from(NowBound::at(NOW_REACHED, now_us))),
        NOW_BEFORE => Some(ScalarUDF::from(NowBound::at(NOW_BEFORE, now_us))),
        _ => None,
    }
}

/// All aggregates of ours.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut all = sums::all();
    all.extend(extremes::all());
    all.extend(ordered::all());
    all.extend(pairs::all());
    all.push(mode::mode());
    all.push(percentile::percentile());
    all
}

/// All window functions of ours.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    session::all().into_iter().chain(shifts::all()).collect()
}

/// All scalar functions of ours.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![
        Arc::new(ScalarUDF::from(WindowBound::new(TUMBLE_START, false))),
        Arc::new(ScalarUDF::from(WindowBound::new(TUMBLE_END, true))),
        Arc::new(ScalarUDF::from(SteppedBound::new())),
        Arc::new(ScalarUDF::from(WithinLast::new())),
        Arc::new(ScalarUDF::from(NowBound::new(NOW_REACHED))),
        Arc::new(ScalarUDF::from(NowBound::new(NOW_BEFORE))),
        Arc::new(ScalarUDF::from(Admitted::new())),
        Arc::new(ScalarUDF::from(AsOf::new())),
        Arc::new(ScalarUDF::from(IpClass::new())),
        Arc::new(ScalarUDF::from(NamedCast::new())),
        Arc::new(score::score()),
        date_part(),
        date_trunc(),
        replacements::regexp_replace(),
        cut_off::date_trunc_of(date_trunc()),
        Arc::new(ScalarUDF::from(to_char::to_char())),
        Arc::new(ScalarUDF::from(to_char::date_format())),
        number_text::number_text(),
        struct_values::value_of(),
    ];
    all.extend(familiar::all());
    all.extend(json::all());
    all.extend(json_made::all());
    all.extend(lengths::all());
    all.extend(of_bytes::all());
    all.extend(zones::all());
    let rowwise = json_edited::all()
        .into_iter()
        .chain(urls::all())
        .chain(texts::all())
        .chain(numbers::all());
    all.extend(rowwise.map(rowwise::Rowwise::function));
    all
}

/// All functions of ours that take lambdas.
pub fn functions_of_lambdas() -> Vec<Arc<HigherOrderUDF>> {
    vec![Arc::new(reduce::reduce())]
}

fn date_trunc() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DateTrunc(
        datafusion::functions::datetime::date_trunc(),
    )))
}

/// `date_part`, by which EXTRACT is computed too.
pub fn date_part() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DatePart(
        datafusion::functions::datetime::date_part(),
    )))
}

fn utc_micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// `tumble_start(time, size in µs)` and `tumble_end(…)`: windows are aligned to 1970 in UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowBound {
    name: &'static str,
    end: bool,
    signature: Signature,
}

impl WindowBound {
    fn new(name: &'static str, end: bool) -> Self {
        let signature =
            Signature::exact(vec![utc_micros(), DataType::Int64], Volatility::Immutable);
        WindowBound {
            name,
            end,
            signature,
        }
    }
}

impl ScalarUDFImpl for WindowBound {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(utc_micros())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [times, ColumnarValue::Scalar(ScalarValue::Int64(Some(size)))] = args.args.as_slice()
        else {
            return exec_err!("{} takes a time and a constant window size", self.name);
        };
        let size = *size;
        if size <= 0 {
            return exec_err!("{}: a window must be longer than nothing", self.name);
        }
        let times = times.to_array(args.number_rows)?;
        let add = if self.end { size } else { 0 };
        // Neighbours mostly share a window, and a comparison is cheaper than a division.
        let start = Cell::new(0);
        let bounds: TimestampMicrosecondArray = times
            .as_primitive::<TimestampMicrosecondType>()
            .unary(|it| {
                if it.wrapping_sub(start.get()) as u64 >= size as u64 {
                    start.set(it - it.rem_euclid(size));
                }
                start.get() + add
            });
        Ok(ColumnarValue::Array(Arc::new(bounds.with_timezone("UTC"))))
    }
}

/// `window_bound(time, step in µs, add in µs [, offset in µs])`: the last multiple of `step`, counted from `offset` after the beginning of 1970 in UTC, and
/// `add` more.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SteppedBound {
    signature: Signature,
}

impl SteppedBound {
    fn new() -> Self {
        let types = [2, 3].map(|numbers| {
            let numbers = std::iter::repeat_n(DataType::Int64, numbers);
            TypeSignature::Exact(std::iter::once(utc_micros()).chain(numbers).collect())
        });
        SteppedBound {
            signature: Signature::one_of(types.to_vec(), Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for SteppedBound {
    fn name(&self) -> &str {
        WINDOW_BOUND
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(utc_micros())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number = |at: usize| match args.args.get(at) {
            Some(ColumnarValue::Scalar(ScalarValue::Int64(it))) => *it,
            _ => None,
        };
        let (Some(times), Some(step), Some(add)) = (args.args.first(), number(1), number(2)) else {
            return exec_err!("{WINDOW_BOUND} takes a time and two or three constants");
        };
        let offset = number(3).unwrap_or(0);
        if step <= 0 {
            return exec_err!("{WINDOW_BOUND}: a step must be longer than nothing");
        }
        let times = times.to_array(args.number_rows)?;
        let bounds: TimestampMicrosecondArray = times
            .as_primitive::<TimestampMicrosecondType>()
            .unary(|it| {
                let behind = it.saturating_sub(offset).rem_euclid(step);
                it.saturating_sub(behind).saturating_add(add)
            });
        Ok(ColumnarValue::Array(Arc::new(bounds.with_timezone("UTC"))))
    }
}

/// DataFusion's `date_part`, with a short way for the parts of the day and week of UTC timestamps: they are plain arithmetic,
/// while the general way asks a table of time zones for every row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart(Arc<ScalarUDF>);

const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

/// The part of an instant in microseconds, if it is one that needs no calendar.
fn part_of_day(part: &str) -> Option<fn(i64) -> i32> {
    Some(match part.to_ascii_lowercase().as_str() {
        "hour" => |us| (us.rem_euclid(DAY_US) / (3_600 * SECOND_US)) as i32,
        "minute" => |us| (us.rem_euclid(3_600 * SECOND_US) / (60 * SECOND_US)) as i32,
        "second" => |us| (us.rem_euclid(60 * SECOND_US) / SECOND_US) as i32,
        // 1 January 1970 was a Thursday, and Sunday is 0.
        "dow" => |us| (us.div_euclid(DAY_US) + 4).rem_euclid(7) as i32,
        _ => return None,
    })
}

/// The part of a length of time in microseconds, as Postgres takes it of an interval: what is left beside longer units, of the sign of the whole.
fn part_of_length(part: &str) -> Option<fn(i64) -> i64> {
    let part = part.to_ascii_lowercase();
    let singular = part.strip_suffix('s').filter(|it| 1 < it.len());
    Some(match singular.unwrap_or(&part) {
        "day" => |us| us / DAY_US,
        "hour" => |us| us % DAY_US / (3_600 * SECOND_US),
        "minute" => |us| us % (3_600 * SECOND_US) / (60 * SECOND_US),
        "second" => |us| us % (60 * SECOND_US) / SECOND_US,
        "millisecond" => |us| us % (60 * SECOND_US) / 1_000,
        "microsecond" => |us| us % (60 * SECOND_US),
        _ => return None,
    })
}

/// A part of lengths of time, if it is one that they have.
fn of_lengths(part: &str, lengths: &dyn Array) -> Result<Option<ColumnarValue>> {
    let micros = DataType::Duration(TimeUnit::Microsecond);
    let in_micros = || cast_with_options(lengths, &micros, &STRICT);
    if part.eq_ignore_ascii_case("epoch") {
        let lengths = in_micros()?;
        let lengths = lengths.as_primitive::<DurationMicrosecondType>();
        let seconds: Float64Array = lengths.unary(|us| us as f64 / SECOND_US as f64);
        return Ok(Some(ColumnarValue::Array(Arc::new(seconds))));
    }
    let Some(of) = part_of_length(part) else {
        return Ok(None);
    };
    let lengths = in_micros()?;
    let lengths = lengths.as_primitive::<DurationMicrosecondType>();
    let parts: Int32Array = lengths.try_unary(|us| {
        let part = i32::try_from(of(us));
        part.map_err(|_| exec_datafusion_err!("{us} µs are more days than an INT holds"))
    })?;
    Ok(Some(ColumnarValue::Array(Arc::new(parts))))
}

impl ScalarUDFImpl for DatePart {
    scalar_as_native!();
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [ColumnarValue::Scalar(part), value] = args.args.as_slice()
            && matches!(value.data_type(), DataType::Duration(_))
            && let Some(part) = part.try_as_str().flatten()
            && let Some(parts) = of_lengths(part, &value.to_array(args.number_rows)?)?
        {
            return Ok(parts);
        }
        if let [ColumnarValue::Scalar(part), ColumnarValue::Array(times)] = args.args.as_slice()
            && *times.data_type() == utc_micros()
            && let Some(of) = part.try_as_str().flatten().and_then(part_of_day)
        {
            let parts: Int32Array = times.as_primitive::<TimestampMicrosecondType>().unary(of);
            return Ok(ColumnarValue::Array(Arc::new(parts)));
        }
        self.0.invoke_with_args(args)
    }
}

/// DataFusion's `date_trunc`, and with it decades, centuries and millenniums, as Postgres counts them: a decade begins with a year that ends
/// in 0, a century and a millennium with one that ends in 1.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc(Arc<ScalarUDF>);

/// The first year of the decade, century or millennium of a year.
fn first_year(unit: &str) -> Option<fn(i32) -> i32> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "decade" => |year| year - year.rem_euclid(10),
        "century" => |year| year - (year - 1).rem_euclid(100),
        "millennium" => |year| year - (year - 1).rem_euclid(1000),
        _ => return None,
    })
}

impl ScalarUDFImpl for DateTrunc {
    scalar_as_native!();
    fn output_ordering(
        &self,
        input: &[datafusion::logical_expr::sort_properties::ExprProperties],
    ) -> Result<datafusion::logical_expr::sort_properties::SortProperties> {
        self.0.output_ordering(input)
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unit = match args.args.first() {
            Some(ColumnarValue::Scalar(it)) => it.try_as_str().flatten().and_then(first_year),
            _ => None,
        };
        let Some(first_year) = unit else {
            return self.0.invoke_with_args(args);
        };
        let rows = args.number_rows;
        args.args[0] = ColumnarValue::from(ScalarValue::from("year"));
        let years = self.0.invoke_with_args(args)?.to_array(rows)?;
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let firsts: TimestampMicrosecondArray = cast_with_options(&years, &micros, &STRICT)?
            .as_primitive::<TimestampMicrosecondType>()
            .unary_opt(|us| {
                use chrono::Datelike;
                let year = chrono::DateTime::from_timestamp_micros(us)?.year();
                let first = chrono::NaiveDate::from_ymd_opt(first_year(year), 1, 1)?;
                Some(
                    first
                        .and_time(chrono::NaiveTime::MIN)
                        .and_utc()
                        .timestamp_micros(),
                )
            });
        let firsts = cast_with_options(&firsts, years.data_type(), &STRICT)?;
        Ok(ColumnarValue::Array(firsts))
    }
}

/// A cast that fails rather than to give NULL.
const STRICT: CastOptions = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// The UTC date of an instant: what a cast of one to a date gives, without asking a table of time zones for every row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UtcDate(Signature);

/// An expression in which casts between UTC timestamps, dates and timestamps without a zone are made the short way.
///
/// # Errors
/// If a column of the expression is not in the schema.
pub(super) fn with_short_casts(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let date = ScalarUDF::from(UtcDate(Signature::exact(
        vec![utc_micros()],
        Volatility::Immutable,
    )));
    let time = ScalarUDF::from(UtcTimestamp(Signature::any(1, Volatility::Immutable)));
    let changed = expr.transform_up(|it| {
        let Expr::Cast(cast) = it else {
            return Ok(Transformed::no(it));
        };
        let from = cast.expr.get_type(schema)?;
        let short = match (&from, cast.field.data_type()) {
            (from, DataType::Date32) if *from == utc_micros() => &date,
            (DataType::Timestamp(_, None), to) if *to == utc_micros() => &time,
            _ => return Ok(Transformed::no(Expr::Cast(cast))),
        };
        Ok(Transformed::yes(short.call(vec![*cast.expr])))
    });
    changed.map(|it| it.data)
}

/// A timestamp without a zone as the instant in UTC: what a cast gives, without asking a table of time zones for every row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UtcTimestamp(Signature);

impl ScalarUDFImpl for UtcTimestamp {
    fn name(&self) -> &str {
        "utc_timestamp"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(utc_micros())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let micros = cast_with_options(&times, &micros, &strict)?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>().clone();
        Ok(ColumnarValue::Array(Arc::new(micros.with_timezone("UTC"))))
    }
}

impl ScalarUDFImpl for UtcDate {
    fn name(&self) -> &str {
        "utc_date"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        let dates: Date32Array = times
            .as_primitive::<TimestampMicrosecondType>()
            .unary(|us| us.div_euclid(DAY_US) as i32);
        Ok(ColumnarValue::Array(Arc::new(dates)))
    }
}

/// `now()` of a sliding range counts in so many steps of its size, each as long as an epoch or longer.
const LAST_STEPS: i64 = 600;
const LAST_STEP_MIN_US: i64 = 100_000;

/// How finely `now()` counts in a sliding range of a size, in microseconds.
pub fn last_step_us(size_us: i64) -> i64 {
    (size_us / LAST_STEPS).max(LAST_STEP_MIN_US)
}

/// `now()` of a sliding range of a size, at some event time.
pub fn last_now_us(now_us: i64, size_us: i64) -> i64 {
    now_us.saturating_sub(now_us.rem_euclid(last_step_us(size_us)))
}

/// `within_last(time, size in µs)`: what `time > now() - INTERVAL …` becomes in a view. In a maintained view it never runs; the
/// engine takes it out of the filter and lets records leave when their time is up. In a batch it runs as of one time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithinLast {
    now_us: Option<i64>,
    signature: Signature,
}

impl WithinLast {
    fn new() -> Self {
        WithinLast {
            now_us: None,
            signature: Signature::exact(vec![utc_micros(), DataType::Int64], Volatility::Immutable),
        }
    }

    /// The function as of a time.
    fn at(now_us: i64) -> Self {
        WithinLast {
            now_us: Some(now_us),
            ..WithinLast::new()
        }
    }
}

impl ScalarUDFImpl for WithinLast {
    fn name(&self) -> &str {
        WITHIN_LAST
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(now_us) = self.now_us else {
            return exec_err!(
                "a comparison with now() stands in the WHERE of a materialized view, joined by AND: WHERE at > now() - INTERVAL '1' HOUR"
            );
        };
        let [
            times,
            ColumnarValue::Scalar(ScalarValue::Int64(Some(size_us))),
        ] = args.args.as_slice()
        else {
            return exec_err!("{WITHIN_LAST} takes a time and a constant size");
        };
        let times = times.to_array(args.number_rows)?;
        let step_us = last_step_us(*size_us);
        let oldest_us = last_now_us(now_us, *size_us).saturating_sub(*size_us);
        let newest_us = now_us.saturating_add(*size_us).saturating_add(EARLY_US);
        let within: BooleanArray = times
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .map(|it| {
                // A record that is ahead waits until the step in which it will leave is near enough.
                let is_early = |it: i64| {
                    let up_us = it.saturating_add(*size_us);
                    let leaves_us = up_us.saturating_add((-up_us).rem_euclid(step_us));
                    newest_us < leaves_us
                };
                it.map(|it| oldest_us < it && !is_early(it))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(within)))
    }
}

/// `now_reached(time, add in µs)` and `now_before(…)`: what comparisons of a time with `now()` become in a view. In a maintained view they never
/// run; the engine takes them out of the filter. In a batch they run as of one time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NowBound {
    name: &'static str,
    now_us: Option<i64>,
    signature: Signature,
}

impl NowBound {
    fn new(name: &'static str) -> Self {
        NowBound {
            name,
            now_us: None,
            signature: Signature::exact(vec![utc_micros(), DataType::Int64], Volatility::Immutable),
        }
    }

    fn at(name: &'static str, now_us: i64) -> Self {
        NowBound {
            now_us: Some(now_us),
            ..NowBound::new(name)
        }
    }
}

impl ScalarUDFImpl for NowBound {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(now_us) = self.now_us else {
            return exec_err!(
                "a comparison with now() stands in the WHERE of a materialized view, joined by AND: WHERE at > now() - INTERVAL '1' HOUR"
            );
        };
        let [
            times,
            ColumnarValue::Scalar(ScalarValue::Int64(Some(add_us))),
        ] = args.args.as_slice()
        else {
            return exec_err!("{} takes a time and a constant number", self.name);
        };
        let times = times.to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let holds = |it: i64| (it.saturating_add(*add_us) <= now_us) == (self.name == NOW_REACHED);
        let holds: BooleanArray = times.iter().map(|it| it.map(holds)).collect();
        Ok(ColumnarValue::Array(Arc::new(holds)))
    }
}

/// `admitted(time of a record)` or `admitted(end of a window, its length in microseconds)`: what holds of the records that a window takes in.
/// In a maintained view it never runs; the engine takes it out of the filter and decides by the clock. In a batch the marks of late records have decided before, and what is left
/// out is in no window: it has no time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Admitted {
    signature: Signature,
}

impl Admitted {
    fn new() -> Self {
        Admitted {
            signature: Signature::one_of(
                vec![
                    TypeSignature::Exact(vec![utc_micros()]),
                    TypeSignature::Exact(vec![utc_micros(), DataType::Int64]),
                ],
                Volatility::Immutable,
            ),
        }
    }
}

impl ScalarUDFImpl for Admitted {
    fn name(&self) -> &str {
        ADMITTED
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ends = args.args[0].to_array(args.number_rows)?;
        let has_end = arrow::compute::is_not_null(&ends)?;
        Ok(ColumnarValue::Array(Arc::new(has_end)))
    }
}

/// `asof(condition)`: the condition, which says that a row on the right of an ASOF join holds at the time of one on its left.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsOf {
    signature: Signature,
}

impl AsOf {
    fn new() -> Self {
        AsOf {
            signature: Signature::exact(vec![DataType::Boolean], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for AsOf {
    fn name(&self) -> &str {
        AS_OF
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

/// `ip_class(address)`: `internal` for loopback, link-local and the private ranges 10/8, 172.16/12, 192.168/16 (RFC 1918) and IPv6
/// fc00::/7 (RFC 4193); `external` for any other address; null for what is none.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IpClass {
    signature: Signature,
}

impl IpClass {
    fn new() -> Self {
        IpClass {
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for IpClass {
    fn name(&self) -> &str {
        "ip_class"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let addresses = args.args[0].to_array(args.number_rows)?;
        let addresses = addresses.as_string::<i32>();
        let mut classes = StringBuilder::with_capacity(addresses.len(), addresses.len() * 8);
        for address in addresses {
            classes.append_option(address.and_then(class_of_address));
        }
        Ok(ColumnarValue::Array(Arc::new(classes.finish())))
    }
}

/// The class of one address in text form.
pub fn class_of_address(address: &str) -> Option<&'static str> {
    use std::net::IpAddr;
    let internal = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(it) => it.is_private() || it.is_loopback() || it.is_link_local(),
        IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local(),
    };
    Some(if internal { "internal" } else { "external" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, TimestampMillisecondArray};
    use arrow::compute::cast;
    use arrow::record_batch::RecordBatch;
    use datafusion::common::ToDFSchema;
    use datafusion::execution::context::SessionContext;
    use datafusion::logical_expr::{cast as cast_to, col};

    #[test]
    fn parts_of_lengths_are_those_of_intervals() {
        let us = -(3 * DAY_US + 2 * 3_600 * SECOND_US + 67 * SECOND_US + 873_460);
        let lengths = arrow::array::DurationMicrosecondArray::from(vec![Some(us), None]);
        let of = |part: &str| {
            let value = of_lengths(part, &lengths).unwrap().expect(part);
            let array = value.into_array(2).unwrap();
            assert!(array.is_null(1));
            let text = arrow::util::display::array_value_to_string(&array, 0);
            text.unwrap()
        };
        for (part, wanted) in [
            ("EPOCH", "-266467.87346"),
            ("day", "-3"),
            ("hour", "-2"),
            ("minute", "-1"),
            ("second", "-7"),
            ("millisecond", "-7873"),
            ("microsecond", "-7873460"),
        ] {
            assert_eq!(of(part), wanted, "{part}");
        }
        assert!(of_lengths("year", &lengths).unwrap().is_none());
    }

    #[test]
    fn short_casts_give_what_casts_give() {
        let times: TimestampMillisecondArray =
            vec![None, Some(-86_400_001), Some(0), Some(1_767_225_600_123)].into();
        let times: ArrayRef = Arc::new(times);
        let batch = RecordBatch::try_from_iter([("t", Arc::clone(&times))]).unwrap();
        let schema = batch.schema().to_dfschema().unwrap();
        let instant = cast(&times, &utc_micros()).unwrap();
        for (expr, wanted) in [
            (cast_to(col("t"), utc_micros()), Arc::clone(&instant)),
            (
                cast_to(cast_to(col("t"), utc_micros()), DataType::Date32),
                cast(&instant, &DataType::Date32).unwrap(),
            ),
        ] {
            let short = with_short_casts(expr.clone(), &schema).unwrap();
            assert_ne!(short, expr);
            let physical = SessionContext::new()
                .state()
                .create_physical_expr(short, &schema)
                .unwrap();
            let got = physical.evaluate(&batch).unwrap().into_array(4).unwrap();
            assert_eq!(&got, &wanted);
        }
    }
}
