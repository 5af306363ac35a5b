//! `struct_value_of(struct, 0, 2)`: the first value of a struct of two, by its place. `UNNEST(list) AS e(a, b)` of a list of structs is made of it, where
//! nothing is known yet of their names.

use arrow::array::AsArray;
use arrow::compute::{is_null, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::Arc;

pub const VALUE_OF: &str = "struct_value_of";

pub(super) fn value_of() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ValueOf {
        signature: Signature::any(3, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueOf {
    signature: Signature,
}

impl ScalarUDFImpl for ValueOf {
    fn name(&self) -> &str {
        VALUE_OF
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        plan_err!("the value of a struct has its own type")
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (fields, at) = (
            fields(args.arg_fields[0].data_type())?,
            place(args.scalar_arguments[1])?,
        );
        let values = place(args.scalar_arguments[2])?;
        if fields.len() != values {
            return plan_err!(
                "elements of this list are structs of {} values, and {values} are named; name all of them, or the element as a whole: AS e(x)",
                fields.len()
            );
        }
        Ok(Arc::new(Field::new(
            VALUE_OF,
            fields[at].data_type().clone(),
            true,
        )))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let structs = args.args[0].to_array(args.number_rows)?;
        let ColumnarValue::Scalar(at) = &args.args[1] else {
            return plan_err!("the place of a value is constant");
        };
        let at = place(Some(at))?;
        // A struct that is NULL has no values.
        let value = nullif(structs.as_struct().column(at), &is_null(&structs)?)?;
        Ok(ColumnarValue::Array(value))
    }
}

fn fields(of: &DataType) -> Result<&Fields> {
    match of {
        DataType::Struct(fields) => Ok(fields),
        _ => plan_err!("elements of this list are no structs and have one name: AS e(x)"),
    }
}

fn place(of: Option<&ScalarValue>) -> Result<usize> {
    match of {
        Some(ScalarValue::Int64(Some(it))) if 0 <= *it => Ok(*it as usize),
        _ => plan_err!("the place of a value is a constant number"),
    }
}
