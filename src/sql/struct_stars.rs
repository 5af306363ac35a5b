//! `bid.*`, where `bid` is a column that is a STRUCT, and no relation: each of its fields is a column of that name.

use super::syntax::{self, known_as};
use super::windows::WindowKind;
use super::{stars, walk};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAliasColumnDef, TableFactor, TableWithJoins,
    Value, VisitorMut,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The schema of a relation, by its name.
pub type Schemas<'a> = dyn Fn(&str) -> Option<SchemaRef> + 'a;

/// Puts the fields in the place of such a `*`, wherever it is in a query.
///
/// # Errors
/// If more stands behind it, as in `bid.* EXCEPT (price)`, or it is of a column that is no STRUCT.
pub fn rewrite(query: &mut Query, schemas: &Schemas) -> Result<(), String> {
    struct Rewrite<'a>(Types<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match self.0.written_out(select) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let types = Types {
        schemas,
        queries: BTreeMap::new(),
    };
    walk::query(query, &mut Rewrite(types))
}

/// Names of columns, and their types where these can be told.
type Columns = Vec<(String, Option<DataType>)>;

struct Types<'a> {
    schemas: &'a Schemas<'a>,
    /// Columns of the queries of WITH.
    queries: BTreeMap<String, Columns>,
}

/// A relation of a FROM.
struct Relation {
    /// By which its columns are qualified, with the names of its schema.
    name: Vec<String>,
    columns: Columns,
}

impl Types<'_> {
    /// Takes up the queries of WITH.
    fn note(&mut self, query: &Query) {
        for one in query.with.iter().flat_map(|it| &it.cte_tables) {
            let columns = renamed(self.of_set(&one.query.body), &one.alias.columns);
            self.queries.insert(known_as(&one.alias.name), columns);
        }
    }

    fn written_out(&self, select: &mut Select) -> Result<(), String> {
        let has_star = |it: &SelectItem| matches!(it, SelectItem::QualifiedWildcard(..));
        if !select.projection.iter().any(has_star) {
            return Ok(());
        }
        let relations = self.relations(&select.from);
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

    fn relations(&self, from: &[TableWithJoins]) -> Vec<Relation> {
        let all = from.iter().flat_map(|it| {
            let joined = it.joins.iter().map(|it| &it.relation);
            std::iter::once(&it.relation).chain(joined)
        });
        all.flat_map(|it| self.of_factor(it)).collect()
    }

    fn of_factor(&self, factor: &TableFactor) -> Vec<Relation> {
        let (alias, own, columns) = match factor {
            TableFactor::Table {
                name,
                args: None,
                alias,
                ..
            } => (alias, parts_of(name), self.of_relation(&parts_of(name))),
            TableFactor::Table {
                name,
                args: Some(args),
                alias,
                ..
            } => {
                let (own, columns) = self.of_windows(name, &args.args);
                (alias, own, columns)
            }
            TableFactor::Function {
                name, args, alias, ..
            } => {
                let (own, columns) = self.of_windows(name, args);
                (alias, own, columns)
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => (alias, Vec::new(), self.of_set(&subquery.body)),
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.relations(std::slice::from_ref(table_with_joins)),
            _ => (&None, Vec::new(), Columns::new()),
        };
        let (name, columns) = match alias {
            Some(it) => (vec![known_as(&it.name)], renamed(columns, &it.columns)),
            None => (own, columns),
        };
        vec![Relation { name, columns }]
    }

    fn of_relation(&self, name: &[String]) -> Columns {
        let name = name.join(".");
        if let Some(columns) = self.queries.get(&name) {
            return columns.clone();
        }
        let schema = (self.schemas)(&name);
        let fields = schema.iter().flat_map(|it| it.fields().iter());
        let all = fields.map(|it| (it.name().clone(), Some(it.data_type().clone())));
        all.collect()
    }

    fn of_windows(&self, name: &ObjectName, args: &[FunctionArg]) -> (Vec<String>, Columns) {
        let of = match args.first() {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(it)))) => {
                vec![known_as(it)]
            }
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(all)))) => {
                all.iter().map(known_as).collect()
            }
            _ => Vec::new(),
        };
        match WindowKind::of(&name.to_string()) {
            Some(_) => {
                let columns = self.of_relation(&of);
                (of, columns)
            }
            None => (parts_of(name), Columns::new()),
        }
    }

    fn of_set(&self, mut body: &SetExpr) -> Columns {
        loop {
            match body {
                SetExpr::Select(select) => return self.of_select(select),
                SetExpr::SetOperation { left, .. } => body = left,
                SetExpr::Query(inner) => body = &inner.body,
                _ => return Columns::new(),
            }
        }
    }

    fn of_select(&self, select: &Select) -> Columns {
        let relations = self.relations(&select.from);
        let mut columns = Columns::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = match expr {
                        Expr::Identifier(it) => known_as(it),
                        Expr::CompoundIdentifier(parts) => {
                            parts.last().map(known_as).unwrap_or_default()
                        }
                        _ => String::new(),
                    };
                    columns.push((name, type_of(expr, &relations)));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    columns.push((known_as(alias), type_of(expr, &relations)));
                }
                SelectItem::Wildcard(_) => {
                    let all = relations.iter().flat_map(|it| it.columns.iter());
                    let all = all.filter(|it| !stars::ADDED.contains(&it.0.as_str()));
                    columns.extend(all.cloned());
                }
                SelectItem::QualifiedWildcard(..) => match fields_of_star(item, &relations) {
                    Some((_, fields)) => columns.extend(fields),
                    None => {
                        let of = star_of(item);
                        let found = relations.iter().find(|it| it.name.ends_with(&of));
                        columns.extend(found.into_iter().flat_map(|it| it.columns.clone()));
                    }
                },
                SelectItem::ExprWithAliases { .. } => {}
            }
        }
        columns
    }
}

fn parts_of(name: &ObjectName) -> Vec<String> {
    let parts = name.0.iter().filter_map(|it| it.as_ident().map(known_as));
    parts.collect()
}

/// Columns with the names that an alias gives the first of them.
fn renamed(mut columns: Columns, names: &[TableAliasColumnDef]) -> Columns {
    for ((name, _), given) in columns.iter_mut().zip(names) {
        *name = known_as(&given.name);
    }
    columns
}

fn star_of(item: &SelectItem) -> Vec<String> {
    match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            parts_of(name)
        }
        _ => Vec::new(),
    }
}

/// The column that a `*` is of, as SQL, and its fields; none if it is of a relation, or of nothing that is known.
fn fields_of_star(item: &SelectItem, relations: &[Relation]) -> Option<(String, Columns)> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
    else {
        return None;
    };
    let parts = parts_of(name);
    if relations.iter().any(|it| it.name.ends_with(&parts)) {
        return None;
    }
    let idents: Vec<Ident> = name
        .0
        .iter()
        .filter_map(|it| it.as_ident().cloned())
        .collect();
    let expr = match idents.as_slice() {
        [one] => Expr::Identifier(one.clone()),
        _ => Expr::CompoundIdentifier(idents),
    };
    match type_of(&expr, relations)? {
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|it| (it.name().clone(), Some(it.data_type().clone())));
            Some((expr.to_string(), fields.collect()))
        }
        _ => None,
    }
}

/// The column that a `*` is of, unless it is of a relation.
fn column_of_star(item: &SelectItem, relations: &[Relation]) -> Option<Expr> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
    else {
        return None;
    };
    let parts = parts_of(name);
    if relations.iter().any(|it| it.name.ends_with(&parts)) {
        return None;
    }
    let idents: Vec<Ident> = name
        .0
        .iter()
        .filter_map(|it| it.as_ident().cloned())
        .collect();
    Some(match idents.as_slice() {
        [one] => Expr::Identifier(one.clone()),
        _ => Expr::CompoundIdentifier(idents),
    })
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

/// The type of a column, or of a field within one.
fn type_of(expr: &Expr, relations: &[Relation]) -> Option<DataType> {
    let parts: Vec<String> = match expr {
        Expr::Nested(it) => return type_of(it, relations),
        Expr::Identifier(it) => vec![known_as(it)],
        Expr::CompoundIdentifier(parts) => parts.iter().map(known_as).collect(),
        _ => return None,
    };
    let qualified = (1..parts.len()).rev().find_map(|at| {
        let of = relations
            .iter()
            .find(|it| it.name.ends_with(&parts[..at]))?;
        let column = of.columns.iter().find(|it| it.0 == parts[at])?;
        Some((column, at))
    });
    let (column, at) = match qualified {
        Some(found) => found,
        None => {
            let columns = relations.iter().flat_map(|it| it.columns.iter());
            let mut named = columns.filter(|it| it.0 == parts[0]);
            let column = named.next().filter(|_| named.next().is_none())?;
            (column, 0)
        }
    };
    let mut data_type = column.1.clone()?;
    for name in &parts[at + 1..] {
        let DataType::Struct(fields) = &data_type else {
            return None;
        };
        data_type = fields.find(name)?.1.data_type().clone();
    }
    Some(data_type)
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
    use arrow::datatypes::{Field, Fields, Schema};
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
        rewrite(&mut query, &schemas)?;
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
