//! Which sections a report has, each as one query: from what a subject has, and from nothing else.
//!
//! A section asks one stored table, groups it by one or two columns or by steps of time, and says of each group the same figures in the same
//! order. Rows that are alike in their figures are in the order of their keys, so a report of one commit is always the same text.

use super::subject::{Known, Records, Rules, Subject, quoted};
use super::{Chart, ChartKind, Column, Part, Section, Shape, TimeRange};
use crate::model::iso_of_micros;
use crate::plan::Role;
use crate::sql::incidents::INCIDENTS;

/// Rows of a table of the most frequent.
const TOP: usize = 10;
/// Rows of a table of kinds, of which there are few.
const KINDS: usize = 50;
/// Amounts that are added up, and figures of a rule that are averaged.
const AMOUNTS_MAX: usize = 2;
const FIGURES_MAX: usize = 8;
const IDS_MAX: usize = 5;
const DAY_US: i64 = 86_400_000_000;
/// Ranges up to this long are told by the hour, longer ones by the day.
const BY_HOUR_US: i64 = 14 * DAY_US;
/// Of a rule, what it compares with and which comes first are no measurements.
const NO_FIGURES: [&str; 3] = ["threshold", "priority", "rank"];

/// The parts of a report, without rows.
pub fn parts(subject: &Subject, name: &str, range: &TimeRange) -> Vec<Part> {
    let wanted = |it: &str| name == it || name == "all";
    let mut parts = Vec::new();
    if wanted("analytics") {
        let sections = match subject.records.first() {
            Some(it) => analytics(subject, it, range),
            None => Vec::new(),
        };
        parts.push(part(
            "analytics",
            "Analytics",
            sections,
            "No table of this dataflow keeps the event time of its records. CREATE TABLE … AS SELECT * FROM a source with a WATERMARK does.",
        ));
    }
    if wanted("anomalies") {
        let mut sections: Vec<Section> = Vec::new();
        for rules in &subject.rules {
            sections.extend(of_rules(rules, range));
        }
        if subject.has_incidents {
            sections.extend(of_detectors(range));
        }
        parts.push(part(
            "anomalies",
            "Anomalies",
            sections,
            "This dataflow has no detector and no view that lists what rules found. CREATE DETECTOR name ON view METRICS (rate(column)) adds one.",
        ));
    }
    if wanted("models") {
        let scored = subject.records.iter();
        let scored = scored.filter_map(|it| Some((it, it.score()?)));
        let sections: Vec<Section> = scored
            .flat_map(|(records, score)| of_scores(subject, records, score, range))
            .collect();
        parts.push(part(
            "models",
            "Models",
            sections,
            "No table of this dataflow has a score. A column score('MODEL', …) AS score does, with a model that `tidelake train` makes.",
        ));
    }
    parts
}

fn part(name: &str, title: &str, sections: Vec<Section>, missing: &str) -> Part {
    Part {
        name: name.to_owned(),
        title: title.to_owned(),
        missing: sections.is_empty().then(|| missing.to_owned()),
        sections,
    }
}

/// The query for the first and the last event time of the first table; nothing without one.
pub fn extent_sql(subject: &Subject, range: &TimeRange) -> Option<String> {
    let records = subject.records.first()?;
    let time = quoted(&records.time);
    let from = from(&records.table, &records.time, range, None);
    Some(format!("SELECT min({time}), max({time})\n{from}"))
}

/// A column that is computed.
struct Wanted {
    sql: String,
    column: Column,
}

fn wanted(sql: impl Into<String>, column: Column) -> Wanted {
    Wanted {
        sql: sql.into(),
        column,
    }
}

/// A query that groups a table.
struct Grouped<'a> {
    id: String,
    title: String,
    /// `FROM …` with its condition.
    from: &'a str,
    /// By which it groups; they come first.
    keys: Vec<Wanted>,
    figures: Vec<Wanted>,
    order: Order,
    /// As many at most.
    rows: Option<usize>,
    /// Kinds of charts with the figures they draw, by number, and the number of a part of that.
    charts: Vec<(ChartKind, usize, Option<usize>)>,
}

enum Order {
    /// By the figure of this number, the largest first.
    Largest(usize),
    /// By the key, the last first.
    Newest,
}

impl Grouped<'_> {
    fn section(self) -> Section {
        let keys = self.keys.len();
        let mut all: Vec<Wanted> = self.keys.into_iter().chain(self.figures).collect();
        distinguish(&mut all);
        let listed: Vec<String> = all
            .iter()
            .map(|it| format!("{} AS {}", it.sql, quoted(&it.column.name)))
            .collect();
        let numbers: Vec<String> = (1..=keys).map(|it| it.to_string()).collect();
        let order = match self.order {
            Order::Largest(figure) => {
                let keys = numbers.iter().map(|it| format!("{it} NULLS LAST"));
                let largest = format!("{} DESC NULLS LAST", keys.len() + figure + 1);
                let all: Vec<String> = std::iter::once(largest).chain(keys).collect();
                all.join(", ")
            }
            Order::Newest => "1 DESC".to_owned(),
        };
        let limit = self.rows.map(|it| format!("\nLIMIT {it}"));
        let limit = limit.unwrap_or_default();
        let sql = format!(
            "SELECT {}\n{}\nGROUP BY {}\nORDER BY {order}{limit}",
            listed.join(",\n       "),
            self.from,
            numbers.join(", "),
        );
        let column = |at: usize| all[keys + at].column.clone();
        let charts = self.charts.into_iter().map(|(kind, figure, part)| Chart {
            kind,
            title: column(figure).heading(),
            x: all[0].column.name.clone(),
            y: column(figure).name,
            part: part.map(|it| column(it).name),
        });
        Section {
            id: self.id,
            title: self.title,
            shape: Shape::Table,
            charts: charts.collect(),
            columns: all.iter().map(|it| it.column.clone()).collect(),
            rows: Vec::new(),
            sql,
        }
    }
}

/// One row of figures of a whole table.
fn values(id: &str, title: &str, from: &str, mut all: Vec<Wanted>) -> Section {
    distinguish(&mut all);
    let listed: Vec<String> = all
        .iter()
        .map(|it| format!("{} AS {}", it.sql, quoted(&it.column.name)))
        .collect();
    Section {
        id: id.to_owned(),
        title: title.to_owned(),
        shape: Shape::Values,
        sql: format!("SELECT {}\n{from}", listed.join(",\n       ")),
        columns: all.into_iter().map(|it| it.column).collect(),
        rows: Vec::new(),
        charts: Vec::new(),
    }
}

/// Gives columns of one name different ones: a key may be called as a figure is.
fn distinguish(all: &mut [Wanted]) {
    for at in 1..all.len() {
        let taken = |name: &str, all: &[Wanted]| all[..at].iter().any(|it| it.column.name == name);
        let own = all[at].column.name.clone();
        let mut number = 2;
        while taken(&all[at].column.name, all) {
            all[at].column.name = format!("{own}_{number}");
            number += 1;
        }
    }
}

/// `FROM` a stored table, within the range of time, and where a condition holds.
fn from(table: &str, time: &str, range: &TimeRange, condition: Option<&str>) -> String {
    let time = quoted(time);
    let bound = |sign: &str, at: i64| format!("{time} {sign} '{}'", iso_of_micros(at));
    let mut all: Vec<String> = Vec::new();
    all.extend(range.from.map(|it| bound(">=", it)));
    all.extend(range.to.map(|it| bound("<", it)));
    all.extend(condition.map(str::to_owned));
    let table = format!("FROM lake.{}", quoted(table));
    match all.is_empty() {
        true => table,
        false => format!("{table}\nWHERE {}", all.join(" AND ")),
    }
}

/// What time is told in steps of.
fn step(range: &TimeRange) -> &'static str {
    match range.length_us() {
        Some(it) if it <= BY_HOUR_US => "hour",
        Some(_) | None => "day",
    }
}

fn step_of(time: &str, range: &TimeRange) -> Wanted {
    let step = step(range);
    wanted(
        format!("date_trunc('{step}', {})", quoted(time)),
        Column::new(step, step, Role::Time),
    )
}

fn key(known: &Known) -> Wanted {
    wanted(
        quoted(&known.name),
        Column::new(&known.name, spoken(&known.name), known.meaning.role),
    )
}

/// A name as people read it: `anomaly_type` is `anomaly type`.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// The same at the beginning of a sentence.
fn titled(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

fn count(name: &str) -> Wanted {
    let column = Column::new(name.replace(' ', "_"), spoken(name), Role::Count);
    wanted("count(*)", column)
}

fn count_if(name: &str, condition: &str) -> Wanted {
    wanted(
        format!("count(*) FILTER (WHERE {condition})"),
        Column::new(name, spoken(name), Role::Count),
    )
}

/// Which part of all rows of a group a condition holds for.
fn share_of(name: &str, title: &str, condition: &str) -> Wanted {
    wanted(
        format!("CAST(count(*) FILTER (WHERE {condition}) AS DOUBLE) / nullif(count(*), 0)"),
        Column::new(name, title, Role::Share),
    )
}

/// Which part of all groups together a group is.
fn share_of_all(noun: &str) -> Wanted {
    wanted(
        "CAST(count(*) AS DOUBLE) / sum(count(*)) OVER ()",
        Column::new("share", format!("of all {noun}"), Role::Share),
    )
}

fn distinct(known: &Known) -> Wanted {
    wanted(
        format!("count(DISTINCT {})", quoted(&known.name)),
        Column::new(
            format!("distinct_{}", known.name),
            format!("distinct {}", spoken(&known.name)),
            Role::Count,
        ),
    )
}

/// A figure of a column by an aggregate function, such as its mean.
fn figure(function: &str, word: &str, known: &Known) -> Wanted {
    let role = match known.meaning.role {
        Role::Count if function == "avg" => Role::Measure,
        other => other,
    };
    // A mean of means is told as one.
    let of = spoken(&known.name);
    let of = ["avg ", "mean "].iter().find_map(|it| of.strip_prefix(it));
    let of = of.map_or_else(|| spoken(&known.name), str::to_owned);
    let name = format!("{}_{word}", known.name);
    let column = Column::new(name, format!("{word} {of}"), role);
    wanted(
        format!("{function}({})", quoted(&known.name)),
        column.with_unit(known.meaning.unit.clone()),
    )
}

/// What is said of records in every table of them: how many, what failed, how long they took, what they amount to.
fn figures(noun: &str, records: &Records, amounts: usize) -> Vec<Wanted> {
    let mut all = vec![count(noun)];
    if let Some(failed) = records.failed() {
        all.push(count_if("errors", &failed));
        all.push(share_of("error_share", "error share", &failed));
    }
    if let Some(duration) = records.duration() {
        all.push(figure("avg", "mean", duration));
        all.push(figure("max", "max", duration));
    }
    let amounts = records.amounts().take(amounts);
    all.extend(amounts.map(|it| figure("sum", "total", it)));
    all
}

/// The number of a figure by the name of its column.
fn number_of(figures: &[Wanted], name: &str) -> Option<usize> {
    figures.iter().position(|it| it.column.name == name)
}

fn analytics(subject: &Subject, records: &Records, range: &TimeRange) -> Vec<Section> {
    let noun = subject.noun.as_str();
    let from = from(&records.table, &records.time, range, None);
    let ids: Vec<&Known> = records.ids().take(IDS_MAX).collect();
    let time = quoted(&records.time);
    let mut totals = figures(noun, records, AMOUNTS_MAX);
    totals.extend(ids.iter().map(|it| distinct(it)));
    for (function, word) in [("min", "first"), ("max", "last")] {
        let title = format!("{word} record");
        let column = Column::new(format!("{word}_time"), title, Role::Time);
        totals.push(wanted(format!("{function}({time})"), column));
    }
    let mut sections = vec![values("totals", "Totals", &from, totals)];
    let class = records.score().and_then(|it| records.class(it));
    for name in &records.keys {
        let Some(known) = records.column(name) else {
            continue;
        };
        // The part about models says more of it.
        if class.is_some_and(|it| it.name == *name) {
            continue;
        }
        let mut figures = figures(noun, records, 1);
        figures.insert(1, share_of_all(noun));
        let errors = number_of(&figures, "errors");
        sections.push(
            Grouped {
                id: format!("by_{name}"),
                title: format!("{} by {} (top {TOP})", titled(noun), spoken(name)),
                from: &from,
                keys: vec![key(known)],
                figures,
                order: Order::Largest(0),
                rows: Some(TOP),
                charts: vec![(ChartKind::Bars, 0, errors)],
            }
            .section(),
        );
    }
    sections.push(by_time(noun, records, range, &from));
    if 1 < ids.len() {
        sections.push(distinct_by(noun, records, &ids, range));
    }
    sections
}

fn by_time(noun: &str, records: &Records, range: &TimeRange, from: &str) -> Section {
    let figures = figures(noun, records, 1);
    let mut charts = vec![(ChartKind::Steps, 0, number_of(&figures, "errors"))];
    if let Some(duration) = records.duration() {
        let mean = number_of(&figures, &format!("{}_mean", duration.name));
        charts.extend(mean.map(|it| (ChartKind::Line, it, None)));
    }
    Grouped {
        id: "over_time".to_owned(),
        title: format!("{} by {}", titled(noun), step(range)),
        from,
        keys: vec![step_of(&records.time, range)],
        figures,
        order: Order::Newest,
        rows: None,
        charts,
    }
    .section()
}

/// How many different values each id has: in all records, and in those that have each of the others.
fn distinct_by(noun: &str, records: &Records, ids: &[&Known], range: &TimeRange) -> Section {
    let mut columns = vec![
        Column::new("of", "of", Role::Key),
        Column::new(noun.replace(' ', "_"), noun, Role::Count),
    ];
    columns.extend(ids.iter().map(|it| distinct(it).column));
    let figures: Vec<String> = std::iter::once(count(noun))
        .chain(ids.iter().map(|it| distinct(it)))
        .map(|it| format!("{} AS {}", it.sql, quoted(&it.column.name)))
        .collect();
    let one = |place: usize, of: &str, condition: Option<&str>| {
        format!(
            "SELECT {place} AS place, '{}' AS of, {}\n{}",
            of.replace('\'', "''"),
            figures.join(", "),
            from(&records.table, &records.time, range, condition)
        )
    };
    let mut all = vec![one(0, &format!("all {noun}"), None)];
    for (at, id) in ids.iter().enumerate() {
        let condition = format!("{} IS NOT NULL", quoted(&id.name));
        let of = format!("with {}", spoken(&id.name));
        all.push(one(at + 1, &of, Some(&condition)));
    }
    let listed: Vec<String> = columns.iter().map(|it| quoted(&it.name)).collect();
    Section {
        id: "distinct".to_owned(),
        title: "Distinct values".to_owned(),
        shape: Shape::Table,
        columns,
        rows: Vec::new(),
        charts: Vec::new(),
        sql: format!(
            "SELECT {}\nFROM (\n{}\n)\nORDER BY place",
            listed.join(", "),
            all.join("\nUNION ALL\n")
        ),
    }
}

fn of_rules(rules: &Rules, range: &TimeRange) -> Vec<Section> {
    let from = from(&rules.view, &rules.time, range, None);
    let view = spoken(&rules.view);
    let figures = || {
        let measured = rules.figures().filter(|it| !it.has_word(&NO_FIGURES));
        let means = measured.take(FIGURES_MAX);
        let means = means.map(|it| figure("avg", "mean", it));
        std::iter::once(count("occurrences")).chain(means).collect()
    };
    let grouped = |id: &str, title: String, keys: Vec<Wanted>, figures: Vec<Wanted>| Grouped {
        id: format!("{}_{id}", rules.view),
        title,
        from: &from,
        keys,
        figures,
        order: Order::Largest(0),
        rows: Some(KINDS),
        charts: vec![(ChartKind::Bars, 0, None)],
    };
    let mut sections = Vec::new();
    let (rule, other) = (rules.rule(), rules.key());
    if let Some(rule) = rule {
        let title = format!("{} by {}", titled(&view), spoken(&rule.name));
        sections.push(grouped("by_rule", title, vec![key(rule)], figures()).section());
    }
    if let Some(other) = other {
        let keys: Vec<Wanted> = [Some(other), rule].into_iter().flatten().map(key).collect();
        let names: Vec<&str> = keys.iter().map(|it| it.column.title.as_str()).collect();
        let title = format!("{} by {} (top {TOP})", titled(&view), names.join(" and "));
        let top = grouped("top", title, keys, figures());
        let top = Grouped {
            rows: Some(TOP),
            charts: Vec::new(),
            ..top
        };
        sections.push(top.section());
    }
    let title = format!("{} by {}", titled(&view), step(range));
    let over_time = Grouped {
        order: Order::Newest,
        rows: None,
        charts: vec![(ChartKind::Steps, 0, None)],
        ..grouped(
            "over_time",
            title,
            vec![step_of(&rules.time, range)],
            vec![count("occurrences")],
        )
    };
    sections.push(over_time.section());
    sections
}

/// What detectors found: the columns of incidents are the same in every dataflow.
fn of_detectors(range: &TimeRange) -> Vec<Section> {
    let from = from(INCIDENTS, "since", range, None);
    let named =
        |name: &str, role: Role| wanted(quoted(name), Column::new(name, spoken(name), role));
    let severity = |function: &str, word: &str| {
        let column = Column::new(
            format!("severity_{word}"),
            format!("{word} severity"),
            Role::Measure,
        );
        wanted(format!("{function}(severity)"), column)
    };
    let windows = Column::new("windows", "windows", Role::Count);
    let by_detector = Grouped {
        id: "incidents_by_detector".to_owned(),
        title: "Incidents by detector and metric".to_owned(),
        from: &from,
        keys: vec![named("detector", Role::Key), named("metric", Role::Key)],
        figures: vec![
            count("incidents"),
            count_if("not_over", "state <> 'closed'"),
            count_if("dismissed", "dismissed_at IS NOT NULL"),
            wanted("sum(windows)", windows.clone()),
            severity("avg", "mean"),
            severity("max", "max"),
        ],
        order: Order::Largest(0),
        rows: Some(KINDS),
        charts: Vec::new(),
    };
    let mut columns = vec![
        Column::new("since", "since", Role::Time),
        Column::new("until", "until", Role::Time),
        Column::new("detector", "detector", Role::Key),
        Column::new("key", "key", Role::Key),
        Column::new("metric", "metric", Role::Key),
        Column::new("state", "state", Role::Key),
        windows,
    ];
    for name in ["severity", "observed", "expected"] {
        columns.push(Column::new(name, name, Role::Measure));
    }
    columns.push(Column::new("summary", "summary", Role::Text));
    let listed: Vec<String> = columns.iter().map(|it| quoted(&it.name)).collect();
    let worst = Section {
        id: "incidents_worst".to_owned(),
        title: "Gravest incidents".to_owned(),
        shape: Shape::Table,
        columns,
        rows: Vec::new(),
        charts: Vec::new(),
        sql: format!(
            "SELECT {}\n{from}\nORDER BY severity DESC NULLS LAST, since, detector, metric, \"key\"\nLIMIT {TOP}",
            listed.join(", ")
        ),
    };
    vec![by_detector.section(), worst]
}

fn of_scores(
    subject: &Subject,
    records: &Records,
    score: &Known,
    range: &TimeRange,
) -> Vec<Section> {
    let noun = match subject.records.first() {
        Some(first) if first.table == records.table => subject.noun.as_str(),
        _ => "records",
    };
    let from = from(&records.table, &records.time, range, None);
    let verdict = records.verdict(score);
    let first_key = records.keys.iter().filter_map(|it| records.column(it));
    let class = records.class(score);
    let mut others = first_key.filter(|it| Some(&it.name) != class.map(|it| &it.name));
    let other = others.next();
    let figures = || {
        let mut all = vec![count(noun), share_of_all(noun)];
        all.push(figure("avg", "mean", score));
        all.push(figure("max", "max", score));
        all.extend(verdict.map(|it| count_if("anomalies", &quoted(&it.name))));
        all.extend(other.map(distinct));
        all
    };
    let grouped = |id: &str, title: String, keys: Vec<Wanted>| Grouped {
        id: format!("{}_{id}", records.table),
        title: format!("{} {title}", titled(noun)),
        from: &from,
        keys,
        figures: figures(),
        order: Order::Largest(0),
        rows: Some(KINDS),
        charts: vec![(ChartKind::Bars, 0, None)],
    };
    let mut sections = Vec::new();
    if let Some(verdict) = verdict {
        let failed = records.failed();
        let failed = failed.map(|it| format!(" WHEN {it} THEN 'error'"));
        let sql = format!(
            "CASE WHEN {} THEN 'anomaly'{} ELSE 'normal' END",
            quoted(&verdict.name),
            failed.unwrap_or_default()
        );
        let key = wanted(sql, Column::new("verdict", "verdict", Role::Key));
        sections.push(grouped("by_verdict", "by verdict".to_owned(), vec![key]));
    }
    for (id, known) in [("by_class", class), ("by_confidence", records.confidence())] {
        if let Some(known) = known {
            let title = format!("by {}", spoken(&known.name));
            sections.push(grouped(id, title, vec![key(known)]));
        }
    }
    let made_by: Vec<Wanted> = records.made_by().into_iter().map(key).collect();
    if !made_by.is_empty() {
        let names: Vec<&str> = made_by.iter().map(|it| it.column.title.as_str()).collect();
        let title = format!("by {}", names.join(", "));
        let by = grouped("by_model", title, made_by);
        sections.push(Grouped {
            charts: Vec::new(),
            ..by
        });
    }
    let mut over_time = vec![count(noun), figure("avg", "mean", score)];
    over_time.extend(verdict.map(|it| count_if("anomalies", &quoted(&it.name))));
    let title = format!("and scores by {}", step(range));
    sections.push(Grouped {
        figures: over_time,
        order: Order::Newest,
        rows: None,
        charts: vec![
            (ChartKind::Steps, 0, verdict.map(|_| 2)),
            (ChartKind::Line, 1, None),
        ],
        ..grouped("over_time", title, vec![step_of(&records.time, range)])
    });
    sections.into_iter().map(Grouped::section).collect()
}
