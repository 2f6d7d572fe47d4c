//! A transaction block: how what its statements did is undone, and the rows that they wrote, which nobody else sees before COMMIT.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlan;
use tokio::sync::OwnedMutexGuard;

use super::catalog::{Body, Object};
use super::dropped::{self, Dropped};
use super::roles::{Grant, Role};
use super::session::Session;
use super::store::Change;
use super::{Engine, statement};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::source::Source;
use crate::plan::event_time::{source_of, sources_of};
use crate::plan::parse::{Body as StatementBody, Commented, Statement};
use crate::plan::table::SourceTable;
use crate::view::frozen::Frozen;
use crate::view::materialized::MaterializedView;
use crate::view::table::{Numbered, PLACE, Table};

/// How long a block that keeps others from a table waits for one that others keep it from.
const DEADLOCK: Duration = Duration::from_secs(1);

/// How one thing that was done is undone.
pub(super) enum Undo {
    /// An object was made: it goes, with what was built on it.
    Made(Object),
    /// Objects were dropped, those first that are built on others.
    Dropped(Vec<Dropped>),
    /// An object was put in the place of another.
    Replaced(Dropped),
    /// A role was made, changed or dropped.
    Role(String, Option<Role>),
    /// A role's right to an object was given or taken.
    Grant(Grant, Option<Grant>),
    /// Something was said of a thing.
    Comment(Commented, Option<String>),
    /// A view's changes are told, or told no longer.
    Told(String, Arc<MaterializedView>, Option<String>),
}

/// A table that the block writes: others see the original, and do not write it before the block ends.
struct Pending {
    original: Arc<Table>,
    copy: Arc<Table>,
    _writing: OwnedMutexGuard<()>,
}

/// A place in a block to which it can go back.
struct Savepoint {
    name: String,
    n_undo: usize,
    n_kept: usize,
    /// The rows of the tables written so far.
    rows: Vec<RecordBatch>,
}

/// What a block has done so far.
pub(super) struct Block {
    /// When it began, in µs.
    began_us: i64,
    undo: Vec<Undo>,
    kept: Vec<Change>,
    tables: Vec<Pending>,
    savepoints: Vec<Savepoint>,
    /// What views and tables held at the block's first query, if it is to see nothing else.
    snapshot: Option<Vec<Arc<Frozen>>>,
    /// Whether it has read or written: then it goes on as it has begun.
    queried: bool,
}

impl Block {
    fn new() -> Block {
        Block {
            began_us: clock::now_us(),
            undo: Vec::new(),
            kept: Vec::new(),
            tables: Vec::new(),
            savepoints: Vec::new(),
            snapshot: None,
            queried: false,
        }
    }

    fn pending(&self, table: &Arc<Table>) -> Option<&Pending> {
        self.tables.iter().find(|pending| Arc::ptr_eq(&pending.original, table))
    }

    /// Whether it has dropped an object of that name.
    fn dropped(&self, name: &str) -> bool {
        self.undo.iter().any(|undo| match undo {
            Undo::Dropped(all) => all.iter().any(|one| one.object.name == name),
            _ => false,
        })
    }

    /// What the block sees in place of a source.
    fn seen(&self, source: &Arc<dyn Source>) -> Option<Arc<dyn Source>> {
        // The last one of a name: the one before was dropped.
        let pending = self.tables.iter().rev().find(|pending| pending.original.name() == source.name());
        if let Some(pending) = pending.filter(|_| !source.flows()) {
            let numbered = source.schema().column_with_name(PLACE).is_some();
            let copy = Arc::clone(&pending.copy);
            return Some(if numbered { Arc::new(Numbered(copy)) } else { copy });
        }
        let frozen = self.snapshot.iter().flatten().find(|frozen| frozen.name() == source.name() && frozen.of(source.as_ref()));
        frozen.map(|frozen| Arc::clone(frozen) as _)
    }
}

impl Session {
    /// BEGIN: what follows can be undone.
    pub fn begin(&self) {
        *self.block.lock() = Some(Block::new());
    }

    /// When the block began, if one is open.
    pub(super) fn block_began_us(&self) -> Option<i64> {
        self.block.lock().as_ref().map(|block| block.began_us)
    }

    /// Whether a block is open.
    pub(super) fn in_block(&self) -> bool {
        self.block.lock().is_some()
    }

    /// Whether the block has read or written.
    pub(super) fn queried(&self) -> bool {
        self.block.lock().as_ref().is_some_and(|block| block.queried || !block.tables.is_empty())
    }

    /// Errs (25001) in a block, for what nothing undoes.
    pub(super) fn check_no_block(&self, what: &str) -> Result<()> {
        if !self.in_block() {
            return Ok(());
        }
        let detail = Some("Nothing undoes it: run it by itself.".to_owned());
        Err(Error::Data { code: "25001", message: format!("{what} cannot run inside a transaction block"), detail })
    }

    /// Something was done: in a block it is remembered, outside of one it is settled.
    pub(super) fn did(&self, undo: Undo) {
        match self.block.lock().as_mut() {
            Some(block) => {
                if let Undo::Dropped(all) = &undo {
                    self.engine().catalog.reserve(all.iter().map(|one| one.object.name.clone()));
                }
                block.undo.push(undo);
            }
            None => settle(self.engine(), undo),
        }
    }

    /// Changes the catalogue on disk: in a block when it is committed.
    pub(super) fn keep(&self, changes: Vec<Change>) -> Result<()> {
        let Some(store) = &self.engine().store else { return Ok(()) };
        match self.block.lock().as_mut() {
            Some(block) => {
                block.kept.extend(changes);
                Ok(())
            }
            None => store.apply(&changes),
        }
    }

    /// Errs (55000) if another block has dropped an object of that name and may bring it back.
    pub(super) fn check_not_held(&self, name: &str) -> Result<()> {
        let own = self.block.lock().as_ref().is_some_and(|block| block.dropped(name));
        if own || !self.engine().catalog.reserved(name) {
            return Ok(());
        }
        let message = format!("relation \"{name}\" was dropped in a transaction that has not ended");
        Err(Error::State { message, hint: Some("It ends with COMMIT or ROLLBACK; then the name is free or taken.".into()) })
    }

    /// The table as this session writes it: in a block its own copy, once it was enlisted.
    pub(super) fn written(&self, table: Arc<Table>) -> Arc<Table> {
        let block = self.block.lock();
        block.as_ref().and_then(|block| block.pending(&table)).map_or(table, |pending| Arc::clone(&pending.copy))
    }

    /// The tables that a statement writes are the block's alone until it ends. Errs with 40P01 if it would wait for ever, and with 40001 if a
    /// block that sees one snapshot would write over what it does not see.
    pub(super) async fn enlist(&self, statement: &Statement) -> Result<()> {
        if !self.in_block() {
            return Ok(());
        }
        for name in statement::tables_of(statement) {
            let Some(Body::Table(table) | Body::Gallery(table)) = self.engine().catalog.find(&name).map(|object| object.body) else {
                continue;
            };
            self.enlist_table(&table).await?;
        }
        Ok(())
    }

    async fn enlist_table(&self, table: &Arc<Table>) -> Result<()> {
        let (there, holds) = match self.block.lock().as_ref() {
            Some(block) => (block.pending(table).is_some(), !block.tables.is_empty()),
            None => return Ok(()),
        };
        if there {
            return Ok(());
        }
        let writing = if holds {
            let waited = tokio::time::timeout(DEADLOCK, table.write_owned()).await;
            waited.map_err(|_| Error::Data {
                code: "40P01",
                message: format!("deadlock detected: another transaction writes table \"{}\", and may wait for this one", table.name()),
                detail: Some("Run the transaction again.".into()),
            })?
        } else {
            table.write_owned().await
        };
        self.freeze()?;
        let mut block = self.block.lock();
        let Some(block) = block.as_mut() else { return Ok(()) };
        let frozen = block.snapshot.iter().flatten().find(|frozen| frozen.name() == table.name());
        if frozen.is_some_and(|frozen| !frozen.is_now(table)) {
            let message = "could not serialize access due to concurrent update".to_owned();
            return Err(Error::Data { code: "40001", message, detail: Some("Run the transaction again.".into()) });
        }
        block.tables.push(Pending { original: Arc::clone(table), copy: Arc::new(table.copied()), _writing: writing });
        Ok(())
    }

    /// Takes the snapshot of a block that is to see one, if it has not been taken.
    fn freeze(&self) -> Result<()> {
        if !self.in_block() || !self.variables().lock().repeatable_read() {
            return Ok(());
        }
        let mut block = self.block.lock();
        let Some(block) = block.as_mut().filter(|block| block.snapshot.is_none()) else { return Ok(()) };
        let frozen = |object: Object| match object.body {
            Body::Materialized(view) => Some(Frozen::of_view(&view).map(Arc::new)),
            Body::Table(table) | Body::Gallery(table) => Some(Ok(Arc::new(Frozen::of_table(&table)))),
            _ => None,
        };
        block.snapshot = Some(self.engine().catalog.all().into_iter().filter_map(frozen).collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The plan with what this block sees in place of what others do.
    pub(super) fn as_seen(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.freeze()?;
        let mut block = self.block.lock();
        let Some(block) = block.as_mut() else { return Ok(plan) };
        block.queried = true;
        let block: &Block = block;
        if block.tables.is_empty() && block.snapshot.is_none() {
            return Ok(plan);
        }
        let seen = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(mut scan) => match source_of(&scan).and_then(|source| block.seen(&source)) {
                Some(source) => {
                    scan.source = provider_as_source(Arc::new(SourceTable::new(source)));
                    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            },
            other => Ok(Transformed::no(other)),
        })?;
        Ok(seen.data)
    }

    /// Errs (25001) if a query that outlives the block reads rows that only the block sees.
    pub(super) fn check_committed(&self, plan: &LogicalPlan) -> Result<()> {
        let Some(table) = self.uncommitted(plan)? else { return Ok(()) };
        Err(Error::Data {
            code: "25001",
            message: format!("a continuous query cannot read table \"{table}\", whose rows are not committed"),
            detail: Some("COMMIT first.".into()),
        })
    }

    /// A table that the plan reads and the block has written.
    fn uncommitted(&self, plan: &LogicalPlan) -> Result<Option<String>> {
        let block = self.block.lock();
        let Some(block) = block.as_ref().filter(|block| !block.tables.is_empty()) else { return Ok(None) };
        let written = |name: &str| block.tables.iter().any(|pending| pending.original.name() == name);
        Ok(sources_of(plan)?.into_iter().map(|source| source.name().to_owned()).find(|name| written(name)))
    }

    /// Whether a statement reads on when the block has ended, and would need what the block has done: SUBSCRIBE, and a materialized view over a table
    /// that the block has written.
    pub async fn outlives_block(&self, statement: &Statement) -> bool {
        match &statement.body {
            StatementBody::Subscribe(_) | StatementBody::CopySubscribe(..) => true,
            StatementBody::CreateView { materialized: true, query, .. } => {
                if self.block.lock().as_ref().is_none_or(|block| block.tables.is_empty()) {
                    return false;
                }
                // A wrong query says so when it runs.
                let Ok(plan) = self.plan_committed(&query.query).await else { return false };
                self.uncommitted(&plan).is_ok_and(|table| table.is_some())
            }
            _ => false,
        }
    }

    /// SAVEPOINT.
    pub fn savepoint(&self, name: &str) {
        if let Some(block) = self.block.lock().as_mut() {
            let rows = block.tables.iter().map(|pending| pending.copy.rows()).collect();
            block.savepoints.push(Savepoint { name: name.to_owned(), n_undo: block.undo.len(), n_kept: block.kept.len(), rows });
        }
    }

    /// RELEASE SAVEPOINT. Errs with 3B001.
    pub fn release(&self, name: &str) -> Result<()> {
        let mut block = self.block.lock();
        let Some(block) = block.as_mut() else { return Ok(()) };
        let at = found(&block.savepoints, name)?;
        block.savepoints.truncate(at);
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT: what was done since then is undone. Errs with 3B001.
    pub async fn roll_back_to(&self, name: &str) -> Result<()> {
        let _changing = self.engine().changing.lock().await;
        let undo = {
            let mut block = self.block.lock();
            let Some(block) = block.as_mut() else { return Ok(()) };
            let at = found(&block.savepoints, name)?;
            block.savepoints.truncate(at + 1);
            let Some(savepoint) = block.savepoints.last() else { return Ok(()) };
            block.kept.truncate(savepoint.n_kept);
            for (at, pending) in block.tables.iter().enumerate() {
                let rows = savepoint.rows.get(at).cloned().unwrap_or_else(|| pending.original.rows());
                pending.copy.replace(rows)?;
            }
            block.undo.split_off(savepoint.n_undo.min(block.undo.len()))
        };
        undo.into_iter().rev().for_each(|undo| undone(self.engine(), undo));
        Ok(())
    }

    /// ROLLBACK: nothing was done.
    pub async fn roll_back(&self) {
        let block = self.block.lock().take();
        if let Some(block) = block {
            roll_back(self.engine(), block).await;
        }
    }

    /// COMMIT: the rows that were written are those of the tables, and what was made and dropped is so at the next start. Errs if it cannot be
    /// written to disk: then nothing was done.
    pub async fn commit(&self) -> Result<()> {
        let Some(block) = self.block.lock().take() else { return Ok(()) };
        if block.undo.is_empty() && block.kept.is_empty() && block.tables.is_empty() {
            return Ok(());
        }
        let engine = Arc::clone(self.engine());
        let _changing = engine.changing.lock().await;
        let done = tokio::task::spawn_blocking({
            let engine = Arc::clone(&engine);
            move || {
                let written = write(&engine, &block);
                (block, written)
            }
        });
        let (block, written) = done.await.map_err(|e| Error::Internal(e.to_string()))?;
        match written {
            Ok(()) => {
                let Block { undo, .. } = block;
                undo.into_iter().for_each(|undo| settle(&engine, undo));
                Ok(())
            }
            Err(error) => {
                block.undo.into_iter().rev().for_each(|undo| undone(&engine, undo));
                Err(error)
            }
        }
    }
}

fn found(savepoints: &[Savepoint], name: &str) -> Result<usize> {
    savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| Error::Data {
        code: "3B001",
        message: format!("savepoint \"{name}\" does not exist"),
        detail: None,
    })
}

/// Undoes a block whose session may be gone.
pub(super) async fn roll_back(engine: &Arc<Engine>, block: Block) {
    if block.undo.is_empty() {
        return;
    }
    let _changing = engine.changing.lock().await;
    block.undo.into_iter().rev().for_each(|undo| undone(engine, undo));
}

/// Puts the rows into the tables and the changes into the catalogue on disk, all or none.
fn write(engine: &Engine, block: &Block) -> Result<()> {
    let before: Vec<_> = block.tables.iter().map(|pending| pending.original.rows()).collect();
    let take_back = |n: usize| {
        for (pending, rows) in block.tables.iter().zip(&before).take(n) {
            if let Err(error) = pending.original.replace(rows.clone()) {
                tracing::error!(table = pending.original.name(), %error, "the rows of a failed COMMIT could not be taken back");
            }
        }
    };
    for (at, pending) in block.tables.iter().enumerate() {
        let rows = pending.copy.rows();
        // A table that was dropped, by this block or another, has no rows any more.
        let there = engine.catalog.find(pending.original.name()).is_some_and(|now| now.is_table(&pending.original));
        if there
            && !same_rows(&rows, before.get(at))
            && let Err(error) = pending.original.replace(rows)
        {
            take_back(at);
            return Err(error);
        }
    }
    let kept = settle_files(engine, block).and_then(|()| match &engine.store {
        Some(store) => store.apply(&block.kept),
        None => Ok(()),
    });
    if kept.is_err() {
        take_back(block.tables.len());
    }
    kept
}

fn same_rows(rows: &RecordBatch, before: Option<&RecordBatch>) -> bool {
    let same = |(a, b): (&ArrayRef, &ArrayRef)| Arc::ptr_eq(a, b);
    before.is_some_and(|before| before.num_rows() == rows.num_rows() && before.columns().iter().zip(rows.columns()).all(same))
}

/// A table that was made in the block gets its file now: until COMMIT another of its name, dropped in the block, has it.
fn settle_files(engine: &Engine, block: &Block) -> Result<()> {
    let Some(store) = &engine.store else { return Ok(()) };
    for undo in &block.undo {
        let Undo::Made(Object { name, body: Body::Table(table) | Body::Gallery(table), .. }) = undo else { continue };
        if !engine.catalog.find(name).is_some_and(|now| now.is_table(table)) {
            continue;
        }
        for dropped in block.undo.iter().filter_map(|undo| if let Undo::Dropped(all) = undo { Some(all) } else { None }).flatten() {
            if let Body::Table(old) | Body::Gallery(old) = &dropped.object.body
                && dropped.object.name == *name
            {
                old.leave_file();
            }
        }
        table.settle(store.table_file(name))?;
    }
    Ok(())
}

/// What was done stays done.
fn settle(engine: &Engine, undo: Undo) {
    match undo {
        Undo::Dropped(all) => {
            engine.catalog.free(all.iter().map(|one| one.object.name.as_str()));
            all.iter().for_each(dropped::end);
        }
        Undo::Replaced(one) => dropped::end(&one),
        Undo::Made(_) | Undo::Role(..) | Undo::Grant(..) | Undo::Comment(..) | Undo::Told(..) => {}
    }
}

/// What was done was not done. The caller has locked the catalogue.
fn undone(engine: &Arc<Engine>, undo: Undo) {
    match undo {
        Undo::Made(object) => dropped::take_back(engine, &object, false),
        Undo::Dropped(all) => {
            engine.catalog.free(all.iter().map(|one| one.object.name.as_str()));
            all.into_iter().rev().for_each(|one| dropped::bring_back(engine, one));
        }
        Undo::Replaced(one) => {
            if let Some(new) = dropped::replaced(engine, &one.object.name) {
                dropped::end(&new);
            }
            dropped::bring_back(engine, one);
        }
        Undo::Role(name, before) => engine.roles.restore(&name, before),
        Undo::Grant(grant, before) => engine.roles.restore_grant(&grant.role, &grant.object, before),
        Undo::Comment(on, before) => drop(engine.comments.put(&on, before)),
        Undo::Told(name, view, before) => engine.announcer.set(&engine.jobs, &name, &view, before.as_deref()),
    }
}
