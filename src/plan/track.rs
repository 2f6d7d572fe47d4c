//! TRACK: which rows are detections of one thing, frame after frame: the node, and what plans it where a table is expected.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::TableFactor;
use framesql_udfs::function::boxes::is_box;
use framesql_udfs::track::{Method, Parameters};

use super::order::Order;
use super::table_function::{Call, Signature, Table};
use crate::error::{Error, in_sql};

/// The columns that it adds, in order: the track's number; how long it has been seen, s; how its centre moves, px a second.
pub const COLUMNS: [(&str, DataType); 4] =
    [("track_id", DataType::Int64), ("age", DataType::Float64), ("vx", DataType::Float64), ("vy", DataType::Float64)];
/// The column that says where a detection is.
const BOX: &str = "box";
/// The column that says how sure the detector is.
const SCORE: &str = "score";
/// How long a track is looked for, where it is not said, µs.
const MAX_AGE_US: i64 = 1_500_000;
/// How often something has to be seen, where it is not said.
const MIN_HITS: i64 = 3;

static SIGNATURE: Signature = Signature {
    name: "TRACK",
    spelling: "TRACK(TABLE detections PARTITION BY source ORDER BY ts, method => 'bytetrack', max_age => INTERVAL '1.5 seconds', min_hits => 3)",
    arguments: &["method", "max_age", "min_hits"],
};

/// Plans TRACK.
#[derive(Debug)]
pub(super) struct TrackPlanner;

impl RelationPlanner for TrackPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some(call) = SIGNATURE.call(&relation)? else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        let parameters = parameters(&call, context)?;
        let node = node(call.table(context)?, parameters)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, call.alias))))
    }
}

fn parameters(call: &Call, context: &mut dyn RelationPlannerContext) -> Result<Parameters> {
    let refuse = |message: String, hint: &str| Err(Error::Option { message, hint: Some(hint.to_owned()) }.into());
    let method = match call.text("method", context)?.as_deref() {
        None => Method::Bytetrack,
        Some(name) if name.eq_ignore_ascii_case("bytetrack") => Method::Bytetrack,
        Some(name) if name.eq_ignore_ascii_case("sort") => Method::Sort,
        Some(name) => return refuse(format!("TRACK has no method \"{name}\""), "It has 'bytetrack' and 'sort'."),
    };
    let max_age_us = call.interval_us("max_age", context)?.unwrap_or(MAX_AGE_US);
    if max_age_us <= 0 {
        return refuse("the max_age of TRACK must be longer than nothing".to_owned(), "Write max_age => INTERVAL '1.5 seconds'.");
    }
    let min_hits = call.integer("min_hits", context)?.unwrap_or(MIN_HITS);
    match u32::try_from(min_hits) {
        Ok(min_hits) if min_hits > 0 => Ok(Parameters { method, max_age_us, min_hits }),
        _ => refuse(
            format!("the min_hits of TRACK must be 1 to {}, not {min_hits}", u32::MAX),
            "A track has its id when it has been seen so often.",
        ),
    }
}

/// The node over a table. Errs if the table has no box, or a column that TRACK adds.
fn node(table: Table, parameters: Parameters) -> Result<Track> {
    let columns = table.plan.schema().columns();
    let column = |at: usize| columns.get(at).cloned().ok_or_else(|| Error::Internal(format!("TRACK's table has no column {at}")));
    let partition = table.partition.iter().map(|at| column(*at)).collect::<Result<Vec<_>, _>>()?;
    let order =
        table.order.iter().map(|key| Ok((column(key.column)?, key.descending, key.nulls_first))).collect::<Result<Vec<_>, Error>>()?;
    let keys: HashSet<&Column> = partition.iter().chain(order.iter().map(|(column, ..)| column)).collect();
    // A detector leaves the track of its detections open.
    let open = |column: &Column| column.name == COLUMNS[0].0 && !keys.contains(column);
    if let Some(taken) = columns.iter().find(|column| !open(column) && COLUMNS.iter().any(|(name, _)| *name == column.name)) {
        return Err(Error::refused(
            format!("the table of TRACK has a column \"{}\", which TRACK adds", taken.name),
            "Give it another name in a subquery below.",
        )
        .into());
    }
    let input = if columns.iter().any(open) {
        let kept = columns.iter().filter(|column| !open(column)).cloned().map(Expr::Column).collect();
        LogicalPlan::Projection(Projection::try_new(kept, Arc::new(table.plan))?)
    } else {
        table.plan
    };
    let named = |name: &str| {
        let schema = input.schema();
        let found = schema.iter().find(|(_, field)| field.name() == name);
        found.map(|(qualifier, field)| (Column::new(qualifier.cloned(), field.name()), field.data_type().clone()))
    };
    let bbox = match named(BOX) {
        Some((column, data_type)) if is_box(&data_type) => column,
        Some((_, data_type)) => {
            return Err(Error::refused(
                format!("the column \"box\" of TRACK's table is no box but {}", in_sql(data_type)),
                "A box is a BOX, or a struct or list of x, y, w and h: named_struct('x', x, 'y', y, 'w', w, 'h', h) AS box.",
            )
            .into());
        }
        None => {
            return Err(Error::refused(
                "the table of TRACK has no column \"box\"",
                "Name it in a subquery: (SELECT s.source, s.ts, d.box, d.score FROM lobby AS s CROSS JOIN UNNEST(detect_objects(frame)) AS d).",
            )
            .into());
        }
    };
    let score = match named(SCORE) {
        Some((column, data_type)) if data_type.is_numeric() => Some(column),
        Some((_, data_type)) => {
            return Err(Error::refused(
                format!("the column \"score\" of TRACK's table is no number but {}", in_sql(data_type)),
                "It says how sure the detector is, from 0 to 1; without the column it is taken to be sure.",
            )
            .into());
        }
        None => None,
    };
    Track::try_new(input, partition, order, bbox, score, parameters)
}

/// The node: its input's columns and those that TRACK adds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Track {
    /// The detections.
    pub input: LogicalPlan,
    /// PARTITION BY: a tracker each.
    pub partition: Vec<Column>,
    /// ORDER BY, with DESC and NULLS FIRST: the event time, ascending, and what tells rows of one time apart.
    order: Vec<(Column, bool, bool)>,
    /// Where a detection is.
    pub bbox: Column,
    /// How sure the detector is; None is sure.
    pub score: Option<Column>,
    /// What the trackers go by.
    pub parameters: Parameters,
    schema: DFSchemaRef,
}

impl Track {
    /// Errs if a name of the columns that it adds is taken.
    fn try_new(
        input: LogicalPlan,
        partition: Vec<Column>,
        order: Vec<(Column, bool, bool)>,
        bbox: Column,
        score: Option<Column>,
        parameters: Parameters,
    ) -> Result<Track> {
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        fields.extend(COLUMNS.map(|(name, data_type)| (None, Arc::new(Field::new(name, data_type, true)))));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Track { input, partition, order, bbox, score, parameters, schema })
    }

    /// ORDER BY, by the columns of the input.
    pub fn order(&self) -> Result<Vec<Order>> {
        let schema = self.input.schema();
        let key = |(column, descending, nulls_first): &(Column, bool, bool)| {
            Ok(Order { column: schema.index_of_column(column)?, descending: *descending, nulls_first: *nulls_first })
        };
        self.order.iter().map(key).collect()
    }

    /// The column of event time, of the input and of the node.
    pub fn time(&self) -> Option<usize> {
        self.input.schema().index_of_column(&self.order.first()?.0).ok()
    }

    /// The columns that it reads.
    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.order.iter().map(|(column, ..)| column).chain(&self.partition).chain([&self.bbox]).chain(&self.score)
    }
}

impl PartialOrd for Track {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |n: &Track| (n.partition.clone(), n.order.clone(), n.bbox.clone(), n.score.clone(), n.parameters);
        (key(self), &self.input).partial_cmp(&(key(other), &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Track {
    fn name(&self) -> &str {
        "Track"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns().cloned().map(Expr::Column).collect()
    }

    /// A row that WHERE leaves out still moves its track on; only whole partitions may go before.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let free: HashSet<&str> = self.partition.iter().map(|column| column.name.as_str()).collect();
        self.schema.fields().iter().map(|field| field.name().clone()).filter(|name| !free.contains(name.as_str())).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Track: {}", self.parameters)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut columns = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match expr {
                Expr::Column(column) => columns.push(column),
                other => return plan_err!("what TRACK reads is columns, not {other}"),
            }
        }
        let mut columns = columns.into_iter();
        let order = self.order.iter().zip(columns.by_ref()).map(|((_, descending, nulls), column)| (column, *descending, *nulls)).collect();
        let partition = columns.by_ref().take(self.partition.len()).collect();
        match (columns.next(), inputs.into_iter().next()) {
            (Some(bbox), Some(input)) => Track::try_new(input, partition, order, bbox, columns.next(), self.parameters),
            _ => plan_err!("TRACK needs an input and a box"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|at| *at < schema.fields().len()).collect();
        for column in self.columns() {
            needed.push(schema.index_of_column(column).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
