//! Windows as values: `SELECT tumble(INTERVAL '1' MINUTE) AS w, count(*) FROM clicks GROUP BY w`, as Arroyo has them, without a time: it is the event time of the
//! relation. The same query over windows in FROM; the value is a struct of `start` and `end`.

use super::windows::WindowKind;
use super::{forms, syntax, using, walk};
use crate::plan::{Dataflow, EventTime};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitorMut,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The name of a value that has none.
const UNNAMED: &str = "window";

/// Rewrites the SELECTs of a query that have such windows.
///
/// # Errors
/// If one has several of them, or reads anything but one relation with an event time.
pub fn rewrite(query: &mut Query, dataflow: &Dataflow) -> Result<(), String> {
    struct Rewrite<'a>(Relations<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            let named = query.with.iter().flat_map(|it| &it.cte_tables);
            let named = named.map(|it| (syntax::known_as(&it.alias.name), it.query.clone()));
            self.0.named.extend(named);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match of_select(select, &mut self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let mut rewrite = Rewrite(Relations {
        dataflow,
        named: Vec::new(),
        times: BTreeMap::new(),
    });
    walk::query(query, &mut rewrite)?;
    rewrite.0.keep_times(query)?;
    forms::name_windowed_queries(query)
}

/// What may be read by name.
struct Relations<'a> {
    dataflow: &'a Dataflow,
    /// The queries of WITH, each behind those that it may read.
    named: Vec<(String, Box<Query>)>,
    /// Which of them windows are over, and by which time.
    times: BTreeMap<String, Ident>,
}

fn of_select(select: &mut Select, relations: &mut Relations) -> Result<(), String> {
    let mut windows: Vec<Function> = Vec::new();
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let items = select.projection.iter().filter_map(|it| match it {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    for call in items.chain(keys).filter_map(window) {
        if !windows.contains(call) {
            windows.push(call.clone());
        }
    }
    let call = match windows.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        [one, other, ..] => {
            return Err(format!(
                "`{one}` and `{other}` are two windows in one SELECT; write a view for each"
            ));
        }
    };
    let is_session = WindowKind::of(&call.name.to_string()) == Some(WindowKind::Session);
    let others: Vec<Expr> = match is_session {
        true => without_window(select),
        false => Vec::new(),
    };
    let apart = forms::sessions_apart_by(select, &others)?;
    let has_star = select.projection.iter().any(is_star);
    let [from] = select.from.as_mut_slice() else {
        return Err(one_relation(&call));
    };
    if !from.joins.is_empty() {
        return Err(one_relation(&call));
    }
    let (relation, time, alias) = match &mut from.relation {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } if let [ObjectNamePart::Identifier(relation)] = name.0.as_slice() => {
            let name = syntax::known_as(relation);
            let time = relations.event_time(&name, relations.named.len());
            if let Some(time) = &time
                && relations.is_named(&name)
            {
                let time = Ident::with_quote('"', time);
                relations.times.insert(name, time);
            }
            let alias = alias.as_ref().map_or(relation, |it| &it.name);
            (relation.to_string(), time, format!(" AS {alias}"))
        }
        TableFactor::Derived {
            lateral: false,
            subquery,
            alias,
            sample: None,
        } if alias.as_ref().is_none_or(|it| it.columns.is_empty()) => {
            let alias = alias.as_ref();
            let alias = alias.map_or_else(String::new, |it| format!(" AS {}", it.name));
            let time = relations.time_of(subquery, relations.named.len());
            if let Some(time) = time.as_ref().filter(|_| !has_star) {
                relations.keep_time(subquery, &Ident::with_quote('"', time));
            }
            (format!("({subquery})"), time, alias)
        }
        _ => return Err(one_relation(&call)),
    };
    let time = time.ok_or_else(|| {
        format!("`{call}` is by the event time of {relation}, which has none; write FROM {}({relation}, time, …), or declare a WATERMARK in its source", call.name.to_string().to_uppercase())
    })?;
    let time = Ident::with_quote('"', time);
    let lengths: Vec<String> = lengths(&call).map(|it| it.to_string()).collect();
    let text = format!(
        "SELECT named_struct('start', window_start, 'end', window_end), window_start, window_end FROM {}({relation}, {apart}{time}, {}){alias}",
        call.name,
        lengths.join(", ")
    );
    let SetExpr::Select(made) = *syntax::parse_query(&text)?.body else {
        return Err(one_relation(&call));
    };
    select.from = made.from;
    let mut made = made.projection.into_iter().filter_map(|it| match it {
        SelectItem::UnnamedExpr(it) => Some(it),
        _ => None,
    });
    let (Some(value), Some(start), Some(end)) = (made.next(), made.next(), made.next()) else {
        return Err(one_relation(&call));
    };
    let mut names = Vec::new();
    let mut numbers = Vec::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr.clone(), None),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), Some(alias.clone())),
            _ => continue,
        };
        if window(&expr).is_some() {
            let alias = alias.unwrap_or_else(|| Ident::new(UNNAMED));
            names.push(syntax::known_as(&alias));
            numbers.push((at + 1).to_string());
            let expr = value.clone();
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        let all = std::mem::take(keys).into_iter();
        *keys = all
            .flat_map(|it| match is_key(&it, &names, &numbers) {
                true => vec![start.clone(), end.clone()],
                false => vec![it],
            })
            .collect();
    }
    Ok(())
}

/// The keys of a group beside the window.
fn without_window(select: &Select) -> Vec<Expr> {
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let named = select.projection.iter().enumerate();
    let named = named.filter_map(|(at, item)| match item {
        SelectItem::UnnamedExpr(expr) => {
            window(expr).map(|_| (UNNAMED.to_owned(), (at + 1).to_string()))
        }
        SelectItem::ExprWithAlias { expr, alias } => {
            window(expr).map(|_| (syntax::known_as(alias), (at + 1).to_string()))
        }
        _ => None,
    });
    let (names, numbers): (Vec<String>, Vec<String>) = named.unzip();
    let others = keys.iter().filter(|it| !is_key(it, &names, &numbers));
    others.cloned().collect()
}

/// Whether a key of a group is the window, of which a column has one of these names or numbers.
fn is_key(key: &Expr, names: &[String], numbers: &[String]) -> bool {
    match key {
        Expr::Identifier(name) => names.contains(&syntax::known_as(name)),
        Expr::Value(number) => match &number.value {
            Value::Number(number, _) => numbers.contains(number),
            _ => false,
        },
        other => window(other).is_some(),
    }
}

fn one_relation(call: &Function) -> String {
    let name = call.name.to_string().to_uppercase();
    format!(
        "`{call}` is over one source, table, plain view or sub-query of one; take the windows in FROM: {name}(relation, time, …), and join in a sub-query"
    )
}

/// A window as a value: a function of windows with nothing but its lengths.
fn window(expr: &Expr) -> Option<&Function> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let kind = WindowKind::of(&call.name.to_string())?;
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let wanted = match kind {
        WindowKind::Tumble | WindowKind::Session => 1,
        WindowKind::Hop | WindowKind::Cumulate => 2,
    };
    let found = lengths(call).count();
    (found == wanted && found == list.args.len()).then_some(call)
}

fn lengths(call: &Function) -> impl Iterator<Item = &Expr> {
    let args = match &call.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    };
    args.iter().filter_map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it @ Expr::Interval(_))) => Some(it),
        _ => None,
    })
}

fn is_star(item: &SelectItem) -> bool {
    matches!(
        item,
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
    )
}

/// Whether a query has a `*`.
struct Stars(bool);

impl VisitorMut for Stars {
    type Break = String;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        self.0 |= select.projection.iter().any(is_star);
        ControlFlow::Continue(())
    }
}

impl Relations<'_> {
    /// Adds the time that windows are by to the queries of the outermost WITH that leave it out: elsewhere a record has it whatever is selected. Where the
    /// statement has a `*`, the time would be one of its columns, and has to be written.
    fn keep_times(&mut self, query: &mut Query) -> Result<(), String> {
        let mut stars = Stars(false);
        walk::query(query, &mut stars)?;
        if stars.0 {
            return Ok(());
        }
        let with = query.with.iter_mut().flat_map(|it| &mut it.cte_tables);
        let ctes = with.filter(|it| it.alias.columns.is_empty());
        // What one reads stands before it.
        for cte in ctes.collect::<Vec<_>>().into_iter().rev() {
            if let Some(time) = self.times.get(&syntax::known_as(&cte.alias.name)).cloned() {
                self.keep_time(&mut cte.query, &time);
            }
        }
        Ok(())
    }

    /// Adds a time to the columns of a query of single records that leaves it out.
    fn keep_time(&mut self, query: &mut Query, time: &Ident) {
        let SetExpr::Select(select) = query.body.as_mut() else {
            return;
        };
        let is_grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        };
        let [from] = select.from.as_mut_slice() else {
            return;
        };
        if is_grouped || select.distinct.is_some() || !from.joins.is_empty() {
            return;
        }
        let has_time = |it: &SelectItem| {
            is_star(it) || using::name_of(it).as_deref() == Some(time.value.as_str())
        };
        if !select.projection.iter().any(has_time) {
            let time = Expr::Identifier(time.clone());
            select.projection.push(SelectItem::UnnamedExpr(time));
        }
        match &mut from.relation {
            TableFactor::Derived { subquery, .. } => self.keep_time(subquery, time),
            TableFactor::Table {
                name, args: None, ..
            } if let [ObjectNamePart::Identifier(name)] = name.0.as_slice() => {
                let name = syntax::known_as(name);
                if self.is_named(&name) {
                    self.times.insert(name, time.clone());
                }
            }
            _ => {}
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.named.iter().any(|it| it.0 == name)
    }

    /// The event time of a source, of a table, or of a plain view or one of the first so many queries of WITH that keeps it under its name.
    fn event_time(&self, relation: &str, named: usize) -> Option<String> {
        let mut before = self.named.iter().take(named).enumerate().rev();
        if let Some((at, (_, query))) = before.find(|(_, it)| it.0 == relation) {
            return self.time_of(query, at);
        }
        if let Some(source) = self.dataflow.source(relation) {
            let EventTime { column, .. } = source.event_time?;
            return Some(source.columns[column].name.clone());
        }
        let mut tables = self.dataflow.tables.iter();
        if let Some(table) = tables.find(|it| it.name == relation) {
            let column = table.event_time?;
            return Some(table.plan.schema().field(column).name().clone());
        }
        let mut plain = self.dataflow.aliases.iter();
        let (_, text) = plain.find(|it| it.0 == relation)?;
        self.time_of(&syntax::parse_query(text).ok()?, 0)
    }

    fn time_of(&self, query: &Query, named: usize) -> Option<String> {
        match syntax::relations(query).as_slice() {
            // Whether it is kept is found where the windows are planned.
            [one] => self.event_time(one, named),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::plan_text;

    fn planned(views: &str) -> Result<String, String> {
        let text = format!(
            "CREATE SOURCE s (k TEXT, at TIMESTAMP, n INT, WATERMARK FOR at AS at) FORMAT JSON; CREATE SOURCE o (k TEXT) FORMAT JSON; CREATE VIEW p AS SELECT at, k FROM s WHERE n > 0; CREATE MATERIALIZED VIEW v AS {views};"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let planned = runtime
            .expect("a runtime")
            .block_on(plan_text("test", &text, |_| None));
        let dataflow = planned.map_err(|it| it.to_string())?;
        Ok(dataflow.views[0].sql.clone())
    }

    #[test]
    fn windows_as_values_are_windows_of_the_relation() {
        for (query, expected) in [
            (
                "SELECT tumble(INTERVAL '1' MINUTE) AS w, k, count(*) AS c FROM s GROUP BY w, k",
                "SELECT named_struct('start', window_start, 'end', window_end) AS w, k, count(*) AS c FROM tumble(s, \"at\", INTERVAL '1' MINUTE) AS s GROUP BY window_start, window_end, k",
            ),
            (
                "SELECT k, hop(INTERVAL '1' MINUTE, INTERVAL '5' MINUTE), max(e.n) AS n FROM s AS e GROUP BY 2, 1",
                "SELECT k, named_struct('start', window_start, 'end', window_end) AS window, max(e.n) AS n FROM hop(s, \"at\", INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS e GROUP BY window_start, window_end, 1",
            ),
            // Sessions are those of the other keys.
            (
                "SELECT upper(e.k) AS u, session(INTERVAL '1' MINUTE) AS w, count(*) AS c FROM s AS e GROUP BY u, w, e.n",
                "SELECT upper(e.k) AS u, named_struct('start', window_start, 'end', window_end) AS w, count(*) AS c FROM session(s, upper(k), n, \"at\", INTERVAL '1' MINUTE) AS e GROUP BY u, window_start, window_end, e.n",
            ),
            (
                "SELECT count(*) AS c FROM p GROUP BY tumble(INTERVAL '1' MINUTE)",
                "SELECT count(*) AS c FROM tumble(p, \"at\", INTERVAL '1' MINUTE) AS p GROUP BY window_start, window_end",
            ),
            (
                "WITH q AS (SELECT at, n FROM s) SELECT tumble(INTERVAL '1' MINUTE) AS w, count(*) AS c FROM q GROUP BY w",
                "WITH q AS (SELECT at, n FROM s) SELECT named_struct('start', window_start, 'end', window_end) AS w, count(*) AS c FROM tumble(\"v$q\", \"at\", INTERVAL '1' MINUTE) AS q GROUP BY window_start, window_end",
            ),
            // Elsewhere a record has its time, whatever is selected.
            (
                "WITH q AS (SELECT n FROM (SELECT n, k FROM s) AS e WHERE k = 'a') SELECT tumble(INTERVAL '1' MINUTE) AS w, count(*) AS c FROM q GROUP BY w",
                "WITH q AS (SELECT n, \"at\" FROM (SELECT n, k, \"at\" FROM s) AS e WHERE k = 'a') SELECT named_struct('start', window_start, 'end', window_end) AS w, count(*) AS c FROM tumble(\"v$q\", \"at\", INTERVAL '1' MINUTE) AS q GROUP BY window_start, window_end",
            ),
            (
                "SELECT tumble(INTERVAL '1' MINUTE) AS w, count(*) AS c FROM (SELECT at FROM p) AS q GROUP BY w",
                "WITH __windowed1 AS (SELECT at FROM p) SELECT named_struct('start', window_start, 'end', window_end) AS w, count(*) AS c FROM tumble(\"v$__windowed1\", \"at\", INTERVAL '1' MINUTE) AS q GROUP BY window_start, window_end",
            ),
        ] {
            assert_eq!(planned(query).as_deref(), Ok(expected));
        }
        for (query, words) in [
            (
                "SELECT tumble(INTERVAL '1' MINUTE) AS w FROM o",
                "declare a WATERMARK",
            ),
            (
                "SELECT tumble(INTERVAL '1' MINUTE) AS w FROM s JOIN o USING (k)",
                "is over one source, table, plain view or sub-query",
            ),
            (
                "SELECT tumble(INTERVAL '1' MINUTE) AS w, tumble(INTERVAL '2' MINUTE) AS x FROM s",
                "two windows in one SELECT",
            ),
        ] {
            let reason = planned(query).unwrap_err();
            assert!(reason.contains(words), "{query}: {reason}");
        }
    }
}
