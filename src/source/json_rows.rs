//! Rows of columns as lines of JSON, which is how records of Parquet files and Delta tables reach the decoder, and dead letters.
//!
//! Offsets count the bytes of these lines, so their form never changes: members in the order of the columns, nulls included, no blanks.
//!
//! ```text
//! decimals                 numbers, with all their digits
//! times with a zone        "2026-01-31T12:00:00.25Z", in UTC; of any unit, without zeros behind the last digit
//! times without a zone     the same without Z
//! dates, times of day      "2026-01-31", "12:00:00.25"
//! bytes                    "\\x00ff"
//! NaN and infinities       "NaN", "Infinity", "-Infinity"
//! maps of texts            objects; other maps are lists of {"key": …, "value": …}
//! ```

use arrow::array::cast::AsArray;
use arrow::array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, TimeDelta};
use std::io::Write;

/// Writes the value of a row.
type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Appends each row of a batch as a line.
///
/// # Errors
/// If a column has a type that no text stands for.
pub fn append(batch: &RecordBatch, lines: &mut Vec<u8>) -> Result<(), String> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let writer = writer(column.as_ref()).map_err(|it| {
            format!(
                "column {:?} has type {it}, which cannot be read",
                field.name()
            )
        })?;
        columns.push((named(field.name()), writer));
    }
    for row in 0..batch.num_rows() {
        lines.push(b'{');
        members_of(&columns, row, lines);
        lines.extend_from_slice(b"}\n");
    }
    Ok(())
}

/// A name and its colon.
fn named(name: &str) -> Vec<u8> {
    let mut named = Vec::new();
    text(name, &mut named);
    named.push(b':');
    named
}

fn members_of(columns: &[(Vec<u8>, Writer)], row: usize, out: &mut Vec<u8>) {
    for (at, (name, writer)) in columns.iter().enumerate() {
        if at != 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        writer(row, out);
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text is JSON, and memory takes it");
}

fn put(out: &mut Vec<u8>, args: std::fmt::Arguments) {
    out.write_fmt(args).expect("memory takes it");
}

fn float(shown: String, is_finite: bool, out: &mut Vec<u8>) {
    match (is_finite, shown.as_str()) {
        (true, it) => out.extend_from_slice(it.as_bytes()),
        (false, "inf") => text("Infinity", out),
        (false, "-inf") => text("-Infinity", out),
        (false, _) => text("NaN", out),
    }
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"\\\\x");
    for byte in bytes {
        put(out, format_args!("{byte:02x}"));
    }
    out.push(b'"');
}

/// Digits behind the point of a second, without zeros at the end.
fn fraction(nanos: i64, out: &mut Vec<u8>) {
    if nanos != 0 {
        let digits = format!("{nanos:09}");
        put(out, format_args!(".{}", digits.trim_end_matches('0')));
    }
}

/// A time since the epoch, of a unit of so many per second.
fn time(value: i64, per_second: i64, zone: &str, out: &mut Vec<u8>) {
    let (seconds, rest) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    match DateTime::from_timestamp(seconds, 0) {
        Some(time) => {
            put(out, format_args!("\"{}", time.format("%Y-%m-%dT%H:%M:%S")));
            fraction(rest * (1_000_000_000 / per_second), out);
            put(out, format_args!("{zone}\""));
        }
        None => put(out, format_args!("\"{seconds} s since 1970\"")),
    }
}

fn time_of_day(value: i64, per_second: i64, out: &mut Vec<u8>) {
    let (seconds, rest) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    put(
        out,
        format_args!("\"{hours:02}:{:02}:{:02}", minutes % 60, seconds % 60),
    );
    fraction(rest * (1_000_000_000 / per_second), out);
    out.push(b'"');
}

fn date(days: i64, out: &mut Vec<u8>) {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1);
    let delta = TimeDelta::try_days(days);
    match epoch
        .zip(delta)
        .and_then(|(epoch, it)| epoch.checked_add_signed(it))
    {
        Some(day) => put(out, format_args!("\"{}\"", day.format("%Y-%m-%d"))),
        None => put(out, format_args!("\"{days} days since 1970\"")),
    }
}

/// What writes the values of an array; its type, if nothing can.
fn writer(array: &dyn Array) -> Result<Writer<'_>, String> {
    macro_rules! values {
        ($type:ty, |$value:ident, $out:ident| $write:expr) => {{
            let values = array.as_primitive::<$type>();
            Box::new(move |row, $out: &mut Vec<u8>| {
                let $value = values.value(row);
                $write
            })
        }};
    }
    macro_rules! numbers {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            Box::new(move |row, out: &mut Vec<u8>| put(out, format_args!("{}", values.value(row))))
        }};
    }
    macro_rules! decimals {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            Box::new(move |row, out: &mut Vec<u8>| {
                out.extend_from_slice(values.value_as_string(row).as_bytes());
            })
        }};
    }
    macro_rules! floats {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            Box::new(move |row, out: &mut Vec<u8>| {
                let value = values.value(row);
                float(format!("{value:?}"), value.is_finite(), out);
            })
        }};
    }
    macro_rules! texts {
        ($values:expr) => {{
            let values = $values;
            Box::new(move |row, out: &mut Vec<u8>| text(values.value(row), out))
        }};
    }
    macro_rules! binaries {
        ($values:expr) => {{
            let values = $values;
            Box::new(move |row, out: &mut Vec<u8>| bytes(values.value(row), out))
        }};
    }
    macro_rules! lists {
        ($values:expr) => {{
            let values = $values;
            let items = writer(values.values().as_ref())?;
            let offsets = values.value_offsets();
            Box::new(move |row, out: &mut Vec<u8>| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                list(&items, range, out);
            })
        }};
    }
    let of_all: Writer = match array.data_type() {
        DataType::Null => Box::new(|_, out| out.extend_from_slice(b"null")),
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |row, out| put(out, format_args!("{}", values.value(row))))
        }
        DataType::Int8 => numbers!(Int8Type),
        DataType::Int16 => numbers!(Int16Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::UInt8 => numbers!(UInt8Type),
        DataType::UInt16 => numbers!(UInt16Type),
        DataType::UInt32 => numbers!(UInt32Type),
        DataType::UInt64 => numbers!(UInt64Type),
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>();
            Box::new(move |row, out| {
                let value = values.value(row).to_f32();
                float(format!("{value:?}"), value.is_finite(), out);
            })
        }
        DataType::Float32 => floats!(Float32Type),
        DataType::Float64 => floats!(Float64Type),
        DataType::Decimal32(..) => decimals!(Decimal32Type),
        DataType::Decimal64(..) => decimals!(Decimal64Type),
        DataType::Decimal128(..) => decimals!(Decimal128Type),
        DataType::Decimal256(..) => decimals!(Decimal256Type),
        DataType::Utf8 => texts!(array.as_string::<i32>()),
        DataType::LargeUtf8 => texts!(array.as_string::<i64>()),
        DataType::Utf8View => texts!(array.as_string_view()),
        DataType::Binary => binaries!(array.as_binary::<i32>()),
        DataType::LargeBinary => binaries!(array.as_binary::<i64>()),
        DataType::BinaryView => binaries!(array.as_binary_view()),
        DataType::FixedSizeBinary(_) => binaries!(array.as_fixed_size_binary()),
        DataType::Date32 => values!(Date32Type, |it, out| date(i64::from(it), out)),
        DataType::Date64 => values!(Date64Type, |it, out| date(it.div_euclid(86_400_000), out)),
        DataType::Time32(TimeUnit::Second) => {
            values!(Time32SecondType, |it, out| time_of_day(it.into(), 1, out))
        }
        DataType::Time32(_) => {
            values!(Time32MillisecondType, |it, out| time_of_day(
                it.into(),
                1_000,
                out
            ))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            values!(Time64MicrosecondType, |it, out| time_of_day(
                it, 1_000_000, out
            ))
        }
        DataType::Time64(_) => {
            values!(Time64NanosecondType, |it, out| time_of_day(
                it,
                1_000_000_000,
                out
            ))
        }
        DataType::Timestamp(unit, zone) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            match unit {
                TimeUnit::Second => {
                    values!(TimestampSecondType, |it, out| time(it, 1, zone, out))
                }
                TimeUnit::Millisecond => {
                    values!(TimestampMillisecondType, |it, out| time(
                        it, 1_000, zone, out
                    ))
                }
                TimeUnit::Microsecond => {
                    values!(TimestampMicrosecondType, |it, out| time(
                        it, 1_000_000, zone, out
                    ))
                }
                TimeUnit::Nanosecond => {
                    values!(TimestampNanosecondType, |it, out| time(
                        it,
                        1_000_000_000,
                        zone,
                        out
                    ))
                }
            }
        }
        DataType::Duration(TimeUnit::Second) => numbers!(DurationSecondType),
        DataType::Duration(TimeUnit::Millisecond) => numbers!(DurationMillisecondType),
        DataType::Duration(TimeUnit::Microsecond) => numbers!(DurationMicrosecondType),
        DataType::Duration(TimeUnit::Nanosecond) => numbers!(DurationNanosecondType),
        DataType::List(_) => lists!(array.as_list::<i32>()),
        DataType::LargeList(_) => lists!(array.as_list::<i64>()),
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or(0);
            let items = writer(array.as_fixed_size_list().values().as_ref())?;
            Box::new(move |row, out| list(&items, row * length..(row + 1) * length, out))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let columns =
                columns.map(|(field, it)| Ok((named(field.name()), writer(it.as_ref())?)));
            let columns = columns.collect::<Result<Vec<_>, String>>()?;
            Box::new(move |row, out| {
                out.push(b'{');
                members_of(&columns, row, out);
                out.push(b'}');
            })
        }
        DataType::Map(..) => map(array)?,
        DataType::Dictionary(key, _) => match key.as_ref() {
            DataType::Int8 => of_dictionary::<Int8Type>(array)?,
            DataType::Int16 => of_dictionary::<Int16Type>(array)?,
            DataType::Int32 => of_dictionary::<Int32Type>(array)?,
            DataType::Int64 => of_dictionary::<Int64Type>(array)?,
            DataType::UInt8 => of_dictionary::<UInt8Type>(array)?,
            DataType::UInt16 => of_dictionary::<UInt16Type>(array)?,
            DataType::UInt32 => of_dictionary::<UInt32Type>(array)?,
            _ => of_dictionary::<UInt64Type>(array)?,
        },
        other => return Err(other.to_string()),
    };
    Ok(match array.null_count() {
        0 => of_all,
        _ => Box::new(move |row, out| match array.is_null(row) {
            true => out.extend_from_slice(b"null"),
            false => of_all(row, out),
        }),
    })
}

fn list(items: &Writer, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in range.enumerate() {
        if at != 0 {
            out.push(b',');
        }
        items(item, out);
    }
    out.push(b']');
}

fn map(array: &dyn Array) -> Result<Writer<'_>, String> {
    let map = array.as_map();
    let is_text = matches!(
        map.keys().data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let (keys, values) = (writer(map.keys().as_ref())?, writer(map.values().as_ref())?);
    let offsets = map.value_offsets();
    Ok(Box::new(move |row, out| {
        out.push(if is_text { b'{' } else { b'[' });
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        for (at, entry) in range.enumerate() {
            if at != 0 {
                out.push(b',');
            }
            if !is_text {
                out.extend_from_slice(b"{\"key\":");
            }
            keys(entry, out);
            out.extend_from_slice(if is_text { b":" } else { b",\"value\":" });
            values(entry, out);
            if !is_text {
                out.push(b'}');
            }
        }
        out.push(if is_text { b'}' } else { b']' });
    }))
}

fn of_dictionary<K: ArrowDictionaryKeyType>(array: &dyn Array) -> Result<Writer<'_>, String> {
    let dictionary = array.as_dictionary::<K>();
    let values = writer(dictionary.values().as_ref())?;
    Ok(Box::new(move |row, out| match dictionary.key(row) {
        Some(key) => values(key, out),
        None => out.extend_from_slice(b"null"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
        Int32Array, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder, StructArray,
        Time64NanosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type};
    use std::sync::Arc;

    /// Stored offsets count these bytes: what this test holds must not change.
    #[test]
    fn the_lines_of_rows_are_these_for_ever() {
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_value("v");
        map.append(true).unwrap();
        map.append(false).unwrap();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("i \"q\"", Arc::new(Int32Array::from(vec![Some(-1), None]))),
            ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
            ("f", Arc::new(Float64Array::from(vec![1e300, f64::NAN]))),
            ("g", Arc::new(Float64Array::from(vec![0.1, -0.0]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789_i128, -5])
                        .with_precision_and_scale(38, 2)
                        .unwrap(),
                ),
            ),
            ("t", Arc::new(StringArray::from(vec!["ä\n\"", ""]))),
            (
                "b",
                Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b""])),
            ),
            ("day", Arc::new(Date32Array::from(vec![20_000, -1]))),
            (
                "time",
                Arc::new(Time64NanosecondArray::from(vec![1, 3_600_000_000_000])),
            ),
            (
                "ms",
                Arc::new(
                    TimestampMillisecondArray::from(vec![1_769_860_800_250, -1])
                        .with_timezone("Europe/Berlin"),
                ),
            ),
            (
                "ns",
                Arc::new(TimestampNanosecondArray::from(vec![
                    1_769_860_800_000_000_001,
                    0,
                ])),
            ),
            (
                "list",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                    Some(vec![Some(1), None]),
                    None,
                ])),
            ),
            (
                "s",
                Arc::new(StructArray::from(vec![(
                    Arc::new(Field::new("x", DataType::Int64, true)),
                    Arc::new(Int64Array::from(vec![Some(7), None])) as ArrayRef,
                )])),
            ),
            ("m", Arc::new(map.finish())),
            (
                "k",
                Arc::new(
                    vec![Some("a"), None]
                        .into_iter()
                        .collect::<DictionaryArray<Int32Type>>(),
                ),
            ),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|it| (it.0, it.1, true)),
        )
        .unwrap();
        let mut lines = Vec::new();
        append(&batch, &mut lines).unwrap();
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            r#"{"i \"q\"":-1,"u":18446744073709551615,"f":1e300,"g":0.1,"d":123456789012345678901234567.89,"t":"ä\n\"","b":"\\x00ff","day":"2024-10-04","time":"00:00:00.000000001","ms":"2026-01-31T12:00:00.25Z","ns":"2026-01-31T12:00:00.000000001","list":[1,null],"s":{"x":7},"m":{"k":"v"},"k":"a"}
{"i \"q\"":null,"u":0,"f":"NaN","g":-0.0,"d":-0.05,"t":"","b":"\\x","day":"1969-12-31","time":"01:00:00","ms":"1969-12-31T23:59:59.999Z","ns":"1970-01-01T00:00:00","list":null,"s":{"x":null},"m":null,"k":null}
"#
        );
    }
}
