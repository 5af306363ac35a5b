//! `tail`: changes of a view, as a running server tells them.

use super::sql::{printable_json, problem, unreachable};
use anyhow::Result;
use futures::StreamExt;
use serde_json::Value;

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
        .map_err(|it| unreachable(server, &it))?;
    if !response.status().is_success() {
        return Err(super::exit::coded(
            super::exit::REFUSED,
            problem(&response.text().await?),
        ));
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
                println!("  {}", printable_json(row));
            }
        }
        "changes" => {
            for change in data["changes"].as_array().into_iter().flatten() {
                let sign = if change["diff"].as_i64().unwrap_or(0) < 0 {
                    '-'
                } else {
                    '+'
                };
                println!("{sign} {}", printable_json(&change["row"]));
            }
        }
        "bye" => eprintln!("the server says: {}", printable_json(&data["reason"])),
        _ => {}
    }
    Ok(())
}
