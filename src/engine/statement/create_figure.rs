//! CREATE and ALTER of ZONE, LINE and CALIBRATION: what is drawn over the picture of a source; queries that run see another shape from the next watermark on.

use std::sync::Arc;

use framesql_udfs::figure::anchor::{ANCHORS, Anchor};

use crate::engine::Engine;
use crate::engine::block::Undo;
use crate::engine::catalog::{Body, Figure, Object};
use crate::engine::dropped;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::{Error, Result};
use crate::plan::parse::{AlterFigure, CreateFigure, Kind, Statement};

/// Draws the figure.
pub(super) async fn create(session: &Session, statement: &Statement, create: &CreateFigure) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let CreateFigure { kind, name, source, .. } = create;
    let done = || Ok(Outcome::Done { tag: format!("CREATE {}", kind.word().to_uppercase()) });
    match engine.catalog.object(name) {
        Some(taken) if create.if_not_exists => {
            session.skips("42P07", format!("{} \"{name}\" already exists, skipping", taken.kind().word()));
            return done();
        }
        Some(taken) if !create.or_replace => return Err(Error::Duplicate { kind: taken.kind().word(), name: name.clone() }),
        Some(taken) if taken.kind() != *kind => {
            return Err(Error::WrongKind {
                statement: Some("DROP"),
                name: name.clone(),
                expected: kind.word(),
                found: taken.kind().word(),
            });
        }
        _ => {}
    }
    session.check_not_held(name)?;
    if engine.catalog.find(source).is_none() {
        return Err(Error::NotFound { kind: "relation", name: source.clone() });
    }
    let figure = figure(*kind, name, source, &create.shape, anchor(*kind, &create.options)?.unwrap_or_default())?;
    put(session, name, figure, &statement.text)?;
    done()
}

/// Draws it otherwise; what the statement does not say stays.
pub(super) async fn alter(session: &Session, alter: &AlterFigure) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let AlterFigure { kind, name, .. } = alter;
    let old = match engine.catalog.object(name) {
        None => return Err(Error::NotFound { kind: kind.word(), name: name.clone() }),
        Some(Object { body: Body::Figure(figure), .. }) if Some(figure.kind) == kind.figure() => figure,
        Some(other) => {
            return Err(Error::WrongKind {
                statement: Some("DROP"),
                name: name.clone(),
                expected: kind.word(),
                found: other.kind().word(),
            });
        }
    };
    let anchor = anchor(*kind, &alter.options)?.or_else(|| Anchor::named(old.anchor)).unwrap_or_default();
    let figure = figure(*kind, name, &old.source, alter.shape.as_ref().unwrap_or(&old.shape), anchor)?;
    let definition = definition(*kind, name, &figure);
    put(session, name, figure, &definition)?;
    Ok(Outcome::Done { tag: format!("ALTER {}", kind.word().to_uppercase()) })
}

/// The statement that makes a figure as it is now.
fn definition(kind: Kind, name: &str, figure: &Figure) -> String {
    let shape = match kind {
        Kind::Line => "LINESTRING",
        Kind::Calibration => "POINTS",
        _ => "POLYGON",
    };
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let Figure { source, shape: points, anchor, .. } = figure;
    let points = points.replace('\'', "''");
    format!("CREATE {} {} ON {} AS {shape} '{points}' WITH (anchor = '{anchor}')", kind.word().to_uppercase(), quoted(name), quoted(source))
}

/// The anchor that the WITH list names.
fn anchor(kind: Kind, options: &[(String, String)]) -> Result<Option<Anchor>> {
    let mut found = None;
    for (key, value) in options {
        if key != "anchor" {
            return Err(Error::Option {
                message: format!("option \"{key}\" of a {} does not exist", kind.word()),
                hint: Some("The option is anchor.".into()),
            });
        }
        found = Some(Anchor::named(&value.to_lowercase()).ok_or_else(|| Error::Option {
            message: format!("option \"anchor\" is a point of a box, not \"{value}\""),
            hint: Some(format!("The points are {}.", ANCHORS.map(|anchor| anchor.word).join(", "))),
        })?);
    }
    Ok(found)
}

fn figure(kind: Kind, name: &str, source: &str, shape: &str, anchor: Anchor) -> Result<Figure> {
    let Some(of) = kind.figure() else { return Err(Error::Internal(format!("a {} is no figure", kind.word()))) };
    let text = of.text(shape, anchor).map_err(|wrong| Error::Option {
        message: format!("{} \"{name}\": {wrong}", kind.word()),
        hint: Some("Its points are in pixels of the source's picture, x to the right, y down.".into()),
    })?;
    Ok(Figure { kind: of, source: source.to_owned(), shape: shape.trim().to_owned(), anchor: anchor.word, text })
}

/// The catalogue on disk is the first to know.
fn put(session: &Session, name: &str, figure: Figure, definition: &str) -> Result<()> {
    let engine = session.engine();
    beyond(engine, session, name, &figure);
    let reads = vec![figure.source.clone()];
    session.keep(vec![Change::Add(name.to_owned(), definition.to_owned())])?;
    let old = engine.catalog.position(name).zip(engine.catalog.object(name));
    let object = Object { name: name.to_owned(), body: Body::Figure(Arc::new(figure)), definition: definition.to_owned(), reads };
    engine.catalog.replace_figure(object.clone());
    engine.missing.forget(name);
    session.did(match old {
        Some((at, old)) => Undo::Replaced(dropped::left(engine, old, at)),
        None => Undo::Made(object),
    });
    Ok(())
}

/// Says so where a figure reaches beyond the picture, which may be meant.
fn beyond(engine: &Engine, session: &Session, name: &str, figure: &Figure) {
    let Some(Body::Source(source, _)) = engine.catalog.find(&figure.source).map(|o| o.body) else { return };
    let (width, height) = (source.media().info().width, source.media().info().height);
    let outside = |(x, y): &(f64, f64)| *x < 0.0 || *y < 0.0 || *x > f64::from(width) || *y > f64::from(height);
    if figure.kind.points(&figure.text).iter().any(outside) {
        let word = figure.kind.word();
        session.notice(
            format!("{word} \"{name}\" reaches beyond the picture of source \"{}\", which is {width}x{height}", figure.source),
            None,
        );
    }
}
