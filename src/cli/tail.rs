//! `tail`: a view, and then each of its changes as it happens.
//!
//! A changed row arrives as its old values taken back and its new ones added. People see one line for both:
//!
//! ```text
//! 23:40:09.1 ~ endpoint /api/users  requests 42→43  errors 3→4
//! 23:40:09.1 + endpoint /api/new  requests 1  errors 0
//! ```
//!
//! The stream does not say which columns are the key of a row, so the changes have to: texts, times and booleans are, and numbers that are the
//! same before and after.

use super::exit;
use super::print::{Cell, NamedRow, Out, clock, count, printable, printable_json};
use super::server::{Refusal, ServerArguments, unreachable};
use super::table::{Expanded, Kind, Look, Table};
use crate::model::Epoch;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// How changes are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table of all rows, then a line for each change.
    #[default]
    Lines,
    /// A JSON object in a line for each row that comes or goes: epoch, diff, row. Before all rows, one with epoch and event.
    Json,
}

#[derive(Args)]
pub struct Arguments {
    /// Name of the view; `tidelake sql 'SHOW TABLES'` lists those of a server.
    view: String,
    /// Only rows for which this holds, such as "status_class >= 4".
    #[arg(long = "where")]
    filter: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// How changes are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Prints a view of a server and its changes, until interrupted.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { view, server, .. } = arguments;
    let client = server.client()?;
    let server = &server.address;
    let filter = arguments.filter.as_deref();
    let mut stream = Stream::open(&client, server, view, filter, None).await?;
    while let Some(said) = stream.next().await? {
        let mut out = Out::new();
        let text = said.text(arguments.output, Look::of_output(Expanded::Off));
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    let text = format!("{server} has ended the stream{}", stream.reason());
    Err(exit::coded(exit::UNREACHABLE, text))
}

/// The changes of a view as a server tells them.
pub struct Stream {
    server: String,
    response: reqwest::Response,
    /// What has come of the next frame.
    pending: Vec<u8>,
    reason: Option<String>,
}

impl Stream {
    /// Begins with all rows, or those that pass a filter; so many frames a second at most.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses.
    pub async fn open(
        client: &reqwest::Client,
        server: &str,
        view: &str,
        filter: Option<&str>,
        frames: Option<u32>,
    ) -> Result<Stream> {
        let mut url = reqwest::Url::parse(server)?;
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{server} is no address of a server"))?
            .extend(["api", "v1", "views", view, "changes"]);
        if let Some(filter) = filter {
            url.query_pairs_mut().append_pair("where", filter);
        }
        if let Some(frames) = frames {
            url.query_pairs_mut().append_pair("hz", &frames.to_string());
        }
        let response = client
            .get(url)
            .send()
            .await
            .map_err(|it| unreachable(server, &it))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Refusal::of(status, &response.text().await?).into());
        }
        Ok(Stream {
            server: server.to_owned(),
            response,
            pending: Vec::new(),
            reason: None,
        })
    }

    /// What is said next; nothing when the server has ended the stream. What was heard of a frame is kept if nobody waits for the rest.
    ///
    /// # Errors
    /// If the stream breaks off, or is not understood.
    pub async fn next(&mut self) -> Result<Option<Said>> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|it| it == b"\n\n") {
                let frame: Vec<u8> = self.pending.drain(..end + 2).collect();
                let said = Said::of(&String::from_utf8_lossy(&frame))
                    .with_context(|| format!("what {} says is not understood", self.server))?;
                if let Said::Bye(reason) = &said {
                    self.reason = Some(printable(reason));
                }
                return Ok(Some(said));
            }
            let bytes = self.response.chunk().await.map_err(|it| {
                let text = format!("the stream of {} broke off: {it}", self.server);
                exit::coded(exit::UNREACHABLE, text)
            })?;
            match bytes {
                Some(bytes) => self.pending.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// Why it has ended, behind a colon, if the server has said it.
    pub fn reason(&self) -> String {
        let reason = self.reason.as_ref();
        reason.map_or(String::new(), |it| format!(": {it}"))
    }
}

/// What a frame of the stream says.
pub enum Said {
    /// All rows: those at the beginning, or again, for a reason.
    Rows {
        epoch: Epoch,
        again: Option<String>,
        rows: Vec<Row>,
    },
    Changes {
        epoch: Epoch,
        changes: Vec<(i64, Row)>,
    },
    Bye(String),
    /// A sign of life, and what later servers may say.
    Nothing,
}

/// A row as it came, and as columns.
pub struct Row {
    json: Box<RawValue>,
    named: NamedRow,
}

impl Row {
    fn of(json: Box<RawValue>) -> serde_json::Result<Row> {
        let named = serde_json::from_str(json.get())?;
        Ok(Row { json, named })
    }

    #[cfg(test)]
    pub fn of_text(json: &str) -> serde_json::Result<Row> {
        Row::of(RawValue::from_string(json.to_owned())?)
    }

    /// As it came.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    fn cells(&self) -> impl Iterator<Item = (&str, &Cell)> {
        self.named.0.iter().map(|it| (it.0.as_str(), &it.1))
    }

    /// Which of two rows comes first by a column.
    pub fn compare(
        &self,
        other: &Row,
        column: &str,
        descending: bool,
        nulls_first: bool,
    ) -> Ordering {
        let cell = |row: &'_ Row| row.cells().find(|it| it.0 == column).map(|it| it.1.clone());
        let (Some(one), Some(other)) = (cell(self), cell(other)) else {
            return Ordering::Equal;
        };
        match (one.is_null, other.is_null) {
            (true, true) => Ordering::Equal,
            (true, false) if nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if descending => compare_values(&other, &one),
            (false, false) => compare_values(&one, &other),
        }
    }

    /// Which of two rows comes first by all their columns.
    pub fn compare_all(&self, other: &Row) -> Ordering {
        let both = self.cells().zip(other.cells());
        let each = both.map(|(one, other)| match (one.1.is_null, other.1.is_null) {
            (false, false) => compare_values(one.1, other.1),
            (one, other) => one.cmp(&other),
        });
        each.fold(Ordering::Equal, Ordering::then)
    }
}

/// Which of two values of a column comes first.
fn compare_values(one: &Cell, other: &Cell) -> Ordering {
    let number = |it: &Cell| it.text.parse::<f64>().ok().filter(|_| it.is_number);
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one.text.cmp(&other.text),
    }
}

#[derive(Deserialize)]
struct AllRows {
    epoch: u64,
    rows: Vec<Box<RawValue>>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct SomeChanges {
    epoch: u64,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    diff: i64,
    row: Box<RawValue>,
}

#[derive(Deserialize)]
struct Bye {
    reason: String,
}

impl Said {
    fn of(frame: &str) -> Result<Said> {
        let field = |name: &str| {
            let mut lines = frame.lines();
            lines.find_map(|it| it.strip_prefix(name)).map(str::trim)
        };
        let (Some(event), Some(data)) = (field("event:"), field("data:")) else {
            return Ok(Said::Nothing);
        };
        Ok(match event {
            "snapshot" | "reset" => {
                let all: AllRows = serde_json::from_str(data)?;
                let rows = all.rows.into_iter().map(Row::of);
                Said::Rows {
                    epoch: Epoch(all.epoch),
                    again: (event == "reset").then(|| all.reason.unwrap_or_default()),
                    rows: rows.collect::<serde_json::Result<_>>()?,
                }
            }
            "changes" => {
                let some: SomeChanges = serde_json::from_str(data)?;
                let changes = some.changes.into_iter();
                let changes = changes.map(|it| Ok((it.diff, Row::of(it.row)?)));
                Said::Changes {
                    epoch: Epoch(some.epoch),
                    changes: changes.collect::<serde_json::Result<_>>()?,
                }
            }
            "bye" => Said::Bye(serde_json::from_str::<Bye>(data)?.reason),
            _ => Said::Nothing,
        })
    }

    /// What is printed of it. What is said about rows and not by them goes to standard error.
    fn text(&self, output: Output, look: Look) -> String {
        match (self, output) {
            (Said::Rows { epoch, again, rows }, Output::Lines) => {
                if let Some(reason) = again {
                    eprintln!("all rows again: {}", printable(reason));
                }
                eprintln!("{} as of {}", count(rows.len(), "row"), epoch.iso());
                as_table(&rows.iter().collect::<Vec<_>>()).laid(look).text
            }
            (Said::Rows { epoch, again, rows }, Output::Json) => {
                let event = if again.is_some() { "reset" } else { "snapshot" };
                let head = json!({"epoch": epoch.0, "event": event});
                let rows = rows.iter().map(|it| as_json(*epoch, 1, it));
                [format!("{head}\n")].into_iter().chain(rows).collect()
            }
            (Said::Changes { epoch, changes }, Output::Lines) => as_lines(&clock(*epoch), changes),
            (Said::Changes { epoch, changes }, Output::Json) => {
                let changes = changes.iter();
                changes
                    .map(|(diff, row)| as_json(*epoch, *diff, row))
                    .collect()
            }
            (Said::Bye(_) | Said::Nothing, Output::Lines | Output::Json) => String::new(),
        }
    }
}

fn as_json(epoch: Epoch, diff: i64, row: &Row) -> String {
    let row = printable_json(row.json.get());
    format!("{{\"epoch\":{},\"diff\":{diff},\"row\":{row}}}\n", epoch.0)
}

/// Rows as a table: what its columns are is seen by what is in them.
pub fn as_table(rows: &[&Row]) -> Table {
    let Some(first) = rows.first() else {
        return Table::default();
    };
    let names = first.named.0.iter().enumerate();
    let names = names.map(|(at, (name, _))| {
        let cells = rows.iter().filter_map(|it| it.named.0.get(at));
        let cells: Vec<&Cell> = cells.map(|it| &it.1).filter(|it| !it.is_null).collect();
        let is_time = |it: &&Cell| {
            let text = it.text.as_bytes();
            19 < text.len() && text[4] == b'-' && text[10] == b'T' && text.ends_with(b"Z")
        };
        let kind = match () {
            () if cells.is_empty() => Kind::Text,
            () if cells.iter().all(|it| it.is_number) => {
                match cells.iter().any(|it| it.text.contains(['.', 'e'])) {
                    true => Kind::Double,
                    false => Kind::Number,
                }
            }
            () if cells.iter().all(is_time) => Kind::Time,
            () => Kind::Text,
        };
        (name.clone(), kind)
    });
    let cells = rows
        .iter()
        .map(|it| it.cells().map(|it| it.1.clone()).collect());
    Table::new(names, cells.collect())
}

/// A row that went or came, and how often it did.
type Sided<'a> = (u64, &'a Row);

/// A line for each row that came, went, or changed.
fn as_lines(time: &str, changes: &[(i64, Row)]) -> String {
    let mut groups: BTreeMap<String, (Vec<Sided<'_>>, Vec<Sided<'_>>)> = BTreeMap::new();
    for (diff, row) in changes {
        let group = groups.entry(names_of(row)).or_default();
        let side = if *diff < 0 {
            &mut group.0
        } else {
            &mut group.1
        };
        side.push((diff.unsigned_abs(), row));
    }
    let mut text = String::new();
    for (gone, come) in groups.into_values() {
        // Where several rows have one name, a number that stays as it is tells them apart.
        let several = 1 < gone.len() || 1 < come.len();
        for pair in pairs(gone, come) {
            let (sign, times, line) = match pair {
                Pair::Changed(times, old, new) => ('~', times, changed(old, new, several)),
                Pair::Gone(times, old) => ('-', times, whole(old)),
                Pair::Come(times, new) => ('+', times, whole(new)),
            };
            let times = match times {
                1 => String::new(),
                _ => format!("  ×{times}"),
            };
            let _ = writeln!(text, "{time} {sign} {line}{times}");
        }
    }
    text
}

/// The values that can only name a row.
fn names_of(row: &Row) -> String {
    let names = row.cells().filter(|it| !it.1.is_number);
    let names: Vec<(&str, &str)> = names.map(|it| (it.0, it.1.text.as_str())).collect();
    json!(names).to_string()
}

enum Pair<'a> {
    Changed(u64, &'a Row, &'a Row),
    Gone(u64, &'a Row),
    Come(u64, &'a Row),
}

/// Old and new rows with the same key and multiplicity. Where there are several, those that share the most numbers belong together.
fn pairs<'a>(gone: Vec<Sided<'a>>, mut come: Vec<Sided<'a>>) -> Vec<Pair<'a>> {
    let alike = |one: &Row, other: &Row| {
        let both = one.cells().zip(other.cells());
        both.filter(|it| it.0 == it.1).count()
    };
    let mut pairs = Vec::new();
    for (times, old) in gone {
        let fitting = (0..come.len()).filter(|it| come[*it].0 == times);
        let nearest = fitting.max_by_key(|it| (alike(old, come[*it].1), come.len() - it));
        pairs.push(match nearest {
            Some(it) => Pair::Changed(times, old, come.remove(it).1),
            None => Pair::Gone(times, old),
        });
    }
    pairs.extend(come.into_iter().map(|it| Pair::Come(it.0, it.1)));
    pairs
}

/// What names the row, and what of it has changed.
fn changed(old: &Row, new: &Row, several: bool) -> String {
    let both = old.cells().zip(new.cells());
    let parts = both.filter_map(|((_, before), (name, after))| {
        let stays = before == after;
        match stays {
            true if after.is_number && !several => None,
            true => Some(format!("{name} {}", after.text)),
            false => Some(format!("{name} {}→{}", before.text, after.text)),
        }
    });
    parts.collect::<Vec<_>>().join("  ")
}

fn whole(row: &Row) -> String {
    let parts = row.cells().map(|it| format!("{} {}", it.0, it.1.text));
    parts.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn printed(event: &str, data: &Value, output: Output) -> String {
        let said = Said::of(&format!("id: 1\nevent: {event}\ndata: {data}\n\n"));
        said.expect("a frame").text(output, Look::default())
    }

    fn lines(changes: &Value) -> String {
        let data = json!({"epoch": 1_795_736_409_100u64, "changes": changes});
        printed("changes", &data, Output::Lines)
    }

    #[test]
    fn an_old_and_a_new_row_are_one_line() {
        let changes = json!([
            {"diff": -1, "row": {"endpoint": "/", "requests": 42, "errors": 3, "p95": 1.5}},
            {"diff": 1, "row": {"endpoint": "/new", "requests": 1, "errors": 0, "p95": null}},
            {"diff": 1, "row": {"endpoint": "/", "requests": 43, "errors": 3, "p95": 2.5}},
            {"diff": -1, "row": {"endpoint": "/old", "requests": 9, "errors": 0, "p95": 1}},
        ]);
        insta::assert_snapshot!(lines(&changes), @r"
        23:40:09.1 ~ endpoint /  requests 42→43  p95 1.5→2.5
        23:40:09.1 + endpoint /new  requests 1  errors 0  p95 NULL
        23:40:09.1 - endpoint /old  requests 9  errors 0  p95 1
        ");
    }

    #[test]
    fn rows_that_a_number_names_find_each_other() {
        let row =
            |class: u32, requests: u32| json!({"at": "t", "class": class, "requests": requests});
        let changes = json!([
            {"diff": -1, "row": row(2, 100)},
            {"diff": -1, "row": row(4, 10)},
            {"diff": 1, "row": row(4, 12)},
            {"diff": 1, "row": row(2, 101)},
        ]);
        insta::assert_snapshot!(lines(&changes), @r"
        23:40:09.1 ~ at t  class 2  requests 100→101
        23:40:09.1 ~ at t  class 4  requests 10→12
        ");
    }

    #[test]
    fn a_row_that_comes_often_is_one_line() {
        let changes =
            json!([{"diff": 200_000, "row": {"k": "a"}}, {"diff": -1, "row": {"k": "b"}}]);
        insta::assert_snapshot!(lines(&changes), @r"
        23:40:09.1 + k a  ×200000
        23:40:09.1 - k b
        ");
    }

    #[test]
    fn all_rows_are_a_table_or_json_lines() {
        let data = json!({"epoch": 5, "rows": [{"k": "a", "n": 1}, {"k": "b\u{1b}", "n": 22.5}]});
        insta::assert_snapshot!(printed("snapshot", &data, Output::Lines), @r"
        k           n
        ───────  ────
        a         1.0
        b\u{1b}  22.5
        ");
        insta::assert_snapshot!(printed("snapshot", &data, Output::Json), @r#"
        {"epoch":5,"event":"snapshot"}
        {"epoch":5,"diff":1,"row":{"k":"a","n":1}}
        {"epoch":5,"diff":1,"row":{"k":"b\u001b","n":22.5}}
        "#);
        assert_eq!(printed("heartbeat", &json!({}), Output::Lines), "");
    }
}
