//! The id that Kafka gave a topic when it was created: the one thing that tells a topic from its successor of the same name.
//!
//! The client library knows it and its Rust wrapper does not pass it on, so this asks through the C interface. Every object made is destroyed by its guard, whatever is answered.

use super::native::Guard;
use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

/// The id of a topic; nothing if the broker is too old to have one, does not let us ask, or has no such topic.
pub fn of<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> Option<String> {
    let name = CString::new(topic).ok()?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let native = client.native_ptr();
    // SAFETY: `native` lives as long as `client`; the library copies names and options before `rd_kafka_DescribeTopics` returns;
    // the answer's parts are read while its event is alive.
    unsafe {
        let queue = Guard::new(c::rd_kafka_queue_new(native), c::rd_kafka_queue_destroy)?;
        let options = Guard::new(
            c::rd_kafka_AdminOptions_new(
                native,
                c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            c::rd_kafka_AdminOptions_destroy,
        )?;
        c::rd_kafka_AdminOptions_set_request_timeout(
            options.get(),
            timeout_ms,
            std::ptr::null_mut(),
            0,
        );
        let mut names = [name.as_ptr()];
        let topics = Guard::new(
            c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            c::rd_kafka_TopicCollection_destroy,
        )?;
        c::rd_kafka_DescribeTopics(native, topics.get(), options.get(), queue.get());
        let event = Guard::new(
            c::rd_kafka_queue_poll(queue.get(), timeout_ms),
            c::rd_kafka_event_destroy,
        )?;
        let result = NonNull::new(c::rd_kafka_event_DescribeTopics_result(event.get()).cast_mut())?;
        let mut count = 0;
        let described = c::rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &mut count);
        if described.is_null() || count == 0 {
            return None;
        }
        let id = c::rd_kafka_TopicDescription_topic_id(*described);
        if id.is_null() || c::rd_kafka_Uuid_most_significant_bits(id) == 0 {
            return None;
        }
        let text = c::rd_kafka_Uuid_base64str(id);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}
