//! Functions that tell of the server and of values as SQL: since when it runs, the numbers of transactions, sizes, quoted literals.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;

use super::functions::constant;
use crate::clock;
use crate::error::Error;

/// When the listener began, and how many transactions have asked for a number.
pub(super) struct Life {
    began_us: i64,
    transactions: AtomicI64,
}

impl Default for Life {
    fn default() -> Life {
        // As in Postgres, the first numbers are not given to anybody.
        Life { began_us: clock::now_us(), transactions: AtomicI64::new(2) }
    }
}

/// Registers them.
pub(super) fn register(context: &SessionContext, life: &Arc<Life>) {
    for name in ["pg_postmaster_start_time", "pg_conf_load_time"] {
        context.register_udf(constant(name, ScalarValue::TimestampMicrosecond(Some(life.began_us), Some("UTC".into()))));
    }
    // Clients come by TCP, but nothing about their addresses is kept.
    for name in ["inet_server_addr", "inet_client_addr"] {
        context.register_udf(constant(name, ScalarValue::Utf8(None)));
    }
    for name in ["inet_server_port", "inet_client_port"] {
        context.register_udf(constant(name, ScalarValue::Int32(None)));
    }
    for name in ["txid_current", "pg_current_xact_id"] {
        let held = Arc::clone(life);
        let next = move |_: &[ColumnarValue]| {
            let number = held.transactions.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(number))))
        };
        let signature = Signature::new(TypeSignature::Nullary, Volatility::Volatile);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Int64, Arc::new(next)).into());
    }
    for name in ["txid_current_if_assigned", "pg_current_xact_id_if_assigned"] {
        context.register_udf(constant(name, ScalarValue::Int64(None)));
    }
    for udf in [
        of_one(XID_AGE, DataType::Int32, age),
        of_one("pg_size_pretty", DataType::Utf8, sizes),
        of_one("quote_literal", DataType::Utf8, |values| quoted(values, None)),
        of_one("quote_nullable", DataType::Utf8, |values| quoted(values, Some("NULL"))),
    ] {
        context.register_udf(udf);
    }
}

fn of_one(name: &str, data_type: DataType, answer: fn(&ArrayRef) -> Result<ArrayRef>) -> ScalarUDF {
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(first) = arrays.first() else { return exec_err!("a value is needed") };
        Ok(ColumnarValue::Array(answer(first)?))
    };
    let signature = Signature::new(TypeSignature::Any(1), Volatility::Stable);
    SimpleScalarUDF::new_with_signature(name, signature, data_type, Arc::new(answer)).into()
}

/// What `age` of one argument becomes.
pub(in crate::wire) const XID_AGE: &str = "pg_xid_age";

/// How many transactions ago one was: no row here is of an old one. Of a moment it is what framesql has not.
fn age(values: &ArrayRef) -> Result<ArrayRef> {
    if !values.data_type().is_integer() && !values.data_type().is_null() {
        let hint = "Subtract one moment from another: now() - at.";
        return Err(DataFusionError::from(Error::unsupported("age() of anything but a transaction", hint)));
    }
    Ok(Arc::new((0..values.len()).map(|row| values.is_valid(row).then_some(0)).collect::<Int32Array>()))
}

fn sizes(values: &ArrayRef) -> Result<ArrayRef> {
    let sizes: ArrayRef = cast(values, &DataType::Int64)?;
    let sizes: &Int64Array = sizes.as_primitive::<Int64Type>();
    Ok(Arc::new(sizes.iter().map(|size| size.map(size_pretty)).collect::<StringArray>()))
}

/// A size in the unit in which it is a number of few digits, as Postgres chooses and rounds it.
fn size_pretty(bytes: i64) -> String {
    /// Each is taken up to 10240 of it.
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes.unsigned_abs() < 10 * 1024 {
        return format!("{bytes} bytes");
    }
    // In halves, so that the last step rounds.
    let mut halves = bytes / 512;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if halves.unsigned_abs() < 20 * 1024 - 1 {
            break;
        }
        halves /= 1024;
        unit = next;
    }
    format!("{} {unit}", (halves + halves.signum()) / 2)
}

/// Values as literals; NULL as it is told.
fn quoted(values: &ArrayRef, null: Option<&str>) -> Result<ArrayRef> {
    let texts = cast(values, &DataType::Utf8)?;
    let one = |text: Option<&str>| text.map(literal).or_else(|| null.map(str::to_owned));
    Ok(Arc::new(texts.as_string::<i32>().iter().map(one).collect::<StringArray>()))
}

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_literals_are_those_of_postgres() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_240, "-10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (20_970_000, "20 MB"),
            (1_610_612_736, "1536 MB"),
            (i64::MAX, "8192 PB"),
            (i64::MIN, "-8192 PB"),
        ] {
            assert_eq!(size_pretty(bytes), text, "{bytes}");
        }
        assert_eq!((literal("it's"), literal("a\\b")), ("'it''s'".to_owned(), "E'a\\\\b'".to_owned()));
    }
}
