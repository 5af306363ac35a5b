//! Tests across modules, as one binary: the layers of the source, every view and any expression against their oracle, the
//! embedded page, records that cannot be taken in, and the proof of a lake.

mod alarms;
mod clocks;
mod command_line;
mod dead_letters;
mod detectors;
mod epochs;
mod expressions;
mod generate;
mod groups;
mod grown_lakes;
mod growth;
mod health;
mod hostile;
mod identity;
mod keyed;

mod lakes;
mod layers;
mod models;
mod nexmark;
mod oracle;
mod page;
mod places;
mod program;
mod queries;
mod random_queries;
mod refused;
mod replay;
mod secrets;
mod shell;
mod tpch;
mod verify;
