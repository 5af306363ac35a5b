//! Alike lines: records grouped by the text of a column without its variable parts.
//!
//! The different texts are counted in SQL, the most frequent ones first, and masked here. Where there are more of them than are taken,
//! the answer says how many records the groups are made of.

use super::mask::{Masked, masked};
use super::{asked, count_of, rows, text_of};
use crate::http::App;
use crate::http::entry::Log;
use crate::http::filter::quoted_name;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::model::iso_of_micros;
use crate::plan::Role;
use arrow::datatypes::DataType;
use axum::extract::State;
use axum::response::Json as JsonBody;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

const PATTERNS_DEFAULT: usize = 100;
pub const PATTERNS_MAX: usize = 1_000;
/// Different texts that are grouped.
const TEXTS_MAX: usize = 50_000;
/// Longest example.
const EXAMPLE_MAX: usize = 1_000;

/// Records grouped by what their texts have in common.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Patterns {
    /// The column whose texts are grouped, and those that can be.
    pub column: String,
    pub columns: Vec<String>,
    pub from: String,
    pub to: String,
    pub r#where: Option<String>,
    /// Records with a text.
    pub records: u64,
    /// Records of them that are in groups: less if there are too many different texts.
    pub grouped: u64,
    /// Groups, whether they are told or not.
    pub groups: u64,
    /// The largest groups.
    pub patterns: Vec<TextPattern>,
    pub elapsed_ms: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TextPattern {
    /// The text with its variable parts masked: `<n>`, `<hex>`, `<uuid>`, `<ip>`, `<time>`, `<id>`, `'<text>'`.
    pub pattern: String,
    /// As a pattern of LIKE, which a filter takes.
    pub like: String,
    pub count: u64,
    /// Different texts.
    pub texts: u64,
    /// Times of the first and the last record.
    pub first: String,
    pub last: String,
    /// The most frequent text.
    pub example: String,
}

#[derive(Debug)]
struct Group {
    count: u64,
    texts: u64,
    first: i64,
    last: i64,
    example: String,
}

/// Different texts, the most frequent first, each with its count and the times of the first and last record.
fn grouped(texts: impl Iterator<Item = (String, u64, i64, i64)>) -> Vec<(Masked, Group)> {
    let mut groups: HashMap<Masked, Group> = HashMap::new();
    for (text, count, first, last) in texts {
        let example = || text.chars().take(EXAMPLE_MAX).collect();
        let group = groups.entry(masked(&text)).or_insert_with(|| Group {
            count: 0,
            texts: 0,
            first,
            last,
            example: example(),
        });
        group.count += count;
        group.texts += 1;
        group.first = group.first.min(first);
        group.last = group.last.max(last);
    }
    let mut groups: Vec<(Masked, Group)> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
    groups
}

/// Columns with texts: prose first.
fn text_columns(log: &Log<'_>) -> Vec<String> {
    let order = [Role::Text, Role::Key, Role::Other, Role::Id];
    let mut all: Vec<(usize, String)> = log
        .shown()
        .filter(|it| *it.data_type() == DataType::Utf8)
        .map(|it| {
            let role = log.role(it.name());
            let rank = order.iter().position(|known| *known == role);
            (rank.unwrap_or(order.len()), it.name().clone())
        })
        .collect();
    // Stable: within a rank they are in the order of the table.
    all.sort_by_key(|it| it.0);
    all.into_iter().map(|it| it.1).collect()
}

pub async fn patterns(
    State(app): State<Arc<App>>,
    query: Parameters,
) -> Result<JsonBody<Patterns>, Problem> {
    let began = std::time::Instant::now();
    let limit = query.count("limit").unwrap_or(PATTERNS_DEFAULT);
    let asked = asked(&app, &query)?;
    let columns = text_columns(&asked.log);
    let column = match query.text("column") {
        None => columns.first().cloned().ok_or_else(|| {
            Problem::not_found("unknown_column", "the log has no column with texts")
        })?,
        Some(it) if columns.iter().any(|known| known == it) => it.to_owned(),
        Some(it) => {
            return Err(Problem::not_found(
                "unknown_column",
                format!("the log has no column with texts that is called `{it}`"),
            )
            .hint(format!("there are: {}", columns.join(", "))));
        }
    };
    let (name, time) = (quoted_name(&column), quoted_name(&asked.log.time));
    let source = format!(
        "{} WHERE {} AND {name} IS NOT NULL",
        asked.relation(),
        asked.conditions()
    );
    let sql = format!(
        "SELECT {name}, count(*), min({time}), max({time}) FROM {source} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TEXTS_MAX}"
    );
    let found = rows(&app, &sql).await?;
    let is_cut = found.len() == TEXTS_MAX;
    let texts = found.into_iter().map(|row| {
        let time = |at: usize| row[at].as_i64().unwrap_or_default();
        (text_of(&row[0]), count_of(&row[1]), time(2), time(3))
    });
    // Tens of thousands of texts take a while.
    let texts: Vec<(String, u64, i64, i64)> = texts.collect();
    let groups = app
        .queries
        .aside(move || grouped(texts.into_iter()))
        .await?;
    let grouped: u64 = groups.iter().map(|it| it.1.count).sum();
    let records = match is_cut {
        false => grouped,
        true => {
            let counted = rows(&app, &format!("SELECT count(*) FROM {source}")).await?;
            counted.first().map_or(grouped, |it| count_of(&it[0]))
        }
    };
    Ok(JsonBody(Patterns {
        column,
        columns,
        from: iso_of_micros(asked.from),
        to: iso_of_micros(asked.to),
        r#where: asked.filter_text(),
        records,
        grouped,
        groups: groups.len() as u64,
        patterns: groups
            .into_iter()
            .take(limit)
            .map(|(masked, group)| TextPattern {
                pattern: masked.pattern,
                like: masked.like,
                count: group.count,
                texts: group.texts,
                first: iso_of_micros(group.first),
                last: iso_of_micros(group.last),
                example: group.example,
            })
            .collect(),
        elapsed_ms: began.elapsed().as_secs_f64() * 1000.0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_texts_are_one_group_with_its_times_and_the_most_frequent_example() {
        let texts = [
            ("took 5 ms", 7, 10, 20),
            ("took 91 ms", 4, 5, 15),
            ("no route", 9, 1, 2),
        ];
        let texts = texts.map(|(text, count, first, last)| (text.to_owned(), count, first, last));
        let groups = grouped(texts.into_iter());
        let told: Vec<(&str, u64, u64, i64, i64, &str)> = groups
            .iter()
            .map(|(masked, it)| {
                (
                    masked.pattern.as_str(),
                    it.count,
                    it.texts,
                    it.first,
                    it.last,
                    it.example.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("took <n> ms", 11, 2, 5, 20, "took 5 ms"),
                ("no route", 9, 1, 1, 2, "no route"),
            ]
        );
    }
}
