//! A lake made to follow a changed dataflow, in one commit.
//!
//! ```text
//! claim ─ tables at the newest commit E ─ views filled as of E ─ files, state ─ manifest: the growth ─ tables ─ start as ever
//! ```
//!
//! The commit reads nothing from the sources: epoch and offsets stay those of E, so the views that were filled go on, like all others,
//! with the first record that is in no archive. Until its manifest is there, nothing has happened; from then on everything is
//! decided, and a start that finds it finishes it as it does with any commit.

use super::commit::{crash_point, is_open, over};
use super::growth::Growth;
use super::refill;
use super::replay::{self, Replay};
use super::{Claimed, Error, outputs, state, stored};
use crate::engine::{self, ClockState, StateRecord};
use crate::lake::{
    Commit, Manifest, Stager, StateFile, Store, TableEntry, TableState, app_id, commit_info,
    folder_of, remove_of, txn,
};
use crate::model::{Epoch, Row, wall_ms};
use crate::plan::{
    DEAD_LETTER_RELATION, Dataflow, LATE_COLUMN, Plan, SourceSpec, TableSpec, ViewKind, ViewSpec,
    dead_letter_schema,
};
use crate::sql::{self, Records};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::logical_expr::{cast, lit};
use datafusion::prelude::{SessionContext, ident};
use datafusion::scalar::ScalarValue;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Rows of a filled view per file.
const FILE_ROWS: usize = 500_000;

/// Does what has to be done and what was asked for, if anything; returns the lake to go on from.
pub(super) async fn follow(
    dataflow: &Dataflow,
    store: &Store,
    settings: &engine::Settings,
    claimed: Claimed,
    mut growth: Growth,
) -> Result<Claimed, Error> {
    let requests = replay::pending(store, &claimed.manifest).await?;
    let replay = replay::prepare(dataflow, store, &claimed, &growth.definitions, requests).await?;
    growth.fill_readers(dataflow, replay.relations(dataflow));
    let claimed = match growth.is_nothing(&claimed.manifest) && replay.replayed == 0 {
        true => claimed,
        false => grow(dataflow, store, settings, claimed, &growth, &replay).await?,
    };
    for id in &replay.requests {
        store.delete_request(&dataflow.name, id).await?;
    }
    if !replay.requests.is_empty() {
        let (replayed, failed) = (replay.replayed, replay.failed);
        tracing::info!(
            replayed,
            failed,
            "replay: {replayed} dead letters are records now, {failed} still do not decode"
        );
    }
    Ok(claimed)
}

async fn grow(
    dataflow: &Dataflow,
    store: &Store,
    settings: &engine::Settings,
    claimed: Claimed,
    growth: &Growth,
    replay: &Replay,
) -> Result<Claimed, Error> {
    let began = Instant::now();
    for sentence in growth.sentences() {
        tracing::info!("before the start: {sentence}");
    }
    let last = &claimed.manifest;
    let clocks = stored::clocks(last)?;
    let views: BTreeSet<String> = growth.views.keys().cloned().collect();
    let records = archive(dataflow, store, &claimed, &views, replay).await?;
    let filled = refill::fill(dataflow, &views, &records, settings.workers).await?;
    crash_point("filled");
    let read = filled.read;
    let rows = closed_and_open(dataflow, settings, &clocks, last.epoch, filled.rows);
    let files = stage(dataflow, store, last.epoch, &last.writer, rows, replay).await?;
    crash_point("parts");

    let mut next = last.after();
    next.written_ms = wall_ms();
    next.definitions =
        serde_json::to_value(&growth.definitions).map_err(|it| Error::State(it.to_string()))?;
    count(&mut next, replay)?;
    // State of which nothing is kept may be of a version that this one cannot read.
    let keeps_any = dataflow.views.iter().any(|it| !views.contains(&it.name));
    let stored = match keeps_any {
        true => state::load_records(store, last).await?,
        false => Vec::new(),
    };
    let kept = stored.into_iter().filter(|it| {
        let view = view_of(&it.operator);
        !views.contains(view) && !growth.removed_views.contains(view)
    });
    let over = over(dataflow, settings, &clocks, last.epoch);
    let new = filled.state.into_iter().filter(|it| is_open(it, &over));
    let records: Vec<StateRecord> = kept.chain(new).collect();
    let name = format!("{:020}-{}-full", next.number, &next.writer[..8]);
    let bytes = state::encode(&records)?;
    let file = store.put_state(&dataflow.name, &name, bytes.into()).await?;
    let mut obsolete: Vec<StateFile> = next.state_full.replace(file).into_iter().collect();
    obsolete.append(&mut next.state_differences);
    crash_point("state");

    let app = |table: &str| app_id(&dataflow.name, table);
    let dead = dataflow.tables.iter().find(|it| it.source.is_empty());
    let dead = dead.map_or("", |it| it.name.as_str());
    for layout in outputs::layouts(dataflow) {
        let name = &layout.name;
        let was = claimed.tables.get(name);
        let fills = growth.views.contains_key(name);
        let grows = growth.table_columns.contains_key(name);
        // The table of dead letters may only lose rows.
        let loses = layout.name == dead && !replay.folders.is_empty();
        if was.is_some() && !fills && !grows && !loses && !files.contains_key(name) {
            continue;
        }
        let operation = match was {
            None => "WRITE",
            Some(_) if fills => "OVERWRITE",
            Some(_) if grows => "ADD COLUMNS",
            Some(_) => "REPLAY",
        };
        let (number, now_ms) = (next.number, next.written_ms);
        let made = match was {
            Some(was) => was.clone(),
            None => {
                let made = store.create_table(&layout, &dataflow.name, now_ms);
                TableState::made_at(made.await?)
            }
        };
        if was.is_none() && !files.contains_key(name) {
            let entry = TableEntry {
                version: made.version,
                ..TableEntry::default()
            };
            next.tables.insert(name.clone(), entry);
            continue;
        }
        let mut actions = vec![
            commit_info(
                operation,
                next.epoch.0,
                number,
                was.is_none() || !fills && !loses,
                now_ms,
            ),
            txn(&app(name), number, now_ms),
            txn(
                &format!("{}#generation", app(name)),
                next.generation,
                now_ms,
            ),
        ];
        let mut after = made;
        if let Some(was) = was {
            actions.extend(store.column_change(&layout, was.version).await?);
            if fills {
                let old = store.files_at(name, was.version).await?;
                actions.extend(old.iter().map(|it| remove_of(it, true, now_ms)));
                (after.open_files, after.small_files) = Default::default();
            }
            if loses {
                let is_rewritten = |it: &&Value| replay.folders.contains(folder_of(it));
                let old = store.files_at(name, was.version).await?;
                let old = old.iter().filter(is_rewritten);
                actions.extend(old.map(|it| remove_of(it, true, now_ms)));
                after.small_files.retain(|it| !is_rewritten(&it));
            }
        }
        after.version += 1;
        for (add, bucket) in files.get(name).into_iter().flatten() {
            after.note_added(add, *bucket);
            actions.push(add.clone());
        }
        let entry = TableEntry {
            version: after.version,
            commit: number,
            actions,
            open_files: after.open_files,
            small_files: after.small_files,
        };
        next.tables.insert(name.clone(), entry);
    }
    let mut commit = Commit::new(next);
    super::finish(store, &mut commit, "manifest").await?;
    let (manifest, tables) = super::as_settled(commit);
    tracing::info!(
        number = manifest.number,
        rows = read,
        seconds = began.elapsed().as_secs(),
        "the lake follows the changed dataflow since commit {}: {read} stored rows were read for it",
        manifest.number
    );
    Ok(Claimed {
        manifest,
        tables,
        obsolete,
        grown: growth.sentences(),
        lease: claimed.lease,
    })
}

/// Notes replayed records with what was read.
fn count(next: &mut Manifest, replay: &Replay) -> Result<(), Error> {
    if replay.requests.is_empty() {
        return Ok(());
    }
    next.requests_done.clone_from(&replay.requests);
    let mut totals = stored::totals(next)?;
    for (source, partitions) in &replay.counts {
        let totals = totals.entry(source.clone()).or_default();
        for (partition, counts) in partitions {
            totals.records += counts.replayed;
            totals.undecoded = totals.undecoded.saturating_sub(counts.replayed);
            let read = next.read.as_mut().and_then(|it| it.get_mut(source));
            if let Some(read) = read.and_then(|it| it.get_mut(partition)) {
                read.counts.add(counts);
            }
        }
    }
    next.totals = serde_json::to_value(&totals).map_err(|it| Error::State(it.to_string()))?;
    next.counts = Some(replay.counts.clone());
    Ok(())
}

/// The view a stateful operator belongs to.
fn view_of(operator: &str) -> &str {
    operator.rsplit_once('.').map_or(operator, |it| it.0)
}

/// Everything in the lake that these views can be filled from.
async fn archive(
    dataflow: &Dataflow,
    store: &Store,
    claimed: &Claimed,
    views: &BTreeSet<String>,
    replay: &Replay,
) -> Result<Records, Error> {
    let mut records = Records::default();
    let mut kept = BTreeMap::new();
    let wrong = |name: &str, it: String| Error::Refill(format!("table {name}: {it}"));
    for name in claimed.tables.keys() {
        let version = claimed.tables[name].version;
        let provider = async {
            let delta = store.open_delta_at(name, version).await?;
            let provider = sql::delta_provider(&delta).await;
            provider.map_err(|it| wrong(name, it))
        };
        if let Some(table) = dataflow.tables.iter().find(|it| it.name == *name) {
            let provider = as_it_will_be(provider.await?, table, replay.rows.get(name))
                .map_err(|it| wrong(name, it))?;
            kept.insert(name.clone(), Arc::clone(&provider));
            let relation = match table.source.is_empty() {
                true => DEAD_LETTER_RELATION.to_owned(),
                false => name.clone(),
            };
            records.relations.insert(relation, provider);
        } else if dataflow.view(name).is_some() && !views.contains(name) {
            records.relations.insert(name.clone(), provider.await?);
        }
    }
    let empty = |schema: SchemaRef| -> Result<Arc<dyn TableProvider>, Error> {
        let table = MemTable::try_new(schema, vec![vec![]]);
        Ok(Arc::new(
            table.map_err(|it| Error::Refill(it.strip_backtrace()))?,
        ))
    };
    for table in &dataflow.tables {
        if !claimed.tables.contains_key(&table.name) {
            let rows = empty(table.stored_schema())?;
            records.relations.insert(table.name.clone(), rows);
        }
    }
    if 0 < replay.replayed {
        let letters = MemTable::try_new(dead_letter_schema(), vec![replay.letters.clone()])
            .map_err(|it| Error::Replay(it.strip_backtrace()))?;
        let name = DEAD_LETTER_RELATION.to_owned();
        records.relations.insert(name, Arc::new(letters));
    }
    for source in &dataflow.sources {
        if !claimed.manifest.offsets.contains_key(&source.name) {
            let rows = empty(source.schema())?;
            records.relations.insert(source.name.clone(), rows);
            continue;
        }
        let copy = |it: &&TableSpec| it.source == source.name && it.keeps_all();
        let Some(table) = dataflow.tables.iter().find(copy) else {
            continue;
        };
        let Some(provider) = kept.get(&table.name) else {
            continue;
        };
        let read = read_columns(dataflow, views, &source.name);
        if let Some(provider) =
            source_of(provider, source, table, &read).map_err(|it| wrong(&table.name, it))?
        {
            records.relations.insert(source.name.clone(), provider);
        }
    }
    records.times = stored::event_times(&claimed.manifest)?;
    Ok(records)
}

/// A table as it will be: columns that come with the growth are null in the rows that are there, and replayed rows come.
fn as_it_will_be(
    provider: Arc<dyn TableProvider>,
    table: &TableSpec,
    rows: Option<&Vec<RecordBatch>>,
) -> Result<Arc<dyn TableProvider>, String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    let there = provider.schema();
    let columns = table
        .stored_schema()
        .fields()
        .iter()
        .map(|it| match there.field_with_name(it.name()) {
            Ok(_) => ident(it.name()),
            Err(_) => cast(lit(ScalarValue::Null), it.data_type().clone()).alias(it.name()),
        })
        .collect::<Vec<_>>();
    let session = SessionContext::new();
    let frame = session.read_table(provider).map_err(text)?;
    let frame = frame.select(columns).map_err(text)?;
    let Some(rows) = rows.filter(|it| !it.is_empty()) else {
        return Ok(frame.into_view());
    };
    let more = MemTable::try_new(rows[0].schema(), vec![rows.clone()]).map_err(text)?;
    let more = session.read_table(Arc::new(more)).map_err(text)?;
    Ok(frame.union(more).map_err(text)?.into_view())
}

/// Columns of a source that are read from it itself: by filled views, and for their late records.
fn read_columns(dataflow: &Dataflow, filled: &BTreeSet<String>, source: &str) -> BTreeSet<usize> {
    let mut read = BTreeSet::new();
    for view in &dataflow.views {
        let counts_late = view.plan.counts_late();
        view.plan.walk(&mut |node| match node {
            Plan::Relation { name, columns, .. }
                if name == source && (counts_late || filled.contains(&view.name)) =>
            {
                read.extend(columns);
            }
            _ => {}
        });
    }
    read
}

/// A source as its archive has it, as far as it is read; nothing if the archive lacks a column that is.
fn source_of(
    archive: &Arc<dyn TableProvider>,
    source: &SourceSpec,
    table: &TableSpec,
    read: &BTreeSet<usize>,
) -> Result<Option<Arc<dyn TableProvider>>, String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    let (schema, stored) = (source.schema(), table.plan.schema());
    let mut selected = Vec::new();
    let kept = sql::kept_columns(source, table);
    for (at, (column, kept)) in schema.fields().iter().zip(kept).enumerate() {
        let value = match kept {
            Some(it) => ident(stored.field(it).name()),
            None if read.contains(&at) => return Ok(None),
            None => cast(lit(ScalarValue::Null), column.data_type().clone()),
        };
        selected.push(value.alias(column.name()));
    }
    if table.event_time.is_some() {
        selected.push(ident(LATE_COLUMN));
    }
    let frame = SessionContext::new()
        .read_table(Arc::clone(archive))
        .map_err(text)?;
    Ok(Some(frame.select(selected).map_err(text)?.into_view()))
}

/// Rows of each view that can change no more, and the others.
fn closed_and_open(
    dataflow: &Dataflow,
    settings: &engine::Settings,
    clocks: &BTreeMap<String, ClockState>,
    epoch: Epoch,
    rows: BTreeMap<String, Vec<Row>>,
) -> BTreeMap<String, (Vec<Row>, Vec<Row>)> {
    let of_view = |(name, rows): (String, Vec<Row>)| {
        let kind = dataflow.view(&name).map(|it| it.kind);
        if kind == Some(ViewKind::Records) {
            return (name, (rows, Vec::new()));
        }
        let end = dataflow
            .view(&name)
            .and_then(|it| closing(it, settings, clocks, epoch));
        let is_closed = |row: &Row| {
            end.is_some_and(|(column, end)| row.0[column].as_i64().is_some_and(|it| it <= end))
        };
        (name, rows.into_iter().partition(is_closed))
    };
    rows.into_iter().map(of_view).collect()
}

/// Up to which value of which column rows of a windowed view are closed.
fn closing(
    view: &ViewSpec,
    settings: &engine::Settings,
    clocks: &BTreeMap<String, ClockState>,
    epoch: Epoch,
) -> Option<(usize, i64)> {
    let ViewKind::Windowed { column, add_us } = view.kind else {
        return None;
    };
    let watermark = engine::stored_watermark(&view.clocks, clocks, &settings.clocks, epoch.0 + 1)?;
    Some((column, watermark.saturating_sub(add_us)))
}

/// Writes the rows of filled views and those that a replay brings; returns the log actions that will show them, and the bucket of open rows that each holds.
async fn stage(
    dataflow: &Dataflow,
    store: &Store,
    epoch: Epoch,
    writer: &str,
    rows: BTreeMap<String, (Vec<Row>, Vec<Row>)>,
    replay: &Replay,
) -> Result<BTreeMap<String, Vec<(Value, Option<u32>)>>, Error> {
    let label = format!("g-{}", &writer[..8]);
    let uploads = Arc::default();
    let runtime = tokio::runtime::Handle::current();
    let mut stager = Stager::new(store.clone(), runtime, label, uploads);
    let dead = dataflow.tables.iter().find(|it| it.source.is_empty());
    for layout in outputs::layouts(dataflow) {
        for rows in replay.rows.get(&layout.name).into_iter().flatten() {
            stager.append(&layout, epoch, rows)?;
        }
        if dead.is_some_and(|it| it.name == layout.name) {
            for rows in replay.rewritten()?.iter().filter(|it| 0 < it.num_rows()) {
                stager.append(&layout, epoch, rows)?;
            }
        }
        let Some((closed, open)) = rows.get(&layout.name) else {
            continue;
        };
        for (rows, bucket) in [(closed, None), (open, Some(0))] {
            for rows in rows.chunks(FILE_ROWS) {
                stager.write(&layout, epoch, rows.to_vec(), bucket);
            }
        }
    }
    let mut files: BTreeMap<String, Vec<(Value, Option<u32>)>> = BTreeMap::new();
    for staged in stager.finish(epoch, true)? {
        let (table, add, _rows, bucket) = staged.durable().await?;
        files.entry(table).or_default().push((add, bucket));
    }
    Ok(files)
}
