//! Columns of one name in one SELECT: the second `id` is `id_1`, as in tables that other systems make of such a query.
//!
//! So it is in views, in queries of WITH, and in sub-queries of a FROM that have a name, all of whose columns are read by their names. Where each
//! name is there once, a query stays as it is written.

use super::using::{Known, Names, apart, name_of};
use super::walk;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Query, Select, SelectItem, SetExpr, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// Gives columns of one name names of their own.
///
/// # Errors
/// If what a `*` stands for would have to be told, and more stands behind it than columns that are left out.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    let mut rewrite = Rewrite {
        names: Names::new(known),
        is_inside: false,
    };
    walk::query(query, &mut rewrite)
}

struct Rewrite<'a> {
    names: Names<'a>,
    /// Whether the outermost query was met.
    is_inside: bool,
}

impl VisitorMut for Rewrite<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.names.note(query);
        let is_outermost = !std::mem::replace(&mut self.is_inside, true);
        let of_with = query.with.iter_mut().flat_map(|it| &mut it.cte_tables);
        let of_with = of_with.filter(|it| it.alias.columns.is_empty());
        let mut queries: Vec<&mut SetExpr> = of_with.map(|it| it.query.body.as_mut()).collect();
        if is_outermost {
            queries.push(&mut query.body);
        }
        for body in queries {
            if let Err(reason) = self.set(body) {
                return ControlFlow::Break(reason);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        if !select.projection.iter().any(leaves_out_of_relations) {
            return ControlFlow::Continue(());
        }
        match self.names.items(select) {
            Ok(Some(items)) => {
                select.projection = items;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Break(
                "the columns of a relation that this `*` stands for cannot be told; name them"
                    .to_owned(),
            ),
            Err(reason) => ControlFlow::Break(reason),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        if let TableFactor::Derived {
            subquery,
            alias: Some(alias),
            ..
        } = factor
            && alias.columns.is_empty()
        {
            // What it has in WITH is not known yet.
            self.names.note(subquery);
            if let Err(reason) = self.set(&mut subquery.body) {
                return ControlFlow::Break(reason);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rewrite<'_> {
    fn set(&self, body: &mut SetExpr) -> Result<(), String> {
        match body {
            SetExpr::Select(select) => self.select(select),
            // The first side names the columns.
            SetExpr::SetOperation { left, .. } => self.set(left),
            SetExpr::Query(inner) => self.set(&mut inner.body),
            _ => Ok(()),
        }
    }

    fn select(&self, select: &mut Select) -> Result<(), String> {
        let Some(items) = self.names.items(select)? else {
            return Ok(());
        };
        let names: Vec<String> = items.iter().map(called).collect();
        let apart = apart(names.clone());
        if names == apart {
            return Ok(());
        }
        let renamed = items.into_iter().zip(names).zip(apart);
        let renamed = renamed.map(|((item, name), apart)| match (name == apart, item) {
            (false, SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
                let alias = Ident::with_quote('"', apart);
                SelectItem::ExprWithAlias { expr, alias }
            }
            (_, item) => item,
        });
        select.projection = renamed.collect();
        Ok(())
    }
}

/// Whether a `*` leaves out columns of relations, which the planner takes for columns of any.
fn leaves_out_of_relations(item: &SelectItem) -> bool {
    let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
        return false;
    };
    match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(it)) => 1 < it.0.len(),
        Some(ExcludeSelectItem::Multiple(all)) => all.iter().any(|it| 1 < it.0.len()),
        None => false,
    }
}

/// What a column is called; one without a name by its text.
fn called(item: &SelectItem) -> String {
    match (name_of(item), item) {
        (Some(name), _) => name,
        (None, SelectItem::UnnamedExpr(expr)) if !matches!(expr, Expr::Value(_)) => {
            expr.to_string().replace('"', "")
        }
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::syntax::{parse_query, tokens};
    use crate::sql::{short_lists, using};
    use datafusion::sql::sqlparser::parser::Parser;

    fn settled(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns: &[&str] = match name {
                "a" => &["id", "x", "_offset"],
                "b" => &["id", "x", "id_1"],
                "c" => &["id", "k", "v"],
                _ => return None,
            };
            Some(columns.iter().map(|it| (*it).to_owned()).collect())
        };
        let tokens = tokens(text).map_err(|it| it.to_string())?;
        let mut parser = Parser::new(&crate::sql::dialect::Tidelake);
        parser = parser.with_tokens_with_locations(tokens);
        let mut query = *parser.parse_query().map_err(|it| it.to_string())?;
        let settle = |query: &mut Query| {
            using::rewrite(query, &known)?;
            short_lists::rewrite(query, &known)?;
            rewrite(query, &known)
        };
        settle(&mut query)?;
        // As it is stored: it means the same when it is read again.
        let mut again = parse_query(&query.to_string())?;
        settle(&mut again)?;
        assert_eq!(again.to_string(), query.to_string());
        Ok(query.to_string())
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        for (text, expected) in [
            ("SELECT * FROM a", "SELECT * FROM a"),
            (
                "SELECT * FROM a JOIN c ON a.x = c.k",
                r#"SELECT a."id", a."x", c."id" AS "id_1", c."k", c."v" FROM a JOIN c ON a.x = c.k"#,
            ),
            (
                "SELECT * FROM a LEFT SEMI JOIN c ON a.x = c.k",
                r#"SELECT * FROM a LEFT SEMI JOIN c ON a.x = c.k"#,
            ),
            (
                "SELECT *, a.x FROM a LEFT ANTI JOIN c USING (id)",
                r#"SELECT a.id AS "id", a."x", a.x AS "x_1" FROM a LEFT ANTI JOIN c USING(id)"#,
            ),
            // A name that is there is not taken.
            (
                "SELECT a.id, b.* FROM a, b",
                r#"SELECT a.id, b."id" AS "id_2", b."x", b."id_1" FROM a, b"#,
            ),
            (
                "SELECT b.id FROM b UNION ALL SELECT id FROM a",
                "SELECT b.id FROM b UNION ALL SELECT id FROM a",
            ),
            (
                "SELECT a.id, c.id FROM a, c UNION ALL SELECT x, x FROM b",
                r#"SELECT a.id, c.id AS "id_1" FROM a, c UNION ALL SELECT x, x FROM b"#,
            ),
            (
                "WITH t AS (SELECT max(x), max(x), id FROM a GROUP BY id) SELECT u.* FROM (SELECT t.id, c.id FROM t, c) AS u",
                r#"WITH t AS (SELECT max(x), max(x) AS "max(x)_1", id FROM a GROUP BY id) SELECT u.* FROM (SELECT t.id, c.id AS "id_1" FROM t, c) AS u"#,
            ),
            (
                "SELECT x, a.x, b.x FROM a NATURAL FULL JOIN b",
                r#"SELECT coalesce(a."x", b."x") AS x, a.x AS "x_1", b.x AS "x_2" FROM a FULL JOIN b ON a."id" = b."id" AND a."x" = b."x""#,
            ),
            (
                "SELECT * FROM a JOIN b USING (id)",
                r#"SELECT a.id AS "id", a."x", b."x" AS "x_1", b."id_1" FROM a JOIN b USING(id)"#,
            ),
            // A sub-query without a name is not read by names of columns alone.
            (
                "SELECT 1 FROM a WHERE EXISTS (SELECT a.id, c.id FROM c)",
                "SELECT 1 FROM a WHERE EXISTS (SELECT a.id, c.id FROM c)",
            ),
            (
                "SELECT * EXCEPT (c.id, a.x) FROM a, c",
                r#"SELECT a."id", c."k", c."v" FROM a, c"#,
            ),
            (
                "SELECT * EXCEPT (id) FROM a NATURAL JOIN c",
                r#"SELECT a."x", c."k", c."v" FROM a JOIN c ON a."id" = c."id""#,
            ),
            (
                "WITH t (n) AS (SELECT id, k FROM c) SELECT n, k FROM t AS s (m)",
                r#"WITH t (n, "k") AS (SELECT id, k FROM c) SELECT n, k FROM t AS s (m, "k")"#,
            ),
            (
                "SELECT 0x1F, 0b101, X'1F' FROM a",
                "SELECT 31, 5, X'1F' FROM a",
            ),
            (
                "SELECT x->-1, x->>-1, x*-1, x @> -x FROM a WHERE x>-1 AND id=-2 AND x<>-3 OR x<=+4",
                "SELECT x -> -1, x ->> -1, x * -1, x @> -x FROM a WHERE x > -1 AND id = -2 AND x <> -3 OR x <= +4",
            ),
            (
                "SELECT x FROM a WHERE x IN (VALUES (1), (2)) AND x > ANY (VALUES (3))",
                "SELECT x FROM a WHERE x IN (SELECT * FROM (VALUES (1), (2)) AS __values) AND x > ANY(SELECT * FROM (VALUES (3)) AS __values)",
            ),
            (
                "SELECT x FROM a WHERE x IS NOT DISTINCT FROM id + 1 AND x > 0",
                "SELECT x FROM a WHERE x IS NOT DISTINCT FROM id + 1 AND x > 0",
            ),
        ] {
            assert_eq!(settled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let reason = settled("SELECT * EXCEPT (a.id) FROM a, f(1) AS g").unwrap_err();
        assert!(reason.contains("name them"), "{reason}");
    }
}
