//! TUMBLE and HOP in FROM: both spellings, planned as a node that gives each row its window_start, window_end and window_time.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{
    self, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, ObjectName, Query, SetExpr,
    TableAlias, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde::{Deserialize, Serialize};

use super::window_of_window;
use crate::error::Error;
use crate::frame::batch::ts_type;

/// The three columns that a window function adds.
pub const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Windows of one size, one beginning each `slide`; TUMBLE is a slide of the size. All in µs, whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub struct Windows {
    /// From one window's start to the next.
    pub slide_us: i64,
    /// From a window's start to its end; a multiple of the slide.
    pub size_us: i64,
    /// Where the windows are anchored, after 1970-01-01.
    pub offset_us: i64,
}

impl Windows {
    /// Calls `each` with the start of every window that holds `time_us`, the earliest first.
    pub fn starts(&self, time_us: i64, mut each: impl FnMut(i64)) {
        let newest = time_us.saturating_sub(time_us.wrapping_sub(self.offset_us).rem_euclid(self.slide_us));
        for back in (0..self.size_us / self.slide_us).rev() {
            each(newest.saturating_sub(back * self.slide_us));
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: i64| us / 1_000;
        if self.slide_us == self.size_us {
            write!(f, "TUMBLE(size={} ms", ms(self.size_us))?;
        } else {
            write!(f, "HOP(slide={} ms, size={} ms", ms(self.slide_us), ms(self.size_us))?;
        }
        if self.offset_us != 0 {
            write!(f, ", offset={} ms", ms(self.offset_us))?;
        }
        f.write_str(")")
    }
}

/// The node: its input's columns and the three of the window, one row a window that a row belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssignWindow {
    /// What is put into windows.
    pub input: LogicalPlan,
    /// The event time.
    pub time: Column,
    /// The windows.
    pub windows: Windows,
    schema: DFSchemaRef,
}

impl AssignWindow {
    /// Errs if the time column is not a timestamp.
    pub fn try_new(input: LogicalPlan, time: Column, windows: Windows) -> Result<AssignWindow> {
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        for name in COLUMNS {
            fields.push((None, Arc::new(Field::new(name, ts_type(), false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(AssignWindow { input, time, windows, schema })
    }
}

impl PartialOrd for AssignWindow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.time, &self.windows, &self.input).partial_cmp(&(&other.time, &other.windows, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for AssignWindow {
    fn name(&self) -> &str {
        "AssignWindow"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![Expr::Column(self.time.clone())]
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        COLUMNS.iter().map(|c| (*c).to_owned()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssignWindow: time={}, {}", self.time, self.windows)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (exprs.into_iter().next(), inputs.into_iter().next()) {
            (Some(Expr::Column(time)), Some(input)) => AssignWindow::try_new(input, time, self.windows),
            (time, _) => plan_err!("a window's time is a column, not {time:?}"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let n_input = self.input.schema().fields().len();
        let time = self.input.schema().index_of_column(&self.time).ok()?;
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|c| *c < n_input).chain([time]).collect();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// Windows that one row may be in: each costs a row of memory.
const MOST_WINDOWS: i64 = 10_000;

/// Plans TUMBLE and HOP where a table is expected.
#[derive(Debug)]
pub struct WindowPlanner;

/// The name of a window function, or of one that comes later and is refused by name.
fn window_function(name: &ObjectName) -> Option<String> {
    let name = name.to_string().to_lowercase();
    matches!(name.as_str(), "tumble" | "hop" | "cumulate" | "session").then_some(name)
}

/// A window function in FROM: its name, its arguments, its alias.
fn call(relation: &TableFactor) -> Option<(String, Vec<FunctionArg>, Option<TableAlias>)> {
    match relation {
        TableFactor::Table { name, args: Some(args), alias, .. } => Some((window_function(name)?, args.args.clone(), alias.clone())),
        TableFactor::Function { name, args, alias, .. } => Some((window_function(name)?, args.clone(), alias.clone())),
        TableFactor::TableFunction { expr: SqlExpr::Function(f), alias } => match &f.args {
            FunctionArguments::List(list) => Some((window_function(&f.name)?, list.args.clone(), alias.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// Makes the table argument of a window function a subquery, so that DataFusion looks the table up: `TUMBLE(lobby, …)` names it in an expression.
pub fn expose_table(relation: &mut TableFactor) {
    let args = match relation {
        TableFactor::Table { name, args: Some(args), .. } if window_function(name).is_some() => &mut args.args,
        TableFactor::Function { name, args, .. } if window_function(name).is_some() => args,
        TableFactor::TableFunction { expr: SqlExpr::Function(f), .. } if window_function(&f.name).is_some() => match &mut f.args {
            FunctionArguments::List(list) => &mut list.args,
            _ => return,
        },
        _ => return,
    };
    for (at, arg) in args.iter_mut().enumerate() {
        let expr = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) if at == 0 => e,
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(e), .. } if name.value.eq_ignore_ascii_case("data") => e,
            FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), arg: FunctionArgExpr::Expr(e), .. }
                if name.value.eq_ignore_ascii_case("data") =>
            {
                e
            }
            _ => continue,
        };
        let name = match expr {
            SqlExpr::Identifier(i) => vec![i.clone()],
            SqlExpr::CompoundIdentifier(parts) => parts.clone(),
            _ => continue,
        };
        *expr = SqlExpr::Subquery(Box::new(select_all(name)));
    }
}

/// `SELECT * FROM name`, with the name as the alias so that `lobby.ts` is still read.
fn select_all(name: Vec<Ident>) -> Query {
    let table = TableFactor::Table {
        name: ObjectName::from(name),
        alias: None,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    };
    let mut query = empty_query();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![ast::TableWithJoins { relation: table, joins: vec![] }];
    }
    query
}

/// `SELECT *` to be filled: parsed, so that a new field of the AST needs no change here.
fn empty_query() -> Query {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT *").and_then(|mut p| p.parse_query());
    *parsed.expect("SELECT * is a query")
}

impl RelationPlanner for WindowPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some((function, args, alias)) = call(&relation) else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        if function == "cumulate" || function == "session" {
            return Err(Error::unsupported(format!("window function {}", function.to_uppercase()), "Use TUMBLE or HOP.").into());
        }
        let args = Arguments::read(&function, args)?;
        let input = match args.data {
            SqlExpr::Subquery(query) => {
                let named = single_table(&query);
                let derived = TableFactor::Derived { lateral: false, subquery: query, alias: named, sample: None };
                context.plan(derived)?
            }
            other => return plan_err!("the first argument of {function} is a table or a subquery, not {other}"),
        };
        let time = match context.sql_to_expr(args.time, input.schema())? {
            Expr::Column(c) => c,
            other => {
                return Err(Error::refused(
                    format!("the time of {} is a column, not {other}", function.to_uppercase()),
                    "Name the event time column of the source, as in TUMBLE(lobby, ts, INTERVAL '1 second').",
                )
                .into());
            }
        };
        let (_, field) = input.schema().qualified_field_from_column(&time)?;
        if !matches!(field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, Some(_))) {
            return plan_err!(
                "column {} of {function} is of type {} but a window needs a timestamp with time zone",
                time.name,
                field.data_type()
            );
        }
        let empty = DFSchema::empty();
        let mut interval = |name: &str, e: SqlExpr| -> Result<i64> { interval_us(&function, name, context.sql_to_expr(e, &empty)?) };
        let size_us = interval("size", args.size)?;
        let slide_us = args.slide.map(|e| interval("slide", e)).transpose()?.unwrap_or(size_us);
        let offset_us = args.offset.map(|e| interval("offset", e)).transpose()?.unwrap_or(0);
        if slide_us > 0 && size_us / slide_us > MOST_WINDOWS {
            return Err(Error::Option {
                message: format!("a row would be in {} windows of {}", size_us / slide_us, function.to_uppercase()),
                hint: Some(format!("A row is in at most {MOST_WINDOWS}: take a longer slide or a smaller size.")),
            }
            .into());
        }
        if size_us <= 0 || slide_us <= 0 || size_us % slide_us != 0 {
            return Err(Error::Option {
                message: format!("the size of {} must be a positive multiple of its slide", function.to_uppercase()),
                hint: Some("HOP takes the slide first: HOP(lobby, ts, INTERVAL '2 seconds', INTERVAL '10 seconds').".into()),
            }
            .into());
        }
        let (input, time) = window_of_window::inner(input, time)?;
        let node = AssignWindow::try_new(input, time.clone(), Windows { slide_us, size_us, offset_us })?;
        let plan = window_of_window::outer(LogicalPlan::Extension(Extension { node: Arc::new(node) }), &time)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The alias that keeps `lobby.ts` readable where the subquery is one made by `select_all`.
fn single_table(query: &Query) -> Option<TableAlias> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.from.as_slice() {
        [ast::TableWithJoins { relation: TableFactor::Table { name, alias: None, args: None, .. }, joins }] if joins.is_empty() => {
            let ident = name.0.last()?.as_ident()?.clone();
            Some(TableAlias { explicit: true, name: ident, columns: vec![], at: None })
        }
        _ => None,
    }
}

struct Arguments {
    data: SqlExpr,
    time: SqlExpr,
    slide: Option<SqlExpr>,
    size: SqlExpr,
    offset: Option<SqlExpr>,
}

impl Arguments {
    /// By position or by Flink's names: DATA, TIMECOL, SLIDE, SIZE, OFFSET.
    fn read(function: &str, args: Vec<FunctionArg>) -> Result<Arguments> {
        let order: &[&str] =
            if function == "hop" { &["data", "timecol", "slide", "size", "offset"] } else { &["data", "timecol", "size", "offset"] };
        let mut found: Vec<(String, SqlExpr)> = Vec::new();
        for (at, arg) in args.into_iter().enumerate() {
            let (name, value) = match arg {
                FunctionArg::Named { name, arg, operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment }
                | FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                } => (name.value.to_lowercase(), arg),
                FunctionArg::Unnamed(arg) => match order.get(at) {
                    Some(name) => ((*name).to_owned(), arg),
                    None => return plan_err!("{function} takes at most {} arguments", order.len()),
                },
                other => return plan_err!("argument {other} of {function} is not understood"),
            };
            match value {
                FunctionArgExpr::Expr(e) if order.contains(&name.as_str()) => found.push((name, e)),
                FunctionArgExpr::Expr(_) => return plan_err!("{function} has no argument \"{name}\"; it has {}", order.join(", ")),
                other => return plan_err!("argument {other} of {function} is not understood"),
            }
        }
        let mut take = |name: &str| found.iter().position(|(n, _)| n == name).map(|at| found.swap_remove(at).1);
        let (Some(data), Some(time), Some(size)) = (take("data"), take("timecol"), take("size")) else {
            let spelling =
                if function == "hop" { "HOP(table, time, slide, size [, offset])" } else { "TUMBLE(table, time, size [, offset])" };
            return plan_err!("{} is written {spelling}", function.to_uppercase());
        };
        let slide = take("slide");
        if function == "hop" && slide.is_none() {
            return plan_err!("HOP is written HOP(table, time, slide, size [, offset])");
        }
        Ok(Arguments { data, time: descriptor(time), slide, size, offset: take("offset") })
    }
}

/// Flink writes the time column as DESCRIPTOR(ts).
fn descriptor(expr: SqlExpr) -> SqlExpr {
    if let SqlExpr::Function(f) = &expr
        && f.name.to_string().eq_ignore_ascii_case("descriptor")
        && let FunctionArguments::List(list) = &f.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] = list.args.as_slice()
    {
        return inner.clone();
    }
    expr
}

/// A constant interval in µs: whole milliseconds, no months.
pub(super) fn interval_us(function: &str, name: &str, expr: Expr) -> Result<i64> {
    let function = function.to_uppercase();
    let us = match &expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) if i.months == 0 => i64::from(i.days)
            .checked_mul(86_400_000_000)
            .and_then(|d| d.checked_add(i.nanoseconds / 1_000))
            .filter(|_| i.nanoseconds % 1_000 == 0),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _) => {
            Some(i64::from(i.days) * 86_400_000_000 + i64::from(i.milliseconds) * 1_000)
        }
        Expr::Negative(inner) => Some(-interval_us(&function, name, (**inner).clone())?),
        _ => None,
    };
    match us {
        Some(us) if us % 1_000 == 0 => Ok(us),
        _ => Err(Error::Option {
            message: format!("the {name} of {function} must be a constant interval of whole milliseconds without months"),
            hint: Some("Write INTERVAL '1 second'.".into()),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(w: Windows, t: i64) -> Vec<i64> {
        let mut all = Vec::new();
        w.starts(t, |s| all.push(s));
        all
    }

    #[test]
    fn a_row_before_the_epoch_is_in_the_window_below_it() {
        let tumble = Windows { slide_us: 10, size_us: 10, offset_us: 0 };
        assert_eq!(starts(tumble, -1), [-10]);
        assert_eq!(starts(tumble, 0), [0]);
        assert_eq!(starts(tumble, 10), [10]);
        assert_eq!(starts(Windows { offset_us: -3, ..tumble }, 0), [-3]);
        assert_eq!(starts(Windows { offset_us: 13, ..tumble }, 2), [-7]);
    }

    #[test]
    fn a_row_is_in_size_over_slide_hops() {
        assert_eq!(starts(Windows { slide_us: 5, size_us: 10, offset_us: 0 }, 12), [5, 10]);
        assert_eq!(starts(Windows { slide_us: 5, size_us: 10, offset_us: 0 }, 10), [5, 10]);
    }
}
