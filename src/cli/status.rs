//! `status`: what runs on this machine and how it is, from any shell; or who holds a lake.
//!
//! What an instance is comes from its folder, how it is from its own API: with a token, where it has users and one is given, else from what it tells
//! anybody, which is one word.
//!
//! Exit codes: 0; 1 if the instance that was named does not run.

use super::exit;
use super::instance::{self, Found, Life, Process, Record, State};
use super::print::{Out, printable, took};
use super::probe::{Readiness, readiness, tolerant_client};
use super::server::Credentials;
use super::table::aligned;
use super::terminal::{Layout, Tone, number};
use crate::coordinator::{Hold, hold, started, this_process};
use crate::lake::{Manifest, Store};
use crate::model::wall_ms;
use anyhow::Result;
use clap::{Args, ValueEnum};
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// An instance of this machine answers within this, or is told to be busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What did not end in order is told of for so long without being asked for.
const NEWS_FOR: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
    /// Numbers of the processes that do the work, one a line.
    Pids,
}

#[derive(Args)]
pub struct Arguments {
    /// Name of an instance. [default: all that run, and those that did not end in order within a day]
    name: Option<String>,
    /// All that there are traces of.
    #[arg(long)]
    all: bool,
    /// Instead of instances: who holds this lake, a folder or s3://bucket/path.
    #[arg(long, value_name = "LAKE", conflicts_with_all = ["name", "all"])]
    lake: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// For people, for programs, or process numbers alone.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// An instance and how it is.
struct Told {
    name: String,
    /// `starting`, `running`, `restarting`, `stopping`, `ended`, `died` without saying so, or `elsewhere`.
    state: &'static str,
    pid: u32,
    uptime_seconds: Option<u64>,
    record: Record,
    /// The processes of the record, with what they say.
    asked: Vec<Asked>,
}

/// A process and what its API says.
#[derive(Serialize)]
struct Asked {
    #[serde(flatten)]
    process: Process,
    lives: bool,
    uptime_seconds: u64,
    /// `ok`, `starting`, `degraded`, `down`; nothing if it does not answer.
    health: Option<String>,
    headline: Option<String>,
    /// Why there is nothing more to tell, if so.
    note: Option<String>,
    /// What is not read yet, by unit.
    lag: BTreeMap<String, i64>,
    records_per_second: Option<f64>,
    epoch_age_seconds: Option<f64>,
    commits: Option<u64>,
    last_commit_age_seconds: Option<f64>,
    components: Vec<Value>,
}

/// Who holds a lake for one of its dataflows.
#[derive(Serialize)]
struct Holding {
    lake: String,
    dataflow: String,
    /// `held`, `free`, or `silent`: its holder is elsewhere and gave no sign of life.
    hold: &'static str,
    host: Option<String>,
    pid: Option<u32>,
    /// The instance of this machine that it is.
    instance: Option<String>,
    commit: u64,
    commit_age_seconds: u64,
}

/// Tells what was asked for.
pub async fn run(arguments: &Arguments) -> Result<()> {
    if let Some(lake) = &arguments.lake {
        return holders(lake, arguments.output).await;
    }
    let name = arguments.name.as_deref();
    let all = instance::all();
    let shown = |it: &Found| match (name, &it.record) {
        (Some(name), _) => it.name == name,
        // One that is just starting has no record yet; one of another version is told of by its name.
        (None, Err(_)) => arguments.all,
        (None, Ok(record)) => {
            let in_order = record.ended.as_ref().is_some_and(|it| it.code == 0);
            let is_news = record.life() != Life::Gone || it.age().is_none_or(|it| it < NEWS_FOR);
            arguments.all || !in_order && is_news
        }
    };
    let found: Vec<Found> = all.into_iter().filter(shown).collect();
    if let (Some(_), true) = (name, found.is_empty()) {
        return Err(exit::coded(1, instance::none_found(name)));
    }
    let mut told = Vec::new();
    for it in found {
        match it.record {
            Ok(record) => told.push(Told::of(record, &arguments.credentials).await?),
            Err(why) => eprintln!("{} cannot be read: {why}", it.folder.display()),
        }
    }
    let mut out = Out::new();
    match arguments.output {
        Output::Json => {
            let all: Vec<Value> = told.iter().map(Told::json).collect::<Result<_>>()?;
            writeln!(out, "{:#}", Value::from(all))?;
        }
        Output::Pids => {
            let living = told.iter().flat_map(|it| &it.asked).filter(|it| it.lives);
            for it in living {
                writeln!(out, "{}", it.process.pid)?;
            }
        }
        Output::Text if told.is_empty() => {
            writeln!(
                out,
                "no instance runs on this machine; `tidelake demo -d` or `tidelake run FOLDER -d` starts one"
            )?;
        }
        Output::Text => {
            let layout = Layout::of_stdout();
            let texts: Vec<String> = told.iter().map(|it| it.text(layout)).collect();
            write!(out, "{}", texts.join("\n"))?;
        }
    }
    out.flush()?;
    match (name, told.first()) {
        (Some(name), Some(it)) if !it.runs() => {
            let state = it.state;
            Err(exit::coded(1, format!("{name} does not run: {state}")))
        }
        (Some(_), None) => Err(exit::coded(1, "what is known of it cannot be read")),
        _ => Ok(()),
    }
}

impl Told {
    async fn of(record: Record, credentials: &Credentials) -> Result<Self> {
        let (life, now) = (record.life(), wall_ms());
        let asked = record.processes.iter().map(|it| {
            let lives = life != Life::Elsewhere && started(it.pid) == Some(it.started);
            Asked::of(it.clone(), lives, credentials)
        });
        let asked: Vec<Asked> = join_all(asked).await.into_iter().collect::<Result<_>>()?;
        let state = match (life, record.state, &record.ended) {
            (_, _, Some(_)) => "ended",
            (Life::Elsewhere, ..) => "elsewhere",
            (Life::Gone, ..) => "died",
            (Life::Lives, State::Starting, _) => "starting",
            (Life::Lives, State::Running | State::Ended, _) => "running",
            (Life::Lives, State::Restarting, _) => "restarting",
            (Life::Lives, State::Stopping, _) => "stopping",
        };
        let lives = life == Life::Lives;
        Ok(Told {
            name: record.name.clone(),
            state,
            pid: record.holder.pid,
            uptime_seconds: lives.then(|| now.saturating_sub(record.began_ms) / 1000),
            record,
            asked,
        })
    }

    /// The record with what was found out since it was written.
    fn json(&self) -> Result<Value> {
        let mut value = serde_json::to_value(&self.record)?;
        value["state"] = json!(self.state);
        value["pid"] = json!(self.pid);
        value["uptime_seconds"] = json!(self.uptime_seconds);
        value["processes"] = serde_json::to_value(&self.asked)?;
        Ok(value)
    }

    fn runs(&self) -> bool {
        self.uptime_seconds.is_some()
    }

    fn text(&self, layout: Layout) -> String {
        let record = &self.record;
        let tone = match self.state {
            "running" => Tone::Good,
            "starting" | "restarting" | "stopping" | "elsewhere" => Tone::Warning,
            "died" => Tone::Bad,
            _ => Tone::Dim,
        };
        let since = match (self.uptime_seconds, &record.ended) {
            (Some(it), _) => format!(" for {}", length(it)),
            (None, Some(it)) => format!(
                " {} ago with exit code {}",
                length(wall_ms().saturating_sub(it.at_ms) / 1000),
                it.code
            ),
            (None, None) if self.state == "elsewhere" => {
                format!(
                    ": on {}, in another container or on another machine",
                    record.holder.host
                )
            }
            (None, None) => " without a last word: it was killed".to_owned(),
        };
        let headline = self.asked.first().and_then(|it| it.headline.clone());
        let headline = headline.map(|it| format!(", {it}")).unwrap_or_default();
        let name = layout.toned(Tone::Bold, &self.name);
        let state = layout.toned(tone, self.state);
        let mut lines = vec![format!("{name}  {state}{since}{}", printable(&headline))];
        let mut facts = vec![
            (
                "dataflow",
                format!(
                    "{}, by tidelake {} (process {})",
                    record.dataflow, record.command, self.pid
                ),
            ),
            ("lake", record.lake.clone()),
        ];
        let urls: Vec<&str> = record.processes.iter().map(|it| it.url.as_str()).collect();
        if self.runs() && !urls.is_empty() {
            facts.push(("address", urls.join(", ")));
        }
        facts.extend(
            record
                .log
                .iter()
                .map(|it| ("log", it.display().to_string())),
        );
        if let Some(it) = record.ended.as_ref().filter(|it| it.code != 0) {
            facts.push(("why", it.reason.clone()));
        }
        if let Some(it) = record.last_end.as_ref().filter(|_| 0 < record.restarts) {
            let ago = length(wall_ms().saturating_sub(it.at_ms) / 1000);
            facts.push((
                "restarts",
                format!(
                    "{}, the last one since process {} ended {ago} ago ({})",
                    record.restarts, it.process, it.how
                ),
            ));
        }
        lines.extend(aligned(
            facts
                .into_iter()
                .map(|(what, is)| ["  ".to_owned() + what, printable(&is)]),
        ));
        let shown: Vec<&Asked> = self
            .asked
            .iter()
            .filter(|it| it.lives || self.runs())
            .collect();
        if !shown.is_empty() {
            let header = [
                "  process",
                "pid",
                "uptime",
                "health",
                "lag",
                "records/s",
                "epoch age",
                "commits",
                "last commit",
            ];
            let rows = shown.iter().map(|it| it.row());
            lines.extend(aligned(
                std::iter::once(header.map(str::to_owned)).chain(rows),
            ));
        }
        // What is not well is the same in all processes, or named by the first that says so.
        let mut said: Vec<String> = Vec::new();
        for it in &shown {
            said.extend(
                it.note
                    .iter()
                    .map(|note| format!("process {}: {note}", it.process.number)),
            );
            for component in it.components.iter().filter(|it| is_worth_a_word(it)) {
                let part = |key: &str| component[key].as_str().unwrap_or_default();
                let line = format!("{} {}: {}", part("name"), part("status"), part("detail"));
                if !said.contains(&line) {
                    said.push(line);
                }
            }
        }
        for line in said {
            let folded = layout.folded(&printable(&line), 4);
            for (at, line) in folded.iter().enumerate() {
                let indent = if at == 0 { "  " } else { "    " };
                lines.push(format!("{indent}{line}"));
            }
        }
        lines.join("\n") + "\n"
    }
}

/// What is not well, and what was started again in its place.
fn is_worth_a_word(component: &Value) -> bool {
    let restarted = component["restarts"].as_u64().is_some_and(|it| 0 < it);
    component["status"] != "ok" || restarted && component["name"] != "supervisor"
}

impl Asked {
    /// A process that has said nothing.
    fn silent(process: Process, lives: bool, uptime_seconds: u64) -> Self {
        Asked {
            process,
            lives,
            uptime_seconds,
            health: None,
            headline: None,
            note: None,
            lag: BTreeMap::new(),
            records_per_second: None,
            epoch_age_seconds: None,
            commits: None,
            last_commit_age_seconds: None,
            components: Vec::new(),
        }
    }

    async fn of(process: Process, lives: bool, credentials: &Credentials) -> Result<Self> {
        let uptime_seconds = match lives {
            true => wall_ms().saturating_sub(process.since_ms) / 1000,
            false => 0,
        };
        let mut asked = Asked::silent(process, lives, uptime_seconds);
        if !lives {
            return Ok(asked);
        }
        let url = asked.process.url.clone();
        let client = credentials.client(&url)?;
        let status = format!("{}/api/v1/status", url.trim_end_matches('/'));
        let answer = client.get(status).timeout(ANSWER_WITHIN).send().await;
        let refused = match answer {
            Ok(it) if it.status().is_success() => {
                if let Ok(status) = it.json::<Value>().await {
                    asked.take(&status);
                    return Ok(asked);
                }
                None
            }
            Ok(it) if [401, 403].contains(&it.status().as_u16()) => {
                Some("more is for its users: give a token (--token-file, or $TIDELAKE_TOKEN)")
            }
            Ok(_) => None,
            // A certificate that names others, as a rule.
            Err(_) if url.starts_with("https:") => Some(
                "more is told where its certificate is trusted and names this address: give --ca-file, or ask it by its name (tidelake health --server)",
            ),
            Err(_) => None,
        };
        match readiness(&tolerant_client()?, &url, ANSWER_WITHIN).await {
            Readiness::Ready { status, .. } => {
                asked.health = Some(status);
                asked.note = refused.map(str::to_owned);
            }
            Readiness::NotReady(why) => {
                asked.health = Some("starting".to_owned());
                asked.note = Some(format!("not ready: {why}"));
            }
            Readiness::Silent(why) => asked.note = Some(why),
        }
        Ok(asked)
    }

    /// Takes over what a server says of itself.
    fn take(&mut self, status: &Value) {
        let text = |key: &str| status[key].as_str().map(printable);
        self.health = text("overall");
        self.headline = text("headline");
        self.records_per_second = status["records_per_second"].as_f64();
        self.epoch_age_seconds = status["epoch_age_seconds"].as_f64();
        self.commits = status["commit"]["number"].as_u64();
        self.last_commit_age_seconds = status["commit"]["age_seconds"].as_f64();
        for source in status["sources"].as_array().into_iter().flatten() {
            let unit = source["unit"].as_str().unwrap_or("records").to_owned();
            let partitions = source["partitions"].as_array().into_iter().flatten();
            let lag: i64 = partitions.filter_map(|it| it["lag"].as_i64()).sum();
            *self.lag.entry(unit).or_default() += lag;
        }
        self.components = status["components"].as_array().cloned().unwrap_or_default();
    }

    fn row(&self) -> [String; 9] {
        let or_none = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        let behind = self.lag.iter().filter(|it| 0 < *it.1).map(|(unit, it)| {
            let it = number(u64::try_from(*it).unwrap_or(0));
            format!("{it} {unit}")
        });
        let behind: Vec<String> = behind.collect();
        let lag = match (self.lag.is_empty(), behind.is_empty()) {
            (true, _) => None,
            (false, true) => Some("0".to_owned()),
            (false, false) => Some(behind.join(", ")),
        };
        let seconds = |it: f64| took(Duration::from_secs_f64(it.clamp(0.0, 1e9)));
        [
            format!("  {}", self.process.number),
            self.process.pid.to_string(),
            match self.lives {
                true => length(self.uptime_seconds),
                false => "gone".to_owned(),
            },
            or_none(self.health.clone()),
            or_none(lag),
            or_none(self.records_per_second.map(|it| format!("{it:.1}"))),
            or_none(self.epoch_age_seconds.map(seconds)),
            or_none(self.commits.map(number)),
            or_none(
                self.last_commit_age_seconds
                    .map(|it| format!("{} ago", seconds(it))),
            ),
        ]
    }
}

/// A length of time in its two greatest units.
fn length(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Tells who holds a lake, for each dataflow that it has.
async fn holders(lake: &str, output: Output) -> Result<()> {
    let store = Store::open_existing(lake)?;
    let manifests = store.newest_manifests().await?;
    let found = manifests.iter().map(|it| Holding::of(&store, it));
    let found: Vec<Holding> = join_all(found).await.into_iter().collect::<Result<_>>()?;
    let mut out = Out::new();
    match output {
        Output::Json => writeln!(out, "{:#}", serde_json::to_value(&found)?)?,
        Output::Pids => {
            let here = found
                .iter()
                .filter(|it| it.instance.is_some() || it.is_here());
            for pid in here.filter(|it| it.hold == "held").filter_map(|it| it.pid) {
                writeln!(out, "{pid}")?;
            }
        }
        Output::Text if found.is_empty() => {
            writeln!(out, "{} has no commit: nobody has held it yet", store.url)?;
        }
        Output::Text => {
            for it in &found {
                writeln!(out, "{}", printable(&it.text()))?;
            }
        }
    }
    Ok(out.flush()?)
}

impl Holding {
    async fn of(store: &Store, newest: &Manifest) -> Result<Self> {
        let hold = match hold(store, newest).await? {
            Hold::Free => "free",
            Hold::Held => "held",
            Hold::Silent => "silent",
        };
        let holder = newest.holder.as_ref();
        let is_holder = |it: &Found| {
            let record = it.record.as_ref().ok();
            record.is_some_and(|it| {
                let process = it.processes.iter().map(|it| (it.pid, it.started));
                let mut all = process.chain([(it.holder.pid, it.holder.started)]);
                holder.is_some_and(|holder| {
                    holder.machine == it.holder.machine
                        && all.any(|it| it == (holder.pid, holder.started))
                })
            })
        };
        let instance = instance::all().into_iter().find(is_holder);
        Ok(Holding {
            lake: store.url.to_string(),
            dataflow: newest.dataflow.clone(),
            hold,
            host: holder.map(|it| it.host.clone()),
            pid: holder.map(|it| it.pid),
            instance: instance.filter(|_| hold == "held").map(|it| it.name),
            commit: newest.number,
            commit_age_seconds: wall_ms().saturating_sub(newest.written_ms) / 1000,
        })
    }

    fn is_here(&self) -> bool {
        self.host.as_deref() == Some(this_process().host.as_str())
    }

    fn text(&self) -> String {
        let Holding { lake, dataflow, .. } = self;
        let who = match (&self.instance, &self.host, self.pid) {
            (Some(name), _, Some(pid)) => format!("process {pid} of this machine, instance {name}"),
            (_, Some(host), Some(pid)) => format!("process {pid} on {host}"),
            _ => "a process of an early version".to_owned(),
        };
        let held = match self.hold {
            "held" => format!("is held by {who}"),
            "silent" => {
                format!("was held by {who}, which gives no sign of life; a start takes it over")
            }
            _ => format!("is free; it was held by {who}"),
        };
        let ago = length(self.commit_age_seconds);
        format!(
            "{lake}: dataflow {dataflow} {held}; commit {} was written {ago} ago",
            self.commit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_two_units() {
        for (seconds, expect) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (3_600 * 3 + 120, "3 h 2 min"),
            (86_400 * 2 + 3_600, "2 d 1 h"),
        ] {
            assert_eq!(length(seconds), expect);
        }
    }

    #[test]
    fn what_a_server_says_becomes_a_line() {
        let process = Process {
            number: 1,
            pid: 12,
            started: 3,
            since_ms: 0,
            url: "http://127.0.0.1:4001/".to_owned(),
        };
        let mut asked = Asked::silent(process, true, 75);
        assert_eq!(asked.row().join("|"), "  1|12|1 min 15 s|-|-|-|-|-|-");
        asked.take(&json!({
            "overall": "degraded", "headline": "Degraded: late", "records_per_second": 12.34, "epoch_age_seconds": 0.25,
            "commit": {"number": 1081, "age_seconds": 3.2},
            "sources": [
                {"unit": "records", "partitions": [{"lag": 1000}, {"lag": 234}, {"lag": null}]},
                {"unit": "bytes", "partitions": [{"lag": 5}]},
            ],
            "components": [{"name": "lake", "status": "ok"}, {"name": "generator", "status": "ok", "restarts": 2}],
        }));
        assert_eq!(
            asked.row().join("|"),
            "  1|12|1 min 15 s|degraded|5 bytes, 1,234 records|12.3|250 ms|1,081|3.2 s ago"
        );
        let worth: Vec<&Value> = asked
            .components
            .iter()
            .filter(|it| is_worth_a_word(it))
            .collect();
        assert_eq!(worth.len(), 1);
        assert_eq!(worth[0]["name"], "generator");
    }
}
