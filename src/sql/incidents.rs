//! All incidents as one relation, with what people say of them.
//!
//! ```text
//! traffic_incidents ──┐
//! login_incidents  ───┴─ UNION ALL ──┐
//!                                    ├── LEFT JOIN ──► incidents
//! incident_actions (pushed by people)┘
//! ```
//!
//! A dataflow with a detector has three relations more: the source `incident_actions`, which clients push into, so that what people do is an
//! input like any other (in the commit, in the order of arrival, proved by `verify`); its table `incident_action_log`, which says who did what, and when;
//! and the view `incidents`. All three are written in the SQL that a user could write.

use crate::model::{Row, Value};
use crate::plan::{Dataflow, Plan, ViewSpec};
use arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::Ident;

/// What people do to incidents: the latest of each kind about an incident or a series counts.
pub const ACTIONS: &str = "incident_actions";
/// The log of all of it, in the lake.
pub const ACTION_LOG: &str = "incident_action_log";
/// All incidents.
pub const INCIDENTS: &str = "incidents";

/// The relation of a detector's incidents.
pub fn incidents_of(detector: &str) -> String {
    format!("{detector}_incidents")
}

/// A row of the view of all incidents, by the names of its columns.
pub struct IncidentRow<'a> {
    pub schema: &'a Schema,
    pub row: &'a Row,
}

impl IncidentRow<'_> {
    pub fn value(&self, name: &str) -> Value {
        match self.schema.index_of(name) {
            Ok(at) => self.row.0[at].clone(),
            Err(_) => Value::Null,
        }
    }

    pub fn optional_text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Value::Text(it) => Some(it.to_string()),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }
}

/// The source and its table; also what to keep in a dataflow that has no detector any more.
pub const SOURCE: &str = "CREATE SOURCE incident_actions (about TEXT NOT NULL, action TEXT NOT NULL, \"by\" TEXT, at TIMESTAMP, until TIMESTAMP, note TEXT, undone BOOLEAN, PRIMARY KEY (about, action)) WITH (connector = 'http', delete_when = 'undone') FORMAT JSON;";
pub const TABLE: &str = "CREATE TABLE incident_action_log AS SELECT * FROM incident_actions;";

/// Statements behind those of a dataflow; none if it has no detector.
pub fn statements(dataflow: &Dataflow) -> Option<String> {
    let incidents: Vec<&ViewSpec> = dataflow
        .views
        .iter()
        .filter(|it| matches!(it.plan, Plan::Incidents { .. }))
        .collect();
    if incidents.is_empty() {
        return None;
    }
    // A dataflow may state them itself.
    let mut statements = String::new();
    if dataflow.source(ACTIONS).is_none() {
        statements.push_str(SOURCE);
    }
    if dataflow.tables.iter().all(|it| it.name != ACTION_LOG) {
        statements.push_str(TABLE);
    }
    let all: Vec<String> = incidents.into_iter().map(of_detector).collect();
    statements.push_str(&format!(
        "CREATE MATERIALIZED VIEW {INCIDENTS} AS
         SELECT i.detector, i.\"key\", i.metric, i.incident, i.series, i.state, i.since, i.until, i.closed_at, i.windows, i.severity,
                i.peak_start, i.observed, i.expected, i.low, i.high, i.summary,
                a.\"by\" AS acknowledged_by, a.at AS acknowledged_at, a.note AS acknowledged_note,
                m.\"by\" AS muted_by, m.until AS muted_until, m.note AS muted_note,
                d.\"by\" AS dismissed_by, d.at AS dismissed_at, d.note AS dismissed_note
         FROM ({}) AS i
         LEFT JOIN (SELECT about, \"by\", at, note FROM {ACTIONS} WHERE action = 'acknowledge') AS a ON a.about = i.incident
         LEFT JOIN (SELECT about, \"by\", until, note FROM {ACTIONS} WHERE action = 'mute') AS m ON m.about = i.series
         LEFT JOIN (SELECT about, \"by\", at, note FROM {ACTIONS} WHERE action = 'dismiss') AS d ON d.about = i.incident;",
        all.join(" UNION ALL ")
    ));
    Some(statements)
}

/// The incidents of a detector, in the columns that all have. Times go through COALESCE: a row stays open to what people do long after its window was closed.
fn of_detector(view: &ViewSpec) -> String {
    let Plan::Incidents {
        incidents, schema, ..
    } = &view.plan
    else {
        unreachable!("only these are asked for");
    };
    let detector = view.plan.relations().into_iter().next().unwrap_or_default();
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let key: Vec<String> = schema
        .fields()
        .iter()
        .take(incidents.keys)
        .map(|it| {
            let column = Ident::with_quote('"', it.name());
            format!("{}, {column}", literal(it.name()))
        })
        .collect();
    let key = match key.is_empty() {
        true => "'{}'".to_owned(),
        false => format!("CAST(json_object({}) AS TEXT)", key.join(", ")),
    };
    let name = literal(&detector);
    let view = Ident::with_quote('"', &view.name);
    format!(
        "SELECT {name} AS detector, {key} AS \"key\", metric, incident,
                {name} || '/' || metric || '/' || {key} AS series,
                state, since, until, COALESCE(closed_at, NULL) AS closed_at, windows, severity, peak_start,
                observed, expected, low, high, summary FROM {view}"
    )
}
