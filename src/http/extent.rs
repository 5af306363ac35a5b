//! `/api/v1/logs/extent`: from when to when the log has records, so that a page can begin where they are. Old files are read
//! like new ones, and an hour that ends now shows nothing of them.

use super::App;
use super::entry::tail_table;
use super::filter::quoted_name;
use super::problem::Problem;
use crate::model::{iso_of_micros, rows_of_batch, value_at};
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// Event times of the oldest and the newest record of the log; null before there is one, and if there is no log.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Extent {
    pub from: Option<String>,
    pub to: Option<String>,
}

pub async fn extent(State(app): State<Arc<App>>) -> Result<JsonBody<Extent>, Problem> {
    let Some((number, table)) = tail_table(&app.dataflow) else {
        return Ok(JsonBody(Extent::default()));
    };
    let Some(time) = table.event_time else {
        return Ok(JsonBody(Extent::default()));
    };
    let schema = table.plan.schema();
    let name = schema.field(time).name();
    let mut times: Vec<i64> = Vec::new();
    for batch in app.hub.tail_after(0).iter().filter(|it| it.table == number) {
        let Some(column) = batch.rows.column_by_name(name) else {
            continue;
        };
        let all = (0..column.len()).filter_map(|row| value_at(column.as_ref(), row).as_i64());
        times.extend(all);
    }
    // Before the first commit there is no stored table to ask.
    let commit = app.status.status().commit;
    if commit.is_some_and(|it| it.versions.contains_key(&table.name)) {
        let column = quoted_name(name);
        let sql = format!(
            "SELECT min({column}), max({column}) FROM lake.{}",
            quoted_name(&table.name)
        );
        let answer = app.queries.page(&sql).await?;
        for row in answer.batches.iter().flat_map(rows_of_batch) {
            times.extend(row.0.iter().filter_map(|it| it.as_i64()));
        }
    }
    Ok(JsonBody(Extent {
        from: times.iter().min().map(|it| iso_of_micros(*it)),
        to: times.iter().max().map(|it| iso_of_micros(*it)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::app_of;
    use crate::plan::Dataflow;

    #[tokio::test]
    async fn without_a_log_there_is_no_extent() {
        let app = app_of(vec![], Dataflow::default());
        let JsonBody(extent) = extent(State(app)).await.expect("an answer");
        assert_eq!(extent, Extent::default());
    }
}
