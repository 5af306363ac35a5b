//! Tidelake: live, exact views and a Delta lake from log topics.
//!
//! Modules in reading order: plain values, what is computed, how it is maintained, then the edges.

pub mod auth;
mod cli;
pub mod cluster;
pub mod coordinator;
pub mod detect;
pub mod engine;
pub mod eval;
#[doc(hidden)]
pub mod fuzz;
pub mod generator;
pub mod http;
pub mod lake;
pub mod learn;
pub mod memory;
pub mod model;
pub mod notify;
pub mod plan;
mod repeats;
pub mod report;
pub mod source;
pub mod sql;
pub mod supervise;
mod trace;
pub mod verify;
pub mod view;

pub use cli::command_line;
