//! What a dataflow stores that can be reported on, told by what columns are.
//!
//! A subject is made from a dataflow that is planned, or, where only a lake is there, from the columns of its tables and what its newest
//! manifest says of them. The second knows less: units and roles that the text of the dataflow states are guessed from names then.

use super::{Part, TimeRange};
use crate::plan::{Dataflow, Definitions, Meaning, Plan, Role, Statistic, ViewKind, guessed};
use crate::sql::incidents::{ACTION_LOG, INCIDENTS};
use arrow::datatypes::{DataType, Field, SchemaRef};
use std::collections::BTreeMap;

/// Keys by which records are compared.
const KEYS_MAX: usize = 6;
/// The same where no view says which matter.
const KEYS_UNSAID_MAX: usize = 3;
/// Words of columns that tell a record that failed, and a score.
const FAILED: [&str; 12] = [
    "error",
    "errors",
    "failed",
    "failure",
    "failures",
    "fail",
    "rejected",
    "declined",
    "timeout",
    "exception",
    "refused",
    "aborted",
];
/// Of those that failed, the grave ones only.
const GRAVE: [&str; 6] = ["server", "critical", "fatal", "5xx", "internal", "crash"];
const SCORE: [&str; 3] = ["score", "probability", "likelihood"];
/// Words of views that list what rules found, and of the column that says which rule.
const LISTS: [&str; 9] = [
    "anomaly",
    "anomalies",
    "alert",
    "alerts",
    "violation",
    "violations",
    "breach",
    "breaches",
    "outliers",
];
const RULE: [&str; 6] = ["rule", "type", "kind", "reason", "check", "alert"];
/// Of the class that goes with a score.
const CLASS: [&str; 7] = [
    "type",
    "class",
    "kind",
    "label",
    "category",
    "reason",
    "prediction",
];
const LEVELS_FAILED: &str = "'ERROR', 'FATAL', 'CRITICAL', 'SEVERE', 'ALERT', 'EMERGENCY'";

/// What can be reported on.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    pub dataflow: String,
    /// What is counted, in words: `requests`.
    pub(super) noun: String,
    /// The tables of records that have event times, in the order of the dataflow.
    pub(super) records: Vec<Records>,
    /// Views that list what rules found.
    pub(super) rules: Vec<Rules>,
    /// Whether the lake has the view of all incidents of detectors.
    pub(super) has_incidents: bool,
    /// What a reader has to know of it.
    pub(super) notes: Vec<String>,
}

/// A column of a table, as far as a report wants to know it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub name: String,
    pub meaning: Meaning,
    pub data_type: DataType,
    /// What it is computed by, if that is known.
    pub sql: String,
}

impl Known {
    pub fn has_word(&self, all: &[&str]) -> bool {
        words(&self.name)
            .iter()
            .any(|it| all.contains(&it.as_str()))
    }

    pub fn is_number(&self) -> bool {
        self.data_type.is_numeric()
    }

    fn is_key(&self) -> bool {
        matches!(
            self.meaning.role,
            Role::Key | Role::Level | Role::Status | Role::Flag
        )
    }
}

/// A table of records.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub table: String,
    pub time: String,
    pub columns: Vec<Known>,
    /// Columns by which views and detectors tell records apart, and so does the report.
    pub keys: Vec<String>,
}

/// A view that lists what rules found, window by window.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub view: String,
    pub time: String,
    pub columns: Vec<Known>,
}

/// A stored relation before it is known what it is good for.
struct Relation {
    name: String,
    columns: Vec<Known>,
    /// The event time of records, or the start of the windows of a view.
    time: Option<usize>,
    is_records: bool,
    is_detectors: bool,
    /// What counts all records in a view.
    count: Option<String>,
}

impl Subject {
    /// What a dataflow stores.
    pub fn of_dataflow(dataflow: &Dataflow) -> Subject {
        let mut relations = Vec::new();
        let mut explained = Vec::new();
        for table in &dataflow.tables {
            let mut columns =
                columns_of(&table.plan.schema(), &dataflow.named_meanings(&table.name));
            for (column, sql) in columns.iter_mut().zip(&table.columns_sql) {
                column.sql.clone_from(sql);
            }
            relations.push(Relation {
                name: table.name.clone(),
                columns,
                time: table.event_time,
                is_records: true,
                is_detectors: dataflow.built_in.contains(&table.name),
                count: None,
            });
        }
        for view in dataflow.views.iter().filter(|it| it.stored) {
            let columns = columns_of(&view.plan.schema(), &dataflow.named_meanings(&view.name));
            let ends = view.properties(dataflow).window_ends;
            let start = ends.iter().position(|it| it.is_some_and(|it| 0 < it));
            let is_windowed = matches!(view.kind, ViewKind::Windowed { .. });
            if let Plan::Detect { detection, .. } = &view.plan {
                explained.extend(detection.explain_by.iter().cloned());
            }
            let of_detector = matches!(view.plan, Plan::Detect { .. } | Plan::Incidents { .. });
            relations.push(Relation {
                name: view.name.clone(),
                count: count_of(&columns),
                time: start.filter(|_| is_windowed),
                columns,
                is_records: false,
                is_detectors: of_detector || dataflow.built_in.contains(&view.name),
            });
        }
        Subject::of(&dataflow.name, relations, explained)
    }

    /// What a lake has of a dataflow, by the columns of its tables and what its manifest says.
    pub fn of_lake(
        name: &str,
        definitions: &Definitions,
        schemas: &BTreeMap<String, SchemaRef>,
    ) -> Subject {
        let nothing = BTreeMap::new();
        let mut relations = Vec::new();
        for (name, schema) in schemas {
            let mut columns = columns_of(schema, &nothing);
            let at = |column: &str| schema.index_of(column).ok();
            let relation = match (definitions.tables.get(name), definitions.views.get(name)) {
                (Some(table), _) => {
                    for column in &mut columns {
                        let mut all = table.columns.iter();
                        if let Some(it) = all.find(|it| it.name == column.name) {
                            column.sql.clone_from(&it.sql);
                        }
                    }
                    Relation {
                        name: name.clone(),
                        columns,
                        time: table.event_time.as_deref().and_then(at),
                        is_records: true,
                        is_detectors: name == ACTION_LOG,
                        count: None,
                    }
                }
                (None, Some(_)) => {
                    let detects = ["metric", "severity", "observed", "expected"];
                    let times = |it: &Known| it.meaning.role == Role::Time;
                    Relation {
                        name: name.clone(),
                        count: None,
                        time: columns.iter().position(times),
                        is_detectors: detects.iter().all(|it| at(it).is_some()),
                        columns,
                        is_records: false,
                    }
                }
                (None, None) => continue,
            };
            relations.push(relation);
        }
        let mut subject = Subject::of(name, relations, Vec::new());
        subject.notes.push(
            "What columns mean was guessed from their names and types: units and roles that the dataflow states are not in the lake."
                .to_owned(),
        );
        subject
    }

    fn of(dataflow: &str, relations: Vec<Relation>, explained: Vec<String>) -> Subject {
        let views = || relations.iter().filter(|it| !it.is_records);
        let own = || views().filter(|it| !it.is_detectors);
        let keys_of = |it: &Relation| it.columns.iter().filter(|it| it.is_key()).count();
        let counting = own().filter(|it| it.time.is_some() && it.count.is_some());
        let counted = counting.min_by_key(|it| keys_of(it));
        let noun = counted.and_then(|it| it.count.as_deref()).map(noun_of);
        // By which columns views tell records apart, in the order in which they are named.
        let grouped = own().flat_map(|it| it.columns.iter().filter(|it| it.is_key()));
        let wanted: Vec<String> = grouped.map(|it| it.name.clone()).chain(explained).collect();
        let records = relations
            .iter()
            .filter(|it| it.is_records && !it.is_detectors);
        let records = records.filter_map(|it| {
            Some(Records {
                table: it.name.clone(),
                time: it.columns.get(it.time?)?.name.clone(),
                keys: keys(&it.columns, &wanted),
                columns: it.columns.clone(),
            })
        });
        let listing = |it: &&Relation| {
            let words = words(&it.name);
            words.iter().any(|it| LISTS.contains(&it.as_str()))
        };
        let rules = own().filter(listing).filter_map(|it| {
            Some(Rules {
                view: it.name.clone(),
                time: it.columns.get(it.time?)?.name.clone(),
                columns: it.columns.clone(),
            })
        });
        Subject {
            dataflow: dataflow.to_owned(),
            noun: noun.unwrap_or_else(|| "records".to_owned()),
            records: records.collect(),
            rules: rules.collect(),
            has_incidents: views().any(|it| it.name == INCIDENTS && it.is_detectors),
            notes: Vec::new(),
        }
    }

    /// Only what lies in these tables: one that came later was not there in an earlier commit.
    pub(super) fn keep(&mut self, has: impl Fn(&str) -> bool) {
        self.records.retain(|it| has(&it.table));
        self.rules.retain(|it| has(&it.view));
        self.has_incidents &= has(INCIDENTS);
    }

    /// The parts of a report, without their rows.
    pub fn parts(&self, name: &str, range: &TimeRange) -> Vec<Part> {
        super::parts::parts(self, name, range)
    }

    /// The tables that reports read.
    pub fn tables(&self) -> Vec<&str> {
        let records = self.records.iter().map(|it| it.table.as_str());
        let rules = self.rules.iter().map(|it| it.view.as_str());
        let incidents = self.has_incidents.then_some(INCIDENTS);
        records.chain(rules).chain(incidents).collect()
    }
}

impl Records {
    fn find(&self, wanted: impl Fn(&&Known) -> bool) -> Option<&Known> {
        self.columns.iter().find(wanted)
    }

    pub fn column(&self, name: &str) -> Option<&Known> {
        self.find(|it| it.name == name)
    }

    /// The condition of records that failed: a flag that says so, else the outcome or the level.
    pub fn failed(&self) -> Option<String> {
        let flag = self.find(|it| {
            it.data_type == DataType::Boolean && it.has_word(&FAILED) && !it.has_word(&GRAVE)
        });
        if let Some(it) = flag {
            return Some(quoted(&it.name));
        }
        if let Some(it) = self.find(|it| it.meaning.role == Role::Status && it.is_number()) {
            return Some(format!("{} >= 400", quoted(&it.name)));
        }
        let level = self.find(|it| it.meaning.role == Role::Level && is_text(&it.data_type))?;
        let name = quoted(&level.name);
        Some(format!("upper({name}) IN ({LEVELS_FAILED})"))
    }

    pub fn duration(&self) -> Option<&Known> {
        self.find(|it| it.meaning.role == Role::Duration && it.is_number())
    }

    /// Amounts that add up.
    pub fn amounts(&self) -> impl Iterator<Item = &Known> {
        let adds_up =
            |it: &&Known| matches!(it.meaning.role, Role::Money | Role::Bytes) && it.is_number();
        self.columns.iter().filter(adds_up)
    }

    pub fn ids(&self) -> impl Iterator<Item = &Known> {
        let is_id = |it: &&Known| it.meaning.role == Role::Id;
        self.columns.iter().filter(is_id)
    }

    /// The number that says how unusual a record is, or how probable something: what a model computes, else what is called so.
    pub fn score(&self) -> Option<&Known> {
        let number = |it: &Known| it.is_number() && it.meaning.role.is_figure();
        self.find(|it| number(it) && it.sql.contains("score("))
            .or_else(|| self.find(|it| number(it) && it.has_word(&SCORE)))
    }

    /// Columns that speak of what the score speaks of, by a word they have in common with it.
    fn alike<'a>(&'a self, score: &'a Known) -> impl Iterator<Item = &'a Known> {
        let mut about = words(&score.name);
        about.retain(|it| !SCORE.contains(&it.as_str()));
        self.columns.iter().filter(move |it| {
            let own = words(&it.name);
            it.name != score.name && own.iter().any(|it| about.contains(it))
        })
    }

    /// The flag that says what became of a score.
    pub fn verdict<'a>(&'a self, score: &'a Known) -> Option<&'a Known> {
        self.alike(score)
            .find(|it| it.data_type == DataType::Boolean)
    }

    /// The class that goes with a score.
    pub fn class<'a>(&'a self, score: &'a Known) -> Option<&'a Known> {
        let fits = |it: &&Known| is_text(&it.data_type) && it.has_word(&CLASS);
        self.alike(score).find(fits)
    }

    pub fn confidence(&self) -> Option<&Known> {
        self.find(|it| is_text(&it.data_type) && it.has_word(&["confidence"]))
    }

    /// What made the score: which model, which version of it, or rules.
    pub fn made_by(&self) -> Vec<&Known> {
        let says = |it: &&Known| {
            let is_method = it.has_word(&["detection"]) && it.has_word(&["method"]);
            (is_text(&it.data_type) || it.is_number())
                && !it.has_word(&["confidence"])
                && (is_method || words(&it.name).first().is_some_and(|it| it == "model"))
        };
        self.columns.iter().filter(says).collect()
    }
}

impl Rules {
    /// The column that says which rule it was.
    pub fn rule(&self) -> Option<&Known> {
        let says = |it: &&Known| it.meaning.role == Role::Key && it.has_word(&RULE);
        self.columns.iter().find(says)
    }

    /// The first other one by which its rows are told apart.
    pub fn key(&self) -> Option<&Known> {
        let rule = self.rule().map(|it| &it.name);
        let is_key =
            |it: &&Known| matches!(it.meaning.role, Role::Key | Role::Id) && Some(&it.name) != rule;
        self.columns.iter().find(is_key)
    }

    /// What was measured.
    pub fn figures(&self) -> impl Iterator<Item = &Known> {
        let is_figure = |it: &&Known| it.meaning.role.is_figure() && it.is_number();
        self.columns.iter().filter(is_figure)
    }
}

fn columns_of(schema: &SchemaRef, meanings: &BTreeMap<String, Meaning>) -> Vec<Known> {
    let known = |field: &std::sync::Arc<Field>| Known {
        name: field.name().clone(),
        meaning: match meanings.get(field.name()) {
            Some(it) => it.clone(),
            None => guessed(field),
        },
        data_type: field.data_type().clone(),
        sql: String::new(),
    };
    schema.fields().iter().map(known).collect()
}

/// The column that counts all records of a group.
fn count_of(columns: &[Known]) -> Option<String> {
    let counts = |it: &&Known| {
        let meaning = &it.meaning;
        meaning.role == Role::Count
            && meaning.counts_records
            && meaning.statistic == Some(Statistic::Count)
    };
    columns.iter().find(counts).map(|it| it.name.clone())
}

/// What a column counts, in words.
fn noun_of(name: &str) -> String {
    match name.len() <= 3 || ["count", "total"].contains(&name) || name.ends_with("_count") {
        true => "records".to_owned(),
        false => name.replace('_', " "),
    }
}

/// Keys of records by which they are compared: those that views and detectors name, else the first ones.
fn keys(columns: &[Known], wanted: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut has_status = false;
    for name in wanted {
        let Some(column) = columns.iter().find(|it| it.name == *name) else {
            continue;
        };
        let is_status = column.meaning.role == Role::Status;
        if column.is_key() && !keys.contains(name) && !(is_status && has_status) {
            has_status |= is_status;
            keys.push(name.clone());
        }
    }
    if keys.is_empty() {
        let all = columns.iter().filter(|it| it.is_key());
        let telling = all.filter(|it| it.meaning.role != Role::Flag);
        keys.extend(telling.take(KEYS_UNSAID_MAX).map(|it| it.name.clone()));
    }
    keys.truncate(KEYS_MAX);
    keys
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The words of a name, in lower case.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut before = '_';
    for it in name.chars() {
        if it.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.extend(it.to_lowercase());
        before = it;
    }
    let words = spaced.split(|it: char| !it.is_alphanumeric());
    let words = words.filter(|it| !it.is_empty());
    words.map(str::to_owned).collect()
}

/// A name as SQL takes it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
