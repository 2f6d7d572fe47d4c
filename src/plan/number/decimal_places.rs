//! How many decimal places `round(x, 2)` keeps, as the number that DataFusion wants: cast to it, it would be no constant while types are found, and a
//! decimal would have another scale in the plan than in the rows.

use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::plan::each;

/// The functions that take it.
const FUNCTIONS: [&str; 2] = ["round", "trunc"];

/// The rule; it stands before types are coerced.
#[derive(Debug)]
pub(in crate::plan) struct DecimalPlaces;

impl AnalyzerRule for DecimalPlaces {
    fn name(&self) -> &str {
        "decimal_places"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        each::expression(plan, |e, _| Ok(places(e)))
    }
}

fn places(mut e: Expr) -> Transformed<Expr> {
    if let Expr::ScalarFunction(call) = &mut e
        && FUNCTIONS.contains(&call.func.name())
        && let Some(Expr::Literal(value, _)) = call.args.get_mut(1)
        && let ScalarValue::Int64(Some(n)) = value
        && let Ok(n) = i32::try_from(*n)
    {
        *value = ScalarValue::Int32(Some(n));
        return Transformed::yes(e);
    }
    Transformed::no(e)
}
