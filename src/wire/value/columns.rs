//! The columns of an answer as Postgres names and types them.

use arrow::datatypes::{DataType, Field, Schema};
use arrow_pg::datatypes::{PG_OID_ALIAS_KEY, is_pg_char_field, pg_type_for_alias_kind};
use framesql_udfs::frame::is_frame;
use pgwire::api::Type;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::written::Written;
use super::{column_types, typed};
use crate::error::{Error, Result};
use crate::plan::column_names as names;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Format {
    /// As text.
    Text,
    /// As the type's binary form.
    Binary,
}

/// One column of an answer.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Column {
    name: String,
    /// The type that the client is told.
    pub(in crate::wire) data_type: Type,
    /// The type that its values are kept as.
    kept: Type,
    /// How its values are written.
    pub(in crate::wire) format: Format,
}

/// The columns of a schema. `formats` is empty (all text), one code for all, or one a column; errs otherwise (08P01).
pub(in crate::wire) fn of(schema: &Schema, written: &Written, formats: &[i16]) -> Result<Vec<Column>> {
    let n_columns = schema.fields().len();
    if formats.len() > 1 && formats.len() != n_columns {
        let message = format!("bind message has {} result formats but query has {n_columns} columns", formats.len());
        return Err(Error::Protocol(message));
    }
    let format = |at: usize| match formats.get(at).or(formats.first().filter(|_| formats.len() == 1)) {
        None | Some(0) => Ok(Format::Text),
        Some(1) => Ok(Format::Binary),
        Some(other) => Err(Error::Protocol(format!("unsupported format code: {other}"))),
    };
    let column = |(at, field): (usize, &std::sync::Arc<Field>)| {
        let name = written.names.of(at, n_columns).unwrap_or_else(|| names::without_mark(field.name()));
        let (data_type, kept) = (told(field, written.of(at, n_columns)), of_type(field.data_type()));
        Ok(Column { name: name.to_owned(), data_type, kept, format: format(at)? })
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// The type of a column: what the text of its query says, where values of that type are kept so, or what its field does.
pub(in crate::wire) fn told(field: &Field, written: Option<&Type>) -> Type {
    // A whole number of which the text knows that it fits an int4.
    let kept = |data_type: &&Type| {
        column_types::holds(field.data_type(), data_type) || **data_type == Type::INT4 && *field.data_type() == DataType::Int64
    };
    written.filter(kept).cloned().unwrap_or_else(|| of_field(field))
}

/// Takes over the types that the client has been told. Errs (0A000) if they are not those of the rows that now come.
pub(in crate::wire) fn keep(columns: &mut [Column], told: &[Column]) -> Result<()> {
    // A plan may lose the metadata that tells an oid from an int4, a name from a text: they are kept alike.
    let same = columns.len() == told.len() && columns.iter().zip(told).all(|(a, b)| a.kept == b.kept);
    if !same {
        let what = "a cached plan that changes its result type".to_owned();
        return Err(Error::Unsupported { what, hint: Some("Prepare the statement again.".into()) });
    }
    columns.iter_mut().zip(told).for_each(|(column, told)| column.data_type = told.data_type.clone());
    Ok(())
}

/// RowDescription.
pub(in crate::wire) fn description(columns: &[Column]) -> RowDescription {
    let field = |column: &Column| {
        let oid = column.data_type.oid();
        FieldDescription::new(column.name.clone(), 0, 0, oid, size(&column.data_type), -1, (column.format == Format::Binary).into())
    };
    RowDescription::new(columns.iter().map(field).collect())
}

/// The Postgres type of a field: what its metadata says if it stands in for a type of the catalogue, else by its Arrow type.
pub(in crate::wire) fn of_field(field: &Field) -> Type {
    if is_pg_char_field(field) && matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) {
        return Type::CHAR;
    }
    if let Some(data_type) = column_types::of_field(field) {
        return data_type;
    }
    if let Some(data_type) = typed::of_field(field).filter(|_| *field.data_type() == DataType::Utf8) {
        return data_type;
    }
    if field.metadata().contains_key(PG_OID_ALIAS_KEY) && matches!(field.data_type(), DataType::List(_)) {
        return Type::OID_ARRAY;
    }
    let alias = field.metadata().get(PG_OID_ALIAS_KEY).filter(|_| *field.data_type() == DataType::Int32);
    alias.and_then(|kind| pg_type_for_alias_kind(kind)).unwrap_or_else(|| of_type(field.data_type()))
}

/// The Postgres type of an Arrow type; what has none is text.
pub(in crate::wire) fn of_type(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 | DataType::UInt32 => Type::INT8,
        DataType::UInt64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Type::NUMERIC
        }
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        frames if is_frame(frames) => Type::TEXT,
        DataType::Struct(_) | DataType::Map(..) => Type::JSONB,
        DataType::Dictionary(_, values) => of_type(values),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => array_of(&of_field(element)),
        _ => Type::TEXT,
    }
}

/// The array type of an element type. A list of lists is jsonb: Arrow does not promise that its rows are of one length, as Postgres does.
pub(in crate::wire) fn array_of(element: &Type) -> Type {
    match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        Type::UUID => Type::UUID_ARRAY,
        Type::JSONB => Type::JSONB_ARRAY,
        Type::JSON => Type::JSON_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        Type::NAME => Type::NAME_ARRAY,
        Type::CHAR => Type::CHAR_ARRAY,
        Type::VARCHAR => Type::VARCHAR_ARRAY,
        Type::BPCHAR => Type::BPCHAR_ARRAY,
        Type::OID => Type::OID_ARRAY,
        Type::ACLITEM => Type::ACLITEM_ARRAY,
        _ => Type::JSONB,
    }
}

/// The element type of an array type.
pub(in crate::wire) fn element_of(array: &Type) -> Option<Type> {
    const ELEMENTS: [Type; 23] = [
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::NUMERIC,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::BYTEA,
        Type::DATE,
        Type::TIME,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
        Type::INTERVAL,
        Type::UUID,
        Type::JSONB,
        Type::JSON,
        Type::TEXT,
        Type::NAME,
        Type::CHAR,
        Type::VARCHAR,
        Type::BPCHAR,
        Type::OID,
        Type::ACLITEM,
    ];
    ELEMENTS.into_iter().find(|element| array_of(element) == *array)
}

/// `pg_type.typlen`: bytes of a value, -1 if they vary.
pub(in crate::wire) fn size(data_type: &Type) -> i16 {
    match *data_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE => 4,
        Type::OID | Type::XID | Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL | Type::UUID => 16,
        Type::NAME => 64,
        Type::VOID => 4,
        _ => -1,
    }
}

/// `pg_type.typcollation`: the oid of the collation that texts have, 0 of what is not sorted by one.
pub(in crate::wire) fn collation(data_type: &Type) -> i32 {
    match element_of(data_type).as_ref().unwrap_or(data_type) {
        // The one that is named default, and the one named C.
        &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR => 100,
        &Type::NAME => 950,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_type_has_one_of_postgres() {
        let list = |of: DataType| DataType::List(Arc::new(Field::new("item", of, true)));
        let box_type = DataType::Struct(vec![Field::new("x", DataType::Float32, false)].into());
        for (arrow, postgres) in [
            (DataType::UInt64, Type::NUMERIC),
            (DataType::Utf8View, Type::TEXT),
            (DataType::Null, Type::TEXT),
            (framesql_udfs::frame::frame_type(), Type::TEXT),
            (box_type.clone(), Type::JSONB),
            (list(box_type), Type::JSONB_ARRAY),
            (list(DataType::Int32), Type::INT4_ARRAY),
            (list(list(DataType::Int32)), Type::JSONB),
        ] {
            assert_eq!(of_type(&arrow), postgres, "{arrow}");
        }
    }
}
