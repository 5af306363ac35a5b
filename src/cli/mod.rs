//! The commands: what a person types becomes calls of the other modules.

mod access;
mod addresses;
mod check;
mod command;
mod config;
mod demo;
mod eval;
mod excerpt;
mod exit;
mod generate;
mod health;
mod help;
mod log;
mod model;
mod model_report;
mod origin;
mod print;
mod progress;
mod query_limits;
mod ranges;
mod replay;
mod serve;
mod server;
mod settings;
mod shell;
mod size;
mod sql;
mod table;
mod tail;
mod terminal;
mod token;
mod train;
mod up;
mod verify;

pub use command::command_line;
