//! Casts to texts of a greatest length: `CAST(a AS VARCHAR(2))` is the first two characters of the text, as in PostgreSQL. Types of columns are plain texts.
//!
//! `CHAR(n)` is refused: what the blanks behind a short text count for differs between systems, and within PostgreSQL between operators.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, CharLengthUnits, CharacterLength, DataType, Expr,
};

/// What a cast to such a type is written as instead.
///
/// # Errors
/// If the type is `CHAR(n)`, a list of such texts, or one of no character.
pub fn of_cast(
    kind: &CastKind,
    expr: &Expr,
    data_type: &DataType,
) -> Result<Option<String>, String> {
    let length = match data_type {
        DataType::Varchar(it)
        | DataType::CharVarying(it)
        | DataType::CharacterVarying(it)
        | DataType::Nvarchar(it) => it,
        DataType::Char(it) | DataType::Character(it) => {
            let length = length_of(it.as_ref()).unwrap_or(1);
            return Err(format!(
                "CAST to {data_type} is not supported; write CAST({expr} AS VARCHAR({length})), which cuts and does not pad, or rpad(CAST({expr} AS TEXT), {length}), which does both"
            ));
        }
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(of, _)
            | ArrayElemTypeDef::AngleBracket(of)
            | ArrayElemTypeDef::Parenthesis(of),
        ) if is_of_length(of) => {
            return Err(format!(
                "CAST to {data_type} is not supported; write array_transform(CAST({expr} AS TEXT[]), x -> CAST(x AS {of}))"
            ));
        }
        _ => return Ok(None),
    };
    let function = match kind {
        CastKind::TryCast | CastKind::SafeCast => "TRY_CAST",
        CastKind::Cast | CastKind::DoubleColon => "CAST",
    };
    if let Some(CharacterLength::IntegerLength {
        unit: Some(CharLengthUnits::Octets),
        ..
    }) = length
    {
        return Err(format!("{data_type}: a length is a number of characters"));
    }
    match length_of(length.as_ref()) {
        Some(0) => Err(format!("{data_type}: the length is 1 or more")),
        Some(length) => Ok(Some(format!("left({function}({expr} AS TEXT), {length})"))),
        // What is a text of any length by its own name stays as it is written.
        None if matches!(data_type, DataType::Varchar(None)) => Ok(None),
        None => Ok(Some(format!("{function}({expr} AS TEXT)"))),
    }
}

fn is_of_length(data_type: &DataType) -> bool {
    match data_type {
        DataType::Varchar(it)
        | DataType::CharVarying(it)
        | DataType::CharacterVarying(it)
        | DataType::Nvarchar(it) => length_of(it.as_ref()).is_some(),
        DataType::Char(_) | DataType::Character(_) => true,
        _ => false,
    }
}

/// How many characters there may be.
fn length_of(length: Option<&CharacterLength>) -> Option<u64> {
    match length? {
        CharacterLength::IntegerLength { length, unit: _ } => Some(*length),
        CharacterLength::Max => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::forms::rewrite;
    use crate::sql::syntax::parse_query;

    fn taken_for(value: &str) -> Result<String, String> {
        let mut query = parse_query(&format!("SELECT {value} FROM t"))?;
        rewrite(&mut query)?;
        Ok(query.to_string())
    }

    #[test]
    fn casts_to_texts_of_a_length_cut() {
        for (value, expected) in [
            ("CAST(a AS VARCHAR(2))", "left(CAST(a AS TEXT), 2)"),
            (
                "a::CHARACTER VARYING(2), a::CHAR VARYING",
                "left(CAST(a AS TEXT), 2), CAST(a AS TEXT)",
            ),
            ("TRY_CAST(a AS NVARCHAR(2))", "left(TRY_CAST(a AS TEXT), 2)"),
            ("'abc'::VARCHAR(2)", "left(CAST('abc' AS TEXT), 2)"),
            ("VARCHAR(2) 'abc'", "left(CAST('abc' AS TEXT), 2)"),
            ("a::VARCHAR(MAX)", "CAST(a AS TEXT)"),
            ("a::VARCHAR, a::TEXT", "a::VARCHAR, a::TEXT"),
        ] {
            let taken = taken_for(value);
            assert_eq!(taken, Ok(format!("SELECT {expected} FROM t")), "{value}");
        }
        for (value, instead) in [
            (
                "a::CHAR(3)",
                "CAST(a AS VARCHAR(3)), which cuts and does not pad",
            ),
            ("CAST(a AS CHARACTER)", "CAST(a AS VARCHAR(1))"),
            (
                "a::VARCHAR(3)[]",
                "array_transform(CAST(a AS TEXT[]), x -> CAST(x AS VARCHAR(3)))",
            ),
            ("a::VARCHAR(0)", "the length is 1 or more"),
            ("a::VARCHAR(3 OCTETS)", "a number of characters"),
        ] {
            let refused = taken_for(value).unwrap_err();
            assert!(refused.contains(instead), "{value}: {refused}");
        }
    }
}
