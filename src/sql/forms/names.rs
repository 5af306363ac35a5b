//! More names of functions that other systems have, beside those of [`super::calls`]: of numbers, texts, times and JSON.

use super::{quoted, text_of};
use crate::sql::functions::{DATE_TRUNC_OF, NUMBER_TEXT, NumberPattern, Pattern};
use crate::sql::syntax;
use arrow::array::timezone::Tz;
use datafusion::sql::sqlparser::ast::{Expr, Value};

/// Functions of other names; what is in their parentheses stays.
pub(super) const RENAMED: &[(&str, &str)] = &[
    ("stddev_sample", "stddev_samp"),
    ("jsonb_concat", "json_concat"),
    ("array_overlaps", "arrays_overlap"),
    ("greatest_ignore_nulls", "greatest"),
    ("least_ignore_nulls", "least"),
    // Spark.
    ("array", "make_array"),
    ("explode", "unnest"),
    ("timestamp_seconds", "to_timestamp_seconds"),
    ("timestamp_millis", "to_timestamp_millis"),
    ("timestamp_micros", "to_timestamp_micros"),
];

/// What a call of so many arguments stands for.
pub(super) const TEMPLATES: &[(&str, usize, &str)] = &[
    ("regexp", 2, "({0} ~ {1})"),
    // Flink and MySQL: before the first place there is nothing.
    (
        "locate",
        3,
        "CASE WHEN {2} < 1 THEN 0 WHEN strpos(substr({1}, {2}), {0}) = 0 THEN 0 ELSE strpos(substr({1}, {2}), {0}) + {2} - 1 END",
    ),
    ("unhex", 1, "decode({0}, 'hex')"),
    ("quote_nullable", 1, "coalesce(quote_literal({0}), 'NULL')"),
    (
        "bytes_length",
        1,
        "(character_length(encode({0}, 'hex')) / 2)",
    ),
    ("url_decode_param", 1, "url_decode({0})"),
    ("url_encode_param", 1, "url_encode({0})"),
    ("div_null", 2, "CASE WHEN {1} <> 0 THEN {0} / {1} END"),
    (
        "finite_or_null",
        1,
        "CASE WHEN abs(CAST({0} AS DOUBLE)) < CAST('Infinity' AS DOUBLE) THEN {0} END",
    ),
    ("bin2utf8", 1, "CAST({0} AS TEXT)"),
    ("array_flatten", 1, "flatten({0})"),
    (
        "trim_array",
        2,
        "CASE WHEN {1} BETWEEN 0 AND cardinality({0}) THEN array_slice({0}, 1, CAST(cardinality({0}) AS BIGINT) - CAST({1} AS BIGINT)) END",
    ),
    ("string_to_table", 2, "unnest(string_to_array({0}, {1}))"),
    (
        "string_to_table",
        3,
        "unnest(string_to_array({0}, {1}, {2}))",
    ),
    (
        "regexp_split_to_table",
        2,
        "unnest(regexp_split_to_array({0}, {1}))",
    ),
    ("safe_offset", 1, "CASE WHEN 0 <= {0} THEN {0} + 1 END"),
    ("safe_ordinal", 1, "CASE WHEN 0 < {0} THEN {0} END"),
    // Of numbers with a fixed number of digits behind the point.
    (
        "scale",
        1,
        "character_length(split_part(CAST({0} AS TEXT), '.', 2))",
    ),
    (
        "min_scale",
        1,
        "character_length(rtrim(split_part(CAST({0} AS TEXT), '.', 2), '0'))",
    ),
    ("coth", 1, "(1 / tanh({0}))"),
    ("csc", 1, "(1 / sin({0}))"),
    ("csch", 1, "(1 / sinh({0}))"),
    ("sec", 1, "(1 / cos({0}))"),
    ("sech", 1, "(1 / cosh({0}))"),
    ("e", 0, "CAST(2.718281828459045 AS DOUBLE)"),
    // ksqlDB counts days from 1970.
    ("unix_date", 1, "CAST(CAST({0} AS DATE) AS INT)"),
    ("from_days", 1, "arrow_cast(CAST({0} AS INT), 'Date32')"),
    ("dayname", 1, "to_char({0}, '%A')"),
    ("weekofyear", 1, "date_part('week', {0})"),
    ("monthname", 1, "to_char({0}, '%B')"),
    // Feldera and Snowflake: a local time of the first zone as that of the second.
    (
        "convert_timezone",
        3,
        "local_time(instant_of({2}, {0}), {1})",
    ),
    ("extractjsonfield", 2, "json_value({0}, {1})"),
    ("json_keys", 1, "json_keys_of({0})"),
    (
        "json_length",
        1,
        "CASE WHEN json_typeof({0}) = 'object' THEN CAST(cardinality(json_keys_of({0})) AS BIGINT) ELSE json_array_length({0}) END",
    ),
    ("json_string", 1, "to_json({0})"),
    ("to_json_string", 1, "to_json({0})"),
    ("json_quote", 1, "to_json(CAST({0} AS TEXT))"),
    ("is_json_string", 1, "coalesce(is_json({0}), false)"),
];

/// Names that systems disagree about, and what to write.
pub(super) const REFUSED: &[(&str, &str)] = &[
    (
        "weekday",
        "counts from Monday in some systems and from Sunday in others; write extract(isodow FROM a) - 1, or extract(dow FROM a)",
    ),
    (
        "add_months",
        "of the last day of a month is the last day of the other one in some systems; write a + INTERVAL '1 month', or timestampadd(MONTH, 1, a)",
    ),
    (
        "map_agg",
        "makes a map, which no column can be; write jsonb_object_agg(key, value)",
    ),
    (
        "hmac",
        "takes the key first in some systems and the data in others; write hmac_sha256(key, data)",
    ),
];

/// Names that more is done for than a template could.
pub(super) const BY_CODE: &[(&str, &str)] = &[
    ("to_char(a, '999.00')", "number_text(a, '999.00')"),
    ("elt(1, a, b)", "CASE 1 WHEN 1 THEN a WHEN 2 THEN b END"),
    (
        "field(a, b, c)",
        "CASE WHEN a = b THEN 1 WHEN a = c THEN 2 ELSE 0 END",
    ),
    ("array_upper(a, 1)", "nullif(cardinality(a), 0)"),
    (
        "array_lower(a, 1)",
        "CASE WHEN 0 < cardinality(a) THEN 1 END",
    ),
    ("date_part(year, a)", "date_part('year', a)"),
    (
        "date_trunc(a, MONTH)",
        "date_trunc('month', a), of a date a date",
    ),
    ("encode(a, 'UTF-8')", "CAST(a AS BYTEA)"),
    ("decode(a, 'UTF-8')", "CAST(a AS TEXT)"),
    (
        "encode(a, 'utf8', 'hex')",
        "encode(CAST(a AS BYTEA), 'hex')",
    ),
    ("to_bytes(a, 'utf8')", "CAST(a AS BYTEA)"),
    ("convert_to(a, 'UTF8')", "CAST(a AS BYTEA)"),
    ("convert_from(a, 'UTF8')", "CAST(a AS TEXT)"),
    ("array_fill(a, ARRAY[3])", "array_repeat(a, 3)"),
    (
        "num_nulls(a, b)",
        "CASE WHEN a IS NULL THEN 1 ELSE 0 END + CASE WHEN b IS NULL THEN 1 ELSE 0 END",
    ),
    (
        "num_nonnulls(a, b)",
        "CASE WHEN a IS NULL THEN 0 ELSE 1 END + CASE WHEN b IS NULL THEN 0 ELSE 1 END",
    ),
    ("from_bytes(a, 'utf8')", "CAST(a AS TEXT)"),
    (
        "format_timestamp(a, 'yyyy-MM-dd')",
        "date_format(a, 'yyyy-MM-dd')",
    ),
    ("format_date(a, 'yyyy')", "date_format(a, 'yyyy')"),
    (
        "timestamptostring(a, 'yyyy-MM-dd')",
        "date_format(to_timestamp_millis(a), 'yyyy-MM-dd')",
    ),
    (
        "datetostring(a, 'yyyy')",
        "date_format(arrow_cast(CAST(a AS INT), 'Date32'), 'yyyy')",
    ),
    (
        "parse_timestamp(a, 'yyyy-MM-dd HH:mm:ss')",
        "to_timestamp(a, '%Y-%m-%d %H:%M:%S')",
    ),
    ("parse_date(a, 'yyyy-MM-dd')", "to_date(a, '%Y-%m-%d')"),
    (
        "stringtotimestamp(a, 'yyyy-MM-dd HH:mm:ss')",
        "milliseconds from 1970 to that time",
    ),
    (
        "stringtodate(a, 'yyyy-MM-dd')",
        "days from 1970 to that date",
    ),
    (
        "quantile_cont(a, 0.5)",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
    ),
    (
        "percentile(a, 0.5)",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
    ),
    ("sum0(a)", "coalesce(sum(a), 0)"),
    (
        "product(a)",
        "array_product(array_agg(CAST(a AS DOUBLE) ORDER BY a) FILTER (WHERE a IS NOT NULL))",
    ),
    (
        "topk(a, 2)",
        "array_slice(array_agg(a ORDER BY a DESC) FILTER (WHERE a IS NOT NULL), 1, 2)",
    ),
    (
        "topkdistinct(a, 2)",
        "array_slice(array_agg(DISTINCT a ORDER BY a DESC) FILTER (WHERE a IS NOT NULL), 1, 2)",
    ),
    ("timestampsub(DAY, a, b)", "b - a days"),
];

/// What a plain call of one of these names stands for.
///
/// # Errors
/// If its arguments are not understood.
pub(super) fn by_code(name: &str, args: &[Expr]) -> Result<Option<String>, String> {
    Ok(Some(match (name, args) {
        ("elt", [number, values @ ..]) if !values.is_empty() => {
            let cases = values.iter().enumerate();
            let cases: Vec<String> = cases
                .map(|(at, value)| format!("WHEN {} THEN ({value})", at + 1))
                .collect();
            format!("CASE ({number}) {} END", cases.join(" "))
        }
        ("field", [value, values @ ..]) if !values.is_empty() => {
            let cases = values.iter().enumerate();
            let cases: Vec<String> = cases
                .map(|(at, other)| format!("WHEN ({value}) = ({other}) THEN {}", at + 1))
                .collect();
            format!("CASE {} ELSE 0 END", cases.join(" "))
        }
        ("to_char", [number, pattern])
            if let Some(of_number) = text_of(pattern).and_then(NumberPattern::of) =>
        {
            of_number?;
            format!("{NUMBER_TEXT}({number}, {pattern})")
        }
        ("array_upper", [list, dimension]) if dimension.to_string() == "1" => {
            format!("nullif(CAST(cardinality({list}) AS BIGINT), 0)")
        }
        ("array_lower", [list, dimension]) if dimension.to_string() == "1" => {
            format!("CASE WHEN 0 < cardinality({list}) THEN 1 END")
        }
        // Feldera writes units as words, and puts them last where a time is cut off.
        ("date_part", [Expr::Identifier(unit), time]) if is_unit(&unit.value) => {
            format!("date_part('{}', {time})", unit.value.to_lowercase())
        }
        ("date_trunc", [time, Expr::Identifier(unit)])
            if is_unit(&unit.value) && text_of(time).is_none() =>
        {
            format!("{DATE_TRUNC_OF}({time}, '{}')", unit.value.to_lowercase())
        }
        ("convert_to", [text, charset]) if is_utf8(charset) => format!("CAST(({text}) AS BYTEA)"),
        ("convert_from", [bytes, charset]) if is_utf8(charset) => {
            format!("CAST(({}) AS TEXT)", of_escaped(bytes))
        }
        ("array_fill", [value, Expr::Array(lengths)]) if let [length] = lengths.elem.as_slice() => {
            format!("array_repeat({value}, {length})")
        }
        ("num_nulls", values) if !values.is_empty() => how_many(values, "1 ELSE 0"),
        ("num_nonnulls", values) if !values.is_empty() => how_many(values, "0 ELSE 1"),
        ("encode", [text, charset]) if is_utf8(charset) => format!("CAST(({text}) AS BYTEA)"),
        ("decode", [bytes, charset]) if is_utf8(charset) => format!("CAST(({bytes}) AS TEXT)"),
        ("encode", [text, from, to]) => to_text(&of_text(text, from)?, to)?,
        ("to_bytes", [text, from]) => of_text(text, from)?,
        ("from_bytes", [bytes, to]) => to_text(&format!("({bytes})"), to)?,
        ("format_timestamp" | "format_date", [time, pattern]) if is_java(pattern) => {
            format!("date_format({time}, {pattern})")
        }
        ("format_timestamp", [time, pattern, zone]) if is_java(pattern) => {
            format!("date_format(local_time({time}, {zone}), {pattern})")
        }
        // Spark and Hive; DataFusion has a zone there.
        ("from_unixtime", [seconds, pattern]) if text_of(pattern).is_some_and(is_no_zone) => {
            format!("date_format(from_unixtime({seconds}), {pattern})")
        }
        ("timestamptostring", [millis, pattern]) if is_java(pattern) => {
            format!("date_format(to_timestamp_millis({millis}), {pattern})")
        }
        ("timestamptostring", [millis, pattern, zone]) if is_java(pattern) => {
            format!("date_format(local_time(to_timestamp_millis({millis}), {zone}), {pattern})")
        }
        ("datetostring", [days, pattern]) if is_java(pattern) => {
            format!("date_format(arrow_cast(CAST({days} AS INT), 'Date32'), {pattern})")
        }
        ("parse_timestamp", [text, pattern]) if is_java(pattern) => {
            read("to_timestamp", text, pattern)?
        }
        ("parse_timestamp", [text, pattern, zone]) if is_java(pattern) => {
            let local = read("to_timestamp", text, pattern)?;
            format!("instant_of({local}, {zone})")
        }
        ("parse_date", [text, pattern]) if is_java(pattern) => read("to_date", text, pattern)?,
        ("stringtotimestamp", [text, pattern]) if is_java(pattern) => {
            millis(&read("to_timestamp", text, pattern)?)
        }
        ("stringtotimestamp", [text, pattern, zone]) if is_java(pattern) => {
            let local = read("to_timestamp", text, pattern)?;
            millis(&format!("instant_of({local}, {zone})"))
        }
        ("stringtodate", [text, pattern]) if is_java(pattern) => {
            format!("CAST({} AS INT)", read("to_date", text, pattern)?)
        }
        _ => return Ok(None),
    }))
}

/// An aggregate of these names, with the text of its FILTER.
pub(super) fn aggregate(
    name: &str,
    args: &[Expr],
    filter: Option<&Expr>,
) -> Result<Option<String>, String> {
    let clause = filter.map_or(String::new(), |it| format!(" FILTER (WHERE {it})"));
    Ok(match (name, args) {
        // Flink, and DuckDB.
        ("percentile" | "quantile_cont", [value, rank]) => Some(format!(
            "percentile_cont({rank}) WITHIN GROUP (ORDER BY {value}){clause}"
        )),
        ("sum0", [value]) => Some(format!("coalesce(sum({value}){clause}, 0)")),
        // In one order, as products of doubles depend on it.
        ("product", [value]) => {
            let also = filter.map_or(String::new(), |it| format!(" AND ({it})"));
            Some(format!(
                "array_product(array_agg(CAST({value} AS DOUBLE) ORDER BY {value}) FILTER (WHERE ({value}) IS NOT NULL{also}))"
            ))
        }
        ("topk" | "topkdistinct", [value, count]) => {
            let count: u32 = count
                .to_string()
                .parse()
                .map_err(|_| format!("{name} takes a constant number of values: {name}(a, 3)"))?;
            let distinct = match name {
                "topkdistinct" => "DISTINCT ",
                _ => "",
            };
            let also = filter.map_or(String::new(), |it| format!(" AND ({it})"));
            Some(format!(
                "array_slice(array_agg({distinct}{value} ORDER BY {value} DESC) FILTER (WHERE ({value}) IS NOT NULL{also}), 1, {count})"
            ))
        }
        _ => None,
    })
}

/// Ranks in an array are as many percentiles in an array.
pub(super) fn percentiles(name: &str, rank: &Expr, within: &str) -> Option<String> {
    let Expr::Array(ranks) = rank else {
        return None;
    };
    let each = ranks.elem.iter();
    let each: Vec<String> = each.map(|rank| format!("{name}({rank}){within}")).collect();
    Some(format!("make_array({})", each.join(", ")))
}

/// The number of units with its sign turned.
pub(super) fn negated(amount: &Expr) -> Result<Expr, String> {
    let text = amount.to_string();
    match text.parse::<i64>() {
        Ok(it) => syntax::parse_expression(&it.saturating_neg().to_string()),
        Err(_) => syntax::parse_expression(&format!("(- ({text}))")),
    }
}

fn is_unit(word: &str) -> bool {
    const UNITS: [&str; 17] = [
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
        "decade",
        "century",
        "millennium",
        "dow",
        "doy",
        "isodow",
        "epoch",
    ];
    UNITS.iter().any(|it| it.eq_ignore_ascii_case(word))
}

/// Whether a text names no time zone.
fn is_no_zone(text: &str) -> bool {
    text.parse::<Tz>().is_err()
}

/// How many values are NULL, or are not.
fn how_many(values: &[Expr], of_null: &str) -> String {
    let each = values
        .iter()
        .map(|it| format!("CASE WHEN ({it}) IS NULL THEN {of_null} END"));
    format!("({})", each.collect::<Vec<_>>().join(" + "))
}

/// Constant bytes by their digits, as they are shown.
fn of_escaped(bytes: &Expr) -> String {
    match text_of(bytes).and_then(|it| it.strip_prefix("\\x")) {
        Some(digits) => format!("decode({}, 'hex')", quoted(digits)),
        None => bytes.to_string(),
    }
}

fn is_utf8(charset: &Expr) -> bool {
    text_of(charset).is_some_and(|it| ["utf-8", "utf8"].contains(&it.to_lowercase().as_str()))
}

/// The bytes that a text stands for in an encoding.
fn of_text(text: &Expr, encoding: &Expr) -> Result<String, String> {
    match text_of(encoding).map(str::to_lowercase).as_deref() {
        Some("utf8" | "utf-8" | "ascii") => Ok(format!("CAST(({text}) AS BYTEA)")),
        Some("hex") => Ok(format!("decode({text}, 'hex')")),
        Some("base64") => Ok(format!("decode({text}, 'base64pad')")),
        _ => Err(no_encoding(encoding)),
    }
}

/// Bytes as a text in an encoding.
fn to_text(bytes: &str, encoding: &Expr) -> Result<String, String> {
    match text_of(encoding).map(str::to_lowercase).as_deref() {
        Some("utf8" | "utf-8" | "ascii") => Ok(format!("CAST({bytes} AS TEXT)")),
        Some("hex") => Ok(format!("encode({bytes}, 'hex')")),
        Some("base64") => Ok(format!("encode({bytes}, 'base64pad')")),
        _ => Err(no_encoding(encoding)),
    }
}

fn no_encoding(encoding: &Expr) -> String {
    format!("{encoding} is no encoding of texts; possible are 'utf8', 'ascii', 'hex' and 'base64'")
}

/// Whether a pattern is a constant one of Java, and not one of strftime.
fn is_java(pattern: &Expr) -> bool {
    text_of(pattern).is_some_and(|it| !it.contains('%'))
}

/// A text read by a pattern of Java.
fn read(function: &str, text: &Expr, pattern: &Expr) -> Result<String, String> {
    let java = text_of(pattern).unwrap_or_default();
    let format = Pattern::Java.strftime(function, java)?;
    let format = Expr::value(Value::SingleQuotedString(format));
    super::calls::parsed(function, text, &format)
}

fn millis(time: &str) -> String {
    let millis = quoted("Timestamp(Millisecond, None)");
    format!("CAST(arrow_cast({time}, {millis}) AS BIGINT)")
}

#[cfg(test)]
mod tests {
    use crate::sql::syntax::parse_query;

    fn taken_for(expression: &str) -> Result<String, String> {
        let rewritten = |text: &str| {
            let mut query = parse_query(text)?;
            super::super::rewrite(&mut query)?;
            Ok::<String, String>(query.to_string())
        };
        let once = rewritten(&format!("SELECT {expression} FROM t"))?;
        assert_eq!(rewritten(&once).as_deref(), Ok(once.as_str()));
        let text = once.strip_prefix("SELECT ").unwrap_or(&once);
        Ok(text.strip_suffix(" FROM t").unwrap_or(text).to_owned())
    }

    #[test]
    fn names_stand_for_expressions() {
        for (text, expected) in [
            (
                "elt(a, b, 'c')",
                "CASE (a) WHEN 1 THEN (b) WHEN 2 THEN ('c') END",
            ),
            ("field(a, b)", "CASE WHEN (a) = (b) THEN 1 ELSE 0 END"),
            ("greatest_ignore_nulls(a, b)", "greatest(a, b)"),
            (
                "sum0(a) FILTER (WHERE b)",
                "coalesce(sum(a) FILTER (WHERE b), 0)",
            ),
            (
                "topkdistinct(a, 2) FILTER (WHERE b)",
                "array_slice(array_agg(DISTINCT a ORDER BY a DESC) FILTER (WHERE (a) IS NOT NULL AND (b)), 1, 2)",
            ),
            (
                "percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY a DESC)",
                "make_array(percentile_cont(0.25) WITHIN GROUP (ORDER BY a DESC), percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC))",
            ),
            ("date_trunc(a, MONTH)", "date_trunc_of(a, 'month')"),
            ("date_trunc('month', a)", "date_trunc('month', a)"),
            ("date_part(year, a)", "date_part('year', a)"),
            (
                "stringtotimestamp(a, 'yyyy-MM-dd', 'Europe/Berlin')",
                "CAST(arrow_cast(instant_of(to_timestamp(a, '%Y-%m-%d'), 'Europe/Berlin'), 'Timestamp(Millisecond, None)') AS BIGINT)",
            ),
            (
                "encode(a, 'hex', 'base64')",
                "encode(decode(a, 'hex'), 'base64pad')",
            ),
            ("a COLLATE \"C\" < b", "(a) < b"),
            ("INTERVAL '1-2' YEAR TO MONTH", "INTERVAL '14' MONTH"),
            ("INTERVAL '1 02:00:00' DAY TO SECOND", "INTERVAL '26' HOUR"),
            ("timestampsub(DAY, 1, a)", "(a + INTERVAL '-1 day')"),
            (
                "a::jsonb - 'b' || '{}' ?| c",
                "json_has_any_key(json_concat(json_without(parse_json(a), 'b'), '{}'), c)",
            ),
            ("json_object()", "parse_json('{}')"),
            ("json_array()", "parse_json('[]')"),
            ("a IS NOT JSON OBJECT", "NOT is_json(a, 'object')"),
            ("(a::jsonb)['b']", "json_get((parse_json(a)), 'b')"),
            (
                "json_arrayagg(a ORDER BY b) FILTER (WHERE c)",
                "json_list_of(string_agg(coalesce(to_json(a), 'null'), ', ' ORDER BY b) FILTER (WHERE (a) IS NOT NULL AND (c)))",
            ),
            (
                "all_match(a, x -> x > 0 OR x IS NULL)",
                "(NOT array_any_match(a, lambda __lambda_x : NOT (__lambda_x > 0 OR __lambda_x IS NULL)))",
            ),
            (
                "reduce(a, 0, (s, x) => s + x)",
                "array_reduce(a, 0, lambda __lambda_s, __lambda_x : __lambda_s + __lambda_x)",
            ),
            (
                "filter(a, x => x > b)",
                "array_filter(a, lambda __lambda_x : __lambda_x > b)",
            ),
        ] {
            assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_computed_says_what_to_write() {
        for (text, instead) in [
            ("a COLLATE \"de_DE\"", "lower(text)"),
            ("weekday(a)", "extract(isodow FROM a) - 1"),
            ("hmac(a, b, 'sha256')", "hmac_sha256(key, data)"),
            ("(a::jsonb)[0]", "json -> 0"),
            ("reduce(a, 0, x -> x)", "a lambda of two parameters"),
            ("transform(a, (x, i) -> x + i)", "a lambda of one parameter"),
            ("topk(a, b)", "topk(a, 3)"),
            (
                "INTERVAL '1-13' YEAR TO MONTH",
                "INTERVAL '1-2' YEAR TO MONTH",
            ),
            ("a OVERLAPS b", "(start, end) OVERLAPS (start, end)"),
            ("encode(a, 'utf7', 'hex')", "'base64'"),
        ] {
            let refused = taken_for(text).unwrap_err();
            assert!(refused.contains(instead), "{text}: {refused}");
        }
        // Each holds its argument several times.
        let nested = (0..20).fold("a".to_owned(), |it, _| format!("div_null(1, {it})"));
        assert!(taken_for(&nested).unwrap_err().contains("sub-query"));
    }
}
