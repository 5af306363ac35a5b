//! Parameters in the query of an address: declared once per route, read and bounded here before a handler runs, and described by the
//! same words in the OpenAPI document.
//!
//! A name that a route does not declare is refused with those that it does: who misspells `where` must not be shown everything.
//! The endpoints of older pages are the exception: they ignore what they do not know, and take the nearest number they can.

use super::filter::{TIMES_US, time_of};
use super::problem::Problem;
use crate::model::{Epoch, iso_of_micros, wall_ms};
use crate::view::Heard;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use url::form_urlencoded;

/// Frames per second of a view.
pub const RATE_LEAST: f64 = 0.1;
pub const RATE_MOST: f64 = 30.0;
/// Longest value taken.
const VALUE_BYTES_MAX: usize = 8_000;
/// Longest part of a value that an error repeats.
const TOLD_CHARACTERS_MAX: usize = 100;

/// One parameter of a route.
#[derive(Debug)]
pub struct Parameter {
    /// One that ends with a dot is followed by a name: `where.` stands for `where.tail`.
    pub name: &'static str,
    pub kind: Kind,
    pub about: &'static str,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// ISO 8601, or milliseconds since 1970.
    Time,
    Count {
        least: usize,
        most: usize,
    },
    /// Frames per second.
    Rate,
    /// Milliseconds since 1970; what follows a dot is not looked at.
    Epoch,
    /// `<generation>.<epoch>`, or the id of a frame.
    Heard,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Time(i64),
    Count(usize),
    Rate(f64),
    Epoch(Epoch),
    Heard(Heard),
}

/// The parameters of one request. Asking for one that the route does not declare, or for another kind of it, is a bug.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, Value>);

/// Those of the request, as the check left them.
impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let checked = parts.extensions.remove::<Parameters>();
        Ok(checked.expect("every route that takes parameters declares them"))
    }
}

impl Parameters {
    /// Reads the query of an address. An empty value is as good as none. `lenient` is for the endpoints of older pages.
    ///
    /// # Errors
    /// Says which parameter is wrong, and what is possible.
    pub fn read(
        declared: &'static [Parameter],
        query: &str,
        lenient: bool,
    ) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = declared.iter().find(|it| it.is(&name)) else {
                match lenient {
                    true => continue,
                    false => return Err(unknown(declared, &name)),
                }
            };
            if text.is_empty() {
                continue;
            }
            let value = parameter.kind.read(&text, lenient).map_err(|expected| {
                let told: String = text.chars().take(TOLD_CHARACTERS_MAX).collect();
                Problem::bad_request("bad_parameter", format!("{name}={told} is not {expected}"))
                    .with("parameter", name.as_ref())
                    .hint(format!("`{}` is {}", parameter.name, parameter.about))
            })?;
            if values.insert(name.clone().into_owned(), value).is_some() && !lenient {
                return Err(Problem::bad_request(
                    "bad_parameter",
                    format!("`{name}` is given twice"),
                )
                .with("parameter", name.as_ref()));
            }
        }
        Ok(Parameters(values))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(it) => Some(it),
            other => wrong_kind(name, other),
        }
    }

    /// Microseconds since 1970.
    pub fn time(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Time(it) => Some(*it),
            other => wrong_kind(name, other),
        }
    }

    /// The times `from` and `to`, in microseconds: up to now if nothing is said, and so long before it.
    ///
    /// # Errors
    /// If the one is not before the other.
    pub fn range(&self, length_us: i64) -> Result<(i64, i64), Problem> {
        let now = i64::try_from(wall_ms()).map_or(*TIMES_US.end(), |it| {
            it.saturating_mul(1000).min(*TIMES_US.end())
        });
        let to = self.time("to").unwrap_or(now);
        let from = self.time("from").unwrap_or(to - length_us);
        match from < to {
            true => Ok((from, to)),
            false => Err(Problem::bad_request(
                "bad_parameter",
                "`from` must be before `to`",
            )),
        }
    }

    pub fn count(&self, name: &str) -> Option<usize> {
        match self.0.get(name)? {
            Value::Count(it) => Some(*it),
            other => wrong_kind(name, other),
        }
    }

    pub fn rate(&self, name: &str) -> Option<f64> {
        match self.0.get(name)? {
            Value::Rate(it) => Some(*it),
            other => wrong_kind(name, other),
        }
    }

    pub fn epoch(&self, name: &str) -> Option<Epoch> {
        match self.0.get(name)? {
            Value::Epoch(it) => Some(*it),
            other => wrong_kind(name, other),
        }
    }

    pub fn heard(&self, name: &str) -> Option<Heard> {
        match self.0.get(name)? {
            Value::Heard(it) => Some(*it),
            other => wrong_kind(name, other),
        }
    }

    /// All texts whose names begin so, with the rest of their names.
    pub fn texts<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let rest = move |(name, value): (&'a String, &'a Value)| match value {
            Value::Text(text) => Some((name.strip_prefix(start)?, text.as_str())),
            Value::Time(_)
            | Value::Count(_)
            | Value::Rate(_)
            | Value::Epoch(_)
            | Value::Heard(_) => None,
        };
        self.0.iter().filter_map(rest)
    }
}

fn wrong_kind(name: &str, value: &Value) -> ! {
    panic!("parameter `{name}` was declared as another kind: {value:?}")
}

fn unknown(declared: &[Parameter], name: &str) -> Problem {
    let told: String = name.chars().take(TOLD_CHARACTERS_MAX).collect();
    let problem = Problem::bad_request(
        "unknown_parameter",
        format!("there is no parameter `{told}` here"),
    )
    .with("parameter", told);
    let names: Vec<String> = declared.iter().map(Parameter::form).collect();
    match names.is_empty() {
        true => problem.hint("this address takes no parameters"),
        false => problem.hint(format!("there are: {}", names.join(", "))),
    }
}

impl Parameter {
    fn is(&self, name: &str) -> bool {
        match self.name.ends_with('.') {
            true => name.len() > self.name.len() && name.starts_with(self.name),
            false => name == self.name,
        }
    }

    /// As people write it.
    pub fn form(&self) -> String {
        match self.name.ends_with('.') {
            true => format!("{}<name>", self.name),
            false => self.name.to_owned(),
        }
    }

    /// As OpenAPI describes it; a name that is followed by another is not one of its own there.
    pub fn describe(&self) -> Option<Json> {
        let bounds = match self.kind {
            Kind::Count { least, most } => format!(", {least} to {most}"),
            Kind::Rate => format!(", {RATE_LEAST} to {RATE_MOST}"),
            Kind::Text | Kind::Choice(_) | Kind::Time | Kind::Epoch | Kind::Heard => String::new(),
        };
        let schema = match self.kind {
            Kind::Choice(words) => json!({"type": "string", "enum": words}),
            _ => json!({"type": "string"}),
        };
        (!self.name.ends_with('.')).then(|| {
            json!({
                "name": self.name,
                "in": "query",
                "description": format!("{}{bounds}", self.about),
                "schema": schema,
            })
        })
    }
}

impl Kind {
    /// What is expected, if it is something else.
    fn read(self, text: &str, lenient: bool) -> Result<Value, String> {
        if VALUE_BYTES_MAX < text.len() {
            return Err(format!("at most {VALUE_BYTES_MAX} bytes long"));
        }
        if text.contains(['\u{fffd}', '\0']) {
            return Err("UTF-8 text".to_owned());
        }
        match self {
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => match words.contains(&text) {
                true => Ok(Value::Text(text.to_owned())),
                false => Err(format!("one of {}", words.join(", "))),
            },
            Kind::Time => match time_of(text) {
                Some(time) if TIMES_US.contains(&time) => Ok(Value::Time(time)),
                Some(_) => Err(format!(
                    "between {} and {}",
                    iso_of_micros(*TIMES_US.start()),
                    iso_of_micros(*TIMES_US.end())
                )),
                None => Err(
                    "a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970".to_owned(),
                ),
            },
            Kind::Count { least, most } => match text.parse::<usize>() {
                Ok(count) if (least..=most).contains(&count) => Ok(Value::Count(count)),
                Ok(count) if lenient => Ok(Value::Count(count.clamp(least, most))),
                Ok(_) | Err(_) => Err(format!("a whole number from {least} to {most}")),
            },
            Kind::Rate => match text.parse::<f64>() {
                Ok(rate) if (RATE_LEAST..=RATE_MOST).contains(&rate) => Ok(Value::Rate(rate)),
                Ok(_) | Err(_) => Err(format!("frames per second, {RATE_LEAST} to {RATE_MOST}")),
            },
            Kind::Epoch => match text.split('.').next().map(str::parse) {
                Some(Ok(epoch)) => Ok(Value::Epoch(Epoch(epoch))),
                Some(Err(_)) | None => Err("an epoch: milliseconds since 1970".to_owned()),
            },
            Kind::Heard => match text.parse() {
                Ok(heard) => Ok(Value::Heard(heard)),
                Err(_) => Err("<generation>.<epoch>, or the id of a frame".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &[Parameter] = &[
        Parameter {
            name: "limit",
            kind: Kind::Count { least: 1, most: 50 },
            about: "most rows",
        },
        Parameter {
            name: "from",
            kind: Kind::Time,
            about: "start",
        },
        Parameter {
            name: "where.",
            kind: Kind::Text,
            about: "filter of a topic",
        },
        Parameter {
            name: "side",
            kind: Kind::Choice(&["left", "right"]),
            about: "which side",
        },
    ];

    fn code(query: &str) -> &'static str {
        Parameters::read(DECLARED, query, false).map_or_else(|it| it.code, |_| "")
    }

    #[test]
    fn only_declared_names_and_values_in_bounds_pass() {
        for (query, expected) in [
            ("", ""),
            ("limit=50&from=2026-01-31T12:00:00Z&where.tail=a", ""),
            ("limit=", ""),
            ("from=1700-01-01T00:00:00Z", ""),
            ("limit=0", "bad_parameter"),
            ("limit=51", "bad_parameter"),
            ("limit=-1", "bad_parameter"),
            ("limit=1&limit=1", "bad_parameter"),
            ("limit=99999999999999999999", "bad_parameter"),
            ("from=-5000000000000000", "bad_parameter"),
            ("from=9223372036854775807", "bad_parameter"),
            ("from=9999-12-31T00:00:00Z", "bad_parameter"),
            ("from=soon", "bad_parameter"),
            ("side=left", ""),
            ("side=up", "bad_parameter"),
            ("where.tail=%ff", "bad_parameter"),
            ("where.tail=%00", "bad_parameter"),
            ("where=a", "unknown_parameter"),
            ("where.=a", "unknown_parameter"),
            ("Limit=1", "unknown_parameter"),
            ("x", "unknown_parameter"),
        ] {
            assert_eq!(code(query), expected, "{query}");
        }
    }

    #[test]
    fn a_refusal_tells_what_exists() {
        let refused = Parameters::read(DECLARED, "wehre.tail=a", false).expect_err("it is unknown");
        assert_eq!(refused.hint, "there are: limit, from, where.<name>, side");
        let none = Parameters::read(&[], "a=1", false).expect_err("there are none");
        assert_eq!(none.hint, "this address takes no parameters");
    }

    #[test]
    fn older_pages_may_say_more_than_is_known() {
        let read = Parameters::read(DECLARED, "_=17&limit=4000&limit=9", true).expect("it passes");
        assert_eq!(read.count("limit"), Some(9));
    }
}
