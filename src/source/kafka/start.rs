//! Where to go on in a partition: decided from what the lake remembers and what the broker has. Nothing is asked here.
//!
//! Our offset of a record is Kafka's plus a base. The base is 0 until a topic is deleted and created again under its name: the
//! new topic goes on behind the old one, so that an offset never moves back and never means two records. The id Kafka gave
//! the topic is kept with the offset, and tells the two apart whatever their offsets are.

use crate::model::{Offset, Position};

/// Where a topic without stored offsets starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Earliest,
    Latest,
}

/// What to do when records are gone before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// Read the partition no further until someone decides.
    Stop,
    /// Note the gap and go on with the oldest record there is.
    Earliest,
}

/// The settings of a source that decide where it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub start: StartAt,
    /// Records expired, or were deleted.
    pub on_offset_gap: OnLoss,
    /// The topic is another one than before, or ends before what was read of it.
    pub on_topic_recreated: OnLoss,
}

/// How our offsets relate to those of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Empty if the broker does not tell.
    pub topic_id: String,
    /// Our offset minus Kafka's.
    pub base: i64,
}

impl Numbering {
    /// Reads what `position` wrote; an empty note is a topic without id, numbered as Kafka does. A note that it did not write is taken
    /// for the id of a topic, which no topic has: it is then another one than before.
    pub fn parse(origin: &str) -> Self {
        let both = origin.split_once('|');
        let both = both.and_then(|(id, base)| Some((id, base.parse().ok()?)));
        let (topic_id, base) = both.unwrap_or((origin, 0));
        Numbering {
            topic_id: topic_id.to_owned(),
            base,
        }
    }

    /// A position of ours, with the note that finds its place in the topic again.
    pub fn position(&self, next: i64) -> Position {
        let origin = match (self.topic_id.as_str(), self.base) {
            ("", 0) => String::new(),
            (id, 0) => id.to_owned(),
            (id, base) => format!("{id}|{base}"),
        };
        Position {
            offset: Offset(next),
            origin,
            mark: String::new(),
        }
    }
}

/// What the broker has of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Empty if the broker does not tell.
    pub topic_id: String,
    pub low: i64,
    pub high: i64,
}

/// What to do with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read from `next`, in our numbering. Offsets `from..next` are gone, if `gap` names them.
    Read {
        numbering: Numbering,
        next: i64,
        gap: Option<Missing>,
    },
    /// Do not read, and say why.
    Stop(String),
}

/// Our offsets `from..to` will never be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub from: i64,
    pub to: i64,
    pub reason: String,
}

/// Decides about one partition. Without a stored position it is new.
pub fn decide(stored: Option<&Position>, seen: &Seen, policy: &Policy) -> Decision {
    let Some(stored) = stored else {
        let numbering = Numbering {
            topic_id: seen.topic_id.clone(),
            base: 0,
        };
        let next = match policy.start {
            StartAt::Earliest => seen.low,
            StartAt::Latest => seen.high,
        };
        return Decision::Read {
            numbering,
            next,
            gap: None,
        };
    };
    let before = Numbering::parse(&stored.origin);
    let next = stored.offset.0;
    let wanted = next - before.base;
    let other_id = !before.topic_id.is_empty()
        && !seen.topic_id.is_empty()
        && before.topic_id != seen.topic_id;
    if other_id || seen.high < wanted {
        return recreated(next, wanted, other_id, seen, policy);
    }
    let numbering = Numbering {
        topic_id: if seen.topic_id.is_empty() {
            before.topic_id
        } else {
            seen.topic_id.clone()
        },
        base: before.base,
    };
    if seen.low <= wanted {
        return Decision::Read {
            numbering,
            next,
            gap: None,
        };
    }
    let reason = format!(
        "records with offsets {wanted} to {} expired before they were read",
        seen.low - 1
    );
    match policy.on_offset_gap {
        OnLoss::Stop => Decision::Stop(format!(
            "{reason}; it is read no further. on_offset_gap = 'earliest' goes on with offset {} and notes the gap",
            seen.low
        )),
        OnLoss::Earliest => {
            let to = seen.low + numbering.base;
            Decision::Read {
                numbering,
                next: to,
                gap: Some(Missing {
                    from: next,
                    to,
                    reason,
                }),
            }
        }
    }
}

fn recreated(next: i64, wanted: i64, other_id: bool, seen: &Seen, policy: &Policy) -> Decision {
    let seen_as = if other_id {
        format!("it has another id than before ({})", seen.topic_id)
    } else {
        format!(
            "it ends at {}, before offset {wanted} up to which it was read",
            seen.high
        )
    };
    let reason =
        format!("the topic was recreated: {seen_as}; what was unread in the old one is gone");
    match policy.on_topic_recreated {
        OnLoss::Stop => Decision::Stop(format!(
            "{reason}; it is read no further. on_topic_recreated = 'earliest' reads the new topic from its start, numbered behind the old one"
        )),
        // One offset stands for the end of the old topic, so that the note about it has an offset of its own.
        OnLoss::Earliest => Decision::Read {
            numbering: Numbering {
                topic_id: seen.topic_id.clone(),
                base: next + 1,
            },
            next: next + 1 + seen.low,
            gap: Some(Missing {
                from: next,
                to: next + 1 + seen.low,
                reason,
            }),
        },
    }
}
