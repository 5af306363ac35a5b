//! `/api/v1/lake`: what the lake is made of and when it was looked after; and its upkeep, as `tidelake lake` does it.
//!
//! ```text
//! GET  /api/v1/lake                    every table with its version, files and retention; the last upkeep; requests that wait
//! GET  /api/v1/lake/tables/{table}     files and newest versions of one
//! POST /api/v1/lake/optimize           a job: leaves a request in the lake, which whoever holds it does with its next commits
//! POST /api/v1/lake/vacuum             a job: deletes what no version within the retention needs, or only says what that is
//! ```

use super::App;
use super::apart::quoted;
use super::jobs::{Job, JobKind, New, OptimizedTable, Outcome, Step, Vacuumed, WasteOfTable};
use super::problem::Problem;
use crate::auth::Caller;
use crate::coordinator::{self, upkeep};
use crate::lake::{
    LastUpkeep, OptimizeRequest, Optimized, Store, TableLayout, Upkeep, VersionFacts, Wanted,
    Waste, Why,
};
use crate::model::{Epoch, wall_ms};
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json as JsonBody;
use futures::StreamExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The largest files are listed, up to so many.
const FILES_MAX: usize = 200;
/// Versions of a table that are listed.
const VERSIONS_LISTED: usize = 20;
/// Tables that are opened at once.
const TABLES_AT_ONCE: usize = 4;
/// Versions stay readable for so long unless something else is said.
const RETENTION_HOURS: u16 = 168;
const OPTIMIZE_FORM: &str = "send {}, {\"tables\": [\"logs\"]}, or {\"tables\": [\"logs\"], \"zorder\": [\"a\", \"b\"], \"where\": {\"date\": \"2026-01-31\"}}";
const VACUUM_FORM: &str = "send {} for a dry run, {\"dry_run\": false} to delete, and {\"retention_hours\": 24} for another retention";

/// The lake of this dataflow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeState {
    pub address: String,
    /// In the order of their names.
    pub tables: Vec<LakeTableState>,
    /// For so long the engine keeps versions readable; null if this server does not know.
    pub version_retention_hours: Option<u64>,
    /// How often the engine puts small files together by itself; null if it does not.
    pub optimize_every_hours: Option<u64>,
    /// When files of any table were last written anew as a whole, by the engine or on request. Null if that was never noted, as of the others.
    pub last_optimize: Option<UpkeepDone>,
    /// When somebody last vacuumed. The engine deletes old versions by itself as well, with its log checkpoints.
    pub last_vacuum: Option<UpkeepDone>,
    pub last_backup: Option<UpkeepDone>,
    /// Requests to optimize that the engine has not answered yet, whoever left them.
    pub requests: Vec<OptimizeAsked>,
}

/// When a lake was looked after.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UpkeepDone {
    pub at: String,
    /// Files written anew, deleted or copied, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// Where a backup is.
    pub place: Option<String>,
}

/// A request to write files anew.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OptimizeAsked {
    pub asked: String,
    /// All if there are none.
    pub tables: Vec<String>,
    pub zorder: Vec<String>,
}

/// A table, in short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeTableState {
    pub name: String,
    /// `table` of records, or a stored `view`.
    pub kind: String,
    /// Why it cannot be read; then nothing else is told of it.
    pub problem: Option<String>,
    pub version: Option<u64>,
    /// When the newest version was written, and by which operation.
    pub written: Option<String>,
    pub operation: Option<String>,
    pub file_count: Option<usize>,
    pub bytes: Option<u64>,
    /// Null if a file does not say.
    pub rows: Option<u64>,
    /// Files of less than 8 MiB that may be put together, and files that the next commits replace; null in a process that does not commit.
    pub small_files: Option<u64>,
    pub open_files: Option<u64>,
    /// Files that the commits of a day write, at the pace of the last hour; null before an hour has passed.
    pub files_written_per_day: Option<u64>,
    /// By how many a day's commits change the number of files that readers see.
    pub files_growth_per_day: Option<i64>,
    /// For how long rows are kept; null for ever.
    pub retention_seconds: Option<i64>,
    /// Columns that become folders.
    pub partition_by: Vec<String>,
    /// Columns by which its rows can be put in Z-order.
    pub order_columns: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeTable {
    pub name: String,
    pub location: String,
    pub version: u64,
    pub file_count: usize,
    pub bytes: u64,
    /// Null if a file does not say.
    pub rows: Option<u64>,
    pub files: Vec<LakeFile>,
    /// Newest first.
    pub versions: Vec<LakeVersion>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeFile {
    pub path: String,
    pub bytes: u64,
    pub rows: Option<u64>,
}

/// One version of a table, and what it did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LakeVersion {
    pub version: u64,
    pub written: Option<String>,
    pub operation: String,
    /// Of whom wrote it: the program and its version.
    pub by: Option<String>,
    /// The commit it belongs to, and up to when its records are.
    pub commit: Option<u64>,
    pub as_of: Option<String>,
    pub files_added: u64,
    pub files_removed: u64,
    /// Of the files that it added; null if one does not say.
    pub rows_added: Option<u64>,
    pub bytes_added: u64,
    pub bytes_removed: u64,
}

impl From<VersionFacts> for LakeVersion {
    fn from(it: VersionFacts) -> Self {
        LakeVersion {
            version: it.version,
            written: it.written_ms.map(|ms| Epoch(ms).iso()),
            operation: it.operation,
            by: it.engine,
            commit: it.commit,
            as_of: it.epoch.filter(|it| Epoch(0) < *it).map(Epoch::iso),
            files_added: it.files_added,
            files_removed: it.files_removed,
            rows_added: it.rows_added,
            bytes_added: it.bytes_added,
            bytes_removed: it.bytes_removed,
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizeBody {
    /// All tables if none is named.
    tables: Vec<String>,
    /// Columns by which rows that are alike in all of them lie together; none to put small files together as they are.
    zorder: Vec<String>,
    /// Only folders with these values of partition columns.
    r#where: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VacuumBody {
    /// Only says what would be deleted.
    dry_run: bool,
    /// Hours for which versions stay readable, 1 to 168; as the engine keeps them if left out.
    retention_hours: Option<u16>,
}

impl Default for VacuumBody {
    fn default() -> Self {
        VacuumBody {
            dry_run: true,
            retention_hours: None,
        }
    }
}

/// What was sent; nothing stands for `{}`.
pub fn body_of<T: DeserializeOwned>(body: &Bytes, form: &str) -> Result<T, Problem> {
    let body = match body.is_empty() {
        true => b"{}".as_slice(),
        false => body,
    };
    serde_json::from_slice(body).map_err(|it| {
        let text = format!("the request body could not be read: {it}");
        Problem::bad_request("bad_body", text).hint(form)
    })
}

fn store_of(app: &App) -> Result<&Store, Problem> {
    app.queries.lake().store().ok_or_else(|| {
        let text = "this server has no lake";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no_lake", text)
    })
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    let text = format!("the lake could not be read: {error}");
    Problem::new(StatusCode::BAD_GATEWAY, "lake_failed", text)
}

/// An error with what caused it.
fn with_causes(error: &coordinator::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(it) = cause {
        text.push_str(": ");
        text.push_str(&it.to_string());
        cause = it.source();
    }
    text
}

pub async fn state(State(app): State<Arc<App>>) -> Result<JsonBody<LakeState>, Problem> {
    let store = store_of(&app)?;
    let dataflow = app.dataflow.name.as_str();
    let last = async |upkeep| {
        let found = store.last_upkeep(dataflow, upkeep).await;
        let told = |it: LastUpkeep| UpkeepDone {
            at: Epoch(it.at_ms).iso(),
            files: it.files,
            bytes: it.bytes,
            place: it.place,
        };
        found.map(|it| it.map(told)).map_err(|it| failed(&it))
    };
    let asked = store.upkeep_asked(dataflow).await;
    let asked = asked.map_err(|it| failed(&it))?;
    // One that cannot be understood is answered as such, and soon gone.
    let requests = asked.into_iter().filter_map(|(_, it)| it.ok());
    let requests = requests.map(|it| OptimizeAsked {
        asked: Epoch(it.asked_ms).iso(),
        tables: it.tables,
        zorder: it.wanted.order,
    });
    let committed = app.status.status().commit;
    let mut layouts = coordinator::layouts(&app.dataflow);
    layouts.sort_by(|a, b| a.name.cmp(&b.name));
    let tables = futures::stream::iter(layouts)
        .map(|layout| {
            let (app, committed) = (&*app, committed.as_ref());
            async move { table_state(app, store, &layout, committed).await }
        })
        .buffered(TABLES_AT_ONCE);
    let hours = |it: Duration| it.as_secs() / 3600;
    Ok(JsonBody(LakeState {
        address: app.queries.lake().address().unwrap_or_default(),
        requests: requests.collect(),
        last_optimize: last(Upkeep::Optimize).await?,
        last_vacuum: last(Upkeep::Vacuum).await?,
        last_backup: last(Upkeep::Backup).await?,
        version_retention_hours: app.keeping.versions_for.map(hours),
        optimize_every_hours: app.keeping.optimizes_every.map(hours),
        tables: tables.collect().await,
    }))
}

async fn table_state(
    app: &App,
    store: &Store,
    layout: &TableLayout,
    committed: Option<&super::CommitInfo>,
) -> LakeTableState {
    let name = &layout.name;
    let table = app.dataflow.tables.iter().find(|it| it.name == *name);
    let is_view = app.dataflow.views.iter().any(|it| it.name == *name);
    let retention = table.and_then(|it| it.retention.as_ref());
    let files = committed.and_then(|it| it.files.get(name));
    let fits = |column: &&String| {
        let wanted = Wanted {
            order: vec![(*column).clone()],
            ..Wanted::default()
        };
        wanted.objection(layout).is_none()
    };
    let columns = layout.schema.fields().iter();
    let columns: Vec<String> = columns.map(|it| it.name().clone()).collect();
    let mut state = LakeTableState {
        name: name.clone(),
        kind: if is_view { "view" } else { "table" }.to_owned(),
        problem: None,
        version: None,
        written: None,
        operation: None,
        file_count: None,
        bytes: None,
        rows: None,
        small_files: files.map(|it| it.small),
        open_files: files.map(|it| it.open),
        files_written_per_day: files.and_then(|it| it.written_per_day),
        files_growth_per_day: files.and_then(|it| it.growth_per_day),
        retention_seconds: retention.map(|it| it.keep_us / 1_000_000),
        partition_by: layout.partition_by.clone(),
        order_columns: columns.iter().filter(fits).cloned().collect(),
    };
    let newest = store.versions(name, 1).await;
    match (store.files_of(name, None).await, newest) {
        (Ok((version, files)), Ok(newest)) => {
            let newest = newest.into_iter().next();
            state.version = Some(version);
            state.file_count = Some(files.len());
            state.bytes = Some(files.iter().map(|it| it.bytes).sum());
            state.rows = files.iter().map(|it| it.rows).sum();
            state.written = newest
                .as_ref()
                .and_then(|it| it.written_ms)
                .map(|ms| Epoch(ms).iso());
            state.operation = newest.map(|it| it.operation);
        }
        (Err(error), _) | (_, Err(error)) => state.problem = Some(error.to_string()),
    }
    state
}

pub async fn table(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<JsonBody<LakeTable>, Problem> {
    let names = app.queries.lake().names();
    if !names.contains(&name) {
        return Err(
            Problem::not_found("unknown_table", format!("the lake has no table `{name}`"))
                .hint(format!("there are: {}", names.join(", "))),
        );
    }
    let unreadable = |it: &dyn std::fmt::Display| {
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "lake_failed",
            format!("table `{name}` could not be read: {it}"),
        )
    };
    let details = app.queries.lake().details(&name).await;
    let details = details.map_err(|it| unreadable(&it))?;
    let versions = store_of(&app)?.versions(&name, VERSIONS_LISTED).await;
    let versions = versions.map_err(|it| unreadable(&it))?;
    let mut files = details.files;
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    Ok(JsonBody(LakeTable {
        name,
        location: details.location,
        version: details.version,
        file_count: files.len(),
        bytes: files.iter().map(|it| it.bytes).sum(),
        rows: files.iter().map(|it| it.rows).sum(),
        files: files
            .into_iter()
            .take(FILES_MAX)
            .map(|it| LakeFile {
                path: it.path,
                bytes: it.bytes,
                rows: it.rows,
            })
            .collect(),
        versions: versions.into_iter().map(LakeVersion::from).collect(),
    }))
}

/// `tidelake lake …` as a person types it.
fn command_of(app: &App, arguments: &[String]) -> String {
    let address = app.queries.lake().address().unwrap_or_default();
    let own = [
        "--lake".to_owned(),
        address,
        "--dataflow".to_owned(),
        app.dataflow.name.clone(),
    ];
    let all: Vec<String> = arguments.iter().chain(&own).map(|it| quoted(it)).collect();
    format!("tidelake lake {}", all.join(" "))
}

pub async fn optimize(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<JsonBody<Job>, Problem> {
    let body: OptimizeBody = body_of(&body, OPTIMIZE_FORM)?;
    let store = store_of(&app)?.clone();
    let mut arguments = vec!["optimize".to_owned()];
    arguments.extend(body.tables.iter().cloned());
    if !body.zorder.is_empty() {
        arguments.extend(["--zorder".to_owned(), body.zorder.join(",")]);
    }
    for (column, value) in &body.r#where {
        arguments.extend(["--where".to_owned(), format!("{column}={value}")]);
    }
    let request = OptimizeRequest {
        tables: body.tables,
        wanted: Wanted {
            order: body.zorder,
            only: body.r#where,
        },
        asked_ms: wall_ms(),
    };
    // What is wrong is said at once.
    if let Some(reason) = upkeep::refusal(&request, &app.dataflow) {
        return Err(Problem::bad_request("cannot_optimize", reason)
            .hint("GET /api/v1/lake lists the tables, with their order_columns and partition_by"));
    }
    let new = New::of(JobKind::Optimize, command_of(&app, &arguments), caller);
    let id = upkeep::request_id(&request);
    let dataflow = app.dataflow.name.clone();
    let withdraw = {
        let (store, dataflow, id) = (store.clone(), dataflow.clone(), id.clone());
        async move { take_back(&store, &dataflow, &id).await }
    };
    let work = |step: Step| async move {
        step.at("asked; the engine does it with its next commits");
        match upkeep::ask(&store, &dataflow, &id, &request).await {
            Ok(Some(done)) => Ok(Outcome {
                problem: done.problem.clone(),
                optimized: Some(optimized_of(done)),
                ..Outcome::default()
            }),
            Ok(None) => Err("nobody holds the lake any more; ask again once the pipeline runs, or run the command in a shell".to_owned()),
            Err(error) => {
                take_back(&store, &dataflow, &id).await;
                Err(with_causes(&error))
            }
        }
    };
    app.jobs.start(new, work, withdraw).map(JsonBody)
}

async fn take_back(store: &Store, dataflow: &str, id: &str) {
    if let Err(error) = store.take_back_upkeep(dataflow, id).await {
        tracing::warn!(%error, "a request to optimize could not be taken back, and will be done");
    }
}

fn optimized_of(done: Optimized) -> Vec<OptimizedTable> {
    let tables = done.tables.into_iter();
    let table = |(table, it): (String, crate::lake::Rewritten)| OptimizedTable {
        table,
        files_before: it.files_before,
        files_after: it.files_after,
        bytes_before: it.bytes_before,
        bytes_after: it.bytes_after,
    };
    tables.map(table).collect()
}

pub async fn vacuum(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<JsonBody<Job>, Problem> {
    let VacuumBody {
        dry_run,
        retention_hours,
    } = body_of(&body, VACUUM_FORM)?;
    let own_hours = app.keeping.versions_for.map(|it| it.as_secs() / 3600);
    let own_hours = own_hours.and_then(|it| u16::try_from(it).ok());
    let hours = retention_hours.or(own_hours).unwrap_or(RETENTION_HOURS);
    if !(1..=RETENTION_HOURS).contains(&hours) {
        let text = format!("`retention_hours` must be from 1 to {RETENTION_HOURS}");
        return Err(Problem::bad_request("bad_body", text).hint(VACUUM_FORM));
    }
    let store = store_of(&app)?.clone();
    let mut arguments = ["vacuum", "--retention"].map(str::to_owned).to_vec();
    arguments.push(hours.to_string());
    if dry_run {
        arguments.push("--dry-run".to_owned());
    }
    let new = New::of(JobKind::Vacuum, command_of(&app, &arguments), caller);
    let dataflow = app.dataflow.name.clone();
    let work = move |step: Step| async move {
        step.at(match dry_run {
            true => "looking for what is not needed",
            false => "looking for what is not needed, and deleting it",
        });
        let keep = Duration::from_secs(3600 * u64::from(hours));
        let found = upkeep::vacuum(&store, &dataflow, keep, dry_run).await;
        let found = found.map_err(|it| with_causes(&it))?;
        Ok(Outcome {
            vacuumed: Some(vacuumed_of(&found, hours, dry_run)),
            ..Outcome::default()
        })
    };
    app.jobs
        .start(new, work, std::future::ready(()))
        .map(JsonBody)
}

fn vacuumed_of(found: &BTreeMap<String, Vec<Waste>>, hours: u16, dry_run: bool) -> Vacuumed {
    let mut sums: BTreeMap<(&str, Why), (u64, u64)> = BTreeMap::new();
    for (table, waste) in found {
        for it in waste {
            let sum = sums.entry((table, it.why)).or_default();
            *sum = (sum.0 + 1, sum.1 + it.bytes);
        }
    }
    let code = |why: Why| {
        let code = serde_json::to_value(why).ok();
        code.and_then(|it| Some(it.as_str()?.to_owned()))
            .unwrap_or_default()
    };
    Vacuumed {
        dry_run,
        retention_hours: hours,
        files: sums.values().map(|it| it.0).sum(),
        bytes: sums.values().map(|it| it.1).sum(),
        waste: sums
            .into_iter()
            .map(|((table, why), (files, bytes))| WasteOfTable {
                table: table.to_owned(),
                why: code(why),
                what: why.text().to_owned(),
                files,
                bytes,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waste_is_summed_by_table_and_reason() {
        let waste = |path: &str, bytes, why| Waste {
            path: path.to_owned(),
            bytes,
            why,
        };
        let found = BTreeMap::from([
            (
                "logs".to_owned(),
                vec![
                    waste("logs/_delta_log/1.json", 3, Why::OldVersion),
                    waste("logs/a.parquet", 10, Why::Replaced),
                    waste("logs/b.parquet", 20, Why::Replaced),
                ],
            ),
            (
                "_tidelake".to_owned(),
                vec![waste("_tidelake/d/state/1", 5, Why::State)],
            ),
        ]);
        let told = vacuumed_of(&found, 24, true);
        assert_eq!((told.files, told.bytes, told.dry_run), (4, 38, true));
        let rows: Vec<_> = told
            .waste
            .iter()
            .map(|it| (it.table.as_str(), it.why.as_str(), it.files, it.bytes))
            .collect();
        assert_eq!(
            rows,
            [
                ("_tidelake", "state", 1, 5),
                ("logs", "old_version", 1, 3),
                ("logs", "replaced", 2, 30)
            ]
        );
    }

    #[test]
    fn a_body_may_be_left_out_and_has_no_other_members() {
        let body = |text: &'static str| body_of::<VacuumBody>(&Bytes::from(text), VACUUM_FORM);
        assert!(body("").expect("nothing is {}").dry_run);
        assert!(!body(r#"{"dry_run": false}"#).expect("a body").dry_run);
        for wrong in [r#"{"dry": false}"#, r#"{"dry_run": 1}"#, "[", "null"] {
            let problem = body(wrong).expect_err(wrong);
            assert_eq!((problem.status.as_u16(), problem.code), (400, "bad_body"));
            assert_eq!(problem.hint, VACUUM_FORM);
        }
    }
}
