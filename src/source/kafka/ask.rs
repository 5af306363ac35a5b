//! Asking once whether a topic can be read.

use super::super::SharedStatus;
use super::cause::Cause;
use super::client::connect;
use super::inbox::Inbox;
use super::{Topic, is_missing, partitions_of};
use std::sync::Arc;
use std::time::Duration;

/// An issuer of tokens that says nothing for so long is told as a broker that does.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);
/// What the client has to say of its connections comes within this time.
const HEARD_WITHIN: Duration = Duration::from_millis(500);

/// How many partitions a topic has; nothing if there is no such topic. Blocks for some seconds if nobody answers.
///
/// # Errors
/// Why it cannot be told: nobody answers, or the answer is a refusal.
pub fn ask(topic: &Topic) -> Result<Option<usize>, String> {
    let cause = Cause::default();
    let status = SharedStatus::default();
    let consumer =
        connect(topic, status, Arc::default(), cause.clone()).map_err(|it| it.to_string())?;
    consumer.wait_for_token(TOKEN_WITHIN);
    if let Some(reason) = cause.explain_token(&topic.brokers) {
        return Err(reason);
    }
    // Before anything is asked: what the client says until then would come as records.
    let inbox = Inbox::of(&consumer);
    match partitions_of(&consumer, &topic.topic) {
        Ok(numbers) => Ok(Some(numbers.len())),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => {
            if let Some(mut inbox) = inbox {
                inbox.take(HEARD_WITHIN);
            }
            Err(cause.explain(&topic.brokers, &error))
        }
    }
}
