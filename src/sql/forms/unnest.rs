//! `FROM t, UNNEST(t.list) AS e(x)`, and `generate_series` of a row's values beside the row: a sub-query of `t` in whose SELECT the list is
//! unnested.

use super::rows_of;
use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, JoinConstraint, JoinOperator, Select, SetExpr,
    TableAlias, TableFactor, Value,
};

/// Rewrites the FROM of a SELECT that has one relation, and lists beside it. Notes by which names their elements are qualified.
///
/// # Errors
/// If the sub-query cannot be made.
pub fn beside_a_relation(select: &mut Select, unnested: &mut Vec<String>) -> Result<(), String> {
    let Some((first, others)) = select.from.split_first() else {
        return Ok(());
    };
    let is_beside = |it: &JoinOperator| match it {
        JoinOperator::CrossJoin(JoinConstraint::None) => true,
        JoinOperator::Join(JoinConstraint::On(Expr::Value(it)))
        | JoinOperator::Inner(JoinConstraint::On(Expr::Value(it))) => {
            it.value == Value::Boolean(true)
        }
        _ => false,
    };
    let beside_it = first.joins.iter();
    let beside_it = beside_it.map(|it| is_beside(&it.join_operator).then_some(&it.relation));
    let behind = others.iter();
    let behind = behind.map(|it| it.joins.is_empty().then_some(&it.relation));
    let all: Option<Vec<&TableFactor>> = beside_it.chain(behind).collect();
    let lists: Option<Vec<Lists>> = all.and_then(|it| it.into_iter().map(Lists::of).collect());
    let (Some(lists), Some(name)) = (lists, name_of(&first.relation)) else {
        return Ok(());
    };
    if lists.is_empty() {
        return Ok(());
    }
    let columns = lists.iter().flat_map(|it| it.arrays.iter().zip(&it.names));
    let columns: Vec<String> = columns
        .map(|(array, name)| format!("unnest({array}) AS {name}"))
        .collect();
    let text = format!(
        "SELECT * FROM (SELECT *, {} FROM {}) AS {name}",
        columns.join(", "),
        first.relation
    );
    let SetExpr::Select(made) = *syntax::parse_query(&text)?.body else {
        return Ok(());
    };
    unnested.extend(lists.into_iter().filter_map(|it| it.qualifier));
    select.from = made.from;
    Ok(())
}

/// Lists that are unnested side by side.
struct Lists {
    arrays: Vec<String>,
    names: Vec<Ident>,
    /// What their columns may be qualified by.
    qualifier: Option<String>,
}

impl Lists {
    fn of(factor: &TableFactor) -> Option<Self> {
        let (arrays, alias, called): (Vec<String>, &Option<TableAlias>, &str) = match factor {
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_ordinality,
                ..
            } => {
                let mut arrays: Vec<String> = array_exprs.iter().map(Expr::to_string).collect();
                if *with_ordinality {
                    let [one] = arrays.as_slice() else {
                        return None;
                    };
                    arrays.push(format!(
                        "generate_series(1, CAST(cardinality({one}) AS BIGINT))"
                    ));
                    alias.as_ref().filter(|it| it.columns.len() == 2)?;
                }
                (arrays, alias, "unnest")
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                ..
            } => {
                let name = name.to_string();
                (vec![list(&name, &args.args)?], alias, named(&name))
            }
            TableFactor::Function {
                name, args, alias, ..
            } => {
                let name = name.to_string();
                (vec![list(&name, args)?], alias, named(&name))
            }
            _ => return None,
        };
        let names: Vec<Ident> = match alias {
            None => vec![Ident::new(called)],
            Some(it) if it.columns.is_empty() => vec![it.name.clone()],
            Some(it) => it.columns.iter().map(|it| it.name.clone()).collect(),
        };
        let qualifier = alias.as_ref().filter(|it| !it.columns.is_empty());
        let qualifier = qualifier.map(|it| it.name.value.clone());
        (names.len() == arrays.len()).then_some(Lists {
            arrays,
            names,
            qualifier,
        })
    }
}

/// What the elements of a list are named if they are given no name.
fn named(name: &str) -> &'static str {
    let name = name.to_lowercase();
    match name.as_str() {
        "generate_series" | "range" => "generate_series",
        "json_object_keys" => "json_object_keys",
        "jsonb_object_keys" => "jsonb_object_keys",
        _ => "value",
    }
}

/// A series that depends on the row beside it, or the parts of JSON, as a list.
fn list(name: &str, args: &[FunctionArg]) -> Option<String> {
    let name = name.to_lowercase();
    let written: Vec<String> = args.iter().map(FunctionArg::to_string).collect();
    if let Some(list) = rows_of::list_of(&name).filter(|it| *it != "generate_series") {
        return Some(format!("{list}({})", written.join(", ")));
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
    Some(format!("{name}({})", written.join(", ")))
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
