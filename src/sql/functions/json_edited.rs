//! JSON that is made of other JSON: members set, left out and put together, and the lax paths of Postgres' `jsonb_path_…`.
//!
//! What is changed is written as `jsonb` is, members in its order; what is below it stays as it was written. Of text that is no JSON the result
//! is NULL, as in `json`.

use super::json_made::members_of;
use super::rowwise::Takes::{Bool, Int, Text, Texts};
use super::rowwise::{Arg, Given, Gives, RESULT_BYTES_MAX, Rowwise};
use datafusion::common::{Result, exec_err};
use serde_json::value::RawValue;

/// Steps of a path, and levels of JSON that is walked as a whole.
const LEVELS_MAX: usize = 128;

/// All of them.
pub(super) fn all() -> Vec<Rowwise> {
    vec![
        Rowwise {
            name: "json_without",
            usage: "json - 'name', json - 0 or json - ARRAY['a', 'b'] for JSON",
            ways: &[
                (&[Text, Text], Gives::Text),
                (&[Text, Int], Gives::Text),
                (&[Text, Texts], Gives::Text),
            ],
            of: |it| match Doc::of(it[0].text()) {
                Some(json) => without(json, &it[1]),
                None => Ok(None),
            },
            check: None,
        },
        Rowwise {
            name: "json_without_path",
            usage: "json #- '{a,b,0}' for JSON",
            ways: &[(&[Text, Text], Gives::Text), (&[Text, Texts], Gives::Text)],
            of: |it| {
                let path = path_of(&it[1])?;
                text(without_path(it[0].text(), &path)?)
            },
            check: None,
        },
        Rowwise {
            name: "jsonb_set",
            usage: "jsonb_set(json, '{a,b}', value), with false behind it to set only what is there",
            ways: &[
                (&[Text, Text, Text], Gives::Text),
                (&[Text, Texts, Text], Gives::Text),
                (&[Text, Text, Text, Bool], Gives::Text),
                (&[Text, Texts, Text, Bool], Gives::Text),
            ],
            of: |it| {
                let (Some(_), Some(value)) = (raw(it[0].text()), raw(it[2].text())) else {
                    return Ok(None);
                };
                let adds = it.get(3).is_none_or(|it| it.int() != 0);
                let path = path_of(&it[1])?;
                text(with(it[0].text(), &path, value, adds)?)
            },
            check: None,
        },
        Rowwise {
            name: "json_concat",
            usage: "json_concat(json, json)",
            ways: &[(&[Text, Text], Gives::Text)],
            of: |it| text(together(it[0].text(), it[1].text())),
            check: None,
        },
        Rowwise {
            name: "jsonb_pretty",
            usage: "jsonb_pretty(json)",
            ways: &[(&[Text], Gives::Text)],
            of: |it| {
                let Some(json) = raw(it[0].text()) else {
                    return Ok(None);
                };
                let mut indented = String::new();
                indent(json, 0, &mut indented)?;
                text(Some(indented))
            },
            check: None,
        },
        Rowwise {
            name: "is_json",
            usage: "text IS JSON, with VALUE, SCALAR, ARRAY or OBJECT behind it",
            ways: &[(&[Text], Gives::Bool), (&[Text, Text], Gives::Bool)],
            of: |it| {
                let first = raw(it[0].text()).and_then(|it| it.get().bytes().next());
                let is_one = match it.get(1).map_or("value", Arg::text) {
                    "object" => first == Some(b'{'),
                    "array" => first == Some(b'['),
                    "scalar" => first.is_some_and(|it| !b"{[".contains(&it)),
                    _ => first.is_some(),
                };
                Ok(Some(Given::Bool(is_one)))
            },
            check: None,
        },
        any_key(
            "json_has_any_key",
            "json ?| ARRAY['a', 'b'] for JSON",
            |it| keys(it, |mut all, is_there| all.any(is_there)),
        ),
        any_key(
            "json_has_all_keys",
            "json ?& ARRAY['a', 'b'] for JSON",
            |it| keys(it, |mut all, is_there| all.all(is_there)),
        ),
        Rowwise {
            name: "jsonb_path_exists",
            usage: "jsonb_path_exists(json, '$.a[*].b')",
            ways: &[(&[Text, Text], Gives::Bool)],
            of: |it| Ok(items(it)?.map(|it| Given::Bool(!it.is_empty()))),
            check: Some(is_path),
        },
        Rowwise {
            name: "jsonb_path_query_first",
            usage: "jsonb_path_query_first(json, '$.a[*].b')",
            ways: &[(&[Text, Text], Gives::Text)],
            of: |it| {
                let first = items(it)?.and_then(|it| it.first().copied());
                text(first.map(|it| it.get().to_owned()))
            },
            check: Some(is_path),
        },
        Rowwise {
            name: "jsonb_path_query_array",
            usage: "jsonb_path_query_array(json, '$.a[*].b')",
            ways: &[(&[Text, Text], Gives::Text)],
            of: |it| text(items(it)?.map(|it| array(&it))),
            check: Some(is_path),
        },
    ]
}

fn any_key(
    name: &'static str,
    usage: &'static str,
    of: fn(&[Arg]) -> Result<Option<Given>>,
) -> Rowwise {
    Rowwise {
        name,
        usage,
        ways: &[(&[Text, Texts], Gives::Bool)],
        of,
        check: None,
    }
}

fn text(it: Option<String>) -> Result<Option<Given>> {
    Ok(it.map(Given::Text))
}

fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// JSON with what is one level below it.
enum Doc<'a> {
    /// In the order of `jsonb`, each name once.
    Object(Vec<(String, &'a RawValue)>),
    Array(Vec<&'a RawValue>),
    Scalar(&'a str),
}

impl<'a> Doc<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = raw(text)?.get();
        Some(match text.as_bytes().first()? {
            b'{' => Doc::Object(members_of(text)?),
            b'[' => Doc::Array(serde_json::from_str(text).ok()?),
            _ => Doc::Scalar(text),
        })
    }
}

fn name(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members = members.map(|(of, value)| format!("{}: {value}", name(of)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

fn array(elements: &[&RawValue]) -> String {
    let elements: Vec<&str> = elements.iter().map(|it| it.get()).collect();
    format!("[{}]", elements.join(", "))
}

/// The place of an element, from the end if it is below zero; none if there is none.
fn place(at: i64, length: usize) -> Option<usize> {
    let at = match at < 0 {
        true => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?,
        false => usize::try_from(at).ok()?,
    };
    (at < length).then_some(at)
}

fn without(json: Doc, what: &Arg) -> Result<Option<Given>> {
    let names: &[String] = match what {
        Arg::Text(name) => &[(*name).to_owned()],
        Arg::Texts(names) => names,
        Arg::Int(_) | Arg::Float(_) | Arg::Bytes(_) => &[],
    };
    let kept = match (json, what) {
        (Doc::Array(mut elements), Arg::Int(at)) => {
            if let Some(at) = place(*at, elements.len()) {
                elements.remove(at);
            }
            array(&elements)
        }
        (Doc::Object(_), Arg::Int(at)) => {
            return exec_err!("an object of JSON has no element {at}");
        }
        (Doc::Object(members), _) => object(
            members
                .iter()
                .filter(|it| !names.contains(&it.0))
                .map(|(name, value)| (name.as_str(), value.get())),
        ),
        (Doc::Array(mut elements), _) => {
            let is_one = |it: &&RawValue| match serde_json::from_str::<String>(it.get()) {
                Ok(it) => names.contains(&it),
                Err(_) => false,
            };
            elements.retain(|it| !is_one(it));
            array(&elements)
        }
        (Doc::Scalar(it), _) => return exec_err!("{it} of JSON has no members"),
    };
    text(Some(kept))
}

/// A path as an array of texts, or as Postgres prints one.
fn path_of(path: &Arg) -> Result<Vec<String>> {
    let steps = match path {
        Arg::Texts(steps) => Some(steps.clone()),
        other => super::json::names_of_path(other.text()),
    };
    match steps {
        Some(steps) if steps.len() <= LEVELS_MAX => Ok(steps),
        Some(_) => exec_err!("a path into JSON has at most {LEVELS_MAX} steps"),
        None => exec_err!("'{}' is no path into JSON; write '{{a,b,0}}'", path.text()),
    }
}

fn without_path(json: &str, path: &[String]) -> Result<Option<String>> {
    let (Some(doc), [step, below @ ..]) = (Doc::of(json), path) else {
        return Ok(raw(json).map(|it| it.get().to_owned()));
    };
    Ok(Some(match doc {
        Doc::Object(members) => {
            let mut kept = Vec::new();
            for (name, value) in members {
                match (name == *step, below) {
                    (true, []) => {}
                    (true, below) => {
                        let value = without_path(value.get(), below)?;
                        kept.push((name, value.unwrap_or_default()));
                    }
                    (false, _) => kept.push((name, value.get().to_owned())),
                }
            }
            object(kept.iter().map(|it| (it.0.as_str(), it.1.as_str())))
        }
        Doc::Array(elements) => {
            let found = place(number_of(step)?, elements.len());
            let mut kept = Vec::new();
            for (at, element) in elements.iter().enumerate() {
                match (found == Some(at), below) {
                    (true, []) => {}
                    (true, below) => {
                        kept.push(without_path(element.get(), below)?.unwrap_or_default());
                    }
                    (false, _) => kept.push(element.get().to_owned()),
                }
            }
            format!("[{}]", kept.join(", "))
        }
        Doc::Scalar(it) => it.to_owned(),
    }))
}

fn number_of(step: &str) -> Result<i64> {
    match step.parse() {
        Ok(it) => Ok(it),
        Err(_) => exec_err!("'{step}' is no place in an array of JSON"),
    }
}

/// JSON with a value at the end of a path. What is missing before the end is not made; the end is, if `adds` says so.
fn with(json: &str, path: &[String], value: &RawValue, adds: bool) -> Result<Option<String>> {
    let (Some(doc), [step, below @ ..]) = (Doc::of(json), path) else {
        return Ok(raw(json).map(|it| it.get().to_owned()));
    };
    let set = |old: &RawValue| -> Result<String> {
        match below {
            [] => Ok(value.get().to_owned()),
            below => Ok(with(old.get(), below, value, adds)?.unwrap_or_default()),
        }
    };
    let is_added = adds && below.is_empty();
    Ok(Some(match doc {
        Doc::Object(mut members) => {
            if is_added && !members.iter().any(|it| it.0 == *step) {
                let key = |it: &str| (it.len(), it.to_owned());
                let at = members.partition_point(|it| key(&it.0) < key(step));
                members.insert(at, (step.clone(), value));
            }
            let set = members.into_iter().map(|(name, old)| {
                let value = match name == *step {
                    true => set(old)?,
                    false => old.get().to_owned(),
                };
                Ok((name, value))
            });
            let set = set.collect::<Result<Vec<(String, String)>>>()?;
            object(set.iter().map(|it| (it.0.as_str(), it.1.as_str())))
        }
        Doc::Array(elements) => {
            let at = number_of(step)?;
            let found = place(at, elements.len());
            let mut all = Vec::with_capacity(elements.len() + 1);
            for (here, old) in elements.iter().enumerate() {
                all.push(match found == Some(here) {
                    true => set(old)?,
                    false => old.get().to_owned(),
                });
            }
            // Beyond the end it is the last one, and before the beginning the first.
            match (found, is_added) {
                (None, true) if at < 0 => all.insert(0, value.get().to_owned()),
                (None, true) => all.push(value.get().to_owned()),
                _ => {}
            }
            format!("[{}]", all.join(", "))
        }
        Doc::Scalar(it) => return exec_err!("nothing can be set in {it} of JSON"),
    }))
}

/// `a || b` of Postgres: members of both objects, those of the second where both have one, or elements of both arrays, of which anything else is one.
fn together(a: &str, b: &str) -> Option<String> {
    let (a_raw, b_raw) = (raw(a)?, raw(b)?);
    Some(match (Doc::of(a)?, Doc::of(b)?) {
        (Doc::Object(a), Doc::Object(b)) => {
            let members = a.into_iter().chain(b);
            let members: std::collections::BTreeMap<(usize, String), &RawValue> = members
                .map(|(name, value)| ((name.len(), name), value))
                .collect();
            object(members.iter().map(|(name, it)| (name.1.as_str(), it.get())))
        }
        (a, b) => {
            let elements = |doc, whole| match doc {
                Doc::Array(elements) => elements,
                Doc::Object(_) | Doc::Scalar(_) => vec![whole],
            };
            let mut all = elements(a, a_raw);
            all.extend(elements(b, b_raw));
            array(&all)
        }
    })
}

/// JSON on lines, each level four blanks deeper.
fn indent(json: &RawValue, level: usize, into: &mut String) -> Result<()> {
    if LEVELS_MAX < level {
        return exec_err!("jsonb_pretty takes JSON of at most {LEVELS_MAX} levels");
    }
    if RESULT_BYTES_MAX < into.len() {
        return exec_err!("jsonb_pretty makes at most {} MiB", RESULT_BYTES_MAX >> 20);
    }
    let (brackets, parts) = match Doc::of(json.get()) {
        Some(Doc::Object(members)) => {
            let parts = members.into_iter();
            let parts = parts.map(|(of, value)| (format!("{}: ", name(&of)), value));
            (['{', '}'], parts.collect::<Vec<_>>())
        }
        Some(Doc::Array(elements)) => {
            let parts = elements.into_iter().map(|it| (String::new(), it));
            (['[', ']'], parts.collect())
        }
        Some(Doc::Scalar(_)) | None => {
            into.push_str(json.get());
            return Ok(());
        }
    };
    let line = |level: usize| format!("\n{}", "    ".repeat(level));
    into.push(brackets[0]);
    for (at, (name, value)) in parts.into_iter().enumerate() {
        if 0 < at {
            into.push(',');
        }
        into.push_str(&line(level + 1));
        into.push_str(&name);
        indent(value, level + 1, into)?;
    }
    into.push_str(&line(level));
    into.push(brackets[1]);
    Ok(())
}

type Names<'a> = std::slice::Iter<'a, String>;

/// Whether JSON has some of these keys; texts in an array are keys, too.
fn keys(
    args: &[Arg],
    of: fn(Names<'_>, &dyn Fn(&String) -> bool) -> bool,
) -> Result<Option<Given>> {
    let (Some(doc), Arg::Texts(wanted)) = (Doc::of(args[0].text()), &args[1]) else {
        return Ok(None);
    };
    let string = |it: &str| serde_json::from_str::<String>(it).ok();
    let there: Vec<String> = match doc {
        Doc::Object(members) => members.into_iter().map(|it| it.0).collect(),
        Doc::Array(elements) => elements.iter().filter_map(|it| string(it.get())).collect(),
        Doc::Scalar(it) => string(it).into_iter().collect(),
    };
    let there: std::collections::BTreeSet<String> = there.into_iter().collect();
    Ok(Some(Given::Bool(of(wanted.iter(), &|it| {
        there.contains(it)
    }))))
}

/// One step of a path of the SQL standard.
#[derive(Debug, PartialEq)]
enum Step {
    Member(String),
    AllMembers,
    Element(usize),
    LastElement,
    AllElements,
}

/// The steps of a path without conditions and methods.
fn steps_of(path: &str) -> Option<Vec<Step>> {
    let path = path.trim();
    let path = path.strip_prefix("lax").map_or(path, str::trim_start);
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() && steps.len() < LEVELS_MAX {
        if let Some(member) = rest.strip_prefix('.') {
            let (step, behind) = match member.strip_prefix('"') {
                Some(quoted) => {
                    let (name, behind) = quoted.split_once('"')?;
                    if name.contains('\\') {
                        return None;
                    }
                    (Step::Member(name.to_owned()), behind)
                }
                None => {
                    let is_part = |it: char| it.is_alphanumeric() || it == '_';
                    let end = member.find(|it| !is_part(it)).unwrap_or(member.len());
                    match (member.split_at(end), member.strip_prefix('*')) {
                        (_, Some(behind)) => (Step::AllMembers, behind),
                        (("", _), None) => return None,
                        ((name, behind), None) => (Step::Member(name.to_owned()), behind),
                    }
                }
            };
            // A method.
            if behind.starts_with('(') {
                return None;
            }
            steps.push(step);
            rest = behind;
        } else {
            let (inner, behind) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(match inner.trim() {
                "*" => Step::AllElements,
                "last" => Step::LastElement,
                at => Step::Element(at.parse().ok()?),
            });
            rest = behind;
        }
    }
    rest.is_empty().then_some(steps)
}

fn no_path(path: &str) -> String {
    format!(
        "'{path}' is no path that is computed; possible are steps such as '$.a[0].\"b c\"[*]', without conditions and methods"
    )
}

fn is_path(constants: &[Option<&str>]) -> Result<(), String> {
    match constants.get(1).copied().flatten() {
        Some(path) if steps_of(path).is_none() => Err(no_path(path)),
        Some(_) | None => Ok(()),
    }
}

/// What is at the end of a path, in the lax mode: members are taken out of the objects in an array, and what is no array is one of itself.
fn items<'a>(args: &'a [Arg]) -> Result<Option<Vec<&'a RawValue>>> {
    let (json, path) = (args[0].text(), args[1].text());
    let Some(steps) = steps_of(path) else {
        return exec_err!("{}", no_path(path));
    };
    let Some(whole) = raw(json) else {
        return Ok(None);
    };
    let mut found = vec![whole];
    for step in &steps {
        found = found.into_iter().flat_map(|it| step.of(it)).collect();
    }
    Ok(Some(found))
}

impl Step {
    fn of<'a>(&self, json: &'a RawValue) -> Vec<&'a RawValue> {
        let doc = Doc::of(json.get());
        match (self, doc) {
            (Step::Member(_) | Step::AllMembers, Some(Doc::Array(elements))) => {
                let objects = elements.into_iter().filter(|it| it.get().starts_with('{'));
                objects.flat_map(|it| self.of(it)).collect()
            }
            (Step::Member(name), Some(Doc::Object(members))) => {
                let found = members.into_iter().filter(|it| it.0 == *name);
                found.map(|it| it.1).collect()
            }
            (Step::AllMembers, Some(Doc::Object(members))) => {
                members.into_iter().map(|it| it.1).collect()
            }
            (Step::Element(at), Some(Doc::Array(elements))) => {
                elements.get(*at).copied().into_iter().collect()
            }
            (Step::LastElement, Some(Doc::Array(elements))) => {
                elements.last().copied().into_iter().collect()
            }
            (Step::AllElements, Some(Doc::Array(elements))) => elements,
            (Step::Element(0) | Step::LastElement | Step::AllElements, Some(_)) => vec![json],
            (Step::Member(_) | Step::AllMembers | Step::Element(_), Some(_)) | (_, None) => {
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::functions::rowwise::computed;

    fn called(function: &str, args: &[Arg]) -> Option<String> {
        let all = all();
        let function = all.iter().find(|it| it.name == function).unwrap();
        computed(function, args).map(|it| match it {
            Given::Text(it) => it,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn members_and_elements_are_left_out() {
        use Arg::{Int, Text};
        let texts = |all: &[&str]| Arg::Texts(all.iter().map(|it| (*it).to_owned()).collect());
        for (json, what, expected) in [
            (r#"{"b":1,"a":[1, 2]}"#, Text("b"), r#"{"a": [1, 2]}"#),
            (r#"{"b":1,"a":2}"#, Text("c"), r#"{"a": 2, "b": 1}"#),
            (r#"["a",1,"b","a"]"#, Text("a"), r#"[1, "b"]"#),
            ("[1,2,3]", Int(-1), "[1, 2]"),
            ("[1,2,3]", Int(3), "[1, 2, 3]"),
            (r#"{"b":1,"a":2}"#, texts(&["a", "b"]), "{}"),
        ] {
            let found = called("json_without", &[Text(json), what.clone()]);
            assert_eq!(found.as_deref(), Some(expected), "{json} - {what:?}");
        }
        for (json, path, expected) in [
            (r#"{"a":{"b":1,"c":2}}"#, "{a,b}", r#"{"a": {"c": 2}}"#),
            (r#"["a",{"b":[1,2]}]"#, "{1,b,-1}", r#"["a", {"b": [1]}]"#),
            (r#"{"a":1}"#, "{b,c}", r#"{"a": 1}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1}"#),
        ] {
            let found = called("json_without_path", &[Text(json), Text(path)]);
            assert_eq!(found.as_deref(), Some(expected), "{json} #- {path}");
        }
        assert_eq!(called("json_without", &[Text("no"), Text("a")]), None);
        assert!(without(Doc::of("1").unwrap(), &Text("a")).is_err());
        assert!(without(Doc::of("{}").unwrap(), &Int(0)).is_err());
    }

    #[test]
    fn texts_are_json_of_a_kind() {
        for (json, kinds) in [
            ("{}", "value object"),
            (" [1]", "value array"),
            ("null", "value scalar"),
            ("1,", ""),
            ("", ""),
        ] {
            for kind in ["value", "scalar", "array", "object"] {
                let found = called("is_json", &[Arg::Text(json), Arg::Text(kind)]);
                let expected = format!("Bool({})", kinds.split(' ').any(|it| it == kind));
                assert_eq!(found, Some(expected), "{json} IS JSON {kind}");
            }
        }
    }

    #[test]
    fn values_are_set_in_json() {
        use Arg::{Int, Text};
        for (json, path, value, adds, expected) in [
            (r#"{"a":1,"b":2}"#, "{a}", "[3]", 1, r#"{"a": [3], "b": 2}"#),
            (r#"{"b":1}"#, "{aa}", "2", 1, r#"{"b": 1, "aa": 2}"#),
            (r#"{"b":1}"#, "{aa}", "2", 0, r#"{"b": 1}"#),
            (r#"{"b":1}"#, "{a,c}", "2", 1, r#"{"b": 1}"#),
            ("[0,1]", "{-1}", "5", 1, "[0, 5]"),
            ("[0,1]", "{9}", "5", 1, "[0, 1, 5]"),
            ("[0,1]", "{-9}", "5", 1, "[5, 0, 1]"),
            (
                r#"[{"a":{"b":0}}]"#,
                "{0,a,b}",
                "true",
                1,
                r#"[{"a": {"b": true}}]"#,
            ),
        ] {
            let args = [Text(json), Text(path), Text(value), Int(adds)];
            let found = called("jsonb_set", &args);
            assert_eq!(found.as_deref(), Some(expected), "{json} {path}");
        }
        assert_eq!(
            called("jsonb_set", &[Text("{}"), Text("{a}"), Text("x")]),
            None
        );
    }

    #[test]
    fn json_is_put_together() {
        for (a, b, expected) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":3}"#, r#"{"a": 1, "b": 3}"#),
            ("[1]", "[2,3]", "[1, 2, 3]"),
            ("[1]", r#"{"a":1}"#, r#"[1, {"a":1}]"#),
            ("1", "null", "[1, null]"),
        ] {
            assert_eq!(together(a, b).as_deref(), Some(expected), "{a} || {b}");
        }
        let pretty = called("jsonb_pretty", &[Arg::Text(r#"{"b":[1,{}],"a":"x"}"#)]);
        let expected =
            "{\n    \"a\": \"x\",\n    \"b\": [\n        1,\n        {\n        }\n    ]\n}";
        assert_eq!(pretty.as_deref(), Some(expected));
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let mut into = String::new();
        assert!(indent(raw(&deep).unwrap(), 0, &mut into).is_err());
    }

    #[test]
    fn paths_are_lax() {
        let json = r#"{"a":[{"b":1},{"b":2},3],"c d":{"x":null}}"#;
        for (path, expected) in [
            ("$", Some(json)),
            ("$.a.b", Some("1")),
            ("lax $.a[1].b", Some("2")),
            ("$.a[last]", Some("3")),
            ("$.a[*].b[0]", Some("1")),
            ("$.\"c d\".x", Some("null")),
            ("$.\"c d\".*", Some("null")),
            ("$.a[7]", None),
            ("$.x", None),
        ] {
            let args = [Arg::Text(json), Arg::Text(path)];
            let found = called("jsonb_path_query_first", &args);
            assert_eq!(found.as_deref(), expected, "{path}");
            let exists = called("jsonb_path_exists", &args);
            assert_eq!(
                exists,
                Some(format!("Bool({})", expected.is_some())),
                "{path}"
            );
        }
        let all = called(
            "jsonb_path_query_array",
            &[Arg::Text(json), Arg::Text("$.a[*].b")],
        );
        assert_eq!(all.as_deref(), Some("[1, 2]"));
        for none in [
            "a",
            "$.a ? (@.b > 1)",
            "$.a.size()",
            "strict $.a",
            "$..a",
            "$.a[0 to 1]",
        ] {
            assert_eq!(steps_of(none), None, "{none}");
        }
    }
}
