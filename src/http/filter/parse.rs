//! Reads the text of a filter. sqlparser takes it apart as an SQL expression, and this keeps of it what a filter can say. What is
//! wrong is said with its place and with what to write instead, since it is read by a person who has just typed it.

use super::{Column, Comparison, Condition, FilterError, Literal, Pattern, Test, quoted, time_of};
use crate::model::{Decimal, Float};
use crate::sql::dialect::Tidelake;
use crate::sql::sql_type_name;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned, UnaryOperator, Value};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};
use std::ops::Range;

/// Longest text taken.
const TEXT_BYTES_MAX: usize = 2_000;
/// Parentheses and NOTs within each other.
const DEPTH_MAX: usize = 24;
/// Each of them is a few calls of the parser within each other.
const RECURSION_MAX: usize = 8 * DEPTH_MAX;
/// So many columns are named when one is not there.
const NAMED_MAX: usize = 12;
const FORM: &str = "a filter is a condition such as status >= 500 AND (endpoint = '/api/users' OR user_agent ~ 'bot')";
const KEYWORDS: [Keyword; 9] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::IN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::BETWEEN,
    Keyword::IS,
    Keyword::NULL,
];

/// # Errors
/// Says what is wrong with the text.
pub fn condition(text: &str, schema: &Schema) -> Result<Condition, FilterError> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(FilterError::new(format!(
            "the filter is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    let reader = Reader { text, schema };
    reader.refuse_colons()?;
    let mut tokens = reader.tokens()?;
    refuse_depth(&tokens)?;
    reader.take_names(&mut tokens);
    let mut parser = Parser::new(&Tidelake)
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens_with_locations(tokens.clone());
    let expression = match parser.parse_expr() {
        Ok(it) => it,
        Err(error) => return Err(reader.unparsed(&tokens, &error.to_string())),
    };
    let rest = parser.peek_token();
    match rest.token {
        Token::EOF => reader.condition(&expression),
        Token::RParen => Err(reader.at(&rest, "there is a `)` without its `(`")),
        _ => {
            // A condition with a mistake in it is told first: `endpoint = it is` is about the text.
            reader.condition(&expression)?;
            Err(reader.at(
                &rest,
                format!(
                    "`{}` cannot follow a whole condition; conditions are joined by AND or OR",
                    rest.token
                ),
            ))
        }
    }
}

/// The parser would take far more time and stack for it.
fn refuse_depth(tokens: &[TokenWithSpan]) -> Result<(), FilterError> {
    let (mut open, mut nots) = (0_usize, 0_usize);
    for token in tokens {
        match &token.token {
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            _ => {}
        }
        nots = match keyword_of(token) {
            Some(Keyword::NOT) => nots + 1,
            _ if token.token == Token::LParen => nots,
            _ => 0,
        };
        if DEPTH_MAX < open + nots {
            return Err(FilterError::new(format!(
                "the filter has more than {DEPTH_MAX} parentheses or NOTs within each other"
            )));
        }
    }
    Ok(())
}

fn keyword_of(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(it) if it.quote_style.is_none() => {
            KEYWORDS.into_iter().find(|known| *known == it.keyword)
        }
        _ => None,
    }
}

/// `>-1` is a comparison with a number, and no operator of a name of its own.
fn without_sign(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    let Token::CustomBinaryOperator(name) = &token.token else {
        return vec![token];
    };
    let (comparison, sign) = match name.as_str() {
        ">-" => (Token::Gt, Token::Minus),
        "<-" => (Token::Lt, Token::Minus),
        ">=-" => (Token::GtEq, Token::Minus),
        "<=-" => (Token::LtEq, Token::Minus),
        "<>-" => (Token::Neq, Token::Minus),
        _ => return vec![token],
    };
    let span = token.span;
    [comparison, sign]
        .map(|token| TokenWithSpan { token, span })
        .into()
}

fn is_comparison(token: &Token) -> bool {
    matches!(
        token,
        Token::Eq
            | Token::DoubleEq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Tilde
            | Token::ExclamationMarkTilde
    )
}

fn comparison_of(operator: &BinaryOperator) -> Option<Comparison> {
    Some(match operator {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// A literal as it is written.
struct Written {
    text: String,
    is_quoted: bool,
}

struct Reader<'a> {
    text: &'a str,
    schema: &'a Schema,
}

impl<'a> Reader<'a> {
    /// Where a location is in the text, in bytes.
    fn place(&self, location: Location) -> usize {
        let mut lines = self.text.split_inclusive('\n');
        let before = lines.by_ref().take((location.line.max(1) - 1) as usize);
        let start: usize = before.map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        let column = (location.column.max(1) - 1) as usize;
        let within = rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |it| it.0);
        start + within
    }

    fn range(&self, token: &TokenWithSpan) -> Range<usize> {
        self.place(token.span.start)..self.place(token.span.end)
    }

    /// A mistake at a place in the text.
    fn wrong(&self, place: &Range<usize>, text: impl Into<String>) -> FilterError {
        let characters = |end: usize| self.text.get(..end).map_or(0, |it| it.chars().count());
        let from = characters(place.start);
        FilterError {
            place: Some(from..characters(place.end).max(from)),
            ..FilterError::new(text)
        }
    }

    fn at(&self, token: &TokenWithSpan, text: impl Into<String>) -> FilterError {
        match token.token {
            Token::EOF => self.wrong(&(self.text.len()..self.text.len()), text),
            _ => self.wrong(&self.range(token), text),
        }
    }

    fn of(&self, expression: &Expr, text: impl Into<String>) -> FilterError {
        let span = expression.span();
        match span.start.line {
            0 => FilterError::new(text),
            _ => self.wrong(&(self.place(span.start)..self.place(span.end)), text),
        }
    }

    /// The whole text with a part of it written in another way.
    fn with(&self, place: &Range<usize>, part: &str) -> Option<String> {
        let (before, after) = (self.text.get(..place.start)?, self.text.get(place.end..)?);
        Some(format!("{before}{part}{after}"))
    }

    fn tokens(&self) -> Result<Vec<TokenWithSpan>, FilterError> {
        let tokens = Tokenizer::new(&Tidelake, self.text).tokenize_with_location();
        let mut tokens = tokens.map_err(|error| {
            let from = self.place(error.location);
            let text = match self.text.get(from..).and_then(|it| it.chars().next()) {
                Some(quote @ ('\'' | '"')) => format!("a text is not closed by {quote}"),
                _ => error.message,
            };
            self.wrong(&(from..self.text.len()), text)
        })?;
        tokens.retain(|it| !matches!(it.token, Token::Whitespace(_)));
        let tokens: Vec<TokenWithSpan> = tokens.into_iter().flat_map(without_sign).collect();
        match tokens.is_empty() {
            true => Err(FilterError::new(format!("the filter is empty; {FORM}"))),
            false => Ok(tokens),
        }
    }

    /// `column:value`, as other log tools write it. Looked for in the text, since a value may be anything: `path:/api/*`.
    fn refuse_colons(&self) -> Result<(), FilterError> {
        let mut quote = None;
        let mut begin = None;
        for (at, it) in self.text.char_indices() {
            match (quote, it) {
                (Some(open), it) if it == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => (quote, begin) = (Some(it), None),
                (None, ':') => {
                    let after = at + it.len_utf8();
                    let rest = self.text.get(after..).unwrap_or_default();
                    if let Some(begin) = begin.take()
                        && !rest.starts_with(':')
                    {
                        return Err(self.colon(begin, at, rest));
                    }
                }
                (None, it) if it.is_alphanumeric() || matches!(it, '_' | '.' | '$') => {
                    begin = begin.or(Some(at));
                }
                (None, _) => begin = None,
            }
        }
        Ok(())
    }

    /// The colon of a name that begins and ends here, and what stands behind it.
    fn colon(&self, begin: usize, end: usize, rest: &str) -> FilterError {
        let word = Word {
            value: self.text.get(begin..end).unwrap_or_default().to_owned(),
            quote_style: None,
            keyword: Keyword::NoKeyword,
        };
        let (column, field) = match self.named(&word, &(begin..end)) {
            Ok(it) => it,
            Err(error) => return error,
        };
        let value = value_at(rest);
        let place = begin..end + 1 + value.len();
        let instead = of_colon(&column.name, field, value);
        let error = self.wrong(&place, format!("write {instead}"));
        error.fix(self.with(&place, &instead))
    }

    /// Columns are taken for names whatever else they mean in SQL, and `*` for any text column where a column is expected.
    fn take_names(&self, tokens: &mut [TokenWithSpan]) {
        for at in 0..tokens.len() {
            let is_operand = at == 0
                || tokens[at - 1].token == Token::LParen
                || matches!(
                    keyword_of(&tokens[at - 1]),
                    Some(Keyword::AND | Keyword::OR | Keyword::NOT)
                );
            let name = match &tokens[at].token {
                Token::Mul if is_operand => "*".to_owned(),
                // `DATE '2026-01-31'` is no column.
                Token::Word(it)
                    if it.quote_style.is_none() && keyword_of(&tokens[at]).is_none() =>
                {
                    let next = tokens.get(at + 1).map(|it| &it.token);
                    match (self.find(&it.value), next) {
                        (_, Some(Token::SingleQuotedString(_))) | (None, _) => continue,
                        (Some((_, field)), _) => field.name().clone(),
                    }
                }
                _ => continue,
            };
            tokens[at].token = Token::Word(Word {
                value: name,
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            });
        }
    }

    /// A column of this name, else the only one that differs in case alone.
    fn find(&self, name: &str) -> Option<(usize, &'a Field)> {
        let fields = self.schema.fields();
        if let Some((at, field)) = fields.find(name) {
            return Some((at, field.as_ref()));
        }
        let alike =
            |it: &(usize, &'a std::sync::Arc<Field>)| it.1.name().eq_ignore_ascii_case(name);
        let mut alike = fields.iter().enumerate().filter(alike);
        let (at, field) = alike.next()?;
        alike.next().is_none().then_some((at, field.as_ref()))
    }

    fn named(&self, word: &Word, place: &Range<usize>) -> Result<(Column, &'a Field), FilterError> {
        if let Some((at, field)) = self.find(&word.value) {
            let name = field.name().clone();
            return Ok((Column { at, name }, field));
        }
        let name = &word.value;
        let names = self.schema.fields().iter().map(|it| it.name().as_str());
        let mut near: Vec<(usize, &str)> = names.map(|it| (distance(name, it), it)).collect();
        near.sort_unstable();
        // A short name has less that can be wrong with it.
        let nearest = (name.chars().count() / 2).min(2);
        let likely: Vec<&str> = near
            .iter()
            .filter(|(distance, it)| *distance <= nearest || it.contains(&name.to_lowercase()))
            .map(|it| it.1)
            .take(3)
            .collect();
        let told = match likely.is_empty() {
            false => format!("did you mean {}?", likely.join(" or ")),
            true => {
                let names = self.schema.fields().iter().map(|it| it.name().as_str());
                let named: Vec<&str> = names.take(NAMED_MAX).collect();
                let more = self.schema.fields().len().saturating_sub(NAMED_MAX);
                match more {
                    0 => format!("there are: {}", named.join(", ")),
                    _ => format!("there are: {} and {more} more", named.join(", ")),
                }
            }
        };
        let fix = likely.first().and_then(|it| self.with(place, it));
        let error = self.wrong(place, format!("there is no column `{name}`; {told}"));
        Err(error.fix(fix))
    }

    /// What the parser could not read, told by what stands before it.
    fn unparsed(&self, tokens: &[TokenWithSpan], error: &str) -> FilterError {
        let number = |name: &str| {
            let rest = error.rsplit_once(name)?.1;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().ok()
        };
        let found = number("at Line: ").zip(number("Column: "));
        let found = found.and_then(|(line, column)| {
            let starts = |it: &TokenWithSpan| it.span.start == Location { line, column };
            tokens.iter().position(starts)
        });
        let (before, found) = match found {
            Some(at) => (&tokens[..at], tokens.get(at)),
            None => (tokens, None),
        };
        let end = self.text.len()..self.text.len();
        let place = found.map_or(end, |it| self.range(it));
        let example_of = |tokens: &[TokenWithSpan]| {
            let words = tokens.iter().rev().filter_map(|it| match &it.token {
                Token::Word(word) if keyword_of(it).is_none() => Some(word),
                _ => None,
            });
            let mut columns = words.filter_map(|it| self.find(&it.value));
            columns.next().map(|it| it.1)
        };
        if let Some(last) = before.last() {
            let keyword = keyword_of(last);
            let column = example_of(before);
            if let (Some(Keyword::IN), Some(field)) = (keyword, column) {
                return self.wrong(&place, in_form(field));
            }
            let between = before
                .iter()
                .rposition(|it| keyword_of(it) == Some(Keyword::BETWEEN));
            if let Some(at) = between
                && let Some(field) = example_of(&before[..at])
                && !before[at..]
                    .iter()
                    .any(|it| keyword_of(it) == Some(Keyword::AND))
            {
                return self.wrong(&place, between_form(field));
            }
            if is_comparison(&last.token)
                && let (Some(found), Some(field)) = (found, column)
                && *field.data_type() == DataType::Utf8
            {
                let from = self.place(found.span.start);
                let value = value_at(self.text.get(from..).unwrap_or_default());
                let place = from..from + value.len();
                let text = format!(
                    "text stands in single quotes: {} {} {}",
                    field.name(),
                    last.token,
                    quoted(value)
                );
                let fix = self.with(&place, &quoted(value));
                return self.wrong(&place, text).fix(fix);
            }
        }
        let Some(found) = found else {
            let opens = tokens.iter().filter(|it| it.token == Token::LParen).count();
            let closes = tokens.iter().filter(|it| it.token == Token::RParen).count();
            let expects = before.last().is_some_and(|it| {
                is_comparison(&it.token) || keyword_of(it).is_some_and(|it| it != Keyword::NULL)
            });
            return match closes < opens && !expects {
                true => self
                    .wrong(&place, "a `(` has no `)`")
                    .fix(Some(format!("{})", self.text))),
                false => self.wrong(&place, format!("the filter ends too early; {FORM}")),
            };
        };
        let text = format!("`{}` is not expected here; {FORM}", found.token);
        self.wrong(&place, text)
    }

    fn condition(&self, expression: &Expr) -> Result<Condition, FilterError> {
        let negated_if = |negated: bool, condition: Condition| match negated {
            true => Condition::Not(Box::new(condition)),
            false => condition,
        };
        match expression {
            Expr::Nested(it) => self.condition(it),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => Ok(Condition::Not(Box::new(self.condition(expr)?))),
            Expr::BinaryOp {
                op: joint @ (BinaryOperator::And | BinaryOperator::Or),
                ..
            } => {
                let parts = operands(expression, joint).into_iter();
                let parts: Result<Vec<Condition>, FilterError> =
                    parts.map(|it| self.condition(it)).collect();
                Ok(match joint {
                    BinaryOperator::And => Condition::All(parts?),
                    _ => Condition::Any(parts?),
                })
            }
            Expr::BinaryOp { left, op, right } => self.compared(expression, left, op, right),
            Expr::InList {
                expr,
                list,
                negated,
            } => {
                let (column, field) = self.column(expr)?;
                let list: Result<Vec<Literal>, FilterError> =
                    list.iter().map(|it| self.literal(it, field)).collect();
                Ok(negated_if(
                    *negated,
                    Condition::Column(column, Test::In(list?)),
                ))
            }
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let (column, field) = self.column(expr)?;
                let test = Test::Between(self.literal(low, field)?, self.literal(high, field)?);
                Ok(negated_if(*negated, Condition::Column(column, test)))
            }
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => Ok(negated_if(*negated, self.like(expr, pattern, false)?)),
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => Ok(negated_if(*negated, self.like(expr, pattern, true)?)),
            Expr::IsNull(it) => Ok(Condition::Column(self.column(it)?.0, Test::IsNull)),
            Expr::IsNotNull(it) => {
                let condition = Condition::Column(self.column(it)?.0, Test::IsNull);
                Ok(Condition::Not(Box::new(condition)))
            }
            Expr::IsTrue(it) => self.is(it, true),
            Expr::IsFalse(it) => self.is(it, false),
            Expr::IsNotTrue(it) => Ok(Condition::Not(Box::new(self.is(it, true)?))),
            Expr::IsNotFalse(it) => Ok(Condition::Not(Box::new(self.is(it, false)?))),
            _ => {
                let (column, field) = self.column(expression)?;
                match field.data_type() {
                    DataType::Boolean => Ok(Condition::Column(column, Test::IsTrue)),
                    _ => Err(self.of(
                        expression,
                        format!(
                            "`{0}` is a column; compare it with something: {0} = {1}",
                            column.name,
                            example(field)
                        ),
                    )),
                }
            }
        }
    }

    /// A condition of which a null is no unknown.
    fn is(&self, expression: &Expr, expected: bool) -> Result<Condition, FilterError> {
        let (column, field) = self.column(expression)?;
        if *field.data_type() != DataType::Boolean {
            let text = format!(
                "column `{0}` is neither true nor false; write {0} = {1}",
                column.name,
                example(field)
            );
            return Err(self.of(expression, text));
        }
        let is_null = Condition::Column(column.clone(), Test::IsNull);
        let literal = Literal::Bool(expected);
        let is = Condition::Column(column, Test::Compare(Comparison::Equal, literal));
        Ok(Condition::All(vec![Condition::Not(Box::new(is_null)), is]))
    }

    fn compared(
        &self,
        whole: &Expr,
        left: &Expr,
        operator: &BinaryOperator,
        right: &Expr,
    ) -> Result<Condition, FilterError> {
        let contains = match operator {
            BinaryOperator::PGRegexMatch => Some(true),
            BinaryOperator::PGRegexNotMatch => Some(false),
            _ => None,
        };
        if is_any_text(left) {
            let form = "`*` stands for any text column: * ~ 'words', or * !~ 'words'";
            let (Some(is), Some(part)) = (contains, text_of(right)) else {
                return Err(self.of(whole, form));
            };
            return Ok(self.any_text(&part, is));
        }
        if let Some(is) = contains {
            let (column, field) = self.column(left)?;
            let part = self.contained(right, field, "~")?.to_lowercase();
            let condition = Condition::Column(column, Test::Contains(part));
            return Ok(match is {
                true => condition,
                false => Condition::Not(Box::new(condition)),
            });
        }
        let Some(comparison) = comparison_of(operator) else {
            return Err(self.of(
                whole,
                format!("`{operator}` is not possible in a filter; {FORM}"),
            ));
        };
        // `500 <= status`
        let is_turned = written(left).is_some() && self.column(right).is_ok();
        let (left, comparison, right) = match is_turned {
            true => (right, comparison.turned(), left),
            false => (left, comparison, right),
        };
        let (column, field) = self.column(left)?;
        let literal = self.literal(right, field)?;
        Ok(Condition::Column(
            column,
            Test::Compare(comparison, literal),
        ))
    }

    fn any_text(&self, part: &str, is: bool) -> Condition {
        let texts = self.schema.fields().iter().enumerate();
        let texts = texts.filter(|it| *it.1.data_type() == DataType::Utf8);
        let columns = texts.map(|(at, field)| Column {
            at,
            name: field.name().clone(),
        });
        let condition = Condition::AnyText(columns.collect(), part.to_lowercase());
        match is {
            true => condition,
            false => Condition::Not(Box::new(condition)),
        }
    }

    fn column(&self, expression: &Expr) -> Result<(Column, &'a Field), FilterError> {
        let expected = |what: &str| {
            self.of(
                expression,
                format!("`{what}` stands where a column is expected; {FORM}"),
            )
        };
        match expression {
            Expr::Nested(it) => self.column(it),
            Expr::Identifier(Ident {
                value,
                quote_style,
                span,
                ..
            }) => {
                let word = Word {
                    value: value.clone(),
                    quote_style: *quote_style,
                    keyword: Keyword::NoKeyword,
                };
                let is_keyword = KEYWORDS
                    .iter()
                    .any(|it| format!("{it:?}").eq_ignore_ascii_case(value));
                if (is_keyword && quote_style.is_none()) || (value == "*" && quote_style.is_some())
                {
                    return Err(expected(value));
                }
                self.named(&word, &(self.place(span.start)..self.place(span.end)))
            }
            other => Err(expected(&other.to_string())),
        }
    }

    /// `LIKE`, and `ILIKE` if it ignores the case.
    fn like(
        &self,
        expr: &Expr,
        pattern: &Expr,
        ignores_case: bool,
    ) -> Result<Condition, FilterError> {
        let (column, field) = self.column(expr)?;
        let word = if ignores_case { "ILIKE" } else { "LIKE" };
        let pattern = self.contained(pattern, field, word)?;
        let test = Test::Like(Pattern::new(&pattern, ignores_case));
        Ok(Condition::Column(column, test))
    }

    /// A text for a text column.
    fn contained(
        &self,
        expression: &Expr,
        field: &Field,
        operator: &str,
    ) -> Result<String, FilterError> {
        if *field.data_type() != DataType::Utf8 {
            return Err(self.of(
                expression,
                format!(
                    "column `{0}` is no text, and {operator} looks into text; write {0} = {1}",
                    field.name(),
                    example(field)
                ),
            ));
        }
        match text_of(expression) {
            Some(it) => Ok(it),
            None => Err(self.unquoted(expression, field, operator)),
        }
    }

    fn unquoted(&self, expression: &Expr, field: &Field, operator: &str) -> FilterError {
        let span = expression.span();
        let place = self.place(span.start)..self.place(span.end);
        let value = match expression {
            Expr::Identifier(it) => it.value.clone(),
            other => other.to_string(),
        };
        let text = format!(
            "text stands in single quotes: {} {operator} {}",
            field.name(),
            quoted(&value)
        );
        let fix = match span.start.line {
            0 => None,
            _ => self.with(&place, &quoted(&value)),
        };
        self.of(expression, text).fix(fix)
    }

    fn literal(&self, expression: &Expr, field: &Field) -> Result<Literal, FilterError> {
        if let Expr::Value(it) = expression
            && it.value == Value::Null
        {
            let text = format!("nothing is equal to NULL; write {} IS NULL", field.name());
            return Err(self.of(expression, text));
        }
        let Some(written) = written(expression) else {
            return Err(match (expression, field.data_type()) {
                (Expr::Identifier(_), DataType::Utf8) => self.unquoted(expression, field, "="),
                (Expr::Identifier(it), _) => {
                    let word = Written {
                        text: it.value.clone(),
                        is_quoted: false,
                    };
                    match literal_of(&word, field) {
                        Err(text) => self.of(expression, text),
                        Ok(literal) => return Ok(literal),
                    }
                }
                _ => self.of(
                    expression,
                    format!(
                        "column `{0}` is compared with a value: {0} = {1}",
                        field.name(),
                        example(field)
                    ),
                ),
            });
        };
        literal_of(&written, field).map_err(|text| self.of(expression, text))
    }
}

/// The parts of a chain of ANDs, or of ORs, from the left. The chain may be longer than calls may lie within each other.
fn operands<'e>(expression: &'e Expr, joint: &BinaryOperator) -> Vec<&'e Expr> {
    let mut parts = Vec::new();
    let mut rest = expression;
    while let Expr::BinaryOp { left, op, right } = rest
        && op == joint
    {
        parts.push(&**right);
        rest = left;
    }
    parts.push(rest);
    parts.reverse();
    parts
}

fn is_any_text(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(it) if it.value == "*" && it.quote_style.is_some())
}

fn text_of(expression: &Expr) -> Option<String> {
    written(expression)
        .filter(|it| it.is_quoted)
        .map(|it| it.text)
}

fn written(expression: &Expr) -> Option<Written> {
    let plain = |text: String| Written {
        text,
        is_quoted: false,
    };
    match expression {
        Expr::Nested(it) => written(it),
        Expr::Value(it) => match &it.value {
            Value::Number(it, _) => Some(plain(it.to_string())),
            Value::Boolean(it) => Some(plain(it.to_string())),
            Value::SingleQuotedString(it) | Value::EscapedStringLiteral(it) => Some(Written {
                text: it.clone(),
                is_quoted: true,
            }),
            _ => None,
        },
        // `TIMESTAMP '2026-01-31T12:00:00Z'`
        Expr::TypedString(it) => match &it.value.value {
            Value::SingleQuotedString(it) => Some(Written {
                text: it.clone(),
                is_quoted: true,
            }),
            _ => None,
        },
        Expr::UnaryOp {
            op: sign @ (UnaryOperator::Minus | UnaryOperator::Plus),
            expr,
        } => match &**expr {
            Expr::Value(it) => match &it.value {
                Value::Number(it, _) if *sign == UnaryOperator::Minus => {
                    Some(plain(format!("-{it}")))
                }
                Value::Number(it, _) => Some(plain(it.to_string())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// What is written up to the next space or `)`, or within quotes.
fn value_at(text: &str) -> &str {
    let mut quote = None;
    let mut depth = 0_usize;
    for (at, it) in text.char_indices() {
        match (quote, it) {
            (Some(open), it) if it == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(it),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return &text[..at],
            (None, ')') => depth -= 1,
            (None, it) if it.is_whitespace() => return &text[..at],
            (None, _) => {}
        }
    }
    text
}

/// `column:value` as SQL.
fn of_colon(name: &str, field: &Field, value: &str) -> String {
    let is_quoted = matches!(
        field.data_type(),
        DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..)
    );
    let literal = |it: &str| {
        let inner = it.trim_matches(['"', '\'']);
        match is_quoted {
            true => quoted(inner),
            false => inner.to_owned(),
        }
    };
    let sign = ["<=", ">=", "!=", "<", ">"]
        .into_iter()
        .find(|it| value.starts_with(it));
    match (sign, value) {
        (_, "") => format!("{name} = {}", example(field)),
        (_, "*") => format!("{name} IS NOT NULL"),
        (Some(sign), _) => format!("{name} {sign} {}", literal(&value[sign.len()..])),
        (None, _) if value.contains('*') && *field.data_type() == DataType::Utf8 => {
            let inner = value.trim_matches(['"', '\'']);
            let escaped = inner
                .replace('\\', r"\\")
                .replace('%', r"\%")
                .replace('_', r"\_");
            format!("{name} LIKE {}", quoted(&escaped.replace('*', "%")))
        }
        (None, _) => format!("{name} = {}", literal(value)),
    }
}

fn in_form(field: &Field) -> String {
    format!("write {0} IN ({1}, {1})", field.name(), example(field))
}

fn between_form(field: &Field) -> String {
    format!(
        "BETWEEN has two bounds: {} BETWEEN {1} AND {1}",
        field.name(),
        example(field)
    )
}

/// What a column is compared with, as an example.
fn example(field: &Field) -> &'static str {
    match field.data_type() {
        DataType::Utf8 => "'text'",
        DataType::Boolean => "true",
        DataType::Date32 => "'2026-01-31'",
        DataType::Timestamp(..) => "'2026-01-31T12:00:00Z'",
        DataType::Decimal128(..) => "12.50",
        _ => "500",
    }
}

fn literal_of(written: &Written, field: &Field) -> Result<Literal, String> {
    let (text, is_quoted) = (written.text.as_str(), written.is_quoted);
    let told = match is_quoted {
        true => quoted(text),
        false => text.to_owned(),
    };
    let name = field.name();
    let no = |kind: &str| {
        Err(format!(
            "column `{name}` is compared with {kind}, and {told} is none: {name} = {}",
            example(field)
        ))
    };
    match field.data_type() {
        DataType::Utf8 if is_quoted => Ok(Literal::Text(text.to_owned())),
        DataType::Utf8 => Err(format!(
            "text stands in single quotes: {name} = {}",
            quoted(text)
        )),
        DataType::Boolean if text.eq_ignore_ascii_case("true") => Ok(Literal::Bool(true)),
        DataType::Boolean if text.eq_ignore_ascii_case("false") => Ok(Literal::Bool(false)),
        DataType::Boolean => no("true or false"),
        DataType::Date32 => match text.parse::<chrono::NaiveDate>() {
            Ok(it) => match i32::try_from((it - chrono::NaiveDate::default()).num_days()) {
                Ok(days) => Ok(Literal::Date(days)),
                Err(_) => no("a day"),
            },
            Err(_) => no("a day"),
        },
        DataType::Timestamp(..) => match time_of(text) {
            Some(it) => Ok(Literal::Time(it)),
            None => no("a time"),
        },
        DataType::Decimal128(_, scale) => {
            // Neither rounded, nor compared at a finer scale, at which the largest values of the column have no place.
            let digits = text.split_once('.').map_or(0, |it| it.1.len());
            let fits = digits <= usize::from(scale.unsigned_abs()) && !text.contains(['e', 'E']);
            let unscaled = Decimal::parse(text, DECIMAL128_MAX_PRECISION, *scale);
            match unscaled.filter(|_| fits) {
                Some(it) => Ok(Literal::Decimal(Decimal::new(it, *scale))),
                None => no(&format!("a number with {scale} digits behind the point")),
            }
        }
        DataType::Binary | DataType::List(_) | DataType::Struct(_) => Err(format!(
            "column `{name}` is of type {}, which is compared with nothing here; write {name} IS NULL, or ask in SQL",
            sql_type_name(field.data_type())
        )),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(it), _) => Ok(Literal::Int(it)),
            // As values are: there is one zero.
            (Err(_), Ok(it)) if it.is_finite() => Ok(Literal::Float(Float::new(it).get())),
            (Err(_), _) => no("a number"),
        },
    }
}

/// How many characters have to be put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(!x.eq_ignore_ascii_case(y));
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
