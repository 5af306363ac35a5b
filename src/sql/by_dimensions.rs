//! What carries an anomaly is asked of the archive, when somebody wants to know: the query of the watched view, grouped by more columns of the records, over the windows in question.
//!
//! ```sql
//! SELECT metrics FROM (SELECT window_start, key, aggregates, dimensions FROM TUMBLE(lake.logs, …) WHERE … GROUP BY GROUPING SETS ((window_start, key, a), (window_start, key, b), …)) WHERE key = …
//! ```
//!
//! So nothing is paid while all is quiet, and what is added up are the very aggregates of the view.

use super::detectors::Watched;
use super::syntax;
use super::windows::WindowKind;
use crate::model::iso_of_micros;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, Select, SelectItem,
    SetExpr, TableFactor, Value as SqlValue,
};

/// What a cell of dimensions is asked about: these values of the key, windows from one time to another.
pub struct Cells<'a> {
    /// Columns of the key, and their value as text, if they have one.
    pub key: &'a [(String, Option<String>)],
    /// Sets of columns of the records, at most two in each.
    pub sets: &'a [Vec<String>],
    pub from_us: i64,
    pub to_us: i64,
}

/// The names of what the query yields beside the metrics' columns `_0`, `_1`, …
pub const WINDOW: &str = "_window";
pub const RECORDS: &str = "_records";

pub fn dimension(number: usize) -> String {
    format!("_d{number}")
}

/// Whether a dimension is none of a row's set.
pub fn is_left_out(number: usize) -> String {
    format!("_g{number}")
}

/// The query that yields, for each window and each cell of each set, the columns of the metrics and the number of records. Dimensions are numbered in the order of `dimensions`.
///
/// # Errors
/// If the watched view is not one group over `TUMBLE` of a table.
pub fn query(
    watched: &Watched,
    dimensions: &[String],
    cells: &Cells<'_>,
) -> Result<String, String> {
    let Windowed {
        mut select,
        time,
        keys,
        ..
    } = windowed(watched)?;
    let column = |name: &String| Expr::Identifier(Ident::with_quote('"', name));
    let sets = cells.sets.iter().map(|set| {
        let columns = set.iter().map(column);
        keys.iter().cloned().chain(columns).collect()
    });
    select.group_by =
        GroupByExpr::Expressions(vec![Expr::GroupingSets(sets.collect())], Vec::new());
    for (number, name) in dimensions.iter().enumerate() {
        let value = syntax::parse_expression(&format!("CAST({} AS TEXT)", column(name)))?;
        select.projection.push(named(value, &dimension(number)));
        let left_out = syntax::parse_expression(&format!("grouping({})", column(name)))?;
        select
            .projection
            .push(named(left_out, &is_left_out(number)));
    }
    let count = syntax::parse_expression("count(*)")?;
    select.projection.push(named(count, RECORDS));
    select.selection = Some(and(
        select.selection.take(),
        syntax::parse_expression(&within(&time, cells.from_us, cells.to_us))?,
    ));
    let own = Ident::with_quote('"', &watched.view);
    let metrics = watched.input_sql.strip_suffix(&format!(" FROM {own}"));
    let metrics = metrics.ok_or_else(|| other_form(watched))?;
    let beside = (0..dimensions.len()).flat_map(|it| [dimension(it), is_left_out(it)]);
    let beside = beside.chain([RECORDS.to_owned()]);
    let beside: Vec<String> = beside.map(|it| format!("\"{it}\"")).collect();
    let bound = Ident::with_quote('"', &watched.bound);
    let key = cells
        .key
        .iter()
        .map(|(name, value)| is_value(&Ident::with_quote('"', name).to_string(), value.as_deref()));
    let key: Vec<String> = key.collect();
    let condition = match key.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", key.join(" AND ")),
    };
    Ok(format!(
        "{metrics}, {bound} AS \"{WINDOW}\", {} FROM ({select}) AS v{condition}",
        beside.join(", ")
    ))
}

/// A watched view taken apart, reading the archive.
pub(super) struct Windowed {
    /// The view's SELECT over `TUMBLE(lake.table, …)`, or over a plain view of that table.
    pub select: Select,
    /// The plain view.
    pub through: Option<String>,
    /// The column of the event time.
    pub time: String,
    /// What the view is grouped by, as expressions.
    pub keys: Vec<Expr>,
}

fn other_form(watched: &Watched) -> String {
    format!(
        "what carries an anomaly is known where the watched view is one SELECT … FROM TUMBLE(table, time, size) … GROUP BY; `{}` is another",
        watched.view
    )
}

/// Takes a watched view apart.
///
/// # Errors
/// If it is not one group over `TUMBLE` of a table.
pub(super) fn windowed(watched: &Watched) -> Result<Windowed, String> {
    let form = || other_form(watched);
    let query = syntax::parse_query(&watched.view_sql)?;
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return Err(form());
    }
    let SetExpr::Select(mut select) = *query.body else {
        return Err(form());
    };
    let [from] = select.from.as_mut_slice() else {
        return Err(form());
    };
    if !from.joins.is_empty() || select.having.is_some() || select.distinct.is_some() {
        return Err(form());
    }
    let (time, through) = archived(&mut from.relation, watched).ok_or_else(form)?;
    if let Some(plain) = through.as_ref().filter(|_| !watched.reads_table) {
        return Err(format!(
            "the watched view reads the plain view `{plain}` of a source, whose records are not stored as such; let `{plain}` read the table `{}`",
            watched.table
        ));
    }
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return Err(form());
    };
    if !modifiers.is_empty() {
        return Err(form());
    }
    let item = |at: usize| match select.projection.get(at)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            Some(expr.clone())
        }
        _ => None,
    };
    let written = |key: &Expr| match key {
        Expr::Value(it) => match &it.value {
            SqlValue::Number(at, _) => item(at.parse::<usize>().ok()?.checked_sub(1)?),
            _ => None,
        },
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => None,
        other => Some(other.clone()),
    };
    let keys: Vec<Expr> = keys
        .iter()
        .map(written)
        .collect::<Option<_>>()
        .ok_or_else(form)?;
    Ok(Windowed {
        select: *select,
        through,
        time,
        keys,
    })
}

/// The condition that a time is in a range, its end left out.
pub(super) fn within(time: &str, from_us: i64, to_us: i64) -> String {
    let instant = |at: i64| format!("CAST('{}' AS TIMESTAMP)", iso_of_micros(at));
    format!(
        "{time} >= {} AND {time} < {}",
        instant(from_us),
        instant(to_us)
    )
}

/// The condition that an expression is a value, given as text, or null.
pub(super) fn is_value(expression: &str, value: Option<&str>) -> String {
    match value {
        None => format!("{expression} IS NULL"),
        Some(value) => format!(
            "CAST({expression} AS TEXT) = '{}'",
            value.replace('\'', "''")
        ),
    }
}

/// A condition in addition to the one that is stated, if one is.
pub(super) fn and(stated: Option<Expr>, also: Expr) -> Expr {
    match stated {
        None => also,
        Some(stated) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(stated))),
            op: BinaryOperator::And,
            right: Box::new(also),
        },
    }
}

/// Has a call of `TUMBLE` read the archive; its column of time, and the plain view if it reads through one.
fn archived(relation: &mut TableFactor, watched: &Watched) -> Option<(String, Option<String>)> {
    let TableFactor::Table {
        name,
        args: Some(args),
        ..
    } = relation
    else {
        return None;
    };
    if WindowKind::of(&name.to_string()) != Some(WindowKind::Tumble) {
        return None;
    }
    let [read, time, ..] = args.args.as_mut_slice() else {
        return None;
    };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(time)) = time else {
        return None;
    };
    let plain = match read {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name))) => {
            let name = syntax::known_as(name);
            watched.plain_views.contains(&name).then_some(name)
        }
        _ => None,
    };
    // In a query a plain view is over the archive anyway.
    if plain.is_none() {
        let stored = [Ident::new("lake"), Ident::with_quote('"', &watched.table)];
        *read = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(
            stored.into(),
        )));
    }
    Some((time.to_string(), plain))
}

fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(view_sql: &str) -> Watched {
        Watched {
            view: "per_minute".to_owned(),
            view_sql: view_sql.to_owned(),
            input_sql:
                "SELECT \"shop\", \"w\", CAST(orders AS DOUBLE) AS \"_0\" FROM \"per_minute\""
                    .to_owned(),
            bound: "w".to_owned(),
            table: "Orders".to_owned(),
            reads_table: true,
            plain_views: vec!["paid".to_owned()],
        }
    }

    #[test]
    fn the_view_is_grouped_by_more_over_the_archive() {
        let view = "SELECT window_start AS w, shop, count(*) AS orders FROM TUMBLE(o, at, INTERVAL '1' MINUTE) AS t WHERE ok OR free GROUP BY 1, shop ORDER BY 1";
        let key = [("shop".to_owned(), Some("O'Hare".to_owned()))];
        let dimensions = ["country".to_owned(), "my\"card".to_owned()];
        let cells = Cells {
            key: &key,
            sets: &[vec![dimensions[0].clone()], dimensions.to_vec()],
            from_us: 0,
            to_us: 60_000_000,
        };
        assert_eq!(
            query(&watched(view), &dimensions, &cells).unwrap(),
            "SELECT \"shop\", \"w\", CAST(orders AS DOUBLE) AS \"_0\", \"w\" AS \"_window\", \"_d0\", \"_g0\", \"_d1\", \"_g1\", \"_records\" FROM (\
             SELECT window_start AS w, shop, count(*) AS orders, CAST(\"country\" AS TEXT) AS \"_d0\", grouping(\"country\") AS \"_g0\", CAST(\"my\"\"card\" AS TEXT) AS \"_d1\", grouping(\"my\"\"card\") AS \"_g1\", count(*) AS \"_records\" \
             FROM TUMBLE(lake.\"Orders\", at, INTERVAL '1' MINUTE) AS t WHERE (ok OR free) AND at >= CAST('1970-01-01T00:00:00Z' AS TIMESTAMP) AND at < CAST('1970-01-01T00:01:00Z' AS TIMESTAMP) \
             GROUP BY GROUPING SETS ((window_start, shop, \"country\"), (window_start, shop, \"country\", \"my\"\"card\"))) AS v WHERE CAST(\"shop\" AS TEXT) = 'O''Hare'"
        );
    }

    #[test]
    fn a_plain_view_is_read_as_it_is_but_not_of_a_source() {
        let view = "SELECT window_start, count(*) AS orders FROM TUMBLE(Paid, at, INTERVAL '1' MINUTE) GROUP BY window_start";
        let cells = Cells {
            key: &[],
            sets: &[],
            from_us: 0,
            to_us: 1,
        };
        let of_table = query(&watched(view), &[], &cells).expect("it is of a table");
        assert!(of_table.contains("FROM TUMBLE(Paid, at"), "{of_table}");
        let of_source = Watched {
            reads_table: false,
            ..watched(view)
        };
        let refused = query(&of_source, &[], &cells).unwrap_err();
        assert!(
            refused.contains("let `paid` read the table `Orders`"),
            "{refused}"
        );
    }

    #[test]
    fn other_views_are_refused() {
        let cells = Cells {
            key: &[],
            sets: &[],
            from_us: 0,
            to_us: 1,
        };
        for view in [
            "SELECT window_start FROM per_second GROUP BY window_start",
            "SELECT window_end FROM HOP(o, at, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE) GROUP BY window_end",
            "SELECT window_start FROM TUMBLE(o, at, INTERVAL '1' MINUTE) AS a JOIN b ON a.k = b.k GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(o, at, INTERVAL '1' MINUTE) GROUP BY window_start HAVING count(*) > 1",
            "SELECT window_start FROM TUMBLE(o, at, INTERVAL '1' MINUTE) GROUP BY ROLLUP (window_start)",
        ] {
            let refused = query(&watched(view), &[], &cells).unwrap_err();
            assert!(
                refused.contains("`per_minute` is another"),
                "{view}: {refused}"
            );
        }
    }
}
