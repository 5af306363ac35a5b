//! Partial aggregation: a worker's records of one epoch, grouped column by column.
//!
//! This is the hottest loop behind decoding. Keys become machine words (text is interned to a number), a hash table maps
//! them to group numbers, and what aggregates need is then gathered from its column once. Only the finished groups leave, as rows.
//!
//! One grouper serves all aggregations of a pass. An aggregation whose keys another one's decide is coarser: its groups are added up
//! from the finer ones at the end of an epoch, and records are grouped once for both, as long as there are far fewer groups than
//! records.

mod gather;
mod keys;
#[cfg(test)]
mod tests;

use super::accumulate::{Accumulator, Partial, Slot};
use super::changes::Changes;
use super::distinct::{Identities, Member};
use crate::model::{Value, value_at};
use crate::plan::{Aggregation, Bound, Hops, Pass, Window};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use gather::{Column, Gather, chosen, each_row};
use keys::{KeyFrom, Keys, Leaving};
use std::collections::HashMap;
use std::sync::Arc;

/// Groups are worth adding up to coarser ones if each stands for so many records on average.
const RECORDS_PER_GROUP_MIN: usize = 8;

/// What a worker keeps between epochs.
pub struct Grouper {
    /// In the order of the pass.
    groupings: Vec<Grouping>,
    /// Their numbers, finer ones before coarser ones.
    order: Vec<usize>,
}

/// One aggregation of the pass.
struct Grouping {
    aggregation: Arc<Aggregation>,
    key_types: Vec<DataType>,
    /// What its aggregates need, and behind it what coarser ones need besides.
    gathers: Vec<Gather>,
    /// How many of them its own aggregates need.
    own: usize,
    /// For each aggregate the number of what it needs; none for distinct sets.
    gathered: Vec<Option<usize>>,
    finer: Option<Finer>,
    /// Whether it had far fewer groups than records, in the last epoch.
    condenses: bool,
    /// Per aggregate.
    repeats: Vec<Repeats>,
    /// The sets of an epoch that is over, for the next one: growing them anew costs as much as filling them.
    spare: Option<Identities>,
}

/// A finer grouping, and how this one is made from it.
struct Finer {
    number: usize,
    keys: Vec<KeyFrom>,
    /// For each of what this one gathers, the number of the same there.
    gathers: Vec<usize>,
}

/// The open groups of one epoch, of all aggregations of the pass.
pub struct Groups(Vec<Open>);

struct Open {
    keys: Keys,
    /// The group of each group of the finer grouping, if it is made from that one in this epoch.
    of_finer: Option<Vec<u32>>,
    /// Records taken in, and per group.
    rows: usize,
    records: Vec<i64>,
    columns: Vec<Column>,
    /// With the number of their group.
    members: Vec<(u32, Member)>,
    /// Which members were told of already, if input is append-only. Sets of all that was ever told would be as large as those
    /// of their receivers, and most members of large sets are new.
    told: Identities,
}

/// Whether values of a distinct set come again within an epoch. Where most do not, looking for those that do costs more than it saves:
/// the receiver of the members finds them anyway.
#[derive(Clone, Copy, Default)]
struct Repeats {
    seen: usize,
    told: usize,
    /// Epochs for which they are not looked for.
    passed_over: u32,
    /// Always worth it: the receiver of the members keeps each.
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

/// Identities of the values of a batch's columns, each computed once.
type BatchIdentities = HashMap<usize, Vec<u128>>;

impl Grouper {
    pub fn new(pass: &Pass) -> Self {
        let schema = pass.input.schema();
        let mut groupings: Vec<Grouping> = pass
            .aggregations
            .iter()
            .map(|it| Grouping::new(Arc::clone(it), &schema))
            .collect();
        let mut order: Vec<usize> = (0..groupings.len()).collect();
        order.sort_by_key(|it| std::cmp::Reverse(groupings[*it].key_types.len()));
        for (at, number) in order.iter().copied().enumerate() {
            // Not from one that is made from another itself.
            let made = order[..at].iter().copied().find_map(|finer| {
                let keys = coarsened(&groupings[finer], &groupings[number], &pass.bounds)?;
                Some((finer, keys))
            });
            let Some((finer, keys)) = made else { continue };
            let gathers = groupings[number].gathers.clone();
            let gathers = gathers.into_iter();
            let gathers = gathers.map(|it| groupings[finer].number_of(it)).collect();
            groupings[number].finer = Some(Finer {
                number: finer,
                keys,
                gathers,
            });
        }
        Grouper { groupings, order }
    }

    /// Starts an epoch.
    pub fn open(&mut self) -> Groups {
        let condenses: Vec<bool> = self.groupings.iter().map(|it| it.condenses).collect();
        let open = self.groupings.iter_mut().map(|grouping| {
            let finer = grouping.finer.as_ref();
            let is_made = finer.is_some_and(|it| condenses[it.number]);
            let gathered = match (is_made, grouping.condenses) {
                (true, _) => 0,
                (false, true) => grouping.gathers.len(),
                (false, false) => grouping.own,
            };
            Open {
                keys: Keys::new(&grouping.key_types),
                of_finer: is_made.then(Vec::new),
                rows: 0,
                records: Vec::new(),
                columns: grouping.gathers[..gathered]
                    .iter()
                    .map(Column::new)
                    .collect(),
                members: Vec::new(),
                told: grouping.spare.take().unwrap_or_default(),
            }
        });
        Groups(open.collect())
    }

    /// Adds a batch to an epoch's groups.
    pub fn add(&mut self, groups: &mut Groups, changes: &Changes) {
        let Some(batch) = changes.batch() else { return };
        if batch.num_rows() == 0 {
            return;
        }
        let diffs = changes.diffs();
        let mut identities = BatchIdentities::new();
        // The group of every row, of groupings that others are made from.
        let mut numbers_of: Vec<Vec<u32>> = vec![Vec::new(); self.groupings.len()];
        for at in self.order.iter().copied() {
            let grouping = &mut self.groupings[at];
            let made = grouping.finer.as_ref().map(|it| it.number);
            let numbers = match made.filter(|_| groups.0[at].of_finer.is_some()) {
                Some(_) if !grouping.has_sets() => continue,
                Some(finer) => {
                    let known = groups.coarser(at, grouping);
                    let numbers = numbers_of[finer].iter();
                    numbers.map(|it| known[*it as usize]).collect()
                }
                None => grouping.add(&mut groups.0[at], batch, diffs),
            };
            grouping.add_members(&mut groups.0[at], batch, &numbers, diffs, &mut identities);
            numbers_of[at] = numbers;
        }
    }

    /// Ends an epoch: its groups as rows, for each aggregation of the pass.
    pub fn close(&mut self, mut groups: Groups) -> Vec<Vec<Partial>> {
        for at in 0..self.groupings.len() {
            if groups.0[at].of_finer.is_some() {
                groups.coarser(at, &self.groupings[at]);
            }
        }
        // What groups have gathered: by what, then by group.
        let gathered: Vec<Vec<Vec<Slot>>> = groups
            .0
            .iter_mut()
            .map(|it| {
                let (columns, count) = (std::mem::take(&mut it.columns), it.keys.len());
                columns.into_iter().map(|it| it.slots(count)).collect()
            })
            .collect();
        let records: Vec<Vec<i64>> = groups
            .0
            .iter_mut()
            .map(|it| std::mem::take(&mut it.records))
            .collect();
        let parts = self.groupings.iter_mut().zip(groups.0).enumerate();
        let partials =
            parts.map(
                |(at, (grouping, open))| match (&grouping.finer, &open.of_finer) {
                    (Some(finer), Some(numbers)) => {
                        let (records, slots) = grouping.added_up(
                            finer,
                            numbers,
                            &records[finer.number],
                            &gathered[finer.number],
                            open.keys.len(),
                        );
                        grouping.close(open, records, &slots)
                    }
                    _ => {
                        if 0 < open.rows {
                            grouping.condenses =
                                RECORDS_PER_GROUP_MIN * open.keys.len() <= open.rows;
                        }
                        grouping.close(open, records[at].clone(), &gathered[at])
                    }
                },
            );
        partials.collect()
    }
}

impl Groups {
    /// The groups that those of the finer grouping belong to.
    fn coarser(&mut self, at: usize, grouping: &Grouping) -> &[u32] {
        let finer = grouping
            .finer
            .as_ref()
            .expect("it is made from a finer one");
        let mut known = self.0[at].of_finer.take().unwrap_or_default();
        for group in known.len()..self.0[finer.number].keys.len() {
            let [coarse, fine] = self
                .0
                .get_disjoint_mut([at, finer.number])
                .expect("a grouping is not made from itself");
            known.push(coarse.keys.number_of_finer(&fine.keys, group, &finer.keys));
        }
        self.0[at].of_finer.insert(known)
    }
}

impl Grouping {
    fn new(aggregation: Arc<Aggregation>, input: &SchemaRef) -> Self {
        let keys = aggregation.keys.iter();
        let key_types = keys.map(|it| input.field(*it).data_type().clone());
        let repeats = Repeats {
            kept: matches!(aggregation.window, Window::Last { .. }),
            ..Repeats::default()
        };
        let mut grouping = Grouping {
            key_types: key_types.collect(),
            gathers: Vec::new(),
            own: 0,
            gathered: Vec::new(),
            finer: None,
            condenses: true,
            repeats: vec![repeats; aggregation.aggregates.len()],
            spare: None,
            aggregation: Arc::clone(&aggregation),
        };
        for aggregate in &aggregation.aggregates {
            let gather = Gather::of(aggregate, aggregation.append_only);
            let number = gather.map(|it| grouping.number_of(it));
            grouping.gathered.push(number);
        }
        grouping.own = grouping.gathers.len();
        grouping
    }

    /// The number of what is gathered; it is from now on.
    fn number_of(&mut self, gather: Gather) -> usize {
        let known = self.gathers.iter().position(|it| *it == gather);
        known.unwrap_or_else(|| {
            self.gathers.push(gather);
            self.gathers.len() - 1
        })
    }

    fn has_sets(&self) -> bool {
        self.gathered.iter().any(Option::is_none)
    }

    fn leaving(&self) -> Option<Leaving> {
        match self.aggregation.window {
            Window::Last {
                time,
                size_us,
                step_us,
            } => Some(Leaving {
                time,
                size_us,
                step_us,
            }),
            Window::None | Window::Tumble { .. } => None,
        }
    }

    /// Groups a batch; says the group of every row.
    fn add(&self, open: &mut Open, batch: &RecordBatch, diffs: Option<&[i64]>) -> Vec<u32> {
        let numbers = open
            .keys
            .numbers(&self.aggregation.keys, self.leaving(), batch);
        let groups = open.keys.len();
        open.rows += numbers.len();
        open.records.resize(groups, 0);
        for (row, group) in numbers.iter().enumerate() {
            open.records[*group as usize] += diffs.map_or(1, |it| it[row]);
        }
        for (column, gather) in open.columns.iter_mut().zip(&self.gathers) {
            column.add(gather, batch, &numbers, diffs, groups);
        }
        numbers
    }

    fn add_members(
        &mut self,
        open: &mut Open,
        batch: &RecordBatch,
        numbers: &[u32],
        diffs: Option<&[i64]>,
        identities: &mut BatchIdentities,
    ) {
        let aggregation = Arc::clone(&self.aggregation);
        for (at, aggregate) in aggregation.aggregates.iter().enumerate() {
            let Some(argument) = aggregate.argument.filter(|_| self.gathered[at].is_none()) else {
                continue;
            };
            let chosen = chosen(aggregate.argument, aggregate.filter, batch);
            let values = identities
                .entry(argument)
                .or_insert_with(|| identities_of(batch.column(argument)));
            let number = u8::try_from(at).expect("fewer than 256 aggregates in a view");
            let repeats = &mut self.repeats[at];
            if diffs.is_some() || !repeats.are_worth_finding() {
                each_row(chosen.as_ref(), numbers.len(), |row| {
                    let diff = diffs.map_or(1, |it| it[row]);
                    let member = Member::new(number, values[row], diff);
                    open.members.push((numbers[row], member));
                });
                continue;
            }
            // Key identities of this batch's groups, computed once per group.
            let mut keys: Vec<Option<u128>> = vec![None; open.keys.len()];
            let (mut rows, mut mixed) = (Vec::new(), Vec::new());
            each_row(chosen.as_ref(), numbers.len(), |row| {
                let group = numbers[row] as usize;
                let key = *keys[group].get_or_insert_with(|| open.keys.identity(group));
                let value = values[row];
                rows.push(row);
                mixed.push(
                    (key ^ value.rotate_left(64))
                        .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
                        ^ value
                        ^ u128::from(number),
                );
            });
            let before = open.members.len();
            open.told.insert_all(&mixed, |at| {
                let row = rows[at];
                let member = Member::new(number, values[row], 1);
                open.members.push((numbers[row], member));
            });
            repeats.seen += rows.len();
            repeats.told += open.members.len() - before;
        }
    }

    /// Records and slots of its groups, from those of a finer grouping.
    fn added_up(
        &self,
        finer: &Finer,
        numbers: &[u32],
        records: &[i64],
        gathered: &[Vec<Slot>],
        groups: usize,
    ) -> (Vec<i64>, Vec<Vec<Slot>>) {
        let mut sums = vec![0; groups];
        for (number, records) in numbers.iter().zip(records) {
            sums[*number as usize] += records;
        }
        let slots = self.gathers.iter().zip(&finer.gathers);
        let slots = slots.map(|(gather, theirs)| {
            let finer = numbers.iter().copied().zip(&gathered[*theirs]);
            gather.added_up(finer, groups)
        });
        (sums, slots.collect())
    }

    /// The groups of an epoch as rows.
    fn close(&mut self, open: Open, records: Vec<i64>, gathered: &[Vec<Slot>]) -> Vec<Partial> {
        self.spare = open.told.emptied();
        self.repeats.iter_mut().for_each(Repeats::end_epoch);
        let mut members = vec![0; records.len()];
        open.members
            .iter()
            .for_each(|it| members[it.0 as usize] += 1);
        let groups = records.into_iter().zip(members).enumerate();
        let mut partials: Vec<Partial> = groups
            .map(|(group, (records, members))| {
                let slot = |it: &Option<usize>| match it {
                    Some(number) => gathered[*number][group].clone(),
                    None => Slot::Count(0),
                };
                Partial {
                    key: open.keys.row(group),
                    bucket: self.bucket(&open.keys, group),
                    accumulator: Accumulator {
                        records,
                        slots: self.gathered.iter().map(slot).collect(),
                    },
                    members: Vec::with_capacity(members),
                }
            })
            .collect();
        for (group, member) in open.members {
            partials[group as usize].members.push(member);
        }
        match &self.aggregation.hops {
            Some(hops) if self.aggregation.panes().is_none() => {
                let all = partials.iter();
                all.flat_map(|it| in_each_window(it, hops)).collect()
            }
            Some(_) | None => partials,
        }
    }

    fn bucket(&self, keys: &Keys, group: usize) -> i64 {
        let newest_us = self.aggregation.hops.as_ref().map_or(0, Hops::newest_us);
        match self.aggregation.window {
            Window::None => i64::MAX,
            Window::Tumble { key, .. } if keys.is_null(group, key) => i64::MAX,
            Window::Tumble { key, add_us, .. } => keys.word(group, key) + add_us + newest_us,
            Window::Last { .. } => keys.leaves(group),
        }
    }
}

/// What a group has, in each of the windows that its records are in.
fn in_each_window(partial: &Partial, hops: &Hops) -> impl Iterator<Item = Partial> {
    let windows = partial.windows(hops);
    windows.map(|(bucket, key)| Partial {
        key,
        bucket,
        accumulator: partial.accumulator.clone(),
        members: partial.members.clone(),
    })
}

/// How the keys of one grouping follow from those of another, if they do.
fn coarsened(
    finer: &Grouping,
    coarser: &Grouping,
    bounds: &[Option<Bound>],
) -> Option<Vec<KeyFrom>> {
    if finer.finer.is_some()
        || coarser.leaving().is_some()
        || finer.aggregation.append_only != coarser.aggregation.append_only
    {
        return None;
    }
    let keys = coarser.aggregation.keys.iter();
    keys.map(|wanted| {
        let theirs = finer.aggregation.keys.iter();
        if let Some(at) = theirs.clone().position(|it| it == wanted) {
            return Some(KeyFrom::Same(at));
        }
        let wanted = bounds[*wanted]?;
        let is_in = |start: Bound| {
            (start.time, start.add_us, start.offset_us) == (wanted.time, 0, 0)
                && wanted.offset_us == 0
                && wanted.size_us % start.size_us == 0
        };
        let start = theirs
            .clone()
            .position(|it| bounds[*it].is_some_and(is_in))?;
        Some(KeyFrom::Bound {
            start,
            size_us: wanted.size_us,
            add_us: wanted.add_us,
        })
    })
    .collect()
}

/// 128-bit identities of a column's values; those of nulls mean nothing.
fn identities_of(column: &ArrayRef) -> Vec<u128> {
    match column.as_string_opt::<i32>() {
        Some(texts) => (0..texts.len())
            .map(|row| twox_hash::XxHash3_128::oneshot(texts.value(row).as_bytes()))
            .collect(),
        None => (0..column.len())
            .map(|row| identity(&value_at(column, row)))
            .collect(),
    }
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
        Value::Time(it) => bytes.extend_from_slice(&it.to_le_bytes()),
        Value::Bytes(it) => bytes.extend_from_slice(it),
        Value::Decimal(it) => bytes.extend_from_slice(&it.unscaled().to_le_bytes()),
        // As they are stored, which is the same for equal values alone.
        Value::Interval(_) | Value::List(_) | Value::Struct(_) => {
            bytes = postcard::to_stdvec(value).expect("values can be stored");
        }
    }
    twox_hash::XxHash3_128::oneshot(&bytes)
}
