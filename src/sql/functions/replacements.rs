//! `regexp_replace` with replacements as PostgreSQL has them: `\1` to `\9` are groups, `\&` and `\0` the whole match, `\\` is a backslash, and `$` a dollar.
//! DataFusion's own takes `$1` and `${name}` for groups, and `\12` for group 12.

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// A group of no pattern, which stands for nothing: a name has no blank.
const NOTHING: &str = "${ }";

pub(super) fn regexp_replace() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Replace(
        datafusion::functions::regex::regexp_replace(),
    )))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Replace(Arc<ScalarUDF>);

impl ScalarUDFImpl for Replace {
    scalar_as_native!();
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(replacement) = args.args.get_mut(2) {
            *replacement = match &*replacement {
                ColumnarValue::Scalar(it) => match it.try_as_str() {
                    Some(text) => {
                        let text = ScalarValue::Utf8(text.map(as_of_crate));
                        ColumnarValue::Scalar(text.cast_to(&it.data_type())?)
                    }
                    None => ColumnarValue::Scalar(it.clone()),
                },
                ColumnarValue::Array(it) => {
                    let texts = cast(it, &DataType::Utf8)?;
                    let texts = texts.as_string::<i32>().iter();
                    let texts: StringArray = texts.map(|it| it.map(as_of_crate)).collect();
                    ColumnarValue::Array(cast(&texts, it.data_type())?)
                }
            };
        }
        self.0.invoke_with_args(args)
    }
}

/// A replacement as the crate of regular expressions reads it.
fn as_of_crate(replacement: &str) -> String {
    let mut written = String::with_capacity(replacement.len());
    let mut all = replacement.chars().peekable();
    while let Some(next) = all.next() {
        match (next, all.peek()) {
            ('\\', Some('&')) => {
                all.next();
                written += "${0}";
            }
            ('\\', Some(&group)) if group.is_ascii_digit() => {
                all.next();
                written += &format!("${{{group}}}");
            }
            ('\\', behind) => {
                if behind == Some(&'\\') {
                    all.next();
                }
                written.push('\\');
                // DataFusion takes a backslash before a digit for a group.
                written += NOTHING;
            }
            ('$', _) => written += "$$",
            (other, _) => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_those_of_postgres() {
        for (replacement, expected) in [
            (r"[\&]", "[${0}]"),
            (r"\12", "${1}2"),
            (r"$1 ${x} $", "$$1 $${x} $$"),
            (r"\\1 \x \", r"\${ }1 \${ }x \${ }"),
        ] {
            assert_eq!(as_of_crate(replacement), expected, "{replacement}");
        }
    }
}
