//! One user's connection to the engine: its settings, its SQL, its answers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::DateTime;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Query;
use parking_lot::Mutex;

use super::block::{self, Block};
use super::outcome::{Notice, Outcome};
use super::planned::{Planned, Runner};
use super::statement::CopyInto;
use super::{Engine, planning, privileges, statement};
use crate::clock;
use crate::error::{Error, Result};
use crate::plan::parse::copy::CopyIn;
use crate::plan::parse::{self, Statement};
use crate::plan::time::clocks;
use crate::plan::{query, rewrite};
use crate::settings::Variables;

/// Changes the AST of a query before it is planned, so that what Postgres clients send is understood.
pub type Rewrite = Arc<dyn Fn(Box<Query>) -> Result<Box<Query>> + Send + Sync>;

/// Gives a session the functions and rewrites of those whose SQL it is to understand.
pub type Dialect = Arc<dyn Fn(&Session) -> Result<()> + Send + Sync>;

/// What a statement needs and gives, known before it runs.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// Each parameter `$1`, `$2`, … as the column that it stands for, or beside; None where nothing says.
    pub parameters: Vec<Option<FieldRef>>,
    /// The columns of the answer; None for statements without rows.
    pub columns: Option<SchemaRef>,
    /// The plan of a query, which can be run again.
    pub planned: Option<Arc<Planned>>,
}

/// A session. Statements run one after another; sessions run side by side.
pub struct Session {
    engine: Arc<Engine>,
    context: SessionContext,
    user: String,
    /// Its planner reads them too.
    variables: Arc<Mutex<Variables>>,
    notices: Mutex<Vec<Notice>>,
    rewrite: Mutex<Option<Rewrite>>,
    background: AtomicBool,
    /// When the last statement began, in µs: in a block `now()` is when that did.
    began_us: Arc<AtomicI64>,
    runner: OnceLock<Arc<Runner>>,
    /// The transaction block, if one is open.
    pub(super) block: Mutex<Option<Block>>,
}

impl Drop for Session {
    /// A block that has not ended was not done.
    fn drop(&mut self) {
        if let Some(block) = self.block.lock().take() {
            let engine = Arc::clone(&self.engine);
            self.engine.jobs.spawn(async move { block::roll_back(&engine, block).await });
        }
    }
}

impl Session {
    pub(super) fn new(engine: Arc<Engine>, context: SessionContext, user: &str, variables: Arc<Mutex<Variables>>) -> Session {
        let began_us = Arc::new(AtomicI64::new(clock::now_us()));
        context.register_udf(clocks::of_statement(Arc::clone(&began_us)).as_ref().clone());
        Session {
            engine,
            context,
            user: user.to_owned(),
            variables,
            notices: Mutex::default(),
            rewrite: Mutex::default(),
            background: AtomicBool::new(false),
            began_us,
            runner: OnceLock::new(),
            block: Mutex::default(),
        }
    }

    /// The engine that it belongs to.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whose it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether its user may do everything. What is started at a restart was allowed when it was made.
    pub fn superuser(&self) -> bool {
        self.in_background() || self.engine.roles().superuser(&self.user)
    }

    /// DataFusion's context of this session; wire registers its catalogue and functions here.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// What plans and optimises a query: all that is worked out of one transaction has one `now()`.
    pub(super) fn state(&self) -> SessionState {
        let mut state = self.context.state();
        let at_us = self.block_began_us().unwrap_or_else(|| self.began_us.load(Ordering::Relaxed));
        state.execution_props_mut().query_execution_start_time = DateTime::from_timestamp_micros(at_us);
        state
    }

    /// What runs the plans that it keeps. Made at the first of them, when its functions are registered.
    pub(super) fn runner(&self) -> Arc<Runner> {
        Arc::clone(self.runner.get_or_init(|| Arc::new(Runner::of(&self.context))))
    }

    /// The session's settings (SET, SHOW).
    pub fn variables(&self) -> &Mutex<Variables> {
        &self.variables
    }

    /// A statement as a restart reads it: with the zone that it was run in, if that is not UTC.
    pub(super) fn in_zone(&self, statement: &str) -> String {
        let zone = self.variables.lock().time_zone();
        if zone.utc() { statement.to_owned() } else { format!("SET timezone = '{zone}'; {statement}") }
    }

    /// Every query of this session goes through `rewrite` before it is planned.
    pub fn set_rewrite(&self, rewrite: Rewrite) {
        *self.rewrite.lock() = Some(rewrite);
    }

    /// Jobs of this session's statements start and are not waited for: at a restart.
    pub(super) fn start_in_background(&self) {
        self.background.store(true, Ordering::Relaxed);
    }

    pub(super) fn in_background(&self) -> bool {
        self.background.load(Ordering::Relaxed)
    }

    /// Takes the notices that have come up since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock())
    }

    pub(super) fn notice(&self, message: impl Into<String>, hint: Option<&str>) {
        self.notices.lock().push(Notice { code: "00000", message: message.into(), hint: hint.map(str::to_owned) });
    }

    /// What was asked for and is not done, as it may not be.
    pub(super) fn warns(&self, message: String) {
        self.notices.lock().push(Notice { code: "01000", message, hint: None });
    }

    /// IF NOT EXISTS, of what there is: the notice has the code that the error would have.
    pub(super) fn skips(&self, code: &'static str, message: String) {
        self.notices.lock().push(Notice { code, message, hint: None });
    }

    /// Reads a script of one or more statements.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        parse::parse(sql)
    }

    /// What the statement needs and gives, without running it.
    pub async fn describe(&self, statement: &Statement) -> Result<Described> {
        Box::pin(statement::describe(self, statement)).await
    }

    /// Runs one statement; `parameters` are the values of `$1`, `$2`, ….
    pub async fn execute(&self, statement: &Statement, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        self.began_us.store(clock::now_us(), Ordering::Relaxed);
        Box::pin(statement::execute(self, statement, parameters)).await
    }

    /// Runs a statement whose query was planned when it was described, if its plan still holds; otherwise it is planned anew.
    pub async fn execute_planned(&self, statement: &Statement, planned: Option<&Planned>, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        match planned.filter(|planned| planned.holds(self)) {
            Some(planned) => {
                self.began_us.store(clock::now_us(), Ordering::Relaxed);
                Ok(Outcome::Rows { stream: planned.run(self, parameters).await?, tag: "SELECT" })
            }
            None => self.execute(statement, parameters).await,
        }
    }

    /// Begins a `COPY … FROM STDIN`: the rows come from who calls. Errs if there is no such table or column.
    pub async fn copy_in(&self, statement: &Statement, copy: &CopyIn) -> Result<CopyInto> {
        statement::copy_in(self, statement, copy).await
    }

    /// A query's logical plan, not yet optimised, of what this session sees.
    pub(super) async fn plan(&self, query: &Query) -> Result<LogicalPlan> {
        self.as_seen(self.plan_committed(query).await?)
    }

    /// The same of what all sessions see: for what outlives a transaction block.
    pub(super) async fn plan_committed(&self, query: &Query) -> Result<LogicalPlan> {
        let long = planning::query_is_long(query);
        let mut query = Box::new(query.clone());
        rewrite::type_rows(&mut query);
        let (state, rewrite) = (self.state(), self.rewrite.lock().clone());
        let plan = move || async move {
            let query = match rewrite {
                Some(rewrite) => rewrite(query)?,
                None => query,
            };
            let plan = Box::pin(query::plan(&state, query.clone())).await?;
            Ok::<_, Error>((query, plan))
        };
        let (query, plan) = self.engine.planning.run(long, plan).await?;
        privileges::check_query(self, &query, &plan)?;
        Ok(plan)
    }
}
