//! `histogram(frame [, bins int4]) -> int8[]`: how many pixels there are of each brightness.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use crate::out_of_range::out_of_range;
use crate::pixels::{counted, luma_bytes};

sql_function!(
    Histogram, "histogram", arguments: [Frame, Int], required: 1, returns: DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
    syntax: "histogram(frame [, bins int4]) -> int8[]",
    description: "How many pixels there are of each brightness, from dark to light: the luma, 0 to 255, counted in bins of one width, 16 unless given; 1 to 256, and \
another number is an error. NULL for a NULL frame or bins, or a picture that cannot be decoded.",
    example: "SELECT histogram(frame, 8) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let counts = arguments.pictures(|row, picture| {
        let bins = if arguments.given(1) { arguments.int(1, row) } else { Some(16) };
        let Some(bins) = bins else { return Ok(None) };
        if !(1..=256).contains(&bins) {
            return out_of_range!("histogram has 1 to 256 bins, not {bins}");
        }
        let bins = bins as usize;
        let mut counts = vec![0_i64; bins];
        for (value, n) in counted(&luma_bytes(&decoder.decode(picture)?)?).into_iter().enumerate() {
            if let Some(count) = counts.get_mut(value * bins / 256) {
                *count += i64::from(n);
            }
        }
        Ok(Some(counts))
    })?;
    Ok(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(counts.into_iter().map(|c| c.map(|c| c.into_iter().map(Some))))))
}
