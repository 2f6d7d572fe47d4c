//! The objects of the schema public, in the order they were made: what they are, what they are built on, and the tables that DataFusion sees.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use framesql_udfs::figure::{FigureKind, Figures};
use parking_lot::RwLock;

use super::relation::Relation;
use crate::error::{Error, Result};
use crate::frame::rows::RowSource;
use crate::frame::source::Source;
use crate::frame::video::VideoSource;
use crate::plan::names::Names;
use crate::plan::parse::Kind;
use crate::plan::table::SourceTable;
use crate::view::materialized::{MaterializedView, ViewSource};
use crate::view::table::{NUMBERED, Numbered, Table};

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
    /// A zone, a line or a calibration: it has no rows, but a name among those of the rest.
    Figure(Arc<Figure>),
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
            (Body::View(a), Body::View(b)) => Arc::ptr_eq(a, b),
            (Body::Materialized(a), Body::Materialized(b)) => Arc::ptr_eq(a, b),
            (Body::Figure(a), Body::Figure(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn table(&self) -> Arc<dyn TableProvider> {
        let source: Arc<dyn Source> = match &self.body {
            Body::Source(source, _) => Arc::clone(source) as _,
            Body::Rows(source, _) => Arc::clone(source) as _,
            Body::View(view) => return Arc::clone(view) as _,
            Body::Materialized(view) => Arc::new(ViewSource(Arc::clone(view))),
            Body::Table(table) => Arc::clone(table) as _,
            Body::Figure(_) => return Arc::new(EmptyTable::new(Arc::new(Schema::empty()))),
        };
        Arc::new(SourceTable { source })
    }

    /// What rows are read from; None for a view, which is a query.
    pub fn source(&self) -> Option<Arc<dyn Source>> {
        self.table().downcast_ref::<SourceTable>().map(|table| Arc::clone(&table.source))
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        self.table().schema()
    }
}

/// The objects; every session's schema public.
#[derive(Debug, Default)]
pub struct Catalog {
    objects: RwLock<Vec<Object>>,
    /// The figures among them, for queries: another Arc whenever one has changed.
    figures: RwLock<Arc<Figures>>,
}

impl Catalog {
    /// The object of that name, of any kind.
    pub fn object(&self, name: &str) -> Option<Object> {
        self.objects.read().iter().find(|o| o.name == name).cloned()
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
        let relation = |o: Object| Relation { kind: o.kind(), schema: o.schema(), name: o.name, definition: o.definition };
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
        let mut objects = self.objects.write();
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
        let mut objects = self.objects.write();
        match objects.iter_mut().find(|o| o.name == object.name) {
            Some(old) => *old = object,
            None => objects.push(object),
        }
        self.redraw(&objects);
    }

    /// Puts an object in the place of the one of its name, if there is one: who looks sees the old one or the new.
    pub fn replace(&self, object: Object) {
        let mut objects = self.objects.write();
        objects.retain(|o| o.name != object.name);
        // At the end: it may read what was made after the old one.
        objects.push(object);
    }

    /// Takes an object out.
    pub fn remove(&self, name: &str) -> Option<Object> {
        let mut objects = self.objects.write();
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
}

#[async_trait]
impl SchemaProvider for Catalog {
    fn table_names(&self) -> Vec<String> {
        self.objects.read().iter().filter(|o| o.relation()).map(|o| o.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> datafusion::error::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = name.strip_suffix(NUMBERED).and_then(|name| self.find(name)) {
            // An UPDATE or DELETE reads its table.
            let Body::Table(table) = table.body else { return Ok(None) };
            return Ok(Some(Arc::new(SourceTable { source: Arc::new(Numbered(table)) })));
        }
        Ok(self.find(name).map(|o| o.table()))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
