//! `check`: what a dataflow is, as a page to read: one block for each source, table and view.
//!
//! ```text
//! view traffic_1m
//!   from     logs
//!   by       window_start, endpoint
//!   columns  requests, errors, …
//!   keeps    groups of open windows of 1 min
//!   rows     final when their window closes; live for 1 h, in the lake for ever
//! ```
//!
//! What every dataflow has by itself is only counted, and the operators are behind `--plan`.

use super::restart;
use super::settings::Settings;
use super::terminal::{Layout, Tone, count};
use super::verify::this_program;
use crate::coordinator::{growth, identity};
use crate::http::Program;
use crate::plan::{Dataflow, Plan, SourceSpec, TableSpec, ViewSpec, span};
use crate::sql::models::Models;
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};

/// Names of what is said of a relation are so wide.
const LABEL: usize = 9;
const INDENT: usize = 2;

#[derive(Args)]
pub struct Arguments {
    /// Folder with dataflow.sql.
    dataflow: PathBuf,
    /// Compare with what this lake was written with. Nothing is changed.
    #[arg(long, value_name = "LAKE", conflicts_with = "plan")]
    lake: Option<String>,
    /// Show the operators of each view, too.
    #[arg(long)]
    plan: bool,
}

/// Plans a dataflow and says what it is.
pub async fn run(arguments: &Arguments, settings: &Settings) -> Result<()> {
    let models = arguments
        .lake
        .clone()
        .map_or(Models::Unknown, Models::Current);
    let dataflow = super::command::load(&arguments.dataflow, settings, &models).await?;
    let layout = Layout::of_stdout();
    match &arguments.lake {
        Some(lake) => compare(&dataflow, lake).await?,
        None if arguments.plan => print!("{dataflow}"),
        None => print!("{}", page(&dataflow, layout)),
    }
    println!("{}", verdict(&dataflow, layout));
    Ok(())
}

/// What says whether a pipeline of this folder and lake could start: it fails if they do not fit, or if there is no program to be started.
pub fn of_run(settings: &Settings, dataflow: &Path, lake: &str) -> Program {
    let what = vec![dataflow.into(), "--lake".into(), lake.into()];
    Program {
        program: restart::program(),
        ..this_program("check", settings, what)
    }
}

/// The same for `demo`, whose dataflow is in the program.
pub fn of_demo(settings: &Settings) -> Program {
    Program {
        program: restart::program(),
        ..this_program("--version", settings, Vec::new())
    }
}

/// What a dataflow is, as text without colours.
///
/// # Errors
/// If it cannot be planned.
pub async fn text_of(path: &Path, settings: &Settings) -> Result<String> {
    let dataflow = super::command::load(path, settings, &Models::Unknown).await?;
    let layout = Layout::of_stdout().without_colours();
    Ok(format!(
        "{}{}\n",
        page(&dataflow, layout),
        verdict(&dataflow, layout)
    ))
}

/// Says what a start of a dataflow would change in a lake.
async fn compare(dataflow: &Dataflow, lake: &str) -> Result<()> {
    let store = crate::lake::Store::open_existing(lake)?;
    let dataflow = &identity::identified(dataflow, &store).await?;
    let newest = store.newest_manifest(&dataflow.name).await?;
    identity::check(dataflow, &store, newest.as_ref()).await?;
    match newest.filter(|it| !it.tables.is_empty()) {
        Some(newest) => {
            println!("since commit {} of {}:", newest.number, newest.epoch.iso());
            print!("{}", growth::since(&newest, dataflow)?);
        }
        None => println!("dataflow {} has no commit there yet", dataflow.name),
    }
    Ok(())
}

/// What the text of a dataflow defines, without what comes by itself.
struct Own<'a> {
    sources: Vec<&'a SourceSpec>,
    tables: Vec<&'a TableSpec>,
    views: Vec<&'a ViewSpec>,
    /// Names of the rest.
    others: Vec<&'a str>,
}

impl<'a> Own<'a> {
    fn of(dataflow: &'a Dataflow) -> Self {
        let is_own = |name: &str| !dataflow.built_in.contains(name);
        let (sources, other_sources): (Vec<_>, Vec<_>) =
            dataflow.sources.iter().partition(|it| is_own(&it.name));
        let (tables, other_tables): (Vec<_>, Vec<_>) = dataflow
            .tables
            .iter()
            .partition(|it| is_own(&it.name) && !it.source.is_empty());
        let (views, other_views): (Vec<_>, Vec<_>) = dataflow
            .views
            .iter()
            .partition(|it| is_own(&it.name) && !matches!(it.plan, Plan::Incidents { .. }));
        let others = other_sources.iter().map(|it| it.name.as_str());
        let others = others.chain(other_tables.iter().map(|it| it.name.as_str()));
        let others = others.chain(other_views.iter().map(|it| it.name.as_str()));
        Own {
            others: others.collect(),
            sources,
            tables,
            views,
        }
    }
}

fn verdict(dataflow: &Dataflow, layout: Layout) -> String {
    let own = Own::of(dataflow);
    let counts = [
        (own.sources.len(), "source"),
        (own.tables.len(), "table"),
        (own.views.len(), "view"),
    ];
    let counts = counts.map(|(many, noun)| count(many as u64, noun));
    format!("{}: {}", layout.toned(Tone::Good, "ok"), counts.join(", "))
}

fn page(dataflow: &Dataflow, layout: Layout) -> String {
    let own = Own::of(dataflow);
    let mut page = Page {
        layout,
        text: String::new(),
    };
    page.line(&format!(
        "dataflow {}",
        layout.toned(Tone::Bold, &dataflow.name)
    ));
    for source in &own.sources {
        page.source(dataflow, source);
    }
    for table in &own.tables {
        page.table(table);
    }
    for (name, query) in &dataflow.aliases {
        page.block("plain view", name);
        page.fact("is", query);
    }
    let mut growing = Vec::new();
    for view in &own.views {
        if page.view(dataflow, view) {
            growing.push(view.name.as_str());
        }
    }
    page.line("");
    if !own.others.is_empty() {
        page.paragraph(&format!("Built in: {}.", own.others.join(", ")), Tone::Dim);
    }
    if !growing.is_empty() {
        let text = format!("Memory grows without bound in: {}.", growing.join(", "));
        page.paragraph(&text, Tone::Warning);
    }
    page.text
}

struct Page {
    layout: Layout,
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str, tone: Tone) {
        for line in self.layout.folded(text, 0) {
            let line = self.layout.toned(tone, &line);
            self.line(&line);
        }
    }

    fn block(&mut self, kind: &str, name: &str) {
        self.line("");
        let name = self.layout.toned(Tone::Bold, name);
        self.line(&format!("{kind} {name}"));
    }

    fn fact(&mut self, label: &str, text: &str) {
        self.toned_fact(label, text, Tone::Plain);
    }

    fn toned_fact(&mut self, label: &str, text: &str, tone: Tone) {
        let mut label = label;
        for line in self.layout.folded(text, INDENT + LABEL) {
            let shown = format!("{label:LABEL$}");
            let shown = match tone {
                Tone::Plain => self.layout.toned(Tone::Dim, &shown),
                other => self.layout.toned(other, &shown),
            };
            let line = self.layout.toned(tone, &line);
            self.line(&format!("{:INDENT$}{shown}{line}", ""));
            label = "";
        }
    }

    fn source(&mut self, dataflow: &Dataflow, source: &SourceSpec) {
        self.block("source", &source.name);
        let option = |name: &str| source.option(name).unwrap_or("?");
        let from = match source.option("connector") {
            Some("files") => format!("files {}", option("path")),
            Some("delta") => format!("Delta table {}", option("path")),
            Some("http") => "what is pushed over HTTP".to_owned(),
            Some(_) | None if source.option("topic").is_some() => {
                format!("Kafka topic {} at {}", option("topic"), option("brokers"))
            }
            Some(other) => other.to_owned(),
            None => "the files of --input".to_owned(),
        };
        self.fact("from", &crate::model::secret::redact(&from));
        let definition = dataflow.definitions.sources.get(&source.name);
        let format = definition.map_or("", |it| it.format.as_str());
        let columns = source.columns.iter().map(|it| it.name.as_str());
        let columns = columns.collect::<Vec<_>>().join(", ");
        self.fact(
            "columns",
            &format!("{} in {format}: {columns}", source.columns.len()),
        );
        if let Some(key) = &source.key {
            let columns = key
                .columns
                .iter()
                .map(|it| source.columns[*it].name.as_str());
            let columns = columns.collect::<Vec<_>>().join(", ");
            self.fact(
                "key",
                &format!("{columns}; the latest record of each counts"),
            );
        }
        match source.event_time {
            Some(time) => {
                let column = &source.columns[time.column].name;
                let delay = span(time.delay_us);
                self.fact(
                    "time",
                    &format!("{column}; records may come {delay} out of order"),
                );
            }
            None => self.fact("time", "none, so no windows; WATERMARK FOR declares one"),
        }
    }

    fn table(&mut self, table: &TableSpec) {
        self.block("table", &table.name);
        let records = match table.selection.split_once(" where ") {
            None => "every record".to_owned(),
            Some((_, condition)) => format!("records where {condition}"),
        };
        self.fact("from", &format!("{}, {records}", table.source));
        let schema = table.plan.schema();
        let columns = schema.fields().iter().map(|it| it.name().as_str());
        let columns: Vec<&str> = columns.filter(|it| !it.starts_with('_')).collect();
        self.fact(
            "columns",
            &format!("{}: {}", columns.len(), columns.join(", ")),
        );
        let folders = match table.partition_by.is_empty() {
            true => String::new(),
            false => format!(", in folders by {}", table.partition_by.join(", ")),
        };
        let kept = match &table.retention {
            None => format!("all of them in the lake{folders}; none in memory"),
            Some(it) => format!(
                "those of {} in the lake{folders}, by {}; older ones go day by day, in commits; none in memory",
                span(it.keep_us),
                schema.field(it.column).name()
            ),
        };
        self.fact("keeps", &kept);
    }

    /// Whether its memory grows without bound.
    fn view(&mut self, dataflow: &Dataflow, view: &ViewSpec) -> bool {
        let description = dataflow.description(view);
        let kind = match view.plan {
            Plan::Detect { .. } => "detector",
            _ => "view",
        };
        self.block(kind, &view.name);
        self.fact("from", &description.from.join(", "));
        let by = description.by.clone().unwrap_or_default();
        match description.by.as_deref() {
            Some([]) => self.fact("by", "nothing: all in one row"),
            Some(by) => self.fact("by", &by.join(", ")),
            None => {}
        }
        for how in &description.how {
            self.fact("how", how);
        }
        let schema = view.plan.schema();
        let columns = schema.fields().iter().map(|it| it.name().clone());
        let columns: Vec<String> = columns.filter(|it| !by.contains(it)).collect();
        self.fact("columns", &columns.join(", "));
        match description.keeps.is_empty() {
            true => self.fact("keeps", "nothing in memory"),
            false => self.fact("keeps", &description.keeps.join("; ")),
        }
        self.fact("rows", &description.rows);
        for grows in &description.grows {
            self.toned_fact("grows", grows, Tone::Warning);
        }
        !description.grows.is_empty()
    }
}

#[cfg(test)]
mod tests;
