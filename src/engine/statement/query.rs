//! SELECT: a query that ends, over what its sources hold.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use super::limits;
use crate::engine::planned::Planned;
use crate::engine::planning;
use crate::engine::session::{Described, Session};
use crate::error::{Error, Result};
use crate::plan::parse::{Emit, QueryText};
use crate::plan::value::postgres_types;
use crate::plan::{event_time, query};
use crate::run::cooperative::cooperative;
use crate::run::{apart, lower};

/// Starts the query.
pub(super) async fn run(session: &Session, query: &QueryText, parameters: Vec<ScalarValue>) -> Result<SendableRecordBatchStream> {
    let plan = physical(session, query, parameters).await?;
    Ok(apart::rows(plan, session.context().task_ctx(), session.engine().threads()).await?)
}

/// The plan that runs, with a notice if it reads a source that goes on.
pub(super) async fn physical(session: &Session, query: &QueryText, parameters: Vec<ScalarValue>) -> Result<Arc<dyn ExecutionPlan>> {
    if query.emit != Emit::Default {
        return Err(Error::Unsupported {
            what: "EMIT in a SELECT".into(),
            hint: Some("A SELECT ends; EMIT is for CREATE MATERIALIZED VIEW and SUBSCRIBE (…).".into()),
        });
    }
    let plan = session.plan(&query.query).await?;
    // Counted in the text: what reads a relation without rows is planned without what stood beside it.
    let n_parameters = super::with_all(parameters_of(&plan)?, &query.query).len();
    if n_parameters != parameters.len() {
        return Err(wrong_number(n_parameters, parameters.len()));
    }
    physical_of(session, plan, parameters).await
}

fn wrong_number(needed: usize, found: usize) -> Error {
    Error::Protocol(format!("the query needs {needed} parameter(s), but {found} were supplied"))
}

/// The same for a query that is planned already; its plan may need fewer of the values than its text has.
pub(in crate::engine) async fn physical_of(
    session: &Session,
    mut plan: LogicalPlan,
    parameters: Vec<ScalarValue>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let n_parameters = parameters_of(&plan)?.len();
    if n_parameters > parameters.len() {
        return Err(wrong_number(n_parameters, parameters.len()));
    }
    if !parameters.is_empty() {
        plan = plan.with_param_values(parameters)?;
    }
    let state = session.state();
    let plan = limits::known(session, optimised(session, &state, plan).await?).await?;
    for source in event_time::sources_of(&plan)? {
        if source.live() && !session.engine().catalog().is_view(source.name()) {
            session.notice(
                format!("source \"{}\" is live: this reads what has been played", source.name()),
                Some("SUBSCRIBE (SELECT …) goes on with what comes."),
            );
        }
    }
    lowered(session, &plan, &state).await
}

/// The same for a plan that is optimised, and was found short, or was waited for once.
pub(in crate::engine) async fn lowered_here(session: &Session, plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(cooperative(Box::pin(lower::batch(plan, &session.engine().run(false), state)).await?)?)
}

/// The same for one that is optimised.
async fn lowered(session: &Session, plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    if !planning::plan_is_long(plan) {
        return lowered_here(session, plan, state).await;
    }
    let run = session.engine().run(false);
    let (plan, state) = (plan.clone(), state.clone());
    session.engine().planning.run(true, move || async move { Ok::<_, Error>(cooperative(lower::batch(&plan, &run, &state).await?)?) }).await
}

/// The plan that runs.
pub(in crate::engine) async fn optimised(session: &Session, state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    if !planning::plan_is_long(&plan) {
        return Ok(query::optimise(state, &plan)?);
    }
    let state = state.clone();
    session.engine().planning.run(true, move || async move { Ok::<_, Error>(query::optimise(&state, &plan)?) }).await
}

/// The plan of a continuous query.
pub(super) async fn optimised_continuous(session: &Session, plan: &LogicalPlan, emit: Emit) -> Result<LogicalPlan> {
    let (state, plan) = (session.state(), plan.clone());
    let long = planning::plan_is_long(&plan);
    session.engine().planning.run(long, move || async move { Ok::<_, Error>(query::optimise_continuous(&state, &plan, emit)?) }).await
}

/// Its parameters and columns, and its plan.
pub(super) async fn describe(session: &Session, query: &QueryText) -> Result<Described> {
    let version = session.engine().version();
    let plan = session.plan_committed(&query.query).await?;
    let parameters = super::with_all(parameters_of(&plan)?, &query.query);
    // With EMIT it is refused when it runs.
    let planned = if query.emit == Emit::Default { Planned::new(session, plan.clone(), version).await.map(Arc::new) } else { None };
    if let Some(columns) = planned.as_ref().and_then(|planned| planned.columns()) {
        return Ok(Described { parameters, columns: Some(columns), planned });
    }
    // The types of the analysed plan; where a parameter's type is not known yet, those that the text says.
    let (state, analysed) = (session.state(), plan.clone());
    let long = planning::plan_is_long(&analysed);
    let analysed = session.engine().planning.run(long, move || async move { Ok::<_, Error>(state.optimize(&analysed)?) }).await;
    let columns = match analysed {
        Ok(analysed) => Arc::clone(analysed.schema().inner()),
        Err(_) if !parameters.is_empty() => postgres_types::shown_schema(plan.schema().inner()),
        Err(e) => return Err(e),
    };
    Ok(Described { parameters, columns: Some(columns), planned })
}

/// A plan's parameters as the columns that they stand for, where those are known.
pub(in crate::engine) fn parameters_of(plan: &LogicalPlan) -> Result<Vec<Option<FieldRef>>> {
    let fields = plan.get_parameter_fields()?;
    let number = |name: &str| name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let n = fields.keys().map(|name| number(name)).max().unwrap_or(0);
    let mut parameters = vec![None; n];
    for (name, field) in &fields {
        if let Some(place) = number(name).checked_sub(1).and_then(|at| parameters.get_mut(at)) {
            place.clone_from(field);
        }
    }
    Ok(parameters)
}
