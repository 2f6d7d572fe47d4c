//! What a WHERE clause lets a reader skip: ranges of event time and frame number, keyframes only.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Bounds, inclusive; every row outside them fails the filters they came from (the filters are applied again above).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first and last frame number.
    pub frame_no: (i64, i64),
    /// The first and last event time, µs.
    pub ts_us: (i64, i64),
    /// Only keyframes pass.
    pub keyframes_only: bool,
}

/// What a conjunction of filters leaves of the event time in the column of that name, inclusive, µs.
pub fn times(filters: &[Expr], column: &str) -> (i64, i64) {
    let mut range = Range::ALL;
    for filter in filters {
        range.narrow(filter, &|name| (name == column).then_some("ts"));
    }
    range.ts_us
}

impl Range {
    /// Everything.
    pub const ALL: Range = Range { frame_no: (i64::MIN, i64::MAX), ts_us: (i64::MIN, i64::MAX), keyframes_only: false };

    /// What a conjunction of filters leaves.
    pub fn of(filters: &[Expr]) -> Range {
        let mut range = Range::ALL;
        for filter in filters {
            range.narrow(filter, &|name| Some(name));
        }
        range
    }

    /// Whether a filter says something that a reader can use.
    pub fn understands(filter: &Expr) -> bool {
        Range::of(std::slice::from_ref(filter)) != Range::ALL
    }

    /// `named` says which of the columns below a column is.
    fn narrow(&mut self, filter: &Expr, named: &dyn for<'a> Fn(&'a str) -> Option<&'a str>) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left, named);
                self.narrow(right, named);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (Some(name), Some(value)) = (column(left).and_then(named), number(right)) {
                    self.compare(name, *op, value);
                } else if let (Some(value), Some(name), Some(op)) = (number(left), column(right).and_then(named), op.swap()) {
                    self.compare(name, op, value);
                }
            }
            Expr::Between(b) if !b.negated => {
                if let (Some(name), Some(low), Some(high)) = (column(&b.expr).and_then(named), number(&b.low), number(&b.high)) {
                    self.compare(name, Operator::GtEq, low);
                    self.compare(name, Operator::LtEq, high);
                }
            }
            Expr::Column(c) if named(&c.name) == Some("keyframe") => self.keyframes_only = true,
            Expr::IsTrue(e) => self.narrow(e, named),
            _ => {}
        }
    }

    fn compare(&mut self, name: &str, op: Operator, value: i64) {
        let bounds = match name {
            "frame_no" => &mut self.frame_no,
            "ts" => &mut self.ts_us,
            _ => return,
        };
        match op {
            Operator::Eq => *bounds = (bounds.0.max(value), bounds.1.min(value)),
            Operator::Gt => bounds.0 = bounds.0.max(value.saturating_add(1)),
            Operator::GtEq => bounds.0 = bounds.0.max(value),
            Operator::Lt => bounds.1 = bounds.1.min(value.saturating_sub(1)),
            Operator::LtEq => bounds.1 = bounds.1.min(value),
            _ => {}
        }
    }
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(c) => Some(&c.name),
        _ => None,
    }
}

/// A whole number, or a time in µs.
fn number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(v), _) | Expr::Literal(ScalarValue::TimestampMicrosecond(v, _), _) => *v,
        Expr::Literal(ScalarValue::Int32(v), _) => v.map(i64::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    #[test]
    fn bounds_of_a_conjunction_are_inclusive() {
        let r = Range::of(&[col("frame_no").gt(lit(10_i64)).and(lit(20_i64).gt_eq(col("frame_no"))), col("keyframe")]);
        assert_eq!((r.frame_no, r.keyframes_only), ((11, 20), true));
        assert!(!Range::understands(&col("frame_no").gt(col("width"))));
        assert!(!Range::understands(&col("keyframe").or(col("frame_no").lt(lit(3_i64)))));
    }
}
