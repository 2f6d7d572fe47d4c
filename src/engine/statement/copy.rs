//! `COPY (query) TO STDOUT`.

use datafusion::common::ScalarValue;

use super::query;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::Result;
use crate::plan::parse::QueryText;
use crate::plan::parse::copy::CopyForm;

/// Starts the query.
pub(super) async fn run(session: &Session, query: &QueryText, parameters: Vec<ScalarValue>, form: CopyForm) -> Result<Outcome> {
    Ok(Outcome::Copy { stream: query::run(session, query, parameters).await?, form })
}
