//! What an accumulator of a grid of numbers keeps and gives, whatever it counts: a size that is one in a group, a number a cell, a PNG at the end.

use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion_expr::Accumulator;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::bytes::{Keeping, Kept};
use crate::out_of_range::out_of_range;

/// The numbers.
#[derive(Debug, Default)]
pub(super) struct Grid {
    /// Of the pictures, px.
    pub(super) size: (u32, u32),
    /// A number a cell, line by line; none before the first picture.
    pub(super) cells: Vec<u64>,
    /// How often something was added.
    pub(super) n: u64,
}

impl Grid {
    /// Is of that size from now on, or errs if it is of another; `n_cells` is asked once.
    pub(super) fn of_size(&mut self, name: &str, size: (u32, u32), n_cells: impl Fn((u32, u32)) -> usize) -> Result<()> {
        if self.cells.is_empty() {
            self.size = size;
            self.cells = vec![0; n_cells(size)];
        } else if self.size != size {
            return out_of_range!("{name} needs one size a group, not {}x{} and {}x{}", self.size.0, self.size.1, size.0, size.1);
        }
        Ok(())
    }
}

/// What fills a grid, and what its picture is.
pub(super) trait Filled: std::fmt::Debug + Default + Send + Sync {
    /// The aggregate, as errors name it.
    const NAME: &str;

    /// Cells of the grid for a size.
    fn n_cells(size: (u32, u32)) -> usize;

    /// Adds rows to the grid, or takes them back.
    fn count(grid: &mut Grid, values: &[ArrayRef], add: bool) -> Result<()>;

    /// The picture of a grid to which something was added: its size, and its RGB samples.
    fn picture(grid: &Grid) -> ((u32, u32), Vec<u8>);
}

/// The accumulator.
#[derive(Debug, Default)]
pub(super) struct Filling<F> {
    grid: Grid,
    filled: std::marker::PhantomData<F>,
}

impl<F: Filled + 'static> Accumulator for Filling<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        F::count(&mut self.grid, values, true)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        F::count(&mut self.grid, values, false)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.grid.n == 0 {
            return Ok(ScalarValue::Binary(None));
        }
        let ((width, height), rgb) = F::picture(&self.grid);
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(&rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(|e| exec_datafusion_err!("the picture of {} cannot be written as PNG: {e}", F::NAME))?;
        Ok(ScalarValue::Binary(Some(file)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.grid.cells.capacity() * size_of::<u64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let grid = &self.grid;
        if grid.cells.is_empty() {
            return Ok(vec![ScalarValue::Binary(None)]);
        }
        let mut kept = Keeping::default();
        [grid.size.0.into(), grid.size.1.into(), grid.n].into_iter().chain(grid.cells.iter().copied()).for_each(|n| kept.number(n));
        Ok(vec![kept.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [column] = states else { return internal_err!("{} keeps one value", F::NAME) };
        for mut kept in Kept::rows(column)? {
            let size = (kept.number()? as u32, kept.number()? as u32);
            self.grid.of_size(F::NAME, size, F::n_cells)?;
            self.grid.n += kept.number()?;
            for cell in &mut self.grid.cells {
                *cell += kept.number()?;
            }
        }
        Ok(())
    }
}
