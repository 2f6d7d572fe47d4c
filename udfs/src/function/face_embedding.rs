//! `face_embedding(frame, face DETECTION) -> EMBEDDING`: the vector by which a person is known again.

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::align_face::{Similarity, aligned, inside, parts, warped};
use super::call::{Arguments, sql_function};
use super::embed;
use super::inference::{Chosen, ModelFunction, Part, PartOf, without_frames};
use crate::embedding::embedding_type;
use crate::frame::Picture;
use crate::model::description::Task;
use crate::pixels::Damaged;

sql_function!(
    FaceEmbedding, "face_embedding", arguments: [Frame, Box], required: 2, returns: embedding_type(),
    syntax: "face_embedding(frame, face DETECTION) -> EMBEDDING",
    description: "The vector that the model named face-embedding makes of a face: with the model of the manifest 1024 numbers, float4[], where two pictures of \
one person mostly have a cosine_similarity above 0.55. The face is turned upright by its five landmarks as align_face does, at the size of the model's \
input (224x224); a face without landmarks, or a box, is cut as a square around its middle, 1.3 times its longer side, black outside the picture. NULL for a \
NULL frame, a picture that cannot be decoded, and a NULL face, an empty box and one that lies outside the picture. It runs once a face however often and by however many queries it is asked for: \
results are kept by frame and face.",
    example: "SELECT ts, face_embedding(frame, face) FROM clip CROSS JOIN UNNEST(detect_faces(frame, 0.8)) AS face WHERE frame_no = 100"
);

/// How it runs its model.
pub(super) const MODEL: ModelFunction = ModelFunction {
    name: "face_embedding",
    chosen: Chosen::Named("face-embedding"),
    tasks: &[Task::Embedding],
    part: Some(PART),
    gallery: None,
    column: embed::column,
};

/// What the model sees of a frame: a face that stands as it does in every picture.
pub(super) const PART: PartOf = PartOf { argument: 1, read, cut };

/// How much wider than its box the square is that is cut where there are no landmarks.
const MARGIN: f64 = 1.3;

fn read(faces: &ArrayRef) -> Result<Vec<Option<Part>>> {
    let some = |part: &Part| part.landmarks.is_some() || part.bbox.w > 0.0 && part.bbox.h > 0.0;
    Ok(parts(faces)?.into_iter().map(|part| part.filter(some)).collect())
}

fn cut(picture: &Picture, face: &Part, (side, _): (u32, u32)) -> Result<Picture, Damaged> {
    inside(picture, face)?;
    if let Some(landmarks) = &face.landmarks
        && let Some(upright) = aligned(picture, landmarks, side)?
    {
        return Ok(upright);
    }
    let [x, y, w, h] = [face.bbox.x, face.bbox.y, face.bbox.w, face.bbox.h].map(f64::from);
    let length = w.max(h) * MARGIN;
    warped(picture, Similarity::onto(x + (w - length) / 2.0, y + (h - length) / 2.0, length, side), side)
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    without_frames(arguments, "face_embedding", &embedding_type())
}
