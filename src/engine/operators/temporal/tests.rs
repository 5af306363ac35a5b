//! What a timeline tells of its memory is what it takes.

use super::*;
use crate::model::held::measured::{assert_about, kept};

#[test]
fn what_a_timeline_tells_is_what_it_takes() {
    let row = |it: i64| (vec![it as u8; 10 + (it % 50) as usize], (it, it + 7));
    let (taken, mut timeline) = kept(|| {
        let mut timeline = Timeline::default();
        for it in 0..40_000 {
            timeline.add(it / 10, row(it), 1);
        }
        // What is taken back is gone.
        for it in 0..10_000 {
            timeline.add(it / 10, row(it), -1);
        }
        timeline
    });
    let told = timeline.held();
    assert_eq!(told.rows, 30_000);
    assert_about(told.bytes, taken, 0.15);
    assert_eq!(timeline.take(1_999).len(), 10_000);
    assert_eq!(timeline.held().rows, 20_000);
    timeline.take(i64::MAX);
    assert_eq!(timeline.held, Held::default());
}
