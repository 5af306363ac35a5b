//! A report gets its rows: every query of it at the versions of one commit.

use super::parts::extent_sql;
use super::{Commit, Report, Section, Subject, TimeRange};
use crate::model::{Epoch, Value, iso_of_micros, rows_of_batch, wall_ms};
use crate::sql::query::{NotPinned, Pinned, Queries, QueryError, commit_of};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};

const SECOND_US: i64 = 1_000_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(String),
    #[error("dataflow {dataflow:?} has committed nothing to the lake yet")]
    NothingCommitted { dataflow: String },
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
    #[error("section {section:?} of the report could not be computed: {source}")]
    Query { section: String, source: QueryError },
    #[error("section {section:?} of the report has more rows than a report can hold")]
    TooLong { section: String },
}

impl Error {
    /// What can be done; empty if there is nothing.
    pub fn hint(&self) -> String {
        match self {
            Error::Refused(_) => String::new(),
            Error::NothingCommitted { .. } => {
                "the first commit comes a few seconds after the start".to_owned()
            }
            Error::NotPinned(_) => "ask for a later time".to_owned(),
            Error::Query { source, .. } => source.hint().unwrap_or_else(|| {
                "a shorter range needs less; --query-time-limit and --query-memory say how much a query may need".to_owned()
            }),
            Error::TooLong { .. } => "ask for a shorter range".to_owned(),
        }
    }
}

/// Makes reports of what a dataflow has in a lake.
pub struct Reporter<'a> {
    pub queries: &'a Queries,
    pub subject: &'a Subject,
    /// Of the newest commit that is not behind this epoch; of the newest of all without one.
    pub as_of: Option<Epoch>,
}

impl Reporter<'_> {
    /// The report of a name over a range of time.
    ///
    /// # Errors
    /// If there is no such report, no commit, or a query has no answer.
    pub async fn report(&self, name: &str, range: &TimeRange) -> Result<Report, Error> {
        let name = super::known(name).map_err(Error::Refused)?;
        let (commit, pinned) = self.commit().await?;
        let mut subject = self.subject.clone();
        subject.keep(|it| pinned.versions.contains_key(it));
        let range = self.whole(&subject, range, &pinned).await?;
        let elsewhere = self.elsewhere(&subject, &range, &pinned).await?;
        subject.notes.extend(elsewhere);
        let mut parts = subject.parts(name, &range);
        for section in parts.iter_mut().flat_map(|it| &mut it.sections) {
            self.fill(section, &pinned).await?;
        }
        Ok(Report {
            name: name.to_owned(),
            dataflow: subject.dataflow,
            range: range.text.clone(),
            from: range.from.map(iso_of_micros),
            to: range.to.map(iso_of_micros),
            zone: "UTC".to_owned(),
            made_at: Epoch(wall_ms()).iso(),
            commit,
            notes: subject.notes,
            parts,
        })
    }

    /// The commit that is reported on, and the versions to read.
    async fn commit(&self) -> Result<(Commit, Pinned), Error> {
        let dataflow = &self.subject.dataflow;
        let nothing = || Error::NothingCommitted {
            dataflow: dataflow.clone(),
        };
        let store = self.queries.lake().store().ok_or_else(nothing)?;
        let tables: BTreeSet<&str> = self.subject.tables().into_iter().collect();
        let manifest = commit_of(store, dataflow, self.as_of, &tables).await?;
        let manifest = manifest.ok_or_else(nothing)?;
        let entries = manifest.tables.iter();
        let versions: BTreeMap<String, u64> = entries
            .filter(|it| tables.contains(it.0.as_str()))
            .map(|(name, it)| (name.clone(), it.version))
            .collect();
        let later = tables.into_iter().map(str::to_owned);
        let later = later.filter(|it| !versions.contains_key(it)).collect();
        let commit = Commit {
            number: manifest.number,
            epoch: manifest.epoch.0,
            as_of: manifest.epoch.iso(),
            versions: versions.clone(),
        };
        let pinned = Pinned {
            epoch: Some(manifest.epoch),
            versions,
            later,
        };
        Ok((commit, pinned))
    }

    /// The range with both ends, if there are records: an open one reaches from the first to the last of them.
    async fn whole(
        &self,
        subject: &Subject,
        range: &TimeRange,
        pinned: &Pinned,
    ) -> Result<TimeRange, Error> {
        let mut range = range.clone();
        if range.from.is_some() && range.to.is_some() {
            return Ok(range);
        }
        if let (Some(first), Some(last)) = self.extent(subject, &range, pinned).await? {
            range.from = range.from.or(Some(first));
            // The first whole second behind the last record.
            let behind = last.div_euclid(SECOND_US).checked_add(1);
            let behind = behind.and_then(|it| it.checked_mul(SECOND_US));
            range.to = range.to.or(behind);
        }
        Ok(range)
    }

    /// Where the records are, if the range has none of them.
    async fn elsewhere(
        &self,
        subject: &Subject,
        range: &TimeRange,
        pinned: &Pinned,
    ) -> Result<Option<String>, Error> {
        let (first, _) = self.extent(subject, range, pinned).await?;
        if first.is_some() {
            return Ok(None);
        }
        let all = TimeRange::all();
        let extent = self.extent(subject, &all, pinned).await?;
        let (Some(first), Some(last)) = extent else {
            return Ok(None);
        };
        Ok(Some(format!(
            "no records in this range: the first is of {}, the last of {}; the range `all` has them",
            iso_of_micros(first),
            iso_of_micros(last),
        )))
    }

    /// The times of the first and the last record of a range.
    async fn extent(
        &self,
        subject: &Subject,
        range: &TimeRange,
        pinned: &Pinned,
    ) -> Result<(Option<i64>, Option<i64>), Error> {
        let Some(sql) = extent_sql(subject, range) else {
            return Ok((None, None));
        };
        let rows = self.rows("extent", &sql, pinned).await?;
        let ends = rows.first().map(|it| (it[0].as_i64(), it[1].as_i64()));
        Ok(ends.unwrap_or_default())
    }

    async fn fill(&self, section: &mut Section, pinned: &Pinned) -> Result<(), Error> {
        let rows = self.rows(&section.id, &section.sql, pinned).await?;
        let names = || section.columns.iter().map(|it| it.name.clone());
        let row = |row: Vec<Value>| -> Map<String, serde_json::Value> {
            let values = row.iter().map(Value::to_json);
            names().zip(values).collect()
        };
        section.rows = rows.into_iter().map(row).collect();
        Ok(())
    }

    async fn rows(
        &self,
        section: &str,
        sql: &str,
        pinned: &Pinned,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let answer = self.queries.of_commit(sql, pinned.clone()).await;
        let answer = answer.map_err(|source| Error::Query {
            section: section.to_owned(),
            source,
        })?;
        if answer.truncated || answer.partial.is_some() {
            return Err(Error::TooLong {
                section: section.to_owned(),
            });
        }
        let rows = answer.batches.iter().flat_map(rows_of_batch);
        Ok(rows.map(|it| it.0.to_vec()).collect())
    }
}
