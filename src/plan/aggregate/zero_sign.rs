//! -0 and 0 are equal, as in Postgres, where OVER puts rows into partitions and where an aggregate is DISTINCT: DataFusion holds them apart there, and
//! nowhere else. Where they meet, 0 is added, which makes a 0 of -0 and changes nothing else.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use crate::plan::each;

/// The rule; it stands behind those that find types.
#[derive(Debug)]
pub(in crate::plan) struct ZeroSign;

impl AnalyzerRule for ZeroSign {
    fn name(&self) -> &str {
        "zero_sign"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            if !matches!(plan, LogicalPlan::Window(_) | LogicalPlan::Aggregate(_)) {
                return Ok(Transformed::no(plan));
            }
            each::of_node(plan, without_sign)
        })?;
        Ok(rewritten.data)
    }
}

fn without_sign(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let places: Vec<&mut Expr> = match &mut e {
        Expr::WindowFunction(call) => call.params.partition_by.iter_mut().collect(),
        Expr::AggregateFunction(call) if call.params.distinct => {
            call.params.args.iter_mut().chain(call.params.order_by.iter_mut().map(|sort| &mut sort.expr)).collect()
        }
        _ => Vec::new(),
    };
    let mut changed = false;
    for place in places {
        let of = place.get_type(schema)?;
        if of.is_floating() && !matches!(place, Expr::Literal(..)) {
            let zero = Box::new(Expr::Literal(ScalarValue::new_zero(&of)?, None));
            *place = Expr::BinaryExpr(BinaryExpr::new(Box::new(place.clone()), Operator::Plus, zero));
            changed = true;
        }
    }
    Ok(if changed { Transformed::yes(e) } else { Transformed::no(e) })
}
