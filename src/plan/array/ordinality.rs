//! WITH ORDINALITY: the elements of a list with their numbers, as a list of structs, so that UNNEST gives both.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StructArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{nullif, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use framesql_udfs::frame::is_frame;

/// The name of the column of the numbers.
pub(in crate::plan) const ORDINALITY: &str = "ordinality";

static NUMBERED: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Numbered { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&NUMBERED)]
}

/// The list with numbers: of structs their fields and the number, of other elements the element, by that name, and the number.
pub(in crate::plan) fn numbered(list: Expr) -> Expr {
    NUMBERED.call(vec![list])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Numbered {
    signature: Signature,
}

/// The fields of an element with its number.
fn fields(item: &Field) -> Fields {
    let number = Arc::new(Field::new(ORDINALITY, DataType::Int64, true));
    match item.data_type() {
        DataType::Struct(parts) if !is_frame(item.data_type()) => parts.iter().cloned().chain([number]).collect(),
        of => [Arc::new(Field::new("element", of.clone(), true).with_metadata(item.metadata().clone())), number].into_iter().collect(),
    }
}

fn item_of(list: &DataType) -> Result<&FieldRef> {
    match list {
        DataType::List(item) => Ok(item),
        other => plan_err!("WITH ORDINALITY is of a list, not of {other}"),
    }
}

impl ScalarUDFImpl for Numbered {
    fn name(&self) -> &str {
        "with_ordinality"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)] => {
                Ok(vec![DataType::List(Arc::clone(item))])
            }
            [DataType::Null] => Ok(vec![DataType::new_list(DataType::Null, true)]),
            _ => plan_err!("WITH ORDINALITY is of one list"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [list] => Ok(DataType::new_list(DataType::Struct(fields(item_of(list)?)), true)),
            _ => internal_err!("WITH ORDINALITY is of one list"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [lists] = arrays.as_slice() else { return internal_err!("WITH ORDINALITY is of one list") };
        let item = item_of(lists.data_type())?;
        let lists = lists.as_list::<i32>();
        // What stands between the lists is left out.
        let begins = lists.value_offsets().iter().copied();
        let lengths: Vec<usize> = (0..lists.len())
            .map(|row| if lists.is_valid(row) { usize::try_from(lists.value_length(row)).unwrap_or(0) } else { 0 })
            .collect();
        let places = begins.zip(&lengths).flat_map(|(begin, n)| (0..*n).map(move |at| i64::from(begin) + at as i64));
        let values: ArrayRef = take(lists.values(), &Int64Array::from_iter_values(places), None)?;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(lengths.iter().flat_map(|n| (1..=*n).map(|number| number as i64))));
        let fields = fields(item);
        let (columns, nulls) = match values.as_struct_opt() {
            Some(parts) if !is_frame(values.data_type()) => {
                (parts.columns().iter().cloned().chain([numbers]).collect(), parts.nulls().cloned())
            }
            _ => (vec![values, numbers], None),
        };
        // An element that is NULL has a number: its fields are NULL.
        let columns = match nulls {
            Some(nulls) => masked(columns, &nulls)?,
            None => columns,
        };
        let structs = StructArray::try_new(fields, columns, None)?;
        let item = Arc::new(Field::new_list_field(structs.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), lists.nulls().cloned())?)))
    }
}

/// The columns but the last with NULL where the struct is.
fn masked(columns: Vec<ArrayRef>, nulls: &NullBuffer) -> Result<Vec<ArrayRef>> {
    let n = columns.len().saturating_sub(1);
    let empty = BooleanArray::new(!nulls.inner(), None);
    let mask = |(at, column): (usize, ArrayRef)| {
        if at == n { Ok(column) } else { Ok(nullif(&column, &empty)?) }
    };
    columns.into_iter().enumerate().map(mask).collect()
}
