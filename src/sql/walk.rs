//! One walk through the syntax of a query for everyone who looks for something in it.
//!
//! The parser's walk is compiled anew for every type of visitor that it meets, with hundreds of node types each time: five types were a
//! fifth of all code of the program. Here it meets one, which passes on to any.

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// Shows a visitor everything in a query.
///
/// # Errors
/// Why the visitor broke off.
pub fn query(query: &mut Query, visitor: &mut Visitor) -> Result<(), String> {
    ended(query.visit(&mut Any(visitor)))
}

/// Shows a visitor everything in an expression.
///
/// # Errors
/// Why the visitor broke off.
pub fn expression(expression: &mut Expr, visitor: &mut Visitor) -> Result<(), String> {
    ended(expression.visit(&mut Any(visitor)))
}

/// Shows every expression in another one that is in no sub-query, the inner ones first.
///
/// # Errors
/// What `see` says of one of them.
pub fn own_expressions(
    expression: &mut Expr,
    see: &mut dyn FnMut(&mut Expr) -> Result<(), String>,
) -> Result<(), String> {
    struct Own<'a> {
        see: &'a mut dyn FnMut(&mut Expr) -> Result<(), String>,
        depth: usize,
    }
    impl VisitorMut for Own<'_> {
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
            if self.depth != 0 {
                return ControlFlow::Continue(());
            }
            match (self.see)(expr) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    self::expression(expression, &mut Own { see, depth: 0 })
}

/// Shows a visitor everything in a statement.
///
/// # Errors
/// Why the visitor broke off.
pub fn statement(statement: &mut Statement, visitor: &mut Visitor) -> Result<(), String> {
    ended(statement.visit(&mut Any(visitor)))
}

pub type Visitor<'a> = dyn VisitorMut<Break = String> + 'a;

fn ended(flow: ControlFlow<String>) -> Result<(), String> {
    match flow {
        ControlFlow::Break(text) => Err(text),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Passes on what visitors of ours ask for: another method has to be added here before one can use it.
struct Any<'a, 'b>(&'a mut Visitor<'b>);

impl VisitorMut for Any<'_, '_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.0.pre_visit_query(query)
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.0.post_visit_query(query)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        self.0.pre_visit_select(select)
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        self.0.post_visit_select(select)
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<String> {
        self.0.pre_visit_relation(relation)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        self.0.pre_visit_table_factor(factor)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        self.0.post_visit_table_factor(factor)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.0.pre_visit_expr(expr)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.0.post_visit_expr(expr)
    }
}
