//! `bid.*`, where `bid` is a column that is a STRUCT, and no relation: each of its fields is a column of that name.

use super::column_types::{Known, Relation, Types, column_of_star, fields_of_star, type_of};
use super::{syntax, walk};
use datafusion::sql::sqlparser::ast::{Ident, Query, Select, SelectItem, Value, VisitorMut};
use std::ops::ControlFlow;

/// Puts the fields in the place of such a `*`, wherever it is in a query.
///
/// # Errors
/// If more stands behind it, as in `bid.* EXCEPT (price)`, or it is of a column that is no STRUCT.
pub fn rewrite(query: &mut Query, known: Known) -> Result<(), String> {
    struct Rewrite<'a>(Types<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match written_out(select, &self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Types::new(known)))
}

fn written_out(select: &mut Select, types: &Types) -> Result<(), String> {
    let has_star = |it: &SelectItem| matches!(it, SelectItem::QualifiedWildcard(..));
    if !select.projection.iter().any(has_star) {
        return Ok(());
    }
    let relations = types.relations(&select.from);
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match fields_of_star(&item, &relations) {
            Some((column, fields)) => {
                refuse_options(&item)?;
                for (name, _) in fields {
                    let alias = Ident::with_quote('"', &name);
                    let text = format!("{column}[{}]", Value::SingleQuotedString(name));
                    let expr = syntax::parse_expression(&text)?;
                    items.push(SelectItem::ExprWithAlias { expr, alias });
                }
            }
            None => {
                refuse_value(&item, &relations)?;
                items.push(item);
            }
        }
    }
    select.projection = items;
    Ok(())
}

/// Refuses a `*` of a column that has no fields.
fn refuse_value(item: &SelectItem, relations: &[Relation]) -> Result<(), String> {
    let column = column_of_star(item, relations);
    match column.filter(|it| type_of(it, relations).is_some()) {
        Some(it) => Err(format!(
            "`{it}.*` takes the columns of a relation or the fields of a STRUCT, and `{it}` is neither"
        )),
        None => Ok(()),
    }
}

fn refuse_options(item: &SelectItem) -> Result<(), String> {
    match item {
        SelectItem::QualifiedWildcard(of, options)
            if options.opt_exclude.is_some()
                || options.opt_except.is_some()
                || options.opt_replace.is_some()
                || options.opt_rename.is_some()
                || options.opt_alias.is_some() =>
        {
            Err(format!(
                "`{of}.*` has all fields of a struct; write those you need: ({of}).a, ({of}).b"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
    use std::sync::Arc;

    fn written_out(text: &str) -> Result<String, String> {
        let schemas = |name: &str| -> Option<SchemaRef> {
            let field = |name: &str, of: DataType| Field::new(name, of, true);
            let place = Fields::from(vec![field("x", DataType::Int64)]);
            let bid = Fields::from(vec![
                field("price", DataType::Int64),
                field("at", DataType::Struct(place)),
            ]);
            let fields = vec![
                field("id", DataType::Int64),
                field("bid", DataType::Struct(bid)),
            ];
            (name == "nx").then(|| Arc::new(Schema::new(fields)))
        };
        let mut query = syntax::parse_query(text)?;
        let known = Known {
            schema: &schemas,
            is_json: &|_, _| false,
        };
        rewrite(&mut query, known)?;
        Ok(query.to_string())
    }

    #[test]
    fn the_fields_of_a_struct_are_columns() {
        const BOTH: &str = r#"bid['price'] AS "price", bid['at'] AS "at""#;
        for (text, expected) in [
            (
                "SELECT bid.*, id FROM nx",
                format!("SELECT {BOTH}, id FROM nx"),
            ),
            (
                "SELECT n.bid.at.* FROM nx AS n",
                r#"SELECT n.bid.at['x'] AS "x" FROM nx AS n"#.to_owned(),
            ),
            (
                "WITH b AS (SELECT bid.* FROM nx) SELECT at.* FROM (SELECT * FROM b) AS c",
                format!(
                    r#"WITH b AS (SELECT {BOTH} FROM nx) SELECT at['x'] AS "x" FROM (SELECT * FROM b) AS c"#
                ),
            ),
            (
                "SELECT bid.* FROM TUMBLE(nx, t, INTERVAL '1' MINUTE)",
                format!("SELECT {BOTH} FROM TUMBLE(nx, t, INTERVAL '1' MINUTE)"),
            ),
            // A relation of that name comes first.
            (
                "SELECT bid.* FROM nx AS bid",
                "SELECT bid.* FROM nx AS bid".to_owned(),
            ),
        ] {
            assert_eq!(written_out(text), Ok(expected), "{text}");
        }
        for (text, words) in [
            ("SELECT bid.* EXCEPT (at) FROM nx", "write those you need"),
            ("SELECT id.* FROM nx", "`id` is neither"),
        ] {
            let refused = written_out(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
