//! What the reference of the documentation says of SQL: functions, names of other systems, and options of statements.
//!
//! All of it comes from where it is used: functions from the session in which statements run, options from the lists by which parsers
//! know them. `tidelake reference` prints it, and tests hold the committed chapters against it.

use super::{EVENT_TIME_OPTIONS, KEY_OPTIONS, TABLE_OPTIONS, VIEW_OPTIONS};
use super::{asof, casts, detectors, formats, forms, functions, query, webhooks};
use crate::model::stated::StatedOption;
use crate::plan::{ADMITTED, SESSION_END, SESSION_START, TUMBLE_END, TUMBLE_START, WINDOW_BOUND};
use crate::source::{kafka, place};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::Documentation;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A function as the reference tells it.
struct Described {
    aliases: Vec<String>,
    section: String,
    syntax: String,
    about: String,
}

/// Functions of ours: name, section, how it is called, and what it gives.
const OURS: &[(&str, &str, &str, &str)] = &[
    (
        "date_format",
        TIME,
        "date_format(time, pattern)",
        "The time as text by a pattern of Java (`yyyy-MM-dd HH:mm`) or strftime.",
    ),
    ("day", TIME, "day(time)", "The day of the month."),
    (
        "instant_of",
        TIME,
        "instant_of(local, zone)",
        "The instant at which clocks in the zone show a local time; `local AT TIME ZONE zone` is the same.",
    ),
    (
        "local_time",
        TIME,
        "local_time(instant, zone)",
        "What clocks in the zone show at an instant; `instant AT TIME ZONE zone` is the same.",
    ),
    ("hour", TIME, "hour(time)", "The hour, 0 to 23."),
    ("minute", TIME, "minute(time)", "The minute, 0 to 59."),
    ("month", TIME, "month(time)", "The month, 1 to 12."),
    ("quarter", TIME, "quarter(time)", "The quarter, 1 to 4."),
    ("second", TIME, "second(time)", "The second, 0 to 59."),
    (
        "week",
        TIME,
        "week(time)",
        "The ISO week of the year, 1 to 53.",
    ),
    ("year", TIME, "year(time)", "The year."),
    (
        "array_reduce",
        "Array functions",
        "array_reduce(array, initial, (state, x) -> next)",
        "The last state of a value that is computed anew with each element; of an empty array the initial one.",
    ),
    (
        "ip_class",
        "Other functions",
        "ip_class(address)",
        "`internal` for loopback, link-local and private addresses (RFC 1918, RFC 4193), `external` for any other, NULL for text that is no address.",
    ),
    (
        "mod",
        "Math functions",
        "mod(a, b)",
        "The remainder, as `a % b`.",
    ),
    (
        "regexp_replace",
        REGEX,
        "regexp_replace(text, pattern, replacement[, flags])",
        r"The text with the first match of a [regular expression](https://docs.rs/regex/latest/regex/#syntax) replaced, or each one by the flag `g`. In the replacement `\1` to `\9` are groups and `\&` is the whole match, as in Postgres; `$1` is a dollar and a digit.",
    ),
    (
        "json_get",
        JSON,
        "json_get(json, step, …)",
        "The JSON at the end of keys and places; `json -> step` is the same.",
    ),
    (
        "json_get_text",
        JSON,
        "json_get_text(json, step, …)",
        "The value at the end of keys and places, a string without its quotes; `json ->> step` is the same.",
    ),
    (
        "json_value",
        JSON,
        "json_value(json, '$.a.b[0]')",
        "The value at a path, a string without its quotes.",
    ),
    (
        "json_query",
        JSON,
        "json_query(json, '$.a.b[0]')",
        "The JSON at a path.",
    ),
    (
        "json_at",
        JSON,
        "json_at(json, '{a,b,0}')",
        "The JSON at a path of Postgres; `json #> path` is the same, and takes `ARRAY['a', b]`, too.",
    ),
    (
        "json_at_text",
        JSON,
        "json_at_text(json, '{a,b,0}')",
        "The value at a path of Postgres; `json #>> path` is the same, and takes `ARRAY['a', b]`, too.",
    ),
    (
        "json_extract_path",
        JSON,
        "json_extract_path(json, 'a', '0', …)",
        "The JSON at the end of steps, as Postgres has it: texts, of which one into an array is a place from 0.",
    ),
    (
        "json_extract_path_text",
        JSON,
        "json_extract_path_text(json, 'a', '0', …)",
        "The value at the end of such steps, a string without its quotes.",
    ),
    ("to_json", JSON, "to_json(value)", "The value as JSON."),
    (
        "parse_json",
        JSON,
        "parse_json(text)",
        "The text as JSON; fails for text that is none.",
    ),
    (
        "try_parse_json",
        JSON,
        "try_parse_json(text)",
        "The text as JSON; NULL for text that is none.",
    ),
    (
        "json_array_length",
        JSON,
        "json_array_length(json)",
        "How many elements an array has.",
    ),
    (
        "json_typeof",
        JSON,
        "json_typeof(json)",
        "`object`, `array`, `string`, `number`, `boolean` or `null`.",
    ),
    (
        "json_has_key",
        JSON,
        "json_has_key(json, key)",
        "Whether an object has a key; `json ? key` is the same.",
    ),
    (
        "jsonb_strip_nulls",
        JSON,
        "jsonb_strip_nulls(json)",
        "JSON without those members of objects that are null, at any depth.",
    ),
    (
        "json_contains",
        JSON,
        "json_contains(json, part)",
        "Whether the JSON contains the part; `json @> part` is the same.",
    ),
    (
        "score",
        MODELS,
        "score('NAME', feature, …)",
        "What a model says of a row. See [Models](models.md).",
    ),
    (
        "mode",
        "Statistical functions",
        "mode(value)",
        "The most frequent value; of several the least.",
    ),
    (
        "json_without",
        JSON,
        "json_without(json, name)",
        "An object without a member, or an array without such texts or the element of this number; `json - name` of JSON is the same.",
    ),
    (
        "json_without_path",
        JSON,
        "json_without_path(json, '{a,b,0}')",
        "JSON without what is at a path of Postgres; `json #- path` is the same.",
    ),
    (
        "json_has_any_key",
        JSON,
        "json_has_any_key(json, names)",
        "Whether an object has one of these keys; `json ?| names` is the same.",
    ),
    (
        "json_has_all_keys",
        JSON,
        "json_has_all_keys(json, names)",
        "Whether an object has all of these keys; `json ?& names` is the same.",
    ),
    (
        "jsonb_set",
        JSON,
        "jsonb_set(json, '{a,b}', value [, adds])",
        "JSON with a value at a path; what is missing at the end of the path is added, unless `adds` is false.",
    ),
    (
        "json_concat",
        JSON,
        "json_concat(json, json)",
        "Two objects as one, or two arrays, of which anything else is one with a single element; `json || json` is the same.",
    ),
    (
        "jsonb_pretty",
        JSON,
        "jsonb_pretty(json)",
        "JSON on lines, each level four blanks deeper.",
    ),
    (
        "jsonb_path_exists",
        JSON,
        "jsonb_path_exists(json, '$.a[*].b')",
        "Whether there is something at a path without conditions and methods, in the lax mode; `json @? path` is the same.",
    ),
    (
        "jsonb_path_query_first",
        JSON,
        "jsonb_path_query_first(json, '$.a[*].b')",
        "The first JSON at such a path.",
    ),
    (
        "jsonb_path_query_array",
        JSON,
        "jsonb_path_query_array(json, '$.a[*].b')",
        "All JSON at such a path, as an array.",
    ),
    (
        "is_json",
        JSON,
        "is_json(text [, kind])",
        "Whether a text is JSON, or a `'scalar'`, `'array'` or `'object'` of it; `text IS JSON OBJECT` is the same.",
    ),
    (
        "parse_url",
        URL,
        "parse_url(url, part [, name])",
        "`'PROTOCOL'`, `'AUTHORITY'`, `'USERINFO'`, `'HOST'`, `'PATH'`, `'QUERY'`, `'FILE'` or `'REF'` of an address as it is written, or the parameter of a name in its `'QUERY'`.",
    ),
    (
        "url_extract_protocol",
        URL,
        "url_extract_protocol(url)",
        "The scheme of an address.",
    ),
    (
        "url_extract_host",
        URL,
        "url_extract_host(url)",
        "The host.",
    ),
    (
        "url_extract_port",
        URL,
        "url_extract_port(url)",
        "The port, if one is written.",
    ),
    (
        "url_extract_path",
        URL,
        "url_extract_path(url)",
        "The path.",
    ),
    (
        "url_extract_query",
        URL,
        "url_extract_query(url)",
        "What is behind the question mark.",
    ),
    (
        "url_extract_fragment",
        URL,
        "url_extract_fragment(url)",
        "What is behind the number sign.",
    ),
    (
        "url_extract_parameter",
        URL,
        "url_extract_parameter(url, name)",
        "The value of a parameter, decoded.",
    ),
    (
        "url_encode",
        URL,
        "url_encode(text)",
        "The text as forms of HTML encode it: a blank is `+`.",
    ),
    (
        "url_decode",
        URL,
        "url_decode(text)",
        "The text that is encoded so; NULL for what is no such text.",
    ),
    (
        "soundex",
        STRING,
        "soundex(text)",
        "A letter and three digits that say how an English word sounds.",
    ),
    (
        "mask",
        STRING,
        "mask(text)",
        "Capital letters as `X`, small ones as `x`, digits as `n`, and all else as `-`.",
    ),
    (
        "initcap_spaces",
        STRING,
        "initcap_spaces(text)",
        "Words between blanks with a capital letter first and small ones behind it.",
    ),
    (
        "quote_literal",
        STRING,
        "quote_literal(text)",
        "The text in quotes, as it stands in a statement.",
    ),
    (
        "bin",
        STRING,
        "bin(integer)",
        "The binary digits of an integer, of which those below zero have 64.",
    ),
    (
        "hex",
        STRING,
        "hex(value)",
        "The hexadecimal digits of an integer, of which those below zero have 16, or of the bytes of a text, in capital letters.",
    ),
    (
        "gunzip",
        STRING,
        "gunzip(bytes)",
        "The text that is packed in bytes of gzip, of 16 MiB at most.",
    ),
    (
        "sha1",
        HASHING,
        "sha1(value)",
        "The SHA-1 of a text in hexadecimal digits, or of bytes as bytes.",
    ),
    (
        "hmac_sha256",
        HASHING,
        "hmac_sha256(key, data)",
        "The HMAC of texts or bytes by SHA-256 (RFC 2104), as bytes.",
    ),
    (
        "crc32",
        HASHING,
        "crc32(value)",
        "The CRC-32 of a text or of bytes, 0 to 4294967295.",
    ),
    (
        "regexp_split_to_array",
        REGEX,
        "regexp_split_to_array(text, pattern)",
        "What stands between the matches of a pattern.",
    ),
    (
        "regexp_extract_all",
        REGEX,
        "regexp_extract_all(text, pattern, group)",
        "A group of each match of a pattern; group 0 is the whole match.",
    ),
    (
        "sind",
        MATH,
        "sind(degrees)",
        "The sine of an angle in degrees, exact for 30 and 90.",
    ),
    (
        "cosd",
        MATH,
        "cosd(degrees)",
        "The cosine of an angle in degrees, exact for 60 and 90.",
    ),
    (
        "tand",
        MATH,
        "tand(degrees)",
        "The tangent of an angle in degrees.",
    ),
    (
        "cotd",
        MATH,
        "cotd(degrees)",
        "The cotangent of an angle in degrees.",
    ),
    (
        "gamma",
        MATH,
        "gamma(number)",
        "The gamma function, for a whole number n the factorial of n - 1.",
    ),
    (
        "number_text",
        STRING,
        "number_text(number, pattern)",
        "The number as text by a pattern of Postgres, such as `FM999,990.00`; `to_char(number, pattern)` is the same.",
    ),
    (
        "make_timestamp",
        TIME,
        "make_timestamp(year, month, day, hour, minute, seconds)",
        "The time of these numbers; fails where there is no such time.",
    ),
    (
        "make_timestamptz",
        TIME,
        "make_timestamptz(year, month, day, hour, minute, seconds)",
        "The instant of these numbers in UTC.",
    ),
];

/// What stands for something that people write otherwise, and is not called by name.
const INTERNAL: &[&str] = &[
    ADMITTED,
    SESSION_END,
    SESSION_START,
    TUMBLE_END,
    TUMBLE_START,
    WINDOW_BOUND,
    asof::AS_OF,
    casts::NAMED_CAST,
    functions::DATE_TRUNC_OF,
    functions::NOW_BEFORE,
    functions::NOW_REACHED,
    functions::VALUE_OF,
    functions::WITHIN_LAST,
    "json_array_of",
    "json_element_texts_of",
    "json_elements_of",
    "json_keys_of",
    "json_values_of",
    "json_value_texts_of",
    "json_list_of",
    "json_members_of",
    "json_object_of",
    "jsonb_members_of",
];

/// Whether a function stands for something that people write otherwise, so that its name says nothing to them.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

const TIME: &str = "Time and date functions";
const JSON: &str = "JSON functions";
const MODELS: &str = "Model functions";
const URL: &str = "URL functions";
const STRING: &str = "String functions";
const HASHING: &str = "Hashing functions";
const REGEX: &str = "Regular expression functions";
const MATH: &str = "Math functions";

/// What models are asked beside `score`, which is bound before a statement is planned.
const OF_MODELS: [(&str, &str); 3] = [
    (
        "threshold('NAME')",
        "The score from which on a row counts as odd.",
    ),
    (
        "model('NAME')",
        "The id of the model, the hash of its content.",
    ),
    (
        "model_version('NAME')",
        "The number of the model's version.",
    ),
];

/// The chapter of functions, in Markdown.
pub fn functions_chapter() -> String {
    let mut text = "# Functions\n\nAll functions that views and queries may call. Their descriptions are those of the library that computes them, Apache DataFusion, or our own where we \
        compute them ourselves. Aggregates of numbers are exact: see [Types and numbers](types.md#exact-numbers).\n".to_owned();
    for (kind, all) in all_functions() {
        let mut sections: BTreeMap<String, Vec<Described>> = BTreeMap::new();
        for function in all {
            sections
                .entry(function.section.clone())
                .or_default()
                .push(function);
        }
        for (section, functions) in sections {
            let title = match kind {
                Kind::Scalar => section,
                Kind::Aggregate => format!("Aggregates: {}", decapitalised(&section)),
                Kind::Window => format!("Window functions: {}", decapitalised(&section)),
            };
            let _ = write!(
                text,
                "\n## {title}\n\n| function | what it gives |\n|---|---|\n"
            );
            for it in functions {
                let also = match it.aliases.is_empty() {
                    true => String::new(),
                    false => format!(" Also `{}`.", it.aliases.join("`, `")),
                };
                let _ = writeln!(
                    text,
                    "| `{}` | {}{also} |",
                    cell(&it.syntax),
                    cell(&it.about)
                );
            }
        }
    }
    text += "\n## Names of other systems\n\nThese are understood, too, and stand for what is beside them. A name that systems disagree about is refused, with what to write instead.\n\n\
        | name | stands for |\n|---|---|\n";
    for (theirs, ours) in forms::names_of_others() {
        let _ = writeln!(text, "| `{}` | `{}` |", cell(&theirs), cell(&ours));
    }
    text
}

/// The chapter of options, in Markdown.
pub fn options_chapter() -> String {
    let mut text = "# Options of statements\n\nOptions stand in `WITH (name = 'value', …)`; values are texts. A time is written like `'90 seconds'` or `'1 hour'`. \
        An option that a statement does not have is an error that lists those it has.\n".to_owned();
    let sections: [(&str, &[StatedOption]); 11] = [
        ("CREATE SOURCE: Kafka", &kafka::OPTIONS),
        ("CREATE SOURCE: files", &place::FILES_OPTIONS),
        ("CREATE SOURCE: a Delta table", &place::DELTA_OPTIONS),
        ("CREATE SOURCE: pushed over HTTP", &place::HTTP_OPTIONS),
        ("CREATE SOURCE … FORMAT CSV", &formats::CSV_OPTIONS),
        ("CREATE SOURCE with a WATERMARK", &EVENT_TIME_OPTIONS),
        ("CREATE SOURCE with a PRIMARY KEY", &KEY_OPTIONS),
        ("CREATE TABLE … AS", &TABLE_OPTIONS),
        ("CREATE MATERIALIZED VIEW", &VIEW_OPTIONS),
        ("CREATE DETECTOR", &detectors::OPTIONS),
        ("CREATE WEBHOOK", &webhooks::OPTIONS),
    ];
    for (title, options) in sections {
        let _ = write!(
            text,
            "\n## {title}\n\n| option | takes | default | meaning |\n|---|---|---|---|\n"
        );
        for it in options {
            let default = match it.default {
                "" => "must be stated",
                some => some,
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {default} | {} |",
                it.name, it.values, it.about
            );
        }
    }
    text
}

#[derive(Clone, Copy)]
enum Kind {
    Scalar,
    Aggregate,
    Window,
}

/// All functions by kind, each once, by name.
fn all_functions() -> [(Kind, Vec<Described>); 3] {
    let ours = query::functions_session();
    let theirs = SessionStateBuilder::new().with_default_features().build();
    let scalar = by_name(
        ours.scalar_functions()
            .values()
            .map(|it| (it.name(), it.aliases())),
        |name| {
            theirs
                .scalar_functions()
                .get(name)
                .and_then(|it| it.documentation())
        },
    );
    let with_lambdas = by_name(
        ours.higher_order_functions()
            .values()
            .map(|it| (it.name(), it.aliases())),
        |name| {
            theirs
                .higher_order_functions()
                .get(name)
                .and_then(|it| it.documentation())
        },
    );
    let aggregate = by_name(
        ours.aggregate_functions()
            .values()
            .map(|it| (it.name(), it.aliases())),
        |name| {
            theirs
                .aggregate_functions()
                .get(name)
                .and_then(|it| it.documentation())
        },
    );
    let window = by_name(
        ours.window_functions()
            .values()
            .map(|it| (it.name(), it.aliases())),
        |name| {
            theirs
                .window_functions()
                .get(name)
                .and_then(|it| it.documentation())
        },
    );
    let mut scalar = scalar;
    scalar.extend(with_lambdas);
    scalar.extend(OF_MODELS.iter().map(|(syntax, about)| Described {
        aliases: Vec::new(),
        section: MODELS.to_owned(),
        syntax: (*syntax).to_owned(),
        about: (*about).to_owned(),
    }));
    [
        (Kind::Scalar, scalar),
        (Kind::Aggregate, aggregate),
        (Kind::Window, window),
    ]
}

fn by_name<'a, 'b>(
    functions: impl Iterator<Item = (&'a str, &'a [String])>,
    documentation: impl Fn(&str) -> Option<&'b Documentation>,
) -> Vec<Described> {
    let functions: BTreeMap<&str, &[String]> = functions.collect();
    let called = functions.iter().filter(|it| !INTERNAL.contains(it.0));
    let described = called.map(|(name, aliases)| {
        let ours = OURS.iter().find(|it| it.0 == *name);
        let (section, syntax, about) = match (ours, documentation(name)) {
            (Some((_, section, syntax, about)), _) => (
                (*section).to_owned(),
                (*syntax).to_owned(),
                (*about).to_owned(),
            ),
            (None, Some(it)) => (
                sentence_case(it.doc_section.label),
                it.syntax_example.clone(),
                without_links_of_theirs(&first_paragraph(&it.description)),
            ),
            (None, None) => (String::new(), format!("{name}(…)"), String::new()),
        };
        let mut aliases = aliases.to_vec();
        aliases.sort();
        Described {
            aliases,
            section,
            syntax,
            about,
        }
    });
    described.collect()
}

/// "Math Functions" is "Math functions".
fn sentence_case(title: &str) -> String {
    let mut words = title.split(' ');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, it| text + " " + &it.to_lowercase())
}

/// A text in which links into the library's own documentation are their words: there is no such page here.
fn without_links_of_theirs(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("](") {
        let linked = before.rsplit_once('[').zip(behind.split_once(')'));
        match linked {
            Some(((before, words), (target, behind))) if !target.contains("://") => {
                shown += before;
                shown += words;
                rest = behind;
            }
            Some(_) | None => {
                shown += before;
                shown += "](";
                rest = behind;
            }
        }
    }
    shown + rest
}

fn decapitalised(title: &str) -> String {
    title.to_lowercase()
}

fn first_paragraph(text: &str) -> String {
    text.trim()
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A text as it may stand in a cell of a table: on one line, and without anything that would end the cell.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_described() {
        let mut missing = Vec::new();
        for (_, functions) in all_functions() {
            let without = functions.iter().filter(|it| it.about.is_empty());
            missing.extend(without.map(|it| it.syntax.clone()));
        }
        assert!(missing.is_empty(), "describe in OURS: {missing:?}");
        for (name, ..) in OURS {
            let all = all_functions();
            let mut all = all.iter().flat_map(|it| &it.1);
            assert!(
                all.any(|it| it.syntax.starts_with(&format!("{name}("))),
                "{name} is no function"
            );
        }
    }

    /// A description that no parser reads would be a lie: each option is taken by the statement it is of.
    #[tokio::test]
    async fn every_described_option_is_known_to_its_parser() {
        let with_time = "WATERMARK FOR at AS at - INTERVAL '5' SECOND";
        let before = format!(
            "CREATE SOURCE s (at TIMESTAMP, k TEXT, {with_time}) WITH (connector = 'files', path = 'x') FORMAT JSON;
             CREATE TABLE raw AS SELECT * FROM s;
             CREATE MATERIALIZED VIEW m AS SELECT window_start, k, count(*) AS n FROM TUMBLE(raw, at, INTERVAL '1' MINUTE) GROUP BY window_start, k;"
        );
        let kafka = "connector = 'kafka', brokers = 'b:1', topic = 't'";
        let values = |name: &str| match name {
            "start" | "on_offset_gap" | "on_topic_recreated" => "earliest",
            "on_topic_missing" => "create",
            "topic_partitions" | "min_severity" | "false_alerts_per_day" => "3",
            "kafka.<client property>" => "plaintext",
            "timezone" => "Europe/Berlin",
            "max_event_time_lead" | "early" => "1 second",
            "cool_down" | "retention" | "incident_retention" | "max_age" => "1 hour",
            "season" => "none",
            "on_event_time_ahead" => "dead_letter",
            "version" => "at",
            "delete_when" => "k = ''x''",
            "explain_by" | "partition_by" => "k",
            "emit_final" => "window_start",
            "delimiter" => ";",
            "header" | "without_header" | "provisional" => "true",
            "url" | "page" => "https://example.org/x",
            "format" => "slack",
            "detectors" => "d",
            _ => "x",
        };
        let given = |it: &StatedOption| {
            let name = it
                .name
                .replace("kafka.<client property>", "\"kafka.security.protocol\"");
            format!("{name} = '{}'", values(it.name))
        };
        let mut statements: Vec<(String, String)> = Vec::new();
        let mut all =
            |options: &[StatedOption], left_out: &[&str], statement: &dyn Fn(&str) -> String| {
                for it in options.iter().filter(|it| !left_out.contains(&it.name)) {
                    statements.push((it.name.to_owned(), statement(&given(it))));
                }
            };
        let source = |columns: &str, options: &str, format: &str| {
            format!("CREATE SOURCE o (at TIMESTAMP, k TEXT{columns}) WITH ({options}) {format};")
        };
        all(
            &kafka::OPTIONS,
            &["connector", "brokers", "topic", "client_config"],
            &|it| source("", &format!("{kafka}, {it}"), "FORMAT JSON"),
        );
        let files = "connector = 'files', path = 'x'";
        all(&place::FILES_OPTIONS, &["connector", "path"], &|it| {
            source("", &format!("{files}, {it}"), "FORMAT JSON")
        });
        all(&place::DELTA_OPTIONS, &["connector", "path"], &|it| {
            source("", &format!("connector = 'delta', path = 'x', {it}"), "")
        });
        all(&place::HTTP_OPTIONS, &["connector"], &|it| {
            source("", &format!("connector = 'http', {it}"), "FORMAT JSON")
        });
        all(&formats::CSV_OPTIONS, &[], &|it| {
            source("", files, &format!("FORMAT CSV ({it})"))
        });
        all(&EVENT_TIME_OPTIONS, &[], &|it| {
            source(
                &format!(", {with_time}"),
                &format!("{files}, {it}"),
                "FORMAT JSON",
            )
        });
        all(&KEY_OPTIONS, &[], &|it| {
            source(
                ", PRIMARY KEY (k)",
                &format!("{files}, {it}"),
                "FORMAT JSON",
            )
        });
        all(&TABLE_OPTIONS, &[], &|it| {
            let it = it.replace("1 hour", "90 days");
            format!("CREATE TABLE t WITH ({it}) AS SELECT * FROM s;")
        });
        all(&VIEW_OPTIONS, &[], &|it| {
            format!(
                "CREATE MATERIALIZED VIEW v WITH ({it}) AS SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start;"
            )
        });
        all(&detectors::OPTIONS, &[], &|it| {
            format!("CREATE DETECTOR d ON m METRICS (rate(n)) WITH ({it});")
        });
        all(&webhooks::OPTIONS, &["url", "routing_key"], &|it| {
            format!(
                "CREATE DETECTOR d ON m METRICS (rate(n)); CREATE WEBHOOK w FOR incidents WITH (url = 'https://example.org', {it});"
            )
        });
        assert!(30 < statements.len());
        for (name, statement) in statements {
            let text = format!("{before}\n{statement}");
            let planned = crate::sql::plan_text("t", &text, |_| None).await;
            let refused = planned.err().map(|it| it.to_string());
            assert_eq!(refused, None, "{name}: {statement}");
        }
    }
}
