//! SUBSCRIBE: the changes of a view, or of a query that runs for this reader alone, as they come.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;

use super::query::optimised_continuous;
use crate::engine::catalog::Body;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::{QueryText, Subscribe, Subscribed, parse_query};
use crate::run::exec::rows_only;
use crate::run::{apart, lower};
use crate::view::change::{self, Told};
use crate::view::materialized::MaterializedView;

enum Followed {
    View(Arc<MaterializedView>),
    Query(Arc<dyn ExecutionPlan>),
}

/// Starts following.
pub(super) async fn run(session: &Session, subscribe: &Subscribe) -> Result<SendableRecordBatchStream> {
    Ok(match followed(session, subscribe).await? {
        Followed::View(view) => change::changes(&view.schema(), view.follow(subscribe.snapshot), subscribe.progress, Told::Committed),
        Followed::Query(plan) => {
            let events = apart::events(&plan, &session.context().task_ctx()).await?;
            let told = if rows_only(&plan) { Told::AtOnce } else { Told::Complete };
            change::changes(&plan.schema(), events, subscribe.progress, told)
        }
    })
}

/// The columns of the changelog.
pub(super) async fn schema(session: &Session, subscribe: &Subscribe) -> Result<SchemaRef> {
    let rows = match followed(session, subscribe).await? {
        Followed::View(view) => view.schema(),
        Followed::Query(plan) => plan.schema(),
    };
    Ok(change::schema(&rows, subscribe.progress))
}

/// The plan of a query that is subscribed to.
pub(super) async fn physical(session: &Session, text: &QueryText) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = session.plan_committed(&text.query).await?;
    session.check_committed(&plan)?;
    if !plan.get_parameter_types()?.is_empty() {
        return Err(Error::unsupported("parameters in a continuous query", "Write the values into the query."));
    }
    let plan = optimised_continuous(session, &plan, text.emit).await?;
    let state_ttl_us = session.variables().lock().state_ttl_us();
    Ok(lower::continuous(&plan, &session.engine().run_as(text.emit, state_ttl_us))?)
}

async fn followed(session: &Session, subscribe: &Subscribe) -> Result<Followed> {
    match &subscribe.of {
        Subscribed::Query(_) if !subscribe.snapshot => {
            Err(Error::unsupported("snapshot = false of a query", "Make a materialized view of it and SUBSCRIBE to that."))
        }
        Subscribed::Query(text) => Ok(Followed::Query(physical(session, text).await?)),
        Subscribed::View(name) => match session.engine().catalog().find(name).map(|o| o.body) {
            Some(Body::Materialized(view)) => Ok(Followed::View(view)),
            // A source, or a plain view, is followed as the query that reads all of it.
            Some(_) => {
                let text = parse_query(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")))?;
                Ok(Followed::Query(physical(session, &text).await?))
            }
            None => Err(Error::NotFound { kind: "relation", name: name.clone() }),
        },
    }
}
