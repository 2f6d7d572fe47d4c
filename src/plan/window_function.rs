//! TUMBLE, HOP, CUMULATE and SESSION in FROM: both spellings read, and planned as a node.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection, cast};
use datafusion::sql::sqlparser::ast::{
    self, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, ObjectName, Query, SetExpr,
    TableAlias, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::parse::PARTITION;
use super::window::{AssignWindow, Shape, Windows};
use super::window_of_window;
use crate::error::Error;
use crate::frame::batch::ts_type;

/// Windows that one row may be in: each costs a row of memory.
const MOST_WINDOWS: i64 = 10_000;

/// Plans a window function where a table is expected.
#[derive(Debug)]
pub(super) struct WindowPlanner;

/// A window function: its name, how it is written, and its arguments in the order in which they need no name.
struct Function {
    name: &'static str,
    spelling: &'static str,
    arguments: &'static [&'static str],
}

/// The list.
const FUNCTIONS: [Function; 4] = [
    Function { name: "TUMBLE", spelling: "TUMBLE(table, time, size [, offset])", arguments: &["data", "timecol", "size", "offset"] },
    Function {
        name: "HOP",
        spelling: "HOP(table, time, slide, size [, offset])",
        arguments: &["data", "timecol", "slide", "size", "offset"],
    },
    Function {
        name: "CUMULATE",
        spelling: "CUMULATE(table, time, step, max_size [, offset])",
        arguments: &["data", "timecol", "step", "size", "offset"],
    },
    Function { name: "SESSION", spelling: "SESSION(table [PARTITION BY column, …], time, gap)", arguments: &["data", "timecol", "gap"] },
];

fn window_function(name: &ObjectName) -> Option<&'static Function> {
    let name = name.to_string();
    FUNCTIONS.iter().find(|f| f.name.eq_ignore_ascii_case(&name))
}

/// A call of a window function in FROM: the function, its arguments, its alias.
fn call(relation: &TableFactor) -> Option<(&'static Function, Vec<FunctionArg>, Option<TableAlias>)> {
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
pub(super) fn expose_table(relation: &mut TableFactor) {
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
        let args = Arguments::read(function, args)?;
        let input = match args.data {
            SqlExpr::Subquery(query) => {
                let named = single_table(&query);
                let derived = TableFactor::Derived { lateral: false, subquery: query, alias: named, sample: None };
                context.plan(derived)?
            }
            other => return plan_err!("the first argument of {} is a table or a subquery, not {other}", function.name),
        };
        let schema = Arc::clone(input.schema());
        let time = column(function, "time", context.sql_to_expr(args.time, &schema)?)?;
        let (_, field) = schema.qualified_field_from_column(&time)?;
        let microseconds = *field.data_type() == ts_type();
        if !matches!(field.data_type(), DataType::Timestamp(_, Some(_))) {
            return plan_err!(
                "column {} of {} is of type {} but a window needs a timestamp with time zone",
                time.name,
                function.name,
                field.data_type()
            );
        }
        // date_bin, below in a subquery, gives other units until the whole query is analysed.
        let input = if microseconds { input } else { in_microseconds(input, &time)? };
        let mut partition = Vec::with_capacity(args.partition.len());
        for key in args.partition {
            partition.push(column(function, "key", context.sql_to_expr(key, &schema)?)?);
        }
        let empty: DFSchemaRef = Arc::new(DFSchema::empty());
        let mut intervals = Vec::new();
        for (name, value) in args.intervals {
            intervals.push((name, interval_us(function.name, name, context.sql_to_expr(value, &empty)?)?));
        }
        let fill = match args.fill.map(|value| context.sql_to_expr(value, &empty)).transpose()? {
            None => false,
            Some(Expr::Literal(value, _)) if value.try_as_str().flatten().is_some_and(|v| v.eq_ignore_ascii_case("zero")) => true,
            Some(other) => {
                return Err(Error::Option {
                    message: format!("the fill of {} is 'zero', not {other}", function.name),
                    hint: Some("Leave it out, and windows without rows give none.".into()),
                }
                .into());
            }
        };
        let windows = windows(function, &intervals)?;
        let (input, time) = window_of_window::inner(input, time)?;
        let node = AssignWindow::try_new(input, time.clone(), windows, partition, fill)?;
        let plan = window_of_window::outer(LogicalPlan::Extension(Extension { node: Arc::new(node) }), &time)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The input with its time in the unit that every time has here.
pub(super) fn in_microseconds(input: LogicalPlan, time: &Column) -> Result<LogicalPlan> {
    let columns = input.schema().columns().into_iter().map(|column| {
        let same = column == *time;
        let expr = Expr::Column(column.clone());
        if same { cast(expr, ts_type()).alias_qualified(column.relation, column.name) } else { expr }
    });
    let columns: Vec<Expr> = columns.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
}

/// The windows that the intervals ask for. Errs with 22023 for those that cannot be.
fn windows(function: &Function, intervals: &[(&'static str, i64)]) -> Result<Windows> {
    let of = |name: &str| intervals.iter().find(|(n, _)| *n == name).map(|(_, us)| *us);
    let refuse = |message: String, hint: &str| Err(Error::Option { message, hint: Some(hint.to_owned()) }.into());
    let (shape, part) = match function.name {
        "CUMULATE" => (Shape::Cumulate, "step"),
        "SESSION" => (Shape::Session, "gap"),
        _ => (Shape::Hop, "slide"),
    };
    let size_us = of("size").or(of("gap")).unwrap_or(0);
    let slide_us = of(part).unwrap_or(size_us);
    if shape == Shape::Session && size_us <= 0 {
        return refuse("the gap of SESSION must be positive".to_owned(), "Write SESSION(lobby, ts, INTERVAL '5 seconds').");
    }
    if function.name == "TUMBLE" && size_us <= 0 {
        return refuse("the size of TUMBLE must be positive".to_owned(), "Write TUMBLE(lobby, ts, INTERVAL '1 second').");
    }
    if size_us <= 0 || slide_us <= 0 || size_us % slide_us != 0 {
        let hint = match shape {
            Shape::Cumulate => "CUMULATE takes the step first: CUMULATE(lobby, ts, INTERVAL '1 minute', INTERVAL '1 day').",
            _ => "HOP takes the slide first: HOP(lobby, ts, INTERVAL '2 seconds', INTERVAL '10 seconds').",
        };
        return refuse(format!("the size of {} must be a positive multiple of its {part}", function.name), hint);
    }
    if size_us / slide_us > MOST_WINDOWS {
        let message = format!("a row would be in {} windows of {}", size_us / slide_us, function.name);
        return refuse(message, &format!("A row is in at most {MOST_WINDOWS}: take a longer {part} or a smaller size."));
    }
    Ok(Windows { shape, slide_us, size_us, offset_us: of("offset").unwrap_or(0) })
}

/// A column by name, which is all that a window's time and keys may be.
fn column(function: &Function, what: &str, expr: Expr) -> Result<Column> {
    match expr {
        Expr::Column(c) => Ok(c),
        other => {
            let hint = match what {
                "time" => "Name the event time column of the source, as in TUMBLE(lobby, ts, INTERVAL '1 second').",
                _ => "Give the expression a name in a subquery, and PARTITION BY that.",
            };
            Err(Error::refused(format!("the {what} of {} is a column, not {other}", function.name), hint).into())
        }
    }
}

/// The alias that keeps `lobby.ts` readable where the subquery is one made by `select_all`.
pub(super) fn single_table(query: &Query) -> Option<TableAlias> {
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
    partition: Vec<SqlExpr>,
    /// All that are intervals, by name.
    intervals: Vec<(&'static str, SqlExpr)>,
    fill: Option<SqlExpr>,
}

impl Arguments {
    /// By position, or by Flink's names. Errs for one that is missing, twice there, or not of this function.
    fn read(function: &Function, args: Vec<FunctionArg>) -> Result<Arguments> {
        let name = function.name;
        let mut known: Vec<&'static str> = function.arguments.to_vec();
        known.push(if name == "SESSION" { PARTITION } else { "fill" });
        let mut found: Vec<(&'static str, SqlExpr)> = Vec::new();
        for (at, arg) in args.into_iter().enumerate() {
            let (given, value) = match arg {
                FunctionArg::Named { name, arg, operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment }
                | FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                } => (name.value.to_lowercase(), arg),
                FunctionArg::Unnamed(arg) => match function.arguments.get(at) {
                    Some(name) => ((*name).to_owned(), arg),
                    None => return plan_err!("{name} takes at most {} arguments", function.arguments.len()),
                },
                other => return plan_err!("argument {other} of {name} is not understood"),
            };
            let FunctionArgExpr::Expr(value) = value else { return plan_err!("argument {value} of {name} is not understood") };
            match known.iter().find(|k| **k == given) {
                Some(known) if found.iter().all(|(f, _)| f != known) => found.push((known, value)),
                Some(_) => return plan_err!("argument \"{given}\" of {name} is given twice"),
                None => return plan_err!("{name} has no argument \"{given}\"; it has {}", known.join(", ")),
            }
        }
        let mut take = |name: &str| found.iter().position(|(n, _)| *n == name).map(|at| found.remove(at).1);
        let (data, time, partition, fill) = (take("data"), take("timecol"), take(PARTITION), take("fill"));
        let missing = function.arguments.iter().any(|a| !matches!(*a, "data" | "timecol" | "offset") && found.iter().all(|(f, _)| f != a));
        let (Some(data), Some(time), false) = (data, time, missing) else { return plan_err!("{name} is written {}", function.spelling) };
        let partition = match partition {
            None => Vec::new(),
            Some(SqlExpr::Tuple(keys)) => keys,
            Some(SqlExpr::Nested(key)) => vec![*key],
            Some(key) => vec![key],
        };
        Ok(Arguments { data, time: descriptor(time), partition, intervals: found, fill })
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
    let us = match &expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) if i.months == 0 => i64::from(i.days)
            .checked_mul(86_400_000_000)
            .and_then(|d| d.checked_add(i.nanoseconds / 1_000))
            .filter(|_| i.nanoseconds % 1_000 == 0),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _) => {
            Some(i64::from(i.days) * 86_400_000_000 + i64::from(i.milliseconds) * 1_000)
        }
        Expr::Negative(inner) => Some(-interval_us(function, name, (**inner).clone())?),
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
