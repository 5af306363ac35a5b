//! Operators that move elements and compute nothing.

use super::tensor::{Data, Tensor, size};

/// -1 is whatever is left, 0 the dimension as it was.
pub fn reshape(tensor: &Tensor, to: &[i64]) -> Result<Tensor, String> {
    let all = tensor.data.len();
    let mut shape = Vec::new();
    let mut open = None;
    for (at, wanted) in to.iter().enumerate() {
        shape.push(match *wanted {
            0 => *tensor.shape.get(at).ok_or("there is no such dimension")?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            it => usize::try_from(it).map_err(|_| "a dimension is negative".to_owned())?,
        });
    }
    if let Some(at) = open {
        shape[at] = all / size(&shape)?.max(1);
    }
    Tensor::new(shape, tensor.data.clone())
}

/// An axis of so many, counted from the end if it is negative.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let axis = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(axis)
        .ok()
        .filter(|it| *it < rank)
        .ok_or_else(|| "there is no such axis".to_owned())
}

pub fn squeeze(tensor: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    let axes: Vec<usize> = match axes {
        [] => (0..rank).filter(|it| tensor.shape[*it] == 1).collect(),
        _ => axes
            .iter()
            .map(|it| axis_of(*it, rank))
            .collect::<Result<_, _>>()?,
    };
    let kept = tensor
        .shape
        .iter()
        .enumerate()
        .filter(|it| !axes.contains(&it.0));
    Tensor::new(kept.map(|it| *it.1).collect(), tensor.data.clone())
}

pub fn unsqueeze(tensor: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = tensor.shape.len() + axes.len();
    let axes: Vec<usize> = axes
        .iter()
        .map(|it| axis_of(*it, rank))
        .collect::<Result<_, _>>()?;
    let mut own = tensor.shape.iter();
    let shape = (0..rank).map(|it| match axes.contains(&it) {
        true => Some(1),
        false => own.next().copied(),
    });
    let shape: Option<Vec<usize>> = shape.collect();
    Tensor::new(shape.ok_or("an axis is there twice")?, tensor.data.clone())
}

/// Elements before, along and behind an axis.
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |it: &[usize]| it.iter().product::<usize>();
    (
        product(&shape[..axis]),
        shape[axis],
        product(&shape[axis + 1..]),
    )
}

pub fn concat(all: &[&Tensor], axis: i64) -> Result<Tensor, String> {
    let first = all.first().ok_or("there is nothing to put together")?;
    let axis = axis_of(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for tensor in all {
        let mut same = tensor.shape.clone();
        let along = same
            .get_mut(axis)
            .map(std::mem::take)
            .ok_or("the shapes do not fit")?;
        let mut without = shape.clone();
        without[axis] = 0;
        if same != without || tensor.data.data_type() != first.data.data_type() {
            return Err("the shapes or types of its inputs do not fit".to_owned());
        }
        shape[axis] += along;
    }
    size(&shape)?;
    let (outer, _, inner) = around(&shape, axis);
    fn joined<T: Copy>(parts: &[(&[T], usize)], outer: usize) -> Vec<T> {
        let mut made = Vec::new();
        for row in 0..outer {
            for (part, length) in parts {
                made.extend_from_slice(&part[row * length..(row + 1) * length]);
            }
        }
        made
    }
    let lengths = all.iter().map(|it| it.shape[axis] * inner);
    macro_rules! of {
        ($kind:ident) => {{
            let parts = all
                .iter()
                .zip(lengths)
                .filter_map(|(it, length)| match &it.data {
                    Data::$kind(it) => Some((it.as_slice(), length)),
                    _ => None,
                });
            Data::$kind(joined(&parts.collect::<Vec<_>>(), outer))
        }};
    }
    let data = match first.data {
        Data::Float(_) => of!(Float),
        Data::Double(_) => of!(Double),
        Data::Int(_) => of!(Int),
        Data::Bool(_) => of!(Bool),
    };
    Tensor::new(shape, data)
}

pub fn gather(tensor: &Tensor, places: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = axis_of(axis, tensor.shape.len())?;
    let (outer, along, inner) = around(&tensor.shape, axis);
    let wanted: Result<Vec<usize>, String> = places
        .ints()?
        .iter()
        .map(|it| axis_of(*it, along))
        .collect();
    let wanted = wanted?;
    let mut shape = tensor.shape[..axis].to_vec();
    shape.extend(&places.shape);
    shape.extend(&tensor.shape[axis + 1..]);
    size(&shape)?;
    let rows = (0..outer).flat_map(|row| wanted.iter().map(move |it| (row * along + it) * inner));
    let picked: Vec<usize> = rows.flat_map(|it| it..it + inner).collect();
    Tensor::new(shape, tensor.data.pick(&picked))
}
