//! CREATE ROLE, ALTER ROLE, DROP ROLE: who may come in; a password is kept as its verifier only.

use datafusion::sql::sqlparser::ast::{AlterRoleOperation, CreateRole, Expr, Ident, ObjectName, Password, RoleOption, Value};

use crate::engine::block::Undo;
use crate::engine::outcome::Outcome;
use crate::engine::password::Verifier;
use crate::engine::roles::{Grant, PUBLIC, Role};
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::plan::parse::Commented;

/// CREATE ROLE, and CREATE USER, which may log in unless it says otherwise.
pub(super) fn create(session: &Session, create: &CreateRole) -> Result<Outcome> {
    let nothing = create.in_role.is_empty() && create.in_group.is_empty() && create.role.is_empty() && create.admin.is_empty();
    if !nothing || !create.user.is_empty() || create.valid_until.is_some() || create.bypassrls.is_some() || create.replication == Some(true)
    {
        return Err(Error::unsupported(
            "CREATE ROLE with members, VALID UNTIL, REPLICATION or BYPASSRLS",
            "A role has SUPERUSER, LOGIN, PASSWORD and CONNECTION LIMIT.",
        ));
    }
    for name in &create.names {
        let name = folded(name)?;
        if session.engine().roles().find(&name).is_some() {
            if create.if_not_exists {
                session.skips("42710", format!("role \"{name}\" already exists, skipping"));
                continue;
            }
            return Err(Error::Duplicate { kind: "role", name });
        }
        let role = Role {
            superuser: create.superuser == Some(true),
            login: create.login == Some(true),
            verifier: create.password.as_ref().map(verifier).transpose()?.flatten(),
            connection_limit: create.connection_limit.as_ref().map(limit).transpose()?.flatten(),
            name,
        };
        keep(session, role)?;
    }
    Ok(Outcome::Done { tag: "CREATE ROLE".into() })
}

/// ALTER ROLE name WITH options.
pub(super) fn alter(session: &Session, name: &Ident, operation: &AlterRoleOperation) -> Result<Outcome> {
    let AlterRoleOperation::WithOptions { options } = operation else {
        return Err(Error::unsupported(
            "ALTER ROLE with RENAME, members, SET or RESET",
            "Alter SUPERUSER, LOGIN, PASSWORD or CONNECTION LIMIT.",
        ));
    };
    let name = folded_ident(name);
    let mut role = session.engine().roles().known(&name).ok_or(Error::NotFound { kind: "role", name })?;
    for option in options {
        match option {
            RoleOption::SuperUser(value) => role.superuser = *value,
            RoleOption::Login(value) => role.login = *value,
            RoleOption::Password(password) => role.verifier = verifier(password)?,
            RoleOption::ConnectionLimit(expr) => role.connection_limit = limit(expr)?,
            RoleOption::CreateDB(_) | RoleOption::CreateRole(_) | RoleOption::Inherit(_) => {}
            other => {
                return Err(Error::unsupported(
                    format!("ALTER ROLE with {other}"),
                    "Alter SUPERUSER, LOGIN, PASSWORD or CONNECTION LIMIT.",
                ));
            }
        }
    }
    keep(session, role)?;
    Ok(Outcome::Done { tag: "ALTER ROLE".into() })
}

/// DROP ROLE.
pub(super) fn drop(session: &Session, if_exists: bool, names: &[ObjectName]) -> Result<Outcome> {
    let engine = session.engine();
    for name in names {
        let name = folded(name)?;
        if engine.roles().find(&name).is_none() {
            if if_exists {
                session.notice(format!("role \"{name}\" does not exist, skipping"), None);
                continue;
            }
            return Err(Error::NotFound { kind: "role", name });
        }
        let (before, role) = (engine.roles().find(&name), Commented::Role(name.clone()));
        let grants: Vec<Grant> = engine.roles().grants().into_iter().filter(|g| g.role == name).collect();
        if !grants.is_empty() {
            return Err(depended_on(session, &name, &grants));
        }
        engine.roles().remove(&name)?;
        let said = engine.comments.put(&role, None);
        session.keep(vec![Change::Remove(vec![kept(&name), super::comment::kept(&role)])])?;
        session.did(Undo::Comment(role, said));
        session.did(Undo::Role(name, before));
    }
    Ok(Outcome::Done { tag: "DROP ROLE".into() })
}

/// A role that was given something stays (2BP01).
fn depended_on(session: &Session, name: &str, grants: &[Grant]) -> Error {
    let catalog = session.engine().catalog();
    let kind = |object: &str| catalog.find(object).map_or("relation", |object| object.kind().word());
    let of = |grant: &Grant| match &grant.columns {
        Some(columns) => format!("privileges for columns {} of {} {}", columns.join(", "), kind(&grant.object), grant.object),
        None => format!("privileges for {} {}", kind(&grant.object), grant.object),
    };
    Error::Data {
        code: "2BP01",
        message: format!("role \"{name}\" cannot be dropped because some objects depend on it"),
        detail: Some(grants.iter().map(of).collect::<Vec<_>>().join("\n")),
    }
}

/// Under which name the catalogue on disk keeps a role: no object has one that begins with a space and a word of SQL.
fn kept(name: &str) -> String {
    format!(" role {name}")
}

fn keep(session: &Session, role: Role) -> Result<()> {
    if role.name == PUBLIC || role.name.starts_with("pg_") {
        return Err(Error::Option { message: format!("role name \"{}\" is reserved", role.name), hint: None });
    }
    let (name, text) = (role.name.clone(), text_of(&role));
    let before = session.engine().roles().find(&name);
    session.engine().roles().put(role)?;
    session.keep(vec![Change::Add(kept(&name), text)])?;
    session.did(Undo::Role(name, before));
    Ok(())
}

/// The statement that makes the role again.
fn text_of(role: &Role) -> String {
    let mut text = format!("CREATE ROLE \"{}\"", role.name.replace('"', "\"\""));
    text.push_str(if role.superuser { " SUPERUSER" } else { " NOSUPERUSER" });
    text.push_str(if role.login { " LOGIN" } else { " NOLOGIN" });
    if let Some(limit) = role.connection_limit {
        text.push_str(&format!(" CONNECTION LIMIT {limit}"));
    }
    if let Some(verifier) = &role.verifier {
        text.push_str(&format!(" PASSWORD '{}'", verifier.text()));
    }
    text
}

fn verifier(password: &Password) -> Result<Option<Verifier>> {
    match password {
        Password::NullPassword => Ok(None),
        Password::Password(Expr::Value(value)) => match &value.value {
            Value::SingleQuotedString(text) => Verifier::of_password(text).map(Some),
            Value::Null => Ok(None),
            _ => Err(Error::Syntax { message: "syntax error: expected a password in quotes".into(), hint: None }),
        },
        Password::Password(_) => Err(Error::Syntax { message: "syntax error: expected a password in quotes".into(), hint: None }),
    }
}

/// -1 is no limit.
fn limit(expr: &Expr) -> Result<Option<u32>> {
    let text = expr.to_string().replace(' ', "");
    match (text.as_str(), text.parse()) {
        ("-1", _) => Ok(None),
        (_, Ok(limit)) => Ok(Some(limit)),
        _ => Err(Error::Option {
            message: format!("invalid connection limit: {text}"),
            hint: Some("Give a number, or -1 for no limit.".into()),
        }),
    }
}

/// A name of one part, as Postgres folds it.
pub(super) fn folded(name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(folded_ident).ok_or_else(|| Error::Syntax { message: "expected a name".into(), hint: None }),
        _ => Err(Error::Syntax { message: format!("syntax error: expected a name of one part, found: {name}"), hint: None }),
    }
}

pub(in crate::engine) fn folded_ident(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
