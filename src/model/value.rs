//! The one row type: values that order, hash and travel, and their way from and to Arrow.
//!
//! Rows exist only where records have already become few: keys, aggregates, views. Before that,
//! everything stays in Arrow batches.

use super::decimal::Decimal;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Float64Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray,
    RecordBatch, StringBuilder, StructArray, Time64MicrosecondBuilder, TimestampMicrosecondArray,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, FieldRef, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    SchemaRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
pub use arrow::error::ArrowError;
use compact_str::CompactString;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A 64-bit float with a total order, so that it can be a key. Negative zero is zero, every NaN is
/// the same one and sorts last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Float(f64);

impl Float {
    pub fn new(value: f64) -> Float {
        if value == 0.0 {
            Float(0.0)
        } else if value.is_nan() {
            Float(f64::NAN)
        } else {
            Float(value)
        }
    }

    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Float {}
impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// One value of a row. Integers of every width are `Int`; the schema says how they leave again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(Float),
    /// In place up to 24 bytes, as most keys are.
    Text(CompactString),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
    /// Boxed, since it is the widest by far and not frequent.
    Decimal(Box<Decimal>),
    Bytes(Box<[u8]>),
    /// Microseconds since midnight.
    Time(i64),
    Interval(Interval),
    List(#[serde(deserialize_with = "nested")] Box<[Value]>),
    /// Names and values of its fields, in the order of the type.
    Struct(#[serde(deserialize_with = "nested")] Box<[(Box<str>, Value)]>),
}

/// Lists and structs within each other; types of columns are far from it.
const DEPTH_MAX: usize = 128;

thread_local! {
    /// How many lists and structs are being read within each other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Reads what may have values within it. Each level is a call within another, so bytes that go on for ever would use up the stack.
fn nested<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    struct Level;
    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _level = Level;
    match DEPTH.get() <= DEPTH_MAX {
        true => T::deserialize(from),
        false => Err(serde::de::Error::custom(format_args!(
            "more than {DEPTH_MAX} lists within each other"
        ))),
    }
}

/// A length of time as calendars count it: a month has no fixed number of days, and a day none of hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub nanoseconds: i64,
}

/// A tuple of a view. Clones share its values: the snapshot, the ring of changes, the view's table and all readers of a process hold each
/// row once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub Arc<[Value]>);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of values")
    }

    /// Rows of one value are the keys of most groups, of which a start reads millions: nothing is copied for them.
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Row, A::Error> {
        match values.size_hint() {
            Some(1) => {
                let missing = || serde::de::Error::invalid_length(0, &self);
                let value = values.next_element()?.ok_or_else(missing)?;
                Ok(Row(Arc::new([value])))
            }
            _ => {
                let values = SeqAccessDeserializer::new(values);
                Vec::deserialize(values).map(|it| Row(it.into()))
            }
        }
    }
}

impl Row {
    /// The first 16 bytes of an order that agrees with that of rows: a row with a smaller beginning is less, and rows with the same one have to be
    /// compared. Many rows are sorted faster by it, since it is compared without looking for the row in memory.
    pub fn beginning(&self) -> u128 {
        let mut begun = Beginning::default();
        for value in self.0.iter() {
            if !begun.add(value) {
                break;
            }
        }
        u128::from_be_bytes(begun.bytes)
    }
}

/// Bytes that order like values, as many as there is room for.
#[derive(Default)]
struct Beginning {
    bytes: [u8; 16],
    length: usize,
}

impl Beginning {
    /// Adds a value; false if what comes behind it must not be added. A row that ends is less than any that goes on, as no kind of value is 0.
    fn add(&mut self, value: &Value) -> bool {
        let signed = |it: i64| (it as u64 ^ 1 << 63).to_be_bytes();
        let kind = match value {
            Value::Null => return self.push(&[1]),
            Value::Bool(it) => return self.push(&[2, u8::from(*it)]),
            Value::Int(it) => return self.push(&[3]) && self.push(&signed(*it)),
            Value::Date(it) => return self.push(&[6]) && self.push(&signed((*it).into())),
            Value::Timestamp(it) => return self.push(&[7]) && self.push(&signed(*it)),
            Value::Time(it) => return self.push(&[10]) && self.push(&signed(*it)),
            // Of these as much is there as orders like them byte by byte, and where they end is not.
            Value::Text(it) => {
                let _ = self.push(&[5]) && self.push(it.as_bytes());
                return false;
            }
            Value::Bytes(it) => {
                let _ = self.push(&[9]) && self.push(it);
                return false;
            }
            Value::Float(_) => 4,
            Value::Decimal(_) => 8,
            Value::Interval(_) => 11,
            Value::List(_) => 12,
            Value::Struct(_) => 13,
        };
        self.push(&[kind]);
        false
    }

    /// Adds bytes; false if there is no room for more.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let room = &mut self.bytes[self.length..];
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        self.length < self.bytes.len()
    }
}

/// One column that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Order {
    /// Which of two values of the column comes first.
    pub fn compare(&self, a: &Value, b: &Value) -> Ordering {
        match (a, b) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) if self.nulls_first => Ordering::Less,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) if self.nulls_first => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (a, b) if self.descending => b.cmp(a),
            (a, b) => a.cmp(b),
        }
    }

    /// Which of two rows comes first by several columns, the first of them before all others.
    pub fn compare_rows(order: &[Order], a: &Row, b: &Row) -> Ordering {
        let by_each = order
            .iter()
            .map(|it| it.compare(&a.0[it.column], &b.0[it.column]));
        by_each.fold(Ordering::Equal, Ordering::then)
    }
}

impl Value {
    /// As JSON: timestamps, dates and times are ISO strings, intervals ISO durations, decimals the text of their digits, since a JSON number
    /// would be read as a float; bytes are the text they are, else `\\x` and hexadecimal digits; lists are arrays and structs objects. The floats
    /// that JSON has no numbers for are the strings `NaN`, `Infinity` and `-Infinity`, so that null is NULL alone.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null => Json::Null,
            Value::Bool(it) => Json::Bool(*it),
            Value::Int(it) => Json::from(*it),
            Value::Float(it) => match serde_json::Number::from_f64(it.get()) {
                Some(number) => Json::Number(number),
                None if it.get().is_nan() => Json::from("NaN"),
                None if it.get() < 0.0 => Json::from("-Infinity"),
                None => Json::from("Infinity"),
            },
            Value::Text(it) => Json::String(it.to_string()),
            Value::Date(days) => Json::String(date_text(*days)),
            Value::Timestamp(micros) => Json::String(super::iso_of_micros(*micros)),
            Value::Decimal(it) => Json::String(it.to_string()),
            Value::Bytes(it) => Json::String(text_of_bytes(it)),
            Value::Time(micros) => Json::String(time_text(*micros)),
            Value::Interval(it) => Json::String(it.to_string()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Struct(fields) => {
                let fields = fields.iter();
                Json::Object(
                    fields
                        .map(|it| (it.0.to_string(), it.1.to_json()))
                        .collect(),
                )
            }
        }
    }

    /// The number in it, for comparisons across integer and float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(it) => Some(*it as f64),
            Value::Float(it) => Some(it.get()),
            Value::Decimal(it) => Some(it.to_f64()),
            _ => None,
        }
    }

    /// The whole number in it.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(it) | Value::Timestamp(it) => Some(*it),
            _ => None,
        }
    }
}

fn date_text(days: i32) -> String {
    chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0).map_or_else(
        || format!("day {days}"),
        |it| it.format("%Y-%m-%d").to_string(),
    )
}

/// `13:05:00`, with what there is of a second.
pub fn time_text(micros: i64) -> String {
    let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let whole = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    match rest {
        0 => whole,
        rest => format!("{whole}.{rest:06}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

/// As an ISO 8601 duration, `P1M2DT3.5S`.
impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P")?;
        if self.months != 0 {
            write!(f, "{}M", self.months)?;
        }
        if self.days != 0 {
            write!(f, "{}D", self.days)?;
        }
        let sign = if self.nanoseconds < 0 { "-" } else { "" };
        let size = self.nanoseconds.unsigned_abs();
        match (size / 1_000_000_000, size % 1_000_000_000) {
            (0, 0) if self.months != 0 || self.days != 0 => Ok(()),
            (seconds, 0) => write!(f, "T{sign}{seconds}S"),
            (seconds, rest) => {
                let rest = format!("{rest:09}");
                write!(f, "T{sign}{seconds}.{}S", rest.trim_end_matches('0'))
            }
        }
    }
}

/// The value at one place of an array. Types outside the supported set become text, as a reader
/// would print them.
pub fn value_at(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(index)),
        DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(index).into()),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(index).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(index).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(index)),
        DataType::UInt8 => Value::Int(array.as_primitive::<UInt8Type>().value(index).into()),
        DataType::UInt16 => Value::Int(array.as_primitive::<UInt16Type>().value(index).into()),
        DataType::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(index).into()),
        DataType::UInt64 => {
            let number = array.as_primitive::<UInt64Type>().value(index);
            // From 2^63 on it has no place in a signed one, and is the text of its digits.
            i64::try_from(number)
                .map_or_else(|_| Value::Text(number.to_string().into()), Value::Int)
        }
        DataType::Float32 => Value::Float(Float::new(
            array.as_primitive::<Float32Type>().value(index).into(),
        )),
        DataType::Float64 => {
            Value::Float(Float::new(array.as_primitive::<Float64Type>().value(index)))
        }
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(index).into()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(index).into()),
        DataType::Utf8View => Value::Text(array.as_string_view().value(index).into()),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(index).into()),
        DataType::LargeBinary => Value::Bytes(array.as_binary::<i64>().value(index).into()),
        DataType::BinaryView => Value::Bytes(array.as_binary_view().value(index).into()),
        DataType::FixedSizeBinary(_) => {
            Value::Bytes(array.as_fixed_size_binary().value(index).into())
        }
        DataType::Decimal128(_, scale) => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(index);
            Value::Decimal(Box::new(Decimal::new(unscaled, *scale)))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            Value::Time(array.as_primitive::<Time64MicrosecondType>().value(index))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let it = array
                .as_primitive::<IntervalMonthDayNanoType>()
                .value(index);
            Value::Interval(Interval {
                months: it.months,
                days: it.days,
                nanoseconds: it.nanoseconds,
            })
        }
        DataType::Duration(unit) => {
            let nanoseconds = match unit {
                TimeUnit::Second => array
                    .as_primitive::<DurationSecondType>()
                    .value(index)
                    .saturating_mul(1_000_000_000),
                TimeUnit::Millisecond => array
                    .as_primitive::<DurationMillisecondType>()
                    .value(index)
                    .saturating_mul(1_000_000),
                TimeUnit::Microsecond => array
                    .as_primitive::<DurationMicrosecondType>()
                    .value(index)
                    .saturating_mul(1_000),
                TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().value(index),
            };
            Value::Interval(Interval {
                months: 0,
                days: 0,
                nanoseconds,
            })
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(index);
            Value::List(
                (0..items.len())
                    .map(|it| value_at(items.as_ref(), it))
                    .collect(),
            )
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let value = |(field, column): (&FieldRef, &ArrayRef)| {
                (
                    field.name().as_str().into(),
                    value_at(column.as_ref(), index),
                )
            };
            Value::Struct(columns.map(value).collect())
        }
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(index)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Value::Timestamp(
            array
                .as_primitive::<TimestampMicrosecondType>()
                .value(index),
        ),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let keys = dictionary.normalized_keys();
            value_at(dictionary.values().as_ref(), keys[index])
        }
        _ => arrow::util::display::array_value_to_string(array, index)
            .map_or(Value::Null, |it| Value::Text(it.into())),
    }
}

/// Bytes for people: the text they are, else `\x` and their hexadecimal digits. A text that begins like these would be read as others.
fn text_of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("\\x") => text.to_owned(),
        Ok(_) | Err(_) => {
            let digits: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
            format!("\\x{digits}")
        }
    }
}

/// All rows of a batch.
pub fn rows_of_batch(batch: &RecordBatch) -> Vec<Row> {
    let columns = batch.columns();
    (0..batch.num_rows())
        .map(|index| {
            Row(columns
                .iter()
                .map(|column| value_at(column.as_ref(), index))
                .collect())
        })
        .collect()
}

/// Rows as a batch of a schema.
///
/// # Errors
/// If the schema has a type that rows cannot carry, or a null stands in a non-null column.
pub fn batch_of_rows<'a>(
    schema: &SchemaRef,
    rows: impl Iterator<Item = &'a Row> + Clone,
) -> Result<RecordBatch, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            array_of_values(field.data_type(), rows.clone().map(move |row| &row.0[at]))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.count()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// Values as an array of one type.
///
/// # Errors
/// If the type is none that rows carry.
pub fn array_of_values<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = &'a Value>,
) -> Result<ArrayRef, ArrowError> {
    let (rows, _) = values.size_hint();
    macro_rules! build {
        ($builder:expr, $pattern:pat => $value:expr) => {{
            let mut builder = $builder;
            for value in values {
                match value {
                    $pattern => builder.append_value($value),
                    _ => builder.append_null(),
                }
            }
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }};
    }
    match data_type {
        DataType::Boolean => build!(BooleanBuilder::with_capacity(rows), Value::Bool(it) => *it),
        DataType::Int64 => build!(Int64Builder::with_capacity(rows), Value::Int(it) => *it),
        DataType::Int32 => {
            let mut builder = Int32Builder::with_capacity(rows);
            for value in values {
                builder.append_option(value.as_i64().and_then(|it| i32::try_from(it).ok()));
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Float64 => {
            let mut builder = Float64Builder::with_capacity(rows);
            for value in values {
                builder.append_option(value.as_f64());
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Utf8 => build!(StringBuilder::new(), Value::Text(it) => it),
        DataType::Date32 => build!(Date32Builder::with_capacity(rows), Value::Date(it) => *it),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let mut builder = TimestampMicrosecondBuilder::with_capacity(rows);
            for value in values {
                match value {
                    Value::Timestamp(it) => builder.append_value(*it),
                    _ => builder.append_null(),
                }
            }
            Ok(Arc::new(builder.finish().with_timezone_opt(zone.clone())))
        }
        DataType::Decimal128(precision, scale) => {
            let mut builder = Decimal128Builder::with_capacity(rows);
            for value in values {
                builder.append_option(match value {
                    Value::Decimal(it) => Some(it.unscaled()),
                    _ => None,
                });
            }
            let column = builder.finish();
            Ok(Arc::new(
                column.with_precision_and_scale(*precision, *scale)?,
            ))
        }
        DataType::Binary => build!(BinaryBuilder::new(), Value::Bytes(it) => it),
        DataType::Time64(TimeUnit::Microsecond) => {
            build!(Time64MicrosecondBuilder::with_capacity(rows), Value::Time(it) => *it)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => build!(
            IntervalMonthDayNanoBuilder::new(),
            Value::Interval(it) => IntervalMonthDayNano::new(it.months, it.days, it.nanoseconds)
        ),
        DataType::List(item) => {
            let lists: Vec<Option<&[Value]>> = values
                .map(|it| match it {
                    Value::List(items) => Some(items.as_ref()),
                    _ => None,
                })
                .collect();
            let lengths = lists.iter().map(|it| it.map_or(0, <[Value]>::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let nulls: NullBuffer = lists.iter().map(Option::is_some).collect();
            let items: Vec<&Value> = lists.into_iter().flatten().flatten().collect();
            let items = array_of_values(item.data_type(), items.iter().copied())?;
            let lists = ListArray::try_new(Arc::clone(item), offsets, items, Some(nulls))?;
            Ok(Arc::new(lists))
        }
        DataType::Struct(fields) => {
            let structs: Vec<Option<&[(Box<str>, Value)]>> = values
                .map(|it| match it {
                    Value::Struct(items) => Some(items.as_ref()),
                    _ => None,
                })
                .collect();
            let nulls: NullBuffer = structs.iter().map(Option::is_some).collect();
            let columns = fields.iter().enumerate().map(|(at, field)| {
                let of_field = structs
                    .iter()
                    .map(|it| it.map_or(&Value::Null, |it| &it[at].1));
                let of_field: Vec<&Value> = of_field.collect();
                array_of_values(field.data_type(), of_field.iter().copied())
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let rows = structs.len();
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                Some(nulls),
                rows,
            )?))
        }
        other => Err(ArrowError::NotYetImplemented(format!(
            "rows cannot carry {other}"
        ))),
    }
}

/// The mark of rows with these event times, of an epoch with this watermark: the watermark if the row came after it, null if not.
pub fn late_marks(times: &TimestampMicrosecondArray, watermark: i64) -> ArrayRef {
    let late = |it: Option<i64>| it.filter(|time| *time < watermark).map(|_| watermark);
    if times.values().iter().all(|it| watermark <= *it) {
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        return new_null_array(&data_type, times.len());
    }
    let marks: TimestampMicrosecondArray = times.iter().map(late).collect();
    Arc::new(marks.with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{sum_counts, sum_row_counts};
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let number = || prop_oneof![any::<i64>(), -2..3_i64, Just(i64::MIN), Just(i64::MAX)];
        let bytes = || prop::collection::vec(0..3_u8, 0..20);
        let interval = |nanoseconds| Interval {
            months: 0,
            days: 0,
            nanoseconds,
        };
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            number().prop_map(Value::Int),
            any::<f64>().prop_map(|it| Value::Float(Float::new(it))),
            "[\u{0}aä\u{ffff}]{0,18}".prop_map(|it| Value::Text(it.into())),
            (-3..3_i32).prop_map(Value::Date),
            number().prop_map(Value::Timestamp),
            (-3..3_i128).prop_map(|it| Value::Decimal(Box::new(Decimal::new(it, 2)))),
            bytes().prop_map(|it| Value::Bytes(it.into())),
            number().prop_map(Value::Time),
            number().prop_map(move |it| Value::Interval(interval(it))),
            number().prop_map(|it| Value::List([Value::Int(it)].into())),
            number().prop_map(|it| Value::Struct([("a".into(), Value::Int(it))].into())),
        ]
    }

    fn rows() -> impl Strategy<Value = Row> {
        prop::collection::vec(values(), 0..4).prop_map(|it| Row(it.into()))
    }

    proptest! {
        #[test]
        fn rows_order_as_their_beginnings_do(rows in prop::collection::vec(rows(), 2..12)) {
            for a in &rows {
                for b in &rows {
                    let begun = a.beginning().cmp(&b.beginning());
                    let agrees = begun == Ordering::Equal || begun == a.cmp(b);
                    prop_assert!(agrees, "{a:?} {b:?}");
                }
            }
        }

        #[test]
        fn counts_of_rows_are_summed_like_all_others(
            rows in prop::collection::vec(rows(), 1..8),
            counts in prop::collection::vec((0..8_usize, -2..3_i64), 0..30),
        ) {
            let counts = counts.into_iter();
            let counts = counts.map(|(at, count)| (rows[at % rows.len()].clone(), count));
            let mut summed: Vec<(Row, i64)> = counts.collect();
            let mut expected = summed.clone();
            sum_row_counts(&mut summed);
            sum_counts(&mut expected);
            prop_assert_eq!(summed, expected);
        }

        #[test]
        fn a_row_is_read_as_it_was_written(row in rows()) {
            let bytes = postcard::to_stdvec(&row).expect("a row can be written");
            prop_assert_eq!(postcard::from_bytes::<Row>(&bytes), Ok(row.clone()));
            for end in 0..bytes.len() {
                prop_assert!(postcard::from_bytes::<Row>(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_short_text_lies_in_its_value() {
        assert_eq!(size_of::<Value>(), 24);
        let key = CompactString::from("a key of 24 bytes here..");
        assert!(!key.is_heap_allocated());
    }

    #[test]
    fn bytes_are_told_from_digits_of_bytes() {
        let told = |bytes: &[u8]| Value::Bytes(bytes.into()).to_json();
        assert_eq!(told(b"text \\x41"), "text \\x41");
        assert_eq!(told(b"\xff"), "\\xff");
        assert_eq!(told(b"\\xff"), "\\x5c786666");
    }

    #[test]
    fn what_json_has_no_number_for_is_a_string_and_null_is_null_alone() {
        let json = |it: f64| Value::Float(Float::new(it)).to_json().to_string();
        assert_eq!(Value::Null.to_json().to_string(), "null");
        assert_eq!(json(-0.5), "-0.5");
        assert_eq!(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(json),
            ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""]
        );
    }
}
