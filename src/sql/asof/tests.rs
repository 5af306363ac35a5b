//! ASOF joins as they are written, as they are planned, and refused.

use super::*;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

fn read(sql: &str) -> Result<Query, String> {
    let tokens = Tokenizer::new(&Tidelake, sql).tokenize_with_location();
    let tokens = as_joins(tokens.unwrap()).map_err(|it| it.1)?;
    let parser = Parser::new(&Tidelake).with_tokens_with_locations(tokens);
    let query = { parser }.parse_query().map_err(|it| it.to_string())?;
    // It goes through text, as the query of a view does.
    let mut query = syntax::parse_query(&query.to_string())?;
    rewrite(&mut query)?;
    Ok(query)
}

#[test]
fn every_spelling_is_one_join() {
    let inner = "SELECT a.x, b.y FROM a JOIN (SELECT *, lead(b.t) OVER (PARTITION BY b.k ORDER BY b.t) AS \"__until0\" FROM b AS b WHERE b.t IS NOT NULL) AS b \
        ON asof(b.\"__until0\" IS NULL OR a.t < b.\"__until0\") AND a.t >= b.t AND a.k = b.k";
    let left = inner.replace("FROM a JOIN", "FROM a LEFT JOIN");
    let spelled = [
        (
            "SELECT a.x, b.y FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t",
            inner,
        ),
        (
            "SELECT a.x, b.y FROM a ASOF INNER JOIN b ON b.t <= a.t AND b.k = a.k",
            inner,
        ),
        (
            "SELECT a.x, b.y FROM a asof left join b ON a.k = b.k AND a.t >= b.t",
            &left,
        ),
        (
            "SELECT a.x, b.y FROM a LEFT ASOF JOIN b MATCH_CONDITION (a.t >= b.t) ON a.k = b.k",
            &left,
        ),
        (
            "SELECT a.x, b.y FROM a INNER ASOF JOIN b MATCH_CONDITION b.t <= a.t ON a.k = b.k",
            inner,
        ),
    ];
    for (sql, expected) in spelled {
        assert_eq!(read(sql).unwrap().to_string(), expected, "{sql}");
    }
}

#[test]
fn joins_stand_within_each_other() {
    let query = read(
        "SELECT a.x FROM a ASOF JOIN (SELECT c.k, c.t FROM c ASOF LEFT JOIN d ON c.k = d.k AND c.t >= d.t) b ON a.k = b.k AND a.t >= b.t",
    );
    let text = query.unwrap().to_string();
    assert_eq!(text.matches("lead(").count(), 2, "{text}");
    assert!(!text.contains("asof()"), "{text}");
}

#[test]
fn words_that_are_no_join_stay() {
    for sql in [
        "SELECT asof FROM a AS asof WHERE asof.x = 'ASOF JOIN'",
        "SELECT 1 FROM a LEFT OUTER JOIN b ON a.k = b.k",
    ] {
        assert_eq!(read(sql).unwrap().to_string(), sql);
    }
}

#[test]
fn a_star_leaves_the_own_column_out() {
    let text = read("SELECT *, b.*, a.* FROM a ASOF JOIN b ON a.k = b.k AND a.t < b.t").unwrap();
    let text = text.to_string();
    assert!(
        text.starts_with("SELECT * EXCEPT (\"__until0\"), b.* EXCEPT (\"__until0\"), a.* FROM"),
        "{text}"
    );
    assert!(text.contains("ORDER BY b.t DESC"), "{text}");
    assert!(text.contains("a.t >= b.\"__until0\""), "{text}");
}

#[test]
fn other_forms_are_refused_with_what_to_write() {
    let refused = [
        (
            "SELECT 1 FROM a ASOF RIGHT JOIN b ON a.k = b.k AND a.t >= b.t",
            "keeps the rows on its left",
        ),
        (
            "SELECT 1 FROM a ASOF JOIN b USING (k, t)",
            "has its condition in ON",
        ),
        (
            "SELECT 1 FROM a ASOF JOIN b MATCH_CONDITION (a.t >= b.t) ON a.k = b.k",
            "write LEFT ASOF JOIN",
        ),
        ("SELECT 1 FROM a ASOF JOIN b ON a.k = b.k", "has the form"),
        ("SELECT 1 FROM a ASOF JOIN b ON a.t >= b.t", "without a key"),
        (
            "SELECT 1 FROM a ASOF JOIN b ON k = b.k AND a.t >= b.t",
            "name of its relation",
        ),
        (
            "SELECT 1 FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t AND a.t <= b.u",
            "one comparison",
        ),
        (
            "SELECT 1 FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t AND b.x = 1",
            "has the form",
        ),
        (
            "SELECT 1 FROM a ASOF JOIN b ON a.k = b.k OR a.t >= b.t",
            "has the form",
        ),
        (
            "SELECT 1 FROM c, (a ASOF JOIN b ON a.k = b.k AND a.t >= b.t)",
            "without parentheses",
        ),
    ];
    for (sql, reason) in refused {
        let error = read(sql).unwrap_err();
        assert!(error.contains(reason), "{sql}: {error}");
    }
}
