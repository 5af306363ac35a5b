//! Partial aggregation: a worker's records of one epoch, grouped column by column.
//!
//! This is the hottest loop behind decoding. Keys become machine words (text is interned to a
//! number), a hash table maps them to group numbers, and each aggregate then runs over its column
//! once. Only the finished groups leave, as rows.

use super::accumulate::{Accumulator, Partial, Slot};
use super::changes::Changes;
use super::distinct::{Identities, Member};
use crate::model::{Bins, ExactSum, Moments, Row, Value, bin_of, value_at};
use crate::plan::{Aggregate, Aggregation, Function, Window};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// Interned texts are forgotten at the next epoch when there are more than this.
const INTERNED_MAX: usize = 1_000_000;

/// Text as numbers, for keys.
#[derive(Default)]
struct Interner {
    numbers: HashMap<Box<str>, u32, FixedState>,
    texts: Vec<Box<str>>,
}

impl Interner {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return (*number).into();
        }
        let number = u32::try_from(self.texts.len()).expect("fewer interned texts than 2^32");
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number.into()
    }
}

/// What a worker keeps between epochs.
pub struct Grouper {
    aggregation: Arc<Aggregation>,
    key_types: Vec<DataType>,
    interners: Vec<Interner>,
    /// For every aggregate the first one that gathers the same: three percentiles of one column need its bins once.
    gathered_by: Vec<usize>,
    /// Per aggregate.
    repeats: Vec<Repeats>,
    /// The sets of an epoch that is over, for the next one: growing them anew costs as much as filling them.
    spare: Option<Identities>,
}

/// The open groups of one epoch.
pub struct Groups {
    words: usize,
    table: HashTable<u32>,
    /// `words` per group: one per key, the bucket if it is no key, a mask of nulls.
    keys: Vec<u64>,
    records: Vec<i64>,
    columns: Vec<Column>,
    /// With the number of their group.
    members: Vec<(u32, Member)>,
    /// Which members were told of already, if input is append-only. Sets of all that was ever told would be as large as those
    /// of whoever gets them, and most members of large sets are new.
    told: Identities,
}

enum Column {
    Count(Vec<i64>),
    Sum(Vec<ExactSum>),
    Moments(Vec<Moments>),
    /// Best value so far; with retractions, every value.
    Best(Vec<Option<Value>>),
    Every(HashMap<(u32, Value), i64, FixedState>),
    Bins(HashMap<(u32, i32), i64, FixedState>),
    Distinct,
}

/// Whether values of a distinct set come again within an epoch. Where most do not, looking for those that do costs more than it saves:
/// whoever gets the members finds them anyway.
#[derive(Clone, Copy, Default)]
struct Repeats {
    seen: usize,
    told: usize,
    /// Epochs for which they are not looked for.
    passed_over: u32,
    /// Always worth it: whoever gets the members keeps each.
    kept: bool,
}

/// After so many epochs repeats are looked for again.
const PASSED_OVER_MAX: u32 = 50;

impl Repeats {
    fn are_worth_finding(&self) -> bool {
        self.passed_over == 0
    }

    fn end_epoch(&mut self) {
        if self.passed_over != 0 {
            self.passed_over -= 1;
        } else if !self.kept && self.seen < 2 * self.told {
            self.passed_over = PASSED_OVER_MAX;
        }
        (self.seen, self.told) = (0, 0);
    }
}

impl Grouper {
    pub fn new(aggregation: Arc<Aggregation>, input: &arrow::datatypes::SchemaRef) -> Self {
        let key_types: Vec<DataType> = aggregation
            .keys
            .iter()
            .map(|it| input.field(*it).data_type().clone())
            .collect();
        let interners = key_types.iter().map(|_| Interner::default()).collect();
        let gathered_by = gathered_by(&aggregation.aggregates);
        let repeats = Repeats {
            kept: matches!(aggregation.window, Window::Last { .. }),
            ..Repeats::default()
        };
        Grouper {
            repeats: vec![repeats; aggregation.aggregates.len()],
            aggregation,
            key_types,
            interners,
            gathered_by,
            spare: None,
        }
    }

    /// Starts an epoch.
    pub fn open(&mut self) -> Groups {
        Groups {
            words: self.key_types.len() + 2,
            table: HashTable::new(),
            keys: Vec::new(),
            records: Vec::new(),
            columns: self
                .aggregation
                .aggregates
                .iter()
                .map(|it| new_column(it, !self.aggregation.append_only))
                .collect(),
            members: Vec::new(),
            told: self.spare.take().unwrap_or_default(),
        }
    }

    /// Adds a batch to an epoch's groups.
    pub fn add(&mut self, groups: &mut Groups, changes: &Changes) {
        let Some(batch) = changes.batch() else { return };
        if batch.num_rows() == 0 {
            return;
        }
        let diffs = changes.diffs();
        let numbers = self.group_numbers(groups, batch);
        for (row, group) in numbers.iter().enumerate() {
            groups.records[*group as usize] += diffs.map_or(1, |it| it[row]);
        }
        let aggregation = Arc::clone(&self.aggregation);
        for (at, aggregate) in aggregation.aggregates.iter().enumerate() {
            if aggregate.function == Function::CountDistinct {
                self.add_members(groups, at, aggregate, batch, &numbers, diffs);
            } else if self.gathered_by[at] == at {
                add_column(
                    &mut groups.columns[at],
                    aggregate,
                    batch,
                    &numbers,
                    diffs,
                    groups.records.len(),
                );
            }
        }
    }

    /// The group number of every row.
    fn group_numbers(&mut self, groups: &mut Groups, batch: &RecordBatch) -> Vec<u32> {
        let rows = batch.num_rows();
        let words = groups.words;
        let mut keys = vec![0u64; rows * words];
        let aggregation = Arc::clone(&self.aggregation);
        for (at, column) in aggregation.keys.iter().enumerate() {
            self.fill_words(&mut keys, words, at, batch.column(*column));
        }
        if let Window::Last { time, step_us, .. } = self.aggregation.window {
            let times = batch
                .column(time)
                .as_primitive::<TimestampMicrosecondType>();
            for (row, time) in times.values().iter().enumerate() {
                keys[row * words + words - 2] = (time - time.rem_euclid(step_us)) as u64;
            }
        }
        let hasher = FixedState::default();
        let mut numbers = Vec::with_capacity(rows);
        let mut previous: Option<(usize, u32)> = None;
        for row in 0..rows {
            let key = &keys[row * words..(row + 1) * words];
            if let Some((before, number)) = previous
                && keys[before * words..(before + 1) * words] == *key
            {
                numbers.push(number);
                continue;
            }
            let hash = hasher.hash_one(key);
            let known = groups.table.find(hash, |it| {
                let start = *it as usize * words;
                groups.keys[start..start + words] == *key
            });
            let number = match known {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(groups.records.len())
                        .expect("fewer groups in an epoch than 2^32");
                    groups.keys.extend_from_slice(key);
                    groups.records.push(0);
                    let all = &groups.keys;
                    groups.table.insert_unique(hash, number, |it| {
                        let start = *it as usize * words;
                        hasher.hash_one(&all[start..start + words])
                    });
                    number
                }
            };
            previous = Some((row, number));
            numbers.push(number);
        }
        numbers
    }

    fn fill_words(&mut self, keys: &mut [u64], words: usize, at: usize, column: &ArrayRef) {
        macro_rules! fill {
            ($values:expr, $word:expr) => {
                for (row, value) in $values.iter().enumerate() {
                    keys[row * words + at] = $word(*value);
                }
            };
        }
        match column.data_type() {
            DataType::Int32 => {
                fill!(
                    column.as_primitive::<Int32Type>().values(),
                    |it: i32| i64::from(it) as u64
                )
            }
            DataType::Date32 => {
                fill!(
                    column.as_primitive::<Date32Type>().values(),
                    |it: i32| i64::from(it) as u64
                )
            }
            DataType::Int64 => fill!(column.as_primitive::<Int64Type>().values(), |it: i64| it
                as u64),
            DataType::Timestamp(..) => fill!(
                column.as_primitive::<TimestampMicrosecondType>().values(),
                |it: i64| it as u64
            ),
            DataType::Float64 => {
                fill!(
                    column.as_primitive::<Float64Type>().values(),
                    |it: f64| if it == 0.0 { 0 } else { it.to_bits() }
                )
            }
            DataType::Boolean => {
                for (row, value) in column.as_boolean().iter().enumerate() {
                    keys[row * words + at] = u64::from(value.unwrap_or(false));
                }
            }
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                let interner = &mut self.interners[at];
                let mut previous: (&str, u64) = ("", u64::MAX);
                for row in 0..texts.len() {
                    let text = texts.value(row);
                    if previous.1 == u64::MAX || previous.0 != text {
                        previous = (text, interner.number(text));
                    }
                    keys[row * words + at] = previous.1;
                }
            }
            _ => {
                let interner = &mut self.interners[at];
                for row in 0..column.len() {
                    let text = format!("{:?}", value_at(column, row));
                    keys[row * words + at] = interner.number(&text);
                }
            }
        }
        if let Some(nulls) = column.nulls() {
            for row in (0..column.len()).filter(|it| nulls.is_null(*it)) {
                keys[row * words + at] = 0;
                keys[row * words + words - 1] |= 1 << at;
            }
        }
    }

    fn add_members(
        &mut self,
        groups: &mut Groups,
        at: usize,
        aggregate: &Aggregate,
        batch: &RecordBatch,
        numbers: &[u32],
        diffs: Option<&[i64]>,
    ) {
        let Some(column) = aggregate.argument.map(|it| batch.column(it)) else {
            return;
        };
        let chosen = chosen(aggregate, batch);
        let number = u8::try_from(at).expect("fewer than 256 aggregates in a view");
        let texts = column.as_string_opt::<i32>();
        let value = |row: usize| match texts {
            Some(texts) => twox_hash::XxHash3_128::oneshot(texts.value(row).as_bytes()),
            None => identity(&value_at(column, row)),
        };
        let repeats = &mut self.repeats[at];
        if diffs.is_some() || !repeats.are_worth_finding() {
            each_row(chosen.as_ref(), numbers.len(), |row| {
                let diff = diffs.map_or(1, |it| it[row]);
                let member = Member::new(number, value(row), diff);
                groups.members.push((numbers[row], member));
            });
            return;
        }
        // Key identities of this batch's groups, computed once per group.
        let mut keys: Vec<Option<u128>> = vec![None; groups.records.len()];
        let (mut values, mut identities) = (Vec::new(), Vec::new());
        each_row(chosen.as_ref(), numbers.len(), |row| {
            let group = numbers[row] as usize;
            let key = *keys[group].get_or_insert_with(|| {
                let words = &groups.keys[group * groups.words..(group + 1) * groups.words];
                key_identity(&self.interners, words)
            });
            let value = value(row);
            let mixed = (key ^ value.rotate_left(64))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
                ^ value
                ^ u128::from(number);
            values.push((numbers[row], value));
            identities.push(mixed);
        });
        let before = groups.members.len();
        groups.told.insert_all(&identities, |at| {
            let (group, value) = values[at];
            groups.members.push((group, Member::new(number, value, 1)));
        });
        repeats.seen += values.len();
        repeats.told += groups.members.len() - before;
    }

    /// Ends an epoch: its groups as rows.
    pub fn close(&mut self, groups: Groups) -> Vec<Partial> {
        self.spare = groups.told.emptied();
        self.repeats.iter_mut().for_each(Repeats::end_epoch);
        let count = groups.records.len();
        let extra: Vec<HashMap<u32, Slot, FixedState>> =
            groups.columns.iter().map(gathered).collect();
        let mut members = vec![0; count];
        groups
            .members
            .iter()
            .for_each(|it| members[it.0 as usize] += 1);
        let mut partials: Vec<Partial> = Vec::with_capacity(count);
        for (group, members) in members.into_iter().enumerate() {
            let words = &groups.keys[group * groups.words..(group + 1) * groups.words];
            let slots = self.gathered_by.iter().map(|by| {
                let gathered = || extra[*by].get(&(group as u32)).cloned();
                match &groups.columns[*by] {
                    Column::Count(it) => Slot::Count(it.get(group).copied().unwrap_or(0)),
                    Column::Distinct => Slot::Count(0),
                    Column::Sum(it) => Slot::Sum(it.get(group).copied().unwrap_or_default()),
                    Column::Moments(it) => {
                        Slot::Moments(Box::new(it.get(group).copied().unwrap_or_default()))
                    }
                    Column::Best(it) => Slot::Extremes(
                        it.get(group)
                            .cloned()
                            .flatten()
                            .map(|it| (it, 1))
                            .into_iter()
                            .collect(),
                    ),
                    Column::Every(_) => gathered().unwrap_or(Slot::Extremes(Vec::new())),
                    Column::Bins(_) => gathered().unwrap_or(Slot::Bins(Bins::default())),
                }
            });
            partials.push(Partial {
                key: self.row_of(words),
                bucket: bucket_of(&self.aggregation, words),
                accumulator: Accumulator {
                    records: groups.records[group],
                    slots: slots.collect(),
                },
                members: Vec::with_capacity(members),
            });
        }
        for (group, member) in groups.members {
            partials[group as usize].members.push(member);
        }
        for (interner, _) in self.interners.iter_mut().zip(&self.key_types) {
            if INTERNED_MAX < interner.texts.len() {
                *interner = Interner::default();
            }
        }
        partials
    }

    fn row_of(&self, words: &[u64]) -> Row {
        let nulls = words[words.len() - 1];
        Row(self
            .key_types
            .iter()
            .enumerate()
            .map(|(at, data_type)| {
                let word = words[at];
                if nulls & (1 << at) != 0 {
                    return Value::Null;
                }
                match data_type {
                    DataType::Int32 | DataType::Int64 => Value::Int(word as i64),
                    DataType::Date32 => Value::Date(word as i64 as i32),
                    DataType::Timestamp(..) => Value::Timestamp(word as i64),
                    DataType::Float64 => {
                        Value::Float(crate::model::Float::new(f64::from_bits(word)))
                    }
                    DataType::Boolean => Value::Bool(word != 0),
                    _ => Value::Text(self.interners[at].texts[word as usize].clone()),
                }
            })
            .collect())
    }
}

fn gathered_by(aggregates: &[Aggregate]) -> Vec<usize> {
    let kind = |it: &Aggregate| match it.function {
        Function::Count => Some(0),
        Function::Sum | Function::Avg => Some(1),
        Function::Variance { .. } | Function::Stddev { .. } => Some(2),
        Function::Percentile(_) => Some(3),
        Function::CountDistinct | Function::Min | Function::Max => None,
    };
    let same = |a: &Aggregate, b: &Aggregate| {
        kind(a).is_some() && kind(a) == kind(b) && (a.argument, a.filter) == (b.argument, b.filter)
    };
    aggregates
        .iter()
        .enumerate()
        .map(|(at, it)| {
            aggregates
                .iter()
                .position(|first| same(first, it))
                .unwrap_or(at)
        })
        .collect()
}

fn gathered(column: &Column) -> HashMap<u32, Slot, FixedState> {
    let mut slots: HashMap<u32, Slot, FixedState> = HashMap::default();
    match column {
        Column::Bins(counts) => {
            let mut lists: HashMap<u32, Vec<(i32, i64)>, FixedState> = HashMap::default();
            for ((group, bin), count) in counts {
                lists.entry(*group).or_default().push((*bin, *count));
            }
            for (group, list) in lists {
                slots.insert(group, Slot::Bins(list.into_iter().collect()));
            }
        }
        Column::Every(values) => {
            let mut lists: HashMap<u32, Vec<(Value, i64)>, FixedState> = HashMap::default();
            for ((group, value), count) in values.iter().filter(|it| *it.1 != 0) {
                lists
                    .entry(*group)
                    .or_default()
                    .push((value.clone(), *count));
            }
            for (group, mut list) in lists {
                list.sort();
                slots.insert(group, Slot::Extremes(list));
            }
        }
        _ => {}
    }
    slots
}

fn bucket_of(aggregation: &Aggregation, words: &[u64]) -> i64 {
    match aggregation.window {
        Window::None => i64::MAX,
        Window::Tumble { key, .. } if words[words.len() - 1] & (1 << key) != 0 => i64::MAX,
        Window::Tumble { key, add_us, .. } => words[key] as i64 + add_us,
        Window::Last { .. } => words[words.len() - 2] as i64,
    }
}

/// A 128-bit identity of a key that does not depend on interned numbers.
fn key_identity(interners: &[Interner], words: &[u64]) -> u128 {
    let mut bytes = Vec::with_capacity(words.len() * 8);
    for (at, word) in words.iter().enumerate() {
        match interners.get(at).filter(|it| !it.texts.is_empty()) {
            Some(interner) => {
                bytes.extend_from_slice(
                    interner
                        .texts
                        .get(*word as usize)
                        .map_or(b"".as_slice(), |it| it.as_bytes()),
                );
                bytes.push(0xFF);
            }
            None => bytes.extend_from_slice(&word.to_le_bytes()),
        }
    }
    twox_hash::XxHash3_128::oneshot(&bytes)
}

/// A 128-bit identity of a value.
fn identity(value: &Value) -> u128 {
    let mut bytes = Vec::with_capacity(9);
    match value {
        Value::Null => {}
        Value::Bool(it) => bytes.extend_from_slice(&[1, u8::from(*it)]),
        Value::Int(it) | Value::Timestamp(it) => bytes.extend_from_slice(&it.to_le_bytes()),
        Value::Float(it) => bytes.extend_from_slice(&it.get().to_le_bytes()),
        Value::Date(it) => bytes.extend_from_slice(&it.to_le_bytes()),
        Value::Text(it) => bytes.extend_from_slice(it.as_bytes()),
    }
    twox_hash::XxHash3_128::oneshot(&bytes)
}

fn new_column(aggregate: &Aggregate, retracting: bool) -> Column {
    match aggregate.function {
        Function::Count => Column::Count(Vec::new()),
        Function::CountDistinct => Column::Distinct,
        Function::Sum | Function::Avg => Column::Sum(Vec::new()),
        Function::Variance { .. } | Function::Stddev { .. } => Column::Moments(Vec::new()),
        Function::Min | Function::Max if retracting => Column::Every(HashMap::default()),
        Function::Min | Function::Max => Column::Best(Vec::new()),
        Function::Percentile(_) => Column::Bins(HashMap::default()),
    }
}

/// The rows an aggregate takes in: its argument is there and its filter holds. None if all.
fn chosen(aggregate: &Aggregate, batch: &RecordBatch) -> Option<BooleanBuffer> {
    let argument = aggregate.argument.and_then(|it| batch.column(it).nulls());
    let filter = aggregate.filter.map(|it| batch.column(it).as_boolean());
    let bits = [
        argument.map(|it| it.inner()),
        filter.map(BooleanArray::values),
        filter.and_then(|it| it.nulls()).map(|it| it.inner()),
    ];
    let bits = bits.into_iter().flatten().cloned();
    bits.reduce(|all, more| &all & &more)
}

fn each_row(chosen: Option<&BooleanBuffer>, rows: usize, act: impl FnMut(usize)) {
    match chosen {
        Some(chosen) => chosen.set_indices().for_each(act),
        None => (0..rows).for_each(act),
    }
}

fn add_column(
    column: &mut Column,
    aggregate: &Aggregate,
    batch: &RecordBatch,
    numbers: &[u32],
    diffs: Option<&[i64]>,
    groups: usize,
) {
    let argument = aggregate.argument.map(|it| batch.column(it));
    let chosen = chosen(aggregate, batch);
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
    match column {
        Column::Distinct => {}
        Column::Count(counts) => {
            counts.resize(groups, 0);
            each!(|row, group, diff| counts[group] += diff);
        }
        Column::Sum(sums) => {
            sums.resize(groups, ExactSum::default());
            let Some(argument) = argument else { return };
            if argument.data_type() == &DataType::Float64 {
                let values = argument.as_primitive::<Float64Type>().values();
                each!(|row, group, diff| sums[group].add_float(values[row], diff));
            } else {
                let cast = cast(argument, &DataType::Int64).unwrap_or_else(|_| {
                    arrow::array::new_null_array(&DataType::Int64, numbers.len())
                });
                let values = cast.as_primitive::<Int64Type>().values();
                each!(|row, group, diff| sums[group].add_int(values[row], diff));
            }
        }
        Column::Moments(moments) => {
            moments.resize(groups, Moments::default());
            let Some(values) = argument.and_then(floats) else {
                return;
            };
            let values = values.as_primitive::<Float64Type>().values();
            each!(|row, group, diff| moments[group].add_float(values[row], diff));
        }
        Column::Bins(bins) => {
            let Some(values) = argument.and_then(floats) else {
                return;
            };
            let values = values.as_primitive::<Float64Type>().values();
            each!(|row, group, diff| {
                *bins.entry((group as u32, bin_of(values[row]))).or_insert(0) += diff
            });
        }
        Column::Best(best) => {
            best.resize(groups, None);
            let Some(argument) = argument else { return };
            let largest = aggregate.function == Function::Max;
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

fn floats(argument: &ArrayRef) -> Option<ArrayRef> {
    cast(argument, &DataType::Float64).ok()
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
        let is_better = match best {
            None => true,
            Some(best) if largest => *best < value,
            Some(best) => value < *best,
        };
        if is_better {
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
            of_values!(Float64Type, |it| Value::Float(crate::model::Float::new(it)))
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
