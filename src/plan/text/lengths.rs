//! `repeat`, `lpad`, `rpad` and `replace` that err where their text would be longer than Postgres lets one be (54000); DataFusion's own take the memory first.

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
pub(super) fn functions() -> [Arc<ScalarUDF>; 4] {
    let replace = guarded(string::replace(), Replaced);
    let [repeat, lpad, rpad] = [string::repeat(), unicode::lpad(), unicode::rpad()].map(|inner| guarded(inner, Length));
    [repeat, lpad, rpad, replace]
}

/// The bytes of the texts of a batch, one after the other.
#[derive(Default)]
pub(super) struct Lengths {
    sum: u64,
}

impl Lengths {
    /// Errs for a text that is too long by itself, or beside those before it: those of one batch stand in one buffer of Arrow's, whose offsets have
    /// 31 bits.
    pub(super) fn add(&mut self, n_bytes: u64) -> Result<()> {
        self.sum = self.sum.saturating_add(n_bytes);
        if n_bytes > MOST_BYTES || self.sum > i32::MAX as u64 {
            return Err(Error::Encode { code: "54000", message: "requested length too large".into() }.into());
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length;

impl Guard for Length {
    fn before(&self, function: &str, given: &[ArrayRef]) -> Result<()> {
        let [text, n, ..] = given else { return Ok(()) };
        let (texts, n) = (cast(text, &DataType::Utf8)?, cast(n, &DataType::Int64)?);
        let mut lengths = Lengths::default();
        for (text, n) in texts.as_string::<i32>().iter().zip(n.as_primitive::<Int64Type>()) {
            let (Some(text), Some(n)) = (text, n.and_then(|n| u64::try_from(n).ok())) else { continue };
            // Of lpad and rpad the least that it can be: as many characters.
            lengths.add(if function == "repeat" { n.saturating_mul(text.len() as u64) } else { n })?;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Replaced;

impl Guard for Replaced {
    fn before(&self, _: &str, given: &[ArrayRef]) -> Result<()> {
        let [text, from, by] = given else { return Ok(()) };
        let [texts, from, by] = [cast(text, &DataType::Utf8)?, cast(from, &DataType::Utf8)?, cast(by, &DataType::Utf8)?];
        let rows = || texts.as_string::<i32>().iter().zip(from.as_string::<i32>()).zip(by.as_string::<i32>());
        let longest = |text: &str, from: &str| text.len().checked_div(from.len()).unwrap_or(0);
        // The texts are gone through only where what is asked for could be too long, which it hardly ever is.
        if added(rows(), longest).is_ok() { Ok(()) } else { added(rows(), |text, from| text.matches(from).count()) }
    }
}

/// Errs where the texts, with so many places each in which another stands, would be too long.
fn added<'a>(
    rows: impl Iterator<Item = ((Option<&'a str>, Option<&'a str>), Option<&'a str>)>,
    n_places: impl Fn(&str, &str) -> usize,
) -> Result<()> {
    let mut lengths = Lengths::default();
    for ((text, from), by) in rows {
        let (Some(text), Some(from), Some(by)) = (text, from, by) else { continue };
        let longer = by.len().saturating_sub(from.len());
        let n = if longer == 0 || from.is_empty() { 0 } else { n_places(text, from) };
        lengths.add(text.len().saturating_add(n.saturating_mul(longer)) as u64)?;
    }
    Ok(())
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

    #[test]
    fn what_is_replaced_is_counted_where_it_could_be_too_long() {
        let replaced = |text: &str, from: &str, by: &str| {
            let given = [text, from, by].map(|one| Arc::new(StringArray::from(vec![one])) as ArrayRef);
            Replaced.before("replace", &given)
        };
        let (many, long) = ("x".repeat(1 << 15), "y".repeat(1 << 16));
        assert!(replaced(&many, "x", &long).is_err());
        assert!(replaced(&many, "z", &long).is_ok() && replaced(&many, "", &long).is_ok() && replaced(&many, "x", "yz").is_ok());
        // Together they could be too long, and are not.
        let rows: [ArrayRef; 3] = [many.as_str(), "z", &long[..1 << 10]].map(|one| Arc::new(StringArray::from(vec![one; 100])) as ArrayRef);
        assert!(Replaced.before("replace", &rows).is_ok());
    }
}
