//! What ends a running statement: a cancel request, its timeout, a client that has gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pgwire::messages::cancel::CancelRequest;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;

use crate::clock;
use crate::error::Error;
use crate::wire::errors::Ended;
use crate::wire::socket::halves::Reader;

/// The connections that a cancel request may name.
#[derive(Default)]
pub(in crate::wire) struct Registry {
    connections: Mutex<(i32, HashMap<i32, Entry>)>,
    keys: RandomState,
}

/// A connection as others see it.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Connected {
    /// Its process id.
    pub(in crate::wire) pid: i32,
    /// Whose it is.
    pub(in crate::wire) user: String,
    /// The database that it asked for.
    pub(in crate::wire) database: String,
    /// When it was let in, µs since 1970.
    pub(in crate::wire) began_us: i64,
    /// What it does.
    pub(in crate::wire) doing: Doing,
}

/// What a connection does, as pg_stat_activity tells.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Doing {
    /// `active`, `idle`, `idle in transaction` and so on; None before the first statement.
    pub(in crate::wire) state: Option<&'static str>,
    /// The statement that runs, or ran last; its beginning, if it is long.
    pub(in crate::wire) query: String,
    /// When that began, µs since 1970.
    pub(in crate::wire) query_at_us: Option<i64>,
    /// When the state was last another.
    pub(in crate::wire) state_at_us: Option<i64>,
    /// The client's name.
    pub(in crate::wire) application_name: String,
}

/// Bytes of a statement that others are shown, as in Postgres.
const MAX_QUERY: usize = 1023;

struct Entry {
    who: Connected,
    secret: i32,
    cancel: Arc<Notify>,
    terminate: Arc<Notify>,
}

/// A connection's place in the registry, given back when it is dropped.
pub(in crate::wire) struct Registered {
    registry: Arc<Registry>,
    /// The process id that the client is told.
    pub(in crate::wire) pid: i32,
    /// The secret that a cancel request must bring.
    pub(in crate::wire) secret: i32,
    cancel: Arc<Notify>,
    terminate: Arc<Notify>,
}

impl Registry {
    /// The connections, by process id.
    pub(in crate::wire) fn connected(&self) -> Vec<Connected> {
        let mut all: Vec<Connected> = self.connections.lock().1.values().map(|entry| entry.who.clone()).collect();
        all.sort_by_key(|one| one.pid);
        all
    }

    /// Gives a connection a process id and a secret.
    pub(in crate::wire) fn register(self: &Arc<Registry>, user: &str, database: &str) -> Registered {
        let mut guard = self.connections.lock();
        let (last, entries) = &mut *guard;
        loop {
            *last = last.checked_add(1).unwrap_or(1);
            if !entries.contains_key(last) {
                break;
            }
        }
        let pid = *last;
        // RandomState is keyed from the system's randomness; four bytes are all that protocol 3.0 has room for.
        let secret = self.keys.hash_one((pid, entries.len())) as i32;
        let (cancel, terminate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (user, database, doing) = (user.to_owned(), database.to_owned(), Doing::default());
        let who = Connected { pid, user, database, began_us: clock::now_us(), doing };
        entries.insert(pid, Entry { who, secret, cancel: Arc::clone(&cancel), terminate: Arc::clone(&terminate) });
        Registered { registry: Arc::clone(self), pid, secret, cancel, terminate }
    }

    /// Cancels what the named connection runs; a wrong secret, and a connection that runs nothing, change nothing.
    pub(in crate::wire) fn cancel(&self, request: &CancelRequest) {
        if let Some(entry) = self.connections.lock().1.get(&request.pid)
            && request.secret_key.as_i32() == Some(entry.secret)
        {
            entry.cancel.notify_waiters();
        }
    }
}

impl Registry {
    /// Cancels what the connection of that process id runs; false if there is none.
    pub(in crate::wire) fn cancel_backend(&self, pid: i32) -> bool {
        let guard = self.connections.lock();
        let entry = guard.1.get(&pid);
        entry.inspect(|entry| entry.cancel.notify_waiters()).is_some()
    }

    /// Ends the connection of that process id; false if there is none.
    pub(in crate::wire) fn terminate_backend(&self, pid: i32) -> bool {
        let guard = self.connections.lock();
        let entry = guard.1.get(&pid);
        // Kept until the connection looks: it may be between two waits.
        entry.inspect(|entry| entry.terminate.notify_one()).is_some()
    }
}

impl Registered {
    /// Ends when another connection asks for this one's end.
    pub(in crate::wire) fn terminated(&self) -> OwnedNotified {
        Arc::clone(&self.terminate).notified_owned()
    }

    /// A statement begins.
    pub(in crate::wire) fn active(&self, query: &str) {
        let now = Some(clock::now_us());
        let end = (0..=MAX_QUERY.min(query.len())).rev().find(|end| query.is_char_boundary(*end)).unwrap_or(0);
        self.change(|doing| {
            doing.state = Some("active");
            doing.query.clear();
            doing.query.push_str(query.get(..end).unwrap_or_default());
            (doing.query_at_us, doing.state_at_us) = (now, now);
        });
    }

    /// It waits for the next one, in that state.
    pub(in crate::wire) fn waiting(&self, state: &'static str, application_name: &str) {
        self.change(|doing| {
            if doing.state != Some(state) {
                (doing.state, doing.state_at_us) = (Some(state), Some(clock::now_us()));
            }
            if doing.application_name != application_name {
                application_name.clone_into(&mut doing.application_name);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Doing)) {
        if let Some(entry) = self.registry.connections.lock().1.get_mut(&self.pid) {
            change(&mut entry.who.doing);
        }
    }

    /// Begins to watch over one statement.
    pub(in crate::wire) fn watch<'a>(&self, reader: &'a mut Reader, timeout_ms: Option<u64>) -> Watch<'a> {
        Watch {
            reader,
            cancelled: Box::pin(Arc::clone(&self.cancel).notified_owned()),
            deadline: timeout_ms.map(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms)))),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.connections.lock().1.remove(&self.pid);
    }
}

/// Watches over one statement from its start to its last row.
pub(in crate::wire) struct Watch<'a> {
    reader: &'a mut Reader,
    cancelled: Pin<Box<OwnedNotified>>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Watch<'_> {
    /// Waits for the work, unless the statement must end first: then the work is dropped where it is.
    pub(in crate::wire) async fn over<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        let deadline = async {
            match &mut self.deadline {
                Some(sleep) => sleep.as_mut().await,
                None => std::future::pending().await,
            }
        };
        // In this order: work that is always ready must not keep the others from being looked at.
        tokio::select! {
            biased;
            () = self.cancelled.as_mut() => Err(Error::Cancelled { reason: "user request" }.into()),
            () = deadline => Err(Error::Cancelled { reason: "statement timeout" }.into()),
            () = self.reader.closed() => Err(Ended::Gone),
            done = work => Ok(done),
        }
    }
}
