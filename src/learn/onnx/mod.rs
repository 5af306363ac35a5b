//! Models from Python: ONNX files of scikit-learn and its relatives, turned into a graph of our own and scored here.
//!
//! ```text
//! bytes ─► proto: messages ─► import: what the wanted output needs (reading, forests, attributes)
//!                           ─► graph: checked steps over small tensors (operator: elementwise, shapes, tables, ensemble)
//! ```
//!
//! The graph is evaluated for one row at a time, in the types that ONNX states: float32 where the model says so. What it does is what ONNX says of each operator and, where
//! that is silent, what onnxruntime does. Only operators that such models consist of are known; any other is refused by its name.
//!
//! Absent on purpose: labels and texts. A score is a number, so what only leads to the name of a class is not imported.

mod attributes;
mod elementwise;
mod ensemble;
mod forests;
mod graph;
mod import;
mod operator;
mod proto;
mod reading;
mod shapes;
mod tables;
mod tensor;
#[cfg(test)]
mod tests;

pub use graph::Graph;
pub use import::{Imported, import};
