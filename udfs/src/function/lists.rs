//! Columns of lists of structs: what functions give that find several things in a picture.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};

use crate::detection::{Box, box_type};

/// A struct of nullable fields.
pub(crate) fn struct_of(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect())
}

/// A list of nullable items.
pub(crate) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// A point (x, y float4).
pub(crate) fn point_type() -> DataType {
    struct_of(&[("x", DataType::Float32), ("y", DataType::Float32)])
}

/// A column of structs: each field by name, all of one length.
pub(crate) fn structs(columns: Vec<(&str, ArrayRef)>) -> StructArray {
    structs_where(columns, None)
}

/// A column of structs, some of them NULL; there each field is NULL too, as a field's access reads the field's own array.
pub(crate) fn structs_where(columns: Vec<(&str, ArrayRef)>, valid: Option<NullBuffer>) -> StructArray {
    let fields: Fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    StructArray::new(fields, columns.into_iter().map(|(_, column)| column).collect(), valid)
}

/// A column of lists over their elements: how many each row has, None for NULL.
pub(crate) fn lists(lengths: impl Iterator<Item = Option<usize>> + Clone, elements: ArrayRef) -> ArrayRef {
    let valid: NullBuffer = lengths.clone().map(|n| n.is_some()).collect();
    let item = Arc::new(Field::new("item", elements.data_type().clone(), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.map(|n| n.unwrap_or(0))), elements, Some(valid)))
}

/// A column of points.
pub(crate) fn points(all: impl Iterator<Item = (f32, f32)> + Clone) -> ArrayRef {
    let column = |values: Float32Array| Arc::new(values) as ArrayRef;
    let (xs, ys) = (all.clone().map(|p| p.0).collect::<Vec<f32>>(), all.map(|p| p.1).collect::<Vec<f32>>());
    Arc::new(structs(vec![("x", column(xs.into())), ("y", column(ys.into()))]))
}

/// A column of boxes; None is NULL.
pub(crate) fn boxes<'a>(all: impl Iterator<Item = Option<&'a Box>> + Clone) -> ArrayRef {
    let side = |of: fn(&Box) -> f32| Arc::new(all.clone().map(|b| b.map(of)).collect::<Float32Array>()) as ArrayRef;
    let columns = vec![("x", side(|b| b.x)), ("y", side(|b| b.y)), ("w", side(|b| b.w)), ("h", side(|b| b.h))];
    let made = structs_where(columns, Some(all.map(|b| b.is_some()).collect()));
    debug_assert_eq!(made.data_type(), &box_type(), "it is BOX");
    Arc::new(made)
}
