//! What is written, and what it is taken for.

use super::rewrite;
use crate::sql::syntax::parse_query;

fn taken_for(text: &str) -> Result<String, String> {
    let mut query = parse_query(text)?;
    rewrite(&mut query)?;
    // As it is stored: it means the same when it is read again.
    let mut again = parse_query(&query.to_string())?;
    rewrite(&mut again)?;
    assert_eq!(again.to_string(), query.to_string());
    Ok(query.to_string())
}

#[test]
fn forms_of_others_have_one_form() {
    for (text, expected) in [
        ("TABLE t", "SELECT * FROM t"),
        (
            "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS ONLY",
            "SELECT a FROM t ORDER BY a LIMIT 3",
        ),
        (
            "SELECT a FROM t WHERE a = SOME (SELECT b FROM u) AND c <> ALL (SELECT d FROM u)",
            "SELECT a FROM t WHERE (a) IN (SELECT b FROM u) AND (c) NOT IN (SELECT d FROM u)",
        ),
        (
            "SELECT a FROM t WHERE (a, b) <= (1, 2)",
            "SELECT a FROM t WHERE ((a) < (1) OR ((a) = (1) AND ((b) <= (2))))",
        ),
        (
            "SELECT a FROM t WHERE (a, b) NOT IN ((1, 2), (3, 4))",
            "SELECT a FROM t WHERE NOT (((a) = (1) AND (b) = (2)) OR ((a) = (3) AND (b) = (4)))",
        ),
        (
            "SELECT a FROM t ANTI JOIN u ON t.a = u.a",
            "SELECT a FROM t LEFT ANTI JOIN u ON t.a = u.a",
        ),
        (
            "SELECT every(b) FILTER (WHERE a > 1), if(a > 1, 'x', 'y'), count_if(b) FROM t",
            "SELECT bool_and(b) FILTER (WHERE a > 1), CASE WHEN (a > 1) THEN ('x') ELSE ('y') END, count(*) FILTER (WHERE b) FROM t",
        ),
        (
            "SELECT to_date(s, 'YYYY-MM-DD'), to_timestamp(s, 'yyyy-MM-dd HH:mm:ss'), to_date(s, '%d') FROM t",
            "SELECT to_date(s, '%Y-%m-%d'), to_timestamp(s, '%Y-%m-%d %H:%M:%S'), to_date(s, '%d') FROM t",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_means_different_things_elsewhere_is_refused() {
    for (text, part) in [
        (
            "SELECT a FROM t WHERE (a, b) = (1, 2, 3)",
            "both need as many",
        ),
        (
            "SELECT regexp_extract(s, 'x') FROM t",
            "the first group in others",
        ),
        ("SELECT datediff('day', a, b) FROM t", "crossed boundaries"),
        (
            "SELECT timestampdiff(MONTH, a, b) FROM t",
            "differ in length",
        ),
        (
            "SELECT timestampdiff(fortnight, a, b) FROM t",
            "knows no unit fortnight",
        ),
        ("SELECT to_date(s, 'YYYY-QQ') FROM t", "does not know `QQ`"),
        (
            "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
            "rank()",
        ),
    ] {
        let error = taken_for(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}
