//! The canonical text of a query: what it means for stored rows is named by this, and by nothing a library prints.
//!
//! Every construct that a maintained query may be made of is spelled out here, field by field, in a form of our own: the case of
//! keywords, parentheses that change nothing, and ways of writing one thing (`!=` and `<>`, `::` and `CAST`) disappear.
//! What is not spelled out is refused. So a clause that nobody has thought of is never passed over in silence, and a new version of
//! the parser cannot change what stored rows are taken for: golden tests hold the text.

mod expression;
mod older;
mod passed_over;
#[cfg(test)]
mod tests;

use super::constant_rows::ROW_FUNCTIONS;
use super::windows::WindowKind;
pub(super) use expression::expression;
pub use older::in_this_form;
pub(super) use passed_over::{refuse_in_query, refuse_in_table, refuse_in_view};

use arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{
    Cte, Distinct, ExceptSelectItem, ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr,
    GroupByExpr, GroupByWithModifier, Ident, Join, JoinConstraint, JoinOperator, LimitClause,
    NamedWindowDefinition, NamedWindowExpr, ObjectName, ObjectNamePart, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, Parens, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor,
    TableFunctionArgs, TableWithJoins, Values, WildcardAdditionalOptions, With,
};

/// The canonical text of a query.
///
/// # Errors
/// Names what it has that cannot be maintained, and what to write instead.
pub fn query(query: &Query) -> Result<String, String> {
    refuse_in_query(query)?;
    whole(query, true)
}

/// A query that keeps records one by one, taken apart: what each of its columns is computed by, and which records it keeps. A column
/// that `*` stands for is computed by its own name.
///
/// # Errors
/// As [`query`].
pub fn apart(query: &Query, schema: &Schema) -> Result<(Vec<String>, String), String> {
    refuse_in_query(query)?;
    let rest = apart_text(query)?;
    let mut names = schema.fields().iter().map(|it| name(it.name()));
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Ok((names.collect(), rest));
    };
    let items = &select.projection;
    let is_star = |it: &SelectItem| {
        matches!(
            it,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    };
    if 1 < items.iter().filter(|it| is_star(it)).count() {
        return Ok((names.collect(), rest));
    }
    let many = (schema.fields().len() + 1).saturating_sub(items.len());
    let mut columns = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                columns.extend(names.by_ref().take(many));
            }
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                names.next();
                columns.push(expression(expr)?);
            }
            SelectItem::ExprWithAliases { .. } => {
                return Err("give each expression one name with AS".to_owned());
            }
        }
    }
    Ok((columns, rest))
}

/// A query without what it selects: which records it keeps.
fn apart_text(query: &Query) -> Result<String, String> {
    whole(query, false)
}

/// A query, once what others pass over has been refused in all of it; with or without what its outermost SELECT selects.
fn whole(query: &Query, with_projection: bool) -> Result<String, String> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch: _,
        locks: _,
        for_clause: _,
        settings: _,
        format_clause: _,
        pipe_operators: _,
    } = query;
    let mut text = with.as_ref().map_or(Ok(String::new()), with_clause)?;
    text += &set(body, with_projection)?;
    if let Some(OrderBy {
        kind,
        interpolate: _,
    }) = order_by
    {
        text += &match kind {
            OrderByKind::All(_) => {
                return Err("ORDER BY ALL is not maintained; name the columns".to_owned());
            }
            OrderByKind::Expressions(all) => format!(" order by {}", list(all, ordered)?),
        };
    }
    match limit_clause {
        None => {}
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by: _,
        }) => {
            if let Some(limit) = limit {
                text += &format!(" limit {}", expression(limit)?);
            }
            if let Some(offset) = offset {
                text += &format!(" offset {}", expression(&offset.value)?);
            }
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
            text += &format!(
                " limit {} offset {}",
                expression(limit)?,
                expression(offset)?
            );
        }
    }
    Ok(text)
}

fn with_clause(with: &With) -> Result<String, String> {
    let With {
        with_token: _,
        recursive,
        cte_tables,
    } = with;
    if *recursive {
        return Err("WITH RECURSIVE is not maintained: a query would have to read its own result; write a join for each step, as many as there can be".to_owned());
    }
    let one = |it: &Cte| {
        let Cte {
            alias: name,
            query,
            from: _,
            materialized: _,
            closing_paren_token: _,
        } = it;
        Ok(format!("{} as ({})", alias(name)?, whole(query, true)?))
    };
    Ok(format!("with {} ", list(cte_tables, one)?))
}

fn set(set_expr: &SetExpr, with_projection: bool) -> Result<String, String> {
    match set_expr {
        SetExpr::Select(it) => select(it, with_projection),
        SetExpr::Query(it) => Ok(format!("({})", whole(it, true)?)),
        SetExpr::SetOperation {
            left,
            op,
            set_quantifier,
            right,
        } => {
            let quantifier = match set_quantifier {
                SetQuantifier::All => " all",
                SetQuantifier::Distinct | SetQuantifier::None => "",
                SetQuantifier::ByName
                | SetQuantifier::AllByName
                | SetQuantifier::DistinctByName => {
                    return Err("UNION … BY NAME is not maintained; write the columns of all sides in one order".to_owned());
                }
            };
            match op {
                SetOperator::Union => Ok(format!(
                    "{} union{quantifier} {}",
                    set(left, true)?,
                    set(right, true)?
                )),
                SetOperator::Except | SetOperator::Minus => Ok(format!(
                    "{} except{quantifier} {}",
                    set(left, true)?,
                    set(right, true)?
                )),
                SetOperator::Intersect => Ok(format!(
                    "{} intersect{quantifier} {}",
                    set(left, true)?,
                    set(right, true)?
                )),
            }
        }
        SetExpr::Values(Values {
            explicit_row: _,
            value_keyword: _,
            rows,
        }) => {
            let row = |it: &Parens<Vec<Expr>>| Ok(format!("({})", list(&it.content, expression)?));
            Ok(format!("values {}", list(rows, row)?))
        }
        SetExpr::Table(_) => Err("write SELECT * FROM name instead of TABLE name".to_owned()),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err("a view is made by a SELECT, which changes nothing".to_owned())
        }
    }
}

/// A SELECT, with or without what it selects.
fn select(select: &Select, with_projection: bool) -> Result<String, String> {
    let Select {
        select_token: _,
        optimizer_hints: _,
        distinct,
        select_modifiers: _,
        top: _,
        top_before_distinct: _,
        projection,
        exclude: _,
        into: _,
        from,
        lateral_views: _,
        prewhere: _,
        selection,
        connect_by: _,
        group_by,
        cluster_by: _,
        distribute_by: _,
        sort_by: _,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode: _,
        flavor: _,
    } = select;
    let mut text = "select".to_owned();
    match distinct {
        None | Some(Distinct::All) => {}
        Some(Distinct::Distinct) => text += " distinct",
        Some(Distinct::On(all)) => text += &format!(" distinct on ({})", list(all, expression)?),
    }
    if with_projection {
        text += &format!(" {}", list(projection, item)?);
    }
    if !from.is_empty() {
        text += &format!(" from {}", list(from, relation)?);
    }
    if let Some(it) = selection {
        text += &format!(" where {}", expression(it)?);
    }
    text += &grouping(group_by)?;
    if let Some(it) = having {
        text += &format!(" having {}", expression(it)?);
    }
    if !named_window.is_empty() {
        let one = |NamedWindowDefinition(name, window): &NamedWindowDefinition| match window {
            NamedWindowExpr::NamedWindow(of) => Ok(format!("{} as {}", ident(name), ident(of))),
            NamedWindowExpr::WindowSpec(it) => {
                Ok(format!("{} as ({})", ident(name), expression::window(it)?))
            }
        };
        text += &format!(" window {}", list(named_window, one)?);
    }
    if let Some(it) = qualify {
        text += &format!(" qualify {}", expression(it)?);
    }
    Ok(text)
}

fn grouping(group_by: &GroupByExpr) -> Result<String, String> {
    let sets = || {
        Err(
            "GROUPING SETS, ROLLUP and CUBE are not maintained; write one view per grouping"
                .to_owned(),
        )
    };
    let modifiers = |all: &[GroupByWithModifier]| match all.first() {
        None => Ok(()),
        Some(GroupByWithModifier::Totals) => {
            Err("WITH TOTALS is not maintained; write a view of the totals".to_owned())
        }
        Some(
            GroupByWithModifier::Rollup
            | GroupByWithModifier::Cube
            | GroupByWithModifier::GroupingSets(_),
        ) => sets(),
    };
    match group_by {
        GroupByExpr::All(with) => modifiers(with).map(|()| " group by all".to_owned()),
        GroupByExpr::Expressions(all, with) => {
            modifiers(with)?;
            match all.is_empty() {
                true => Ok(String::new()),
                false => Ok(format!(" group by {}", list(all, expression)?)),
            }
        }
    }
}

/// One thing that is selected.
fn item(item: &SelectItem) -> Result<String, String> {
    match item {
        SelectItem::UnnamedExpr(it) => expression(it),
        SelectItem::ExprWithAlias { expr, alias } => {
            Ok(format!("{} as {}", expression(expr)?, ident(alias)))
        }
        SelectItem::ExprWithAliases { .. } => {
            Err("give each expression one name with AS".to_owned())
        }
        SelectItem::QualifiedWildcard(of, options) => match of {
            SelectItemQualifiedWildcardKind::ObjectName(name) => {
                Ok(format!("{}.*{}", object_name(name)?, wildcard(options)?))
            }
            SelectItemQualifiedWildcardKind::Expr(_) => {
                Err("name the values you need instead of (expression).*".to_owned())
            }
        },
        SelectItem::Wildcard(options) => Ok(format!("*{}", wildcard(options)?)),
    }
}

fn wildcard(options: &WildcardAdditionalOptions) -> Result<String, String> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    if opt_ilike.is_some() || opt_replace.is_some() || opt_rename.is_some() || opt_alias.is_some() {
        return Err("name the columns instead of * with ILIKE, REPLACE, RENAME or AS".to_owned());
    }
    let left_out: Vec<String> = match (opt_exclude, opt_except) {
        (None, None) => return Ok(String::new()),
        (Some(ExcludeSelectItem::Single(it)), None) => vec![object_name(it)?],
        (Some(ExcludeSelectItem::Multiple(all)), None) => {
            all.iter().map(object_name).collect::<Result<_, _>>()?
        }
        (
            None,
            Some(ExceptSelectItem {
                first_element,
                additional_elements,
            }),
        ) => std::iter::once(first_element)
            .chain(additional_elements)
            .map(ident)
            .collect(),
        (Some(_), Some(_)) => return Err("write one of EXCEPT and EXCLUDE".to_owned()),
    };
    Ok(format!(" except ({})", left_out.join(", ")))
}

fn relation(from: &TableWithJoins) -> Result<String, String> {
    let TableWithJoins { relation, joins } = from;
    let mut text = factor(relation)?;
    for it in joins {
        text += &join(it)?;
    }
    Ok(text)
}

fn join(join: &Join) -> Result<String, String> {
    let Join {
        relation,
        global,
        join_operator,
    } = join;
    let unknown = |name: &str| {
        Err(format!(
            "{name} is not maintained; possible are INNER, LEFT, RIGHT, FULL and CROSS JOIN, LEFT SEMI and LEFT ANTI JOIN"
        ))
    };
    if *global {
        return unknown("GLOBAL JOIN");
    }
    let (kind, constraint) = match join_operator {
        JoinOperator::Join(it) | JoinOperator::Inner(it) => ("join", it),
        JoinOperator::Left(it) | JoinOperator::LeftOuter(it) => ("left join", it),
        JoinOperator::Right(it) | JoinOperator::RightOuter(it) => ("right join", it),
        JoinOperator::FullOuter(it) => ("full join", it),
        JoinOperator::CrossJoin(it) => ("cross join", it),
        JoinOperator::Semi(it) | JoinOperator::LeftSemi(it) => ("left semi join", it),
        JoinOperator::RightSemi(it) => ("right semi join", it),
        JoinOperator::Anti(it) | JoinOperator::LeftAnti(it) => ("left anti join", it),
        JoinOperator::RightAnti(it) => ("right anti join", it),
        JoinOperator::CrossApply | JoinOperator::OuterApply => return unknown("APPLY"),
        JoinOperator::AsOf { .. } => return unknown("ASOF JOIN"),
        JoinOperator::StraightJoin(_) => return unknown("STRAIGHT_JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            return unknown("ARRAY JOIN");
        }
    };
    let relation = factor(relation)?;
    Ok(match constraint {
        JoinConstraint::On(it) => format!(" {kind} {relation} on {}", expression(it)?),
        JoinConstraint::Using(columns) => {
            format!(" {kind} {relation} using ({})", list(columns, object_name)?)
        }
        JoinConstraint::Natural => format!(" natural {kind} {relation}"),
        JoinConstraint::None => format!(" {kind} {relation}"),
    })
}

fn factor(factor: &TableFactor) -> Result<String, String> {
    let named = |text: String, name: &Option<TableAlias>| match name {
        None => Ok(text),
        Some(name) => Ok(format!("{text} as {}", alias(name)?)),
    };
    let window = |name: &ObjectName, args: &[FunctionArg]| {
        let name = object_name(name)?.to_ascii_lowercase();
        if ROW_FUNCTIONS.contains(&name.as_str()) {
            let argument = |it: &FunctionArg| match it {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => expression(it),
                _ => Err(format!("{name} takes a first and a last value, and a step")),
            };
            return Ok(format!("{name}({})", list(args, argument)?));
        }
        let Some(kind) = WindowKind::of(&name) else {
            if name == "unnest" {
                return Err("UNNEST of a row's list stands beside one relation: FROM relation, UNNEST(relation.list) AS e(x)".to_owned());
            }
            return Err(format!(
                "there is no table function {name}; FROM takes a source, table or view, or TUMBLE(relation, time, INTERVAL '1' MINUTE)"
            ));
        };
        let argument = |it: &FunctionArg| match it {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => expression(it),
            FunctionArg::Unnamed(
                FunctionArgExpr::QualifiedWildcard(_)
                | FunctionArgExpr::Wildcard
                | FunctionArgExpr::WildcardWithOptions(_),
            )
            | FunctionArg::Named { .. }
            | FunctionArg::ExprNamed { .. } => Err(kind.form().to_owned()),
        };
        Ok(format!("{name}({})", list(args, argument)?))
    };
    match factor {
        TableFactor::Table {
            name,
            alias,
            args,
            with_hints: _,
            version,
            with_ordinality: _,
            partitions: _,
            json_path: _,
            sample: _,
            index_hints: _,
        } => {
            let text = match args {
                None if version.is_some() => format!("versions of {}", object_name(name)?),
                None => object_name(name)?,
                Some(TableFunctionArgs { args, settings: _ }) => window(name, args)?,
            };
            named(text, alias)
        }
        TableFactor::Function {
            lateral: _,
            name,
            args,
            with_ordinality: _,
            alias,
        } => named(window(name, args)?, alias),
        TableFactor::Derived {
            lateral,
            subquery,
            alias,
            sample: _,
        } => {
            let lateral = if *lateral { "lateral " } else { "" };
            named(format!("{lateral}({})", whole(subquery, true)?), alias)
        }
        TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } => {
            let text = relation(table_with_joins)?;
            match table_with_joins.joins.is_empty() {
                true => named(text, alias),
                false => named(format!("({text})"), alias),
            }
        }
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: false,
        } => named(format!("unnest({})", list(array_exprs, expression)?), alias),
        TableFactor::UNNEST { .. } => Err("UNNEST WITH ORDINALITY is not maintained; number the elements with unnest(ARRAY[…], generate_series(1, n))".to_owned()),
        TableFactor::TableFunction { .. }
        | TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::Pivot { .. }
        | TableFactor::Unpivot { .. }
        | TableFactor::MatchRecognize { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => Err("FROM takes a source, table, view or sub-query, or TUMBLE(relation, time, INTERVAL '1' MINUTE)".to_owned()),
    }
}

fn alias(alias: &TableAlias) -> Result<String, String> {
    let TableAlias {
        explicit: _,
        name,
        columns,
        at: _,
    } = alias;
    if columns.is_empty() {
        return Ok(ident(name));
    }
    let columns: Vec<String> = columns.iter().map(|it| ident(&it.name)).collect();
    Ok(format!("{} ({})", ident(name), columns.join(", ")))
}

pub(super) fn ordered(by: &OrderByExpr) -> Result<String, String> {
    let OrderByExpr {
        expr,
        options: OrderByOptions { asc, nulls_first },
        with_fill: _,
    } = by;
    passed_over::refuse_in_order(by)?;
    let direction = match asc {
        Some(false) => " desc",
        Some(true) | None => "",
    };
    let nulls = match nulls_first {
        Some(true) => " nulls first",
        Some(false) => " nulls last",
        None => "",
    };
    Ok(format!("{}{direction}{nulls}", expression(expr)?))
}

pub(super) fn object_name(name: &ObjectName) -> Result<String, String> {
    let part = |it: &ObjectNamePart| match it {
        ObjectNamePart::Identifier(it) => Ok(ident(it)),
        ObjectNamePart::Function(_) => Err("a name cannot be computed".to_owned()),
    };
    let parts: Vec<String> = name.0.iter().map(part).collect::<Result<_, _>>()?;
    Ok(parts.join("."))
}

/// A name as it is looked up: folded to lower case unless quoted.
pub(super) fn ident(ident: &Ident) -> String {
    let Ident {
        value,
        quote_style,
        span: _,
    } = ident;
    match quote_style {
        None => name(&value.to_lowercase()),
        Some(_) => name(value),
    }
}

/// A name as it is, quoted if it has to be.
pub fn name(name: &str) -> String {
    let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    match name.chars().all(plain) && !name.starts_with(|it: char| it.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

pub(super) fn list<T>(
    all: &[T],
    one: impl Fn(&T) -> Result<String, String>,
) -> Result<String, String> {
    let texts: Vec<String> = all.iter().map(one).collect::<Result<_, _>>()?;
    Ok(texts.join(", "))
}
