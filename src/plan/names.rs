//! What a plan asks by name of who keeps it: the figures. The engine's catalogue implements it.

use std::fmt::Debug;
use std::sync::Arc;

use framesql_udfs::figure::Figures;

/// Who knows the figures.
pub trait Names: Debug + Send + Sync {
    /// The figures as they are now: another `Arc` whenever one has changed.
    fn figures(&self) -> Arc<Figures>;
}
