//! CREATE VIEW and CREATE MATERIALIZED VIEW: a query under a name, and a query's result under a name.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::sql::parser::Statement as ParserStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use tracing::warn;

use super::alter_view::{NOTIFY, check_channel};
use super::query::optimised_continuous;
use crate::engine::Engine;
use crate::engine::block::Undo;
use crate::engine::catalog::{Body, Object, is_model_key, model_key};
use crate::engine::checkpoint;
use crate::engine::dropped;
use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::frame::source::{Source, TimeColumn};
use crate::plan::column_names::{self, Names};
use crate::plan::model_names::model_names;
use crate::plan::names::Names as _;
use crate::plan::parse::{Emit, Kind, QueryText, Statement, boolean};
use crate::plan::{changelog, event_time, figure, rewrite};
use crate::run::checkpoint::Checkpoint;
use crate::run::{Run, lower};
use crate::settings::{STATE_TTL, duration_us};
use crate::view::materialized::{End, MaterializedView, Shape};

/// What the statement says.
pub(super) struct CreateView<'a> {
    pub(super) name: &'a str,
    pub(super) materialized: bool,
    pub(super) or_replace: bool,
    pub(super) if_not_exists: bool,
    pub(super) columns: &'a [String],
    pub(super) options: &'a [(String, String)],
    pub(super) query: &'a QueryText,
}

impl CreateView<'_> {
    pub(super) async fn run(&self, session: &Session, statement: &Statement) -> Result<Outcome> {
        let word = if self.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
        let done = || Ok(Outcome::Done { tag: word.into() });
        let engine = session.engine();
        let changing = engine.changing.lock().await;
        let old = match engine.catalog.object(self.name) {
            Some(_) if self.if_not_exists => {
                session.skips("42P07", format!("relation \"{}\" already exists, skipping", self.name));
                return done();
            }
            Some(taken) if !self.or_replace => return Err(Error::Duplicate { kind: taken.kind().word(), name: self.name.to_owned() }),
            old => old,
        };
        session.check_not_held(self.name)?;
        let plan = self.plan(session).await?;
        let reads = self.reads(session, &plan)?;
        if reads.iter().any(|read| read == self.name) {
            return Err(Error::refused(format!("view \"{}\" would read itself", self.name), "Give the new view another name."));
        }
        if let Some(old) = &old {
            self.check_replaceable(engine, old)?;
        }
        let kept = self.kept(session, statement);
        let object = |body| Object { name: self.name.to_owned(), body, definition: statement.text.clone(), reads: reads.clone() };
        if !self.materialized {
            put(session, object(Body::View(self.view(statement, plan)?)), &kept, None)?;
            return done();
        }
        let (new, job) = self.started(session, &plan, &kept, &reads).await?;
        let waits = !(new.background || new.view_is_live || session.in_background());
        let object = object(Body::Materialized(Arc::clone(&new.view)));
        let mut unfinished = Unfinished { engine: Arc::clone(engine), object, job, on_disk: !session.in_block(), armed: true };
        if !waits || old.is_none() {
            put(session, unfinished.object.clone(), &kept, Some(unfinished.job.clone()))?;
            self.tell(engine, &new.view);
        }
        drop(changing);
        if !waits {
            unfinished.armed = false;
            return done();
        }
        // A view that was there stays, and can be read, until the new one is whole.
        let end = new.view.ended_with().await;
        let _changing = engine.changing.lock().await;
        match (end, old) {
            (End::Whole, None) => unfinished.armed = false,
            (End::Whole, Some(old)) => {
                self.check_unchanged(engine, &old, &unfinished.object)?;
                put(session, unfinished.object.clone(), &kept, Some(unfinished.job.clone()))?;
                self.tell(engine, &new.view);
                unfinished.armed = false;
            }
            // The view of a failed query is taken back, as in Postgres.
            (End::Failed { code, message }, _) => {
                unfinished.take_back();
                return Err(Error::Media { code, message, hint: None });
            }
            (End::Dropped, _) => {
                unfinished.take_back();
                return Err(Error::State { message: format!("materialized view \"{}\" was dropped", self.name), hint: None });
            }
        }
        done()
    }

    /// The view with its job, which at a restart goes on from its last checkpoint; where that cannot be it begins anew.
    async fn started(&self, session: &Session, plan: &LogicalPlan, kept: &str, reads: &[String]) -> Result<(New, Job)> {
        let restart = session.in_background();
        match self.start(session, plan, kept, reads, restart).await {
            Err(error) if restart => {
                let begun = self.start(session, plan, kept, reads, false).await?;
                warn!(view = self.name, %error, "the view begins anew, as it cannot go on from its checkpoint");
                Ok(begun)
            }
            started => started,
        }
    }

    async fn start(&self, session: &Session, plan: &LogicalPlan, kept: &str, reads: &[String], restart: bool) -> Result<(New, Job)> {
        let engine = session.engine();
        let new = self.materialized(session, plan).await?;
        let identity = checkpoint::identity(engine, kept, reads, &new.sources, &new.exec);
        let mut keeper = engine.keeper(self.name, identity, restart, &new.checkpoint);
        if let Some((_, Some(restored))) = &mut keeper {
            new.view.restore(std::mem::take(&mut restored.held))?;
        }
        let job = engine.jobs.start(self.name, &new.exec, &session.context().task_ctx(), &new.view, new.sources.clone(), keeper).await?;
        Ok((new, job))
    }

    /// Its changes are told on the channel that the options name.
    fn tell(&self, engine: &Engine, view: &Arc<MaterializedView>) {
        if let Some((_, channel)) = self.options.iter().find(|(key, _)| key == NOTIFY) {
            engine.announcer.set(&engine.jobs, self.name, view, Some(channel));
        }
    }

    /// The statement as a restart reads it: with the settings that it was run under, if they have a say. A view that each reader plans anew is in the
    /// reader's zone.
    fn kept(&self, session: &Session, statement: &Statement) -> String {
        if !self.materialized {
            return statement.text.clone();
        }
        let kept = session.in_zone(&statement.text);
        match session.variables().lock().show(STATE_TTL) {
            Ok(ttl) if ttl != "0" && self.options.iter().all(|(key, _)| key != STATE_TTL) => {
                format!("SET {STATE_TTL} = '{}'; {kept}", ttl.replace('\'', "''"))
            }
            _ => kept,
        }
    }

    async fn plan(&self, session: &Session) -> Result<LogicalPlan> {
        let plan = session.plan_committed(&self.query.query).await?;
        if self.materialized {
            session.check_committed(&plan)?;
        }
        if !plan.get_parameter_types()?.is_empty() {
            return Err(Error::Syntax {
                message: "a view cannot have parameters".into(),
                hint: Some("Write the values into the query.".into()),
            });
        }
        if self.columns.len() > plan.schema().fields().len() {
            return Err(Error::Syntax { message: "CREATE VIEW specifies more column names than columns".into(), hint: None });
        }
        // The view's own names first, then those that Postgres gives the columns of the query.
        let (names, n_columns) = (Names::of_query(&self.query.query), plan.schema().fields().len());
        let columns = plan.schema().columns();
        let name = |at: usize, column: &Column| {
            let own = self.columns.get(at).map(String::as_str).or(names.of(at, n_columns));
            own.unwrap_or(column_names::without_mark(&column.name)).to_owned()
        };
        let all: Vec<String> = columns.iter().enumerate().map(|(at, column)| name(at, column)).collect();
        if let Some((_, twice)) = all.iter().enumerate().find(|(at, name)| all.iter().take(*at).any(|before| before == *name)) {
            return Err(Error::DuplicateColumn { name: twice.clone() });
        }
        let named = columns
            .into_iter()
            .zip(all)
            .map(|(column, name)| if column.name == name { Expr::Column(column) } else { Expr::Column(column).alias(name) });
        Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(plan.clone()))?))
    }

    /// The objects that the query names, and the models, galleries and figures that its calls name.
    fn reads(&self, session: &Session, plan: &LogicalPlan) -> Result<Vec<String>> {
        let mut query = self.query.query.clone();
        rewrite::rewrite(&mut query)?;
        let statement = ParserStatement::Statement(Box::new(SqlStatement::Query(query)));
        let tables = session.context().state().resolve_table_references(&statement)?;
        let known = |name: &str| session.engine().catalog().find(name).is_some();
        let called = model_names(plan)?;
        let figures = figure::figures_of(plan, &session.engine().catalog().figures())?;
        let tables = tables.into_iter().map(|t| t.table().to_owned()).chain(called.galleries).filter(|name| known(name));
        let models = called.models.iter().map(|name| model_key(name));
        Ok(tables.chain(models).chain(figures.into_iter().map(|(_, name)| name)).collect())
    }

    fn view(&self, statement: &Statement, plan: LogicalPlan) -> Result<Arc<ViewTable>> {
        if let Some((key, _)) = self.options.first() {
            return Err(Error::Option { message: format!("option \"{key}\" of a view does not exist"), hint: None });
        }
        if self.query.emit != Emit::Default {
            return Err(Error::unsupported("EMIT in a view that is not materialized", "Use CREATE MATERIALIZED VIEW."));
        }
        Ok(Arc::new(ViewTable::new(plan, Some(statement.text.clone()))))
    }

    async fn materialized(&self, session: &Session, plan: &LogicalPlan) -> Result<New> {
        let (mut retention_us, mut background) = (None, false);
        let mut state_ttl_us = session.variables().lock().state_ttl_us();
        for (key, value) in self.options {
            match key.as_str() {
                "retention" => match duration_us(value, 1_000_000).filter(|us| *us > 0) {
                    Some(us) => retention_us = Some(us),
                    None => {
                        return Err(Error::Option {
                            message: format!("option \"retention\" is a time such as '7 d', not \"{value}\""),
                            hint: None,
                        });
                    }
                },
                "state_ttl" => match duration_us(value, 1_000_000) {
                    Some(us) => state_ttl_us = Some(us).filter(|us| *us > 0),
                    None => {
                        return Err(Error::Option {
                            message: format!("option \"state_ttl\" is a time such as '1 h', not \"{value}\""),
                            hint: Some("0 is for ever.".into()),
                        });
                    }
                },
                "background" => background = boolean(key, value)?,
                NOTIFY => check_channel(value)?,
                _ => {
                    return Err(Error::Option {
                        message: format!("option \"{key}\" of a materialized view does not exist"),
                        hint: Some("The options are retention, state_ttl, background and notify.".into()),
                    });
                }
            }
        }
        let engine = session.engine();
        let plan = optimised_continuous(session, plan, self.query.emit).await?;
        let sources = event_time::sources_of(&plan)?;
        let time_columns: Vec<TimeColumn> =
            event_time::columns_of(&plan).into_iter().map(|(index, lag_us)| TimeColumn { index, lag_us }).collect();
        if retention_us.is_some() && time_columns.is_empty() {
            return Err(Error::Option {
                message: "retention needs a column that carries event time".into(),
                hint: Some("Select ts, or the window_start of a window.".into()),
            });
        }
        let view_is_live = sources.iter().any(|s| s.live());
        let run = Run { job: true, ..engine.run_as(self.query.emit, state_ttl_us) };
        let exec = lower::continuous(&plan, &run)?;
        let checkpoint = Arc::clone(&run.checkpoint);
        let updating = changelog::changelog(&plan, changelog::updating(self.query.emit));
        let shape = Shape { schema: exec.schema(), time_columns, retention_us, live: view_is_live, updating };
        let view = Arc::new(MaterializedView::try_new(self.name, shape, run.counters)?);
        Ok(New { view, exec, sources, checkpoint, background, view_is_live })
    }

    fn check_replaceable(&self, engine: &Engine, old: &Object) -> Result<()> {
        let kind = if self.materialized { Kind::MaterializedView } else { Kind::View };
        if old.kind() != kind {
            return Err(Error::WrongKind {
                statement: Some("DROP"),
                name: self.name.to_owned(),
                expected: kind.word(),
                found: old.kind().word(),
            });
        }
        let dependents = engine.catalog.dependents(self.name);
        if !dependents.is_empty() {
            let dependents = dependents.iter().map(|o| format!("{} {}", o.kind().word(), o.name)).collect();
            return Err(Error::Dependents { kind: kind.word(), name: self.name.to_owned(), dependents });
        }
        Ok(())
    }

    /// Errs if other statements have changed, while the new view was filled, what it replaces or reads.
    fn check_unchanged(&self, engine: &Engine, old: &Object, new: &Object) -> Result<()> {
        if !engine.catalog.find(self.name).is_some_and(|now| now.same(old)) {
            let message = format!("materialized view \"{}\" was changed by another statement", self.name);
            return Err(Error::State { message, hint: Some("Create it once more.".into()) });
        }
        if let Some(gone) = new.reads.iter().find(|name| !is_model_key(name) && engine.catalog.object(name).is_none()) {
            return Err(Error::NotFound { kind: "relation", name: gone.clone() });
        }
        self.check_replaceable(engine, old)
    }
}

/// Puts an object, with its job, in the place of the one of its name, if there is one; the catalogue on disk is the first to know,
/// and keeps the text `kept`.
fn put(session: &Session, object: Object, kept: &str, job: Option<Job>) -> Result<()> {
    let engine = session.engine();
    session.keep(vec![Change::Add(object.name.clone(), kept.to_owned())])?;
    let name = object.name.clone();
    let old = engine.catalog.find(&name).zip(engine.catalog.position(&name));
    if let Body::Materialized(view) = &object.body {
        engine.announcer.follow(&engine.jobs, &name, view);
    }
    engine.catalog.replace(object.clone());
    engine.missing.forget(&name);
    let undo = match old {
        Some((old, at)) => Undo::Replaced(dropped::left(engine, old, at)),
        None => Undo::Made(object),
    };
    if let Some(job) = job {
        engine.jobs.put(&name, job);
    }
    session.did(undo);
    Ok(())
}

/// A view that is not whole yet: unless it becomes so, its job ends, and it leaves the catalogue with what was built on it meanwhile.
struct Unfinished {
    engine: Arc<Engine>,
    object: Object,
    job: Job,
    /// Whether the catalogue on disk knows it: it was not made in a block.
    on_disk: bool,
    armed: bool,
}

impl Unfinished {
    /// With the catalogue locked.
    fn take_back(&mut self) {
        self.armed = false;
        take_back(&self.engine, &self.object, &self.job, self.on_disk);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        // The statement was cancelled. Another may be changing the catalogue at this moment: then it is waited for elsewhere.
        let (engine, object, job, on_disk) = (Arc::clone(&self.engine), self.object.clone(), self.job.clone(), self.on_disk);
        if let Ok(_changing) = self.engine.changing.try_lock() {
            take_back(&engine, &object, &job, on_disk);
            return;
        }
        self.engine.jobs.spawn(async move {
            let _changing = engine.changing.lock().await;
            take_back(&engine, &object, &job, on_disk);
        });
    }
}

fn take_back(engine: &Arc<Engine>, object: &Object, job: &Job, on_disk: bool) {
    job.end();
    // Another of that name is not this one: what was to be replaced, or what came after a drop.
    dropped::take_back(engine, object, on_disk);
}

struct New {
    view: Arc<MaterializedView>,
    exec: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    sources: Vec<Arc<dyn Source>>,
    checkpoint: Arc<Checkpoint>,
    background: bool,
    view_is_live: bool,
}
