//! Views whose changes are told on a channel: `ALTER MATERIALIZED VIEW v SET (notify = 'channel')`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use super::job::Jobs;
use crate::view::materialized::{End, MaterializedView};

/// Announcements that a door may lag behind.
const WAITING: usize = 1024;
/// Changes that follow one another within this time are told once: who is told reads the view, and finds them all.
const TOGETHER: Duration = Duration::from_millis(100);

/// That a view has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The channel on which it is told.
    pub channel: String,
    /// The view.
    pub view: String,
}

/// Which views are told on which channel.
#[derive(Debug)]
pub struct Announcer {
    views: Mutex<BTreeMap<String, (String, AbortHandle)>>,
    sender: broadcast::Sender<Announcement>,
}

impl Default for Announcer {
    fn default() -> Announcer {
        Announcer { views: Mutex::default(), sender: broadcast::Sender::new(WAITING) }
    }
}

impl Announcer {
    /// What is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Announcement> {
        self.sender.subscribe()
    }

    /// The channel of a view.
    pub fn channel(&self, view: &str) -> Option<String> {
        self.views.lock().get(view).map(|(channel, _)| channel.clone())
    }

    /// Tells a view's changes on that channel; None tells them no longer.
    pub(super) fn set(&self, jobs: &Jobs, name: &str, view: &Arc<MaterializedView>, channel: Option<&str>) {
        let task = channel.map(|channel| {
            let announcement = Announcement { channel: channel.to_owned(), view: name.to_owned() };
            // A commit between the two is told with the next.
            let (told, changed) = (rows(view), view.changes());
            (channel.to_owned(), jobs.spawn(tell(Arc::clone(view), changed, told, announcement, self.sender.clone())))
        });
        let mut views = self.views.lock();
        let old = match task {
            Some(task) => views.insert(name.to_owned(), task),
            None => views.remove(name),
        };
        if let Some((_, task)) = old {
            task.abort();
        }
    }

    /// Another view has taken the place of the one of that name: what was told of that is told of this.
    pub(super) fn follow(&self, jobs: &Jobs, name: &str, view: &Arc<MaterializedView>) {
        if let Some(channel) = self.channel(name) {
            self.set(jobs, name, view, Some(&channel));
        }
    }

    /// Forgets a view that has gone.
    pub(super) fn forget(&self, name: &str) {
        if let Some((_, task)) = self.views.lock().remove(name) {
            task.abort();
        }
    }
}

/// The rows that came, those that retention has dropped, and those that are there: of a commit that changes none of these, time alone has passed.
fn rows(view: &MaterializedView) -> (u64, u64, u64) {
    (view.counters.rows_out.get(), view.first_row(), view.n_rows())
}

/// Waits for changes and tells them, until the view has gone. Nobody may be listening.
async fn tell(
    view: Arc<MaterializedView>,
    mut changed: watch::Receiver<u64>,
    mut told: (u64, u64, u64),
    announcement: Announcement,
    sender: broadcast::Sender<Announcement>,
) {
    while changed.changed().await.is_ok() && view.ending() != Some(End::Dropped) {
        let now = rows(&view);
        if now != told {
            told = now;
            let _ = sender.send(announcement.clone());
            tokio::time::sleep(TOGETHER).await;
        }
    }
}
