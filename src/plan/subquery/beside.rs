//! `LATERAL (SELECT …)` whose rows depend on the row beside it by more than `=` in its WHERE, or are counted there: the rows beside are numbered and
//! carried through the subquery, in which what counts rows counts them for each number.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, TableReference, internal_err};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, DistinctOn, Expr, ExprFunctionExt, FetchType, Filter, Join, Limit, LogicalPlan, LogicalPlanBuilder,
    Operator, Projection, SkipType, Subquery, Union, Window, lit, when,
};

use super::values::refusal;

/// The names of the columns that are carried, and of the number of a row beside.
const CARRIED: &str = "__beside";
const NUMBER: &str = "__beside_number";
/// The name of the number of a row among those of one beside.
const RANK: &str = "__beside_rank";

/// The plan with such joins written out; DataFusion joins the others.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= matches!(node, LogicalPlan::Join(join) if lateral(&join.right).is_some());
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::Inner | JoinType::Left) => match lateral(&join.right) {
            Some((subquery, alias)) if asks(&subquery.subquery)? => {
                Ok(Transformed::yes(Beside::of(&join)?.joined(&join, &subquery, alias)?))
            }
            _ => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

/// The subquery of a side that reads the other, and its alias.
fn lateral(plan: &LogicalPlan) -> Option<(Subquery, Option<TableReference>)> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some((subquery.clone(), None)),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => Some((subquery.clone(), Some(alias.alias.clone()))),
            _ => None,
        },
        _ => None,
    }
}

fn correlated(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.contains_outer_reference();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether DataFusion cannot join the rows of a subquery to those beside, or would count those of all of them together.
fn asks(plan: &LogicalPlan) -> Result<bool> {
    if !correlated(plan)? {
        return Ok(false);
    }
    let below = |plan: &LogicalPlan| -> Result<bool> {
        for input in plan.inputs() {
            if asks(input)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let inputs = plan.inputs().into_iter().map(correlated).collect::<Result<Vec<_>>>()?.contains(&true);
    Ok(match plan {
        LogicalPlan::Filter(filter) => {
            !inputs && other_than_equal(&filter.predicate, false) || inputs && plan.contains_outer_reference() || below(plan)?
        }
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Sort(_) => below(plan)?,
        LogicalPlan::Projection(_) => plan.contains_outer_reference() || below(plan)?,
        LogicalPlan::Aggregate(aggregate) => plan.contains_outer_reference() || !equal_below(&aggregate.input)? || below(plan)?,
        LogicalPlan::Distinct(Distinct::All(input)) => !equal_below(input)? || below(plan)?,
        LogicalPlan::Window(window) => !parted(window)? || below(plan)?,
        LogicalPlan::Extension(_) => false,
        _ => true,
    })
}

/// Whether a condition reads the row beside otherwise than by a comparison, which DataFusion makes one of the join.
fn other_than_equal(predicate: &Expr, equal_only: bool) -> bool {
    split_conjunction(predicate).into_iter().filter(|part| part.contains_outer()).any(|part| match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let compares = if equal_only {
                *op == Operator::Eq
            } else {
                matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
            };
            !compares || left.contains_outer() && left.any_column_refs() || right.contains_outer() && right.any_column_refs()
        }
        _ => true,
    })
}

/// Whether rows are of one beside by `=` alone.
fn equal_below(plan: &LogicalPlan) -> Result<bool> {
    let mut equal = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            equal &= !other_than_equal(&filter.predicate, true);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(equal)
}

/// Whether window functions go over the rows of one beside: they are parted by what equals its columns.
fn parted(window: &Window) -> Result<bool> {
    if !equal_below(&window.input)? {
        return Ok(false);
    }
    let mut by = HashSet::new();
    window.input.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            for part in split_conjunction(&filter.predicate).into_iter().filter(|part| part.contains_outer()) {
                by.extend(part.column_refs().into_iter().cloned());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let holds = |e: &Expr| match e.clone().unalias() {
        Expr::WindowFunction(call) => by.iter().all(|column| call.params.partition_by.contains(&Expr::Column(column.clone()))),
        _ => false,
    };
    Ok(window.window_expr.iter().all(holds))
}

/// The rows beside.
struct Beside {
    /// Their columns by the names under which they are carried, and the number.
    rows: LogicalPlan,
    /// What the columns are.
    columns: Vec<Column>,
}

fn carried_name(at: usize) -> String {
    format!("{CARRIED}_{at}")
}

fn column(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

impl Beside {
    fn of(join: &Join) -> Result<Beside> {
        let columns = join.left.schema().columns();
        let numbered = LogicalPlanBuilder::from(join.left.as_ref().clone()).window([row_number().alias(NUMBER)])?;
        let carried = columns.iter().enumerate().map(|(at, of)| Expr::Column(of.clone()).alias(carried_name(at)));
        let rows = numbered.project(carried.chain([column(NUMBER)]).collect::<Vec<_>>())?.build()?;
        Ok(Beside { rows, columns })
    }

    /// What is carried.
    fn carried(&self) -> Vec<Expr> {
        (0..self.columns.len()).map(|at| column(carried_name(at))).chain([column(NUMBER)]).collect()
    }

    fn joined(self, join: &Join, subquery: &Subquery, alias: Option<TableReference>) -> Result<LogicalPlan> {
        let given: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
        let right = self.carry(&subquery.subquery)?;
        let own = subquery.subquery.schema().columns();
        let named = |of: &Column| match &alias {
            Some(alias) => Expr::Column(of.clone()).alias_qualified(Some(alias.clone()), of.name.clone()),
            None => Expr::Column(of.clone()),
        };
        let left = |at: usize, of: &Column| column(carried_name(at)).alias_qualified(of.relation.clone(), of.name.clone());
        let condition = join.on.iter().map(|(a, b)| a.clone().eq(b.clone())).chain(join.filter.clone()).reduce(Expr::and);
        let plan = if join.join_type == JoinType::Inner {
            let all = self.columns.iter().enumerate().map(|(at, of)| left(at, of)).chain(own.iter().map(named));
            let plan = LogicalPlanBuilder::from(right).project(all.collect::<Vec<_>>())?;
            match condition {
                Some(condition) => plan.filter(condition)?.build()?,
                None => plan.build()?,
            }
        } else {
            // Rows beside that have none come again, with the number that they had.
            const AGAIN: &str = "__beside_again";
            let again = column(NUMBER).alias(AGAIN);
            let all = self.columns.iter().enumerate().map(|(at, of)| left(at, of)).chain([again]).collect::<Vec<_>>();
            let beside = LogicalPlanBuilder::from(self.rows.clone()).project(all)?;
            let right =
                LogicalPlanBuilder::from(right).project(own.iter().map(named).chain([column(NUMBER)]).collect::<Vec<_>>())?.build()?;
            let same = column(AGAIN).eq(column(NUMBER));
            beside.join_on(right, JoinType::Left, std::iter::once(same).chain(condition))?.build()?
        };
        LogicalPlanBuilder::from(plan).project(given)?.build()
    }

    /// The expression over the columns that are carried. Errs (0A000) for what reads them from within a subquery.
    fn read(&self, e: Expr) -> Result<Expr> {
        let read = e.transform_down(|e| match &e {
            Expr::OuterReferenceColumn(_, of) => match self.columns.iter().position(|column| column == of) {
                Some(at) => Ok(Transformed::yes(column(carried_name(at)))),
                None => Ok(Transformed::no(e)),
            },
            Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => Err(refusal().into()),
            Expr::Exists(of) if !of.subquery.outer_ref_columns.is_empty() => Err(refusal().into()),
            Expr::InSubquery(of) if !of.subquery.outer_ref_columns.is_empty() => Err(refusal().into()),
            _ => Ok(Transformed::no(e)),
        });
        Ok(read?.data)
    }

    fn read_all(&self, all: &[Expr]) -> Result<Vec<Expr>> {
        all.iter()
            .map(|e| {
                let name = e.schema_name().to_string();
                let read = self.read(e.clone())?;
                Ok(if read.schema_name().to_string() == name { read } else { read.alias(name) })
            })
            .collect()
    }

    /// The plan with the columns beside behind its own.
    fn carry(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if !correlated(plan)? {
            return LogicalPlanBuilder::from(self.rows.clone()).cross_join(plan.clone())?.project(self.with_carried(plan))?.build();
        }
        match plan {
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let predicate = self.read(predicate.clone())?;
                if correlated(input)? {
                    return LogicalPlanBuilder::from(self.carry(input)?).filter(predicate)?.build();
                }
                let joined = LogicalPlanBuilder::from(self.rows.clone()).join_on(input.as_ref().clone(), JoinType::Inner, [predicate])?;
                joined.project(self.with_carried(plan))?.build()
            }
            LogicalPlan::Projection(Projection { expr, input, .. }) => {
                let exprs = self.read_all(expr)?.into_iter().chain(self.carried()).collect::<Vec<_>>();
                LogicalPlanBuilder::from(self.carry(input)?).project(exprs)?.build()
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let own = alias.input.schema().columns().into_iter().zip(plan.schema().columns());
                let own = own.map(|(of, to)| Expr::Column(of).alias_qualified(to.relation, to.name));
                LogicalPlanBuilder::from(self.carry(&alias.input)?).project(own.chain(self.carried()).collect::<Vec<_>>())?.build()
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.carry(&sort.input),
            LogicalPlan::Limit(limit) => self.limited(limit),
            LogicalPlan::Aggregate(aggregate) => self.gathered(aggregate),
            LogicalPlan::Window(window) => self.windows(window),
            LogicalPlan::Distinct(Distinct::All(input)) => LogicalPlanBuilder::from(self.carry(input)?).distinct()?.build(),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let number = || column(NUMBER);
                let keys = self.read_all(&on.on_expr)?.into_iter().chain([number()]).collect();
                let select = self.read_all(&on.select_expr)?.into_iter().chain(self.carried()).collect();
                let mut order = on.sort_expr.clone();
                if let Some(order) = &mut order {
                    order.insert(on.on_expr.len().min(order.len()), number().sort(true, false));
                }
                let input = Arc::new(self.carry(&on.input)?);
                let distinct = DistinctOn::try_new(keys, select, order, input)?;
                Ok(LogicalPlan::Distinct(Distinct::On(distinct)))
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| Ok(Arc::new(self.carry(input)?))).collect::<Result<Vec<_>>>()?;
                Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
            }
            LogicalPlan::Subquery(subquery) => self.carry(&subquery.subquery),
            _ => Err(refusal().into()),
        }
    }

    /// The columns of a plan and those that are carried.
    fn with_carried(&self, plan: &LogicalPlan) -> Vec<Expr> {
        plan.schema().columns().into_iter().map(Expr::Column).chain(self.carried()).collect()
    }

    /// So many rows for each beside.
    fn limited(&self, limit: &Limit) -> Result<LogicalPlan> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?) else {
            return Err(refusal().into());
        };
        let (above, input) = match limit.input.as_ref() {
            LogicalPlan::Projection(projection) if matches!(projection.input.as_ref(), LogicalPlan::Sort(_)) => {
                (Some(&projection.expr), projection.input.as_ref())
            }
            input => (None, input),
        };
        let (order, input): (&[Sort], &LogicalPlan) = match input {
            LogicalPlan::Sort(sort) => (&sort.expr, &sort.input),
            input => (&[], input),
        };
        let order = order.iter().map(|by| Ok(Sort { expr: self.read(by.expr.clone())?, ..by.clone() })).collect::<Result<Vec<_>>>()?;
        let own = input.schema().columns().into_iter().map(Expr::Column);
        let carried = self.carry(input)?;
        let rank = row_number().partition_by(vec![column(NUMBER)]).order_by(order).build()?.alias(RANK);
        let rank_of = |n: usize| lit(u64::try_from(n).unwrap_or(u64::MAX));
        let ranked = LogicalPlanBuilder::from(carried).window([rank])?;
        let mut kept = column(RANK).gt(rank_of(skip));
        if let Some(fetch) = fetch {
            kept = kept.and(column(RANK).lt_eq(rank_of(skip.saturating_add(fetch))));
        }
        let own = match above {
            Some(exprs) => self.read_all(exprs)?,
            None => own.collect(),
        };
        ranked.filter(kept)?.project(own.into_iter().chain(self.carried()).collect::<Vec<_>>())?.build()
    }

    /// What is gathered for each row beside. Without GROUP BY that is a row also where there is nothing.
    fn gathered(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Err(refusal().into());
        }
        let names = aggregate.schema.columns();
        let keys = self.read_all(&aggregate.group_expr)?;
        let n_keys = keys.len();
        let values = aggregate.aggr_expr.iter().map(|e| self.read(e.clone())).collect::<Result<Vec<_>>>()?;
        let input = Arc::new(self.carry(&aggregate.input)?);
        let gathered = Aggregate::try_new(input, keys.into_iter().chain(self.carried()).collect(), values)?;
        let columns = gathered.schema.columns();
        let (own, rest) = columns.split_at(n_keys.min(columns.len()));
        let values = rest.get(self.columns.len() + 1..).unwrap_or_default();
        let named =
            own.iter().chain(values).zip(&names).map(|(of, to)| Expr::Column(of.clone()).alias_qualified(to.relation.clone(), &to.name));
        let named: Vec<Expr> = named.collect();
        let plan = LogicalPlanBuilder::from(LogicalPlan::Aggregate(gathered));
        if n_keys > 0 {
            return plan.project(named.into_iter().chain(self.carried()).collect::<Vec<_>>())?.build();
        }
        const FOUND: &str = "__beside_found";
        let found = plan.project(named.into_iter().chain([column(NUMBER).alias(FOUND)]).collect::<Vec<_>>())?.build()?;
        let same = column(NUMBER).eq(column(FOUND));
        let all = LogicalPlanBuilder::from(self.rows.clone()).join_on(found, JoinType::Left, [same])?;
        let of_none = |(e, name): (&Expr, &Column)| {
            let value = Expr::Column(name.clone());
            let Expr::AggregateFunction(call) = e.clone().unalias() else { return internal_err!("an aggregate gathers by functions") };
            let (_, field) = aggregate.schema.qualified_field_from_column(name)?;
            let none = call.func.default_value(field.data_type())?;
            if none.is_null() {
                return Ok(value);
            }
            Ok(when(column(FOUND).is_null(), lit(none)).otherwise(value)?.alias_qualified(name.relation.clone(), &name.name))
        };
        let own = aggregate.aggr_expr.iter().zip(&names).map(of_none).collect::<Result<Vec<_>>>()?;
        all.project(own.into_iter().chain(self.carried()).collect::<Vec<_>>())?.build()
    }

    /// Window functions go over the rows of one beside.
    fn windows(&self, window: &Window) -> Result<LogicalPlan> {
        let names: Vec<String> = window.window_expr.iter().map(|e| e.schema_name().to_string()).collect();
        let parted = window.window_expr.iter().map(|e| {
            let parted = self.read(e.clone())?.transform_down(|e| match e {
                Expr::WindowFunction(mut call) => {
                    call.params.partition_by.push(column(NUMBER));
                    Ok(Transformed::new(Expr::WindowFunction(call), true, TreeNodeRecursion::Jump))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(parted.data)
        });
        let parted = parted.collect::<Result<Vec<_>>>()?;
        let given: Vec<String> = parted.iter().map(|e| e.schema_name().to_string()).collect();
        let own = window.input.schema().columns().into_iter().map(Expr::Column);
        let named = given.into_iter().zip(names).map(|(given, name)| column(given).alias(name));
        let all = own.chain(named).chain(self.carried()).collect::<Vec<_>>();
        LogicalPlanBuilder::from(self.carry(&window.input)?).window(parted)?.project(all)?.build()
    }
}
