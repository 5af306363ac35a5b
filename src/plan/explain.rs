//! The text of a plan for people: one node per line, inputs indented below, what each node keeps in
//! memory said beside it.

use super::{
    Admitted, Aggregate, AsOf, BoundKind, Dataflow, Detection, Function, GroupWindow, Join,
    JoinKind, Plan, Ranking, Temporal, TemporalBound, Timescale, ViewKind, ViewSpec, Window,
    passes, with_sql_types,
};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

impl fmt::Display for Dataflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dataflow {}", self.name)?;
        for source in &self.sources {
            writeln!(
                f,
                "\nsource {} ({} columns, {})",
                source.name,
                source.columns.len(),
                super::definition::format_of(source)
            )?;
            if let Some(time) = source.event_time {
                let column = &source.columns[time.column].name;
                writeln!(f, "  watermark: {column} minus {}", span(time.delay_us))?;
            }
        }
        for table in &self.tables {
            writeln!(
                f,
                "\ntable {} by ({})",
                table.name,
                table.partition_by.join(", ")
            )?;
            if let Some(retention) = &table.retention {
                writeln!(f, "  rows are kept for {}", span(retention.keep_us))?;
            }
            f.write_str(&indented(&table.plan))?;
        }
        for view in &self.views {
            writeln!(f, "\n{view}")?;
        }
        for pass in passes(&self.views) {
            let ids: Vec<&str> = pass.aggregations.iter().map(|it| it.id.as_str()).collect();
            if let ([_, _, ..], [relation]) = (ids.as_slice(), pass.input.relations().as_slice()) {
                writeln!(
                    f,
                    "\none pass over {relation} groups for {}",
                    ids.join(", ")
                )?;
            }
        }
        let growing = self.views.iter().flat_map(|view| {
            let kept = self.records_kept_for_ever(view).into_iter();
            kept.map(|it| (view.name.as_str(), it))
        });
        let growing: Vec<(&str, String)> = growing.collect();
        if !growing.is_empty() {
            writeln!(f, "\nmemory grows with every record:")?;
        }
        for (view, what) in growing {
            writeln!(f, "  view {view} keeps {what}")?;
        }
        Ok(())
    }
}

impl ViewSpec {
    /// Until when its rows change and are live.
    pub fn lifetime(&self) -> String {
        match self.kind {
            ViewKind::Windowed { .. } => format!(
                "rows close with their window, stay live {}",
                span(self.retention_us)
            ),
            ViewKind::Records => format!(
                "single records, each final when it comes; the newest stay live {}",
                span(self.retention_us)
            ),
            ViewKind::Open => "rows may always change".to_owned(),
        }
    }
}

impl fmt::Display for ViewSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "view {}: {}", self.name, self.lifetime())?;
        f.write_str(indented(&self.plan).trim_end())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |schema: &arrow::datatypes::SchemaRef| {
            schema
                .fields()
                .iter()
                .map(|it| it.name().as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Plan::Relation { name, schema, .. } => write!(f, "Relation {name}: {}", names(schema)),
            Plan::Constant { rows, schema } => {
                write!(
                    f,
                    "Constant rows: {}; {} of them",
                    names(schema),
                    rows.num_rows()
                )
            }
            Plan::Map {
                filter,
                columns,
                schema,
                ..
            } => {
                write!(f, "Map:")?;
                for (column, field) in columns.iter().zip(schema.fields()) {
                    let text = readable(&column.to_string());
                    let separator = if std::ptr::eq(field, &schema.fields()[0]) {
                        " "
                    } else {
                        ", "
                    };
                    let name = readable(field.name());
                    match text == name {
                        true => write!(f, "{separator}{name}")?,
                        false => write!(f, "{separator}{name} = {text}")?,
                    }
                }
                filter.as_ref().map_or(Ok(()), |it| {
                    write!(f, " where {}", readable(&it.to_string()))
                })
            }
            Plan::Unnest { unnest, schema, .. } => {
                let columns = schema.fields().iter().zip(&unnest.is_list);
                let lists = columns.filter(|it| *it.1).map(|it| readable(it.0.name()));
                let lists: Vec<String> = lists.collect();
                write!(f, "Unnest: a row for each element of {}", lists.join(", "))
            }
            Plan::Aggregate {
                input, aggregation, ..
            } => {
                let below = input.schema();
                let keys: Vec<_> = aggregation
                    .keys
                    .iter()
                    .map(|it| below.field(*it).name().as_str())
                    .collect();
                let aggregates: Vec<_> = aggregation
                    .aggregates
                    .iter()
                    .map(|it| aggregate_text(it, &below))
                    .collect();
                write!(
                    f,
                    "Aggregate by ({}): {}; ",
                    keys.join(", "),
                    aggregates.join(", ")
                )?;
                if let Some(hops) = &aggregation.hops {
                    write!(
                        f,
                        "counts each record in {} windows; ",
                        hops.offsets_us.len()
                    )?;
                }
                match aggregation.window {
                    Window::None => write!(f, "keeps one accumulator per group, for ever"),
                    Window::Tumble { .. } => {
                        write!(f, "keeps groups until the watermark passes their window")
                    }
                    Window::Last {
                        size_us, step_us, ..
                    } => {
                        write!(
                            f,
                            "keeps the last {} in steps of {}",
                            span(size_us),
                            span(step_us)
                        )
                    }
                }
            }
            Plan::TopK {
                order,
                skip,
                limit,
                append_only,
                ..
            } => {
                write!(f, "TopK")?;
                // Without a LIMIT all rows behind the skipped ones are taken.
                if skip + limit < usize::MAX >> 1 {
                    write!(f, " {limit}")?;
                }
                if 0 < *skip {
                    write!(f, " after {skip}")?;
                }
                let schema = self.schema();
                let by: Vec<_> = order
                    .iter()
                    .map(|it| {
                        format!(
                            "{}{}",
                            schema.field(it.column).name(),
                            if it.descending { " desc" } else { "" }
                        )
                    })
                    .collect();
                write!(f, " by {}; keeps ", by.join(", "))?;
                match append_only {
                    true => write!(f, "{} rows per worker", skip + limit),
                    false => f.write_str("its input"),
                }
            }
            Plan::Union { inputs, .. } => write!(f, "Union of {}", inputs.len()),
            Plan::Join {
                left, right, join, ..
            } => join_text(f, join, &left.schema(), &right.schema()),
            Plan::AsOf {
                left, right, as_of, ..
            } => as_of_text(f, as_of, &left.schema(), &right.schema()),
            Plan::PerGroup { input, group, .. } => {
                let below = input.schema();
                let keys = group.keys.iter().map(|it| below.field(*it).name().as_str());
                let keys: Vec<&str> = keys.collect();
                let text = readable(&group.program.text);
                match keys.is_empty() {
                    true => write!(f, "Over all rows: {text}; keeps them")?,
                    false => write!(
                        f,
                        "Per group of ({}): {text}; keeps its rows",
                        keys.join(", ")
                    )?,
                }
                let kept = group.ranking.as_ref().and_then(Ranking::kept_up_to);
                match (group.window, kept) {
                    (Some(GroupWindow::OfKey { .. }), _) => {
                        write!(f, " until the watermark passes their window")?;
                    }
                    (Some(GroupWindow::OfSession { .. }), _) => {
                        write!(f, " until the watermark passes their session")?;
                    }
                    (None, Some(limit)) => write!(f, " up to rank {}", limit.greatest)?,
                    (None, None) => write!(f, ", for ever")?,
                }
                match keys.is_empty() {
                    true => write!(f, ", on one worker"),
                    false => Ok(()),
                }
            }
            Plan::Temporal { input, temporal } => temporal_text(f, temporal, &input.schema()),
            Plan::Detect {
                input, detection, ..
            } => detection_text(f, detection, &input.schema()),
            Plan::Incidents { incidents, .. } => write!(
                f,
                "Incidents: anomalies of a key and metric together, over after {} quiet windows; keeps the windows of those that are open",
                incidents.rule.cool_down_windows
            ),
            Plan::Admit { input, window, .. } if *window == Admitted::on_time(window.time) => {
                write!(
                    f,
                    "Admit by {}: leaves out late records",
                    input.schema().field(window.time).name()
                )
            }
            Plan::Admit { input, window, .. } => write!(
                f,
                "Admit by {}: leaves out what came after its window was closed",
                input.schema().field(window.time).name()
            ),
        }
    }
}

fn detection_text(
    f: &mut fmt::Formatter<'_>,
    detection: &Detection,
    input: &SchemaRef,
) -> fmt::Result {
    let names = |columns: &[usize]| {
        let names = columns.iter().map(|it| input.field(*it).name().as_str());
        names.collect::<Vec<&str>>().join(", ")
    };
    write!(
        f,
        "Detect anomalies in windows of {}",
        span(detection.grid.size_us)
    )?;
    if !detection.keys.is_empty() {
        write!(f, " per ({})", names(&detection.keys))?;
    }
    let metrics = detection.metrics.iter();
    let metrics = metrics.map(|it| format!("{} {}", it.kind.name(), it.name));
    write!(f, ": {}", metrics.collect::<Vec<String>>().join(", "))?;
    match detection.season_us {
        Some(season_us) => write!(f, "; season of {}", span(season_us))?,
        None => write!(f, "; no season")?,
    }
    write!(
        f,
        "; {}; judged {} before they close; keeps what is usual for each key, and the windows since that was last stored (64 or so)",
        false_alerts(detection.alerts_per_day),
        span(detection.early_us)
    )
}

/// How many windows a day may be called anomalies although nothing is wrong.
pub(super) fn false_alerts(per_day: f64) -> String {
    let noun = if per_day == 1.0 { "alert" } else { "alerts" };
    format!("{per_day} false {noun} a day")
}

fn temporal_text(
    f: &mut fmt::Formatter<'_>,
    temporal: &Temporal,
    input: &SchemaRef,
) -> fmt::Result {
    let moved = |name: &str, add_us: i64| match add_us {
        0 => name.to_owned(),
        _ if add_us < 0 => format!("{name} - {}", span(-add_us)),
        _ => format!("{name} + {}", span(add_us)),
    };
    let bounds = temporal.bounds.iter().map(|it| {
        let name = input.field(it.time).name();
        match it.kind {
            BoundKind::From { add_us } => format!("{} <= now()", moved(name, add_us)),
            BoundKind::Until { add_us } => format!("now() < {}", moved(name, add_us)),
            BoundKind::Last { size_us, step_us } => format!(
                "{name} is of the last {} in steps of {}",
                span(size_us),
                span(step_us)
            ),
        }
    });
    let bounds: Vec<String> = bounds.collect();
    if temporal.time == Timescale::Watermark {
        return f
            .write_str("Emit on window close: keeps rows until the watermark passes their window");
    }
    write!(f, "Temporal filter: {}; keeps ", bounds.join(" and "))?;
    let ends = |it: &TemporalBound| it.kind.ends();
    f.write_str(match (temporal.keeps, temporal.bounds.iter().any(ends)) {
        (true, true) => "rows until their time is up",
        (true, false) => "its input",
        (false, _) => "rows that wait for their time",
    })
}

/// An expression without the numbers of columns and the names that the planner has for lists on their way, with literals, intervals and types as they
/// are written, and without frames that nobody wrote.
pub(super) fn readable(text: &str) -> String {
    let text =
        with_plain_literals(&with_written_intervals(text).replace("count(Int64(1))", "count(*)"));
    with_sql_types(&without_column_numbers(&text))
        .replace("__unnest_placeholder(", "unnest(")
        .replace(",depth=1)", ")")
        .replace(" RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "")
        .replace(
            " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            "",
        )
}

/// `Int64(2)` is 2, `Utf8("x")` is 'x'.
pub fn with_plain_literals(text: &str) -> String {
    const TYPES: [&str; 9] = [
        "Int64(",
        "Int32(",
        "Int16(",
        "Int8(",
        "UInt64(",
        "Float64(",
        "Boolean(",
        "Utf8View(",
        "Utf8(",
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let first = TYPES
            .iter()
            .filter_map(|it| Some((rest.find(it)?, it.len())))
            .min();
        let Some((start, length)) = first else {
            return plain + rest;
        };
        let (before, behind) = (&rest[..start], &rest[start + length..]);
        plain.push_str(before);
        let is_word = before.ends_with(|it: char| it.is_alphanumeric() || it == '_');
        let literal = match behind.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once("\")")
                .map(|(text, rest)| (format!("'{text}'"), rest)),
            None => behind
                .split_once(')')
                .filter(|(text, _)| !text.contains('('))
                .map(|(text, rest)| (text.to_owned(), rest)),
        };
        match literal {
            Some((text, behind)) if !is_word => {
                plain.push_str(&text);
                rest = behind;
            }
            Some(_) | None => {
                plain.push_str(&rest[start..start + length]);
                rest = behind;
            }
        }
    }
}

/// `status@4` is column 4, `status`.
fn without_column_numbers(text: &str) -> String {
    let mut parts = text.split('@');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len()
            - part
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let follows_name = plain.ends_with(|it: char| it.is_alphanumeric() || "_)]'".contains(it));
        let ends =
            !part[digits..].starts_with(|it: char| it.is_alphanumeric() || "_.".contains(it));
        match 0 < digits && follows_name && ends {
            true => plain.push_str(&part[digits..]),
            false => {
                plain.push('@');
                plain.push_str(part);
            }
        }
    }
    plain
}

fn with_written_intervals(text: &str) -> String {
    const NAME: &str = "IntervalMonthDayNano { ";
    let mut parts = text.split(NAME);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (fields, rest) = part.split_once(" }").unwrap_or((part, ""));
        let mut numbers = fields.split(", ").map(|it| {
            let number = it.split_once(": ").map(|it| it.1);
            number
                .and_then(|it| it.parse::<i64>().ok())
                .unwrap_or_default()
        });
        let mut next = || numbers.next().unwrap_or_default();
        let (months, days, nanoseconds) = (next(), next(), next());
        let named = [(months, "months"), (days, "days")].into_iter();
        let named = named.filter(|it| it.0 != 0);
        let mut lengths: Vec<String> = named.map(|(it, unit)| format!("{it} {unit}")).collect();
        if nanoseconds != 0 || lengths.is_empty() {
            lengths.push(span(nanoseconds / 1000));
        }
        let _ = write!(written, "INTERVAL '{}'{rest}", lengths.join(" "));
    }
    written
}

fn join_text(
    f: &mut fmt::Formatter<'_>,
    join: &Join,
    left: &SchemaRef,
    right: &SchemaRef,
) -> fmt::Result {
    let kind = match join.kind {
        JoinKind::Inner => "Join",
        JoinKind::Left => "Left join",
        JoinKind::Full => "Full join",
        JoinKind::Semi => "Semi join",
        JoinKind::Anti => "Anti join",
        JoinKind::Mark => "Mark join",
    };
    let equal = if join.nulls_match { "is" } else { "=" };
    let on = join.on.iter().map(|(l, r)| {
        let (l, r) = (left.field(*l).name(), right.field(*r).name());
        format!("{l} {equal} {r}")
    });
    let on: Vec<String> = on.collect();
    match on.is_empty() {
        true => write!(f, "{kind} of every pair")?,
        false => write!(f, "{kind} on {}", on.join(" and "))?,
    }
    if let Some(filter) = &join.filter {
        let text = with_sides(&filter.to_string(), left.fields().len());
        write!(f, " where {}", readable(&text))?;
    }
    match join.window {
        Some(it) if it.is_shared => write!(
            f,
            "; keeps both sides until the watermark passes their window"
        )?,
        Some(_) => write!(
            f,
            "; keeps both sides until the watermark passes the last time that can match"
        )?,
        None => write!(f, "; keeps both sides, for ever")?,
    }
    match join.on.is_empty() {
        true => write!(f, ", on one worker"),
        false => Ok(()),
    }
}

/// Columns of both sides, numbered one behind the other, as `left.n` and `right.n`.
fn with_sides(text: &str, left: usize) -> String {
    let is_name = |it: char| it.is_alphanumeric() || it == '_';
    let mut parts = text.split('@');
    let mut sided = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len()
            - part
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let name = sided.trim_end_matches(is_name).len();
        if let (Ok(column), true) = (part[..digits].parse::<usize>(), name < sided.len()) {
            sided.insert_str(name, if column < left { "left." } else { "right." });
        }
        sided.push('@');
        sided.push_str(part);
    }
    sided
}

fn as_of_text(
    f: &mut fmt::Formatter<'_>,
    as_of: &AsOf,
    left: &SchemaRef,
    right: &SchemaRef,
) -> fmt::Result {
    let names = |(l, r): (usize, usize)| (left.field(l).name(), right.field(r).name());
    let keys = as_of.keys.iter().map(|it| names(*it));
    let keys: Vec<String> = keys.map(|(l, r)| format!("{l} = {r}")).collect();
    let kind = if as_of.keeps_unmatched {
        "ASOF left join"
    } else {
        "ASOF join"
    };
    let comparison = match (as_of.is_before, as_of.takes_equal) {
        (true, true) => ">=",
        (true, false) => ">",
        (false, true) => "<=",
        (false, false) => "<",
    };
    let (l, r) = names(as_of.times);
    write!(
        f,
        "{kind} on {} and {l} {comparison} {r}; keeps both sides in the order of time, for ever",
        keys.join(" and ")
    )
}

/// A node of a plan in the order in which people read them: each before those that it reads.
pub struct Line<'a> {
    pub node: &'a Plan,
    pub depth: usize,
    /// How many nodes come before it.
    pub number: usize,
    /// It is another one's twin, and what it reads is told there.
    pub is_repeated: bool,
}

/// All nodes, but for those below one that was there before.
pub fn lines(plan: &Plan) -> Vec<Line<'_>> {
    fn go<'a>(
        node: &'a Plan,
        (depth, number): (usize, usize),
        shown: &mut BTreeSet<&'a str>,
        lines: &mut Vec<Line<'a>>,
    ) {
        let is_repeated = node.id().is_some_and(|it| !shown.insert(it));
        lines.push(Line {
            node,
            depth,
            number,
            is_repeated,
        });
        let inputs = if is_repeated {
            Vec::new()
        } else {
            node.inputs()
        };
        let mut below = number + 1;
        for input in inputs {
            go(input, (depth + 1, below), shown, lines);
            below += input.size();
        }
    }
    let mut all = Vec::new();
    go(plan, (0, 0), &mut BTreeSet::new(), &mut all);
    all
}

fn indented(plan: &Plan) -> String {
    let line = |it: Line<'_>| {
        let shared = match it.is_repeated {
            true => "; the same as above, shared",
            false => "",
        };
        format!("{}{}{shared}\n", "  ".repeat(it.depth + 1), it.node)
    };
    lines(plan).into_iter().map(line).collect()
}

fn aggregate_text(aggregate: &Aggregate, input: &arrow::datatypes::SchemaRef) -> String {
    let argument = aggregate.argument.map_or("*", |it| input.field(it).name());
    let text = match aggregate.function {
        Function::Count => format!("count({argument})"),
        Function::CountDistinct => format!("count(distinct {argument})"),
        Function::Sum => format!("sum({argument})"),
        Function::Avg => format!("avg({argument})"),
        Function::Min => format!("min({argument})"),
        Function::Max => format!("max({argument})"),
        Function::Variance { sample } => {
            format!("{}({argument})", if sample { "var" } else { "var_pop" })
        }
        Function::Stddev { sample } => format!(
            "{}({argument})",
            if sample { "stddev" } else { "stddev_pop" }
        ),
        Function::Percentile(rank) => format!("percentile({argument}, {rank}, error ≤ 0.4 %)"),
    };
    match aggregate.filter {
        Some(column) => format!("{text} where {}", input.field(column).name()),
        None => text,
    }
}

/// A length of time in the largest unit that divides it.
pub fn span(us: i64) -> String {
    let units = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
    ];
    units
        .iter()
        .find(|(size, _)| us != 0 && us % size == 0)
        .map_or_else(
            || format!("{us} µs"),
            |(size, unit)| format!("{} {unit}", us / size),
        )
}

#[cfg(test)]
mod tests {
    use super::{false_alerts, readable, with_sides};

    #[test]
    fn one_false_alert_is_told_in_the_singular() {
        assert_eq!(false_alerts(1.0), "1 false alert a day");
        assert_eq!(false_alerts(0.2), "0.2 false alerts a day");
    }

    #[test]
    fn expressions_are_as_people_write_them() {
        for (planned, expect) in [
            ("status@4 >= 500", "status >= 500"),
            (
                "count(Int64(1)) FILTER (WHERE logs.is_error)@3",
                "count(*) FILTER (WHERE logs.is_error)",
            ),
            (
                "floor(Int64(2) * log2(CASE WHEN x@1 < Float64(1) THEN Float64(-0.5) ELSE x@1 END))@1",
                "floor(2 * log2(CASE WHEN x < 1 THEN -0.5 ELSE x END))",
            ),
            ("coalesce(a@0, Utf8(\"x (y)\"))", "coalesce(a, 'x (y)')"),
            ("mail@0 = a@1.com", "mail = a@1.com"),
            ("max(MyInt64(x))", "max(MyInt64(x))"),
            ("CAST(a@0 AS Int64) + Int64(1)", "CAST(a AS BIGINT) + 1"),
        ] {
            assert_eq!(readable(planned), expect);
        }
        assert_eq!(
            readable(&with_sides("n@0 < n@3 + Int64(1)", 2)),
            "left.n < right.n + 1"
        );
    }
}
