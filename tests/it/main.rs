//! Tests across modules, as one binary: the layers of the source, and the embedded page.

mod layers;
mod page;
