//! Reading records that were read before, on a client of its own: for proofs.

use super::super::decode::RawRecords;
use super::super::{Error, SharedStatus};
use super::cause::Cause;
use super::client::connect;
use super::inbox::{Event, Inbox};
use super::{CHUNK_BYTES, CHUNK_RECORDS, Topic};
use crate::model::Partition;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a batch may take to fill.
const BATCH_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a broker may be silent meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What a topic still has of a partition, and whether it could be read.
#[derive(Debug)]
pub enum ReadAgain {
    /// All records from here on were handed over; older ones have expired.
    From(i64),
    /// The partition is gone or ends before what was read: the topic was deleted or made anew.
    Gone,
}

/// Reads a range of offsets of a partition once more and hands it over in chunks.
///
/// # Errors
/// If the broker cannot be asked, or stops answering.
pub fn read_again(
    topic: &Topic,
    partition: Partition,
    range: Range<i64>,
    take: &mut dyn FnMut(RawRecords),
) -> Result<ReadAgain, Error> {
    let failed = |source| Error::Client {
        name: topic.source.clone(),
        source,
    };
    let cause = Cause::default();
    let consumer = connect(
        topic,
        SharedStatus::default(),
        Arc::default(),
        cause.clone(),
    )?;
    let Some(mut inbox) = Inbox::of(&consumer) else {
        return Err(failed(KafkaError::ClientCreation(
            "it has no queues".to_owned(),
        )));
    };
    let (name, number) = (&topic.topic, partition.0);
    let unknown = |it: &KafkaError| {
        matches!(
            it.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopicOrPartition)
        )
    };
    let (low, high) = match consumer.fetch_watermarks(name, number, SILENCE_MAX) {
        Ok(it) => it,
        Err(error) if unknown(&error) => return Ok(ReadAgain::Gone),
        Err(error) => {
            // What the client has to say of its connections is heard here.
            inbox.take(Duration::ZERO);
            return Err(Error::Away {
                name: topic.source.clone(),
                reason: cause.explain(&topic.brokers, &error),
            });
        }
    };
    if high < range.end {
        return Ok(ReadAgain::Gone);
    }
    let from = range.start.max(low);
    if range.end <= from {
        return Ok(ReadAgain::From(from));
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(name, number, Start::Offset(from))
        .and_then(|()| consumer.assign(&list))
        .map_err(failed)?;
    let mut records = empty(partition);
    let mut heard = Instant::now();
    let mut trouble = None;
    'all: loop {
        for event in inbox.take(BATCH_TIMEOUT).events() {
            match event {
                Event::Record {
                    offset, payload, ..
                } if offset < range.end => {
                    payload.push_to(&mut records, offset, topic.has_key);
                    heard = Instant::now();
                }
                Event::Record { .. } | Event::End(_) => break 'all,
                Event::Failed(error) => trouble = Some(error),
            }
            if CHUNK_BYTES <= records.data.len() || CHUNK_RECORDS <= records.ends.len() {
                take(std::mem::replace(&mut records, empty(partition)));
            }
        }
        if SILENCE_MAX < heard.elapsed() {
            return Err(match trouble {
                Some(error) => failed(error),
                None => Error::Silent {
                    name: topic.source.clone(),
                    partition: number,
                    seconds: SILENCE_MAX.as_secs(),
                },
            });
        }
    }
    if !records.ends.is_empty() {
        take(records);
    }
    Ok(ReadAgain::From(from))
}

fn empty(partition: Partition) -> RawRecords {
    RawRecords {
        partition,
        data: Vec::with_capacity(CHUNK_BYTES / 4),
        ends: Vec::new(),
        offsets: Vec::new(),
        header: None,
    }
}
