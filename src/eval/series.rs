//! A series of values from a text of `timestamp,value[,label]` lines.
//!
//! A header is a first line that has no value; if it names its columns, they are taken by name, else by position. A line that is not understood is
//! left out and told with its number. An empty value, or `nan`, is a missing point. Lines may be out of order; the points are not.

use super::times::micros_of;
use crate::detect::Window;
use serde::Serialize;
use std::ops::Range;

/// So many bad lines are told one by one.
const BAD_LINES_TOLD: usize = 20;
/// Squares of larger values would not be finite.
const VALUE_MAX: f64 = 1e30;
const MICROS_PER_DAY: f64 = 86_400e6;

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub time_us: i64,
    pub value: f64,
    pub is_anomaly: bool,
}

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// From 1, with the header.
    pub number: usize,
    pub reason: String,
}

/// Points by time, and what was wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub points: Vec<Point>,
    /// The most frequent distance between neighbours.
    pub step_us: i64,
    pub has_labels: bool,
    pub bad_lines: usize,
    /// The first of these.
    pub told: Vec<BadLine>,
    /// Points whose time is that of an earlier line, which they replace.
    pub replaced: usize,
}

#[derive(Clone, Copy, Default)]
struct Columns {
    time: usize,
    value: usize,
    label: Option<usize>,
}

impl Series {
    /// What stands in a text.
    pub fn parse(text: &str) -> Series {
        let mut series = Series::default();
        let mut columns = Columns {
            time: 0,
            value: 1,
            label: Some(2),
        };
        let mut is_first = true;
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let fields: Vec<&str> = line
                .split(',')
                .map(|it| it.trim().trim_matches('"'))
                .collect();
            if std::mem::take(&mut is_first)
                && let Some(named) = header(&fields)
            {
                columns = named;
                continue;
            }
            match point(&fields, columns) {
                Ok((point, is_labelled)) => {
                    series.has_labels |= is_labelled;
                    series.points.push(point);
                }
                Err(reason) => {
                    series.bad_lines += 1;
                    if series.told.len() < BAD_LINES_TOLD {
                        let number = at + 1;
                        series.told.push(BadLine { number, reason });
                    }
                }
            }
        }
        series.put_in_order();
        series
    }

    fn put_in_order(&mut self) {
        self.points.sort_by_key(|it| it.time_us);
        let before = self.points.len();
        let mut kept: Vec<Point> = Vec::with_capacity(before);
        for point in &self.points {
            match kept.last_mut() {
                Some(last) if last.time_us == point.time_us => {
                    *last = Point {
                        is_anomaly: last.is_anomaly || point.is_anomaly,
                        ..*point
                    };
                }
                _ => kept.push(*point),
            }
        }
        self.replaced = before - kept.len();
        self.points = kept;
        self.step_us = step(&self.points);
    }

    /// Each point as a window. Numbers are those of its time over the step, and no two points share one.
    pub fn windows(&self) -> Vec<Window<f64>> {
        let step = self.step_us.max(1);
        let mut last = i64::MIN;
        let window = |point: &Point| {
            let nearest = (point.time_us + step / 2).div_euclid(step);
            last = nearest.max(last.saturating_add(1));
            Window {
                number: last,
                evidence: point.value,
            }
        };
        self.points.iter().map(window).collect()
    }

    /// Windows in a day; less than one if they are longer.
    pub fn windows_per_day(&self) -> f64 {
        MICROS_PER_DAY / self.step_us.max(1) as f64
    }

    /// Runs of anomalous points.
    pub fn events(&self) -> Vec<Range<usize>> {
        events(
            &self
                .points
                .iter()
                .map(|it| it.is_anomaly)
                .collect::<Vec<_>>(),
        )
    }
}

/// Runs of true.
pub fn events(labels: &[bool]) -> Vec<Range<usize>> {
    let mut events: Vec<Range<usize>> = Vec::new();
    for (at, _) in labels.iter().enumerate().filter(|it| *it.1) {
        match events.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => events.push(at..at + 1),
        }
    }
    events
}

/// The columns that a first line names, if it is a header: by well-known names, the rest by position.
fn header(fields: &[&str]) -> Option<Columns> {
    let is_value = |it: &&str| it.parse::<f64>().is_ok();
    if fields.iter().skip(1).any(is_value) || micros_of(fields.first()?).is_some() {
        return None;
    }
    let named = |names: &[&str]| {
        let is_named = |it: &&str| names.contains(&it.to_ascii_lowercase().as_str());
        fields.iter().position(is_named)
    };
    let time = named(&[
        "timestamp",
        "time",
        "timestamps",
        "date",
        "datetime",
        "period",
        "ts",
    ]);
    let value = named(&["value", "values", "count", "data", "metric", "y"]);
    let label = named(&["label", "labels", "is_anomaly", "anomaly", "anomalous"]);
    Some(Columns {
        time: time.unwrap_or(0),
        value: value.unwrap_or(1),
        label: label.or(Some(2)),
    })
}

fn point(fields: &[&str], columns: Columns) -> Result<(Point, bool), String> {
    let field = |at: usize| fields.get(at).copied();
    let time = field(columns.time).unwrap_or_default();
    let time_us = micros_of(time).ok_or_else(|| {
        format!("{time:?} is no time; write RFC 3339, YYYY-MM-DD HH:MM:SS or seconds since 1970")
    })?;
    let value = field(columns.value).ok_or("it has no value")?;
    let value = match value.to_ascii_lowercase().as_str() {
        "" | "nan" | "null" | "na" => f64::NAN,
        text => text
            .parse::<f64>()
            .ok()
            .filter(|it| it.abs() <= VALUE_MAX)
            .ok_or_else(|| format!("the value {value:?} is no number up to {VALUE_MAX:e}"))?,
    };
    let label = columns.label.and_then(field).filter(|it| !it.is_empty());
    let is_anomaly = match label.map(str::to_ascii_lowercase).as_deref() {
        None | Some("0" | "0.0" | "false") => false,
        Some("1" | "1.0" | "true") => true,
        Some(other) => return Err(format!("the label {other:?} is neither 0 nor 1")),
    };
    let point = Point {
        time_us,
        value,
        is_anomaly,
    };
    Ok((point, label.is_some()))
}

/// The most frequent distance; of several equally frequent ones the least.
fn step(points: &[Point]) -> i64 {
    let distances = points.windows(2).map(|it| it[1].time_us - it[0].time_us);
    let mut distances: Vec<i64> = distances.collect();
    distances.sort_unstable();
    let runs = distances.chunk_by(|a, b| a == b);
    let best = runs.fold((0, 0), |best, it| match best.1 < it.len() {
        true => (it[0], it.len()),
        false => best,
    });
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_orders_and_bad_lines() {
        let text = "value,timestamp,is_anomaly\n1.5,2024-05-12 00:00:00,0\n\nx,2024-05-12 00:01:00,0\n2,2024-05-12 00:02:00,1\n3,2024-05-12 00:01:00,1\n4,noon,0\n,2024-05-12 00:03:00,0\n5,2024-05-12 00:03:00,2\n";
        let series = Series::parse(text);
        let values: Vec<f64> = series.points.iter().map(|it| it.value).collect();
        assert_eq!(values[..3], [1.5, 3.0, 2.0]);
        assert!(values[3].is_nan() && values.len() == 4);
        assert_eq!(series.step_us, 60_000_000);
        assert_eq!(series.events(), std::iter::once(1..3).collect::<Vec<_>>());
        let bad: Vec<usize> = series.told.iter().map(|it| it.number).collect();
        assert_eq!((series.bad_lines, bad), (3, vec![4, 7, 9]));
        assert!(series.has_labels);
    }

    #[test]
    fn without_a_header_columns_are_in_order() {
        let series = Series::parse("1715496000,1\n1715496060,2\n1715496060,7\n1715496180,3\n");
        assert!(!series.has_labels);
        assert_eq!(series.replaced, 1);
        let numbers: Vec<i64> = series.windows().iter().map(|it| it.number).collect();
        assert_eq!((numbers[1] - numbers[0], numbers[2] - numbers[1]), (1, 2));
        let values: Vec<f64> = series.points.iter().map(|it| it.value).collect();
        assert_eq!(values, [1.0, 7.0, 3.0]);
    }

    #[test]
    fn nothing_and_nonsense_do_no_harm() {
        assert_eq!(Series::parse(""), Series::default());
        let nonsense = Series::parse("\u{0}\u{1},,,\n,,,\n\"\n");
        assert!(nonsense.points.is_empty());
        assert_eq!(nonsense.windows(), []);
    }
}
