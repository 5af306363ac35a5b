//! What a side of a bounded join holds is what was added and has neither been taken back nor let go, and it tells what that takes.

use super::*;
use crate::engine::encoded::hash;
use crate::model::held::measured::{assert_about, kept};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn given(key: &[u8], row: &[u8], end: i64, diff: isize) -> Given {
    let row = TakenIn {
        key: Some(key),
        hash: hash(key),
        row,
        end_us: (end != NEVER).then_some(end),
        epoch: 1,
        diff,
    };
    Given::new(&row, true).expect("the key is not NULL")
}

/// Rows of a key as often as they are there, in order.
fn of_key(rows: &Rows, key: u8, closed_us: i64) -> BTreeMap<Vec<u8>, isize> {
    let mut found = BTreeMap::new();
    for (row, count) in rows.open(&given(&[key], &[], NEVER, 1), closed_us) {
        *found.entry(row.to_vec()).or_insert(0) += count;
    }
    found.retain(|_, count| *count != 0);
    found
}

#[derive(Clone, Debug)]
enum Step {
    Add { key: u8, row: u8, count: isize },
    TakeBack { at: usize },
    LetGo { by_s: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..12_u8, 1..3_isize).prop_map(|(key, row, count)| Step::Add { key, row, count }),
        2 => any::<prop::sample::Index>().prop_map(|at| Step::TakeBack { at: at.index(1 << 16) }),
        1 => (0..12_i64).prop_map(|by_s| Step::LetGo { by_s }),
    ]
}

/// A row's end is that of its number, in seconds; row 0 is held for ever.
fn end_us(row: u8) -> i64 {
    match row {
        0 => NEVER,
        _ => i64::from(row) * 1_000_000,
    }
}

proptest! {
    #[test]
    fn rows_are_those_that_are_open(
        steps in prop::collection::vec(step(), 0..60),
        are_taken_back in any::<bool>(),
    ) {
        let mut rows = Rows::default();
        let mut expected: BTreeMap<(u8, u8), isize> = BTreeMap::new();
        let mut closed_us = i64::MIN;
        for step in steps {
            match step {
                Step::Add { key, row, count } if closed_us < end_us(row) => {
                    rows.add_all(vec![vec![given(&[key], &[row], end_us(row), count)]]);
                    *expected.entry((key, row)).or_default() += count;
                }
                Step::TakeBack { at } if are_taken_back && !expected.is_empty() => {
                    let ((key, row), _) = expected.iter().nth(at % expected.len()).unwrap();
                    let (key, row) = (*key, *row);
                    rows.add_all(vec![vec![given(&[key], &[row], end_us(row), -1)]]);
                    *expected.get_mut(&(key, row)).unwrap() -= 1;
                }
                Step::LetGo { by_s } => {
                    closed_us = closed_us.max(by_s * 1_000_000);
                    rows.let_go(closed_us);
                    expected.retain(|it, _| closed_us < end_us(it.1));
                }
                Step::Add { .. } | Step::TakeBack { .. } => {}
            }
            expected.retain(|_, count| *count != 0);
            for key in 0..4 {
                let expected = expected.iter().filter(|it| it.0.0 == key);
                let expected: BTreeMap<Vec<u8>, isize> =
                    expected.map(|((_, row), count)| (vec![*row], *count)).collect();
                prop_assert_eq!(of_key(&rows, key, closed_us), expected);
            }
        }
        rows.let_go(NEVER - 1);
        let for_ever = expected.keys().filter(|it| it.1 == 0).count();
        prop_assert!(for_ever <= rows.held().rows);
    }
}

#[test]
fn what_rows_tell_is_what_they_take() {
    for is_taken_back in [false, true] {
        let (taken, mut rows) = kept(|| {
            let mut rows = Rows::default();
            for key in 0..400_u16 {
                for row in 0..if key % 10 == 0 { 300_i64 } else { 9 } {
                    let (key, end_us) = (key.to_le_bytes(), row * 1_000_000);
                    let row = [key.as_slice(), &row.to_le_bytes(), &[3; 30]].concat();
                    rows.add_all(vec![vec![given(&key, &row, end_us, 1)]]);
                }
            }
            if is_taken_back {
                rows.add_all(vec![vec![given(&[9], &[9], 7, 1)]]);
                rows.add_all(vec![vec![given(&[9], &[9], 7, -1)]]);
            }
            rows
        });
        let told = rows.held();
        assert_eq!(told.rows, 40 * 300 + 360 * 9);
        assert_about(told.bytes, taken, 0.1);
        rows.let_go(4_000_000);
        assert_eq!(rows.held().rows, 40 * 295 + 360 * 4);
        rows.let_go(300_000_000);
        assert_eq!(rows.held().rows, 0);
    }
}
