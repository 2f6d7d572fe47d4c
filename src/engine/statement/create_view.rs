//! CREATE VIEW and CREATE MATERIALIZED VIEW: a query under a name, and a query's result under a name.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::sql::parser::Statement as ParserStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::drop;
use crate::engine::catalog::{Body, Object};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::frame::source::{Source, TimeColumn};
use crate::plan::column_names::{self, Names};
use crate::plan::parse::{Emit, QueryText, Statement, boolean};
use crate::plan::{changelog, event_time, query, rewrite};
use crate::run::lower;
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
        let waiting = {
            let engine = session.engine();
            let _changing = engine.changing.lock().await;
            match engine.catalog.find(self.name) {
                Some(_) if self.if_not_exists => {
                    session.notice(format!("relation \"{}\" already exists, skipping", self.name), None);
                    return done();
                }
                Some(taken) if !self.or_replace => return Err(Error::Duplicate { kind: taken.kind().word(), name: self.name.to_owned() }),
                _ => {}
            }
            // The new one is planned whole before the old one goes.
            let plan = self.plan(session).await?;
            let reads = self.reads(session)?;
            if reads.iter().any(|read| read == self.name) {
                return Err(Error::refused(format!("view \"{}\" would read itself", self.name), "Give the new view another name."));
            }
            let made = if self.materialized { self.materialized(session, &plan)? } else { self.view(statement, plan)? };
            if let Some(old) = engine.catalog.find(self.name) {
                self.replace(session, &old)?;
            }
            let body = match &made {
                Made::View(view) => Body::View(Arc::clone(view)),
                Made::Materialized(new) => Body::Materialized(Arc::clone(&new.view)),
            };
            let object = Object { name: self.name.to_owned(), body, definition: statement.text.clone(), reads };
            if let Some(store) = &engine.store {
                store.add(self.name, &self.kept(session, statement))?;
            }
            engine.catalog.add(object)?;
            match made {
                Made::View(_) => return done(),
                Made::Materialized(new) => {
                    let context = session.context().task_ctx();
                    if let Err(e) = engine.jobs.start(self.name, &new.exec, &context, &new.view, new.sources) {
                        self.take_back(session);
                        return Err(e.into());
                    }
                    if new.background || new.view_is_live || session.in_background() {
                        return done();
                    }
                    new.view
                }
            }
        };
        self.wait(session, &waiting).await?;
        done()
    }

    /// The statement as a restart reads it: with the setting that it was run under, if that has a say.
    fn kept(&self, session: &Session, statement: &Statement) -> String {
        match session.variables().lock().show(STATE_TTL) {
            Ok(ttl) if self.materialized && ttl != "0" && self.options.iter().all(|(key, _)| key != STATE_TTL) => {
                format!("SET {STATE_TTL} = '{}'; {}", ttl.replace('\'', "''"), statement.text)
            }
            _ => statement.text.clone(),
        }
    }

    /// Waits until the view holds the whole answer; a statement that is cancelled meanwhile leaves no view behind.
    async fn wait(&self, session: &Session, view: &Arc<MaterializedView>) -> Result<()> {
        let mut unfinished = TakeBack { session, name: self.name, armed: true };
        let end = view.ended_with().await;
        match end {
            End::Whole => {
                unfinished.armed = false;
                Ok(())
            }
            // The view of a failed query is taken back, as in Postgres.
            End::Failed { code, message } => Err(Error::Media { code, message, hint: None }),
            End::Dropped => {
                unfinished.armed = false;
                Err(Error::State { message: format!("materialized view \"{}\" was dropped", self.name), hint: None })
            }
        }
    }

    fn take_back(&self, session: &Session) {
        drop_quietly(session, self.name);
    }

    async fn plan(&self, session: &Session) -> Result<LogicalPlan> {
        let plan = session.plan(&self.query.query).await?;
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

    /// The objects that the query names.
    fn reads(&self, session: &Session) -> Result<Vec<String>> {
        let mut query = self.query.query.clone();
        rewrite::rewrite(&mut query)?;
        let statement = ParserStatement::Statement(Box::new(SqlStatement::Query(query)));
        let tables = session.context().state().resolve_table_references(&statement)?;
        let known = |name: &str| session.engine().catalog().find(name).is_some();
        Ok(tables.into_iter().map(|t| t.table().to_owned()).filter(|name| known(name)).collect())
    }

    fn view(&self, statement: &Statement, plan: LogicalPlan) -> Result<Made> {
        if let Some((key, _)) = self.options.first() {
            return Err(Error::Option { message: format!("option \"{key}\" of a view does not exist"), hint: None });
        }
        if self.query.emit != Emit::Default {
            return Err(Error::unsupported("EMIT in a view that is not materialized", "Use CREATE MATERIALIZED VIEW."));
        }
        Ok(Made::View(Arc::new(ViewTable::new(plan, Some(statement.text.clone())))))
    }

    fn materialized(&self, session: &Session, plan: &LogicalPlan) -> Result<Made> {
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
                _ => {
                    return Err(Error::Option {
                        message: format!("option \"{key}\" of a materialized view does not exist"),
                        hint: Some("The options are retention, state_ttl and background.".into()),
                    });
                }
            }
        }
        let engine = session.engine();
        let plan = query::optimise_continuous(&session.context().state(), plan, self.query.emit)?;
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
        let run = engine.run_as(self.query.emit, state_ttl_us);
        let exec = lower::continuous(&plan, &run)?;
        let updating = changelog::changelog(&plan, changelog::updating(self.query.emit));
        let shape = Shape { schema: exec.schema(), time_columns, retention_us, live: view_is_live, updating };
        let view = Arc::new(MaterializedView::try_new(self.name, shape, run.counters)?);
        Ok(Made::Materialized(New { view, exec, sources, background, view_is_live }))
    }

    fn replace(&self, session: &Session, old: &Object) -> Result<()> {
        let kind = if self.materialized { crate::plan::parse::Kind::MaterializedView } else { crate::plan::parse::Kind::View };
        if old.kind() != kind {
            return Err(Error::WrongKind { name: self.name.to_owned(), expected: kind.word(), found: old.kind().word() });
        }
        let dependents = session.engine().catalog().dependents(self.name);
        if !dependents.is_empty() {
            let dependents = dependents.iter().map(|o| format!("{} {}", o.kind().word(), o.name)).collect();
            return Err(Error::Dependents { kind: kind.word(), name: self.name.to_owned(), dependents });
        }
        drop::remove(session, std::slice::from_ref(old))
    }
}

enum Made {
    View(Arc<ViewTable>),
    Materialized(New),
}

struct New {
    view: Arc<MaterializedView>,
    exec: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    sources: Vec<Arc<dyn Source>>,
    background: bool,
    view_is_live: bool,
}

/// Takes a view back unless it became whole.
struct TakeBack<'a> {
    session: &'a Session,
    name: &'a str,
    armed: bool,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        if self.armed {
            drop_quietly(self.session, self.name);
        }
    }
}

fn drop_quietly(session: &Session, name: &str) {
    if let Some(object) = session.engine().catalog().find(name)
        && let Err(error) = drop::remove(session, &[object])
    {
        tracing::warn!(view = name, %error, "the view of a cancelled statement could not be taken back");
    }
}
