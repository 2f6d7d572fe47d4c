//! `dominant_color(frame) -> text`: the colour that most of the picture has.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::neighbourhood::Samples;

sql_function!(
    DominantColor, "dominant_color", arguments: [Frame], required: 1, returns: DataType::Utf8,
    syntax: "dominant_color(frame) -> text",
    description: "The colour that most of the picture has, as '#rrggbb': the mean of the pixels in the fullest of 512 equal cells of red, green and blue. NULL for a NULL frame or a picture that cannot be decoded.",
    example: "SELECT dominant_color(frame) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let colors = arguments.pictures(|_, picture| Ok(Some(fullest(&Samples::rgb(&decoder.decode(picture)?)?.data))))?;
    Ok(Arc::new(StringArray::from(colors)))
}

fn fullest(rgb: &[u8]) -> String {
    let mut cells = vec![[0_u64; 4]; 512];
    // How many, red, green and blue in 32 bits each, two in one sum; of so many pixels that none goes over.
    for part in rgb.chunks(3 << 24) {
        let mut sums = [[0_u64; 2]; 512];
        for [r, g, b] in part.as_chunks::<3>().0 {
            let sum = &mut sums[usize::from(r >> 5) << 6 | usize::from(g >> 5) << 3 | usize::from(b >> 5)];
            sum[0] = sum[0].wrapping_add(1 << 32 | u64::from(*r));
            sum[1] = sum[1].wrapping_add(u64::from(*g) << 32 | u64::from(*b));
        }
        for (cell, [a, b]) in cells.iter_mut().zip(sums) {
            cell.iter_mut().zip([a >> 32, a & 0xffff_ffff, b >> 32, b & 0xffff_ffff]).for_each(|(sum, more)| *sum += more);
        }
    }
    // Of two that are as full the first, so that the answer does not depend on the search.
    let [n, r, g, b] = cells.iter().copied().reduce(|a, b| if b[0] > a[0] { b } else { a }).unwrap_or([1, 0, 0, 0]);
    let mean = |sum: u64| (sum + n / 2) / n.max(1);
    format!("#{:02x}{:02x}{:02x}", mean(r), mean(g), mean(b))
}
