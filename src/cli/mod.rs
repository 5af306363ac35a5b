//! The commands: what a person types becomes calls of the other modules.

mod addresses;
mod client;
mod command;
mod demo;
mod exit;
mod generate;
mod log;
mod origin;
mod query_limits;
mod ranges;
mod replay;
mod serve;
mod settings;
mod sql;
mod up;
mod verify;

pub use command::command_line;
