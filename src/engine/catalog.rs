//! The objects of the schema public, in the order they were made: what they are, what they are built on, and the tables that DataFusion sees.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use framesql_udfs::figure::{FigureKind, Figures};
use framesql_udfs::gallery::COLUMNS;
use parking_lot::{RwLock, RwLockWriteGuard};

use super::relation::{Declared, Relation};
use super::restart::Missing;
use crate::error::{Error, Result};
use crate::frame::rows::RowSource;
use crate::frame::source::Source;
use crate::frame::video::VideoSource;
use crate::plan::names::Names;
use crate::plan::parse::Kind;
use crate::plan::table::SourceTable;
use crate::plan::value::postgres_types;
use crate::view::materialized::MaterializedView;
use crate::view::source::ViewSource;
use crate::view::table::{NUMBERED, Numbered, Table, TableColumn};

/// What an object is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A camera, clip, folder or pattern.
    Source(Arc<VideoSource>, String),
    /// Files of rows, or generated ones.
    Rows(Arc<RowSource>, String),
    /// A query under a name.
    View(Arc<ViewTable>),
    /// A query's result.
    Materialized(Arc<MaterializedView>),
    /// Rows that statements write.
    Table(Arc<Table>),
    /// Faces of people by name.
    Gallery(Arc<Table>),
    /// A zone, a line or a calibration: it has no rows, but a name among those of the rest.
    Figure(Arc<Figure>),
}

/// The column of a gallery that `*` leaves out: a thousand numbers a picture.
const UNLISTED: [&str; 1] = [COLUMNS[1]];

/// What the key of a model begins with; no other object has such a name.
const MODEL: &str = " model ";

/// Under which name the catalogue keeps a model, and what is built on it names it: models have names of their own, which an object may have, too.
pub fn model_key(name: &str) -> String {
    format!("{MODEL}{name}")
}

/// Whether a name is that of a model.
pub fn is_model_key(name: &str) -> bool {
    name.starts_with(MODEL)
}

/// A name as its user wrote it.
pub fn without_key(name: &str) -> &str {
    name.strip_prefix(MODEL).unwrap_or(name)
}

/// What is drawn over the picture of a source.
#[derive(Debug)]
pub struct Figure {
    /// Zone, line or calibration.
    pub kind: FigureKind,
    /// The relation whose picture it is.
    pub source: String,
    /// Its points, as the user wrote them.
    pub shape: String,
    /// The point of a box that is held against it.
    pub anchor: &'static str,
    /// All of that as functions read it.
    pub text: String,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// What it is.
    pub body: Body,
    /// The statement that made it.
    pub definition: String,
    /// The objects that its query names.
    pub reads: Vec<String>,
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match &self.body {
            Body::Source(..) | Body::Rows(..) => Kind::Source,
            Body::View(_) => Kind::View,
            Body::Materialized(_) => Kind::MaterializedView,
            Body::Table(_) => Kind::Table,
            Body::Gallery(_) => Kind::Gallery,
            Body::Figure(figure) => match figure.kind {
                FigureKind::Zone => Kind::Zone,
                FigureKind::Line => Kind::Line,
                FigureKind::Calibration => Kind::Calibration,
            },
        }
    }

    /// Whether rows are read from it.
    fn relation(&self) -> bool {
        !matches!(self.body, Body::Figure(_))
    }

    /// Whether it is the same object, and not another that has its name since.
    pub fn same(&self, other: &Object) -> bool {
        match (&self.body, &other.body) {
            (Body::Source(a, _), Body::Source(b, _)) => Arc::ptr_eq(a, b),
            (Body::Rows(a, _), Body::Rows(b, _)) => Arc::ptr_eq(a, b),
            (Body::Table(a), Body::Table(b)) | (Body::Gallery(a), Body::Gallery(b)) => Arc::ptr_eq(a, b),
            (Body::View(a), Body::View(b)) => Arc::ptr_eq(a, b),
            (Body::Materialized(a), Body::Materialized(b)) => Arc::ptr_eq(a, b),
            (Body::Figure(a), Body::Figure(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether it is that table, or the gallery whose rows are in it.
    pub fn is_table(&self, table: &Arc<Table>) -> bool {
        matches!(&self.body, Body::Table(own) | Body::Gallery(own) if Arc::ptr_eq(own, table))
    }

    fn table(&self) -> Arc<dyn TableProvider> {
        let source: Arc<dyn Source> = match &self.body {
            Body::Source(source, _) => Arc::clone(source) as _,
            Body::Rows(source, _) => Arc::clone(source) as _,
            Body::View(view) => return Arc::clone(view) as _,
            Body::Materialized(view) => Arc::new(ViewSource(Arc::clone(view))),
            Body::Table(table) | Body::Gallery(table) => Arc::clone(table) as _,
            Body::Figure(_) => return Arc::new(EmptyTable::new(Arc::new(Schema::empty()))),
        };
        Arc::new(SourceTable::new(source))
    }

    /// What rows are read from; None for a view, which is a query.
    pub fn source(&self) -> Option<Arc<dyn Source>> {
        self.table().downcast_ref::<SourceTable>().map(|table| Arc::clone(&table.source))
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        self.table().schema()
    }

    /// The columns of its primary key.
    fn primary_key(&self) -> Vec<String> {
        let Body::Table(table) = &self.body else { return Vec::new() };
        let name = |at: &usize| table.columns().get(*at).map(|column| column.field.name().clone());
        table.primary_key().iter().filter_map(name).collect()
    }
}

impl Object {
    /// How its columns were declared.
    fn declared(&self) -> Vec<Declared> {
        let Body::Table(table) = &self.body else { return Vec::new() };
        let of = |column: &TableColumn| Declared {
            sql_type: column.sql_type.clone(),
            max_chars: column.max_chars,
            default: column.default.clone(),
        };
        table.columns().iter().map(of).collect()
    }
}

/// The objects; every session's schema public.
#[derive(Debug, Default)]
pub struct Catalog {
    objects: RwLock<Vec<Object>>,
    /// How often they have been changed.
    version: AtomicU64,
    /// Names of objects that a transaction has dropped, which has not ended.
    reserved: RwLock<Vec<String>>,
    /// The models that statements have made: what they are is the registry's.
    models: RwLock<BTreeSet<String>>,
    /// The figures among them, for queries: another Arc whenever one has changed.
    figures: RwLock<Arc<Figures>>,
    /// Those of the catalogue on disk that could not be started.
    pub missing: Arc<Missing>,
}

impl Catalog {
    /// How often the objects have been changed. Who reads it, and the objects after it, has read them at that version or a later one.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The objects, to be changed.
    fn change(&self) -> RwLockWriteGuard<'_, Vec<Object>> {
        let objects = self.objects.write();
        self.version.fetch_add(1, Ordering::Release);
        objects
    }

    /// The object of that name, of any kind.
    pub fn object(&self, name: &str) -> Option<Object> {
        self.objects.read().iter().find(|o| o.name == name).cloned()
    }

    /// The model of that name, if a statement has made it.
    pub fn model(&self, name: &str) -> Option<String> {
        self.models.read().get(name).cloned()
    }

    /// A statement has made a model.
    pub fn put_model(&self, name: &str) {
        self.models.write().insert(name.to_owned());
    }

    /// A model that a statement has made is gone.
    pub fn remove_model(&self, name: &str) {
        self.models.write().remove(name);
    }

    /// The relation of that name: what rows are read from.
    pub fn find(&self, name: &str) -> Option<Object> {
        self.object(name).filter(Object::relation)
    }

    /// All relations, in the order they were made.
    pub fn all(&self) -> Vec<Object> {
        self.objects.read().iter().filter(|o| o.relation()).cloned().collect()
    }

    /// All figures, with their objects, in the order they were made.
    pub fn drawn(&self) -> Vec<(Object, Arc<Figure>)> {
        let figure = |o: &Object| match &o.body {
            Body::Figure(figure) => Some((o.clone(), Arc::clone(figure))),
            _ => None,
        };
        self.objects.read().iter().filter_map(figure).collect()
    }

    /// Lets queries see the figures among these objects, which have changed.
    fn redraw(&self, objects: &[Object]) {
        let text = |o: &Object| match &o.body {
            Body::Figure(figure) => Some((figure.kind, o.name.clone(), figure.text.clone())),
            _ => None,
        };
        *self.figures.write() = Arc::new(objects.iter().filter_map(text).collect());
    }

    /// What others are told of them.
    pub fn relations(&self) -> Vec<Relation> {
        let relation = |o: Object| Relation {
            kind: o.kind(),
            schema: postgres_types::shown_schema(&o.schema()),
            primary_key: o.primary_key(),
            declared: o.declared(),
            name: o.name,
            definition: o.definition,
        };
        self.all().into_iter().map(relation).collect()
    }

    /// Whether the name is a materialized view's.
    pub fn is_view(&self, name: &str) -> bool {
        self.objects.read().iter().any(|o| o.name == name && o.kind() == Kind::MaterializedView)
    }

    /// Errs (42P07) if the name is taken.
    pub fn check_free(&self, name: &str) -> Result<()> {
        match self.object(name) {
            Some(taken) => Err(Error::Duplicate { kind: taken.kind().word(), name: name.to_owned() }),
            None => Ok(()),
        }
    }

    /// Adds an object. Errs (42P07) if the name is taken.
    pub fn add(&self, object: Object) -> Result<()> {
        let mut objects = self.change();
        if let Some(taken) = objects.iter().find(|o| o.name == object.name) {
            return Err(Error::Duplicate { kind: taken.kind().word(), name: object.name });
        }
        let relation = object.relation();
        objects.push(object);
        if !relation {
            self.redraw(&objects);
        }
        Ok(())
    }

    /// Puts a figure in the place of the one of its name: queries that run see the old one or the new.
    pub fn replace_figure(&self, object: Object) {
        let mut objects = self.change();
        match objects.iter_mut().find(|o| o.name == object.name) {
            Some(old) => *old = object,
            None => objects.push(object),
        }
        self.redraw(&objects);
    }

    /// Puts an object in the place of the one of its name, if there is one: who looks sees the old one or the new.
    pub fn replace(&self, object: Object) {
        let mut objects = self.change();
        objects.retain(|o| o.name != object.name);
        // At the end: it may read what was made after the old one.
        objects.push(object);
    }

    /// Where an object stands.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.objects.read().iter().position(|o| o.name == name)
    }

    /// Puts an object back where it stood, in the place of the one of its name, if there is one.
    pub fn insert(&self, at: usize, object: Object) {
        let mut objects = self.change();
        objects.retain(|o| o.name != object.name);
        let at = at.min(objects.len());
        let relation = object.relation();
        objects.insert(at, object);
        if !relation {
            self.redraw(&objects);
        }
    }

    /// Keeps names for who may want them back.
    pub fn reserve(&self, names: impl Iterator<Item = String>) {
        self.reserved.write().extend(names);
    }

    /// Whether a name is kept so.
    pub fn reserved(&self, name: &str) -> bool {
        self.reserved.read().iter().any(|reserved| reserved == name)
    }

    /// Lets names go, once each.
    pub fn free<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut reserved = self.reserved.write();
        for name in names {
            if let Some(at) = reserved.iter().position(|one| one == name) {
                reserved.swap_remove(at);
            }
        }
    }

    /// Takes an object out.
    pub fn remove(&self, name: &str) -> Option<Object> {
        let mut objects = self.change();
        let at = objects.iter().position(|o| o.name == name)?;
        let removed = objects.remove(at);
        if !removed.relation() {
            self.redraw(&objects);
        }
        Some(removed)
    }

    /// What is built on an object, directly or not, the newest first: the order in which they can be dropped.
    pub fn dependents(&self, name: &str) -> Vec<Object> {
        let objects = self.objects.read();
        let mut names = vec![name.to_owned()];
        // Again and again, as a figure may have been drawn anew over what was made after it.
        loop {
            let n_known = names.len();
            for object in objects.iter() {
                if !names.contains(&object.name) && object.reads.iter().any(|read| names.contains(read)) {
                    names.push(object.name.clone());
                }
            }
            if names.len() == n_known {
                break;
            }
        }
        let depends = |o: &&Object| o.name != name && names.contains(&o.name);
        objects.iter().rev().filter(depends).cloned().collect()
    }
}

impl Names for Catalog {
    fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures.read())
    }

    fn unlisted(&self, relation: &str) -> &'static [&'static str] {
        match self.find(relation).map(|object| object.body) {
            Some(Body::Gallery(_)) => &UNLISTED,
            _ => &[],
        }
    }
}

#[async_trait]
impl SchemaProvider for Catalog {
    fn table_names(&self) -> Vec<String> {
        self.objects.read().iter().filter(|o| o.relation()).map(|o| o.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> datafusion::error::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = name.strip_suffix(NUMBERED).and_then(|name| self.find(name)) {
            // An UPDATE or DELETE reads its table.
            let (Body::Table(table) | Body::Gallery(table)) = table.body else { return Ok(None) };
            return Ok(Some(Arc::new(SourceTable::new(Arc::new(Numbered(table))))));
        }
        match self.find(name) {
            Some(object) => Ok(Some(object.table())),
            None => self.missing.why(name).map_or(Ok(None), |why| Err(why.into())),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
