//! `cosine_similarity(a EMBEDDING, b EMBEDDING) -> float8`: how alike two vectors are, by their angle.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use crate::embedding::Cosine;

sql_function!(
    CosineSimilarity, "cosine_similarity", arguments: [Vector, Vector], required: 2, returns: DataType::Float64,
    syntax: "cosine_similarity(a EMBEDDING, b EMBEDDING) -> float8",
    description: "The cosine of the angle between two vectors, whatever their lengths: 1 for one direction, 0 for a right angle, -1 for opposite ones. Any \
list of numbers is accepted, and computed in float8. NULL if one is NULL, holds a NULL or what is not finite, or is all zeros; two that have not as many numbers are an error.",
    example: "SELECT cosine_similarity([1.0, 0.0], [1.0, 1.0])"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.vectors::<Cosine>()
}
