//! Operators on rows and columns: products, sums, norms, linear models, and values by keys.

use super::elementwise::Float;
use super::ensemble::{Number, Transform, logistic, transformed};
use super::operator::{Norm, Reduction};
use super::shapes::axis_of;
use super::tensor::{Data, Tensor, size};

/// Of two tables.
pub fn product(a: &Tensor, b: &Tensor, turn_a: bool, turn_b: bool) -> Result<Tensor, String> {
    let turned = |(rows, columns): (usize, usize), turn: bool| match turn {
        true => (columns, rows),
        false => (rows, columns),
    };
    let own = (a.rows_and_columns()?, b.rows_and_columns()?);
    let (rows, inner) = turned(own.0, turn_a);
    let (others, columns) = match b.shape.len() {
        // A single dimension on the right is a column.
        1 => (b.data.len(), 1),
        _ => turned(own.1, turn_b),
    };
    if inner != others {
        return Err(format!(
            "{:?} and {:?} cannot be multiplied",
            a.shape, b.shape
        ));
    }
    size(&[rows, columns, inner])?;
    let place = |turn: bool, width: usize, row: usize, column: usize| match turn {
        true => column * width + row,
        false => row * width + column,
    };
    let width_b = if b.shape.len() == 1 { 1 } else { own.1.1 };
    fn of<N: Number>(
        a: &[N],
        b: &[N],
        (rows, columns, inner): (usize, usize, usize),
        at_a: impl Fn(usize, usize) -> usize,
        at_b: impl Fn(usize, usize) -> usize,
    ) -> Vec<N> {
        let cell = |row: usize, column: usize| {
            (0..inner).fold(N::of(0.0), |sum, it| {
                sum.plus(a[at_a(row, it)].times(b[at_b(it, column)]))
            })
        };
        let cell = &cell;
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| cell(row, column)))
            .collect()
    }
    let extent = (rows, columns, inner);
    let at_a = |row, column| place(turn_a, own.0.1, row, column);
    let at_b = |row, column| place(turn_b && b.shape.len() != 1, width_b, row, column);
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => Data::Float(of(a, b, extent, at_a, at_b)),
        (Data::Double(a), Data::Double(b)) => Data::Double(of(a, b, extent, at_a, at_b)),
        _ => return Err("the types of its inputs do not fit".to_owned()),
    };
    Tensor::new(vec![rows, columns], data)
}

pub fn softmax(tensor: &Tensor, axis: i64) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    if axis_of(axis, rank)? + 1 != rank {
        return Err("only the last axis is known".to_owned());
    }
    let width = tensor.shape[rank - 1].max(1);
    let mut data = tensor.data.clone();
    match &mut data {
        Data::Float(it) => it
            .chunks_mut(width)
            .for_each(|it| transformed(it, Transform::Softmax)),
        Data::Double(it) => it
            .chunks_mut(width)
            .for_each(|it| transformed(it, Transform::Softmax)),
        Data::Int(_) | Data::Bool(_) => return Err("the type of its input does not fit".to_owned()),
    }
    Tensor::new(tensor.shape.clone(), data)
}

pub fn reduce(by: Reduction, tensor: &Tensor, axes: &[i64], keep: bool) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    let mut axes: Vec<usize> = match axes {
        [] => (0..rank).collect(),
        _ => axes
            .iter()
            .map(|it| axis_of(*it, rank))
            .collect::<Result<_, _>>()?,
    };
    axes.sort_unstable();
    axes.dedup();
    // Axes that lie beside each other are one.
    let beside = axes.windows(2).all(|it| it[0] + 1 == it[1]);
    let (Some(first), Some(last), true) = (axes.first(), axes.last(), beside) else {
        return Ok(tensor.clone());
    };
    let product = |it: &[usize]| it.iter().product::<usize>();
    let outer = product(&tensor.shape[..*first]);
    let along = product(&tensor.shape[*first..=*last]);
    let inner = product(&tensor.shape[last + 1..]);
    if along == 0 {
        return Err("there is nothing to reduce".to_owned());
    }
    let shape: Vec<usize> = tensor
        .shape
        .iter()
        .enumerate()
        .filter(|it| keep || !axes.contains(&it.0))
        .map(|(at, it)| if axes.contains(&at) { 1 } else { *it })
        .collect();
    let groups =
        (0..outer).flat_map(|row| (0..inner).map(move |column| row * along * inner + column));
    let groups = groups.map(|first| (0..along).map(move |it| first + it * inner));
    let data = match &tensor.data {
        Data::Float(it) => reduced(by, it, groups),
        Data::Double(it) => reduced(by, it, groups),
        Data::Int(_) | Data::Bool(_) => return Err("the type of its input does not fit".to_owned()),
    };
    Tensor::new(shape, data)
}

pub fn reduced<N: Float>(
    by: Reduction,
    all: &[N],
    groups: impl Iterator<Item = impl Iterator<Item = usize>>,
) -> Data {
    let zero = N::of(0.0);
    let absolute = |it: N| if it < zero { it.negative() } else { it };
    let mut values = Vec::new();
    let mut places = Vec::new();
    for group in groups {
        let group: Vec<N> = group.map(|it| all[it]).collect();
        let sum = |of: &dyn Fn(N) -> N| group.iter().fold(zero, |sum, it| sum.plus(of(*it)));
        let best = |is_better: &dyn Fn(N, N) -> bool| {
            (1..group.len()).fold(0, |best, it| {
                if is_better(group[it], group[best]) {
                    it
                } else {
                    best
                }
            })
        };
        let (least, greatest) = (best(&|a, b| a < b), best(&|a, b| b < a));
        places.push(if by == Reduction::ArgMin {
            least
        } else {
            greatest
        } as i64);
        values.push(match by {
            Reduction::Sum => sum(&|it| it),
            Reduction::SumSquare => sum(&|it| it.times(it)),
            Reduction::Mean => sum(&|it| it).over(N::of(group.len() as f64)),
            Reduction::L1 => sum(&absolute),
            Reduction::L2 => sum(&|it| it.times(it)).root(),
            Reduction::Min | Reduction::ArgMin => group[least],
            Reduction::Max | Reduction::ArgMax => group[greatest],
        });
    }
    match by {
        Reduction::ArgMax | Reduction::ArgMin => Data::Int(places),
        _ => N::data(values),
    }
}

/// Rows divided by their norm; one whose norm is zero stays as it is.
pub fn normalize(tensor: &Tensor, norm: Norm) -> Result<Tensor, String> {
    let columns = tensor.rows_and_columns()?.1.max(1);
    let mut values = tensor.floats()?;
    for row in values.chunks_mut(columns) {
        let length = match norm {
            Norm::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            Norm::L1 => row.iter().fold(0.0, |sum: f32, it| sum + it.abs()),
            Norm::L2 => row.iter().fold(0.0, |sum: f32, it| sum + it * it),
        };
        if length == 0.0 {
            continue;
        }
        for value in row {
            *value = match norm {
                Norm::Max | Norm::L1 => *value / length,
                // Its sign, and the root of its share.
                Norm::L2 if *value < 0.0 => -(*value * *value / length).sqrt(),
                Norm::L2 => (*value * *value / length).sqrt(),
            };
        }
    }
    Tensor::new(tensor.shape.clone(), Data::Float(values))
}

/// Keys are in their order. What has no key has the default.
pub fn encode(
    tensor: &Tensor,
    keys: &Data,
    values: &Data,
    default: &Data,
) -> Result<Tensor, String> {
    let places: Vec<Option<usize>> = match (&tensor.data, keys) {
        (Data::Int(all), Data::Int(keys)) => {
            all.iter().map(|it| keys.binary_search(it).ok()).collect()
        }
        (Data::Float(all), Data::Float(keys)) => {
            let found = |it: &f32| {
                let place = keys.partition_point(|key| key < it);
                (keys.get(place) == Some(it)).then_some(place)
            };
            all.iter().map(found).collect()
        }
        _ => return Err("the type of its input does not fit".to_owned()),
    };
    fn of<T: Copy>(places: &[Option<usize>], values: &[T], default: &[T]) -> Option<Vec<T>> {
        let value = |it: &Option<usize>| match it {
            Some(place) => values.get(*place).copied(),
            None => default.first().copied(),
        };
        places.iter().map(value).collect()
    }
    let data = match (values, default) {
        (Data::Float(values), Data::Float(default)) => {
            of(&places, values, default).map(Data::Float)
        }
        (Data::Double(values), Data::Double(default)) => {
            of(&places, values, default).map(Data::Double)
        }
        (Data::Int(values), Data::Int(default)) => of(&places, values, default).map(Data::Int),
        _ => None,
    };
    let data = data.ok_or("its values do not fit its keys")?;
    Tensor::new(tensor.shape.clone(), data)
}

pub fn linear(
    tensor: &Tensor,
    coefficients: &[f32],
    intercepts: &[f32],
    outputs: usize,
    second: bool,
    transform: Transform,
) -> Result<Tensor, String> {
    let (rows, columns) = tensor.rows_and_columns()?;
    if columns * outputs != coefficients.len() {
        return Err(format!(
            "it has {} coefficients for {columns} columns",
            coefficients.len()
        ));
    }
    let values = tensor.floats()?;
    let mut all = Vec::new();
    for row in values.chunks(columns.max(1)) {
        let output = |number: usize| {
            let own = &coefficients[number * columns..(number + 1) * columns];
            let sum = row.iter().zip(own).fold(0.0_f32, |sum, (a, b)| sum + a * b);
            sum + intercepts.get(number).copied().unwrap_or_default()
        };
        let mut scores: Vec<f32> = (0..outputs).map(output).collect();
        match (second, transform) {
            (false, _) => transformed(&mut scores, transform),
            (true, Transform::Logistic) => scores = vec![logistic(-scores[0]), logistic(scores[0])],
            (true, _) => scores = vec![1.0 - scores[0], scores[0]],
        }
        all.extend(scores);
    }
    Tensor::new(
        vec![rows, if second { 2 } else { outputs }],
        Data::Float(all),
    )
}
