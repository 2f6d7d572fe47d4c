//! Types with modifiers: how many characters a varchar may have, how many digits a numeric, as pg_attribute keeps them and format_type shows them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;
use pgwire::api::Type;

use super::functions::format_type;
use super::schema::Listed;
use crate::wire::value::columns;

/// No modifier.
const NONE: i32 = -1;
/// What Postgres adds to a modifier: the length of a header that values once had.
const HEADER: i32 = 4;

/// The type of a column as it was declared, and its modifier; None if there is no such column.
pub(in crate::wire) fn of(one: &Listed, at: usize) -> Option<(Type, i32)> {
    let field = one.schema.fields().get(at)?;
    let Some(declared) = one.declared.get(at) else { return Some((columns::of_field(field), NONE)) };
    Some(of_declared(field, &declared.sql_type, declared.max_chars))
}

fn of_declared(field: &Field, sql_type: &str, max_chars: Option<usize>) -> (Type, i32) {
    let data_type = columns::of_field(field);
    let word = sql_type.to_uppercase();
    let chars = max_chars.and_then(|n| i32::try_from(n).ok()?.checked_add(HEADER)).unwrap_or(NONE);
    match field.data_type() {
        DataType::Utf8 if data_type == Type::TEXT => {
            if word.starts_with("VARCHAR") || word.contains("VARYING") {
                (Type::VARCHAR, chars)
            } else if word.starts_with("CHAR") || word.starts_with("BPCHAR") {
                (Type::BPCHAR, chars)
            } else {
                (data_type, NONE)
            }
        }
        // A numeric of which nothing is said is shown as one, however many digits it keeps.
        DataType::Decimal128(precision, scale) if word.contains('(') => {
            (data_type, ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + HEADER)
        }
        _ => (data_type, NONE),
    }
}

/// The characters that a modifier of a text allows.
pub(in crate::wire) fn max_chars(data_type: &Type, modifier: i32) -> Option<i32> {
    (matches!(*data_type, Type::VARCHAR | Type::BPCHAR) && modifier > HEADER).then(|| modifier - HEADER)
}

/// The digits that a modifier of a numeric allows, and how many of them are behind the point.
pub(in crate::wire) fn digits(data_type: &Type, modifier: i32) -> Option<(i32, i32)> {
    let digits = modifier.checked_sub(HEADER).filter(|digits| *data_type == Type::NUMERIC && *digits >= 0)?;
    Some((digits >> 16, digits & 0x7ff))
}

/// A type's name in SQL with its modifier.
fn shown(oid: i32, modifier: i32) -> String {
    let name = format_type(oid);
    let Some(data_type) = Type::from_oid(oid as u32) else { return name };
    let element = columns::element_of(&data_type).filter(|_| data_type.name().starts_with('_'));
    if let Some(element) = element {
        return format!("{}[]", shown(element.oid() as i32, modifier));
    }
    match (max_chars(&data_type, modifier), digits(&data_type, modifier)) {
        (Some(n), _) => format!("{name}({n})"),
        (_, Some((precision, scale))) => format!("{name}({precision},{scale})"),
        _ => name,
    }
}

/// Registers format_type.
pub(in crate::wire) fn register(context: &SessionContext) {
    let answer = |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(first) = arrays.first() else { return datafusion::common::exec_err!("an oid is needed") };
        let oids = cast(first, &DataType::Int32)?;
        let modifiers = arrays.get(1).map(|array| cast(array, &DataType::Int32)).transpose()?;
        let modifier = |row: usize| {
            let modifiers = modifiers.as_ref().map(|array| array.as_primitive::<Int32Type>());
            modifiers.filter(|array| array.is_valid(row)).map_or(NONE, |array| array.value(row))
        };
        let one = |(row, oid): (usize, Option<i32>)| oid.map(|oid| shown(oid, modifier(row)));
        let texts: StringArray = oids.as_primitive::<Int32Type>().iter().enumerate().map(one).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    };
    let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
    context.register_udf(SimpleScalarUDF::new_with_signature("format_type", signature, DataType::Utf8, Arc::new(answer)).into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_is_kept_and_shown_as_in_postgres() {
        let text = Field::new("a", DataType::Utf8, true);
        let numeric = Field::new("a", DataType::Decimal128(10, 2), true);
        for (field, sql_type, max, data_type, modifier, expected) in [
            (&text, "VARCHAR(10)", Some(10), Type::VARCHAR, 14, "character varying(10)"),
            (&text, "CHARACTER VARYING", None, Type::VARCHAR, -1, "character varying"),
            (&text, "CHAR(3)", Some(3), Type::BPCHAR, 7, "character(3)"),
            (&text, "TEXT", None, Type::TEXT, -1, "text"),
            (&numeric, "NUMERIC(10,2)", None, Type::NUMERIC, 655_366, "numeric(10,2)"),
            (&numeric, "NUMERIC", None, Type::NUMERIC, -1, "numeric"),
        ] {
            let found = of_declared(field, sql_type, max);
            assert_eq!(found, (data_type.clone(), modifier), "{sql_type}");
            assert_eq!(shown(data_type.oid() as i32, modifier), expected);
        }
        assert_eq!(shown(Type::NUMERIC_ARRAY.oid() as i32, 655_366), "numeric(10,2)[]");
    }
}
