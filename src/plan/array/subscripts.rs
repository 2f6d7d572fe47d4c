//! `a[0]` and `a[-1]` are NULL, as in Postgres, where DataFusion counts what is below 1 from the end.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::{greatest, nullif};
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, cast, lit};

/// Plans them, before DataFusion does.
#[derive(Debug)]
pub(in crate::plan) struct ArraySubscripts;

impl ExprPlanner for ArraySubscripts {
    fn plan_field_access(&self, expr: RawFieldAccessExpr, schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let is_array = matches!(expr.expr.get_type(schema), Ok(DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)));
        let GetFieldAccess::ListIndex { key } = &expr.field_access else { return Ok(PlannerResult::Original(expr)) };
        let whole = key.get_type(schema).is_ok_and(|of| of.is_integer());
        let at = match key.as_ref() {
            _ if !is_array || !whole => return Ok(PlannerResult::Original(expr)),
            Expr::Literal(ScalarValue::Int64(Some(at)), _) if *at > 0 => return Ok(PlannerResult::Original(expr)),
            // Of a place that is not known there is no element; greatest() passes NULL over.
            at => nullif(greatest(vec![cast(at.clone(), DataType::Int64), lit(0_i64)]), lit(0_i64)),
        };
        Ok(PlannerResult::Planned(array_element(expr.expr, at)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::col;

    use super::*;

    #[test]
    fn a_place_that_may_be_below_1_is_looked_at() {
        let numbers = Field::new("a", DataType::new_list(DataType::Int32, true), true);
        let schema = DFSchema::try_from(Schema::new(vec![numbers, Field::new("i", DataType::Int64, true)])).unwrap();
        let planned = |key: Expr| {
            let field_access = GetFieldAccess::ListIndex { key: Box::new(key) };
            ArraySubscripts.plan_field_access(RawFieldAccessExpr { expr: col("a"), field_access }, &schema).unwrap()
        };
        assert!(matches!(planned(lit(1_i64)), PlannerResult::Original(_)));
        for key in [lit(0_i64), lit(-1_i64), col("i")] {
            assert!(matches!(planned(key), PlannerResult::Planned(_)));
        }
    }
}
