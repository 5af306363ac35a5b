//! What is offered where, what it replaces, and how a text looks.

use super::*;

fn catalog() -> Catalog {
    let column = |name: &str| serde_json::json!({"name": name, "type": "bigint", "role": "count"});
    serde_json::from_value(serde_json::json!({
        "tables": [
            {"name": "orders", "kind": "live view", "rows": 3, "columns": [column("country"), column("amount")]},
            {"name": "lake.orders", "kind": "lake table", "columns": [column("country"), column("customer")]},
            {"name": "lake.clicks", "kind": "lake table", "columns": [column("page")]},
        ],
        "functions": ["count", "concat"],
    }))
    .expect("a catalog")
}

/// What may stand at `|`.
fn candidates(text: &str) -> Vec<String> {
    let cursor = text.find('|').expect("a cursor");
    let found = SqlAid::new(catalog()).complete(&text.replacen('|', "", 1), cursor);
    let found = found.suggestions().iter();
    found.map(|it| it.value.clone()).collect()
}

#[test]
fn what_fits_the_place_is_offered() {
    for (text, expect) in [
        ("SELECT * FROM o|", vec!["orders"]),
        (
            "select * from |",
            vec!["orders", "lake.orders", "lake.clicks"],
        ),
        ("SELECT * FROM lake.c|", vec!["lake.clicks"]),
        (
            "SELECT co| FROM orders",
            vec!["country", "count(", "concat("],
        ),
        ("SELECT  | FROM lake.clicks", vec!["page"]),
        ("SELECT o.a| FROM orders AS o", vec!["o.amount"]),
        (
            "SELECT l.| FROM lake.orders l JOIN orders",
            vec!["l.country", "l.customer"],
        ),
        ("SELECT orders.am| FROM orders", vec!["orders.amount"]),
        (
            "SELECT c| FROM orders; SELECT page FROM lake.clicks",
            vec![
                "country", "case", "cast", "cross", "cumulate", "cube", "count(", "concat(",
            ],
        ),
        ("SELECT amount FROM orders wh|", vec!["when", "where"]),
        ("SEL|", vec!["SELECT"]),
        ("SELECT 'or|'", vec![]),
        ("SELECT 1 -- or|", vec![]),
        ("SHOW T|", vec!["THEN", "TRUE", "TUMBLE"]),
        (
            "\\|",
            vec![
                "\\?", "\\d", "\\x", "\\o", "\\watch", "\\asof", "\\timing", "\\i", "\\e", "\\q",
            ],
        ),
        ("\\wa|", vec!["\\watch"]),
        ("\\d lake.o|", vec!["lake.orders"]),
        ("\\x a|", vec!["auto"]),
        (
            "\\watch SELECT a| FROM orders",
            vec![
                "amount", "all", "and", "any", "as", "asc", "asof", "analyze",
            ],
        ),
    ] {
        assert_eq!(candidates(text), expect, "{text}");
    }
}

#[test]
fn words_texts_and_numbers_look_apart() {
    let text = "select 'a',\tn, 1.5 -- x";
    let styled = SqlAid::new(Catalog::default()).highlight(text, 0);
    let plain = Color::Default.normal();
    let parts = styled.buffer.iter().filter(|it| it.0 != plain);
    let parts: Vec<_> = parts.map(|it| (it.1.as_str(), it.0)).collect();
    let expect = [
        ("select", Color::Blue.bold()),
        ("'a'", Color::Green.normal()),
        ("1.5", Color::Cyan.normal()),
        ("-- x", Color::Default.dimmed()),
    ];
    assert_eq!(parts, expect);
    let drawn: String = styled.buffer.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(drawn, "select 'a', n, 1.5 -- x");
}

#[test]
fn what_is_chosen_takes_the_place_of_the_word() {
    let found = SqlAid::new(catalog()).complete("SELECT * FROM ord WHERE true", 17);
    let [orders] = found.suggestions() else {
        panic!("{found:?}");
    };
    assert_eq!(orders.span, Span::new(14, 17));
    assert_eq!(orders.description.as_deref(), Some("live view, 3 rows"));
    let hostile = serde_json::from_value(serde_json::json!({
        "tables": [{"name": "ord\u{1b}[2J", "kind": "live view", "columns": []}],
        "functions": [],
    }));
    let found = SqlAid::new(hostile.expect("a catalog")).complete("FROM ord", 8);
    assert!(found.suggestions().is_empty(), "{found:?}");
}
