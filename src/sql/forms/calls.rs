//! Functions under the names that other systems have for them, and calls that stand for an expression.
//!
//! Where systems mean different things by one name, the table says whose meaning it is; where most of them disagree, the name is refused with
//! what to write.

use super::{json, names, quoted, text_of, zones};
use crate::sql::functions::{PERCENTILE, Pattern, left_out};
use crate::sql::lambdas;
use crate::sql::syntax::{self, interval_us};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CeilFloorKind, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName, Value,
    WindowFrameBound, WindowSpec, WindowType,
};

/// Aggregates of other names; arguments, order and filter stay.
const RENAMED: &[(&str, &str)] = &[
    ("every", "bool_and"),
    ("some", "bool_or"),
    ("logical_and", "bool_and"),
    ("logical_or", "bool_or"),
    ("variance", "var_samp"),
    ("listagg", "string_agg"),
    ("first", "first_value"),
    ("last", "last_value"),
    ("grouping_id", "grouping"),
    ("std", "stddev"),
    ("approx_count_distinct", "approx_distinct"),
    // Any of them will do, and this one is the same in every run.
    ("any_value", "min"),
    ("group_concat", "string_agg"),
    ("correlation", "corr"),
];

/// Aggregates that put texts together, by a comma if nothing else is said.
const TOGETHER: [&str; 2] = ["listagg", "group_concat"];

/// The relative error of approximate percentiles.
const PERCENTILE_ERROR: f64 = 0.004;

/// What a call of so many arguments stands for.
const TEMPLATES: &[(&str, usize, &str)] = &[
    ("if", 3, "CASE WHEN {0} THEN {1} ELSE {2} END"),
    ("iif", 3, "CASE WHEN {0} THEN {1} ELSE {2} END"),
    ("isnull", 1, "({0} IS NULL)"),
    ("isnotnull", 1, "({0} IS NOT NULL)"),
    ("isnull", 2, "coalesce({0}, {1})"),
    ("zeroifnull", 1, "coalesce({0}, 0)"),
    ("nullifzero", 1, "nullif({0}, 0)"),
    ("ceiling", 1, "ceil({0})"),
    ("atan2d", 2, "degrees(atan2({0}, {1}))"),
    (
        "version",
        0,
        concat!("'Tidelake ", env!("CARGO_PKG_VERSION"), "'"),
    ),
    ("truncate", 1, "trunc({0})"),
    ("truncate", 2, "trunc({0}, {1})"),
    ("sign", 1, "signum({0})"),
    ("lcase", 1, "lower({0})"),
    ("ucase", 1, "upper({0})"),
    ("space", 1, "repeat(' ', {0})"),
    ("locate", 2, "strpos({1}, {0})"),
    ("charindex", 2, "strpos({1}, {0})"),
    // Flink: a column that a window is over.
    ("descriptor", 1, "{0}"),
    ("startswith", 2, "starts_with({0}, {1})"),
    ("endswith", 2, "ends_with({0}, {1})"),
    (
        "regexp_extract",
        3,
        "(regexp_match({0}, '(' || {1} || ')'))[1 + {2}]",
    ),
    (
        "regexp_substr",
        2,
        "(regexp_match({0}, '(' || {1} || ')'))[1]",
    ),
    // Flink: the first part is number 0, and there is none beyond the last.
    (
        "split_index",
        3,
        "CASE WHEN {2} < 0 THEN NULL ELSE (string_to_array({0}, {1}))[1 + {2}] END",
    ),
    ("mz_now", 0, "now()"),
    // Oracle and Flink: which of equal grouping sets it is. Equal ones are refused, so each is the first.
    ("group_id", 0, "CAST(0 AS BIGINT)"),
    ("dow", 1, "date_part('dow', {0})"),
    ("doy", 1, "date_part('doy', {0})"),
    (
        "last_day",
        1,
        "CAST(date_trunc('month', {0}) + INTERVAL '1 month' - INTERVAL '1 day' AS DATE)",
    ),
    // MySQL: a local time of one zone as that of another.
    ("convert_tz", 3, "local_time(instant_of({0}, {1}), {2})"),
    ("dayofmonth", 1, "date_part('day', {0})"),
    ("dayofyear", 1, "date_part('doy', {0})"),
    // Spark, Flink and Calcite: Sunday is 1.
    ("dayofweek", 1, "(date_part('dow', {0}) + 1)"),
    ("date", 1, "CAST({0} AS DATE)"),
    (
        "unix_timestamp",
        0,
        "CAST(floor(date_part('epoch', now())) AS BIGINT)",
    ),
    (
        "unix_timestamp",
        1,
        "CAST(floor(date_part('epoch', {0})) AS BIGINT)",
    ),
    // MySQL and Spark: days from the second to the first.
    (
        "datediff",
        2,
        "(CAST(CAST({0} AS DATE) AS INT) - CAST(CAST({1} AS DATE) AS INT))",
    ),
];

/// What more calls stand for: texts, numbers and arrays.
const TEMPLATES_OF_VALUES: &[(&str, usize, &str)] = &[
    ("len", 1, "character_length({0})"),
    ("rlike", 2, "({0} ~ {1})"),
    // MySQL breaks lines after 76 characters, others do not.
    ("to_base64", 1, "encode({0}, 'base64pad')"),
    ("is_nan", 1, "isnan({0})"),
    (
        "is_inf",
        1,
        "(abs(CAST({0} AS DOUBLE)) = CAST('Infinity' AS DOUBLE))",
    ),
    (
        "isinf",
        1,
        "(abs(CAST({0} AS DOUBLE)) = CAST('Infinity' AS DOUBLE))",
    ),
    // Postgres: the whole part of a quotient.
    ("div", 2, "(({0} - {0} % {1}) / {1})"),
    // Postgres: the number of the part that a value is in, of as many as wide ones, with 0 and one more for what is outside.
    (
        "width_bucket",
        4,
        "CASE WHEN {1} < {2} THEN CASE WHEN {0} < {1} THEN 0 WHEN {0} >= {2} THEN {3} + 1 ELSE CAST(floor(({0} - {1}) * {3} / ({2} - {1})) AS INT) + 1 END WHEN {2} < {1} THEN CASE WHEN {1} < {0} THEN 0 WHEN {0} <= {2} THEN {3} + 1 ELSE CAST(floor(({1} - {0}) * {3} / ({1} - {2})) AS INT) + 1 END END",
    ),
    ("array_size", 1, "cardinality({0})"),
    // Postgres: every one of them, not the first.
    ("array_remove", 2, "array_remove_all({0}, {1})"),
    ("array_replace", 3, "array_replace_all({0}, {1}, {2})"),
    ("sort_array", 1, "array_sort({0}, 'ASC', 'NULLS FIRST')"),
    (
        "json_exists",
        2,
        "CASE WHEN {0} IS NOT NULL THEN json_query({0}, {1}) IS NOT NULL END",
    ),
];

/// Names that systems disagree about, and what to write.
const REFUSED: &[(&str, &str)] = &[
    (
        "collect_list",
        "leaves NULLs out in some systems and keeps them in others; write array_agg(a) FILTER (WHERE a IS NOT NULL), or array_agg(a)",
    ),
    (
        "collect",
        "leaves NULLs out in some systems and keeps them in others; write array_agg(a) FILTER (WHERE a IS NOT NULL), or array_agg(a)",
    ),
    (
        "collect_set",
        "leaves NULLs out in some systems and keeps them in others; write array_agg(DISTINCT a) FILTER (WHERE a IS NOT NULL), or array_agg(DISTINCT a)",
    ),
    (
        "latest_by_offset",
        "means an order of offsets, which those of several partitions do not have; write max_by(a, time) FILTER (WHERE a IS NOT NULL)",
    ),
    (
        "earliest_by_offset",
        "means an order of offsets, which those of several partitions do not have; write min_by(a, time) FILTER (WHERE a IS NOT NULL)",
    ),
    (
        "regexp_matches",
        "is a condition in some systems and a set of matches in others; write a ~ pattern, or regexp_match(a, pattern) for the groups of the first match",
    ),
    (
        "from_base64",
        "gives a text in some systems and bytes in others; write CAST(decode(a, 'base64pad') AS TEXT), or decode(a, 'base64pad')",
    ),
];

/// Each name of other systems as it is called, and what it stands for.
pub fn names_of_others() -> Vec<(String, String)> {
    let renamed = RENAMED.iter().chain(names::RENAMED).map(|(theirs, ours)| {
        let call = |name: &str| format!("{name}(…)");
        (call(theirs), call(ours))
    });
    let templates = TEMPLATES.iter().chain(TEMPLATES_OF_VALUES);
    let templates = templates.chain(names::TEMPLATES);
    let templates = templates.map(|(name, arguments, template)| {
        let letters = ["a", "b", "c", "d"];
        let mut ours = (*template).to_owned();
        for (at, letter) in letters.iter().enumerate().take(*arguments) {
            ours = ours.replace(&format!("{{{at}}}"), letter);
        }
        (
            format!("{name}({})", letters[..*arguments].join(", ")),
            ours,
        )
    });
    let others = BY_CODE
        .iter()
        .chain(names::BY_CODE)
        .map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned()));
    let all = renamed.chain(templates).chain(others);
    let mut all: Vec<(String, String)> = all.chain(lambdas::names_of_others()).collect();
    all.sort();
    all
}

/// Names that more is done for than a template could, as the reference tells them; a test tries each.
const BY_CODE: &[(&str, &str)] = &[
    ("count_if(a)", "count(*) FILTER (WHERE a)"),
    ("max_by(a, b)", "first_value(a ORDER BY b DESC NULLS LAST)"),
    ("min_by(a, b)", "first_value(a ORDER BY b)"),
    ("arg_max(a, b)", "first_value(a ORDER BY b DESC NULLS LAST)"),
    ("arg_min(a, b)", "first_value(a ORDER BY b)"),
    ("timestampdiff(DAY, a, b)", "whole days from a to b"),
    ("timestampadd(DAY, a, b)", "b + a days"),
    (
        "timezone('Europe/Berlin', now())",
        "now() AT TIME ZONE 'Europe/Berlin'",
    ),
    (
        "date_trunc('day', a, 'Europe/Berlin')",
        "when the day of `a` began in Berlin",
    ),
    ("date_add(a, b)", "a + b days"),
    ("date_sub(a, b)", "a - b days"),
    ("strftime(a, b)", "to_char(a, b)"),
    ("format_date('%Y', a)", "to_char(a, '%Y')"),
    ("format_timestamp('%Y', a)", "to_char(a, '%Y')"),
    ("parse_date('%F', a)", "to_date(a, '%F')"),
    ("parse_timestamp('%F %T', a)", "to_timestamp(a, '%F %T')"),
    (
        "time_bucket(INTERVAL '1' HOUR, a)",
        "date_bin(INTERVAL '1' HOUR, a)",
    ),
    ("to_timestamp_ltz(a, 3)", "to_timestamp_millis(a)"),
    ("timestamp_trunc(a, DAY)", "date_trunc('day', a)"),
    ("approx_percentile(a, b)", "approx_percentile_cont(a, b)"),
    ("count_distinct(a)", "count(DISTINCT a)"),
    ("sha2(a, 256)", "encode(sha256(a), 'hex')"),
    (
        "split(a, ',')",
        "CASE WHEN a = '' THEN make_array('') ELSE string_to_array(a, ',') END",
    ),
    (
        "sort_array(a, false)",
        "array_sort(a, 'DESC', 'NULLS LAST')",
    ),
];

/// What a call is written as instead, if it has a name of others.
pub fn rewritten(call: &Function) -> Result<Option<String>, String> {
    let Some(name) = name_of(&call.name) else {
        return Ok(None);
    };
    let mut refused = REFUSED.iter().chain(names::REFUSED);
    if let Some((_, why)) = refused.find(|it| it.0 == name) {
        return Err(format!("{name} {why}"));
    }
    let mut renamed = RENAMED.iter().chain(names::RENAMED);
    if let Some((_, ours)) = renamed.find(|it| it.0 == name) {
        let mut call = call.clone();
        // The order of what is put together stands inside.
        if name == "listagg"
            && let FunctionArguments::List(list) = &mut call.args
            && !call.within_group.is_empty()
        {
            let order = std::mem::take(&mut call.within_group);
            list.clauses.push(FunctionArgumentClause::OrderBy(order));
        }
        if TOGETHER.contains(&name.as_str())
            && let FunctionArguments::List(list) = &mut call.args
            && list.args.len() == 1
        {
            let comma = Expr::value(Value::SingleQuotedString(",".to_owned()));
            list.args
                .push(FunctionArg::Unnamed(FunctionArgExpr::Expr(comma)));
        }
        call.name = ObjectName::from(vec![Ident::new(*ours)]);
        return Ok(Some(call.to_string()));
    }
    if name == "localtimestamp" && matches!(call.args, FunctionArguments::None) {
        return Ok(Some("CAST(now() AS TIMESTAMP)".to_owned()));
    }
    let FunctionArguments::List(list) = &call.args else {
        return Ok(None);
    };
    if let Some(text) = without_order(&name, call) {
        return Ok(Some(text));
    }
    if let Some(text) = lambdas::rewritten(&name, call)? {
        return Ok(Some(text));
    }
    let plain = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    };
    let Some(args) = list.args.iter().map(plain).collect::<Option<Vec<Expr>>>() else {
        return Ok(None);
    };
    if let Some(text) = json::aggregate(&name, &args, call) {
        return Ok(Some(text));
    }
    // A NULL alone has a type that nothing can be of.
    if name == "count" && matches!(args.as_slice(), [Expr::Value(it)] if it.value == Value::Null) {
        let mut call = call.clone();
        if let FunctionArguments::List(list) = &mut call.args {
            let text = syntax::parse_expression("CAST(NULL AS TEXT)")?;
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(text))];
        }
        return Ok(Some(call.to_string()));
    }
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if name == "count" && list.duplicate_treatment.is_none() && 1 < args.len() {
        return Ok(Some(count_of_whole_rows(call, &args)));
    }
    if name == "count" && is_distinct && call.over.is_none() {
        return Ok(count_of_rows(call, &args));
    }
    if call.over.is_none()
        && list.clauses.is_empty()
        && list.duplicate_treatment.is_none()
        && let Some(text) = of_order(&name, &args, call)?
    {
        return Ok(Some(text));
    }
    let is_plain = call.over.is_none()
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && call.within_group.is_empty()
        && call.null_treatment.is_none();
    if let Some(text) = text_of_frame(&name, &args, call) {
        return Ok(Some(text));
    }
    if !is_plain && BY_ANOTHER.contains(&name.as_str()) {
        return by_another(&name, &args, call).map(Some);
    }
    if !is_plain {
        return Ok(None);
    }
    if let Some(text) = of_aggregate(&name, &args, call.filter.as_deref()) {
        return Ok(Some(text));
    }
    if let Some(text) = names::aggregate(&name, &args, call.filter.as_deref())? {
        return Ok(Some(text));
    }
    if call.filter.is_some() {
        return Ok(None);
    }
    if let Some(text) = json::made(&name, &args) {
        return Ok(Some(text));
    }
    let template = TEMPLATES
        .iter()
        .chain(TEMPLATES_OF_VALUES)
        .chain(names::TEMPLATES)
        .find(|it| it.0 == name && it.1 == args.len());
    if let Some((_, _, template)) = template {
        return Ok(Some(filled(template, &args)));
    }
    if let Some(text) = names::by_code(&name, &args)? {
        return Ok(Some(text));
    }
    match (name.as_str(), args.as_slice()) {
        ("sha2", [text, bits]) => match bits.to_string().as_str() {
            // MySQL and Flink: 0 is 256.
            "0" => Ok(Some(format!("encode(sha256({text}), 'hex')"))),
            bits @ ("224" | "256" | "384" | "512") => {
                Ok(Some(format!("encode(sha{bits}({text}), 'hex')")))
            }
            _ => Err("sha2 takes a constant number of bits: 224, 256, 384 or 512".to_owned()),
        },
        // ksqlDB, Flink and BigQuery: a text without signs is one part. Postgres gives none.
        ("split", [text, delimiter]) => match text_of(delimiter) {
            Some(it) if !it.is_empty() => Ok(Some(format!(
                "CASE WHEN ({text}) = '' THEN make_array('') ELSE string_to_array({text}, {delimiter}) END"
            ))),
            _ => Err("split takes a constant text that is not empty between the parts: split(text, ','); for one that is computed write string_to_array(text, delimiter)".to_owned()),
        },
        ("sort_array", [list, ascending]) => match ascending.to_string().to_lowercase().as_str() {
            "true" => Ok(Some(format!("array_sort({list}, 'ASC', 'NULLS FIRST')"))),
            "false" => Ok(Some(format!("array_sort({list}, 'DESC', 'NULLS LAST')"))),
            _ => Err("sort_array takes a constant direction: sort_array(list, true), or false for the greatest first".to_owned()),
        },
        ("decode", [value, rest @ ..]) if 2 <= rest.len() => Ok(Some(choice(value, rest))),
        ("timestamp_trunc" | "datetime_trunc", [time, unit]) => match unit_of(unit) {
            Some(unit) => Ok(Some(format!("date_trunc('{unit}', {time})"))),
            None => Err(no_unit(&name, unit)),
        },
        ("format", [pattern, values @ ..]) => match text_of(pattern) {
            Some(pattern) => formatted(pattern, values).map(Some),
            None => Err("format takes a constant text: format('%s of %s', a, b); for one that is computed write concat(…)".to_owned()),
        },
        ("timestampdiff", [unit, from, to]) => of_difference(unit, from, to).map(Some),
        ("timestampadd" | "dateadd" | "date_add" | "timestamp_add", [unit, amount, time]) => {
            let unit = unit_of(unit).ok_or_else(|| no_unit(&name, unit))?;
            later(&name, &unit, amount, time).map(Some)
        }
        ("timestampsub" | "datesub", [unit, amount, time]) => {
            let unit = unit_of(unit).ok_or_else(|| no_unit(&name, unit))?;
            later(&name, &unit, &names::negated(amount)?, time).map(Some)
        }
        ("date_add" | "adddate", [date, Expr::Interval(it)]) => Ok(Some(format!("({date} + {it})"))),
        ("date_sub" | "subdate", [date, Expr::Interval(it)]) => Ok(Some(format!("({date} - {it})"))),
        ("date_add" | "adddate", [date, days]) => Ok(Some(days_later(date, "+", days))),
        ("date_sub" | "subdate", [date, days]) => Ok(Some(days_later(date, "-", days))),
        ("datediff" | "date_diff", [_, _, _]) => Err(format!(
            "{name} of a unit counts whole units in some systems and crossed boundaries in others; write timestampdiff(DAY, from, to) for whole units, or datediff(to, from) for days"
        )),
        ("regexp_extract", [_, _]) => Err(
            "regexp_extract without a group means the whole match in some systems and the first group in others; write regexp_extract(text, pattern, 0) or 1".to_owned(),
        ),
        ("strftime", [a, b]) => Ok(Some(match text_of(a) {
            Some(_) => format!("to_char({b}, {a})"),
            None => format!("to_char({a}, {b})"),
        })),
        // BigQuery: patterns of strftime come first.
        ("format_date" | "format_datetime" | "format_timestamp", [pattern, time])
            if text_of(pattern).is_some_and(|it| it.contains('%')) =>
        {
            Ok(Some(format!("to_char({time}, {pattern})")))
        }
        ("parse_date", [pattern, text]) if text_of(pattern).is_some_and(|it| it.contains('%')) => {
            Ok(Some(parsed("to_date", text, pattern)?))
        }
        ("parse_timestamp" | "parse_datetime", [pattern, text])
            if text_of(pattern).is_some_and(|it| it.contains('%')) =>
        {
            Ok(Some(parsed("to_timestamp", text, pattern)?))
        }
        ("time_bucket", [size, time]) => bucket(size, time).map(Some),
        ("to_timestamp_ltz", [number, precision]) => match precision.to_string().as_str() {
            "0" => Ok(Some(format!("to_timestamp_seconds({number})"))),
            "3" => Ok(Some(format!("to_timestamp_millis({number})"))),
            _ => Err(format!("to_timestamp_ltz takes the precision 0 or 3; write to_timestamp_micros({number}) for microseconds")),
        },
        ("timezone", [zone, time]) => zones::in_zone(time, zone).map(Some),
        ("date_trunc", [unit, time, zone]) => zones::truncated(unit, time, zone).map(Some),
        ("to_timestamp" | "to_date", [text, patterns @ ..]) if !patterns.is_empty() => {
            of_patterns(&name, text, patterns)
        }
        _ => Ok(None),
    }
}

/// `CEIL(time TO HOUR)` and `FLOOR(time TO HOUR)`.
pub fn to_unit(expr: &Expr, field: &CeilFloorKind, up: bool) -> Result<Option<String>, String> {
    let unit = match field {
        CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => return Ok(None),
        CeilFloorKind::DateTimeField(it) => it.to_string().to_lowercase(),
        CeilFloorKind::Scale(_) => return Ok(None),
    };
    let down = format!("date_trunc('{unit}', {expr})");
    Ok(Some(match up {
        false => down,
        true => {
            format!("CASE WHEN {down} = ({expr}) THEN {down} ELSE {down} + INTERVAL '1 {unit}' END")
        }
    }))
}

fn name_of(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [one] => Some(one.as_ident()?.value.to_lowercase()),
        _ => None,
    }
}

fn filled(template: &str, args: &[Expr]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (number, behind) = after.split_once('}').unwrap_or((after, ""));
        let arg = number.parse().ok().and_then(|it: usize| args.get(it));
        if let Some(arg) = arg {
            text.push_str(&format!("({arg})"));
        }
        rest = behind;
    }
    text + rest
}

/// `f(a IGNORE NULLS) OVER (…)` becomes `f(a) IGNORE NULLS OVER (…)`.
pub fn nulls_outside(call: &mut Function) {
    let FunctionArguments::List(list) = &mut call.args else {
        return;
    };
    list.clauses.retain(|it| match it {
        FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => {
            call.null_treatment.get_or_insert(*treatment);
            false
        }
        _ => true,
    });
}

/// Aggregates of which the order of rows makes no difference.
const WITHOUT_ORDER: &[&str] = &[
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "var",
    "var_samp",
    "var_pop",
    "corr",
    "covar_samp",
    "covar_pop",
    "mode",
    "median",
];

/// A call of an aggregate without the order of its rows, if that makes no difference.
fn without_order(name: &str, call: &Function) -> Option<String> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let is_order = |it: &FunctionArgumentClause| matches!(it, FunctionArgumentClause::OrderBy(_));
    if !WITHOUT_ORDER.contains(&name) || !list.clauses.iter().any(is_order) {
        return None;
    }
    let mut list = list.clone();
    list.clauses.retain(|it| !is_order(it));
    let mut call = call.clone();
    call.args = FunctionArguments::List(list);
    Some(call.to_string())
}

/// Ranks of values that are put in order: `percentile_disc`, `mode` and approximate percentiles, under all their names.
fn of_order(name: &str, args: &[Expr], call: &Function) -> Result<Option<String>, String> {
    let filter = match &call.filter {
        Some(it) => format!(" FILTER (WHERE {it})"),
        None => String::new(),
    };
    let within = match call.within_group.as_slice() {
        [] => None,
        [one] => Some((&one.expr, one.options.asc == Some(false))),
        _ => return Ok(None),
    };
    let (value, rank, descending) = match (name, args, within) {
        ("mode", [], Some((value, _))) => return Ok(Some(format!("mode({value}){filter}"))),
        ("approx_median", [value], None) => {
            return Ok(Some(format!("{PERCENTILE}({value}, 0.5){filter}")));
        }
        (_, [rank], Some((value, descending))) => (value, rank, descending),
        // RisingWave: with the relative error that is allowed.
        ("approx_percentile", [rank, error], Some((value, descending))) => {
            let error = error.to_string().parse().unwrap_or(0.0);
            if error < PERCENTILE_ERROR {
                return Err(format!(
                    "approx_percentile has a relative error of up to {PERCENTILE_ERROR}; allow it, or write percentile_cont({rank}) WITHIN GROUP (ORDER BY {value})"
                ));
            }
            (value, rank, descending)
        }
        (_, [value, rank], None) => (value, rank, false),
        ("approx_percentile" | "percentile_approx", [value, rank, _], None) => (value, rank, false),
        _ => return Ok(None),
    };
    if name == "percentile_cont" {
        let direction = if descending { " DESC" } else { "" };
        let within = format!(" WITHIN GROUP (ORDER BY {value}{direction})");
        if is_null(rank) {
            return Ok(Some(format!("{name}(0.5){within} FILTER (WHERE false)")));
        }
        let within = format!("{within}{filter}");
        if let Some(text) = names::percentiles(name, rank, &within) {
            return Ok(Some(text));
        }
    }
    match name {
        "percentile_disc" | "quantile_disc" => {
            let kept = match &call.filter {
                _ if is_null(rank) => "false".to_owned(),
                None => format!("({value}) IS NOT NULL"),
                Some(it) => format!("({value}) IS NOT NULL AND ({it})"),
            };
            let direction = if descending { " DESC" } else { "" };
            Ok(Some(format!(
                "array_element(array_agg({value} ORDER BY {value}{direction}) FILTER (WHERE {kept}), greatest(1, CAST(ceil(CAST({rank} AS DOUBLE) * count({value}){filter}) AS BIGINT)))"
            )))
        }
        "approx_percentile"
        | "percentile_approx"
        | "approx_quantile"
        | "approx_percentile_cont" => {
            let rank = match descending {
                false => rank.to_string(),
                true => {
                    let given: f64 = rank.to_string().parse().map_err(|_| {
                        format!(
                            "{name}: the rank must be a constant between 0 and 1, for example 0.95"
                        )
                    })?;
                    (1.0 - given).to_string()
                }
            };
            Ok((name != PERCENTILE || !call.within_group.is_empty())
                .then(|| format!("{PERCENTILE}({value}, {rank}){filter}")))
        }
        _ => Ok(None),
    }
}

/// Whether a rank is NULL as it is written. An aggregate at no rank is that of no rows.
fn is_null(rank: &Expr) -> bool {
    match rank {
        Expr::Value(it) => it.value == Value::Null,
        Expr::Nested(it) | Expr::Cast { expr: it, .. } | Expr::UnaryOp { expr: it, .. } => {
            is_null(it)
        }
        Expr::BinaryOp { left, op, right } => {
            let is_arithmetic = matches!(
                op,
                BinaryOperator::Plus
                    | BinaryOperator::Minus
                    | BinaryOperator::Multiply
                    | BinaryOperator::Divide
            );
            is_arithmetic && (is_null(left) || is_null(right))
        }
        _ => false,
    }
}

/// Aggregates that take the value of the row in which another one is greatest or least.
const BY_ANOTHER: &[&str] = &["max_by", "arg_max", "argmax", "min_by", "arg_min", "argmin"];

/// Whether a function is one of them.
pub(super) fn is_by_another(name: &str) -> bool {
    BY_ANOTHER.contains(&name.to_lowercase().as_str())
}

/// One of them that is not called plainly: DISTINCT changes nothing.
fn by_another(name: &str, args: &[Expr], call: &Function) -> Result<String, String> {
    let changes_nothing = match &call.args {
        FunctionArguments::List(list) => list.clauses.is_empty(),
        _ => false,
    };
    let plain = match call.over.is_none() && call.within_group.is_empty() && changes_nothing {
        true => of_aggregate(name, args, call.filter.as_deref()),
        false => None,
    };
    let over = match (call.filter.is_none() && changes_nothing, &call.over) {
        (true, Some(WindowType::WindowSpec(it))) => of_window(name, args, it),
        _ => None,
    };
    plain.or(over).ok_or_else(|| {
        format!("{name} takes two arguments, and FILTER; over a window that has an order or a frame write first_value(a) OVER (PARTITION BY … ORDER BY b DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)")
    })
}

/// `string_agg` over a frame that rows leave again, which only a list can follow.
fn text_of_frame(name: &str, args: &[Expr], call: &Function) -> Option<String> {
    let (FunctionArguments::List(list), Some(WindowType::WindowSpec(window))) =
        (&call.args, &call.over)
    else {
        return None;
    };
    let frame = window.window_frame.as_ref()?;
    let is_sliding = !matches!(frame.start_bound, WindowFrameBound::Preceding(None));
    let is_plain = list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && call.filter.is_none()
        && call.null_treatment.is_none();
    match (name, args) {
        ("string_agg", [value, separator]) if is_sliding && is_plain => Some(format!(
            "CASE WHEN 0 < count({value}) OVER ({window}) THEN array_to_string(array_agg({value}) OVER ({window}), {separator}) END"
        )),
        _ => None,
    }
}

/// One of them over all rows of a window; none if the window has an order or a frame, which says that it is over some of them.
fn of_window(name: &str, args: &[Expr], window: &WindowSpec) -> Option<String> {
    let [value, by] = args else {
        return None;
    };
    if !window.order_by.is_empty() || window.window_frame.is_some() {
        return None;
    }
    let partition: Vec<String> = window.partition_by.iter().map(Expr::to_string).collect();
    let partition = match partition.is_empty() {
        true => String::new(),
        false => format!("PARTITION BY {}", partition.join(", ")),
    };
    let direction = if name.contains("max") { "DESC" } else { "ASC" };
    Some(format!(
        "CASE WHEN 0 < count({by}) OVER ({partition}) THEN first_value({value}) OVER ({} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) END",
        format!("{partition} ORDER BY {by} {direction} NULLS LAST").trim_start()
    ))
}

/// Aggregates that stand for others.
fn of_aggregate(name: &str, args: &[Expr], filter: Option<&Expr>) -> Option<String> {
    let filtered = |condition: String| match filter {
        None => format!("FILTER (WHERE {condition})"),
        Some(also) => format!("FILTER (WHERE ({condition}) AND ({also}))"),
    };
    match (name, args) {
        ("count_if" | "countif", [condition]) => {
            Some(format!("count(*) {}", filtered(condition.to_string())))
        }
        ("count_distinct", [value]) => {
            let filter = filter.map_or(String::new(), |it| format!(" FILTER (WHERE {it})"));
            Some(format!("count(DISTINCT {value}){filter}"))
        }
        ("max_by" | "arg_max" | "argmax", [value, by]) => Some(format!(
            "first_value({value} ORDER BY {by} DESC NULLS LAST) {}",
            filtered(format!("({by}) IS NOT NULL"))
        )),
        ("min_by" | "arg_min" | "argmin", [value, by]) => Some(format!(
            "first_value({value} ORDER BY {by} ASC NULLS LAST) {}",
            filtered(format!("({by}) IS NOT NULL"))
        )),
        _ => None,
    }
}

/// `count(a, b)`: rows in which neither is NULL.
fn count_of_whole_rows(call: &Function, args: &[Expr]) -> String {
    let given: Vec<String> = args
        .iter()
        .map(|it| format!("({it}) IS NOT NULL"))
        .collect();
    let filter = call.filter.as_ref();
    let filter = filter.map_or(String::new(), |it| format!(" FILTER (WHERE {it})"));
    let over = call.over.as_ref();
    let over = over.map_or(String::new(), |it| format!(" OVER {it}"));
    format!(
        "count(CASE WHEN {} THEN 1 END){filter}{over}",
        given.join(" AND ")
    )
}

/// `count(DISTINCT a, b)`, of which rows with a NULL are none, and `count(DISTINCT (a, b))`, of which they are: each row as a text that no other
/// row has.
fn count_of_rows(call: &Function, args: &[Expr]) -> Option<String> {
    let (values, with_nulls) = match args {
        [Expr::Tuple(values)] => (values.as_slice(), true),
        [_] | [] => return None,
        several => (several, false),
    };
    let one = |it: &Expr| {
        format!(
            "coalesce(char_length(CAST(({it}) AS TEXT)) || ':' || CAST(({it}) AS TEXT), 'null,')"
        )
    };
    let row: Vec<String> = values.iter().map(one).collect();
    let row = row.join(" || ");
    let value = match with_nulls {
        true => row,
        false => {
            let given: Vec<String> = values
                .iter()
                .map(|it| format!("({it}) IS NOT NULL"))
                .collect();
            format!("CASE WHEN {} THEN {row} END", given.join(" AND "))
        }
    };
    let filter = call.filter.as_ref();
    let filter = filter.map_or(String::new(), |it| format!(" FILTER (WHERE {it})"));
    Some(format!("count(DISTINCT {value}){filter}"))
}

/// Oracle's `decode(value, is, then, …, otherwise)`, in which NULL equals NULL.
fn choice(value: &Expr, rest: &[Expr]) -> String {
    let mut text = "CASE".to_owned();
    let mut pairs = rest.chunks_exact(2);
    for pair in &mut pairs {
        text += &format!(
            " WHEN ({value}) IS NOT DISTINCT FROM ({}) THEN ({})",
            pair[0], pair[1]
        );
    }
    if let [otherwise] = pairs.remainder() {
        text += &format!(" ELSE ({otherwise})");
    }
    text + " END"
}

fn days_later(date: &Expr, sign: &str, days: &Expr) -> String {
    format!("arrow_cast(CAST(CAST({date} AS DATE) AS INT) {sign} CAST({days} AS INT), 'Date32')")
}

/// A time and so many units.
fn later(name: &str, unit: &str, amount: &Expr, time: &Expr) -> Result<String, String> {
    if let Ok(amount) = amount.to_string().replace(' ', "").parse::<i64>() {
        return Ok(format!("({time} + INTERVAL '{amount} {unit}')"));
    }
    let us = length_us(unit).ok_or_else(|| {
        format!("{name} of {unit}s takes a constant number of them, since they differ in length")
    })?;
    Ok(format!(
        "({time} + arrow_cast(CAST({amount} AS BIGINT) * {us}, 'Duration(Microsecond)'))"
    ))
}

/// `to_timestamp` and `to_date`: patterns as strftime has them, and so complete that nothing a text says is passed over.
fn of_patterns(name: &str, text: &Expr, patterns: &[Expr]) -> Result<Option<String>, String> {
    let Some(written) = patterns.iter().map(text_of).collect::<Option<Vec<&str>>>() else {
        return Ok(None);
    };
    let mut text = text.to_string();
    let mut formats = Vec::new();
    for pattern in &written {
        let mut format = match pattern.contains('%') {
            true => (*pattern).to_owned(),
            false => Pattern::of(pattern).strftime(name, pattern)?,
        };
        if format.contains("%q") {
            return Err(format!(
                "{name}: a quarter is no part of a date that is read; write make_date(year, 3 * quarter - 2, 1)"
            ));
        }
        let (added, parts) = left_out(&format, name == "to_timestamp");
        if !added.is_empty() {
            if 1 < written.len() {
                return Err(format!(
                    "{name}: the pattern '{pattern}' alone does not make a whole time; with several patterns each has all parts, or write coalesce({name}(text, …), {name}(text, …))"
                ));
            }
            text = format!("'{added} ' || ({text})");
            format = format!("{parts} {format}");
        }
        formats.push(format!("'{}'", format.replace('\'', "''")));
    }
    let unchanged = formats
        .iter()
        .zip(patterns)
        .all(|(a, b)| *a == b.to_string());
    Ok((!unchanged).then(|| format!("{name}({text}, {})", formats.join(", "))))
}

/// A text read by a pattern of strftime.
pub(super) fn parsed(name: &str, text: &Expr, pattern: &Expr) -> Result<String, String> {
    let completed = of_patterns(name, text, std::slice::from_ref(pattern))?;
    Ok(completed.unwrap_or_else(|| format!("{name}({text}, {pattern})")))
}

/// `time_bucket(size, time)`: buckets are aligned to Monday, 3 January 2000, as in Timescale and DuckDB.
fn bucket(size: &Expr, time: &Expr) -> Result<String, String> {
    const MONDAY_US: i64 = 946_857_600_000_000;
    match interval_us(size) {
        // As those that are aligned to 1970.
        Some(us) if 0 < us && MONDAY_US % us == 0 => Ok(format!("date_bin({size}, {time})")),
        _ => Err(format!(
            "time_bucket takes a constant interval that divides a day; write date_trunc('week', {time}) or date_trunc('month', {time})"
        )),
    }
}

/// A part of a date that is made of its year: decades, centuries and millenniums as Postgres counts them.
pub fn part_of_era(field: &DateTimeField, time: &Expr) -> Option<String> {
    let year = format!("date_part('year', {time})");
    let of_years = |years: i64| {
        format!(
            "CASE WHEN {year} > 0 THEN ({year} + {}) / {years} ELSE ({year} - {years}) / {years} END",
            years - 1
        )
    };
    match field {
        DateTimeField::Decade => Some(format!("CAST(floor({year} / 10.0) AS INT)")),
        DateTimeField::Century => Some(of_years(100)),
        DateTimeField::Millennium | DateTimeField::Millenium => Some(of_years(1000)),
        _ => None,
    }
}

/// How long a unit is, if it always is as long.
fn length_us(unit: &str) -> Option<i64> {
    Some(match unit {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        "week" => 604_800_000_000,
        _ => return None,
    })
}

/// Whole units from one time to another, towards zero.
fn of_difference(unit: &Expr, from: &Expr, to: &Expr) -> Result<String, String> {
    let name = unit_of(unit).ok_or_else(|| no_unit("timestampdiff", unit))?;
    let time = |it: &Expr| format!("arrow_cast(({it}), 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let instant = |it: &str| format!("CAST({it} AS BIGINT)");
    let (from, to) = (time(from), time(to));
    let Some(us) = length_us(&name) else {
        let months = match name.as_str() {
            "year" => 12,
            "quarter" => 3,
            _ => 1,
        };
        // Whole months: those that the calendar counts, but for one that is not over yet.
        let of_calendar = |it: &str| {
            format!("CAST(date_part('year', {it}) * 12 + date_part('month', {it}) AS BIGINT)")
        };
        let within = |it: &str| {
            let start = format!("date_trunc('month', {it})");
            format!("({} - {})", instant(it), instant(&start))
        };
        let counted = format!("({} - {})", of_calendar(&to), of_calendar(&from));
        let (rest_from, rest_to) = (within(&from), within(&to));
        return Ok(format!(
            "(({counted} - CASE WHEN {counted} > 0 AND {rest_to} < {rest_from} THEN 1 WHEN {counted} < 0 AND {rest_to} > {rest_from} THEN -1 ELSE 0 END) / {months})"
        ));
    };
    Ok(format!("(({} - {}) / {us})", instant(&to), instant(&from)))
}

/// `format('%s: %s', a, b)` of Postgres: texts between which values stand.
fn formatted(pattern: &str, values: &[Expr]) -> Result<String, String> {
    const OTHERS: &str = "format takes %s for the text of a value and %% for a percent sign; for numbers of so many digits write to_char or round";
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut values = values.iter();
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            text.push(sign);
            continue;
        }
        match signs.next() {
            Some('%') => text.push('%'),
            Some('s') => {
                let value = values
                    .next()
                    .ok_or("format has more %s than values behind its text; give each a value")?;
                parts.push(quoted(&std::mem::take(&mut text)));
                parts.push(format!("CAST(({value}) AS TEXT)"));
            }
            _ => return Err(OTHERS.to_owned()),
        }
    }
    if values.next().is_some() {
        return Err("format has more values than %s in its text; leave them out".to_owned());
    }
    parts.push(quoted(&text));
    Ok(format!("concat({})", parts.join(", ")))
}

/// A unit of time, written as a word or as a text.
fn unit_of(unit: &Expr) -> Option<String> {
    let word = match unit {
        Expr::Identifier(it) => it.value.as_str(),
        other => text_of(other)?,
    };
    let word = word.to_lowercase();
    let word = word.strip_prefix("sql_tsi_").unwrap_or(&word);
    let word = word.strip_suffix('s').unwrap_or(word);
    let units = [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
    ];
    units.contains(&word).then(|| word.to_owned())
}

fn no_unit(name: &str, unit: &Expr) -> String {
    format!(
        "{name} knows no unit {unit}; write it as {name}(DAY, …), or SECOND, MINUTE, HOUR, WEEK"
    )
}
