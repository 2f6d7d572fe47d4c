//! LISTEN and NOTIFY: what one connection says on a channel, those that listen to it are told between their statements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::engine::announce::Announcement;
use crate::error::{Error, Result};
use crate::metrics::Counter;

/// Messages that wait for one connection; beyond that they are dropped and counted.
const WAITING: usize = 1024;
/// Bytes of the longest payload and channel name, as in Postgres.
const MAX_PAYLOAD_BYTES: usize = 7999;
const MAX_CHANNEL_BYTES: usize = 63;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::wire) struct Message {
    /// The process id of the connection that said it.
    pub(in crate::wire) pid: i32,
    /// The channel.
    pub(in crate::wire) channel: String,
    /// What was said; perhaps nothing.
    pub(in crate::wire) payload: String,
}

/// Who listens to what.
#[derive(Debug, Default)]
pub(in crate::wire) struct Channels {
    listeners: Mutex<BTreeMap<i32, Listener>>,
    n_dropped: Counter,
}

#[derive(Debug)]
struct Listener {
    channels: BTreeSet<String>,
    sender: mpsc::Sender<Message>,
}

/// A connection's ear; it listens to nothing more when it is dropped.
#[derive(Debug)]
pub(in crate::wire) struct Ear {
    channels: Arc<Channels>,
    pid: i32,
    receiver: mpsc::Receiver<Message>,
}

impl Channels {
    /// A connection's ear, which hears no channel yet.
    pub(in crate::wire) fn ear(self: &Arc<Channels>, pid: i32) -> Ear {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.listeners.lock().insert(pid, Listener { channels: BTreeSet::new(), sender });
        Ear { channels: Arc::clone(self), pid, receiver }
    }

    /// Says something to all that listen.
    pub(in crate::wire) fn say(&self, message: &Message) {
        for listener in self.listeners.lock().values().filter(|listener| listener.channels.contains(&message.channel)) {
            if listener.sender.try_send(message.clone()).is_err() {
                self.n_dropped.add(1);
                tracing::warn!(
                    channel = message.channel,
                    n_dropped = self.n_dropped.get(),
                    "a listener is too slow: a notification is dropped"
                );
            }
        }
    }

    /// Says that a view has changed: no connection says it, so it comes from process 0.
    pub(in crate::wire) fn announce(&self, announced: Announcement) {
        self.say(&Message { pid: 0, channel: announced.channel, payload: announced.view });
    }

    /// What a connection listens to, in name order.
    pub(in crate::wire) fn heard_by(&self, pid: i32) -> Vec<String> {
        self.listeners.lock().get(&pid).map(|listener| listener.channels.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Ear {
    /// LISTEN.
    pub(in crate::wire) fn listen(&self, channel: String) {
        if let Some(listener) = self.channels.listeners.lock().get_mut(&self.pid) {
            listener.channels.insert(channel);
        }
    }

    /// UNLISTEN; None is all channels.
    pub(in crate::wire) fn unlisten(&self, channel: Option<&str>) {
        if let Some(listener) = self.channels.listeners.lock().get_mut(&self.pid) {
            listener.channels.retain(|name| channel.is_some_and(|channel| channel != name));
        }
    }

    /// Says something as this connection.
    pub(in crate::wire) fn say(&self, channel: String, payload: String) {
        self.channels.say(&Message { pid: self.pid, channel, payload });
    }

    /// The next message, when it comes. May be dropped while it waits.
    pub(in crate::wire) async fn next(&mut self) -> Message {
        match self.receiver.recv().await {
            Some(message) => message,
            // The sender lives as long as this does.
            None => std::future::pending().await,
        }
    }

    /// A message that has come.
    pub(in crate::wire) fn waiting(&mut self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.channels.listeners.lock().remove(&self.pid);
    }
}

/// Errs (22023) for a channel or payload that is too long, and for a channel without a name.
pub(in crate::wire) fn check(channel: &str, payload: &str) -> Result<()> {
    let refuse = |message: &str| Err(Error::Option { message: message.to_owned(), hint: None });
    match (channel.len(), payload.len()) {
        (0, _) => refuse("channel name cannot be empty"),
        (n, _) if n > MAX_CHANNEL_BYTES => refuse("channel name too long"),
        (_, n) if n > MAX_PAYLOAD_BYTES => refuse("payload string too long"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_listen_are_told_and_a_full_queue_counts_what_it_drops() {
        let channels = Arc::new(Channels::default());
        let (mut one, mut two) = (channels.ear(1), channels.ear(2));
        one.listen("a".into());
        two.say("a".into(), "x".into());
        two.say("b".into(), "y".into());
        assert_eq!(one.waiting(), Some(Message { pid: 2, channel: "a".into(), payload: "x".into() }));
        assert_eq!((one.waiting(), two.waiting()), (None, None));
        assert_eq!(channels.heard_by(1), ["a"]);
        for _ in 0..WAITING + 3 {
            one.say("a".into(), String::new());
        }
        assert_eq!(channels.n_dropped.get(), 3);
        one.unlisten(None);
        assert!(channels.heard_by(1).is_empty());
        drop(two);
        assert_eq!(channels.listeners.lock().len(), 1);
    }
}
