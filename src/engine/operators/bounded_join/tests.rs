//! What keys of a bounded join tell of their memory is what they take.

use super::*;
use crate::model::held::measured::{assert_about, kept};

#[test]
fn what_keys_tell_is_what_they_take() {
    let (taken, mut keys) = kept(|| {
        let mut keys = Keys::default();
        for key in 0..400_u16 {
            for row in 0..if key % 10 == 0 { 300_i64 } else { 9 } {
                let given = Given {
                    key: key.to_le_bytes().to_vec(),
                    row: [key.to_le_bytes().as_slice(), &row.to_le_bytes(), &[3; 30]].concat(),
                    end: row * 1_000_000,
                    diff: 1,
                };
                keys.hold(given, row % 3 == 0);
            }
        }
        keys
    });
    let told = Keeps::held(&mut keys);
    assert_eq!(told.rows, 40 * 300 + 360 * 9);
    assert_about(told.bytes, taken, 0.1);
    keys.let_go(4_000_000);
    assert_eq!(Keeps::held(&mut keys).rows, 40 * 295 + 360 * 4);
    for (_, key) in &keys.keys {
        for side in [&key.left, &key.right] {
            let bytes: usize = side.open(i64::MIN).map(|it| allocated(it.0.len())).sum();
            assert_eq!(side.bytes, bytes);
        }
    }
    keys.let_go(300_000_000);
    assert_eq!(keys.held, Held::default());
}
