//! Tidelake: live, exact views and a Delta lake from log topics.
//!
//! Modules in reading order: plain values, what is computed, how it is maintained, then the edges.

pub mod model;
pub mod plan;
pub mod view;
pub mod engine;
pub mod generator;
pub mod source;
#[cfg(feature = "connectors")]
pub mod lake;
#[cfg(feature = "connectors")]
pub mod sql;
#[cfg(feature = "connectors")]
pub mod coordinator;
#[cfg(feature = "connectors")]
pub mod http;
