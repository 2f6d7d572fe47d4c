//! What is said of objects, columns and roles: the texts of COMMENT ON.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::plan::parse::Commented;

/// The comments of an engine.
#[derive(Debug, Default)]
pub struct Comments(RwLock<BTreeMap<Commented, String>>);

impl Comments {
    /// All of them.
    pub fn all(&self) -> Vec<(Commented, String)> {
        self.0.read().iter().map(|(on, text)| (on.clone(), text.clone())).collect()
    }

    /// What is said of one thing.
    pub fn of(&self, on: &Commented) -> Option<String> {
        self.0.read().get(on).cloned()
    }

    /// Puts a comment in place of the old one, which is given back; None takes it away.
    pub(super) fn put(&self, on: &Commented, text: Option<String>) -> Option<String> {
        let mut comments = self.0.write();
        match text {
            Some(text) => comments.insert(on.clone(), text),
            None => comments.remove(on),
        }
    }

    /// The comments on an object and its columns.
    pub(super) fn about(&self, object: &str) -> Vec<(Commented, String)> {
        self.all().into_iter().filter(|(on, _)| is_about(on, object)).collect()
    }

    /// Forgets those of an object that has gone, and of its columns.
    pub(super) fn forget(&self, object: &str) {
        self.0.write().retain(|on, _| !is_about(on, object));
    }
}

fn is_about(on: &Commented, object: &str) -> bool {
    match on {
        Commented::Relation(_, name) => name == object,
        Commented::Column { relation, .. } => relation == object,
        Commented::Role(_) => false,
    }
}
