//! Keys of groups as machine words, and the numbers of the groups.

use crate::model::{Float, Row, Value, value_at};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use compact_str::CompactString;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;

/// Text as numbers, and values that no word holds.
#[derive(Default)]
struct Interner {
    numbers: HashMap<Box<str>, u32, FixedState>,
    texts: Vec<CompactString>,
    value_numbers: HashMap<Value, u32, FixedState>,
    values: Vec<Value>,
}

impl Interner {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return (*number).into();
        }
        let number = u32::try_from(self.texts.len()).expect("fewer texts in an epoch than 2^32");
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number.into()
    }

    fn number_of_value(&mut self, value: Value) -> u64 {
        if let Some(number) = self.value_numbers.get(&value) {
            return (*number).into();
        }
        let number = u32::try_from(self.values.len()).expect("fewer values in an epoch than 2^32");
        self.value_numbers.insert(value.clone(), number);
        self.values.push(value);
        number.into()
    }

    /// The number here of what another one has given a number.
    fn number_of_other(&mut self, other: &Interner, word: u64) -> u64 {
        match (
            other.texts.get(word as usize),
            other.values.get(word as usize),
        ) {
            (Some(text), _) => self.number(text),
            (None, Some(value)) => self.number_of_value(value.clone()),
            (None, None) => word,
        }
    }
}

/// How records leave a sliding range: together with all whose time is up in the same step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// Column of their time.
    pub time: usize,
    pub size_us: i64,
    pub step_us: i64,
}

impl Leaving {
    /// The first end of a step at which the time of a record is up.
    pub fn at(self, time_us: i64) -> i64 {
        let up = time_us.saturating_add(self.size_us);
        match up.rem_euclid(self.step_us) {
            0 => up,
            rest => up.saturating_add(self.step_us - rest),
        }
    }
}

/// Where a key of a group comes from, in the key of a finer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFrom {
    Same(usize),
    /// Bound of the window that the start of a smaller window lies in.
    Bound {
        start: usize,
        size_us: i64,
        add_us: i64,
    },
}

/// The groups of one epoch by their keys.
pub(super) struct Keys {
    types: Vec<DataType>,
    /// One per key; used for texts.
    interners: Vec<Interner>,
    /// One per key, when the group leaves, and a mask of nulls.
    words: usize,
    table: HashTable<u32>,
    /// `words` per group.
    all: Vec<u64>,
}

impl Keys {
    pub fn new(types: &[DataType]) -> Self {
        Keys {
            interners: types.iter().map(|_| Interner::default()).collect(),
            words: types.len() + 2,
            types: types.to_vec(),
            table: HashTable::new(),
            all: Vec::new(),
        }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.all.len() / self.words
    }

    fn key(&self, group: usize) -> &[u64] {
        &self.all[group * self.words..(group + 1) * self.words]
    }

    /// The group number of every row.
    pub fn numbers(
        &mut self,
        columns: &[usize],
        leaving: Option<Leaving>,
        batch: &RecordBatch,
    ) -> Vec<u32> {
        let (rows, words) = (batch.num_rows(), self.words);
        let mut keys = vec![0u64; rows * words];
        for (at, column) in columns.iter().enumerate() {
            self.fill(&mut keys, at, batch.column(*column));
        }
        if let Some(leaving) = leaving {
            let times = batch
                .column(leaving.time)
                .as_primitive::<TimestampMicrosecondType>();
            for (row, time) in times.values().iter().enumerate() {
                keys[row * words + words - 2] = leaving.at(*time) as u64;
            }
        }
        let mut numbers = Vec::with_capacity(rows);
        let mut previous: Option<(&[u64], u32)> = None;
        for key in keys.chunks_exact(words) {
            let number = match previous {
                Some((before, number)) if before == key => number,
                _ => self.number(key),
            };
            previous = Some((key, number));
            numbers.push(number);
        }
        numbers
    }

    fn number(&mut self, key: &[u64]) -> u32 {
        let hasher = FixedState::default();
        let hash = hasher.hash_one(key);
        let words = self.words;
        let known = self.table.find(hash, |it| {
            let start = *it as usize * words;
            self.all[start..start + words] == *key
        });
        if let Some(number) = known {
            return *number;
        }
        let number = u32::try_from(self.len()).expect("fewer groups in an epoch than 2^32");
        self.all.extend_from_slice(key);
        let all = &self.all;
        self.table.insert_unique(hash, number, |it| {
            let start = *it as usize * words;
            hasher.hash_one(&all[start..start + words])
        });
        number
    }

    /// The number of the group that a finer group is part of.
    pub fn number_of_finer(&mut self, finer: &Keys, group: usize, from: &[KeyFrom]) -> u32 {
        let theirs = finer.key(group);
        let their_nulls = theirs[finer.words - 1];
        let mut key = vec![0; self.words];
        for (at, from) in from.iter().enumerate() {
            let (KeyFrom::Same(their) | KeyFrom::Bound { start: their, .. }) = *from;
            if their_nulls & (1 << their) != 0 {
                key[self.words - 1] |= 1 << at;
                continue;
            }
            let word = theirs[their];
            key[at] = match *from {
                KeyFrom::Bound {
                    size_us, add_us, ..
                } => {
                    let start = word as i64;
                    (start - start.rem_euclid(size_us) + add_us) as u64
                }
                KeyFrom::Same(_) => {
                    self.interners[at].number_of_other(&finer.interners[their], word)
                }
            };
        }
        self.number(&key)
    }

    fn fill(&mut self, keys: &mut [u64], at: usize, column: &ArrayRef) {
        let words = self.words;
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
            DataType::Decimal128(..)
            | DataType::Binary
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::List(_)
            | DataType::Struct(_) => {
                let interner = &mut self.interners[at];
                for row in (0..column.len()).filter(|it| column.is_valid(*it)) {
                    let value = value_at(column.as_ref(), row);
                    keys[row * words + at] = interner.number_of_value(value);
                }
            }
            other => panic!("a plan with keys of type {other} was let through"),
        }
        if let Some(nulls) = column.nulls() {
            for row in (0..column.len()).filter(|it| nulls.is_null(*it)) {
                keys[row * words + at] = 0;
                keys[row * words + words - 1] |= 1 << at;
            }
        }
    }

    /// A group's key as a row.
    pub fn row(&self, group: usize) -> Row {
        let key = self.key(group);
        let of_type = |(at, data_type): (usize, &DataType)| {
            let word = key[at];
            if self.is_null(group, at) {
                return Value::Null;
            }
            match data_type {
                DataType::Int32 | DataType::Int64 => Value::Int(word as i64),
                DataType::Date32 => Value::Date(word as i64 as i32),
                DataType::Timestamp(..) => Value::Timestamp(word as i64),
                DataType::Float64 => Value::Float(Float::new(f64::from_bits(word))),
                DataType::Boolean => Value::Bool(word != 0),
                DataType::Utf8 => Value::Text(self.interners[at].texts[word as usize].clone()),
                _ => self.interners[at].values[word as usize].clone(),
            }
        };
        Row(self.types.iter().enumerate().map(of_type).collect())
    }

    pub fn is_null(&self, group: usize, at: usize) -> bool {
        self.key(group)[self.words - 1] & (1 << at) != 0
    }

    /// The word of a key that is a number or a time.
    pub fn word(&self, group: usize, at: usize) -> i64 {
        self.key(group)[at] as i64
    }

    /// When a group's records leave a sliding range.
    pub fn leaves(&self, group: usize) -> i64 {
        self.word(group, self.words - 2)
    }

    /// A 128-bit identity of a group's key within this epoch.
    pub fn identity(&self, group: usize) -> u128 {
        let bytes: Vec<u8> = self
            .key(group)
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        twox_hash::XxHash3_128::oneshot(&bytes)
    }
}
