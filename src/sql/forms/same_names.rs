//! Columns that are written in different ways and are called alike, as `trim(t)` and `btrim(t)`: the planner names both by the function they mean.

use crate::sql::{functions, walk};
use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Ident, ObjectName, SelectItem, SetExpr, TrimWhereField,
    VisitorMut,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// Gives those of the SELECTs of a query that come behind the first one names of their own. What is written alike is told apart
/// where all columns are known.
///
/// # Errors
/// If an expression is not to be walked through.
pub fn told_apart(body: &mut SetExpr) -> Result<(), String> {
    match body {
        SetExpr::Select(select) => {
            // What each column is called, and how it was written.
            let mut known: Vec<(String, String)> = Vec::new();
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else {
                    continue;
                };
                if !matches!(
                    expr,
                    Expr::Function(_) | Expr::Trim { .. } | Expr::Ceil { .. } | Expr::Floor { .. }
                ) {
                    continue;
                }
                let written = expr.to_string();
                let mut meant = expr.clone();
                walk::expression(&mut meant, &mut Meant)?;
                let meant = meant.to_string();
                let alike = known.iter().filter(|it| it.0 == meant && it.1 != written);
                let before = alike.count();
                known.push((meant.clone(), written));
                if 0 < before {
                    let alias =
                        Ident::with_quote('"', format!("{meant}_{before}").replace('"', ""));
                    *item = SelectItem::ExprWithAlias {
                        expr: expr.clone(),
                        alias,
                    };
                }
            }
            Ok(())
        }
        SetExpr::SetOperation { left, right, .. } => {
            told_apart(left)?;
            told_apart(right)
        }
        _ => Ok(()),
    }
}

/// Functions by other names of theirs.
static OTHER_NAMES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut names = BTreeMap::new();
    let mut add = |name: &str, aliases: &[String]| {
        names.extend(aliases.iter().map(|it| (it.clone(), name.to_owned())));
    };
    let native = SessionStateDefaults::default_scalar_functions();
    for it in native.into_iter().chain(functions::scalar_functions()) {
        add(it.name(), it.aliases());
    }
    let native = SessionStateDefaults::default_aggregate_functions();
    for it in native.into_iter().chain(functions::aggregates()) {
        add(it.name(), it.aliases());
    }
    names
});

/// Functions under one name each.
struct Meant;

impl VisitorMut for Meant {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let whole = CeilFloorKind::DateTimeField(DateTimeField::NoDateTime);
        let (name, inner) = match expr {
            Expr::Function(call) => {
                if let [one] = call.name.0.as_slice()
                    && let Some(ident) = one.as_ident()
                {
                    let name = ident.value.to_lowercase();
                    let name = OTHER_NAMES.get(&name).cloned().unwrap_or(name);
                    call.name = ObjectName::from(vec![Ident::new(name)]);
                }
                return ControlFlow::Continue(());
            }
            Expr::Nested(it) => {
                let is_one = matches!(
                    it.as_ref(),
                    Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_)
                );
                if is_one {
                    *expr = it.as_ref().clone();
                }
                return ControlFlow::Continue(());
            }
            Expr::Ceil { expr, field } if *field == whole => ("ceil", expr),
            Expr::Floor { expr, field } if *field == whole => ("floor", expr),
            Expr::Trim {
                expr,
                trim_where,
                trim_what: None,
                trim_characters: None,
            } => match trim_where {
                None | Some(TrimWhereField::Both) => ("btrim", expr),
                Some(TrimWhereField::Leading) => ("ltrim", expr),
                Some(TrimWhereField::Trailing) => ("rtrim", expr),
            },
            _ => return ControlFlow::Continue(()),
        };
        *expr = crate::sql::syntax::call(name, vec![inner.as_ref().clone()]);
        ControlFlow::Continue(())
    }
}
