//! A query that is planned once and run many times: what a prepared statement keeps, so that running it again repeats only what its parameters change.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::prelude::SessionContext;

use super::catalog::{Body, Catalog};
use super::session::Session;
use super::statement;
use crate::error::Result;
use crate::plan::event_time::source_of;
use crate::run::apart;
use crate::settings::TimeZone;

/// The plan of a query. It holds until the catalogue, a role, a grant or the session's zone changes.
#[derive(Debug)]
pub struct Planned {
    /// Not optimised, of what all sessions see.
    plan: LogicalPlan,
    generic: Option<Generic>,
    /// The engine's version at which it was planned.
    version: u64,
    /// The session's zone at that time, which the plan may have been told.
    zone: TimeZone,
}

/// A plan that was optimised before its parameters are known.
#[derive(Debug)]
struct Generic {
    plan: LogicalPlan,
    /// The types that the parameters have in it.
    parameters: Vec<Option<FieldRef>>,
    runner: Arc<Runner>,
}

/// What runs the generic plans of a session: a copy of all that it knows by name, so there is one for all of them.
#[derive(Debug)]
pub(super) struct Runner {
    state: SessionState,
    task: Arc<TaskContext>,
}

impl Runner {
    pub(super) fn of(context: &SessionContext) -> Runner {
        Runner { state: context.state(), task: context.task_ctx() }
    }
}

impl Planned {
    /// Keeps a plan that was made at that version of the engine; None if it reads what no version tells of: the relations of a catalogue are made when
    /// they are named.
    pub(super) async fn new(session: &Session, plan: LogicalPlan, version: u64) -> Option<Planned> {
        let mut known = true;
        let looked = plan.apply_with_subqueries(|node| {
            known &= !matches!(node, LogicalPlan::TableScan(scan) if source_of(scan).is_none());
            Ok(TreeNodeRecursion::Continue)
        });
        if looked.is_err() || !known {
            return None;
        }
        Some(Planned { generic: Generic::of(session, &plan).await, plan, version, zone: zone_of(session) })
    }

    /// The columns of the answer, if they are known without looking further.
    pub(super) fn columns(&self) -> Option<SchemaRef> {
        self.generic.as_ref().map(|generic| Arc::clone(generic.plan.schema().inner()))
    }

    /// Whether it would be planned the same now.
    pub fn holds(&self, session: &Session) -> bool {
        self.version == session.engine().version() && self.zone == zone_of(session)
    }

    /// Starts the query with these values of its parameters.
    pub(super) async fn run(&self, session: &Session, parameters: Vec<ScalarValue>) -> Result<SendableRecordBatchStream> {
        let Some(generic) = self.generic.as_ref().filter(|generic| generic.takes(&parameters)) else {
            let plan = session.as_seen(self.plan.clone())?;
            let physical = statement::query::physical_of(session, plan, parameters).await?;
            return Ok(apart::rows(physical, session.context().task_ctx(), session.engine().threads()).await?);
        };
        let mut plan = session.as_seen(generic.plan.clone())?;
        if !parameters.is_empty() {
            plan = plan.with_param_values(parameters)?;
        }
        let plan = statement::limits::known(session, plan).await?;
        let physical = statement::query::lowered_here(session, &plan, &generic.runner.state).await?;
        Ok(apart::rows(physical, Arc::clone(&generic.runner.task), session.engine().threads()).await?)
    }
}

fn zone_of(session: &Session) -> TimeZone {
    session.variables().lock().time_zone()
}

impl Generic {
    /// None where the optimiser must know the values, or works out what is another at the next run: such as the time.
    async fn of(session: &Session, plan: &LogicalPlan) -> Option<Generic> {
        if !lasting(plan, session.engine().catalog()).ok()? {
            return None;
        }
        let plan = statement::query::optimised(session, &session.state(), plan.clone())
            .await
            .ok()
            .filter(|plan| lasting(plan, session.engine().catalog()).unwrap_or(false))?;
        let parameters = statement::query::parameters_of(&plan).ok()?;
        Some(Generic { plan, parameters, runner: session.runner() })
    }

    /// Whether the values are of its types: nothing casts them any more.
    fn takes(&self, values: &[ScalarValue]) -> bool {
        let fits =
            |(known, value): (&Option<FieldRef>, &ScalarValue)| known.as_ref().is_some_and(|known| *known.data_type() == value.data_type());
        values.len() == self.parameters.len() && self.parameters.iter().zip(values).all(fits)
    }
}

/// Whether a plan reads only views and tables, has no node of ours (a model's call), and calls no function that may answer otherwise the next time.
fn lasting(plan: &LogicalPlan, catalog: &Catalog) -> datafusion::error::Result<bool> {
    let mut lasting = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let object = source_of(scan).and_then(|source| catalog.find(source.name()));
            lasting &= object.is_some_and(|object| matches!(object.body, Body::Materialized(_) | Body::Table(_)));
        }
        lasting &= !matches!(node, LogicalPlan::Extension(_));
        node.apply_expressions(|expr| {
            let other = |e: &Expr| matches!(e, Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable);
            lasting &= !expr.exists(|e| Ok(other(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if lasting { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(lasting)
}
