//! A series of values from a text of `timestamp,value[,label]` lines (`columns` says where each stands).
//!
//! A line that is not understood is left out and reported with its number. An empty value, or `nan`, is a missing point. Lines may be out of order; the points are not. Lines without times, or with
//! numbers that count from a small one by one, are points in a row, and a point counts as a minute.

use super::columns::{Columns, Label, is_missing};
use super::times::micros_of;
use crate::detect::Window;
use serde::Serialize;
use std::ops::Range;

/// So many bad lines are told one by one.
const BAD_LINES_TOLD: usize = 20;
/// Squares of larger values would not be finite.
const VALUE_MAX: f64 = 1e30;
const MICROS_PER_DAY: f64 = 86_400e6;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// What a point without a time stands for.
const SECONDS_PER_ROW: i64 = 60;
/// Numbers below it (3 March 1973 in seconds) that go up by one are no times.
const FIRST_TIME_US: i64 = 100_000_000 * MICROS_PER_SECOND;

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

/// A line behind the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As it is written; its number, from 0, if lines have none.
    pub time: String,
    /// The point of its time; none if it was left out.
    pub point: Option<usize>,
}

/// Points by time, and what was wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub points: Vec<Point>,
    /// In the order of the text.
    pub lines: Vec<Line>,
    /// The usual distance between neighbours.
    pub step_us: i64,
    /// Whether distances are those of times, not of places in a row.
    pub has_times: bool,
    pub has_labels: bool,
    /// Points whose label is not understood. They count as usual ones.
    pub unlabelled: usize,
    /// Names of columns that are not part of it.
    pub unread: Vec<String>,
    pub bad_lines: usize,
    /// The first of these.
    pub told: Vec<BadLine>,
    /// Points whose time is that of an earlier line, which they replace.
    pub replaced: usize,
}

impl Series {
    /// What stands in a text.
    pub fn parse(text: &str) -> Series {
        let numbered = text.trim_start_matches('\u{feff}').lines().zip(1..);
        let numbered = numbered.filter(|it| !it.0.trim().is_empty());
        let numbered: Vec<(&str, usize)> = numbered.collect();
        let lines: Vec<&str> = numbered.iter().map(|it| it.0).collect();
        let columns = Columns::of(&lines);
        let mut series = Series {
            has_times: columns.time.is_some(),
            ..Series::default()
        };
        let is_turned = columns.has_turned_labels(&lines);
        for (line, number) in numbered.into_iter().skip(usize::from(columns.has_header)) {
            let fields = columns.fields(line);
            let row = series.lines.len();
            let time = match columns.time {
                Some(at) => fields.get(at).copied().unwrap_or_default().to_owned(),
                None => row.to_string(),
            };
            let found = point(&fields, &columns, row);
            let point = found.is_ok().then_some(series.points.len());
            series.lines.push(Line { time, point });
            match found {
                Ok(mut point) => {
                    let label = columns.label.and_then(|it| fields.get(it).copied());
                    series.label(&mut point, label.unwrap_or_default(), is_turned, number);
                    series.points.push(point);
                }
                Err(reason) => {
                    series.bad_lines += 1;
                    series.tell(number, reason);
                }
            }
        }
        series.unread = columns.unread;
        series.put_in_order();
        series
    }

    fn label(&mut self, point: &mut Point, label: &str, is_turned: bool, number: usize) {
        let is_anomaly = match Label::of(label) {
            Some(Label::Usual) => false,
            Some(Label::Anomaly) => !is_turned,
            Some(Label::MinusOne) if is_turned => true,
            Some(Label::MinusOne) | None => {
                if !label.is_empty() {
                    self.unlabelled += 1;
                    self.tell(number, format!("the label {label:?} is neither 0 nor 1"));
                }
                return;
            }
        };
        point.is_anomaly = is_anomaly;
        self.has_labels = true;
    }

    fn tell(&mut self, number: usize, reason: String) {
        if self.told.len() < BAD_LINES_TOLD {
            self.told.push(BadLine { number, reason });
        }
    }

    fn put_in_order(&mut self) {
        let mut by_time: Vec<(Point, usize)> = self.points.iter().copied().zip(0..).collect();
        by_time.sort_by_key(|it| it.0.time_us);
        let before = self.points.len();
        let mut kept: Vec<Point> = Vec::with_capacity(before);
        let mut place = vec![0; before];
        for (point, at) in &by_time {
            match kept.last_mut() {
                Some(last) if last.time_us == point.time_us => {
                    *last = Point {
                        is_anomaly: last.is_anomaly || point.is_anomaly,
                        ..*point
                    };
                }
                _ => kept.push(*point),
            }
            place[*at] = kept.len() - 1;
        }
        for point in self.lines.iter_mut().filter_map(|it| it.point.as_mut()) {
            *point = place[*point];
        }
        self.replaced = before - kept.len();
        self.points = kept;
        self.step_us = step(&self.points);
        let is_early = |it: &Point| it.time_us.abs() < FIRST_TIME_US;
        if self.has_times && self.step_us == MICROS_PER_SECOND && self.points.iter().all(is_early) {
            self.has_times = false;
            for point in &mut self.points {
                point.time_us *= SECONDS_PER_ROW;
            }
            self.step_us *= SECONDS_PER_ROW;
        }
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

fn point(fields: &[&str], columns: &Columns, row: usize) -> Result<Point, String> {
    let time_us = match columns.time {
        Some(at) => {
            let time = fields.get(at).copied().unwrap_or_default();
            micros_of(time).ok_or_else(|| {
                format!(
                    "{time:?} is no time; write RFC 3339, YYYY-MM-DD HH:MM:SS or seconds since 1970"
                )
            })?
        }
        None => row as i64 * SECONDS_PER_ROW * MICROS_PER_SECOND,
    };
    let value = *fields.get(columns.value).ok_or("it has no value")?;
    let value = match is_missing(value) {
        true => f64::NAN,
        false => value
            .parse::<f64>()
            .ok()
            .filter(|it| it.abs() <= VALUE_MAX)
            .ok_or_else(|| format!("the value {value:?} is no number up to {VALUE_MAX:e}"))?,
    };
    Ok(Point {
        time_us,
        value,
        is_anomaly: false,
    })
}

/// The most frequent distance, of several equally frequent ones the least; the median where that one is rare, since times are not kept to the second there.
fn step(points: &[Point]) -> i64 {
    const RARE: usize = 10;
    let distances = points.windows(2).map(|it| it[1].time_us - it[0].time_us);
    let mut distances: Vec<i64> = distances.collect();
    distances.sort_unstable();
    let runs = distances.chunk_by(|a, b| a == b);
    let best = runs.fold((0, 0), |best, it| match best.1 < it.len() {
        true => (it[0], it.len()),
        false => best,
    });
    match best.1 * RARE < distances.len() {
        true => distances[distances.len() / 2],
        false => best.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_orders_and_bad_lines() {
        let text = "value,timestamp,is_anomaly\n1.5,2024-05-12 00:00:00,0\n\nx,2024-05-12 00:01:00,0\n2,2024-05-12 00:02:00,1\n3,2024-05-12 00:01:00,1\n4,noon,0\n,2024-05-12 00:03:00,0\n5,2024-05-12 00:03:00,2\n";
        let series = Series::parse(text);
        let values: Vec<f64> = series.points.iter().map(|it| it.value).collect();
        // The later one of two lines of one time stays.
        assert_eq!(values, [1.5, 3.0, 2.0, 5.0]);
        let points: Vec<Option<usize>> = series.lines.iter().map(|it| it.point).collect();
        let lines = [Some(0), None, Some(2), Some(1), None, Some(3), Some(3)];
        assert_eq!(points, lines);
        assert_eq!(series.lines[2].time, "2024-05-12 00:02:00");
        assert_eq!(series.step_us, 60_000_000);
        assert_eq!(series.events(), std::iter::once(1..3).collect::<Vec<_>>());
        let bad: Vec<usize> = series.told.iter().map(|it| it.number).collect();
        // A label that is not understood leaves its point.
        assert_eq!((series.bad_lines, bad), (2, vec![4, 7, 9]));
        assert_eq!(series.unlabelled, 1);
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
    fn values_alone_are_points_in_a_row() {
        for text in [
            "Data,Label\r\n1e0,0\r\n2.5,1\r\n+3,0\r\n",
            "1,0\n2.5,1\n3,0\n0,0\n",
        ] {
            let series = Series::parse(text);
            assert!(!series.has_times && series.has_labels, "{text}");
            assert_eq!(series.step_us, 60_000_000);
            assert_eq!(series.events(), std::iter::once(1..2).collect::<Vec<_>>());
            assert_eq!(series.lines[2].time, "2");
        }
        let counted = Series::parse("timestamp,value\n1,10\n2,20\n4,30\n");
        assert!(!counted.has_times && counted.points[2].time_us == 240_000_000);
        let timed = Series::parse("timestamp,value\n1715496000,10\n1715496001,20\n");
        assert!(timed.has_times && timed.step_us == 1_000_000);
    }

    #[test]
    fn minus_one_is_an_anomaly_beside_one() {
        let turned = Series::parse("t,value,label\n60,1,1\n120,2,-1\n180,3,1\n");
        assert_eq!(turned.events(), std::iter::once(1..2).collect::<Vec<_>>());
        let unclear = Series::parse("t,value,label\n60,1,0\n120,2,-1\n180,3,1\n");
        assert_eq!(unclear.events(), std::iter::once(2..3).collect::<Vec<_>>());
        assert_eq!((unclear.points.len(), unclear.unlabelled), (3, 1));
    }

    #[test]
    fn the_step_of_times_that_are_not_exact_is_the_middle_one() {
        let text: String = (0..50_i64)
            .map(|it| format!("{}.{:03},1\n", 1_715_496_000 + 60 * it, it * it * 37 % 501))
            .collect();
        let series = Series::parse(&text);
        assert!(
            (series.step_us - 60_000_000).abs() < 500_000,
            "{}",
            series.step_us
        );
        let numbers = series.windows();
        assert!(
            numbers
                .windows(2)
                .all(|it| it[1].number - it[0].number == 1)
        );
    }

    #[test]
    fn nothing_and_nonsense_do_no_harm() {
        assert_eq!(Series::parse(""), Series::default());
        let nonsense = Series::parse("\u{0}\u{1},,,\n,,,\n\"\n");
        assert!(nonsense.points.is_empty());
        assert_eq!(nonsense.windows(), []);
    }
}
