//! What a plan asks by name of who keeps it: the figures, and which columns are not listed. The engine's catalogue implements it.

use std::fmt::Debug;
use std::sync::Arc;

use framesql_udfs::figure::Figures;

/// Who knows them.
pub trait Names: Debug + Send + Sync {
    /// The figures as they are now: another `Arc` whenever one has changed.
    fn figures(&self) -> Arc<Figures>;
    /// The columns of a relation that `*` leaves out; they are read by their names.
    fn unlisted(&self, relation: &str) -> &'static [&'static str];
}
