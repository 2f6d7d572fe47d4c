//! The physical plan of a SELECT: our operators where pixels flow and where DataFusion has none, its own for the rest.

use std::fmt;
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
use framesql_udfs::function::needs_pixels;

use super::filled::Filled;
use super::join::{asof_description, beside_frames};
use super::{Lowering, check_references, list_of, node, window, without_pixels};
use crate::plan::asof::AsofJoin;
use crate::plan::event_time::source_of;
use crate::plan::join::JoinTime;
use crate::plan::subquery::elements::Elements;
use crate::plan::{infer as plan_infer, previous as plan_previous, unnest as plan_unnest, window as plan_window};
use crate::run::exec::OperatorExec;
use crate::run::{Description, Run};

/// The physical plan of a SELECT.
pub async fn batch(plan: &LogicalPlan, run: &Run, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = divided(plan.clone())?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(OperatorPlanner { run: run.clone() })]);
    planner.create_physical_plan(&plan, state).await
}

/// The plan with each part that our operators run in a node of its own; the plans of subqueries first, as an expression is known by them.
fn divided(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up(|node| node.map_subqueries(|subquery| Ok(Transformed::yes(divided(subquery)?))))?.data;
    let plan = plan.transform_down(|node| {
        let filled = match &node {
            LogicalPlan::Aggregate(aggregate) => Filled::of(aggregate, &node)?,
            _ => None,
        };
        if !row_wise(&node) && !made_here(&node) && !filled.as_ref().is_some_and(|filled| row_wise(&filled.input)) {
            check_pixels(&node)?;
            return Ok(match filled {
                Some(filled) => Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(filled) })),
                None => Transformed::no(node),
            });
        }
        let node = LogicalPlan::Extension(Extension { node: Arc::new(Ours { plan: node }) });
        Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
    })?;
    Ok(plan.data)
}

/// A subquery that DataFusion runs before the query itself, which then reads its value.
fn known_value(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty())
}

/// Errs if a node above the border, where frames are references only, calls a function that needs their pixels.
fn check_pixels(node: &LogicalPlan) -> Result<()> {
    node.apply_expressions(|e| {
        e.apply(|e| match e {
            Expr::ScalarFunction(f) if needs_pixels(f) => Err(without_pixels(f.func.name()).into()),
            _ => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}

/// Whether models are run on frames that the query makes of files that it names itself, with no source below: VALUES (…) of an INSERT.
fn made_here(plan: &LogicalPlan) -> bool {
    let runs_models = |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::Extension(e) if e.node.as_any().is::<plan_infer::Infer>()));
    row_by_row(plan, true) && plan.exists(runs_models).unwrap_or(false)
}

/// Whether a plan works row by row over sources, so that our operators run it.
fn row_wise(plan: &LogicalPlan) -> bool {
    row_by_row(plan, false)
}

/// Whether a plan works row by row over sources, or over `values` as well.
fn row_by_row(plan: &LogicalPlan, values: bool) -> bool {
    let known = match plan {
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => return values,
        LogicalPlan::TableScan(scan) => return source_of(scan).is_some(),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => plan
            .apply_expressions(|e| {
                let sub = e.exists(|e| {
                    Ok(!known_value(e)
                        && matches!(
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
        LogicalPlan::Join(join) => beside_frames(join).is_some(),
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            node.is::<plan_infer::Infer>()
                || node.is::<plan_previous::Previous>()
                || node.is::<plan_unnest::Unnest>()
                || node.is::<Elements>()
                || node.is::<plan_window::AssignWindow>()
        }
        _ => false,
    };
    known && !plan.inputs().is_empty() && plan.inputs().into_iter().all(|input| row_by_row(input, values))
}

/// A part of a SELECT's logical plan that our operators run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
struct Ours {
    plan: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for Ours {
    fn name(&self) -> &str {
        "Ours"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        self.plan.schema()
    }

    /// The subqueries whose values it reads: DataFusion looks for them here.
    fn expressions(&self) -> Vec<Expr> {
        let mut subqueries = Vec::new();
        // The closures do not fail.
        let _ = self.plan.apply(|node| {
            node.apply_expressions(|e| {
                e.apply(|e| {
                    if known_value(e) {
                        subqueries.push(e.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        subqueries
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ours")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// Plans the parts that our operators run, and our nodes over operators of DataFusion's.
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
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let run = Run { subqueries: context.clone(), ..self.run.clone() };
        if let Some(ours) = extension.as_any().downcast_ref::<Ours>() {
            let mut lowering = Lowering::new(&run);
            let lowered = lowering.lower(&ours.plan)?;
            return Ok(Some(lowering.detached(lowered)));
        }
        if let Some(asof) = extension.as_any().downcast_ref::<AsofJoin>() {
            let all = JoinTime { column: 0, complete_us: 0 };
            let description = asof_description(asof, all, all)?;
            check_references(&description)?;
            return Ok(Some(Arc::new(OperatorExec::new(description, inputs.to_vec(), self.run.clone(), 0))));
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
            exec = Arc::new(OperatorExec::new(description, vec![exec], run.clone(), 0));
        }
        Ok(Some(exec))
    }
}
