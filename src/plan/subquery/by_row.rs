//! Subqueries that are one value for each row outside, `(SELECT count(*) FROM t AS u WHERE u.at < t.at)`, joined by other than equalities, or with what is
//! read outside in what they select: the rows outside are numbered and joined with theirs, and the aggregates are those of each number. DataFusion joins
//! aggregates, which such conditions come too late for.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Column, JoinType};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::first_value;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit};
use framesql_udfs::frame::is_frame;

use super::below::{self, Below, asks_further, columns_of, outside, replaced};

/// The number of a row outside.
const NUMBER: &str = "__row_outside";
/// Whether a row of the subquery stands beside it.
const THERE: &str = "__there";
/// The columns of the subquery's rows.
const INSIDE: &str = "__inside";
/// Its aggregates.
const VALUE: &str = "__of_row";

/// The plan with such subqueries joined.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    below::place(plan, value)
}

fn value(below: &mut Below, e: &Expr) -> Result<Option<Expr>> {
    let Expr::ScalarSubquery(subquery) = e else { return Ok(None) };
    let rows = Rows::of(subquery).filter(|rows| !rows.joins_by_columns() && !frames(&rows.relation) && !frames(&below.plan));
    rows.map(|rows| joined(below, rows)).transpose()
}

/// Puts the join on top, and reads the value over its columns.
fn joined(below: &mut Below, rows: Rows) -> Result<Expr> {
    let around = Arc::clone(below.plan.schema());
    let numbered = LogicalPlanBuilder::from(below.plan.clone()).window([row_number()])?.build()?;
    let mut columns: Vec<Expr> = numbered.schema().columns().into_iter().map(Expr::Column).collect();
    let number = columns.pop().map(|number| number.alias(NUMBER));
    columns.extend(number);
    let left = LogicalPlanBuilder::from(numbered).project(columns)?;

    let inner = rows.relation.schema().columns();
    let name = |at: usize| Column::new_unqualified(format!("{INSIDE}_{}_{at}", below.n));
    let inside: HashMap<Column, Expr> = inner.iter().enumerate().map(|(at, of)| (of.clone(), Expr::Column(name(at)))).collect();
    let there = Column::new_unqualified(format!("{THERE}_{}", below.n));
    let renamed = inner.into_iter().enumerate().map(|(at, of)| Expr::Column(of).alias(name(at).name));
    let right = LogicalPlanBuilder::from(rows.relation).project(renamed.chain([lit(true).alias(&there.name)]))?.build()?;
    let read = |e: Expr| outside(replaced(e, &inside)?, &around);

    let condition = conjunction(rows.conditions.into_iter().map(read).collect::<Result<Vec<_>>>()?);
    let joined = left.join_on(right, JoinType::Left, condition)?;
    let mut given = Vec::new();
    let mut aggregates = Vec::new();
    for of in around.columns() {
        given.push((of.relation.clone(), of.name.clone()));
        aggregates.push(first_value(Expr::Column(of), Vec::new()));
    }
    let mut values: HashMap<Column, Expr> = HashMap::new();
    for (at, (column, aggregate)) in rows.aggregates.into_iter().enumerate() {
        let name = format!("{VALUE}_{}_{at}", below.n);
        values.insert(column, Expr::Column(Column::new_unqualified(&name)));
        given.push((None, name));
        aggregates.push(beside(read(aggregate)?, &there));
    }
    let aggregates = aggregates.into_iter().enumerate().map(|(at, e)| e.alias(format!("{VALUE}_{}_all_{at}", below.n)));
    let grouped = joined.aggregate([Expr::Column(Column::new_unqualified(NUMBER))], aggregates)?.build()?;
    let columns = grouped.schema().columns().into_iter().skip(1).zip(given);
    let columns = columns.map(|(column, (relation, name))| Expr::Column(column).alias_qualified(relation, name)).collect::<Vec<_>>();
    below.plan = LogicalPlanBuilder::from(grouped).project(columns)?.build()?;
    below.n += 1;
    read(replaced(rows.value, &values)?)
}

/// The aggregate over the rows that are there.
fn beside(aggregate: Expr, there: &Column) -> Expr {
    match aggregate {
        Expr::AggregateFunction(mut call) => {
            let there = Expr::Column(there.clone()).is_true();
            let filter = call.params.filter.take().map_or_else(|| there.clone(), |filter| filter.and(there.clone()));
            call.params.filter = Some(Box::new(filter));
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

fn frames(plan: &LogicalPlan) -> bool {
    plan.schema().fields().iter().any(|field| is_frame(field.data_type()))
}

/// A subquery that is one row of aggregates, taken apart.
struct Rows {
    /// What it reads, which reads nothing outside.
    relation: LogicalPlan,
    /// Which of its rows stand beside a row outside.
    conditions: Vec<Expr>,
    /// The aggregates, by the columns that they are read as.
    aggregates: Vec<(Column, Expr)>,
    /// What is selected, over these.
    value: Expr,
}

impl Rows {
    fn of(subquery: &Subquery) -> Option<Rows> {
        if subquery.outer_ref_columns.is_empty() {
            return None;
        }
        let mut plan = subquery.subquery.as_ref();
        let [selected] = plan.schema().columns().try_into().ok()?;
        let mut value = Expr::Column(selected);
        while let LogicalPlan::Projection(projection) = plan {
            value = replaced(value, &columns_of(projection)).ok()?;
            plan = &projection.input;
        }
        let LogicalPlan::Aggregate(aggregate) = plan else { return None };
        if !aggregate.group_expr.is_empty() {
            return None;
        }
        let named = aggregate.schema.columns().into_iter().zip(aggregate.aggr_expr.iter().map(|e| e.clone().unalias()));
        let mut aggregates: Vec<(Column, Expr)> = named.collect();
        let mut conditions: Vec<Expr> = Vec::new();
        plan = &aggregate.input;
        loop {
            match plan {
                LogicalPlan::Filter(filter) => {
                    conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                    plan = &filter.input;
                }
                LogicalPlan::Projection(projection) if !plan.all_out_ref_exprs().is_empty() => {
                    let columns = columns_of(projection);
                    for (_, aggregate) in &mut aggregates {
                        *aggregate = replaced(aggregate.clone(), &columns).ok()?;
                    }
                    conditions = conditions.into_iter().map(|e| replaced(e, &columns)).collect::<Result<_>>().ok()?;
                    plan = &projection.input;
                }
                _ => break,
            }
        }
        let rows = Rows { relation: plan.clone(), conditions, aggregates, value };
        let further = rows.conditions.iter().chain(rows.aggregates.iter().map(|(_, e)| e)).chain([&rows.value]).any(asks_further);
        (!further && rows.relation.all_out_ref_exprs().is_empty()).then_some(rows)
    }

    /// Whether DataFusion joins it: by equalities of its columns, and with nothing of the row outside in its aggregates.
    fn joins_by_columns(&self) -> bool {
        let outer_only = |e: &Expr| e.contains_outer() && e.column_refs().is_empty();
        let by_columns = |e: &Expr| match e {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                outer_only(left) && !right.contains_outer() || outer_only(right) && !left.contains_outer()
            }
            e => !e.contains_outer(),
        };
        self.conditions.iter().all(by_columns) && !self.aggregates.iter().any(|(_, e)| e.contains_outer())
    }
}
