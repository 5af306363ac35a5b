//! What spans tell of their memory is what they take.

use super::*;
use crate::model::held::measured::{assert_about, kept};

#[test]
fn what_spans_tell_is_what_they_take() {
    let (taken, mut spans) = kept(|| {
        let mut spans = Spans::default();
        for it in 0..60_000_i64 {
            let row = (Some(it.to_le_bytes().to_vec()), RowBytes::from([7; 40]));
            // A row that came before takes nothing more.
            spans.add(it % 50 * SPAN_US, &row, 1);
            spans.add(it % 50 * SPAN_US, &row, -1);
        }
        spans
    });
    let told = spans.held();
    assert_eq!(told.rows, 60_000);
    assert_about(told.bytes, taken, 0.05);
    spans.closed(30 * SPAN_US);
    assert_eq!(spans.held().rows, 60_000 / 50 * 19);
}
