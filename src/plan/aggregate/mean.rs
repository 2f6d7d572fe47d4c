//! `avg` of numerics with sixteen digits behind the point, of two means as near the one further from zero, as in Postgres; DataFusion's has four more than its
//! values, and cuts the rest.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use super::intervals::{What, over};
use crate::error::Error;
use crate::plan::number::numerics::{QUOTIENT, has_room, quotient};

/// The function, in place of DataFusion's of that name.
pub(super) fn function() -> Arc<AggregateUDF> {
    over(Mean { inner: Avg::new() }, What::Average)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mean {
    /// Means of everything else than numerics.
    inner: Avg,
}

impl AggregateUDFImpl for Mean {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Decimal128(_, scale)] => Ok(DataType::Decimal128(37, (*scale).max(QUOTIENT))),
            types => self.inner.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (args.expr_fields.first().map(|field| field.data_type()), args.return_field.data_type()) {
            (Some(DataType::Decimal128(_, from)), DataType::Decimal128(_, to)) => {
                Ok(Box::new(Numerics { sum: 0, n: 0, scales: (*from, *to), distinct: args.is_distinct.then(HashMap::new) }))
            }
            _ => self.inner.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let Some(DataType::Decimal128(_, scale)) = args.input_fields.first().map(|field| field.data_type()) else {
            return self.inner.state_fields(args);
        };
        let sum = DataType::Decimal128(38, *scale);
        let named = |name: &str, of: DataType| Arc::new(Field::new(format_state_name(args.name, name), of, true));
        if args.is_distinct {
            return Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "values"), Field::new_list_field(sum, true), true))]);
        }
        Ok(vec![named("sum", sum), named("count", DataType::Int64)])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !matches!(args.return_field.data_type(), DataType::Decimal128(..)) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Decimal128(..) => self.accumulator(args),
            _ => self.inner.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The numerics that came.
#[derive(Debug)]
struct Numerics {
    sum: i128,
    n: i64,
    /// Digits behind the point of a value, and of the mean.
    scales: (i8, i8),
    /// With DISTINCT how often each value is there.
    distinct: Option<HashMap<i128, u64>>,
}

impl Numerics {
    fn add(&mut self, value: i128) -> Result<()> {
        if let Some(values) = &mut self.distinct {
            let times = values.entry(value).or_default();
            *times += 1;
            if *times > 1 {
                return Ok(());
            }
        }
        self.total(value, 1)
    }

    fn take_back(&mut self, value: i128) -> Result<()> {
        if let Some(values) = &mut self.distinct
            && let Some(times) = values.get_mut(&value)
        {
            *times -= 1;
            if *times > 0 {
                return Ok(());
            }
            values.remove(&value);
        }
        self.total(-value, -1)
    }

    fn total(&mut self, value: i128, n: i64) -> Result<()> {
        self.sum = self.sum.checked_add(value).ok_or_else(overflow)?;
        self.n += n;
        Ok(())
    }
}

fn overflow() -> Error {
    Error::Encode { code: "22003", message: "numeric field overflow".into() }
}

fn decimals(columns: &[ArrayRef]) -> Result<impl Iterator<Item = i128> + '_> {
    let column = columns.first().and_then(|c| c.as_primitive_opt::<Decimal128Type>());
    Ok(column.ok_or_else(|| internal_datafusion_err!("a mean of numerics over others"))?.iter().flatten())
}

impl Accumulator for Numerics {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        decimals(values)?.try_for_each(|value| self.add(value))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        decimals(values)?.try_for_each(|value| self.take_back(value))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (from, to) = self.scales;
        let mean =
            || quotient(self.sum, i128::from(self.n), i32::from(to) - i32::from(from)).filter(|mean| has_room(*mean)).ok_or_else(overflow);
        Ok(ScalarValue::Decimal128((self.n > 0).then(mean).transpose()?, 37, to))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.distinct.as_ref().map_or(0, |values| values.capacity() * size_of::<(i128, u64)>())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = |value: i128| ScalarValue::Decimal128(Some(value), 38, self.scales.0);
        Ok(match &self.distinct {
            Some(values) => {
                let values: Vec<ScalarValue> = values.keys().map(|value| sum(*value)).collect();
                vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Decimal128(38, self.scales.0)))]
            }
            None => vec![sum(self.sum), ScalarValue::Int64(Some(self.n))],
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if self.distinct.is_some() {
            let lists = states.first().and_then(|c| c.as_list_opt::<i32>());
            let lists = lists.ok_or_else(|| internal_datafusion_err!("the state of a distinct mean is a list"))?;
            return lists.iter().flatten().try_for_each(|list| self.update_batch(&[list]));
        }
        let [sums, counts] = states else { return internal_err!("the state of a mean is a sum and a count") };
        let sums = sums.as_primitive_opt::<Decimal128Type>().ok_or_else(|| internal_datafusion_err!("the sum of a mean is a numeric"))?;
        let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(|| internal_datafusion_err!("the count of a mean is a number"))?;
        for (sum, n) in sums.iter().zip(counts) {
            if let (Some(sum), Some(n)) = (sum, n) {
                self.total(sum, n)?;
            }
        }
        Ok(())
    }
}
