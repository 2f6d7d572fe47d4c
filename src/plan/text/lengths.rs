//! `repeat`, `lpad` and `rpad` that err where their text would be longer than Postgres lets one be (54000); DataFusion's own take the memory first.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::ScalarUDF;

use crate::error::Error;
use crate::plan::guarded::{Guard, guarded};

/// The most bytes of a value in Postgres: MaxAllocSize of its memutils.h, of which four are the value's header.
const MOST_BYTES: u64 = (1 << 30) - 5;

/// The functions, in place of DataFusion's of the same names.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    [string::repeat(), unicode::lpad(), unicode::rpad()].map(|inner| guarded(inner, Length))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length;

impl Guard for Length {
    fn before(&self, function: &str, given: &[ArrayRef]) -> Result<()> {
        let [text, n, ..] = given else { return Ok(()) };
        let (texts, n) = (cast(text, &DataType::Utf8)?, cast(n, &DataType::Int64)?);
        let mut sum = 0_u64;
        for (text, n) in texts.as_string::<i32>().iter().zip(n.as_primitive::<Int64Type>()) {
            let (Some(text), Some(n)) = (text, n.and_then(|n| u64::try_from(n).ok())) else { continue };
            // Of lpad and rpad the least that it can be: as many characters.
            let n_bytes = if function == "repeat" { n.saturating_mul(text.len() as u64) } else { n };
            sum = sum.saturating_add(n_bytes);
            // Those of one batch stand in one buffer of Arrow's, whose offsets have 31 bits.
            if n_bytes > MOST_BYTES || sum > i32::MAX as u64 {
                return Err(Error::Encode { code: "54000", message: "requested length too large".into() }.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};

    use super::*;

    fn err(function: &str, text: &str, n: &[i64]) -> bool {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text; n.len()]));
        Length.before(function, &[texts, Arc::new(Int64Array::from(n.to_vec()))]).is_err()
    }

    #[test]
    fn a_text_of_a_gigabyte_is_too_long_and_many_are_together() {
        assert!(err("repeat", "ab", &[1 << 29]) && !err("repeat", "a", &[1 << 29]));
        assert!(err("lpad", "ab", &[1 << 30]) && !err("lpad", "ab", &[1 << 29]));
        assert!(err("rpad", "", &[1 << 29; 4]) && !err("rpad", "", &[1 << 29; 3]) && !err("repeat", "ab", &[-1]));
    }
}
