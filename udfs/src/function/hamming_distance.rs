//! `hamming_distance(a int8, b int8) -> int4`: in how many bits two numbers differ.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};

sql_function!(
    HammingDistance, "hamming_distance", arguments: [Long, Long], required: 2, returns: DataType::Int32,
    syntax: "hamming_distance(a int8, b int8) -> int4",
    description: "In how many of their 64 bits two numbers differ, 0 to 64: pictures whose phash is at most some 10 bits apart look alike. NULL for a NULL.",
    example: "SELECT hamming_distance(phash(frame), phash(flip(frame, 'horizontal'))) FROM clip WHERE frame_no = 100"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let one = |row| Some((arguments.long(0, row)? ^ arguments.long(1, row)?).count_ones() as i32);
    Ok(Arc::new(Int32Array::from_iter((0..arguments.n_rows).map(one))))
}
