//! Lists and structs that stand beside each other: a DECIMAL within one is a DOUBLE where there is a DOUBLE at the same place of another.

use arrow::datatypes::{DataType, FieldRef};
use std::sync::Arc;

/// The types that values of these types become, if any of them changes.
pub fn settled(types: &[DataType]) -> Option<Vec<DataType>> {
    let is_nested = |it: &DataType| matches!(it, DataType::List(_) | DataType::Struct(_));
    if !types.iter().any(is_nested) {
        return None;
    }
    let settled = alike(types);
    (settled != types).then_some(settled)
}

/// The same types with a DOUBLE for each DECIMAL that meets one. NULL is of any type.
fn alike(types: &[DataType]) -> Vec<DataType> {
    let mut known = types.iter().filter(|it| !it.is_null());
    match known.clone().next() {
        Some(DataType::List(_)) => {
            let items = known.map(|it| match it {
                DataType::List(item) => Some(std::slice::from_ref(item)),
                _ => None,
            });
            with_fields(types, items.collect(), |it| {
                DataType::List(Arc::clone(&it[0]))
            })
        }
        Some(DataType::Struct(first)) => {
            let fields = known.map(|it| match it {
                DataType::Struct(fields) if fields.len() == first.len() => Some(&fields[..]),
                _ => None,
            });
            with_fields(types, fields.collect(), |it| {
                DataType::Struct(it.iter().cloned().collect())
            })
        }
        _ if known.clone().any(DataType::is_floating) && known.any(DataType::is_decimal) => {
            let settled = types.iter().map(|it| match it.is_decimal() {
                true => DataType::Float64,
                false => it.clone(),
            });
            settled.collect()
        }
        _ => types.to_vec(),
    }
}

/// Types made of fields, of which those at one place are alike; the same types if they are made otherwise.
fn with_fields(
    types: &[DataType],
    fields: Option<Vec<&[FieldRef]>>,
    of: impl Fn(&[FieldRef]) -> DataType,
) -> Vec<DataType> {
    let Some(fields) = fields else {
        return types.to_vec();
    };
    let mut settled: Vec<Vec<FieldRef>> = vec![Vec::new(); fields.len()];
    for place in 0..fields.first().map_or(0, |it| it.len()) {
        let here = fields.iter().map(|it| &it[place]);
        let before: Vec<DataType> = here.clone().map(|it| it.data_type().clone()).collect();
        let pairs = here.zip(alike(&before));
        for (of_value, (field, data_type)) in settled.iter_mut().zip(pairs) {
            let field = field.as_ref().clone().with_data_type(data_type);
            of_value.push(Arc::new(field));
        }
    }
    let mut settled = settled.into_iter();
    let types = types.iter().map(|it| match it.is_null() {
        true => Some(DataType::Null),
        false => settled.next().map(|it| of(&it)),
    });
    types.map(|it| it.unwrap_or(DataType::Null)).collect()
}
