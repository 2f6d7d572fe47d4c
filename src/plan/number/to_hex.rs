//! `to_hex(-1)` of an int4 has the eight digits of its bits, as in Postgres: DataFusion's has sixteen for all.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast;

use crate::plan::syntax::{self, call};

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(ToHex { signature: Signature::user_defined(Volatility::Immutable) }))]
}

/// The call of a constant, which is an int4 wherever it has room in one; None for other values.
pub(in crate::plan) fn of_constant(of: ast::Expr) -> Option<ast::Expr> {
    is_int4(&of).then(|| call("to_hex", [syntax::cast(of, ast::DataType::Integer(None))]))
}

/// Whether an expression is a whole number that is written, and an int4.
fn is_int4(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Nested(inner) | ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: inner } => is_int4(inner),
        ast::Expr::Value(value) => matches!(&value.value, ast::Value::Number(digits, _) if digits.parse::<i32>().is_ok()),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToHex {
    signature: Signature,
}

impl ScalarUDFImpl for ToHex {
    fn name(&self) -> &str {
        "to_hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Int8 | DataType::Int16 | DataType::Int32] => Ok(vec![DataType::Int32]),
            [of] if of.is_integer() || of.is_null() => Ok(vec![DataType::Int64]),
            _ => plan_err!("to_hex takes a whole number"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [of] = args.args.as_slice() else { return plan_err!("to_hex takes a whole number") };
        let short = of.data_type() == DataType::Int32;
        let values = cast(&of.to_array(args.number_rows)?, &DataType::Int64)?;
        let one = |value: i64| match i32::try_from(value) {
            Ok(value) if short => format!("{value:x}"),
            _ => format!("{value:x}"),
        };
        let found: StringArray = values.as_primitive::<Int64Type>().iter().map(|value| value.map(one)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
