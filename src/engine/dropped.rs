//! An object that has left the catalogue and still runs: it ends, or comes back with all that it had.

use std::sync::Arc;

use super::Engine;
use super::catalog::{Body, Object};
use super::job::Job;
use super::roles::Grant;
use super::statement;
use super::store::Change;
use crate::plan::parse::Commented;

/// One of them.
pub(super) struct Dropped {
    /// What it is.
    pub(super) object: Object,
    /// Where it stood among the objects.
    at: usize,
    job: Option<Job>,
    grants: Vec<Grant>,
    comments: Vec<(Commented, String)>,
    /// The channel on which its changes were told.
    channel: Option<String>,
}

/// Takes objects out of the catalogue, those first that are built on others; and what the catalogue on disk must forget with them.
pub(super) fn take_out(engine: &Engine, objects: &[Object]) -> (Vec<Dropped>, Change) {
    let mut forgotten = Vec::new();
    let mut all = Vec::new();
    for object in objects {
        let name = &object.name;
        let Some(at) = engine.catalog.position(name) else { continue };
        let Some(object) = engine.catalog.remove(name) else { continue };
        engine.missing.forget(name);
        if matches!(object.body, Body::Gallery(_)) {
            engine.inference.remove_gallery(name);
        }
        let grants: Vec<Grant> = engine.roles.grants().into_iter().filter(|grant| grant.object == *name).collect();
        let comments = engine.comments.about(name);
        forgotten.push(name.clone());
        forgotten.extend(grants.iter().map(statement::kept_grant));
        forgotten.extend(comments.iter().map(|(on, _)| statement::kept_comment(on)));
        forgotten.push(statement::kept_channel(name));
        let channel = engine.announcer.channel(name);
        engine.roles.forget(name);
        engine.comments.forget(name);
        engine.announcer.forget(name);
        all.push(Dropped { job: engine.jobs.take(name), object, at, grants, comments, channel });
    }
    (all, Change::Remove(forgotten))
}

/// Takes an object out whose place another takes, which gets what was said of it and granted on it.
pub(super) fn replaced(engine: &Engine, name: &str) -> Option<Dropped> {
    let at = engine.catalog.position(name)?;
    let object = engine.catalog.remove(name)?;
    Some(Dropped { job: engine.jobs.take(name), object, at, grants: Vec::new(), comments: Vec::new(), channel: None })
}

/// The same for an object that is in the catalogue no more, as another is in its place.
pub(super) fn left(engine: &Engine, object: Object, at: usize) -> Dropped {
    Dropped { job: engine.jobs.take(&object.name), object, at, grants: Vec::new(), comments: Vec::new(), channel: None }
}

/// Puts it back where it was.
pub(super) fn bring_back(engine: &Engine, dropped: Dropped) {
    let Dropped { object, at, job, grants, comments, channel } = dropped;
    let (name, body) = (object.name.clone(), object.body.clone());
    engine.catalog.insert(at, object);
    if let Some(job) = job {
        engine.jobs.put(&name, job);
    }
    grants.into_iter().for_each(|grant| engine.roles.grant(grant));
    for (on, text) in comments {
        engine.comments.put(&on, Some(text));
    }
    match body {
        Body::Materialized(view) if channel.is_some() => engine.announcer.set(&engine.jobs, &name, &view, channel.as_deref()),
        Body::Materialized(view) => engine.announcer.follow(&engine.jobs, &name, &view),
        Body::Gallery(gallery) => engine.inference.add_gallery(&name, gallery),
        _ => {}
    }
}

/// Ends what it runs.
pub(super) fn end(dropped: &Dropped) {
    match &dropped.object.body {
        Body::Source(source, _) => source.stop(),
        Body::Rows(source, _) => source.stop(),
        Body::Materialized(_) => {
            if let Some(job) = &dropped.job {
                job.end();
            }
        }
        Body::Table(table) | Body::Gallery(table) => table.drop_rows(),
        Body::View(_) | Body::Figure(_) => {}
    }
}

/// Takes an object that was made, and all that was built on it, out for good, unless another has its name by now. `on_disk` is whether the
/// catalogue there knows it: what was made in a block is not there yet, but perhaps one of its name that the block has dropped.
pub(super) fn take_back(engine: &Arc<Engine>, object: &Object, on_disk: bool) {
    if !engine.catalog.find(&object.name).is_some_and(|now| now.same(object)) {
        return;
    }
    let mut all = engine.catalog.dependents(&object.name);
    all.push(object.clone());
    let (all, change) = take_out(engine, &all);
    all.iter().for_each(end);
    if let Some(store) = engine.store.as_ref().filter(|_| on_disk)
        && let Err(error) = store.apply(&[change])
    {
        tracing::warn!(object = object.name, %error, "what was taken back is still in the catalogue on disk");
    }
}
