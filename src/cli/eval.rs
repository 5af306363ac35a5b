//! `eval`: runs detectors over a file, and prints what they find as a table or as JSON.

mod logs;

use super::print::{Cell, Out, count, printable};
use super::table::{Expanded, Kind, Look, Table};
use crate::detect::{Score, forecast::Scale};
use crate::eval::labelled::{self, Measures};
use crate::eval::named::{Named, Season, Subject};
use crate::eval::rates::{self, Report};
use crate::eval::series::{BadLine, Series};
use crate::eval::synthetic;
use crate::plan::span;
use anyhow::{Context, Result, bail};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_csv::writer::{Terminator, WriterBuilder};
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Larger files are refused: they are read whole.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Args)]
#[command(group = clap::ArgGroup::new("subject").required(true))]
pub struct Arguments {
    /// File of `timestamp,value[,label]` lines: RFC 3339, YYYY-MM-DD HH:MM:SS or numbers since 1970, or none; label 1 is an anomaly.
    #[arg(long, value_name = "FILE", group = "subject")]
    series: Option<PathBuf>,
    /// File of `period,count` lines, one per minute, into which faults are injected.
    #[arg(long, value_name = "FILE", group = "subject")]
    rates: Option<PathBuf>,
    /// File of access log lines (common, combined or nginx's form), which are replayed with faults injected.
    #[arg(long, value_name = "FILE", group = "subject")]
    logs: Option<PathBuf>,
    /// File of `period,count` lines, one per minute: lines of --logs are drawn at these counts, instead of replayed at their own times.
    #[arg(long, value_name = "FILE", requires = "logs")]
    traffic: Option<PathBuf>,
    /// Requests a minute that the counts of --traffic are brought to, in the mean.
    #[arg(long, default_value_t = 1_000, value_name = "REQUESTS", requires = "traffic", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    per_minute: u32,
    /// Make labelled series of known kinds, and say which detector finds which.
    #[arg(long, group = "subject")]
    synthetic: bool,
    /// Detector of a series; --rates and --synthetic run all of them, --logs that of CREATE DETECTOR and simple ones.
    #[arg(long, default_value = "default", value_parser = detectors())]
    detector: Named,
    /// Season of a series, for detectors that have one: auto finds it, from what came before (holt-winters has none then); day, week, none, or a number of points.
    #[arg(long, default_value = "auto")]
    season: SeasonGiven,
    /// Write `timestamp,value,expected,low,high,score` lines of a series to this file, one for each of its lines, in their order.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rates", "logs", "synthetic"])]
    output: Option<PathBuf>,
    /// Seed of what is injected: the same seed, the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes of a window of --rates; those of --logs have one.
    #[arg(long, default_value_t = 5, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(1..=60))]
    window: u16,
    /// For machines.
    #[arg(long)]
    json: bool,
}

fn detectors() -> impl TypedValueParser<Value = Named> {
    PossibleValuesParser::new(Named::ALL.map(Named::name))
        .try_map(|name| Named::of_name(&name).ok_or("no such detector"))
}

/// What `--season` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeasonGiven {
    Auto,
    None,
    Days(u32),
    Points(u32),
}

impl std::str::FromStr for SeasonGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const POINTS_MAX: u32 = 1_000_000;
        match text {
            "auto" => Ok(SeasonGiven::Auto),
            "none" => Ok(SeasonGiven::None),
            "day" => Ok(SeasonGiven::Days(1)),
            "week" => Ok(SeasonGiven::Days(7)),
            _ => match text.parse::<u32>() {
                Ok(points) if (2..=POINTS_MAX).contains(&points) => Ok(SeasonGiven::Points(points)),
                Ok(_) | Err(_) => Err(format!(
                    "write auto, day, week, none, or a number of points from 2 to {POINTS_MAX}"
                )),
            },
        }
    }
}

impl SeasonGiven {
    /// In points of this series.
    fn of(self, series: &Series) -> Result<Season> {
        let days = match self {
            SeasonGiven::Auto => return Ok(Season::Auto),
            SeasonGiven::None => return Ok(Season::None),
            SeasonGiven::Points(points) => return Ok(Season::Windows(points)),
            SeasonGiven::Days(days) => days,
        };
        let points = (f64::from(days) * series.windows_per_day()).round();
        let name = if days == 1 { "day" } else { "week" };
        if !(2.0..=1e6).contains(&points) {
            bail!(
                "--season {name} does not fit this series: one has {points} of its points, whose distance is {}; write none, auto or a number of points",
                span(series.step_us)
            );
        }
        Ok(Season::Windows(points as u32))
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.series {
        return of_series(arguments, path);
    }
    if let Some(path) = &arguments.rates {
        return of_rates(arguments, path);
    }
    if let Some(path) = &arguments.logs {
        return logs::run(arguments, path);
    }
    of_synthetic(arguments)
}

/// What is said of one series.
#[derive(Serialize)]
struct OfSeries {
    file: String,
    detector: &'static str,
    points: usize,
    /// None if its lines have no times.
    step_seconds: Option<f64>,
    scored: usize,
    bad_lines: usize,
    unlabelled: usize,
    /// Lines left out and labels not understood.
    bad_lines_first: Vec<BadLine>,
    unread_columns: Vec<String>,
    replaced: usize,
    /// None if no point is labelled as an anomaly.
    measures: Option<Measures>,
}

fn of_series(arguments: &Arguments, path: &Path) -> Result<()> {
    let series = Series::parse(&read(path)?);
    let file = path.display().to_string();
    if series.points.len() < 2 {
        bail!("{}", nothing_in(&file, &series));
    }
    let subject = Subject {
        scale: Scale::Values,
        season: arguments.season.of(&series)?,
    };
    let scores = arguments.detector.run(subject, &series.windows());
    if let Some(output) = &arguments.output {
        write_scores(output, &series, &scores)
            .with_context(|| format!("could not write {}", output.display()))?;
    }
    let report = OfSeries {
        file,
        detector: arguments.detector.name(),
        points: series.points.len(),
        step_seconds: series.has_times.then(|| series.step_us as f64 / 1e6),
        scored: scores.iter().filter(|it| it.scored().is_some()).count(),
        bad_lines: series.bad_lines,
        unlabelled: series.unlabelled,
        bad_lines_first: series.told.clone(),
        unread_columns: series.unread.clone(),
        replaced: series.replaced,
        measures: labelled::measure(&series, &scores),
    };
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => text_of_series(&report, &series),
    };
    Ok(Out::new().write_all(text.as_bytes())?)
}

fn nothing_in(file: &str, series: &Series) -> String {
    let read = count(series.points.len(), "point");
    let why = match series.told.first() {
        Some(bad) => format!(
            "{} not understood, the first is line {}: {}",
            count(series.bad_lines, "line"),
            bad.number,
            printable(&bad.reason)
        ),
        None => "write lines of `timestamp,value`".to_owned(),
    };
    format!("{file} has {read}, which is too few to score: {why}")
}

fn text_of_series(report: &OfSeries, series: &Series) -> String {
    let distance = match series.has_times {
        true => format!("one every {}", span(series.step_us)),
        false => "in a row without times (one counts as a minute)".to_owned(),
    };
    let mut text = format!(
        "{}: {}, {distance}, of which {} have a score\n",
        printable(&report.file),
        count(report.points, "point"),
        report.scored
    );
    if !report.unread_columns.is_empty() {
        let names = report.unread_columns.join(", ");
        text += &format!("columns that are not read: {}\n", printable(&names));
    }
    if 0 < report.replaced {
        let times = count(report.replaced, "line");
        text += &format!("{times} replaced by a later line of the same time\n");
    }
    for bad in &report.bad_lines_first {
        text += &format!("line {}: {}\n", bad.number, printable(&bad.reason));
    }
    if 0 < report.bad_lines {
        text += &format!("{} left out\n", count(report.bad_lines, "line"));
    }
    if 0 < report.unlabelled {
        let labels = count(report.unlabelled, "label");
        text += &format!("{labels} not understood, whose points count as usual\n");
    }
    let Some(measures) = &report.measures else {
        let why = match series.has_labels {
            true => "all labels are 0",
            false => "it has no labels (a third column of 0 or 1)",
        };
        return text + &format!("nothing to compare with: {why}\n");
    };
    text += &format!(
        "{} with {}: area under precision and recall {:.3}, VUS-PR {:.3}\n\n",
        count(measures.events, "event"),
        count(measures.anomalous_points, "anomalous point"),
        measures.average_precision,
        measures.volume_pr
    );
    let rows = measures.at_budgets.iter().map(|it| {
        vec![
            report.detector.to_owned(),
            it.budget_per_day.to_string(),
            decimals(Some(it.recall)),
            decimals(it.precision),
            it.false_alerts.to_string(),
            optional(it.delay_windows_median),
            it.threshold.map_or("-".to_owned(), |it| format!("{it:.2}")),
        ]
    });
    let names = [
        "detector",
        "false alerts/day",
        "recall",
        "precision",
        "false alerts",
        "delay (points)",
        "threshold",
    ];
    text + &table(&names, rows.collect())
}

fn of_rates(arguments: &Arguments, path: &Path) -> Result<()> {
    let series = Series::parse(&read(path)?);
    let window = usize::from(arguments.window);
    let report = rates::run(&series, arguments.seed, window, &Named::ALL)
        .with_context(|| format!("{} cannot be tested", path.display()))?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => text_of_rates(&report, &series),
    };
    Ok(Out::new().write_all(text.as_bytes())?)
}

fn text_of_rates(report: &Report, series: &Series) -> String {
    let mut text = format!(
        "{} injected with seed {}, windows of {} min, {:.0} days judged behind a week of learning\n",
        count(report.faults, "fault"),
        report.seed,
        report.window_minutes,
        report.days
    );
    if let Some(bad) = series.told.first() {
        text += &format!(
            "{} left out, the first is line {}: {}\n",
            count(series.bad_lines, "line"),
            bad.number,
            printable(&bad.reason)
        );
    }
    text += "recall: the share of faults with an alert while they last; or end: or within half an hour behind\n\n";
    let mut names = vec!["detector", "per day"];
    names.extend(&report.kinds);
    names.extend(["mean", "or end", "precision", "false/day", "delay"]);
    let rows = report.results.iter().map(|it| {
        let mut row = vec![it.detector.to_owned(), it.budget_per_day.to_string()];
        row.extend(it.recall_by_kind.iter().map(|it| decimals(Some(*it))));
        row.extend([
            decimals(Some(it.recall)),
            decimals(Some(it.recall_with_end)),
            decimals(it.precision),
            decimals(Some(it.false_alerts_per_day)),
            optional(it.delay_windows_median),
        ]);
        row
    });
    text + &table(&names, rows.collect())
}

fn of_synthetic(arguments: &Arguments) -> Result<()> {
    let report = synthetic::run(arguments.seed, &Named::ALL);
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report)? + "\n",
        false => text_of_synthetic(&report),
    };
    Ok(Out::new().write_all(text.as_bytes())?)
}

fn text_of_synthetic(report: &synthetic::Report) -> String {
    let mut text = format!(
        "{} series of {} points, made with seed {}: each kind of anomaly in each kind of series\n",
        report.series, report.points, report.seed
    );
    text += "recall at one false alert in 720 points, by kind and by what they are in; areas over all\n\n";
    let mut names = vec!["detector"];
    names.extend(&report.kinds);
    names.extend(&report.bases);
    names.extend(["recall", "precision/recall area", "VUS-PR"]);
    let rows = report.results.iter().map(|it| {
        let numbers = it.recall_by_kind.iter().chain(&it.recall_by_base);
        let numbers = numbers.chain([&it.recall, &it.average_precision, &it.volume_pr]);
        let mut row = vec![it.detector.to_owned()];
        row.extend(numbers.map(|it| decimals(Some(*it))));
        row
    });
    text + &table(&names, rows.collect())
}

fn table(names: &[&str], rows: Vec<Vec<String>>) -> String {
    let columns = names.iter().enumerate().map(|(at, name)| {
        let kind = if at == 0 { Kind::Text } else { Kind::Number };
        ((*name).to_owned(), kind)
    });
    let rows = rows.into_iter();
    let rows = rows.map(|it| it.into_iter().map(Cell::text).collect());
    let table = Table::new(columns, rows.collect());
    // A figure that is left out could be the one that counts.
    table.laid(Look::of_output(Expanded::Auto)).text
}

fn decimals(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |it| format!("{it:.2}"))
}

fn optional(number: Option<usize>) -> String {
    number.map_or("-".to_owned(), |it| it.to_string())
}

fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let could_not = || format!("could not read {}", path.display());
    let size = std::fs::metadata(path).with_context(could_not)?.len();
    if FILE_BYTES_MAX < size {
        bail!(
            "{} has {size} bytes; a file of up to {FILE_BYTES_MAX} can be evaluated, so cut it",
            path.display()
        );
    }
    std::fs::read(path).with_context(could_not)
}

/// As CSV (RFC 4180), a line for each of the series' lines. Fields without a value are empty: the score of a point that has none is null, never zero.
fn write_scores(path: &Path, series: &Series, scores: &[Score]) -> Result<()> {
    let names = ["timestamp", "value", "expected", "low", "high", "score"];
    let mut columns = names.map(|_| Vec::new());
    for line in &series.lines {
        let point = line.point.map(|it| series.points[it].value);
        let value = point.filter(|it| it.is_finite());
        let scored = line.point.and_then(|it| scores[it].scored());
        let text = |it: Option<f64>| it.map(|it| it.to_string());
        let fields = [
            Some(line.time.clone()),
            text(value),
            text(scored.map(|it| it.expected)),
            text(scored.map(|it| it.low)),
            text(scored.map(|it| it.high)),
            text(scored.map(|it| it.severity)),
        ];
        for (column, field) in columns.iter_mut().zip(fields) {
            column.push(field);
        }
    }
    let columns = columns.map(|it| Arc::new(StringArray::from(it)) as ArrayRef);
    let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns))?;
    let file = BufWriter::new(std::fs::File::create(path)?);
    let mut writer = WriterBuilder::new()
        .with_line_terminator(Terminator::CRLF)
        .build(file);
    Ok(writer.write(&batch)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn one_subject_with_any_settings() {
        let line = |it: &str| Line::try_parse_from(it.split(' '));
        let given = line("eval --series a.csv --detector drift --season day --output b.csv --json");
        let arguments = given.expect("it is understood").arguments;
        assert_eq!(arguments.detector, Named::Drift);
        assert_eq!(arguments.season, SeasonGiven::Days(1));
        assert!(line("eval --rates a.csv --seed 3 --window 10").is_ok());
        assert!(line("eval --logs a.log --seed 3").is_ok());
        assert!(line("eval --logs a.log --traffic a.csv --per-minute 100").is_ok());
        assert!(line("eval --synthetic").is_ok());
        for wrong in [
            "eval",
            "eval --json",
            "eval --series a.csv --rates b.csv",
            "eval --rates a.csv --output b.csv",
            "eval --logs a.log --rates b.csv",
            "eval --traffic a.csv",
            "eval --logs a.log --per-minute 100",
            "eval --logs a.log --traffic a.csv --per-minute 0",
            "eval --series a.csv --detector magic",
            "eval --rates a.csv --window 0",
        ] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seasons_are_names_or_points() {
        let season = |it: &str| it.parse::<SeasonGiven>();
        assert_eq!(season("day"), Ok(SeasonGiven::Days(1)));
        assert_eq!(season("24"), Ok(SeasonGiven::Points(24)));
        for wrong in ["1", "year", "-3", "", "9999999"] {
            assert!(season(wrong).is_err(), "{wrong}");
        }
        let daily = Series::parse("2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n");
        let refused = SeasonGiven::Days(1).of(&daily).unwrap_err().to_string();
        assert!(refused.contains("--season day does not fit"), "{refused}");
        assert_eq!(SeasonGiven::Days(7).of(&daily).unwrap(), Season::Windows(7));
    }

    #[test]
    fn a_file_without_points_says_what_is_wrong() {
        let series = Series::parse("timestamp,value\nnoon,3\n");
        insta::assert_snapshot!(nothing_in("a.csv", &series), @r#"a.csv has 0 points, which is too few to score: 1 line not understood, the first is line 2: "noon" is no time; write RFC 3339, YYYY-MM-DD HH:MM:SS or seconds since 1970"#);
    }

    #[test]
    fn scores_are_written_with_nulls_while_they_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        let text: String = (0..40)
            .map(|it| format!("{},{}\n", it * 60, it % 3))
            .collect();
        // Behind the last one, and late, a line that is none and one more of that time.
        let series = Series::parse(&(text + "2460,49\n2400,nan\nx,1\n2460,50\n"));
        let subject = Subject {
            scale: Scale::Values,
            season: Season::None,
        };
        let scores = Named::Forecast.run(subject, &series.windows());
        write_scores(&path, &series, &scores).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\r\n"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "timestamp,value,expected,low,high,score");
        assert_eq!(lines.len(), 45);
        assert_eq!(lines[1], "0,0,,,,");
        assert_eq!(lines[42..44], ["2400,,,,,", "x,,,,,"]);
        assert!(lines[44].starts_with("2460,50,"), "{}", lines[44]);
        assert!(!lines[44].ends_with(','), "{}", lines[44]);
        assert_eq!(lines[41], lines[44]);
    }
}
