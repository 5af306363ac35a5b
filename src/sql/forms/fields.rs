//! Names of columns that are fields of a struct, as `bid.auction` of a relation that has a column `bid`, and `(bid).auction`: the field's own,
//! where the planner would make one of the relation, the column and the field.

use crate::sql::syntax::known_as;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select,
    SelectItem, TableAlias, TableFactor, TableWithJoins,
};

/// By which names the columns of relations are qualified, each with those of its schema.
pub type Qualifiers = Vec<Vec<String>>;

/// Names the fields that a SELECT has as columns. `around` are the qualifiers that it may use, its own among them.
pub fn named(select: &mut Select, around: &[Qualifiers]) {
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        if let Some(alias) = field(expr, around) {
            let expr = expr.clone();
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

/// The name of the field that an expression is.
fn field(expr: &Expr, around: &[Qualifiers]) -> Option<Ident> {
    match expr {
        Expr::CompoundIdentifier(parts) => {
            let (name, of) = parts.split_last()?;
            let of: Vec<String> = of.iter().map(known_as).collect();
            let is_relation = around.iter().flatten().any(|it| it.ends_with(&of));
            (!is_relation).then(|| name.clone())
        }
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// By which names the columns of the relations of a FROM are qualified.
pub fn qualifiers(from: &[TableWithJoins]) -> Qualifiers {
    let mut names = Vec::new();
    for it in from {
        of_factor(&it.relation, &mut names);
        for join in &it.joins {
            of_factor(&join.relation, &mut names);
        }
    }
    names
}

fn of_factor(factor: &TableFactor, names: &mut Qualifiers) {
    let mut take = |alias: &Option<TableAlias>, own: Option<Vec<String>>| {
        let alias = alias.as_ref().map(|it| vec![known_as(&it.name)]);
        names.extend(alias.or(own));
    };
    match factor {
        TableFactor::Table {
            name, args, alias, ..
        } => {
            let own = match args {
                None => parts_of(name),
                Some(args) => relation_of(&args.args).or_else(|| parts_of(name)),
            };
            take(alias, own);
        }
        TableFactor::Function {
            name, args, alias, ..
        } => take(alias, relation_of(args).or_else(|| parts_of(name))),
        TableFactor::TableFunction {
            expr: Expr::Function(call),
            alias,
        } => {
            let own = match &call.args {
                FunctionArguments::List(it) => relation_of(&it.args),
                _ => None,
            };
            take(alias, own.or_else(|| parts_of(&call.name)));
        }
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => {
            names.extend(qualifiers(std::slice::from_ref(table_with_joins)));
        }
        TableFactor::NestedJoin { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::Pivot { alias, .. }
        | TableFactor::Unpivot { alias, .. }
        | TableFactor::MatchRecognize { alias, .. } => take(alias, None),
        _ => {}
    }
}

fn parts_of(name: &ObjectName) -> Option<Vec<String>> {
    let parts = name.0.iter().map(|it| it.as_ident().map(known_as));
    parts.collect()
}

/// The relation that a function of windows is over, by whose name its columns are qualified.
fn relation_of(args: &[FunctionArg]) -> Option<Vec<String>> {
    match args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => match it {
            Expr::Identifier(name) => Some(vec![known_as(name)]),
            Expr::CompoundIdentifier(parts) => Some(parts.iter().map(known_as).collect()),
            _ => None,
        },
        _ => None,
    }
}
