//! Subqueries that are read as values, `SELECT EXISTS (…)`, `x IN (SELECT …)`, `x > ANY (SELECT …)`: what reads no row outside is known before the rows
//! are read, the rest is a mark that a join sets. DataFusion plans them in conditions only, and takes what is not known for false there, under NOT too.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, EmptyRelation, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, not};
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::never_null::never_null;
use super::{membership, met};
use crate::error::Error;
use crate::plan::join;

/// The rule: it comes before those that decorrelate.
#[derive(Debug)]
pub(in crate::plan) struct SubqueryValues;

impl OptimizerRule for SubqueryValues {
    fn name(&self) -> &str {
        "subquery_values"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let conditions = match &plan {
            LogicalPlan::Filter(_) => true,
            LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => false,
            _ => return Ok(Transformed::no(plan)),
        };
        let exprs = plan.expressions();
        if !exprs.iter().any(asks) {
            return Ok(Transformed::no(plan));
        }
        let Some(input) = plan.inputs().first().map(|input| (*input).clone()) else { return Ok(Transformed::no(plan)) };
        let mut values = Values { rule: self, config, filter: &plan, input };
        let names = NamePreserver::new(&plan);
        let mut changed = false;
        let exprs = exprs.into_iter().map(|e| {
            let name = names.save(&e);
            let read = if conditions { values.of_condition(e, true)? } else { values.of(e)? };
            changed |= read.transformed;
            Ok(name.restore(read.data))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        if !changed {
            return Ok(Transformed::no(plan));
        }
        let rebuilt = plan.with_new_exprs(exprs, vec![values.input])?;
        if rebuilt.schema().fields().len() == plan.schema().fields().len() {
            return Ok(Transformed::yes(rebuilt));
        }
        // The marks go again.
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        Ok(Transformed::yes(LogicalPlanBuilder::from(rebuilt).project(columns)?.build()?))
    }
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))).unwrap_or(false)
}

struct Values<'a> {
    rule: &'a SubqueryValues,
    config: &'a dyn OptimizerConfig,
    /// The node whose expressions they are.
    filter: &'a LogicalPlan,
    /// What the expressions are over, with a mark for each subquery that reads its rows.
    input: LogicalPlan,
}

impl Values<'_> {
    /// Of a condition only what is not known where it matters, which it does not through AND and OR: there it is as good as false, and DataFusion's own joins
    /// are quicker. `alone` says that nothing but AND is around it.
    fn of_condition(&mut self, e: Expr, alone: bool) -> Result<Transformed<Expr>> {
        match e {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let alone = alone && op == Operator::And;
                let (left, right) = (self.of_condition(*left, alone)?, self.of_condition(*right, alone)?);
                let changed = left.transformed || right.transformed;
                let both = Expr::BinaryExpr(BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) });
                Ok(if changed { Transformed::yes(both) } else { Transformed::no(both) })
            }
            // A row there always is: DataFusion's join would look for one that the condition lets through.
            ref asks @ (Expr::Exists(Exists { ref subquery, .. }) | Expr::InSubquery(InSubquery { ref subquery, .. }))
                if always_a_row(&subquery.subquery) =>
            {
                self.of(asks.clone())
            }
            // A join of its own, whose key the value is.
            e if alone && not_in(&e).is_some_and(|(value, list)| list.outer_ref_columns.is_empty() && value.any_column_refs()) => {
                Ok(Transformed::no(e))
            }
            Expr::Exists(_) => Ok(Transformed::no(e)),
            Expr::InSubquery(InSubquery { ref subquery, negated: false, .. })
                if subquery.outer_ref_columns.is_empty() || met::is_column(subquery) =>
            {
                Ok(Transformed::no(e))
            }
            e => match met::comparison(&e).filter(asks_rows) {
                Some(compared) => self.met(compared),
                None if asks_of_rows(&e) => self.of(e),
                None => Ok(Transformed::no(e)),
            },
        }
    }

    /// A comparison in a condition.
    fn met(&self, (compared, negated): (SetComparison, bool)) -> Result<Transformed<Expr>> {
        let list = &compared.subquery.subquery;
        if limited(list)? || counted(list)? {
            return Err(refusal().into());
        }
        let sure = never_null(&compared.expr, self.filter) && has_no_null(list);
        Ok(Transformed::yes(met::met((compared, negated), sure, self.input.schema())?))
    }

    fn of(&mut self, e: Expr) -> Result<Transformed<Expr>> {
        e.transform_down(|e| match e {
            Expr::Exists(exists) if always_a_row(&exists.subquery.subquery) => Ok(Transformed::yes(lit(!exists.negated))),
            Expr::Exists(_) | Expr::InSubquery(_) => match membership::known(&e, self.input.schema())? {
                Some(known) => Ok(Transformed::yes(known)),
                None => self.joined(e),
            },
            Expr::SetComparison(compared) => self.compared(compared),
            other => Ok(Transformed::no(other)),
        })
    }

    fn joined(&mut self, e: Expr) -> Result<Transformed<Expr>> {
        let (value, negated) = match e {
            Expr::Exists(Exists { subquery, negated }) => (Transformed::yes(self.mark(subquery)?), negated),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                (self.compared(SetComparison { expr, subquery, op: Operator::Eq, quantifier: SetQuantifier::Any })?, negated)
            }
            other => (Transformed::no(other), false),
        };
        Ok(if negated { value.update_data(not) } else { value })
    }

    /// A comparison with the rows of a subquery, as CASE over what EXISTS says of them.
    fn compared(&self, compared: SetComparison) -> Result<Transformed<Expr>> {
        if limited(&compared.subquery.subquery)? || counted(&compared.subquery.subquery)? {
            return Err(refusal().into());
        }
        if always_a_row(&compared.subquery.subquery) {
            let only = Expr::ScalarSubquery(compared.subquery);
            return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(compared.expr, compared.op, Box::new(only)))));
        }
        let compared = SetComparison { subquery: met::named(compared.subquery)?, ..compared };
        let of = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::clone(self.input.schema()) });
        let filter = LogicalPlan::Filter(Filter::try_new(Expr::SetComparison(compared), Arc::new(of))?);
        match RewriteSetComparison::new().rewrite(filter, self.config)?.data {
            LogicalPlan::Filter(filter) => Ok(Transformed::yes(filter.predicate)),
            _ => Err(refusal().into()),
        }
    }

    /// The column that says whether the subquery has a row for the row outside.
    fn mark(&mut self, subquery: Subquery) -> Result<Expr> {
        if skips(&subquery.subquery)? {
            return Err(refusal().into());
        }
        let inner = Arc::unwrap_or_clone(subquery.subquery);
        let inner = inner.transform_down_with_subqueries(|plan| self.rule.rewrite(plan, self.config))?.data;
        let subquery = Subquery { subquery: Arc::new(inner), ..subquery };
        // DataFusion's rule for a condition sets the mark; the condition itself is left out.
        let condition = Expr::IsTrue(Box::new(Expr::Exists(Exists { subquery, negated: false })));
        let filter = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(self.input.clone()))?);
        let LogicalPlan::Projection(columns) = DecorrelatePredicateSubquery::new().rewrite(filter, self.config)?.data else {
            return Err(refusal().into());
        };
        match Arc::unwrap_or_clone(columns.input) {
            LogicalPlan::Filter(Filter { predicate: Expr::IsTrue(mark), input, .. }) if matches!(mark.as_ref(), Expr::Column(_)) => {
                self.input = Arc::unwrap_or_clone(input);
                Ok(*mark)
            }
            _ => Err(refusal().into()),
        }
    }
}

fn asks_of_rows(e: &Expr) -> bool {
    e.exists(|e| Ok(matches!(e, Expr::InSubquery(_) | Expr::SetComparison(_)))).unwrap_or(false)
}

/// Whether EXISTS says it: an IN of a list that is the same for all rows is known before they are read, and of one row there always is, the value is compared.
fn asks_rows((compared, negated): &(SetComparison, bool)) -> bool {
    let SetComparison { subquery, op, quantifier, .. } = compared;
    let not_in = *negated && *op == Operator::Eq && *quantifier == SetQuantifier::Any;
    !(always_a_row(&subquery.subquery) || not_in && subquery.outer_ref_columns.is_empty())
}

/// The value and the list of a NOT IN.
fn not_in(e: &Expr) -> Option<(&Expr, &Subquery)> {
    let (of, wanted) = match e {
        Expr::Not(inner) => (inner.as_ref(), false),
        other => (other, true),
    };
    match of {
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if *negated == wanted => Some((expr, subquery)),
        _ => None,
    }
}

/// Whether DataFusion's join answers such a condition of a filter: it knows the NULLs of a list that is the same for all rows, and not those of one that is
/// another for each.
fn is_joined((value, list): (&Expr, &Subquery), filter: &LogicalPlan) -> bool {
    list.outer_ref_columns.is_empty() || never_null(value, filter) && has_no_null(&list.subquery)
}

fn has_no_null(list: &LogicalPlan) -> bool {
    list.schema().columns().into_iter().all(|column| never_null(&Expr::Column(column), list))
}

/// Errs for NOT IN with values that may be NULL in a continuous query, whose answer would be that of what came so far.
pub(in crate::plan) fn check(state: &SessionState, plan: &LogicalPlan) -> Result<()> {
    // What views leave out is seen when they stand in the plan.
    let analysed = || state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
    if has_unknown(plan)? && has_unknown(&analysed()?)? {
        return Err(join::null_refusal().into());
    }
    Ok(())
}

fn has_unknown(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            let unknown = |term: &&Expr| not_in(term).is_some_and(|of| !is_joined(of, node));
            found |= split_conjunction(&filter.predicate).iter().any(unknown);
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// An aggregate without GROUP BY gives a row of none too.
pub(super) fn always_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => always_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => always_a_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Whether a LIMIT counts rows that depend on the row outside.
fn limited(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Limit(_)) && !node.all_out_ref_exprs().is_empty()))
}

/// Whether a window function goes over rows that depend on the row outside: joined, they would be those of all rows.
pub(in crate::plan) fn counted(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Window(window) if !window.input.all_out_ref_exprs().is_empty())))
}

/// Whether rows that depend on the row outside are left out by their number.
fn skips(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let skips = matches!(node, LogicalPlan::Limit(limit) if limit.skip.as_ref().is_some_and(|skip| **skip != lit(0_i64)));
        Ok(skips && !node.all_out_ref_exprs().is_empty())
    })
}

pub(in crate::plan) fn refusal() -> Error {
    Error::unsupported(
        "a subquery that reads columns of the query around it elsewhere than in its WHERE",
        "Join its tables instead, or compare in WHERE of the subquery, without LIMIT or UNION around that.",
    )
}
