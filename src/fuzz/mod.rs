//! What takes bytes from outside, as functions of bytes: each states the law of one reader, and panics where it is broken.
//!
//! ```text
//! seeds (fuzz/seeds/NAME) ─► mutated (tests.rs: a bounded number of cases, with every test run) ─┐
//!                         └► libFuzzer (fuzz/: for as long as one likes) ────────────────────────┴► target: &[u8] ─► taken or refused
//! ```
//!
//! Every law includes: whatever the bytes are, it ends soon and does not panic. Where a reader's result can be printed, it also says that what was
//! taken is read again to the same.
//!
//! Public for the crate in `fuzz/` alone; nothing else uses it.

mod records;
mod stored;
#[cfg(test)]
mod tests;
mod texts;

/// One reader and its law.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its folder of seeds, its dictionary, and its program in `fuzz/` have this name.
    pub name: &'static str,
    /// Whether the bytes were taken for what they should be.
    pub run: fn(&[u8]) -> bool,
    /// How many mutated inputs a test run tries: as many as take some seconds.
    pub cases: u32,
}

/// All of them.
pub const TARGETS: [Target; 16] = [
    Target {
        name: "json",
        run: records::json,
        cases: 400,
    },
    Target {
        name: "keyed",
        run: records::keyed,
        cases: 400,
    },
    Target {
        name: "debezium",
        run: records::debezium,
        cases: 400,
    },
    Target {
        name: "csv",
        run: records::csv,
        cases: 400,
    },
    Target {
        name: "access_log",
        run: records::access_log,
        cases: 400,
    },
    Target {
        name: "parquet",
        run: records::parquet,
        cases: 500,
    },
    Target {
        name: "dataflow",
        run: texts::dataflow,
        cases: 30,
    },
    Target {
        name: "query",
        run: texts::query,
        cases: 500,
    },
    Target {
        name: "filter",
        run: texts::filter,
        cases: 2_000,
    },
    Target {
        name: "event_id",
        run: texts::event_id,
        cases: 5_000,
    },
    Target {
        name: "time_range",
        run: texts::time_range,
        cases: 5_000,
    },
    Target {
        name: "settings",
        run: texts::settings,
        cases: 1_000,
    },
    Target {
        name: "manifest",
        run: stored::manifest,
        cases: 1_000,
    },
    Target {
        name: "state",
        run: stored::state,
        cases: 2_000,
    },
    Target {
        name: "model",
        run: stored::model,
        cases: 500,
    },
    Target {
        name: "onnx",
        run: stored::onnx,
        cases: 2_000,
    },
];
