//! Who may come in and what each may read: roles, their verifiers, and the grants on sources, views and columns.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockWriteGuard};

use super::password::Verifier;
use crate::error::{Error, Result};

/// Everybody, as a grantee.
pub const PUBLIC: &str = "public";
/// The role that is there from the beginning, unless one of that name is created.
pub const FIRST: &str = "framesql";

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it may connect.
    pub login: bool,
    /// How its password is checked; None if it has none.
    pub verifier: Option<Verifier>,
    /// How many connections it may have at once; None is no limit.
    pub connection_limit: Option<u32>,
}

impl Role {
    /// The one that is there from the beginning: it may do everything, and has no password.
    fn first() -> Role {
        Role { name: FIRST.to_owned(), superuser: true, login: true, verifier: None, connection_limit: None }
    }
}

/// One right to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who has it.
    pub role: String,
    /// The object.
    pub object: String,
    /// The columns; None is all of them.
    pub columns: Option<Vec<String>>,
}

/// The roles and grants of an engine.
#[derive(Debug, Default)]
pub struct Roles {
    roles: RwLock<Vec<Role>>,
    grants: RwLock<Vec<Grant>>,
    /// How often they have been changed.
    version: AtomicU64,
}

/// What a role may read of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readable {
    /// All of it.
    All,
    /// These columns.
    Columns(Vec<String>),
    /// Nothing.
    Nothing,
}

impl Roles {
    /// How often roles and grants have been changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Some of them, to be changed.
    fn change<'a, T>(&self, of: &'a RwLock<T>) -> RwLockWriteGuard<'a, T> {
        let locked = of.write();
        self.version.fetch_add(1, Ordering::Release);
        locked
    }

    /// The role of that name.
    pub fn find(&self, name: &str) -> Option<Role> {
        self.roles.read().iter().find(|role| role.name == name).cloned()
    }

    /// The same, or the role that is there from the beginning, which no statement has made.
    pub(super) fn known(&self, name: &str) -> Option<Role> {
        self.find(name).or_else(|| (name == FIRST).then(Role::first))
    }

    /// All roles, in the order they were made.
    pub fn all(&self) -> Vec<Role> {
        self.roles.read().clone()
    }

    /// All grants.
    pub fn grants(&self) -> Vec<Grant> {
        self.grants.read().clone()
    }

    /// Whether anybody has a password: then everybody needs one.
    pub fn passwords(&self) -> bool {
        self.roles.read().iter().any(|role| role.verifier.is_some())
    }

    /// Whether the name may do everything: a superuser, the first role, and while nobody has a password whoever is no role.
    pub fn superuser(&self, name: &str) -> bool {
        self.find(name).map_or_else(|| name == FIRST || !self.passwords(), |role| role.superuser)
    }

    /// Adds a role, or changes the one of that name. Errs (55000) if the first password is not a superuser's: nobody could come in to do more.
    pub(super) fn put(&self, role: Role) -> Result<()> {
        let mut roles = self.change(&self.roles);
        let others = || roles.iter().filter(|other| other.name != role.name);
        let strong = |role: &Role| role.superuser && role.login && role.verifier.is_some();
        let any = role.verifier.is_some() || others().any(|other| other.verifier.is_some());
        if any && !strong(&role) && !others().any(strong) {
            return Err(Error::State {
                message: format!("role \"{}\" would leave no superuser with a password", role.name),
                hint: Some("Begin with CREATE ROLE name SUPERUSER LOGIN PASSWORD '…'; from then on everybody needs a password.".into()),
            });
        }
        match roles.iter_mut().find(|other| other.name == role.name) {
            Some(old) => *old = role,
            None => roles.push(role),
        }
        Ok(())
    }

    /// Takes a role out, with its grants. Errs (55000) if it is the last superuser with a password while others have one.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let mut roles = self.change(&self.roles);
        let strong = |role: &Role| role.name != name && role.superuser && role.login && role.verifier.is_some();
        let others = roles.iter().any(|role| role.name != name && role.verifier.is_some());
        if others && !roles.iter().any(strong) {
            return Err(Error::State {
                message: format!("role \"{name}\" is the last superuser with a password"),
                hint: Some("Drop the other roles with passwords first, or give one of them SUPERUSER.".into()),
            });
        }
        roles.retain(|role| role.name != name);
        self.change(&self.grants).retain(|grant| grant.role != name);
        Ok(())
    }

    /// Puts a role back as it was; None is that there was none.
    pub(super) fn restore(&self, name: &str, before: Option<Role>) {
        let mut roles = self.change(&self.roles);
        let at = roles.iter().position(|role| role.name == name);
        match (at.and_then(|at| roles.get_mut(at)), before) {
            (Some(role), Some(before)) => *role = before,
            (None, Some(before)) => roles.push(before),
            (_, None) => roles.retain(|role| role.name != name),
        }
    }

    /// The grant of an object to a role itself.
    pub(super) fn granted(&self, role: &str, object: &str) -> Option<Grant> {
        self.grants.read().iter().find(|grant| grant.role == role && grant.object == object).cloned()
    }

    /// Puts the grant of an object to a role back as it was.
    pub(super) fn restore_grant(&self, role: &str, object: &str, before: Option<Grant>) {
        let mut grants = self.change(&self.grants);
        grants.retain(|grant| grant.role != role || grant.object != object);
        grants.extend(before);
    }

    /// Adds a grant; columns join those that the role has already.
    pub(super) fn grant(&self, grant: Grant) {
        let mut grants = self.change(&self.grants);
        match grants.iter_mut().find(|old| old.role == grant.role && old.object == grant.object) {
            Some(old) => {
                old.columns = match (old.columns.take(), grant.columns) {
                    (Some(mut old), Some(new)) => {
                        old.extend(new);
                        old.sort();
                        old.dedup();
                        Some(old)
                    }
                    _ => None,
                }
            }
            None => grants.push(grant),
        }
    }

    /// Takes a grant back; None is all columns.
    pub(super) fn revoke(&self, role: &str, object: &str, columns: Option<&[String]>) {
        let mut grants = self.change(&self.grants);
        for grant in grants.iter_mut().filter(|grant| grant.role == role && grant.object == object) {
            match (&mut grant.columns, columns) {
                (Some(of), Some(columns)) => of.retain(|column| !columns.contains(column)),
                // As in Postgres: a right to the whole is not narrowed by taking columns back.
                (None, Some(_)) => {}
                (of, None) => *of = Some(Vec::new()),
            }
        }
        grants.retain(|grant| grant.columns.as_ref().is_none_or(|columns| !columns.is_empty()));
    }

    /// Forgets the grants on an object that has gone.
    pub(super) fn forget(&self, object: &str) {
        self.change(&self.grants).retain(|grant| grant.object != object);
    }

    /// What a role that is no superuser may read of an object.
    pub fn readable(&self, role: &str, object: &str) -> Readable {
        let grants = self.grants.read();
        let mut columns = Vec::new();
        for grant in grants.iter().filter(|grant| grant.object == object && (grant.role == role || grant.role == PUBLIC)) {
            match &grant.columns {
                None => return Readable::All,
                Some(of) => columns.extend(of.iter().cloned()),
            }
        }
        if columns.is_empty() { Readable::Nothing } else { Readable::Columns(columns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, superuser: bool, password: Option<&str>) -> Role {
        let verifier = password.map(|password| Verifier::of_password(password).unwrap());
        Role { name: name.into(), superuser, login: true, verifier, connection_limit: None }
    }

    #[test]
    fn the_first_password_is_a_superusers_and_the_last_too() {
        let roles = Roles::default();
        assert!(roles.superuser("anybody"));
        assert_eq!(roles.put(role("bi", false, Some("b"))).unwrap_err().sqlstate(), "55000");
        roles.put(role("admin", true, Some("a"))).unwrap();
        roles.put(role("bi", false, Some("b"))).unwrap();
        assert!(!roles.superuser("anybody") && !roles.superuser("bi") && roles.superuser("admin"));
        assert_eq!(roles.remove("admin").unwrap_err().sqlstate(), "55000");
        assert_eq!(roles.put(role("admin", false, Some("a"))).unwrap_err().sqlstate(), "55000");
        roles.remove("bi").unwrap();
        roles.remove("admin").unwrap();
        assert!(!roles.passwords());
    }

    #[test]
    fn grants_add_up_and_are_taken_back() {
        let roles = Roles::default();
        let grant = |role: &str, columns: Option<&[&str]>| {
            let columns = columns.map(|columns| columns.iter().map(|c| (*c).to_owned()).collect());
            roles.grant(Grant { role: role.into(), object: "v".into(), columns });
        };
        assert_eq!(roles.readable("bi", "v"), Readable::Nothing);
        grant("bi", Some(&["a"]));
        grant("public", Some(&["b"]));
        assert_eq!(roles.readable("bi", "v"), Readable::Columns(vec!["a".into(), "b".into()]));
        grant("bi", None);
        assert_eq!(roles.readable("bi", "v"), Readable::All);
        roles.revoke("bi", "v", None);
        assert_eq!(roles.readable("bi", "v"), Readable::Columns(vec!["b".into()]));
        roles.forget("v");
        assert!(roles.grants().is_empty());
    }
}
