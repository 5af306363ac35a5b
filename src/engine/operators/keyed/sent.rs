//! Rows on their way to the worker that their key falls to, one behind the other in one piece of memory.
//!
//! Were each row a piece of its own, one worker would make it and another one give it back, which costs allocators more than the row does; and most rows
//! that are not kept need no memory of their own at all.

use super::TakenIn;
use serde::{Deserialize, Serialize};

/// A piece with so many bytes leaves.
const PIECE_BYTES: usize = 64 << 10;

/// The worker that a key or a row with this hash falls to. It is told by the upper half of the hash; tables of the worker go by the lower one.
pub(in crate::engine::operators) fn worker_of(hash: u64, peers: usize) -> usize {
    let peers = peers as u64;
    ((hash >> 32) % peers) as usize
}

/// Rows of one epoch for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    worker: u64,
    epoch: u64,
    /// Of each row its key, if it has one, and the row.
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    hash: u64,
    /// How many of its bytes are the key.
    key: Option<u32>,
    /// Where its bytes end.
    end: u32,
    end_us: Option<i64>,
    diff: isize,
}

impl Sent {
    fn new(worker: usize, epoch: u64, bytes: usize) -> Self {
        Sent {
            worker: worker as u64,
            epoch,
            bytes: Vec::with_capacity(bytes),
            rows: Vec::new(),
        }
    }

    pub fn worker(&self) -> u64 {
        self.worker
    }

    pub fn rows(&self) -> impl Iterator<Item = TakenIn<'_>> {
        let mut begin = 0;
        self.rows.iter().map(move |it| {
            let bytes = &self.bytes[begin..it.end as usize];
            begin = it.end as usize;
            let (key, row) = bytes.split_at(it.key.unwrap_or(0) as usize);
            TakenIn {
                key: it.key.is_some().then_some(key),
                hash: it.hash,
                row,
                end_us: it.end_us,
                epoch: self.epoch,
                diff: it.diff,
            }
        })
    }
}

/// The rows of a batch, by the worker they go to.
pub(super) struct Sending {
    epoch: u64,
    /// Rows that are to come.
    left: usize,
    /// By worker.
    open: Vec<Option<Sent>>,
}

impl Sending {
    pub fn new(peers: usize, epoch: u64, rows: usize) -> Self {
        Sending {
            epoch,
            left: rows,
            open: vec![None; peers],
        }
    }

    /// Adds a row for a worker, and gives the piece that is full with it.
    pub fn add(&mut self, worker: usize, row: &TakenIn<'_>, give: &mut dyn FnMut(Sent)) {
        let peers = self.open.len();
        let key = row.key.unwrap_or_default();
        let len = key.len() + row.row.len();
        let open = &mut self.open[worker];
        let sent = open.get_or_insert_with(|| {
            // As much as there is to come, if other rows are like this one.
            let bytes = (self.left / peers + 1) * len;
            Sent::new(worker, self.epoch, bytes.min(PIECE_BYTES + len))
        });
        sent.bytes.extend_from_slice(key);
        sent.bytes.extend_from_slice(row.row);
        let four_bytes = |it: usize| u32::try_from(it).expect("a row has less than 4 GB");
        sent.rows.push(Row {
            hash: row.hash,
            key: row.key.map(|it| four_bytes(it.len())),
            end: four_bytes(sent.bytes.len()),
            end_us: row.end_us,
            diff: row.diff,
        });
        self.left = self.left.saturating_sub(1);
        if PIECE_BYTES <= sent.bytes.len() {
            open.take().into_iter().for_each(give);
        }
    }

    /// Gives what is left.
    pub fn end(self, give: &mut dyn FnMut(Sent)) {
        self.open.into_iter().flatten().for_each(give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::encoded::hash;
    use proptest::prelude::*;

    type Given = (Option<Vec<u8>>, Vec<u8>, Option<i64>, isize);

    proptest! {
        #[test]
        fn rows_come_in_order_to_the_worker_of_their_key(
            rows in prop::collection::vec(
                (
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..3)),
                    prop::collection::vec(any::<u8>(), 0..2_000),
                    prop::option::of(any::<i64>()),
                    -2isize..3,
                ),
                0..300,
            ),
            peers in 1usize..4,
        ) {
            let mut pieces = Vec::new();
            let mut sending = Sending::new(peers, 7, rows.len());
            for (key, row, end_us, diff) in &rows {
                let row = TakenIn {
                    key: key.as_deref(),
                    hash: hash(key.as_deref().unwrap_or(row)),
                    row,
                    end_us: *end_us,
                    epoch: 7,
                    diff: *diff,
                };
                sending.add(worker_of(row.hash, peers), &row, &mut |it| pieces.push(it));
            }
            sending.end(&mut |it| pieces.push(it));
            let given = |it: &TakenIn<'_>| -> Given {
                (it.key.map(<[u8]>::to_vec), it.row.to_vec(), it.end_us, it.diff)
            };
            for worker in 0..peers {
                let of_worker = pieces.iter().filter(|it| it.worker() == worker as u64);
                let found: Vec<Given> = of_worker.flat_map(|it| it.rows().map(|it| given(&it)).collect::<Vec<_>>()).collect();
                let falls_to = |it: &&Given| worker_of(hash(it.0.as_ref().unwrap_or(&it.1)), peers) == worker;
                let wanted: Vec<Given> = rows.iter().filter(falls_to).cloned().collect();
                prop_assert_eq!(found, wanted);
            }
            for piece in &pieces {
                prop_assert!(piece.rows().all(|it| it.epoch == 7));
                prop_assert!(piece.bytes.len() < PIECE_BYTES + 2_010);
            }
        }
    }
}
