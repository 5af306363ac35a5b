//! What changes come to is what the definition says of all rows.

use super::super::keyed::in_order;
use super::*;
use crate::model::held::measured::{assert_about, kept};
use proptest::prelude::*;

/// A row of one byte at a time of another.
fn row(time: u8, row: u8) -> RowBytes {
    let mut bytes = Bytes::new();
    in_order(&[1, time], &[1, row], &mut bytes);
    bytes.into()
}

/// From the definition: the last right row, by time and then as a whole, whose time is before that of the left one.
fn expected(
    keys: &Keys,
    left: &BTreeMap<RowBytes, isize>,
    right: &BTreeMap<RowBytes, isize>,
) -> BTreeMap<Pair, isize> {
    let time = |it: &RowBytes| order_and_row(it).0.to_vec();
    let pairs = left.iter().filter_map(|(row, count)| {
        let is_before = |it: &&RowBytes| match keys.takes_equal {
            true => time(it) <= time(row),
            false => time(it) < time(row),
        };
        let found = right.keys().filter(is_before).max().cloned();
        (found.is_some() || keys.keeps_unmatched).then(|| ((row.clone(), found), *count))
    });
    pairs.collect()
}

/// What all keys hold, counted by walking through them.
fn counted(keys: &Keys) -> Held {
    let of_key = |(key, it): (&Bytes, &Key)| {
        let rows = it.left.keys().chain(it.right.keys());
        let rows: usize = rows.map(bytes_of).sum();
        let trees = [&it.left, &it.right].map(|it| of_tree::<RowBytes, isize>(it.len()));
        Held {
            rows: it.left.len() + it.right.len(),
            bytes: allocated(key.len()) + rows + trees.iter().sum::<usize>(),
        }
    };
    keys.keys.iter().map(of_key).sum()
}

#[test]
fn what_keys_tell_is_what_they_take() {
    let (taken, mut keys) = kept(|| {
        let mut keys = Keys {
            takes_equal: true,
            keeps_unmatched: false,
            keys: HashMap::default(),
            held: Held::default(),
        };
        for time in 0..40_u8 {
            let mut taken = Taken::default();
            for key in 0..500_u16 {
                let key = Some(key.to_le_bytes().to_vec());
                let side = match time % 4 {
                    0 => &mut taken.right,
                    _ => &mut taken.left,
                };
                side.push(((key, row(time, 1)), 1));
            }
            keys.change(taken);
        }
        keys
    });
    assert_about(Keeps::held(&mut keys).bytes, taken, 0.15);
    assert_eq!(Keeps::held(&mut keys).rows, 500 * 40);
}

type Epoch = Vec<(bool, u8, u8, bool)>;

fn check(takes_equal: bool, keeps_unmatched: bool, epochs: Vec<Epoch>) {
    let mut keys = Keys {
        takes_equal,
        keeps_unmatched,
        keys: HashMap::default(),
        held: Held::default(),
    };
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    let mut results: BTreeMap<Pair, isize> = BTreeMap::new();
    for epoch in epochs {
        let mut taken = Taken::default();
        for (is_left, time, number, comes) in epoch {
            let (side, changes) = match is_left {
                true => (&mut left, &mut taken.left),
                false => (&mut right, &mut taken.right),
            };
            let row = row(time, number);
            let diff = if comes { 1 } else { -1 };
            if diff < 0 && !side.contains_key(&row) {
                continue;
            }
            add(side, vec![(row.clone(), diff)], &mut usize::MAX.div_ceil(2));
            changes.push(((Some(vec![7]), row), diff));
        }
        for (pair, diff) in keys.change(taken) {
            let count = results.entry(pair).or_default();
            *count += diff;
        }
        results.retain(|_, count| *count != 0);
        assert_eq!(results, expected(&keys, &left, &right));
        assert_eq!(keys.held, counted(&keys));
    }
    let all = |it: &BTreeMap<RowBytes, isize>| it.is_empty();
    assert_eq!(keys.keys.is_empty(), all(&left) && all(&right));
}

proptest! {
    #[test]
    fn changes_come_to_what_the_definition_says(
        takes_equal in any::<bool>(),
        keeps_unmatched in any::<bool>(),
        epochs in prop::collection::vec(
            prop::collection::vec((any::<bool>(), 0..6u8, 0..3u8, prop::bool::weighted(0.6)), 0..12),
            0..12,
        ),
    ) {
        check(takes_equal, keeps_unmatched, epochs);
    }
}

#[test]
fn a_change_touches_only_rows_up_to_the_next_one() {
    let key = Key {
        left: (0..100).map(|it| (row(it, 0), 1)).collect(),
        right: [10, 20, 30].map(|it| (row(it, 0), 1)).into(),
        bytes: 0,
    };
    let touched = |changes: &[(RowBytes, isize)]| -> Vec<u8> {
        let touched = key.touched(changes, true);
        touched.iter().map(|it| order_and_row(&it.0).0[1]).collect()
    };
    assert_eq!(touched(&[(row(12, 0), 1)]), (12..20).collect::<Vec<u8>>());
    assert_eq!(touched(&[(row(20, 0), -1)]), (20..30).collect::<Vec<u8>>());
    assert_eq!(touched(&[(row(20, 0), 1)]), Vec::<u8>::new());
    let several = [(row(12, 0), 1), (row(13, 0), 1), (row(25, 0), 1)];
    let expected: Vec<u8> = (12..20).chain(25..30).collect();
    assert_eq!(touched(&several), expected);
}
