//! `array_reduce(array, initial, lambda state, element : next state)`: a value that is computed anew with each element of an array, in their order.
//!
//! All rows go one step further together, those with the longest arrays first in line, so that the work is as much as there are elements.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array, new_null_array};
use arrow::compute::{cast_with_options, concat, take, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda, Volatility,
};
use std::sync::Arc;

/// The function.
pub(super) fn reduce() -> HigherOrderUDF {
    HigherOrderUDF::new_from_impl(Reduce {
        signature: HigherOrderSignature::exact(
            vec![
                ValueOrLambda::Value(()),
                ValueOrLambda::Value(()),
                ValueOrLambda::Lambda(()),
            ],
            Volatility::Immutable,
        ),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reduce {
    signature: HigherOrderSignature,
}

/// How many bytes the states of all rows of a batch may have.
const STATES_BYTES_MAX: usize = 256 << 20;

const USAGE: &str = "write array_reduce(array, initial, lambda state, element : state + element)";

/// The type of elements.
fn element(list: &DataType) -> Result<DataType> {
    match list {
        DataType::List(it) => Ok(it.data_type().clone()),
        _ => plan_err!("{USAGE}"),
    }
}

fn parameter(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}

impl HigherOrderUDFImpl for Reduce {
    fn name(&self) -> &str {
        "array_reduce"
    }
    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }
    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::List(_), _] => Ok(types.to_vec()),
            _ => plan_err!("{USAGE}"),
        }
    }
    fn coerce_values_for_lambdas(
        &self,
        types: &[ValueOrLambda<DataType, DataType>],
    ) -> Result<Option<Vec<DataType>>> {
        match types {
            [
                ValueOrLambda::Value(list),
                ValueOrLambda::Value(_),
                ValueOrLambda::Lambda(state),
            ] => Ok(Some(vec![list.clone(), state.clone()])),
            _ => plan_err!("{USAGE}"),
        }
    }
    /// A state is first of the type of the initial value, and then of the type that the lambda makes of it.
    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let [
            ValueOrLambda::Value(list),
            ValueOrLambda::Value(initial),
            ValueOrLambda::Lambda(next),
        ] = fields
        else {
            return plan_err!("{USAGE}");
        };
        let of = |state: &FieldRef| -> Result<Vec<FieldRef>> {
            let element = parameter(element(list.data_type())?);
            Ok(vec![parameter(state.data_type().clone()), element])
        };
        Ok(match next {
            None => LambdaParametersProgress::Partial(vec![Some(of(initial)?)]),
            Some(next) => LambdaParametersProgress::Complete(vec![of(next)?]),
        })
    }
    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [_, _, ValueOrLambda::Lambda(state)] => Ok(parameter(state.data_type().clone())),
            _ => plan_err!("{USAGE}"),
        }
    }
    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let state_type = args.return_field.data_type();
        let [
            ValueOrLambda::Value(lists),
            ValueOrLambda::Value(initial),
            ValueOrLambda::Lambda(lambda),
        ] = args.args.as_slice()
        else {
            return exec_err!("{USAGE}");
        };
        let rows = args.number_rows;
        let lists = lists.to_array(rows)?;
        let lists = lists.as_list::<i32>();
        let initial = as_state(&initial.to_array(rows)?, state_type)?;
        let length = |row: usize| usize::try_from(lists.value_length(row)).unwrap_or_default();
        // Of no array there is no state.
        let mut order: Vec<usize> = (0..rows).filter(|row| lists.is_valid(*row)).collect();
        order.sort_by_key(|row| std::cmp::Reverse(length(*row)));
        let mut states = take(&initial, &indices(order.iter().copied()), None)?;
        let mut done: Vec<ArrayRef> = Vec::new();
        for step in 0.. {
            let going = order.partition_point(|row| step < length(*row));
            done.push(states.slice(going, states.len() - going));
            if going == 0 {
                break;
            }
            let places = order[..going].iter().map(|row| {
                let first = usize::try_from(lists.value_offsets()[*row]).unwrap_or_default();
                first + step
            });
            let elements = take(lists.values(), &indices(places), None)?;
            let before = states.slice(0, going);
            let (before, elements) = (|| Ok(Arc::clone(&before)), || Ok(Arc::clone(&elements)));
            let next = lambda.evaluate(&[&before, &elements], |captured| {
                let rows = indices(order[..going].iter().copied());
                Ok(take_arrays(captured, &rows, None)?)
            })?;
            states = as_state(&next.into_array(going)?, state_type)?;
            if STATES_BYTES_MAX < states.get_array_memory_size() {
                return exec_err!(
                    "array_reduce keeps states of at most {} MiB",
                    STATES_BYTES_MAX >> 20
                );
            }
        }
        // Those with the longest arrays were done last.
        done.reverse();
        done.push(new_null_array(state_type, 1));
        let done: Vec<&dyn Array> = done.iter().map(|it| it.as_ref()).collect();
        let all = concat(&done)?;
        let mut place_of = vec![all.len() - 1; rows];
        for (place, row) in order.iter().enumerate() {
            place_of[*row] = place;
        }
        Ok(ColumnarValue::Array(take(
            &all,
            &indices(place_of.into_iter()),
            None,
        )?))
    }
}

fn indices(places: impl Iterator<Item = usize>) -> UInt64Array {
    places.map(|it| it as u64).collect::<Vec<u64>>().into()
}

fn as_state(values: &ArrayRef, state_type: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(values, state_type, &super::STRICT)?)
}
