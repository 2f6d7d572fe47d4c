//! `recognize_face(frame, face DETECTION, gallery text [, threshold float8]) -> struct(name text, similarity float8, runner_up text, runner_up_similarity float8)`: whose face of a gallery it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, NullBufferBuilder, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::{Result, exec_err};

use super::call::{Arguments, sql_function};
use super::face_embedding::PART;
use super::inference::{Chosen, ModelFunction, Results, without_frames};
use crate::model::description::Task;
use crate::model::output::Output;
use crate::out_of_range::out_of_range;

/// Above it two pictures are of one person where a call does not say otherwise.
const THRESHOLD: f64 = 0.55;

sql_function!(
    RecognizeFace, "recognize_face", arguments: [Frame, Box, Text, Float], required: 3, returns: DataType::Struct(fields()),
    syntax: "recognize_face(frame, face DETECTION, gallery text [, threshold float8]) -> struct(name text, similarity float8, runner_up text, \
runner_up_similarity float8)",
    description: "Whose face it is: the person of a gallery (CREATE GALLERY) whose picture is most like it by the cosine similarity of their face_embedding, the \
most alike of the other people as the runner-up, and both similarities, -1 to 1. name is NULL where the similarity is below the threshold, 0.55 unless given (one below -1, and NaN, is an error); \
the similarity is there all the same. All four are NULL for an empty gallery, the runner-up's two where there is one person only. The gallery is a constant; \
what is inserted or deleted meanwhile counts from the next rows on. NULL for a NULL frame, a picture that cannot be decoded, a NULL face, an empty box, one that lies outside the picture and a \
NULL threshold. The model runs once a face for this and for face_embedding.",
    example: "SELECT ts, recognize_face(frame, face, 'people') AS who FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no % 50 = 0"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction = ModelFunction {
    name: "recognize_face",
    chosen: Chosen::Named("face-embedding"),
    tasks: &[Task::Embedding],
    part: Some(PART),
    gallery: Some(2),
    column,
};

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("similarity", DataType::Float64, true),
        Field::new("runner_up", DataType::Utf8, true),
        Field::new("runner_up_similarity", DataType::Float64, true),
    ])
}

fn column(results: &Results<'_>) -> Result<ArrayRef> {
    let Some(people) = results.people() else { return exec_err!("recognize_face has no gallery") };
    let (mut names, mut runners_up) = (StringBuilder::new(), StringBuilder::new());
    let (mut similarities, mut runner_up_similarities) = (Float64Builder::new(), Float64Builder::new());
    let mut known = NullBufferBuilder::new(0);
    for (row, output) in results.rows() {
        let vector = match output {
            Some(Output::Embedding(vector)) => Some(vector),
            _ => None,
        };
        known.append(vector.is_some());
        let nearest = vector.and_then(|vector| people.nearest(vector));
        let threshold = results.arguments().float(3, row).unwrap_or(THRESHOLD);
        if threshold.is_nan() || threshold < -1.0 {
            return out_of_range!("recognize_face needs a threshold of -1 or more, as similarities are, not {threshold}");
        }
        names.append_option(nearest.as_ref().filter(|nearest| nearest.similarity >= threshold).map(|nearest| nearest.name));
        similarities.append_option(nearest.as_ref().map(|nearest| nearest.similarity));
        let runner_up = nearest.and_then(|nearest| nearest.runner_up);
        runners_up.append_option(runner_up.map(|(name, _)| name));
        runner_up_similarities.append_option(runner_up.map(|(_, similarity)| similarity));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(names.finish()),
        Arc::new(similarities.finish()),
        Arc::new(runners_up.finish()),
        Arc::new(runner_up_similarities.finish()),
    ];
    Ok(Arc::new(StructArray::try_new(fields(), columns, known.finish())?))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "recognize_face", &DataType::Struct(fields()))
}
