//! What a dataflow could add so that a page has more to show, as SQL over its own table.

use super::{Page, Suggestion};
use crate::plan::{Dataflow, Meaning, Role, TableSpec};

/// Sums of so many columns are suggested.
const SUMS_MAX: usize = 2;

pub fn suggestions(dataflow: &Dataflow, page: &Page) -> Vec<Suggestion> {
    let Some(table) = dataflow.tables.iter().find(|it| it.event_time.is_some()) else {
        return Vec::new();
    };
    let Some(over) = Over::new(dataflow, table) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if page.main.is_none() {
        all.push(Suggestion {
            title: "Count records per minute".to_owned(),
            sql: over.windows("per_minute", None),
        });
    }
    if page.now.is_none() {
        all.push(Suggestion {
            title: "Follow the last minute".to_owned(),
            sql: over.last_minute(),
        });
    }
    if let (true, Some(key)) = (page.keys.is_empty(), over.first_key()) {
        all.push(Suggestion {
            title: format!("Compare by {key}"),
            sql: over.windows(&format!("by_{key}"), Some(&key)),
        });
    }
    all
}

/// A table with what its columns are.
struct Over {
    table: String,
    time: String,
    columns: Vec<(String, Meaning)>,
}

impl Over {
    fn new(dataflow: &Dataflow, table: &TableSpec) -> Option<Self> {
        let schema = table.plan.schema();
        let names: Vec<String> = schema.fields().iter().map(|it| it.name().clone()).collect();
        Some(Over {
            table: table.name.clone(),
            time: names.get(table.event_time?)?.clone(),
            columns: names
                .into_iter()
                .zip(dataflow.meanings(&table.name))
                .collect(),
        })
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &str> {
        let all = self.columns.iter().filter(move |it| it.1.role == role);
        all.map(|it| it.0.as_str())
    }

    fn first_key(&self) -> Option<String> {
        self.of(Role::Key).next().map(str::to_owned)
    }

    fn figures(&self) -> Vec<String> {
        let mut all = vec!["count(*) AS records".to_owned()];
        if let Some(status) = self.of(Role::Status).next() {
            all.push(format!(
                "count(*) FILTER (WHERE {} >= 500) AS errors",
                name(status)
            ));
        } else if let Some(level) = self.of(Role::Level).next() {
            all.push(format!(
                "count(*) FILTER (WHERE {} = 'ERROR') AS errors",
                name(level)
            ));
        }
        if let Some(duration) = self.of(Role::Duration).next() {
            all.push(format!(
                "approx_percentile_cont({}, 0.95) AS {}",
                name(duration),
                name(&format!("{duration}_p95"))
            ));
        }
        let sums = self.of(Role::Money).chain(self.of(Role::Bytes));
        all.extend(
            sums.take(SUMS_MAX)
                .map(|it| format!("sum({0}) AS {0}", name(it))),
        );
        all
    }

    fn windows(&self, view: &str, key: Option<&str>) -> String {
        let key = key.map(name);
        let listed = key.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
        format!(
            "CREATE MATERIALIZED VIEW {} AS\nSELECT window_start{listed}, {}\nFROM TUMBLE({}, {}, INTERVAL '1' MINUTE)\nGROUP BY window_start{listed};",
            name(&format!("{}_{view}", self.table)),
            self.figures().join(", "),
            name(&self.table),
            name(&self.time),
        )
    }

    fn last_minute(&self) -> String {
        format!(
            "CREATE MATERIALIZED VIEW {} AS\nSELECT {}\nFROM {} WHERE {} > now() - INTERVAL '60' SECOND;",
            name(&format!("{}_last_minute", self.table)),
            self.figures().join(", "),
            name(&self.table),
            name(&self.time),
        )
    }
}

/// As SQL takes it, in quotes where it has to be.
fn name(name: &str) -> String {
    let is_plain = name.starts_with(|it: char| it.is_ascii_lowercase() || it == '_')
        && name
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
    match is_plain {
        true => name.to_owned(),
        false => super::super::filter::quoted_name(name),
    }
}
