//! Windows in GROUP BY as Spark has them, `GROUP BY k, window(at, '10 minutes', '5 minutes')` with `window.start` and `window.end`, and
//! `session_window(at, '5 minutes')`: those of [`super::group_windows`]. The window itself is a struct of both bounds.

use super::group_windows::selected;
use crate::sql::{syntax, walk};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query, Select,
    SelectItem, SetExpr, VisitorMut,
};
use std::ops::ControlFlow;

const FORM: &str = "a window in GROUP BY is window(time, '10 minutes'), window(time, '10 minutes', '5 minutes'), of which the second length is the step, or session_window(time, '5 minutes')";

/// Rewrites a SELECT that groups by such a window.
///
/// # Errors
/// If its lengths are no constant texts.
pub fn of_group(select: &mut Select) -> Result<(), String> {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else {
        return Ok(());
    };
    let found = keys.iter().enumerate().find_map(|(at, key)| {
        let window = window_of(selected(select, key).unwrap_or(key))?;
        Some((at, window))
    });
    let Some((at, window)) = found else {
        return Ok(());
    };
    let Window {
        call, name, time, ..
    } = &window;
    let (kind, lengths) = window.taken_for()?;
    let value = syntax::parse_expression(&format!(
        "named_struct('start', {kind}_START({time}), 'end', {kind}_END({time}))"
    ))?;
    let bound = |of: &str| syntax::parse_expression(&format!("{kind}_{of}({time})"));
    let mut bounds = Bounds {
        call: call.clone(),
        name: name.clone(),
        value,
        start: bound("START")?,
        end: bound("END")?,
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && bounds.is_window(expr)
        {
            let (expr, alias) = (expr.clone(), Ident::with_quote('"', &bounds.name));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    let key = syntax::parse_expression(&format!("{kind}({time}, {lengths})"))?;
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys[at] = key;
    }
    // Only what stands beside the relation can name the window.
    let from = std::mem::take(&mut select.from);
    let mut query = syntax::parse_query("SELECT 1")?;
    *query.body = SetExpr::Select(Box::new(select.clone()));
    walk::query(&mut query, &mut bounds)?;
    if let SetExpr::Select(rewritten) = *query.body {
        *select = *rewritten;
    }
    select.from = from;
    Ok(())
}

struct Window {
    /// As it is written.
    call: Expr,
    /// Which of both it is.
    name: String,
    time: Expr,
    lengths: Vec<Expr>,
}

impl Window {
    /// The window of Flink that it is, with its lengths.
    fn taken_for(&self) -> Result<(&'static str, String), String> {
        let lengths = self.lengths.iter().map(|it| {
            let text = super::text_of(it).filter(|it| syntax::duration_us(it).is_some());
            Ok(format!("INTERVAL '{}'", text.ok_or(FORM)?))
        });
        let lengths: Vec<String> = lengths.collect::<Result<_, String>>()?;
        match (self.name.as_str(), lengths.as_slice()) {
            ("window", [size]) => Ok(("TUMBLE", size.clone())),
            ("window", [size, step]) if size == step => Ok(("TUMBLE", size.clone())),
            ("window", [size, step]) => Ok(("HOP", format!("{step}, {size}"))),
            ("session_window", [gap]) => Ok(("SESSION", gap.clone())),
            _ => Err(FORM.to_owned()),
        }
    }
}

fn window_of(expr: &Expr) -> Option<Window> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let name = call.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let plain = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it.clone()),
        _ => None,
    };
    let mut args: Vec<Expr> = list.args.iter().map(plain).collect::<Option<_>>()?;
    let is_window = matches!(name.as_str(), "window" | "session_window") && 1 < args.len();
    is_window.then(|| Window {
        call: expr.clone(),
        name,
        time: args.remove(0),
        lengths: args,
    })
}

/// Puts functions of the window's bounds in the place of what stands for them.
struct Bounds {
    call: Expr,
    name: String,
    value: Expr,
    start: Expr,
    end: Expr,
}

impl Bounds {
    fn bound(&self, expr: &Expr) -> Option<&Expr> {
        match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, bound] if syntax::known_as(of) == self.name => {
                    match syntax::known_as(bound).as_str() {
                        "start" => Some(&self.start),
                        "end" => Some(&self.end),
                        _ => None,
                    }
                }
                _ => None,
            },
            it => self.is_window(it).then_some(&self.value),
        }
    }

    /// Whether it is the window itself, by its call or by its name.
    fn is_window(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Identifier(of) => syntax::known_as(of) == self.name,
            it => *it == self.call,
        }
    }
}

impl VisitorMut for Bounds {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Some(bound) = self.bound(expr) {
            *expr = bound.clone();
        }
        ControlFlow::Continue(())
    }
}
