//! FLUSH: returns when every job has taken in all that its ended sources hold.

use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::Result;

/// Waits for the jobs whose input has an end that has come.
pub(super) async fn run(session: &Session) -> Result<Outcome> {
    // A job that another waits for is waited for first, as the jobs that read it see their end after it.
    for (_, job) in session.engine().jobs.all() {
        let finite = job.sources.iter().all(|s| !s.live() || s.ended());
        if finite {
            job.view.ended_with().await;
        }
    }
    Ok(Outcome::Done { tag: "FLUSH".into() })
}
