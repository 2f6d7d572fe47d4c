//! What an accumulator of a grid of numbers keeps and gives, whatever it counts: a size that is one in a group, a number a cell, a PNG at the end.

use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion_expr::Accumulator;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::bytes::{Keeping, Kept};

/// The numbers.
#[derive(Debug, Default)]
pub(super) struct Grid {
    /// Of the pictures, px.
    pub(super) size: (u32, u32),
    /// A number a cell, line by line; none before the first picture.
    pub(super) cells: Vec<u64>,
    /// How often something was added.
    pub(super) n: u64,
    /// How often something of another size was: then nothing is given, as what it would be is not known. An error would end a view for one odd picture.
    pub(super) n_other: u64,
}

impl Grid {
    /// Is of that size from now on, unless it is of another; whether it is. `n_cells` is asked once.
    pub(super) fn of_size(&mut self, size: (u32, u32), n_cells: impl Fn((u32, u32)) -> usize) -> bool {
        if self.n == 0 && self.n_other == 0 && self.size != size {
            self.size = size;
            self.cells = vec![0; n_cells(size)];
        }
        self.size == size
    }

    /// Counts what is of another size, or takes it back.
    pub(super) fn count_other(&mut self, add: bool) {
        self.n_other = if add { self.n_other + 1 } else { self.n_other.saturating_sub(1) };
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
        if self.grid.n == 0 || self.grid.n_other > 0 {
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
        if grid.n_other > 0 {
            kept.number(grid.n_other);
        }
        Ok(vec![kept.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [column] = states else { return internal_err!("{} keeps one value", F::NAME) };
        for mut kept in Kept::rows(column)? {
            let size = (kept.number()? as u32, kept.number()? as u32);
            let (n, same) = (kept.number()?, self.grid.of_size(size, F::n_cells));
            for at in 0..F::n_cells(size) {
                let more = kept.number()?;
                if let Some(cell) = self.grid.cells.get_mut(at).filter(|_| same) {
                    *cell += more;
                }
            }
            *(if same { &mut self.grid.n } else { &mut self.grid.n_other }) += n;
            if !kept.is_empty() {
                self.grid.n_other += kept.number()?;
            }
        }
        Ok(())
    }
}
