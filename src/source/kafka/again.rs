//! A partition read once more, from one offset to another, on a client of its own: for whoever wants to compare.

use super::super::decode::RawRecords;
use super::super::{Error, SharedStatus};
use super::{CHUNK_BYTES, Context, Topic};
use crate::model::Partition;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset as Start, TopicPartitionList};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a broker may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What a topic still has of a partition, and whether it could be read.
#[derive(Debug)]
pub enum ReadAgain {
    /// All records from here on were handed over; older ones have expired.
    From(i64),
    /// The partition is gone or ends before what was read: the topic was deleted or made anew.
    Gone,
}

/// Reads records of a partition that were read before, on a client of its own.
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
    let context = Context {
        status: SharedStatus::default(),
        topic: topic.topic.clone(),
    };
    let consumer = topic.consumer(context)?;
    let (name, number) = (&topic.topic, partition.0);
    let (low, high) = match consumer.fetch_watermarks(name, number, SILENCE_MAX) {
        Ok(it) => it,
        Err(error)
            if matches!(
                error.rdkafka_error_code(),
                Some(
                    RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopicOrPartition
                )
            ) =>
        {
            return Ok(ReadAgain::Gone);
        }
        Err(error) => return Err(failed(error)),
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
    let mut records = none(partition);
    let mut heard = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.offset() < range.end => push(&mut records, &message),
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) if SILENCE_MAX < heard.elapsed() => return Err(failed(error)),
            None if SILENCE_MAX < heard.elapsed() => {
                return Err(Error::Silent {
                    name: topic.source.clone(),
                    partition: number,
                    seconds: SILENCE_MAX.as_secs(),
                });
            }
            Some(Err(_)) | None => continue,
        }
        heard = Instant::now();
        if CHUNK_BYTES <= records.data.len() {
            take(std::mem::replace(&mut records, none(partition)));
        }
    }
    if !records.ends.is_empty() {
        take(records);
    }
    Ok(ReadAgain::From(from))
}

fn none(partition: Partition) -> RawRecords {
    RawRecords {
        partition,
        data: Vec::with_capacity(CHUNK_BYTES),
        ends: Vec::new(),
        offsets: Vec::new(),
    }
}

fn push(records: &mut RawRecords, message: &BorrowedMessage<'_>) {
    let payload = message.payload().unwrap_or_default();
    records.data.extend_from_slice(payload);
    records.ends.push(records.data.len() as u32);
    records.offsets.push(message.offset());
}
