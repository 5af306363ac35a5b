//! What a dataflow computes, as a tree the engine can render: no SQL text to parse, no I/O.
//!
//! Expressions are DataFusion's physical expressions, already bound to column numbers, so a
//! `Plan` needs neither a session nor a catalogue. Every node knows the schema it yields.
//! Two kinds of streams exist: *batches* of a source or table (append-only, columnar), and
//! *changes* of a view (rows with a sign); `Map`, `Aggregate` and `Union` take either.

mod carried;
mod definition;
mod described;
mod detection;
mod evaluate;
mod explain;
mod generated;
mod halves;
mod hops;
mod meaning;
mod notification;
mod page;
mod program;
mod properties;
mod repeated;
mod session;
mod sharing;
#[cfg(test)]
mod tests;
mod type_names;

pub use carried::{carried, carried_or_same, check as check_types, check_rows, sql_name};
pub use definition::{
    ColumnDefinition, DEFINITIONS_FORM, Definitions, SourceDefinition, TableDefinition,
    ViewDefinition, state_shape,
};
pub use described::Description;
pub use detection::{Detection, Grid, IncidentSpec, Judged, MetricSpec, NEW, Observed, Told};
pub use evaluate::{evaluate, nullable, typed, with_epochs};
pub use explain::{Line, lines, span, with_plain_literals};
pub use generated::{Generated, put_read_times};
pub use halves::in_halves;
pub use hops::{Hops, one_side};
pub use meaning::{Comment, Meaning, Role, Scale, Statistic, guessed};
pub use notification::{Webhook, WebhookFormat};
pub use page::{PageSettings, PanelSettings};
pub use program::{GroupRows, Program};
pub use properties::{Properties, properties};
pub use repeated::with_repeats_shared;
pub use session::Sessions;
pub use sharing::{Bound, Pass, passes};
pub use type_names::with_sql_types;

pub use crate::model::Order;
pub use crate::model::csv::Csv;

use crate::model::in_force::InForce;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of the columns the engine adds to every source.
pub const PARTITION_COLUMN: &str = "_partition";
pub const OFFSET_COLUMN: &str = "_offset";
/// The epoch a record was read in, milliseconds since 1970.
pub const EPOCH_COLUMN: &str = "_epoch";
/// Name of the column that sources with a primary key have beside the declared ones: whether a record removes the row of its key.
pub const DELETED_COLUMN: &str = "_deleted";
/// In archived rows: the watermark a record came after, null if it was on time. A window takes part in
/// such a record only if the window ends after that watermark.
pub const LATE_COLUMN: &str = "_late_watermark";
/// The relation of late records that were left out, per view and window.
pub const LATE_RELATION: &str = "_late";
/// The relation of records that could not be decoded.
pub const DEAD_LETTER_RELATION: &str = "_dead_letters";
/// Name of the function that yields the start of the tumbling window of a time: `tumble_start(time, size in µs)`.
pub const TUMBLE_START: &str = "tumble_start";
/// Name of the function that yields its end.
pub const TUMBLE_END: &str = "tumble_end";
/// Name of the function that yields a bound of a window that is one of several: `window_bound(time, step in µs, add in µs)` is the time without
/// what it is above a multiple of `step`, and `add` more.
pub const WINDOW_BOUND: &str = "window_bound";
/// Name of the window function that yields when the session of a time begins: `session_start(time, gap in µs) OVER (PARTITION BY …)`.
pub const SESSION_START: &str = "session_start";
/// Name of the window function that yields when it is over: a gap after its last time.
pub const SESSION_END: &str = "session_end";
/// Name of the function that holds of a record whose window, given its end, was open when it came; `true` behind that says that the window is the only
/// one of the record. It stands where a query reads a window's records, and becomes [`Plan::Admit`]; in a batch it holds of all, since the mark of late records has decided.
pub const ADMITTED: &str = "admitted";

/// Columns that one view may group by, and aggregates it may have.
pub const KEYS_MAX: usize = 64;
pub const AGGREGATES_MAX: usize = 256;

/// All statements of one dataflow, checked and in order of use.
#[derive(Clone, Debug, Default)]
pub struct Dataflow {
    /// Who is told of incidents.
    pub webhooks: Vec<Webhook>,
    /// Names its commits and tables in a lake. If its text states none, that of the lake's only dataflow takes this place at the start.
    pub name: String,
    /// Whether its text states the name.
    pub is_named: bool,
    pub sources: Vec<SourceSpec>,
    pub tables: Vec<TableSpec>,
    pub views: Vec<ViewSpec>,
    /// Plain views: name, the query as written. They exist for queries, nothing runs for them.
    pub aliases: Vec<(String, String)>,
    /// The same by name, as far as it is known without asking them.
    pub plain: BTreeMap<String, PlainView>,
    /// Columns of tables and views that are columns of what they read, unchanged: relation and column of both.
    pub passed_on: BTreeMap<(String, String), (String, String)>,
    /// Columns of tables and views that are JSON which their queries make: relation and column.
    pub made_json: BTreeSet<(String, String)>,
    /// The id of the model that each name of one was bound to, where no id is written.
    pub models: BTreeMap<String, String>,
    /// Models by which tables score records as they come.
    pub live_models: LiveModels,
    /// What stored rows and state of all of it mean.
    pub definitions: Definitions,
    /// A hash over everything that processes of one cluster must agree on.
    pub fingerprint: String,
    /// The line each statement starts at, by the name it defines.
    pub lines: BTreeMap<String, u64>,
    /// What the text says of relations and, where a name is given, of their columns.
    pub comments: BTreeMap<(String, Option<String>), Comment>,
    /// Relations that every dataflow has, or that come with a detector.
    pub built_in: BTreeSet<String>,
    /// How a page shows it.
    pub page: PageSettings,
}

/// What a plain view has.
#[derive(Clone, Debug)]
pub struct PlainView {
    pub schema: SchemaRef,
    /// What would keep its rows up to date, if the engine can: it tells what its columns mean.
    pub plan: Option<Plan>,
}

/// Models by which tables score records as they come, each with what is in force.
#[derive(Clone, Debug, Default)]
pub struct LiveModels {
    /// How many features each is given, by its name.
    pub features: BTreeMap<String, BTreeSet<usize>>,
    pub in_force: Arc<InForce>,
}

/// A declared source of records.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    pub name: String,
    pub columns: Vec<ColumnSpec>,
    /// Which column is the event time, and how far the watermark stays behind it.
    pub event_time: Option<EventTime>,
    /// By what a record replaces an earlier one, if it does.
    pub key: Option<PrimaryKey>,
    pub format: Format,
    /// `connector`, `brokers`, `topic`, … as written, with environment variables filled in.
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// In lower case, unless it is declared in quotes.
    pub name: String,
    /// As it is declared, which is the name of a record's member.
    pub written: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Whether it was declared as JSON: text that takes JSON of any shape.
    pub is_json: bool,
    /// What it is in a record that lacks it, as text; without it that is null.
    pub default: Option<String>,
    /// What computes it, if records do not have it themselves.
    pub generated: Option<Generated>,
}

/// The key of a source whose records are versions of rows: read as a relation, it has the latest row of each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    pub columns: Vec<usize>,
    /// The column whose greatest value is the latest; without it that is the record taken in last.
    pub version: Option<usize>,
    /// A condition over the columns, as SQL: a record for which it holds removes the row of its key.
    pub delete_when: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub struct EventTime {
    pub column: usize,
    pub delay_us: i64,
    /// How far a record may be ahead of the wall clock, or of what its partition otherwise shows, to move event time.
    pub lead_us: i64,
    pub on_ahead: OnAhead,
}

/// What becomes of a record that is further ahead of the wall clock than its source allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAhead {
    /// It is archived, and waits in its windows.
    Hold,
    /// It is a dead letter.
    DeadLetter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    AccessLog,
    Csv(Csv),
    /// Rows of Parquet files.
    Parquet,
    /// Envelopes of Debezium in JSON.
    Debezium,
    /// Rows of a Delta table.
    Delta,
}

/// An append-only table of the lake: every record of one source, through expressions.
#[derive(Clone, Debug)]
pub struct TableSpec {
    pub name: String,
    pub source: String,
    pub plan: Plan,
    /// What each column is computed by, and which records are kept, in canonical form.
    pub columns_sql: Vec<String>,
    pub selection: String,
    /// Columns that become folders.
    pub partition_by: Vec<String>,
    /// Which of its columns is the event time of the source, if it is kept.
    pub event_time: Option<usize>,
    /// For how long rows are kept; none for ever.
    pub retention: Option<Retention>,
}

impl TableSpec {
    /// Whether the values of a column follow from the event time alone, as an hour of the day does. The event time itself is no such column.
    pub fn follows_time(&self, column: usize) -> bool {
        let Some(time) = self.event_time else {
            return false;
        };
        let (of_time, of_column) = (self.plan.read_for(time), self.plan.read_for(column));
        column != time && of_time.len() == 1 && of_time == of_column
    }
}

/// How long a table keeps its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    pub keep_us: i64,
    /// The column that tells how old a row is.
    pub column: usize,
    /// Whether it is a date that rows lie in folders by, and no event time.
    pub is_date: bool,
}

/// A maintained query.
#[derive(Clone, Debug)]
pub struct ViewSpec {
    pub name: String,
    pub sql: String,
    /// The query in canonical form, with those of the plain views it reads.
    pub canonical: String,
    pub plan: Plan,
    pub kind: ViewKind,
    /// Closed rows stay live this long, in event time.
    pub retention_us: i64,
    /// The sources whose clocks decide when its windows close: the one furthest behind.
    pub clocks: BTreeSet<String>,
    /// The order in which readers expect its rows; empty if none.
    pub order: Vec<Order>,
    /// Whether the view's rows are also kept as a table of the lake.
    pub stored: bool,
    /// With `EMIT ON WINDOW CLOSE`: what tells the end of a row's window. Each row comes when the watermark has reached it, and stays.
    pub emitted: Option<RowEnd>,
}

/// How rows of a view end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewKind {
    /// Each row belongs to a window; `end` is told by a column plus a constant.
    Windowed { column: usize, add_us: i64 },
    /// Single records, each final when it comes, and without end.
    Records,
    /// Any row may change at any time.
    Open,
}

/// One node of a query and, through its inputs, the whole query.
#[derive(Clone, Debug)]
pub enum Plan {
    /// A source, table or view by name, with the columns wanted of it.
    Relation {
        name: String,
        columns: Vec<usize>,
        schema: SchemaRef,
    },
    /// Rows that are there before any record, and stay.
    Constant {
        rows: RecordBatch,
        schema: SchemaRef,
    },
    /// Rows for which the filter holds, through expressions.
    Map {
        input: Box<Plan>,
        filter: Option<Arc<dyn PhysicalExpr>>,
        columns: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
    },
    /// One row for each element of the lists in a row.
    Unnest {
        input: Box<Plan>,
        unnest: Arc<Unnest>,
        schema: SchemaRef,
    },
    /// One row per group that has records (or exactly one row, without keys).
    Aggregate {
        input: Box<Plan>,
        aggregation: Arc<Aggregation>,
        schema: SchemaRef,
    },
    /// The first `limit` rows after `skip`, by order; ties by the whole row.
    TopK {
        input: Box<Plan>,
        order: Vec<Order>,
        skip: usize,
        limit: usize,
        /// The input only ever adds rows: those that are not among the first need not be kept.
        append_only: bool,
    },
    /// All rows of all inputs.
    Union {
        inputs: Vec<Plan>,
        schema: SchemaRef,
    },
    /// Rows of two inputs, brought together by equal keys.
    Join {
        left: Box<Plan>,
        right: Box<Plan>,
        join: Arc<Join>,
        schema: SchemaRef,
    },
    /// Left rows, each with the one right row of its key whose time is nearest.
    AsOf {
        left: Box<Plan>,
        right: Box<Plan>,
        as_of: Arc<AsOf>,
        schema: SchemaRef,
    },
    /// What is computed from all rows of a group, anew for each group that has changed.
    PerGroup {
        input: Box<Plan>,
        group: Arc<PerGroup>,
        schema: SchemaRef,
    },
    /// Rows as long as `now()` is within the bounds that each of them tells.
    Temporal {
        input: Box<Plan>,
        temporal: Arc<Temporal>,
    },
    /// What is said of each window of each key of a view.
    Detect {
        input: Box<Plan>,
        detection: Arc<Detection>,
        schema: SchemaRef,
    },
    /// What anomalies of a detector are together.
    Incidents {
        input: Box<Plan>,
        incidents: Arc<IncidentSpec>,
        schema: SchemaRef,
    },
    /// Records that came before the watermark of their source passed the end of their window.
    Admit {
        input: Box<Plan>,
        window: Admitted,
        clocks: BTreeSet<String>,
    },
}

/// What becomes rows of its own, and what stands beside it in each of them.
#[derive(Clone, Debug)]
pub struct Unnest {
    pub columns: Vec<Arc<dyn PhysicalExpr>>,
    /// Which of them are lists.
    pub is_list: Vec<bool>,
}

/// The window that records are admitted to: it ends at their time without what it is above a multiple of `step_us`, and `end_us` more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The column of the event time.
    pub time: usize,
    pub step_us: i64,
    pub end_us: i64,
    /// Multiples of the step are counted from so long after the beginning of 1970.
    pub offset_us: i64,
    pub counts: CountsLate,
}

/// How records that are not admitted are told in the relation of late records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountsLate {
    /// By their window, which is so long.
    ByWindow { size_us: i64 },
    /// Without a window: of sessions and interval joins they know none.
    Together,
    /// Not at all: a window above, which reads what this one lets through, counts its own.
    Not,
}

impl Admitted {
    /// Records that came on time: before the watermark had passed their own, as `late_marks` tells it. One that the watermark has just reached is on time.
    pub fn on_time(time: usize) -> Self {
        Admitted {
            time,
            step_us: 1,
            end_us: 1,
            offset_us: 0,
            counts: CountsLate::Together,
        }
    }

    /// When the window of a record of this time ends.
    pub fn end(&self, time_us: i64) -> i64 {
        let from_offset = time_us.saturating_sub(self.offset_us);
        let start = time_us.saturating_sub(from_offset.rem_euclid(self.step_us));
        start.saturating_add(self.end_us)
    }
}

/// A temporal filter: when rows are there.
#[derive(Clone, Debug)]
pub struct Temporal {
    /// A name for stored state: view name and number within it.
    pub id: String,
    /// All of them hold of a row that is there.
    pub bounds: Vec<TemporalBound>,
    /// Whether rows that are there are kept: to take them back when their time is up, or to have them again after a restart.
    pub keeps: bool,
    /// The sources whose clocks tell the time: of `now()` one, of the watermark the one furthest behind.
    pub clocks: BTreeSet<String>,
    pub time: Timescale,
}

/// Which time the bounds of rows are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timescale {
    /// What `now()` means.
    Now,
    /// The watermark: rows of windows come when these are closed, so none of them changes any more.
    Watermark,
}

/// What `now()` is compared with: a column of the input that has a time. A row without this time is never there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemporalBound {
    pub time: usize,
    pub kind: BoundKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKind {
    /// `time + add_us <= now()`
    From { add_us: i64 },
    /// `now() < time + add_us`
    Until { add_us: i64 },
    /// The sliding range `now() - size_us < time`, with `now()` in steps; what is further ahead of `now()` than [`EARLY_US`] waits.
    Last { size_us: i64, step_us: i64 },
}

impl BoundKind {
    /// Whether a row's time is up some time.
    pub fn ends(self) -> bool {
        match self {
            BoundKind::From { .. } => false,
            BoundKind::Until { .. } | BoundKind::Last { .. } => true,
        }
    }

    /// For a row of this time, the first microsecond at which it is there, and the first at which it is no more.
    pub fn span(self, time_us: i64) -> (i64, i64) {
        match self {
            BoundKind::From { add_us } => (time_us.saturating_add(add_us), i64::MAX),
            BoundKind::Until { add_us } => (i64::MIN, time_us.saturating_add(add_us)),
            BoundKind::Last { size_us, step_us } => {
                let up_us = time_us.saturating_add(size_us);
                let leaves_us = up_us.saturating_add((-up_us).rem_euclid(step_us));
                let reach_us = size_us.saturating_add(EARLY_US);
                (leaves_us.saturating_sub(reach_us), leaves_us)
            }
        }
    }
}

/// What is joined, and how.
#[derive(Clone, Debug)]
pub struct Join {
    /// A name for stored state: view name and number within it.
    pub id: String,
    pub kind: JoinKind,
    /// Pairs of columns, left and right, whose values are equal in rows that match.
    pub on: Vec<(usize, usize)>,
    /// Whether NULL equals NULL, as in INTERSECT and EXCEPT.
    pub nulls_match: bool,
    /// What else holds of rows that match, over the columns of the left and then of the right input.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// When rows are let go; they are kept for ever without.
    pub window: Option<JoinWindow>,
    /// The sources whose clocks close the windows: the one furthest behind.
    pub clocks: BTreeSet<String>,
}

/// How the right row of a left one is found: among those of its key the one whose time is nearest, of equal times the last one by the whole row.
#[derive(Clone, Debug)]
pub struct AsOf {
    /// A name for stored state: view name and number within it.
    pub id: String,
    /// Pairs of columns, left and right, whose values are equal in rows that match.
    pub keys: Vec<(usize, usize)>,
    /// The columns of the times, left and right.
    pub times: (usize, usize),
    /// Whether the time on the right is before that on the left, or behind it.
    pub is_before: bool,
    /// Whether it may be the same.
    pub takes_equal: bool,
    /// Whether left rows without a match are there, too, with NULL for the columns of the right.
    pub keeps_unmatched: bool,
}

/// When rows of a join are let go: when the watermark has passed what is their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindow {
    pub left: RowEnd,
    pub right: RowEnd,
    /// Whether it is the same window on both sides, of which one pair of the key are bounds. Otherwise rows bound each other's event time, and the end is
    /// the last time of a match.
    pub is_shared: bool,
}

/// What tells the end of a row: a column of its side, and what to add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowEnd {
    pub column: usize,
    pub add_us: i64,
}

/// Groups whose rows are kept, and what is computed from them.
#[derive(Clone, Debug)]
pub struct PerGroup {
    /// A name for stored state: view name and number within it.
    pub id: String,
    /// Columns of the input that make the group.
    pub keys: Vec<usize>,
    /// The columns of the output that are these.
    pub keys_out: Vec<usize>,
    /// From rows of whole groups to the rows that these have.
    pub program: Program,
    /// A unique key of the output, if one is known.
    pub key: Option<Vec<usize>>,
    /// If nothing but ranks of rows within their group are computed: how. The program is not run then.
    pub ranking: Option<Ranking>,
    /// Whether there is one group, also without rows.
    pub is_one: bool,
    /// What tells when rows are let go, if they are.
    pub window: Option<GroupWindow>,
    /// The sources whose clocks close the windows: the one furthest behind.
    pub clocks: BTreeSet<String>,
}

/// Rows of a group in an order, and numbers of their places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// By columns of the input; where they are equal, by all columns.
    pub order: Vec<Order>,
    pub ranks: Vec<Rank>,
    /// The column of the output that is the first rank.
    pub first: usize,
    pub limit: Option<RankLimit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    RowNumber,
    Rank,
    DenseRank,
}

/// The greatest rank that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankLimit {
    /// Which of the ranks.
    pub rank: usize,
    pub greatest: i64,
    /// Rows beyond it are dropped: of append-only input nobody will ever read them, and they change no rank before them.
    pub drops: bool,
}

impl Ranking {
    /// Whether a column of the output is one of the ranks.
    pub fn has_rank(&self, column: usize) -> bool {
        (self.first..self.first + self.ranks.len()).contains(&column)
    }

    /// The rank up to which rows are kept; all are if there is none.
    pub fn kept_up_to(&self) -> Option<RankLimit> {
        self.limit.filter(|it| it.drops)
    }
}

/// When rows of a group are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupWindow {
    /// All of them with the window of which a column of the group's key is a bound.
    OfKey {
        /// Column of the input, and of the output.
        input: usize,
        output: usize,
        /// What to add to it to have the window's end.
        add_us: i64,
    },
    /// Those of a session when it is closed. What is computed are bounds of sessions, over records that came on time.
    OfSession {
        /// The column of the event time, of the input and of the output.
        time: usize,
        gap_us: i64,
        /// The column of the output that is the end of the session, if there is one.
        end: Option<usize>,
    },
}

/// Which rows a join yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Each pair that matches, the columns of both.
    Inner,
    /// The same, and left rows without a match, with NULL for the columns of the right.
    Left,
    /// The same, and right rows without a match, with NULL for the columns of the left.
    Full,
    /// Left rows that have a match.
    Semi,
    /// Left rows that have none.
    Anti,
    /// Left rows, and whether they have a match, as one more column.
    Mark,
}

/// Grouping and aggregates over the columns of the node below.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// A name for metrics and stored state: view name and number within it.
    pub id: String,
    /// Columns of the input that make the group.
    pub keys: Vec<usize>,
    pub window: Window,
    /// If each record is in several windows of the group's kind.
    pub hops: Option<Hops>,
    /// For each key, what has to be added to it to have the end of the group's window, if it tells that.
    pub window_ends: Vec<Option<i64>>,
    /// The sources whose clocks close the windows: the one furthest behind.
    pub clocks: BTreeSet<String>,
    /// Whether rows of the input are never taken back one by one: the smallest and largest value can then be kept alone.
    pub append_only: bool,
    pub aggregates: Vec<Aggregate>,
}

impl Aggregation {
    /// The windows of a pane, if what a group has taken in crosses to its worker and is stored once for all of them. Distinct sets are not: each window
    /// has a set of its own, and these are shared out among the workers.
    pub fn panes(&self) -> Option<&Hops> {
        let is_set = |it: &Aggregate| matches!(it.function, Function::CountDistinct);
        let has_sets = self.aggregates.iter().any(is_set);
        self.hops.as_ref().filter(|_| !has_sets)
    }

    /// Where what it takes in is stored by pane: the name under which groups of single windows are stored. Those come from the archive, where each record's mark says which of
    /// its windows it was on time for, so that a pane is not one group.
    pub fn windows_id(&self) -> Option<String> {
        self.panes().map(|_| format!("{}-windows", self.id))
    }
}

/// A record is let into a sliding range when its time is no further ahead of `now()` than this: what came in the same epoch as the
/// newest record known, and clocks of producers that differ a little.
pub const EARLY_US: i64 = 1_000_000;

/// When a group's records leave again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Never.
    None,
    /// Group key `key` plus `add_us` is the end of the group's window, which is `size_us` long.
    Tumble {
        key: usize,
        add_us: i64,
        size_us: i64,
    },
    /// A record counts while its time (input column `time`) is within `size_us` of the view's clock, which counts in steps
    /// of `step_us`: records leave at the first end of a step at which their time is up.
    Last {
        time: usize,
        size_us: i64,
        step_us: i64,
    },
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub function: Function,
    /// Column of the input; `count(*)` has none.
    pub argument: Option<usize>,
    /// A boolean column of the input: `FILTER (WHERE …)`.
    pub filter: Option<usize>,
    /// Type of the argument, or of the result when there is none.
    pub argument_type: DataType,
    pub result_type: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    Variance {
        sample: bool,
    },
    Stddev {
        sample: bool,
    },
    /// From bins with a relative error of at most 1/256.
    Percentile(f64),
}

impl Aggregate {
    /// Whether its argument is a number without a fraction.
    pub fn is_of_integers(&self) -> bool {
        matches!(
            self.argument_type,
            DataType::Int32 | DataType::Int64 | DataType::Decimal128(..)
        )
    }
}

impl Plan {
    /// The columns this node yields.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Plan::Relation { schema, .. }
            | Plan::Constant { schema, .. }
            | Plan::Map { schema, .. }
            | Plan::Unnest { schema, .. }
            | Plan::Aggregate { schema, .. }
            | Plan::Union { schema, .. }
            | Plan::Join { schema, .. }
            | Plan::AsOf { schema, .. }
            | Plan::PerGroup { schema, .. }
            | Plan::Detect { schema, .. }
            | Plan::Incidents { schema, .. } => schema.clone(),
            Plan::TopK { input, .. } | Plan::Temporal { input, .. } | Plan::Admit { input, .. } => {
                input.schema()
            }
        }
    }

    /// Columns of the relation from which a column is computed, through expressions alone; empty if there are none, or if another operator is between.
    fn read_for(&self, column: usize) -> BTreeSet<usize> {
        match self {
            Plan::Relation { .. } => BTreeSet::from([column]),
            Plan::Map { input, columns, .. } => {
                let read = collect_columns(&columns[column]).into_iter();
                let parts: Vec<_> = read.map(|it| input.read_for(it.index())).collect();
                match parts.iter().any(BTreeSet::is_empty) {
                    true => BTreeSet::new(),
                    false => parts.into_iter().flatten().collect(),
                }
            }
            Plan::Admit { input, .. } => input.read_for(column),
            Plan::Constant { .. }
            | Plan::Unnest { .. }
            | Plan::Aggregate { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Join { .. }
            | Plan::AsOf { .. }
            | Plan::PerGroup { .. }
            | Plan::Temporal { .. }
            | Plan::Detect { .. }
            | Plan::Incidents { .. } => BTreeSet::new(),
        }
    }

    /// The nodes right below.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::Relation { .. } | Plan::Constant { .. } => Vec::new(),
            Plan::Map { input, .. }
            | Plan::Unnest { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::TopK { input, .. }
            | Plan::PerGroup { input, .. }
            | Plan::Temporal { input, .. }
            | Plan::Detect { input, .. }
            | Plan::Incidents { input, .. }
            | Plan::Admit { input, .. } => vec![input],
            Plan::Union { inputs, .. } => inputs.iter().collect(),
            Plan::Join { left, right, .. } | Plan::AsOf { left, right, .. } => vec![left, right],
        }
    }

    /// The name of its stored state. Nodes of one name are one: what a query computes twice is computed once.
    pub fn id(&self) -> Option<&str> {
        match self {
            Plan::Aggregate { aggregation, .. } => Some(&aggregation.id),
            Plan::Join { join, .. } => Some(&join.id),
            Plan::AsOf { as_of, .. } => Some(&as_of.id),
            Plan::PerGroup { group, .. } => Some(&group.id),
            Plan::Temporal { temporal, .. } => Some(&temporal.id),
            Plan::Detect { detection, .. } => Some(&detection.id),
            Plan::Incidents { incidents, .. } => Some(&incidents.id),
            Plan::Relation { .. }
            | Plan::Constant { .. }
            | Plan::Map { .. }
            | Plan::Unnest { .. }
            | Plan::TopK { .. }
            | Plan::Union { .. }
            | Plan::Admit { .. } => None,
        }
    }

    /// The same nodes, to be changed.
    fn inputs_mut(&mut self) -> Vec<&mut Plan> {
        match self {
            Plan::Relation { .. } | Plan::Constant { .. } => Vec::new(),
            Plan::Map { input, .. }
            | Plan::Unnest { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::TopK { input, .. }
            | Plan::PerGroup { input, .. }
            | Plan::Temporal { input, .. }
            | Plan::Detect { input, .. }
            | Plan::Incidents { input, .. }
            | Plan::Admit { input, .. } => vec![input],
            Plan::Union { inputs, .. } => inputs.iter_mut().collect(),
            Plan::Join { left, right, .. } | Plan::AsOf { left, right, .. } => vec![left, right],
        }
    }

    /// Calls `see` on this node and all below it.
    pub fn walk(&self, see: &mut impl FnMut(&Plan)) {
        see(self);
        for input in self.inputs() {
            input.walk(see);
        }
    }

    /// How many nodes it has, this one among them.
    pub fn size(&self) -> usize {
        let mut nodes = 0;
        self.walk(&mut |_| nodes += 1);
        nodes
    }

    /// Whether a row of its input may become several.
    pub fn has_unnest(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| found |= matches!(node, Plan::Unnest { .. }));
        found
    }

    /// Whether records that came too late are counted: by groups that close with their window, or where records are read one by one.
    pub fn counts_late(&self) -> bool {
        let mut found = self.has_closing_groups();
        self.walk(&mut |node| {
            let counts = |it: &Admitted| it.counts != CountsLate::Not;
            found |= matches!(node, Plan::Admit { window, .. } if counts(window));
        });
        found
    }

    /// Whether groups close with their window, and so decide themselves which records are late for them.
    pub fn has_closing_groups(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| {
            let closes = |it: &Aggregation| matches!(it.window, Window::Tumble { .. });
            found |= matches!(node, Plan::Aggregate { aggregation, .. } if closes(aggregation));
        });
        found
    }

    /// Whether rows come and go by `now()`.
    pub fn has_temporal(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| found |= matches!(node, Plan::Temporal { .. }));
        found
    }

    /// Names of the relations it reads.
    pub fn relations(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.walk(&mut |node| {
            if let Plan::Relation { name, .. } = node {
                names.push(name.clone());
            }
        });
        names
    }
}

impl PrimaryKey {
    /// The columns that every record has, also one that removes its row.
    pub fn tells_row(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().copied().chain(self.version)
    }
}

impl SourceSpec {
    /// One option as written, if it was.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a record may lack this column: of a row that is removed only key and version are known.
    pub fn may_lack(&self, column: usize) -> bool {
        let is_unknown = |it: &PrimaryKey| !it.tells_row().any(|it| it == column);
        self.columns[column].nullable || self.key.as_ref().is_some_and(is_unknown)
    }

    /// Declared columns and those the engine adds.
    pub fn schema(&self) -> SchemaRef {
        let declared = self.columns.iter().enumerate();
        let declared =
            declared.map(|(at, it)| Field::new(&it.name, it.data_type.clone(), self.may_lack(at)));
        let added = [
            Field::new(PARTITION_COLUMN, DataType::Int32, false),
            Field::new(OFFSET_COLUMN, DataType::Int64, false),
            Field::new(EPOCH_COLUMN, DataType::Int64, false),
        ];
        Arc::new(Schema::new(declared.chain(added).collect::<Vec<_>>()))
    }
}

impl TableSpec {
    /// Whether it keeps every record of its source.
    pub fn keeps_all(&self) -> bool {
        let mut all = !self.source.is_empty();
        self.plan.walk(&mut |node| {
            all &= !matches!(
                node,
                Plan::Map {
                    filter: Some(_),
                    ..
                }
            )
        });
        all
    }

    /// Its columns as they are stored: late rows carry the watermark they came after.
    pub fn stored_schema(&self) -> SchemaRef {
        match self.event_time {
            Some(_) => marked(&self.plan.schema()),
            None => self.plan.schema(),
        }
    }
}

/// A schema with the mark of late rows behind its columns.
pub fn marked(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|it| it.as_ref().clone())
        .collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.push(Field::new(LATE_COLUMN, time, true));
    Arc::new(Schema::new(fields))
}

impl Dataflow {
    /// The name of each source, its options, and whether its records are versions of rows.
    pub fn source_options(
        &self,
    ) -> impl Iterator<Item = (&str, &[(String, String)], bool)> + Clone {
        let sources = self.sources.iter();
        sources.map(|it| (it.name.as_str(), it.options.as_slice(), it.key.is_some()))
    }

    pub fn source(&self, name: &str) -> Option<&SourceSpec> {
        self.sources.iter().find(|it| it.name == name)
    }

    /// The relation and the column that a column is in the end, through queries that pass it on.
    pub fn origin(&self, relation: &str, column: &str) -> (String, String) {
        let mut place = (relation.to_owned(), column.to_owned());
        while let Some(origin) = self.passed_on.get(&place) {
            place = origin.clone();
        }
        place
    }

    /// Whether a column of a relation is JSON: declared so, or made by a query, also where other queries pass it on.
    pub fn is_json(&self, relation: &str, column: &str) -> bool {
        let place = self.origin(relation, column);
        if self.made_json.contains(&place) {
            return true;
        }
        let (relation, column) = place;
        let columns = self
            .source(&relation)
            .into_iter()
            .flat_map(|it| &it.columns);
        columns
            .into_iter()
            .any(|it| it.is_json && it.name == column)
    }

    /// All such columns, by relation.
    pub fn json_columns(&self) -> BTreeMap<String, BTreeSet<String>> {
        let of_sources = self.sources.iter().flat_map(|source| {
            let columns = source.columns.iter().filter(|it| it.is_json);
            columns.map(|it| (source.name.clone(), it.name.clone()))
        });
        let passed_on = self
            .passed_on
            .keys()
            .filter(|it| self.is_json(&it.0, &it.1));
        let all = of_sources.chain(passed_on.chain(&self.made_json).cloned());
        let mut by_relation: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (relation, column) in all {
            by_relation.entry(relation).or_default().insert(column);
        }
        by_relation
    }

    /// Views whose late records the relation `_late` has: all before the first one that reads it.
    pub fn views_with_late(&self) -> &[ViewSpec] {
        let reads_late = |it: &ViewSpec| it.plan.relations().iter().any(|it| it == LATE_RELATION);
        let first = self.views.iter().position(reads_late);
        &self.views[..first.unwrap_or(self.views.len())]
    }

    /// Whether a source, table or view has this name.
    pub fn has_relation(&self, name: &str) -> bool {
        self.source(name).is_some()
            || self.tables.iter().any(|it| it.name == name)
            || self.view(name).is_some()
            || self.aliases.iter().any(|it| it.0 == name)
    }

    pub fn view(&self, name: &str) -> Option<&ViewSpec> {
        self.views.iter().find(|it| it.name == name)
    }
}

/// Late records that a view left out: view, start of the window if there is one that they were late for, how many, in which epoch.
pub fn late_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("view", DataType::Utf8, false),
        Field::new(
            "window_start",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("records", DataType::Int64, false),
        Field::new(EPOCH_COLUMN, DataType::Int64, false),
    ]))
}

/// Records that could not be decoded, as they came, and why.
pub fn dead_letter_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new(PARTITION_COLUMN, DataType::Int32, false),
        Field::new(OFFSET_COLUMN, DataType::Int64, false),
        Field::new("raw", DataType::Binary, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new(EPOCH_COLUMN, DataType::Int64, false),
        Field::new("date", DataType::Date32, false),
        Field::new("hour", DataType::Int32, false),
    ]))
}
