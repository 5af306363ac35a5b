//! Expressions in canonical form.

use super::{ident, list, name, object_name, ordered, whole};
use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CaseWhen, CastKind, CeilFloorKind,
    DataType, DateTimeField, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Interval,
    NullTreatment, Subscript, TimezoneInfo, TrimWhereField, TypedString, UnaryOperator, Value,
    ValueWithSpan, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

/// The canonical text of an expression.
///
/// # Errors
/// Names what it has that cannot be maintained.
pub fn expression(expr: &Expr) -> Result<String, String> {
    let of = expression;
    let not = |negated: &bool| if *negated { "not " } else { "" };
    Ok(match expr {
        Expr::Nested(inner) => of(inner)?,
        Expr::Identifier(it) => ident(it),
        Expr::CompoundIdentifier(parts) => {
            let parts: Vec<String> = parts.iter().map(ident).collect();
            parts.join(".")
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut text = of(root)?;
            for access in access_chain {
                text += &match access {
                    AccessExpr::Dot(it) => format!(".{}", of(it)?),
                    AccessExpr::Subscript(Subscript::Index { index }) => {
                        format!("[{}]", of(index)?)
                    }
                    AccessExpr::Subscript(Subscript::Slice { .. }) => {
                        return Err(
                            "slices of arrays are not maintained; take single values".to_owned()
                        );
                    }
                };
            }
            text
        }
        Expr::Value(it) => value(it)?,
        Expr::TypedString(TypedString {
            data_type,
            value: text,
            uses_odbc_syntax: _,
        }) => format!("cast({} as {})", value(text)?, cast_type(data_type)?),
        Expr::Interval(it) => interval(it)?,
        Expr::IsFalse(it) => format!("({} is false)", of(it)?),
        Expr::IsNotFalse(it) => format!("({} is not false)", of(it)?),
        Expr::IsTrue(it) => format!("({} is true)", of(it)?),
        Expr::IsNotTrue(it) => format!("({} is not true)", of(it)?),
        Expr::IsNull(it) => format!("({} is null)", of(it)?),
        Expr::IsNotNull(it) => format!("({} is not null)", of(it)?),
        Expr::IsUnknown(it) => format!("({} is unknown)", of(it)?),
        Expr::IsNotUnknown(it) => format!("({} is not unknown)", of(it)?),
        Expr::IsDistinctFrom(a, b) => format!("({} is distinct from {})", of(a)?, of(b)?),
        Expr::IsNotDistinctFrom(a, b) => format!("({} is not distinct from {})", of(a)?, of(b)?),
        Expr::InList {
            expr,
            list: all,
            negated,
        } => format!("({} {}in ({}))", of(expr)?, not(negated), list(all, of)?),
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => format!(
            "({} {}between {} and {})",
            of(expr)?,
            not(negated),
            of(low)?,
            of(high)?
        ),
        Expr::BinaryOp { left, op, right } => {
            format!("({} {} {})", of(left)?, binary(op)?, of(right)?)
        }
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Plus => of(expr)?,
            UnaryOperator::Minus => format!("(- {})", of(expr)?),
            UnaryOperator::Not | UnaryOperator::BangNot => format!("(not {})", of(expr)?),
            UnaryOperator::BitwiseNot => format!("(~ {})", of(expr)?),
            UnaryOperator::AtDashAt
            | UnaryOperator::DoubleAt
            | UnaryOperator::Hash
            | UnaryOperator::PGAbs
            | UnaryOperator::PGCubeRoot
            | UnaryOperator::PGPostfixFactorial
            | UnaryOperator::PGPrefixFactorial
            | UnaryOperator::PGSquareRoot
            | UnaryOperator::QuestionDash
            | UnaryOperator::QuestionPipe => {
                return Err(unknown("this operator", "a function such as abs or sqrt"));
            }
        },
        Expr::Like {
            negated,
            any: false,
            expr,
            pattern,
            escape_char,
        } => like(not(negated), "like", expr, pattern, escape_char)?,
        Expr::ILike {
            negated,
            any: false,
            expr,
            pattern,
            escape_char,
        } => like(not(negated), "ilike", expr, pattern, escape_char)?,
        Expr::SimilarTo {
            negated,
            expr,
            pattern,
            escape_char,
        } => like(not(negated), "similar to", expr, pattern, escape_char)?,
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
            return Err(unknown("LIKE ANY", "a LIKE for each pattern, joined by OR"));
        }
        Expr::Cast {
            kind,
            expr,
            data_type,
            array: false,
            format: None,
        } => {
            let function = match kind {
                CastKind::Cast | CastKind::DoubleColon => "cast",
                CastKind::TryCast | CastKind::SafeCast => "try_cast",
            };
            format!("{function}({} as {})", of(expr)?, cast_type(data_type)?)
        }
        Expr::Cast { .. } => {
            return Err(unknown("CAST with ARRAY or FORMAT", "CAST(value AS type)"));
        }
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => format!("({} at time zone {})", of(timestamp)?, of(time_zone)?),
        Expr::Extract {
            field,
            syntax: _,
            expr,
        } => format!("date_part('{}', {})", date_field(field)?, of(expr)?),
        Expr::Ceil { expr, field } => match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                format!("ceil({})", of(expr)?)
            }
            CeilFloorKind::DateTimeField(_) | CeilFloorKind::Scale(_) => {
                return Err(unknown(
                    "CEIL … TO",
                    "date_trunc, or a division before and after",
                ));
            }
        },
        Expr::Floor { expr, field } => match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                format!("floor({})", of(expr)?)
            }
            CeilFloorKind::DateTimeField(_) | CeilFloorKind::Scale(_) => {
                return Err(unknown(
                    "FLOOR … TO",
                    "date_trunc, or a division before and after",
                ));
            }
        },
        Expr::Position { expr, r#in } => format!("position({} in {})", of(expr)?, of(r#in)?),
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            special: _,
            shorthand: _,
        } => {
            let mut args = vec![of(expr)?];
            match (substring_from, substring_for) {
                (Some(from), None) => args.push(of(from)?),
                (Some(from), Some(length)) => args.extend([of(from)?, of(length)?]),
                (None, Some(length)) => args.extend(["1".to_owned(), of(length)?]),
                (None, None) => {}
            }
            format!("substr({})", args.join(", "))
        }
        Expr::Trim {
            trim_where,
            trim_what,
            expr,
            trim_characters,
        } => {
            let function = match trim_where {
                None | Some(TrimWhereField::Both) => "btrim",
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
            };
            let mut args = vec![of(expr)?];
            if let Some(what) = trim_what {
                args.push(of(what)?);
            }
            for what in trim_characters.iter().flatten() {
                args.push(of(what)?);
            }
            format!("{function}({})", args.join(", "))
        }
        Expr::Overlay {
            expr,
            overlay_what,
            overlay_from,
            overlay_for,
        } => {
            let mut args = vec![of(expr)?, of(overlay_what)?, of(overlay_from)?];
            if let Some(length) = overlay_for {
                args.push(of(length)?);
            }
            format!("overlay({})", args.join(", "))
        }
        Expr::Case {
            case_token: _,
            end_token: _,
            operand,
            conditions,
            else_result,
        } => {
            let mut text = "case".to_owned();
            if let Some(operand) = operand {
                text += &format!(" {}", of(operand)?);
            }
            for CaseWhen { condition, result } in conditions {
                text += &format!(" when {} then {}", of(condition)?, of(result)?);
            }
            if let Some(result) = else_result {
                text += &format!(" else {}", of(result)?);
            }
            text + " end"
        }
        Expr::Function(it) => function(it)?,
        Expr::Array(Array { elem, named: _ }) => format!("[{}]", list(elem, of)?),
        Expr::InSubquery {
            expr,
            subquery,
            negated,
        } => {
            format!(
                "({} {}in ({}))",
                of(expr)?,
                not(negated),
                whole(subquery, true)?
            )
        }
        Expr::Exists { subquery, negated } => {
            format!("({}exists ({}))", not(negated), whole(subquery, true)?)
        }
        Expr::Subquery(it) => format!("({})", whole(it, true)?),
        Expr::AnyOp {
            left,
            compare_op,
            right,
            is_some: _,
        } => format!("({} {} any {})", of(left)?, binary(compare_op)?, of(right)?),
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => format!("({} {} all {})", of(left)?, binary(compare_op)?, of(right)?),
        Expr::GroupingSets(sets) => format!("grouping sets ({})", grouping_sets(sets)?),
        Expr::Cube(sets) => format!("cube ({})", grouping_sets(sets)?),
        Expr::Rollup(sets) => format!("rollup ({})", grouping_sets(sets)?),
        Expr::Lambda(it) => {
            let names: Vec<String> = it.params.iter().map(|it| ident(&it.name)).collect();
            format!("(lambda {} : {})", names.join(", "), of(&it.body)?)
        }
        Expr::RLike { .. } => return Err(unknown("RLIKE", "value ~ 'pattern'")),
        Expr::JsonAccess { .. } => {
            return Err(unknown(
                "access to JSON",
                "columns of the source for the members you need",
            ));
        }
        Expr::InUnnest { .. }
        | Expr::IsNormalized { .. }
        | Expr::Convert { .. }
        | Expr::Collate { .. }
        | Expr::Prefixed { .. }
        | Expr::Tuple(_)
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::MatchAgainst { .. }
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..)
        | Expr::OuterJoin(_)
        | Expr::Prior(_)
        | Expr::MemberOf(_) => {
            return Err(unknown(
                "this expression",
                "columns, operators, CASE, CAST and functions",
            ));
        }
    })
}

fn unknown(what: &str, instead: &str) -> String {
    format!("{what} is not maintained; write {instead}")
}

fn like(
    not: &str,
    operator: &str,
    expr: &Expr,
    pattern: &Expr,
    escape: &Option<ValueWithSpan>,
) -> Result<String, String> {
    let escape = match escape {
        None => String::new(),
        Some(it) => format!(" escape {}", value(it)?),
    };
    Ok(format!(
        "({} {not}{operator} {}{escape})",
        expression(expr)?,
        expression(pattern)?
    ))
}

fn value(value: &ValueWithSpan) -> Result<String, String> {
    let ValueWithSpan { value, span: _ } = value;
    let quoted = |it: &str| format!("'{}'", it.replace('\'', "''"));
    Ok(match value {
        Value::Number(digits, _) => digits.to_ascii_lowercase(),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => quoted(text),
        Value::DollarQuotedString(text) => quoted(&text.value),
        Value::Boolean(true) => "true".to_owned(),
        Value::Boolean(false) => "false".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Placeholder(_) => {
            return Err("a view has no parameters; write ${NAME} for a variable".to_owned());
        }
        Value::TripleSingleQuotedString(_)
        | Value::TripleDoubleQuotedString(_)
        | Value::UnicodeStringLiteral(_)
        | Value::SingleQuotedByteStringLiteral(_)
        | Value::DoubleQuotedByteStringLiteral(_)
        | Value::TripleSingleQuotedByteStringLiteral(_)
        | Value::TripleDoubleQuotedByteStringLiteral(_)
        | Value::SingleQuotedRawStringLiteral(_)
        | Value::DoubleQuotedRawStringLiteral(_)
        | Value::TripleSingleQuotedRawStringLiteral(_)
        | Value::TripleDoubleQuotedRawStringLiteral(_)
        | Value::NationalStringLiteral(_)
        | Value::QuoteDelimitedStringLiteral(_)
        | Value::NationalQuoteDelimitedStringLiteral(_)
        | Value::HexStringLiteral(_)
        | Value::DoubleQuotedString(_) => {
            return Err(unknown("this way to write a text", "'text'"));
        }
    })
}

fn interval(interval: &Interval) -> Result<String, String> {
    let Interval {
        value: amount,
        leading_field,
        leading_precision,
        last_field,
        fractional_seconds_precision,
    } = interval;
    if leading_precision.is_some() || last_field.is_some() || fractional_seconds_precision.is_some()
    {
        return Err(
            "write an interval as INTERVAL '90 seconds' or INTERVAL '90' SECOND".to_owned(),
        );
    }
    if let Some(us) = syntax::interval_us(&Expr::Interval(interval.clone())) {
        return Ok(format!("interval {us} us"));
    }
    let unit = match leading_field {
        None => String::new(),
        Some(it) => format!(" {}", date_field(it)?),
    };
    Ok(format!("interval {}{unit}", expression(amount)?))
}

fn date_field(field: &DateTimeField) -> Result<String, String> {
    Ok(match field {
        DateTimeField::Year | DateTimeField::Years => "year",
        DateTimeField::Quarter => "quarter",
        DateTimeField::Month | DateTimeField::Months => "month",
        DateTimeField::Week(None) | DateTimeField::Weeks | DateTimeField::IsoWeek => "week",
        DateTimeField::Day | DateTimeField::Days => "day",
        DateTimeField::Dow | DateTimeField::DayOfWeek => "dow",
        DateTimeField::Doy | DateTimeField::DayOfYear => "doy",
        DateTimeField::Isodow => "isodow",
        DateTimeField::Isoyear => "isoyear",
        DateTimeField::Hour | DateTimeField::Hours => "hour",
        DateTimeField::Minute | DateTimeField::Minutes => "minute",
        DateTimeField::Second | DateTimeField::Seconds => "second",
        DateTimeField::Millisecond | DateTimeField::Milliseconds => "millisecond",
        DateTimeField::Microsecond | DateTimeField::Microseconds => "microsecond",
        DateTimeField::Nanosecond | DateTimeField::Nanoseconds => "nanosecond",
        DateTimeField::Epoch => "epoch",
        DateTimeField::Custom(it) => return Ok(it.value.to_lowercase()),
        DateTimeField::Week(Some(_))
        | DateTimeField::Date
        | DateTimeField::Datetime
        | DateTimeField::Century
        | DateTimeField::Decade
        | DateTimeField::Julian
        | DateTimeField::Millenium
        | DateTimeField::Millennium
        | DateTimeField::Time
        | DateTimeField::Timezone
        | DateTimeField::TimezoneAbbr
        | DateTimeField::TimezoneHour
        | DateTimeField::TimezoneMinute
        | DateTimeField::TimezoneRegion
        | DateTimeField::NoDateTime => return Err("of a time there is year, quarter, month, week, day, dow, doy, hour, minute, second, millisecond, microsecond and epoch".to_owned()),
    }
    .to_owned())
}

fn binary(op: &BinaryOperator) -> Result<&'static str, String> {
    Ok(match op {
        BinaryOperator::Plus => "+",
        BinaryOperator::Minus => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
        BinaryOperator::StringConcat => "||",
        BinaryOperator::Gt => ">",
        BinaryOperator::Lt => "<",
        BinaryOperator::GtEq => ">=",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Eq => "=",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::And => "and",
        BinaryOperator::Or => "or",
        BinaryOperator::BitwiseOr => "|",
        BinaryOperator::BitwiseAnd => "&",
        BinaryOperator::BitwiseXor | BinaryOperator::PGBitwiseXor => "#",
        BinaryOperator::PGBitwiseShiftLeft => "<<",
        BinaryOperator::PGBitwiseShiftRight => ">>",
        BinaryOperator::PGRegexMatch => "~",
        BinaryOperator::PGRegexIMatch => "~*",
        BinaryOperator::PGRegexNotMatch => "!~",
        BinaryOperator::PGRegexNotIMatch => "!~*",
        BinaryOperator::PGLikeMatch => "~~",
        BinaryOperator::PGILikeMatch => "~~*",
        BinaryOperator::PGNotLikeMatch => "!~~",
        BinaryOperator::PGNotILikeMatch => "!~~*",
        BinaryOperator::PGExp => return Err(unknown("the operator ^", "power(a, b)")),
        BinaryOperator::Xor
        | BinaryOperator::Spaceship
        | BinaryOperator::DuckIntegerDivide
        | BinaryOperator::MyIntegerDivide
        | BinaryOperator::Match
        | BinaryOperator::Regexp
        | BinaryOperator::Custom(_)
        | BinaryOperator::PGOverlap
        | BinaryOperator::PGStartsWith
        | BinaryOperator::Arrow
        | BinaryOperator::LongArrow
        | BinaryOperator::HashArrow
        | BinaryOperator::HashLongArrow
        | BinaryOperator::AtAt
        | BinaryOperator::AtArrow
        | BinaryOperator::ArrowAt
        | BinaryOperator::HashMinus
        | BinaryOperator::AtQuestion
        | BinaryOperator::Question
        | BinaryOperator::QuestionAnd
        | BinaryOperator::QuestionPipe
        | BinaryOperator::PGCustomBinaryOperator(_)
        | BinaryOperator::Overlaps
        | BinaryOperator::DoubleHash
        | BinaryOperator::LtDashGt
        | BinaryOperator::AndLt
        | BinaryOperator::AndGt
        | BinaryOperator::LtLtPipe
        | BinaryOperator::PipeGtGt
        | BinaryOperator::AndLtPipe
        | BinaryOperator::PipeAndGt
        | BinaryOperator::LtCaret
        | BinaryOperator::GtCaret
        | BinaryOperator::QuestionHash
        | BinaryOperator::QuestionDash
        | BinaryOperator::QuestionDashPipe
        | BinaryOperator::QuestionDoublePipe
        | BinaryOperator::At
        | BinaryOperator::TildeEq
        | BinaryOperator::Assignment => {
            return Err(unknown(
                "this operator",
                "a function, or one of + - * / % || = <> < <= > >= AND OR ~ LIKE",
            ));
        }
    })
}

/// A type that values are cast to, by its own name.
fn cast_type(data_type: &DataType) -> Result<String, String> {
    let digits = |of: &ExactNumberInfo| match of {
        ExactNumberInfo::None => String::new(),
        ExactNumberInfo::Precision(p) => format!("({p})"),
        ExactNumberInfo::PrecisionAndScale(p, s) => format!("({p}, {s})"),
    };
    Ok(match data_type {
        DataType::Boolean | DataType::Bool => "boolean".to_owned(),
        DataType::TinyInt(_) => "tinyint".to_owned(),
        DataType::SmallInt(_) | DataType::Int2(_) => "smallint".to_owned(),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int".to_owned(),
        DataType::BigInt(_) | DataType::Int8(_) => "bigint".to_owned(),
        DataType::TinyIntUnsigned(_) => "tinyint unsigned".to_owned(),
        DataType::SmallIntUnsigned(_) => "smallint unsigned".to_owned(),
        DataType::IntUnsigned(_) | DataType::IntegerUnsigned(_) => "int unsigned".to_owned(),
        DataType::BigIntUnsigned(_) => "bigint unsigned".to_owned(),
        DataType::Real | DataType::Float4 => "real".to_owned(),
        DataType::Float(it) => format!("float{}", digits(it)),
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 => "double".to_owned(),
        DataType::Decimal(it) | DataType::Numeric(it) | DataType::Dec(it) => {
            format!("decimal{}", digits(it))
        }
        DataType::Text
        | DataType::Varchar(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_)
        | DataType::String(_) => "text".to_owned(),
        DataType::Bytea | DataType::Binary(_) | DataType::Varbinary(_) | DataType::Bytes(_) => {
            "bytes".to_owned()
        }
        DataType::Interval { .. } => "interval".to_owned(),
        DataType::JSON | DataType::JSONB => "text".to_owned(),
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(of, None)
            | ArrayElemTypeDef::AngleBracket(of)
            | ArrayElemTypeDef::Parenthesis(of),
        ) => format!("{}[]", cast_type(of)?),
        DataType::Date => "date".to_owned(),
        DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            "time".to_owned()
        }
        DataType::Timestamp(precision, zone) => {
            let zone = match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "timestamp",
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => "timestamptz",
            };
            precision.map_or_else(|| zone.to_owned(), |it| format!("{zone}({it})"))
        }
        other => {
            return Err(format!(
                "CAST to {other} is not maintained; possible are BOOLEAN, SMALLINT, INT, BIGINT, REAL, DOUBLE, DECIMAL, TEXT, BYTEA, DATE, TIME, TIMESTAMP, INTERVAL and arrays of these"
            ));
        }
    })
}

fn function(function: &Function) -> Result<String, String> {
    let Function {
        name: function_name,
        uses_odbc_syntax: _,
        parameters,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = function;
    let called = object_name(function_name)?;
    let mut behind = String::new();
    if !within_group.is_empty() {
        behind += &format!(" within group (order by {})", list(within_group, ordered)?);
    }
    match parameters {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
            return Err(format!(
                "{called}(…)(…) is not maintained; give all arguments in one list"
            ));
        }
    }
    let argument = |it: &FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => expression(it),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok("*".to_owned()),
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(of)) => {
            Ok(format!("{}.*", object_name(of)?))
        }
        FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(_)) => {
            Err(format!("{called}: write * without options"))
        }
        FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
            Err(format!("{called}: arguments have a place, not a name"))
        }
    };
    let clause = |it: &FunctionArgumentClause| match it {
        FunctionArgumentClause::OrderBy(all) => Ok(format!(" order by {}", list(all, ordered)?)),
        FunctionArgumentClause::IgnoreOrRespectNulls(_)
        | FunctionArgumentClause::Limit(_)
        | FunctionArgumentClause::OnOverflow(_)
        | FunctionArgumentClause::Having(_)
        | FunctionArgumentClause::Separator(_)
        | FunctionArgumentClause::JsonNullClause(_)
        | FunctionArgumentClause::JsonReturningClause(_) => Err(format!(
            "{called}: of the clauses among its arguments only ORDER BY is known"
        )),
    };
    let args = match args {
        FunctionArguments::None => String::new(),
        FunctionArguments::Subquery(_) => {
            return Err(format!(
                "{called}: put the sub-query into parentheses of its own"
            ));
        }
        FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment,
            args,
            clauses,
        }) => {
            let distinct = match duplicate_treatment {
                Some(DuplicateTreatment::Distinct) => "distinct ",
                Some(DuplicateTreatment::All) | None => "",
            };
            let clauses: Vec<String> = clauses.iter().map(clause).collect::<Result<_, _>>()?;
            format!("({distinct}{}{})", list(args, argument)?, clauses.concat())
        }
    };
    if let Some(it) = filter {
        behind += &format!(" filter (where {})", expression(it)?);
    }
    behind += match null_treatment {
        Some(NullTreatment::IgnoreNulls) => " ignore nulls",
        Some(NullTreatment::RespectNulls) | None => "",
    };
    match over {
        None => {}
        Some(WindowType::WindowSpec(it)) => behind += &format!(" over ({})", window(it)?),
        Some(WindowType::NamedWindow(it)) => behind += &format!(" over {}", ident(it)),
    }
    Ok(format!("{}{args}{behind}", name_of_function(&called)))
}

fn grouping_sets(sets: &[Vec<Expr>]) -> Result<String, String> {
    list(sets, |it| Ok(format!("({})", list(it, expression)?)))
}

/// What stands in OVER (…).
pub(super) fn window(window: &WindowSpec) -> Result<String, String> {
    let WindowSpec {
        window_name,
        partition_by,
        order_by,
        window_frame,
    } = window;
    let mut parts = Vec::new();
    parts.extend(window_name.as_ref().map(ident));
    if !partition_by.is_empty() {
        parts.push(format!("partition by {}", list(partition_by, expression)?));
    }
    if !order_by.is_empty() {
        parts.push(format!("order by {}", list(order_by, ordered)?));
    }
    if let Some(WindowFrame {
        units,
        start_bound,
        end_bound,
    }) = window_frame
    {
        let units = match units {
            WindowFrameUnits::Rows => "rows",
            WindowFrameUnits::Range => "range",
            WindowFrameUnits::Groups => "groups",
        };
        let end = end_bound.as_ref().unwrap_or(&WindowFrameBound::CurrentRow);
        let (start, end) = (bound(start_bound)?, bound(end)?);
        parts.push(format!("{units} between {start} and {end}"));
    }
    Ok(parts.join(" "))
}

fn bound(bound: &WindowFrameBound) -> Result<String, String> {
    Ok(match bound {
        WindowFrameBound::CurrentRow => "current row".to_owned(),
        WindowFrameBound::Preceding(None) => "unbounded preceding".to_owned(),
        WindowFrameBound::Preceding(Some(it)) => format!("{} preceding", expression(it)?),
        WindowFrameBound::Following(None) => "unbounded following".to_owned(),
        WindowFrameBound::Following(Some(it)) => format!("{} following", expression(it)?),
    })
}

/// Functions have their names in lower case, however they are quoted.
fn name_of_function(called: &str) -> String {
    match called.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(inner) => name(&inner.to_lowercase()),
        None => called.to_owned(),
    }
}
