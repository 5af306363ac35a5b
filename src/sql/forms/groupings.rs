//! `GROUP BY a, b WITH ROLLUP`, and `ROLLUP (…)` or `CUBE (…)` that take lists of columns together or stand among GROUPING SETS, which stand for
//! the sets that they have.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, GroupByWithModifier, Select,
};

/// Columns that a CUBE among other sets may have: each doubles the number of its sets.
const CUBE_MAX: usize = 6;

/// Rewrites them.
///
/// # Errors
/// If a CUBE has too many columns.
pub fn plainly(select: &mut Select) -> Result<(), String> {
    let GroupByExpr::Expressions(groups, modifiers) = &mut select.group_by else {
        return Ok(());
    };
    let is_of_sets =
        |it: &Expr| matches!(it, Expr::GroupingSets(_) | Expr::Rollup(_) | Expr::Cube(_));
    if !groups.iter().any(is_of_sets) {
        let make = match modifiers.as_slice() {
            [GroupByWithModifier::Rollup] => Some(Expr::Rollup as fn(_) -> _),
            [GroupByWithModifier::Cube] => Some(Expr::Cube as fn(_) -> _),
            _ => None,
        };
        if let Some(make) = make {
            let each = std::mem::take(groups).into_iter().map(|it| vec![it]);
            *groups = vec![make(each.collect())];
            modifiers.clear();
        }
    }
    for group in groups {
        let takes_lists = |all: &[Vec<Expr>]| all.iter().any(|it| it.len() != 1);
        let sets = match group {
            Expr::GroupingSets(sets) => sets,
            Expr::Rollup(all) if takes_lists(all) => {
                *group = Expr::GroupingSets(rollup(all));
                continue;
            }
            Expr::Cube(all) if takes_lists(all) => {
                *group = Expr::GroupingSets(cube(all)?);
                continue;
            }
            _ => continue,
        };
        let mut all = Vec::new();
        for set in std::mem::take(sets) {
            match within(&set)? {
                Some(sets) => all.extend(sets),
                None => all.push(set),
            }
        }
        *sets = all;
    }
    Ok(())
}

/// The sets that one of GROUPING SETS stands for, if it is a ROLLUP or CUBE, which the parser takes for a function.
fn within(set: &[Expr]) -> Result<Option<Vec<Vec<Expr>>>, String> {
    let [Expr::Function(call)] = set else {
        return Ok(None);
    };
    let name = call.name.to_string().to_ascii_uppercase();
    let FunctionArguments::List(list) = &call.args else {
        return Ok(None);
    };
    if name != "ROLLUP" && name != "CUBE" {
        return Ok(None);
    }
    let columns = list.args.iter().map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(all))) => Some(all.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(vec![it.clone()]),
        _ => None,
    });
    let columns: Option<Vec<Vec<Expr>>> = columns.collect();
    let columns = columns.ok_or_else(|| format!("{name} takes columns, or lists of them"))?;
    match name.as_str() {
        "ROLLUP" => Ok(Some(rollup(&columns))),
        _ => cube(&columns).map(Some),
    }
}

/// The sets of a ROLLUP: its first columns, one list of them less each time.
fn rollup(columns: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    let lengths = (0..=columns.len()).rev();
    lengths.map(|it| columns[..it].concat()).collect()
}

/// The sets of a CUBE: every choice of its columns.
fn cube(columns: &[Vec<Expr>]) -> Result<Vec<Vec<Expr>>, String> {
    if CUBE_MAX < columns.len() {
        return Err(format!(
            "CUBE of {} columns has too many sets of them; {CUBE_MAX} columns are possible, or name the sets with GROUPING SETS",
            columns.len()
        ));
    }
    let chosen = |bits: usize| {
        let chosen = columns.iter().enumerate();
        let chosen = chosen.filter(|it| bits & (1 << it.0) != 0);
        chosen.flat_map(|it| it.1.clone()).collect()
    };
    Ok((0..1 << columns.len()).rev().map(chosen).collect())
}
