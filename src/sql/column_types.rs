//! What is told of the columns of a query by its syntax alone: names, and types where they are those of columns that relations have.

use super::syntax::known_as;
use super::windows::WindowKind;
use super::{forms, stars};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAliasColumnDef, TableFactor, TableWithJoins,
};
use std::collections::BTreeMap;

/// What is known of relations by their names.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub schema: &'a dyn Fn(&str) -> Option<SchemaRef>,
    /// Whether a column of a relation is JSON, of which a schema knows nothing: it is carried as text.
    pub is_json: &'a dyn Fn(&str, &str) -> bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    Json,
    Of(DataType),
}

/// Names of columns, and their types where these can be told.
pub type Columns = Vec<(String, Option<ColumnType>)>;

/// What is known of the columns of relations and of the queries of WITH.
pub struct Types<'a> {
    known: Known<'a>,
    /// Columns of the queries of WITH.
    queries: BTreeMap<String, Columns>,
}

/// A relation of a FROM.
pub struct Relation {
    /// By which its columns are qualified, with the names of its schema.
    pub name: Vec<String>,
    pub columns: Columns,
}

impl<'a> Types<'a> {
    pub fn new(known: Known<'a>) -> Self {
        Types {
            known,
            queries: BTreeMap::new(),
        }
    }

    /// Takes up the queries of WITH.
    pub fn note(&mut self, query: &Query) {
        for one in query.with.iter().flat_map(|it| &it.cte_tables) {
            let columns = renamed(self.of_set(&one.query.body), &one.alias.columns);
            self.queries.insert(known_as(&one.alias.name), columns);
        }
    }

    /// The columns of a query, as far as they can be told.
    pub fn of_query(mut self, query: &Query) -> Columns {
        self.note(query);
        self.of_set(&query.body)
    }

    /// The relations of a FROM.
    pub fn relations(&self, from: &[TableWithJoins]) -> Vec<Relation> {
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
        let schema = (self.known.schema)(&name);
        let fields = schema.iter().flat_map(|it| it.fields().iter());
        let all = fields.map(|it| {
            let column = match (self.known.is_json)(&name, it.name()) {
                true => ColumnType::Json,
                false => ColumnType::Of(it.data_type().clone()),
            };
            (it.name().clone(), Some(column))
        });
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
pub fn fields_of_star(item: &SelectItem, relations: &[Relation]) -> Option<(String, Columns)> {
    let column = column_of_star(item, relations)?;
    match type_of(&column, relations)? {
        ColumnType::Of(DataType::Struct(fields)) => {
            let fields = fields.iter();
            let of = |it: &DataType| Some(ColumnType::Of(it.clone()));
            let fields = fields.map(|it| (it.name().clone(), of(it.data_type())));
            Some((column.to_string(), fields.collect()))
        }
        _ => None,
    }
}

/// The column that a `*` is of, unless it is of a relation.
pub fn column_of_star(item: &SelectItem, relations: &[Relation]) -> Option<Expr> {
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

/// The type of a column, of a field within one, or of JSON that is made.
pub fn type_of(expr: &Expr, relations: &[Relation]) -> Option<ColumnType> {
    let parts: Vec<String> = match expr {
        Expr::Nested(it) => return type_of(it, relations),
        Expr::Identifier(it) => vec![known_as(it)],
        Expr::CompoundIdentifier(parts) => parts.iter().map(known_as).collect(),
        _ => return forms::gives_json(expr).then_some(ColumnType::Json),
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
        let ColumnType::Of(DataType::Struct(fields)) = &data_type else {
            return None;
        };
        data_type = ColumnType::Of(fields.find(name)?.1.data_type().clone());
    }
    Some(data_type)
}
