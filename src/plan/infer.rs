//! Hoists calls of models out of expressions, so that each runs once a frame, only for the rows for which SQL would reach it.
//!
//! It runs on the optimised plan: what can be pushed below a model has been pushed by then, and what is written twice is named once.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, ExprSchemable, Extension, Filter, Limit, LogicalPlan, Operator, Projection, Sort,
    UserDefinedLogicalNodeCore,
};
use datafusion_proto::bytes::Serializeable;
use framesql_udfs::function::is_model;

use super::model_names::model;
use crate::error::Error;

/// The relation of columns that hold the results of calls that run for every row: a later mention of the same call reads them.
const ALWAYS: &str = "__infer";
/// The relation of columns that hold results for some rows only: nobody else reads them.
const GUARDED: &str = "__infer_guarded";

/// One call of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Call {
    /// The SQL function.
    pub function: String,
    /// The model that it runs.
    pub model: String,
    /// Its arguments; the first is the frame.
    pub arguments: Vec<Expr>,
    /// The rows for which SQL would reach the call; None is all.
    pub guard: Option<Expr>,
}

/// The node: its input's columns and one more a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Infer {
    /// Where the frames come from.
    pub input: LogicalPlan,
    /// The calls, in an order in which arguments and guards find the results they read.
    pub calls: Vec<Call>,
    schema: DFSchemaRef,
}

impl PartialOrd for Infer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.calls, &self.input).partial_cmp(&(&other.calls, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Infer {
    fn name(&self) -> &str {
        "Infer"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// Each call's arguments, and its guard behind them.
    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(|c| c.arguments.iter().chain(&c.guard)).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infer: {} call(s)", self.calls.len())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.into_iter().next() else { return datafusion::common::internal_err!("Infer has one input") };
        let (mut exprs, mut calls) = (exprs.into_iter(), self.calls.clone());
        for slot in calls.iter_mut().flat_map(|c| c.arguments.iter_mut().chain(&mut c.guard)) {
            let Some(expr) = exprs.next() else { return datafusion::common::internal_err!("Infer has more expressions") };
            *slot = expr;
        }
        Ok(Infer { input, calls, schema: Arc::clone(&self.schema) })
    }
}

/// The plan with every call of a model in an Infer node of its own.
pub fn hoist(plan: LogicalPlan) -> Result<LogicalPlan> {
    place(plan, false)
}

/// `keep`: the parent names the columns it reads, so that columns of results may be left at the end of this plan's.
fn place(plan: LogicalPlan, keep: bool) -> Result<LogicalPlan> {
    let plan = plan.map_subqueries(|p| Ok(Transformed::yes(hoist(p)?)))?.data;
    match plan {
        LogicalPlan::Filter(filter) => place_filter(filter, keep),
        LogicalPlan::Projection(projection) => {
            let input = place(Arc::unwrap_or_clone(projection.input), true)?;
            let mut under = Under::new(input);
            let exprs = under.rewrite_named(projection.expr)?;
            Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(under.input))?))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let input = place(Arc::unwrap_or_clone(aggregate.input), true)?;
            let mut under = Under::new(input);
            let n_groups = aggregate.group_expr.len();
            let all = aggregate.group_expr.into_iter().chain(aggregate.aggr_expr).collect();
            let mut groups = under.rewrite_named(all)?;
            let aggregates = groups.split_off(n_groups);
            Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(under.input), groups, aggregates)?))
        }
        LogicalPlan::Sort(sort) => {
            let columns = sort.input.schema().columns();
            let input = place(Arc::unwrap_or_clone(sort.input), true)?;
            let mut under = Under::new(input);
            let (mut keys, orders): (Vec<Expr>, Vec<_>) = sort.expr.into_iter().map(|s| (s.expr.clone(), s)).unzip();
            keys = under.rewrite(keys)?;
            let expr = orders.into_iter().zip(keys).map(|(order, key)| order.with_expr(key)).collect();
            restore(LogicalPlan::Sort(Sort { expr, input: Arc::new(under.input), fetch: sort.fetch }), columns, keep)
        }
        LogicalPlan::Limit(limit) => {
            let input = Arc::new(place(Arc::unwrap_or_clone(limit.input), keep)?);
            Ok(LogicalPlan::Limit(Limit { input, ..limit }))
        }
        other => {
            let plan = other.map_children(|child| Ok(Transformed::yes(place(child, false)?)))?.data;
            let mut called = None;
            plan.apply_expressions(|e| {
                if let Some(Expr::ScalarFunction(f)) = first_call(e)? {
                    called = Some(f.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            match called {
                None => Ok(plan),
                Some(function) => Err(Error::unsupported(
                    format!("{function} in {}", plan.display().to_string().split([':', ' ']).next().unwrap_or("this place")),
                    "Call it in a subquery and use its result by name.",
                )
                .into()),
            }
        }
    }
}

fn place_filter(filter: Filter, keep: bool) -> Result<LogicalPlan> {
    let columns = filter.input.schema().columns();
    let mut input = Arc::unwrap_or_clone(filter.input);
    let (mut cheap, mut dear): (Vec<Expr>, Vec<Expr>) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction_owned(filter.predicate) {
        if first_call(&conjunct)?.is_some() { dear.push(conjunct) } else { cheap.push(conjunct) }
    }
    // A projection that names a call used twice would otherwise run it for rows that a cheap conjunct refuses.
    if let LogicalPlan::Projection(projection) = &input
        && projection.expr.iter().any(|e| matches!(first_call(e), Ok(Some(_))))
    {
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for conjunct in cheap {
            match through(&conjunct, projection)? {
                Some(moved) => below.push(moved),
                None => above.push(conjunct),
            }
        }
        cheap = above;
        if let Some(predicate) = conjunction(below) {
            let lower = LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(&projection.input))?);
            input = LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), Arc::new(lower))?);
        }
    }
    let mut input = place(input, true)?;
    if let Some(predicate) = conjunction(cheap) {
        input = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
    }
    let mut under = Under::new(input);
    let mut guard = None;
    for conjunct in &dear {
        under.collect(conjunct, guard.as_ref());
        guard = Some(and(guard, Expr::IsTrue(Box::new(conjunct.clone()))));
    }
    under.insert()?;
    let dear = dear.into_iter().map(|e| under.read(e)).collect::<Result<Vec<_>>>()?;
    let plan = match conjunction(dear) {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(under.input))?),
        None => under.input,
    };
    restore(plan, columns, keep)
}

/// A conjunct as it reads below a projection; None if it reads the result of a call.
fn through(conjunct: &Expr, projection: &Projection) -> Result<Option<Expr>> {
    let mut possible = true;
    let moved = conjunct.clone().transform(|e| match &e {
        Expr::Column(column) => {
            let made = projection.schema.index_of_column(column).ok().and_then(|at| projection.expr.get(at)).cloned().map(Expr::unalias);
            match made {
                Some(made) if first_call(&made)?.is_none() => Ok(Transformed::new(made, true, TreeNodeRecursion::Jump)),
                _ => {
                    possible = false;
                    Ok(Transformed::no(e))
                }
            }
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(possible.then_some(moved.data))
}

/// Leaves out the columns of results, unless the parent does not mind them.
fn restore(plan: LogicalPlan, columns: Vec<Column>, keep: bool) -> Result<LogicalPlan> {
    if keep || plan.schema().fields().len() == columns.len() {
        return Ok(plan);
    }
    let exprs = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// The first call of a model in an expression.
fn first_call(expr: &Expr) -> Result<Option<Expr>> {
    let mut found = None;
    expr.apply(|e| {
        if is_call(e) {
            found = Some(e.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn is_call(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if is_model(f.func.name()))
}

fn and(guard: Option<Expr>, more: Expr) -> Expr {
    match guard {
        Some(guard) => guard.and(more),
        None => more,
    }
}

/// A call as it was written, with the conditions under which it is reached; None among them is always.
struct Found {
    call: Expr,
    guards: Vec<Option<Expr>>,
}

/// Collects the calls of one node's expressions and puts an Infer node under it.
struct Under {
    input: LogicalPlan,
    found: Vec<Found>,
    /// The column of each call, by the call's text.
    columns: BTreeMap<String, Column>,
}

impl Under {
    fn new(input: LogicalPlan) -> Under {
        Under { input, found: Vec::new(), columns: BTreeMap::new() }
    }

    /// Expressions whose text is not seen above (sort keys).
    fn rewrite(&mut self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        exprs.iter().for_each(|e| self.collect(e, None));
        self.insert()?;
        exprs.into_iter().map(|e| self.read(e)).collect()
    }

    /// Expressions that keep the names they had.
    fn rewrite_named(&mut self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        let saved: Vec<_> = exprs.iter().map(|e| names.save(e)).collect();
        let rewritten = self.rewrite(exprs)?;
        Ok(rewritten.into_iter().zip(saved).map(|(e, name)| name.restore(e)).collect())
    }

    /// Walks an expression as it is evaluated.
    fn collect(&mut self, expr: &Expr, guard: Option<&Expr>) {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                self.collect(left, guard);
                // NULL AND x still needs x.
                let reached = if *op == Operator::And { Expr::IsNotFalse(left.clone()) } else { Expr::IsNotTrue(left.clone()) };
                self.collect(right, Some(&and(guard.cloned(), reached)));
            }
            Expr::Case(case) => self.collect_case(case, guard),
            Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "coalesce" => {
                let mut guard = guard.cloned();
                for arg in args {
                    self.collect(arg, guard.as_ref());
                    guard = Some(and(guard, Expr::IsNull(Box::new(arg.clone()))));
                }
            }
            Expr::AggregateFunction(aggregate) if aggregate.params.filter.is_some() => {
                let params = &aggregate.params;
                let mut inner = guard.cloned();
                if let Some(filter) = &params.filter {
                    self.collect(filter, guard);
                    inner = Some(and(inner, Expr::IsTrue(filter.clone())));
                }
                params.args.iter().for_each(|a| self.collect(a, inner.as_ref()));
                params.order_by.iter().for_each(|s| self.collect(&s.expr, inner.as_ref()));
            }
            other => {
                // The children of any other expression are all evaluated; the closure never fails.
                let _ = other.apply_children(|child| {
                    self.collect(child, guard);
                    Ok(TreeNodeRecursion::Continue)
                });
                // A guard that gives another answer each time cannot be asked twice.
                let guard = guard.filter(|g| !g.is_volatile());
                if is_call(other) {
                    match self.found.iter_mut().find(|f| f.call == *other) {
                        Some(found) => found.guards.push(guard.cloned()),
                        None => self.found.push(Found { call: other.clone(), guards: vec![guard.cloned()] }),
                    }
                }
            }
        }
    }

    fn collect_case(&mut self, case: &Case, guard: Option<&Expr>) {
        if let Some(base) = &case.expr {
            self.collect(base, guard);
        }
        let mut guard = guard.cloned();
        for (when, then) in &case.when_then_expr {
            self.collect(when, guard.as_ref());
            let condition = match &case.expr {
                Some(base) => base.as_ref().clone().eq(when.as_ref().clone()),
                None => when.as_ref().clone(),
            };
            self.collect(then, Some(&and(guard.clone(), Expr::IsTrue(Box::new(condition.clone())))));
            guard = Some(and(guard, Expr::IsNotTrue(Box::new(condition))));
        }
        if let Some(last) = &case.else_expr {
            self.collect(last, guard.as_ref());
        }
    }

    /// Puts the node under, for the calls whose results are not in the input already.
    fn insert(&mut self) -> Result<()> {
        let mut waiting = Vec::new();
        for found in std::mem::take(&mut self.found) {
            let column = Column::new(Some(TableReference::bare(ALWAYS)), text(&found.call));
            if self.input.schema().has_column(&column) {
                self.columns.insert(text(&found.call), column);
            } else {
                waiting.push(found);
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let n_input = self.input.schema().fields().len();
        let mut fields: Vec<_> = self.input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        let mut calls = Vec::new();
        while !waiting.is_empty() {
            // A guard may read results that another guard needs: where that goes round, the first call runs unguarded, which costs time and no truth.
            let at = match waiting.iter().position(|f| self.is_ready(f, true)) {
                Some(at) => at,
                None => {
                    let at = waiting.iter().position(|f| self.is_ready(f, false)).unwrap_or(0);
                    if let Some(found) = waiting.get_mut(at) {
                        found.guards = vec![None];
                    }
                    at
                }
            };
            let found = waiting.remove(at);
            let guard = found.guards.iter().cloned().reduce(|a, b| Some(a?.or(b?))).flatten();
            let data_type = found.call.get_type(self.input.schema())?;
            let Expr::ScalarFunction(call) = found.call.clone() else { continue };
            let model = model(&call)?;
            let (relation, name) = match &guard {
                None => (ALWAYS, text(&found.call)),
                Some(_) => (GUARDED, format!("{} #{}", text(&found.call), n_input + calls.len())),
            };
            let arguments = call.args.into_iter().map(|a| self.read(a)).collect::<Result<_>>()?;
            let guard = guard.map(|g| self.read(g)).transpose()?;
            fields.push((Some(TableReference::bare(relation)), Arc::new(Field::new(&name, data_type, true))));
            self.columns.insert(text(&found.call), Column::new(Some(TableReference::bare(relation)), name));
            calls.push(Call { function: call.func.name().to_owned(), model, arguments, guard });
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, self.input.schema().metadata().clone())?);
        let node = Infer { input: self.input.clone(), calls, schema };
        self.input = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(())
    }

    /// Whether the calls inside the call, and inside its guards, have a column.
    fn is_ready(&self, found: &Found, guards: bool) -> bool {
        let known = |expr: &Expr, itself: bool| {
            let mut known = true;
            let _ = expr.apply(|e| {
                known &= !is_call(e) || itself && *e == found.call || self.columns.contains_key(&text(e));
                Ok(TreeNodeRecursion::Continue)
            });
            known
        };
        known(&found.call, true) && (!guards || found.guards.iter().flatten().all(|g| known(g, false)))
    }

    /// The expression with each call replaced by its column.
    fn read(&self, expr: Expr) -> Result<Expr> {
        let read = expr.transform_down(|e| match is_call(&e).then(|| self.columns.get(&text(&e))).flatten() {
            Some(column) => Ok(Transformed::new(Expr::Column(column.clone()), true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(e)),
        })?;
        Ok(read.data)
    }
}

/// A call's name as a column; equal calls have equal names, and others have others: what DataFusion calls two lists or a cast is no difference, so that is
/// told by a sum of the whole call.
fn text(call: &Expr) -> String {
    let plain = |value: &ScalarValue| !value.data_type().is_nested();
    let unsaid =
        call.exists(|e| Ok(matches!(e, Expr::Cast(_) | Expr::TryCast(_)) || matches!(e, Expr::Literal(value, _) if !plain(value))));
    let name = call.schema_name().to_string();
    if !unsaid.unwrap_or(true) {
        return name;
    }
    let mut sum = DefaultHasher::new();
    match call.to_bytes() {
        Ok(bytes) => bytes.hash(&mut sum),
        Err(_) => format!("{call:?}").hash(&mut sum),
    }
    format!("{name} #{:016x}", sum.finish())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;
    use datafusion::logical_expr::cast;
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn calls_that_are_written_alike_and_differ_have_other_names() {
        let list = |labels: &[&str]| {
            let labels: Vec<ScalarValue> = labels.iter().map(|label| ScalarValue::from(*label)).collect();
            Expr::Literal(ScalarValue::List(ScalarValue::new_list_nullable(&labels, &DataType::Utf8)), None)
        };
        assert_ne!(text(&list(&["person, car"])), text(&list(&["person", "car"])));
        assert_eq!(text(&list(&["person", "car"])), text(&list(&["person", "car"])));
        assert_ne!(text(&cast(col("a"), DataType::Int64)), text(&cast(col("a"), DataType::Utf8)));
        assert_eq!(text(&(col("a") + lit(1_i64))), "a + Int64(1)");
    }
}
