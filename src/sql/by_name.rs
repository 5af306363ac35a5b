//! `UNION BY NAME` and `UNION ALL BY NAME`: columns of one name are one column of the result, wherever they stand; one that a side lacks is NULL
//! there. Written out as a UNION of sides that have the same columns in one order.

use super::using::{Known, Names};
use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Ident, Query, SetExpr, SetOperator, SetQuantifier, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites such unions, wherever they are in a query.
///
/// # Errors
/// If the columns of a side cannot be told, or have no names, or it is no UNION.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a>(Names<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            match in_set(&mut query.body, &self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

fn in_set(body: &mut SetExpr, names: &Names) -> Result<(), String> {
    let SetExpr::SetOperation {
        op,
        set_quantifier,
        left,
        right,
    } = body
    else {
        return Ok(());
    };
    in_set(left, names)?;
    in_set(right, names)?;
    let plain = match set_quantifier {
        SetQuantifier::ByName | SetQuantifier::DistinctByName => SetQuantifier::None,
        SetQuantifier::AllByName => SetQuantifier::All,
        SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => return Ok(()),
    };
    if *op != SetOperator::Union {
        return Err(format!(
            "{op} has no BY NAME; write the columns of both sides in one order"
        ));
    }
    let columns = |side: &SetExpr| -> Result<Vec<String>, String> {
        let columns = names.columns_of_set(side);
        let columns = columns.filter(|it| !it.is_empty() && it.iter().all(|it| !it.is_empty()));
        columns.ok_or_else(|| {
            "the columns of a side of this UNION BY NAME cannot be told; name all of them with AS"
                .to_owned()
        })
    };
    let (of_left, of_right) = (columns(left)?, columns(right)?);
    let mut all = of_left.clone();
    all.extend(of_right.iter().filter(|it| !of_left.contains(it)).cloned());
    **left = in_order(left, &of_left, &all, "__left")?;
    **right = in_order(right, &of_right, &all, "__right")?;
    *set_quantifier = plain;
    Ok(())
}

/// A side with these columns.
fn in_order(side: &SetExpr, own: &[String], all: &[String], name: &str) -> Result<SetExpr, String> {
    let items = all.iter().map(|it| {
        let column = Ident::with_quote('"', it);
        match own.contains(it) {
            true => column.to_string(),
            false => format!("NULL AS {column}"),
        }
    });
    let items: Vec<String> = items.collect();
    let text = format!("SELECT {} FROM ({side}) AS {name}", items.join(", "));
    Ok(*syntax::parse_query(&text)?.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns: &[&str] = match name {
                "t" => &["a", "b"],
                "u" => &["b", "c"],
                _ => return None,
            };
            Some(columns.iter().map(|it| (*it).to_owned()).collect())
        };
        let mut query = syntax::parse_query(text)?;
        rewrite(&mut query, &known)?;
        Ok(query.to_string())
    }

    #[test]
    fn sides_of_a_union_by_name_have_the_same_columns() {
        for (text, expected) in [
            (
                "SELECT a, b FROM t UNION BY NAME SELECT b, a FROM t",
                r#"SELECT "a", "b" FROM (SELECT a, b FROM t) AS __left UNION SELECT "a", "b" FROM (SELECT b, a FROM t) AS __right"#,
            ),
            (
                "SELECT * FROM t UNION ALL BY NAME SELECT * FROM u",
                r#"SELECT "a", "b", NULL AS "c" FROM (SELECT * FROM t) AS __left UNION ALL SELECT NULL AS "a", "b", "c" FROM (SELECT * FROM u) AS __right"#,
            ),
            (
                "SELECT a FROM t UNION ALL SELECT b FROM t",
                "SELECT a FROM t UNION ALL SELECT b FROM t",
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, words) in [
            (
                "SELECT a + 1 FROM t UNION BY NAME SELECT a FROM t",
                "name all of them",
            ),
            (
                "SELECT a FROM t EXCEPT BY NAME SELECT a FROM t",
                "EXCEPT has no BY NAME",
            ),
        ] {
            let refused = written_out(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
