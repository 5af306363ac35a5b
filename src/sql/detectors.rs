//! `CREATE DETECTOR`: which view it watches, what of it, and what its two views are.
//!
//! ```sql
//! CREATE DETECTOR traffic ON traffic_1m
//!   METRICS (rate(requests), ratio(server_errors, requests) AS error_share, latency(response_time_p95))
//!   KEY (endpoint)
//!   WITH (season = '1 day', false_alerts_per_day = '1');
//! ```
//!
//! Its input is a query over the view, planned like any other. `traffic` has what is said of each window, `traffic_incidents` what its anomalies are together.

use super::by_dimensions::{self, Cells};
use super::incidents::incidents_of;
use super::syntax::{self, duration_us, known_as};
use super::{Planner, canonical};
use crate::detect::incident::Incidents;
use crate::detect::metric::Kind;
use crate::model::stated::{StatedOption, is_option, names_listed, option};
use crate::plan::{
    Dataflow, Detection, IncidentSpec, MetricSpec, NEW, Plan, RowEnd, TableSpec, ViewKind,
    ViewSpec, check_rows, properties,
};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;
/// What is said of windows stays live so long unless the detector says otherwise, and incidents that are over.
const RETENTION_DEFAULT_US: i64 = DAY_US;
const INCIDENT_RETENTION_DEFAULT_US: i64 = 30 * DAY_US;
const COOL_DOWN_DEFAULT_WINDOWS: i64 = 6;
const ALERTS_PER_DAY_DEFAULT: f64 = 1.0;
const COOL_DOWN_WINDOWS_MAX: i64 = 100_000;
/// More windows in a season would make what is known of a key large.
const SEASON_WINDOWS_MAX: i64 = 10_080;

/// More columns would be more pairs than somebody waits for.
const EXPLAIN_BY_MAX: usize = 8;

/// The options of a detector.
pub(super) const OPTIONS: [StatedOption; 7] = [
    option(
        "season",
        "a time, or `none`",
        "`1 day`, if that is at least two windows",
        "The period after which traffic repeats: 2 to 10,080 whole windows.",
    ),
    option(
        "false_alerts_per_day",
        "a number above 0",
        "`1`",
        "How many windows a day, of all keys and metrics together, may be called anomalies although nothing is wrong.",
    ),
    option(
        "early",
        "a time",
        "the `WATERMARK`'s delay",
        "How long before it closes a window is judged; at most the delay of the watermark.",
    ),
    option(
        "cool_down",
        "a time",
        "six windows",
        "How long an incident stays open without another anomaly.",
    ),
    option(
        "explain_by",
        "`column, …`, at most 8",
        "none",
        "Columns of the watched records by which an incident is explained.",
    ),
    option(
        "retention",
        "a time",
        "`1 day`",
        "How long what was said of a window stays live. The lake keeps it.",
    ),
    option(
        "incident_retention",
        "a time",
        "`30 days`",
        "The same for incidents that are over.",
    ),
];

/// A detector as it is written.
#[derive(Debug)]
pub struct DetectorText {
    pub name: String,
    pub view: String,
    pub metrics: Vec<MetricText>,
    pub keys: Option<Vec<String>>,
    pub options: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct MetricText {
    name: String,
    kind: Kind,
    arguments: Vec<Expr>,
}

/// Reads what follows `CREATE DETECTOR`.
pub fn parse(parser: &mut Parser) -> Result<DetectorText, ParserError> {
    let form = "a detector has the form: CREATE DETECTOR name ON view METRICS (rate(a), ratio(b, a) AS share, latency(c)) [KEY (column, …)] [WITH (season = '1 day', …)]";
    let expected = || ParserError::ParserError(form.to_owned());
    let name = known_as(&parser.parse_identifier()?);
    if !parser.parse_keyword(Keyword::ON) {
        return Err(expected());
    }
    let view = known_as(&parser.parse_identifier()?);
    if !syntax::word(parser, "METRICS") {
        return Err(expected());
    }
    parser.expect_token(&Token::LParen)?;
    let metrics = parser.parse_comma_separated(metric)?;
    parser.expect_token(&Token::RParen)?;
    let mut keys = None;
    if parser.parse_keyword(Keyword::KEY) {
        parser.expect_token(&Token::LParen)?;
        let names = match parser.peek_token_ref().token == Token::RParen {
            true => Vec::new(),
            false => parser.parse_comma_separated(Parser::parse_identifier)?,
        };
        parser.expect_token(&Token::RParen)?;
        keys = Some(names.iter().map(known_as).collect());
    }
    let options = match parser.parse_keyword(Keyword::WITH) {
        true => syntax::option_list(parser)?,
        false => Vec::new(),
    };
    Ok(DetectorText {
        name,
        view,
        metrics,
        keys,
        options,
    })
}

fn metric(parser: &mut Parser) -> Result<MetricText, ParserError> {
    let expr = parser.parse_expr()?;
    let form = || {
        ParserError::ParserError(format!(
            "`{expr}` is no metric; a metric is rate(count), ratio(failures, all), latency(time), value(number), drift(number), novelty(number), series(number) or outlier(number, number, …)"
        ))
    };
    let Expr::Function(call) = &expr else {
        return Err(form());
    };
    let kind = Kind::of_name(&call.name.to_string()).ok_or_else(form)?;
    let FunctionArguments::List(list) = &call.args else {
        return Err(form());
    };
    let arguments = list.args.iter().map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Ok(it.clone()),
        _ => Err(form()),
    });
    let arguments = arguments.collect::<Result<Vec<Expr>, _>>()?;
    if !kind.values().contains(&arguments.len()) {
        return Err(form());
    }
    let name = match parser.parse_keyword(Keyword::AS) {
        true => known_as(&parser.parse_identifier()?),
        false => {
            let texts: Vec<String> = arguments.iter().map(Expr::to_string).collect();
            texts.join(" / ")
        }
    };
    Ok(MetricText {
        name,
        kind,
        arguments,
    })
}

/// The settings of a detector.
struct Options {
    season_us: Option<i64>,
    alerts_per_day: f64,
    early_us: i64,
    cool_down_windows: u32,
    retention_us: i64,
    incident_retention_us: i64,
    explain_by: Vec<String>,
}

impl Options {
    fn of(stated: &[(String, String)], window_us: i64, delay_us: i64) -> Result<Options, String> {
        let mut options = Options {
            season_us: (2 * window_us <= DAY_US).then_some(DAY_US),
            alerts_per_day: ALERTS_PER_DAY_DEFAULT,
            early_us: delay_us,
            cool_down_windows: COOL_DOWN_DEFAULT_WINDOWS as u32,
            retention_us: RETENTION_DEFAULT_US,
            incident_retention_us: INCIDENT_RETENTION_DEFAULT_US,
            explain_by: Vec::new(),
        };
        for (name, value) in stated {
            if !is_option(&OPTIONS, name) {
                return Err(format!(
                    "unknown option `{name}`; a detector takes {}",
                    names_listed(&OPTIONS)
                ));
            }
            let length = |least: i64| {
                duration_us(value)
                    .filter(|it| least <= *it)
                    .ok_or_else(|| format!("{name} '{value}' must be a time such as '1 hour'"))
            };
            match name.as_str() {
                "season" if value == "none" => options.season_us = None,
                "season" => {
                    let season_us = length(1)?;
                    let windows = season_us / window_us;
                    if season_us % window_us != 0 || !(2..=SEASON_WINDOWS_MAX).contains(&windows) {
                        return Err(format!(
                            "season '{value}' must be 2 to {SEASON_WINDOWS_MAX} whole windows of {}, or 'none'",
                            crate::plan::span(window_us)
                        ));
                    }
                    options.season_us = Some(season_us);
                }
                "false_alerts_per_day" => {
                    let number = value.parse::<f64>().ok();
                    let number = number.filter(|it| it.is_finite() && 0.0 < *it);
                    options.alerts_per_day = number.ok_or_else(|| {
                        format!("{name} '{value}' must be a number above zero, such as '0.2'")
                    })?;
                }
                "early" => {
                    options.early_us = length(0)?;
                    if delay_us < options.early_us {
                        return Err(format!(
                            "early '{value}' is longer than the WATERMARK waits, {}: windows would be judged before they are over",
                            crate::plan::span(delay_us)
                        ));
                    }
                }
                "cool_down" => {
                    let windows = length(0)? / window_us;
                    if COOL_DOWN_WINDOWS_MAX < windows {
                        return Err(format!(
                            "{name} '{value}' is more than {COOL_DOWN_WINDOWS_MAX} windows"
                        ));
                    }
                    options.cool_down_windows = u32::try_from(windows).unwrap_or(u32::MAX);
                }
                "retention" => options.retention_us = length(1)?,
                "incident_retention" => options.incident_retention_us = length(1)?,
                "explain_by" => {
                    let names = value.split(',').map(|it| known_as(&Ident::new(it.trim())));
                    options.explain_by = names.collect();
                }
                other => unreachable!("option {other} is in the list, and read nowhere"),
            }
        }
        if options
            .season_us
            .is_some_and(|it| SEASON_WINDOWS_MAX < it / window_us)
        {
            return Err(format!(
                "a day is more than {SEASON_WINDOWS_MAX} windows of {}; state a shorter season, season = 'none', or watch longer windows",
                crate::plan::span(window_us)
            ));
        }
        Ok(options)
    }
}

impl Planner {
    pub(super) async fn add_detector(&mut self, text: DetectorText) -> Result<(), String> {
        let incidents = incidents_of(&text.name);
        let (view, incident_view) = self.detector(text).await?;
        self.register(&view.name, view.plan.schema())?;
        self.dataflow.views.push(view);
        self.register(&incidents, incident_view.plan.schema())?;
        self.dataflow.views.push(incident_view);
        Ok(())
    }

    /// The two views of a detector.
    async fn detector(&self, text: DetectorText) -> Result<(ViewSpec, ViewSpec), String> {
        let DetectorText {
            name,
            view: watched,
            metrics,
            keys,
            options,
        } = text;
        let view = self.dataflow.view(&watched).ok_or_else(|| {
            format!("`{watched}` is no materialized view; a detector watches one that groups by windows: CREATE MATERIALIZED VIEW … FROM TUMBLE(…) GROUP BY window_start, …")
        })?;
        let known = self.dataflow.properties(&watched);
        let schema = view.plan.schema();
        let ends = known.window_ends.iter().enumerate();
        let end = ends
            .filter_map(|(column, it)| Some((column, (*it)?)))
            .next();
        let (Some((column, add_us)), Some(grid)) = (end, self.dataflow.grid(&view.plan)) else {
            return Err(format!(
                "the rows of `{watched}` are not of windows that lie one behind the other; a detector watches a view over TUMBLE that keeps window_start or window_end"
            ));
        };
        let is_bound = |column: &usize| known.window_ends[*column].is_some();
        let unique = known.key.as_deref().unwrap_or_default();
        let unique: Vec<usize> = unique.iter().copied().filter(|it| !is_bound(it)).collect();
        if known.key.is_none() {
            return Err(format!(
                "which rows of a window of `{watched}` are which is not known; let the view end with GROUP BY window_start, and the columns of the key"
            ));
        }
        let keys: Vec<usize> = match keys {
            None => unique.clone(),
            Some(names) => {
                let place = |name: &String| {
                    let place = schema.index_of(name);
                    place.map_err(|_| format!("KEY: `{watched}` has no column `{name}`"))
                };
                names.iter().map(place).collect::<Result<_, _>>()?
            }
        };
        if let Some(missing) = unique.iter().find(|it| !keys.contains(it)) {
            return Err(format!(
                "KEY lacks `{}`, by which `{watched}` has several rows per window; add it, or watch a view that is not grouped by it",
                schema.field(*missing).name()
            ));
        }
        if let Some(bound) = keys.iter().find(|it| is_bound(it)) {
            return Err(format!(
                "`{}` is the window itself; leave it out of KEY",
                schema.field(*bound).name()
            ));
        }
        let delay_us = self.delay_us(&known.clocks)?;
        let options = Options::of(&options, grid.size_us, delay_us)?;
        let sql = input_query(&watched, &schema, &keys, column, &metrics);
        let query = syntax::parse_query(&sql)?;
        let canonical = canonical::query(&query)?;
        let plan = self.lowered(&name, &query).await?;
        let mut at = keys.len() + 1;
        let specs = metrics.into_iter().map(|it| {
            let columns = (at..at + it.arguments.len()).collect();
            at += it.arguments.len();
            MetricSpec {
                name: it.name,
                kind: it.kind,
                columns,
            }
        });
        let metrics: Vec<MetricSpec> = specs.collect();
        let mut names = BTreeMap::new();
        for metric in &metrics {
            if names.insert(metric.name.as_str(), ()).is_some() {
                return Err(format!(
                    "two metrics are called {}; rename one with AS",
                    metric.name
                ));
            }
        }
        let is_named_new = names.contains_key(NEW);
        let detection = Detection {
            id: format!("{name}.detect"),
            keys: (0..keys.len()).collect(),
            end: RowEnd {
                column: keys.len(),
                add_us,
            },
            grid,
            metrics,
            season_us: options.season_us,
            early_us: options.early_us,
            alerts_per_day: options.alerts_per_day,
            clocks: known.clocks.clone(),
            explain_by: options.explain_by,
        };
        let schema = detection.schema(&plan.schema())?;
        if is_named_new && detection.newcomers().is_some() {
            return Err(format!(
                "`{NEW}` is the metric of keys that are new; call this one something else with AS"
            ));
        }
        let extend_at = -detection.false_share().log10() / 2.0;
        let newcomer_us = detection.newcomer_us();
        let plan = Plan::Detect {
            input: Box::new(plan),
            detection: Arc::new(detection),
            schema: Arc::clone(&schema),
        };
        let scores = self.view_of(name.clone(), sql, canonical, plan, options.retention_us)?;
        self.check_explanations(&scores)?;
        let spec = IncidentSpec {
            id: format!("{}.incidents", incidents_of(&name)),
            keys: keys.len(),
            grid,
            newcomer_us,
            rule: Incidents {
                extend_at,
                cool_down_windows: options.cool_down_windows,
            },
            clocks: known.clocks,
        };
        let of_incidents = spec.schema(&schema)?;
        let plan = Plan::Incidents {
            input: Box::new(Plan::Relation {
                name: name.clone(),
                columns: (0..schema.fields().len()).collect(),
                schema,
            }),
            incidents: Arc::new(spec),
            schema: of_incidents,
        };
        let quoted = Ident::with_quote('"', name.clone());
        let sql = format!("SELECT * FROM {quoted}");
        let incidents = self.view_of(
            incidents_of(&name),
            sql,
            format!("incidents of {name}"),
            plan,
            options.incident_retention_us,
        )?;
        Ok((scores, incidents))
    }

    /// Refuses columns by which nothing can be explained.
    fn check_explanations(&self, scores: &ViewSpec) -> Result<(), String> {
        let explain_by = match &scores.plan {
            Plan::Detect { detection, .. } => detection.explain_by.as_slice(),
            _ => return Ok(()),
        };
        if explain_by.is_empty() {
            return Ok(());
        }
        if EXPLAIN_BY_MAX < explain_by.len() {
            return Err(format!("explain_by: at most {EXPLAIN_BY_MAX} columns"));
        }
        let watched = Watched::of(&self.dataflow, scores).ok_or_else(|| {
            "explain_by: the watched view does not read one table of records, CREATE TABLE … AS SELECT … FROM source".to_owned()
        })?;
        let mut tables = self.dataflow.tables.iter();
        let table = tables.find(|it| it.name == watched.table);
        let schema = table.map(|it| it.plan.schema());
        for name in explain_by {
            let field = schema.as_ref().and_then(|it| it.field_with_name(name).ok());
            let field = field.ok_or_else(|| {
                format!(
                    "explain_by: table `{}` has no column `{name}`",
                    watched.table
                )
            })?;
            if field.data_type().is_nested() || field.data_type().is_floating() {
                return Err(format!(
                    "explain_by: column `{name}` is no text, integer, date or flag, whose values could be told apart"
                ));
            }
        }
        let cells = Cells {
            key: &[],
            sets: &[],
            from_us: 0,
            to_us: 1,
        };
        by_dimensions::query(&watched, explain_by, &cells)
            .map(|_| ())
            .map_err(|it| format!("explain_by: {it}"))
    }

    /// How long the clocks of a view wait, the shortest of them.
    fn delay_us(&self, clocks: &std::collections::BTreeSet<String>) -> Result<i64, String> {
        super::lower::has_clock(clocks)?;
        let delay = |name: &String| Some(self.dataflow.source(name)?.event_time?.delay_us);
        let delays = clocks.iter().filter_map(delay);
        delays
            .min()
            .ok_or_else(|| "a detector needs a source with WATERMARK FOR".to_owned())
    }

    fn view_of(
        &self,
        name: String,
        sql: String,
        canonical: String,
        plan: Plan,
        retention_us: i64,
    ) -> Result<ViewSpec, String> {
        check_rows(&plan.schema())?;
        let known = match &plan {
            // The view below is not in the dataflow yet, and says nothing that its incidents do not know.
            Plan::Incidents { incidents, .. } => {
                let clocks = incidents.clocks.clone();
                (
                    ViewKind::Windowed {
                        column: incidents.closed_at(),
                        add_us: 0,
                    },
                    clocks,
                )
            }
            other => {
                let known = properties(other, &|it: &str| self.dataflow.properties(it));
                let kind = known.kind().ok_or(super::LOST_WINDOWS)?;
                (kind, known.clocks)
            }
        };
        Ok(ViewSpec {
            name,
            sql,
            canonical,
            plan,
            kind: known.0,
            retention_us,
            clocks: known.1,
            order: Vec::new(),
            stored: true,
            emitted: None,
        })
    }
}

/// The query that a detector's input is: its key, a bound of the window, and the arguments of its metrics.
fn input_query(
    view: &str,
    schema: &arrow::datatypes::SchemaRef,
    keys: &[usize],
    bound: usize,
    metrics: &[MetricText],
) -> String {
    let quoted = |column: &usize| Ident::with_quote('"', schema.field(*column).name()).to_string();
    let mut columns: Vec<String> = keys.iter().chain([&bound]).map(quoted).collect();
    let mut number = 0;
    for metric in metrics {
        let of = match metric.kind {
            Kind::Ratio => "BIGINT",
            Kind::Rate
            | Kind::Latency
            | Kind::Value
            | Kind::Drift
            | Kind::Novelty
            | Kind::Series
            | Kind::Outlier => "DOUBLE",
        };
        for argument in &metric.arguments {
            columns.push(format!("CAST({argument} AS {of}) AS \"_{number}\""));
            number += 1;
        }
    }
    let view = Ident::with_quote('"', view);
    format!("SELECT {} FROM {view}", columns.join(", "))
}

/// What a detector watches, as its explanations ask for it.
pub struct Watched {
    pub view: String,
    pub view_sql: String,
    /// The query over it that is the detector's input.
    pub input_sql: String,
    /// The column of the view that is a bound of the window.
    pub bound: String,
    /// The table of the records behind it.
    pub table: String,
    /// Whether it reads that table; else it reads the source that the table keeps.
    pub reads_table: bool,
    /// Plain views of the dataflow, through one of which it may read.
    pub plain_views: Vec<String>,
}

impl Watched {
    /// Of a detector's view; none if the view that it watches does not read one table of records.
    pub fn of(dataflow: &Dataflow, scores: &ViewSpec) -> Option<Watched> {
        let Plan::Detect {
            input, detection, ..
        } = &scores.plan
        else {
            return None;
        };
        let view = dataflow.view(input.relations().first()?)?;
        let relations = view.plan.relations();
        let [read] = relations.as_slice() else {
            return None;
        };
        let mut tables = dataflow.tables.iter();
        let is_copy = |it: &&TableSpec| it.name == *read || it.source == *read && it.keeps_all();
        let table = tables.find(is_copy)?.name.clone();
        let plain_views = dataflow.aliases.iter().map(|it| it.0.clone());
        Some(Watched {
            view: view.name.clone(),
            view_sql: view.sql.clone(),
            input_sql: scores.sql.clone(),
            bound: input.schema().field(detection.end.column).name().clone(),
            reads_table: table == *read,
            table,
            plain_views: plain_views.collect(),
        })
    }
}

/// A detector's plan over its input as it was planned anew.
pub fn over(input: Plan, view: &ViewSpec) -> Plan {
    match &view.plan {
        Plan::Detect {
            detection, schema, ..
        } => Plan::Detect {
            input: Box::new(input),
            detection: Arc::clone(detection),
            schema: Arc::clone(schema),
        },
        Plan::Incidents {
            incidents, schema, ..
        } => Plan::Incidents {
            input: Box::new(input),
            incidents: Arc::clone(incidents),
            schema: Arc::clone(schema),
        },
        _ => input,
    }
}

/// The columns that the query of a view yields: those of the view, but for a detector those of its input.
pub fn queried(view: &ViewSpec) -> arrow::datatypes::SchemaRef {
    match &view.plan {
        Plan::Detect { input, .. } | Plan::Incidents { input, .. } => input.schema(),
        other => other.schema(),
    }
}

#[cfg(test)]
mod tests;
