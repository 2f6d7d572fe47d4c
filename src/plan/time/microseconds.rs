//! What DataFusion's functions give in ns is in µs before it meets anything: compared with now(), a time of the year 9999 would be made one in ns, for
//! which there is no room.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, cast};
use datafusion::optimizer::AnalyzerRule;

use super::epoch;
use crate::plan::each;
use crate::plan::value::postgres_types::shown;

/// The functions that give times in other units.
const FUNCTIONS: [&str; 7] =
    ["now", "to_timestamp", "to_timestamp_seconds", "to_timestamp_millis", "to_timestamp_micros", "to_timestamp_nanos", "from_unixtime"];

/// The rule; it stands before types are coerced.
#[derive(Debug)]
pub(in crate::plan) struct Microseconds;

impl AnalyzerRule for Microseconds {
    fn name(&self) -> &str {
        "microseconds"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            // Its columns have the types that the planner found.
            if matches!(plan, LogicalPlan::Values(_)) {
                return Ok(Transformed::no(plan));
            }
            let rewritten = each::of_node(plan, |e, schema| Ok(of_us(e, schema)))?;
            if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
        })?;
        Ok(rewritten.data)
    }
}

fn of_us(mut e: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if let Expr::BinaryExpr(compared) = &mut e
        && dates_as_times(compared, schema)
    {
        return Transformed::yes(e);
    }
    if let Expr::ScalarFunction(call) = &e
        && let Some(moment) = epoch::rewritten(call, schema)
    {
        return Transformed::yes(moment);
    }
    let to = match &e {
        Expr::ScalarFunction(call) if FUNCTIONS.contains(&call.func.name()) => e.get_type(schema).ok(),
        _ => None,
    };
    match to.and_then(|of| shown(&of)) {
        Some(to) => Transformed::yes(cast(e, to)),
        None => Transformed::no(e),
    }
}

/// Makes a time of the date that is compared with one, and says whether there was one.
fn dates_as_times(compared: &mut BinaryExpr, schema: &DFSchema) -> bool {
    let BinaryExpr { left, op, right } = compared;
    if !op.supports_propagation() {
        return false;
    }
    match (left.get_type(schema), right.get_type(schema)) {
        (Ok(DataType::Date32), Ok(to @ DataType::Timestamp(..))) => **left = cast(left.as_ref().clone(), shown(&to).unwrap_or(to)),
        (Ok(to @ DataType::Timestamp(..)), Ok(DataType::Date32)) => **right = cast(right.as_ref().clone(), shown(&to).unwrap_or(to)),
        _ => return false,
    }
    true
}
