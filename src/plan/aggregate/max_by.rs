//! `max_by(x, y)` and `min_by(x, y)`: the x of the row whose y is the greatest or the least, which is the first x in the order of y.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility};

use crate::error::Error;

/// The two functions. A row whose y is NULL does not count; of several equal ones any may be taken; NULL over no rows.
pub(super) fn functions() -> [Arc<AggregateUDF>; 2] {
    [("max_by", false), ("min_by", true)].map(|(name, ascending)| {
        Arc::new(AggregateUDF::new_from_impl(By { name, ascending, signature: Signature::any(2, Volatility::Immutable) }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct By {
    name: &'static str,
    ascending: bool,
    signature: Signature,
}

impl AggregateUDFImpl for By {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value, _] => Ok(value.clone()),
            _ => plan_err!("{} takes two arguments", self.name),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        // As an aggregate it is rewritten; with OVER it is not.
        Err(Error::unsupported(format!("{} with OVER", self.name), "Use first_value(x) OVER (… ORDER BY y DESC).").into())
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let (name, ascending) = (self.name, self.ascending);
        Some(Box::new(move |call: AggregateFunction, _| {
            let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = call.params;
            let Ok([value, by]) = <[Expr; 2]>::try_from(args) else { return plan_err!("{name} takes two arguments") };
            if !order_by.is_empty() {
                return plan_err!("{name} has no ORDER BY: its second argument is what it orders by");
            }
            let counts = by.clone().is_not_null();
            let filter = match filter {
                Some(filter) => filter.and(counts),
                None => counts,
            };
            let params = AggregateFunctionParams {
                args: vec![value],
                distinct,
                filter: Some(Box::new(filter)),
                order_by: vec![by.sort(ascending, false)],
                null_treatment,
            };
            Ok(Expr::AggregateFunction(AggregateFunction { func: first_value_udaf(), params }))
        }))
    }
}
