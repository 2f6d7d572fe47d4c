//! Joins of a continuous query: what bounds a join in event time, so that its rows need not be kept for ever, and what is refused without.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan, Operator};
use serde::{Deserialize, Serialize};

use super::subquery::never_null::never_null;
use super::time::interval::LENGTH_US;
use super::{event_time, system_time};
use crate::error::Error;

/// A column of one side that carries event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTime {
    /// Its index among the side's columns.
    pub column: usize,
    /// Every row with a time `t` has come when the watermark is at `t + complete_us`.
    pub complete_us: i64,
}

/// A join whose rows meet only within a stretch of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// The left side's time.
    pub left: JoinTime,
    /// The right side's time.
    pub right: JoinTime,
    /// The left time less the right one is at least this, µs.
    pub lower_us: i64,
    /// And at most this.
    pub upper_us: i64,
    /// Both sides are windows of one shape and meet when the window closes.
    pub at_close: bool,
}

/// How a join runs in a continuous query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both sides are kept for a stretch of event time.
    Timed(Timed),
    /// The right side is looked up as it is now.
    LookupRight,
    /// The left side is.
    LookupLeft,
    /// Nothing bounds it: rows are kept for the state TTL, and what was given of them is taken back where another row says better.
    Unbounded,
}

/// One NULL that comes later would take everything back.
pub(super) fn null_refusal() -> Error {
    Error::unsupported(
        "NOT IN with values that may be NULL in a continuous query",
        "Write NOT EXISTS (SELECT … WHERE a.x = b.x …), or leave NULLs out on both sides: WHERE a.x IS NOT NULL AND a.x NOT IN (SELECT … WHERE b.x IS NOT NULL).",
    )
}

/// How a join runs. Errs if it could never answer, with the way out.
pub fn way(join: &Join) -> Result<Way> {
    let sure = |(left, right): &(Expr, Expr)| never_null(left, &join.left) && never_null(right, &join.right);
    if join.null_aware && (join.on.is_empty() || !join.on.iter().all(sure)) {
        return Err(null_refusal().into());
    }
    match (system_time::looked_up(&join.left), system_time::looked_up(&join.right)) {
        (_, true) if matches!(join.join_type, JoinType::Inner | JoinType::Left) || of_left(join.join_type) => return Ok(Way::LookupRight),
        (true, false) if matches!(join.join_type, JoinType::Inner | JoinType::Right) || of_right(join.join_type) => {
            return Ok(Way::LookupLeft);
        }
        (false, false) => {}
        _ => {
            return Err(Error::refused(
                format!("a {} join that keeps the rows of the side that is looked up would never answer", join.join_type),
                "Keep the rows of the stream: stream LEFT JOIN table ON ….",
            )
            .into());
        }
    }
    let bounds = bounds(join)?;
    let timed = |((left, right), bound): (&(usize, usize), &Bound)| {
        let time = |side: &LogicalPlan, column: usize| Some(JoinTime { column, complete_us: event_time::complete_us(side, column)? });
        Some(Timed {
            left: time(&join.left, *left)?,
            right: time(&join.right, *right)?,
            lower_us: bound.lower_us?,
            upper_us: bound.upper_us?,
            at_close: bound.lower_us == Some(0)
                && bound.upper_us == Some(0)
                && event_time::same_window((&join.left, *left), (&join.right, *right)),
        })
    };
    // Windows first, by their end, which is what both sides wait for; else the narrowest stretch.
    let narrow = |t: &Timed| (!t.at_close, t.upper_us.saturating_sub(t.lower_us), t.left.complete_us.max(t.right.complete_us));
    Ok(bounds.iter().filter_map(timed).min_by_key(narrow).map_or(Way::Unbounded, Way::Timed))
}

/// Whether the answer of a join without a bound takes rows back: those that met none until they do.
pub fn takes_back(join: &Join) -> Result<bool> {
    Ok(way(join)? == Way::Unbounded && !matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi))
}

/// Whether the answer has the left side's columns only (and perhaps a mark).
pub fn of_left(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}

/// Whether the answer has the right side's columns only (and perhaps a mark).
pub fn of_right(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark)
}

/// The refusal of a join that nothing bounds: the nearest thing that is missing.
pub fn unbounded(join: &Join) -> Result<Error> {
    Ok(missing(join, &bounds(join)?))
}

fn missing(join: &Join, bounds: &BTreeMap<(usize, usize), Bound>) -> Error {
    let name = |side: &LogicalPlan, at: usize| side.schema().fields().get(at).map_or_else(String::new, |f| f.name().clone());
    // A bound that is there and does not count is the nearer mistake.
    for ((left, right), bound) in bounds {
        if bound.lower_us.is_none() && bound.upper_us.is_none() {
            continue;
        }
        for (side, column) in [(&join.left, *left), (&join.right, *right)] {
            if event_time::complete_us(side, column).is_none() {
                return Error::refused(
                    format!(
                        "a continuous join over column \"{}\", which is not event time, would keep every row for ever",
                        name(side, column)
                    ),
                    event_time::usable(side),
                );
            }
        }
        return Error::refused(
            format!(
                "a continuous join that bounds \"{}\" and \"{}\" on one side only would keep every row for ever",
                name(&join.left, *left),
                name(&join.right, *right)
            ),
            "Bound it on both: a.ts BETWEEN b.ts - INTERVAL '5 seconds' AND b.ts + INTERVAL '5 seconds'.",
        );
    }
    Error::refused(
        "a continuous join without a bound in event time would keep every row for ever",
        "Bound it, as in a.ts BETWEEN b.ts - INTERVAL '5 seconds' AND b.ts + INTERVAL '5 seconds', or join equal windows; a table or view is looked up by JOIN t FOR SYSTEM_TIME AS OF now(); EMIT CHANGES with a state_ttl keeps rows for that long.",
    )
}

/// What is known of the left time less the right one, µs.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    lower_us: Option<i64>,
    upper_us: Option<i64>,
}

impl Bound {
    fn at_least(&mut self, us: i64) {
        self.lower_us = Some(self.lower_us.map_or(us, |before| before.max(us)));
    }

    fn at_most(&mut self, us: i64) {
        self.upper_us = Some(self.upper_us.map_or(us, |before| before.min(us)));
    }
}

/// The bounds between timestamps of both sides, by their columns on the left and on the right.
fn bounds(join: &Join) -> Result<BTreeMap<(usize, usize), Bound>> {
    let both = join.left.schema().join(join.right.schema())?;
    let n_left = join.left.schema().fields().len();
    let mut found = Bounds { both: &both, n_left, found: BTreeMap::new() };
    for (left, right) in &join.on {
        found.comparison(left, Operator::Eq, right);
    }
    for term in join.filter.iter().flat_map(split_conjunction) {
        match term {
            Expr::BinaryExpr(b) => found.comparison(&b.left, b.op, &b.right),
            Expr::Between(b) if !b.negated => {
                found.comparison(&b.expr, Operator::GtEq, &b.low);
                found.comparison(&b.expr, Operator::LtEq, &b.high);
            }
            _ => {}
        }
    }
    Ok(found.found)
}

struct Bounds<'a> {
    both: &'a DFSchema,
    n_left: usize,
    found: BTreeMap<(usize, usize), Bound>,
}

impl Bounds<'_> {
    /// `left op right`, where each side is a column, perhaps plus a constant, or one of them a difference of two and the other a constant.
    fn comparison(&mut self, left: &Expr, op: Operator, right: &Expr) {
        if let (Some((a, shift_a)), Some((b, shift_b))) = (self.time(left), self.time(right)) {
            // a + shift_a op b + shift_b
            self.difference(a, b, op, shift_b.checked_sub(shift_a));
        } else if let (Some((a, b, shift)), Some(constant)) = (self.apart(left), constant_us(right)) {
            self.difference(a, b, op, constant.checked_sub(shift));
        } else if let (Some(constant), Some((a, b, shift)), Some(op)) = (constant_us(left), self.apart(right), op.swap()) {
            self.difference(a, b, op, constant.checked_sub(shift));
        }
    }

    /// `a - b op us`.
    fn difference(&mut self, a: usize, b: usize, op: Operator, us: Option<i64>) {
        let Some(us) = us else { return };
        let (left, right, op, us) = match (a < self.n_left, b < self.n_left) {
            (true, false) => (a, b - self.n_left, op, us),
            (false, true) => match (op.swap(), us.checked_neg()) {
                (Some(op), Some(us)) => (b, a - self.n_left, op, us),
                _ => return,
            },
            _ => return,
        };
        let bound = self.found.entry((left, right)).or_default();
        match op {
            Operator::Eq => {
                bound.at_least(us);
                bound.at_most(us);
            }
            Operator::GtEq => bound.at_least(us),
            Operator::Gt => bound.at_least(us.saturating_add(1)),
            Operator::LtEq => bound.at_most(us),
            Operator::Lt => bound.at_most(us.saturating_sub(1)),
            _ => {}
        }
    }

    /// A timestamp column of either side, and what is added to it, µs.
    fn time(&self, expr: &Expr) -> Option<(usize, i64)> {
        match expr {
            Expr::Column(column) => {
                let at = self.both.index_of_column(column).ok()?;
                matches!(self.both.field(at).data_type(), DataType::Timestamp(..)).then_some((at, 0))
            }
            Expr::Alias(alias) => self.time(&alias.expr),
            // A cast to another zone is the same moment.
            Expr::Cast(cast) => {
                let of = |e: &Expr| e.get_type(self.both).ok();
                let (DataType::Timestamp(unit, Some(_)), Some(DataType::Timestamp(from, Some(_)))) =
                    (cast.field.data_type(), of(&cast.expr))
                else {
                    return None;
                };
                (*unit == from).then(|| self.time(&cast.expr)).flatten()
            }
            Expr::BinaryExpr(b) if b.op == Operator::Plus => {
                let ((at, shift), us) = match (self.time(&b.left), self.time(&b.right)) {
                    (Some(time), None) => (time, constant_us(&b.right)?),
                    (None, Some(time)) => (time, constant_us(&b.left)?),
                    _ => return None,
                };
                Some((at, shift.checked_add(us)?))
            }
            Expr::BinaryExpr(b) if b.op == Operator::Minus => {
                let (at, shift) = self.time(&b.left)?;
                Some((at, shift.checked_sub(constant_us(&b.right)?)?))
            }
            _ => None,
        }
    }

    /// The difference of two timestamps: the columns, and what is added, µs.
    fn apart(&self, expr: &Expr) -> Option<(usize, usize, i64)> {
        match expr {
            Expr::Alias(alias) => self.apart(&alias.expr),
            Expr::Cast(cast) => self.apart(&cast.expr),
            Expr::ScalarFunction(length) if length.func.name() == LENGTH_US => self.apart(length.args.first()?),
            Expr::BinaryExpr(b) if b.op == Operator::Minus => {
                let ((a, shift_a), (b, shift_b)) = (self.time(&b.left)?, self.time(&b.right)?);
                Some((a, b, shift_a.checked_sub(shift_b)?))
            }
            _ => None,
        }
    }
}

/// A constant length of time in whole µs; None for one with months, whose length depends on when it begins.
fn constant_us(expr: &Expr) -> Option<i64> {
    let whole = |ns: i64| (ns % 1_000 == 0).then_some(ns / 1_000);
    match expr {
        Expr::Alias(alias) => constant_us(&alias.expr),
        Expr::Cast(cast) => constant_us(&cast.expr),
        Expr::Negative(inner) => constant_us(inner)?.checked_neg(),
        Expr::Literal(value, _) => match value {
            ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => {
                i64::from(i.days).checked_mul(86_400_000_000)?.checked_add(whole(i.nanoseconds)?)
            }
            ScalarValue::IntervalDayTime(Some(i)) => {
                i64::from(i.days).checked_mul(86_400_000_000)?.checked_add(i64::from(i.milliseconds).checked_mul(1_000)?)
            }
            ScalarValue::DurationSecond(Some(s)) => s.checked_mul(1_000_000),
            ScalarValue::DurationMillisecond(Some(ms)) => ms.checked_mul(1_000),
            ScalarValue::DurationMicrosecond(Some(us)) => Some(*us),
            ScalarValue::DurationNanosecond(Some(ns)) => whole(*ns),
            // The length of an interval.
            ScalarValue::Int64(Some(us)) => Some(*us),
            _ => None,
        },
        _ => None,
    }
}
