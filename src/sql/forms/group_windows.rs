//! Windows in GROUP BY, as Flink and Calcite have them, `GROUP BY k, TUMBLE(time, size)` with `TUMBLE_START(time, size)`: the same query over
//! windows in FROM. Sessions are those of the other keys of the group: a record of one key does not hold a session of another one together.

use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query,
    Select, SelectItem, SetExpr, TableAlias, TableFactor, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// Functions of windows, and how many lengths they have behind the time; an offset may follow, but for sessions.
const WINDOWS: [(&str, usize); 4] = [("tumble", 1), ("hop", 2), ("cumulate", 2), ("session", 1)];

/// Rewrites a SELECT that groups by a window.
///
/// # Errors
/// If it is one, and its records come from a join, or it groups by several windows.
pub fn of_group(select: &mut Select) -> Result<(), String> {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else {
        return Ok(());
    };
    let at = keys.iter().position(|it| window_of(it).is_some());
    let Some((name, time, lengths)) = at.and_then(|it| window_of(&keys[it])) else {
        return Ok(());
    };
    let at = at.unwrap_or_default();
    if keys[at + 1..].iter().any(|it| window_of(it).is_some()) {
        return Err(format!(
            "a SELECT groups by one window; group those of {name} in a sub-query, or write a view for each"
        ));
    }
    let bounds = ["window_start", "window_end"].map(|it| Expr::Identifier(Ident::new(it)));
    let mut others = keys.clone();
    others.remove(at);
    keys.splice(at..=at, bounds);
    let apart = match name.as_str() {
        "session" => apart_by(select, &others)?,
        _ => String::new(),
    };
    let [from] = select.from.as_mut_slice() else {
        return Err(one_relation(&name));
    };
    let lengths: Vec<String> = lengths.iter().map(Expr::to_string).collect();
    let lengths = lengths.join(", ");
    if !from.joins.is_empty() {
        return Err(one_relation(&name));
    }
    let (relation, alias) = match &from.relation {
        TableFactor::Table {
            name: relation,
            alias,
            args: None,
            ..
        } => {
            let own = || format!(" AS {relation}");
            (relation.to_string(), alias.as_ref().map_or_else(own, given))
        }
        TableFactor::Derived {
            lateral: false,
            subquery,
            alias,
            sample: None,
        } => {
            if alias.as_ref().is_some_and(|it| !it.columns.is_empty()) {
                return Err(one_relation(&name));
            }
            let alias = alias.as_ref().map_or_else(String::new, given);
            (format!("({subquery})"), alias)
        }
        _ => return Err(one_relation(&name)),
    };
    let time = match time {
        Expr::CompoundIdentifier(mut parts) => parts.pop().map(Expr::Identifier),
        other => Some(other),
    };
    let time = time.map_or(String::new(), |it| it.to_string());
    let text = format!("SELECT * FROM {name}({relation}, {apart}{time}, {lengths}){alias}");
    let SetExpr::Select(made) = *syntax::parse_query(&text)?.body else {
        return Err(one_relation(&name));
    };
    select.from = made.from;
    let mut bounds = Bounds { name: &name };
    // Only what stands beside the relation can name the window.
    let mut rest = select.clone();
    rest.from = Vec::new();
    let mut query = syntax::parse_query("SELECT 1")?;
    *query.body = SetExpr::Select(Box::new(rest));
    walk::query(&mut query, &mut bounds)?;
    if let SetExpr::Select(mut rest) = *query.body {
        rest.from = std::mem::take(&mut select.from);
        *select = *rest;
    }
    Ok(())
}

/// What sessions of a group are apart by, with a comma behind each: its keys beside the session. As windows are taken of the one relation that the SELECT
/// reads, its name before a column is left out.
///
/// # Errors
/// If the group has several sets of keys.
pub fn apart_by(select: &Select, keys: &[Expr]) -> Result<String, String> {
    struct Plain(Vec<String>);
    impl VisitorMut for Plain {
        type Break = String;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            if let Expr::CompoundIdentifier(parts) = expr
                && let [relation, column] = parts.as_slice()
                && self.0.contains(&syntax::known_as(relation))
            {
                *expr = Expr::Identifier(column.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let relations = select.from.iter().filter_map(|it| match &it.relation {
        TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        } => Some(syntax::known_as(&alias.name)),
        TableFactor::Table { name, .. } => {
            let name = name.0.last().and_then(|it| it.as_ident());
            name.map(syntax::known_as)
        }
        _ => None,
    });
    let mut plain = Plain(relations.collect());
    let keys = keys.iter().map(|key| {
        if matches!(
            key,
            Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)
        ) {
            return Err("sessions are apart by plain keys of a group, not by GROUPING SETS, ROLLUP or CUBE; write FROM SESSION(relation PARTITION BY key, time, INTERVAL '60' SECOND), which says by what".to_owned());
        }
        let mut key = selected(select, key).unwrap_or(key).clone();
        let is_bound = matches!(&key, Expr::Function(it) if it.name.to_string().to_lowercase().starts_with("session_"));
        if is_bound {
            return Ok(String::new());
        }
        walk::expression(&mut key, &mut plain)?;
        Ok(format!("{key}, "))
    });
    keys.collect()
}

/// What a key stands for that is the name or the number of a column.
pub(super) fn selected<'a>(select: &'a Select, key: &Expr) -> Option<&'a Expr> {
    let number = match key {
        Expr::Value(it) => match &it.value {
            Value::Number(number, _) => number.parse::<usize>().ok(),
            _ => None,
        },
        _ => None,
    };
    let mut items = select.projection.iter().enumerate();
    items.find_map(|(at, item)| match (item, key) {
        (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }, _)
            if number == Some(at + 1) =>
        {
            Some(expr)
        }
        (SelectItem::ExprWithAlias { expr, alias }, Expr::Identifier(name))
            if syntax::known_as(name) == syntax::known_as(alias) =>
        {
            Some(expr)
        }
        _ => None,
    })
}

fn given(alias: &TableAlias) -> String {
    format!(" AS {}", alias.to_string().replacen("AS ", "", 1))
}

fn one_relation(name: &str) -> String {
    let name = name.to_uppercase();
    format!(
        "{name} in GROUP BY is over one source, table, view or sub-query of one; group a join by its window: {name}(relation, time, …) in FROM, joined by window_start and window_end"
    )
}

/// The name of a window that rows are grouped by, its time, and its lengths.
fn window_of(expr: &Expr) -> Option<(String, Expr, Vec<Expr>)> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let (name, mut args) = called(call)?;
    let (_, lengths) = WINDOWS.iter().find(|it| it.0 == name)?;
    let has_offset = name != "session" && args.len() == lengths + 2;
    (args.len() == lengths + 1 || has_offset).then(|| {
        let lengths = args.split_off(1);
        (name, args.remove(0), lengths)
    })
}

fn called(call: &Function) -> Option<(String, Vec<Expr>)> {
    let [name] = call.name.0.as_slice() else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let plain = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    };
    let args: Option<Vec<Expr>> = list.args.iter().map(plain).collect();
    Some((name.as_ident()?.value.to_lowercase(), args?))
}

/// Puts the bounds of the window in the place of the functions that tell them.
struct Bounds<'a> {
    name: &'a str,
}

impl VisitorMut for Bounds<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let Expr::Function(call) = &*expr else {
            return ControlFlow::Continue(());
        };
        let Some((name, _)) = called(call) else {
            return ControlFlow::Continue(());
        };
        let Some(bound) = name
            .strip_prefix(self.name)
            .and_then(|it| it.strip_prefix('_'))
        else {
            return ControlFlow::Continue(());
        };
        match bound {
            "start" => *expr = Expr::Identifier(Ident::new("window_start")),
            "end" => *expr = Expr::Identifier(Ident::new("window_end")),
            // The last millisecond of the window.
            "rowtime" => {
                match syntax::parse_expression("(window_end - INTERVAL '1 millisecond')") {
                    Ok(time) => *expr = time,
                    Err(reason) => return ControlFlow::Break(reason),
                }
            }
            _ => {
                return ControlFlow::Break(format!(
                    "{name} is not known; a window has {of}_START, {of}_END and {of}_ROWTIME",
                    of = self.name.to_uppercase()
                ));
            }
        }
        ControlFlow::Continue(())
    }
}
