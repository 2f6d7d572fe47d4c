//! DROP MODEL: a user's model goes; where it had taken the name of one of the manifest, that one is back.

use crate::engine::Engine;
use crate::engine::catalog::{Object, model_key};
use crate::engine::dropped;
use crate::engine::models::{self, Homes, embedded_one};
use crate::engine::outcome::Outcome;
use crate::engine::restart::NotStarted;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};

/// Drops all of the names, or none.
pub(super) async fn run(session: &Session, if_exists: bool, names: &[String], cascade: bool) -> Result<Outcome> {
    session.check_no_block("DROP MODEL")?;
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let (mut gone, mut dependents, mut unstarted) = (Vec::new(), Vec::<Object>::new(), Vec::<NotStarted>::new());
    for name in names {
        let key = model_key(name);
        let kept = engine.store.as_ref().is_some_and(|s| s.statements().iter().any(|k| k.name == key));
        if engine.catalog.model(name).is_none() && !kept {
            check_missing(session, name, if_exists)?;
            continue;
        }
        gone.push(name);
        let built_on_it = engine.catalog.dependents(&key);
        let would_be = engine.missing.readers(std::slice::from_ref(&key));
        if !cascade && (!built_on_it.is_empty() || !would_be.is_empty()) {
            let started = built_on_it.iter().map(|o| format!("{} {}", o.kind().word(), o.name));
            let dependents = started.chain(would_be.iter().map(NotStarted::title)).collect();
            return Err(Error::Dependents { kind: "model", name: name.clone(), dependents });
        }
        for dependent in built_on_it {
            if !dependents.iter().any(|o| o.name == dependent.name) {
                session.notice(format!("drop cascades to {} {}", dependent.kind().word(), dependent.name), None);
                dependents.push(dependent);
            }
        }
        for one in would_be {
            if !unstarted.iter().any(|o| o.name == one.name) {
                session.notice(format!("drop cascades to {}", one.title()), None);
                unstarted.push(one);
            }
        }
    }
    let (dependents, change) = dropped::take_out(engine, &dependents);
    let removed = unstarted.iter().map(|one| Change::RemoveWithAll(one.name.clone()));
    let models = Change::Remove(gone.iter().map(|name| model_key(name)).collect());
    if let Err(error) = session.keep([change, models].into_iter().chain(removed).collect()) {
        dependents.into_iter().rev().for_each(|one| dropped::bring_back(engine, one));
        return Err(error);
    }
    dependents.iter().for_each(dropped::end);
    unstarted.iter().for_each(|one| engine.missing.forget(&one.name));
    for name in gone {
        remove(engine, name)?;
    }
    Ok(Outcome::Done { tag: "DROP MODEL".into() })
}

/// A name that no statement has made. Errs unless it may be missing.
fn check_missing(session: &Session, name: &str, if_exists: bool) -> Result<()> {
    let refused = |what: &str, hint: String| {
        Err(Error::State { message: format!("cannot drop model \"{name}\" because it is part of {what}"), hint: Some(hint) })
    };
    if embedded_one(name).is_some() {
        return refused("framesql", "CREATE MODEL brings another under another name.".into());
    }
    if models::known(name) {
        return refused("the list of models that can be pulled", format!("Run framesql models remove {name} to remove its file."));
    }
    match if_exists {
        true => session.notice(format!("model \"{name}\" does not exist, skipping"), None),
        false => return Err(Error::NotFound { kind: "model", name: name.to_owned() }),
    }
    Ok(())
}

fn remove(engine: &Engine, name: &str) -> Result<()> {
    engine.catalog.remove_model(name);
    engine.missing.forget(&model_key(name));
    engine.inference.set_not_started(name, None);
    engine.inference.models().remove(name);
    engine.inference.forget(name);
    Homes::of(&engine.settings).offer_one(name, engine.inference.models())
}
