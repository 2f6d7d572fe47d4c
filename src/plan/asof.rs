//! The join of each left row with the one right row that is nearest in time: ASOF JOIN, and the version that was valid then.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchemaRef, JoinType, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::binary::comparison_coercion;
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, UserDefinedLogicalNodeCore, cast};

use super::system_time::{check_type, ordered};
use super::{event_time, join};
use crate::error::Error;

/// The node: the left columns, then the right ones. Of the right rows with equal keys whose time compares as `op` says, a left row
/// meets the one whose time is nearest, of several at that time the greatest in the order of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AsofJoin {
    /// Each of its rows is joined once.
    pub left: LogicalPlan,
    /// The versions.
    pub right: LogicalPlan,
    /// The keys, left and right.
    pub on: Vec<(Expr, Expr)>,
    /// The left row's time.
    pub left_time: Expr,
    /// How it compares with the right row's: `>=` and `>` look back, `<=` and `<` ahead.
    pub op: Operator,
    /// The right row's time.
    pub right_time: Expr,
    /// Left keeps rows that meet none; Inner does not.
    pub join_type: JoinType,
    schema: DFSchemaRef,
}

impl AsofJoin {
    /// Errs for keys that cannot be compared, times that are no moments or whole numbers, and other joins than inner and left.
    pub fn try_new(
        left: LogicalPlan,
        right: LogicalPlan,
        on: Vec<(Expr, Expr)>,
        (left_time, op, right_time): (Expr, Operator, Expr),
        join_type: JoinType,
    ) -> Result<AsofJoin> {
        check_type(join_type)?;
        let alike = |(l, r): (Expr, Expr)| -> Result<(Expr, Expr)> {
            let (of_left, of_right) = (l.get_type(left.schema())?, r.get_type(right.schema())?);
            match comparison_coercion(&of_left, &of_right) {
                Some(both) => Ok((as_type(l, &of_left, &both), as_type(r, &of_right, &both))),
                None => plan_err!("{of_left} and {of_right} cannot be compared"),
            }
        };
        let on = on.into_iter().map(alike).collect::<Result<Vec<_>>>()?;
        let (left_time, right_time) = alike((left_time, right_time))?;
        let of_time = left_time.get_type(left.schema())?;
        if !matches!(of_time, DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Int64 | DataType::Int32 | DataType::Date32) {
            return Err(Error::unsupported(
                format!("a MATCH_CONDITION over values of type {of_time}"),
                "Compare timestamps, dates or whole numbers.",
            )
            .into());
        }
        let schema = Arc::new(build_join_schema(left.schema(), right.schema(), &join_type)?);
        Ok(AsofJoin { left, right, on, left_time, op, right_time, join_type, schema })
    }

    /// Both sides' times as a continuous query waits for them. Errs for times that are not event time, and for a look ahead, which may never end.
    pub fn times(&self) -> Result<(join::JoinTime, join::JoinTime)> {
        if !matches!(self.op, Operator::GtEq | Operator::Gt) {
            return Err(Error::refused(
                "an ASOF JOIN that looks ahead in a continuous query would wait for rows that may never come",
                "Look back: MATCH_CONDITION (l.ts >= r.ts).",
            )
            .into());
        }
        let time = |side: &LogicalPlan, time: &Expr| -> Result<join::JoinTime> {
            let column = match time {
                Expr::Column(column) => side.schema().index_of_column(column)?,
                _ => return Err(not_event_time(side, time).into()),
            };
            match event_time::complete_us(side, column) {
                Some(complete_us) => Ok(join::JoinTime { column, complete_us }),
                None => Err(not_event_time(side, time).into()),
            }
        };
        Ok((time(&self.left, &self.left_time)?, time(&self.right, &self.right_time)?))
    }
}

fn not_event_time(side: &LogicalPlan, time: &Expr) -> Error {
    Error::refused(
        format!("a continuous join over the version at {time}, which is not event time, would never answer"),
        event_time::usable(side),
    )
}

fn as_type(e: Expr, from: &DataType, to: &DataType) -> Expr {
    if from == to { e } else { cast(e, to.clone()) }
}

impl PartialOrd for AsofJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let of = |a: &Self| (a.on.clone(), a.left_time.clone(), a.op, a.right_time.clone(), a.join_type);
        ordered((&self.left, &self.right, of(self)).partial_cmp(&(&other.left, &other.right, of(other))), self == other)
    }
}

impl UserDefinedLogicalNodeCore for AsofJoin {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let keys = self.on.iter().flat_map(|(l, r)| [l.clone(), r.clone()]);
        keys.chain([self.left_time.clone(), self.right_time.clone()]).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.on.iter().map(|(l, r)| format!("{l} = {r}")).collect();
        write!(f, "AsofJoin: type={}, on=[{}], {} {} {}", self.join_type, keys.join(", "), self.left_time, self.op, self.right_time)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let (Some(left), Some(right), None) = (inputs.next(), inputs.next(), inputs.next()) else {
            return internal_err!("an ASOF join has two inputs");
        };
        let mut exprs = exprs.into_iter();
        let mut on = Vec::new();
        for _ in &self.on {
            let (Some(l), Some(r)) = (exprs.next(), exprs.next()) else { return internal_err!("an ASOF join without its keys") };
            on.push((l, r));
        }
        let (Some(left_time), Some(right_time), None) = (exprs.next(), exprs.next(), exprs.next()) else {
            return internal_err!("an ASOF join without its times");
        };
        AsofJoin::try_new(left, right, on, (left_time, self.op, right_time), self.join_type)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let n_left = self.left.schema().fields().len();
        let mut left: BTreeSet<usize> = output_columns.iter().copied().filter(|c| *c < n_left).collect();
        let mut right: BTreeSet<usize> = output_columns.iter().filter_map(|c| c.checked_sub(n_left)).collect();
        let of_left = self.on.iter().map(|(l, _)| l).chain([&self.left_time]);
        let of_right = self.on.iter().map(|(_, r)| r).chain([&self.right_time]);
        for (side, exprs, needed) in
            [(&self.left, of_left.collect::<Vec<_>>(), &mut left), (&self.right, of_right.collect::<Vec<_>>(), &mut right)]
        {
            for column in exprs.into_iter().flat_map(|e| e.column_refs()) {
                needed.insert(side.schema().index_of_column(column).ok()?);
            }
        }
        Some(vec![left.into_iter().collect(), right.into_iter().collect()])
    }
}
