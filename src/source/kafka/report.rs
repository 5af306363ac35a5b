//! The offset report: how far the lake's commits have come, told to a consumer group of the broker, for the tools that watch lag there.
//!
//! It is a report and never read back: where to go on is what the lake says. No group is joined, so a group that has members refuses it.

use super::client::Client;
use super::native::{Guard, error_of};
use rdkafka::bindings as c;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;

/// Reports on one client; the answer to one comes before the next is sent.
pub(super) struct Reports<'a> {
    client: &'a Client,
    topic: CString,
    answers: Guard<c::rd_kafka_queue_t>,
    reported: BTreeMap<i32, i64>,
    waiting: Option<BTreeMap<i32, i64>>,
}

impl<'a> Reports<'a> {
    /// Nothing if the topic has no name that the library takes.
    pub fn of(client: &'a Client, topic: &str) -> Option<Self> {
        let native = client.client().native_ptr();
        // SAFETY: `native` lives as long as `client`, which this borrows.
        let answers = unsafe { c::rd_kafka_queue_new(native) };
        Some(Reports {
            client,
            topic: CString::new(topic).ok()?,
            answers: Guard::new(answers, c::rd_kafka_queue_destroy)?,
            reported: BTreeMap::new(),
            waiting: None,
        })
    }

    /// Sends offsets in the topic's own numbering, if they are not what was reported last; does not wait for the answer.
    ///
    /// # Errors
    /// What the broker said of the report before.
    pub fn send(&mut self, offsets: BTreeMap<i32, i64>) -> Result<(), KafkaError> {
        self.hear()?;
        if self.waiting.is_some() || offsets.is_empty() || offsets == self.reported {
            return Ok(());
        }
        let native = self.client.client().native_ptr();
        // SAFETY: the library copies the list and the topic's name; each element it returns is one of the list, which lives to the end.
        let code = unsafe {
            let count = i32::try_from(offsets.len()).unwrap_or(i32::MAX);
            let made = c::rd_kafka_topic_partition_list_new(count);
            let Some(list) = Guard::new(made, c::rd_kafka_topic_partition_list_destroy) else {
                return Ok(());
            };
            for (partition, offset) in &offsets {
                let element = c::rd_kafka_topic_partition_list_add(
                    list.get(),
                    self.topic.as_ptr(),
                    *partition,
                );
                if let Some(element) = element.as_mut() {
                    element.offset = *offset;
                }
            }
            c::rd_kafka_commit_queue(
                native,
                list.get(),
                self.answers.get(),
                None,
                ptr::null_mut(),
            )
        };
        match code {
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                self.waiting = Some(offsets);
                Ok(())
            }
            code => Err(error_of(code)),
        }
    }

    fn hear(&mut self) -> Result<(), KafkaError> {
        // SAFETY: the event lives until its guard is dropped.
        let code = unsafe {
            let event = c::rd_kafka_queue_poll(self.answers.get(), 0);
            Guard::new(event, c::rd_kafka_event_destroy)
                .map(|event| c::rd_kafka_event_error(event.get()))
        };
        match code {
            None => Ok(()),
            Some(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR) => {
                self.reported = self.waiting.take().unwrap_or_default();
                Ok(())
            }
            Some(code) => {
                self.waiting = None;
                Err(error_of(code))
            }
        }
    }
}
