//! One user's connection to the engine: its settings, its SQL, its answers.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;
use parking_lot::Mutex;

use super::outcome::{Notice, Outcome};
use super::Engine;
use crate::error::{Error, Result};
use crate::plan::parse::{self, Body, Statement};
use crate::settings::Variables;

/// What a statement needs and gives, known before it runs.
#[derive(Clone, Debug)]
pub struct Described {
    /// The type of each parameter `$1`, `$2`, …; None where nothing says.
    pub parameters: Vec<Option<DataType>>,
    /// The columns of the answer; None for statements without rows.
    pub columns: Option<SchemaRef>,
}

/// A session. Statements run one after another; sessions run side by side.
pub struct Session {
    engine: Arc<Engine>,
    context: SessionContext,
    variables: Mutex<Variables>,
    notices: Mutex<Vec<Notice>>,
}

impl Session {
    pub(super) fn new(engine: Arc<Engine>, context: SessionContext) -> Session {
        Session { engine, context, variables: Mutex::default(), notices: Mutex::default() }
    }

    /// The engine that it belongs to.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// DataFusion's context of this session; wire registers its catalogue and functions here.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The session's settings (SET, SHOW).
    pub fn variables(&self) -> &Mutex<Variables> {
        &self.variables
    }

    /// Takes the notices that have come up since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock())
    }

    /// Reads a script of one or more statements.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        parse::parse(sql)
    }

    /// What the statement needs and gives, without running it.
    pub async fn describe(&self, statement: &Statement) -> Result<Described> {
        let _ = statement;
        Ok(Described { parameters: Vec::new(), columns: None })
    }

    /// Runs one statement; `parameters` are the values of `$1`, `$2`, ….
    pub async fn execute(&self, statement: &Statement, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let _ = parameters;
        match &statement.body {
            Body::Query(_) => {
                let stream = self.context.sql(&statement.text).await?.execute_stream().await?;
                Ok(Outcome::Rows { stream, tag: "SELECT" })
            }
            _ => Err(Error::Unsupported { what: "this statement".into(), hint: None }),
        }
    }
}
