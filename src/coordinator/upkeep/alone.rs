//! Files written anew without an engine: whoever does it claims the lake for that time, and commits by itself.

use super::{chosen, note_optimized, until};
use crate::coordinator::commit::crash_point;
use crate::coordinator::lease::{self, Lease};
use crate::coordinator::{Error, as_settled, finish};
use crate::lake::{
    self, Change, Commit, Compaction, Manifest, OptimizeRequest, Optimized, Store, TableState,
    app_id,
};
use crate::model::wall_ms;
use std::collections::BTreeMap;

/// Without an engine a commit is made whenever files of so many bytes were written anew.
const ROUND_BYTES: u64 = 256 << 20;

/// Writes files of a lake anew that no engine holds, in commits of its own. Each round is told.
///
/// # Errors
/// If an engine holds the lake, the request fits no table, or the lake cannot be used; what was committed before stays.
pub async fn optimize(
    store: &Store,
    dataflow: &str,
    request: &OptimizeRequest,
    mut told: impl FnMut(&Optimized),
) -> Result<Result<Optimized, String>, Error> {
    let writer = uuid::Uuid::new_v4().to_string();
    let nothing = || lake::Error::Nothing {
        dataflow: dataflow.to_owned(),
        lake: store.url.to_string(),
    };
    let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
    lease::wait_for(store, &newest).await?;
    // What is wrong is said before anything is written.
    let mut layouts = Vec::new();
    for name in newest.tables.keys() {
        let behind = newest.tables[name].version;
        let ahead = store.newest_commit(dataflow, name, Some(behind)).await?;
        if let Some(ahead) = ahead.filter(|it| newest.number < *it) {
            return Err(lake::Error::Table {
                table: name.clone(),
                reason: format!("it has rows of commit {ahead}, and _tidelake has only those up to {}; bring the files back", newest.number),
            }
            .into());
        }
        let version = store.log_versions(name, None).await?.last().copied();
        layouts.push(store.layout_of(name, version.unwrap_or(behind)).await?);
    }
    let layouts = match chosen(request, layouts, dataflow) {
        Ok(layouts) => layouts,
        Err(reason) => return Ok(Err(reason)),
    };
    let (mut last, mut tables) = loop {
        let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
        lease::wait_for(store, &newest).await?;
        let mut after = newest;
        after.holder = Some(lease::this_process());
        let mut claim = Commit::claim(after, &writer, wall_ms());
        if finish(store, &mut claim, "claim").await? {
            break as_settled(claim);
        }
    };
    let lease = Lease::of(store, &last);
    let mut outcome = Optimized::default();
    let mut round: Vec<Compaction> = Vec::new();
    let mut bytes = 0;
    for layout in &layouts {
        let state = tables[&layout.name].clone();
        let until = until(layout, last.epoch);
        let groups = store.groups_to_rewrite(&layout.name, &state, &request.wanted, until);
        for group in groups.await? {
            bytes += group.iter().map(lake::bytes_of_file).sum::<u64>();
            round.push(store.rewrite(layout, group, &request.wanted).await?);
            crash_point("rewritten");
            if ROUND_BYTES <= bytes {
                (last, tables) = commit(store, &last, tables, &mut round, &mut outcome).await?;
                bytes = 0;
                told(&outcome);
            }
        }
    }
    if !round.is_empty() {
        commit(store, &last, tables, &mut round, &mut outcome).await?;
        told(&outcome);
    }
    note_optimized(store, dataflow, &outcome).await;
    lease.release().await;
    Ok(Ok(outcome))
}

/// One commit of files that were written anew, and of nothing else.
async fn commit(
    store: &Store,
    last: &Manifest,
    tables: BTreeMap<String, TableState>,
    round: &mut Vec<Compaction>,
    outcome: &mut Optimized,
) -> Result<(Manifest, BTreeMap<String, TableState>), Error> {
    let mut next = last.after();
    next.written_ms = wall_ms();
    next.counts = Some(BTreeMap::new());
    for (name, state) in &tables {
        let change = Change {
            merged: round.iter().filter(|it| it.table == *name).collect(),
            ..Change::default()
        };
        let app = app_id(&last.dataflow, name);
        let entry = state.entry(&next, &app, change, None);
        next.tables.insert(name.clone(), entry);
    }
    let mut commit = Commit::new(next);
    finish(store, &mut commit, "manifest").await?;
    for done in round.drain(..) {
        outcome.note(&done);
    }
    let (manifest, tables) = as_settled(commit);
    Ok((manifest, tables))
}
