//! `heatmap(boxes, width int4, height int4) -> bytea`: where boxes were, as a picture.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_err};
use datafusion_expr::Accumulator;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::bytes::{Keeping, Kept};
use super::define::sql_aggregate;
use crate::detection::Box as Bbox;
use crate::function::boxes::{BoxLists, touched};

/// Cells along the longer side of the picture.
const CELLS: u32 = 160;
/// The side of a cell in the picture that is given, px.
const SIDE: usize = 4;

sql_aggregate!(
    Heatmap, "heatmap", arguments: [Boxes, Int, Int], required: 3, returns: DataType::Binary,
    state: [DataType::Binary], accumulator: || Ok(Box::new(Heat::default())),
    syntax: "heatmap(boxes, width int4, height int4) -> bytea",
    description: "Where boxes were, as a PNG file: a picture of width by height pixels is divided into square cells, 160 along its longer side (fewer if it has fewer pixels), every box counts in each cell that it touches, and a cell is 4 by 4 pixels, from black, never, by red and yellow to white, where most were. boxes is a box or a list of boxes, each a BOX, a DETECTION, a struct or a list of four numbers; width and \
height, 1 to 65536, are those of the frame, and other ones in the same group are an error. Rows without a box, and NULL, do not count; NULL where no box counts.",
    example: "SELECT heatmap(detect_faces(frame), width, height) FROM clip WHERE frame_no % 10 = 0"
);

/// How many boxes touched each cell.
#[derive(Debug, Default)]
struct Heat {
    /// Of the frame, px.
    size: (u32, u32),
    counts: Vec<u64>,
    n_boxes: u64,
}

impl Heat {
    fn cells(&self) -> (u32, u32) {
        let (width, height) = self.size;
        let longest = u64::from(width.max(height)).max(1);
        let side = |side: u32| (u64::from(side) * u64::from(CELLS)).div_ceil(longest).min(u64::from(side)) as u32;
        (side(width), side(height))
    }

    fn of_size(&mut self, size: (u32, u32)) -> Result<()> {
        if self.counts.is_empty() {
            self.size = size;
            let (across, down) = self.cells();
            self.counts = vec![0; across as usize * down as usize];
        } else if self.size != size {
            return exec_err!("heatmap needs one size a group, not {}x{} and {}x{}", self.size.0, self.size.1, size.0, size.1);
        }
        Ok(())
    }

    fn count(&mut self, values: &[ArrayRef], add: bool) -> Result<()> {
        let [boxes, widths, heights] = values else { return internal_err!("heatmap has three arguments") };
        let (boxes, widths, heights) = (BoxLists::try_new(boxes)?, widths.as_primitive::<Int32Type>(), heights.as_primitive::<Int32Type>());
        for (row, size) in widths.iter().zip(heights.iter()).enumerate() {
            let (Some(width), Some(height)) = size else { continue };
            if !(1..=65_536).contains(&width) || !(1..=65_536).contains(&height) {
                return exec_err!("heatmap needs a width and a height of 1 to 65536 pixels, not {width} and {height}");
            }
            for (_, bbox) in boxes.row(row) {
                self.of_size((width as u32, height as u32))?;
                self.add(&bbox, add);
            }
        }
        Ok(())
    }

    fn add(&mut self, bbox: &Bbox, add: bool) {
        let (across, down) = self.cells();
        let (by_x, by_y) = (across as f32 / self.size.0 as f32, down as f32 / self.size.1 as f32);
        let scaled = Bbox { x: bbox.x * by_x, y: bbox.y * by_y, w: bbox.w * by_x, h: bbox.h * by_y };
        let Some(area) = touched(&scaled, (across, down)) else { return };
        let change = |count: &mut u64| *count = if add { *count + 1 } else { count.saturating_sub(1) };
        change(&mut self.n_boxes);
        for row in self.counts.chunks_exact_mut(across as usize).skip(area.y as usize).take(area.height as usize) {
            row.iter_mut().skip(area.x as usize).take(area.width as usize).for_each(change);
        }
    }
}

/// From black by red and yellow to white.
fn glow(share: f64) -> [u8; 3] {
    [0.0, 1.0, 2.0].map(|from| ((3.0 * share - from).clamp(0.0, 1.0) * 255.0).round() as u8)
}

impl Accumulator for Heat {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count(values, true)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count(values, false)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.n_boxes == 0 {
            return Ok(ScalarValue::Binary(None));
        }
        let ((across, down), most) = (self.cells(), self.counts.iter().copied().max().unwrap_or(0).max(1));
        let mut rgb = Vec::with_capacity(self.counts.len() * SIDE * SIDE * 3);
        for row in self.counts.chunks_exact(across as usize) {
            let line: Vec<u8> = row.iter().flat_map(|count| [glow(*count as f64 / most as f64); SIDE]).flatten().collect();
            (0..SIDE).for_each(|_| rgb.extend_from_slice(&line));
        }
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(&rgb, across * SIDE as u32, down * SIDE as u32, ExtendedColorType::Rgb8)
            .map_err(|e| exec_datafusion_err!("a heatmap cannot be written as PNG: {e}"))?;
        Ok(ScalarValue::Binary(Some(file)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<u64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        if self.counts.is_empty() {
            return Ok(vec![ScalarValue::Binary(None)]);
        }
        let mut kept = Keeping::default();
        [self.size.0.into(), self.size.1.into(), self.n_boxes].into_iter().chain(self.counts.iter().copied()).for_each(|n| kept.number(n));
        Ok(vec![kept.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [column] = states else { return internal_err!("heatmap keeps one value") };
        for mut kept in Kept::rows(column)? {
            let size = (kept.number()? as u32, kept.number()? as u32);
            self.of_size(size)?;
            self.n_boxes += kept.number()?;
            for count in &mut self.counts {
                *count += kept.number()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_counted_and_taken_back() {
        let mut heat = Heat::default();
        heat.of_size((320, 160)).unwrap();
        assert_eq!(heat.cells(), (160, 80));
        let bbox = Bbox { x: 10.0, y: 10.0, w: 4.0, h: 2.0 };
        heat.add(&bbox, true);
        heat.add(&Bbox { x: 400.0, y: 0.0, w: 5.0, h: 5.0 }, true);
        assert_eq!((heat.n_boxes, heat.counts.iter().sum::<u64>(), heat.counts[5 * 160 + 5]), (1, 2, 1));
        heat.add(&bbox, false);
        assert!(heat.counts.iter().all(|n| *n == 0) && heat.evaluate().unwrap().is_null());
        assert!(heat.of_size((320, 161)).is_err());
        assert_eq!([glow(0.0), glow(1.0 / 3.0), glow(2.0 / 3.0), glow(1.0)], [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]]);
    }
}
