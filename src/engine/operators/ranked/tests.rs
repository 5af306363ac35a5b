//! A group that is changed step by step has the places that it has when it is numbered at once.

use super::super::keyed::in_order;
use super::*;
use crate::model::held::measured::{assert_about, kept};
use proptest::prelude::*;

/// A row of one byte, by an order of another; the row of several columns begins as bytes of columns do.
fn row(order: u8, row: u8) -> OrderedRow {
    let mut bytes = Vec::new();
    in_order(&[1, order], &[1, row], &mut bytes);
    bytes.into()
}

fn numbering(rank: Rank, limit: Option<(i64, bool)>) -> Numbering {
    Numbering {
        ranks: vec![rank],
        limit: limit.map(|(greatest, drops)| RankLimit {
            rank: 0,
            greatest,
            drops,
        }),
    }
}

/// The places of all rows, from the definition.
fn places(rows: &BTreeMap<OrderedRow, isize>, rank: Rank, greatest: Option<i64>) -> Vec<Placed> {
    let all: Vec<&OrderedRow> = rows
        .iter()
        .flat_map(|(row, count)| std::iter::repeat_n(row, *count as usize))
        .collect();
    let order = |it: &OrderedRow| order_and_row(it).0.to_vec();
    let placed = all.iter().enumerate().map(|(at, row)| {
        let before: Vec<Vec<u8>> = all
            .iter()
            .map(|it| order(it))
            .filter(|it| *it < order(row))
            .collect();
        let mut distinct = before.clone();
        distinct.dedup();
        let place = match rank {
            Rank::RowNumber => at + 1,
            Rank::Rank => before.len() + 1,
            Rank::DenseRank => distinct.len() + 1,
        };
        let mut ranks = Ranks::default();
        ranks.set(rank, place as i64);
        ((*row).clone(), ranks)
    });
    placed
        .filter(|it| greatest.is_none_or(|most| it.1.get(rank) <= most))
        .collect()
}

fn rank() -> impl Strategy<Value = Rank> {
    prop_oneof![
        Just(Rank::RowNumber),
        Just(Rank::Rank),
        Just(Rank::DenseRank)
    ]
}

fn check(rank: Rank, limit: Option<(i64, bool)>, epochs: Vec<Vec<(u8, u8, bool)>>) {
    let numbering = numbering(rank, limit);
    let (mut group, mut all) = (Group::default(), BTreeMap::<OrderedRow, isize>::new());
    let (mut folded, mut stored) = (
        BTreeMap::<Placed, i64>::new(),
        BTreeMap::<OrderedRow, isize>::new(),
    );
    for epoch in epochs {
        let mut changes = Vec::new();
        for (order, of_row, takes) in epoch {
            let row = row(order, of_row);
            let there = all.get(&row).copied().unwrap_or(0);
            let drops = limit.is_some_and(|it| it.1);
            let diff = if takes && 0 < there && !drops { -1 } else { 1 };
            *all.entry(row.clone()).or_default() += diff;
            changes.push(Update {
                key: Bytes::new(),
                row,
                diff,
            });
        }
        all.retain(|_, count| *count != 0);
        for (_, mut changes) in by_key(changes) {
            let mut results = Vec::new();
            numbering.change(&mut group, &mut changes, &mut results);
            for (placed, diff) in results {
                *folded.entry(placed).or_default() += diff;
            }
            for (row, diff) in changes {
                *stored.entry(row).or_default() += diff;
            }
        }
        folded.retain(|_, count| *count != 0);
        stored.retain(|_, count| *count != 0);
        let mut wanted = BTreeMap::new();
        for placed in places(&all, rank, limit.map(|it| it.0)) {
            *wanted.entry(placed).or_insert(0) += 1;
        }
        assert_eq!(folded, wanted);
        let bytes: usize = group.iter().map(|it| bytes_of(it.0)).sum();
        assert_eq!(group.bytes, bytes);
        // What is stored is what the group has, and with a limit no more than what can be read.
        assert_eq!(
            stored,
            group.iter().map(|it| (it.0.clone(), it.1)).collect()
        );
        if limit.is_some_and(|it| it.1) {
            let kept: Vec<&OrderedRow> = group.iter().map(|it| it.0).collect();
            let mut read: Vec<&OrderedRow> = wanted.keys().map(|it| &it.0).collect();
            read.dedup();
            assert_eq!(kept, read);
        } else {
            assert_eq!(stored, all);
        }
    }
}

proptest! {
    #[test]
    fn places_are_those_of_the_definition(
        rank in rank(),
        limit in prop::option::of((1i64..5, any::<bool>())),
        epochs in prop::collection::vec(prop::collection::vec((0u8..6, 0u8..12, any::<bool>()), 1..30), 1..12),
    ) {
        check(rank, limit, epochs);
    }
}

#[test]
fn a_row_that_nobody_reads_is_turned_away() {
    let numbering = numbering(Rank::RowNumber, Some((2, true)));
    let mut group = Group::default();
    let mut change = |rows: &[(u8, u8)]| {
        let mut changes = rows.iter().map(|it| (row(it.0, it.1), 1)).collect();
        let mut results = Vec::new();
        numbering.change(&mut group, &mut changes, &mut results);
        (changes.len(), results.len())
    };
    assert_eq!(change(&[(3, 0), (5, 0)]), (2, 2));
    assert_eq!(change(&[(7, 0), (5, 1)]), (0, 0));
    // One comes, one goes: the second place is another row's, and the first one's place is the second.
    assert_eq!(change(&[(1, 0)]), (2, 4));
}

#[test]
fn what_groups_tell_is_what_they_take() {
    let numbering = numbering(Rank::RowNumber, None);
    let (taken, mut groups) = kept(|| {
        let mut groups = Groups::default();
        // Some are lists and some are trees.
        for (key, rows) in (0..2_000_u16).zip([3, 20, 60, 200_u8].into_iter().cycle()) {
            for of_row in 0..rows {
                groups.change(key.to_le_bytes().to_vec(), |group| {
                    let mut changes = vec![(row(of_row, of_row), 1)];
                    numbering.change(group, &mut changes, &mut Vec::new());
                });
            }
        }
        groups
    });
    let told = groups.held();
    assert_eq!(told.rows, 500 * (3 + 20 + 60 + 200));
    assert_about(told.bytes, taken, 0.15);
    for key in 0..2_000_u16 {
        groups.change(key.to_le_bytes().to_vec(), |group| {
            group.split_off(&[]);
        });
    }
    assert_eq!(groups.held, Held::default());
}

/// Columns that tell rows apart behind what a query orders by are not written twice, unless what they sort by is not the row, or is ranked.
#[test]
fn an_order_ends_where_rows_sort_by_themselves() {
    let by = |column: usize, descending: bool| Order {
        column,
        descending,
        nulls_first: true,
    };
    let told = |order: &[Order], ranks: &[Rank]| {
        let ranking = Ranking {
            order: order.to_vec(),
            ranks: ranks.to_vec(),
            first: 4,
            limit: None,
        };
        stated(&ranking, 4).len()
    };
    let completed = [by(2, true), by(1, false), by(0, false), by(3, false)];
    assert_eq!(told(&completed, &[Rank::RowNumber]), 2);
    assert_eq!(told(&completed[..3], &[Rank::RowNumber]), 2);
    assert_eq!(told(&completed, &[Rank::RowNumber, Rank::Rank]), 4);
    let rows = [0, 1, 2, 3].map(|it| by(it, false));
    assert_eq!(told(&rows, &[Rank::RowNumber]), 0);
    let others_first = [by(2, true), by(3, false), by(1, false)];
    assert_eq!(told(&others_first, &[Rank::RowNumber]), 3);
    let downwards = [by(2, true), by(0, true)];
    assert_eq!(told(&downwards, &[Rank::RowNumber]), 2);
}
