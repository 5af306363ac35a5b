//! `TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(at), SIZE => INTERVAL '1' HOUR)`, as Flink and Calcite have it: arguments of windows by their names
//! stand in their places, and keys of sessions in one row beside each other.

use crate::sql::windows::{self, WindowKind};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, TableFactor};

/// Puts the arguments of a function of windows into their places.
///
/// # Errors
/// If one has another name, or is there twice, or one is missing.
pub fn in_order(factor: &mut TableFactor) -> Result<(), String> {
    let Some((kind, _, args, _)) = windows::called(factor) else {
        return Ok(());
    };
    let places: &[&[&str]] = match kind {
        WindowKind::Tumble => &[&["data"], &["timecol"], &["size"], &["offset"]],
        WindowKind::Hop => &[&["data"], &["timecol"], &["slide"], &["size"], &["offset"]],
        WindowKind::Cumulate => &[&["data"], &["timecol"], &["step"], &["size"], &["offset"]],
        WindowKind::Session => &[&["data"], &["timecol"], &["gap", "size"]],
    };
    if kind == WindowKind::Session {
        *args = std::mem::take(args).into_iter().flat_map(flat).collect();
    }
    let mut named: Vec<Option<FunctionArgExpr>> = vec![None; places.len()];
    let mut keys = Vec::new();
    let form = || kind.form().to_owned();
    for arg in args.iter() {
        match arg {
            FunctionArg::Named { name, arg, .. } => {
                let name = name.value.to_lowercase();
                let place = places.iter().position(|it| it.contains(&name.as_str()));
                let place = place.ok_or_else(form)?;
                if named[place].replace(arg.clone()).is_some() {
                    return Err(form());
                }
            }
            other => keys.push(other.clone()),
        }
    }
    if named.iter().all(Option::is_none) {
        return Ok(());
    }
    // Of sessions, what they are apart by stands behind the relation.
    let is_whole = keys.is_empty() || kind == WindowKind::Session;
    let given = named.iter().take_while(|it| it.is_some()).count();
    let needed = places.len() - usize::from(kind != WindowKind::Session);
    let rest = named.iter().skip(given).any(Option::is_some);
    if !is_whole || given < needed || rest {
        return Err(form());
    }
    let mut named = named.into_iter().flatten().map(FunctionArg::Unnamed);
    let mut ordered: Vec<FunctionArg> = named.by_ref().take(1).collect();
    ordered.extend(keys);
    ordered.extend(named);
    *args = ordered;
    Ok(())
}

/// The values of a row in its place, as in `SESSION(t PARTITION BY (a, b), at, gap)`.
fn flat(arg: FunctionArg) -> Vec<FunctionArg> {
    let unnamed = |it| FunctionArg::Unnamed(FunctionArgExpr::Expr(it));
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(all))) => {
            all.into_iter().map(unnamed).collect()
        }
        other => vec![other],
    }
}
