//! Reports: what a dataflow has stored in a range of time, as tables and charts that can be read, sent and recounted.
//!
//! ```text
//! Dataflow, or the tables of a lake ──► Subject ──► parts with SQL ──► Report ──► text, JSON, HTML
//!          what columns are                           rows of one commit
//! ```
//!
//! Which tables, keys, durations and failures there are follows from what columns mean ([`crate::plan::Meaning`]), so any dataflow
//! has reports. Every number is that of one query over stored tables at the versions of one commit, and the query stands beside it: run
//! at that commit it gives the same. Nothing is sampled, and nothing is estimated.

mod asked;
mod chart;
mod html;
mod numbers;
mod parts;
mod range;
mod subject;
#[cfg(test)]
mod tests;
mod text;

pub use asked::{Error, Reporter};
pub use html::html;
pub use range::{DEFAULT as DEFAULT_RANGE, TimeRange};
pub use subject::Subject;
pub use text::text;

use crate::plan::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The reports there are, with what is in them; the last one is all others together.
pub const REPORTS: [(&str, &str); 4] = [
    (
        "analytics",
        "How many records there are, what failed of them and how long they took, by key and over time",
    ),
    (
        "anomalies",
        "What the dataflow's rules and detectors found, by kind, by key and over time",
    ),
    (
        "models",
        "What scores say of records, by verdict, by class, by confidence and over time",
    ),
    ("all", "All of these"),
];

/// A report with its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub name: String,
    pub dataflow: String,
    /// The range of time as it was asked for.
    pub range: String,
    /// Where it begins, and where it ends; the end is not included. Null if there are no records.
    pub from: Option<String>,
    pub to: Option<String>,
    /// The zone of all times, and of hours and days.
    pub zone: String,
    pub made_at: String,
    pub commit: Commit,
    /// What a reader has to know of how it was made.
    pub notes: Vec<String>,
    pub parts: Vec<Part>,
}

/// The commit that all numbers are of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportCommit")]
pub struct Commit {
    pub number: u64,
    /// Everything up to and including this epoch is in.
    pub epoch: u64,
    pub as_of: String,
    /// The version of each table that was read.
    pub versions: BTreeMap<String, u64>,
}

/// What is told of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportPart")]
pub struct Part {
    /// `analytics`, `anomalies` or `models`.
    pub name: String,
    pub title: String,
    /// Why it has no sections, if it has none.
    pub missing: Option<String>,
    pub sections: Vec<Section>,
}

/// One table and its charts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportSection")]
pub struct Section {
    /// Stays the same between versions.
    pub id: String,
    pub title: String,
    pub shape: Shape,
    pub columns: Vec<Column>,
    /// By the names of the columns.
    pub rows: Vec<Map<String, Json>>,
    pub charts: Vec<Chart>,
    /// The query that its rows are the answer of.
    pub sql: String,
}

/// What the rows of a section are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportShape")]
pub enum Shape {
    /// One row of figures.
    Values,
    Table,
}

/// A column of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportColumn")]
pub struct Column {
    pub name: String,
    pub title: String,
    /// As that of a column of a table: `time`, `key`, `count`, `share`, …
    pub role: String,
    pub unit: Option<String>,
}

impl Column {
    fn new(name: impl Into<String>, title: impl Into<String>, role: Role) -> Self {
        Column {
            name: name.into(),
            title: title.into(),
            role: role.name().to_owned(),
            unit: None,
        }
    }

    fn with_unit(self, unit: Option<String>) -> Self {
        Column { unit, ..self }
    }

    fn is(&self, role: Role) -> bool {
        self.role == role.name()
    }

    fn is_figure(&self) -> bool {
        Role::ALL
            .iter()
            .any(|it| it.is_figure() && it.name() == self.role)
    }

    /// The title with the unit behind it, unless every value has it.
    fn heading(&self) -> String {
        let is_told = self.is(Role::Share) || self.is(Role::Bytes);
        match &self.unit {
            Some(unit) if !is_told => format!("{}, {unit}", self.title),
            _ => self.title.clone(),
        }
    }
}

/// How rows are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportChart")]
pub struct Chart {
    pub kind: ChartKind,
    pub title: String,
    /// The column with what is told apart, or with the time.
    pub x: String,
    /// The column with the figure.
    pub y: String,
    /// The column with a part of it.
    pub part: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportChartKind")]
pub enum ChartKind {
    /// One bar for each row, the longest first.
    Bars,
    /// One for each step of time.
    Steps,
    /// A line over time.
    Line,
}

/// Which of the reports is meant.
///
/// # Errors
/// Says which there are.
pub fn known(name: &str) -> Result<&'static str, String> {
    let found = REPORTS.iter().find(|it| it.0 == name);
    found.map(|it| it.0).ok_or_else(|| {
        let names: Vec<&str> = REPORTS.iter().map(|it| it.0).collect();
        format!(
            "there is no report {name:?}; there are: {}",
            names.join(", ")
        )
    })
}
