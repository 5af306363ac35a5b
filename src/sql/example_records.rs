//! Records of the archive that a row of a watched view was computed from: what an incident is shown by.
//!
//! ```sql
//! SELECT columns FROM TUMBLE(lake.logs, …) WHERE (the view's condition) AND time within the incident AND key AND what the metric counts
//! ORDER BY peak window first, [value DESC,] _partition, _offset LIMIT n
//! ```
//!
//! Which records a metric counts, and by which value a record is slow, is read from the aggregate behind the metric's column: the `FILTER` of a
//! count, the argument of an average or a percentile.

use super::by_dimensions::{Windowed, and, is_value, windowed, within};
use super::detectors::Watched;
use super::measured::argument;
use super::syntax::{self, known_as};
use crate::plan::{OFFSET_COLUMN, PARTITION_COLUMN};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem,
};

/// Aggregates whose value is of the size of their argument, in small letters.
const OF_VALUES: [&str; 13] = [
    "approx_median",
    "approx_percentile",
    "approx_percentile_cont",
    "avg",
    "first_value",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "percentile_cont",
    "percentile_disc",
    "quantile_cont",
];

/// Which records are asked for.
pub struct Examples<'a> {
    /// Columns of the view's key, and their values as text; `None` is null.
    pub key: &'a [(String, Option<String>)],
    /// Columns of the records, and their values as text; `None` is null.
    pub carrier: &'a [(String, Option<String>)],
    /// The number of the metric's argument in the detector's input query, from 0: of a ratio that of its failures.
    pub argument: usize,
    /// Largest or smallest first, where the argument is an aggregate of a value; `None` leaves the value out.
    pub by_value: Option<Extreme>,
    /// Event time in microseconds; the ends are left out.
    pub range_us: (i64, i64),
    /// The range within it whose records come first.
    pub peak_us: (i64, i64),
    /// Columns to select.
    pub columns: &'a [String],
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    Largest,
    Smallest,
}

/// A query for example records.
#[derive(Debug, PartialEq, Eq)]
pub struct ExampleQuery {
    pub sql: String,
    /// The condition that the aggregate behind the metric sets; `None` if it sets none, or none that can be read from the view.
    pub counted: Option<String>,
    /// The expression that the records are ordered by within the peak and outside of it.
    pub by_value: Option<String>,
}

/// Writes the query.
///
/// # Errors
/// If the watched view is not one group over `TUMBLE` of a table, reads it through a plain view, or a column of its key has no expression in its SELECT.
pub fn query(watched: &Watched, wanted: &Examples<'_>) -> Result<ExampleQuery, String> {
    let Windowed {
        mut select,
        through,
        time,
        ..
    } = windowed(watched)?;
    if let Some(plain) = through {
        return Err(format!(
            "`{}` reads the plain view `{plain}`, which does not say where records were read; let it read the table `{}`",
            watched.view, watched.table
        ));
    }
    let mut conditions = vec![within(&time, wanted.range_us.0, wanted.range_us.1)];
    for (name, value) in wanted.key {
        let of_key = projected(&select, name).ok_or_else(|| {
            format!(
                "`{}` does not say what its column `{name}` is; name it in its SELECT",
                watched.view
            )
        })?;
        conditions.push(is_value(&format!("({of_key})"), value.as_deref()));
    }
    let quoted = |name: &String| Ident::with_quote('"', name).to_string();
    for (name, value) in wanted.carrier {
        conditions.push(is_value(&quoted(name), value.as_deref()));
    }
    let Aggregated { counted, value } = column_of(watched, wanted.argument).map_or_else(
        Aggregated::default,
        |name| match projected(&select, &name) {
            Some(Expr::Function(call)) => aggregated(call),
            _ => Aggregated::default(),
        },
    );
    conditions.extend(counted.iter().map(|it| format!("({it})")));
    let by_value = value.zip(wanted.by_value);
    conditions.extend(by_value.iter().map(|it| format!("({}) IS NOT NULL", it.0)));
    let also = syntax::parse_expression(&conditions.join(" AND "))?;
    let condition = and(select.selection.take(), also);
    let from = select.from.first().map(ToString::to_string);
    let from = from.unwrap_or_default();
    let columns: Vec<String> = wanted.columns.iter().map(quoted).collect();
    let peak = within(&time, wanted.peak_us.0, wanted.peak_us.1);
    let order = by_value
        .as_ref()
        .map_or_else(String::new, |(value, extreme)| {
            let direction = match extreme {
                Extreme::Largest => "DESC",
                Extreme::Smallest => "ASC",
            };
            format!("{value} {direction}, ")
        });
    Ok(ExampleQuery {
        sql: format!(
            "SELECT {} FROM {from} WHERE {condition} ORDER BY CASE WHEN {peak} THEN 0 ELSE 1 END, {order}\"{PARTITION_COLUMN}\", \"{OFFSET_COLUMN}\" LIMIT {}",
            columns.join(", "),
            wanted.limit
        ),
        counted,
        by_value: by_value.map(|it| it.0),
    })
}

/// The column of the watched view that an argument of a metric is, if it is just a column.
fn column_of(watched: &Watched, number: usize) -> Option<String> {
    match argument(&watched.input_sql, number)? {
        Expr::Identifier(name) => Some(known_as(&name)),
        _ => None,
    }
}

/// What a column of a SELECT is computed by.
fn projected<'a>(select: &'a Select, column: &str) -> Option<&'a Expr> {
    select.projection.iter().find_map(|it| {
        let (name, expr) = match it {
            SelectItem::ExprWithAlias { expr, alias } => (alias, expr),
            SelectItem::UnnamedExpr(expr) => match expr {
                Expr::Identifier(name) => (name, expr),
                Expr::CompoundIdentifier(names) => (names.last()?, expr),
                _ => return None,
            },
            _ => return None,
        };
        (known_as(name) == column).then_some(expr)
    })
}

/// What an aggregate says of the records behind it.
#[derive(Default)]
struct Aggregated {
    /// Those that it counts.
    counted: Option<String>,
    /// The value that it is of.
    value: Option<String>,
}

fn aggregated(call: &Function) -> Aggregated {
    let name = call.name.to_string().to_ascii_lowercase();
    let argument = match &call.args {
        FunctionArguments::List(list) => match list.args.first() {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(it))) => Some(it.to_string()),
            _ => None,
        },
        _ => None,
    };
    let own = match (name.as_str(), &argument) {
        ("count", Some(it)) => Some(format!("({it}) IS NOT NULL")),
        ("count_if" | "countif", Some(it)) => Some(it.clone()),
        ("sum", Some(it)) => Some(format!("({it}) <> 0")),
        _ => None,
    };
    let filter = call.filter.as_ref().map(ToString::to_string);
    let counted = match (filter, own) {
        (Some(filter), Some(own)) => Some(format!("({filter}) AND {own}")),
        (one, other) => one.or(other),
    };
    let value = match call.within_group.first() {
        Some(order) => Some(order.expr.to_string()),
        None => argument,
    };
    Aggregated {
        counted,
        value: value.filter(|_| OF_VALUES.contains(&name.as_str())),
    }
}

#[cfg(test)]
mod tests;
