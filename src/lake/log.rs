//! The Delta log, written by hand: reader version 1, writer version 2, JSON actions.
//!
//! Source: the Delta transaction log protocol (PROTOCOL.md of delta-io/delta), sections "Actions" and
//! "Column invariants". What is written is only what every reader knows.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::{Value, json};
use std::sync::Arc;

/// The path of a log entry within the table.
pub fn entry_path(version: u64) -> String {
    format!("_delta_log/{}", entry_name(version))
}

/// The name of its file.
pub fn entry_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// Actions as the bytes of a log entry: one JSON object per line.
pub fn entry_bytes(actions: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for action in actions {
        bytes.extend_from_slice(action.to_string().as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// The actions of a log entry; lines that are no JSON are damage.
pub fn entry_actions(bytes: &[u8]) -> Result<Vec<Value>, String> {
    bytes
        .split(|it| *it == b'\n')
        .filter(|it| !it.is_empty())
        .map(|it| serde_json::from_slice(it).map_err(|it| it.to_string()))
        .collect()
}

/// The size of a file, by the action that adds or removes it. The protocol demands it of what is added; where another writer leaves it out of what it
/// removes, that counts as nothing.
pub fn bytes_of(action: &Value) -> u64 {
    action["size"].as_u64().unwrap_or_default()
}

/// The size of a file that is added.
pub fn bytes_of_file(file: &Value) -> u64 {
    bytes_of(&file["add"])
}

/// The table property that says which dataflow a table belongs to.
const OWNER: &str = "tidelake.dataflow";

/// The first entry of a table, which belongs to a dataflow from then on.
pub fn creation(
    name: &str,
    schema: &Schema,
    partition_by: &[String],
    dataflow: &str,
    now_ms: u64,
) -> Result<Vec<Value>, String> {
    Ok(vec![
        json!({"commitInfo": {
            "timestamp": now_ms, "operation": "CREATE TABLE", "engineInfo": engine_info(), "isBlindAppend": true,
            "operationParameters": {"partitionBy": serde_json::Value::from(partition_by).to_string()},
        }}),
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": uuid::Uuid::new_v4().to_string(),
            "name": name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema_string(schema)?,
            "partitionColumns": partition_by,
            "configuration": {
                "delta.enableExpiredLogCleanup": "false",
                // A day longer than versions can be kept: a log checkpoint must know every file that is still to be deleted.
                "delta.deletedFileRetentionDuration": "interval 8 days",
                OWNER: dataflow,
            },
            "createdTime": now_ms,
        }}),
    ])
}

/// The dataflow that a table belongs to, by its log entries: as the newest metadata says or, in a lake of an earlier version, as the first commit
/// of a dataflow does.
pub fn owner<'a>(table: &str, entries: impl IntoIterator<Item = &'a [Value]>) -> Option<String> {
    let (mut stated, mut committed) = (None, None);
    let of_table = format!("/{table}");
    for action in entries.into_iter().flatten() {
        if let Some(configuration) = action.pointer("/metaData/configuration") {
            stated = configuration[OWNER].as_str().map(str::to_owned);
        }
        let app = action.pointer("/txn/appId").and_then(Value::as_str);
        let dataflow = app.and_then(|it| it.strip_prefix("tidelake/")?.strip_suffix(&of_table));
        committed = committed.or(dataflow.map(str::to_owned));
    }
    stated.or(committed)
}

/// A schema in Delta's JSON form. All columns are nullable: what may be null later must not need a new table.
pub fn schema_string(schema: &Schema) -> Result<String, String> {
    let fields = schema
        .fields()
        .iter()
        .map(|it| field_of(it))
        .collect::<Result<Vec<_>, String>>()?;
    Ok(json!({"type": "struct", "fields": fields}).to_string())
}

fn field_of(field: &Field) -> Result<Value, String> {
    let data_type = type_of(field.data_type())?;
    Ok(json!({"name": field.name(), "type": data_type, "nullable": true, "metadata": {}}))
}

fn type_of(data_type: &DataType) -> Result<Value, String> {
    Ok(match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("binary"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(..) => json!("timestamp"),
        DataType::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        DataType::List(item) => {
            json!({"type": "array", "elementType": type_of(item.data_type())?, "containsNull": true})
        }
        DataType::Struct(fields) => {
            let fields: Result<Vec<Value>, String> = fields.iter().map(|it| field_of(it)).collect();
            json!({"type": "struct", "fields": fields?})
        }
        other => return Err(format!("type {other} has no place in a table")),
    })
}

/// A schema from Delta's JSON form, of types that are ours.
pub fn schema_of(text: &str) -> Result<Schema, String> {
    let schema: Value = serde_json::from_str(text).map_err(|it| it.to_string())?;
    fields_of(&schema).map(Schema::new)
}

fn fields_of(of: &Value) -> Result<Vec<Field>, String> {
    let fields = of["fields"].as_array();
    let fields = fields.ok_or_else(|| format!("{of} has no fields"))?;
    let field = |it: &Value| {
        let name = it["name"].as_str().unwrap_or_default();
        Ok(Field::new(name, data_type_of(&it["type"])?, true))
    };
    fields.iter().map(field).collect()
}

fn data_type_of(said: &Value) -> Result<DataType, String> {
    let unknown = || format!("type {said} is none that tidelake writes");
    if said["type"] == "array" {
        let item = data_type_of(&said["elementType"])?;
        return Ok(DataType::List(Arc::new(Field::new_list_field(item, true))));
    }
    if said["type"] == "struct" {
        return Ok(DataType::Struct(fields_of(said)?.into()));
    }
    Ok(match said.as_str().ok_or_else(unknown)? {
        "boolean" => DataType::Boolean,
        "integer" => DataType::Int32,
        "long" => DataType::Int64,
        "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        decimal => {
            let digits = decimal.strip_prefix("decimal(");
            let digits = digits.and_then(|it| it.strip_suffix(')')?.split_once(','));
            let (precision, scale) = digits.ok_or_else(unknown)?;
            let precision = precision.trim().parse().map_err(|_| unknown())?;
            let scale = scale.trim().parse().map_err(|_| unknown())?;
            DataType::Decimal128(precision, scale)
        }
    })
}

/// Who wrote a commit and for what, for people.
pub fn commit_info(operation: &str, epoch: u64, commit: u64, blind: bool, now_ms: u64) -> Value {
    json!({"commitInfo": {
        "timestamp": now_ms, "operation": operation, "engineInfo": engine_info(), "isBlindAppend": blind,
        "operationParameters": {"epoch": epoch.to_string(), "commit": commit.to_string()},
        "userMetadata": json!({"epoch": epoch, "commit": commit}).to_string(),
    }})
}

/// An application's version within the table's log.
pub fn txn(app_id: &str, version: u64, now_ms: u64) -> Value {
    json!({"txn": {"appId": app_id, "version": version, "lastUpdated": now_ms}})
}

/// Takes a file out. `data_change` is false when its rows stay in the table in another file.
pub fn remove_of(add: &Value, data_change: bool, now_ms: u64) -> Value {
    let add = &add["add"];
    json!({"remove": {
        "path": add["path"], "deletionTimestamp": now_ms, "dataChange": data_change,
        "extendedFileMetadata": true, "partitionValues": add["partitionValues"], "size": add["size"],
    }})
}

fn engine_info() -> String {
    format!("tidelake/{}", env!("CARGO_PKG_VERSION"))
}
