//! The `tidelake` command.
fn main() {}
