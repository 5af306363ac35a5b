//! Small tensors of numbers, and how they are brought to one shape (ONNX, "Multidirectional Broadcasting").

use serde::{Deserialize, Serialize};

/// Larger tensors are refused.
pub const ELEMENTS_MAX: usize = 1 << 20;
const RANK_MAX: usize = 4;

/// Numbers in row-major order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// int64 and int32, whose sums never come near their ends in such models.
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Float,
    Double,
    Int,
    Bool,
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Data::Float(it) => it.len(),
            Data::Double(it) => it.len(),
            Data::Int(it) => it.len(),
            Data::Bool(it) => it.len(),
        }
    }

    pub fn is_finite(&self) -> bool {
        match self {
            Data::Float(it) => it.iter().all(|it| it.is_finite()),
            Data::Double(it) => it.iter().all(|it| it.is_finite()),
            Data::Int(_) | Data::Bool(_) => true,
        }
    }

    /// Whether each element is greater than the one before it.
    pub fn rises(&self) -> bool {
        match self {
            Data::Float(it) => it.is_sorted_by(|a, b| a < b),
            Data::Double(it) => it.is_sorted_by(|a, b| a < b),
            Data::Int(it) => it.is_sorted_by(|a, b| a < b),
            Data::Bool(_) => false,
        }
    }

    pub fn data_type(&self) -> Type {
        match self {
            Data::Float(_) => Type::Float,
            Data::Double(_) => Type::Double,
            Data::Int(_) => Type::Int,
            Data::Bool(_) => Type::Bool,
        }
    }

    /// The elements at these places, which are there.
    pub fn pick(&self, places: &[usize]) -> Data {
        fn of<T: Copy>(all: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|it| all[*it]).collect()
        }
        match self {
            Data::Float(it) => Data::Float(of(it, places)),
            Data::Double(it) => Data::Double(of(it, places)),
            Data::Int(it) => Data::Int(of(it, places)),
            Data::Bool(it) => Data::Bool(of(it, places)),
        }
    }

    pub fn cast(&self, to: Type) -> Data {
        match (self, to) {
            (Data::Float(it), Type::Double) => {
                Data::Double(it.iter().map(|it| f64::from(*it)).collect())
            }
            (Data::Float(it), Type::Int) => Data::Int(it.iter().map(|it| *it as i64).collect()),
            (Data::Float(it), Type::Bool) => Data::Bool(it.iter().map(|it| *it != 0.0).collect()),
            (Data::Double(it), Type::Float) => {
                Data::Float(it.iter().map(|it| *it as f32).collect())
            }
            (Data::Double(it), Type::Int) => Data::Int(it.iter().map(|it| *it as i64).collect()),
            (Data::Double(it), Type::Bool) => Data::Bool(it.iter().map(|it| *it != 0.0).collect()),
            (Data::Int(it), Type::Float) => Data::Float(it.iter().map(|it| *it as f32).collect()),
            (Data::Int(it), Type::Double) => Data::Double(it.iter().map(|it| *it as f64).collect()),
            (Data::Int(it), Type::Bool) => Data::Bool(it.iter().map(|it| *it != 0).collect()),
            (Data::Bool(it), Type::Float) => {
                Data::Float(it.iter().map(|it| f32::from(u8::from(*it))).collect())
            }
            (Data::Bool(it), Type::Double) => {
                Data::Double(it.iter().map(|it| f64::from(u8::from(*it))).collect())
            }
            (Data::Bool(it), Type::Int) => Data::Int(it.iter().map(|it| i64::from(*it)).collect()),
            _ => self.clone(),
        }
    }
}

impl Tensor {
    /// # Errors
    /// If the shape does not fit the data, or is too large.
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Tensor, String> {
        let tensor = Tensor { shape, data };
        tensor.check().map(|()| tensor)
    }

    /// # Errors
    /// If the shape does not fit the data, or is too large.
    pub fn check(&self) -> Result<(), String> {
        match self.shape.len() <= RANK_MAX && size(&self.shape)? == self.data.len() {
            true => Ok(()),
            false => Err(format!(
                "a tensor of shape {:?} has {} elements",
                self.shape,
                self.data.len()
            )),
        }
    }

    pub fn scalar(data: Data) -> Tensor {
        Tensor {
            shape: Vec::new(),
            data,
        }
    }

    /// Elements as f32.
    ///
    /// # Errors
    /// If they are truths.
    pub fn floats(&self) -> Result<Vec<f32>, String> {
        match self.data.cast(Type::Float) {
            Data::Float(it) => Ok(it),
            _ => Err("numbers were expected".to_owned()),
        }
    }

    /// Elements as whole numbers.
    ///
    /// # Errors
    /// If they are not.
    pub fn ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Int(it) => Ok(it),
            _ => Err("whole numbers were expected".to_owned()),
        }
    }

    /// The number of rows and columns; what has one dimension is a row.
    ///
    /// # Errors
    /// If it has more than two dimensions.
    pub fn rows_and_columns(&self) -> Result<(usize, usize), String> {
        match self.shape.as_slice() {
            [] => Ok((1, 1)),
            [columns] => Ok((1, *columns)),
            [rows, columns] => Ok((*rows, *columns)),
            _ => Err("a table was expected".to_owned()),
        }
    }

    /// The elements of this tensor when it is stretched to a shape.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn stretched(&self, shape: &[usize]) -> Result<Data, String> {
        if self.shape == shape {
            return Ok(self.data.clone());
        }
        let missing = shape.len().checked_sub(self.shape.len());
        let missing = missing.ok_or("shapes do not fit each other")?;
        let mut places = vec![0_usize; size(shape)?];
        let mut stride = 1;
        let mut inner = 1;
        for axis in (0..shape.len()).rev() {
            let own = if axis < missing {
                1
            } else {
                self.shape[axis - missing]
            };
            if own != 1 && own != shape[axis] {
                return Err(format!(
                    "shapes {:?} and {shape:?} do not fit each other",
                    self.shape
                ));
            }
            if own != 1 {
                for (at, place) in places.iter_mut().enumerate() {
                    *place += at / inner % own * stride;
                }
                stride *= own;
            }
            inner *= shape[axis].max(1);
        }
        Ok(self.data.pick(&places))
    }
}

/// # Errors
/// If it is too large.
pub fn size(shape: &[usize]) -> Result<usize, String> {
    let size = shape
        .iter()
        .try_fold(1_usize, |size, it| size.checked_mul(*it));
    size.filter(|it| *it <= ELEMENTS_MAX)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}

/// The shape that two shapes are stretched to.
///
/// # Errors
/// If there is none.
pub fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not fit each other")),
        })
        .collect()
}
