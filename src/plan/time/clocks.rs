//! `statement_timestamp()`, when the statement began, and `clock_timestamp()`, what the clock shows: `now()` is when the transaction began.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::clock;
use crate::frame::batch::ts_type;

/// The functions that tell the time: what a continuous query would keep from when it was planned.
pub(in crate::plan) const CLOCKS: [&str; 5] = ["now", "current_date", "current_time", STATEMENT, CLOCK];

const STATEMENT: &str = "statement_timestamp";
const CLOCK: &str = "clock_timestamp";

/// `clock_timestamp()`.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [moment(CLOCK, Volatility::Volatile, clock::now_us)]
}

/// `statement_timestamp()` of a session, which says when its last statement began, in µs.
pub fn of_statement(began_us: Arc<AtomicI64>) -> Arc<ScalarUDF> {
    moment(STATEMENT, Volatility::Stable, move || began_us.load(Ordering::Relaxed))
}

fn moment(name: &str, volatility: Volatility, us: impl Fn() -> i64 + Send + Sync + 'static) -> Arc<ScalarUDF> {
    let tell = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(us()), Some("UTC".into()))));
    Arc::new(create_udf(name, Vec::new(), ts_type(), volatility, Arc::new(tell)))
}
