//! What a client has fetched, taken in batches through the C interface.
//!
//! The Rust wrapper hands out one event per message, which costs more than all else that is done with it. So messages come from
//! `rd_kafka_consume_batch_queue`, and what the client tells by itself (errors, logs, statistics) from its main queue:
//!
//! ```text
//! fetched messages, ends of partitions, consumer errors ──► consumer queue ──► batches
//! errors of connections, logs, statistics               ──► main queue     ──► the client's context, and `Event::Failed`
//! ```
//!
//! The wrapper forwards the second queue into the first, where a batch would swallow those events; that is undone here as long as an inbox
//! lives. What the client said is heard before the messages of a batch are handed out: that a topic was replaced is said in the log before
//! its first message comes.
//!
//! Invariants of the unsafe code: an inbox borrows its client, so both queues live as long as it does; every message that was handed out
//! by the library is destroyed exactly once, by `Messages`, also if someone unwinds; payloads are lent out only until then.

use super::super::decode::RawRecords;
use super::client::Client;
use super::native::{Guard, error_of};
use rdkafka::bindings as c;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// Messages of one batch.
const BATCH_MESSAGES: usize = 4096;

/// What was fetched.
pub(super) enum Event<'a> {
    Record {
        partition: i32,
        offset: i64,
        /// When its producer says it was made, or its broker took it in; none if the topic does not tell.
        time_ms: Option<u64>,
        payload: Payload<'a>,
    },
    /// A partition has been read to its end.
    End(i32),
    Failed(KafkaError),
}

/// What a message says.
pub(super) enum Payload<'a> {
    Value(&'a [u8]),
    /// It has no value, only this key.
    Tombstone(&'a [u8]),
}

impl Payload<'_> {
    /// Adds the message to records. Where records are no versions of rows, one without a value is an empty one.
    pub fn push_to(&self, records: &mut RawRecords, offset: i64, has_key: bool) {
        match self {
            Payload::Value(raw) => records.push(offset, raw),
            Payload::Tombstone(key) if has_key => records.push_tombstone(offset, key),
            Payload::Tombstone(_) => records.push(offset, &[]),
        }
    }
}

pub(super) struct Inbox<'a> {
    client: &'a Client,
    fetched: Guard<c::rd_kafka_queue_t>,
    told: Guard<c::rd_kafka_queue_t>,
    slots: Vec<*mut c::rd_kafka_message_t>,
}

/// A batch, and what the client said before it.
pub(super) struct Batch<'a> {
    messages: Messages<'a>,
    failed: Vec<KafkaError>,
}

/// Messages of the library that are destroyed with this.
struct Messages<'a>(&'a mut Vec<*mut c::rd_kafka_message_t>);

impl<'a> Inbox<'a> {
    /// The inbox of a client. Nothing else may poll it meanwhile; nothing if it is no consumer.
    pub fn of(client: &'a Client) -> Option<Self> {
        let native = client.client().native_ptr();
        // SAFETY: `native` lives as long as `client`, which this borrows; the queues are counted references.
        unsafe {
            let fetched = Guard::new(
                c::rd_kafka_queue_get_consumer(native),
                c::rd_kafka_queue_destroy,
            )?;
            let told = Guard::new(
                c::rd_kafka_queue_get_main(native),
                c::rd_kafka_queue_destroy,
            )?;
            c::rd_kafka_queue_forward(told.get(), ptr::null_mut());
            Some(Inbox {
                client,
                fetched,
                told,
                slots: Vec::with_capacity(BATCH_MESSAGES),
            })
        }
    }

    /// Waits until a batch is full or some time is over, then hears what the client has to say.
    pub fn take(&mut self, timeout: Duration) -> Batch<'_> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        debug_assert!(self.slots.is_empty(), "the batch before has been destroyed");
        let mut failed = Vec::new();
        // SAFETY: the vector has room for as many pointers as are asked for, and so many of them as are returned were written.
        unsafe {
            let count = c::rd_kafka_consume_batch_queue(
                self.fetched.get(),
                timeout_ms,
                self.slots.as_mut_ptr(),
                self.slots.capacity(),
            );
            match usize::try_from(count) {
                Ok(count) => self.slots.set_len(count),
                Err(_) => failed.push(error_of(c::rd_kafka_last_error())),
            }
        }
        hear(self.client, &self.told, &mut failed);
        Batch {
            messages: Messages(&mut self.slots),
            failed,
        }
    }
}

impl Batch<'_> {
    /// Whether nothing was fetched.
    pub fn is_empty(&self) -> bool {
        self.messages.0.is_empty()
    }

    /// Everything in it: first what went wrong, then messages in the order in which they came.
    pub fn events(&mut self) -> impl Iterator<Item = Event<'_>> {
        let messages = self.messages.0.iter().map(|message| {
            // SAFETY: the message was handed out by the library and lives until `Messages` is dropped, which this borrows.
            let message = unsafe { &**message };
            match message.err {
                c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Event::Record {
                    partition: message.partition,
                    offset: message.offset,
                    time_ms: time_ms(message),
                    // SAFETY: payload and key that are not null have so many bytes, as long as their message lives.
                    payload: match unsafe { bytes(message.payload, message.len) } {
                        Some(value) => Payload::Value(value),
                        None => {
                            let key = unsafe { bytes(message.key, message.key_len) };
                            Payload::Tombstone(key.unwrap_or_default())
                        }
                    },
                },
                c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                    Event::End(message.partition)
                }
                code => Event::Failed(error_of(code)),
            }
        });
        self.failed.drain(..).map(Event::Failed).chain(messages)
    }
}

impl Drop for Inbox<'_> {
    /// Leaves the client as the wrapper made it. With events of its own in a queue that nobody serves, the library now and then waits for
    /// its broker threads for ever when it is closed. What it still has to say has no listener any more, and it would print that.
    fn drop(&mut self) {
        let native = self.client.client().native_ptr();
        // SAFETY: client and queues are alive.
        unsafe {
            c::rd_kafka_queue_forward(self.told.get(), self.fetched.get());
            c::rd_kafka_set_log_level(native, RDKafkaLogLevel::Emerg as i32);
        }
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        for message in self.0.drain(..) {
            // SAFETY: handed out by the library once, and taken off the list here, so destroyed once.
            unsafe { c::rd_kafka_message_destroy(message) };
        }
    }
}

/// Serves what the client tells by itself.
fn hear(client: &Client, queue: &Guard<c::rd_kafka_queue_t>, failed: &mut Vec<KafkaError>) {
    let context = client.context();
    // SAFETY: an event and the texts in it live until its guard is dropped, at the end of each turn.
    unsafe {
        while let Some(event) = Guard::new(
            c::rd_kafka_queue_poll(queue.get(), 0),
            c::rd_kafka_event_destroy,
        ) {
            match c::rd_kafka_event_type(event.get()) {
                c::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut text) = (ptr::null(), ptr::null());
                    let mut level = 0;
                    if c::rd_kafka_event_log(event.get(), &mut facility, &mut text, &mut level) == 0
                    {
                        let level = match level {
                            0 => RDKafkaLogLevel::Emerg,
                            1 => RDKafkaLogLevel::Alert,
                            2 => RDKafkaLogLevel::Critical,
                            3 => RDKafkaLogLevel::Error,
                            4 => RDKafkaLogLevel::Warning,
                            5 => RDKafkaLogLevel::Notice,
                            6 => RDKafkaLogLevel::Info,
                            _ => RDKafkaLogLevel::Debug,
                        };
                        context.log(level, text_of(facility).trim(), text_of(text).trim());
                    }
                }
                c::RD_KAFKA_EVENT_STATS => {
                    let json = c::rd_kafka_event_stats(event.get());
                    if !json.is_null() {
                        context.stats_raw(CStr::from_ptr(json).to_bytes());
                    }
                }
                c::RD_KAFKA_EVENT_ERROR => {
                    let error = error_of(c::rd_kafka_event_error(event.get()));
                    let reason = text_of(c::rd_kafka_event_error_string(event.get()));
                    context.error(error.clone(), reason.trim());
                    failed.push(error);
                }
                // Tokens are handed over by a thread of their own.
                c::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => {}
                other => tracing::debug!(event = other, "an event of the Kafka client is ignored"),
            }
        }
    }
}

/// When a message was made, or taken in by its broker, in milliseconds since 1970.
fn time_ms(message: &c::rd_kafka_message_t) -> Option<u64> {
    // SAFETY: the message was handed out by the library and lives; a null is where it need not say of which kind the time is.
    let time_ms = unsafe { c::rd_kafka_message_timestamp(message, ptr::null_mut()) };
    u64::try_from(time_ms).ok().filter(|it| 0 < *it)
}

/// Bytes of a message; none if it has no such part.
///
/// # Safety
/// Unless it is null, `start` must have `length` bytes for as long as they are lent.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    let start = NonNull::new(start.cast_mut().cast::<u8>())?;
    // SAFETY: as the caller promises.
    Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), length) })
}

/// A text of the library; empty if there is none.
///
/// # Safety
/// It must end with a zero byte and live until this returns.
unsafe fn text_of(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: as the caller promises.
        false => unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    }
}
