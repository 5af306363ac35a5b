//! Accumulators as arrangements keep them: packed into a few bytes, in one piece of memory.
//!
//! A count, a sum and a largest value are three slots of 64 bytes in an [`Accumulator`], which is what they are computed in, and some twenty
//! bytes here. There is one per group for as long as the group lives, and arrangements copy them whenever they merge batches. Equal
//! accumulators have equal bytes, since each has one form only; what is zero has none.

use super::accumulate::Accumulator;
use differential_dataflow::difference::{IsZero, Semigroup};
use serde::{Deserialize, Serialize};

/// A packed accumulator, as the `diff` of a group's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Packed(Box<[u8]>);

impl Packed {
    pub fn of(accumulator: &Accumulator) -> Self {
        if accumulator.is_zero() {
            return Packed(Box::default());
        }
        let bytes = postcard::to_stdvec(accumulator);
        Packed(bytes.expect("accumulators are plain values").into())
    }

    pub fn unpacked(&self) -> Accumulator {
        if self.is_zero() {
            return Accumulator::default();
        }
        postcard::from_bytes(&self.0).expect("it was packed by this program")
    }
}

impl IsZero for Packed {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Semigroup for Packed {
    fn plus_equals(&mut self, other: &Self) {
        if other.is_zero() {
            return;
        }
        if self.is_zero() {
            self.0.clone_from(&other.0);
            return;
        }
        let mut sum = self.unpacked();
        sum.plus_equals(&other.unpacked());
        *self = Packed::of(&sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::accumulate::Slot;
    use crate::model::{Bins, FloatSum, IntSum, Moments, Value};
    use differential_dataflow::difference::Abelian;
    use proptest::prelude::*;
    use tikv_jemalloc_ctl::thread::{allocatedp, deallocatedp};

    /// What a group took in, with one slot of each kind. Values near the limits make sums that need more than 128 bits.
    fn taken_in(values: &[(i64, f64)]) -> Accumulator {
        let (mut sum, mut floats) = (IntSum::default(), FloatSum::default());
        let (mut moments, mut bins) = (Moments::default(), Bins::default());
        let mut candidates: Vec<(Value, i64)> = Vec::new();
        for (int, float) in values {
            sum.add(*int, 1);
            floats.add(*float, 1);
            moments.add(*float, 1);
            bins.add(crate::model::bin_of(*float), 1);
            candidates.push((Value::Int(*int), 1));
        }
        crate::model::sum_counts(&mut candidates);
        Accumulator {
            records: values.len() as i64,
            slots: [
                Slot::Count(values.len() as i64),
                Slot::IntSum(sum),
                Slot::FloatSum(floats),
                Slot::Moments(Box::new(moments)),
                Slot::Extremes(candidates),
                Slot::Bins(bins),
            ]
            .into(),
        }
    }

    fn values() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let float = prop_oneof![any::<f64>(), -1e3..1e3, Just(f64::NAN), Just(f64::MAX)];
        prop::collection::vec((any::<i64>(), float), 0..6)
    }

    proptest! {
        /// Packed ones add up as those they were made of do; what was added is taken away by its negative, and zero has one form.
        #[test]
        fn packing_changes_no_sum(some in values(), more in values()) {
            let (some, more) = (taken_in(&some), taken_in(&more));
            let mut expected = some.clone();
            expected.plus_equals(&more);
            let mut sum = Packed::of(&some);
            prop_assert_eq!(sum.unpacked().is_zero(), some.is_zero());
            sum.plus_equals(&Packed::of(&more));
            prop_assert_eq!(&sum, &Packed::of(&expected));
            if !expected.is_zero() {
                prop_assert_eq!(sum.unpacked(), expected);
            }
            let mut negative = more.clone();
            negative.negate();
            sum.plus_equals(&Packed::of(&negative));
            prop_assert_eq!(&sum, &Packed::of(&some));
            let mut negative = some;
            negative.negate();
            sum.plus_equals(&Packed::of(&negative));
            prop_assert!(sum.is_zero());
        }
    }

    #[test]
    fn a_group_with_count_sum_and_largest_value_takes_few_bytes() {
        const GROUPS: u64 = 10_000;
        let mut sum = IntSum::default();
        sum.add(123_456, 1);
        let group = Accumulator {
            records: 300,
            slots: [
                Slot::Count(300),
                Slot::IntSum(sum),
                Slot::Best {
                    largest: true,
                    value: Some(Value::Int(999)),
                },
            ]
            .into(),
        };
        // The counters of this thread: other tests run beside it.
        let (taken, returned) = (
            allocatedp::read().expect("a counter"),
            deallocatedp::read().expect("a counter"),
        );
        let in_use = || taken.get() - returned.get();
        let before = in_use();
        let packed: Vec<Packed> = (0..GROUPS).map(|_| Packed::of(&group)).collect();
        let bytes = (in_use() - before) / GROUPS;
        assert_eq!(packed.len() as u64, GROUPS);
        assert!(bytes <= 48, "a packed group takes {bytes} bytes");
    }
}
