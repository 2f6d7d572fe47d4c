//! Integer `+`, `-` and `*` that err when the result has no room (22003), as in Postgres; DataFusion's own wrap around in silence.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The functions, for plans that are read back: no query names them, so no session has them.
pub fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function))
}

static FUNCTIONS: LazyLock<[(Operator, Arc<ScalarUDF>); 3]> = LazyLock::new(|| {
    [(Operator::Plus, "checked_add"), (Operator::Minus, "checked_sub"), (Operator::Multiply, "checked_mul")].map(|(operator, name)| {
        let function = Checked { operator, name, signature: Signature::any(2, Volatility::Immutable) };
        (operator, Arc::new(ScalarUDF::new_from_impl(function)))
    })
});

/// The call in place of an operator on two integers of one type; None for another operator.
pub(super) fn call(left: &Expr, operator: Operator, right: &Expr) -> Option<Expr> {
    let (_, function) = FUNCTIONS.iter().find(|(o, _)| *o == operator)?;
    Some(function.call(vec![left.clone(), right.clone()]))
}

/// Whether a type is an integer whose sums may overflow.
pub(super) fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, _] => Ok(left.clone()),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            // In parentheses, as names tell expressions apart.
            [left, right] => Ok(format!("({left} {} {right})", self.operator)),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("({} {} {})", left.schema_name(), self.operator, right.schema_name())),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("{} takes two arguments", self.name) };
        let run = |left: &dyn Datum, right: &dyn Datum| -> Result<ArrayRef, ArrowError> {
            match self.operator {
                Operator::Minus => numeric::sub(left, right),
                Operator::Multiply => numeric::mul(left, right),
                _ => numeric::add(left, right),
            }
        };
        Ok(match (left, right) {
            (ColumnarValue::Array(l), ColumnarValue::Array(r)) => ColumnarValue::Array(run(l, r)?),
            (ColumnarValue::Array(l), ColumnarValue::Scalar(r)) => ColumnarValue::Array(run(l, &r.to_scalar()?)?),
            (ColumnarValue::Scalar(l), ColumnarValue::Array(r)) => ColumnarValue::Array(run(&l.to_scalar()?, r)?),
            (ColumnarValue::Scalar(l), ColumnarValue::Scalar(r)) => {
                let value = run(&l.to_scalar()?, &r.to_scalar()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?)
            }
        })
    }
}
