//! Functions under the names that people bring along from other systems: each stands for an expression, which takes its place when a query is
//! planned.

use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    binary_expr, lit,
};
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let parts = PARTS.iter().map(|(name, part)| Familiar {
        name,
        what: What::Part(part),
        signature: Signature::any(1, Volatility::Immutable),
    });
    let remainder = Familiar {
        name: "mod",
        what: What::Remainder,
        signature: Signature::numeric(2, Volatility::Immutable),
    };
    let all = parts.chain([remainder]);
    all.map(|it| Arc::new(ScalarUDF::from(it))).collect()
}

/// Parts of a date or time, and what `date_part` calls them.
const PARTS: [(&str, &str); 8] = [
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("day", "day"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
];

#[derive(Debug, PartialEq, Eq, Hash)]
struct Familiar {
    name: &'static str,
    what: What,
    signature: Signature,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum What {
    /// `date_part` of this.
    Part(&'static str),
    /// `%`.
    Remainder,
}

impl ScalarUDFImpl for Familiar {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Part(_) => DataType::Int32,
            What::Remainder => types[0].clone(),
        })
    }
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let mut args = args.into_iter();
        let (Some(first), second) = (args.next(), args.next()) else {
            return exec_err!("{} takes arguments", self.name);
        };
        let expr = match (&self.what, second) {
            (What::Part(part), _) => {
                let function = super::date_part();
                function.call(vec![lit(*part), first])
            }
            (What::Remainder, Some(by)) => {
                binary_expr(first, datafusion::logical_expr::Operator::Modulo, by)
            }
            (What::Remainder, None) => return exec_err!("{} takes two numbers", self.name),
        };
        Ok(ExprSimplifyResult::Simplified(expr))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} stands for another expression, which runs", self.name)
    }
}
