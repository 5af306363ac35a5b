//! `unnest(regexp_matches(text, pattern, 'g'))`, as Postgres has it: a row for each match of a pattern, or for what its group matched.
//!
//! Elsewhere `regexp_matches` is a condition. With `g` behind the pattern, as elements of lists, it is the one of Postgres.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};
use regex::Regex;

/// The same by a list of all matches.
///
/// # Errors
/// If the pattern or the flags are no constants of a known meaning.
pub fn as_elements(expr: &Expr) -> Result<Option<String>, String> {
    let matches = match called(expr, "unnest").as_deref() {
        Some([matches]) => called(matches, "regexp_matches"),
        _ => None,
    };
    let Some([text, pattern, flags]) = matches.as_deref() else {
        return Ok(None);
    };
    let (Some(pattern), Some(flags)) = (constant(pattern), constant(flags)) else {
        return Err(
            "regexp_matches takes a constant pattern, and flags, as elements of a list".to_owned(),
        );
    };
    if !flags.contains('g') {
        return Ok(None);
    }
    let pattern = match flags.replace('g', "").as_str() {
        "" => pattern.to_owned(),
        "i" => format!("(?i){pattern}"),
        _ => {
            return Err(format!(
                "regexp_matches takes the flags g and i, not '{flags}'; others stand in the pattern, as in '(?s)a.b'"
            ));
        }
    };
    let known = Regex::new(&pattern).map_err(|it| format!("regexp_matches: {it}"))?;
    // With the whole match. A group that is left out in some matches is NULL in these.
    let group = match known.static_captures_len() {
        Some(1) => 0,
        Some(2) => 1,
        _ => {
            return Err("regexp_matches of a pattern with several groups, or an optional one, is not maintained; write unnest(regexp_extract_all(text, pattern, group)) for one of them".to_owned());
        }
    };
    let pattern = Expr::value(Value::SingleQuotedString(pattern));
    Ok(Some(format!(
        "unnest(regexp_extract_all({text}, {pattern}, {group}))"
    )))
}

/// The arguments of a plain call of this name.
fn called(expr: &Expr, name: &str) -> Option<Vec<Expr>> {
    let Expr::Function(Function {
        name: written,
        args: FunctionArguments::List(list),
        filter: None,
        over: None,
        ..
    }) = expr
    else {
        return None;
    };
    let is_plain = list.clauses.is_empty() && list.duplicate_treatment.is_none();
    if !is_plain || !written.to_string().eq_ignore_ascii_case(name) {
        return None;
    }
    let args = list.args.iter().map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    });
    args.collect()
}

fn constant(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(it) => Some(it),
            _ => None,
        },
        _ => None,
    }
}
