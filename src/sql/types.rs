//! Types between DataFusion's plan and ours.
//!
//! DataFusion plans with all of Arrow's types; rows carry few (`plan::carried`). So each expression whose value leaves a node is cast
//! to the type in which it is carried, and where a node above reads that column, it is cast back: expressions compute
//! with exactly the types they were planned for. That loses nothing, with two exceptions, which are made in the query itself, before
//! anyone runs it, so that the engine and a batch see the same: instants in nanoseconds are cut to whole microseconds, and
//! times of day and intervals that a query ends with become text, since Delta has no types for them.

use crate::model::{Value, time_text, value_at};
use crate::plan::carried_or_same;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampNanosecondType,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ExprSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use std::sync::Arc;

/// The columns of a node as they are carried.
pub fn carried_schema(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<Field> = fields.map(|it| as_carried(it)).collect();
    Arc::new(Schema::new(fields))
}

fn as_carried(field: &Field) -> Field {
    field
        .clone()
        .with_data_type(carried_or_same(field.data_type()))
}

/// An expression over columns as they are planned, made one over columns as they are carried; with the schema of these.
///
/// # Errors
/// If it names a column that is not there.
pub fn over_carried(expr: Expr, planned: &DFSchema) -> Result<(Expr, DFSchema)> {
    let fields = planned
        .iter()
        .map(|(relation, field)| (relation.cloned(), Arc::new(as_carried(field))));
    let carried = DFSchema::new_with_metadata(fields.collect(), planned.metadata().clone())?;
    let expr = expr.transform_up(|it| {
        let Expr::Column(column) = &it else {
            return Ok(Transformed::no(it));
        };
        let field = planned.field_from_column(column)?;
        let wanted = field.data_type();
        if carried_or_same(wanted) == *wanted {
            return Ok(Transformed::no(it));
        }
        let wanted = wanted.clone();
        Ok(Transformed::yes(cast(it, wanted)))
    })?;
    Ok((expr.data, carried))
}

/// The value of an expression as it is carried.
///
/// # Errors
/// If its type cannot be told.
pub fn leaving(expr: &Expr, planned: &DFSchema) -> Result<Expr> {
    let data_type = expr.get_type(planned)?;
    let carried = carried_or_same(&data_type);
    Ok(match carried == data_type {
        true => expr.clone(),
        false => cast(expr.clone(), carried),
    })
}

/// The same query as its rows are stored: with instants of whole microseconds, and text where Delta has no type, or NULL alone tells none.
///
/// # Errors
/// If the type of an expression cannot be told.
pub fn as_stored(plan: LogicalPlan) -> Result<LogicalPlan> {
    as_texts(in_whole_microseconds(plan)?, |it| {
        matches!(
            it,
            DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Duration(_)
                | DataType::Interval(_)
                | DataType::Null
        )
    })
}

/// An ad-hoc query whose times of day have the digits that they have in a view.
///
/// # Errors
/// If a node cannot be made anew.
pub fn with_times_as_stored(plan: LogicalPlan) -> Result<LogicalPlan> {
    as_texts(plan, |it| {
        matches!(it, DataType::Time32(_) | DataType::Time64(_))
    })
}

/// The same query with columns of some types as text.
fn as_texts(plan: LogicalPlan, is_text_only: fn(&DataType) -> bool) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut types = schema.fields().iter().map(|it| it.data_type());
    if !types.any(is_text_only) {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(relation, field)| {
        let column = Expr::Column((relation, field).into());
        match field.data_type() {
            DataType::Null if is_text_only(&DataType::Null) => {
                let text = cast(column, DataType::Utf8);
                text.alias_qualified(relation.cloned(), field.name())
            }
            data_type if is_text_only(data_type) => {
                let function =
                    ScalarUDF::from(StoredText(Signature::any(1, Volatility::Immutable)));
                let text = function.call(vec![cast(column, carried_or_same(data_type))]);
                text.alias_qualified(relation.cloned(), field.name())
            }
            _ => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    Projection::try_new(columns, Arc::new(plan)).map(LogicalPlan::Projection)
}

/// The same query, in which instants that leave a node are of whole microseconds.
fn in_whole_microseconds(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Projection(it) => {
            let (expr, changed) = cut_all(it.expr, it.input.schema())?;
            let projection = match changed {
                true => Projection::try_new(expr, it.input)?,
                false => Projection::try_new_with_schema(expr, it.input, it.schema)?,
            };
            Ok(Transformed::new_transformed(
                LogicalPlan::Projection(projection),
                changed,
            ))
        }
        LogicalPlan::Aggregate(it) => {
            let below = Arc::clone(it.input.schema());
            let (group, of_group) = cut_all(it.group_expr, &below)?;
            let mut of_arguments = false;
            let aggregates = it.aggr_expr.into_iter().map(|expr| {
                let (expr, changed) = with_cut_arguments(expr, &below)?;
                of_arguments |= changed;
                Ok(expr)
            });
            let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
            let changed = of_group || of_arguments;
            let aggregate = match changed {
                true => Aggregate::try_new(it.input, group, aggregates)?,
                false => Aggregate::try_new_with_schema(it.input, group, aggregates, it.schema)?,
            };
            Ok(Transformed::new_transformed(
                LogicalPlan::Aggregate(aggregate),
                changed,
            ))
        }
        // No other node computes what leaves it.
        other => Ok(Transformed::no(other)),
    })?;
    Ok(changed.data)
}

fn cut_all(exprs: Vec<Expr>, schema: &DFSchema) -> Result<(Vec<Expr>, bool)> {
    let mut changed = false;
    let exprs = exprs.into_iter().map(|expr| {
        let (expr, is_cut) = cut(expr, schema)?;
        changed |= is_cut;
        Ok(expr)
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok((exprs, changed))
}

fn cut(expr: Expr, schema: &DFSchema) -> Result<(Expr, bool)> {
    // What is only passed on was cut where it was computed.
    if matches!(expr, Expr::Column(_)) || in_microseconds(&expr.get_type(schema)?).is_none() {
        return Ok((expr, false));
    }
    let name = NamePreserver::new_for_projection().save(&expr);
    let function = ScalarUDF::from(WholeMicroseconds(Signature::any(1, Volatility::Immutable)));
    let cut = function.call(vec![expr.unalias()]);
    Ok((name.restore(cut), true))
}

fn with_cut_arguments(expr: Expr, schema: &DFSchema) -> Result<(Expr, bool)> {
    let name = NamePreserver::new_for_projection().save(&expr);
    let mut changed = false;
    let cut_in = expr.transform_down(|it| {
        let Expr::AggregateFunction(mut call) = it else {
            return Ok(Transformed::no(it));
        };
        let args = call.params.args.into_iter().map(|it| {
            // Unlike a projection's, an argument's name is part of no schema; that of the whole call is kept.
            let (arg, is_cut) = cut(it, schema)?;
            changed |= is_cut;
            Ok(arg.unalias())
        });
        call.params.args = args.collect::<Result<Vec<_>>>()?;
        Ok(Transformed::new(
            Expr::AggregateFunction(call),
            changed,
            datafusion::common::tree_node::TreeNodeRecursion::Jump,
        ))
    })?;
    let expr = match changed {
        true => name.restore(cut_in.data),
        false => cut_in.data,
    };
    Ok((expr, changed))
}

/// The same type with microseconds for nanoseconds, if it has any: those of instants and times of day, also in lists and structs.
fn in_microseconds(data_type: &DataType) -> Option<DataType> {
    let of_field = |it: &Field| {
        let coarser = in_microseconds(it.data_type())?;
        Some(Arc::new(it.clone().with_data_type(coarser)))
    };
    Some(match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::Time64(TimeUnit::Nanosecond) => DataType::Time64(TimeUnit::Microsecond),
        DataType::List(item) => DataType::List(of_field(item)?),
        DataType::LargeList(item) => DataType::LargeList(of_field(item)?),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(of_field(item)?, *size),
        DataType::Struct(fields) => {
            let coarser: Vec<Option<FieldRef>> = fields.iter().map(|it| of_field(it)).collect();
            if coarser.iter().all(Option::is_none) {
                return None;
            }
            let fields = coarser.into_iter().zip(fields);
            DataType::Struct(
                fields
                    .map(|(coarser, it)| coarser.unwrap_or_else(|| Arc::clone(it)))
                    .collect(),
            )
        }
        _ => return None,
    })
}

/// Instants and times in nanoseconds without what is below a microsecond.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WholeMicroseconds(Signature);

impl ScalarUDFImpl for WholeMicroseconds {
    fn name(&self) -> &str {
        "whole_microseconds"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&args.arg_fields[0]))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        let Some(times) = values.as_primitive_opt::<TimestampNanosecondType>() else {
            let fine = values.data_type().clone();
            let coarse = in_microseconds(&fine).expect("what has no nanoseconds is not cut");
            let cut = arrow::compute::cast(&values, &coarse)?;
            return Ok(ColumnarValue::Array(arrow::compute::cast(&cut, &fine)?));
        };
        let cut = times
            .unary::<_, TimestampNanosecondType>(|ns| ns - ns.rem_euclid(1_000))
            .with_timezone_opt(times.timezone().map(Arc::<str>::from));
        Ok(ColumnarValue::Array(Arc::new(cut) as ArrayRef))
    }
}

/// A time of day or an interval as the text that tables hold, in ISO 8601: `13:05:00`, `P1DT2S`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StoredText(Signature);

impl ScalarUDFImpl for StoredText {
    fn name(&self) -> &str {
        "stored_text"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        let texts = (0..values.len()).map(|it| match value_at(values.as_ref(), it) {
            Value::Time(micros) => Some(time_text(micros)),
            Value::Interval(it) => Some(it.to_string()),
            _ => None,
        });
        let texts: StringArray = texts.collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

/// A type as SQL calls it.
pub fn sql_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            "int".to_owned()
        }
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "double".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Dictionary(_, values) => sql_type_name(values),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "interval".to_owned(),
        DataType::List(item) => format!("{}[]", sql_type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|it| format!("{} {}", it.name(), sql_type_name(it.data_type())))
                .collect();
            format!("struct<{}>", fields.join(", "))
        }
        other => other.to_string().to_ascii_lowercase(),
    }
}
