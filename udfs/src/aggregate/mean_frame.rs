//! `mean_frame(frame [, width int4]) -> bytea`: the mean of pictures: what stays while things move.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err, internal_datafusion_err, internal_err, not_impl_err};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{AggregateUDF, Expr, lit};

use super::define::sql_aggregate;
use super::grid::{Filled, Filling, Grid};
use crate::function::call::check_whole;

/// The width of the mean where the query names none: what crosses from the frames to the aggregate is 3 bytes a pixel and row.
const WIDTH: i32 = 320;

sql_aggregate!(
    MeanFrame, "mean_frame", arguments: [Frame, Int], required: 1, returns: DataType::Binary,
    state: [DataType::Binary], accumulator: || not_impl_err!("mean_frame in OVER"), rewritten: of_ppm,
    syntax: "mean_frame(frame [, width int4]) -> bytea",
    description: "The mean of pictures as a PNG file, each pixel on its own: what stays while things move, as the empty street. width in pixels, 320 unless given; the aspect is kept, and a picture is never enlarged. NULL frames, and pictures that cannot be decoded, do not count; NULL where none counts, and for pictures of several sizes in one group.",
    example: "SELECT mean_frame(frame) FROM clip WHERE frame_no % 25 = 0"
);

sql_aggregate!(
    MeanPpm, "mean_ppm", arguments: [Bytes], required: 1, returns: DataType::Binary,
    state: [DataType::Binary], accumulator: || Ok(Box::new(Filling::<Mean>::default())),
);

/// What mean_frame is made of: the mean of PPM files.
pub(super) fn mean_ppm() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(MeanPpm::default()))
}

/// The pixels of a frame do not reach an aggregate: they are taken below it, small.
fn of_ppm(mut call: AggregateFunction) -> Result<Expr> {
    let mut arguments = std::mem::take(&mut call.params.args);
    if arguments.len() == 1 {
        arguments.push(lit(WIDTH));
    }
    if let Some(width) = arguments.get(1) {
        check_whole("mean_frame", width)?;
    }
    let ppm = crate::function::functions().into_iter().find(|f| f.name() == "ppm");
    let ppm = ppm.ok_or_else(|| internal_datafusion_err!("there is no function ppm"))?;
    call.params.args = vec![ppm.call(arguments)];
    Ok(Expr::AggregateFunction(AggregateFunction { func: mean_ppm(), params: call.params }))
}

/// The sum of each sample.
#[derive(Debug, Default)]
struct Mean;

/// The size and the samples of a PPM file as the function ppm writes it.
fn read(file: &[u8]) -> Option<((u32, u32), &[u8])> {
    let rest = file.strip_prefix(b"P6\n")?;
    let end = rest.iter().position(|b| *b == b'\n')?;
    let (size, rest) = rest.split_at_checked(end)?;
    let (width, height) = str::from_utf8(size).ok()?.split_once(' ')?;
    let size: (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    let pixels = rest.strip_prefix(b"\n255\n")?;
    (pixels.len() as u64 == u64::from(size.0) * u64::from(size.1) * 3).then_some((size, pixels))
}

impl Filled for Mean {
    const NAME: &str = "mean_frame";

    fn n_cells((width, height): (u32, u32)) -> usize {
        width as usize * height as usize * 3
    }

    fn count(grid: &mut Grid, values: &[ArrayRef], add: bool) -> Result<()> {
        let [files] = values else { return internal_err!("a mean has one argument") };
        for file in files.as_binary::<i32>().iter().flatten() {
            let Some((size, pixels)) = read(file) else { return exec_err!("mean_ppm needs PPM files (P6) of at most 255 a sample") };
            if !grid.of_size(size, Mean::n_cells) {
                grid.count_other(add);
                continue;
            }
            let change = |sum: &mut u64, by: u64| *sum = if add { *sum + by } else { sum.saturating_sub(by) };
            change(&mut grid.n, 1);
            grid.cells.iter_mut().zip(pixels).for_each(|(sum, value)| change(sum, u64::from(*value)));
        }
        Ok(())
    }

    fn picture(grid: &Grid) -> ((u32, u32), Vec<u8>) {
        (grid.size, grid.cells.iter().map(|sum| ((sum + grid.n / 2) / grid.n.max(1)) as u8).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ppm_is_not_read() {
        assert_eq!(read(b"P6\n2 1\n255\nabcdef"), Some(((2, 1), b"abcdef".as_slice())));
        for wrong in
            [b"".as_slice(), b"P6\n2 1\n255\nabcde", b"P6\n2 1\n65535\nabcdef", b"P5\n2 1\n255\nab", b"P6\n-2 1\n255\n", b"P6\n2 1"]
        {
            assert_eq!(read(wrong), None);
        }
    }
}
