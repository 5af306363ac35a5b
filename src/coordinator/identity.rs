//! Which dataflow of a lake this one is, and whether the lake is as its newest commit left it.
//!
//! A dataflow is who it says it is (`SET dataflow = 'name'`) or, if it says nothing, the lake's only one; in which folder its text lies means
//! nothing. A table belongs to one dataflow, as its first log entry says, so another one that would write it is refused before anything is written.
//! So is a lake whose tables have commits that `_tidelake` lacks: to go on from an older commit would read the records since then once more.

use super::Error;
use crate::lake::{Manifest, Store, TableLayout};
use crate::plan::Dataflow;
use futures::future::try_join_all;
use std::collections::BTreeSet;

/// The dataflow under the name that it has in this lake.
///
/// # Errors
/// If the lake has several and this one does not say which it is, or the lake cannot be read.
pub async fn identified(dataflow: &Dataflow, store: &Store) -> Result<Dataflow, Error> {
    let mut dataflow = dataflow.clone();
    if dataflow.is_named {
        return Ok(dataflow);
    }
    let claimed = store.newest_manifests().await?;
    // A start that was refused or ended early has claimed the lake and left nothing in it.
    let has_tables = |it: &&Manifest| !it.tables.is_empty();
    let mut names: Vec<&Manifest> = claimed.iter().filter(has_tables).collect();
    if names.is_empty() {
        names = claimed.iter().collect();
    }
    match names.as_slice() {
        [] => {}
        [one] => dataflow.name.clone_from(&one.dataflow),
        several => {
            return Err(Error::Unnamed {
                lake: store.url.to_string(),
                names: several.iter().map(|it| it.dataflow.clone()).collect(),
            });
        }
    }
    Ok(dataflow)
}

/// Checks that a dataflow may go on with a lake after its newest manifest, if there is one.
///
/// # Errors
/// If a table belongs to another dataflow, or is ahead of the manifest; with the line of each.
pub async fn check(
    dataflow: &Dataflow,
    store: &Store,
    newest: Option<&Manifest>,
) -> Result<(), Error> {
    let tables = super::outputs::layouts(dataflow);
    let checked = tables
        .iter()
        .map(|it| objection(dataflow, store, newest, &it.name));
    let objections = try_join_all(checked).await?;
    let objections = || {
        tables
            .iter()
            .zip(&objections)
            .filter_map(|(table, it)| Some((table, it.as_ref()?)))
    };
    let with_line = |(table, it): (&TableLayout, &Objection)| {
        let line = dataflow.lines.get(&table.name)?;
        Some(format!("line {line}: table {} {}", table.name, it.text))
    };
    let mut reasons: Vec<String> = objections().filter_map(with_line).collect();
    if let (true, Some((table, it))) = (reasons.is_empty(), objections().next()) {
        // Every dataflow has built-in tables; they are worth a word only if nothing else is.
        reasons.push(format!("table {} {}", table.name, it.text));
    }
    let advice: BTreeSet<&String> = objections().map(|it| &it.1.advice).collect();
    reasons.extend(advice.into_iter().cloned());
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Error::Unfit {
            dataflow: dataflow.name.clone(),
            lake: store.url.to_string(),
            reasons,
        }),
    }
}

/// Why a dataflow may not write a table, and what one can do.
struct Objection {
    text: String,
    advice: String,
}

/// Why this dataflow may not write a table, if it may not.
async fn objection(
    dataflow: &Dataflow,
    store: &Store,
    newest: Option<&Manifest>,
    table: &str,
) -> Result<Option<Objection>, Error> {
    let entry = newest.and_then(|it| it.tables.get(table));
    let owner = match store.stated_owner(table).await? {
        None if entry.is_none() => store.owner(table).await?,
        stated => stated,
    };
    if let Some(owner) = owner.filter(|it| *it != dataflow.name) {
        return Ok(Some(match store.newest_manifest(&owner).await? {
            Some(_) => Objection {
                text: format!("belongs to dataflow {owner}"),
                advice: format!(
                    "if {owner} is what this dataflow is, let it say so: SET dataflow = '{owner}'; if it is another one, it needs a lake of its own: --lake"
                ),
            },
            None => Objection {
                text: format!("belongs to dataflow {owner}, whose commits are gone from _tidelake"),
                advice: BRING_BACK.to_owned(),
            },
        }));
    }
    let known = newest.map_or(0, |it| it.number);
    let ahead = store.newest_commit(&dataflow.name, table, entry.map(|it| it.version));
    let ahead = ahead.await?.filter(|it| known < *it);
    Ok(ahead.map(|commit| {
        let has = match known {
            0 => "none".to_owned(),
            known => format!("only those up to {known}"),
        };
        Objection {
            text: format!("has rows of commit {commit}, and _tidelake has {has}"),
            advice: BRING_BACK.to_owned(),
        }
    }))
}

/// What to do if manifests are gone.
const BRING_BACK: &str = "commits were deleted or lost, and going on without them would read their records twice; bring the files back, or start a new lake with --lake";
