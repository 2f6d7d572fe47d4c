//! RANGE with an offset: of times the offset is an interval, of numbers a number. DataFusion reads any of them as seconds, or as no bound at all.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFrameBound, WindowFrameUnits};

/// Errs with 0A000 for a frame whose offset is not of what the rows are ordered by.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Window(window) = node {
            for expr in &window.window_expr {
                expr.apply(|e| {
                    if let Expr::WindowFunction(call) = e {
                        check_call(call, window.input.schema())?;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn check_call(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let frame = &call.params.window_frame;
    let (WindowFrameUnits::Range, [by]) = (frame.units, call.params.order_by.as_slice()) else { return Ok(()) };
    for bound in [&frame.start_bound, &frame.end_bound] {
        // Types are not coerced yet: the offset is the text that was written.
        let (WindowFrameBound::Preceding(ScalarValue::Utf8(Some(offset))) | WindowFrameBound::Following(ScalarValue::Utf8(Some(offset)))) =
            bound
        else {
            continue;
        };
        let of = by.expr.get_type(schema)?;
        let is_number = offset.trim().parse::<f64>().is_ok();
        let (fits, offset) = match &of {
            of if of.is_numeric() => (is_number, " and offset type interval"),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
                (!is_number, " and offset type integer")
            }
            DataType::Interval(_) | DataType::Duration(_) => (!is_number, " and offset type integer"),
            _ => (false, ""),
        };
        if !fits {
            let of = if of == DataType::Boolean { "boolean".to_owned() } else { of.to_string() };
            return not_impl_err!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {of}{offset}");
        }
    }
    Ok(())
}
