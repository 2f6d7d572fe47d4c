//! `sum` of bigint that is exact: it errs when the sum has no room (22003), whatever the order of the rows; DataFusion's own wraps around in silence.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use super::intervals::{What, over};

/// A sum on its way: 2^64 rows of 2^63 each still fit.
const STATE: DataType = DataType::Decimal128(38, 0);

/// The function, in place of DataFusion's of that name.
pub(super) fn function() -> Arc<AggregateUDF> {
    over(ExactSum { inner: Sum::new() }, What::Sum)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    /// Sums of everything else than bigint.
    inner: Sum,
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (args.return_field.data_type(), args.is_distinct) {
            (DataType::Int64, false) => Ok(Box::new(One::default())),
            (DataType::Int64, true) => Ok(Box::new(Distinct::default())),
            _ => self.inner.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match (args.return_type(), args.is_distinct) {
            (DataType::Int64, false) => Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), STATE, true))]),
            _ => self.inner.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 => Ok(Box::new(Groups::default())),
            _ => self.inner.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 => self.accumulator(args),
            _ => self.inner.create_sliding_accumulator(args),
        }
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

/// The sum as SQL gives it.
fn bigint(sum: i128) -> Result<i64> {
    i64::try_from(sum).map_err(|_| ArrowError::ArithmeticOverflow("bigint out of range".into()).into())
}

fn values_of(columns: &[ArrayRef]) -> Result<&Int64Array> {
    let column = columns.first().and_then(|c| c.as_primitive_opt::<Int64Type>());
    column.ok_or_else(|| internal_datafusion_err!("the argument of sum is bigint"))
}

fn sums_of(columns: &[ArrayRef]) -> Result<&Decimal128Array> {
    let column = columns.first().and_then(|c| c.as_primitive_opt::<Decimal128Type>());
    column.ok_or_else(|| internal_datafusion_err!("the state of sum is decimal"))
}

fn sum_array(sums: impl Iterator<Item = Option<i128>>) -> Result<ArrayRef> {
    Ok(Arc::new(sums.collect::<Decimal128Array>().with_precision_and_scale(38, 0)?))
}

/// One sum, also of a window whose frame moves on.
#[derive(Debug, Default)]
struct One {
    sum: i128,
    /// Values in it: a sum of none is NULL.
    n_values: u64,
}

impl One {
    fn given(&self) -> Option<i128> {
        (self.n_values > 0).then_some(self.sum)
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values_of(values)?;
        self.sum += values.iter().flatten().map(i128::from).sum::<i128>();
        self.n_values += (values.len() - values.null_count()) as u64;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values_of(values)?;
        self.sum -= values.iter().flatten().map(i128::from).sum::<i128>();
        self.n_values = self.n_values.saturating_sub((values.len() - values.null_count()) as u64);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(self.given().map(bigint).transpose()?))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128(self.given(), 38, 0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for sum in sums_of(states)?.iter().flatten() {
            self.sum += sum;
            self.n_values += 1;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<One>()
    }
}

/// The sum of different values, also of a window whose frame moves on.
#[derive(Debug, Default)]
struct Distinct {
    /// How often each value is there.
    values: HashMap<i64, u64>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values_of(values)?.iter().flatten() {
            *self.values.entry(value).or_default() += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values_of(values)?.iter().flatten() {
            if let Some(n) = self.values.get_mut(&value) {
                *n -= 1;
                if *n == 0 {
                    self.values.remove(&value);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (!self.values.is_empty()).then(|| self.values.keys().copied().map(i128::from).sum::<i128>());
        Ok(ScalarValue::Int64(sum.map(bigint).transpose()?))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.keys().map(|value| ScalarValue::Int64(Some(*value))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Int64))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().and_then(|c| c.as_list_opt::<i32>());
        let lists = lists.ok_or_else(|| internal_datafusion_err!("the state of sum is a list"))?;
        lists.iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn size(&self) -> usize {
        size_of::<Distinct>() + self.values.capacity() * size_of::<(i64, u64)>()
    }
}

/// The sums of all groups.
#[derive(Default)]
struct Groups {
    sums: Vec<Sums>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    sum: i128,
    /// A sum of no values is NULL.
    seen: bool,
}

impl Groups {
    fn add(&mut self, group: usize, value: i128) {
        if let Some(of) = self.sums.get_mut(group) {
            of.sum += value;
            of.seen = true;
        }
    }

    fn taken(&mut self, emit_to: EmitTo) -> impl Iterator<Item = Option<i128>> + use<> {
        emit_to.take_needed(&mut self.sums).into_iter().map(|of| of.seen.then_some(of.sum))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, n_groups: usize) -> Result<()> {
        let values = values_of(values)?;
        self.sums.resize(n_groups, Sums::default());
        if filter.is_none() && values.null_count() == 0 {
            for (group, value) in groups.iter().zip(values.values()) {
                self.add(*group, i128::from(*value));
            }
            return Ok(());
        }
        for (row, (group, value)) in groups.iter().zip(values).enumerate() {
            if let Some(value) = value
                && filter.is_none_or(|f| f.is_valid(row) && f.value(row))
            {
                self.add(*group, i128::from(value));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.taken(emit_to).map(|sum| sum.map(bigint).transpose()).collect::<Result<Int64Array>>()?;
        Ok(Arc::new(sums))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![sum_array(self.taken(emit_to))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.sums.resize(n_groups, Sums::default());
        for (group, sum) in groups.iter().zip(sums_of(states)?) {
            if let Some(sum) = sum {
                self.add(*group, sum);
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let passing = |row: usize| filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let sums = values_of(values)?.iter().enumerate().map(|(row, value)| value.filter(|_| passing(row)).map(i128::from));
        Ok(vec![sum_array(sums)?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Sums>()
    }
}
