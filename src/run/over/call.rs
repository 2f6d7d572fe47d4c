//! One call of OVER: its answer for a row, worked out of what was in the frame of the row before, so that what a row costs is what enters its frame and what
//! leaves it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, new_null_array};
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Accumulator, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::window::{SlidingAggregateWindowExpr, StandardWindowExpr, WindowExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_planner::create_window_expr;

use super::frame::Frame;
use super::rows::{Keys, Rows};
use crate::run::expression::physical;

/// A call, whose arguments are columns of the rows.
#[derive(Debug)]
pub(super) enum Call {
    /// `lag` and `lead`: the value of so many rows on.
    Away { column: usize, rows: isize, otherwise: ArrayRef },
    /// The value of one row of the frame.
    Picked { column: usize, which: Which, ignore_nulls: bool, frame: Frame, otherwise: ArrayRef },
    /// An aggregate of the frame's rows.
    Aggregate { function: Box<AggregateFunctionExpr>, columns: Vec<usize>, filter: Option<usize>, frame: Frame },
}

/// Which of some rows, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    First,
    Last,
    /// From 1 on, or from the end if it is less than 0.
    Nth(i64),
}

/// How far a call is in a partition.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The frame of the last row that was answered.
    frame: Range<usize>,
    /// What holds the frame's rows.
    accumulator: Option<Box<dyn Accumulator>>,
    /// The frame's rows that have a value, for IGNORE NULLS.
    valid: VecDeque<usize>,
}

/// The columns of the rows: those that come in, and behind them what the calls read that is no column.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    pub(super) input: &'a DFSchema,
    pub(super) computed: Vec<Arc<dyn PhysicalExpr>>,
}

impl Columns<'_> {
    fn place(&mut self, expr: &Arc<dyn PhysicalExpr>) -> usize {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return column.index();
        }
        let same = |computed: &Arc<dyn PhysicalExpr>| computed == expr && !is_volatile(expr);
        let at = self.computed.iter().position(same).unwrap_or_else(|| {
            self.computed.push(Arc::clone(expr));
            self.computed.len() - 1
        });
        self.input.fields().len() + at
    }
}

impl Call {
    /// `zone` is that of the event time's type.
    pub(super) fn try_new(expr: &Expr, columns: &mut Columns, zone: Option<Arc<str>>) -> Result<Call> {
        let window = create_window_expr(expr, columns.input, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
        let Expr::WindowFunction(call) = expr.clone().unalias() else { return internal_err!("OVER of {expr}, which is no call") };
        let frame = Frame::new(Arc::clone(window.get_window_frame()), zone);
        if let Some(aggregate) = window.as_any().downcast_ref::<SlidingAggregateWindowExpr>() {
            let function = Box::new(aggregate.get_aggregate_expr().clone());
            // What it cannot do it says before the first row.
            function.create_sliding_accumulator()?;
            let filter = call.params.filter.as_ref().map(|filter| physical(filter, columns.input)).transpose()?;
            return Ok(Call::Aggregate {
                columns: function.expressions().iter().map(|argument| columns.place(argument)).collect(),
                filter: filter.map(|filter| columns.place(&filter)),
                function,
                frame,
            });
        }
        let Some(standard) = window.as_any().downcast_ref::<StandardWindowExpr>() else {
            return internal_err!("OVER of {expr}, whose frame does not end");
        };
        Self::standard(standard, &call, columns, frame)
    }

    fn standard(standard: &StandardWindowExpr, call: &WindowFunction, columns: &mut Columns, frame: Frame) -> Result<Call> {
        let name = call.fun.name();
        // It errs for arguments that it does not take.
        let mut evaluator = standard.get_standard_func_expr().create_evaluator()?;
        let arguments = standard.expressions();
        let value = arguments.first().ok_or_else(|| internal_datafusion_err!("{name}() without an argument"))?;
        let column = columns.place(value);
        let nothing = new_null_array(&value.data_type(columns.input.as_arrow())?, 1);
        let which = match name {
            "lag" | "lead" => {
                let far = number(call, 1)?;
                let far = if name == "lag" { -far } else { far };
                let rows = isize::try_from(far).map_err(|_| internal_datafusion_err!("{name}() of {far} rows"))?;
                // What it gives for the only row there is.
                let otherwise = if rows == 0 { nothing } else { evaluator.evaluate_all(&[nothing], 1)? };
                return Ok(Call::Away { column, rows, otherwise });
            }
            "first_value" => Which::First,
            "last_value" => Which::Last,
            "nth_value" => Which::Nth(number(call, 0)?),
            _ => return internal_err!("{name}() in a continuous query"),
        };
        let ignore_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
        Ok(Call::Picked { column, which, ignore_nulls, frame, otherwise: nothing })
    }

    /// The answers for rows that follow those that were answered before.
    pub(super) fn answer(&self, asked: Range<usize>, rows: &Rows, keys: &Keys, progress: &mut Progress) -> Result<ArrayRef> {
        match self {
            Call::Away { column, rows: away, otherwise } => {
                let there = |at: &usize| (rows.first()..rows.end()).contains(at);
                let numbers: Vec<Option<usize>> = asked.map(|at| at.checked_add_signed(*away).filter(there)).collect();
                rows.values(*column, &numbers, otherwise)
            }
            Call::Picked { column, which, ignore_nulls, frame, otherwise } => {
                let mut numbers = Vec::with_capacity(asked.len());
                for at in asked {
                    let held = frame.of(at, &progress.frame, rows, keys)?;
                    let picked = if *ignore_nulls {
                        let entered = progress.frame.end.max(held.start)..held.end;
                        progress.valid.extend(entered.filter(|at| rows.valid(*column, *at)));
                        while progress.valid.pop_front_if(|at| *at < held.start).is_some() {}
                        which.of(progress.valid.len()).and_then(|n| progress.valid.get(n).copied())
                    } else {
                        which.of(held.len()).map(|n| held.start + n)
                    };
                    numbers.push(picked);
                    progress.frame = held;
                }
                rows.values(*column, &numbers, otherwise)
            }
            Call::Aggregate { function, columns, filter, frame } => {
                let accumulator = match &mut progress.accumulator {
                    Some(accumulator) => accumulator,
                    none => none.insert(function.create_sliding_accumulator()?),
                };
                let mut values = Vec::with_capacity(asked.len());
                for at in asked {
                    let held = frame.of(at, &progress.frame, rows, keys)?;
                    let read = |range: Range<usize>| arguments(rows, range, columns, *filter);
                    if held.is_empty() {
                        read(progress.frame.clone()).try_for_each(|left| accumulator.retract_batch(&left?))?;
                        values.push(function.default_value(function.field().data_type())?);
                    } else {
                        read(progress.frame.end..held.end).try_for_each(|entered| accumulator.update_batch(&entered?))?;
                        read(progress.frame.start..held.start).try_for_each(|left| accumulator.retract_batch(&left?))?;
                        values.push(accumulator.evaluate()?);
                    }
                    progress.frame = held;
                }
                ScalarValue::iter_to_array(values)
            }
        }
    }

    /// The number of the first row that has not left the frame of the last row that was answered: it is needed when it does.
    pub(super) fn held_from(&self, progress: &Progress) -> usize {
        match self {
            Call::Aggregate { .. } if progress.accumulator.is_some() => progress.frame.start,
            _ => usize::MAX,
        }
    }
}

impl Which {
    /// The place of the row among so many.
    fn of(self, n_rows: usize) -> Option<usize> {
        let place = match self {
            Which::First => Some(0),
            Which::Last => n_rows.checked_sub(1),
            Which::Nth(0) => None,
            Which::Nth(n) if n > 0 => usize::try_from(n - 1).ok(),
            Which::Nth(n) => usize::try_from(n.unsigned_abs()).ok().and_then(|n| n_rows.checked_sub(n)),
        };
        place.filter(|place| *place < n_rows)
    }
}

/// The second argument of a call, which is a number.
fn number(call: &WindowFunction, otherwise: i64) -> Result<i64> {
    match call.params.args.get(1) {
        None => Ok(otherwise),
        Some(Expr::Literal(value, _)) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(n) => Ok(n.unwrap_or(0)),
            other => internal_err!("{}() of {other} rows", call.fun.name()),
        },
        Some(other) => internal_err!("{}() of {other} rows", call.fun.name()),
    }
}

/// What an aggregate reads of rows, in pieces.
fn arguments<'a>(
    rows: &'a Rows,
    range: Range<usize>,
    columns: &'a [usize],
    mask: Option<usize>,
) -> impl Iterator<Item = Result<Vec<ArrayRef>>> + 'a {
    rows.pieces(range).map(move |piece| {
        let passing = mask.map(|mask| piece.column(mask).as_boolean());
        let value = |column: &usize| {
            let value = piece.column(*column);
            Ok(match passing {
                Some(passing) => filter(value.as_ref(), passing)?,
                None => Arc::clone(value),
            })
        };
        columns.iter().map(value).collect()
    })
}
