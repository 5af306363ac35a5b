//! `a.v` in a sub-query where `a` is a relation of the query around it, and a column of the sub-query's own relations: the relation is meant.
//!
//! The planner takes it for a field of the column. So the relation is given a name that no column has.

use super::using::{Known, Names};
use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableAlias, TableFactor, VisitorMut,
};
use std::ops::ControlFlow;
use syntax::known_as;

/// Renames such relations, wherever they are in a query.
///
/// # Errors
/// If a part of the query cannot be read again.
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
            // Queries of WITH know nothing of the relations of this one.
            let with = query.with.take();
            let renamed = renamed(query, &self.names, &mut self.made);
            query.with = with;
            match renamed {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let names = Names::new(known);
    walk::query(query, &mut Rewrite { names, made: 0 })
}

fn renamed(query: &mut Query, names: &Names, made: &mut usize) -> Result<(), String> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Ok(());
    };
    for from in names.relations_of(select) {
        let mut hidden = Hidden {
            name: &from,
            names,
            is_inside: false,
            found: false,
        };
        walk::query(&mut query.clone(), &mut hidden)?;
        if hidden.found {
            *made += 1;
            let to = Ident::with_quote('"', format!("__{from}{made}"));
            walk::query(query, &mut Rename { from, to })?;
        }
    }
    Ok(())
}

/// Whether a query within another has columns of a relation of this name, and a relation of its own with a column of this name.
struct Hidden<'a, 'b> {
    name: &'a str,
    names: &'a Names<'b>,
    /// Whether the SELECT around it was met.
    is_inside: bool,
    found: bool,
}

impl VisitorMut for Hidden<'_, '_> {
    type Break = String;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        let is_own = |it: &String| it == self.name;
        if std::mem::replace(&mut self.is_inside, true)
            && self.names.has_column(select, self.name)
            && !self.names.relations_of(select).iter().any(is_own)
        {
            let mut uses = Uses(self.name, false);
            let used = syntax::parse_query(&select.to_string())
                .and_then(|mut it| walk::query(&mut it, &mut uses));
            if let Err(reason) = used {
                return ControlFlow::Break(reason);
            }
            self.found |= uses.1;
        }
        ControlFlow::Continue(())
    }
}

/// Whether something is qualified by a name.
struct Uses<'a>(&'a str, bool);

impl VisitorMut for Uses<'_> {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::CompoundIdentifier(parts) = expr {
            self.1 |= parts.first().is_some_and(|it| known_as(it) == self.0);
        }
        ControlFlow::Continue(())
    }
}

struct Rename {
    from: String,
    to: Ident,
}

impl VisitorMut for Rename {
    type Break = String;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
                && self.is_name(name)
            {
                *name = ObjectName::from(vec![self.to.clone()]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        if let TableFactor::Table {
            name,
            alias: alias @ None,
            args: None,
            ..
        } = factor
            && self.is_name(name)
        {
            *alias = Some(TableAlias {
                explicit: true,
                name: self.to.clone(),
                columns: Vec::new(),
                at: None,
            });
        }
        if let TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        }
        | TableFactor::Function {
            alias: Some(alias), ..
        }
        | TableFactor::UNNEST {
            alias: Some(alias), ..
        } = factor
            && known_as(&alias.name) == self.from
        {
            alias.name = self.to.clone();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let Some(first) = parts.first_mut()
            && known_as(first) == self.from
        {
            *first = self.to.clone();
        }
        ControlFlow::Continue(())
    }
}

impl Rename {
    fn is_name(&self, name: &ObjectName) -> bool {
        match name.0.as_slice() {
            [one] => one.as_ident().is_some_and(|it| known_as(it) == self.from),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns = match name {
                "t" => ["v", "w"],
                "u" => ["a", "b"],
                "b" => ["x", "y"],
                _ => return None,
            };
            Some(columns.map(str::to_owned).into())
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
    fn a_relation_around_comes_before_a_field_of_a_column() {
        for (text, expected) in [
            (
                "SELECT a.* FROM t AS a WHERE a.v IN (SELECT c.b FROM u AS c WHERE c.b > a.w) ORDER BY a.w",
                r#"SELECT "__a1".* FROM t AS "__a1" WHERE "__a1".v IN (SELECT c.b FROM u AS c WHERE c.b > "__a1".w) ORDER BY "__a1".w"#,
            ),
            (
                "SELECT x FROM b WHERE EXISTS (SELECT 1 FROM u WHERE u.a = b.y)",
                r#"SELECT x FROM b AS "__b1" WHERE EXISTS (SELECT 1 FROM u WHERE u.a = "__b1".y)"#,
            ),
            // Fields of a column of their own, and relations of another name.
            (
                "SELECT x FROM t WHERE EXISTS (SELECT a.f FROM u WHERE u.a = t.v)",
                "SELECT x FROM t WHERE EXISTS (SELECT a.f FROM u WHERE u.a = t.v)",
            ),
            (
                "SELECT a.v FROM t AS a WHERE a.v IN (SELECT a.b FROM u AS a)",
                "SELECT a.v FROM t AS a WHERE a.v IN (SELECT a.b FROM u AS a)",
            ),
            (
                "SELECT a.v FROM t AS a, (SELECT a FROM u) AS c",
                "SELECT a.v FROM t AS a, (SELECT a FROM u) AS c",
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
    }
}
