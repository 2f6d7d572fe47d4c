//! What a session's user may do: a superuser everything, others read what they were granted.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use datafusion::sql::parser::Statement as ParserStatement;
use datafusion::sql::sqlparser::ast::{AlterRoleOperation, Query, RoleOption, Statement as SqlStatement};

use super::Engine;
use super::roles::Readable;
use super::session::Session;
use super::statement::folded_ident;
use crate::error::{Error, Result};
use crate::plan::model_names::model_names;
use crate::plan::parse::{Body, Statement, Subscribed};
use crate::plan::rewrite;

/// Errs (42501) for a statement that only a superuser may run, and for SUBSCRIBE to a view that the user may not read.
pub(super) fn check_statement(session: &Session, statement: &Statement) -> Result<()> {
    check_writes(session, statement)?;
    if session.superuser() {
        return Ok(());
    }
    match &statement.body {
        Body::Query(_) | Body::CopyQuery(..) | Body::Explain { .. } | Body::Flush | Body::Maintain { .. } | Body::Nothing { .. } => Ok(()),
        Body::ShowObjects(_) | Body::ShowVariable(_) | Body::SetVariable { .. } | Body::SetTransaction { .. } => Ok(()),
        Body::Subscribe(subscribe) | Body::CopySubscribe(subscribe, _) => match &subscribe.of {
            Subscribed::View(name) => check_object(session, name),
            Subscribed::Query(_) => Ok(()),
        },
        Body::Other(other) if changes_own_password(session, other) => Ok(()),
        _ => check_superuser(session, &statement.verb()),
    }
}

/// Whether a statement gives its user another password, which everybody may.
fn changes_own_password(session: &Session, statement: &SqlStatement) -> bool {
    match statement {
        SqlStatement::AlterRole { name, operation: AlterRoleOperation::WithOptions { options } } => {
            folded_ident(name) == session.user() && options.iter().all(|option| matches!(option, RoleOption::Password(_)))
        }
        _ => false,
    }
}

/// Errs (25006) for a statement that writes in a transaction that only reads.
fn check_writes(session: &Session, statement: &Statement) -> Result<()> {
    let reads = matches!(
        &statement.body,
        Body::Query(_)
            | Body::CopyQuery(..)
            | Body::Explain { .. }
            | Body::Flush
            | Body::Maintain { .. }
            | Body::Subscribe(_)
            | Body::CopySubscribe(..)
            | Body::ShowObjects(_)
            | Body::ShowVariable(_)
            | Body::SetVariable { .. }
            | Body::SetTransaction { .. }
            | Body::Nothing { .. }
    );
    let setting = if session.in_block() { "transaction_read_only" } else { "default_transaction_read_only" };
    if reads || session.in_background() || session.variables().lock().show(setting)? != "on" {
        return Ok(());
    }
    let verb = statement.verb();
    let verb = verb.strip_suffix(" INTO").or_else(|| verb.strip_prefix("DELETE ").map(|_| "DELETE")).unwrap_or(&verb);
    let message = format!("cannot execute {verb} in a read-only transaction");
    Err(Error::Data { code: "25006", message, detail: None })
}

/// Errs (42501) unless the user is a superuser.
pub(super) fn check_superuser(session: &Session, what: &str) -> Result<()> {
    if session.superuser() {
        return Ok(());
    }
    Err(Error::Denied {
        message: format!("permission denied for {what}"),
        hint: Some("Only a superuser changes what there is; others read what they were granted.".into()),
    })
}

fn denied(name: &str) -> Error {
    let hint = match name.contains('.') {
        true => "Only a superuser reads it: it tells of what others may not read.".to_owned(),
        false => format!("A superuser may GRANT SELECT ON {name} TO you."),
    };
    Error::Denied { message: format!("permission denied for relation {name}"), hint: Some(hint) }
}

fn check_object(session: &Session, name: &str) -> Result<()> {
    let engine = session.engine();
    let known = engine.catalog().find(name).is_some();
    if known && engine.roles().readable(session.user(), name) != Readable::All { Err(denied(name)) } else { Ok(()) }
}

/// What a role may read of a relation. What is in no schema of users can be read by all, but for what tells of things that they may not see.
pub fn readable(engine: &Engine, role: &str, schema: &str, relation: &str) -> Readable {
    match schema {
        _ if engine.roles().superuser(role) => Readable::All,
        "public" => engine.roles().readable(role, relation),
        "framesql" if OF_SUPERUSERS.contains(&relation) => Readable::Nothing,
        _ => Readable::All,
    }
}

/// System relations for superusers only: a camera's URL may hold its password, a late row is a row of what the user may not read.
const OF_SUPERUSERS: [&str; 2] = ["late_rows", "sources"];

/// Errs (42501) if the query names what the user may not read. A view is read with the rights of whoever made it.
pub(super) fn check_query(session: &Session, query: &Query, plan: &LogicalPlan) -> Result<()> {
    if session.superuser() {
        return Ok(());
    }
    for gallery in model_names(plan)?.galleries {
        check_object(session, &gallery)?;
    }
    let mut query = Box::new(query.clone());
    rewrite::rewrite(&mut query)?;
    let statement = ParserStatement::Statement(Box::new(SqlStatement::Query(query)));
    let tables = session.context().state().resolve_table_references(&statement)?;
    for table in tables {
        let name = table.table();
        if table.schema() == Some("framesql") && OF_SUPERUSERS.contains(&name) {
            return Err(denied(&format!("framesql.{name}")));
        }
        if !matches!(table.schema(), None | Some("public")) || session.engine().catalog().find(name).is_none() {
            continue;
        }
        match session.engine().roles().readable(session.user(), name) {
            Readable::All => {}
            Readable::Columns(columns) => check_columns(plan, name, &columns)?,
            Readable::Nothing => return Err(denied(name)),
        }
    }
    Ok(())
}

/// Errs if the plan reads other columns of a relation than these.
fn check_columns(plan: &LogicalPlan, name: &str, columns: &[String]) -> Result<()> {
    let optimizer = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
    let plan = optimizer.optimize(plan.clone(), &OptimizerContext::new(), |_, _| {})?;
    let mut forbidden = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == name
        {
            let read = scan.projected_schema.fields().iter().find(|field| !columns.contains(field.name()));
            forbidden = forbidden.take().or(read.map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match forbidden {
        None => Ok(()),
        Some(column) => Err(Error::Denied {
            message: format!("permission denied for column {column} of relation {name}"),
            hint: Some(format!("You may read {}.", columns.join(", "))),
        }),
    }
}
