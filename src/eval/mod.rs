//! How good a detector is: on labelled series, and on real rates with injected faults.
//!
//! A detector sees a series once, in the order of time, and a score is made of what came before. Thresholds are not chosen: they follow from how many
//! false alerts a day are allowed, counted by incident, and recall is told there (`budget`). Areas under curves stand beside that (`curves`).
//!
//! Nothing here reads a file, a clock, or chance that no seed decides.

pub mod baselines;
pub mod budget;
mod columns;
pub mod curves;
pub mod faults;
pub mod labelled;
pub mod logs;
pub mod named;
pub mod rates;
pub mod series;
pub mod synthetic;
mod times;
