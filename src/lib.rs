//! Tidelake: live, exact views and a Delta lake from log topics.
//!
//! Modules in reading order: plain values, what is computed, how it is maintained, then the edges.

#[cfg(feature = "connectors")]
mod cli;
#[cfg(feature = "connectors")]
pub mod cluster;
#[cfg(feature = "connectors")]
pub mod coordinator;
pub mod engine;
pub mod generator;
#[cfg(feature = "connectors")]
pub mod http;
#[cfg(feature = "connectors")]
pub mod lake;
pub mod memory;
pub mod model;
pub mod plan;
mod repeats;
pub mod source;
#[cfg(feature = "connectors")]
pub mod sql;
pub mod supervise;
#[cfg(feature = "connectors")]
pub mod verify;
pub mod view;

#[cfg(feature = "connectors")]
pub use cli::command_line;
