//! A window function over rows that are in a window already, such as those of a view: its window_start, window_end and window_time take the
//! place of theirs.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::column_names::with_mark;
use super::window::COLUMNS;

/// The input of a window function without columns of the names that the function adds, and its time column. Where that is one of them, it
/// goes on under a name that no query can write, until `outer` leaves it out.
pub(super) fn inner(input: LogicalPlan, time: Column) -> Result<(LogicalPlan, Column)> {
    if !input.schema().fields().iter().any(|f| COLUMNS.contains(&f.name().as_str())) {
        return Ok((input, time));
    }
    let at = input.schema().index_of_column(&time)?;
    let (mut kept, mut times) = (Vec::new(), time.clone());
    for (index, column) in input.schema().columns().into_iter().enumerate() {
        if !COLUMNS.contains(&column.name.as_str()) {
            kept.push(Expr::Column(column));
        } else if index == at {
            times = Column::new(column.relation.clone(), with_mark(&column.name, 0));
            kept.push(Expr::Column(column).alias_qualified(times.relation.clone(), &times.name));
        }
    }
    Ok((LogicalPlan::Projection(Projection::try_new(kept, Arc::new(input))?), times))
}

/// The window function's columns without the time that `inner` has renamed.
pub(super) fn outer(plan: LogicalPlan, time: &Column) -> Result<LogicalPlan> {
    if !COLUMNS.iter().any(|name| with_mark(name, 0) == time.name) {
        return Ok(plan);
    }
    let kept = plan.schema().columns().into_iter().filter(|column| column != time).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(plan))?))
}
