//! JSON that a query makes, and what it says about JSON: `to_json`, objects and arrays of values, lengths, types, keys and containment.
//!
//! JSON is text, with a blank behind `:` and `,` as Postgres prints `jsonb`. `forms` tells values that are JSON already from texts, which
//! become strings; whole groups are `string_agg`s of members, put into brackets here.

use crate::model::{Value, value_at};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListBuilder, StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let of = |name, what, aliases: &[&str]| {
        Arc::new(ScalarUDF::from(Made {
            name,
            what,
            aliases: aliases.iter().map(|it| (*it).to_owned()).collect(),
            signature: Signature::variadic_any(Volatility::Immutable),
        }))
    };
    vec![
        of("to_json", What::Value, &["to_jsonb"]),
        of("parse_json", What::Parsed { strict: true }, &[]),
        of("try_parse_json", What::Parsed { strict: false }, &[]),
        of("json_object_of", What::Object, &[]),
        of("json_array_of", What::Array, &[]),
        of("json_list_of", What::List, &[]),
        of("json_members_of", What::Members { once: false }, &[]),
        of("jsonb_members_of", What::Members { once: true }, &[]),
        of("json_array_length", What::Length, &["jsonb_array_length"]),
        of("json_elements_of", What::Elements, &[]),
        of("json_element_texts_of", What::ElementTexts, &[]),
        of("json_keys_of", What::Keys, &[]),
        of("json_values_of", What::MemberValues, &[]),
        of("json_value_texts_of", What::MemberTexts, &[]),
        of("json_typeof", What::Type, &["jsonb_typeof", "json_type"]),
        of("jsonb_strip_nulls", What::WithoutNulls, &[]),
        of("json_has_key", What::HasKey, &["jsonb_exists"]),
        of("json_contains", What::Contains, &["jsonb_contains"]),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// A value as JSON.
    Value,
    /// The text, which must be JSON; what is none fails, or is NULL.
    Parsed {
        strict: bool,
    },
    /// An object of names and values that are JSON.
    Object,
    /// An array of values that are JSON.
    Array,
    /// An array of elements, one behind the other.
    List,
    /// An object of members, one behind the other; each name once, as in `jsonb`, or as often as it comes.
    Members {
        once: bool,
    },
    /// The elements of an array, as JSON and as texts, and the names of an object's members: lists.
    Elements,
    ElementTexts,
    Keys,
    /// The values of an object's members in the order of their names, as JSON and as texts: lists.
    MemberValues,
    MemberTexts,
    /// Without members that are null.
    WithoutNulls,
    /// How many elements an array has.
    Length,
    Type,
    HasKey,
    Contains,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Made {
    name: &'static str,
    what: What,
    aliases: Vec<String>,
    signature: Signature,
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
    )
}

impl ScalarUDFImpl for Made {
    fn name(&self) -> &str {
        self.name
    }
    fn aliases(&self) -> &[String] {
        &self.aliases
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let name = self.name;
        match (self.what, types) {
            (What::Value | What::Parsed { .. }, [_]) => Ok(DataType::Utf8),
            (What::Value | What::Parsed { .. }, _) => plan_err!("{name} takes one value"),
            (What::Object, _) if !types.len().is_multiple_of(2) => {
                plan_err!(
                    "an object is made of names and values in turn: json_build_object('a', x, 'b', y)"
                )
            }
            (What::Object | What::Array, _) => Ok(DataType::Utf8),
            (What::List | What::Members { .. } | What::WithoutNulls | What::Type, [json])
                if is_text(json) =>
            {
                Ok(DataType::Utf8)
            }
            (What::Length, [json]) if is_text(json) => Ok(DataType::Int64),
            (
                What::Elements
                | What::ElementTexts
                | What::Keys
                | What::MemberValues
                | What::MemberTexts,
                [json],
            ) if is_text(json) => Ok(DataType::new_list(DataType::Utf8, true)),
            (What::HasKey | What::Contains, [json, other]) if is_text(json) && is_text(other) => {
                Ok(DataType::Boolean)
            }
            (What::HasKey, _) => plan_err!("{name} takes JSON text and a name: json ? 'name'"),
            (What::Contains, _) => {
                plan_err!("{name} takes two JSON texts: json @> '{{\"a\": 1}}'")
            }
            (
                What::List
                | What::Members { .. }
                | What::WithoutNulls
                | What::Type
                | What::Length
                | What::Elements
                | What::ElementTexts
                | What::Keys
                | What::MemberValues
                | What::MemberTexts,
                _,
            ) => plan_err!("{name} takes JSON text"),
        }
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = args.args.iter().map(|it| it.to_array(rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let made: ArrayRef = match (self.what, columns.as_slice()) {
            (What::Value, [column]) => Arc::new(values(column)?),
            (What::Parsed { .. }, [column]) if !is_text(column.data_type()) => {
                Arc::new(values(column)?)
            }
            (What::Parsed { strict }, [column]) => {
                let column = texts(column)?;
                let parsed = column.iter().map(|it| match it {
                    Some(text) if raw(text).is_none() && strict => {
                        exec_err!("'{}' is no JSON", shortened(text))
                    }
                    Some(text) => Ok(raw(text).map(|it| it.get().to_owned())),
                    None => Ok(None),
                });
                Arc::new(parsed.collect::<Result<StringArray>>()?)
            }
            (What::Object | What::Array, columns) => {
                let columns = columns.iter().map(texts).collect::<Result<Vec<_>>>()?;
                let one = |row| match self.what {
                    What::Object => object(&columns, row),
                    _ => Ok(format!("[{}]", elements(&columns, row).join(", "))),
                };
                let all = (0..rows).map(one).collect::<Result<Vec<String>>>()?;
                Arc::new(StringArray::from(all))
            }
            (What::Length, [json]) => {
                let lengths = texts(json)?;
                let lengths = lengths.iter().map(|it| {
                    let all: Vec<&RawValue> = serde_json::from_str(it?).ok()?;
                    i64::try_from(all.len()).ok()
                });
                Arc::new(lengths.collect::<Int64Array>())
            }
            (
                what @ (What::Elements
                | What::ElementTexts
                | What::Keys
                | What::MemberValues
                | What::MemberTexts),
                [json],
            ) => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for json in &texts(json)? {
                    lists.append_option(json.and_then(|it| parts_of(it, what)));
                }
                Arc::new(lists.finish())
            }
            (What::HasKey | What::Contains, [json, other]) => {
                let (json, other) = (texts(json)?, texts(other)?);
                let pairs = json.iter().zip(other.iter());
                let what = self.what;
                let found = pairs.map(|(json, other)| match what {
                    What::HasKey => has_key(json?, other?),
                    _ => Some(contains(
                        &Json::of(shallow(json?)?)?,
                        &Json::of(shallow(other?)?)?,
                    )),
                });
                Arc::new(found.collect::<BooleanArray>())
            }
            (what, [json]) => {
                let made = texts(json)?;
                let made = made.iter().map(|it| {
                    let text = it?;
                    match what {
                        What::List => Some(format!("[{text}]")),
                        What::Members { once: false } => Some(format!("{{{text}}}")),
                        What::Members { once: true } => members_once(&format!("{{{text}}}")),
                        What::WithoutNulls => without_nulls(raw(shallow(text)?)?),
                        _ => type_of(text).map(str::to_owned),
                    }
                });
                Arc::new(made.collect::<StringArray>())
            }
            _ => return exec_err!("{} does not take so many arguments", self.name),
        };
        Ok(ColumnarValue::Array(made))
    }
}

fn texts(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// Levels of JSON that functions go through one within the other.
const LEVELS_MAX: usize = 128;

/// A text of so many levels at most. A deeper one is nothing that such a function could compute: a stack has an end.
fn shallow(text: &str) -> Option<&str> {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => {
                depth += 1;
                if LEVELS_MAX < depth {
                    return None;
                }
            }
            b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Some(text)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A type with all its instants in microseconds of UTC, as they are stored.
fn in_micros(data_type: &DataType) -> DataType {
    let field = |it: &FieldRef| {
        let data_type = in_micros(it.data_type());
        Arc::new(it.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::List(it) => DataType::List(field(it)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

/// Values as JSON.
fn values(column: &ArrayRef) -> Result<StringArray> {
    let column = cast(column, &in_micros(column.data_type()))?;
    let all = (0..column.len()).map(|row| match value_at(&column, row) {
        Value::Null => None,
        value => Some(text_of(&value)),
    });
    Ok(all.collect())
}

fn text_of(value: &Value) -> String {
    match value {
        // A number of JSON has as many digits as it needs.
        Value::Decimal(it) => it.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(text_of).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{}: {}", string(name), text_of(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_json().to_string(),
    }
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn elements(columns: &[StringArray], row: usize) -> Vec<&str> {
    let each = columns.iter();
    each.map(|it| {
        if it.is_valid(row) {
            it.value(row)
        } else {
            "null"
        }
    })
    .collect()
}

fn object(columns: &[StringArray], row: usize) -> Result<String> {
    let mut members = Vec::new();
    for pair in columns.chunks_exact(2) {
        if pair[0].is_null(row) {
            return exec_err!("the name of a member of JSON is NULL");
        }
        let value = match pair[1].is_valid(row) {
            true => pair[1].value(row),
            false => "null",
        };
        members.push(format!("{}: {value}", string(pair[0].value(row))));
    }
    Ok(format!("{{{}}}", members.join(", ")))
}

/// Members in the order of `jsonb`, shorter names first; of several of one name the last.
pub(super) fn members_of(text: &str) -> Option<Vec<(String, &RawValue)>> {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
    Some(members)
}

/// An object with its members in that order.
fn members_once(text: &str) -> Option<String> {
    let members: Vec<String> = members_of(text)?
        .iter()
        .map(|(name, value)| format!("{}: {}", string(name), value.get()))
        .collect();
    Some(format!("{{{}}}", members.join(", ")))
}

/// JSON without those members of objects that are null, at any depth. Elements of arrays stay.
fn without_nulls(json: &RawValue) -> Option<String> {
    let text = json.get();
    match text.as_bytes().first()? {
        b'{' => {
            let members: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(text).ok()?;
            let kept = members.iter().filter(|it| it.1.get() != "null");
            let kept =
                kept.map(|(name, it)| Some(format!("{}: {}", string(name), without_nulls(it)?)));
            let kept: Vec<String> = kept.collect::<Option<_>>()?;
            members_once(&format!("{{{}}}", kept.join(", ")))
        }
        b'[' => {
            let all: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let all: Vec<String> = all.into_iter().map(without_nulls).collect::<Option<_>>()?;
            Some(format!("[{}]", all.join(", ")))
        }
        _ => Some(text.to_owned()),
    }
}

/// The elements of an array, or the names or values of an object's members; of something else none.
fn parts_of(text: &str, what: What) -> Option<Vec<Option<String>>> {
    let part = |it: &RawValue| match what {
        What::ElementTexts | What::MemberTexts => super::json::text_of(it),
        _ => Some(it.get().to_owned()),
    };
    if let What::Keys | What::MemberValues | What::MemberTexts = what {
        let members: std::collections::BTreeMap<String, &RawValue> =
            serde_json::from_str(text).ok()?;
        return Some(match what {
            What::Keys => members.into_keys().map(Some).collect(),
            _ => members.into_values().map(part).collect(),
        });
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(part).collect())
}

fn type_of(text: &str) -> Option<&'static str> {
    Some(match raw(text)?.get().as_bytes().first()? {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => "number",
    })
}

/// Whether an object has a member, or an array or string is or has this string.
fn has_key(json: &str, key: &str) -> Option<bool> {
    Some(match Json::of(json)? {
        Json::Object(members) => members.iter().any(|it| it.0 == key),
        Json::Array(all) => all
            .iter()
            .any(|it| matches!(it, Json::String(it) if it == key)),
        Json::String(it) => it == key,
        _ => false,
    })
}

/// JSON as it is compared: numbers by their value.
#[derive(PartialEq)]
enum Json {
    Word(String),
    Number(Number),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn of(text: &str) -> Option<Self> {
        Self::of_raw(raw(text)?)
    }

    fn of_raw(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'{' => {
                let members: std::collections::BTreeMap<String, &RawValue> =
                    serde_json::from_str(text).ok()?;
                let members = members.into_iter();
                let members = members.map(|(name, it)| Some((name, Json::of_raw(it)?)));
                Json::Object(members.collect::<Option<_>>()?)
            }
            b'[' => {
                let all: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Json::Array(all.into_iter().map(Json::of_raw).collect::<Option<_>>()?)
            }
            b'"' => Json::String(serde_json::from_str(text).ok()?),
            b't' | b'f' | b'n' => Json::Word(text.to_owned()),
            _ => Json::Number(Number::of(text)?),
        })
    }
}

/// The sign, the digits without zeros around them, and the power of ten of the last of them: equal for 1, 1.0 and 10e-1.
#[derive(PartialEq, Eq)]
struct Number(Ordering, String, i64);

impl Number {
    fn of(text: &str) -> Option<Self> {
        let (text, sign) = match text.strip_prefix('-') {
            Some(rest) => (rest, Ordering::Less),
            None => (text, Ordering::Greater),
        };
        let (digits, power) = match text.split_once(['e', 'E']) {
            Some((digits, power)) => (digits, power.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        let kept = all.trim_end_matches('0');
        let power = power
            .checked_sub(i64::try_from(part.len()).ok()?)?
            .checked_add(i64::try_from(all.len() - kept.len()).ok()?)?;
        let kept = kept.trim_start_matches('0');
        Some(match kept.is_empty() {
            true => Number(Ordering::Equal, String::new(), 0),
            false => Number(sign, kept.to_owned(), power),
        })
    }
}

/// `a @> b`, as Postgres has it: at the top an array contains a single value, too.
fn contains(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Word(_) | Json::Number(_) | Json::String(_)) => a.contains(b),
        _ => contains_value(a, b),
    }
}

fn contains_value(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => b.iter().all(|(name, b)| {
            let there = a.iter().find(|it| it.0 == *name);
            there.is_some_and(|it| contains_value(&it.1, b))
        }),
        (Json::Array(a), Json::Array(b)) => {
            b.iter().all(|b| a.iter().any(|a| contains_value(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_contains_json() {
        for (a, b, expected) in [
            (
                r#"{"a": 1, "b": [1, {"c": 2}]}"#,
                r#"{"b": [{"c": 2.0}]}"#,
                true,
            ),
            (r#"{"a": 1}"#, r#"{"a": 10e-1}"#, true),
            (r#"{"a": {"b": 1}}"#, r#"{"b": 1}"#, false),
            ("[1, 2, [3]]", "[[3], 2]", true),
            ("[1, [2]]", "[2]", false),
            (r#"["a"]"#, r#""a""#, true),
            (r#"[["a"]]"#, r#""a""#, false),
            ("[1]", "[]", true),
            ("null", "null", true),
            ("9007199254740993", "9007199254740992", false),
            ("0.0", "-0", true),
        ] {
            let found = Json::of(a).zip(Json::of(b));
            let found = found.map(|(a, b)| contains(&a, &b));
            assert_eq!(found, Some(expected), "{a} @> {b}");
        }
        let stripped = r#"{"bb":null,"c":[null,{"a":null,"d":1}],"b":{"x":null},"s":"null"}"#;
        assert_eq!(
            raw(stripped).and_then(without_nulls).as_deref(),
            Some(r#"{"b": {}, "c": [null, {"d": 1}], "s": "null"}"#)
        );
        assert_eq!(has_key(r#"{"a": null}"#, "a"), Some(true));
        assert_eq!(has_key(r#"["b", 1]"#, "a"), Some(false));
        let object = r#"{"b": "x", "a": null, "c": [1, 2]}"#;
        for (what, expected) in [
            (What::Keys, [Some("a"), Some("b"), Some("c")]),
            (
                What::MemberValues,
                [Some("null"), Some(r#""x""#), Some("[1, 2]")],
            ),
            (What::MemberTexts, [None, Some("x"), Some("[1, 2]")]),
        ] {
            let expected = expected.map(|it| it.map(str::to_owned)).to_vec();
            assert_eq!(parts_of(object, what), Some(expected), "{what:?}");
        }
        assert_eq!(parts_of("[1]", What::MemberValues), None);
        for (opening, closing, is_shallow) in [(128, 128, true), (129, 0, false)] {
            let deep = "[".repeat(opening) + &"]".repeat(closing);
            assert_eq!(shallow(&deep).is_some(), is_shallow, "{opening}");
        }
        let text = format!(r#"["{}\"["]"#, "[".repeat(1_000));
        assert!(shallow(&text).is_some());
        assert_eq!(
            members_once(r#"{"bb": 1, "a": 2, "bb": 3}"#).as_deref(),
            Some(r#"{"a": 2, "bb": 3}"#)
        );
    }
}
