//! `sql` and `tail`: asking a running server, or a lake without one.

use crate::http::write_csv;
use crate::lake::Store;
use crate::model::{Epoch, Row, rows_of_batch};
use crate::sql::query::{Limits, Queries};
use crate::view::Hub;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Csv,
}

/// A query to a server.
pub async fn sql(server: &str, query: &str, output: Output) -> Result<()> {
    let url = format!("{}/api/v1/sql", server.trim_end_matches('/'));
    let request = reqwest::Client::new()
        .post(&url)
        .json(&serde_json::json!({"query": query}));
    let request = match output {
        Output::Csv => request.header("accept", "text/csv"),
        _ => request,
    };
    let response = request
        .send()
        .await
        .with_context(|| format!("could not reach {server}; is it running?"))?;
    let ok = response.status().is_success();
    let text = response.text().await?;
    if !ok {
        bail!(problem(&text));
    }
    match output {
        Output::Csv => print!("{text}"),
        Output::Json => println!("{}", serde_json::from_str::<Value>(&text)?["rows"]),
        Output::Table => {
            let answer: Value = serde_json::from_str(&text)?;
            let names: Vec<String> = answer["columns"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| text_of(&it["name"]))
                .collect();
            let rows: Vec<Vec<String>> = answer["rows"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|row| names.iter().map(|it| text_of(&row[it])).collect())
                .collect();
            print_table(&names, &rows);
            eprintln!(
                "{} rows as of epoch {} in {} ms",
                rows.len(),
                answer["epoch"],
                answer["elapsed_ms"]
            );
        }
    }
    Ok(())
}

/// A query to the tables of a lake, without a server: `lake.name`, or the bare name.
pub async fn sql_of_lake(uri: &str, query: &str, output: Output) -> Result<()> {
    let store = Store::open(uri)?;
    let tables = store.tables().await?;
    if tables.is_empty() {
        bail!("there are no tables in {uri}");
    }
    let queries = Queries::new(
        Hub::new(Vec::new(), 1, Vec::new(), 0, Epoch(0)),
        Arc::default(),
        Arc::new(super::serve::Lake::of_tables(store, tables)),
        Limits::default(),
    )?;
    let answer = queries
        .run(query, None)
        .await
        .map_err(|it| match it.hint() {
            Some(hint) => anyhow::anyhow!("{it}; {hint}"),
            None => anyhow::anyhow!("{it}"),
        })?;
    let names: Vec<String> = answer
        .schema
        .fields()
        .iter()
        .map(|it| it.name().clone())
        .collect();
    let rows: Vec<Row> = answer.batches.iter().flat_map(rows_of_batch).collect();
    match output {
        Output::Csv => {
            let mut text = String::new();
            let header: Vec<_> = names
                .iter()
                .map(|it| crate::model::Value::Text(it.as_str().into()))
                .collect();
            write_csv(header.iter(), &mut text);
            rows.iter().for_each(|it| write_csv(it.0.iter(), &mut text));
            print!("{text}");
        }
        Output::Json => {
            let object = |row: &Row| -> Value {
                let values = row.0.iter().map(crate::model::Value::to_json);
                Value::Object(names.iter().cloned().zip(values).collect())
            };
            println!("{}", rows.iter().map(object).collect::<Value>());
        }
        Output::Table => {
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| row.0.iter().map(|it| text_of(&it.to_json())).collect())
                .collect();
            print_table(&names, &cells);
            eprintln!("{} rows in {} ms", rows.len(), answer.elapsed.as_millis());
        }
    }
    if answer.truncated {
        eprintln!(
            "there were more rows than {}; add a LIMIT or a filter",
            rows.len()
        );
    }
    Ok(())
}

/// Changes of a view, one line each, until interrupted.
pub async fn tail(server: &str, view: &str, filter: Option<&str>) -> Result<()> {
    let mut url = reqwest::Url::parse(&format!(
        "{}/api/v1/views/{view}/changes",
        server.trim_end_matches('/')
    ))?;
    if let Some(filter) = filter {
        url.query_pairs_mut().append_pair("where", filter);
    }
    let response = reqwest::get(url)
        .await
        .with_context(|| format!("could not reach {server}; is it running?"))?;
    if !response.status().is_success() {
        bail!(problem(&response.text().await?));
    }
    let mut stream = response.bytes_stream();
    let mut pending = Vec::new();
    while let Some(bytes) = stream.next().await {
        pending.extend_from_slice(&bytes?);
        while let Some(end) = pending.windows(2).position(|it| it == b"\n\n") {
            let frame: Vec<u8> = pending.drain(..end + 2).collect();
            print_frame(&String::from_utf8_lossy(&frame))?;
        }
    }
    Ok(())
}

fn print_frame(frame: &str) -> Result<()> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|it| it.strip_prefix(name))
            .map(str::trim)
    };
    let (Some(event), Some(data)) = (field("event:"), field("data:")) else {
        return Ok(());
    };
    let data: Value = serde_json::from_str(data)?;
    match event {
        "snapshot" | "reset" => {
            for row in data["rows"].as_array().into_iter().flatten() {
                println!("  {row}");
            }
        }
        "changes" => {
            for change in data["changes"].as_array().into_iter().flatten() {
                let sign = if change["diff"].as_i64().unwrap_or(0) < 0 {
                    '-'
                } else {
                    '+'
                };
                println!("{sign} {}", change["row"]);
            }
        }
        "bye" => eprintln!("the server says: {}", data["reason"]),
        _ => {}
    }
    Ok(())
}

fn problem(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(it) => match it["hint"].as_str().filter(|it| !it.is_empty()) {
            Some(hint) => format!("{}; {hint}", text_of(&it["detail"])),
            None => text_of(&it["detail"]),
        },
        Err(_) => text.to_owned(),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(it) => it.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

/// Rows under their names, in columns.
pub fn print_table(names: &[String], rows: &[Vec<String>]) {
    let width = |at: usize| {
        rows.iter()
            .map(|it| it[at].chars().count())
            .chain([names[at].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(it, width)| format!("{it:width$}"))
            .collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(names);
    println!(
        "{}",
        widths
            .iter()
            .map(|it| "-".repeat(*it))
            .collect::<Vec<_>>()
            .join("  ")
    );
    rows.iter().for_each(|it| line(it));
}
