//! `eval --logs`: lines of an access log, decoded as those of a source, replayed with faults, and what is found of them as text.

use super::{Arguments, decimals, optional, read_bytes, table};
use crate::cli::print::{Out, count, printable};
use crate::eval::logs::alerts::{Explained, Outcome};
use crate::eval::logs::bound::Bound;
use crate::eval::logs::lines::Line;
use crate::eval::logs::{self, Report, Traffic};
use crate::eval::rates;
use crate::eval::series::Series;
use crate::model::Partition;
use crate::source::decode::{Column, DecodeOptions, Decoder, Format, RawRecords};
use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, TimeUnit, TimestampMicrosecondType};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Lines that are decoded at once.
const SLICE_LINES: usize = 50_000;

/// What is printed for machines.
#[derive(Serialize)]
struct OfLogs {
    file: String,
    /// Lines that are no access log, and why the first of them is none.
    bad_lines: usize,
    bad_line_first: Option<String>,
    #[serde(flatten)]
    report: Report,
}

pub fn run(arguments: &Arguments, path: &Path) -> Result<()> {
    let (lines, bad) = decoded(&read_bytes(path)?);
    let traffic = match &arguments.traffic {
        Some(it) => Some(traffic(it, f64::from(arguments.per_minute))?),
        None => None,
    };
    let report = logs::run(lines, traffic.as_ref(), arguments.seed).with_context(|| {
        let bad = bad.first().map_or(String::new(), |it| format!(" ({it})"));
        format!("{} cannot be tested{}", path.display(), printable(&bad))
    })?;
    let report = OfLogs {
        file: path.display().to_string(),
        bad_lines: bad.len(),
        bad_line_first: bad.into_iter().next(),
        report,
    };
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => text(&report),
    };
    Ok(Out::new().write_all(text.as_bytes())?)
}

fn traffic(path: &Path, per_minute: f64) -> Result<Traffic> {
    let series = Series::parse(&super::read(path)?);
    let (first, counts) = rates::minutes(&series)
        .with_context(|| format!("{} cannot be replayed at", path.display()))?;
    Ok(Traffic {
        first,
        counts,
        per_minute,
    })
}

/// The columns that are read, in this order.
fn columns() -> Vec<Column> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("timestamp", time),
        ("endpoint", DataType::Utf8),
        ("method", DataType::Utf8),
        ("status", DataType::Int32),
        ("ip", DataType::Utf8),
        ("user_agent", DataType::Utf8),
        ("response_time", DataType::Float64),
    ];
    let column = |(name, data_type): (&str, DataType)| Column {
        name: name.to_owned(),
        written: name.to_owned(),
        data_type,
        nullable: true,
        is_json: false,
    };
    columns.into_iter().map(column).collect()
}

/// The lines of a log, and why others are none.
fn decoded(log: &[u8]) -> (Vec<Line>, Vec<String>) {
    let options = DecodeOptions {
        event_time: Some(0),
        ..DecodeOptions::default()
    };
    let mut decoder = Decoder::new(Format::AccessLog, &columns(), options)
        .expect("an access log offers these columns");
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    let mut records = RawRecords::empty(Partition(0));
    let mut of_log = log.split(|it| *it == b'\n').zip(1..).peekable();
    while let Some((line, number)) = of_log.next() {
        if !line.trim_ascii().is_empty() {
            records.push(number, line);
        }
        if of_log.peek().is_none() || records.offsets.len() == SLICE_LINES {
            let slice = decoder.decode(&records);
            let letters = slice.dead_letters.iter();
            bad.extend(letters.map(|it| format!("line {}: {}", it.offset, it.reason)));
            add(&slice.batch, &mut lines);
            records = RawRecords::empty(Partition(0));
        }
    }
    (lines, bad)
}

fn add(batch: &RecordBatch, lines: &mut Vec<Line>) {
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let text = |column: usize, row: usize| {
        let values = batch.column(column).as_string::<i32>();
        values.is_valid(row).then(|| values.value(row).to_owned())
    };
    let statuses = batch.column(3).as_primitive::<Int32Type>();
    let milliseconds = batch.column(6).as_primitive::<Float64Type>();
    for row in 0..batch.num_rows() {
        lines.push(Line {
            time_us: times.value(row),
            endpoint: text(1, row),
            method: text(2, row),
            status: u16::try_from(statuses.value(row)).unwrap_or(0),
            client: text(4, row),
            agent: text(5, row),
            milliseconds: milliseconds.is_valid(row).then(|| milliseconds.value(row)),
        });
    }
}

fn text(of: &OfLogs) -> String {
    let report = &of.report;
    let mut text = format!(
        "{}: {} over {:.1} days, {} of its minutes have one\n",
        printable(&of.file),
        count(report.lines, "line"),
        report.log_days,
        report.log_minutes_with_lines
    );
    if let Some(first) = &of.bad_line_first {
        text += &format!(
            "{} left out, the first is {}\n",
            count(of.bad_lines, "line"),
            printable(first)
        );
    }
    text += &match report.is_drawn {
        true => "whole lines are drawn from it at the counts of other traffic, independently of each other: ".to_owned(),
        false => "its lines are replayed at their own times: ".to_owned(),
    };
    text += &format!(
        "{} requests, {:.1} a minute\n",
        report.requests, report.requests_per_minute
    );
    text += match report.has_times {
        true => "response times are those of the log\n",
        false => {
            "response times are made (log-normal by endpoint, with a heavy tail, longer under load), since the log has none\n"
        }
    };
    text += &format!(
        "{} injected with seed {}; {:.1} days judged in windows of one minute behind {:.1} of learning, {:.1} of them without a fault; {}: all traffic and the busiest endpoints\n",
        count(report.faults.iter().map(|it| it.faults).sum(), "fault"),
        report.seed,
        report.days_judged,
        report.days_learned,
        report.days_quiet,
        count(report.keys, "key")
    );
    for caveat in &report.caveats {
        text += &format!("beware: {caveat}\n");
    }
    text += "\nrecall: the share of faults with an alert while they last, of all traffic or of the endpoint that is struck\n";
    text += "  1 a key: thresholds that allow of one false alert a day and key; set to 1: what false_alerts_per_day = 1 does, nothing fitted\n  bound: a likelihood ratio test that knows each fault and what is usual without it\n\n";
    text += &recalls(report);
    text += "\nfalse alerts a day, of all keys and of a thousand; delay in windows, the median of abrupt faults\n\n";
    text += &table(
        &[
            "detector",
            "alerts",
            "all kinds",
            "abrupt",
            "precision",
            "false/day",
            "per 1,000 keys",
            "delay",
        ],
        report
            .outcomes
            .iter()
            .map(of_outcome)
            .chain(report.bounds.iter().map(of_bound))
            .collect(),
    );
    text += "\nexplanations of metric: how often the value that is told is the one that carries the fault\n\n";
    text += &explanations(report);
    let disorder = &report.disorder;
    text + &format!(
        "\ndisorder: of {} without faults {} came late and {} stalled; {} before their windows closed, {} withdrawn ({}); {} of closed windows, {} in order, {} by disorder; {}\n",
        count(disorder.windows, "window"),
        count(disorder.lines_late, "line"),
        count(disorder.stalls, "shard"),
        count(disorder.provisional, "alert"),
        disorder.withdrawn,
        share(disorder.withdrawn, disorder.provisional),
        disorder.alerts,
        disorder.alerts_in_order,
        disorder.false_by_disorder,
        match disorder.same_as_in_order {
            true => "what is known behind the last window is the same to the bit",
            false => "WHAT IS KNOWN BEHIND THE LAST WINDOW DIFFERS: this is a defect",
        }
    )
}

fn share(part: usize, whole: usize) -> String {
    match whole {
        0 => "-".to_owned(),
        whole => format!("{:.0} %", 100.0 * part as f64 / whole as f64),
    }
}

fn recalls(report: &Report) -> String {
    let mut names = vec!["detector", "alerts"];
    names.extend(&report.kinds);
    let rows = report.outcomes.iter().map(|it| {
        let mut row = vec![it.detector.to_owned(), it.rule.clone()];
        row.extend(it.recall_by_kind.iter().map(|it| decimals(*it)));
        row
    });
    let bounds = report.bounds.iter().map(|it| {
        let mut row = vec!["bound".to_owned(), it.rule.clone()];
        row.extend(it.recall_by_kind.iter().map(|it| decimals(*it)));
        row
    });
    table(&names, rows.chain(bounds).collect())
}

fn of_outcome(outcome: &Outcome) -> Vec<String> {
    vec![
        outcome.detector.to_owned(),
        outcome.rule.clone(),
        decimals(Some(outcome.recall)),
        decimals(Some(outcome.recall_abrupt)),
        decimals(outcome.precision),
        decimals(Some(outcome.false_alerts_per_day)),
        format!("{:.0}", outcome.false_alerts_per_day_and_thousand_keys),
        optional(outcome.delay_windows_median),
    ]
}

fn of_bound(bound: &Bound) -> Vec<String> {
    let known = [Some(bound.recall), Some(bound.recall_abrupt)].map(decimals);
    let mut row = vec!["bound".to_owned(), bound.rule.clone()];
    row.extend(known);
    row.resize(8, "-".to_owned());
    row
}

fn explanations(report: &Report) -> String {
    let told = |it: &Explained, kind: usize| match it.right_by_kind[kind] {
        Some((right, of)) => format!("{right}/{of}"),
        None => "-".to_owned(),
    };
    let has_any = |kind: &usize| {
        report
            .explained
            .iter()
            .any(|it| it.right_by_kind[*kind].is_some())
    };
    let kinds: Vec<usize> = (0..report.kinds.len()).filter(has_any).collect();
    let mut names = vec!["faults"];
    names.extend(kinds.iter().map(|it| report.kinds[*it]));
    names.extend(["top-1", "pairs right", "pair F1", "nothing carries"]);
    let rows = report.explained.iter().map(|it| {
        let mut row = vec![it.of.clone()];
        row.extend(kinds.iter().map(|kind| told(it, *kind)));
        row.extend([
            decimals(it.top_1),
            format!(
                "{} of {} told, {} asked",
                it.pairs.0, it.pairs.1, it.pairs.2
            ),
            decimals(it.pairs_f1),
            format!("{}/{}", it.nothing.0, it.nothing.1),
        ]);
        row
    });
    table(&names, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_decoded_as_those_of_a_source() {
        let log = b"1.2.3.4 - - [12/May/2024:00:00:17 +0000] \"GET /a?b=1 HTTP/1.1\" 404 51 \"-\" \"curl/7\" 0.153\n\nMozilla alone\n";
        let (lines, bad) = decoded(log);
        assert_eq!(
            lines,
            [Line {
                time_us: 1_715_472_017_000_000,
                endpoint: Some("/a".to_owned()),
                method: Some("GET".to_owned()),
                status: 404,
                client: Some("1.2.3.4".to_owned()),
                agent: Some("curl/7".to_owned()),
                milliseconds: Some(153.0),
            }]
        );
        assert_eq!(bad.len(), 1);
        assert!(bad[0].starts_with("line 3: "), "{bad:?}");
        assert_eq!(decoded(b""), (Vec::new(), Vec::new()));
    }

    /// Two days and a bit, a line every two minutes, of which one is none.
    #[test]
    fn the_report_says_what_was_measured_and_what_was_made() {
        let line = |at: u64| {
            let (day, hour, minute) = (12 + at / 720, at / 30 % 24, at % 30 * 2);
            let page = ["/a", "/b"][(at % 2) as usize];
            format!(
                "10.0.0.{} - - [{day}/May/2024:{hour:02}:{minute:02}:00 +0000] \"GET {page} HTTP/1.1\" 200 51 \"-\" \"curl/7\"\n",
                at % 3
            )
        };
        let log: String = (0..1_600).map(line).collect();
        let (lines, bad) = decoded((log + "no line\n").as_bytes());
        assert_eq!((lines.len(), bad.len()), (1_600, 1));
        let report = logs::run(lines, None, 1).expect("it is long enough");
        let text = text(&OfLogs {
            file: "a.log".to_owned(),
            bad_lines: bad.len(),
            bad_line_first: bad.into_iter().next(),
            report,
        });
        for part in [
            "a.log: 1600 lines over 2.2 days, 1600 of its minutes have one\n",
            "1 line left out, the first is line 1601: ",
            "its lines are replayed at their own times: ",
            "response times are made",
            "beware: 0.5 requests a minute are too few",
            "\nmetric        set to 0.2",
            "\nholt-winters     1 a key",
            "\nall, metric and minutes given",
            "the same to the bit\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
