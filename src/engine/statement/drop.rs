//! DROP: takes objects out of the catalogue, with what is built on them if asked for, and ends what they ran.

use crate::engine::Engine;
use crate::engine::catalog::{Body, Object};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::Kind;

/// Drops all of the names, or none.
pub(super) async fn run(session: &Session, kind: Kind, if_exists: bool, names: &[String], cascade: bool) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let mut objects: Vec<Object> = Vec::new();
    for name in names {
        match engine.catalog.object(name) {
            // Kept from before and not started: it goes from the catalogue on disk.
            None if engine.store.as_ref().is_some_and(|s| s.statements().iter().any(|k| k.name == *name)) => {
                if let Some(store) = &engine.store {
                    store.remove(std::slice::from_ref(name))?;
                }
                engine.missing.forget(name);
            }
            None if if_exists => session.notice(format!("{} \"{name}\" does not exist, skipping", kind.word()), None),
            None => return Err(Error::NotFound { kind: kind.word(), name: name.clone() }),
            Some(object) if object.kind() != kind => {
                return Err(Error::WrongKind { name: name.clone(), expected: kind.word(), found: object.kind().word() });
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
    remove(engine, &all)?;
    Ok(Outcome::Done { tag: format!("DROP {}", kind.word().to_uppercase()) })
}

/// Takes objects out, dependents first; the catalogue on disk is the first to know.
pub(super) fn remove(engine: &Engine, objects: &[Object]) -> Result<()> {
    if let Some(store) = &engine.store {
        let gone = |name: &str| objects.iter().any(|o| o.name == name);
        let grants = engine.roles.grants().into_iter().filter(|g| gone(&g.object)).map(|g| super::grant::kept(&g));
        store.remove(&objects.iter().map(|o| o.name.clone()).chain(grants).collect::<Vec<_>>())?;
    }
    for object in objects {
        engine.catalog.remove(&object.name);
        engine.missing.forget(&object.name);
        engine.roles.forget(&object.name);
        end(engine, object);
    }
    Ok(())
}

/// Ends what an object runs, which is in the catalogue no more.
pub(super) fn end(engine: &Engine, object: &Object) {
    match &object.body {
        Body::Source(source, _) => source.stop(),
        Body::Rows(source, _) => source.stop(),
        Body::Materialized(_) => engine.jobs.drop_job(&object.name),
        Body::Table(table) => table.drop_rows(),
        Body::View(_) | Body::Figure(_) => {}
    }
}
