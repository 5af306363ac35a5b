//! JSON: operators, casts, and functions that make it, as functions of ours.
//!
//! JSON is carried as text, so values that are JSON already must be distinguished from texts, which become strings: JSON is what these functions, operators and casts
//! give, and what a column was declared as ([`crate::sql::json_columns`]). Another column is cast where it is put into JSON: `payload::jsonb`.

use super::{quoted, text_of};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Subscript, Value,
};

/// Functions that give JSON.
const OF_JSON: &[&str] = &[
    "json_get",
    "json_at",
    "json_query",
    "json_extract",
    "json_extract_path",
    "jsonb_extract_path",
    "to_json",
    "to_jsonb",
    "parse_json",
    "try_parse_json",
    "json_object_of",
    "json_array_of",
    "json_list_of",
    "json_members_of",
    "jsonb_members_of",
    "jsonb_strip_nulls",
    "json_without",
    "json_without_path",
    "json_concat",
    "jsonb_set",
    "jsonb_path_query_first",
    "jsonb_path_query_array",
];

/// Whether an expression gives JSON.
pub fn is_json(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(it) => is_json(it),
        Expr::Function(it) => {
            let name = it.name.to_string().to_lowercase();
            OF_JSON.contains(&name.as_str())
        }
        _ => false,
    }
}

/// A value as JSON.
fn as_json(expr: &Expr) -> String {
    match is_json(expr) {
        true => expr.to_string(),
        false => format!("to_json({expr})"),
    }
}

/// An operator of JSON as a function.
///
/// # Errors
/// If it is one that has none.
pub fn operator(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<String>, String> {
    let is_text = |it: &Expr| match it {
        Expr::Value(it) => matches!(it.value, Value::SingleQuotedString(_)),
        _ => false,
    };
    Ok(match op {
        BinaryOperator::Arrow => Some(format!("json_get({left}, {right})")),
        BinaryOperator::LongArrow => Some(format!("json_get_text({left}, {right})")),
        BinaryOperator::HashArrow => Some(match steps_of(right) {
            Some(steps) => format!("json_extract_path({left}, {steps})"),
            None => format!("json_at({left}, {right})"),
        }),
        BinaryOperator::HashLongArrow => Some(match steps_of(right) {
            Some(steps) => format!("json_extract_path_text({left}, {steps})"),
            None => format!("json_at_text({left}, {right})"),
        }),
        BinaryOperator::Question => Some(format!("json_has_key({left}, {right})")),
        BinaryOperator::AtArrow if is_json(left) || is_json(right) || is_text(right) => {
            Some(format!("json_contains({left}, {right})"))
        }
        BinaryOperator::ArrowAt if is_json(left) || is_json(right) || is_text(left) => {
            Some(format!("json_contains({right}, {left})"))
        }
        // Of arrays, of which a NULL equals nothing.
        BinaryOperator::AtArrow => Some(contains(left, right)),
        BinaryOperator::ArrowAt => Some(contains(right, left)),
        BinaryOperator::QuestionPipe => Some(format!("json_has_any_key({left}, {right})")),
        BinaryOperator::QuestionAnd => Some(format!("json_has_all_keys({left}, {right})")),
        BinaryOperator::HashMinus => Some(format!("json_without_path({left}, {right})")),
        BinaryOperator::AtQuestion => Some(format!("jsonb_path_exists({left}, {right})")),
        _ => changed(left, op, right, &is_json),
    })
}

/// `-` and `||`, which take texts and numbers too.
fn changed(
    left: &Expr,
    op: &BinaryOperator,
    right: &Expr,
    is_json: &dyn Fn(&Expr) -> bool,
) -> Option<String> {
    match op {
        BinaryOperator::Minus if is_json(left) => Some(format!("json_without({left}, {right})")),
        BinaryOperator::StringConcat
            if (is_json(left) && (is_json(right) || is_json_text(right)))
                || (is_json(right) && is_json_text(left)) =>
        {
            Some(format!("json_concat({left}, {right})"))
        }
        _ => None,
    }
}

/// What has another meaning where columns of JSON are known: their operators, and their place in other JSON.
pub fn with_columns(expr: &Expr, is_json: &dyn Fn(&Expr) -> bool) -> Option<String> {
    match expr {
        Expr::BinaryOp { left, op, right } => changed(left, op, right, is_json),
        Expr::Function(call) => {
            let name = call.name.to_string().to_lowercase();
            match (name.as_str(), plain_args(call)?.as_slice()) {
                ("to_json" | "to_jsonb", [json]) if is_json(json) => {
                    Some(format!("parse_json({json})"))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The arguments of a call that has nothing else in its parentheses.
fn plain_args(call: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let args = list.args.iter().map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    });
    args.collect()
}

/// The steps of a path that is written as an array, as arguments. An empty one has none.
fn steps_of(path: &Expr) -> Option<String> {
    match path {
        Expr::Nested(it) => steps_of(it),
        Expr::Cast {
            expr,
            data_type: DataType::Array(_),
            ..
        } => steps_of(expr),
        Expr::Array(it) if !it.elem.is_empty() => {
            let steps: Vec<String> = it.elem.iter().map(Expr::to_string).collect();
            Some(steps.join(", "))
        }
        _ => None,
    }
}

/// Whether a constant text is JSON.
fn is_json_text(expr: &Expr) -> bool {
    text_of(expr).is_some_and(|it| serde_json::from_str::<&serde_json::value::RawValue>(it).is_ok())
}

/// `(json)['a']['b']`: members of JSON.
///
/// # Errors
/// If a place in an array is told by a number.
pub fn subscripts(root: &Expr, chain: &[AccessExpr]) -> Result<Option<String>, String> {
    if !is_json(root) {
        return Ok(None);
    }
    let mut steps = Vec::new();
    for access in chain {
        match access {
            AccessExpr::Subscript(Subscript::Index { index }) if text_of(index).is_some() => {
                steps.push(index.to_string());
            }
            _ => {
                return Err(format!(
                    "{root}{access} counts elements of JSON from 0 in some systems and from 1 in others; write json -> 0 for the first"
                ));
            }
        }
    }
    Ok(Some(format!("json_get({root}, {})", steps.join(", "))))
}

/// Whether an array has all elements of another one.
fn contains(whole: &Expr, part: &Expr) -> String {
    format!("(array_has_all({whole}, {part}) AND array_position({part}, NULL) IS NULL)")
}

/// `x::jsonb` is the text of it, if that is JSON.
pub fn cast(kind: &CastKind, expr: &Expr, data_type: &DataType) -> Option<String> {
    let function = match kind {
        CastKind::Cast | CastKind::DoubleColon => "parse_json",
        CastKind::TryCast | CastKind::SafeCast => "try_parse_json",
    };
    match data_type {
        DataType::JSON | DataType::JSONB if is_json(expr) => Some(format!("({expr})")),
        DataType::JSON | DataType::JSONB => Some(format!("{function}({expr})")),
        _ => None,
    }
}

/// A plain call of a function that makes JSON.
pub fn made(name: &str, args: &[Expr]) -> Option<String> {
    let all: Vec<String> = args.iter().map(Expr::to_string).collect();
    let all = all.join(", ");
    match name {
        "json_build_object" | "jsonb_build_object" | "json_object" if args.is_empty() => {
            Some("parse_json('{}')".to_owned())
        }
        "json_build_array" | "jsonb_build_array" | "json_array" if args.is_empty() => {
            Some("parse_json('[]')".to_owned())
        }
        "json_build_object" | "jsonb_build_object" | "json_object" => {
            let members = args.chunks(2).map(|it| match it {
                [name, value] => format!("{name}, {}", as_json(value)),
                other => other.iter().map(Expr::to_string).collect(),
            });
            let members: Vec<String> = members.collect();
            Some(format!("json_object_of({})", members.join(", ")))
        }
        "json_build_array" | "jsonb_build_array" | "json_array" => {
            let values: Vec<String> = args.iter().map(as_json).collect();
            Some(format!("json_array_of({})", values.join(", ")))
        }
        // Without members and elements that are NULL.
        "json_object_absent" => {
            let members = args.chunks(2).map(|it| match it {
                [name, value] => format!(
                    "CASE WHEN ({value}) IS NOT NULL THEN to_json(CAST({name} AS TEXT)) || ': ' || {} END",
                    as_json(value)
                ),
                other => other.iter().map(Expr::to_string).collect(),
            });
            let members: Vec<String> = members.collect();
            Some(format!(
                "json_members_of(concat_ws(', ', {}))",
                members.join(", ")
            ))
        }
        "json_array_absent" => {
            let values: Vec<String> = args.iter().map(as_json).collect();
            Some(format!(
                "json_list_of(concat_ws(', ', {}))",
                values.join(", ")
            ))
        }
        "json_value_or" => match args {
            [json, path, default] => Some(format!(
                "CASE WHEN is_json({json}) AND json_query({json}, {path}) IS NULL THEN CAST(({default}) AS TEXT) ELSE json_value({json}, {path}) END"
            )),
            _ => None,
        },
        "extract_json_string" | "json_extract_string" => Some(format!("json_value({all})")),
        "json_get_json" => Some(format!("json_get({all})")),
        "json_get_str" | "json_as_text" => Some(format!("json_get_text({all})")),
        "json_get_int" => Some(format!("TRY_CAST(json_get_text({all}) AS BIGINT)")),
        "json_get_float" => Some(format!("TRY_CAST(json_get_text({all}) AS DOUBLE)")),
        "json_get_bool" => Some(format!("TRY_CAST(json_get_text({all}) AS BOOLEAN)")),
        _ => None,
    }
}

/// An aggregate that makes JSON, of members in the order it asks for.
pub fn aggregate(name: &str, args: &[Expr], call: &Function) -> Option<String> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    if call.over.is_some() || !call.within_group.is_empty() {
        return None;
    }
    let element = |it: &Expr| match is_json(it) {
        true => format!("coalesce({it}, 'null')"),
        false => format!("coalesce(to_json({it}), 'null')"),
    };
    // The SQL standard leaves out elements that are NULL.
    let given = match (name, args) {
        ("json_arrayagg", [value]) | ("json_objectagg_absent", [_, value]) => {
            Some(format!("({value}) IS NOT NULL"))
        }
        _ => None,
    };
    let (wrapper, value) = match (name, args) {
        ("json_agg" | "jsonb_agg" | "json_arrayagg", [value]) => ("json_list_of", element(value)),
        (
            "json_object_agg" | "jsonb_object_agg" | "json_objectagg" | "json_objectagg_absent",
            [name_of, value],
        ) => (
            match name {
                "jsonb_object_agg" => "jsonb_members_of",
                _ => "json_members_of",
            },
            format!(
                "to_json(CAST({name_of} AS TEXT)) || ': ' || {}",
                element(value)
            ),
        ),
        _ => return None,
    };
    let distinct = match list.duplicate_treatment {
        Some(it) => format!("{it} "),
        None => String::new(),
    };
    let mut clauses = String::new();
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(_) => clauses += &format!(" {clause}"),
            _ => return None,
        }
    }
    let filter = call.filter.as_ref().map(|it| format!("({it})"));
    let filter: Vec<String> = given.into_iter().chain(filter).collect();
    let filter = match (filter.as_slice(), &call.filter) {
        ([], _) => String::new(),
        ([_], Some(it)) => format!(" FILTER (WHERE {it})"),
        (all, _) => format!(" FILTER (WHERE {})", all.join(" AND ")),
    };
    Some(format!(
        "{wrapper}(string_agg({distinct}{value}, {}{clauses}){filter})",
        quoted(", ")
    ))
}
