//! `heatmap(boxes, width int4, height int4) -> bytea`: where boxes were, as a picture.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::{Result, internal_err};

use super::define::sql_aggregate;
use super::grid::{Filled, Filling, Grid};
use crate::detection::Box as Bbox;
use crate::function::boxes::{BoxLists, touched};
use crate::function::call::{Kind, whole};
use crate::out_of_range::out_of_range;

/// Cells along the longer side of the picture.
const CELLS: u32 = 160;
/// The side of a cell in the picture that is given, px.
const SIDE: usize = 4;

sql_aggregate!(
    Heatmap, "heatmap", arguments: [Boxes, Int, Int], required: 3, returns: DataType::Binary,
    state: [DataType::Binary], accumulator: || Ok(Box::new(Filling::<Heat>::default())),
    syntax: "heatmap(boxes, width int4, height int4) -> bytea",
    description: "Where boxes were, as a PNG file: a picture of width by height pixels is divided into square cells, 160 along its longer side (fewer if it has fewer pixels), every box counts in each cell that it touches, and a cell is 4 by 4 pixels, from black, never, by red and yellow to white, where most were. boxes is a box or a list of boxes, each a BOX, a DETECTION, a struct or a list of four numbers; width and \
height, 1 to 65536, are those of the frame; others are an error. Rows without a box, and NULL, do not count; NULL where no box counts, and for several sizes in one group.",
    example: "SELECT heatmap(detect_faces(frame), width, height) FROM clip WHERE frame_no % 10 = 0"
);

/// How many boxes touched each cell.
#[derive(Debug, Default)]
struct Heat;

/// The cells of a picture of that size, across and down.
fn cells((width, height): (u32, u32)) -> (u32, u32) {
    let longest = u64::from(width.max(height)).max(1);
    let side = |side: u32| (u64::from(side) * u64::from(CELLS)).div_ceil(longest).min(u64::from(side)) as u32;
    (side(width), side(height))
}

/// Counts a box in the cells that it touches, or takes it back.
fn add(grid: &mut Grid, bbox: &Bbox, add: bool) {
    let (across, down) = cells(grid.size);
    let (by_x, by_y) = (across as f32 / grid.size.0 as f32, down as f32 / grid.size.1 as f32);
    let scaled = Bbox { x: bbox.x * by_x, y: bbox.y * by_y, w: bbox.w * by_x, h: bbox.h * by_y };
    let Some(area) = touched(&scaled, (across, down)) else { return };
    let change = |count: &mut u64| *count = if add { *count + 1 } else { count.saturating_sub(1) };
    change(&mut grid.n);
    for row in grid.cells.chunks_exact_mut(across as usize).skip(area.y as usize).take(area.height as usize) {
        row.iter_mut().skip(area.x as usize).take(area.width as usize).for_each(change);
    }
}

/// From black by red and yellow to white.
fn glow(share: f64) -> [u8; 3] {
    [0.0, 1.0, 2.0].map(|from| ((3.0 * share - from).clamp(0.0, 1.0) * 255.0).round() as u8)
}

impl Filled for Heat {
    const NAME: &str = "heatmap";

    fn n_cells(size: (u32, u32)) -> usize {
        let (across, down) = cells(size);
        across as usize * down as usize
    }

    fn count(grid: &mut Grid, values: &[ArrayRef], come: bool) -> Result<()> {
        let [boxes, widths, heights] = values else { return internal_err!("heatmap has three arguments") };
        let side = |sides: &ArrayRef| whole(Heat::NAME, Arc::clone(sides), Kind::Int);
        let (boxes, widths, heights) = (BoxLists::try_new(boxes)?, side(widths)?, side(heights)?);
        let (widths, heights) = (widths.as_primitive::<Int32Type>(), heights.as_primitive::<Int32Type>());
        for (row, size) in widths.iter().zip(heights.iter()).enumerate() {
            let (Some(width), Some(height)) = size else { continue };
            if !(1..=65_536).contains(&width) || !(1..=65_536).contains(&height) {
                return out_of_range!("heatmap needs a width and a height of 1 to 65536 pixels, not {width} and {height}");
            }
            for (_, bbox) in boxes.row(row) {
                if grid.of_size((width as u32, height as u32), Heat::n_cells) {
                    add(grid, &bbox, come);
                } else {
                    grid.count_other(come);
                }
            }
        }
        Ok(())
    }

    fn picture(grid: &Grid) -> ((u32, u32), Vec<u8>) {
        let ((across, down), most) = (cells(grid.size), grid.cells.iter().copied().max().unwrap_or(0).max(1));
        let mut rgb = Vec::with_capacity(grid.cells.len() * SIDE * SIDE * 3);
        for row in grid.cells.chunks_exact(across as usize) {
            let line: Vec<u8> = row.iter().flat_map(|count| [glow(*count as f64 / most as f64); SIDE]).flatten().collect();
            (0..SIDE).for_each(|_| rgb.extend_from_slice(&line));
        }
        ((across * SIDE as u32, down * SIDE as u32), rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_counted_and_taken_back() {
        let mut grid = Grid::default();
        assert!(grid.of_size((320, 160), Heat::n_cells));
        assert_eq!(cells(grid.size), (160, 80));
        let bbox = Bbox { x: 10.0, y: 10.0, w: 4.0, h: 2.0 };
        add(&mut grid, &bbox, true);
        add(&mut grid, &Bbox { x: 400.0, y: 0.0, w: 5.0, h: 5.0 }, true);
        assert_eq!((grid.n, grid.cells.iter().sum::<u64>(), grid.cells[5 * 160 + 5]), (1, 2, 1));
        add(&mut grid, &bbox, false);
        assert!(grid.cells.iter().all(|n| *n == 0) && grid.n == 0);
        add(&mut grid, &bbox, true);
        assert!(!grid.of_size((320, 161), Heat::n_cells) && grid.size == (320, 160));
        add(&mut grid, &bbox, false);
        assert!(grid.of_size((320, 161), Heat::n_cells), "nothing is left of the other size");
        assert_eq!([glow(0.0), glow(1.0 / 3.0), glow(2.0 / 3.0), glow(1.0)], [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]]);
    }
}
