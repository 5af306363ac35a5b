//! What a changed dataflow means for a lake that was written by another one: a pure function of both definitions.
//!
//! Rows in the lake keep their meaning for ever. So what would give stored records another one (a column gone, of another type, computed
//! differently) is refused with what to do instead. What only adds (a column, a view) or can be computed again from the archive (a
//! view) takes effect at the next start, in one commit: see `grow`.

use super::Error;
use crate::lake::{Manifest, SourceOffsets};
use crate::model::{Offset, Offsets};
use crate::plan::{
    ColumnDefinition, Dataflow, Definitions, LATE_RELATION, SourceDefinition, TableDefinition,
};
use crate::sql::incidents;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What has to be done to a lake before a changed dataflow can go on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// What to keep with every commit from then on.
    pub definitions: Definitions,
    /// New columns of sources and of tables of archived records.
    pub source_columns: BTreeMap<String, Vec<String>>,
    pub table_columns: BTreeMap<String, Vec<String>>,
    /// Tables of sources of which nothing was read yet.
    pub tables: BTreeSet<String>,
    /// Views to be filled from the archive, and why.
    pub views: BTreeMap<String, Why>,
    /// Views and tables that are in the lake and no longer in the dataflow.
    pub removed_views: BTreeSet<String>,
    pub removed_tables: BTreeSet<String>,
}

/// Why a view is filled from the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    New,
    Changed,
    /// A view that it reads or read is filled again, or is gone.
    Reads(String),
    /// Dead letters became records that it reads.
    Replayed,
}

/// Something about a dataflow that a lake cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The source, table or view it is about.
    pub relation: String,
    pub text: String,
}

/// What has changed since a commit.
///
/// # Errors
/// If the lake cannot follow: each reason with the line of its statement.
pub fn since(manifest: &Manifest, dataflow: &Dataflow) -> Result<Growth, Error> {
    let refused = |reasons: Vec<String>| Error::Refused {
        dataflow: dataflow.name.clone(),
        number: manifest.number,
        reasons,
    };
    if manifest.definitions.is_null() {
        return Err(refused(vec![
            "it was written by a version that did not note definitions; start a new lake with --lake, which reads the source again from its beginning".to_owned(),
        ]));
    }
    let before: Definitions = serde_json::from_value(manifest.definitions.clone())
        .map_err(|it| Error::State(format!("definitions of commit {}: {it}", manifest.number)))?;
    let before = crate::sql::in_this_form(before).map_err(|it| refused(vec![it]))?;
    between(&before, &dataflow.definitions, &manifest.offsets).map_err(|refusals| {
        let line = |name: &str| match dataflow.lines.get(name) {
            Some(line) => format!("line {line}: "),
            None => String::new(),
        };
        let texts = refusals.iter().map(|it| line(&it.relation) + &it.text);
        refused(texts.collect())
    })
}

/// What has to be done, if the lake can follow.
///
/// # Errors
/// With everything that it cannot follow.
pub fn between(
    before: &Definitions,
    now: &Definitions,
    offsets: &SourceOffsets,
) -> Result<Growth, Vec<Refusal>> {
    let mut growth = Growth {
        definitions: now.clone(),
        ..Growth::default()
    };
    let mut refusals = Refusals::default();
    for (name, old) in &before.sources {
        let Some(new) = growth.definitions.sources.get_mut(name) else {
            let mut read = offsets.get(name).into_iter().flat_map(Offsets::iter);
            if read.all(|it| it.1.offset == Offset(0)) {
                // Nothing came of it, so nothing is lost with it.
                continue;
            }
            // It came with the detectors, so there is no statement that could be kept.
            let keep = match name == incidents::ACTIONS {
                true => format!("write {}", incidents::SOURCE.trim_end_matches(';')),
                false => "keep its statement".to_owned(),
            };
            refusals.add(name, format!("source {name} is gone, and the lake holds its records; {keep}, or start a new lake with --lake"));
            continue;
        };
        let added = refusals.source(name, old, new, offsets);
        if !added.is_empty() {
            growth.source_columns.insert(name.clone(), added);
        }
    }
    for (name, old) in &before.tables {
        let Some(new) = growth.definitions.tables.get_mut(name) else {
            if now.views.contains_key(name) {
                refusals.add(name, format!("{name} was a table of records and is now a view; give the view another name"));
            }
            growth.removed_tables.insert(name.clone());
            continue;
        };
        let added = refusals.table(name, old, new, offsets);
        if !added.is_empty() {
            growth.table_columns.insert(name.clone(), added);
        }
    }
    for (name, table) in &now.tables {
        if before.views.contains_key(name) {
            refusals.add(
                name,
                format!(
                    "{name} was a view and is now a table of records; give the table another name"
                ),
            );
        } else if !before.tables.contains_key(name) {
            let read = offsets
                .get(&table.source)
                .is_some_and(|it| it.iter().next().is_some());
            if read {
                refusals.add(name, format!("table {name} is new, and would lack the records of {} that were read before; add columns to a table that is there, make it a view, or start a new lake with --lake", table.source));
            }
            growth.tables.insert(name.clone());
        }
    }
    growth.removed_views = before
        .views
        .keys()
        .filter(|it| !now.views.contains_key(*it))
        .cloned()
        .collect();
    growth.views = views(before, now);
    match refusals.0.is_empty() {
        true => Ok(growth),
        false => Err(refusals.0),
    }
}

/// Which views are to be filled: those that are new or mean something else, and all that read one of them.
fn views(before: &Definitions, now: &Definitions) -> BTreeMap<String, Why> {
    let mut filled = BTreeMap::new();
    for (name, new) in &now.views {
        let why = match before.views.get(name) {
            None => Why::New,
            Some(old) if (&old.meaning, &old.columns) != (&new.meaning, &new.columns) => {
                Why::Changed
            }
            Some(old) => match old.reads.iter().find(|it| !new.reads.contains(it)) {
                Some(no_more) => Why::Reads(no_more.clone()),
                None => continue,
            },
        };
        filled.insert(name.clone(), why);
    }
    loop {
        let more: Vec<(String, Why)> = now
            .views
            .iter()
            .filter(|it| !filled.contains_key(it.0))
            .filter_map(|(name, view)| {
                let read = view.reads.iter().find(|it| filled.contains_key(*it))?;
                Some((name.clone(), Why::Reads(read.clone())))
            })
            .collect();
        if more.is_empty() {
            return filled;
        }
        filled.extend(more);
    }
}

#[derive(Default)]
struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, relation: &str, text: String) {
        self.0.push(Refusal {
            relation: relation.to_owned(),
            text,
        });
    }

    /// The new columns of a source.
    fn source(
        &mut self,
        name: &str,
        old: &SourceDefinition,
        new: &mut SourceDefinition,
        offsets: &SourceOffsets,
    ) -> Vec<String> {
        let what = format!("source {name}");
        if old.format != new.format {
            self.add(name, format!("{what}: its format was {} and is now {}; records of another format are another source", old.format, new.format));
        }
        self.event_time(name, &what, &old.event_time, &new.event_time);
        for column in &new.columns {
            match old.columns.iter().find(|it| it.name == column.name) {
                Some(it) if column.required && !it.required => self.add(name, format!("{what}: column {} is now NOT NULL, and records without it may be in the lake; leave NOT NULL out", column.name)),
                None if column.required => self.add(name, format!("{what}: column {} is new and NOT NULL, and records read before do not have it; leave NOT NULL out", column.name)),
                _ => {}
            }
        }
        for column in &new.columns {
            let was = old.columns.iter().find(|it| it.name == column.name);
            let Some(was) = was.filter(|it| it.sql != column.sql) else {
                continue;
            };
            let said = |it: &str| match it {
                "" => "read from records".to_owned(),
                sql if sql.starts_with("DEFAULT ") => format!("read with {sql}"),
                sql => format!("computed by `{sql}`"),
            };
            self.add(name, format!("{what}: column {} was {} and is now {}; what was stored of it would not follow, so give the new column another name", column.name, said(&was.sql), said(&column.sql)));
        }
        self.columns(
            (name, &what),
            &old.columns,
            &mut new.columns,
            offsets.get(name),
        )
    }

    /// The new columns of a table of archived records.
    fn table(
        &mut self,
        name: &str,
        old: &TableDefinition,
        new: &mut TableDefinition,
        offsets: &SourceOffsets,
    ) -> Vec<String> {
        let what = format!("table {name}");
        if (&old.source, &old.selection) != (&new.source, &new.selection) {
            self.add(name, format!("{what}: it kept the records of `{}` and is now to keep those of `{}`; its older rows would not follow, so give it another name and start a new lake with --lake", old.selection, new.selection));
        }
        if old.partition_by != new.partition_by {
            self.add(name, format!("{what}: partition_by was '{}' and is now '{}'; files that are there cannot move, so keep it", old.partition_by.join(", "), new.partition_by.join(", ")));
        }
        self.event_time(name, &what, &old.event_time, &new.event_time);
        for column in &new.columns {
            let was = old.columns.iter().find(|it| it.name == column.name);
            if let Some(was) = was.filter(|it| it.sql != column.sql) {
                self.add(name, format!("{what}: column {} was computed by `{}` and is now by `{}`; its older rows would not follow, so give the new column another name", column.name, was.sql, column.sql));
            }
        }
        self.columns(
            (name, &what),
            &old.columns,
            &mut new.columns,
            offsets.get(&old.source),
        )
    }

    fn event_time(&mut self, name: &str, what: &str, old: &Option<String>, new: &Option<String>) {
        if old == new {
            return;
        }
        let text = |it: &Option<String>| it.clone().unwrap_or_else(|| "none".to_owned());
        self.add(name, format!("{what}: its event time was {} and is now {}; windows and marks of late rows would mean something else, so keep it, or start a new lake with --lake", text(old), text(new)));
    }

    /// Carries over since when columns are there, and notes it for new ones. Returns those.
    fn columns(
        &mut self,
        (name, what): (&str, &str),
        old: &[ColumnDefinition],
        new: &mut [ColumnDefinition],
        offsets: Option<&crate::model::Offsets>,
    ) -> Vec<String> {
        for was in old {
            match new.iter_mut().find(|it| it.name == was.name) {
                None => self.add(name, format!("{what}: column {} is gone, and the lake holds its values; keep it, and leave it out of the views instead", was.name)),
                Some(is) if is.data_type != was.data_type => {
                    let text = format!("{what}: column {} was {} and is now {}; stored values do not change their type, so give the new column another name", was.name, was.data_type, is.data_type);
                    self.add(name, text);
                }
                Some(is) => is.since.clone_from(&was.since),
            }
        }
        let mut added = Vec::new();
        for column in new {
            if old.iter().all(|it| it.name != column.name) {
                column.since = Some(offsets.cloned().unwrap_or_default());
                added.push(column.name.clone());
            }
        }
        added
    }
}

impl Growth {
    /// Views that read one of these relations are filled too, and those that read such views.
    pub(super) fn fill_readers(&mut self, dataflow: &Dataflow, mut changed: BTreeSet<String>) {
        if changed.is_empty() {
            return;
        }
        changed.insert(LATE_RELATION.to_owned());
        for view in &dataflow.views {
            if view.plan.relations().iter().any(|it| changed.contains(it)) {
                changed.insert(view.name.clone());
                self.views.entry(view.name.clone()).or_insert(Why::Replayed);
            }
        }
    }

    /// Whether the lake can be gone on with as it is.
    pub fn is_nothing(&self, manifest: &Manifest) -> bool {
        serde_json::to_value(&self.definitions).is_ok_and(|it| it == manifest.definitions)
    }

    /// What is done, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (name, columns) in &self.source_columns {
            let columns = columns.join(", ");
            said.push(format!(
                "source {name}: new columns {columns}; records read before do not have them"
            ));
        }
        for (name, columns) in &self.table_columns {
            let columns = columns.join(", ");
            said.push(format!(
                "table {name}: new columns {columns}, null in the rows that are there"
            ));
        }
        for name in &self.tables {
            said.push(format!("table {name} is new"));
        }
        for (name, why) in &self.views {
            said.push(match why {
                Why::New => format!("view {name} is new: filled from the archive"),
                Why::Changed => format!("view {name} has changed: filled again from the archive"),
                Why::Reads(of) => format!("view {name} reads {of}: filled again"),
                Why::Replayed => format!("view {name} reads replayed records: filled again"),
            });
        }
        for name in &self.removed_views {
            said.push(format!(
                "view {name} is gone: its state is dropped, its table stays as it is"
            ));
        }
        for name in &self.removed_tables {
            said.push(format!(
                "table {name} is gone: its rows stay, none are added"
            ));
        }
        said
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences = self.sentences();
        if sentences.is_empty() {
            return writeln!(f, "nothing changes");
        }
        sentences.iter().try_for_each(|it| writeln!(f, "{it}"))
    }
}

#[cfg(test)]
mod tests;
