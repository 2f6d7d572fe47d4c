//! EXPLAIN: the operators of a query, as it would run; with ANALYZE it runs, and their counters are shown.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::StreamExt;

use super::{query, subscribe, text_rows, text_schema};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::column_names;
use crate::plan::parse::{Body, Statement, Subscribed};
use crate::run::apart;

/// The column.
pub(super) fn schema() -> SchemaRef {
    text_schema(&["QUERY PLAN"])
}

/// Explains the statement.
pub(super) async fn run(session: &Session, statement: &Statement, analyze: bool, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    let plan = plan_of(session, statement, analyze, parameters).await?;
    let text = if analyze {
        let mut rows = apart::rows(Arc::clone(&plan), session.context().task_ctx(), session.engine().threads()).await?;
        while let Some(batch) = rows.next().await {
            batch?;
        }
        DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(false).to_string()
    } else {
        DisplayableExecutionPlan::new(plan.as_ref()).indent(false).to_string()
    };
    let lines = text.lines().map(column_names::with_shown_marks).collect();
    Ok(Outcome::Rows { stream: text_rows(schema(), vec![lines])?, tag: "EXPLAIN" })
}

async fn plan_of(session: &Session, statement: &Statement, analyze: bool, parameters: Vec<ScalarValue>) -> Result<Arc<dyn ExecutionPlan>> {
    let continuous = match &statement.body {
        Body::Query(text) | Body::CopyQuery(text, _) => return query::physical(session, text, parameters).await,
        Body::CreateView { materialized: true, query, .. } => query,
        Body::Subscribe(s) | Body::CopySubscribe(s, _) => match &s.of {
            Subscribed::Query(text) => text,
            Subscribed::View(_) => return Err(Error::unsupported("EXPLAIN of SUBSCRIBE to a view", "It reads the view and nothing else.")),
        },
        _ => {
            return Err(Error::unsupported(
                "EXPLAIN of this statement",
                "EXPLAIN takes SELECT, CREATE MATERIALIZED VIEW and SUBSCRIBE (SELECT …).",
            ));
        }
    };
    if analyze {
        return Err(Error::unsupported(
            "EXPLAIN ANALYZE of a continuous query",
            "EXPLAIN ANALYZE the SELECT, or read framesql.view_stats.",
        ));
    }
    subscribe::physical(session, continuous).await
}
