//! Attributes and constants of a file, as numbers of ours.

use super::proto::{AttributeProto, TensorProto, element};
use super::tensor::{Data, Tensor, Type};

/// Attributes of a node, by name.
pub struct Attributes<'a>(pub &'a [AttributeProto]);

impl Attributes<'_> {
    pub fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|it| it.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.find(name).map_or(default, |it| it.i))
    }

    pub fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        Ok(self.find(name).map_or(default, |it| it.f))
    }

    pub fn text(&self, name: &str, default: &str) -> Result<String, String> {
        let Some(found) = self.find(name) else {
            return Ok(default.to_owned());
        };
        String::from_utf8(found.s.clone()).map_err(|_| format!("{name} is no text"))
    }

    pub fn ints(&self, name: &str) -> Vec<i64> {
        self.find(name)
            .map(|it| it.ints.clone())
            .unwrap_or_default()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.find(name)
            .map(|it| it.floats.clone())
            .unwrap_or_default()
    }

    pub fn strings(&self, name: &str) -> Result<Vec<String>, String> {
        let all = self
            .find(name)
            .map(|it| it.strings.as_slice())
            .unwrap_or_default();
        let texts = all.iter().map(|it| String::from_utf8(it.clone()));
        texts
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{name} has what is no text"))
    }

    /// Floats or, with `_as_tensor` behind the name, doubles.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, String> {
        match self.find(&format!("{name}_as_tensor")) {
            Some(_) => self.doubles(&format!("{name}_as_tensor")),
            None => Ok(self.floats(name).into_iter().map(f64::from).collect()),
        }
    }

    /// A tensor, or nothing.
    pub fn doubles(&self, name: &str) -> Result<Vec<f64>, String> {
        let Some(tensor) = self.find(name).and_then(|it| it.t.as_ref()) else {
            return Ok(Vec::new());
        };
        match tensor_of(tensor)?.data.cast(Type::Double) {
            Data::Double(it) => Ok(it),
            _ => Err(format!("{name} is of no numbers")),
        }
    }
}

pub fn constant_of(attributes: &Attributes) -> Result<Tensor, String> {
    if let Some(tensor) = attributes.find("value").and_then(|it| it.t.as_ref()) {
        return tensor_of(tensor);
    }
    let list = |data: Data| Tensor::new(vec![data.len()], data);
    match () {
        () if attributes.find("value_float").is_some() => Ok(Tensor::scalar(Data::Float(vec![
            attributes.float("value_float", 0.0)?,
        ]))),
        () if attributes.find("value_int").is_some() => Ok(Tensor::scalar(Data::Int(vec![
            attributes.int("value_int", 0)?,
        ]))),
        () if attributes.find("value_floats").is_some() => {
            list(Data::Float(attributes.floats("value_floats")))
        }
        () if attributes.find("value_ints").is_some() => {
            list(Data::Int(attributes.ints("value_ints")))
        }
        () => Err("it is not of numbers".to_owned()),
    }
}

pub fn type_of(element_type: i32) -> Option<Type> {
    match element_type {
        element::FLOAT => Some(Type::Float),
        element::DOUBLE => Some(Type::Double),
        element::INT32 | element::INT64 => Some(Type::Int),
        element::BOOL => Some(Type::Bool),
        _ => None,
    }
}

pub fn tensor_of(proto: &TensorProto) -> Result<Tensor, String> {
    if proto.data_location != 0 {
        return Err("its data are in another file".to_owned());
    }
    let shape: Result<Vec<usize>, _> = proto.dims.iter().map(|it| usize::try_from(*it)).collect();
    let shape = shape.map_err(|it| it.to_string())?;
    let raw = proto.raw_data.as_slice();
    fn each<const N: usize, T>(raw: &[u8], of: fn([u8; N]) -> T) -> Vec<T> {
        let chunks = raw.chunks_exact(N);
        chunks.filter_map(|it| it.try_into().ok()).map(of).collect()
    }
    let small = || {
        proto
            .int32_data
            .iter()
            .map(|it| i64::from(*it))
            .collect::<Vec<i64>>()
    };
    let data = match (proto.data_type, raw.is_empty()) {
        (element::FLOAT, true) => Data::Float(proto.float_data.clone()),
        (element::FLOAT, false) => Data::Float(each(raw, f32::from_le_bytes)),
        (element::DOUBLE, true) => Data::Double(proto.double_data.clone()),
        (element::DOUBLE, false) => Data::Double(each(raw, f64::from_le_bytes)),
        (element::INT64, true) => Data::Int(proto.int64_data.clone()),
        (element::INT64, false) => Data::Int(each(raw, i64::from_le_bytes)),
        (element::INT32 | element::UINT8, true) => Data::Int(small()),
        (element::INT32, false) => Data::Int(
            each(raw, i32::from_le_bytes)
                .into_iter()
                .map(i64::from)
                .collect(),
        ),
        (element::UINT8, false) => Data::Int(raw.iter().map(|it| i64::from(*it)).collect()),
        (element::BOOL, true) => Data::Bool(small().iter().map(|it| *it != 0).collect()),
        (element::BOOL, false) => Data::Bool(raw.iter().map(|it| *it != 0).collect()),
        (other, _) => return Err(format!("elements of type {other} are not known")),
    };
    Tensor::new(shape, data)
}
