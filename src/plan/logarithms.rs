//! `ln`, `log` and `exp` that err as in Postgres: there is no logarithm of zero (2201E), and what has no room is no infinity (22003).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use crate::error::Error;

/// The functions, in place of DataFusion's of the same names.
pub(super) fn functions() -> [Arc<ScalarUDF>; 5] {
    [math::ln(), math::log(), math::log10(), math::log2(), math::exp()]
        .map(|inner| Arc::new(ScalarUDF::new_from_impl(Checked { grows: inner.name() == "exp", inner })))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    inner: Arc<ScalarUDF>,
    /// Whether it is the exponential, and no logarithm.
    grows: bool,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = ColumnarValue::values_to_arrays(&args.args)?;
        if !self.grows {
            // The base of log(base, x) has a logarithm too.
            let rows = given.first().map_or(0, |values| values.len());
            let known: Vec<bool> = (0..rows).map(|row| given.iter().all(|values| values.is_valid(row))).collect();
            given.iter().try_for_each(|values| positive(values, &known))?;
        }
        let found = self.inner.invoke_with_args(args)?;
        if self.grows
            && let Some(given) = given.first()
        {
            let n_rows = given.len();
            finite(&found.to_array(n_rows)?, given)?;
        }
        Ok(found)
    }
}

/// Errs for a logarithm that there is not; in a row where anything is NULL none is asked for.
fn positive(values: &ArrayRef, known: &[bool]) -> Result<()> {
    let values = cast_array(values, &DataType::Float64)?;
    for (value, _) in values.as_primitive::<Float64Type>().iter().zip(known).filter(|(_, known)| **known) {
        let Some(value) = value else { continue };
        let of = match value {
            0.0 => "zero",
            value if value < 0.0 => "a negative number",
            _ => continue,
        };
        return Err(Error::Encode { code: "2201E", message: format!("cannot take logarithm of {of}") }.into());
    }
    Ok(())
}

fn finite(found: &ArrayRef, given: &ArrayRef) -> Result<()> {
    let (found, given) = (cast_array(found, &DataType::Float64)?, cast_array(given, &DataType::Float64)?);
    for (found, given) in found.as_primitive::<Float64Type>().iter().zip(given.as_primitive::<Float64Type>()) {
        if let (Some(found), Some(given)) = (found, given)
            && given.is_finite()
            && (found.is_infinite() || found == 0.0)
        {
            let which = if found == 0.0 { "underflow" } else { "overflow" };
            return Err(Error::Encode { code: "22003", message: format!("value out of range: {which}") }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Float64Array;

    use super::*;

    fn floats(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    #[test]
    fn what_has_no_answer_is_an_error() {
        assert!(positive(&floats(&[1.0, f64::NAN, f64::INFINITY]), &[true; 3]).is_ok());
        assert!(positive(&floats(&[1.0, 0.0]), &[true; 2]).unwrap_err().to_string().contains("logarithm of zero"));
        assert!(positive(&floats(&[-1.0]), &[true]).unwrap_err().to_string().contains("a negative number"));
        assert!(positive(&floats(&[-1.0]), &[false]).is_ok());
        assert!(finite(&floats(&[f64::INFINITY]), &floats(&[f64::INFINITY])).is_ok());
        assert!(finite(&floats(&[f64::INFINITY]), &floats(&[1000.0])).unwrap_err().to_string().contains("overflow"));
    }
}
