//! `/api/v1/receipts/{view}`: where a number comes from. Its query, the epoch it is of, how far the sources had been read,
//! and the version of the stored table, so that anyone can compute it again.

use super::App;
use super::problem::Problem;
use crate::model::iso_of_micros;
use axum::extract::{Path, State};
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize, JsonSchema)]
pub struct Receipt {
    pub view: String,
    /// The definition of the view.
    pub sql: String,
    /// A query that yields its rows now.
    pub query: String,
    pub epoch: u64,
    pub as_of: String,
    pub rows: u64,
    /// Event time up to which its windows are complete.
    pub watermark: Option<String>,
    /// How far the sources were read when this was asked: at the epoch or just after it.
    pub offsets: Vec<ReceiptOffset>,
    pub stored: Option<ReceiptStored>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptOffset {
    pub source: String,
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The next to read as of the stored version.
    pub committed: Option<i64>,
}

/// The same view as the lake has it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptStored {
    pub table: String,
    pub version: i64,
    pub commit: u64,
    pub epoch: u64,
    pub as_of: String,
}

pub async fn receipt(
    State(app): State<Arc<App>>,
    Path(view): Path<String>,
) -> Result<JsonBody<Receipt>, Problem> {
    let Some((info, rows)) = app.hub.views().into_iter().find(|it| it.0.name == view) else {
        return Err(
            Problem::not_found("unknown_view", format!("there is no live view `{view}`"))
                .hint("GET /api/v1/views lists them"),
        );
    };
    let status = app.status.status();
    let epoch = app.hub.epoch();
    let window = info.window.as_ref();
    let watermark = window.and_then(|it| it.watermark(&app.hub.watermarks()));
    let offsets = status.sources.iter().flat_map(|source| {
        source.partitions.iter().map(|it| ReceiptOffset {
            source: source.name.clone(),
            partition: it.partition,
            offset: it.offset,
            committed: it.committed,
        })
    });
    let stored = status.commit.as_ref().and_then(|commit| {
        Some(ReceiptStored {
            table: view.clone(),
            version: *commit.versions.get(&view)?,
            commit: commit.number,
            epoch: commit.epoch.0,
            as_of: commit.epoch.iso(),
        })
    });
    Ok(JsonBody(Receipt {
        query: format!("SELECT * FROM {}", super::filter::quoted_name(&view)),
        view,
        sql: info.sql,
        epoch: epoch.0,
        as_of: epoch.iso(),
        rows: rows as u64,
        watermark: watermark.map(iso_of_micros),
        offsets: offsets.collect(),
        stored,
    }))
}
