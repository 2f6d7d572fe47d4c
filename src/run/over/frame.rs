//! Which rows the frame of a row holds, as DataFusion finds them in a whole table: from where the frame of the row before began and ended.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::{ScalarValue, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::rows::{Keys, Rows};

/// A frame that ends on both sides.
#[derive(Debug)]
pub(super) struct Frame {
    window: Arc<WindowFrame>,
    /// The zone of the event time's type.
    zone: Option<Arc<str>>,
}

/// A side of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

impl Frame {
    pub(super) fn new(window: Arc<WindowFrame>, zone: Option<Arc<str>>) -> Frame {
        Frame { window, zone }
    }

    /// The numbers of the rows in the frame of a row; `last` are those of a row before it.
    pub(super) fn of(&self, at: usize, last: &Range<usize>, rows: &Rows, keys: &Keys) -> Result<Range<usize>> {
        let (start, end) = (&self.window.start_bound, &self.window.end_bound);
        let (start, end) = match self.window.units {
            WindowFrameUnits::Rows => (counted(start, at)?, counted(end, at + 1)?.min(rows.end())),
            WindowFrameUnits::Range => {
                (self.timed(start, Side::Start, at, last.start, rows, keys)?, self.timed(end, Side::End, at, last.end, rows, keys)?)
            }
            WindowFrameUnits::Groups => return internal_err!("a frame of GROUPS in a continuous query"),
        };
        let start = start.min(rows.end());
        Ok(start..end.max(start))
    }

    /// The number of the first row that is behind the bound, where no row before `from` is.
    fn timed(&self, bound: &WindowFrameBound, side: Side, at: usize, from: usize, rows: &Rows, keys: &Keys) -> Result<usize> {
        let us = rows.time_us(at);
        let (us, peer) = match bound {
            WindowFrameBound::CurrentRow => (us, Some(at)),
            WindowFrameBound::Preceding(offset) => match self.time(us).sub_checked(offset) {
                Ok(time) => (microseconds(&time)?, None),
                // Before all times there are.
                Err(_) => return Ok(from),
            },
            WindowFrameBound::Following(offset) => match self.time(us).add_checked(offset) {
                Ok(time) => (microseconds(&time)?, None),
                Err(_) => return Ok(rows.end()),
            },
        };
        let mut number = from.max(rows.first());
        while number < rows.end() {
            let order = rows.compare(number, us, peer, keys)?;
            if order.is_gt() || side == Side::Start && order.is_eq() {
                break;
            }
            number += 1;
        }
        Ok(number)
    }

    fn time(&self, us: i64) -> ScalarValue {
        ScalarValue::TimestampMicrosecond(Some(us), self.zone.clone())
    }
}

fn microseconds(time: &ScalarValue) -> Result<i64> {
    match time {
        ScalarValue::TimestampMicrosecond(Some(us), _) => Ok(*us),
        other => internal_err!("a frame of RANGE that begins at {other}"),
    }
}

/// So many rows before or after a number.
fn counted(bound: &WindowFrameBound, from: usize) -> Result<usize> {
    let n = |value: &ScalarValue| match value {
        ScalarValue::UInt64(Some(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    let number = match bound {
        WindowFrameBound::CurrentRow => Some(from),
        WindowFrameBound::Preceding(value) => n(value).map(|n| from.saturating_sub(n)),
        WindowFrameBound::Following(value) => n(value).map(|n| from.saturating_add(n)),
    };
    number.ok_or_else(|| internal_datafusion_err!("a frame of ROWS without a number"))
}
