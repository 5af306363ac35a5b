//! Counts by key, and percentiles from them: values fall into bins of equal relative width, cut from the float's own bits. There are 128 bins per
//! power of two, hence a relative error of at most 1/256; counts add up, and can be taken back, in any order.

use super::Row;
use serde::{Deserialize, Serialize};

/// Mantissa bits that tell bins apart: 2⁷ bins per power of two.
const BIN_BITS: u32 = 7;

/// The number of the bin a value falls in; bins order like values.
pub fn bin_of(value: f64) -> i32 {
    let bits = (value.abs().to_bits() >> (52 - BIN_BITS)) as i32;
    if value < 0.0 { -bits - 1 } else { bits }
}

/// The middle of a bin: at most 1/256 of its size away from every value in it.
pub fn middle_of_bin(bin: i32) -> f64 {
    let (negative, bits) = if bin < 0 {
        (true, -(bin + 1))
    } else {
        (false, bin)
    };
    if bits == 0 {
        return 0.0;
    }
    let low = f64::from_bits((bits as u64) << (52 - BIN_BITS));
    let high = f64::from_bits((bits as u64 + 1) << (52 - BIN_BITS));
    let middle = if high.is_finite() {
        (low + high) / 2.0
    } else {
        low
    };
    if negative { -middle } else { middle }
}

/// Counts per bin, sorted by bin, without zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bins(Vec<(i32, i64)>);

impl Bins {
    pub fn add(&mut self, bin: i32, diff: i64) {
        match self.0.binary_search_by_key(&bin, |entry| entry.0) {
            Ok(at) => {
                self.0[at].1 += diff;
                if self.0[at].1 == 0 {
                    self.0.remove(at);
                }
            }
            Err(at) => self.0.insert(at, (bin, diff)),
        }
    }

    pub fn merge(&mut self, other: &Bins) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        self.0 = merge_counts(&self.0, &other.0);
    }

    pub fn negate(&mut self) {
        for entry in &mut self.0 {
            entry.1 = -entry.1;
        }
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at a rank between 0 and 1, nearest rank; nothing without values.
    pub fn percentile(&self, rank: f64) -> Option<f64> {
        let total: i64 = self.0.iter().map(|entry| entry.1).sum();
        if total <= 0 {
            return None;
        }
        let wanted = ((rank * total as f64).ceil() as i64).clamp(1, total);
        let mut seen = 0;
        self.0
            .iter()
            .find(|entry| {
                seen += entry.1;
                wanted <= seen
            })
            .map(|entry| middle_of_bin(entry.0))
    }

    /// The counts, sorted by bin.
    pub fn entries(&self) -> &[(i32, i64)] {
        &self.0
    }
}

impl FromIterator<(i32, i64)> for Bins {
    fn from_iter<I: IntoIterator<Item = (i32, i64)>>(entries: I) -> Self {
        let mut sorted: Vec<(i32, i64)> = entries.into_iter().collect();
        sum_counts(&mut sorted);
        Bins(sorted)
    }
}

/// Sorts counts and adds up those of one key; what sums to zero disappears.
pub fn sum_counts<K: Ord>(counts: &mut Vec<(K, i64)>) {
    // What is sorted in parts, as workers give it, is merged.
    counts.sort_by(|a, b| a.0.cmp(&b.0));
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    counts.retain(|it| it.1 != 0);
}

/// [`sum_counts`] of rows, of which there may be millions: they are sorted by their beginnings, which lie side by side in memory.
pub fn sum_row_counts(counts: &mut Vec<(Row, i64)>) {
    let begun = counts.drain(..).map(|it| (it.0.beginning(), it));
    let mut begun: Vec<(u128, (Row, i64))> = begun.collect();
    begun.sort_unstable_by(|a, b| (a.0, &a.1.0).cmp(&(b.0, &b.1.0)));
    begun.dedup_by(|next, kept| {
        let same = next.0 == kept.0 && next.1.0 == kept.1.0;
        if same {
            kept.1.1 += next.1.1;
        }
        same
    });
    counts.extend(begun.into_iter().map(|it| it.1).filter(|it| it.1 != 0));
}

/// Adds two sorted lists of counts; what sums to zero disappears.
pub fn merge_counts<K: Clone + Ord>(left: &[(K, i64)], right: &[(K, i64)]) -> Vec<(K, i64)> {
    use std::cmp::Ordering;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        match a.0.cmp(&b.0) {
            Ordering::Less => {
                merged.push(a.clone());
                i += 1;
            }
            Ordering::Greater => {
                merged.push(b.clone());
                j += 1;
            }
            Ordering::Equal => {
                if a.1 + b.1 != 0 {
                    merged.push((a.0.clone(), a.1 + b.1));
                }
                i += 1;
                j += 1;
            }
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_order_like_values_and_keep_the_stated_error() {
        let values = [-1e9, -2.5, -1e-9, 0.0, 1e-9, 0.3, 1.0, 1.001, 250.0, 1e9];
        for pair in values.windows(2) {
            assert!(bin_of(pair[0]) <= bin_of(pair[1]), "{pair:?}");
        }
        for value in values {
            let middle = middle_of_bin(bin_of(value));
            assert!(
                (middle - value).abs() <= value.abs() / 256.0 + f64::MIN_POSITIVE,
                "{value} became {middle}"
            );
        }
    }
}
