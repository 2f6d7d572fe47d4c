//! OVER in a continuous query: which frames end, so that a row has its answer once the watermark is past them and the rows before can go.

use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{NullTreatment, Sort, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use serde::{Deserialize, Serialize};

use super::aggregate::moving;
use super::event_time;
use super::order::{self, Order};
use crate::error::Error;

/// How far from a row the rows are that its answer depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Rows of the partition before it.
    pub behind_rows: usize,
    /// Time before it, µs.
    pub behind_us: i64,
    /// Rows after it.
    pub ahead_rows: usize,
    /// Time after it, µs.
    pub ahead_us: i64,
}

/// What is common to the calls of one node.
#[derive(Clone, Debug)]
pub struct Over {
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// ORDER BY: the event time first.
    pub order: Vec<Order>,
    /// How far the furthest of them looks.
    pub extent: Extent,
}

/// The column that the rows of a node are ordered by first.
pub fn time(window: &Window) -> Option<usize> {
    let first = window.window_expr.first()?.clone().unalias();
    let Expr::WindowFunction(call) = first else { return None };
    column(call.params.order_by.first()?, window)
}

fn column(sort: &Sort, window: &Window) -> Option<usize> {
    match &sort.expr {
        Expr::Column(column) => window.input.schema().index_of_column(column).ok(),
        _ => None,
    }
}

/// What a continuous query needs to know of the node. Errs if an answer could never be given, or would need all rows to be kept.
pub fn over(window: &Window) -> Result<Over> {
    let mut found: Option<Over> = None;
    let mut orders: Option<Vec<Sort>> = None;
    for expr in &window.window_expr {
        let Expr::WindowFunction(call) = expr.clone().unalias() else {
            return Err(Error::unsupported(format!("{expr} in a continuous query"), "Use it where you read: SELECT … FROM view.").into());
        };
        let extent = extent(&call)?;
        let params = call.params;
        match (&mut found, &orders) {
            (Some(over), Some(order_by)) if over.partition == params.partition_by && *order_by == params.order_by => {
                over.extent = over.extent.and(extent);
            }
            (Some(_), _) => {
                return Err(
                    Error::unsupported("several orders of one OVER in a continuous query", "Write each in a subquery of its own.").into()
                );
            }
            (None, _) => {
                found = Some(Over { partition: params.partition_by, order: keys(window, &params.order_by)?, extent });
                orders = Some(params.order_by);
            }
        }
    }
    found.ok_or_else(|| Error::Internal("OVER without a call".into()).into())
}

impl Extent {
    fn and(self, other: Extent) -> Extent {
        Extent {
            behind_rows: self.behind_rows.max(other.behind_rows),
            behind_us: self.behind_us.max(other.behind_us),
            ahead_rows: self.ahead_rows.max(other.ahead_rows),
            ahead_us: self.ahead_us.max(other.ahead_us),
        }
    }
}

fn keys(window: &Window, order_by: &[Sort]) -> Result<Vec<Order>> {
    let refusal = || order::refusal("OVER", &window.input);
    let key = |sort: &Sort| {
        let column = column(sort, window).ok_or_else(refusal)?;
        Ok(Order { column, descending: !sort.asc, nulls_first: sort.nulls_first })
    };
    let keys = order_by.iter().map(key).collect::<Result<Vec<_>, Error>>()?;
    match keys.first() {
        Some(first) if !first.descending && event_time::lag_us(&window.input, first.column).is_some() => Ok(keys),
        _ => Err(refusal().into()),
    }
}

fn extent(call: &WindowFunction) -> Result<Extent> {
    let name = moving::called(call.fun.name()).to_lowercase();
    let params = &call.params;
    if let WindowFunctionDefinition::WindowUDF(_) = call.fun {
        match name.as_str() {
            "lag" | "lead" => return shifted(&name, call),
            "first_value" | "last_value" | "nth_value" => {}
            _ => {
                return Err(Error::refused(
                    format!("{name}() in a continuous query counts the rows of all time"),
                    "Use it where you read: SELECT … OVER (…) FROM view.",
                )
                .into());
            }
        }
    }
    framed(&name, &params.window_frame)
}

/// lag and lead have no frame: they look so many rows away.
fn shifted(name: &str, call: &WindowFunction) -> Result<Extent> {
    if call.params.null_treatment == Some(NullTreatment::IgnoreNulls) {
        return Err(Error::unsupported(
            format!("{name}() IGNORE NULLS in a continuous query"),
            "Leave out the rows without a value: SELECT … FROM (SELECT * FROM t WHERE x IS NOT NULL).",
        )
        .into());
    }
    let far = match call.params.args.get(1) {
        None => Some(1),
        Some(Expr::Literal(value, _)) => match value {
            ScalarValue::Int64(Some(n)) => Some(*n),
            ScalarValue::Int32(Some(n)) => Some(i64::from(*n)),
            ScalarValue::UInt64(Some(n)) => i64::try_from(*n).ok(),
            _ => None,
        },
        Some(_) => None,
    };
    let far = far.and_then(|far| if name == "lag" { Some(far) } else { far.checked_neg() });
    let rows = far.and_then(|far| usize::try_from(far.unsigned_abs()).ok()).filter(|rows| *rows <= MOST_ROWS);
    match (far, rows) {
        (Some(far), Some(rows)) if far >= 0 => Ok(Extent { behind_rows: rows, ..Extent::default() }),
        (Some(_), Some(rows)) => Ok(Extent { ahead_rows: rows, ..Extent::default() }),
        _ => Err(Error::unsupported(
            format!("{name}() in a continuous query over other than a constant number of rows"),
            format!("Write {name}(x, 1), or another number up to {MOST_ROWS}."),
        )
        .into()),
    }
}

/// Rows of a frame: they are kept for each partition.
const MOST_ROWS: usize = 1_000_000;

fn framed(name: &str, frame: &WindowFrame) -> Result<Extent> {
    let never = |what: &str| -> Result<Extent> {
        Err(Error::refused(
            format!("{name}() over a frame {what} in a continuous query"),
            "Give it a frame that ends: ROWS BETWEEN 9 PRECEDING AND CURRENT ROW, or RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW.",
        )
        .into())
    };
    let mut extent = Extent::default();
    let bounds = [
        (&frame.start_bound, "from the first row on, all of which would be kept,"),
        (&frame.end_bound, "to the last row, which never comes,"),
    ];
    for (bound, unbounded) in bounds {
        let (value, behind) = match bound {
            WindowFrameBound::CurrentRow => continue,
            WindowFrameBound::Preceding(value) => (value, true),
            WindowFrameBound::Following(value) => (value, false),
        };
        if value.is_null() {
            return never(unbounded);
        }
        match frame.units {
            WindowFrameUnits::Rows => {
                let rows = match value {
                    ScalarValue::UInt64(Some(n)) => usize::try_from(*n).ok().filter(|n| *n <= MOST_ROWS),
                    _ => None,
                };
                let Some(rows) = rows else { return never(&format!("of more than {MOST_ROWS} rows")) };
                let side = if behind { &mut extent.behind_rows } else { &mut extent.ahead_rows };
                *side = (*side).max(rows);
            }
            WindowFrameUnits::Range => {
                let us = match value {
                    ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => i64::from(i.days)
                        .checked_mul(86_400_000_000)
                        .and_then(|d| d.checked_add(i.nanoseconds / 1_000 + i64::from(i.nanoseconds % 1_000 != 0))),
                    ScalarValue::IntervalDayTime(Some(i)) => Some(i64::from(i.days) * 86_400_000_000 + i64::from(i.milliseconds) * 1_000),
                    _ => None,
                };
                let Some(us) = us.filter(|us| *us >= 0) else { return never("of an interval with months") };
                let side = if behind { &mut extent.behind_us } else { &mut extent.ahead_us };
                *side = (*side).max(us);
            }
            WindowFrameUnits::Groups => {
                return Err(Error::unsupported("a frame of GROUPS in a continuous query", "Use RANGE with an interval, or ROWS.").into());
            }
        }
    }
    Ok(extent)
}

/// Errs if a node cannot be answered in a continuous query.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Window(window) => over(window).map(drop),
        _ => Ok(()),
    }
}
