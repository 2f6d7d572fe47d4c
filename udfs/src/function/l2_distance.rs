//! `l2_distance(a EMBEDDING, b EMBEDDING) -> float8`: how far two vectors are from each other.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use crate::embedding::Distance;

sql_function!(
    L2Distance, "l2_distance", arguments: [Vector, Vector], required: 2, returns: DataType::Float64,
    syntax: "l2_distance(a EMBEDDING, b EMBEDDING) -> float8",
    description: "The Euclidean distance of two vectors: the square root of the sum of their squared differences. Any list of numbers is accepted, and computed in float8. NULL if \
one is NULL, holds a NULL or is empty; two that have not as many numbers are an error.",
    example: "SELECT l2_distance([0.0, 3.0], [4.0, 0.0])"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.vectors::<Distance>()
}
