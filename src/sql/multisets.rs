//! `EXCEPT ALL` and `INTERSECT ALL`: a row that is there three times on one side and once on the other is left twice, or once.
//!
//! The planner makes joins of them, which keep each row of the left side or none of its kind. So equal rows are numbered on both sides, and those
//! with equal numbers are taken away, or kept: the same without `ALL`, of rows of which no two are equal.

use super::using::{Known, Names};
use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Ident, Query, SetExpr, SetOperator, SetQuantifier, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites them wherever they are in a query.
///
/// # Errors
/// If the columns of a left side cannot be told.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a> {
        names: Names<'a>,
        /// How many names were made up so far.
        made: usize,
    }
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.names.note(query);
            match numbered(&mut query.body, &self.names, &mut self.made) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let names = Names::new(known);
    walk::query(query, &mut Rewrite { names, made: 0 })
}

fn numbered(body: &mut SetExpr, names: &Names, made: &mut usize) -> Result<(), String> {
    let SetExpr::SetOperation {
        op,
        set_quantifier,
        left,
        right,
    } = body
    else {
        return Ok(());
    };
    let columns = match left.as_ref() {
        // As the planner calls them.
        SetExpr::Values(it) => {
            let row = it.rows.first().map_or(0, |it| it.content.len());
            Some((1..=row).map(|it| format!("column{it}")).collect())
        }
        other => names.columns_of_set(other),
    };
    numbered(left, names, made)?;
    numbered(right, names, made)?;
    if *set_quantifier == SetQuantifier::All && *op != SetOperator::Union {
        spelled_out(left, names)?;
        spelled_out(right, names)?;
    }
    let (word, instead) = match (&op, &set_quantifier) {
        (SetOperator::Except, SetQuantifier::All) => ("EXCEPT", "without ALL, NOT EXISTS (…)"),
        (SetOperator::Intersect, SetQuantifier::All) => ("INTERSECT", "without ALL, EXISTS (…)"),
        _ => return Ok(()),
    };
    let is_named = |it: &Vec<String>| !it.iter().any(String::is_empty);
    let columns = columns.filter(is_named).ok_or_else(|| {
        format!("the columns of the left side of {word} ALL cannot be told; name each of them: SELECT a AS x, b AS y …; or write it {instead}")
    })?;
    *made += 1;
    let quoted = columns
        .iter()
        .map(|it| Ident::with_quote('"', it).to_string());
    let columns: Vec<String> = quoted.collect();
    let columns = columns.join(", ");
    let side = |name: &str, rows: &SetExpr| {
        format!(
            "SELECT *, row_number() OVER (PARTITION BY {columns}) AS __number FROM ({rows}) AS __{name}{made}({columns})"
        )
    };
    let text = format!(
        "SELECT {columns} FROM ({} {word} {}) AS __rows{made}",
        side("left", left),
        side("right", right)
    );
    *body = *syntax::parse_query(&text)?.body;
    Ok(())
}

/// Names the columns that a `*` stands for: where records are read from the lake it has those that Tidelake adds too, which make every row another one.
fn spelled_out(body: &mut SetExpr, names: &Names) -> Result<(), String> {
    match body {
        SetExpr::Select(select) => {
            if let Some(items) = names.items(select)? {
                select.projection = items;
            }
            Ok(())
        }
        SetExpr::SetOperation { left, right, .. } => {
            spelled_out(left, names)?;
            spelled_out(right, names)
        }
        SetExpr::Query(query) => spelled_out(&mut query.body, names),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            (name == "t").then(|| ["a", "b"].map(str::to_owned).into())
        };
        let mut query = syntax::parse_query(text)?;
        rewrite(&mut query, &known)?;
        // As it is stored: it means the same when it is read again.
        let mut again = syntax::parse_query(&query.to_string())?;
        rewrite(&mut again, &known)?;
        assert_eq!(again.to_string(), query.to_string());
        Ok(query.to_string())
    }

    #[test]
    fn equal_rows_are_numbered_on_both_sides() {
        for (text, expected) in [
            (
                "SELECT * FROM t EXCEPT ALL SELECT x, y FROM u ORDER BY a",
                r#"SELECT "a", "b" FROM (SELECT *, row_number() OVER (PARTITION BY "a", "b") AS __number FROM (SELECT t."a", t."b" FROM t) AS __left1 ("a", "b") EXCEPT SELECT *, row_number() OVER (PARTITION BY "a", "b") AS __number FROM (SELECT x, y FROM u) AS __right1 ("a", "b")) AS __rows1 ORDER BY a"#,
            ),
            (
                "SELECT a FROM t WHERE a IN (SELECT a FROM t INTERSECT ALL SELECT b FROM t)",
                r#"SELECT a FROM t WHERE a IN (SELECT "a" FROM (SELECT *, row_number() OVER (PARTITION BY "a") AS __number FROM (SELECT a FROM t) AS __left1 ("a") INTERSECT SELECT *, row_number() OVER (PARTITION BY "a") AS __number FROM (SELECT b FROM t) AS __right1 ("a")) AS __rows1)"#,
            ),
            (
                "SELECT a FROM t EXCEPT SELECT b FROM t UNION ALL SELECT a FROM t",
                "SELECT a FROM t EXCEPT SELECT b FROM t UNION ALL SELECT a FROM t",
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn columns_that_cannot_be_told_are_asked_for() {
        for text in [
            "SELECT * FROM u EXCEPT ALL SELECT * FROM t",
            "SELECT a + 1 FROM t INTERSECT ALL SELECT b FROM t",
        ] {
            let reason = written_out(text).unwrap_err();
            assert!(reason.contains("name each of them"), "{text}: {reason}");
        }
    }
}
