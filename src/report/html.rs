//! A report as one file of HTML: tables, charts and the queries behind them, without a script and without a request.
//!
//! Whatever comes from records is escaped, in one place; so is every name. A policy in the head says what the file needs, which is its own
//! style, so that a viewer that heeds it loads nothing even if something were there to load.

use super::chart::svg;
use super::numbers::{shown, time};
use super::{Column, Report, Section, Shape};
use crate::plan::Role;
use serde_json::Value as Json;
use std::fmt::Write;

/// Tables with more rows are folded.
const ROWS_OPEN: usize = 30;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1c2330; --soft: #5a6475; --line: #d5d8dd; --back: #ffffff; --tile: #f4f6f9; --all: #3b6fb5; --part: #c8443c; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --soft: #9aa5b6; --line: #364050; --back: #141920; --tile: #1d242e; --all: #6ea2e8; --part: #ec7068; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1000px; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 44px 0 4px; padding-bottom: 6px; border-bottom: 2px solid var(--line); } h3 { font-size: 16px; margin: 28px 0 8px; }
p { margin: 4px 0; } .soft, summary, th { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 14px 0 0; font-size: 14px; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; } .tile { background: var(--tile); border-radius: 6px; padding: 8px 14px; min-width: 130px; } .tile b { display: block; font-size: 18px; font-weight: 600; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; margin: 8px 0; } th, td { text-align: left; padding: 3px 18px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { font-weight: 500; vertical-align: bottom; } td { overflow-wrap: break-word; max-width: 420px; } .n { text-align: right; } th.n { max-width: 110px; } td.n, .t { white-space: nowrap; } td.p { min-width: 260px; }
details { margin: 6px 0; font-size: 13.5px; } summary { cursor: pointer; } pre { background: var(--tile); border-radius: 6px; padding: 10px 14px; white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, monospace; }
figure { margin: 10px 0; } figcaption { color: var(--soft); font-size: 13px; margin-bottom: 4px; } svg { width: 100%; height: auto; display: block; color: var(--text); }
.all { fill: var(--all); } .part { fill: var(--part); } .line { stroke: var(--all); } .grid { stroke: var(--line); } .key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin: 0 4px 0 10px; background: var(--all); } .key.of { background: var(--part); }
@media print { body { max-width: none; } h2, h3, figure, .tiles { break-inside: avoid; break-after: avoid; } }
";

/// The report as a file.
pub fn html(report: &Report) -> String {
    let name = format!("{}: {}", report.dataflow, report.name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        escaped(&name)
    );
    head(&mut page, report);
    for part in &report.parts {
        let _ = writeln!(page, "<section>\n<h2>{}</h2>", escaped(&part.title));
        if let Some(missing) = &part.missing {
            let _ = writeln!(page, "<p class=\"soft\">{}</p>", escaped(missing));
        }
        for section in &part.sections {
            add_section(&mut page, section);
        }
        page.push_str("</section>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Text from elsewhere, as it may stand in markup and in an attribute.
pub fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => all.push_str("&amp;"),
            '<' => all.push_str("&lt;"),
            '>' => all.push_str("&gt;"),
            '"' => all.push_str("&quot;"),
            '\'' => all.push_str("&#39;"),
            // No document may have them, nor may a text turn what stands beside it around.
            '\t' | '\n' => all.push(it),
            it if it.is_control() => all.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => all.push('\u{fffd}'),
            it => all.push(it),
        }
    }
    all
}

fn head(page: &mut String, report: &Report) {
    let end = |it: &Option<String>| it.as_deref().map(time);
    let range = match (end(&report.from), end(&report.to)) {
        (Some(from), Some(to)) => format!("{from} – {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (None, None) => "no records".to_owned(),
    };
    let versions = report.commit.versions.iter();
    let versions: Vec<String> = versions
        .map(|(table, it)| format!("{table} {it}"))
        .collect();
    let facts = [
        (
            "Range",
            format!("{range}, {} ({})", report.zone, report.range),
        ),
        (
            "As of",
            format!(
                "{} {}, epoch {}, commit {}",
                time(&report.commit.as_of),
                report.zone,
                report.commit.epoch,
                report.commit.number
            ),
        ),
        ("Lake versions", versions.join(", ")),
        ("Made", format!("{} {}", time(&report.made_at), report.zone)),
    ];
    let _ = write!(
        page,
        "<h1>{}</h1>\n<p class=\"soft\">Report {}, {range} {}</p>\n<dl>",
        escaped(&report.dataflow),
        escaped(&report.name),
        escaped(&report.zone),
        range = escaped(&range),
    );
    for (name, value) in facts {
        let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    page.push_str("</dl>\n");
    for note in &report.notes {
        let _ = writeln!(page, "<p class=\"soft\">{}</p>", escaped(note));
    }
}

fn add_section(page: &mut String, section: &Section) {
    let _ = writeln!(
        page,
        "<h3 id=\"{}\">{}</h3>",
        escaped(&section.id),
        escaped(&section.title)
    );
    if section.rows.is_empty() {
        page.push_str("<p class=\"soft\">Nothing in this range.</p>\n");
    } else {
        for chart in &section.charts {
            let Some(svg) = svg(chart, section) else {
                continue;
            };
            let titled = |name: &str| section.columns.iter().find(|it| it.name == name);
            let mut caption = escaped(&chart.title);
            if let Some(part) = chart.part.as_deref().and_then(titled) {
                caption = format!(
                    "<span class=\"key\"></span>{caption} <span class=\"key of\"></span>{}",
                    escaped(&part.heading())
                );
            }
            let _ = writeln!(
                page,
                "<figure><figcaption>{caption}</figcaption>{svg}</figure>"
            );
        }
        match section.shape {
            Shape::Values => add_values(page, section),
            Shape::Table => add_table(page, section),
        }
    }
    let _ = writeln!(
        page,
        "<details><summary>SQL</summary><pre>{}</pre></details>",
        escaped(&section.sql)
    );
}

fn add_values(page: &mut String, section: &Section) {
    let Some(row) = section.rows.first() else {
        return;
    };
    page.push_str("<div class=\"tiles\">");
    for column in &section.columns {
        let value = row.get(&column.name).unwrap_or(&Json::Null);
        let _ = write!(
            page,
            "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
            escaped(&shown(column, value)),
            escaped(&column.heading())
        );
    }
    page.push_str("</div>\n");
}

fn class(column: &Column) -> &'static str {
    match column.is_figure() {
        true => " class=\"n\"",
        false if column.is(Role::Time) => " class=\"t\"",
        false if column.is(Role::Text) => " class=\"p\"",
        false => "",
    }
}

fn add_table(page: &mut String, section: &Section) {
    let is_long = ROWS_OPEN < section.rows.len();
    if is_long {
        let _ = write!(
            page,
            "<details><summary>{} rows</summary>",
            section.rows.len()
        );
    }
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for column in &section.columns {
        let _ = write!(
            page,
            "<th{}>{}</th>",
            class(column),
            escaped(&column.heading())
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &section.rows {
        page.push_str("<tr>");
        for column in &section.columns {
            let value = row.get(&column.name).unwrap_or(&Json::Null);
            let _ = write!(
                page,
                "<td{}>{}</td>",
                class(column),
                escaped(&shown(column, value))
            );
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
    if is_long {
        page.push_str("</details>\n");
    }
}
