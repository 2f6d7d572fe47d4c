//! Subscripts of jsonb as in Postgres: `j['a']['b'][0]` is a member of an object, or an element of an array, and NULL where there is none.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{GetFieldAccess, cast, lit};

use super::operators;
use crate::error::Error;
use crate::plan::value::text_type::TextType;

/// Plans them, before DataFusion takes a name for the field of a struct.
#[derive(Debug)]
pub(in crate::plan) struct JsonSubscripts;

impl ExprPlanner for JsonSubscripts {
    fn plan_field_access(&self, expr: RawFieldAccessExpr, schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let of = TextType::of_expr(&expr.expr, schema);
        let refused = |message: &str| Error::Data { code: "42804", message: message.to_owned(), detail: None };
        match (of, &expr.field_access) {
            (Some(TextType::Json), GetFieldAccess::NamedStructField { name }) => {
                let step = lit(name.try_as_str().flatten().unwrap_or_default());
                Ok(PlannerResult::Planned(operators::at_path(expr.expr, make_array(vec![step]))))
            }
            // The text of a whole number counts elements, too.
            (Some(TextType::Json), GetFieldAccess::ListIndex { key }) => {
                let step = cast(key.as_ref().clone(), DataType::Utf8);
                Ok(PlannerResult::Planned(operators::at_path(expr.expr, make_array(vec![step]))))
            }
            (Some(TextType::Json), GetFieldAccess::ListRange { .. }) => Err(refused("jsonb subscript does not support slices").into()),
            (Some(other), _) => {
                Err(refused(&format!("cannot subscript type {} because it does not support subscripting", other.word())).into())
            }
            (None, _) => Ok(PlannerResult::Original(expr)),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{Expr, col};

    use super::*;

    #[test]
    fn only_jsonb_has_subscripts_of_its_own() {
        let json = Field::new("j", DataType::Utf8, true).with_metadata(TextType::Json.metadata());
        let schema = DFSchema::try_from(Schema::new(vec![json, Field::new("s", DataType::Utf8, true)])).unwrap();
        let planned = |name: &str| {
            let field_access = GetFieldAccess::NamedStructField { name: ScalarValue::from("a") };
            JsonSubscripts.plan_field_access(RawFieldAccessExpr { expr: col(name), field_access }, &schema).unwrap()
        };
        assert!(matches!(planned("j"), PlannerResult::Planned(Expr::ScalarFunction(_))));
        assert!(matches!(planned("s"), PlannerResult::Original(_)));
    }
}
