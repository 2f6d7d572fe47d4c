//! `trajectory(box, ts timestamptz) -> struct(ts timestamptz, x float8, y float8)[]`: the way of something, point by point.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, TimestampMicrosecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, TimestampMicrosecondType};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::Accumulator;

use super::bytes::{Keeping, Kept};
use super::define::sql_aggregate;
use crate::function::boxes::boxes;
use crate::function::call::time_type;
use crate::function::lists::{list_of, struct_of, structs};

sql_aggregate!(
    Trajectory, "trajectory", arguments: [Box, Time], required: 2, returns: way_type(),
    state: [DataType::Binary], accumulator: || Ok(Box::new(Way::default())),
    syntax: "trajectory(box, ts timestamptz) -> struct(ts timestamptz, x float8, y float8)[]",
    description: "The way of something: the middle of its box at each time, in pixels, in the order of time, whatever the order of the rows. Group by what tells things apart, as a track. The box is a BOX, a DETECTION, a struct or a list of four numbers. Rows whose box or time is NULL do not count; NULL where none counts.",
    example: "SELECT trajectory(face.box, ts) FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no BETWEEN 60 AND 65"
);

fn way_type() -> DataType {
    list_of(struct_of(&[("ts", time_type()), ("x", DataType::Float64), ("y", DataType::Float64)]))
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    ts_us: i64,
    x: f64,
    y: f64,
}

/// The points, in the order in which they came.
#[derive(Debug, Default)]
struct Way(Vec<Point>);

fn points(values: &[ArrayRef]) -> Result<Vec<Point>> {
    let [of, times] = values else { return internal_err!("trajectory has two arguments") };
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let middle = |at: f32, length: f32| f64::from(at) + f64::from(length) / 2.0;
    let one = |(bbox, ts_us): (Option<crate::detection::Box>, Option<i64>)| {
        let (bbox, ts_us) = (bbox?, ts_us?);
        Some(Point { ts_us, x: middle(bbox.x, bbox.w), y: middle(bbox.y, bbox.h) })
    };
    Ok(boxes(of)?.into_iter().zip(times.iter()).filter_map(one).collect())
}

impl Accumulator for Way {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.extend(points(values)?);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for gone in points(values)? {
            if let Some(at) = self.0.iter().position(|point| *point == gone) {
                self.0.remove(at);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.0.is_empty() {
            return ScalarValue::try_from(&way_type());
        }
        // Of several at one time the order is that of places, so that it does not depend on who came first.
        self.0.sort_by(|a, b| a.ts_us.cmp(&b.ts_us).then(a.x.total_cmp(&b.x)).then(a.y.total_cmp(&b.y)));
        let number =
            |of: fn(&Point) -> f64| Arc::new(self.0.iter().map(of).collect::<Vec<f64>>().into_iter().collect::<Float64Array>()) as ArrayRef;
        let times = self.0.iter().map(|p| p.ts_us).collect::<Vec<i64>>();
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
        let elements = structs(vec![("ts", times), ("x", number(|p| p.x)), ("y", number(|p| p.y))]);
        let item = Arc::new(Field::new("item", elements.data_type().clone(), true));
        let list = ListArray::new(item, OffsetBuffer::from_lengths([self.0.len()]), Arc::new(elements), None);
        Ok(ScalarValue::List(Arc::new(list)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.capacity() * size_of::<Point>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut kept = Keeping::default();
        for point in &self.0 {
            kept.number(point.ts_us as u64);
            kept.number(point.x.to_bits());
            kept.number(point.y.to_bits());
        }
        Ok(vec![kept.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [column] = states else { return internal_err!("trajectory keeps one value") };
        for mut kept in Kept::rows(column)? {
            while !kept.is_empty() {
                let (ts_us, x, y) = (kept.number()? as i64, f64::from_bits(kept.number()?), f64::from_bits(kept.number()?));
                self.0.push(Point { ts_us, x, y });
            }
        }
        Ok(())
    }
}
