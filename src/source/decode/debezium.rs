//! Envelopes of Debezium: what has become of a row, as the record that says the same.
//!
//! ```text
//! {"before": …, "after": …, "op": "c"}    also as the "payload" beside its "schema"
//! c, r, u     created, read for the snapshot, updated: the row is `after`
//! d           deleted: `before` has the key, and is gone
//! anything else is no row, and a dead letter
//! ```
//! Numbers in a DATE are days, in a TIMESTAMP milliseconds, microseconds or nanoseconds, told from each other by their size.

use super::DELETED_COLUMN;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    /// Of a message about the database itself.
    #[serde(borrow)]
    ddl: Option<&'a RawValue>,
}

/// The record that an envelope stands for.
///
/// # Errors
/// If it stands for none, or for two: a sentence.
pub(super) fn record(raw: &[u8], key: &[String]) -> Result<Vec<u8>, String> {
    if std::str::from_utf8(raw).is_err() {
        return Err("the record is not valid UTF-8".to_owned());
    }
    let wrong = |it: serde_json::Error| format!("the record is no envelope of Debezium: {it}");
    let mut envelope: Envelope = serde_json::from_slice(raw).map_err(wrong)?;
    if let (Some(payload), None) = (envelope.payload, &envelope.op) {
        envelope = serde_json::from_str(payload.get()).map_err(wrong)?;
    }
    let (before, after) = (row(envelope.before), row(envelope.after));
    match envelope.op.as_deref() {
        Some("c" | "r" | "u") => {
            let after = after.ok_or("the envelope has no row in `after`")?;
            if let Some(before) = before {
                same_key(before, after, key)?;
            }
            Ok(after.as_bytes().to_vec())
        }
        Some("d") => {
            let before = before.ok_or(
                "the row was deleted, and the envelope does not say which: `before` is null; give the table a REPLICA IDENTITY",
            )?;
            Ok(deleted(before))
        }
        Some("t") => Err("the table was truncated, which no record of one row can say: the rows that are known stay".to_owned()),
        Some(other) => Err(format!("op {other:?} says nothing of a row")),
        None if envelope.ddl.is_some() => {
            Err("the record is a change of the schema, not of a row".to_owned())
        }
        None => Err("the record is no envelope of Debezium: it has no `op`".to_owned()),
    }
}

/// The key of a message without a value; Kafka Connect wraps it like a record.
pub(super) fn key(raw: &[u8]) -> Cow<'_, [u8]> {
    match serde_json::from_slice::<Map<String, Value>>(raw) {
        Ok(members) if members.contains_key("schema") && members.contains_key("payload") => {
            Cow::Owned(members["payload"].to_string().into_bytes())
        }
        _ => Cow::Borrowed(raw),
    }
}

fn row(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|it| it.starts_with('{'))
}

fn deleted(row: &str) -> Vec<u8> {
    let rest = row[1..].trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    format!("{{\"{DELETED_COLUMN}\":true{comma}{rest}").into_bytes()
}

/// One record cannot both remove a row and bring another one.
fn same_key(before: &str, after: &str, key: &[String]) -> Result<(), String> {
    let parse = |row: &str| serde_json::from_str::<Map<String, Value>>(row).unwrap_or_default();
    let (before, after) = (parse(before), parse(after));
    for name in key {
        // Of an update many databases tell no row before it, or one of nulls.
        if let (Some(was), Some(is)) = (before.get(name), after.get(name))
            && !was.is_null()
            && was != is
        {
            return Err(format!(
                "the update changes {name}, which is of the primary key, from {was} to {is}: that is a row that goes and one that comes, which Debezium tells as a delete and a create"
            ));
        }
    }
    Ok(())
}
