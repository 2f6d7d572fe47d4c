//! `generate_series` as in Postgres: of dates it gives timestamptz, its step may be written as text, and in FROM it names its column.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Builder, ListBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::functions_nested::range::gen_series_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor, Value, visit_expressions,
};

use crate::error::Error;
use crate::frame::batch::ts_type;
use crate::plan::syntax::call;

/// The function of rows that may stand in a SELECT list, and names its own column in FROM.
const SERIES: &str = "generate_series";

/// The function, in place of DataFusion's of the same name.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Series { inner: gen_series_udf(), signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let time = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(..));
        let zoned = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(_, Some(_)));
        if let [begin, end, _] = given
            && (time(begin) || time(end))
        {
            let of = if zoned(begin) || zoned(end) { ts_type() } else { DataType::Timestamp(TimeUnit::Microsecond, None) };
            return Ok(vec![of.clone(), of, DataType::Interval(IntervalUnit::MonthDayNano)]);
        }
        if given.iter().all(|of| of.is_integer() || of.is_null()) {
            return Ok(vec![DataType::Int64; given.len()]);
        }
        if matches!(given.len(), 2 | 3) && given.iter().all(|of| of.is_numeric() || of.is_null()) {
            return Ok(vec![DataType::Float64; given.len()]);
        }
        datafusion::common::plan_err!("generate_series takes numbers, or two times and an interval")
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::Float64) => Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))),
            _ => self.inner.return_type(types),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.first().is_none_or(|first| first.data_type() != DataType::Float64) {
            return self.inner.invoke_with_args(args);
        }
        let numbers = ColumnarValue::values_to_arrays(&args.args)?;
        let at = |argument: usize, row: usize| {
            let numbers = numbers.get(argument).and_then(|numbers| numbers.as_primitive_opt::<Float64Type>())?;
            // Of constants there is one value.
            let row = if numbers.len() == 1 { 0 } else { row };
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        let mut lists = ListBuilder::new(Float64Builder::new());
        for row in 0..numbers.iter().map(|numbers| numbers.len()).max().unwrap_or_default() {
            let step = if numbers.len() == 3 { at(2, row) } else { Some(1.0) };
            let (Some(begin), Some(end), Some(step)) = (at(0, row), at(1, row), step) else {
                lists.append_null();
                continue;
            };
            fractions(begin, end, step, lists.values())?;
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }
}

/// The most numbers of a series with a fraction: they are all made at once.
const MOST_FRACTIONS: f64 = 1e7;

/// From a number to another, in steps.
fn fractions(begin: f64, end: f64, step: f64, out: &mut Float64Builder) -> Result<()> {
    if step == 0.0 {
        return Err(Error::Data { code: "22023", message: "step size cannot equal zero".into(), detail: None }.into());
    }
    // What is written in tens, and not in twos, is a little off: half a millionth of a step more is no step.
    let n_steps = ((end - begin) / step + 5e-7).floor();
    if !n_steps.is_finite() || n_steps > MOST_FRACTIONS {
        return Err(Error::Data { code: "54000", message: "a series of that many numbers is not supported".into(), detail: None }.into());
    }
    // Each is worked out from the first, so that what is off does not add up; fifteen digits of the largest are those that were meant.
    let largest = begin.abs().max(end.abs()).max(step.abs());
    let places = (14.0 - largest.log10().floor()).clamp(0.0, 300.0) as usize;
    let mut number = 0.0;
    while number <= n_steps {
        let value = begin + number * step;
        // No zero has a sign.
        out.append_value(format!("{value:.places$}").parse().unwrap_or(value) + 0.0);
        number += 1.0;
    }
    Ok(())
}

/// Whether a series in FROM is of numbers with a fraction, of which DataFusion's own relation knows nothing.
fn fractional(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(text, _) if text.parse::<i64>().is_err()),
        Expr::UnaryOp { expr: of, .. } | Expr::Nested(of) => fractional(of),
        Expr::Cast { data_type, .. } => {
            use ast::DataType::{Decimal, DoublePrecision, Float8, Numeric, Real};
            matches!(data_type, Numeric(_) | Decimal(_) | Float8 | DoublePrecision | Real)
        }
        _ => false,
    }
}

/// `FROM generate_series(1.0, 2.0, 0.5)` is UNNEST of what it gives.
pub(in crate::plan) fn unnest_fractions(relation: &mut TableFactor) {
    let TableFactor::Table { name, args: Some(arguments), with_ordinality: false, .. } = &relation else { return };
    let fraction = |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if fractional(expr));
    if is_series(name) && arguments.args.iter().any(fraction) {
        unnest(relation);
        if let TableFactor::UNNEST { with_ordinality, alias: Some(alias), .. } = relation {
            *with_ordinality = false;
            if alias.columns.is_empty() {
                alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
            }
        }
    }
}

pub(in crate::plan) fn is_series(name: &ObjectName) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| name.value.eq_ignore_ascii_case(SERIES))
}

/// `FROM generate_series(1, 3) g` has the column g, and without an alias the function's name.
pub(in crate::plan) fn name(relation: &mut TableFactor) {
    let TableFactor::Table { name, alias, args: Some(_), .. } = relation else { return };
    if !is_series(name) {
        return;
    }
    let alias = alias.get_or_insert_with(|| TableAlias { explicit: true, name: Ident::new(SERIES), columns: Vec::new(), at: None });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// `generate_series(1, t.n)` reads what stands beside it, perhaps behind LATERAL: it is UNNEST of what it gives.
pub(in crate::plan) fn beside(relation: &mut TableFactor) {
    let (called, arguments) = match &*relation {
        TableFactor::Table { name, args: Some(arguments), with_ordinality: false, .. } => (name, &arguments.args),
        TableFactor::Function { lateral: true, name, args, with_ordinality: false, .. } => (name, args),
        _ => return,
    };
    let column = |e: &Expr| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    if !is_series(called) || visit_expressions(arguments, column).is_continue() {
        return;
    }
    unnest(relation);
    if let TableFactor::UNNEST { alias, with_ordinality, .. } = relation {
        *with_ordinality = false;
        if let Some(alias) = alias.as_mut().filter(|alias| alias.columns.is_empty()) {
            alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
        }
    }
}

/// `generate_series(1, 3) WITH ORDINALITY` is UNNEST of what it gives.
pub(in crate::plan) fn unnest(relation: &mut TableFactor) {
    let (name, alias, arguments) = match relation {
        TableFactor::Table { name, alias, args: Some(arguments), .. } => (name, alias, &arguments.args),
        TableFactor::Function { name, alias, args, .. } => (name, alias, &*args),
        _ => return,
    };
    let each = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let Some(arguments) = arguments.iter().map(each).collect::<Option<Vec<_>>>() else { return };
    let series = TableAlias { explicit: true, name: Ident::new(SERIES), columns: Vec::new(), at: None };
    let alias = Some(alias.take().unwrap_or(series));
    let array_exprs = vec![call(&name.to_string(), arguments)];
    *relation = TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality: true };
}
