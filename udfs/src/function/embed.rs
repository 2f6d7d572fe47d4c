//! `embed(frame, model text) -> EMBEDDING`: the vector that an embedding model makes of a picture.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::embedding::{embedding_type, embeddings};
use crate::model::description::Task;
use crate::model::output::Output;

sql_function!(
    Embed, "embed", arguments: [Frame, Text], required: 2, returns: embedding_type(),
    syntax: "embed(frame, model text) -> EMBEDDING",
    description: "The vector that the embedding model of that name makes of a picture, as long as the model says, as the model gives it (its length is not \
made 1): float4[]. What is alike has a high cosine_similarity. The name is a constant. NULL for a NULL frame and for a picture that cannot be decoded. The \
picture is scaled to the model's input, width and height each by its own factor. It runs once a frame however often and by however many queries it is \
asked for.",
    example: "SELECT ts, cosine_similarity(embed(frame, 'likeness'), embed(crop(frame, [0, 0, 64, 64]), 'likeness')) FROM clip"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction =
    ModelFunction { name: "embed", chosen: Chosen::Argument(1), tasks: &[Task::Embedding], part: None, gallery: None, column };

/// The vectors of the rows.
pub(super) fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let vector = |(_, output): (usize, Option<&'_ Output>)| match output {
        Some(Output::Embedding(values)) => Some(values.clone()),
        _ => None,
    };
    let vectors: Vec<Option<Vec<f32>>> = results.rows().map(vector).collect();
    Ok(Arc::new(embeddings(vectors.iter().map(|v| v.as_deref()))))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "embed", &embedding_type())
}
