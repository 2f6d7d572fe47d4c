//! GRANT and REVOKE of SELECT: on sources, views and columns, so that a tool reads counts and no pixels.

use datafusion::sql::sqlparser::ast::{self, Action, GrantObjects, Grantee, GranteeName, ObjectName, Privileges};

use super::role::{folded, folded_ident};
use crate::engine::block::Undo;
use crate::engine::catalog::Body;
use crate::engine::outcome::Outcome;
use crate::engine::roles::{Grant, PUBLIC};
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};

/// GRANT.
pub(super) fn grant(session: &Session, grant: &ast::Grant) -> Result<Outcome> {
    if grant.with_grant_option {
        return Err(Error::unsupported("WITH GRANT OPTION", "Only a superuser grants."));
    }
    for grant in read(session, &grant.privileges, grant.objects.as_ref(), &grant.grantees)? {
        let before = session.engine().roles().granted(&grant.role, &grant.object);
        session.engine().roles().grant(grant.clone());
        keep(session, &grant.role, &grant.object)?;
        session.did(Undo::Grant(grant, before));
    }
    Ok(Outcome::Done { tag: "GRANT".into() })
}

/// REVOKE.
pub(super) fn revoke(session: &Session, revoke: &ast::Revoke) -> Result<Outcome> {
    for grant in read(session, &revoke.privileges, revoke.objects.as_ref(), &revoke.grantees)? {
        let before = session.engine().roles().granted(&grant.role, &grant.object);
        session.engine().roles().revoke(&grant.role, &grant.object, grant.columns.as_deref());
        keep(session, &grant.role, &grant.object)?;
        session.did(Undo::Grant(grant, before));
    }
    Ok(Outcome::Done { tag: "REVOKE".into() })
}

/// Each right that the statement names.
fn read(session: &Session, privileges: &Privileges, objects: Option<&GrantObjects>, grantees: &[Grantee]) -> Result<Vec<Grant>> {
    let columns = match privileges {
        Privileges::All { .. } => None,
        Privileges::Actions(actions) => match actions.as_slice() {
            [Action::Select { columns }] => columns.as_ref().map(|columns| columns.iter().map(folded_ident).collect::<Vec<_>>()),
            _ => return Err(Error::unsupported("GRANT of anything but SELECT", "Reading is what is granted; a superuser does the rest.")),
        },
    };
    let names = match objects {
        Some(GrantObjects::Tables(names)) => names.iter().map(object).collect::<Result<Vec<_>>>()?,
        Some(GrantObjects::AllTablesInSchema { schemas }) => {
            for schema in schemas {
                if folded(schema)? != "public" {
                    return Err(Error::NotFound { kind: "schema", name: schema.to_string() });
                }
            }
            session.engine().catalog().all().into_iter().map(|object| object.name).collect()
        }
        _ => return Err(Error::unsupported("GRANT on this kind of object, or of a role", "Grant SELECT ON a source or view TO a role.")),
    };
    let mut grants = Vec::new();
    for name in &names {
        let found = session.engine().catalog().find(name).ok_or_else(|| Error::NotFound { kind: "relation", name: name.clone() })?;
        if let Some(columns) = &columns {
            if matches!(found.body, Body::View(_)) {
                return Err(Error::unsupported("GRANT of columns of a view", "Make a view of those columns, and grant that."));
            }
            let schema = found.schema();
            if let Some(missing) = columns.iter().find(|column| schema.index_of(column).is_err()) {
                return Err(Error::NotFound { kind: "column", name: missing.clone() });
            }
        }
        for grantee in grantees {
            let role = match &grantee.name {
                Some(GranteeName::ObjectName(name)) => folded(name)?,
                None if grantee.grantee_type == ast::GranteesType::Public => PUBLIC.to_owned(),
                _ => return Err(Error::unsupported("this kind of grantee", "Name a role, or PUBLIC.")),
            };
            if role != PUBLIC && session.engine().roles().find(&role).is_none() {
                return Err(Error::NotFound { kind: "role", name: role });
            }
            grants.push(Grant { role, object: name.clone(), columns: columns.clone() });
        }
    }
    Ok(grants)
}

fn object(name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [schema, part] if schema.as_ident().is_some_and(|schema| folded_ident(schema) == "public") => {
            folded(&ObjectName(vec![part.clone()]))
        }
        _ => folded(name),
    }
}

/// Under which name the catalogue on disk keeps a grant.
pub(in crate::engine) fn kept(grant: &Grant) -> String {
    format!(" grant {} {}", grant.role, grant.object)
}

/// Keeps what the role may read of the object now, which may be nothing.
fn keep(session: &Session, role: &str, object: &str) -> Result<()> {
    let engine = session.engine();
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    match engine.roles().grants().into_iter().find(|grant| grant.role == role && grant.object == object) {
        Some(grant) => {
            let columns = grant.columns.as_ref().map(|columns| columns.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", "));
            let columns = columns.map(|columns| format!(" ({columns})")).unwrap_or_default();
            let to = if role == PUBLIC { "PUBLIC".to_owned() } else { quoted(role) };
            session.keep(vec![Change::Add(kept(&grant), format!("GRANT SELECT{columns} ON {} TO {to}", quoted(object)))])
        }
        None => {
            let gone = Grant { role: role.to_owned(), object: object.to_owned(), columns: None };
            session.keep(vec![Change::Remove(vec![kept(&gone)])])
        }
    }
}
