//! What handlers share, for tests: views that stay as they are, no lake, and nothing to tell of the process.

use super::{App, Status, StatusSource};
use crate::model::{Epoch, Row};
use crate::plan::Dataflow;
use crate::sql::query::{LakeTables, Limits, Queries, TableDetails};
use crate::view::{Hub, Part, ViewInfo};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Serves these views, given by name, columns and rows, at epoch 100.
pub fn app_of(views: Vec<(&str, Vec<Field>, Vec<Row>)>, dataflow: Dataflow) -> Arc<App> {
    let mut infos = Vec::new();
    let mut changes = Vec::new();
    for (at, (name, columns, rows)) in views.into_iter().enumerate() {
        infos.push(ViewInfo {
            name: name.to_owned(),
            schema: Arc::new(Schema::new(columns)),
            sql: String::new(),
            window: None,
        });
        changes.extend(rows.into_iter().map(|it| (at, Epoch(100), it, 1)));
    }
    let hub = Hub::new(infos, 1, Vec::new(), 1, Epoch(0));
    hub.publish(Part {
        through: Epoch(100),
        changes,
        ..Part::default()
    });
    let dataflow = Arc::new(dataflow);
    let queries = Queries::new(
        Arc::clone(&hub),
        Arc::clone(&dataflow),
        Arc::new(NoLake),
        Limits::default(),
    )
    .expect("threads can be had");
    App::new(hub, queries, dataflow, Arc::new(NoStatus), vec![], None)
}

struct NoLake;

impl LakeTables for NoLake {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn provider<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn TableProvider>, String>> {
        Box::pin(async move { Err(format!("no table {name}")) })
    }
    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<TableDetails, String>> {
        Box::pin(async move { Err(format!("no table {name}")) })
    }
}

struct NoStatus;

impl StatusSource for NoStatus {
    fn status(&self) -> Status {
        Status::default()
    }
}
