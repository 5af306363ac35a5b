//! `FROM t, UNNEST(t.list) AS e(x)`, `generate_series` of a row's values beside the row, and `LATERAL (VALUES …)` of them: a sub-query of `t` in
//! whose SELECT the lists are unnested. Lists of a row around a sub-query, `EXISTS (SELECT 1 FROM UNNEST(t.list) AS e(x) WHERE x > 1)`.

use super::rows_of;
use crate::sql::functions::VALUE_OF;
use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// An element of a list of structs, whose values become columns.
const ELEMENT: &str = "__element";

/// Rewrites the FROM of a SELECT that has one relation, lists beside it, and what is joined behind these. Notes by which names their elements are qualified.
///
/// # Errors
/// If the sub-query cannot be made.
pub fn beside_a_relation(select: &mut Select, unnested: &mut Vec<String>) -> Result<(), String> {
    let Some((first, others)) = select.from.split_first() else {
        return Ok(());
    };
    let Some(name) = name_of(&first.relation) else {
        return Ok(());
    };
    let mut lists = Vec::new();
    // What is joined behind the lists.
    let mut joins = without_lists(&first.joins, &mut lists);
    for from in others {
        match Lists::of(&from.relation).filter(|_| joins.is_empty()) {
            Some(it) => lists.push(it),
            // A list stands beside one relation, with nothing between them.
            None => return Ok(()),
        }
        joins = without_lists(&from.joins, &mut lists);
    }
    if lists.is_empty() || joins.iter().any(|it| Lists::of(&it.relation).is_some()) {
        return Ok(());
    }
    let mut relation = first.relation.to_string();
    // Elements of each list stand beside those of every other one.
    for it in &lists {
        relation = it.beside(&relation, &name);
    }
    let SetExpr::Select(made) = *syntax::parse_query(&format!("SELECT * FROM {relation}"))?.body
    else {
        return Ok(());
    };
    let items = std::mem::take(&mut select.projection).into_iter();
    let items = items.flat_map(|item| match elements_of(&item, &lists) {
        Some(names) => names
            .iter()
            .map(|it| SelectItem::UnnamedExpr(Expr::Identifier(it.clone())))
            .collect(),
        None => vec![without_elements(item, &name, &lists)],
    });
    select.projection = items.collect();
    unnested.extend(lists.into_iter().filter_map(|it| it.qualifier));
    select.from = made.from;
    if let [from] = select.from.as_mut_slice() {
        from.joins = joins;
    }
    Ok(())
}

/// Joins without the lists that they begin with, which are added to others.
fn without_lists(joins: &[Join], lists: &mut Vec<Lists>) -> Vec<Join> {
    let is_true = |it: &JoinConstraint| match it {
        JoinConstraint::On(Expr::Value(it)) => it.value == Value::Boolean(true),
        _ => false,
    };
    let beside = |it: &Join| {
        let list = Lists::of(&it.relation)?;
        match &it.join_operator {
            JoinOperator::CrossJoin(JoinConstraint::None) => Some(list),
            JoinOperator::Join(on) | JoinOperator::Inner(on) if is_true(on) => Some(list),
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) if is_true(on) => Some(Lists {
                keeps_rows: true,
                ..list
            }),
            _ => None,
        }
    };
    let mut rest = joins.iter();
    while let Some(list) = rest.clone().next().and_then(&beside) {
        lists.push(list);
        rest.next();
    }
    rest.cloned().collect()
}

/// `LATERAL unnest(t.list)`, `TABLE(unnest(t.list))` and `LATERAL TABLE(unnest(t.list))` are `UNNEST(t.list)`, which sees the relations before it anyway.
pub fn plainly(select: &mut Select) {
    for from in &mut select.from {
        let joined = from.joins.iter_mut().map(|it| &mut it.relation);
        for factor in std::iter::once(&mut from.relation).chain(joined) {
            if let Some(plain) = plain(factor) {
                *factor = plain;
            }
        }
    }
}

fn plain(factor: &TableFactor) -> Option<TableFactor> {
    let (args, alias, with_ordinality) = match factor {
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality,
            ..
        } if is_unnest(name) => (args, alias, *with_ordinality),
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            ..
        } if is_unnest(name) => (&args.args, alias, *with_ordinality),
        TableFactor::Function {
            name, args, alias, ..
        } if name.to_string().eq_ignore_ascii_case("table") => match args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call)))]
                if is_unnest(&call.name) =>
            {
                (arguments(&call.args)?, alias, false)
            }
            _ => return None,
        },
        TableFactor::TableFunction {
            expr: Expr::Function(call),
            alias,
        } if is_unnest(&call.name) => (arguments(&call.args)?, alias, false),
        _ => return None,
    };
    let array = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    };
    Some(TableFactor::UNNEST {
        alias: alias.clone(),
        array_exprs: args.iter().map(array).collect::<Option<Vec<Expr>>>()?,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality,
    })
}

fn is_unnest(name: &ObjectName) -> bool {
    name.to_string().eq_ignore_ascii_case("unnest")
}

fn arguments(args: &FunctionArguments) -> Option<&Vec<FunctionArg>> {
    match args {
        FunctionArguments::List(it) => Some(&it.args),
        FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    }
}

/// `LATERAL (VALUES (t.a, u.b), …) AS v(x, y)` beside several relations, and `(VALUES (t.a), …) AS v(x)` of a row around the query, as a union of a
/// SELECT for each row.
///
/// # Errors
/// If the union cannot be made.
pub fn values_as_union(select: &mut Select) -> Result<(), String> {
    for from in &mut select.from {
        let joined = from.joins.iter_mut().map(|it| &mut it.relation);
        for factor in std::iter::once(&mut from.relation).chain(joined) {
            let TableFactor::Derived {
                lateral,
                subquery,
                alias: Some(alias),
                ..
            } = factor
            else {
                continue;
            };
            let SetExpr::Values(values) = subquery.body.as_mut() else {
                continue;
            };
            let mut columns = Columns(*lateral);
            for value in values.rows.iter_mut().flat_map(|it| &mut it.content) {
                walk::expression(value, &mut columns)?;
            }
            if !columns.0 {
                continue;
            }
            let names: Vec<Ident> = alias.columns.iter().map(|it| it.name.clone()).collect();
            let mut rows = values.rows.iter().map(|it| &it.content);
            if names.is_empty() || rows.any(|it| it.len() != names.len()) {
                continue;
            }
            let side = |row: &Vec<Expr>| {
                let values = row.iter().zip(&names);
                let values: Vec<String> =
                    values.map(|(it, name)| format!("{it} AS {name}")).collect();
                format!("SELECT {}", values.join(", "))
            };
            let sides: Vec<String> = values.rows.iter().map(|it| side(&it.content)).collect();
            subquery.body = syntax::parse_query(&sides.join(" UNION ALL "))?.body;
            alias.columns = Vec::new();
        }
    }
    Ok(())
}

/// `FROM UNNEST(t.list) AS e(x)` alone in a sub-query, where `t` is a relation around it, as a sub-query that unnests the list of the row around.
///
/// # Errors
/// If the sub-query cannot be made.
pub fn of_a_row_around(select: &mut Select) -> Result<(), String> {
    let [from] = select.from.as_slice() else {
        return Ok(());
    };
    let TableFactor::UNNEST { alias, .. } = &from.relation else {
        return Ok(());
    };
    let lists = Lists::of(&from.relation).filter(|it| it.values.is_none());
    let Some(lists) = lists.filter(|_| from.joins.is_empty()) else {
        return Ok(());
    };
    let mut columns = Columns(false);
    for it in &lists.arrays {
        walk::expression(&mut syntax::parse_expression(it)?, &mut columns)?;
    }
    let alias = alias.as_ref().map(|it| &it.name).or(lists.names.first());
    let Some(alias) = alias.filter(|_| columns.0) else {
        return Ok(());
    };
    let elements = lists.arrays.iter().zip(&lists.names);
    let elements: Vec<String> = elements
        .map(|(array, name)| format!("unnest({array}) AS {name}"))
        .collect();
    let text = format!("SELECT 1 FROM (SELECT {}) AS {alias}", elements.join(", "));
    if let SetExpr::Select(made) = *syntax::parse_query(&text)?.body {
        select.from = made.from;
    }
    Ok(())
}

/// Whether an expression has columns.
struct Columns(bool);

impl VisitorMut for Columns {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.0 |= matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        ControlFlow::Continue(())
    }
}

/// The names of the elements that `e.*` stands for.
fn elements_of<'a>(item: &SelectItem, lists: &'a [Lists]) -> Option<&'a [Ident]> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
    else {
        return None;
    };
    let name = name.to_string();
    let of = lists
        .iter()
        .find(|it| it.qualifier.as_ref() == Some(&name))?;
    Some(&of.names)
}

/// `t.*` has the columns of the relation alone, not the elements beside it.
fn without_elements(mut item: SelectItem, relation: &Ident, lists: &[Lists]) -> SelectItem {
    if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) =
        &mut item
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && let Some(name) = name.0.last().and_then(|it| it.as_ident())
        && syntax::known_as(name) == syntax::known_as(relation)
    {
        let names = lists.iter().flat_map(|it| &it.names).cloned();
        let names = names.map(|it| ObjectName::from(vec![it])).collect();
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
    }
    item
}

/// Lists that are unnested side by side.
struct Lists {
    arrays: Vec<String>,
    names: Vec<Ident>,
    /// What their columns may be qualified by.
    qualifier: Option<String>,
    /// How many of the names are of the values of each element, which is a struct; else each list has one.
    values: Option<usize>,
    /// Whether a row without elements stays, beside NULL.
    keeps_rows: bool,
}

impl Lists {
    fn of(factor: &TableFactor) -> Option<Self> {
        let (arrays, alias, called): (Vec<String>, &Option<TableAlias>, &[&str]) = match factor {
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_ordinality,
                ..
            } => {
                let arrays: Vec<String> = array_exprs.iter().map(Expr::to_string).collect();
                if *with_ordinality {
                    alias.as_ref().filter(|it| 2 <= it.columns.len())?;
                }
                (numbered(arrays, *with_ordinality), alias, &["unnest"])
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                ..
            } => {
                let name = name.to_string();
                let lists = lists(&name, &args.args)?;
                (numbered(lists, *with_ordinality), alias, named(&name))
            }
            TableFactor::Function {
                name,
                args,
                alias,
                with_ordinality,
                ..
            } => {
                let name = name.to_string();
                let lists = lists(&name, args)?;
                (numbered(lists, *with_ordinality), alias, named(&name))
            }
            // LATERAL (VALUES (t.a, 'a'), (t.b, 'b')) AS v(value, name)
            TableFactor::Derived {
                lateral: true,
                subquery,
                alias,
                ..
            } => {
                let values = match subquery.body.as_ref() {
                    SetExpr::Values(it) => it,
                    SetExpr::Select(it) => return Lists::of_select(subquery, it, alias.as_ref()?),
                    _ => return None,
                };
                let is_whole = subquery.order_by.is_none() && subquery.limit_clause.is_none();
                let rows: Vec<&Vec<Expr>> = values.rows.iter().map(|it| &it.content).collect();
                let columns = rows.first().filter(|_| is_whole)?.len();
                if rows.iter().any(|it| it.len() != columns) {
                    return None;
                }
                let list = |column: usize| {
                    let values = rows.iter().map(|it| it[column].to_string());
                    format!("ARRAY[{}]", values.collect::<Vec<_>>().join(", "))
                };
                let named = alias.as_ref().filter(|it| !it.columns.is_empty());
                named?;
                ((0..columns).map(list).collect(), alias, &[])
            }
            _ => return None,
        };
        let names: Vec<Ident> = match alias {
            Some(it) if !it.columns.is_empty() => {
                it.columns.iter().map(|it| it.name.clone()).collect()
            }
            Some(it) if called.len() == 1 => vec![it.name.clone()],
            _ => called.iter().map(|it| Ident::new(*it)).collect(),
        };
        let is_qualified = |it: &&TableAlias| !it.columns.is_empty() || 1 < called.len();
        let qualifier = alias.as_ref().filter(is_qualified);
        let qualifier = qualifier.map(|it| it.name.value.clone());
        let is_of_one =
            matches!(factor, TableFactor::UNNEST { array_exprs, .. } if array_exprs.len() == 1);
        let values = (1 + names.len()).saturating_sub(arrays.len());
        let values = Some(values).filter(|it| is_of_one && 1 < *it);
        (values.is_some() || names.len() == arrays.len()).then_some(Lists {
            arrays,
            names,
            qualifier,
            values,
            keeps_rows: false,
        })
    }

    /// `LATERAL (SELECT unnest(t.list) AS x) AS e`
    fn of_select(subquery: &Query, select: &Select, alias: &TableAlias) -> Option<Self> {
        let list = |it: &SelectItem| match it {
            SelectItem::ExprWithAlias {
                expr: Expr::Function(call),
                alias,
            } if is_unnest(&call.name) => match arguments(&call.args)?.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(it))] => {
                    Some((it.to_string(), alias.clone()))
                }
                _ => None,
            },
            _ => None,
        };
        let lists = select.projection.iter().map(list);
        let (arrays, names): (Vec<String>, Vec<Ident>) =
            lists.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let items: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
        let is_whole = subquery.to_string() == format!("SELECT {}", items.join(", "));
        (is_whole && alias.columns.is_empty()).then(|| Lists {
            arrays,
            names,
            qualifier: Some(alias.name.value.clone()),
            values: None,
            keeps_rows: false,
        })
    }

    /// A relation with the elements beside its columns.
    fn beside(&self, relation: &str, name: &Ident) -> String {
        let Some(values) = self.values else {
            let elements = self.elements(&self.names);
            return format!("(SELECT *, {elements} FROM {relation}) AS {name}");
        };
        let (of_element, others) = self.names.split_at(values);
        let names: Vec<Ident> = std::iter::once(Ident::new(ELEMENT))
            .chain(others.iter().cloned())
            .collect();
        let elements = self.elements(&names);
        let of_element = of_element.iter().enumerate();
        let of_element =
            of_element.map(|(at, it)| format!("{VALUE_OF}({ELEMENT}, {at}, {values}) AS {it}"));
        let shown: Vec<String> = of_element
            .chain(others.iter().map(Ident::to_string))
            .collect();
        let names: Vec<String> = names.iter().map(Ident::to_string).collect();
        format!(
            "(SELECT * EXCEPT ({}), {} FROM (SELECT *, {elements} FROM {relation}) AS {name}) AS {name}",
            names.join(", "),
            shown.join(", "),
        )
    }

    /// The elements as columns of a SELECT, by these names.
    fn elements(&self, names: &[Ident]) -> String {
        let any = self
            .arrays
            .iter()
            .map(|it| format!("cardinality({it}) > 0"));
        let any = any.collect::<Vec<_>>().join(" OR ");
        let elements = self.arrays.iter().zip(names);
        let elements = elements.map(|(array, name)| match self.keeps_rows {
            false => format!("unnest({array}) AS {name}"),
            true => format!("unnest(CASE WHEN {any} THEN {array} ELSE [NULL] END) AS {name}"),
        });
        elements.collect::<Vec<_>>().join(", ")
    }
}

/// Lists of elements in step, and behind them that of their numbers, from 1 on.
fn numbered(mut lists: Vec<String>, with_ordinality: bool) -> Vec<String> {
    if let (true, Some(first)) = (with_ordinality, lists.first()) {
        lists.push(format!(
            "generate_series(1, CAST(cardinality({first}) AS BIGINT))"
        ));
    }
    lists
}

/// What the elements of lists are named if they are given no names.
fn named(name: &str) -> &'static [&'static str] {
    let name = name.to_lowercase();
    match name.as_str() {
        "generate_series" | "range" => &["generate_series"],
        "json_object_keys" => &["json_object_keys"],
        "jsonb_object_keys" => &["jsonb_object_keys"],
        name if rows_of::lists_of_members(name).is_some() => &["key", "value"],
        _ => &["value"],
    }
}

/// The parts of JSON as lists.
fn parts(name: &str, args: &[FunctionArg]) -> Option<Vec<String>> {
    let written: Vec<String> = args.iter().map(FunctionArg::to_string).collect();
    let of = |list: &str| format!("{list}({})", written.join(", "));
    match rows_of::lists_of_members(name) {
        Some(values) => Some(vec![of("json_keys_of"), of(values)]),
        None => {
            let list = rows_of::list_of(name).filter(|it| *it != "generate_series")?;
            Some(vec![of(list)])
        }
    }
}

/// A series that depends on the row beside it, or the parts of JSON, as lists.
pub(super) fn lists(name: &str, args: &[FunctionArg]) -> Option<Vec<String>> {
    let name = name.to_lowercase();
    let written: Vec<String> = args.iter().map(FunctionArg::to_string).collect();
    if let Some(parts) = parts(&name, args) {
        return Some(parts);
    }
    let is_constant = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => {
            matches!(
                it,
                Expr::Value(_) | Expr::UnaryOp { .. } | Expr::Interval(_) | Expr::Cast { .. }
            )
        }
        _ => true,
    };
    if !matches!(name.as_str(), "generate_series" | "range") || args.iter().all(is_constant) {
        return None;
    }
    Some(vec![format!("{name}({})", written.join(", "))])
}

/// `FROM jsonb_array_elements(json) AS e(x)` and `FROM UNNEST(ARRAY[1, 2]) WITH ORDINALITY AS e(x, n)`, with no relation beside them that they are of,
/// as a sub-query.
///
/// # Errors
/// If the sub-query cannot be made.
pub fn alone(factor: &mut TableFactor) -> Result<(), String> {
    let (name, args, alias) = match &*factor {
        TableFactor::UNNEST {
            alias,
            with_ordinality: true,
            ..
        } => {
            let alias = alias.as_ref().map(|it| it.name.clone());
            return elements_in_order(factor, alias);
        }
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            ..
        } => (name.to_string(), &args.args, alias),
        TableFactor::Function {
            name, args, alias, ..
        } => (name.to_string(), args, alias),
        _ => return Ok(()),
    };
    let Some(parts) = parts(&name.to_lowercase(), args) else {
        return Ok(());
    };
    let columns = parts.iter().zip(named(&name));
    let columns: Vec<String> = columns
        .map(|(list, name)| format!("unnest({list}) AS {name}"))
        .collect();
    let alias = match alias {
        Some(it) => it.to_string(),
        None => format!("AS {name}"),
    };
    let text = format!("SELECT 1 FROM (SELECT {}) {alias}", columns.join(", "));
    if let SetExpr::Select(made) = *syntax::parse_query(&text)?.body
        && let Some(made) = made.from.into_iter().next()
    {
        *factor = made.relation;
    }
    Ok(())
}

/// Constant lists with the numbers of their elements.
fn elements_in_order(factor: &mut TableFactor, alias: Option<Ident>) -> Result<(), String> {
    let Some(lists) = Lists::of(factor).filter(|it| it.values.is_none()) else {
        return Ok(());
    };
    let mut columns = Columns(false);
    for it in &lists.arrays {
        walk::expression(&mut syntax::parse_expression(it)?, &mut columns)?;
    }
    if columns.0 {
        return Ok(());
    }
    let alias = alias.unwrap_or_else(|| Ident::new("unnest"));
    let text = format!(
        "SELECT 1 FROM (SELECT {}) AS {alias}",
        lists.elements(&lists.names)
    );
    if let SetExpr::Select(made) = *syntax::parse_query(&text)?.body
        && let Some(made) = made.from.into_iter().next()
    {
        *factor = made.relation;
    }
    Ok(())
}

/// By which name the columns of a relation are qualified.
fn name_of(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => match alias {
            Some(it) => it.columns.is_empty().then(|| it.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        TableFactor::Derived {
            lateral: false,
            alias,
            ..
        } => alias.as_ref().map(|it| it.name.clone()),
        _ => None,
    }
}
