//! Slices of arrays as in Postgres, `a[2:3]`, `a[:2]`, `a[2:]`: what is beyond an end is left out, and what is left may be nothing.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Subscript};

use crate::error::{Error, Result as Answer};
use crate::plan::syntax::{call, number};

const NAME: &str = "array_range";

static RANGE: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Range { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function that a slice becomes.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&RANGE)]
}

/// The call in place of a slice; None for other expressions. Errs (0A000) for a slice beside another subscript.
pub(in crate::plan) fn rewritten(expr: &Expr) -> Answer<Option<Expr>> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return Ok(None) };
    let Some((AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }), before)) = access_chain.split_last() else {
        let sliced = |access: &AccessExpr| matches!(access, AccessExpr::Subscript(Subscript::Slice { .. }));
        return if access_chain.iter().any(sliced) { Err(refusal()) } else { Ok(None) };
    };
    let plain = before.iter().all(|access| matches!(access, AccessExpr::Dot(_)));
    if !plain || stride.is_some() {
        return Err(refusal());
    }
    let of = match before {
        [] => root.as_ref().clone(),
        _ => compound(root, before),
    };
    let lower = lower_bound.clone().unwrap_or_else(|| number("1"));
    // More than an array can have.
    let upper = upper_bound.clone().unwrap_or_else(|| number(&i64::MAX.to_string()));
    Ok(Some(call(NAME, [of, lower, upper])))
}

/// `t.a` before a slice is a column.
fn compound(root: &Expr, before: &[AccessExpr]) -> Expr {
    let mut parts = match root {
        Expr::Identifier(name) => Some(vec![name.clone()]),
        Expr::CompoundIdentifier(names) => Some(names.clone()),
        _ => None,
    };
    for access in before {
        match (access, parts.as_mut()) {
            (AccessExpr::Dot(Expr::Identifier(name)), Some(parts)) => parts.push(name.clone()),
            _ => parts = None,
        }
    }
    match parts {
        Some(parts) => Expr::CompoundIdentifier(parts),
        None => Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain: before.to_vec() },
    }
}

fn refusal() -> Error {
    Error::unsupported("a slice of an array beside another subscript", "Write one in parentheses before the other, as in (a[2:3])[1].")
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Range {
    signature: Signature,
}

impl ScalarUDFImpl for Range {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let whole = |of: &DataType| of.is_integer() || of.is_null();
        match given {
            [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _), lower, upper]
                if whole(lower) && whole(upper) =>
            {
                Ok(vec![DataType::List(Arc::clone(item)), DataType::Int64, DataType::Int64])
            }
            [DataType::Null, ..] => Ok(vec![DataType::new_list(DataType::Null, true), DataType::Int64, DataType::Int64]),
            [DataType::Utf8, ..] => plan_err!("only an array has slices"),
            _ => plan_err!("a slice is of an array, from one whole number to another"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [list, ..] => Ok(list.clone()),
            [] => internal_err!("{NAME} takes an array"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [list, ..] => Ok(Arc::new(Field::new(NAME, list.data_type().clone(), true).with_metadata(list.metadata().clone()))),
            [] => internal_err!("{NAME} takes an array"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [lists, lower, upper] = arrays.as_slice() else { return internal_err!("{NAME} takes an array and two numbers") };
        let (lists, lower, upper) = (lists.as_list::<i32>(), lower.as_primitive::<Int64Type>(), upper.as_primitive::<Int64Type>());
        let DataType::List(item) = lists.data_type() else { return internal_err!("{NAME} takes an array") };
        let (mut kept, mut lengths, mut known) = (Vec::new(), Vec::with_capacity(lists.len()), Vec::with_capacity(lists.len()));
        for row in 0..lists.len() {
            let valid = lists.is_valid(row) && lower.is_valid(row) && upper.is_valid(row);
            known.push(valid);
            let length = lists.value_length(row);
            let (from, to) = if valid { (lower.value(row).max(1), upper.value(row).min(i64::from(length))) } else { (1, 0) };
            let start = lists.value_offsets().get(row).copied().unwrap_or(0);
            let range = from..=to;
            lengths.push(if range.is_empty() { 0 } else { usize::try_from(to - from + 1).unwrap_or(0) });
            kept.extend(range.filter_map(|at| u64::try_from(i64::from(start) + at - 1).ok()));
        }
        let values: ArrayRef = take(lists.values(), &UInt64Array::from(kept), None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, Some(NullBuffer::from(known)))?)))
    }
}
