//! Accumulators: what a group has taken in, as a difference that can be added and taken back.
//!
//! A retraction is an addition of the negative, as for the `diff` of an update. Every slot is exact and independent of order.

use super::distinct::Member;
use crate::model::{Bins, Decimal, FloatSum, IntSum, Moments, Row, Value, merge_counts};
use crate::plan::{Aggregate, Function, Hops};
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

/// What a group has taken in. Without slots it is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Accumulator {
    /// Records in the group; without this count a group whose sum is zero would vanish.
    pub records: i64,
    pub slots: Box<[Slot]>,
}

/// What one aggregate needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// Counted records, or members of a distinct set.
    Count(i64),
    IntSum(IntSum),
    FloatSum(FloatSum),
    /// Boxed, since it is the largest by far and there is one slot per aggregate and group.
    Moments(Box<Moments>),
    /// Candidates for the smallest or largest value, sorted, with how often each was given.
    Extremes(Vec<(Value, i64)>),
    Bins(Bins),
    /// The smallest or largest value alone, of a group that never loses a record.
    Best {
        largest: bool,
        value: Option<Value>,
    },
}

impl Slot {
    /// The empty slot of an aggregate.
    pub fn empty(aggregate: &Aggregate) -> Slot {
        match aggregate.function {
            Function::Count | Function::CountDistinct => Slot::Count(0),
            Function::Sum | Function::Avg if aggregate.is_of_integers() => {
                Slot::IntSum(IntSum::default())
            }
            Function::Sum | Function::Avg => Slot::FloatSum(FloatSum::default()),
            Function::Variance { .. } | Function::Stddev { .. } => Slot::Moments(Box::default()),
            Function::Min | Function::Max => Slot::Extremes(Vec::new()),
            Function::Percentile(_) => Slot::Bins(Bins::default()),
        }
    }

    /// Adds another one of the same aggregate.
    pub fn merge(&mut self, other: &Slot) {
        match (self, other) {
            (Slot::Count(a), Slot::Count(b)) => *a += b,
            (Slot::IntSum(a), Slot::IntSum(b)) => a.merge(b),
            (Slot::FloatSum(a), Slot::FloatSum(b)) => a.merge(b),
            (Slot::Moments(a), Slot::Moments(b)) => a.merge(b),
            (Slot::Extremes(a), Slot::Extremes(b)) => *a = merge_counts(a, b),
            (Slot::Bins(a), Slot::Bins(b)) => a.merge(b),
            (Slot::Best { largest, value }, Slot::Best { value: more, .. }) => {
                better(*largest, value, more.as_ref());
            }
            // Stored by an earlier version, which kept candidates for these groups too.
            (Slot::Best { largest, value }, Slot::Extremes(more)) => {
                better(*largest, value, best_of(*largest, more));
            }
            (slot @ Slot::Extremes(_), Slot::Best { largest, .. }) => {
                slot.keep_best(*largest);
                slot.merge(other);
            }
            (a, b) => panic!("slots of different aggregates were added: {a:?} and {b:?}"),
        }
    }

    /// Keeps the smallest or largest of the candidates alone.
    fn keep_best(&mut self, largest: bool) {
        if let Slot::Extremes(candidates) = self {
            let value = best_of(largest, candidates).cloned();
            *self = Slot::Best { largest, value };
        }
    }

    fn negate(&mut self) {
        match self {
            Slot::Count(it) => *it = -*it,
            Slot::IntSum(it) => it.negate(),
            Slot::FloatSum(it) => it.negate(),
            Slot::Moments(it) => it.negate(),
            Slot::Extremes(it) => it.iter_mut().for_each(|entry| entry.1 = -entry.1),
            Slot::Bins(it) => it.negate(),
            Slot::Best { .. } => {
                panic!("a group that never loses a record was taken back: {self:?}")
            }
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Slot::Count(it) => *it == 0,
            Slot::IntSum(it) => it.is_zero(),
            Slot::FloatSum(it) => it.is_zero(),
            Slot::Moments(it) => it.is_zero(),
            Slot::Extremes(it) => it.is_empty(),
            Slot::Bins(it) => it.is_zero(),
            Slot::Best { value, .. } => value.is_none(),
        }
    }
}

/// The smallest or largest of sorted candidates.
fn best_of(largest: bool, candidates: &[(Value, i64)]) -> Option<&Value> {
    let best = match largest {
        true => candidates.last(),
        false => candidates.first(),
    };
    best.map(|it| &it.0)
}

/// Takes another value if it is better.
fn better(largest: bool, value: &mut Option<Value>, other: Option<&Value>) {
    let Some(other) = other else { return };
    let is_better = value.as_ref().is_none_or(|it| match largest {
        true => it < other,
        false => other < it,
    });
    if is_better {
        *value = Some(other.clone());
    }
}

impl Accumulator {
    /// The accumulator of an empty group.
    pub fn empty(aggregates: &[Aggregate]) -> Accumulator {
        Accumulator {
            records: 0,
            slots: aggregates.iter().map(Slot::empty).collect(),
        }
    }

    /// Whether it has taken in nothing, or has lost everything again.
    pub fn is_zero(&self) -> bool {
        self.records == 0 && self.slots.iter().all(Slot::is_zero)
    }

    /// Takes in what another one has.
    pub fn merge(&mut self, other: &Accumulator) {
        self.records += other.records;
        if self.slots.is_empty() {
            self.slots.clone_from(&other.slots);
            return;
        }
        for (slot, more) in self.slots.iter_mut().zip(&other.slots) {
            slot.merge(more);
        }
    }

    /// Makes it what takes back what it has taken in.
    pub fn negate(&mut self) {
        self.records = -self.records;
        self.slots.iter_mut().for_each(Slot::negate);
    }

    /// Keeps smallest and largest values alone, without candidates: enough for a group that never loses a record.
    pub fn keep_best(&mut self, aggregates: &[Aggregate]) {
        for (slot, aggregate) in self.slots.iter_mut().zip(aggregates) {
            match aggregate.function {
                Function::Min => slot.keep_best(false),
                Function::Max => slot.keep_best(true),
                Function::Count
                | Function::CountDistinct
                | Function::Sum
                | Function::Avg
                | Function::Variance { .. }
                | Function::Stddev { .. }
                | Function::Percentile(_) => {}
            }
        }
    }

    /// Rough size in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let inner: usize = self
            .slots
            .iter()
            .map(|it| match it {
                Slot::Extremes(it) => it.len() * size_of::<(Value, i64)>(),
                Slot::Bins(it) => size_of_val(it.entries()),
                _ => 0,
            })
            .sum();
        size_of::<Accumulator>() + self.slots.len() * size_of::<Slot>() + inner
    }
}

/// The result of an aggregate.
pub fn result(aggregate: &Aggregate, slot: Option<&Slot>) -> Value {
    let float =
        |it: Option<f64>| it.map_or(Value::Null, |it| Value::Float(crate::model::Float::new(it)));
    let decimal = |unscaled: Option<i128>, scale: i8| {
        unscaled.map_or(Value::Null, |it| {
            Value::Decimal(Box::new(Decimal::new(it, scale)))
        })
    };
    match (aggregate.function, slot) {
        (Function::Count | Function::CountDistinct, Some(Slot::Count(it))) => Value::Int(*it),
        (Function::Count | Function::CountDistinct, _) => Value::Int(0),
        (Function::Sum, Some(Slot::IntSum(it))) => match aggregate.result_type {
            DataType::Decimal128(precision, scale) => decimal(it.decimal_sum(precision), scale),
            _ => it.sum().map_or(Value::Null, Value::Int),
        },
        (Function::Sum, Some(Slot::FloatSum(it))) => float(it.sum()),
        (Function::Avg, Some(Slot::IntSum(it))) => {
            match (&aggregate.argument_type, &aggregate.result_type) {
                (DataType::Decimal128(_, of_values), DataType::Decimal128(precision, scale)) => {
                    let more = scale.saturating_sub(*of_values).unsigned_abs();
                    decimal(it.decimal_mean(*precision, more), *scale)
                }
                _ => float(it.mean()),
            }
        }
        (Function::Avg, Some(Slot::FloatSum(it))) => float(it.mean()),
        (Function::Variance { sample }, Some(Slot::Moments(it))) => float(it.variance(sample)),
        (Function::Stddev { sample }, Some(Slot::Moments(it))) => float(it.stddev(sample)),
        (Function::Min, Some(Slot::Extremes(it))) => {
            it.first().map_or(Value::Null, |it| it.0.clone())
        }
        (Function::Max, Some(Slot::Extremes(it))) => {
            it.last().map_or(Value::Null, |it| it.0.clone())
        }
        (Function::Min | Function::Max, Some(Slot::Best { value, .. })) => {
            value.clone().unwrap_or(Value::Null)
        }
        (Function::Percentile(rank), Some(Slot::Bins(it))) => float(it.percentile(rank)),
        _ => Value::Null,
    }
}

/// Whether the result of a sum, or of a mean of decimals, has no place in its type, so that it is NULL.
pub fn is_beyond_its_type(aggregate: &Aggregate, slot: &Slot) -> bool {
    match slot {
        Slot::IntSum(sum) => sum.has_values() && result(aggregate, Some(slot)) == Value::Null,
        _ => false,
    }
}

/// What one worker saw of one group in one epoch: the only thing that crosses workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    pub key: Row,
    /// When it leaves: end of its window, of the newest one if there are several, or start of its step of a sliding range; the largest number if never.
    pub bucket: i64,
    pub accumulator: Accumulator,
    /// Members of distinct sets.
    pub members: Vec<Member>,
}

impl Partial {
    /// The windows that it counts in: the end of each, and the key of the group there.
    pub fn windows(&self, hops: &Hops) -> impl Iterator<Item = (i64, Row)> {
        let newest_us = hops.newest_us();
        hops.offsets_us.iter().map(move |offset_us| {
            let key = self.key.0.iter().enumerate();
            let key = key.map(|(at, value)| match value {
                Value::Timestamp(bound) if hops.keys.contains(&at) => {
                    Value::Timestamp(bound.saturating_add(*offset_us))
                }
                other => other.clone(),
            });
            let bucket = match self.bucket {
                i64::MAX => i64::MAX,
                newest => newest.saturating_add(offset_us - newest_us),
            };
            (bucket, Row(key.collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_with_candidates_goes_on_with_the_best_value_alone() {
        let extremes = |values: &[i64]| {
            let candidates = values.iter().map(|it| (Value::Int(*it), 1));
            Slot::Extremes(candidates.collect())
        };
        let best = |largest: bool, value: i64| Slot::Best {
            largest,
            value: Some(Value::Int(value)),
        };
        let sum = |mut a: Slot, b: &Slot| {
            a.merge(b);
            a
        };
        assert_eq!(sum(extremes(&[3, 5]), &best(true, 4)), best(true, 5));
        assert_eq!(sum(best(true, 4), &extremes(&[3, 5])), best(true, 5));
        assert_eq!(sum(extremes(&[3, 5]), &best(false, 4)), best(false, 3));
        assert_eq!(sum(best(false, 2), &extremes(&[])), best(false, 2));
        assert_eq!(sum(best(false, 2), &best(false, 1)), best(false, 1));
    }
}
