//! `NATURAL JOIN` and `USING (…)` as joins with `ON`, where the planner would make something else of them.
//!
//! A column that a join is made by is one column of its result: the left one of an inner or left join, the right one of a right join, and whichever is
//! there of a full join. The planner takes the left one in any case, cannot join by it again, and lets `NATURAL` join by the columns that
//! the engine adds to sources and tables. So such joins are written out here, and the column's name stands for the expression.

use super::stars::ADDED;
use super::syntax::{call, known_as};
use super::walk;
use super::windows::WindowKind;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident,
    Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderByKind, Query,
    RenameSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableFactor, TableWithJoins, Value, VisitorMut, WildcardAdditionalOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// The columns of a relation, by its name.
pub type Known<'a> = dyn Fn(&str) -> Option<Vec<String>> + 'a;

/// Rewrites such joins, wherever they are in a query.
///
/// # Errors
/// If the columns of a side are not known, or one that is named is not there.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a>(Names<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            match self.0.query(query) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

/// What is known by name.
pub struct Names<'a> {
    known: &'a Known<'a>,
    /// Columns of the queries of WITH.
    queries: BTreeMap<String, Option<Vec<String>>>,
}

impl<'a> Names<'a> {
    pub fn new(known: &'a Known<'a>) -> Self {
        let queries = BTreeMap::new();
        Names { known, queries }
    }
}

/// What an unqualified name can mean in a FROM, so far.
pub struct Scope {
    relations: Vec<Relation>,
    /// Columns that joins are made by, as they are in the result.
    merged: Vec<(String, Expr)>,
}

struct Relation {
    /// By which its columns are qualified.
    name: Option<Vec<Ident>>,
    /// None if they cannot be told. Empty is the name of one that cannot be named.
    columns: Option<Vec<String>>,
}

impl Names<'_> {
    /// The columns of a relation of a FROM, if they can be told.
    pub fn columns_of(&self, factor: &TableFactor) -> Option<Vec<String>> {
        match self.of_factor(factor).relations.as_slice() {
            [one] => one.columns.clone(),
            _ => None,
        }
    }

    /// The columns of a query, if they can be told.
    pub fn columns_of_query(&self, query: &Query) -> Option<Vec<String>> {
        self.of_query(query).map(apart)
    }

    /// The columns of a SELECT, or of a set of several, if they can be told.
    pub fn columns_of_set(&self, body: &SetExpr) -> Option<Vec<String>> {
        self.of_set(body).map(apart)
    }

    /// The names of the relations of a SELECT, without those of their schemas.
    pub fn relations_of(&self, select: &Select) -> Vec<String> {
        let relations = select.from.iter().flat_map(|it| self.scope(it).relations);
        let names = relations.filter_map(|it| it.name?.last().map(known_as));
        names.collect()
    }

    /// The names of the relations of a SELECT that are known to have all of these columns, where they have a name.
    pub fn relations_with(&self, select: &Select, columns: &[&str]) -> Vec<Option<String>> {
        let relations = select.from.iter().flat_map(|it| self.scope(it).relations);
        let has = |it: &Relation, wanted: &&str| it.columns.iter().flatten().any(|it| it == wanted);
        let found = relations.filter(|it| columns.iter().all(|wanted| has(it, wanted)));
        found.map(|it| it.name?.last().map(known_as)).collect()
    }

    /// Whether a relation of a SELECT is known to have a column of this name.
    pub fn has_column(&self, select: &Select, name: &str) -> bool {
        let mut relations = select.from.iter().flat_map(|it| self.scope(it).relations);
        relations.any(|it| it.columns.iter().flatten().any(|it| it == name))
    }

    /// A column of one of the relations of a SELECT, qualified by the name of that one; none if several have it, or none is known to.
    pub fn qualified(&self, select: &Select, column: &Ident) -> Option<Expr> {
        let relations = select.from.iter().flat_map(|it| self.scope(it).relations);
        let relations = relations.collect();
        let merged = Vec::new();
        Scope { relations, merged }.column(column).ok()
    }

    /// Takes up the queries of WITH.
    pub fn note(&mut self, query: &Query) {
        for one in query.with.iter().flat_map(|it| &it.cte_tables) {
            let columns = match one.alias.columns.as_slice() {
                [] => self.of_query(&one.query).map(apart),
                names => {
                    let named = names.iter().map(|it| known_as(&it.name));
                    let rest = self.of_query(&one.query).unwrap_or_default();
                    Some(named.chain(rest.into_iter().skip(names.len())).collect())
                }
            };
            self.queries.insert(known_as(&one.alias.name), columns);
        }
    }

    fn query(&self, query: &mut Query) -> Result<(), String> {
        let merged = match query.body.as_mut() {
            SetExpr::Select(select) => self.select(select)?,
            body => {
                self.set(body)?;
                return Ok(());
            }
        };
        let SetExpr::Select(select) = query.body.as_ref() else {
            return Ok(());
        };
        let names: Vec<String> = select.projection.iter().filter_map(name_of).collect();
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order.kind
        {
            for it in exprs {
                let is_of_result =
                    matches!(&it.expr, Expr::Identifier(name) if names.contains(&known_as(name)));
                if !is_of_result {
                    in_expr(&mut it.expr, &merged)?;
                }
            }
        }
        Ok(())
    }

    fn set(&self, body: &mut SetExpr) -> Result<(), String> {
        match body {
            SetExpr::Select(select) => self.select(select).map(drop),
            SetExpr::SetOperation { left, right, .. } => {
                self.set(left)?;
                self.set(right)
            }
            // Others are visited as queries of their own, or have no FROM.
            _ => Ok(()),
        }
    }

    /// Writes out the joins of a SELECT; says what their columns became.
    fn select(&self, select: &mut Select) -> Result<Vec<(String, Expr)>, String> {
        self.refuse_namesakes(select)?;
        if select.projection.iter().any(has_other_columns) {
            let items = self.items(select)?;
            select.projection = items.ok_or(
                "the columns of a relation that this `*` stands for cannot be told; name them",
            )?;
        }
        if !select.from.iter().any(is_odd) {
            return Ok(Vec::new());
        }
        let mut from = std::mem::take(&mut select.from);
        let mut scopes = Vec::new();
        for it in &mut from {
            scopes.push(match is_odd(it) {
                true => self.written_out(it)?,
                false => self.scope(it),
            });
        }
        let merged: Vec<(String, Expr)> = scopes.iter().flat_map(|it| it.merged.clone()).collect();
        let mut projection = Vec::new();
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) => {
                    for scope in &scopes {
                        projection.extend(scope.all(&options)?.ok_or(UNKNOWN_COLUMNS)?);
                    }
                }
                SelectItem::UnnamedExpr(Expr::Identifier(alias)) => {
                    let of_join = merged.iter().find(|it| it.0 == known_as(&alias));
                    projection.push(match of_join {
                        Some((_, expr)) => SelectItem::ExprWithAlias {
                            expr: expr.clone(),
                            alias,
                        },
                        None => SelectItem::UnnamedExpr(Expr::Identifier(alias)),
                    });
                }
                other => projection.push(other),
            }
        }
        select.projection = projection;
        let mut rest = SetExpr::Select(Box::new(select.clone()));
        in_set(&mut rest, &merged)?;
        if let SetExpr::Select(rest) = rest {
            *select = *rest;
        }
        select.from = from;
        Ok(merged)
    }

    /// Refuses `logs` and `lake.logs` in one FROM: `logs.x` could be of either, and the planner would take the first one.
    fn refuse_namesakes(&self, select: &Select) -> Result<(), String> {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for name in select.from.iter().flat_map(|it| self.named(it)) {
            let Some(last) = name.last().map(known_as) else {
                continue;
            };
            let parts: Vec<String> = name.iter().map(Ident::to_string).collect();
            let whole = parts.join(".");
            if let Some(other) = seen.insert(last, whole.clone()) {
                return Err(format!(
                    "`{other}` and `{whole}` in one FROM have the same name; give one of them another: {whole} AS t"
                ));
            }
        }
        Ok(())
    }

    /// Writes out the joins of one item of a FROM.
    fn written_out(&self, from: &mut TableWithJoins) -> Result<Scope, String> {
        let mut scope = self.of_factor(&from.relation);
        for join in &mut from.joins {
            let right = self.of_factor(&join.relation);
            let kind = Merges::of(&join.join_operator);
            let operator = join.join_operator.clone();
            let Some(constraint) = constraint(&mut join.join_operator) else {
                scope.join(&operator, right);
                continue;
            };
            let names = match constraint {
                JoinConstraint::Using(names) => {
                    let names = names.iter().filter_map(|it| it.0.first()?.as_ident());
                    names.cloned().collect()
                }
                JoinConstraint::Natural => common(&scope, &right)?,
                JoinConstraint::On(_) | JoinConstraint::None => {
                    scope.join(&operator, right);
                    continue;
                }
            };
            let mut conditions = Vec::new();
            for name in &names {
                let (left, right) = (scope.column(name)?, right.column(name)?);
                conditions.push(Expr::BinaryOp {
                    left: Box::new(left.clone()),
                    op: BinaryOperator::Eq,
                    right: Box::new(right.clone()),
                });
                scope.merge(known_as(name), kind.of_both(left, right));
            }
            let condition = conditions.into_iter().reduce(|left, right| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::And,
                right: Box::new(right),
            });
            let condition = condition.unwrap_or_else(|| Expr::value(Value::Boolean(true)));
            *constraint = JoinConstraint::On(condition);
            scope.join(&operator, right);
        }
        Ok(scope)
    }

    fn scope(&self, from: &TableWithJoins) -> Scope {
        let mut scope = self.of_factor(&from.relation);
        for join in &from.joins {
            scope.join(&join.join_operator, self.of_factor(&join.relation));
        }
        scope
    }

    /// The names of all relations of an item of FROM, of whose columns conditions of its joins may be.
    fn named(&self, from: &TableWithJoins) -> Vec<Vec<Ident>> {
        let joined = from.joins.iter().map(|it| &it.relation);
        let factors = std::iter::once(&from.relation).chain(joined);
        let relations = factors.flat_map(|it| self.of_factor(it).relations);
        relations.filter_map(|it| it.name).collect()
    }

    fn of_factor(&self, factor: &TableFactor) -> Scope {
        let (alias, own, columns) = match factor {
            TableFactor::Table {
                name, args, alias, ..
            } => {
                let parts = name.0.iter().map(|it| it.as_ident().cloned());
                let own: Option<Vec<Ident>> = parts.collect();
                let columns = match args {
                    None => self.of_relation(name),
                    Some(args) => self.of_windows(name, &args.args),
                };
                (alias, own, columns)
            }
            TableFactor::Function {
                name, args, alias, ..
            } => (alias, None, self.of_windows(name, args)),
            TableFactor::Derived {
                subquery, alias, ..
            } => (alias, None, self.of_query(subquery).map(apart)),
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.scope(table_with_joins),
            _ => (&None, None, None),
        };
        let columns = match alias {
            Some(TableAlias { columns: named, .. }) if !named.is_empty() => {
                let rest = columns.unwrap_or_default().into_iter().skip(named.len());
                Some(
                    named
                        .iter()
                        .map(|it| known_as(&it.name))
                        .chain(rest)
                        .collect(),
                )
            }
            _ => columns,
        };
        let name = alias.as_ref().map(|it| vec![it.name.clone()]).or(own);
        Scope {
            relations: vec![Relation { name, columns }],
            merged: Vec::new(),
        }
    }

    fn of_relation(&self, name: &ObjectName) -> Option<Vec<String>> {
        let parts = name.0.iter().map(ObjectNamePart::as_ident);
        let parts: Option<Vec<String>> = parts.map(|it| it.map(known_as)).collect();
        let name = parts?.join(".");
        let columns = match self.queries.get(&name) {
            Some(columns) => columns.clone(),
            None => (self.known)(&name),
        };
        let mut columns = columns?;
        columns.retain(|it| !ADDED.contains(&it.as_str()));
        Some(columns)
    }

    fn of_windows(&self, name: &ObjectName, args: &[FunctionArg]) -> Option<Vec<String>> {
        WindowKind::of(&name.to_string())?;
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) = args.first()? else {
            return None;
        };
        let of = match of {
            Expr::Identifier(it) => ObjectName::from(vec![it.clone()]),
            Expr::CompoundIdentifier(parts) => ObjectName::from(parts.clone()),
            _ => return None,
        };
        let mut columns = self.of_relation(&of)?;
        columns.extend(["window_start", "window_end"].map(str::to_owned));
        Some(columns)
    }

    fn of_query(&self, query: &Query) -> Option<Vec<String>> {
        self.of_set(&query.body)
    }

    fn of_set(&self, mut body: &SetExpr) -> Option<Vec<String>> {
        loop {
            match body {
                SetExpr::Select(select) => return self.of_select(select),
                SetExpr::SetOperation { left, .. } => body = left,
                SetExpr::Query(inner) => return self.of_query(inner),
                _ => return None,
            }
        }
    }

    fn of_select(&self, select: &Select) -> Option<Vec<String>> {
        let items = self.items(select).ok()??;
        Some(
            items
                .iter()
                .map(|it| name_of(it).unwrap_or_default())
                .collect(),
        )
    }

    /// What a SELECT has, with the columns that each `*` stands for; none if these cannot be told.
    ///
    /// # Errors
    /// If a `*` has more behind it than columns that are left out.
    pub fn items(&self, select: &Select) -> Result<Option<Vec<SelectItem>>, String> {
        let mut items = Vec::new();
        for item in &select.projection {
            let all = match item {
                SelectItem::Wildcard(options) => {
                    let scopes = select.from.iter().map(|it| self.merged_scope(it));
                    let scopes = scopes.collect::<Result<Vec<_>, _>>()?;
                    let all = scopes.iter().map(|it| it.all(options));
                    let all: Option<Vec<_>> = all.collect::<Result<_, _>>()?;
                    all.map(|it| it.into_iter().flatten().collect())
                }
                SelectItem::QualifiedWildcard(of, options) => {
                    let SelectItemQualifiedWildcardKind::ObjectName(of) = of else {
                        return Ok(None);
                    };
                    let of = of.0.iter().filter_map(|it| it.as_ident().map(known_as));
                    let of = of.collect::<Vec<String>>().join(".");
                    let mut relations = select.from.iter().flat_map(|it| self.scope(it).relations);
                    let found = relations.find(|it| {
                        let name = it.name.iter().flatten().map(known_as);
                        name.collect::<Vec<String>>().join(".") == of
                    });
                    let merged = Vec::new();
                    let relations = found.into_iter().collect();
                    let scope = Scope { relations, merged };
                    match scope.relations.is_empty() {
                        true => None,
                        false => scope.all(options)?,
                    }
                }
                other => Some(vec![other.clone()]),
            };
            match all {
                Some(all) => items.extend(all),
                None => return Ok(None),
            }
        }
        Ok(Some(items))
    }

    /// What names mean in an item of FROM, whose joins may be by columns of both sides.
    fn merged_scope(&self, from: &TableWithJoins) -> Result<Scope, String> {
        let is_by_columns = |it: &Join| {
            let mut operator = it.join_operator.clone();
            let constraint = constraint(&mut operator);
            matches!(
                constraint,
                Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
            )
        };
        match from.joins.iter().any(is_by_columns) {
            true => self.written_out(&mut from.clone()),
            false => Ok(self.scope(from)),
        }
    }
}

/// Names of columns, those that were there before made others: `id`, `id_1`.
pub fn apart(names: Vec<String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = names.iter().cloned().collect();
    let mut seen = BTreeSet::new();
    let names = names.into_iter().map(|name| {
        if name.is_empty() || seen.insert(name.clone()) {
            return name;
        }
        let numbered = (1_usize..).map(|it| format!("{name}_{it}"));
        let free = numbered.into_iter().find(|it| !taken.contains(it));
        let free = free.unwrap_or(name);
        taken.insert(free.clone());
        free
    });
    names.collect()
}

const UNKNOWN_COLUMNS: &str = "the columns of a side of this join cannot be told; name them instead of *, and write JOIN … ON";

impl Scope {
    /// Takes up the right side of a join: one by SEMI or ANTI has the columns of one side.
    fn join(&mut self, operator: &JoinOperator, right: Scope) {
        match operator {
            JoinOperator::Semi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::LeftAnti(_) => {}
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => *self = right,
            _ => self.take(right),
        }
    }

    fn take(&mut self, more: Scope) {
        self.relations.extend(more.relations);
        self.merged.extend(more.merged);
    }

    fn merge(&mut self, name: String, expr: Expr) {
        self.merged.retain(|it| it.0 != name);
        self.merged.push((name, expr));
    }

    /// What an unqualified name means.
    fn column(&self, name: &Ident) -> Result<Expr, String> {
        let known = known_as(name);
        if let Some((_, expr)) = self.merged.iter().find(|it| it.0 == known) {
            return Ok(expr.clone());
        }
        let has = |it: &&Relation| {
            let mut columns = it.columns.iter().flatten();
            columns.any(|it| *it == known)
        };
        let found: Vec<&Relation> = match self.relations.as_slice() {
            [one] => vec![one],
            all => all.iter().filter(has).collect(),
        };
        match found.as_slice() {
            [
                Relation {
                    name: Some(relation),
                    ..
                },
            ] => Ok(qualified(relation, name.clone())),
            [_] => Err(format!(
                "a side of the join by `{name}` has no name; give it one: (SELECT …) AS t"
            )),
            [] => Err(format!(
                "USING ({name}): no relation on the left is known to have such a column; write JOIN … ON"
            )),
            _ => Err(format!(
                "USING ({name}): several relations on the left have such a column; write JOIN … ON"
            )),
        }
    }

    /// What `*` stands for; none if that cannot be told.
    fn all(&self, options: &WildcardAdditionalOptions) -> Result<Option<Vec<SelectItem>>, String> {
        let left_out = LeftOut::of(options)?;
        let mut others = OtherColumns::of(options);
        let merged = self.merged.iter().filter(|it| !left_out.has(&[], &it.0));
        let merged = merged.map(|(name, expr)| {
            let (expr, alias) = (expr.clone(), Ident::with_quote('"', name));
            others.instead(name, SelectItem::ExprWithAlias { expr, alias })
        });
        let mut all: Vec<SelectItem> = merged.collect();
        for relation in &self.relations {
            let (Some(name), Some(columns)) = (&relation.name, &relation.columns) else {
                return Ok(None);
            };
            if columns.iter().any(String::is_empty) {
                return Ok(None);
            }
            let own = columns.iter().filter(|it| {
                let is_merged = self.merged.iter().any(|merged| merged.0 == **it);
                !is_merged && !left_out.has(name, it)
            });
            all.extend(own.map(|it| {
                let column = qualified(name, Ident::with_quote('"', it));
                others.instead(it, SelectItem::UnnamedExpr(column))
            }));
        }
        others.refuse_unknown()?;
        Ok(Some(all))
    }

    /// The names that columns have, in the order of `*`; none if they cannot be told.
    fn names(&self) -> Option<Vec<String>> {
        let mut names: Vec<String> = self.merged.iter().map(|it| it.0.clone()).collect();
        for relation in &self.relations {
            relation.name.as_ref()?;
            let own = relation.columns.as_ref()?.iter();
            let own = own.filter(|it| !self.merged.iter().any(|merged| merged.0 == **it));
            names.extend(own.filter(|it| !it.is_empty()).cloned());
        }
        Some(names)
    }
}

/// Columns that a `*` leaves out, each with the relation whose it is, if that is said.
struct LeftOut(Vec<Vec<String>>);

impl LeftOut {
    fn of(options: &WildcardAdditionalOptions) -> Result<Self, String> {
        let parts = |it: &ObjectName| {
            it.0.iter()
                .filter_map(|it| it.as_ident().map(known_as))
                .collect()
        };
        let mut all: Vec<Vec<String>> = match &options.opt_exclude {
            None => Vec::new(),
            Some(ExcludeSelectItem::Single(it)) => vec![parts(it)],
            Some(ExcludeSelectItem::Multiple(all)) => all.iter().map(parts).collect(),
        };
        if let Some(it) = &options.opt_except {
            let names = std::iter::once(&it.first_element).chain(&it.additional_elements);
            all.extend(names.map(|it| vec![known_as(it)]));
        }
        let WildcardAdditionalOptions {
            opt_ilike: None,
            opt_alias: None,
            ..
        } = options
        else {
            return Err("name the columns instead of * with ILIKE or AS".to_owned());
        };
        Ok(LeftOut(all))
    }

    fn has(&self, relation: &[Ident], column: &str) -> bool {
        self.0.iter().any(|it| match it.as_slice() {
            [name] => name == column,
            [.., of, name] => {
                let is_of = relation.last().is_some_and(|it| known_as(it) == *of);
                is_of && name == column
            }
            [] => false,
        })
    }
}

/// Whether a `*` has some columns in another way: `* REPLACE (a + 1 AS a)`, `* RENAME (a AS b)`.
fn has_other_columns(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            options.opt_replace.is_some() || options.opt_rename.is_some()
        }
        _ => false,
    }
}

/// Columns that a `*` has in another way.
struct OtherColumns {
    /// Each by its name, and what is computed instead.
    replaced: Vec<(String, Expr)>,
    renamed: Vec<(String, Ident)>,
    found: BTreeSet<String>,
}

impl OtherColumns {
    fn of(options: &WildcardAdditionalOptions) -> Self {
        let replaced = options.opt_replace.iter().flat_map(|it| &it.items);
        let renamed = match &options.opt_rename {
            None => &[][..],
            Some(RenameSelectItem::Single(it)) => std::slice::from_ref(it),
            Some(RenameSelectItem::Multiple(all)) => all,
        };
        OtherColumns {
            replaced: replaced
                .map(|it| (known_as(&it.column_name), it.expr.clone()))
                .collect(),
            renamed: renamed
                .iter()
                .map(|it| (known_as(&it.ident), it.alias.clone()))
                .collect(),
            found: BTreeSet::new(),
        }
    }

    /// What a column is selected as.
    fn instead(&mut self, name: &str, item: SelectItem) -> SelectItem {
        let replaced = self.replaced.iter().find(|it| it.0 == name);
        let renamed = self.renamed.iter().find(|it| it.0 == name);
        if replaced.is_none() && renamed.is_none() {
            return item;
        }
        self.found.insert(name.to_owned());
        let own = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
            other => return other,
        };
        SelectItem::ExprWithAlias {
            expr: replaced.map_or(own, |it| it.1.clone()),
            alias: renamed.map_or_else(|| Ident::with_quote('"', name), |it| it.1.clone()),
        }
    }

    fn refuse_unknown(&self) -> Result<(), String> {
        let replaced = self.replaced.iter().map(|it| &it.0);
        let mut names = replaced.chain(self.renamed.iter().map(|it| &it.0));
        match names.find(|it| !self.found.contains(*it)) {
            None => Ok(()),
            Some(name) => Err(format!("this `*` has no column `{name}`")),
        }
    }
}

fn qualified(relation: &[Ident], column: Ident) -> Expr {
    let mut parts = relation.to_vec();
    parts.push(column);
    Expr::CompoundIdentifier(parts)
}

/// Which side's column a join by equal columns has in its result.
#[derive(Clone, Copy)]
enum Merges {
    Left,
    Right,
    Either,
}

impl Merges {
    fn of(operator: &JoinOperator) -> Self {
        match operator {
            JoinOperator::Right(_)
            | JoinOperator::RightOuter(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::RightAnti(_) => Merges::Right,
            JoinOperator::FullOuter(_) => Merges::Either,
            _ => Merges::Left,
        }
    }

    fn of_both(self, left: Expr, right: Expr) -> Expr {
        match self {
            Merges::Left => left,
            Merges::Right => right,
            Merges::Either => call("coalesce", vec![left, right]),
        }
    }
}

/// Whether the planner would make something else of the joins of an item of FROM than is written.
fn is_odd(from: &TableWithJoins) -> bool {
    let of_left = |it: &Join| matches!(Merges::of(&it.join_operator), Merges::Left);
    let mut joins = from.joins.iter();
    joins.any(|it| match constraint(&mut it.join_operator.clone()) {
        Some(JoinConstraint::Natural) => true,
        Some(JoinConstraint::Using(_)) => 1 < from.joins.len() || !of_left(it),
        Some(JoinConstraint::On(_) | JoinConstraint::None) | None => false,
    })
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(it)
        | JoinOperator::Inner(it)
        | JoinOperator::Left(it)
        | JoinOperator::LeftOuter(it)
        | JoinOperator::Right(it)
        | JoinOperator::RightOuter(it)
        | JoinOperator::FullOuter(it)
        | JoinOperator::Semi(it)
        | JoinOperator::LeftSemi(it)
        | JoinOperator::RightSemi(it)
        | JoinOperator::Anti(it)
        | JoinOperator::LeftAnti(it)
        | JoinOperator::RightAnti(it) => Some(it),
        JoinOperator::CrossJoin(_)
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf { .. }
        | JoinOperator::StraightJoin(_)
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}

/// The columns that both sides of a NATURAL JOIN have, in the order of the left one.
fn common(left: &Scope, right: &Scope) -> Result<Vec<Ident>, String> {
    const UNKNOWN: &str =
        "the columns of a side of this NATURAL JOIN cannot be told; write JOIN … USING (…) or ON";
    let (left, right) = (left.names().ok_or(UNKNOWN)?, right.names().ok_or(UNKNOWN)?);
    let both = left.into_iter().filter(|it| right.contains(it));
    Ok(both.map(|it| Ident::with_quote('"', it)).collect())
}

/// The name of what a SELECT has, if it has one.
pub fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(it)) => Some(known_as(it)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(known_as),
        SelectItem::ExprWithAlias { alias, .. } => Some(known_as(alias)),
        _ => None,
    }
}

/// Puts what columns of joins became in the place of their names, but not in sub-queries, whose names are their own.
fn in_set(body: &mut SetExpr, merged: &[(String, Expr)]) -> Result<(), String> {
    struct Replace<'a> {
        merged: &'a [(String, Expr)],
        depth: usize,
    }
    impl VisitorMut for Replace<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            if self.depth == 1
                && let Expr::Identifier(name) = &*expr
                && let Some((_, instead)) = self.merged.iter().find(|it| it.0 == known_as(name))
            {
                *expr = instead.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let mut query = super::syntax::parse_query("SELECT 1")?;
    std::mem::swap(query.body.as_mut(), body);
    let walked = walk::query(&mut query, &mut Replace { merged, depth: 0 });
    *body = *query.body;
    walked
}

fn in_expr(expr: &mut Expr, merged: &[(String, Expr)]) -> Result<(), String> {
    if merged.is_empty() {
        return Ok(());
    }
    let mut query = super::syntax::parse_query("SELECT 1")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    select.projection = Vec::new();
    select.group_by = GroupByExpr::Expressions(vec![expr.clone()], Vec::new());
    in_set(&mut query.body, merged)?;
    if let SetExpr::Select(select) = *query.body
        && let GroupByExpr::Expressions(mut exprs, _) = select.group_by
        && let Some(changed) = exprs.pop()
    {
        *expr = changed;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::syntax::parse_query;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns: &[&str] = match name {
                "a" => &["x", "y", "_offset"],
                "b" => &["x", "z", "_offset"],
                "c" => &["x", "y", "w"],
                _ => return None,
            };
            Some(columns.iter().map(|it| (*it).to_owned()).collect())
        };
        let mut query = parse_query(text)?;
        rewrite(&mut query, &known)?;
        Ok(query.to_string())
    }

    #[test]
    fn joins_by_columns_are_written_out() {
        for (text, expected) in [
            // What the planner makes of these is what they mean.
            (
                "SELECT x, z FROM a JOIN b USING (x)",
                "SELECT x, z FROM a JOIN b USING(x)",
            ),
            (
                "SELECT * FROM a LEFT JOIN b USING (x)",
                "SELECT * FROM a LEFT JOIN b USING(x)",
            ),
            (
                "SELECT x, z FROM a RIGHT JOIN b USING (x) WHERE x > 1 ORDER BY x",
                "SELECT b.x AS x, z FROM a RIGHT JOIN b ON a.x = b.x WHERE b.x > 1 ORDER BY x",
            ),
            (
                "SELECT x + 1 AS n, count(*) FROM a FULL JOIN b USING (x) GROUP BY x ORDER BY x",
                "SELECT coalesce(a.x, b.x) + 1 AS n, count(*) FROM a FULL JOIN b ON a.x = b.x GROUP BY coalesce(a.x, b.x) ORDER BY coalesce(a.x, b.x)",
            ),
            (
                "SELECT * FROM a NATURAL JOIN b",
                "SELECT a.\"x\" AS \"x\", a.\"y\", b.\"z\" FROM a JOIN b ON a.\"x\" = b.\"x\"",
            ),
            (
                "SELECT w, p.x FROM a AS p NATURAL LEFT JOIN c AS q",
                "SELECT w, p.x FROM a AS p LEFT JOIN c AS q ON p.\"x\" = q.\"x\" AND p.\"y\" = q.\"y\"",
            ),
            (
                "SELECT x, w FROM a JOIN b USING (x) FULL JOIN c USING (x)",
                "SELECT coalesce(a.x, c.x) AS x, w FROM a JOIN b ON a.x = b.x FULL JOIN c ON a.x = c.x",
            ),
            (
                "WITH d AS (SELECT x AS k, z FROM b) SELECT k FROM (SELECT y AS k FROM a) AS e NATURAL FULL JOIN d WHERE EXISTS (SELECT 1 FROM c WHERE k = 1)",
                "WITH d AS (SELECT x AS k, z FROM b) SELECT coalesce(e.\"k\", d.\"k\") AS k FROM (SELECT y AS k FROM a) AS e FULL JOIN d ON e.\"k\" = d.\"k\" WHERE EXISTS (SELECT 1 FROM c WHERE k = 1)",
            ),
            (
                "SELECT * REPLACE (x + 1 AS x) FROM a WHERE y IN (SELECT p.* RENAME (z AS w) FROM b AS p)",
                "SELECT x + 1 AS \"x\", a.\"y\" FROM a WHERE y IN (SELECT p.\"x\", p.\"z\" AS w FROM b AS p)",
            ),
            (
                "SELECT * EXCLUDE (y) RENAME x AS k FROM a",
                "SELECT a.\"x\" AS k FROM a",
            ),
            (
                "SELECT z FROM HOP(a, y, 1, 2) AS h NATURAL JOIN b",
                "SELECT z FROM HOP(a, y, 1, 2) AS h JOIN b ON h.\"x\" = b.\"x\"",
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sides_that_are_not_known_are_said() {
        for (text, words) in [
            ("SELECT 1 FROM a NATURAL JOIN f(1) AS g", "cannot be told"),
            (
                "SELECT 1 FROM a CROSS JOIN b FULL JOIN c USING (x)",
                "several relations on the left",
            ),
            (
                "SELECT 1 FROM a CROSS JOIN b FULL JOIN c USING (w)",
                "no relation on the left",
            ),
            ("SELECT * REPLACE (1 AS w) FROM a", "has no column `w`"),
        ] {
            let reason = written_out(text).unwrap_err();
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
