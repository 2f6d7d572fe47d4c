//! The physical plan of a SELECT: our operators where pixels flow and where DataFusion has none, its own for the rest.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, FetchType, LogicalPlan, SkipType, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use framesql_udfs::function::reads_pixels;

use super::filled::Filled;
use super::{Lowering, check_references, list_of, node, window, without_pixels};
use crate::plan::event_time::source_of;
use crate::plan::{infer as plan_infer, unnest as plan_unnest, window as plan_window};
use crate::run::exec::OperatorExec;
use crate::run::{Description, Run};

/// The physical plan of a SELECT.
pub async fn batch(plan: &LogicalPlan, run: &Run, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let mut lowering = Lowering::new(run);
    let plan = plan.clone().transform_down_with_subqueries(|node| {
        let filled = match &node {
            LogicalPlan::Aggregate(aggregate) => Filled::of(aggregate, &node)?,
            _ => None,
        };
        if !row_wise(&node) && !filled.as_ref().is_some_and(|filled| row_wise(&filled.input)) {
            check_pixels(&node)?;
            return Ok(match filled {
                Some(filled) => Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(filled) })),
                None => Transformed::no(node),
            });
        }
        let schema = Arc::clone(node.schema());
        let lowered = lowering.lower(&node)?;
        let node = Lowered { exec: lowering.detached(lowered), schema };
        Ok(Transformed::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }), true, TreeNodeRecursion::Jump))
    })?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(OperatorPlanner { run: run.clone() })]);
    planner.create_physical_plan(&plan.data, state).await
}

/// Errs if a node above the border, where frames are references only, calls a function that needs their pixels.
fn check_pixels(node: &LogicalPlan) -> Result<()> {
    node.apply_expressions(|e| {
        e.apply(|e| match e {
            Expr::ScalarFunction(f) if reads_pixels(f.func.name()) => Err(without_pixels(f.func.name()).into()),
            _ => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}

/// Whether a plan works row by row over sources, so that our operators run it.
fn row_wise(plan: &LogicalPlan) -> bool {
    let known = match plan {
        LogicalPlan::TableScan(scan) => return source_of(scan).is_some(),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => plan
            .apply_expressions(|e| {
                let sub = e.exists(|e| {
                    Ok(matches!(
                        e,
                        Expr::ScalarSubquery(_)
                            | Expr::Exists(_)
                            | Expr::InSubquery(_)
                            | Expr::SetComparison(_)
                            | Expr::OuterReferenceColumn(..)
                    ))
                })?;
                if sub { internal_err!("a subquery") } else { Ok(TreeNodeRecursion::Continue) }
            })
            .is_ok(),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) => true,
        LogicalPlan::Limit(limit) => {
            matches!((limit.get_skip_type(), limit.get_fetch_type()), (Ok(SkipType::Literal(_)), Ok(FetchType::Literal(_))))
        }
        LogicalPlan::Unnest(unnest) => list_of(unnest).is_some(),
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            node.is::<plan_infer::Infer>() || node.is::<plan_unnest::Unnest>() || node.is::<plan_window::AssignWindow>()
        }
        _ => false,
    };
    known && !plan.inputs().is_empty() && plan.inputs().into_iter().all(row_wise)
}

/// A part of a SELECT's logical plan that is lowered already.
#[derive(Debug)]
struct Lowered {
    exec: Arc<dyn ExecutionPlan>,
    schema: DFSchemaRef,
}

impl PartialEq for Lowered {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.exec, &other.exec)
    }
}

impl Eq for Lowered {}

impl PartialOrd for Lowered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for Lowered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.exec).cast::<()>().hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Lowered {
    fn name(&self) -> &str {
        "Lowered"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lowered")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Lowered { exec: Arc::clone(&self.exec), schema: Arc::clone(&self.schema) })
    }
}

/// Plans what is lowered already, and our nodes over operators of DataFusion's.
struct OperatorPlanner {
    run: Run,
}

#[async_trait]
impl ExtensionPlanner for OperatorPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        extension: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(lowered) = extension.as_any().downcast_ref::<Lowered>() {
            return Ok(Some(Arc::clone(&lowered.exec)));
        }
        let descriptions = match extension.as_any().downcast_ref::<Filled>() {
            Some(filled) => filled.descriptions()?,
            None => match node(extension) {
                Some((_, Description::Assign(assign))) if assign.fill => return Err(window::without_aggregate().into()),
                Some((_, description)) => vec![description],
                None => return Ok(None),
            },
        };
        let input = inputs.first().ok_or_else(|| internal_datafusion_err!("{} has no input", extension.name()))?;
        let mut exec = Arc::clone(input);
        for description in descriptions {
            check_references(&description)?;
            // The number names its snapshot, and a SELECT takes none.
            exec = Arc::new(OperatorExec::new(description, vec![exec], self.run.clone(), 0));
        }
        Ok(Some(exec))
    }
}
