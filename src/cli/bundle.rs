//! `bundle`: what somebody needs who is to find out what is wrong, in one file. No records, no secrets.
//!
//! ```text
//! tidelake-bundle/
//!   about.txt           version, machine, when
//!   doctor.txt          what `tidelake doctor` finds
//!   settings.toml       what `tidelake config show --origin` prints
//!   dataflow/           dataflow.sql and page.toml
//!   check.txt           what `tidelake check` says of it
//!   server/             answers of the running server: status, pipeline, relations, version, metrics
//!   lake.json           the newest commit of each dataflow: epochs, offsets, versions, files and bytes
//!   logs/               ends of the log files that were named
//! ```
//!
//! Each text passes the same place that takes secrets out of the log. What could not be had is a line in `about.txt`.

use super::config;
use super::doctor;
use super::server::ServerArguments;
use super::settings::Settings;
use crate::lake::{Manifest, Store};
use crate::model::{Epoch, secret, wall_ms};
use anyhow::{Context, Result};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Of the end of each log.
const LOG_BYTES: u64 = 2 << 20;
/// What is asked of the server. None of them answers with records.
const ANSWERS: [(&str, &str); 5] = [
    ("status.json", "/api/v1/status"),
    ("pipeline.json", "/api/v1/pipeline"),
    ("tables.json", "/api/v1/tables"),
    ("version.json", "/api/v1/version"),
    ("metrics.txt", "/metrics"),
];

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    about: doctor::Arguments,
    /// Take the end of this log file, too.
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// The file to write. [default: tidelake-bundle-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Texts by their names, and what could not be had.
#[derive(Default)]
struct Bundle {
    files: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Bundle {
    fn add(&mut self, name: impl Into<String>, text: &str) {
        self.files
            .push((name.into(), secret::redact(text).into_owned()));
    }

    fn lacks(&mut self, what: &str, why: impl std::fmt::Display) {
        self.missing
            .push(format!("{what}: {}", secret::redact(&why.to_string())));
    }

    /// As a compressed archive.
    fn archive(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(wall_ms() / 1000);
            archive.append_data(
                &mut header,
                format!("tidelake-bundle/{name}"),
                text.as_bytes(),
            )?;
        }
        archive.into_inner()?.finish()
    }
}

/// Writes the archive and says what is in it.
///
/// # Errors
/// If it cannot be written.
pub async fn run(
    arguments: &Arguments,
    settings: &Settings,
    definition: &clap::Command,
) -> Result<()> {
    let mut bundle = Bundle::default();
    let (found, _) = doctor::found(&arguments.about, settings).await?;
    bundle.add("doctor.txt", &found);
    let path = arguments.about.dataflow.as_deref();
    match config::Found::of(path, "run", settings, definition) {
        Ok(found) => bundle.add("settings.toml", &found.as_toml(true)),
        Err(error) => bundle.lacks("settings.toml", error),
    }
    if let Some(path) = path {
        of_the_dataflow(path, settings, &mut bundle).await;
    }
    of_the_server(&arguments.about.server, &mut bundle).await?;
    of_the_lake(&arguments.about.lake, &mut bundle).await;
    for log in &arguments.log {
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        match end_of(log) {
            Ok(text) => bundle.add(format!("logs/{name}"), &text),
            Err(error) => bundle.lacks(&format!("logs/{name}"), error),
        }
    }
    let about = about(&bundle.missing);
    bundle.add("about.txt", &about);

    let now = Epoch(wall_ms()).iso().replace([':', '.'], "-");
    let default = || PathBuf::from(format!("tidelake-bundle-{now}.tar.gz"));
    let output = arguments.output.clone().unwrap_or_else(default);
    let failed = || format!("could not write {}", output.display());
    let content = bundle.archive().with_context(failed)?;
    let mut file = std::fs::File::create(&output).with_context(failed)?;
    file.write_all(&content).with_context(failed)?;
    for (name, text) in &bundle.files {
        println!("  {name}, {} bytes", text.len());
    }
    for missing in &bundle.missing {
        println!("  without {missing}");
    }
    println!(
        "{} has no records; secrets are ***. Look into it before you send it.",
        output.display()
    );
    Ok(())
}

fn about(missing: &[String]) -> String {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut text = format!("tidelake {}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "written {}", Epoch(wall_ms()).iso());
    let _ = writeln!(text, "{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let _ = writeln!(text, "{}", read("/proc/version"));
    let release = read("/etc/os-release");
    let name = release.lines().find(|it| it.starts_with("PRETTY_NAME="));
    let _ = writeln!(text, "{}", name.unwrap_or_default());
    for it in missing {
        let _ = writeln!(text, "without {it}");
    }
    text
}

async fn of_the_dataflow(path: &Path, settings: &Settings, bundle: &mut Bundle) {
    let folder = match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(path),
    };
    for name in ["dataflow.sql", "page.toml"] {
        match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => bundle.add(format!("dataflow/{name}"), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name == "page.toml" => {}
            Err(error) => bundle.lacks(&format!("dataflow/{name}"), error),
        }
    }
    match super::check::text_of(path, settings).await {
        Ok(text) => bundle.add("check.txt", &text),
        Err(error) => bundle.lacks("check.txt", format!("{error:#}")),
    }
}

async fn of_the_server(server: &ServerArguments, bundle: &mut Bundle) -> Result<()> {
    let client = server.client()?;
    for (name, path) in ANSWERS {
        let asked = client
            .get(format!("{}{path}", server.address))
            .timeout(ANSWER_WITHIN)
            .send()
            .await;
        let text = match asked.and_then(reqwest::Response::error_for_status) {
            Ok(answer) => answer.text().await,
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => bundle.add(format!("server/{name}"), &text),
            Err(error) => bundle.lacks(
                &format!("server/{name}"),
                format!("{:#}", anyhow::Error::from(error)),
            ),
        }
    }
    Ok(())
}

async fn of_the_lake(lake: &str, bundle: &mut Bundle) {
    let manifests = async { Store::open_existing(lake)?.newest_manifests().await };
    match manifests.await {
        Ok(manifests) => {
            let all: Value = manifests.iter().map(without_records).collect();
            bundle.add("lake.json", &format!("{all:#}\n"));
        }
        Err(error) => bundle.lacks("lake.json", format!("{:#}", anyhow::Error::from(error))),
    }
}

/// A commit without the statistics of its files, which are values of records, and without rows of open windows.
fn without_records(manifest: &Manifest) -> Value {
    let tables: serde_json::Map<String, Value> = manifest
        .tables
        .iter()
        .map(|(name, entry)| {
            let facts = json!({
                "commit": entry.commit,
                "actions": entry.actions.len(),
                "open_files": entry.open_files.len(),
                "small_files": entry.small_files.len(),
            });
            (name.clone(), facts)
        })
        .collect();
    let state = manifest
        .state_full
        .iter()
        .chain(&manifest.state_differences);
    json!({
        "dataflow": manifest.dataflow,
        "number": manifest.number,
        "generation": manifest.generation,
        "epoch": manifest.epoch.iso(),
        "written": Epoch(manifest.written_ms).iso(),
        "holder": manifest.holder,
        "offsets": manifest.offsets,
        "clocks": manifest.clocks,
        "totals": manifest.totals,
        "state_bytes": state.map(|it| it.bytes).sum::<u64>(),
        "tables": tables,
    })
}

/// The end of a log.
fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line may have lost its beginning, and with it what tells that something in it is a secret.
    Ok(match (length <= LOG_BYTES, text.split_once('\n')) {
        (true, _) | (false, None) => text,
        (false, Some((_, rest))) => rest.to_owned(),
    })
}
