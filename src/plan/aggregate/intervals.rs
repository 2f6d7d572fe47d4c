//! `sum` and `avg` of intervals, part by part, and `min` and `max` by how long they are, as in Postgres; DataFusion has none of the first two, and of the others
//! compares the months alone.

use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{ScalarValue, internal_datafusion_err, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs, TypeSignature, TypeSignatureClass, Volatility,
};

use crate::error::Error;
use crate::plan::time::interval::{length_us, scaled};

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// An aggregate that has intervals, too.
pub(super) fn over<F: AggregateUDFImpl + Eq + std::hash::Hash + 'static>(inner: F, what: What) -> Arc<AggregateUDF> {
    let mut signatures = match &inner.signature().type_signature {
        TypeSignature::OneOf(signatures) => signatures.clone(),
        one => vec![one.clone()],
    };
    // The last, so that what was any of the others stays it.
    signatures.push(TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Interval)]));
    let own = !matches!(inner.signature().type_signature, TypeSignature::UserDefined);
    let signature = if own { Signature::one_of(signatures, Volatility::Immutable) } else { inner.signature().clone() };
    Arc::new(AggregateUDF::new_from_impl(OverIntervals { inner, what, signature }))
}

/// What an aggregate makes of intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Sum,
    Average,
    Least,
    Greatest,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OverIntervals<F> {
    /// That of everything else.
    inner: F,
    what: What,
    signature: Signature,
}

fn is_span(of: &DataType) -> bool {
    matches!(of, DataType::Interval(_))
}

impl<F: AggregateUDFImpl + Eq + std::hash::Hash> AggregateUDFImpl for OverIntervals<F> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.iter().any(is_span) { Ok(SPAN) } else { self.inner.return_type(types) }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !is_span(args.return_field.data_type()) {
            return self.inner.accumulator(args);
        }
        if args.is_distinct && matches!(self.what, What::Sum | What::Average) {
            return not_impl_err!("{}(DISTINCT interval)", self.inner.name());
        }
        Ok(Box::new(Spans { what: self.what, so_far: None, n: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_span(args.return_type()) {
            return self.inner.state_fields(args);
        }
        let field = |name: &str, of: DataType| Arc::new(Field::new(format_state_name(args.name, name), of, true));
        Ok(vec![field("so far", SPAN), field("count", DataType::Int64)])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_span(args.return_field.data_type()) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_span(args.return_field.data_type()) { self.accumulator(args) } else { self.inner.create_sliding_accumulator(args) }
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
        if is_span(args.return_type) { None } else { self.inner.value_from_stats(args) }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The intervals that came.
#[derive(Debug)]
struct Spans {
    what: What,
    /// Their sum, or the one that is asked for.
    so_far: Option<IntervalMonthDayNano>,
    n: i64,
}

impl Spans {
    fn add(&mut self, span: IntervalMonthDayNano, n: i64) -> Result<()> {
        self.n += n;
        let Some(so_far) = self.so_far else {
            self.so_far = Some(span);
            return Ok(());
        };
        self.so_far = match self.what {
            What::Sum | What::Average => Some(together(so_far, span, 1)?),
            What::Least => Some(if length_us(span) < length_us(so_far) { span } else { so_far }),
            What::Greatest => Some(if length_us(span) > length_us(so_far) { span } else { so_far }),
        };
        Ok(())
    }
}

/// The sum, or with a sign of -1 the difference. Errs (22008) where it has no room.
fn together(a: IntervalMonthDayNano, b: IntervalMonthDayNano, sign: i32) -> Result<IntervalMonthDayNano> {
    let sum = || {
        Some(IntervalMonthDayNano {
            months: a.months.checked_add(b.months.checked_mul(sign)?)?,
            days: a.days.checked_add(b.days.checked_mul(sign)?)?,
            nanoseconds: a.nanoseconds.checked_add(b.nanoseconds.checked_mul(i64::from(sign))?)?,
        })
    };
    sum().ok_or_else(|| out_of_range().into())
}

fn out_of_range() -> Error {
    Error::Data { code: "22008", message: "interval out of range".into(), detail: None }
}

fn spans(columns: &[ArrayRef]) -> Result<impl Iterator<Item = Option<IntervalMonthDayNano>> + '_> {
    let column = columns.first().and_then(|c| c.as_primitive_opt::<IntervalMonthDayNanoType>());
    Ok(column.ok_or_else(|| internal_datafusion_err!("an aggregate of intervals over others"))?.iter())
}

impl Accumulator for Spans {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        spans(values)?.flatten().try_for_each(|span| self.add(span, 1))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for span in spans(values)?.flatten() {
            self.n -= 1;
            self.so_far = match self.so_far.filter(|_| self.n > 0) {
                Some(so_far) => Some(together(so_far, span, -1)?),
                None => None,
            };
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        matches!(self.what, What::Sum | What::Average)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let given = match (self.what, self.so_far) {
            (What::Average, Some(sum)) => Some(scaled(sum, |part| part / self.n as f64).ok_or_else(out_of_range)?),
            (_, so_far) => so_far,
        };
        Ok(ScalarValue::IntervalMonthDayNano(given))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::IntervalMonthDayNano(self.so_far), ScalarValue::Int64(Some(self.n))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states.get(1).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let counts = counts.ok_or_else(|| internal_datafusion_err!("the state of an aggregate of intervals has a count"))?;
        for (span, n) in spans(states)?.zip(counts) {
            if let Some(span) = span {
                self.add(span, n.unwrap_or(0))?;
            }
        }
        Ok(())
    }
}
