//! NULL among the elements of arrays as in Postgres: it is in no array that another contains, but array_remove() takes it away; and array_dims() as a
//! text.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, ListArray, StringArray, UInt64Array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{is_null, take};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_nested::array_has::{array_has_all_udf, array_has_any_udf};
use datafusion::functions_nested::remove::array_remove_all_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::literals::may_hold_null;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// `a @> b`.
    All,
    /// `a && b`.
    Any,
    /// `array_remove(a, x)`.
    Remove,
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 3]> = LazyLock::new(|| {
    let all = [
        ("contains_all", What::All, array_has_all_udf()),
        ("contains_any", What::Any, array_has_any_udf()),
        // In place of DataFusion's.
        ("array_remove_all", What::Remove, array_remove_all_udf()),
    ];
    all.map(|(name, what, inner)| Arc::new(ScalarUDF::new_from_impl(WithNulls { name, what, inner })))
});

/// The functions, those that operators become among them.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    let dimensions = ScalarUDF::new_from_impl(Dimensions { signature: Signature::arrays(1, None, Volatility::Immutable) });
    FUNCTIONS.clone().into_iter().chain([Arc::new(dimensions)])
}

/// The call in place of `a @> b` and `a && b`; None for other calls, and where no element of b is NULL.
pub(in crate::plan) fn contains(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [all, any, _] = &*FUNCTIONS;
    let function = match call.func.name() {
        "array_has_all" => all,
        "array_has_any" => any,
        _ => return None,
    };
    let [_, among] = call.args.as_slice() else { return None };
    may_hold_null(among, schema).then(|| function.call(call.args.clone()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithNulls {
    name: &'static str,
    what: What,
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for WithNulls {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let arrays = args.args.iter().map(|value| value.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let [first, second] = arrays.as_slice() else { return internal_err!("{} takes two arguments", self.name) };
        match (self.what, first.as_list_opt::<i32>(), second.as_list_opt::<i32>()) {
            (What::All, Some(_), Some(among)) => {
                let found = self.inner.invoke_with_args(args)?.to_array(n_rows)?;
                let holds_null = |row: usize| among.is_valid(row) && among.value(row).null_count() > 0;
                let answers = found.as_boolean().iter().enumerate().map(|(row, found)| found.map(|found| found && !holds_null(row)));
                Ok(ColumnarValue::Array(Arc::new(answers.collect::<BooleanArray>())))
            }
            (What::Any, Some(_), Some(among)) => {
                args.args = vec![ColumnarValue::Array(Arc::clone(first)), ColumnarValue::Array(Arc::new(without_nulls(among)?))];
                self.inner.invoke_with_args(args)
            }
            (What::Remove, Some(lists), _) if second.is_nullable() => {
                let without: ArrayRef = Arc::new(without_nulls(lists)?);
                if second.data_type().is_null() {
                    return Ok(ColumnarValue::Array(without));
                }
                let unknown = is_null(second)?;
                let found = self.inner.invoke_with_args(args)?.to_array(n_rows)?;
                Ok(ColumnarValue::Array(zip(&unknown, &without as &dyn Datum, &found as &dyn Datum)?))
            }
            _ => self.inner.invoke_with_args(args),
        }
    }
}

/// The lists with those elements only that are not NULL.
fn without_nulls(lists: &ListArray) -> Result<ListArray> {
    let DataType::List(item) = lists.data_type() else { return internal_err!("a list is a list") };
    let values = lists.values();
    let (mut kept, mut lengths) = (Vec::new(), Vec::with_capacity(lists.len()));
    for bounds in lists.value_offsets().windows(2) {
        let before = kept.len();
        if let [from, to] = bounds {
            let places = (*from..*to).filter_map(|at| u64::try_from(at).ok());
            kept.extend(places.filter(|at| usize::try_from(*at).is_ok_and(|at| values.is_valid(at))));
        }
        lengths.push(kept.len() - before);
    }
    let values = take(values, &UInt64Array::from(kept), None)?;
    Ok(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), values, lists.nulls().cloned())?)
}

/// `[1:3]`, and `[1:2][1:3]` of lists in a list.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Dimensions {
    signature: Signature,
}

impl ScalarUDFImpl for Dimensions {
    fn name(&self) -> &str {
        "array_dims"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [of] = args.args.as_slice() else { return plan_err!("array_dims takes an array") };
        let lists = of.to_array(args.number_rows)?;
        let found: StringArray = (0..args.number_rows).map(|row| dimensions(&lists, row)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// None of NULL, and of an array without elements.
fn dimensions(lists: &ArrayRef, row: usize) -> Option<String> {
    if lists.is_null(row) {
        return None;
    }
    let elements = match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value(row),
        DataType::LargeList(_) => lists.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => lists.as_fixed_size_list().value(row),
        _ => return None,
    };
    match elements.len() {
        0 => None,
        n => Some(format!("[1:{n}]{}", dimensions(&elements, 0).unwrap_or_default())),
    }
}
