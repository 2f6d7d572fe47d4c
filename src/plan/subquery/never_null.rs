//! Where a value cannot be NULL: its column is NOT NULL, or a filter below leaves NULLs out.

use datafusion::common::JoinType;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::plan::grouping;

/// Whether an expression over the columns of a plan is NULL for none of its rows. What is not known may be.
pub(in crate::plan) fn never_null(expr: &Expr, plan: &LogicalPlan) -> bool {
    let expr = without_cast(expr);
    if expr.nullable(plan.schema()).is_ok_and(|nullable| !nullable) {
        return true;
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            split_conjunction(&filter.predicate).into_iter().any(|term| leaves_out(term, expr)) || never_null(expr, &filter.input)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => never_null(expr, input),
        LogicalPlan::Join(join) => {
            let (left, right) = match join.join_type {
                JoinType::Inner => (true, true),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
                JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
                JoinType::Full => (false, false),
            };
            let of = |side: &LogicalPlan| expr.column_refs().iter().all(|column| side.schema().has_column(column));
            left && of(&join.left) && never_null(expr, &join.left) || right && of(&join.right) && never_null(expr, &join.right)
        }
        // These call their columns otherwise than their inputs.
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Aggregate(_) => {
            let Expr::Column(column) = expr else { return false };
            let Ok(at) = plan.schema().index_of_column(column) else { return false };
            match plan {
                LogicalPlan::Projection(projection) => projection.expr.get(at).is_some_and(|e| never_null(e, &projection.input)),
                LogicalPlan::SubqueryAlias(alias) => {
                    alias.input.schema().columns().into_iter().nth(at).is_some_and(|c| never_null(&Expr::Column(c), &alias.input))
                }
                LogicalPlan::Aggregate(node) => {
                    grouping::keys(node).get(at).is_some_and(|key| grouping::in_every_set(node, key) && never_null(key, &node.input))
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Without its name, and without casts: of a value that is not NULL they make another.
fn without_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_cast(&alias.expr),
        Expr::Cast(cast) => without_cast(&cast.expr),
        other => other,
    }
}

/// Whether a condition is not true where the expression is NULL.
fn leaves_out(condition: &Expr, expr: &Expr) -> bool {
    let same = |e: &Expr| without_cast(e) == expr;
    match condition {
        Expr::IsNotNull(e) => same(e),
        Expr::Not(e) => matches!(e.as_ref(), Expr::IsNull(e) if same(e)),
        Expr::BinaryExpr(b) => {
            use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
            matches!(b.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) && (same(&b.left) || same(&b.right))
        }
        Expr::Between(b) => same(&b.expr),
        Expr::InList(list) => same(&list.expr),
        Expr::Like(like) => same(&like.expr),
        _ => false,
    }
}
