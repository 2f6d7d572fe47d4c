//! BOX and DETECTION: where something is in a picture, what it is and how sure the model was.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float32Builder, Int64Builder, ListArray, NullBufferBuilder, OffsetBufferBuilder, StringBuilder,
    StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Int64Type};
use datafusion_common::{Result, internal_err};

/// A rectangle in pixels of the picture as displayed: x to the right, y down, from the top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Box {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// Intersection over union of two boxes, 0 to 1; 0 where either has no area.
pub fn iou(a: &Box, b: &Box) -> f64 {
    let sides = |b: &Box| [f64::from(b.x), f64::from(b.y), f64::from(b.w), f64::from(b.h)];
    let ([ax, ay, aw, ah], [bx, by, bw, bh]) = (sides(a), sides(b));
    let shared = |a: f64, a_length: f64, b: f64, b_length: f64| ((a + a_length).min(b + b_length) - a.max(b)).max(0.0);
    let both = shared(ax, aw, bx, bw) * shared(ay, ah, by, bh);
    // Sides are compared one by one: two negative ones would multiply to an area.
    if [aw, ah, bw, bh].iter().all(|side| *side > 0.0) { both / (aw * ah + bw * bh - both) } else { 0.0 }
}

/// One thing found in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// What it is, in the model's words.
    pub label: String,
    /// How sure the model is, 0 to 1.
    pub score: f32,
    /// Where it is.
    pub bbox: Box,
    /// Points of interest in the order the model documents; None where the model gives none.
    pub landmarks: Option<Vec<(f32, f32)>>,
    /// The track it belongs to; None until a tracker has said so.
    pub track_id: Option<i64>,
}

fn numbers(names: &[&str]) -> Fields {
    names.iter().map(|n| Field::new(*n, DataType::Float32, true)).collect()
}

fn point_fields() -> Fields {
    numbers(&["x", "y"])
}

fn box_fields() -> Fields {
    numbers(&["x", "y", "w", "h"])
}

fn item(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, true))
}

fn detection_fields() -> Fields {
    Fields::from(vec![
        Field::new("label", DataType::Utf8, true),
        Field::new("score", DataType::Float32, true),
        Field::new("box", box_type(), true),
        Field::new("landmarks", DataType::List(item(DataType::Struct(point_fields()))), true),
        Field::new("track_id", DataType::Int64, true),
    ])
}

/// The Arrow type of BOX: struct (x, y, w, h float4).
pub fn box_type() -> DataType {
    DataType::Struct(box_fields())
}

/// The Arrow type of DETECTION: struct (label text, score float4, box, landmarks list of points, track_id int8).
pub fn detection_type() -> DataType {
    DataType::Struct(detection_fields())
}

/// The type of what a detector returns: a list of DETECTION.
pub fn detections_type() -> DataType {
    DataType::List(item(detection_type()))
}

/// Columns of numbers that grow row by row.
#[derive(Debug)]
struct Numbers<const N: usize>([Float32Builder; N]);

impl<const N: usize> Numbers<N> {
    fn new() -> Numbers<N> {
        Numbers(std::array::from_fn(|_| Float32Builder::new()))
    }

    fn push(&mut self, values: [f32; N]) {
        self.0.iter_mut().zip(values).for_each(|(b, v)| b.append_value(v));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.0.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect()
    }
}

/// Fills a column of lists of detections.
#[derive(Debug)]
pub struct DetectionListBuilder {
    offsets: OffsetBufferBuilder<i32>,
    valid: NullBufferBuilder,
    label: StringBuilder,
    score: Float32Builder,
    boxes: Numbers<4>,
    points: Numbers<2>,
    point_offsets: OffsetBufferBuilder<i32>,
    landmarks_valid: NullBufferBuilder,
    track_id: Int64Builder,
}

impl Default for DetectionListBuilder {
    fn default() -> DetectionListBuilder {
        DetectionListBuilder::new()
    }
}

impl DetectionListBuilder {
    /// An empty column.
    pub fn new() -> DetectionListBuilder {
        DetectionListBuilder {
            offsets: OffsetBufferBuilder::new(0),
            valid: NullBufferBuilder::new(0),
            label: StringBuilder::new(),
            score: Float32Builder::new(),
            boxes: Numbers::new(),
            points: Numbers::new(),
            point_offsets: OffsetBufferBuilder::new(0),
            landmarks_valid: NullBufferBuilder::new(0),
            track_id: Int64Builder::new(),
        }
    }

    /// Adds one row: the detections of one picture, perhaps none.
    pub fn append<'a>(&mut self, detections: impl IntoIterator<Item = &'a Detection>) {
        let mut n = 0;
        for d in detections {
            n += 1;
            self.label.append_value(&d.label);
            self.score.append_value(d.score);
            self.boxes.push([d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h]);
            let points = d.landmarks.as_deref().unwrap_or(&[]);
            points.iter().for_each(|(x, y)| self.points.push([*x, *y]));
            self.point_offsets.push_length(points.len());
            self.landmarks_valid.append(d.landmarks.is_some());
            self.track_id.append_option(d.track_id);
        }
        self.offsets.push_length(n);
        self.valid.append_non_null();
    }

    /// Adds a NULL: nobody looked.
    pub fn append_null(&mut self) {
        self.offsets.push_length(0);
        self.valid.append_null();
    }

    /// The column; the builder is empty again.
    pub fn finish(&mut self) -> ListArray {
        let built = std::mem::take(self);
        let DetectionListBuilder {
            offsets,
            mut valid,
            mut label,
            mut score,
            mut boxes,
            mut points,
            point_offsets,
            mut landmarks_valid,
            mut track_id,
        } = built;
        let points = StructArray::new(point_fields(), points.finish(), None);
        let landmarks =
            ListArray::new(item(DataType::Struct(point_fields())), point_offsets.finish(), Arc::new(points), landmarks_valid.finish());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(label.finish()),
            Arc::new(score.finish()),
            Arc::new(StructArray::new(box_fields(), boxes.finish(), None)),
            Arc::new(landmarks),
            Arc::new(track_id.finish()),
        ];
        let detections = StructArray::new(detection_fields(), columns, None);
        ListArray::new(item(detection_type()), offsets.finish(), Arc::new(detections), valid.finish())
    }
}

/// The box of each row of a BOX column; None is NULL, as is a box with a NULL side.
pub fn boxes_of(array: &dyn Array) -> Result<Vec<Option<Box>>> {
    let Some(rows) = array.as_struct_opt().filter(|s| s.num_columns() == 4) else {
        return internal_err!("expected a box, found {}", array.data_type());
    };
    let sides: Vec<&Float32Array> = rows.columns().iter().filter_map(|c| c.as_primitive_opt::<Float32Type>()).collect();
    let [x, y, w, h] = sides.as_slice() else { return internal_err!("expected a box, found {}", array.data_type()) };
    let one = |row: usize| {
        let known = rows.is_valid(row) && sides.iter().all(|s| s.is_valid(row));
        known.then(|| Box { x: x.value(row), y: y.value(row), w: w.value(row), h: h.value(row) })
    };
    Ok((0..rows.len()).map(one).collect())
}

/// The detections of a list's values, in order; unknown fields take their NULL meaning (score 0, empty label).
pub fn detections_of(array: &dyn Array) -> Result<Vec<Detection>> {
    let Some(rows) = array.as_struct_opt().filter(|_| *array.data_type() == detection_type()) else {
        return internal_err!("expected detections, found {}", array.data_type());
    };
    let (labels, scores, tracks) =
        (rows.column(0).as_string::<i32>(), rows.column(1).as_primitive::<Float32Type>(), rows.column(4).as_primitive::<Int64Type>());
    let (boxes, landmarks) = (boxes_of(rows.column(2).as_ref())?, rows.column(3).as_list::<i32>());
    let points = landmarks.values().as_struct();
    let (xs, ys) = (points.column(0).as_primitive::<Float32Type>(), points.column(1).as_primitive::<Float32Type>());
    let one = |(row, bbox): (usize, Option<Box>)| {
        let range = landmarks.value_offsets()[row] as usize..landmarks.value_offsets()[row + 1] as usize;
        Detection {
            label: if labels.is_valid(row) { labels.value(row).to_owned() } else { String::new() },
            score: if scores.is_valid(row) { scores.value(row) } else { 0.0 },
            bbox: bbox.unwrap_or_default(),
            landmarks: landmarks.is_valid(row).then(|| range.map(|at| (xs.value(at), ys.value(at))).collect()),
            track_id: tracks.is_valid(row).then(|| tracks.value(row)),
        }
    };
    Ok(boxes.into_iter().enumerate().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_come_back_as_they_went_in() {
        let face = Detection {
            label: "face".into(),
            score: 0.9,
            bbox: Box { x: 1.0, y: 2.0, w: 3.0, h: 4.0 },
            landmarks: Some(vec![(1.0, 2.0), (3.0, 4.0)]),
            track_id: None,
        };
        let car = Detection { label: "car".into(), landmarks: None, track_id: Some(5), ..face.clone() };
        let mut builder = DetectionListBuilder::new();
        builder.append(&[face.clone(), car.clone()]);
        builder.append_null();
        builder.append(&[]);
        let lists = builder.finish();
        assert_eq!(lists.data_type(), &detections_type());
        assert!(lists.is_valid(0) && lists.is_null(1) && lists.is_valid(2));
        assert_eq!(detections_of(lists.value(0).as_ref()).unwrap(), [face, car]);
        assert_eq!(builder.finish().len(), 0);
    }
}
