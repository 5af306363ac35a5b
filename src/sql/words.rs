//! Errors of the libraries that parse and plan, in our words: what is wrong with the statement, and what to write instead.
//!
//! Their texts are made for their own developers: they ask to report a bug elsewhere, print types as Rust has them, and offer the function
//! whose name is nearest. Whatever leaves the planner goes through here.

#[cfg(test)]
mod tests;

use super::near::{as_sql, did_you_mean, nearest};
use super::reference::is_internal;
use crate::plan::{
    SESSION_END, SESSION_START, TUMBLE_END, TUMBLE_START, WINDOW_BOUND, with_sql_types,
};
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::parser::ParserError;
use std::collections::BTreeSet;

/// So many columns are listed when one is missing and none is near, and one more if it is the last; more would be no sentence.
const COLUMNS_MAX: usize = 3;
/// Words a statement begins with.
const BEGINNINGS: [&str; 6] = ["SELECT", "WITH", "VALUES", "EXPLAIN", "SHOW", "DESCRIBE"];

const DATE_PARTS: &str = "year, quarter, month, week, day, hour, minute, second, millisecond, microsecond, nanosecond, isoyear, doy, dow, isodow and epoch";

/// What the planner says.
pub fn planner(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            planner(inner)
        }
        DataFusionError::Shared(inner) => planner(inner),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => planner(first),
            None => "the statement cannot be planned".to_owned(),
        },
        DataFusionError::SQL(error, _) => parser(error),
        DataFusionError::SchemaError(error, _) => schema(error),
        DataFusionError::Plan(text) => plan(text),
        DataFusionError::NotImplemented(text)
            if text.starts_with("Conflicting ordering requirements") =>
        {
            "calls of nth_value in one SELECT take their rows in one order; for another one write array_element(array_agg(value ORDER BY …), n)"
                .to_owned()
        }
        DataFusionError::NotImplemented(text)
            if text.starts_with("Physical plan does not support logical expression") =>
        {
            "a sub-query stands where it cannot be maintained; write it as a condition of WHERE joined by AND, or join what it selects".to_owned()
        }
        DataFusionError::NotImplemented(text) => match without_syntax(first_sentence(text)) {
            Some(text) => format!("not supported: {}", with_sql_types(text)),
            None => "not supported: an expression of this form; write it with operators, functions, CASE and CAST".to_owned(),
        },
        DataFusionError::Internal(text) => format!(
            "the planner cannot cope with this ({}); write it in another way",
            with_sql_types(first_sentence(text))
        ),
        other => execution(other),
    }
}

/// What went wrong while rows were computed.
pub fn execution(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::Internal(_) => planner(error.find_root()),
        root => {
            let text = root.strip_backtrace();
            match pattern_fault(&text) {
                Some(fault) => format!("a pattern is no regular expression: {fault}"),
                None => computing(without_layers(first_sentence(&text))),
            }
        }
    }
}

/// What the library of regular expressions says, below a drawing of the pattern.
fn pattern_fault(text: &str) -> Option<&str> {
    let drawn = text.split_once("regex parse error:")?.1;
    let fault = drawn.rsplit_once("error: ")?.1;
    Some(fault.trim_end_matches(['"', ')', '\n', ' ']))
}

/// A text, if it does not print the parser's own structures.
fn without_syntax(text: &str) -> Option<&str> {
    const SIGNS: [&str; 6] = [
        "Ident {",
        "Span(",
        "ValueWithSpan",
        "(Column {",
        " { ",
        "Some(",
    ];
    (!SIGNS.iter().any(|it| text.contains(it))).then_some(text)
}

/// Texts of functions that people meet, by how they begin.
fn computing(text: &str) -> String {
    if let Some(of) = between(text, "Cannot access field at argument ", " is not Struct") {
        let of = of.split_once("type ").map_or(of, |it| it.1);
        return format!(
            "`.name` and ['name'] take a field of a STRUCT, and {} has none; of JSON text write value -> 'name'",
            with_sql_types(of)
        );
    }
    if let Some((value, kind)) = between(text, "Cannot cast string '", " type")
        .and_then(|it| it.rsplit_once("' to value of "))
    {
        return format!(
            "the text '{value}' cannot be read as {}",
            with_sql_types(kind)
        );
    }
    if let Some(value) = between(text, "Error parsing timestamp from '", "'") {
        return format!(
            "the text '{value}' is no time; write TIMESTAMP '2026-03-01 12:00:00', or now() - INTERVAL '1 hour'"
        );
    }
    if let Some(unit) = between(text, "Unsupported date_trunc granularity: '", "'") {
        let known = text.split_once("Supported values are: ");
        let known = known.map_or("", |it| it.1);
        return format!("date_trunc knows no '{unit}'; possible are {known}");
    }
    if let Some(part) = between(text, "Date part '", "' not supported") {
        return format!("date_part knows no '{part}'; possible are {DATE_PARTS}");
    }
    with_sql_types(text)
}

/// Without the names of the libraries' layers it came through.
fn without_layers(text: &str) -> &str {
    const LAYERS: [&str; 8] = [
        "Execution error: ",
        "Error during planning: ",
        "Arrow error: ",
        "Cast error: ",
        "Compute error: ",
        "Parser error: ",
        "Invalid argument error: ",
        "External error: ",
    ];
    let inner = LAYERS.iter().find_map(|it| text.strip_prefix(it));
    match inner {
        Some(inner) => without_layers(inner),
        None if text == "Divide by zero error" => "division by zero",
        None => text,
    }
}

/// A text of the parser without `at Line: 1, Column: 5` at its end, with line and column.
pub fn place_at_end(text: &str) -> Option<(&str, u64, u64)> {
    let (message, place) = text.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((message, line.parse().ok()?, column.parse().ok()?))
}

/// Whether the parser says what it would take instead of a token.
pub fn is_expectation(said: &str) -> bool {
    said.starts_with("Expected: ") || said.starts_with("Expected an ")
}

/// What the parser says.
pub fn parser(error: &ParserError) -> String {
    match error {
        ParserError::ParserError(text) if text.contains("an identifier or a '*' after '.'") => {
            let place = text.find(" at Line: ").map_or("", |at| &text[at..]);
            format!(
                "`.*` takes the columns of a relation; write each field of a struct: (row).a, (row).b{place}"
            )
        }
        ParserError::ParserError(text)
            if text.to_lowercase().contains("expected: ), found: exclude") =>
        {
            let place = text.find(" at Line: ").map_or("", |at| &text[at..]);
            format!(
                "a frame without its EXCLUDE is maintained; take the row itself off, as in sum(a) OVER (…) - coalesce(a, 0){place}"
            )
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
    }
}

fn schema(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => no_column(field, valid_fields).0,
        SchemaError::AmbiguousReference { field } => format!(
            "column `{}` is in more than one relation; write relation.{}",
            field.name, field.name
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => format!(
            "two columns are named `{}`; give one of them another name with AS",
            plain(name)
        ),
    }
}

/// A name that is not there, and up to three that may be meant, each as SQL takes it in its place.
pub type Misnamed = (String, Vec<String>);

/// That there is no such column, and what may be meant.
pub fn no_column(field: &Column, valid_fields: &[Column]) -> (String, Misnamed) {
    let written = match &field.relation {
        Some(relation) => format!("{}.{}", relation.table(), field.name),
        None => field.name.clone(),
    };
    let of_relation = |it: &&Column| match (&field.relation, &it.relation) {
        (Some(written), Some(known)) => written.table() == known.table(),
        (None, _) => true,
        (Some(_), None) => false,
    };
    let known: Vec<&Column> = valid_fields.iter().filter(of_relation).collect();
    if let (Some(relation), true) = (&field.relation, known.is_empty()) {
        let namesakes = valid_fields.iter().filter(|it| it.name == field.name);
        let named = namesakes.map(|it| match &it.relation {
            Some(of) => format!("{}.{}", as_sql(of.table()), as_sql(&it.name)),
            None => as_sql(&it.name),
        });
        let candidates: Vec<String> = named.take(3).collect();
        let meant = did_you_mean(&candidates).map_or_else(String::new, |it| format!("; {it}"));
        let message = format!("`{}` is no relation of this query{meant}", relation.table());
        return (message, (written, candidates));
    }
    // Columns of the engine's own are meant only by who writes one.
    let is_own = |name: &str| name.starts_with('_') && !field.name.starts_with('_');
    let mut names: Vec<&str> = Vec::new();
    for Column { name, .. } in known {
        if *name != field.name && !is_own(name) && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let near = nearest(&field.name, names.iter().copied());
    let as_written = |it: &&str| match &field.relation {
        Some(relation) => format!("{}.{}", as_sql(relation.table()), as_sql(it)),
        None => as_sql(it),
    };
    let candidates: Vec<String> = near.iter().map(as_written).collect();
    let message = match did_you_mean(&candidates) {
        Some(meant) => format!("there is no column `{written}`; {meant}"),
        // Only in double quotes is it a name at all, and MySQL has texts in these.
        None if field.relation.is_none() && as_sql(&field.name).starts_with('"') => format!(
            "there is no column `{written}`; a text stands in single quotes: '{}'",
            field.name.replace('\'', "''")
        ),
        None => match names.split_at_checked(COLUMNS_MAX) {
            Some((first, others)) if 1 < others.len() => format!(
                "there is no column `{written}`; possible are {} and {} more",
                first.join(", "),
                others.len()
            ),
            _ if names.is_empty() => format!("there is no column `{written}`"),
            _ => format!(
                "there is no column `{written}`; possible are {}",
                names.join(", ")
            ),
        },
    };
    (message, (written, candidates))
}

/// Whether what is called stands in FROM.
fn is_window(name: &str) -> bool {
    ["tumble", "hop", "cumulate", "session"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
}

/// Names of all functions a statement may use, in order.
pub fn functions_of(state: &SessionState) -> Vec<String> {
    let names = state
        .scalar_functions()
        .keys()
        .chain(state.higher_order_functions().keys())
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys());
    let all: BTreeSet<String> = names.cloned().collect();
    all.into_iter().collect()
}

/// That there is no such function, and what may be meant, if the planner says so.
pub fn no_function(said: &str, known: &[String]) -> Option<(String, Misnamed)> {
    let name = between(said, "Invalid function '", "'")?;
    if is_window(name) {
        return None;
    }
    let called = known
        .iter()
        .map(String::as_str)
        .filter(|it| !is_internal(it));
    let near = nearest(name, called);
    let candidates: Vec<String> = near.into_iter().map(str::to_owned).collect();
    let meant = did_you_mean(&candidates)?;
    let message = format!("there is no function `{name}`; {meant}");
    Some((message, (name.to_owned(), candidates)))
}

/// That a statement of a dataflow reads what is not there, and what may be meant, if the planner says so.
pub fn no_relation<'a>(said: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = between(said, "table '", "' not found")?;
    let name = name.rsplit('.').next().unwrap_or(name);
    let near: Vec<String> = nearest(name, known).into_iter().map(as_sql).collect();
    let hint = did_you_mean(&near)
        .unwrap_or_else(|| "each is defined above those that read it".to_owned());
    Some(format!(
        "there is no source, table or view `{name}`; {hint}"
    ))
}

/// That no statement begins so, and what may be meant, if the parser says so.
pub fn no_statement(said: &str) -> Option<(String, Misnamed)> {
    let found = said.split_once("Expected: an SQL statement, found: ")?.1;
    let word = found.split(" at Line: ").next()?;
    let near = nearest(word, BEGINNINGS);
    let candidates: Vec<String> = near.into_iter().map(str::to_owned).collect();
    let meant = did_you_mean(&candidates)
        .unwrap_or_else(|| "begin with SELECT, WITH, EXPLAIN, SHOW or DESCRIBE".to_owned());
    let place = said.find(" at Line: ").map_or("", |at| &said[at..]);
    let message = format!("no statement begins with `{word}`; {meant}{place}");
    Some((message, (word.to_owned(), candidates)))
}

/// Texts of the planner that people meet, by how they begin.
fn plan(text: &str) -> String {
    if let Some(name) = between(text, "Invalid function '", "'") {
        if is_window(name) {
            return format!(
                "{name} is a window, which stands in FROM: FROM {} GROUP BY window_start, window_end",
                match name.to_lowercase().as_str() {
                    "tumble" => "TUMBLE(relation, time, size)",
                    "session" => "SESSION(relation PARTITION BY keys, time, gap)",
                    "hop" => "HOP(relation, time, step, size)",
                    _ => "CUMULATE(relation, time, step, size)",
                }
            );
        }
        let of_part = name.to_lowercase();
        let percent = of_part
            .strip_prefix('p')
            .and_then(|it| it.parse::<u8>().ok());
        if let Some(percent) = percent.filter(|it| (1..=99).contains(it)) {
            return format!(
                "there is no function `{name}`; write approx_percentile_cont(column, 0.{percent:02})"
            );
        }
        let meant =
            between(text, "Did you mean '", "'").filter(|it| is_near(name, it) && !is_internal(it));
        return match meant {
            Some(meant) => format!("there is no function `{name}`; did you mean `{meant}`?"),
            None => format!("there is no function `{name}`"),
        };
    }
    if let Some(said) = no_relation(text, []) {
        return said;
    }
    if let Some(call) = between(
        text,
        "No function matches the given name and argument types '",
        "'",
    ) {
        return no_such_arguments(call);
    }
    if text.starts_with("Projections require unique expression names") {
        let name = between(text, "expression \"", "\" at position").map_or("", |it| it);
        let name = name.rsplit(" AS ").next().unwrap_or(name);
        return format!(
            "two columns of the SELECT have one name (`{}`); give one of them another with AS",
            plain(name)
        );
    }
    if text.starts_with("Source table contains ") && text.ends_with("names given as column alias") {
        return "a list of names behind WITH or a relation has other names than there are columns; name all of them, or those without a name with AS".to_owned();
    }
    if text.contains("must be in GROUP BY or an aggregate function")
        || text.contains("must appear in the GROUP BY clause")
    {
        let name = between(text, "column \"", "\" must").map_or("a column", |it| it);
        return format!(
            "`{}` must be in GROUP BY, or inside an aggregate such as max(…)",
            plain(name)
        );
    }
    if let Some((_, operation)) = text.split_once("type for comparison operation ") {
        return format!(
            "{} cannot be compared; CAST one side",
            with_sql_types(first_sentence(operation))
        );
    }
    if let Some(operation) = between(text, "result type for temporal operation ", ":") {
        return format!(
            "{} cannot be computed; for a time that is a number of units later write timestampadd(HOUR, number, time)",
            with_sql_types(operation)
        );
    }
    if let Some(rest) = text
        .split_once("Cannot coerce arithmetic expression ")
        .map(|it| it.1)
    {
        let operands = rest.split(" to valid types").next().unwrap_or(rest);
        return format!(
            "{} cannot be computed; CAST one side",
            with_sql_types(operands)
        );
    }
    computing(first_sentence(text))
}

/// `sum(Utf8)` as a sentence.
fn no_such_arguments(call: &str) -> String {
    match call.split_once('(') {
        Some((TUMBLE_START | TUMBLE_END | WINDOW_BOUND | SESSION_START | SESSION_END, _)) => {
            "windows are over an event time, which is a TIMESTAMP".to_owned()
        }
        Some((name, types)) => {
            let types = types.strip_suffix(')').unwrap_or(types);
            match types.is_empty() {
                true => format!("{name} needs arguments"),
                false => format!(
                    "{name} does not take {}; CAST the arguments, or see what {name} takes",
                    with_sql_types(types)
                ),
            }
        }
        None => format!("{call} does not take these arguments"),
    }
}

/// Whether one may be a slip of the pen for the other: the planner offers the nearest name there is, however far.
fn is_near(written: &str, known: &str) -> bool {
    4 * strsim::damerau_levenshtein(written, known) <= known.len()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

/// Without what comes behind the first line, and without requests to report it elsewhere.
fn first_sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or(text);
    let line = line
        .split(". This issue was likely caused")
        .next()
        .unwrap_or(line);
    line.trim_start_matches("Error during planning: ")
        .trim_end_matches('.')
}

/// A column's name without the relation it is of.
fn plain(name: &str) -> String {
    match name.split_once('.') {
        Some((relation, column))
            if relation.chars().all(|it| it.is_alphanumeric() || it == '_') =>
        {
            column.to_owned()
        }
        _ => name.to_owned(),
    }
}
