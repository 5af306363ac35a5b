//! Rows and columns as JSON and CSV text: one spelling of types and values for every answer and frame.

use crate::model::{Row, Value};
use crate::sql::sql_type_name;
use arrow::datatypes::Schema;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::fmt::Write;

/// Writes rows of one schema as JSON objects.
#[derive(Clone, Debug)]
pub struct RowWriter {
    /// `"name":` of each column, already escaped.
    keys: Vec<String>,
    names: Vec<String>,
    types: Vec<String>,
}

impl RowWriter {
    /// A second column of one name gets a number, since an object has each name once.
    pub fn new(schema: &Schema) -> Self {
        let mut taken = HashSet::new();
        let mut names = Vec::new();
        for field in schema.fields() {
            let mut name = field.name().clone();
            let mut number = 2;
            while !taken.insert(name.clone()) {
                name = format!("{}_{number}", field.name());
                number += 1;
            }
            names.push(name);
        }
        let keys = names
            .iter()
            .map(|it| format!("{}:", Json::from(it.as_str())))
            .collect();
        let types = schema
            .fields()
            .iter()
            .map(|it| sql_type_name(it.data_type()))
            .collect();
        RowWriter { keys, names, types }
    }

    /// As the objects have them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `[{"name":…,"type":…}]`
    pub fn columns(&self) -> Json {
        self.names
            .iter()
            .zip(&self.types)
            .map(|(name, kind)| json!({"name": name, "type": kind}))
            .collect()
    }

    /// Adds one object to a text.
    pub fn write(&self, row: &Row, text: &mut String) {
        text.push('{');
        for (at, (key, value)) in self.keys.iter().zip(row.0.iter()).enumerate() {
            if at != 0 {
                text.push(',');
            }
            text.push_str(key);
            write_value(value, text);
        }
        text.push('}');
    }

    /// `[{…},…]`, each row as often as it is there.
    pub fn array<'a>(&self, rows: impl Iterator<Item = (&'a Row, i64)>) -> String {
        let mut text = String::from("[");
        for (row, count) in rows {
            for _ in 0..count {
                if text.len() != 1 {
                    text.push(',');
                }
                self.write(row, &mut text);
            }
        }
        text.push(']');
        text
    }
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Int(it) => {
            let _ = write!(text, "{it}");
        }
        Value::Bool(it) => text.push_str(if *it { "true" } else { "false" }),
        Value::Null => text.push_str("null"),
        other => {
            let _ = write!(text, "{}", other.to_json());
        }
    }
}

/// One line of CSV (RFC 4180). NULL is an empty field, and an empty text is `""`; lists and structs are JSON.
///
/// `arrow_csv` writes NULL and an empty text alike, and refuses lists and structs.
pub fn write_csv<'a>(values: impl Iterator<Item = &'a Value>, text: &mut String) {
    for (at, value) in values.enumerate() {
        if at != 0 {
            text.push(',');
        }
        match value.to_json() {
            Json::Null => {}
            Json::String(it) if it.contains(['"', ',', '\n', '\r']) || it.is_empty() => {
                let _ = write!(text, "\"{}\"", it.replace('"', "\"\""));
            }
            Json::String(it) => text.push_str(&it),
            other => {
                let _ = write!(text, "{other}");
            }
        }
    }
    text.push_str("\r\n");
}
