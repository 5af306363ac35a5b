//! How deep a statement may be.
//!
//! The parser bounds parentheses, and takes a chain of any length: `a + b + …`, `x OR y OR …`, `SELECT … UNION ALL SELECT …`. Each link of it is a node below
//! another one, so a walk over the statement is a call within a call for each. A process whose stack is used up ends without a word. So chains are
//! counted before they are parsed, plain views and names of WITH before they are put in the place of their names; and what may be that deep is
//! planned with a stack that is large enough.

#[cfg(test)]
mod tests;

use super::walk;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, VisitorMut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Operators, queries and plain views within each other.
const HEIGHT_MAX: usize = 500;
/// Relations that one statement reads, those of its plain views and names of WITH included, each as often as it is named.
const RELATIONS_MAX: usize = 500;
/// Space for planning; some walks of a build that is not optimised take 30 KiB for each level.
const STACK_BYTES: usize = 64 << 20;

/// Does something with a stack on which statements have room, wherever it is called.
pub async fn with_room<T>(work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    // A caller with more than half of it left is on such a stack already.
    let poll = std::future::poll_fn(move |context| {
        stacker::maybe_grow(STACK_BYTES / 2, STACK_BYTES, || work.as_mut().poll(context))
    });
    poll.await
}

/// Refuses chains that are too long, before anything is made of them.
///
/// # Errors
/// With the line.
pub fn check(tokens: &[TokenWithSpan]) -> Result<(), (u64, String)> {
    let mut levels = vec![Level::default()];
    for token in tokens {
        let opens_case = matches!(&token.token, Token::Word(it) if it.keyword == Keyword::CASE);
        // What is taken out of an array is a link of a chain, too: `a[1][1]…`
        if token.token == Token::LBracket
            && let Some(level) = levels.last_mut()
        {
            level.take(&token.token);
        }
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace => close(&mut levels),
            Token::Word(it) if it.keyword == Keyword::END && it.quote_style.is_none() => {
                close(&mut levels);
            }
            Token::SemiColon => levels = vec![Level::default()],
            _ if opens_case => levels.push(Level::default()),
            other => {
                if let Some(level) = levels.last_mut() {
                    level.take(other);
                }
            }
        }
        if levels.last().is_some_and(|it| HEIGHT_MAX < it.height()) {
            return Err((token.span.start.line, too_deep()));
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!(
        "the statement has more than {HEIGHT_MAX} operators or queries within each other; write x IN (…) instead of x = … OR x = …, or cut it into materialized views"
    )
}

/// Ends what is in parentheses, or a CASE; one too many is for the parser to tell.
fn close(levels: &mut Vec<Level>) {
    if 1 < levels.len()
        && let (Some(closed), Some(outer)) = (levels.pop(), levels.last_mut())
    {
        outer.operand = outer.operand.max(closed.height() + 1);
    }
}

/// What stands between parentheses, as far as it was read: how high the tree of it is at most.
#[derive(Default)]
struct Level {
    /// SELECTs that are joined by UNION and its like.
    set: usize,
    /// Clauses and expressions that are complete.
    done: usize,
    joins: usize,
    /// Conditions that are joined by AND and OR.
    conditions: usize,
    /// Operators below them.
    operators: usize,
    /// What was in parentheses last.
    operand: usize,
    in_from: bool,
}

impl Level {
    fn height(&self) -> usize {
        self.set.max(self.select())
    }

    fn select(&self) -> usize {
        self.done.max(self.joins).max(self.expression())
    }

    fn expression(&self) -> usize {
        self.conditions.max(self.operators).max(self.operand)
    }

    fn take(&mut self, token: &Token) {
        let word = match token {
            Token::Word(it) if it.quote_style.is_none() => it.keyword,
            Token::Word(_) => return,
            Token::Comma if self.in_from => Keyword::JOIN,
            Token::Comma => return self.end_expression(),
            Token::Number(..)
            | Token::Whitespace(_)
            | Token::Period
            | Token::EOF
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_) => return,
            _ => Keyword::OPERATOR,
        };
        match word {
            Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::MINUS => {
                *self = Level {
                    set: self.set.max(self.select()) + 1,
                    ..Level::default()
                };
            }
            Keyword::JOIN => {
                self.joins = self.joins.max(self.expression()) + 1;
                (self.conditions, self.operators, self.operand) = (0, 0, 0);
            }
            Keyword::AND | Keyword::OR | Keyword::XOR => {
                self.conditions = self.expression() + 1;
                (self.operators, self.operand) = (0, 0);
            }
            Keyword::OPERATOR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::NOTNULL
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::SIMILAR
            | Keyword::BETWEEN
            | Keyword::IN
            | Keyword::AT
            | Keyword::DIV
            | Keyword::COLLATE
            | Keyword::OVERLAPS => {
                self.operators = self.operators.max(self.operand) + 1;
                self.operand = 0;
            }
            Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::QUALIFY
            | Keyword::LIMIT => {
                self.end_expression();
                self.in_from = word == Keyword::FROM;
            }
            Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::ON
            | Keyword::AS
            | Keyword::VALUES => self.end_expression(),
            _ => {}
        }
    }

    fn end_expression(&mut self) {
        self.done = self.done.max(self.expression());
        (self.conditions, self.operators, self.operand) = (0, 0, 0);
    }
}

/// How large the plan of a query is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    height: usize,
    relations: usize,
}

/// The size of a query, with the plain views that it reads.
///
/// # Errors
/// If it is too large to be planned.
pub fn size(query: &Query, plain_views: &BTreeMap<String, Size>) -> Result<Size, String> {
    let mut measure = Measure {
        plain_views,
        named: BTreeMap::new(),
        waiting: Vec::new(),
        depth: 0,
        frames: vec![Frame::default()],
    };
    walk::query(&mut query.clone(), &mut measure)?;
    let Frame { size, .. } = measure.frames.first().copied().unwrap_or_default();
    Ok(size)
}

#[derive(Clone, Copy, Default)]
struct Frame {
    begins: usize,
    size: Size,
}

struct Measure<'a> {
    plain_views: &'a BTreeMap<String, Size>,
    /// Names of WITH.
    named: BTreeMap<String, Size>,
    /// Names of WITH whose queries come next, by where these lie.
    waiting: Vec<(*const Query, String)>,
    depth: usize,
    frames: Vec<Frame>,
}

impl Measure<'_> {
    fn add(&mut self, size: Size) -> ControlFlow<String> {
        let depth = self.depth;
        let Some(frame) = self.frames.last_mut() else {
            return ControlFlow::Continue(());
        };
        let sum = &mut frame.size;
        sum.height = sum.height.max(depth - frame.begins + size.height);
        sum.relations = sum.relations.saturating_add(size.relations);
        if HEIGHT_MAX < sum.height {
            return ControlFlow::Break(too_deep());
        }
        if RELATIONS_MAX < sum.relations {
            return ControlFlow::Break(format!(
                "with the plain views and names of WITH that it reads, the statement reads more than {RELATIONS_MAX} relations; make one of them a MATERIALIZED VIEW, which is computed once"
            ));
        }
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Measure<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let named = query.with.iter().flat_map(|it| &it.cte_tables);
        let named = named.map(|it| (&raw const *it.query, folded(&it.alias.name)));
        self.waiting.extend(named);
        self.frames.push(Frame {
            begins: self.depth,
            ..Frame::default()
        });
        self.depth += 1;
        self.add(Size::default())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.depth -= 1;
        let Frame { size, .. } = self.frames.pop().unwrap_or_default();
        let place = &raw const *query;
        match self.waiting.iter().position(|it| it.0 == place) {
            Some(at) => {
                let (_, name) = self.waiting.swap_remove(at);
                self.named.insert(name, size);
                ControlFlow::Continue(())
            }
            None => self.add(size),
        }
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<String> {
        let name = relation.0.last().and_then(|it| it.as_ident()).map(folded);
        let name = name.unwrap_or_default();
        let known = self
            .named
            .get(&name)
            .or_else(|| self.plain_views.get(&name));
        self.add(known.copied().unwrap_or(Size {
            height: 0,
            relations: 1,
        }))
    }

    fn pre_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<String> {
        self.depth += 1;
        self.add(Size::default())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

fn folded(ident: &datafusion::sql::sqlparser::ast::Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}
