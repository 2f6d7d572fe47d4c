//! `sum` with the types of Postgres: of int8 a numeric, in which every sum has room, of int4 an int8; DataFusion's has an int8 for both, which wraps around in
//! silence.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::cast as arrow_cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, IntervalUnit};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    Volatility, cast,
};

use super::intervals::{What, over};

/// An int8 as it is summed.
const INT8: DataType = DataType::Decimal128(20, 0);
const NAME: &str = "sum";

/// The function, in place of DataFusion's of that name.
pub(super) fn function() -> Arc<AggregateUDF> {
    over(TypedSum { inner: Sum::new(), signature: Signature::user_defined(Volatility::Immutable) }, What::Sum)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TypedSum {
    inner: Sum,
    signature: Signature,
}

impl AggregateUDFImpl for TypedSum {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else { return plan_err!("sum takes one argument") };
        Ok(vec![match of {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 | DataType::Null => INT8,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Duration(_) => of.clone(),
            DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
            other => return plan_err!("sum takes numbers and intervals, and no {other}"),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Int32] => Ok(DataType::Int64),
            // As a numeric that was computed has them.
            [DataType::Decimal128(precision, scale)] => Ok(DataType::Decimal128((*precision).max(37), *scale)),
            types => self.inner.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let short = is_short(&args);
        let inner = self.inner.accumulator(args)?;
        Ok(if short { Box::new(Widened(inner)) } else { inner })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let short = is_short(&args);
        let inner = self.inner.create_groups_accumulator(args)?;
        Ok(if short { Box::new(Widened(inner)) } else { inner })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let short = is_short(&args);
        let inner = self.inner.create_sliding_accumulator(args)?;
        Ok(if short { Box::new(Widened(inner)) } else { inner })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// Whether what is summed is kept in 32 bits, of which the sums are int8.
fn is_short(args: &AccumulatorArgs) -> bool {
    args.expr_fields.first().is_some_and(|field| *field.data_type() == DataType::Int32)
}

/// Sums of int8 over values that are int4.
#[derive(Debug)]
struct Widened<A>(A);

fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    Ok(values.iter().map(|values| arrow_cast(values, &DataType::Int64)).collect::<Result<_, _>>()?)
}

impl Accumulator for Widened<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&widened(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

impl GroupsAccumulator for Widened<Box<dyn GroupsAccumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, n_groups: usize) -> Result<()> {
        self.0.update_batch(&widened(values)?, groups, filter, n_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.0.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.0.merge_batch(states, groups, n_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// Plans the sum of what is an int4 in Postgres, and kept as an int8 here: constants, as in `sum(CASE WHEN … THEN 1 ELSE 0 END)`, and lengths.
#[derive(Debug)]
pub(in crate::plan) struct SumsOfConstants;

impl ExprPlanner for SumsOfConstants {
    fn plan_aggregate(&self, mut aggregate: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if aggregate.func.name() == NAME {
            aggregate.args = typed(aggregate.args);
        }
        Ok(PlannerResult::Original(aggregate))
    }

    fn plan_window(&self, mut window: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if window.func_def.name() == NAME {
            window.args = typed(window.args);
        }
        Ok(PlannerResult::Original(window))
    }
}

fn typed(arguments: Vec<Expr>) -> Vec<Expr> {
    arguments.into_iter().map(|of| if is_int4(&of) == Some(true) { cast(of, DataType::Int32) } else { of }).collect()
}

/// Functions that give an int4 in Postgres, and that no list and no text is too long for.
const LENGTHS: [&str; 9] =
    ["cardinality", "array_length", "array_position", "character_length", "octet_length", "bit_length", "strpos", "ascii", "count_objects"];

/// Whether an expression gives nothing but lengths, and constants that fit an int4; None for NULL.
fn is_int4(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(i32::try_from(*value).is_ok()),
        Expr::Literal(ScalarValue::Null, _) => None,
        Expr::Negative(of) => is_int4(of),
        Expr::ScalarFunction(call) if call.func.name() == "coalesce" => call.args.iter().filter_map(is_int4).reduce(|a, b| a && b),
        Expr::ScalarFunction(call) => Some(LENGTHS.contains(&call.func.name())),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let values = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            values.filter_map(|value| is_int4(value)).reduce(|a, b| a && b)
        }
        _ => Some(false),
    }
}
