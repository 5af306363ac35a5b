//! `doctor`: looks at everything that a pipeline needs, and says of each what was found and what to do. Changes nothing.

use super::server::ServerArguments;
use super::settings::Settings;
use super::size;
use super::terminal::{Layout, Tone, count};
use crate::coordinator::{Hold, hold, identity};
use crate::http;
use crate::lake::{Manifest, Store};
use crate::model::{secret, wall_ms};
use crate::plan::Dataflow;
use crate::source::kafka;
use crate::source::place::{Input, Inputs, Place};
use crate::sql::models::Models;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Below it a process soon lacks descriptors: each connection and each open file takes one.
const DESCRIPTORS_FEW: usize = 4096;
/// Below it little state fits.
const MEMORY_LITTLE: u64 = 512 << 20;
/// Below it a lake is soon full.
const DISK_LITTLE: u64 = 1 << 30;
/// An event of the newest commit that is older is worth a word, if a process holds the lake.
const COMMIT_OLD_S: u64 = 180;

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql: whether it can run, and whether its sources can be reached.
    pub dataflow: Option<PathBuf>,
    /// As the flag of `run`.
    #[arg(
        long,
        env = "TIDELAKE_INPUT",
        value_name = "[SOURCE=]PATH",
        requires = "dataflow"
    )]
    input: Vec<Input>,
    /// Folder or address of the lake.
    #[arg(long, env = "DELTA_LAKE_PATH", default_value = "./tidelake-data/lake")]
    pub lake: String,
    #[command(flatten)]
    pub server: ServerArguments,
    /// Print a JSON array of findings.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Works, and may not for long, or not as meant.
    Warning,
    Failed,
}

/// What was found of one thing.
#[derive(Debug)]
struct Finding {
    of: String,
    verdict: Verdict,
    evidence: String,
    /// What to do.
    fix: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, of: &str, evidence: impl Into<String>) {
        self.add(of, Verdict::Ok, evidence.into(), None);
    }

    fn warn(&mut self, of: &str, evidence: impl Into<String>, fix: impl Into<String>) {
        self.add(of, Verdict::Warning, evidence.into(), Some(fix.into()));
    }

    fn fail(&mut self, of: &str, evidence: impl Into<String>, fix: impl Into<String>) {
        self.add(of, Verdict::Failed, evidence.into(), Some(fix.into()));
    }

    fn add(&mut self, of: &str, verdict: Verdict, evidence: String, fix: Option<String>) {
        let of = of.to_owned();
        self.0.push(Finding {
            of,
            verdict,
            evidence,
            fix,
        });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|it| it.verdict == verdict).count()
    }
}

/// Prints what was found; whether nothing has failed.
///
/// # Errors
/// If arguments are wrong.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<bool> {
    let (text, is_well) = found(arguments, settings).await?;
    print!("{text}");
    Ok(is_well)
}

/// What was found, as text, and whether nothing has failed.
///
/// # Errors
/// If arguments are wrong.
pub async fn found(arguments: &Arguments, settings: &Settings) -> Result<(String, bool)> {
    let mut found = Findings::default();
    of_the_machine(&mut found);
    match settings.file() {
        Some(file) => found.ok("settings", format!("{file} is understood")),
        None => found.ok(
            "settings",
            "there is no settings file, so flags, environment and defaults count",
        ),
    }
    let mut planned = None;
    if let Some(path) = &arguments.dataflow {
        let models = Models::Current(arguments.lake.clone());
        match super::command::load(path, settings, &models).await {
            Ok(dataflow) => {
                of_the_dataflow(&dataflow, path, &mut found);
                of_sources(&dataflow, &arguments.input, &mut found).await;
                planned = Some(dataflow);
            }
            Err(error) => found.fail(
                &format!("dataflow {}", path.display()),
                format!("{error:#}"),
                "mend it; `tidelake check` shows the place",
            ),
        }
    }
    of_the_lake(&arguments.lake, planned.as_ref(), &mut found).await;
    of_the_server(&arguments.server, &mut found).await?;
    let text = match arguments.json {
        true => as_json(&found),
        false => as_text(&found, Layout::of_stdout()),
    };
    let text = secret::redact(&text).into_owned();
    Ok((text, found.count(Verdict::Failed) == 0))
}

fn of_the_machine(found: &mut Findings) {
    const OF: &str = "machine";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> Option<u64> {
        let line = memory.lines().find_map(|it| it.strip_prefix(name))?;
        line.trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let cores = count(cores as u64, "processor");
    match (kib("MemTotal"), kib("MemAvailable")) {
        (Some(total), Some(free)) => {
            let text = format!(
                "{cores}, {} of memory, {} of it available",
                size::shown(total << 10),
                size::shown(free << 10)
            );
            match MEMORY_LITTLE <= free << 10 {
                true => found.ok(OF, text),
                false => found.warn(OF, text, "stop other programs, or limit this one with --memory-max, so that sources wait before the system kills it"),
            }
        }
        _ => found.ok(OF, cores),
    }
    let descriptors = http::raise_descriptors();
    let text = format!("{} may be open", count(descriptors as u64, "file"));
    match DESCRIPTORS_FEW <= descriptors {
        true => found.ok(OF, text),
        false => found.warn(
            OF,
            text,
            "raise the limit: ulimit -n, or LimitNOFILE= of the systemd unit",
        ),
    }
}

fn of_the_dataflow(dataflow: &Dataflow, path: &Path, found: &mut Findings) {
    let parts = [
        count(dataflow.sources.len() as u64, "source"),
        count(dataflow.tables.len() as u64, "table"),
        count(dataflow.views.len() as u64, "view"),
    ];
    let of = format!("dataflow {}", path.display());
    found.ok(&of, format!("it can run: {}", parts.join(", ")));
}

async fn of_sources(dataflow: &Dataflow, inputs: &[Input], found: &mut Findings) {
    let places = Inputs::from(inputs.to_vec()).places(dataflow.source_options());
    let places = match places {
        Ok(places) => places,
        Err(error) => {
            found.fail(
                "sources",
                error.to_string(),
                "correct the option or --input",
            );
            return;
        }
    };
    for (name, place) in places {
        let of = format!("source {name}");
        match place {
            Place::Topic(topic) => {
                let (brokers, called) = (topic.brokers.clone(), topic.topic.clone());
                let asked = tokio::task::block_in_place(|| kafka::ask(&topic));
                match asked {
                    Ok(Some(partitions)) => {
                        let partitions = count(partitions as u64, "partition");
                        found.ok(&of, format!("topic {called} at {brokers} has {partitions}"));
                    }
                    Ok(None) => found.warn(
                        &of,
                        format!("brokers {brokers} have no topic {called}, so it would be waited for"),
                        "make it, name another one, or set on_topic_missing = 'create'",
                    ),
                    Err(reason) => found.fail(
                        &of,
                        reason,
                        "check that the broker runs, its address (`brokers`), and how to get in (`client_config`)",
                    ),
                }
            }
            Place::Files(location) => match location.count() {
                Ok(0) => found.warn(
                    &of,
                    format!("no file matches {location}"),
                    "files are read as soon as they are there; check the pattern if some should be",
                ),
                Ok(files) => found.ok(
                    &of,
                    format!(
                        "{} {} {location}",
                        count(files as u64, "file"),
                        if files == 1 { "matches" } else { "match" }
                    ),
                ),
                Err(error) => found.fail(
                    &of,
                    format!("{location} cannot be listed: {error}"),
                    "make the folder, or give this user the right to read it",
                ),
            },
            Place::Delta(address) => match Store::open_existing(&address) {
                Ok(_) => found.ok(&of, format!("Delta table {address}")),
                Err(error) => found.fail(&of, error.to_string(), "check its address"),
            },
            Place::Http => found.ok(
                &of,
                format!("waits for POST /api/v1/sources/{name}/records"),
            ),
        }
    }
}

async fn of_the_lake(lake: &str, dataflow: Option<&Dataflow>, found: &mut Findings) {
    let of = format!("lake {lake}");
    let store = match Store::open_existing(lake) {
        Ok(store) => store,
        Err(_) if !lake.contains("://") && !Path::new(lake).exists() => {
            found.ok(&of, "it is not there yet; the first start makes it");
            return;
        }
        Err(error) => {
            found.fail(&of, error.to_string(), "check its address");
            return;
        }
    };
    if let Some((free, path)) = store
        .folder
        .as_ref()
        .and_then(|it| Some((free_bytes(it)?, it)))
    {
        let text = format!("{} are free on its disk", size::shown(free));
        match DISK_LITTLE <= free {
            true => found.ok(&of, text),
            false => found.warn(&of, text, format!("free some space at {}", path.display())),
        }
    }
    let newest = match store.newest_manifests().await {
        Ok(newest) => newest,
        Err(error) => {
            let reason = format!("{:#}", anyhow::Error::from(error));
            found.fail(&of, reason, "check address, rights and network; if it is damaged, restore it or `tidelake verify` it");
            return;
        }
    };
    if newest.is_empty() {
        found.ok(&of, "nothing was ever committed to it");
    }
    for manifest in &newest {
        of_a_commit(&of, &store, manifest, found).await;
    }
    if let Some(dataflow) = dataflow {
        let fits = async {
            let dataflow = identity::identified(dataflow, &store).await?;
            let newest = store.newest_manifest(&dataflow.name).await?;
            identity::check(&dataflow, &store, newest.as_ref()).await
        };
        match fits.await {
            Ok(()) => found.ok(
                &of,
                "the dataflow fits it; `tidelake check --lake` says what a start would change",
            ),
            Err(error) => found.fail(
                &of,
                format!("{:#}", anyhow::Error::from(error)),
                "use another --lake, or the dataflow that it was written with",
            ),
        }
    }
}

async fn of_a_commit(of: &str, store: &Store, manifest: &Manifest, found: &mut Findings) {
    let age_s = wall_ms().saturating_sub(manifest.written_ms) / 1000;
    let text = format!(
        "dataflow {}: commit {} of {}, {age_s} s ago",
        manifest.dataflow,
        manifest.number,
        manifest.epoch.iso()
    );
    let by = manifest.holder.as_ref();
    let by = by.map_or_else(String::new, |it| {
        format!("process {} on {}", it.pid, it.host)
    });
    match hold(store, manifest).await {
        Ok(Hold::Free) => found.ok(of, format!("{text}; nobody holds it")),
        Ok(Hold::Held) if COMMIT_OLD_S < age_s => found.warn(
            of,
            format!("{text}; held by {by}, which commits nothing"),
            "that is right if nothing comes in; else read its log and the health of its lake",
        ),
        Ok(Hold::Held) => found.ok(of, format!("{text}; held by {by}")),
        Ok(Hold::Silent) => found.warn(
            of,
            format!("{text}; last held by {by}, which gives no sign of life"),
            "if that machine is gone, start elsewhere; if it is there, read its log",
        ),
        Err(error) => found.fail(
            of,
            format!(
                "{text}; who holds it cannot be told: {:#}",
                anyhow::Error::from(error)
            ),
            "check rights and network",
        ),
    }
}

/// Bytes that this user may still write on the disk of a folder.
fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut facts = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the struct is only read if the call says that it was written.
    let facts = unsafe {
        (libc::statvfs(path.as_ptr(), facts.as_mut_ptr()) == 0).then(|| facts.assume_init())
    }?;
    Some(facts.f_bavail * facts.f_frsize)
}

async fn of_the_server(server: &ServerArguments, found: &mut Findings) -> Result<()> {
    let of = format!("server {}", server.address);
    let client = server.client()?;
    let asked = client
        .get(format!("{}/api/v1/status", server.address))
        .timeout(ANSWER_WITHIN)
        .send()
        .await;
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => {
            found.ok(
                &of,
                "nobody listens there: no server runs, and the address is free",
            );
            return Ok(());
        }
        Err(error) => {
            let reason = format!("{:#}", anyhow::Error::from(error));
            found.fail(
                &of,
                reason,
                "read its log; if it hangs, end it: it goes on from its last commit",
            );
            return Ok(());
        }
    };
    let status = answer.status();
    if matches!(status.as_u16(), 401 | 403) {
        found.warn(
            &of,
            format!("it answers, and tells this user nothing ({status})"),
            "name a token: --token-file, or TIDELAKE_TOKEN",
        );
        return Ok(());
    }
    let Ok(body) = answer.json::<Value>().await else {
        found.fail(
            &of,
            format!("what listens there is no Tidelake ({status})"),
            "choose another address with --listen, or --server",
        );
        return Ok(());
    };
    let components = body["components"].as_array().cloned().unwrap_or_default();
    let mut well = 0_u64;
    for component in &components {
        let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let (name, detail) = (text("name"), text("detail"));
        match component["status"].as_str() {
            Some("ok") => well += 1,
            Some("down") => found.fail(
                &of,
                format!("{name} is down: {detail}"),
                "do what it says; it goes on by itself then",
            ),
            Some(other) => found.warn(
                &of,
                format!("{name} is {other}: {detail}"),
                "do what it says, or wait if it starts or catches up",
            ),
            None => {}
        }
    }
    let text = format!(
        "{well} of {} are well",
        count(components.len() as u64, "component")
    );
    match components.is_empty() {
        true => found.fail(
            &of,
            "what listens there is no Tidelake",
            "choose another address with --listen, or --server",
        ),
        false => found.ok(&of, text),
    }
    Ok(())
}

fn as_json(found: &Findings) -> String {
    let one = |it: &Finding| {
        let verdict = match it.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        json!({ "of": it.of, "verdict": verdict, "evidence": it.evidence, "fix": it.fix })
    };
    let all: Value = found.0.iter().map(one).collect();
    format!("{all:#}\n")
}

fn as_text(found: &Findings, layout: Layout) -> String {
    let mut text = String::new();
    let mut of = "";
    for finding in &found.0 {
        if finding.of != of {
            of = &finding.of;
            text += &format!("{of}\n");
        }
        let (word, tone) = match finding.verdict {
            Verdict::Ok => ("ok      ", Tone::Good),
            Verdict::Warning => ("warning ", Tone::Warning),
            Verdict::Failed => ("failed  ", Tone::Bad),
        };
        let lines = finding.evidence.trim_end().replace('\n', "\n            ");
        text += &format!("  {}  {lines}\n", layout.toned(tone, word));
        if let Some(fix) = &finding.fix {
            text += &format!("            → {fix}\n");
        }
    }
    let (warnings, failed) = (found.count(Verdict::Warning), found.count(Verdict::Failed));
    text += &match (failed, warnings) {
        (0, 0) => "all is well\n".to_owned(),
        (0, warnings) => format!("{}\n", count(warnings as u64, "warning")),
        (failed, 0) => format!("{failed} failed\n"),
        (failed, warnings) => format!("{failed} failed, {}\n", count(warnings as u64, "warning")),
    };
    text
}
