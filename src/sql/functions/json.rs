//! Values out of JSON text: what `->` and `->>` stand for, and the functions that take a path.
//!
//! Of text that is no JSON, and where there is no such member, the result is NULL: one bad document does not stop a view.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let of = |name, what, aliases: &[&str]| {
        Arc::new(ScalarUDF::from(Json {
            name,
            what,
            aliases: aliases.iter().map(|it| (*it).to_owned()).collect(),
            signature: Signature::variadic_any(Volatility::Immutable),
        }))
    };
    vec![
        of("json_get", What::Json, &[]),
        of("json_get_text", What::Text, &[]),
        of(
            "json_extract_path",
            What::JsonOfSteps,
            &["jsonb_extract_path"],
        ),
        of(
            "json_extract_path_text",
            What::TextOfSteps,
            &["jsonb_extract_path_text"],
        ),
        of(
            "json_value",
            What::TextOfPath,
            &["get_json_object", "json_extract_scalar"],
        ),
        of("json_query", What::JsonOfPath, &["json_extract"]),
        of("json_at", What::JsonOfKeys, &[]),
        of("json_at_text", What::TextOfKeys, &[]),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The JSON at the end of keys and places, as text.
    Json,
    /// The value at the end of keys and places: a string without its quotes, NULL for null.
    Text,
    /// The value at a path such as `$.a.b[0]`.
    TextOfPath,
    /// The JSON at such a path.
    JsonOfPath,
    /// The JSON and the value at a path of Postgres, such as `{a,b,0}`.
    JsonOfKeys,
    TextOfKeys,
    /// The JSON and the value at the end of steps as Postgres has them: texts, of which one into an array is a place.
    JsonOfSteps,
    TextOfSteps,
}

impl What {
    fn has_path(self) -> bool {
        match self {
            What::Json | What::Text | What::JsonOfSteps | What::TextOfSteps => false,
            What::TextOfPath | What::JsonOfPath | What::JsonOfKeys | What::TextOfKeys => true,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Json {
    name: &'static str,
    what: What,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Json {
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
        let is_text = |it: &DataType| {
            matches!(
                it,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
            )
        };
        match types {
            [json, path] if self.what.has_path() && is_text(json) && is_text(path) => {}
            [json, steps @ ..]
                if !self.what.has_path()
                    && is_text(json)
                    && !steps.is_empty()
                    && steps.iter().all(|it| is_text(it) || it.is_integer()) => {}
            _ if matches!(self.what, What::JsonOfKeys | What::TextOfKeys) => {
                return plan_err!("of JSON text a path is written as a text: json #>> '{{a,b,0}}'");
            }
            _ if self.what.has_path() => {
                return plan_err!("write {}(json, '$.a.b[0]')", self.name);
            }
            _ => {
                return plan_err!(
                    "of JSON text a member is taken by its name and an element by its number, from 0: json -> 'a' ->> 0"
                );
            }
        }
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = args.args.iter().map(|it| it.to_array(rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let [json, steps @ ..] = columns.as_slice() else {
            return exec_err!("{} takes JSON text", self.name);
        };
        let json = cast(json, &DataType::Utf8)?;
        let json = json.as_string::<i32>();
        let steps = steps.iter().map(|it| match self.what {
            What::JsonOfSteps | What::TextOfSteps => Steps::either(it),
            _ => Steps::new(it),
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let value = |row: usize| {
            if json.is_null(row) {
                return None;
            }
            let whole: &RawValue = serde_json::from_str(json.value(row)).ok()?;
            let found = match (self.what, steps.as_slice()) {
                (what, [Steps::Names(paths)]) if what.has_path() && paths.is_valid(row) => {
                    let path = match what {
                        What::JsonOfKeys | What::TextOfKeys => keys_of(paths.value(row))?,
                        _ => steps_of(paths.value(row))?,
                    };
                    path.iter().try_fold(whole, |it, step| step.of(it))?
                }
                (what, _) if what.has_path() => return None,
                _ => steps
                    .iter()
                    .try_fold(whole, |it, steps| steps.at(row)?.of(it))?,
            };
            match self.what {
                What::Json | What::JsonOfPath | What::JsonOfKeys | What::JsonOfSteps => {
                    Some(found.get().to_owned())
                }
                What::Text | What::TextOfPath | What::TextOfKeys | What::TextOfSteps => {
                    text_of(found)
                }
            }
        };
        let values: StringArray = (0..rows).map(value).collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

/// A string without its quotes, NULL for null, and what else there is as it is written.
pub(super) fn text_of(json: &RawValue) -> Option<String> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}

/// One step into JSON.
enum Step {
    Member(String),
    /// From 0; below zero from the end.
    Element(i64),
    /// The member of an object or, by its number, the element of an array.
    Either(String),
}

impl Step {
    fn of<'a>(&self, json: &'a RawValue) -> Option<&'a RawValue> {
        match self {
            Step::Either(name) if json.get().starts_with('[') => {
                Step::Element(name.parse().ok()?).of(json)
            }
            Step::Member(name) | Step::Either(name) => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json.get()).ok()?;
                members.get(name).copied()
            }
            Step::Element(at) => {
                let elements: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
                let at = match at.checked_neg() {
                    Some(back) if 0 < back => {
                        elements.len().checked_sub(usize::try_from(back).ok()?)?
                    }
                    _ => usize::try_from(*at).ok()?,
                };
                elements.get(at).copied()
            }
        }
    }
}

/// A column of steps.
enum Steps {
    Names(StringArray),
    NamesOrPlaces(StringArray),
    Places(arrow::array::Int64Array),
}

impl Steps {
    fn new(column: &ArrayRef) -> Result<Self> {
        Ok(match column.data_type().is_integer() {
            true => {
                let places = cast(column, &DataType::Int64)?;
                Steps::Places(places.as_primitive::<Int64Type>().clone())
            }
            false => Steps::Names(cast(column, &DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    fn either(column: &ArrayRef) -> Result<Self> {
        let names = cast(column, &DataType::Utf8)?;
        Ok(Steps::NamesOrPlaces(names.as_string::<i32>().clone()))
    }

    fn at(&self, row: usize) -> Option<Step> {
        match self {
            Steps::NamesOrPlaces(it) => it
                .is_valid(row)
                .then(|| Step::Either(it.value(row).to_owned())),
            Steps::Names(it) => it
                .is_valid(row)
                .then(|| Step::Member(it.value(row).to_owned())),
            Steps::Places(it) => it.is_valid(row).then(|| Step::Element(it.value(row))),
        }
    }
}

/// The steps of a path of Postgres.
fn keys_of(path: &str) -> Option<Vec<Step>> {
    let names = names_of_path(path)?;
    Some(names.into_iter().map(Step::Either).collect())
}

/// The names in a path of Postgres: an array of texts as it prints one.
pub(super) fn names_of_path(path: &str) -> Option<Vec<String>> {
    let mut rest = path.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (name, behind) = quoted.split_once('"')?;
                (name, behind)
            }
            None => {
                let (name, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (name.trim(), behind)
            }
        };
        steps.push(name.to_owned());
        rest = match behind.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    Some(steps)
}

/// The steps of a path in SQL's dialect of JSONPath: `$.member`, `$['member']`, `$[0]`; nothing if it has other parts.
fn steps_of(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(member) = rest.strip_prefix('.') {
            let end = member.find(['.', '[']).unwrap_or(member.len());
            let (name, behind) = member.split_at(end);
            if name.is_empty() || name.contains('*') {
                return None;
            }
            steps.push(Step::Member(name.trim_matches('"').to_owned()));
            rest = behind;
        } else {
            let (inner, behind) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = inner
                .strip_prefix(['\'', '"'])
                .and_then(|it| it.strip_suffix(['\'', '"']));
            steps.push(match quoted {
                Some(name) => Step::Member(name.to_owned()),
                None => Step::Element(inner.parse().ok()?),
            });
            rest = behind;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(json: &str, steps: &[Step]) -> Option<String> {
        let whole: &RawValue = serde_json::from_str(json).ok()?;
        text_of(steps.iter().try_fold(whole, |it, step| step.of(it))?)
    }

    #[test]
    fn values_are_taken_out_of_json_by_paths() {
        let json = r#"{"a": {"b\n": [1.50, "x\"y", null, {"c": true}]}, "a b": 7}"#;
        let reads = [
            ("$", Some(json)),
            ("$.a", Some(r#"{"b\n": [1.50, "x\"y", null, {"c": true}]}"#)),
            ("$['a b']", Some("7")),
            ("$.a.b\n[0]", Some("1.50")),
            ("$.a.b\n[1]", Some("x\"y")),
            ("$.a.b\n[2]", None),
            ("$.a.b\n[-1].c", Some("true")),
            ("$.a.b\n[-5]", None),
            ("$.a.b\n[4]", None),
            ("$.a[0]", None),
            ("$.nothing.more", None),
        ];
        for (path, expect) in reads {
            let steps = steps_of(path).expect("a path");
            assert_eq!(get(json, &steps).as_deref(), expect, "{path}");
        }
        for none in ["a", "$a", "$.", "$.*", "$[x]", "$[0"] {
            assert!(steps_of(none).is_none(), "{none}");
        }
        assert_eq!(get("no json", &[]), None);
    }
}
