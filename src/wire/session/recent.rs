//! The queries that a connection has parsed last: a driver that parses the same text for every question has it planned once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::prepared::Prepared;
use crate::engine::session::Session;

/// How many are remembered.
const MOST: usize = 16;
/// Bytes of the longest text that is: programs repeat short questions.
const MOST_BYTES: usize = 16 << 10;

/// The queries, the newest last.
#[derive(Default)]
pub(in crate::wire) struct Recent(VecDeque<Parsed>);

struct Parsed {
    text: String,
    /// The type oids that came with it.
    types: Vec<u32>,
    prepared: Arc<Prepared>,
}

impl Recent {
    /// What that text was parsed to, if its plan still holds.
    pub(in crate::wire) fn find(&mut self, session: &Session, text: &str, types: &[u32]) -> Option<Arc<Prepared>> {
        let at = self.0.iter().position(|parsed| parsed.text == text && parsed.types == types)?;
        let parsed = self.0.remove(at)?;
        if !parsed.prepared.planned.as_ref()?.holds(session) {
            return None;
        }
        let prepared = Arc::clone(&parsed.prepared);
        self.0.push_back(parsed);
        Some(prepared)
    }

    /// Remembers a query; what is none, and has no plan, is not.
    pub(in crate::wire) fn put(&mut self, text: String, types: Vec<u32>, prepared: &Arc<Prepared>) {
        if prepared.planned.is_none() || text.len() > MOST_BYTES {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(Parsed { text, types, prepared: Arc::clone(prepared) });
    }
}
