//! What a query means by the clocks of its session: where they are not those of UTC, casts and functions of moments are told the zone.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::datetime;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, cast, lit};
use datafusion::optimizer::AnalyzerRule;
use framesql_udfs::frame::is_frame;
use parking_lot::Mutex;

use super::{calendar_part, moment as moments, time_zone, zoned};
use crate::frame::batch::ts_type;
use crate::settings::{TimeZone, Variables};

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The rule; it runs when types are coerced, so that every cast is written, and before those casts are made into functions. What it has rewritten it
/// leaves as it is.
#[derive(Debug)]
pub(in crate::plan) struct SessionZone(pub(in crate::plan) Arc<Mutex<Variables>>);

impl AnalyzerRule for SessionZone {
    fn name(&self) -> &str {
        "session_zone"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = self.0.lock().time_zone();
        tell(plan, zone, config)
    }
}

/// The plan, whose types are coerced, as it is meant by the clocks of a zone.
pub(in crate::plan) fn tell(plan: LogicalPlan, zone: TimeZone, config: &ConfigOptions) -> Result<LogicalPlan> {
    if zone.utc() {
        return Ok(plan);
    }
    let [timezone] = time_zone::functions();
    let clocks = Clocks { zone, timezone, now: datetime::now(config) };
    Ok(plan.transform_up_with_subqueries(|plan| clocks.node(plan))?.data)
}

/// The clocks of a zone that is not UTC.
struct Clocks {
    zone: TimeZone,
    timezone: Arc<ScalarUDF>,
    now: Arc<ScalarUDF>,
}

impl Clocks {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&scan.projected_schema);
        }
        // A node of ours is made anew only if it must.
        if matches!(plan, LogicalPlan::Extension(_)) {
            let mut changes = false;
            for expr in plan.expressions() {
                changes |= expr.transform_up(|e| self.expression(e, &schema))?.transformed;
            }
            if !changes {
                return Ok(Transformed::no(plan));
            }
        }
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|e| {
            let name = names.save(&e);
            Ok(e.transform_up(|e| self.expression(e, &schema))?.update_data(|e| name.restore(e)))
        })?;
        // Types stay; whether there may be NULL does not.
        if !rewritten.transformed || matches!(rewritten.data, LogicalPlan::Values(_)) {
            return Ok(rewritten);
        }
        rewritten.map_data(LogicalPlan::recompute_schema)
    }

    /// An expression whose parts are rewritten already.
    fn expression(&self, e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let told = match &e {
            Expr::Cast(of) => self.cast(of, schema),
            Expr::BinaryExpr(of) => self.sum(of, schema),
            Expr::ScalarFunction(call) => self.call(call, schema),
            _ => None,
        };
        let Some(told) = told else { return Ok(Transformed::no(e)) };
        // Operators were coerced to the types that stood there.
        let (is, was) = (told.get_type(schema)?, e.get_type(schema)?);
        Ok(Transformed::yes(if is == was { told } else { cast(told, was) }))
    }

    fn cast(&self, of: &Cast, schema: &DFSchema) -> Option<Expr> {
        let (from, to) = (of.expr.get_type(schema).ok()?, of.field.data_type());
        let inner = || of.expr.as_ref().clone();
        let outer = |inner: Expr| Some(Expr::Cast(Cast { expr: Box::new(inner), field: Arc::clone(&of.field) }));
        match (&from, to) {
            // `today` is a day of the clocks.
            (from, DataType::Timestamp(_, None) | DataType::Date32) if is_of_texts(from) && names_day(&of.expr) => {
                let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some(self.zone.arrow_name().into()));
                outer(self.local(cast(inner(), zoned)))
            }
            // The zone stands in the type that texts are read as, and values are written of.
            (from, to) if is_of_texts(from) => outer(cast(inner(), self.told(to)?)),
            (from, to) if is_of_texts(to) => outer(cast(inner(), self.told(from)?)),
            (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => {
                outer(self.timezone(cast(inner(), LOCAL)))
            }
            (
                DataType::Timestamp(_, Some(_)),
                DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_),
            ) => outer(self.local(inner())),
            _ => None,
        }
    }

    /// Days and months are those of the clocks.
    fn sum(&self, of: &BinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let type_of = |e: &Expr| e.get_type(schema).ok();
        let is_moment = |e: &Expr| matches!(type_of(e), Some(DataType::Timestamp(_, Some(_))));
        let is_span = |e: &Expr| matches!(type_of(e), Some(DataType::Interval(_)));
        let (at, span) = match of.op {
            Operator::Plus | Operator::Minus if is_moment(&of.left) && is_span(&of.right) => (&of.left, &of.right),
            Operator::Plus if is_span(&of.left) && is_moment(&of.right) => (&of.right, &of.left),
            _ => return None,
        };
        if let Expr::Literal(span, _) = span.as_ref()
            && let Ok(ScalarValue::IntervalMonthDayNano(Some(span))) = span.cast_to(&SPAN)
            && span.months == 0
            && span.days == 0
        {
            return None;
        }
        let [_, add, subtract, ..] = zoned::functions();
        let function = if of.op == Operator::Minus { subtract } else { add };
        let span = if type_of(span)? == SPAN { span.as_ref().clone() } else { cast(span.as_ref().clone(), SPAN) };
        Some(function.call(vec![moment(at.as_ref().clone()), span, self.name()]))
    }

    fn call(&self, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
        let type_of = |e: &Expr| e.get_type(schema).ok();
        let is_moment = |e: &Expr| matches!(type_of(e), Some(DataType::Timestamp(_, Some(_))));
        let again = |args: Vec<Expr>| Some(Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&call.func), args }));
        let [truncate, _, _, series, ..] = zoned::functions();
        match (call.func.name(), call.args.as_slice()) {
            ("date_trunc", [unit, at]) if is_moment(at) => {
                Some(truncate.call(vec![cast(unit.clone(), DataType::Utf8), moment(at.clone()), self.name()]))
            }
            // What has passed since 1970 is the same everywhere.
            ("date_part" | calendar_part::NAME, [unit, at]) if is_moment(at) && !says(unit, "epoch") => {
                again(vec![unit.clone(), self.local(at.clone())])
            }
            // The origin of a moment's bins is a moment.
            ("date_bin", [by, at, origin]) if is_moment(at) && matches!(type_of(origin)?, DataType::Timestamp(_, None)) => {
                let origin = self.timezone(cast(origin.clone(), LOCAL));
                again(vec![by.clone(), at.clone(), cast(origin, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())))])
            }
            ("age", [later, earlier]) if is_moment(later) || is_moment(earlier) => {
                let shown = |at: &Expr| if is_moment(at) { self.local(at.clone()) } else { at.clone() };
                again(vec![shown(later), shown(earlier)])
            }
            ("current_date", []) => Some(cast(self.local(self.now.call(Vec::new())), DataType::Date32)),
            ("current_time", []) => Some(cast(self.local(self.now.call(Vec::new())), DataType::Time64(TimeUnit::Nanosecond))),
            ("generate_series", [from, to, step]) if is_moment(from) && is_moment(to) => {
                let step = if type_of(step)? == SPAN { step.clone() } else { cast(step.clone(), SPAN) };
                Some(series.call(vec![moment(from.clone()), moment(to.clone()), step, self.name()]))
            }
            ("date_add" | "date_subtract", [_, _]) | ("timezone_abbreviation" | zoned::OFFSET, [_]) => {
                again(call.args.iter().cloned().chain([self.name()]).collect())
            }
            // What a text says without a zone is read as if it were of UTC.
            ("to_timestamp", [text, format]) if is_text(&type_of(text)?) && !says_zone(format) => {
                let read = moment(Expr::ScalarFunction(call.clone()));
                Some(self.timezone(self.timezone_of(lit("UTC"), read)))
            }
            // What writes values is told by their types.
            (
                "to_char" | "format" | "to_json" | "to_jsonb" | "json_build_object" | "jsonb_build_object" | "json_element"
                | "json_build_array" | "jsonb_build_array" | "json_list" | "jsonb_list" | "json_members" | "jsonb_members"
                | "array_to_string" | "quote_literal" | "quote_nullable",
                args,
            ) => {
                // These write a time in a form of their own.
                let texts = matches!(call.func.name(), "array_to_string" | "quote_literal" | "quote_nullable");
                let mut changes = false;
                let told = args.iter().map(|arg| match type_of(arg).and_then(|of| self.told(&of)) {
                    Some(told) => {
                        changes = true;
                        let text = of_texts(&told).filter(|_| texts);
                        let arg = cast(arg.clone(), told);
                        if let Some(text) = text { cast(arg, text) } else { arg }
                    }
                    None => arg.clone(),
                });
                let told: Vec<Expr> = told.collect();
                if changes { again(told) } else { None }
            }
            _ => None,
        }
    }

    /// The type with its moments in the zone; None if it has none.
    fn told(&self, data_type: &DataType) -> Option<DataType> {
        let field = |of: &FieldRef| -> Option<FieldRef> {
            let told = self.told(of.data_type())?;
            Some(Arc::new(Field::new(of.name(), told, of.is_nullable()).with_metadata(of.metadata().clone())))
        };
        match data_type {
            frames if is_frame(frames) => None,
            DataType::Timestamp(unit, Some(zone)) if zone.as_ref() == "UTC" => {
                Some(DataType::Timestamp(*unit, Some(self.zone.arrow_name().into())))
            }
            DataType::List(of) => field(of).map(DataType::List),
            DataType::LargeList(of) => field(of).map(DataType::LargeList),
            DataType::FixedSizeList(of, n) => field(of).map(|of| DataType::FixedSizeList(of, *n)),
            DataType::Struct(fields) if fields.iter().any(|of| field(of).is_some()) => {
                Some(DataType::Struct(fields.iter().map(|of| field(of).unwrap_or_else(|| Arc::clone(of))).collect()))
            }
            _ => None,
        }
    }

    /// What the clocks show at a moment.
    fn local(&self, at: Expr) -> Expr {
        self.timezone(moment(at))
    }

    fn timezone(&self, of: Expr) -> Expr {
        self.timezone_of(self.name(), of)
    }

    fn timezone_of(&self, zone: Expr, of: Expr) -> Expr {
        self.timezone.call(vec![zone, of])
    }

    fn name(&self) -> Expr {
        lit(self.zone.to_string())
    }
}

fn moment(at: Expr) -> Expr {
    cast(at, ts_type())
}

/// Whether a type is that of texts, or of arrays of them.
fn is_of_texts(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(of) => is_of_texts(of.data_type()),
        other => is_text(other),
    }
}

/// The type of the texts of moments, or of arrays of them.
fn of_texts(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(..) => Some(DataType::Utf8),
        DataType::List(of) => Some(DataType::new_list(of_texts(of.data_type())?, true)),
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn says(text: &Expr, word: &str) -> bool {
    matches!(text, Expr::Literal(text, _) if text.try_as_str().flatten().is_some_and(|text| text.eq_ignore_ascii_case(word)))
}

/// Whether a constant is the name of a day that passes.
fn names_day(text: &Expr) -> bool {
    matches!(text, Expr::Literal(text, _) if text.try_as_str().flatten().is_some_and(moments::passes))
}

/// Whether texts of a format have a zone of their own.
fn says_zone(format: &Expr) -> bool {
    let Expr::Literal(format, _) = format else { return false };
    let format = format.try_as_str().flatten().unwrap_or_default();
    ["%z", "%:z", "%#z", "%Z", "%+", "%s"].iter().any(|word| format.contains(word))
}
