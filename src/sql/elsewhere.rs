//! Statements and clauses that other systems have and a dataflow has not: what to write here instead.

use super::slips::stopped_at;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(it) if it.quote_style.is_none() => Some(&it.value),
        _ => None,
    }
}

pub fn is_word(token: &Token, wanted: &str) -> bool {
    word(token).is_some_and(|it| it.eq_ignore_ascii_case(wanted))
}

/// Refuses clauses that the parser would take for something else, or not know.
///
/// # Errors
/// With the line of the clause.
pub fn refuse_clauses(tokens: &[TokenWithSpan]) -> Result<(), (u64, String)> {
    let solid: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|it| !matches!(it.token, Token::Whitespace(_)))
        .collect();
    for (at, token) in solid.iter().enumerate() {
        let next = solid.get(at + 1).map_or(&Token::EOF, |it| &it.token);
        let line = token.span.start.line;
        let emitted = ["ON", "CHANGES", "FINAL", "WITHOUT", "AFTER"];
        if is_word(&token.token, "EMIT") && emitted.iter().any(|it| is_word(next, it)) {
            return Err((
                line,
                "rows of a view are there with their first record, and change; leave EMIT out, or end the statement with EMIT ON WINDOW CLOSE to have those of a window once, when the watermark has passed its end".to_owned(),
            ));
        }
        if is_word(&token.token, "CORRESPONDING")
            && at.checked_sub(1).is_some_and(|it| {
                let before = &solid[it].token;
                let words = ["UNION", "INTERSECT", "EXCEPT", "ALL", "DISTINCT"];
                words.iter().any(|it| is_word(before, it))
            })
        {
            return Err((
                line,
                "CORRESPONDING is not supported; name the columns of both sides in one order, or write UNION BY NAME where both have the same".to_owned(),
            ));
        }
        if is_word(&token.token, "WITHIN") && matches!(next, Token::Number(..) | Token::LParen) {
            return Err((
                line,
                "how far apart rows of a join may be is a condition of it: a JOIN b ON a.key = b.key AND b.time BETWEEN a.time - INTERVAL '10' MINUTE AND a.time + INTERVAL '10' MINUTE".to_owned(),
            ));
        }
        if is_word(&token.token, "MATCH_RECOGNIZE") && *next == Token::LParen {
            return Err((
                line,
                "MATCH_RECOGNIZE is not supported; compare each record with those around it by lag(…) or lead(…) OVER (PARTITION BY … ORDER BY …) in a sub-query, and write the pattern as a condition on them".to_owned(),
            ));
        }
    }
    Ok(())
}

/// What to write instead of a map, if the parser stopped at this place of a text because of one: `MAP<TEXT, INT>`, `MAP['a', 1]`, `MAP {'a': 1}`.
pub fn of_map(text: &str, line: u64, column: u64) -> Option<&'static str> {
    let (tokens, at) = stopped_at(text, line, column)?;
    let is_map = |it: usize| {
        it.checked_sub(1)
            .is_some_and(|it| is_word(&tokens[it].token, "MAP"))
    };
    const VALUE: &str = "there are no maps; write jsonb_build_object('key', value), and value -> 'key' for what is in it";
    match tokens[at].token {
        Token::Lt if is_map(at) => Some(
            "columns have no type MAP; declare it as JSON, and write column -> 'key' for what is in it",
        ),
        Token::LBrace if is_map(at) => Some(VALUE),
        Token::Comma => {
            let mut open = 0;
            let begins = (0..at).rev().find(|it| {
                match tokens[*it].token {
                    Token::RBracket | Token::RParen => open += 1,
                    Token::LBracket | Token::LParen if 0 < open => open -= 1,
                    Token::LBracket => return true,
                    _ => {}
                }
                false
            });
            begins.filter(|it| is_map(*it)).map(|_| VALUE)
        }
        _ => None,
    }
}

/// What to write instead of the next statement, if it is one of other systems.
pub fn instead(parser: &Parser) -> Option<String> {
    let at = |n: usize| parser.peek_nth_token(n).token;
    let first = at(0);
    let is = |wanted: &str| is_word(&first, wanted);
    if is("SELECT") || is("WITH") || is("VALUES") {
        return Some(
            "a query alone has no name in a dataflow; write CREATE MATERIALIZED VIEW name AS, or CREATE VIEW name AS, before it"
                .to_owned(),
        );
    }
    if is("INSERT") {
        return Some(
            "a dataflow has no INSERT: what a query yields is a view, CREATE MATERIALIZED VIEW name AS SELECT …"
                .to_owned(),
        );
    }
    if is("DECLARE") {
        return Some("write CREATE VIEW for what DECLARE … VIEW is elsewhere".to_owned());
    }
    if !is("CREATE") {
        return None;
    }
    let is_from = is_word(&at(3), "FROM");
    let text = if is_word(&at(1), "SOURCE") && is_from {
        "a source declares its columns, and how its records are written: CREATE SOURCE name (column TYPE, …) WITH (connector = 'kafka', brokers = '${KAFKA_BROKERS}', topic = '…') FORMAT JSON"
    } else if is_word(&at(1), "STREAM") {
        "a stream with columns is a source: CREATE SOURCE name (…) WITH (connector = 'kafka', brokers = '${KAFKA_BROKERS}', topic = '…') FORMAT JSON; one of a query is CREATE VIEW name AS SELECT …"
    } else if is_word(&at(1), "SINK") {
        "a dataflow has no CREATE SINK: each materialized view and each CREATE TABLE … AS is a Delta table of the lake already; leave the statement out"
    } else if is_word(&at(1), "UNIQUE") {
        "an index keeps nothing unique here: views are kept in memory and need none; leave the statement out, and state PRIMARY KEY (…) where a record replaces the earlier one of its key"
    } else if is_word(&at(1), "RECURSIVE") {
        "recursive views are not maintained: a query would have to read its own result; write a join for each step, as many as there can be"
    } else if is_word(&at(1), "CONNECTION") || is_word(&at(1), "SECRET") {
        "a connection is stated where it is used: CREATE SOURCE … WITH (connector = 'kafka', brokers = '${KAFKA_BROKERS}', …), with secrets as ${NAME} of the environment"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What to write instead of a constraint that a source does not have, if the next words are one.
pub fn constraint(parser: &Parser) -> Option<String> {
    let [first, second] = [0, 1].map(|n| parser.peek_nth_token(n).token);
    let is_one = is_word(&first, "CHECK") && second == Token::LParen;
    is_one.then(|| {
        "a source checks no conditions; leave the clause out, or write it as WHERE of a view"
            .to_owned()
    })
}

/// What to write instead of a part of a column that a source does not have, if the next words are one.
pub fn of_column(parser: &Parser) -> Option<String> {
    let next = parser.peek_nth_token(0).token;
    if is_word(&next, "METADATA") {
        return Some("where a record was read is in the columns _partition, _offset and _epoch of each source; leave METADATA out".to_owned());
    }
    constraint(parser)
}

/// Options of a topic under the names that they have in Flink, RisingWave and Arroyo, and ours.
const TOPIC_OPTIONS: [(&str, &str); 9] = [
    ("properties.bootstrap.servers", "brokers"),
    ("properties.bootstrap.server", "brokers"),
    ("bootstrap_servers", "brokers"),
    ("properties.group.id", "group"),
    ("source.group_id", "group"),
    ("scan.startup.mode", "start"),
    ("source.offset", "start"),
    ("properties.auto.offset.reset", "start"),
    ("value.format", "format"),
];

/// What others call a client property begins so.
const PROPERTY_PREFIX: &str = "properties.";

/// Options of a source that reads a topic by our names. A second one of a name that is stated already keeps its own, by which it is refused.
pub fn of_topic(options: Vec<(String, String)>) -> Vec<(String, String)> {
    let is_topic = |it: &(String, String)| it.0 == "connector" && it.1 == "kafka";
    if !options.iter().any(is_topic) {
        return options;
    }
    let mut ours: Vec<(String, String)> = Vec::with_capacity(options.len());
    for (name, value) in options {
        let known = TOPIC_OPTIONS.iter().find(|it| it.0 == name);
        let renamed = match known {
            Some((_, ours)) => Some((*ours).to_owned()),
            None => name
                .strip_prefix(PROPERTY_PREFIX)
                .map(|it| format!("kafka.{it}")),
        };
        let renamed = renamed.filter(|it| ours.iter().all(|(stated, _)| stated != it));
        let value = match (renamed.as_deref(), value.as_str()) {
            (Some("start"), "earliest-offset") => "earliest".to_owned(),
            (Some("start"), "latest-offset") => "latest".to_owned(),
            _ => value,
        };
        ours.push((renamed.unwrap_or(name), value));
    }
    ours
}

/// Options of a source that reads files by our names: Arroyo and Flink call the connector `single_file` and `filesystem`. That a table is a source is
/// what Arroyo says of all of them.
pub fn of_files(mut options: Vec<(String, String)>) -> Vec<(String, String)> {
    options.retain(|(name, value)| (name.as_str(), value.as_str()) != ("type", "source"));
    for (name, value) in &mut options {
        if name == "connector" && ["single_file", "filesystem"].contains(&value.as_str()) {
            "files".clone_into(value);
        }
    }
    options
}

/// Whether an option of a table says what is so without it: Feldera keeps a table that is `materialized`, and has what is appended only in a
/// table without a key.
pub fn says_nothing((name, value): &(String, String), has_key: bool) -> bool {
    match (name.as_str(), value.as_str()) {
        ("materialized", "true" | "false") | ("append_only", "false") | ("connectors", "[]") => {
            true
        }
        ("append_only", "true") => !has_key,
        _ => false,
    }
}
