//! What the editor is told of SQL: what may be typed next, where a statement ends, and how it looks.

use super::catalog::{Catalog, Relation};
use super::command;
use super::lex::{Kind, Token, tokens};
use super::script::is_complete;
use crate::cli::terminal::count;
use reedline::{
    Color, Completer, CompletionResult, Highlighter, Span, StyledText, Suggestion,
    ValidationResult, Validator,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Words of queries.
const WORDS: [&str; 78] = [
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "ASOF",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CUMULATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "ANALYZE",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING SETS",
    "HAVING",
    "HOP",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "QUALIFY",
    "RANGE",
    "RIGHT",
    "ROLLUP",
    "ROWS",
    "SELECT",
    "SESSION",
    "SHOW COLUMNS FROM",
    "SHOW TABLES",
    "THEN",
    "TRUE",
    "TUMBLE",
    "UNBOUNDED",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN GROUP",
    "CUBE",
];
/// Behind these stands a relation.
const BEFORE_RELATIONS: [&str; 5] = ["FROM", "JOIN", "DESCRIBE", "DESC", "TABLE"];
/// And behind these commands.
const COMMANDS_OF_RELATIONS: [&str; 2] = ["\\d", "\\watch"];

/// SQL over what a catalog has.
#[derive(Clone)]
pub struct SqlAid {
    catalog: Arc<Catalog>,
}

/// What may be put in the place of the text from a byte to the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Candidates {
    from: usize,
    all: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    text: String,
    /// A few words of what it is.
    about: String,
}

impl Completer for SqlAid {
    fn complete(&mut self, text: &str, cursor: usize) -> CompletionResult {
        let Candidates { from, all } = self.candidates(text, cursor);
        // What steers a terminal is none of a name that one types.
        let all = all
            .into_iter()
            .filter(|it| !it.text.contains(char::is_control));
        let suggestions = all.map(|it| Suggestion {
            value: it.text,
            description: (!it.about.is_empty()).then_some(it.about),
            span: Span::new(from, cursor),
            ..Suggestion::default()
        });
        CompletionResult::fresh(suggestions.collect::<Vec<_>>())
    }
}

impl Validator for SqlAid {
    fn validate(&self, text: &str) -> ValidationResult {
        match is_complete(text) {
            true => ValidationResult::Complete,
            false => ValidationResult::Incomplete,
        }
    }
}

impl Highlighter for SqlAid {
    fn highlight(&self, text: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for token in tokens(text) {
            let part = &text[token.range];
            let style = match token.kind {
                Kind::Word if is_word(part) => Color::Blue.bold(),
                Kind::Text => Color::Green.normal(),
                Kind::Number => Color::Cyan.normal(),
                Kind::Comment => Color::Default.dimmed(),
                Kind::Command => Color::Magenta.normal(),
                _ => Color::Default.normal(),
            };
            // The editor counts a tab as one column, and the cursor as a byte of what is drawn.
            styled.push((style, part.replace('\t', " ")));
        }
        styled
    }
}

impl SqlAid {
    pub fn new(catalog: Catalog) -> Self {
        SqlAid {
            catalog: Arc::new(catalog),
        }
    }

    fn candidates(&self, text: &str, cursor: usize) -> Candidates {
        let before = &text[..cursor];
        let is_of_word = |it: char| it.is_alphanumeric() || it == '_' || it == '.';
        let from = before.trim_end_matches(is_of_word).len();
        let all = tokens(text);
        let within = all
            .iter()
            .find(|it| it.range.start < cursor && cursor <= it.range.end);
        match within.map(|it| (it.kind, it)) {
            Some((Kind::Command, token)) => self.of_command(text, token, cursor, from),
            Some((Kind::Comment, _)) => Candidates::default(),
            Some((Kind::Text | Kind::Name, token))
                if cursor < token.range.end || !token.is_closed =>
            {
                Candidates::default()
            }
            _ => Candidates {
                from,
                all: self.of_statement(text, &all, &before[from..], from),
            },
        }
    }
}

fn is_word(text: &str) -> bool {
    let mut words = WORDS.iter().flat_map(|it| it.split(' '));
    words.any(|it| it.eq_ignore_ascii_case(text))
}

impl SqlAid {
    fn of_command(&self, text: &str, token: &Token, cursor: usize, from: usize) -> Candidates {
        let typed = &text[token.range.start..cursor];
        let Some((name, rest)) = typed.split_once(' ') else {
            let mut names = BTreeSet::new();
            let fitting = command::ALL
                .iter()
                .filter(|it| it.0.starts_with(typed) && names.insert(it.0));
            return Candidates {
                from: token.range.start,
                all: fitting.map(|it| candidate(it.0, it.2)).collect(),
            };
        };
        let word = &text[from..cursor];
        let all = match name {
            "\\x" => starting(["on", "off", "auto"].into_iter(), word, "rows as blocks"),
            "\\timing" => starting(["on", "off"].into_iter(), word, "times with all digits"),
            "\\asof" => starting(["live"].into_iter(), word, "of now"),
            it if COMMANDS_OF_RELATIONS.contains(&it) && !rest.trim_start().contains(' ') => {
                self.relations(word)
            }
            "\\watch" => {
                let start = token.range.start + name.len();
                self.of_statement(&text[start..], &tokens(&text[start..]), word, from - start)
            }
            _ => Vec::new(),
        };
        Candidates { from, all }
    }

    /// What may stand in the place of a word that begins at a byte.
    fn of_statement(&self, text: &str, all: &[Token], word: &str, from: usize) -> Vec<Candidate> {
        // The statement around it: names behind the cursor count, too.
        let begin = all
            .iter()
            .rfind(|it| it.kind == Kind::Semicolon && it.range.end <= from);
        let begin = begin.map_or(0, |it| it.range.end);
        let end = all
            .iter()
            .find(|it| it.kind == Kind::Semicolon && from <= it.range.start);
        let end = end.map_or(text.len(), |it| it.range.start);
        let words: Vec<(usize, &str)> = all
            .iter()
            .filter(|it| matches!(it.kind, Kind::Word | Kind::Name | Kind::Symbol))
            .filter(|it| begin <= it.range.start && it.range.end <= end)
            .map(|it| (it.range.start, &text[it.range.clone()]))
            .collect();
        let last = words.iter().rfind(|it| it.0 < from).map(|it| it.1);
        if last.is_some_and(|it| {
            BEFORE_RELATIONS
                .iter()
                .any(|word| word.eq_ignore_ascii_case(it))
        }) {
            return self.relations(word);
        }
        let named = self.named(&words);
        if let Some((qualifier, part)) = word.rsplit_once('.') {
            let of_alias = named
                .iter()
                .filter(|it| it.0.eq_ignore_ascii_case(qualifier));
            let columns = of_alias.flat_map(|it| columns(it.1, part, qualifier));
            let mut all: Vec<Candidate> = columns.collect();
            if all.is_empty() {
                all = self.relations(word);
            }
            return all;
        }
        let mut all: Vec<Candidate> = Vec::new();
        let mut taken = BTreeSet::new();
        for (_, relation) in &named {
            let columns = columns(relation, word, "");
            all.extend(columns.filter(|it| taken.insert(it.text.clone())));
        }
        if word.is_empty() {
            return all;
        }
        all.extend(self.relations(word));
        let lower = word.chars().all(|it| it.is_lowercase() || it == '_');
        let keywords = WORDS
            .iter()
            .filter(|it| begins(it, word))
            .map(|it| match lower {
                true => candidate(&it.to_lowercase(), ""),
                false => candidate(it, ""),
            });
        all.extend(keywords);
        let functions = self.catalog.functions.iter().filter(|it| begins(it, word));
        all.extend(functions.map(|it| candidate(&format!("{it}("), "function")));
        all
    }

    fn relations(&self, word: &str) -> Vec<Candidate> {
        let fitting = self
            .catalog
            .relations
            .iter()
            .filter(|it| begins(&it.name, word));
        let fitting = fitting.map(|it| {
            let rows = it
                .rows
                .map_or(String::new(), |it| format!(", {}", count(it, "row")));
            candidate(&it.name, &format!("{}{rows}", it.kind))
        });
        fitting.collect()
    }

    /// The relations that words name, under their names and what stands for them.
    fn named<'b>(&'b self, words: &[(usize, &'b str)]) -> Vec<(&'b str, &'b Relation)> {
        let mut named = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let word = |it: usize| words.get(it).map_or("", |it| it.1);
            let joined = format!("{}.{}", word(at), word(at + 2));
            let (found, next) = match word(at + 1) == "." {
                true => (self.catalog.find(&joined), at + 3),
                false => (self.catalog.find(word(at)), at + 1),
            };
            let Some(relation) = found else {
                at += 1;
                continue;
            };
            // Columns often have the name of a relation.
            let is_read = at != 0
                && (word(at - 1) == ","
                    || BEFORE_RELATIONS
                        .iter()
                        .any(|it| it.eq_ignore_ascii_case(word(at - 1))))
                || word(at.wrapping_sub(1)) == "(";
            at = next;
            if !is_read {
                continue;
            }
            named.push((word(next - 1), relation));
            let alias = match word(next).eq_ignore_ascii_case("as") {
                true => word(next + 1),
                false => word(next),
            };
            if alias.starts_with(|it: char| it.is_alphabetic() || it == '_') && !is_word(alias) {
                named.push((alias, relation));
            }
        }
        named
    }
}

fn columns<'a>(
    relation: &'a Relation,
    word: &'a str,
    qualifier: &'a str,
) -> impl Iterator<Item = Candidate> + 'a {
    let fitting = relation
        .columns
        .iter()
        .filter(move |it| begins(&it.name, word));
    fitting.map(move |it| {
        let role = it.role.as_deref().filter(|it| *it != "other");
        let about = role.map_or(it.kind.clone(), |role| format!("{}, {role}", it.kind));
        match qualifier {
            "" => candidate(&it.name, &about),
            _ => candidate(&format!("{qualifier}.{}", it.name), &about),
        }
    })
}

fn starting<'a>(all: impl Iterator<Item = &'a str>, word: &str, about: &str) -> Vec<Candidate> {
    let fitting = all.filter(|it| begins(it, word));
    fitting.map(|it| candidate(it, about)).collect()
}

fn candidate(text: &str, about: &str) -> Candidate {
    let plain = |it: &str| {
        it.chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .collect()
    };
    Candidate {
        text: text.to_owned(),
        about: plain(about),
    }
}

fn begins(text: &str, word: &str) -> bool {
    let begin = text.as_bytes().get(..word.len());
    begin.is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests;
