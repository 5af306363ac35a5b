//! Exit codes: what the shell and a supervisor learn from an end.
//!
//! ```text
//!   0  done, or stopped in order
//!   1  failed; another try may go better
//!   2  wrong usage: arguments, environment or settings
//!   3  wrong dataflow, or one that the lake does not fit
//!   4  another process holds the lake
//!   5  stopped without the last commit; nothing is lost
//!  65  the server refused the request or the query
//!  69  the server, or the Kafka broker of `gen`, could not be reached
//!  70  a part of the process failed and ended it (`supervise`)
//!  75  another process of the cluster is gone: start all again
//!  78  the configuration does not fit this machine: an address in use, a lake that cannot be opened as told
//! 130  cancelled with Ctrl+C
//! 141  nobody reads what it prints
//! ```
//!
//! After 2, 3, 4 and 78 another start would end the same way: `up` does not start again, and a supervisor need not
//! (systemd: `RestartPreventExitStatus=2 3 4 78`).

use crate::coordinator;
use std::fmt;

pub const USAGE: u8 = 2;
pub const DATAFLOW: u8 = 3;
pub const HELD: u8 = 4;
pub const UNCOMMITTED: u8 = 5;
pub const REFUSED: u8 = 65;
pub const UNREACHABLE: u8 = 69;
/// What the shell says of a program that was ended by Ctrl+C.
pub const CANCELLED: u8 = 128 + 2;
pub const PEER_GONE: u8 = 75;
pub const CONFIGURATION: u8 = 78;
/// What the shell says of a program that wrote into a pipe which nobody reads any more.
pub const PIPE_CLOSED: i32 = 128 + 13;

/// All of them in words, for those who write supervisors.
pub const MEANINGS: [(i32, &str); 13] = [
    (0, "Done, or stopped in order."),
    (1, "Failed; another try may go better."),
    (2, "Wrong usage: arguments, environment or settings."),
    (3, "Wrong dataflow, or one that the lake does not fit."),
    (4, "Another process holds the lake."),
    (5, "Stopped without the last commit; nothing is lost."),
    (65, "The server refused the request or the query."),
    (
        69,
        "The server, or the Kafka broker of gen, could not be reached.",
    ),
    (70, "A part of the process failed and ended it."),
    (
        75,
        "Another process of the cluster is gone: start all again.",
    ),
    (
        78,
        "The configuration does not fit this machine, such as an address in use. After this, 2, 3 and 4 another start would end the same way.",
    ),
    (130, "Cancelled with Ctrl+C."),
    (141, "Nobody reads what it prints."),
];

/// After these another start would end the same way.
pub const HOPELESS: [u8; 4] = [USAGE, DATAFLOW, HELD, CONFIGURATION];

/// An error whose exit code is known where it arises.
#[derive(Debug)]
pub struct Coded {
    pub code: u8,
    pub text: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Coded {}

/// An error with its exit code.
pub fn coded(code: u8, text: impl Into<String>) -> anyhow::Error {
    let text = text.into();
    Coded { code, text }.into()
}

/// The exit code of an error.
pub fn code(error: &anyhow::Error) -> u8 {
    if let Some(coded) = error.downcast_ref::<Coded>() {
        return coded.code;
    }
    if let Some(unclean) = error.downcast_ref::<super::up::Unclean>() {
        return unclean.code;
    }
    match error.downcast_ref::<crate::sql::Error>() {
        Some(crate::sql::Error::Model { source, .. }) => return of_lake(source),
        Some(_) => return DATAFLOW,
        None => {}
    }
    if let Some(error) = error.downcast_ref::<crate::verify::Error>() {
        return if error.is_usage() { USAGE } else { 1 };
    }
    error
        .downcast_ref::<coordinator::Error>()
        .map_or(1, of_pipeline)
}

fn of_pipeline(error: &coordinator::Error) -> u8 {
    use crate::cluster::Error as Cluster;
    use crate::source::Error as Source;
    use coordinator::Error;
    match error {
        Error::Refused { .. }
        | Error::Unfit { .. }
        | Error::Unnamed { .. }
        | Error::Source(Source::Option { .. }) => DATAFLOW,
        Error::Held { .. } => HELD,
        Error::Uncommitted { .. } => UNCOMMITTED,
        Error::Source(Source::Input { .. })
        | Error::Cluster(Cluster::Refused { .. } | Cluster::Hosts { .. }) => USAGE,
        Error::Lake(error) => of_lake(error),
        Error::State(_)
        | Error::Source(Source::Folder { .. } | Source::NoFolder { .. })
        | Error::Cluster(Cluster::Listen { .. }) => CONFIGURATION,
        Error::Ended { .. } | Error::Cluster(Cluster::Deadline { .. } | Cluster::Lost { .. }) => {
            PEER_GONE
        }
        Error::Source(Source::Client { .. } | Source::Away { .. } | Source::Silent { .. })
        | Error::Cluster(Cluster::Prepare(_))
        | Error::Replay(_)
        | Error::Refill(_)
        | Error::Engine(_)
        | Error::Staging(_) => 1,
    }
}

fn of_lake(error: &crate::lake::Error) -> u8 {
    use crate::lake::Error;
    match error {
        Error::Address { .. }
        | Error::Careless { .. }
        | Error::Damaged { .. }
        | Error::Table { .. }
        | Error::NoModel { .. }
        | Error::Newer { .. }
        | Error::Nothing { .. }
        | Error::Backup { .. } => CONFIGURATION,
        Error::Store { .. } | Error::Parquet { .. } | Error::Fenced { .. } => 1,
    }
}
