//! Tests across modules, as one binary: the layers of the source, every view against its oracle, and the embedded page.

mod layers;
mod oracle;
mod page;
