//! What stateful operators took in since it was asked for last.

use super::{PackedRow, StateContent, StateRecord};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Records in the order in which operators took them in, packed rows by operator. They lie in pieces, since a list of millions that grows is copied
/// again and again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StateLog {
    records: Vec<Vec<StateRecord>>,
    /// Rows that are bytes lie one behind the other: of all that is taken in they are the most, and many are let go before the next commit.
    packed: Vec<(Arc<str>, Vec<Rows>)>,
}

/// Packed rows of one operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rows {
    bytes: Vec<u8>,
    rows: Vec<PlacedRow>,
    /// The last of their ends, [`NEVER`] if one of them has none.
    last_end_us: i64,
}

/// The end of rows that are never let go.
const NEVER: i64 = i64::MAX;

/// A row behind the one before it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PlacedRow {
    /// Behind its last byte.
    end: usize,
    end_us: Option<i64>,
    diff: i64,
}

impl StateLog {
    const PIECE: usize = 512;
    /// A piece with so many bytes takes no more rows.
    const PIECE_BYTES: usize = 64 << 10;

    /// Adds a record.
    pub fn push(&mut self, record: StateRecord) {
        if let StateContent::Packed(row) = &record.content {
            return self.push_packed(&record.operator, &row.bytes, row.end_us, row.diff);
        }
        match self.records.last_mut() {
            Some(piece) if piece.len() < Self::PIECE => piece.push(record),
            Some(_) => {
                let mut piece = Vec::with_capacity(Self::PIECE);
                piece.push(record);
                self.records.push(piece);
            }
            None => self.records.push(vec![record]),
        }
    }

    /// Adds a [`PackedRow`].
    pub fn push_packed(
        &mut self,
        operator: &Arc<str>,
        bytes: &[u8],
        end_us: Option<i64>,
        diff: i64,
    ) {
        let of_operator = self.packed.iter().position(|it| it.0 == *operator);
        let of_operator = of_operator.unwrap_or_else(|| {
            self.packed.push((Arc::clone(operator), Vec::new()));
            self.packed.len() - 1
        });
        let pieces = &mut self.packed[of_operator].1;
        if pieces.last().is_none_or(Rows::is_full) {
            pieces.push(Rows::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.bytes.extend_from_slice(bytes);
            piece.last_end_us = piece.last_end_us.max(end_us.unwrap_or(NEVER));
            piece.rows.push(PlacedRow {
                end: piece.bytes.len(),
                end_us,
                diff,
            });
        }
    }

    /// Lets pieces of an operator go whose rows all end by then. What is in others ends later, or beside rows that do.
    pub fn let_go(&mut self, operator: &str, watermark: i64) {
        let of_operator = self.packed.iter_mut().filter(|it| *it.0 == *operator);
        let stays = |it: &Rows| it.last_end_us == NEVER || watermark < it.last_end_us;
        of_operator.for_each(|it| it.1.retain(stays));
    }

    /// Adds all of another one.
    pub fn append(&mut self, mut other: StateLog) {
        self.records.append(&mut other.records);
        self.packed.append(&mut other.packed);
    }
}

impl Rows {
    fn new() -> Self {
        Rows {
            bytes: Vec::new(),
            rows: Vec::new(),
            last_end_us: i64::MIN,
        }
    }

    fn is_full(&self) -> bool {
        StateLog::PIECE_BYTES <= self.bytes.len()
    }

    fn packed(self) -> impl Iterator<Item = PackedRow> {
        let mut begin = 0;
        let Rows { bytes, rows, .. } = self;
        rows.into_iter().map(move |it| {
            let row = PackedRow {
                bytes: bytes[begin..it.end].to_vec(),
                end_us: it.end_us,
                diff: it.diff,
            };
            begin = it.end;
            row
        })
    }
}

impl IntoIterator for StateLog {
    type Item = StateRecord;
    type IntoIter = Box<dyn Iterator<Item = StateRecord> + Send>;

    fn into_iter(self) -> Self::IntoIter {
        let packed = self.packed.into_iter().flat_map(|(operator, pieces)| {
            let rows = pieces.into_iter().flat_map(Rows::packed);
            rows.map(move |row| StateRecord {
                operator: Arc::clone(&operator),
                content: StateContent::Packed(row),
            })
        });
        Box::new(self.records.into_iter().flatten().chain(packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    fn packed(operator: &str, number: usize) -> StateRecord {
        StateRecord {
            operator: operator.into(),
            content: StateContent::Packed(PackedRow {
                bytes: vec![number as u8; number % 300],
                end_us: number.is_multiple_of(3).then_some(number as i64),
                diff: number as i64 % 5 - 2,
            }),
        }
    }

    #[test]
    fn what_is_pushed_comes_out() {
        let plain = |number: usize| StateRecord {
            operator: "plain".into(),
            content: StateContent::Row(model::Row([].into()), number as i64),
        };
        let all: Vec<StateRecord> = (0..4000)
            .flat_map(|it| [plain(it), packed("a", it), packed("b", it)])
            .collect();
        let (mut log, mut later) = (StateLog::default(), StateLog::default());
        let (first, rest) = all.split_at(7000);
        first.iter().for_each(|it| log.push(it.clone()));
        rest.iter().for_each(|it| later.push(it.clone()));
        log.append(later);
        let bytes = postcard::to_allocvec(&log).unwrap();
        let log: StateLog = postcard::from_bytes(&bytes).unwrap();
        let found: Vec<StateRecord> = log.into_iter().collect();
        assert_eq!(found.len(), all.len());
        for operator in ["plain", "a", "b"] {
            let of = |list: &[StateRecord]| -> Vec<StateRecord> {
                let of_operator = list.iter().filter(|it| &*it.operator == operator);
                of_operator.cloned().collect()
            };
            assert_eq!(of(&found), of(&all), "{operator}");
        }
    }

    #[test]
    fn rows_that_ended_leave_by_pieces() {
        const ROW_BYTES: usize = StateLog::PIECE_BYTES / 4;
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let mut log = StateLog::default();
        let mut push = |operator: &Arc<str>, end_us: Option<i64>| {
            log.push_packed(operator, &[0; ROW_BYTES], end_us, 1);
        };
        // Pieces of four rows: 0 to 3, 4 to 7 with one that never ends, 8 and 9.
        (0..10).for_each(|it| push(&a, Some(it).filter(|it| *it != 5)));
        (0..4).for_each(|it| push(&b, Some(it)));
        log.let_go("a", 2);
        log.let_go("b", 3);
        log.let_go("none", 9);
        let ends = |log: &StateLog| -> Vec<Option<i64>> {
            let rows = log.clone().into_iter();
            rows.map(|it| match it.content {
                StateContent::Packed(row) => row.end_us,
                _ => unreachable!("all are packed"),
            })
            .collect()
        };
        let all = |from: i64| (from..10).map(|it| Some(it).filter(|it| *it != 5));
        assert_eq!(ends(&log), all(0).collect::<Vec<_>>());
        log.let_go("a", 8);
        assert_eq!(ends(&log), all(4).collect::<Vec<_>>());
        log.let_go("a", i64::MAX);
        assert_eq!(ends(&log), all(4).take(4).collect::<Vec<_>>());
    }
}
