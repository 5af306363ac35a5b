//! Values on their way into columns: read as a declared type, held in slots, appended a whole row at a time.
//!
//! The rules of the module above are decided here, once for all formats. Nothing here knows where a value
//! came from.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int32Array, Int32Builder, Int64Array, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};

use super::timestamp::{self, Zone};
use crate::model::{Decimal, Float, Value, array_of_values};

/// How much of an unreadable value a dead letter's reason shows.
const SHOWN_CHARS_MAX: usize = 80;

/// The types a record's values can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Int32,
    Int64,
    Float64,
    Text,
    Date,
    Timestamp,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Bytes,
    /// JSON of any shape, kept as its text.
    Json,
    /// A list or a struct.
    Nested,
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Decimal128(precision, scale) => Some(Self::Decimal {
                precision: *precision,
                scale: *scale,
            }),
            DataType::Binary => Some(Self::Bytes),
            DataType::List(item) => Self::of(item.data_type()).map(|_| Self::Nested),
            DataType::Struct(fields) => {
                let all_can = fields.iter().all(|it| Self::of(it.data_type()).is_some());
                all_can.then_some(Self::Nested)
            }
            DataType::Boolean => Some(Self::Boolean),
            DataType::Int32 => Some(Self::Int32),
            DataType::Int64 => Some(Self::Int64),
            DataType::Float64 => Some(Self::Float64),
            DataType::Utf8 => Some(Self::Text),
            DataType::Date32 => Some(Self::Date),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if **zone == *"UTC" => {
                Some(Self::Timestamp)
            }
            _ => None,
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Int32 => "a 32-bit integer",
            Self::Int64 => "a 64-bit integer",
            Self::Float64 => "a number",
            Self::Text => "text",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp",
            Self::Decimal { .. } => "a decimal number",
            Self::Bytes => "bytes",
            Self::Json => "JSON",
            Self::Nested => "an array or object of the declared type",
        }
    }
}

/// One value, already of its column's type: dates are days and timestamps microseconds since the epoch.
///
/// A text column may hold an integer or a float, which is then appended as its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    /// Digits of a decimal of the column's scale.
    Decimal(i128),
    /// A list or a struct, by its place among the nested values of the record.
    Nested(usize),
}

/// Empties a row of slots for values that live elsewhere; the allocation stays.
pub(super) fn recycle<'new>(mut slots: Vec<Slot<'_>>) -> Vec<Slot<'new>> {
    slots.clear();
    slots.into_iter().map(|_| Slot::Null).collect()
}

/// Why a value is no value of its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    WrongType,
    OutOfRange,
}

/// One declared column as the readers see it.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) data_type: DataType,
    /// Why null is refused here, if it is.
    pub(super) when_null: Option<&'static str>,
    /// What a record has that lacks the field, as text; without it that is null.
    pub(super) default: Option<String>,
}

impl Target {
    /// The slot of a field that a record lacks, or the reason why it may not.
    pub(super) fn missing(&self, zone: Zone) -> Result<Slot<'_>, String> {
        match &self.default {
            None => self.null(),
            Some(stated) => {
                text(self.kind, stated, zone).map_err(|why| self.refuse(format!("{stated:?}"), why))
            }
        }
    }

    /// The slot of a null, or the reason why there may be none.
    pub(super) fn null<'a>(&self) -> Result<Slot<'a>, String> {
        match self.when_null {
            None => Ok(Slot::Null),
            Some(why) => Err(format!(
                "field {:?} is missing or null, but {why}",
                self.name
            )),
        }
    }

    /// The reason of a record whose `value` could not be read.
    #[cold]
    pub(super) fn refuse(&self, value: impl Display, why: Unreadable) -> String {
        let (name, described) = (&self.name, self.kind.described());
        let mut shown = value.to_string();
        if let Some((cut, _)) = shown.char_indices().nth(SHOWN_CHARS_MAX) {
            shown.truncate(cut);
            shown.push('…');
        }
        match why {
            Unreadable::WrongType => format!("field {name:?} is not {described}: {shown}"),
            Unreadable::OutOfRange => {
                format!("field {name:?} is out of range for {described}: {shown}")
            }
        }
    }
}

/// Reads a text as a value of `kind`.
pub(super) fn text(kind: Kind, text: &str, zone: Zone) -> Result<Slot<'_>, Unreadable> {
    match kind {
        Kind::Text | Kind::Json => Ok(Slot::Text(text)),
        Kind::Bytes => match bytes_of(text) {
            Some(_) => Ok(Slot::Text(text)),
            None => Err(Unreadable::WrongType),
        },
        Kind::Decimal { precision, scale } => match Decimal::parse(text, precision, scale) {
            Some(unscaled) => Ok(Slot::Decimal(unscaled)),
            None if decimal(text).is_some() => Err(Unreadable::OutOfRange),
            None => Err(Unreadable::WrongType),
        },
        Kind::Nested => Err(Unreadable::WrongType),
        Kind::Timestamp => timestamp::parse(text, zone)
            .map(Slot::Integer)
            .ok_or(Unreadable::WrongType),
        Kind::Date => timestamp::parse_date(text, zone)
            .map(|days| Slot::Integer(days.into()))
            .ok_or(Unreadable::WrongType),
        Kind::Boolean => match text {
            "true" => Ok(Slot::Boolean(true)),
            "false" => Ok(Slot::Boolean(false)),
            _ => Err(Unreadable::WrongType),
        },
        Kind::Int32 | Kind::Int64 | Kind::Float64 => match text.parse::<i64>() {
            Ok(value) => integer(kind, value),
            Err(_) => float(kind, decimal(text).ok_or(Unreadable::WrongType)?),
        },
    }
}

/// Reads an integer as a value of `kind`.
pub(super) fn integer<'a>(kind: Kind, value: i64) -> Result<Slot<'a>, Unreadable> {
    match kind {
        Kind::Int64 | Kind::Text | Kind::Json => Ok(Slot::Integer(value)),
        Kind::Decimal { .. } => text(kind, &value.to_string(), Zone::default()).map(owned),
        Kind::Int32 if i32::try_from(value).is_err() => Err(Unreadable::OutOfRange),
        Kind::Int32 => Ok(Slot::Integer(value)),
        Kind::Float64 => Ok(Slot::Float(value as f64)),
        Kind::Timestamp => instant(timestamp::from_epoch(value)),
        Kind::Date => instant(timestamp::from_epoch(value)).map(date_of),
        Kind::Boolean | Kind::Bytes | Kind::Nested => Err(Unreadable::WrongType),
    }
}

/// A slot that borrows nothing from the text it was read from.
fn owned<'a>(slot: Slot<'_>) -> Slot<'a> {
    match slot {
        Slot::Decimal(unscaled) => Slot::Decimal(unscaled),
        slot => unreachable!("{slot:?} is no decimal"),
    }
}

/// Reads a finite float as a value of `kind`.
pub(super) fn float<'a>(kind: Kind, value: f64) -> Result<Slot<'a>, Unreadable> {
    match kind {
        Kind::Float64 | Kind::Text | Kind::Json => Ok(Slot::Float(value)),
        // The shortest text that stands for this float.
        Kind::Decimal { .. } => text(kind, &value.to_string(), Zone::default()).map(owned),
        Kind::Int32 | Kind::Int64 if value.fract() != 0.0 => Err(Unreadable::WrongType),
        // Both bounds are powers of two, so the comparison and the conversion are exact.
        Kind::Int32 | Kind::Int64 if !(-(2f64.powi(63))..2f64.powi(63)).contains(&value) => {
            Err(Unreadable::OutOfRange)
        }
        Kind::Int32 | Kind::Int64 => integer(kind, value as i64),
        Kind::Timestamp => instant(timestamp::from_epoch_float(value)),
        Kind::Date => instant(timestamp::from_epoch_float(value)).map(date_of),
        Kind::Boolean | Kind::Bytes | Kind::Nested => Err(Unreadable::WrongType),
    }
}

/// Bytes as they are written: `\x` and hexadecimal digits, else the text's own.
fn bytes_of(text: &str) -> Option<Cow<'_, [u8]>> {
    let Some(digits) = text.strip_prefix("\\x") else {
        return Some(Cow::Borrowed(text.as_bytes()));
    };
    // A sign would be taken for a digit.
    if digits.len() % 2 != 0 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>().map(Cow::Owned)
}

/// The value of a slot that was read as this kind, for a place within a list or a struct.
pub(super) fn value_of(kind: Kind, slot: Slot<'_>) -> Value {
    match (kind, slot) {
        (_, Slot::Null) => Value::Null,
        (_, Slot::Boolean(it)) => Value::Bool(it),
        (Kind::Decimal { scale, .. }, Slot::Decimal(it)) => {
            Value::Decimal(Box::new(Decimal::new(it, scale)))
        }
        (Kind::Text | Kind::Json, Slot::Integer(it)) => Value::Text(it.to_string().into()),
        (Kind::Text | Kind::Json, Slot::Float(it)) => Value::Text(it.to_string().into()),
        (Kind::Date, Slot::Integer(it)) => Value::Date(it as i32),
        (Kind::Timestamp, Slot::Integer(it)) => Value::Timestamp(it),
        (_, Slot::Integer(it)) => Value::Int(it),
        (_, Slot::Float(it)) => Value::Float(Float::new(it)),
        (Kind::Bytes, Slot::Text(it)) => {
            let bytes = bytes_of(it).expect("it was read as bytes");
            Value::Bytes(bytes.into())
        }
        (_, Slot::Text(it)) => Value::Text(it.into()),
        (kind, slot) => unreachable!("{slot:?} was not read as {kind:?}"),
    }
}

fn instant<'a>(time_us: Option<i64>) -> Result<Slot<'a>, Unreadable> {
    time_us.map(Slot::Integer).ok_or(Unreadable::OutOfRange)
}

fn date_of(instant: Slot<'_>) -> Slot<'_> {
    match instant {
        Slot::Integer(time_us) => Slot::Integer(timestamp::day_of(time_us).into()),
        other => other,
    }
}

/// A decimal number in plain or scientific notation. Rust's own parser also takes "inf" and "nan".
fn decimal(text: &str) -> Option<f64> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The rows of one batch while they grow.
pub(super) struct Rows {
    columns: Vec<Builder>,
    offsets: Vec<i64>,
    event_time: Option<usize>,
    max_event_time: Option<i64>,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder),
    Bytes(BinaryBuilder),
    Nested(DataType, Vec<Value>),
}

/// What a text is guessed to take when space for a batch is set aside.
const TEXT_BYTES_GUESS: usize = 16;

impl Rows {
    pub(super) fn new(targets: &[Target], rows: usize, event_time: Option<usize>) -> Self {
        let builder = |target: &Target| match target.kind {
            Kind::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(rows)),
            Kind::Int32 => Builder::Int32(Int32Builder::with_capacity(rows)),
            Kind::Int64 => Builder::Int64(Int64Builder::with_capacity(rows)),
            Kind::Float64 => Builder::Float64(Float64Builder::with_capacity(rows)),
            Kind::Decimal { .. } => Builder::Decimal(
                Decimal128Builder::with_capacity(rows).with_data_type(target.data_type.clone()),
            ),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::new()),
            Kind::Nested => Builder::Nested(target.data_type.clone(), Vec::with_capacity(rows)),
            Kind::Text | Kind::Json => {
                Builder::Text(StringBuilder::with_capacity(rows, rows * TEXT_BYTES_GUESS))
            }
            Kind::Date => Builder::Date(Date32Builder::with_capacity(rows)),
            Kind::Timestamp => Builder::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            ),
        };
        Self {
            columns: targets.iter().map(builder).collect(),
            offsets: Vec::with_capacity(rows),
            event_time,
            max_event_time: None,
        }
    }

    /// Appends one whole row, whose lists and structs are taken out of `nested`; `number` then says where it was read.
    pub(super) fn append(&mut self, slots: &[Slot<'_>], nested: &mut [Value]) {
        assert_eq!(
            slots.len(),
            self.columns.len(),
            "a row has one slot for each column"
        );
        for (column, slot) in self.columns.iter_mut().zip(slots) {
            column.append(slot, nested);
        }
        if let Some(index) = self.event_time
            && let Slot::Integer(time_us) = slots[index]
        {
            self.max_event_time = self.max_event_time.max(Some(time_us));
        }
    }

    /// Gives the row appended last its offset.
    pub(super) fn number(&mut self, offset: i64) {
        self.offsets.push(offset);
    }

    pub(super) fn max_event_time(&self) -> Option<i64> {
        self.max_event_time
    }

    pub(super) fn finish(self, schema: SchemaRef, partition: i32) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> = self.columns.into_iter().map(Builder::finish).collect();
        arrays.push(Arc::new(Int32Array::from(vec![
            partition;
            self.offsets.len()
        ])));
        arrays.push(Arc::new(Int64Array::from(self.offsets)));
        RecordBatch::try_new(schema, arrays).expect("rows were built for this schema")
    }
}

impl Builder {
    #[inline]
    fn append(&mut self, slot: &Slot<'_>, nested: &mut [Value]) {
        match (self, slot) {
            (Self::Text(column), Slot::Text(text)) => column.append_value(text),
            (Self::Timestamp(column), Slot::Integer(value)) => column.append_value(*value),
            (Self::Int32(column), Slot::Integer(value)) => column.append_value(*value as i32),
            (Self::Int64(column), Slot::Integer(value)) => column.append_value(*value),
            (Self::Float64(column), Slot::Float(value)) => column.append_value(*value),
            (Self::Boolean(column), Slot::Boolean(value)) => column.append_value(*value),
            (Self::Date(column), Slot::Integer(value)) => column.append_value(*value as i32),
            (Self::Text(column), Slot::Integer(value)) => append_display(column, value),
            (Self::Text(column), Slot::Float(value)) => append_display(column, value),
            (Self::Decimal(column), Slot::Decimal(unscaled)) => column.append_value(*unscaled),
            (Self::Bytes(column), Slot::Text(text)) => {
                column.append_value(bytes_of(text).expect("it was read as bytes"));
            }
            (Self::Nested(_, values), Slot::Nested(at)) => {
                values.push(std::mem::replace(&mut nested[*at], Value::Null));
            }
            (column, Slot::Null) => column.append_null(),
            (_, slot) => unreachable!("{slot:?} was not read for this column"),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(column) => column.append_null(),
            Self::Int32(column) => column.append_null(),
            Self::Int64(column) => column.append_null(),
            Self::Float64(column) => column.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::Decimal(column) => column.append_null(),
            Self::Bytes(column) => column.append_null(),
            Self::Nested(_, values) => values.push(Value::Null),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Int32(mut column) => Arc::new(column.finish()),
            Self::Int64(mut column) => Arc::new(column.finish()),
            Self::Float64(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Date(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
            Self::Decimal(mut column) => Arc::new(column.finish()),
            Self::Bytes(mut column) => Arc::new(column.finish()),
            Self::Nested(data_type, values) => array_of_values(&data_type, values.iter())
                .expect("values were read as their declared type"),
        }
    }
}

fn append_display(column: &mut StringBuilder, value: impl Display) {
    write!(column, "{value}").expect("writing to memory does not fail");
    column.append_value("");
}
