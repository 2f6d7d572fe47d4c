//! Aggregates over frames that move, which no row can be taken back from: as in Postgres they are worked out afresh for each row. DataFusion takes a
//! float off a sum that it was added to, so that a NaN stays in it for ever and a large one leaves a rest; of most other aggregates it has no such frames.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunctionParams;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, LogicalPlan, Signature, WindowFrameBound, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use crate::plan::each;

/// The rule; it stands behind those that find types.
#[derive(Debug)]
pub(in crate::plan) struct MovingFrames;

impl AnalyzerRule for MovingFrames {
    fn name(&self) -> &str {
        "moving_frames"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            if !matches!(plan, LogicalPlan::Window(_)) {
                return Ok(Transformed::no(plan));
            }
            each::of_node(plan, moving)
        })?;
        Ok(rewritten.data)
    }
}

fn moving(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(call) = &mut e else { return Ok(Transformed::no(e)) };
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else { return Ok(Transformed::no(e)) };
    let unbounded = matches!(&call.params.window_frame.start_bound, WindowFrameBound::Preceding(start) if start.is_null());
    let types = call.params.args.iter().map(|argument| counted(argument).get_type(schema)).collect::<Result<Vec<_>>>()?;
    if unbounded || function.inner().is::<Moving>() || takes_back(function.name(), call.params.distinct, &types) {
        return Ok(Transformed::no(e));
    }
    call.fun = WindowFunctionDefinition::AggregateUDF(of(function));
    Ok(Transformed::yes(e))
}

/// What an argument is before it was made a float for the aggregate, as `avg` has it: sums of whole numbers are exact in floats, too.
fn counted(argument: &Expr) -> &Expr {
    match argument {
        Expr::Cast(cast) => &cast.expr,
        other => other,
    }
}

/// Whether DataFusion's own takes a row back and is then as if it had never been there.
fn takes_back(name: &str, distinct: bool, types: &[DataType]) -> bool {
    match name {
        "count" => true,
        "min" | "max" => !distinct && !types.iter().any(|of| matches!(of, DataType::Interval(_))),
        "sum" | "avg" => !distinct && !types.iter().any(DataType::is_floating),
        _ => false,
    }
}

/// The name that a query calls an aggregate by, of one for frames that move, too.
pub(in crate::plan) fn called(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// What no name of a query begins with.
const PREFIX: &str = "moving ";

/// The aggregate for frames that move; no query names it, so no session has it.
pub fn of(inner: &Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Moving { name: format!("{PREFIX}{}", inner.name()), inner: Arc::clone(inner) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moving {
    /// A name that no query can say, by which a plan that was written down is read back.
    name: String,
    inner: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Moving {
    fn name(&self) -> &str {
        &self.name
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let afresh = Afresh {
            function: Arc::clone(&self.inner),
            return_field: args.return_field,
            schema: args.schema.clone(),
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
            rows: Vec::new(),
        };
        // What it cannot do it says before the first row.
        afresh.accumulator()?;
        Ok(Box::new(afresh))
    }
}

/// The rows of the frame, and what makes an accumulator for them.
#[derive(Debug)]
struct Afresh {
    function: Arc<AggregateUDF>,
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
    /// The arguments of the rows, in pieces as they came.
    rows: Vec<Vec<ArrayRef>>,
}

impl Afresh {
    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}

fn n_rows(piece: &[ArrayRef]) -> usize {
    piece.first().map_or(0, |column| column.len())
}

impl Accumulator for Afresh {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if n_rows(values) > 0 {
            self.rows.push(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut n_gone = n_rows(values);
        let mut whole = 0;
        for piece in &mut self.rows {
            let n = n_rows(piece);
            if n > n_gone {
                piece.iter_mut().for_each(|column| *column = column.slice(n_gone, n - n_gone));
                break;
            }
            n_gone -= n;
            whole += 1;
        }
        self.rows.drain(..whole);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.accumulator()?;
        if let [first, _, ..] = self.rows.as_slice() {
            let column = |at: usize| {
                let pieces: Vec<&dyn Array> = self.rows.iter().filter_map(|piece| piece.get(at)).map(AsRef::as_ref).collect();
                concat(&pieces)
            };
            // One piece from here on: the next row brings one more, and not all again.
            self.rows = vec![(0..first.len()).map(column).collect::<Result<_, _>>()?];
        }
        if let Some(rows) = self.rows.first() {
            accumulator.update_batch(rows)?;
        }
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.iter().flatten().map(|column| column.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame that moves has no state")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("a frame that moves has no state")
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;
    use datafusion::functions_aggregate::average::avg_udaf;
    use datafusion::functions_aggregate::bool_and_or::bool_or_udaf;
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::expr::WindowFunction;
    use datafusion::logical_expr::{WindowFrame, WindowFrameUnits, cast};
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn only_what_cannot_take_a_row_back_is_worked_out_afresh() {
        let fields =
            [("n", DataType::Int64), ("x", DataType::Float64), ("b", DataType::Boolean)].map(|(name, of)| Field::new(name, of, true));
        let schema = DFSchema::try_from(Schema::new(fields.to_vec())).unwrap();
        let afresh = |function: Arc<AggregateUDF>, argument: Expr, start: Option<u64>| {
            let bound = |n| WindowFrameBound::Preceding(ScalarValue::UInt64(n));
            let mut call = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(function), vec![argument]);
            call.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Rows, bound(start), WindowFrameBound::CurrentRow);
            moving(Expr::WindowFunction(Box::new(call)), &schema).unwrap().transformed
        };
        assert!(
            afresh(sum_udaf(), col("x"), Some(1)) && afresh(avg_udaf(), col("x"), Some(1)) && afresh(bool_or_udaf(), col("b"), Some(1))
        );
        assert!(!afresh(sum_udaf(), col("n"), Some(1)) && !afresh(avg_udaf(), cast(col("n"), DataType::Float64), Some(1)));
        // A frame from the first row on loses none.
        assert!(!afresh(sum_udaf(), col("x"), None));
    }
}
