//! `ln`, `log` and `exp` that err as in Postgres: there is no logarithm of zero (2201E), and what has no room is no infinity (22003).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::ScalarUDF;

use crate::error::Error;
use crate::plan::guarded::{Guard, guarded};

/// The functions, in place of DataFusion's of the same names.
pub(super) fn functions() -> [Arc<ScalarUDF>; 5] {
    let logarithms = [math::ln(), math::log(), math::log10(), math::log2()].map(|inner| guarded(inner, Logarithm));
    let [ln, log, log10, log2] = logarithms;
    [ln, log, log10, log2, guarded(math::exp(), Exponential)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Logarithm;

impl Guard for Logarithm {
    fn before(&self, _: &str, given: &[ArrayRef]) -> Result<()> {
        // The base of log(base, x) has a logarithm too.
        let rows = given.first().map_or(0, |values| values.len());
        let known: Vec<bool> = (0..rows).map(|row| given.iter().all(|values| values.is_valid(row))).collect();
        given.iter().try_for_each(|values| positive(values, &known))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exponential;

impl Guard for Exponential {
    fn after(&self, found: &ArrayRef, given: &[ArrayRef]) -> Result<()> {
        given.first().map_or(Ok(()), |given| finite(found, given))
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
