//! Columns of a source: those of its records, and those that are generated from them.

use super::syntax::{self, ColumnText, GeneratedText, SourceText};
use super::{Planner, canonical};
use crate::plan::{ColumnSpec, Dataflow, Format, Generated, SourceSpec, check_rows};
use crate::source::decode::{self, DecodeOptions, Decoder};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::sql::sqlparser::ast::Query;

/// The columns that a source declares.
///
/// # Errors
/// If a type is none of ours, a default is no value of its column, or what generates a column is no expression over the columns of its
/// record: it says of which column.
pub async fn columns(text: &SourceText) -> Result<Vec<ColumnSpec>, String> {
    let read = text.columns.iter().filter(|it| it.generated.is_none());
    let read: Vec<ColumnSpec> = read.map(of_record).collect::<Result<_, _>>()?;
    if text.columns.len() == read.len() {
        return Ok(read);
    }
    let records = SourceSpec {
        name: text.name.clone(),
        columns: read.clone(),
        event_time: None,
        key: None,
        format: Format::Json,
        options: Vec::new(),
    };
    // It knows nothing else: an expression reads its record alone.
    let mut planner = Planner::new(&text.name);
    planner.register(&text.name, records.schema())?;
    planner.dataflow.sources.push(records);
    let mut read = read.into_iter();
    let mut columns = Vec::new();
    for column in &text.columns {
        let name = &column.name;
        let spec = match &column.generated {
            None => read.next(),
            Some(GeneratedText::ReadTime) => Some(of_reading(column)?),
            Some(GeneratedText::Query(query)) => {
                let generated = computed(&planner, column, query).await;
                Some(generated.map_err(|it| format!("generated column `{name}`: {it}"))?)
            }
        };
        columns.extend(spec);
    }
    Ok(columns)
}

/// A column that records have themselves.
fn of_record(column: &ColumnText) -> Result<ColumnSpec, String> {
    let name = &column.name;
    let wrong = |it: String| format!("column `{name}`: {it}");
    let declared = column.data_type.as_ref();
    let declared = declared.ok_or_else(|| wrong("it has no type".to_owned()))?;
    let data_type = syntax::arrow_type(declared).map_err(wrong)?;
    let spec = ColumnSpec {
        data_type,
        is_json: syntax::is_json(declared),
        default: column.default.clone(),
        ..named(column)?
    };
    if let Some(text) = &spec.default {
        let column = decode::Column {
            name: spec.name.clone(),
            written: spec.written.clone(),
            data_type: spec.data_type.clone(),
            nullable: spec.nullable,
            is_json: spec.is_json,
        };
        Decoder::new(decode::Format::Json, &[column], DecodeOptions::default())
            .and_then(|it| it.with_defaults(vec![(0, text.clone())]))
            .map_err(|it| wrong(format!("its DEFAULT is no value of it: {it}")))?;
    }
    Ok(spec)
}

/// A column that is the time at which its record was read.
fn of_reading(column: &ColumnText) -> Result<ColumnSpec, String> {
    Ok(ColumnSpec {
        data_type: DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        nullable: true,
        generated: Some(Generated::ReadTime),
        ..named(column)?
    })
}

/// Whether a column of a relation is when its record was read, also one that a query of a table or a plain view passes on.
pub(super) fn is_read_time(relation: &str, column: &str, dataflow: &Dataflow) -> bool {
    let (relation, column) = dataflow.origin(relation, column);
    dataflow.source(&relation).is_some_and(|source| {
        let mut read_times = source.read_times().into_iter();
        read_times.any(|it| source.columns[it].name == column)
    })
}

/// A column that is computed from those of its record.
async fn computed(
    planner: &Planner,
    column: &ColumnText,
    query: &Query,
) -> Result<ColumnSpec, String> {
    let mut query = query.clone();
    planner.settle(&mut query)?;
    canonical::query(&query)?;
    let plan = planner.lowered("", &query).await?;
    let schema = plan.schema();
    check_rows(&schema)?;
    let (sql, _) = canonical::apart(&query, &schema)?;
    let [sql] = sql.as_slice() else {
        return Err("it is computed by one expression".to_owned());
    };
    let generated = Generated::Expression {
        sql: sql.clone(),
        plan: Box::new(plan),
    };
    let Some(records) = planner.dataflow.sources.first().map(SourceSpec::schema) else {
        unreachable!("the planner knows the source");
    };
    // All but the epoch, which is not known where records are decoded.
    let decoded = records.fields().iter().rev().skip(1).rev().cloned();
    let generated = generated.over(&Schema::new(decoded.collect::<Vec<_>>()))?;
    Ok(ColumnSpec {
        data_type: schema.field(0).data_type().clone(),
        is_json: column.data_type.as_ref().is_some_and(syntax::is_json),
        generated: Some(generated),
        ..named(column)?
    })
}

/// A column of this name, of which nothing else is known yet.
fn named(column: &ColumnText) -> Result<ColumnSpec, String> {
    let name = &column.name;
    if name.starts_with('_') {
        return Err(format!(
            "column `{name}`: names that start with `_` are the engine's own"
        ));
    }
    Ok(ColumnSpec {
        name: name.clone(),
        written: column.written.clone(),
        data_type: DataType::Null,
        nullable: column.nullable,
        is_json: false,
        default: None,
        generated: None,
    })
}
