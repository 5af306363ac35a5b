//! Files that nothing needs any more.

use crate::coordinator::Error;
use crate::lake::{self, LastUpkeep, Store, Waste, needed_by};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a dataflow's tables and its commits do not need, by table and `_tidelake`, and takes it away unless only that is asked. Needs no claim.
///
/// # Errors
/// If there is no commit, or the lake cannot be used; what was not deleted yet stays.
pub async fn vacuum(
    store: &Store,
    dataflow: &str,
    keep: Duration,
    dry_run: bool,
) -> Result<BTreeMap<String, Vec<Waste>>, Error> {
    let nothing = || lake::Error::Nothing {
        dataflow: dataflow.to_owned(),
        lake: store.url.to_string(),
    };
    // Before the tables are looked at: what comes later is not settled.
    let newest = store.newest_manifest(dataflow).await?.ok_or_else(nothing)?;
    let mut deleted: BTreeMap<String, Vec<Waste>> = BTreeMap::new();
    for table in store.tables().await? {
        let owner = match store.stated_owner(&table).await? {
            None => store.owner(&table).await?,
            stated => stated,
        };
        if owner.is_none_or(|it| it != dataflow) {
            continue;
        }
        if !dry_run {
            store.write_log_checkpoint(&table).await?;
        }
        let needed = needed_by(&newest, &table);
        let waste = store.waste_of(&table, newest.epoch, keep, &needed).await?;
        deleted.insert(table, waste);
    }
    let of_commits = store.waste_of_commits(&newest).await?;
    deleted.insert("_tidelake".to_owned(), of_commits);
    deleted.retain(|_, it| !it.is_empty());
    if !dry_run {
        for waste in deleted.values() {
            store.take_away(waste).await?;
        }
        let all = deleted.values().flatten();
        let (files, bytes) = all.fold((0, 0), |sum, it| (sum.0 + 1, sum.1 + it.bytes));
        let done = LastUpkeep::now(files, bytes);
        store
            .note_upkeep(dataflow, lake::Upkeep::Vacuum, &done)
            .await;
    }
    Ok(deleted)
}
