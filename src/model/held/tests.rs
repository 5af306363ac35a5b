//! Bytes that are counted are those that the allocator hands out.

use super::measured::kept;
use super::*;
use std::collections::BTreeMap;

#[test]
fn a_piece_of_memory_takes_its_size_class() {
    let sizes = (1..20_000).chain([8_192, 8_193, 100_000, 1 << 20, (1 << 20) + 1, 5_000_000]);
    for bytes in sizes {
        let (taken, piece) = kept(|| std::hint::black_box(Vec::<u8>::with_capacity(bytes)));
        assert_eq!(allocated(piece.capacity()), taken, "of {bytes} bytes");
    }
    assert_eq!(allocated(0), 0);
}

#[test]
fn a_row_takes_what_its_values_point_at() {
    let text = "a text that is too long to lie in its place";
    let (taken, row) = kept(|| {
        Row([
            Value::Int(1),
            Value::Text("short".into()),
            Value::Text(text.into()),
            Value::Bytes(vec![1; 100].into()),
            Value::List([Value::Text(text.into()), Value::Null].into()),
            Value::Struct([("name".into(), Value::Text(text.into()))].into()),
        ]
        .into())
    });
    assert_eq!(of_row(&row), taken);
}

#[test]
fn a_tree_takes_about_what_its_entries_say() {
    const ENTRIES: u64 = 50_000;
    let trees: [(&str, f64, fn(u64) -> u64); 2] = [
        ("any order", 0.12, |it| {
            it.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        }),
        ("rising", 0.2, |it| it),
    ];
    for (order, within, key) in trees {
        let (taken, tree) = kept(|| {
            let mut tree: BTreeMap<u64, [u64; 2]> = BTreeMap::new();
            tree.extend((0..ENTRIES).map(|it| (key(it), [it; 2])));
            tree
        });
        let told = of_tree::<u64, [u64; 2]>(tree.len()) as f64;
        let off = (told / taken as f64 - 1.0).abs();
        assert!(off < within, "{order}: {told} told, {taken} taken");
    }
}
