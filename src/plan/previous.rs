//! Hoists calls that compare a frame with the one before to a node directly above the scan, whatever the query lets through in between.
//!
//! It runs on the optimised plan. A call is followed from where it stands down to the source's frame column, and its result comes up the
//! same way as a column that the nodes in between pass on.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, TableReference, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, Filter, Limit, LogicalPlan, Projection, Sort, SubqueryAlias, Union, Unnest as TheirUnnest,
    UserDefinedLogicalNodeCore, Window,
};
use framesql_udfs::function::compared::needs_previous;

use super::event_time::source_of;
use super::unnest::Unnest;
use super::window::AssignWindow;
use crate::error::{Error, in_sql};

/// The relation of the columns that hold the results, and the beginning of their names.
const RELATION: &str = "__previous";

/// The node: its input's columns and one more a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Previous {
    /// The source.
    pub input: LogicalPlan,
    /// The calls; the first argument of each is the source's frame, the others are constants.
    pub calls: Vec<Expr>,
    schema: DFSchemaRef,
}

impl Previous {
    fn try_new(input: LogicalPlan, calls: Vec<Expr>) -> Result<Previous> {
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        for call in &calls {
            let field = Field::new(name(call)?, call.get_type(input.schema())?, true);
            fields.push((Some(TableReference::bare(RELATION)), Arc::new(field)));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Previous { input, calls, schema })
    }
}

impl PartialOrd for Previous {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.calls, &self.input).partial_cmp(&(&other.calls, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Previous {
    fn name(&self) -> &str {
        "Previous"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Previous: {} call(s)", self.calls.len())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Previous { input, ..self.clone() }),
            None => internal_err!("Previous has one input"),
        }
    }
}

/// The plan with every call in a node above its source. Errs for a call of another frame than a source's.
pub(super) fn hoist(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        let mut calls = Vec::new();
        plan.apply_expressions(|e| {
            collect(e, &mut calls)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if calls.is_empty() { Ok(Transformed::no(plan)) } else { Ok(Transformed::yes(over(plan, &calls)?)) }
    })?;
    Ok(plan.data)
}

fn collect(expr: &Expr, calls: &mut Vec<Expr>) -> Result<()> {
    expr.apply(|e| {
        if is_call(e) && !calls.contains(e) {
            calls.push(e.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn is_call(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if needs_previous(f.func.name()))
}

/// The function and its constants, the same wherever in the plan the call stands.
fn name(call: &Expr) -> Result<String> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = call else { return internal_err!("{call} is no call") };
    let constants: Vec<String> = args.iter().skip(1).map(|a| format!(", {a}")).collect();
    Ok(format!("{RELATION} {}(frame{})", func.name(), constants.concat()))
}

fn not_a_source(function: &str) -> Error {
    Error::unsupported(
        format!("{function} of anything but a source's frame"),
        "It compares a frame with the one before: call it on the frame column of a source, in the query that reads it, and use its result by name.",
    )
}

/// The node with its calls replaced by columns that come up from below.
fn over(plan: LogicalPlan, calls: &[Expr]) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            let (input, read) = supplied(projection.input, calls)?;
            LogicalPlan::Projection(Projection::try_new(read.named(projection.expr)?, input)?)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let (input, read) = supplied(aggregate.input, calls)?;
            let (groups, aggregates) = (read.named(aggregate.group_expr)?, read.named(aggregate.aggr_expr)?);
            LogicalPlan::Aggregate(Aggregate::try_new(input, groups, aggregates)?)
        }
        LogicalPlan::Filter(filter) => {
            let (input, read) = supplied(filter.input, calls)?;
            let filter = LogicalPlan::Filter(Filter::try_new(read.expr(filter.predicate)?, input)?);
            only(filter, columns.into_iter().map(Expr::Column).collect())?
        }
        LogicalPlan::Sort(sort) => {
            let (input, read) = supplied(sort.input, calls)?;
            let expr = sort.expr.into_iter().map(|key| Ok(key.clone().with_expr(read.expr(key.expr)?))).collect::<Result<_>>()?;
            let sort = LogicalPlan::Sort(Sort { expr, input, fetch: sort.fetch });
            only(sort, columns.into_iter().map(Expr::Column).collect())?
        }
        LogicalPlan::Window(window) => {
            let (input, read) = supplied(window.input, calls)?;
            let window = LogicalPlan::Window(Window::try_new(read.named(window.window_expr)?, input)?);
            only(window, columns.into_iter().map(Expr::Column).collect())?
        }
        other => {
            let Some(Expr::ScalarFunction(call)) = calls.first() else { return internal_err!("no call in {}", other.display()) };
            let node = other.display().to_string();
            return Err(Error::unsupported(
                format!("{} in {}", call.func.name(), node.split([':', ' ']).next().unwrap_or("this place")),
                "Call it in a subquery and use its result by name.",
            )
            .into());
        }
    })
}

fn only(plan: LogicalPlan, columns: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// Calls, each with the column that holds its result.
struct Read(Vec<(Expr, Column)>);

impl Read {
    fn expr(&self, expr: Expr) -> Result<Expr> {
        let read = expr.transform_down(|e| match self.0.iter().find(|(call, _)| *call == e) {
            Some((_, column)) => Ok(Transformed::new(Expr::Column(column.clone()), true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(e)),
        })?;
        Ok(read.data)
    }

    /// Expressions that keep the names they had.
    fn named(&self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        let one = |expr: Expr| {
            let name = names.save(&expr);
            Ok(name.restore(self.expr(expr)?))
        };
        exprs.into_iter().map(one).collect()
    }
}

/// The input with the results of calls that stand above it.
fn supplied(input: Arc<LogicalPlan>, calls: &[Expr]) -> Result<(Arc<LogicalPlan>, Read)> {
    let (mut input, mut read) = (Arc::unwrap_or_clone(input), Vec::new());
    for call in calls {
        let Expr::ScalarFunction(function) = call else { return internal_err!("{call} is no call") };
        let name = function.func.name();
        if let Some(argument) = function.args.iter().skip(1).find(|a| !matches!(a, Expr::Literal(..))) {
            return Err(Error::unsupported(
                format!("{name} with {} as an argument", in_sql(argument)),
                "Write a constant: the call is answered above the source, where nothing else is known.",
            )
            .into());
        }
        let Some(Expr::Column(frame)) = function.args.first() else { return Err(not_a_source(name).into()) };
        let at = input.schema().index_of_column(frame)?;
        let column;
        (input, column) = reach(input, at, function)?;
        read.push((call.clone(), column));
    }
    Ok((Arc::new(input), Read(read)))
}

/// The plan with the result of a call of its column `at` as one more column, wherever among the others; and that column.
fn reach(plan: LogicalPlan, at: usize, call: &ScalarFunction) -> Result<(LogicalPlan, Column)> {
    let refused = || not_a_source(call.func.name());
    match plan {
        LogicalPlan::TableScan(scan) => {
            // A view keeps references only, which the operator says with the words of all functions of pixels.
            source_of(&scan).ok_or_else(refused)?;
            above_scan(LogicalPlan::TableScan(scan), Vec::new(), at, call)
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            if let Some(previous) = node.downcast_ref::<Previous>() {
                return above_scan(previous.input.clone(), previous.calls.clone(), at, call);
            }
            if let Some(assign) = node.downcast_ref::<AssignWindow>() {
                if at >= assign.input.schema().fields().len() {
                    return Err(refused().into());
                }
                let (input, column) = reach(assign.input.clone(), at, call)?;
                let node = assign.with_exprs_and_inputs(UserDefinedLogicalNodeCore::expressions(assign), vec![input])?;
                return Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), column));
            }
            let Some(unnest) = node.downcast_ref::<Unnest>().filter(|unnest| at < unnest.list()) else { return Err(refused().into()) };
            let mut columns = unnest.input.schema().columns();
            let (input, column) = reach(unnest.input.clone(), at, call)?;
            if !columns.contains(&column) {
                // The list stays the last.
                columns.insert(unnest.list(), column.clone());
            }
            let input = only(input, columns.into_iter().map(Expr::Column).collect())?;
            let node = Unnest::try_new(input, unnest.keep_empty)?;
            Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), column))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, column) = reach(Arc::unwrap_or_clone(alias.input), at, call)?;
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias)?;
            let column = Column::new(Some(alias.alias.clone()), column.name);
            Ok((LogicalPlan::SubqueryAlias(alias), column))
        }
        LogicalPlan::Projection(projection) => {
            let Some(Expr::Column(frame)) = projection.expr.get(at).cloned().map(|e| e.unalias_nested().data) else {
                return Err(refused().into());
            };
            let at = projection.input.schema().index_of_column(&frame)?;
            let (input, column) = reach(Arc::unwrap_or_clone(projection.input), at, call)?;
            let (mut columns, result) = (projection.expr, Expr::Column(column.clone()));
            if !columns.contains(&result) {
                columns.push(result);
            }
            Ok((only(input, columns)?, column))
        }
        LogicalPlan::Filter(filter) => {
            let (input, column) = reach(Arc::unwrap_or_clone(filter.input), at, call)?;
            Ok((LogicalPlan::Filter(Filter::try_new(filter.predicate, Arc::new(input))?), column))
        }
        LogicalPlan::Sort(sort) => {
            let (input, column) = reach(Arc::unwrap_or_clone(sort.input), at, call)?;
            Ok((LogicalPlan::Sort(Sort { input: Arc::new(input), ..sort }), column))
        }
        LogicalPlan::Limit(limit) => {
            let (input, column) = reach(Arc::unwrap_or_clone(limit.input), at, call)?;
            Ok((LogicalPlan::Limit(Limit { input: Arc::new(input), ..limit }), column))
        }
        LogicalPlan::Unnest(unnest) => {
            let at = unnest.dependency_indices.get(at).copied().ok_or_else(refused)?;
            let (input, column) = reach(Arc::unwrap_or_clone(unnest.input), at, call)?;
            let unnest = TheirUnnest::try_new(Arc::new(input), unnest.exec_columns, unnest.options)?;
            Ok((LogicalPlan::Unnest(unnest), column))
        }
        LogicalPlan::Union(union) => {
            let mut fields: Vec<_> = union.schema.iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
            let name = name(&Expr::ScalarFunction(call.clone()))?;
            let data_type = call.func.return_type(&[])?;
            let column = Column::new(Some(TableReference::bare(RELATION)), &name);
            if union.schema.has_column(&column) {
                return Ok((LogicalPlan::Union(union), column));
            }
            let inputs = union.inputs.into_iter().map(|input| {
                let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                let (input, result) = reach(Arc::unwrap_or_clone(input), at, call)?;
                // Its place is the same in all of them.
                columns.push(Expr::Column(result).alias_qualified(Some(TableReference::bare(RELATION)), &name));
                Ok(Arc::new(only(input, columns)?))
            });
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            fields.push((column.relation.clone(), Arc::new(Field::new(&name, data_type, true))));
            let schema = Arc::new(DFSchema::new_with_metadata(fields, union.schema.metadata().clone())?);
            Ok((LogicalPlan::Union(Union { inputs, schema }), column))
        }
        _ => Err(refused().into()),
    }
}

/// The node above a scan, with one call more unless it has it.
fn above_scan(scan: LogicalPlan, mut calls: Vec<Expr>, at: usize, call: &ScalarFunction) -> Result<(LogicalPlan, Column)> {
    let frame = Expr::Column(Column::from(scan.schema().qualified_field(at)));
    let constants = call.args.iter().skip(1).cloned();
    let call =
        Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&call.func), args: std::iter::once(frame).chain(constants).collect() });
    let column = Column::new(Some(TableReference::bare(RELATION)), name(&call)?);
    if !calls.contains(&call) {
        calls.push(call);
    }
    let node = Previous::try_new(scan, calls)?;
    Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), column))
}
