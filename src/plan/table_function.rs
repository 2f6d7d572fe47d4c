//! Table functions over a table, `TRACK(TABLE t PARTITION BY k ORDER BY ts, method => 'sort')`: what their calls have in common, read and planned.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{DocSection, Documentation, Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, ObjectName, OrderByExpr, Query,
    TableAlias, TableFactor, WindowType,
};

use super::constant;
use super::order::Order;
use super::parse::table_argument::{DATA, TABLE};
use super::window_function::{in_microseconds, interval_us, single_table};
use crate::error::{Error, in_sql};
use crate::frame::batch::ts_type;

/// The table functions whose answers are of what is followed, as their page shows them: TUMBLE, HOP and SESSION stand with the windows (docs/sql.md).
pub fn documented() -> Vec<(String, Documentation)> {
    const TRACKS: &str = "TRACK((SELECT c.source, c.ts, d.box, d.score FROM clip AS c CROSS JOIN UNNEST(detect_faces(frame)) AS d) PARTITION BY source ORDER BY ts)";
    let of = |name: &str, syntax: &str, description: &str, example: String| {
        let page = Documentation::builder(DocSection::default(), description, syntax).with_sql_example(example).build();
        (name.to_owned(), page)
    };
    vec![
        of(
            "TRACK",
            "TRACK(TABLE detections [PARTITION BY k, …] [ORDER BY ts] [, method => 'bytetrack' | 'sort'] [, max_age => interval] [, min_hits => int])",
            "The rows of a table of detections (a column box, perhaps a score), each with four columns more: track_id int8, which thing it is (NULL until its track is confirmed by min_hits rows, and of what is no thing), \
age float8, how long that has been seen in seconds, and vx and vy float8, how the middle of its box moves in pixels a second. Boxes of one frame are given to tracks by the Hungarian method; the same rows give the same ids. \
A track that has had no box for max_age (1.5 seconds) is over; min_hits is 3, and in the first frames of a partition an id is given at once. Ids go on behind a restart. More: docs/sql.md, Tracks.",
            format!("SELECT ts, track_id, round(age::numeric, 2) AS age FROM {TRACKS} WHERE track_id IS NOT NULL"),
        ),
        of(
            "ZONE_VISITS",
            "ZONE_VISITS(TABLE tracks [PARTITION BY k, …] [ORDER BY ts], zone text [, max_gap => interval] [, max_outside => interval])",
            "A row for each time that a track has been in a zone: the partition's columns, track_id, enter_at (its first row inside), exit_at (its last) and dwell, the interval between. A row without track_id is of no track. \
A visit is over with the first row outside, unless the track is inside again within max_outside (0 seconds), and when the track has had no row for longer than max_gap (2 seconds).",
            format!("SELECT track_id, enter_at, exit_at, dwell FROM ZONE_VISITS({TRACKS} PARTITION BY source ORDER BY ts, 'door')"),
        ),
        of(
            "LINE_CROSSINGS",
            "LINE_CROSSINGS(TABLE tracks [PARTITION BY k, …] [ORDER BY ts], line text [, hysteresis => float8] [, max_gap => interval])",
            "A row for each time that a track has crossed a line: the partition's columns, track_id, the time of the first row that is clear of the line on the other side, and direction. One crossing is one row, however much a box \
trembles on the line: it is on a side when its anchor is further from the line than hysteresis (0.1), a share of the box's height. A row without track_id is never counted.",
            format!(
                "SELECT track_id, ts, direction FROM LINE_CROSSINGS({TRACKS} PARTITION BY source ORDER BY ts, 'step', hysteresis => 0.05)"
            ),
        ),
    ]
}

/// A table function: its name, how it is written, and its arguments behind the table, in the order in which they need no name.
#[derive(Debug)]
pub(super) struct Signature {
    /// Upper case.
    pub(super) name: &'static str,
    /// What a hint shows.
    pub(super) spelling: &'static str,
    /// Lower case; those that have to be there are the caller's to ask for.
    pub(super) arguments: &'static [&'static str],
}

/// A call of it in FROM.
#[derive(Debug)]
pub(super) struct Call {
    signature: &'static Signature,
    table: Box<Query>,
    partition: Vec<SqlExpr>,
    order: Vec<OrderByExpr>,
    arguments: Vec<(&'static str, SqlExpr)>,
    /// The alias behind it.
    pub(super) alias: Option<TableAlias>,
}

/// The table of a call, planned; keys by their index among its columns.
#[derive(Debug)]
pub(super) struct Table {
    /// The rows.
    pub(super) plan: LogicalPlan,
    /// PARTITION BY.
    pub(super) partition: Vec<usize>,
    /// ORDER BY: the event time, ascending, in µs, and what tells rows of one time apart.
    pub(super) order: Vec<Order>,
}

impl Table {
    /// The column of event time.
    pub(super) fn time(&self) -> usize {
        self.order.first().map_or(0, |o| o.column)
    }
}

impl Signature {
    /// The call that a relation is; None if it is something else. Errs with 42601 if it is not written as the function is.
    pub(super) fn call(&'static self, relation: &TableFactor) -> Result<Option<Call>> {
        let own = |name: &ObjectName| name.to_string().eq_ignore_ascii_case(self.name);
        let (args, alias) = match relation {
            TableFactor::Table { name, args: Some(args), alias, .. } if own(name) => (&args.args, alias),
            TableFactor::Function { name, args, alias, .. } if own(name) => (args, alias),
            TableFactor::TableFunction { expr: SqlExpr::Function(f), alias } if own(&f.name) => match &f.args {
                FunctionArguments::List(list) => (&list.args, alias),
                _ => return Err(self.written(format!("{} needs a table", self.name)).into()),
            },
            _ => return Ok(None),
        };
        self.read(args, alias.clone()).map(Some)
    }

    fn read(&'static self, args: &[FunctionArg], alias: Option<TableAlias>) -> Result<Call> {
        let name = self.name;
        let mut table = None;
        let mut arguments: Vec<(&'static str, SqlExpr)> = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            let (given, value) = match arg {
                FunctionArg::Named { name, arg, operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment }
                | FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                } => (name.value.to_lowercase(), arg),
                FunctionArg::Unnamed(arg) => match std::iter::once(&DATA).chain(self.arguments).nth(at) {
                    Some(name) => ((*name).to_owned(), arg),
                    None => return Err(self.written(format!("{name} takes at most {} arguments", self.arguments.len() + 1)).into()),
                },
                other => return Err(self.written(format!("argument {other} of {name} is not understood")).into()),
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(self.written(format!("argument {value} of {name} is not understood")).into());
            };
            if given == DATA {
                let read = table_of(value).ok_or_else(|| self.written(format!("the first argument of {name} is a table, not {value}")))?;
                if table.replace(read).is_some() {
                    return Err(self.written(format!("argument \"{given}\" of {name} is given twice")).into());
                }
                continue;
            }
            match self.arguments.iter().find(|known| **known == given) {
                Some(known) if arguments.iter().all(|(other, _)| other != known) => arguments.push((known, value.clone())),
                Some(_) => return Err(self.written(format!("argument \"{given}\" of {name} is given twice")).into()),
                None => {
                    return Err(self
                        .written(format!("{name} has no argument \"{given}\"; behind the table it has {}", self.arguments.join(", ")))
                        .into());
                }
            }
        }
        match table {
            Some((table, partition, order)) => Ok(Call { signature: self, table, partition, order, arguments, alias }),
            None => Err(self.written(format!("{name} needs a table")).into()),
        }
    }

    /// The error for a call that is not written as the function is (42601).
    pub(super) fn written(&self, message: String) -> Error {
        Error::Syntax { message, hint: Some(format!("Write {}.", self.spelling)) }
    }
}

/// The query, PARTITION BY and ORDER BY of an argument as the parser has marked it.
fn table_of(argument: &SqlExpr) -> Option<(Box<Query>, Vec<SqlExpr>, Vec<OrderByExpr>)> {
    let SqlExpr::Function(Function { name, args: FunctionArguments::List(list), over, .. }) = argument else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Subquery(query)))] = list.args.as_slice() else { return None };
    if name.to_string() != TABLE {
        return None;
    }
    let (partition, order) = match over {
        Some(WindowType::WindowSpec(spec)) => (spec.partition_by.clone(), spec.order_by.clone()),
        _ => (Vec::new(), Vec::new()),
    };
    let partition = partition.into_iter().flat_map(listed).collect();
    let order = order
        .into_iter()
        .flat_map(|key| {
            let OrderByExpr { expr, options, with_fill } = key;
            listed(expr).into_iter().map(move |expr| OrderByExpr { expr, options, with_fill: with_fill.clone() })
        })
        .collect();
    Some((query.clone(), partition, order))
}

/// `(a, b)` is a list of keys as `a, b` is.
fn listed(expr: SqlExpr) -> Vec<SqlExpr> {
    match expr {
        SqlExpr::Tuple(all) => all,
        SqlExpr::Nested(one) => vec![*one],
        one => vec![one],
    }
}

impl Call {
    /// Plans the table. Errs with 42P20 where it is not ordered by a time.
    pub(super) fn table(&self, context: &mut dyn RelationPlannerContext) -> Result<Table> {
        let name = self.signature.name;
        let alias = single_table(&self.table);
        let derived = TableFactor::Derived { lateral: false, subquery: self.table.clone(), alias, sample: None };
        let plan = context.plan(derived)?;
        let schema = Arc::clone(plan.schema());
        let mut column = |clause: &str, sql: &SqlExpr| match context.sql_to_expr(sql.clone(), &schema)? {
            Expr::Column(column) => Ok(column),
            other => Err(datafusion::error::DataFusionError::from(Error::unsupported(
                format!("{other} in {clause} of {name}"),
                "Name a column: compute it in a subquery below.",
            ))),
        };
        let partition = self.partition.iter().map(|key| column("PARTITION BY", key)).collect::<Result<Vec<Column>>>()?;
        let mut order = self.order.iter().map(|key| column("ORDER BY", &key.expr)).collect::<Result<Vec<Column>>>()?;
        let mut options: Vec<_> = self.order.iter().map(|key| key.options).collect();
        if order.is_empty() {
            // Where one column is a time there is no other order of events.
            let times = schema.iter().filter(|(_, field)| matches!(field.data_type(), DataType::Timestamp(_, Some(_))));
            let times: Vec<Column> = times.map(|(qualifier, field)| Column::new(qualifier.cloned(), field.name())).collect();
            if let [time] = times.as_slice() {
                order.push(time.clone());
                options.push(Default::default());
            }
        }
        let Some((time, first)) = order.first().zip(options.first()) else {
            return Err(Error::refused(
                format!("{name} without ORDER BY has no order in which rows follow one another"),
                "Write ORDER BY ts, the event time, behind the table and its PARTITION BY.",
            )
            .into());
        };
        let (_, field) = schema.qualified_field_from_column(time)?;
        if !matches!(field.data_type(), DataType::Timestamp(_, Some(_))) || first.asc == Some(false) {
            return Err(Error::refused(
                format!("the first column of {name}'s ORDER BY is the event time, ascending, not {}", time.name),
                "Write ORDER BY ts, and behind it what tells rows of one time apart: ORDER BY ts, frame_no.",
            )
            .into());
        }
        let index = |column: &Column| schema.index_of_column(column);
        let keys = order.iter().zip(&options).map(|(column, key)| {
            let descending = key.asc == Some(false);
            // As in Postgres: NULLs are the largest.
            Ok(Order { column: index(column)?, descending, nulls_first: key.nulls_first.unwrap_or(descending) })
        });
        let order = keys.collect::<Result<Vec<_>>>()?;
        let partition = partition.iter().map(index).collect::<Result<Vec<_>>>()?;
        let mut table = Table { plan, partition, order };
        // date_bin, below in a subquery, gives other units until the whole query is analysed.
        if *schema.field(table.time()).data_type() != ts_type() {
            table.plan = in_microseconds(table.plan, time)?;
        }
        Ok(table)
    }

    /// A constant argument; None where it is not given. Errs with 22023 if it is no constant.
    pub(super) fn constant(&self, argument: &str, context: &mut dyn RelationPlannerContext) -> Result<Option<Expr>> {
        let Some((_, value)) = self.arguments.iter().find(|(name, _)| *name == argument) else { return Ok(None) };
        let refuse = || Error::Option {
            message: format!("the {argument} of {} is a constant, not {value}", self.signature.name),
            hint: Some(format!("Write {}.", self.signature.spelling)),
        };
        // What is no constant names a column, and there is none here.
        let expr = context.sql_to_expr(value.clone(), &DFSchema::empty()).map_err(|_| refuse())?;
        match constant::folded(&expr) {
            Some(value) => Ok(Some(Expr::Literal(value, None))),
            None => Err(refuse().into()),
        }
    }

    /// A text; None where it is not given.
    pub(super) fn text(&self, argument: &str, context: &mut dyn RelationPlannerContext) -> Result<Option<String>> {
        let Some(expr) = self.constant(argument, context)? else { return Ok(None) };
        match &expr {
            Expr::Literal(value, _) if value.try_as_str().flatten().is_some() => Ok(value.try_as_str().flatten().map(str::to_owned)),
            other => Err(self.refuse(argument, "a text", other)),
        }
    }

    /// A whole number; None where it is not given.
    pub(super) fn integer(&self, argument: &str, context: &mut dyn RelationPlannerContext) -> Result<Option<i64>> {
        let Some(expr) = self.constant(argument, context)? else { return Ok(None) };
        match &expr {
            Expr::Literal(value, _) if value.data_type().is_integer() => match value.to_string().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.refuse(argument, "a whole number", &expr)),
            },
            _ => Err(self.refuse(argument, "a whole number", &expr)),
        }
    }

    /// An interval in µs; None where it is not given.
    pub(super) fn interval_us(&self, argument: &str, context: &mut dyn RelationPlannerContext) -> Result<Option<i64>> {
        let Some(expr) = self.constant(argument, context)? else { return Ok(None) };
        interval_us(self.signature.name, argument, expr).map(Some)
    }

    fn refuse(&self, argument: &str, expected: &str, found: &Expr) -> datafusion::error::DataFusionError {
        Error::Option {
            message: format!("the {argument} of {} is {expected}, not {}", self.signature.name, in_sql(found)),
            hint: Some(format!("Write {}.", self.signature.spelling)),
        }
        .into()
    }
}
