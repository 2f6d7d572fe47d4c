//! ZONE_VISITS and LINE_CROSSINGS: rows of tracks held against a figure, each track by itself, in the order of event time.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection, UserDefinedLogicalNodeCore, cast};
use framesql_udfs::figure::FigureKind;
use framesql_udfs::function::boxes::is_box;
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::table_function::Table;
use super::{line_crossings, zone_visits};
use crate::error::Error;

/// Which columns of the input are what, by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tracks {
    /// PARTITION BY: a track's number counts in its partition.
    pub partition: Vec<usize>,
    /// ORDER BY: the event time first.
    pub order: Vec<Order>,
    /// The track's number, int8; a row without one is of no track.
    pub track_id: usize,
    /// Where it is.
    pub bbox: usize,
}

impl Tracks {
    /// The column of event time.
    pub fn time(&self) -> usize {
        self.order.first().map_or(0, |o| o.column)
    }
}

/// What is asked of the tracks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// When each is in a zone.
    Visits(zone_visits::Tolerance),
    /// When each crosses a line.
    Crossings(line_crossings::Tolerance),
}

impl Question {
    /// The function in FROM.
    pub fn function(&self) -> &'static str {
        match self {
            Question::Visits(_) => "ZONE_VISITS",
            Question::Crossings(_) => "LINE_CROSSINGS",
        }
    }

    /// The kind of its figure.
    pub fn kind(&self) -> FigureKind {
        match self {
            Question::Visits(_) => FigureKind::Zone,
            Question::Crossings(_) => FigureKind::Line,
        }
    }
}

/// The node: a row a visit, or a crossing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracked {
    /// What is read of the tracks, and nothing else.
    pub input: LogicalPlan,
    /// Its columns.
    pub tracks: Tracks,
    /// The figure's name.
    pub name: String,
    /// The figure; None until the plan that runs is made.
    pub text: Option<String>,
    /// What is asked.
    pub question: Question,
    schema: DFSchemaRef,
}

impl Tracked {
    /// Plans the question over a table with the columns `track_id` and `box`. Errs with 42P20 if it has none, or of another type.
    pub(super) fn plan(table: Table, name: String, question: Question) -> Result<LogicalPlan> {
        let function = question.function();
        let (_, bbox) = column(&table, function, "box", is_box, "a box (x, y, w, h)")?;
        let (_, track_id) = column(&table, function, "track_id", DataType::is_integer, "a whole number")?;
        let fields = table.plan.schema();
        let columns = fields.columns();
        let known = |at: usize| columns.get(at).cloned().map_or_else(|| plan_err!("{function} has lost a column"), |c| Ok(Expr::Column(c)));
        let mut below: Vec<Expr> = table.partition.iter().map(|at| known(*at)).collect::<Result<_>>()?;
        let (n_partition, n_order) = (table.partition.len(), table.order.len());
        below.extend(table.order.iter().map(|order| known(order.column)).collect::<Result<Vec<_>>>()?);
        below.extend([cast(Expr::Column(track_id), DataType::Int64), Expr::Column(bbox)]);
        let tracks = Tracks {
            partition: (0..n_partition).collect(),
            order: table.order.iter().enumerate().map(|(at, order)| Order { column: n_partition + at, ..*order }).collect(),
            track_id: n_partition + n_order,
            bbox: n_partition + n_order + 1,
        };
        let name_of = |at: &usize| fields.fields().get(*at).map_or_else(String::new, |field| field.name().clone());
        let partition: Vec<String> = table.partition.iter().map(name_of).collect();
        let time = name_of(&table.time());
        let below = below.into_iter().enumerate().map(|(at, e)| e.alias(format!("__{at}"))).collect();
        let input = LogicalPlan::Projection(Projection::try_new(below, Arc::new(table.plan))?);
        let types = input.schema().fields();
        let mut given: Vec<Field> =
            partition.iter().zip(types).map(|(name, field)| Field::new(name, field.data_type().clone(), true)).collect();
        given.push(Field::new("track_id", DataType::Int64, false));
        given.extend(match question {
            Question::Visits(_) => zone_visits::fields(),
            Question::Crossings(_) => line_crossings::fields(&time),
        });
        let given = given.into_iter().map(|field| (None, Arc::new(field))).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(given, input.schema().metadata().clone())?);
        let node = Tracked { input, tracks, name, text: None, question, schema };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    /// The same with the figure that it names.
    pub(super) fn with_text(&self, text: &str) -> Tracked {
        Tracked { text: Some(text.to_owned()), ..self.clone() }
    }

    /// Whether a column of the node is the event time that its operator's watermark is of.
    pub fn carries_time(&self, at: usize) -> bool {
        let first = self.tracks.partition.len() + 1;
        at.checked_sub(first).is_some_and(|at| match self.question {
            Question::Visits(_) => at == zone_visits::EXIT,
            Question::Crossings(_) => at == 0,
        })
    }
}

/// A column of the table by its name and type.
fn column(table: &Table, function: &str, name: &str, fits: impl Fn(&DataType) -> bool, expected: &str) -> Result<(usize, Column)> {
    let schema = table.plan.schema();
    let hint = || {
        format!(
            "Name its columns in a subquery: {function}(TABLE (SELECT source, ts, track_id, box FROM …) PARTITION BY source ORDER BY ts, …)."
        )
    };
    let found = schema.index_of_column_by_name(None, name);
    let Some((at, (qualifier, field))) = found.and_then(|at| Some((at, schema.iter().nth(at)?))) else {
        return Err(Error::refused(format!("the table of {function} has no column \"{name}\""), hint()).into());
    };
    if !fits(field.data_type()) {
        return Err(Error::refused(format!("column \"{name}\" of the table of {function} is not {expected}"), hint()).into());
    }
    Ok((at, Column::new(qualifier.cloned(), field.name())))
}

impl PartialOrd for Tracked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.name == other.name && self.question == other.question).then(|| self.input.partial_cmp(&other.input)).flatten()
    }
}

impl UserDefinedLogicalNodeCore for Tracked {
    fn name(&self) -> &str {
        self.question.function()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// None: what it reads is computed below.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// No condition on its rows holds for the rows that it reads.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.question.function(), self.name)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Tracked { input, ..self.clone() }),
            None => plan_err!("{} needs a table", self.question.function()),
        }
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}
