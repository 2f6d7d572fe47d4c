//! `<`, `<=`, `>` and `>=` of arrays as in Postgres, where an element that is NULL is greater than others; Arrow puts it before them.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, BooleanArray, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

static FUNCTIONS: LazyLock<[(Operator, Arc<ScalarUDF>); 4]> = LazyLock::new(|| {
    let all = [(Operator::Lt, "array_lt"), (Operator::LtEq, "array_le"), (Operator::Gt, "array_gt"), (Operator::GtEq, "array_ge")];
    all.map(|(operator, name)| {
        let function = Compared { operator, name, signature: Signature::any(2, Volatility::Immutable) };
        (operator, Arc::new(ScalarUDF::new_from_impl(function)))
    })
});

/// The functions that the operators become.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function))
}

/// The call in place of an operator on two arrays of one type; None for other operators.
pub(in crate::plan) fn compared(left: &Expr, operator: Operator, right: &Expr) -> Option<Expr> {
    let (_, function) = FUNCTIONS.iter().find(|(known, _)| *known == operator)?;
    Some(function.call(vec![left.clone(), right.clone()]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Compared {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Compared {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name())),
            _ => internal_err!("{} takes two arrays", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("{} takes two arrays", self.name) };
        let (left, right) = (left.to_array(args.number_rows)?, right.to_array(args.number_rows)?);
        let order = make_comparator(&left, &right, SortOptions::new(false, false))?;
        let holds = |order: Ordering| match self.operator {
            Operator::Lt => order.is_lt(),
            Operator::LtEq => order.is_le(),
            Operator::Gt => order.is_gt(),
            _ => order.is_ge(),
        };
        let one = |row: usize| (left.is_valid(row) && right.is_valid(row)).then(|| holds(order(row, row)));
        Ok(ColumnarValue::Array(Arc::new((0..args.number_rows).map(one).collect::<BooleanArray>())))
    }
}
