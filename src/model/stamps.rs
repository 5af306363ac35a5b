//! The times that records bring with them, of many records in two numbers.

use serde::{Deserialize, Serialize};

/// The oldest and the newest of the times that Kafka has of some records, in milliseconds since 1970. What a record has there its
/// producer or its broker has written, as the topic is set up; it is not the event time of a dataflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    pub oldest_ms: u64,
    pub newest_ms: u64,
}

impl Stamps {
    /// Those of one record.
    pub fn at(ms: u64) -> Self {
        Stamps {
            oldest_ms: ms,
            newest_ms: ms,
        }
    }

    /// Those of the records of both, where there are such.
    pub fn of_both(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (a, b) else {
            return a.or(b);
        };
        Some(Stamps {
            oldest_ms: a.oldest_ms.min(b.oldest_ms),
            newest_ms: a.newest_ms.max(b.newest_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_times_adds_none() {
        let (a, b) = (Some(Stamps::at(7)), Some(Stamps::at(3)));
        assert_eq!(Stamps::of_both(None, None), None);
        assert_eq!(Stamps::of_both(a, None), a);
        assert_eq!(Stamps::of_both(None, b), b);
        let both = Stamps {
            oldest_ms: 3,
            newest_ms: 7,
        };
        assert_eq!(Stamps::of_both(a, b), Some(both));
        assert_eq!(Stamps::of_both(b, a), Some(both));
    }
}
