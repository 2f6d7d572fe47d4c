//! `concat(true)` is `t`, as Postgres writes a boolean, where DataFusion has `true`, which is what a cast gives.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;

use crate::plan::each;

/// The functions that write values.
const FUNCTIONS: [&str; 2] = ["concat", "concat_ws"];

/// The rule; it stands before types are coerced, as a cast to text is what they are coerced by.
#[derive(Debug)]
pub(in crate::plan) struct FlagText;

impl AnalyzerRule for FlagText {
    fn name(&self) -> &str {
        "flag_text"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        each::expression(plan, |e, schema| Ok(written(e, schema)))
    }
}

fn written(mut e: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::ScalarFunction(call) = &mut e else { return Transformed::no(e) };
    let mut changed = false;
    if FUNCTIONS.contains(&call.func.name()) {
        for flag in call.args.iter_mut().filter(|arg| matches!(arg.get_type(schema), Ok(DataType::Boolean))) {
            let letter = |flag: Expr, letter: &str| (Box::new(flag), Box::new(lit(letter)));
            let letters = vec![letter(flag.clone().is_true(), "t"), letter(flag.clone().is_false(), "f")];
            *flag = Expr::Case(Case::new(None, letters, None));
            changed = true;
        }
    }
    if changed { Transformed::yes(e) } else { Transformed::no(e) }
}
