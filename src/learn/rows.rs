//! What a model learns from: rows of numbers, in an order and with a held-out part that follow from their content alone.
//!
//! A query gives its rows in any order. Sorted by a hash of their content, the same rows are the same training data. A row whose hash is a
//! multiple of five is held out; rows that are equal are on the same side, so nothing that was learned is asked again.

use super::Error;
use twox_hash::XxHash3_128;

/// One part of so many is held out.
const PARTS: u128 = 5;
/// Fewer rows say nothing.
const ROWS_MIN: usize = 50;
/// Fewer rows of a class do not either.
const CLASS_MIN: usize = 10;
/// A feature that tells the classes apart this well is the label by another name.
const LEAK_AUC: f64 = 0.9999;
/// Over fewer rows that may be chance.
const LEAK_ROWS_MIN: usize = 100;

/// Rows of features, and what they are to be told as.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the features.
    pub features: Vec<String>,
    /// Name of the label.
    pub label: Option<String>,
    /// Row after row; NaN where a value is missing.
    pub values: Vec<f64>,
    /// One for each row if there is a label; NaN where it is missing.
    pub labels: Vec<f64>,
}

/// Rows that were left out, and why they had to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// With a missing feature, for a model that cannot do with one.
    pub features: usize,
    pub labels: usize,
}

/// What labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// 0 or 1.
    Classes,
    Numbers,
}

/// Rows in their order, of which the last ones are held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub rows: Rows,
    /// So many are learned from.
    pub learned: usize,
    pub left_out: LeftOut,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.values.len() / self.features.len().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn row(&self, at: usize) -> &[f64] {
        let width = self.features.len();
        &self.values[at * width..(at + 1) * width]
    }

    fn column(&self, at: usize) -> impl Iterator<Item = f64> + '_ {
        self.values
            .iter()
            .skip(at)
            .step_by(self.features.len())
            .copied()
    }

    /// Classes if every label is 0 or 1.
    pub fn labels(&self) -> Labels {
        match self.labels.iter().all(|it| *it == 0.0 || *it == 1.0) {
            true => Labels::Classes,
            false => Labels::Numbers,
        }
    }

    /// Puts the rows in their order and says which are held out. Those without a label are left out and, if so told, those with a missing
    /// feature.
    ///
    /// # Errors
    /// If a value is infinite.
    pub fn split(&self, needs_all_features: bool) -> Result<Split, Error> {
        if let Some(at) = self.values.iter().position(|it| it.is_infinite()) {
            let name = &self.features[at % self.features.len()];
            return Err(Error::Rows(format!(
                "feature {name:?} is infinite in a row; leave such rows out with WHERE, or write NULLIF"
            )));
        }
        if self.labels.iter().any(|it| it.is_infinite()) {
            return Err(Error::Rows(
                "the label is infinite in a row; leave such rows out with WHERE".to_owned(),
            ));
        }
        let mut left_out = LeftOut::default();
        let mut order = Vec::new();
        for at in 0..self.len() {
            let label = self.labels.get(at);
            if label.is_some_and(|it| it.is_nan()) {
                left_out.labels += 1;
            } else if needs_all_features && self.row(at).iter().any(|it| it.is_nan()) {
                left_out.features += 1;
            } else {
                let hash = hash(self.row(at), label);
                order.push((hash.is_multiple_of(PARTS), hash, at));
            }
        }
        order.sort_unstable();
        let mut rows = Rows {
            features: self.features.clone(),
            label: self.label.clone(),
            ..Rows::default()
        };
        for (_, _, at) in &order {
            rows.values.extend(self.row(*at).iter().map(|it| it + 0.0));
            rows.labels.extend(self.labels.get(*at));
        }
        let learned = order.partition_point(|it| !it.0);
        Ok(Split {
            rows,
            learned,
            left_out,
        })
    }
}

/// Equal rows have equal hashes; 0 and -0 are equal.
fn hash(row: &[f64], label: Option<&f64>) -> u128 {
    let canonical = |it: &f64| match it.is_nan() {
        true => f64::NAN.to_bits(),
        false => (it + 0.0).to_bits(),
    };
    let bits = row.iter().chain(label).map(canonical);
    let bytes: Vec<u8> = bits.flat_map(u64::to_le_bytes).collect();
    XxHash3_128::oneshot(&bytes)
}

impl Split {
    /// Refuses rows that nothing can be learned from, or too much.
    ///
    /// # Errors
    /// If there are too few, a feature is the same in all that are learned from or, unless that is allowed, gives the label away.
    pub fn check(&self, learns_labels: bool, allow_leak: bool) -> Result<(), Error> {
        let wrong = |it: String| Err(Error::Rows(it));
        let rows = &self.rows;
        let count = rows.len();
        let missing = self.left_out.features + self.left_out.labels;
        if count < ROWS_MIN {
            let without = match missing {
                0 => String::new(),
                _ => format!(", not counting {missing} with NULLs"),
            };
            return wrong(format!(
                "the query has {count} rows{without}, and {ROWS_MIN} are needed to learn from and to test with; take a longer time or another --from"
            ));
        }
        if self.learned == 0 || self.learned == count {
            return wrong(
                "the rows are nearly all the same, so none can be held out to test with".to_owned(),
            );
        }
        for (at, name) in rows.features.iter().enumerate() {
            let mut learned = rows.column(at).take(self.learned);
            let first = learned.next().unwrap_or(f64::NAN);
            let is_first = |it: f64| it == first || (it.is_nan() && first.is_nan());
            if learned.all(is_first) {
                let value = if first.is_nan() {
                    "NULL".to_owned()
                } else {
                    first.to_string()
                };
                return wrong(format!(
                    "feature {name:?} is {value} in every row, so nothing can be learned from it; leave it out"
                ));
            }
        }
        let Some(label) = &rows.label else {
            return Ok(());
        };
        let is_class = rows.labels() == Labels::Classes;
        if is_class {
            let ones = rows.labels.iter().filter(|it| **it == 1.0).count();
            let fewer = ones.min(count - ones);
            if learns_labels && fewer < CLASS_MIN {
                let class = u8::from(ones == fewer);
                return wrong(format!(
                    "label {label:?} is {class} in {fewer} of {count} rows, and {CLASS_MIN} of each class are needed; take more rows, or --kind isolation-forest, which learns without labels"
                ));
            }
        } else if rows.labels.iter().all(|it| *it == rows.labels[0]) {
            return wrong(format!(
                "label {label:?} is {} in every row, so there is nothing to learn",
                rows.labels[0]
            ));
        } else if !learns_labels {
            return wrong(format!(
                "label {label:?} has other values than 0 and 1; this kind of model learns without labels and is only tested with them, so write a label like (…) AS {label}"
            ));
        }
        if allow_leak {
            return Ok(());
        }
        for (at, name) in rows.features.iter().enumerate() {
            let same = rows.column(at).zip(&rows.labels).all(|(a, b)| a == *b);
            if same || (learns_labels && is_class && self.separates(at)) {
                let how = match same {
                    true => "is the label itself",
                    false => "alone tells the classes apart without an error",
                };
                return wrong(format!(
                    "feature {name:?} {how}, so label {label:?} leaks: what scores well here has learned nothing; leave it out, or say --allow-leak if it is known before the label is"
                ));
            }
        }
        Ok(())
    }

    /// Whether a feature orders the classes perfectly, in either direction.
    fn separates(&self, feature: usize) -> bool {
        let rows = &self.rows;
        if rows.len() < LEAK_ROWS_MIN {
            return false;
        }
        let labels: Vec<bool> = rows.labels.iter().map(|it| *it == 1.0).collect();
        // Missing values are on one side of all others, or on the other.
        [f64::NEG_INFINITY, f64::INFINITY].iter().any(|missing| {
            let values: Vec<f64> = rows
                .column(feature)
                .map(|it| if it.is_nan() { *missing } else { it })
                .collect();
            super::measure::roc_auc(&values, &labels)
                .is_some_and(|it| LEAK_AUC <= it || it <= 1.0 - LEAK_AUC)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;

    /// Rows of two features and a label that the first of them has something to do with.
    fn rows(count: usize) -> Rows {
        let mut random = Random::new(2);
        let mut rows = Rows {
            features: vec!["a".to_owned(), "b".to_owned()],
            label: Some("bad".to_owned()),
            ..Rows::default()
        };
        for _ in 0..count {
            let value = random.unit();
            rows.values.extend([value, random.unit()]);
            rows.labels
                .push(f64::from(u8::from(0.5 < value + 0.3 * random.unit())));
        }
        rows
    }

    fn refusal(rows: &Rows, learns_labels: bool) -> String {
        let split = rows.split(true).unwrap();
        split.check(learns_labels, false).unwrap_err().to_string()
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_a_fifth_is_held_out() {
        let rows = rows(1000);
        let mut turned = rows.clone();
        turned.values = (0..1000)
            .rev()
            .flat_map(|it| rows.row(it).to_vec())
            .collect();
        turned.labels.reverse();
        let split = rows.split(false).unwrap();
        assert_eq!(turned.split(false).unwrap(), split);
        let held_out = 1000 - split.learned;
        assert!((150..250).contains(&held_out), "{held_out}");
        assert_eq!(split.check(true, false), Ok(()));
    }

    #[test]
    fn rows_with_nulls_are_left_out_where_they_must_be() {
        let mut rows = rows(100);
        rows.values[4] = f64::NAN;
        rows.labels[7] = f64::NAN;
        let left_out = |it: &Split| (it.rows.len(), it.left_out.features, it.left_out.labels);
        assert_eq!(left_out(&rows.split(true).unwrap()), (98, 1, 1));
        assert_eq!(left_out(&rows.split(false).unwrap()), (99, 0, 1));
        rows.values[8] = f64::INFINITY;
        let refused = rows.split(true).unwrap_err().to_string();
        assert!(refused.contains("\"a\" is infinite"), "{refused}");
    }

    #[test]
    fn what_cannot_be_learned_from_is_refused() {
        let few = refusal(&rows(49), true);
        assert!(few.contains("49 rows"), "{few}");
        let mut constant = rows(100);
        for value in constant.values.iter_mut().skip(1).step_by(2) {
            *value = 3.0;
        }
        let refused = refusal(&constant, true);
        assert!(refused.contains("\"b\" is 3 in every row"), "{refused}");
        let mut one_class = rows(100);
        one_class.labels.fill(0.0);
        one_class.labels[..9].fill(1.0);
        let refused = refusal(&one_class, true);
        assert!(refused.contains("is 1 in 9 of 100 rows"), "{refused}");
        assert_eq!(one_class.split(true).unwrap().check(false, false), Ok(()));
        let mut numbers = rows(100);
        numbers.labels[0] = 7.0;
        assert_eq!(numbers.split(true).unwrap().check(true, false), Ok(()));
        let refused = refusal(&numbers, false);
        assert!(refused.contains("other values than 0 and 1"), "{refused}");
    }

    #[test]
    fn a_feature_that_gives_the_label_away_is_named() {
        let mut leaking = rows(200);
        for at in 0..200 {
            leaking.values[2 * at + 1] = 500.0 - 100.0 * leaking.labels[at] + at as f64 / 200.0;
        }
        let refused = refusal(&leaking, true);
        assert!(refused.contains("feature \"b\" alone tells"), "{refused}");
        assert!(refused.contains("leaks"), "{refused}");
        let split = leaking.split(true).unwrap();
        assert_eq!(split.check(true, true), Ok(()), "if it is allowed");
        assert_eq!(
            split.check(false, false),
            Ok(()),
            "nothing is learned of it"
        );
        let mut same = rows(60);
        for at in 0..60 {
            same.values[2 * at] = same.labels[at];
        }
        let refused = refusal(&same, false);
        assert!(refused.contains("\"a\" is the label itself"), "{refused}");
    }
}
