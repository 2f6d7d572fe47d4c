//! The types of arguments as SQL names them: what an error says, whatever Arrow calls them.

use arrow::datatypes::{DataType, Field};

use crate::detection::{box_type, detection_type};
use crate::frame::is_frame;

/// The key under which a field of text says of which type of SQL it is whose values are kept as texts: uuid, jsonb, json.
pub const TEXT_OF: &str = "framesql.postgres_type";

/// The name of a field's type, which knows more of it.
pub(super) fn field_type_name(field: &Field) -> String {
    field.metadata().get(TEXT_OF).cloned().unwrap_or_else(|| type_name(field.data_type()))
}

/// `double precision`, `integer[]`, `detection`; of a struct that is none of ours `record`.
pub(super) fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        frame if is_frame(frame) => "frame",
        detection if *detection == detection_type() => "detection",
        bbox if *bbox == box_type() => "box",
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "numeric"
        }
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Dictionary(_, values) => return type_name(values),
        DataType::RunEndEncoded(_, values) => return type_name(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => return format!("{}[]", type_name(item.data_type())),
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => "record",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::detections_type;
    use crate::frame::frame_type;
    use arrow::datatypes::TimeUnit;

    #[test]
    fn types_have_the_names_of_sql() {
        let list = |item: DataType| DataType::new_list(item, true);
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (data_type, name) in [
            (DataType::Float64, "double precision"),
            (DataType::Decimal128(3, 2), "numeric"),
            (list(DataType::Int32), "integer[]"),
            (list(list(DataType::Utf8View)), "text[][]"),
            (list(DataType::Null), "unknown[]"),
            (frame_type(), "frame"),
            (detections_type(), "detection[]"),
            (box_type(), "box"),
            (zone, "timestamptz"),
            (DataType::Struct(arrow::datatypes::Fields::empty()), "record"),
        ] {
            assert_eq!(type_name(&data_type), name);
        }
    }
}
