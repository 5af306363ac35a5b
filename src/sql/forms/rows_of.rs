//! Which rows a SELECT is of: `DISTINCT ON` by numbers and in any order, `GROUP BY (a, b)`, and lists in SELECT that are rows.

use super::{calls, macros, unnest};
use crate::sql::constant_rows::ROW_FUNCTIONS;
use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Distinct, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, ObjectName, OrderBy,
    OrderByExpr, OrderByKind, OrderByOptions, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// `DISTINCT ON (2) … ORDER BY …`: numbers are those of columns, as in ORDER BY, and the expressions stand in the order in which ORDER BY
/// begins with them.
///
/// # Errors
/// If a number is that of no column, or ORDER BY begins with something else.
pub fn distinct_on(query: &mut Query) -> Result<(), String> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    let projection = &select.projection;
    let Some(Distinct::On(on)) = &mut select.distinct else {
        return Ok(());
    };
    for expr in on.iter_mut() {
        if let Some(number) = ordinal(expr) {
            *expr = column(projection, number).ok_or_else(|| {
                format!("DISTINCT ON ({number}) takes the number of a column that stands in the SELECT; name the column instead")
            })?;
        }
    }
    let Some(OrderBy {
        kind: OrderByKind::Expressions(order),
        ..
    }) = &mut query.order_by
    else {
        return Ok(());
    };
    let mut left = Vec::new();
    for expr in on.iter() {
        if !left.contains(expr) {
            left.push(expr.clone());
        }
    }
    let mut ordered = Vec::new();
    for item in order.iter_mut().take(left.len()) {
        let meant = meant_by(projection, &item.expr);
        let Some(at) = left.iter().position(|it| meant_by(projection, it) == meant) else {
            let all: Vec<String> = on.iter().map(Expr::to_string).collect();
            let all = all.join(", ");
            return Err(format!(
                "DISTINCT ON ({all}) takes the first row of each {all}, so its ORDER BY begins with these: ORDER BY {all}, {}",
                item.expr
            ));
        };
        let expr = left.remove(at);
        item.expr = expr.clone();
        ordered.push(expr);
    }
    for expr in left {
        ordered.push(expr.clone());
        order.push(OrderByExpr {
            expr,
            options: OrderByOptions {
                asc: None,
                nulls_first: None,
            },
            with_fill: None,
        });
    }
    *on = ordered;
    Ok(())
}

fn ordinal(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(it) => match &it.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The expression of a column by its number, if no `*` stands before it.
fn column(projection: &[SelectItem], number: usize) -> Option<Expr> {
    let items = projection.get(..number)?;
    let exprs: Option<Vec<&Expr>> = items.iter().map(expr_of).collect();
    exprs?.last().map(|it| (*it).clone())
}

fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        SelectItem::ExprWithAliases { .. }
        | SelectItem::Wildcard(_)
        | SelectItem::QualifiedWildcard(..) => None,
    }
}

/// What rows of a SELECT are ordered by: numbers and names of columns are those. None if the number is that of no column that can be told.
pub fn ordered_by(projection: &[SelectItem], expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Nested(it) => ordered_by(projection, it),
        Expr::Identifier(name) => {
            let named = projection.iter().find_map(|it| match it {
                SelectItem::ExprWithAlias { expr, alias }
                    if syntax::known_as(alias) == syntax::known_as(name) =>
                {
                    Some(expr.clone())
                }
                _ => None,
            });
            Some(named.unwrap_or_else(|| expr.clone()))
        }
        other => match ordinal(other) {
            Some(number) => column(projection, number),
            None => Some(other.clone()),
        },
    }
}

/// What an expression of DISTINCT ON or ORDER BY stands for: numbers and names of columns for those.
fn meant_by(projection: &[SelectItem], expr: &Expr) -> String {
    let named = |name: &Ident| {
        projection.iter().find_map(|it| match it {
            SelectItem::ExprWithAlias { expr, alias }
                if syntax::known_as(alias) == syntax::known_as(name) =>
            {
                Some(expr.to_string())
            }
            _ => None,
        })
    };
    match expr {
        Expr::Nested(it) => meant_by(projection, it),
        Expr::Identifier(name) => named(name).unwrap_or_else(|| syntax::known_as(name)),
        other => match ordinal(other).and_then(|it| column(projection, it)) {
            Some(it) => meant_by(projection, &it),
            None => other.to_string(),
        },
    }
}

/// Makes the names of repeated, unnamed expressions of a SELECT unique: `sum(a), sum(a)` become `sum(a)` and `sum(a)_1`.
pub fn name_repeated(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let mut seen: Vec<String> = Vec::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            continue;
        }
        let text = expr.to_string();
        let before = seen.iter().filter(|it| **it == text).count();
        if 0 < before {
            let alias = Ident::with_quote('"', format!("{text}_{before}").replace('"', ""));
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias,
            };
        }
        seen.push(text);
    }
}

/// `GROUP BY (a, b)` is `GROUP BY a, b`. All rows are one group of `GROUP BY ()`, which has a row also where nothing is aggregated: a condition that
/// always holds counts them then.
///
/// # Errors
/// If the condition cannot be read again.
pub fn group_by_rows(select: &mut Select) -> Result<(), String> {
    let GroupByExpr::Expressions(groups, modifiers) = &mut select.group_by else {
        return Ok(());
    };
    let is_grouped = !groups.is_empty() && modifiers.is_empty();
    flatten(groups);
    if is_grouped && groups.is_empty() {
        let having = match &select.having {
            None => "count(*) >= 0".to_owned(),
            Some(it) => format!("({it}) AND count(*) >= 0"),
        };
        select.having = Some(syntax::parse_expression(&having)?);
    }
    Ok(())
}

/// The values of rows in the place of these, as in `PARTITION BY (a, b)`.
pub fn flatten(exprs: &mut Vec<Expr>) {
    let flat = |it: Expr| match it {
        Expr::Tuple(all) => all,
        other => vec![other],
    };
    *exprs = std::mem::take(exprs).into_iter().flat_map(flat).collect();
}

/// Whether a call is `ROW(a, b)`.
pub fn is_row(call: &Function) -> bool {
    matches!(call.name.0.as_slice(), [one] if one.as_ident().is_some_and(|it| it.value.eq_ignore_ascii_case("row")))
}

/// `array_agg(ROW(a, b))` is `array_agg(struct(a, b))`: the planner names an aggregate by what is written, and looks for it by what was meant.
///
/// # Errors
/// If an argument is not to be walked through.
pub fn in_aggregate(call: &mut Function) -> Result<(), String> {
    let is_aggregate = matches!(call.name.0.as_slice(), [one] if one.as_ident().is_some_and(|it| macros::is_aggregate(&it.value) || calls::is_by_another(&it.value)));
    if !is_aggregate || call.over.is_some() {
        return Ok(());
    }
    let FunctionArguments::List(list) = &mut call.args else {
        return Ok(());
    };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) = arg {
            walk::expression(it, &mut AsStructs)?;
        }
    }
    for clause in &mut list.clauses {
        if let FunctionArgumentClause::OrderBy(all) = clause {
            for it in all {
                walk::expression(&mut it.expr, &mut AsStructs)?;
            }
        }
    }
    Ok(())
}

struct AsStructs;

impl VisitorMut for AsStructs {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::Function(call) = expr
            && is_row(call)
        {
            call.name = ObjectName::from(vec![Ident::new("struct")]);
        }
        ControlFlow::Continue(())
    }
}

/// Functions that give rows elsewhere, and the lists of which these are.
const ROWS: &[(&str, &str)] = &[
    ("generate_series", "generate_series"),
    ("json_array_elements", "json_elements_of"),
    ("jsonb_array_elements", "json_elements_of"),
    ("json_array_elements_text", "json_element_texts_of"),
    ("jsonb_array_elements_text", "json_element_texts_of"),
    ("json_object_keys", "json_keys_of"),
    ("jsonb_object_keys", "json_keys_of"),
];

/// The function of the list whose elements another one gives as rows.
pub fn list_of(name: &str) -> Option<&'static str> {
    let known = ROWS.iter().find(|it| name.eq_ignore_ascii_case(it.0));
    known.map(|it| it.1)
}

/// The function of the list of an object's values, of one that gives its members as rows of a name and a value.
pub fn lists_of_members(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "json_each" | "jsonb_each" => Some("json_values_of"),
        "json_each_text" | "jsonb_each_text" => Some("json_value_texts_of"),
        _ => None,
    }
}

/// `SELECT g FROM generate_series(1, 3) AS g`, and the same of `unnest`: the one column of a function that has no name of its own is called as
/// the relation is, where it is read by that name.
///
/// # Errors
/// If the relation cannot be read again.
pub fn named_after_relation(query: &mut Query) -> Result<(), String> {
    let Some((name, relation)) = one_function(query) else {
        return series_beside_relations(query);
    };
    if !is_read_by_its_name(&name, query)? {
        return Ok(());
    }
    let text = format!("SELECT 1 FROM {relation} AS {name}({name})");
    if let (SetExpr::Select(select), SetExpr::Select(made)) =
        (query.body.as_mut(), *syntax::parse_query(&text)?.body)
    {
        select.from = made.from;
    }
    Ok(())
}

/// The same of series that depend on no row and stand beside other relations.
fn series_beside_relations(query: &mut Query) -> Result<(), String> {
    let mut named = Vec::new();
    for factor in factors(query) {
        let (alias, called, args) = match &*factor {
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                ..
            } => (alias, name.to_string(), &args.args),
            TableFactor::Function {
                name, alias, args, ..
            } => (alias, name.to_string(), args),
            _ => continue,
        };
        let is_series = ROW_FUNCTIONS.contains(&called.to_lowercase().as_str())
            && unnest::lists(&called, args).is_none();
        let is_named = alias.as_ref().is_some_and(|it| !it.columns.is_empty());
        if is_series && !is_named {
            let name = alias.as_ref().map(|it| it.name.clone());
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            let name = name.unwrap_or_else(|| Ident::new(called.to_lowercase()));
            let text = format!(
                "SELECT 1 FROM {called}({}) AS {name}({name})",
                args.join(", ")
            );
            named.push((factor.clone(), name, text));
        }
    }
    for (series, name, text) in named {
        if is_read_by_its_name(&name, query)?
            && let Some(with_name) = factors(&mut syntax::parse_query(&text)?).next()
            && let Some(place) = factors(query).find(|it| **it == series)
        {
            *place = with_name.clone();
        }
    }
    Ok(())
}

/// The relations in the FROM of a SELECT.
fn factors(query: &mut Query) -> impl Iterator<Item = &mut TableFactor> {
    let from = match query.body.as_mut() {
        SetExpr::Select(it) => it.from.as_mut_slice(),
        _ => &mut [],
    };
    from.iter_mut().flat_map(|it| {
        let joined = it.joins.iter_mut().map(|it| &mut it.relation);
        std::iter::once(&mut it.relation).chain(joined)
    })
}

/// Whether a query reads a column by the name of its relation, and none by the name that the planner has for it.
fn is_read_by_its_name(name: &Ident, query: &mut Query) -> Result<bool, String> {
    let mut reads = Reads {
        name: syntax::known_as(name),
        found: false,
        by_planner: false,
    };
    walk::query(query, &mut reads)?;
    Ok(reads.found && !reads.by_planner)
}

/// The name of the only relation of a query, and its text without one, if it is a function of one column.
fn one_function(query: &Query) -> Option<(Ident, TableFactor)> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else {
        return None;
    };
    let mut relation = relation.clone();
    let (alias, called) = match &mut relation {
        TableFactor::Table {
            name,
            alias,
            args: Some(_),
            ..
        }
        | TableFactor::Function { name, alias, .. } => (alias, name.to_string().to_lowercase()),
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality: false,
            ..
        } if array_exprs.len() == 1 => (alias, "unnest".to_owned()),
        _ => return None,
    };
    let is_of_one = ["range", "unnest"].contains(&called.as_str()) || list_of(&called).is_some();
    if !joins.is_empty() || !is_of_one {
        return None;
    }
    let name = match alias.take() {
        None => Ident::new(called),
        Some(it) if it.columns.is_empty() => it.name,
        Some(_) => return None,
    };
    Some((name, relation))
}

/// Whether a column of this name is read, or one of a relation of that name.
struct Reads {
    name: String,
    found: bool,
    /// Whether it is read by the name that the planner has for it.
    by_planner: bool,
}

impl VisitorMut for Reads {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let parts = match expr {
            Expr::Identifier(it) => std::slice::from_ref(it),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            _ => return ControlFlow::Continue(()),
        };
        let names: Vec<String> = parts.iter().map(syntax::known_as).collect();
        self.found |= names.iter().all(|it| *it == self.name);
        self.by_planner |= match names.as_slice() {
            [column] => column == "value",
            [relation, column] => *relation == self.name && column == "value",
            _ => false,
        };
        ControlFlow::Continue(())
    }
}

/// `SELECT generate_series(a, b)` has a row for each number, as in Postgres, and `jsonb_array_elements(json)` one for each element, also beside an
/// operator: `generate_series(a, b) * 2`. A series that is an argument of another function is a list.
///
/// # Errors
/// If the call cannot be read again.
pub fn series(select: &mut Select) -> Result<(), String> {
    for item in &mut select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            _ => continue,
        };
        let called = match expr {
            Expr::Function(call) => Some(call.name.to_string()),
            _ => None,
        };
        if !as_rows(expr)? {
            continue;
        }
        if let Some(alias) = alias.or(called.map(|it| Ident::new(it.to_lowercase()))) {
            let expr = expr.clone();
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    Ok(())
}

/// Unnests the series in an expression that no list could stand for; tells whether there is one.
fn as_rows(expr: &mut Expr) -> Result<bool, String> {
    use BinaryOperator::{Arrow, Divide, LongArrow, Minus, Modulo, Multiply, Plus};
    Ok(match expr {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => as_rows(inner)?,
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } if !matches!(data_type, DataType::Array(_)) => as_rows(inner)?,
        Expr::BinaryOp {
            left,
            op: Plus | Minus | Multiply | Divide | Modulo | Arrow | LongArrow,
            right,
        } => as_rows(left)? | as_rows(right)?,
        Expr::Function(call) => {
            let is_plain = matches!(call.args, FunctionArguments::List(_)) && call.over.is_none();
            let list = list_of(&call.name.to_string()).filter(|_| is_plain);
            let Some(list) = list else {
                return Ok(false);
            };
            call.name = ObjectName::from(vec![Ident::new(list)]);
            *expr = syntax::parse_expression(&format!("unnest({call})"))?;
            true
        }
        _ => false,
    })
}
