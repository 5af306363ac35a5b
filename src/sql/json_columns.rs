//! Columns of JSON in operators and functions that make JSON. JSON is carried as text, so without a look at what a column was declared as, `payload || '{}'`
//! would put one text behind the other, and `to_jsonb(payload)` would make a string of it.

use super::column_types::{ColumnType, Known, Relation, Types, type_of};
use super::{forms, syntax, walk};
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, VisitorMut};
use std::ops::ControlFlow;

/// Takes such columns as JSON, wherever they are in a query.
///
/// # Errors
/// If an operator takes no JSON.
pub fn rewrite(query: &mut Query, known: Known) -> Result<(), String> {
    let mut rewrite = Rewrite {
        types: Types::new(known),
        scopes: Vec::new(),
    };
    walk::query(query, &mut rewrite)
}

struct Rewrite<'a> {
    types: Types<'a>,
    /// The relations of the SELECTs around a place, the innermost last.
    scopes: Vec<Vec<Relation>>,
}

impl Rewrite<'_> {
    fn is_json(&self, expr: &Expr) -> bool {
        let found = self.scopes.iter().rev().find_map(|it| type_of(expr, it));
        found == Some(ColumnType::Json)
    }
}

impl VisitorMut for Rewrite<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.types.note(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        self.scopes.push(self.types.relations(&select.from));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<String> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let text = match forms::of_json(expr, &|it| self.is_json(it)) {
            Some(text) => text,
            None => return ControlFlow::Continue(()),
        };
        match syntax::parse_expression(&text) {
            Ok(instead) => {
                *expr = instead;
                ControlFlow::Continue(())
            }
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use std::sync::Arc;

    fn rewritten(text: &str) -> String {
        let schema = |name: &str| -> Option<SchemaRef> {
            let fields = ["payload", "note"].map(|it| Field::new(it, DataType::Utf8, true));
            (name == "events").then(|| Arc::new(Schema::new(fields.to_vec())))
        };
        let known = Known {
            schema: &schema,
            is_json: &|relation, column| (relation, column) == ("events", "payload"),
        };
        let mut query = syntax::parse_query(text).unwrap();
        forms::rewrite(&mut query).unwrap();
        rewrite(&mut query, known).unwrap();
        query.to_string()
    }

    #[test]
    fn columns_of_json_are_json() {
        for (text, expected) in [
            ("payload - 'a'", "json_without(payload, 'a')"),
            (
                "payload || '{\"a\": 1}'",
                "json_concat(payload, '{\"a\": 1}')",
            ),
            (
                "e.payload || payload || '[1]'",
                "json_concat(json_concat(e.payload, payload), '[1]')",
            ),
            ("to_jsonb(payload)", "parse_json(payload)"),
            (
                "jsonb_build_object('a', payload, 'b', note)",
                "json_object_of('a', parse_json(payload), 'b', to_json(note))",
            ),
            // Texts are what they were.
            ("note || '{\"a\": 1}'", "note || '{\"a\": 1}'"),
            ("note || payload", "note || payload"),
            ("payload || ' of it'", "payload || ' of it'"),
            ("to_jsonb(note)", "to_jsonb(note)"),
        ] {
            let item = format!("SELECT {text} AS it FROM events AS e");
            let wanted = format!("SELECT {expected} AS it FROM events AS e");
            assert_eq!(rewritten(&item), wanted);
        }
    }

    #[test]
    fn relations_pass_them_on() {
        const TEXT: &str = "CREATE SOURCE events (id BIGINT, payload JSON, note TEXT) WITH (connector = 'files', path = './events') FORMAT JSON;
            CREATE TABLE log AS SELECT * FROM events;
            CREATE VIEW users AS SELECT id, payload -> 'user' AS who, note FROM log;
            CREATE MATERIALIZED VIEW last AS SELECT id, max(note) AS note, last_value(who ORDER BY id) AS who FROM users GROUP BY id;
            CREATE MATERIALIZED VIEW all_of_them AS SELECT who, payload AS p FROM users JOIN log ON users.id = log.id;";
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let dataflow = runtime.block_on(crate::sql::plan_text("t", TEXT, |_| None));
        let json = dataflow.unwrap().json_columns();
        let found: Vec<(&str, Vec<&str>)> = json
            .iter()
            .map(|(name, columns)| (name.as_str(), columns.iter().map(String::as_str).collect()))
            .collect();
        let expected = [
            ("all_of_them", vec!["p", "who"]),
            ("events", vec!["payload"]),
            ("log", vec!["payload"]),
            ("users", vec!["who"]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn they_are_found_through_queries() {
        for (from, is_found) in [
            ("(SELECT payload AS it FROM events) AS a", true),
            ("(SELECT note AS it, payload FROM events) AS a", false),
            ("(SELECT payload -> 'a' AS it FROM events) AS a", true),
            (
                "(SELECT * FROM (SELECT payload AS it FROM events)) AS a",
                true,
            ),
            ("events AS a (it, note)", true),
            ("a", true),
        ] {
            let text = format!(
                "WITH a AS (SELECT payload AS it FROM events) SELECT it - 'k' AS o FROM {from}"
            );
            let expected = if is_found {
                "json_without(it, 'k')"
            } else {
                "it - 'k'"
            };
            let found = rewritten(&text);
            assert!(
                found.contains(&format!("SELECT {expected} AS o")),
                "{found}"
            );
        }
        // A column of the query around a sub-query.
        let text =
            "SELECT (SELECT count(*) FROM others WHERE payload || '{}' = x) AS n FROM events";
        assert!(rewritten(text).contains("json_concat(payload, '{}') = x"));
    }
}
