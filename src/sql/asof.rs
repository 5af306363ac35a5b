//! ASOF joins: for each row on the left the one row on the right with the same key whose time is nearest before it (or after it).
//!
//! An ASOF join has one meaning, in plain SQL: each right row holds from its time until that of the next one of its key,
//!
//! ```sql
//! FROM a JOIN (SELECT *, lead(b.t) OVER (PARTITION BY b.k ORDER BY b.t) AS __until FROM b WHERE b.t IS NOT NULL) AS b
//!   ON asof(b.__until IS NULL OR a.t < b.__until) AND a.k = b.k AND a.t >= b.t
//! ```
//!
//! so that of right rows of equal times the last one by the whole row holds ([`super::definite`]). A batch computes just that; a maintained view
//! finds the join by the function `asof` around what it is told by, and keeps both sides in order instead.

mod lowering;
mod node;
mod spelling;
#[cfg(test)]
mod tests;
pub mod versions;

pub use node::{AsOfNode, as_nodes};
pub use spelling::as_joins;

use super::{syntax, walk, words};
use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Function, FunctionArguments, Ident, JoinConstraint,
    JoinOperator, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    TableAlias, TableFactor, TableWithJoins, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// Name of the function that marks the condition of an ASOF join. It yields its argument.
pub const AS_OF: &str = "asof";

const FORM: &str = "an ASOF JOIN has the form a ASOF JOIN b ON a.key = b.key AND a.time >= b.time: equal keys, one comparison of times, each column with the name of its relation";

/// Turns ASOF joins into plain SQL.
///
/// # Errors
/// If one has another form.
pub fn rewrite(query: &mut Query) -> Result<(), String> {
    #[derive(Default)]
    struct Rewrite {
        joins: usize,
    }
    impl VisitorMut for Rewrite {
        type Break = String;
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match in_select(select, &mut self.joins) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let is_asof = |it: &TableWithJoins| {
                it.joins.iter().any(|it| {
                    let mut operator = it.join_operator.clone();
                    condition(&mut operator).is_some_and(|it| conjuncts(it).iter().any(is_marker))
                })
            };
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } if is_asof(table_with_joins) => {
                    ControlFlow::Break("write an ASOF JOIN without parentheses around it, or as a sub-query: (SELECT … FROM a ASOF JOIN b ON …) AS name".to_owned())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk::query(query, &mut Rewrite::default())
}

fn in_select(select: &mut Select, joins: &mut usize) -> Result<(), String> {
    let mut hidden: Vec<(Ident, Ident)> = Vec::new();
    for join in select.from.iter_mut().flat_map(|it| &mut it.joins) {
        let Some(condition) = condition(&mut join.join_operator) else {
            continue;
        };
        let mut parts = conjuncts(condition);
        let all = parts.len();
        parts.retain(|it| !is_marker(it));
        if parts.len() == all {
            match begins_with_marker(condition) {
                true => return Err(FORM.to_owned()),
                false => continue,
            }
        }
        let until = Ident::with_quote('"', format!("__until{joins}"));
        *joins += 1;
        let alias = name_of(&join.relation)?;
        let as_of = AsOf::of(parts, &alias)?;
        *condition = parsed(&as_of.condition(&alias, &until), |it| it.parse_expr())?;
        let relation = as_of.right(&join.relation, &alias, &until);
        join.relation = parsed(&relation, |it| it.parse_table_factor())?;
        hidden.push((alias, until));
    }
    for item in &mut select.projection {
        let (options, of) = match item {
            SelectItem::Wildcard(options) => (options, None),
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) => (
                options,
                name.0.last().and_then(ObjectNamePart::as_ident).cloned(),
            ),
            _ => continue,
        };
        let hidden = hidden.iter().filter(|it| match &of {
            None => true,
            Some(of) => is_same(of, &it.0),
        });
        hidden.for_each(|it| leave_out(options, it.1.clone()));
    }
    Ok(())
}

/// Takes a column out of what a `*` stands for.
fn leave_out(options: &mut WildcardAdditionalOptions, column: Ident) {
    match &mut options.opt_except {
        Some(known) => known.additional_elements.push(column),
        none => {
            *none = Some(ExceptSelectItem {
                first_element: column,
                additional_elements: Vec::new(),
            });
        }
    }
}

fn parsed<T>(
    text: &str,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, datafusion::sql::sqlparser::parser::ParserError>,
) -> Result<T, String> {
    Parser::new(&Tidelake)
        .try_with_sql(text)
        .and_then(|mut it| parse(&mut it))
        .map_err(|it| words::parser(&it))
}

/// The condition of an inner or left join.
fn condition(operator: &mut JoinOperator) -> Option<&mut Expr> {
    match operator {
        JoinOperator::Join(it)
        | JoinOperator::Inner(it)
        | JoinOperator::Left(it)
        | JoinOperator::LeftOuter(it) => match it {
            JoinConstraint::On(condition) => Some(condition),
            JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => None,
        },
        _ => None,
    }
}

fn conjuncts(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => [conjuncts(left), conjuncts(right)].concat(),
        Expr::Nested(inner) => conjuncts(inner),
        other => vec![other.clone()],
    }
}

/// `asof()`, as [`as_joins`] puts it in front of the condition.
fn is_marker(expr: &Expr) -> bool {
    match expr {
        Expr::Function(Function {
            name,
            args: FunctionArguments::List(list),
            ..
        }) => name.to_string().eq_ignore_ascii_case(AS_OF) && list.args.is_empty(),
        _ => false,
    }
}

/// Whether it is the condition of an ASOF join, whatever stands behind the marker.
fn begins_with_marker(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { left, .. } => begins_with_marker(left),
        other => is_marker(other),
    }
}

/// The name by which a relation is known in its query.
fn name_of(factor: &TableFactor) -> Result<Ident, String> {
    match factor {
        TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        }
        | TableFactor::Function {
            alias: Some(alias), ..
        } => Ok(alias.name.clone()),
        TableFactor::Table {
            name, args: None, ..
        } => {
            let last = name.0.last().and_then(ObjectNamePart::as_ident);
            last.cloned().ok_or_else(|| FORM.to_owned())
        }
        _ => Err("give the right side of an ASOF JOIN a name: ASOF JOIN … AS b ON …".to_owned()),
    }
}

fn is_same(a: &Ident, b: &Ident) -> bool {
    let plain = |it: &Ident| match it.quote_style {
        Some(_) => it.value.clone(),
        None => it.value.to_lowercase(),
    };
    plain(a) == plain(b)
}

/// The names of relations that an expression reads; none if a column is without one.
fn sides(expr: &Expr) -> Result<Option<Vec<Ident>>, String> {
    #[derive(Default)]
    struct Names {
        names: Vec<Ident>,
        is_bare: bool,
    }
    impl VisitorMut for Names {
        type Break = String;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            match expr {
                Expr::Identifier(_) => self.is_bare = true,
                Expr::CompoundIdentifier(parts) => {
                    self.names.extend(parts.iter().rev().nth(1).cloned());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names::default();
    walk::query(
        &mut syntax::parse_query(&format!("SELECT {expr}"))?,
        &mut names,
    )?;
    Ok((!names.is_bare).then_some(names.names))
}

/// An ASOF join, as it is written: in each pair the left side stands first.
struct AsOf {
    keys: Vec<(Expr, Expr)>,
    times: (Expr, Expr),
    /// Of `left time … right time`.
    comparison: BinaryOperator,
}

impl AsOf {
    fn of(parts: Vec<Expr>, right: &Ident) -> Result<Self, String> {
        let (mut keys, mut times) = (Vec::new(), None);
        for part in parts {
            let Expr::BinaryOp {
                left: first,
                op,
                right: second,
            } = part
            else {
                return Err(FORM.to_owned());
            };
            let is_right = |it: &Expr| {
                let names = sides(it)?.filter(|it| !it.is_empty()).ok_or(FORM)?;
                let of_right = names.iter().filter(|it| is_same(it, right)).count();
                match of_right {
                    0 => Ok(false),
                    all if all == names.len() => Ok(true),
                    _ => Err(FORM.to_owned()),
                }
            };
            let (pair, op) = match (is_right(&first)?, is_right(&second)?) {
                (false, true) => ((*first, *second), op),
                (true, false) => {
                    let op = match op {
                        BinaryOperator::Gt => BinaryOperator::Lt,
                        BinaryOperator::GtEq => BinaryOperator::LtEq,
                        BinaryOperator::Lt => BinaryOperator::Gt,
                        BinaryOperator::LtEq => BinaryOperator::GtEq,
                        other => other,
                    };
                    ((*second, *first), op)
                }
                (true, true) | (false, false) => {
                    return Err(format!(
                        "{FORM}; what reads one side alone belongs into a sub-query of that side, or into WHERE"
                    ));
                }
            };
            match op {
                BinaryOperator::Eq => keys.push(pair),
                BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                    if times.is_none() =>
                {
                    times = Some((pair, op));
                }
                _ => return Err(FORM.to_owned()),
            }
        }
        let (times, comparison) = times.ok_or(FORM)?;
        if keys.is_empty() {
            return Err(format!(
                "{FORM}; without a key, write one that all rows have: ON a.one = b.one AND …, over sub-queries with 1 AS one"
            ));
        }
        Ok(AsOf {
            keys,
            times,
            comparison,
        })
    }

    fn is_before(&self) -> bool {
        matches!(self.comparison, BinaryOperator::Gt | BinaryOperator::GtEq)
    }

    fn condition(&self, alias: &Ident, until: &Ident) -> String {
        let (left, right) = &self.times;
        let within = match self.comparison {
            BinaryOperator::GtEq => "<",
            BinaryOperator::Gt => "<=",
            BinaryOperator::LtEq => ">",
            _ => ">=",
        };
        let mut text = format!(
            "{AS_OF}({alias}.{until} IS NULL OR {left} {within} {alias}.{until}) AND {left} {} {right}",
            self.comparison
        );
        for (left, right) in &self.keys {
            text += &format!(" AND {left} = {right}");
        }
        text
    }

    fn right(&self, relation: &TableFactor, alias: &Ident, until: &Ident) -> String {
        let time = &self.times.1;
        let keys = self.keys.iter().map(|it| it.1.to_string());
        let keys: Vec<String> = keys.collect();
        let order = if self.is_before() { "" } else { " DESC" };
        let mut relation = relation.clone();
        if let TableFactor::Table { alias: none, .. } = &mut relation
            && none.is_none()
        {
            *none = Some(TableAlias {
                explicit: true,
                name: alias.clone(),
                columns: Vec::new(),
                at: None,
            });
        }
        format!(
            "(SELECT *, lead({time}) OVER (PARTITION BY {} ORDER BY {time}{order}) AS {until} FROM {relation} WHERE {time} IS NOT NULL) AS {alias}",
            keys.join(", ")
        )
    }
}
