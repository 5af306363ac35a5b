//! The commands: what a person types becomes calls of the library.

pub mod client;
pub mod generate;
pub mod replay;
pub mod serve;
pub mod settings;
pub mod up;
pub mod verify;
