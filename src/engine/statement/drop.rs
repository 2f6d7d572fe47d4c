//! DROP: takes objects out of the catalogue, with what is built on them if asked for, and ends what they ran.

use crate::engine::Engine;
use crate::engine::block::Undo;
use crate::engine::catalog::Object;
use crate::engine::dropped;
use crate::engine::outcome::Outcome;
use crate::engine::restart::NotStarted;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::plan::parse::Kind;

/// Drops all of the names, or none.
pub(super) async fn run(session: &Session, kind: Kind, if_exists: bool, names: &[String], cascade: bool) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let unstarted = unstarted(engine, kind, names, cascade)?;
    let mut objects: Vec<Object> = Vec::new();
    for name in names {
        match engine.catalog.object(name) {
            // Kept from before and not started: it goes from the catalogue on disk.
            None if engine.store.as_ref().is_some_and(|s| s.statements().iter().any(|k| k.name == *name)) => {
                session.keep(vec![Change::RemoveWithAll(name.clone())])?;
                engine.missing.forget(name);
            }
            None if if_exists => session.notice(format!("{} \"{name}\" does not exist, skipping", kind.word()), None),
            None => return Err(Error::NotFound { kind: kind.word(), name: name.clone() }),
            Some(object) if object.kind() != kind => {
                return Err(Error::WrongKind {
                    statement: Some("DROP"),
                    name: name.clone(),
                    expected: kind.word(),
                    found: object.kind().word(),
                });
            }
            Some(object) => objects.push(object),
        }
    }
    let mut all: Vec<Object> = Vec::new();
    for object in &objects {
        for dependent in engine.catalog.dependents(&object.name) {
            let named = names.contains(&dependent.name);
            if !cascade && !named {
                let of = |o: &Object| format!("{} {}", o.kind().word(), o.name);
                let dependents = engine.catalog.dependents(&object.name).iter().map(of).collect();
                return Err(Error::Dependents { kind: object.kind().word(), name: object.name.clone(), dependents });
            }
            if !all.iter().any(|o| o.name == dependent.name) {
                if !named {
                    session.notice(format!("drop cascades to {} {}", dependent.kind().word(), dependent.name), None);
                }
                all.push(dependent);
            }
        }
    }
    all.extend(objects.into_iter().filter(|o| !all.iter().any(|a| a.name == o.name)).collect::<Vec<_>>());
    let (all, change) = dropped::take_out(engine, &all);
    let removed = unstarted.iter().map(|one| Change::RemoveWithAll(one.name.clone()));
    if let Err(error) = session.keep(std::iter::once(change).chain(removed).collect()) {
        all.into_iter().rev().for_each(|one| dropped::bring_back(engine, one));
        return Err(error);
    }
    for one in &unstarted {
        session.notice(format!("drop cascades to {}", one.title()), None);
        engine.missing.forget(&one.name);
    }
    session.did(Undo::Dropped(all));
    Ok(Outcome::Done { tag: format!("DROP {}", kind.word().to_uppercase()) })
}

/// The objects that could not be started and would read one of those that are dropped. Errs if there are some, and they are not to go, too.
fn unstarted(engine: &Engine, kind: Kind, names: &[String], cascade: bool) -> Result<Vec<NotStarted>> {
    let missing = engine.missing.of(&[kind]);
    let there = |name: &String| engine.catalog.object(name).map_or_else(|| missing.iter().any(|o| o.name == *name), |o| o.kind() == kind);
    let mut all: Vec<String> = names.iter().filter(|name| there(name)).cloned().collect();
    let built_on: Vec<String> = all.iter().flat_map(|name| engine.catalog.dependents(name)).map(|o| o.name).collect();
    all.extend(built_on);
    let mut readers = engine.missing.readers(&all);
    readers.retain(|one| !names.contains(&one.name));
    match (all.first(), cascade || readers.is_empty()) {
        (Some(name), false) => {
            let dependents = readers.iter().map(NotStarted::title).collect();
            Err(Error::Dependents { kind: kind.word(), name: name.clone(), dependents })
        }
        _ => Ok(readers),
    }
}
