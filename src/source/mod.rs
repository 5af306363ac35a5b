//! Where records come from: files and Kafka, and how their bytes become columns.

pub mod decode;
