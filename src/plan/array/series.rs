//! `generate_series` as in Postgres: of dates it gives timestamptz, its step may be written as text, and in FROM it names its column.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::functions_nested::range::gen_series_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor, visit_expressions,
};

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
        datafusion::common::plan_err!("generate_series takes whole numbers, or two times and an interval")
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
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
