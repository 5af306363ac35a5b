//! The commands: what a person types becomes calls of the other modules.

mod client;
mod command;
mod generate;
mod query_limits;
mod replay;
mod serve;
mod settings;
mod sql;
mod up;
mod verify;

pub use command::command_line;
