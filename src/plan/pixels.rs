//! Puts functions that look at pixels below what keeps no pixels: an aggregate, a sort or OVER reads their results, computed row by row beneath it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Case, Expr, LogicalPlan, Projection, Sort, Window};
use framesql_udfs::function::reads_pixels;

/// The relation of the columns that hold their results.
const BELOW: &str = "__pixels";

/// The plan with every such call below the first node that keeps no pixels.
pub(super) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let mut below = Below::default();
            let groups = below.take_all(aggregate.group_expr)?;
            let aggregates = below.take_all(aggregate.aggr_expr)?;
            let input = below.over(aggregate.input)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(input, groups, aggregates)?)))
        }
        LogicalPlan::Sort(sort) => {
            let columns = sort.input.schema().columns();
            let mut below = Below::default();
            let mut keys = Vec::new();
            for key in sort.expr {
                let (expr, key) = (key.expr.clone(), key);
                keys.push(key.with_expr(below.take(expr, None)?));
            }
            let found = !below.calls.is_empty();
            let sort = LogicalPlan::Sort(Sort { expr: keys, input: below.over(sort.input)?, fetch: sort.fetch });
            Ok(Transformed::yes(if found { only(sort, columns)? } else { sort }))
        }
        LogicalPlan::Window(window) => {
            let columns = window.schema.columns();
            let mut below = Below::default();
            let exprs = below.take_all(window.window_expr)?;
            let found = !below.calls.is_empty();
            let window = LogicalPlan::Window(Window::try_new(exprs, below.over(window.input)?)?);
            Ok(Transformed::yes(if found { only(window, columns)? } else { window }))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

fn only(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    let columns = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// The calls of one node, each with the column that holds its result.
#[derive(Default)]
struct Below {
    calls: Vec<(Expr, String)>,
}

impl Below {
    /// Expressions that keep the names they had.
    fn take_all(&mut self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        exprs
            .into_iter()
            .map(|e| {
                let name = names.save(&e);
                let filter = match &e.clone().unalias() {
                    Expr::AggregateFunction(f) => f.params.filter.clone(),
                    _ => None,
                };
                Ok(name.restore(self.take(e, filter.as_deref())?))
            })
            .collect()
    }

    /// The expression with its outermost calls replaced by columns; with a filter they run only for the rows that pass it.
    fn take(&mut self, expr: Expr, filter: Option<&Expr>) -> Result<Expr> {
        let taken = expr.transform_down(|e| {
            if !matches!(&e, Expr::ScalarFunction(f) if reads_pixels(f.func.name())) {
                return Ok(Transformed::no(e));
            }
            // The filter itself is evaluated for all rows.
            let guarded = match filter.filter(|f| !mentions(f, &e)) {
                Some(filter) => {
                    let then = (Box::new(filter.clone()), Box::new(e.clone()));
                    Expr::Case(Case::new(None, vec![then], None))
                }
                None => e,
            };
            let known = self.calls.iter().find(|(call, _)| *call == guarded).map(|(_, name)| name.clone());
            let name = known.unwrap_or_else(|| {
                let name = guarded.schema_name().to_string();
                self.calls.push((guarded, name.clone()));
                name
            });
            Ok(Transformed::new(Expr::Column(Column::new(Some(TableReference::bare(BELOW)), name)), true, TreeNodeRecursion::Jump))
        })?;
        Ok(taken.data)
    }

    /// The node's input with the results beside its columns.
    fn over(self, input: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        if self.calls.is_empty() {
            return Ok(input);
        }
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        columns.extend(self.calls.into_iter().map(|(call, name)| call.alias_qualified(Some(TableReference::bare(BELOW)), name)));
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
    }
}

fn mentions(expr: &Expr, call: &Expr) -> bool {
    // The closure does not fail.
    expr.exists(|e| Ok(e == call)).unwrap_or(false)
}
