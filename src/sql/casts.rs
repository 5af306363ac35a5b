//! Several casts of one column in one query.
//!
//! DataFusion names a cast after what is cast: in its plans `CAST(n AS TEXT)` and `CAST(n AS DOUBLE)` both are `n`, and a node that has both,
//! or one beside the column itself, is refused, even where the query gives each a name. So a query that is refused for its names
//! is planned once more with each cast inside of a function that is named after its type and vanishes when the plan is optimised.
//! All other queries, and the names of their columns, stay as they are.

use super::{constants, syntax, walk};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue, SchemaError, exec_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Statement, Value, VisitorMut};
use std::ops::ControlFlow;

/// Name of the function around a cast.
pub const NAMED_CAST: &str = "named_cast";

/// The plan of a statement.
///
/// # Errors
/// If it cannot be planned.
pub async fn planned(state: &SessionState, statement: DfStatement) -> Result<LogicalPlan> {
    let mut named = statement.clone();
    let plan = match state.statement_to_plan(statement).await {
        Err(error) if is_about_names(&error) && name_casts(&mut named) => {
            state.statement_to_plan(named).await
        }
        planned => planned,
    }?;
    constants::refuse_overflow(&plan)?;
    refuse_arrays_of_texts(&plan)?;
    Ok(plan)
}

/// Refuses casts of computed texts to arrays: an array of just that text would come out.
fn refuse_arrays_of_texts(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let below = match node.inputs().as_slice() {
            [] => node.schema().as_ref().clone(),
            inputs => merge_schema(inputs),
        };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let (from, to) = match part {
                    Expr::Cast(it) => (&it.expr, &it.field),
                    Expr::TryCast(it) => (&it.expr, &it.field),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                let is_text = || from.get_type(&below).is_ok_and(|it| it.is_string());
                if matches!(to.data_type(), DataType::List(_)) && is_text() {
                    return plan_err!(
                        "a text that is computed is not read as an array; write string_to_array(text, ','), or of JSON jsonb_array_elements_text(payload)"
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn is_about_names(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::DuplicateQualifiedField { .. }
            | SchemaError::DuplicateUnqualifiedField { .. }
            | SchemaError::AmbiguousReference { .. } => true,
            SchemaError::FieldNotFound { .. } => false,
        },
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        _ => false,
    }
}

/// Puts every cast of a statement into the function; whether there are any.
fn name_casts(statement: &mut DfStatement) -> bool {
    match statement {
        DfStatement::Statement(it) => name_casts_of(it),
        DfStatement::Explain(it) => name_casts(&mut it.statement),
        DfStatement::CreateExternalTable(_) | DfStatement::CopyTo(_) | DfStatement::Reset(_) => {
            false
        }
    }
}

fn name_casts_of(statement: &mut Statement) -> bool {
    struct Naming {
        found: bool,
    }
    impl VisitorMut for Naming {
        type Break = String;
        fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<String> {
            let SqlExpr::Cast { data_type, .. } = expr else {
                return ControlFlow::Continue(());
            };
            self.found = true;
            let name = SqlExpr::value(Value::SingleQuotedString(data_type.to_string()));
            *expr = syntax::call(NAMED_CAST, vec![expr.clone(), name]);
            ControlFlow::Continue(())
        }
    }
    let mut naming = Naming { found: false };
    // It never breaks off.
    let _ = walk::statement(statement, &mut naming);
    naming.found
}

/// `named_cast(value, 'TYPE')`: the value.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NamedCast(Signature);

impl NamedCast {
    pub fn new() -> Self {
        NamedCast(Signature::any(2, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for NamedCast {
    fn name(&self) -> &str {
        NAMED_CAST
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [value, Expr::Literal(ScalarValue::Utf8(Some(data_type)), _)] => {
                Ok(format!("CAST({} AS {data_type})", value.schema_name()))
            }
            _ => exec_err!("{NAMED_CAST} takes a value and the name of its type"),
        }
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(std::sync::Arc::clone(&args.arg_fields[0]))
    }
    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)))
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}
