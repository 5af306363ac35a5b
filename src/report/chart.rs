//! Charts as SVG, drawn by us: no script, and nothing from elsewhere. Colours follow the style of the page around them, and are there without it.

use super::html::escaped;
use super::numbers::{decimal, number_of, shown};
use super::{Chart, ChartKind, Column, Section};
use chrono::DateTime;
use serde_json::{Map, Value as Json};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
/// Of a bar and what is around it.
const BAR: f64 = 24.0;
const NAME_WIDTH: f64 = 240.0;
const NAME_MAX: usize = 36;
const VALUE_WIDTH: f64 = 130.0;
/// Of a chart over time: all of it, and what its axes take.
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 26.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;
const TIMES_SHOWN: i64 = 9;

type Row = Map<String, Json>;

/// The chart of a section's rows; nothing if they have no figures.
pub fn svg(chart: &Chart, section: &Section) -> Option<String> {
    let column = |name: &str| section.columns.iter().find(|it| it.name == name);
    let drawn = Drawn {
        x: column(&chart.x)?,
        y: column(&chart.y)?,
        part: match &chart.part {
            Some(name) => Some(column(name)?),
            None => None,
        },
        rows: &section.rows,
    };
    match chart.kind {
        ChartKind::Bars => drawn.bars(),
        ChartKind::Steps => drawn.over_time(false),
        ChartKind::Line => drawn.over_time(true),
    }
}

struct Drawn<'a> {
    x: &'a Column,
    y: &'a Column,
    part: Option<&'a Column>,
    rows: &'a [Row],
}

fn figure(row: &Row, column: &Column) -> Option<f64> {
    row.get(&column.name).and_then(number_of)
}

fn value(row: &Row, column: &Column) -> String {
    shown(column, row.get(&column.name).unwrap_or(&Json::Null))
}

impl Drawn<'_> {
    fn largest(&self) -> Option<f64> {
        let figures = self.rows.iter().filter_map(|it| figure(it, self.y));
        figures.reduce(f64::max).filter(|it| 0.0 < *it)
    }

    /// What is told of a row when it is pointed at.
    fn told(&self, row: &Row) -> String {
        let mut text = format!(
            "{}: {} {}",
            value(row, self.x),
            value(row, self.y),
            self.y.heading()
        );
        if let Some(part) = self.part {
            let _ = write!(text, ", {} {}", value(row, part), part.heading());
        }
        escaped(&text)
    }

    fn bars(&self) -> Option<String> {
        let largest = self.largest()?;
        let height = BAR * self.rows.len() as f64;
        let mut svg = begin(height, &self.y.heading());
        let room = WIDTH - NAME_WIDTH - VALUE_WIDTH;
        for (at, row) in self.rows.iter().enumerate() {
            let top = BAR * at as f64;
            let text = top + BAR / 2.0 + 4.0;
            let width = |column: &Column| {
                let figure = figure(row, column).unwrap_or_default().max(0.0);
                room * figure / largest
            };
            let name: String = value(row, self.x);
            let name = match name.chars().count() <= NAME_MAX {
                true => name,
                false => name.chars().take(NAME_MAX - 1).chain(['…']).collect(),
            };
            let whole = width(self.y);
            let _ = write!(
                svg,
                "<g><title>{}</title><text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text><rect class=\"all\" fill=\"#3b6fb5\" x=\"{NAME_WIDTH}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                self.told(row),
                NAME_WIDTH - 8.0,
                escaped(&name),
                top + 4.0,
                whole.max(1.0),
                BAR - 8.0
            );
            let mut label = value(row, self.y);
            if let Some(part) = self.part {
                let _ = write!(
                    svg,
                    "<rect class=\"part\" fill=\"#c8443c\" x=\"{NAME_WIDTH}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    top + 4.0,
                    width(part),
                    BAR - 8.0
                );
                let _ = write!(label, " ({})", value(row, part));
            }
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{text:.1}\">{}</text></g>",
                NAME_WIDTH + whole + 6.0,
                escaped(&label)
            );
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    fn over_time(&self, is_line: bool) -> Option<String> {
        let mut rows: Vec<(i64, &Row)> = self
            .rows
            .iter()
            .filter_map(|it| Some((seconds(it.get(&self.x.name)?)?, it)))
            .collect();
        rows.sort_by_key(|it| it.0);
        let (first, last) = (rows.first()?.0, rows.last()?.0);
        let gaps = rows.windows(2).map(|it| it[1].0 - it[0].0);
        let step = gaps.filter(|it| 0 < *it).min().unwrap_or(3_600);
        let largest = self.largest()?;
        let (ticks, top) = ticks(largest);
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let x = |time: i64| LEFT + width * (time - first) as f64 / (last + step - first) as f64;
        let y = |figure: f64| TOP + height * (1.0 - figure / top);
        let mut svg = begin(HEIGHT, &self.y.heading());
        for tick in ticks {
            let _ = write!(
                svg,
                "<line class=\"grid\" stroke=\"#d5d8dd\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y(tick) + 4.0,
                escaped(&short(tick)),
                at = y(tick)
            );
        }
        match is_line {
            true => self.line(&mut svg, &rows, step, &x, &y),
            false => self.steps(&mut svg, &rows, step, &x, &y),
        }
        for time in times(first, last) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(time).max(LEFT + 16.0),
                HEIGHT - 8.0,
                when(time)
            );
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    fn steps(
        &self,
        svg: &mut String,
        rows: &[(i64, &Row)],
        step: i64,
        x: &impl Fn(i64) -> f64,
        y: &impl Fn(f64) -> f64,
    ) {
        for (time, row) in rows {
            let width = (x(time + step) - x(*time)).max(1.0);
            let gap = if 4.0 < width { 1.0 } else { 0.0 };
            let mut bar = |class: &str, fill: &str, column: &Column| {
                let Some(figure) = figure(row, column) else {
                    return;
                };
                let top = y(figure.max(0.0));
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" fill=\"{fill}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                    x(*time),
                    width - gap,
                    (y(0.0) - top).max(0.0),
                    self.told(row)
                );
            };
            bar("all", "#3b6fb5", self.y);
            if let Some(part) = self.part {
                bar("part", "#c8443c", part);
            }
        }
    }

    fn line(
        &self,
        svg: &mut String,
        rows: &[(i64, &Row)],
        step: i64,
        x: &impl Fn(i64) -> f64,
        y: &impl Fn(f64) -> f64,
    ) {
        let middle = |time: i64| x(time) + (x(time + step) - x(time)) / 2.0;
        let mut path = String::new();
        let mut before = None;
        for (time, row) in rows {
            let Some(figure) = figure(row, self.y) else {
                continue;
            };
            // A step without records is a gap, and no slope.
            let goes_on = before == Some(time - step);
            let _ = write!(
                path,
                "{}{:.1} {:.1}",
                if goes_on { 'L' } else { 'M' },
                middle(*time),
                y(figure.max(0.0))
            );
            before = Some(*time);
        }
        let _ = write!(
            svg,
            "<path class=\"line\" fill=\"none\" stroke=\"#3b6fb5\" stroke-width=\"2\" d=\"{path}\"/>"
        );
        for (time, row) in rows {
            if let Some(figure) = figure(row, self.y) {
                let _ = write!(
                    svg,
                    "<circle class=\"all\" fill=\"#3b6fb5\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"><title>{}</title></circle>",
                    middle(*time),
                    y(figure.max(0.0)),
                    self.told(row)
                );
            }
        }
    }
}

fn begin(height: f64, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{}\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"currentColor\">",
        escaped(title)
    )
}

fn seconds(value: &Json) -> Option<i64> {
    let text = value.as_str()?;
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp())
}

/// Round times between two, few enough to be read side by side.
fn times(first: i64, last: i64) -> Vec<i64> {
    const EVERY: [i64; 9] = [1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 28];
    let hours = EVERY.into_iter().map(|it| it * 3_600);
    let fitting = hours
        .into_iter()
        .find(|it| (last - first) / it < TIMES_SHOWN);
    let every = fitting.unwrap_or_else(|| {
        // Whole days, however many years it is.
        ((last - first) / TIMES_SHOWN / 86_400 + 1) * 86_400
    });
    let begin = first + (every - first.rem_euclid(every)) % every;
    let count = (last - begin).div_euclid(every) + 1;
    (0..count).map(|it| begin + it * every).collect()
}

/// A time on an axis: the day where one begins, else the time of day.
fn when(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let form = match seconds.rem_euclid(86_400) {
        0 => "%m-%d",
        _ => "%H:%M",
    };
    time.format(form).to_string()
}

/// Round numbers from zero on, and the one at the top.
fn ticks(largest: f64) -> (Vec<f64>, f64) {
    let rough = largest / 4.0;
    let size = 10_f64.powf(rough.log10().floor());
    let sizes = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = sizes.iter().map(|it| it * size).find(|it| rough <= *it);
    let step = step.unwrap_or(size * 10.0);
    let count = (largest / step).ceil().clamp(1.0, 10.0);
    let ticks = (0..=count as usize).map(|it| it as f64 * step);
    (ticks.collect(), count * step)
}

/// A number on an axis.
fn short(number: f64) -> String {
    match number {
        it if 1e9 <= it => format!("{}G", trimmed(it / 1e9)),
        it if 1e6 <= it => format!("{}M", trimmed(it / 1e6)),
        it if 1e4 <= it => format!("{}k", trimmed(it / 1e3)),
        it => trimmed(it),
    }
}

fn trimmed(number: f64) -> String {
    let text = decimal(number);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_time_has_round_times() {
        let texts = |first: i64, last: i64| -> String {
            let all: Vec<String> = times(first, last).into_iter().map(when).collect();
            all.join(" ")
        };
        // 2026-01-31T12:00:00Z.
        let noon = 1_769_860_800;
        assert_eq!(texts(noon, noon), "12:00");
        assert_eq!(texts(noon - 3_600, noon + 3_600), "11:00 12:00 13:00");
        assert_eq!(
            texts(noon, noon + 23 * 3_600),
            "12:00 15:00 18:00 21:00 02-01 03:00 06:00 09:00"
        );
        assert_eq!(
            texts(noon, noon + 3 * 86_400),
            "12:00 02-01 12:00 02-02 12:00 02-03 12:00"
        );
        assert!(times(0, 86_400 * 40_000).len() <= 10);
    }

    #[test]
    fn an_axis_has_round_numbers_up_to_the_largest() {
        for (largest, expect) in [
            (1.0, "0 0.25 0.5 0.75 1"),
            (97.0, "0 25 50 75 100"),
            (43_210.0, "0 20k 40k 60k"),
            (0.003, "0 0.001 0.002 0.003"),
        ] {
            let (ticks, top) = ticks(largest);
            let texts: Vec<String> = ticks.iter().map(|it| short(*it)).collect();
            assert_eq!(texts.join(" "), expect, "{largest}");
            assert!(largest <= top * 1.000_001, "{largest}: {top}");
        }
    }
}
