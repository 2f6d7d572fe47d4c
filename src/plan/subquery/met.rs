//! Comparisons with the rows of a subquery in conditions, `x NOT IN (SELECT …)`, `x > ALL (SELECT …)`, as EXISTS of the rows that decide: to a condition it is
//! the same whether it is false or not known, so that one question is enough, which no NULL leaves open.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery};

/// The comparison that an expression is, and whether it is one that must not be met.
pub(super) fn comparison(e: &Expr) -> Option<(SetComparison, bool)> {
    match e {
        Expr::Not(inner) => comparison(inner).map(|(compared, negated)| (compared, !negated)),
        Expr::SetComparison(compared) => Some((compared.clone(), false)),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let (expr, subquery) = (expr.clone(), subquery.clone());
            Some((SetComparison { expr, subquery, op: Operator::Eq, quantifier: SetQuantifier::Any }, *negated))
        }
        _ => None,
    }
}

/// Whether DataFusion's own join answers an IN of that list: it calls a column that is computed by a name that columns by which it joins may have too.
pub(super) fn is_column(list: &Subquery) -> bool {
    match list.subquery.as_ref() {
        LogicalPlan::Projection(Projection { expr, .. }) => expr.iter().all(|e| matches!(e, Expr::Column(_))),
        _ => true,
    }
}

/// The condition. `outer` is what its left side reads; `sure` says that neither side is ever NULL.
pub(super) fn met((compared, negated): (SetComparison, bool), sure: bool, outer: &DFSchema) -> Result<Expr> {
    let SetComparison { expr, subquery, op, quantifier } = compared;
    let list = named(subquery)?;
    let Some((qualifier, field)) = list.subquery.schema().iter().next() else {
        return plan_err!("subquery must return one column");
    };
    let element = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    let compared = Expr::BinaryExpr(BinaryExpr::new(Box::new(from_outside(*expr, outer)?), op, Box::new(element)));
    let (decides, negated) = match (quantifier, negated) {
        (SetQuantifier::Any, false) => (compared, false),
        // As a plain comparison it is a key of the join.
        (SetQuantifier::Any, true) if sure => (compared, true),
        (SetQuantifier::Any, true) => (Expr::IsNotFalse(Box::new(compared)), true),
        (SetQuantifier::All, false) => (Expr::IsNotTrue(Box::new(compared)), true),
        (SetQuantifier::All, true) => (Expr::IsFalse(Box::new(compared)), false),
    };
    let plan = LogicalPlanBuilder::from(Arc::clone(&list.subquery)).filter(decides)?.build()?;
    let subquery = Subquery { outer_ref_columns: plan.all_out_ref_exprs(), subquery: Arc::new(plan), spans: list.spans };
    Ok(Expr::Exists(Exists { subquery, negated }))
}

/// The subquery with a name of its own for its column: what it is compared by may be a column that it is joined by too, or one of the query around.
pub(super) fn named(subquery: Subquery) -> Result<Subquery> {
    let (column, input) = match subquery.subquery.as_ref() {
        LogicalPlan::Projection(Projection { expr, input, .. }) if expr.len() == 1 => (expr.first().cloned(), Arc::clone(input)),
        other => (other.schema().columns().into_iter().next().map(Expr::Column), Arc::clone(&subquery.subquery)),
    };
    let Some(column) = column else { return Ok(subquery) };
    let projection = Projection::try_new(vec![column.unalias().alias("__compared")], input)?;
    Ok(Subquery { subquery: Arc::new(LogicalPlan::Projection(projection)), ..subquery })
}

fn from_outside(expr: Expr, outer: &DFSchema) -> Result<Expr> {
    let read = expr.transform_up(|e| match e {
        Expr::Column(column) => {
            let field = Arc::clone(outer.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(read.data)
}
