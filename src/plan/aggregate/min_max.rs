//! `min` and `max` of floats for which NaN is greater than everything else, as in Postgres; DataFusion's own, by groups, hang on the order of the rows
//! where one is NaN, and know no infinity.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{ScalarValue, internal_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};

use super::intervals::{What, over};

/// The two functions, in place of DataFusion's of those names.
pub(super) fn functions() -> [Arc<AggregateUDF>; 2] {
    [over(Extreme { inner: Min::new(), greatest: false }, What::Least), over(Extreme { inner: Max::new(), greatest: true }, What::Greatest)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme<F> {
    /// That of everything else than floats.
    inner: F,
    /// Whether it is the greatest that is asked for.
    greatest: bool,
}

impl<F: AggregateUDFImpl + Eq + std::hash::Hash> AggregateUDFImpl for Extreme<F> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if let Some(of) = types.iter().find(|of| has_record(of)) {
            // No order is known of records, and DataFusion finds that out at the first two.
            return plan_err!("[return_type] {} not supported for {of}", self.inner.name());
        }
        self.inner.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match (args.return_field.data_type(), self.greatest) {
            (DataType::Float32, true) => Box::new(Groups::<Float32Type>::of(|new, old| new > old || new.is_nan())),
            (DataType::Float32, false) => Box::new(Groups::<Float32Type>::of(|new, old| new < old || old.is_nan())),
            (DataType::Float64, true) => Box::new(Groups::<Float64Type>::of(|new, old| new > old || new.is_nan())),
            (DataType::Float64, false) => Box::new(Groups::<Float64Type>::of(|new, old| new < old || old.is_nan())),
            _ => return self.inner.create_groups_accumulator(args),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        // What a file says of its columns leaves NaN out.
        if args.return_type.is_floating() { None } else { self.inner.value_from_stats(args) }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

fn has_record(of: &DataType) -> bool {
    match of {
        DataType::Struct(_) => true,
        DataType::List(element) | DataType::LargeList(element) => has_record(element.data_type()),
        _ => false,
    }
}

/// The extremes of all groups.
struct Groups<T: ArrowPrimitiveType> {
    /// None of a group without a value.
    values: Vec<Option<T::Native>>,
    /// Whether a value takes the place of the one that is known.
    replaces: fn(T::Native, T::Native) -> bool,
}

impl<T: ArrowPrimitiveType> Groups<T> {
    fn of(replaces: fn(T::Native, T::Native) -> bool) -> Groups<T> {
        Groups { values: Vec::new(), replaces }
    }

    fn add(&mut self, group: usize, new: T::Native) {
        if let Some(known) = self.values.get_mut(group)
            && known.is_none_or(|old| (self.replaces)(new, old))
        {
            *known = Some(new);
        }
    }
}

fn values_of<T: ArrowPrimitiveType>(columns: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    let column = columns.first().and_then(|c| c.as_primitive_opt::<T>());
    column.ok_or_else(|| internal_datafusion_err!("the argument of min and max is of another type than the result"))
}

impl<T: ArrowPrimitiveType + Send> GroupsAccumulator for Groups<T> {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, n_groups: usize) -> Result<()> {
        let values = values_of::<T>(values)?;
        self.values.resize(n_groups, None);
        for (row, (group, value)) in groups.iter().zip(values).enumerate() {
            if let Some(value) = value
                && filter.is_none_or(|f| f.is_valid(row) && f.value(row))
            {
                self.add(*group, value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(emit_to.take_needed(&mut self.values).into_iter().collect::<PrimitiveArray<T>>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.update_batch(states, groups, None, n_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let passing = |row: usize| filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let values = values_of::<T>(values)?.iter().enumerate().map(|(row, value)| value.filter(|_| passing(row)));
        Ok(vec![Arc::new(values.collect::<PrimitiveArray<T>>())])
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<T::Native>>()
    }
}
