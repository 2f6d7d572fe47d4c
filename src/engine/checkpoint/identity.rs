//! Which job a checkpoint is of: one that computes the same of the same goes on from it, any other begins anew.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use sha2::{Digest, Sha256};

use crate::capture::location;
use crate::engine::Engine;
use crate::engine::catalog::Body;
use crate::frame::source::{Again, Source};
use crate::run::exec::OperatorExec;

/// Another number when what operators or views keep is written in another way.
const FORMAT: u32 = 3;

/// The identity of the job that `definition` says, over the objects that it names; None if it cannot go on after a restart, as one of its
/// sources begins anew. Figures are no part of it: they may be redrawn while it runs.
pub(in crate::engine) fn identity(
    engine: &Engine,
    definition: &str,
    reads: &[String],
    sources: &[Arc<dyn Source>],
    plan: &Arc<dyn ExecutionPlan>,
) -> Option<String> {
    if sources.iter().any(|source| source.again() == Again::Anew) {
        return None;
    }
    let mut text = format!("{FORMAT} {}\n{definition}\n", env!("CARGO_PKG_VERSION"));
    shape(plan, &mut text);
    let mut names = reads.to_vec();
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        let Some(object) = engine.catalog.find(&name) else { continue };
        match &object.body {
            Body::Figure(_) | Body::Table(_) | Body::Gallery(_) => continue,
            Body::Source(_, url) | Body::Rows(_, url) => text.push_str(&location::edition(url)),
            Body::View(_) => names.extend(object.reads.iter().filter(|read| !names.contains(read)).cloned().collect::<Vec<_>>()),
            Body::Materialized(view) => match engine.jobs.keeper(&name, view) {
                Some(keeper) => text.push_str(&keeper.generation().to_string()),
                // It is another after every restart, which a query that only looks values up in it does not mind.
                None if sources.iter().any(|source| source.name() == name) => return None,
                None => continue,
            },
        }
        text.push_str(&format!("\n{}\n", object.definition));
    }
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

/// The words of the operators, in the order of their numbers: what is kept is kept under these.
fn shape(plan: &Arc<dyn ExecutionPlan>, text: &mut String) {
    if let Some(ours) = plan.downcast_ref::<OperatorExec>() {
        text.push_str(&format!("{}{} ", ours.description().word(), ours.number()));
    }
    plan.children().into_iter().for_each(|input| shape(input, text));
}
