//! Making a topic that does not exist.

use super::cause::Cause;
use super::token::{self, WithToken};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::Duration;

/// How long the broker may take.
const WITHIN: Duration = Duration::from_secs(10);
/// As many replicas as the broker makes by default.
const REPLICATION_DEFAULT: i32 = -1;

/// A topic that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("the broker refuses: {0}")]
    Refused(RDKafkaErrorCode),
    #[error("{0}")]
    NoToken(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Makes a topic; one that somebody else made meanwhile is fine. Blocks.
///
/// # Errors
/// If the broker does not answer or refuses.
pub fn create_topic(config: &ClientConfig, topic: &str, partitions: usize) -> Result<(), Error> {
    let cause = Cause::default();
    let admin: WithToken<AdminClient<DefaultClientContext>> =
        token::start(config, DefaultClientContext, &cause)?;
    let partitions = i32::try_from(partitions).map_err(std::io::Error::other)?;
    let replication = TopicReplication::Fixed(REPLICATION_DEFAULT);
    let wanted = NewTopic::new(topic, partitions, replication);
    let options = AdminOptions::new()
        .request_timeout(Some(WITHIN))
        .operation_timeout(Some(WITHIN));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let answers = runtime.block_on(admin.create_topics([&wanted], &options));
    let brokers = config.get("bootstrap.servers").unwrap_or_default();
    let answers = answers.map_err(|it| match cause.explain_token(brokers) {
        Some(reason) => Error::NoToken(reason),
        None => Error::Kafka(it),
    })?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(Error::Refused(code)),
        }
    }
    Ok(())
}
