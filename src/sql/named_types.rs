//! `CREATE TYPE name AS (…)`: names of types, which columns of sources may have. They are written out where they are used, so nothing behind the
//! statements knows them.

use super::syntax;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType as SqlType, Ident, ObjectName, ObjectNamePart, StructBracketKind,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::BTreeMap;

/// The types that were named so far.
#[derive(Default)]
pub struct NamedTypes(BTreeMap<String, SqlType>);

impl NamedTypes {
    /// Takes in a `CREATE TYPE`, if that is the next statement: `AS (field TYPE, …)`, or another type by this name.
    ///
    /// # Errors
    /// If it has the name of another one, or is none that columns can have.
    pub fn define(&mut self, parser: &mut Parser) -> Result<bool, ParserError> {
        if !parser.parse_keywords(&[Keyword::CREATE, Keyword::TYPE]) {
            return Ok(false);
        }
        let refuse = |text: String| Err(ParserError::ParserError(text));
        let name = syntax::known_as(&parser.parse_identifier()?);
        parser.expect_keyword(Keyword::AS)?;
        if parser.parse_keyword(Keyword::ENUM) {
            return refuse(format!(
                "type {name}: columns are of no ENUM; declare them as TEXT"
            ));
        }
        let mut data_type = match parser.consume_token(&Token::LParen) {
            false => syntax::column_type(parser)?,
            true => {
                let fields = parser.parse_comma_separated(syntax::struct_field)?;
                parser.expect_token(&Token::RParen)?;
                SqlType::Struct(fields, StructBracketKind::Parentheses)
            }
        };
        self.put_in(&mut data_type);
        syntax::arrow_type(&data_type)
            .map_err(|it| ParserError::ParserError(format!("type {name}: {it}")))?;
        match self.0.insert(name.clone(), data_type) {
            None => Ok(true),
            Some(_) => refuse(format!("type {name} is there already")),
        }
    }

    /// Writes out the named types in a type.
    pub fn put_in(&self, data_type: &mut SqlType) {
        match data_type {
            SqlType::Custom(name, _) => {
                let known = ident(name).and_then(|it| self.0.get(&syntax::known_as(it)));
                if let Some(known) = known {
                    *data_type = known.clone();
                }
            }
            SqlType::Array(
                ArrayElemTypeDef::SquareBracket(of, _)
                | ArrayElemTypeDef::AngleBracket(of)
                | ArrayElemTypeDef::Parenthesis(of),
            ) => self.put_in(of),
            SqlType::Struct(fields, _) => {
                for field in fields {
                    self.put_in(&mut field.field_type);
                }
            }
            _ => {}
        }
    }
}

/// Whether a type is one that the parser knows by its name alone.
pub fn is(data_type: &SqlType, wanted: &str) -> bool {
    match data_type {
        SqlType::Custom(name, _) => {
            ident(name).is_some_and(|it| it.value.eq_ignore_ascii_case(wanted))
        }
        _ => false,
    }
}

fn ident(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(it)] => Some(it),
        _ => None,
    }
}
