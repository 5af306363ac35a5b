//! Table functions of windows in FROM, `TUMBLE`, `HOP`, `CUMULATE` and `SESSION`, as plain SQL: a sub-query with `window_start` and `window_end`, of
//! one side for each window that a record can be in.

use super::syntax::interval_us;
use super::{asof, forms, syntax, walk, words};
use crate::plan::{ADMITTED, SESSION_END, SESSION_START, TUMBLE_END, TUMBLE_START, WINDOW_BOUND};
use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, TableAlias, TableFactor,
    VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const TUMBLE_FORM: &str = "TUMBLE has the form TUMBLE(relation, time_column, INTERVAL '1' MINUTE)";

/// When a record was read: what `PROCTIME()` is as the time of windows.
pub const READ_TIME: &str = "to_timestamp_millis(_epoch)";

/// Which columns of a relation, and which of its records, take part in windows, as SQL.
pub struct Taken {
    pub relation: String,
    pub columns: String,
    pub condition: Option<String>,
}

/// The time that must not have passed when a record comes, as SQL: the end of its window.
pub struct Until {
    pub end: String,
    /// How long the window is, if a record tells that.
    size_us: Option<i64>,
    /// The time of the record.
    time: String,
}

impl Until {
    /// What holds of the records that are in a window at all: those that have a time.
    fn is_in_window(&self) -> String {
        format!("{} IS NOT NULL", self.time)
    }

    /// Whether the time is that at which the record was read.
    pub fn is_read_time(&self) -> bool {
        self.time == READ_TIME
    }

    /// The column of the relation that tells the time, if one does.
    pub fn time_column(&self) -> Option<String> {
        let mut time = syntax::parse_expression(&self.time).ok()?;
        while let Expr::Nested(inner) = time {
            time = *inner;
        }
        match time {
            Expr::Identifier(it) => Some(syntax::known_as(&it)),
            Expr::CompoundIdentifier(parts) => parts.last().map(syntax::known_as),
            _ => None,
        }
    }

    /// What holds of the records that come before.
    pub fn marker(&self) -> String {
        match self.size_us {
            Some(size_us) => format!("{ADMITTED}({}, {size_us})", self.end),
            None => format!("{ADMITTED}({})", self.end),
        }
    }
}

/// A table function of windows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// One after the other: each record is in one.
    Tumble,
    /// One every so often, longer than that: each record is in several.
    Hop,
    /// Growing step by step from one start, which moves on when they are of their full size.
    Cumulate,
    /// From one record to the last before a gap: each record is in one.
    Session,
}

impl WindowKind {
    /// The kind of this name; none if it is no function of windows.
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "tumble" => Some(WindowKind::Tumble),
            "hop" => Some(WindowKind::Hop),
            "cumulate" => Some(WindowKind::Cumulate),
            "session" => Some(WindowKind::Session),
            _ => None,
        }
    }

    /// How it is written.
    pub fn form(self) -> &'static str {
        match self {
            WindowKind::Tumble => TUMBLE_FORM,
            WindowKind::Hop => {
                "write HOP(relation, time, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE): one window of five minutes every minute"
            }
            WindowKind::Cumulate => {
                "write CUMULATE(relation, time, INTERVAL '1' HOUR, INTERVAL '1' DAY): the day up to now, every hour"
            }
            WindowKind::Session => {
                "write SESSION(relation PARTITION BY user_id, time, INTERVAL '10' MINUTE): the records of each user up to a gap of ten minutes"
            }
        }
    }
}

/// A record is in at most so many windows of one kind.
const WINDOWS_MAX: i64 = 400;

/// How many steps a size begins: that many windows of HOP may have one record, and CUMULATE has that many.
fn steps_of(size_us: i64, step_us: i64) -> i64 {
    (size_us - 1) / step_us + 1
}

/// A call of such a function.
struct Windowed {
    relation: String,
    time: String,
    kind: WindowKind,
    step_us: i64,
    /// Of sessions, the gap.
    size_us: i64,
    /// Windows begin at multiples of their step from so long after the beginning of 1970.
    offset_us: i64,
    /// Of sessions, what they are apart by.
    keys: Vec<String>,
}

/// Bounds of the windows of one side, as SQL, and which records are in them.
struct Side {
    start: String,
    end: String,
    admitted: Until,
    holds: Option<String>,
}

impl Windowed {
    fn new(kind: WindowKind, args: &[FunctionArg]) -> Result<Self, String> {
        let form = kind.form();
        let plain = args.iter().filter_map(|it| match it {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        });
        let plain: Vec<&Expr> = plain.collect();
        if plain.len() != args.len() {
            return Err(form.to_owned());
        }
        let (plain, offset) = match (kind, plain.as_slice()) {
            (WindowKind::Tumble, [rest @ .., offset]) if rest.len() == 3 => (rest, Some(*offset)),
            (WindowKind::Hop | WindowKind::Cumulate, [rest @ .., offset]) if rest.len() == 4 => {
                (rest, Some(*offset))
            }
            (_, all) => (all, None),
        };
        let (relation, keys, time, step, size) = match (kind, plain) {
            (WindowKind::Tumble, [relation, time, size]) => (relation, &[][..], time, size, size),
            (WindowKind::Hop | WindowKind::Cumulate, [relation, time, step, size]) => {
                (relation, &[][..], time, step, size)
            }
            (WindowKind::Session, [relation, keys @ .., time, gap]) => {
                (relation, keys, time, gap, gap)
            }
            _ => return Err(form.to_owned()),
        };
        let keys = keys.iter().map(|it| match it {
            Expr::Nested(one) => one.to_string(),
            one => one.to_string(),
        });
        let length = |it: &Expr| {
            interval_us(it).filter(|it| 0 < *it).ok_or_else(|| {
                format!(
                    "{form}; the interval must be constant and made of weeks, days, hours, minutes, seconds"
                )
            })
        };
        let (step_us, size_us) = (length(step)?, length(size)?);
        let offset_us = match offset {
            None => 0,
            Some(it) => syntax::offset_us(it).ok_or_else(|| {
                format!(
                    "{form}; behind the lengths stands by how much windows begin later: a constant INTERVAL '12' MINUTE, or TIME '00:12:00'"
                )
            })?,
        };
        // Those of CUMULATE begin anew with each size.
        let begins_us = if kind == WindowKind::Cumulate {
            size_us
        } else {
            step_us
        };
        let offset_us = offset_us.rem_euclid(begins_us);
        if kind == WindowKind::Cumulate && size_us % step_us != 0 {
            return Err(format!(
                "{form}; the second interval must be a multiple of the first"
            ));
        }
        let windows = steps_of(size_us, step_us);
        if WINDOWS_MAX < windows {
            return Err(format!(
                "{form}; a record would be in {windows} windows, and {WINDOWS_MAX} are possible"
            ));
        }
        let relation = match relation {
            Expr::Identifier(it) => it.to_string(),
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<String> = parts.iter().map(Ident::to_string).collect();
                parts.join(".")
            }
            _ => return Err(form.to_owned()),
        };
        Ok(Windowed {
            relation,
            time: match forms::is_processing_time(time) {
                true => READ_TIME.to_owned(),
                false => time.to_string(),
            },
            kind,
            step_us,
            size_us,
            offset_us,
            keys: keys.collect(),
        })
    }

    /// Each window that a record can be in.
    fn sides(&self) -> Vec<Side> {
        let Windowed {
            time,
            step_us,
            size_us,
            offset_us,
            ..
        } = self;
        let tumble = |function: &str| format!("{function}({time}, {size_us})");
        let bound = |step: i64, add: i64| match offset_us {
            0 => format!("{WINDOW_BOUND}({time}, {step}, {add})"),
            _ => format!("{WINDOW_BOUND}({time}, {step}, {add}, {offset_us})"),
        };
        let side = |start: String, end: String| Side {
            start,
            admitted: Until {
                end: end.clone(),
                size_us: Some(*size_us),
                time: time.clone(),
            },
            end,
            holds: None,
        };
        let steps = 0..steps_of(*size_us, *step_us);
        match self.kind {
            WindowKind::Tumble if *offset_us == 0 => {
                vec![side(tumble(TUMBLE_START), tumble(TUMBLE_END))]
            }
            WindowKind::Tumble => vec![side(bound(*size_us, 0), bound(*size_us, *size_us))],
            WindowKind::Hop => steps
                .map(|it| {
                    let start = -it * step_us;
                    let end = bound(*step_us, start + size_us);
                    // The first one may end before a record that comes late in a step, or in a gap between windows.
                    let is_cut = size_us - it * step_us < *step_us;
                    Side {
                        holds: is_cut.then(|| format!("{time} < {end}")),
                        ..side(bound(*step_us, start), end)
                    }
                })
                .collect(),
            WindowKind::Cumulate => steps
                .map(|it| {
                    let end = bound(*size_us, (it + 1) * step_us);
                    let own_us = Some((it + 1) * step_us);
                    Side {
                        holds: Some(format!("{time} < {end}")),
                        admitted: Until {
                            end: end.clone(),
                            size_us: own_us,
                            time: time.clone(),
                        },
                        ..side(bound(*size_us, 0), end)
                    }
                })
                .collect(),
            WindowKind::Session => {
                let partition = match self.keys.is_empty() {
                    true => String::new(),
                    false => format!("PARTITION BY {}", self.keys.join(", ")),
                };
                let bound = |function: &str| {
                    format!("{tumble} OVER ({partition})", tumble = tumble(function))
                };
                vec![Side {
                    // A session is not known by one record, so this decides by its own time whether it takes part.
                    admitted: Until {
                        end: format!("{WINDOW_BOUND}({time}, 1, 0)"),
                        size_us: None,
                        time: time.clone(),
                    },
                    holds: Some(format!("{time} IS NOT NULL")),
                    ..side(bound(SESSION_START), bound(SESSION_END))
                }]
            }
        }
    }
}

/// A function of windows in FROM: its kind, how it is written, its arguments and its alias.
pub type Called<'a> = (
    WindowKind,
    &'a ObjectName,
    &'a mut Vec<FunctionArg>,
    &'a mut Option<TableAlias>,
);

/// The function of windows that a part of FROM calls, if it does.
pub fn called(factor: &mut TableFactor) -> Option<Called<'_>> {
    let (name, args, alias) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } => (&*name, &mut args.args, alias),
        TableFactor::Function {
            name, args, alias, ..
        } => (&*name, args, alias),
        _ => return None,
    };
    Some((WindowKind::of(&name.to_string())?, name, args, alias))
}

/// Turns `TUMBLE(…)`, `HOP(…)`, `CUMULATE(…)` and `SESSION(…)` in FROM into a sub-query with `window_start` and `window_end`, and ASOF joins
/// into plain ones. `taken` may restrict the records of a window: it is given the relation and until when a record is admitted.
///
/// # Errors
/// If its arguments have another form.
pub fn rewrite(query: &mut Query, taken: impl FnMut(&str, &Until) -> Taken) -> Result<(), String> {
    struct Rewrite<F>(F);
    impl<F: FnMut(&str, &Until) -> Taken> VisitorMut for Rewrite<F> {
        type Break = String;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let Some((kind, _, args, alias)) = called(factor) else {
                return ControlFlow::Continue(());
            };
            let windowed = match Windowed::new(kind, args) {
                Ok(windowed) => windowed,
                Err(reason) => return ControlFlow::Break(reason),
            };
            let own_name = windowed.relation.rsplit('.').next();
            let alias = alias.as_ref().map_or_else(
                || own_name.unwrap_or(&windowed.relation).to_owned(),
                |it| it.name.to_string(),
            );
            let sides = windowed.sides().into_iter().map(|side| {
                let Side {
                    start,
                    end,
                    admitted,
                    holds,
                } = side;
                let Taken {
                    relation,
                    columns,
                    condition,
                } = (self.0)(&windowed.relation, &admitted);
                let conditions: Vec<String> = condition.into_iter().chain(holds).collect();
                let filter = match conditions.is_empty() {
                    true => String::new(),
                    false => format!(" WHERE {}", conditions.join(" AND ")),
                };
                format!(
                    "SELECT {columns}, {start} AS window_start, {end} AS window_end FROM {relation}{filter}"
                )
            });
            let sides: Vec<String> = sides.collect();
            let sql = format!("({}) AS {alias}", sides.join(" UNION ALL "));
            match Parser::new(&Tidelake)
                .try_with_sql(&sql)
                .and_then(|mut it| it.parse_table_factor())
            {
                Ok(rewritten) => {
                    *factor = rewritten;
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(words::parser(&error)),
            }
        }
    }
    asof::rewrite(query)?;
    walk::query(query, &mut Rewrite(taken))
}

/// A text in which the parser can read `SESSION(relation PARTITION BY keys, time, gap)`: as the call `SESSION(relation, keys, time, gap)`, with
/// everything at its place.
pub fn with_plain_sessions(text: &str) -> String {
    let is_word = |it: &TokenWithSpan, wanted: &str| match &it.token {
        Token::Word(it) => it.quote_style.is_none() && it.value.eq_ignore_ascii_case(wanted),
        _ => false,
    };
    // What cannot be taken apart is the parser's to refuse.
    let tokens = Tokenizer::new(&Tidelake, text).tokenize_with_location();
    let mut tokens = tokens.unwrap_or_default();
    tokens.retain(|it| !matches!(it.token, Token::Whitespace(_)));
    let mut changes: BTreeMap<(u64, u64), (&str, &str)> = BTreeMap::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if !is_word(&pair[0], "SESSION") || pair[1].token != Token::LParen {
            continue;
        }
        let ends_first = |it: &Token| matches!(it, Token::Comma | Token::LParen | Token::RParen);
        let first = tokens[at + 2..].split(|it| ends_first(&it.token)).next();
        let mut words = first.unwrap_or_default().windows(2);
        let by = words.find(|it| is_word(&it[0], "PARTITION") && is_word(&it[1], "BY"));
        if let Some([partition, by]) = by {
            let place = |it: &TokenWithSpan| (it.span.start.line, it.span.start.column);
            changes.insert(place(partition), ("PARTITION", ",        "));
            changes.insert(place(by), ("BY", "  "));
        }
    }
    let mut plain = String::with_capacity(text.len());
    let (mut line, mut column, mut skip) = (1, 1, 0);
    for char in text.chars() {
        if let Some((word, instead)) = changes.get(&(line, column)) {
            plain.push_str(instead);
            skip = word.len();
        }
        match skip {
            0 => plain.push(char),
            _ => skip -= 1,
        }
        (line, column) = match char {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        };
    }
    plain
}

/// Refuses windows over a name of WITH: whether a record was on time for a window is told by a mark that the columns of such a query leave out.
///
/// # Errors
/// If there is one: what to write instead.
pub fn refuse_over_names(query: &mut Query) -> Result<(), String> {
    #[derive(Default)]
    struct Names(BTreeSet<String>);
    impl VisitorMut for Names {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            let names = query.with.iter().flat_map(|it| &it.cte_tables);
            self.0
                .extend(names.map(|it| syntax::known_as(&it.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names::default();
    walk::query(query, &mut names)?;
    refuse_over(query, |window, of| {
        names.0.contains(&syntax::known_as(of)).then(|| {
            format!(
                "{window} over `{of}` of WITH cannot tell which of its records came too late; write it as CREATE VIEW {of} AS … before this statement"
            )
        })
    })
}

/// Refuses windows over relations for which there is a reason, given the name of the window and the relation.
///
/// # Errors
/// The reason.
pub fn refuse_over(
    query: &mut Query,
    reason: impl Fn(&ObjectName, &Ident) -> Option<String>,
) -> Result<(), String> {
    struct Refuse<F>(F);
    impl<F: Fn(&ObjectName, &Ident) -> Option<String>> VisitorMut for Refuse<F> {
        type Break = String;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            if let Some((_, name, args, _)) = called(factor)
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of)))) =
                    args.first()
                && let Some(reason) = (self.0)(name, of)
            {
                return ControlFlow::Break(reason);
            }
            ControlFlow::Continue(())
        }
    }
    walk::query(query, &mut Refuse(reason))
}

/// All records of a relation that have a time, as a query that is asked once takes them. One without a time is in no window, as in Flink.
pub fn all_records(relation: &str, until: &Until) -> Taken {
    Taken {
        relation: relation.to_owned(),
        columns: "*".to_owned(),
        condition: Some(until.is_in_window()),
    }
}

/// The records of a relation whose window is open when they come: that is the engine's to decide.
pub fn records_on_time(relation: &str, until: &Until) -> Taken {
    Taken {
        condition: Some(until.marker()),
        ..all_records(relation, until)
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::nullable;
    use crate::sql::plan_text;
    use crate::sql::recompute::{Records, recompute, table};
    use arrow::array::{
        ArrayRef, Int32Array, RecordBatch, TimestampMicrosecondArray, new_null_array,
    };
    use std::sync::Arc;

    /// The plan of the view, and how many rows a batch has.
    fn planned(windows: &str) -> (String, usize) {
        let text = format!(
            "CREATE SOURCE s (at TIMESTAMP, n INT) FORMAT JSON; CREATE MATERIALIZED VIEW v AS SELECT window_start, window_end, n FROM {windows};"
        );
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let dataflow = runtime.block_on(plan_text("t", &text, |_| None));
        let dataflow = dataflow.unwrap_or_else(|it| panic!("{windows}: {it}"));
        let schema = nullable(&dataflow.source("s").expect("a source").schema());
        let times = TimestampMicrosecondArray::from(vec![Some(90_000_000), None]);
        let own: [ArrayRef; 2] = [
            Arc::new(times.with_timezone("UTC")),
            Arc::new(Int32Array::from(vec![1, 2])),
        ];
        let behind = schema.fields().iter().skip(own.len());
        let behind = behind.map(|it| new_null_array(it.data_type(), 2));
        let columns: Vec<ArrayRef> = own.into_iter().chain(behind).collect();
        let rows = RecordBatch::try_new(schema.clone(), columns).expect("columns of the source");
        let mut records = Records::default();
        let rows = table(schema, vec![rows]).expect("a table");
        records.relations.insert("s".to_owned(), rows);
        let views = runtime.block_on(recompute(&dataflow, &records));
        let views = views.expect("a batch");
        let rows = views["v"].iter().map(RecordBatch::num_rows).sum();
        (dataflow.to_string(), rows)
    }

    #[test]
    fn a_record_without_a_time_is_in_no_window() {
        for (windows, expected) in [
            ("TUMBLE(s, at, INTERVAL '1' MINUTE)", 1),
            ("HOP(s, at, INTERVAL '1' MINUTE, INTERVAL '3' MINUTE)", 3),
            (
                "CUMULATE(s, at, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
                1,
            ),
            ("SESSION(s, at, INTERVAL '1' MINUTE)", 1),
        ] {
            let (plan, rows) = planned(windows);
            assert!(plan.contains("at IS NOT NULL"), "{windows}: {plan}");
            assert_eq!(rows, expected, "{windows}");
        }
    }
}
