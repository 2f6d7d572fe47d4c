//! Boxes as SQL may write them, BOX, DETECTION, a struct or a list of four numbers, read as boxes in pixels.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, Float64Type};
use datafusion_common::{Result, internal_err};

use crate::detection::Box;
use crate::out_of_range::out_of_range;
use crate::pixels::Area;

/// The fields of a box, in order.
const SIDES: [&str; 4] = ["x", "y", "w", "h"];
/// The names that SQL's `struct(1, 2, 3, 4)` gives its fields.
const UNNAMED: [&str; 4] = ["c0", "c1", "c2", "c3"];
/// The field of a DETECTION that holds its box.
const BOX_FIELD: &str = "box";

/// Whether a value of that type is a box: BOX, DETECTION, a struct of numbers named x, y, w, h (in any order) or c0 to c3,
/// or a list of numbers, which has to have four.
pub fn is_box(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Struct(fields) => match fields.find(BOX_FIELD) {
            Some((_, field)) => is_box(field.data_type()),
            None => places(fields).is_some_and(|at| at.iter().all(|at| fields.get(*at).is_some_and(|f| is_number(f.data_type())))),
        },
        other => item(other).is_some_and(is_number),
    }
}

/// Whether a value of that type is a point: a struct of numbers named x, y (in any order) or c0, c1.
pub(super) fn is_point(data_type: &DataType) -> bool {
    let DataType::Struct(fields) = data_type else { return false };
    point_places(fields).is_some_and(|at| at.iter().all(|at| fields.get(*at).is_some_and(|f| is_number(f.data_type()))))
}

/// Where x and y are among the fields of a struct.
fn point_places(fields: &Fields) -> Option<[usize; 2]> {
    let find = |names: [&str; 2]| {
        let [x, y] = names.map(|name| fields.find(name).map(|(at, _)| at));
        Some([x?, y?]).filter(|_| fields.len() == names.len())
    };
    find(["x", "y"]).or_else(|| find(["c0", "c1"]))
}

/// The point of each row: one as it is, of a box what `of` makes of it. None is NULL, as is one that is not finite. Errs as `boxes` does.
pub(super) fn points(array: &ArrayRef, of: impl Fn(&Box) -> (f64, f64)) -> Result<Vec<Option<(f64, f64)>>> {
    let at = match array.data_type() {
        DataType::Struct(fields) => point_places(fields),
        _ => None,
    };
    let Some([x, y]) = at else { return Ok(boxes(array)?.into_iter().map(|bbox| bbox.map(|bbox| of(&bbox))).collect()) };
    let rows = array.as_struct();
    let column =
        |at: usize| -> Result<Float64Array> { Ok(cast(rows.column(at), &DataType::Float64)?.as_primitive::<Float64Type>().clone()) };
    let (x, y) = (column(x)?, column(y)?);
    let one = |row: usize| {
        let known = rows.is_valid(row) && x.is_valid(row) && y.is_valid(row);
        known.then(|| (x.value(row), y.value(row))).filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    Ok((0..rows.len()).map(one).collect())
}

/// Whether a value of that type is a box or a list of boxes.
pub(super) fn is_boxes(data_type: &DataType) -> bool {
    is_box(data_type) || item(data_type).is_some_and(is_box)
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null()
}

fn item(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// Where x, y, w and h are among the fields of a struct.
fn places(fields: &Fields) -> Option<[usize; 4]> {
    let find = |names: [&str; 4]| {
        let [x, y, w, h] = names.map(|name| fields.find(name).map(|(at, _)| at));
        Some([x?, y?, w?, h?]).filter(|_| fields.len() == names.len())
    };
    find(SIDES).or_else(|| find(UNNAMED))
}

/// The box of each row; None is NULL, a box with a side that is NULL or not finite, or an empty list. Errs if a list has other than four numbers.
pub fn boxes(array: &ArrayRef) -> Result<Vec<Option<Box>>> {
    boxes_by(array, finite)
}

/// The same for what is done to pixels: a box that reaches further than a picture can, even without end, still covers what it covers. None is NULL, or a
/// box with a side that is NULL or NaN.
pub(super) fn reaching_boxes(array: &ArrayRef) -> Result<Vec<Option<Box>>> {
    boxes_by(array, reaching)
}

/// What is made of the four numbers of a box.
type Read = fn([f64; 4]) -> Option<Box>;

fn boxes_by(array: &ArrayRef, read: Read) -> Result<Vec<Option<Box>>> {
    match array.data_type() {
        DataType::Null => Ok(vec![None; array.len()]),
        DataType::Struct(fields) => {
            let rows = array.as_struct();
            match (fields.find(BOX_FIELD), places(fields)) {
                (Some((at, _)), _) => known(rows, boxes_by(rows.column(at), read)?),
                (None, Some(at)) => {
                    let columns = at.map(|at| numbers(rows.column(at)));
                    let [x, y, w, h] = columns;
                    let (x, y, w, h) = (x?, y?, w?, h?);
                    let one = |row| read([at_row(&x, row)?, at_row(&y, row)?, at_row(&w, row)?, at_row(&h, row)?]);
                    known(rows, (0..rows.len()).map(one).collect())
                }
                (None, None) => internal_err!("expected a box, found {}", array.data_type()),
            }
        }
        // `[NULL]`, `[]`: there is nothing to count.
        list if item(list).is_some_and(DataType::is_null) => Ok(vec![None; array.len()]),
        _ => {
            let Some((values, ranges)) = lists(array) else { return internal_err!("expected a box, found {}", array.data_type()) };
            let values = numbers(&values)?;
            let one = |range: Option<Range<usize>>| match range {
                None => Ok(None),
                Some(range) if range.is_empty() => Ok(None),
                Some(range) if range.len() == SIDES.len() => {
                    let sides: [Option<f64>; 4] = std::array::from_fn(|at| at_row(&values, range.start + at));
                    let [x, y, w, h] = sides;
                    Ok(x.zip(y).zip(w.zip(h)).and_then(|((x, y), (w, h))| read([x, y, w, h])))
                }
                Some(range) => out_of_range!("a box has four numbers x, y, w, h, not {}", range.len()),
            };
            ranges.into_iter().map(one).collect()
        }
    }
}

fn known(rows: &StructArray, boxes: Vec<Option<Box>>) -> Result<Vec<Option<Box>>> {
    Ok(boxes.into_iter().enumerate().map(|(row, bbox)| bbox.filter(|_| rows.is_valid(row))).collect())
}

fn numbers(array: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn at_row(numbers: &Float64Array, row: usize) -> Option<f64> {
    (row < numbers.len() && numbers.is_valid(row)).then(|| numbers.value(row))
}

fn finite(sides: [f64; 4]) -> Option<Box> {
    let [x, y, w, h] = sides.map(|side| side as f32);
    [x, y, w, h].iter().all(|side| side.is_finite()).then_some(Box { x, y, w, h })
}

/// Where a box may begin at the least and end at the most: beyond all pictures, and whole numbers of float4 that have room for a difference.
const REACH: (f64, f64) = (-8_388_608.0, 268_435_456.0);

fn reaching([x, y, w, h]: [f64; 4]) -> Option<Box> {
    let one = |start: f64, length: f64| {
        let end = if length == f64::INFINITY { length } else { start + length };
        if start >= REACH.0 && end <= REACH.1 {
            return Some((start as f32, length as f32));
        }
        // What is clamped is where it begins and where it ends, and not how long it is.
        let clamped = |at: f64| at.clamp(REACH.0, REACH.1);
        let known = !start.is_nan() && !end.is_nan();
        known.then(|| (clamped(start) as f32, (clamped(end) - clamped(start)) as f32))
    };
    let ((x, w), (y, h)) = (one(x, w)?, one(y, h)?);
    Some(Box { x, y, w, h })
}

/// The values of a column of lists, and which of them are each row's; None is NULL.
fn lists(array: &ArrayRef) -> Option<(ArrayRef, Vec<Option<Range<usize>>>)> {
    let rows = 0..array.len();
    let valid = |row: usize, range: Range<usize>| array.is_valid(row).then_some(range);
    if let Some(list) = array.as_list_opt::<i32>() {
        let ranges = list.value_offsets().windows(2).map(|w| w[0] as usize..w[1] as usize);
        return Some((Arc::clone(list.values()), rows.zip(ranges).map(|(row, range)| valid(row, range)).collect()));
    }
    if let Some(list) = array.as_list_opt::<i64>() {
        let ranges = list.value_offsets().windows(2).map(|w| w[0] as usize..w[1] as usize);
        return Some((Arc::clone(list.values()), rows.zip(ranges).map(|(row, range)| valid(row, range)).collect()));
    }
    let list = array.as_fixed_size_list_opt()?;
    let length = list.value_length() as usize;
    let start = |row: usize| list.value_offset(row) as usize;
    Some((Arc::clone(list.values()), rows.map(|row| valid(row, start(row)..start(row) + length)).collect()))
}

/// The boxes of each row of a column of boxes or of lists of boxes.
pub(crate) struct BoxLists {
    ranges: Vec<Option<Range<usize>>>,
    boxes: Vec<Option<Box>>,
    values: ArrayRef,
}

impl BoxLists {
    /// Boxes as `reaching_boxes` reads them. Errs as `boxes` does.
    pub(crate) fn try_new(array: &ArrayRef) -> Result<BoxLists> {
        let (values, ranges) = match lists(array) {
            Some(lists) if !is_box(array.data_type()) => lists,
            _ => (Arc::clone(array), (0..array.len()).map(|row| Some(row..row + 1)).collect()),
        };
        Ok(BoxLists { ranges, boxes: reaching_boxes(&values)?, values })
    }

    /// The boxes of one row, each with its place in `values`; those that are NULL are left out.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (usize, Box)> + '_ {
        let range = self.ranges.get(row).cloned().flatten().unwrap_or(0..0);
        range.filter_map(|at| Some((at, self.boxes.get(at).copied().flatten()?)))
    }

    /// All boxes, as they were given.
    pub(super) fn values(&self) -> &ArrayRef {
        &self.values
    }
}

/// The whole pixels that a box touches in a picture of that size; None if there are none.
pub(crate) fn touched(bbox: &Box, (width, height): (u32, u32)) -> Option<Area> {
    let (x, width) = span(bbox.x, bbox.w, width)?;
    let (y, height) = span(bbox.y, bbox.h, height)?;
    Some(Area { x, y, width, height })
}

fn span(start: f32, length: f32, limit: u32) -> Option<(u32, u32)> {
    let (start, limit) = (f64::from(start), f64::from(limit));
    let end = start + f64::from(length);
    let (first, end) = (start.floor().clamp(0.0, limit) as u32, end.ceil().clamp(0.0, limit) as u32);
    (length > 0.0 && first < end).then(|| (first, end - first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeListArray, Int64Array, LargeListArray, ListArray, NullArray, UInt8Array};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Int64Type};

    const ONE: Option<Box> = Some(Box { x: 1.0, y: 2.0, w: 3.0, h: 4.0 });

    fn structure(columns: &[(&str, ArrayRef)]) -> ArrayRef {
        let fields: Fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        Arc::new(StructArray::new(fields, columns.iter().map(|(_, c)| Arc::clone(c)).collect(), None))
    }

    fn number(value: i64) -> ArrayRef {
        Arc::new(Int64Array::from(vec![value]))
    }

    #[test]
    fn every_way_to_write_a_box_gives_the_same() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let named = structure(&[("w", number(3)), ("h", number(4)), ("x", Arc::new(UInt8Array::from(vec![1]))), ("y", number(2))]);
        let all: Vec<ArrayRef> = vec![
            structure(&[("label", Arc::new(NullArray::new(1))), ("box", Arc::clone(&named))]),
            named,
            structure(&[("c0", number(1)), ("c1", number(2)), ("c2", number(3)), ("c3", number(4))]),
            Arc::new(ListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([4]), Arc::clone(&values), None)),
            Arc::new(LargeListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([4]), Arc::clone(&values), None)),
            Arc::new(FixedSizeListArray::new(item, 4, values, None)),
        ];
        for array in &all {
            assert!(is_box(array.data_type()) && is_boxes(array.data_type()), "{}", array.data_type());
            assert_eq!(boxes(array).unwrap(), [ONE], "{}", array.data_type());
            let lists = BoxLists::try_new(array).unwrap();
            assert_eq!(lists.row(0).map(|(_, b)| b).collect::<Vec<_>>(), [ONE.unwrap()]);
        }
    }

    #[test]
    fn a_place_is_a_point_or_the_point_of_a_box() {
        let middle = |b: &Box| (f64::from(b.x + b.w / 2.0), f64::from(b.y + b.h / 2.0));
        let point = structure(&[("y", number(2)), ("x", number(1))]);
        assert!(is_point(point.data_type()) && !is_box(point.data_type()));
        assert_eq!(points(&point, middle).unwrap(), [Some((1.0, 2.0))]);
        let bbox = structure(&[("x", number(1)), ("y", number(2)), ("w", number(4)), ("h", number(6))]);
        assert_eq!((is_point(bbox.data_type()), points(&bbox, middle).unwrap()), (false, vec![Some((3.0, 5.0))]));
        let unknown = structure(&[("x", number(1)), ("y", Arc::new(NullArray::new(1)))]);
        assert_eq!(points(&unknown, middle).unwrap(), [None]);
    }

    #[test]
    fn what_is_no_box_is_refused_or_null() {
        let other = structure(&[("a", number(1)), ("b", number(2)), ("c", number(3)), ("d", number(4))]);
        assert!(!is_box(other.data_type()) && !is_box(&DataType::Int64) && !is_boxes(&DataType::Utf8));
        let rows = vec![Some(vec![Some(f64::NAN), Some(0.0), Some(1.0), Some(1.0)]), Some(vec![None; 4]), None, Some(vec![])];
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        assert_eq!(boxes(&list).unwrap(), [None; 4]);
        let huge = vec![Some(vec![Some(1e300); 4])];
        let huge: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(huge));
        assert_eq!(boxes(&huge).unwrap(), [None]);
        let nan: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(f64::NAN); 4])]));
        assert_eq!(reaching_boxes(&nan).unwrap(), [None]);
        let three: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1); 3])]));
        assert!(boxes(&three).unwrap_err().to_string().contains("four numbers"));
        let null: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(boxes(&null).unwrap(), [None; 2]);
        assert_eq!(BoxLists::try_new(&null).unwrap().row(1).count(), 0);
        assert_eq!(BoxLists::try_new(&null).unwrap().row(9).count(), 0);
    }

    #[test]
    fn a_box_that_reaches_beyond_all_numbers_covers_what_it_covers() {
        let area = |sides: [f64; 4]| touched(&reaching(sides).unwrap(), (10, 8)).map(|a| (a.x, a.y, a.width, a.height));
        let whole = Some((0, 0, 10, 8));
        for (start, length) in [(-1e300, 2e300), (f64::NEG_INFINITY, f64::INFINITY), (-1e39, 1e40), (f64::MIN, f64::INFINITY), (0.0, 1e300)]
        {
            assert_eq!(area([start, start, length, length]), whole, "{start} {length}");
        }
        // Of long sides both ends count: float4 has no room for them.
        assert_eq!(area([-1e9, 2.0, 1e9 + 3.0, 1e300]), Some((0, 2, 3, 6)));
        assert_eq!(area([5.25, f64::NEG_INFINITY, 2.0, f64::INFINITY]), Some((5, 0, 3, 8)));
        for outside in
            [[f64::NEG_INFINITY, 0.0, 5.0, 5.0], [f64::INFINITY, 0.0, 1.0, 1.0], [1e300, 0.0, 1e300, 5.0], [0.0, 0.0, -1e300, 5.0]]
        {
            assert_eq!(area(outside), None, "{outside:?}");
        }
        assert_eq!(reaching([0.1, 0.2, 0.3, 0.4]), Some(Box { x: 0.1, y: 0.2, w: 0.3, h: 0.4 }));
    }

    #[test]
    fn a_box_touches_whole_pixels_inside_the_picture() {
        let area = |x, y, w, h| touched(&Box { x, y, w, h }, (10, 8)).map(|a| (a.x, a.y, a.width, a.height));
        assert_eq!(area(1.0, 2.0, 3.0, 4.0), Some((1, 2, 3, 4)));
        assert_eq!(area(1.5, 2.5, 1.0, 1.0), Some((1, 2, 2, 2)));
        assert_eq!(area(-5.0, -5.0, 1e30, 1e30), Some((0, 0, 10, 8)));
        assert_eq!(area(9.5, 0.0, 100.0, 1.0), Some((9, 0, 1, 1)));
        for outside in [(10.0, 0.0, 5.0, 5.0), (-5.0, 0.0, 5.0, 5.0), (1.0, 1.0, 0.0, 3.0), (5.0, 5.0, -3.0, -3.0), (1e30, 0.0, 1.0, 1.0)] {
            assert_eq!(area(outside.0, outside.1, outside.2, outside.3), None, "{outside:?}");
        }
        assert_eq!(touched(&Box { x: f32::NAN, y: 0.0, w: 1.0, h: 1.0 }, (0, 0)), None);
    }
}
