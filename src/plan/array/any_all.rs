//! `x < ANY(array)` and `x LIKE ALL(array)`, by any operator that compares: true, false, or not known where a NULL could have decided.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, Scalar, new_null_array};
use datafusion::arrow::compute::kernels::{boolean, cmp, comparison};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The functions: each takes the value, the array and the operator as text.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    [("compare_any", true), ("compare_all", false)].map(|(name, any)| {
        Arc::new(ScalarUDF::new_from_impl(Quantified { name, any, signature: Signature::user_defined(Volatility::Immutable) }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantified {
    name: &'static str,
    any: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Quantified {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [of, array, _] = given else { return internal_err!("{} takes a value, an array and an operator", self.name) };
        let common = match array {
            // An array that is written as text is one of what stands beside it.
            DataType::Utf8 | DataType::Null if of.is_null() => DataType::Utf8,
            DataType::Utf8 | DataType::Null => of.clone(),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                match comparison_coercion(of, item.data_type()) {
                    Some(common) => common,
                    None => return plan_err!("operator does not exist: {of} with the elements of {array}"),
                }
            }
            _ => return plan_err!("op ANY/ALL (array) requires array on right side"),
        };
        Ok(vec![common.clone(), DataType::new_list(common, true), DataType::Utf8])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [of, array, ColumnarValue::Scalar(ScalarValue::Utf8(Some(op)))] = args.args.as_slice() else {
            return exec_err!("{} takes a value, an array and an operator", self.name);
        };
        let n_rows = args.number_rows;
        let values = of.to_array(n_rows)?;
        let found: ArrayRef = match array {
            ColumnarValue::Scalar(constant) => {
                let list = constant.to_array()?;
                if list.is_null(0) {
                    new_null_array(&DataType::Boolean, n_rows)
                } else {
                    Arc::new(self.all_rows(&values, &list.as_list::<i32>().value(0), op)?)
                }
            }
            ColumnarValue::Array(lists) => {
                let lists = lists.as_list::<i32>();
                let one = |row: usize| -> Result<Option<bool>> {
                    if lists.is_null(row) {
                        return Ok(None);
                    }
                    let elements = lists.value(row);
                    let value = values.slice(row, 1);
                    let answers = compare(&Scalar::new(value), &elements, op)?;
                    Ok(self.decided(answers.iter()))
                };
                Arc::new((0..n_rows).map(one).collect::<Result<BooleanArray>>()?)
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

impl Quantified {
    /// The answers by the elements of one array for all rows.
    fn all_rows(&self, values: &ArrayRef, elements: &ArrayRef, op: &str) -> Result<BooleanArray> {
        let mut found = BooleanArray::from(vec![!self.any; values.len()]);
        for at in 0..elements.len() {
            let answers = compare(values, &Scalar::new(elements.slice(at, 1)), op)?;
            found = if self.any { boolean::or_kleene(&found, &answers)? } else { boolean::and_kleene(&found, &answers)? };
        }
        Ok(found)
    }

    fn decided(&self, answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
        let mut unknown = false;
        for answer in answers {
            match answer {
                Some(answer) if answer == self.any => return Some(answer),
                Some(_) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(!self.any)
    }
}

fn compare(left: &dyn Datum, right: &dyn Datum, op: &str) -> Result<BooleanArray> {
    Ok(match op {
        "=" => cmp::eq(left, right)?,
        "<>" => cmp::neq(left, right)?,
        "<" => cmp::lt(left, right)?,
        "<=" => cmp::lt_eq(left, right)?,
        ">" => cmp::gt(left, right)?,
        ">=" => cmp::gt_eq(left, right)?,
        "LIKE" => comparison::like(left, right)?,
        "NOT LIKE" => comparison::nlike(left, right)?,
        "ILIKE" => comparison::ilike(left, right)?,
        "NOT ILIKE" => comparison::nilike(left, right)?,
        other => return plan_err!("operator {other} with ANY or ALL"),
    })
}
