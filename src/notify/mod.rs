//! Tells receivers of incidents: what a webhook has to say is the difference between what it has said and what is committed.
//!
//! ```text
//! rows of `incidents` at the last commit ──┐
//!                                          ├── decide::next ──► messages ──► POST ──► told (stored in the lake)
//! what was told ───────────────────────────┘
//! ```
//!
//! A message is told again until its receiver takes it, also by the next process; it carries the same `Idempotency-Key` each time, so a receiver
//! that looks at it takes the message once. What is told is never ahead of a commit. Nothing waits for a receiver: what one cannot take now is decided anew
//! from what is committed then.

pub mod decide;
mod deliver;
mod messages;

pub use deliver::{Pipeline, Told, Webhooks};
