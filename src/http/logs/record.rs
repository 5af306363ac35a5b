//! One record whole, and frequent values of a column.

use super::{count_of, text_of};
use crate::http::App;
use crate::http::entry::tail_table;
use crate::http::filter::quoted_name;
use crate::http::problem::Problem;
use crate::model::{Value, value_at};
use crate::plan::{OFFSET_COLUMN, PARTITION_COLUMN};
use crate::sql::sql_type_name;
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;

/// Most values for completion.
const VALUES_MAX: usize = 20;
/// Stored records that are looked at for them while none is live.
const STORED_MAX: usize = 50_000;

/// One record with all its fields.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Record {
    /// `live` while it is among the newest, else `lake`.
    pub from: String,
    pub partition: i64,
    pub offset: i64,
    pub fields: Vec<FieldValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldValue {
    pub name: String,
    pub r#type: String,
    pub value: Json,
}

/// Values of a column among the newest records; among stored ones while no record is live.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Values {
    pub column: String,
    /// So many records were looked at.
    pub records: u64,
    pub values: Vec<super::summary::FrequentValue>,
}

/// One record by its place: among the newest, else in the lake.
pub async fn record(
    State(app): State<Arc<App>>,
    Path((partition, offset)): Path<(i64, i64)>,
) -> Result<JsonBody<Record>, Problem> {
    let missing = |text: String| Problem::not_found("unknown_record", text);
    let Some((number, table)) = tail_table(&app.dataflow) else {
        return Err(missing("this dataflow has no log".to_owned()));
    };
    let (partition_column, offset_column) = (PARTITION_COLUMN, OFFSET_COLUMN);
    let found = app
        .hub
        .tail_after(0)
        .into_iter()
        .filter(|it| it.table == number)
        .find_map(|batch| {
            let schema = batch.rows.schema();
            let column = |name: &str| schema.fields().find(name).map(|it| it.0);
            let (p, o) = (column(partition_column)?, column(offset_column)?);
            let at = |column: usize, row: usize| {
                value_at(batch.rows.column(column).as_ref(), row).as_i64()
            };
            let row = (0..batch.rows.num_rows())
                .find(|row| at(p, *row) == Some(partition) && at(o, *row) == Some(offset))?;
            Some((batch.rows, row))
        });
    let (from, rows, row) = match found {
        Some((rows, row)) => ("live", rows, row),
        None => {
            let sql = format!(
                "SELECT * FROM lake.{} WHERE {partition_column} = {partition} AND {offset_column} = {offset} LIMIT 1",
                quoted_name(&table.name)
            );
            let answer = app.queries.page(&sql).await?;
            let rows = answer
                .batches
                .into_iter()
                .find(|it| 0 < it.num_rows())
                .ok_or_else(|| {
                    missing(format!(
                        "there is no record at offset {offset} of partition {partition}"
                    ))
                    .hint(
                        "a record is stored with the next commit, a few seconds after it was read",
                    )
                })?;
            ("lake", rows, 0)
        }
    };
    let schema = rows.schema();
    let fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| FieldValue {
            name: field.name().clone(),
            r#type: sql_type_name(field.data_type()),
            value: value_at(rows.column(at).as_ref(), row).to_json(),
        });
    Ok(JsonBody(Record {
        from: from.to_owned(),
        partition,
        offset,
        fields: fields.collect(),
    }))
}

/// Frequent values of a column among the newest records, for completion.
pub async fn values(
    State(app): State<Arc<App>>,
    Path(column): Path<String>,
) -> Result<JsonBody<Values>, Problem> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut records = 0;
    let log = tail_table(&app.dataflow);
    let number = log.map(|it| it.0);
    let unknown = || {
        Problem::not_found(
            "unknown_column",
            format!("the log has no column `{column}`"),
        )
        .hint("GET /api/v1/logs/columns lists them")
    };
    for batch in app
        .hub
        .tail_after(0)
        .iter()
        .filter(|it| Some(it.table) == number)
    {
        let schema = batch.rows.schema();
        let Some((at, _)) = schema.fields().find(&column) else {
            return Err(unknown());
        };
        records += batch.rows.num_rows() as u64;
        for row in 0..batch.rows.num_rows() {
            match value_at(batch.rows.column(at).as_ref(), row) {
                Value::Null => {}
                value => *counts.entry(text_of(&value)).or_default() += 1,
            }
        }
    }
    let commit = app.status.status().commit;
    let stored = log.filter(|it| {
        records == 0 && commit.is_some_and(|commit| commit.versions.contains_key(&it.1.name))
    });
    if let Some((_, table)) = stored {
        if table.plan.schema().fields().find(&column).is_none() {
            return Err(unknown());
        }
        let name = quoted_name(&column);
        let sql = format!(
            "SELECT value, count(*) FROM (SELECT {name} AS value FROM lake.{} LIMIT {STORED_MAX}) GROUP BY 1 ORDER BY 2 DESC LIMIT {VALUES_MAX}",
            quoted_name(&table.name)
        );
        for row in super::rows(&app, &sql).await? {
            let count = count_of(&row[1]);
            records += count;
            if row[0] != Value::Null {
                counts.insert(text_of(&row[0]), count);
            }
        }
    }
    let mut values: Vec<super::summary::FrequentValue> = counts
        .into_iter()
        .map(|(value, count)| super::summary::FrequentValue { value, count })
        .collect();
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(VALUES_MAX);
    Ok(JsonBody(Values {
        column,
        records,
        values,
    }))
}
