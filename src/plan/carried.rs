//! Which types rows carry, and what becomes of all others: the one place that decides it.
//!
//! Batches may hold any type of Arrow. A *row* exists where a plan keeps something (the columns an aggregate reads, the input
//! of a top-k) or hands something out (a view, a table), and knows few types: integers of 64 bits, doubles, text, bytes, dates,
//! times of day, instants in microseconds of UTC, intervals, decimals of up to 38 digits, and lists and structs of these. Types that fit into one of these without loss are cast on their way in; the rest has no
//! place in a row, and a plan that needs one is refused before it runs.

use super::Plan;
use arrow::datatypes::{DataType, Field, IntervalUnit, SchemaRef, TimeUnit};
use std::sync::Arc;

/// The type in which rows carry values of a type.
///
/// # Errors
/// If there is none: what to write instead.
pub fn carried(data_type: &DataType) -> Result<DataType, &'static str> {
    Ok(match data_type {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            DataType::Int32
        }
        // Unsigned values from 2^63 on fail in the cast, and are counted as rows that could not be computed.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            _,
        ) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Dictionary(_, values) => return carried(values),
        DataType::RunEndEncoded(_, values) => return carried(values.data_type()),
        DataType::Null => {
            return Err("say of which type the NULL is, for example CAST(NULL AS TEXT)");
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if 0 <= *scale =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            return Err("CAST it to DECIMAL(38, 0)");
        }
        DataType::Decimal256(..) => {
            return Err("more than 38 digits have no place in a table: CAST it to DECIMAL(38, 10)");
        }
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Duration(_) | DataType::Interval(_) => {
            DataType::Interval(IntervalUnit::MonthDayNano)
        }
        DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::BinaryView => DataType::Binary,
        DataType::List(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::LargeList(item)
        | DataType::LargeListView(item) => DataType::List(Arc::new(Field::new_list_field(
            carried(item.data_type())?,
            true,
        ))),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|it| {
                Ok(Field::new(
                    it.name().clone(),
                    carried(it.data_type())?,
                    true,
                ))
            });
            DataType::Struct(fields.collect::<Result<_, &'static str>>()?)
        }
        DataType::Union(..) | DataType::Map(..) => {
            return Err("take the single values you need out of it");
        }
    })
}

/// The same, or the type itself where there is none: what a column between two nodes has, as long as no row is made of it.
pub fn carried_or_same(data_type: &DataType) -> DataType {
    carried(data_type).unwrap_or_else(|_| data_type.clone())
}

/// Refuses a plan that would make rows of columns they cannot carry, wherever in it.
///
/// # Errors
/// Which column, of which type, and what to write instead.
pub fn check(plan: &Plan) -> Result<(), String> {
    match plan {
        // What passes here is batches.
        Plan::Relation { .. }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Map { .. }
        | Plan::Union { .. }
        | Plan::Admit { .. } => {}
        Plan::Join { left, right, .. } | Plan::AsOf { left, right, .. } => {
            check_rows(&left.schema())?;
            check_rows(&right.schema())?;
        }
        Plan::Aggregate {
            input,
            aggregation,
            schema,
        } => {
            let below = input.schema();
            let aggregates = aggregation.aggregates.iter();
            let read = aggregates.flat_map(|it| it.argument.into_iter().chain(it.filter));
            for column in aggregation.keys.iter().copied().chain(read) {
                check_column(&below, column)?;
            }
            check_rows(schema)?;
        }
        Plan::TopK { input, .. } | Plan::Temporal { input, .. } => check_rows(&input.schema())?,
        Plan::PerGroup { input, schema, .. }
        | Plan::Detect { input, schema, .. }
        | Plan::Incidents { input, schema, .. } => {
            check_rows(&input.schema())?;
            check_rows(schema)?;
        }
    }
    plan.inputs().into_iter().try_for_each(check)
}

/// Refuses columns that rows cannot carry.
///
/// # Errors
/// As [`check`].
pub fn check_rows(schema: &SchemaRef) -> Result<(), String> {
    (0..schema.fields().len()).try_for_each(|it| check_column(schema, it))
}

fn check_column(schema: &SchemaRef, column: usize) -> Result<(), String> {
    let field = schema.field(column);
    match carried(field.data_type()) {
        Ok(data_type) => {
            assert_eq!(
                data_type,
                *field.data_type(),
                "column {} was not cast to the type that rows carry",
                field.name()
            );
            Ok(())
        }
        Err(advice) => Err(format!(
            "`{}` is of type {}, which views and tables cannot hold; {advice}",
            field.name(),
            sql_name(field.data_type())
        )),
    }
}

/// The name of a type in SQL. Those that rows carry are part of what stored rows mean: they never change.
pub fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT",
        DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::BinaryView => "BYTES",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Timestamp(..) => "TIMESTAMP",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return format!("DECIMAL({precision}, {scale})");
        }
        DataType::List(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::LargeList(item)
        | DataType::LargeListView(item) => return format!("{}[]", sql_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|it| format!("{} {}", it.name(), sql_name(it.data_type())))
                .collect();
            return format!("STRUCT<{}>", fields.join(", "));
        }
        DataType::Union(..) => "UNION",
        DataType::Map(..) => "MAP",
        DataType::Dictionary(_, values) => return sql_name(values),
        DataType::RunEndEncoded(_, values) => return sql_name(values.data_type()),
    }
    .to_owned()
}
