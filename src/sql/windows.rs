//! Table functions of windows in FROM, `TUMBLE`, `HOP` and `CUMULATE`, as plain SQL: a sub-query with `window_start` and `window_end`, of one side for
//! each window that a record can be in.

use super::syntax::interval_us;
use super::{walk, words};
use crate::plan::{ADMITTED, TUMBLE_END, TUMBLE_START, WINDOW_BOUND};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, TableFactor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

const TUMBLE_FORM: &str = "TUMBLE has the form TUMBLE(relation, time_column, INTERVAL '1' MINUTE)";

/// Which columns of a relation, and which of its records, take part in windows, as SQL.
pub struct Taken {
    pub relation: String,
    pub columns: String,
    pub condition: Option<String>,
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
}

impl WindowKind {
    /// The kind of this name; none if it is no function of windows.
    ///
    /// # Errors
    /// If there are no such windows yet.
    pub fn of(name: &str) -> Result<Option<Self>, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "tumble" => Some(WindowKind::Tumble),
            "hop" => Some(WindowKind::Hop),
            "cumulate" => Some(WindowKind::Cumulate),
            "session" => {
                return Err(
                    "SESSION windows are not supported yet; possible are TUMBLE, HOP and CUMULATE"
                        .to_owned(),
                );
            }
            _ => None,
        })
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
        }
    }
}

/// A record is in at most so many windows of one kind.
const WINDOWS_MAX: i64 = 400;

/// A call of such a function.
struct Windowed {
    relation: String,
    time: String,
    kind: WindowKind,
    step_us: i64,
    size_us: i64,
}

impl Windowed {
    fn new(kind: WindowKind, args: &[FunctionArg]) -> Result<Self, String> {
        let form = kind.form();
        let plain = args.iter().filter_map(|it| match it {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        });
        let plain: Vec<&Expr> = plain.collect();
        let (relation, time, step, size) = match (kind, plain.as_slice()) {
            (WindowKind::Tumble, [relation, time, size]) => (relation, time, size, size),
            (WindowKind::Hop | WindowKind::Cumulate, [relation, time, step, size]) => {
                (relation, time, step, size)
            }
            _ => return Err(form.to_owned()),
        };
        let length = |it: &Expr| {
            interval_us(it).filter(|it| 0 < *it).ok_or_else(|| {
                format!(
                    "{form}; the interval must be constant and made of weeks, days, hours, minutes, seconds"
                )
            })
        };
        let (step_us, size_us) = (length(step)?, length(size)?);
        if size_us % step_us != 0 {
            return Err(format!(
                "{form}; the second interval must be a multiple of the first"
            ));
        }
        if WINDOWS_MAX < size_us / step_us {
            return Err(format!(
                "{form}; a record would be in {} windows, and {WINDOWS_MAX} are possible",
                size_us / step_us
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
            time: time.to_string(),
            kind,
            step_us,
            size_us,
        })
    }

    /// Start and end of each window that a record can be in, as SQL, and when it is in this one, unless it always is.
    fn sides(&self) -> Vec<(String, String, Option<String>)> {
        let Windowed {
            time,
            step_us,
            size_us,
            ..
        } = self;
        let tumble = |function: &str| format!("{function}({time}, {size_us})");
        let bound = |step: i64, add: i64| format!("{WINDOW_BOUND}({time}, {step}, {add})");
        let steps = 0..size_us / step_us;
        match self.kind {
            WindowKind::Tumble => vec![(tumble(TUMBLE_START), tumble(TUMBLE_END), None)],
            WindowKind::Hop => steps
                .map(|it| {
                    let start = -it * step_us;
                    (
                        bound(*step_us, start),
                        bound(*step_us, start + size_us),
                        None,
                    )
                })
                .collect(),
            WindowKind::Cumulate => steps
                .map(|it| {
                    let end = bound(*size_us, (it + 1) * step_us);
                    let holds = format!("{time} < {end}");
                    (bound(*size_us, 0), end, Some(holds))
                })
                .collect(),
        }
    }
}

/// Turns `TUMBLE(…)`, `HOP(…)` and `CUMULATE(…)` in FROM into a sub-query with `window_start` and `window_end`. `taken` may restrict the
/// records of a window: it is given the relation and the end of the window as SQL.
///
/// # Errors
/// If its arguments have another form.
pub fn rewrite(query: &mut Query, taken: impl Fn(&str, &str) -> Taken) -> Result<(), String> {
    struct Rewrite<F>(F);
    impl<F: Fn(&str, &str) -> Taken> VisitorMut for Rewrite<F> {
        type Break = String;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let (name, args, alias) = match factor {
                TableFactor::Table {
                    name,
                    args: Some(args),
                    alias,
                    ..
                } => (name, &args.args, alias),
                TableFactor::Function {
                    name, args, alias, ..
                } => (name, &*args, alias),
                _ => return ControlFlow::Continue(()),
            };
            let kind = match WindowKind::of(&name.to_string()) {
                Ok(Some(kind)) => kind,
                Ok(None) => return ControlFlow::Continue(()),
                Err(reason) => return ControlFlow::Break(reason),
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
            let sides = windowed.sides().into_iter().map(|(start, end, holds)| {
                let Taken {
                    relation,
                    columns,
                    condition,
                } = (self.0)(&windowed.relation, &end);
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
            match Parser::new(&PostgreSqlDialect {})
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
    walk::query(query, &mut Rewrite(taken))
}

/// All records of a relation, as a query that is asked once takes them.
pub fn all_records(relation: &str, _window_end: &str) -> Taken {
    Taken {
        relation: relation.to_owned(),
        columns: "*".to_owned(),
        condition: None,
    }
}

/// The records of a relation whose window is open when they come: that is the engine's to decide.
pub fn records_on_time(relation: &str, window_end: &str) -> Taken {
    Taken {
        condition: Some(format!("{ADMITTED}({window_end})")),
        ..all_records(relation, window_end)
    }
}
