//! Rows that a relation lacks because an expression failed for them, and results that have no place in their type.

use super::{Epoch, Row, Value};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The relation that lists them, unless a dataflow has one of that name.
pub const ERRORS: &str = "_errors";
/// So many of each relation are listed, the newest.
pub const LISTED: usize = 100;
/// Longer texts of rows are cut, in characters.
const ROW_TEXT_MAX: usize = 1_000;
/// The same where one row is told in a sentence.
const ROW_IN_SENTENCE_MAX: usize = 300;

/// One row, or one result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub epoch: Epoch,
    /// 1 of a row that came, -1 of one that was taken back.
    pub diff: i64,
    pub reason: String,
    /// The row that the expression failed for, as a JSON object; none if it was a whole group of rows.
    pub row: Option<String>,
}

impl Failure {
    pub fn new(epoch: Epoch, diff: i64, reason: String, row: Option<&str>) -> Self {
        Failure {
            epoch,
            diff,
            reason,
            row: row.map(|it| cut(it, ROW_TEXT_MAX)),
        }
    }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Those of one relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// How many came since the process started.
    count: u64,
    /// The newest of them, the oldest first.
    newest: VecDeque<Failure>,
}

impl LeftOut {
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether a further failure is worth putting into words: of so many at once only the last ones are listed.
    pub fn is_listed(at: usize, of: usize) -> bool {
        of <= at.saturating_add(LISTED)
    }

    /// Counts rows that are not listed.
    pub fn add(&mut self, count: u64) {
        self.count += count;
    }

    pub fn note(&mut self, failure: Failure) {
        self.count += u64::from(0 < failure.diff);
        self.list(failure);
    }

    /// Takes in what happened after.
    pub fn merge(&mut self, later: LeftOut) {
        self.count += later.count;
        later.newest.into_iter().for_each(|it| self.list(it));
    }

    fn list(&mut self, failure: Failure) {
        if self.newest.len() == LISTED {
            self.newest.pop_front();
        }
        self.newest.push_back(failure);
    }

    /// What was wrong with the last one, in words.
    pub fn last(&self) -> String {
        let Some(last) = self.newest.back() else {
            return String::new();
        };
        match &last.row {
            Some(row) => {
                let row = cut(row, ROW_IN_SENTENCE_MAX);
                format!("{}; the last of them is {row}", last.reason)
            }
            None => last.reason.clone(),
        }
    }
}

/// The columns of [`ERRORS`].
pub fn errors_schema() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("relation", DataType::Utf8, true),
        Field::new("at", instant, true),
        Field::new("diff", DataType::Int64, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("failed_row", DataType::Utf8, true),
    ]))
}

/// The rows of [`ERRORS`].
pub fn errors_rows(left_out: &BTreeMap<String, LeftOut>) -> Vec<Row> {
    let text = |it: &str| Value::Text(it.into());
    let of = |relation: &str, it: &Failure| {
        let at_us = i64::try_from(it.epoch.0)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        Row([
            text(relation),
            Value::Timestamp(at_us),
            Value::Int(it.diff),
            text(&it.reason),
            it.row.as_deref().map_or(Value::Null, text),
        ]
        .into())
    };
    left_out
        .iter()
        .flat_map(|(relation, it)| it.newest.iter().map(|it| of(relation, it)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: usize, diff: i64) -> Failure {
        let row = format!("{{\"n\":{number}}}");
        Failure::new(Epoch(number as u64), diff, "no".to_owned(), Some(&row))
    }

    #[test]
    fn all_are_counted_and_the_newest_are_listed() {
        let mut all = LeftOut::default();
        let mut later = LeftOut::default();
        later.add(1_000);
        (0..2 * LISTED).for_each(|it| later.note(failure(it, 1)));
        later.note(failure(7, -1));
        all.note(failure(9, 1));
        all.merge(later);
        assert_eq!(all.count(), 1_001 + 2 * LISTED as u64);
        let rows = errors_rows(&BTreeMap::from([("v".to_owned(), all.clone())]));
        assert_eq!(rows.len(), LISTED);
        assert_eq!(
            rows[0].0[4],
            Value::Text(format!("{{\"n\":{}}}", LISTED + 1).into())
        );
        assert_eq!(rows[LISTED - 1].0[2], Value::Int(-1));
        assert_eq!(all.last(), "no; the last of them is {\"n\":7}");
    }

    #[test]
    fn long_rows_are_cut_between_characters() {
        let long = "é".repeat(ROW_TEXT_MAX + 1);
        let it = Failure::new(Epoch(1), 1, String::new(), Some(&long));
        assert_eq!(it.row.map(|it| it.chars().count()), Some(ROW_TEXT_MAX + 1));
    }
}
