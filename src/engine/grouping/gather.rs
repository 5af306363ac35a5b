//! What aggregates gather of the records of each group: one pass over a column for all groups of a batch.

use crate::engine::accumulate::Slot;
use crate::model::{Float, FloatSum, IntSum, Moments, Value, bin_of, sum_counts, value_at};
use crate::plan::{Aggregate, Function};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What is gathered of which rows. Aggregates that gather the same share it: three percentiles of one column need its bins once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gather {
    kind: Kind,
    argument: Option<usize>,
    filter: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    IntSum,
    FloatSum,
    Moments,
    /// The smallest or largest value alone.
    Best {
        largest: bool,
    },
    /// Every value, since any may be taken back.
    Every,
    Bins,
}

impl Gather {
    /// What an aggregate needs; nothing for distinct sets, which are not gathered by group.
    pub fn of(aggregate: &Aggregate, append_only: bool) -> Option<Self> {
        let kind = match aggregate.function {
            Function::CountDistinct => return None,
            Function::Count => Kind::Count,
            Function::Sum | Function::Avg if aggregate.is_of_integers() => Kind::IntSum,
            Function::Sum | Function::Avg => Kind::FloatSum,
            Function::Variance { .. } | Function::Stddev { .. } => Kind::Moments,
            Function::Min | Function::Max if !append_only => Kind::Every,
            Function::Min => Kind::Best { largest: false },
            Function::Max => Kind::Best { largest: true },
            Function::Percentile(_) => Kind::Bins,
        };
        Some(Gather {
            kind,
            argument: aggregate.argument,
            filter: aggregate.filter,
        })
    }

    /// What groups have gathered, from that of finer groups, each with the number of the group it is part of.
    pub fn added_up<'a>(
        &self,
        finer: impl Iterator<Item = (u32, &'a Slot)>,
        groups: usize,
    ) -> Vec<Slot> {
        match self.kind {
            // Lists are added up once, when they are complete.
            Kind::Bins => {
                let mut lists = vec![Vec::new(); groups];
                for (group, slot) in finer {
                    if let Slot::Bins(it) = slot {
                        lists[group as usize].extend_from_slice(it.entries());
                    }
                }
                let lists = lists.into_iter();
                lists
                    .map(|it| Slot::Bins(it.into_iter().collect()))
                    .collect()
            }
            Kind::Best { .. } | Kind::Every => {
                let mut lists = vec![Vec::new(); groups];
                for (group, slot) in finer {
                    if let Slot::Extremes(it) = slot {
                        lists[group as usize].extend_from_slice(it);
                    }
                }
                let lists = lists.into_iter();
                lists.map(|it| Slot::Extremes(self.extremes(it))).collect()
            }
            Kind::Count | Kind::IntSum | Kind::FloatSum | Kind::Moments => {
                let mut slots = Column::new(self).slots(groups);
                finer.for_each(|(group, slot)| slots[group as usize].merge(slot));
                slots
            }
        }
    }

    /// The candidates for a smallest or largest value among those of finer groups.
    fn extremes(&self, mut all: Vec<(Value, i64)>) -> Vec<(Value, i64)> {
        let Kind::Best { largest } = self.kind else {
            sum_counts(&mut all);
            return all;
        };
        let best = all.into_iter().reduce(|best, it| {
            if is_better(&it.0, &best.0, largest) {
                it
            } else {
                best
            }
        });
        best.into_iter().collect()
    }
}

fn is_better(new: &Value, best: &Value, largest: bool) -> bool {
    match largest {
        true => best < new,
        false => new < best,
    }
}

/// What was gathered, by group.
pub(super) enum Column {
    Count(Vec<i64>),
    IntSum(Vec<IntSum>),
    FloatSum(Vec<FloatSum>),
    Moments(Vec<Moments>),
    Best(Vec<Option<Value>>),
    Every(HashMap<(u32, Value), i64, FixedState>),
    /// By group in the upper half, and bin.
    Bins(HashMap<u64, i64, FixedState>),
}

impl Column {
    pub fn new(gather: &Gather) -> Self {
        match gather.kind {
            Kind::Count => Column::Count(Vec::new()),
            Kind::IntSum => Column::IntSum(Vec::new()),
            Kind::FloatSum => Column::FloatSum(Vec::new()),
            Kind::Moments => Column::Moments(Vec::new()),
            Kind::Best { .. } => Column::Best(Vec::new()),
            Kind::Every => Column::Every(HashMap::default()),
            Kind::Bins => Column::Bins(HashMap::default()),
        }
    }

    /// Takes a batch in. Row `i` is of group `numbers[i]`, of `groups` in all.
    pub fn add(
        &mut self,
        gather: &Gather,
        batch: &RecordBatch,
        numbers: &[u32],
        diffs: Option<&[i64]>,
        groups: usize,
    ) {
        let argument = gather.argument.map(|it| batch.column(it));
        let chosen = chosen(gather.argument, gather.filter, batch);
        macro_rules! each {
            (|$row:ident, $group:ident, $diff:ident| $act:expr) => {
                match diffs {
                    None => each_row(chosen.as_ref(), numbers.len(), |$row| {
                        let ($group, $diff) = (numbers[$row] as usize, 1);
                        $act
                    }),
                    Some(diffs) => each_row(chosen.as_ref(), numbers.len(), |$row| {
                        let ($group, $diff) = (numbers[$row] as usize, diffs[$row]);
                        $act
                    }),
                }
            };
        }
        match self {
            Column::Count(counts) => {
                counts.resize(groups, 0);
                each!(|row, group, diff| counts[group] += diff);
            }
            Column::IntSum(sums) => {
                sums.resize(groups, IntSum::default());
                let Some(argument) = argument else { return };
                if let Some(decimals) = argument.as_primitive_opt::<Decimal128Type>() {
                    let values = decimals.values();
                    each!(|row, group, diff| sums[group].add_decimal(values[row], diff));
                    return;
                }
                let values = cast(argument, &DataType::Int64)
                    .expect("integers of 32 bits are integers of 64");
                let values = values.as_primitive::<Int64Type>().values();
                each!(|row, group, diff| sums[group].add(values[row], diff));
            }
            Column::FloatSum(sums) => {
                sums.resize(groups, FloatSum::default());
                let Some(argument) = argument else { return };
                let values = floats(argument);
                each!(|row, group, diff| sums[group].add(values[row], diff));
            }
            Column::Moments(moments) => {
                moments.resize(groups, Moments::default());
                let Some(argument) = argument else { return };
                let values = floats(argument);
                each!(|row, group, diff| moments[group].add(values[row], diff));
            }
            Column::Bins(bins) => {
                let Some(argument) = argument else { return };
                let values = floats(argument);
                each!(|row, group, diff| {
                    let bin = (group as u64) << 32 | u64::from(bin_of(values[row]) as u32);
                    *bins.entry(bin).or_insert(0) += diff
                });
            }
            Column::Best(best) => {
                best.resize(groups, None);
                let Some(argument) = argument else { return };
                let largest = gather.kind == Kind::Best { largest: true };
                best_of(best, argument, largest, chosen.as_ref(), numbers);
            }
            Column::Every(values) => {
                let Some(argument) = argument else { return };
                each!(|row, group, diff| {
                    *values
                        .entry((group as u32, value_at(argument, row)))
                        .or_insert(0) += diff
                });
            }
        }
    }

    /// The slot of each of the groups.
    pub fn slots(self, groups: usize) -> Vec<Slot> {
        fn filled<T: Clone>(of: Vec<T>, groups: usize, rest: T) -> Vec<T> {
            let mut of = of;
            of.resize(groups, rest);
            of
        }
        match self {
            Column::Count(it) => {
                let counts = filled(it, groups, 0).into_iter();
                counts.map(Slot::Count).collect()
            }
            Column::IntSum(it) => {
                let sums = filled(it, groups, IntSum::default()).into_iter();
                sums.map(Slot::IntSum).collect()
            }
            Column::FloatSum(it) => {
                let sums = filled(it, groups, FloatSum::default()).into_iter();
                sums.map(Slot::FloatSum).collect()
            }
            Column::Moments(it) => {
                let moments = filled(it, groups, Moments::default()).into_iter();
                moments.map(|it| Slot::Moments(Box::new(it))).collect()
            }
            Column::Best(it) => filled(it, groups, None)
                .into_iter()
                .map(|it| Slot::Extremes(it.map(|it| (it, 1)).into_iter().collect()))
                .collect(),
            Column::Every(values) => {
                let mut lists = vec![Vec::new(); groups];
                for ((group, value), count) in values.into_iter().filter(|it| it.1 != 0) {
                    lists[group as usize].push((value, count));
                }
                let lists = lists.into_iter();
                lists
                    .map(|mut it| {
                        it.sort();
                        Slot::Extremes(it)
                    })
                    .collect()
            }
            Column::Bins(counts) => {
                let mut lists = vec![Vec::new(); groups];
                for (bin, count) in counts {
                    lists[(bin >> 32) as usize].push((bin as u32 as i32, count));
                }
                let lists = lists.into_iter();
                lists
                    .map(|it| Slot::Bins(it.into_iter().collect()))
                    .collect()
            }
        }
    }
}

/// The rows that are taken in: the argument is there and the filter holds. None if all.
pub(super) fn chosen(
    argument: Option<usize>,
    filter: Option<usize>,
    batch: &RecordBatch,
) -> Option<BooleanBuffer> {
    let argument = argument.and_then(|it| batch.column(it).nulls());
    let filter = filter.map(|it| batch.column(it).as_boolean());
    let bits = [
        argument.map(|it| it.inner()),
        filter.map(BooleanArray::values),
        filter.and_then(|it| it.nulls()).map(|it| it.inner()),
    ];
    let bits = bits.into_iter().flatten().cloned();
    bits.reduce(|all, more| &all & &more)
}

pub(super) fn each_row(chosen: Option<&BooleanBuffer>, rows: usize, act: impl FnMut(usize)) {
    match chosen {
        Some(chosen) => chosen.set_indices().for_each(act),
        None => (0..rows).for_each(act),
    }
}

fn floats(argument: &ArrayRef) -> ScalarBuffer<f64> {
    let floats = cast(argument, &DataType::Float64).expect("the argument is a number");
    floats.as_primitive::<Float64Type>().values().clone()
}

fn best_of(
    best: &mut [Option<Value>],
    argument: &ArrayRef,
    largest: bool,
    chosen: Option<&BooleanBuffer>,
    numbers: &[u32],
) {
    let mut offer = |row: usize, value: Value| {
        let best = &mut best[numbers[row] as usize];
        if best
            .as_ref()
            .is_none_or(|it| is_better(&value, it, largest))
        {
            *best = Some(value);
        }
    };
    macro_rules! of_values {
        ($kind:ty, $value:expr) => {{
            let values = argument.as_primitive::<$kind>().values();
            each_row(chosen, numbers.len(), |row| offer(row, $value(values[row])))
        }};
    }
    match argument.data_type() {
        DataType::Float64 => {
            of_values!(Float64Type, |it| Value::Float(Float::new(it)))
        }
        DataType::Int64 => of_values!(Int64Type, Value::Int),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            of_values!(TimestampMicrosecondType, Value::Timestamp)
        }
        _ => each_row(chosen, numbers.len(), |row| {
            offer(row, value_at(argument, row))
        }),
    }
}
